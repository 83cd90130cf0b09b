/* api/transactions.c - transactions, their meter values out of the log, and closing an abandoned one. */
#include "api/api_private.h"
#include "services/stations/stations.h"

#include <inttypes.h>

#define TRANSACTION_ID_MAX 0x7fffffff
#define METER_SCAN_MAX     20000 /* readings looked at in one request: a page that thins them ends there */

static const struct list transactions = {
    .row = &transaction_row_message,
    .select = "transaction_id, charge_point_id, connector_id, id_tag, state, started_at, meter_start_wh, stopped_at, "
              "meter_stop_wh, energy_wh, "
              "stop_reason, stop_id_tag, device_started_at, device_stopped_at, received_at, flags, "
              "order_no",
    .from = "transactions",
    .is_picked = true,
    .sorts = {{{"transaction_id", 14}, "number", "number", false, false},
              {{"started_at", 10}, "started_at", "number", false, false}},
};

uint64_t transaction_number(const struct api *a, struct str transaction_id)
{
    int64_t id;
    if (transaction_id.len == 0 || transaction_id.at[0] < '1' || transaction_id.at[0] > '9' ||
        str_to_int(transaction_id, &id) != OK || id > TRANSACTION_ID_MAX)
        return 0;
    return permute31_back(a->id_key, (uint32_t)id);
}

/* All there are, or those of connectors of one number, open ones or closed: far more than anyone wants to walk through. */
static void read_from_counts(struct list *l, const struct transaction_query *q, bool is_open, bool is_closed)
{
    const int64_t connector_id = q->connector_id.is_set ? q->connector_id.value : 0;
    const int64_t state_bits = is_open || is_closed ? transactions_part(0, true) : 0;
    const int64_t connector_bits = q->connector_id.is_set ? ~transactions_part(0, true) : 0;
    l->counted[0] = &transactions_by_number;
    l->counted[1] = &transactions_by_start;
    l->counted_parts = (struct counted_parts){state_bits | connector_bits, transactions_part(connector_id, is_open)};
}

void handle_transaction_list(struct call *c)
{
    const struct transaction_query *q = c->query;
    struct list l = transactions;
    const bool is_open = str_eq(q->state.text, STR("open")), is_closed = str_eq(q->state.text, STR("closed"));
    list_where(&l, "charge_point_id = ?", db_text(q->charge_point_id));
    list_where(&l, "connector_id = ?", q->connector_id.is_set ? db_int(q->connector_id.value) : db_null());
    list_where(&l, "id_tag = ?", db_text(q->id_tag));
    if (is_open || is_closed) /* literals, which name the index of those that are open */
        list_only(&l, is_open ? "state = 'open'" : "state = 'closed'");
    if (q->charge_point_id.at == NULL && q->id_tag.at == NULL) {
        read_from_counts(&l, q, is_open, is_closed);
    } else if (q->charge_point_id.at == NULL || !is_open) { /* a station's open ones have an index of their own */
        l.from_block = TRANSACTIONS_BY_BLOCK;
        l.block = "transaction_blocks.block";
    }
    list_answer(c, &l);
}

static void answer_one(struct call *c)
{
    int64_t number = (int64_t)transaction_number(c->api, c->params[0]);
    enum err e = item_answer(c, &transactions, "number = ?", db_int(number), 200);
    (void)e; /* answered */
}

void handle_transaction_get(struct call *c)
{
    answer_one(c);
}

/* --- meter values: the store knows where they are, the log has them --- */

struct thinning {
    int64_t every_us; /* 0: all */
    int64_t after;    /* position of the last that was looked at */
    int64_t last_us;  /* time of the last that was shown */
};

/* "position" or "position.us": where thinning stands goes with it, so that pages are as one. */
static bool read_meter_cursor(struct str text, struct thinning *t)
{
    size_t dot = 0;
    while (dot < text.len && text.at[dot] != '.')
        dot++;
    struct str head = {text.at, dot}, tail = {text.at + dot + 1, dot < text.len ? text.len - dot - 1 : 0};
    return str_to_int(head, &t->after) == OK && t->after >= 0 &&
           (dot == text.len || str_to_int(tail, &t->last_us) == OK);
}

static struct str member_text(struct json *j)
{
    struct str raw = {NULL, 0};
    return json_get_raw(j, &raw) ? raw : (struct str){NULL, 0};
}

