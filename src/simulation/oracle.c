/* simulation/oracle.c - see the header. */
#include "simulation/oracle.h"

#include <stdio.h>
#include <string.h>

static bool oracle_has(const struct world *w, enum kind kind, size_t station, uint64_t key)
{
    for (size_t i = w->fact_count; i-- > 0;)
        if (w->facts[i].key == key && w->facts[i].station == station && w->facts[i].kind == kind)
            return true;
    return false;
}

static void oracle_add(struct world *w, enum kind kind, size_t station, uint64_t key)
{
    w->facts = mem_grow(w->facts, w->fact_count + 1, sizeof *w->facts);
    w->facts[w->fact_count++] = (struct fact){kind, station, key};
}

/* Chargers whose stops name nothing, and whose clock or meter does not say either which session is meant: a guess may
 * be wrong. */
static bool is_ambiguous(const struct charger *c)
{
    return (c->traits & GIVES_UP) != 0 ||
           ((c->traits & TURNS_ROUND) != 0 && (c->traits & (HAS_NO_CLOCK | CLOCK_JUMPS | RUNS_BACK)) != 0);
}

static uint64_t frame_key(struct world *w, struct str frame)
{
    struct ocpp_frame f;
    return ocpp_frame_read(frame, &w->oracle_arena, &f, NULL) == OK ? ocpp_meter_key(f.payload) : 0;
}

static struct session *session_of_id(struct world *w, uint32_t id, size_t *owner)
{
    for (size_t c = 0; c < w->station_count; c++)
        for (size_t i = 0; i < w->chargers[c].session_count; i++)
            if (w->chargers[c].sessions[i].in_log == id) {
                *owner = c;
                return &w->chargers[c].sessions[i];
            }
    return NULL;
}

static void oracle_started(struct world *w, size_t station, const struct event *e,
                           const struct ev_transaction_started *p)
{
    struct charger *c = &w->chargers[station];
    uint32_t id = id_of(p->transaction_id);
    size_t owner, i = 0;
    while (i < c->session_count &&
           (c->sessions[i].connector != p->connector_id.value || c->sessions[i].started.us != e->device_time.us ||
            c->sessions[i].start_wh != p->meter_start_wh.value))
        i++;
    if (i == c->session_count) {
        world_broken(w, "charger %zu: transaction %u began that it never had", station, id);
        return;
    }
    if (c->sessions[i].in_log != 0)
        world_broken(w, "charger %zu: session %zu began twice, as %u and %u (2)", station, i, c->sessions[i].in_log,
                     id);
    if (session_of_id(w, id, &owner) != NULL)
        world_broken(w, "charger %zu: id %u is charger %zu's already (3)", station, id, owner);
    if (id == 0 || id == w->last_told + 1)
        world_broken(w, "charger %zu: id %u can be guessed from the one before (3)", station, id);
    w->last_told = id;
    c->sessions[i].in_log = id;
}

static void oracle_stopped(struct world *w, size_t station, const struct ev_transaction_stopped *p)
{
    uint32_t id = id_of(p->transaction_id);
    size_t owner = STATIONS_MAX;
    struct session *s = session_of_id(w, id, &owner);
    bool is_by_operator = has_flag(p->flags, STR("closed_by_operator"));
    if (s == NULL || owner != station) {
        world_broken(w, "charger %zu ended transaction %u, which is charger %zu's (4)", station, id, owner);
        return;
    }
    if (s->is_stopped_in_log)
        world_broken(w, "charger %zu: transaction %u ended twice (2)", station, id);
    s->is_stopped_in_log = true;
    s->is_closed_by_operator = is_by_operator;
    int64_t energy = p->meter_stop_wh.value - s->start_wh;
    if (p->energy_wh.value != (energy < 0 ? 0 : energy))
        world_broken(w, "charger %zu: transaction %u has %lld Wh (7)", station, id, (long long)p->energy_wh.value);
    bool is_its_own = s->is_over && s->stop_wh == p->meter_stop_wh.value && s->stopped.us == p->stop_timestamp.at.us;
    if (!is_by_operator && !is_its_own && !is_ambiguous(&w->chargers[station]))
        world_broken(w, "charger %zu: transaction %u was ended by another's stop (4)", station, id);
    oracle_add(w, STOP, station, ocpp_stop_key(p->meter_stop_wh.value, p->stop_timestamp.at));
}

static void oracle_reading(struct world *w, size_t station, const struct event *e, const struct ev_meter_values *p)
{
    uint64_t key = frame_key(w, e->frame);
    size_t owner = STATIONS_MAX;
    if (e->frame.at == NULL)
        return;
    if (e->type == EVENT_TRANSACTION_METER &&
        (session_of_id(w, id_of(p->transaction_id), &owner) == NULL || owner != station))
        world_broken(w, "charger %zu: a reading of transaction %.*s, which is charger %zu's (4)", station,
                     STR_ARG(p->transaction_id), owner);
    if (oracle_has(w, METER, station, key))
        world_broken(w, "charger %zu: a reading of transaction '%.*s' twice (2)", station, STR_ARG(p->transaction_id));
    oracle_add(w, METER, station, key);
}

