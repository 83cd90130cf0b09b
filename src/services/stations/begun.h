/* services/stations/begun.h - private to stations/: the transactions that began in this batch, kept until its end: one that
 * also ended in it is one row written once. */
#ifndef SERVICES_STATIONS_BEGUN_H
#define SERVICES_STATIONS_BEGUN_H
#include "store/counted.h"

/* What ends a transaction, as the row takes it. */
struct transaction_end {
    struct instant at, device_at;
    int64_t meter_wh, energy_wh, key;
    struct str reason, id_tag, flags; /* flags: joined to what is there */
    bool is_override;                 /* also of one that has an end: an operator's, until the device tells */
};
/* A row of transactions. All text is the batch's. */
struct transaction_row {
    uint64_t number;
    uint64_t position;
    int64_t connector_id, meter_start_wh;
    struct str transaction_id, station, id_tag, id_tag_status, order_no, flags;
    struct instant started, device_started, received;
    bool is_superseded, is_stopped;
    struct instant superseded_at;
    struct transaction_end end;
};

struct begun {
    struct transaction_row *rows; /* in the order in which they began */
    size_t count, room;
    uint32_t *slots;              /* by number: place in rows + 1, 0 empty; twice as many as room */
    struct arena text;
    struct counted counts; /* of what was written */
};
void begun_init(struct begun *b);
void begun_release(struct begun *b);
void begun_forget(struct begun *b); /* after they were written, or when the batch was undone */

/* A number that is there already stays as it is, as it does in the table. */
void begun_add(struct begun *b, const struct transaction_row *row);
/* The same in memory or, where it began before this batch, in the table. */
MUST_USE enum err begun_supersede(struct begun *b, struct db *d, uint64_t number, struct instant at);
MUST_USE enum err begun_stop(struct begun *b, struct db *d, uint64_t number, const struct transaction_end *end);
/* Writes the rows, and how many transactions there are now, and where; inside a transaction. */
MUST_USE enum err begun_write(struct begun *b, struct db *d);
#endif
