/* loop/loop.c - the turn of a libuv loop as rounds. libuv runs timers, then prepare, then waits for sockets and reads them,
 * then check, then what is being closed. A round ends in check, after all reads; what timers and closing handles did ends in
 * prepare, before the next wait, so that nothing waits for a socket to become ready.
 *
 * With a ring the wait is there, and libuv has its turn, which waits for nothing, when its descriptor is ready or a timer is due. What
 * the ring brought and what libuv did are one round. */
#include "loop/loop.h"
#include "loop/ring.h"
#include "loop/wheel.h"
#include <signal.h>
#include <stdlib.h>
#include <uv.h>

#define GARBAGE_ROOM_FIRST 64

static const int signals_told[] = {SIGINT, SIGTERM};

struct round_handler {
    void (*handler)(void *data);
    void *data;
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t again; /* active while a round left something to do: the wait for sockets is then no wait */
    uv_timer_t tick;
    struct ring *ring;
    bool is_stopping;
    uv_signal_t signals[COUNT_OF(signals_told)];
    void (*on_signal)(int signal, void *data);
    void *signal_data;

    bool is_touched;
    size_t handler_count;
    struct round_handler handlers[LOOP_ROUND_HANDLERS_MAX];
    struct round_handler flush;
    void (*flush_close)(void *data);

    void **garbage; /* freed at the end of the round */
    size_t garbage_count, garbage_room;

    int64_t armed_ms; /* when tick fires; INT64_MAX: it is stopped */
    bool is_firing;
    struct wheel wheel;
};

static void free_garbage(struct loop *l)
{
    for (size_t i = 0; i < l->garbage_count; i++)
        free(l->garbage[i]);
    l->garbage_count = 0;
}

static void end_round(struct loop *l)
{
    if (!l->is_touched)
        return;
    l->is_touched = false;
    for (size_t i = 0; i < l->handler_count; i++)
        l->handlers[i].handler(l->handlers[i].data);
    if (l->flush.handler != NULL)
        l->flush.handler(l->flush.data);
    free_garbage(l);
}

static void on_again(uv_idle_t *handle)
{
    (void)handle;
}

static void on_prepare(uv_prepare_t *handle)
{
    struct loop *l = handle->data;
    if (l->ring != NULL)
        return;
    end_round(l);
    if (l->is_touched)
        check(uv_idle_start(&l->again, on_again) == 0);
    else
        check(uv_idle_stop(&l->again) == 0);
}

static void on_check(uv_check_t *handle)
{
    struct loop *l = handle->data;
    if (l->ring == NULL)
        end_round(l);
}

struct loop *loop_new(void)
{
    struct loop *l = mem_new(1, sizeof *l);
    check(uv_loop_init(&l->uv) == 0);
    check(uv_prepare_init(&l->uv, &l->prepare) == 0 && uv_prepare_start(&l->prepare, on_prepare) == 0);
    check(uv_check_init(&l->uv, &l->check) == 0 && uv_check_start(&l->check, on_check) == 0);
    check(uv_idle_init(&l->uv, &l->again) == 0);
    check(uv_timer_init(&l->uv, &l->tick) == 0);
    l->prepare.data = l->check.data = l->tick.data = l;
    l->armed_ms = INT64_MAX;
    wheel_init(&l->wheel, clock_monotonic_ms());
    return l;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    if (l->flush_close != NULL)
        l->flush_close(l->flush.data);
    uv_walk(&l->uv, close_handle, NULL);
    check(uv_run(&l->uv, UV_RUN_DEFAULT) == 0);
    while (l->ring != NULL && ring_standing(l->ring) > 0) {
        ring_wait(l->ring, -1);
        ring_deliver(l->ring);
    }
    ring_free(l->ring);
    check(uv_loop_close(&l->uv) == 0);
    free_garbage(l);
    free(l->garbage);
    free(l->flush.data);
    free(l);
}

enum err loop_use_ring(struct loop *l, struct fault *why)
{
    check(l->ring == NULL && l->flush.handler == NULL);
    l->ring = ring_new(uv_backend_fd(&l->uv), why);
    return l->ring == NULL ? ERR_UNKNOWN : OK;
}

struct ring *loop_ring(const struct loop *l)
{
    return l->ring;
}

