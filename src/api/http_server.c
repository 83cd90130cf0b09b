/* api/http_server.c - the one file that knows libmicrohttpd; that is why it is as long as it is.
 *
 * libmicrohttpd decodes targets and headers generously and limits only silence. What a strict server must not let pass
 * is therefore looked at here: the raw target comes through the URI log callback (before anything is decoded), the
 * headers are counted and compared as they came, and a thread of our own ends connections that are slow without being
 * silent. What it has smoothed over before anyone sees it stays unseen: a bare line feed as end of line, a folded
 * header, two blanks in the request line. */
#include "api/http_server.h"

#include "api/http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop.h"

#define CONNECTION_MEMORY (32 * 1024) /* libmicrohttpd's pool of a connection: head and read buffer */
#define SILENCE_MAX_S     30          /* also: how long an idle connection is kept */
#define HEAD_MS           10000       /* from the connection, or the end of the request before, to a whole head */
#define BODY_FIRST_MS     5000        /* a body may take this, and the time that its least rate allows */
#define BODY_MS_PER_BYTE  2           /* 500 bytes a second */
#define DRAIN_MAX         (16u << 20) /* above body_max: of a refused body so much is dropped, that its answer is seen */
#define REAPER_MS         500

struct connection {
    struct link link;
    int fd;
    int64_t due_ms; /* ended past it; INT64_MAX: no limit but silence */
};

struct exchange {
    struct http_exchange x; /* first: the two are one */
    struct http_server *server;
    struct MHD_Connection *mhd;
    struct connection *connection;
    char *target;
    char remote[INET6_ADDRSTRLEN];
    char *texts[HTTP_HEADER_COUNT];
    size_t header_count, headers_size;
    const char *bad; /* what is wrong with the head, in words */
    enum http_refusal refusal;
    struct buf body;
    int64_t announced;      /* length of the body; 0: none, or in chunks */
    uint64_t body_seen;     /* bytes that came, kept or not */
    uint64_t dropping_from; /* of these */
    int64_t body_from_ms;
    bool is_http11, was_headed, is_dropping, is_waiting, is_queued;
};

struct http_server {
    struct http_server_options o;
    struct MHD_Daemon *daemon;
    char address[INET6_ADDRSTRLEN + 16];
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct link connections;
    size_t connection_count, exchange_count;
    bool is_closing, has_reaper;
    pthread_t reaper;
};

static const char *const header_names[HTTP_HEADER_COUNT] = {
    [HTTP_HOST] = "Host",
    [HTTP_AUTHORIZATION] = "Authorization",
    [HTTP_CONTENT_TYPE] = "Content-Type",
    [HTTP_CONTENT_LENGTH] = "Content-Length",
    [HTTP_TRANSFER_ENCODING] = "Transfer-Encoding",
    [HTTP_EXPECT] = "Expect",
    [HTTP_REQUEST_ID] = "X-Request-ID",
    [HTTP_TRACEPARENT] = "traceparent",
    [HTTP_IDEMPOTENCY_KEY] = "Idempotency-Key",
    [HTTP_LAST_EVENT_ID] = "Last-Event-ID",
    [HTTP_CONTENT_SHA256] = "X-Content-SHA256",
};

/* --- time limits --- */

static void connection_limit(struct http_server *s, struct connection *c, int64_t due_ms)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    c->due_ms = due_ms;
    pthread_mutex_unlock(&s->lock);
}

/* A connection leaves the list, under the lock, before its descriptor is closed: what is in the list is open. */
static void reap(struct http_server *s, int64_t now_ms)
{
    for (struct link *l = s->connections.next; l != &s->connections; l = l->next) {
        struct connection *c = CONTAINER(l, struct connection, link);
        if (c->due_ms > now_ms)
            continue;
        (void)shutdown(c->fd, SHUT_RDWR);
        c->due_ms = INT64_MAX;
    }
}

