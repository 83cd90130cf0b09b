/* wire/http.h - the head of an HTTP/1.1 message, as strict as a parser in front of nothing may be (RFC 9112): the
 * upgrade request that a station sends, and for our client side the answer to it. Pure. */
#ifndef WIRE_HTTP_H
#define WIRE_HTTP_H
#include "base/memory.h"

#define HTTP_LINE_MAX    2048 /* request line */
#define HTTP_HEAD_MAX    8192 /* whole head */
#define HTTP_HEADERS_MAX 64

struct http_header {
    struct str name, value; /* value without the blanks around it */
};
struct http_head {
    struct str method, target; /* of a request */
    int status;                /* of an answer */
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
    size_t size; /* bytes of the head, its empty line included */
};

/* Reads a head from the start of text; all parts borrow from it. ERR_AGAIN: not all there yet (a head that is already
 * wrong is refused at once: what is refused in part is refused whole, and in the same words). ERR_FORMAT: *status is
 * 400; ERR_LIMIT: 414 or 431; ERR_UNSUPPORTED: 505. Refused: bare LF or CR, NUL, obs-fold, a blank before the colon, no
 * or a second Host, absolute-form or asterisk-form targets, body lengths that contradict each other, a body at all with
 * an upgrade (Content-Length other than 0, Transfer-Encoding). */
MUST_USE enum err http_read_request(struct str text, struct http_head *out, int *status, struct fault *why);
MUST_USE enum err http_read_answer(struct str text, struct http_head *out, struct fault *why);

/* First value of a header (names fold case); absent if there is none. *count (may be NULL) says how many lines there
 * are. */
struct str http_find(const struct http_head *h, struct str name, size_t *count);
/* Walks the comma separated tokens of all lines of a header, empty ones left out: false at the end. *cursor starts at
 * 0. */
bool http_next_token(const struct http_head *h, struct str name, size_t *cursor, struct str *token);

/* Is it a WebSocket upgrade? OK and *key; else ERR_FORMAT and *status 400, or ERR_UNSUPPORTED and 405 (method) or 426
 * (version: answer Sec-WebSocket-Version: 13; or no upgrade at all). lenient: a missing Connection: Upgrade beside a
 * right Upgrade and key is let pass (ocpp16.md 1.2). */
MUST_USE enum err http_check_upgrade(const struct http_head *h, bool lenient, struct str *key, int *status,
                                     struct fault *why);

/* The one path segment behind one of the prefixes, percent-decoded once as UTF-8 (ocpp16.md 1.1): split before
 * decoding, one trailing '/' let pass, query dropped. A prefix is compared by segments; one in braces
 * ("/ocpp/{tenant}") stands for any. ERR_UNKNOWN: no such prefix, not exactly one segment, or "." or "..", which name
 * another path (404); ERR_FORMAT: bad escape, bad UTF-8, control character, empty (400); ERR_RANGE: longer than
 * IDENTITY_MAX bytes (400). */
#define IDENTITY_MAX 255
MUST_USE enum err http_identity(struct str target, const struct str *prefixes, size_t prefix_count,
                                char out[IDENTITY_MAX + 1], size_t *len);

/* Authorization: Basic: splits the decoded bytes after identity and ':' (ocpp16.md 1.4: the password may hold any
 * byte). ERR_MISSING: no such header; ERR_FORMAT; ERR_MEMORY: scratch is too small; ERR_DENIED: the user name is
 * another one. scratch is cleared first, and *password borrows from it. */
MUST_USE enum err http_basic_password(const struct http_head *h, struct str identity, struct buf *scratch,
                                      struct bytes *password);
const char *http_status_text(int status); /* never NULL */
#endif
