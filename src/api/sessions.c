/* api/sessions.c - charging sessions: the service writes them, this gives them their envelope, pages and cursors. */
#include "api/api_private.h"

#include <inttypes.h>
#include <string.h>

#include "services/charging/charging_query.h"

static void answer_outcome(struct call *c, enum err e)
{
    if (e == OK)
        answer_end(c);
    else if (e == ERR_UNKNOWN)
        answer_error(c, API_NOT_FOUND, NULL);
    else if (e == ERR_FORMAT)
        answer_error(c, API_CURSOR_INVALID, NULL);
    else
        answer_failure(c, e, NULL);
}

static struct charging_filter filter_of(const struct api *a, const struct session_query *q)
{
    return (struct charging_filter){
        .device_id = q->device_id,
        .status = q->status.text,
        .id_tag = q->id_tag,
        .transaction_id = q->transaction_id,
        .id_key = a->id_key,
        .port_number = q->port_number,
        .started_since = q->since.text.at == NULL ? INSTANT_NONE : q->since.at,
        .started_until = q->until.text.at == NULL ? INSTANT_NONE : q->until.at,
        .newest_first = q->sort.text.len > 0 && q->sort.text.at[0] == '-',
    };
}

static void answer_page(struct call *c, const struct session_query *q, const struct charging_filter *f)
{
    int64_t page = q->page.is_set ? q->page.value : 1,
            size = q->page_size.is_set ? q->page_size.value : PAGE_SIZE_DEFAULT, total = 0;
    enum err e = db_begin(c->worker->db); /* total and page are of one moment */
    if (e != OK) {
        answer_failure(c, e, NULL);
        return;
    }
    e = charging_count(c->worker->db, f, &total);
    struct json_writer *w = answer_begin(c, 200, STR("ok"));
    jw_open_object(w);
    jw_key(w, STR("list"));
    if (e == OK)
        e = charging_write_page(c->worker->db, f, page, size, w);
    if (e == OK) { /* else what was written is thrown away */
        jw_field_int(w, "total", total);
        jw_field_int(w, "page", page);
        jw_field_int(w, "page_size", size);
        jw_close_object(w);
    }
    db_rollback(c->worker->db);
    answer_outcome(c, e);
}

static void answer_after(struct call *c, const struct session_query *q, const struct charging_filter *f)
{
    char next[CHARGING_CURSOR_SIZE] = "";
    struct json_writer *w = answer_begin(c, 200, STR("ok"));
    jw_open_object(w);
    jw_key(w, STR("list"));
    enum err e =
        charging_write_after(c->worker->db, f, q->cursor, q->limit.is_set ? q->limit.value : LIMIT_DEFAULT, w, next);
    if (e == OK) {
        jw_field_str(w, "next_cursor", next[0] == '\0' ? (struct str){NULL, 0} : str_of(next));
        jw_close_object(w);
    }
    answer_outcome(c, e);
}

void handle_session_list(struct call *c)
{
    const struct session_query *q = c->query;
    struct charging_filter f = filter_of(c->api, q);
    bool by_cursor = q->cursor.at != NULL || q->limit.is_set;
    struct fault why = {"", ""};
    if (by_cursor && (q->page.is_set || q->page_size.is_set)) {
        fault_set(&why, q->page.is_set ? STR("page") : STR("page_size"),
                  "either page and page_size, or cursor and limit");
        answer_refused(c, ERR_FORMAT, &why);
    } else if (by_cursor) {
        answer_after(c, q, &f);
    } else {
        answer_page(c, q, &f);
    }
}

void handle_session_get(struct call *c)
{
    answer_outcome(c, charging_write_session(c->worker->db, c->params[0], answer_begin(c, 200, STR("ok"))));
}

/* Whether a point follows: one more is asked for, and thrown away. */
static enum err has_more(struct call *c, struct instant after, int64_t every_s, bool *out)
{
    struct buf b;
    struct json_writer w;
    struct instant last = INSTANT_NONE;
    buf_init(&b, 1024);
    jw_init(&w, &b);
    enum err e =
        instant_is_set(after) ? charging_write_curve(c->worker->db, c->params[0], after, every_s, 1, &w, &last) : OK;
    buf_release(&b);
    *out = instant_is_set(last);
    return e;
}

void handle_session_curve(struct call *c)
{
    const struct curve_query *q = c->query;
    struct instant after = INSTANT_NONE, last = INSTANT_NONE;
    int64_t every_s = q->every_s.is_set ? q->every_s.value : 0;
    bool more = false;
    if (q->cursor.at != NULL && str_to_int(q->cursor, &after.us) != OK) {
        answer_error(c, API_CURSOR_INVALID, NULL);
        return;
    }
    struct json_writer *w = answer_begin(c, 200, STR("ok"));
    jw_open_object(w);
    jw_key(w, STR("list"));
    enum err e = charging_write_curve(c->worker->db, c->params[0], after, every_s,
                                      q->limit.is_set ? q->limit.value : LIMIT_DEFAULT, w, &last);
    if (e == OK)
        e = has_more(c, last, every_s, &more);
    if (e == OK) {
        jw_field_str(w, "next_cursor", more ? arena_printf(&c->arena, "%" PRId64, last.us) : (struct str){NULL, 0});
        jw_close_object(w);
    }
    answer_outcome(c, e);
}

void handle_session_statistics(struct call *c)
{
    struct consumer_status s = {.errors = 0};
    for (size_t i = 0; i < bus_consumer_count(c->api->o.bus); i++) {
        struct consumer_status one;
        bus_status(c->api->o.bus, i, &one);
        if (strcmp(one.name, "charging") == 0)
            s = one;
    }
    answer_outcome(c, charging_write_statistics(c->worker->db, &s, answer_begin(c, 200, STR("ok"))));
}
