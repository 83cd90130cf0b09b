/* simulation/charger.c - see the header. */
#include "simulation/charger.h"

#include "simulation/oracle.h"

#include <stdio.h>
#include <string.h>

#define ROOM_LEAST 24 /* in the queue, for what must go in: stops at a loss of power, statuses */

static struct instant charger_time(struct world *w, struct charger *c)
{
    struct instant t = instant_add(w->now, c->skew);
    if ((c->traits & HAS_NO_CLOCK) != 0 && !c->is_accepted)
        t = instant_add((struct instant){(int64_t)c->power_cycles * INT64_C(86400000000)},
                        instant_since(w->now, c->powered_at));
    return (struct instant){t.us / 1000 * 1000};
}

static struct saying *charger_queue(struct charger *c, struct saying m, bool is_first)
{
    if (c->queue_count == QUEUE_MAX)
        return NULL;
    size_t at = is_first ? 0 : c->queue_count;
    memmove(&c->queue[at + 1], &c->queue[at], (c->queue_count - at) * sizeof m);
    c->queue[at] = m;
    c->queue_count++;
    return &c->queue[at];
}

static void charger_forget(struct charger *c, size_t at)
{
    c->queue_count--;
    memmove(&c->queue[at], &c->queue[at + 1], (c->queue_count - at) * sizeof c->queue[0]);
}

static void queue_status(struct charger *c, int connector, const char *status)
{
    if (charger_queue(
            c, (struct saying){.kind = STATUS, .session = SESSIONS_MAX, .connector = connector, .status = status},
            false) != NULL)
        c->status[connector] = NULL;
}

static bool has_room(const struct charger *c)
{
    return c->queue_count + ROOM_LEAST <= QUEUE_MAX;
}

static void charger_stop(struct world *w, size_t station, size_t session, struct instant at)
{
    struct charger *c = &w->chargers[station];
    struct session *s = &c->sessions[session];
    s->is_over = true;
    s->stopped = at;
    s->stop_wh = (c->traits & HAS_NO_METER) != 0 ? 0 : c->meter_wh[s->connector];
    if ((c->traits & RUNS_BACK) != 0 && dice_chance(&w->dice, 300))
        s->stop_wh = s->start_wh - 7;
    c->active[s->connector] = SESSIONS_MAX;
    world_say(w, "charger %zu ends session %zu at %lld Wh", station, session, (long long)s->stop_wh);
}

void charger_queue_stop(struct charger *c, size_t session)
{
    const struct session *s = &c->sessions[session];
    struct saying stop = {
        .kind = STOP, .session = session, .connector = s->connector, .wh = s->stop_wh, .at = s->stopped};
    check(charger_queue(c, stop, false) != NULL);
}

static void charger_start(struct world *w, size_t station, int connector)
{
    struct charger *c = &w->chargers[station];
    size_t n = c->session_count++;
    c->meter_wh[connector] += (int64_t)dice_below(&w->dice, 3);
    c->sessions[n] = (struct session){.connector = connector,
                                      .started = charger_time(w, c),
                                      .start_wh = (c->traits & HAS_NO_METER) != 0 ? 0 : c->meter_wh[connector]};
    c->active[connector] = n;
    world_say(w, "charger %zu begins session %zu on connector %d at %lld Wh", station, n, connector,
              (long long)c->sessions[n].start_wh);
    (void)charger_queue(c,
                        (struct saying){.kind = START,
                                        .session = n,
                                        .connector = connector,
                                        .wh = c->sessions[n].start_wh,
                                        .at = c->sessions[n].started},
                        false);
    if (c->late != SESSIONS_MAX && dice_chance(&w->dice, 500))
        (void)charger_queue(c,
                            (struct saying){.kind = METER,
                                            .session = c->late,
                                            .connector = c->sessions[c->late].connector,
                                            .wh = c->sessions[c->late].stop_wh,
                                            .at = c->sessions[c->late].stopped},
                            false);
    if (c->late != SESSIONS_MAX)
        charger_queue_stop(c, c->late);
    c->late = SESSIONS_MAX;
}

