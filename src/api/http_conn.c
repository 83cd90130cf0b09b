/* api/http_conn.c - one connection: its bytes become requests (wire/http_stream.h), a request an exchange, and that an
 * answer.
 *
 * It is always in one state, and each state is a function that goes one step and says whether it may go on at once.
 * When it may not, the connection waits for its socket, or for http_resume(). The head of a request stays at the front
 * of the input while its exchange lives; its body is read behind it. */
#include "api/http_private.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"

#define STEPS_MAX       64 /* then it is another's turn */
#define FILE_PIECE_SIZE (256u << 10)

static const struct str kept_headers[HTTP_HEADER_COUNT] = {
    [HTTP_HOST] = {"Host", 4},
    [HTTP_AUTHORIZATION] = {"Authorization", 13},
    [HTTP_CONTENT_TYPE] = {"Content-Type", 12},
    [HTTP_CONTENT_LENGTH] = {"Content-Length", 14},
    [HTTP_TRANSFER_ENCODING] = {"Transfer-Encoding", 17},
    [HTTP_EXPECT] = {"Expect", 6},
    [HTTP_REQUEST_ID] = {"X-Request-ID", 12},
    [HTTP_TRACEPARENT] = {"traceparent", 11},
    [HTTP_IDEMPOTENCY_KEY] = {"Idempotency-Key", 15},
    [HTTP_LAST_EVENT_ID] = {"Last-Event-ID", 13},
    [HTTP_CONTENT_SHA256] = {"X-Content-SHA256", 16},
};

static const struct {
    int status; /* of wire/http.h */
    enum http_refusal refusal;
} refusals[] = {
    {414, HTTP_TARGET_TOO_LONG},
    {431, HTTP_HEADERS_TOO_LARGE},
    {505, HTTP_OTHER_VERSION},
};

static enum http_refusal refusal_of(int status)
{
    for (size_t i = 0; i < COUNT_OF(refusals); i++)
        if (refusals[i].status == status)
            return refusals[i].refusal;
    return HTTP_BAD_REQUEST;
}

static const struct http_server_options *options(const struct http_conn *c)
{
    return &c->thread->server->o;
}

static void due_in(struct http_conn *c, int64_t ms)
{
    c->due_ms = clock_monotonic_ms() + ms;
}

/* --- an exchange begins and ends --- */

static void exchange_begin(struct http_conn *c)
{
    c->is_under_way = true;
    c->kept = c->at;
    c->x.remote = str_of(c->remote);
    c->x.body_max = options(c)->body_max;
    http_exchange_count(c->thread->server, 1);
}

static void exchange_forget(struct http_conn *c)
{
    struct http_answer *a = &c->x.answer;
    if (!c->is_under_way)
        return;
    pthread_mutex_lock(&c->thread->lock);
    list_take(&c->woken);
    pthread_mutex_unlock(&c->thread->lock);
    if (a->source.close != NULL)
        a->source.close(a->source.state);
    if (c->x.user != NULL)
        options(c)->on_end(options(c)->data, &c->x);
    if (a->has_file)
        (void)close(a->file_fd);
    for (size_t i = 0; i < a->header_count; i++)
        free(a->headers[i].value);
    buf_release(&a->body);
    buf_release(&c->body);
    buf_clear(&c->out);
    c->x = (struct http_exchange){.user = NULL};
    c->is_under_way = c->is_dropping = c->is_source_open = false;
    c->body_seen = c->dropped = c->file_left = 0;
    http_exchange_count(c->thread->server, -1);
}

/* The answer is sent: the next request, or the end. A peer that may still be speaking is listened to before its socket
 * is closed, or it would be reset and never read the answer. */
static bool exchange_end(struct http_conn *c)
{
    bool may_speak = c->stream.at != HTTP_AT_HEAD || c->at < c->len;
    bool must_close = c->must_close;
    exchange_forget(c);
    c->len -= c->at;
    memmove(c->in, c->in + c->at, c->len);
    c->at = c->kept = 0;
    c->state = must_close ? may_speak ? HTTP_CONN_LINGERS : HTTP_CONN_OVER : HTTP_CONN_READS;
    due_in(c, must_close ? HTTP_LINGER_MS : c->len > 0 ? HTTP_HEAD_MS : HTTP_SILENCE_MS);
    if (must_close)
        (void)shutdown(c->fd, SHUT_WR);
    return !must_close;
}

/* --- the answer --- */

