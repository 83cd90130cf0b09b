/* decide.c - from a frame to its handler and back to an answer.
 *
 * Order: who is it, does it say who it is or must we, was this very frame answered a moment ago, the handler. */
#include "proto/ap3000/handlers.h"

#include <string.h>

#define SETTLEMENT_CLOCK_AT 31 /* in its payload (6.3) */

/* How a frame of a pile is taken. A test sees that every command that piles start has a row, or is INTERNAL. */
enum {
    ALWAYS = 1,      /* also of a pile that is not accepted: the handler sees to what it may not say */
    REMEMBERED = 2,  /* its answer is given again, for PILE_REPEAT_S, and nothing else follows */
    REPEATABLE = 4,  /* answered anew each time; the handler asks whether it is a repeat */
    SAYS_WHO = 8,    /* facts of the pile are in it: its handler takes them, then tells */
    SHORT = 16,      /* it is answered also when it ends too early: the handler then gets no fields */
    OF_HOST = 32,    /* only hosts say it */
    OF_CABINET = 64, /* only cabinets */
};
/* clang-format off */
static const struct {
    ap3000_handler *handle;
    unsigned how;
} routes[UINT8_MAX + 1] = {
    [0x01] = {ap3000_on_old_heartbeat,        ALWAYS | REPEATABLE | SAYS_WHO},
    [0x02] = {ap3000_on_card,                 ALWAYS | REMEMBERED},
    [0x03] = {ap3000_on_settlement,           ALWAYS | SHORT},
    [0x04] = {ap3000_on_order_running,        REMEMBERED},
    [0x05] = {ap3000_on_upgrade_request,      0},
    [0x06] = {ap3000_on_charging,             0},
    [0x07] = {ap3000_on_over_temperature,     SHORT},
    [0x11] = {ap3000_on_host_heartbeat,       ALWAYS | SAYS_WHO | OF_HOST},
    [0x12] = {ap3000_on_time,                 ALWAYS},
    [0x15] = {ap3000_on_host_upgrade_request, REMEMBERED | OF_HOST},
    [0x17] = {ap3000_on_host_status,          0},
    [0x20] = {ap3000_on_registration,         ALWAYS | REPEATABLE | SAYS_WHO | SHORT},
    [0x21] = {ap3000_on_heartbeat,            ALWAYS | REPEATABLE | SAYS_WHO | SHORT},
    [0x22] = {ap3000_on_time,                 ALWAYS},
    [0x35] = {NULL,                           OF_HOST}, /* it is all in the frame */
    [0x3B] = {ap3000_on_fsk_request,          OF_HOST},
    [0x41] = {NULL,                           OF_CABINET}, /* that it is said tells what it is */
    [0x42] = {ap3000_on_alarm,                0},
    [0x43] = {ap3000_on_finished,             0},
    [0x44] = {ap3000_on_port_push,            0},
    [0xFA] = {ap3000_on_packet_answer,        0},
};
/* clang-format on */

static const struct ap3000_result done = {.result = AP3000_DONE};

/* --- answered whoever asks: 3.3 --- */

static void answer_time(struct instant now, struct ap3000_time *out)
{
    *out = (struct ap3000_time){.timestamp = (uint32_t)(now.us / 1000000)};
}

void ap3000_on_time(struct ap3000_step *s)
{
    struct ap3000_time t;
    answer_time(s->in->now, &t);
    ap3000_step_answer(s, &ap3000_time_layout, &t);
}

bool ap3000_answer_bare(const struct ap3000_frame *f, struct instant now, uint8_t out[AP3000_SENT_SIZE_MAX],
                        size_t *len)
{
    struct ap3000_time t;
    uint8_t payload[PILE_ANSWER_MAX];
    size_t size = 0;
    bool is_time = f->command == 0x12 || f->command == 0x22;
    if (!is_time && f->command != 0x20 && f->command != 0x21)
        return false;
    answer_time(now, &t);
    enum err e = is_time ? ap3000_write(&ap3000_time_layout, &t, payload, sizeof payload, &size, NULL)
                         : ap3000_write(&ap3000_result_layout, &done, payload, sizeof payload, &size, NULL);
    struct ap3000_frame answer = *f;
    answer.payload = (struct bytes){payload, size};
    if (e == OK)
        e = ap3000_frame_write(&answer, out, AP3000_SENT_SIZE_MAX, len);
    check(e == OK);
    return true;
}

/* --- reading --- */

/* Only within a minute, so the message id counts: a pile that has nothing new to say says the same again later. */
static uint64_t repeat_key(const struct ap3000_frame *f)
{
    const uint64_t head[2] = {f->command, f->message_id};
    uint64_t key = siphash(AP3000_CONTENT_KEY, (struct bytes){(const uint8_t *)head, sizeof head});
    const uint64_t of_head[2] = {key, AP3000_CONTENT_KEY[0]};
    key = siphash(of_head, f->payload);
    return key == 0 ? 1 : key;
}

