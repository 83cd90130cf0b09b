/* The SQL port on SQLite: values, errors, nesting, what is kept prepared, and a disk that is full. */
#include "check.h"
#include "place.h"
#include "store/db.h"

#include <malloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[PLACE_MAX], path[PLACE_PATH_MAX];

static struct db *open_fresh(const char *name)
{
    struct db *d = NULL;
    struct fault why;
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK("a new database opens", db_open(path, DB_WRITER, &d, &why) == OK);
    CHECK(
        "its table is made",
        DB_RUN(d, "CREATE TABLE t(k INTEGER PRIMARY KEY, a TEXT UNIQUE, b BLOB, n INTEGER NOT NULL CHECK (n < 100))") ==
            OK);
    return d;
}

static int64_t count_of(struct db *d)
{
    struct db_rows *r = DB_ROWS(d, "SELECT count(*) FROM t");
    int64_t n = db_next(r) ? db_col_int(r, 0) : -1;
    CHECK("counting", db_rows_end(r) == OK);
    return n;
}

static void test_values(void)
{
    struct db *d = open_fresh("values");
    const uint8_t bytes[3] = {0, 255, 0};
    CHECK("a row goes in", DB_RUN(d, "INSERT INTO t VALUES (?1,?2,?3,?4)", db_int(INT64_MIN), db_text(STR("a\0b")),
                                  db_blob((struct bytes){bytes, 3}), db_int(-1)) == OK);
    CHECK("one row changed", db_changes(d) == 1);
    CHECK("absent is NULL, empty is not", DB_RUN(d, "INSERT INTO t VALUES (?1,?2,?3,?4)", db_int(INT64_MAX),
                                                 db_text((struct str){NULL, 0}), db_blob((struct bytes){bytes, 0}),
                                                 db_int(1)) == OK);
    struct db_rows *r = DB_ROWS(d, "SELECT k,a,b,n FROM t ORDER BY k");
    CHECK("first row", db_next(r) && db_col_count(r) == 4);
    CHECK("least integer", db_col_int(r, 0) == INT64_MIN);
    CHECK("text with a 0 in it", str_eq(db_col_text(r, 1), STR("a\0b")));
    CHECK("blob", db_col_blob(r, 2).len == 3 && memcmp(db_col_blob(r, 2).at, bytes, 3) == 0);
    CHECK("second row", db_next(r) && db_col_int(r, 0) == INT64_MAX);
    CHECK("NULL text is absent", db_col_is_null(r, 1) && db_col_text(r, 1).at == NULL);
    CHECK("empty blob is not absent", db_col_blob(r, 2).at != NULL && db_col_blob(r, 2).len == 0);
    CHECK("no third row", !db_next(r) && !db_next(r));
    CHECK("ends well", db_rows_end(r) == OK);
    r = DB_ROWS(d, "SELECT ?1, ?2", db_time(INSTANT_NONE), db_time((struct instant){7}));
    CHECK("times", db_next(r) && !instant_is_set(db_col_time(r, 0)) && db_col_time(r, 1).us == 7);
    CHECK("stopped early is OK", db_rows_end(r) == OK);
    CHECK("an update of nothing", DB_RUN(d, "UPDATE t SET n=2 WHERE k=5") == OK && db_changes(d) == 0);
    db_close(d);
}

static void test_errors(void)
{
    struct db *d = open_fresh("errors");
    static const struct {
        const char *row, *sql;
        enum err want;
    } rows[] = {
        {"first row",             "INSERT INTO t VALUES (1,'a',NULL,1)",         OK        },
        {"unique key taken",      "INSERT INTO t VALUES (2,'a',NULL,1)",         ERR_EXISTS},
        {"primary key taken",     "INSERT INTO t VALUES (1,'b',NULL,1)",         ERR_EXISTS},
        {"not null",              "INSERT INTO t VALUES (3,'c',NULL,NULL)",      ERR_RANGE },
        {"check constraint",      "INSERT INTO t VALUES (3,'c',NULL,100)",       ERR_RANGE },
        {"text as integer key",   "INSERT INTO t VALUES ('x','c',NULL,1)",       ERR_RANGE },
        {"no such table",         "INSERT INTO u VALUES (1)",                    ERR_STATE },
        {"no SQL",                "INSERT INTO",                                 ERR_STATE },
        {"parent and child",      "CREATE TABLE child(p INTEGER REFERENCES t(k))", OK      },
        {"no parent",             "INSERT INTO child VALUES (77)",               ERR_RANGE },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum err got = db_run(d, rows[i].sql, NULL, 0);
        CHECK(rows[i].row, got == rows[i].want);
        CHECK(rows[i].row, got == OK || db_reason(d)[0] != '\0');
    }
    CHECK("only the first is there", count_of(d) == 1);
    struct db_rows *r = DB_ROWS(d, "SELECT * FROM nowhere");
    CHECK("rows of nothing", !db_next(r) && db_col_count(r) == 0);
    CHECK("say so at their end", db_rows_end(r) == ERR_STATE);
    db_close(d);
}

