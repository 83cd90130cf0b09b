/* schema_read.c - JSON into the struct of a message, led by its table. Every message of a station passes here: one walk
 * over the text, nothing copied but text with escapes, memory only for parts and lists. */
#include "schema/schema.h"
#include "schema/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LIST_ROOM_FIRST 4 /* items; doubled when they are used up */
#define NOT_AN_ITEM     SIZE_MAX

/* This file's own outcome beside the errors: the value was read over, and its field stays absent. */
#define LEFT_OUT ERR_AGAIN

/* Where in the message we are, from the inside out: for *why only. */
struct place {
    const struct place *up;
    struct str name;
    size_t index;
};

struct reader {
    struct json *j;
    struct arena *a;
    struct fault *why;
    enum reading how;
    struct trace *trace; /* NULL: nobody asks */
};

/* Members of one object that the table does not know. */
struct unknowns {
    struct str names[SCHEMA_UNKNOWN_MAX];
    size_t count;
};

/* What struct X_list is for every X. Moved by memcpy, since the pointers have different types. */
struct any_list {
    void *at;
    size_t count;
};

static size_t place_write(const struct place *at, char *to, size_t size)
{
    size_t len = at->up == NULL ? 0 : place_write(at->up, to, size);
    int more = snprintf(to + len, size - len, "%s%.*s", len == 0 ? "" : ".", STR_ARG(at->name));
    len += more < 0 ? 0 : (size_t)more;
    if (len < size && at->index != NOT_AN_ITEM) {
        more = snprintf(to + len, size - len, "[%zu]", at->index);
        len += more < 0 ? 0 : (size_t)more;
    }
    return len < size ? len : size - 1;
}

/* The message is refused: *why says so even if something was bent before. */
static enum err refuse(const struct reader *r, const struct place *at, enum err e, const char *reason)
{
    char field[2 * sizeof r->why->field]; /* fault_set() cuts it, between two characters */
    size_t len = at == NULL || r->why == NULL ? 0 : place_write(at, field, sizeof field);
    fault_set(r->why, (struct str){field, len}, "%s", reason);
    return e;
}

static enum err refuse_json(const struct reader *r, const struct place *at)
{
    return refuse(r, at, r->j->error, r->j->reason);
}

/* In LENIENT only the first thing that was bent is told. */
static inline bool is_told(const struct reader *r)
{
    return r->how == LENIENT && (r->why == NULL || r->why->reason[0] != '\0');
}

/* Something is not as the table says: the error it is, or OK in LENIENT, which takes it as it is. */
static enum err object_to(const struct reader *r, const struct place *at, enum err e, const char *reason)
{
    if (is_told(r))
        return OK;
    e = refuse(r, at, e, reason);
    return r->how == LENIENT ? OK : e;
}

static enum err object_to_limit(const struct reader *r, const struct place *at, enum err e, const char *what,
                                int64_t limit)
{
    char reason[64];
    if (is_told(r))
        return OK;
    (void)snprintf(reason, sizeof reason, "%s %" PRId64, what, limit);
    return object_to(r, at, e, reason);
}

/* The same where nothing can be taken; the value has been read. */
static enum err leave_out(const struct reader *r, const struct place *at, enum err e, const char *reason)
{
    e = object_to(r, at, e, reason);
    return e == OK ? LEFT_OUT : e;
}

/* The value to come is of the wrong kind: read over it. */
static enum err leave_out_next(const struct reader *r, const struct place *at, const char *reason)
{
    return json_skip(r->j) ? leave_out(r, at, ERR_TYPE, reason) : refuse_json(r, at);
}

static inline uint64_t load64(const char *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

static inline uint32_t load32(const char *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

/* Two texts of one length. Names and words are short: comparing eight bytes at a time in line, the last ones
 * overlapping those before, costs less than a call of memcmp. */
static inline bool text_is_same(const char *a, const char *b, size_t len)
{
    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8)
            if (load64(a + i) != load64(b + i))
                return false;
        return load64(a + len - 8) == load64(b + len - 8);
    }
    if (len >= 4)
        return load32(a) == load32(b) && load32(a + len - 4) == load32(b + len - 4);
    return len == 0 || (a[0] == b[0] && a[len / 2] == b[len / 2] && a[len - 1] == b[len - 1]);
}

/* Characters of valid UTF-8. */
static size_t character_count(struct str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += ((uint8_t)s.at[i] & 0xC0) != 0x80;
    return count;
}

static inline bool is_longer(struct str s, int64_t most)
{
    return most > 0 && s.len > (size_t)most && character_count(s) > (size_t)most;
}

