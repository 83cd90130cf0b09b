/* on_settlement.c - 0x03, what a charge came to (ap3000.md 6.3, 10.4). Stored before it is answered, and always
 * answered then, known or not: the pile repeats it for ever and holds back those behind it. By number: the first one
 * wins. */
#include "proto/ap3000/handlers.h"

#include <string.h>

#define SETTLEMENT_BASE     29 /* bytes that every settlement has */
#define DURATION_MARGIN     SPAN_S(600)
#define DURATION_AT_LEAST   UINT16_MAX /* it counts no further: A41 */
#define ENERGY_MARGIN_WH    10
#define ENERGY_OVER_PERCENT 120
#define REASON_OF_OTHERS    "Other"
#define SENT_AGAIN          "sent again" /* in place of the name of who applied it */

static const struct ap3000_result done = {.result = AP3000_DONE};

/* Stop reasons in the words of OCPP; those without a row are Other. */
static const char *const reasons[] = {
    [AP3000_STOP_FULL] = "Local",
    [AP3000_STOP_TIME_LIMIT] = "Local",
    [AP3000_STOP_TIME] = "Local",
    [AP3000_STOP_ENERGY] = "Local",
    [AP3000_STOP_UNPLUGGED] = "EVDisconnected",
    [AP3000_STOP_SERVER] = "Remote",
    [AP3000_STOP_UNPLUGGED_JAMMED] = "EVDisconnected",
    [AP3000_STOP_WATER] = "EmergencyStop",
    [AP3000_STOP_FIRE_HERE] = "EmergencyStop",
    [AP3000_STOP_FIRE_ELSEWHERE] = "EmergencyStop",
    [AP3000_STOP_DOOR_OPENED] = "Local",
    [AP3000_STOP_CARD] = "Local",
    [AP3000_STOP_FORCED] = "Remote",
    [AP3000_STOP_FIRE_ALARM] = "EmergencyStop",
};

static struct str reason_of(uint8_t code)
{
    return str_of(code < COUNT_OF(reasons) && reasons[code] != NULL ? reasons[code] : REASON_OF_OTHERS);
}

/* All that money depends on; the clock in it is for debugging. Never 0, nor 1 (order_find.c). */
static uint64_t content_of(const struct ap3000_settlement *r)
{
    uint8_t content[SETTLEMENT_BASE + 5] = {r->port, r->start_mode, r->stop_reason};
    le_put(content + 3, 2, r->duration_s);
    le_put(content + 5, 2, r->max_power_dw);
    le_put(content + 7, 2, r->energy_10wh);
    memcpy(content + 9, r->card_or_code, sizeof r->card_or_code);
    memcpy(content + 13, r->order_no, sizeof r->order_no);
    content[29] = (uint8_t)((AP3000_HAS(settlement, r, second_max_power_dw) ? 1 : 0) |
                            (AP3000_HAS(settlement, r, occupancy_min) ? 2 : 0));
    le_put(content + 30, 2, r->second_max_power_dw);
    le_put(content + 32, 2, r->occupancy_min);
    uint64_t hash = content_hash(AP3000_CONTENT_KEY, (struct bytes){content, sizeof content});
    return hash < 2 ? 2 : hash;
}

/* --- what it says of its order --- */

static struct instant start_of(const struct pile_order *o)
{
    return instant_is_set(o->started_at) ? o->started_at : o->placed_at;
}

static struct instant stop_of(struct ap3000_step *s, const struct pile_order *o, uint16_t duration_s)
{
    struct instant stop = instant_add(start_of(o), SPAN_S(duration_s));
    return ap3000_time_is_believable(start_of(o), s->in->now) && instant_before(stop, s->in->now) ? stop : s->in->now;
}

static void flag_what_is_odd(struct ap3000_step *s, const struct pile_order *o, const struct ap3000_settlement *r)
{
    int64_t energy_wh = (int64_t)r->energy_10wh * 10;
    int64_t possible_wh = (int64_t)r->duration_s * r->max_power_dw * ENERGY_OVER_PERCENT / (36000 * 100);
    struct instant least_end = instant_add(start_of(o), SPAN_S(r->duration_s));
    bool is_too_long = ap3000_time_is_believable(start_of(o), s->in->now) &&
                       instant_before(instant_add(s->in->now, DURATION_MARGIN), least_end);
    if (energy_wh > possible_wh + ENERGY_MARGIN_WH)
        ap3000_step_flag(s, STR("implausible_energy"));
    if (is_too_long || r->duration_s == DURATION_AT_LEAST)
        ap3000_step_flag(s, STR("implausible_duration"));
    if (energy_wh < o->energy_wh)
        ap3000_step_flag(s, STR("meter_backwards"));
    if (o->port != r->port)
        ap3000_step_flag(s, STR("other_port"));
}

