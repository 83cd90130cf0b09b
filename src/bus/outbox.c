/* The outbox: a service's own events, committed with the change that they tell of. The position is counted inside the
 * statement: there is one writer, so it has no gap and rises in the order of commits. */
#include "bus/bus.h"

enum err outbox_put(struct db *d, struct str topic, struct str key, struct uuid event_id, struct str type,
                    struct instant at, struct str json)
{
    /* VALUES, since what SELECT gives of the table that it goes into would be laid by in one of its own: that doubled
     * the cost. */
    return DB_RUN(d,
                  "INSERT INTO outbox(topic, position, key, event_id, type, at, json) VALUES "
                  "(?1, coalesce((SELECT max(position) FROM outbox WHERE topic=?1), 0) + 1, ?2, ?3, ?4, ?5, ?6) "
                  "ON CONFLICT(topic, event_id) DO NOTHING",
                  db_text(topic), db_text(key), db_blob((struct bytes){event_id.at, sizeof event_id.at}), db_text(type),
                  db_time(at), db_text(json));
}

struct db_rows *topic_read(struct db *d, struct str topic, uint64_t after, int most)
{
    return DB_ROWS(d,
                   "SELECT position, key, event_id, type, at, json FROM outbox WHERE topic=?1 AND position>?2 "
                   "ORDER BY position LIMIT ?3",
                   db_text(topic), db_int((int64_t)after), db_int(most));
}

void topic_row(struct db_rows *r, struct topic_message *out)
{
    struct bytes id = db_col_blob(r, 2);
    *out = (struct topic_message){
        .position = (uint64_t)db_col_int(r, 0),
        .key = db_col_text(r, 1),
        .type = db_col_text(r, 3),
        .json = db_col_text(r, 5),
        .at = db_col_time(r, 4),
    };
    for (size_t i = 0; i < sizeof out->id.at && i < id.len; i++)
        out->id.at[i] = id.at[i];
}
