/* Consumers on a disk that refuses: each write, sync and truncation of the store in turn, once or from then on, whole
 * or torn, or the last that a process does. Once the disk is well again every event has had its effect exactly once, in
 * the order of its station, and the cursor says so; also for who opens the store anew. */
#include "check.h"
#include "faulty_disk.h"
#include "place.h"
#include "base/log.h"
#include "bus/bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS      40
#define STATIONS    3
#define BATCH       8
#define FAILS_AT    21  /* an event that fails twice whatever the disk does: undone, done alone, parked, tried again */
#define TURNS_MAX   200 /* of catching up, each later than the one before */
#define TURN_US     2000000
#define TOPIC_PROBE ((enum topic)200)

static char base[PLACE_MAX], log_dir[PLACE_PATH_MAX], db_path[PLACE_PATH_MAX];
static int64_t now_us = 1700000000000000;

static int64_t clock_us(void)
{
    return now_us;
}

struct probe {
    int fails;
    bool fails_in_store;         /* by a statement, in a transaction that has outgrown its cache */
    int64_t gathered[BATCH * 4]; /* positions, written at the end of the batch */
    size_t count;
};

static enum err probe_event(void *state, struct db *d, const struct event *e, struct fault *why)
{
    struct probe *p = state;
    const struct uuid id = event_id(e);
    if (e->position == FAILS_AT && p->fails > 0) {
        p->fails--;
        fault_set(why, STR("payload"), "told to fail");
        return p->fails_in_store ? DB_RUN(d, "INSERT INTO effects(position, station) VALUES (1, 'there already')")
                                 : ERR_RANGE;
    }
    check(p->count < COUNT_OF(p->gathered));
    p->gathered[p->count++] = (int64_t)e->position;
    if (p->fails_in_store) {
        const char ballast[9000] = {1};
        enum err small = DB_RUN(d, "PRAGMA cache_size=4");
        if (small == OK)
            small = DB_RUN(d, "INSERT INTO ballast(bytes) VALUES (?1)",
                           db_blob((struct bytes){(const uint8_t *)ballast, sizeof ballast}));
        if (small != OK)
            return small;
    }
    enum err result = DB_RUN(d, "INSERT INTO effects(position, station) VALUES (?1,?2)", db_int((int64_t)e->position),
                             db_text(e->station));
    return result != OK ? result
                        : outbox_put(d, TOPIC_PROBE, e->station, id, STR("probe.seen"), e->received,
                                     (struct bytes){(const uint8_t *)e->payload.at, e->payload.len});
}

static enum err probe_end(void *state, struct db *d, struct fault *why)
{
    struct probe *p = state;
    enum err e = OK;
    (void)why;
    for (size_t i = 0; e == OK && i < p->count; i++)
        e = DB_RUN(d, "INSERT INTO gathered(position) VALUES (?1)", db_int(p->gathered[i]));
    p->count = 0;
    return e;
}

static void probe_undone(void *state)
{
    struct probe *p = state;
    p->count = 0;
}

static struct eventlog *log_open(void)
{
    struct eventlog_options o = eventlog_options_default();
    struct eventlog *l = NULL;
    struct fault why;
    o.dir = str_of(log_dir);
    o.gateway_id = STR("gateway-1");
    o.sync = false;
    check(eventlog_open(&o, &l, &why) == OK);
    return l;
}

static void fill(struct eventlog *l)
{
    for (int i = 0; i < EVENTS; i++) {
        char payload[64], station[16];
        (void)snprintf(payload, sizeof payload, "{\"n\":%d}", i);
        (void)snprintf(station, sizeof station, "station-%d", i * 7 % STATIONS);
        struct event e = {.type = EVENT_HEARTBEAT,
                          .station = str_of(station),
                          .received = {now_us},
                          .device_time = INSTANT_NONE,
                          .payload = str_of(payload)};
        CHECK("an event is appended", eventlog_append(l, &e) == OK);
    }
    eventlog_commit(l);
    while (eventlog_durable(l) < EVENTS)
        eventlog_wait(l, eventlog_durable(l), 1000);
}

static int64_t number(struct db *d, const char *sql)
{
    struct db_rows *r = db_rows_dynamic(d, str_of(sql), NULL, 0);
    int64_t n = db_next(r) ? db_col_int(r, 0) : -1;
    CHECK(sql, db_rows_end(r) == OK);
    return n;
}

static void check_all(const char *when)
{
    struct db *d = NULL;
    struct fault why;
    CHECK(when, db_open(db_path, DB_READER, &d, &why) == OK);
    CHECK(when, number(d, "SELECT count(*) FROM effects") == EVENTS);
    CHECK(when, number(d, "SELECT count(DISTINCT position) FROM effects") == EVENTS);
    CHECK(when, number(d, "SELECT count(*) FROM effects a, effects b WHERE a.station=b.station AND a.n<b.n AND "
                          "a.position>b.position") == 0);
    CHECK(when, number(d, "SELECT count(*) FROM gathered") == EVENTS &&
                    number(d, "SELECT count(DISTINCT position) FROM gathered") == EVENTS);
    CHECK(when, number(d, "SELECT count(*) FROM outbox") == EVENTS &&
                    number(d, "SELECT max(position) FROM outbox") == EVENTS);
    CHECK(when, number(d, "SELECT position FROM consumers") == EVENTS);
    CHECK(when, number(d, "SELECT count(*) FROM parked") == 0 && number(d, "SELECT count(*) FROM dead_letters") == 0);
    db_close(d);
}