static int64_t watts(uint16_t power_dw)
{
    return (power_dw + 5) / 10;
}

static void tell_stopped(struct ap3000_step *s, struct pile_order *o, const struct ap3000_settlement *r)
{
    struct instant stop = stop_of(s, o, r->duration_s);
    bool has_tier = AP3000_HAS(settlement, r, second_max_power_dw);
    char no[ORDER_KEY_SIZE];
    flag_what_is_odd(s, o, r);
    o->energy_wh = (int64_t)r->energy_10wh * 10;
    order_key_write(o->no, no);
    struct ev_transaction_stopped payload = {
        .transaction_id = ap3000_transaction_text(s, o->id),
        .reason = reason_of(r->stop_reason),
        .meter_stop_wh = integer_of(o->energy_wh),
        .stop_timestamp = stamp_of(s->arena, stop),
        .connector_id = integer_of(pile_connector_of(o->port)),
        .id_tag = o->id_tag[0] == 0 ? (struct str){NULL, 0} : str_of(o->id_tag),
        .energy_wh = integer_of(o->energy_wh),
        .meter_start_wh = integer_of(0),
        .flags = ap3000_step_flags(s),
        .order_no = str_of(no),
        .stop_code = arena_printf(s->arena, "0x%02X", (unsigned)r->stop_reason),
        .duration_s = integer_of(r->duration_s),
        .max_power_w = integer_of(watts(r->max_power_dw)),
        .tier_power_w = integer_of(watts(has_tier ? r->second_max_power_dw : r->max_power_dw)),
    };
    if (AP3000_HAS(settlement, r, occupancy_min))
        payload.occupancy_min = integer_of(r->occupancy_min);
    ap3000_step_event(s, EVENT_TRANSACTION_STOPPED, stop.us == s->in->now.us ? INSTANT_NONE : stop, &payload);
}

/* --- settling --- */

static struct ap3000_named named(const struct ap3000_settlement *r, const char *key)
{
    return (struct ap3000_named){.no = r->order_no,
                                 .key = key,
                                 .port = r->port,
                                 .start_mode = r->start_mode,
                                 .card_or_code = r->card_or_code,
                                 .duration_s = r->duration_s};
}

/* By its key; where numbers repeat, also the one of that number that is not settled: it waits for just this. */
static struct pile_order *find(struct ap3000_step *s, const struct ap3000_named *n)
{
    char plain[ORDER_KEY_SIZE];
    struct pile_order *o = ap3000_order_find(s, n);
    if (o != NULL)
        return o;
    order_key_write(n->no, plain);
    o = pile_order(s->pile, str_of(plain));
    bool is_waiting = o != NULL && (o->state != ORDER_SETTLED || o->content == 0) && o->port == n->port;
    return is_waiting ? o : NULL;
}

/* The heartbeats say what a port does, but the next one may be minutes away, and a charge that is settled is over. Not
 * where another has begun since: a settlement may come late. */
static void leave_port(struct ap3000_step *s, const struct ap3000_settlement *r)
{
    const struct pile_order *next = pile_order_on(s->pile, r->port);
    uint8_t code = r->port < s->pile->ports_seen ? s->pile->ports[r->port] : AP3000_PORT_IDLE;
    bool is_over = code == AP3000_PORT_CHARGING || code == AP3000_PORT_TRICKLE;
    bool is_unplugged = r->stop_reason == AP3000_STOP_UNPLUGGED || r->stop_reason == AP3000_STOP_UNPLUGGED_JAMMED;
    if (is_over && (next == NULL || next->state == ORDER_ENDED))
        ap3000_port_status(s, r->port, is_unplugged ? AP3000_PORT_IDLE : AP3000_PORT_FULL);
}

/* An order that is not settled, or that only an operator has closed. */
static void settle(struct ap3000_step *s, struct pile_order *o, const struct ap3000_settlement *r,
                   const struct ap3000_named *n)
{
    enum order_state before = o->state;
    (void)str_copy(o->key, sizeof o->key, str_of(n->key));
    o->content = content_of(r);
    if (!o->is_told && r->port != PILE_PORT_NONE)
        o->port = r->port; /* the real one */
    if (ap3000_step_order(s, o, ORDER_IN_SETTLED, "settled") == OK && before == ORDER_SETTLED)
        ap3000_step_order_told(s, o, before, "settled after an operator closed it");
    if (o->id_tag[0] == 0 && o->start_mode != AP3000_START_SERVER) /* its readings do not say whose it is */
        (void)str_copy(o->id_tag, sizeof o->id_tag, ap3000_order_tag(s, n));
    ap3000_step_flag(s, STR("settlement"));
    if (before == ORDER_FAILED)
        ap3000_step_flag(s, STR("reopened"));
    if (before == ORDER_SETTLED)
        ap3000_step_flag(s, STR("overrides_operator"));
    tell_stopped(s, o, r);
    leave_port(s, r);
}

