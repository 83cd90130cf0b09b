/* proto/ocpp16/on_meter.c - MeterValues (ocpp16.md 5.5): always answered {}; attributed by transaction id, or where
 * that is unusable by connector and time (field-lessons.md 7); kept with the device's own values and units. */
#include "proto/ocpp16/handlers.h"

/* A sample is many times as long in its event as in its frame: past this the rest is in the frame alone, and a flag
 * says so. */
#define SAMPLES_SIZE_MAX ((size_t)4 << 20)
#define SAMPLES_MAX \
    ((OCPP_EVENTS_MAX - 2) * SCHEMA_ITEMS_MAX) /* a long session's are more than one event's reader takes */
#define SAMPLE_SIZE   192                      /* of a sample's own words, about */
#define TIME_TEXT_MAX 64 /* a fraction may have any number of digits, and the time stands with each sample */

/* Defaults of an absent part: ocpp16.md 3.1. */
static struct str or_default(struct str s, struct str preset)
{
    return s.at != NULL && s.len > 0 ? s : preset;
}

static struct str default_unit(struct str measurand)
{
    static const struct {
        struct str prefix, unit;
    } rows[] = {
        {{"Energy.Reactive", 15}, {"varh", 4}},
        {{"Energy.", 7}, {"Wh", 2}},
        {{"Power.Reactive", 14}, {"var", 3}},
        {{"Power.Factor", 12}, {NULL, 0}},
        {{"Power.", 6}, {"W", 1}},
        {{"Current.", 8}, {"A", 1}},
        {{"Voltage", 7}, {"V", 1}},
        {{"Temperature", 11}, {"Celsius", 7}},
        {{"SoC", 3}, {"Percent", 7}},
        {{"Frequency", 9}, {"Hertz", 5}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (str_starts(measurand, rows[i].prefix))
            return rows[i].unit;
    return (struct str){NULL, 0};
}

static struct ev_sampled_value sampled(const struct sampled_value *v)
{
    struct str measurand = or_default(v->measurand.text, STR("Energy.Active.Import.Register"));
    return (struct ev_sampled_value){
        .value = v->value.at == NULL ? STR("") : v->value,
        .measurand = measurand,
        .unit = v->unit.text.len > 0 ? v->unit.text : default_unit(measurand),
        .phase = v->phase.text,
        .context = v->context.text,
        .location = v->location.text,
        .format = v->format.text,
    };
}

/* As the station wrote it, where that can be read again; a text that is no time stands once in the frame. */
static struct stamp sample_time(struct step *s, struct stamp t, bool *is_of_frame)
{
    if (instant_is_set(t.at) && t.text.len <= TIME_TEXT_MAX)
        return t;
    *is_of_frame = false;
    if (instant_is_set(t.at))
        return stamp_of(s->arena, t.at);
    step_flag(s, STR("clock_corrected"));
    return stamp_of(s->arena, s->in->now);
}

/* Samples of the list one by one; those past the limit are left out. *is_of_frame: all of them are there, and nothing that
 * they say is of another place than the frame or the tables here. */
static struct ev_sample_list flatten(struct step *s, const struct meter_value_list *values, bool *is_of_frame)
{
    static struct ev_sample none;
    size_t count = 0, size = 0;
    for (size_t i = 0; i < values->count; i++)
        count += values->at[i].sampled_value.count;
    struct ev_sample_list list = {arena_take(s->arena, (count + 1) * sizeof *list.at), 0};
    struct ev_sampled_value *said = arena_take(s->arena, (count < SAMPLES_MAX ? count : SAMPLES_MAX) * sizeof *said);
    for (size_t i = 0; list.at != NULL && said != NULL && i < values->count; i++) {
        const struct meter_value *m = &values->at[i];
        struct stamp taken = sample_time(s, m->timestamp, is_of_frame);
        for (size_t k = 0; taken.text.at != NULL && k < m->sampled_value.count; k++) {
            size += SAMPLE_SIZE + m->sampled_value.at[k].value.len;
            if (size > SAMPLES_SIZE_MAX || list.count == SAMPLES_MAX)
                continue;
            *said = sampled(&m->sampled_value.at[k]);
            list.at[list.count++] = (struct ev_sample){taken, said++};
        }
    }
    *is_of_frame = *is_of_frame && list.count == count;
    if (list.count < count)
        step_flag(s, STR("values_in_frame_only"));
    return list.at != NULL ? list : (struct ev_sample_list){&none, 0};
}

/* Where the readings lie in the frame, which is all that their list says, follows from the frame's shape and lengths: so it
 * was packed before, most likely. */
static bool recall_list(struct step *s, struct packed_list *list)
{
    return step_is_packable(s) && shapes_recall(s->in->shapes, s->call->reading,
                                                (uint64_t)(s->call->frame.payload.at - s->in->text.at), list);
}

static void keep_list(struct step *s, const struct packed_list *list)
{
    shapes_keep(s->in->shapes, s->call->reading, (uint64_t)(s->call->frame.payload.at - s->in->text.at), list);
}

/* The last event, whose list is known or becomes so. */
static void emit_with_frame(struct step *s, enum event_type type, struct instant at, struct ev_meter_values *payload,
                            struct packed_list *list)
{
    list->of = payload->meter_values.at;
    s->list = list;
    s->is_of_frame = true;
    step_event(s, type, at, payload);
    s->list = NULL;
}

void emit_meter_values(struct step *s, const struct meter_value_list *values, struct integer connector_id,
                       struct transaction *t, bool is_last)
{
    static struct ev_sample known;
    const enum event_type type = t == NULL ? EVENT_METER_VALUES : EVENT_TRANSACTION_METER;
    struct instant first = INSTANT_NONE;
    struct packed_list list = {0};
    const bool is_known = is_last && recall_list(s, &list);
    bool is_of_frame = !is_known;
    struct ev_sample_list all = is_known ? (struct ev_sample_list){&known, 1} : flatten(s, values, &is_of_frame);
    struct ev_meter_values payload = {.connector_id = connector_id, .flags = step_flags(s)};
    for (size_t i = 0; i < values->count && !instant_is_set(first); i++)
        first = values->at[i].timestamp.at;
    if (t != NULL)
        payload.transaction_id = transaction_text(s, t->id);
    size_t at = 0;
    do {
        payload.meter_values =
            (struct ev_sample_list){all.at + at, all.count - at < SCHEMA_ITEMS_MAX ? all.count - at : SCHEMA_ITEMS_MAX};
        struct instant taken = at == 0 ? first : all.at[at].timestamp.at;
        at += payload.meter_values.count;
        if (is_last && at == all.count)
            emit_with_frame(s, type, taken, &payload, &list);
        else
            step_event(s, type, taken, &payload);
    } while (at < all.count);
    if (is_last && is_of_frame && all.count <= SCHEMA_ITEMS_MAX && step_is_packable(s))
        keep_list(s, &list);
}

/* The one open transaction of that connector, if it was open when the sample was taken. */
static struct transaction *open_at(struct step *s, struct integer connector_id, struct instant at)
{
    struct transaction *t =
        connector_id.is_set && connector_id.value > 0 ? station_open_on(s->station, connector_id.value) : NULL;
    return t != NULL && (!instant_is_set(at) || !instant_before(at, t->device_started)) ? t : NULL;
}

static bool is_empty(const struct meter_value_list *values)
{
    for (size_t i = 0; i < values->count; i++)
        if (values->at[i].sampled_value.count > 0)
            return false;
    return true;
}

static struct transaction *attribute(struct step *s, const struct meter_values_req *r, bool *is_foreign)
{
    *is_foreign = false;
    if (r->connector_id.is_set && r->connector_id.value == 0)
        return NULL; /* the main meter has no transaction: ignore one that is named */
    if (r->transaction_id.is_set && r->transaction_id.value > 0) {
        struct transaction *t = station_transaction(s->station, (uint32_t)r->transaction_id.value);
        if (t != NULL) {
            t->is_confirmed = true;
            if (t->state == TRANSACTION_CLOSED)
                step_flag(s, STR("after_stop"));
            return t;
        }
        t = recall_transaction(s);
        if (t != NULL) {
            step_flag(s, STR("after_stop"));
            return t;
        }
        *is_foreign = s->known->is_of_other_station;
        step_flag(s, *is_foreign ? STR("foreign_transaction") : STR("unknown_transaction"));
        if (*is_foreign)
            return NULL;
    }
    struct transaction *t = open_at(s, r->connector_id, r->meter_value.at[0].timestamp.at);
    if (t != NULL)
        step_flag(s, STR("inferred"));
    return t;
}

void on_meter_values(struct step *s)
{
    const struct meter_values_req *r = s->call->request;
    if (step_is_content_repeat(s))
        return;
    if (is_empty(&r->meter_value)) {
        (void)step_quarantine(s, &(struct quarantine){.reason = STR("no_values"), .connector_id = r->connector_id});
        return;
    }
    if (s->call->why.reason[0] != 0)
        step_flag(s, STR("format_bent"));
    bool is_foreign;
    struct transaction *t = attribute(s, r, &is_foreign);
    bool is_usable = r->connector_id.is_set && r->connector_id.value >= 0;
    if (t == NULL && !is_usable) {
        struct str reason = r->connector_id.is_set ? STR("connector_not_usable") : STR("connector_missing");
        (void)step_quarantine(s, &(struct quarantine){.reason = is_foreign ? STR("foreign_transaction") : reason,
                                                      .connector_id = r->connector_id});
        return;
    }
    struct integer connector_id = is_usable || t == NULL ? r->connector_id : (struct integer){t->connector_id, true};
    if (t != NULL && transaction_apply(t, TRANSACTION_METER) != OK)
        t = NULL;
    if (connector_id.value > 0)
        (void)station_connector(s->station, connector_id.value);
    emit_meter_values(s, &r->meter_value, connector_id, t, true);
}
