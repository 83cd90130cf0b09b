/* gateway/parts.h - private to gateway/: what its files share.
 *
 *   gateway.c   opening, rounds, what is held until it is durable, draining
 *   slots.c     the stations in memory: found, loaded, dropped
 *   sessions.c  connections: upgrade, authentication, take-over, end
 *   calls.c     messages: to the pure core and into the log
 *   tags.c      verdicts on tags, remembered and looked up
 *   commands.c  commands: send, answer, time-outs, one outcome
 *   submit.c    commands: taken on, repeated, resumed after a restart
 *   people.c    what a person decides: closing a transaction, quarantine
 *
 * and of AP3000, where one connection carries a host and its slaves:
 *
 *   networks.c  where they may come from
 *   lines.c     connections: bytes to frames, and what a line may cost
 *   arrivals.c  piles on them: which may speak where, take-over, silence
 *   piles.c     frames: to the pure core and into the log, look-ups
 *   pacing.c    what is sent to a pile, and when
 *   talks.c     commands to piles: frames, answers, repeats, one ending
 *   firmware.c  an image on its way to a pile */
#ifndef GATEWAY_PARTS_H
#define GATEWAY_PARTS_H
#include "gateway/gateway.h"

#include "base/log.h"
#include "metrics/metrics.h"
#include "proto/ap3000/actions.h"
#include "proto/ap3000/stream.h"
#include "proto/ocpp16/decide.h"
#include "services/stations/stations.h"
#include "wire/conn.h"
#include "wire/tls.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES_A_ROUND_MAX \
    16 /* of one station: who sends more than that unanswered rests, and the others have their turn */
#define FLOOD_REST_MS          50  /* so one that does not wait gets 320 a second, and costs a hundredth of a core */
#define HELD_SMALL             128 /* bytes of an answer that gets a place of a fixed size: nearly all */
#define HELD_SPARE_MAX         4096
#define HELD_A_STATION_MAX     64 /* answers on their way to the disk; past it the station is not read */
#define GARBAGE_MAX            32 /* in a row, then 1008 */
#define TAGS_CACHED_MAX        65536
#define COMMANDS_DONE_KEPT     4096               /* for repeats of a command id */
#define COMMANDS_DONE_SIZE_MAX ((size_t)16 << 20) /* an answer can be as long as a message */
#define LISTENERS_MAX          4                  /* that wait for one command */
#define MESSAGE_ARENA_MAX      ((size_t)64 << 20) /* what the largest message can grow to when read and written anew */
#define PREFIXES_MAX           8
#define MASS_SLICES            8 /* of the window in which lost stations are counted */
#define SECURITY_PROFILE_TLS   2

#define PILES_A_LINE_MAX        64   /* a host has 50 slaves */
#define LINE_FRAMES_A_ROUND_MAX 128  /* a host may hand on all that its slaves said at once */
#define PILE_BACKLOG_MAX        8192 /* bytes of frames of one pile that wait for a look-up */
#define PILE_OUT_MAX            32   /* frames that wait for their turn to one pile */
#define PILE_NETWORKS_MAX       32

struct session;
struct pile_session;
struct command;

/* A station in memory. */
struct slot {
    struct station station;
    struct ap3000_pile *pile;           /* what it is beside, if it is one; NULL else */
    struct firmware_transfer *firmware; /* on its way to it; NULL: none */
    struct gateway *gateway;
    bool is_loaded, is_loading, has_row;
    bool is_deleted;         /* its row is gone, by a person; until it comes in as a new one, or is made again */
    struct session *session; /* the current one, or NULL */
    struct link waiting;     /* sessions and works that wait for the load: struct waiter */
    struct link commands;    /* queued, in order: struct command */
    size_t command_count;
    struct command *outstanding; /* sent, or about to be, and not answered */
    int64_t lost_ms;             /* monotonic time of the last disconnect; 0: none in this process */
    struct timer sweep;          /* drops it from memory when nothing needs it */
    unsigned pins;               /* jobs under way that hold it */
    unsigned jumps;              /* of a pile, from one living line to another, since jumps_ms */
    int64_t jumps_ms;
    struct pile_session *claimant; /* the last that was refused since the pile is alive elsewhere, or NULL */
};

/* Something to go on with when a slot is loaded. */
struct waiter {
    struct link link;
    void (*on_loaded)(struct waiter *w, struct slot *slot, enum err e);
};

enum pause_reason { PAUSE_FLOOD = 1, PAUSE_ROOM = 2, PAUSE_LOOKUP = 4, PAUSE_HELD = 8, PAUSE_RATE = 16 };

