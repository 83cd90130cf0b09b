/* sim/connector.c - a connector and who charges there: rows of (phase, input) and what follows. Delays of people and of
 * the charging process are divided by the speed of the simulation; those of the protocol are not. */
#include "sim/station_private.h"
#include <stdio.h>
#include <string.h>

#define HURRY_LEAST_MS  700 /* however fast time runs, a person watching can follow */
#define SAMPLE_LEAST_MS 1000
#define TICK_S          60 /* the battery is looked at also where no samples are sent */
#define CARD_LEAST_MS   1500
#define CARD_MOST_MS    4000
#define PERCENT_TOLD    10 /* progress is told each time it has come so far */

typedef void (*effect)(struct step *t, struct sim_connector *c);

/* How long people take, at normal speed. */
enum delay_index { DELAY_GIVE_UP, DELAY_RESTING, DELAY_UNPLUG, DELAY_PAUSE };
static const struct delay {
    uint32_t least_ms, most_ms;
} delays[] = {
    [DELAY_GIVE_UP] = {5000, 20000},
    [DELAY_RESTING] = {60000, 300000},
    [DELAY_UNPLUG] = {30000, 240000},
    [DELAY_PAUSE] = {120000, 900000},
};

static uint32_t pick(struct step *t, uint32_t least, uint32_t most)
{
    return least + random_below(t->s, most - least + 1);
}

static int64_t hurried(const struct step *t, int64_t ms)
{
    int64_t short_ms = ms * 1000 / t->w->speed_milli;
    return short_ms < HURRY_LEAST_MS ? HURRY_LEAST_MS : short_ms;
}

static void wait_for(struct step *t, struct sim_connector *c, enum sim_input input, enum delay_index i)
{
    c->next_input = (uint8_t)input;
    c->next_at_ms = t->now.ms + hurried(t, pick(t, delays[i].least_ms, delays[i].most_ms));
}

static void wait_card(struct step *t, struct sim_connector *c)
{
    c->next_input = SIM_CARD;
    c->next_at_ms = t->now.ms + pick(t, CARD_LEAST_MS, CARD_MOST_MS);
}

static const struct vehicle *pick_vehicle(struct step *t)
{
    const struct vehicle *v;
    do
        v = &vehicles[random_below(t->s, (uint32_t)vehicle_count)];
    while (t->s->is_dc && v->dc_w == 0);
    return v;
}

static void plug_in(struct step *t, struct sim_connector *c)
{
    struct charge *now = &c->charge;
    *now = (struct charge){.vehicle = pick_vehicle(t), .supply = {t->s->supply_w, t->s->is_dc}};
    now->start_soc = (int32_t)pick(t, SOC_FULL / 20, SOC_FULL * 6 / 10);
    /* One in three waits until it is full, the others leave before. */
    now->target_soc = random_below(t->s, 3) == 0 ? SOC_FULL : (int32_t)pick(t, SOC_FULL * 7 / 10, SOC_FULL * 95 / 100);
    c->is_remote = false;
    c->transaction_id = 0;
    tell(t,
         &(struct sim_event){SIM_PLUGGED, c->number, str_of(now->vehicle->name), now->start_soc / (SOC_FULL / 100), 0});
}

static void set_own_card(struct step *t, struct sim_connector *c)
{
    uint32_t number = t->s->index * t->s->connector_count + c->number;
    (void)snprintf(c->id_tag, sizeof c->id_tag, "SIM-TAG-%02u%s", (unsigned)number,
                   has_quirk(t, QUIRK_long_tag) ? "\x10\x0e" : "");
}

static void await_card(struct step *t, struct sim_connector *c)
{
    plug_in(t, c);
    set_own_card(t, c);
    wait_card(t, c);
}

/* The server names the card; it is in c->id_tag already. A vehicle comes with it if there is none yet. */
static void await_remote(struct step *t, struct sim_connector *c)
{
    if (c->charge.vehicle == NULL)
        plug_in(t, c);
    c->is_remote = true;
    wait_card(t, c);
}

static void ask(struct step *t, struct sim_connector *c)
{
    const struct settings *set = &t->s->settings;
    tell(t, &(struct sim_event){SIM_CARD_SHOWN, c->number, str_of(c->id_tag), 0, 0});
    bool is_offline = t->s->link != SIM_ONLINE || t->s->registration != SIM_REGISTERED;
    if (c->is_remote && set->of[SET_authorize_remote] == 0)
        (void)connector_apply(t, c, SIM_ACCEPTED);
    else if (is_offline)
        (void)connector_apply(t, c, set->of[SET_offline_unknown] != 0 ? SIM_ACCEPTED : SIM_DENIED);
    else
        want(t, &c->authorize_order);
}

static void give_up(struct step *t, struct sim_connector *c)
{
    wait_for(t, c, SIM_UNPLUG, DELAY_GIVE_UP);
}

