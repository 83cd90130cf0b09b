/* Sessions are not rated yet: they carry no tariff and no owner, and say so by null; billing_mode is "free", pay_mode
 * "none". */
#include "services/charging/announce.h"

#include "bus/bus.h"
#include "proto/ap3000/pile.h"
#include "services/charging/charging.h"

#include <string.h>

#define JSON_MAX   8192
#define CARD_SHOWN 4 /* characters of a tag that others may see */

static const uint64_t id_key[2] = {0x6368617267696e67,
                                   0x73657373696f6e73}; /* fixed: the same session, the same ids, on every machine */

static const struct str emit_types[] = {
    [EMIT_NOTHING] = {NULL, 0},
    [EMIT_STARTED] = {"session.started", 15},
    [EMIT_START_FAILED] = {"session.start_failed", 20},
    [EMIT_ENDED] = {"session.ended", 13},
    [EMIT_CORRECTED] = {"session.corrected", 17},
};

static const struct {
    const char *code, *reason;
} stop_reasons[] = {
    {"EVDisconnected", "unplugged"}, {"Local", "user_stop"},       {"Remote", "remote_stop"},
    {"UnlockCommand", "user_stop"},  {"EmergencyStop", "safety"},  {"PowerLoss", "power_loss"},
    {"HardReset", "fault"},          {"SoftReset", "remote_stop"}, {"Reboot", "fault"},
};
/* A pile's own code says more than the word that both protocols share (ap3000.md 5.3). */
static const struct {
    const char *code, *reason;
} stop_codes[] = {
    {"0x01", "full"},      {"0x02", "time_reached"}, {"0x03", "time_reached"}, {"0x04", "energy_reached"},
    {"0x05", "unplugged"}, {"0x06", "fault"},        {"0x07", "remote_stop"},  {"0x08", "fault"},
    {"0x09", "full"},      {"0x0A", "safety"},       {"0x0B", "safety"},       {"0x0C", "fault"},
    {"0x0D", "unplugged"}, {"0x0E", "fault"},        {"0x0F", "fault"},        {"0x10", "safety"},
    {"0x11", "safety"},    {"0x12", "safety"},       {"0x13", "user_stop"},    {"0x14", "fault"},
    {"0x15", "user_stop"}, {"0x16", "user_stop"},    {"0x17", "remote_stop"},  {"0x18", "safety"},
    {"0x19", "fault"},     {"0x1A", "fault"},        {"0x1B", "fault"},        {"0x1C", "full"},
};

static const char *stop_reason(const struct session *s)
{
    for (size_t i = 0; i < COUNT_OF(stop_codes); i++)
        if (strcmp(stop_codes[i].code, s->stop_code) == 0)
            return stop_codes[i].reason;
    for (size_t i = 0; i < COUNT_OF(stop_reasons); i++)
        if (strcmp(stop_reasons[i].code, s->stop_reason) == 0)
            return stop_reasons[i].reason;
    return "unknown";
}

/* A customer without network typed a code that was sold: the number that the pile made says so (ap3000.md 11.3). */
static bool is_by_code(const struct session *s)
{
    uint8_t no[AP3000_ORDER_SIZE];
    struct ap3000_order order;
    if (hex_parse(str_of(s->order_no), no, sizeof no) != OK)
        return false;
    ap3000_order_read(no, &order);
    return order.origin == AP3000_ORDER_CODE;
}

static const char *meter_quality(const struct session *s)
{
    if ((s->source != SOURCE_METER && s->source != SOURCE_SETTLEMENT) ||
        (s->flags & (FLAG_END_UNKNOWN | FLAG_START_MISSING)) != 0)
        return "estimated";
    return (s->flags & FLAG_METER_BACKWARDS) != 0 ? "corrected" : "measured";
}

static void write_card(struct json_writer *w, const struct session *s)
{
    char masked[CARD_SHOWN + 5] = "****";
    size_t len = strlen(s->id_tag);
    if (len == 0)
        return;
    (void)str_copy(masked + 4, sizeof masked - 4, str_of(s->id_tag + (len > 2 * CARD_SHOWN ? len - CARD_SHOWN : len)));
    jw_field_str(w, "card_no", str_of(masked));
}

static void field_integer(struct json_writer *w, const char *key, struct integer n)
{
    if (n.is_set)
        jw_field_int(w, key, n.value);
}

