/* wire/http_stream.c - see the header. Lines of the framing are read when they are there as a whole: what is kept
 * between two calls is a state and a count, never a half-read number. */
#include "wire/http_stream.h"

#include "wire/http_text.h"

#define CHUNK_DIGITS_MAX 15 /* fits uint64_t whatever the digits are */

void http_stream_init(struct http_stream *s)
{
    *s = (struct http_stream){.at = HTTP_AT_HEAD};
}

static void skip(struct str *in, size_t size)
{
    *in = (struct str){in->at + size, in->len - size};
}

/* Of all digits, which the head's check has bounded. */
static uint64_t decimal(struct str digits)
{
    uint64_t n = 0;
    for (size_t i = 0; i < digits.len; i++)
        n = n * 10 + (uint64_t)(digits.at[i] - '0');
    return n;
}

static uint64_t hexadecimal(struct str digits)
{
    uint64_t n = 0;
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.at[i];
        n = n << 4 | (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return n;
}

/* RFC 9110, 5.6.4 */
static enum err quoted_take(struct http_cursor *c)
{
    enum err e = http_literal_take(c, STR("\""), STR("chunk"), "an extension without its quote");
    while (e == OK && (e = http_cursor_more(c)) == OK && c->at[c->pos] != '"') {
        c->pos += c->at[c->pos] == '\\';
        e = http_cursor_more(c);
        if (e == OK && !http_is(c->at[c->pos], IS_VALUE))
            return http_refuse(c, ERR_FORMAT, 400, STR("chunk"), "a control character in an extension");
        c->pos++;
    }
    return e == OK ? http_literal_take(c, STR("\""), STR("chunk"), "an extension without its quote") : e;
}

/* RFC 9112, 7.1.1: ";" name ["=" value], the value a token or quoted. */
static enum err extension_take(struct http_cursor *c)
{
    struct str word;
    enum err e = http_literal_take(c, STR(";"), STR("chunk"), "neither an extension nor CR LF behind the size");
    if (e == OK)
        e = http_word_take(c, IS_TOKEN, &word);
    if (e == OK && word.len == 0)
        return http_refuse(c, ERR_FORMAT, 400, STR("chunk"), "an extension without a name");
    if (e != OK || c->at[c->pos] != '=')
        return e;
    c->pos++;
    e = http_cursor_more(c);
    if (e == OK && c->at[c->pos] == '"')
        return quoted_take(c);
    if (e == OK)
        e = http_word_take(c, IS_TOKEN, &word);
    if (e == OK && word.len == 0)
        return http_refuse(c, ERR_FORMAT, 400, STR("chunk"), "an extension with an empty value");
    return e;
}

/* RFC 9112, 7.1: the line before a chunk. */
static enum err chunk_line_take(struct http_cursor *c, uint64_t *size)
{
    struct str digits;
    enum err e = http_word_take(c, IS_HEX, &digits);
    if (e == OK && (digits.len == 0 || digits.len > CHUNK_DIGITS_MAX))
        return http_refuse(c, ERR_FORMAT, 400, STR("chunk"), "its size is not 1 to 15 hexadecimal digits");
    while (e == OK && (e = http_cursor_more(c)) == OK && c->at[c->pos] != '\r')
        e = extension_take(c);
    if (e == OK)
        e = http_literal_take(c, STR("\r\n"), STR("chunk"), "its line does not end in CR LF");
    if (e == OK)
        *size = hexadecimal(digits);
    return e;
}

/* One step: what it takes is what the cursor went over. OK with HTTP_PART_NONE: it was framing, nothing to tell of.
 * ERR_AGAIN: the rest of it has not come. */
struct step {
    struct http_cursor c;
    struct str *in, *piece;
    struct http_head *head;
    enum http_part part;
};

static enum err at_head(struct http_stream *s, struct step *t)
{
    enum err e = http_read_request(*t->in, t->head, &t->c.status, t->c.why);
    if (e != OK)
        return e;
    struct str length = http_find(t->head, STR("Content-Length"), NULL);
    s->is_chunked = http_find(t->head, STR("Transfer-Encoding"), NULL).at != NULL;
    s->left = s->is_chunked ? 0 : decimal(length);
    s->trailer_size = 0;
    s->at = s->is_chunked ? HTTP_AT_CHUNK : s->left > 0 ? HTTP_AT_BODY : HTTP_AT_END;
    t->c.pos = t->head->size;
    t->part = HTTP_PART_HEAD;
    return OK;
}

static enum err at_body(struct http_stream *s, struct step *t)
{
    size_t size = s->left < t->in->len ? (size_t)s->left : t->in->len;
    if (size == 0)
        return ERR_AGAIN;
    *t->piece = http_cut(*t->in, 0, size);
    s->left -= size;
    if (s->left == 0)
        s->at = s->is_chunked ? HTTP_AT_CHUNK_END : HTTP_AT_END;
    t->c.pos = size;
    t->part = HTTP_PART_BODY;
    return OK;
}

static enum err at_chunk(struct http_stream *s, struct step *t)
{
    uint64_t size = 0;
    http_cursor_limit(&t->c, t->in->len, HTTP_CHUNK_LINE_MAX, 400);
    enum err e = chunk_line_take(&t->c, &size);
    if (e != OK)
        return e;
    s->left = size;
    s->at = size > 0 ? HTTP_AT_BODY : HTTP_AT_TRAILER;
    return OK;
}

static enum err at_chunk_end(struct http_stream *s, struct step *t)
{
    http_cursor_limit(&t->c, t->in->len, CRLF_SIZE + 1, 400);
    enum err e = http_literal_take(&t->c, STR("\r\n"), STR("chunk"), "it does not end in CR LF where its size says");
    if (e == OK)
        s->at = HTTP_AT_CHUNK;
    return e;
}

/* RFC 9112, 7.1.2: one line of them, or the empty line behind all. */
static enum err at_trailer(struct http_stream *s, struct step *t)
{
    struct http_header line;
    t->c.what = STR("trailers");
    http_cursor_limit(&t->c, t->in->len, HTTP_TRAILERS_MAX - s->trailer_size, 431);
    enum err e = http_cursor_more(&t->c);
    if (e != OK)
        return e;
    bool is_last = t->in->at[0] == '\r';
    e = is_last ? http_literal_take(&t->c, STR("\r\n"), STR("trailers"), "the empty line is not CR LF")
                : http_header_take(&t->c, &line);
    if (e != OK)
        return e;
    s->trailer_size += t->c.pos;
    if (is_last)
        s->at = HTTP_AT_END;
    return OK;
}

static enum err at_end(struct http_stream *s, struct step *t)
{
    s->at = HTTP_AT_HEAD;
    t->part = HTTP_PART_END;
    return OK;
}

static enum err at_bad(struct http_stream *s, struct step *t)
{
    t->c.status = s->status;
    return ERR_FORMAT;
}

enum http_part http_stream_next(struct http_stream *s, struct str *in, struct http_head *head, struct str *piece,
                                struct fault *why)
{
    static enum err (*const steps[])(struct http_stream * s, struct step * t) = {
        [HTTP_AT_HEAD] = at_head,       [HTTP_AT_BODY] = at_body,
        [HTTP_AT_CHUNK] = at_chunk,     [HTTP_AT_CHUNK_END] = at_chunk_end,
        [HTTP_AT_TRAILER] = at_trailer, [HTTP_AT_END] = at_end,
        [HTTP_AT_BAD] = at_bad,
    };
    for (;;) {
        struct step t = {.c = {.at = in->at, .what = STR("chunk"), .why = why}, .in = in, .piece = piece, .head = head};
        enum err e = steps[s->at](s, &t);
        if (e == ERR_AGAIN)
            return HTTP_PART_NONE;
        if (e != OK) {
            s->at = HTTP_AT_BAD;
            s->status = t.c.status;
            return HTTP_PART_BAD;
        }
        skip(in, t.c.pos);
        if (t.part != HTTP_PART_NONE)
            return t.part;
    }
}