static struct tx_message message_of(struct step *t, const struct sim_connector *c, enum tx_kind kind)
{
    struct tx_message m = {.kind = kind,
                           .connector = c->number,
                           .reason = c->reason,
                           .session = c->session,
                           .transaction_id = c->transaction_id,
                           .at = station_clock(t),
                           .due_ms = t->now.ms,
                           .offered_w = charge_limit_w(&c->charge),
                           .is_dc = t->s->is_dc,
                           .reading = connector_reading(c)};
    memcpy(m.id_tag, c->id_tag, sizeof m.id_tag);
    if (kind == TX_STOP && has_quirk(t, QUIRK_backwards))
        m.reading.energy_wh = c->register_wh - 1;
    return m;
}

static bool keep(struct step *t, const struct sim_connector *c, enum tx_kind kind)
{
    struct tx_message m = message_of(t, c, kind);
    want(t, &m.order);
    return tx_queue_push(&t->s->queue, &m);
}

static int64_t sample_ms(const struct step *t)
{
    int32_t s = t->s->settings.of[SET_sample_s];
    int64_t ms = (int64_t)(s > 0 ? s : TICK_S) * 1000 * 1000 / t->w->speed_milli;
    return ms < SAMPLE_LEAST_MS ? SAMPLE_LEAST_MS : ms;
}

static void begin(struct step *t, struct sim_connector *c)
{
    c->session = ++t->s->session;
    c->transaction_id = 0;
    c->reason = OCPP_REASON_LOCAL;
    c->told_percent = (uint8_t)(charge_soc(&c->charge) / (SOC_FULL / 100));
    if (!keep(t, c,
              TX_START)) { /* too much is waiting to be told: as a station that is full does, it lets nobody charge */
        (void)connector_apply(t, c, SIM_STOP);
        return;
    }
    c->advanced_ms = t->now.ms;
    c->sample_at_ms = t->now.ms + sample_ms(t);
    t->w->totals.sessions++;
    t->w->totals.active++;
}

static void advance(struct step *t, struct sim_connector *c)
{
    int64_t before_mj = c->charge.energy_mj;
    charge_advance(&c->charge, (t->now.ms - c->advanced_ms) * t->w->speed_milli / 1000);
    c->advanced_ms = t->now.ms;
    t->w->totals.energy_mj += c->charge.energy_mj - before_mj;
}

static void rest(struct step *t, struct sim_connector *c)
{
    c->reason = OCPP_REASON_EV_DISCONNECTED;
    tell(t, &(struct sim_event){SIM_FILLED_UP, c->number, {NULL, 0}, 0, 0});
    wait_for(t, c, SIM_STOP, DELAY_RESTING);
}

static void end(struct step *t, struct sim_connector *c)
{
    if (c->sample_at_ms != SIM_NEVER) { /* else it never began */
        advance(t, c);
        int64_t energy_wh = charge_energy_wh(&c->charge);
        if (!has_quirk(t, QUIRK_no_stop))
            check(keep(t, c, TX_STOP));
        c->register_wh += energy_wh;
        t->w->totals.active--;
        tell(t,
             &(struct sim_event){SIM_STOPPED, c->number, choice_word(&reason_choices, c->reason).text, energy_wh, 0});
    }
    c->sample_at_ms = SIM_NEVER;
    c->session = 0;
    c->charge = (struct charge){0};
    if (!has_quirk(t, QUIRK_stuck))
        wait_for(t, c, SIM_UNPLUG, DELAY_UNPLUG);
}

static void leave(struct step *t, struct sim_connector *c)
{
    c->charge = (struct charge){0};
    tell(t, &(struct sim_event){SIM_LEFT, c->number, {NULL, 0}, 0, 0});
    if (c->will_be_disabled) {
        c->will_be_disabled = false;
        (void)connector_apply(t, c, SIM_DISABLE);
    } else if (t->w->is_driven && !t->w->is_leaving) {
        wait_for(t, c, SIM_PLUG, DELAY_PAUSE);
    }
}

static void disable(struct step *t, struct sim_connector *c)
{
    tell(t, &(struct sim_event){SIM_TAKEN_OUT, c->number, {NULL, 0}, 0, 0});
}

static void enable(struct step *t, struct sim_connector *c)
{
    tell(t, &(struct sim_event){SIM_PUT_BACK, c->number, {NULL, 0}, 0, 0});
    if (t->w->is_driven)
        wait_for(t, c, SIM_PLUG, DELAY_PAUSE);
}

/* clang-format off */
static const struct row {
    uint8_t from, input, to;
    effect effect;
} rows[] = {
    {SIM_FREE,        SIM_PLUG,     SIM_PREPARING,   await_card  },
    {SIM_FREE,        SIM_REMOTE,   SIM_PREPARING,   await_remote},
    {SIM_FREE,        SIM_DISABLE,  SIM_DISABLED,    disable     },
    {SIM_PREPARING,   SIM_CARD,     SIM_AUTHORIZING, ask         },
    {SIM_PREPARING,   SIM_REMOTE,   SIM_PREPARING,   await_remote},
    {SIM_PREPARING,   SIM_UNPLUG,   SIM_FREE,        leave       },
    {SIM_AUTHORIZING, SIM_ACCEPTED, SIM_CHARGING,    begin       },
    {SIM_AUTHORIZING, SIM_DENIED,   SIM_PREPARING,   give_up     },
    {SIM_AUTHORIZING, SIM_UNPLUG,   SIM_FREE,        leave       },
    {SIM_CHARGING,    SIM_FILLED,   SIM_RESTING,     rest        },
    {SIM_CHARGING,    SIM_STOP,     SIM_LEAVING,     end         },
    {SIM_RESTING,     SIM_STOP,     SIM_LEAVING,     end         },
    {SIM_LEAVING,     SIM_UNPLUG,   SIM_FREE,        leave       },
    {SIM_DISABLED,    SIM_ENABLE,   SIM_FREE,        enable      },
};
/* clang-format on */

