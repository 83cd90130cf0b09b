/* What gateway/commands.c and gateway/submit.c ask of the rest of the program, as a model: a clock, timers and a disk
 * that the test moves, connections that are fifos, what is held until it is durable. The rest of the gateway is not
 * linked: these stand in its place. The store is the real one, kept by the real consumer. */
#ifndef SIMULATION_COMMAND_SHELL_H
#define SIMULATION_COMMAND_SHELL_H
#include "gateway/parts.h"
#include "place.h"
#include "simulation/disk.h"

#define WIRE_MAX      8  /* frames under way in one direction */
#define UNWRITTEN_MAX 24 /* events that are not on the disk: past it there is no room */

/* A connection. What conn points at in a session is the wire. */
struct wire {
    struct session session; /* first: the two are one */
    struct link link;       /* of shell.wires */
    size_t station;
    bool is_down; /* the station has left, or was lost to it */
    char *to_station[WIRE_MAX], *to_server[WIRE_MAX];
    size_t to_station_count, to_server_count;
};

static struct shell {
    struct gateway gateway;
    struct config config;
    struct disk disk;
    struct dice dice;
    struct db *db;
    struct stations *tables;
    size_t projected;        /* records that are in the tables */
    int64_t now_ms, skew_ms; /* skew: of the wall clock */
    struct link timers, wires;
    /* A command is about to leave: seen by the oracle. */
    void (*on_leave)(struct wire *w, struct str frame);
} shell;

/* --- the clock and its timers --- */

int64_t clock_monotonic_ms(void)
{
    return shell.now_ms;
}

int64_t clock_now_us(void)
{
    return INT64_C(1772355600000000) + (shell.now_ms + shell.skew_ms) * 1000;
}

struct instant clock_now(void)
{
    return (struct instant){clock_now_us()};
}

void timer_init(struct timer *t, void (*on_due)(struct timer *t))
{
    list_init(&t->link);
    t->on_due = on_due;
}

void timer_start(struct loop *l, struct timer *t, int64_t after_ms)
{
    (void)l;
    list_take(&t->link);
    t->due_ms = shell.now_ms + after_ms;
    list_add_last(&shell.timers, &t->link);
}

void timer_stop(struct timer *t)
{
    list_take(&t->link);
}

/* One that is due fires; false: none is. */
static bool shell_fire(void)
{
    for (struct link *l = shell.timers.next; l != &shell.timers; l = l->next) {
        struct timer *t = CONTAINER(l, struct timer, link);
        if (t->due_ms > shell.now_ms)
            continue;
        list_take(&t->link);
        t->on_due(t);
        return true;
    }
    return false;
}

/* --- threads: there is one, and what another would do is done at once --- */

void mailbox_post_always(struct mailbox *b, struct mail *m)
{
    (void)b;
    m->on_arrive(m);
}

void workers_add(struct workers *w, struct job *j)
{
    (void)w;
    j->was_run = true;
    j->run(j);
    j->done(j);
}

void *workers_state(void)
{
    return shell.db;
}

/* --- the log, and what is held (as gateway.c has it) --- */

void gateway_random(struct gateway *g, uint8_t *out, size_t len)
{
    (void)g;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)dice_next(&shell.dice);
}

void gateway_append(struct gateway *g, struct slot *slot, struct event *e, const uint8_t *trace)
{
    if (trace != NULL)
        memcpy(e->trace, trace, sizeof e->trace);
    else
        gateway_random(g, e->trace, sizeof e->trace);
    disk_append(&shell.disk, e, 0);
    slot->station.position = e->position;
}

bool gateway_has_room(struct gateway *g)
{
    (void)g;
    return shell.disk.count - shell.disk.committed < UNWRITTEN_MAX;
}

struct held *held_new(struct gateway *g, enum held_kind kind, struct str bytes)
{
    (void)g;
    struct held *h = mem_new(1, sizeof *h + bytes.len);
    h->kind = kind;
    h->len = bytes.len;
    memcpy(h->bytes, bytes.at, bytes.len);
    return h;
}

static void shell_leave(struct gateway *g, struct held *h)
{
    h->command->held--;
    if (h->session != NULL)
        h->session->held--;
    if (h->kind == HELD_COMMAND)
        command_leave(g, h->command, h->session, (struct str){h->bytes, h->len});
    else if (h->kind == HELD_QUEUED)
        command_tell_queued(h->command);
    else
        command_tell_done(g, h->command);
    free(h);
}

void held_add(struct gateway *g, struct held *h, uint64_t position)
{
    bool is_first = h->session != NULL ? h->session->held == 0 : g->held_first == NULL;
    h->position = g->held_last != NULL && g->held_last->position > position ? g->held_last->position : position;
    h->command->held++;
    if (h->session != NULL)
        h->session->held++;
    if (is_first && position <= g->flushed) {
        shell_leave(g, h);
        return;
    }
    if (g->held_last != NULL)
        g->held_last->next = h;
    else
        g->held_first = h;
    g->held_last = h;
}

static void shell_commit(void)
{
    struct gateway *g = &shell.gateway;
    if (!disk_commit(&shell.disk))
        return;
    g->flushed = shell.disk.committed;
    while (g->held_first != NULL && g->held_first->position <= g->flushed) {
        struct held *h = g->held_first;
        g->held_first = h->next;
        if (g->held_first == NULL)
            g->held_last = NULL;
        shell_leave(g, h);
    }
}

