/* Lists of sessions by start: the counts follow what becomes of the sessions, also over batches that are undone, and by them every
 * page and every total is what walking over all rows gives. */
#include "check.h"
#include "unit/dice.h"
#include "work_done.h"
#include "services/charging/charging.h"
#include "services/charging/charging_query.h"
#include "services/charging/counts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0       1750000000000000 /* 2025-06-15T15:06:40Z */
#define MINUTE   INT64_C(60000000)
#define STATIONS 40
#define TAGS     7
#define STEPS    4000 /* six minutes each: more than two weeks */
#define BATCH    50
#define ASKED    1500
#define BEFORE_COUNTS 3 /* migrations of charging that came before the counts */

static struct db *d;
static struct charging *charging;
static struct consumer consumer;
static int64_t now_us = T0;
static unsigned known;  /* transactions that were heard of: 1 to it */
static struct buf json;
static struct fault why;
static struct charging_options options;

static void store_open(size_t migration_count)
{
    CHECK("a store", db_open(":memory:", DB_WRITER, &d, &why) == OK &&
                         db_migrate(d, bus_migrations, bus_migration_count, &why) == OK &&
                         db_migrate(d, charging_migrations, migration_count, &why) == OK);
}

static int64_t number(const char *sql)
{
    struct db_rows *r = db_rows_dynamic(d, str_of(sql), NULL, 0);
    int64_t n = db_next(r) ? db_col_int(r, 0) : -1;
    CHECK(sql, db_rows_end(r) == OK);
    return n;
}

/* ---- what the counts should be ---- */

#define PART   "CASE WHEN is_active=1 THEN 0 ELSE state END"
#define OUGHT  "SELECT 1, 0, started_at >> 28, " PART ", count(*) FROM charging_sessions GROUP BY 3, 4 UNION ALL " \
               "SELECT 1, 1, started_at >> 33, " PART ", count(*) FROM charging_sessions GROUP BY 3, 4 UNION ALL " \
               "SELECT 1, 2, started_at >> 38, " PART ", count(*) FROM charging_sessions GROUP BY 3, 4"
#define STORED "SELECT list, level, block, part, count FROM charging_session_counts WHERE count<>0"

static void check_counts(const char *row)
{
    CHECK(row, number("SELECT count(*) FROM (SELECT * FROM (" OUGHT ") EXCEPT " STORED ")") == 0);
    CHECK(row, number("SELECT count(*) FROM (" STORED " EXCEPT SELECT * FROM (" OUGHT "))") == 0);
}

static void test_migration(void)
{
    static const struct {
        int64_t started_us;
        enum session_state state;
    } rows[] = {
        {T0,                       SESSION_COMPLETED},
        {T0 + 1,                   SESSION_COMPLETED},
        {T0 + 1,                   SESSION_CHARGING },
        {T0 + 1,                   SESSION_SUSPENDED},
        {T0 + 100 * MINUTE,        SESSION_FAILED   },
        {T0 + 100 * 1440 * MINUTE, SESSION_TIMED_OUT},
        {0,                        SESSION_COMPLETED},
        {-1,                       SESSION_COMPLETED},
    };
    store_open(BEFORE_COUNTS);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        CHECK("a row of before",
              DB_RUN(d,
                     "INSERT INTO charging_sessions(session_id, charge_point_id, transaction_id, connector_id, state, "
                     "state_before, is_active, id_tag, order_no, is_offline, started_at, last_at, last_update, energy_wh, "
                     "energy_source, integral_wms, flags, stop_reason, stop_id_tag, reading_count, history_count, sequence) "
                     "VALUES (?1, 'CP1', ?1, 1, ?2, 0, ?3, '', '', 0, ?4, ?4, ?4, 0, 0, 0, 0, '', '', 0, 0, 0)",
                     db_int((int64_t)i), db_int(rows[i].state), db_int(session_state_is_active(rows[i].state)),
                     db_int(rows[i].started_us)) == OK);
    CHECK("migrated", db_migrate(d, charging_migrations, charging_migration_count, &why) == OK);
    CHECK("all are counted, at each level",
          number("SELECT sum(count) FROM charging_session_counts WHERE level=0") == COUNT_OF(rows) &&
              number("SELECT sum(count) FROM charging_session_counts WHERE level=1") == COUNT_OF(rows));
    CHECK("active ones are one part", number("SELECT sum(count) FROM charging_session_counts WHERE part=0 AND level=0") == 2);
    check_counts("the counts are of the rows that were there");
    db_close(d);
}

