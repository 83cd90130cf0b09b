/* From an event to inputs of sessions, and from their outcomes to rows, statistics and announcements. */
#include "services/charging/charging.h"

#include "metrics/metrics.h"
#include "services/charging/announce.h"
#include "services/charging/book.h"
#include "services/charging/curve.h"
#include "services/charging/embedded.h"

#include <stdlib.h>
#include <string.h>

#define PAYLOAD_MAX    ((size_t)32 << 20) /* structs of the largest message that a gateway takes */
#define EXPIRED_A_TICK 500

const struct migration charging_migrations[] = {{"charging/0001", embedded_0001_sessions_sql},
                                                {"charging/0002", embedded_0002_orders_sql},
                                                {"charging/0003", embedded_0003_curve_blocks_sql},
                                                {"charging/0004", embedded_0004_counts_sql},
                                                {"charging/0005", embedded_0005_blocks_sql}};
const size_t charging_migration_count = COUNT_OF(charging_migrations);

enum statistic {
#define STATISTIC(name, text) STATISTIC_##name,
#include "services/charging/session.def"
    STATISTIC_COUNT
};
#define TEXT(literal) {(literal), sizeof(literal) - 1}
static const struct str statistic_names[STATISTIC_COUNT] = {
#define STATISTIC(name, text) TEXT(text),
#include "services/charging/session.def"
};

struct charging {
    struct charging_options options;
    struct book book;
    struct curve_forms *forms;
    struct arena arena;
    struct outbox outbox;
    struct gather history;
    int64_t counted[STATISTIC_COUNT];   /* of the batch at hand */
    int64_t committing[STATISTIC_COUNT]; /* written, not committed yet */
    struct instant cleaned;
};

/* What an input came from: an event, or time. */
struct cause {
    struct str type;
    const struct event *event; /* NULL: time */
    struct instant received;
    struct str detail;
};

struct charging_options charging_options_default(void)
{
    return (struct charging_options){.is_tracking = true, .keeps_history = true, .timeout_s = 86400, .cleanup_s = 60};
}

/* ---- one input to one session ---- */

/* The same event makes the same id, on every machine and in every replay. */
static struct uuid session_id(const struct event *e)
{
    static const uint64_t key[2] = {0x73657373696f6e5f, 0x69645f6f665f6576};
    const struct uuid of = event_id(e);
    struct bytes id = {of.at, sizeof of.at};
    uint64_t low = siphash(key, id);
    uint64_t ms = be64(of.at) >> 16;
    return uuid_v7(ms, (uint16_t)(siphash((const uint64_t[2]){key[1], key[0]}, id) & 0xfff), low & 0x3fffffffffffffff);
}

static bool is_ended(enum session_state s)
{
    return s == SESSION_COMPLETED || s == SESSION_TIMED_OUT;
}

struct before {
    enum session_state state;
    struct instant started;
    int64_t energy_wh, duration_s;
};

static void count(struct charging *c, const struct before *was, const struct session *s)
{
    int64_t *n = c->counted;
    n[STATISTIC_CREATED] += was->state == SESSION_NONE;
    n[STATISTIC_ACTIVE] += session_state_is_active(s->state) - session_state_is_active(was->state);
    if (was->state != s->state) {
        n[STATISTIC_COMPLETED] += s->state == SESSION_COMPLETED;
        n[STATISTIC_TIMED_OUT] += s->state == SESSION_TIMED_OUT;
        n[STATISTIC_FAILED] += s->state == SESSION_FAILED;
    }
    if (is_ended(s->state)) {
        n[STATISTIC_ENDED] += !is_ended(was->state);
        n[STATISTIC_ENERGY_WH] += s->energy_wh - (is_ended(was->state) ? was->energy_wh : 0);
        n[STATISTIC_DURATION_S] += session_duration_s(s) - (is_ended(was->state) ? was->duration_s : 0);
    }
}

