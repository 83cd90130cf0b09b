/* sim/pile.c - the time of a pile: power comes, it begins to talk, what it says by itself is due again and again. */
#include "sim/pile_private.h"
#include <stdio.h>
#include <stdlib.h>

#define RETRY_MS          180000             /* 0x22 and 0x12, until answered */
#define TIME_MS           (12 * 3600 * 1000) /* and once they were */
#define MODULE_MS         (30 * 60 * 1000)
#define VERSIONS_MS       (12 * 3600 * 1000)
#define RADIO_MS          (2 * 3600 * 1000) /* 8.10 */
#define RADIO_AFTER_MS    30000
#define BOOT_MS           2000                        /* within it, what a pile says when it comes up is spread */
#define VERSIONS_AFTER_MS 10000                       /* the host has polled its slaves by then */
#define SETTLE_BOOT_MS    10000                       /* what was kept over a power cut is offered */
#define ALARM_MS          (INT64_C(24) * 3600 * 1000) /* one a day or so */
#define PORTED_SENSORS    4

const struct pile_quirk_name pile_quirks[PILE_QUIRK_COUNT] = {
#define QUIRK(member, name, sentence) {{(name), sizeof(name) - 1}, (sentence)},
#include "sim/pile_quirks.def"
};

bool sim_pile_has(const struct pile_step *t, enum pile_quirk q)
{
    return (t->w->quirks >> q & 1) != 0;
}

uint32_t sim_pile_chance(struct pile_step *t, uint32_t least, uint32_t most)
{
    return least + chance_below(&t->l->chance, most - least + 1);
}

struct instant sim_pile_clock(const struct pile_step *t)
{
    return (struct instant){t->now.wall.us + t->p->clock_offset_us};
}

uint32_t sim_pile_clock_s(const struct pile_step *t)
{
    return (uint32_t)(sim_pile_clock(t).us / 1000000);
}

int64_t sim_pile_scaled(const struct pile_step *t, int64_t ms, int64_t least_ms)
{
    int64_t short_ms = ms * 1000 / t->w->speed_milli;
    return short_ms < least_ms ? least_ms : short_ms;
}

void sim_pile_tell(struct pile_step *t, enum pile_event_kind kind, const struct sim_port *port, struct str text,
                   int64_t n, int64_t m)
{
    t->w->tell(t->l, t->p, &(struct sim_event){(int)kind, port == NULL ? 0 : port->number + 1u, text, n, m});
}

void sim_pile_name(const struct sim_pile *p, char out[PILE_NAME_SIZE])
{
    (void)snprintf(out, PILE_NAME_SIZE, "AP%u", (unsigned)ap3000_id_number(p->physical_id));
}

/* ---- What it says by itself -------------------------------------------------------------------------------------- */

static void on_register(struct pile_step *t)
{
    t->p->due_ms[DUE_REGISTER] = t->now.ms + sim_pile_heartbeat_ms(t->p);
    sim_pile_register(t);
}

static void on_heartbeat(struct pile_step *t)
{
    t->p->due_ms[DUE_HEARTBEAT] = t->now.ms + sim_pile_heartbeat_ms(t->p);
    sim_pile_beat(t);
}

static void on_time_due(struct pile_step *t)
{
    t->p->due_ms[DUE_TIME] = t->now.ms + (t->p->is_clock_set ? TIME_MS : RETRY_MS);
    sim_pile_ask_time(t);
}

static void on_module(struct pile_step *t)
{
    t->p->due_ms[DUE_MODULE] = t->now.ms + MODULE_MS;
    sim_pile_say_module(t);
}

static void on_versions(struct pile_step *t)
{
    t->p->due_ms[DUE_VERSIONS] = t->now.ms + VERSIONS_MS;
    sim_pile_say_versions(t);
}

static void on_cabinet(struct pile_step *t)
{
    t->p->due_ms[DUE_CABINET] = t->now.ms + sim_pile_heartbeat_ms(t->p);
    sim_cabinet_beat(t);
}

static void on_meter(struct pile_step *t)
{
    t->p->due_ms[DUE_METER] = t->now.ms + MODULE_MS;
    sim_pile_say_meter(t);
}

static void on_radio(struct pile_step *t)
{
    t->p->due_ms[DUE_RADIO] = t->now.ms + RADIO_MS;
    sim_pile_say_radio(t);
}

static int64_t alarm_ms(struct pile_step *t)
{
    return sim_pile_scaled(t, ALARM_MS / 2 + sim_pile_chance(t, 0, (uint32_t)ALARM_MS), SCALED_LEAST_MS);
}

static void on_alarm(struct pile_step *t)
{
    static const uint8_t kinds[] = {AP3000_ALARM_WATER, AP3000_ALARM_SMOKE, AP3000_ALARM_TEMPERATURE};
    t->p->due_ms[DUE_ALARM] = t->now.ms + alarm_ms(t);
    sim_pile_say_alarm(t, kinds[sim_pile_chance(t, 0, COUNT_OF(kinds) - 1)],
                       (uint8_t)sim_pile_chance(t, 0, PORTED_SENSORS));
}