static bool answer(struct http_conn *c)
{
    const struct http_answer *a = &c->x.answer;
    bool has_body = !str_eq(c->x.method, STR("HEAD"));
    c->must_close |= atomic_load(&c->thread->server->is_quiet);
    c->is_source_open = a->source.read != NULL && has_body;
    http_answer_head(&c->x, c->must_close, &c->out);
    c->unsent[0] = (struct bytes){c->out.at, c->out.len};
    c->unsent[1] = (struct bytes){a->body.at, has_body && !a->has_file ? a->body.len : 0};
    c->file_left = has_body && a->has_file ? a->file_size : 0;
    c->state = c->out.failed ? HTTP_CONN_OVER : HTTP_CONN_SENDS;
    due_in(c, HTTP_SILENCE_MS);
    return true;
}

static bool go_on(struct http_conn *c, enum http_next next)
{
    if (next != HTTP_WAITS)
        return answer(c);
    c->state = HTTP_CONN_SLEEPS;
    c->due_ms = INT64_MAX;
    return false;
}

static bool source_more(struct http_conn *c)
{
    const struct http_source *s = &c->x.answer.source;
    char piece[HTTP_READ_SIZE];
    long n = s->read(s->state, piece, sizeof piece);
    buf_clear(&c->out);
    if (n == 0) {
        c->state = HTTP_CONN_SLEEPS;
        c->due_ms = INT64_MAX;
        return false;
    }
    c->is_source_open = n > 0;
    if (n > 0) {
        buf_printf(&c->out, "%lx\r\n", n);
        buf_put(&c->out, piece, (size_t)n);
        buf_put_lit(&c->out, "\r\n");
    } else {
        buf_put_lit(&c->out, "0\r\n\r\n");
    }
    c->unsent[0] = (struct bytes){c->out.at, c->out.len};
    due_in(c, HTTP_SILENCE_MS);
    return true;
}

/* A file that has become shorter ends the connection: its peer waits for more. */
static bool file_more(struct http_conn *c)
{
    const struct http_answer *a = &c->x.answer;
    off_t at = (off_t)(a->file_size - c->file_left);
    ssize_t n = sendfile(c->fd, a->file_fd, &at, c->file_left < FILE_PIECE_SIZE ? c->file_left : FILE_PIECE_SIZE);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    if (n <= 0) {
        c->state = HTTP_CONN_OVER;
        return false;
    }
    c->file_left -= (uint64_t)n;
    due_in(c, HTTP_SILENCE_MS);
    return true;
}

static bool step_sends(struct http_conn *c)
{
    if (c->unsent[0].len + c->unsent[1].len == 0)
        return c->is_source_open ? source_more(c) : c->file_left > 0 ? file_more(c) : exchange_end(c);
    struct iovec parts[COUNT_OF(c->unsent)];
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        parts[i] = (struct iovec){(void *)(uintptr_t)c->unsent[i].at, c->unsent[i].len};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = COUNT_OF(parts)};
    ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    if (n < 0) {
        c->state = HTTP_CONN_OVER;
        return false;
    }
    for (size_t i = 0, left = (size_t)n; i < COUNT_OF(parts); i++) {
        size_t sent = left < c->unsent[i].len ? left : c->unsent[i].len;
        c->unsent[i] = (struct bytes){c->unsent[i].at + sent, c->unsent[i].len - sent};
        left -= sent;
    }
    due_in(c, HTTP_SILENCE_MS);
    return true;
}

/* --- the request --- */

/* Of what is malformed nothing behind it is read. */
static bool refuse(struct http_conn *c, enum http_refusal r, const char *why)
{
    options(c)->on_refused(options(c)->data, &c->x, r, why);
    c->must_close = true;
    return answer(c);
}

/* False: one that may stand once is repeated. */
static bool headers_keep(struct http_conn *c, const struct http_head *h)
{
    for (size_t i = 0; i < HTTP_HEADER_COUNT; i++) {
        size_t count;
        c->x.header[i] = http_find(h, kept_headers[i], &count);
        if (count > 1)
            return false;
    }
    return true;
}

static bool says_close(const struct http_head *h)
{
    struct str token;
    for (size_t cursor = 0; http_next_token(h, STR("Connection"), &cursor, &token);)
        if (str_eq_nocase(token, STR("close")))
            return true;
    return false;
}