static enum err read_text(const struct reader *r, const struct place *at, enum json_kind kind, struct str *out)
{
    struct json_string s;
    if (__builtin_expect(kind == JSON_STRING, 1)) {
        if (!json_get_string(r->j, &s))
            return refuse_json(r, at);
        if (__builtin_expect(!s.has_escape, 1)) {
            out->at = s.raw.at;
            out->len = s.raw.len;
            return OK;
        }
        enum err e = json_string_text(s, r->a, out);
        return e == OK ? OK : refuse(r, at, e, "no memory left for the text");
    }
    if (kind == JSON_OBJECT || kind == JSON_ARRAY || kind == JSON_NULL)
        return leave_out_next(r, at, "not a text");
    return json_get_raw(r->j, out) ? object_to(r, at, ERR_TYPE, "not a text") : refuse_json(r, at);
}

static enum err read_str(const struct reader *r, const struct place *at, enum json_kind kind, int64_t most,
                         struct str *out)
{
    enum err e = read_text(r, at, kind, out);
    if (e == OK && __builtin_expect(is_longer(*out, most), 0))
        return object_to_limit(r, at, ERR_RANGE, "more characters than", most);
    return e;
}

/* A fraction, or a number in a text, as LENIENT reads integers: ocpp16.md 2.4. */
static enum err round_to_int(struct str text, int64_t *out)
{
    int64_t tenths;
    enum err e = decimal_parse(text, 1, &tenths, NULL);
    if (e != OK)
        return e;
    *out = (tenths + (tenths < 0 ? -5 : 5)) / 10;
    return OK;
}

/* The text of a number; in LENIENT also of one between quotes, which must be one by the rules of JSON too: it is
 * written again without them. */
static enum err read_number_text(const struct reader *r, const struct place *at, enum json_kind kind, struct str *out)
{
    struct str text = {NULL, 0}, number;
    struct json inside;
    if (kind == JSON_NUMBER)
        return json_get_number(r->j, out) ? OK : refuse_json(r, at);
    if (kind != JSON_STRING || r->how != LENIENT)
        return leave_out_next(r, at, "not a number");
    enum err e = read_text(r, at, kind, &text);
    if (e != OK)
        return e;
    json_init(&inside, text);
    if (!json_get_number(&inside, &number) || json_end(&inside) != OK)
        return leave_out(r, at, ERR_TYPE, "not a number");
    *out = number;
    return object_to(r, at, ERR_TYPE, "a number as text");
}

static enum err read_integer(const struct reader *r, const struct place *at, enum json_kind kind, const struct field *f,
                             struct integer *out)
{
    struct str text;
    int64_t n;
    enum err e = read_number_text(r, at, kind, &text);
    if (e != OK)
        return e;
    e = json_number_int(text, &n);
    if (e == ERR_TYPE && r->how == LENIENT) {
        (void)object_to(r, at, ERR_TYPE, "not an integer");
        e = round_to_int(text, &n);
    }
    int64_t least_of_kind = f->kind == KIND_INT32 ? INT32_MIN : INT64_MIN;
    if (e == OK && (n > f->most || n < least_of_kind))
        e = ERR_RANGE;
    if (e != OK)
        return leave_out(r, at, e, e == ERR_RANGE ? "too big" : "not an integer");
    *out = integer_of(n);
    return n < f->least ? object_to_limit(r, at, ERR_RANGE, "less than", f->least) : OK;
}

static enum err read_decimal(const struct reader *r, const struct place *at, enum json_kind kind, int64_t digits,
                             struct str *out)
{
    int64_t scaled;
    bool is_inexact;
    enum err e = read_number_text(r, at, kind, out);
    if (e != OK || digits == 0)
        return e;
    if (decimal_parse(*out, (int)digits, &scaled, &is_inexact) == OK && is_inexact)
        return object_to_limit(r, at, ERR_RANGE, "digits after the point, more than", digits);
    return OK; /* one too big for our integers is a number all the same */
}

static enum err read_boolean(const struct reader *r, const struct place *at, enum json_kind kind, struct boolean *out)
{
    struct str text = {NULL, 0};
    bool value;
    if (kind == JSON_TRUE || kind == JSON_FALSE) {
        if (!json_get_bool(r->j, &value))
            return refuse_json(r, at);
        *out = boolean_of(value);
        return OK;
    }
    if (kind != JSON_STRING || r->how != LENIENT)
        return leave_out_next(r, at, "neither true nor false");
    enum err e = read_text(r, at, kind, &text);
    if (e != OK)
        return e;
    value = str_eq_nocase(text, STR("true"));
    if (!value && !str_eq_nocase(text, STR("false")))
        return leave_out(r, at, ERR_TYPE, "neither true nor false");
    *out = boolean_of(value);
    return object_to(r, at, ERR_TYPE, "true or false as text");
}

