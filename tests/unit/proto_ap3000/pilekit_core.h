/* pilekit_core.h - two piles around the real core, without gateway, log or tables, for tests of what a frame means.
 * What the tables would have made of the events is kept beside: what a look-up finds.
 *
 * A frame is written as "<command> [#<message id>] <payload>" in hexadecimal; $1, $2, .. are the order numbers that we
 * gave first, second, .. */
#ifndef TESTS_PILEKIT_CORE_H
#define TESTS_PILEKIT_CORE_H
#include "proto/ap3000/handlers.h"

#include <stdlib.h>
#include <string.h>

#define KIT_PILES     2
#define KIT_ROWS      512 /* orders that the tables have */
#define KIT_TEXT_MAX  ((size_t)4 << 20)
#define KIT_ARENA_MAX ((size_t)2 << 20)
#define KIT_NOW       ((struct instant){INT64_C(1772355600) * 1000000}) /* 2026-03-01T09:00:00Z, 17:00 in China */

static const uint64_t kit_key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
static const uint32_t kit_ids[KIT_PILES] = {0x04CEAA40, 0x0600A000};

static const struct {
    const char *key;
    struct id_tag tag;
} kit_tags[] = {
    {"7a8d05dd",
     {.is_known = true, .expires_at = {INT64_MIN}, .max_concurrent = -1, .has_balance = true, .balance_minor = 1234}},
    {"0a0b0c0d", {.is_known = true, .expires_at = {INT64_MIN}, .max_concurrent = -1}},
    {"b10cced0", {.is_known = true, .is_blocked = true, .expires_at = {INT64_MIN}, .max_concurrent = -1}},
    {"b10cced1",
     {.is_known = true,
      .is_blocked = true,
      .expires_at = {INT64_MIN},
      .max_concurrent = -1,
      .has_balance = true,
      .balance_minor = -5}},
    {"01d00000", {.is_known = true, .expires_at = {INT64_C(1772355599) * 1000000}, .max_concurrent = -1}},
    {"30000000",
     {.is_known = true, .expires_at = {INT64_C(1775000000) * 1000000}, .max_concurrent = -1, .rate_mode = 1}},
    {"0000ffff",
     {.is_known = true,
      .expires_at = {INT64_MIN},
      .max_concurrent = -1,
      .has_balance = true,
      .balance_minor = INT64_C(1) << 40}},
    {"3101010000203457", {.is_known = true, .expires_at = {INT64_MIN}, .max_concurrent = 2}},
};

struct kit {
    struct station stations[KIT_PILES];
    struct ap3000_pile *piles[KIT_PILES];
    bool is_new_line[KIT_PILES];
    uint16_t message_id; /* of the last frame: one that says none has the next */
    struct ap3000_policy policy;
    struct tag_book *tags;
    uint64_t next_number;
    struct instant now;
    struct str iccid, host;
    bool is_lagging; /* the tables do not hear yet what became of open orders */
    struct {
        size_t pile;
        struct pile_order order;
    } rows[KIT_ROWS];
    size_t row_count;
    struct {
        size_t pile;
        uint64_t content;
        char id[UUID_TEXT_SIZE];
    } quarantined[KIT_ROWS]; /* what waits there */
    size_t quarantined_count;
    struct arena arena;
    struct buf text, frame_text; /* the frame as it is kept */
    uint8_t bytes[AP3000_FRAME_SIZE_MAX];
    struct ap3000_frame frame;
    struct ap3000_reading reading;
    struct ap3000_decision decision;
};

static inline struct kit *kit_new(void)
{
    static const char *const names[KIT_PILES] = {"AP13544000", "AP40960"};
    struct kit *k = mem_new(1, sizeof *k);
    for (size_t i = 0; i < KIT_PILES; i++) {
        station_init(&k->stations[i], str_of(names[i]));
        k->stations[i].registration = REGISTRATION_ACCEPTED;
        k->piles[i] = pile_new();
        k->piles[i]->physical_id = kit_ids[i];
    }
    k->policy = (struct ap3000_policy){.unknown_pile = REGISTRATION_ACCEPTED};
    k->tags = tag_book_new(kit_key);
    k->next_number = 1;
    k->now = KIT_NOW;
    arena_init(&k->arena, AP3000_ARENA_MIN);
    buf_init(&k->text, AP3000_TEXT_MIN);
    buf_init(&k->frame_text, KIT_TEXT_MAX);
    return k;
}

