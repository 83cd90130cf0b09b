/* sim/pile_say.c - what a pile says: each payload as a struct of the frame tables; what must be answered is kept until
 * it is, said once more after 15 s, and given up after 30. */
#include "sim/pile_private.h"
#include <stdio.h>
#include <string.h>

#define TRIES         2
#define ALONE_MISSED  2                /* heartbeats; then it takes itself for offline (1.5) */
#define KEPT_AGAIN_MS (30 * 60 * 1000) /* 0x03 without an answer */
#define KEPT_NEXT_MS  (60 * 1000)      /* the next one after an answer */
#define PAYLOAD_MAX   242              /* 1.4 */
#define MAINS_DV      2180             /* and up to so much more: */
#define MAINS_SPAN_DV 60
#define CASE_RAW      (65 + 24) /* degrees of the case */
#define HEAT_DW_A_C   400       /* so much power warms a port by a degree */
#define HOST_MHZ      472
#define SMOKE_ONE_IN  100

uint16_t sim_pile_next_id(struct pile_step *t)
{
    t->p->message_id = t->p->message_id == UINT16_MAX ? 1 : t->p->message_id + 1;
    return t->p->message_id;
}

/* ---- Frames that nobody answers, and answers --------------------------------------------------------------------- */

static struct bytes write_payload(const struct ap3000_layout *l, const void *m, uint8_t out[PAYLOAD_MAX])
{
    size_t size = 0;
    check(ap3000_write(l, m, out, PAYLOAD_MAX, &size, NULL) == OK);
    return (struct bytes){out, size};
}

void sim_pile_answer(struct pile_step *t, const struct ap3000_frame *f, const struct ap3000_layout *l, const void *m)
{
    uint8_t payload[PAYLOAD_MAX];
    sim_line_say(t, f->command, f->message_id, write_payload(l, m, payload));
}

void sim_pile_say(struct pile_step *t, uint8_t command, const struct ap3000_layout *l, const void *m)
{
    uint8_t payload[PAYLOAD_MAX];
    sim_line_say(t, command, sim_pile_next_id(t), write_payload(l, m, payload));
}

static uint16_t mains_dv(struct pile_step *t)
{
    return (uint16_t)(MAINS_DV + sim_pile_chance(t, 0, MAINS_SPAN_DV));
}

void sim_pile_say_module(struct pile_step *t)
{
    static const char version[] = "SIM_GM5_V1.0";
    char iccid[ICCID_TEXT_SIZE], imei[16];
    sim_line_iccid(t->l, iccid);
    (void)snprintf(imei, sizeof imei, "86%013u", (unsigned)t->l->index + 1);
    struct ap3000_host_heartbeat m = {
        .firmware = t->p->firmware,
        .rtc_type = AP3000_CLOCK_NONE,
        .signal = (uint8_t)sim_pile_chance(t, 12, 30),
        .module_type = AP3000_MODULE_GM5,
        .iccid = str_of(iccid),
        .host_type = t->p->device_type,
        .frequency = t->p->is_host ? HOST_MHZ : 0,
        .imei = str_of(imei),
        .module_version = STR(version),
    };
    sim_pile_say(t, 0x11, &ap3000_host_heartbeat_layout, &m);
}

/* All its slaves are of one type here, and of one version until one is upgraded. */
void sim_pile_say_versions(struct pile_step *t)
{
    const struct sim_pile *lowest = NULL;
    uint8_t block[8];
    size_t size = 0;
    for (size_t i = 1; i < t->l->pile_count; i++)
        if (lowest == NULL || t->l->piles[i].firmware < lowest->firmware)
            lowest = &t->l->piles[i];
    if (lowest == NULL)
        return;
    struct ap3000_slave s = {
        .slave_type = lowest->device_type, .min_firmware = lowest->firmware, .physical_id = lowest->physical_id};
    check(ap3000_write(&ap3000_slave_layout, &s, block, sizeof block, &size, NULL) == OK);
    sim_pile_say(t, 0x35, &ap3000_slave_versions_layout,
                 &(struct ap3000_slave_versions){.count = 1, .slaves = {block, size}});
}

