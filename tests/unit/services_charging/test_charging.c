/* The consumer on a real log and a real database, and what the API reads of it. */
#include "check.h"
#include "place.h"
#include "base/log.h"
#include "services/charging/announcement.h"
#include "services/charging/charging.h"
#include "services/charging/charging_query.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0 1750000000000000 /* 2025-06-15T15:06:40Z */

static char base[PLACE_MAX], log_dir[PLACE_PATH_MAX], db_path[PLACE_PATH_MAX];
static int fixture_count;
static int64_t now_us;

static int64_t clock_us(void)
{
    return now_us;
}

static struct {
    struct eventlog *log;
    struct bus *bus;
    struct db *d;
    struct charging *charging;
    struct consumer consumer;
    struct charging_options options;
} f;

static void open_all(void)
{
    struct fault why = {{0}, {0}};
    struct eventlog_options o = eventlog_options_default();
    struct db *d = NULL;
    o.dir = str_of(log_dir);
    o.gateway_id = STR("gateway-1");
    o.sync = false;
    bool is_open = eventlog_open(&o, &f.log, &why) == OK && db_open(db_path, DB_WRITER, &d, &why) == OK &&
                   db_migrate(d, charging_migrations, charging_migration_count, &why) == OK;
    db_close(d);
    f.charging = charging_new(&f.options);
    charging_consumer(f.charging, &f.consumer);
    struct bus_options b = bus_options_default();
    b.log_dir = o.dir;
    b.log = f.log;
    b.db_path = db_path;
    b.consumers = &f.consumer;
    b.consumer_count = 1;
    b.clock_us = clock_us;
    is_open = is_open && bus_open(&b, &f.bus, &why) == OK && db_open(db_path, DB_READER, &f.d, &why) == OK;
    CHECK("all opens", is_open);
    if (!is_open) {
        (void)fprintf(stderr, "%s: %s\n", why.field, why.reason);
        exit(1);
    }
}

static void close_all(void)
{
    db_close(f.d);
    bus_close(f.bus);
    charging_free(f.charging);
    eventlog_close(f.log);
}

static void fresh(void)
{
    fixture_count++;
    now_us = T0;
    (void)snprintf(log_dir, sizeof log_dir, "%s/%d", base, fixture_count);
    (void)snprintf(db_path, sizeof db_path, "%s/%d.db", base, fixture_count);
    f.options = charging_options_default();
    open_all();
}

static void append(const char *station, enum event_type type, int64_t at_s, const char *format, ...) PRINTF(4, 5);
static void append(const char *station, enum event_type type, int64_t at_s, const char *format, ...)
{
    char payload[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(payload, sizeof payload, format, args);
    va_end(args);
    struct event e = {.type = type, .station = str_of(station), .received = {now_us}, .payload = str_of(payload),
                      .device_time = {T0 + at_s * 1000000}};
    CHECK("an event is appended", eventlog_append(f.log, &e) == OK);
}

static const char *text_of(int64_t at_s)
{
    static char text[INSTANT_TEXT_SIZE];
    instant_write((struct instant){T0 + at_s * 1000000}, text);
    return text;
}

static void start(const char *station, int connector, const char *transaction, int64_t at_s, int64_t meter_wh)
{
    append(station, EVENT_TRANSACTION_STARTED, at_s,
           "{\"connectorId\":%d,\"transactionId\":\"%s\",\"idTag\":\"TAG-%s\",\"meterStartWh\":%lld,\"offline\":false}",
           connector, transaction, station, (long long)meter_wh);
}

static void meter(const char *station, const char *transaction, int64_t at_s, int64_t register_wh, int64_t power_w)
{
    append(station, EVENT_TRANSACTION_METER, at_s,
           "{\"connectorId\":1,\"transactionId\":\"%s\",\"meterValues\":[{\"timestamp\":\"%s\",\"sampledValue\":{"
           "\"value\":\"%lld\","
           "\"measurand\":\"Energy.Active.Import.Register\",\"unit\":\"Wh\"}},{\"timestamp\":\"%s\",\"sampledValue\":{"
           "\"value\":\"%lld\","
           "\"measurand\":\"Power.Active.Import\",\"unit\":\"W\"}}]}",
           transaction, text_of(at_s), (long long)register_wh, text_of(at_s), (long long)power_w);
}

static void stop(const char *station, const char *transaction, int64_t at_s, int64_t meter_wh)
{
    append(station, EVENT_TRANSACTION_STOPPED, at_s,
           "{\"transactionId\":\"%s\",\"reason\":\"EVDisconnected\",\"meterStopWh\":%lld,\"stopTimestamp\":\"%s\","
           "\"connectorId\":1}",
           transaction, (long long)meter_wh, text_of(at_s));
}

static void status(const char *station, int connector, int64_t at_s, const char *word)
{
    append(station, EVENT_STATUS_CHANGED, at_s, "{\"connectorId\":%d,\"status\":\"%s\",\"errorCode\":\"NoError\"}",
           connector, word);
}

static void run(void)
{
    struct fault why = {{0}, {0}};
    eventlog_commit(f.log);
    while (eventlog_durable(f.log) < eventlog_position(f.log))
        eventlog_wait(f.log, eventlog_durable(f.log), 1000);
    CHECK("it catches up", bus_catch_up(f.bus, &why) == OK);
}

static int64_t number(const char *sql)
{
    struct db_rows *r = db_rows_dynamic(f.d, str_of(sql), NULL, 0);
    int64_t n = db_next(r) ? db_col_int(r, 0) : -1;
    CHECK(sql, db_rows_end(r) == OK);
    return n;
}

static int64_t statistic(const char *name)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql, "SELECT coalesce((SELECT value FROM charging_statistics WHERE name='%s'), 0)",
                   name);
    return number(sql);
}

