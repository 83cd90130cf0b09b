/* on_heartbeat.c - 0x21 and 0x01: states of ports, and what two heartbeats show of orders (ap3000.md 5.1, 6.1, 6.9,
 * 10.2). */
#include "proto/ap3000/handlers.h"

#define BEATS_THAT_SHOW  2
#define QUIET_BEFORE_END SPAN_S(11 * 60) /* two charging heartbeats and a minute */

static const struct ap3000_result done = {.result = AP3000_DONE};

/* --- states of ports in the words of OCPP --- */

#define WORD(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }
static const struct {
    struct str status, error_code;
} port_words[] = {
    [AP3000_PORT_IDLE] = {WORD("Available"), WORD("NoError")},
    [AP3000_PORT_CHARGING] = {WORD("Charging"), WORD("NoError")},
    [AP3000_PORT_PLUGGED] = {WORD("Preparing"), WORD("NoError")},
    [AP3000_PORT_FULL] = {WORD("Finishing"), WORD("NoError")},
    [AP3000_PORT_UNMETERED] = {WORD("Faulted"), WORD("PowerMeterFailure")},
    [AP3000_PORT_TRICKLE] = {WORD("SuspendedEV"), WORD("NoError")},
    [AP3000_PORT_MEMORY] = {WORD("Faulted"), WORD("InternalError")},
    [AP3000_PORT_SPRING_JAMMED] = {WORD("Faulted"), WORD("OtherError")},
    [AP3000_PORT_BAD_CONTACT] = {WORD("Faulted"), WORD("OtherError")},
    [AP3000_PORT_RELAY_WELDED] = {WORD("Faulted"), WORD("PowerSwitchFailure")},
    [AP3000_PORT_HALL_SWITCH] = {WORD("Faulted"), WORD("OtherError")},
    [AP3000_PORT_CHECK_OPEN] = {WORD("Faulted"), WORD("PowerSwitchFailure")},
    [AP3000_PORT_UNDEFINED] = {WORD("Faulted"), WORD("OtherError")},
    [AP3000_PORT_CHECK_SHORT] = {WORD("Faulted"), WORD("OtherError")},
    [AP3000_PORT_CHECK_WELDED] = {WORD("Faulted"), WORD("PowerSwitchFailure")},
    [AP3000_PORT_CARD_READER] = {WORD("Faulted"), WORD("ReaderFailure")},
    [AP3000_PORT_DETECTION] = {WORD("Faulted"), WORD("OtherError")},
};

void ap3000_port_status(struct ap3000_step *s, uint8_t port, uint8_t code)
{
    struct ap3000_pile *p = s->pile;
    struct connector *c = station_connector(s->station, pile_connector_of(port));
    uint8_t row = code < COUNT_OF(port_words) ? code : AP3000_PORT_UNDEFINED; /* unknown ones are faults too */
    struct str status = port_words[row].status;
    bool is_known = port < p->ports_seen;
    if (port == PILE_PORT_NONE || c == NULL)
        return;
    if (is_known ? p->ports[port] == code : str_eq(str_of(c->status), status))
        return;
    if (is_known)
        p->ports[port] = code;
    bool is_plain = code == AP3000_PORT_IDLE || code == AP3000_PORT_CHARGING;
    bool is_fault = row == AP3000_PORT_UNMETERED || row > AP3000_PORT_TRICKLE;
    struct str previous = arena_copy(s->arena, str_of(c->status)); /* the connector's own is written over */
    struct ev_status_changed payload = {
        .connector_id = integer_of(c->id),
        .status = status,
        .previous_status = previous.len == 0 ? (struct str){NULL, 0} : previous,
        .error_code = port_words[row].error_code,
        .info = is_fault ? str_of(ap3000_value_text(&ap3000_port_status_list, code)) : (struct str){NULL, 0},
        .vendor_error_code = is_plain ? (struct str){NULL, 0} : arena_printf(s->arena, "0x%02X", (unsigned)code),
    };
    connector_set_status(c, status, port_words[row].error_code, s->in->now);
    ap3000_step_event(s, EVENT_STATUS_CHANGED, INSTANT_NONE, &payload);
}

static void take_ports(struct ap3000_step *s, struct bytes statuses)
{
    struct ap3000_pile *p = s->pile;
    pile_make_ports(p, statuses.len);
    for (size_t i = 0; i < statuses.len; i++) {
        if (i >= p->ports_seen) { /* the first time: whatever it is, it is news */
            p->ports_seen = (uint16_t)(i + 1);
            p->ports[i] = (uint8_t)~statuses.at[i];
        }
        ap3000_port_status(s, (uint8_t)i, statuses.at[i]);
    }
}

/* --- what they show of orders --- */

static bool is_charging(uint8_t code)
{
    return code == AP3000_PORT_CHARGING || code == AP3000_PORT_TRICKLE;
}

