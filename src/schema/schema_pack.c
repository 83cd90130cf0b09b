/* schema_pack.c - the struct of a message as few bytes, led by its table, beside a text that most of its own texts are
 * parts of.
 *
 *     object    one bit a field, the first the least of its byte: is it there; then the values of those that are, in
 * order text      varint 2 * len, varint of where it begins in the beside, zigzag from where the last one ended; or
 * varint 2 * len + 1 and its bytes STR, DECIMAL, ANY, TIME    its text; a time is read again from it CHOICE    its
 * text; which word it is, is found again INTEGER, INT32    varint, zigzag BOOLEAN   one byte PART      an object LIST,
 * STRS    varint count, then objects or texts
 *
 * A varint has seven bits a byte, the least first. Who reads takes nothing on trust: the bytes may be anybody's. */
#include "schema/schema.h"

#include <string.h>

#define VARINT_MAX 10 /* bytes */

struct any_list { /* what struct X_list is for every X */
    const char *at;
    size_t count;
};

/* ---- to bytes ---- */

/* Writes at `at`, which has room up to `end`; out has it when all is packed. */
struct packer {
    struct str beside;
    uintptr_t last; /* where the last text in it ended */
    uint8_t *at, *end;
    struct packed_list *known;   /* NULL: none is */
    size_t known_at, known_size; /* in out, of what was packed of it just now */
    struct buf *out;
};

/* Room for size more bytes. False: there is no memory, and out has failed. */
static bool make_room(struct packer *p, size_t size)
{
    p->out->len = (size_t)(p->at - p->out->at);
    uint8_t *to = buf_reserve(p->out, size);

    if (to == NULL) {
        p->end = p->at;
        return false;
    }
    p->at = to;
    p->end = p->out->at + p->out->room;
    return true;
}

static inline bool has_room(struct packer *p, size_t size)
{
    return __builtin_expect((size_t)(p->end - p->at) >= size, 1) || make_room(p, size);
}

/* Into room that is there. */
static inline uint8_t *put_varint(uint8_t *to, uint64_t n)
{
    for (; __builtin_expect(n >= 0x80, 0); n >>= 7)
        *to++ = (uint8_t)(n | 0x80);
    *to++ = (uint8_t)n;
    return to;
}

static void pack_number(struct packer *p, uint64_t n)
{
    if (has_room(p, VARINT_MAX))
        p->at = put_varint(p->at, n);
}

static uint64_t zigzag(int64_t n)
{
    return (uint64_t)n << 1 ^ (n < 0 ? UINT64_MAX : 0);
}

/* One that is not in the beside. */
static void pack_own_text(struct packer *p, struct str s)
{
    if (!has_room(p, VARINT_MAX + s.len))
        return;
    p->at = put_varint(p->at, (uint64_t)s.len << 1 | 1);
    if (s.len > 0)
        memcpy(p->at, s.at, s.len);
    p->at += s.len;
}

/* A text of the beside in two numbers, nearly always of a byte or two each. */
static inline uint8_t *put_place(uint8_t *to, size_t len, uint64_t from_last)
{
    const uint64_t first = (uint64_t)len << 1;

    if (__builtin_expect(first >= 0x80 || from_last >= 0x4000, 0))
        return put_varint(put_varint(to, first), from_last);
    *to++ = (uint8_t)first;
    *to = (uint8_t)from_last;
    if (from_last < 0x80)
        return to + 1;
    *to++ = (uint8_t)(from_last | 0x80);
    *to++ = (uint8_t)(from_last >> 7);
    return to;
}

static inline bool is_beside(const struct packer *p, struct str s)
{
    const size_t from = (uintptr_t)s.at - (uintptr_t)p->beside.at; /* huge where it begins before it */

    return p->beside.at != NULL && from <= p->beside.len && s.len <= p->beside.len - from;
}

static void pack_text(struct packer *p, struct str s)
{
    if (!is_beside(p, s)) {
        pack_own_text(p, s);
    } else if (has_room(p, 2 * VARINT_MAX)) {
        p->at = put_place(p->at, s.len, zigzag((int64_t)((uintptr_t)s.at - p->last)));
        p->last = (uintptr_t)s.at + s.len;
    }
}

static void pack_object(struct packer *p, const struct message *m, const char *in);

static inline bool is_there(const struct field *f, const char *slot)
{
    if (f->kind == KIND_INTEGER || f->kind == KIND_INT32)
        return ((const struct integer *)(const void *)slot)->is_set;
    if (f->kind == KIND_BOOLEAN)
        return ((const struct boolean *)(const void *)slot)->is_set;
    const void *at; /* a pointer comes first in all others */
    memcpy(&at, slot, sizeof at);
    return at != NULL;
}

