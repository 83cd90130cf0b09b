/* sim/pile_port.c - a socket and the order that runs there: rows of (phase, input) and what follows; and the course of
 * a charge, which ends by its time, its energy, a full battery, a limit, its rider (ap3000.md 7.2 to 7.6). */
#include "sim/pile_private.h"
#include <stdlib.h>
#include <string.h>

#define LOOK_MS       10000 /* of the charge, between two looks at it */
#define LOOK_LEAST_MS 1000
#define CHUNK_MS      30000 /* power is told apart so finely */
#define BEAT_MS       (5 * 60 * 1000)
#define RELAY_MS      2000 /* from the relay to 0x03 */
#define NO_TRICKLE    0xFFFF
#define FULL_FOUND_MS (5 * 60 * 1000) /* then, without a trickle phase */
#define PERCENT_TOLD  25

typedef void (*effect)(struct pile_step *t, struct sim_port *port);

bool sim_port_is_busy(const struct sim_port *port)
{
    return port->phase == PORT_CHARGING || port->phase == PORT_TRICKLE;
}

bool sim_port_is_waiting(const struct sim_port *port)
{
    return port->phase == PORT_PLUGGED || port->phase == PORT_FULL;
}

uint8_t sim_port_status(const struct sim_port *port)
{
    static const uint8_t statuses[PORT_PHASE_COUNT] = {
        [PORT_EMPTY] = AP3000_PORT_IDLE,        [PORT_PLUGGED] = AP3000_PORT_PLUGGED,
        [PORT_CHARGING] = AP3000_PORT_CHARGING, [PORT_TRICKLE] = AP3000_PORT_TRICKLE,
        [PORT_FULL] = AP3000_PORT_FULL,
    };
    return port->phase == PORT_BROKEN ? port->fault : statuses[port->phase];
}

uint16_t sim_port_power_dw(const struct sim_port *port)
{
    bool is_charging = sim_port_is_busy(port) && port->charge.vehicle != NULL;
    return is_charging ? (uint16_t)(charge_power_w(&port->charge) * 10) : 0;
}

bool sim_port_has_room(const struct sim_pile *p)
{
    size_t open_count = 0;
    for (size_t i = 0; i < p->port_count; i++)
        open_count += (size_t)sim_port_is_busy(&p->ports[i]) + (p->ports[i].uncleared != NULL);
    return p->kept_count + open_count < KEPT_MAX;
}

/* ---- What follows ------------------------------------------------------------------------------------------------ */

static int64_t look_ms(const struct pile_step *t)
{
    return sim_pile_scaled(t, LOOK_MS, LOOK_LEAST_MS);
}

static void begin(struct pile_step *t, struct sim_port *port)
{
    static const struct str starters[] = {[AP3000_START_CARD] = {"by its card alone", 17},
                                          [AP3000_START_SERVER] = {"by the server", 13},
                                          [AP3000_START_CODE] = {"by the code", 11}};
    bool is_legacy = sim_pile_has(t, PILE_QUIRK_legacy);
    sim_cabinet_clear(t, port);
    port->advanced_ms = t->now.ms;
    port->look_at_ms = t->now.ms + look_ms(t);
    port->beat_at_ms = is_legacy ? t->now.ms : t->now.ms + sim_pile_scaled(t, BEAT_MS, SCALED_LEAST_MS);
    port->is_confirmed = false;
    port->period = (struct sim_period){.least_dw = UINT16_MAX};
    port->told_percent = (uint8_t)(charge_soc(&port->charge) / (SOC_FULL / 100));
    t->w->totals.sessions++;
    t->w->totals.active++;
    sim_pile_tell(t, PILE_STARTED, port, starters[port->order.start_mode], 0, 0);
    sim_cabinet_begin(t, port);
    sim_rider_started(t, port);
}

static void put_settlement(const struct pile_step *t, const struct sim_port *port, uint8_t out[SETTLEMENT_SIZE])
{
    const struct sim_order *o = &port->order;
    size_t size = 0;
    struct ap3000_settlement m = {
        .duration_s = (uint16_t)(o->elapsed_ms / 1000),
        .max_power_dw = o->peak_dw,
        .energy_10wh = (uint16_t)(o->energy_mj / (10 * MILLIJOULE_A_WH)),
        .port = port->number,
        .start_mode = o->start_mode,
        .stop_reason = port->reason,
        .second_max_power_dw = o->early_peak_dw,
        .timestamp = sim_pile_clock_s(t),
    };
    memcpy(m.card_or_code, o->card_or_code, sizeof m.card_or_code);
    memcpy(m.order_no, o->no, sizeof m.order_no);
    check(ap3000_write(&ap3000_settlement_layout, &m, out, SETTLEMENT_SIZE, &size, NULL) == OK &&
          size == SETTLEMENT_SIZE);
}