/* ---- reading as the API does ---- */

static struct buf json;
static const char *json_text(void)
{
    buf_put_byte(&json, 0);
    struct str s = buf_str(&json);
    CHECK("it is JSON", json_check((struct str){s.at, s.len - 1}, NULL) == OK);
    return s.at;
}

static const char *id_of(const char *transaction)
{
    static char id[UUID_TEXT_SIZE];
    struct db_rows *r =
        DB_ROWS(f.d, "SELECT session_id FROM charging_sessions WHERE transaction_id=?1", db_text(str_of(transaction)));
    str_copy(id, sizeof id, db_next(r) ? db_col_text(r, 0) : STR("none"));
    CHECK("an id", db_rows_end(r) == OK);
    return id;
}

static const char *session(const char *transaction)
{
    struct json_writer w;
    buf_clear(&json);
    jw_init(&w, &json);
    CHECK("a session is written", charging_write_session(f.d, str_of(id_of(transaction)), &w) == OK);
    return json_text();
}

static const char *curve(const char *transaction, int64_t after_s, int64_t every_s, int64_t limit)
{
    struct json_writer w;
    struct instant last;
    buf_clear(&json);
    jw_init(&w, &json);
    struct instant after = after_s < 0 ? INSTANT_NONE : (struct instant){T0 + after_s * 1000000};
    CHECK("a curve is written",
          charging_write_curve(f.d, str_of(id_of(transaction)), after, every_s, limit, &w, &last) == OK);
    return json_text();
}

static bool has(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        return true;
    (void)fprintf(stderr, "%s\nhas no %s\n", text, part);
    return false;
}

/* The newest of its type, as others read it. */
static const char *announced(const char *type)
{
    static char text[8192];
    struct buf told;
    struct topic_message m;
    buf_init(&told, sizeof text);
    str_copy(text, sizeof text, STR("none"));
    struct db_rows *r = topic_read(f.d, TOPIC_SESSIONS, 0, 10000);
    while (db_next(r)) {
        topic_row(r, &m);
        if (!str_eq(m.type, str_of(type)))
            continue;
        buf_clear(&told);
        CHECK("it is written", announcement_write(&m, &told) == OK);
        str_copy(text, sizeof text, buf_str(&told));
    }
    CHECK("the outbox is read", db_rows_end(r) == OK);
    buf_release(&told);
    return text;
}

/* ---- the tests ---- */

