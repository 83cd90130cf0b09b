/* The outbox: a service's own events, committed with the change that they tell of. The position is counted inside the
 * transaction: there is one writer, so it has no gap and rises in the order of commits. */
#include "bus/bus.h"

#define POSITION_BITS 48
#define POSITION_MOST (((int64_t)1 << POSITION_BITS) - 1)

static int64_t place_of(enum topic topic, uint64_t position)
{
    return ((int64_t)topic << POSITION_BITS) + (position > (uint64_t)POSITION_MOST ? POSITION_MOST : (int64_t)position);
}

struct str topic_name(enum topic topic)
{
    switch (topic) {
#define TOPIC(name, number, text)                                                                                      \
    case TOPIC_##name:                                                                                                 \
        return STR(text);
#include "bus/topic.def"
    }
    return (struct str){NULL, 0};
}

static enum err find_end(struct db *d, struct outbox_end *end, enum topic topic)
{
    struct db_rows *r = DB_ROWS(d, "SELECT max(place) FROM outbox_messages WHERE place>?1 AND place<=?2",
                                db_int(place_of(topic, 0)), db_int(place_of(topic, UINT64_MAX)));
    end->next = (db_next(r) && !db_col_is_null(r, 0) ? db_col_int(r, 0) : place_of(topic, 0)) + 1;
    return db_rows_end(r);
}

enum err outbox_append(struct db *d, struct outbox_end *end, enum topic topic, struct str key, struct uuid event_id,
                       struct str type, struct instant at, struct bytes body)
{
    enum err e = end->next == 0 ? find_end(d, end, topic) : OK;
    if (e == OK)
        e = DB_RUN(d,
                   "INSERT INTO outbox_messages(place, topic, key, event_id, type, at, body) VALUES (?1, ?2, ?3, ?4, ?5, "
                   "?6, ?7) ON CONFLICT(event_id, topic) DO NOTHING",
                   db_int(end->next), db_int(topic), db_text(key),
                   db_blob((struct bytes){event_id.at, sizeof event_id.at}), db_text(type), db_time(at), db_blob(body));
    if (e != OK)
        end->next = 0;
    else if (db_changes(d) > 0)
        end->next++;
    return e;
}

enum err outbox_put(struct db *d, enum topic topic, struct str key, struct uuid event_id, struct str type,
                    struct instant at, struct bytes body)
{
    struct outbox_end end = {0};
    return outbox_append(d, &end, topic, key, event_id, type, at, body);
}

struct db_rows *topic_read(struct db *d, enum topic topic, uint64_t after, int most)
{
    return DB_ROWS(d,
                   "SELECT place, key, event_id, type, at, body FROM outbox_messages WHERE place>?1 AND place<=?2 "
                   "ORDER BY place LIMIT ?3",
                   db_int(place_of(topic, after)), db_int(place_of(topic, UINT64_MAX)), db_int(most));
}

void topic_row(struct db_rows *r, struct topic_message *out)
{
    struct bytes id = db_col_blob(r, 2);
    *out = (struct topic_message){
        .position = (uint64_t)(db_col_int(r, 0) & POSITION_MOST),
        .key = db_col_text(r, 1),
        .type = db_col_text(r, 3),
        .body = db_col_blob(r, 5),
        .at = db_col_time(r, 4),
    };
    for (size_t i = 0; i < sizeof out->id.at && i < id.len; i++)
        out->id.at[i] = id.at[i];
}