static enum err apply(struct charging *c, struct db *d, struct book_entry *entry, const struct session_input *in,
                      const struct cause *cause)
{
    struct session *s = &entry->s;
    const struct before was = {s->state, s->started, s->energy_wh, is_ended(s->state) ? session_duration_s(s) : 0};
    struct session_outcome out;
    if (session_decide(s, in, &out) != OK) {
        c->counted[STATISTIC_REFUSED]++;
        return OK;
    }
    if (!out.is_changed)
        return OK;
    bool is_turn = s->state != was.state || in->kind == SESSION_IN_STARTED || in->kind == SESSION_IN_STOPPED;
    book_change(&c->book, entry, is_turn || s->started.us != was.started.us);
    count(c, &was, s);
    enum err e = OK;
    if (!is_turn && out.emit == EMIT_NOTHING)
        return OK;
    struct uuid id = {{0}};
    if (cause->event != NULL)
        id = event_id(cause->event);
    const struct uuid *const from = cause->event == NULL ? NULL : &id;
    if (is_turn && c->options.keeps_history) {
        s->history_count++;
        e = history_add(
            &c->history, d, s,
            &(struct history){cause->type, from, in->at, in->received, was.state, s->state, cause->detail});
    }
    if (e == OK && out.emit != EMIT_NOTHING)
        e = session_announce(d, &c->outbox, entry->station->name, s, out.emit, was.state, from, cause->received);
    return e;
}

/* ---- events ---- */

struct handling {
    struct charging *c;
    struct db *d;
    const struct event *e;
    struct cause cause;
    struct session_input in; /* with the times of the event */
    struct book_station *at;
    struct fault *why;
};

static bool is_usable(struct str transaction_id)
{
    return transaction_id.len > 0 && transaction_id.len < SESSION_TRANSACTION_MAX && transaction_id.at[0] != '-' &&
           !str_eq(transaction_id, STR("0"));
}

/* The session of a transaction; one is begun where none is known. */
static enum err find_or_add(struct handling *h, struct str transaction_id, struct book_entry **out)
{
    enum err e = book_find(&h->c->book, h->d, h->at, transaction_id, out);
    if (e != OK || *out != NULL)
        return e;
    e = book_add(&h->c->book, h->d, h->at, transaction_id, out);
    if (e == OK)
        (*out)->s.id = session_id(h->e);
    return e;
}

static uint32_t known_flags(struct str_list words)
{
    uint32_t flags = 0;
    for (size_t i = 0; i < words.count; i++)
        for (size_t k = 0; k < FLAG_COUNT; k++)
            if (str_eq(words.at[i], session_flag_text[k]))
                flags |= 1u << k;
    return flags & (FLAG_INFERRED | FLAG_METER_BACKWARDS);
}

static bool has_word(struct str_list words, struct str word)
{
    for (size_t i = 0; i < words.count; i++)
        if (str_eq(words.at[i], word))
            return true;
    return false;
}

/* What an order of a pile means for a session before it runs: it was asked for, or nothing came of it. Its start and its
 * end are told by the events of its transaction. */
static const struct {
    struct str state;
    enum session_input_kind input;
} orders[] = {
    {TEXT("new"),      SESSION_IN_ORDER },
    {TEXT("starting"), SESSION_IN_ORDER },
    {TEXT("failed"),   SESSION_IN_REFUSE},
    {TEXT("ended"),    SESSION_IN_FINISH},
};

static enum err on_order(struct handling *h)
{
    struct ev_order p;
    struct book_entry *entry = NULL;
    enum err e = event_read_payload(h->e, &h->c->arena, &p, h->why);
    size_t i = 0;
    while (i < COUNT_OF(orders) && !str_eq(p.state, orders[i].state))
        i++;
    if (e != OK || i == COUNT_OF(orders) || !is_usable(p.transaction_id))
        return e;
    bool is_asked = orders[i].input == SESSION_IN_ORDER;
    e = is_asked ? find_or_add(h, p.transaction_id, &entry)
                 : book_find(&h->c->book, h->d, h->at, p.transaction_id, &entry);
    if (e != OK || entry == NULL || (is_asked && entry->s.state != SESSION_NONE))
        return e;
    h->in.kind = orders[i].input;
    h->in.connector_id = p.connector_id;
    h->in.id_tag = p.id_tag;
    h->in.order_no = p.order_no;
    h->in.reason = p.reason;
    h->cause.detail = p.reason;
    return apply(h->c, h->d, entry, &h->in, &h->cause);
}