void sim_port_keep(struct pile_step *t, const uint8_t settlement[SETTLEMENT_SIZE])
{
    struct sim_pile *p = t->p;
    if (p->kept == NULL)
        p->kept = mem_new(KEPT_MAX, sizeof *p->kept);
    check(p->kept_count < KEPT_MAX); /* sim_port_has_room() */
    memcpy(p->kept[p->kept_count++], settlement, SETTLEMENT_SIZE);
    if (p->kept_count == 1)
        p->due_ms[DUE_SETTLE] = t->now.ms + (t->w->is_leaving ? 0 : RELAY_MS);
}

static void settle(struct pile_step *t, struct sim_port *port)
{
    uint8_t settlement[SETTLEMENT_SIZE];
    put_settlement(t, port, settlement);
    if (!sim_cabinet_finish(t, port, settlement))
        sim_port_keep(t, settlement);
    port->look_at_ms = port->beat_at_ms = SIM_NEVER;
    t->w->totals.active--;
    sim_pile_tell(t, PILE_STOPPED, port, str_of(ap3000_value_text(&ap3000_stop_reason_list, port->reason)),
                  port->order.energy_mj / MILLIJOULE_A_WH, 0);
    memset(&port->order, 0, sizeof port->order);
}

static void end(struct pile_step *t, struct sim_port *port)
{
    settle(t, port);
    if (port->charge.vehicle != NULL)
        sim_rider_ended(t, port);
    else
        (void)sim_port_apply(t, port, PORT_UNPLUG); /* the rider has gone while the order went on */
}

static void fill(struct pile_step *t, struct sim_port *port)
{
    port->reason = AP3000_STOP_FULL;
    end(t, port);
}

static void leave(struct pile_step *t, struct sim_port *port)
{
    sim_cabinet_clear(t, port);
    port->charge = (struct charge){0};
    sim_pile_tell(t, PILE_LEFT, port, (struct str){NULL, 0}, 0, 0);
    sim_rider_left(t, port);
}

static void settle_and_leave(struct pile_step *t, struct sim_port *port)
{
    port->reason = AP3000_STOP_UNPLUGGED;
    settle(t, port);
    leave(t, port);
}

static void fail(struct pile_step *t, struct sim_port *port)
{
    sim_cabinet_clear(t, port);
    port->charge = (struct charge){0};
    sim_pile_tell(t, PILE_FAILED, port, str_of(ap3000_value_text(&ap3000_port_status_list, port->fault)), 0, 0);
    sim_rider_broken(t, port);
}

static void settle_and_fail(struct pile_step *t, struct sim_port *port)
{
    port->reason = AP3000_STOP_NO_POWER;
    settle(t, port);
    fail(t, port);
}

static void repair(struct pile_step *t, struct sim_port *port)
{
    port->fault = 0;
    sim_pile_tell(t, PILE_REPAIRED, port, (struct str){NULL, 0}, 0, 0);
    sim_rider_left(t, port);
}

static void trickle(struct pile_step *t, struct sim_port *port)
{
    sim_pile_tell(t, PILE_TRICKLING, port, (struct str){NULL, 0}, 0, 0);
}