/* uv_backend_timeout is 0 also when something is to be closed, or to be watched from now on. */
static void run_with_ring(struct loop *l)
{
    for (;;) {
        if (ring_is_watched_ready(l->ring) || uv_backend_timeout(&l->uv) == 0)
            (void)uv_run(&l->uv, UV_RUN_NOWAIT);
        end_round(l);
        if (l->is_stopping)
            break;
        ring_wait(l->ring, l->is_touched ? 0 : uv_backend_timeout(&l->uv));
        uv_update_time(&l->uv);
        ring_deliver(l->ring);
    }
}

void loop_run(struct loop *l)
{
    if (l->ring != NULL)
        run_with_ring(l);
    else
        (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    l->is_stopping = false;
}

void loop_stop(struct loop *l)
{
    l->is_stopping = true;
    if (l->ring == NULL)
        uv_stop(&l->uv);
}

void *loop_uv(struct loop *l)
{
    return &l->uv;
}

void loop_on_round_end(struct loop *l, void (*handler)(void *data), void *data)
{
    check(l->handler_count < LOOP_ROUND_HANDLERS_MAX);
    l->handlers[l->handler_count++] = (struct round_handler){handler, data};
}

void loop_on_flush(struct loop *l, void (*handler)(void *data), void (*close)(void *data), void *data)
{
    check(l->flush.handler == NULL);
    l->flush = (struct round_handler){handler, data};
    l->flush_close = close;
}

void *loop_flush_data(const struct loop *l)
{
    return l->flush.data;
}

void loop_touch(struct loop *l)
{
    l->is_touched = true;
}

void loop_free_later(struct loop *l, void *memory)
{
    if (l->garbage_count == l->garbage_room) {
        l->garbage_room = l->garbage_room == 0 ? GARBAGE_ROOM_FIRST : l->garbage_room * 2;
        l->garbage = mem_grow(l->garbage, l->garbage_room, sizeof *l->garbage);
    }
    l->garbage[l->garbage_count++] = memory;
    loop_touch(l);
}

static void on_tick(uv_timer_t *handle);

static void arm(struct loop *l, int64_t at_ms)
{
    if (at_ms == INT64_MAX)
        return;
    int64_t now_ms = (int64_t)uv_now(&l->uv);
    check(uv_timer_start(&l->tick, on_tick, at_ms > now_ms ? (uint64_t)(at_ms - now_ms) : 0, 0) == 0);
    l->armed_ms = at_ms;
}

static void on_tick(uv_timer_t *handle)
{
    struct loop *l = handle->data;
    l->armed_ms = INT64_MAX;
    l->is_firing = true;
    wheel_advance(&l->wheel, (int64_t)uv_now(&l->uv));
    l->is_firing = false;
    arm(l, wheel_next_ms(&l->wheel));
    loop_touch(l);
}

void timer_init(struct timer *t, void (*on_due)(struct timer *t))
{
    list_init(&t->link);
    t->due_ms = 0;
    t->on_due = on_due;
}

void timer_start(struct loop *l, struct timer *t, int64_t after_ms)
{
    list_take(&t->link);
    int64_t now_ms = clock_monotonic_ms();
    t->due_ms = now_ms + after_ms;
    if (l->armed_ms == INT64_MAX && !l->is_firing)
        wheel_set(&l->wheel, now_ms); /* nothing is in it */
    wheel_add(&l->wheel, t);
    if (!l->is_firing && t->due_ms < l->armed_ms)
        arm(l, wheel_next_ms(&l->wheel));
}

void timer_stop(struct timer *t)
{
    list_take(&t->link);
}

static void on_uv_signal(uv_signal_t *handle, int signal)
{
    struct loop *l = handle->data;
    l->on_signal(signal, l->signal_data);
    loop_touch(l);
}

void loop_on_signal(struct loop *l, void (*handler)(int signal, void *data), void *data)
{
    check(l->on_signal == NULL);
    l->on_signal = handler;
    l->signal_data = data;
    for (size_t i = 0; i < COUNT_OF(signals_told); i++) {
        check(uv_signal_init(&l->uv, &l->signals[i]) == 0);
        l->signals[i].data = l;
        check(uv_signal_start(&l->signals[i], on_uv_signal, signals_told[i]) == 0);
    }
}
