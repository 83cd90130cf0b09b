/* sim/load_piles.c - what AP3000 piles say under load: a heartbeat, then a charging heartbeat, which nobody answers,
 * and a settlement in one write. Each settlement has an order number of its own, as a pile makes it for a card. */
#include "proto/ap3000/frames.h"
#include "proto/ap3000/order.h"
#include "sim/load_private.h"
#include <string.h>

enum pile_call { PILE_CALL_REGISTER, PILE_CALL_BEAT, PILE_CALL_SETTLE };
static const uint8_t commands[] = {[PILE_CALL_REGISTER] = 0x20, [PILE_CALL_BEAT] = 0x21, [PILE_CALL_SETTLE] = 0x03};

#define CODE        0x04 /* double socket, type and firmware of products.def */
#define DEVICE_TYPE 0x27
#define FIRMWARE    315
#define PORTS       2
#define CARD_PORT   0x30 /* last byte of the order number: port 0 (11.2) */

static void init(struct load *l)
{
    (void)l;
}

static void release(struct load *l)
{
    (void)l;
}

static void init_caller(struct caller *c)
{
    uint32_t number = (uint32_t)c->load->options->first + c->index;
    c->pile.physical_id = (uint32_t)CODE << 24 | number;
}

static struct str name(const struct caller *c)
{
    (void)c;
    return (struct str){NULL, 0};
}

static void open_caller(struct caller *c)
{
    struct load *l = c->load;
    ap3000_stream_init(&c->pile.stream);
    buf_clear(&l->frame);
    buf_printf(&l->frame, "898604%014u", (unsigned)c->index + 1);
    load_send(c);
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

static void put(struct caller *c, uint8_t command, const struct ap3000_layout *layout, const void *m)
{
    struct buf *out = &c->load->frame;
    uint8_t payload[AP3000_SENT_SIZE_MAX];
    size_t payload_size = 0, size = 0;
    uint8_t *at = buf_reserve(out, AP3000_SENT_SIZE_MAX);
    check(at != NULL && ap3000_write(layout, m, payload, sizeof payload, &payload_size, NULL) == OK);
    struct ap3000_frame f = {.physical_id = c->pile.physical_id,
                             .message_id = (uint16_t)c->number,
                             .command = command,
                             .payload = {payload, payload_size}};
    check(ap3000_frame_write(&f, at, AP3000_SENT_SIZE_MAX, &size) == OK);
    out->len += size;
}

static uint8_t digits_at(const char *text)
{
    return (uint8_t)((text[0] - '0') << 4 | (text[1] - '0'));
}

/* The second in which it was made and, as the card, how many were made before: no two are alike, in no two runs. */
static void put_order_no(struct caller *c, uint8_t no[AP3000_ORDER_SIZE])
{
    static const uint8_t places[] = {0, 2, 5, 8, 11, 14, 17};
    uint32_t n = ap3000_id_number(c->pile.physical_id);
    for (size_t i = 0; i < COUNT_OF(places); i++)
        no[i] = digits_at(c->load->time_text + places[i]);
    le_put(no + 7, 4, c->pile.settlements);
    for (size_t i = 14; i > 10; i--) {
        no[i] = (uint8_t)(n / 10 % 10 << 4 | n % 10);
        n /= 100;
    }
    no[15] = CARD_PORT;
}

static void write_settlement(struct caller *c)
{
    struct ap3000_charging beat = {.port_status = AP3000_CHARGING_ON,
                                   .duration_s = 3600,
                                   .energy_10wh = 20,
                                   .start_mode = AP3000_START_CARD,
                                   .power_dw = 2100,
                                   .period_max_power_dw = 2100,
                                   .period_min_power_dw = 2000,
                                   .period_avg_power_dw = 2050,
                                   .peak_power_dw = 2100,
                                   .voltage_dv = 2210,
                                   .current_ma = 950};
    struct ap3000_settlement end = {.duration_s = 3700,
                                    .max_power_dw = 2100,
                                    .energy_10wh = 21,
                                    .start_mode = AP3000_START_CARD,
                                    .stop_reason = AP3000_STOP_FULL,
                                    .second_max_power_dw = 2100};
    put_order_no(c, end.order_no);
    c->pile.settlements++;
    memcpy(end.card_or_code, end.order_no + 7, sizeof end.card_or_code);
    memcpy(beat.order_no, end.order_no, sizeof beat.order_no);
    put(c, 0x06, &ap3000_charging_layout, &beat);
    put(c, 0x03, &ap3000_settlement_layout, &end);
}

static void write_call(struct caller *c)
{
    static const uint8_t status[PORTS] = {AP3000_PORT_CHARGING, AP3000_PORT_IDLE};
    if (c->call == PILE_CALL_REGISTER)
        put(c, 0x20, &ap3000_registration_layout,
            &(struct ap3000_registration){.firmware = FIRMWARE, .port_count = PORTS, .device_type = DEVICE_TYPE});
    else if (c->call == PILE_CALL_BEAT)
        put(c, 0x21, &ap3000_heartbeat_layout,
            &(struct ap3000_heartbeat){.voltage_dv = 2210, .port_count = PORTS, .port_status = {status, PORTS}});
    else
        write_settlement(c);
}

static int next(struct caller *c)
{
    bool is_beat = c->load->options->heartbeats || c->call != PILE_CALL_BEAT;
    return is_beat ? PILE_CALL_BEAT : PILE_CALL_SETTLE;
}

static int leave(struct caller *c)
{
    (void)c;
    return LOAD_NONE; /* each settlement ended its order */
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

/* What the server asks by itself gets none: a pile under load is busy. */
static void on_bytes(struct caller *c, struct bytes b)
{
    struct ap3000_unit u;
    while (ap3000_stream_next(&c->pile.stream, &b, &u)) {
        const struct ap3000_frame *f = &u.frame;
        if (u.kind != AP3000_FRAME || !c->is_waiting || f->command != commands[c->call] ||
            f->message_id != (uint16_t)c->number)
            continue;
        load_answered(c, f->payload.len == 0 || f->payload.at[0] != AP3000_DONE);
    }
}

const struct load_kind load_of_piles = {
    .init = init,
    .release = release,
    .init_caller = init_caller,
    .name = name,
    .open = open_caller,
    .write = write_call,
    .next = next,
    .leave = leave,
    .on_bytes = on_bytes,
};