/* Waiting for the server's word looks the same from outside. */
static const int8_t statuses[SIM_PHASE_COUNT] = {
    [SIM_FREE] = OCPP_CHARGE_POINT_STATUS_AVAILABLE,        [SIM_PREPARING] = OCPP_CHARGE_POINT_STATUS_PREPARING,
    [SIM_AUTHORIZING] = OCPP_CHARGE_POINT_STATUS_PREPARING, [SIM_CHARGING] = OCPP_CHARGE_POINT_STATUS_CHARGING,
    [SIM_RESTING] = OCPP_CHARGE_POINT_STATUS_SUSPENDED_EV,  [SIM_LEAVING] = OCPP_CHARGE_POINT_STATUS_FINISHING,
    [SIM_DISABLED] = OCPP_CHARGE_POINT_STATUS_UNAVAILABLE,
};

int sim_phase_status(enum sim_phase p)
{
    return statuses[p];
}

void connector_want_status(struct step *t, struct sim_connector *c)
{
    if (t->s->link == SIM_ONLINE && t->s->registration == SIM_REGISTERED)
        want(t, &c->status_order);
}

bool connector_apply(struct step *t, struct sim_connector *c, enum sim_input input)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *r = &rows[i];
        if (r->from != c->phase || r->input != input)
            continue;
        c->phase = r->to;
        c->next_at_ms = SIM_NEVER;
        c->authorize_order = 0;
        /* What follows is said after it, but what it is about comes first: a start before "Charging". */
        r->effect(t, c);
        if (statuses[r->from] != statuses[r->to])
            connector_want_status(t, c);
        return true;
    }
    return false;
}

void connector_init(struct step *t, struct sim_connector *c)
{
    c->next_at_ms = c->sample_at_ms = SIM_NEVER;
    c->register_wh = pick(t, 100000, 9000000);
}

void connector_rouse(struct step *t, struct sim_connector *c)
{
    if (t->w->is_driven && c->phase == SIM_FREE && c->next_at_ms == SIM_NEVER) {
        c->next_input = SIM_PLUG;
        c->next_at_ms = t->now.ms + random_below(t->s, (uint32_t)t->w->first_plug_ms + 1);
    }
}

static void on_sample(struct step *t, struct sim_connector *c)
{
    advance(t, c);
    c->sample_at_ms = t->now.ms + sample_ms(t);
    if (t->s->settings.of[SET_sample_s] > 0 && t->s->settings.of[SET_sampled_measured] != 0)
        (void)keep(t, c, TX_METER); /* a sample that finds no room is lost, as on a real station */
    struct meter_reading r = connector_reading(c);
    if (r.soc_percent >= c->told_percent + PERCENT_TOLD) {
        c->told_percent = r.soc_percent;
        tell(t, &(struct sim_event){SIM_PROGRESS, c->number, {NULL, 0}, r.power_w, r.soc_percent});
    }
    if (c->phase != SIM_CHARGING || !charge_is_done(&c->charge))
        return;
    if (c->charge.target_soc >= SOC_FULL)
        (void)connector_apply(t, c, SIM_FILLED);
    else
        connector_stop(t, c, OCPP_REASON_LOCAL);
}

void connector_on_time(struct step *t, struct sim_connector *c)
{
    if (c->sample_at_ms <= t->now.ms)
        on_sample(t, c);
    if (c->next_at_ms <= t->now.ms) {
        c->next_at_ms = SIM_NEVER;
        (void)connector_apply(t, c, (enum sim_input)c->next_input);
    }
}

bool connector_is_busy(const struct sim_connector *c)
{
    return c->phase == SIM_CHARGING || c->phase == SIM_RESTING;
}

void connector_stop(struct step *t, struct sim_connector *c, int reason)
{
    c->reason = (int8_t)reason;
    (void)connector_apply(t, c, SIM_STOP);
}

struct sim_connector *connector_of_session(struct sim_station *s, uint32_t session)
{
    for (size_t i = 0; i < s->connector_count; i++)
        if (s->connectors[i].session == session && session != 0)
            return &s->connectors[i];
    return NULL;
}

struct meter_reading connector_reading(const struct sim_connector *c)
{
    if (c->charge.vehicle == NULL)
        return (struct meter_reading){
            .energy_wh = c->register_wh, .voltage_dv = 2315, .temperature_dc = 210, .phases = 3};
    struct meter_reading r = charge_reading(&c->charge, c->register_wh);
    if (c->phase != SIM_CHARGING)
        r.power_w = r.current_ca = 0;
    return r;
}
