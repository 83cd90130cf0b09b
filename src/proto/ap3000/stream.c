/* stream.c - the loop of ap3000.md 1.3.
 *
 * One byte at a time is dropped and the rest looked at again, so that a frame that was swallowed by a wrong length is
 * found. The worst a peer can do is a false header every 5 bytes whose length makes 517 bytes be summed each: about a
 * hundred additions a byte, until AP3000_DROPPED_MAX closes it. */
#include "proto/ap3000/stream.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t link_word[] = {'l', 'i', 'n', 'k'};
static const uint8_t iccid_head[] = {'8', '9'};

/* What the bytes that are kept begin with. */
enum found { FOUND_UNIT, FOUND_PART, FOUND_NOTHING };

void ap3000_stream_init(struct ap3000_stream *s)
{
    s->offset = s->dropped_count = 0;
    s->dropped_run = 0;
    s->begin = s->end = 0;
    s->has_frame = false;
    s->kept = NULL;
}

void ap3000_stream_release(struct ap3000_stream *s)
{
    free(s->kept);
    s->kept = NULL;
    s->begin = s->end = 0;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

/* b is word, or the beginning of it. */
static bool begins_as(struct bytes b, const uint8_t *word, size_t size)
{
    return memcmp(b.at, word, b.len < size ? b.len : size) == 0;
}

static enum found find_frame(struct bytes b, struct ap3000_unit *out)
{
    struct ap3000_frame f;
    size_t size;
    switch (ap3000_frame_read(b, &f, &size, NULL)) {
    case OK:
        *out = (struct ap3000_unit){.kind = AP3000_FRAME, .size = size, .frame = f};
        return FOUND_UNIT;
    case ERR_AGAIN:
        return FOUND_PART;
    default:
        return FOUND_NOTHING;
    }
}

static enum found find_link(struct bytes b, struct ap3000_unit *out)
{
    if (!begins_as(b, link_word, sizeof link_word))
        return FOUND_NOTHING;
    if (b.len < sizeof link_word)
        return FOUND_PART;
    *out = (struct ap3000_unit){.kind = AP3000_LINK, .size = sizeof link_word};
    return FOUND_UNIT;
}

static enum found find_iccid(struct bytes b, struct ap3000_unit *out)
{
    if (!begins_as(b, iccid_head, sizeof iccid_head))
        return FOUND_NOTHING;
    size_t len = b.len < AP3000_ICCID_SIZE ? b.len : AP3000_ICCID_SIZE;
    for (size_t i = 0; i < len; i++)
        if (!is_hex(b.at[i]))
            return FOUND_NOTHING;
    if (len < AP3000_ICCID_SIZE)
        return FOUND_PART;
    *out = (struct ap3000_unit){
        .kind = AP3000_ICCID, .size = AP3000_ICCID_SIZE, .iccid = {(const char *)b.at, AP3000_ICCID_SIZE}};
    return FOUND_UNIT;
}

/* A unit begins with its own letter, so the first byte says which to look for. */
static enum found find_unit(const struct ap3000_stream *s, struct bytes b, struct ap3000_unit *out)
{
    if (b.len == 0)
        return FOUND_PART;
    if (b.at[0] == AP3000_HEADER[0])
        return find_frame(b, out);
    if (b.at[0] == link_word[0])
        return find_link(b, out);
    if (b.at[0] == iccid_head[0] && !s->has_frame)
        return find_iccid(b, out);
    return FOUND_NOTHING;
}

static void take_front(struct bytes *b, size_t len)
{
    *b = (struct bytes){b->at + len, b->len - len};
}

static void count_dropped(struct ap3000_stream *s)
{
    s->offset++;
    s->dropped_count++;
    if (s->dropped_run <= AP3000_DROPPED_MAX)
        s->dropped_run++;
}

/* Takes a unit off the front of *b, and the bytes before it that are none. */
static bool take_unit(struct ap3000_stream *s, struct bytes *b, struct ap3000_unit *out)
{
    enum found found;
    while ((found = find_unit(s, *b, out)) == FOUND_NOTHING) {
        take_front(b, 1);
        count_dropped(s);
    }
    if (found == FOUND_PART)
        return false;
    out->offset = s->offset;
    take_front(b, out->size);
    s->offset += out->size;
    if (out->kind == AP3000_FRAME) {
        s->has_frame = true;
        s->dropped_run = 0;
    }
    return true;
}

/* The same of what is kept; its bytes stay where they are until more are put in. */
static bool take_kept(struct ap3000_stream *s, struct ap3000_unit *out)
{
    if (ap3000_stream_is_empty(s))
        return false;
    struct bytes b = {s->kept + s->begin, (size_t)(s->end - s->begin)};
    bool is_unit = take_unit(s, &b, out);
    s->begin = (uint16_t)(s->end - b.len);
    return is_unit;
}

/* A part is never as large as the largest frame, so there is room for a byte at least. */
static void keep(struct ap3000_stream *s, struct bytes *in)
{
    if (s->kept == NULL)
        s->kept = mem_new(1, AP3000_FRAME_SIZE_MAX);
    if (s->begin > 0) {
        s->end = (uint16_t)(s->end - s->begin);
        memmove(s->kept, s->kept + s->begin, s->end);
        s->begin = 0;
    }
    size_t room = (size_t)AP3000_FRAME_SIZE_MAX - s->end;
    size_t len = in->len < room ? in->len : room;
    memcpy(s->kept + s->end, in->at, len);
    s->end = (uint16_t)(s->end + len);
    take_front(in, len);
}

/* Nearly always frames are all there, and are read where they are. */
bool ap3000_stream_next(struct ap3000_stream *s, struct bytes *in, struct ap3000_unit *out)
{
    for (;;) {
        if (take_kept(s, out))
            return true;
        if (ap3000_stream_is_empty(s))
            break;
        if (in->len == 0)
            return false;
        keep(s, in);
    }
    ap3000_stream_release(s);
    if (take_unit(s, in, out))
        return true;
    if (in->len > 0)
        keep(s, in);
    return false;
}

bool ap3000_stream_flush(struct ap3000_stream *s, struct ap3000_unit *out)
{
    while (!take_kept(s, out)) {
        if (ap3000_stream_is_empty(s)) {
            ap3000_stream_release(s);
            return false;
        }
        s->begin++;
        count_dropped(s);
    }
    return true;
}

bool ap3000_iccid_is_valid(struct str s)
{
    struct ap3000_unit unit;
    return s.len == AP3000_ICCID_SIZE && find_iccid((struct bytes){(const uint8_t *)s.at, s.len}, &unit) == FOUND_UNIT;
}
