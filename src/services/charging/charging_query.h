/* services/charging/charging_query.h - sessions as the API shows them (charging.md 2, api.md 3). d is a reader.
 * Everything is written as one JSON value where w stands; on an error what was written is to be thrown away. */
#ifndef SERVICES_CHARGING_CHARGING_QUERY_H
#define SERVICES_CHARGING_CHARGING_QUERY_H
#include "bus/bus.h"
#include "schema/schema.h"

struct charging_filter {
    struct str device_id, status, id_tag, transaction_id; /* absent: any */
    const uint64_t *id_key;                               /* with a transaction_id: what ids are made with, as the consumer has it */
    struct integer port_number;
    struct instant started_since, started_until; /* from, and before; not set: any */
    bool newest_first;                           /* the key is started_at, equal ones by age */
};

/* An object with event_history. ERR_UNKNOWN: no such session, whatever the form of the id. */
MUST_USE enum err charging_write_session(struct db *d, struct str session_id, struct json_writer *w);
/* An array of sessions, without event_history. ERR_RANGE: filter.status is no state. In a transaction, since where a page
 * begins is counted before it is read. */
MUST_USE enum err charging_write_page(struct db *d, const struct charging_filter *f, int64_t page, int64_t page_size,
                                      struct json_writer *w);
MUST_USE enum err charging_count(struct db *d, const struct charging_filter *f, int64_t *total);
/* The same by cursor: absent or empty is the beginning; *next is empty after the last. ERR_FORMAT: not a cursor of
 * ours. */
#define CHARGING_CURSOR_SIZE 48
MUST_USE enum err charging_write_after(struct db *d, const struct charging_filter *f, struct str cursor, int64_t limit,
                                       struct json_writer *w, char next[CHARGING_CURSOR_SIZE]);
/* An array of {time, power_w, energy_wh, voltage, current, temperature} after a time (not set: from the beginning), at
 * most limit; every_s > 0: the newest of each such span. *last: time of the last one written; not set: none.
 * ERR_UNKNOWN: no such session. */
MUST_USE enum err charging_write_curve(struct db *d, struct str session_id, struct instant after, int64_t every_s,
                                       int64_t limit, struct json_writer *w, struct instant *last);
/* charging.md 5. status: of the consumer "charging", for errors and times, or NULL. */
MUST_USE enum err charging_write_statistics(struct db *d, const struct consumer_status *status, struct json_writer *w);
/* The active session of a port, the newest one; id is empty where there is none. */
MUST_USE enum err charging_find_active(struct db *d, struct str device_id, int64_t port_number,
                                       char id[UUID_TEXT_SIZE]);
#endif
