/* services/stations/stations.c - the consumer "stations": from events to rows, a table of handlers, one a type.
 *
 * What changes with every event (sequence, last seen) is gathered in memory and written once a batch and station, so
 * that its cost does not grow with the events of a busy station. */
#include "services/stations/stations.h"

#include "base/lately.h"
#include "proto/ap3000/decide.h"
#include "proto/ocpp16/decide.h"
#include "services/stations/begun.h"
#include "services/stations/embedded.h"
#include "services/stations/numbers.h"
#include "services/stations/readings.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_SIZE_MAX   ((size_t)4 << 20) /* of one event's payload when read */
#define CONNECTORS_SEEN 64                /* with a bit in struct seen: of more, each start looks for its row */
#define CONNECTORS_ROWS 64                /* that are handed over together */

const struct migration stations_migrations[] = {
    {"stations/0001", embedded_0001_stations_sql},
    {"stations/0002", embedded_0002_piles_sql},
    {"stations/0003", embedded_0003_piles_sql},
    {"stations/0004", embedded_0004_totals_sql},
    {"stations/0005", embedded_0005_counts_sql},
    {"stations/0006", embedded_0006_open_counts_sql},
    {"stations/0007", embedded_0007_blocks_sql},
    {"stations/0008", embedded_0008_orders_sql},
};
const size_t stations_migration_count = COUNT_OF(stations_migrations);

/* What a batch saw of one station. */
struct seen {
    struct str station;                          /* owned */
    uint64_t contents[STATION_METERS_MAX];       /* keys of what it may say again, the newest, as the station in memory
                                                  * remembers them; a ring */
    size_t content_count;                        /* of all that were seen */
    uint64_t sequence;
    struct instant last_seen, newest_start;      /* newest_start: by the device's time, of the starts of this batch */
    int64_t event_count;
    uint64_t connectors;                         /* bits of those that are to have a row */
    bool has_skew;
    int64_t skew_ms;
};

struct stations {
    struct numbers numbers;
    char gateway_id[65];
    struct map seen;
    struct lately lately;     /* of seen */
    struct readings readings; /* of this batch, and the next two */
    struct begun begun;
    uint64_t last_number;     /* highest transaction number of this batch; 0: none */
    int64_t order_block;      /* of orders, that this batch saw to be there; 0: none */
    struct arena arena;
    void *payload;            /* struct of any event's */
    void (*on_committed)(void *data, uint64_t position);
    void *data;
};

static void *payload_new(void)
{
    size_t size = 0;
    for (int type = 0; type < EVENT_TYPE_COUNT; type++)
        if (event_kinds[type].payload != NULL && event_kinds[type].payload->size > size)
            size = event_kinds[type].payload->size;
    return mem_new(1, size);
}

struct stations *stations_new(const uint64_t id_key[2], struct str gateway_id,
                              void (*on_committed)(void *data, uint64_t position), void *data)
{
    struct stations *s = mem_new(1, sizeof *s);
    memcpy(s->numbers.id_key, id_key, sizeof s->numbers.id_key);
    (void)str_copy(s->gateway_id, sizeof s->gateway_id, gateway_id);
    map_init(&s->seen, id_key);
    lately_init(&s->lately);
    arena_init(&s->arena, TEXT_SIZE_MAX);
    begun_init(&s->begun);
    s->payload = payload_new();
    s->on_committed = on_committed;
    s->data = data;
    return s;
}

static void forget_seen(void *state)
{
    struct stations *s = state;
    size_t i = 0;
    lately_forget(&s->lately);
    for (struct seen *v; (v = map_next(&s->seen, &i)) != NULL;) {
        free((void *)(uintptr_t)v->station.at);
        free(v);
    }
    map_release(&s->seen);
    map_init(&s->seen, s->numbers.id_key);
    readings_forget(&s->readings);
    begun_forget(&s->begun);
    s->last_number = 0;
    s->order_block = 0;
}