/* An ordinary pile says it too; then what only a leakage host has says nothing (8.5). */
void sim_pile_say_meter(struct pile_step *t)
{
    uint16_t voltage_dv = mains_dv(t);
    uint32_t energy_10wh = (uint32_t)(t->l->metered_mj / (10 * MILLIJOULE_A_WH)), power_dw = 0;
    for (size_t i = 0; i < t->l->pile_count; i++)
        for (size_t k = 0; k < t->l->piles[i].port_count; k++)
            power_dw += sim_port_power_dw(&t->l->piles[i].ports[k]);
    uint16_t current_10ma = (uint16_t)(power_dw * 100 / voltage_dv);
    struct ap3000_host_status m = {
        .breaker = AP3000_CLOSED,
        .temperature_raw = CASE_RAW,
        .voltage_dv = voltage_dv,
        .current_10ma = current_10ma,
        .energy_10wh = energy_10wh,
        .meter_current_10ma = current_10ma,
        .meter_energy_10wh = energy_10wh,
        .smoke_alarm = sim_pile_chance(t, 1, SMOKE_ONE_IN) == 1,
        .live_temp_raw = CASE_RAW,
        .neutral_temp_raw = CASE_RAW,
    };
    sim_pile_say(t, 0x17, &ap3000_host_status_layout, &m);
}

void sim_pile_say_radio(struct pile_step *t)
{
    sim_pile_say(t, 0x3B, &ap3000_fsk_request_layout, &(struct ap3000_fsk_request){.frequency_mhz = HOST_MHZ});
}

void sim_pile_say_alarm(struct pile_step *t, uint8_t kind, uint8_t where)
{
    const char *text = ap3000_value_text(&ap3000_alarm_type_list, kind);
    sim_pile_tell(t, PILE_ALARM, NULL, str_of(text), 0, 0);
    sim_pile_say(t, 0x42, &ap3000_alarm_layout, &(struct ap3000_alarm){.alarm_type = kind, .port_or_address = where});
}

static void say_charging(struct pile_step *t, struct sim_port *port)
{
    struct sim_period *since = &port->period;
    uint16_t voltage_dv = mains_dv(t), power_dw = sim_port_power_dw(port);
    struct ap3000_charging m = {
        .port = port->number,
        .port_status = port->phase == PORT_TRICKLE ? AP3000_CHARGING_TRICKLE : AP3000_CHARGING_ON,
        .duration_s = (uint16_t)(port->order.elapsed_ms / 1000),
        .energy_10wh = (uint16_t)(port->order.energy_mj / (10 * MILLIJOULE_A_WH)),
        .start_mode = port->order.start_mode,
        .power_dw = power_dw,
        .period_max_power_dw = since->most_dw,
        .period_min_power_dw = since->ms == 0 ? 0 : since->least_dw,
        .period_avg_power_dw = (uint16_t)(since->ms == 0 ? 0 : since->energy_mj * 10 / since->ms),
        .period_energy_raw = (uint16_t)(since->energy_mj * 48 / (100 * MILLIJOULE_A_WH)),
        .peak_power_dw = port->order.peak_dw,
        .voltage_dv = voltage_dv,
        .current_ma = (uint16_t)(power_dw * INT64_C(1000) / voltage_dv),
        .ambient_temp_raw = CASE_RAW,
        .port_temp_raw = (uint8_t)(CASE_RAW + power_dw / HEAT_DW_A_C),
        .timestamp = sim_pile_clock_s(t),
    };
    memcpy(m.order_no, port->order.no, sizeof m.order_no);
    *since = (struct sim_period){.least_dw = UINT16_MAX};
    sim_pile_say(t, 0x06, &ap3000_charging_layout, &m);
}

/* ---- Frames that are answered ------------------------------------------------------------------------------------ */

static void ask(struct pile_step *t, enum sim_ask which, uint8_t command, const struct ap3000_layout *l, const void *m)
{
    struct sim_asked *a = &t->p->asked[which];
    uint8_t payload[PAYLOAD_MAX];
    struct bytes b = write_payload(l, m, payload);
    check(b.len <= sizeof a->payload);
    memcpy(a->payload, b.at, b.len);
    a->size = (uint8_t)b.len;
    a->command = command;
    a->message_id = sim_pile_next_id(t);
    a->tries = 1;
    a->due_ms = t->now.ms + ANSWER_MS;
    sim_line_say(t, command, a->message_id, b);
}

