/* Every message of OCPP 1.6, tested by its own table: what a line says must be read, and what it forbids must be
 * refused. The row that fails is named by message and field. */
#include "check.h"
#include "proto/ocpp16/messages.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ARENA_MAX (4 << 20)
#define TEXT_MAX  (1 << 20)
#define NOTHING   SIZE_MAX

/* One field written otherwise than the table wants: NULL leaves it out. */
struct spoil {
    size_t field;
    const char *instead;
};

struct bench {
    struct arena arena;
    struct buf text, again, value;
    char row[160];
};

static void put_message(struct json_writer *w, const struct message *m, struct spoil spoil);

static struct str full_text(struct buf *room, int64_t characters)
{
    buf_clear(room);
    for (int64_t i = 0; i < (characters == 0 ? 1 : characters); i++)
        buf_put_lit(room, "\xC3\xA4"); /* two bytes each: a limit in bytes would refuse it */
    return buf_str(room);
}

static void put_text(struct json_writer *w, int64_t characters)
{
    struct buf room;
    buf_init(&room, TEXT_MAX);
    jw_str(w, full_text(&room, characters));
    buf_release(&room);
}

static void put_field(struct json_writer *w, const struct field *f)
{
    switch (f->kind) {
    case KIND_STR:
        put_text(w, f->most);
        break;
    case KIND_INTEGER:
    case KIND_INT32:
        jw_int(w, f->most);
        break;
    case KIND_DECIMAL:
        jw_raw(w, STR("8.1"));
        break;
    case KIND_BOOLEAN:
        jw_bool(w, true);
        break;
    case KIND_TIME:
        jw_str(w, STR("2026-03-01T10:00:01.25+01:00"));
        break;
    case KIND_CHOICE:
        jw_str(w, f->choice->words[f->choice->count - 1]);
        break;
    case KIND_PART:
        put_message(w, f->part, (struct spoil){NOTHING, NULL});
        break;
    case KIND_LIST:
        jw_open_array(w);
        for (int64_t i = 0; i < f->least + 1; i++)
            put_message(w, f->part, (struct spoil){NOTHING, NULL});
        jw_close_array(w);
        break;
    case KIND_STRS:
        jw_open_array(w);
        put_text(w, f->most);
        put_text(w, 1);
        jw_close_array(w);
        break;
    case KIND_ANY:
        jw_raw(w, STR("{\"a\":[1]}"));
        break;
    }
}

/* Every field, each as long and as great as it may be. */
static void put_message(struct json_writer *w, const struct message *m, struct spoil spoil)
{
    jw_open_object(w);
    for (size_t i = 0; i < m->field_count; i++) {
        if (i == spoil.field && spoil.instead == NULL)
            continue;
        jw_key(w, m->fields[i].wire);
        if (i == spoil.field)
            jw_raw(w, str_of(spoil.instead));
        else
            put_field(w, &m->fields[i]);
    }
    jw_close_object(w);
}

static struct str spoilt(struct bench *b, const struct message *m, struct spoil spoil)
{
    struct json_writer w;
    buf_clear(&b->text);
    jw_init(&w, &b->text);
    put_message(&w, m, spoil);
    return buf_str(&b->text);
}

static enum err read(struct bench *b, const struct message *m, struct str text, enum reading how, struct fault *why)
{
    arena_reset(&b->arena);
    void *out = arena_take(&b->arena, m->size);
    enum err e = schema_read(m, text, how, &b->arena, out, why);
    buf_clear(&b->again);
    if (e == OK)
        schema_write(m, out, &b->again);
    return e;
}

/* The spoilt message in the three ways. In LENIENT it is taken always, and the fault tells of it. */
static void expect(struct bench *b, const struct message *m, struct spoil spoil, enum err strict, enum err normal)
{
    struct fault why;
    struct str text = spoilt(b, m, spoil);
    CHECK(b->row, read(b, m, text, STRICT, &why) == strict);
    CHECK(b->row, strict == OK || str_starts(str_of(why.field), m->fields[spoil.field].wire));
    CHECK(b->row, read(b, m, text, NORMAL, &why) == normal);
    CHECK(b->row, read(b, m, text, LENIENT, &why) == OK);
    CHECK(b->row, (why.reason[0] != '\0') == (strict != OK));
}

static void name_row(struct bench *b, const struct message *m, const struct field *f, const char *what)
{
    (void)snprintf(b->row, sizeof b->row, "%s %.*s: %s", m->name, STR_ARG(f == NULL ? STR("") : f->wire), what);
}

