/* Lists are SQL made of the filters that are given; every value is a parameter. */
#include "services/charging/charging_query.h"

#include "services/charging/counts.h"
#include "services/charging/points.h"
#include "services/charging/rows.h"

#include <stdio.h>
#include <string.h>

#define SQL_MAX        4096
#define PARAMETERS_MAX 12
#define HISTORY_MAX    1000 /* events shown of one session: the first ones */

struct query {
    struct buf sql;
    struct db_value values[PARAMETERS_MAX];
    size_t count;
};

/* The text, then the parameter of v. */
static void query_value(struct query *q, const char *text, struct db_value v)
{
    check(q->count < PARAMETERS_MAX);
    q->values[q->count++] = v;
    buf_printf(&q->sql, "%s?%d", text, (int)q->count);
}

/* NONE: no status is asked for. */
static enum err find_state(const struct charging_filter *f, enum session_state *out)
{
    *out = SESSION_NONE;
    if (f->status.at == NULL)
        return OK;
    for (int i = SESSION_NONE + 1; i < SESSION_STATE_COUNT; i++)
        if (str_eq(f->status, session_state_text[i])) {
            *out = (enum session_state)i;
            return OK;
        }
    return ERR_RANGE;
}

/* It has no filter but its status and the time of its start. */
static bool is_by_start(const struct charging_filter *f)
{
    return f->device_id.at == NULL && f->transaction_id.at == NULL && f->id_tag.at == NULL && !f->port_number.is_set;
}

/* It is of a station or a tag, and those are found block by block; those of a transaction by its id. */
static bool is_by_block(const struct charging_filter *f)
{
    return f->transaction_id.at == NULL && (f->device_id.at != NULL || f->id_tag.at != NULL);
}

/* One, or one of each station; rows without a key are looked for by their text. */
static void query_transaction(struct query *q, const struct charging_filter *f)
{
    const struct integer key = session_transaction_key(f->id_key, f->transaction_id);
    query_value(q, " AND session_number IN (SELECT session_number FROM charging_sessions WHERE transaction_key IS NULL AND transaction_id=",
                db_text(f->transaction_id));
    if (key.is_set)
        query_value(q, " UNION ALL SELECT session_number FROM charging_sessions WHERE transaction_key=", db_int(key.value));
    buf_put_lit(&q->sql, ")");
}

/* From where, and which of them. */
static enum err query_filter(struct query *q, const struct charging_filter *f)
{
    enum session_state state;
    enum err e = find_state(f, &state);
    if (e != OK)
        return e;
    buf_put_str(&q->sql, is_by_block(f) ? STR(" FROM " SESSIONS_BY_BLOCK " WHERE 1=1") : STR(" FROM charging_sessions WHERE 1=1"));
    if (is_by_block(f) && instant_is_set(f->started_since))
        query_value(q, " AND charging_session_blocks.block>=", db_int(session_block(f->started_since)));
    if (is_by_block(f) && instant_is_set(f->started_until))
        query_value(q, " AND charging_session_blocks.block<=", db_int(session_block(f->started_until)));
    if (f->device_id.at != NULL)
        query_value(q, " AND charge_point_id=", db_text(f->device_id));
    if (f->transaction_id.at != NULL)
        query_transaction(q, f);
    if (f->id_tag.at != NULL)
        query_value(q, " AND id_tag=", db_text(f->id_tag));
    if (f->port_number.is_set)
        query_value(q, " AND connector_id=", db_int(f->port_number.value));
    if (instant_is_set(f->started_since))
        query_value(q, " AND started_at>=", db_time(f->started_since));
    if (instant_is_set(f->started_until))
        query_value(q, " AND started_at<", db_time(f->started_until));
    if (state != SESSION_NONE) /* +: the sessions of a station, a tag or a transaction are fewer than those of a state */
        query_value(q, f->device_id.at != NULL || f->id_tag.at != NULL || f->transaction_id.at != NULL ? " AND +state=" : " AND state=",
                    db_int(state));
    return OK;
}

static void query_init(struct query *q)
{
    q->count = 0;
    buf_init(&q->sql, SQL_MAX);
}

static struct db_rows *query_rows(struct query *q, struct db *d)
{
    check(!q->sql.failed);
    return db_rows_dynamic(d, buf_str(&q->sql), q->values, q->count);
}

