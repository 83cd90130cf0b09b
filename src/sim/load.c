/* sim/load.c - the loop of the load generator. An answer is recognised by its first bytes; only what the server asks by
 * itself, which is rare, is read as a whole. */
#include "sim/load.h"
#include "proto/ocpp16/frame.h"
#include "sim/latency.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES_EACH     10    /* between start and stop */
#define TICK_MS          10    /* the open loop gives out what fell due; the wheel's own grain */
#define READY_MS         60000 /* stations that are not in by then are not waited for */
#define CALL_TIMEOUT_MS  30000
#define COMEBACK_MS      1000
#define CLOSE_MS         2500
#define LOOK_MS          50
#define FRAME_MAX        4096
#define ID_TEXT_SIZE     24
#define ARENA_MAX        262144
#define ENERGY_FIRST_WH  1000000 /* seven digits, for the size of a frame */
#define ENERGY_LAST_WH   9999999
#define ENERGY_STEP_WH   37
#define DESCRIPTORS_MORE 64

struct caller {
    struct load *load;
    struct conn *conn;
    struct timer timer; /* back after a loss; no answer in time */
    struct link idle;
    uint32_t index, number; /* of its call */
    uint8_t call;           /* enum load_call under way */
    uint8_t samples_left;
    bool is_waiting, is_ready;
    int32_t transaction_id;
    int32_t energy_wh;
    int64_t due_us;
    char identity[IDENTITY_SIZE];
    char tag[ID_TAG_SIZE];
};

struct load {
    const struct sim_options *options;
    const struct sim_door *door;
    struct loop *loop;
    struct template frames[LOAD_CALL_COUNT];
    struct caller *callers;
    size_t count, ready_count, open_count, came_count;
    struct link idle;
    struct timer tick, phase;
    struct buf frame;
    struct arena arena;
    struct latency latency;
    uint64_t errors;
    bool is_open_loop, is_measuring, is_closing;
    int64_t begin_us, end_us, next_due_us, give_up_ms, time_ms;
    char time_text[INSTANT_TEXT_SIZE];
};

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

static struct str id_text(const struct caller *c, char out[ID_TEXT_SIZE])
{
    int len = snprintf(out, ID_TEXT_SIZE, "%x", (unsigned)c->number);
    return (struct str){out, (size_t)len};
}

static struct str number_text(int32_t n, char *out, size_t size)
{
    int len = snprintf(out, size, "%d", (int)n);
    return (struct str){out, (size_t)len};
}

static void call(struct caller *c, enum load_call kind, int64_t due_us)
{
    struct load *l = c->load;
    char id[ID_TEXT_SIZE], transaction[16], energy[16];
    int64_t at_ms = clock_monotonic_ms();
    if (at_ms != l->time_ms) {
        l->time_ms = at_ms;
        instant_write(clock_now(), l->time_text);
    }
    c->number++;
    c->call = (uint8_t)kind;
    c->is_waiting = true;
    c->due_us = due_us;
    c->energy_wh = c->energy_wh >= ENERGY_LAST_WH - ENERGY_STEP_WH ? ENERGY_FIRST_WH : c->energy_wh + ENERGY_STEP_WH;
    const struct str values[HOLE_COUNT] = {
        [HOLE_ID] = id_text(c, id),
        [HOLE_TRANSACTION] = number_text(c->transaction_id, transaction, sizeof transaction),
        [HOLE_TIME] = {l->time_text, INSTANT_TEXT_SIZE - 1},
        [HOLE_ENERGY] = number_text(c->energy_wh, energy, sizeof energy),
        [HOLE_TAG] = str_of(c->tag),
    };
    buf_clear(&l->frame);
    template_fill(&l->frames[kind], values, &l->frame);
    timer_start(l->loop, &c->timer, CALL_TIMEOUT_MS);
    if (conn_send(c->conn, (struct bytes){l->frame.at, l->frame.len}, true) != OK)
        return; /* on_close comes, and counts it */
}

static enum load_call next_call(struct caller *c)
{
    if (c->load->options->heartbeats)
        return LOAD_HEARTBEAT;
    if (c->transaction_id == 0) {
        c->samples_left = SAMPLES_EACH;
        return LOAD_START;
    }
    if (c->samples_left == 0)
        return LOAD_STOP;
    c->samples_left--;
    return LOAD_METER;
}