struct session {
    struct conn *conn; /* NULL when it has ended; of a pile: that of its line, shared with others */
    struct line *line; /* NULL: a station of OCPP, which has a connection to itself; else this is a pile_session */
    struct gateway *gateway;
    struct slot *slot; /* NULL until it is known */
    struct waiter waiter;
    struct link link; /* of gateway.sessions, or alone */
    struct link turn; /* of gateway.paused_room, or alone */
    uint64_t generation;
    char *identity;    /* until it has come in: then it is the slot's */
    char protocol[16]; /* accepted sub-protocol; "" none was offered */
    bool is_refused_protocol, is_tls, is_open, is_ready_for_commands;
    uint8_t *password;
    size_t password_len;
    enum err password_state;
    struct timer boot_wait;
    unsigned pauses;            /* of enum pause_reason */
    unsigned messages_in_round; /* of the round told_round */
    uint64_t told_round;
    bool is_flooding; /* said so in the log */
    bool is_resting;  /* the timer runs */
    unsigned held;    /* things of this session in the held queue */
    unsigned garbage;
    char *stash; /* the message at hand while it waits for room, or NULL */
    size_t stash_len;
    int64_t rate_tokens_milli, rate_at_ms;
    struct timer rest;        /* until when it is paused for PAUSE_FLOOD and PAUSE_RATE: for the longer of both */
    int64_t trigger_until_ms; /* a pending station may answer what we triggered */
};

/* A connection of AP3000: one module, with one pile or a host and its slaves behind it. */
struct line {
    struct conn *conn; /* NULL when it has ended */
    struct gateway *gateway;
    struct link link;  /* of gateway.lines */
    struct link piles; /* struct pile_session.on_line */
    size_t pile_count;
    uint32_t owner_id;       /* whose frame came first, ever */
    char host[PILE_ID_SIZE]; /* charge point id of the host that spoke on it; "" none */
    char iccid[AP3000_ICCID_SIZE + 1];
    int64_t last_byte_ms;
    int64_t tokens_milli, tokens_at_ms; /* of frames down: ap3000.line_frames_per_s */
    struct timer gap, flood_rest;
    unsigned frames_in_round;
    uint64_t told_round;
    uint64_t told_dropped, dropped_before; /* of stream.dropped_count: told as a metric; at the last frame */
    bool has_owner, is_known, is_flooding, is_resting;
    bool is_garbage;                 /* so much came that is no frame: it is to go */
    bool is_ending, is_loss_counted; /* with all its piles; that is one loss */
    struct ap3000_stream stream;
};

/* A pile on a line. */
struct pile_session {
    struct session s; /* first: a session of this kind is one */
    struct link on_line;
    uint32_t physical_id;
    bool is_second;             /* looked for under its longer id: another pile has its printed number */
    bool is_new;                /* its first frame on this line has not been decided yet */
    bool is_answered;           /* the frame at hand has had its answer: it waited, and that did not */
    bool is_quiet;              /* not heard of for longer than its heartbeat: its place may be claimed */
    int64_t refused_until_ms;   /* may not speak here, unless a person decides something; 0: may */
    uint64_t refused_at_change; /* gateway.station_changes then */
    struct out *out_first;      /* answers before commands */
    size_t out_count;
    int64_t sent_ms, heard_ms;
    struct timer pace, silence;
    struct buf backlog; /* its frames that wait for a look-up, one behind the other */
};

/* A network that piles may come from. */
struct network {
    uint8_t at[16];
    unsigned size, bits; /* 4 or 16 bytes */
};

/* What waits until the tables have reached a position, then for a worker. */
struct table_wait {
    struct link link; /* of gateway.waiting_tables */
    uint64_t position;
    struct job job;
};

/* What waits until the log is durable up to position. */
enum held_kind { HELD_ANSWER, HELD_ACCEPT, HELD_COMMAND, HELD_QUEUED, HELD_DONE, HELD_CALL };
struct held {
    struct held *next;
    uint64_t position;
    enum held_kind kind;
    struct session *session; /* ANSWER, ACCEPT, COMMAND */
    struct command *command; /* COMMAND, QUEUED, DONE */
    gateway_done *done;      /* CALL */
    void *data;
    struct instant received;
    size_t len;
    char bytes[]; /* ANSWER, COMMAND */
};

