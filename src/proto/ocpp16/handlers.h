/* proto/ocpp16/handlers.h - private to proto/ocpp16: what the handlers, one file a message, share. */
#ifndef PROTO_OCPP16_HANDLERS_H
#define PROTO_OCPP16_HANDLERS_H
#include "proto/ocpp16/decide.h"

/* One decision in the making. */
struct step {
    const struct ocpp_input *in;
    const struct ocpp_call *call;
    const struct ocpp_known *known;
    struct station *station;
    struct arena *arena;
    struct buf *text;
    struct ocpp_decision *out;
    struct buf answer;                  /* payload of the answer, "{}" if left empty */
    size_t payload_at[OCPP_EVENTS_MAX]; /* where in text each event's payload begins */
    bool is_of_frame;                   /* the next event is the last one, which the frame goes with */
    struct packed_list *list;           /* of that event's payload; NULL: none */
    struct fault refusal;               /* why the answer is a CALLERROR after all */
    struct str flags[8];
    size_t flag_count;
};

typedef void handler(struct step *s);
handler on_authorize, on_boot_notification, on_data_transfer, on_heartbeat, on_meter_values, on_start_transaction,
    on_status_notification, on_stop_transaction, on_diagnostics_status, on_firmware_status, on_security_event,
    on_sign_certificate, on_log_status, on_signed_firmware_status;

void step_event(struct step *s, enum event_type type, struct instant device_time, const void *payload);
bool step_is_packable(const struct step *s); /* is the payload of the event that the frame goes with packed? */
void step_answer(struct step *s, const struct message *m, const void *conf);
/* Refuse what was found wrong after all (an answer of CALLERROR). */
void step_refuse(struct step *s, struct str code, struct str field, const char *reason);
/* Did this payload, byte for byte, come lately? Then nothing follows from it but its answer; else it is remembered. For
 * messages that carry their time (ocpp16.md 5.5, 7.1). */
bool step_is_content_repeat(struct step *s);
void step_flag(struct step *s, struct str flag);
struct str_list step_flags(struct step *s);

/* Keeps the message for a person; the answer is the handler's. */
struct quarantine {
    struct str reason;
    struct integer connector_id;
    struct str transaction_id;
    struct str suggestion;
};
struct uuid step_quarantine(struct step *s, const struct quarantine *q);

/* Verdict on a tag (ocpp16.md 5.1): the info, and its status. on_connector: for StartTransaction, also ConcurrentTx. */
int tag_verdict(struct step *s, struct str id_tag, struct id_tag_info *out);
bool tag_is_concurrent(struct step *s, struct str id_tag, const struct transaction *superseded);

/* Device time where it can be believed, else time of receipt with a flag (field-lessons.md 46). */
struct instant believable_time(struct step *s, struct stamp device);
struct str transaction_text(struct step *s, uint32_t id);
/* The transaction that was looked up, taken into memory: NULL if there is none, or it is another station's. */
struct transaction *recall_transaction(struct step *s);
uint32_t next_transaction_id(struct step *s, uint64_t *number);

/* Shared by MeterValues and StopTransaction's transactionData. t NULL: outside a transaction. is_last: the message
 * makes no other event after these. */
void emit_meter_values(struct step *s, const struct meter_value_list *values, struct integer connector_id,
                       struct transaction *t, bool is_last);
/* Ends a transaction with a stop that can be applied; emits the event. */
struct stop {
    int64_t meter_stop_wh;
    struct instant timestamp;
    struct str timestamp_text, reason, id_tag;
    uint64_t key;
};
void emit_stopped(struct step *s, struct transaction *t, const struct stop *stop);

#define CONTENT_KEY \
    ((const uint64_t[2]){0x6368617267656c69, 0x6e65206d65737361}) /* only compared within this program's own data */
#endif