/* The payload's list as it is stored: what the device said, in its own units. */
static void write_reading(struct json_writer *w, struct arena *a, const struct event *e)
{
    struct json j;
    struct json_string key;
    struct reading_row row = {.position = integer_of((int64_t)e->position),
                              .received_at = stamp_of(a, e->received),
                              .device_time = stamp_of(a, e->device_time)};
    json_init(&j, e->payload);
    (void)json_open_object(&j);
    while (json_next_key(&j, &key)) {
        if (json_string_is(key, STR("meterValues"))) {
            row.meter_values = member_text(&j);
        } else if (json_string_is(key, STR("connectorId"))) {
            struct str n = member_text(&j);
            row.connector_id.is_set = n.at != NULL && json_number_int(n, &row.connector_id.value) == OK;
        } else {
            (void)json_skip(&j);
        }
    }
    if (row.meter_values.at == NULL)
        row.meter_values = STR("[]");
    message_write(w, &reading_row_message, &row);
}

static bool is_shown(struct thinning *t, const struct event *e)
{
    if (t->every_us > 0 && t->last_us != 0 && e->received.us < t->last_us + t->every_us)
        return false;
    t->last_us = e->received.us;
    return true;
}

/* False when the page is full and more follows. */
static bool write_readings(struct call *c, struct db_rows *r, int64_t limit, struct thinning *t)
{
    int64_t written = 0;
    for (unsigned seen = 0; db_next(r); seen++) {
        struct event e;
        struct fault why;
        uint64_t position = (uint64_t)db_col_int(r, 0);
        if (written == limit || seen == METER_SCAN_MAX || c->x->answer.body.len > PAGE_SOFT_MAX)
            return false;
        t->after = (int64_t)position;
        reader_seek(c->worker->log, position);
        if (reader_next(c->worker->log, &e, &why) != OK || e.position != position || !is_shown(t, &e))
            continue; /* dropped with its segment, or damaged: what is left is shown */
        write_reading(&c->w, &c->arena, &e);
        written++;
    }
    return true;
}

void handle_meter_value_list(struct call *c)
{
    const struct meter_value_query *q = c->query;
    uint64_t number = transaction_number(c->api, c->params[0]);
    struct thinning t = {q->every_s.is_set ? q->every_s.value * 1000000 : 0, 0, 0};
    int64_t limit = q->limit.is_set ? q->limit.value : LIMIT_DEFAULT;
    if (q->cursor.at != NULL && !read_meter_cursor(q->cursor, &t)) {
        answer_error(c, API_CURSOR_INVALID, NULL);
        return;
    }
    struct db_rows *there =
        DB_ROWS(c->worker->db, "SELECT 1 FROM transactions WHERE number = ?1", db_int((int64_t)number));
    bool is_there = db_next(there);
    enum err e = db_rows_end(there);
    if (e == OK && !is_there) {
        answer_error(c, API_NOT_FOUND, NULL);
        return;
    }
    struct json_writer *w = answer_begin(c, 200, STR("ok"));
    jw_open_object(w);
    jw_key(w, STR("list"));
    jw_open_array(w);
    struct db_rows *r =
        DB_ROWS(c->worker->db,
                "SELECT position FROM transaction_readings WHERE number = ?1 AND position > ?2 ORDER BY position",
                db_int((int64_t)number), db_int(t.after));
    bool is_whole = e == OK && write_readings(c, r, limit, &t);
    enum err e2 = db_rows_end(r);
    jw_close_array(w);
    jw_field_str(w, "next_cursor",
                 is_whole ? (struct str){NULL, 0}
                          : arena_printf(&c->arena, "%" PRId64 ".%" PRId64, t.after, t.last_us));
    jw_close_object(w);
    if (e != OK || e2 != OK)
        answer_failure(c, e != OK ? e : e2, NULL);
    else
        answer_end(c);
}

/* --- closing --- */

static void on_close_resumed(struct call *c)
{
    decision_answer(c, answer_one, API_ALREADY_CLOSED);
}

void handle_transaction_close(struct call *c)
{
    if (transaction_number(c->api, c->params[0]) == 0) {
        answer_error(c, API_NOT_FOUND, NULL);
        return;
    }
    struct wait *w = decision_begin(c, on_close_resumed);
    if (w != NULL)
        gateway_close_transaction(c->api->o.gateway, c->params[0], str_of(c->caller.name), decision_told, w);
}