enum command_state { COMMAND_STATE_QUEUED, COMMAND_STATE_SENT, COMMAND_STATE_DONE };
struct command {
    struct link link;   /* of slot.commands while queued */
    struct slot *slot;  /* NULL when done */
    struct timer timer; /* expiry while queued, answer time-out while sent */
    enum command_state state;
    bool is_urgent, is_on_the_wire, is_finished;
    bool is_leaving; /* to a pile: "sent" is durable, its frame waits for its turn or has left */
    unsigned held;
    char id[65];
    char station[IDENTITY_MAX + 1];
    const struct ocpp_action *action; /* one of the two */
    const struct ap3000_action *pile_action;
    struct ap3000_talk *talk; /* with a pile, once begun */
    unsigned repeats;         /* of its frame */
    bool is_repeat_due;       /* when its pile is heard of again */
    char *payload, *response;
    char origin[16], outcome[16], status[64], reason[48], message_id[UUID_TEXT_SIZE];
    uint8_t trace[16];
    struct instant queued_at, sent_at, done_at, expires_at;
    int64_t queued_ms;
    uint64_t generation; /* of the session it was sent on */
    struct command_listener listeners[LISTENERS_MAX];
    size_t listener_count;
    size_t told_queued; /* listeners whose on_queued has run */
};

#define FAILURES_NAME_SIZE (64 + IDENTITY_MAX + 1)
struct failures {                  /* failed log-ins */
    char name[FAILURES_NAME_SIZE]; /* address and identity: its key in gateway.failures, never written again */
    int64_t window_ms;
    int64_t count;
};

struct gateway {
    const struct config *config;
    struct loop *loop;
    struct eventlog *log;
    struct bus *bus;
    char *db_path, *log_dir, *files_dir;
    struct workers *workers;
    struct mailbox *mailbox;
    struct listener *plain, *tls_listener, *piles;
    struct tls *tls;
    struct str prefixes[PREFIXES_MAX];
    size_t prefix_count;

    struct ocpp_policy policy;
    struct ap3000_policy pile_policy;
    int64_t pile_quarantined; /* settlements that wait, of piles that are not accepted */
    struct network networks[PILE_NETWORKS_MAX];
    size_t network_count;
    struct link lines;
    struct buf hex, hex_answer; /* of the frame at hand, and of its answer */
    uint64_t id_key[2];
    uint64_t next_number;
    struct tag_book *tags;
    struct map slots; /* id -> struct slot */
    struct link sessions;
    size_t session_count;
    struct map tag_cache;                          /* key -> struct cached_tag */
    uint64_t station_changes;                      /* by persons: who was refused before the last one may be let in */
    uint64_t tag_changes;                          /* by persons: what was read before the last one may be old */
    struct map commands;                           /* id -> struct command, the open ones and the last done */
    struct command *done_ring[COMMANDS_DONE_KEPT]; /* done and told, from done_first on */
    size_t done_first, done_count, done_size;
    struct map failures;

    struct held *held_first, *held_last;
    size_t held_count;
    struct held *held_spare; /* of HELD_SMALL bytes, to be used again */
    size_t held_spare_count;
    struct link paused_room;
    uint64_t round;
    struct link waiting_tables; /* look-ups of what is in the log and not in the tables yet */
    atomic_uint waiting_table_count;
    _Atomic uint64_t durable, projected;
    uint64_t flushed;
    struct {
        struct mail mail;
        atomic_bool is_posted;
    } durable_mail, projected_mail;

    struct arena arena;
    struct shapes *shapes; /* of what stations say */
    struct buf text;
    uint64_t random_state[4];
    uint64_t hash_key[2];
    struct instant started_at;

    int64_t mass_counts[MASS_SLICES], mass_slice; /* losses in each slice of the window; the number of the last one */
    int64_t mass_told_slice;                      /* when it was told last */
    char mass_networks[8][64];
    size_t mass_network_count;

    bool is_draining;
    void (*drained)(void *data);
    void *drained_data;
    struct timer drain_check;
    int64_t drain_began_ms;
    _Atomic uint64_t stat_connections, stat_slots, stat_commands, stat_held;
};

/* gateway.c */
void gateway_random(struct gateway *g, uint8_t *out, size_t len); /* not for secrets */
/* Appends with a trace (NULL: a new one), counts it. The log's pending bytes are checked by gateway_has_room before. */
void gateway_append(struct gateway *g, struct slot *slot, struct event *e, const uint8_t *trace);
/* What one message led to: one trace, however many events. Returns how many of them went into quarantine. */
size_t gateway_append_all(struct gateway *g, struct slot *slot, const struct event *events, size_t count,
                          const uint8_t *trace);
