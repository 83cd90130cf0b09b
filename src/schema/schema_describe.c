/* schema_describe.c - the table of a message as JSON Schema and as Markdown: what OpenAPI, AsyncAPI and the reference
 * pages show is what the reader checks. */
#include "schema/schema.h"

#include <inttypes.h>
#include <stdio.h>

#define DIALECT   "https://json-schema.org/draft/2020-12/schema"
#define PATH_SIZE 256 /* of "part.list[].field" */

/* How a kind is called: in JSON Schema (NULL: any type) and on the reference page (NULL: as the list or part is
 * called). */
static const struct {
    const char *type, *shown;
} kinds[] = {
    [KIND_STR] = {"string", "text"},         [KIND_INTEGER] = {"integer", "integer"},
    [KIND_INT32] = {"integer", "integer"},   [KIND_DECIMAL] = {"number", "decimal"},
    [KIND_BOOLEAN] = {"boolean", "boolean"}, [KIND_TIME] = {"string", "date and time"},
    [KIND_CHOICE] = {"string", "word"},      [KIND_PART] = {"object", NULL},
    [KIND_LIST] = {"array", NULL},           [KIND_STRS] = {"array", "text[]"},
    [KIND_ANY] = {NULL, "any JSON"},
};

static void describe_members(struct json_writer *w, const struct message *m, const struct schema_view *v);

static void describe_type(struct json_writer *w, const char *type, bool may_be_null)
{
    if (type == NULL)
        return;
    jw_key(w, STR("type"));
    if (!may_be_null) {
        jw_str(w, str_of(type));
        return;
    }
    jw_open_array(w);
    jw_str(w, str_of(type));
    jw_str(w, STR("null"));
    jw_close_array(w);
}

static void describe_words(struct json_writer *w, const struct choice_list *c, bool may_be_null)
{
    jw_key(w, STR("enum"));
    jw_open_array(w);
    for (int i = 0; i < c->count; i++)
        jw_str(w, c->words[i]);
    if (may_be_null)
        jw_null(w);
    jw_close_array(w);
}

static void describe_texts(struct json_writer *w, const struct field *f)
{
    jw_key(w, STR("items"));
    jw_open_object(w);
    jw_field_str(w, "type", STR("string"));
    if (f->most > 0)
        jw_field_int(w, "maxLength", f->most);
    jw_close_object(w);
}

static void describe_number(struct json_writer *w, const struct field *f, const struct schema_view *v)
{
    int64_t most = v->most == NULL ? f->most : v->most(f);
    if (f->least > INT64_MIN)
        jw_field_int(w, "minimum", f->least);
    if (!v->is_given && most < INT64_MAX)
        jw_field_int(w, "maximum", most);
}

/* The finest step, 10^-digits. */
static void describe_digits(struct json_writer *w, int digits)
{
    jw_key(w, STR("multipleOf"));
    jw_decimal(w, 1, digits);
}

void schema_describe_field(struct json_writer *w, const struct field *f, const struct schema_view *v)
{
    bool may_be_null = v->is_given && f->presence == OPTIONAL;
    describe_type(w, kinds[f->kind].type, may_be_null);
    switch (f->kind) {
    case KIND_STR:
        if (f->most > 0)
            jw_field_int(w, "maxLength", f->most);
        break;
    case KIND_INTEGER:
    case KIND_INT32:
        describe_number(w, f, v);
        break;
    case KIND_DECIMAL:
        if (!v->is_given && f->most > 0)
            describe_digits(w, (int)f->most);
        break;
    case KIND_TIME:
        jw_field_str(w, "format", STR("date-time"));
        break;
    case KIND_CHOICE:
        describe_words(w, f->choice, may_be_null);
        break;
    case KIND_PART:
        jw_field_str(w, "title", str_of(f->part->name));
        describe_members(w, f->part, v);
        break;
    case KIND_LIST:
        if (f->least > 0)
            jw_field_int(w, "minItems", f->least);
        if (!v->is_given)
            jw_field_int(w, "maxItems", SCHEMA_ITEMS_MAX);
        jw_key(w, STR("items"));
        schema_describe_object(w, f->part, v);
        break;
    case KIND_STRS:
        if (!v->is_given)
            jw_field_int(w, "maxItems", SCHEMA_ITEMS_MAX);
        describe_texts(w, f);
        break;
    case KIND_BOOLEAN:
    case KIND_ANY:
        break;
    }
}

