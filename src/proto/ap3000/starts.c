/* starts.c - to start, change and stop a charge (ap3000.md 5.8, 7.2, 7.3, 7.17, 10.2, 10.3). */
#include "proto/ap3000/talk.h"

#include <string.h>

#define DECIWATTS_PER_W 10
#define WH_PER_STEP     10 /* energies of the wire count 0.01 kWh */

/* --- may it be started there? --- */

/* One that has ended and is not settled yet keeps nobody from its port (10.4, 6). */
static bool is_on_its_port(enum order_state s)
{
    return order_state_is_open(s) && s != ORDER_ENDED;
}

static bool is_taken(const struct ap3000_pile *p, uint8_t port)
{
    size_t taken = 0;
    for (size_t i = 0; i < p->order_count; i++) {
        if (!is_on_its_port(p->orders[i].state) && !p->orders[i].is_held)
            continue;
        if (p->orders[i].port == port)
            return true;
        taken++;
    }
    return port == PILE_PORT_NONE && p->is_registered && taken >= p->port_count;
}

/* Codes that are not listed are faults (5.1). */
static bool is_faulty(const struct ap3000_pile *p, uint8_t port)
{
    static const uint8_t sound[] = {AP3000_PORT_IDLE, AP3000_PORT_CHARGING, AP3000_PORT_PLUGGED, AP3000_PORT_FULL,
                                    AP3000_PORT_TRICKLE};
    return port < p->ports_seen && memchr(sound, p->ports[port], sizeof sound) == NULL;
}

static enum err check_start(struct ap3000_making *m)
{
    const struct ap3000_pile *p = m->in->pile;
    const struct ap3000_step s = {.in = m->in, .station = m->in->station, .pile = m->in->pile};
    if (!ap3000_step_is_trusted(&s))
        return ap3000_refuse(m, ERR_STATE, "", "this charge point is not accepted");
    if (ap3000_id_is_fallback(p->physical_id))
        return ap3000_refuse(m, ERR_STATE, "", "its number is one that piles with a failed memory fall back to");
    if (is_faulty(p, m->port))
        return ap3000_refuse(m, ERR_STATE, "connectorId", "the port has a fault");
    if (m->port != PILE_PORT_NONE && pile_is_held(p, m->port))
        return ap3000_refuse(m, ERR_STATE, "connectorId",
                             "a start failed there less than two minutes ago, and may be charging all the same");
    if (is_taken(p, m->port))
        return ap3000_refuse(m, ERR_STATE, "connectorId", "an order is open there");
    if (pile_open_count(p) >= PILE_ORDERS_MAX)
        return ap3000_refuse(m, ERR_STATE, "", "too many orders are open");
    return OK;
}

static enum err check_tag(struct ap3000_making *m, struct str tag)
{
    if (tag.len == 0 || tag.len >= TAG_SIZE_MAX)
        return ap3000_refuse(m, ERR_RANGE, "idTag", tag.len == 0 ? "empty" : "too long");
    m->id_tag = tag;
    return OK;
}

/* --- making starts --- */

enum err ap3000_make_start(struct ap3000_making *m)
{
    static const char *const ours[] = {"charge_command", "order_no", NULL};
    static const struct ap3000_start start = {.charge_command = AP3000_CHARGE_START, .short_check = AP3000_SHORT_TEST};
    struct str value = ap3000_member_take(&m->members, "idTag"), tag;
    struct json j;
    struct json_string s;
    if (value.at == NULL)
        return ap3000_refuse(m, ERR_MISSING, "idTag", "required, but missing");
    json_init(&j, value);
    if (json_peek(&j) != JSON_STRING || !json_get_string(&j, &s))
        return ap3000_refuse(m, ERR_TYPE, "idTag", "not a text");
    if (json_string_text(s, m->a, &tag) != OK)
        return ap3000_refuse(m, ERR_MEMORY, "idTag", "no memory left for the text");
    enum err e = check_tag(m, tag);
    if (e == OK)
        e = ap3000_make_fields(m, &(struct ap3000_fields_base){&start, ours, false});
    return e == OK ? check_start(m) : e;
}