/* One that nobody knew, from what the pile says. NULL: it cannot be made. */
static struct pile_order *make_settled(struct ap3000_step *s, const struct ap3000_named *n,
                                       const struct ap3000_settlement *r)
{
    struct pile_order made;
    if (!ap3000_order_make(s, n, ORDER_SETTLED, &made))
        return NULL;
    made.content = content_of(r);
    struct pile_order *o = ap3000_step_adopt(s, &made);
    check(o != NULL); /* there is always room for one that is not open */
    ap3000_step_clear_flags(s);
    ap3000_step_flag(s, STR("settlement"));
    if (n->is_applied)
        ap3000_step_flag(s, STR("applied_by_operator"));
    tell_stopped(s, o, r);
    return o;
}

/* --- what cannot be applied is kept for a person --- */

static const struct {
    const char *reason, *suggestion;
} quarantines[] = {
    {"not_accepted", "accept the pile and apply it, or discard it"},
    {"too_short", "the pile was told that it is stored; discard it when it is looked at"},
    {"unknown_order", "apply it as a charge of its own, or discard it"},
    {"settled_differently", "the first settlement stands; discard it when it is looked at"},
};

static bool is_waiting(const struct ap3000_step *s)
{
    return s->known->quarantine_id[0] != 0 || station_meter_is_repeat(s->station, ap3000_content_key(s->in->text));
}

/* A repeat of one that waits already makes no second entry. */
static void quarantine(struct ap3000_step *s, const char *reason)
{
    const struct ap3000_reading *r = s->reading;
    const struct ap3000_settlement *fields = r->fields;
    s->out->is_repeat = is_waiting(s);
    if (s->out->is_repeat)
        return;
    station_remember_meter(s->station, ap3000_content_key(s->in->text));
    s->pile->waiting_count++;
    s->pile->has_waiting_news = true;
    char id[UUID_TEXT_SIZE];
    uuid_write(uuid_v7((uint64_t)(s->in->now.us / 1000), be16(s->in->random), be64(s->in->random + 2)), id);
    size_t row = 0;
    while (strcmp(quarantines[row].reason, reason) != 0)
        row++;
    struct ev_quarantined payload = {
        .quarantine_id = str_of(id),
        .action = STR("Settlement"),
        .reason = str_of(reason),
        .message_id = arena_printf(s->arena, "%u", (unsigned)r->frame.message_id),
        .connector_id = ap3000_connector(fields == NULL ? PILE_PORT_NONE : fields->port),
        .suggestion = str_of(quarantines[row].suggestion),
    };
    ap3000_step_event(s, EVENT_QUARANTINED, INSTANT_NONE, &payload);
}

/* It was sent again, and is booked: what waits of it is of no use to anyone. */
static void resolve_quarantined(struct ap3000_step *s, const struct pile_order *o)
{
    if (s->known->quarantine_id[0] == 0)
        return;
    struct ev_quarantine_resolved payload = {.quarantine_id = str_of(s->known->quarantine_id),
                                             .resolution = STR("applied"),
                                             .transaction_id = ap3000_transaction_text(s, o->id),
                                             .by = STR(SENT_AGAIN)};
    s->pile->waiting_count -= s->pile->waiting_count > 0;
    s->pile->has_waiting_news = true;
    ap3000_step_event(s, EVENT_QUARANTINE_RESOLVED, INSTANT_NONE, &payload);
}

static void decide(struct ap3000_step *s, const struct ap3000_settlement *r)
{
    char key[ORDER_KEY_SIZE];
    ap3000_settlement_key_write(r, key);
    const struct ap3000_named n = named(r, key);
    struct pile_order *o = find(s, &n);
    bool is_settled = o != NULL && o->state == ORDER_SETTLED && o->content != 0;
#ifdef DEFECT_SETTLEMENT_TWICE /* planted: a repeated settlement ends it again */
    is_settled = false;
#endif
    if (is_settled && o->content != content_of(r)) {
        quarantine(s, "settled_differently");
        return;
    }
    if (is_settled)
        s->out->is_repeat = true;
    else if (o != NULL)
        settle(s, o, r, &n);
    else
        o = make_settled(s, &n, r);
    if (o != NULL)
        resolve_quarantined(s, o);
    else
        quarantine(s, "unknown_order");
}

