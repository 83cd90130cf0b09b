/* Any bytes, cut in any way: the first bytes say the sizes of the pieces. However they are cut, the same units come at
 * the same places with the same contents, the same count is dropped, and every byte is of a unit or dropped. */
/* covers: src/proto/ap3000/stream.c */
#include "proto/ap3000/stream.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZES     4
#define INPUT_MAX 65536

struct summary {
    uint64_t sum, unit_size, dropped;
    bool is_garbage;
};

static void add_bytes(struct summary *s, const void *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        s->sum = s->sum * 0x100000001B3u + ((const uint8_t *)at)[i] + 1;
}

static void add_unit(struct summary *s, const struct ap3000_unit *u, struct bytes all)
{
    check(u->offset + u->size <= all.len);
    if (u->kind == AP3000_FRAME) {
        struct ap3000_frame f;
        size_t whole;
        check(ap3000_frame_read((struct bytes){all.at + u->offset, u->size}, &f, &whole, NULL) == OK &&
              whole == u->size);
        check(f.payload.len == u->frame.payload.len);
        check(f.payload.len == 0 || memcmp(f.payload.at, u->frame.payload.at, f.payload.len) == 0);
        check(f.physical_id == u->frame.physical_id && f.command == u->frame.command);
    } else if (u->kind == AP3000_ICCID) {
        check(ap3000_iccid_is_valid(u->iccid) && memcmp(u->iccid.at, all.at + u->offset, u->size) == 0);
    }
    add_bytes(s, &u->kind, sizeof u->kind);
    add_bytes(s, &u->offset, sizeof u->offset);
    add_bytes(s, &u->size, sizeof u->size);
    s->unit_size += u->size;
}

static struct summary split(struct bytes all, const uint8_t *sizes, size_t size_count)
{
    struct summary sum = {0};
    struct ap3000_stream s;
    struct ap3000_unit u;
    size_t at = 0;
    ap3000_stream_init(&s);
    for (size_t i = 0; at < all.len; i++) {
        size_t size = size_count == 0 ? all.len : 1u + sizes[i % size_count];
        struct bytes in = {all.at + at, size < all.len - at ? size : all.len - at};
        at += in.len;
        while (ap3000_stream_next(&s, &in, &u))
            add_unit(&sum, &u, all);
        check(in.len == 0);
        check((size_t)(s.end - s.begin) <= AP3000_FRAME_SIZE_MAX);
    }
    while (ap3000_stream_flush(&s, &u))
        add_unit(&sum, &u, all);
    check(ap3000_stream_is_empty(&s));
    sum.dropped = s.dropped_count;
    sum.is_garbage = ap3000_stream_is_garbage(&s);
    check(s.kept == NULL); /* nothing is kept of nothing */
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t one[] = {0};
    if (size < SIZES || size > INPUT_MAX)
        return 0;
    struct bytes all = {data + SIZES, size - SIZES};
    struct summary whole = split(all, NULL, 0), pieces = split(all, data, SIZES), bytes = split(all, one, sizeof one);
    check(whole.unit_size + whole.dropped == all.len);
    check(whole.sum == pieces.sum && whole.sum == bytes.sum);
    check(whole.dropped == pieces.dropped && whole.dropped == bytes.dropped);
    check(whole.is_garbage == pieces.is_garbage && whole.is_garbage == bytes.is_garbage);
    return 0;
}
