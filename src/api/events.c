/* api/events.c - the log as a list: both orders, the cursor is a position in it. */
#include "api/events.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"

bool trace_id_read(struct str text, uint8_t out[16])
{
    return text.len == 32 && hex_parse(text, out, 16) == OK;
}

enum err position_read(struct str cursor, uint64_t *out)
{
    int64_t n;
    if (cursor.len == 0 || cursor.at[0] < '0' || cursor.at[0] > '9' || str_to_int(cursor, &n) != OK)
        return ERR_FORMAT;
    *out = (uint64_t)n;
    return OK;
}

enum err event_filter_read(const void *query, struct event_filter *out, struct fault *why)
{
    struct stream_query q;
    memcpy(&q, query, sizeof q); /* every such query begins with EVENT_FIELDS */
    *out = (struct event_filter){
        .station = q.charge_point_id, .trace_id = q.trace_id, .type = -1, .since = INSTANT_NONE, .until = INSTANT_NONE};
    if (q.since.text.at != NULL)
        out->since = q.since.at;
    if (q.until.text.at != NULL)
        out->until = q.until.at;
    if (q.type.at != NULL)
        out->type = event_type_find(q.type);
    if (q.type.at != NULL && (out->type < 0 || !event_kinds[out->type].is_published)) {
        fault_set(why, STR("type"), "no event has this type");
        return ERR_RANGE;
    }
    if (q.trace_id.at != NULL && !trace_id_read(q.trace_id, out->trace)) {
        fault_set(why, STR("trace_id"), "32 hexadecimal digits");
        return ERR_RANGE;
    }
    return OK;
}

bool event_in_time(const struct event_filter *f, const struct event *e)
{
    return !(instant_is_set(f->since) && instant_before(e->received, f->since)) &&
           !(instant_is_set(f->until) && !instant_before(e->received, f->until));
}

bool event_filter_fits(const struct event_filter *f, const struct event *e)
{
    return event_kinds[e->type].is_published && (f->type < 0 || (int)e->type == f->type) &&
           (f->station.at == NULL || str_eq(f->station, e->station)) &&
           (f->trace_id.at == NULL || memcmp(f->trace, e->trace, sizeof f->trace) == 0) && event_in_time(f, e);
}

void event_put(const struct event *e, struct str gateway_id, uint64_t position, struct buf *out)
{
    size_t start = out->len;
    event_write(e, gateway_id, out);
    if (position == 0 || out->failed)
        return;
    struct buf whole;
    buf_init(&whole, ANSWER_MAX);
    buf_printf(&whole, "{\"position\":%" PRIu64 ",", position);
    buf_put(&whole, out->at + start + 1, out->len - start - 1);
    out->len = start;
    buf_put_str(out, buf_str(&whole));
    buf_release(&whole);
}

/* --- the list --- */

struct scan {
    bool is_backwards;
    uint64_t at;    /* where to begin; then, of the last event that was looked at */
    bool has_ended; /* nothing is left behind it */
};

static void seek(struct log_reader *r, const struct event_filter *f, struct scan *s, bool has_cursor)
{
    reader_only_station(r, f->station);
    if (s->is_backwards) {
        uint64_t from = has_cursor ? s->at - 1 : UINT64_MAX;
        if (instant_is_set(f->until)) {
            uint64_t end = reader_find_time(r, f->until);
            from = end > 0 && end - 1 < from ? end - 1 : from;
        }
        reader_seek_back(r, from);
        return;
    }
    uint64_t from = has_cursor ? s->at + 1 : 1;
    if (instant_is_set(f->since)) {
        uint64_t first = reader_find_time(r, f->since);
        from = first > from ? first : from;
    }
    reader_seek(r, from);
}

/* Past the other end of the time asked for: clocks may step back a little, so a margin is left. */
static bool is_past(const struct event_filter *f, const struct scan *s, const struct event *e)
{
    struct span margin = SPAN_S(s->is_backwards ? -60 : 60);
    struct instant end = s->is_backwards ? f->since : f->until;
    if (!instant_is_set(end))
        return false;
    return s->is_backwards ? instant_before(e->received, instant_add(end, margin))
                           : !instant_before(e->received, instant_add(end, margin));
}

static enum err write_events(struct call *c, const struct event_filter *f, int64_t limit, struct scan *s)
{
    struct log_reader *r = c->worker->log;
    int64_t written = 0;
    for (unsigned seen = 0; seen < EVENTS_SCAN_MAX && written < limit && c->x->answer.body.len < PAGE_SOFT_MAX;
         seen++) {
        struct event e;
        struct fault why = {"", ""};
        enum err got = s->is_backwards ? reader_prev(r, &e, &why) : reader_next(r, &e, &why);
        if (got == ERR_CORRUPT) {
            LOG_ERROR("log.damaged", F_CSTR("where", why.field), F_CSTR("reason", why.reason));
            continue; /* the reader goes on behind it */
        }
        if (got == ERR_AGAIN || (got == OK && is_past(f, s, &e))) {
            s->has_ended = true;
            return OK;
        }
        if (got != OK)
            return got;
        s->at = e.position;
        if (!event_filter_fits(f, &e))
            continue;
        struct buf one;
        buf_init(&one, ANSWER_MAX);
        event_put(&e, reader_gateway(r), e.position, &one);
        jw_raw(&c->w, buf_str(&one));
        buf_release(&one);
        written++;
    }
    return OK;
}

void handle_event_list(struct call *c)
{
    const struct event_query *q = c->query;
    struct event_filter f;
    struct fault why = {"", ""};
    struct scan s = {.is_backwards = str_eq(q->sort.text, STR("-position"))};
    enum err e = event_filter_read(q, &f, &why);
    if (e != OK) {
        answer_refused(c, e, &why);
        return;
    }
    if (q->cursor.at != NULL && (position_read(q->cursor, &s.at) != OK || (s.is_backwards && s.at == 0))) {
        answer_error(c, API_CURSOR_INVALID, NULL);
        return;
    }
    seek(c->worker->log, &f, &s, q->cursor.at != NULL);
    struct json_writer *w = answer_begin(c, 200, STR("ok"));
    jw_open_object(w);
    jw_key(w, STR("list"));
    jw_open_array(w);
    e = write_events(c, &f, q->limit.is_set ? q->limit.value : LIMIT_DEFAULT, &s);
    jw_close_array(w);
    jw_field_str(w, "next_cursor", s.has_ended ? (struct str){NULL, 0} : arena_printf(&c->arena, "%" PRIu64, s.at));
    jw_close_object(w);
    reader_only_station(c->worker->log, (struct str){NULL, 0});
    if (e != OK)
        answer_failure(c, e, &why);
    else
        answer_end(c);
}
