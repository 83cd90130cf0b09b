/* What the tables make of a station is what memory holds of it: random calls go through the real core, their events
 * through the real consumer into SQLite, in batches of which some are undone and done again. Then the station is
 * loaded, compared, and now and then goes on as the loaded one, as after it was dropped from memory. */
#include "batchkit.h"

#include "proto/ocpp16/decide.h"

#define ROUNDS        40
#define CALLS         150
#define COMPARE_EVERY 10
#define IDS_MAX       512
#define T0            INT64_C(1772355600000000)

static const uint64_t id_key[2] = {1, 2};

/* --- the world: one station, its server --- */

static struct {
    struct station station;
    struct tag_book *tags;
    struct ocpp_policy policy;
    struct instant now;
    uint64_t next_number, position;
    uint32_t ids[IDS_MAX];
    size_t id_count;
    char last[1024]; /* what it said last */
    struct arena arena;
    struct buf text;
} w;

static const char *time_text(struct instant t)
{
    static char texts[4][INSTANT_TEXT_SIZE];
    static size_t next;
    char *text = texts[next++ % 4];
    instant_write(t, text);
    return text;
}

static long any_id(void)
{
    switch (dice(8)) {
    case 0:
        return -1;
    case 1:
        return 123456789; /* of no one */
    default:
        return w.id_count == 0 ? 0 : (long)w.ids[w.id_count - 1 - dice(w.id_count < 12 ? (unsigned)w.id_count : 12)];
    }
}

static void say(char *out, size_t size)
{
    static const char *const statuses[] = {"Available", "Preparing", "Charging", "Faulted"};
    unsigned connector = 1 + dice(3);
    const char *at = time_text(instant_add(w.now, SPAN_S(-(int64_t)dice(dice(3) == 0 ? 4000 : 30))));
    switch (dice(7)) {
    case 0:
        (void)snprintf(out, size, "\"BootNotification\",{\"chargePointVendor\":\"V\",\"chargePointModel\":\"M\"}");
        break;
    case 1:
        (void)snprintf(out, size,
                       "\"StatusNotification\",{\"connectorId\":%u,\"errorCode\":\"NoError\",\"status\":\"%s\"}",
                       dice(3), statuses[dice(COUNT_OF(statuses))]);
        break;
    case 2:
        (void)snprintf(out, size, "\"SecurityEventNotification\",{\"type\":\"T\",\"timestamp\":\"%s\"}", at);
        break;
    case 3:
        (void)snprintf(
            out, size,
            "\"StartTransaction\",{\"connectorId\":%u,\"idTag\":\"Tag%u \",\"meterStart\":%u,\"timestamp\":\"%s\"}",
            connector, dice(3), dice(1000), at);
        break;
    case 4:
        (void)snprintf(out, size, "\"StopTransaction\",{\"transactionId\":%ld,\"meterStop\":%u,\"timestamp\":\"%s\"%s}",
                       any_id(), dice(3000), at, dice(2) == 0 ? ",\"reason\":\"PowerLoss\"" : "");
        break;
    default: {
        char named[40] = "";
        if (dice(3) > 0)
            (void)snprintf(named, sizeof named, "\"transactionId\":%ld,", any_id());
        (void)snprintf(out, size,
                       "\"MeterValues\",{\"connectorId\":%u,%s\"meterValue\":[{\"timestamp\":\"%s\",\"sampledValue\":["
                       "%s]}]}",
                       connector, named, at, dice(8) == 0 ? "" : "{\"value\":\"7\"}");
    }
    }
}

static void look_up(const struct ocpp_call *call, struct ocpp_known *known)
{
    struct str owner = {NULL, 0};
    known->tag = (struct id_tag){.is_known = true, .expires_at = INSTANT_NONE, .max_concurrent = -1};
    if (call->wants_transaction == 0 && !call->wants_start)
        return;
    batch_write(); /* the gateway waits for the tables too */
    if (call->wants_transaction != 0)
        known->has_transaction = stations_find_transaction(db, permute31_back(id_key, call->wants_transaction),
                                                           &w.arena, &known->transaction, &owner) == OK;
    else
        known->has_transaction = stations_find_start(db, str_of(w.station.id), &call->start, &known->transaction) == OK;
}

