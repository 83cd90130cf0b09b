/* proto/ap3000/stream.h - the bytes of a connection become units (ap3000.md 1.2, 1.3): frames, "link", the card number
 * that a module says first. Units may be stuck together, cut anywhere, and have garbage before and between them; what
 * comes out depends on the bytes alone, never on how they were cut.
 *
 *     struct bytes in = ...;                       // what one read gave
 *     while (ap3000_stream_next(&s, &in, &unit))
 *         ...                                      // unit borrows from s, or what in says, until the next call
 *     if (!ap3000_stream_is_empty(&s)) ...         // start the gap timer; when it fires:
 *     while (ap3000_stream_flush(&s, &unit))
 *     ap3000_stream_release(&s);
 *
 * Bounded: a connection keeps no more than one largest frame, and memory for that only while one is not all there.
 * Nothing here reads a clock. */
#ifndef PROTO_AP3000_STREAM_H
#define PROTO_AP3000_STREAM_H
#include "proto/ap3000/frame.h"

#define AP3000_ICCID_SIZE  20
#define AP3000_GAP_S       10   /* without a byte, while some are kept: flush */
#define AP3000_DROPPED_MAX 4096 /* in a row, without a valid frame between them: the peer is no pile */

enum ap3000_unit_kind { AP3000_FRAME, AP3000_LINK, AP3000_ICCID };

struct ap3000_unit {
    enum ap3000_unit_kind kind;
    uint64_t offset; /* of its first byte in the stream */
    size_t size;
    struct ap3000_frame frame; /* AP3000_FRAME */
    struct str iccid;          /* AP3000_ICCID: 20 characters */
};

struct ap3000_stream {
    uint64_t offset;        /* in the stream, of the first byte kept */
    uint64_t dropped_count; /* bytes of no unit, ever */
    uint32_t dropped_run;   /* since the last valid frame */
    uint16_t begin, end;    /* what is kept lies there */
    bool has_frame;         /* one was valid: a card number is not looked for any more */
    uint8_t *kept;          /* room for the largest frame, or NULL */
};

void ap3000_stream_init(struct ap3000_stream *s);
void ap3000_stream_release(struct ap3000_stream *s); /* what is kept is forgotten */
/* The next unit; bytes are taken off the front of *in as they are needed. False: all of *in is taken and no unit is
 * complete. */
bool ap3000_stream_next(struct ap3000_stream *s, struct bytes *in, struct ap3000_unit *out);
/* Nothing came for AP3000_GAP_S: gives up what is kept, byte by byte; units that were hidden behind are given. False:
 * it is empty now. */
bool ap3000_stream_flush(struct ap3000_stream *s, struct ap3000_unit *out);
static inline bool ap3000_stream_is_empty(const struct ap3000_stream *s)
{
    return s->begin == s->end;
}
/* So much garbage in a row that the connection is to be closed. */
static inline bool ap3000_stream_is_garbage(const struct ap3000_stream *s)
{
    return s->dropped_run > AP3000_DROPPED_MAX;
}
/* "89" and 18 hexadecimal digits (1.2). */
bool ap3000_iccid_is_valid(struct str s);
#endif
