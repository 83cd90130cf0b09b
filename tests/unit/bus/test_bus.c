/* Consumers on a real log and a real database: order, failures, parking, dead letters, crashes in the middle. The clock
 * is the test's; all but one test run on this thread by bus_catch_up. */
#include "check.h"
#include "place.h"
#include "base/log.h"
#include "bus/bus.h"
#include "eventlog/segment.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 64
#define EXIT_CRASH 42
#define PATIENCE_S 60

static char base[PLACE_MAX], log_dir[PLACE_PATH_MAX], db_path[PLACE_PATH_MAX];
static int fixture_count;
static _Atomic int64_t now_us = 1700000000000000;

static int64_t clock_us(void)
{
    return now_us;
}

/* ---- a consumer that writes down what it sees, and fails where it is told ---- */

struct probe {
    int fails[EVENTS_MAX + 1]; /* by position: so many times yet; -1 for ever */
    uint64_t crash_at;         /* the process ends in the middle of this one; 0 never */
    int begun, undone, ticks;
    bool is_tick_bad, is_end_bad;
    unsigned gathered;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint64_t committed;
};

#define TOPIC_PROBE ((enum topic)200)
#define TOPIC_OTHER ((enum topic)201)

static enum err probe_event(void *state, struct db *d, const struct event *e, struct fault *why)
{
    struct probe *p = state;
    const struct uuid id = event_id(e);
    enum err result =
        DB_RUN(d, "INSERT INTO effects(station, position, payload, id) VALUES (?1,?2,?3,?4)", db_text(e->station),
               db_int((int64_t)e->position), db_text(e->payload), db_blob((struct bytes){id.at, sizeof id.at}));
    if (e->position == p->crash_at)
        _exit(EXIT_CRASH);
    if (result != OK)
        return result;
    if (e->position <= EVENTS_MAX && p->fails[e->position] != 0) {
        p->fails[e->position] -= p->fails[e->position] > 0 ? 1 : 0;
        fault_set(why, STR("payload"), "told to fail");
        return ERR_RANGE;
    }
    return outbox_put(d, TOPIC_PROBE, e->station, id, STR("probe.seen"), e->received,
                      (struct bytes){(const uint8_t *)e->payload.at, e->payload.len});
}

static enum err probe_tick(void *state, struct db *d, struct instant now, struct fault *why)
{
    struct probe *p = state;
    p->ticks++;
    enum err e = DB_RUN(d, "INSERT INTO ticks(at) VALUES (?1)", db_time(now));
    if (e == OK && p->is_tick_bad) {
        fault_set(why, STR("tick"), "told to fail");
        return ERR_STATE;
    }
    return e;
}

static enum err probe_begin(void *state, struct db *d)
{
    (void)d;
    struct probe *p = state;
    p->begun++;
    p->gathered = 0;
    return OK;
}

static enum err probe_gather(void *state, struct db *d, const struct event *e, struct fault *why)
{
    struct probe *p = state;
    p->gathered++;
    return probe_event(state, d, e, why);
}

/* Fails for a batch of more than one, if told so. */
static enum err probe_end(void *state, struct db *d, struct fault *why)
{
    (void)d;
    struct probe *p = state;
    if (!p->is_end_bad || p->gathered <= 1)
        return OK;
    fault_set(why, STR("batch"), "told to fail");
    return ERR_RANGE;
}

static void probe_undone(void *state)
{
    struct probe *p = state;
    p->undone++;
    p->gathered = 0;
}

static void probe_committed(void *state, uint64_t position)
{
    struct probe *p = state;
    (void)pthread_mutex_lock(&p->lock);
    p->committed = position;
    (void)pthread_cond_broadcast(&p->moved);
    (void)pthread_mutex_unlock(&p->lock);
}

/* ---- a log, a database, a bus ---- */

struct fixture {
    struct eventlog *log;
    struct bus *bus;
    struct db *reader;
    struct probe probe;
    struct consumer consumer;
    struct bus_options options;
};

static struct eventlog *log_open(void)
{
    struct eventlog_options o = eventlog_options_default();
    struct eventlog *l = NULL;
    struct fault why = {{0}, {0}};
    o.dir = str_of(log_dir);
    o.gateway_id = STR("gateway-1");
    o.sync = false;
    enum err e = eventlog_open(&o, &l, &why);
    CHECK("the log opens", e == OK);
    if (e != OK) {
        (void)fprintf(stderr, "%s: %s\n", why.field, why.reason);
        exit(1);
    }
    return l;
}

