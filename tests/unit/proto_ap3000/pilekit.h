/* pilekit.h - what the tests of AP3000 share: bytes from hexadecimal, a stream as text. */
#ifndef TESTS_PILEKIT_H
#define TESTS_PILEKIT_H
#include "proto/ap3000/describe.h"
#include "proto/ap3000/stream.h"

#include <stdlib.h>
#include <string.h>

#define KIT_BYTES_MAX 4096
#define KIT_TEXT_MAX  ((size_t)1 << 20)

struct kit_bytes {
    uint8_t at[KIT_BYTES_MAX];
    size_t len;
};

/* Blanks are passed over; anything else that is no digit ends it, so that a mistyped row is too short and fails. */
static inline void kit_hex(struct str hex, struct kit_bytes *out)
{
    unsigned digit = 0, count = 0;
    out->len = 0;
    for (size_t i = 0; i < hex.len && out->len < sizeof out->at; i++) {
        char c = hex.at[i];
        if (c == ' ')
            continue;
        if (c >= '0' && c <= '9')
            digit = digit << 4 | (unsigned)(c - '0');
        else if (c >= 'A' && c <= 'F')
            digit = digit << 4 | (unsigned)(c - 'A' + 10);
        else
            break;
        if (++count % 2 == 0)
            out->at[out->len++] = (uint8_t)digit;
        digit &= 15;
    }
}

static inline struct bytes kit_view(const struct kit_bytes *b)
{
    return (struct bytes){b->at, b->len};
}

static inline void kit_put_unit(const struct ap3000_unit *u, enum ap3000_direction d, struct json_writer *w)
{
    static const char *const types[] = {[AP3000_FRAME] = "frame", [AP3000_LINK] = "link", [AP3000_ICCID] = "iccid"};
    jw_open_object(w);
    jw_field_str(w, "type", str_of(types[u->kind]));
    if (u->kind == AP3000_FRAME)
        ap3000_frame_json_members(w, &u->frame, d);
    if (u->kind == AP3000_ICCID)
        jw_field_str(w, "iccid", u->iccid);
    jw_close_object(w);
}

/* All of it in pieces of these sizes (the last one again and again), then flushed:
 * {"events":[...],"discarded_bytes":n}. */
static inline void kit_split(struct bytes all, const size_t *sizes, size_t size_count, enum ap3000_direction d,
                             struct buf *out)
{
    struct ap3000_stream s;
    struct ap3000_unit unit;
    struct json_writer w;
    ap3000_stream_init(&s);
    jw_init(&w, out);
    jw_open_object(&w);
    jw_key(&w, STR("events"));
    jw_open_array(&w);
    for (size_t i = 0; all.len > 0; i++) {
        size_t size = sizes[i < size_count ? i : size_count - 1];
        struct bytes in = {all.at, size < all.len ? size : all.len};
        all = (struct bytes){all.at + in.len, all.len - in.len};
        while (ap3000_stream_next(&s, &in, &unit))
            kit_put_unit(&unit, d, &w);
    }
    while (ap3000_stream_flush(&s, &unit))
        kit_put_unit(&unit, d, &w);
    ap3000_stream_release(&s);
    jw_close_array(&w);
    jw_field_int(&w, "discarded_bytes", (int64_t)s.dropped_count);
    jw_close_object(&w);
}

/* Read by its table, written again: is it the same? True for what has no table. */
static inline bool kit_is_written_back(const struct ap3000_frame *f, enum ap3000_direction d)
{
    const struct ap3000_command *c = ap3000_command_find(f->command, d);
    uint8_t payload[AP3000_PAYLOAD_SIZE_MAX];
    size_t size = 0;
    struct fault why;
    if (c == NULL)
        return true;
    void *s = mem_new(1, c->layout->size);
    bool ok = ap3000_read(c->layout, f->payload, s, &why) == OK &&
              ap3000_write(c->layout, s, payload, sizeof payload, &size, &why) == OK && size == f->payload.len &&
              memcmp(payload, f->payload.at, size) == 0;
    free(s);
    return ok;
}
#endif
