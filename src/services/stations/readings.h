/* services/stations/readings.h - private to stations/: where in the log the readings of a batch are, gathered by
 * transaction and written as one row each. */
#ifndef SERVICES_STATIONS_READINGS_H
#define SERVICES_STATIONS_READINGS_H
#include "store/db.h"

struct reading_note {
    uint64_t number, position; /* of the transaction; in the log */
    bool is_named;
};
struct readings {
    struct reading_note *notes;
    size_t count, room;
};
void readings_note(struct readings *r, struct reading_note note);
/* Writes what was noted; inside a transaction. */
MUST_USE enum err readings_write(struct readings *r, struct db *d);
void readings_forget(struct readings *r); /* after that, or when the batch was undone */
void readings_release(struct readings *r);
#endif
