/* Files as a crash or a bad disk leaves them: cut, changed, swapped, missing. What comes out is whole batches that are right, or a
 * word about what is missing; never a wrong event, never a silent hole. */
#include "logkit.h"

#include "eventlog/segment.h"

#include <fcntl.h>

#define EACH         5
#define FLIPS        400 /* places tried in each file */
#define READ_LIMIT   100000

static char copy_dir[KIT_PATH_MAX];

static void copy_file(const char *from, const char *to, size_t most)
{
    static char buffer[1 << 20];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    check(in != NULL && out != NULL);
    for (size_t n; most > 0 && (n = fread(buffer, 1, most < sizeof buffer ? most : sizeof buffer, in)) > 0; most -= n)
        check(fwrite(buffer, 1, n, out) == n);
    (void)fclose(in);
    check(fclose(out) == 0);
}

/* All segments and their WALs, as they are at this moment; no index of a WAL: SQLite makes it again, as after a crash. */
static void copy_log(const char *from, const char *to)
{
    kit_remove_dir(to);
    check(mkdir(to, 0700) == 0);
    DIR *d = opendir(from);
    check(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char a[KIT_PATH_MAX], b[KIT_PATH_MAX];
        (void)snprintf(a, sizeof a, "%.200s/%.200s", from, e->d_name);
        (void)snprintf(b, sizeof b, "%.200s/%.200s", to, e->d_name);
        if (strncmp(e->d_name, "log-", 4) == 0 && strstr(e->d_name, "-shm") == NULL)
            copy_file(a, b, SIZE_MAX);
    }
    (void)closedir(d);
}

static off_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

static void flip(const char *path, off_t at, unsigned bit)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    check(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= (uint8_t)(1u << bit);
    check(pwrite(fd, &byte, 1, at) == 1);
    (void)close(fd);
}

struct seen {
    uint64_t events, last, damages; /* last: the greatest position */
    bool is_wrong, has_hole;        /* a hole: positions passed over without a word */
    enum err open, end;
};

/* Reads all that can be read. */
static struct seen read_all(const char *dir)
{
    struct seen seen = {0};
    struct log_reader *r = NULL;
    struct event e;
    bool was_told = false;

    seen.open = reader_open(str_of(dir), &r, NULL);
    if (seen.open != OK)
        return seen;
    for (unsigned n = 0; n < READ_LIMIT; n++) {
        struct fault why = {0};
        enum err error = reader_next(r, &e, &why);
        seen.end = error;
        if (error == ERR_CORRUPT || error == ERR_UNSUPPORTED) {
            seen.damages++;
            was_told = true;
            seen.is_wrong = seen.is_wrong || why.field[0] == 0 || why.reason[0] == 0;
            continue;
        }
        if (error != OK)
            break;
        seen.is_wrong = seen.is_wrong || !kit_is(&e, e.position) || e.position <= seen.last;
        seen.has_hole = seen.has_hole || (e.position != seen.last + 1 && !was_told);
        was_told = false;
        seen.last = e.position;
        seen.events++;
    }
    reader_close(r);
    return seen;
}

/* Backwards too; only that nothing is wrong, and that it ends. */
static bool is_right_backwards(const char *dir)
{
    struct log_reader *r = NULL;
    struct event e;
    uint64_t last = UINT64_MAX;
    bool is_right = true;
    enum err error = reader_open(str_of(dir), &r, NULL);

    if (error != OK)
        return true;
    reader_seek_back(r, UINT64_MAX);
    unsigned n = 0;
    for (; n < READ_LIMIT && (error = reader_prev(r, &e, NULL)) != ERR_AGAIN; n++) {
        if (error == OK) {
            is_right = is_right && kit_is(&e, e.position) && e.position < last;
            last = e.position;
        }
        if (error != OK && error != ERR_CORRUPT && error != ERR_UNSUPPORTED)
            break;
    }
    reader_close(r);
    return is_right && n < READ_LIMIT;
}

