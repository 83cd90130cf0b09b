/* sim/pile_rider.c - who comes to a pile: plugs in, swipes a card or types a code or waits for an app, leaves. What
 * people take their time for is divided by the speed of the simulation; waiting for an app is not, since a person may
 * be behind it. */
#include "sim/pile_private.h"
#include <stdio.h>
#include <string.h>

#define HURRY_LEAST_MS 700 /* however fast time runs, a person watching can follow */
#define ALONE_MISSED   2   /* heartbeats without an answer: the pile does not ask any more */
#define CHINA_US       (INT64_C(8) * 3600 * 1000000)
#define CARD_AT        30 /* last byte of an order number: and the port (11.2) */
#define CODE_AT        70 /* likewise (11.3) */
#define PLUGGED_RAW    3  /* a supply has three phases, a socket one of them */
#define SOCKET_W       3500
#define BREAKS_ONE_IN  50
#define FRESH_SOC      (SOC_FULL / 4) /* of a bike that somebody left */

enum delay_index {
    DELAY_CARD,
    DELAY_APP,
    DELAY_GRANTED,
    DELAY_GIVE_UP,
    DELAY_REST,
    DELAY_PAUSE,
    DELAY_BREAK,
    DELAY_REPAIR
};
static const struct delay {
    uint32_t least_ms, most_ms;
    bool is_scaled;
} delays[] = {
    [DELAY_CARD] = {1500, 4000, false},      [DELAY_APP] = {60000, 120000, false},
    [DELAY_GRANTED] = {30000, 40000, false}, [DELAY_GIVE_UP] = {5000, 20000, true},
    [DELAY_REST] = {60000, 900000, true},    [DELAY_PAUSE] = {300000, 1800000, true},
    [DELAY_BREAK] = {600000, 3600000, true}, [DELAY_REPAIR] = {1800000, 7200000, true},
};

/* Of a hundred riders. */
static const struct {
    uint8_t percent;
    enum rider_act act;
    enum delay_index delay;
} manners[] = {
    {60, RIDER_SWIPE, DELAY_CARD},
    {15, RIDER_ASK_BALANCE, DELAY_CARD},
    {10, RIDER_TYPE_CODE, DELAY_CARD},
    {15, RIDER_UNPLUG, DELAY_APP},
};

static void wait_for(struct pile_step *t, struct sim_port *port, enum rider_act act, enum delay_index i)
{
    uint32_t ms = sim_pile_chance(t, delays[i].least_ms, delays[i].most_ms);
    port->next_act = (uint8_t)act;
    port->next_at_ms = t->now.ms + (delays[i].is_scaled ? sim_pile_scaled(t, ms, HURRY_LEAST_MS) : ms);
}

void sim_rider_bike(struct pile_step *t, struct sim_port *port)
{
    uint32_t card = ap3000_id_number(t->p->physical_id) << 4 | port->number;
    port->charge = (struct charge){.vehicle = &ebikes[sim_pile_chance(t, 0, (uint32_t)ebike_count - 1)],
                                   .supply = {SOCKET_W * PLUGGED_RAW, false},
                                   .start_soc = FRESH_SOC,
                                   .target_soc = SOC_FULL};
    for (int i = 0; i < 4; i++)
        port->card[i] = (uint8_t)(card >> 8 * (3 - i));
}

void sim_rider_rouse(struct pile_step *t, struct sim_port *port)
{
    if (t->w->is_driven) {
        port->next_act = RIDER_PLUG;
        port->next_at_ms = t->now.ms + sim_pile_chance(t, 0, (uint32_t)t->w->first_plug_ms);
    } else if (port->number * 2 < t->p->port_count) {
        (void)sim_port_apply(t, port, PORT_PLUG);
    }
}

static void plan(struct pile_step *t, struct sim_port *port)
{
    uint32_t dice = sim_pile_chance(t, 0, 99);
    size_t i = 0;
    while (dice >= manners[i].percent)
        dice -= manners[i++].percent;
    wait_for(t, port, manners[i].act, manners[i].delay);
}

