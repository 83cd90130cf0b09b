/* eventlog/segment.c - one segment as a file: made, opened, written, read. All of SQLite that the log uses is here and
 * in seal.c.
 *
 * A reader opens the file for reading and writing and then forbids itself to write: only so can it roll back what a crash of the
 * writer left, which SQLite does not do for a connection that is read-only from the start.
 *
 * One file although it is long: SQLite's types and codes, and the names of the files, go no further than here. */
#include "eventlog/segment.h"
#include "eventlog/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define BUSY_MS           5000 /* another connection recovers the WAL or folds it in */
#define CACHE_KIB         8192 /* a whole batch: else SQLite would spill half of it before the commit */
#define NAME_PREFIX       "log-"
#define NAME_SUFFIX       ".db"
#define NAME_DIGITS       20
#define NAME_LEN          (sizeof NAME_PREFIX - 1 + NAME_DIGITS + sizeof NAME_SUFFIX - 1)
#define NEW_SUFFIX        ".new"
#define HEAD_BYTES        48 /* of a batch, as its checksum covers them: log id, first, count, two times, size */
#define SQUEEZE_LEVEL     (-3) /* the fast end of zstd: what JSON says again and again goes for half a microsecond an event */
#define META_BYTES        36 /* of a segment likewise: format, log id, number, first; then the gateway id */

/* The side files that SQLite may lay beside a file. */
static const char *const side_files[] = {"-wal", "-shm", "-journal"};

/* The schema is compared with this text when a file is opened: a file that says anything else is not ours, or damaged. */
static const char *const schema[] = {
    "CREATE TABLE meta(format INTEGER, log_id BLOB, gateway_id TEXT, number INTEGER, first INTEGER, crc INTEGER)",
    "CREATE TABLE batch(first INTEGER PRIMARY KEY, count INTEGER, first_at INTEGER, last_at INTEGER, crc INTEGER, size INTEGER, data BLOB)",
    "CREATE TABLE station_batch(station TEXT, first INTEGER, PRIMARY KEY(station, first)) WITHOUT ROWID",
    "CREATE TABLE sealed(end INTEGER, is_indexed INTEGER, index_crc INTEGER)",
};

/* Rows are sought without their data: SQLite would read it all, wanted or not. */
#define ROW "SELECT first, count, first_at, last_at, crc, size FROM batch WHERE first "
#define ROW_OF                                                                                                         \
    "SELECT b.first, b.count, b.first_at, b.last_at, b.crc, b.size FROM station_batch s JOIN batch b "                         \
    "ON b.first = s.first WHERE s.station = ?2 AND s.first "
static const char *const statement_texts[SEGMENT_STATEMENT_COUNT] = {
    [SEGMENT_INSERT] = "INSERT INTO batch VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SEGMENT_EXACT] = "SELECT first, count, first_at, last_at, crc, size, data FROM batch WHERE first = ?1",
    [SEGMENT_FLOOR] = ROW "<= ?1 ORDER BY first DESC LIMIT 1",
    [SEGMENT_NEXT] = ROW "> ?1 ORDER BY first LIMIT 1",
    [SEGMENT_FLOOR_OF] = ROW_OF "<= ?1 ORDER BY s.first DESC LIMIT 1",
    [SEGMENT_NEXT_OF] = ROW_OF "> ?1 ORDER BY s.first LIMIT 1",
    [SEGMENT_SEAL_FIND] = "SELECT end, is_indexed, index_crc FROM sealed",
    [SEGMENT_DROP_FROM] = "DELETE FROM batch WHERE first >= ?1",
    [SEGMENT_INDEX_CLEAR] = "DELETE FROM station_batch",
    [SEGMENT_INDEX_PUT] = "INSERT INTO station_batch VALUES(?1, ?2)",
    [SEGMENT_INDEX_ALL] = "SELECT station, first FROM station_batch ORDER BY station, first",
    [SEGMENT_SEAL_PUT] = "INSERT INTO sealed VALUES(?1, ?2, ?3)",
    [SEGMENT_BEGIN] = "BEGIN IMMEDIATE",
    [SEGMENT_COMMIT] = "COMMIT",
    [SEGMENT_ROLLBACK] = "ROLLBACK",
};

static void put32(uint8_t *p, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(n >> (24 - 8 * i));
}

