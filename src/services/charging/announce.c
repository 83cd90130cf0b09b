/* What is told is decided here, word by word; announcement.c keeps it and writes it. */
#include "services/charging/announce.h"

#include "services/charging/announcement.h"
#include "proto/ap3000/pile.h"
#include "services/charging/charging.h"

#include <stdio.h>
#include <string.h>

#define CARD_SHOWN 4 /* characters of a tag that others may see */
#define CARD_SIZE  (4 + CARD_SHOWN + 1)

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

/* "****" and, of a long one, its end; absent: there is no tag. */
static struct str card(const struct session *s, char out[CARD_SIZE])
{
    size_t len = strlen(s->id_tag);
    if (len == 0)
        return (struct str){NULL, 0};
    return (struct str){out, (size_t)snprintf(out, CARD_SIZE, "****%s", s->id_tag + (len > 2 * CARD_SHOWN ? len - CARD_SHOWN : len))};
}

static struct str text_or_absent(const char *text)
{
    return text[0] == '\0' ? (struct str){NULL, 0} : str_of(text);
}

static struct integer some(int64_t n)
{
    return (struct integer){n, true};
}

static const char *start_mode(const struct session *s, bool is_pile)
{
    return is_pile && is_by_code(s) ? "code" : s->is_offline ? "card_offline" : s->order_no[0] != '\0' ? "remote" : "unknown";
}

static void decide(struct str station, const struct session *s, enum session_emit emit, struct announcement *a)
{
    const bool is_pile = pile_id_is(station);
    struct str *t = a->texts;
    struct integer *n = a->numbers;
    t[ANNOUNCED_STATION] = station;
    t[ANNOUNCED_ORDER_NO] = text_or_absent(s->order_no);
    t[ANNOUNCED_DEVICE_REF] = str_of(is_pile ? s->order_no : s->transaction_id);
    t[ANNOUNCED_PROTOCOL] = is_pile ? STR("ap3000") : STR("ocpp16");
    t[ANNOUNCED_START_MODE] = str_of(start_mode(s, is_pile));
    t[ANNOUNCED_TIME_QUALITY] = (s->flags & FLAG_CLOCK_CORRECTED) != 0 ? STR("server") : STR("device");
    t[ANNOUNCED_METER_QUALITY] = str_of(meter_quality(s));
    t[ANNOUNCED_STATUS] = session_state_text[s->state];
    if (emit == EMIT_START_FAILED)
        t[ANNOUNCED_CODE] = str_of(s->stop_reason);
    n[ANNOUNCED_SEQUENCE] = some(s->sequence);
    n[ANNOUNCED_CONNECTOR] = some(s->connector_id);
    n[ANNOUNCED_STARTED_US] = some(s->started.us);
    n[ANNOUNCED_DURATION_S] = some(session_duration_s(s));
    n[ANNOUNCED_METER_START_WH] = s->meter_start_wh;
    n[ANNOUNCED_METER_STOP_WH] = s->meter_stop_wh;
    n[ANNOUNCED_ENERGY_WH] = some(s->energy_wh);
    n[ANNOUNCED_MAX_POWER_W] = s->max_power_w;
    n[ANNOUNCED_TIER_POWER_W] = s->tier_power_w.is_set ? s->tier_power_w : s->max_power_w;
    n[ANNOUNCED_IDLE_S] = s->idle_s;
    if (instant_is_set(s->ended)) {
        n[ANNOUNCED_ENDED_US] = some(s->ended.us);
        t[ANNOUNCED_STOP_REASON] = str_of(stop_reason(s));
        t[ANNOUNCED_STOP_CODE] = str_of(s->stop_code[0] != '\0' ? s->stop_code : s->stop_reason);
    }
}

static struct uuid announcement_id(const struct session *s, struct instant now)
{
    uint8_t of[sizeof s->id.at + 8];
    memcpy(of, s->id.at, sizeof s->id.at);
    memcpy(of + sizeof s->id.at, &s->sequence, 8);
    uint64_t low = siphash(id_key, (struct bytes){of, sizeof of});
    return uuid_v7((uint64_t)(now.us / 1000), (uint16_t)(low >> 52), low & 0x3fffffffffffffff);
}

enum err session_announce(struct db *d, struct outbox *out, struct str station, struct session *s,
                          enum session_emit emit, enum session_state before, const struct uuid *cause, struct instant now)
{
    struct announcement a = {{{NULL, 0}}, {{0, false}}};
    char text[UUID_TEXT_SIZE], card_no[CARD_SIZE];
    uint8_t room[ANNOUNCEMENT_MAX];
    s->sequence++;
    decide(station, s, emit, &a);
    a.texts[ANNOUNCED_CARD_NO] = card(s, card_no);
    if (before != SESSION_NONE)
        a.texts[ANNOUNCED_OLD_STATUS] = session_state_text[before];
    if (cause != NULL)
        a.texts[ANNOUNCED_CAUSE] = (struct str){(const char *)cause->at, sizeof cause->at};
    struct bytes body = announcement_pack(&a, room);
    if (body.at == NULL)
        return ERR_LIMIT;
    uuid_write(s->id, text);
    return outbox_append(out, d, str_of(text), announcement_id(s, now), emit_types[emit], now, body);
}