static void oracle_quarantined(struct world *w, size_t station, const struct event *e, const struct ev_quarantined *p)
{
    struct orphan o;
    if (str_eq(p->action, STR("StopTransaction")) && ocpp_read_orphan(e->frame, &w->oracle_arena, &o) == OK)
        oracle_add(w, STOP, station, ocpp_stop_key(o.meter_stop_wh, o.timestamp));
    else
        oracle_add(w, str_eq(p->action, STR("StartTransaction")) ? START : METER, station, frame_key(w, e->frame));
    if (w->chargers[station].traits == 0 && !str_eq(p->reason, STR("stopped_differently")))
        world_broken(w, "charger %zu does all right, and was quarantined: %.*s", station, STR_ARG(p->reason));
}

/* What came about, as the log says it. */
static void oracle_count(struct world *w, const struct event *e)
{
    static const struct {
        enum reached reached;
        enum event_type type;
        struct str word;
    } rows[] = {
        {REACHED_STOP_CAME_FIRST, EVENT_TRANSACTION_STOPPED, {"stop_came_first", 15}},
        {REACHED_INFERRED, EVENT_TRANSACTION_STOPPED, {"inferred", 8}},
        {REACHED_SUPERSEDED_STOPPED, EVENT_TRANSACTION_STOPPED, {"stopped_after_superseded", 24}},
        {REACHED_RAN_BACK, EVENT_TRANSACTION_STOPPED, {"meter_backwards", 15}},
        {REACHED_BY_OPERATOR, EVENT_TRANSACTION_STOPPED, {"closed_by_operator", 18}},
        {REACHED_LATE_READING, EVENT_TRANSACTION_METER, {"after_stop", 10}},
        {REACHED_CLOCK_CORRECTED, EVENT_TRANSACTION_STARTED, {"clock_corrected", 15}},
        {REACHED_FOREIGN, EVENT_QUARANTINED, {"foreign_transaction", 19}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].type == e->type && memmem(e->payload.at, e->payload.len, rows[i].word.at, rows[i].word.len) != NULL)
            world_count(w, rows[i].reached, true);
}

static void oracle_record(struct world *w, const struct record *r)
{
    const struct event *e = &r->event;
    size_t station = station_number(e->station);
    arena_reset(&w->oracle_arena);
    const void *p = arena_take(&w->oracle_arena, event_kinds[e->type].payload->size + 1);
    if (event_read_payload(e, &w->oracle_arena, (void *)(uintptr_t)p, NULL) != OK)
        world_broken(w, "event %llu cannot be read", (unsigned long long)e->position);
    oracle_count(w, e);
    if (event_kinds[e->type].is_published && e->sequence != ++w->sequences[station])
        world_broken(w, "charger %zu: sequence %llu after %llu (5)", station, (unsigned long long)e->sequence,
                     (unsigned long long)w->sequences[station] - 1);
    if (e->type == EVENT_CONNECTION_OPENED)
        w->generations[station] = (uint64_t)((const struct ev_connection_opened *)p)->generation.value;
    else if (r->generation != 0 && r->generation != w->generations[station])
        world_broken(w, "charger %zu: something came by connection %llu after %llu was there (6)", station,
                     (unsigned long long)r->generation, (unsigned long long)w->generations[station]);
    const struct ev_status_changed *status = p;
    if (e->type == EVENT_TRANSACTION_STARTED)
        oracle_started(w, station, e, p);
    else if (e->type == EVENT_TRANSACTION_STOPPED)
        oracle_stopped(w, station, p);
    else if (e->type == EVENT_TRANSACTION_METER || e->type == EVENT_METER_VALUES)
        oracle_reading(w, station, e, p);
    else if (e->type == EVENT_QUARANTINED)
        oracle_quarantined(w, station, e, p);
    else if (e->type == EVENT_STATUS_CHANGED)
        (void)str_copy(w->status_in_log[station][status->connector_id.value], 24, status->status);
}

void oracle_read_log(struct world *w)
{
    for (; w->checked < w->disk.committed && !world_is_broken(w); w->checked++)
        oracle_record(w, &w->disk.records[w->checked]);
}

static void oracle_start_answered(struct world *w, size_t station, struct session *s, struct str payload)
{
    struct start_transaction_conf conf;
    if (schema_read(&start_transaction_conf_message, payload, STRICT, &w->oracle_arena, &conf, NULL) != OK)
        world_broken(w, "charger %zu: an answer to a start that says no id", station);
    else if (s->in_log == 0 || conf.transaction_id.value != s->in_log)
        world_broken(w, "charger %zu: told id %lld, the log has %u (1)", station, (long long)conf.transaction_id.value,
                     s->in_log);
    else if (s->tx != 0 && s->tx != s->in_log)
        world_broken(w, "charger %zu: told id %u, then %u (3)", station, s->tx, s->in_log);
    else
        s->tx = s->in_log;
}

