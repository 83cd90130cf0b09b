/* wire/http_stream.h - the requests of one connection, taken off its bytes one after the other, however they were cut:
 * heads (wire/http.h), and bodies by their length or in chunks (RFC 9112, 6 and 7). Pure.
 *
 * As strict as the head: a chunk's line is hexadecimal digits and extensions in the form of the standard, without
 * blanks; extensions and trailers are read, bounded and forgotten. What was refused once stays refused: nobody can say
 * where the next request would begin. */
#ifndef WIRE_HTTP_STREAM_H
#define WIRE_HTTP_STREAM_H
#include "wire/http.h"

#define HTTP_CHUNK_LINE_MAX 256  /* a chunk's size and its extensions */
#define HTTP_TRAILERS_MAX   4096 /* bytes of all trailers of a body */

enum http_part {
    HTTP_PART_NONE, /* what is there is no whole part yet */
    HTTP_PART_HEAD,
    HTTP_PART_BODY, /* some of it, never empty */
    HTTP_PART_END,  /* of the request; the next begins behind it */
    HTTP_PART_BAD,
};
struct http_stream {
    enum { HTTP_AT_HEAD, HTTP_AT_BODY, HTTP_AT_CHUNK, HTTP_AT_CHUNK_END, HTTP_AT_TRAILER, HTTP_AT_END, HTTP_AT_BAD } at;
    bool is_chunked; /* of the request that is being read */
    int status;      /* HTTP_PART_BAD: what to answer */
    uint64_t left;   /* of the body, or of the chunk; after a head: the body's length, if it is given */
    size_t trailer_size;
};

void http_stream_init(struct http_stream *s);

/* The next part, off the front of *in: all bytes that are there and were not taken. After HTTP_PART_NONE it is called
 * again with more of them, up to HTTP_HEAD_MAX: nothing that must be there as a whole is longer. head, for
 * HTTP_PART_HEAD, and *piece, for HTTP_PART_BODY, borrow from them. *why, for HTTP_PART_BAD (may be NULL). */
enum http_part http_stream_next(struct http_stream *s, struct str *in, struct http_head *head, struct str *piece,
                                struct fault *why);

/* Between HTTP_PART_HEAD and HTTP_PART_END. */
static inline bool http_stream_has_body(const struct http_stream *s)
{
    return s->is_chunked || s->left > 0;
}
#endif
