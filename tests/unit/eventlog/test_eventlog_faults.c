/* Disks that fail: a table of file operations over the real ones fails the n-th write, of a batch or of zeros ahead, sync, open, truncation,
 * reservation, renaming or deletion, for n = 1, 2, ... until a whole scenario goes through without. Each time: nothing is told durable, nor
 * noted so, before its sync, what was told is there after opening again, and positions have no gap. Syncs are only counted here, not
 * done: the machine does not crash. */
#include "logkit.h"

#include "eventlog/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>

#define SCENARIO_LIMIT 5000 /* operations that a scenario may have: past it something never ends */
#define FD_MAX         4096

enum mode { FAIL_ONCE, FAIL_FOR_A_WHILE, DISK_FULL, SHORT_WRITES };
static const struct {
    const char *row;
    long length; /* operations that fail */
    int code;    /* 0: none fails, writes are taken in small pieces */
} modes[] = {
    [FAIL_ONCE] = {"one operation fails", 1, EIO},
    [FAIL_FOR_A_WHILE] = {"several in a row fail", 9, EIO},
    [DISK_FULL] = {"the disk is full for a while", 15, ENOSPC},
    [SHORT_WRITES] = {"writes are taken in pieces", 3, 0},
};

static struct {
    pthread_mutex_t lock;
    long count, first, last; /* operations so far; those that fail */
    enum mode mode;
    bool has_failed, was_false;
    uint64_t newest;          /* segment that was written to */
    bool is_dirty;            /* written, and not synced since */
    bool reserves_nothing;
    unsigned zeros, failed_zeros; /* writes of zeros ahead */
    uint64_t segments[FD_MAX]; /* by descriptor; 0: no segment, 1 << 63: the note of what is durable */
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define NOTE_OF_DURABLE ((uint64_t)1 << 63)

static void disk_arm(enum mode mode, long n)
{
    disk.count = 0;
    disk.first = n;
    disk.last = n + modes[mode].length - 1;
    disk.mode = mode;
    disk.has_failed = disk.was_false = false;
    disk.newest = 0;
    disk.is_dirty = false;
}

/* false: this operation fails; errno is set. */
static bool disk_ask(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    long n = ++disk.count;
    bool fails = n >= disk.first && n <= disk.last;
    disk.has_failed = disk.has_failed || fails;
    (void)pthread_mutex_unlock(&disk.lock);
    errno = modes[disk.mode].code;
    return !fails || errno == 0;
}

static bool disk_is_short(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    bool is_short = disk.mode == SHORT_WRITES && disk.count >= disk.first && disk.count <= disk.last;
    (void)pthread_mutex_unlock(&disk.lock);
    return is_short;
}

static void note(int fd, bool is_write)
{
    (void)pthread_mutex_lock(&disk.lock);
    const uint64_t first = disk.segments[fd];
    if (first == NOTE_OF_DURABLE) {
        disk.was_false = disk.was_false || (is_write && disk.is_dirty);
    } else if (first != 0 && first >= disk.newest && is_write) {
        disk.newest = first;
        disk.is_dirty = true;
    } else if (first != 0 && first == disk.newest && !is_write) {
        disk.is_dirty = false;
    }
    (void)pthread_mutex_unlock(&disk.lock);
}

static int failing_open(const char *path, int flags, mode_t mode)
{
    int fd = disk_ask() ? open(path, flags, mode) : -1;
    const char *number = strstr(path, "/log-");

    check(fd < FD_MAX);
    if (fd < 0)
        return fd;
    (void)pthread_mutex_lock(&disk.lock);
    disk.segments[fd] = strstr(path, ".durable") != NULL                         ? NOTE_OF_DURABLE
                        : number != NULL && strstr(path, ".new") == NULL ? strtoull(number + 5, NULL, 10)
                                                                                 : 0;
    (void)pthread_mutex_unlock(&disk.lock);
    return fd;
}

/* No batch and no head of a file begins with a zero. */
static bool is_of_zeros(const struct iovec *part)
{
    return *(const uint8_t *)part->iov_base == 0;
}

static ssize_t failing_pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    const struct iovec half = {parts->iov_base, (parts->iov_len + 1) / 2};
    const bool is_ahead = is_of_zeros(parts);

    if (!is_ahead) /* zeros promise nothing, and wait for no sync */
        note(fd, true);
    bool is_well = disk_ask();
    (void)pthread_mutex_lock(&disk.lock);
    disk.zeros += is_ahead;
    disk.failed_zeros += is_ahead && !is_well;
    (void)pthread_mutex_unlock(&disk.lock);
    if (!is_well) { /* as a bad disk does it: a part is there */
        int reason = errno;
        (void)!pwritev(fd, &half, 1, at);
        errno = reason;
        return -1;
    }
    return disk_is_short() ? pwritev(fd, &half, 1, at) : pwritev(fd, parts, count, at);
}

static int failing_fdatasync(int fd)
{
    if (!disk_ask())
        return -1;
    note(fd, false);
    return 0;
}

static int failing_fsync(int fd)
{
    (void)fd;
    return disk_ask() ? 0 : -1;
}

