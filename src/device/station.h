/* device/station.h - what a station is to us while it is in memory: registration, connectors, transactions, recent
 * answers. Pure: no clock, socket, file, thread; time comes in. Life cycles are rows (life_cycle.c), each state is
 * written by one function. */
#ifndef DEVICE_STATION_H
#define DEVICE_STATION_H
#include "base/id.h"
#include "base/time.h"

#define TAG_SIZE_MAX           64 /* bytes kept of an idTag: 20 characters by the standard, more come */
#define STATION_CONNECTORS_MAX 256
#define STATION_OPEN_MAX       256 /* open transactions */
#define STATION_CLOSED_MAX     4   /* closed ones kept in memory; older ones are looked up */
#define STATION_RECENT_MAX     8   /* answers kept for repeats */
#define STATION_METERS_MAX     8   /* contents of meter messages kept for repeats */
#define STATION_ORPHANS_MAX    4   /* stops that came before their start */

enum registration { REGISTRATION_UNKNOWN, REGISTRATION_ACCEPTED, REGISTRATION_PENDING, REGISTRATION_REJECTED };
struct str registration_text(enum registration r); /* "accepted", .. ; absent for UNKNOWN */
enum registration registration_find(struct str text);

struct connector {
    int32_t id;      /* 0: the station */
    char status[24]; /* "" none yet */
    char error_code[32];
    struct instant since;
};

enum transaction_state { TRANSACTION_OPEN, TRANSACTION_CLOSED };
struct transaction {
    uint64_t number; /* counts; its id on the wire is the permutation */
    uint32_t id;     /* OCPP: 1 .. 2^31-1 */
    int32_t connector_id;
    enum transaction_state state;
    bool is_confirmed;  /* the station has used the id: it knows it */
    bool is_superseded; /* closed because another began on its connector: its stop may still come */
    int64_t meter_start_wh, meter_stop_wh;
    struct instant device_started, started; /* started: corrected */
    struct instant device_stopped;
    uint64_t start_key;    /* of the content of the start: transaction_start_key() */
    uint64_t stop_key;     /* of the content of the first stop; 0 none */
    uint8_t first_verdict; /* on its tag, as the first answer said it: repeats get the same */
    char id_tag[TAG_SIZE_MAX];
};
/* The content by which a start is known again (ocpp16.md 5.6). */
struct transaction_start {
    int32_t connector_id;
    struct str id_tag;
    struct instant timestamp;
    int64_t meter_start_wh;
};
uint64_t transaction_start_key(const struct transaction_start *s);

struct recent {
    uint64_t message_key; /* of unique id, action and payload; 0: empty */
    char *answer;         /* whole frame; owned */
    uint32_t answer_len;
};
struct said { /* what a station said lately, by which its repeats are known */
    struct recent recent[STATION_RECENT_MAX];
    uint64_t meters[STATION_METERS_MAX];
    uint16_t recent_next, meter_next;
};
struct orphan { /* a stop that waits for its start */
    struct uuid quarantine_id;
    int64_t meter_stop_wh;
    struct instant timestamp;
    char reason[20];
    bool is_set;
};

/* What each message needs comes first: two lines of the cache. */
struct station {
    char *id; /* owned, terminated */
    struct connector *connectors;
    struct transaction *transactions; /* open ones and the last closed ones, oldest first */
    struct said *said;                /* NULL: nothing yet that could be repeated */
    uint16_t connector_count, transaction_count;
    enum registration registration;
    uint64_t generation; /* of the newest authenticated connection: only rises */
    uint64_t sequence;   /* of the last event */
    uint64_t position;   /* in the log, of the last event */
    uint32_t boot_count; /* in this process: a station may count its message ids anew after each */
    bool has_booted;     /* ever, in the tables */
    bool has_secret, has_secret_text;
    int32_t security_profile;
    struct instant newest_start; /* latest device time of a start, of all transactions there ever were; not set: none */
    struct orphan *orphans;      /* STATION_ORPHANS_MAX of them, or NULL */
    uint8_t secret_salt[16], secret_hash[32], secret_text_hash[32];
};
/* A message of it is about to be decided: what it is compared with is fetched while it is read. With a thousand stations none of
 * it is in the processor's cache. */
static inline void station_expect(const struct station *s)
{
    const char *said = (const char *)s->said;
    __builtin_prefetch(s->id);
    __builtin_prefetch(s->connectors);
    if (s->transaction_count > 0)
        __builtin_prefetch(&s->transactions[s->transaction_count - 1]);
    for (size_t at = 0; said != NULL && at < sizeof *s->said; at += 64)
        __builtin_prefetch(said + at);
}

void station_init(struct station *s, struct str id);
void station_release(struct station *s);

struct connector *station_connector(struct station *s, int64_t id); /* made if new; NULL past the limit */
struct connector *station_connector_find(struct station *s, int64_t id);
/* Is the step one that ocpp16.md 10.5 lists? Everything is accepted; the answer is for a flag. */
bool connector_step_is_listed(struct str from, struct str to);
void connector_set_status(struct connector *c, struct str status, struct str error_code, struct instant since);

struct transaction *station_transaction(struct station *s, uint32_t id);      /* of this station, or NULL */
struct transaction *station_open_on(struct station *s, int64_t connector_id); /* newest open one there, or NULL */
size_t station_open_count(const struct station *s);
struct transaction *station_started_by(struct station *s, uint64_t start_key); /* repeat of a start, or NULL */
struct transaction *station_stopped_by(struct station *s, uint64_t stop_key);  /* repeat of a stop, or NULL */
/* Adds a copy; drops the oldest closed one past STATION_CLOSED_MAX. NULL: STATION_OPEN_MAX. */
struct transaction *station_add_transaction(struct station *s, const struct transaction *t);

/* Life of a transaction as rows: {state, input} -> state, or refused. One function writes state. */
enum transaction_input { TRANSACTION_METER, TRANSACTION_STOP, TRANSACTION_SUPERSEDE, TRANSACTION_OPERATOR_CLOSE };
MUST_USE enum err transaction_apply(struct transaction *t, enum transaction_input input); /* ERR_STATE: no such row */

/* The first answer again: NULL if this message was not answered lately. */
const struct recent *station_recent(const struct station *s, uint64_t message_key);
void station_remember(struct station *s, uint64_t message_key, struct str answer);
bool station_meter_is_repeat(const struct station *s, uint64_t content_key);
void station_remember_meter(struct station *s, uint64_t content_key);
void station_add_orphan(struct station *s, const struct orphan *o);

/* --- tags --- */
struct id_tag {
    bool is_known;
    bool is_blocked;
    struct instant expires_at; /* not set: never */
    char parent[TAG_SIZE_MAX]; /* "" none */
    int32_t max_concurrent;    /* -1: the default */
    int64_t balance_minor;     /* of the account behind it, as it is told at the pile */
    bool has_balance;
    uint8_t rate_mode; /* of AP3000: by what it is charged */
};
/* A tag as it is compared: lower case, without blanks or control bytes at its end (field-lessons.md 47); returns the
 * length. */
size_t tag_key(struct str id_tag, char out[TAG_SIZE_MAX]);

/* How many transactions each tag has open, over all stations of this process. */
struct tag_book;
struct tag_book *tag_book_new(const uint64_t hash_key[2]);
void tag_book_free(struct tag_book *b);
void tag_book_add(struct tag_book *b, struct str id_tag, int by); /* +1, -1 */
int tag_book_count(const struct tag_book *b, struct str id_tag);
#endif
