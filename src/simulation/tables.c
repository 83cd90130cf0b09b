/* simulation/tables.c - see the header. */
#include "simulation/tables.h"

#include <stdlib.h>
#include <string.h>

size_t station_number(struct str id)
{
    return (size_t)(id.at[id.len - 1] - '0');
}

uint32_t id_of(struct str transaction_id)
{
    int64_t id = 0;
    return transaction_id.at != NULL && str_to_int(transaction_id, &id) == OK && id > 0 && id <= INT32_MAX
               ? (uint32_t)id
               : 0;
}

struct table_transaction *tables_find(struct tables *t, uint32_t id)
{
    for (size_t i = t->transaction_count; id != 0 && i-- > 0;)
        if (t->transactions[i].t.id == id)
            return &t->transactions[i];
    return NULL;
}

bool has_flag(struct str_list flags, struct str flag)
{
    for (size_t i = 0; i < flags.count; i++)
        if (str_eq(flags.at[i], flag))
            return true;
    return false;
}

static void table_status(struct table_station *s, const struct ev_status_changed *p, struct instant at)
{
    size_t i = 0;
    while (i < s->connector_count && s->connectors[i].id != p->connector_id.value)
        i++;
    if (i == s->connector_count) {
        check(s->connector_count < CONNECTORS_MAX);
        s->connectors[s->connector_count++] =
            (struct connector){.id = (int32_t)p->connector_id.value, .since = INSTANT_NONE};
    }
    connector_set_status(&s->connectors[i], p->status, p->error_code, at);
}

static void table_started(struct tables *t, size_t station, const struct event *e,
                          const struct ev_transaction_started *p)
{
    struct table_transaction *old = tables_find(t, id_of(p->supersedes));
    if (old != NULL && old->t.state == TRANSACTION_OPEN) {
        old->t.state = TRANSACTION_CLOSED;
        old->t.is_superseded = true;
    }
    struct transaction_start start = {(int32_t)p->connector_id.value, p->id_tag, e->device_time,
                                      p->meter_start_wh.value};
    struct transaction new = {
        .id = id_of(p->transaction_id),
        .connector_id = start.connector_id,
        .meter_start_wh = start.meter_start_wh,
        .device_started = e->device_time,
        .started = has_flag(p->flags, STR("clock_corrected")) ? e->received : e->device_time,
        .device_stopped = INSTANT_NONE,
        .start_key = transaction_start_key(&start),
    };
    new.number = permute31_back(t->id_key, new.id);
    int verdict = choice_find(&authorization_status_choices, p->id_tag_status);
    new.first_verdict = (uint8_t)(verdict < 0 ? 0 : verdict);
    (void)str_copy(new.id_tag, sizeof new.id_tag, p->id_tag);
    t->transactions = mem_grow(t->transactions, t->transaction_count + 1, sizeof *t->transactions);
    t->transactions[t->transaction_count++] = (struct table_transaction){new, station};
    if (new.number > t->last_number)
        t->last_number = new.number;
}

static void table_content(struct tables *t, struct table_station *s, const struct event *e)
{
    struct ocpp_frame frame;
    if (e->frame.at != NULL && ocpp_frame_read(e->frame, &t->arena, &frame, NULL) == OK)
        s->contents[s->content_count++ % CONTENTS_KEPT] = ocpp_meter_key(frame.payload);
}

static void table_reading(struct tables *t, const struct ev_meter_values *p)
{
    struct table_transaction *of = tables_find(t, id_of(p->transaction_id));
    if (of != NULL && !has_flag(p->flags, STR("inferred")))
        of->t.is_confirmed = true;
}

static void table_stopped(struct tables *t, const struct ev_transaction_stopped *p)
{
    struct table_transaction *of = tables_find(t, id_of(p->transaction_id));
    if (of == NULL)
        return;
    of->t.state = TRANSACTION_CLOSED;
    of->t.is_superseded = false;
    of->t.meter_stop_wh = p->meter_stop_wh.value;
    of->t.device_stopped = p->stop_timestamp.at;
    of->t.stop_key = ocpp_stop_key(p->meter_stop_wh.value, p->stop_timestamp.at);
}