/* ---- sessions, by their consumer ---- */

static void handle(enum event_type type, unsigned station, int64_t at_us, const char *payload)
{
    static uint32_t position;
    char name[16];
    (void)snprintf(name, sizeof name, "CP%u", station);
    position++;
    struct event e = {.type = type, .position = position, .station = str_of(name), .received = {now_us}, .device_time = {at_us},
                      .payload = str_of(payload)};
    memcpy(e.id.at, &position, sizeof position);
    CHECK("an event is taken", consumer.on_event(consumer.state, d, &e, &why) == OK);
}

static void start(unsigned transaction, int64_t at_us)
{
    char text[200];
    (void)snprintf(text, sizeof text,
                   "{\"connectorId\":1,\"transactionId\":\"%u\",\"idTag\":\"TAG%u\",\"meterStartWh\":0,\"offline\":false}", transaction,
                   transaction % TAGS);
    handle(EVENT_TRANSACTION_STARTED, transaction % STATIONS, at_us, text);
}

static void meter(unsigned transaction)
{
    char text[256], at[INSTANT_TEXT_SIZE];
    instant_write((struct instant){now_us}, at);
    (void)snprintf(text, sizeof text,
                   "{\"connectorId\":1,\"transactionId\":\"%u\",\"meterValues\":[{\"timestamp\":\"%s\",\"sampledValue\":{"
                   "\"value\":\"5\",\"measurand\":\"Energy.Active.Import.Register\",\"unit\":\"Wh\"}}]}",
                   transaction, at);
    handle(EVENT_TRANSACTION_METER, transaction % STATIONS, now_us, text);
}

static void stop(unsigned transaction)
{
    char text[200], at[INSTANT_TEXT_SIZE];
    instant_write((struct instant){now_us}, at);
    (void)snprintf(text, sizeof text,
                   "{\"transactionId\":\"%u\",\"reason\":\"Local\",\"meterStopWh\":9,\"stopTimestamp\":\"%s\",\"connectorId\":1}",
                   transaction, at);
    handle(EVENT_TRANSACTION_STOPPED, transaction % STATIONS, now_us, text);
}

static void order(unsigned transaction, const char *state)
{
    char text[160];
    (void)snprintf(text, sizeof text,
                   "{\"orderNo\":\"a5\",\"orderKey\":\"a5\",\"idTag\":\"TAG\",\"transactionId\":\"%u\",\"state\":\"%s\",\"connectorId\":1}",
                   transaction, state);
    handle(EVENT_ORDER, transaction % STATIONS, now_us, text);
}

/* On whole minutes, so that many are the same; some on the ends of a block. */
static int64_t minutes_ago(size_t most)
{
    const int64_t at = now_us / MINUTE * MINUTE - (int64_t)dice(most) * MINUTE, width = (int64_t)1 << sessions_by_start.bits[0];
    return dice(8) > 0 ? at : at / width * width - (int64_t)dice(2);
}

/* A transaction of late, or one that nothing was heard of yet. */
static unsigned any(void)
{
    return known > 60 ? known - (unsigned)dice(60) : known + 1;
}