static void write_payload(struct json_writer *w, struct str station, const struct session *s, enum session_emit emit)
{
    char id[UUID_TEXT_SIZE];
    uuid_write(s->id, id);
    jw_open_object(w);
    jw_field_str(w, "session_id", str_of(id));
    jw_field_str(w, "order_no", s->order_no[0] == '\0' ? (struct str){NULL, 0} : str_of(s->order_no));
    jw_field_str(w, "merchant_id", (struct str){NULL, 0});
    jw_field_str(w, "station_id", station);
    jw_field_str(w, "charge_point_id", station);
    jw_field_int(w, "connector_id", s->connector_id);
    bool is_pile = pile_id_is(station);
    jw_field_str(w, "device_ref", str_of(is_pile ? s->order_no : s->transaction_id));
    jw_field_str(w, "protocol", is_pile ? STR("ap3000") : STR("ocpp16"));
    jw_field_str(w, "start_mode",
                 str_of(is_pile && is_by_code(s) ? "code"
                        : s->is_offline          ? "card_offline"
                        : s->order_no[0] != '\0' ? "remote"
                                                 : "unknown"));
    write_card(w, s);
    jw_field_str(w, "billing_mode", STR("free"));
    jw_field_str(w, "pay_mode", STR("none"));
    jw_field_str(w, "tariff_id", (struct str){NULL, 0});
    jw_key(w, STR("tariff_version"));
    jw_null(w);
    jw_field_instant(w, "started_at", s->started);
    if (instant_is_set(s->ended))
        jw_field_instant(w, "ended_at", s->ended);
    jw_field_str(w, "time_quality", str_of((s->flags & FLAG_CLOCK_CORRECTED) != 0 ? "server" : "device"));
    jw_field_int(w, "duration_s", session_duration_s(s));
    field_integer(w, "meter_start_wh", s->meter_start_wh);
    field_integer(w, "meter_stop_wh", s->meter_stop_wh);
    jw_field_int(w, "energy_wh", s->energy_wh);
    field_integer(w, "max_power_w", s->max_power_w);
    field_integer(w, "tier_power_w", s->tier_power_w.is_set ? s->tier_power_w : s->max_power_w);
    field_integer(w, "idle_s", s->idle_s);
    if (instant_is_set(s->ended)) {
        jw_field_str(w, "stop_reason", str_of(stop_reason(s)));
        jw_field_str(w, "stop_code", str_of(s->stop_code[0] != '\0' ? s->stop_code : s->stop_reason));
    }
    jw_field_str(w, "meter_quality", str_of(meter_quality(s)));
    jw_field_str(w, "status", session_state_text[s->state]);
    jw_field_int(w, "seq", s->sequence);
    if (emit == EMIT_START_FAILED) {
        jw_field_str(w, "code", str_of(s->stop_reason));
        jw_field_str(w, "message", STR("the device did not start"));
    }
    jw_close_object(w);
}

static struct uuid event_id(const struct session *s, struct instant now)
{
    uint8_t of[sizeof s->id.at + 8];
    memcpy(of, s->id.at, sizeof s->id.at);
    memcpy(of + sizeof s->id.at, &s->sequence, 8);
    uint64_t low = siphash(id_key, (struct bytes){of, sizeof of});
    return uuid_v7((uint64_t)(now.us / 1000), (uint16_t)(low >> 52), low & 0x3fffffffffffffff);
}

enum err session_announce(struct db *d, struct str station, struct session *s, enum session_emit emit,
                          enum session_state before, const struct uuid *cause, struct instant now)
{
    struct json_writer w;
    struct buf json;
    char id[UUID_TEXT_SIZE], text[UUID_TEXT_SIZE];
    s->sequence++;
    struct uuid own = event_id(s, now);
    buf_init(&json, JSON_MAX);
    jw_init(&w, &json);
    uuid_write(own, id);
    jw_open_object(&w);
    jw_field_str(&w, "event_id", str_of(id));
    jw_field_str(&w, "event_type", emit_types[emit]);
    jw_field_str(&w, "aggregate_type", STR("session"));
    uuid_write(s->id, text);
    jw_field_str(&w, "aggregate_id", str_of(text));
    jw_field_int(&w, "aggregate_version", s->sequence);
    jw_field_instant(&w, "timestamp", now);
    jw_field_str(&w, "version", STR("1.0"));
    jw_key(&w, STR("metadata"));
    jw_open_object(&w);
    jw_field_str(&w, "service", STR("charging"));
    if (before != SESSION_NONE)
        jw_field_str(&w, "old_status", session_state_text[before]);
    if (cause != NULL) {
        uuid_write(*cause, id);
        jw_field_str(&w, "causation_id", str_of(id));
    }
    jw_close_object(&w);
    jw_key(&w, STR("payload"));
    write_payload(&w, station, s, emit);
    jw_close_object(&w);
    enum err e = json.failed ? ERR_LIMIT
                             : outbox_put(d, CHARGING_TOPIC, str_of(text), own, emit_types[emit], now, buf_str(&json));
    buf_release(&json);
    return e;
}
