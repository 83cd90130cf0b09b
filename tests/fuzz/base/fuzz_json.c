/* The reader pulled in several ways agrees with json_check about any bytes; and what is accepted, read value by value
 * and written again by the writer, reads back equal. A disagreement ends the process. */
/* covers: src/base/json.c src/base/json_string.c src/base/json_write.c */
#include "base/json.h"
#include <string.h>

#define ARENA_MAX  (8u << 20)
#define OUTPUT_MAX (8u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct copier {
    struct json j;
    struct json_writer w;
    struct arena arena;
    struct buf numbers;
};

static struct str text_of(struct copier *c, struct json_string s)
{
    struct str text;
    check(json_string_text(s, &c->arena, &text) == OK);
    check(json_string_is(s, text));
    check(utf8_is_valid((struct bytes){(const uint8_t *)text.at, text.len}));
    return text;
}

/* An integer is written as such; it must be the number that the text says. */
static void copy_number(struct copier *c)
{
    struct str text;
    int64_t n, again;
    if (!json_get_number(&c->j, &text))
        return;
    enum err e = json_number_int(text, &n);
    check(e == OK || e == ERR_RANGE || e == ERR_TYPE);
    if (e != OK) {
        jw_raw(&c->w, text);
        return;
    }
    buf_clear(&c->numbers);
    buf_put_int(&c->numbers, n);
    check(json_number_int(buf_str(&c->numbers), &again) == OK && again == n);
    jw_int(&c->w, n);
}

/* The recursion is as deep as the reader lets it be. */
static void copy_value(struct copier *c)
{
    struct json_string s;
    bool b;
    switch (json_peek(&c->j)) {
    case JSON_OBJECT:
        if (!json_open_object(&c->j))
            return;
        jw_open_object(&c->w);
        while (json_next_key(&c->j, &s)) {
            jw_key(&c->w, text_of(c, s));
            copy_value(c);
        }
        if (c->j.error == OK)
            jw_close_object(&c->w);
        return;
    case JSON_ARRAY:
        if (!json_open_array(&c->j))
            return;
        jw_open_array(&c->w);
        while (json_next_item(&c->j))
            copy_value(c);
        if (c->j.error == OK)
            jw_close_array(&c->w);
        return;
    case JSON_STRING:
        if (json_get_string(&c->j, &s))
            jw_str(&c->w, text_of(c, s));
        return;
    case JSON_NUMBER:
        copy_number(c);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        if (json_get_bool(&c->j, &b))
            jw_bool(&c->w, b);
        return;
    case JSON_NULL:
        if (json_get_null(&c->j))
            jw_null(&c->w);
        return;
    case JSON_NONE:
        break;
    }
    check(!json_skip(&c->j));
}

/* Reads a text to its end and writes what it said. */
static enum err copy(struct str text, struct buf *out)
{
    struct copier c;
    json_init(&c.j, text);
    jw_init(&c.w, out);
    arena_init(&c.arena, ARENA_MAX);
    buf_init(&c.numbers, 32);
    copy_value(&c);
    enum err e = json_end(&c.j);
    check(json_end(&c.j) == e && (e == OK) == (c.j.reason == NULL));
    arena_release(&c.arena);
    buf_release(&c.numbers);
    return e;
}

static enum err skip_all(struct str text)
{
    struct json j;
    json_init(&j, text);
    (void)json_skip(&j);
    return json_end(&j);
}

/* Members by turns: one skipped, one as raw text that is then checked by itself. */
static enum err raw_all(struct str text)
{
    struct json j;
    struct str raw;
    struct json_string key;
    json_init(&j, text);
    if (json_peek(&j) == JSON_OBJECT && json_open_object(&j)) {
        for (bool is_raw = true; json_next_key(&j, &key); is_raw = !is_raw) {
            if (!is_raw)
                (void)json_skip(&j);
            else if (json_get_raw(&j, &raw))
                check(skip_all(raw) == OK);
        }
    } else if (json_get_raw(&j, &raw)) {
        check(skip_all(raw) == OK);
    }
    return json_end(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct fault why = {.field = "", .reason = ""};
    struct buf once, twice;
    if (size > OUTPUT_MAX / 8)
        return 0;
    buf_init(&once, OUTPUT_MAX);
    buf_init(&twice, OUTPUT_MAX);
    enum err checked = json_check(text, &why), read = copy(text, &once);
    check(skip_all(text) == read && raw_all(text) == read);
    check((checked == OK) == (why.reason[0] == 0));
    /* the reader takes a repeated key, which json_check does not and then names; behind it may lie worse */
    check(checked == read || (checked == ERR_FORMAT && strstr(why.reason, "twice") != NULL));
    if (read == OK) {
        check(!once.failed && json_check(buf_str(&once), NULL) == checked);
        check(copy(buf_str(&once), &twice) == OK && str_eq(buf_str(&once), buf_str(&twice)));
    }
    buf_release(&once);
    buf_release(&twice);
    return 0;
}
