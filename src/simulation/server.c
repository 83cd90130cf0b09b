/* simulation/server.c - see the header. */
#include "simulation/server.h"

#include "simulation/charger.h"
#include "simulation/oracle.h"

#include <string.h>

static struct instant server_time(const struct world *w)
{
    return instant_add(w->now, w->server_skew);
}

static void server_hold(struct world *w, size_t station, uint64_t generation, uint64_t position, struct str text)
{
    struct held *h = &w->held[w->held_count++];
    *h = (struct held){.position = position,
                       .connection = &w->connections[station][0],
                       .generation = generation,
                       .is_accept = text.at == NULL};
    if (text.at != NULL) {
        check(text.len < TEXT_MAX);
        memcpy(h->text, text.at, text.len);
    }
}

static void server_flush(struct world *w)
{
    uint64_t durable = w->disk.committed;
#ifdef DEFECT_SIM_ANSWER_BEFORE_COMMIT /* planted: told before it is on the disk */
    durable = UINT64_MAX;
#endif
    size_t n = 0;
    for (; n < w->held_count && w->held[n].position <= durable; n++) {
        struct held *h = &w->held[n];
        struct connection *c = h->connection;
        if (!c->is_used || !c->is_known || c->generation != h->generation)
            continue;
        if (h->is_accept)
            c->is_accepted = true;
        else
            (void)fifo_put(&c->to_charger, str_of(h->text));
    }
    w->held_count -= n;
    memmove(w->held, w->held + n, w->held_count * sizeof w->held[0]);
}

void server_commit(struct world *w)
{
    size_t before = w->disk.committed;
    if (disk_commit(&w->disk))
        oracle_read_log(w);
    else
        world_count(w, REACHED_REFUSED, w->held_count > 0);
    if (w->disk.committed > before)
        world_say(w, "on the disk up to event %zu", w->disk.committed);
    server_flush(w);
}

/* An event that is the gateway's own. */
static void server_event(struct world *w, size_t station, enum event_type type, const void *payload,
                         uint64_t generation)
{
    struct event e = {.type = type,
                      .station = str_of(w->stations[station].id),
                      .received = server_time(w),
                      .device_time = INSTANT_NONE};
    buf_clear(&w->text);
    schema_write(event_kinds[type].payload, payload, &w->text);
    e.payload = buf_str(&w->text);
    e.sequence = event_kinds[type].is_published ? ++w->stations[station].sequence : 0;
    disk_append(&w->disk, &e, generation);
    w->stations[station].position = e.position;
}

void server_lose(struct world *w, struct connection *c, struct str reason)
{
    struct ev_disconnected p = {.reason = reason, .generation = integer_of((int64_t)c->generation)};
    server_event(w, c->station, EVENT_DISCONNECTED, &p, 0);
    *c = (struct connection){.station = c->station};
}

static bool server_load(struct world *w, size_t station)
{
    char id[] = "CP-0";
    if (w->is_loaded[station])
        return true;
    if (w->disk.committed < w->disk.count)
        return false; /* the tables come to it when it is committed */
    id[3] = (char)('0' + station);
    tables_catch_up(&w->tables, &w->disk);
    station_init(&w->stations[station], str_of(id));
    tables_load(&w->tables, station, &w->stations[station]);
    w->stations[station].position = w->disk.count;
    w->is_loaded[station] = true;
    return true;
}

void server_connect(struct world *w, size_t station)
{
    struct connection *c = &w->connections[station][0], *old = &w->connections[station][1];
    struct station *s = &w->stations[station];
    if (!w->is_up || w->held_count >= HELD_MAX - 1 || !server_load(w, station))
        return;
    if ((w->chargers[station].traits & TURNS_ROUND) != 0 && dice_chance(&w->dice, 500))
        charger_turn_round(&w->chargers[station]);
    if (old->is_used && old->is_known && !w->is_calm && dice_chance(&w->dice, 500))
        old->is_known = true; /* half open: both are there, the newer owns the station */
    else if (old->is_used)
        server_lose(w, old, STR("replaced"));
    *c = (struct connection){.is_used = true, .is_known = true, .station = station, .generation = ++s->generation};
    struct ev_connection_opened p = {.generation = integer_of((int64_t)c->generation),
                                     .protocol = STR("ocpp1.6"),
                                     .remote_address = STR("192.0.2.1:1"),
                                     .security_profile = integer_of(0)};
    server_event(w, station, EVENT_CONNECTION_OPENED, &p, 0);
    server_hold(w, station, c->generation, s->position, (struct str){NULL, 0});
    world_say(w, "charger %zu connects, generation %llu", station, (unsigned long long)c->generation);
}

static void look_up(struct world *w, size_t station, const struct ocpp_call *call, struct ocpp_known *known)
{
    const struct table_transaction *found = NULL;
    known->tag = (struct id_tag){.is_known = true, .expires_at = INSTANT_NONE, .max_concurrent = -1};
    if (call->wants_transaction != 0)
        found = tables_find(&w->tables, call->wants_transaction);
    for (size_t i = 0; call->wants_start && i < w->tables.transaction_count; i++)
        if (w->tables.transactions[i].station == station &&
            w->tables.transactions[i].t.start_key == transaction_start_key(&call->start))
            found = &w->tables.transactions[i];
    known->has_transaction = found != NULL;
    if (found == NULL)
        return;
    known->is_of_other_station = found->station != station;
    known->transaction = found->t;
}