/* --- the store --- */

static void shell_project(size_t most)
{
    struct consumer c;
    struct fault why = {"", ""};
    stations_consumer(shell.tables, &c);
    check(db_begin(shell.db) == OK);
    for (size_t n = 0; n < most && shell.projected < shell.disk.committed; n++)
        check(c.on_event(c.state, shell.db, &shell.disk.records[shell.projected++].event, &why) == OK);
    check(c.on_batch_end(c.state, shell.db, &why) == OK);
    check(db_commit(shell.db) == OK);
}

/* --- stations --- */

struct slot *slot_find(struct gateway *g, struct str id)
{
    return map_find(&g->slots, id);
}

struct slot *slot_load_now(struct gateway *g, struct db *d, struct str id)
{
    struct slot *slot = slot_find(g, id);
    if (slot != NULL)
        return slot;
    slot = mem_new(1, sizeof *slot);
    slot->gateway = g;
    station_init(&slot->station, id);
    enum err e = stations_load(d, id, &slot->station);
    check(e == OK || e == ERR_UNKNOWN);
    slot->station.registration = REGISTRATION_ACCEPTED;
    slot->is_loaded = slot->has_row = true;
    list_init(&slot->waiting);
    list_init(&slot->commands);
    (void)map_put(&g->slots, str_of(slot->station.id), slot);
    return slot;
}

void slot_load(struct gateway *g, struct str id, struct waiter *w)
{
    w->on_loaded(w, slot_load_now(g, shell.db, id), OK);
}

void slot_rest(struct slot *slot)
{
    (void)slot;
}

/* --- piles: none lives here, so nothing of theirs is ever asked for --- */

bool gateway_is_pile(const struct gateway *g, struct str charge_point_id)
{
    (void)g;
    (void)charge_point_id;
    return false;
}

struct ap3000_input pile_input_of(struct gateway *g, struct slot *slot)
{
    check(g == NULL && slot == NULL);
    return (struct ap3000_input){0};
}

void talk_send(struct slot *slot, struct command *c)
{
    check(slot == NULL && c == NULL);
}

void talk_leave(struct command *c, struct bytes frame)
{
    check(c == NULL && frame.at == NULL);
}

void talk_on_timer(struct command *c)
{
    check(c == NULL);
}

void talk_on_lost(struct command *c, bool is_for_good)
{
    check(c == NULL && is_for_good);
}

void talk_resume(struct command *c)
{
    check(c == NULL);
}

void firmware_on_lost(struct slot *slot, bool is_for_good)
{
    check(slot == NULL && is_for_good);
}

/* --- wires --- */

static bool wire_put(char *fifo[WIRE_MAX], size_t *count, struct str text)
{
    if (*count == WIRE_MAX)
        return false;
    fifo[*count] = strndup(text.at, text.len);
    check(fifo[(*count)++] != NULL);
    return true;
}

static char *wire_take(char *fifo[WIRE_MAX], size_t *count)
{
    char *text = fifo[0];
    memmove(fifo, fifo + 1, --*count * sizeof *fifo);
    return text;
}

enum err conn_send(struct conn *c, struct bytes message, bool is_text)
{
    struct wire *w = (struct wire *)(void *)c;
    struct str frame = {(const char *)message.at, message.len};
    (void)is_text;
    if (w->to_station_count == WIRE_MAX)
        return ERR_LIMIT;
    shell.on_leave(w, frame);
    check(wire_put(w->to_station, &w->to_station_count, frame));
    return OK;
}

static void wire_free(struct wire *w)
{
    while (w->to_station_count > 0)
        free(wire_take(w->to_station, &w->to_station_count));
    while (w->to_server_count > 0)
        free(wire_take(w->to_server, &w->to_server_count));
    list_take(&w->link);
    free(w);
}

/* --- the process --- */

static void shell_start(void)
{
    struct gateway *g = &shell.gateway;
    static const uint64_t key[2] = {1, 2};
    *g = (struct gateway){.config = &shell.config};
    map_init(&g->slots, key);
    map_init(&g->commands, key);
    arena_init(&g->arena, (size_t)1 << 20);
    buf_init(&g->text, (size_t)1 << 20);
    g->flushed = shell.disk.committed;
    shell.tables = stations_new(key, STR("g"), NULL, NULL);
    shell_project(SIZE_MAX);
    check(commands_resume(g, shell.db) == OK);
}

/* All that was in memory is gone. */
static void shell_end(void)
{
    struct gateway *g = &shell.gateway;
    size_t i = 0;
    while (g->held_first != NULL) {
        struct held *h = g->held_first;
        g->held_first = h->next;
        free(h);
    }
    commands_release(g);
    for (struct slot *slot; (slot = map_next(&g->slots, &i)) != NULL;) {
        station_release(&slot->station);
        free(slot);
    }
    map_release(&g->slots);
    while (!list_is_empty(&shell.wires))
        wire_free(CONTAINER(shell.wires.next, struct wire, link));
    arena_release(&g->arena);
    buf_release(&g->text);
    stations_free(shell.tables);
    list_init(&shell.timers);
}
#endif
