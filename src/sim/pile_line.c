/* sim/pile_line.c - a module and what it connects: the card number first, "link" when it is quiet, frames of all its
 * piles on one stream; power for all of them; bad networks. */
#include "sim/pile_private.h"
#include <stdio.h>

#define CONNECT_AGAIN_MS  1000  /* doubled at each failure ... */
#define CONNECT_DOUBLINGS 6     /* ... so often */
#define QUIET_MS          30000 /* then the module says link (1.2) */
#define CUT_MS            60000 /* QUIRK power-cuts, moves: half to one and a half of it */
#define DARK_MS           10000 /* likewise */
#define GLUE_MS           1000  /* QUIRK glue: what is said within it is one write */
#define SPLIT_MS          10    /* QUIRK split: the pause between two bytes */
#define HELD_MAX          65536 /* past it a module that is held up loses frames */
#define GARBAGE_MAX       12
#define ONE_IN_BAD        4
#define ONE_IN_GARBAGE    3
#define LEFT_ONE_IN       5 /* in the dark one rider in so many unplugs */

/* ---- Bytes out --------------------------------------------------------------------------------------------------- */

static bool has(const struct sim_line *l, enum pile_quirk q)
{
    return (l->world->quirks >> q & 1) != 0;
}

static void put(struct sim_line *l, struct sim_now now, struct bytes b)
{
    if (l->link != LINE_ONLINE)
        return; /* the pile does not know */
    l->quiet_at_ms = now.ms + QUIET_MS;
    if (!has(l, PILE_QUIRK_glue) && !has(l, PILE_QUIRK_split)) {
        l->world->send(l, b);
        return;
    }
    if (l->held.max == 0)
        buf_init(&l->held, HELD_MAX);
    if (l->held.len == 0)
        l->held_at_ms = now.ms + (has(l, PILE_QUIRK_split) ? SPLIT_MS : GLUE_MS);
    buf_put(&l->held, b.at, b.len);
    l->held.failed = false;
}

/* With both quirks the bytes are single ones. */
static void let_go(struct sim_line *l, struct sim_now now)
{
    bool is_split = has(l, PILE_QUIRK_split);
    size_t len = is_split && l->held.len > 0 ? 1 : l->held.len;
    l->held_at_ms = SIM_NEVER;
    l->world->send(l, (struct bytes){l->held.at, len});
    buf_take_front(&l->held, len);
    if (l->held.len > 0)
        l->held_at_ms = now.ms + SPLIT_MS;
}

static void put_garbage(struct pile_step *t)
{
    /* What begins like a frame is the worst of it. */
    uint8_t bytes[GARBAGE_MAX] = {'D', 'N', 'Y', 0x40, 0x00};
    size_t from = sim_pile_chance(t, 0, 1) == 0 ? 0 : AP3000_PREFIX_SIZE, len = sim_pile_chance(t, 1, GARBAGE_MAX);
    for (size_t i = from; i < len; i++)
        bytes[i] = (uint8_t)sim_pile_chance(t, 0, UINT8_MAX);
    put(t->l, t->now, (struct bytes){bytes, len});
}

/* How many bytes old firmware does not say at the end of a payload (2.7). */
static const struct {
    uint8_t command, cut;
} short_forms[] = {
    {0x01, 5},  /* no bus address, signal, type, temperature, mode */
    {0x02, 6},  /* no balance, time */
    {0x03, 8},  /* no power of the first 5 min, time, occupancy */
    {0x06, 16}, /* nothing behind the order number */
    {0x11, 62}, /* nothing behind the module type */
    {0x20, 2},  /* no power board */
    {0x21, 2},  /* no signal, temperature */
    {0x82, 19}, /* only the result */
    {0x91, 4},  {0x92, 4},
};

static struct bytes shortened(uint8_t command, struct bytes payload)
{
    for (size_t i = 0; i < COUNT_OF(short_forms); i++)
        if (short_forms[i].command == command && payload.len > short_forms[i].cut)
            payload.len -= short_forms[i].cut;
    return payload;
}

