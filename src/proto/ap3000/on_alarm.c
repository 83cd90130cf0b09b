/* on_alarm.c - what a pile or a host reports by itself, and is not answered (but 0x15): alarms, its electrical state,
 * wishes for firmware and settings (ap3000.md 5.9, 6.5, 6.12, 6.14, 8.4, 8.5, 8.10, 9, A40). */
#include "proto/ap3000/handlers.h"

static const struct {
    const char *word;
    bool is_of_port; /* else the address of a sensor */
} alarms[] = {
    [AP3000_ALARM_POWER_CUT] = {"power_cut", false},     [AP3000_ALARM_WATER] = {"water", false},
    [AP3000_ALARM_HOT_MELT] = {"hot_melt", true},        [AP3000_ALARM_SMOKE] = {"smoke", false},
    [AP3000_ALARM_TEMPERATURE] = {"temperature", false}, [AP3000_ALARM_WATER_LEVEL] = {"water_level", false},
    [AP3000_ALARM_DOOR] = {"door_sprang_open", true},
};

void ap3000_on_alarm(struct ap3000_step *s)
{
    const struct ap3000_alarm *r = s->reading->fields;
    bool is_known = r->alarm_type < COUNT_OF(alarms) && alarms[r->alarm_type].word != NULL;
    bool is_of_port = is_known && alarms[r->alarm_type].is_of_port;
    struct buf details;
    buf_init(&details, 128);
    buf_printf(&details, "{\"code\":%u", (unsigned)r->alarm_type);
    if (!is_of_port)
        buf_printf(&details, ",\"address\":%u", (unsigned)r->port_or_address);
    if (AP3000_HAS(alarm, r, trigger_bits))
        buf_printf(&details, ",\"inputs\":%u", (unsigned)r->trigger_bits);
    buf_put_lit(&details, "}");
    ap3000_step_alarm(s, is_known ? alarms[r->alarm_type].word : "unknown",
                      is_of_port ? r->port_or_address : PILE_PORT_NONE, buf_str(&details));
    buf_release(&details);
}

void ap3000_on_port_push(struct ap3000_step *s)
{
    const struct ap3000_port_push *r = s->reading->fields;
    const struct pile_order *o =
        ap3000_order_find(s, &(struct ap3000_named){.no = r->order_no, .port = r->port, .start_mode = UINT8_MAX});
    char no[ORDER_KEY_SIZE];
    struct buf details;
    order_key_write(r->order_no, no);
    buf_init(&details, 256);
    buf_printf(&details, "{\"code\":%u,\"orderNo\":\"%s\"", (unsigned)r->push_type, no);
    if (o != NULL)
        buf_printf(&details, ",\"transactionId\":\"%u\"", (unsigned)o->id);
    buf_put_lit(&details, "}");
    ap3000_step_alarm(s, r->push_type == AP3000_PUSH_DOOR ? "door_not_closed" : "unknown", r->port, buf_str(&details));
    buf_release(&details);
}

/* 0x07 is named and not defined (A40): its bytes are all that there is to say. */
void ap3000_on_over_temperature(struct ap3000_step *s)
{
    struct bytes payload = s->reading->frame.payload;
    char *raw = arena_take(s->arena, 2 * payload.len + 1);
    check(raw != NULL); /* AP3000_ARENA_MIN */
    hex_write(payload, raw);
    ap3000_step_alarm(s, "over_temperature", PILE_PORT_NONE, arena_printf(s->arena, "{\"raw\":\"%s\"}", raw));
}

/* Told when it begins; its values each time, as those of the whole. */
void ap3000_on_host_status(struct ap3000_step *s)
{
    const struct ap3000_host_status *r = s->reading->fields;
    bool is_smoky = r->smoke_alarm != AP3000_SMOKE_NONE;
    if (is_smoky && !s->pile->is_smoky)
        ap3000_step_alarm(s, "smoke", PILE_PORT_NONE, (struct str){NULL, 0});
    s->pile->is_smoky = is_smoky;
    const struct ap3000_sample samples[] = {
        {"Energy.Active.Import.Register", "Wh", NULL, (int64_t)r->energy_10wh * 10, 0},
        {"Voltage", "V", NULL, r->voltage_dv, 1},
        {"Current.Import", "A", NULL, r->current_10ma, 2},
    };
    ap3000_step_samples(s, pile_connector_of(PILE_PORT_NONE), 0, samples, COUNT_OF(samples));
}

/* --- what it wants from us --- */

void ap3000_on_fsk_request(struct ap3000_step *s)
{
    const struct ap3000_fsk_request *r = s->reading->fields;
    ap3000_step_wish(s, &(struct ap3000_wish){.kind = AP3000_WISH_FSK, .frequency_mhz = r->frequency_mhz});
}

void ap3000_on_upgrade_request(struct ap3000_step *s)
{
    ap3000_step_wish(s, &(struct ap3000_wish){.kind = AP3000_WISH_FIRMWARE});
}

void ap3000_on_host_upgrade_request(struct ap3000_step *s)
{
    static const struct ap3000_result done = {.result = AP3000_DONE};
    ap3000_step_answer(s, &ap3000_result_layout, &done);
    ap3000_step_wish(s, &(struct ap3000_wish){.kind = AP3000_WISH_FIRMWARE});
}

/* 0xFA of packet 0 asks for the image; any other is an answer that came too late. */
void ap3000_on_packet_answer(struct ap3000_step *s)
{
    const struct ap3000_old_packet_answer *r = s->reading->fields;
    if (r->packet_index == 0)
        ap3000_step_wish(s, &(struct ap3000_wish){.kind = AP3000_WISH_FIRMWARE});
}
