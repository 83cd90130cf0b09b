/* pile_script.h - a simulated pile under the hands of a test: what it says is kept and taken apart, time passes when it
 * is told to, frames come when they are given. No socket, no clock. */
#ifndef TESTS_PILE_SCRIPT_H
#define TESTS_PILE_SCRIPT_H
#include "check.h"
#include "sim/pile_private.h"
#include <string.h>

#define SAID_MAX   4096
#define STREAM_MAX 262144
#define MINUTE_MS  60000

/* What came up since the last look: bytes as they were written, and the frames in them. */
static struct {
    uint8_t bytes[STREAM_MAX];
    size_t size, writes, largest;
    size_t links, iccids, drops, leaves, connects;
    struct ap3000_frame frames[SAID_MAX];
    uint64_t offsets[SAID_MAX];
    size_t count;
    size_t events[PILE_EVENT_COUNT];
    char text[128]; /* of the last event */
} said;
static struct ap3000_stream stream;
static struct sim_now now;
static struct pile_world world;

static inline void on_connect(struct sim_line *l)
{
    (void)l;
    said.connects++;
}
static inline void on_send(struct sim_line *l, struct bytes b)
{
    (void)l;
    check(said.size + b.len <= STREAM_MAX);
    struct bytes in = {said.bytes + said.size, b.len};
    memcpy(said.bytes + said.size, b.at, b.len);
    said.size += b.len;
    said.writes++;
    said.largest = b.len > said.largest ? b.len : said.largest;
    struct ap3000_unit u;
    while (ap3000_stream_next(&stream, &in, &u)) {
        said.links += u.kind == AP3000_LINK;
        said.iccids += u.kind == AP3000_ICCID;
        if (u.kind != AP3000_FRAME)
            continue;
        check(said.count < SAID_MAX);
        u.frame.payload.at = said.bytes + u.offset + AP3000_PAYLOAD_AT; /* the stream's own bytes are gone by then */
        said.offsets[said.count] = u.offset;
        said.frames[said.count++] = u.frame;
    }
}
static inline void on_drop(struct sim_line *l)
{
    (void)l;
    said.drops++;
}
static inline void on_leave(struct sim_line *l)
{
    (void)l;
    said.leaves++;
}
static inline void on_tell(struct sim_line *l, const struct sim_pile *p, const struct sim_event *e)
{
    (void)l;
    (void)p;
    said.events[e->kind]++;
    (void)str_copy(said.text, sizeof said.text, e->text);
}

struct setup {
    uint32_t quirks;
    bool is_driven;
    unsigned ports, slaves;
};
static inline struct sim_line *make(struct setup s)
{
    memset(&said, 0, sizeof said);
    ap3000_stream_init(&stream);
    now = (struct sim_now){1000000, {INT64_C(1772355600000000)}};
    world = (struct pile_world){.speed_milli = 1000,
                                .quirks = s.quirks,
                                .is_driven = s.is_driven,
                                .first_plug_ms = 1000,
                                .connect = on_connect,
                                .send = on_send,
                                .drop = on_drop,
                                .leave = on_leave,
                                .tell = on_tell};
    return sim_line_new(&world, &(struct sim_line_options){.ports = s.ports == 0 ? 2 : s.ports,
                                                           .slaves = s.slaves,
                                                           .first = 14000001,
                                                           .seed = 7,
                                                           .connect_at_ms = now.ms});
}

static inline void pass(struct sim_line *l, int64_t ms)
{
    int64_t until_ms = now.ms + ms;
    while (now.ms < until_ms) {
        int64_t due_ms = sim_line_due_ms(l), to_ms = due_ms < until_ms ? due_ms : until_ms;
        if (to_ms > now.ms) {
            now.wall.us += (to_ms - now.ms) * 1000;
            now.ms = to_ms;
        }
        if (due_ms > until_ms)
            break;
        sim_line_on_time(l, now);
    }
}

static inline void give(struct sim_line *l, const struct sim_pile *p, uint16_t id, uint8_t command,
                        struct bytes payload)
{
    uint8_t out[AP3000_SENT_FIRMWARE_SIZE_MAX];
    size_t size = 0;
    struct ap3000_frame f = {.physical_id = p->physical_id, .message_id = id, .command = command, .payload = payload};
    check(ap3000_frame_write(&f, out, sizeof out, &size) == OK);
    sim_line_on_bytes(l, now, (struct bytes){out, size});
}

/* The newest frame of that command that came up; NULL: none. */
static inline const struct ap3000_frame *last(uint8_t command)
{
    for (size_t i = said.count; i > 0; i--)
        if (said.frames[i - 1].command == command)
            return &said.frames[i - 1];
    return NULL;
}
static inline size_t count(uint8_t command)
{
    size_t n = 0;
    for (size_t i = 0; i < said.count; i++)
        n += said.frames[i].command == command;
    return n;
}
static inline void give_result(struct sim_line *l, const struct sim_pile *p, uint8_t command)
{
    const struct ap3000_frame *f = last(command);
    if (f != NULL)
        give(l, p, f->message_id, command, (struct bytes){(const uint8_t *)"\0", 1});
}
static inline void give_time(struct sim_line *l, const struct sim_pile *p, uint8_t command)
{
    uint8_t t[4];
    le_put(t, 4, (uint32_t)(now.wall.us / 1000000));
    if (last(command) != NULL)
        give(l, p, last(command)->message_id, command, (struct bytes){t, 4});
}

/* In, registered, its clock set, its first heartbeat answered. */
static inline struct sim_line *make_registered(struct setup s)
{
    struct sim_line *l = make(s);
    sim_line_on_time(l, now);
    sim_line_on_open(l, now);
    pass(l, 3000);
    give_result(l, &l->piles[0], 0x20);
    give_time(l, &l->piles[0], 0x22);
    give_result(l, &l->piles[0], (s.quirks >> PILE_QUIRK_legacy & 1) != 0 ? 0x01 : 0x21);
    return l;
}

static inline uint8_t read_byte(uint8_t command, size_t at)
{
    const struct ap3000_frame *f = last(command);
    return f != NULL && at < f->payload.len ? f->payload.at[at] : UINT8_MAX;
}

static const uint8_t order_a[AP3000_ORDER_SIZE] = {0xA5, 1, 2, 3}, order_b[AP3000_ORDER_SIZE] = {0xA5, 9};

static inline void give_start(struct sim_line *l, const struct ap3000_start *m)
{
    uint8_t out[64];
    size_t size = 0;
    check(ap3000_write(&ap3000_start_layout, m, out, sizeof out, &size, NULL) == OK);
    give(l, &l->piles[0], 500, 0x82, (struct bytes){out, size});
}
static inline struct ap3000_start start_of(uint8_t port, uint8_t mode, uint16_t limit)
{
    struct ap3000_start m = {.rate_mode = mode, .port = port, .charge_command = 1, .duration_or_energy = limit};
    memcpy(m.order_no, order_a, sizeof m.order_no);
    return m;
}
#endif