/* clang-format off */
static const struct row {
    uint8_t from, input, to;
    effect effect;
} rows[] = {
    {PORT_EMPTY,    PORT_PLUG,   PORT_PLUGGED,  sim_rider_plugged},
    {PORT_EMPTY,    PORT_BREAK,  PORT_BROKEN,   fail             },
    {PORT_PLUGGED,  PORT_START,  PORT_CHARGING, begin            },
    {PORT_PLUGGED,  PORT_UNPLUG, PORT_EMPTY,    leave            },
    {PORT_PLUGGED,  PORT_BREAK,  PORT_BROKEN,   fail             },
    {PORT_CHARGING, PORT_TAPER,  PORT_TRICKLE,  trickle          },
    {PORT_CHARGING, PORT_FILL,   PORT_FULL,     fill             },
    {PORT_CHARGING, PORT_STOP,   PORT_PLUGGED,  end              },
    {PORT_CHARGING, PORT_UNPLUG, PORT_EMPTY,    settle_and_leave },
    {PORT_CHARGING, PORT_BREAK,  PORT_BROKEN,   settle_and_fail  },
    {PORT_TRICKLE,  PORT_FILL,   PORT_FULL,     fill             },
    {PORT_TRICKLE,  PORT_STOP,   PORT_PLUGGED,  end              },
    {PORT_TRICKLE,  PORT_UNPLUG, PORT_EMPTY,    settle_and_leave },
    {PORT_TRICKLE,  PORT_BREAK,  PORT_BROKEN,   settle_and_fail  },
    {PORT_FULL,     PORT_START,  PORT_CHARGING, begin            },
    {PORT_FULL,     PORT_UNPLUG, PORT_EMPTY,    leave            },
    {PORT_FULL,     PORT_BREAK,  PORT_BROKEN,   fail             },
    {PORT_BROKEN,   PORT_REPAIR, PORT_EMPTY,    repair           },
};
/* clang-format on */

bool sim_port_apply(struct pile_step *t, struct sim_port *port, enum port_input input)
{
    if (input == PORT_UNPLUG && sim_port_is_busy(port) && port->order.ignores_unplug) {
        port->charge.vehicle = NULL; /* the order goes on without it */
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *r = &rows[i];
        if (r->from != port->phase || r->input != input)
            continue;
        port->phase = r->to;
        if (input != PORT_TAPER) /* that is nothing to its rider */
            port->next_at_ms = SIM_NEVER;
        r->effect(t, port);
        return true;
    }
    return false;
}

void sim_port_stop(struct pile_step *t, struct sim_port *port, uint8_t reason)
{
    sim_port_advance(t, port);
    port->reason = reason;
    (void)sim_port_apply(t, port, PORT_STOP);
}

/* ---- The course of a charge -------------------------------------------------------------------------------------- */

static void count_chunk(struct pile_step *t, struct sim_port *port, int64_t ms)
{
    struct sim_order *o = &port->order;
    int64_t before_mj = port->charge.energy_mj;
    if (port->charge.vehicle != NULL)
        charge_advance(&port->charge, ms);
    int64_t taken_mj = port->charge.energy_mj - before_mj;
    uint16_t power_dw = sim_port_power_dw(port);
    o->elapsed_ms += ms;
    o->energy_mj += taken_mj;
    t->w->totals.energy_mj += taken_mj;
    t->l->metered_mj += taken_mj;
    port->period.ms += ms;
    port->period.energy_mj += taken_mj;
    port->period.most_dw = power_dw > port->period.most_dw ? power_dw : port->period.most_dw;
    port->period.least_dw = power_dw < port->period.least_dw ? power_dw : port->period.least_dw;
    o->peak_dw = power_dw > o->peak_dw ? power_dw : o->peak_dw;
    if (o->elapsed_ms <= sim_memory_get(t->p, MEMORY_EARLY_S) * INT64_C(1000))
        o->early_peak_dw = o->peak_dw;
    bool is_low = power_dw * 100 < o->peak_dw * sim_memory_get(t->p, MEMORY_FLOAT_PERCENT) || power_dw == 0;
    o->low_ms = is_low ? o->low_ms + ms : 0;
    if (port->phase == PORT_TRICKLE)
        o->trickle_ms += ms;
}

static bool is_timed(const struct sim_order *o)
{
    return !o->is_by_energy && o->limit > 0;
}

static int64_t longest_ms(const struct pile_step *t, const struct sim_order *o)
{
    if (is_timed(o))
        return o->limit * INT64_C(1000);
    return (o->max_duration_s > 0 ? o->max_duration_s : sim_memory_get(t->p, MEMORY_MAX_DURATION_S)) * INT64_C(1000);
}