static void check_full(struct bench *b, const struct message *m)
{
    struct fault why;
    name_row(b, m, NULL, "everything given is read and written again as it was");
    struct str text = spoilt(b, m, (struct spoil){NOTHING, NULL});
    for (enum reading how = STRICT; how <= LENIENT; how++) {
        CHECK(b->row, read(b, m, text, how, &why) == OK && why.reason[0] == '\0');
        CHECK(b->row, str_eq(buf_str(&b->again), text));
    }
}

static void check_unknown(struct bench *b, const struct message *m)
{
    struct fault why;
    name_row(b, m, NULL, "a member that it does not have");
    struct str text = spoilt(b, m, (struct spoil){NOTHING, NULL});
    buf_clear(&b->value);
    buf_put_lit(&b->value, "{\"vendorSpecific\":{\"a\":[]}");
    buf_put_str(&b->value, m->field_count == 0 ? STR("") : STR(","));
    buf_put(&b->value, text.at + 1, text.len - 1);
    CHECK(b->row, read(b, m, buf_str(&b->value), STRICT, &why) == ERR_UNKNOWN);
    CHECK(b->row, read(b, m, buf_str(&b->value), NORMAL, &why) == OK && str_eq(buf_str(&b->again), text));
    CHECK(b->row, read(b, m, buf_str(&b->value), LENIENT, &why) == OK && str_eq(buf_str(&b->again), text));
}

static void check_not_object(struct bench *b, const struct message *m)
{
    static const char *const others[] = {"[]", "\"a\"", "17", "true", "", "{", "nul"};
    for (size_t i = 0; i < COUNT_OF(others); i++)
        for (enum reading how = STRICT; how <= LENIENT; how++) {
            name_row(b, m, NULL, others[i]);
            CHECK(b->row, read(b, m, str_of(others[i]), how, NULL) == ERR_FORMAT);
        }
}

static void check_missing(struct bench *b, const struct message *m, size_t i)
{
    bool is_required = m->fields[i].presence == REQUIRED;
    enum err want = is_required ? ERR_MISSING : OK;
    name_row(b, m, &m->fields[i], "left out");
    expect(b, m, (struct spoil){i, NULL}, want, want);
    CHECK(b->row, str_eq(buf_str(&b->again), buf_str(&b->text)));
}

static void check_repeated(struct bench *b, const struct message *m, size_t i)
{
    struct json_writer w;
    name_row(b, m, &m->fields[i], "given twice");
    struct str text = spoilt(b, m, (struct spoil){NOTHING, NULL});
    buf_clear(&b->value);
    jw_init(&w, &b->value);
    buf_put(&b->value, text.at, text.len - 1);
    buf_put_lit(&b->value, ",\"");
    buf_put_str(&b->value, m->fields[i].wire);
    buf_put_lit(&b->value, "\":");
    put_field(&w, &m->fields[i]);
    buf_put_byte(&b->value, '}');
    for (enum reading how = STRICT; how <= LENIENT; how++)
        CHECK(b->row, read(b, m, buf_str(&b->value), how, NULL) == ERR_FORMAT);
}

/* What is of another kind for each kind. */
static const char *const wrong_kinds[] = {
    [KIND_STR] = "17",    [KIND_INTEGER] = "1.5", [KIND_INT32] = "1.5", [KIND_DECIMAL] = "\"8.1\"",
    [KIND_BOOLEAN] = "0", [KIND_TIME] = "17",     [KIND_CHOICE] = "17", [KIND_PART] = "\"a\"",
    [KIND_LIST] = "{}",   [KIND_STRS] = "\"a\"",  [KIND_ANY] = NULL,
};

static void check_wrong_kind(struct bench *b, const struct message *m, size_t i)
{
    name_row(b, m, &m->fields[i], "of the wrong kind");
    const char *other = wrong_kinds[m->fields[i].kind];
    if (other == NULL)
        return;
    expect(b, m, (struct spoil){i, other}, ERR_TYPE, ERR_TYPE);
    expect(b, m,
           (struct spoil){i, m->fields[i].kind == KIND_LIST || m->fields[i].kind == KIND_STRS ? "{\"a\":[]}" : "[{}]"},
           ERR_TYPE, ERR_TYPE);
}