void sim_line_say(struct pile_step *t, uint8_t command, uint16_t message_id, struct bytes payload)
{
    uint8_t out[AP3000_SENT_FIRMWARE_SIZE_MAX];
    size_t size = 0;
    struct ap3000_frame f = {
        .physical_id = t->p->physical_id, .message_id = message_id, .command = command, .payload = payload};
    if (sim_pile_has(t, PILE_QUIRK_short_frames))
        f.payload = shortened(command, payload);
    check(ap3000_frame_write(&f, out, sizeof out, &size) == OK);
    if (sim_pile_has(t, PILE_QUIRK_bad_checksum) && sim_pile_chance(t, 1, ONE_IN_BAD) == 1)
        out[size - 1] ^= 0x5A;
    if (sim_pile_has(t, PILE_QUIRK_garbage) && sim_pile_chance(t, 1, ONE_IN_GARBAGE) == 1)
        put_garbage(t);
    put(t->l, t->now, (struct bytes){out, size});
    if (sim_pile_has(t, PILE_QUIRK_repeat))
        put(t->l, t->now, (struct bytes){out, size});
    t->w->totals.calls++;
}

void sim_line_iccid(const struct sim_line *l, char out[ICCID_TEXT_SIZE])
{
    (void)snprintf(out, ICCID_TEXT_SIZE, "898604%014u", (unsigned)l->index + 1);
}

/* ---- The connection ---------------------------------------------------------------------------------------------- */

static struct pile_step step_of(struct sim_line *l, struct sim_now now, size_t i)
{
    return (struct pile_step){l, &l->piles[i], l->world, now};
}

static int64_t spread(struct sim_line *l, int64_t ms)
{
    return ms / 2 + chance_below(&l->chance, (uint32_t)ms);
}

static void tell(struct sim_line *l, enum pile_event_kind kind, int64_t n)
{
    l->world->tell(l, &l->piles[0], &(struct sim_event){.kind = (int)kind, .n = n});
}

void sim_line_go_offline(struct sim_line *l)
{
    if (l->link == LINE_ONLINE)
        l->world->totals.online--;
    l->link = LINE_OFFLINE;
    l->quiet_at_ms = l->held_at_ms = l->drop_at_ms = l->cut_at_ms = l->move_at_ms = SIM_NEVER;
    buf_clear(&l->held);
}

void sim_line_on_open(struct sim_line *l, struct sim_now now)
{
    char iccid[ICCID_TEXT_SIZE];
    l->link = LINE_ONLINE;
    l->failures = 0;
    l->quiet_at_ms = now.ms + QUIET_MS;
    l->world->totals.online++;
    ap3000_stream_init(&l->stream);
    tell(l, PILE_OPENED, 0);
    if (has(l, PILE_QUIRK_power_cuts))
        l->cut_at_ms = now.ms + spread(l, CUT_MS);
    if (has(l, PILE_QUIRK_moves))
        l->move_at_ms = now.ms + spread(l, CUT_MS);
    sim_line_iccid(l, iccid);
    if (!has(l, PILE_QUIRK_no_iccid))
        put(l, now, (struct bytes){(const uint8_t *)iccid, AP3000_ICCID_SIZE});
    for (size_t i = 0; i < l->pile_count; i++) {
        struct pile_step t = step_of(l, now, i);
        if (t.p->is_fresh)
            sim_pile_boot(&t);
    }
}

void sim_line_on_close(struct sim_line *l, struct sim_now now)
{
    uint32_t doublings = l->failures < CONNECT_DOUBLINGS ? l->failures : CONNECT_DOUBLINGS;
    l->failures = (uint8_t)(doublings + 1);
    sim_line_go_offline(l);
    l->connect_at_ms = now.ms + spread(l, (int64_t)CONNECT_AGAIN_MS << doublings);
    tell(l, PILE_LOST, l->connect_at_ms - now.ms);
}

void sim_line_reconnect(struct sim_line *l, struct sim_now now, int64_t after_ms)
{
    l->drop_at_ms = now.ms + after_ms;
}

static void drop(struct sim_line *l, struct sim_now now)
{
    sim_line_go_offline(l);
    l->world->drop(l);
    l->connect_at_ms = now.ms + spread(l, CONNECT_AGAIN_MS);
    tell(l, PILE_LOST, l->connect_at_ms - now.ms);
}

static void move(struct sim_line *l, struct sim_now now)
{
    sim_line_go_offline(l);
    l->world->leave(l);
    l->connect_at_ms = now.ms;
    tell(l, PILE_MOVED, 0);
}

void sim_line_on_bytes(struct sim_line *l, struct sim_now now, struct bytes b)
{
    struct ap3000_unit unit;
    if (l->link != LINE_ONLINE)
        return;
    l->quiet_at_ms = now.ms + QUIET_MS;
    while (ap3000_stream_next(&l->stream, &b, &unit)) {
        if (unit.kind != AP3000_FRAME)
            continue;
        for (size_t i = 0; i < l->pile_count; i++) {
            struct pile_step t = step_of(l, now, i);
            if (t.p->physical_id == unit.frame.physical_id)
                sim_pile_on_frame(&t, &unit.frame);
        }
    }
}

