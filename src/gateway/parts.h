/* gateway/parts.h - private to gateway/: what its files share.
 *
 *   gateway.c   opening, rounds, what is held until it is durable, draining
 *   slots.c     the stations in memory: found, loaded, dropped
 *   sessions.c  connections: upgrade, authentication, take-over, end
 *   calls.c     messages: to the pure core and into the log
 *   commands.c  commands: send, answer, time-outs, one outcome
 *   submit.c    commands: taken on, repeated, resumed after a restart
 *   people.c    what a person decides: closing a transaction, quarantine */
#ifndef GATEWAY_PARTS_H
#define GATEWAY_PARTS_H
#include "gateway/gateway.h"

#include "base/log.h"
#include "metrics/metrics.h"
#include "proto/ocpp16/decide.h"
#include "services/stations/stations.h"
#include "wire/conn.h"
#include "wire/tls.h"

#include <stdatomic.h>
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

struct session;
struct command;

/* A station in memory. */
struct slot {
    struct station station;
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
};

/* Something to go on with when a slot is loaded. */
struct waiter {
    struct link link;
    void (*on_loaded)(struct waiter *w, struct slot *slot, enum err e);
};

enum pause_reason { PAUSE_FLOOD = 1, PAUSE_ROOM = 2, PAUSE_LOOKUP = 4, PAUSE_HELD = 8, PAUSE_RATE = 16 };

struct session {
    struct conn *conn; /* NULL when it has ended */
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
    unsigned held;
    char id[65];
    char station[IDENTITY_MAX + 1];
    const struct ocpp_action *action;
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
    char *db_path, *log_dir;
    struct workers *workers;
    struct mailbox *mailbox;
    struct listener *plain, *tls_listener;
    struct tls *tls;
    struct str prefixes[PREFIXES_MAX];
    size_t prefix_count;

    struct ocpp_policy policy;
    uint64_t id_key[2];
    uint64_t next_number;
    struct tag_book *tags;
    struct map slots; /* id -> struct slot */
    struct link sessions;
    size_t session_count;
    struct map tag_cache;                          /* key -> struct cached_tag */
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
    struct link waiting_tables; /* look-ups whose station's newest events are not in the tables yet */
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
struct held *held_new(struct gateway *g, enum held_kind kind, struct str bytes);
void held_add(struct gateway *g, struct held *h,
              uint64_t position); /* goes at once if that is durable and nothing of its session is before it */
bool gateway_has_room(struct gateway *g);

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

/* calls.c */
void call_message(struct session *s, struct str text);
void call_again(struct session *s); /* the stashed message */
const struct id_tag *tag_cached(struct gateway *g, struct str id_tag);
void tag_cache_put(struct gateway *g, struct str id_tag, const struct id_tag *tag);
void tag_cache_drop(struct gateway *g, struct str id_tag);
void tag_cache_release(struct gateway *g);
void lookups_go_on(struct gateway *g); /* the tables have moved */
void lookups_release(struct gateway *g);
/* Events of a decision into the log; position of the last. */
void append_decision(struct gateway *g, struct slot *slot, const struct ocpp_decision *d, const uint8_t *trace);
struct ocpp_input input_of(struct gateway *g, struct slot *slot);

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
bool command_is_allowed(const struct slot *slot, const struct ocpp_action *a);
struct command_result command_result_of(const struct command *c);
void command_free(struct command *c);
void commands_on_answer(struct session *s, const struct ocpp_frame *f, struct str text);
void commands_on_lost(struct slot *slot, bool is_for_good);
void commands_try_send(struct slot *slot);
void command_leave(struct gateway *g, struct command *c, struct session *s, struct str frame);
void command_tell_queued(struct command *c);
void command_tell_done(struct gateway *g, struct command *c);
void commands_release(struct gateway *g);

/* submit.c */
void commands_trigger_boot(struct slot *slot);
enum err commands_resume(struct gateway *g, struct db *d);
#endif
