/* sim/fleet.c - each device has a socket and a timer; whatever it is told, its timer is set to when it is due next. */
#include "sim/fleet_private.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SUMMARY_MS         5000
#define FINISH_LOOK_MS     100
#define CLOSE_MS           2500 /* for the close frames of the server */
#define FIRST_PLUG_MS      8000
#define FIRST_PLUG_SLOW_MS 60000
#define DESCRIPTORS_EACH   2  /* one may be left open */
#define DESCRIPTORS_MORE   64 /* than those of the devices */
#define LINE_MAX           1024

/* The one of this process: a device's functions know their world, not who drives it. */
static struct fleet *the_fleet;

static struct sim_now now(void)
{
    return (struct sim_now){clock_monotonic_ms(), clock_now()};
}

static void clock_text(char *out, size_t size)
{
    struct tm parts;
    time_t s = (time_t)(clock_now().us / 1000000);
    check(localtime_r(&s, &parts) != NULL && strftime(out, size, "%H:%M:%S", &parts) > 0);
}

static void print(struct buf *b)
{
    (void)fwrite(b->at, 1, b->len, stdout);
    (void)fflush(stdout);
    buf_release(b);
}

static void set_timer(struct peer *p)
{
    int64_t due = p->fleet->kind->due_ms(p->device), at = clock_monotonic_ms();
    if (due == SIM_NEVER || p->fleet->is_closing)
        timer_stop(&p->timer);
    else
        timer_start(p->fleet->loop, &p->timer, due > at ? due - at : 0);
}

int32_t fleet_first_plug_ms(const struct sim_options *o)
{
    return o->demo ? FIRST_PLUG_MS : FIRST_PLUG_SLOW_MS;
}

/* ---- What the connection says ------------------------------------------------------------------------------------ */

static void peer_on_open(struct conn *c)
{
    struct peer *p = conn_data(c);
    if (p == NULL)
        return;
    p->fleet->kind->on_open(p->device, now());
    set_timer(p);
}

static void peer_on_bytes(struct conn *c, struct bytes b)
{
    struct peer *p = conn_data(c);
    if (p == NULL)
        return;
    p->fleet->kind->on_bytes(p->device, now(), b);
    set_timer(p);
}

static void peer_on_message(struct conn *c, struct bytes message, bool is_text)
{
    if (is_text)
        peer_on_bytes(c, message);
}

static void peer_on_close(struct conn *c, enum conn_end why, uint16_t code)
{
    (void)why;
    (void)code;
    struct peer *p = conn_data(c);
    the_fleet->open_count--;
    if (p == NULL)
        return;
    p->conn = NULL;
    p->fleet->kind->on_close(p->device, now());
    set_timer(p);
}

static const struct conn_handlers handlers = {
    .on_open = peer_on_open, .on_message = peer_on_message, .on_bytes = peer_on_bytes, .on_close = peer_on_close};

/* ---- What a device asks for -------------------------------------------------------------------------------------- */

/* A connection that cannot even begin is one that failed: told when the timer fires, since a device handles one input
 * at a time. */
void fleet_connect(size_t index)
{
    struct peer *p = &the_fleet->peers[index];
    struct sim_guest guest = {the_fleet->kind->name(p->device), index};
    if (sim_door_connect(the_fleet->door, the_fleet->loop, &guest, &handlers, p, &p->conn) != OK)
        p->conn = NULL;
    else
        the_fleet->open_count++;
}

void fleet_send(size_t index, struct bytes b)
{
    struct peer *p = &the_fleet->peers[index];
    if (p->conn != NULL && conn_send(p->conn, b, true) != OK)
        return; /* it is closing: on_close comes */
}

static void end_conn(struct conn **c, enum conn_end why, struct str reason)
{
    if (*c == NULL)
        return;
    conn_set_data(*c, NULL);
    conn_close(*c, why, WS_CLOSE_GOING_AWAY, reason);
    *c = NULL;
}

static void end_left(struct peer *p)
{
    if (p->left != NULL)
        conn_resume(p->left);
    end_conn(&p->left, CONN_END_OURS, STR("left"));
}

void fleet_drop(size_t index)
{
    end_conn(&the_fleet->peers[index].conn, CONN_END_OURS, STR("reset"));
}

void fleet_leave(size_t index)
{
    struct peer *p = &the_fleet->peers[index];
    end_left(p);
    if (p->conn == NULL)
        return;
    p->left = p->conn;
    p->conn = NULL;
    conn_set_data(p->left, NULL);
    conn_pause(p->left);
}

void fleet_tell(struct str name, const char *sentence, const struct sim_event *e)
{
    char clock[16];
    struct buf line;
    if (!the_fleet->options->demo || the_fleet->is_closing)
        return;
    clock_text(clock, sizeof clock);
    buf_init(&line, LINE_MAX);
    words_put_event(&line, str_of(clock), name, sentence, e);
    print(&line);
}

