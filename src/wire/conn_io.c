/* wire/conn_io.c - bytes in: read into the loop's buffer or one of the ring's, through TLS, to the HTTP head or to frames, or raw to the owner. Bytes
 * out: what was queued in a round goes to the kernel in one call; only what it does not take costs memory and a second one. */
#include "wire/conn_private.h"
#include "base/log.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
    (void)wanted;
    struct conn *c = handle->data;
    *out = uv_buf_init((char *)c->wire->read_buffer, READ_SIZE);
}

static void take_frame(struct conn *c, uint8_t **at, size_t *len)
{
    struct ws_message m;
    uint16_t code;
    enum err e = ws_read(&c->reader, at, len, &m, &code);
    if (e == ERR_AGAIN) {
        if (c->begun_ms == 0)
            c->begun_ms = wire_now_ms(c->wire);
        return;
    }
    if (c->reader.opcode == 0) /* a control frame ends no message */
        c->begun_ms = 0;
    if (e != OK) {
        conn_fail(c, code, str_of(err_text(e)));
        return;
    }
    c->last_frame_ms = wire_now_ms(c->wire);
    if (m.kind == WS_CLOSE) {
        conn_on_close_frame(c, m.code);
    } else if (c->state == CONN_CLOSING) {
        return; /* the owner wants no more of it */
    } else if (m.kind == WS_TEXT || m.kind == WS_BINARY) {
        c->handlers->on_message(c, m.payload, m.kind == WS_TEXT);
    } else if (!conn_may_control(c)) {
        conn_fail(c, WS_CLOSE_POLICY, STR("too many control frames"));
    } else if (m.kind == WS_PING && conn_queue(c, WS_PONG, m.payload) != OK) {
        return; /* it is ending already */
    }
}

/* Raw: all that is there, at once. */
static void take_bytes(struct conn *c, uint8_t **at, size_t *len)
{
    struct bytes all = {*at, *len};
    *at += all.len;
    *len = 0;
    c->byte_count += all.len;
    c->last_frame_ms = wire_now_ms(c->wire);
    c->handlers->on_bytes(c, all);
}

/* Returns how many bytes at the end of the input have to wait. */
static size_t take(struct conn *c, uint8_t *at, size_t len)
{
    while (len > 0) {
        if (c->state == CONN_HEAD)
            upgrade_take(c, (const uint8_t **)&at, &len);
        else if (c->state == CONN_OPEN && c->pauses == 0 && c->options->is_raw)
            take_bytes(c, &at, &len);
        else if (c->state == CONN_CLOSING || (c->state == CONN_OPEN && c->pauses == 0))
            take_frame(c, &at, &len);
        else if (c->state == CONN_OPEN || c->state == CONN_UPGRADE)
            return len;
        else
            return 0; /* it is over: thrown away */
    }
    return 0;
}

/* New input; what has to wait is copied out of the loop's buffer. */
static void take_new(struct conn *c, uint8_t *at, size_t len)
{
    size_t left = c->rest != NULL ? len : take(c, at, len);
    if (left == 0)
        return;
    size_t have = c->rest_len - c->rest_at; /* not 0 only after TLS decrypted more than it was given */
    uint8_t *rest = mem_new(1, have + left);
    if (have > 0)
        memcpy(rest, c->rest + c->rest_at, have);
    memcpy(rest + have, at + len - left, left);
    free(c->rest);
    c->rest = rest;
    c->rest_at = 0;
    c->rest_len = (uint32_t)(have + left);
}

void conn_take_rest(struct conn *c)
{
    if (c->rest == NULL || c->state == CONN_UPGRADE || (c->state == CONN_OPEN && c->pauses > 0))
        return;
    uint8_t *rest = c->rest;
    uint32_t at = c->rest_at, end = c->rest_len;
    c->rest = NULL;
    c->rest_at = c->rest_len = 0;
    size_t left = take(c, rest + at, end - at);
    if (left == 0) {
        free(rest);
        return;
    }
    c->rest = rest;
    c->rest_at = end - (uint32_t)left;
    c->rest_len = end;
}

/* The peer will send no more. */
static void on_stream_end(struct conn *c)
{
    conn_end(c, CONN_END_TCP, WS_CLOSE_ABNORMAL);
}

/* What comes now is the owner's, or HTTP. */
static void on_stream(struct conn *c)
{
    if (!c->options->is_raw) {
        c->state = CONN_HEAD;
        return;
    }
    conn_opened(c);
    c->is_told = true;
    if (c->handlers->on_open != NULL)
        c->handlers->on_open(c);
}

static void on_handshake_done(struct conn *c)
{
    conn_handshake_over(c);
    if (c->is_client)
        conn_wait(c, c->options->upgrade_timeout_ms);
    on_stream(c);
    conn_mark(c);
}

static void take_tls(struct conn *c, struct bytes in)
{
    struct buf *plain = &c->wire->plain;
    struct fault why = {{0}, {0}};
    buf_clear(plain);
    enum err e = tls_session_feed(c->tls, in, plain, &why);
    if (c->state == CONN_TLS && tls_session_is_open(c->tls))
        on_handshake_done(c);
    if (tls_session_output(c->tls)->len > 0)
        conn_mark(c);
    if (plain->len > 0)
        take_new(c, plain->at, plain->len);
    if (e == ERR_CLOSED) {
        if (c->rest == NULL)
            on_stream_end(c);
    } else if (e != OK) {
        if (c->state != CONN_LINGER && wire_may_note(c->wire))
            LOG_WARN("tls.refused", F_INT("conn", c->number), F_STR("remote", conn_remote(c)),
                     F_CSTR("err", err_text(e)), F_CSTR("reason", why.reason));
        conn_handshake_over(c);
        conn_linger(c, CONN_END_PROTOCOL, WS_CLOSE_ABNORMAL);
    }
}

