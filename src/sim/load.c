/* sim/load.c - the loop of the load generator: who is free calls, who is answered is free. */
#include "sim/load_private.h"
#include <stdio.h>
#include <stdlib.h>

#define TICK_MS          10    /* the open loop gives out what fell due; the wheel's own grain */
#define READY_MS         60000 /* devices that are not in by then are not waited for */
#define CALL_TIMEOUT_MS  30000
#define COMEBACK_MS      1000
#define CLOSE_MS         2500
#define LOOK_MS          50
#define FRAME_MAX        4096
#define ARENA_MAX        262144
#define DESCRIPTORS_MORE 64

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

void load_send(struct caller *c)
{
    const struct buf *b = &c->load->frame;
    if (conn_send(c->conn, (struct bytes){b->at, b->len}, true) != OK)
        return; /* on_close comes, and counts it */
}

static void call(struct caller *c, int kind, int64_t due_us)
{
    struct load *l = c->load;
    int64_t at_ms = clock_monotonic_ms();
    if (at_ms != l->time_ms) {
        l->time_ms = at_ms;
        instant_write(clock_now(), l->time_text);
    }
    c->number++;
    c->call = (uint8_t)kind;
    c->is_waiting = true;
    c->due_us = due_us;
    buf_clear(&l->frame);
    l->kind->write(c);
    timer_start(l->loop, &c->timer, CALL_TIMEOUT_MS);
    load_send(c);
}

/* Free for the next one: at once, or when one falls due. */
static void go_on(struct caller *c)
{
    struct load *l = c->load;
    if (!l->is_measuring)
        return;
    if (!l->is_open_loop) {
        call(c, l->kind->next(c), clock_now_us());
        return;
    }
    list_add_last(&l->idle, &c->idle);
}