static struct ocpp_input server_input(struct world *w, size_t station, struct str text)
{
    struct ocpp_input in = {.policy = &w->policy,
                            .now = server_time(w),
                            .station = &w->stations[station],
                            .tags = w->tags,
                            .next_number = &w->next_number,
                            .id_key = w->id_key,
                            .remote_address = STR("192.0.2.1:1"),
                            .text = text};
    for (size_t i = 0; i < sizeof in.random; i++)
        in.random[i] = (uint8_t)dice_next(&w->dice);
    return in;
}

static void server_append(struct world *w, size_t station, const struct ocpp_decision *d, uint64_t generation)
{
    for (size_t i = 0; i < d->event_count; i++) {
        struct event e = d->events[i];
        disk_append(&w->disk, &e, generation);
        w->stations[station].position = e.position;
        world_say(w, "  %s %.*s", event_kinds[e.type].wire.at, STR_ARG(e.payload));
    }
}

static void server_decide(struct world *w, struct connection *c, struct str text)
{
    struct ocpp_frame frame;
    struct fault why = {0};
    struct ocpp_call call;
    struct ocpp_known known = {0};
    struct ocpp_decision d;
    size_t station = c->station;
    uint64_t generation = c->generation;
    arena_reset(&w->arena);
    enum err e = ocpp_frame_read(text, &w->arena, &frame, &why);
    struct ocpp_input in = server_input(w, station, text);
    ocpp_call_read(&in, &frame, e, &why, &w->arena, &call);
    if (call.wants_transaction != 0 ||
        call.wants_start) { /* what the tables do not have yet cannot be looked up: it waits */
        if (w->disk.committed < w->disk.count)
            return;
        tables_catch_up(&w->tables, &w->disk);
    }
    look_up(w, station, &call, &known);
    buf_clear(&w->text);
    ocpp_call_decide(&in, &call, &known, &w->arena, &w->text, &d);
    server_append(w, station, &d, generation);
    world_count(w, REACHED_REPEATED, d.is_repeat);
    if (d.is_repeat)
        world_say(w, "  it was said before: the first answer again");
    bool is_of_log = d.event_count > 0 || d.is_repeat;
    server_hold(w, station, generation, is_of_log ? w->stations[station].position : w->disk.committed, d.answer);
    fifo_drop(&c->to_server);
}

void server_take(struct world *w, struct connection *c)
{
    char text[TEXT_MAX];
    if (!w->is_up || !c->is_used || !c->is_known || c->to_server.count == 0 || w->held_count >= HELD_MAX - 1)
        return;
#ifndef DEFECT_SIM_OLD_CONNECTION /* planted: what comes by a connection that was superseded is taken */
    if (c->generation != w->stations[c->station].generation) {
        fifo_drop(&c->to_server);
        world_count(w, REACHED_FROM_OLD_CONNECTION, true);
        return;
    }
#endif
    memcpy(text, c->to_server.texts[0], sizeof text);
    server_decide(w, c, str_of(text));
}

void server_forget(struct world *w)
{
    for (size_t i = 0; i < w->station_count; i++) {
        if (w->is_loaded[i])
            station_release(&w->stations[i]);
        w->is_loaded[i] = false;
    }
    tag_book_free(w->tags);
    w->tags = NULL;
    w->held_count = 0;
}

void server_start(struct world *w)
{
    tables_catch_up(&w->tables, &w->disk);
    w->tags = tag_book_new(w->id_key);
    for (size_t i = 0; i < w->tables.transaction_count; i++)
        if (w->tables.transactions[i].t.state == TRANSACTION_OPEN)
            tag_book_add(w->tags, str_of(w->tables.transactions[i].t.id_tag), 1);
    w->next_number = w->tables.last_number + 1;
    w->is_up = true;
    world_say(w, "the server starts");
}

void server_crash(struct world *w)
{
    world_say(w, "the server is killed; %zu events were not on the disk", w->disk.count - w->disk.committed);
    world_count(w, REACHED_KILLED_UNWRITTEN, w->disk.count > w->disk.committed);
    disk_crash(&w->disk);
    server_forget(w);
    w->is_up = false;
    for (size_t i = 0; i < w->station_count; i++) {
        charger_leave(w, i);
        w->connections[i][1] = (struct connection){.station = i};
    }
}

void server_sweep(struct world *w, size_t station)
{
    bool is_away = !w->connections[station][0].is_used && !w->connections[station][1].is_used;
    if (!w->is_loaded[station] || !is_away || w->disk.committed < w->disk.count)
        return;
    station_release(&w->stations[station]);
    w->is_loaded[station] = false;
    world_count(w, REACHED_DROPPED, true);
    world_say(w, "charger %zu is dropped from memory", station);
}

void server_operator(struct world *w, size_t station)
{
    struct station *s = &w->stations[station];
    struct ocpp_decision d;
    if (!w->is_loaded[station] || s->transaction_count == 0)
        return;
    struct transaction *t = &s->transactions[dice_below(&w->dice, s->transaction_count)];
    struct ocpp_input in = server_input(w, station, (struct str){NULL, 0});
    buf_clear(&w->text);
    arena_reset(&w->arena);
    world_say(w, "an operator ends transaction %u", t->id);
    if (ocpp_close_transaction(&in, t, t->meter_start_wh + 5, &w->arena, &w->text, &d) == OK)
        server_append(w, station, &d, 0);
}