/* Names a transaction of someone else. */
static void charger_intrude(struct world *w, size_t station)
{
    size_t victim = dice_below(&w->dice, (unsigned)w->station_count);
    const struct charger *v = &w->chargers[victim];
    if (victim == station || v->session_count == 0)
        return;
    uint32_t tx = v->sessions[dice_below(&w->dice, (unsigned)v->session_count)].tx;
    if (tx != 0)
        (void)charger_queue(&w->chargers[station],
                            (struct saying){.kind = dice_chance(&w->dice, 500) ? STOP : METER,
                                            .session = SESSIONS_MAX,
                                            .connector = 1,
                                            .wh = 1000000,
                                            .at = charger_time(w, &w->chargers[station]),
                                            .named = tx},
                            false);
}

/* Something happens at a charger that has power. */
static void charger_live(struct world *w, size_t station)
{
    struct charger *c = &w->chargers[station];
    int connector = 1 + (int)dice_below(&w->dice, (unsigned)c->connectors);
    size_t n = c->active[connector];
    if (!has_room(c))
        return;
    if ((c->traits & IS_FOREIGN) != 0 && dice_chance(&w->dice, 200)) {
        charger_intrude(w, station);
    } else if (n == SESSIONS_MAX) {
        if (c->session_count == SESSIONS_MAX || !dice_chance(&w->dice, 500))
            return;
        charger_start(w, station, connector);
        if (c->is_accepted)
            queue_status(c, connector, "Charging");
    } else if (dice_chance(&w->dice, 600)) {
        c->meter_wh[connector] += 1 + (int64_t)dice_below(&w->dice, 50);
        (void)charger_queue(c,
                            (struct saying){.kind = METER,
                                            .session = n,
                                            .connector = connector,
                                            .wh = c->meter_wh[connector],
                                            .at = charger_time(w, c)},
                            false);
    } else {
        struct instant at = charger_time(w, c);
        bool is_all = (c->traits & HAS_NO_METER) != 0; /* as by an emergency button */
        for (int i = 1; i <= c->connectors; i++)
            if (c->active[i] != SESSIONS_MAX && (i == connector || is_all)) {
                size_t session = c->active[i];
                charger_stop(w, station, session, at);
                charger_queue_stop(c, session);
            }
        if (c->is_accepted)
            queue_status(c, connector, "Available");
    }
}

void charger_leave(struct world *w, size_t station)
{
    struct charger *c = &w->chargers[station];
    struct connection *own = &w->connections[station][0];
    if (own->is_used) {
        world_say(w, "charger %zu has no connection any more", station);
        w->connections[station][1] = *own;
        w->connections[station][1].is_left = true;
    }
    *own = (struct connection){.station = station};
    if (c->is_waiting && c->queue_count > 0) {
        struct saying *m = &c->queue[0];
        m->tries++;
        if ((c->traits & NEW_IDS) != 0)
            m->id[0] = 0;
        if ((c->traits & GIVES_UP) != 0 && m->kind == START && m->tries >= 2) {
            world_say(w, "charger %zu gives up the start of session %zu", station, m->session);
            charger_forget(c, 0);
        }
    }
    c->is_waiting = false;
}

static void charger_power_off(struct world *w, size_t station)
{
    struct charger *c = &w->chargers[station];
    bool may_forget = (c->traits & (TURNS_ROUND | GIVES_UP)) == 0; /* else what -1 means is anyone's guess */
    world_say(w, "charger %zu loses power", station);
    charger_leave(w, station);
    for (int i = 1; i <= c->connectors; i++) {
        size_t n = c->active[i];
        if (n == SESSIONS_MAX || (may_forget && dice_chance(&w->dice, 300))) {
            c->active[i] = SESSIONS_MAX;
            continue;
        }
        charger_stop(w, station, n, charger_time(w, c));
        if (may_forget && c->late == SESSIONS_MAX && dice_chance(&w->dice, 500))
            c->late = n;
        else
            charger_queue_stop(c, n);
    }
    for (size_t i = c->queue_count; i-- > 0;) /* only what is about transactions is kept over it */
        if (c->queue[i].kind == BOOT || c->queue[i].kind == STATUS || c->queue[i].kind == BEAT || c->queue[i].is_again)
            charger_forget(c, i);
    c->is_powered = c->is_accepted = false;
    c->last.kind = BEAT;
}

