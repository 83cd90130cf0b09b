/* Parked events and dead letters as rows. An event goes there as the log holds it, so that neither a retry nor the
 * log's own clearing up depends on the other. */
#include "bus/parked.h"

#include "eventlog/record.h"

#define JSON_MAX (RECORD_SIZE_MAX + 4096) /* the published form: payload and envelope */

/* The columns refuse NULL; an event about the gateway itself has no station. */
static struct db_value station_value(const struct event *e)
{
    return db_text(e->station.at == NULL ? STR("") : e->station);
}

enum err parked_add(struct db *d, struct str consumer, const struct event *e, const struct failure *f)
{
    struct buf record;
    char id[UUID_TEXT_SIZE];
    buf_init(&record, RECORD_SIZE_MAX);
    record_write(e, &record);
    uuid_write(event_id(e), id);
    enum err result = record.failed ? ERR_LIMIT : OK;
    if (result == OK)
        result = DB_RUN(d,
                        "INSERT INTO parked(consumer, station, position, event_id, record, attempts, next_try_at, "
                        "first_failed_at, error) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)",
                        db_text(consumer), station_value(e), db_int((int64_t)e->position), db_text(str_of(id)),
                        db_blob((struct bytes){record.at, record.len}), db_int(f->attempts), db_time(f->next_try_at),
                        db_time(f->first_failed_at), db_text(str_of(f->error)));
    buf_release(&record);
    return result;
}

/* Copies the row, so that the statement is free again before a handler runs. */
static enum err parked_copy(struct db_rows *r, struct parked *out)
{
    struct str station = db_col_text(r, 0);
    struct bytes record = db_col_blob(r, 3);
    buf_clear(&out->copy);
    buf_put_str(&out->copy, station);
    buf_put(&out->copy, record.at, record.len);
    check(!out->copy.failed); /* no longer than it was when it was written */
    out->attempts = (int)db_col_int(r, 4);
    out->first_failed_at = db_col_time(r, 5);
    struct uuid id = {{0}};
    enum err named = uuid_parse(db_col_text(r, 2), &id);
    out->event = (struct event){.type = EVENT_NOTHING};
    struct bytes left = {out->copy.at + station.len, record.len};
    enum err e = record_read(&left, &out->event);
    out->event.position = (uint64_t)db_col_int(r, 1);
    out->event.station =
        (struct str){(const char *)out->copy.at, station.len}; /* the key, even if the record is damaged */
    out->event.id = id;
    return e == OK ? named : e;
}

enum err parked_find_due(struct db *d, struct str consumer, struct instant now, struct parked *out)
{
    struct db_rows *r = DB_ROWS(d,
                                "SELECT station, position, event_id, record, attempts, first_failed_at FROM parked "
                                "WHERE consumer=?1 AND next_try_at<=?2 ORDER BY next_try_at, position LIMIT 1",
                                db_text(consumer), db_time(now));
    enum err e = ERR_UNKNOWN;
    if (db_next(r))
        e = parked_copy(r, out);
    enum err end = db_rows_end(r);
    return end != OK ? end : e;
}

enum err parked_fail(struct db *d, struct str consumer, const struct event *e, const struct failure *f)
{
    return DB_RUN(
        d,
        "UPDATE parked SET attempts=?4, next_try_at=?5, first_failed_at=coalesce(first_failed_at,?6), error=?7 "
        "WHERE consumer=?1 AND station=?2 AND position=?3",
        db_text(consumer), station_value(e), db_int((int64_t)e->position), db_int(f->attempts), db_time(f->next_try_at),
        db_time(f->at), db_text(str_of(f->error)));
}

enum err parked_remove(struct db *d, struct str consumer, const struct event *e, struct instant now, bool *is_last)
{
    enum err result = DB_RUN(d, "DELETE FROM parked WHERE consumer=?1 AND station=?2 AND position=?3",
                             db_text(consumer), station_value(e), db_int((int64_t)e->position));
    if (result != OK)
        return result;
    result = DB_RUN(d,
                    "UPDATE parked SET next_try_at=?3 WHERE consumer=?1 AND station=?2 AND position="
                    "(SELECT min(position) FROM parked WHERE consumer=?1 AND station=?2)",
                    db_text(consumer), station_value(e), db_time(now));
    if (result == OK)
        *is_last = db_changes(d) == 0;
    return result;
}

enum err dead_letter_add(struct db *d, struct str consumer, const struct event *e, struct str gateway_id,
                         const struct failure *f)
{
    struct buf record, json;
    char id[UUID_TEXT_SIZE];
    buf_init(&record, RECORD_SIZE_MAX);
    buf_init(&json, JSON_MAX);
    record_write(e, &record);
    event_write(e, gateway_id, &json);
    uuid_write(event_id(e), id);
    enum err result = record.failed || json.failed ? ERR_LIMIT : OK;
    if (result == OK)
        result =
            DB_RUN(d,
                   "INSERT INTO dead_letters(consumer, event_id, position, station, event_type, attempts, error, "
                   "first_failed_at, last_failed_at, event_json, record) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11) "
                   "ON CONFLICT(consumer, position) DO UPDATE SET attempts=excluded.attempts, error=excluded.error, "
                   "last_failed_at=excluded.last_failed_at",
                   db_text(consumer), db_text(str_of(id)), db_int((int64_t)e->position), station_value(e),
                   db_text(event_kinds[e->type].wire), db_int(f->attempts), db_text(str_of(f->error)),
                   db_time(f->first_failed_at), db_time(f->at), db_text(buf_str(&json)),
                   db_blob((struct bytes){record.at, record.len}));
    buf_release(&record);
    buf_release(&json);
    return result;
}

enum err parked_next_due(struct db *d, struct str consumer, struct instant *out)
{
    struct db_rows *r = DB_ROWS(d, "SELECT min(next_try_at) FROM parked WHERE consumer=?1 AND next_try_at IS NOT NULL",
                                db_text(consumer));
    if (db_next(r))
        *out = db_col_time(r, 0);
    return db_rows_end(r);
}

/* ---- what a person does about them ---- */

enum err dead_letter_retry(struct db *d, int64_t dead_letter_id)
{
    enum err e = DB_RUN(d,
                        "UPDATE parked SET next_try_at=NULL WHERE (consumer, station) IN "
                        "(SELECT consumer, station FROM dead_letters WHERE dead_letter_id=?1) AND position > "
                        "(SELECT position FROM dead_letters WHERE dead_letter_id=?1)",
                        db_int(dead_letter_id));
    if (e != OK)
        return e;
    /* Due at once, unless an older one of the station is waiting, which stays its first. */
    e = DB_RUN(d,
               "INSERT INTO parked(consumer, station, position, event_id, record, attempts, next_try_at, "
               "first_failed_at, error) "
               "SELECT l.consumer, l.station, l.position, l.event_id, l.record, 0, "
               "CASE WHEN EXISTS (SELECT 1 FROM parked p WHERE p.consumer=l.consumer AND p.station=l.station "
               "AND p.position<l.position) THEN NULL ELSE 0 END, l.first_failed_at, l.error "
               "FROM dead_letters l WHERE l.dead_letter_id=?1",
               db_int(dead_letter_id));
    return e == OK ? dead_letter_discard(d, dead_letter_id) : e;
}

enum err dead_letter_discard(struct db *d, int64_t dead_letter_id)
{
    enum err e = DB_RUN(d, "DELETE FROM dead_letters WHERE dead_letter_id=?1", db_int(dead_letter_id));
    return e == OK && db_changes(d) == 0 ? ERR_UNKNOWN : e;
}
