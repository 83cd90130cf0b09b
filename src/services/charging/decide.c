/* The rows of a session's life (charging.md 2) and what each does. */
#include "services/charging/session.h"

#include <string.h>

#define TIME_LEAST  ((struct instant){1420070400000000}) /* 2015-01-01: a clock before it was never set */
#define TIME_AHEAD  SPAN_S(86400)
#define INTEGRAL_GAP SPAN_S(900) /* power is taken as steady between readings no further apart */
#define WMS_PER_WH  3600000

#define TEXT(literal) {(literal), sizeof(literal) - 1}
const struct str session_state_text[SESSION_STATE_COUNT] = {
#define STATE(name, text, is_active) TEXT(text),
#include "services/charging/session.def"
};
const struct str energy_source_text[SOURCE_COUNT] = {
#define SOURCE(name, text) TEXT(text),
#include "services/charging/session.def"
};
const struct str session_flag_text[FLAG_COUNT] = {
#define FLAG(name, text) TEXT(text),
#include "services/charging/session.def"
};

bool session_state_is_active(enum session_state s)
{
    static const bool active[SESSION_STATE_COUNT] = {
#define STATE(name, text, is_active) is_active,
#include "services/charging/session.def"
    };
    return active[s];
}

struct instant session_time(struct instant device, struct instant received, uint32_t *flags)
{
    if (!instant_is_set(device))
        return received;
    if (!instant_before(device, TIME_LEAST) && !instant_before(instant_add(received, TIME_AHEAD), device))
        return device;
    *flags |= FLAG_CLOCK_CORRECTED;
    return received;
}

int64_t session_duration_s(const struct session *s)
{
    struct instant end = instant_is_set(s->ended) ? s->ended : s->last_at;
    int64_t us = instant_since(end, s->started).us;
    return us > 0 ? us / 1000000 : 0;
}

static struct instant later(struct instant a, struct instant b)
{
    return instant_before(a, b) ? b : a;
}

static struct integer known(int64_t n)
{
    return (struct integer){n, true};
}

/* Two registers make the energy: stop or newest over start or lowest. Where they run backwards it stays as it was. */
static void count_energy(struct session *s, bool may_fall)
{
    struct integer base = s->meter_start_wh.is_set ? s->meter_start_wh : s->base_wh;
    struct integer top = s->meter_stop_wh.is_set ? s->meter_stop_wh : s->register_wh;
    if (!base.is_set || !top.is_set)
        return;
    may_fall = may_fall || s->source != SOURCE_METER;
    s->source = SOURCE_METER;
    int64_t energy_wh;
    if (__builtin_sub_overflow(top.value, base.value, &energy_wh) || energy_wh < 0)
        s->flags |= FLAG_METER_BACKWARDS;
    else if (may_fall || energy_wh > s->energy_wh)
        s->energy_wh = energy_wh;
}

/* ---- what a row does: false if there was nothing to do, since it is a repeat ---- */

/* Only the state: a time that may be ours must not stand among the device's own. */
static bool mark(struct session *s, const struct session_input *in)
{
    (void)s;
    (void)in;
    return true;
}

static bool mark_lost(struct session *s, const struct session_input *in)
{
    s->before = s->state;
    return mark(s, in);
}

static bool still_lost(struct session *s, const struct session_input *in)
{
    (void)s;
    (void)in;
    return false;
}

static bool join(struct session *s, const struct session_input *in)
{
    if ((s->flags & FLAG_START_MISSING) == 0)
        return false;
    s->flags &= ~(uint32_t)FLAG_START_MISSING;
    s->started = in->at;
    s->device_started = in->device_at;
    s->last_at = later(s->last_at, in->at);
    s->meter_start_wh = in->meter_wh;
    s->reservation_id = in->reservation_id;
    s->is_offline = in->is_offline;
    (void)str_copy(s->id_tag, sizeof s->id_tag, in->id_tag);
    (void)str_copy(s->order_no, sizeof s->order_no, in->order_no);
    if (in->connector_id.is_set)
        s->connector_id = in->connector_id.value;
    count_energy(s, true);
    return true;
}

static bool begin(struct session *s, const struct session_input *in)
{
    s->flags |= FLAG_START_MISSING; /* so far */
    s->last_at = in->at;
    return join(s, in);
}