/* A peer that waits to be told to go on. What a socket without room for that takes later is of no use to it. */
static bool tell_to_go_on(struct http_conn *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!c->x.has_body || !str_eq_nocase(c->x.header[HTTP_EXPECT], STR("100-continue")) || c->at < c->len)
        return true;
    if (send(c->fd, text, sizeof text - 1, MSG_NOSIGNAL) != (ssize_t)sizeof text - 1)
        c->state = HTTP_CONN_OVER;
    return c->state != HTTP_CONN_OVER;
}

static uint64_t drain_max(const struct http_conn *c)
{
    return (uint64_t)c->x.body_max + HTTP_DRAIN_MAX;
}

/* A body that nobody wants is read and dropped as long as it is small, and the connection lives on; one who asks first
 * is told at once. */
static bool on_head(struct http_conn *c, const struct http_head *h, struct str piece, const struct fault *why)
{
    (void)piece, (void)why;
    exchange_begin(c);
    c->x.method = h->method;
    c->x.target = h->target;
    c->x.has_body = http_stream_has_body(&c->stream);
    c->must_close = says_close(h);
    c->body_from_ms = clock_monotonic_ms();
    due_in(c, HTTP_BODY_FIRST_MS);
    if (!headers_keep(c, h))
        return refuse(c, HTTP_BAD_REQUEST, "a header that may stand once is repeated");
    bool is_wanted = options(c)->on_head(options(c)->data, &c->x) == HTTP_READ_BODY;
    buf_init(&c->body, c->x.body_max);
    if (is_wanted && c->stream.left <= c->x.body_max)
        return tell_to_go_on(c);
    if (is_wanted)
        options(c)->on_refused(options(c)->data, &c->x, HTTP_BODY_TOO_LARGE, "the body is too long");
    c->is_dropping = true;
    if (!c->x.has_body || (c->stream.left <= drain_max(c) && c->x.header[HTTP_EXPECT].at == NULL))
        return true;
    c->must_close = true;
    return answer(c);
}

static bool on_body(struct http_conn *c, const struct http_head *h, struct str piece, const struct fault *why)
{
    (void)h, (void)why;
    c->body_seen += piece.len;
    c->due_ms = c->body_from_ms + HTTP_BODY_FIRST_MS + (int64_t)(c->body_seen * HTTP_BODY_MS_PER_BYTE);
    if (!c->is_dropping) {
        buf_put(&c->body, piece.at, piece.len);
        if (!c->body.failed)
            return true;
        buf_release(&c->body); /* in chunks: its length was not known before */
        options(c)->on_refused(options(c)->data, &c->x, HTTP_BODY_TOO_LARGE, "the body is too long");
        c->is_dropping = true;
    }
    c->dropped += piece.len;
    if (c->dropped <= drain_max(c))
        return true;
    c->must_close = true;
    return answer(c);
}

static bool on_request_end(struct http_conn *c, const struct http_head *h, struct str piece, const struct fault *why)
{
    (void)h, (void)piece, (void)why;
    if (c->is_dropping)
        return answer(c);
    c->x.body = c->body.at == NULL ? STR("") : buf_str(&c->body);
    return go_on(c, options(c)->on_request(options(c)->data, &c->x));
}

static bool on_bad(struct http_conn *c, const struct http_head *h, struct str piece, const struct fault *why)
{
    char text[sizeof why->field + sizeof why->reason + 2];
    (void)h, (void)piece;
    if (!c->is_under_way)
        exchange_begin(c);
    c->must_close = true;
    if (c->is_dropping)
        return answer(c);
    (void)snprintf(text, sizeof text, "%s%s%s", why->field, why->field[0] == '\0' ? "" : ": ", why->reason);
    return refuse(c, refusal_of(c->stream.status), text);
}

/* More bytes behind those that are there. A peer that says no more has its answers, if it was whole what it said. */
static bool on_nothing(struct http_conn *c, const struct http_head *h, struct str piece, const struct fault *why)
{
    (void)h, (void)piece, (void)why;
    if (!c->is_readable)
        return false;
    c->is_readable = false;
    bool is_idle = c->len == 0;
    c->len -= c->at - c->kept;
    memmove(c->in + c->kept, c->in + c->at, c->len - c->kept);
    c->at = c->kept;
    ssize_t n = recv(c->fd, c->in + c->len, sizeof c->in - c->len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        c->state = HTTP_CONN_OVER;
        return false;
    }
    c->len += (size_t)n;
    if (is_idle)
        due_in(c, HTTP_HEAD_MS);
    return true;
}