static void call_once(void)
{
    char text[1200];
    struct ocpp_frame frame;
    struct ocpp_call call;
    struct ocpp_known known = {0};
    struct ocpp_decision d;
    struct fault why = {0};
    if (w.last[0] == 0 || dice(6) > 0)
        say(w.last, sizeof w.last);
    (void)snprintf(text, sizeof text, "[2,\"%u\",%s]", dice(1000000), w.last);
    w.now = instant_add(w.now, SPAN_S(1 + dice(20)));
    arena_reset(&w.arena);
    buf_clear(&w.text);
    struct ocpp_input in = {.policy = &w.policy,
                            .now = w.now,
                            .station = &w.station,
                            .tags = w.tags,
                            .id_key = id_key,
                            .next_number = &w.next_number,
                            .remote_address = STR("192.0.2.1:1"),
                            .text = str_of(text)};
    for (size_t i = 0; i < sizeof in.random; i++)
        in.random[i] = (uint8_t)dice(256);
    enum err e = ocpp_frame_read(in.text, &w.arena, &frame, &why);
    ocpp_call_read(&in, &frame, e, &why, &w.arena, &call);
    look_up(&call, &known);
    size_t numbers = w.next_number;
    ocpp_call_decide(&in, &call, &known, &w.arena, &w.text, &d);
    CHECK("every call has an answer", d.answer.len > 0);
    for (; numbers < w.next_number && w.id_count < IDS_MAX; numbers++)
        w.ids[w.id_count++] = permute31(id_key, (uint32_t)numbers);
    for (size_t i = 0; i < d.event_count; i++) {
        d.events[i].position = ++w.position;
        batch_add(&d.events[i]);
    }
    batch_write_if_due();
}

/* --- memory and tables --- */

static bool is_same_transaction(const struct transaction *a, const struct transaction *b)
{
    return a->number == b->number && a->id == b->id && a->connector_id == b->connector_id && a->state == b->state &&
           a->is_superseded == b->is_superseded && a->meter_start_wh == b->meter_start_wh &&
           a->started.us == b->started.us && a->device_started.us == b->device_started.us &&
           a->start_key == b->start_key && a->stop_key == b->stop_key && a->first_verdict == b->first_verdict &&
           strcmp(a->id_tag, b->id_tag) == 0;
}

static void compare_transactions(struct station *loaded)
{
    CHECK("as many are open", station_open_count(&w.station) == station_open_count(loaded));
    for (size_t i = 0; i < w.station.transaction_count; i++) {
        const struct transaction *a = &w.station.transactions[i], *b = station_transaction(loaded, a->id);
        struct transaction found = {0};
        struct str owner;
        CHECK("what memory holds is found", stations_find_transaction(db, a->number, &w.arena, &found, &owner) == OK);
        CHECK("and is the same", is_same_transaction(a, &found) && str_eq(owner, str_of(w.station.id)));
        CHECK("what is open is loaded", a->state != TRANSACTION_OPEN || (b != NULL && is_same_transaction(a, b)));
        CHECK("and as well known to the station",
              a->state != TRANSACTION_OPEN || b == NULL || a->is_confirmed == b->is_confirmed);
    }
    CHECK("the latest start is the same", w.station.newest_start.us == loaded->newest_start.us);
}

static size_t waiting_in(const struct station *s, const struct orphan *out[STATION_ORPHANS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; s->orphans != NULL && i < STATION_ORPHANS_MAX; i++)
        if (s->orphans[i].is_set)
            out[n++] = &s->orphans[i];
    return n;
}

/* Stops that wait for their start, in their order; the table keeps more than memory has places. */
static void compare_waiting(const struct station *loaded)
{
    const struct orphan *a[STATION_ORPHANS_MAX], *b[STATION_ORPHANS_MAX];
    size_t n = waiting_in(&w.station, a), of = waiting_in(loaded, b);
    CHECK("what waits is loaded, and what was kept longer", n <= of);
    for (size_t i = 0; i < n && n <= of; i++)
        CHECK("in its order",
              memcmp(&a[i]->quarantine_id, &b[of - n + i]->quarantine_id, sizeof a[i]->quarantine_id) == 0 &&
                  a[i]->meter_stop_wh == b[of - n + i]->meter_stop_wh &&
                  a[i]->timestamp.us == b[of - n + i]->timestamp.us &&
                  strcmp(a[i]->reason, b[of - n + i]->reason) == 0);
}

static void compare(void)
{
    struct station loaded;
    batch_write();
    station_init(&loaded, str_of("CP"));
    enum err e = stations_load(db, str_of("CP"), &loaded);
    CHECK("it has a row once it was accepted", e == OK || !w.station.has_booted);
    const int64_t there = tables_ask("SELECT count(*) FROM transactions WHERE charge_point_id = 'CP'");
    CHECK("it has the newest of its transactions",
          (int64_t)loaded.transaction_count >= (there < STATION_CLOSED_MAX ? there : STATION_CLOSED_MAX));
    CHECK("its sequence goes on", e != OK || loaded.sequence == w.station.sequence);
    CHECK("so does its registration", e != OK || (loaded.registration == w.station.registration && loaded.has_booted));
    for (size_t i = 0; e == OK && i < w.station.connector_count; i++) {
        const struct connector *a = &w.station.connectors[i], *b = station_connector_find(&loaded, a->id);
        CHECK("a connector is as it was",
              a->status[0] == 0 || (b != NULL && strcmp(a->status, b->status) == 0 &&
                                    strcmp(a->error_code, b->error_code) == 0 && a->since.us == b->since.us));
    }
    compare_transactions(&loaded);
    compare_waiting(&loaded);
    for (size_t i = 0; e == OK && w.station.said != NULL && i < STATION_METERS_MAX; i++)
        CHECK("what it said lately is known again",
              w.station.said->meters[i] == 0 || station_meter_is_repeat(&loaded, w.station.said->meters[i]));
    CHECK("no number is given twice", stations_last_number(db) + 1 == w.next_number || w.next_number == 1);
    if (e == OK && dice(3) == 0) { /* dropped from memory, and back */
        station_release(&w.station);
        w.station = loaded;
    } else {
        station_release(&loaded);
    }
}