static enum err read_time(const struct reader *r, const struct place *at, enum json_kind kind, struct stamp *out)
{
    bool has_no_zone = false;
    struct stamp stamp = {.at = INSTANT_NONE};
    enum err e = read_text(r, at, kind, &stamp.text);
    if (e != OK)
        return e;
    if (instant_parse(stamp.text, &stamp.at, &has_no_zone) != OK) {
        stamp.at = INSTANT_NONE;
        e = object_to(r, at, ERR_RANGE, "not a date and time");
    } else if (r->how != NORMAL && (has_no_zone || stamp.text.at[sizeof "2026-03-01" - 1] == ' ')) {
        e = object_to(r, at, ERR_RANGE, has_no_zone ? "a time without its zone" : "a time without 'T'");
    }
    *out = stamp;
    return e;
}

static enum err read_choice(const struct reader *r, const struct place *at, enum json_kind kind, const struct field *f,
                            struct word *out)
{
    enum err e = read_text(r, at, kind, &out->text);
    if (e != OK)
        return e;
    out->index = choice_find(f->choice, out->text);
    if (__builtin_expect(out->index >= 0, 1) || (f->is_open && r->how == NORMAL))
        return OK;
    return object_to(r, at, ERR_RANGE, "a word that is not in the list");
}

static enum err read_any(const struct reader *r, const struct place *at, struct str *out)
{
    if (!json_get_raw(r->j, out))
        return refuse_json(r, at);
    struct fault inside;
    enum err e = json_check(*out, &inside); /* it goes on to others as it is: no repeated keys in it either */
    return e == OK ? OK : refuse(r, at, e, inside.reason);
}

static enum err read_object(const struct reader *r, const struct message *m, const struct place *up, void *out);

static enum err read_part(const struct reader *r, const struct place *at, enum json_kind kind,
                          const struct message *part, void *slot)
{
    if (kind != JSON_OBJECT)
        return leave_out_next(r, at, "not an object");
    void *new = arena_take(r->a, part->size);
    if (new == NULL)
        return refuse(r, at, ERR_MEMORY, "no memory left for the object");
    enum err e = read_object(r, part, at, new);
    memcpy(slot, &new, sizeof new);
    return e;
}

static enum err read_item(const struct reader *r, const struct place *at, const struct field *f, void *item)
{
    enum json_kind kind = json_peek(r->j);
    if (f->kind == KIND_STRS)
        return read_str(r, at, kind, f->most, item);
    if (kind != JSON_OBJECT)
        return leave_out_next(r, at, "not an object");
    return read_object(r, f->part, at, item);
}

/* What was noted in a list goes with it. */
static void trace_move(struct trace *t, const char *old, char *new, size_t size)
{
    for (size_t i = 0; i < t->count; i++) {
        const char *slot = t->values[i].slot;
        if (slot >= old && slot < old + size)
            t->values[i].slot = new + (slot - old);
    }
}

/* The room of a list in the arena, doubled; what it leaves behind goes with the message. */
static void *list_grow(const struct reader *r, const void *old, size_t count, size_t room, size_t size)
{
    void *new = arena_take(r->a, room * size);
    if (new != NULL && count > 0) {
        memcpy(new, old, count * size);
        if (r->trace != NULL)
            trace_move(r->trace, old, new, count * size);
    }
    return new;
}

static enum err read_list(const struct reader *r, struct place *at, enum json_kind kind, const struct field *f,
                          void *slot)
{
    size_t size = f->kind == KIND_STRS ? sizeof(struct str) : f->part->size, room = LIST_ROOM_FIRST;
    struct any_list list = {NULL, 0};
    enum err e = OK;
    if (kind != JSON_ARRAY)
        return leave_out_next(r, at, "not a list");
    list.at = list_grow(r, NULL, 0, room, size);
    (void)json_open_array(r->j);
    for (size_t i = 0; e == OK && list.at != NULL && json_next_item(r->j); i++) {
        at->index = i;
        if (list.count == SCHEMA_ITEMS_MAX) {
            e = object_to_limit(r, at, ERR_LIMIT, "more items than", SCHEMA_ITEMS_MAX);
            (void)json_skip(r->j);
            continue;
        }
        if (list.count == room) {
            room *= 2;
            list.at = list_grow(r, list.at, list.count, room, size);
            if (list.at == NULL)
                break;
        }
        e = read_item(r, at, f, (char *)list.at + list.count * size);
        list.count += e == OK;
        e = e == LEFT_OUT ? OK : e;
    }
    at->index = NOT_AN_ITEM;
    if (e != OK)
        return e;
    if (list.at == NULL)
        return refuse(r, at, ERR_MEMORY, "no memory left for the list");
    if (r->j->error != OK)
        return refuse_json(r, at);
    memcpy(slot, &list, sizeof list);
    if (f->kind == KIND_LIST && list.count < (uint64_t)f->least)
        return object_to_limit(r, at, ERR_MISSING, "items are missing, at least", f->least);
    return OK;
}