/* What does not go together, or does not fit. */
static enum err check_wishes(struct ap3000_making *m, const struct ap3000_remote_start_req *r, uint8_t mode)
{
    if (r->energy_wh.is_set && mode != AP3000_RATE_ENERGY)
        return ap3000_refuse(m, ERR_RANGE, "energyWh", "only by energy");
    if (r->duration_s.is_set && mode != AP3000_RATE_TIME)
        return ap3000_refuse(m, ERR_RANGE, "durationS", "only by time");
    if (r->expires_at.text.at != NULL && mode != AP3000_RATE_MONTHLY)
        return ap3000_refuse(m, ERR_RANGE, "expiresAt", "only of a monthly plan");
    if (r->balance_fen.is_set && mode == AP3000_RATE_MONTHLY)
        return ap3000_refuse(m, ERR_RANGE, "balanceFen", "a monthly plan has an end instead");
    if (r->connector_id.value > PILE_PORT_NONE)
        return ap3000_refuse(m, ERR_RANGE, "connectorId", "no such connector");
    if (r->duration_s.value > DURATION_S_MAX)
        return ap3000_refuse(m, ERR_RANGE, "durationS", "more than 64800 s");
    if (r->max_duration_s.value > DURATION_S_MAX)
        return ap3000_refuse(m, ERR_RANGE, "maxDurationS", "more than 64800 s");
    if ((r->energy_wh.value + WH_PER_STEP / 2) / WH_PER_STEP > UINT16_MAX)
        return ap3000_refuse(m, ERR_RANGE, "energyWh", "more than 655350 Wh");
    if (r->overload_w.value > UINT16_MAX / DECIWATTS_PER_W)
        return ap3000_refuse(m, ERR_RANGE, "overloadW", "more than 6553 W");
    if (r->short_check.value > AP3000_SHORT_TEST)
        return ap3000_refuse(m, ERR_RANGE, "shortCheck", "neither 1, skip, nor 2, test");
    int64_t expiry_s = r->expires_at.text.at == NULL ? 0 : r->expires_at.at.us / 1000000;
    if (expiry_s < 0 || expiry_s > UINT32_MAX)
        return ap3000_refuse(m, ERR_RANGE, "expiresAt", "not within 1970 and 2106");
    return OK;
}

enum err ap3000_make_remote_start(struct ap3000_making *m)
{
    const struct ap3000_remote_start_req *r = m->request;
    uint8_t mode = r->rate_mode.text.at != NULL ? (uint8_t)r->rate_mode.index
                   : r->energy_wh.is_set        ? AP3000_RATE_ENERGY
                                                : AP3000_RATE_TIME;
    struct ap3000_start *s = arena_take(m->a, sizeof *s);
    if (s == NULL)
        return ap3000_refuse(m, ERR_MEMORY, "", "no memory left for the fields");
    enum err e = check_tag(m, r->id_tag);
    if (e == OK)
        e = check_wishes(m, r, mode);
    if (e != OK)
        return e;
    m->port = pile_port_of(r->connector_id.value);
    m->fields = s;
    *s = (struct ap3000_start){
        .rate_mode = mode,
        .balance_or_expiry =
            r->expires_at.text.at != NULL ? (uint32_t)(r->expires_at.at.us / 1000000) : (uint32_t)r->balance_fen.value,
        .port = m->port,
        .charge_command = AP3000_CHARGE_START,
        .duration_or_energy = mode == AP3000_RATE_ENERGY
                                  ? (uint16_t)((r->energy_wh.value + WH_PER_STEP / 2) / WH_PER_STEP)
                                  : (uint16_t)r->duration_s.value,
        .max_duration_s = (uint16_t)r->max_duration_s.value,
        .overload_power_dw = (uint16_t)(r->overload_w.value * DECIWATTS_PER_W),
        .short_check = r->short_check.is_set ? (uint8_t)r->short_check.value : AP3000_SHORT_TEST,
        .force_full_stop = r->force_full_stop.value ? AP3000_ON : AP3000_OFF,
    };
    e = ap3000_port_check(m, m->port, "connectorId");
    if (e == OK)
        e = ap3000_fields_check(&ap3000_start_layout, s, m->why);
    return e == OK ? check_start(m) : e;
}

/* --- making stops and changes --- */

static bool can_be_stopped(const struct pile_order *o)
{
    return o->state == ORDER_CHARGING || o->state == ORDER_UNCERTAIN;
}