/* Cut at any place, the WAL gives whole batches from the front, and the log goes on behind them. */
static void test_torn_wal(void)
{
    char wal[KIT_PATH_MAX], torn[KIT_PATH_MAX], name[SEGMENT_NAME_MAX + 8];
    const unsigned batches = 8;
    kit_begin();
    struct eventlog_options o = kit_options();
    o.sync = false;
    struct eventlog *l = kit_open(&o);
    uint64_t least = 0;
    segment_name(1, name);
    (void)strcat(name, "-wal");
    kit_path(wal, name);
    (void)snprintf(torn, sizeof torn, "%.200s/%.200s", copy_dir, name);

    for (unsigned i = 1; i <= batches; i++) {
        CHECK("a batch", kit_batch(l, EACH));
        copy_log(kit_dir, copy_dir);
        struct seen seen = read_all(copy_dir);
        CHECK("a copy after a commit has all of it", seen.events == (uint64_t)EACH * i && seen.damages == 0 && !seen.is_wrong);
    }
    const off_t size = size_of(wal);
    for (off_t at = 0; at < size; at += at % 3 == 0 ? 4096 : 2049) {
        copy_log(kit_dir, copy_dir);
        CHECK("cut", truncate(torn, at) == 0);
        struct seen seen = read_all(copy_dir);
        CHECK("a torn tail is whole batches", seen.open == OK && seen.end == ERR_AGAIN && seen.damages == 0 && !seen.is_wrong);
        CHECK("in order, none between missing", seen.events % EACH == 0 && seen.last == seen.events);
        CHECK("and more, the later it is cut", seen.events >= least);
        least = seen.events;
        if (at % 5 != 0)
            continue;
        struct eventlog_options again = o;
        again.dir = str_of(copy_dir);
        struct eventlog *second = kit_open(&again);
        CHECK("the log goes on behind", eventlog_position(second) == seen.events && kit_batch(second, EACH));
        eventlog_close(second);
        CHECK("without a gap", kit_count(copy_dir, 1) == seen.events + EACH);
    }
    eventlog_close(l);
    kit_end();
}

