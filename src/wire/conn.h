/* wire/conn.h - listeners and connections on a loop: WebSocket or raw bytes, plain or TLS, server or client, one kind to the outside.
 *
 * Order of calls for a server connection: on_upgrade once, to which the owner answers now or later with conn_accept() or
 * conn_refuse(); then on_message for each text or binary message, in order; on_close exactly once, last, also when the upgrade
 * failed after on_upgrade was called. After on_close the connection is gone at the end of the round. Everything runs on
 * the loop's thread. Pings are answered here; any frame counts as life; silence for two ping periods closes, and so does a message
 * that was begun and comes slower than 500 bytes a second (looked at when a ping would be due).
 *
 * A raw connection (conn_options.is_raw) has no HTTP and no frames: on_open once, when TCP is there and TLS if there is any; then
 * on_bytes with whatever was read, in order; on_close exactly once, last; a server's that never shook hands is not told of. Nothing
 * is pinged. On a server it is among those that may be put out, late or crowded, until its owner says conn_known(): that time runs
 * on while it is paused. The peer's end of the stream is its end in both directions: what was not sent by then is dropped.
 *
 * No handler is called from inside a call to these functions: what a call sets off (an end, messages after conn_resume) comes
 * when the round ends, after the owner's own loop_on_round_end handlers; then whatever was sent is written. */
#ifndef WIRE_CONN_H
#define WIRE_CONN_H
#include "loop/loop.h"
#include "wire/http.h"
#include "wire/ws.h"

struct tls; /* wire/tls.h */
struct conn;

#define WS_CLOSE_ABNORMAL 1006 /* RFC 6455, 7.4.1: never on the wire */

enum conn_end {           /* why a connection ended: words of gateway-contract.md 1 */
    CONN_END_TCP,         /* "tcp_connection_closed": by the peer, orderly or not */
    CONN_END_PING,        /* "ping_timeout" */
    CONN_END_REPLACED,    /* "replaced" */
    CONN_END_PROTOCOL,    /* "protocol_error" */
    CONN_END_SHUTDOWN,    /* "server_shutdown" */
    CONN_END_IDLE,        /* "idle_timeout": head, handshake or upgrade not complete in time; raw: not known in time, or silent */
    CONN_END_SLOW,        /* write queue over its limit, or a message that does not come on: protocol_error, with a log line of its own */
    CONN_END_OURS,        /* conn_close by the owner for another reason */
};
const char *conn_end_text(enum conn_end why);

struct conn_handlers {
    /* head borrows and is valid only during the call. */
    void (*on_upgrade)(struct conn *c, const struct http_head *head);
    void (*on_message)(struct conn *c, struct bytes message, bool is_text);
    /* close_code: of the close frame that ended it, the peer's or ours; WS_CLOSE_ABNORMAL if there was none, as on a raw one. */
    void (*on_close)(struct conn *c, enum conn_end why, uint16_t close_code);
    void (*on_open)(struct conn *c); /* client side: the upgrade was accepted; raw: on both sides */
    /* Raw: what was read, borrowed for the call. All of it is the owner's: nothing comes twice. */
    void (*on_bytes)(struct conn *c, struct bytes b);
};
struct conn_options {
    struct ws_limits limits;         /* 1 MiB, 64 fragments by default */
    int head_timeout_ms;             /* 5,000: from accept to a complete head, raw: to conn_known; TLS handshake included */
    int upgrade_timeout_ms;          /* 10,000: until conn_accept */
    int ping_ms;                     /* 45,000 of silence, less up to a quarter, so that pings spread; 0: never ping */
    size_t write_queue_max;          /* 64 KiB beyond what is being written, then CONN_END_SLOW */
    bool lenient_upgrade;            /* ocpp16.md 1.2 */
    unsigned control_frames_per_s;   /* 10 sustained, 32 at once; 0 no limit. A close does not count */
    bool is_raw;                     /* bytes without HTTP and frames: no upgrade, on_bytes instead of on_message */
    int idle_ms;                     /* raw: CONN_END_IDLE after so long without a byte; 0: never */
};
struct conn_options conn_options_default(void);