static void *reaper_run(void *arg)
{
    struct http_server *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->is_closing) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += REAPER_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_cond_timedwait(&s->changed, &s->lock, &until);
        reap(s, clock_monotonic_ms());
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **slot, enum MHD_ConnectionNotificationCode code)
{
    struct http_server *s = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct connection *c = mem_new(1, sizeof *c);
        c->fd = info == NULL ? -1 : info->connect_fd;
        c->due_ms = clock_monotonic_ms() + HEAD_MS;
        *slot = c;
        pthread_mutex_lock(&s->lock);
        list_add_last(&s->connections, &c->link);
        s->connection_count++;
        pthread_mutex_unlock(&s->lock);
        return;
    }
    struct connection *c = *slot;
    if (c == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    list_take(&c->link);
    s->connection_count--;
    pthread_mutex_unlock(&s->lock);
    free(c);
    *slot = NULL;
}

/* --- the head --- */

static void write_remote(struct exchange *e)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(e->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *sa = info == NULL ? NULL : info->client_addr;
    if (sa == NULL ||
        getnameinfo(sa, sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in), e->remote,
                    sizeof e->remote, NULL, 0, NI_NUMERICHOST) != 0)
        e->remote[0] = '\0';
    e->x.remote = str_of(e->remote);
}

/* The first that is called for a request: what it returns comes back as *slot in the calls that follow. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct http_server *s = cls;
    struct exchange *e = mem_new(1, sizeof *e);
    e->server = s;
    e->mhd = mhd;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    e->connection = info == NULL ? NULL : info->socket_context;
    size_t len = strlen(target);
    e->target = mem_new(len + 1, 1);
    memcpy(e->target, target, len);
    e->x.target = (struct str){e->target, len};
    e->x.body_max = s->o.body_max;
    pthread_mutex_lock(&s->lock);
    s->exchange_count++;
    pthread_mutex_unlock(&s->lock);
    return e;
}

/* RFC 9110, 5.6.2: the characters of a header's name. */
static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] <= ' ' || s.at[i] == 0x7f || strchr("\"(),/:;<=>?@[\\]{}", s.at[i]) != NULL)
            return false;
    return s.len > 0;
}

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (((unsigned char)s.at[i] < ' ' && s.at[i] != '\t') || s.at[i] == 0x7f)
            return true;
    return false;
}

static bool is_digits(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
    return s.len > 0;
}

static bool is_visible(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] <= ' ' || (unsigned char)s.at[i] >= 0x7f)
            return false;
    return true;
}

static void refuse_head(struct exchange *e, enum http_refusal r, const char *why)
{
    if (e->bad != NULL)
        return;
    e->refusal = r;
    e->bad = why;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                 const char *value, size_t value_len)
{
    struct exchange *e = cls;
    (void)kind;
    e->header_count++;
    e->headers_size += name_len + value_len + 4; /* ": " and the end of line */
    struct str wire = {name, name_len};
    if (!is_token(wire) || has_control((struct str){value, value_len}))
        e->bad = "a header is malformed";
    for (size_t i = 0; i < HTTP_HEADER_COUNT; i++) {
        if (!str_eq_nocase(wire, str_of(header_names[i])))
            continue;
        if (e->texts[i] != NULL) {
            e->bad = "a header that may stand once is repeated";
            return MHD_YES;
        }
        e->texts[i] = mem_new(value_len + 1, 1);
        if (value_len > 0)
            memcpy(e->texts[i], value, value_len);
        e->x.header[i] = (struct str){e->texts[i], value_len};
    }
    return MHD_YES;
}