/* A small pseudo-random row, the same in every run. */
static uint32_t next_random(void)
{
    static uint32_t state = 12345;
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

static void test_flipped_wal(void)
{
    char path[KIT_PATH_MAX], name[SEGMENT_NAME_MAX + 8];
    kit_begin();
    struct eventlog_options o = kit_options();
    o.sync = false;
    struct eventlog *l = kit_open(&o);
    for (unsigned i = 0; i < 6; i++)
        CHECK("a batch", kit_batch(l, EACH));
    const uint64_t last = eventlog_position(l);
    unsigned stops = 0;
    segment_name(1, name);
    (void)strcat(name, "-wal");
    (void)snprintf(path, sizeof path, "%.200s/%.200s", copy_dir, name);
    for (unsigned i = 0; i < FLIPS; i++) {
        copy_log(kit_dir, copy_dir);
        const off_t at = (off_t)(i < 56 ? i : next_random() % (uint32_t)size_of(path));
        const unsigned bit = next_random() % 8;
        flip(path, at, bit);
        struct seen seen = read_all(copy_dir);
        CHECK("a flipped bit in a WAL gives no wrong event", !seen.is_wrong && !seen.has_hole);
        CHECK("but whole batches", seen.events % EACH == 0 && seen.last == seen.events);
        /* The writer, who would go on over what is lost, does not: only the last batch may be a torn tail. */
        copy_log(kit_dir, copy_dir);
        flip(path, at, bit);
        struct eventlog_options again = o;
        struct eventlog *second = NULL;
        struct fault why = {0};
        again.dir = str_of(copy_dir);
        enum err e = eventlog_open(&again, &second, &why);
        CHECK("the writer goes on, or says why not", e == OK || (e == ERR_CORRUPT && why.reason[0] != 0));
        CHECK("and drops no more than the last batch", e != OK || eventlog_position(second) >= last - EACH);
        stops += e == ERR_CORRUPT;
        if (e == OK)
            eventlog_close(second);
    }
    CHECK("it did stop", stops > FLIPS / 2);
    eventlog_close(l);
    kit_end();
}

static void test_flipped_file(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct segment_list all = {0};
    o.sync = false;
    o.segment_max = 80000;
    struct eventlog *l = kit_open(&o);
    for (unsigned i = 0; i < 10; i++)
        CHECK("a batch", kit_batch(l, EACH));
    const uint64_t last = eventlog_position(l);
    eventlog_close(l);
    check(segment_list_read(str_of(kit_dir), &all, NULL) == OK && all.count >= 3);
    unsigned found = 0;
    for (unsigned i = 0; i < 2 * FLIPS; i++) {
        const size_t which = i % all.count;
        char name[SEGMENT_NAME_MAX], path[KIT_PATH_MAX];
        segment_name(all.firsts[which], name);
        (void)snprintf(path, sizeof path, "%.200s/%.200s", copy_dir, name);
        copy_log(kit_dir, copy_dir);
        flip(path, (off_t)(i < 2 * all.count * 50 ? i / all.count : next_random() % (uint32_t)size_of(path)), next_random() % 8);
        struct seen seen = read_all(copy_dir);
        bool is_open = which + 1 == all.count; /* of the open segment the tail may be missing: nothing says how long it was */
        CHECK("a flipped bit gives no wrong event", !seen.is_wrong && !seen.has_hole);
        CHECK("and what is missing is told",
              seen.open != OK || seen.damages > 0 || seen.events == last || (is_open && seen.last >= all.firsts[which] - 1));
        CHECK("nor backwards", is_right_backwards(copy_dir));
        found += seen.damages > 0 || seen.open != OK;
    }
    CHECK("damage was found", found > 10);
    segment_list_release(&all);
    kit_end();
}

static bool count_report(void *data, const struct fault *why)
{
    (void)why;
    *(unsigned *)data += 1;
    return true;
}

/* Files lost and swapped. */
static void test_files(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct segment_list all = {0};
    struct fault why = {0};
    struct log_reader *r = NULL;
    struct eventlog *l = NULL, *other = NULL;
    char from[KIT_PATH_MAX], to[KIT_PATH_MAX], name[SEGMENT_NAME_MAX];
    o.sync = false;
    o.segment_max = 40000;
    l = kit_open(&o);
    for (unsigned i = 0; i < 10; i++)
        CHECK("a batch", kit_batch(l, EACH));
    const uint64_t last = eventlog_position(l);
    eventlog_close(l);
    check(segment_list_read(str_of(kit_dir), &all, NULL) == OK && all.count >= 4);

    copy_log(kit_dir, copy_dir);
    segment_name(all.firsts[1], name);
    (void)snprintf(to, sizeof to, "%.200s/%.200s", copy_dir, name);
    CHECK("one in the middle is lost", unlink(to) == 0);
    struct seen seen = read_all(copy_dir);
    CHECK("it is told once", seen.damages == 1 && !seen.is_wrong && !seen.has_hole && seen.last == last);
    uint64_t checked = 0;
    unsigned reports = 0;
    CHECK("verify tells it", reader_open(str_of(copy_dir), &r, NULL) == OK &&
                                 reader_verify(r, count_report, &reports, &checked) == ERR_CORRUPT && reports == 1 &&
                                 checked == seen.events);
    reader_close(r);
    CHECK("backwards too", is_right_backwards(copy_dir));

    segment_name(all.firsts[2], name);
    kit_path(from, name);
    copy_file(from, to, SIZE_MAX);
    seen = read_all(copy_dir);
    CHECK("another one under its name is told", seen.damages > 0 && !seen.is_wrong && !seen.has_hole && seen.last == last);

    copy_log(kit_dir, copy_dir);
    segment_name(all.firsts[all.count - 1], name);
    (void)snprintf(to, sizeof to, "%.200s/%.200s", copy_dir, name);
    CHECK("the last is lost", unlink(to) == 0);
    seen = read_all(copy_dir);
    CHECK("a reader tells it", seen.damages == 1 && !seen.is_wrong && seen.last == all.firsts[all.count - 1] - 1);
    struct eventlog_options again = o;
    again.dir = str_of(copy_dir);
    CHECK("the writer does not go on over it", eventlog_open(&again, &other, &why) == ERR_CORRUPT &&
                                                   strstr(why.reason, "missing") != NULL);

    copy_log(kit_dir, copy_dir);
    CHECK("the last is cut to nothing", truncate(to, 0) == 0);
    CHECK("the writer tells it", eventlog_open(&again, &other, &why) == ERR_CORRUPT && why.field[0] != 0);
    seen = read_all(copy_dir);
    CHECK("a reader reads what is before", seen.open == OK && !seen.is_wrong && seen.damages > 0 &&
                                               seen.last == all.firsts[all.count - 1] - 1);

    char third[KIT_PATH_MAX];
    (void)snprintf(third, sizeof third, "%.200s-other", copy_dir);
    again.dir = str_of(third);
    other = kit_open(&again);
    CHECK("another log", kit_batch(other, (unsigned)last));
    eventlog_close(other);
    copy_log(kit_dir, copy_dir);
    segment_name(1, name);
    (void)snprintf(from, sizeof from, "%.200s/%.200s", third, name);
    (void)snprintf(to, sizeof to, "%.200s/%.200s", copy_dir, name);
    copy_file(from, to, SIZE_MAX);
    seen = read_all(copy_dir);
    CHECK("a segment of another log is told", seen.damages > 0 && !seen.has_hole && seen.last == last &&
                                                  seen.events < last);
    kit_remove_dir(third);
    segment_list_release(&all);
    kit_end();
}

int main(void)
{
    (void)snprintf(copy_dir, sizeof copy_dir, "/tmp/eventlog-copy-XXXXXX");
    check(mkdtemp(copy_dir) != NULL);
    test_torn_wal();
    test_flipped_wal();
    test_flipped_file();
    test_files();
    kit_remove_dir(copy_dir);
    return CHECK_REPORT();
}