void stations_free(struct stations *s)
{
    if (s == NULL)
        return;
    forget_seen(s);
    map_release(&s->seen);
    readings_release(&s->readings);
    begun_release(&s->begun);
    arena_release(&s->arena);
    free(s->payload);
    free(s);
}

static struct seen *seen_add(struct stations *s, struct str station)
{
    struct seen *v = mem_new(1, sizeof *v);
    char *copy = mem_new(1, station.len + 1);
    memcpy(copy, station.at, station.len);
    v->station = (struct str){copy, station.len};
    v->last_seen = v->newest_start = INSTANT_NONE;
    (void)map_put(&s->seen, v->station, v);
    return v;
}

static struct seen *seen_of(struct stations *s, struct str station)
{
    struct seen *v = lately_find(&s->lately, station);
    if (v != NULL)
        return v;
    v = map_find(&s->seen, station);
    if (v == NULL)
        v = seen_add(s, station);
    lately_put(&s->lately, v->station, v);
    return v;
}

/* One event being applied. */
struct change {
    struct stations *s;
    struct db *db;
    const struct event *e;
    const void *payload;
    struct seen *seen;
};

static void note_number(struct stations *s, uint64_t number)
{
    if (number > s->last_number)
        s->last_number = number;
}

static struct str join_flags(struct stations *s, struct str_list flags)
{
    struct str all = STR("");
    for (size_t i = 0; i < flags.count; i++)
        all = arena_printf(&s->arena, "%.*s%s%.*s", STR_ARG(all), i == 0 ? "" : " ", STR_ARG(flags.at[i]));
    return all;
}

static struct db_value int_or_null(struct integer n)
{
    return n.is_set ? db_int(n.value) : db_null();
}

/* What a pile says in pieces, each in its own time: what a piece does not say stays. */
static enum err write_pile(struct change *c, const struct ev_connected *p)
{
    uint32_t physical_id;
    int64_t firmware;
    if (p->physical_id.at == NULL || ap3000_id_parse(p->physical_id, &physical_id) != OK)
        return OK;
    bool is_registered = p->connectors.is_set; /* a host alone says the version of itself */
    bool has_firmware = is_registered && p->firmware_version.at != NULL &&
                        decimal_parse(p->firmware_version, 2, &firmware, NULL) == OK;
    return DB_RUN(
        c->db,
        "INSERT INTO piles (charge_point_id, physical_id, iccid, host, firmware, device_type, port_count, virtual_id,"
        " work_mode, power_board, host_type, host_firmware, imei, heartbeat_style, heartbeat_s, is_cabinet)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
        " ON CONFLICT (charge_point_id) DO UPDATE SET physical_id = ?2, iccid = coalesce(?3, iccid),"
        " host = ?4, firmware = coalesce(?5, firmware), device_type = coalesce(?6, device_type),"
        " port_count = coalesce(?7, port_count), virtual_id = coalesce(?8, virtual_id),"
        " work_mode = coalesce(?9, work_mode), power_board = coalesce(?10, power_board),"
        " host_type = coalesce(?11, host_type), host_firmware = coalesce(?12, host_firmware),"
        " imei = coalesce(?13, imei), heartbeat_style = coalesce(?14, heartbeat_style),"
        " heartbeat_s = coalesce(?15, heartbeat_s), is_cabinet = max(is_cabinet, ?16)",
        db_text(c->e->station), db_int(physical_id), db_text(p->iccid), db_text(p->host),
        has_firmware ? db_int(firmware) : db_null(), int_or_null(p->device_type), int_or_null(p->connectors),
        int_or_null(p->virtual_id), int_or_null(p->work_mode), int_or_null(p->power_board), int_or_null(p->host_type),
        int_or_null(p->host_firmware), db_text(p->imei), db_text(p->heartbeat_style), int_or_null(p->heartbeat_s),
        db_int(p->is_cabinet.value));
}