static enum err read_kind(const struct reader *r, struct place *at, enum json_kind kind, const struct field *f,
                          void *slot)
{
    if (kind == JSON_NULL && r->how != STRICT)
        return json_get_null(r->j) ? LEFT_OUT : refuse_json(r, at);
    switch (f->kind) {
    case KIND_STR:
        return read_str(r, at, kind, f->most, slot);
    case KIND_INTEGER:
    case KIND_INT32:
        return read_integer(r, at, kind, f, slot);
    case KIND_DECIMAL:
        return read_decimal(r, at, kind, f->most, slot);
    case KIND_BOOLEAN:
        return read_boolean(r, at, kind, slot);
    case KIND_TIME:
        return read_time(r, at, kind, slot);
    case KIND_CHOICE:
        return read_choice(r, at, kind, f, slot);
    case KIND_PART:
        return read_part(r, at, kind, f->part, slot);
    case KIND_LIST:
    case KIND_STRS:
        return read_list(r, at, kind, f, slot);
    case KIND_ANY:
        return read_any(r, at, slot);
    }
    return ERR_UNSUPPORTED;
}

static void trace_note(struct trace *t, const struct field *f, void *slot, const uint8_t *from, const uint8_t *to,
                       enum err e)
{
    if (e != OK || t->count == TRACE_MAX) {
        t->is_odd = true;
        return;
    }
    if (f->kind != KIND_PART && f->kind != KIND_LIST)
        t->values[t->count++] = (struct trace_value){f, slot, (const char *)from, (const char *)to};
}

static inline enum err read_value(const struct reader *r, struct place *at, const struct field *f, void *slot)
{
    enum json_kind kind = json_peek(r->j);
    const uint8_t *from = r->j->at;
    enum err e = read_kind(r, at, kind, f, slot);
    if (__builtin_expect(r->trace != NULL, 0))
        trace_note(r->trace, f, slot, from, r->j->at, e);
    return e;
}

/* Stations send members in the order of the table, leaving some out: look from the one that is due, then before it.
 * Returns field_count if the table has none of that name. */
static inline size_t field_find(const struct message *m, const struct json_string *key, size_t due)
{
    const char *name = key->raw.at;
    size_t len = key->raw.len;
    for (size_t i = due; i < m->field_count; i++)
        if (m->fields[i].wire.len == len && text_is_same(m->fields[i].wire.at, name, len))
            return i;
    for (size_t i = 0; i < due; i++)
        if (m->fields[i].wire.len == len && text_is_same(m->fields[i].wire.at, name, len))
            return i;
    if (__builtin_expect(!key->has_escape, 1))
        return m->field_count;
    size_t i = 0; /* so many escapes that the reader of JSON did not undo them */
    while (i < m->field_count && !json_string_is(*key, m->fields[i].wire))
        i++;
    return i;
}

static enum err read_unknown(const struct reader *r, const struct place *at, struct json_string key, struct unknowns *u)
{
    for (size_t i = 0; i < u->count; i++)
        if (str_eq(u->names[i], key.raw))
            return refuse(r, at, ERR_FORMAT, "given twice");
    enum err e = r->how == NORMAL ? OK : object_to(r, at, ERR_UNKNOWN, "not known");
    if (e != OK)
        return e;
    if (u->count < SCHEMA_UNKNOWN_MAX) {
        bool is_ours = key.raw.at == r->j->undone_key;
        struct str name = is_ours ? arena_copy(r->a, key.raw) : key.raw;
        if (name.at == NULL)
            return refuse(r, at, ERR_MEMORY, "no memory left for the name");
        u->names[u->count++] = name;
    }
    return json_skip(r->j) ? OK : refuse_json(r, at);
}