/* RFC 9112: framing that two readers could understand differently is refused. */
static void check_head(struct exchange *e)
{
    struct str length = e->x.header[HTTP_CONTENT_LENGTH], coding = e->x.header[HTTP_TRANSFER_ENCODING];
    if (e->x.target.len > HTTP_TARGET_MAX)
        refuse_head(e, HTTP_TARGET_TOO_LONG, "the request target is too long");
    if (e->header_count > HTTP_HEADERS_MAX || e->headers_size > HTTP_HEADERS_SIZE_MAX)
        refuse_head(e, HTTP_HEADERS_TOO_LARGE, "too many or too long headers");
    if (e->x.target.len == 0 || e->x.target.at[0] != '/' || !is_visible(e->x.target))
        refuse_head(e, HTTP_BAD_REQUEST, "the request target must be a path of visible ASCII characters");
    if (e->x.header[HTTP_HOST].len == 0 && e->is_http11)
        refuse_head(e, HTTP_BAD_REQUEST, "Host is missing");
    if (coding.at != NULL && !e->is_http11)
        refuse_head(e, HTTP_BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding");
    if (length.at != NULL && coding.at != NULL)
        refuse_head(e, HTTP_BAD_REQUEST, "Content-Length and Transfer-Encoding exclude each other");
    if (length.at != NULL && !is_digits(length))
        refuse_head(e, HTTP_BAD_REQUEST, "Content-Length must be digits");
    if (coding.at != NULL && !str_eq_nocase(coding, STR("chunked")))
        refuse_head(e, HTTP_BAD_REQUEST, "the only Transfer-Encoding that is read is chunked");
    if (length.at != NULL && e->bad == NULL && str_to_int(length, &e->announced) != OK) {
        e->announced = INT64_MAX;
        refuse_head(e, HTTP_BODY_TOO_LARGE, "the body is too long");
    }
    e->x.has_body = coding.at != NULL || e->announced > 0;
}

/* --- the answer --- */

static ssize_t on_source(void *cls, uint64_t pos, char *to, size_t room)
{
    struct exchange *e = cls;
    (void)pos;
    long n = e->x.answer.source.read(e->x.answer.source.state, to, room);
    return n < 0 ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)n;
}

static struct MHD_Response *make_response(struct exchange *e)
{
    struct http_answer *a = &e->x.answer;
    if (a->source.read != NULL)
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CONNECTION_MEMORY / 2, on_source, e, NULL);
    if (a->has_file) {
        struct MHD_Response *file = MHD_create_response_from_fd64(a->file_size, a->file_fd);
        a->has_file = file == NULL; /* the response closes it */
        return file;
    }
    struct MHD_Response *r = MHD_create_response_from_buffer(a->body.len, a->body.at, MHD_RESPMEM_MUST_FREE);
    if (r != NULL)
        a->body = (struct buf){NULL, 0, 0, 0, false}; /* likewise */
    return r;
}

/* must_close: what the peer has sent was not read to its end. */
static enum MHD_Result queue_answer(struct exchange *e, bool must_close)
{
    struct http_answer *a = &e->x.answer;
    struct MHD_Response *r = make_response(e);
    if (r == NULL)
        return MHD_NO;
    enum MHD_Result ok = MHD_add_response_header(r, "Content-Type", a->content_type);
    for (size_t i = 0; i < a->header_count && ok == MHD_YES; i++)
        ok = MHD_add_response_header(r, a->headers[i].name, a->headers[i].value);
    if (must_close && ok == MHD_YES)
        ok = MHD_add_response_header(r, "Connection", "close");
    if (ok == MHD_YES)
        ok = MHD_queue_response(e->mhd, (unsigned)a->status, r);
    MHD_destroy_response(r);
    e->is_queued = true;
    connection_limit(e->server, e->connection, INT64_MAX);
    return ok;
}

static enum MHD_Result go_on(struct exchange *e, enum http_next next)
{
    e->is_waiting = next == HTTP_WAITS;
    return next == HTTP_WAITS ? MHD_YES : queue_answer(e, false);
}

static uint64_t drain_max(const struct exchange *e)
{
    return (uint64_t)e->x.body_max + DRAIN_MAX;
}

/* False: it is answered. */
static bool wants_body(struct exchange *e)
{
    struct http_server *s = e->server;
    if (e->bad == NULL && s->o.on_head(s->o.data, &e->x) == HTTP_ANSWERED)
        return false;
    if ((uint64_t)e->announced > e->x.body_max)
        refuse_head(e, HTTP_BODY_TOO_LARGE, "the body is too long");
    if (e->bad != NULL)
        s->o.on_refused(s->o.data, &e->x, e->refusal, e->bad);
    return e->bad == NULL;
}

/* After the head. A body that nobody wants is read and dropped as long as it is small, for a peer that is reset while
 * it writes never reads why; one who waits for "100 Continue" is told at once. */