static void charger_power_on(struct world *w, size_t station)
{
    struct charger *c = &w->chargers[station];
    c->is_powered = true;
    c->powered_at = w->now;
    c->power_cycles++;
    if ((c->traits & COUNTS_IDS) != 0) {
        c->next_id = 1;
        for (size_t i = 0; i < c->queue_count; i++)
            c->queue[i].id[0] = 0;
    }
    world_say(w, "charger %zu has power", station);
}

/* A stop before its start. */
void charger_turn_round(struct charger *c)
{
    for (size_t i = 0; i < c->queue_count; i++)
        for (size_t n = i + 1; n < c->queue_count && c->queue[i].kind == START; n++)
            if (c->queue[n].kind == STOP && c->queue[n].session == c->queue[i].session && c->queue[i].connector == 1) {
                struct saying start = c->queue[i];
                c->queue[i] = c->queue[n];
                c->queue[n] = start;
            }
}

static void build(const struct charger *c, struct saying *m)
{
    char at[INSTANT_TEXT_SIZE], tx[40] = "", payload[sizeof m->payload] = {0};
    const struct session *s = m->session < SESSIONS_MAX ? &c->sessions[m->session] : NULL;
    int64_t id = m->named != 0 ? (int64_t)m->named : (s != NULL && s->tx != 0 ? (int64_t)s->tx : -1);
    long long wh = (long long)m->wh;
    instant_write(m->at, at);
    if (m->kind == STOP || m->named != 0 || (c->traits & LEAVES_OUT) == 0)
        (void)snprintf(tx, sizeof tx, "\"transactionId\":%lld,", (long long)id);
    m->is_named = s != NULL && s->tx != 0;
    m->is_built = true;
    switch (m->kind) {
    case BOOT:
        (void)snprintf(payload, sizeof payload, "{\"chargePointVendor\":\"V\",\"chargePointModel\":\"M\"}");
        break;
    case STATUS:
        (void)snprintf(payload, sizeof payload, "{\"connectorId\":%d,\"errorCode\":\"NoError\",\"status\":\"%s\"}",
                       m->connector, m->status);
        break;
    case START:
        (void)snprintf(payload, sizeof payload,
                       "{\"connectorId\":%d,\"idTag\":\"%s\",\"meterStart\":%lld,\"timestamp\":\"%s\"}", m->connector,
                       c->tag, wh, at);
        break;
    case METER:
        (void)snprintf(
            payload, sizeof payload,
            "{\"connectorId\":%d,%s\"meterValue\":[{\"timestamp\":\"%s\",\"sampledValue\":[{\"value\":\"%lld\"}]}]}",
            m->connector, tx, at, wh);
        break;
    case STOP:
        (void)snprintf(payload, sizeof payload, "{%s\"meterStop\":%lld,\"timestamp\":\"%s\"}", tx, wh, at);
        break;
    case BEAT:
        (void)snprintf(payload, sizeof payload, "{}");
        break;
    }
    memcpy(m->payload, payload, sizeof payload);
}