void ap3000_on_settlement(struct ap3000_step *s)
{
    const struct ap3000_settlement *r = s->reading->fields;
    bool is_trusted = ap3000_step_is_trusted(s);
    if (!is_trusted && !is_waiting(s) && !s->in->policy->has_quarantine_room)
        return; /* unanswered: the pile keeps it (13.4) */
    s->out->waits_for_disk = true;
    ap3000_step_answer(s, &ap3000_result_layout, &done);
    if (!is_trusted)
        quarantine(s, "not_accepted");
    else if (r == NULL)
        quarantine(s, "too_short");
    else
        decide(s, r);
}

/* --- by a person --- */

static enum err read_hex(struct str frame_hex, struct arena *a, struct ap3000_reading *out)
{
    size_t size = frame_hex.len / 2;
    struct ap3000_settlement *fields = arena_take(a, sizeof *fields);
    uint8_t *bytes = arena_take(a, size + 1);
    if (fields == NULL || bytes == NULL || frame_hex.len % 2 != 0 || hex_parse(frame_hex, bytes, size) != OK ||
        ap3000_frame_read((struct bytes){bytes, size}, &out->frame, &size, NULL) != OK || out->frame.command != 0x03 ||
        ap3000_read(&ap3000_settlement_layout, out->frame.payload, fields, NULL) != OK)
        return ERR_UNKNOWN;
    out->fields = fields;
    return OK;
}

enum err ap3000_settlement_key(struct str frame_hex, struct arena *a, char out[ORDER_KEY_SIZE])
{
    struct ap3000_reading r = {0};
    if (read_hex(frame_hex, a, &r) != OK)
        return ERR_UNKNOWN;
    ap3000_settlement_key_write(r.fields, out);
    return OK;
}

enum err ap3000_apply_settlement(const struct ap3000_input *in, struct str frame_hex, const struct ap3000_known *known,
                                 struct arena *a, struct buf *text, struct ap3000_decision *out)
{
    struct ap3000_reading reading = {0};
    struct ap3000_input by_hand = *in;
    struct ap3000_step s;
    char key[ORDER_KEY_SIZE];
    by_hand.text = (struct str){NULL, 0}; /* no frame came in now */
    if (read_hex(frame_hex, a, &reading) != OK)
        return ERR_UNKNOWN;
    const struct ap3000_settlement *r = reading.fields;
    ap3000_settlement_key_write(r, key);
    struct ap3000_named n = named(r, key);
    n.is_applied = true;
    ap3000_step_begin(&s, &by_hand, a, text, out);
    s.reading = &reading;
    s.known = known;
    struct pile_order *o = find(&s, &n);
    if (o != NULL && o->state == ORDER_SETTLED && o->content != 0)
        return ERR_STATE;
    if (o != NULL) {
        ap3000_step_flag(&s, STR("applied_by_operator"));
        settle(&s, o, r, &n);
    } else {
        o = make_settled(&s, &n, r);
        check(o != NULL); /* is_applied */
    }
    ap3000_step_finish(&s);
    return OK;
}

enum err ap3000_close_order(const struct ap3000_input *in, struct pile_order *o, struct arena *a, struct buf *text,
                            struct ap3000_decision *out)
{
    struct ap3000_input by_hand = *in;
    struct ap3000_step s;
    char no[ORDER_KEY_SIZE];
    by_hand.text = (struct str){NULL, 0};
    if (!order_state_is_open(o->state))
        return ERR_STATE;
    ap3000_step_begin(&s, &by_hand, a, text, out);
    ap3000_step_flag(&s, STR("closed_by_operator"));
    if (ap3000_step_order(&s, o, ORDER_IN_SETTLED, "closed by an operator") != OK)
        return ERR_STATE;
    order_key_write(o->no, no);
    struct ev_transaction_stopped payload = {
        .transaction_id = ap3000_transaction_text(&s, o->id),
        .reason = STR(REASON_OF_OTHERS),
        .meter_stop_wh = integer_of(o->energy_wh),
        .stop_timestamp = stamp_of(a, in->now),
        .connector_id = integer_of(pile_connector_of(o->port)),
        .id_tag = o->id_tag[0] == 0 ? (struct str){NULL, 0} : str_of(o->id_tag),
        .energy_wh = integer_of(o->energy_wh),
        .meter_start_wh = integer_of(0),
        .flags = ap3000_step_flags(&s),
        .order_no = str_of(no),
    };
    ap3000_step_event(&s, EVENT_TRANSACTION_STOPPED, INSTANT_NONE, &payload);
    ap3000_step_finish(&s);
    return OK;
}