static void put64(uint8_t *p, uint64_t n)
{
    put32(p, (uint32_t)(n >> 32));
    put32(p + 4, (uint32_t)n);
}

/* ---- identity ---- */

void identity_derive(struct log_identity *id)
{
    const uint64_t key[2] = {be64(id->log_id), be64(id->log_id + 8)};

    id->multiply = siphash(key, (struct bytes){(const uint8_t *)"multiply", 8}) | 1; /* odd: so it can be undone */
    id->add = siphash(key, (struct bytes){(const uint8_t *)"add", 3});
    id->high = (uint16_t)(siphash(key, (struct bytes){(const uint8_t *)"high", 4}) & 0xfff);
}

struct uuid identity_event(const struct log_identity *id, uint64_t position, struct instant received)
{
    uint64_t ms = received.us < 0 ? 0 : (uint64_t)received.us / 1000;

    return uuid_v7(ms, id->high, (position * id->multiply + id->add) & (UINT64_MAX >> 2));
}

/* ---- names ---- */

void segment_name(uint64_t first, char out[SEGMENT_NAME_MAX])
{
    (void)snprintf(out, SEGMENT_NAME_MAX, NAME_PREFIX "%0*llu" NAME_SUFFIX, NAME_DIGITS, (unsigned long long)first);
}

enum err segment_path(struct str dir, const char *name, const char *suffix, char out[SEGMENT_PATH_MAX])
{
    int len = snprintf(out, SEGMENT_PATH_MAX, "%.*s/%s%s", STR_ARG(dir), name, suffix);

    return len < 0 || len >= SEGMENT_PATH_MAX ? ERR_RANGE : OK;
}

/* Position in a segment's name; 0: it is none. rest gets what follows the name. */
static uint64_t name_first(const char *name, const char **rest)
{
    const size_t digits = sizeof NAME_PREFIX - 1;
    int64_t first = 0;

    if (strlen(name) < NAME_LEN || memcmp(name, NAME_PREFIX, digits) != 0 ||
        memcmp(name + digits + NAME_DIGITS, NAME_SUFFIX, sizeof NAME_SUFFIX - 1) != 0 || name[digits] == '-')
        return 0;
    if (str_to_int((struct str){name + digits, NAME_DIGITS}, &first) != OK || first < 1)
        return 0;
    *rest = name + NAME_LEN;
    return (uint64_t)first;
}

void segment_list_add(struct segment_list *l, uint64_t first)
{
    if (l->count == l->room) {
        l->room = l->room == 0 ? 16 : 2 * l->room;
        l->firsts = mem_grow(l->firsts, l->room, sizeof *l->firsts);
    }
    l->firsts[l->count++] = first;
}

void segment_list_release(struct segment_list *l)
{
    free(l->firsts);
    *l = (struct segment_list){0};
}

static int compare_firsts(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static DIR *open_dir(struct str dir, enum err *error, struct fault *why)
{
    char path[SEGMENT_PATH_MAX];

    *error = segment_path(dir, ".", "", path);
    DIR *d = *error == OK ? opendir(path) : NULL;
    if (d == NULL && *error == OK)
        *error = errno == ENOENT || errno == ENOTDIR ? ERR_UNKNOWN : ERR_IO;
    if (d == NULL)
        fault_set(why, dir, "the log's directory cannot be read: %s", strerror(errno));
    return d;
}

enum err segment_list_read(struct str dir, struct segment_list *out, struct fault *why)
{
    enum err error;
    DIR *d = open_dir(dir, &error, why);
    const char *rest;

    if (d == NULL)
        return error;
    struct segment_list found = {0};
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        uint64_t first = name_first(e->d_name, &rest);
        if (first != 0 && *rest == 0)
            segment_list_add(&found, first);
    }
    (void)closedir(d);
    if (found.count > 1)
        qsort(found.firsts, found.count, sizeof *found.firsts, compare_firsts);
    free(out->firsts);
    *out = found;
    return OK;
}

size_t segment_list_floor(const struct segment_list *l, uint64_t position)
{
    size_t low = 0, high = l->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->firsts[middle] <= position)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? SIZE_MAX : low - 1;
}

static enum err remove_file(struct str dir, const char *name, const char *suffix, struct fault *why)
{
    char path[SEGMENT_PATH_MAX];
    enum err e = segment_path(dir, name, suffix, path);