static void fixture_fresh(void)
{
    fixture_count++;
    (void)snprintf(log_dir, sizeof log_dir, "%s/%d", base, fixture_count);
    (void)snprintf(db_path, sizeof db_path, "%s/%d.db", base, fixture_count);
    struct db *d = NULL;
    struct fault why;
    CHECK("the store is made", db_open(db_path, DB_WRITER, &d, &why) == OK);
    CHECK("its tables",
          DB_RUN(d, "CREATE TABLE effects(n INTEGER PRIMARY KEY AUTOINCREMENT, station TEXT, position INTEGER UNIQUE, "
                    "payload TEXT, id BLOB)") == OK &&
              DB_RUN(d, "CREATE TABLE ticks(at INTEGER)") == OK);
    db_close(d);
}

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.consumer = {.name = "probe", .on_event = probe_event, .on_tick = probe_tick,
                                       .on_batch_undone = probe_undone, .on_committed = probe_committed}};
    f->consumer.wants[EVENT_HEARTBEAT] = true;
    f->consumer.state = &f->probe;
    f->options = bus_options_default();
    f->options.clock_us = clock_us;
    (void)pthread_mutex_init(&f->probe.lock, NULL);
    (void)pthread_cond_init(&f->probe.moved, NULL);
}

static void fixture_open(struct fixture *f)
{
    struct fault why = {{0}, {0}};
    f->log = log_open();
    f->options.log = f->log;
    f->options.log_dir = str_of(log_dir);
    f->options.db_path = db_path;
    f->options.consumers = &f->consumer;
    f->options.consumer_count = 1;
    enum err e = bus_open(&f->options, &f->bus, &why);
    CHECK("the bus opens", e == OK);
    if (e != OK) {
        (void)fprintf(stderr, "%s: %s\n", why.field, why.reason);
        exit(1);
    }
    CHECK("a reader opens", db_open(db_path, DB_READER, &f->reader, &why) == OK);
}

static void fixture_close(struct fixture *f)
{
    db_close(f->reader);
    bus_close(f->bus);
    eventlog_close(f->log);
}

static void append(struct eventlog *l, const char *station, enum event_type type)
{
    char payload[64];
    (void)snprintf(payload, sizeof payload, "{\"n\":%llu}", (unsigned long long)eventlog_position(l) + 1);
    struct event e = {.type = type, .station = str_of(station), .received = {now_us}, .device_time = INSTANT_NONE,
                      .payload = str_of(payload)};
    CHECK("an event is appended", eventlog_append(l, &e) == OK);
}

static void make_durable(struct eventlog *l)
{
    eventlog_commit(l);
    while (eventlog_durable(l) < eventlog_position(l))
        eventlog_wait(l, eventlog_durable(l), 1000);
}

/* "a b a c": one event a word, of that station. */
static void append_all(struct eventlog *l, const char *stations)
{
    for (const char *s = stations; *s != '\0'; s++)
        if (*s != ' ')
            append(l, (char[]){*s, '\0'}, EVENT_HEARTBEAT);
    make_durable(l);
}

static void catch_up(struct fixture *f)
{
    struct fault why = {{0}, {0}};
    CHECK("it catches up", bus_catch_up(f->bus, &why) == OK);
}

/* The effects in the order in which they were made: "a1 b2 a3". */
static const char *effects(struct fixture *f)
{
    static char text[1024];
    size_t len = 0;
    struct db_rows *r = DB_ROWS(f->reader, "SELECT station, position FROM effects ORDER BY n");
    text[0] = '\0';
    while (db_next(r) && len < sizeof text - 32)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s%lld", len == 0 ? "" : " ",
                                STR_ARG(db_col_text(r, 0)), (long long)db_col_int(r, 1));
    CHECK("effects are read", db_rows_end(r) == OK);
    return text;
}

static int64_t number(struct fixture *f, const char *sql)
{
    struct db_rows *r = db_rows_dynamic(f->reader, str_of(sql), NULL, 0);
    int64_t n = db_next(r) ? db_col_int(r, 0) : -1;
    CHECK(sql, db_rows_end(r) == OK);
    return n;
}

static struct consumer_status status(struct fixture *f)
{
    struct consumer_status s;
    bus_status(f->bus, 0, &s);
    return s;
}

/* ---- the tests ---- */

static void test_plain(void)
{
    struct fixture f;
    fixture_fresh();
    fixture_init(&f);
    fixture_open(&f);
    append_all(f.log, "a b a c");
    append(f.log, "a", EVENT_FRAME);
    append(f.log, "b", EVENT_HEARTBEAT);
    append(f.log, "b", EVENT_FRAME);
    make_durable(f.log);
    CHECK("it lags", status(&f).lag_events == 7 && status(&f).position == 0);
    catch_up(&f);
    CHECK("in order, what is wanted", strcmp(effects(&f), "a1 b2 a3 c4 b6") == 0);
    CHECK("it is drained", status(&f).lag_events == 0 && status(&f).lag_ms == 0 && status(&f).position == 7);
    CHECK("counted", status(&f).events == 5 && status(&f).batches == 1 && status(&f).errors == 0);
    CHECK("running", strcmp(status(&f).state, "running") == 0);
    CHECK("told", f.probe.committed == 7);
    CHECK("cursor past what is not wanted", number(&f, "SELECT position FROM consumers") == 7);
    catch_up(&f);
    CHECK("nothing twice", strcmp(effects(&f), "a1 b2 a3 c4 b6") == 0);
    fixture_close(&f);
    fixture_open(&f);
    append_all(f.log, "a");
    catch_up(&f);
    CHECK("it goes on where it was", strcmp(effects(&f), "a1 b2 a3 c4 b6 a8") == 0);
    CHECK("no undoing", f.probe.undone == 0);
    fixture_close(&f);
}

