/* wire/conn.c - the life of a connection: its states, its limits in time, what its owner can ask of it. One timer serves all
 * states, since a connection is in one of them at a time. */
#include "wire/conn_private.h"
#include "base/log.h"
#include "metrics/metrics.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MESSAGE_SIZE_MAX     (1 << 20)
#define FRAGMENTS_MAX        64
#define WRITE_QUEUE_SIZE_MAX 65536
#define PING_SPREAD_DIVISOR  4 /* pings of connections that came together lie up to this part of ping_ms apart */
#define CONTROL_COST_MILLI   1000
#define LATE_MS              500 /* a timer that fires so late says that we stood still, not the peer */
#define LATE_RETRY_MS        100
#define SLOW_GRACE_MS        5000 /* a message that was begun; then it comes at least so fast, or is an attack */
#define SLOW_BYTES_PER_S     500

static _Atomic uint64_t last_number;

static const char *const end_texts[] = {
    [CONN_END_TCP] = "tcp_connection_closed", [CONN_END_PING] = "ping_timeout",
    [CONN_END_REPLACED] = "replaced",         [CONN_END_PROTOCOL] = "protocol_error",
    [CONN_END_SHUTDOWN] = "server_shutdown",  [CONN_END_IDLE] = "idle_timeout",
    [CONN_END_SLOW] = "protocol_error",       [CONN_END_OURS] = "tcp_connection_closed",
};

const char *conn_end_text(enum conn_end why)
{
    check((size_t)why < COUNT_OF(end_texts));
    return end_texts[why];
}

struct conn_options conn_options_default(void)
{
    return (struct conn_options){
        .limits = {.message_max = MESSAGE_SIZE_MAX, .fragments_max = FRAGMENTS_MAX},
        .head_timeout_ms = 5000,
        .upgrade_timeout_ms = 10000,
        .ping_ms = 45000,
        .write_queue_max = WRITE_QUEUE_SIZE_MAX,
        .control_frames_per_s = 10,
    };
}

void conn_mark(struct conn *c)
{
    if (c->state == CONN_GONE || !list_is_empty(&c->mark))
        return;
    list_add_last(&c->wire->marked, &c->mark);
    loop_touch(c->wire->loop);
}

void conn_wait(struct conn *c, int64_t ms)
{
    timer_start(c->wire->loop, &c->timer, ms);
}

/* The first reason stays: who closed is asked why, not the peer that agreed, nor whatever else ends the good-bye. */
static void set_reason(struct conn *c, enum conn_end why, uint16_t code)
{
    if (c->state == CONN_CLOSING || c->state == CONN_LINGER)
        return;
    c->end = (uint8_t)why;
    c->code = code;
}

void conn_end(struct conn *c, enum conn_end why, uint16_t code)
{
    if (c->state >= CONN_ENDING)
        return;
    set_reason(c, why, code);
    c->state = CONN_ENDING;
    conn_update_reading(c);
    conn_mark(c);
}

static void drop_rest(struct conn *c)
{
    free(c->rest);
    c->rest = NULL;
    c->rest_at = c->rest_len = 0;
}

void conn_linger(struct conn *c, enum conn_end why, uint16_t code)
{
    if (c->state >= CONN_LINGER)
        return;
    set_reason(c, why, code);
    c->state = CONN_LINGER;
    conn_wait(c, CLOSE_TIMEOUT_MS);
    conn_mark(c);
}

static void put_close(struct conn *c, uint16_t code, struct str reason)
{
    uint8_t mask[4];
    wire_mask(c->wire, mask);
    ws_write_close(&c->out, code, reason, c->is_client ? mask : NULL);
}

void conn_fail(struct conn *c, uint16_t code, struct str reason)
{
    if (c->state == CONN_OPEN)
        put_close(c, code, reason);
    conn_linger(c, CONN_END_PROTOCOL, code);
}

static bool is_message_slow(const struct conn *c, int64_t now_ms)
{
    int64_t late_ms = now_ms - c->begun_ms - SLOW_GRACE_MS;
    return c->begun_ms != 0 && late_ms > 0 && (int64_t)c->reader.partial.len < late_ms * SLOW_BYTES_PER_S / 1000;
}

static void end_slow(struct conn *c, const char *what, size_t size)
{
    LOG_WARN("conn.slow", F_INT("conn", c->number), F_STR("remote", conn_remote(c)), F_CSTR("what", what), F_INT("bytes", size));
    c->is_reset = true;
    conn_end(c, CONN_END_SLOW, WS_CLOSE_ABNORMAL);
}