void sim_rider_plugged(struct pile_step *t, struct sim_port *port)
{
    sim_rider_bike(t, port);
    if (!t->w->is_driven)
        return;
    port->charge.start_soc = (int32_t)sim_pile_chance(t, SOC_FULL / 20, SOC_FULL * 6 / 10);
    /* One in two waits until it is full, the others leave before. */
    if (sim_pile_chance(t, 0, 1) == 0)
        port->charge.target_soc = (int32_t)sim_pile_chance(t, SOC_FULL * 7 / 10, SOC_FULL * 95 / 100);
    sim_pile_tell(t, PILE_PLUGGED, port, str_of(port->charge.vehicle->name), port->charge.start_soc / (SOC_FULL / 100),
                  0);
    plan(t, port);
}

void sim_rider_started(struct pile_step *t, struct sim_port *port)
{
    if (t->w->is_driven && sim_pile_chance(t, 1, BREAKS_ONE_IN) == 1)
        wait_for(t, port, RIDER_BREAK, DELAY_BREAK);
}

void sim_rider_ended(struct pile_step *t, struct sim_port *port)
{
    if (t->w->is_driven)
        wait_for(t, port, RIDER_UNPLUG, DELAY_REST);
}

void sim_rider_left(struct pile_step *t, struct sim_port *port)
{
    if (t->w->is_driven && !t->w->is_leaving)
        wait_for(t, port, RIDER_PLUG, DELAY_PAUSE);
}

void sim_rider_broken(struct pile_step *t, struct sim_port *port)
{
    wait_for(t, port, RIDER_REPAIR, DELAY_REPAIR);
}

void sim_rider_is_done(struct pile_step *t, struct sim_port *port)
{
    if (sim_pile_chance(t, 0, 1) == 0)
        sim_port_stop(t, port, AP3000_STOP_CARD);
    else
        (void)sim_port_apply(t, port, PORT_UNPLUG);
}

/* ---- Orders that the pile makes itself --------------------------------------------------------------------------- */

static uint8_t bcd(uint32_t n)
{
    return (uint8_t)(n / 10 % 10 << 4 | n % 10);
}

static void put_bcd(uint8_t *at, size_t size, uint32_t n)
{
    for (size_t i = size; i > 0; i--) {
        at[i - 1] = bcd(n);
        n /= 100;
    }
}

/* The local time of the start and the number of the pile; 7 to 10 and the last byte are whose it is (11.2, 11.3). */
static void put_order_no(const struct pile_step *t, const struct sim_port *port, uint32_t scheme, uint8_t *no)
{
    static const uint8_t digits[] = {0, 2, 5, 8, 11, 14, 17}; /* of "2026-03-01T09:00:00": each begins two */
    char text[INSTANT_TEXT_SIZE];
    instant_write((struct instant){sim_pile_clock(t).us + CHINA_US}, text);
    for (size_t i = 0; i < COUNT_OF(digits); i++)
        no[i] = (uint8_t)((text[digits[i]] - '0') << 4 | (text[digits[i] + 1] - '0'));
    put_bcd(no + 11, 4, ap3000_id_number(t->p->physical_id));
    no[15] = bcd(scheme + port->number);
}

static void start_alone(struct pile_step *t, struct sim_port *port, enum ap3000_start_mode mode,
                        const uint8_t card_or_code[4])
{
    struct sim_order o = {.start_mode = (uint8_t)mode, .stops_when_full = true};
    if (!sim_port_has_room(t->p)) {
        wait_for(t, port, RIDER_UNPLUG, DELAY_GIVE_UP);
        return;
    }
    put_order_no(t, port, mode == AP3000_START_CARD ? CARD_AT : CODE_AT, o.no);
    memcpy(o.no + 7, card_or_code, 4);
    memcpy(o.card_or_code, card_or_code, 4);
    port->order = o;
    (void)sim_port_apply(t, port, PORT_START);
}

static struct str card_text(const struct sim_port *port, char out[9])
{
    (void)snprintf(out, 9, "%08X", (unsigned)be32(port->card));
    return (struct str){out, 8};
}

static void start_by_card(struct pile_step *t, struct sim_port *port)
{
    char text[9];
    sim_pile_tell(t, PILE_CARD_ALONE, port, card_text(port, text), 0, 0);
    start_alone(t, port, AP3000_START_CARD, port->card);
}

/* ---- What they do ------------------------------------------------------------------------------------------------ */

static void plug(struct pile_step *t, struct sim_port *port)
{
    (void)sim_port_apply(t, port, PORT_PLUG);
}

static void unplug(struct pile_step *t, struct sim_port *port)
{
    sim_port_advance(t, port);
    (void)sim_port_apply(t, port, PORT_UNPLUG);
}

