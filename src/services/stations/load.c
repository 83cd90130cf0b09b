/* services/stations/load.c - rows back into memory: one station when it connects, one transaction when its id is named
 * that memory no longer holds. Each is a few index look-ups, whatever lies in the tables. */
#include "services/stations/stations.h"

#include "eventlog/reader.h"
#include "proto/ocpp16/decide.h"

#include <string.h>

#define TRANSACTION_COLUMNS                                                                                          \
    "number, transaction_id, connector_id, id_tag, id_tag_status, state, started_at, meter_start_wh, meter_stop_wh," \
    " device_started_at, device_stopped_at, flags, stop_key, stop_reason, charge_point_id"

enum err stations_id_key(struct db *d, const uint8_t random[16], uint64_t key[2])
{
    enum err e = DB_RUN(d, "INSERT INTO server_facts (name, value) VALUES ('id_key', ?1) ON CONFLICT DO NOTHING",
                        db_blob((struct bytes){random, 16}));
    if (e != OK)
        return e;
    struct db_rows *r = db_rows(d, "SELECT value FROM server_facts WHERE name = 'id_key'", NULL, 0);
    bool found = db_next(r) && db_col_blob(r, 0).len == 16;
    if (found) {
        key[0] = be64(db_col_blob(r, 0).at);
        key[1] = be64(db_col_blob(r, 0).at + 8);
    }
    e = db_rows_end(r);
    return e != OK ? e : (found ? OK : ERR_CORRUPT);
}

uint64_t stations_last_number(struct db *d)
{
    struct db_rows *r = db_rows(d, "SELECT value FROM server_facts WHERE name = 'last_transaction_number'", NULL, 0);
    uint64_t n = db_next(r) ? (uint64_t)db_col_int(r, 0) : 0;
    return db_rows_end(r) == OK ? n : 0;
}

/* An order counts before its transaction begins, and is not counted again with it. */
enum err stations_count_tags(struct db *d, struct tag_book *tags)
{
    struct db_rows *r = db_rows(d,
                                "SELECT id_tag FROM transactions WHERE state = 'open' AND order_no IS NULL UNION ALL"
                                " SELECT id_tag FROM orders WHERE state NOT IN ('failed', 'settled')"
                                " AND id_tag IS NOT NULL",
                                NULL, 0);
    while (db_next(r))
        tag_book_add(tags, db_col_text(r, 0), 1);
    return db_rows_end(r);
}

static void copy_secret(uint8_t *to, size_t size, struct bytes from, bool *has)
{
    *has = from.len == size;
    if (*has)
        memcpy(to, from.at, size);
}

static enum err load_row(struct db *d, struct str station, struct station *s)
{
    struct db_rows *r =
        DB_ROWS(d,
                "SELECT registration, generation, sequence, booted_at, security_profile, secret_salt, secret_hash,"
                " secret_text_hash, recent_contents FROM charge_points WHERE charge_point_id = ?1",
                db_text(station));
    bool found = db_next(r);
    if (found) {
        bool has_salt;
        s->registration = registration_find(db_col_text(r, 0));
        s->generation = (uint64_t)db_col_int(r, 1);
        s->sequence = (uint64_t)db_col_int(r, 2);
        s->has_booted = !db_col_is_null(r, 3);
        s->security_profile = (int32_t)db_col_int(r, 4);
        copy_secret(s->secret_salt, sizeof s->secret_salt, db_col_blob(r, 5), &has_salt);
        copy_secret(s->secret_hash, sizeof s->secret_hash, db_col_blob(r, 6), &s->has_secret);
        copy_secret(s->secret_text_hash, sizeof s->secret_text_hash, db_col_blob(r, 7), &s->has_secret_text);
        for (struct bytes keys = db_col_blob(r, 8); keys.len >= 8; keys = (struct bytes){keys.at + 8, keys.len - 8})
            station_remember_meter(s, be64(keys.at));
    }
    enum err e = db_rows_end(r);
    return e != OK ? e : (found ? OK : ERR_UNKNOWN);
}

static enum err load_connectors(struct db *d, struct str station, struct station *s)
{
    struct db_rows *r =
        DB_ROWS(d, "SELECT connector_id, status, error_code, since FROM connectors WHERE charge_point_id = ?1",
                db_text(station));
    while (db_next(r)) {
        struct connector *c = station_connector(s, db_col_int(r, 0));
        if (c != NULL)
            connector_set_status(c, db_col_text(r, 1), db_col_text(r, 2), db_col_time(r, 3));
    }
    return db_rows_end(r);
}

static bool text_has(struct str text, struct str word)
{
    for (size_t i = 0; i + word.len <= text.len; i++)
        if (memcmp(text.at + i, word.at, word.len) == 0)
            return true;
    return false;
}

