/* api/http_private.h - what http_server.c (threads), http_conn.c (a connection) and http_answer.c (heads of answers)
 * share.
 *
 * A connection belongs to the thread that accepted it and is touched by no other, but for http_resume(), which puts it
 * into its thread's list of the woken. */
#ifndef API_HTTP_PRIVATE_H
#define API_HTTP_PRIVATE_H
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>

#include "api/http_server.h"
#include "wire/http_stream.h"

#define HTTP_READ_SIZE        16384 /* of a body, or of a source, in one go */
#define HTTP_SILENCE_MS       30000 /* an idle connection, or one that does not read, is ended after it */
#define HTTP_HEAD_MS          10000 /* from the connection, or from a head's first byte, to a whole head */
#define HTTP_BODY_FIRST_MS    5000  /* a body may take this, and the time that its least rate allows */
#define HTTP_BODY_MS_PER_BYTE 2     /* 500 bytes a second */
#define HTTP_LINGER_MS        5000  /* what a peer still says is read that long, or it never reads why it was refused */
#define HTTP_DRAIN_MAX        (16u << 20) /* above body_max: bytes that are read and dropped for the same reason */
#define HTTP_ANSWER_HEAD_MAX  65536

struct http_thread {
    struct http_server *server;
    pthread_t id;
    int epoll, wake; /* wake: an eventfd */
    bool is_running, is_listening;
    struct link conns;
    struct link ready;    /* connections that go on without a word from their socket */
    atomic_bool is_waiting;   /* no handler of its is at work, which may block */
    atomic_size_t conn_count; /* of it and on their way to it */
    pthread_mutex_t lock;     /* of what follows */
    struct link woken;
    struct link arrived; /* connections that another thread has accepted for it */
};

struct http_server {
    struct http_server_options o;
    int listener;
    char address[INET6_ADDRSTRLEN + 16];
    struct http_thread *threads;
    atomic_bool is_quiet, is_closing;
    atomic_size_t conn_count;
    pthread_mutex_t lock; /* of exchange_count */
    pthread_cond_t changed;
    size_t exchange_count;
};

struct http_conn {
    struct http_exchange x; /* first: the two are one */
    struct link link;       /* of its thread's connections */
    struct link ready, woken;
    struct http_thread *thread;
    int fd;
    uint32_t watched; /* what epoll looks for; 0: it does not know the connection */
    enum http_conn_state {
        HTTP_CONN_READS,
        HTTP_CONN_SLEEPS,
        HTTP_CONN_SENDS,
        HTTP_CONN_LINGERS,
        HTTP_CONN_OVER
    } state;
    int64_t due_ms; /* ended past it; INT64_MAX: no limit */
    char remote[INET6_ADDRSTRLEN];

    struct http_stream stream;
    bool is_readable;     /* the socket said so, and it was not read since */
    size_t kept, at, len; /* of in: the head of the exchange, what was taken, what is there */

    bool is_under_way; /* there is an exchange */
    bool is_dropping;  /* its answer is there, its body is not wanted */
    bool must_close;   /* after its answer */
    struct buf body;
    uint64_t body_seen; /* bytes that came, kept or not */
    uint64_t dropped;   /* of the body, or while it lingers */
    int64_t body_from_ms;

    bool is_source_open;
    struct buf out;         /* the head of the answer; pieces of a source */
    struct bytes unsent[2]; /* of out, and of the answer's body */
    uint64_t file_left;     /* of the answer's file, the last bytes of it */

    char in[HTTP_HEAD_MAX + HTTP_READ_SIZE];
};

/* http_conn.c. Takes fd over. */
struct http_conn *http_conn_new(struct http_thread *t, int fd, const struct sockaddr *peer, socklen_t size); /* any thread */
void http_conn_begin(struct http_conn *c);                                                                   /* its own */
void http_conn_go(struct http_conn *c); /* as far as it comes; it may be gone then */
void http_conn_wake(struct http_conn *c);
void http_conn_end(struct http_conn *c); /* at once */

/* http_server.c */
void http_thread_watch(struct http_conn *c, uint32_t events);
void http_thread_forget(struct http_conn *c);            /* it is gone: there is room for another */
void http_exchange_count(struct http_server *s, int by); /* exchanges under way */

/* http_answer.c: status line and headers of c's answer to *out. */
void http_answer_head(const struct http_exchange *x, bool must_close, struct buf *out);
#endif
