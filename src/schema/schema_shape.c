/* schema_shape.c - messages of a shape that was read before are read by comparing.
 *
 * A station says the same thing again and again: the same members in the same order with the same blanks, the same
 * words, other numbers and times. So of a message that was read well, its text is kept with the places at which it may
 * differ (holes: texts, times and integers), and the structs that it was read into as one image. The next message whose
 * text is the same between the holes becomes a copy of the image: what the holes hold is read and checked, pointers are
 * moved, and nothing else has to be looked at, since the same bytes mean the same. What a hole does not take at once
 * (an escape, a letter beyond ASCII, a fraction, a value out of bounds) is read as if there were no shapes; so the
 * outcome is always that of schema_read.
 *
 * What is made of a message may be kept too, where it depends on nothing but where everything is: the shape, and how long
 * what was in each hole. */
#include "schema/schema.h"
#include "base/id.h"
#include "base/scan.h"
#include "schema/trace.h"

#include <stdlib.h>
#include <string.h>

#define SHAPES_MAX  16    /* kept, those used most in front */
#define TEXT_MAX    8192  /* of a message whose shape is worth keeping */
#define IMAGE_MAX   16384 /* of its structs */
#define LEARN_EVERY 16    /* once all places are taken, one in so many messages of no known shape takes the last one */
#define DIGITS_MAX  18    /* of an integer in a hole: it cannot overflow */
#define ALIGN       16
#define KEPT_MAX    256  /* packed lists; which one has a place is for its hash to say, so the newest has it */
#define KEPT_SIZE   4096 /* of one */

/* A pointer in the image. */
struct move {
    uint32_t at;     /* where in the image it is */
    uint32_t target; /* what it points to: an offset in the image, or in the text */
};
/* Fixed text, then something that differs. */
struct hole {
    uint32_t fixed_at, fixed_len; /* the text before it, from the end of the hole before */
    uint32_t mark_count;          /* pointers of the image into that text: the next so many of marks */
    uint32_t slot;                /* in the image */
    const struct field *field;    /* NULL: none, the text ends here */
};
struct shape {
    const struct message *message;
    enum reading how;
    size_t image_size, text_len, hole_count, mark_count, move_count;
    uint64_t serial; /* no other shape has it, or had it */
    struct hole holes[TRACE_MAX + 1];
    struct move marks[TRACE_MAX], moves[TRACE_MAX];
    char text[TEXT_MAX];
    _Alignas(ALIGN) char image[IMAGE_MAX]; /* the message's own struct first */
};
/* Of the message read last. */
struct reading_of {
    uint64_t number, serial; /* of the reading; of its shape, 0: none */
    size_t count;
    uint16_t lens[TRACE_MAX]; /* what each hole took */
};
struct kept {
    uint64_t serial, extra;
    size_t count, size, last;
    uint16_t lens[]; /* then the bytes */
};
struct shapes {
    struct shape *shapes[SHAPES_MAX];
    size_t count;
    unsigned missed;
    uint64_t serial, recalled;
    struct reading_of now;
    struct kept *kept[KEPT_MAX];
};

static inline size_t aligned(size_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

struct shapes *shapes_new(void)
{
    return mem_new(1, sizeof(struct shapes));
}

void shapes_free(struct shapes *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++)
        free(s->shapes[i]);
    for (size_t i = 0; i < KEPT_MAX; i++)
        free(s->kept[i]);
    free(s);
}

/* ---- learning ---- */

/* Where a piece of memory of the message went in the image. */
struct region {
    const char *from;
    size_t size, to;
};
struct learning {
    struct shape *shape;
    struct region regions[TRACE_MAX];
    size_t region_count;
};

/* Copies structs to the end of the image; SIZE_MAX: no room. */
static size_t copy_region(struct learning *l, const void *from, size_t size)
{
    struct shape *s = l->shape;
    const size_t to = aligned(s->image_size);

    if (l->region_count == TRACE_MAX || size > IMAGE_MAX - to)
        return SIZE_MAX;
    memcpy(s->image + to, from, size);
    s->image_size = to + size;
    l->regions[l->region_count++] = (struct region){from, size, to};
    return to;
}

static bool copy_inner(struct learning *l, const struct message *m, const char *in, size_t at);

