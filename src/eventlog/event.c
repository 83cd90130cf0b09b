/* eventlog/event.c - the tables of event.def and payload.def, and the published form of an event (gateway-contract.md 1). */
#include "eventlog/event.h"

#define SCHEMA_TABLES
#include "schema/expand.h"
#include "eventlog/payload.def"

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

void event_write(const struct event *e, struct str gateway_id, struct buf *out)
{
    struct json_writer w;
    char id[UUID_TEXT_SIZE], trace[TRACE_TEXT_SIZE];

    uuid_write(e->id, id);
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

enum err event_read_payload(const struct event *e, struct arena *a, void *out, struct fault *why)
{
    /* NORMAL: the log may hold what a newer version wrote, with members that this one does not know. */
    return schema_read(event_kinds[e->type].payload, e->payload.at == NULL ? STR("{}") : e->payload, NORMAL, a, out, why);
}
