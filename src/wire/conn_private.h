/* wire/conn_private.h - what the files of a connection share: its life (conn.c), its bytes (conn_io.c), the upgrade on both
 * sides (conn_upgrade.c), where connections come from (listener.c, client.c, addresses.c). Private to wire/.
 *
 * Whatever is to be done for a connection (write, end, go on after a pause) marks it; the flush of the round looks after the
 * marked ones. So a handler is never called from inside its owner's call, and the sends of a round leave together. */
#ifndef WIRE_CONN_PRIVATE_H
#define WIRE_CONN_PRIVATE_H
#include "loop/ring.h"
#include "wire/conn.h"
#include "wire/tls_session.h"
#include <uv.h>

#define READ_SIZE         65536            /* one a loop, not a connection */
#define PLAIN_SIZE_MAX    (READ_SIZE * 2)  /* what one read may decrypt to: itself and a record that was half read */
#define OUTPUT_SIZE_MAX   ((size_t)INT32_MAX)
#define SPARE_SIZE        256              /* of a buffer for output: an answer or two */
#define SPARES_MAX        512              /* kept by a loop: a round's answers leave together */
#define CLOSE_TIMEOUT_MS  2000             /* for the peer's close frame, and for its end of the stream */
#define CONTROL_BURST     32               /* control frames at once */
#define REMOTE_SIZE       54               /* [IPv6]:port */
#define NOTES_PER_S       10               /* lines a second about peers that never became connections */
#define EVICT_DIVISOR     5                /* part of the time for a head after which a newer peer may take the place */

enum conn_state {
    CONN_CONNECT,  /* client: name look-up and TCP */
    CONN_TLS,      /* handshake under way */
    CONN_HEAD,     /* waiting for the rest of the HTTP head */
    CONN_UPGRADE,  /* server: the owner thinks about it */
    CONN_OPEN,
    CONN_CLOSING,  /* our close frame is on its way, waiting for the peer's */
    CONN_LINGER,   /* all is said: output is flushed, input thrown away until the peer ends the stream */
    CONN_ENDING,   /* over; on_close comes with the flush */
    CONN_GONE,
};

/* What is needed only until the connection is open. */
struct upgrade {
    struct buf head;
    char accept[WS_ACCEPT_SIZE]; /* server: to be sent; client: to be expected */
    struct client *client;       /* client.c; NULL on a server */
};

/* Bytes that the kernel would not take at once. */
struct output {
    uv_write_t request;
    struct conn *conn;
    uint8_t at[];
};

struct conn {
    uv_tcp_t tcp;
    struct ring_reader order; /* to read, where the loop has a ring */
    int sent;                 /* result of what is_sending */
    struct timer timer; /* one is enough: each state has its own limit */
    struct link mark;
    struct link unopened;   /* of its listener, while its head is not complete; raw: while it is not known */
    struct wire *wire;
    const struct conn_handlers *handlers;
    const struct conn_options *options;
    struct listener *listener;
    struct address *address; /* counted there; NULL: nowhere */
    struct conn_options *own_options; /* a client's; freed with it */
    void *data;
    struct tls_session *tls;
    struct upgrade *upgrade;
    struct output *writing;
    struct buf out; /* plain text to be written; empty between rounds unless the peer is slow */
    uint8_t *rest;  /* read, but not yet taken because of a pause */
    uint32_t rest_at, rest_len;
    struct ws_reader reader; /* not used by a raw one */
    uint64_t byte_count;     /* raw: what the owner was given */
    uint64_t number;
    int64_t last_frame_ms;
    int64_t alive_ms; /* last bytes of any kind: a long message over a slow line is no silence */
    int64_t begun_ms; /* when the message that is half read was begun; 0: none is. Of an unopened one: when it was accepted */
    int64_t control_at_ms;
    uint32_t control_milli; /* control frames that may come now, in thousandths */
    uint32_t pauses;
    uint16_t code;
    uint8_t state, end;
    bool is_told : 1;      /* the owner knows of it and is owed an on_close */
    bool is_client : 1;
    bool is_reading : 1;
    bool is_shut : 1;      /* our end of the stream was sent */
    bool is_pinged : 1;    /* since the last sign of life */
    bool is_counted : 1;   /* in its listener's connections */
    bool is_handshake : 1; /* in its listener's handshakes */
    bool is_refusal : 1;   /* in its listener's refusals */
    bool is_unopened : 1;  /* in its listener's count of those */
    bool is_sending : 1;   /* its output was given to the ring in this round's flush */
    bool is_closed : 1;    /* libuv has let go of it; it is freed when the ring has too */
    bool is_reset : 1;     /* end it without waiting for what the peer does not read */
    char remote[REMOTE_SIZE];
};

