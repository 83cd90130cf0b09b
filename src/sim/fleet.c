/* sim/fleet.c - each station has a socket and a timer; whatever it is told, its timer is set to when it is due next. */
#include "sim/fleet.h"
#include "sim/words.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SUMMARY_MS         5000
#define FINISH_LOOK_MS     100
#define FINISH_MS          2000 /* for the ends of the sessions to be told */
#define CLOSE_MS           2500 /* for the close frames of the server */
#define FIRST_PLUG_MS      8000 /* in a demo something happens at once; else: */
#define FIRST_PLUG_SLOW_MS 60000
#define DESCRIPTORS_MORE   64 /* than there are stations */
#define LINE_MAX           1024

struct peer {
    struct sim_station *station; /* stations are found by it, so the link back is by index */
    struct conn *conn;
    struct fleet *fleet;
    struct timer timer;
};
struct fleet {
    const struct sim_options *options;
    const struct sim_door *door;
    struct loop *loop;
    struct sim_world world;
    struct peer *peers;
    size_t count, open_count;
    struct timer summary, ending;
    int64_t finish_at_ms; /* 0: not ending */
    uint64_t calls_before;
    bool is_closing;
};

/* The one of this process: a station's functions know their world, not who drives it. */
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
    int64_t due = sim_station_due_ms(p->station), at = clock_monotonic_ms();
    if (due == SIM_NEVER || p->fleet->is_closing)
        timer_stop(&p->timer);
    else
        timer_start(p->fleet->loop, &p->timer, due > at ? due - at : 0);
}

/* ---- What a station asks for ------------------------------------------------------------------------------------- */

static void peer_on_open(struct conn *c)
{
    struct peer *p = conn_data(c);
    if (p == NULL)
        return;
    sim_station_on_open(p->station, now());
    set_timer(p);
}

static void peer_on_message(struct conn *c, struct bytes message, bool is_text)
{
    struct peer *p = conn_data(c);
    if (p == NULL || !is_text)
        return;
    sim_station_on_text(p->station, now(), (struct str){(const char *)message.at, message.len});
    set_timer(p);
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
    sim_station_on_close(p->station, now());
    set_timer(p);
}

static const struct conn_handlers handlers = {
    .on_open = peer_on_open, .on_message = peer_on_message, .on_close = peer_on_close};

static struct peer *peer_of(const struct sim_station *s)
{
    return &the_fleet->peers[s->index];
}

/* A connection that cannot even begin is one that failed: told when the timer fires, since a station handles one input
 * at a time. */
static void station_connect(struct sim_station *s)
{
    struct peer *p = peer_of(s);
    struct sim_guest guest = {str_of(s->identity), s->index};
    if (sim_door_connect(the_fleet->door, the_fleet->loop, &guest, &handlers, p, &p->conn) != OK)
        p->conn = NULL;
    else
        the_fleet->open_count++;
}

static void station_send(struct sim_station *s, struct str text)
{
    struct peer *p = peer_of(s);
    if (p->conn != NULL && conn_send(p->conn, (struct bytes){(const uint8_t *)text.at, text.len}, true) != OK)
        return; /* it is closing: on_close comes */
}

static void station_drop(struct sim_station *s)
{
    struct peer *p = peer_of(s);
    if (p->conn == NULL)
        return;
    conn_set_data(p->conn, NULL);
    conn_close(p->conn, CONN_END_OURS, WS_CLOSE_GOING_AWAY, STR("reset"));
    p->conn = NULL;
}

static void station_tell(struct sim_station *s, const struct sim_event *e)
{
    char clock[16];
    struct buf line;
    if (!the_fleet->options->demo || the_fleet->is_closing)
        return;
    clock_text(clock, sizeof clock);
    buf_init(&line, LINE_MAX);
    words_put_event(&line, str_of(clock), s, e);
    print(&line);
}

/* ---- The fleet --------------------------------------------------------------------------------------------------- */

static void on_due(struct timer *t)
{
    struct peer *p = CONTAINER(t, struct peer, timer);
    sim_station_on_time(p->station, now());
    if (p->station->link == SIM_CONNECTING && p->conn == NULL)
        sim_station_on_close(p->station, now());
    set_timer(p);
}

static void print_summary(struct fleet *f, int64_t over_ms)
{
    struct buf line;
    buf_init(&line, LINE_MAX);
    uint64_t calls = f->world.totals.calls - f->calls_before;
    words_put_summary(&line, &f->world.totals, f->count, over_ms > 0 ? (int64_t)calls * 1000 / over_ms : 0);
    f->calls_before = f->world.totals.calls;
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
        if (f->peers[i].conn != NULL) {
            conn_set_data(f->peers[i].conn, NULL);
            conn_close(f->peers[i].conn, CONN_END_SHUTDOWN, WS_CLOSE_GOING_AWAY, STR("simulation over"));
        }
    }
}

static bool are_all_quiet(const struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (!sim_station_is_quiet(f->peers[i].station))
            return false;
    return true;
}

/* Looks again and again: are all sessions told, then: are all connections closed. Each has its limit. */
static void on_ending(struct timer *t)
{
    struct fleet *f = CONTAINER(t, struct fleet, ending);
    int64_t since_ms = clock_monotonic_ms() - f->finish_at_ms;
    if (!f->is_closing && (since_ms >= FINISH_MS || are_all_quiet(f))) {
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
    f->world.is_leaving = true;
    for (size_t i = 0; i < f->count; i++) {
        sim_station_finish(f->peers[i].station, now());
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
    struct sim_world *w = &f->world;
    sim_world_init(w);
    w->speed_milli = (int32_t)o->speed * 1000;
    w->quirks = o->quirk;
    w->is_driven = !o->idle;
    w->run = (uint32_t)(clock_now().us / 1000);
    w->first_plug_ms = o->demo ? FIRST_PLUG_MS : FIRST_PLUG_SLOW_MS;
    w->connect = station_connect;
    w->send = station_send;
    w->drop = station_drop;
    w->tell = station_tell;
    f->count = (size_t)o->stations;
    f->peers = mem_new(f->count, sizeof *f->peers);
    timer_init(&f->summary, on_summary);
    timer_init(&f->ending, on_first_ending);
    int64_t start_ms = clock_monotonic_ms();
    for (size_t i = 0; i < f->count; i++) {
        struct peer *p = &f->peers[i];
        p->fleet = f;
        p->station = sim_station_new(
            w, &(struct sim_station_options){.index = (uint32_t)i,
                                             .connectors = (unsigned)o->connectors,
                                             .seed = (uint64_t)o->seed,
                                             .prefix = o->prefix,
                                             .connect_at_ms = start_ms + (int64_t)i * 1000 / o->connects});
        timer_init(&p->timer, on_due);
        set_timer(p);
    }
}

int fleet_run(const struct sim_options *o, const struct sim_door *door)
{
    struct fleet f = {.options = o, .door = door, .loop = loop_new()};
    the_fleet = &f;
    sim_raise_descriptor_limit((size_t)o->stations + DESCRIPTORS_MORE);
    fleet_init(&f, o);
    timer_start(f.loop, &f.summary, SUMMARY_MS);
    if (o->duration > 0)
        timer_start(f.loop, &f.ending, o->duration * 1000);
    loop_on_signal(f.loop, on_signal, &f);
    loop_run(f.loop);
    print_summary(&f, 0);
    loop_free(f.loop);
    for (size_t i = 0; i < f.count; i++)
        sim_station_free(f.peers[i].station);
    free(f.peers);
    sim_world_release(&f.world);
    return 0;
}
