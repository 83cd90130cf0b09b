/* The reader: forwards, backwards, anywhere, by station, by time; over sealed and open segments, and while these are written. */
#include "logkit.h"

#include "eventlog/segment.h"

#include <pthread.h>
#include <stdatomic.h>

#define EACH          9
#define WHILE_EVENTS  100000 /* at least so many come, and so many readers, */
#define WHILE_READERS 200    /* while test_come_and_go looks on; */
#define WHILE_EACH    500    /* each reads at most so many: the writer may be faster than it is */

/* Batches of EACH in many segments; the number of events. */
static uint64_t fill(struct eventlog *l, unsigned batches)
{
    for (unsigned i = 0; i < batches; i++)
        CHECK("a batch", kit_batch(l, EACH));
    return eventlog_position(l);
}

static struct log_reader *open_reader(void)
{
    struct log_reader *r = NULL;
    struct fault why = {0};
    CHECK("a reader opens", reader_open(str_of(kit_dir), &r, &why) == OK);
    check(r != NULL);
    return r;
}

static void check_all_ways(uint64_t last)
{
    struct log_reader *r = open_reader();
    struct event e = {0};
    struct fault why;

    CHECK("ends", reader_oldest(r) == 1 && reader_newest(r) == last);
    reader_seek_back(r, UINT64_MAX);
    for (uint64_t n = last; n >= 1; n--)
        CHECK("backwards from the end", reader_prev(r, &e, &why) == OK && kit_is(&e, n));
    CHECK("before the first there is none", reader_prev(r, &e, &why) == ERR_AGAIN);
    CHECK("and again", reader_prev(r, &e, &why) == ERR_AGAIN);
    for (uint64_t n = 1; n <= last; n++)
        CHECK("forwards from where backwards ended", reader_next(r, &e, &why) == OK && kit_is(&e, n));
    CHECK("behind the last there is none", reader_next(r, &e, &why) == ERR_AGAIN);
    CHECK("and back again gives the same", reader_prev(r, &e, &why) == OK && kit_is(&e, last));
    for (uint64_t n = 1; n <= last; n += 7) {
        reader_seek(r, n);
        CHECK("anywhere", reader_next(r, &e, &why) == OK && kit_is(&e, n));
        CHECK("one after the other is the same event", reader_prev(r, &e, &why) == OK && kit_is(&e, n));
        reader_seek_back(r, n);
        CHECK("anywhere, backwards", reader_prev(r, &e, &why) == OK && kit_is(&e, n));
        CHECK("and forwards again", reader_next(r, &e, &why) == OK && kit_is(&e, n));
    }
    reader_seek(r, 0);
    CHECK("0 is the beginning", reader_next(r, &e, &why) == OK && e.position == 1);
    reader_seek(r, last + 100);
    CHECK("beyond the end there is nothing yet", reader_next(r, &e, &why) == ERR_AGAIN);
    reader_seek_back(r, last + 100);
    CHECK("beyond the end, backwards, is the last", reader_prev(r, &e, &why) == OK && kit_is(&e, last));
    reader_seek(r, UINT64_MAX);
    CHECK("from the end", reader_next(r, &e, &why) == ERR_AGAIN);
    reader_close(r);
}

static void check_station(uint64_t last)
{
    struct log_reader *r = open_reader();
    struct event e = {0};
    struct kit_text t;

    for (unsigned k = 0; k <= KIT_STATIONS; k++) {
        char name[32];
        (void)snprintf(name, sizeof name, "CP-%u", k);
        uint64_t at = 0;
        enum err error;
        reader_only_station(r, str_of(name));
        reader_seek(r, 1);
        while ((error = reader_next(r, &e, NULL)) == OK) {
            if (!str_eq(e.station, str_of(name)))
                continue;
            for (at++; at < e.position; at++)
                CHECK("no event of the station is left out", !str_eq(kit_event(at, &t).station, str_of(name)));
            CHECK("and it is right", kit_is(&e, e.position));
        }
        for (at++; at <= last; at++)
            CHECK("nor the last", !str_eq(kit_event(at, &t).station, str_of(name)));
        CHECK("to the end", error == ERR_AGAIN);
        reader_seek_back(r, UINT64_MAX);
        at = last + 1;
        while ((error = reader_prev(r, &e, NULL)) == OK) {
            if (!str_eq(e.station, str_of(name)))
                continue;
            for (at--; at > e.position; at--)
                CHECK("nor backwards", !str_eq(kit_event(at, &t).station, str_of(name)));
        }
        CHECK("to the beginning", error == ERR_AGAIN);
    }
    reader_only_station(r, (struct str){NULL, 0});
    reader_seek(r, 1);
    uint64_t n = 0;
    while (reader_next(r, &e, NULL) == OK)
        n++;
    CHECK("all again", n == last);
    reader_close(r);
}

static void check_times(uint64_t last)
{
    struct log_reader *r = open_reader();
    const int64_t base = KIT_TIME_US, step = KIT_TIME_STEP;
    struct event e;

    reader_seek(r, 5);
    CHECK("before all", reader_find_time(r, (struct instant){0}) == 1);
    for (uint64_t n = 1; n <= last; n += 5) {
        CHECK("exactly then", reader_find_time(r, (struct instant){base + (int64_t)n * step}) == n);
        CHECK("a little later", reader_find_time(r, (struct instant){base + (int64_t)n * step + 1}) == n + 1);
    }
    CHECK("after all", reader_find_time(r, (struct instant){INT64_MAX}) == last + 1);
    CHECK("it stands where it stood", reader_next(r, &e, NULL) == OK && e.position == 5);
    reader_close(r);
}