static void integrate(struct session *s, const struct curve_point *r)
{
    if (!r->power_w.is_set || s->register_wh.is_set || r->register_wh.is_set)
        return;
    if (s->power_w.is_set && instant_is_set(s->power_at)) {
        int64_t ms = instant_since(r->at, s->power_at).us / 1000, wms = 0;
        int64_t mean_w = s->power_w.value / 2 + r->power_w.value / 2;
        if (ms * 1000 > INTEGRAL_GAP.us)
            s->flags |= FLAG_GAP;
        else if (mean_w > 0 && !__builtin_mul_overflow(mean_w, ms, &wms) &&
                 !__builtin_add_overflow(s->integral_wms, wms, &wms))
            s->integral_wms = wms;
        s->source = SOURCE_POWER_INTEGRAL;
        s->energy_wh = s->integral_wms / WMS_PER_WH;
    }
    s->power_at = r->at;
}

static void take(struct integer *to, struct integer from)
{
    if (from.is_set)
        *to = from;
}

static void note_peak(struct session *s, const struct curve_point *r)
{
    if (r->power_w.is_set && (!s->max_power_w.is_set || r->power_w.value > s->max_power_w.value))
        s->max_power_w = r->power_w;
}

static bool read_point(struct session *s, const struct session_input *in)
{
    const struct curve_point *r = &in->point;
    s->reading_count++;
    note_peak(s, r);
    if ((s->flags & FLAG_START_MISSING) != 0 && instant_before(r->at, s->started))
        s->started = r->at;
    if (r->register_wh.is_set && (!s->base_wh.is_set || r->register_wh.value < s->base_wh.value) &&
        !s->meter_start_wh.is_set)
        s->base_wh = r->register_wh;
    if (!instant_is_set(s->read_at) || !instant_before(r->at, s->read_at)) {
        integrate(s, r);
        if (r->register_wh.is_set && s->register_wh.is_set && r->register_wh.value < s->register_wh.value)
            s->flags |= FLAG_METER_BACKWARDS;
        take(&s->power_w, r->power_w);
        take(&s->register_wh, r->register_wh);
        take(&s->voltage_m, r->voltage_m);
        take(&s->current_m, r->current_m);
        take(&s->temperature_m, r->temperature_m);
        s->read_at = r->at;
        s->last_at = later(s->last_at, r->at);
    }
    count_energy(s, false);
    return true;
}

static bool begin_by_reading(struct session *s, const struct session_input *in)
{
    s->flags |= FLAG_START_MISSING;
    s->started = s->last_at = in->at;
    if (in->connector_id.is_set)
        s->connector_id = in->connector_id.value;
    return read_point(s, in);
}

/* After the end: its place in the curve, and the peak; what was settled stays. */
static bool read_late(struct session *s, const struct session_input *in)
{
    s->reading_count++;
    if (!instant_before(in->point.at, s->started) && !instant_before(s->ended, in->point.at))
        note_peak(s, &in->point);
    return true;
}

static void end_at(struct session *s, struct instant at, struct str reason)
{
    s->ended = at;
    (void)str_copy(s->stop_reason, sizeof s->stop_reason, reason);
    if (s->power_w.is_set)
        s->power_w = known(0);
    if (s->current_m.is_set)
        s->current_m = known(0);
}

static bool stop(struct session *s, const struct session_input *in)
{
    s->flags &= ~(uint32_t)FLAG_END_UNKNOWN;
    struct instant end = in->at;
    if (instant_before(end, s->started)) {
        s->flags |= FLAG_CLOCK_CORRECTED;
        end = later(s->started, s->last_at);
    }
    s->device_ended = in->device_at;
    s->last_at = later(s->last_at, end);
    if (!s->meter_start_wh.is_set)
        s->meter_start_wh = in->meter_start_wh;
    s->meter_stop_wh = in->meter_wh;
    if (s->connector_id == 0 && in->connector_id.is_set)
        s->connector_id = in->connector_id.value;
    (void)str_copy(s->stop_id_tag, sizeof s->stop_id_tag, in->id_tag);
    end_at(s, end, in->reason);
    (void)str_copy(s->stop_code, sizeof s->stop_code, in->stop_code);
    take(&s->tier_power_w, in->tier_power_w);
    take(&s->idle_s, in->idle_s);
    if (in->max_power_w.is_set && (!s->max_power_w.is_set || in->max_power_w.value > s->max_power_w.value))
        s->max_power_w = in->max_power_w;
    count_energy(s, true);
    if (in->is_settlement)
        s->source = SOURCE_SETTLEMENT;
    if (s->source != SOURCE_METER && in->energy_wh.is_set && in->energy_wh.value >= 0) {
        s->source = SOURCE_SETTLEMENT;
        s->energy_wh = in->energy_wh.value;
    }
    return true;
}