    if (e == OK && unlink(path) != 0 && errno != ENOENT) {
        fault_set(why, str_of(name), "cannot be deleted: %s", strerror(errno));
        return ERR_IO;
    }
    return e;
}

enum err segment_sweep(struct str dir, struct fault *why)
{
    struct segment_list there = {0};
    enum err error = segment_list_read(dir, &there, why);
    DIR *d = error == OK ? open_dir(dir, &error, why) : NULL;
    const char *rest;

    for (struct dirent *e; d != NULL && error == OK && (e = readdir(d)) != NULL;) {
        uint64_t first = name_first(e->d_name, &rest);
        size_t i = first == 0 || *rest == 0 ? SIZE_MAX : segment_list_floor(&there, first);
        bool has_file = i != SIZE_MAX && there.firsts[i] == first;
        if (first != 0 && *rest != 0 && (!has_file || str_starts(str_of(rest), STR(NEW_SUFFIX))))
            error = remove_file(dir, e->d_name, "", why);
    }
    if (d != NULL)
        (void)closedir(d);
    segment_list_release(&there);
    return error;
}

enum err segment_remove(struct str dir, uint64_t first, struct fault *why)
{
    char name[SEGMENT_NAME_MAX];

    segment_name(first, name);
    enum err e = remove_file(dir, name, "", why);
    for (size_t i = 0; e == OK && i < COUNT_OF(side_files); i++)
        e = remove_file(dir, name, side_files[i], why);
    return e;
}

int64_t segment_disk_size(struct str dir, uint64_t first)
{
    static const char *const parts[] = {"", "-wal"};
    char name[SEGMENT_NAME_MAX], path[SEGMENT_PATH_MAX];
    struct stat st;
    int64_t size = 0;

    segment_name(first, name);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (segment_path(dir, name, parts[i], path) == OK && stat(path, &st) == 0)
            size += st.st_size;
    }
    return size;
}

/* ---- SQLite ---- */

static bool is_full(sqlite3 *db, int code)
{
    int system = sqlite3_system_errno(db);

    return code == SQLITE_FULL ||
           ((code == SQLITE_IOERR || code == SQLITE_CANTOPEN) && (system == ENOSPC || system == EDQUOT));
}

enum err segment_error(struct segment *s, int code, const char *doing, struct fault *why)
{
    static const struct {
        int code;
        enum err error;
    } errors[] = {
        {SQLITE_BUSY, ERR_BUSY},      {SQLITE_LOCKED, ERR_BUSY}, {SQLITE_PROTOCOL, ERR_BUSY}, {SQLITE_NOMEM, ERR_MEMORY},
        {SQLITE_IOERR, ERR_IO},       {SQLITE_READONLY, ERR_IO}, {SQLITE_PERM, ERR_IO},       {SQLITE_AUTH, ERR_IO},
        {SQLITE_CANTOPEN, ERR_IO},    {SQLITE_FULL, ERR_FULL},   {SQLITE_INTERRUPT, ERR_BUSY},
    };
    enum err e = ERR_CORRUPT; /* whatever else SQLite says of our own statements: the file is not as we made it */

    fault_set(why, str_of(s->name), "%s: %s (%d)", doing, s->db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(s->db), code);
    if (is_full(s->db, code & 0xff))
        return ERR_FULL;
    if (code == SQLITE_IOERR_CORRUPTFS)
        return ERR_CORRUPT;
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        if (errors[i].code == (code & 0xff))
            e = errors[i].error;
    }
    return e;
}

sqlite3_stmt *segment_statement(struct segment *s, enum segment_statement which)
{
    sqlite3_stmt **statement = &s->statements[which];

    if (*statement == NULL &&
        sqlite3_prepare_v3(s->db, statement_texts[which], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) != SQLITE_OK)
        return NULL;
    return *statement;
}

enum err segment_run(struct segment *s, enum segment_statement which, struct fault *why)
{
    sqlite3_stmt *statement = segment_statement(s, which);
    int code = statement == NULL ? sqlite3_extended_errcode(s->db) : sqlite3_step(statement);
    enum err e = code == SQLITE_DONE ? OK : segment_error(s, code, "cannot be written", why);

    (void)sqlite3_reset(statement); /* repeats what step said */
    return e;
}

static enum err run_text(struct segment *s, const char *text, const char *doing, struct fault *why)
{
    int code = sqlite3_exec(s->db, text, NULL, NULL, NULL);