/* ---- one session ---- */

static void field_integer(struct json_writer *w, const char *key, struct integer n)
{
    jw_key(w, str_of(key));
    if (n.is_set)
        jw_int(w, n.value);
    else
        jw_null(w);
}

static void field_thousandths(struct json_writer *w, const char *key, struct integer n)
{
    jw_key(w, str_of(key));
    if (n.is_set)
        jw_decimal(w, n.value, 3);
    else
        jw_null(w);
}

/* Empty is not known. */
static void field_text(struct json_writer *w, const char *key, const char *text)
{
    jw_field_str(w, key, text[0] == '\0' ? (struct str){NULL, 0} : str_of(text));
}

static void integer_opt(struct json_writer *w, const char *key, struct integer n)
{
    if (n.is_set)
        jw_field_int(w, key, n.value);
}

static void instant_opt(struct json_writer *w, const char *key, struct instant t)
{
    if (instant_is_set(t))
        jw_field_instant(w, key, t);
}

static void write_properties(struct json_writer *w, const struct session *s)
{
    jw_key(w, STR("properties"));
    jw_open_object(w);
    integer_opt(w, "meter_start_wh", s->meter_start_wh);
    integer_opt(w, "meter_stop_wh", s->meter_stop_wh);
    integer_opt(w, "register_wh", s->register_wh);
    instant_opt(w, "device_start_time", s->device_started);
    instant_opt(w, "device_end_time", s->device_ended);
    integer_opt(w, "reservation_id", s->reservation_id);
    jw_field_bool(w, "offline", s->is_offline);
    if (s->stop_id_tag[0] != '\0')
        jw_field_str(w, "stop_id_tag", str_of(s->stop_id_tag));
    jw_field_int(w, "reading_count", s->reading_count);
    jw_close_object(w);
}

static void write_members(struct json_writer *w, struct str device_id, const struct session *s)
{
    char id[UUID_TEXT_SIZE];
    uuid_write(s->id, id);
    jw_field_str(w, "session_id", str_of(id));
    jw_field_str(w, "device_id", device_id);
    jw_field_int(w, "port_number", s->connector_id);
    field_text(w, "order_number", s->order_no);
    jw_field_str(w, "status", session_state_text[s->state]);
    jw_field_instant(w, "start_time", s->started);
    jw_field_instant(w, "end_time", s->ended);
    jw_field_int(w, "duration", session_duration_s(s));
    jw_field_int(w, "total_energy", s->energy_wh);
    field_integer(w, "max_power", s->max_power_w);
    field_integer(w, "current_power", s->power_w);
    field_thousandths(w, "voltage", s->voltage_m);
    field_thousandths(w, "current", s->current_m);
    field_thousandths(w, "temperature", s->temperature_m);
    jw_field_instant(w, "last_update", s->last_update);
    field_text(w, "stop_reason", s->stop_reason);
    field_text(w, "id_tag", s->id_tag);
    jw_field_str(w, "transaction_id", str_of(s->transaction_id));
    field_text(w, "tariff_id", "");
    field_integer(w, "tariff_version", (struct integer){0, false});
    field_text(w, "merchant_id", "");
    field_text(w, "limit", "");
    jw_field_str(w, "energy_source",
                 s->source == SOURCE_UNKNOWN ? (struct str){NULL, 0} : energy_source_text[s->source]);
    jw_key(w, STR("data_quality"));
    jw_open_array(w);
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if ((s->flags & 1u << i) != 0)
            jw_str(w, session_flag_text[i]);
    jw_close_array(w);
    write_properties(w, s);
}