static void test_open(void)
{
    struct db *d = NULL;
    struct fault why = {{0}, {0}};
    char name[PLACE_PATH_MAX];
    (void)snprintf(name, sizeof name, "%s/none/x", dir);
    CHECK("no such folder", db_open(name, DB_WRITER, &d, &why) == ERR_IO && d == NULL && why.reason[0] != '\0');
    (void)snprintf(name, sizeof name, "%s/absent", dir);
    CHECK("a reader makes no file", db_open(name, DB_READER, &d, &why) == ERR_IO && access(name, F_OK) != 0);
    (void)snprintf(name, sizeof name, "%s/garbage", dir);
    FILE *f = fopen(name, "w");
    for (int i = 0; i < 1000; i++)
        (void)fputs("this is no database ", f);
    (void)fclose(f);
    CHECK("no database", db_open(name, DB_WRITER, &d, &why) == ERR_CORRUPT && d == NULL);
    db_close(NULL);
}

static int64_t page_size(struct db *d)
{
    struct db_rows *r = DB_ROWS(d, "PRAGMA page_size");
    const int64_t size = db_next(r) ? db_col_int(r, 0) : 0;
    CHECK("the page size is read", db_rows_end(r) == OK);
    return size;
}

/* A store that was made with other pages keeps them, and is written like any other. */
static void test_page_size(void)
{
    sqlite3 *raw = NULL;
    struct db *d = open_fresh("pages");
    struct fault why;
    CHECK("a new one", page_size(d) == 8192);
    db_close(d);
    (void)snprintf(path, sizeof path, "%s/small-pages", dir);
    CHECK("one with small pages", sqlite3_open(path, &raw) == SQLITE_OK &&
                                      sqlite3_exec(raw, "PRAGMA page_size=4096; PRAGMA journal_mode=WAL;"
                                                        "CREATE TABLE t(k INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'old')",
                                                   NULL, NULL, NULL) == SQLITE_OK);
    CHECK("closed", sqlite3_close(raw) == SQLITE_OK);
    for (int64_t times = 1; times <= 2; times++) {
        CHECK("opens", db_open(path, DB_WRITER, &d, &why) == OK && page_size(d) == 4096);
        CHECK("is written", DB_RUN(d, "INSERT INTO t(a) VALUES ('new')") == OK && count_of(d) == 1 + times);
        db_close(d);
    }
}

static void test_reader(void)
{
    struct db *w = open_fresh("reader"), *r = NULL;
    struct fault why;
    CHECK("reader opens beside the writer", db_open(path, DB_READER, &r, &why) == OK);
    CHECK("reader cannot change", DB_RUN(r, "INSERT INTO t VALUES (1,'a',NULL,1)") == ERR_DENIED);
    CHECK("writer begins", db_begin(w) == OK);
    CHECK("writer writes", DB_RUN(w, "INSERT INTO t VALUES (1,'a',NULL,1)") == OK);
    CHECK("reader sees nothing yet", count_of(r) == 0);
    CHECK("reader begins", db_begin(r) == OK);
    CHECK("its picture", count_of(r) == 0);
    CHECK("writer commits", db_commit(w) == OK);
    CHECK("its picture stays", count_of(r) == 0);
    CHECK("reader ends", db_commit(r) == OK);
    CHECK("reader sees it now", count_of(r) == 1);
    db_close(w);
    CHECK("reader goes on without a writer", count_of(r) == 1);
    db_close(r);
    CHECK("reader opens alone", db_open(path, DB_READER, &r, &why) == OK);
    CHECK("and sees it", count_of(r) == 1);
    db_close(r);
}