/* host:port, port 0 picks a free one; ERR_BUSY: taken (why says by what is known); ERR_FORMAT: no address. tls NULL: plain. A TLS
 * ClientHello on a plain port is logged as such and closed. At most accept_max handshakes under way at once (0: no limit).
 * connections_max: past it new ones get 503 with Retry-After; raw ones are closed.
 * unopened_max (0: no limit): connections that are not open yet, raw: not known yet. Past it nobody is accepted, and who has waited
 * for a complete head for a fifth of its time goes, the oldest first: so many that only open sockets keep nobody else out for long.
 * connections_per_address_max (0: no limit): past it new ones of that IPv4 address, or of that /64 of IPv6, are closed at once. */
struct listener;
struct listener_options {
    struct str address;              /* 1.2.3.4:8887 or [::1]:8887 */
    bool is_shared;                  /* SO_REUSEPORT: the same port again for each further loop of this process */
    struct tls *tls;
    struct conn_options conn;
    const struct conn_handlers *handlers;
    void *data;                      /* listener_data(conn_listener(c)) */
    unsigned connections_max;
    unsigned handshakes_max;
    unsigned unopened_max;
    unsigned connections_per_address_max;
};
MUST_USE enum err listener_open(struct loop *l, const struct listener_options *options, struct listener **out, struct fault *why);
void listener_close(struct listener *l);            /* accepts no more; its connections live on */
int listener_port(const struct listener *l);
struct str listener_address(const struct listener *l); /* "127.0.0.1:8887", the real port */
void *listener_data(const struct listener *l);
size_t listener_connection_count(const struct listener *l);

struct listener *conn_listener(const struct conn *c);  /* NULL for a client connection */
void conn_set_data(struct conn *c, void *data);
void *conn_data(const struct conn *c);
uint64_t conn_number(const struct conn *c);            /* rises by one a connection of this process: conn= in logs */
struct str conn_remote(const struct conn *c);          /* "10.0.0.7:41234" */
bool conn_is_tls(const struct conn *c);
struct str conn_peer_name(const struct conn *c);       /* CN of the client certificate, absent without one */
struct str conn_peer_organisation(const struct conn *c);
int64_t conn_last_frame_ms(const struct conn *c);      /* monotonic time of the last frame of any kind; raw: of the last bytes */

/* protocol absent: no Sec-WebSocket-Protocol header. */
void conn_accept(struct conn *c, struct str protocol);
/* An HTTP answer and the end; extra is further header lines, each ending in CRLF, may be absent. on_close still comes. */
void conn_refuse(struct conn *c, int status, struct str extra);
/* Raw, server side: it has said who it is. From now on only conn_options.idle_ms limits its silence, and no newer one takes its place. */
void conn_known(struct conn *c);
/* Queues one message, raw: the bytes as they are; they are copied. ERR_CLOSED: too late; ERR_LIMIT: the queue is full and the connection
 * is being ended. Sends of one round leave in as few writes as possible, at its end. */
MUST_USE enum err conn_send(struct conn *c, struct bytes message, bool is_text);
/* Close frame, time for the peer's own (2 s), then the end. on_close will say why. Raw: what was queued, then the end of our stream
 * and time for the peer's. */
void conn_close(struct conn *c, enum conn_end why, uint16_t code, struct str reason);
/* No further on_message or on_bytes until resumed; bytes wait in the kernel. Counted: as many resumes as pauses. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);

/* Client side: ws://host:port/path or wss://. protocols: "ocpp1.6" or absent; authorization: whole header value or absent. on_close comes
 * also when it never opened. source: local address to connect from (load tests), absent for any. Raw: path, protocols and authorization
 * are not looked at. */
struct conn_target {
    struct str host;
    int port;
    struct str path;
    struct str protocols;
    struct str authorization;
    struct str source;
    struct tls *tls; /* a client context, or NULL */
};
MUST_USE enum err conn_connect(struct loop *l, const struct conn_target *target, const struct conn_options *options,
                               const struct conn_handlers *handlers, void *data, struct conn **out);
#endif