static enum err on_started(struct handling *h)
{
    struct ev_transaction_started p;
    struct book_entry *entry = NULL;
    enum err e = event_read_payload(h->e, &h->c->arena, &p, h->why);
    h->c->counted[STATISTIC_STARTS]++;
    if (e == OK && !is_usable(p.transaction_id)) {
        fault_set(h->why, STR("transactionId"), "no session can be known by it");
        e = ERR_RANGE;
    }
    if (e == OK && is_usable(p.supersedes) && !str_eq(p.supersedes, p.transaction_id))
        e = book_find(&h->c->book, h->d, h->at, p.supersedes, &entry);
    if (e == OK && entry != NULL) {
        struct session_input end = h->in;
        end.kind = SESSION_IN_SUPERSEDE;
        e = apply(h->c, h->d, entry, &end, &h->cause);
    }
    if (e == OK)
        e = find_or_add(h, p.transaction_id, &entry);
    if (e != OK)
        return e;
    h->in.kind = SESSION_IN_STARTED;
    h->in.flags |= known_flags(p.flags);
    h->in.connector_id = p.connector_id;
    h->in.meter_wh = p.meter_start_wh;
    h->in.reservation_id = p.reservation_id;
    h->in.id_tag = p.id_tag;
    h->in.order_no = p.order_no;
    h->in.is_offline = p.offline.value;
    return apply(h->c, h->d, entry, &h->in, &h->cause);
}

static bool has_value(const struct curve_point *p)
{
    return p->power_w.is_set || p->register_wh.is_set || p->voltage_m.is_set || p->current_m.is_set ||
           p->temperature_m.is_set;
}

struct readings {
    struct ev_meter_values p;  /* without its list where the point is known */
    bool is_known;
    struct curve_point point;
    uint32_t flags;            /* of the point */
};

/* Of a list like one before only the values are read. */
static enum err read_readings(struct handling *h, struct readings *out)
{
    struct charging *c = h->c;
    struct list_place list;
    enum err e = event_read_brief(h->e, &c->arena, &out->p, &list, h->why);
    out->flags = 0;
    out->is_known = e == OK && curve_recall(c->forms, &list, h->e->frame, h->e->received, &out->point, &out->flags);
    if (e != OK || out->is_known || list.bytes.at == NULL)
        return e;
    e = event_read_payload(h->e, &c->arena, &out->p, h->why);
    if (e == OK)
        curve_keep(c->forms, &list, h->e->frame, &out->p);
    return e;
}

static bool next_point(struct handling *h, const struct readings *r, size_t *next)
{
    if (!r->is_known)
        return curve_next(&r->p, next, h->e->received, &h->in.point, &h->in.flags);
    h->in.point = r->point;
    h->in.flags |= r->flags;
    return (*next)++ == 0;
}

static enum err on_meter(struct handling *h)
{
    struct readings r;
    struct book_entry *entry = NULL;
    struct span window = SPAN_S(h->c->options.power_window_s);
    enum err e = read_readings(h, &r);
    h->c->counted[STATISTIC_POWERS]++;
    if (e == OK && is_usable(r.p.transaction_id))
        e = find_or_add(h, r.p.transaction_id, &entry);
    else if (e == OK && r.p.connector_id.value > 0)
        entry = book_find_active(h->at, r.p.connector_id.value);
    if (e == OK && entry == NULL)
        h->c->counted[STATISTIC_REFUSED]++; /* of no transaction: only the log keeps it */
    h->in.kind = SESSION_IN_READING;
    h->in.flags = known_flags(r.p.flags) | (is_usable(r.p.transaction_id) ? 0 : FLAG_INFERRED);
    h->in.connector_id = r.p.connector_id;
    for (size_t next = 0; e == OK && entry != NULL && next_point(h, &r, &next);) {
        h->in.at = h->in.point.at;
        e = apply(h->c, h->d, entry, &h->in, &h->cause);
        if (e == OK && has_value(&h->in.point))
            e = book_add_point(&h->c->book, h->d, entry, &h->in.point, window);
    }
    return e;
}