static enum MHD_Result take_head(struct exchange *e, const char *method, const char *version)
{
    struct http_server *s = e->server;
    e->x.method = str_of(method); /* libmicrohttpd keeps it for the request's life */
    e->is_http11 = strcmp(version, "HTTP/1.0") != 0;
    write_remote(e);
    (void)MHD_get_connection_values_n(e->mhd, MHD_HEADER_KIND, on_header, e);
    check_head(e);
    bool wants = wants_body(e);
    buf_init(&e->body, e->x.body_max);
    e->body_from_ms = clock_monotonic_ms();
    connection_limit(s, e->connection, e->body_from_ms + BODY_FIRST_MS);
    if (wants)
        return MHD_YES;
    bool is_framed = e->bad == NULL || e->refusal == HTTP_BODY_TOO_LARGE;
    if (!e->x.has_body && is_framed)
        return queue_answer(e, false);
    if (!is_framed || (uint64_t)e->announced > drain_max(e) || e->x.header[HTTP_EXPECT].at != NULL)
        return queue_answer(e, true);
    e->is_dropping = true;
    return MHD_YES;
}

static enum MHD_Result take_body(struct exchange *e, const char *piece, size_t *len)
{
    struct http_server *s = e->server;
    e->body_seen += *len;
    connection_limit(s, e->connection, e->body_from_ms + BODY_FIRST_MS + (int64_t)(e->body_seen * BODY_MS_PER_BYTE));
    if (!e->is_dropping) {
        buf_put(&e->body, piece, *len);
        if (e->body.failed) { /* chunked: its length was not known before */
            buf_release(&e->body);
            buf_init(&e->body, 0);
            s->o.on_refused(s->o.data, &e->x, HTTP_BODY_TOO_LARGE, "the body is too long");
            e->is_dropping = true;
            e->dropping_from = e->body_seen;
        }
    }
    if (e->is_dropping && e->body_seen - e->dropping_from > drain_max(e))
        return MHD_NO;
    *len = 0;
    return MHD_YES;
}

/* Called for a request: once with its head, then with each piece of the body, then at its end, then after each resume.
 */
static enum MHD_Result on_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                 const char *version, const char *piece, size_t *len, void **slot)
{
    struct http_server *s = cls;
    struct exchange *e = *slot;
    (void)mhd, (void)url;
    if (e->is_queued)
        return MHD_YES;
    if (!e->was_headed) {
        e->was_headed = true;
        return take_head(e, method, version);
    }
    if (*len > 0)
        return take_body(e, piece, len);
    connection_limit(s, e->connection, INT64_MAX);
    if (e->is_dropping)
        return queue_answer(e, false);
    if (e->is_waiting)
        return go_on(e, s->o.on_resumed(s->o.data, &e->x));
    e->x.body = (struct str){e->body.at == NULL ? "" : (const char *)e->body.at, e->body.len};
    return go_on(e, s->o.on_request(s->o.data, &e->x));
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **slot, enum MHD_RequestTerminationCode code)
{
    struct http_server *s = cls;
    struct exchange *e = *slot;
    (void)mhd, (void)code;
    if (e == NULL)
        return;
    connection_limit(s, e->connection, clock_monotonic_ms() + SILENCE_MAX_S * 1000 + HEAD_MS);
    struct http_answer *a = &e->x.answer;
    if (a->source.close != NULL)
        a->source.close(a->source.state);
    if (e->x.user != NULL)
        s->o.on_end(s->o.data, &e->x);
    if (a->has_file)
        (void)close(a->file_fd);
    buf_release(&a->body);
    for (size_t i = 0; i < a->header_count; i++)
        free(a->headers[i].value);
    for (size_t i = 0; i < HTTP_HEADER_COUNT; i++)
        free(e->texts[i]);
    buf_release(&e->body);
    free(e->target);
    free(e);
    *slot = NULL;
    pthread_mutex_lock(&s->lock);
    s->exchange_count--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* Nothing is decoded by the library: the target is read from on_target. */
static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *s)
{
    (void)cls, (void)mhd;
    return strlen(s);
}