static void test_nesting(void)
{
    struct db *d = open_fresh("nesting");
    CHECK("outer", db_begin(d) == OK);
    CHECK("1", DB_RUN(d, "INSERT INTO t VALUES (1,'a',NULL,1)") == OK);
    CHECK("inner", db_begin(d) == OK);
    CHECK("2", DB_RUN(d, "INSERT INTO t VALUES (2,'b',NULL,1)") == OK);
    db_rollback(d);
    CHECK("inner undone", count_of(d) == 1);
    CHECK("inner again", db_begin(d) == OK);
    CHECK("innermost", db_begin(d) == OK);
    CHECK("3", DB_RUN(d, "INSERT INTO t VALUES (3,'c',NULL,1)") == OK);
    CHECK("innermost kept", db_commit(d) == OK);
    CHECK("inner kept", db_commit(d) == OK);
    CHECK("outer kept", db_commit(d) == OK);
    CHECK("1 and 3", count_of(d) == 2);
    CHECK("outer", db_begin(d) == OK);
    CHECK("4", DB_RUN(d, "INSERT INTO t VALUES (4,'d',NULL,1)") == OK);
    CHECK("inner", db_begin(d) == OK);
    CHECK("inner kept", db_commit(d) == OK);
    CHECK("a refused statement", DB_RUN(d, "INSERT INTO t VALUES (4,'e',NULL,1)") == ERR_EXISTS);
    CHECK("which is no fault of the engine", db_refusal(d) == OK);
    char said[160];
    str_copy(said, sizeof said, str_of(db_reason(d)));
    db_rollback(d);
    CHECK("all undone", count_of(d) == 2);
    CHECK("the reason outlives the rollback", strcmp(said, db_reason(d)) == 0);
    db_close(d);
}

static void test_statements(void)
{
    struct db *d = open_fresh("statements");
    CHECK("rows", DB_RUN(d, "INSERT INTO t VALUES (1,'a',NULL,1),(2,'b',NULL,2),(3,'c',NULL,3)") == OK);
    static const char same[] = "SELECT k FROM t WHERE k >= ?1 ORDER BY k";
    int seen = 0;
    struct db_rows *outer = DB_ROWS(d, same, db_int(1));
    while (db_next(outer)) {
        struct db_rows *inner = DB_ROWS(d, same, db_int(db_col_int(outer, 0)));
        while (db_next(inner))
            seen++;
        CHECK("inner ends", db_rows_end(inner) == OK);
    }
    CHECK("outer ends", db_rows_end(outer) == OK);
    CHECK("one statement inside itself", seen == 6);
    char sql[64], given[] = "b";
    struct db_rows *held = db_rows_dynamic(d, STR("SELECT k FROM t ORDER BY k"), NULL, 0);
    CHECK("dynamic", db_next(held) && db_col_int(held, 0) == 1);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 200; i++) {
            int n = snprintf(sql, sizeof sql, "SELECT %d FROM t WHERE a=?1", i);
            struct db_value v = db_text(str_of(given));
            struct db_rows *r = db_rows_dynamic(d, (struct str){sql, (size_t)n}, &v, 1);
            given[0] = 'x'; /* copied when it was bound */
            CHECK("more than are kept", db_next(r) && db_col_int(r, 0) == i);
            CHECK("ends", db_rows_end(r) == OK);
            given[0] = 'b';
        }
    }
    CHECK("the held one is untouched", db_next(held) && db_col_int(held, 0) == 2);
    CHECK("ends", db_rows_end(held) == OK);
    held = db_rows_dynamic(d, STR("SELECT nonsense"), NULL, 0);
    CHECK("dynamic nonsense", !db_next(held) && db_rows_end(held) == ERR_STATE);
    db_close(d);
}

/* More literals than the first table of them has room for. */
#define INSERT_MOST 50 /* several statements of most rows, and each smaller one */