static void step(void)
{
    switch (dice(12)) {
    case 0:
        order(++known, "new");
        if (dice(2) == 0)
            order(known, "failed");
        break;
    case 1: /* it began before it was heard of: its start moves */
        meter(++known);
        break;
    case 2:
        start(any(), minutes_ago(400));
        break;
    case 3:
        meter(any());
        break;
    case 4:
    case 5:
    case 6:
        stop(any());
        break;
    case 7:
        handle(EVENT_STATUS_CHANGED, (unsigned)dice(STATIONS), now_us,
               dice(2) == 0 ? "{\"connectorId\":1,\"status\":\"SuspendedEV\",\"errorCode\":\"NoError\"}"
                            : "{\"connectorId\":1,\"status\":\"Charging\",\"errorCode\":\"NoError\"}");
        break;
    case 8:
        if (dice(10) == 0)
            handle(EVENT_GATEWAY_STARTED, 0, now_us, "{}");
        else
            handle(EVENT_DISCONNECTED, (unsigned)dice(STATIONS), now_us, "{\"reason\":\"closed\"}");
        break;
    default:
        start(++known, minutes_ago(dice(20) == 0 ? 5000 : 5));
    }
}

static void undo(void)
{
    db_rollback(d);
    consumer.on_batch_undone(consumer.state);
}

static void batch(void)
{
    CHECK("a batch begins", db_begin(d) == OK && consumer.on_batch_begin(consumer.state, d) == OK);
    for (int i = 0; i < BATCH; i++) {
        now_us += 6 * MINUTE;
        step();
    }
    if (dice(8) == 0) {
        undo();
        return;
    }
    CHECK("a batch ends", consumer.on_batch_end(consumer.state, d, &why) == OK);
    if (dice(8) == 0)
        undo();
    else
        CHECK("and is kept", db_commit(d) == OK);
}

static void tick(void)
{
    CHECK("time passes", db_begin(d) == OK && consumer.on_tick(consumer.state, d, (struct instant){now_us}, &why) == OK &&
                             db_commit(d) == OK);
}