static void test_plain(void)
{
    fresh();
    start("CP1", 1, "11", 0, 1000);
    run();
    CHECK("charging", has(session("11"), "\"status\":\"charging\""));
    meter("CP1", "11", 60, 1100, 7000);
    status("CP1", 1, 70, "SuspendedEV");
    run();
    CHECK("suspended", has(session("11"), "\"status\":\"suspended\""));
    status("CP1", 1, 80, "Charging");
    meter("CP1", "11", 120, 1300, 11000);
    meter("CP1", "11", 90, 1200, 12000);
    meter("CP1", "11", 120, 1300, 11000);
    run();
    const char *s = session("11");
    CHECK("running", has(s, "\"status\":\"charging\"") && has(s, "\"total_energy\":300") &&
                         has(s, "\"max_power\":12000") && has(s, "\"current_power\":11000") &&
                         has(s, "\"duration\":120") && has(s, "\"end_time\":null"));
    stop("CP1", "11", 180, 1500);
    stop("CP1", "11", 190, 1600);
    run();
    s = session("11");
    CHECK("completed",
          has(s, "\"status\":\"completed\"") && has(s, "\"total_energy\":500") && has(s, "\"duration\":180"));
    CHECK("as the API names it", has(s, "\"device_id\":\"CP1\",\"port_number\":1,\"order_number\":null") &&
                                     has(s, "\"start_time\":\"2025-06-15T15:06:40.000Z\"") &&
                                     has(s, "\"id_tag\":\"TAG-CP1\",\"transaction_id\":\"11\"") &&
                                     has(s, "\"stop_reason\":\"EVDisconnected\"") &&
                                     has(s, "\"energy_source\":\"meter\",\"data_quality\":[]") &&
                                     has(s, "\"limit\":null") && has(s, "\"voltage\":null"));
    CHECK("its history in order", has(s, "\"event_history\":[{\"time\":\"2025-06-15T15:06:40.000Z\"") &&
                                      has(s, "\"status_before\":null,\"status\":\"charging\"") &&
                                      has(s, "\"status_before\":\"charging\",\"status\":\"suspended\","
                                             "\"detail\":\"SuspendedEV\""));
    CHECK("of what turned it", number("SELECT count(*) FROM charging_session_events") == 4);
    CHECK("one session, three points",
          number("SELECT count(*) FROM charging_sessions") == 1 && number("SELECT count(*) FROM charging_curve") == 3);
    CHECK("its curve", strcmp(curve("11", -1, 0, 10), "[{\"time\":\"2025-06-15T15:07:40.000Z\",\"power_w\":7000,"
                                                      "\"energy_wh\":100,\"voltage\":null,\"current\":null,"
                                                      "\"temperature\":null},{\"time\":\"2025-06-15T15:08:10.000Z\","
                                                      "\"power_w\":12000,\"energy_wh\":200,\"voltage\":null,"
                                                      "\"current\":null,\"temperature\":null},{\"time\":\"2025-06-"
                                                      "15T15:08:40.000Z\",\"power_w\":11000,\"energy_wh\":300,"
                                                      "\"voltage\":null,\"current\":null,\"temperature\":null}]") == 0);
    CHECK("a part of it", strstr(curve("11", 60, 0, 1), "12000") != NULL && strstr(buf_str(&json).at, "7000") == NULL &&
                              strstr(buf_str(&json).at, "11000") == NULL);
    CHECK("thinned to the newest",
          strstr(curve("11", -1, 3600, 10), "11000") != NULL && strstr(buf_str(&json).at, "12000") == NULL);
    CHECK(
        "told to others",
        number("SELECT count(*) FROM outbox WHERE topic=1") == 2 &&
            number("SELECT count(*) FROM outbox WHERE type='session.started' AND position=1") == 1 &&
            number("SELECT count(*) FROM outbox WHERE type='session.ended' AND position=2") == 1);
    const char *ended = announced("session.ended");
    CHECK("as it was", has(ended, "\"energy_wh\":500,") && has(ended, "\"seq\":2}") &&
                           has(ended, "\"stop_reason\":\"unplugged\",\"stop_code\":\"EVDisconnected\","));
    struct db_rows *r = topic_read(f.d, TOPIC_SESSIONS, 0, 10);
    while (db_next(r)) {
        struct topic_message m;
        struct buf told;
        topic_row(r, &m);
        buf_init(&told, 8192);
        CHECK("as JSON, by session", announcement_write(&m, &told) == OK && json_check(buf_str(&told), NULL) == OK &&
                                         str_eq(m.key, str_of(id_of("11"))));
        CHECK("without the tag", memmem(told.at, told.len, "TAG-CP1", 7) == NULL &&
                                     memmem(m.body.at, m.body.len, "TAG-CP1", 7) == NULL);
        buf_release(&told);
    }
    CHECK("topic ends", db_rows_end(r) == OK);
    close_all();
}