static struct transaction transaction_of(struct db_rows *r)
{
    struct transaction t = {
        .number = (uint64_t)db_col_int(r, 0),
        .connector_id = (int32_t)db_col_int(r, 2),
        .state = str_eq(db_col_text(r, 5), STR("open")) ? TRANSACTION_OPEN : TRANSACTION_CLOSED,
        .is_confirmed = true,
        .started = db_col_time(r, 6),
        .meter_start_wh = db_col_int(r, 7),
        .meter_stop_wh = db_col_int(r, 8),
        .device_started = db_col_time(r, 9),
        .device_stopped = db_col_time(r, 10),
        .stop_key = (uint64_t)db_col_int(r, 12),
    };
    int64_t id = 0;
    int verdict = choice_find(&authorization_status_choices, db_col_text(r, 4));
    if (str_to_int(db_col_text(r, 1), &id) == OK)
        t.id = (uint32_t)id;
    t.first_verdict = (uint8_t)(verdict < 0 ? OCPP_AUTHORIZATION_STATUS_ACCEPTED : verdict);
    t.is_superseded =
        t.state == TRANSACTION_CLOSED && text_has(db_col_text(r, 11), STR("superseded")) && db_col_is_null(r, 13);
    struct transaction_start start = {t.connector_id, db_col_text(r, 3), t.device_started, t.meter_start_wh};
    t.start_key = transaction_start_key(&start);
    (void)str_copy(t.id_tag, sizeof t.id_tag, db_col_text(r, 3));
    return t;
}

/* A station that named the id knows it. One that never did may never have got it: a stop without an id can be its
 * (ocpp16.md 5.8). */
static enum err load_confirmed(struct db *d, struct station *s)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < s->transaction_count; i++) {
        struct transaction *t = &s->transactions[i];
        if (t->state != TRANSACTION_OPEN)
            continue;
        struct db_rows *r =
            DB_ROWS(d, "SELECT 1 FROM transaction_reading_blocks WHERE number = ?1 AND is_named = 1 LIMIT 1",
                    db_int((int64_t)t->number));
        t->is_confirmed = db_next(r);
        e = db_rows_end(r);
    }
    return e;
}

/* All that are open and the last closed ones, oldest first: that is the order in which memory forgets them. */
static enum err load_transactions(struct db *d, struct str station, struct station *s)
{
    struct db_rows *r = DB_ROWS(d,
                                "SELECT " TRANSACTION_COLUMNS " FROM transactions WHERE number IN ("
                                "SELECT number FROM transactions WHERE charge_point_id = ?1 AND state = 'open' UNION "
                                "SELECT number FROM (SELECT number FROM " TRANSACTIONS_BY_BLOCK " WHERE charge_point_id = ?1"
                                " ORDER BY transaction_blocks.block DESC, number DESC LIMIT ?2)) ORDER BY number",
                                db_text(station), db_int(STATION_CLOSED_MAX));
    while (db_next(r)) {
        struct transaction t = transaction_of(r);
        (void)station_add_transaction(s, &t);
    }
    enum err e = db_rows_end(r);
    if (e != OK)
        return e;
    r = DB_ROWS(d,
                "SELECT coalesce((SELECT newest_device_start FROM charge_points WHERE charge_point_id = ?1),"
                " (SELECT max(device_started_at) FROM " TRANSACTIONS_BY_BLOCK " WHERE charge_point_id = ?1))",
                db_text(station));
    if (db_next(r) && !db_col_is_null(r, 0))
        s->newest_start = db_col_time(r, 0);
    e = db_rows_end(r);
    return e == OK ? load_confirmed(d, s) : e;
}

static enum err load_orphans(struct db *d, struct str station, struct station *s)
{
    struct arena a;
    arena_init(&a, (size_t)8 << 20);
    struct orphan found[STATION_ORPHANS_MAX];
    size_t n = 0;
    /* Only those that may still meet their start: another station's, or a second one, never does. */
    struct db_rows *r =
        DB_ROWS(d,
                "SELECT quarantine_id, frame FROM quarantine WHERE charge_point_id = ?1 AND state = 'open'"
                " AND action = 'StopTransaction' AND reason IN ('unknown_transaction', 'transaction_id_unusable')"
                " ORDER BY position DESC LIMIT ?2",
                db_text(station), db_int(STATION_ORPHANS_MAX));
    while (db_next(r) && n < STATION_ORPHANS_MAX) {
        arena_reset(&a);
        if (uuid_parse(db_col_text(r, 0), &found[n].quarantine_id) == OK &&
            ocpp_read_orphan(db_col_text(r, 1), &a, &found[n]) == OK)
            n++;
    }
    while (n > 0) /* oldest first: that is the order in which starts take them */
        station_add_orphan(s, &found[--n]);
    arena_release(&a);
    return db_rows_end(r);
}