/* Silence is told from the last bytes; a ping goes out once in it. */
static int64_t ping_after_ms(const struct conn *c)
{
    uint64_t spread = (uint64_t)c->options->ping_ms / PING_SPREAD_DIVISOR + 1;
    uint64_t hash = c->number * UINT64_C(0x9E3779B97F4A7C15) >> 32;
    return c->options->ping_ms - (int64_t)(hash % spread);
}

static void on_silence(struct conn *c)
{
    int64_t now_ms = clock_monotonic_ms(), end_ms = 2 * (int64_t)c->options->ping_ms;
    if (c->pauses > 0) /* nobody listens, so nothing is known */
        c->alive_ms = now_ms;
    int64_t silent_ms = now_ms - c->alive_ms;
    if (silent_ms >= end_ms) {
        c->is_reset = true;
        conn_end(c, CONN_END_PING, WS_CLOSE_ABNORMAL);
        return;
    }
    if (is_message_slow(c, now_ms)) {
        end_slow(c, "sends", c->reader.partial.len);
        return;
    }
    if (silent_ms >= ping_after_ms(c) && !c->is_pinged) {
        c->is_pinged = true;
        if (conn_queue(c, WS_PING, (struct bytes){NULL, 0}) != OK)
            return;
    }
    conn_wait(c, (c->is_pinged ? end_ms : ping_after_ms(c)) - silent_ms);
}

void conn_note_unfinished(struct conn *c, const char *why)
{
    metric_add_label(METRIC_CONN_UNFINISHED, str_of(why), 1);
    if (wire_may_note(c->wire))
        LOG_INFO("conn.unfinished", F_INT("conn", c->number), F_STR("remote", conn_remote(c)), F_CSTR("reason", why),
                 F_INT("bytes", c->upgrade == NULL ? c->byte_count : c->upgrade->head.len));
}

static void on_late(struct conn *c)
{
    if (!c->is_client)
        conn_note_unfinished(c, "late");
    conn_end(c, CONN_END_IDLE, WS_CLOSE_ABNORMAL);
}

/* Raw: what comes first, to be made known in time or to be no longer silent; INT64_MAX: neither has a limit. */
static int64_t raw_due_ms(const struct conn *c)
{
    int64_t known_ms = c->is_unopened ? c->begun_ms + c->options->head_timeout_ms : INT64_MAX;
    int64_t idle_ms = c->options->idle_ms > 0 ? c->alive_ms + c->options->idle_ms : INT64_MAX;
    return known_ms < idle_ms ? known_ms : idle_ms;
}

static void wait_raw(struct conn *c)
{
    int64_t due_ms = raw_due_ms(c), now_ms = clock_monotonic_ms();
    if (due_ms == INT64_MAX)
        timer_stop(&c->timer);
    else
        conn_wait(c, due_ms > now_ms ? due_ms - now_ms : 0);
}

static void on_raw_due(struct conn *c)
{
    int64_t now_ms = clock_monotonic_ms();
    if (c->pauses > 0) /* nobody listens: that is no silence */
        c->alive_ms = now_ms;
    if (now_ms < raw_due_ms(c)) {
        wait_raw(c);
    } else if (c->is_unopened && now_ms >= c->begun_ms + c->options->head_timeout_ms) {
        on_late(c);
    } else {
        c->is_reset = true;
        conn_end(c, CONN_END_IDLE, WS_CLOSE_ABNORMAL);
    }
}

static void on_open_due(struct conn *c)
{
    if (c->options->is_raw)
        on_raw_due(c);
    else
        on_silence(c);
}

static void on_upgrade_late(struct conn *c)
{
    upgrade_refuse(c, 503, (struct str){NULL, 0});
    c->end = CONN_END_IDLE;
}

static void on_goodbye_late(struct conn *c)
{
    c->is_reset = !conn_is_flushed(c);
    conn_end(c, c->end, c->code);
}

static void (*const on_due[])(struct conn *c) = {
    [CONN_CONNECT] = on_late,         [CONN_TLS] = on_late,     [CONN_HEAD] = on_late,
    [CONN_UPGRADE] = on_upgrade_late, [CONN_OPEN] = on_open_due, [CONN_CLOSING] = on_goodbye_late,
    [CONN_LINGER] = on_goodbye_late,
};

static void on_timer(struct timer *t)
{
    struct conn *c = CONTAINER(t, struct conn, timer);
    if (c->state >= CONN_ENDING)
        return;
    if (clock_monotonic_ms() - t->due_ms > LATE_MS)
        conn_wait(c, LATE_RETRY_MS); /* what came meanwhile is read first */
    else
        on_due[c->state](c);
}

