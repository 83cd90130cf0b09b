/* bus/runner.h - one consumer at work: batches from its reader, what is parked, what is given up. All on the writer's
 * thread.
 *
 * A batch of events and the cursor are one transaction. When something in it fails, all of it is undone and the same events are done once
 * more, each in a transaction of its own, so that the one at fault is found and parked. */
#ifndef BUS_RUNNER_H
#define BUS_RUNNER_H
#include "bus/parked.h"
#include "eventlog/reader.h"
#include <stdatomic.h>

struct runner {
    const struct consumer *consumer;
    const struct bus_options *options;
    struct str name;
    struct log_reader *reader;
    bool wants_any;            /* false: what comes is passed over unread */
    uint64_t position;         /* seen: done, parked or not wanted; ahead of its row over what is not wanted */
    uint64_t synced;           /* the row as it is known to be on disk */
    uint64_t slow_until;       /* up to here each event is a transaction: a batch that failed ended here */
    struct instant seen_until; /* received of the last event seen, or when there was no more */
    unsigned batch_limit;      /* events the next batch may take */
    uint64_t map_key[2];
    struct map waiting;        /* stations with parked events; keys and values are theirs */
    size_t parked_count;
    bool is_stale; /* waiting, parked_count and due are to be read again: after a rollback or another's write */
    struct instant due;        /* of the next parked event */
    struct instant stand_until;
    int stand_ms;              /* 0: the store takes what it is given */
    bool is_full;              /* parked_max is reached */
    struct parked at_hand;
    struct consumer_status status;
};

enum step { STEP_IDLE, STEP_WORKED, STEP_REFUSED /* by the store: *why says how */ };

MUST_USE enum err runner_open(struct runner *r, const struct bus_options *o, const struct consumer *c, struct db *d,
                              struct fault *why);
void runner_release(struct runner *r);
/* Why a batch should not be long; may change meanwhile. */
struct haste {
    atomic_bool to_write;    /* a writer waits, or the bus stops */
    _Atomic uint64_t wanted; /* the furthest position that someone waits for */
};
/* What is due of the parked, then one batch. */
enum step runner_step(struct runner *r, struct db *d, struct instant now, const struct haste *haste, struct fault *why);
/* Its on_tick, in a transaction of its own. */
void runner_tick(struct runner *r, struct db *d, struct instant now);
MUST_USE enum err runner_store_position(struct runner *r, struct db *d); /* inside a transaction */
int64_t monotonic_us(void);
#endif