static bool is_asking(const struct pile_step *t, enum sim_ask which)
{
    return t->p->asked[which].tries > 0;
}

void sim_pile_register(struct pile_step *t)
{
    const struct sim_pile *p = t->p;
    struct ap3000_registration m = {
        .firmware = p->firmware,
        .port_count = p->port_count,
        .virtual_id = p->virtual_id,
        .device_type = p->device_type,
        .work_mode = (uint8_t)(1 << AP3000_WORK_SHORT_CHECK | sim_memory_get(p, MEMORY_WORK_MODE)),
    };
    if (!is_asking(t, ASK_REGISTER))
        ask(t, ASK_REGISTER, 0x20, &ap3000_registration_layout, &m);
}

static void beat_legacy(struct pile_step *t, const uint8_t *status)
{
    uint8_t power[2 * PORTS_MAX], peak[2 * PORTS_MAX];
    const struct sim_pile *p = t->p;
    for (size_t i = 0; i < p->port_count; i++) {
        bool is_busy = sim_port_is_busy(&p->ports[i]);
        le_put(power + 2 * i, 2, sim_port_power_dw(&p->ports[i]));
        le_put(peak + 2 * i, 2, is_busy ? p->ports[i].order.peak_dw : 0);
    }
    struct ap3000_old_heartbeat m = {
        .firmware = p->firmware,
        .voltage_dv = mains_dv(t),
        .port_count = p->port_count,
        .port_status = {status, p->port_count},
        .port_power_dw = {power, 2 * (size_t)p->port_count},
        .port_peak_power_dw = {peak, 2 * (size_t)p->port_count},
        .virtual_id = p->virtual_id,
        .device_type = p->device_type,
        .ambient_temp_raw = CASE_RAW,
    };
    ask(t, ASK_HEARTBEAT, 0x01, &ap3000_old_heartbeat_layout, &m);
}

void sim_pile_beat(struct pile_step *t)
{
    uint8_t status[PORTS_MAX];
    if (is_asking(t, ASK_HEARTBEAT))
        return;
    for (size_t i = 0; i < t->p->port_count; i++) {
        sim_port_advance(t, &t->p->ports[i]);
        status[i] = sim_port_status(&t->p->ports[i]);
    }
    if (sim_pile_has(t, PILE_QUIRK_legacy)) {
        beat_legacy(t, status);
        return;
    }
    struct ap3000_heartbeat m = {.voltage_dv = mains_dv(t),
                                 .port_count = t->p->port_count,
                                 .port_status = {status, t->p->port_count},
                                 .signal = t->p->virtual_id == 0 ? 0 : 20,
                                 .ambient_temp_raw = CASE_RAW};
    ask(t, ASK_HEARTBEAT, 0x21, &ap3000_heartbeat_layout, &m);
}

void sim_pile_ask_time(struct pile_step *t)
{
    if (!is_asking(t, ASK_TIME))
        ask(t, ASK_TIME, t->p->is_host ? 0x12 : 0x22, &ap3000_empty_layout, &(struct ap3000_empty){0});
}

bool sim_pile_ask_card(struct pile_step *t, const struct sim_port *who, bool is_balance)
{
    struct ap3000_card m = {.card_type = AP3000_CARD_KNOWN,
                            .port = is_balance ? UINT8_MAX : who->number,
                            .timestamp = sim_pile_clock_s(t),
                            .tail.absent = AP3000_UP_TO(card, timestamp)};
    if (is_asking(t, ASK_CARD))
        return false;
    memcpy(m.card_id, who->card, sizeof m.card_id);
    ask(t, ASK_CARD, 0x02, &ap3000_card_layout, &m);
    t->p->asked[ASK_CARD].port = who->number;
    return true;
}

