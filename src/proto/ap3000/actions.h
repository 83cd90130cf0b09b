/* proto/ap3000/actions.h - commands to piles by name: JSON payload -> frames -> one ending (gateway-contract.md 2;
 * ap3000.md 7, 8). Pure.
 *
 * The names that both protocols share (RemoteStartTransaction, ...) are mapped to AP3000's commands where there is a
 * counterpart; the protocol's own are "Ap3000.<Name>" with the fields of the specification (actions.def). A command is
 * a talk of one frame or several: to change one parameter the block that it stands in is read first. */
#ifndef PROTO_AP3000_ACTIONS_H
#define PROTO_AP3000_ACTIONS_H
#include "proto/ap3000/decide.h"

/* AP3000_ACTION_start and so on: indexes into ap3000_actions. */
enum ap3000_action_index {
#define ACTION(constant, name, command, guard, secrecy, payload, section, sentence) AP3000_ACTION_##constant,
#include "proto/ap3000/actions.def"
    AP3000_ACTION_COUNT
};
struct ap3000_action {
    struct str name;
    uint8_t command;               /* of its first frame; 0: none */
    bool is_guarded;               /* 13.3: not while orders are open; its payload must say "confirm": true */
    bool is_secret;                /* keys are in its payload or its answer: not for logs */
    const struct message *payload; /* NULL: the fields of its frame */
    const char *section, *sentence;
};
extern const struct ap3000_action ap3000_actions[];
extern const size_t ap3000_action_count;
const struct ap3000_action *ap3000_action_find(struct str name); /* NULL */
static inline enum ap3000_action_index ap3000_action_index(const struct ap3000_action *a)
{
    return (enum ap3000_action_index)(a - ap3000_actions);
}

/* What UpdateFirmware asks for: for transfer_begin(). file_id borrows from the payload. Errors as of
 * ap3000_action_check, which looks at all else. */
struct ap3000_update {
    struct str file_id;
    uint8_t command;      /* 0: that of the product */
    uint16_t version;     /* 0: as the file says */
    uint16_t device_type; /* 0: likewise */
    bool has_check_packet;
};
MUST_USE enum err ap3000_update_read(struct str payload, struct arena *a, struct ap3000_update *out, struct fault *why);

#define AP3000_BLOCKS_SIZE 64

/* One command under way. */
struct ap3000_talk {
    const struct ap3000_action *action;
    uint8_t command; /* of the frame that waits for its answer */
    uint16_t message_id;
    uint8_t step;                        /* frames before it */
    uint8_t frame[AP3000_SENT_SIZE_MAX]; /* repeated to the byte */
    size_t frame_len;
    bool is_repeated_blindly; /* false: what restarts the pile is not sent twice (7.8) */
    bool is_answered;         /* false: no answer comes to it; what else comes shows that it worked (7.1), or nothing */
    uint32_t transaction_id;  /* of a start or stop; 0 else */
    uint8_t port;
    uint8_t blocks[AP3000_BLOCKS_SIZE]; /* parameters as they were read: of each block its length, and so many bytes */
    size_t blocks_len;
    struct str payload; /* JSON of the command; borrowed from it */
};
struct ap3000_ending {   /* of a command; texts lie in the arena */
    const char *outcome; /* "answered", "unknown" (also by an answer that does not tell), "not_sent" */
    const char *reason;  /* NULL: none; else of gateway-contract.md 2 */
    struct str status;   /* "Accepted", "Rejected", or the device's own word */
    struct str response; /* JSON of the answer; absent: none */
};
enum ap3000_talk_state { AP3000_TALK_GOES_ON, AP3000_TALK_ENDED };

/* Is that payload one for this action? ERR_FORMAT (also a member that is not known), ERR_MISSING, ERR_TYPE, ERR_RANGE,
 * ERR_LIMIT, ERR_MEMORY with why; ERR_STATE: not now (an order is open, a port is busy or faulty, the pile is not
 * accepted or one of those with a fallback number), or there is no such transaction, or it does not run; ERR_DENIED: a
 * server address that the policy does not list; ERR_UNSUPPORTED: this device has no counterpart. Changes nothing. */
MUST_USE enum err ap3000_action_check(const struct ap3000_input *in, const struct ap3000_action *action,
                                      struct str payload, struct arena *a, struct fault *why);
/* Makes the first frame; a start places its order, a stop tells of it (events in *d). Errors as above: the command is
 * then not sent, and nothing is changed. Not for UpdateFirmware, which is for transfer.h: ERR_UNSUPPORTED. */
struct ap3000_command_of {
    const struct ap3000_action *action;
    struct str command_id, payload;
};
MUST_USE enum err ap3000_talk_begin(const struct ap3000_input *in, const struct ap3000_command_of *c, struct arena *a,
                                    struct buf *text, struct ap3000_talk *out, struct ap3000_decision *d,
                                    struct fault *why);
/* One that a process before this one had sent, as far as its order tells: for ap3000_talk_on_silence. */
void ap3000_talk_resume(const struct ap3000_pile *p, const struct ap3000_command_of *c, struct ap3000_talk *out);
/* An answer that has its physical id, command and message id. GOES_ON: *t holds the next frame. */
enum ap3000_talk_state ap3000_talk_on_answer(const struct ap3000_input *in, struct ap3000_talk *t,
                                             const struct ap3000_frame *f, struct arena *a, struct buf *text,
                                             struct ap3000_decision *d, struct ap3000_ending *end);
/* Any other frame of the pile: ENDED if it shows that the command was carried out (0x20 after 0x87; 0x20, 0x21 or 0x01
 * after 0x81). */
enum ap3000_talk_state ap3000_talk_on_frame(const struct ap3000_input *in, struct ap3000_talk *t,
                                            const struct ap3000_frame *f, struct arena *a, struct ap3000_ending *end);
/* It was sent a second time. */
void ap3000_talk_on_repeat(const struct ap3000_input *in, struct ap3000_talk *t);
/* No answer in all its time, or the process before this one had sent it: what it was about becomes uncertain. */
void ap3000_talk_on_silence(const struct ap3000_input *in, struct ap3000_talk *t, struct arena *a, struct buf *text,
                            struct ap3000_decision *d, struct ap3000_ending *end);
/* It was begun and never left. */
void ap3000_talk_on_not_sent(const struct ap3000_input *in, struct ap3000_talk *t, struct arena *a, struct buf *text,
                             struct ap3000_decision *d);
#endif