static void test_parking(void)
{
    struct fixture f;
    fixture_fresh();
    fixture_init(&f);
    fixture_open(&f);
    f.probe.fails[2] = 4; /* the fast way, the slow way, two tries of the parked one */
    append_all(f.log, "a a b a b");
    catch_up(&f);
    CHECK("others go on, its own wait", strcmp(effects(&f), "a1 b3 b5") == 0);
    CHECK("retrying",
          strcmp(status(&f).state, "retrying") == 0 && strstr(status(&f).last_error, "told to fail") != NULL);
    CHECK("two wait", number(&f, "SELECT count(*) FROM parked") == 2);
    CHECK("one of them is due", number(&f, "SELECT position FROM parked WHERE next_try_at IS NOT NULL") == 2);
    append_all(f.log, "a b");
    catch_up(&f);
    CHECK("a later one waits too", strcmp(effects(&f), "a1 b3 b5 b7") == 0);
    now_us += 199000;
    catch_up(&f);
    CHECK("not before its time", f.probe.fails[2] == 2);
    now_us += 1000;
    catch_up(&f);
    CHECK("tried at its time",
          f.probe.fails[2] == 1 && number(&f, "SELECT attempts FROM parked WHERE position=2") == 2);
    now_us += 200000;
    catch_up(&f);
    CHECK("the pause has doubled", f.probe.fails[2] == 1);
    fixture_close(&f);
    fixture_open(&f); /* parked events outlive the process */
    CHECK("still retrying", strcmp(status(&f).state, "retrying") == 0);
    append_all(f.log, "a b");
    now_us += 200000;
    catch_up(&f);
    CHECK("tried a third time", f.probe.fails[2] == 0);
    CHECK("still behind", strcmp(effects(&f), "a1 b3 b5 b7 b9") == 0);
    now_us += 800000;
    catch_up(&f);
    CHECK("in order per station, once", strcmp(effects(&f), "a1 b3 b5 b7 b9 a2 a4 a6 a8") == 0);
    CHECK("nothing waits", number(&f, "SELECT count(*) FROM parked") == 0 && strcmp(status(&f).state, "running") == 0);
    CHECK("with its id", number(&f, "SELECT count(*) FROM effects e JOIN outbox o ON o.event_id=e.id") == 9);
    append_all(f.log, "a");
    catch_up(&f);
    CHECK("it goes on", strcmp(effects(&f), "a1 b3 b5 b7 b9 a2 a4 a6 a8 a10") == 0);
    fixture_close(&f);
}

static int64_t letter_id;
static enum err letter_result;
static enum err retry_letter(struct db *d, void *arg, struct fault *why)
{
    (void)arg;
    (void)why;
    return letter_result = dead_letter_retry(d, letter_id);
}
static enum err discard_letter(struct db *d, void *arg, struct fault *why)
{
    (void)arg;
    (void)why;
    return letter_result = dead_letter_discard(d, letter_id);
}

static void let_die(struct fixture *f)
{
    for (int i = 0; i < f->options.attempts_max; i++) {
        catch_up(f);
        now_us += 60000000;
    }
    catch_up(f);
}

static void test_dead_letters(void)
{
    struct fixture f;
    struct fault why;
    fixture_fresh();
    fixture_init(&f);
    fixture_open(&f);
    f.probe.fails[1] = f.probe.fails[3] = f.probe.fails[5] = -1;
    append_all(f.log, "a b a a c a");
    let_die(&f);
    let_die(&f); /* two of one station die one after the other */
    CHECK("the stations go on", strcmp(effects(&f), "b2 a4 a6") == 0);
    CHECK("three letters", number(&f, "SELECT count(*) FROM dead_letters") == 3 && status(&f).dead_letters == 3);
    CHECK("after five tries each", number(&f, "SELECT count(*) FROM dead_letters WHERE attempts=5") == 3);
    CHECK("with their reason",
          number(&f,
                 "SELECT count(*) FROM dead_letters WHERE error LIKE '%payload: told to fail' AND consumer='probe' AND "
                 "event_type='heartbeat.received' AND first_failed_at<last_failed_at") == 3);
    CHECK("as published",
          number(&f, "SELECT count(*) FROM dead_letters WHERE station='a' AND event_json LIKE '{\"eventId\":%'") == 2);
    CHECK("nothing waits", number(&f, "SELECT count(*) FROM parked") == 0 && strcmp(status(&f).state, "running") == 0);

    letter_id = number(&f, "SELECT dead_letter_id FROM dead_letters WHERE position=1");
    f.probe.fails[1] = 0;
    CHECK("a retry is taken", bus_write(f.bus, retry_letter, NULL, &why) == OK);
    catch_up(&f);
    CHECK("and works", strcmp(effects(&f), "b2 a4 a6 a1") == 0 && number(&f, "SELECT count(*) FROM dead_letters") == 2);
    CHECK("only once", bus_write(f.bus, retry_letter, NULL, &why) == ERR_UNKNOWN && letter_result == ERR_UNKNOWN);
    CHECK("it leaves nothing", number(&f, "SELECT count(*) FROM parked") == 0);

    letter_id = number(&f, "SELECT dead_letter_id FROM dead_letters WHERE position=3");
    CHECK("one that fails again", bus_write(f.bus, retry_letter, NULL, &why) == OK);
    append_all(f.log, "a");
    catch_up(&f);
    CHECK("holds its station", strcmp(effects(&f), "b2 a4 a6 a1") == 0);
    let_die(&f);
    CHECK("until it is given up again", strcmp(effects(&f), "b2 a4 a6 a1 a7") == 0);
    CHECK("as a letter again", number(&f, "SELECT count(*) FROM dead_letters") == 2);

    letter_id = number(&f, "SELECT dead_letter_id FROM dead_letters WHERE position=3");
    CHECK("discarded", bus_write(f.bus, discard_letter, NULL, &why) == OK);
    CHECK("once", bus_write(f.bus, discard_letter, NULL, &why) == ERR_UNKNOWN);
    CHECK("one is left", number(&f, "SELECT position FROM dead_letters") == 5);
    fixture_close(&f);
}