static void pack_items(struct packer *p, const struct field *f, const char *slot, struct any_list list)
{
    pack_number(p, list.count);
    for (size_t i = 0; i < list.count; i++) {
        if (f->kind == KIND_STRS)
            pack_text(p, ((const struct str_list *)(const void *)slot)->at[i]);
        else
            pack_object(p, f->part, list.at + i * f->part->size);
    }
}

static void pack_list(struct packer *p, const struct field *f, const char *slot)
{
    struct any_list list;
    struct packed_list *known = p->known;

    memcpy(&list, slot, sizeof list);
    if (known == NULL || known->of != list.at) {
        pack_items(p, f, slot, list);
    } else if (known->bytes.at == NULL) {
        const size_t from = (size_t)(p->at - p->out->at);
        pack_items(p, f, slot, list);
        if (p->out->failed)
            return;
        p->known_at = from;
        p->known_size = (size_t)(p->at - p->out->at) - from;
        known->last = (size_t)(p->last - (uintptr_t)p->beside.at);
    } else if (has_room(p, known->bytes.len)) {
        memcpy(p->at, known->bytes.at, known->bytes.len);
        p->at += known->bytes.len;
        p->last = (uintptr_t)p->beside.at + known->last;
    }
}

static void pack_value(struct packer *p, const struct field *f, const char *slot)
{
    switch (f->kind) {
    case KIND_INTEGER:
    case KIND_INT32:
        pack_number(p, zigzag(((const struct integer *)(const void *)slot)->value));
        break;
    case KIND_BOOLEAN:
        if (has_room(p, 1))
            *p->at++ = ((const struct boolean *)(const void *)slot)->value;
        break;
    case KIND_PART: {
        const char *part;
        memcpy(&part, slot, sizeof part);
        pack_object(p, f->part, part);
        break;
    }
    case KIND_LIST:
    case KIND_STRS:
        pack_list(p, f, slot);
        break;
    default: /* a text comes first in all others */
        pack_text(p, *(const struct str *)(const void *)slot);
        break;
    }
}

/* Its values, one after another; returns which are there. Texts of the beside, of which most structs consist, are put here:
 * what the packer remembers is in registers meanwhile. */
static uint64_t pack_values(struct packer *p, const struct message *m, const char *in)
{
    const uintptr_t from = (uintptr_t)p->beside.at, size = p->beside.len;
    const struct field *f = m->fields, *const behind = f + m->field_count;
    uint8_t *at = p->at, *end = p->end;
    uintptr_t last = p->last;
    uint64_t there = 0;

    for (uint64_t bit = 1; f < behind; f++, bit <<= 1) {
        const char *slot = in + f->offset;
        const struct str *text = (const struct str *)(const void *)slot;
        if (f->kind == KIND_STR) {
            if (text->at == NULL)
                continue;
            there |= bit;
            const uintptr_t begin = (uintptr_t)text->at;
            if (__builtin_expect(begin - from <= size && text->len <= size - (begin - from) &&
                                     end - at >= 2 * VARINT_MAX,
                                 1)) {
                at = put_place(at, text->len, zigzag((int64_t)(begin - last)));
                last = begin + text->len;
                continue;
            }
        } else if (!is_there(f, slot)) {
            continue;
        }
        there |= bit;
        p->at = at;
        p->last = last;
        pack_value(p, f, slot);
        at = p->at;
        end = p->end;
        last = p->last;
    }
    p->at = at;
    p->last = last;
    return there;
}

static void pack_object(struct packer *p, const struct message *m, const char *in)
{
    const size_t size = (m->field_count + 7) / 8;

    if (!has_room(p, size))
        return;
    const size_t bits_at = (size_t)(p->at - p->out->at); /* the room may move */
    p->at += size;
    const uint64_t there = pack_values(p, m, in);
    for (size_t i = 0; i < size && !p->out->failed; i++)
        p->out->at[bits_at + i] = (uint8_t)(there >> 8 * i);
}

void schema_pack(const struct message *m, const void *in, struct str beside, struct buf *out)
{
    schema_pack_with(m, in, beside, NULL, out);
}

void schema_pack_with(const struct message *m, const void *in, struct str beside, struct packed_list *list,
                      struct buf *out)
{
    struct packer p = {.beside = beside, .last = (uintptr_t)beside.at, .known = list, .out = out};

    check(m->field_count <= SCHEMA_FIELDS_MAX);
    p.at = p.end = buf_reserve(out, 1);
    if (p.at == NULL)
        return;
    p.end = out->at + out->room;
    pack_object(&p, m, in);
    if (out->failed)
        return;
    out->len = (size_t)(p.at - out->at);
    if (list != NULL && p.known_size > 0)
        list->bytes = (struct bytes){out->at + p.known_at, p.known_size};
}

