/* talk.c - a command under way: its frames, and what ends it. */
#include "proto/ap3000/talk.h"

#include "proto/ap3000/describe.h"

#include <string.h>

#define RESPONSE_SIZE_MAX ((size_t)64 << 10)

#define COMMAND_REGISTRATION 0x20 /* up; it shows that a pile has restarted */

/* --- frames --- */

/* Whoever gets it twice restarts, erases or fetches twice (7.8, 7.22). */
static const uint8_t not_repeated[] = {0x31, 0x32, 0x87, 0x88, 0xE4};

void ap3000_talk_send(struct ap3000_talk *t, struct ap3000_pile *p, uint8_t command, const void *fields)
{
    const struct ap3000_command *c = ap3000_command_find(command, AP3000_DOWN);
    uint8_t payload[AP3000_SENT_SIZE_MAX];
    struct ap3000_frame f = {.physical_id = p->physical_id, .command = command, .payload = {payload, 0}};
    enum err e = ap3000_write(c->layout, fields, payload, sizeof payload, &f.payload.len, NULL);
    check(e == OK); /* fields that were taken from JSON, or read from a frame, are whole */
    f.payload.len = ap3000_form_size(ap3000_forms, ap3000_form_count, p, c->layout, f.payload);
    f.message_id = t->message_id = pile_next_message_id(p);
    e = ap3000_frame_write(&f, t->frame, sizeof t->frame, &t->frame_len);
    check(e == OK); /* what may be as long as its sender likes has a limit in actions.c */
    t->command = command;
    t->is_answered = c->manner == AP3000_ASKS;
    t->is_repeated_blindly = memchr(not_repeated, command, sizeof not_repeated) == NULL;
}

struct pile_order *ap3000_talk_order(const struct ap3000_talk *t, struct ap3000_pile *p)
{
    return t->transaction_id == 0 ? NULL : pile_order_of(p, t->transaction_id);
}

/* --- endings --- */

struct str ap3000_response_take(struct ap3000_reply *r, struct buf *text)
{
    struct str response = text->failed ? (struct str){NULL, 0} : arena_copy(r->a, buf_str(text));
    buf_release(text);
    return response;
}

/* The code of an answer, and its list; NULL: the answer has none. */
static const struct ap3000_list *result_of(const struct ap3000_reply *r, uint8_t *code)
{
    const struct ap3000_layout *l = r->command->layout;
    if (l->count == 0 || strcmp(l->fields[0].key, "result") != 0)
        return NULL;
    *code = r->frame->payload.at[0];
    return l->fields[0].list;
}

void ap3000_end_by_answer(struct ap3000_reply *r, bool is_accepted)
{
    struct buf text;
    struct json_writer w;
    uint8_t code = 0;
    const struct ap3000_list *list = result_of(r, &code);
    const char *words = list == NULL ? NULL : ap3000_value_text(list, code);
    buf_init(&text, RESPONSE_SIZE_MAX);
    jw_init(&w, &text);
    jw_open_object(&w);
    if (list != NULL)
        jw_field_str(&w, "deviceStatus", words == NULL ? STR("a code that is not listed") : str_of(words));
    ap3000_fields_json_members(&w, r->command->layout, r->frame->payload);
    jw_close_object(&w);
    *r->end = (struct ap3000_ending){
        .outcome = "answered",
        .reason = is_accepted ? NULL : "DEVICE_REJECTED",
        .status = is_accepted ? STR("Accepted") : STR("Rejected"),
        .response = ap3000_response_take(r, &text),
    };
}

/* --- answers --- */