static void test_statistics(void)
{
    fresh();
    start("CP1", 1, "1", 0, 0);
    start("CP2", 1, "2", 0, 0);
    start("CP3", 1, "3", 0, 0);
    meter("CP1", "1", 60, 100, 10);
    stop("CP1", "1", 100, 1000);
    stop("CP2", "2", 300, 500);
    status("CP3", 7, 10, "Finishing"); /* no session there */
    run();
    static const struct {
        const char *name;
        int64_t want;
    } rows[] = {
        {"events_processed", 7}, {"start_events", 3}, {"stop_events", 2}, {"power_events", 1}, {"sessions_created", 3},
        {"sessions_completed", 2}, {"sessions_timed_out", 0}, {"active_sessions", 1}, {"total_energy", 1500},
        {"total_duration_s", 400}, {"sessions_ended", 2}, {"refused_inputs", 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        CHECK(rows[i].name, statistic(rows[i].name) == rows[i].want);
    struct json_writer w;
    struct consumer_status status_now;
    bus_status(f.bus, 0, &status_now);
    buf_clear(&json);
    jw_init(&w, &json);
    CHECK("written", charging_write_statistics(f.d, &status_now, &w) == OK);
    const char *s = json_text();
    CHECK("as the API shows them", has(s, "\"sessions_created\":3") && has(s, "\"average_duration_s\":200") &&
                                       has(s, "\"processing_errors\":0"));
    close_all();
}

static void test_out_of_order(void)
{
    fresh();
    meter("CP1", "5", 60, 1100, 100);
    run();
    CHECK("a reading opens it",
          has(session("5"), "\"data_quality\":[\"start_missing\"]") && has(session("5"), "\"status\":\"charging\""));
    char first[UUID_TEXT_SIZE];
    str_copy(first, sizeof first, str_of(id_of("5")));
    start("CP1", 1, "5", 0, 1000);
    run();
    CHECK("the start joins", has(session("5"), "\"data_quality\":[]") && has(session("5"), "\"total_energy\":100") &&
                                 has(session("5"), "\"id_tag\":\"TAG-CP1\""));
    CHECK("under the same id", strcmp(first, id_of("5")) == 0);
    CHECK("curve from the start", has(curve("5", -1, 0, 5), "\"energy_wh\":100"));
    stop("CP2", "6", 500, 3000);
    run();
    CHECK("a stop alone", has(session("6"), "\"status\":\"completed\"") && has(session("6"), "start_missing"));
    start("CP2", 1, "6", 100, 1000);
    run();
    CHECK("joined", has(session("6"), "\"total_energy\":2000") && has(session("6"), "\"duration\":400"));
    CHECK("corrected is told", number("SELECT count(*) FROM outbox WHERE type='session.corrected'") == 1);
    CHECK("the sums follow", statistic("total_energy") == 2000 && statistic("total_duration_s") == 400 &&
                                 statistic("sessions_completed") == 1 && statistic("active_sessions") == 1);
    meter("CP2", "6", 300, 2000, 5000);
    run();
    CHECK("a late reading has its place", has(curve("6", -1, 0, 5), "\"power_w\":5000") &&
                                              has(session("6"), "\"max_power\":5000") &&
                                              has(session("6"), "\"total_energy\":2000"));
    close_all();
}

static void test_superseded(void)
{
    fresh();
    start("CP1", 1, "1", 0, 0);
    meter("CP1", "1", 60, 400, 100);
    append("CP1", EVENT_TRANSACTION_STARTED, 600,
           "{\"connectorId\":1,\"transactionId\":\"2\",\"idTag\":\"T\",\"meterStartWh\":500,\"offline\":true,"
           "\"supersedes\":\"1\"}");
    run();
    CHECK("the old one is closed", has(session("1"), "\"status\":\"completed\"") && has(session("1"), "end_unknown") &&
                                       has(session("1"), "\"total_energy\":400"));
    CHECK("the new one runs", has(session("2"), "\"status\":\"charging\"") && has(session("2"), "\"offline\":true"));
    stop("CP1", "1", 500, 450);
    run();
    CHECK("its stop came after all",
          has(session("1"), "\"data_quality\":[]") && has(session("1"), "\"total_energy\":450"));
    CHECK("the sum is right", statistic("total_energy") == 450 && statistic("active_sessions") == 1);
    close_all();
}

static void test_lost(void)
{
    fresh();
    start("CP1", 1, "1", 0, 0);
    start("CP2", 1, "2", 0, 0);
    append("CP1", EVENT_DISCONNECTED, 10, "{\"reason\":\"tcp_connection_closed\"}");
    append("CP2", EVENT_DISCONNECTED, 10, "{\"reason\":\"replaced\"}");
    run();
    CHECK("interrupted", has(session("1"), "\"status\":\"interrupted\""));
    CHECK("not when a newer connection took over", has(session("2"), "\"status\":\"charging\""));
    close_all();
    open_all(); /* the state before is in its row */
    meter("CP1", "1", 60, 10, 10);
    run();
    CHECK("back with its next reading", has(session("1"), "\"status\":\"charging\""));
    status("CP2", 1, 70, "SuspendedEVSE");
    append("gateway-1", EVENT_GATEWAY_STARTED, 100, "{}");
    run();
    CHECK("a gateway that begins has none",
          has(session("1"), "\"status\":\"interrupted\"") && has(session("2"), "\"status\":\"interrupted\""));
    meter("CP2", "2", 160, 10, 10);
    run();
    CHECK("each returns to its own", has(session("2"), "\"status\":\"suspended\""));
    status("CP2", 1, -5, "Charging");
    run();
    CHECK("a status of before the session is not about it", has(session("2"), "\"status\":\"suspended\""));
    CHECK("still active", statistic("active_sessions") == 2);
    close_all();
}

static void test_attribution(void)
{
    fresh();
    start("CP1", 1, "1", 0, 0);
    append("CP1", EVENT_TRANSACTION_METER, 60,
           "{\"connectorId\":1,\"transactionId\":\"-1\",\"meterValues\":[{\"timestamp\":\"%s\",\"sampledValue\":{"
           "\"value\":\"70\","
           "\"measurand\":\"Energy.Active.Import.Register\"}}]}",
           text_of(60));
    append("CP1", EVENT_TRANSACTION_METER, 60,
           "{\"connectorId\":2,\"meterValues\":[{\"timestamp\":\"%s\",\"sampledValue\":{\"value\":\"99\",\"measurand\":"
           "\"Voltage\"}}]}",
           text_of(60));
    stop("CP1", "-1", 70, 100);
    run();
    CHECK("by its connector", has(session("1"), "\"total_energy\":70") && has(session("1"), "[\"inferred\"]"));
    CHECK("a stop of nobody knows what ends nothing", has(session("1"), "\"status\":\"charging\""));
    CHECK("what is of no session makes none",
          number("SELECT count(*) FROM charging_sessions") == 1 && statistic("refused_inputs") == 2);
    char long_id[80];
    memset(long_id, '7', sizeof long_id);
    long_id[79] = '\0';
    start("CP9", 1, long_id, 0, 0);
    run();
    CHECK("an id that no session can have is parked",
          number("SELECT count(*) FROM parked WHERE error LIKE '%transactionId%'") == 1);
    close_all();
}

static void test_clock(void)
{
    fresh();
    struct event e = {
        .type = EVENT_TRANSACTION_STARTED,
        .station = STR("CP1"),
        .received = {T0},
        .device_time = {5000000},
        .payload =
            STR("{\"connectorId\":1,\"transactionId\":\"1\",\"idTag\":\"T\",\"meterStartWh\":0,\"offline\":false}")};
    CHECK("a start in 1970", eventlog_append(f.log, &e) == OK);
    run();
    const char *s = session("1");
    CHECK("begins when it was received",
          has(s, "\"start_time\":\"2025-06-15T15:06:40.000Z\"") && has(s, "[\"clock_corrected\"]"));
    CHECK("both are kept", has(s, "\"device_start_time\":\"1970-01-01T00:00:05.000Z\""));
    close_all();
}

static void test_reaper(void)
{
    fresh();
    start("CP1", 1, "1", 0, 0);
    run();
    now_us += 86399000000;
    start("CP2", 1, "2", 86399, 0);
    run();
    CHECK("not before its time", has(session("1"), "\"status\":\"charging\""));
    now_us += 61000000;
    run();
    CHECK("timed out", has(session("1"), "\"status\":\"timed_out\"") && has(session("1"), "end_unknown"));
    CHECK("told", number("SELECT count(*) FROM outbox WHERE type='session.ended'") == 1);
    CHECK("in its history", has(session("1"), "\"event_type\":\"session.timed_out\",\"event_id\":null"));
    CHECK("the other goes on", has(session("2"), "\"status\":\"charging\""));
    CHECK("counted", statistic("sessions_timed_out") == 1 && statistic("active_sessions") == 1);
    stop("CP1", "1", 100, 700);
    run();
    CHECK("its stop came after all", has(session("1"), "\"status\":\"completed\"") && statistic("total_energy") == 700);
    CHECK("ended once", statistic("sessions_ended") == 1);
    close_all();
}

static void test_options(void)
{
    fresh();
    close_all();
    f.options.power_window_s = 60;
    f.options.keeps_history = false;
    open_all();
    start("CP1", 1, "1", 0, 0);
    for (int i = 0; i < 6; i++)
        meter("CP1", "1", 20 + 20 * i, 10 * i, 100 + i); /* T0 is 40 s into its minute: three in each of two */
    meter("CP1", "1", 30, 5, 999);
    run();
    CHECK("one point a minute", number("SELECT count(*) FROM charging_curve") == 2);
    CHECK("the newest of each", number("SELECT sum(power_w) FROM charging_curve") == 102 + 105);
    CHECK("no history", number("SELECT count(*) FROM charging_session_events") == 0);
    close_all();
    f.options.is_tracking = false;
    open_all();
    start("CP2", 1, "2", 0, 0);
    run();
    CHECK("no tracking", number("SELECT count(*) FROM charging_sessions") == 1);
    close_all();
}

/* The same log into two stores gives the same sessions; batch sizes and restarts do not matter. */
static void test_replay(void)
{
    char ids[2][512];
    fresh();
    for (int i = 0; i < 8; i++) {
        char station[16], transaction[16];
        (void)snprintf(station, sizeof station, "CP%d", i % 3);
        (void)snprintf(transaction, sizeof transaction, "%d", i + 1);
        now_us += 1000000;
        start(station, 1, transaction, i, 0);
        meter(station, transaction, i + 10, 10, 10);
        stop(station, transaction, i + 20, 20);
    }
    for (int round = 0; round < 2; round++) {
        run();
        struct db_rows *r = DB_ROWS(
            f.d, "SELECT group_concat(session_id || energy_wh) || (SELECT group_concat(hex(event_id)) FROM outbox "
                 "WHERE position<4) FROM charging_sessions");
        CHECK("ids", db_next(r));
        str_copy(ids[round], sizeof ids[round], db_col_text(r, 0));
        CHECK("ids end", db_rows_end(r) == OK);
        close_all();
        (void)snprintf(db_path, sizeof db_path, "%s/again.db", base);
        open_all();
    }
    CHECK("the same ids", strcmp(ids[0], ids[1]) == 0 && strlen(ids[0]) > 300);
    close_all();
}

static int64_t keyed(const char *transaction)
{
    char sql[120];
    (void)snprintf(sql, sizeof sql, "SELECT count(transaction_key) FROM charging_sessions WHERE transaction_id='%s'", transaction);
    return number(sql);
}

/* Rows of before there were keys. */
static void forget_keys(void)
{
    struct fault why;
    struct db *d = NULL;
    CHECK("rows of before", db_open(db_path, DB_WRITER, &d, &why) == OK &&
                                DB_RUN(d, "UPDATE charging_sessions SET transaction_key=NULL WHERE charge_point_id='CP1'") == OK);
    db_close(d);
}

/* By whatever id a transaction is known: what comes of it after a restart finds its session, and no other's. */
static void test_keys(void)
{
    static const char *const ids[] = {"7", "007", "+7", "7.0", "2147483647", "2147483648", "70000000000000000000", "seven", "a0b1"};
    static const char *const stations[] = {"CP1", "CP2"};
    fresh();
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        for (size_t s = 0; s < COUNT_OF(stations); s++) {
            start(stations[s], 1, ids[i], (int64_t)i, 0);
            stop(stations[s], ids[i], (int64_t)i + 60, 100);
        }
    run();
    CHECK("each is a session of its own", number("SELECT count(*) FROM charging_sessions WHERE state=7") == 2 * COUNT_OF(ids));
    CHECK("ids that are written as we write ours have a key", keyed("7") == 2 && keyed("2147483647") == 2);
    CHECK("others have none", keyed("007") == 0 && keyed("+7") == 0 && keyed("7.0") == 0 && keyed("2147483648") == 0 &&
                                  keyed("70000000000000000000") == 0 && keyed("seven") == 0);
    for (int round = 0; round < 2; round++) {
        close_all();
        if (round == 1)
            forget_keys();
        open_all();
        for (size_t i = 0; i < COUNT_OF(ids); i++)
            for (size_t s = 0; s < COUNT_OF(stations); s++)
                meter(stations[s], ids[i], 30 + round, 50, 1000);
        run();
        CHECK("a late reading finds its session", number("SELECT count(*) FROM charging_sessions") == 2 * COUNT_OF(ids));
        CHECK("each its own", number("SELECT count(*) FROM charging_sessions WHERE reading_count=0") == 0);
    }
    start("CP3", 1, "8", 100, 0);
    run();
    CHECK("a new one is new", number("SELECT count(*) FROM charging_sessions") == 2 * COUNT_OF(ids) + 1);
    close_all();
}

static int64_t count_of(const char *station)
{
    const struct charging_filter filter = {.device_id = str_of(station), .started_since = INSTANT_NONE, .started_until = INSTANT_NONE};
    int64_t total = -1;
    CHECK("a total", charging_count(f.d, &filter, &total) == OK);
    return total;
}

/* A start that is told late moves its session to a time when no other began: the station's list has it there. */
static void test_moved(void)
{
    fresh();
    meter("CP1", "5", 0, 10, 1000);
    run();
    CHECK("it is seen first by its reading", count_of("CP1") == 1);
    start("CP1", 1, "5", -3 * 86400, 0);
    run();
    CHECK("then it began three days before", number("SELECT count(*) FROM charging_session_blocks") == 2);
    CHECK("and is in the list still", count_of("CP1") == 1);
    close_all();
}

static void test_lists(void)
{
    fresh();
    for (int i = 1; i <= 7; i++) {
        char transaction[16];
        (void)snprintf(transaction, sizeof transaction, "%d", i);
        start(i % 2 == 0 ? "CP2" : "CP1", i, transaction, i * 10, 0);
        if (i > 5)
            stop(i % 2 == 0 ? "CP2" : "CP1", transaction, 1000, 10);
    }
    run();
    const struct charging_filter all = {.started_since = INSTANT_NONE, .started_until = INSTANT_NONE};
    struct charging_filter filters[] = {all, all, all, all, all, all, all};
    static const int64_t counts[] = {7, 4, 2, 1, 3, 1, 3};
    filters[1].device_id = STR("CP1");
    filters[2].status = STR("completed");
    filters[3].port_number = (struct integer){3, true};
    filters[4].id_tag = STR("TAG-CP2");
    filters[5].transaction_id = STR("4");
    filters[5].id_key = f.options.id_key;
    filters[6].started_since = (struct instant){T0 + 30 * 1000000};
    filters[6].started_until = (struct instant){T0 + 60 * 1000000};
    struct json_writer w;
    for (size_t i = 0; i < COUNT_OF(filters); i++) {
        int64_t total = -1;
        CHECK("count", charging_count(f.d, &filters[i], &total) == OK && total == counts[i]);
        buf_clear(&json);
        jw_init(&w, &json);
        CHECK("page", charging_write_page(f.d, &filters[i], 1, 100, &w) == OK);
        int64_t shown = 0;
        for (const char *s = json_text(); (s = strstr(s, "\"session_id\"")) != NULL; s++)
            shown++;
        CHECK("shows as many", shown == counts[i]);
    }
    struct charging_filter wrong = all;
    int64_t total;
    wrong.status = STR("none");
    CHECK("no such state", charging_count(f.d, &wrong, &total) == ERR_RANGE);
    buf_clear(&json);
    jw_init(&w, &json);
    CHECK("second page", charging_write_page(f.d, &all, 2, 3, &w) == OK);
    CHECK("in order", has(json_text(), "\"transaction_id\":\"4\"") &&
                          strstr(buf_str(&json).at, "\"transaction_id\":\"3\"") == NULL);

    char cursor[CHARGING_CURSOR_SIZE] = "", next[CHARGING_CURSOR_SIZE];
    struct charging_filter newest = all;
    newest.newest_first = true;
    char order[64] = "";
    int pages = 0;
    do {
        buf_clear(&json);
        jw_init(&w, &json);
        CHECK("by cursor", charging_write_after(f.d, &newest, str_of(cursor), 3, &w, next) == OK);
        for (const char *s = json_text(); (s = strstr(s, "\"transaction_id\":\"")) != NULL; s++)
            strncat(order, s + 18, 1);
        memcpy(cursor, next, sizeof cursor);
    } while (cursor[0] != '\0' && ++pages < 10);
    CHECK("all, once, newest first", strcmp(order, "7654321") == 0 && pages == 2);
    CHECK("no cursor of ours", charging_write_after(f.d, &all, STR("abc"), 3, &w, next) == ERR_FORMAT);
    CHECK("nor this", charging_write_after(f.d, &all, STR("1.x"), 3, &w, next) == ERR_FORMAT);
    CHECK("no such session", charging_write_session(f.d, STR("nonsense"), &w) == ERR_UNKNOWN);
    struct instant last;
    CHECK("no such curve", charging_write_curve(f.d, STR("x"), INSTANT_NONE, 0, 1, &w, &last) == ERR_UNKNOWN);
    char id[UUID_TEXT_SIZE];
    CHECK("active on a port", charging_find_active(f.d, STR("CP1"), 3, id) == OK && strcmp(id, id_of("3")) == 0);
    CHECK("none there", charging_find_active(f.d, STR("CP1"), 7, id) == OK && id[0] == '\0');
    close_all();
}

/* A failure in the middle undoes what was gathered: nothing of it may be left in memory. */
static void test_failure(void)
{
    fresh();
    start("CP1", 1, "1", 0, 0);
    meter("CP1", "1", 10, 10, 10);
    append("CP2", EVENT_TRANSACTION_STARTED, 0, "{\"connectorId\":\"no\"}");
    meter("CP1", "1", 20, 30, 10);
    run();
    CHECK("others are not harmed",
          has(session("1"), "\"total_energy\":30") && number("SELECT count(*) FROM charging_curve") == 2);
    CHECK("the bad one is parked", number("SELECT count(*) FROM parked") == 1);
    CHECK("counted once",
          statistic("events_processed") == 3 && statistic("power_events") == 2 && statistic("sessions_created") == 1);
    close_all();
}

/* ---- orders of piles ---- */

#define ORDER_NO "a500000102030405060708090a0b0c0d"

static void order(const char *transaction, int64_t at_s, const char *state, const char *more)
{
    append("AP13544000", EVENT_ORDER, at_s,
           "{\"orderNo\":\"" ORDER_NO "\",\"orderKey\":\"" ORDER_NO "\",\"transactionId\":\"%s\",\"state\":\"%s\""
           ",\"connectorId\":2,\"idTag\":\"7A8D05DD\"%s}",
           transaction, state, more);
}

static void order_start(const char *transaction, int64_t at_s)
{
    append("AP13544000", EVENT_TRANSACTION_STARTED, at_s,
           "{\"connectorId\":2,\"transactionId\":\"%s\",\"idTag\":\"7A8D05DD\",\"meterStartWh\":0,"
           "\"orderNo\":\"" ORDER_NO "\",\"offline\":false}",
           transaction);
}

static const char *settle_flags = "settlement";

static void settle(const char *transaction, int64_t at_s, int64_t energy_wh, const char *code)
{
    append("AP13544000", EVENT_TRANSACTION_STOPPED, at_s,
           "{\"transactionId\":\"%s\",\"reason\":\"Local\",\"meterStopWh\":%lld,\"stopTimestamp\":\"%s\","
           "\"connectorId\":2,\"energyWh\":%lld,\"meterStartWh\":0,\"flags\":[\"%s\"],\"orderNo\":\"" ORDER_NO
           "\",\"stopCode\":\"%s\",\"maxPowerW\":260,\"tierPowerW\":240,\"occupancyMinutes\":5}",
           transaction, (long long)energy_wh, text_of(at_s), (long long)energy_wh, settle_flags, code);
}

static void test_order(void)
{
    fresh();
    order("21", 0, "new", "");
    order("21", 0, "starting", "");
    run();
    CHECK("an order that was placed is a session that waits", has(session("21"), "\"status\":\"pending\""));
    order("21", 20, "charging", "");
    order_start("21", 20);
    run();
    CHECK("it runs when the pile says so", has(session("21"), "\"status\":\"charging\""));
    order("21", 500, "ended", "");
    run();
    CHECK("over and not settled is finishing", has(session("21"), "\"status\":\"finishing\""));
    settle("21", 600, 860, "0x01");
    order("21", 600, "settled", "");
    run();
    const char *s = session("21");
    CHECK("settled", has(s, "\"status\":\"completed\"") && has(s, "\"total_energy\":860") &&
                         has(s, "\"energy_source\":\"settlement\"") && has(s, "\"max_power\":260"));
    s = announced("session.ended");
    CHECK("what is told of it is what a price needs",
          has(s, "\"protocol\":\"ap3000\"") && has(s, "\"device_ref\":\"" ORDER_NO "\"") &&
              has(s, "\"stop_reason\":\"full\"") && has(s, "\"stop_code\":\"0x01\"") &&
              has(s, "\"tier_power_w\":240") && has(s, "\"idle_s\":300") && has(s, "\"start_mode\":\"remote\"") &&
              has(s, "\"meter_quality\":\"measured\""));
    settle("21", 700, 900, "0x05");
    run();
    CHECK("the first settlement stands", has(session("21"), "\"total_energy\":860"));
    settle_flags = "overrides_operator";
    settle("21", 800, 910, "0x05");
    settle_flags = "settlement";
    run();
    CHECK("but what an operator guessed gives way to the pile's account",
          has(session("21"), "\"total_energy\":910") &&
              has(announced("session.corrected"), "\"stop_reason\":\"unplugged\""));
    close_all();
}

static void test_order_failed(void)
{
    fresh();
    order("22", 0, "new", "");
    order("22", 30, "failed", ",\"reason\":\"no charger plugged into the port\"");
    run();
    const char *s = session("22");
    CHECK("a pile that refuses", has(s, "\"status\":\"failed\"") && has(s, "no charger plugged"));
    CHECK("is told as such", has(announced("session.start_failed"), "\"protocol\":\"ap3000\""));
    settle("22", 900, 120, "0x07");
    run();
    CHECK("the pile's account wins over a failure",
          has(session("22"), "\"status\":\"completed\"") && has(session("22"), "\"total_energy\":120"));
    order("23", 0, "failed", "");
    run();
    CHECK("what was never asked for makes no session", number("SELECT count(*) FROM charging_sessions") == 1);
    close_all();
}

/* What happens to one order, in whatever order it is heard of; the session after it. Nothing is told twice. */
static void test_order_out_of_order(void)
{
    static const struct {
        const char *row, *happens[5], *status;
        int started, ended, failed; /* so often told */
    } rows[] = {
        {"failed after it was started: it runs", {"new", "started", "failed"}, "charging", 1, 0, 0},
        {"failed after it was over", {"new", "started", "ended", "failed"}, "finishing", 1, 0, 0},
        {"failed after it was settled", {"new", "started", "settled", "failed"}, "completed", 1, 1, 0},
        {"failed while its pile is away", {"new", "started", "lost", "failed"}, "interrupted", 1, 0, 0},
        {"failed twice", {"new", "failed", "failed"}, "failed", 0, 0, 1},
        {"failed, and started after all", {"new", "failed", "started"}, "charging", 1, 0, 1},
        {"failed, started, failed again: it runs", {"new", "failed", "started", "failed"}, "charging", 1, 0, 1},
        {"failed, and over: it never ran", {"new", "failed", "ended"}, "failed", 0, 0, 1},
        {"failed, and settled after all", {"new", "failed", "settled"}, "completed", 0, 1, 1},
        {"new after it was started", {"started", "new", "starting"}, "charging", 1, 0, 0},
        {"new after it was over", {"new", "started", "ended", "new"}, "finishing", 1, 0, 0},
        {"new after it was settled", {"settled", "new"}, "completed", 0, 1, 0},
        {"new after it failed", {"new", "failed", "new", "starting"}, "failed", 0, 0, 1},
        {"over before it was started: what is asked for waits", {"new", "ended"}, "pending", 0, 0, 0},
        {"over, then started", {"new", "ended", "started"}, "charging", 1, 0, 0},
        {"over twice", {"new", "started", "ended", "ended"}, "finishing", 1, 0, 0},
        {"over after it was settled", {"new", "started", "settled", "ended"}, "completed", 1, 1, 0},
        {"over while its pile is away", {"new", "started", "lost", "ended"}, "finishing", 1, 0, 0},
        {"started after it was over", {"new", "started", "ended", "started"}, "finishing", 1, 0, 0},
        {"started after it was settled", {"new", "settled", "started"}, "completed", 0, 1, 0},
        {"settled twice", {"new", "started", "settled", "settled"}, "completed", 1, 1, 0},
        {"settled while its pile is away", {"new", "started", "lost", "settled"}, "completed", 1, 1, 0},
    };
    static const char told[] = "SELECT count(*) FROM outbox WHERE type='session.%s'";
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char status_text[40], sql[3][80];
        fresh();
        for (size_t n = 0; n < COUNT_OF(rows[i].happens) && rows[i].happens[n] != NULL; n++) {
            const char *what = rows[i].happens[n];
            int64_t at_s = 10 * (int64_t)n;
            if (strcmp(what, "started") == 0)
                order_start("31", at_s);
            else if (strcmp(what, "settled") == 0)
                settle("31", at_s, 500, "0x01");
            else if (strcmp(what, "lost") == 0)
                append("AP13544000", EVENT_DISCONNECTED, at_s, "{\"reason\":\"tcp_connection_closed\"}");
            else
                order("31", at_s, what, "");
        }
        run();
        (void)snprintf(status_text, sizeof status_text, "\"status\":\"%s\"", rows[i].status);
        (void)snprintf(sql[0], sizeof sql[0], told, "started");
        (void)snprintf(sql[1], sizeof sql[1], told, "ended");
        (void)snprintf(sql[2], sizeof sql[2], told, "start_failed");
        CHECK(rows[i].row, has(session("31"), status_text));
        CHECK(rows[i].row, number("SELECT count(*) FROM charging_sessions") == 1);
        CHECK(rows[i].row, number(sql[0]) == rows[i].started && number(sql[1]) == rows[i].ended);
        CHECK(rows[i].row, number(sql[2]) == rows[i].failed);
        CHECK(rows[i].row, number("SELECT count(*) FROM charging_sessions WHERE energy_wh <> 0") == rows[i].ended);
        CHECK(rows[i].row, number("SELECT count(*) FROM parked") == 0);
        close_all();
    }
}

int main(void)
{
    log_setup(2, LOG_LEVEL_ERROR, false, NULL);
    buf_init(&json, 1 << 20);
    place_make(base, "test_charging");
    test_plain();
    test_statistics();
    test_out_of_order();
    test_superseded();
    test_lost();
    test_attribution();
    test_clock();
    test_reaper();
    test_options();
    test_replay();
    test_keys();
    test_moved();
    test_lists();
    test_failure();
    test_order();
    test_order_failed();
    test_order_out_of_order();
    buf_release(&json);
    char command[PLACE_PATH_MAX];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", base);
    CHECK("cleaned up", system(command) == 0);
    return CHECK_REPORT();
}
