/* SQLite under the SQL port. The writer keeps a write-ahead log, so that readers never wait for it nor it for them.
 *
 * Durability is chosen per transaction, see db_set_durable(): what consumers write follows from the event log and moves
 * together with their cursors, so losing the newest of it with the power costs a replay and nothing else.
 *
 * SQLite itself ends a transaction on some errors (disk full, input/output). A statement after that would commit on its
 * own: so everything inside a transaction that is lost is refused until the owner has rolled it back. */
#include "store/db.h"
#include "store/wal.h"

#include <malloc.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_TIMEOUT_MS     5000
#define WRITER_CACHE_KIB    65536     /* as it is needed: of a full store the pages of each pile that settles */
#define READER_CACHE_KIB    2048      /* the system caches the file too, and more in here made no answer faster */
#define READER_MMAP_BYTES   268435456
#define PAGE_BYTES          8192      /* of a new store; one that is there keeps its own */
#define CHECKPOINT_PAGES    8000      /* 64 MB of log between checkpoints: a hot page is copied back once, not often */
#define WAL_KEPT_BYTES      134217728 /* a log that grew past it (a long read held it) is cut again */
#define STATEMENTS_FIRST    128       /* slots; a power of two, doubled when half full */
#define STATEMENTS_MAX      4096      /* literals in the program: more means that someone passes text made at run time */
#define DYNAMIC_MAX         64
#define INSERT_ROWS         16        /* of one statement; a power of two */
#define INSERT_TEXT_MAX     65536

/* A prepared statement, and the rows of it while it is being read. */
struct db_rows {
    struct db *d;
    sqlite3_stmt *stmt;    /* NULL: it could not be prepared */
    const char *key;       /* its literal; NULL: dynamic or of its own */
    size_t row_count;      /* that it inserts; 0: it is the literal and no more */
    char *text;            /* dynamic: the SQL */
    uint64_t used;         /* dynamic: when last */
    enum err error;
    bool is_busy, is_done;
    bool is_single;        /* not kept: freed at its end */
};

struct db {
    sqlite3 *handle;
    struct db_rows **slots; /* by address of the literal, open addressing */
    size_t slot_count, used_count;
    struct db_rows *dynamic[DYNAMIC_MAX];
    uint64_t tick;
    unsigned depth; /* of begins */
    bool is_writer, is_durable;
    enum err lost;    /* of the transaction at hand: why SQLite ended it */
    enum err refusal; /* likewise: the engine's own last trouble */
    int spills;       /* pages written before their transaction ended, when the one at hand began */
    char reason[160];
};

static const struct error_row {
    int code;
    enum err is;
    bool is_engine; /* not the statement's fault */
} errors[] = {
    {SQLITE_CONSTRAINT_UNIQUE,     ERR_EXISTS,  false},
    {SQLITE_CONSTRAINT_PRIMARYKEY, ERR_EXISTS,  false},
    {SQLITE_CONSTRAINT_ROWID,      ERR_EXISTS,  false},
    {SQLITE_CONSTRAINT,            ERR_RANGE,   false},
    {SQLITE_MISMATCH,              ERR_RANGE,   false},
    {SQLITE_TOOBIG,                ERR_RANGE,   false},
    {SQLITE_READONLY,              ERR_DENIED,  false},
    {SQLITE_ERROR,                 ERR_STATE,   false}, /* no such table yet, a function refused its argument */
    {SQLITE_FULL,                  ERR_FULL,    true },
    {SQLITE_BUSY,                  ERR_BUSY,    true },
    {SQLITE_LOCKED,                ERR_BUSY,    true },
    {SQLITE_CORRUPT,               ERR_CORRUPT, true },
    {SQLITE_NOTADB,                ERR_CORRUPT, true },
    {SQLITE_NOMEM,                 ERR_MEMORY,  true },
};

static const struct error_row *error_find(int code)
{
    static const struct error_row other = {0, ERR_IO, true};
    for (size_t i = 0; i < COUNT_OF(errors); i++)
        if (errors[i].code == code || errors[i].code == (code & 0xff))
            return &errors[i];
    return &other;
}

static int spill_count(struct db *d)
{
    int count = 0, most;
    (void)sqlite3_db_status(d->handle, SQLITE_DBSTATUS_CACHE_SPILL, &count, &most, 0);
    return count;
}