/* A letter that is retried while a later event of its station has failed goes before it. */
static void test_letter_before_parked(void)
{
    struct fixture f;
    struct fault why;
    fixture_fresh();
    fixture_init(&f);
    fixture_open(&f);
    f.probe.fails[1] = f.probe.fails[2] = -1;
    append_all(f.log, "a a a");
    for (int i = 0; i < 4; i++) {
        catch_up(&f);
        now_us += 60000000;
    }
    catch_up(&f);
    CHECK("the first is given up", number(&f, "SELECT position FROM dead_letters") == 1);
    CHECK("the second has failed", number(&f, "SELECT position FROM parked WHERE attempts>0") == 2);
    letter_id = number(&f, "SELECT dead_letter_id FROM dead_letters");
    CHECK("retry", bus_write(f.bus, retry_letter, NULL, &why) == OK);
    CHECK("one of the station is due", number(&f, "SELECT count(*) FROM parked WHERE next_try_at IS NOT NULL") == 1);
    f.probe.fails[1] = f.probe.fails[2] = 0;
    catch_up(&f);
    CHECK("in order", strcmp(effects(&f), "a1 a2 a3") == 0);
    CHECK("nothing waits", number(&f, "SELECT count(*) FROM parked") == 0);

    f.probe.fails[4] = f.probe.fails[5] = -1; /* the older one waits still when the younger letter is retried */
    append_all(f.log, "b b");
    let_die(&f);
    let_die(&f);
    CHECK("both are given up", number(&f, "SELECT count(*) FROM dead_letters") == 2);
    letter_id = number(&f, "SELECT dead_letter_id FROM dead_letters WHERE position=4");
    CHECK("retry of the older", bus_write(f.bus, retry_letter, NULL, &why) == OK);
    letter_id = number(&f, "SELECT dead_letter_id FROM dead_letters WHERE position=5");
    CHECK("and of the younger", bus_write(f.bus, retry_letter, NULL, &why) == OK);
    CHECK("the older is first", number(&f, "SELECT position FROM parked WHERE next_try_at IS NOT NULL") == 4);
    f.probe.fails[4] = f.probe.fails[5] = 0;
    catch_up(&f);
    CHECK("in order again", strcmp(effects(&f), "a1 a2 a3 b4 b5") == 0);
    fixture_close(&f);
}

static void test_first_try_is_last(void)
{
    struct fixture f;
    fixture_fresh();
    fixture_init(&f);
    f.options.attempts_max = 1;
    fixture_open(&f);
    f.probe.fails[2] = -1;
    append_all(f.log, "a a a");
    catch_up(&f);
    CHECK("given up at once",
          strcmp(effects(&f), "a1 a3") == 0 && number(&f, "SELECT position FROM dead_letters") == 2);
    fixture_close(&f);
}

static void test_parked_max(void)
{
    struct fixture f;
    fixture_fresh();
    fixture_init(&f);
    f.options.parked_max = 3;
    fixture_open(&f);
    f.probe.fails[1] = 3;
    append_all(f.log, "a a a a a b");
    catch_up(&f);
    CHECK("it stands", strcmp(status(&f).state, "standing") == 0 && number(&f, "SELECT count(*) FROM parked") == 3);
    CHECK("with its cursor before the rest", status(&f).position == 3 && status(&f).lag_events == 3);
    now_us += 5000000;
    CHECK("and the lag is seen", status(&f).lag_ms == 5000);
    catch_up(&f);
    now_us += 5000000;
    catch_up(&f);
    CHECK("then goes on, nothing lost", strcmp(effects(&f), "a1 a2 a3 a4 a5 b6") == 0);
    CHECK("running", strcmp(status(&f).state, "running") == 0 && status(&f).lag_events == 0);
    fixture_close(&f);
}