static enum err on_stopped(struct handling *h)
{
    struct ev_transaction_stopped p;
    struct book_entry *entry = NULL;
    enum err e = event_read_payload(h->e, &h->c->arena, &p, h->why);
    h->c->counted[STATISTIC_STOPS]++;
    if (e != OK)
        return e;
    if (!is_usable(p.transaction_id)) {
        h->c->counted[STATISTIC_REFUSED]++; /* a stop of nobody knows what: the gateway has it in quarantine */
        return OK;
    }
    e = find_or_add(h, p.transaction_id, &entry);
    if (e != OK)
        return e;
    h->in.kind = SESSION_IN_STOPPED;
    if (instant_is_set(p.stop_timestamp.at)) {
        h->in.device_at = p.stop_timestamp.at;
        h->in.flags = 0;
        h->in.at = session_time(p.stop_timestamp.at, h->e->received, &h->in.flags);
    }
    h->in.flags |= known_flags(p.flags) & FLAG_INFERRED;
    h->in.connector_id = p.connector_id;
    h->in.meter_wh = p.meter_stop_wh;
    h->in.meter_start_wh = p.meter_start_wh;
    h->in.energy_wh = p.energy_wh;
    h->in.id_tag = p.id_tag;
    h->in.reason = p.reason;
    h->in.stop_code = p.stop_code;
    h->in.max_power_w = p.max_power_w;
    h->in.tier_power_w = p.tier_power_w;
    if (p.occupancy_min.is_set)
        h->in.idle_s = (struct integer){p.occupancy_min.value * 60, true};
    h->in.is_settlement = has_word(p.flags, STR("settlement"));
    h->in.is_override = has_word(p.flags, STR("overrides_operator"));
    h->cause.detail = p.reason;
    return apply(h->c, h->d, entry, &h->in, &h->cause);
}

static const struct {
    struct str status;
    enum session_input_kind input;
} statuses[] = {
    {TEXT("Charging"),      SESSION_IN_RESUME },
    {TEXT("SuspendedEV"),   SESSION_IN_SUSPEND},
    {TEXT("SuspendedEVSE"), SESSION_IN_SUSPEND},
    {TEXT("Finishing"),     SESSION_IN_FINISH },
};

/* A status neither begins nor ends a session (ocpp16.md 5.7). */
static enum err on_status(struct handling *h)
{
    struct ev_status_changed p;
    enum err e = event_read_payload(h->e, &h->c->arena, &p, h->why);
    if (e != OK)
        return e;
    struct book_entry *entry = book_find_active(h->at, p.connector_id.value);
    if (entry == NULL || instant_before(h->in.at, entry->s.started))
        return OK; /* of before it: not about this session */
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        if (!str_eq(p.status, statuses[i].status))
            continue;
        h->in.kind = statuses[i].input;
        h->cause.detail = p.status;
        return apply(h->c, h->d, entry, &h->in, &h->cause);
    }
    return OK;
}

static enum err lose_all(struct handling *h, struct book_station *at)
{
    enum err e = OK;
    h->in.kind = SESSION_IN_LOST;
    for (struct book_entry *entry = at->first; entry != NULL && e == OK; entry = entry->next)
        if (session_state_is_active(entry->s.state))
            e = apply(h->c, h->d, entry, &h->in, &h->cause);
    return e;
}

static enum err on_disconnected(struct handling *h)
{
    struct ev_disconnected p;
    enum err e = event_read_payload(h->e, &h->c->arena, &p, h->why);
    if (e != OK || str_eq(p.reason, STR("replaced"))) /* by a newer connection: the station is there */
        return e;
    h->cause.detail = p.reason;
    return lose_all(h, h->at);
}

