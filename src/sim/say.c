/* sim/say.c - what a station says: each call as a struct of the message tables, and what its answer changes. */
#include "sim/station_private.h"
#include <stdio.h>
#include <string.h>

#define SAMPLES_MAX 16 /* MEASURE_COUNT, current and voltage on three phases */

static const struct str vendors[] = {{"Chargeline", 10}, {"Northwind", 9}, {"Voltaro", 7}};
static const struct str models_ac[] = {{"Post 22", 7}, {"Wallbox 11", 10}};
static const struct str models_dc[] = {{"Tower 150", 9}};

/* value / 10^digits as text */
static struct str decimal_text(struct step *t, int64_t value, int digits)
{
    char text[JSON_NUMBER_MAX];
    struct buf b = {.at = (uint8_t *)text, .room = sizeof text, .max = sizeof text};
    buf_put_decimal(&b, value, digits);
    return arena_copy(&t->w->arena, buf_str(&b));
}

static void write_boot(struct step *t, struct sim_connector *c, struct buf *out)
{
    (void)c;
    const struct sim_station *s = t->s;
    struct boot_notification_req m = {
        .charge_point_vendor = vendors[s->index % COUNT_OF(vendors)],
        .charge_point_model =
            s->is_dc ? models_dc[s->index % COUNT_OF(models_dc)] : models_ac[s->index % COUNT_OF(models_ac)],
        .charge_point_serial_number = arena_printf(&t->w->arena, "CL%06u", (unsigned)s->index + 1),
        .firmware_version = STR("1.4.2"),
        .meter_type = STR("CL-M3"),
    };
    if (has_quirk(t, QUIRK_long_serial)) /* 33 characters; the standard has 25 */
        m.charge_box_serial_number = arena_printf(&t->w->arena, "CL-BOX-%026u", (unsigned)s->index + 1);
    schema_write(&boot_notification_req_message, &m, out);
}

static void write_heartbeat(struct step *t, struct sim_connector *c, struct buf *out)
{
    (void)t;
    (void)c;
    schema_write(&heartbeat_req_message, &(struct heartbeat_req){0}, out);
}

static void write_status(struct step *t, struct sim_connector *c, struct buf *out)
{
    int status = c == NULL ? OCPP_CHARGE_POINT_STATUS_AVAILABLE : sim_phase_status((enum sim_phase)c->phase);
    struct status_notification_req m = {
        .connector_id = integer_of(c == NULL ? 0 : c->number),
        .error_code = choice_word(&charge_point_error_code_choices, OCPP_CHARGE_POINT_ERROR_CODE_NO_ERROR),
        .status = choice_word(&charge_point_status_choices, status),
        .timestamp = stamp_of(&t->w->arena, station_clock(t)),
    };
    schema_write(&status_notification_req_message, &m, out);
}

static void write_authorize(struct step *t, struct sim_connector *c, struct buf *out)
{
    (void)t;
    schema_write(&authorize_req_message, &(struct authorize_req){.id_tag = str_of(c->id_tag)}, out);
}

struct samples {
    struct sampled_value at[SAMPLES_MAX];
    size_t count;
    int context;
};

static struct sampled_value *add(struct samples *s, struct str value, int measurand, int unit)
{
    check(s->count < SAMPLES_MAX);
    struct sampled_value *v = &s->at[s->count++];
    *v = (struct sampled_value){.value = value,
                                .context = choice_word(&reading_context_choices, s->context),
                                .measurand = choice_word(&measurand_choices, measurand),
                                .unit = choice_word(&unit_of_measure_choices, unit)};
    return v;
}

static void add_phases(struct step *t, struct samples *s, const struct meter_reading *r, enum sim_measurand m)
{
    for (int i = 0; i < r->phases; i++) {
        struct sampled_value *v =
            m == MEASURE_CURRENT
                ? add(s, decimal_text(t, r->current_ca, 2), OCPP_MEASURAND_CURRENT_IMPORT, OCPP_UNIT_OF_MEASURE_A)
                : add(s, decimal_text(t, r->voltage_dv, 1), OCPP_MEASURAND_VOLTAGE, OCPP_UNIT_OF_MEASURE_V);
        if (r->phases > 1 || !t->s->is_dc)
            v->phase = choice_word(&phase_choices, m == MEASURE_CURRENT ? OCPP_PHASE_L1 + i : OCPP_PHASE_L1_N + i);
    }
}

