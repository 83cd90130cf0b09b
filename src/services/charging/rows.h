/* services/charging/rows.h - sessions, their points and their history as rows (0001_sessions.sql). Inside a
 * transaction. */
#ifndef SERVICES_CHARGING_ROWS_H
#define SERVICES_CHARGING_ROWS_H
#include "services/charging/session.h"
#include "store/gather.h"

/* The columns that session_read takes, in its order, from the first on. */
#define SESSION_COLUMNS                                                                                             \
    "session_number, session_id, transaction_id, connector_id, state, state_before, id_tag, order_no, "             \
    "reservation_id, "                                                                                              \
    "is_offline, started_at, ended_at, device_started_at, device_ended_at, last_at, last_update, meter_start_wh, "  \
    "meter_stop_wh, base_wh, register_wh, energy_wh, energy_source, integral_wms, power_at, max_power_w, power_w, " \
    "voltage_m, current_m, temperature_m, flags, stop_reason, stop_id_tag, reading_count, history_count, sequence, read_at, " \
    "tier_power_w, idle_s, stop_code"
#define SESSION_COLUMN_COUNT 39
/* Those of a station, or with a tag, are found block by block. Rows of a higher block started later, so in the order of
 * charging_session_blocks.block, started_at and session_number they need not be sorted. */
#define SESSION_BLOCK_BITS 34 /* of the microseconds of a start, below its block: 4.8 hours */
#define SESSIONS_BY_BLOCK \
    "charging_session_blocks CROSS JOIN charging_sessions ON charging_sessions.block=charging_session_blocks.block"
static inline int64_t session_block(struct instant started)
{
    return started.us >> SESSION_BLOCK_BITS;
}
void session_read(struct db_rows *r, struct session *out);

/* "1234567" -> the number that it was made of, by which rows lie in the order in which their transactions began. Other ids have none; nor
 * have those that are not written as we write them, since two texts never have one key. */
struct integer session_transaction_key(const uint64_t id_key[2], struct str transaction_id);

void session_rows_init(struct gather *g);
MUST_USE enum err session_add(struct gather *g, struct db *d, struct str station, const struct session *s); /* a new one */
MUST_USE enum err session_update(struct db *d, const struct session *s); /* all that may change, but for its place */
MUST_USE enum err session_block_add(struct db *d, int64_t block); /* that it is there: before a session of it */
/* What lists are ordered and filtered by: four indexes, so only where it did change. */
MUST_USE enum err session_update_place(struct db *d, const struct session *s);
MUST_USE enum err session_update_readings(struct db *d, const struct session *s); /* what readings change: no index */

struct history {
    struct str type;
    const struct uuid *event_id; /* NULL: time itself */
    struct instant at, received;
    enum session_state from, to;
    struct str detail;
};
void history_rows_init(struct gather *g);
/* At s->history_count. */
MUST_USE enum err history_add(struct gather *g, struct db *d, const struct session *s, const struct history *h);
#endif