/* Legacy, instead of 0x06 and only until it is answered (6.4). One at a time: another port tries again soon. */
static void say_running(struct pile_step *t, struct sim_port *port)
{
    struct ap3000_order_running m = {.port = port->number,
                                     .start_mode = port->order.start_mode,
                                     .duration_s = (uint16_t)(port->order.elapsed_ms / 1000)};
    memcpy(m.card_or_code, port->order.card_or_code, sizeof m.card_or_code);
    memcpy(m.order_no, port->order.no, sizeof m.order_no);
    if (is_asking(t, ASK_RUNNING)) {
        port->beat_at_ms = t->now.ms + ANSWER_MS;
        return;
    }
    ask(t, ASK_RUNNING, 0x04, &ap3000_order_running_layout, &m);
    t->p->asked[ASK_RUNNING].port = port->number;
    port->beat_at_ms = t->now.ms + sim_pile_heartbeat_ms(t->p);
}

void sim_pile_say_charging(struct pile_step *t, struct sim_port *port)
{
    if (!sim_pile_has(t, PILE_QUIRK_legacy))
        say_charging(t, port);
    else if (!port->is_confirmed)
        say_running(t, port);
}

/* The first one of those kept; it stays there until it is answered. A later try is a new message (10.4). */
void sim_pile_settle(struct pile_step *t)
{
    struct sim_asked *a = &t->p->asked[ASK_SETTLE];
    if (t->p->kept_count == 0 || is_asking(t, ASK_SETTLE))
        return;
    memcpy(a->payload, t->p->kept[0], SETTLEMENT_SIZE);
    a->size = SETTLEMENT_SIZE;
    a->command = 0x03;
    a->port = t->p->kept[0][6];
    a->message_id = sim_pile_next_id(t);
    a->tries = 1;
    a->due_ms = t->now.ms + ANSWER_MS;
    sim_line_say(t, 0x03, a->message_id, (struct bytes){a->payload, a->size});
}

/* ---- Their answers ----------------------------------------------------------------------------------------------- */

static void on_registered(struct pile_step *t, const struct sim_asked *a, struct bytes payload)
{
    (void)a;
    if (payload.len > 0 && payload.at[0] == AP3000_DONE) {
        t->p->due_ms[DUE_REGISTER] = SIM_NEVER;
        sim_pile_tell(t, PILE_REGISTERED, NULL, (struct str){NULL, 0}, sim_pile_heartbeat_ms(t->p) / 1000, 0);
    }
}

static void on_beat(struct pile_step *t, const struct sim_asked *a, struct bytes payload)
{
    (void)a;
    (void)payload;
    t->p->missed = 0;
}

static void on_time(struct pile_step *t, const struct sim_asked *a, struct bytes payload)
{
    (void)a;
    struct ap3000_time m;
    if (sim_pile_has(t, PILE_QUIRK_clock_1970) || ap3000_read(&ap3000_time_layout, payload, &m, NULL) != OK)
        return;
    t->p->clock_offset_us = m.timestamp * INT64_C(1000000) - t->now.wall.us;
    t->p->is_clock_set = true;
    t->p->due_ms[DUE_TIME] = t->now.ms + INT64_C(12) * 3600 * 1000;
}

static void on_card(struct pile_step *t, const struct sim_asked *a, struct bytes payload)
{
    struct ap3000_card_answer m;
    if (ap3000_read(&ap3000_card_answer_layout, payload, &m, NULL) == OK)
        sim_rider_on_card(t, &t->p->ports[a->port], a->payload[5] == UINT8_MAX, &m);
}

static void on_no_settlement(struct pile_step *t, const struct sim_asked *a)
{
    int64_t again_ms = t->w->is_leaving ? 0 : sim_pile_scaled(t, KEPT_AGAIN_MS, SCALED_LEAST_MS);
    t->p->due_ms[DUE_SETTLE] = t->now.ms + again_ms;
    sim_pile_tell(t, PILE_UNSETTLED, &t->p->ports[a->port], (struct str){NULL, 0}, again_ms / 1000, 0);
}

