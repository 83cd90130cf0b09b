/* on_order.c - what a pile says of an order that is not over: 0x04, 0x06, 0x43 (ap3000.md 6.4, 6.6, 6.13, 10.2). Values
 * are absolute, never increments: a lost frame is simply missing. */
#include "proto/ap3000/handlers.h"

#define TEMPERATURE_OFFSET 65    /* degrees Celsius on the wire: A14 */
#define TEMPERATURE_LEAST  (-40) /* so that 0, no sensor, is none */
#define TEMPERATURE_MOST   120
#define SAMPLES_MAX        8

/* The order that the frame names, or a new one where the pile began it, or we did and lost it. NULL: unknown, which a
 * flag says. */
static struct pile_order *find_or_begin(struct ap3000_step *s, const struct ap3000_named *n)
{
    struct pile_order made;
    struct pile_order *o = ap3000_order_find(s, n);
    if (o != NULL)
        return o;
    if (pile_open_count(s->pile) >= PILE_ORDERS_MAX) {
        ap3000_step_flag(s, STR("too_many_orders")); /* its settlement makes it */
        return NULL;
    }
    if (!ap3000_order_make(s, n, ORDER_CHARGING, &made)) {
        ap3000_step_flag(s, STR("unknown_order"));
        return NULL;
    }
    o = ap3000_step_adopt(s, &made);
    ap3000_step_clear_flags(s);
    return o;
}

/* Evidence: the pile names it. */
static void note_seen(struct ap3000_step *s, struct pile_order *o, const struct ap3000_named *n, bool is_running)
{
    o->seen_at = s->in->now;
    if (!order_state_is_open(o->state) && o->state != ORDER_FAILED)
        return;
    if (!instant_is_set(o->started_at)) {
        struct instant began = instant_add(s->in->now, SPAN_S(-(int64_t)n->duration_s));
        o->started_at = instant_before(began, o->placed_at) ? o->placed_at : began;
    }
    ap3000_step_order_port(s, o, n->port);
    if (o->state != ORDER_ENDED || is_running)
        (void)ap3000_step_order(s, o, ORDER_IN_SEEN, "the pile names it");
}

void ap3000_on_order_running(struct ap3000_step *s)
{
    const struct ap3000_order_running *r = s->reading->fields;
    const struct ap3000_named n = {.no = r->order_no,
                                   .port = r->port,
                                   .start_mode = r->start_mode,
                                   .card_or_code = r->card_or_code,
                                   .duration_s = r->duration_s};
    const struct ap3000_order_running_answer answer = {.port = r->port, .result = AP3000_DONE};
    struct pile_order *o = find_or_begin(s, &n);
    if (o != NULL)
        note_seen(s, o, &n, true);
    ap3000_step_answer(s, &ap3000_order_running_answer_layout, &answer);
}

/* --- 0x06 --- */

static void add_sample(struct ap3000_sample *all, size_t *count, struct ap3000_sample one)
{
    check(*count < SAMPLES_MAX);
    all[(*count)++] = one;
}

static void add_temperature(struct ap3000_sample *all, size_t *count, const char *location, uint8_t raw)
{
    int64_t degrees = (int64_t)raw - TEMPERATURE_OFFSET;
    if (degrees >= TEMPERATURE_LEAST && degrees <= TEMPERATURE_MOST)
        add_sample(all, count, (struct ap3000_sample){"Temperature", "Celsius", location, degrees, 0});
}

static void tell_values(struct ap3000_step *s, const struct ap3000_charging *r, const struct pile_order *o)
{
    struct ap3000_sample all[SAMPLES_MAX];
    size_t count = 0;
    add_sample(all, &count,
               (struct ap3000_sample){"Energy.Active.Import.Register", "Wh", NULL, (int64_t)r->energy_10wh * 10, 0});
    add_sample(all, &count, (struct ap3000_sample){"Power.Active.Import", "W", NULL, r->power_dw, 1});
    if (AP3000_HAS(charging, r, voltage_dv))
        add_sample(all, &count, (struct ap3000_sample){"Voltage", "V", NULL, r->voltage_dv, 1});
    if (AP3000_HAS(charging, r, current_ma))
        add_sample(all, &count, (struct ap3000_sample){"Current.Import", "A", NULL, r->current_ma, 3});
    if (AP3000_HAS(charging, r, ambient_temp_raw))
        add_temperature(all, &count, "Body", r->ambient_temp_raw);
    if (AP3000_HAS(charging, r, port_temp_raw))
        add_temperature(all, &count, "Outlet", r->port_temp_raw);
    uint8_t port = o != NULL && o->port != PILE_PORT_NONE ? o->port : r->port;
    ap3000_step_samples(s, pile_connector_of(port), o == NULL ? 0 : o->id, all, count);
}

void ap3000_on_charging(struct ap3000_step *s)
{
    const struct ap3000_charging *r = s->reading->fields;
    const struct ap3000_named n = {
        .no = r->order_no, .port = r->port, .start_mode = r->start_mode, .duration_s = r->duration_s};
    bool is_running = r->port_status == AP3000_CHARGING_ON || r->port_status == AP3000_CHARGING_TRICKLE;
    struct pile_order *o = find_or_begin(s, &n);
    if (o != NULL) {
        int64_t energy_wh = (int64_t)r->energy_10wh * 10;
        note_seen(s, o, &n, is_running);
        if (energy_wh < o->energy_wh)
            ap3000_step_flag(s, STR("meter_backwards"));
        if (o->state == ORDER_SETTLED)
            ap3000_step_flag(s, STR("after_stop"));
        o->energy_wh = energy_wh;
    }
    bool is_status = ap3000_value_text(&ap3000_charging_status_list, r->port_status) != NULL;
    if (is_status && (o == NULL || o->state != ORDER_SETTLED)) /* of a port that another may have by now */
        ap3000_port_status(s, r->port, r->port_status);
    tell_values(s, r, o);
}

/* --- 0x43: over, but its place is still taken. Nothing is booked by it --- */

void ap3000_on_finished(struct ap3000_step *s)
{
    const struct ap3000_finished *r = s->reading->fields;
    const struct ap3000_named n = {.no = r->order_no, .port = r->port, .start_mode = r->start_mode};
    struct pile_order *o = ap3000_order_find(s, &n);
    if (o != NULL && o->state != ORDER_SETTLED) {
        o->energy_wh = (int64_t)r->energy_10wh * 10;
        (void)ap3000_step_order(s, o, ORDER_IN_FINISHED, "the pile says so");
    }
    if (o == NULL || o->state != ORDER_SETTLED)
        ap3000_port_status(s, r->port, AP3000_PORT_FULL);
}