/* Of an order whose port is not known: it may be any that charges. */
static uint8_t status_of(const struct pile_order *o, struct bytes statuses)
{
    if (o->port != PILE_PORT_NONE)
        return statuses.at[o->port];
    for (size_t i = 0; i < statuses.len; i++)
        if (is_charging(statuses.at[i]))
            return statuses.at[i];
    return AP3000_PORT_IDLE;
}

/* Said again a moment later it is no second heartbeat: the caller sees to that. */
static void judge(struct ap3000_step *s, struct pile_order *o, uint8_t status)
{
    bool is_idle =
        o->state == ORDER_UNCERTAIN ? !is_charging(status) : status == AP3000_PORT_IDLE || status == AP3000_PORT_FULL;
    if (!is_idle)
        o->idle_beats = 0;
    else if (o->idle_beats < UINT8_MAX)
        o->idle_beats++;
    if (o->idle_beats < BEATS_THAT_SHOW)
        return;
    struct instant heard =
        instant_is_set(o->seen_at) && instant_before(o->decided_at, o->seen_at) ? o->seen_at : o->decided_at;
    bool is_quiet = !instant_before(s->in->now, instant_add(heard, QUIET_BEFORE_END));
    if (o->state == ORDER_UNCERTAIN)
        (void)ap3000_step_order(s, o, ORDER_IN_NOT_SEEN, "two heartbeats show that it does not run");
    else if (is_quiet)
        (void)ap3000_step_order(s, o, ORDER_IN_FINISHED,
                                "two heartbeats show its port idle, and nothing is heard of it");
}

static void judge_orders(struct ap3000_step *s, struct bytes statuses)
{
    for (size_t i = 0; i < s->pile->order_count; i++) {
        struct pile_order *o = &s->pile->orders[i];
        if (o->port != PILE_PORT_NONE && o->port >= statuses.len)
            continue;
        if (o->state == ORDER_UNCERTAIN || o->state == ORDER_CHARGING)
            judge(s, o, status_of(o, statuses));
        bool is_unwanted = o->is_cancelled || o->stops > 0; /* it was to stop, and did not */
        if (o->state == ORDER_CHARGING && is_unwanted && o->stops < PILE_STOPS_MAX)
            ap3000_step_wish(s,
                             &(struct ap3000_wish){.kind = AP3000_WISH_STOP, .port = o->port, .transaction_id = o->id});
    }
}

static void take_states(struct ap3000_step *s, struct bytes statuses)
{
    static const struct ev_nothing nothing;
    if (!ap3000_step_is_trusted(s))
        return;
    if (s->in->policy->heartbeat_events)
        ap3000_step_event(s, EVENT_HEARTBEAT, INSTANT_NONE, &nothing);
    take_ports(s, statuses);
    if (!s->out->is_repeat)
        judge_orders(s, statuses);
}

void ap3000_on_heartbeat(struct ap3000_step *s)
{
    const struct ap3000_heartbeat *r = s->reading->fields;
    s->pile->style = PILE_STYLE_MODERN;
    s->out->is_unknown = r == NULL; /* and answered all the same (3.3) */
    ap3000_step_presence(s, false);
    if (r != NULL)
        take_states(s, r->port_status);
    ap3000_step_answer(s, &ap3000_result_layout, &done);
}

/* 6.1: not answered while a modern pile may be behind it. True: answer. */
static bool is_legacy(struct ap3000_step *s)
{
    struct ap3000_pile *p = s->pile;
    uint16_t id = s->reading->frame.message_id;
    bool is_again = id == p->asked_message_id && instant_is_set(p->asked_at) &&
                    instant_since(s->in->now, p->asked_at).us <= SPAN_S(PILE_REPEAT_S).us;
    if (p->style == PILE_STYLE_UNKNOWN) {
        p->style = PILE_STYLE_ASKED;
        p->asked_message_id = id;
        p->asked_at = s->in->now;
        ap3000_step_wish(s, &(struct ap3000_wish){.kind = AP3000_WISH_STATUS});
    } else if (p->style == PILE_STYLE_ASKED && !is_again) {
        p->style = PILE_STYLE_LEGACY;
    }
    return p->style == PILE_STYLE_LEGACY;
}

void ap3000_on_old_heartbeat(struct ap3000_step *s)
{
    const struct ap3000_old_heartbeat *r = s->reading->fields;
    struct ap3000_pile *p = s->pile;
    bool is_answered = is_legacy(s);
    if (p->style != PILE_STYLE_MODERN) { /* else its registration says it better (A5) */
        p->is_registered = true;
        p->firmware = r->firmware;
        p->port_count = r->port_count;
        if (AP3000_HAS(old_heartbeat, r, virtual_id))
            p->virtual_id = r->virtual_id;
        if (AP3000_HAS(old_heartbeat, r, device_type))
            p->device_type = r->device_type;
        if (AP3000_HAS(old_heartbeat, r, work_mode))
            p->work_mode = r->work_mode;
    }
    ap3000_step_presence(s, false);
    take_states(s, r->port_status);
    if (is_answered)
        ap3000_step_answer(s, &ap3000_result_layout, &done);
}