/* What one field points to: count structs of a part. */
static bool copy_parts(struct learning *l, const struct field *f, const char *from, size_t count, size_t slot)
{
    struct shape *s = l->shape;
    const size_t to = copy_region(l, from, count * f->part->size);

    if (to == SIZE_MAX || s->move_count == TRACE_MAX)
        return false;
    s->moves[s->move_count++] = (struct move){(uint32_t)slot, (uint32_t)to};
    for (size_t i = 0; i < count; i++)
        if (!copy_inner(l, f->part, from + i * f->part->size, to + i * f->part->size))
            return false;
    return true;
}

/* Lists and parts of a struct that is in the image already, at `at`. */
static bool copy_inner(struct learning *l, const struct message *m, const char *in, size_t at)
{
    for (size_t i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        struct { /* as of a list; a part has its pointer only */
            const char *at;
            size_t count;
        } inner = {NULL, 1};
        if (f->kind == KIND_STRS && ((const struct str_list *)(const void *)(in + f->offset))->at != NULL)
            return false; /* its items are no fields of their own */
        if (f->kind != KIND_PART && f->kind != KIND_LIST)
            continue;
        memcpy(&inner, in + f->offset, f->kind == KIND_PART ? sizeof inner.at : sizeof inner);
        if (inner.at != NULL && !copy_parts(l, f, inner.at, inner.count, at + f->offset))
            return false;
    }
    return true;
}

static size_t find_slot(const struct learning *l, const void *slot)
{
    const char *at = slot;

    for (size_t i = 0; i < l->region_count; i++)
        if (at >= l->regions[i].from && at < l->regions[i].from + l->regions[i].size)
            return l->regions[i].to + (size_t)(at - l->regions[i].from);
    return SIZE_MAX;
}

static bool is_number_field(const struct field *f)
{
    return f->kind == KIND_INTEGER || f->kind == KIND_INT32;
}