struct conn *conn_new(struct wire *w, const struct conn_options *options, const struct conn_handlers *handlers)
{
    struct conn *c = mem_new(1, sizeof *c);
    c->wire = w;
    c->options = options;
    c->handlers = handlers;
    c->number = atomic_fetch_add(&last_number, 1) + 1;
    c->tcp.data = c;
    list_init(&c->mark);
    list_init(&c->unopened);
    timer_init(&c->timer, on_timer);
    buf_init(&c->out, OUTPUT_SIZE_MAX);
    ws_reader_init(&c->reader, &options->limits, true);
    c->upgrade = mem_new(1, sizeof *c->upgrade);
    buf_init(&c->upgrade->head, HTTP_HEAD_MAX + 1);
    return c;
}

void conn_opened(struct conn *c)
{
    upgrade_free(c);
    c->state = CONN_OPEN;
    c->last_frame_ms = c->alive_ms = c->control_at_ms = wire_now_ms(c->wire);
    conn_mark(c);
    if (c->options->is_raw) {
        wait_raw(c);
        return;
    }
    conn_unopened_over(c);
    c->begun_ms = 0;
    ws_reader_init(&c->reader, &c->options->limits, !c->is_client);
    c->control_milli = CONTROL_BURST * CONTROL_COST_MILLI;
    timer_stop(&c->timer);
    if (c->options->ping_ms > 0)
        conn_wait(c, ping_after_ms(c));
}

bool conn_may_control(struct conn *c)
{
    uint64_t rate = c->options->control_frames_per_s; /* thousandths a millisecond */
    if (rate == 0)
        return true;
    int64_t now_ms = wire_now_ms(c->wire);
    uint64_t milli = c->control_milli + rate * (uint64_t)(now_ms - c->control_at_ms);
    c->control_at_ms = now_ms;
    if (milli > CONTROL_BURST * CONTROL_COST_MILLI)
        milli = CONTROL_BURST * CONTROL_COST_MILLI;
    bool may = milli >= CONTROL_COST_MILLI;
    c->control_milli = (uint32_t)(may ? milli - CONTROL_COST_MILLI : milli);
    return may;
}

void conn_on_close_frame(struct conn *c, uint16_t code)
{
    if (c->state == CONN_OPEN)
        put_close(c, code, (struct str){NULL, 0});
    conn_linger(c, CONN_END_TCP, code);
}

/* Room for len more bytes? What is being written, or was the first of the round, does not count; the rest is bounded. */
static bool has_room(struct conn *c, size_t len)
{
    size_t most = c->options->write_queue_max;
    if (c->out.len > 0 && c->out.len + len > most)
        conn_flush(c);
    if (c->writing == NULL && c->out.len == 0)
        return true;
    return c->out.len + len <= most;
}

enum err conn_queue(struct conn *c, enum ws_kind kind, struct bytes payload)
{
    if (c->state != CONN_OPEN)
        return ERR_CLOSED;
    bool fits = has_room(c, payload.len + (c->options->is_raw ? 0 : WS_HEAD_SIZE_MAX));
    if (c->state != CONN_OPEN)
        return ERR_CLOSED; /* the flush found it gone */
    wire_lend(c->wire, &c->out);
    if (fits && c->options->is_raw) {
        buf_put(&c->out, payload.at, payload.len);
    } else if (fits) {
        uint8_t mask[4];
        if (c->is_client)
            wire_mask(c->wire, mask);
        ws_write(&c->out, kind, payload, c->is_client ? mask : NULL);
    }
    if (!fits || c->out.failed) {
        end_slow(c, "reads", c->out.len);
        return ERR_LIMIT;
    }
    conn_mark(c);
    return OK;
}

void conn_handshake_over(struct conn *c)
{
    if (!c->is_handshake)
        return;
    c->is_handshake = false;
    c->listener->handshake_count--;
    listener_wake(c->listener);
}

void conn_unopened_over(struct conn *c)
{
    list_take(&c->unopened);
    if (!c->is_unopened)
        return;
    c->is_unopened = false;
    c->listener->unopened_count--;
    listener_wake(c->listener);
}

void conn_free_closed(struct conn *c)
{
    struct loop *l = c->wire->loop;
    if (c->listener != NULL)
        listener_unref(c->listener);
    tls_session_free(c->tls);
    upgrade_free(c);
    ws_reader_release(&c->reader);
    buf_release(&c->out);
    drop_rest(c);
    free(c->own_options);
    loop_free_later(l, c); /* the owner may look at it until its round ends */
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    c->is_closed = true;
    if (!c->order.is_standing)
        conn_free_closed(c);
}