static void run_round(uint64_t seed)
{
    tables_clear();
    dice_state = seed;
    w.policy = (struct ocpp_policy){.unknown_station = REGISTRATION_ACCEPTED, .heartbeat_s = 300, .boot_retry_s = 60};
    w.now = (struct instant){T0};
    w.next_number = 1;
    w.position = w.id_count = 0;
    w.tags = tag_book_new(id_key);
    station_init(&w.station, str_of("CP"));
    w.last[0] = 0;
    for (int i = 0; i < CALLS; i++) {
        call_once();
        if (i % COMPARE_EVERY == 0)
            compare();
    }
    compare();
    station_release(&w.station);
    tag_book_free(w.tags);
}

/* --- what the consumer does with single events --- */

static void take(enum event_type type, const char *payload, const char *frame, int64_t at_s)
{
    batch_add(&(struct event){.type = type,
                              .station = STR("CP"),
                              .received = {T0 + at_s * 1000000},
                              .device_time = INSTANT_NONE,
                              .payload = str_of(payload),
                              .position = 1,
                              .frame = str_of(frame)});
    batch_write();
}

static void test_presence(void)
{
    static const char seen[] = "SELECT (last_seen - 1772355600000000) / 1000000 FROM charge_points";
    static const char online[] = "SELECT online FROM charge_points";
    take(EVENT_CONNECTION_OPENED,
         "{\"generation\":3,\"protocol\":\"ocpp1.6\",\"remoteAddress\":\"a\",\"securityProfile\":0}", NULL, 1);
    CHECK("a connection is a sign of life", tables_ask(seen) == 1 && tables_ask(online) == 1);
    take(EVENT_FRAME, "{}", "[2,\"1\",\"Heartbeat\",{}]", 2);
    CHECK("so is what it says", tables_ask(seen) == 2);
    take(EVENT_COMMAND_SENT, "{\"commandId\":\"c\",\"messageId\":\"m\"}", "[2,\"m\",\"ClearCache\",{}]", 3);
    take(EVENT_SECURITY_EVENT, "{\"type\":\"FailedToAuthenticateAtCentralSystem\",\"origin\":\"gateway\"}", NULL, 4);
    CHECK("what we say, or others in its name, is not", tables_ask(seen) == 2);
    take(EVENT_DISCONNECTED, "{\"reason\":\"replaced\",\"generation\":2}", NULL, 5);
    CHECK("the end of an older connection leaves it online", tables_ask(online) == 1 && tables_ask(seen) == 2);
    take(EVENT_CONNECTION_OPENED,
         "{\"generation\":2,\"protocol\":\"ocpp1.6\",\"remoteAddress\":\"b\",\"securityProfile\":0}", NULL, 6);
    CHECK("an older generation does not come back", tables_ask("SELECT generation FROM charge_points") == 3);
    take(EVENT_DISCONNECTED, "{\"reason\":\"tcp_connection_closed\",\"generation\":3}", NULL, 7);
    CHECK("the end of its own takes it off", tables_ask(online) == 0);
}

/* The ports of a pile come back as the codes that their statuses were made of. */
static void test_pile_ports(void)
{
    struct ap3000_pile *p = pile_new();
    struct firmware_job job = {0};
    check(db_run(db,
                 "INSERT INTO connectors (charge_point_id, connector_id, status, vendor_error_code) VALUES"
                 " ('AP7', 0, 'Available', NULL), ('AP7', 1, 'Charging', NULL), ('AP7', 2, 'Available', NULL),"
                 " ('AP7', 3, 'Faulted', '0x08'), ('AP7', 5, 'Charging', NULL)",
                 NULL, 0) == OK);
    CHECK("a pile is read", stations_load_pile(db, STR("AP7"), p, &job) == OK && job.job_id[0] == 0);
    CHECK("up to the first port of which nothing was told", p->ports_seen == 3);
    CHECK("a port charges", p->ports_seen == 3 && p->ports[0] == AP3000_PORT_CHARGING);
    CHECK("one is idle", p->ports_seen == 3 && p->ports[1] == AP3000_PORT_IDLE);
    CHECK("a fault is the same one", p->ports_seen == 3 && p->ports[2] == AP3000_PORT_BAD_CONTACT);
    pile_free(p);
}

int main(void)
{
    tables_open(id_key);
    arena_init(&w.arena, (size_t)1 << 20);
    buf_init(&w.text, (size_t)1 << 20);
    test_presence();
    test_pile_ports();
    for (uint64_t seed = 1; seed <= ROUNDS; seed++)
        run_round(seed * 7919);
    arena_release(&w.arena);
    buf_release(&w.text);
    tables_close();
    return CHECK_REPORT();
}