static enum err write_history(struct db *d, int64_t session_number, struct json_writer *w)
{
    struct db_rows *r = DB_ROWS(
        d,
        "SELECT event_type, event_id, at, received_at, state_from, state_to, detail FROM charging_session_events "
        "WHERE session_number=?1 ORDER BY ordinal LIMIT ?2",
        db_int(session_number), db_int(HISTORY_MAX));
    jw_key(w, STR("event_history"));
    jw_open_array(w);
    while (db_next(r)) {
        int64_t from = db_col_int(r, 4), to = db_col_int(r, 5);
        struct str detail = db_col_text(r, 6);
        check(from >= 0 && from < SESSION_STATE_COUNT && to >= 0 && to < SESSION_STATE_COUNT);
        jw_open_object(w);
        jw_field_instant(w, "time", db_col_time(r, 2));
        jw_field_instant(w, "received_at", db_col_time(r, 3));
        jw_field_str(w, "event_type", db_col_text(r, 0));
        jw_field_str(w, "event_id", db_col_text(r, 1));
        jw_field_str(w, "status_before", from == SESSION_NONE ? (struct str){NULL, 0} : session_state_text[from]);
        jw_field_str(w, "status", session_state_text[to]);
        jw_field_str(w, "detail", detail.len == 0 ? (struct str){NULL, 0} : detail);
        jw_close_object(w);
    }
    jw_close_array(w);
    return db_rows_end(r);
}

enum err charging_write_session(struct db *d, struct str session_id, struct json_writer *w)
{
    struct session s;
    bool is_there = false;
    struct db_rows *r =
        DB_ROWS(d, "SELECT " SESSION_COLUMNS ", charge_point_id FROM charging_sessions WHERE session_id=?1",
                db_text(session_id));
    if (db_next(r)) {
        is_there = true;
        session_read(r, &s);
        jw_open_object(w);
        write_members(w, db_col_text(r, SESSION_COLUMN_COUNT), &s);
    }
    enum err e = db_rows_end(r);
    if (e != OK || !is_there)
        return e != OK ? e : ERR_UNKNOWN;
    e = write_history(d, s.number, w);
    jw_close_object(w);
    return e;
}

/* ---- lists ---- */

/* Writes the rows of a query as an array; *last: the last of them. */
static enum err write_list(struct query *q, struct db *d, int64_t most, struct json_writer *w, struct session *last,
                           int64_t *found)
{
    struct db_rows *r = query_rows(q, d);
    jw_open_array(w);
    for (*found = 0; *found < most && db_next(r); ++*found) {
        session_read(r, last);
        jw_open_object(w);
        write_members(w, db_col_text(r, SESSION_COLUMN_COUNT), last);
        jw_close_object(w);
    }
    if (*found == most && db_next(r))
        ++*found; /* there are more */
    jw_close_array(w);
    return db_rows_end(r);
}

static void query_order(struct query *q, const struct charging_filter *f)
{
    const char *way = f->newest_first ? "DESC" : "ASC";
    buf_put_lit(&q->sql, " ORDER BY ");
    if (is_by_block(f)) /* so that they come as they lie */
        buf_printf(&q->sql, "charging_session_blocks.block %s, ", way);
    buf_printf(&q->sql, "started_at %s, session_number %s", way, way);
}

/* The list is one that is counted. Active sessions are few, and are counted where they stand. */
static bool find_stretch(const struct charging_filter *f, struct session_stretch *out)
{
    enum session_state state;
    if (!is_by_start(f) || find_state(f, &state) != OK || session_state_is_active(state))
        return false;
    *out = (struct session_stretch){state == SESSION_NONE ? db_null() : db_int(state), f->started_since,
                                    f->started_until};
    return true;
}

/* Where a page begins: *from is the list without the blocks before it. */
static enum err find_page(struct db *d, const struct charging_filter *f, struct charging_filter *from, int64_t *skip,
                          int64_t *limit)
{
    struct session_stretch s;
    struct instant start;
    int64_t most = 0;
    *from = *f;
    if (!find_stretch(f, &s))
        return OK;
    enum err e = stretch_seek(d, &s, f->newest_first, skip, &start, &most);
    if (e != OK)
        return e;
    if (f->newest_first)
        from->started_until = instant_add(start, (struct span){1});
    else
        from->started_since = start;
    *limit = most < *limit ? most : *limit;
    return OK;
}

enum err charging_write_page(struct db *d, const struct charging_filter *f, int64_t page, int64_t page_size,
                             struct json_writer *w)
{
    struct query q;
    struct session last;
    struct charging_filter from;
    int64_t found, skip = (page - 1) * page_size, limit = page_size;
    query_init(&q);
    buf_put_lit(&q.sql, "SELECT " SESSION_COLUMNS ", charge_point_id");
    enum err e = find_page(d, f, &from, &skip, &limit);
    if (e == OK)
        e = query_filter(&q, &from);
    if (e == OK) {
        query_order(&q, f);
        query_value(&q, " LIMIT ", db_int(limit));
        query_value(&q, " OFFSET ", db_int(skip));
        e = write_list(&q, d, page_size, w, &last, &found);
    }
    buf_release(&q.sql);
    return e;
}