    return code == SQLITE_OK ? OK : segment_error(s, code, doing, why);
}

static uint32_t meta_crc(const struct segment_head *h)
{
    uint8_t m[META_BYTES];

    put32(m, SEGMENT_FORMAT);
    memcpy(m + 4, h->identity.log_id, 16);
    put64(m + 20, h->number);
    put64(m + 28, h->first);
    uint32_t crc = crc32c(0, (struct bytes){m, sizeof m});
    return crc32c(crc, (struct bytes){(const uint8_t *)h->identity.gateway_id, strlen(h->identity.gateway_id)});
}

static uint32_t batch_crc(const struct segment *s, const struct batch_head *h, uint32_t size, struct bytes data)
{
    uint8_t m[HEAD_BYTES];

    memcpy(m, s->head.identity.log_id, 16);
    put64(m + 16, h->first);
    put32(m + 24, h->count);
    put64(m + 28, (uint64_t)h->first_at);
    put64(m + 36, (uint64_t)h->last_at);
    put32(m + 44, size);
    return crc32c(crc32c(0, (struct bytes){m, sizeof m}), data);
}

static enum err connect(const struct segment_options *o, const char *path, int flags, struct segment *s, struct fault *why)
{
    int code = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | flags,
                               o->vfs);

    if (code != SQLITE_OK)
        return segment_error(s, code, "cannot be opened", why);
    /* A damaged or foreign file is read with care: nothing in its schema is run. */
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, (int)BATCH_SIZE_MAX);
    (void)sqlite3_busy_timeout(s->db, BUSY_MS);
    return OK;
}

static enum err put_meta(struct segment *s, const struct segment_head *h, struct fault *why)
{
    sqlite3_stmt *put = NULL;
    int code = sqlite3_prepare_v2(s->db, "INSERT INTO meta VALUES(?1, ?2, ?3, ?4, ?5, ?6)", -1, &put, NULL);

    if (code == SQLITE_OK) {
        (void)sqlite3_bind_int(put, 1, SEGMENT_FORMAT);
        (void)sqlite3_bind_blob(put, 2, h->identity.log_id, sizeof h->identity.log_id, SQLITE_STATIC);
        (void)sqlite3_bind_text(put, 3, h->identity.gateway_id, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(put, 4, (sqlite3_int64)h->number);
        (void)sqlite3_bind_int64(put, 5, (sqlite3_int64)h->first);
        (void)sqlite3_bind_int64(put, 6, (sqlite3_int64)meta_crc(h));
        code = sqlite3_step(put);
    }
    enum err e = code == SQLITE_DONE ? OK : segment_error(s, code, "cannot be made", why);
    (void)sqlite3_finalize(put);
    return e;
}

#define TEXT_OF(number) #number
#define NUMBER_TEXT(name) TEXT_OF(name)

/* The whole content of a new file, in one transaction; then the mark that it has a WAL from now on. */
static enum err fill_new(struct segment *s, bool sync, const struct segment_head *h, struct fault *why)
{
    enum err e = run_text(s, sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF", "cannot be made", why);

    if (e == OK)
        e = run_text(s, "PRAGMA page_size=" NUMBER_TEXT(SEGMENT_PAGE_SIZE) "; BEGIN", "cannot be made", why);
    for (size_t i = 0; e == OK && i < COUNT_OF(schema); i++)
        e = run_text(s, schema[i], "cannot be made", why);
    if (e == OK)
        e = put_meta(s, h, why);
    if (e == OK)
        e = run_text(s, "COMMIT; PRAGMA journal_mode=WAL", "cannot be made", why);
    return e;
}

static enum err sync_dir(struct str dir, struct fault *why)
{
    char path[SEGMENT_PATH_MAX];
    int fd = segment_path(dir, ".", "", path) == OK ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int failed = fd < 0 ? -1 : fsync(fd);
    int reason = errno;

    if (fd >= 0)
        (void)close(fd);
    if (failed == 0)
        return OK;
    fault_set(why, dir, "the log's directory cannot be synced: %s", strerror(reason));
    return reason == ENOSPC || reason == EDQUOT ? ERR_FULL : ERR_IO;
}

enum err segment_create(const struct segment_options *o, const struct segment_head *head, struct fault *why)
{
    struct segment s = {.head = *head};
    char path[SEGMENT_PATH_MAX], made[SEGMENT_PATH_MAX];