/* "properties" and what goes with them, into an object that is open. */
static void describe_members(struct json_writer *w, const struct message *m, const struct schema_view *v)
{
    size_t required_count = 0;
    jw_key(w, STR("properties"));
    jw_open_object(w);
    for (size_t i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        required_count += f->presence == REQUIRED;
        jw_key(w, f->wire);
        jw_open_object(w);
        schema_describe_field(w, f, v);
        jw_close_object(w);
    }
    jw_close_object(w);
    if (required_count > 0) {
        jw_key(w, STR("required"));
        jw_open_array(w);
        for (size_t i = 0; i < m->field_count; i++)
            if (m->fields[i].presence == REQUIRED)
                jw_str(w, m->fields[i].wire);
        jw_close_array(w);
    }
    jw_field_bool(w, "additionalProperties", false);
}

static void describe_titled(struct json_writer *w, const struct message *m, const struct schema_view *v)
{
    jw_field_str(w, "title", str_of(m->name));
    jw_field_str(w, "type", STR("object"));
    describe_members(w, m, v);
}

void schema_describe_object(struct json_writer *w, const struct message *m, const struct schema_view *v)
{
    jw_open_object(w);
    describe_titled(w, m, v);
    jw_close_object(w);
}

void schema_describe(const struct message *m, struct buf *out)
{
    static const struct schema_view taken = {false, NULL};
    struct json_writer w;
    jw_init(&w, out);
    jw_open_object(&w);
    jw_field_str(&w, "$schema", STR(DIALECT));
    describe_titled(&w, m, &taken);
    jw_close_object(&w);
}

static void document_words(const struct field *f, struct buf *out)
{
    for (int i = 0; i < f->choice->count; i++)
        buf_printf(out, "%s`%.*s`", i == 0 ? "" : ", ", STR_ARG(f->choice->words[i]));
    if (f->is_open)
        buf_put_lit(out, "; others are taken");
}

static void document_limits(const struct field *f, struct buf *out)
{
    switch (f->kind) {
    case KIND_STR:
    case KIND_STRS:
        if (f->most > 0)
            buf_printf(out, "at most %" PRId64 " characters%s", f->most, f->kind == KIND_STRS ? " each" : "");
        break;
    case KIND_INTEGER:
    case KIND_INT32:
        if (f->least > (f->kind == KIND_INT32 ? INT32_MIN : INT64_MIN))
            buf_printf(out, "at least %" PRId64, f->least);
        break;
    case KIND_DECIMAL:
        if (f->most > 0)
            buf_printf(out, "at most %" PRId64 " digit%s after the point", f->most, f->most == 1 ? "" : "s");
        break;
    case KIND_CHOICE:
        document_words(f, out);
        break;
    case KIND_LIST:
        if (f->least > 0)
            buf_printf(out, "at least %" PRId64 " item%s", f->least, f->least == 1 ? "" : "s");
        break;
    case KIND_BOOLEAN:
    case KIND_TIME:
    case KIND_PART:
    case KIND_ANY:
        break;
    }
}

static void document_fields(const struct message *m, struct str before, struct buf *out)
{
    for (size_t i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        buf_printf(out, "| `%.*s%.*s` | ", STR_ARG(before), STR_ARG(f->wire));
        if (kinds[f->kind].shown != NULL)
            buf_put_str(out, str_of(kinds[f->kind].shown));
        else
            buf_printf(out, "%s%s", f->part->name, f->kind == KIND_LIST ? "[]" : "");
        buf_printf(out, " | %s | ", f->presence == REQUIRED ? "yes" : "no");
        document_limits(f, out);
        buf_put_lit(out, " |\n");
        if (f->part == NULL)
            continue;
        char path[PATH_SIZE];
        int len = snprintf(path, sizeof path, "%.*s%.*s%s.", STR_ARG(before), STR_ARG(f->wire),
                           f->kind == KIND_LIST ? "[]" : "");
        check(len > 0 && (size_t)len < sizeof path);
        document_fields(f->part, (struct str){path, (size_t)len}, out);
    }
}

void schema_document(const struct message *m, struct buf *out)
{
    if (m->field_count == 0) {
        buf_put_lit(out, "_Empty object `{}`._\n");
        return;
    }
    buf_put_lit(out, "| field | type | required | limits |\n|---|---|---|---|\n");
    document_fields(m, STR(""), out);
}