static enum err insert(struct db *d, int64_t first, size_t count, int64_t bad, int64_t *added)
{
    struct db_value values[INSERT_MOST * 4];
    char names[INSERT_MOST][16];
    for (size_t i = 0; i < count; i++) {
        const int64_t k = first + (int64_t)i;
        (void)snprintf(names[i], sizeof names[i], "name %d", (int)k);
        values[4 * i] = db_int(k);
        values[4 * i + 1] = db_text(str_of(names[i]));
        values[4 * i + 2] = k % 2 == 0 ? db_null() : db_blob((struct bytes){(const uint8_t *)names[i], 2});
        values[4 * i + 3] = db_int(k == bad ? 100 : k % 90);
    }
    return db_insert(d, "INSERT OR FAIL INTO t(k, a, b, n) VALUES", "ON CONFLICT (k) DO NOTHING", values, 4, count, added);
}

static void test_insert(void)
{
    struct db *d = open_fresh("insert");
    int64_t first = 0, added = 7;
    CHECK("no rows", insert(d, 0, 0, -1, &added) == OK && added == 0 && count_of(d) == 0);
    for (size_t count = 1; count <= INSERT_MOST; count++, first += INSERT_MOST) {
        CHECK("any number of rows", insert(d, first, count, -1, &added) == OK && added == (int64_t)count);
        CHECK("who does not want to know", insert(d, first, count, -1, NULL) == OK);
    }
    CHECK("all are there, once", count_of(d) == INSERT_MOST * (INSERT_MOST + 1) / 2);
    struct db_rows *r = DB_ROWS(d, "SELECT count(*) FROM t WHERE a = 'name ' || k AND n = k % 90 AND (b IS NULL) = (k % 2 = 0)");
    CHECK("each with its own values", db_next(r) && db_col_int(r, 0) == INSERT_MOST * (INSERT_MOST + 1) / 2);
    CHECK("and no error", db_rows_end(r) == OK);
    CHECK("some were there", insert(d, first - 10, 30, -1, &added) == OK && added == 20);
    CHECK("a transaction", db_begin(d) == OK);
    added = 7;
    const int64_t before = count_of(d);
    CHECK("one that must not be", insert(d, 9000, INSERT_MOST, 9040, &added) == ERR_RANGE && added == 7);
    db_rollback(d);
    CHECK("undone with its transaction", count_of(d) == before);
    CHECK("goes on", insert(d, 9000, INSERT_MOST, -1, &added) == OK && added == INSERT_MOST);
    db_close(d);
}

static void test_many_statements(void)
{
    struct db *d = open_fresh("many");
    static char texts[700][32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 700; i++) {
            (void)snprintf(texts[i], sizeof texts[i], "SELECT %d", i);
            struct db_rows *r = db_rows(d, texts[i], NULL, 0);
            CHECK("each its own", db_next(r) && db_col_int(r, 0) == i);
            CHECK("ends", db_rows_end(r) == OK);
        }
    db_close(d);
}

static void test_full(void)
{
    struct db *d = open_fresh("full");
    CHECK("kept", DB_RUN(d, "INSERT INTO t VALUES (1,'a',NULL,1)") == OK);
    struct db_rows *r = DB_ROWS(d, "PRAGMA max_page_count=20");
    CHECK("a small disk", db_next(r) && db_rows_end(r) == OK);
    CHECK("outer", db_begin(d) == OK);
    CHECK("inner", db_begin(d) == OK);
    enum err e = OK;
    for (int i = 2; i < 1000 && e == OK; i++)
        e = DB_RUN(d, "INSERT INTO t VALUES (?1, ?2, zeroblob(2000), 1)", db_int(i), db_null());
    CHECK("the disk is full", e == ERR_FULL);
    CHECK("it is the engine that refuses", db_refusal(d) == ERR_FULL);
    CHECK("nothing runs in what is lost", DB_RUN(d, "UPDATE t SET n=9") == ERR_FULL);
    CHECK("nor begins", db_begin(d) == ERR_FULL);
    db_rollback(d);
    CHECK("nor after the inner one", DB_RUN(d, "UPDATE t SET n=9") == ERR_FULL);
    CHECK("nor is it committed", db_commit(d) == ERR_FULL);
    CHECK("only what was there", count_of(d) == 1);
    r = DB_ROWS(d, "SELECT n FROM t");
    CHECK("as it was", db_next(r) && db_col_int(r, 0) == 1);
    CHECK("ends", db_rows_end(r) == OK);
    r = DB_ROWS(d, "PRAGMA max_page_count=20000");
    CHECK("room again", db_next(r) && db_rows_end(r) == OK);
    CHECK("and it goes on", db_begin(d) == OK && DB_RUN(d, "UPDATE t SET n=9") == OK && db_commit(d) == OK);
    CHECK("its trouble forgotten", db_refusal(d) == OK);
    db_close(d);
}

