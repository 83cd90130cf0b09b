/* Nearly always new points come behind all that is stored, and are a new block. Others go where they belong: into the block that
 * covers them, which is written anew and cut in two where it grows too long, or between two blocks. So a point costs at most a block,
 * however long the curve is. */
#include "services/charging/points.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_POINTS 200 /* of one row: bounds what is rewritten for a late point */
#define MEMBERS      6
#define TEXT_MAX     ((size_t)2 * BLOCK_POINTS * MEMBERS * 24)

void point_list_add(struct point_list *l, const struct curve_point *p)
{
    if (l->count == l->room) {
        l->room = l->room == 0 ? 64 : l->room * 2;
        l->at = mem_grow(l->at, l->room, sizeof *l->at);
    }
    l->at[l->count++] = *p;
}

void point_list_release(struct point_list *l)
{
    free(l->at);
    *l = (struct point_list){NULL, 0, 0};
}

/* ---- order ---- */

static void join_value(struct integer *to, struct integer from)
{
    if (from.is_set)
        *to = from;
}

/* The same moment once more: what is new counts. */
static void join(struct curve_point *to, const struct curve_point *from)
{
    join_value(&to->power_w, from->power_w);
    join_value(&to->register_wh, from->register_wh);
    join_value(&to->voltage_m, from->voltage_m);
    join_value(&to->current_m, from->current_m);
    join_value(&to->temperature_m, from->temperature_m);
}

static int64_t window_begin(int64_t at, struct span window)
{
    return window.us <= 0 ? at : at - ((at % window.us) + window.us) % window.us;
}

/* Two lists in order become one; of the same moment those of b join those of a. */
static void merge(struct point_list *out, const struct curve_point *a, size_t a_count, const struct curve_point *b, size_t b_count)
{
    out->count = 0;
    for (size_t i = 0, k = 0; i < a_count || k < b_count;) {
        bool is_a = k == b_count || (i < a_count && a[i].at.us <= b[k].at.us);
        const struct curve_point *p = is_a ? &a[i++] : &b[k++];
        if (out->count > 0 && out->at[out->count - 1].at.us == p->at.us)
            join(&out->at[out->count - 1], p);
        else
            point_list_add(out, p);
    }
}

/* By halves, which keeps what is equal in the order in which it came. */
static void sort(struct point_list *l)
{
    struct point_list half[2] = {{NULL, 0, 0}, {NULL, 0, 0}};
    size_t in_order = l->count < 2 ? l->count : 1;
    while (in_order < l->count && l->at[in_order - 1].at.us < l->at[in_order].at.us)
        in_order++;
    if (in_order == l->count)
        return;
    for (size_t i = 0; i < l->count; i++)
        point_list_add(&half[i < l->count / 2 ? 0 : 1], &l->at[i]);
    sort(&half[0]);
    sort(&half[1]);
    merge(l, half[0].at, half[0].count, half[1].at, half[1].count);
    point_list_release(&half[0]);
    point_list_release(&half[1]);
}

/* In each window the newest stays. */
static void thin(struct point_list *l, struct span window)
{
    size_t kept = 0;
    if (window.us <= 0)
        return;
    for (size_t i = 0; i < l->count; i++)
        if (i + 1 == l->count || window_begin(l->at[i].at.us, window) != window_begin(l->at[i + 1].at.us, window))
            l->at[kept++] = l->at[i];
    l->count = kept;
}

/* ---- blocks ---- */

static void write_text(const struct curve_point *p, size_t count, struct buf *out)
{
    buf_clear(out);
    buf_put_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        const struct integer values[] = {p[i].power_w, p[i].register_wh, p[i].voltage_m, p[i].current_m, p[i].temperature_m};
        size_t used = COUNT_OF(values);
        while (used > 0 && !values[used - 1].is_set)
            used--;
        buf_put_str(out, i == 0 ? STR("[") : STR(",["));
        buf_put_int(out, p[i].at.us - p[0].at.us);
        for (size_t k = 0; k < used; k++) {
            buf_put_byte(out, ',');
            if (values[k].is_set)
                buf_put_int(out, values[k].value);
            else
                buf_put_lit(out, "null");
        }
        buf_put_byte(out, ']');
    }
    buf_put_byte(out, ']');
}

