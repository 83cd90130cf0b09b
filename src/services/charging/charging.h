/* services/charging/charging.h - the consumer that makes charging sessions of events (charging.md): one for each
 * (station, transaction), with its curve, its history and the statistics, all in the transaction of the events; what
 * follows from a session leaves through the topic charging.session.events (payments.md 23.3).
 *
 * Sessions of a batch are gathered in memory and written once at its end. */
#ifndef SERVICES_CHARGING_CHARGING_H
#define SERVICES_CHARGING_CHARGING_H
#include "bus/bus.h"

extern const struct migration charging_migrations[];
extern const size_t charging_migration_count;

struct charging_options {
    uint64_t id_key[2];     /* that ids of transactions are made with (stations_id_key): the same for as long as there is a store */
    bool is_tracking;       /* enable_session_tracking; false: nothing is consumed */
    bool keeps_history;     /* enable_event_logging */
    int64_t timeout_s;      /* session_timeout: active sessions without a word for so long are timed out */
    int64_t cleanup_s;      /* session_cleanup_interval */
    int64_t power_window_s; /* power_update_window: at most one point of the curve in each; 0: all */
};
struct charging_options charging_options_default(void);

struct charging;
struct charging *charging_new(const struct charging_options *o);
void charging_free(struct charging *c);
void charging_consumer(struct charging *c, struct consumer *out); /* name "charging"; c outlives it */
#endif
