/* eventlog/record.c - one event as bytes. A batch is its records one after another, nothing between them.
 *
 *     at  size
 *      0     4  size of the whole record, this field included
 *      4     2  type: the number of its line in event.def
 *      6     2  size of station
 *      8     8  received, microseconds since 1970, signed
 *     16     8  device time likewise; INT64_MIN: none
 *     24     8  sequence
 *     32    16  trace
 *     48     4  size of payload
 *     52     4  size of frame
 *     56     4  size of answer
 *     60        station, payload, frame, answer: their bytes, unpadded
 *
 * Numbers are big-endian. A size of all ones says that the text is absent, which is not the same as empty. Position and id are
 * not here: a record's position is its batch's first plus its place, and the id follows from that (segment.h, log_identity).
 * The record has no checksum of its own: the batch's covers it.
 *
 * If you change this, raise SEGMENT_FORMAT in segment.h and read both. */
#include "eventlog/record.h"
#include "eventlog/put.h"

#include <string.h>

#define HEAD_SIZE      60
#define STATION_ABSENT UINT16_MAX
#define TEXT_ABSENT    UINT32_MAX

static uint32_t text_size(struct str s)
{
    return s.at == NULL ? TEXT_ABSENT : (uint32_t)s.len;
}

static uint8_t *put_text(uint8_t *p, struct str s)
{
    if (s.len == 0 || s.at == NULL)
        return p;
    memcpy(p, s.at, s.len);
    return p + s.len;
}

size_t record_size(const struct event *e)
{
    const struct str texts[] = {e->station, e->payload, e->frame, e->answer};
    size_t size = HEAD_SIZE;

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        size_t len = texts[i].at == NULL ? 0 : texts[i].len;
        if (len > RECORD_SIZE_MAX - size)
            return 0;
        size += len;
    }
    return e->station.at != NULL && e->station.len >= STATION_ABSENT ? 0 : size;
}

void record_write(const struct event *e, struct buf *out)
{
    record_put(e, record_size(e), out);
}

void record_put(const struct event *e, size_t size, struct buf *out)
{
    uint8_t *p = size == 0 ? NULL : buf_reserve(out, size);

    if (p == NULL) {
        out->failed = true;
        return;
    }
    put32(p, (uint32_t)size);
    put16(p + 4, (uint16_t)e->type);
    put16(p + 6, e->station.at == NULL ? STATION_ABSENT : (uint16_t)e->station.len);
    put64(p + 8, (uint64_t)e->received.us);
    put64(p + 16, (uint64_t)e->device_time.us);
    put64(p + 24, e->sequence);
    memcpy(p + 32, e->trace, sizeof e->trace);
    put32(p + 48, text_size(e->payload));
    put32(p + 52, text_size(e->frame));
    put32(p + 56, text_size(e->answer));
    uint8_t *text = put_text(p + HEAD_SIZE, e->station);
    text = put_text(text, e->payload);
    text = put_text(text, e->frame);
    (void)put_text(text, e->answer);
    out->len += size;
}

size_t record_skip(struct bytes in)
{
    size_t size = in.len < HEAD_SIZE ? 0 : be32(in.at);

    return size < HEAD_SIZE || size > in.len || size > RECORD_SIZE_MAX ? 0 : size;
}

/* Takes a text off the front of rest. */
static bool take_text(struct bytes *rest, uint32_t len, bool is_absent, struct str *out)
{
    if (is_absent) {
        *out = (struct str){NULL, 0};
        return true;
    }
    if (len > rest->len)
        return false;
    *out = (struct str){(const char *)rest->at, len};
    *rest = (struct bytes){rest->at + len, rest->len - len};
    return true;
}

enum err record_read(struct bytes *in, struct event *out)
{
    size_t size = record_skip(*in);
    if (size == 0)
        return ERR_CORRUPT;

    const uint8_t *p = in->at;
    struct bytes rest = {p + HEAD_SIZE, size - HEAD_SIZE};
    const uint16_t type = be16(p + 4), station = be16(p + 6);
    const uint32_t payload = be32(p + 48), frame = be32(p + 52), answer = be32(p + 56);
    /* In its place at once: a copy of what was just written in pieces waits for each of them. */
    out->position = 0;
    out->log = NULL;
    memset(&out->id, 0, sizeof out->id);
    out->type = (enum event_type)type;
    out->received.us = (int64_t)be64(p + 8);
    out->device_time.us = (int64_t)be64(p + 16);
    out->sequence = be64(p + 24);
    memcpy(out->trace, p + 32, sizeof out->trace);
    if (!take_text(&rest, station, station == STATION_ABSENT, &out->station) ||
        !take_text(&rest, payload, payload == TEXT_ABSENT, &out->payload) ||
        !take_text(&rest, frame, frame == TEXT_ABSENT, &out->frame) ||
        !take_text(&rest, answer, answer == TEXT_ABSENT, &out->answer) || rest.len != 0)
        return ERR_CORRUPT;
    if (type >= EVENT_TYPE_COUNT)
        return ERR_UNSUPPORTED;
    *in = (struct bytes){p + size, in->len - size};
    return OK;
}
