/* config/yaml.c - libyaml's events, one handler each. What a configuration has no use for (lists, aliases, tags) is
 * refused with its line instead of being taken as something else. */
#include "config/yaml.h"
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define LINE_DIGITS_MAX 12

struct walk {
    struct str name;
    yaml_on_value *on_value;
    void *data;
    struct fault *why;
    size_t line;
    char key[YAML_KEY_MAX];
    size_t key_len;
    size_t section_len[YAML_DEPTH_MAX]; /* of key, at each open map */
    size_t depth;
    size_t documents;
    bool key_is_read; /* a value comes next */
    bool is_done;
};

void yaml_place(char out[YAML_PLACE_SIZE], struct str name, size_t line)
{
    char number[LINE_DIGITS_MAX + 1];
    (void)snprintf(number, sizeof number, ":%zu", line % 100000000000);
    size_t room = YAML_PLACE_SIZE - 1 - strlen(number);
    const char *cut = name.len > room ? "..." : "";
    if (name.len > room) {
        size_t drop = name.len - (room - strlen(cut));
        while (drop < name.len && ((unsigned char)name.at[drop] & 0xc0) == 0x80)
            drop++; /* not in the middle of a character */
        name = (struct str){name.at + drop, name.len - drop};
    }
    (void)snprintf(out, YAML_PLACE_SIZE, "%s%.*s%s", cut, STR_ARG(name), number);
}

static enum err refuse(struct walk *w, enum err e, const char *reason)
{
    char place[YAML_PLACE_SIZE];
    yaml_place(place, w->name, w->line);
    fault_set(w->why, str_of(place), "%s", reason);
    return e;
}

static enum err on_nothing(struct walk *w, const yaml_event_t *ev)
{
    (void)w;
    (void)ev;
    return OK;
}

static enum err on_end(struct walk *w, const yaml_event_t *ev)
{
    (void)ev;
    w->is_done = true;
    return OK;
}

static enum err on_document(struct walk *w, const yaml_event_t *ev)
{
    (void)ev;
    return w->documents++ == 0 ? OK : refuse(w, ERR_TYPE, "a second document begins: a configuration is one");
}

static enum err on_alias(struct walk *w, const yaml_event_t *ev)
{
    (void)ev;
    return refuse(w, ERR_TYPE, "aliases (*name) are not taken: write the value");
}

static enum err on_list(struct walk *w, const yaml_event_t *ev)
{
    (void)ev;
    return refuse(w, ERR_TYPE, "a list stands where one value is wanted");
}

static enum err on_map_start(struct walk *w, const yaml_event_t *ev)
{
    if (ev->data.mapping_start.tag != NULL)
        return refuse(w, ERR_TYPE, "tags (!name) are not taken");
    if (w->depth > 0 && !w->key_is_read)
        return refuse(w, ERR_TYPE, "a key must be a word");
    if (w->depth == YAML_DEPTH_MAX)
        return refuse(w, ERR_LIMIT, "nested too deep");
    w->section_len[w->depth++] = w->key_len;
    w->key_is_read = false;
    return OK;
}

static enum err on_map_end(struct walk *w, const yaml_event_t *ev)
{
    (void)ev;
    w->depth--;
    w->key_len = w->depth == 0 ? 0 : w->section_len[w->depth - 1];
    return OK;
}

static enum err take_key(struct walk *w, struct str name)
{
    size_t dot = w->section_len[w->depth - 1] > 0;
    if (name.len + dot > sizeof w->key - w->section_len[w->depth - 1])
        return refuse(w, ERR_LIMIT, "a key is too long");
    w->key_len = w->section_len[w->depth - 1];
    if (dot)
        w->key[w->key_len++] = '.';
    memcpy(w->key + w->key_len, name.at, name.len);
    w->key_len += name.len;
    w->key_is_read = true;
    return OK;
}

static bool is_nothing(const yaml_event_t *ev, struct str text)
{
    return ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text.len == 0 || str_eq(text, STR("~")) || str_eq_nocase(text, STR("null")));
}

static enum err on_scalar(struct walk *w, const yaml_event_t *ev)
{
    struct str text = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
    if (ev->data.scalar.tag != NULL)
        return refuse(w, ERR_TYPE, "tags (!name) are not taken");
    if (w->depth == 0) /* a file of comments is one empty value */
        return is_nothing(ev, text) ? OK : refuse(w, ERR_TYPE, "a configuration is lines of \"key: value\"");
    if (!w->key_is_read)
        return take_key(w, text);
    w->key_is_read = false;
    struct yaml_value v = {{w->key, w->key_len}, text, w->line, is_nothing(ev, text)};
    struct fault inner = {"", ""};
    enum err e = w->on_value(w->data, &v, &inner);
    return e == OK ? OK : refuse(w, e, inner.reason);
}

static enum err (*const handlers[])(struct walk *w, const yaml_event_t *ev) = {
    [YAML_NO_EVENT] = on_nothing,           [YAML_STREAM_START_EVENT] = on_nothing,
    [YAML_STREAM_END_EVENT] = on_end,       [YAML_DOCUMENT_START_EVENT] = on_document,
    [YAML_DOCUMENT_END_EVENT] = on_nothing, [YAML_ALIAS_EVENT] = on_alias,
    [YAML_SCALAR_EVENT] = on_scalar,        [YAML_SEQUENCE_START_EVENT] = on_list,
    [YAML_SEQUENCE_END_EVENT] = on_nothing, [YAML_MAPPING_START_EVENT] = on_map_start,
    [YAML_MAPPING_END_EVENT] = on_map_end,
};

static enum err syntax_fault(struct walk *w, const yaml_parser_t *p, struct str text)
{
    char reason[sizeof w->why->reason];
    w->line = p->problem_mark.line + 1;
    if (p->error == YAML_READER_ERROR) { /* it knows the byte but no line */
        w->line = 1;
        for (size_t i = 0; i < p->problem_offset && i < text.len; i++)
            w->line += text.at[i] == '\n';
    }
    (void)snprintf(reason, sizeof reason, "this is no YAML: %s%s%s", p->problem == NULL ? "unreadable" : p->problem,
                   p->context == NULL ? "" : " ", p->context == NULL ? "" : p->context);
    return refuse(w, p->error == YAML_MEMORY_ERROR ? ERR_MEMORY : ERR_FORMAT, reason);
}

enum err yaml_walk(struct str name, struct str text, yaml_on_value *on_value, void *data, struct fault *why)
{
    struct walk w = {.name = name, .on_value = on_value, .data = data, .why = why};
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0)
        return refuse(&w, ERR_MEMORY, "out of memory");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.at == NULL ? "" : text.at), text.len);
    enum err e = OK;
    while (e == OK && !w.is_done) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            e = syntax_fault(&w, &parser, text);
            break;
        }
        w.line = event.start_mark.line + 1;
        e = handlers[event.type](&w, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return e;
}