/* A frame that is no event of its own is kept for the message view; its answer does not wait for it. */
void gateway_append_frame(struct gateway *g, struct slot *slot, struct str text, struct str answer, struct instant now);
struct held *held_new(struct gateway *g, enum held_kind kind, struct str bytes);
void held_add(struct gateway *g, struct held *h,
              uint64_t position); /* goes at once if that is durable and nothing of its session is before it */
bool gateway_has_room(struct gateway *g);
/* An event of the gateway's own about a station (slot NULL: about itself); payload is the struct of its type. */
uint64_t gateway_tell(struct gateway *g, struct slot *slot, enum event_type type, const void *payload);
/* Is that the id of a pile? The form decides, where AP3000 is listened for. */
bool gateway_is_pile(const struct gateway *g, struct str charge_point_id);

/* slots.c */
struct slot *slot_find(struct gateway *g, struct str id);
/* on_loaded is called now or later: OK, ERR_UNKNOWN (no row: the slot is there, unregistered), else the store's error.
 */
void slot_load(struct gateway *g, struct str id, struct waiter *w);
struct slot *slot_load_now(struct gateway *g, struct db *d, struct str id); /* at start, before the loop runs */
void slot_rest(struct slot *slot); /* nothing needs it at the moment: maybe drop it later */
void slot_free(struct slot *slot);
void slots_release(struct gateway *g);

/* sessions.c */
extern const struct conn_handlers session_handlers;
void session_accept(struct session *s); /* its generation is durable */
void session_pause(struct session *s, enum pause_reason why);
void session_resume(struct session *s, enum pause_reason why);
void failures_release(struct gateway *g);
void session_unref(struct session *s); /* frees it when it has ended and nothing is held for it */
void session_close(struct session *s, enum conn_end why, uint16_t code, struct str reason);
void session_init(struct session *s, struct gateway *g, struct conn *c);
void session_send(struct session *s, struct bytes answer);
/* It owns its station from now on; whoever did is replaced. The position of its generation in the log. */
uint64_t session_open(struct session *s, struct slot *slot, struct str protocol, int profile);
void session_end(struct session *s, enum conn_end why); /* it is open, and is not any more */
struct str host_of(struct str remote);                  /* "10.0.0.7:41234" -> "10.0.0.7" */

/* calls.c */
void call_message(struct session *s, struct str text);
void call_again(struct session *s); /* the stashed message */
void table_wait_add(struct gateway *g, struct table_wait *w);
void lookups_go_on(struct gateway *g); /* the tables have moved */
void lookups_release(struct gateway *g);
struct ocpp_input input_of(struct gateway *g, struct slot *slot);

/* tags.c */
void tag_cache_drop(struct gateway *g, struct str id_tag);
void tag_cache_release(struct gateway *g);
bool tag_at_hand(struct gateway *g, struct str id_tag, struct id_tag *out); /* absent: nothing is needed */
/* Of one that may not be at hand: begin, then run on a worker, then end, if that was OK; tag holds it. */
struct tag_lookup {
    char text[TAG_SIZE_MAX * 2];
    size_t len;
    bool is_wanted;
    uint64_t changes; /* gateway.tag_changes when it began */
    struct id_tag tag;
};
void tag_lookup_begin(struct gateway *g, struct str id_tag, struct tag_lookup *t);
MUST_USE enum err tag_lookup_run(struct db *d, struct tag_lookup *t);
void tag_lookup_end(struct gateway *g, const struct tag_lookup *t);

/* commands.c */
struct command_ending {
    const char *outcome, *reason; /* reason NULL: none */
    struct str status;            /* the device's own word; absent: Rejected */
    struct str response;          /* its payload; absent: none */
    struct str error_code, error_text;
    struct str frame; /* the answer as it came; absent: none */
};
void command_finish(struct command *c, const struct command_ending *end);
void command_finish_not_sent(struct command *c, const char *reason);
void command_on_timer(struct timer *t);
bool command_is_allowed(const struct slot *slot, const struct command *c);
struct command_result command_result_of(const struct command *c);
void command_free(struct command *c);
struct str command_name(const struct command *c);
/* A command of the server's own, at once: the station is in memory; one that is asked for already is not asked for
 * again. False: its queue is full. */
bool command_start(struct slot *slot, struct str name, struct str payload, bool is_urgent);
void commands_on_answer(struct session *s, const struct ocpp_frame *f, struct str text);
void commands_on_lost(struct slot *slot, bool is_for_good);
void commands_try_send(struct slot *slot);
void command_leave(struct gateway *g, struct command *c, struct session *s, struct str frame);
void command_tell_queued(struct command *c);
void command_tell_done(struct gateway *g, struct command *c);
void commands_release(struct gateway *g);