static void on_settled(struct pile_step *t, const struct sim_asked *a, struct bytes payload)
{
    struct sim_pile *p = t->p;
    if (payload.len > 0 && payload.at[0] != AP3000_DONE) { /* not taken, so it is not answered (10.4) */
        on_no_settlement(t, a);
        return;
    }
    check(p->kept_count > 0);
    sim_pile_tell(t, PILE_SETTLED, &p->ports[a->port], (struct str){NULL, 0}, 0, 0);
    p->kept_count--;
    memmove(p->kept[0], p->kept[1], p->kept_count * sizeof p->kept[0]);
    p->due_ms[DUE_SETTLE] = p->kept_count == 0 ? SIM_NEVER
                            : t->w->is_leaving ? t->now.ms
                                               : t->now.ms + sim_pile_scaled(t, KEPT_NEXT_MS, SCALED_LEAST_MS);
}

static void on_running(struct pile_step *t, const struct sim_asked *a, struct bytes payload)
{
    (void)payload;
    t->p->ports[a->port].is_confirmed = true;
    t->p->ports[a->port].beat_at_ms = SIM_NEVER;
}

static void on_no_beat(struct pile_step *t, const struct sim_asked *a)
{
    (void)a;
    if (t->p->missed < UINT8_MAX)
        t->p->missed++;
    if (t->p->missed == ALONE_MISSED)
        sim_pile_tell(t, PILE_ALONE, NULL, (struct str){NULL, 0}, ALONE_MISSED, 0);
}

static void on_no_card(struct pile_step *t, const struct sim_asked *a)
{
    sim_rider_on_card(t, &t->p->ports[a->port], a->payload[5] == UINT8_MAX, NULL);
}

static const struct {
    void (*on_answer)(struct pile_step *t, const struct sim_asked *a, struct bytes payload);
    void (*on_silence)(struct pile_step *t, const struct sim_asked *a); /* may be NULL */
} asks[ASK_COUNT] = {
    [ASK_REGISTER] = {on_registered, NULL},
    [ASK_HEARTBEAT] = {on_beat, on_no_beat},
    [ASK_TIME] = {on_time, NULL},
    [ASK_CARD] = {on_card, on_no_card},
    [ASK_SETTLE] = {on_settled, on_no_settlement},
    [ASK_RUNNING] = {on_running, NULL},
};

static bool is_answer_lost(struct pile_step *t)
{
    t->l->answers = (uint8_t)((t->l->answers + 1) % 3);
    return sim_pile_has(t, PILE_QUIRK_lost_answers) && t->l->answers == 0;
}

/* Its answer, or a command; what is neither is passed over. */
void sim_pile_on_frame(struct pile_step *t, const struct ap3000_frame *f)
{
    const struct ap3000_command *c = ap3000_command_find(f->command, AP3000_DOWN);
    if (c == NULL)
        return;
    if (c->manner != AP3000_ANSWERS) {
        t->w->totals.commands++;
        sim_pile_tell(t, PILE_COMMAND, NULL, str_of(c->name), 0, 0);
        (void)sim_command_take(t, f);
        return;
    }
    for (int i = 0; i < ASK_COUNT; i++) {
        struct sim_asked *a = &t->p->asked[i];
        if (a->tries == 0 || a->command != f->command || a->message_id != f->message_id || is_answer_lost(t))
            continue;
        a->tries = 0;
        t->w->totals.answers++;
        asks[i].on_answer(t, a, f->payload);
    }
}

void sim_pile_look_at_asked(struct pile_step *t)
{
    for (int i = 0; i < ASK_COUNT; i++) {
        struct sim_asked *a = &t->p->asked[i];
        if (a->tries == 0 || a->due_ms > t->now.ms)
            continue;
        if (a->tries < TRIES) {
            a->tries++;
            a->due_ms = t->now.ms + ANSWER_MS;
            sim_line_say(t, a->command, a->message_id, (struct bytes){a->payload, a->size});
            continue;
        }
        a->tries = 0;
        t->w->totals.errors++;
        sim_pile_tell(t, PILE_UNANSWERED, NULL, str_of(ap3000_command_find(a->command, AP3000_UP)->name), 0, 0);
        if (asks[i].on_silence != NULL)
            asks[i].on_silence(t, a);
    }
}

int64_t sim_pile_asked_due_ms(const struct sim_pile *p)
{
    int64_t due = SIM_NEVER;
    for (int i = 0; i < ASK_COUNT; i++)
        if (p->asked[i].tries > 0 && p->asked[i].due_ms < due)
            due = p->asked[i].due_ms;
    return due;
}
