/* fields.c - JSON to the struct of a payload. */
#include "proto/ap3000/fields.h"

#include "base/id.h"

#include <string.h>

#define ITEMS_MAX 255 /* a byte counts them */

/* --- members --- */

enum err ap3000_members_read(struct str json, struct arena *a, struct ap3000_members *out, struct fault *why)
{
    struct json j;
    struct json_string key;
    enum err e = json_check(json, why);
    if (e != OK)
        return e;
    *out = (struct ap3000_members){0};
    json_init(&j, json);
    if (!json_open_object(&j)) {
        fault_set(why, STR(""), "not an object");
        return ERR_FORMAT;
    }
    while (json_next_key(&j, &key)) {
        struct str copy = arena_copy(a, key.raw); /* with escapes it is gone at the next key */
        if (copy.at == NULL) {
            fault_set(why, STR(""), "no memory left for the object");
            return ERR_MEMORY;
        }
        if (out->count == AP3000_MEMBERS_MAX) {
            fault_set(why, copy, "more than %d members", AP3000_MEMBERS_MAX);
            return ERR_LIMIT;
        }
        out->at[out->count].key = copy;
        (void)json_get_raw(&j, &out->at[out->count++].value); /* it was checked */
    }
    return json_end(&j);
}

struct str ap3000_member_take(struct ap3000_members *m, const char *key)
{
    for (size_t i = 0; i < m->count; i++) {
        if (str_eq(m->at[i].key, str_of(key))) {
            m->at[i].is_taken = true;
            return m->at[i].value;
        }
    }
    return (struct str){NULL, 0};
}

enum err ap3000_members_end(const struct ap3000_members *m, struct fault *why)
{
    for (size_t i = 0; i < m->count; i++) {
        if (!m->at[i].is_taken) {
            fault_set(why, m->at[i].key, "not known");
            return ERR_UNKNOWN;
        }
    }
    return OK;
}

/* --- one value --- */

struct taking {
    const struct ap3000_layout *layout;
    const struct ap3000_fields_base *base; /* NULL: none */
    struct arena *a;
    struct fault *why;
    uint8_t *out; /* the struct in the making */
    bool is_given[AP3000_FIELDS_MAX];
};

static enum err refuse(const struct taking *t, const struct ap3000_field *f, enum err e, const char *reason)
{
    fault_set(t->why, str_of(f->key), "%s", reason);
    return e;
}

static enum err take_string(const struct taking *t, const struct ap3000_field *f, struct json *j, struct str *out)
{
    struct json_string s;
    if (json_peek(j) != JSON_STRING || !json_get_string(j, &s))
        return refuse(t, f, ERR_TYPE, "not a text");
    return json_string_text(s, t->a, out) == OK ? OK : refuse(t, f, ERR_MEMORY, "no memory left for the text");
}

static enum err take_number(const struct taking *t, const struct ap3000_field *f, struct json *j, uint32_t *out)
{
    struct str text;
    int64_t n, most = f->size == 1 ? UINT8_MAX : f->size == 2 ? UINT16_MAX : UINT32_MAX;
    if (f->unit == AP3000_IS_ID) {
        enum err e = take_string(t, f, j, &text);
        if (e != OK)
            return e;
        return ap3000_id_parse(text, out) == OK ? OK : refuse(t, f, ERR_RANGE, "not 8 hexadecimal digits");
    }
    if (json_peek(j) != JSON_NUMBER || !json_get_number(j, &text))
        return refuse(t, f, ERR_TYPE, "not a number");
    enum err e = json_number_int(text, &n);
    if (e == ERR_TYPE)
        return refuse(t, f, ERR_TYPE, "not an integer");
    if (e != OK || n < 0 || n > most) {
        fault_set(t->why, str_of(f->key), "not within 0 and %lld", (long long)most);
        return ERR_RANGE;
    }
    if (f->list != NULL && !f->list->is_bits && ap3000_value_text(f->list, (uint8_t)n) == NULL) {
        fault_set(t->why, str_of(f->key), "not a code of %s", f->list->name);
        return ERR_RANGE;
    }
    *out = (uint32_t)n;
    return OK;
}