void conn_destroy(struct conn *c)
{
    c->state = CONN_GONE;
    timer_stop(&c->timer);
    list_take(&c->mark);
    conn_handshake_over(c);
    conn_unopened_over(c);
    if (c->listener != NULL) {
        c->listener->connection_count -= c->is_counted;
        c->listener->refusal_count -= c->is_refusal;
        c->is_counted = c->is_refusal = false;
        address_leave(c->listener, c->address);
        c->address = NULL;
    }
    if (c->is_reading && loop_ring(c->wire->loop) != NULL)
        ring_read_stop(loop_ring(c->wire->loop), &c->order);
    if (!c->is_reset || uv_tcp_close_reset(&c->tcp, on_closed) != 0)
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

/* The stream's end, once everything was written; the peer then ends its own. */
static void shut(struct conn *c)
{
    if (c->tls != NULL) {
        tls_session_shut(c->tls);
        conn_flush(c);
    }
    int fd;
    if (!conn_is_flushed(c) || uv_fileno((const uv_handle_t *)&c->tcp, &fd) != 0)
        return;
    (void)shutdown(fd, SHUT_WR); /* fails only if the peer is gone, which reading will tell */
    c->is_shut = true;
}

void conn_finish(struct conn *c)
{
    if (c->state == CONN_LINGER && !c->is_shut && conn_is_flushed(c))
        shut(c);
    if (c->state == CONN_ENDING) {
        bool is_told = c->is_told;
        conn_destroy(c);
        if (is_told)
            c->handlers->on_close(c, c->end, c->code);
        return;
    }
    conn_update_reading(c);
    if (conn_output(c) != NULL) /* the owner of one that ended just now had something to say here */
        conn_mark(c);
}

struct listener *conn_listener(const struct conn *c)
{
    return c->listener;
}

void conn_set_data(struct conn *c, void *data)
{
    c->data = data;
}

void *conn_data(const struct conn *c)
{
    return c->data;
}

uint64_t conn_number(const struct conn *c)
{
    return c->number;
}

struct str conn_remote(const struct conn *c)
{
    return (struct str){c->remote, strlen(c->remote)};
}

bool conn_is_tls(const struct conn *c)
{
    return c->tls != NULL;
}

struct str conn_peer_name(const struct conn *c)
{
    return c->tls == NULL ? (struct str){NULL, 0} : tls_session_peer_name(c->tls);
}

struct str conn_peer_organisation(const struct conn *c)
{
    return c->tls == NULL ? (struct str){NULL, 0} : tls_session_peer_organisation(c->tls);
}

int64_t conn_last_frame_ms(const struct conn *c)
{
    return c->last_frame_ms;
}

void conn_known(struct conn *c)
{
    if (!c->options->is_raw)
        return;
    conn_unopened_over(c);
    if (c->state == CONN_OPEN)
        wait_raw(c);
}

enum err conn_send(struct conn *c, struct bytes message, bool is_text)
{
    return conn_queue(c, is_text ? WS_TEXT : WS_BINARY, message);
}

void conn_close(struct conn *c, enum conn_end why, uint16_t code, struct str reason)
{
    if (c->state < CONN_UPGRADE) {
        conn_end(c, why, WS_CLOSE_ABNORMAL);
    } else if (c->state == CONN_UPGRADE) {
        upgrade_refuse(c, 503, (struct str){NULL, 0});
        c->end = (uint8_t)why;
    } else if (c->state == CONN_OPEN && c->options->is_raw) {
        conn_linger(c, why, WS_CLOSE_ABNORMAL);
    } else if (c->state == CONN_OPEN) {
        put_close(c, code, reason);
        c->state = CONN_CLOSING;
        c->end = (uint8_t)why;
        c->code = code;
        conn_wait(c, CLOSE_TIMEOUT_MS);
        conn_mark(c);
    }
}

void conn_pause(struct conn *c)
{
    c->pauses++;
    conn_update_reading(c);
}

void conn_resume(struct conn *c)
{
    check(c->pauses > 0);
    if (--c->pauses > 0)
        return;
    c->alive_ms = wire_now_ms(c->wire);
    if (c->begun_ms != 0 && !c->is_unopened)
        c->begun_ms = c->alive_ms; /* we did not read: that is not the peer's doing */
    conn_mark(c);
}