static void charger_send(struct world *w, size_t station)
{
    static const char *const actions[] = {"BootNotification", "StatusNotification", "StartTransaction",
                                          "MeterValues",      "StopTransaction",    "Heartbeat"};
    struct charger *c = &w->chargers[station];
    struct saying *m = &c->queue[0];
    char text[TEXT_MAX];
    if (!m->is_built)
        build(c, m);
    if (m->id[0] == 0)
        (void)snprintf(m->id, sizeof m->id, "%s%llu", (c->traits & COUNTS_IDS) != 0 ? "" : "u",
                       (unsigned long long)c->next_id++);
    int len = snprintf(text, sizeof text, "[2,\"%s\",\"%s\",%s]", m->id, actions[m->kind], m->payload);
    check(len > 0 && (size_t)len < sizeof text);
    if (fifo_put(&w->connections[station][0].to_server, (struct str){text, (size_t)len})) {
        c->is_waiting = true;
        world_say(w, "charger %zu says %s", station, text);
    }
}

static void charger_read(struct world *w, size_t station)
{
    struct charger *c = &w->chargers[station];
    struct fifo *f = &w->connections[station][0].to_charger;
    struct saying m = c->queue[0];
    world_say(w, "charger %zu is told %s", station, f->texts[0]);
    oracle_answered(w, station, &m, str_of(f->texts[0]));
    fifo_drop(f);
    charger_forget(c, 0);
    c->is_waiting = false;
    if (m.kind == BOOT) {
        c->is_accepted = true;
        for (int i = 0; i <= c->connectors; i++)
            queue_status(c, i, i > 0 && c->active[i] != SESSIONS_MAX ? "Charging" : "Available");
    } else if (m.kind == STATUS) {
        bool is_newest = true;
        for (size_t i = 0; i < c->queue_count; i++)
            is_newest = is_newest && (c->queue[i].kind != STATUS || c->queue[i].connector != m.connector);
        c->status[m.connector] = is_newest ? m.status : NULL;
    }
    c->last = m;
    if (m.kind == STOP && m.named == 0 && dice_chance(&w->dice, 300))
        c->old_stop = m;
}

/* Again, although it was answered: a network or a charger that doubles. */
static void charger_repeat(struct world *w, size_t station)
{
    struct charger *c = &w->chargers[station];
    if (c->old_stop.kind == STOP && dice_chance(&w->dice, 300))
        c->last = c->old_stop;
    if (c->last.kind != START && c->last.kind != METER && c->last.kind != STOP)
        return;
    c->last.is_again = true;
    if (dice_chance(&w->dice, 500))
        c->last.id[0] = 0;
    (void)charger_queue(c, c->last, true);
    c->last.kind = BEAT;
}

/* A charger has its turn: what it is at, or what the network does to it. */
void charger_turn(struct world *w, size_t station)
{
    struct charger *c = &w->chargers[station];
    struct connection *own = &w->connections[station][0];
    if (!w->is_calm && c->is_powered && dice_chance(&w->dice, 12))
        charger_power_off(w, station);
    else if (!c->is_powered && (w->is_calm || dice_chance(&w->dice, 300)))
        charger_power_on(w, station);
    if (!w->is_calm && (c->traits & CLOCK_JUMPS) != 0 && dice_chance(&w->dice, 20))
        c->skew = SPAN_S((int64_t)dice_below(&w->dice, 6 * 86400) - 3 * 86400);
    if (!c->is_powered)
        return;
    if (!w->is_calm && dice_chance(&w->dice, 250))
        charger_live(w, station);
    if (!own->is_used || !own->is_accepted)
        return;
    if (own->to_charger.count > 0)
        charger_read(w, station);
    else if (!w->is_calm && dice_chance(&w->dice, c->is_waiting ? 60 : 10))
        charger_leave(w, station);
    else if (!c->is_waiting && !w->is_calm && dice_chance(&w->dice, 60))
        charger_repeat(w, station);
    else if (!c->is_waiting && !c->is_accepted && (c->queue_count == 0 || c->queue[0].kind != BOOT))
        (void)charger_queue(c, (struct saying){.kind = BOOT, .session = SESSIONS_MAX}, true);
    else if (!c->is_waiting && c->queue_count > 0)
        charger_send(w, station);
}