static int failing_ftruncate(int fd, off_t size)
{
    return disk_ask() ? ftruncate(fd, size) : -1;
}

static int failing_fallocate(int fd, int mode, off_t at, off_t len)
{
    if (disk.reserves_nothing) {
        errno = ENOSPC;
        return -1;
    }
    return disk_ask() ? fallocate(fd, mode, at, len) : -1;
}

static int failing_rename(const char *from, const char *to)
{
    return disk_ask() ? rename(from, to) : -1;
}

static int failing_unlink(const char *path)
{
    return disk_ask() ? unlink(path) : -1;
}

static const struct log_files failing = {
    .open = failing_open,
    .pwritev = failing_pwritev,
    .fdatasync = failing_fdatasync,
    .fsync = failing_fsync,
    .ftruncate = failing_ftruncate,
    .fallocate = failing_fallocate,
    .rename = failing_rename,
    .unlink = failing_unlink,
};

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
    bool is_dirty = disk.is_dirty;
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
    o.files = &failing;
    o.segment_max = 5500;
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
    CHECK("nothing was told durable before its sync", !told.was_false && !disk.was_false);
    CHECK("positions only rise", !told.was_back);
    CHECK("states are told when they change, with a reason", !told.was_same_state && told.state == LOG_STATE_OK);
}

static void test_every_operation(enum mode mode)
{
    bool whole = false;
    unsigned failures = 0;

    disk.zeros = disk.failed_zeros = 0;
    for (long n = 1; !whole && n < SCENARIO_LIMIT; n++) {
        kit_begin();
        told.durable = 0;
        told.was_false = told.was_back = told.was_same_state = false;
        told.state = told.worst = LOG_STATE_OK;
        disk_arm(mode, n);
        bool was_opened = scenario(modes[mode].row);
        whole = was_opened && !disk.has_failed;
        failures += told.worst != LOG_STATE_OK;
        disk.first = disk.last = LONG_MAX;
        if (was_opened)
            CHECK(modes[mode].row, told.durable == 200);
        check_after(modes[mode].row);
        kit_end();
    }
    CHECK("the scenario ends", whole);
    CHECK("commits did fail", mode == SHORT_WRITES ? failures == 0 : failures > 10);
    CHECK("zeros were written ahead", disk.zeros > 10); /* which of them failed depends on what the keeper did meanwhile: test_zeros */
}

static off_t open_size(void)
{
    char path[KIT_PATH_MAX], name[SEGMENT_NAME_MAX];
    struct stat st;

    segment_name(1, name);
    kit_path(path, name);
    return stat(path, &st) == 0 ? st.st_size : -1;
}

/* Zeros that cannot be written are no failure of anybody's; and where nothing can be reserved, none are. */
static void test_zeros(void)
{
    for (unsigned row = 0; row < 3; row++) {
        kit_begin();
        struct eventlog_options o = failing_options();
        struct eventlog_stats stats;
        o.segment_max = eventlog_options_default().segment_max;
        told.durable = 0;
        told.state = told.worst = LOG_STATE_OK;
        disk_arm(row == 0 ? FAIL_ONCE : SHORT_WRITES, SCENARIO_LIMIT * 10);
        disk.zeros = 0;
        disk.reserves_nothing = row == 2;
        struct eventlog *l = kit_open(&o);
        (void)pthread_mutex_lock(&disk.lock);
        disk.first = row == 0 ? disk.count + 5 : disk.first; /* write, sync, note, reservation, zeros */
        disk.last = disk.first;
        (void)pthread_mutex_unlock(&disk.lock);
        CHECK("batches", kit_batch(l, 10) && kit_batch(l, 10) && kit_batch(l, 10));
        eventlog_stats(l, &stats);
        CHECK("none fails", stats.failures == 0);
        CHECK("it is the zeros that failed", row != 0 || (disk.has_failed && disk.failed_zeros == 1));
        CHECK("zeros are written if there is place", row == 2 ? disk.zeros == 0 : disk.zeros >= 1);
        CHECK("as many as are said", open_size() < SEGMENT_HEAD_SIZE + 3 * 4096 + (row == 1 ? SEGMENT_ZEROS : row == 0 ? 1 << 15 : 0) &&
                                         (row != 1 || open_size() > SEGMENT_ZEROS));
        CHECK("a reader of now", kit_count(kit_dir, 1) == 30);
        eventlog_close(l);
        CHECK("all was told", told.worst == LOG_STATE_OK && told.durable == 30);
        CHECK("a stop gives them back", open_size() < SEGMENT_HEAD_SIZE + 3 * 4096);
        CHECK("all is there", kit_count(kit_dir, 1) == 30);
        disk.reserves_nothing = false;
        kit_end();
    }
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
    CHECK("nothing was told durable before its sync", !told.was_false && !disk.was_false);
    kit_end();
}

int main(void)
{
    for (enum mode mode = 0; mode < COUNT_OF(modes); mode++)
        test_every_operation(mode);
    test_zeros();
    test_for_ever();
    test_full_disk();
    return CHECK_REPORT();
}