static bool begin_by_stop(struct session *s, const struct session_input *in)
{
    s->flags |= FLAG_START_MISSING;
    s->started = s->last_at = in->at;
    return stop(s, in);
}

/* A stop after the end: the real one, where the end was a guess; else a repeat, and the first one stands. */
static bool stop_again(struct session *s, const struct session_input *in)
{
    return ((s->flags & FLAG_END_UNKNOWN) != 0 || in->is_override) && stop(s, in);
}

static bool supersede(struct session *s, const struct session_input *in)
{
    (void)in;
    s->flags |= FLAG_END_UNKNOWN;
    end_at(s, s->last_at, STR("superseded"));
    return true;
}

static bool expire(struct session *s, const struct session_input *in)
{
    (void)in;
    s->flags |= FLAG_END_UNKNOWN;
    end_at(s, s->last_at, STR("timed_out"));
    return true;
}

static bool order(struct session *s, const struct session_input *in)
{
    s->flags |= FLAG_START_MISSING; /* so far */
    s->started = s->last_at = in->at;
    if (in->connector_id.is_set)
        s->connector_id = in->connector_id.value;
    (void)str_copy(s->id_tag, sizeof s->id_tag, in->id_tag);
    (void)str_copy(s->order_no, sizeof s->order_no, in->order_no);
    return true;
}

static bool fail(struct session *s, const struct session_input *in)
{
    end_at(s, in->at, in->reason.at == NULL ? STR("start_not_seen") : in->reason);
    return true;
}

static bool revive(struct session *s, const struct session_input *in)
{
    s->ended = INSTANT_NONE;
    s->stop_reason[0] = '\0';
    return in->kind == SESSION_IN_READING ? read_point(s, in) : join(s, in);
}

/* ---- the rows ---- */

