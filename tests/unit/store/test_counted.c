/* Counts of stretches of a key: what is found by them is what walking over all rows finds, whatever was added, moved and removed. */
#include "check.h"
#include "store/counted.h"

#include <stdlib.h>

#define ROWS   6000
#define PARTS  3
#define ASKED  60
#define CLOSE  64 /* rows of one block that may be walked over: far fewer than there are */

static const struct counted_table table = COUNTED_TABLE("counts"), other_table = COUNTED_TABLE("other_counts");
static const struct counted_list lists[] = {{&table, 1, {4, 8, 12}}, {&table, 2, {7, 8, 11}}, {&other_table, 1, {4, 9, 12}}};
static unsigned seed = 1;

static unsigned pick(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* Most rise, some lie far back, also before 0, and there are gaps. */
static int64_t key_of(int64_t n)
{
    return pick(10) == 0 ? (int64_t)pick(60000) - 20000 : n * 3 + (n / 1500) * 100000;
}

static int64_t number(struct db *d, const char *sql, const struct db_value *values, size_t count)
{
    struct db_rows *r = db_rows(d, sql, values, count);
    const int64_t n = db_next(r) && !db_col_is_null(r, 0) ? db_col_int(r, 0) : INT64_MIN;
    CHECK("a number", db_rows_end(r) == OK);
    return n;
}
#define NUMBER(d, sql, ...)                                                                                            \
    number(d, sql, (const struct db_value[]){__VA_ARGS__}, sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value))

static void count(struct counted *c, int64_t key, int64_t part, int64_t by)
{
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        counted_add(c, &lists[i], key, part, by);
}

static void fill(struct db *d, struct counted *c)
{
    CHECK("begun", db_begin(d) == OK);
    for (int64_t i = 0; i < ROWS; i++) {
        const int64_t key = key_of(i), part = pick(PARTS);
        CHECK("a row", DB_RUN(d, "INSERT INTO t(id, k, part) VALUES (?1, ?2, ?3)", db_int(i), db_int(key), db_int(part)) == OK);
        count(c, key, part, 1);
        if (pick(1000) == 0)
            CHECK("written in between", counted_write(c, d) == OK);
    }
    CHECK("written and kept", counted_write(c, d) == OK && db_commit(d) == OK);
}

static void change_some(struct db *d, struct counted *c)
{
    CHECK("begun", db_begin(d) == OK);
    for (int i = 0; i < ROWS / 10; i++) {
        const struct db_value id = db_int(pick(ROWS));
        const int64_t before = NUMBER(d, "SELECT k FROM t WHERE id = ?1", id), part = NUMBER(d, "SELECT part FROM t WHERE id = ?1", id);
        if (before == INT64_MIN)
            continue;
        count(c, before, part, -1);
        if (pick(2) == 0) {
            CHECK("removed", DB_RUN(d, "DELETE FROM t WHERE id = ?1", id) == OK);
            continue;
        }
        const int64_t after = key_of(pick(ROWS));
        CHECK("moved", DB_RUN(d, "UPDATE t SET k = ?2 WHERE id = ?1", id, db_int(after)) == OK);
        count(c, after, part, 1);
    }
    CHECK("written and kept", counted_write(c, d) == OK && db_commit(d) == OK);
}