static bool no_report(void *data, const struct fault *why)
{
    (void)fprintf(stderr, "%s: %s\n", why->field, why->reason);
    *(unsigned *)data += 1;
    return true;
}

static void check_verify(uint64_t last)
{
    struct log_reader *r = open_reader();
    uint64_t checked = 0;
    unsigned reports = 0;
    CHECK("a sound log", reader_verify(r, no_report, &reports, &checked) == OK && checked == last && reports == 0);
    reader_close(r);
}

static void test_ways(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    o.segment_max = 6000;
    o.sync = false;
    struct eventlog *l = kit_open(&o);
    uint64_t last = fill(l, 20);
    check_all_ways(last);
    check_station(last);
    check_times(last);
    last = fill(l, 5);
    check_all_ways(last);
    eventlog_close(l);
    check_all_ways(last);
    check_station(last);
    check_times(last);
    check_verify(last);
    kit_end();
}

/* A reader that has read all waits over the beginning of a new segment, again and again. */
static void test_follow(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    o.segment_max = 1; /* a segment each batch */
    o.sync = false;
    struct eventlog *l = kit_open(&o);
    struct log_reader *r = open_reader();
    struct event e = {0};
    CHECK("an empty log", reader_newest(r) == 0 && reader_next(r, &e, NULL) == ERR_AGAIN);
    CHECK("has no end to go back from", reader_prev(r, &e, NULL) == ERR_AGAIN);
    CHECK("nor times", reader_find_time(r, (struct instant){0}) == 1);
    for (uint64_t n = 1; n <= 20 * EACH; n++) {
        if (n % EACH == 1)
            CHECK("a batch", reader_next(r, &e, NULL) == ERR_AGAIN && kit_batch(l, EACH));
        CHECK("is followed", reader_next(r, &e, NULL) == OK && kit_is(&e, n));
    }
    CHECK("newest", reader_newest(r) == 20 * EACH);
    eventlog_close(l);
    reader_close(r);
    kit_end();
}

static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

struct writing {
    struct eventlog *log;
    atomic_bool is_enough, is_refused;
};

/* CHECK is of the other thread. */
static void *write_on(void *data)
{
    struct writing *w = data;

    while (!atomic_load(&w->is_enough)) {
        if (!kit_round(w->log, 1) || (!eventlog_has_room(w->log) && !kit_wait(w->log, eventlog_position(w->log)))) {
            atomic_store(&w->is_refused, true);
            break;
        }
    }
    return NULL;
}

/* Readers that see an open segment for the first time, while batches come over the zeros behind its end faster than any disk takes them:
 * what was not there a moment ago is no damage. Whichever of the two is slow, the other goes on until both did enough. */
static void test_come_and_go(void)
{
    kit_begin();
    struct log_files quick = log_files_system;
    struct eventlog_options o = kit_options();
    struct writing w = {.log = NULL};
    pthread_t writer;
    quick.fdatasync = no_sync;
    o.files = &quick;
    w.log = kit_open(&o);
    check(pthread_create(&writer, NULL, write_on, &w) == 0);
    uint64_t seen = 0;
    enum err error = OK;
    for (unsigned n = 0; (error == OK || error == ERR_AGAIN) && !atomic_load(&w.is_refused) && (n < WHILE_READERS || seen < WHILE_EVENTS); n++) {
        struct log_reader *r = open_reader();
        struct event e;
        struct fault why = {0};
        const uint64_t newest = reader_newest(r);
        CHECK("the end only rises", newest >= seen);
        seen = newest;
        reader_seek(r, newest - (newest < EACH ? newest : EACH));
        error = OK;
        for (unsigned i = 0; i < WHILE_EACH && (error = reader_next(r, &e, &why)) == OK; i++)
            CHECK("what is read is right", kit_is(&e, e.position));
        CHECK("nothing is missing", error == OK || error == ERR_AGAIN);
        if (error != OK && error != ERR_AGAIN)
            (void)fprintf(stderr, "%s: %s\n", why.field, why.reason);
        reader_close(r);
    }
    atomic_store(&w.is_enough, true);
    check(pthread_join(writer, NULL) == 0);
    CHECK("all was taken", !atomic_load(&w.is_refused));
    eventlog_close(w.log);
    kit_end();
}

/* What is given back in the middle of a batch is read again, forwards and backwards. */
static void test_trim(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct eventlog *l = kit_open(&o);
    for (unsigned i = 0; i < 4; i++)
        CHECK("written", kit_batch(l, EACH));
    struct log_reader *r = open_reader();
    struct event e = {0};
    reader_trim(r);
    for (uint64_t n = 1; n <= 4 * EACH; n++) {
        CHECK("read on", reader_next(r, &e, NULL) == OK && kit_is(&e, n));
        reader_trim(r);
    }
    CHECK("the end", reader_next(r, &e, NULL) == ERR_AGAIN);
    for (uint64_t n = 4 * EACH; n > 0; n--) {
        CHECK("and back", reader_prev(r, &e, NULL) == OK && kit_is(&e, n));
        reader_trim(r);
    }
    reader_close(r);
    eventlog_close(l);
    kit_end();
}

static void test_no_log(void)
{
    kit_begin();
    struct log_reader *r = NULL;
    struct fault why = {0};
    CHECK("a folder without a log", reader_open(str_of(kit_dir), &r, &why) == ERR_UNKNOWN && why.reason[0] != 0);
    char path[KIT_PATH_MAX];
    kit_path(path, "nothing");
    CHECK("no folder", reader_open(str_of(path), &r, &why) == ERR_UNKNOWN);
    reader_close(NULL);
    kit_end();
}

int main(void)
{
    test_ways();
    test_follow();
    test_come_and_go();
    test_trim();
    test_no_log();
    return CHECK_REPORT();
}