enum err charging_count(struct db *d, const struct charging_filter *f, int64_t *total)
{
    struct query q;
    struct session_stretch s;
    if (find_stretch(f, &s))
        return stretch_count(d, &s, total);
    query_init(&q);
    buf_put_lit(&q.sql, "SELECT count(*)");
    enum err e = query_filter(&q, f);
    if (e == OK) {
        struct db_rows *r = query_rows(&q, d);
        if (db_next(r))
            *total = db_col_int(r, 0);
        e = db_rows_end(r);
    }
    buf_release(&q.sql);
    return e;
}

/* "<started_at>.<session_number>" of the last one shown. */
static enum err cursor_read(struct str cursor, int64_t *started_us, int64_t *number)
{
    const char *dot = cursor.len == 0 ? NULL : memchr(cursor.at, '.', cursor.len);
    if (dot == NULL)
        return ERR_FORMAT;
    size_t before = (size_t)(dot - cursor.at);
    if (str_to_int((struct str){cursor.at, before}, started_us) != OK ||
        str_to_int((struct str){dot + 1, cursor.len - before - 1}, number) != OK)
        return ERR_FORMAT;
    return OK;
}

static enum err query_after(struct query *q, const struct charging_filter *f, struct str cursor)
{
    int64_t started_us, number;
    if (cursor.len == 0)
        return OK;
    enum err e = cursor_read(cursor, &started_us, &number);
    if (e != OK)
        return e;
    query_value(q, f->newest_first ? " AND (started_at, session_number)<(" : " AND (started_at, session_number)>(",
                db_int(started_us));
    query_value(q, ",", db_int(number));
    buf_put_lit(&q->sql, ")");
    return OK;
}

enum err charging_write_after(struct db *d, const struct charging_filter *f, struct str cursor, int64_t limit,
                              struct json_writer *w, char next[CHARGING_CURSOR_SIZE])
{
    struct query q;
    struct session last = {.number = 0};
    int64_t found = 0;
    query_init(&q);
    buf_put_lit(&q.sql, "SELECT " SESSION_COLUMNS ", charge_point_id");
    enum err e = query_filter(&q, f);
    if (e == OK)
        e = query_after(&q, f, cursor);
    if (e == OK) {
        query_order(&q, f);
        query_value(&q, " LIMIT ", db_int(limit + 1));
        e = write_list(&q, d, limit, w, &last, &found);
    }
    buf_release(&q.sql);
    next[0] = '\0';
    if (e == OK && found > limit)
        (void)snprintf(next, CHARGING_CURSOR_SIZE, "%lld.%lld", (long long)last.started.us, (long long)last.number);
    return e;
}

/* ---- curve ---- */

static void write_point(struct json_writer *w, const struct curve_point *p, struct integer base)
{
    struct integer energy = p->register_wh;
    if (energy.is_set && base.is_set)
        energy.value = energy.value > base.value ? energy.value - base.value : 0;
    energy.is_set = energy.is_set && base.is_set;
    jw_open_object(w);
    jw_field_instant(w, "time", p->at);
    field_integer(w, "power_w", p->power_w);
    field_integer(w, "energy_wh", energy);
    field_thousandths(w, "voltage", p->voltage_m);
    field_thousandths(w, "current", p->current_m);
    field_thousandths(w, "temperature", p->temperature_m);
    jw_close_object(w);
}

static enum err find_base(struct db *d, struct str session_id, int64_t *number, struct integer *base)
{
    struct db_rows *r = DB_ROWS(
        d, "SELECT session_number, coalesce(meter_start_wh, base_wh) FROM charging_sessions WHERE session_id=?1",
        db_text(session_id));
    bool is_there = db_next(r);
    if (is_there) {
        *number = db_col_int(r, 0);
        *base = (struct integer){db_col_int(r, 1), !db_col_is_null(r, 1)};
    }
    enum err e = db_rows_end(r);
    return e == OK && !is_there ? ERR_UNKNOWN : e;
}