/* A gateway that begins holds no connection: all that were charging are lost until they are heard of again. */
static enum err on_gateway_started(struct handling *h)
{
    enum err e = book_write(&h->c->book, h->d, SPAN_S(h->c->options.power_window_s));
    if (e != OK)
        return e;
    struct db_rows *r = DB_ROWS(h->d, "SELECT DISTINCT charge_point_id FROM charging_sessions WHERE is_active=1");
    while (e == OK && db_next(r)) {
        struct book_station *at = NULL;
        e = book_open(&h->c->book, h->d, db_col_text(r, 0), &at);
        if (e == OK)
            e = lose_all(h, at);
    }
    enum err end = db_rows_end(r);
    return e == OK ? end : e;
}

static enum err (*const handlers[EVENT_TYPE_COUNT])(struct handling *h) = {
    [EVENT_ORDER] = on_order,
    [EVENT_TRANSACTION_STARTED] = on_started,
    [EVENT_TRANSACTION_METER] = on_meter,
    [EVENT_TRANSACTION_STOPPED] = on_stopped,
    [EVENT_STATUS_CHANGED] = on_status,
    [EVENT_DISCONNECTED] = on_disconnected,
    [EVENT_GATEWAY_STARTED] = on_gateway_started,
};

static enum err on_event(void *state, struct db *d, const struct event *e, struct fault *why)
{
    struct charging *c = state;
    struct handling h = {.c = c,
                         .d = d,
                         .e = e,
                         .cause = {event_kinds[e->type].wire, e, e->received, {NULL, 0}},
                         .in = {.received = e->received, .device_at = e->device_time},
                         .why = why};
    arena_reset(&c->arena);
    h.in.at = session_time(e->device_time, e->received, &h.in.flags);
    enum err result = book_open(&c->book, d, e->station, &h.at);
    if (result == OK)
        result = handlers[e->type](&h);
    if (result == OK)
        c->counted[STATISTIC_EVENTS]++;
    return result;
}

/* ---- batches ---- */

static enum err on_batch_begin(void *state, struct db *d)
{
    struct charging *c = state;
    (void)d;
    book_trim(&c->book);
    return OK;
}

static enum err statistics_write(struct charging *c, struct db *d)
{
    enum err e = OK;
    for (size_t i = 0; i < STATISTIC_COUNT && e == OK; i++) {
        if (c->counted[i] == 0)
            continue;
        e = DB_RUN(d,
                   "INSERT INTO charging_statistics(name, value) VALUES (?1, ?2) "
                   "ON CONFLICT(name) DO UPDATE SET value=charging_statistics.value+excluded.value",
                   db_text(statistic_names[i]), db_int(c->counted[i]));
        c->committing[i] += c->counted[i];
        c->counted[i] = 0;
    }
    return e;
}

static enum err on_batch_end(void *state, struct db *d, struct fault *why)
{
    struct charging *c = state;
    enum err e = book_write(&c->book, d, SPAN_S(c->options.power_window_s));
    if (e == OK)
        e = gather_write(&c->history, d, NULL);
    if (e == OK)
        e = outbox_write(&c->outbox, d);
    if (e == OK)
        e = statistics_write(c, d);
    outbox_forget(&c->outbox);
    if (e != OK)
        fault_set(why, STR("charging"), "%s", db_reason(d));
    return e;
}

static void on_batch_undone(void *state)
{
    struct charging *c = state;
    book_clear(&c->book);
    gather_forget(&c->history);
    outbox_forget(&c->outbox);
    memset(c->counted, 0, sizeof c->counted);
    memset(c->committing, 0, sizeof c->committing);
}

static void on_committed(void *state, uint64_t position)
{
    static const struct {
        enum statistic statistic;
        enum metric metric;
    } pairs[] = {
        {STATISTIC_CREATED, METRIC_SESSIONS_CREATED},     {STATISTIC_COMPLETED, METRIC_SESSIONS_COMPLETED},
        {STATISTIC_TIMED_OUT, METRIC_SESSIONS_TIMED_OUT}, {STATISTIC_ENERGY_WH, METRIC_ENERGY_WH},
    };
    struct charging *c = state;
    (void)position;
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        if (c->committing[pairs[i].statistic] > 0)
            metric_add(pairs[i].metric, c->committing[pairs[i].statistic]);
    memset(c->committing, 0, sizeof c->committing);
}