static inline void kit_free(struct kit *k)
{
    for (size_t i = 0; i < KIT_PILES; i++) {
        station_release(&k->stations[i]);
        pile_free(k->piles[i]);
    }
    tag_book_free(k->tags);
    arena_release(&k->arena);
    buf_release(&k->text);
    buf_release(&k->frame_text);
    free(k);
}

static inline struct ap3000_input kit_input(struct kit *k, size_t pile)
{
    return (struct ap3000_input){.policy = &k->policy,
                                 .now = k->now,
                                 .station = &k->stations[pile],
                                 .pile = k->piles[pile],
                                 .tags = k->tags,
                                 .next_number = &k->next_number,
                                 .id_key = kit_key,
                                 .random = {1, 2, 3, 4},
                                 .remote_address = STR("192.0.2.1:9"),
                                 .iccid = k->iccid,
                                 .host = k->host,
                                 .text = k->frame_text.len == 0 ? (struct str){NULL, 0} : buf_str(&k->frame_text),
                                 .is_new_line = k->is_new_line[pile]};
}

/* What the consumer of "order.changed" would do. */
static inline void kit_keep_rows(struct kit *k, size_t pile)
{
    const struct ap3000_pile *p = k->piles[pile];
    for (size_t i = 0; i < p->order_count; i++) {
        size_t r = 0;
        while (r < k->row_count && (k->rows[r].pile != pile || k->rows[r].order.number != p->orders[i].number))
            r++;
        bool is_behind = r < k->row_count && k->is_lagging && order_state_is_open(k->rows[r].order.state);
        if (r == KIT_ROWS || is_behind)
            continue;
        k->rows[r].pile = pile;
        k->rows[r].order = p->orders[i];
        k->row_count += r == k->row_count;
    }
}

/* What the consumer of what goes into quarantine and out of it would do. */
static inline void kit_keep_quarantined(struct kit *k, size_t pile)
{
    static const char name[] = "\"quarantineId\":\"";
    for (size_t i = 0; i < k->decision.event_count; i++) {
        const struct event *e = &k->decision.events[i];
        bool is_in = e->type == EVENT_QUARANTINED;
        if (!is_in && e->type != EVENT_QUARANTINE_RESOLVED)
            continue;
        char id[UUID_TEXT_SIZE];
        const char *at = memmem(e->payload.at, e->payload.len, name, strlen(name));
        check(at != NULL);
        (void)str_copy(id, sizeof id, (struct str){at + strlen(name), sizeof id - 1});
        for (size_t q = 0; !is_in && q < k->quarantined_count; q++)
            if (strcmp(k->quarantined[q].id, id) == 0)
                k->quarantined[q] = k->quarantined[--k->quarantined_count];
        if (!is_in || k->quarantined_count == KIT_ROWS)
            continue;
        k->quarantined[k->quarantined_count].pile = pile;
        k->quarantined[k->quarantined_count].content = ap3000_content_key(buf_str(&k->frame_text));
        memcpy(k->quarantined[k->quarantined_count++].id, id, sizeof id);
    }
}

static inline struct ap3000_known kit_look_up(const struct kit *k, size_t pile, const struct ap3000_reading *r)
{
    struct ap3000_known known = {0};
    char key[TAG_SIZE_MAX] = "";
    if (r->wants_tag.at != NULL)
        (void)tag_key(r->wants_tag, key);
    for (size_t i = 0; i < COUNT_OF(kit_tags); i++)
        if (strcmp(kit_tags[i].key, key) == 0)
            known.tag = kit_tags[i].tag;
    for (size_t i = 0; i < k->row_count && r->wants_order[0] != 0; i++)
        if (k->rows[i].pile == pile && strcmp(k->rows[i].order.key, r->wants_order) == 0) {
            known.has_order = true;
            known.order = k->rows[i].order;
        }
    for (size_t i = 0; i < k->quarantined_count && r->wants_quarantined != 0; i++)
        if (k->quarantined[i].pile == pile && k->quarantined[i].content == r->wants_quarantined)
            memcpy(known.quarantine_id, k->quarantined[i].id, sizeof known.quarantine_id);
    return known;
}

/* The decision's text is good until the next call. */
static inline void kit_begin(struct kit *k)
{
    buf_clear(&k->text);
    buf_clear(&k->frame_text);
    arena_reset(&k->arena);
    k->decision = (struct ap3000_decision){0};
}

static inline void kit_put_hex(struct buf *out, struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        buf_printf(out, "%02X", (unsigned)b.at[i]);
}

