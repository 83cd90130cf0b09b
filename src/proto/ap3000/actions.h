/* proto/ap3000/actions.h - commands to piles by name: JSON payload -> frames -> one ending (gateway-contract.md 2;
 * ap3000.md 7, 8). Pure.
 *
 * The names that both protocols share (RemoteStartTransaction, ...) are mapped to AP3000's commands where there is a
 * counterpart; the protocol's own are "Ap3000.<Name>" with the fields of the specification (actions.def). A command is
 * a talk of one frame or several: to change one parameter the block that it stands in is read first. */
#ifndef PROTO_AP3000_ACTIONS_H
#define PROTO_AP3000_ACTIONS_H
#include "proto/ap3000/decide.h"

struct ap3000_action {
    struct str name;
    uint8_t command; /* of its first frame */
    bool is_guarded; /* 13.3: not while orders are open; its payload must say "confirm": true */
    const char *section, *sentence;
};
extern const struct ap3000_action ap3000_actions[];
extern const size_t ap3000_action_count;
const struct ap3000_action *ap3000_action_find(struct str name); /* NULL */

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
    uint8_t block[AP3000_PAYLOAD_SIZE_MAX > 64 ? 64 : AP3000_PAYLOAD_SIZE_MAX]; /* parameters as they were read */
    size_t block_len;
    char *payload; /* JSON of the command; borrowed from it */
};
struct ap3000_ending {   /* of a command; texts lie in the arena */
    const char *outcome; /* "answered", "unknown", "not_sent" */
    const char *reason;  /* NULL: none; else of gateway-contract.md 2 */
    struct str status;   /* "Accepted", "Rejected", or the device's own word */
    struct str response; /* JSON of the answer; absent: none */
};
enum ap3000_talk_state { AP3000_TALK_GOES_ON, AP3000_TALK_ENDED };

/* Is that payload one for this action? ERR_FORMAT, ERR_MISSING, ERR_TYPE, ERR_RANGE with why; ERR_STATE: not now (an
 * order is open, a port is busy or faulty, the pile is one of those with a fallback number); ERR_UNSUPPORTED: this
 * device has no counterpart. Changes nothing. */
MUST_USE enum err ap3000_action_check(const struct ap3000_input *in, const struct ap3000_action *action,
                                      struct str payload, struct arena *a, struct fault *why);
/* Makes the first frame; a start places its order (events in *d). Errors as above: the command is then not sent. */
struct ap3000_command_of {
    const struct ap3000_action *action;
    struct str command_id, payload;
};
MUST_USE enum err ap3000_talk_begin(const struct ap3000_input *in, const struct ap3000_command_of *c, struct arena *a,
                                    struct buf *text, struct ap3000_talk *out, struct ap3000_decision *d,
                                    struct fault *why);
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