/* Runs in a child, which ends inside the handler of one event; the parent has nothing open. */
static void crash_at(uint64_t position, int fails_at)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct fixture f;
        struct fault why;
        fixture_init(&f);
        f.probe.crash_at = position;
        f.probe.fails[fails_at] = -1;
        f.options.batch_max = 4;
        fixture_open(&f);
        enum err e = bus_catch_up(f.bus, &why);
        now_us += 60000000;
        if (e == OK)
            e = bus_catch_up(f.bus, &why);
        _exit(e == OK ? 0 : 1);
    }
    int how = 0;
    CHECK("the child ends", pid > 0 && waitpid(pid, &how, 0) == pid);
    CHECK("in the handler", WIFEXITED(how) && WEXITSTATUS(how) == EXIT_CRASH);
}

static void test_crash(void)
{
    fixture_fresh();
    struct eventlog *l = log_open();
    append_all(l, "a b a c b a c b");
    eventlog_close(l);
    static const uint64_t positions[] = {1, 2, 3, 5,
                                         6, 8, 4}; /* 7 waits behind 4, which is parked when its turn to crash comes */
    for (size_t i = 0; i < COUNT_OF(positions); i++)
        crash_at(positions[i], 4);
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    now_us += 120000000;
    catch_up(&f);
    CHECK("nothing lost", number(&f, "SELECT count(DISTINCT position) FROM effects") == 8);
    CHECK("nothing doubled", number(&f, "SELECT count(*) FROM effects") == 8);
    CHECK("in order per station", number(&f, "SELECT count(*) FROM effects x JOIN effects y ON x.station=y.station "
                                             "WHERE x.n<y.n AND x.position>y.position") == 0);
    CHECK("nothing given up", number(&f, "SELECT count(*) FROM dead_letters") == 0);
    CHECK("outbox once each, no gap", number(&f, "SELECT count(*) FROM outbox") == 8 &&
                                          number(&f, "SELECT max(position) FROM outbox") == 8);
    fixture_close(&f);
}

static enum err set_pages(struct db *d, void *arg, struct fault *why)
{
    (void)why;
    struct db_rows *r =
        *(bool *)arg ? DB_ROWS(d, "PRAGMA max_page_count=100000") : DB_ROWS(d, "PRAGMA max_page_count=1");
    (void)db_next(r); /* 1: as many as there are */
    return db_rows_end(r);
}

static void test_store_refuses(void)
{
    enum { EVENTS = 100 }; /* whose rows need more than a page */
    struct fixture f;
    struct fault why = {{0}, {0}};
    bool is_large = false;
    fixture_fresh();
    fixture_init(&f);
    fixture_open(&f);
    CHECK("a full disk", bus_write(f.bus, set_pages, &is_large, &why) == OK);
    for (int i = 0; i < EVENTS; i++)
        append(f.log,
               "a-station-with-a-name-so-long-that-its-rows-soon-need-another-page-of-the-database-file-which-there-is-"
               "not",
               EVENT_HEARTBEAT);
    make_durable(f.log);
    CHECK("is told", bus_catch_up(f.bus, &why) == ERR_FULL && why.reason[0] != '\0');
    CHECK("it stands", strcmp(status(&f).state, "standing") == 0);
    CHECK("no event is blamed",
          number(&f, "SELECT count(*) FROM parked") == 0 && number(&f, "SELECT count(*) FROM dead_letters") == 0);
    CHECK("what was gathered is forgotten", f.probe.undone > 0);
    is_large = true;
    CHECK("it heals", bus_write(f.bus, set_pages, &is_large, &why) == OK);
    catch_up(&f);
    CHECK("not at once", number(&f, "SELECT count(*) FROM effects") < EVENTS);
    now_us += 1000000;
    catch_up(&f);
    CHECK("all is done once", number(&f, "SELECT count(*) FROM effects") == EVENTS && status(&f).lag_events == 0);
    CHECK("running", strcmp(status(&f).state, "running") == 0);
    fixture_close(&f);
}

static void test_gathering(void)
{
    struct fixture f;
    fixture_fresh();
    fixture_init(&f);
    f.consumer.on_event = probe_gather;
    f.consumer.on_batch_begin = probe_begin;
    f.consumer.on_batch_end = probe_end;
    f.probe.is_end_bad = true;
    fixture_open(&f);
    append_all(f.log, "a b c");
    catch_up(&f);
    CHECK("done again one by one", strcmp(effects(&f), "a1 b2 c3") == 0 && f.probe.begun == 4);
    CHECK("the batch was undone", f.probe.undone == 1);
    CHECK("no event is blamed", status(&f).errors == 0);
    fixture_close(&f);
}

static void test_tick(void)
{
    struct fixture f;
    fixture_fresh();
    fixture_init(&f);
    fixture_open(&f);
    catch_up(&f);
    CHECK("it ticks", f.probe.ticks == 1 && number(&f, "SELECT count(*) FROM ticks") == 1);
    CHECK("with the time", number(&f, "SELECT at FROM ticks") == now_us);
    f.probe.is_tick_bad = true;
    catch_up(&f);
    CHECK("one that fails leaves nothing", f.probe.ticks == 2 && number(&f, "SELECT count(*) FROM ticks") == 1);
    CHECK("and is told", status(&f).errors == 1 && f.probe.undone == 1);
    fixture_close(&f);
}