static enum err make_stop_frame(struct ap3000_making *m, uint8_t port, const uint8_t *no)
{
    struct ap3000_start *s = arena_take(m->a, sizeof *s);
    if (s == NULL)
        return ap3000_refuse(m, ERR_MEMORY, "", "no memory left for the fields");
    s->port = m->port = port;
    s->charge_command = AP3000_CHARGE_STOP;
    memcpy(s->order_no, no, sizeof s->order_no);
    m->fields = s;
    return OK;
}

enum err ap3000_make_remote_stop(struct ap3000_making *m)
{
    const struct ap3000_remote_stop_req *r = m->request;
    struct pile_order *o = pile_order_of(m->in->pile, (uint32_t)r->transaction_id.value);
    if (o == NULL)
        return ap3000_refuse(m, ERR_STATE, "transactionId", "no such transaction runs at this charge point");
    if (!can_be_stopped(o))
        return ap3000_refuse(m, ERR_STATE, "transactionId", "it does not run, or is being stopped");
    if (o->port == PILE_PORT_NONE)
        return ap3000_refuse(m, ERR_STATE, "transactionId", "its port is not known yet");
    m->stop = o;
    return make_stop_frame(m, o->port, o->no);
}

/* By order number. One that is known here is told of it, if it can be stopped; the pile decides in any case (A15). */
static void find_stopped(struct ap3000_making *m, const uint8_t *no)
{
    char key[ORDER_KEY_SIZE];
    order_key_write(no, key);
    struct pile_order *o = pile_order(m->in->pile, str_of(key));
    if (o != NULL && can_be_stopped(o))
        m->stop = o;
}

enum err ap3000_make_stop(struct ap3000_making *m)
{
    const struct ap3000_stop_req *r = m->request;
    uint8_t no[AP3000_ORDER_SIZE];
    if (hex_parse(r->order_no, no, sizeof no) != OK)
        return ap3000_refuse(m, ERR_RANGE, "order_no", "not 32 hexadecimal digits");
    if (r->port.value >= PILE_PORT_NONE)
        return ap3000_refuse(m, ERR_RANGE, "port", "no such port");
    enum err e = ap3000_port_check(m, (uint32_t)r->port.value, "port");
    if (e == OK)
        e = make_stop_frame(m, (uint8_t)r->port.value, no);
    if (e == OK)
        find_stopped(m, no);
    return e;
}

enum err ap3000_make_stop_keeping_door(struct ap3000_making *m)
{
    enum err e = ap3000_make_fields(m, NULL);
    if (e == OK)
        find_stopped(m, ((const struct ap3000_cabinet_stop *)m->fields)->order_no);
    return e;
}

/* There is no order number in it: it must still be the one that is meant (7.3). */
enum err ap3000_make_change(struct ap3000_making *m)
{
    struct str id = ap3000_member_take(&m->members, "transactionId");
    int64_t wanted = 0;
    if (id.at != NULL && json_number_int(id, &wanted) != OK)
        return ap3000_refuse(m, ERR_TYPE, "transactionId", "not an integer");
    enum err e = ap3000_make_fields(m, NULL);
    if (e != OK)
        return e;
    const struct pile_order *running = NULL;
    for (size_t i = 0; i < m->in->pile->order_count; i++)
        if (m->in->pile->orders[i].port == m->port && can_be_stopped(&m->in->pile->orders[i]))
            running = &m->in->pile->orders[i];
    if (running == NULL)
        return ap3000_refuse(m, ERR_STATE, "port", "no order runs there");
    if (id.at != NULL && wanted != running->id)
        return ap3000_refuse(m, ERR_STATE, "transactionId", "another one runs there");
    return OK;
}

/* --- answers --- */

/* 5.8. What is not here is not known to anyone: uncertain. */
/* clang-format off */
static const struct {
    uint8_t result;
    enum order_input input;
} answers[] = {
    {AP3000_STARTED,            ORDER_IN_DONE},
    {AP3000_START_NO_CHARGER,   ORDER_IN_REFUSED},
    {AP3000_START_ALREADY,      ORDER_IN_UNSURE}, /* but see 10.3 */
    {AP3000_START_PORT_FAULT,   ORDER_IN_UNSURE},
    {AP3000_START_NO_PORT,      ORDER_IN_REFUSED},
    {AP3000_START_WHICH_PORT,   ORDER_IN_REFUSED},
    {AP3000_START_TOTAL_POWER,  ORDER_IN_REFUSED},
    {AP3000_START_MEMORY,       ORDER_IN_FAULT},
    {AP3000_START_CHECK_OPEN,   ORDER_IN_FAULT},
    {AP3000_START_CHECK_WELDED, ORDER_IN_DONE},
    {AP3000_START_CHECK_SHORT,  ORDER_IN_FAULT},
    {AP3000_START_SMOKE,        ORDER_IN_FAULT},
    {AP3000_START_OVERVOLTAGE,  ORDER_IN_FAULT},
    {AP3000_START_UNDERVOLTAGE, ORDER_IN_FAULT},
    {AP3000_START_NO_RESPONSE,  ORDER_IN_UNSURE},
};
/* clang-format on */

