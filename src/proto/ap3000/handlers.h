/* proto/ap3000/handlers.h - private to proto/ap3000: one decision in the making, and what the handlers, one file a
 * topic, share. Answers to commands (actions.c) are decided by the same means:
 *
 *     struct ap3000_step s;
 *     ap3000_step_begin(&s, in, arena, text, decision);
 *     ... ap3000_step_order(&s, o, ORDER_IN_DONE, "answered") ...
 *     ap3000_step_finish(&s);
 */
#ifndef PROTO_AP3000_HANDLERS_H
#define PROTO_AP3000_HANDLERS_H
#include "proto/ap3000/decide.h"

struct ap3000_step {
    const struct ap3000_input *in;
    const struct ap3000_reading *reading; /* NULL: no frame that came in by decide.h */
    const struct ap3000_known *known;     /* never NULL */
    struct station *station;
    struct ap3000_pile *pile;
    struct arena *arena;
    struct buf *text;
    struct ap3000_decision *out;
    size_t event_room;
    bool has_answer;
    size_t answer_len;
    uint8_t answer[PILE_ANSWER_MAX]; /* payload */
    struct str flags[8];
    size_t flag_count;
};

void ap3000_step_begin(struct ap3000_step *s, const struct ap3000_input *in, struct arena *a, struct buf *text,
                       struct ap3000_decision *out);
/* Payloads become text, the answer a whole frame; in->text and the answer go with the last event. */
void ap3000_step_finish(struct ap3000_step *s);

void ap3000_step_event(struct ap3000_step *s, enum event_type type, struct instant device_time, const void *payload);
void ap3000_step_answer(struct ap3000_step *s, const struct ap3000_layout *l, const void *fields);
void ap3000_step_flag(struct ap3000_step *s, struct str flag); /* for the next events, until: */
void ap3000_step_clear_flags(struct ap3000_step *s);
struct str_list ap3000_step_flags(struct ap3000_step *s);
/* "device.alarm"; port PILE_PORT_NONE: of the whole pile; details: JSON, or absent. */
void ap3000_step_alarm(struct ap3000_step *s, const char *alarm, uint8_t port, struct str details);
/* Left out when there are AP3000_WISHES_MAX, or the same one already. */
void ap3000_step_wish(struct ap3000_step *s, const struct ap3000_wish *w);
/* May it do more than tell the time: accepted, and on the card that it is bound to, if it is? */
bool ap3000_step_is_trusted(const struct ap3000_step *s);
struct str ap3000_transaction_text(struct ap3000_step *s, uint32_t id);
struct integer ap3000_connector(uint8_t port); /* not set for PILE_PORT_NONE */

/* --- orders --- */

/* One that the server starts, in state NEW, with a number of its own; "order.changed" is told. NULL: PILE_ORDERS_MAX
 * are open. */
struct pile_order *ap3000_step_place(struct ap3000_step *s, uint8_t port, struct str id_tag, struct str command_id);
/* Applies the input. What follows from a change: "order.changed"; "transaction.started" when it first runs and its port
 * is known, or when it is settled; the count of its tag; an alarm when a stop failed; the wish to stop what runs and
 * shall not; 0x81 for what is uncertain. reason: a word for people, or NULL. ERR_STATE: no such row, or it would
 * be open again past PILE_ORDERS_MAX; nothing happened, which few need to know. */
enum err ap3000_step_order(struct ap3000_step *s, struct pile_order *o, enum order_input input, const char *reason);
/* Takes one that ap3000_order_make() made into memory and tells it. NULL: it is open and there are PILE_ORDERS_MAX. */
struct pile_order *ap3000_step_adopt(struct ap3000_step *s, const struct pile_order *o);
/* Its real port, once it is known (5.8): told if that is news, and "transaction.started" if it waited for it. */
void ap3000_step_order_port(struct ap3000_step *s, struct pile_order *o, uint8_t port);
/* Whoever ordered it does not want it any more; told if that is news. */
void ap3000_step_order_cancel(struct ap3000_step *s, struct pile_order *o);
/* "order.changed" alone; before: its state until now, ORDER_STATE_COUNT none. */
void ap3000_step_order_told(struct ap3000_step *s, struct pile_order *o, enum order_state before, const char *reason);

/* What a frame says of an order, by which one is found or made. */
struct ap3000_named {
    const uint8_t *no;
    const char *key; /* under which it is looked up; NULL: the number alone */
    uint8_t port, start_mode;
    const uint8_t *card_or_code; /* four bytes, or NULL: the frame has none */
    uint16_t duration_s;
    bool is_applied; /* a person says that it is one, whoever began it */
};
/* In memory, or looked up and taken into it. NULL: nobody knows it. */
struct pile_order *ap3000_order_find(struct ap3000_step *s, const struct ap3000_named *n);
/* Makes one, in that state, that nobody knew, from what the pile says (10.4, 11.2, 11.3): one of ours is "recovered",
 * one of its own is "started_at_pile". Not in memory yet, nothing told. False: unknown. */
bool ap3000_order_make(struct ap3000_step *s, const struct ap3000_named *n, enum order_state state,
                       struct pile_order *out);
/* Of one that began at the pile; "": not said. */
struct str ap3000_order_tag(struct ap3000_step *s, const struct ap3000_named *n);
/* The key of the order that a frame names; "": none. */
void ap3000_order_key(uint8_t command, const void *fields, char out[ORDER_KEY_SIZE]);
void ap3000_settlement_key_write(const struct ap3000_settlement *r, char out[ORDER_KEY_SIZE]);
/* Can that have been the time then: not before there was this make, and not to come? */
bool ap3000_time_is_believable(struct instant t, struct instant now);

/* --- ports --- */

/* The state of one port; told if it is another than the last known. */
void ap3000_port_status(struct ap3000_step *s, uint8_t port, uint8_t code);

/* --- who it is --- */

/* What is known of it is told where that is due: on a new connection, when a fact changed, at a power-up. */
void ap3000_step_presence(struct ap3000_step *s, bool is_power_up);

/* --- meter values --- */

struct ap3000_sample {
    const char *measurand, *unit, *location; /* location NULL: none */
    int64_t value;
    int digits; /* behind the point */
};
/* transaction_id 0: outside of one. */
void ap3000_step_samples(struct ap3000_step *s, int32_t connector_id, uint32_t transaction_id,
                         const struct ap3000_sample *samples, size_t count);

typedef void ap3000_handler(struct ap3000_step *s);
ap3000_handler ap3000_on_time, ap3000_on_registration, ap3000_on_heartbeat, ap3000_on_old_heartbeat, ap3000_on_card,
    ap3000_on_settlement, ap3000_on_order_running, ap3000_on_charging, ap3000_on_finished, ap3000_on_alarm,
    ap3000_on_port_push, ap3000_on_over_temperature, ap3000_on_host_heartbeat, ap3000_on_host_status,
    ap3000_on_fsk_request, ap3000_on_upgrade_request, ap3000_on_host_upgrade_request, ap3000_on_packet_answer;

/* The tag of a swipe, and of an order that was started at the pile. */
struct str ap3000_card_tag(const struct ap3000_card *c, struct arena *a);

#define AP3000_CONTENT_KEY \
    ((const uint64_t[2]){0x6368617267656c69, 0x6e652070696c6573}) /* compared within this program's own data only */
#endif