static bool is_alone(const struct pile_step *t)
{
    return t->p->missed >= ALONE_MISSED || sim_memory_get(t->p, MEMORY_WORK_MODE) == AP3000_MODE_CARD;
}

static void show_card(struct pile_step *t, struct sim_port *port, bool is_balance)
{
    char text[9];
    if (!sim_port_is_waiting(port))
        return;
    if (is_alone(t)) {
        start_by_card(t, port);
        return;
    }
    if (sim_pile_ask_card(t, port, is_balance))
        sim_pile_tell(t, is_balance ? PILE_ASKED_BALANCE : PILE_SWIPED, port, card_text(port, text), 0, 0);
    else
        wait_for(t, port, is_balance ? RIDER_ASK_BALANCE : RIDER_SWIPE, DELAY_CARD); /* another one is at it */
}

static void ask_balance(struct pile_step *t, struct sim_port *port)
{
    show_card(t, port, true);
}

static void swipe(struct pile_step *t, struct sim_port *port)
{
    show_card(t, port, false);
}

/* A code as if the operator had sold it; a pile whose clock was never set takes none (11.3). */
static void type_code(struct pile_step *t, struct sim_port *port)
{
    if (!sim_port_is_waiting(port))
        return;
    if (!t->p->is_clock_set) {
        swipe(t, port);
        return;
    }
    uint32_t code = ap3000_code(t->p->physical_id, port->number, sim_pile_clock(t), AP3000_CRC_IEEE);
    uint8_t bytes[4] = {0};
    char text[8];
    put_bcd(bytes + 1, 3, code);
    (void)snprintf(text, sizeof text, "%06u", (unsigned)code);
    sim_pile_tell(t, PILE_CODE_TYPED, port, str_of(text), 0, 0);
    start_alone(t, port, AP3000_START_CODE, bytes);
}

static void give_way(struct pile_step *t, struct sim_port *port)
{
    static const uint8_t faults[] = {AP3000_PORT_SPRING_JAMMED, AP3000_PORT_BAD_CONTACT, AP3000_PORT_RELAY_WELDED,
                                     AP3000_PORT_HALL_SWITCH};
    sim_port_advance(t, port);
    port->fault = faults[sim_pile_chance(t, 0, COUNT_OF(faults) - 1)];
    (void)sim_port_apply(t, port, PORT_BREAK);
}

static void repair(struct pile_step *t, struct sim_port *port)
{
    (void)sim_port_apply(t, port, PORT_REPAIR);
}

void sim_rider_act(struct pile_step *t, struct sim_port *port, enum rider_act act)
{
    static void (*const acts[RIDER_ACT_COUNT])(struct pile_step * t, struct sim_port * port) = {
        [RIDER_PLUG] = plug,           [RIDER_ASK_BALANCE] = ask_balance, [RIDER_SWIPE] = swipe,
        [RIDER_TYPE_CODE] = type_code, [RIDER_UNPLUG] = unplug,           [RIDER_BREAK] = give_way,
        [RIDER_REPAIR] = repair,
    };
    acts[act](t, port);
}

/* ---- What becomes of a card -------------------------------------------------------------------------------------- */

void sim_rider_on_card(struct pile_step *t, struct sim_port *port, bool is_balance, const struct ap3000_card_answer *m)
{
    if (!sim_port_is_waiting(port))
        return; /* its rider has gone, or somebody else started it */
    if (m == NULL) {
        start_by_card(t, port);
    } else if (m->account_status != AP3000_ACCOUNT_NORMAL) {
        const char *why = ap3000_value_text(&ap3000_account_status_list, m->account_status);
        sim_pile_tell(t, PILE_CARD_REFUSED, port, str_of(why), 0, 0);
        wait_for(t, port, RIDER_UNPLUG, DELAY_GIVE_UP);
    } else if (is_balance) {
        sim_pile_tell(t, PILE_SAID_BALANCE, port, (struct str){NULL, 0}, m->balance_or_expiry, 0);
        wait_for(t, port, RIDER_SWIPE, DELAY_CARD);
    } else {
        sim_pile_tell(t, PILE_CARD_GRANTED, port, (struct str){NULL, 0}, 0, 0);
        wait_for(t, port, RIDER_UNPLUG, DELAY_GRANTED); /* unless the start comes meanwhile */
    }
}