/* A pile that was told another heartbeat, or says which it has: what makes it offline goes by it (1.5). */
static void learn_heartbeat(struct ap3000_reply *r)
{
    struct ap3000_parameters_1 p;
    bool was_set = r->t->command == 0x83 && r->frame->payload.at[0] == AP3000_PARAMETERS_SET;
    if (!was_set && r->t->command != 0x90)
        return;
    struct bytes sent = {r->t->frame + AP3000_PAYLOAD_AT, r->t->frame_len - AP3000_PAYLOAD_AT - 2};
    if (ap3000_read(&ap3000_parameters_1_layout, was_set ? sent : r->frame->payload, &p, NULL) != OK ||
        p.heartbeat_s == 0 || p.heartbeat_s == r->in->pile->heartbeat_s)
        return;
    r->in->pile->heartbeat_s = p.heartbeat_s;
    ap3000_step_presence(r->step, false);
}

enum ap3000_talk_state ap3000_on_plain_answer(struct ap3000_reply *r)
{
    uint8_t code = 0;
    bool is_accepted = result_of(r, &code) == NULL || code == 0;
    ap3000_end_by_answer(r, is_accepted);
    return AP3000_TALK_ENDED;
}

/* Who reads the answer, by action. All others: ap3000_on_plain_answer. */
static ap3000_answerer *const answerers[AP3000_ACTION_COUNT] = {
    [AP3000_ACTION_remote_start] = ap3000_on_start_answer,
    [AP3000_ACTION_start] = ap3000_on_start_answer,
    [AP3000_ACTION_remote_stop] = ap3000_on_stop_answer,
    [AP3000_ACTION_stop] = ap3000_on_stop_answer,
    [AP3000_ACTION_stop_keeping_door] = ap3000_on_stop_answer,
    [AP3000_ACTION_get_configuration] = ap3000_on_block_read,
    [AP3000_ACTION_change_configuration] = ap3000_on_block_to_change,
};

static ap3000_answerer *answerer_of(const struct ap3000_talk *t)
{
    ap3000_answerer *own = answerers[ap3000_action_index(t->action)];
    return own == NULL ? ap3000_on_plain_answer : own;
}

static bool is_start(const struct ap3000_talk *t)
{
    return answerer_of(t) == ap3000_on_start_answer;
}

static bool is_stop(const struct ap3000_talk *t)
{
    return answerer_of(t) == ap3000_on_stop_answer;
}

/* An order knows the command of its start. That of its stop it does not, but one command at a time is under way at a
 * pile: an order that is being stopped is the one that was meant. */
void ap3000_talk_resume(const struct ap3000_pile *p, const struct ap3000_command_of *c, struct ap3000_talk *out)
{
    *out = (struct ap3000_talk){
        .action = c->action, .command = c->action->command, .port = PILE_PORT_NONE, .payload = c->payload};
    for (size_t i = 0; i < p->order_count; i++) {
        const struct pile_order *o = &p->orders[i];
        bool is_meant = is_stop(out) ? o->state == ORDER_STOPPING : str_eq(str_of(o->command_id), c->command_id);
        if (!is_meant)
            continue;
        out->transaction_id = o->id;
        out->port = o->port;
    }
}

/* The order of a talk that tells nothing of it. */
static void leave_unsure(const struct ap3000_talk *t, struct ap3000_step *s, const char *reason)
{
    struct pile_order *o = ap3000_talk_order(t, s->pile);
    if (o != NULL && is_start(t)) /* ERR_STATE: evidence was quicker */
        (void)ap3000_step_order(s, o, ORDER_IN_UNSURE, reason);
    else if (o != NULL && is_stop(t))
        (void)ap3000_step_order(s, o, ORDER_IN_STOP_FAILED, reason);
}

static void end_unreadable(struct ap3000_reply *r)
{
    struct buf text;
    struct json_writer w;
    leave_unsure(r->t, r->step, "its answer cannot be read");
    buf_init(&text, RESPONSE_SIZE_MAX);
    jw_init(&w, &text);
    jw_open_object(&w);
    ap3000_fields_json_members(&w, NULL, r->frame->payload);
    jw_close_object(&w);
    *r->end = (struct ap3000_ending){.outcome = is_start(r->t) || is_stop(r->t) ? "unknown" : "answered",
                                     .reason = "DEVICE_ERROR",
                                     .status = STR("Rejected"),
                                     .response = ap3000_response_take(r, &text)};
}

