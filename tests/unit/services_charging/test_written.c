/* What a batch of transactions writes does not grow with what is stored: the pages that it changes are counted, on an empty store and behind many
 * transactions, sessions and orders of the same stations. */
#include "bus/bus.h"
#include "check.h"
#include "place.h"
#include "services/charging/charging.h"
#include "services/stations/stations.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define STATIONS 600
#define STORED   131072 /* two whole blocks of numbers */
#define APART_US INT64_C(7000000)
#define T0       INT64_C(1750000000000000)
#define AT_MOST  1.5 /* times as many pages: without blocks 19 times as many, with one index of the old kind 4.5 */

static char base[PLACE_MAX], path[PLACE_PATH_MAX];
static struct db *d;
static struct fault why;
static struct consumer consumers[2];
static uint64_t position;

static const uint64_t id_key[2] = {17, 23};

static void run(const char *sql)
{
    struct db_rows *r = db_rows_dynamic(d, str_of(sql), NULL, 0);
    while (db_next(r)) {
    }
    CHECK(sql, db_rows_end(r) == OK);
}

static int64_t wal_size(void)
{
    char wal[PLACE_PATH_MAX + 8];
    struct stat s;
    (void)snprintf(wal, sizeof wal, "%s-wal", path);
    return stat(wal, &s) == 0 ? (int64_t)s.st_size : 0;
}

/* As the consumers write them; the newest are of the end of the last block. */
static void put_stored(void)
{
    char sql[1600];
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
                   " INSERT INTO transactions (number, transaction_id, charge_point_id, connector_id, id_tag, state, started_at, meter_start_wh,"
                   " stopped_at, device_started_at, received_at, position, block) SELECT i, 1000000000 + i, printf('CP%%04d', i %% %d), 1,"
                   " printf('TAG%%04d', i * 7 %% 5000), 'closed', %lld + i * %lld, 0, 1, %lld + i * %lld, 1, i, i >> %d FROM n WHERE i > 0",
                   STORED - 1, STATIONS, (long long)(T0 - STORED * APART_US), (long long)APART_US, (long long)(T0 - STORED * APART_US),
                   (long long)APART_US, TRANSACTION_BLOCK_BITS);
    run(sql);
    run("INSERT INTO transaction_blocks SELECT DISTINCT block FROM transactions");
    run("INSERT INTO charging_sessions (session_number, session_id, charge_point_id, transaction_id, transaction_key, block, connector_id, state,"
        " state_before, is_active, id_tag, order_no, is_offline, started_at, last_at, last_update, energy_wh, energy_source, integral_wms, flags,"
        " stop_reason, stop_id_tag, reading_count, history_count, sequence) SELECT number, printf('%08d', number), charge_point_id, transaction_id,"
        " number, started_at >> 34, 1, 7, 0, 0, id_tag, '', 0, started_at, 1, 1, 0, 0, 0, 0, '', '', 0, 0, 0 FROM transactions");
    run("INSERT INTO charging_session_blocks SELECT DISTINCT block FROM charging_sessions");
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO orders (charge_point_id, order_key, order_no, number, transaction_id, state, placed_at, changed_at, block)"
                   " SELECT charge_point_id, printf('20190101%%06d7a8d05dd00%%08d', number / %d, number), '', number, transaction_id, 'settled',"
                   " started_at, started_at, started_at >> %d FROM transactions",
                   STATIONS, ORDER_BLOCK_BITS);
    run(sql);
    run("INSERT INTO order_blocks SELECT DISTINCT block FROM orders");
}

static void tell(enum event_type type, unsigned station, const char *payload)
{
    char name[16];
    (void)snprintf(name, sizeof name, "CP%04u", station);
    position++;
    const struct event e = {.type = type, .position = position, .station = str_of(name), .received = {T0}, .device_time = {T0 + (int64_t)position},
                            .id = uuid_v7((uint64_t)(T0 / 1000) + position, 0, position), .payload = str_of(payload)};
    for (size_t i = 0; i < COUNT_OF(consumers); i++)
        CHECK("an event is taken", consumers[i].on_event(consumers[i].state, d, &e, &why) == OK);
}

