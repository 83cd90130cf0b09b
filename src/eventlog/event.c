/* eventlog/event.c - the tables of event.def and payload.def, and the published form of an event (gateway-contract.md 1). */
#include "eventlog/event.h"
#include "eventlog/put.h"
#include "eventlog/segment.h"

#define SCHEMA_TABLES
#include "schema/expand.h"
#include "eventlog/payload.def"

#define PACKED_ARENA_MAX ((size_t)64 << 20) /* structs of the largest message that a gateway takes */
#define TRACE_TEXT_SIZE (2 * sizeof((struct event *)NULL)->trace + 1)

#define PUBLISHED true
#define INTERNAL  false
#define EVENT(name, wire_text, payload_name, audience, when_text)                                                      \
    [EVENT_##name] = {{(wire_text), sizeof(wire_text) - 1}, &payload_name##_message, (audience), (when_text)},
const struct event_kind event_kinds[EVENT_TYPE_COUNT] = {
#include "eventlog/event.def"
};

int event_type_find(struct str wire)
{
    for (int i = EVENT_NOTHING + 1; i < EVENT_TYPE_COUNT; i++) {
        if (str_eq(event_kinds[i].wire, wire))
            return i;
    }
    return -1;
}

struct uuid event_id(const struct event *e)
{
    return e->log == NULL ? e->id : identity_event(e->log, e->position, e->received);
}

/* ---- packed: EVENT_PACKED, where the body begins in the frame and its size (32 bits each), schema_pack ---- */

#define PACKED_HEAD_SIZE 9

void event_pack(enum event_type type, const void *payload, struct str frame, struct str body,
                struct packed_list *list, struct buf *out)
{
    uint8_t head[PACKED_HEAD_SIZE] = {EVENT_PACKED};

    check(body.at >= frame.at && body.at + body.len <= frame.at + frame.len);
    put32(head + 1, (uint32_t)(body.at - frame.at));
    put32(head + 5, (uint32_t)body.len);
    buf_put(out, head, sizeof head);
    schema_pack_with(event_kinds[type].payload, payload, frame, list, out);
}

enum err event_packed_body(const struct event *e, struct str *out)
{
    if (!event_is_packed(e))
        return ERR_UNKNOWN;
    if (e->payload.len < PACKED_HEAD_SIZE)
        return ERR_CORRUPT;
    const uint8_t *head = (const uint8_t *)e->payload.at;
    const size_t at = be32(head + 1), len = be32(head + 5);
    if (e->frame.at == NULL || at > e->frame.len || len > e->frame.len - at)
        return ERR_CORRUPT;
    *out = (struct str){e->frame.at + at, len};
    return OK;
}

/* What of it is schema_pack's. */
static enum err packed_values(const struct event *e, struct bytes *out)
{
    struct str body;
    enum err error = event_packed_body(e, &body);

    if (error == OK)
        *out = (struct bytes){(const uint8_t *)e->payload.at + PACKED_HEAD_SIZE, e->payload.len - PACKED_HEAD_SIZE};
    return error;
}

static enum err told(enum err error, struct fault *why)
{
    if (error != OK)
        fault_set(why, STR("payload"), "a packed one that was not made so");
    return error;
}

static enum err read_packed(const struct event *e, struct arena *a, void *out, struct fault *why)
{
    struct bytes values;
    enum err error = packed_values(e, &values);

    if (error == OK)
        error = schema_unpack(event_kinds[e->type].payload, values, e->frame, a, out);
    return told(error, why);
}

static enum err read_packed_brief(const struct event *e, struct arena *a, void *out, struct list_place *list,
                                  struct fault *why)
{
    struct bytes values;
    enum err error = packed_values(e, &values);

    if (error == OK)
        error = schema_unpack_brief(event_kinds[e->type].payload, values, e->frame, a, out, list);
    return told(error, why);
}

enum err event_unpack(struct event *e, struct arena *a, struct buf *out, struct fault *why)
{
    if (!event_is_packed(e))
        return OK;
    void *payload = arena_take(a, event_kinds[e->type].payload->size + 1);
    enum err error = payload == NULL ? ERR_MEMORY : read_packed(e, a, payload, why);
    if (error != OK)
        return error;
    buf_clear(out);
    schema_write(event_kinds[e->type].payload, payload, out);
    if (out->failed)
        return ERR_MEMORY;
    e->payload = buf_str(out);
    return OK;
}

/* ---- the published form ---- */

static void write_json(const struct event *e, struct str gateway_id, struct buf *out)
{
    struct json_writer w;
    char id[UUID_TEXT_SIZE], trace[TRACE_TEXT_SIZE];

    uuid_write(event_id(e), id);
    hex_write((struct bytes){e->trace, sizeof e->trace}, trace);
    jw_init(&w, out);
    jw_open_object(&w);
    jw_field_str(&w, "eventId", str_of(id));
    jw_field_str(&w, "eventType", event_kinds[e->type].wire);
    jw_field_str(&w, "chargePointId", e->station.at == NULL ? STR("") : e->station);
    jw_field_str(&w, "gatewayId", gateway_id);
    jw_field_instant(&w, "timestamp", e->received);
    jw_field_raw(&w, "payload", e->payload.at == NULL ? STR("{}") : e->payload);
    jw_field_str(&w, "traceId", str_of(trace));
    if (instant_is_set(e->device_time))
        jw_field_instant(&w, "deviceTime", e->device_time);
    jw_field_int(&w, "sequence", (int64_t)e->sequence);
    jw_field_str(&w, "schemaVersion", STR(EVENT_SCHEMA_VERSION));
    jw_close_object(&w);
}

void event_write(const struct event *e, struct str gateway_id, struct buf *out)
{
    struct arena a;
    struct buf json;
    struct event whole = *e;

    if (!event_is_packed(e)) {
        write_json(e, gateway_id, out);
        return;
    }
    arena_init(&a, PACKED_ARENA_MAX);
    buf_init(&json, PACKED_ARENA_MAX);
    if (event_unpack(&whole, &a, &json, NULL) == OK)
        write_json(&whole, gateway_id, out);
    else
        out->failed = true;
    buf_release(&json);
    arena_release(&a);
}

enum err event_read_payload(const struct event *e, struct arena *a, void *out, struct fault *why)
{
    if (event_is_packed(e))
        return read_packed(e, a, out, why);
    /* NORMAL: the log may hold what a newer version wrote, with members that this one does not know. */
    return schema_read(event_kinds[e->type].payload, e->payload.at == NULL ? STR("{}") : e->payload, NORMAL, a, out, why);
}

enum err event_read_brief(const struct event *e, struct arena *a, void *out, struct list_place *list, struct fault *why)
{
    if (event_is_packed(e))
        return read_packed_brief(e, a, out, list, why);
    if (list != NULL)
        *list = (struct list_place){{NULL, 0}, 0};
    return event_read_payload(e, a, out, why);
}