struct row {
    enum session_state from;
    enum session_input_kind input;
    enum session_state to;
    bool (*effect)(struct session *s, const struct session_input *in);
    enum session_emit emit; /* if it was no repeat */
};
#define ROW(from, input, to, effect, emit) {SESSION_##from, SESSION_IN_##input, SESSION_##to, effect, EMIT_##emit},
static const struct row rows[] = {
    ROW(NONE,        ORDER,     PENDING,     order,            NOTHING)
    ROW(NONE,        STARTED,   CHARGING,    begin,            STARTED)
    ROW(NONE,        READING,   CHARGING,    begin_by_reading, STARTED)
    ROW(NONE,        STOPPED,   COMPLETED,   begin_by_stop,    ENDED)
    ROW(PENDING,     ACCEPT,    STARTING,    mark,             NOTHING)
    ROW(PENDING,     REFUSE,    FAILED,      fail,             START_FAILED)
    ROW(PENDING,     EXPIRE,    FAILED,      fail,             START_FAILED)
    ROW(PENDING,     STARTED,   CHARGING,    join,             STARTED)
    ROW(PENDING,     READING,   CHARGING,    read_point,       STARTED)
    ROW(PENDING,     STOPPED,   COMPLETED,   stop,             ENDED)
    ROW(STARTING,    REFUSE,    FAILED,      fail,             START_FAILED)
    ROW(STARTING,    EXPIRE,    FAILED,      fail,             START_FAILED)
    ROW(STARTING,    STARTED,   CHARGING,    join,             STARTED)
    ROW(STARTING,    READING,   CHARGING,    read_point,       STARTED)
    ROW(STARTING,    STOPPED,   COMPLETED,   stop,             ENDED)
    ROW(CHARGING,    STARTED,   CHARGING,    join,             NOTHING)
    ROW(CHARGING,    READING,   CHARGING,    read_point,       NOTHING)
    ROW(CHARGING,    SUSPEND,   SUSPENDED,   mark,             NOTHING)
    ROW(CHARGING,    RESUME,    CHARGING,    mark,             NOTHING)
    ROW(CHARGING,    FINISH,    FINISHING,   mark,             NOTHING)
    ROW(CHARGING,    STOPPED,   COMPLETED,   stop,             ENDED)
    ROW(CHARGING,    SUPERSEDE, COMPLETED,   supersede,        ENDED)
    ROW(CHARGING,    LOST,      INTERRUPTED, mark_lost,        NOTHING)
    ROW(CHARGING,    EXPIRE,    TIMED_OUT,   expire,           ENDED)
    ROW(SUSPENDED,   STARTED,   SUSPENDED,   join,             NOTHING)
    ROW(SUSPENDED,   READING,   SUSPENDED,   read_point,       NOTHING)
    ROW(SUSPENDED,   SUSPEND,   SUSPENDED,   mark,             NOTHING)
    ROW(SUSPENDED,   RESUME,    CHARGING,    mark,             NOTHING)
    ROW(SUSPENDED,   FINISH,    FINISHING,   mark,             NOTHING)
    ROW(SUSPENDED,   STOPPED,   COMPLETED,   stop,             ENDED)
    ROW(SUSPENDED,   SUPERSEDE, COMPLETED,   supersede,        ENDED)
    ROW(SUSPENDED,   LOST,      INTERRUPTED, mark_lost,        NOTHING)
    ROW(SUSPENDED,   EXPIRE,    TIMED_OUT,   expire,           ENDED)
    ROW(FINISHING,   STARTED,   FINISHING,   join,             NOTHING)
    ROW(FINISHING,   READING,   FINISHING,   read_point,       NOTHING)
    ROW(FINISHING,   FINISH,    FINISHING,   mark,             NOTHING)
    ROW(FINISHING,   STOPPED,   COMPLETED,   stop,             ENDED)
    ROW(FINISHING,   SUPERSEDE, COMPLETED,   supersede,        ENDED)
    ROW(FINISHING,   LOST,      INTERRUPTED, mark_lost,        NOTHING)
    ROW(FINISHING,   EXPIRE,    TIMED_OUT,   expire,           ENDED)
    ROW(INTERRUPTED, STARTED,   BEFORE,      join,             NOTHING)
    ROW(INTERRUPTED, READING,   BEFORE,      read_point,       NOTHING)
    ROW(INTERRUPTED, SUSPEND,   SUSPENDED,   mark,             NOTHING)
    ROW(INTERRUPTED, RESUME,    CHARGING,    mark,             NOTHING)
    ROW(INTERRUPTED, FINISH,    FINISHING,   mark,             NOTHING)
    ROW(INTERRUPTED, STOPPED,   COMPLETED,   stop,             ENDED)
    ROW(INTERRUPTED, SUPERSEDE, COMPLETED,   supersede,        ENDED)
    ROW(INTERRUPTED, LOST,      INTERRUPTED, still_lost,       NOTHING)
    ROW(INTERRUPTED, EXPIRE,    TIMED_OUT,   expire,           ENDED)
    ROW(COMPLETED,   STARTED,   COMPLETED,   join,             CORRECTED)
    ROW(COMPLETED,   READING,   COMPLETED,   read_late,        NOTHING)
    ROW(COMPLETED,   STOPPED,   COMPLETED,   stop_again,       CORRECTED)
    ROW(TIMED_OUT,   STARTED,   TIMED_OUT,   join,             CORRECTED)
    ROW(TIMED_OUT,   READING,   TIMED_OUT,   read_late,        NOTHING)
    ROW(TIMED_OUT,   STOPPED,   COMPLETED,   stop,             CORRECTED)
    ROW(FAILED,      STARTED,   CHARGING,    revive,           STARTED)
    ROW(FAILED,      READING,   CHARGING,    revive,           STARTED)
    ROW(FAILED,      STOPPED,   COMPLETED,   stop,             ENDED)
};

static void set_state(struct session *s, const struct row *row)
{
    enum session_state to = row->to == SESSION_BEFORE ? s->before : row->to;
    s->state = to;
    if (to != SESSION_INTERRUPTED)
        s->before = to;
}

enum err session_decide(struct session *s, const struct session_input *in, struct session_outcome *out)
{
    const struct row *row = NULL;
    for (size_t i = 0; i < COUNT_OF(rows) && row == NULL; i++)
        if (rows[i].from == s->state && rows[i].input == in->kind)
            row = &rows[i];
    if (row == NULL)
        return ERR_STATE;
    *out = (struct session_outcome){EMIT_NOTHING, row->effect(s, in)};
    /* Word of an interrupted session brings it back, even if the word is a repeat. */
    if (s->state == SESSION_INTERRUPTED && row->to != SESSION_INTERRUPTED)
        out->is_changed = true;
    if (!out->is_changed)
        return OK;
    out->emit = row->emit;
    set_state(s, row);
    s->flags |= in->flags;
    if (in->kind != SESSION_IN_EXPIRE)
        s->last_update = later(s->last_update, in->received);
    return OK;
}
