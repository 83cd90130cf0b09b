/* services/stations/readings.h - private to stations/: where in the log the readings of a batch are, gathered by
 * transaction and written as one row each. */
#ifndef SERVICES_STATIONS_READINGS_H
#define SERVICES_STATIONS_READINGS_H
#include "store/db.h"

struct reading_note {
    uint64_t number, position; /* of the transaction; in the log */
    bool is_named;
};
/* The readings of one row: their places in notes form a chain, in the order of positions. */
struct reading_group {
    uint64_t number, position; /* position: of its first */
    bool is_named;
    uint32_t count, first, last;
};
struct readings {
    struct noted {
        uint64_t position;
        uint32_t next; /* of its group */
    } *notes;
    size_t count, room;
    struct reading_group *groups;
    size_t group_count, group_room;
    uint32_t *slots; /* by number and is_named: place in groups + 1, 0 empty; twice as many as group_room */
    uint64_t *order; /* of the groups when they are written; as many as group_room */
};
/* Positions come in rising order. */
void readings_note(struct readings *r, struct reading_note note);
/* Writes what was noted; inside a transaction. */
MUST_USE enum err readings_write(struct readings *r, struct db *d);
void readings_forget(struct readings *r); /* after that, or when the batch was undone */
void readings_release(struct readings *r);
#endif
