/* json_write.c - the writer. Whatever it is given, its output is JSON. */
#include "base/json.h"
#include "base/scan.h"

#define WRITE_DEPTH_MAX 64 /* bits of has_item */

void jw_init(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out};
}

/* Before a value or key: the comma, if something stands before it. */
static inline void separate(struct json_writer *w)
{
    if (w->after_key || w->depth == 0) {
        w->after_key = false;
        return;
    }
    uint64_t bit = (uint64_t)1 << (w->depth - 1);
    if (w->has_item & bit)
        buf_put_byte(w->out, ',');
    w->has_item |= bit;
}

static void open_level(struct json_writer *w, uint8_t bracket)
{
    check(w->depth < WRITE_DEPTH_MAX);
    separate(w);
    buf_put_byte(w->out, bracket);
    w->has_item &= ~((uint64_t)1 << w->depth);
    w->depth++;
}

static void close_level(struct json_writer *w, uint8_t bracket)
{
    check(w->depth > 0 && !w->after_key);
    w->depth--;
    buf_put_byte(w->out, bracket);
}

void jw_open_object(struct json_writer *w)
{
    open_level(w, '{');
}

void jw_close_object(struct json_writer *w)
{
    close_level(w, '}');
}

void jw_open_array(struct json_writer *w)
{
    open_level(w, '[');
}

void jw_close_array(struct json_writer *w)
{
    close_level(w, ']');
}

/* From the first byte that does not stand for itself. */
static __attribute__((noinline)) void put_rest(struct buf *out, const uint8_t *at, const uint8_t *end)
{
    static const char digits[] = "0123456789abcdef";
    while (at < end) {
        const uint8_t *plain = at;
        size_t size = 0;
        while ((at = scan_plain(at, end)) < end && *at >= 0x80 && (size = utf8_char_size(at, end)) > 0)
            at += size;
        buf_put(out, plain, (size_t)(at - plain));
        if (at == end)
            break;
        if (*at >= 0x80)
            buf_put_lit(out, "\xEF\xBF\xBD"); /* U+FFFD for each byte that is no part of a character */
        else if (*at >= 0x20)
            buf_put(out, (uint8_t[]){'\\', *at}, 2);
        else
            buf_put(out, (char[]){'\\', 'u', '0', '0', digits[*at >> 4], digits[*at & 0x0F]}, 6);
        at++;
    }
    buf_put_byte(out, '"');
}

static void put_quoted(struct buf *out, struct str s)
{
    const uint8_t *at = (const uint8_t *)s.at, *end = s.len == 0 ? at : at + s.len, *stop = scan_plain(at, end);
    size_t plain = (size_t)(stop - at);
    uint8_t *to = buf_reserve(out, plain + 2);
    if (to == NULL)
        return;
    *to++ = '"';
    if (plain > 0)
        memcpy(to, at, plain);
    out->len += plain + 1;
    if (stop == end)
        buf_put_byte(out, '"');
    else
        put_rest(out, stop, end);
}

void jw_key(struct json_writer *w, struct str key)
{
    check(w->depth > 0 && !w->after_key);
    separate(w);
    put_quoted(w->out, key);
    buf_put_byte(w->out, ':');
    w->after_key = true;
}

void jw_quoted_key(struct json_writer *w, struct str key)
{
    check(w->depth > 0 && !w->after_key);
    separate(w);
    buf_put_str(w->out, key);
    w->after_key = true;
}

void jw_str(struct json_writer *w, struct str s)
{
    separate(w);
    if (s.at == NULL)
        buf_put_lit(w->out, "null");
    else
        put_quoted(w->out, s);
}

void jw_int(struct json_writer *w, int64_t n)
{
    separate(w);
    buf_put_int(w->out, n);
}

void jw_bool(struct json_writer *w, bool b)
{
    separate(w);
    buf_put_str(w->out, b ? STR("true") : STR("false"));
}

void jw_null(struct json_writer *w)
{
    separate(w);
    buf_put_lit(w->out, "null");
}

void jw_raw(struct json_writer *w, struct str json)
{
    separate(w);
    buf_put_str(w->out, json.at == NULL ? STR("null") : json);
}

void jw_instant(struct json_writer *w, struct instant t)
{
    separate(w);
    if (!instant_is_set(t)) {
        buf_put_lit(w->out, "null");
        return;
    }
    buf_put_byte(w->out, '"');
    buf_put_instant(w->out, t);
    buf_put_byte(w->out, '"');
}

void jw_decimal(struct json_writer *w, int64_t scaled, int digits)
{
    separate(w);
    buf_put_decimal(w->out, scaled, digits);
}

void jw_field_str(struct json_writer *w, const char *key, struct str s)
{
    jw_key(w, str_of(key));
    jw_str(w, s);
}

void jw_field_str_opt(struct json_writer *w, const char *key, struct str s)
{
    if (s.at != NULL)
        jw_field_str(w, key, s);
}

void jw_field_int(struct json_writer *w, const char *key, int64_t n)
{
    jw_key(w, str_of(key));
    jw_int(w, n);
}

void jw_field_bool(struct json_writer *w, const char *key, bool b)
{
    jw_key(w, str_of(key));
    jw_bool(w, b);
}

void jw_field_raw(struct json_writer *w, const char *key, struct str json)
{
    jw_key(w, str_of(key));
    jw_raw(w, json);
}

void jw_field_instant(struct json_writer *w, const char *key, struct instant t)
{
    jw_key(w, str_of(key));
    jw_instant(w, t);
}