/* ---- from bytes ---- */

struct unpacker {
    const uint8_t *at, *end;
    struct str beside;
    size_t last;
    struct arena *arena;
    struct stamp time; /* read last: samples that were taken together say the same one */
};

static bool take_long_varint(struct unpacker *u, uint64_t *out)
{
    uint64_t n = 0;

    for (unsigned shift = 0; u->at < u->end && shift < 7 * VARINT_MAX; shift += 7) {
        uint8_t byte = *u->at++;
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = n;
            return shift < 63 || byte <= 1;
        }
    }
    return false;
}

/* Mostly of one byte. */
static inline bool take_varint(struct unpacker *u, uint64_t *out)
{
    if (__builtin_expect(u->at == u->end || *u->at >= 0x80, 0))
        return take_long_varint(u, out);
    *out = *u->at++;
    return true;
}

static int64_t unzigzag(uint64_t n)
{
    return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

static inline enum err unpack_text(struct unpacker *u, struct str *out)
{
    uint64_t head, from;

    if (!take_varint(u, &head))
        return ERR_CORRUPT;
    const uint64_t len = head >> 1;
    if ((head & 1) != 0) {
        if (len > (size_t)(u->end - u->at))
            return ERR_CORRUPT;
        *out = (struct str){(const char *)u->at, (size_t)len};
        u->at += len;
        return OK;
    }
    if (!take_varint(u, &from))
        return ERR_CORRUPT;
    const uint64_t begin = u->last + (uint64_t)unzigzag(from);
    if (u->beside.at == NULL || begin > u->beside.len || len > u->beside.len - begin)
        return ERR_CORRUPT;
    *out = (struct str){u->beside.at + begin, (size_t)len};
    u->last = (size_t)(begin + len);
    return OK;
}

/* What nearly all texts are: short, and a little behind the last one. False: it is not, and nothing was taken. No local of it has an
 * address, so that it costs a few instructions, and there are thirty of them in a reading. */
static inline bool unpack_near(struct unpacker *u, struct str *out)
{
    const uint8_t *const p = u->at;

    if (u->end - p < 3 || (p[0] & 0x81) != 0 || (p[1] >= 0x80 && p[2] >= 0x80))
        return false;
    const bool is_one = p[1] < 0x80; /* byte of the place; else it has two */
    const uint64_t from = is_one ? p[1] : (uint64_t)(p[1] & 0x7f) | (uint64_t)p[2] << 7;
    const uint64_t len = p[0] >> 1, begin = u->last + (uint64_t)unzigzag(from);
    if (u->beside.at == NULL || begin > u->beside.len || len > u->beside.len - begin)
        return false;
    out->at = u->beside.at + begin;
    out->len = (size_t)len;
    u->last = (size_t)(begin + len);
    u->at = p + (is_one ? 2 : 3);
    return true;
}

static enum err unpack_object(struct unpacker *u, const struct message *m, char *out);

static enum err unpack_time(struct unpacker *u, struct stamp *out)
{
    struct str text;
    enum err e = unpack_near(u, &text) ? OK : unpack_text(u, &text);

    if (e != OK)
        return e;
    if (text.at != u->time.text.at || text.len != u->time.text.len) {
        u->time = (struct stamp){text, INSTANT_NONE};
        if (instant_parse(text, &u->time.at, NULL) != OK)
            u->time.at = INSTANT_NONE;
    }
    *out = u->time;
    return OK;
}

static enum err unpack_choice(struct unpacker *u, const struct field *f, struct word *out)
{
    struct str text;
    enum err e = unpack_text(u, &text);

    if (e == OK)
        *out = (struct word){text, choice_find(f->choice, text)};
    return e;
}

static enum err unpack_list(struct unpacker *u, const struct field *f, char *slot)
{
    const size_t size = f->kind == KIND_STRS ? sizeof(struct str) : f->part->size;
    struct any_list list;
    uint64_t count;
    enum err e = OK;

    /* Each item has a byte at least: so a count that lies takes no more memory than a message that does not. */
    if (!take_varint(u, &count) || count > (size_t)(u->end - u->at) || count > SIZE_MAX / size - 1)
        return ERR_CORRUPT;
    list.count = (size_t)count;
    char *items = arena_take(u->arena, (list.count + 1) * size); /* never nothing: an empty list is not an absent one */
    if (items == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; e == OK && i < list.count; i++) {
        void *item = items + i * size;
        e = f->kind == KIND_STRS ? unpack_text(u, item) : unpack_object(u, f->part, item);
    }
    list.at = items;
    memcpy(slot, &list, sizeof list);
    return e;
}

static enum err unpack_value(struct unpacker *u, const struct field *f, void *slot)
{
    uint64_t n;

    switch (f->kind) {
    case KIND_INTEGER:
    case KIND_INT32:
        if (!take_varint(u, &n))
            return ERR_CORRUPT;
        *(struct integer *)slot = integer_of(unzigzag(n));
        return OK;
    case KIND_BOOLEAN:
        if (u->at == u->end || *u->at > 1)
            return ERR_CORRUPT;
        *(struct boolean *)slot = boolean_of(*u->at++ != 0);
        return OK;
    case KIND_TIME:
        return unpack_time(u, slot);
    case KIND_CHOICE:
        return unpack_choice(u, f, slot);
    case KIND_PART: {
        char *part = arena_take(u->arena, f->part->size + 1);
        if (part == NULL)
            return ERR_MEMORY;
        memcpy(slot, &part, sizeof part);
        return unpack_object(u, f->part, part);
    }
    case KIND_LIST:
    case KIND_STRS:
        return unpack_list(u, f, slot);
    default:
        return unpack_text(u, slot);
    }
}

/* What of an object is there, a bit a field. */
static bool take_bits(struct unpacker *u, const struct message *m, uint64_t *out)
{
    const size_t size = (m->field_count + 7) / 8;
    uint64_t there = 0;

    if (size == 1 && u->at < u->end) {
        *out = *u->at++;
        return *out >> m->field_count == 0;
    }
    if ((size_t)(u->end - u->at) < size)
        return false;
    for (size_t i = 0; i < size; i++)
        there |= (uint64_t)*u->at++ << 8 * i;
    *out = there;
    return m->field_count == SCHEMA_FIELDS_MAX || there >> m->field_count == 0;
}

/* Absent is not all zero for these. */
static inline void settle_absent(const struct field *f, void *slot)
{
    if (f->kind == KIND_CHOICE)
        *(struct word *)slot = (struct word){.index = -1};
    else if (f->kind == KIND_TIME)
        *(struct stamp *)slot = (struct stamp){.at = INSTANT_NONE};
}

/* *out is all zero. */
static enum err unpack_object(struct unpacker *u, const struct message *m, char *out)
{
    uint64_t there;

    if (!take_bits(u, m, &there))
        return ERR_CORRUPT;
    const struct field *f = m->fields, *const end = f + m->field_count;
    for (; f < end; f++, there >>= 1) {
        if ((there & 1) == 0) {
            settle_absent(f, out + f->offset);
            continue;
        }
        if (f->kind == KIND_STR && unpack_near(u, (struct str *)(void *)(out + f->offset)))
            continue;
        enum err e = unpack_value(u, f, out + f->offset);
        if (e != OK)
            return e;
    }
    return OK;
}

enum err schema_unpack(const struct message *m, struct bytes packed, struct str beside, struct arena *a, void *out)
{
    struct unpacker u = {packed.at, packed.at + packed.len, beside, 0, a, {.at = INSTANT_NONE}};

    check(m->field_count <= SCHEMA_FIELDS_MAX);
    memset(out, 0, m->size);
    enum err e = unpack_object(&u, m, out);
    return e == OK && u.at != u.end ? ERR_CORRUPT : e;
}

enum err schema_unpack_brief(const struct message *m, struct bytes packed, struct str beside, struct arena *a,
                             void *out, struct list_place *list)
{
    struct unpacker u = {packed.at, packed.at + packed.len, beside, 0, a, {.at = INSTANT_NONE}};
    struct list_place found = {{NULL, 0}, 0};
    uint64_t there;

    check(m->field_count <= SCHEMA_FIELDS_MAX);
    memset(out, 0, m->size);
    if (!take_bits(&u, m, &there))
        return ERR_CORRUPT;
    for (size_t i = 0; i < m->field_count; i++, there >>= 1) {
        const struct field *f = &m->fields[i];
        struct any_list unwanted;
        const bool is_list = f->kind == KIND_LIST;
        enum err e = OK;
        if ((there & 1) == 0) {
            settle_absent(f, (char *)out + f->offset);
            continue;
        }
        if (f->kind == KIND_STR && unpack_near(&u, (struct str *)(void *)((char *)out + f->offset)))
            continue;
        if (is_list)
            found = (struct list_place){{u.at, (size_t)(u.end - u.at)}, u.last};
        if (!is_list || there >> 1 != 0) /* behind the last list nothing is wanted */
            e = unpack_value(&u, f, is_list ? (void *)&unwanted : (char *)out + f->offset);
        if (e != OK)
            return e;
        if (is_list && there >> 1 != 0)
            found.bytes.len = (size_t)(u.at - found.bytes.at);
    }
    if (list != NULL)
        *list = found;
    return OK;
}