    segment_name(head->first, s.name);
    enum err e = segment_path(o->dir, s.name, "", path);
    if (e == OK)
        e = segment_path(o->dir, s.name, NEW_SUFFIX, made);
    if (e == OK)
        e = remove_file(o->dir, s.name, NEW_SUFFIX, why);
    for (size_t i = 0; e == OK && i < COUNT_OF(side_files); i++) {
        char side[16];
        (void)snprintf(side, sizeof side, NEW_SUFFIX "%s", side_files[i]);
        e = remove_file(o->dir, s.name, side, why);
    }
    if (e != OK)
        return e;
    e = connect(o, made, SQLITE_OPEN_CREATE, &s, why);
    if (e == OK)
        e = fill_new(&s, o->sync, head, why);
    if (sqlite3_close(s.db) != SQLITE_OK && e == OK)
        e = ERR_IO;
    /* Side files of a file that is replaced must not be taken for those of the new one. */
    for (size_t i = 0; e == OK && i < COUNT_OF(side_files); i++)
        e = remove_file(o->dir, s.name, side_files[i], why);
    if (e == OK && rename(made, path) != 0) {
        fault_set(why, str_of(s.name), "cannot be given its name: %s", strerror(errno));
        e = ERR_IO;
    }
    return e == OK && o->sync ? sync_dir(o->dir, why) : e;
}

/* Compares the schema with ours. */
static enum err check_schema(struct segment *s, struct fault *why)
{
    sqlite3_stmt *all = NULL;
    int code = sqlite3_prepare_v2(s->db, "SELECT sql FROM sqlite_schema ORDER BY rowid", -1, &all, NULL);
    size_t found = 0;
    bool same = true;

    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(all);
        if (code != SQLITE_ROW)
            break;
        const char *text = (const char *)sqlite3_column_text(all, 0);
        same = same && found < COUNT_OF(schema) && text != NULL && strcmp(text, schema[found]) == 0;
        found++;
    }
    enum err e = code == SQLITE_DONE ? OK : segment_error(s, code, "cannot be read", why);
    (void)sqlite3_finalize(all);
    if (e == OK && (!same || found != COUNT_OF(schema))) {
        fault_set(why, str_of(s->name), "its tables are not those of a segment");
        return ERR_CORRUPT;
    }
    return e;
}

static enum err take_meta(struct segment *s, sqlite3_stmt *row, uint64_t first, struct fault *why)
{
    struct segment_head *h = &s->head;
    const void *log_id = sqlite3_column_blob(row, 1);
    const int log_id_size = sqlite3_column_bytes(row, 1);
    const char *gateway = (const char *)sqlite3_column_text(row, 2);
    const int gateway_size = sqlite3_column_bytes(row, 2);

    if (sqlite3_column_int64(row, 0) > SEGMENT_FORMAT) {
        fault_set(why, str_of(s->name), "written by a newer version, format %lld", sqlite3_column_int64(row, 0));
        return ERR_UNSUPPORTED;
    }
    h->number = (uint64_t)sqlite3_column_int64(row, 3);
    h->first = (uint64_t)sqlite3_column_int64(row, 4);
    bool is_sound = log_id != NULL && log_id_size == sizeof h->identity.log_id && gateway != NULL &&
                    gateway_size <= GATEWAY_ID_SIZE_MAX;
    if (is_sound) {
        memcpy(h->identity.log_id, log_id, sizeof h->identity.log_id);
        memcpy(h->identity.gateway_id, gateway, (size_t)gateway_size);
        is_sound = sqlite3_column_int64(row, 5) == (sqlite3_int64)meta_crc(h) && h->first == first;
    }
    if (!is_sound) {
        fault_set(why, str_of(s->name), "its head is damaged, or it is not the file of this name");
        return ERR_CORRUPT;
    }
    identity_derive(&h->identity);
    return OK;
}

static enum err read_meta(struct segment *s, uint64_t first, struct fault *why)
{
    sqlite3_stmt *row = NULL;
    int code = sqlite3_prepare_v2(s->db, "SELECT format, log_id, gateway_id, number, first, crc FROM meta", -1, &row, NULL);
    enum err e;