static void give_out(struct load *l)
{
    int64_t now_us = clock_now_us();
    while (!list_is_empty(&l->idle) && l->next_due_us <= now_us) {
        struct caller *c = CONTAINER(l->idle.next, struct caller, idle);
        list_take(&c->idle);
        call(c, l->kind->next(c), l->next_due_us);
        l->next_due_us += 1000000 / l->options->rate > 0 ? 1000000 / l->options->rate : 1;
    }
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

static void on_ready(struct caller *c)
{
    struct load *l = c->load;
    c->is_ready = true;
    l->ready_count++;
    l->came_count++;
    timer_stop(&c->timer);
    go_on(c);
}

/* The measuring is over: what runs is ended, so that the server has nothing open of ours, then the connection ends. */
static void take_leave(struct caller *c)
{
    timer_stop(&c->timer);
    list_take(&c->idle);
    if (c->conn == NULL || c->is_waiting)
        return;
    int last = c->is_ready ? c->load->kind->leave(c) : LOAD_NONE;
    if (last != LOAD_NONE)
        call(c, last, clock_now_us());
    else
        conn_close(c->conn, CONN_END_SHUTDOWN, WS_CLOSE_GOING_AWAY, STR("load over"));
}

void load_answered(struct caller *c, bool is_error)
{
    struct load *l = c->load;
    c->is_waiting = false;
    if (c->call == LOAD_FIRST) {
        on_ready(c);
        if (l->is_closing)
            take_leave(c);
        return;
    }
    if (l->is_closing) {
        take_leave(c);
        return;
    }
    latency_add(&l->latency, clock_now_us() - c->due_us);
    l->errors += is_error;
    go_on(c);
}

static void caller_on_bytes(struct conn *conn, struct bytes b)
{
    struct caller *c = conn_data(conn);
    if (c->conn == conn)
        c->load->kind->on_bytes(c, b);
}

static void caller_on_message(struct conn *conn, struct bytes message, bool is_text)
{
    if (is_text)
        caller_on_bytes(conn, message);
}

/* ---- Connections ------------------------------------------------------------------------------------------------- */

static void caller_on_open(struct conn *conn)
{
    struct caller *c = conn_data(conn);
    c->load->kind->open(c);
    call(c, LOAD_FIRST, clock_now_us());
}

static void come_back(struct caller *c)
{
    struct load *l = c->load;
    list_take(&c->idle);
    l->ready_count -= c->is_ready;
    l->errors += l->is_measuring;
    c->is_ready = c->is_waiting = false;
    c->conn = NULL;
    if (!l->is_closing)
        timer_start(l->loop, &c->timer, COMEBACK_MS);
}

static void caller_on_close(struct conn *conn, enum conn_end why, uint16_t code)
{
    (void)why;
    (void)code;
    struct caller *c = conn_data(conn);
    c->load->open_count--;
    if (c->conn == conn)
        come_back(c);
}

static const struct conn_handlers handlers = {.on_open = caller_on_open,
                                              .on_message = caller_on_message,
                                              .on_bytes = caller_on_bytes,
                                              .on_close = caller_on_close};

/* Not connected: connect. Waiting for an answer: it did not come, so the connection is of no use. */
static void on_caller_due(struct timer *t)
{
    struct caller *c = CONTAINER(t, struct caller, timer);
    struct load *l = c->load;
    if (c->conn != NULL) {
        struct conn *old = c->conn;
        come_back(c);
        conn_close(old, CONN_END_OURS, WS_CLOSE_GOING_AWAY, STR("no answer"));
        return;
    }
    struct sim_guest guest = {l->kind->name(c), c->index};
    if (sim_door_connect(l->door, l->loop, &guest, &handlers, c, &c->conn) == OK)
        l->open_count++;
    else
        come_back(c);
}

/* ---- The course of a run ----------------------------------------------------------------------------------------- */

static void on_tick(struct timer *t)
{
    struct load *l = CONTAINER(t, struct load, tick);
    give_out(l);
    if (l->is_measuring)
        timer_start(l->loop, t, TICK_MS);
}

/* Answers free stations between two ticks: what is due already goes out at once. */
static void on_round_end(void *data)
{
    struct load *l = data;
    if (l->is_measuring && l->is_open_loop)
        give_out(l);
}

static void begin(struct load *l)
{
    l->is_measuring = true;
    l->begin_us = l->next_due_us = clock_now_us();
    for (size_t i = 0; i < l->count; i++)
        if (l->callers[i].is_ready)
            go_on(&l->callers[i]);
    if (l->is_open_loop)
        timer_start(l->loop, &l->tick, TICK_MS);
    timer_start(l->loop, &l->phase, l->options->duration * 1000);
}

static void end(struct load *l)
{
    l->is_measuring = false;
    l->is_closing = true;
    l->end_us = clock_now_us();
    l->give_up_ms = clock_monotonic_ms() + CLOSE_MS;
    for (size_t i = 0; i < l->count; i++)
        take_leave(&l->callers[i]);
    timer_start(l->loop, &l->phase, LOOK_MS);
}

/* Waiting for all to be in, then measuring for the duration, then waiting for all to be gone. */
static void on_phase(struct timer *t)
{
    struct load *l = CONTAINER(t, struct load, phase);
    bool is_late = clock_monotonic_ms() >= l->give_up_ms;
    if (l->is_closing && (l->open_count == 0 || is_late))
        loop_stop(l->loop);
    else if (l->is_measuring || (!l->is_closing && l->ready_count == 0 && is_late))
        end(l);
    else if (!l->is_closing && (l->ready_count == l->count || is_late))
        begin(l);
    else
        timer_start(l->loop, t, LOOK_MS);
}

static void on_signal(int signal, void *data)
{
    (void)signal;
    struct load *l = data;
    if (l->is_closing)
        loop_stop(l->loop);
    else
        end(l);
}

static void load_init(struct load *l)
{
    const struct sim_options *o = l->options;
    list_init(&l->idle);
    buf_init(&l->frame, FRAME_MAX);
    arena_init(&l->arena, ARENA_MAX);
    l->kind->init(l);
    l->count = (size_t)o->stations;
    l->is_open_loop = str_eq(o->load, STR("open"));
    l->callers = mem_new(l->count, sizeof *l->callers);
    for (size_t i = 0; i < l->count; i++) {
        struct caller *c = &l->callers[i];
        c->load = l;
        c->index = (uint32_t)i;
        list_init(&c->idle);
        timer_init(&c->timer, on_caller_due);
        l->kind->init_caller(c);
        timer_start(l->loop, &c->timer, (int64_t)i * 1000 / o->connects);
    }
    timer_init(&l->tick, on_tick);
    timer_init(&l->phase, on_phase);
    l->give_up_ms = clock_monotonic_ms() + READY_MS + (int64_t)l->count * 1000 / o->connects;
    timer_start(l->loop, &l->phase, LOOK_MS);
    loop_on_round_end(l->loop, on_round_end, l);
    loop_on_signal(l->loop, on_signal, l);
}

static void print_figures(const struct load *l)
{
    int64_t over_us = l->begin_us != 0 ? l->end_us - l->begin_us : 0;
    const struct latency *a = &l->latency;
    int64_t p50 = latency_at(a, 500), p99 = latency_at(a, 990);
    (void)printf("calls=%llu calls_per_s=%llu p50_ms=%lld.%03lld p99_ms=%lld.%03lld max_ms=%lld.%03lld errors=%llu "
                 "stations=%zu of=%zu seconds=%lld.%03lld\n",
                 (unsigned long long)a->count,
                 over_us > 0 ? (unsigned long long)a->count * 1000000 / (uint64_t)over_us : 0, (long long)p50 / 1000,
                 (long long)p50 % 1000, (long long)p99 / 1000, (long long)p99 % 1000, (long long)a->most_us / 1000,
                 (long long)a->most_us % 1000, (unsigned long long)l->errors, l->came_count, l->count,
                 (long long)over_us / 1000000, (long long)over_us / 1000 % 1000);
}

int load_run(const struct sim_options *o, const struct sim_door *door)
{
    struct load l = {
        .options = o, .door = door, .kind = o->is_ap3000 ? &load_of_piles : &load_of_stations, .loop = loop_new()};
    sim_raise_descriptor_limit((size_t)o->stations + DESCRIPTORS_MORE);
    load_init(&l);
    loop_run(l.loop);
    if (l.end_us == 0)
        l.end_us = clock_now_us();
    print_figures(&l);
    loop_free(l.loop);
    l.kind->release(&l);
    arena_release(&l.arena);
    buf_release(&l.frame);
    free(l.callers);
    return l.latency.count > 0 ? 0 : 1;
}