static bool take(struct str *in, char byte)
{
    if (in->len == 0 || in->at[0] != byte)
        return false;
    *in = (struct str){in->at + 1, in->len - 1};
    return true;
}

static bool take_value(struct str *in, struct integer *out)
{
    size_t len = 0;
    while (len < in->len && in->at[len] != ',' && in->at[len] != ']')
        len++;
    struct str text = {in->at, len};
    *in = (struct str){in->at + len, in->len - len};
    *out = (struct integer){0, false};
    if (str_eq(text, STR("null")))
        return true;
    out->is_set = true;
    return str_to_int(text, &out->value) == OK;
}

static bool take_point(struct str *in, int64_t first, struct curve_point *out)
{
    struct integer values[MEMBERS] = {{0, false}};
    size_t count = 0;
    bool is_good = take(in, '[');
    do
        is_good = is_good && count < MEMBERS && take_value(in, &values[count++]);
    while (is_good && take(in, ','));
    if (!is_good || !values[0].is_set || !take(in, ']'))
        return false;
    *out = (struct curve_point){{first + values[0].value}, values[1], values[2], values[3], values[4], values[5]};
    return true;
}

enum err points_parse(int64_t first, struct str text, struct point_list *out)
{
    struct curve_point p;
    bool is_good = take(&text, '[');
    do {
        is_good = is_good && take_point(&text, first, &p);
        if (is_good)
            point_list_add(out, &p);
    } while (is_good && take(&text, ','));
    return is_good && take(&text, ']') && text.len == 0 ? OK : ERR_CORRUPT;
}

struct db_rows *points_rows(struct db *d, int64_t session_number, struct instant after)
{
    return DB_ROWS(d,
                   "SELECT first, points FROM charging_curve_blocks WHERE session_number=?1 AND first>=coalesce((SELECT "
                   "max(first) FROM charging_curve_blocks WHERE session_number=?1 AND first<=?2), ?2) ORDER BY first",
                   db_int(session_number), db_int(after.us));
}

void points_rows_init(struct gather *blocks)
{
    gather_init(blocks, "INSERT OR FAIL INTO charging_curve_blocks(session_number, first, last, points) VALUES", "", 4);
}

static enum err blocks_add(struct gather *blocks, struct db *d, int64_t session_number, const struct curve_point *p, size_t count)
{
    struct buf text;
    enum err e = OK;
    buf_init(&text, TEXT_MAX);
    for (size_t n; e == OK && count > 0; p += n, count -= n) {
        n = count <= BLOCK_POINTS ? count : count < 2 * BLOCK_POINTS ? count / 2 : BLOCK_POINTS;
        write_text(p, n, &text);
        check(!text.failed);
        e = GATHER_ADD(blocks, d, db_int(session_number), db_time(p[0].at), db_time(p[n - 1].at), db_text(buf_str(&text)));
    }
    buf_release(&text);
    return e;
}

/* ---- where points belong ---- */

struct block {
    bool is_there;
    int64_t first, last;
};

/* The last block that begins before this. */
static enum err find_block(struct db *d, int64_t session_number, int64_t before, struct block *out, struct point_list *points)
{
    struct db_rows *r = DB_ROWS(d,
                                "SELECT first, last, points FROM charging_curve_blocks WHERE session_number=?1 AND first<?2 "
                                "ORDER BY first DESC LIMIT 1",
                                db_int(session_number), db_int(before));
    enum err e = OK;
    *out = (struct block){.is_there = db_next(r)};
    points->count = 0;
    if (out->is_there) {
        out->first = db_col_int(r, 0);
        out->last = db_col_int(r, 1);
        e = points_parse(out->first, db_col_text(r, 2), points);
    }
    enum err end = db_rows_end(r);
    return end != OK ? end : e;
}

