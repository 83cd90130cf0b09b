/* The log from append to disk and back: rounds, segments, opening again, limits, what stays and what is dropped. */
#include "logkit.h"

#include "eventlog/put.h"
#include "eventlog/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>

static bool is_same_id(const struct event *a, const struct event *b)
{
    const struct uuid x = event_id(a), y = event_id(b);
    return memcmp(x.at, y.at, sizeof x.at) == 0;
}

static void test_rounds(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct eventlog *l = kit_open(&o);
    struct kit_text t, t2;
    struct event e = kit_event(1, &t), second = kit_event(2, &t2);

    CHECK("a new log is empty", eventlog_position(l) == 0 && eventlog_durable(l) == 0);
    CHECK("append", eventlog_append(l, &e) == OK && e.position == 1);
    CHECK("append", eventlog_append(l, &second) == OK && second.position == 2);
    CHECK("ids differ", !is_same_id(&e, &second));
    CHECK("an id is a UUID v7", event_id(&e).at[6] >> 4 == 7 && event_id(&e).at[8] >> 6 == 2);
    CHECK("what was not committed is not durable", eventlog_durable(l) == 0 && kit_count(kit_dir, 1) == 0);
    eventlog_commit(l);
    eventlog_commit(l);
    CHECK("it gets durable", kit_wait(l, 2));

    struct log_reader *r = NULL;
    struct event got = {0};
    CHECK("a reader opens", reader_open(o.dir, &r, NULL) == OK);
    CHECK("it tells the gateway", str_eq(reader_gateway(r), STR("gw-1")));
    CHECK("the reader derives the same id", reader_next(r, &got, NULL) == OK && is_same_id(&got, &e));
    CHECK("and of the second", reader_next(r, &got, NULL) == OK && is_same_id(&got, &second));
    CHECK("then there is nothing", reader_next(r, &got, NULL) == ERR_AGAIN);
    CHECK("more events", kit_batch(l, 3));
    for (uint64_t n = 3; n <= 5; n++)
        CHECK("are seen by the open reader", reader_next(r, &got, NULL) == OK && kit_is(&got, n));
    reader_close(r);
    eventlog_close(l);
    CHECK("all is there after close", kit_count(kit_dir, 1) == 5);
    kit_end();
}

static void test_reopen(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct uuid last = {{0}};
    for (unsigned n = 0; n < 5; n++) {
        struct eventlog *l = kit_open(&o);
        CHECK("it goes on where it was", eventlog_position(l) == 10 * n && eventlog_durable(l) == 10 * n);
        CHECK("rounds", kit_round(l, 4));
        CHECK("rounds", kit_round(l, 6)); /* not waited for: close commits it */
        eventlog_close(l);
        CHECK("all is there", kit_count(kit_dir, 1) == 10 * (n + 1));
        struct log_reader *r = NULL;
        struct event e = {0};
        CHECK("reader", reader_open(o.dir, &r, NULL) == OK && reader_prev(r, &e, NULL) == ERR_AGAIN);
        reader_seek_back(r, 1);
        CHECK("the first event", reader_prev(r, &e, NULL) == OK && e.position == 1);
        CHECK("keeps its id over restarts", n == 0 || memcmp(event_id(&e).at, last.at, 16) == 0);
        last = event_id(&e);
        reader_close(r);
    }
    kit_end();
}

#define AT_FORMAT 8
#define AT_CRC    (SEGMENT_HEAD_SIZE - 4)