/* A charger reads an answer. */
void oracle_answered(struct world *w, size_t station, const struct saying *m, struct str answer)
{
    struct charger *c = &w->chargers[station];
    struct ocpp_frame f = {0};
    oracle_read_log(w);
    arena_reset(&w->oracle_arena);
    if (ocpp_frame_read(answer, &w->oracle_arena, &f, NULL) != OK || f.kind != OCPP_RESULT) {
        world_broken(w, "charger %zu: %.*s", station, STR_ARG(answer));
        return;
    }
    bool has_session = m->session < SESSIONS_MAX;
    struct session *s = &c->sessions[has_session ? m->session : 0];
    check(has_session || (m->kind != START && !m->is_named));
    check(m->kind != STATUS || m->status != NULL);
    if (m->kind == START)
        oracle_start_answered(w, station, s, f.payload);
    if (m->kind == METER && !oracle_has(w, METER, station, ocpp_meter_key(str_of(m->payload))))
        world_broken(w, "charger %zu: a reading was acknowledged that the log does not have (1)", station);
    if (m->kind == STATUS && strcmp(w->status_in_log[station][m->connector], m->status) != 0)
        world_broken(w, "charger %zu: told that %s is known, the log has %s (1)", station, m->status,
                     w->status_in_log[station][m->connector]);
    if (m->kind != STOP || m->named != 0)
        return;
    if (!oracle_has(w, STOP, station, ocpp_stop_key(m->wh, m->at)))
        world_broken(w, "charger %zu: a stop was acknowledged that the log does not have (1)", station);
    if (m->is_named && !s->is_stopped_in_log)
        world_broken(w, "charger %zu: transaction %u goes on after its stop was acknowledged (1)", station, s->tx);
}

static const struct table_transaction *open_in_tables(struct world *w, uint32_t id)
{
    const struct table_transaction *t = tables_find(&w->tables, id);
    return t != NULL && t->t.state == TRANSACTION_OPEN ? t : NULL;
}

/* In the end, when all is committed: what memory holds is what the log comes to. */
static void oracle_memory(struct world *w, size_t station)
{
    const struct station *m = &w->stations[station];
    struct station from_log;
    size_t waiting[2] = {0, 0};
    station_init(&from_log, str_of(m->id));
    tables_load(&w->tables, station, &from_log);
    if (m->sequence != from_log.sequence || m->generation != from_log.generation ||
        m->registration != from_log.registration)
        world_broken(w, "charger %zu: memory is not what the log says (8)", station);
    if (station_open_count(m) != station_open_count(&from_log))
        world_broken(w, "charger %zu: memory has %zu open transactions, the log %zu (8)", station,
                     station_open_count(m), station_open_count(&from_log));
    for (size_t i = 0; i < m->transaction_count; i++) {
        const struct transaction *t = &m->transactions[i];
        const struct table_transaction *o = open_in_tables(w, t->id);
        if (t->state == TRANSACTION_OPEN &&
            (o == NULL || o->t.start_key != t->start_key || o->t.is_confirmed != t->is_confirmed))
            world_broken(w, "charger %zu: transaction %u is not in memory as in the log (8)", station, t->id);
    }
    for (size_t i = 0; i < STATION_ORPHANS_MAX; i++) {
        waiting[0] += m->orphans != NULL && m->orphans[i].is_set;
        waiting[1] += from_log.orphans != NULL && from_log.orphans[i].is_set;
    }
    if (waiting[0] != waiting[1] && w->tables.stations[station].waiting_most <= STATION_ORPHANS_MAX)
        world_broken(w, "charger %zu: %zu stops wait in memory, %zu by the log (8)", station, waiting[0], waiting[1]);
    for (int i = 0; i <= w->chargers[station].connectors; i++) {
        const char *told = w->chargers[station].status[i];
        const struct connector *c = station_connector_find(&w->stations[station], i);
        if (told != NULL && (c == NULL || strcmp(c->status, told) != 0))
            world_broken(w, "charger %zu: connector %d is %s, memory has %s (8)", station, i, told,
                         c == NULL ? "none" : c->status);
    }
    station_release(&from_log);
}

void oracle_end(struct world *w)
{
    oracle_read_log(w);
    tables_catch_up(&w->tables, &w->disk);
    for (size_t i = 0; i < w->station_count && !world_is_broken(w); i++) {
        const struct charger *c = &w->chargers[i];
        int open = 0;
        for (size_t n = 0; n < w->tables.transaction_count; n++)
            open += w->tables.transactions[n].t.state == TRANSACTION_OPEN && w->tables.transactions[n].station == i;
        if (tag_book_count(w->tags, str_of(c->tag)) != open)
            world_broken(w, "charger %zu: its tag counts %d, %d are open (8)", i,
                         tag_book_count(w->tags, str_of(c->tag)), open);
        for (size_t n = 0; n < c->session_count && !is_ambiguous(c); n++)
            if (c->sessions[n].is_over && !c->sessions[n].is_stopped_in_log)
                world_broken(w, "charger %zu: session %zu (%u) is over, and not ended (8)", i, n,
                             c->sessions[n].in_log);
        if (w->is_loaded[i])
            oracle_memory(w, i);
    }
}
