/* The outbox: a service's own events, committed with the change that they tell of. The position is counted inside the
 * transaction: there is one writer, so it has no gap and rises in the order of commits. */
#include "bus/bus.h"

#define POSITION_BITS 48
#define POSITION_MOST (((int64_t)1 << POSITION_BITS) - 1)
#define COLUMNS       7
#define HEAD          "INSERT OR FAIL INTO outbox_messages(place, topic, key, event_id, type, at, body) VALUES"
#define TAIL          "ON CONFLICT(event_id, topic) DO NOTHING"

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

static enum err find_end(struct outbox *o, struct db *d)
{
    struct db_rows *r = DB_ROWS(d, "SELECT max(place) FROM outbox_messages WHERE place>?1 AND place<=?2",
                                db_int(place_of(o->topic, 0)), db_int(place_of(o->topic, UINT64_MAX)));
    const int64_t next = (db_next(r) && !db_col_is_null(r, 0) ? db_col_int(r, 0) : place_of(o->topic, 0)) + 1;
    enum err e = db_rows_end(r);
    if (e == OK)
        o->first = o->next = next;
    return e;
}

void outbox_init(struct outbox *o, enum topic topic)
{
    *o = (struct outbox){.topic = topic};
    gather_init(&o->rows, HEAD, TAIL, COLUMNS);
}

void outbox_release(struct outbox *o)
{
    gather_release(&o->rows);
}

void outbox_forget(struct outbox *o)
{
    gather_forget(&o->rows);
    o->next = 0;
}

/* Some ids are there already and take no place: one by one, so that there is no gap. */
static enum err write_singly(struct outbox *o, struct db *d)
{
    int64_t added = 0;
    enum err e = DB_RUN(d, "DELETE FROM outbox_messages WHERE place>=?1 AND place<?2", db_int(o->first), db_int(o->next));
    o->next = o->first;
    for (size_t i = 0; e == OK && i < o->rows.count; i++) {
        struct db_value *row = &o->rows.values[i * COLUMNS];
        row[0] = db_int(o->next);
        e = db_insert(d, HEAD, TAIL, row, COLUMNS, 1, &added);
        o->next += e == OK ? added : 0;
    }
    return e;
}

enum err outbox_write(struct outbox *o, struct db *d)
{
    const size_t count = o->rows.count;
    int64_t added = 0;
    enum err e = db_insert(d, HEAD, TAIL, o->rows.values, COLUMNS, count, &added);
    if (e == OK && (size_t)added < count)
        e = write_singly(o, d);
    gather_forget(&o->rows);
    o->first = o->next;
    if (e != OK)
        o->next = 0;
    return e;
}

enum err outbox_append(struct outbox *o, struct db *d, struct str key, struct uuid event_id, struct str type, struct instant at,
                       struct bytes body)
{
    enum err e = o->next == 0 ? find_end(o, d) : OK;
    if (e == OK && o->rows.count == GATHER_ROWS)
        e = outbox_write(o, d);
    if (e == OK)
        e = GATHER_ADD(&o->rows, d, db_int(o->next), db_int(o->topic), db_text(key),
                       db_blob((struct bytes){event_id.at, sizeof event_id.at}), db_text(type), db_time(at), db_blob(body));
    if (e == OK)
        o->next++;
    return e;
}

enum err outbox_put(struct db *d, enum topic topic, struct str key, struct uuid event_id, struct str type,
                    struct instant at, struct bytes body)
{
    struct outbox o;
    outbox_init(&o, topic);
    enum err e = outbox_append(&o, d, key, event_id, type, at, body);
    if (e == OK)
        e = outbox_write(&o, d);
    outbox_release(&o);
    return e;
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