enum ap3000_talk_state ap3000_talk_on_answer(const struct ap3000_input *in, struct ap3000_talk *t,
                                             const struct ap3000_frame *f, struct arena *a, struct buf *text,
                                             struct ap3000_decision *d, struct ap3000_ending *end)
{
    struct ap3000_step s;
    struct ap3000_slices slices;
    struct ap3000_reply r = {.in = in,
                             .t = t,
                             .frame = f,
                             .command = ap3000_command_find(t->command, AP3000_UP),
                             .a = a,
                             .step = &s,
                             .end = end};
    enum ap3000_talk_state state = AP3000_TALK_ENDED;
    ap3000_step_begin(&s, in, a, text, d);
    if (r.command != NULL && ap3000_slice(r.command->layout, f->payload, &slices, NULL) == OK) {
        learn_heartbeat(&r);
        state = answerer_of(t)(&r);
    } else {
        end_unreadable(&r);
    }
    ap3000_step_finish(&s);
    return state;
}

/* --- what is no answer --- */

/* clang-format off */
static const struct {
    uint8_t down, up; /* up shows that down was carried out */
} evidence[] = {
    {0x81, 0x20}, {0x81, 0x21}, {0x81, 0x01}, /* 7.1, A44 */
    {0x87, COMMAND_REGISTRATION},             /* 7.8 */
};
/* clang-format on */

enum ap3000_talk_state ap3000_talk_on_frame(const struct ap3000_input *in, struct ap3000_talk *t,
                                            const struct ap3000_frame *f, struct arena *a, struct ap3000_ending *end)
{
    (void)in;
    for (size_t i = 0; i < COUNT_OF(evidence); i++) {
        if (evidence[i].down != t->command || evidence[i].up != f->command)
            continue;
        *end = (struct ap3000_ending){.outcome = "answered",
                                      .status = STR("Accepted"),
                                      .response = arena_printf(a, "{\"shownBy\":\"0x%02X\"}", f->command)};
        return AP3000_TALK_ENDED;
    }
    return AP3000_TALK_GOES_ON;
}

void ap3000_talk_on_repeat(const struct ap3000_input *in, struct ap3000_talk *t)
{
    struct pile_order *o = ap3000_talk_order(t, in->pile);
    if (o != NULL && is_start(t))
        o->was_retransmitted = true;
}

void ap3000_talk_on_silence(const struct ap3000_input *in, struct ap3000_talk *t, struct arena *a, struct buf *text,
                            struct ap3000_decision *d, struct ap3000_ending *end)
{
    struct ap3000_step s;
    ap3000_step_begin(&s, in, a, text, d);
    leave_unsure(t, &s, "no answer");
    ap3000_step_finish(&s);
    *end = (struct ap3000_ending){.outcome = "unknown", .reason = "NO_ANSWER", .status = STR("Rejected")};
    if (t->action->command == 0xE4) /* nothing ever answers it */
        *end = (struct ap3000_ending){.outcome = "unknown", .status = STR("Sent")};
}

void ap3000_talk_on_not_sent(const struct ap3000_input *in, struct ap3000_talk *t, struct arena *a, struct buf *text,
                             struct ap3000_decision *d)
{
    struct ap3000_step s;
    struct pile_order *o = ap3000_talk_order(t, in->pile);
    ap3000_step_begin(&s, in, a, text, d);
    if (o != NULL && is_start(t)) /* it was told that it leaves: nothing runs, as after a refusal */
        (void)ap3000_step_order(&s, o, o->state == ORDER_NEW ? ORDER_IN_NOT_SENT : ORDER_IN_REFUSED, "not sent");
    else if (o != NULL && is_stop(t))
        (void)ap3000_step_order(&s, o, ORDER_IN_STOP_FAILED, "not sent");
    ap3000_step_finish(&s);
}