/* The measurands of MeterValuesSampledData, in their order. */
static void add_all(struct step *t, struct samples *s, const struct meter_reading *r, int32_t offered_w)
{
    const struct settings *set = &t->s->settings;
    if (settings_has(set, SET_sampled_measured, MEASURE_ENERGY)) {
        struct sampled_value *v = add(s, decimal_text(t, r->energy_wh, 0), OCPP_MEASURAND_ENERGY_ACTIVE_IMPORT_REGISTER,
                                      OCPP_UNIT_OF_MEASURE_WH);
        if (has_quirk(t, QUIRK_odd_measurand))
            v->measurand.text = STR("Request.Energy");
    }
    if (settings_has(set, SET_sampled_measured, MEASURE_POWER))
        (void)add(s, decimal_text(t, r->power_w, 0), OCPP_MEASURAND_POWER_ACTIVE_IMPORT, OCPP_UNIT_OF_MEASURE_W);
    if (settings_has(set, SET_sampled_measured, MEASURE_OFFERED))
        (void)add(s, decimal_text(t, offered_w, 0), OCPP_MEASURAND_POWER_OFFERED, OCPP_UNIT_OF_MEASURE_W);
    if (settings_has(set, SET_sampled_measured, MEASURE_CURRENT))
        add_phases(t, s, r, MEASURE_CURRENT);
    if (settings_has(set, SET_sampled_measured, MEASURE_VOLTAGE))
        add_phases(t, s, r, MEASURE_VOLTAGE);
    if (settings_has(set, SET_sampled_measured, MEASURE_SOC))
        add(s, decimal_text(t, r->soc_percent, 0), OCPP_MEASURAND_SOC, OCPP_UNIT_OF_MEASURE_PERCENT)->location =
            choice_word(&location_choices, OCPP_LOCATION_EV);
    if (settings_has(set, SET_sampled_measured, MEASURE_TEMPERATURE))
        add(s, decimal_text(t, r->temperature_dc, 1), OCPP_MEASURAND_TEMPERATURE, OCPP_UNIT_OF_MEASURE_CELSIUS)
            ->location = choice_word(&location_choices, OCPP_LOCATION_BODY);
}

static void write_samples(struct step *t, struct samples *s, struct instant at, struct meter_values_req *m,
                          struct buf *out)
{
    struct meter_value value = {.timestamp = stamp_of(&t->w->arena, at), .sampled_value = {s->at, s->count}};
    m->meter_value = (struct meter_value_list){&value, 1};
    schema_write(&meter_values_req_message, m, out);
}

static int32_t id_to_say(struct step *t, int32_t id)
{
    return id == 0 || has_quirk(t, QUIRK_minus_one) ? -1 : id;
}

static void write_meter(struct step *t, struct sim_connector *c, struct buf *out)
{
    (void)c;
    const struct tx_message *q = tx_queue_first(&t->s->queue);
    struct samples s = {.context = OCPP_READING_CONTEXT_SAMPLE_PERIODIC};
    add_all(t, &s, &q->reading, q->offered_w);
    write_samples(t, &s, q->at,
                  &(struct meter_values_req){.connector_id = integer_of(q->connector),
                                             .transaction_id = integer_of(id_to_say(t, q->transaction_id))},
                  out);
}

static void write_meter_now(struct step *t, struct sim_connector *c, struct buf *out)
{
    struct samples s = {.context = OCPP_READING_CONTEXT_TRIGGER};
    struct meter_reading r = connector_reading(c);
    struct meter_values_req m = {.connector_id = integer_of(c->number)};
    if (connector_is_busy(c))
        m.transaction_id = integer_of(id_to_say(t, c->transaction_id));
    add_all(t, &s, &r, c->charge.vehicle == NULL ? 0 : charge_limit_w(&c->charge));
    write_samples(t, &s, station_clock(t), &m, out);
}

