/* wire/http_text.h - how text of HTTP is read, for the files http*.c of this folder: classes of characters, and a
 * cursor that goes from left to right up to a limit. Every rule is applied at the byte that breaks it, so that a part
 * of a text is refused exactly when the whole would be, and in the same words. Pure. */
#ifndef WIRE_HTTP_TEXT_H
#define WIRE_HTTP_TEXT_H
#include "wire/http.h"

#define CRLF_SIZE 2

enum {
    IS_TOKEN = 1 << 0,  /* RFC 9110, 5.6.2 */
    IS_TARGET = 1 << 1, /* RFC 3986: pchar, '/', '?', and '|', which stations do not escape */
    IS_VALUE = 1 << 2,  /* RFC 9110, 5.5: blanks, visible, obs-text */
    IS_HOST = 1 << 3,   /* reg-name, of RFC 3986 */
    IS_DIGIT = 1 << 4,
    IS_HEX = 1 << 5,
    IS_BLANK = 1 << 6,
    IS_IP6 = 1 << 7, /* what stands between [ and ] */
};

/* What is being read. status: what to answer when an error was returned; end: how far the text or the limit reaches. */
struct http_cursor {
    const char *at;
    size_t pos, end;
    size_t limit;    /* of what is being read now: at it, it is too long */
    struct str what; /* is too long */
    int status, limit_status;
    struct fault *why;
};

bool http_is(char c, unsigned class);
bool http_is_all(struct str s, unsigned class); /* and there is at least one */
struct str http_cut(struct str s, size_t from, size_t to);
struct str http_trim(struct str s); /* without the blanks around it */

/* From here on the text is too long at its limit-th byte, counted from its start. */
void http_cursor_limit(struct http_cursor *c, size_t text_len, size_t limit, int status);
/* OK: there is a byte at pos. */
MUST_USE enum err http_cursor_more(struct http_cursor *c);
/* Returns e, and says why. */
MUST_USE enum err http_refuse(struct http_cursor *c, enum err e, int status, struct str field, const char *reason);

/* All bytes of the class from here on, followed by a byte of another. */
MUST_USE enum err http_word_take(struct http_cursor *c, unsigned class, struct str *out);
MUST_USE enum err http_literal_take(struct http_cursor *c, struct str literal, struct str field, const char *reason);
/* One line: name, colon, value, CR LF. */
MUST_USE enum err http_header_take(struct http_cursor *c, struct http_header *out);
#endif
