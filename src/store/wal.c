/* SQLite opens its files through us. All but the log are the system's own from then on; the log's methods stand before
 * the system's. */
#include "store/wal.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_SIZE (128 * 1024)
#define HEAD_SIZE \
    24 /* before each page; its second number is the size of the database where a transaction ends, else 0 */
#define NOWHERE INT64_MAX

struct wal {
    sqlite3_file base;
    uint8_t *piece; /* PIECE_SIZE bytes; NULL: nothing was written yet */
    int64_t at;     /* where it belongs */
    int len;
    int64_t lost_from; /* a piece could not be written: nothing behind this place counts until it is written again */
    bool is_last;      /* the end of a transaction is being written */
    sqlite3_file system[];
};

static struct wal *wal_of(sqlite3_file *f)
{
    return (struct wal *)f;
}

static sqlite3_file *system_of(sqlite3_file *f)
{
    return wal_of(f)->system;
}

static int write_system(struct wal *w, const void *bytes, int len, int64_t at)
{
    int code = w->system->pMethods->xWrite(w->system, bytes, len, at);
    if (code != SQLITE_OK && at < w->lost_from)
        w->lost_from = at;
    return code;
}

static int flush(struct wal *w)
{
    int len = w->len;
    w->len = 0;
    return len == 0 ? SQLITE_OK : write_system(w, w->piece, len, w->at);
}

static int wal_write(sqlite3_file *f, const void *bytes, int len, sqlite3_int64 at)
{
    struct wal *w = wal_of(f);
    int code = SQLITE_OK;
    if (at <= w->lost_from)
        w->lost_from = NOWHERE;
    else if (w->lost_from != NOWHERE)
        return SQLITE_IOERR_WRITE; /* behind a hole */
    if (w->piece == NULL)
        w->piece = malloc(PIECE_SIZE); /* none: what comes goes on as it comes */
    if (len == HEAD_SIZE)
        w->is_last = be32((const uint8_t *)bytes + 4) != 0;
    if (w->len > 0 && (at != w->at + w->len || w->len > PIECE_SIZE - len || w->is_last))
        code = flush(w);
    if (code != SQLITE_OK || w->is_last || w->piece == NULL || len > PIECE_SIZE)
        return code != SQLITE_OK ? code : write_system(w, bytes, len, at);
    if (w->len == 0)
        w->at = at;
    memcpy(w->piece + w->len, bytes, (size_t)len);
    w->len += len;
    return SQLITE_OK;
}

static int wal_read(sqlite3_file *f, void *bytes, int len, sqlite3_int64 at)
{
    int code = flush(wal_of(f));
    return code != SQLITE_OK ? code : system_of(f)->pMethods->xRead(system_of(f), bytes, len, at);
}

static int wal_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    int code = flush(wal_of(f));
    return code != SQLITE_OK ? code : system_of(f)->pMethods->xTruncate(system_of(f), size);
}

static int wal_sync(sqlite3_file *f, int flags)
{
    int code = flush(wal_of(f));
    return code != SQLITE_OK ? code : system_of(f)->pMethods->xSync(system_of(f), flags);
}

static int wal_size(sqlite3_file *f, sqlite3_int64 *size)
{
    int code = flush(wal_of(f));
    return code != SQLITE_OK ? code : system_of(f)->pMethods->xFileSize(system_of(f), size);
}

static int wal_control(sqlite3_file *f, int what, void *argument)
{
    return system_of(f)->pMethods->xFileControl(system_of(f), what, argument);
}

/* What is still gathered belongs to a transaction that never ended. */
static int wal_close(sqlite3_file *f)
{
    free(wal_of(f)->piece);
    return system_of(f)->pMethods->xClose(system_of(f));
}

static int wal_lock(sqlite3_file *f, int kind)
{
    return system_of(f)->pMethods->xLock(system_of(f), kind);
}

static int wal_unlock(sqlite3_file *f, int kind)
{
    return system_of(f)->pMethods->xUnlock(system_of(f), kind);
}

static int wal_is_reserved(sqlite3_file *f, int *out)
{
    return system_of(f)->pMethods->xCheckReservedLock(system_of(f), out);
}

static int wal_sector(sqlite3_file *f)
{
    return system_of(f)->pMethods->xSectorSize(system_of(f));
}

static int wal_characteristics(sqlite3_file *f)
{
    return system_of(f)->pMethods->xDeviceCharacteristics(system_of(f));
}

static const sqlite3_io_methods methods = {
    .iVersion = 1, /* the log is neither shared nor mapped: the database is */
    .xClose = wal_close,
    .xRead = wal_read,
    .xWrite = wal_write,
    .xTruncate = wal_truncate,
    .xSync = wal_sync,
    .xFileSize = wal_size,
    .xLock = wal_lock,
    .xUnlock = wal_unlock,
    .xCheckReservedLock = wal_is_reserved,
    .xFileControl = wal_control,
    .xSectorSize = wal_sector,
    .xDeviceCharacteristics = wal_characteristics,
};

static sqlite3_vfs *usual;

static int open_file(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    (void)v;
    if ((flags & SQLITE_OPEN_WAL) == 0)
        return usual->xOpen(usual, name, f, flags, out_flags);
    struct wal *w = wal_of(f);
    *w = (struct wal){.lost_from = NOWHERE};
    int code = usual->xOpen(usual, name, w->system, flags, out_flags);
    if (w->system->pMethods == NULL)
        return code; /* there is nothing to be closed */
    w->base.pMethods = &methods;
    return code;
}

static sqlite3_vfs file_system;
static pthread_once_t made = PTHREAD_ONCE_INIT;

static void make(void)
{
    usual = sqlite3_vfs_find(NULL);
    if (usual == NULL)
        return;
    file_system = *usual;
    file_system.pNext = NULL;
    file_system.zName = "chargeline";
    file_system.szOsFile = (int)sizeof(struct wal) + usual->szOsFile;
    file_system.xOpen = open_file;
    if (sqlite3_vfs_register(&file_system, 0) != SQLITE_OK)
        usual = NULL;
}

const char *wal_file_system(void)
{
    (void)pthread_once(&made, make);
    return usual == NULL ? NULL : file_system.zName;
}
