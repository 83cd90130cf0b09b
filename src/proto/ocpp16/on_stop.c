/* proto/ocpp16/on_stop.c - StopTransaction (ocpp16.md 5.8): always answered; the Central System cannot prevent a stop.
 * What ends no transaction of this station is kept in quarantine, and never ends one of another. */
#include "proto/ocpp16/handlers.h"

#include <string.h>

uint64_t ocpp_stop_key(int64_t meter_stop_wh, struct instant timestamp)
{
    const int64_t content[2] = {meter_stop_wh, timestamp.us};
    uint64_t key = siphash(CONTENT_KEY, (struct bytes){(const uint8_t *)content, sizeof content});
    return key == 0 ? 1 : key;
}

void emit_stopped(struct step *s, struct transaction *t, const struct stop *stop)
{
    bool was_open = t->state == TRANSACTION_OPEN;
    if (transaction_apply(t, TRANSACTION_STOP) != OK)
        return;
    if (was_open)
        tag_book_add(s->in->tags, str_of(t->id_tag), -1);
    else
        step_flag(s, STR("stopped_after_superseded"));
    int64_t energy_wh = stop->meter_stop_wh - t->meter_start_wh;
#ifndef DEFECT_ENERGY_BELOW_0 /* planted: a meter that ran backwards gives energy back */
    if (energy_wh < 0) {
        step_flag(s, STR("meter_backwards"));
        energy_wh = 0;
    }
#endif
    t->meter_stop_wh = stop->meter_stop_wh;
    t->device_stopped = stop->timestamp;
    t->stop_key = stop->key;
    struct ev_transaction_stopped payload = {
        .transaction_id = transaction_text(s, t->id),
        .reason = stop->reason,
        .meter_stop_wh = {stop->meter_stop_wh, true},
        .stop_timestamp = {stop->timestamp_text, stop->timestamp},
        .connector_id = {t->connector_id, true},
        .id_tag = stop->id_tag,
        .energy_wh = {energy_wh, true},
        .meter_start_wh = {t->meter_start_wh, true},
        .flags = step_flags(s),
    };
    step_event(s, EVENT_TRANSACTION_STOPPED, stop->timestamp, &payload);
}

/* A station that never got an id says -1 (ocpp16.md 10.3): its one open transaction whose id it has not used, if the
 * reading and the time fit. */
static struct transaction *unconfirmed(struct step *s, const struct stop *stop)
{
    struct transaction *found = NULL;
    for (size_t i = 0; i < s->station->transaction_count; i++) {
        struct transaction *t = &s->station->transactions[i];
#ifdef DEFECT_STOP_GUESSED /* planted: a stop without an id ends whatever is open */
        if (t->state == TRANSACTION_OPEN)
            return t;
#endif
        if (t->state != TRANSACTION_OPEN || t->is_confirmed)
            continue;
        if (stop->meter_stop_wh < t->meter_start_wh || instant_before(stop->timestamp, t->device_started))
            continue;
        if (found != NULL)
            return NULL; /* two fit: a person decides */
        found = t;
    }
    return found;
}

struct wanted {
    struct transaction *transaction; /* NULL: quarantine for reason, or the repeat of one that is dealt with */
    struct str reason;
    bool waits_for_start, is_repeat;
};

/* The repeat of a stop that names no transaction of ours, by its content: it waits already, or ended one all the same.
 */
static bool is_dealt_with(struct step *s, const struct stop *stop)
{
    for (size_t i = 0; s->station->orphans != NULL && i < STATION_ORPHANS_MAX; i++) {
        const struct orphan *o = &s->station->orphans[i];
        if (o->is_set && o->meter_stop_wh == stop->meter_stop_wh && o->timestamp.us == stop->timestamp.us)
            return true;
    }
    return station_stopped_by(s->station, stop->key) != NULL;
}