static void test_other_log(void)
{
    struct fixture f;
    struct fault why = {{0}, {0}};
    fixture_fresh();
    fixture_init(&f);
    fixture_open(&f);
    append_all(f.log, "a b");
    catch_up(&f);
    fixture_close(&f);
    (void)snprintf(log_dir, sizeof log_dir, "%s/other", base);
    f.log = log_open();
    f.options.log = f.log;
    f.options.log_dir = str_of(log_dir);
    CHECK("a store is not read on with another log", bus_open(&f.options, &f.bus, &why) == ERR_CORRUPT);
    CHECK("and it says so", strcmp(why.field, "probe") == 0 && strstr(why.reason, "another log") != NULL);
    eventlog_close(f.log);
}

/* A batch of the log that is damaged is told and stepped over: what lies behind it is not held up. */
static void test_damaged_log(void)
{
    const struct segment_options o = {str_of(log_dir), &log_files_system, false};
    struct fixture f;
    struct segment *s = NULL;
    struct batch_row row = {0};
    char path[SEGMENT_PATH_MAX], byte = 0;
    fixture_fresh();
    struct eventlog *l = log_open();
    append_all(l, "a b");
    append_all(l, "a");
    append_all(l, "b");
    eventlog_close(l);
    CHECK("the segment", segment_open(&o, 1, SEGMENT_TO_READ, &s, NULL) == OK && segment_look(s, NULL, UINT64_MAX, NULL) == OK);
    CHECK("has the batch", segment_find(s, SEGMENT_FLOOR, 3, &row, NULL) == OK && row.head.first == 3);
    CHECK("in a file", segment_path(o.dir, s->name, "", path) == OK);
    segment_close(s);
    int fd = open(path, O_RDWR);
    const off_t at = (off_t)row.offset + BATCH_HEAD_SIZE;
    CHECK("that can be read", pread(fd, &byte, 1, at) == 1);
    byte ^= 1;
    CHECK("and is damaged", pwrite(fd, &byte, 1, at) == 1 && close(fd) == 0);
    fixture_init(&f);
    fixture_open(&f);
    catch_up(&f);
    CHECK("the rest is done", strcmp(effects(&f), "a1 b2 b4") == 0 && status(&f).position == 4);
    CHECK("and it is told", status(&f).errors == 1 && status(&f).last_error[0] != '\0');
    fixture_close(&f);
}

static enum err damage_record(struct db *d, void *arg, struct fault *why)
{
    (void)arg;
    (void)why;
    return DB_RUN(d, "UPDATE parked SET record=x'00' WHERE attempts>0");
}

static void test_damaged_record(void)
{
    struct fixture f;
    struct fault why;
    fixture_fresh();
    fixture_init(&f);
    fixture_open(&f);
    f.probe.fails[1] = 2;
    append_all(f.log, "a a b");
    catch_up(&f);
    CHECK("a parked one is damaged", bus_write(f.bus, damage_record, NULL, &why) == OK);
    let_die(&f);
    CHECK("it is given up, and its station goes on", strcmp(effects(&f), "b3 a2") == 0);
    CHECK("with its reason", number(&f, "SELECT count(*) FROM dead_letters WHERE position=1 AND error LIKE '%record%'") == 1);
    fixture_close(&f);
}

static enum err ask_synchronous(struct db *d, void *arg, struct fault *why)
{
    (void)why;
    struct db_rows *r = DB_ROWS(d, "PRAGMA synchronous");
    if (db_next(r))
        *(int64_t *)arg = db_col_int(r, 0);
    return db_rows_end(r);
}

static enum err event_asks(void *state, struct db *d, const struct event *e, struct fault *why)
{
    (void)e;
    return ask_synchronous(d, state, why);
}

/* What a person asked for is on disk when it is answered; what follows from the log may follow from it again. */
static void test_durability(void)
{
    struct fixture f;
    struct fault why;
    int64_t of_write = -1, of_event = -1;
    fixture_fresh();
    fixture_init(&f);
    f.consumer = (struct consumer){.name = "probe", .on_event = event_asks, .state = &of_event};
    f.consumer.wants[EVENT_HEARTBEAT] = true;
    fixture_open(&f);
    CHECK("a write", bus_write(f.bus, ask_synchronous, &of_write, &why) == OK && of_write == 2);
    append_all(f.log, "a");
    catch_up(&f);
    CHECK("an event", of_event == 1);
    fixture_close(&f);
}

