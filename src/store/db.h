/* store/db.h - the SQL port: the statements of services go through here, and the types of the engine behind it no further.
 * Today's engine is SQLite (WAL, one writer connection, readers beside it). SQL is written in the common subset of SQLite and
 * PostgreSQL: ?1-style parameters, INSERT .. ON CONFLICT, RETURNING; times are integers (us), booleans 0/1.
 *
 * One connection belongs to one thread at a time. Statements are prepared once per connection and SQL text (a string
 * literal: its address is the key). */
#ifndef STORE_DB_H
#define STORE_DB_H
#include "base/memory.h"
#include "base/time.h"

struct db;
enum db_mode { DB_WRITER, DB_READER }; /* a reader cannot change anything */
MUST_USE enum err db_open(const char *path, enum db_mode mode, struct db **out, struct fault *why);
void db_close(struct db *d);
/* What the next commits of a writer promise; outside a transaction. true (at first): on disk when db_commit returns. false: it
 * may be lost with the power, never half, never out of order, and is durable with the next commit that is: enough for what
 * follows from the event log and moves together with its cursor. A killed process loses nothing either way. */
MUST_USE enum err db_set_durable(struct db *d, bool is_durable);
/* Gives back the pages that a connection keeps (a writer up to 64 MB of them) and nobody uses, outside a transaction. They are read
 * again when they are needed: for a quiet hour, not between two batches. */
void db_trim(struct db *d);

/* Numbered steps of one part of the program; each runs once, in order, in a transaction of its own. */
struct migration {
    const char *name; /* "stations/0001" : unique in the database */
    const char *sql;  /* several statements */
};
MUST_USE enum err db_migrate(struct db *d, const struct migration *list, size_t count, struct fault *why);

/* A parameter. */
enum db_kind { DB_NULL, DB_INT, DB_TEXT, DB_BLOB };
struct db_value {
    enum db_kind kind;
    int64_t number;
    struct bytes bytes;
};
static inline struct db_value db_int(int64_t n)
{
    return (struct db_value){DB_INT, n, {NULL, 0}};
}
static inline struct db_value db_text(struct str s) /* absent is NULL */
{
    return (struct db_value){s.at == NULL ? DB_NULL : DB_TEXT, 0, {(const uint8_t *)s.at, s.len}};
}
static inline struct db_value db_blob(struct bytes b)
{
    return (struct db_value){b.at == NULL ? DB_NULL : DB_BLOB, 0, b};
}
static inline struct db_value db_time(struct instant t) /* not set is NULL */
{
    return (struct db_value){instant_is_set(t) ? DB_INT : DB_NULL, t.us, {NULL, 0}};
}
static inline struct db_value db_null(void)
{
    return (struct db_value){DB_NULL, 0, {NULL, 0}};
}

/* Runs a statement that returns no row. db_changes(): rows it touched. ERR_EXISTS: a unique key is taken; ERR_FULL; ERR_BUSY; ERR_IO;
 * ERR_CORRUPT; ERR_RANGE: another constraint. db_reason() has the engine's own words since the last begin. */
#define DB_RUN(d, sql, ...) db_run((d), (sql), DB_VALUES(__VA_ARGS__), sizeof(DB_VALUES(__VA_ARGS__)) / sizeof(struct db_value))
#define DB_VALUES(...)      ((const struct db_value[]){__VA_ARGS__})
MUST_USE enum err db_run(struct db *d, const char *sql, const struct db_value *values, size_t count);
/* The same for many rows of a table: head, "INSERT OR FAIL INTO t (..) VALUES" (both are literals), values row by row, and tail, such as "ON
 * CONFLICT DO NOTHING". Opening and closing a table and its indexes is a third of what a row costs, and is done once for several.
 * *added (may be NULL): rows that went in. OR FAIL: so that SQLite does not lay by each page for an error in a later row; with
 * an error the rows before it are in, and whoever called it undoes its transaction. */
MUST_USE enum err db_insert(struct db *d, const char *head, const char *tail, const struct db_value *values, size_t column_count,
                            size_t row_count, int64_t *added);
int64_t db_changes(struct db *d);
const char *db_reason(struct db *d);
/* Since the outermost begin, the engine itself failed (full, input/output, busy, damaged, no memory): what went wrong is not
 * the fault of the values. OK: it did not. */
enum err db_refusal(const struct db *d);

/* Rows: values stay valid until the next db_next() or db_rows_end() of the same rows.
 *     struct db_rows *r = DB_ROWS(d, "SELECT ...", db_text(id));
 *     while (db_next(r)) ... db_col_int(r, 0)
 *     enum err e = db_rows_end(r);              // OK also when stopped early; the error if there was one */
struct db_rows;
#define DB_ROWS(d, sql, ...) db_rows((d), (sql), DB_VALUES(__VA_ARGS__), sizeof(DB_VALUES(__VA_ARGS__)) / sizeof(struct db_value))
struct db_rows *db_rows(struct db *d, const char *sql, const struct db_value *values, size_t count); /* never NULL */
/* The same for SQL made at run time (filters of a list); the text is copied, at most 64 such are kept prepared. */
struct db_rows *db_rows_dynamic(struct db *d, struct str sql, const struct db_value *values, size_t count);
bool db_next(struct db_rows *r);
MUST_USE enum err db_rows_end(struct db_rows *r);
int db_col_count(const struct db_rows *r);
bool db_col_is_null(struct db_rows *r, int col);
int64_t db_col_int(struct db_rows *r, int col);
struct instant db_col_time(struct db_rows *r, int col);
struct str db_col_text(struct db_rows *r, int col); /* NULL is absent */
struct bytes db_col_blob(struct db_rows *r, int col);

/* Nested: a begin inside a transaction is a savepoint. A commit that fails has undone everything. When the engine gives up a
 * transaction by itself (disk full), every statement in it fails until the outermost is rolled back; so too (ERR_LIMIT) when a part was undone,
 * by a savepoint or a statement that failed, of one that had outgrown the pages kept in memory. */
MUST_USE enum err db_begin(struct db *d);
MUST_USE enum err db_commit(struct db *d);
void db_rollback(struct db *d);
#endif
