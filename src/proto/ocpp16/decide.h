/* proto/ocpp16/decide.h - what a station's call means: (station, policy, now, call) -> (station, answer, events). Pure.
 *
 * Two steps, so that what is not in memory can be fetched between them without blocking anyone:
 *     ocpp_call_read()   the frame against the tables; says what must be known before it can be decided
 *     ocpp_call_decide() changes the station, writes the answer and the events
 * Every call gets exactly one answer, always. Transaction messages are never refused for what they say: what cannot be
 * applied is acknowledged and quarantined (field-lessons.md 6). */
#ifndef PROTO_OCPP16_DECIDE_H
#define PROTO_OCPP16_DECIDE_H
#include "device/station.h"
#include "eventlog/event.h"
#include "proto/ocpp16/frame.h"
#include "proto/ocpp16/messages.h"

struct ocpp_policy {
    bool is_strict;                    /* ocpp.strict */
    enum registration unknown_station; /* device.unknown */
    int64_t heartbeat_s, boot_retry_s;
    bool accepts_unknown_tags;
    int32_t max_concurrent; /* per tag; 0: any number */
    bool heartbeat_events;
    bool is_packing; /* a payload that the frame says is written packed (eventlog/event.h); what it says is the same */
};

/* A call that was read. All borrows from the frame's text and the arena. */
struct ocpp_call {
    struct ocpp_frame frame;
    const struct ocpp_action *action; /* NULL: not known */
    void *request;                    /* the action's request struct */
    uint64_t reading;                 /* shapes_reading */
    enum err error;                   /* why it is to be refused; OK else */
    struct str error_code;            /* the protocol's word for it */
    struct fault why;                 /* of the refusal, or of what was bent */
    uint64_t content_key;             /* of the payload: ocpp_meter_key */
    uint64_t message_key;             /* of id, action and payload */
    /* What has to be looked up first, when it is not in memory. */
    struct str wants_tag;       /* absent: none */
    uint32_t wants_transaction; /* 0: none */
    bool wants_start;           /* is this start a repeat of one that is no longer in memory? */
    struct transaction_start start;
};

/* What the look-ups found. */
struct ocpp_known {
    struct id_tag tag;
    bool has_transaction, is_of_other_station;
    struct transaction transaction; /* of wants_transaction or wants_start */
};

#define OCPP_EVENTS_MAX 6
struct ocpp_decision {
    struct str answer;     /* whole frame; absent: none (not a call) */
    struct str error_code; /* of a CALLERROR; absent for a result */
    struct event events[OCPP_EVENTS_MAX];
    size_t event_count;
    bool is_repeat;
    bool has_booted; /* a boot was answered Accepted */
};

struct ocpp_input {
    const struct ocpp_policy *policy;
    struct instant now;
    struct station *station;
    struct tag_book *tags;
    uint64_t *next_number;  /* of the next transaction; moved on when one is used */
    const uint64_t *id_key; /* numbers become ids by permute31 */
    uint8_t random[16];     /* for a quarantine id */
    struct str remote_address;
    struct str text;       /* the frame as it came */
    bool answers_trigger;  /* we asked for this message: a pending station may send it */
    struct shapes *shapes; /* for reading what looks like what was read before; NULL: none */
};

/* frame.kind is OCPP_CALL, or e is the error of ocpp_frame_read with a readable id. */
void ocpp_call_read(const struct ocpp_input *in, const struct ocpp_frame *frame, enum err e, const struct fault *why,
                    struct arena *a, struct ocpp_call *out);
/* Text of the answer and of the events lies in *text, which the caller clears when it has used them. */
void ocpp_call_decide(const struct ocpp_input *in, const struct ocpp_call *call, const struct ocpp_known *known,
                      struct arena *a, struct buf *text, struct ocpp_decision *out);

/* A stop that waits in quarantine, applied by a person to a transaction of this station: ERR_STATE it is closed;
 * ERR_UNKNOWN it cannot be read or has no meter reading. */
MUST_USE enum err ocpp_apply_stop(const struct ocpp_input *in, struct str frame_text, struct transaction *t,
                                  struct arena *a, struct buf *text, struct ocpp_decision *out);
/* An operator ends a transaction without its station (flag closed_by_operator), at its last known register. */
MUST_USE enum err ocpp_close_transaction(const struct ocpp_input *in, struct transaction *t, int64_t register_wh,
                                         struct arena *a, struct buf *text, struct ocpp_decision *out);

/* What a quarantined stop says, to wait for its start again after a restart. ERR_UNKNOWN: no readable stop. */
MUST_USE enum err ocpp_read_orphan(struct str frame_text, struct arena *a, struct orphan *out);

/* The protocol's word of an error: ocpp16.md 2.3. */
struct str ocpp_error_code(enum err e);
/* Contents of a MeterValues payload, to know its repeat. */
uint64_t ocpp_meter_key(struct str payload);
/* Contents of a stop, likewise; never 0. */
uint64_t ocpp_stop_key(int64_t meter_stop_wh, struct instant timestamp);
#endif