/* As another version of the program would have written the first segment. */
static void set_format(uint64_t first, uint32_t format)
{
    uint8_t head[SEGMENT_HEAD_SIZE];
    char name[SEGMENT_NAME_MAX], path[KIT_PATH_MAX];
    segment_name(first, name);
    kit_path(path, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    check(fd >= 0 && pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head);
    put32(head + AT_FORMAT, format);
    put32(head + AT_CRC, crc32c(0, (struct bytes){head, AT_CRC}));
    check(pwrite(fd, head, sizeof head, 0) == (ssize_t)sizeof head && close(fd) == 0);
}

static void test_formats(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct eventlog *l = kit_open(&o);
    CHECK("a log", kit_round(l, 4));
    eventlog_close(l);
    set_format(1, 1);
    l = kit_open(&o);
    CHECK("one of an older format goes on", eventlog_position(l) == 4 && kit_batch(l, 3));
    struct eventlog_stats stats;
    eventlog_stats(l, &stats);
    CHECK("in a segment of its own", stats.segments == 2);
    eventlog_close(l);
    CHECK("and is read whole", kit_count(kit_dir, 1) == 7);
    set_format(5, SEGMENT_FORMAT + 1);
    struct fault why = {0};
    l = NULL;
    CHECK("one of a newer format is refused", eventlog_open(&o, &l, &why) == ERR_UNSUPPORTED && l == NULL);
    CHECK("with its name and the reason", why.field[0] != 0 && strstr(why.reason, "a newer version") != NULL);
    struct log_reader *r = NULL;
    struct event e;
    enum err opened = reader_open(o.dir, &r, &why);
    CHECK("by a reader too", (opened != OK ? opened : reader_next(r, &e, &why)) == ERR_UNSUPPORTED);
    reader_close(r);
    kit_end();
}

static void test_one_writer(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct eventlog *second = NULL;
    struct fault why = {0};
    struct eventlog *l = kit_open(&o);
    CHECK("a second writer is refused", eventlog_open(&o, &second, &why) == ERR_BUSY && why.reason[0] != 0);
    eventlog_close(l);
    l = kit_open(&o);
    eventlog_close(l);
    kit_end();
}

static void test_limits(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    static char big[70000];
    struct kit_text t;
    struct fault why = {0};
    o.pending_max = 2000;
    struct eventlog *l = kit_open(&o);
    struct event e = kit_event(1, &t);
    memset(big, 'x', sizeof big);
    e.station = (struct str){big, 65535};
    CHECK("a station that no record holds", eventlog_append(l, &e) == ERR_RANGE && eventlog_position(l) == 0);
    e = kit_event(1, &t);
    e.frame = (struct str){big, (size_t)17 << 20};
    CHECK("a frame that no record holds", eventlog_append(l, &e) == ERR_RANGE && eventlog_position(l) == 0);

    uint64_t n = 0;
    enum err error;
    while ((error = kit_append(l)) == OK)
        n++;
    CHECK("past the limit it is refused", error == ERR_LIMIT && n >= 2 && eventlog_position(l) == n);
    CHECK("and says that there is no room", !eventlog_has_room(l));
    e = kit_event(n + 1, &t);
    CHECK("what follows from what was taken up before is not", eventlog_append_always(l, &e) == OK && eventlog_position(l) == ++n);
    eventlog_commit(l);
    CHECK("the disk makes room", kit_wait(l, n) && eventlog_has_room(l) && kit_append(l) == OK);
    eventlog_close(l);
    CHECK("nothing is missing, nothing too much", kit_count(kit_dir, 1) == n + 1);
    o.gateway_id = (struct str){big, 200};
    CHECK("a gateway id that is too long", eventlog_open(&o, &l, &why) == ERR_RANGE);
    o.gateway_id = STR("g");
    o.dir = (struct str){big, 5000};
    CHECK("a path that is too long", eventlog_open(&o, &l, &why) == ERR_RANGE);
    o.dir = STR("/proc/nothing-can-be-made-here/log");
    CHECK("a folder that cannot be made", eventlog_open(&o, &l, &why) == ERR_IO && why.reason[0] != 0);
    kit_end();
}

/* A batch longer than the cut comes as several, each a commit. */
static void test_long_round(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    const unsigned count = 20000; /* of some 400 bytes */
    o.sync = false;
    struct eventlog *l = kit_open(&o);
    struct eventlog_stats stats;
    CHECK("one long round", kit_batch(l, count));
    eventlog_stats(l, &stats);
    CHECK("is cut into batches", stats.commits > 1 && stats.commits < 10);
    CHECK("what is said again and again is squeezed", stats.bytes < 4000000);
    CHECK("figures", stats.position == count && stats.durable == count && stats.oldest == 1 && stats.segments == 1 &&
                         stats.bytes > 40000 && stats.state == LOG_STATE_OK && stats.failures == 0);
    eventlog_close(l);
    CHECK("all of it is there", kit_count(kit_dir, 1) == count);
    kit_end();
}

static unsigned segment_files(void)
{
    struct segment_list list = {0};
    check(segment_list_read(str_of(kit_dir), &list, NULL) == OK);
    unsigned count = (unsigned)list.count;
    segment_list_release(&list);
    return count;
}

static unsigned other_files(void)
{
    unsigned count = 0;
    DIR *d = opendir(kit_dir);
    check(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        count += strncmp(e->d_name, "log-", 4) == 0 && strcmp(e->d_name + strlen(e->d_name) - 4, ".log") != 0;
    (void)closedir(d);
    return count;
}

/* Segments that end with an index. */
static unsigned sealed_files(void)
{
    const struct segment_options o = {str_of(kit_dir), &log_files_system, true};
    struct segment_list list = {0};
    unsigned count = 0;
    check(segment_list_read(str_of(kit_dir), &list, NULL) == OK);
    for (size_t i = 0; i < list.count; i++) {
        struct segment *s = NULL;
        CHECK("it opens", segment_open(&o, list.firsts[i], SEGMENT_TO_READ, &s, NULL) == OK);
        count += s != NULL && s->is_sealed && s->is_indexed;
        segment_close(s);
    }
    segment_list_release(&list);
    return count;
}

static void test_segments(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct eventlog_stats stats;
    o.segment_max = 4900;
    struct eventlog *l = kit_open(&o);
    unsigned n = 0;
    for (; segment_files() < 50; n++)
        CHECK("a batch", kit_batch(l, 11));
    eventlog_stats(l, &stats);
    CHECK("segments are counted", stats.segments == segment_files());
    CHECK("a reader crosses them", kit_count(kit_dir, 1) == 11 * n);
    eventlog_close(l);
    CHECK("sealed segments are plain files", other_files() == 0);
    CHECK("and all but the last are sealed", sealed_files() == segment_files() - 1);
    CHECK("and are read the same", kit_count(kit_dir, 1) == 11 * n && kit_count(kit_dir, 3 * n) == 8 * n + 1);
    o.gateway_id = STR("gw-2");
    l = kit_open(&o);
    unsigned before = segment_files();
    CHECK("a new name of the gateway", kit_batch(l, 1) && segment_files() == before + 1);
    eventlog_close(l);
    o.gateway_id = STR("gw-3");
    struct log_reader *r = NULL;
    CHECK("is what a reader tells", reader_open(o.dir, &r, NULL) == OK && str_eq(reader_gateway(r), STR("gw-2")));
    reader_close(r);
    kit_end();
}

/* Nothing was ever written: the name changes in place. */
static void test_rename_empty(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct log_reader *r = NULL;
    eventlog_close(kit_open(&o));
    o.gateway_id = STR("gw-2");
    struct eventlog *l = kit_open(&o);
    CHECK("an empty log", kit_batch(l, 1) && segment_files() == 1);
    CHECK("takes the new name", reader_open(o.dir, &r, NULL) == OK && str_eq(reader_gateway(r), STR("gw-2")));
    reader_close(r);
    eventlog_close(l);
    CHECK("and is whole", kit_count(kit_dir, 1) == 1);
    kit_end();
}

/* The keeper works on its own; whoever wants to see its result asks until it is there. */
static bool wait_segments(struct eventlog *l, unsigned want)
{
    struct eventlog_stats stats = {0};
    for (unsigned i = 0; i < KIT_PATIENCE; i++) {
        eventlog_stats(l, &stats);
        if (stats.segments == want)
            return true;
        eventlog_wait(l, UINT64_MAX, 1);
    }
    return false;
}

static void test_retention(void)
{
    static const struct {
        const char *row;
        int64_t keep_s, keep_bytes;
        uint64_t keep_from;
        bool drops, drops_all;
    } rows[] = {
        {"nothing is said, all is kept", 0, 0, UINT64_MAX, false, false},
        {"too many bytes", 0, 1, UINT64_MAX, true, true},
        {"too old", 1, 0, UINT64_MAX, true, true},
        {"not old enough", 100000, 0, UINT64_MAX, false, false},
        {"bytes, but no cursor is known yet", 0, 1, 0, false, false},
        {"old, but a cursor is in the middle", 1, 0, 60, true, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        kit_begin();
        struct eventlog_options o = kit_options();
        struct event e = {0};
        struct log_reader *r = NULL;
        o.segment_max = 4700;
        struct eventlog *l = kit_open(&o);
        while (segment_files() < 10)
            CHECK(rows[i].row, kit_batch(l, 12));
        uint64_t last = eventlog_position(l);
        eventlog_close(l);
        CHECK(rows[i].row, reader_open(o.dir, &r, NULL) == OK);
        CHECK(rows[i].row, reader_next(r, &e, NULL) == OK && e.position == 1);

        o.keep_s = rows[i].keep_s;
        o.keep_bytes = rows[i].keep_bytes;
        l = kit_open(&o);
        eventlog_keep_from(l, rows[i].keep_from);
        if (rows[i].drops_all)
            CHECK(rows[i].row, wait_segments(l, 1));
        eventlog_close(l); /* the keeper does what is due before it goes */
        CHECK(rows[i].row, rows[i].drops ? segment_files() < 10 : segment_files() == 10);
        uint64_t oldest = reader_oldest(r);
        CHECK(rows[i].row, rows[i].drops ? oldest > 1 : oldest == 1);
        CHECK(rows[i].row, oldest <= rows[i].keep_from || oldest - 1 <= rows[i].keep_from);
        CHECK(rows[i].row, rows[i].keep_from != 60 || (oldest <= 61 && oldest > 48));
        reader_seek(r, 1);
        CHECK("from the beginning is from what is left", reader_next(r, &e, NULL) == OK);
        CHECK("the event is right", kit_is(&e, e.position) && e.position <= oldest);
        reader_close(r);
        CHECK(rows[i].row, kit_count(kit_dir, oldest) == last - oldest + 1);
        kit_end();
    }
}

/* A reader in a process of its own, while this one writes. Forked first: threads do not outlive a fork. */
static void test_other_process(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    const unsigned rounds = 40, each = 25;
    int go[2];
    check(pipe(go) == 0);
    o.segment_max = 9000;
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        struct log_reader *r = NULL;
        struct event e;
        char byte;
        uint64_t n = 1;
        bool right = read(go[0], &byte, 1) == 1 && reader_open(o.dir, &r, NULL) == OK;
        while (right && n <= rounds * each) {
            enum err error = reader_next(r, &e, NULL);
            right = error == ERR_AGAIN || (error == OK && kit_is(&e, n++));
            if (error == ERR_AGAIN)
                (void)sched_yield();
        }
        reader_close(r);
        _exit(right ? 0 : 1);
    }
    struct eventlog *l = kit_open(&o);
    CHECK("the reader may begin", write(go[1], "g", 1) == 1);
    for (unsigned i = 0; i < rounds; i++)
        CHECK("a batch", kit_batch(l, each));
    int status = -1;
    CHECK("the reader ends", waitpid(child, &status, 0) == child);
    CHECK("it has read every event, in order", WIFEXITED(status) && WEXITSTATUS(status) == 0);
    eventlog_close(l);
    (void)close(go[0]);
    (void)close(go[1]);
    kit_end();
}

/* Rounds handed over without waiting: batches grow, and none is lost between the two buffers. */
static void test_hand_over(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct eventlog_stats stats;
    const unsigned rounds = 3000;
    struct eventlog *l = kit_open(&o);
    uint64_t n = 0;
    for (unsigned i = 0; i < rounds; i++) {
        unsigned each = 1 + i % 7;
        CHECK("a round", kit_round(l, each));
        n += each;
        if (i % 100 == 0)
            CHECK("what was offered gets durable without a further word", kit_wait(l, n));
    }
    CHECK("and the last", kit_wait(l, n));
    eventlog_stats(l, &stats);
    CHECK("several rounds made one batch", stats.commits >= rounds / 100 && stats.commits <= rounds);
    eventlog_close(l);
    CHECK("all is there", kit_count(kit_dir, 1) == n);
    kit_end();
}

static void test_wake(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct eventlog *l = kit_open(&o);
    eventlog_wait(l, 0, 0);
    eventlog_wake(l);
    eventlog_wait(l, 0, 1000 * KIT_PATIENCE); /* a test that hangs here has failed */
    CHECK("a wake before the wait is not lost", true);
    eventlog_close(l);
    kit_end();
}

#define FAR 300

struct far_waiter {
    struct eventlog *log;
    pthread_barrier_t *both;
    long switches;
    bool is_seen;
};

static long own_switches(void)
{
    struct rusage used;
    check(getrusage(RUSAGE_THREAD, &used) == 0);
    return used.ru_nvcsw;
}

static void *wait_far(void *data)
{
    struct far_waiter *w = data;
    (void)pthread_barrier_wait(w->both);
    const long before = own_switches();
    eventlog_wait(w->log, FAR - 1, 1000 * KIT_PATIENCE);
    w->switches = own_switches() - before;
    w->is_seen = eventlog_durable(w->log) >= FAR;
    return NULL;
}

/* Consumers that let events come together wait for one far ahead: commits before it are none of their business. */
static void test_far_waiter(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct eventlog *l = kit_open(&o);
    pthread_barrier_t both;
    struct far_waiter w = {.log = l, .both = &both};
    pthread_t thread;
    eventlog_wait(l, 0, 0); /* this thread knows of no wake of a log that was in this place before */
    check(pthread_barrier_init(&both, NULL, 2) == 0);
    check(pthread_create(&thread, NULL, wait_far, &w) == 0);
    (void)pthread_barrier_wait(&both);
    for (unsigned n = 1; n < FAR; n++) {
        CHECK("a round", kit_round(l, 1));
        while (eventlog_durable(l) < n)
            (void)sched_yield();
    }
    CHECK("another waits for the last", kit_batch(l, 1));
    check(pthread_join(thread, NULL) == 0);
    CHECK("who waited for it has seen it", w.is_seen);
    CHECK("and was not woken by each commit before it", w.switches < FAR / 3);
    (void)pthread_barrier_destroy(&both);
    eventlog_close(l);
    kit_end();
}

int main(void)
{
    test_rounds();
    test_reopen();
    test_formats();
    test_one_writer();
    test_limits();
    test_long_round();
    test_segments();
    test_rename_empty();
    test_retention();
    test_other_process();
    test_hand_over();
    test_wake();
    test_far_waiter();
    return CHECK_REPORT();
}