void ap3000_frame_open(const struct ap3000_input *in, const struct ap3000_frame *f, struct arena *a,
                       struct ap3000_reading *out)
{
    unsigned how = routes[f->command].how;
    *out = (struct ap3000_reading){.frame = *f, .command = ap3000_command_find(f->command, AP3000_UP)};
    if (out->command == NULL)
        return;
    void *fields = arena_take(a, out->command->layout->size);
    check(fields != NULL); /* AP3000_ARENA_MIN */
    if (ap3000_read(out->command->layout, f->payload, fields, &out->why) == OK)
        out->fields = fields;
    if (how & (REMEMBERED | REPEATABLE))
        out->repeat_key = repeat_key(f);
    bool is_repeat = (how & REMEMBERED) && pile_recent_find(in->pile, out->repeat_key, in->now) != NULL;
    if (out->fields == NULL || is_repeat)
        return;
    if (f->command == 0x02)
        out->wants_tag = ap3000_card_tag(out->fields, a);
    ap3000_order_key(f->command, out->fields, out->wants_order);
    if (f->command == 0x03 && in->pile->waiting_count > 0)
        out->wants_quarantined = ap3000_content_key(in->text); /* and its order: memory may drop that meanwhile */
    else if (out->wants_order[0] != 0 && pile_order(in->pile, str_of(out->wants_order)) != NULL)
        out->wants_order[0] = 0;
}

uint64_t ap3000_swipe_key(struct str frame_hex)
{
    uint8_t bytes[AP3000_FRAME_SIZE_MAX];
    struct ap3000_frame f;
    size_t size, len = frame_hex.len / 2;
    if (len > sizeof bytes || hex_parse(frame_hex, bytes, len) != OK ||
        ap3000_frame_read((struct bytes){bytes, len}, &f, &size, NULL) != OK)
        return 1;
    return repeat_key(&f);
}

/* Goes on from a key with the digits [from, to). */
static uint64_t key_with(uint64_t key, struct str hex, size_t from, size_t to)
{
    const uint64_t of_that[2] = {key, AP3000_CONTENT_KEY[1]};
    return siphash(of_that, (struct bytes){(const uint8_t *)hex.at + from, to - from});
}

uint64_t ap3000_content_key(struct str frame_hex)
{
    static const size_t id_at = 2 * (size_t)(AP3000_PREFIX_SIZE + 4), id_len = 4, checksum_len = 4;
    static const size_t clock_at = 2 * (size_t)(AP3000_PAYLOAD_AT + SETTLEMENT_CLOCK_AT), clock_len = 8;
    if (frame_hex.len < id_at + id_len + checksum_len)
        return 1;
    size_t end = frame_hex.len - checksum_len;
    bool has_clock = end >= clock_at + clock_len;
    uint64_t key = key_with(AP3000_CONTENT_KEY[0], frame_hex, 0, id_at);
    key = key_with(key, frame_hex, id_at + id_len, has_clock ? clock_at : end);
    if (has_clock)
        key = key_with(key, frame_hex, clock_at + clock_len, end);
    return key == 0 ? 1 : key;
}

/* --- deciding --- */

static void handle(struct ap3000_step *s)
{
    const struct ap3000_reading *r = s->reading;
    unsigned how = routes[r->frame.command].how;
    bool is_readable = r->fields != NULL || (how & SHORT) != 0;
    const struct pile_recent *recent = pile_recent_find(s->pile, r->repeat_key, s->in->now);
    s->pile->is_host = s->pile->is_host || (how & OF_HOST) != 0;
    s->pile->is_cabinet = s->pile->is_cabinet || (how & OF_CABINET) != 0;
    if (!(how & SAYS_WHO) || !is_readable)
        ap3000_step_presence(s, false);
    s->out->waits_for_disk = (how & REMEMBERED) != 0; /* a repeat too: what the first one told may be on its way yet */
    if (recent != NULL && (how & REMEMBERED)) {
        s->out->is_repeat = true;
        s->has_answer = recent->len > 0;
        s->answer_len = recent->len;
        memcpy(s->answer, recent->answer, recent->len);
        return;
    }
    s->out->is_repeat = recent != NULL;
    if (!is_readable || routes[r->frame.command].handle == NULL) {
        s->out->is_unknown = r->command == NULL || r->fields == NULL;
        return;
    }
    if ((how & ALWAYS) || ap3000_step_is_trusted(s))
        routes[r->frame.command].handle(s);
    if (recent == NULL && r->repeat_key != 0)
        pile_remember(s->pile, r->repeat_key, s->in->now, (struct bytes){s->answer, s->answer_len});
}

void ap3000_frame_decide(const struct ap3000_input *in, const struct ap3000_reading *r,
                         const struct ap3000_known *known, struct arena *a, struct buf *text,
                         struct ap3000_decision *out)
{
    struct ap3000_step s;
    ap3000_step_begin(&s, in, a, text, out);
    s.reading = r;
    if (known != NULL)
        s.known = known;
    if (s.pile->physical_id == 0)
        s.pile->physical_id = r->frame.physical_id;
    handle(&s);
    ap3000_step_finish(&s);
}
