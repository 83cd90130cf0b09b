/* wire/http_text.c - see the header. */
#include "wire/http_text.h"

#define IS_WORD (IS_TOKEN | IS_TARGET | IS_VALUE | IS_HOST)
static const uint8_t classes[256] = {
    ['\t'] = IS_VALUE | IS_BLANK,
    [' '] = IS_VALUE | IS_BLANK,
    ['!'] = IS_WORD,
    ['"'] = IS_VALUE,
    ['#'] = IS_TOKEN | IS_VALUE,
    ['$'] = IS_WORD,
    ['%'] = IS_WORD,
    ['&'] = IS_WORD,
    ['\''] = IS_WORD,
    ['('] = IS_TARGET | IS_VALUE | IS_HOST,
    [')'] = IS_TARGET | IS_VALUE | IS_HOST,
    ['*'] = IS_WORD,
    ['+'] = IS_WORD,
    [','] = IS_TARGET | IS_VALUE | IS_HOST,
    ['-'] = IS_WORD,
    ['.'] = IS_WORD | IS_IP6,
    ['/'] = IS_TARGET | IS_VALUE,
    ['0' ... '9'] = IS_WORD | IS_DIGIT | IS_HEX | IS_IP6,
    [':'] = IS_TARGET | IS_VALUE | IS_IP6,
    [';'] = IS_TARGET | IS_VALUE | IS_HOST,
    ['<'] = IS_VALUE,
    ['='] = IS_TARGET | IS_VALUE | IS_HOST,
    ['>'] = IS_VALUE,
    ['?'] = IS_TARGET | IS_VALUE,
    ['@'] = IS_TARGET | IS_VALUE,
    ['A' ... 'F'] = IS_WORD | IS_HEX | IS_IP6,
    ['G' ... 'Z'] = IS_WORD,
    ['['] = IS_VALUE,
    ['\\'] = IS_VALUE,
    [']'] = IS_VALUE,
    ['^'] = IS_TOKEN | IS_VALUE,
    ['_'] = IS_WORD,
    ['`'] = IS_TOKEN | IS_VALUE,
    ['a' ... 'f'] = IS_WORD | IS_HEX | IS_IP6,
    ['g' ... 'z'] = IS_WORD,
    ['{'] = IS_VALUE,
    ['|'] = IS_TOKEN | IS_TARGET | IS_VALUE,
    ['}'] = IS_VALUE,
    ['~'] = IS_WORD,
    [0x80 ... 0xFF] = IS_VALUE,
};

bool http_is(char c, unsigned class)
{
    return (classes[(uint8_t)c] & class) != 0;
}

bool http_is_all(struct str s, unsigned class)
{
    size_t i = 0;
    while (i < s.len && http_is(s.at[i], class))
        i++;
    return i == s.len && i > 0;
}

struct str http_cut(struct str s, size_t from, size_t to)
{
    return (struct str){s.at + from, to - from};
}

struct str http_trim(struct str s)
{
    size_t from = 0, to = s.len;
    while (from < to && http_is(s.at[from], IS_BLANK))
        from++;
    while (to > from && http_is(s.at[to - 1], IS_BLANK))
        to--;
    return http_cut(s, from, to);
}

enum err http_refuse(struct http_cursor *c, enum err e, int status, struct str field, const char *reason)
{
    c->status = status;
    fault_set(c->why, field, "%s", reason);
    return e;
}

void http_cursor_limit(struct http_cursor *c, size_t text_len, size_t limit, int status)
{
    c->end = text_len < limit ? text_len : limit;
    c->limit = limit;
    c->limit_status = status;
}

enum err http_cursor_more(struct http_cursor *c)
{
    if (c->pos < c->end)
        return OK;
    return c->end < c->limit ? ERR_AGAIN : http_refuse(c, ERR_LIMIT, c->limit_status, c->what, "too long");
}

enum err http_word_take(struct http_cursor *c, unsigned class, struct str *out)
{
    size_t from = c->pos;
    while (c->pos < c->end && http_is(c->at[c->pos], class))
        c->pos++;
    enum err e = http_cursor_more(c);
    if (e == OK)
        *out = (struct str){c->at + from, c->pos - from};
    return e;
}

enum err http_literal_take(struct http_cursor *c, struct str literal, struct str field, const char *reason)
{
    for (size_t i = 0; i < literal.len; i++) {
        enum err e = http_cursor_more(c);
        if (e != OK)
            return e;
        if (c->at[c->pos] != literal.at[i])
            return http_refuse(c, ERR_FORMAT, 400, field, reason);
        c->pos++;
    }
    return OK;
}

enum err http_header_take(struct http_cursor *c, struct http_header *out)
{
    enum err e = http_word_take(c, IS_TOKEN, &out->name);
    if (e != OK)
        return e;
    if (out->name.len == 0)
        return http_refuse(c, ERR_FORMAT, 400, STR("header"),
                           "the line starts with no name (folded, or a bare line end)");
    e = http_literal_take(c, STR(":"), out->name, "the name does not end in a colon");
    if (e == OK)
        e = http_word_take(c, IS_VALUE, &out->value);
    if (e == OK)
        e = http_literal_take(c, STR("\r\n"), out->name, "a control character, or a line that does not end in CR LF");
    if (e == OK)
        out->value = http_trim(out->value);
    return e;
}
