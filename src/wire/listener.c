/* wire/listener.c - where server connections come from. We accept by ourselves on a polled descriptor, because libuv's own
 * listening accepts until nothing is left, however many that are, and closes what comes when the descriptors have run out. */
#include "wire/conn_private.h"
#include "base/log.h"
#include "metrics/metrics.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG          65535 /* the kernel cuts it to somaxconn */
#define ACCEPT_BUDGET    64    /* a turn: a storm of new ones does not starve those that are there */
#define ACCEPT_PAUSE_MS  100   /* without descriptors; the queue of the kernel waits */
#define CROWD_PAUSE_MS   20    /* with unopened_max reached, unless one comes in sooner */
#define NOTE_INTERVAL_MS 1000
#define REFUSALS_MAX     256   /* told 503 at once; beyond that only closed */
#define USER_TIMEOUT_MS  60000 /* what we sent and nobody acknowledged */
#define KERNEL_BUFFER    65536 /* each way, and as much again for its book-keeping: left to itself the kernel gives one peer megabytes */

static const struct str retry_after = {"Retry-After: 10\r\n", sizeof "Retry-After: 10\r\n" - 1};

static bool may_accept(const struct listener *l)
{
    unsigned most = l->options.handshakes_max;
    return l->is_open && !l->is_paused && !l->is_crowded && (l->options.tls == NULL || most == 0 || l->handshake_count < most);
}

/* Room for one more that is not open yet? Who has been silent for long makes place. */
static bool make_room(struct listener *l)
{
    if (l->options.unopened_max == 0 || l->unopened_count < l->options.unopened_max)
        return true;
    if (list_is_empty(&l->unopened))
        return false;
    struct conn *oldest = CONTAINER(l->unopened.next, struct conn, unopened);
    if (wire_now_ms(l->wire) - oldest->begun_ms < l->options.conn.head_timeout_ms / EVICT_DIVISOR)
        return false;
    conn_note_unfinished(oldest, "crowded");
    conn_unopened_over(oldest);
    conn_end(oldest, CONN_END_IDLE, WS_CLOSE_ABNORMAL);
    return true;
}

/* Undoes what conn_new did where no handle was opened. */
static bool open_stream(struct conn *c, int fd)
{
    check(uv_tcp_init(loop_uv(c->wire->loop), &c->tcp) == 0);
    return uv_tcp_open(&c->tcp, fd) == 0;
}

static void note_address_full(struct listener *l, const struct sockaddr *remote)
{
    metric_add_label(METRIC_CONN_UNFINISHED, STR("address"), 1);
    l->address_refusals++;
    int64_t now_ms = wire_now_ms(l->wire);
    if (l->address_note_ms != 0 && now_ms - l->address_note_ms < NOTE_INTERVAL_MS)
        return;
    char text[REMOTE_SIZE];
    address_write(remote, text);
    LOG_WARN("listener.address_full", F_STR("listener", listener_address(l)), F_CSTR("remote", text),
             F_INT("connections", l->options.connections_per_address_max), F_INT("refused", l->address_refusals));
    l->address_note_ms = now_ms;
    l->address_refusals = 0;
}

static void take_socket(struct listener *l, int fd, const struct sockaddr *remote)
{
    bool is_full = l->options.connections_max > 0 && l->connection_count >= l->options.connections_max;
    if (is_full && (l->options.tls != NULL || l->options.conn.is_raw || l->refusal_count >= REFUSALS_MAX)) {
        (void)close(fd); /* before a handshake that would cost more than it says */
        return;
    }
    struct address *address = NULL;
    if (!is_full && !address_enter(l, remote, &address)) {
        note_address_full(l, remote);
        (void)close(fd);
        return;
    }
    struct conn *c = conn_new(l->wire, &l->options.conn, l->options.handlers);
    c->listener = l;
    c->address = address;
    l->users++;
    address_write(remote, c->remote);
    if (!open_stream(c, fd)) {
        (void)close(fd);
        conn_destroy(c);
        return;
    }
    if (l->options.tls != NULL) {
        c->tls = tls_session_new(l->options.tls, (struct str){NULL, 0});
        c->is_handshake = true;
        l->handshake_count++;
    }
    c->is_refusal = is_full;
    c->is_counted = c->is_unopened = !is_full;
    *(is_full ? &l->refusal_count : &l->connection_count) += 1;
    if (c->is_unopened) {
        c->begun_ms = wire_now_ms(l->wire);
        list_add_last(&l->unopened, &c->unopened);
        l->unopened_count++;
    }
    conn_wait(c, l->options.conn.head_timeout_ms);
    conn_start(c);
    if (is_full)
        upgrade_refuse(c, 503, retry_after);
}

static void update_polling(struct listener *l);

static void on_pause_over(struct timer *t)
{
    struct listener *l = CONTAINER(t, struct listener, pause);
    l->is_paused = l->is_crowded = false;
    update_polling(l);
}

/* The kernel's queue waits until one of those that are coming in is in, or has been silent for too long. */
static void pause_for_room(struct listener *l)
{
    l->is_crowded = true;
    timer_start(l->wire->loop, &l->pause, CROWD_PAUSE_MS);
}

