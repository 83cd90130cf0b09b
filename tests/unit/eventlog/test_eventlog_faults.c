/* Disks that fail: an SQLite VFS over the real one fails the n-th write, sync, open, truncation or deletion, for n = 1, 2, ...
 * until a whole scenario goes through without. Each time: nothing is told durable before its sync, what was told is there after
 * opening again, and positions have no gap. Syncs are only counted here, not done: the machine does not crash. */
#include "logkit.h"

#include "eventlog/segment.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

#define VFS_NAME       "failing"
#define SCENARIO_LIMIT 5000 /* operations that a scenario may have: past it something never ends */

enum mode { FAIL_ONCE, FAIL_FOR_A_WHILE, DISK_FULL };
static const struct {
    const char *row;
    long length; /* operations that fail */
    int code;
} modes[] = {
    [FAIL_ONCE] = {"one operation fails", 1, SQLITE_IOERR},
    [FAIL_FOR_A_WHILE] = {"several in a row fail", 9, SQLITE_IOERR},
    [DISK_FULL] = {"the disk is full for a while", 15, SQLITE_FULL},
};

static struct {
    pthread_mutex_t lock;
    long count, first, last; /* operations so far; those that fail */
    enum mode mode;
    bool has_failed;
    uint64_t wal_first; /* the newest segment that has a WAL */
    bool wal_dirty;     /* written, and not synced since */
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct failing_file {
    sqlite3_file base;
    sqlite3_file *real;
    uint64_t wal_first; /* 0: no WAL */
};

static void disk_arm(enum mode mode, long n)
{
    disk.count = 0;
    disk.first = n;
    disk.last = n + modes[mode].length - 1;
    disk.mode = mode;
    disk.has_failed = false;
    disk.wal_first = 0;
    disk.wal_dirty = false;
}

/* SQLITE_OK: this operation may be done. */
static int disk_ask(int code)
{
    (void)pthread_mutex_lock(&disk.lock);
    long n = ++disk.count;
    bool fails = n >= disk.first && n <= disk.last;
    disk.has_failed = disk.has_failed || fails;
    (void)pthread_mutex_unlock(&disk.lock);
    if (!fails)
        return SQLITE_OK;
    errno = modes[disk.mode].code == SQLITE_FULL ? ENOSPC : EIO; /* what SQLite asks for when it wants to know more */
    return errno == ENOSPC ? SQLITE_FULL : code;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct failing_file *)(void *)f)->real;
}

static void note_wal(sqlite3_file *f, bool is_write)
{
    const uint64_t first = ((struct failing_file *)(void *)f)->wal_first;

    (void)pthread_mutex_lock(&disk.lock);
    if (first != 0 && first >= disk.wal_first && is_write) {
        disk.wal_first = first;
        disk.wal_dirty = true;
    } else if (first != 0 && first == disk.wal_first && !is_write) {
        disk.wal_dirty = false;
    }
    (void)pthread_mutex_unlock(&disk.lock);
}

static int x_close(sqlite3_file *f)
{
    int code = real_of(f)->pMethods->xClose(real_of(f));
    sqlite3_free(real_of(f));
    return code;
}
static int x_read(sqlite3_file *f, void *to, int len, sqlite3_int64 at)
{
    return real_of(f)->pMethods->xRead(real_of(f), to, len, at);
}
static int x_write(sqlite3_file *f, const void *from, int len, sqlite3_int64 at)
{
    note_wal(f, true);
    int code = disk_ask(SQLITE_IOERR_WRITE);
    if (code != SQLITE_OK) /* as a bad disk does it: half is there */
        (void)real_of(f)->pMethods->xWrite(real_of(f), from, len / 2, at);
    return code != SQLITE_OK ? code : real_of(f)->pMethods->xWrite(real_of(f), from, len, at);
}
static int x_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    int code = disk_ask(SQLITE_IOERR_TRUNCATE);
    return code != SQLITE_OK ? code : real_of(f)->pMethods->xTruncate(real_of(f), size);
}
static int x_sync(sqlite3_file *f, int flags)
{
    (void)flags;
    int code = disk_ask(SQLITE_IOERR_FSYNC);
    if (code == SQLITE_OK)
        note_wal(f, false);
    return code;
}
static int x_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), size);
}
static int x_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}
static int x_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}
static int x_check_lock(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}
static int x_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}
static int x_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}
static int x_device(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}
static int x_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}
static int x_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return real_of(f)->pMethods->xShmLock(real_of(f), at, n, flags);
}
static void x_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}
static int x_shm_unmap(sqlite3_file *f, int remove)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_size,
    .xLock = x_lock,
    .xUnlock = x_unlock,
    .xCheckReservedLock = x_check_lock,
    .xFileControl = x_control,
    .xSectorSize = x_sector,
    .xDeviceCharacteristics = x_device,
    .xShmMap = x_shm_map,
    .xShmLock = x_shm_lock,
    .xShmBarrier = x_shm_barrier,
    .xShmUnmap = x_shm_unmap,
};

