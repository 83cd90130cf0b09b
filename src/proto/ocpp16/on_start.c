/* proto/ocpp16/on_start.c - StartTransaction (ocpp16.md 5.6): always an id and a verdict, whatever the tag's state,
 * since energy may have flowed; a repeat, known by its content, gets the id it got first. */
#include "proto/ocpp16/handlers.h"

#define OFFLINE_AFTER SPAN_S(300) /* a start older than this when it arrives was made offline */

static void answer_start(struct step *s, uint32_t id, struct id_tag_info *info, int verdict)
{
    info->status = choice_word(&authorization_status_choices, verdict);
    struct start_transaction_conf conf = {.id_tag_info = info, .transaction_id = {id, true}};
    step_answer(s, &start_transaction_conf_message, &conf);
}

/* What is missing for a transaction; absent: nothing. */
static struct str unusable(const struct start_transaction_req *r)
{
    if (r->connector_id.value <= 0)
        return STR("connector_not_usable");
    if (r->id_tag.at == NULL)
        return STR("id_tag_missing");
    if (!r->meter_start.is_set)
        return STR("meter_start_missing");
    if (r->timestamp.text.at == NULL)
        return STR("timestamp_missing");
    if (!instant_is_set(r->timestamp.at))
        return STR("timestamp_not_readable");
    return (struct str){NULL, 0};
}

static void quarantine_start(struct step *s, const struct start_transaction_req *r, struct str reason)
{
    uint64_t number;
    uint32_t id = next_transaction_id(s, &number);
    (void)step_quarantine(
        s, &(struct quarantine){.reason = reason,
                                .connector_id = r->connector_id,
                                .transaction_id = transaction_text(s, id),
                                .suggestion = STR("the station was given this transaction id; its stop will name it")});
    struct id_tag_info info = {0};
    int verdict = r->id_tag.at == NULL ? OCPP_AUTHORIZATION_STATUS_ACCEPTED : tag_verdict(s, r->id_tag, &info);
    answer_start(s, id, &info, verdict);
}

/* Its stop came first and waits (field-lessons.md 10). NULL: none does. */
static struct orphan *find_orphan_stop(const struct step *s, const struct transaction *t)
{
    if (t->started.us != t->device_started.us)
        return NULL; /* by a clock that is wrong no order is known */
    for (size_t i = 0; s->station->orphans != NULL && i < STATION_ORPHANS_MAX; i++) {
        struct orphan *o = &s->station->orphans[i];
        if (o->is_set && o->meter_stop_wh >= t->meter_start_wh && !instant_before(o->timestamp, t->device_started))
            return o;
    }
    return NULL;
}

/* Ends it with that one. */
static void join_orphan_stop(struct step *s, struct transaction *t, struct orphan *o)
{
    char text[INSTANT_TEXT_SIZE], quarantine_id[UUID_TEXT_SIZE];
    instant_write(o->timestamp, text);
    uuid_write(o->quarantine_id, quarantine_id);
    s->flag_count = 0;
    step_flag(s, STR("stop_came_first"));
    struct stop stop = {.meter_stop_wh = o->meter_stop_wh,
                        .timestamp = o->timestamp,
                        .timestamp_text = str_of(text),
                        .reason = str_of(o->reason)};
    stop.key = ocpp_stop_key(stop.meter_stop_wh, stop.timestamp);
    (void)believable_time(s, (struct stamp){stop.timestamp_text, stop.timestamp});
    emit_stopped(s, t, &stop);
    struct ev_quarantine_resolved resolved = {.quarantine_id = str_of(quarantine_id),
                                              .resolution = STR("applied"),
                                              .transaction_id = transaction_text(s, t->id),
                                              .by = STR("server")};
    step_event(s, EVENT_QUARANTINE_RESOLVED, INSTANT_NONE, &resolved);
#ifndef DEFECT_ORPHAN_TWICE /* planted: a stop that waited ends the next one too */
    o->is_set = false;
#endif
}