/* A part of the transaction was undone. Where pages of it are in the log already, SQLite (3.40) may write others in
 * their places without their checksums: all would look well until the next start, and then this transaction and all
 * after it would be gone. So it must not be committed; smaller ones may be, so it is no trouble of the store's
 * (db_refusal). */
static void part_undone(struct db *d)
{
    if (d->lost == OK && spill_count(d) != d->spills)
        d->lost = ERR_LIMIT;
}

/* Keeps the engine's words and notes a transaction that it ended by itself. */
static enum err fail(struct db *d, int code)
{
    const struct error_row *row = error_find(code);
    str_copy(d->reason, sizeof d->reason, str_of(sqlite3_errmsg(d->handle)));
    if (row->is_engine)
        d->refusal = row->is;
    if (d->depth > 0 && sqlite3_get_autocommit(d->handle) != 0)
        d->lost = row->is;
    else if (d->depth > 0)
        part_undone(d); /* the statement's */
    return row->is;
}

static enum err run_text(struct db *d, const char *sql)
{
    int code = sqlite3_exec(d->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? OK : fail(d, code);
}

static enum err setup(struct db *d)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA cache_size=-%d; PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=ON;"
                   "PRAGMA mmap_size=%d; PRAGMA query_only=%d;",
                   d->is_writer ? WRITER_CACHE_KIB : READER_CACHE_KIB,
                   d->is_writer ? 0 : READER_MMAP_BYTES, d->is_writer ? 0 : 1);
    enum err e = run_text(d, sql);
    if (e != OK || !d->is_writer)
        return e;
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA page_size=%d; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=%d;"
                   "PRAGMA journal_size_limit=%d;",
                   PAGE_BYTES, CHECKPOINT_PAGES, WAL_KEPT_BYTES);
    d->is_durable = true;
    return run_text(d, sql);
}

static pthread_once_t configured = PTHREAD_ONCE_INIT;

