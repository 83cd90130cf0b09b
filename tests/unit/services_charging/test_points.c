/* Points in any order and in batches of any size leave the curve that they would leave one by one: seen through the view, and
 * read in order through the blocks. */
#include "check.h"
#include "place.h"
#include "services/charging/charging.h"
#include "services/charging/points.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOMENTS 3000

static struct db *db;
static struct gather gathered;
static uint64_t dice_state = 1;

static unsigned dice(unsigned sides)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(dice_state >> 33) % sides;
}

/* ---- what it should be ---- */

static struct {
    struct curve_point at[MOMENTS];
    bool is_there[MOMENTS];
} model;

static struct integer joined(struct integer old, struct integer new)
{
    return new.is_set ? new : old;
}

static int64_t moment_us(unsigned moment, int64_t origin)
{
    return origin + (int64_t)moment * 1000000;
}

static bool is_same_window(unsigned a, unsigned b, int64_t origin, struct span window)
{
    int64_t x = moment_us(a, origin), y = moment_us(b, origin);
    return x - ((x % window.us) + window.us) % window.us == y - ((y % window.us) + window.us) % window.us;
}

static void model_add(unsigned moment, const struct curve_point *p, int64_t origin, struct span window)
{
    for (unsigned i = moment + 1; window.us > 0 && i < MOMENTS && is_same_window(i, moment, origin, window); i++)
        if (model.is_there[i])
            return;
    for (unsigned i = moment; window.us > 0 && i-- > 0 && is_same_window(i, moment, origin, window);)
        model.is_there[i] = false;
    struct curve_point *m = &model.at[moment];
    if (!model.is_there[moment])
        *m = (struct curve_point){.at = p->at};
    model.is_there[moment] = true;
    m->power_w = joined(m->power_w, p->power_w);
    m->register_wh = joined(m->register_wh, p->register_wh);
    m->voltage_m = joined(m->voltage_m, p->voltage_m);
    m->current_m = joined(m->current_m, p->current_m);
    m->temperature_m = joined(m->temperature_m, p->temperature_m);
}

/* ---- what it is ---- */

static bool is_same_value(struct integer a, struct integer b)
{
    return a.is_set == b.is_set && (!a.is_set || a.value == b.value);
}

static bool is_same(const struct curve_point *a, const struct curve_point *b)
{
    return a->at.us == b->at.us && is_same_value(a->power_w, b->power_w) && is_same_value(a->register_wh, b->register_wh) &&
           is_same_value(a->voltage_m, b->voltage_m) && is_same_value(a->current_m, b->current_m) &&
           is_same_value(a->temperature_m, b->temperature_m);
}

static struct integer column(struct db_rows *r, int col)
{
    return (struct integer){db_col_int(r, col), !db_col_is_null(r, col)};
}

static void read_view(struct point_list *out)
{
    struct db_rows *r = db_rows(db,
                                "SELECT at, power_w, register_wh, voltage_m, current_m, temperature_m FROM charging_curve "
                                "WHERE session_number=1 ORDER BY at",
                                NULL, 0);
    while (db_next(r)) {
        struct curve_point p = {db_col_time(r, 0), column(r, 1), column(r, 2), column(r, 3), column(r, 4), column(r, 5)};
        point_list_add(out, &p);
    }
    CHECK("the view is read", db_rows_end(r) == OK);
}

static void read_blocks(struct point_list *out, struct instant after)
{
    struct db_rows *r = points_rows(db, 1, after);
    while (db_next(r))
        CHECK("a block is read", points_parse(db_col_int(r, 0), db_col_text(r, 1), out) == OK);
    CHECK("the blocks are read", db_rows_end(r) == OK);
}

static void compare(const char *row, int64_t origin)
{
    struct point_list view = {NULL, 0, 0}, blocks = {NULL, 0, 0}, tail = {NULL, 0, 0};
    size_t n = 0;
    bool is_equal = true;
    read_view(&view);
    read_blocks(&blocks, INSTANT_NONE);
    is_equal = view.count == blocks.count;
    for (unsigned i = 0; i < MOMENTS && is_equal; i++)
        if (model.is_there[i]) {
            is_equal = n < view.count && is_same(&view.at[n], &model.at[i]) && is_same(&blocks.at[n], &model.at[i]);
            n++;
        }
    CHECK(row, is_equal && n == view.count);
    const struct instant after = {moment_us(dice(MOMENTS), origin)};
    size_t behind = 0, found = 0;
    read_blocks(&tail, after);
    for (size_t i = 0; i < view.count; i++)
        behind += view.at[i].at.us > after.us;
    for (size_t i = 0; i < tail.count; i++)
        found += tail.at[i].at.us > after.us;
    CHECK("none behind a moment is missed", behind == found);
    point_list_release(&view);
    point_list_release(&blocks);
    point_list_release(&tail);
}

