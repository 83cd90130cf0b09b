/* proto/ap3000/decide.h - what a frame from a pile means: (station, pile, policy, now, frame) -> (state, answer,
 * events, wishes). Pure. Answers to commands of ours come in by actions.h and transfer.h; everything else comes in
 * here.
 *
 * Two steps, so that what is not in memory can be fetched between them without blocking anyone else:
 *     ap3000_frame_open()   the frame against the tables; says what must be known before it can be decided
 *     ap3000_frame_decide() changes station and pile, writes the answer and the events
 * Time, registration and heartbeats are answered whoever asks (3.3). A settlement is answered only when it is stored,
 * and then always (10.4). */
#ifndef PROTO_AP3000_DECIDE_H
#define PROTO_AP3000_DECIDE_H
#include "eventlog/event.h"
#include "proto/ap3000/pile.h"

struct ap3000_policy {
    enum registration unknown_pile; /* device.unknown */
    bool accepts_unknown_tags;
    int32_t max_concurrent; /* per tag; 0: any number */
    bool heartbeat_events;
    bool has_quarantine_room;    /* settlements of piles that are not accepted may be kept: 13.4 */
    struct str server_addresses; /* host:port, comma between: where a device may be sent to (8.7); empty: nowhere */
};

struct ap3000_input {
    const struct ap3000_policy *policy;
    struct instant now;
    struct station *station;
    struct ap3000_pile *pile;
    struct tag_book *tags;
    uint64_t *next_number;
    const uint64_t *id_key;
    uint8_t random[16];
    struct str remote_address;
    struct str iccid; /* of its connection; absent: none was said */
    struct str host;  /* charge point id of the host on its connection, absent: none, or it is that itself */
    struct str text;  /* the frame as it is kept: upper-case hexadecimal */
    bool is_new_line; /* the first frame of this pile on its connection */
};

/* A frame that was read. Borrows from the frame's bytes and the arena. */
struct ap3000_reading {
    struct ap3000_frame frame;
    const struct ap3000_command *command; /* NULL: no such command upwards */
    void *fields;                         /* struct of command->layout; NULL where it cannot be read */
    struct fault why;                     /* of that */
    uint64_t repeat_key;                  /* 0: a repeat of it says nothing */
    struct str wants_tag;                 /* absent: none */
    char wants_order[ORDER_KEY_SIZE];     /* key of an order that memory has not; "" none */
    uint64_t wants_quarantined;           /* content of a settlement that may wait in quarantine; 0: it does not */
};

/* What the look-ups found. Memory holds all orders that are open: one that the tables call open and memory has not is
 * settled, and the tables are behind. */
struct ap3000_known {
    struct id_tag tag;
    bool has_order;
    struct pile_order order;
    char quarantine_id[UUID_TEXT_SIZE]; /* where a settlement of that content waits; "" nowhere */
};

/* What we want to say to the pile beyond the answer, in this order; each becomes a command of origin "server". */
enum ap3000_wish_kind {
    AP3000_WISH_STATUS,   /* 0x81 */
    AP3000_WISH_START,    /* for a granted swipe: port, id_tag */
    AP3000_WISH_STOP,     /* an order that runs and shall not, or did not stop: transaction_id */
    AP3000_WISH_FSK,      /* 0x3A for a host that asked */
    AP3000_WISH_FIRMWARE, /* it asks for firmware (0x05, 0x15, 0xFA with index 0): for transfer.h */
};
struct ap3000_wish {
    enum ap3000_wish_kind kind;
    uint8_t port;
    uint16_t frequency_mhz; /* FSK: the one in use */
    uint32_t transaction_id;
    struct str id_tag;
};

/* A heartbeat may change every port and every order. Wishes past the limit are left out: a later frame brings them up
 * again. */
#define AP3000_EVENTS_MAX (PILE_PORTS_MAX + PILE_ORDERS_MAX + 8)
#define AP3000_WISHES_MAX 4
/* Room that the arena of a decision must have, and the buffer of its text. */
#define AP3000_ARENA_MIN ((size_t)256 << 10)
#define AP3000_TEXT_MIN  ((size_t)256 << 10)
#define AP3000_ANSWER_SIZE_MAX (AP3000_PREFIX_SIZE + AP3000_LENGTH_MIN + PILE_ANSWER_MAX)
struct ap3000_decision {
    bool has_answer;
    uint8_t answer[AP3000_ANSWER_SIZE_MAX]; /* whole frame */
    size_t answer_len;
    bool waits_for_disk; /* the answer leaves when the events are durable; else at once */
    bool is_repeat;
    bool is_unknown;      /* no table for it, or not readable: kept raw */
    struct event *events; /* of the arena */
    size_t event_count;
    struct ap3000_wish wishes[AP3000_WISHES_MAX];
    size_t wish_count;
};

/* The four that are answered without log, tables or registration, when the log cannot be written (3.3): true, and the
 * answer, if this is one of them. Changes nothing. */
bool ap3000_answer_bare(const struct ap3000_frame *f, struct instant now, uint8_t out[AP3000_SENT_SIZE_MAX],
                        size_t *len);

/* By what a settlement that waits in quarantine is known again: its frame as hexadecimal, without message id,
 * checksum and the clock of the pile, which may have moved on. Never 0. For station_remember_meter(). */
uint64_t ap3000_content_key(struct str frame_hex);
/* By what a swipe is known again after a restart, its message id too: within a minute it is the same one. Never 0. */
uint64_t ap3000_swipe_key(struct str frame_hex);

void ap3000_frame_open(const struct ap3000_input *in, const struct ap3000_frame *f, struct arena *a,
                       struct ap3000_reading *out);
/* Text of the events lies in *text, which the caller clears when it has used them. */
void ap3000_frame_decide(const struct ap3000_input *in, const struct ap3000_reading *r,
                         const struct ap3000_known *known, struct arena *a, struct buf *text,
                         struct ap3000_decision *out);

/* --- by a person --- */

/* A settlement that waits in quarantine: its frame as hexadecimal. Makes or ends the transaction of its own order
 * number (known: what is known of that order). ERR_UNKNOWN: it is none that can be read; ERR_STATE: that order is
 * settled. */
MUST_USE enum err ap3000_apply_settlement(const struct ap3000_input *in, struct str frame_hex,
                                          const struct ap3000_known *known, struct arena *a, struct buf *text,
                                          struct ap3000_decision *out);
/* The key by which such a settlement's order is looked up. ERR_UNKNOWN: no readable settlement. */
MUST_USE enum err ap3000_settlement_key(struct str frame_hex, struct arena *a, char out[ORDER_KEY_SIZE]);
/* An operator ends an order without its pile (flag closed_by_operator). A later settlement still overrides (10.5). */
MUST_USE enum err ap3000_close_order(const struct ap3000_input *in, struct pile_order *o, struct arena *a,
                                     struct buf *text, struct ap3000_decision *out);

#endif
