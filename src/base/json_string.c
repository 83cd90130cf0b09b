/* json_string.c - what stands between the quotes, and what it says. */
#include "base/json_string.h"
#include <string.h>

/* What stands for the character after a backslash; 'u' is apart. */
static const uint8_t escapes[256] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
};

/* Four hexadecimal digits; -1 if they are not. */
static int32_t hex4(const uint8_t *at)
{
    int32_t n = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i], lower = c | 0x20;
        if (c >= '0' && c <= '9')
            n = n << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            n = n << 4 | (lower - 'a' + 10);
        else
            return -1;
    }
    return n;
}

size_t json_escape_read(const uint8_t *at, const uint8_t *end, uint32_t *character)
{
    size_t left = (size_t)(end - at);
    if (left < 2)
        return 0;
    if (at[1] != 'u') {
        *character = escapes[at[1]];
        return *character == 0 ? 0 : 2;
    }
    int32_t n = left < 6 ? -1 : hex4(at + 2);
    if (n < 0 || (n >= 0xDC00 && n <= 0xDFFF))
        return 0;
    *character = (uint32_t)n;
    if (n < 0xD800 || n > 0xDBFF)
        return 6;
    int32_t low = left >= 12 && at[6] == '\\' && at[7] == 'u' ? hex4(at + 8) : -1;
    if (low < 0xDC00 || low > 0xDFFF)
        return 0;
    *character = 0x10000 + ((uint32_t)(n - 0xD800) << 10) + (uint32_t)(low - 0xDC00);
    return 12;
}

static size_t utf8_write(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3F));
    out[0] = (uint8_t)(0xF00u >> size | c); /* 110, 1110 or 11110 and what is left */
    return size;
}

/* The next character of a string with its escapes undone; a plain byte counts as a character. */
static size_t undone_next(const char **at, const char *end, uint8_t out[4])
{
    uint32_t character;
    if (**at != '\\') {
        out[0] = (uint8_t) * (*at)++;
        return 1;
    }
    size_t size = json_escape_read((const uint8_t *)*at, (const uint8_t *)end, &character);
    *at += size;
    return size == 0 ? 0 : utf8_write(character, out);
}

bool json_undo(struct str raw, char *to, size_t *len)
{
    const char *at = raw.at, *end = raw.at + raw.len;
    char *start = to;
    while (at < end) {
        const char *slash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((slash == NULL ? end : slash) - at);
        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (slash == NULL)
            break;
        uint8_t character[4];
        size_t size = undone_next(&at, end, character);
        if (size == 0)
            return false;
        memcpy(to, character, size);
        to += size;
    }
    *len = (size_t)(to - start);
    return true;
}

int json_undone_compare(struct str a, struct str b)
{
    const char *a_at = a.at, *a_end = a.at + a.len, *b_at = b.at, *b_end = b.at + b.len;
    uint8_t a_char[4], b_char[4];
    size_t a_size = 0, b_size = 0, a_used = 0, b_used = 0;
    for (;;) {
        if (a_used == a_size) {
            a_size = a_at < a_end ? undone_next(&a_at, a_end, a_char) : 0;
            a_used = 0;
        }
        if (b_used == b_size) {
            b_size = b_at < b_end ? undone_next(&b_at, b_end, b_char) : 0;
            b_used = 0;
        }
        if (a_size == 0 || b_size == 0)
            return (a_size != 0) - (b_size != 0);
        int order = a_char[a_used++] - b_char[b_used++];
        if (order != 0)
            return order;
    }
}

enum err json_string_text(struct json_string s, struct arena *a, struct str *out)
{
    if (!s.has_escape) {
        *out = s.raw;
        return OK;
    }
    size_t len;
    char *to = arena_take(a, s.raw.len);
    if (to == NULL)
        return ERR_MEMORY;
    if (!json_undo(s.raw, to, &len))
        return ERR_FORMAT;
    *out = (struct str){to, len};
    return OK;
}

bool json_string_is(struct json_string s, struct str want)
{
    if (!s.has_escape)
        return str_eq(s.raw, want);
    const char *at = s.raw.at, *end = s.raw.at + s.raw.len;
    uint8_t character[4];
    size_t used = 0;
    while (at < end) {
        size_t size = undone_next(&at, end, character);
        if (size == 0 || want.len - used < size || memcmp(want.at + used, character, size) != 0)
            return false;
        used += size;
    }
    return used == want.len;
}