static int x_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *out, int flags, int *out_flags)
{
    struct failing_file *f = (struct failing_file *)(void *)out;
    sqlite3_vfs *real = vfs->pAppData;
    const char *number = name == NULL ? NULL : strstr(name, "/log-");

    f->base.pMethods = NULL;
    int code = disk_ask(SQLITE_CANTOPEN);
    if (code != SQLITE_OK)
        return code == SQLITE_FULL ? SQLITE_CANTOPEN : code;
    f->real = sqlite3_malloc(real->szOsFile);
    if (f->real == NULL)
        return SQLITE_NOMEM;
    code = real->xOpen(real, name, f->real, flags, out_flags);
    if (code != SQLITE_OK) {
        sqlite3_free(f->real);
        return code;
    }
    f->base.pMethods = &methods;
    f->wal_first = (flags & SQLITE_OPEN_WAL) != 0 && number != NULL && strstr(name, ".new") == NULL
                       ? strtoull(number + 5, NULL, 10)
                       : 0;
    return SQLITE_OK;
}

static int x_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    sqlite3_vfs *real = vfs->pAppData;
    int code = disk_ask(SQLITE_IOERR_DELETE);
    return code != SQLITE_OK ? code : real->xDelete(real, name, sync_dir);
}

static void register_vfs(void)
{
    static sqlite3_vfs vfs;
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);

    vfs = *real; /* the rest of its calls get the VFS as an argument that they do not use */
    vfs.zName = VFS_NAME;
    vfs.pAppData = real;
    vfs.szOsFile = (int)sizeof(struct failing_file);
    vfs.xOpen = x_open;
    vfs.xDelete = x_delete;
    check(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}