static void test_counts(void)
{
    for (int i = 0; i < STEPS / BATCH; i++) {
        batch();
        check_counts("the counts follow a batch");
        if (i % 10 == 9) {
            tick();
            check_counts("and what time ends");
        }
    }
    /* Suspended ones do not stay so: one more, so that it is not left to chance. */
    CHECK("a batch begins", db_begin(d) == OK && consumer.on_batch_begin(consumer.state, d) == OK);
    start(++known, now_us);
    handle(EVENT_STATUS_CHANGED, known % STATIONS, now_us, "{\"connectorId\":1,\"status\":\"SuspendedEV\",\"errorCode\":\"NoError\"}");
    CHECK("a batch ends", consumer.on_batch_end(consumer.state, d, &why) == OK && db_commit(d) == OK);
    for (int state = SESSION_CHARGING; state < SESSION_STATE_COUNT; state++) {
        char sql[80];
        (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM charging_sessions WHERE state=%d", state);
        CHECK("sessions of each state are there", state == SESSION_FINISHING || number(sql) > 0);
    }
}

/* What was gathered when a write fails is not written with the next batch. */
static void test_failed_write(void)
{
    CHECK("no new rows", DB_RUN(d, "CREATE TEMP TRIGGER no_rows BEFORE INSERT ON charging_sessions "
                                   "BEGIN SELECT RAISE(FAIL, 'no'); END") == OK);
    CHECK("a batch begins", db_begin(d) == OK && consumer.on_batch_begin(consumer.state, d) == OK);
    start(++known, now_us);
    CHECK("it fails", consumer.on_batch_end(consumer.state, d, &why) != OK);
    undo();
    CHECK("rows again", DB_RUN(d, "DROP TRIGGER no_rows") == OK);
    CHECK("another batch", db_begin(d) == OK && consumer.on_batch_begin(consumer.state, d) == OK);
    start(++known, now_us);
    CHECK("is kept", consumer.on_batch_end(consumer.state, d, &why) == OK && db_commit(d) == OK);
    check_counts("only what is there is counted");
}

/* ---- lists ---- */

#define PLAIN                                                                                                         \
    " FROM charging_sessions WHERE (?1 IS NULL OR state=?1) AND (?2 IS NULL OR started_at>=?2) AND (?3 IS NULL OR "   \
    "started_at<?3) AND (?4 IS NULL OR charge_point_id=?4) AND (?5 IS NULL OR id_tag=?5) AND "                               \
    "(?6 IS NULL OR transaction_id=?6)"
#define VALUES 8 /* of its parameters, and of LIMIT and OFFSET */

/* Nothing, a time as starts have, or any among them and beside. */
static struct instant some_time(void)
{
    switch (dice(3)) {
    case 0:
        return INSTANT_NONE;
    case 1:
        return (struct instant){minutes_ago((size_t)((now_us - T0) / MINUTE) + 1)};
    default:
        return (struct instant){T0 - 10000 * MINUTE + (int64_t)dice((size_t)(now_us - T0 + 20000 * MINUTE))};
    }
}

/* Of all, of a station, of a tag, or of both. values: those of PLAIN. */
static struct charging_filter some_filter(struct db_value values[VALUES])
{
    static char station[16], tag[16], transaction[16];
    struct charging_filter f = {.started_since = some_time(), .started_until = some_time(), .newest_first = dice(2) == 0};
    const enum session_state state = dice(3) == 0 ? SESSION_NONE : (enum session_state)(1 + dice(SESSION_STATE_COUNT - 1));
    if (state != SESSION_NONE)
        f.status = session_state_text[state];
    (void)snprintf(station, sizeof station, "CP%zu", dice(STATIONS + 1)); /* of one there is none */
    (void)snprintf(tag, sizeof tag, "TAG%zu", dice(TAGS));
    if (dice(3) == 0)
        f.device_id = str_of(station);
    if (dice(4) == 0)
        f.id_tag = str_of(tag);
    values[0] = state == SESSION_NONE ? db_null() : db_int(state);
    values[1] = db_time(f.started_since);
    values[2] = db_time(f.started_until);
    values[3] = db_text(f.device_id);
    values[4] = db_text(f.id_tag);
    (void)snprintf(transaction, sizeof transaction, "%zu", dice(3) == 0 ? 1000000 + dice(700) : dice(known + 2));
    if (dice(8) == 0) {
        f.transaction_id = str_of(transaction);
        f.id_key = options.id_key;
    }
    values[5] = db_text(f.transaction_id);
    return f;
}

static bool is_same_page(const struct charging_filter *f, const struct db_value values[VALUES])
{
    static const char down[] = "SELECT transaction_id" PLAIN " ORDER BY +started_at DESC, session_number DESC LIMIT ?7 OFFSET ?8",
                      up[] = "SELECT transaction_id" PLAIN " ORDER BY +started_at, session_number LIMIT ?7 OFFSET ?8";
    struct db_rows *r = db_rows(d, f->newest_first ? down : up, values, VALUES);
    static const char key[] = "\"transaction_id\":\"";
    const char *at = strstr(buf_str(&json).at, key);
    bool is_same = true;
    for (; is_same && db_next(r); at = at == NULL ? NULL : strstr(at + 1, key)) {
        const struct str want = db_col_text(r, 0);
        is_same = at != NULL && strncmp(at + sizeof key - 1, want.at, want.len) == 0 && at[sizeof key - 1 + want.len] == '"';
    }
    CHECK("rows", db_rows_end(r) == OK);
    return is_same && at == NULL;
}

/* The first, the last, one beyond, or any. */
static int64_t some_page(int64_t pages)
{
    switch (dice(5)) {
    case 0:
        return 1;
    case 1:
        return pages;
    case 2:
        return pages + 1 + (int64_t)dice(3);
    default:
        return 1 + (int64_t)dice((size_t)pages);
    }
}

static void test_pages(int asked)
{
    for (int i = 0; i < asked; i++) {
        struct db_value values[VALUES];
        const struct charging_filter f = some_filter(values);
        const int64_t size = 1 + (int64_t)dice(100);
        int64_t total = -1;
        struct json_writer w;
        struct db_rows *r = db_rows(d, "SELECT count(*)" PLAIN, values, VALUES - 2);
        const int64_t want = db_next(r) ? db_col_int(r, 0) : -2;
        CHECK("a count", db_rows_end(r) == OK);
        CHECK("the total is what counting gives", charging_count(d, &f, &total) == OK && total == want);
        const int64_t page = some_page(want == 0 ? 1 : (want + size - 1) / size);
        values[VALUES - 2] = db_int(size);
        values[VALUES - 1] = db_int((page - 1) * size);
        buf_clear(&json);
        jw_init(&w, &json);
        CHECK("a page", charging_write_page(d, &f, page, size, &w) == OK);
        buf_put_byte(&json, 0);
        CHECK("the page is what walking gives", is_same_page(&f, values));
    }
}

static void test_cursor(void)
{
    for (int i = 0; i < ASKED / 10; i++) {
        struct db_value values[VALUES];
        const struct charging_filter f = some_filter(values);
        const int64_t limit = 20 + (int64_t)dice(80);
        char cursor[CHARGING_CURSOR_SIZE] = "", next[CHARGING_CURSOR_SIZE];
        int64_t skip = 0;
        do {
            struct json_writer w;
            buf_clear(&json);
            jw_init(&w, &json);
            CHECK("by cursor", charging_write_after(d, &f, str_of(cursor), limit, &w, next) == OK);
            buf_put_byte(&json, 0);
            values[VALUES - 2] = db_int(limit);
            values[VALUES - 1] = db_int(skip);
            CHECK("what follows is what walking gives", is_same_page(&f, values));
            skip += limit;
            memcpy(cursor, next, sizeof cursor);
        } while (cursor[0] != '\0');
    }
}

/* That it is found does not say that it is found by the counts. */
static void test_seek(void)
{
    const int64_t most = number("SELECT max(n) FROM (SELECT sum(count) AS n FROM charging_session_counts WHERE level=0 "
                                "GROUP BY block)");
    for (int i = 0; i < ASKED; i++) {
        const struct session_stretch s = {dice(2) == 0 ? db_null() : db_int(SESSION_COMPLETED), some_time(), some_time()};
        struct instant start;
        int64_t skip = 0, left = 0, count = 0;
        CHECK("counted", stretch_count(d, &s, &count) == OK);
        skip = (int64_t)dice((size_t)count + 1);
        const int64_t want = count - skip;
        CHECK("sought", stretch_seek(d, &s, dice(2) == 0, &skip, &start, &left) == OK && left == want);
        CHECK("no more than a block is walked over", skip >= 0 && skip <= most);
    }
}

/* What a page takes of SQLite's machine, and its total. */
static bool is_cheap_page(const struct charging_filter *f, int64_t page, int64_t size, long steps_most)
{
    struct json_writer w;
    int64_t total = 0;
    work_forget();
    buf_clear(&json);
    jw_init(&w, &json);
    CHECK("how many there are, and a page",
          charging_count(d, f, &total) == OK && total > 0 && charging_write_page(d, f, page, size, &w) == OK);
    const bool is_cheap = work_done.statements > 0 && work_done.steps <= steps_most;
    if (!is_cheap)
        (void)fprintf(stderr, "page %lld of %lld: %ld steps\n", (long long)page, (long long)total, work_done.steps);
    return is_cheap;
}

/* A station's, a tag's and a transaction's are found without the others; a total of few is counted. */
static void check_few(void)
{
    static const struct charging_filter all = {.started_since = {INT64_MIN}, .started_until = {INT64_MIN}, .newest_first = true};
    struct charging_filter f[] = {all, all, all, all};
    CHECK("with keys", DB_RUN(d, "UPDATE charging_sessions SET transaction_key=session_number WHERE session_number>100") == OK);
    f[0].device_id = STR("CP7");
    f[0].started_since = (struct instant){T0 + 59000 * INT64_C(20000000)};
    f[1].device_id = STR("CP7");
    f[1].started_since = f[0].started_since;
    f[1].status = STR("completed");
    f[2].transaction_id = STR("77"); /* of a row of before */
    f[3].transaction_id = STR("77");
    f[3].device_id = STR("CP27");
    for (size_t i = 0; i < COUNT_OF(f); i++) {
        f[i].id_key = options.id_key;
        CHECK("few of many are found without a walk", is_cheap_page(&f[i], 1, 20, 3000));
    }
}

/* Nor does a page take more steps of SQLite's machine than that. */
static void test_work(void)
{
    enum { MANY = 60000, SIZE = 20, STEPS_MOST = 8000 };
    static const enum session_state states[] = {SESSION_NONE, SESSION_COMPLETED, SESSION_FAILED, SESSION_CHARGING};
    char sql[1200];
    store_open(BEFORE_COUNTS);
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
                   " INSERT INTO charging_sessions(session_id, charge_point_id, transaction_id, connector_id, state, state_before,"
                   " is_active, id_tag, order_no, is_offline, started_at, last_at, last_update, energy_wh, energy_source,"
                   " integral_wms, flags, stop_reason, stop_id_tag, reading_count, history_count, sequence)"
                   " SELECT printf('%%08x-0000-7000-8000-000000000000', i), 'CP' || (i %% 50), i, 1,"
                   " CASE WHEN i %% 600 = 0 THEN %d WHEN i %% 9 = 0 THEN %d ELSE %d END, 0,"
                   " i %% 600 = 0, '', '', 0, %lld + i * 20000000, 0, 0, 0, 0, 0, 0, '', '', 0, 0, 0 FROM n",
                   MANY, SESSION_CHARGING, SESSION_FAILED, SESSION_COMPLETED, (long long)T0);
    struct db_rows *r = db_rows_dynamic(d, str_of(sql), NULL, 0);
    CHECK("many sessions", !db_next(r) && db_rows_end(r) == OK);
    CHECK("counted", db_migrate(d, charging_migrations, charging_migration_count, &why) == OK);
    for (size_t i = 0; i < COUNT_OF(states) * 2; i++)
        for (int64_t page = 1; page <= MANY / SIZE; page += 67) {
            struct charging_filter f = {.started_since = INSTANT_NONE, .started_until = INSTANT_NONE};
            f.newest_first = i % 2 == 0;
            if (states[i / 2] != SESSION_NONE)
                f.status = session_state_text[states[i / 2]];
            CHECK("found without walking to it", is_cheap_page(&f, page, SIZE, STEPS_MOST));
        }
    check_few();
    db_close(d);
}

