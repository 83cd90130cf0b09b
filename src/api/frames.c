/* api/frames.c - the raw frames of one station out of the log, newest first: what the gateway's play-book
 * (gateway-contract.md 7) begins with. An event has the frame that caused it and the answer to it, so it is up to two
 * rows. */
#include "api/events.h"
#include "proto/ap3000/frames.h"
#include "proto/ap3000/pile.h"

#include <inttypes.h>
#include <string.h>

#define FRAME_TYPE_CALL   2 /* OCPP-J: first element of a frame */
#define FRAME_TYPE_RESULT 3

/* Which rows of an event: the answer is the newer one. A cursor names the row that comes next. */
enum half { HALF_FRAME, HALF_ANSWER };

struct frame {
    int64_t type; /* 0: no OCPP-J frame */
    struct str id, action;
};

static const char *const type_names[] = {[2] = "call", [3] = "result", [4] = "error"};

static struct str text_of(struct call *c, struct json *j)
{
    struct json_string s;
    struct str text = {NULL, 0};
    if (!json_get_string(j, &s) || json_string_text(s, &c->arena, &text) != OK)
        return (struct str){NULL, 0};
    return text;
}

/* A frame of a pile, kept as hexadecimal. */
static bool read_pile_frame(struct call *c, struct str text, bool is_out, struct frame *out)
{
    uint8_t bytes[AP3000_FRAME_SIZE_MAX];
    struct ap3000_frame f;
    size_t size;
    if (text.len / 2 > sizeof bytes || hex_parse(text, bytes, text.len / 2) != OK ||
        ap3000_frame_read((struct bytes){bytes, text.len / 2}, &f, &size, NULL) != OK)
        return false;
    const struct ap3000_command *k = ap3000_command_find(f.command, is_out ? AP3000_DOWN : AP3000_UP);
    *out = (struct frame){.type = k != NULL && k->manner == AP3000_ANSWERS ? FRAME_TYPE_RESULT : FRAME_TYPE_CALL,
                          .id = arena_printf(&c->arena, "%u", (unsigned)f.message_id),
                          .action = arena_printf(&c->arena, "0x%02X%s%s", (unsigned)f.command, k == NULL ? "" : " ",
                                                 k == NULL ? "" : k->name)};
    return true;
}

/* As far as it is one: what a station sent may be anything. */
static struct frame read_frame(struct call *c, struct str text, bool is_out)
{
    struct frame f = {0, {NULL, 0}, {NULL, 0}};
    if (pile_id_is(c->params[0]) && read_pile_frame(c, text, is_out, &f))
        return f;
    struct json j;
    struct str number;
    json_init(&j, text);
    if (!json_open_array(&j) || !json_next_item(&j) || !json_get_number(&j, &number) ||
        json_number_int(number, &f.type) != OK || f.type < 2 || f.type > 4) {
        f.type = 0;
        return f;
    }
    if (json_next_item(&j))
        f.id = text_of(c, &j);
    if (f.type == FRAME_TYPE_CALL && json_next_item(&j))
        f.action = text_of(c, &j);
    return f;
}

/* A member of the payload that is text. */
static struct str payload_text(struct call *c, const struct event *e, struct str name)
{
    struct json j;
    struct json_string key;
    struct str found = {NULL, 0};
    json_init(&j, e->payload);
    if (!json_open_object(&j))
        return found;
    while (json_next_key(&j, &key)) {
        if (json_string_is(key, name) && json_peek(&j) == JSON_STRING)
            found = text_of(c, &j);
        else
            (void)json_skip(&j);
    }
    return found;
}

/* What the store knows of the command that a frame belongs to. */
static void add_command(struct call *c, const struct event *e, struct message_row *row)
{
    struct db_rows *r = DB_ROWS(c->worker->db, "SELECT action, outcome, sent_at FROM commands WHERE command_id = ?1",
                                db_text(payload_text(c, e, STR("commandId"))));
    if (db_next(r)) {
        struct instant sent = db_col_time(r, 2);
        row->action = arena_copy(&c->arena, db_col_text(r, 0));
        row->outcome = arena_copy(&c->arena, db_col_text(r, 1));
        if (e->type == EVENT_COMMAND_RESPONSE && instant_is_set(sent))
            row->latency_ms = integer_of(instant_since(e->received, sent).us / 1000);
    }
    if (db_rows_end(r) != OK)
        c->x->answer.body.failed = true; /* the whole answer then says so */
}

static bool is_outward(const struct event *e, enum half half)
{
    return half == HALF_ANSWER || e->type == EVENT_COMMAND_SENT;
}

static struct message_row make_row(struct call *c, const struct event *e, enum half half)
{
    char trace[33];
    struct str text = half == HALF_ANSWER ? e->answer : e->frame;
    struct frame f = read_frame(c, text, is_outward(e, half)),
                 call = half == HALF_ANSWER ? read_frame(c, e->frame, false) : f;
    int direction = is_outward(e, half) ? DIRECTION_OUT : DIRECTION_IN;
    hex_write((struct bytes){e->trace, sizeof e->trace}, trace);
    struct message_row row = {
        .position = integer_of((int64_t)e->position),
        .time = stamp_of(&c->arena, e->received),
        .direction = choice_word(&direction_words_choices, direction),
        .message_type = f.type == 0 ? (struct str){NULL, 0} : str_of(type_names[f.type]),
        .message_id = f.id,
        .action = call.action,
        .text = text,
        .event_type = event_kinds[e->type].wire,
        .trace_id = arena_copy(&c->arena, str_of(trace)),
    };
    if (e->type == EVENT_COMMAND_SENT || e->type == EVENT_COMMAND_RESPONSE) {
        add_command(c, e, &row);
    } else if (e->answer.at != NULL) {
        struct frame answer = half == HALF_ANSWER ? f : read_frame(c, e->answer, true);
        row.outcome = answer.type == 0 ? STR("answered") : str_of(answer.type == 4 ? "error" : "result");
    }
    return row;
}

