/* frames.c - the tables of AP3000, and the one reader and writer that go by them. */
#include "proto/ap3000/frames.h"

#include <string.h>

/* --- codes --- */

enum { CODES, BITS };

/* clang-format off */
#define LIST(name, title, section, kind) static const struct ap3000_value name##_values[] = {
#define VALUE(constant, code, text)      {code, text},
#define END(name)                        };
#include "proto/ap3000/enumerations.def"

#define LIST(name, title, section, kind)                                                                               \
    const struct ap3000_list ap3000_##name##_list = {#name, title, section, (kind) == BITS, name##_values,             \
                                                     COUNT_OF(name##_values)};
#define VALUE(constant, code, text)
#define END(name)
#include "proto/ap3000/enumerations.def"
/* clang-format on */

const struct ap3000_list *const ap3000_lists[] = {
#define LIST(name, title, section, kind) &ap3000_##name##_list,
#define VALUE(constant, code, text)
#define END(name)
#include "proto/ap3000/enumerations.def"
};
const size_t ap3000_list_count = COUNT_OF(ap3000_lists);

const char *ap3000_value_text(const struct ap3000_list *l, uint8_t code)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->values[i].code == code)
            return l->values[i].text;
    return NULL;
}

/* --- units, layouts, commands --- */

const struct ap3000_unit_line ap3000_units[AP3000_UNIT_COUNT] = {
#define UNIT(name, digits, suffix, text) [AP3000_IS_##name] = {suffix, digits, text},
#define SPECIAL(name, text)              [AP3000_IS_##name] = {NULL, 0, text},
#include "proto/ap3000/units.def"
};

#define AP3000_TABLES
#include "proto/ap3000/rows.h"
#include "proto/ap3000/frames.def"

static const struct ap3000_command commands[AP3000_DIRECTION_COUNT][UINT8_MAX + 1] = {
#define AP3000_COMMANDS
#include "proto/ap3000/rows.h"
#include "proto/ap3000/frames.def"
};

const struct ap3000_command *ap3000_command_find(uint8_t command, enum ap3000_direction d)
{
    const struct ap3000_command *c = &commands[d][command];
    return c->layout == NULL ? NULL : c;
}

/* --- reading --- */

struct str ap3000_text(struct bytes b)
{
    while (b.len > 0 && b.at[b.len - 1] == 0)
        b.len--;
    return (struct str){(const char *)b.at, b.len};
}

enum err ap3000_slice(const struct ap3000_layout *l, struct bytes payload, struct ap3000_slices *out, struct fault *why)
{
    struct ap3000_slices s = {.extra = payload};
    for (; s.count < l->count; s.count++) {
        const struct ap3000_field *f = &l->fields[s.count];
        size_t size = f->kind == AP3000_REST ? s.extra.len : f->size;
        if (f->count_index >= 0) {
            const uint8_t *count = s.at[f->count_index].at;
            check(count != NULL); /* it stands before what it counts: a test looks at every line */
            size *= *count;
        }
        if (size > s.extra.len) {
            if (f->presence == AP3000_OPTIONAL)
                break;
            fault_set(why, str_of(f->key), "the payload has %zu bytes and ends before the end of this field",
                      payload.len);
            return ERR_MISSING;
        }
        s.at[s.count] = (struct bytes){s.extra.at, size};
        s.extra = (struct bytes){s.extra.at + size, s.extra.len - size};
    }
    *out = s;
    return OK;
}

static void put_number(const struct ap3000_field *f, struct bytes b, uint8_t *to)
{
    uint32_t n = le_get(b.at, b.len);
    uint16_t two = (uint16_t)n;
    if (f->size == 1)
        *to = (uint8_t)n;
    else if (f->size == 2)
        memcpy(to, &two, sizeof two);
    else
        memcpy(to, &n, sizeof n);
}

static void put_text(struct bytes b, uint8_t *to)
{
    struct str text = ap3000_text(b);
    memcpy(to, &text, sizeof text);
}

enum err ap3000_read(const struct ap3000_layout *l, struct bytes payload, void *out, struct fault *why)
{
    struct ap3000_slices s;
    enum err e = ap3000_slice(l, payload, &s, why);
    if (e != OK)
        return e;
    memset(out, 0, l->size);
    *(struct ap3000_tail *)out = (struct ap3000_tail){(uint8_t)(l->count - s.count), s.extra};
    for (size_t i = 0; i < s.count; i++) {
        const struct ap3000_field *f = &l->fields[i];
        uint8_t *to = (uint8_t *)out + f->offset;
        if (f->kind == AP3000_NUMBER)
            put_number(f, s.at[i], to);
        else if (f->kind == AP3000_OCTETS)
            memcpy(to, s.at[i].at, s.at[i].len);
        else if (f->kind == AP3000_TEXT)
            put_text(s.at[i], to);
        else
            memcpy(to, &s.at[i], sizeof(struct bytes));
    }
    return OK;
}

/* --- writing --- */

/* The bytes of a field as they are on the wire, but for the zeros that fill up a text. number: room for those that have
 * none. */
static struct bytes field_bytes(const struct ap3000_field *f, const uint8_t *from, uint8_t number[4])
{
    uint16_t two = 0;
    uint32_t four = 0;
    struct bytes b;
    switch (f->kind) {
    case AP3000_NUMBER:
        if (f->size == 2)
            memcpy(&two, from, sizeof two);
        if (f->size == 4)
            memcpy(&four, from, sizeof four);
        le_put(number, f->size, f->size == 1 ? *from : f->size == 2 ? two : four);
        return (struct bytes){number, f->size};
    case AP3000_OCTETS:
        return (struct bytes){from, f->size};
    default: /* struct str and struct bytes are laid out alike */
        memcpy(&b, from, sizeof b);
        return b;
    }
}

/* Of a field with these bytes, when the one that counts it says count. */
static bool is_size_right(const struct ap3000_field *f, size_t size, size_t count)
{
    if (f->kind == AP3000_TEXT)
        return size <= f->size;
    if (f->kind == AP3000_REST)
        return true;
    return size == (f->count_index >= 0 ? f->size * count : f->size);
}

enum err ap3000_write(const struct ap3000_layout *l, const void *in, uint8_t *to, size_t room, size_t *size,
                      struct fault *why)
{
    const struct ap3000_tail *tail = in;
    size_t at = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct ap3000_field *f = &l->fields[i];
        uint8_t number[4];
        if (i + tail->absent >= l->count) {
            if (f->presence == AP3000_OPTIONAL)
                break;
            fault_set(why, str_of(f->key), "must not be absent");
            return ERR_MISSING;
        }
        struct bytes b = field_bytes(f, (const uint8_t *)in + f->offset, number);
        size_t count = f->count_index < 0 ? 0 : ((const uint8_t *)in)[l->fields[f->count_index].offset];
        if (!is_size_right(f, b.len, count)) {
            fault_set(why, str_of(f->key), "has %zu bytes", b.len);
            return ERR_RANGE;
        }
        size_t whole = f->kind == AP3000_TEXT ? f->size : b.len;
        if (whole > room - at)
            return ERR_FULL;
        if (b.len > 0)
            memcpy(to + at, b.at, b.len);
        memset(to + at + b.len, 0, whole - b.len);
        at += whole;
    }
    if (tail->extra.len > room - at)
        return ERR_FULL;
    if (tail->extra.len > 0)
        memcpy(to + at, tail->extra.at, tail->extra.len);
    *size = at + tail->extra.len;
    return OK;
}
