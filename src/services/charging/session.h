/* services/charging/session.h - the life of one charging session: pure, (session, input) -> (session, outcome).
 *
 * Events come repeated, late and out of order: a repeat changes nothing, a reading finds its place by its device time,
 * what comes before the start opens the session and the start joins it later. Energy is the difference of two stored
 * registers, never a sum. */
#ifndef SERVICES_CHARGING_SESSION_H
#define SERVICES_CHARGING_SESSION_H
#include "base/id.h"
#include "schema/schema.h"

enum session_state {
#define STATE(name, text, is_active) SESSION_##name,
#include "services/charging/session.def"
    SESSION_STATE_COUNT,
    SESSION_BEFORE = SESSION_STATE_COUNT /* in the table of rows: what it was before it was interrupted */
};
enum energy_source {
#define SOURCE(name, text) SOURCE_##name,
#include "services/charging/session.def"
    SOURCE_COUNT
};
enum session_flag_index {
#define FLAG(name, text) FLAG_INDEX_##name,
#include "services/charging/session.def"
    FLAG_COUNT
};
enum session_flag {
#define FLAG(name, text) FLAG_##name = 1 << FLAG_INDEX_##name,
#include "services/charging/session.def"
};
enum session_input_kind {
    SESSION_IN_STARTED,   /* transaction.started */
    SESSION_IN_READING,   /* one point in time of transaction.meter_values */
    SESSION_IN_STOPPED,   /* transaction.stopped */
    SESSION_IN_SUSPEND,   /* its connector says SuspendedEV or SuspendedEVSE */
    SESSION_IN_RESUME,    /* its connector says Charging */
    SESSION_IN_FINISH,    /* its connector says Finishing */
    SESSION_IN_SUPERSEDE, /* another transaction began in its place */
    SESSION_IN_LOST,      /* the station, or its gateway, is gone */
    SESSION_IN_EXPIRE,    /* no word for too long */
    SESSION_IN_ORDER,     /* a start was asked for */
    SESSION_IN_ACCEPT,    /* the device accepted it */
    SESSION_IN_REFUSE,    /* or not */
    SESSION_IN_COUNT
};
extern const struct str session_state_text[SESSION_STATE_COUNT], energy_source_text[SOURCE_COUNT],
    session_flag_text[FLAG_COUNT];
bool session_state_is_active(enum session_state s);

#define SESSION_TRANSACTION_MAX 64 /* with their terminating 0 */
#define SESSION_TEXT_MAX        64

/* What was measured at one point in time; *_m thousandths. */
#define CURVE_VALUES 5
struct curve_point {
    struct instant at;
    struct integer power_w, register_wh, voltage_m, current_m, temperature_m;
};

struct session {
    int64_t number;
    struct uuid id;
    enum session_state state, before;
    enum energy_source source;
    uint32_t flags;
    int64_t connector_id;
    char transaction_id[SESSION_TRANSACTION_MAX];
    struct integer transaction_key; /* the number that it was made of; not set: it is none of ours */
    struct instant started;
    struct instant last_at;     /* newest device time */
    struct instant read_at;     /* of the newest reading: apart, since a clock may be set between start and reading */
    struct instant last_update; /* newest receipt */
    struct integer meter_start_wh, meter_stop_wh, base_wh, register_wh;
    int64_t energy_wh, integral_wms;
    struct instant power_at;    /* of power_w */
    struct integer max_power_w, power_w, voltage_m, current_m, temperature_m;
    int64_t reading_count;
    /* Readings touch what is above. */
    struct integer reservation_id;
    bool is_offline;
    struct instant ended, device_started, device_ended;
    struct integer tier_power_w, idle_s; /* of a settlement: peak of the first minutes, place taken after full */
    int64_t history_count, sequence;
    char id_tag[SESSION_TEXT_MAX], order_no[SESSION_TEXT_MAX], stop_id_tag[SESSION_TEXT_MAX];
    char stop_reason[32], stop_code[16];
};

struct session_input {
    enum session_input_kind kind;
    struct instant at, received;   /* at: believable, see session_time() */
    struct instant device_at;      /* as the device said; may be unset */
    uint32_t flags;                /* to be noted with it */
    struct curve_point point;        /* READING */
    struct integer connector_id;
    struct integer meter_wh;       /* STARTED, STOPPED */
    struct integer meter_start_wh; /* STOPPED: as the gateway knows it */
    struct integer energy_wh;      /* STOPPED: of a device that has no register to show */
    struct integer reservation_id;
    struct str id_tag, order_no, reason, stop_code;
    struct integer max_power_w, tier_power_w, idle_s; /* STOPPED */
    bool is_offline;
    bool is_override;              /* STOPPED: an operator had ended it, and the device now says how it really was */
    bool is_settlement;            /* STOPPED: its energy is what the device settled, not a register */
};

enum session_emit { EMIT_NOTHING, EMIT_STARTED, EMIT_START_FAILED, EMIT_ENDED, EMIT_CORRECTED };
struct session_outcome {
    enum session_emit emit;
    bool is_changed;               /* false: a repeat */
};
/* ERR_STATE: the state has no row for this input; nothing changed. */
MUST_USE enum err session_decide(struct session *s, const struct session_input *in, struct session_outcome *out);

/* A device time that can be believed: from 2015 on, and not more than a day after its receipt; else the receipt,
 * flagged. */
struct instant session_time(struct instant device, struct instant received, uint32_t *flags);
int64_t session_duration_s(const struct session *s);
#endif