static void supersede(struct step *s, struct transaction *old)
{
    if (old == NULL || transaction_apply(old, TRANSACTION_SUPERSEDE) != OK)
        return;
#ifndef DEFECT_TAG_COUNTED /* planted: what was superseded counts for its tag for ever */
    tag_book_add(s->in->tags, str_of(old->id_tag), -1);
#endif
}

static void begin(struct step *s, const struct start_transaction_req *r)
{
    struct transaction *old = station_open_on(s->station, r->connector_id.value);
    struct str supersedes = old == NULL ? (struct str){NULL, 0} : transaction_text(s, old->id);
    struct id_tag_info info;
    int verdict = tag_verdict(s, r->id_tag, &info);
    if (verdict == OCPP_AUTHORIZATION_STATUS_ACCEPTED && tag_is_concurrent(s, r->id_tag, old))
        verdict = OCPP_AUTHORIZATION_STATUS_CONCURRENT_TX;
    supersede(s, old);

    struct transaction t = {
        .connector_id = (int32_t)r->connector_id.value,
        .state = TRANSACTION_OPEN,
        .meter_start_wh = r->meter_start.value,
        .device_started = r->timestamp.at,
        .started = believable_time(s, r->timestamp),
        .device_stopped = INSTANT_NONE,
        .start_key = transaction_start_key(&s->call->start),
        .first_verdict = (uint8_t)verdict,
    };
    t.id = next_transaction_id(s, &t.number);
    (void)str_copy(t.id_tag, sizeof t.id_tag, r->id_tag);
    if (s->call->why.reason[0] != 0)
        step_flag(s, STR("format_bent"));
    bool is_offline = instant_since(s->in->now, t.started).us > OFFLINE_AFTER.us;
    struct ev_transaction_started payload = {
        .connector_id = r->connector_id,
        .transaction_id = transaction_text(s, t.id),
        .id_tag = r->id_tag,
        .meter_start_wh = r->meter_start,
        .reservation_id = r->reservation_id,
        .offline = {is_offline, true},
        .id_tag_status = choice_word(&authorization_status_choices, verdict).text,
        .supersedes = supersedes,
        .flags = step_flags(s),
    };
    struct orphan *stopped_by = find_orphan_stop(s, &t);
    s->is_of_frame = stopped_by == NULL;
    step_event(s, EVENT_TRANSACTION_STARTED, r->timestamp.at, &payload);
    struct transaction *kept = station_add_transaction(s->station, &t);
    check(kept != NULL); /* on_start_transaction saw to the room */
    tag_book_add(s->in->tags, r->id_tag, 1);
    (void)station_connector(s->station, r->connector_id.value);
    if (stopped_by != NULL)
        join_orphan_stop(s, kept, stopped_by);
    answer_start(s, t.id, &info, verdict);
}

void on_start_transaction(struct step *s)
{
    const struct start_transaction_req *r = s->call->request;
    if (!r->connector_id.is_set) {
        step_refuse(s, ocpp_error_code(ERR_MISSING), STR("connectorId"), "a start without a connector says nothing");
        return;
    }
    struct str reason = unusable(r);
    if (reason.at != NULL) {
        quarantine_start(s, r, reason);
        return;
    }
    const struct transaction *first = station_started_by(s->station, transaction_start_key(&s->call->start));
    if (first == NULL && s->call->wants_start && s->known->has_transaction)
        first = &s->known->transaction;
#ifdef DEFECT_START_REPEATED /* planted: what memory or tables know of it counts for nothing */
    first = NULL;
#endif
    if (first == NULL) {
        bool has_room = station_open_count(s->station) < STATION_OPEN_MAX ||
                        station_open_on(s->station, r->connector_id.value) != NULL; /* which it would supersede */
        if (has_room)
            begin(s, r);
        else
            quarantine_start(s, r, STR("too_many_open"));
        return;
    }
    struct id_tag_info info;
    (void)tag_verdict(s, r->id_tag, &info);
    s->out->is_repeat = true;
    answer_start(s, first->id, &info, first->first_verdict);
}
