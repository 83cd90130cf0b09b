/* api/http_server.c - the threads of an HTTP server and what they wait for: the listener, their connections, each
 * other.
 *
 * Every thread waits on an epoll of its own, accepts, and runs the handlers of its connections: one that blocks holds up
 * its own thread, and the others go on accepting. Who comes is given to a thread that has fewer connections and nothing to
 * do, since one that is woken accepts all that knock. What is slow is looked for twice a second. */
#include "api/http_private.h"

#include "api/http_listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop.h"

#define EVENTS_MAX  64
#define ACCEPTS_MAX 16 /* in one go: then those that are here have their turn */
#define TICK_MS     500

/* --- what a thread waits for --- */

static bool watch(struct http_thread *t, int operation, int fd, uint32_t events, void *whose)
{
    struct epoll_event e = {.events = events, .data = {.ptr = whose}};
    return epoll_ctl(t->epoll, operation, fd, &e) == 0;
}

void http_thread_watch(struct http_conn *c, uint32_t events)
{
    if (c->watched == events)
        return;
    int operation = events == 0 ? EPOLL_CTL_DEL : c->watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    c->watched = events;
    if (!watch(c->thread, operation, c->fd, events, c))
        c->due_ms = INT64_MIN; /* no memory in the kernel: it goes at the next look */
}

/* Full, or without descriptors: the others may go on, and who knocks waits. */
static void listen_stop(struct http_thread *t)
{
    if (t->is_listening)
        (void)watch(t, EPOLL_CTL_DEL, t->server->listener, 0, NULL);
    t->is_listening = false;
}

static void listen_start(struct http_thread *t)
{
    struct http_server *s = t->server;
    if (!t->is_listening && !atomic_load(&s->is_quiet) && atomic_load(&s->conn_count) < s->o.connections_max)
        t->is_listening = watch(t, EPOLL_CTL_ADD, s->listener, EPOLLIN | EPOLLEXCLUSIVE, &s->listener);
}

void http_thread_forget(struct http_conn *c)
{
    (void)atomic_fetch_sub(&c->thread->conn_count, 1);
    (void)atomic_fetch_sub(&c->thread->server->conn_count, 1);
    listen_start(c->thread);
}

static void thread_wake(struct http_thread *t)
{
    static const uint64_t one = 1;
    check(write(t->wake, &one, sizeof one) == sizeof one);
}

/* Itself, unless one that has nothing to do has fewer. */
static struct http_thread *least_loaded(struct http_thread *t)
{
    struct http_server *s = t->server;
    struct http_thread *least = t;
    for (unsigned i = 0; i < s->o.threads; i++)
        if (atomic_load(&s->threads[i].is_waiting) && atomic_load(&s->threads[i].conn_count) < atomic_load(&least->conn_count))
            least = &s->threads[i];
    return least;
}

static void give(struct http_thread *from, int fd, const struct sockaddr *peer, socklen_t size)
{
    struct http_thread *to = least_loaded(from);
    (void)atomic_fetch_add(&to->conn_count, 1);
    struct http_conn *c = http_conn_new(to, fd, peer, size);
    if (to == from) {
        http_conn_begin(c);
        return;
    }
    pthread_mutex_lock(&to->lock);
    list_add_last(&to->arrived, &c->link);
    pthread_mutex_unlock(&to->lock);
    thread_wake(to);
}