static void put_number(const struct ap3000_field *f, uint8_t *to, uint32_t n)
{
    uint16_t two = (uint16_t)n;
    if (f->size == 1)
        *to = (uint8_t)n;
    else if (f->size == 2)
        memcpy(to, &two, sizeof two);
    else
        memcpy(to, &n, sizeof n);
}

/* Hexadecimal; how many bytes it may be is for the caller. */
static enum err take_hex(const struct taking *t, const struct ap3000_field *f, struct json *j, struct bytes *out)
{
    struct str text;
    enum err e = take_string(t, f, j, &text);
    if (e != OK)
        return e;
    uint8_t *at = arena_take(t->a, text.len / 2 + 1);
    if (at == NULL)
        return refuse(t, f, ERR_MEMORY, "no memory left for the bytes");
    if (hex_parse(text, at, text.len / 2) != OK)
        return refuse(t, f, ERR_RANGE, "not hexadecimal digits, two a byte");
    *out = (struct bytes){at, text.len / 2};
    return OK;
}

static enum err take_list(const struct taking *t, const struct ap3000_field *f, struct json *j, struct bytes *out)
{
    uint8_t *at = arena_take(t->a, (size_t)ITEMS_MAX * f->size);
    size_t count = 0;
    if (at == NULL)
        return refuse(t, f, ERR_MEMORY, "no memory left for the list");
    if (json_peek(j) != JSON_ARRAY || !json_open_array(j))
        return refuse(t, f, ERR_TYPE, "not a list");
    while (json_next_item(j)) {
        uint32_t n;
        if (count == ITEMS_MAX)
            return refuse(t, f, ERR_RANGE, "too many items");
        enum err e = take_number(t, f, j, &n);
        if (e != OK)
            return e;
        le_put(at + count++ * f->size, f->size, n);
    }
    *out = (struct bytes){at, count * f->size};
    return OK;
}

/* A 0 in it would end it on the device; other control characters are for no screen. */
static enum err take_text(const struct taking *t, const struct ap3000_field *f, struct json *j, struct str *out)
{
    enum err e = take_string(t, f, j, out);
    if (e != OK)
        return e;
    for (size_t i = 0; i < out->len; i++)
        if ((uint8_t)out->at[i] < ' ' || out->at[i] == 0x7F)
            return refuse(t, f, ERR_RANGE, "a character that cannot be shown");
    if (out->len > f->longest) {
        fault_set(t->why, str_of(f->key), "longer than %u bytes", f->longest);
        return ERR_RANGE;
    }
    return OK;
}

/* --- one field --- */

static enum err set_counted(struct taking *t, const struct ap3000_field *f, size_t count)
{
    const struct ap3000_field *by = &t->layout->fields[f->count_index];
    uint8_t *to = t->out + by->offset;
    if (count > ITEMS_MAX)
        return refuse(t, f, ERR_RANGE, "too long");
    if (t->is_given[f->count_index] && *to != count) {
        fault_set(t->why, str_of(f->key), "has %zu items, and %s says %u", count, by->key, *to);
        return ERR_RANGE;
    }
    *to = (uint8_t)count;
    return OK;
}

static enum err take_bytes(struct taking *t, const struct ap3000_field *f, struct json *j)
{
    struct bytes b;
    enum err e = f->kind == AP3000_NUMBERS ? take_list(t, f, j, &b) : take_hex(t, f, j, &b);
    if (e == OK && f->count_index >= 0)
        e = set_counted(t, f, b.len / f->size);
    if (e != OK)
        return e;
    if ((f->kind == AP3000_OCTETS || f->kind == AP3000_CHUNK) && b.len != f->size) {
        fault_set(t->why, str_of(f->key), "not %u bytes", f->size);
        return ERR_RANGE;
    }
    if (b.len > AP3000_PAYLOAD_SIZE_MAX)
        return refuse(t, f, ERR_RANGE, "too long");
    if (f->kind == AP3000_OCTETS)
        memcpy(t->out + f->offset, b.at, b.len);
    else
        memcpy(t->out + f->offset, &b, sizeof b);
    return OK;
}

