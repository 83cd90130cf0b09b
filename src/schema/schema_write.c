/* schema_write.c - the struct of a message into JSON, led by its table. */
#include "schema/schema.h"

#include <string.h>

static void write_object(struct json_writer *w, const struct message *m, const char *in);

struct any_list {
    const char *at;
    size_t count;
};

static void write_list(struct json_writer *w, const struct field *f, const void *slot)
{
    struct any_list list; /* what struct X_list is for every X; memcpy, since the pointers have different types */
    memcpy(&list, slot, sizeof list);
    if (list.at == NULL)
        return;
    jw_quoted_key(w, f->key);
    jw_open_array(w);
    for (size_t i = 0; i < list.count; i++)
        write_object(w, f->part, list.at + i * f->part->size);
    jw_close_array(w);
}

static void write_strs(struct json_writer *w, struct str key, const struct str_list *list)
{
    if (list->at == NULL)
        return;
    jw_quoted_key(w, key);
    jw_open_array(w);
    for (size_t i = 0; i < list->count; i++)
        jw_str(w, list->at[i]);
    jw_close_array(w);
}

static void write_part(struct json_writer *w, const struct field *f, const void *slot)
{
    const char *part;
    memcpy(&part, slot, sizeof part);
    if (part == NULL)
        return;
    jw_quoted_key(w, f->key);
    write_object(w, f->part, part);
}

static void write_text(struct json_writer *w, struct str key, struct str text)
{
    if (text.at == NULL)
        return;
    jw_quoted_key(w, key);
    jw_str(w, text);
}

static void write_raw(struct json_writer *w, struct str key, struct str json)
{
    if (json.at == NULL)
        return;
    jw_quoted_key(w, key);
    jw_raw(w, json);
}

static void write_integer(struct json_writer *w, struct str key, const struct integer *n)
{
    if (!n->is_set)
        return;
    jw_quoted_key(w, key);
    jw_int(w, n->value);
}

static void write_boolean(struct json_writer *w, struct str key, const struct boolean *b)
{
    if (!b->is_set)
        return;
    jw_quoted_key(w, key);
    jw_bool(w, b->value);
}

static void write_field(struct json_writer *w, const struct field *f, const void *slot)
{
    switch (f->kind) {
    case KIND_STR:
        write_text(w, f->key, *(const struct str *)slot);
        break;
    case KIND_INTEGER:
    case KIND_INT32:
        write_integer(w, f->key, slot);
        break;
    case KIND_DECIMAL:
    case KIND_ANY:
        write_raw(w, f->key, *(const struct str *)slot);
        break;
    case KIND_BOOLEAN:
        write_boolean(w, f->key, slot);
        break;
    case KIND_TIME:
        write_text(w, f->key, ((const struct stamp *)slot)->text);
        break;
    case KIND_CHOICE:
        write_text(w, f->key, ((const struct word *)slot)->text);
        break;
    case KIND_PART:
        write_part(w, f, slot);
        break;
    case KIND_LIST:
        write_list(w, f, slot);
        break;
    case KIND_STRS:
        write_strs(w, f->key, slot);
        break;
    }
}

static void write_object(struct json_writer *w, const struct message *m, const char *in)
{
    jw_open_object(w);
    for (size_t i = 0; i < m->field_count; i++)
        write_field(w, &m->fields[i], in + m->fields[i].offset);
    jw_close_object(w);
}

void schema_write(const struct message *m, const void *in, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    write_object(&w, m, in);
}

struct word choice_word(const struct choice_list *c, int index)
{
    check(index >= 0 && index < c->count);
    return (struct word){c->words[index], index};
}

struct stamp stamp_of(struct arena *a, struct instant t)
{
    char text[INSTANT_TEXT_SIZE];
    if (!instant_is_set(t))
        return (struct stamp){.at = INSTANT_NONE};
    instant_write(t, text);
    struct str copy = arena_copy(a, (struct str){text, INSTANT_TEXT_SIZE - 1});
    return (struct stamp){copy, copy.at == NULL ? INSTANT_NONE : t};
}
