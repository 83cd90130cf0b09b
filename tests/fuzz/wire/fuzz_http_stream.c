/* The bytes of a connection, cut in any way: the first bytes say the sizes of the pieces. However they are cut, the
 * same requests with the same bodies are read, and the same is refused at the same place; no part lies outside of what
 * is there, and what was taken is never looked at again. */
/* covers: src/wire/http_stream.c */
#include "wire/http_stream.h"

#include <stdlib.h>
#include <string.h>

#define SIZES     4
#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct summary {
    uint64_t sum, body_size;
    unsigned requests, ends;
    size_t taken; /* bytes, up to what was refused */
    int64_t status;
};

static void add(struct summary *s, const void *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        s->sum = s->sum * 0x100000001B3u + ((const uint8_t *)at)[i] + 1;
}

static void add_head(struct summary *s, const struct http_stream *stream, const struct http_head *h)
{
    uint64_t announced = stream->is_chunked ? UINT64_MAX : stream->left;
    check(s->requests++ == s->ends);
    add(s, h->method.at, h->method.len);
    add(s, h->target.at, h->target.len);
    add(s, &h->header_count, sizeof h->header_count);
    add(s, &announced, sizeof announced);
}

/* All parts that are in *in, which holds what is there from byte s->taken on. */
static void take_all(struct summary *s, struct http_stream *stream, struct str *in)
{
    static struct http_head head;
    struct str piece = {NULL, 0};
    struct fault why = {"", ""};
    for (;;) {
        struct str before = *in;
        enum http_part part = http_stream_next(stream, in, &head, &piece, &why);
        check(in->at >= before.at && in->at + in->len == before.at + before.len);
        s->taken += before.len - in->len;
        if (part == HTTP_PART_NONE)
            return;
        if (part == HTTP_PART_HEAD) {
            add_head(s, stream, &head);
        } else if (part == HTTP_PART_BODY) {
            check(piece.len > 0 && piece.at >= before.at && piece.at + piece.len <= in->at);
            add(s, piece.at, piece.len);
            s->body_size += piece.len;
        } else if (part == HTTP_PART_END) {
            check(++s->ends == s->requests);
            add(s, &s->body_size, sizeof s->body_size);
        } else {
            check(stream->status >= 400 && stream->status <= 505 && why.reason[0] != '\0');
            s->status = stream->status;
            return;
        }
    }
}

static struct summary take_cut(struct bytes all, const uint8_t *sizes, size_t size_count)
{
    struct summary s = {0};
    struct http_stream stream;
    size_t there = 0;
    http_stream_init(&stream);
    for (size_t i = 0; there < all.len && s.status == 0; i++) {
        size_t size = size_count == 0 ? all.len : 1u + sizes[i % size_count];
        there = size < all.len - there ? there + size : all.len;
        check(there - s.taken <= HTTP_HEAD_MAX + size); /* what waits is never longer than a head */
        char *copy = malloc(there - s.taken);
        check(copy != NULL);
        memcpy(copy, all.at + s.taken, there - s.taken);
        struct str in = {copy, there - s.taken};
        take_all(&s, &stream, &in);
        free(copy);
    }
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t one[] = {0};
    if (size < SIZES || size > INPUT_MAX)
        return 0;
    struct bytes all = {data + SIZES, size - SIZES};
    struct summary whole = take_cut(all, NULL, 0), pieces = take_cut(all, data, SIZES);
    check(memcmp(&whole, &pieces, sizeof whole) == 0);
    if (all.len <= HTTP_HEAD_MAX) {
        struct summary bytes = take_cut(all, one, sizeof one);
        check(memcmp(&whole, &bytes, sizeof whole) == 0);
    }
    return 0;
}