static void pause_for_shortage(struct listener *l, int error)
{
    int64_t now_ms = wire_now_ms(l->wire);
    if (l->note_ms == 0 || now_ms - l->note_ms >= NOTE_INTERVAL_MS) {
        l->note_ms = now_ms;
        LOG_ERROR("listener.exhausted", F_STR("listener", listener_address(l)), F_CSTR("err", strerror(error)),
                  F_INT("connections", l->connection_count));
    }
    l->is_paused = true;
    timer_start(l->wire->loop, &l->pause, ACCEPT_PAUSE_MS);
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
    (void)events;
    struct listener *l = handle->data;
    if (status < 0)
        return;
    loop_touch(l->wire->loop);
    for (unsigned i = 0; i < ACCEPT_BUDGET && may_accept(l); i++) {
        if (!make_room(l)) {
            pause_for_room(l);
            break;
        }
        struct sockaddr_storage remote = {0};
        socklen_t size = sizeof remote;
        int fd = accept4(l->fd, (struct sockaddr *)&remote, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            take_socket(l, fd, (const struct sockaddr *)&remote);
        else if (is_shortage(errno))
            pause_for_shortage(l, errno);
        else if (errno == EAGAIN)
            break;
    }
    update_polling(l);
}

static void update_polling(struct listener *l)
{
    bool want = may_accept(l);
    if (want == l->is_polling || !l->is_open)
        return;
    l->is_polling = want;
    check((want ? uv_poll_start(&l->poll, UV_READABLE, on_ready) : uv_poll_stop(&l->poll)) == 0);
}

void listener_wake(struct listener *l)
{
    if (l->is_crowded) {
        l->is_crowded = false;
        timer_stop(&l->pause);
    }
    update_polling(l);
}

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/* The options of the listening socket are those of every connection that it accepts. */
static int open_socket(const struct sockaddr *a, bool is_shared)
{
    int fd = socket(a->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    socklen_t size = a->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) && (!is_shared || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) && set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS) &&
        set_option(fd, SOL_SOCKET, SO_SNDBUF, KERNEL_BUFFER) && set_option(fd, SOL_SOCKET, SO_RCVBUF, KERNEL_BUFFER) &&
        bind(fd, a, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

static enum err tell_failure(const struct listener_options *o, const struct sockaddr *a, struct fault *why)
{
    if (errno == EADDRINUSE) {
        char holder[64];
        port_holder_write(a, holder, sizeof holder);
        fault_set(why, STR("address"), "%.*s is taken by another process%s", STR_ARG(o->address), holder);
        return ERR_BUSY;
    }
    enum err e = errno == EACCES ? ERR_DENIED : errno == EMFILE || errno == ENFILE ? ERR_LIMIT : ERR_IO;
    fault_set(why, STR("address"), "%.*s: %s", STR_ARG(o->address), strerror(errno));
    return e;
}

enum err listener_open(struct loop *loop, const struct listener_options *o, struct listener **out, struct fault *why)
{
    struct sockaddr_storage a;
    if (address_parse(o->address, &a) != OK) {
        fault_set(why, STR("address"), "%.*s is no address like 0.0.0.0:8887 or [::]:8887", STR_ARG(o->address));
        return ERR_FORMAT;
    }
    int fd = open_socket((const struct sockaddr *)&a, o->is_shared);
    if (fd < 0)
        return tell_failure(o, (const struct sockaddr *)&a, why);
    struct listener *l = mem_new(1, sizeof *l);
    socklen_t size = sizeof a;
    check(getsockname(fd, (struct sockaddr *)&a, &size) == 0);
    address_write((const struct sockaddr *)&a, l->address);
    l->port = ntohs(a.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&a)->sin6_port
                                            : ((const struct sockaddr_in *)&a)->sin_port);
    l->wire = wire_of(loop);
    l->options = *o;
    l->options.address = str_of(l->address);
    l->fd = fd;
    l->users = 1;
    l->is_open = true;
    list_init(&l->unopened);
    uint64_t key[2];
    wire_random(key, sizeof key);
    map_init(&l->addresses, key);
    timer_init(&l->pause, on_pause_over);
    check(uv_poll_init(loop_uv(loop), &l->poll, fd) == 0);
    l->poll.data = l;
    update_polling(l);
    *out = l;
    return OK;
}

void listener_unref(struct listener *l)
{
    if (--l->users > 0)
        return;
    map_release(&l->addresses);
    loop_free_later(l->wire->loop, l);
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    (void)close(l->fd);
    listener_unref(l);
}

/* Stops accepting at once: the descriptor itself is closed when libuv has let go of it. */
void listener_destroy(struct listener *l)
{
    if (!l->is_open)
        return;
    l->is_open = l->is_polling = false;
    timer_stop(&l->pause);
    uv_close((uv_handle_t *)&l->poll, on_closed);
}

void listener_close(struct listener *l)
{
    if (l != NULL)
        listener_destroy(l);
}

int listener_port(const struct listener *l)
{
    return (int)l->port;
}

struct str listener_address(const struct listener *l)
{
    return (struct str){l->address, strlen(l->address)};
}

void *listener_data(const struct listener *l)
{
    return l->options.data;
}

size_t listener_connection_count(const struct listener *l)
{
    return l->connection_count;
}