/* Does the answer name another order? One that names none (an old form, zeros) may be about any. */
static bool is_of_another(const struct ap3000_start_answer *a, const struct pile_order *o)
{
    static const uint8_t none[AP3000_ORDER_SIZE];
    return o != NULL && AP3000_HAS(start_answer, a, order_no) && memcmp(a->order_no, none, sizeof none) != 0 &&
           memcmp(a->order_no, o->no, sizeof o->no) != 0;
}

/* o NULL: memory has dropped it. */
static enum order_input input_of(const struct ap3000_start_answer *a, const struct pile_order *o)
{
    enum order_input input = ORDER_IN_UNSURE;
    for (size_t i = 0; i < COUNT_OF(answers); i++)
        if (answers[i].result == a->result)
            input = answers[i].input;
    if (a->result == AP3000_START_ALREADY && (o == NULL || !o->was_retransmitted || is_of_another(a, o)))
        return ORDER_IN_REFUSED; /* 10.3: the first copy cannot have done it, so another order occupies the port */
    return input == ORDER_IN_DONE && is_of_another(a, o) ? ORDER_IN_UNSURE : input;
}

/* An answer that does not tell whether it was carried out is none: that is never called rejected. */
static void end_unsure(struct ap3000_reply *r, uint8_t result)
{
    ap3000_end_by_answer(r, false);
    r->end->outcome = "unknown";
    if (result == AP3000_START_NO_RESPONSE) /* the host's word for the slave's silence */
        r->end->reason = "NO_ANSWER";
}

enum ap3000_talk_state ap3000_on_start_answer(struct ap3000_reply *r)
{
    struct ap3000_start_answer a;
    struct pile_order *o = ap3000_talk_order(r->t, r->in->pile);
    enum err e = ap3000_read(r->command->layout, r->frame->payload, &a, NULL);
    check(e == OK); /* it was sliced */
    enum order_input input = input_of(&a, o);
    if (o != NULL && input == ORDER_IN_DONE && AP3000_HAS(start_answer, &a, port))
        ap3000_step_order_port(r->step, o, a.port);
    if (o != NULL) /* ERR_STATE: evidence was quicker */
        (void)ap3000_step_order(r->step, o, input, ap3000_value_text(&ap3000_start_result_list, a.result));
    if (a.result == AP3000_START_CHECK_WELDED)
        ap3000_step_alarm(r->step, "relay_welded", AP3000_HAS(start_answer, &a, port) ? a.port : r->t->port,
                          (struct str){NULL, 0});
    if (input == ORDER_IN_UNSURE)
        end_unsure(r, a.result);
    else
        ap3000_end_by_answer(r, input == ORDER_IN_DONE);
    return AP3000_TALK_ENDED;
}

/* Of 0x82 and 0x72: both begin with the result. 2: it had stopped before. */
enum ap3000_talk_state ap3000_on_stop_answer(struct ap3000_reply *r)
{
    struct pile_order *o = ap3000_talk_order(r->t, r->in->pile);
    uint8_t result = r->frame->payload.at[0];
    bool is_of_start = r->command->layout == &ap3000_start_answer_layout;
    bool is_stopped = result == AP3000_STARTED || (result == AP3000_START_ALREADY && is_of_start);
    if (o != NULL) /* ERR_STATE: it was uncertain, or its settlement was quicker */
        (void)ap3000_step_order(r->step, o, is_stopped ? ORDER_IN_STOP_DONE : ORDER_IN_STOP_FAILED, NULL);
    if (result == AP3000_START_NO_RESPONSE && is_of_start)
        end_unsure(r, result);
    else
        ap3000_end_by_answer(r, is_stopped);
    return AP3000_TALK_ENDED;
}