/* ---- time ---- */

static enum err show_active(struct db *d)
{
    struct db_rows *r =
        DB_ROWS(d, "SELECT value FROM charging_statistics WHERE name=?1", db_text(statistic_names[STATISTIC_ACTIVE]));
    metric_set(METRIC_SESSIONS_ACTIVE, db_next(r) ? db_col_int(r, 0) : 0);
    return db_rows_end(r);
}

struct expired {
    struct str station, transaction_id;
};

static enum err find_expired(struct charging *c, struct db *d, struct instant now, struct expired *out, size_t *found)
{
    struct db_rows *r =
        DB_ROWS(d,
                "SELECT charge_point_id, transaction_id FROM charging_sessions WHERE is_active=1 AND last_update<?1 "
                "ORDER BY last_update LIMIT ?2",
                db_time((struct instant){now.us - SPAN_S(c->options.timeout_s).us}), db_int(EXPIRED_A_TICK));
    for (*found = 0; db_next(r); ++*found)
        out[*found] =
            (struct expired){arena_copy(&c->arena, db_col_text(r, 0)), arena_copy(&c->arena, db_col_text(r, 1))};
    return db_rows_end(r);
}

static enum err on_tick(void *state, struct db *d, struct instant now, struct fault *why)
{
    struct charging *c = state;
    struct expired *expired;
    size_t found = 0;
    enum err e = show_active(d);
    if (e != OK || now.us - c->cleaned.us < SPAN_S(c->options.cleanup_s).us)
        return e;
    arena_reset(&c->arena);
    expired = arena_take(&c->arena, EXPIRED_A_TICK * sizeof *expired);
    check(expired != NULL);
    e = find_expired(c, d, now, expired, &found);
    const struct cause cause = {STR("session.timed_out"), NULL, now, {NULL, 0}};
    const struct session_input in = {.kind = SESSION_IN_EXPIRE, .at = now, .received = now, .device_at = INSTANT_NONE};
    for (size_t i = 0; i < found && e == OK; i++) {
        struct book_station *at = NULL;
        struct book_entry *entry = NULL;
        e = book_open(&c->book, d, expired[i].station, &at);
        if (e == OK)
            e = book_find(&c->book, d, at, expired[i].transaction_id, &entry);
        if (e == OK && entry != NULL)
            e = apply(c, d, entry, &in, &cause);
    }
    if (e == OK)
        e = on_batch_end(state, d, why);
    if (e == OK && found < EXPIRED_A_TICK)
        c->cleaned = now;
    return e;
}

struct charging *charging_new(const struct charging_options *o)
{
    struct charging *c = mem_new(1, sizeof *c);
    c->options = *o;
    book_init(&c->book, o->id_key);
    c->forms = curve_forms_new();
    history_rows_init(&c->history);
    outbox_init(&c->outbox, TOPIC_SESSIONS);
    arena_init(&c->arena, PAYLOAD_MAX);
    return c;
}

void charging_free(struct charging *c)
{
    if (c == NULL)
        return;
    book_release(&c->book);
    curve_forms_free(c->forms);
    gather_release(&c->history);
    outbox_release(&c->outbox);
    arena_release(&c->arena);
    free(c);
}

void charging_consumer(struct charging *c, struct consumer *out)
{
    *out = (struct consumer){
        .name = "charging",
        .on_event = on_event,
        .on_batch_begin = on_batch_begin,
        .on_batch_end = on_batch_end,
        .on_batch_undone = on_batch_undone,
        .on_committed = on_committed,
        .on_tick = on_tick,
        .state = c,
    };
    for (size_t i = 0; i < EVENT_TYPE_COUNT; i++)
        out->wants[i] = handlers[i] != NULL && c->options.is_tracking;
}