static void on_reboot(struct pile_step *t)
{
    sim_pile_tell(t, PILE_REBOOT, NULL, (struct str){NULL, 0}, 0, 0);
    sim_firmware_on_reboot(t);
    sim_pile_power_up(t);
    if (t->l->link == LINE_ONLINE)
        sim_pile_boot(t);
}

static void (*const on_due[DUE_COUNT])(struct pile_step *t) = {
    [DUE_REGISTER] = on_register,         [DUE_HEARTBEAT] = on_heartbeat, [DUE_TIME] = on_time_due,
    [DUE_SETTLE] = sim_pile_settle,       [DUE_MODULE] = on_module,       [DUE_VERSIONS] = on_versions,
    [DUE_FIRMWARE] = sim_firmware_on_due, [DUE_ALARM] = on_alarm,         [DUE_REBOOT] = on_reboot,
    [DUE_CABINET] = on_cabinet,           [DUE_METER] = on_meter,         [DUE_RADIO] = on_radio,
};

/* ---- Power ------------------------------------------------------------------------------------------------------- */

/* The EEPROM is as it was: parameters, settlements, orders under way. All else begins anew (2.5, 4). */
void sim_pile_power_up(struct pile_step *t)
{
    struct sim_pile *p = t->p;
    p->message_id = 0;
    p->missed = 0;
    p->is_clock_set = false;
    p->clock_offset_us = -t->now.wall.us;
    p->is_fresh = true;
    p->coming = (struct sim_firmware){0};
    for (int i = 0; i < DUE_COUNT; i++)
        p->due_ms[i] = SIM_NEVER;
    for (int i = 0; i < ASK_COUNT; i++)
        p->asked[i].tries = 0;
}

static void boot_host(struct pile_step *t)
{
    int64_t *due = t->p->due_ms;
    due[DUE_TIME] = t->now.ms;
    due[DUE_MODULE] = t->now.ms + sim_pile_chance(t, 0, BOOT_MS);
    due[DUE_VERSIONS] = t->now.ms + VERSIONS_AFTER_MS;
    if (sim_pile_has(t, PILE_QUIRK_radio))
        due[DUE_RADIO] = t->now.ms + RADIO_AFTER_MS;
}

void sim_pile_boot(struct pile_step *t)
{
    struct sim_pile *p = t->p;
    int64_t *due = p->due_ms;
    p->is_fresh = false;
    if (sim_pile_has(t, PILE_QUIRK_meter) && p == &t->l->piles[0])
        due[DUE_METER] = t->now.ms + sim_pile_chance(t, 0, BOOT_MS);
    if (p->is_host) {
        boot_host(t);
        return;
    }
    bool is_legacy = sim_pile_has(t, PILE_QUIRK_legacy);
    due[DUE_REGISTER] = is_legacy ? SIM_NEVER : t->now.ms;
    due[DUE_HEARTBEAT] = t->now.ms + (is_legacy ? 0 : sim_pile_chance(t, 0, BOOT_MS));
    due[DUE_TIME] = t->now.ms + sim_pile_chance(t, 0, BOOT_MS);
    if (t->l->pile_count == 1 && !is_legacy)
        due[DUE_MODULE] = t->now.ms + sim_pile_chance(t, 0, BOOT_MS);
    if (sim_cabinet_is(t))
        due[DUE_CABINET] = t->now.ms + sim_pile_chance(t, 0, BOOT_MS);
    if (p->kept_count > 0)
        due[DUE_SETTLE] = t->now.ms + SETTLE_BOOT_MS;
    if (t->w->is_driven)
        due[DUE_ALARM] = t->now.ms + alarm_ms(t);
    for (size_t i = 0; i < p->port_count; i++) {
        p->ports[i].is_confirmed = false;
        if (sim_port_is_busy(&p->ports[i]) && is_legacy)
            p->ports[i].beat_at_ms = t->now.ms;
        if (!p->was_roused)
            sim_rider_rouse(t, &p->ports[i]);
    }
    p->was_roused = true;
}

void sim_pile_clear(struct pile_step *t)
{
    struct sim_pile *p = t->p;
    p->kept_count = 0;
    p->due_ms[DUE_SETTLE] = SIM_NEVER;
    p->asked[ASK_SETTLE].tries = 0;
    for (size_t i = 0; i < p->port_count; i++)
        sim_cabinet_forget(&p->ports[i]);
    sim_memory_reset(p);
}

/* ---- Time -------------------------------------------------------------------------------------------------------- */

void sim_pile_on_time(struct pile_step *t)
{
    sim_pile_look_at_asked(t);
    for (int i = 0; i < DUE_COUNT; i++) {
        if (t->p->due_ms[i] > t->now.ms)
            continue;
        t->p->due_ms[i] = SIM_NEVER;
        on_due[i](t);
    }
    for (size_t i = 0; i < t->p->port_count; i++)
        sim_port_on_time(t, &t->p->ports[i]);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t sim_pile_due_ms(const struct sim_pile *p)
{
    int64_t due = sim_pile_asked_due_ms(p);
    for (int i = 0; i < DUE_COUNT; i++)
        due = earlier(due, p->due_ms[i]);
    for (size_t i = 0; i < p->port_count; i++) {
        const struct sim_port *port = &p->ports[i];
        due = earlier(due, earlier(port->next_at_ms, earlier(port->look_at_ms, port->beat_at_ms)));
    }
    return due;
}
