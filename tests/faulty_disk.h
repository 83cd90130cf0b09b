/* faulty_disk.h - a file system for SQLite that counts what is asked of it and refuses the calls that a test names. Put
 * in place before the program opens its first database (disk_install), it lies below the program's own (store/wal.h),
 * where the system's would be. */
#ifndef TESTS_FAULTY_DISK_H
#define TESTS_FAULTY_DISK_H
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "base/base.h"

#define DISK_DEATH 43 /* how a process ends that dies of it */

struct disk_file {
    sqlite3_file base;
    bool is_log;
    sqlite3_file system[];
};
static struct {
    sqlite3_vfs *usual, ours;
    long calls, log_writes;    /* writes, syncs and truncations yet; of them, writes of a write-ahead log */
    long fails_from, fails_to; /* these calls, the first is 1, are refused; 0: none */
    bool is_torn;              /* half of a write that is refused is done */
    bool is_deadly;            /* the process ends instead of being refused */
} disk;

static inline sqlite3_file *disk_below(sqlite3_file *f)
{
    return ((struct disk_file *)f)->system;
}
#define DISK_PASS(f, method, ...) disk_below(f)->pMethods->method(disk_below(f), ##__VA_ARGS__)

static inline bool disk_refuses(void)
{
    disk.calls++;
    return disk.calls >= disk.fails_from && disk.calls <= disk.fails_to;
}

static inline int disk_no(int code)
{
    if (disk.is_deadly)
        _exit(DISK_DEATH);
    return code;
}

static int disk_write(sqlite3_file *f, const void *bytes, int len, sqlite3_int64 at)
{
    disk.log_writes += ((struct disk_file *)f)->is_log;
    if (!disk_refuses())
        return DISK_PASS(f, xWrite, bytes, len, at);
    if (disk.is_torn)
        (void)DISK_PASS(f, xWrite, bytes, len / 2, at);
    return disk_no(disk.is_torn ? SQLITE_IOERR_WRITE : SQLITE_FULL);
}

static int disk_sync(sqlite3_file *f, int flags)
{
    return disk_refuses() ? disk_no(SQLITE_IOERR_FSYNC) : DISK_PASS(f, xSync, flags);
}

static int disk_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return disk_refuses() ? disk_no(SQLITE_IOERR_TRUNCATE) : DISK_PASS(f, xTruncate, size);
}

static int disk_close(sqlite3_file *f)
{
    return DISK_PASS(f, xClose);
}
static int disk_read(sqlite3_file *f, void *bytes, int len, sqlite3_int64 at)
{
    return DISK_PASS(f, xRead, bytes, len, at);
}
static int disk_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return DISK_PASS(f, xFileSize, size);
}
static int disk_lock(sqlite3_file *f, int kind)
{
    return DISK_PASS(f, xLock, kind);
}
static int disk_unlock(sqlite3_file *f, int kind)
{
    return DISK_PASS(f, xUnlock, kind);
}
static int disk_is_reserved(sqlite3_file *f, int *out)
{
    return DISK_PASS(f, xCheckReservedLock, out);
}
static int disk_control(sqlite3_file *f, int what, void *argument)
{
    return DISK_PASS(f, xFileControl, what, argument);
}
static int disk_sector(sqlite3_file *f)
{
    return DISK_PASS(f, xSectorSize);
}
static int disk_characteristics(sqlite3_file *f)
{
    return DISK_PASS(f, xDeviceCharacteristics);
}
static int disk_shared_map(sqlite3_file *f, int page, int size, int extends, void volatile **out)
{
    return DISK_PASS(f, xShmMap, page, size, extends, out);
}
static int disk_shared_lock(sqlite3_file *f, int at, int n, int flags)
{
    return DISK_PASS(f, xShmLock, at, n, flags);
}
static void disk_shared_barrier(sqlite3_file *f)
{
    DISK_PASS(f, xShmBarrier);
}
static int disk_shared_unmap(sqlite3_file *f, int deletes)
{
    return DISK_PASS(f, xShmUnmap, deletes);
}

static int disk_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 2,
        .xClose = disk_close,
        .xRead = disk_read,
        .xWrite = disk_write,
        .xTruncate = disk_truncate,
        .xSync = disk_sync,
        .xFileSize = disk_size,
        .xLock = disk_lock,
        .xUnlock = disk_unlock,
        .xCheckReservedLock = disk_is_reserved,
        .xFileControl = disk_control,
        .xSectorSize = disk_sector,
        .xDeviceCharacteristics = disk_characteristics,
        .xShmMap = disk_shared_map,
        .xShmLock = disk_shared_lock,
        .xShmBarrier = disk_shared_barrier,
        .xShmUnmap = disk_shared_unmap,
    };
    (void)v;
    int code = disk.usual->xOpen(disk.usual, name, disk_below(f), flags, out_flags);
    f->pMethods = disk_below(f)->pMethods == NULL ? NULL : &methods;
    ((struct disk_file *)f)->is_log = (flags & SQLITE_OPEN_WAL) != 0;
    return code;
}

static inline void disk_install(void)
{
    disk.usual = sqlite3_vfs_find(NULL);
    check(disk.usual != NULL);
    disk.ours = *disk.usual;
    disk.ours.pNext = NULL;
    disk.ours.zName = "faulty";
    disk.ours.szOsFile = (int)sizeof(struct disk_file) + disk.usual->szOsFile;
    disk.ours.xOpen = disk_open;
    check(sqlite3_vfs_register(&disk.ours, 1) == SQLITE_OK);
}

/* Calls from that one on, so many of them, are refused; the count begins anew. */
static inline void disk_refuse(long first, long count)
{
    disk.calls = 0;
    disk.fails_from = first;
    disk.fails_to = first + count - 1;
}
static inline void disk_heal(void)
{
    disk.fails_from = disk.fails_to = 0;
}
#endif