struct view {
    const struct message_query *q;
    struct event_filter filter;
    uint64_t at;    /* event to go on at */
    enum half half; /* and its row */
    int64_t written, limit;
    bool has_ended;
};

/* False: the page is full, and this row is the next one's first. */
static bool put_half(struct call *c, struct view *v, const struct event *e, enum half half)
{
    struct str text = half == HALF_ANSWER ? e->answer : e->frame;
    const struct message_query *q = v->q;
    if (text.at == NULL ||
        (q->direction.text.at != NULL && (q->direction.index == DIRECTION_OUT) != is_outward(e, half)))
        return true;
    struct message_row row = make_row(c, e, half);
    if (q->action.at != NULL && !str_eq(q->action, row.action))
        return true;
    if (v->written == v->limit) {
        v->at = e->position;
        v->half = half;
        return false;
    }
    message_write(&c->w, &message_row_message, &row);
    v->written++;
    return true;
}

static bool is_asked(const struct view *v, struct str station, const struct event *e)
{
    bool same_trace = v->filter.trace_id.at == NULL || memcmp(e->trace, v->filter.trace, sizeof e->trace) == 0;
    return str_eq(e->station, station) && same_trace && event_in_time(&v->filter, e);
}

static enum err write_frames(struct call *c, struct view *v)
{
    struct log_reader *r = c->worker->log;
    uint64_t first = v->at;
    enum half from = v->half;
    for (unsigned seen = 0; seen < EVENTS_SCAN_MAX && c->x->answer.body.len < PAGE_SOFT_MAX; seen++) {
        struct event e;
        struct fault why;
        enum err got = reader_prev(r, &e, &why);
        if (got == ERR_CORRUPT)
            continue;
        if (got == ERR_AGAIN || (got == OK && instant_is_set(v->filter.since) &&
                                 instant_before(instant_add(e.received, SPAN_S(60)), v->filter.since))) {
            v->has_ended = true;
            return OK;
        }
        if (got != OK)
            return got;
        if (is_asked(v, c->params[0], &e)) {
            bool skips_answer = e.position == first && from == HALF_FRAME;
            if ((!skips_answer && !put_half(c, v, &e, HALF_ANSWER)) || !put_half(c, v, &e, HALF_FRAME))
                return OK;
        }
        v->at = e.position - 1;
        v->half = HALF_ANSWER;
        v->has_ended = e.position <= 1;
    }
    return OK;
}

/* "position" with the answer first, "position.0" from its frame on. */
static bool read_frame_cursor(struct str text, struct view *v)
{
    v->half = text.len > 2 && str_eq((struct str){text.at + text.len - 2, 2}, STR(".0")) ? HALF_FRAME : HALF_ANSWER;
    return position_read((struct str){text.at, text.len - (v->half == HALF_FRAME ? 2 : 0)}, &v->at) == OK;
}

void handle_message_list(struct call *c)
{
    const struct message_query *q = c->query;
    struct view v = {
        .q = q, .at = UINT64_MAX, .half = HALF_ANSWER, .limit = q->limit.is_set ? q->limit.value : LIMIT_DEFAULT};
    struct fault why = {"", ""};
    v.filter = (struct event_filter){.trace_id = q->trace_id, .since = INSTANT_NONE, .until = INSTANT_NONE};
    if (q->since.text.at != NULL)
        v.filter.since = q->since.at;
    if (q->until.text.at != NULL)
        v.filter.until = q->until.at;
    if (q->trace_id.at != NULL && !trace_id_read(q->trace_id, v.filter.trace)) {
        fault_set(&why, STR("trace_id"), "32 hexadecimal digits");
        answer_refused(c, ERR_RANGE, &why);
        return;
    }
    if (q->cursor.at != NULL && !read_frame_cursor(q->cursor, &v)) {
        answer_error(c, API_CURSOR_INVALID, NULL);
        return;
    }
    if (!station_exists(c, c->params[0]))
        return;
    struct log_reader *r = c->worker->log;
    reader_only_station(r, c->params[0]);
    uint64_t end = instant_is_set(v.filter.until) ? reader_find_time(r, v.filter.until) : UINT64_MAX;
    reader_seek_back(r, end < v.at ? end : v.at);
    struct json_writer *w = answer_begin(c, 200, STR("ok"));
    jw_open_object(w);
    jw_key(w, STR("list"));
    jw_open_array(w);
    enum err e = write_frames(c, &v);
    jw_close_array(w);
    struct str next = arena_printf(&c->arena, "%" PRIu64 "%s", v.at, v.half == HALF_FRAME ? ".0" : "");
    jw_field_str(w, "next_cursor", v.has_ended ? (struct str){NULL, 0} : next);
    jw_close_object(w);
    reader_only_station(r, (struct str){NULL, 0});
    if (e != OK)
        answer_failure(c, e, NULL);
    else
        answer_end(c);
}