static enum err take_field(struct taking *t, const struct ap3000_field *f, struct str value)
{
    struct json j;
    struct str text;
    uint32_t n;
    json_init(&j, value);
    check(f->kind != AP3000_PARTS); /* none goes to a device: a test looks at every line */
    if (f->kind == AP3000_NUMBER) {
        enum err e = take_number(t, f, &j, &n);
        if (e == OK)
            put_number(f, t->out + f->offset, n);
        return e;
    }
    if (f->kind == AP3000_TEXT) {
        enum err e = take_text(t, f, &j, &text);
        if (e == OK)
            memcpy(t->out + f->offset, &text, sizeof text);
        return e;
    }
    return take_bytes(t, f, &j);
}

/* --- all of them --- */

static bool is_ours(const struct taking *t, const struct ap3000_field *f)
{
    for (const char *const *key = t->base == NULL ? NULL : t->base->ours; key != NULL && *key != NULL; key++)
        if (strcmp(*key, f->key) == 0)
            return true;
    return false;
}

static bool is_count(const struct ap3000_layout *l, size_t i)
{
    for (size_t k = i + 1; k < l->count; k++)
        if (l->fields[k].count_index == (int8_t)i)
            return true;
    return false;
}

/* What was not given, and cannot be done without. */
static enum err find_missing(const struct taking *t, size_t last_given)
{
    for (size_t i = 0; i < t->layout->count; i++) {
        const struct ap3000_field *f = &t->layout->fields[i];
        bool is_had = t->base != NULL && (t->base->has_all || f->presence == AP3000_OPTIONAL || is_ours(t, f));
        bool is_implied = is_count(t->layout, i) || strcmp(f->key, "reserved") == 0; /* zeros */
        if (t->is_given[i] || is_had || is_implied)
            continue;
        if (f->presence == AP3000_REQUIRED)
            return refuse(t, f, ERR_MISSING, "required, but missing");
        if (i < last_given)
            return refuse(t, f, ERR_MISSING, "missing, and one behind it is given");
    }
    return OK;
}

enum err ap3000_fields_take(const struct ap3000_layout *l, struct ap3000_members *m,
                            const struct ap3000_fields_base *base, struct arena *a, void *out, struct fault *why)
{
    struct taking t = {.layout = l, .base = base, .a = a, .why = why, .out = arena_take(a, l->size)};
    size_t end = 0; /* behind the last that is given */
    if (t.out == NULL) {
        fault_set(why, STR(""), "no memory left for the fields");
        return ERR_MEMORY;
    }
    if (base != NULL)
        memcpy(t.out, base->fields, l->size);
    struct ap3000_tail *tail = (void *)t.out;
    for (size_t i = 0; i < l->count; i++) {
        const struct ap3000_field *f = &l->fields[i];
        struct str value = is_ours(&t, f) ? (struct str){NULL, 0} : ap3000_member_take(m, f->key);
        if (value.at == NULL)
            continue;
        if (i + tail->absent >= l->count)
            return refuse(&t, f, ERR_UNSUPPORTED, "this device does not have it");
        enum err e = take_field(&t, f, value);
        if (e != OK)
            return e;
        t.is_given[i] = true;
        end = i + 1;
    }
    enum err e = find_missing(&t, end);
    if (e != OK)
        return e;
    while (base == NULL && tail->absent + end < l->count &&
           l->fields[l->count - 1 - tail->absent].presence == AP3000_OPTIONAL)
        tail->absent++;
    memcpy(out, t.out, l->size);
    return OK;
}

enum err ap3000_fields_parse(const struct ap3000_layout *l, struct str json, struct arena *a, void *out,
                             struct fault *why)
{
    struct ap3000_members m;
    uint8_t *fields = arena_take(a, l->size);
    enum err e = fields == NULL ? ERR_MEMORY : ap3000_members_read(json, a, &m, why);
    if (e == OK)
        e = ap3000_fields_take(l, &m, NULL, a, fields, why);
    if (e == OK)
        e = ap3000_members_end(&m, why);
    if (e == OK)
        memcpy(out, fields, l->size);
    return e;
}