static void on_library_log(void *cls, const char *format, va_list args)
{
    char line[256];
    (void)cls;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int n = vsnprintf(line, sizeof line, format, args);
#pragma GCC diagnostic pop
    while (n > 0 && (size_t)n < sizeof line && line[n - 1] == '\n')
        line[--n] = '\0';
    LOG_DEBUG("api.http", F_CSTR("says", line));
}

/* --- opening and closing --- */

static void write_address(struct http_server *s, int fd)
{
    struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof sa;
    char host[INET6_ADDRSTRLEN] = "", port[8] = "";
    if (getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
        (void)getnameinfo((struct sockaddr *)&sa, len, host, sizeof host, port, sizeof port,
                          NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(s->address, sizeof s->address, sa.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static void server_free(struct http_server *s)
{
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static struct http_server *server_new(const struct http_server_options *o)
{
    struct http_server *s = mem_new(1, sizeof *s);
    s->o = *o;
    list_init(&s->connections);
    pthread_condattr_t attr;
    check(pthread_condattr_init(&attr) == 0);
    check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    check(pthread_mutex_init(&s->lock, NULL) == 0);
    check(pthread_cond_init(&s->changed, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
    return s;
}

enum err http_server_open(const struct http_server_options *o, struct http_server **out, struct fault *why)
{
    int fd;
    enum err e = http_listen(o->address, o->setting, &fd, why);
    if (e != OK)
        return e;
    struct http_server *s = server_new(o);
    write_address(s, fd);
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_THREAD_POOL_SIZE, o->threads > 1 ? o->threads : 0u, MHD_OPTION_CONNECTION_LIMIT, o->connections_max,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)SILENCE_MAX_S, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
    if (s->daemon == NULL) {
        fault_set(why, str_of(o->setting), "the HTTP server does not start: %s", strerror(errno));
        (void)close(fd);
        server_free(s);
        return ERR_IO;
    }
    s->has_reaper = pthread_create(&s->reaper, NULL, reaper_run, s) == 0;
    if (!s->has_reaper) {
        fault_set(why, str_of(o->setting), "no thread for time limits");
        http_server_close(s);
        return ERR_MEMORY;
    }
    *out = s;
    return OK;
}

struct str http_server_address(const struct http_server *s)
{
    return str_of(s->address);
}

uint64_t http_server_connections(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t n = s->connection_count;
    pthread_mutex_unlock(&s->lock);
    return n;
}

void http_server_quiesce(struct http_server *s)
{
    int fd = MHD_quiesce_daemon(s->daemon);
    if (fd >= 0)
        (void)close(fd);
}

void http_server_drain(struct http_server *s, int timeout_ms)
{
    int64_t until = clock_monotonic_ms() + timeout_ms;
    struct timespec t = {until / 1000, until % 1000 * 1000000};
    pthread_mutex_lock(&s->lock);
    while (s->exchange_count > 0 && pthread_cond_timedwait(&s->changed, &s->lock, &t) == 0)
        ;
    pthread_mutex_unlock(&s->lock);
}

void http_server_close(struct http_server *s)
{
    if (s == NULL)
        return;
    MHD_stop_daemon(s->daemon);
    if (s->has_reaper) {
        pthread_mutex_lock(&s->lock);
        s->is_closing = true;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        (void)pthread_join(s->reaper, NULL);
    }
    server_free(s);
}

void http_suspend(struct http_exchange *x)
{
    MHD_suspend_connection(((struct exchange *)(void *)x)->mhd);
}

void http_resume(struct http_exchange *x)
{
    MHD_resume_connection(((struct exchange *)(void *)x)->mhd);
}

bool http_peer_is_gone(struct http_exchange *x)
{
    const struct exchange *e = (const struct exchange *)(void *)x;
    char byte;
    return e->connection != NULL && recv(e->connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void http_answer_header(struct http_answer *a, const char *name, struct str value)
{
    check(a->header_count < HTTP_ANSWER_HEADERS_MAX);
    char *copy = mem_new(value.len + 1, 1);
    if (value.len > 0)
        memcpy(copy, value.at, value.len);
    a->headers[a->header_count].name = name;
    a->headers[a->header_count++].value = copy;
}