/* n <= 0: the stream has ended, or is broken. */
static void on_input(struct conn *c, uint8_t *at, ssize_t n)
{
    loop_touch(c->wire->loop);
    if (n <= 0) {
        on_stream_end(c);
        return;
    }
    c->alive_ms = wire_now_ms(c->wire);
    c->is_pinged = false;
    if (c->state == CONN_LINGER)
        return;
    if (c->tls != NULL)
        take_tls(c, (struct bytes){at, (size_t)n});
    else
        take_new(c, at, (size_t)n);
    conn_update_reading(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    if (n != 0)
        on_input(stream->data, (uint8_t *)b->base, n);
}

static void on_ring_read(struct ring_reader *r, uint8_t *at, ssize_t n)
{
    struct conn *c = CONTAINER(r, struct conn, order);
    if (c->state < CONN_ENDING)
        on_input(c, at, n);
}

static void on_ring_idle(struct ring_reader *r)
{
    struct conn *c = CONTAINER(r, struct conn, order);
    if (c->is_closed)
        conn_free_closed(c);
}

const struct ring_handlers conn_ring_handlers = {on_ring_read, on_ring_idle};

void conn_update_reading(struct conn *c)
{
    static const bool is_wanted[] = {[CONN_TLS] = true,     [CONN_HEAD] = true,   [CONN_OPEN] = true,
                                     [CONN_CLOSING] = true, [CONN_LINGER] = true, [CONN_GONE] = false};
    bool want = is_wanted[c->state] && (c->state == CONN_LINGER || c->rest == NULL) &&
                (c->state != CONN_OPEN || c->pauses == 0);
    if (want == c->is_reading || c->state == CONN_GONE)
        return;
    c->is_reading = want;
    struct ring *ring = loop_ring(c->wire->loop);
    if (ring != NULL && want)
        ring_read(ring, &c->order, conn_descriptor(c));
    else if (ring != NULL)
        ring_read_stop(ring, &c->order);
    else if (!want)
        (void)uv_read_stop((uv_stream_t *)&c->tcp);
    else if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        on_stream_end(c);
}

void conn_start(struct conn *c)
{
    if (c->tls == NULL) {
        on_stream(c);
    } else {
        c->state = CONN_TLS;
        if (c->is_client)
            take_tls(c, (struct bytes){NULL, 0});
    }
    conn_mark(c);
    conn_update_reading(c);
}

bool conn_is_flushed(const struct conn *c)
{
    return c->writing == NULL && c->out.len == 0 && (c->tls == NULL || tls_session_output(c->tls)->len == 0);
}

static void on_written(uv_write_t *request, int status)
{
    struct output *o = CONTAINER(request, struct output, request);
    struct conn *c = o->conn;
    free(o);
    c->writing = NULL;
    if (c->state == CONN_GONE)
        return;
    if (status < 0)
        on_stream_end(c);
    conn_mark(c);
}

/* Queues what the kernel did not take. */
static bool write_rest(struct conn *c, const uint8_t *at, size_t len)
{
    struct output *o = malloc(sizeof *o + len);
    if (o == NULL)
        return false;
    memcpy(o->at, at, len);
    o->conn = c;
    uv_buf_t b = uv_buf_init((char *)o->at, (unsigned)len);
    if (uv_write(&o->request, (uv_stream_t *)&c->tcp, &b, 1, on_written) != 0) {
        free(o);
        return false;
    }
    c->writing = o;
    return true;
}

int conn_descriptor(const struct conn *c)
{
    uv_os_fd_t fd;
    return uv_fileno((const uv_handle_t *)&c->tcp, &fd) == 0 ? fd : -1;
}

/* uv_try_write without its way through write(). */
static int send_now(const struct conn *c, const struct buf *b)
{
    ssize_t n;
    do
        n = send(conn_descriptor(c), b->at, b->len < INT_MAX ? b->len : INT_MAX, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int)n;
}

struct buf *conn_output(struct conn *c)
{
    if (c->writing != NULL || c->state == CONN_CONNECT || c->state >= CONN_ENDING)
        return NULL;
    if (c->tls == NULL)
        return c->out.len > 0 ? &c->out : NULL;
    if (c->out.len > 0 && tls_session_is_open(c->tls)) {
        enum err e = tls_session_send(c->tls, (struct bytes){c->out.at, c->out.len});
        wire_take_back(c->wire, &c->out);
        if (e != OK) {
            on_stream_end(c);
            return NULL;
        }
    }
    struct buf *b = tls_session_output(c->tls);
    return b->len > 0 ? b : NULL;
}

void conn_sent(struct conn *c, int n)
{
    struct buf *b = c->tls == NULL ? &c->out : tls_session_output(c->tls);
    if (n == -EAGAIN || n == -EWOULDBLOCK || n == -EINTR)
        n = 0;
    bool failed = n < 0 || ((size_t)n < b->len && !write_rest(c, b->at + n, b->len - (size_t)n));
    if (c->tls == NULL)
        wire_take_back(c->wire, b);
    else
        buf_release(b);
    if (failed)
        on_stream_end(c);
}

void conn_flush(struct conn *c)
{
    const struct buf *b = conn_output(c);
    if (b != NULL)
        conn_sent(c, send_now(c, b));
}