/* What the connections of one loop share. */
struct wire {
    struct loop *loop;
    struct link marked;
    uint64_t mask_key[2], mask_count;
    struct buf plain; /* of TLS; emptied after each read */
    uint8_t *spares[SPARES_MAX]; /* buffers of SPARE_SIZE bytes that no connection has at the moment */
    size_t spare_count;
    int64_t note_second;
    unsigned note_count;
    uint8_t read_buffer[READ_SIZE];
};

struct listener {
    struct wire *wire;
    struct listener_options options; /* address and tls: see address[], and kept open by sessions */
    uv_poll_t poll;
    struct timer pause; /* accepting again */
    int fd;
    char address[REMOTE_SIZE];
    unsigned port;
    size_t connection_count, handshake_count, refusal_count, unopened_count;
    struct link unopened; /* without a complete head, the oldest first */
    struct map addresses; /* struct address, each with a connection at least */
    size_t users; /* itself while open, its handle, each connection */
    int64_t note_ms, address_note_ms;
    unsigned address_refusals; /* since address_note_ms */
    bool is_open, is_polling;
    bool is_paused, is_crowded; /* accepts nobody: no descriptors; too many unopened */
};

struct wire *wire_of(struct loop *l); /* made at the first call */
/* An output buffer that is empty between rounds: taken from the spare ones, and given back to them. */
void wire_lend(struct wire *w, struct buf *out);
void wire_take_back(struct wire *w, struct buf *out);
void wire_random(void *to, size_t size);
void wire_mask(struct wire *w, uint8_t mask[4]);
int64_t wire_now_ms(const struct wire *w);
/* False when this second has had its lines about peers that are nobody yet. */
bool wire_may_note(struct wire *w);
void address_write(const struct sockaddr *a, char out[REMOTE_SIZE]);
/* "1.2.3.4:80", "[::1]:80"; ERR_FORMAT. */
MUST_USE enum err address_parse(struct str text, struct sockaddr_storage *out);
/* Who listens on a port: appends " (pid 12, name)" when the system says so. */
void port_holder_write(const struct sockaddr *a, char *out, size_t size);

/* conn.c. The caller initialises the handle (c->tcp) at once; conn_destroy then undoes all. */
struct conn *conn_new(struct wire *w, const struct conn_options *options, const struct conn_handlers *handlers);
void conn_mark(struct conn *c);
void conn_end(struct conn *c, enum conn_end why, uint16_t code); /* now, with the flush */
void conn_linger(struct conn *c, enum conn_end why, uint16_t code); /* when all is written and the peer agrees */
void conn_fail(struct conn *c, uint16_t code, struct str reason); /* the peer broke the protocol */
void conn_wait(struct conn *c, int64_t ms);
void conn_finish(struct conn *c); /* a marked one, at the end of the round, when what it had to send has been sent */
void conn_free_closed(struct conn *c);
void conn_opened(struct conn *c);
void conn_on_close_frame(struct conn *c, uint16_t code);
bool conn_may_control(struct conn *c); /* one more ping or pong now? */
void conn_destroy(struct conn *c); /* without a word to the owner */
void conn_handshake_over(struct conn *c);
void conn_unopened_over(struct conn *c); /* it is open, or gone */
void conn_note_unfinished(struct conn *c, const char *why); /* it never said who it is */
MUST_USE enum err conn_queue(struct conn *c, enum ws_kind kind, struct bytes payload);

/* conn_io.c */
void conn_start(struct conn *c); /* the stream is there: TLS if c->tls, then HTTP, unless it is raw */
void conn_update_reading(struct conn *c);
extern const struct ring_handlers conn_ring_handlers;
struct buf *conn_output(struct conn *c); /* what is to be sent now; NULL: nothing, or nothing yet */
void conn_sent(struct conn *c, int n);   /* of that, to the kernel: so many bytes, or -errno */
void conn_flush(struct conn *c);         /* both, without the ring */
void conn_take_rest(struct conn *c);
int conn_descriptor(const struct conn *c); /* -1: it has none */
bool conn_is_flushed(const struct conn *c);

/* conn_upgrade.c. Takes from the front of the *len bytes at *at. */
void upgrade_take(struct conn *c, const uint8_t **at, size_t *len);
void upgrade_refuse(struct conn *c, int status, struct str extra);
void upgrade_request(struct conn *c, const struct conn_target *target); /* client: queued until the stream is there */
void upgrade_free(struct conn *c);

/* client.c */
void client_free(struct client *client);

/* addresses.c: how many connections a listener has of whom. False: as many as it may have; *out is untouched. */
MUST_USE bool address_enter(struct listener *l, const struct sockaddr *a, struct address **out);
void address_leave(struct listener *l, struct address *a); /* NULL: nothing */

/* listener.c */
void listener_unref(struct listener *l);
void listener_wake(struct listener *l); /* there may be room again */
void listener_destroy(struct listener *l);
#endif
