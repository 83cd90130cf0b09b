/* eventlog/shelf.h - batches of a log, read, checked, unsqueezed and taken apart once for several readers of one thread.
 *
 * Readers that follow each other at a short distance find on it what the first of them put there. A batch leaves it when each
 * has had it, or for a newer one when the shelf is full: so a reader that stands elsewhere costs the others nothing, and finds what it
 * wants in the files, as it would without a shelf. Only what is sound lies here: damage each reader meets by itself. */
#ifndef EVENTLOG_SHELF_H
#define EVENTLOG_SHELF_H
#include "eventlog/segment.h"

struct kept_batch {
    struct batch_head head;              /* count 0: nothing is in it */
    struct buf data;
    uint32_t *starts;                    /* of its records in data */
    size_t starts_room;
    /* the shelf's own */
    unsigned holder_count;               /* readers that stand in it */
    unsigned had_count;                  /* readers that have had it */
    bool is_put;
    size_t size;                         /* as it was counted */
    struct kept_batch *older, *newer;    /* of those that were put */
    struct kept_batch *next_free;
};
void kept_batch_init(struct kept_batch *b);
void kept_batch_release(struct kept_batch *b);

struct shelf;
/* bytes_max bounds all that lies on it, but for what a reader stands in. */
struct shelf *shelf_new(size_t bytes_max);
void shelf_free(struct shelf *s); /* after its readers */
void shelf_join(struct shelf *s);
void shelf_leave(struct shelf *s, struct kept_batch *held); /* held may be NULL */

/* The batch that begins at first, held for the caller; NULL: it is not there. */
struct kept_batch *shelf_find(struct shelf *s, uint64_t first);
/* A place for the caller to read a batch into, held for it; whatever was in it is gone. */
struct kept_batch *shelf_take(struct shelf *s);
void shelf_put(struct shelf *s, struct kept_batch *b); /* what was taken has been read: others may find it */
void shelf_give_back(struct shelf *s, struct kept_batch *b);
/* Frees what nobody stands in. */
void shelf_trim(struct shelf *s);
size_t shelf_size(const struct shelf *s); /* bytes that it holds */
#endif