static struct wanted find_stopped(struct step *s, const struct stop_transaction_req *r, const struct stop *stop)
{
    bool is_usable = r->transaction_id.is_set && r->transaction_id.value > 0;
    struct transaction *t = is_usable ? station_transaction(s->station, (uint32_t)r->transaction_id.value) : NULL;
    if (t == NULL && is_usable)
        t = recall_transaction(s);
    if (t != NULL) {
        t->is_confirmed = true;
        return (struct wanted){.transaction = t};
    }
    if (is_usable && s->known->is_of_other_station)
        return (struct wanted){.reason = STR("foreign_transaction")};
    if (is_dealt_with(s, stop))
        return (struct wanted){.is_repeat = true};
    t = unconfirmed(s, stop);
    if (t != NULL) {
        step_flag(s, STR("inferred"));
        return (struct wanted){.transaction = t};
    }
    return (struct wanted){.reason = is_usable ? STR("unknown_transaction") : STR("transaction_id_unusable"),
                           .waits_for_start = true};
}

static void answer_stop(struct step *s, const struct stop_transaction_req *r)
{
    if (r->id_tag.at == NULL)
        return; /* {} */
    struct id_tag_info info;
    (void)tag_verdict(s, r->id_tag, &info);
    struct stop_transaction_conf conf = {.id_tag_info = &info};
    step_answer(s, &stop_transaction_conf_message, &conf);
}

static void quarantine_stop(struct step *s, const struct stop_transaction_req *r, struct str reason,
                            const struct stop *stop)
{
    if (step_is_content_repeat(s))
        return; /* it is kept already */
    struct str id = r->transaction_id.is_set ? arena_printf(s->arena, "%lld", (long long)r->transaction_id.value)
                                             : (struct str){NULL, 0};
    struct uuid quarantine_id = step_quarantine(
        s, &(struct quarantine){.reason = reason,
                                .transaction_id = id,
                                .suggestion = STR("apply it to the transaction that it ended, or discard it")});
    if (stop == NULL)
        return;
    struct orphan o = {
        .quarantine_id = quarantine_id, .meter_stop_wh = stop->meter_stop_wh, .timestamp = stop->timestamp};
    (void)str_copy(o.reason, sizeof o.reason, stop->reason);
    station_add_orphan(s->station, &o);
}

static enum err read_stop(const struct stop_transaction_req *r, struct stop *out)
{
    if (!r->meter_stop.is_set || !instant_is_set(r->timestamp.at))
        return ERR_MISSING;
    *out = (struct stop){.meter_stop_wh = r->meter_stop.value,
                         .timestamp = r->timestamp.at,
                         .timestamp_text = r->timestamp.text,
                         .id_tag = r->id_tag,
                         .reason = r->reason.text.at == NULL ? STR("Local") : r->reason.text};
    out->key = ocpp_stop_key(out->meter_stop_wh, out->timestamp);
    return OK;
}

/* has_frame: it is the call at hand, so that the frame goes with its last event. */
static void end_transaction(struct step *s, const struct stop_transaction_req *r, struct transaction *t,
                            const struct stop *stop, bool has_frame)
{
    if (s->call->why.reason[0] != 0)
        step_flag(s, STR("format_bent"));
    if (r->transaction_data.count > 0)
        emit_meter_values(s, &r->transaction_data, (struct integer){t->connector_id, true}, t, false);
    (void)believable_time(s, r->timestamp);
    s->is_of_frame = has_frame;
    emit_stopped(s, t, stop);
}

void on_stop_transaction(struct step *s)
{
    const struct stop_transaction_req *r = s->call->request;
    struct stop stop;
    if (read_stop(r, &stop) != OK) {
        quarantine_stop(s, r, r->meter_stop.is_set ? STR("timestamp_not_readable") : STR("meter_stop_missing"), NULL);
        answer_stop(s, r);
        return;
    }
#ifdef DEFECT_STOP_HIDDEN /* planted: a waiting stop with the same reading and time hides this one */
    if (is_dealt_with(s, &stop)) {
        s->out->is_repeat = true;
        answer_stop(s, r);
        return;
    }
#endif
    struct wanted w = find_stopped(s, r, &stop);
    if (w.is_repeat)
        s->out->is_repeat = true;
    else if (w.transaction == NULL)
        quarantine_stop(s, r, w.reason, w.waits_for_start ? &stop : NULL);
#ifdef DEFECT_STOP_TWICE /* planted: a repeated stop ends it again */
    else if (w.transaction->is_superseded || (w.transaction->state = TRANSACTION_OPEN) == TRANSACTION_OPEN)
        end_transaction(s, r, w.transaction, &stop, true);
#endif
#ifdef DEFECT_SUPERSEDED_STOP /* planted: the late stop of a superseded one is acknowledged, and that is all */
    else if (w.transaction->is_superseded)
        s->out->is_repeat = true;
#endif
    else if (w.transaction->state == TRANSACTION_OPEN || w.transaction->is_superseded)
        end_transaction(s, r, w.transaction, &stop, true);
    else if (w.transaction->stop_key == stop.key)
        s->out->is_repeat = true;
    else
        quarantine_stop(s, r, STR("stopped_differently"), NULL); /* the first one stands, this one is kept for audit */
    answer_stop(s, r);
}