/* False: nothing more for now. */
static bool accept_one(struct http_thread *t)
{
    struct http_server *s = t->server;
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    bool has_room = atomic_fetch_add(&s->conn_count, 1) < s->o.connections_max;
    int fd = has_room ? accept4(s->listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
    int failure = has_room ? errno : 0;
    if (fd >= 0) {
        give(t, fd, (struct sockaddr *)&peer, size);
        return true;
    }
    (void)atomic_fetch_sub(&s->conn_count, 1);
    if (failure == EAGAIN || failure == ECONNABORTED || failure == EINTR)
        return false;
    if (has_room && !atomic_load(&s->is_quiet))
        LOG_WARN("api.accept_failed", F_CSTR("setting", s->o.setting), F_CSTR("err", strerror(failure)));
    listen_stop(t);
    return false;
}

static void move_all(struct link *from, struct link *to)
{
    while (!list_is_empty(from)) {
        struct link *l = from->next;
        list_take(l);
        list_add_last(to, l);
    }
}

static void on_wake(struct http_thread *t)
{
    uint64_t count;
    struct link woken, arrived;
    list_init(&woken);
    list_init(&arrived);
    pthread_mutex_lock(&t->lock);
    (void)!read(t->wake, &count, sizeof count);
    move_all(&t->woken, &woken);
    move_all(&t->arrived, &arrived);
    pthread_mutex_unlock(&t->lock);
    while (!list_is_empty(&arrived)) {
        struct http_conn *c = CONTAINER(arrived.next, struct http_conn, link);
        list_take(&c->link);
        http_conn_begin(c);
    }
    while (!list_is_empty(&woken)) {
        struct http_conn *c = CONTAINER(woken.next, struct http_conn, woken);
        list_take(&c->woken);
        http_conn_wake(c);
    }
}

static void on_event(struct http_thread *t, const struct epoll_event *e)
{
    if (e->data.ptr == &t->server->listener) {
        for (unsigned n = 0; n < ACCEPTS_MAX && accept_one(t); n++)
            ;
        return;
    }
    struct http_conn *c = e->data.ptr;
    c->is_readable |= (e->events & ~(uint32_t)EPOLLOUT) != 0;
    http_conn_go(c);
}

/* --- a thread --- */

static void end_slow(struct http_thread *t, int64_t now_ms)
{
    for (struct link *l = t->conns.next; l != &t->conns;) {
        struct http_conn *c = CONTAINER(l, struct http_conn, link);
        l = l->next;
        if (c->due_ms <= now_ms)
            http_conn_end(c);
    }
}

/* Those that have had their turn already; who needs another comes behind them. */
static void go_ready(struct http_thread *t)
{
    struct link now;
    list_init(&now);
    move_all(&t->ready, &now);
    while (!list_is_empty(&now))
        http_conn_go(CONTAINER(now.next, struct http_conn, ready));
}

/* The mail of others comes last: what an event of this turn has ended is in no list any more. */
static void thread_turn(struct http_thread *t, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    bool is_woken = false;
    atomic_store(&t->is_waiting, true);
    int n = epoll_wait(t->epoll, events, EVENTS_MAX, timeout_ms);
    atomic_store(&t->is_waiting, false);
    for (int i = 0; i < n; i++)
        if (events[i].data.ptr == &t->wake)
            is_woken = true;
        else
            on_event(t, &events[i]);
    go_ready(t);
    if (is_woken)
        on_wake(t);
}

static void *thread_run(void *arg)
{
    struct http_thread *t = arg;
    int64_t tick_ms = clock_monotonic_ms() + TICK_MS;
    while (!atomic_load(&t->server->is_closing)) {
        bool is_idle = t->is_listening && list_is_empty(&t->conns);
        thread_turn(t, !list_is_empty(&t->ready) ? 0 : is_idle ? -1 : TICK_MS);
        int64_t now_ms = clock_monotonic_ms();
        if (now_ms < tick_ms)
            continue;
        tick_ms = now_ms + TICK_MS;
        end_slow(t, now_ms);
        listen_start(t);
    }
    end_slow(t, INT64_MAX);
    return NULL;
}

static bool thread_make(struct http_server *s, struct http_thread *t)
{
    t->server = s;
    atomic_store(&t->is_waiting, true);
    list_init(&t->conns);
    list_init(&t->ready);
    list_init(&t->woken);
    list_init(&t->arrived);
    check(pthread_mutex_init(&t->lock, NULL) == 0);
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return t->epoll >= 0 && t->wake >= 0 && watch(t, EPOLL_CTL_ADD, t->wake, EPOLLIN, &t->wake);
}

static bool thread_start(struct http_thread *t)
{
    listen_start(t);
    t->is_running = t->is_listening && pthread_create(&t->id, NULL, thread_run, t) == 0;
    return t->is_running;
}

static void thread_stop(struct http_thread *t)
{
    if (!t->is_running)
        return;
    thread_wake(t);
    (void)pthread_join(t->id, NULL);
}

/* Its connections have gone with it, but for those that came too late. */
static void thread_release(struct http_thread *t)
{
    if (t->server == NULL)
        return; /* it was never made */
    while (!list_is_empty(&t->arrived))
        http_conn_end(CONTAINER(t->arrived.next, struct http_conn, link));
    if (t->epoll >= 0)
        (void)close(t->epoll);
    if (t->wake >= 0)
        (void)close(t->wake);
    pthread_mutex_destroy(&t->lock);
}

/* --- the server --- */

void http_exchange_count(struct http_server *s, int by)
{
    pthread_mutex_lock(&s->lock);
    s->exchange_count += (size_t)by;
    if (s->exchange_count == 0)
        pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void write_address(struct http_server *s)
{
    struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof sa;
    char host[INET6_ADDRSTRLEN] = "", port[8] = "";
    if (getsockname(s->listener, (struct sockaddr *)&sa, &len) == 0)
        (void)getnameinfo((struct sockaddr *)&sa, len, host, sizeof host, port, sizeof port,
                          NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(s->address, sizeof s->address, sa.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

enum err http_server_open(const struct http_server_options *o, struct http_server **out, struct fault *why)
{
    int fd;
    enum err e = http_listen(o->address, o->setting, &fd, why);
    if (e != OK)
        return e;
    struct http_server *s = mem_new(1, sizeof *s);
    pthread_condattr_t attr;
    s->o = *o;
    s->listener = fd;
    check(pthread_condattr_init(&attr) == 0);
    check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    check(pthread_mutex_init(&s->lock, NULL) == 0 && pthread_cond_init(&s->changed, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
    write_address(s);
    s->threads = mem_new(o->threads, sizeof *s->threads);
    bool is_made = true; /* all, before any may give another a connection */
    for (unsigned i = 0; i < o->threads; i++)
        is_made = is_made && thread_make(s, &s->threads[i]);
    for (unsigned i = 0; i < o->threads; i++)
        if (!is_made || !thread_start(&s->threads[i])) {
            fault_set(why, str_of(o->setting), "a thread of the HTTP server does not start: %s", strerror(errno));
            http_server_close(s);
            return ERR_IO;
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
    return atomic_load(&s->conn_count);
}

void http_server_quiesce(struct http_server *s)
{
    atomic_store(&s->is_quiet, true);
    (void)shutdown(s->listener, SHUT_RDWR); /* which those who wait on it are told */
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
    http_server_quiesce(s);
    atomic_store(&s->is_closing, true);
    for (unsigned i = 0; i < s->o.threads; i++)
        thread_stop(&s->threads[i]);
    for (unsigned i = 0; i < s->o.threads; i++)
        thread_release(&s->threads[i]);
    (void)close(s->listener);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s->threads);
    free(s);
}
