/* api/http_server.h - HTTP/1.1 requests in, answers out: threads of their own, each with its connections, over the one
 * strict reader of wire/http_stream.h.
 *
 * The server reads the head, asks on_head whether the body is wanted, reads it within its limits, and calls on_request.
 * An answer is a whole text, a file, or a source that is asked for pieces for as long as it has some. An exchange can
 * wait: it sleeps after HTTP_WAITS and goes on in on_resumed() after http_resume(), which any thread may call.
 *
 * What it refuses by itself, before anyone is asked: whatever RFC 9112 does not allow, HTTP/1.0, too many or too long
 * headers, repeated ones of those below, heads and bodies that come too slowly (the connection is ended); and, after
 * on_head has asked for it, a body above body_max. After what is malformed the connection is never used again. */
#ifndef API_HTTP_SERVER_H
#define API_HTTP_SERVER_H
#include "base/memory.h"

#define HTTP_ANSWER_HEADERS_MAX 12

/* The request headers that someone reads; a repeated one is refused. */
enum http_kept_header {
    HTTP_HOST,
    HTTP_AUTHORIZATION,
    HTTP_CONTENT_TYPE,
    HTTP_CONTENT_LENGTH,
    HTTP_TRANSFER_ENCODING,
    HTTP_EXPECT,
    HTTP_REQUEST_ID,
    HTTP_TRACEPARENT,
    HTTP_IDEMPOTENCY_KEY,
    HTTP_LAST_EVENT_ID,
    HTTP_CONTENT_SHA256,
    HTTP_HEADER_COUNT
};

/* Pieces of an endless answer. read: writes at most room bytes and returns how many; 0 when there are none now: it is
 * asked again after http_resume(); -1: the end. close: once, when nobody will ask again. */
struct http_source {
    long (*read)(void *state, char *to, size_t room);
    void (*close)(void *state);
    void *state;
};

struct http_answer {
    int status; /* 0: none yet */
    const char *content_type;
    struct buf body;           /* taken over by the server when the exchange ends */
    struct http_source source; /* read != NULL: instead of body */
    bool has_file;             /* instead of body: file_size bytes of file_fd, which the server closes */
    int file_fd;
    uint64_t file_size;
    struct {
        const char *name;
        char *value; /* heap, the server's */
    } headers[HTTP_ANSWER_HEADERS_MAX];
    size_t header_count;
};

/* What the server found wrong with a request before anyone saw it; on_refused turns it into an answer. */
enum http_refusal {
    HTTP_BAD_REQUEST,
    HTTP_BODY_TOO_LARGE,
    HTTP_TARGET_TOO_LONG,
    HTTP_HEADERS_TOO_LARGE,
    HTTP_OTHER_VERSION
};

/* One request and its answer. All text lives as long as the exchange; of a head that is malformed there is none. */
struct http_exchange {
    struct str method, target;            /* target as it came: path and query, nothing decoded */
    struct str header[HTTP_HEADER_COUNT]; /* absent: not there */
    struct str remote;                    /* address without port */
    struct str body;
    bool has_body;   /* announced by its head */
    size_t body_max; /* the server's; on_head may set another */
    struct http_answer answer;
    void *user; /* of who handles it */
};

enum http_next { HTTP_READ_BODY, HTTP_ANSWERED, HTTP_WAITS };
struct http_server_options {
    struct str address;  /* host:port, [v6]:port; port 0 picks one */
    const char *setting; /* what to call the address in a fault: "listen.api" */
    unsigned threads, connections_max;
    size_t body_max;
    /* On one of the server's threads. on_head: HTTP_READ_BODY, or HTTP_ANSWERED with the answer filled in. on_request
     * and on_resumed: the body is there; HTTP_ANSWERED or HTTP_WAITS (until http_resume). on_refused fills in the
     * answer. on_end: once for each exchange whose user is set, when its answer was sent or its connection has ended.
     */
    enum http_next (*on_head)(void *data, struct http_exchange *x);
    enum http_next (*on_request)(void *data, struct http_exchange *x);
    enum http_next (*on_resumed)(void *data, struct http_exchange *x);
    void (*on_refused)(void *data, struct http_exchange *x, enum http_refusal r, const char *reason);
    void (*on_end)(void *data, struct http_exchange *x);
    void *data;
};

struct http_server;
/* *why names setting and address: taken, not an address, not ours. */
MUST_USE enum err http_server_open(const struct http_server_options *o, struct http_server **out, struct fault *why);
struct str http_server_address(const struct http_server *s); /* host:port as bound */
uint64_t http_server_connections(struct http_server *s);
/* No new connection from here on. */
void http_server_quiesce(struct http_server *s);
/* Waits at most timeout_ms until every exchange under way is answered. */
void http_server_drain(struct http_server *s, int timeout_ms);
/* Nothing may be asleep any more: whoever suspended has resumed. */
void http_server_close(struct http_server *s);

/* For an exchange that waits, or whose handler or source is about to say so; once for each time. Any thread. */
void http_resume(struct http_exchange *x);

/* The peer of a sleeping exchange has closed its side: the server itself looks only at what is awake. Any thread. */
bool http_peer_is_gone(struct http_exchange *x);

/* A header of the answer; value is copied. Past HTTP_ANSWER_HEADERS_MAX is a bug. */
void http_answer_header(struct http_answer *a, const char *name, struct str value);
#endif