static void check_too_long(struct bench *b, const struct message *m, size_t i)
{
    const struct field *f = &m->fields[i];
    if (f->most == 0)
        return;
    struct buf room;
    buf_init(&room, TEXT_MAX);
    buf_clear(&b->value);
    struct str text = full_text(&room, f->most + 1);
    buf_printf(&b->value, f->kind == KIND_STRS ? "[\"%.*s\"]" : "\"%.*s\"", STR_ARG(text));
    buf_put_byte(&b->value, '\0');
    name_row(b, m, f, "one character too long");
    expect(b, m, (struct spoil){i, (const char *)b->value.at}, ERR_RANGE, ERR_RANGE);
    buf_release(&room);
}

static void check_out_of_range(struct bench *b, const struct message *m, size_t i)
{
    const struct field *f = &m->fields[i];
    char below[24];
    (void)snprintf(below, sizeof below, "%" PRId64, f->least - 1);
    name_row(b, m, f, "below its least value");
    expect(b, m, (struct spoil){i, below}, ERR_RANGE, ERR_RANGE);
    name_row(b, m, f, "beyond 32 bits");
    expect(b, m, (struct spoil){i, "2147483648"}, ERR_RANGE, ERR_RANGE);
    expect(b, m, (struct spoil){i, "99999999999999999999"}, ERR_RANGE, ERR_RANGE);
}

static void check_words(struct bench *b, const struct message *m, size_t i)
{
    const struct field *f = &m->fields[i];
    for (int n = 0; n < f->choice->count; n++) {
        struct str word = f->choice->words[n];
        name_row(b, m, f, word.at);
        buf_clear(&b->value);
        buf_printf(&b->value, "\"%.*s\"", STR_ARG(word));
        buf_put_byte(&b->value, '\0');
        expect(b, m, (struct spoil){i, (const char *)b->value.at}, OK, OK);
        CHECK(b->row, choice_find(f->choice, word) == n);
    }
    name_row(b, m, f, "a word that is not in the list");
    expect(b, m, (struct spoil){i, "\"Request.Energy\""}, ERR_RANGE, f->is_open ? OK : ERR_RANGE);
}

static void check_field(struct bench *b, const struct message *m, size_t i)
{
    const struct field *f = &m->fields[i];
    check_missing(b, m, i);
    check_repeated(b, m, i);
    check_wrong_kind(b, m, i);
    name_row(b, m, f, "what its kind forbids");
    switch (f->kind) {
    case KIND_STR:
    case KIND_STRS:
        check_too_long(b, m, i);
        break;
    case KIND_INTEGER:
    case KIND_INT32:
        check_out_of_range(b, m, i);
        break;
    case KIND_DECIMAL:
        expect(b, m, (struct spoil){i, "8.15"}, ERR_RANGE, ERR_RANGE);
        break;
    case KIND_TIME:
        expect(b, m, (struct spoil){i, "\"2026-13-01T00:00:00Z\""}, ERR_RANGE, ERR_RANGE);
        break;
    case KIND_CHOICE:
        check_words(b, m, i);
        break;
    case KIND_LIST:
        expect(b, m, (struct spoil){i, "[]"}, f->least > 0 ? ERR_MISSING : OK, f->least > 0 ? ERR_MISSING : OK);
        break;
    case KIND_BOOLEAN:
    case KIND_PART:
    case KIND_ANY:
        break;
    }
}

/* A message and then the parts that it has. */
static void check_message(struct bench *b, const struct message *m)
{
    check_full(b, m);
    check_unknown(b, m);
    check_not_object(b, m);
    for (size_t i = 0; i < m->field_count; i++) {
        check_field(b, m, i);
        if (m->fields[i].part != NULL)
            check_message(b, m->fields[i].part);
    }
    name_row(b, m, NULL, "its description is JSON");
    buf_clear(&b->text);
    schema_describe(m, &b->text);
    CHECK(b->row, json_check(buf_str(&b->text), NULL) == OK);
}

int main(void)
{
    struct bench b;
    arena_init(&b.arena, ARENA_MAX);
    buf_init(&b.text, TEXT_MAX);
    buf_init(&b.again, TEXT_MAX);
    buf_init(&b.value, TEXT_MAX);
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        check_message(&b, ocpp_actions[i].request);
        check_message(&b, ocpp_actions[i].response);
    }
    CHECK("nothing was cut", !b.text.failed && !b.again.failed && !b.value.failed);
    arena_release(&b.arena);
    buf_release(&b.text);
    buf_release(&b.again);
    buf_release(&b.value);
    return CHECK_REPORT();
}
