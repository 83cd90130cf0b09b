/* simulation/world.c - the order in which everything happens. */
#include "simulation/world.h"

#include "simulation/charger.h"
#include "simulation/model.h"
#include "simulation/oracle.h"
#include "simulation/server.h"

#include <stdio.h>
#include <stdlib.h>

#define STEPS_WILD 260
#define STEPS_CALM 20000 /* by then all must be drained */

static void fault_crash(struct world *w, size_t station)
{
    (void)station;
    server_crash(w);
}

static void fault_disk(struct world *w, size_t station)
{
    (void)station;
    w->disk.is_refusing = !w->disk.is_refusing;
    world_say(w, "the disk %s", w->disk.is_refusing ? "refuses" : "takes again");
}

static void fault_clock(struct world *w, size_t station)
{
    (void)station;
    w->now = instant_add(w->now, SPAN_S(dice_below(&w->dice, 7200)));
    w->server_skew = SPAN_S((int64_t)dice_below(&w->dice, 7200) - 3600);
}

static void fault_operator(struct world *w, size_t station)
{
    if (dice_chance(&w->dice, 300))
        server_operator(w, station);
}

static void fault_loss(struct world *w, size_t station)
{
    struct connection *left = &w->connections[station][1];
    if (left->is_used && left->is_known)
        server_lose(w, left, STR("tcp_connection_closed"));
}

/* One that stands more often comes more often. */
static void (*const faults[])(struct world *w, size_t station) = {
    fault_crash,  fault_crash,  fault_disk, fault_clock, fault_operator, server_sweep,
    server_sweep, server_sweep, fault_loss, fault_loss,  fault_loss,     fault_loss,
};

static void world_fault(struct world *w)
{
    size_t station = dice_below(&w->dice, (unsigned)w->station_count);
    faults[dice_below(&w->dice, COUNT_OF(faults))](w, station);
}

static void world_step(struct world *w)
{
    size_t station = dice_below(&w->dice, (unsigned)w->station_count);
    w->now = instant_add(w->now, SPAN_MS(1 + dice_below(&w->dice, 4000)));
    if (!w->is_up) {
        if (w->is_calm || dice_chance(&w->dice, 300))
            server_start(w);
        return;
    }
    if (!w->is_calm && dice_chance(&w->dice, 60))
        world_fault(w);
    if (!w->is_up)
        return;
    struct connection *own = &w->connections[station][0];
    if (w->chargers[station].is_powered && !own->is_used && (w->is_calm || dice_chance(&w->dice, 300)))
        server_connect(w, station);
    charger_turn(w, station);
    server_take(w, &w->connections[dice_below(&w->dice, (unsigned)w->station_count)][dice_chance(&w->dice, 200)]);
    if (dice_chance(&w->dice, 300))
        server_commit(w);
}

static bool world_is_drained(const struct world *w)
{
    bool is_drained = w->is_up && w->held_count == 0 && w->disk.committed == w->disk.count;
    for (size_t i = 0; i < w->station_count; i++)
        is_drained = is_drained && w->chargers[i].is_accepted && w->chargers[i].queue_count == 0 &&
                     !w->chargers[i].is_waiting && !w->connections[i][1].is_used;
    return is_drained;
}

static unsigned traits_of(struct dice *d)
{
    unsigned traits = 0;
    if (dice_chance(d, 300))
        return 0;
    for (unsigned i = 0; i < TRAIT_COUNT; i++)
        if (dice_chance(d, 250))
            traits |= 1u << i;
    return traits;
}

static void charger_introduce(const struct world *w, size_t station)
{
    const struct charger *c = &w->chargers[station];
    world_say(w, "charger %zu has %d connector%s%s", station, c->connectors, c->connectors == 1 ? "" : "s",
              c->traits == 0 ? " and does all right" : "");
    for (unsigned i = 0; i < TRAIT_COUNT; i++)
        if ((c->traits & 1u << i) != 0)
            world_say(w, "  it %s", trait_words[i]);
}