/* Where the next block begins. */
static enum err find_next(struct db *d, int64_t session_number, int64_t after, int64_t *first)
{
    struct db_rows *r = DB_ROWS(d, "SELECT min(first) FROM charging_curve_blocks WHERE session_number=?1 AND first>=?2",
                                db_int(session_number), db_int(after));
    *first = db_next(r) && !db_col_is_null(r, 0) ? db_col_int(r, 0) : INT64_MAX;
    return db_rows_end(r);
}

/* How many from the first on go to the same place: into the block whose last is `last`, or before the one that begins at `next`. */
static size_t run_length(const struct curve_point *p, size_t count, struct span window, int64_t last, int64_t next)
{
    size_t n = 1;
    while (n < count && window_begin(p[n].at.us, window) <= last &&
           window_begin(p[n].at.us, window) < window_begin(next, window))
        n++;
    return n;
}

static enum err join_block(struct gather *blocks, struct db *d, int64_t session_number, const struct block *b, const struct point_list *stored,
                           const struct curve_point *p, size_t count, struct span window)
{
    struct point_list all = {NULL, 0, 0};
    enum err e = DB_RUN(d, "DELETE FROM charging_curve_blocks WHERE session_number=?1 AND first=?2", db_int(session_number),
                        db_int(b->first));
    merge(&all, stored->at, stored->count, p, count);
    thin(&all, window);
    if (e == OK)
        e = blocks_add(blocks, d, session_number, all.at, all.count);
    point_list_release(&all);
    return e;
}

/* Points that do not all come behind what is stored, each run of them to its place. */
static enum err points_place(struct gather *blocks, struct db *d, int64_t session_number, const struct point_list *points, struct span window)
{
    struct point_list stored = {NULL, 0, 0};
    enum err e = OK;
    for (size_t i = 0, n; e == OK && i < points->count; i += n) {
        const struct curve_point *p = &points->at[i];
        const int64_t begin = window_begin(p->at.us, window), end = begin + (window.us > 0 ? window.us : 1);
        struct block b;
        int64_t next = INT64_MAX;
        e = gather_write(blocks, d, NULL); /* all that is read below */
        if (e == OK)
            e = find_block(d, session_number, end, &b, &stored);
        if (e == OK)
            e = find_next(d, session_number, end, &next);
        if (e != OK)
            break;
        const bool is_covered = b.is_there && b.last >= begin;
        n = run_length(p, points->count - i, window, is_covered ? b.last : INT64_MAX, next);
        e = is_covered ? join_block(blocks, d, session_number, &b, &stored, p, n, window)
                       : blocks_add(blocks, d, session_number, p, n);
    }
    point_list_release(&stored);
    return e;
}

static enum err find_end(struct db *d, int64_t session_number, struct curve_end *end)
{
    struct db_rows *r =
        DB_ROWS(d, "SELECT last FROM charging_curve_blocks WHERE session_number=?1 ORDER BY first DESC LIMIT 1",
                db_int(session_number));
    const bool is_there = db_next(r);
    end->last = is_there ? db_col_time(r, 0) : INSTANT_NONE;
    enum err e = db_rows_end(r);
    end->is_known = e == OK;
    return e;
}

enum err points_write(struct gather *blocks, struct db *d, int64_t session_number, struct point_list *points, struct span window,
                      struct curve_end *end)
{
    enum err e = end->is_known ? OK : find_end(d, session_number, end);
    if (e != OK || points->count == 0)
        return e;
    sort(points);
    thin(points, window);
    const bool is_behind = !instant_is_set(end->last) || window_begin(points->at[0].at.us, window) > end->last.us;
    e = is_behind ? blocks_add(blocks, d, session_number, points->at, points->count)
                  : points_place(blocks, d, session_number, points, window);
    const struct instant last = points->at[points->count - 1].at;
    if (e == OK && (!instant_is_set(end->last) || instant_before(end->last, last)))
        end->last = last;
    return e;
}