/* Ended before there were blocks, some of them after what the next sessions begin with; their stations and tags go on. */
static void put_older(void)
{
    char sql[1000];
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)"
                   " INSERT INTO charging_sessions(session_id, charge_point_id, transaction_id, connector_id, state, state_before,"
                   " is_active, id_tag, order_no, is_offline, started_at, last_at, last_update, energy_wh, energy_source,"
                   " integral_wms, flags, stop_reason, stop_id_tag, reading_count, history_count, sequence)"
                   " SELECT printf('%%08x-0000-7000-8000-000000000000', i), 'CP' || (i * 7 %% %d), 1000000 + i, 1, %d, 0, 0, 'TAG' || (i %% %d),"
                   " '', 0, %lld - (i * 31 %% 1000 - 200) * %lld * 60, 0, 0, 0, 0, 0, 0, '', '', 0, 0, 0 FROM n",
                   STATIONS, SESSION_COMPLETED, TAGS, (long long)T0, (long long)MINUTE);
    struct db_rows *r = db_rows_dynamic(d, str_of(sql), NULL, 0);
    CHECK("older sessions", !db_next(r) && db_rows_end(r) == OK);
    CHECK("migrated", db_migrate(d, charging_migrations, charging_migration_count, &why) == OK);
}

int main(void)
{
    work_watch();
    buf_init(&json, 1 << 20);
    test_migration();
    options = charging_options_default();
    store_open(charging_migration_count);
    charging = charging_new(&options);
    charging_consumer(charging, &consumer);
    test_pages(ASKED / 10); /* of nothing */
    db_close(d);
    store_open(BEFORE_COUNTS);
    put_older();
    test_counts();
    test_failed_write();
    test_pages(ASKED);
    test_cursor();
    test_seek();
    charging_free(charging);
    db_close(d);
    test_work();
    buf_release(&json);
    return CHECK_REPORT();
}
