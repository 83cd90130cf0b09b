/* bus/parked.h - the rows of events that wait and of those that were given up (0001_bus.sql), for one consumer.
 * Inside a transaction; nothing here knows a handler. */
#ifndef BUS_PARKED_H
#define BUS_PARKED_H
#include "bus/bus.h"

#define PARKED_COPY_MAX ((size_t)17 << 20) /* a record and the name of its station */

/* An event that is due to be tried again. All but the numbers borrows from copy. */
struct parked {
    struct event event;
    int attempts;
    struct instant first_failed_at;
    struct buf copy; /* its record and station; buf_init by the caller, reused; max PARKED_COPY_MAX */
};

struct failure {
    bool is_parked;                /* already a row */
    int attempts;                  /* so far, this one included; 0: the event waits behind another */
    struct instant first_failed_at, at, next_try_at;
    const char *error;
};

MUST_USE enum err parked_add(struct db *d, struct str consumer, const struct event *e, const struct failure *f);
/* The event that is due longest. ERR_UNKNOWN: none is due; its record's own error: it cannot be read, but station,
 * position and id are set. */
MUST_USE enum err parked_find_due(struct db *d, struct str consumer, struct instant now, struct parked *out);
MUST_USE enum err parked_fail(struct db *d, struct str consumer, const struct event *e, const struct failure *f);
/* Takes it out; the next of its station is due at once. *is_last: there is none. */
MUST_USE enum err parked_remove(struct db *d, struct str consumer, const struct event *e, struct instant now,
                                bool *is_last);
MUST_USE enum err dead_letter_add(struct db *d, struct str consumer, const struct event *e, struct str gateway_id,
                                  const struct failure *f);
/* When the next one is due; INSTANT_NONE: nothing is parked. */
MUST_USE enum err parked_next_due(struct db *d, struct str consumer, struct instant *out);
#endif