static enum err put_three(struct db *d, void *arg, struct fault *why)
{
    (void)why;
    enum err e = OK;
    for (uint8_t i = 0; i < 3 && e == OK; i++)
        e = outbox_put(d, TOPIC_PROBE, STR("k"), (struct uuid){{i, *(uint8_t *)arg}}, STR("x"), (struct instant){i},
                       (struct bytes){(const uint8_t *)"{}", 2});
    struct outbox other;
    outbox_init(&other, TOPIC_OTHER);
    for (uint8_t i = 0; i < 2 && e == OK; i++) /* the same id in another topic is another event, and there it is put twice */
        e = outbox_append(&other, d, STR("o"), (struct uuid){{0, *(uint8_t *)arg}}, STR("y"), (struct instant){7},
                          (struct bytes){(const uint8_t *)"{}", 2});
    if (e == OK)
        e = outbox_append(&other, d, STR("o"), (struct uuid){{1, *(uint8_t *)arg}}, STR("y"), (struct instant){7},
                          (struct bytes){(const uint8_t *)"{}", 2});
    if (e == OK)
        e = outbox_write(&other, d);
    outbox_release(&other);
    return e == OK && *(uint8_t *)arg == 2 ? ERR_STATE : e;
}

static void test_outbox(void)
{
    struct fixture f;
    struct fault why;
    fixture_fresh();
    fixture_init(&f);
    fixture_open(&f);
    static const uint8_t rounds[] = {1, 1, 2, 3};
    for (size_t i = 0; i < COUNT_OF(rounds); i++) {
        uint8_t round = rounds[i];
        CHECK("put", bus_write(f.bus, put_three, &round, &why) == (round == 2 ? ERR_STATE : OK));
    }
    struct db_rows *r = topic_read(f.reader, TOPIC_PROBE, 1, 4);
    struct topic_message m;
    uint64_t want = 2;
    while (db_next(r)) {
        topic_row(r, &m);
        CHECK("no gap, what was undone took no place", m.position == want);
        CHECK("each id once", m.id.at[0] == (want - 1) % 3 && m.id.at[1] == (want <= 3 ? 1 : 3));
        CHECK("as it was put", str_eq(m.key, STR("k")) && str_eq(m.type, STR("x")) && m.body.len == 2 && memcmp(m.body.at, "{}", 2) == 0 &&
                                   m.at.us == m.id.at[0]);
        want++;
    }
    CHECK("at most so many", db_rows_end(r) == OK && want == 6);
    CHECK("six in all", number(&f, "SELECT count(*) FROM outbox WHERE topic=200") == 6);
    CHECK("four in the other", number(&f, "SELECT count(*) FROM outbox WHERE topic=201") == 4 &&
                                   number(&f, "SELECT max(position) FROM outbox WHERE topic=201") == 4);
    struct db_rows *other = topic_read(f.reader, TOPIC_OTHER, 0, 10);
    for (want = 1; db_next(other); want++) {
        topic_row(other, &m);
        CHECK("a topic of its own", m.position == want && str_eq(m.key, STR("o")));
    }
    CHECK("and no more", db_rows_end(other) == OK && want == 5);
    CHECK("topics have names", str_eq(topic_name(TOPIC_SESSIONS), STR("charging.session.events")) &&
                                   topic_name(TOPIC_PROBE).at == NULL);
    fixture_close(&f);
}

#define MANY 200 /* more than go in together */

struct many {
    struct outbox outbox;
    unsigned first, step;
};

/* Every step-th of MANY ids, from the first on. */
static enum err put_many(struct db *d, void *arg, struct fault *why)
{
    struct many *m = arg;
    enum err e = OK;
    (void)why;
    for (unsigned i = m->first; i < MANY && e == OK; i += m->step) {
        char key[8];
        (void)snprintf(key, sizeof key, "%u", i);
        e = outbox_append(&m->outbox, d, str_of(key), (struct uuid){{(uint8_t)i}}, STR("z"), (struct instant){i},
                          (struct bytes){(const uint8_t *)key, 1});
    }
    return e == OK ? outbox_write(&m->outbox, d) : e;
}

/* Ids that are there already take no place, wherever among the others they come. */
static void test_outbox_gathers(void)
{
    struct fixture f;
    struct fault why;
    struct many m = {.first = 0};
    uint64_t position = 0;
    fixture_fresh();
    fixture_init(&f);
    fixture_open(&f);
    outbox_init(&m.outbox, TOPIC_PROBE);
    static const unsigned steps[] = {40, 3, 2, 1, 1};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        m.step = steps[i];
        CHECK("put", bus_write(f.bus, put_many, &m, &why) == OK);
        if (i % 2 == 0)
            outbox_forget(&m.outbox);
    }
    CHECK("each id once, no gap", number(&f, "SELECT count(*) FROM outbox") == MANY &&
                                      number(&f, "SELECT max(position) FROM outbox") == MANY &&
                                      number(&f, "SELECT count(DISTINCT event_id) FROM outbox") == MANY);
    uint8_t want[MANY]; /* in the order in which they were put first */
    bool is_put[MANY] = {false};
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        for (unsigned id = 0; id < MANY; id += steps[i])
            if (!is_put[id]) {
                is_put[id] = true;
                want[count++] = (uint8_t)id;
            }
    struct db_rows *r = topic_read(f.reader, TOPIC_PROBE, 0, MANY + 1);
    struct topic_message got;
    while (db_next(r) && position < count) {
        topic_row(r, &got);
        const uint8_t id = want[position];
        CHECK("as it was put", got.position == ++position && got.id.at[0] == id && got.at.us == id && got.key.at[0] == got.body.at[0]);
    }
    CHECK("all of them", db_rows_end(r) == OK && position == MANY);
    outbox_release(&m.outbox);
    fixture_close(&f);
}