/* ---- Power ------------------------------------------------------------------------------------------------------- */

/* The module has enough left for one frame of the alarm (5.9). */
void sim_line_cut_power(struct sim_line *l, struct sim_now now, int64_t dark_ms)
{
    struct pile_step first = step_of(l, now, 0);
    sim_pile_say_alarm(&first, AP3000_ALARM_POWER_CUT, 0);
    for (size_t i = 0; i < l->pile_count; i++) {
        struct pile_step t = step_of(l, now, i);
        for (size_t k = 0; k < t.p->port_count; k++)
            sim_port_advance(&t, &t.p->ports[k]);
    }
    tell(l, PILE_DARK, 0);
    l->is_dark = true;
    l->light_at_ms = now.ms + dark_ms;
    if (l->link != LINE_OFFLINE)
        l->world->drop(l);
    sim_line_go_offline(l);
}

static void light(struct sim_line *l, struct sim_now now)
{
    l->is_dark = false;
    l->light_at_ms = SIM_NEVER;
    l->connect_at_ms = now.ms;
    tell(l, PILE_LIT, 0);
    for (size_t i = 0; i < l->pile_count; i++) {
        struct pile_step t = step_of(l, now, i);
        sim_pile_power_up(&t);
        for (size_t k = 0; k < t.p->port_count; k++) {
            struct sim_port *port = &t.p->ports[k];
            port->advanced_ms = now.ms;
            if (sim_port_is_busy(port) && t.w->is_driven && sim_pile_chance(&t, 1, LEFT_ONE_IN) == 1)
                sim_rider_act(&t, port, RIDER_UNPLUG);
        }
    }
}

/* ---- Time -------------------------------------------------------------------------------------------------------- */

static void look_at_link(struct sim_line *l, struct sim_now now)
{
    if (l->link == LINE_OFFLINE && l->connect_at_ms <= now.ms) {
        l->link = LINE_CONNECTING;
        l->world->connect(l);
    }
    if (l->held_at_ms <= now.ms)
        let_go(l, now);
    if (l->drop_at_ms <= now.ms)
        drop(l, now);
    if (l->cut_at_ms <= now.ms)
        sim_line_cut_power(l, now, spread(l, DARK_MS));
    if (l->move_at_ms <= now.ms)
        move(l, now);
    if (l->quiet_at_ms <= now.ms)
        put(l, now, (struct bytes){(const uint8_t *)"link", 4});
}

void sim_line_on_time(struct sim_line *l, struct sim_now now)
{
    if (l->is_dark && l->light_at_ms > now.ms)
        return;
    if (l->is_dark)
        light(l, now);
    look_at_link(l, now);
    for (size_t i = 0; i < l->pile_count && !l->is_dark; i++) {
        struct pile_step t = step_of(l, now, i);
        sim_pile_on_time(&t);
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t sim_line_due_ms(const struct sim_line *l)
{
    if (l->is_dark)
        return l->light_at_ms;
    int64_t due = earlier(earlier(l->held_at_ms, l->drop_at_ms), earlier(l->cut_at_ms, l->move_at_ms));
    due = earlier(due, l->quiet_at_ms);
    if (l->link == LINE_OFFLINE)
        due = earlier(due, l->connect_at_ms);
    for (size_t i = 0; i < l->pile_count; i++)
        due = earlier(due, sim_pile_due_ms(&l->piles[i]));
    return due;
}

void sim_line_finish(struct sim_line *l, struct sim_now now)
{
    for (size_t i = 0; i < l->pile_count; i++) {
        struct pile_step t = step_of(l, now, i);
        for (size_t k = 0; k < t.p->port_count; k++) {
            t.p->ports[k].order.ignores_unplug = false;
            sim_rider_act(&t, &t.p->ports[k], RIDER_UNPLUG);
        }
        if (t.p->kept_count > 0 && t.p->asked[ASK_SETTLE].tries == 0)
            t.p->due_ms[DUE_SETTLE] = now.ms;
    }
}

bool sim_line_is_quiet(const struct sim_line *l)
{
    for (size_t i = 0; i < l->pile_count && l->link == LINE_ONLINE; i++)
        if (l->piles[i].kept_count > 0)
            return false;
    return true;
}