/* SQLite's count of its memory, which nobody reads, would be a lock around each allocation. */
static void configure(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

enum err db_open(const char *path, enum db_mode mode, struct db **out, struct fault *why)
{
    struct db *d = mem_new(1, sizeof *d);
    d->is_writer = mode == DB_WRITER;
    d->slot_count = STATEMENTS_FIRST;
    d->slots = mem_new(d->slot_count, sizeof *d->slots);
    int flags =
        (d->is_writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX;
    (void)pthread_once(&configured, configure);
    int code = sqlite3_open_v2(path, &d->handle, flags, wal_file_system());
    enum err e = OK;
    if (d->handle == NULL) {
        str_copy(d->reason, sizeof d->reason, STR("out of memory"));
        e = ERR_MEMORY;
    } else if (code != SQLITE_OK) {
        e = fail(d, code);
    } else {
        (void)sqlite3_extended_result_codes(d->handle, 1);
        (void)sqlite3_busy_timeout(d->handle, BUSY_TIMEOUT_MS);
        e = setup(d);
    }
    if (e != OK) {
        fault_set(why, str_of(path), "%s", d->reason);
        db_close(d);
        return e;
    }
    *out = d;
    return OK;
}

static void rows_free(struct db_rows *r)
{
    if (r == NULL)
        return;
    (void)sqlite3_finalize(r->stmt);
    free(r->text);
    free(r);
}

void db_close(struct db *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->slot_count; i++)
        rows_free(d->slots[i]);
    for (size_t i = 0; i < DYNAMIC_MAX; i++)
        rows_free(d->dynamic[i]);
    free(d->slots);
    if (d->handle != NULL)
        check(sqlite3_close(d->handle) == SQLITE_OK); /* rows that were not ended */
    free(d);
}

void db_trim(struct db *d)
{
    check(d->depth == 0);
    (void)sqlite3_db_release_memory(d->handle);
    (void)malloc_trim(0);
}

enum err db_set_durable(struct db *d, bool is_durable)
{
    check(d->depth == 0);
    if (d->is_durable == is_durable)
        return OK;
    enum err e = run_text(d, is_durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    if (e == OK)
        d->is_durable = is_durable;
    return e;
}

const char *db_reason(struct db *d)
{
    return d->reason;
}

enum err db_refusal(const struct db *d)
{
    return d->refusal;
}

int64_t db_changes(struct db *d)
{
    return sqlite3_changes64(d->handle);
}

/* ---- statements ---- */

static struct db_rows *prepare(struct db *d, struct str sql, bool keep)
{
    struct db_rows *r = mem_new(1, sizeof *r);
    r->d = d;
    r->is_single = !keep;
    int code =
        sqlite3_prepare_v3(d->handle, sql.at, (int)sql.len, keep ? SQLITE_PREPARE_PERSISTENT : 0, &r->stmt, NULL);
    if (code != SQLITE_OK) {
        r->error = fail(d, code);
        r->is_single = true;
    }
    return r;
}

static size_t slot_find(const struct db *d, const char *key, size_t row_count)
{
    uint64_t hash = ((uint64_t)(uintptr_t)key + row_count) * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(hash >> 32) & (d->slot_count - 1);
    while (d->slots[i] != NULL && (d->slots[i]->key != key || d->slots[i]->row_count != row_count))
        i = (i + 1) & (d->slot_count - 1);
    return i;
}

static void slots_grow(struct db *d)
{
    struct db_rows **old = d->slots;
    size_t count = d->slot_count;
    check(d->used_count < STATEMENTS_MAX);
    d->slot_count *= 2;
    d->slots = mem_new(d->slot_count, sizeof *d->slots);
    for (size_t i = 0; i < count; i++)
        if (old[i] != NULL)
            d->slots[slot_find(d, old[i]->key, old[i]->row_count)] = old[i];
    free(old);
}

static void statement_keep(struct db *d, size_t slot, struct db_rows *fresh, const char *key, size_t row_count)
{
    fresh->key = key;
    fresh->row_count = row_count;
    d->slots[slot] = fresh;
    if (++d->used_count * 2 > d->slot_count)
        slots_grow(d);
}

/* The statement of a literal, ready to be bound; one of its own while the kept one is being read. */
static struct db_rows *statement(struct db *d, const char *sql)
{
    size_t i = slot_find(d, sql, 0);
    struct db_rows *r = d->slots[i];
    if (r != NULL && !r->is_busy)
        return r;
    struct db_rows *fresh = prepare(d, str_of(sql), r == NULL);
    if (r == NULL && !fresh->is_single)
        statement_keep(d, i, fresh, sql, 0);
    return fresh;
}

/* head (?,?),(?,?) tail */
static struct db_rows *statement_insert(struct db *d, const char *head, const char *tail, size_t column_count, size_t row_count)
{
    size_t i = slot_find(d, head, row_count);
    if (d->slots[i] != NULL)
        return d->slots[i];
    struct buf text;
    buf_init(&text, INSERT_TEXT_MAX);
    buf_put_str(&text, str_of(head));
    for (size_t row = 0; row < row_count; row++)
        for (size_t k = 0; k < column_count; k++)
            buf_put_str(&text, k > 0 ? STR(",?") : row > 0 ? STR("),(?") : STR(" (?"));
    buf_put_str(&text, STR(") "));
    buf_put_str(&text, str_of(tail));
    check(!text.failed);
    struct db_rows *fresh = prepare(d, buf_str(&text), true);
    buf_release(&text);
    if (!fresh->is_single)
        statement_keep(d, i, fresh, head, row_count);
    return fresh;
}

static struct db_rows *statement_dynamic(struct db *d, struct str sql)
{
    size_t oldest = DYNAMIC_MAX; /* the place to put a new one: empty, or used longest ago */
    for (size_t i = 0; i < DYNAMIC_MAX; i++) {
        struct db_rows *r = d->dynamic[i];
        if (r != NULL && !r->is_busy && str_eq(str_of(r->text), sql)) {
            r->used = ++d->tick;
            return r;
        }
        if (r == NULL || (!r->is_busy && (oldest == DYNAMIC_MAX ||
                                          (d->dynamic[oldest] != NULL && r->used < d->dynamic[oldest]->used))))
            oldest = oldest < DYNAMIC_MAX && d->dynamic[oldest] == NULL ? oldest : i;
    }
    struct db_rows *r = prepare(d, sql, oldest < DYNAMIC_MAX);
    if (r->is_single)
        return r;
    rows_free(d->dynamic[oldest]);
    r->text = mem_new(sql.len + 1, 1);
    memcpy(r->text, sql.at, sql.len);
    r->used = ++d->tick;
    d->dynamic[oldest] = r;
    return r;
}

/* borrowed: the bytes outlive the run, as with db_run; else they are copied. */
static void bind(struct db_rows *r, const struct db_value *values, size_t count, bool borrowed)
{
    sqlite3_destructor_type life = borrowed ? SQLITE_STATIC : SQLITE_TRANSIENT;
    check((size_t)sqlite3_bind_parameter_count(r->stmt) == count);
    for (size_t i = 0; i < count; i++) {
        const struct db_value *v = &values[i];
        int at = (int)i + 1, code = SQLITE_OK;
        switch (v->kind) {
        case DB_NULL:
            code = sqlite3_bind_null(r->stmt, at);
            break;
        case DB_INT:
            code = sqlite3_bind_int64(r->stmt, at, v->number);
            break;
        case DB_TEXT:
            code = sqlite3_bind_text64(r->stmt, at, (const char *)v->bytes.at, v->bytes.len, life, SQLITE_UTF8);
            break;
        case DB_BLOB:
            code = sqlite3_bind_blob64(r->stmt, at, v->bytes.at, v->bytes.len, life);
            break;
        }
        if (code != SQLITE_OK) {
            r->error = fail(r->d, code);
            return;
        }
    }
}

static void start(struct db_rows *r, const struct db_value *values, size_t count, bool borrowed)
{
    r->is_busy = true;
    r->is_done = false;
    if (r->stmt == NULL)
        return;
    r->error = OK;
    if (r->d->lost != OK)
        r->error = r->d->lost;
    else
        bind(r, values, count, borrowed);
}

enum err db_run(struct db *d, const char *sql, const struct db_value *values, size_t count)
{
    struct db_rows *r = statement(d, sql);
    start(r, values, count, true);
    while (db_next(r))
        ;
    enum err e = db_rows_end(r);
    return e;
}

enum err db_insert(struct db *d, const char *head, const char *tail, const struct db_value *values, size_t column_count,
                   size_t row_count, int64_t *added)
{
    int64_t total = 0;
    enum err e = OK;
    for (size_t n = INSERT_ROWS; e == OK && row_count > 0; row_count -= n, values += n * column_count) {
        while (n > row_count)
            n /= 2;
        struct db_rows *r = statement_insert(d, head, tail, column_count, n);
        start(r, values, n * column_count, true);
        while (db_next(r))
            ;
        e = db_rows_end(r);
        total += e == OK ? db_changes(d) : 0;
    }
    if (e == OK && added != NULL)
        *added = total;
    return e;
}

struct db_rows *db_rows(struct db *d, const char *sql, const struct db_value *values, size_t count)
{
    struct db_rows *r = statement(d, sql);
    start(r, values, count, false);
    return r;
}

struct db_rows *db_rows_dynamic(struct db *d, struct str sql, const struct db_value *values, size_t count)
{
    struct db_rows *r = statement_dynamic(d, sql);
    start(r, values, count, false);
    return r;
}

bool db_next(struct db_rows *r)
{
    if (r->error != OK || r->is_done)
        return false;
    int code = sqlite3_step(r->stmt);
    if (code == SQLITE_ROW)
        return true;
    r->is_done = true;
    if (code != SQLITE_DONE)
        r->error = fail(r->d, code);
    return false;
}

enum err db_rows_end(struct db_rows *r)
{
    enum err e = r->error;
    if (r->is_single) {
        rows_free(r);
        return e;
    }
    (void)sqlite3_reset(r->stmt); /* tells the error of the step once more */
    r->is_busy = false;
    return e;
}

int db_col_count(const struct db_rows *r)
{
    return r->stmt == NULL ? 0 : sqlite3_column_count(r->stmt);
}

bool db_col_is_null(struct db_rows *r, int col)
{
    return sqlite3_column_type(r->stmt, col) == SQLITE_NULL;
}

int64_t db_col_int(struct db_rows *r, int col)
{
    return sqlite3_column_int64(r->stmt, col);
}

struct instant db_col_time(struct db_rows *r, int col)
{
    return db_col_is_null(r, col) ? INSTANT_NONE : (struct instant){db_col_int(r, col)};
}

struct str db_col_text(struct db_rows *r, int col)
{
    const char *at = (const char *)sqlite3_column_text(r->stmt, col);
    return (struct str){at, at == NULL ? 0 : (size_t)sqlite3_column_bytes(r->stmt, col)};
}

struct bytes db_col_blob(struct db_rows *r, int col)
{
    static const uint8_t nothing[1] = {0}; /* SQLite says NULL for a blob of no bytes too */
    if (db_col_is_null(r, col))
        return (struct bytes){NULL, 0};
    const uint8_t *at = sqlite3_column_blob(r->stmt, col);
    return (struct bytes){at == NULL ? nothing : at, (size_t)sqlite3_column_bytes(r->stmt, col)};
}

/* ---- transactions ---- */

enum err db_begin(struct db *d)
{
    if (d->lost != OK)
        return d->lost;
    enum err e;
    if (d->depth == 0)
        d->refusal = OK;
    d->reason[0] = '\0';
    if (d->depth > 0)
        e = DB_RUN(d, "SAVEPOINT inner");
    else if (d->is_writer)
        e = DB_RUN(d, "BEGIN IMMEDIATE");
    else
        e = DB_RUN(d, "BEGIN");
    if (e == OK && d->depth++ == 0)
        d->spills = spill_count(d);
    return e;
}

enum err db_commit(struct db *d)
{
    check(d->depth > 0);
    enum err e = d->lost;
    if (e == OK)
        e = d->depth > 1 ? DB_RUN(d, "RELEASE inner") : DB_RUN(d, "COMMIT");
    if (e != OK)
        db_rollback(d);
    else
        d->depth--;
    return e;
}

void db_rollback(struct db *d)
{
    check(d->depth > 0);
    d->depth--;
    if (d->lost == OK) {
        char said[sizeof d->reason]; /* the reason that led here is what its reader wants to know */
        memcpy(said, d->reason, sizeof said);
        enum err e;
        if (d->depth > 0) {
            e = DB_RUN(d, "ROLLBACK TO inner");
            if (e == OK)
                e = DB_RUN(d, "RELEASE inner");
        } else {
            e = DB_RUN(d, "ROLLBACK");
        }
        memcpy(d->reason, said, sizeof said);
        if (e != OK && d->depth > 0)
            d->lost = e; /* the outer one must not commit what was not undone */
        else if (d->depth > 0)
            part_undone(d);
        if (d->lost == ERR_LIMIT && said[0] == '\0')
            str_copy(d->reason, sizeof d->reason, STR("too much was changed for a part of it to be undone"));
    }
    if (d->depth > 0)
        return;
    if (sqlite3_get_autocommit(d->handle) == 0)
        (void)sqlite3_exec(d->handle, "ROLLBACK", NULL, NULL, NULL); /* lost by us, not by SQLite */
    d->lost = OK;
}

/* ---- migrations ---- */

static enum err migration_run(struct db *d, const struct migration *m)
{
    struct db_rows *r = DB_ROWS(d, "SELECT 1 FROM schema_migrations WHERE name=?1", db_text(str_of(m->name)));
    bool is_there = db_next(r);
    enum err e = db_rows_end(r);
    if (e != OK || is_there)
        return e;
    e = run_text(d, m->sql);
    if (e != OK)
        return e;
    return DB_RUN(
        d, "INSERT INTO schema_migrations(name, applied_at) VALUES (?1, CAST(strftime('%s','now') AS INTEGER)*1000000)",
        db_text(str_of(m->name)));
}

enum err db_migrate(struct db *d, const struct migration *list, size_t count, struct fault *why)
{
    enum err e =
        DB_RUN(d, "CREATE TABLE IF NOT EXISTS schema_migrations(name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL)");
    for (size_t i = 0; e == OK && i < count; i++) {
        e = db_begin(d);
        if (e != OK)
            break;
        e = migration_run(d, &list[i]);
        if (e == OK)
            e = db_commit(d);
        else
            db_rollback(d);
        if (e != OK) {
            fault_set(why, str_of(list[i].name), "%s", d->reason);
            return e;
        }
    }
    if (e != OK)
        fault_set(why, STR("schema_migrations"), "%s", d->reason);
    return e;
}