static enum err on_connected(struct change *c)
{
    const struct ev_connected *p = c->payload;
    bool is_accepted = c->e->type == EVENT_CONNECTED;
    enum err e = write_pile(c, p);
    if (e != OK)
        return e;
    return DB_RUN(
        c->db,
        "INSERT INTO charge_points (charge_point_id, registration, created_at, updated_at, protocol, vendor, model,"
        " firmware_version, serial_number, iccid, imsi, meter_type, meter_serial_number, remote_address, booted_at)"
        " VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        " ON CONFLICT (charge_point_id) DO UPDATE SET protocol = ?4, vendor = ?5, model = ?6, firmware_version = ?7,"
        " serial_number = ?8, iccid = ?9, imsi = ?10, meter_type = ?11, meter_serial_number = ?12,"
        " remote_address = ?13, booted_at = coalesce(?14, charge_points.booted_at),"
        " registration = CASE WHEN charge_points.registration = 'unknown' THEN ?2 ELSE charge_points.registration END",
        db_text(c->e->station), db_text(p->registration.at == NULL ? STR("accepted") : p->registration),
        db_time(c->e->received), db_text(p->protocol), db_text(p->vendor), db_text(p->model),
        db_text(p->firmware_version), db_text(p->serial_number), db_text(p->iccid), db_text(p->imsi),
        db_text(p->meter_type), db_text(p->meter_serial), db_text(p->remote_address),
        is_accepted ? db_time(c->e->received) : db_null());
}

/* A station that nobody registered and that has not booted gets its row here, since its generation must outlive a
 * restart: registration "unknown" until its boot is answered or a person decides. */
static enum err on_opened(struct change *c)
{
    const struct ev_connection_opened *p = c->payload;
    return DB_RUN(c->db,
                  "INSERT INTO charge_points (charge_point_id, registration, created_at, updated_at, online, protocol, "
                  "remote_address,"
                  " connected_since, generation, gateway_id) VALUES (?1, 'unknown', ?4, ?4, 1, ?2, ?3, ?4, ?5, ?6)"
                  " ON CONFLICT (charge_point_id) DO UPDATE SET online = 1, protocol = ?2, remote_address = ?3, "
                  "connected_since = ?4,"
                  " generation = ?5, gateway_id = ?6 WHERE charge_points.generation < ?5",
                  db_text(c->e->station), db_text(p->protocol), db_text(p->remote_address), db_time(c->e->received),
                  db_int(p->generation.value), db_text(str_of(c->s->gateway_id)));
}

static enum err on_disconnected(struct change *c)
{
    const struct ev_disconnected *p = c->payload;
    return DB_RUN(c->db,
                  "UPDATE charge_points SET online = 0, connected_since = NULL, disconnected_at = ?2"
                  " WHERE charge_point_id = ?1 AND generation <= ?3",
                  db_text(c->e->station), db_time(c->e->received),
                  db_int(p->generation.is_set ? p->generation.value : INT64_MAX));
}

static enum err on_status(struct change *c)
{
    const struct ev_status_changed *p = c->payload;
    if (instant_is_set(c->e->device_time)) {
        c->seen->has_skew = true;
        c->seen->skew_ms = instant_since(c->e->device_time, c->e->received).us / 1000;
    }
    return DB_RUN(c->db,
                  "INSERT INTO connectors (charge_point_id, connector_id, status, error_code, info, vendor_error_code, "
                  "since, updated_at)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)"
                  " ON CONFLICT (charge_point_id, connector_id) DO UPDATE SET"
                  " since = CASE WHEN connectors.status = ?3 THEN connectors.since ELSE ?7 END,"
                  " status = ?3, error_code = ?4, info = ?5, vendor_error_code = ?6, updated_at = ?7",
                  db_text(c->e->station), db_int(p->connector_id.value), db_text(p->status), db_text(p->error_code),
                  db_text(p->info), db_text(p->vendor_error_code), db_time(c->e->received));
}

static bool has_flag(struct str_list flags, struct str flag)
{
    for (size_t i = 0; i < flags.count; i++)
        if (str_eq(flags.at[i], flag))
            return true;
    return false;
}