/* What the log told, on its thread. */
static struct {
    pthread_mutex_t lock;
    uint64_t durable;
    bool was_false, was_back, was_same_state;
    enum log_state state, worst;
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_durable(void *data, uint64_t position)
{
    (void)data;
    (void)pthread_mutex_lock(&disk.lock);
    bool is_dirty = disk.wal_dirty;
    (void)pthread_mutex_unlock(&disk.lock);
    (void)pthread_mutex_lock(&told.lock);
    told.was_false = told.was_false || is_dirty;
    told.was_back = told.was_back || position <= told.durable;
    told.durable = position;
    (void)pthread_mutex_unlock(&told.lock);
}

static void on_state(void *data, enum log_state state, const char *why)
{
    (void)data;
    (void)pthread_mutex_lock(&told.lock);
    told.was_same_state = told.was_same_state || told.state == state || (state != LOG_STATE_OK && why[0] == 0);
    told.state = state;
    if (state > told.worst)
        told.worst = state;
    (void)pthread_mutex_unlock(&told.lock);
}

static struct eventlog_options failing_options(void)
{
    struct eventlog_options o = kit_options();
    o.vfs = VFS_NAME;
    o.segment_max = 60000;
    o.on_durable = on_durable;
    o.on_state = on_state;
    return o;
}

/* Three segments, opened twice. false: it could not be opened. */
static bool scenario(const char *row)
{
    const struct eventlog_options o = failing_options();
    struct eventlog *l = NULL;
    struct fault why = {0};
    bool was_opened = true;

    for (unsigned run = 0; was_opened && run < 2; run++) {
        enum err e = eventlog_open(&o, &l, &why);
        was_opened = e == OK;
        CHECK(row, was_opened || (why.reason[0] != 0 && disk.has_failed && e != ERR_CORRUPT));
        for (unsigned i = 0; was_opened && i < 5; i++)
            CHECK("it gets durable once the disk is well again", kit_batch(l, 20));
        if (was_opened)
            eventlog_close(l);
    }
    return was_opened;
}

static void check_after(const char *row)
{
    struct eventlog_options o = kit_options();
    struct eventlog *l = kit_open(&o);
    const uint64_t position = eventlog_position(l);

    CHECK(row, position >= told.durable);
    CHECK(row, kit_count(kit_dir, 1) == position);
    CHECK("it takes more", kit_batch(l, 3) && eventlog_position(l) == position + 3);
    eventlog_close(l);
    CHECK("and has it all", kit_count(kit_dir, 1) == position + 3);
    CHECK("nothing was told durable before its sync", !told.was_false);
    CHECK("positions only rise", !told.was_back);
    CHECK("states are told when they change, with a reason", !told.was_same_state && told.state == LOG_STATE_OK);
}

static void test_every_operation(enum mode mode)
{
    bool whole = false;
    unsigned failures = 0;

    for (long n = 1; !whole && n < SCENARIO_LIMIT; n += n < 100 && mode == FAIL_ONCE ? 1 : 4) {
        kit_begin();
        told.durable = 0;
        told.was_false = told.was_back = told.was_same_state = false;
        told.state = told.worst = LOG_STATE_OK;
        disk_arm(mode, n);
        bool was_opened = scenario(modes[mode].row);
        whole = was_opened && !disk.has_failed;
        failures += told.worst != LOG_STATE_OK;
        disk_arm(mode, SCENARIO_LIMIT * 10);
        if (was_opened)
            CHECK(modes[mode].row, told.durable == 200);
        check_after(modes[mode].row);
        kit_end();
    }
    CHECK("the scenario ends", whole);
    CHECK("commits did fail", failures > 10);
}

/* A disk that never gets well: close does not wait for it, and what was told is there. */
static void test_for_ever(void)
{
    kit_begin();
    const struct eventlog_options o = failing_options();
    struct eventlog_stats stats = {0};
    told.durable = 0;
    told.state = LOG_STATE_OK;
    disk_arm(FAIL_ONCE, SCENARIO_LIMIT * 10);
    struct eventlog *l = kit_open(&o);
    CHECK("a batch", kit_batch(l, 10));
    (void)pthread_mutex_lock(&disk.lock);
    disk.first = disk.count + 1;
    disk.last = LONG_MAX;
    (void)pthread_mutex_unlock(&disk.lock);
    CHECK("is taken", kit_round(l, 10));
    for (unsigned i = 0; i < KIT_PATIENCE && stats.failures < 3; i++) {
        eventlog_wait(l, UINT64_MAX, 1);
        eventlog_stats(l, &stats);
    }
    CHECK("it is tried again and again", stats.failures >= 3 && stats.state == LOG_STATE_FAILED && stats.why[0] != 0);
    CHECK("and not told durable", eventlog_durable(l) == 10 && told.durable == 10);
    eventlog_close(l);
    CHECK("not at the end either", told.durable == 10);
    disk_arm(FAIL_ONCE, SCENARIO_LIMIT * 10);
    CHECK("what was told is there", kit_count(kit_dir, 1) >= 10);
    kit_end();
}

/* Back-pressure while the disk is full, and that it ends by itself. */
static void test_full_disk(void)
{
    kit_begin();
    struct eventlog_options o = failing_options();
    o.pending_max = 20000;
    told.durable = 0;
    told.state = LOG_STATE_OK;
    disk_arm(DISK_FULL, SCENARIO_LIMIT * 10);
    struct eventlog *l = kit_open(&o);
    CHECK("a batch", kit_batch(l, 10));
    (void)pthread_mutex_lock(&disk.lock);
    disk.first = disk.count + 1;
    disk.last = LONG_MAX;
    (void)pthread_mutex_unlock(&disk.lock);
    enum err e;
    while ((e = kit_append(l)) == OK)
        eventlog_commit(l);
    const uint64_t last = eventlog_position(l);
    CHECK("it refuses when too much is pending", e == ERR_LIMIT && !eventlog_has_room(l) && eventlog_durable(l) == 10);
    struct eventlog_stats stats = {0};
    for (unsigned i = 0; i < KIT_PATIENCE && stats.state == LOG_STATE_OK; i++) {
        eventlog_wait(l, UINT64_MAX, 1);
        eventlog_stats(l, &stats);
    }
    if (stats.state != LOG_STATE_FULL)
        (void)fprintf(stderr, "state %s: %s\n", log_state_text(stats.state), stats.why);
    CHECK("it says that the disk is full", stats.state == LOG_STATE_FULL && strcmp(log_state_text(stats.state), "full") == 0);
    (void)pthread_mutex_lock(&disk.lock);
    disk.last = 0;
    (void)pthread_mutex_unlock(&disk.lock);
    CHECK("it goes on by itself", kit_wait(l, last) && eventlog_has_room(l));
    CHECK("and takes more", kit_batch(l, 1));
    eventlog_close(l);
    CHECK("nothing is missing", kit_count(kit_dir, 1) == last + 1);
    CHECK("nothing was told durable before its sync", !told.was_false);
    kit_end();
}

int main(void)
{
    register_vfs();
    for (enum mode mode = 0; mode < COUNT_OF(modes); mode++)
        test_every_operation(mode);
    test_for_ever();
    test_full_disk();
    return CHECK_REPORT();
}