static struct integer some(void)
{
    return dice(3) == 0 ? (struct integer){0, false} : (struct integer){(int64_t)dice(100000) - 1000, true};
}

static enum err write_all(struct point_list *points, struct span window, struct curve_end *end)
{
    enum err e = points_write(&gathered, db, 1, points, window, end);
    return e == OK ? gather_write(&gathered, db, NULL) : e;
}

static void test_batches(void)
{
    static const struct {
        const char *row;
        unsigned batch, spread; /* events of a batch; how far they go back: 0 they only rise */
        int64_t window_s, origin;
    } rows[] = {
        {"in order, one a batch", 1, 0, 0, 1795895169000000},
        {"in order, large batches", 50, 0, 0, 1795895169000000},
        {"some late", 10, 5, 0, 1795895169000000},
        {"anywhere", 7, MOMENTS, 0, 1795895169000000},
        {"anywhere, one a batch", 1, MOMENTS, 0, 1795895169000000},
        {"anywhere, large batches", 700, MOMENTS, 0, 1795895169000000},
        {"in order, thinned", 20, 0, 60, 1795895169000000},
        {"some late, thinned", 5, 90, 60, 1795895169000000},
        {"anywhere, thinned", 30, MOMENTS, 7, 1795895169000000},
        {"anywhere, thinned, before 1970", 9, MOMENTS, 7, -1500000000},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct span window = SPAN_S(rows[i].window_s);
        struct curve_end end = {true, INSTANT_NONE};
        struct point_list points = {NULL, 0, 0};
        memset(&model, 0, sizeof model);
        CHECK("empty", db_run(db, "DELETE FROM charging_curve_blocks", NULL, 0) == OK);
        for (unsigned n = 0, moment = 0; n < MOMENTS && moment + 3 < MOMENTS; n++) {
            moment += rows[i].spread == MOMENTS ? 0 : dice(3);
            unsigned at = rows[i].spread == MOMENTS                   ? dice(MOMENTS)
                          : rows[i].spread > 0 && moment > rows[i].spread ? moment - dice(rows[i].spread)
                                                                          : moment;
            struct curve_point p = {{moment_us(at, rows[i].origin)}, some(), some(), some(), some(), some()};
            point_list_add(&points, &p);
            model_add(at, &p, rows[i].origin, window);
            if (points.count < rows[i].batch)
                continue;
            CHECK(rows[i].row, write_all(&points, window, &end) == OK);
            points.count = 0;
            if (dice(4) == 0)
                end.is_known = false; /* as after a restart */
        }
        CHECK(rows[i].row, write_all(&points, window, &end) == OK);
        compare(rows[i].row, rows[i].origin);
        point_list_release(&points);
    }
}

static void test_parse(void)
{
    static const struct {
        const char *row, *text;
        enum err want;
    } rows[] = {
        {"one point", "[[0,1,2,3,4,5]]", OK},
        {"nothing but its time", "[[0]]", OK},
        {"nulls within", "[[0,null,2],[7,null,null,-3]]", OK},
        {"empty", "", ERR_CORRUPT},
        {"no point", "[]", ERR_CORRUPT},
        {"no time", "[[null,1]]", ERR_CORRUPT},
        {"too many", "[[0,1,2,3,4,5,6]]", ERR_CORRUPT},
        {"cut", "[[0,1,2],[5,", ERR_CORRUPT},
        {"cut at its end", "[[0,1,2]", ERR_CORRUPT},
        {"something behind", "[[0,1]]x", ERR_CORRUPT},
        {"no number", "[[0,a]]", ERR_CORRUPT},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct point_list l = {NULL, 0, 0};
        CHECK(rows[i].row, points_parse(1000, str_of(rows[i].text), &l) == rows[i].want);
        point_list_release(&l);
    }
}

int main(void)
{
    char dir[PLACE_MAX], path[PLACE_PATH_MAX];
    struct fault why = {{0}, {0}};
    place_make(dir, "test-points");
    (void)snprintf(path, sizeof path, "%s/db", dir);
    check(db_open(path, DB_WRITER, &db, &why) == OK &&
          db_migrate(db, charging_migrations, charging_migration_count, &why) == OK && db_set_durable(db, false) == OK);
    points_rows_init(&gathered);
    test_batches();
    test_parse();
    gather_release(&gathered);
    db_close(db);
    for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end != NULL; end++) {
        char file[PLACE_PATH_MAX + 8];
        (void)snprintf(file, sizeof file, "%s%s", path, *end);
        (void)unlink(file);
    }
    (void)rmdir(dir);
    return CHECK_REPORT();
}