/* A page of a curve: points behind `after`, of each span the newest. */
struct curve_page {
    struct json_writer *w;
    struct integer base;
    struct instant after, last;
    int64_t span_us, limit, written;
    struct curve_point newest; /* of the span at hand */
    bool has_newest;
};

static void page_write(struct curve_page *p)
{
    if (p->has_newest && p->written < p->limit) {
        write_point(p->w, &p->newest, p->base);
        p->last = p->newest.at;
        p->written++;
    }
    p->has_newest = false;
}

static void page_add(struct curve_page *p, const struct curve_point *point)
{
    if (point->at.us <= p->after.us)
        return;
    if (p->span_us == 0 || (p->has_newest && point->at.us / p->span_us != p->newest.at.us / p->span_us))
        page_write(p);
    p->newest = *point;
    p->has_newest = true;
}

enum err charging_write_curve(struct db *d, struct str session_id, struct instant after, int64_t every_s, int64_t limit,
                              struct json_writer *w, struct instant *last)
{
    int64_t number = 0;
    struct curve_page page = {
        .w = w, .after = after, .last = INSTANT_NONE, .span_us = every_s > 0 ? SPAN_S(every_s).us : 0, .limit = limit};
    struct point_list points = {NULL, 0, 0};
    enum err e = find_base(d, session_id, &number, &page.base);
    if (e != OK)
        return e;
    struct db_rows *r = points_rows(d, number, after);
    jw_open_array(w);
    while (e == OK && page.written < limit && db_next(r)) {
        points.count = 0;
        e = points_parse(db_col_int(r, 0), db_col_text(r, 1), &points);
        for (size_t i = 0; i < points.count; i++)
            page_add(&page, &points.at[i]);
    }
    page_write(&page);
    jw_close_array(w);
    *last = page.last;
    point_list_release(&points);
    enum err end = db_rows_end(r);
    return e == OK ? end : e;
}

/* ---- statistics ---- */

#define TEXT(literal) {(literal), sizeof(literal) - 1}
static const struct str statistic_names[] = {
#define STATISTIC(name, text) TEXT(text),
#include "services/charging/session.def"
};

enum err charging_write_statistics(struct db *d, const struct consumer_status *status, struct json_writer *w)
{
    int64_t values[COUNT_OF(statistic_names)] = {0}, ended = 0, duration_s = 0;
    struct db_rows *r = DB_ROWS(d, "SELECT name, value FROM charging_statistics");
    while (db_next(r))
        for (size_t i = 0; i < COUNT_OF(statistic_names); i++)
            if (str_eq(db_col_text(r, 0), statistic_names[i]))
                values[i] = db_col_int(r, 1);
    enum err e = db_rows_end(r);
    jw_open_object(w);
    for (size_t i = 0; i < COUNT_OF(statistic_names); i++) {
        jw_field_int(w, statistic_names[i].at, values[i]);
        if (str_eq(statistic_names[i], STR("sessions_ended")))
            ended = values[i];
        if (str_eq(statistic_names[i], STR("total_duration_s")))
            duration_s = values[i];
    }
    jw_field_int(w, "average_duration_s", ended > 0 ? duration_s / ended : 0);
    if (status != NULL) {
        jw_field_int(w, "processing_errors", (int64_t)status->errors);
        jw_field_int(w, "dead_letters", (int64_t)status->dead_letters);
        jw_field_int(w, "average_processing_us", status->events > 0 ? (int64_t)(status->busy_us / status->events) : 0);
    }
    jw_close_object(w);
    return e;
}

enum err charging_find_active(struct db *d, struct str device_id, int64_t port_number, char id[UUID_TEXT_SIZE])
{
    struct db_rows *r =
        DB_ROWS(d,
                "SELECT session_id FROM charging_sessions WHERE charge_point_id=?1 AND is_active=1 AND connector_id=?2 "
                "ORDER BY started_at DESC LIMIT 1",
                db_text(device_id), db_int(port_number));
    (void)str_copy(id, UUID_TEXT_SIZE, db_next(r) ? db_col_text(r, 0) : STR(""));
    return db_rows_end(r);
}
