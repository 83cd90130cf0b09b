/* bus/bus.h - from a cursor to a handler: consumers of the log (and of topics), each with effect and cursor in one
 * transaction, retry, parking per station, dead letters; and the outbox through which their own events leave.
 *
 * On the embedded engine one writer thread runs all consumers and all other writes to the store. A consumer sees every
 * event that it wants at least once and its effect happens once: what it changes and its cursor move commit together.
 * When a handler fails: its changes for that event are undone; the event is parked with its reason and tried again after
 * a growing pause; later events of the same station wait behind it in order, all other stations go on. After
 * attempts_max it becomes a dead letter, which a person can retry or discard, and the station goes on. When it is the
 * store that fails (db_refusal), no event is blamed: the consumer stands and tries again.
 *
 * What consumers write is not synced commit by commit: after a power cut the newest of it may be gone together with the
 * cursors, and is done again from the log, which is kept from the cursors that are known to be on disk. What bus_write
 * commits is on disk when it returns. */
#ifndef BUS_BUS_H
#define BUS_BUS_H
#include "eventlog/log.h"
#include "store/gather.h"

struct consumer {
    const char *name;
    bool wants[EVENT_TYPE_COUNT];
    /* One event, inside a transaction of d. An error undoes what this call wrote, and is retried. */
    enum err (*on_event)(void *state, struct db *d, const struct event *e, struct fault *why);
    /* May be NULL: before the first event of a batch, and before its commit: to gather writes of many events. An error in
     * on_batch_end undoes the batch, which is then done again event by event. on_batch_undone: forget what was gathered; comes
     * after every undoing of on_event, on_batch_end or on_tick, also if only one event of several was undone. */
    enum err (*on_batch_begin)(void *state, struct db *d);
    enum err (*on_batch_end)(void *state, struct db *d, struct fault *why);
    void (*on_batch_undone)(void *state);
    /* May be NULL: after a commit, up to this position. Writer's thread. */
    void (*on_committed)(void *state, uint64_t position);
    /* May be NULL: about once a second on the writer's thread, in a transaction: time-outs, cleaning up. */
    enum err (*on_tick)(void *state, struct db *d, struct instant now, struct fault *why);
    void *state;
};

struct bus_options {
    struct str log_dir;
    struct eventlog *log;      /* waited on for new events; its segments are kept from the slowest cursor on */
    const char *db_path;
    unsigned batch_max;        /* events a transaction, 32,000 */
    int gather_ms;             /* 300: under load, how long events are let come together, since a large batch costs less an event */
    int attempts_max;          /* 5 */
    int retry_first_ms;        /* 200, doubled each time up to retry_most_ms 30,000 */
    int retry_most_ms;
    unsigned parked_max;       /* events waiting behind a failed one, over all stations; past it the consumer stands still and says so */
    const struct consumer *consumers; /* borrowed */
    size_t consumer_count;
    int64_t (*clock_us)(void); /* since 1970; NULL: the system's. Tests own it. */
};
struct bus_options bus_options_default(void);

/* The tables of cursors, parked events, dead letters and outbox. Run by whoever opens the database first. */
extern const struct migration bus_migrations[];
extern const size_t bus_migration_count;

struct bus;
/* Opens the database; no thread yet. ERR_CORRUPT also: a cursor is past the end of the log, so that the store belongs to another. */
MUST_USE enum err bus_open(const struct bus_options *o, struct bus **out, struct fault *why);
/* Runs the consumers on the calling thread until each has seen all that is durable, what is parked and due included, then ticks
 * once: at start, before anyone is answered. What fails there is parked as usual; a consumer that stands at parked_max stays
 * behind. An error: the store refuses. */
MUST_USE enum err bus_catch_up(struct bus *b, struct fault *why);
MUST_USE enum err bus_start(struct bus *b);
/* Someone waits until the consumers have seen this position: no more events are let come together than that. Any thread, at any time
 * between bus_open and bus_close; waits for nothing. */
void bus_hasten(struct bus *b, uint64_t position);
void bus_stop(struct bus *b); /* ends the batch at hand, commits, joins */
void bus_close(struct bus *b);

/* Writes that are not a consumer's: fn runs in a transaction on the writer's thread (directly before bus_start), committed if it
 * returns OK, else undone; returns what fn returned or the commit's error. Waits. Any thread but the writer's. */
MUST_USE enum err bus_write(struct bus *b, enum err (*fn)(struct db *d, void *arg, struct fault *why), void *arg, struct fault *why);

enum topic {
#define TOPIC(name, number, text) TOPIC_##name = (number),
#include "bus/topic.def"
};
struct str topic_name(enum topic topic);
/* Put an event into the outbox, inside the transaction at hand. Topics on the embedded engine are tables that others read
 * by cursor: topic_read(). key keeps order; event_id makes it once for ever (a second put of the same id is OK and does nothing).
 * body: JSON or, where topic.def says so, what JSON is made of when it leaves; neither changes afterwards. */
MUST_USE enum err outbox_put(struct db *d, enum topic topic, struct str key, struct uuid event_id, struct str type,
                             struct instant at, struct bytes body);
/* The same for many of one topic within a transaction: where the next goes is asked for once, and they go in together. */
struct outbox {
    enum topic topic;
    int64_t first, next; /* places of the first that is gathered and of the one to come; next 0: not known */
    struct gather rows;
};
void outbox_init(struct outbox *o, enum topic topic);
void outbox_release(struct outbox *o);
MUST_USE enum err outbox_append(struct outbox *o, struct db *d, struct str key, struct uuid event_id, struct str type, struct instant at,
                                struct bytes body);
MUST_USE enum err outbox_write(struct outbox *o, struct db *d); /* before the transaction ends */
void outbox_forget(struct outbox *o);                           /* after that, or when it is undone */
struct topic_message {
    uint64_t position;
    struct str key, type;
    struct bytes body;
    struct uuid id;
    struct instant at;
};
struct db_rows *topic_read(struct db *d, enum topic topic, uint64_t after, int most);
void topic_row(struct db_rows *r, struct topic_message *out);

/* For /system, /metrics, /dead-letters. */
struct consumer_status {
    const char *name;
    uint64_t position;
    uint64_t lag_events;
    int64_t lag_ms;            /* age of the oldest event not yet seen; 0 when drained */
    const char *state;         /* "running", "retrying" (something is parked), "standing" (parked_max, or the store refuses) */
    char last_error[160];
    uint64_t events, batches, errors, dead_letters;
    uint64_t busy_us;          /* time spent in its batches */
};
void bus_status(struct bus *b, size_t consumer_index, struct consumer_status *out); /* any thread */
size_t bus_consumer_count(const struct bus *b);
/* ERR_UNKNOWN: no such letter. Inside bus_write. retry puts it in front of its station's queue again. */
MUST_USE enum err dead_letter_retry(struct db *d, int64_t dead_letter_id);
MUST_USE enum err dead_letter_discard(struct db *d, int64_t dead_letter_id);
#endif