static void test_durable(void)
{
    struct db *d = open_fresh("durable");
    struct db_rows *r = DB_ROWS(d, "PRAGMA synchronous");
    CHECK("full at first", db_next(r) && db_col_int(r, 0) == 2);
    CHECK("ends", db_rows_end(r) == OK);
    CHECK("less", db_set_durable(d, false) == OK);
    r = DB_ROWS(d, "PRAGMA synchronous");
    CHECK("normal then", db_next(r) && db_col_int(r, 0) == 1);
    CHECK("ends", db_rows_end(r) == OK);
    CHECK("back", db_set_durable(d, true) == OK && db_set_durable(d, true) == OK);
    db_close(d);
}

static void test_trim(void)
{
    struct db *d = open_fresh("trim");
    CHECK("a table", DB_RUN(d, "CREATE TABLE wide(a INTEGER PRIMARY KEY, b TEXT)") == OK);
    CHECK("rows", DB_RUN(d, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
                            " INSERT INTO wide SELECT i, hex(zeroblob(500)) FROM n") == OK);
    size_t before = mallinfo2().uordblks; /* 0 where a sanitizer has its own */
    db_trim(d);
    CHECK("pages are given back", before == 0 || mallinfo2().uordblks + 1000000 < before);
    struct db_rows *r = DB_ROWS(d, "SELECT COUNT(*), SUM(LENGTH(b)) FROM wide");
    CHECK("and read again", db_next(r) && db_col_int(r, 0) == 2000 && db_col_int(r, 1) == 2000000);
    CHECK("ends", db_rows_end(r) == OK);
    db_close(d);
}

static void test_migrate(void)
{
    struct db *d = open_fresh("migrate");
    struct fault why = {{0}, {0}};
    static const struct migration first[] = {{"x/1", "CREATE TABLE x(a); INSERT INTO x VALUES (1);"}};
    static const struct migration then[] = {
        {"x/1", "CREATE TABLE x(a); INSERT INTO x VALUES (1);"},
        {"x/2", "INSERT INTO x VALUES (2); INSERT INTO x VALUES (3);"},
        {"x/3", "INSERT INTO x VALUES (4); INSERT INTO y VALUES (5);"},
        {"x/4", "INSERT INTO x VALUES (6);"},
    };
    CHECK("the first", db_migrate(d, first, COUNT_OF(first), &why) == OK);
    CHECK("once", db_migrate(d, first, COUNT_OF(first), &why) == OK);
    CHECK("one that fails", db_migrate(d, then, COUNT_OF(then), &why) == ERR_STATE);
    CHECK("is named", strcmp(why.field, "x/3") == 0 && strstr(why.reason, "y") != NULL);
    struct db_rows *r = DB_ROWS(d, "SELECT sum(a) FROM x");
    CHECK("those before it stay, it leaves nothing, none after it ran", db_next(r) && db_col_int(r, 0) == 6);
    CHECK("ends", db_rows_end(r) == OK);
    CHECK("then its table is there", DB_RUN(d, "CREATE TABLE y(a)") == OK);
    CHECK("it goes on there", db_migrate(d, then, COUNT_OF(then), &why) == OK);
    r = DB_ROWS(d, "SELECT sum(a) FROM x");
    CHECK("all ran once", db_next(r) && db_col_int(r, 0) == 16);
    CHECK("ends", db_rows_end(r) == OK);
    db_close(d);
}

int main(void)
{
    place_make(dir, "test_db");
    test_values();
    test_errors();
    test_open();
    test_page_size();
    test_reader();
    test_nesting();
    test_statements();
    test_insert();
    test_many_statements();
    test_full();
    test_durable();
    test_trim();
    test_migrate();
    char command[PLACE_PATH_MAX];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    CHECK("cleaned up", system(command) == 0);
    return CHECK_REPORT();
}