/* What a frame is kept as. Longer ones than we would send come in too, so it is put together here. */
static inline void kit_put_frame(const struct ap3000_frame *f, struct buf *out)
{
    uint8_t bytes[AP3000_FRAME_SIZE_MAX] = "DNY";
    size_t size = AP3000_PAYLOAD_AT + f->payload.len;
    le_put(bytes + 3, 2, (uint32_t)(f->payload.len + AP3000_LENGTH_MIN));
    le_put(bytes + 5, 4, f->physical_id);
    le_put(bytes + 9, 2, f->message_id);
    bytes[11] = f->command;
    if (f->payload.len > 0)
        memcpy(bytes + AP3000_PAYLOAD_AT, f->payload.at, f->payload.len);
    le_put(bytes + size, 2, ap3000_checksum((struct bytes){bytes, size}));
    kit_put_hex(out, (struct bytes){bytes, size + 2});
}

/* The payload must live as long as the decision is looked at. */
static inline void kit_frame(struct kit *k, size_t pile, const struct ap3000_frame *f)
{
    kit_begin(k);
    k->frame = *f;
    k->frame.physical_id = k->piles[pile]->physical_id;
    kit_put_frame(&k->frame, &k->frame_text);
    struct ap3000_input in = kit_input(k, pile);
    ap3000_frame_open(&in, &k->frame, &k->arena, &k->reading);
    struct ap3000_known known = kit_look_up(k, pile, &k->reading);
    ap3000_frame_decide(&in, &k->reading, &known, &k->arena, &k->text, &k->decision);
    k->is_new_line[pile] = false;
    kit_keep_rows(k, pile);
    kit_keep_quarantined(k, pile);
}

static inline void kit_order_no(uint32_t physical_id, uint64_t number, char out[ORDER_KEY_SIZE])
{
    uint8_t no[AP3000_ORDER_SIZE];
    order_no_make(kit_key, physical_id, number, no);
    order_key_write(no, out);
}

/* "<command> [#id] <payload>" -> frame; false: mistyped. The payload lies in k->bytes. */
static inline bool kit_read_frame(struct kit *k, uint32_t physical_id, struct str text, struct ap3000_frame *out)
{
    char hex[2 * sizeof k->bytes + ORDER_KEY_SIZE];
    size_t len = 0;
    uint32_t id = k->message_id + 1u;
    for (size_t i = 0; i < text.len && len < 2 * sizeof k->bytes; i++) {
        char c = text.at[i];
        if (c == '#') {
            for (id = 0; i + 1 < text.len && text.at[i + 1] >= '0' && text.at[i + 1] <= '9'; i++)
                id = id * 10 + (uint32_t)(text.at[i + 1] - '0');
        } else if (c == '$' && i + 1 < text.len) {
            kit_order_no(physical_id, (uint64_t)(text.at[++i] - '0'), hex + len);
            len += 2 * (size_t)AP3000_ORDER_SIZE;
        } else if (c != ' ') {
            hex[len++] = c;
        }
    }
    k->message_id = (uint16_t)id;
    if (len < 2 || len % 2 != 0 || hex_parse((struct str){hex, len}, k->bytes, len / 2) != OK)
        return false;
    *out = (struct ap3000_frame){.physical_id = physical_id,
                                 .message_id = k->message_id,
                                 .command = k->bytes[0],
                                 .payload = {k->bytes + 1, len / 2 - 1}};
    return true;
}

/* --- what a server does: by the means of actions.c --- */

static inline void kit_step(struct kit *k, size_t pile, struct ap3000_input *in, struct ap3000_step *s)
{
    kit_begin(k);
    *in = kit_input(k, pile);
    ap3000_step_begin(s, in, &k->arena, &k->text, &k->decision);
}

static inline bool kit_place(struct kit *k, size_t pile, uint8_t port, struct str id_tag)
{
    struct ap3000_input in;
    struct ap3000_step s;
    kit_step(k, pile, &in, &s);
    bool is_placed = ap3000_step_place(&s, port, id_tag, STR("c1")) != NULL;
    ap3000_step_finish(&s);
    kit_keep_rows(k, pile);
    return is_placed;
}

static inline enum err kit_order(struct kit *k, size_t pile, uint64_t number, enum order_input input)
{
    struct ap3000_input in;
    struct ap3000_step s;
    struct pile_order *o = pile_order_of(k->piles[pile], permute31(kit_key, (uint32_t)number));
    kit_step(k, pile, &in, &s);
    enum err e = o == NULL ? ERR_UNKNOWN : ap3000_step_order(&s, o, input, NULL);
    ap3000_step_finish(&s);
    kit_keep_rows(k, pile);
    return e;
}
#endif