    if (code == SQLITE_OK)
        code = sqlite3_step(row);
    if (code == SQLITE_ROW) {
        e = take_meta(s, row, first, why);
    } else if (code == SQLITE_DONE) {
        fault_set(why, str_of(s->name), "its head is missing");
        e = ERR_CORRUPT;
    } else {
        e = segment_error(s, code, "cannot be read", why);
    }
    (void)sqlite3_finalize(row);
    return e;
}

static enum err read_seal(struct segment *s, struct fault *why)
{
    sqlite3_stmt *row = segment_statement(s, SEGMENT_SEAL_FIND);
    int code = row == NULL ? sqlite3_extended_errcode(s->db) : sqlite3_step(row);

    if (code == SQLITE_ROW) {
        s->is_sealed = true;
        s->sealed_end = (uint64_t)sqlite3_column_int64(row, 0);
        s->is_indexed = sqlite3_column_int(row, 1) != 0;
        s->index_crc = (uint32_t)sqlite3_column_int64(row, 2);
    }
    enum err e = code == SQLITE_ROW || code == SQLITE_DONE ? OK : segment_error(s, code, "cannot be read", why);
    (void)sqlite3_reset(row);
    return e;
}

static enum err set_up(const struct segment_options *o, struct segment *s, enum segment_use use, struct fault *why)
{
    if (use == SEGMENT_TO_READ) {
        (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        return run_text(s, "PRAGMA query_only=1", "cannot be opened", why);
    }
    (void)sqlite3_wal_autocheckpoint(s->db, 0);
    enum err e = run_text(s, o->sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF", "cannot be opened", why);
    if (e == OK)
        e = run_text(s, "PRAGMA cache_spill=0; PRAGMA cache_size=-" NUMBER_TEXT(CACHE_KIB), "cannot be opened", why);
    return e;
}

enum err segment_open(const struct segment_options *o, uint64_t first, enum segment_use use, struct segment **out,
                      struct fault *why)
{
    char path[SEGMENT_PATH_MAX];
    struct segment *s = mem_new(1, sizeof *s);

    buf_init(&s->squeezed, BATCH_SIZE_MAX);
    segment_name(first, s->name);
    enum err e = segment_path(o->dir, s->name, "", path);
    if (e == OK)
        e = connect(o, path, 0, s, why);
    if (e == OK)
        e = set_up(o, s, use, why);
    if (e == OK)
        e = check_schema(s, why);
    if (e == OK)
        e = read_meta(s, first, why);
    if (e == OK)
        e = read_seal(s, why);
    if (e != OK) {
        segment_close(s, false);
        return e;
    }
    *out = s;
    return OK;
}

void segment_close(struct segment *s, bool fold_wal)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < COUNT_OF(s->statements); i++)
        (void)sqlite3_finalize(s->statements[i]);
    if (s->db != NULL && !fold_wal)
        (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    buf_release(&s->squeezed);
    (void)ZSTD_freeCCtx(s->squeezer);
    (void)ZSTD_freeDCtx(s->unsqueezer);
    (void)sqlite3_close(s->db); /* cannot be busy: every statement is gone; the WAL stays where folding it in fails */
    free(s);
}

/* The records as they are stored: squeezed where that is shorter. *data stays what it is where there is no memory for it. */
static void squeeze(struct segment *s, struct bytes *data)
{
    if (s->squeezer == NULL)
        s->squeezer = ZSTD_createCCtx();
    buf_clear(&s->squeezed);
    uint8_t *out = s->squeezer == NULL ? NULL : buf_reserve(&s->squeezed, ZSTD_compressBound(data->len));
    if (out == NULL)
        return;
    size_t len = ZSTD_compressCCtx(s->squeezer, out, ZSTD_compressBound(data->len), data->at, data->len, SQUEEZE_LEVEL);
    if (!ZSTD_isError(len) && len < data->len)
        *data = (struct bytes){out, len};
}

enum err segment_insert(struct segment *s, const struct batch_head *h, struct bytes data, size_t *stored, struct fault *why)
{
    sqlite3_stmt *put = segment_statement(s, SEGMENT_INSERT);
    const uint32_t size = (uint32_t)data.len;