/* ---- with its thread ---- */

#define WRITERS 4
#define WRITES  50

static enum err write_one(struct db *d, void *arg, struct fault *why)
{
    int n = *(int *)arg;
    enum err e = DB_RUN(d, "INSERT INTO ticks(at) VALUES (?1)", db_int(n));
    if (e == OK && n % 5 == 0) {
        fault_set(why, STR("n"), "told to fail");
        return ERR_DENIED;
    }
    return e;
}

static void *writer(void *data)
{
    struct fixture *f = data;
    long wrong = 0;
    for (int n = 1; n <= WRITES; n++) {
        struct fault why = {{0}, {0}};
        enum err e = bus_write(f->bus, write_one, &n, &why);
        wrong += e != (n % 5 == 0 ? ERR_DENIED : OK) || (n % 5 == 0) != (why.reason[0] != '\0');
    }
    return (void *)wrong; /* NOLINT: a small number */
}

static void test_thread(void)
{
    struct fixture f;
    pthread_t threads[WRITERS];
    fixture_fresh();
    fixture_init(&f);
    f.consumer.on_tick = NULL;
    fixture_open(&f);
    CHECK("it starts", bus_start(f.bus) == OK);
    for (size_t i = 0; i < WRITERS; i++)
        CHECK("a writer starts", pthread_create(&threads[i], NULL, writer, &f) == 0);
    for (int i = 0; i < 500; i++) {
        append(f.log, "a", EVENT_HEARTBEAT);
        append(f.log, "b", EVENT_HEARTBEAT);
        if (i % 50 == 0)
            eventlog_commit(f.log);
    }
    eventlog_commit(f.log);
    for (size_t i = 0; i < WRITERS; i++) {
        void *wrong = NULL;
        CHECK("a writer ends", pthread_join(threads[i], &wrong) == 0 && wrong == NULL);
    }
    (void)pthread_mutex_lock(&f.probe.lock);
    while (f.probe.committed < 1000)
        (void)pthread_cond_wait(&f.probe.moved, &f.probe.lock);
    (void)pthread_mutex_unlock(&f.probe.lock);
    bus_stop(f.bus);
    CHECK("all events once", number(&f, "SELECT count(*) FROM effects") == 1000);
    CHECK("all writes but those refused", number(&f, "SELECT count(*) FROM ticks") == WRITERS * WRITES * 4 / 5);
    CHECK("the cursor is stored", number(&f, "SELECT position FROM consumers") == 1000);
    CHECK("it starts again", bus_start(f.bus) == OK);
    bus_stop(f.bus);
    bus_stop(f.bus);
    fixture_close(&f);
}

/* Waits no longer than a test may. */
static bool is_committed(struct probe *p, uint64_t position)
{
    struct timespec until;
    int code = 0;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    (void)pthread_mutex_lock(&p->lock);
    while (p->committed < position && code == 0)
        code = pthread_cond_timedwait(&p->moved, &p->lock, &until);
    bool is_there = p->committed >= position;
    (void)pthread_mutex_unlock(&p->lock);
    return is_there;
}

/* Under load it lets events come together, but not where someone waits for one, whether that is there already or not. */
static void test_hasten(void)
{
    struct fixture f;
    fixture_fresh();
    fixture_init(&f);
    f.options.gather_ms = 24 * 3600 * 1000;
    fixture_open(&f);
    CHECK("it starts", bus_start(f.bus) == OK);
    append_all(f.log, "abcdefghij");
    CHECK("a load comes", is_committed(&f.probe, 10));
    append_all(f.log, "a");
    bus_hasten(f.bus, 11);
    CHECK("one that is waited for", is_committed(&f.probe, 11));
    append_all(f.log, "abcdefghij");
    CHECK("a load again", is_committed(&f.probe, 21));
    bus_hasten(f.bus, 24);
    bus_hasten(f.bus, 22);
    append_all(f.log, "abcd");
    CHECK("one that was waited for before it came", is_committed(&f.probe, 25));
    append_all(f.log, "abcdefghij");
    CHECK("and a load", is_committed(&f.probe, 35));
    bus_stop(f.bus); /* while it gathers */
    fixture_close(&f);
}

int main(void)
{
    log_setup(-1, LOG_LEVEL_ERROR, false, NULL);
    place_make(base, "test_bus");
    test_plain();
    test_parking();
    test_dead_letters();
    test_letter_before_parked();
    test_first_try_is_last();
    test_parked_max();
    test_crash();
    test_store_refuses();
    test_gathering();
    test_tick();
    test_other_log();
    test_damaged_log();
    test_damaged_record();
    test_durability();
    test_outbox();
    test_outbox_gathers();
    test_thread();
    test_hasten();
    char command[PLACE_PATH_MAX];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", base);
    CHECK("cleaned up", system(command) == 0);
    return CHECK_REPORT();
}