/* From low power to trickling, from trickling to full; 7.4, 7.5. */
static enum port_input fullness(const struct pile_step *t, const struct sim_port *port)
{
    const struct sim_order *o = &port->order;
    bool is_late = o->elapsed_ms >= sim_memory_get(t->p, MEMORY_LATE_FROM_S) * INT64_C(1000);
    int64_t detect_ms = sim_memory_get(t->p, is_late ? MEMORY_LATE_DETECT_S : MEMORY_FLOAT_DETECT_S) * INT64_C(1000);
    int64_t trickle_ms = (sim_memory_get(t->p, MEMORY_FLOAT_S) + o->extra_float_s) * INT64_C(1000);
    if (port->phase == PORT_TRICKLE)
        return o->stops_when_full && (o->trickle_ms >= trickle_ms || sim_port_power_dw(port) == 0) ? PORT_FILL
                                                                                                   : PORT_INPUT_COUNT;
    if (o->extra_float_s == NO_TRICKLE)
        return o->stops_when_full && o->low_ms >= FULL_FOUND_MS ? PORT_FILL : PORT_INPUT_COUNT;
    return o->low_ms >= detect_ms ? PORT_TAPER : PORT_INPUT_COUNT;
}

/* 0: it goes on. */
static uint8_t end_reason(const struct pile_step *t, const struct sim_port *port)
{
    const struct sim_order *o = &port->order;
    uint16_t overload_dw = o->overload_dw > 0 ? o->overload_dw : sim_memory_get(t->p, MEMORY_OVERLOAD_DW);
    if (o->elapsed_ms >= longest_ms(t, o))
        return is_timed(o) ? AP3000_STOP_TIME : AP3000_STOP_TIME_LIMIT;
    if (o->is_by_energy && o->limit > 0 && o->energy_mj >= o->limit * 10 * MILLIJOULE_A_WH)
        return AP3000_STOP_ENERGY;
    if (sim_port_power_dw(port) > overload_dw)
        return AP3000_STOP_OVERLOAD;
    bool is_weak = o->peak_dw <= sim_memory_get(t->p, MEMORY_MIN_POWER_DW);
    return is_weak && o->elapsed_ms >= sim_memory_get(t->p, MEMORY_MIN_POWER_S) * INT64_C(1000) ? AP3000_STOP_LOW_POWER
                                                                                                : 0;
}

void sim_port_advance(struct pile_step *t, struct sim_port *port)
{
    if (!sim_port_is_busy(port))
        return;
    int64_t left_ms = (t->now.ms - port->advanced_ms) * t->w->speed_milli / 1000;
    port->advanced_ms = t->now.ms;
    while (left_ms > 0 && sim_port_is_busy(port)) {
        int64_t until_end_ms = longest_ms(t, &port->order) - port->order.elapsed_ms;
        int64_t chunk_ms = left_ms < CHUNK_MS ? left_ms : CHUNK_MS;
        if (until_end_ms > 0 && chunk_ms > until_end_ms)
            chunk_ms = until_end_ms;
        count_chunk(t, port, chunk_ms);
        left_ms -= chunk_ms;
        port->reason = end_reason(t, port);
        enum port_input input = port->reason != 0 ? PORT_STOP : fullness(t, port);
        if (input != PORT_INPUT_COUNT)
            (void)sim_port_apply(t, port, input);
    }
}

static void look(struct pile_step *t, struct sim_port *port)
{
    port->look_at_ms = t->now.ms + look_ms(t);
    sim_port_advance(t, port);
    if (!sim_port_is_busy(port) || port->charge.vehicle == NULL)
        return;
    int32_t percent = charge_soc(&port->charge) / (SOC_FULL / 100);
    if (percent >= port->told_percent + PERCENT_TOLD) {
        port->told_percent = (uint8_t)percent;
        sim_pile_tell(t, PILE_PROGRESS, port, (struct str){NULL, 0}, charge_power_w(&port->charge), percent);
    }
    if (charge_is_done(&port->charge) && port->charge.target_soc < SOC_FULL)
        sim_rider_is_done(t, port);
}

static void beat(struct pile_step *t, struct sim_port *port)
{
    port->beat_at_ms = t->now.ms + sim_pile_scaled(t, BEAT_MS, SCALED_LEAST_MS);
    sim_port_advance(t, port);
    if (sim_port_is_busy(port))
        sim_pile_say_charging(t, port);
}

void sim_port_on_time(struct pile_step *t, struct sim_port *port)
{
    if (port->look_at_ms <= t->now.ms)
        look(t, port);
    if (port->beat_at_ms <= t->now.ms)
        beat(t, port);
    if (port->next_at_ms <= t->now.ms) {
        port->next_at_ms = SIM_NEVER;
        sim_rider_act(t, port, (enum rider_act)port->next_act);
    }
}