enum err stations_load(struct db *d, struct str station, struct station *s)
{
    enum err e = load_row(d, station, s);
    if (e == OK)
        e = load_connectors(d, station, s);
    if (e == OK)
        e = load_transactions(d, station, s);
    if (e == OK)
        e = load_orphans(d, station, s);
    return e;
}

static enum err take_transaction(struct db_rows *r, struct arena *a, struct transaction *out, struct str *owner)
{
    bool found = db_next(r);
    if (found) {
        *out = transaction_of(r);
        if (owner != NULL)
            *owner = arena_copy(a, db_col_text(r, 14));
    }
    enum err e = db_rows_end(r);
    return e != OK ? e : (found ? OK : ERR_UNKNOWN);
}

enum err stations_find_transaction(struct db *d, uint64_t number, struct arena *a, struct transaction *out,
                                   struct str *owner)
{
    return take_transaction(
        DB_ROWS(d, "SELECT " TRANSACTION_COLUMNS " FROM transactions WHERE number = ?1", db_int((int64_t)number)), a,
        out, owner);
}

enum err stations_find_start(struct db *d, struct str station, const struct transaction_start *start,
                             struct transaction *out)
{
    uint64_t key = transaction_start_key(start);
    enum err e = ERR_UNKNOWN;
    struct db_rows *r = DB_ROWS(
        d, "SELECT " TRANSACTION_COLUMNS " FROM transactions WHERE charge_point_id = ?1 AND device_started_at = ?2",
        db_text(station), db_time(start->timestamp));
    while (e == ERR_UNKNOWN && db_next(r)) {
        struct transaction t = transaction_of(r);
        if (t.start_key != key)
            continue;
        *out = t;
        e = OK;
    }
    enum err end = db_rows_end(r);
    return end != OK ? end : e;
}

enum err stations_find_tag(struct db *d, struct str id_tag, struct id_tag *out)
{
    char key[TAG_SIZE_MAX];
    struct db_rows *r =
        DB_ROWS(d,
                "SELECT status, expires_at, parent_id_tag, max_concurrent, balance_minor, rate_mode FROM id_tags"
                " WHERE tag_key = ?1",
                db_text((struct str){key, tag_key(id_tag, key)}));
    bool found = db_next(r);
    if (found) {
        *out = (struct id_tag){.is_known = true,
                               .is_blocked = str_eq(db_col_text(r, 0), STR("blocked")),
                               .expires_at = db_col_is_null(r, 1) ? INSTANT_NONE : db_col_time(r, 1),
                               .max_concurrent = db_col_is_null(r, 3) ? -1 : (int32_t)db_col_int(r, 3),
                               .balance_minor = db_col_int(r, 4),
                               .has_balance = !db_col_is_null(r, 4),
                               .rate_mode = (uint8_t)db_col_int(r, 5)};
        (void)str_copy(out->parent, sizeof out->parent, db_col_text(r, 2));
    }
    enum err e = db_rows_end(r);
    return e != OK ? e : (found ? OK : ERR_UNKNOWN);
}

/* The last import register among the samples, without phase, in Wh. */
static bool register_of(const struct event *e, struct arena *a, int64_t *wh)
{
    struct ev_meter_values p;
    bool found = false;
    if (e->type != EVENT_TRANSACTION_METER || event_read_payload(e, a, &p, NULL) != OK)
        return false;
    for (size_t i = 0; i < p.meter_values.count; i++) {
        const struct ev_sampled_value *v = p.meter_values.at[i].sampled_value;
        int64_t milli;
        if (v == NULL || !str_eq(v->measurand, STR("Energy.Active.Import.Register")) || v->phase.at != NULL ||
            decimal_parse(v->value, 3, &milli, NULL) != OK)
            continue;
        *wh = str_eq(v->unit, STR("kWh")) ? milli : milli / 1000;
        found = true;
    }
    return found;
}

enum err stations_last_register(struct db *d, struct str log_dir, uint64_t number, int64_t *wh)
{
    struct log_reader *reader;
    enum err e = reader_open(log_dir, &reader, NULL);
    if (e != OK)
        return e;
    struct arena a;
    struct event event;
    bool found = false;
    arena_init(&a, (size_t)16 << 20);
    struct db_rows *r =
        DB_ROWS(d, "SELECT position FROM transaction_readings WHERE number = ?1 ORDER BY position DESC LIMIT 8",
                db_int((int64_t)number));
    while (!found && db_next(r)) {
        arena_reset(&a);
        reader_seek(reader, (uint64_t)db_col_int(r, 0));
        found = reader_next(reader, &event, NULL) == OK && event.position == (uint64_t)db_col_int(r, 0) &&
                register_of(&event, &a, wh);
    }
    e = db_rows_end(r);
    arena_release(&a);
    reader_close(reader);
    return e != OK ? e : (found ? OK : ERR_UNKNOWN);
}