/* networks.c */
MUST_USE enum err networks_parse(struct gateway *g, struct str list, struct fault *why);
bool networks_have(const struct gateway *g, struct str remote); /* of "10.0.0.7:41234"; without a list all are in it */

/* lines.c */
extern const struct conn_handlers line_handlers;
void lines_close(struct gateway *g); /* those on which nobody is that waits for an answer */
/* A pile of it is lost: is that a loss of its own? A line that ends with all its piles is one. */
bool line_loss_counts(struct line *line);

/* arrivals.c */
struct pile_session *pile_find_on(struct line *line, uint32_t physical_id); /* NULL */
struct pile_session *pile_new_on(struct line *line, uint32_t physical_id);
void pile_load(struct pile_session *p); /* then it comes in with what it has said, or does not */
bool pile_is_refused(const struct pile_session *p, int64_t now_ms);
void pile_end(struct pile_session *p, enum conn_end why);
static inline struct pile_session *pile_of(struct session *s)
{
    return CONTAINER(s, struct pile_session, s);
}

/* piles.c */
void pile_frame(struct pile_session *p, const struct ap3000_frame *f, struct bytes raw);
void pile_keep(struct pile_session *p, struct bytes raw, bool is_answered); /* for pile_go_on */
void pile_go_on(struct pile_session *p);                                    /* with what waited */
/* With what waited, where it cannot be decided: what needs nothing of memory and log is answered, the rest is dropped.
 */
void pile_answer_bare(struct pile_session *p, struct str reason);
struct ap3000_input pile_input_of(struct gateway *g, struct slot *slot);
void pile_append(struct gateway *g, struct slot *slot, const struct ap3000_decision *d, const uint8_t *trace);
/* Wishes of a decision: copied before anything else uses arena and text anew, as each that is granted does. */
struct pile_wishes {
    struct ap3000_wish at[AP3000_WISHES_MAX];
    char tags[AP3000_WISHES_MAX][TAG_SIZE_MAX];
    size_t count;
};
void pile_wishes_of(const struct ap3000_decision *d, struct pile_wishes *out);
void pile_grant(struct slot *slot, const struct pile_wishes *w);
struct str hex_of(struct buf *to, struct bytes b); /* upper case */

/* pacing.c */
void pile_send(struct pile_session *p, struct bytes frame, bool is_answer);
void pile_send_command(struct pile_session *p, struct command *c, struct bytes frame); /* talk_left when it leaves */
void pile_take_back(struct pile_session *p, const struct command *c);                  /* if it has not left */
void pile_forget_out(struct pile_session *p);
void pile_on_pace(struct timer *t); /* the next frame may leave */

/* talks.c */
void talk_send(struct slot *slot, struct command *c);   /* its first frame */
const char *talk_reason_of(enum err e);                 /* why a command did not leave, in the contract's words */
void talk_leave(struct command *c, struct bytes frame); /* "sent" is durable */
void talk_left(struct command *c);                      /* its frame is on the line */
bool talk_take(struct pile_session *p, const struct ap3000_frame *f); /* it was an answer to what is under way */
void talk_see(struct pile_session *p, const struct ap3000_frame *f);  /* any other frame */
void talk_on_timer(struct command *c);
void talk_on_back(struct slot *slot); /* the pile is here again */
void talk_on_lost(struct command *c, bool is_for_good);
void talk_unsend(struct command *c, const char *reason);
void talk_resume(struct command *c); /* it was sent by the process before this one */

/* firmware.c */
void firmware_start(struct slot *slot, struct command *c); /* an UpdateFirmware that is next */
void firmware_resume(struct slot *slot, const struct firmware_job *job);
bool firmware_take(struct pile_session *p, const struct ap3000_frame *f, struct bytes raw);
void firmware_on_request(struct slot *slot);                /* the device asks for it from the beginning */
void firmware_leave(struct slot *slot, struct bytes frame); /* "sent" of its command is durable */
void firmware_on_late(struct command *c);                   /* its command has waited for long enough */
void firmware_on_back(struct slot *slot);
void firmware_on_lost(struct slot *slot, bool is_for_good);
void firmware_stop(struct slot *slot, const char *reason); /* by a person; none: nothing */
void firmware_forget(struct slot *slot);                   /* the slot goes: it is in the log */

/* submit.c */
void commands_trigger_boot(struct slot *slot);
enum err commands_resume(struct gateway *g, struct db *d);
#endif