/* ---- The fleet --------------------------------------------------------------------------------------------------- */

static void on_due(struct timer *t)
{
    struct peer *p = CONTAINER(t, struct peer, timer);
    const struct fleet_kind *kind = p->fleet->kind;
    kind->on_time(p->device, now());
    if (kind->is_connecting(p->device) && p->conn == NULL)
        kind->on_close(p->device, now());
    set_timer(p);
}

static void print_summary(struct fleet *f, int64_t over_ms)
{
    struct buf line;
    buf_init(&line, LINE_MAX);
    uint64_t calls = f->totals->calls - f->calls_before;
    words_put_summary(&line, f->totals, f->count, f->kind->noun, over_ms > 0 ? (int64_t)calls * 1000 / over_ms : 0);
    f->calls_before = f->totals->calls;
    print(&line);
}

static void on_summary(struct timer *t)
{
    struct fleet *f = CONTAINER(t, struct fleet, summary);
    print_summary(f, SUMMARY_MS);
    timer_start(f->loop, t, SUMMARY_MS);
}

static void close_all(struct fleet *f)
{
    f->is_closing = true;
    for (size_t i = 0; i < f->count; i++) {
        timer_stop(&f->peers[i].timer);
        end_left(&f->peers[i]);
        end_conn(&f->peers[i].conn, CONN_END_SHUTDOWN, STR("simulation over"));
    }
}

static bool are_all_quiet(const struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (!f->kind->is_quiet(f->peers[i].device))
            return false;
    return true;
}

/* Looks again and again: are all sessions told, then: are all connections closed. Each has its limit. */
static void on_ending(struct timer *t)
{
    struct fleet *f = CONTAINER(t, struct fleet, ending);
    int64_t since_ms = clock_monotonic_ms() - f->finish_at_ms;
    if (!f->is_closing && (since_ms >= f->kind->finish_ms || are_all_quiet(f))) {
        close_all(f);
        f->finish_at_ms = clock_monotonic_ms();
    } else if (f->is_closing && (since_ms >= CLOSE_MS || f->open_count == 0)) {
        loop_stop(f->loop);
        return;
    }
    timer_start(f->loop, t, FINISH_LOOK_MS);
}

static void begin_ending(struct fleet *f)
{
    f->finish_at_ms = clock_monotonic_ms();
    for (size_t i = 0; i < f->count; i++) {
        f->kind->finish(f->peers[i].device, now());
        set_timer(&f->peers[i]);
    }
    timer_start(f->loop, &f->ending, FINISH_LOOK_MS);
}

static void on_first_ending(struct timer *t)
{
    t->on_due = on_ending;
    begin_ending(CONTAINER(t, struct fleet, ending));
}

static void on_signal(int signal, void *data)
{
    (void)signal;
    struct fleet *f = data;
    if (f->finish_at_ms != 0) {
        loop_stop(f->loop);
        return;
    }
    f->ending.on_due = on_ending;
    begin_ending(f);
}

static void fleet_init(struct fleet *f, const struct sim_options *o)
{
    f->kind->init(f);
    f->count = (size_t)o->stations;
    f->peers = mem_new(f->count, sizeof *f->peers);
    timer_init(&f->summary, on_summary);
    timer_init(&f->ending, on_first_ending);
    int64_t start_ms = clock_monotonic_ms();
    for (size_t i = 0; i < f->count; i++) {
        struct peer *p = &f->peers[i];
        p->fleet = f;
        p->device = f->kind->make(f, i, start_ms + (int64_t)i * 1000 / o->connects);
        timer_init(&p->timer, on_due);
        set_timer(p);
    }
}

int fleet_run(const struct sim_options *o, const struct sim_door *door)
{
    struct fleet f = {
        .options = o, .door = door, .kind = o->is_ap3000 ? &fleet_of_lines : &fleet_of_stations, .loop = loop_new()};
    the_fleet = &f;
    sim_raise_descriptor_limit((size_t)o->stations * DESCRIPTORS_EACH + DESCRIPTORS_MORE);
    fleet_init(&f, o);
    timer_start(f.loop, &f.summary, SUMMARY_MS);
    if (o->duration > 0)
        timer_start(f.loop, &f.ending, o->duration * 1000);
    loop_on_signal(f.loop, on_signal, &f);
    loop_run(f.loop);
    print_summary(&f, 0);
    loop_free(f.loop);
    for (size_t i = 0; i < f.count; i++)
        f.kind->free(f.peers[i].device);
    free(f.peers);
    f.kind->release(&f);
    return 0;
}