    if (put == NULL)
        return segment_error(s, sqlite3_extended_errcode(s->db), "cannot be written", why);
    squeeze(s, &data);
    (void)sqlite3_bind_int64(put, 1, (sqlite3_int64)h->first);
    (void)sqlite3_bind_int64(put, 2, h->count);
    (void)sqlite3_bind_int64(put, 3, h->first_at);
    (void)sqlite3_bind_int64(put, 4, h->last_at);
    (void)sqlite3_bind_int64(put, 5, batch_crc(s, h, size, data));
    (void)sqlite3_bind_int64(put, 6, size);
    (void)sqlite3_bind_blob64(put, 7, data.at, data.len, SQLITE_STATIC);
    *stored = data.len;
    return segment_run(s, SEGMENT_INSERT, why);
}

static void take_row(sqlite3_stmt *found, struct batch_row *row)
{
    row->head.first = (uint64_t)sqlite3_column_int64(found, 0);
    row->head.count = (uint32_t)sqlite3_column_int64(found, 1);
    row->head.first_at = sqlite3_column_int64(found, 2);
    row->head.last_at = sqlite3_column_int64(found, 3);
    row->crc = (uint32_t)sqlite3_column_int64(found, 4);
    row->size = (uint32_t)sqlite3_column_int64(found, 5);
}

/* Binds and steps. OK: a row is there. The caller resets find. */
static enum err step_find(struct segment *s, sqlite3_stmt *find, uint64_t position, struct str station, struct fault *why)
{
    int code = find == NULL ? sqlite3_extended_errcode(s->db) : SQLITE_OK;

    if (code == SQLITE_OK) {
        (void)sqlite3_bind_int64(find, 1, position > INT64_MAX ? INT64_MAX : (sqlite3_int64)position);
        if (station.at != NULL)
            (void)sqlite3_bind_text(find, 2, station.at, (int)station.len, SQLITE_STATIC);
        code = sqlite3_step(find);
    }
    if (code == SQLITE_ROW)
        return OK;
    return code == SQLITE_DONE ? ERR_UNKNOWN : segment_error(s, code, "cannot be read", why);
}

enum err segment_find(struct segment *s, enum segment_statement which, uint64_t position, struct str station,
                      struct batch_row *row, struct fault *why)
{
    sqlite3_stmt *find = segment_statement(s, which);
    bool by_station = which == SEGMENT_FLOOR_OF || which == SEGMENT_NEXT_OF;
    enum err e = step_find(s, find, position, by_station ? station : (struct str){NULL, 0}, why);

    if (e == OK)
        take_row(find, row);
    (void)sqlite3_reset(find);
    return e;
}

/* The records of a batch whose checksum agrees. */
static bool unsqueeze(struct segment *s, struct bytes blob, uint32_t size, struct buf *data)
{
    buf_clear(data);
    if (blob.len == size) {
        buf_put(data, blob.at, blob.len);
        return true;
    }
    if (s->unsqueezer == NULL)
        s->unsqueezer = ZSTD_createDCtx();
    uint8_t *out = s->unsqueezer == NULL ? NULL : buf_reserve(data, size);
    data->failed = data->failed || out == NULL;
    if (out == NULL)
        return true;
    data->len = ZSTD_decompressDCtx(s->unsqueezer, out, size, blob.at, blob.len) == size ? size : 0;
    return data->len == size;
}

static enum err take_data(struct segment *s, sqlite3_stmt *found, struct batch_row *row, struct buf *data, struct fault *why)
{
    const struct batch_head *h = &row->head;
    struct bytes blob = {sqlite3_column_blob(found, 6), (size_t)sqlite3_column_bytes(found, 6)};
    const char *what = NULL;

    take_row(found, row);
    if (h->count == 0 || h->count > BATCH_COUNT_MAX)
        what = "its count is not possible";
    else if (batch_crc(s, h, row->size, blob) != row->crc)
        what = "its checksum differs";
    else if (row->size > BATCH_SIZE_MAX || blob.len > row->size || !unsqueeze(s, blob, row->size, data))
        what = "it cannot be unsqueezed";
    if (what != NULL) {
        fault_set(why, str_of(s->name), "batch %llu: %s", (unsigned long long)h->first, what);
        return ERR_CORRUPT;
    }
    return data->failed ? ERR_MEMORY : OK;
}

enum err segment_read(struct segment *s, uint64_t first, struct batch_row *row, struct buf *data, struct fault *why)
{
    sqlite3_stmt *find = segment_statement(s, SEGMENT_EXACT);
    enum err e = step_find(s, find, first, (struct str){NULL, 0}, why);

    if (e == OK)
        e = take_data(s, find, row, data, why);
    (void)sqlite3_reset(find);
    return e;
}