static void table_quarantined(struct tables *t, struct table_station *s, const struct event *e,
                              const struct ev_quarantined *p)
{
    struct orphan o = {.is_set = false};
    uint64_t number = permute31_back(t->id_key, id_of(p->transaction_id));
    if (str_eq(p->action, STR("StartTransaction")) && number > t->last_number)
        t->last_number = number;
    if (!str_eq(p->action, STR("StopTransaction")) || uuid_parse(p->quarantine_id, &o.quarantine_id) != OK ||
        str_eq(p->reason, STR("foreign_transaction")) || str_eq(p->reason, STR("stopped_differently")) ||
        ocpp_read_orphan(e->frame, &t->arena, &o) != OK)
        return;
    check(s->waiting_count < WAITING_MAX);
    s->waiting[s->waiting_count++] = o;
    size_t now = 0;
    for (size_t i = 0; i < s->waiting_count; i++)
        now += s->waiting[i].is_set;
    s->waiting_most = now > s->waiting_most ? now : s->waiting_most;
}

static void table_resolved(struct table_station *s, const struct ev_quarantine_resolved *p)
{
    struct uuid id;
    if (uuid_parse(p->quarantine_id, &id) != OK)
        return;
    for (size_t i = 0; i < s->waiting_count; i++)
        if (memcmp(s->waiting[i].quarantine_id.at, id.at, sizeof id.at) == 0)
            s->waiting[i].is_set = false;
}

static void tables_apply(struct tables *t, const struct event *e)
{
    size_t station = station_number(e->station);
    struct table_station *s = &t->stations[station];
    arena_reset(&t->arena);
    void *p = arena_take(&t->arena, event_kinds[e->type].payload->size + 1);
    check(event_read_payload(e, &t->arena, p, NULL) == OK);
    s->has_row = true;
    if (e->sequence > s->sequence)
        s->sequence = e->sequence;
    switch (e->type) {
    case EVENT_CONNECTION_OPENED:
        s->generation = (uint64_t)((const struct ev_connection_opened *)p)->generation.value;
        break;
    case EVENT_CONNECTED:
        s->has_booted = true;
        s->registration = registration_find(((const struct ev_connected *)p)->registration);
        break;
    case EVENT_STATUS_CHANGED:
        table_status(s, p, e->received);
        break;
    case EVENT_TRANSACTION_STARTED:
        table_started(t, station, e, p);
        break;
    case EVENT_METER_VALUES:
        table_content(t, s, e);
        break;
    case EVENT_TRANSACTION_METER:
        table_content(t, s, e);
        table_reading(t, p);
        break;
    case EVENT_TRANSACTION_STOPPED:
        table_stopped(t, p);
        break;
    case EVENT_QUARANTINED:
        table_content(t, s, e);
        table_quarantined(t, s, e, p);
        break;
    case EVENT_QUARANTINE_RESOLVED:
        table_resolved(s, p);
        break;
    default:
        break;
    }
}

void tables_catch_up(struct tables *t, const struct disk *d)
{
    for (; t->seen < d->committed; t->seen++)
        tables_apply(t, &d->records[t->seen].event);
}

void tables_load(const struct tables *t, size_t station, struct station *out)
{
    const struct table_station *s = &t->stations[station];
    size_t closed = 0, first_content = s->content_count > CONTENTS_KEPT ? s->content_count - CONTENTS_KEPT : 0;
    out->registration = s->registration;
    out->generation = s->generation;
    out->sequence = s->sequence;
    out->has_booted = s->has_booted;
    for (size_t i = 0; i < s->connector_count; i++)
        connector_set_status(station_connector(out, s->connectors[i].id), str_of(s->connectors[i].status),
                             str_of(s->connectors[i].error_code), s->connectors[i].since);
    for (size_t i = t->transaction_count; i-- > 0;)
        closed += t->transactions[i].station == station && t->transactions[i].t.state == TRANSACTION_CLOSED;
    for (size_t i = 0; i < t->transaction_count; i++) {
        if (t->transactions[i].station != station)
            continue;
        if (t->transactions[i].t.state == TRANSACTION_OPEN || closed-- <= STATION_CLOSED_MAX)
            check(station_add_transaction(out, &t->transactions[i].t) != NULL);
    }
    for (size_t i = first_content; i < s->content_count; i++)
        station_remember_meter(out, s->contents[i % CONTENTS_KEPT]);
    for (size_t i = 0; i < s->waiting_count; i++)
        if (s->waiting[i].is_set)
            station_add_orphan(out, &s->waiting[i]);
}

void tables_init(struct tables *t, const uint64_t *id_key)
{
    *t = (struct tables){.id_key = id_key};
    arena_init(&t->arena, (size_t)1 << 20);
}

void tables_release(struct tables *t)
{
    free(t->transactions);
    arena_release(&t->arena);
}