/* Each connector of a transaction has a row; those that have a bit get theirs at the end of the batch. */
static enum err note_connector(struct change *c, int64_t connector_id)
{
    if (connector_id >= 0 && connector_id < CONNECTORS_SEEN) {
        c->seen->connectors |= (uint64_t)1 << connector_id;
        return OK;
    }
    return DB_RUN(c->db, "INSERT INTO connectors (charge_point_id, connector_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                  db_text(c->e->station), db_int(connector_id));
}

static enum err on_started(struct change *c)
{
    const struct ev_transaction_started *p = c->payload;
    uint64_t number = number_of(&c->s->numbers, p->transaction_id);
    if (number == 0)
        return ERR_FORMAT;
    note_number(c->s, number);
    if (instant_before(c->seen->newest_start, c->e->device_time)) /* one that is not set is before all */
        c->seen->newest_start = c->e->device_time;
    struct instant started = !instant_is_set(c->e->device_time) || has_flag(p->flags, STR("clock_corrected"))
                                 ? c->e->received
                                 : c->e->device_time;
    enum err e = OK;
    if (p->supersedes.at != NULL)
        e = begun_supersede(&c->s->begun, c->db, number_of(&c->s->numbers, p->supersedes), started);
    begun_add(&c->s->begun, &(struct transaction_row){.number = number,
                                                      .position = c->e->position,
                                                      .connector_id = p->connector_id.value,
                                                      .meter_start_wh = p->meter_start_wh.value,
                                                      .transaction_id = p->transaction_id,
                                                      .station = c->e->station,
                                                      .id_tag = p->id_tag,
                                                      .id_tag_status = p->id_tag_status,
                                                      .order_no = p->order_no,
                                                      .flags = join_flags(c->s, p->flags),
                                                      .started = started,
                                                      .device_started = c->e->device_time,
                                                      .received = c->e->received});
    if (e == OK && p->order_no.at != NULL && instant_is_set(c->e->device_time))
        e = DB_RUN(c->db, "UPDATE orders SET started_at = ?2 WHERE number = ?1", db_int((int64_t)number),
                   db_time(c->e->device_time));
    if (e == OK)
        e = note_connector(c, p->connector_id.value);
    return e;
}

/* What a station repeats is known by its content: what memory remembers of it comes back from here after a restart. Only the newest of a
 * batch are kept, but copying them to hash them at its end costs more than hashing all: the copies push all else out of the cache. */
static void note_content(struct change *c)
{
    struct str payload;
    bool is_pile = !event_is_packed(c->e) && c->e->frame.at != NULL && pile_id_is(c->e->station);
    if (is_pile && c->e->type != EVENT_QUARANTINED && c->e->type != EVENT_AUTHORIZATION)
        return; /* its readings are never said again, and would push out what may be */
    if (!is_pile && event_packed_body(c->e, &payload) != OK &&
        (c->e->frame.at == NULL || !ocpp_frame_payload(c->e->frame, &payload)))
        return;
    c->seen->contents[c->seen->content_count++ % STATION_METERS_MAX] = !is_pile ? ocpp_meter_key(payload)
                                                                       : c->e->type == EVENT_AUTHORIZATION
                                                                           ? ap3000_swipe_key(c->e->frame)
                                                                           : ap3000_content_key(c->e->frame);
}

static enum err on_meter(struct change *c)
{
    const struct ev_meter_values *p = c->payload;
    note_content(c);
    readings_note(&c->s->readings, (struct reading_note){.number = number_of(&c->s->numbers, p->transaction_id),
                                                         .position = c->e->position,
                                                         .is_named = !has_flag(p->flags, STR("inferred"))});
    return OK;
}

static enum err on_content(struct change *c)
{
    note_content(c);
    return OK;
}

/* Of a pile it is a swipe, which it may say again; a station of OCPP asks again as often as it likes. */
static enum err on_authorization(struct change *c)
{
    if (pile_id_is(c->e->station))
        note_content(c);
    return OK;
}

static enum err on_stopped(struct change *c)
{
    const struct ev_transaction_stopped *p = c->payload;
    struct instant stopped = !instant_is_set(p->stop_timestamp.at) || has_flag(p->flags, STR("clock_corrected"))
                                 ? c->e->received
                                 : p->stop_timestamp.at;
    const struct transaction_end end = {.at = stopped,
                                        .device_at = p->stop_timestamp.at,
                                        .meter_wh = p->meter_stop_wh.value,
                                        .energy_wh = p->energy_wh.value,
                                        .key = (int64_t)ocpp_stop_key(p->meter_stop_wh.value, p->stop_timestamp.at),
                                        .reason = p->reason,
                                        .id_tag = p->id_tag,
                                        .flags = join_flags(c->s, p->flags),
                                        .is_override = has_flag(p->flags, STR("overrides_operator"))};
    return begun_stop(&c->s->begun, c->db, number_of(&c->s->numbers, p->transaction_id), &end);
}

static enum err on_command_queued(struct change *c)
{
    const struct ev_command_queued *p = c->payload;
    char trace[33];
    hex_write((struct bytes){c->e->trace, sizeof c->e->trace}, trace);
    return DB_RUN(
        c->db,
        "INSERT INTO commands (command_id, charge_point_id, action, payload, origin, state, urgent, queued_at, "
        "expires_at,"
        " trace_id, position) VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
        db_text(p->command_id), db_text(c->e->station), db_text(p->command_name), db_text(p->payload),
        db_text(p->origin), db_int(p->is_urgent.value), db_time(c->e->received), db_time(p->expires_at.at),
        db_text(str_of(trace)), db_int((int64_t)c->e->position));
}

static enum err on_command_sent(struct change *c)
{
    const struct ev_command_sent *p = c->payload;
    return DB_RUN(
        c->db,
        "UPDATE commands SET state = 'sent', sent_at = ?2, message_id = ?3 WHERE command_id = ?1 AND state = 'queued'",
        db_text(p->command_id), db_time(c->e->received), db_text(p->message_id));
}

/* details: {"reason": ..} or {"response": ..}, see gateway/commands.c. */
static enum err on_command_response(struct change *c)
{
    const struct ev_command_response *p = c->payload;
    struct str response = {NULL, 0}, reason = {NULL, 0};
    struct json j;
    struct json_string key, text;
    json_init(&j, p->details);
    if (json_open_object(&j))
        while (json_next_key(&j, &key)) {
            if (json_string_is(key, STR("response")))
                (void)json_get_raw(&j, &response);
            else if (json_string_is(key, STR("reason")) && json_get_string(&j, &text))
                reason = text.raw; /* one of our own words: never escaped */
            else if (j.error == OK && !json_string_is(key, STR("reason")))
                (void)json_skip(&j);
        }
    return DB_RUN(
        c->db,
        "UPDATE commands SET state = 'done', outcome = ?2, status = ?3, response = ?4, reason = ?5, done_at = ?6"
        " WHERE command_id = ?1 AND state <> 'done'",
        db_text(p->command_id), db_text(p->outcome), db_text(p->status), db_text(response), db_text(reason),
        db_time(c->e->received));
}

static enum err on_quarantined(struct change *c)
{
    const struct ev_quarantined *p = c->payload;
    note_content(c);
    if (str_eq(p->action, STR("StartTransaction")))
        note_number(c->s, number_of(&c->s->numbers, p->transaction_id));
    return DB_RUN(
        c->db,
        "INSERT INTO quarantine (quarantine_id, position, charge_point_id, action, reason, message_id, connector_id,"
        " transaction_id, suggestion, frame, received_at, content, state)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 'open') ON CONFLICT DO NOTHING",
        db_text(p->quarantine_id), db_int((int64_t)c->e->position), db_text(c->e->station), db_text(p->action),
        db_text(p->reason), db_text(p->message_id), p->connector_id.is_set ? db_int(p->connector_id.value) : db_null(),
        db_text(p->transaction_id), db_text(p->suggestion), db_text(c->e->frame.at == NULL ? STR("") : c->e->frame),
        db_time(c->e->received),
        pile_id_is(c->e->station) ? db_int((int64_t)ap3000_content_key(c->e->frame)) : db_null());
}

static enum err on_quarantine_resolved(struct change *c)
{
    const struct ev_quarantine_resolved *p = c->payload;
    return DB_RUN(c->db,
                  "UPDATE quarantine SET state = ?2, resolved_at = ?3, resolved_by = ?4, applied_to = ?5"
                  " WHERE quarantine_id = ?1 AND state = 'open'",
                  db_text(p->quarantine_id), db_text(p->resolution), db_time(c->e->received), db_text(p->by),
                  db_text(p->transaction_id));
}

static enum err note_order_block(struct change *c, int64_t block)
{
    if (block == c->s->order_block)
        return OK;
    c->s->order_block = block;
    return DB_RUN(c->db, "INSERT INTO order_blocks (block) VALUES (?1) ON CONFLICT DO NOTHING", db_int(block));
}

static enum err on_order(struct change *c)
{
    const struct ev_order *p = c->payload;
    uint64_t number = number_of(&c->s->numbers, p->transaction_id);
    int state = order_state_find(p->state);
    if (number == 0 || state < 0)
        return ERR_FORMAT;
    note_number(c->s, number);
    bool is_running = state == ORDER_CHARGING;
    const int64_t block = c->e->received.us >> ORDER_BLOCK_BITS;
    enum err e = note_order_block(c, block);
    if (e != OK)
        return e;
    /* Where numbers repeat, the settlement gives it the key by which it is known from then on: a longer one. */
    if (!str_eq(p->order_key, p->order_no))
        e = DB_RUN(c->db,
                   "UPDATE orders SET order_key = ?3 WHERE charge_point_id = ?1 AND number = ?2 AND order_key <> ?3",
                   db_text(c->e->station), db_int((int64_t)number), db_text(p->order_key));
    if (e != OK)
        return e;
    return DB_RUN(
        c->db,
        "INSERT INTO orders (charge_point_id, order_key, order_no, number, transaction_id, state, start_mode,"
        " connector_id, id_tag, command_id, content, is_told, is_cancelled, reason, placed_at, started_at, changed_at,"
        " is_held, block) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?15, ?17, ?18)"
        " ON CONFLICT (charge_point_id, order_key) DO UPDATE SET state = ?6, start_mode = coalesce(?7, start_mode),"
        " connector_id = coalesce(?8, connector_id), id_tag = coalesce(?9, id_tag),"
        " command_id = coalesce(?10, command_id), content = coalesce(content, ?11), is_told = max(is_told, ?12),"
        " is_cancelled = max(is_cancelled, ?13), reason = ?14, started_at = coalesce(started_at, ?16),"
        " changed_at = CASE WHEN state = ?6 THEN changed_at ELSE ?15 END, block = CASE WHEN state = ?6 THEN block ELSE ?18 END,"
        " is_held = ?17",
        db_text(c->e->station), db_text(p->order_key), db_text(p->order_no), db_int((int64_t)number),
        db_text(p->transaction_id), db_text(p->state), int_or_null(p->start_mode), int_or_null(p->connector_id),
        db_text(p->id_tag), db_text(p->command_id), db_text(p->content), db_int(p->is_told.value),
        db_int(p->is_cancelled.value), db_text(p->reason), db_time(c->e->received),
        is_running ? db_time(c->e->received) : db_null(), db_int(p->is_held.value), db_int(block));
}

static enum err on_firmware_job(struct change *c)
{
    const struct ev_firmware_job *p = c->payload;
    return DB_RUN(c->db,
                  "INSERT INTO firmware_jobs (job_id, charge_point_id, file_id, command, state, packet, packets, reason,"
                  " size_bytes, byte_sum, version, device_type, check_packet, started_at, updated_at)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14)"
                  " ON CONFLICT (job_id) DO UPDATE SET state = ?5, packet = ?6, packets = ?7, reason = ?8,"
                  " updated_at = ?14",
                  db_text(p->job_id), db_text(c->e->station), db_text(p->file_id), db_int(p->command.value),
                  db_text(p->status), db_int(p->packet.value), db_int(p->packets.value), db_text(p->reason),
                  db_int(p->size_bytes.value), db_int(p->byte_sum.value), db_int(p->version.value),
                  db_int(p->device_type.value), db_int(p->check_packet.value), db_time(c->e->received));
}

/* The process before this one is gone, and with it its connections; what it did not write down itself the gateway adds.
 */
static enum err on_gateway_started(struct change *c)
{
    return DB_RUN(c->db,
                  "UPDATE charge_points SET online = 0, connected_since = NULL, disconnected_at = ?1 WHERE online = 1",
                  db_time(c->e->received));
}

static enum err (*const handlers[EVENT_TYPE_COUNT])(struct change *c) = {
    [EVENT_CONNECTED] = on_connected,
    [EVENT_BOOT_HELD] = on_connected,
    [EVENT_CONNECTION_OPENED] = on_opened,
    [EVENT_DISCONNECTED] = on_disconnected,
    [EVENT_STATUS_CHANGED] = on_status,
    [EVENT_TRANSACTION_STARTED] = on_started,
    [EVENT_TRANSACTION_METER] = on_meter,
    [EVENT_METER_VALUES] = on_content,
    [EVENT_AUTHORIZATION] = on_authorization,
    [EVENT_SECURITY_EVENT] = on_content,
    [EVENT_TRANSACTION_STOPPED] = on_stopped,
    [EVENT_COMMAND_QUEUED] = on_command_queued,
    [EVENT_COMMAND_SENT] = on_command_sent,
    [EVENT_COMMAND_RESPONSE] = on_command_response,
    [EVENT_QUARANTINED] = on_quarantined,
    [EVENT_QUARANTINE_RESOLVED] = on_quarantine_resolved,
    [EVENT_GATEWAY_STARTED] = on_gateway_started,
    [EVENT_ORDER] = on_order,
    [EVENT_FIRMWARE_JOB] = on_firmware_job,
};

static enum err on_event(void *state, struct db *d, const struct event *e, struct fault *why)
{
    struct stations *s = state;
    struct change c = {.s = s, .db = d, .e = e, .seen = seen_of(s, e->station)};
    arena_reset(&s->arena);
    if (e->sequence > c.seen->sequence)
        c.seen->sequence = e->sequence;
    if ((e->frame.at != NULL && e->type != EVENT_COMMAND_SENT) || e->type == EVENT_CONNECTION_OPENED)
        c.seen->last_seen = e->received; /* it spoke; what we did about it, or others in its name, does not count */
    c.seen->event_count += event_kinds[e->type].is_published;
    if (handlers[e->type] == NULL)
        return OK;
    enum err err = handlers[e->type] == on_content ? OK : event_read_brief(e, &s->arena, s->payload, NULL, why);
    c.payload = s->payload;
    if (err == OK)
        err = handlers[e->type](&c);
    if (err != OK && why->reason[0] == 0)
        fault_set(why, event_kinds[e->type].wire, "%s", db_reason(d));
    return err;
}

/* The keys of the batch that are worth keeping, oldest first. */
static struct bytes new_contents(const struct seen *v, uint8_t out[8 * STATION_METERS_MAX])
{
    size_t size = 0, kept = v->content_count < STATION_METERS_MAX ? v->content_count : STATION_METERS_MAX;
    for (size_t i = v->content_count - kept; i < v->content_count; i++) {
        const uint64_t key = v->contents[i % STATION_METERS_MAX];
        for (int shift = 56; shift >= 0; shift -= 8)
            out[size++] = (uint8_t)(key >> shift);
    }
    return (struct bytes){out, size};
}

/* One statement does all: its row is found once. */
static enum err write_seen(struct db *d, const struct seen *v)
{
    uint8_t keys[8 * STATION_METERS_MAX];
    return DB_RUN(
        d,
        "UPDATE charge_points SET sequence = max(sequence, ?2), last_seen = coalesce(?3, last_seen), "
        "event_count = event_count + ?4, clock_skew_ms = coalesce(?5, clock_skew_ms), recent_contents = "
        "CASE length(?6) WHEN 0 THEN recent_contents WHEN ?7 THEN ?6"
        " ELSE substr(CAST(coalesce(recent_contents, x'') || ?6 AS BLOB), -?7) END,"
        " newest_device_start = CASE WHEN ?8 IS NULL THEN newest_device_start ELSE max(?8, coalesce(newest_device_start,"
        " (SELECT max(device_started_at) FROM " TRANSACTIONS_BY_BLOCK " WHERE charge_point_id = ?1), ?8)) END WHERE charge_point_id = ?1",
        db_text(v->station), db_int((int64_t)v->sequence), db_time(v->last_seen), db_int(v->event_count),
        v->has_skew ? db_int(v->skew_ms) : db_null(), db_blob(new_contents(v, keys)), db_int(8 * STATION_METERS_MAX),
        db_time(v->newest_start));
}

static enum err connectors_insert(struct db *d, const struct db_value *values, size_t count)
{
    return db_insert(d, "INSERT OR FAIL INTO connectors (charge_point_id, connector_id) VALUES", "ON CONFLICT DO NOTHING", values,
                     2, count, NULL);
}

static enum err write_connectors(struct stations *s, struct db *d)
{
    struct db_value values[2 * CONNECTORS_ROWS];
    enum err e = OK;
    size_t count = 0, i = 0;
    for (struct seen *v; (v = map_next(&s->seen, &i)) != NULL;)
        for (uint64_t rest = v->connectors; e == OK && rest != 0; rest &= rest - 1) {
            values[2 * count] = db_text(v->station);
            values[2 * count++ + 1] = db_int(__builtin_ctzll(rest));
            if (count == CONNECTORS_ROWS) {
                e = connectors_insert(d, values, count);
                count = 0;
            }
        }
    return e == OK ? connectors_insert(d, values, count) : e;
}

static enum err on_batch_end(void *state, struct db *d, struct fault *why)
{
    struct stations *s = state;
    enum err e = OK;
    size_t i = 0;
    for (struct seen *v; e == OK && (v = map_next(&s->seen, &i)) != NULL;)
        e = write_seen(d, v);
    if (e == OK)
        e = write_connectors(s, d);
    if (e == OK)
        e = begun_write(&s->begun, d);
    if (e == OK)
        e = readings_write(&s->readings, d);
    if (e == OK && s->last_number > 0)
        e = DB_RUN(d,
                   "INSERT INTO server_facts (name, value) VALUES ('last_transaction_number', ?1)"
                   " ON CONFLICT (name) DO UPDATE SET value = max(CAST(value AS INTEGER), ?1)",
                   db_int((int64_t)s->last_number));
    if (e != OK)
        fault_set(why, STR("charge_points"), "%s", db_reason(d));
    else
        forget_seen(s);
    return e;
}

static void on_committed(void *state, uint64_t position)
{
    struct stations *s = state;
    if (s->on_committed != NULL)
        s->on_committed(s->data, position);
}

void stations_consumer(struct stations *s, struct consumer *out)
{
    *out = (struct consumer){
        .name = "stations",
        .on_event = on_event,
        .on_batch_end = on_batch_end,
        .on_batch_undone = forget_seen,
        .on_committed = on_committed,
        .state = s,
    };
    for (int type = 1; type < EVENT_TYPE_COUNT; type++)
        out->wants[type] = true;
}