/* Free for the next one: at once, or when one falls due. */
static void go_on(struct caller *c)
{
    struct load *l = c->load;
    if (!l->is_measuring)
        return;
    if (!l->is_open_loop) {
        call(c, next_call(c), clock_now_us());
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
        call(c, next_call(c), l->next_due_us);
        l->next_due_us += 1000000 / l->options->rate > 0 ? 1000000 / l->options->rate : 1;
    }
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

/* "transactionId":123 anywhere in an answer that is short and ours to trust. */
static int32_t find_transaction(struct str text)
{
    static const char key[] = "\"transactionId\":";
    const char *at = memmem(text.at, text.len, key, sizeof key - 1);
    if (at == NULL)
        return 0;
    struct str rest = {at + sizeof key - 1, text.len - (size_t)(at - text.at) - (sizeof key - 1)};
    int64_t n = 0;
    size_t digits = 0;
    while (digits < rest.len && rest.at[digits] >= '0' && rest.at[digits] <= '9')
        digits++;
    return str_to_int((struct str){rest.at, digits}, &n) == OK && n <= INT32_MAX ? (int32_t)n : 0;
}

/* [3,"id", or [4,"id", */
static bool is_answer(const struct caller *c, struct str text, bool *is_error)
{
    char id[ID_TEXT_SIZE];
    struct str want = id_text(c, id);
    if (!c->is_waiting || text.len < want.len + 5 || text.at[0] != '[' || (text.at[1] != '3' && text.at[1] != '4'))
        return false;
    *is_error = text.at[1] == '4';
    return memcmp(text.at + 2, ",\"", 2) == 0 && memcmp(text.at + 4, want.at, want.len) == 0 &&
           text.at[4 + want.len] == '"';
}

static void refuse_command(struct caller *c, struct str text)
{
    struct load *l = c->load;
    struct ocpp_frame f;
    if (ocpp_frame_read(text, &l->arena, &f, NULL) == OK && f.kind == OCPP_CALL) {
        buf_clear(&l->frame);
        ocpp_write_error(&l->frame, f.id_json, STR("NotImplemented"), STR(""));
        if (conn_send(c->conn, (struct bytes){l->frame.at, l->frame.len}, true) != OK)
            c->is_waiting = true; /* closing: counted there */
    }
    arena_reset(&l->arena);
}

static void on_ready(struct caller *c)
{
    struct load *l = c->load;
    c->is_ready = true;
    l->ready_count++;
    l->came_count++;
    timer_stop(&c->timer);
    go_on(c);
}

/* The measuring is over: what runs is stopped, so that the server has no open transaction of ours, then the connection
 * ends. */
static void take_leave(struct caller *c)
{
    timer_stop(&c->timer);
    list_take(&c->idle);
    if (c->conn == NULL || c->is_waiting)
        return;
    if (c->transaction_id != 0 && c->is_ready)
        call(c, LOAD_STOP, clock_now_us());
    else
        conn_close(c->conn, CONN_END_SHUTDOWN, WS_CLOSE_GOING_AWAY, STR("load over"));
}

static void on_answer(struct caller *c, struct str text, bool is_error)
{
    struct load *l = c->load;
    c->is_waiting = false;
    if (c->call == LOAD_BOOT) {
        on_ready(c);
        if (l->is_closing)
            take_leave(c);
        return;
    }
    if (c->call == LOAD_START)
        c->transaction_id = find_transaction(text);
    else if (c->call == LOAD_STOP)
        c->transaction_id = 0;
    if (l->is_closing) {
        take_leave(c);
        return;
    }
    latency_add(&l->latency, clock_now_us() - c->due_us);
    l->errors += is_error;
    go_on(c);
}

static void caller_on_message(struct conn *conn, struct bytes message, bool is_text)
{
    struct caller *c = conn_data(conn);
    struct str text = {(const char *)message.at, message.len};
    bool is_error = false;
    if (!is_text || c->conn != conn)
        return;
    if (is_answer(c, text, &is_error))
        on_answer(c, text, is_error);
    else
        refuse_command(c, text);
}

/* ---- Connections ------------------------------------------------------------------------------------------------- */

static void caller_on_open(struct conn *conn)
{
    struct caller *c = conn_data(conn);
    call(c, LOAD_BOOT, clock_now_us());
}

static void come_back(struct caller *c)
{
    struct load *l = c->load;
    list_take(&c->idle);
    l->ready_count -= c->is_ready;
    l->errors += l->is_measuring;
    c->is_ready = c->is_waiting = false;
    c->transaction_id = 0;
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

static const struct conn_handlers handlers = {
    .on_open = caller_on_open, .on_message = caller_on_message, .on_close = caller_on_close};

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
    struct sim_guest guest = {str_of(c->identity), c->index};
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
    int64_t now_ms = clock_monotonic_ms();
    if (l->is_measuring) {
        end(l);
    } else if (l->is_closing) {
        if (l->open_count == 0 || now_ms >= l->give_up_ms)
            loop_stop(l->loop);
        else
            timer_start(l->loop, t, LOOK_MS);
    } else if (l->ready_count == l->count || (l->ready_count > 0 && now_ms >= l->give_up_ms)) {
        begin(l);
    } else if (now_ms >= l->give_up_ms) {
        end(l);
    } else {
        timer_start(l->loop, t, LOOK_MS);
    }
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
    for (int i = 0; i < LOAD_CALL_COUNT; i++)
        load_template_make((enum load_call)i, &l->frames[i]);
    l->count = (size_t)o->stations;
    l->is_open_loop = str_eq(o->load, STR("open"));
    l->callers = mem_new(l->count, sizeof *l->callers);
    for (size_t i = 0; i < l->count; i++) {
        struct caller *c = &l->callers[i];
        c->load = l;
        c->index = (uint32_t)i;
        c->energy_wh = ENERGY_FIRST_WH;
        list_init(&c->idle);
        timer_init(&c->timer, on_caller_due);
        (void)snprintf(c->identity, sizeof c->identity, "%.*s-%02u", STR_ARG(o->prefix), (unsigned)i + 1);
        (void)snprintf(c->tag, sizeof c->tag, "LOAD-TAG-%02u", (unsigned)i + 1);
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
    struct load l = {.options = o, .door = door, .loop = loop_new()};
    sim_raise_descriptor_limit((size_t)o->stations + DESCRIPTORS_MORE);
    load_init(&l);
    loop_run(l.loop);
    if (l.end_us == 0)
        l.end_us = clock_now_us();
    print_figures(&l);
    loop_free(l.loop);
    for (int i = 0; i < LOAD_CALL_COUNT; i++)
        template_release(&l.frames[i]);
    arena_release(&l.arena);
    buf_release(&l.frame);
    free(l.callers);
    return l.latency.count > 0 ? 0 : 1;
}