static bool is_hole(const struct field *f)
{
    return is_number_field(f) || f->kind == KIND_STR || f->kind == KIND_TIME;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* One value of the message, in the order of the text. from: where the fixed text before it begins. */
static bool learn_value(struct shape *s, const struct trace_value *v, size_t slot, const char *json, size_t *from)
{
    const char *begin = v->from, *end = v->to;
    struct hole *h = &s->holes[s->hole_count];
    const void *text = NULL;

    if (v->field->kind == KIND_BOOLEAN)
        return true; /* the same text, the same value */
    if (!is_number_field(v->field)) {
        memcpy(&text, v->slot, sizeof text);
        if ((const char *)text < begin || (const char *)text >= end)
            return false; /* it had escapes, and stands elsewhere */
    }
    if (!is_hole(v->field)) {
        if (s->mark_count == TRACE_MAX)
            return false;
        s->marks[s->mark_count++] = (struct move){(uint32_t)slot, (uint32_t)((const char *)text - json)};
        h->mark_count++;
        return true;
    }
    if (is_number_field(v->field)) {
        while (begin > json + *from && is_blank(begin[-1]))
            begin--; /* as many as it takes: numbers are put in columns */
    } else if (*begin == '"') {
        begin++;
        end--;
    } else {
        return false;
    }
    *h = (struct hole){(uint32_t)*from, (uint32_t)((size_t)(begin - json) - *from), h->mark_count, (uint32_t)slot,
                       v->field};
    s->hole_count++;
    *from = (size_t)(end - json);
    return true;
}

static bool learn(struct shape *s, struct learning *l, struct str json, const void *out, const struct trace *t)
{
    size_t from = 0;

    if (copy_region(l, out, s->message->size) != 0 || !copy_inner(l, s->message, out, 0))
        return false;
    for (size_t i = 0; i < t->count; i++) {
        const size_t slot = find_slot(l, t->values[i].slot);
        if (slot == SIZE_MAX || !learn_value(s, &t->values[i], slot, json.at, &from))
            return false;
    }
    struct hole *last = &s->holes[s->hole_count++];
    *last = (struct hole){(uint32_t)from, (uint32_t)(json.len - from), last->mark_count, 0, NULL};
    memcpy(s->text, json.at, json.len);
    s->text_len = json.len;
    return true;
}

/* Reads once more, noting where everything is. */
static void shapes_learn(struct shapes *s, const struct message *m, struct str json, enum reading how)
{
    if (json.len > TEXT_MAX || (s->count == SHAPES_MAX && ++s->missed % LEARN_EVERY != 0))
        return;
    struct learning *l = mem_new(1, sizeof *l);
    struct trace *t = mem_new(1, sizeof *t);
    struct fault why = {{0}, {0}};
    struct arena a;
    arena_init(&a, 4 * (size_t)IMAGE_MAX);
    l->shape = mem_new(1, sizeof *l->shape);
    l->shape->message = m;
    l->shape->how = how;
    void *out = arena_take(&a, m->size + 1);
    bool is_read = out != NULL && schema_read_traced(m, json, how, &a, out, &why, t) == OK && why.reason[0] == '\0';
    if (is_read && !t->is_odd && learn(l->shape, l, json, out, t)) {
        if (s->count == SHAPES_MAX)
            free(s->shapes[--s->count]);
        l->shape->serial = ++s->serial;
        s->shapes[s->count++] = l->shape;
    } else {
        free(l->shape);
    }
    arena_release(&a);
    free(t);
    free(l);
}

/* ---- comparing ---- */

struct filling {
    const char *at, *end;
    char *root, *rest; /* the message's own struct; what it points to */
    size_t root_room;  /* up to where the image is the one, from where the other */
};

static inline void *slot_at(const struct filling *f, size_t offset)
{
    return offset < f->root_room ? f->root + offset : f->rest + (offset - f->root_room);
}

static bool fill_integer(struct filling *f, const struct field *field, struct integer *out)
{
    while (f->at < f->end && is_blank(*f->at))
        f->at++;
    const bool is_negative = f->at < f->end && *f->at == '-';
    const char *digits = f->at + is_negative, *at = digits;
    int64_t n = 0;
    while (at < f->end && (unsigned)*at - '0' <= 9 && at - digits < DIGITS_MAX)
        n = n * 10 + (*at++ - '0');
    if (at == digits || (*digits == '0' && at - digits > 1))
        return false; /* one digit more, a fraction or an exponent is not the fixed text that must follow */
    n = is_negative ? -n : n;
    if (n < field->least || n > field->most || (field->kind == KIND_INT32 && n < INT32_MIN))
        return false;
    *out = integer_of(n);
    f->at = at;
    return true;
}

static bool fill_text(struct filling *f, const struct field *field, void *out)
{
    const char *end = (const char *)scan_plain((const uint8_t *)f->at, (const uint8_t *)f->end);
    const struct str text = {f->at, (size_t)(end - f->at)};

    if (end == f->end || *end != '"')
        return false;
    f->at = end;
    if (field->kind == KIND_STR) {
        *(struct str *)out = text;
        return field->most == 0 || text.len <= (size_t)field->most;
    }
    struct stamp *stamp = out;
    bool has_no_zone = false;
    stamp->text = text;
    return instant_parse(text, &stamp->at, &has_no_zone) == OK && !has_no_zone &&
           text.at[sizeof "2026-03-01" - 1] != ' ';
}

/* The fixed text before a hole, and the pointers into it. */
static inline bool fill_fixed(struct filling *f, const struct shape *s, const struct hole *h, const struct move *mark)
{
    if ((size_t)(f->end - f->at) < h->fixed_len || memcmp(f->at, s->text + h->fixed_at, h->fixed_len) != 0)
        return false;
    for (size_t i = 0; i < h->mark_count; i++) {
        const char *target = f->at + (mark[i].target - h->fixed_at);
        memcpy(slot_at(f, mark[i].at), &target, sizeof target);
    }
    f->at += h->fixed_len;
    return true;
}

/* False also where a hole takes more than can be noted. */
static bool shape_fill(const struct shape *s, struct str json, struct arena *a, void *out, struct reading_of *now)
{
    struct filling f = {json.at, json.at + json.len, out, NULL, aligned(s->message->size)};
    const size_t rest = s->image_size > f.root_room ? s->image_size - f.root_room : 0;
    const struct move *mark = s->marks;

    /* The first fixed text tells most other shapes apart: before anything is copied. */
    if (json.len < s->holes[0].fixed_len || memcmp(json.at, s->text, s->holes[0].fixed_len) != 0)
        return false;
    f.rest = arena_take(a, rest + 1);
    if (f.rest == NULL)
        return false;
    memcpy(f.root, s->image, s->message->size);
    memcpy(f.rest, s->image + f.root_room, rest);
    for (size_t i = 0; i < s->move_count; i++) {
        const void *target = slot_at(&f, s->moves[i].target);
        memcpy(slot_at(&f, s->moves[i].at), &target, sizeof target);
    }
    for (const struct hole *h = s->holes;; mark += h->mark_count, h++) {
        if (!fill_fixed(&f, s, h, mark))
            return false;
        if (h->field == NULL)
            return f.at == f.end;
        void *slot = slot_at(&f, h->slot);
        const char *begin = f.at;
        if (!(is_number_field(h->field) ? fill_integer(&f, h->field, slot) : fill_text(&f, h->field, slot)) ||
            f.at - begin > UINT16_MAX)
            return false;
        now->lens[h - s->holes] = (uint16_t)(f.at - begin);
    }
}

enum err schema_read_shaped(struct shapes *s, const struct message *m, struct str json, enum reading how,
                            struct arena *a, void *out, struct fault *why)
{
    if (s != NULL) {
        s->now.number++;
        s->now.serial = 0;
    }
    for (size_t i = 0; s != NULL && i < s->count; i++) {
        struct shape *found = s->shapes[i];
        if (found->message != m || found->how != how || !shape_fill(found, json, a, out, &s->now))
            continue;
        s->now.serial = found->serial;
        s->now.count = found->hole_count - 1; /* the last one is the end */
        if (i > 0) {
            s->shapes[i] = s->shapes[i - 1];
            s->shapes[i - 1] = found;
        }
        if (why != NULL)
            why->field[0] = why->reason[0] = '\0';
        return OK;
    }
    struct fault own = {{0}, {0}};
    struct fault *told = why == NULL ? &own : why;
    enum err e = schema_read(m, json, how, a, out, told);
    if (s != NULL && e == OK && told->reason[0] == '\0')
        shapes_learn(s, m, json, how);
    return e;
}

/* ---- what was made of it ---- */

uint64_t shapes_reading(const struct shapes *s)
{
    return s == NULL || s->now.serial == 0 ? 0 : s->now.number;
}

static struct kept **kept_place(struct shapes *s, uint64_t extra)
{
    const uint64_t key[2] = {s->now.serial, extra};

    return &s->kept[content_hash(key, (struct bytes){(const uint8_t *)s->now.lens,
                                                     s->now.count * sizeof s->now.lens[0]}) % KEPT_MAX];
}

bool shapes_recall(struct shapes *s, uint64_t reading, uint64_t extra, struct packed_list *list)
{
    if (reading == 0 || reading != shapes_reading(s))
        return false;
    const struct kept *k = *kept_place(s, extra);
    if (k == NULL || k->serial != s->now.serial || k->extra != extra || k->count != s->now.count ||
        memcmp(k->lens, s->now.lens, k->count * sizeof k->lens[0]) != 0)
        return false;
    list->bytes = (struct bytes){(const uint8_t *)(k->lens + k->count), k->size};
    list->last = k->last;
    s->recalled++;
    return true;
}

uint64_t shapes_recalled(const struct shapes *s)
{
    return s->recalled;
}

void shapes_keep(struct shapes *s, uint64_t reading, uint64_t extra, const struct packed_list *list)
{
    const size_t count = reading == 0 ? 0 : s->now.count, lens_size = count * sizeof s->now.lens[0];

    if (reading == 0 || reading != shapes_reading(s) || list->bytes.at == NULL || list->bytes.len > KEPT_SIZE)
        return;
    struct kept **place = kept_place(s, extra), *k = malloc(sizeof *k + lens_size + list->bytes.len);
    if (k == NULL)
        return;
    *k = (struct kept){s->now.serial, extra, count, list->bytes.len, list->last};
    memcpy(k->lens, s->now.lens, lens_size);
    memcpy(k->lens + count, list->bytes.at, list->bytes.len);
    free(*place);
    *place = k;
}