/* --- by a person --- */

static struct step by_hand(const struct ocpp_input *in, const struct ocpp_call *call, struct arena *a, struct buf *text,
                           struct ocpp_decision *out)
{
    static const struct ocpp_known nothing;
    *out = (struct ocpp_decision){0};
    return (struct step){
        .in = in, .call = call, .known = &nothing, .station = in->station, .arena = a, .text = text, .out = out};
}

static void finish_by_hand(struct step *s)
{
    struct ocpp_decision *d = s->out;
    for (size_t i = 0; i < d->event_count; i++) {
        size_t end = i + 1 < d->event_count ? s->payload_at[i + 1] : s->text->len;
        d->events[i].payload = (struct str){(const char *)s->text->at + s->payload_at[i], end - s->payload_at[i]};
    }
}

static enum err read_stop_frame(struct str frame_text, struct arena *a, struct ocpp_call *call,
                                struct stop_transaction_req *r, struct stop *stop)
{
    if (ocpp_frame_read(frame_text, a, &call->frame, NULL) != OK ||
        !str_eq(call->frame.action, STR("StopTransaction")) ||
        schema_read(&stop_transaction_req_message, call->frame.payload, LENIENT, a, r, &call->why) != OK)
        return ERR_UNKNOWN;
    return read_stop(r, stop) == OK ? OK : ERR_UNKNOWN;
}

enum err ocpp_read_orphan(struct str frame_text, struct arena *a, struct orphan *out)
{
    struct ocpp_call call = {0};
    struct stop_transaction_req r;
    struct stop stop;
    if (read_stop_frame(frame_text, a, &call, &r, &stop) != OK)
        return ERR_UNKNOWN;
    out->meter_stop_wh = stop.meter_stop_wh;
    out->timestamp = stop.timestamp;
    (void)str_copy(out->reason, sizeof out->reason, stop.reason);
    out->is_set = true;
    return OK;
}

enum err ocpp_apply_stop(const struct ocpp_input *in, struct str frame_text, struct transaction *t, struct arena *a,
                         struct buf *text, struct ocpp_decision *out)
{
    struct ocpp_call call = {0};
    struct stop_transaction_req r;
    struct stop stop;
    if (read_stop_frame(frame_text, a, &call, &r, &stop) != OK)
        return ERR_UNKNOWN;
    if (t->state != TRANSACTION_OPEN && !t->is_superseded)
        return ERR_STATE;
    struct step s = by_hand(in, &call, a, text, out);
    step_flag(&s, STR("applied_by_operator"));
    end_transaction(&s, &r, t, &stop, false);
    finish_by_hand(&s);
    return OK;
}

enum err ocpp_close_transaction(const struct ocpp_input *in, struct transaction *t, int64_t register_wh,
                                struct arena *a, struct buf *text, struct ocpp_decision *out)
{
    static const struct ocpp_call no_call;
    if (t->state != TRANSACTION_OPEN)
        return ERR_STATE;
    struct step s = by_hand(in, &no_call, a, text, out);
    char now[INSTANT_TEXT_SIZE];
    instant_write(in->now, now);
    step_flag(&s, STR("closed_by_operator"));
    struct stop stop = {.meter_stop_wh = register_wh > t->meter_start_wh ? register_wh : t->meter_start_wh,
                        .timestamp = in->now,
                        .timestamp_text = str_of(now),
                        .reason = STR("Other")};
    stop.key = ocpp_stop_key(stop.meter_stop_wh, stop.timestamp);
    emit_stopped(&s, t, &stop);
    finish_by_hand(&s);
    return OK;
}
