/* api/write.c - structs of answers as JSON, led by their tables: as schema_write, but what is absent is written as
 * null, so that every answer of a kind has the same members. */
#include "api/call.h"

#include <string.h>

struct any_list {
    const char *at;
    size_t count;
};

static void write_strs(struct json_writer *w, const struct str_list *l)
{
    jw_open_array(w);
    for (size_t i = 0; i < l->count; i++)
        jw_str(w, l->at[i]);
    jw_close_array(w);
}

static void write_list(struct json_writer *w, const struct message *part, const void *slot)
{
    struct any_list l; /* what struct X_list is for every X */
    memcpy(&l, slot, sizeof l);
    jw_open_array(w);
    for (size_t i = 0; i < l.count; i++)
        message_write(w, part, l.at + i * part->size);
    jw_close_array(w);
}

static void write_part(struct json_writer *w, const struct message *part, const void *slot)
{
    const void *at;
    memcpy(&at, slot, sizeof at);
    if (at == NULL)
        jw_null(w);
    else
        message_write(w, part, at);
}

static void write_integer(struct json_writer *w, const struct integer *n)
{
    if (n->is_set)
        jw_int(w, n->value);
    else
        jw_null(w);
}

static void write_boolean(struct json_writer *w, const struct boolean *b)
{
    if (b->is_set)
        jw_bool(w, b->value);
    else
        jw_null(w);
}

static void write_raw(struct json_writer *w, struct str json)
{
    if (json.at == NULL)
        jw_null(w);
    else
        jw_raw(w, json);
}

static void write_field(struct json_writer *w, const struct field *f, const void *slot)
{
    switch (f->kind) {
    case KIND_STR:
        jw_str(w, *(const struct str *)slot);
        break;
    case KIND_INTEGER:
    case KIND_INT32:
        write_integer(w, slot);
        break;
    case KIND_BOOLEAN:
        write_boolean(w, slot);
        break;
    case KIND_TIME:
        jw_str(w, ((const struct stamp *)slot)->text);
        break;
    case KIND_CHOICE:
        jw_str(w, ((const struct word *)slot)->text);
        break;
    case KIND_DECIMAL:
    case KIND_ANY:
        write_raw(w, *(const struct str *)slot);
        break;
    case KIND_STRS:
        write_strs(w, slot);
        break;
    case KIND_LIST:
        write_list(w, f->part, slot);
        break;
    case KIND_PART:
        write_part(w, f->part, slot);
        break;
    }
}

void message_write(struct json_writer *w, const struct message *m, const void *in)
{
    jw_open_object(w);
    for (size_t i = 0; i < m->field_count; i++) {
        jw_key(w, m->fields[i].wire);
        write_field(w, &m->fields[i], (const char *)in + m->fields[i].offset);
    }
    jw_close_object(w);
}