static void world_init(struct world *w, uint64_t seed, struct outcome *o)
{
    *w = (struct world){.outcome = o, .dice = {seed}, .now = {INT64_C(1772355600) * 1000000}};
    w->station_count = 1 + dice_below(&w->dice, STATIONS_MAX - 1);
    w->id_key[0] = dice_next(&w->dice);
    w->id_key[1] = dice_next(&w->dice);
    w->policy = (struct ocpp_policy){.unknown_station = REGISTRATION_ACCEPTED, .heartbeat_s = 300, .boot_retry_s = 60};
    tables_init(&w->tables, w->id_key);
    arena_init(&w->arena, (size_t)1 << 20);
    arena_init(&w->oracle_arena, (size_t)1 << 20);
    buf_init(&w->text, (size_t)1 << 20);
    for (size_t i = 0; i < w->station_count; i++) {
        struct charger *c = &w->chargers[i];
        *c = (struct charger){.traits = traits_of(&w->dice),
                              .late = SESSIONS_MAX,
                              .last = {.kind = BEAT},
                              .old_stop = {.kind = BEAT},
                              .next_id = 1};
        c->connectors = (c->traits & TURNS_ROUND) != 0 && (c->traits & HAS_NO_METER) != 0
                            ? 1
                            : 1 + (int)dice_below(&w->dice, CONNECTORS_MAX - 2);
        (void)snprintf(c->tag, sizeof c->tag, "TAG%zu", i);
        c->skew = SPAN_MS((int64_t)dice_below(&w->dice, 60000) - 30000);
        for (int n = 0; n < CONNECTORS_MAX; n++) {
            c->active[n] = SESSIONS_MAX;
            c->meter_wh[n] =
                (int64_t)dice_below(&w->dice, 1000) + 1000000 * (n > 1); /* so that a reading tells the connector */
        }
        w->connections[i][0].station = w->connections[i][1].station = i;
        charger_introduce(w, i);
    }
}

static void world_release(struct world *w)
{
    server_forget(w);
    disk_release(&w->disk);
    tables_release(&w->tables);
    arena_release(&w->arena);
    arena_release(&w->oracle_arena);
    buf_release(&w->text);
    free(w->facts);
}

/* No more faults: what is left is told. */
static void world_calm(struct world *w)
{
    world_say(w, "no more faults");
    w->is_calm = true;
    w->disk.is_refusing = false;
    for (size_t i = 0; i < w->station_count; i++) {
        if (w->chargers[i].late != SESSIONS_MAX)
            charger_queue_stop(&w->chargers[i], w->chargers[i].late);
        w->chargers[i].late = SESSIONS_MAX;
    }
}

/* What both sides do in a calm world: connections that were left are noticed, and all goes on until it is told. */
static void world_drain(struct world *w)
{
    while (w->steps < STEPS_WILD + STEPS_CALM && !world_is_broken(w) && !world_is_drained(w)) {
        for (size_t i = 0; i < w->station_count && w->is_up; i++)
            if (w->connections[i][1].is_used && w->connections[i][1].is_known)
                server_lose(w, &w->connections[i][1], STR("ping_timeout"));
        world_step(w);
        w->steps++;
    }
    if (!world_is_broken(w) && !world_is_drained(w))
        world_broken(w, "not drained after %u steps (8)", w->steps);
}

bool world_run(uint64_t seed, struct outcome *o)
{
    struct world *w = mem_new(1, sizeof *w);
    o->failure[0] = 0;
    world_init(w, seed, o);
    server_start(w);
    for (; w->steps < STEPS_WILD && !world_is_broken(w); w->steps++)
        world_step(w);
    world_calm(w);
    world_drain(w);
    if (!world_is_broken(w))
        oracle_end(w);
    if (!world_is_broken(w) && o->on_end != NULL)
        o->on_end(w);
    o->hash = w->disk.hash;
    world_say(w, "%zu events are on the disk", w->disk.committed);
    world_release(w);
    free(w);
    return o->failure[0] == 0;
}