/* One of each station, begun and ended, and an order that was settled. */
static void tell_all(void)
{
    for (unsigned i = 0; i < STATIONS; i++) {
        char text[240];
        const uint32_t id = permute31(id_key, STORED + i + 1);
        (void)snprintf(text, sizeof text, "{\"connectorId\":1,\"transactionId\":\"%u\",\"idTag\":\"TAG%04u\",\"meterStartWh\":0,\"offline\":false}", id,
                       i * 11 % 5000);
        tell(EVENT_TRANSACTION_STARTED, i, text);
        (void)snprintf(text, sizeof text, "{\"transactionId\":\"%u\",\"reason\":\"Local\",\"meterStopWh\":9,\"stopTimestamp\":\"2025-06-15T15:06:50Z\"}",
                       id);
        tell(EVENT_TRANSACTION_STOPPED, i, text);
        (void)snprintf(text, sizeof text,
                       "{\"orderNo\":\"20250615%06u7a8d05dd00%08u\",\"orderKey\":\"20250615%06u7a8d05dd00%08u\",\"transactionId\":\"%u\","
                       "\"state\":\"settled\",\"connectorId\":1}",
                       i, i, i, i, permute31(id_key, STORED + STATIONS + i + 1));
        tell(EVENT_ORDER, i, text);
    }
}

/* How many bytes of pages a batch changes. */
static int64_t measure(bool has_stored)
{
    struct charging_options o = charging_options_default();
    memcpy(o.id_key, id_key, sizeof id_key);
    (void)snprintf(path, sizeof path, "%s/%d.db", base, has_stored);
    CHECK("a store", db_open(path, DB_WRITER, &d, &why) == OK && db_migrate(d, bus_migrations, bus_migration_count, &why) == OK &&
                         db_migrate(d, stations_migrations, stations_migration_count, &why) == OK &&
                         db_migrate(d, charging_migrations, charging_migration_count, &why) == OK && db_set_durable(d, false) == OK);
    if (has_stored)
        put_stored();
    struct stations *stations = stations_new(id_key, STR("g"), NULL, NULL);
    struct charging *charging = charging_new(&o);
    stations_consumer(stations, &consumers[0]);
    charging_consumer(charging, &consumers[1]);
    for (unsigned i = 0; i < STATIONS; i++) {
        char sql[200];
        (void)snprintf(sql, sizeof sql, "INSERT INTO charge_points (charge_point_id, registration, created_at, updated_at, newest_device_start)"
                                        " VALUES ('CP%04u', 'accepted', 1, 1, 1)", i);
        run(sql);
    }
    run("PRAGMA wal_checkpoint(TRUNCATE)");
    CHECK("the log is empty", wal_size() == 0);
    position = 0;
    CHECK("a batch begins", db_begin(d) == OK && consumers[1].on_batch_begin(consumers[1].state, d) == OK);
    tell_all();
    for (size_t i = 0; i < COUNT_OF(consumers); i++)
        CHECK("and ends", consumers[i].on_batch_end(consumers[i].state, d, &why) == OK);
    CHECK("and is kept", db_commit(d) == OK);
    const int64_t size = wal_size();
    struct db_rows *r = DB_ROWS(d, "SELECT (SELECT count(*) FROM charging_sessions WHERE state=7 AND session_id<>printf('%08d', session_number)),"
                                   " (SELECT count(*) FROM transactions WHERE number>?1 AND state='closed'),"
                                   " (SELECT count(*) FROM orders WHERE number>?1)", db_int(STORED));
    CHECK("all are there", db_next(r) && db_col_int(r, 0) == STATIONS && db_col_int(r, 1) == STATIONS && db_col_int(r, 2) == STATIONS &&
                               db_rows_end(r) == OK);
    charging_free(charging);
    stations_free(stations);
    db_close(d);
    return size;
}

int main(void)
{
    place_make(base, "test_written");
    const int64_t empty = measure(false), full = measure(true);
    CHECK("something is written", empty > 0);
    const bool is_same = (double)full <= AT_MOST * (double)empty;
    CHECK("what is written does not grow with what is stored", is_same);
    (void)printf("%lld bytes on an empty store, %lld behind %d transactions\n", (long long)empty, (long long)full, STORED);
    char command[PLACE_PATH_MAX];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", base);
    CHECK("cleaned up", system(command) == 0);
    return CHECK_REPORT();
}