static void check_seek(struct db *d, const struct counted_list *l, struct counted_parts parts, bool is_back, int64_t asked)
{
    const struct db_value bits = db_int(parts.bits), value = db_int(parts.value);
    int64_t skip = asked, key = 0;
    CHECK("sought", counted_seek(d, l, parts, is_back, &skip, &key) == OK);
    CHECK("little is left to walk over", skip >= 0 && skip < CLOSE * 2);
    const int64_t want = is_back ? NUMBER(d, "SELECT id FROM t WHERE part & ?1 = ?2 ORDER BY k DESC, id DESC LIMIT 1 OFFSET ?3", bits, value, db_int(asked))
                                 : NUMBER(d, "SELECT id FROM t WHERE part & ?1 = ?2 ORDER BY k, id LIMIT 1 OFFSET ?3", bits, value, db_int(asked));
    const int64_t got =
        is_back ? NUMBER(d, "SELECT id FROM t WHERE k <= ?4 AND part & ?1 = ?2 ORDER BY k DESC, id DESC LIMIT 1 OFFSET ?3", bits, value, db_int(skip), db_int(key))
                : NUMBER(d, "SELECT id FROM t WHERE k >= ?4 AND part & ?1 = ?2 ORDER BY k, id LIMIT 1 OFFSET ?3", bits, value, db_int(skip), db_int(key));
    CHECK("the same row", got == want && want != INT64_MIN);
}

static void check_all(struct db *d)
{
    static const struct counted_parts asked[] = {{0, 0}, {-1, 0}, {-1, 1}, {-1, 2}, {1, 0}, {1, 1}, {~1, 0}, {~1, 2}};
    for (size_t i = 0; i < COUNT_OF(lists) * COUNT_OF(asked); i++) {
        const struct counted_list *l = &lists[i / COUNT_OF(asked)];
        const struct counted_parts parts = asked[i % COUNT_OF(asked)];
        const struct db_value bits = db_int(parts.bits), value = db_int(parts.value);
        int64_t total = 0, before = 0, first = 0;
        CHECK("the total", counted_total(d, l, parts, &total) == OK &&
                               total == NUMBER(d, "SELECT count(*) FROM t WHERE part & ?1 = ?2", bits, value));
        for (int n = 0; n < ASKED; n++) {
            const int64_t key = key_of(pick(ROWS + 100));
            check_seek(d, l, parts, n % 2 == 0, n < 4 ? (n < 2 ? 0 : total - 1) : pick((unsigned)total));
            CHECK("how many lie before", counted_before(d, l, parts, key, &before, &first) == OK && first <= key && key - first < 128 &&
                                             before == NUMBER(d, "SELECT count(*) FROM t WHERE k < ?3 AND part & ?1 = ?2", bits, value, db_int(first)));
        }
    }
}

static void check_empty(struct db *d)
{
    int64_t skip = 7, key = 0, n = 1;
    CHECK("nothing is there", counted_total(d, &lists[0], COUNTED_ALL, &n) == OK && n == 0);
    CHECK("nor found", counted_seek(d, &lists[0], COUNTED_ALL, false, &skip, &key) == OK &&
                           counted_seek(d, &lists[0], COUNTED_ONE(1), true, &skip, &key) == OK);
    CHECK("nor before", counted_before(d, &lists[0], COUNTED_ALL, 1000, &n, &key) == OK && n == 0);
}

int main(void)
{
    struct db *d = NULL;
    struct fault why;
    struct counted c;
    check(db_open(":memory:", DB_WRITER, &d, &why) == OK);
    check(DB_RUN(d, "CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER NOT NULL, part INTEGER NOT NULL)") == OK &&
          DB_RUN(d, "CREATE INDEX t_k ON t(k, id)") == OK &&
          DB_RUN(d, "CREATE TABLE counts(list, level, block, part, count, PRIMARY KEY (list, level, block, part)) WITHOUT ROWID") == OK &&
          DB_RUN(d, "CREATE TABLE other_counts(list, level, block, part, count, PRIMARY KEY (list, level, block, part)) WITHOUT ROWID") == OK);
    counted_init(&c);
    CHECK("nothing to write", counted_write(&c, d) == OK);
    check_empty(d);
    fill(d, &c);
    check_all(d);
    change_some(d, &c);
    check_all(d);
    count(&c, 1, 1, 1);
    counted_forget(&c);
    CHECK("what is forgotten is not written", counted_write(&c, d) == OK);
    check_all(d);
    counted_release(&c);
    db_close(d);
    return CHECK_REPORT();
}