static struct bus *bus_of(struct eventlog *log, struct consumer *c)
{
    struct bus_options o = bus_options_default();
    struct bus *b = NULL;
    struct fault why = {{0}, {0}};
    o.clock_us = clock_us;
    o.log = log;
    o.log_dir = str_of(log_dir);
    o.db_path = db_path;
    o.consumers = c;
    o.consumer_count = 1;
    o.batch_max = BATCH;
    CHECK("the bus opens", bus_open(&o, &b, &why) == OK);
    check(b != NULL);
    return b;
}

static void make_store(void)
{
    static int store;
    struct db *d = NULL;
    struct fault why;
    (void)snprintf(db_path, sizeof db_path, "%s/store-%d.db", base, store++);
    CHECK("a store", db_open(db_path, DB_WRITER, &d, &why) == OK);
    CHECK(
        "its tables",
        DB_RUN(d, "CREATE TABLE effects(n INTEGER PRIMARY KEY AUTOINCREMENT, position INTEGER UNIQUE, station TEXT)") ==
                OK &&
            DB_RUN(d, "CREATE TABLE gathered(position INTEGER)") == OK &&
            DB_RUN(d, "CREATE TABLE ballast(bytes BLOB)") == OK);
    db_close(d);
}

static void consumer_init(struct consumer *c, struct probe *p)
{
    *c = (struct consumer){.name = "probe",
                           .on_event = probe_event,
                           .on_batch_end = probe_end,
                           .on_batch_undone = probe_undone,
                           .state = p};
    c->wants[EVENT_HEARTBEAT] = true;
}

/* Catches up, later and later, until all is done; half way the disk is well again. Returns whether who looked was told
 * of trouble. */
static bool catch_up(struct bus *b, long first)
{
    bool is_standing = false;
    for (int turn = 0; turn < TURNS_MAX; turn++) {
        struct fault why = {{0}, {0}};
        struct consumer_status s;
        enum err e = bus_catch_up(b, &why);
        bus_status(b, 0, &s);
        CHECK("an error is the disk's", e == OK || disk.calls >= first);
        is_standing = is_standing || strcmp(s.state, "standing") == 0;
        if (s.position == EVENTS && strcmp(s.state, "running") == 0)
            break;
        if (turn == TURNS_MAX / 2)
            disk_heal();
        now_us += TURN_US;
    }
    return is_standing;
}

/* All events, while those calls to the disk are refused. Returns whether one was. */
static bool consume(struct eventlog *log, long first, long count)
{
    struct probe probe = {.fails = 2};
    struct consumer c;
    struct fault why = {{0}, {0}};
    make_store();
    consumer_init(&c, &probe);
    struct bus *b = bus_of(log, &c);
    disk_refuse(first, count);
    const bool is_told = catch_up(b, first), was_refused = disk.calls >= first;
    disk_heal();
    CHECK("who looks is told", is_told || !was_refused || count == 1);
    check_all("once each, in order");
    bus_close(b);
    check_all("when the bus is gone");
    b = bus_of(log, &c);
    CHECK("nothing is left to be done", bus_catch_up(b, &why) == OK);
    bus_close(b);
    check_all("when it was opened again");
    (void)unlink(db_path);
    return was_refused;
}

/* The process ends at that call to the disk, and another goes on. Returns whether it came so far. */
static bool die_at(long call)
{
    struct probe probe = {.fails = 2};
    struct consumer c;
    make_store();
    consumer_init(&c, &probe);
    const pid_t child = fork();
    if (child == 0) {
        struct bus *b = bus_of(log_open(), &c);
        disk_refuse(call, 1);
        (void)catch_up(b, call);
        _exit(0);
    }
    int status = 1;
    CHECK("it ended", waitpid(child, &status, 0) == child && WIFEXITED(status) &&
                          (WEXITSTATUS(status) == DISK_DEATH || WEXITSTATUS(status) == 0));
    struct eventlog *log = log_open();
    probe.fails = 1;
    struct bus *b = bus_of(log, &c);
    CHECK("another has no trouble", !catch_up(b, 1));
    bus_close(b);
    eventlog_close(log);
    check_all("once each, in order, by two processes");
    (void)unlink(db_path);
    return WEXITSTATUS(status) == DISK_DEATH;
}

/* A statement that fails is the event's fault also where the transaction was too large to be undone in part: the others
 * go on. */
static void test_large(void)
{
    struct probe probe = {.fails = 3, .fails_in_store = true};
    struct consumer c;
    struct eventlog *log = log_open();
    make_store();
    consumer_init(&c, &probe);
    struct bus *b = bus_of(log, &c);
    CHECK("nobody stands", !catch_up(b, 1));
    bus_close(b);
    eventlog_close(log);
    check_all("once each, in order, the one that failed too");
}

int main(void)
{
    long calls = 0;
    disk_install();
    place_make(base, "bus-faults");
    (void)snprintf(log_dir, sizeof log_dir, "%s/log", base);
    log_setup(-1, LOG_LEVEL_ERROR, false, NULL);
    struct eventlog *log = log_open();
    fill(log);
    for (int torn = 0; torn < 2; torn++) {
        disk.is_torn = torn == 1;
        for (long first = 1; consume(log, first, 1); first++)
            calls = first;
        for (long first = 1; first <= calls; first += 5)
            (void)consume(log, first, 1000000);
    }
    CHECK("calls were refused", calls >= 20);
    eventlog_close(log);
    disk.is_deadly = true;
    for (int torn = 0; torn < 2; torn++) {
        disk.is_torn = torn == 1;
        for (long call = 1; die_at(call); call++)
            calls = call;
    }
    CHECK("and were the last of a process", calls >= 20);
    disk.is_deadly = false;
    disk_heal();
    test_large();
    return CHECK_REPORT();
}