static void write_start(struct step *t, struct sim_connector *c, struct buf *out)
{
    (void)c;
    const struct tx_message *q = tx_queue_first(&t->s->queue);
    struct start_transaction_req m = {.connector_id = integer_of(q->connector),
                                      .id_tag = str_of(q->id_tag),
                                      .meter_start = integer_of(q->reading.energy_wh),
                                      .timestamp = stamp_of(&t->w->arena, q->at)};
    schema_write(&start_transaction_req_message, &m, out);
}

static void write_stop(struct step *t, struct sim_connector *c, struct buf *out)
{
    (void)c;
    const struct tx_message *q = tx_queue_first(&t->s->queue);
    struct stop_transaction_req m = {.meter_stop = integer_of(q->reading.energy_wh),
                                     .timestamp = stamp_of(&t->w->arena, q->at),
                                     .transaction_id = integer_of(id_to_say(t, q->transaction_id)),
                                     .reason = choice_word(&reason_choices, q->reason)};
    if (q->reason == OCPP_REASON_LOCAL) /* by card; else the station stopped it */
        m.id_tag = str_of(q->id_tag);
    schema_write(&stop_transaction_req_message, &m, out);
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

static void on_boot(struct step *t, struct sim_connector *c, const void *answer)
{
    (void)c;
    static const uint8_t registrations[] = {[OCPP_REGISTRATION_STATUS_ACCEPTED] = SIM_REGISTERED,
                                            [OCPP_REGISTRATION_STATUS_PENDING] = SIM_PENDING,
                                            [OCPP_REGISTRATION_STATUS_REJECTED] = SIM_REJECTED};
    const struct boot_notification_conf *m = answer;
    struct sim_station *s = t->s;
    int64_t interval_s = m->interval.is_set ? m->interval.value : 0;
    s->registration = m->status.index < 0 ? SIM_REJECTED : registrations[m->status.index];
    station_set_clock(t, m->current_time.at);
    if (s->registration != SIM_REGISTERED) {
        if (interval_s == 0)
            interval_s = BOOT_RETRY_S; /* 0: the station picks its own */
        sim_station_boot(t, interval_s * 1000);
        tell(t, &(struct sim_event){SIM_BOOT_REFUSED, 0, m->status.text, interval_s, 0});
        return;
    }
    if (interval_s > 0)
        s->settings.of[SET_heartbeat_s] = (int32_t)interval_s;
    s->was_registered = true;
    tell(t, &(struct sim_event){SIM_BOOTED, 0, {NULL, 0}, s->settings.of[SET_heartbeat_s], 0});
    station_want_all(t);
    for (size_t i = 0; i < s->connector_count; i++)
        connector_rouse(t, &s->connectors[i]);
    if (has_quirk(t, QUIRK_boot_loop))
        sim_station_boot(t, BOOT_LOOP_MS);
}

static void on_heartbeat(struct step *t, struct sim_connector *c, const void *answer)
{
    (void)c;
    station_set_clock(t, ((const struct heartbeat_conf *)answer)->current_time.at);
}

static bool is_accepted(const struct id_tag_info *i)
{
    return i != NULL && i->status.index == OCPP_AUTHORIZATION_STATUS_ACCEPTED;
}

static struct str verdict(const struct id_tag_info *i)
{
    return i == NULL || i->status.text.at == NULL ? STR("no verdict") : i->status.text;
}

static void on_authorize(struct step *t, struct sim_connector *c, const void *answer)
{
    const struct authorize_conf *m = answer;
    bool is_good = is_accepted(m->id_tag_info);
    if (!connector_apply(t, c, is_good ? SIM_ACCEPTED : SIM_DENIED))
        return; /* its driver has gone meanwhile */
    if (!is_good)
        tell(t, &(struct sim_event){SIM_CARD_REFUSED, c->number, verdict(m->id_tag_info), 0, 0});
}

static void on_start(struct step *t, struct sim_connector *c, const void *answer)
{
    (void)c;
    const struct start_transaction_conf *m = answer;
    uint32_t session = tx_queue_first(&t->s->queue)->session;
    bool is_good = is_accepted(m->id_tag_info);
    struct sim_connector *own = connector_of_session(t->s, session);
    tx_queue_set_id(&t->s->queue, session, (int32_t)m->transaction_id.value);
    if (own == NULL)
        return; /* ended before its start was answered */
    own->transaction_id = (int32_t)m->transaction_id.value;
    tell(t, &(struct sim_event){is_good ? SIM_STARTED : SIM_START_REFUSED, own->number, verdict(m->id_tag_info),
                                own->transaction_id, 0});
    if (!is_good && t->s->settings.of[SET_stop_on_invalid] != 0)
        connector_stop(t, own, OCPP_REASON_DEAUTHORIZED);
}

static const struct {
    enum ocpp_action_index action;
    void (*write)(struct step *t, struct sim_connector *c, struct buf *out);
    void (*on_answer)(struct step *t, struct sim_connector *c, const void *answer); /* may be NULL */
} calls[SAY_COUNT] = {
    [SAY_BOOT] = {ACTION_boot_notification, write_boot, on_boot},
    [SAY_HEARTBEAT] = {ACTION_heartbeat, write_heartbeat, on_heartbeat},
    [SAY_STATUS] = {ACTION_status_notification, write_status, NULL},
    [SAY_AUTHORIZE] = {ACTION_authorize, write_authorize, on_authorize},
    [SAY_START] = {ACTION_start_transaction, write_start, on_start},
    [SAY_METER] = {ACTION_meter_values, write_meter, NULL},
    [SAY_STOP] = {ACTION_stop_transaction, write_stop, NULL},
    [SAY_METER_NOW] = {ACTION_meter_values, write_meter_now, NULL},
};

struct str say_name(enum sim_say kind)
{
    return ocpp_actions[calls[kind].action].name;
}

void say(struct step *t, enum sim_say kind, struct sim_connector *c)
{
    struct sim_world *w = t->w;
    struct str id = arena_printf(&w->arena, "%x-%x", (unsigned)w->run, (unsigned)t->s->call.id);
    buf_clear(&w->payload);
    buf_clear(&w->frame);
    calls[kind].write(t, c, &w->payload);
    ocpp_write_call(&w->frame, id, say_name(kind), buf_str(&w->payload));
    check(!w->frame.failed && !w->payload.failed);
    w->send(t->s, buf_str(&w->frame));
    w->totals.calls++;
    bool is_transaction = kind == SAY_START || kind == SAY_METER || kind == SAY_STOP;
    if (is_transaction && has_quirk(t, QUIRK_repeat_id))
        w->send(t->s, buf_str(&w->frame));
    if (is_transaction && has_quirk(t, QUIRK_repeat)) { /* its answer is nobody's, and passed over */
        buf_clear(&w->frame);
        ocpp_write_call(&w->frame, arena_printf(&w->arena, "%.*s-again", STR_ARG(id)), say_name(kind),
                        buf_str(&w->payload));
        w->send(t->s, buf_str(&w->frame));
    }
}

void say_garbage(struct step *t)
{
    static const struct str frames[] = {
        {"", 0}, {"[1,\"x\",{}]", 10}, {"{\"not\":\"OCPP\"}", 14}, {"[2,\"x\"", 6}, {"[3,\"nobody asked\",{}]", 21},
    };
    t->w->send(t->s, frames[random_below(t->s, COUNT_OF(frames))]);
}

bool say_on_answer(struct step *t, const struct sim_call *call, struct str payload)
{
    const struct message *m = ocpp_actions[calls[call->kind].action].response;
    if (calls[call->kind].on_answer == NULL)
        return true;
    void *answer = arena_take(&t->w->arena, m->size);
    if (answer == NULL || schema_read(m, payload, LENIENT, &t->w->arena, answer, NULL) != OK)
        return false;
    struct sim_connector *c = call->connector == 0 ? NULL : &t->s->connectors[call->connector - 1];
    calls[call->kind].on_answer(t, c, answer);
    return true;
}