/* One bit a field. */
static inline uint64_t every_field(const struct message *m)
{
    return m->field_count == 0 ? 0 : UINT64_MAX >> (SCHEMA_FIELDS_MAX - m->field_count);
}

/* After the last member: what is absent must be allowed to be. */
static enum err settle_absent(const struct reader *r, const struct message *m, struct place *at, uint64_t absent,
                              char *out)
{
    for (; absent != 0; absent &= absent - 1) {
        const struct field *f = &m->fields[__builtin_ctzll(absent)];
        if (f->kind == KIND_CHOICE)
            *(struct word *)(void *)(out + f->offset) = (struct word){.index = -1};
        else if (f->kind == KIND_TIME)
            *(struct stamp *)(void *)(out + f->offset) = (struct stamp){.at = INSTANT_NONE};
        if (f->presence == OPTIONAL)
            continue;
        at->name = f->wire;
        enum err e = object_to(r, at, ERR_MISSING, "required, but missing");
        if (e != OK)
            return e;
    }
    return OK;
}

/* An object stands next, and *out is all zero. */
static enum err read_object(const struct reader *r, const struct message *m, const struct place *up, void *out)
{
    struct json *j = r->j;
    struct place at = {up, {NULL, 0}, NOT_AN_ITEM};
    struct unknowns unknowns;
    struct json_string key;
    uint64_t seen = 0, filled = 0;
    size_t due = 0;
    unknowns.count = 0;
    (void)json_open_object(j);
    while (json_next_key(j, &key)) {
        enum err e;
        size_t i = field_find(m, &key, due);
        if (__builtin_expect(i == m->field_count, 0)) {
            at.name = key.raw;
            e = read_unknown(r, &at, key, &unknowns);
            if (e != OK)
                return e;
            continue;
        }
        const struct field *f = &m->fields[i];
        uint64_t bit = (uint64_t)1 << i;
        at.name = f->wire;
        due = i + 1;
        if (__builtin_expect((seen & bit) != 0, 0))
            return refuse(r, &at, ERR_FORMAT, "given twice");
        seen |= bit;
        e = read_value(r, &at, f, (char *)out + f->offset);
        if (e == OK)
            filled |= bit;
        else if (e != LEFT_OUT)
            return e;
    }
    if (j->error != OK)
        return refuse_json(r, up);
    return settle_absent(r, m, &at, every_field(m) & ~filled, out);
}

static enum err read_top(const struct message *m, const struct reader *r, void *out)
{
    struct json *j = r->j;
    check(m->field_count <= SCHEMA_FIELDS_MAX);
    memset(out, 0, m->size);
    if (r->why != NULL)
        r->why->field[0] = r->why->reason[0] = '\0';
    enum json_kind kind = json_peek(j);
    if (kind == JSON_OBJECT)
        return read_object(r, m, NULL, out);
    if (kind == JSON_NULL && json_get_null(j)) {
        struct place at = {NULL, {NULL, 0}, NOT_AN_ITEM};
        return settle_absent(r, m, &at, every_field(m), out);
    }
    return json_skip(j) ? refuse(r, NULL, ERR_FORMAT, "not an object") : refuse_json(r, NULL);
}

enum err schema_read_value(const struct message *m, struct json *j, enum reading how, struct arena *a, void *out,
                           struct fault *why)
{
    struct reader r = {j, a, why, how, NULL};
    return read_top(m, &r, out);
}

enum err schema_read_traced(const struct message *m, struct str json, enum reading how, struct arena *a, void *out,
                            struct fault *why, struct trace *t)
{
    struct json j;
    struct reader r = {&j, a, why, how, t};
    json_init(&j, json);
    enum err e = read_top(m, &r, out);
    if (e == OK && (e = json_end(&j)) != OK)
        fault_set(why, STR(""), "%s", j.reason);
    return e;
}

enum err schema_read(const struct message *m, struct str json, enum reading how, struct arena *a, void *out,
                     struct fault *why)
{
    return schema_read_traced(m, json, how, a, out, why, NULL);
}

int choice_find(const struct choice_list *c, struct str word)
{
    if (word.len == 0)
        return -1;
    /* The last letter tells more words apart than the first: Energy.Active.Import.Register,
     * Energy.Active.Import.Interval */
    char last = word.at[word.len - 1];
    for (int i = 0; i < c->count; i++) {
        struct str w = c->words[i];
        if (w.len == word.len && w.at[w.len - 1] == last && text_is_same(w.at, word.at, word.len))
            return i;
    }
    return -1;
}