static bool step_reads(struct http_conn *c)
{
    static bool (*const on_part[])(struct http_conn * c, const struct http_head *h, struct str piece,
                                   const struct fault *why) = {
        [HTTP_PART_NONE] = on_nothing,    [HTTP_PART_HEAD] = on_head, [HTTP_PART_BODY] = on_body,
        [HTTP_PART_END] = on_request_end, [HTTP_PART_BAD] = on_bad,
    };
    struct http_head head;
    struct fault why = {"", ""};
    struct str piece = {NULL, 0}, in = {c->in + c->at, c->len - c->at};
    enum http_part part = http_stream_next(&c->stream, &in, &head, &piece, &why);
    c->at = c->len - in.len;
    return on_part[part](c, &head, piece, &why);
}

static bool step_sleeps(struct http_conn *c)
{
    (void)c;
    return false;
}

static bool step_lingers(struct http_conn *c)
{
    if (!c->is_readable)
        return false;
    c->is_readable = false;
    ssize_t n = recv(c->fd, c->in, sizeof c->in, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    c->dropped += n > 0 ? (size_t)n : 0;
    if (n <= 0 || c->dropped > HTTP_DRAIN_MAX)
        c->state = HTTP_CONN_OVER;
    return false;
}

static bool step_over(struct http_conn *c)
{
    (void)c;
    return false;
}

void http_conn_go(struct http_conn *c)
{
    static const struct {
        bool (*step)(struct http_conn *c);
        uint32_t waits_for; /* of epoll */
    } states[] = {
        [HTTP_CONN_READS] = {step_reads, EPOLLIN},  [HTTP_CONN_SLEEPS] = {step_sleeps, 0},
        [HTTP_CONN_SENDS] = {step_sends, EPOLLOUT}, [HTTP_CONN_LINGERS] = {step_lingers, EPOLLIN},
        [HTTP_CONN_OVER] = {step_over, 0},
    };
    bool goes_on = true;
    list_take(&c->ready);
    for (unsigned n = 0; n < STEPS_MAX && goes_on; n++)
        goes_on = states[c->state].step(c);
    if (c->state == HTTP_CONN_OVER)
        http_conn_end(c);
    else if (goes_on)
        list_add_last(&c->thread->ready, &c->ready);
    else
        http_thread_watch(c, states[c->state].waits_for);
}

void http_conn_wake(struct http_conn *c)
{
    if (c->state != HTTP_CONN_SLEEPS)
        return;
    if (c->is_source_open)
        c->state = HTTP_CONN_SENDS;
    else
        (void)go_on(c, options(c)->on_resumed(options(c)->data, &c->x));
    http_conn_go(c);
}

/* --- opening and closing --- */

struct http_conn *http_conn_new(struct http_thread *t, int fd, const struct sockaddr *peer, socklen_t size)
{
    struct http_conn *c = mem_new(1, sizeof *c);
    int on = 1;
    c->thread = t;
    c->fd = fd;
    list_init(&c->link);
    list_init(&c->ready);
    list_init(&c->woken);
    http_stream_init(&c->stream);
    buf_init(&c->out, HTTP_ANSWER_HEAD_MAX);
    if (getnameinfo(peer, size, c->remote, sizeof c->remote, NULL, 0, NI_NUMERICHOST) != 0)
        c->remote[0] = '\0';
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return c;
}

void http_conn_begin(struct http_conn *c)
{
    due_in(c, HTTP_HEAD_MS);
    list_add_last(&c->thread->conns, &c->link);
    http_thread_watch(c, EPOLLIN);
}

void http_conn_end(struct http_conn *c)
{
    exchange_forget(c);
    list_take(&c->link);
    list_take(&c->ready);
    (void)close(c->fd);
    buf_release(&c->out);
    http_thread_forget(c);
    free(c);
}

void http_resume(struct http_exchange *x)
{
    struct http_conn *c = (struct http_conn *)(void *)x;
    struct http_thread *t = c->thread;
    static const uint64_t one = 1;
    pthread_mutex_lock(&t->lock);
    list_take(&c->woken);
    list_add_last(&t->woken, &c->woken);
    check(write(t->wake, &one, sizeof one) == sizeof one);
    pthread_mutex_unlock(&t->lock);
}

bool http_peer_is_gone(struct http_exchange *x)
{
    const struct http_conn *c = (const struct http_conn *)(void *)x;
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}
