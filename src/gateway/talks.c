/* gateway/talks.c - a command to a pile while it is under way (ap3000.md 3): its frame leaves when "sent" is durable,
 * and is repeated to the byte when no answer comes, on whatever line the pile is heard of by then. A connection that
 * ends is therefore no end of the command: only its time is. */
#include "gateway/parts.h"

static struct bytes whole_of(const struct ap3000_frame *f)
{
    return (struct bytes){f->payload.at - AP3000_PAYLOAD_AT, f->payload.len + AP3000_PAYLOAD_AT + sizeof f->checksum};
}

/* "sent" into the log, then the frame into the queue of what waits for it. */
static void tell_sent(struct slot *slot, struct command *c)
{
    struct gateway *g = slot->gateway;
    struct ap3000_talk *t = c->talk;
    struct bytes frame = {t->frame, t->frame_len};
    char number[8];
    (void)snprintf(number, sizeof number, "%u", (unsigned)t->message_id);
    (void)str_copy(c->message_id, sizeof c->message_id, str_of(number));
    struct ev_command_sent p = {.command_id = str_of(c->id), .message_id = str_of(c->message_id)};
    buf_clear(&g->text);
    schema_write(&ev_command_sent_message, &p, &g->text);
    struct event e = {.type = EVENT_COMMAND_SENT,
                      .station = str_of(slot->station.id),
                      .received = c->sent_at,
                      .device_time = INSTANT_NONE,
                      .payload = buf_str(&g->text),
                      .frame = hex_of(&g->hex, frame)};
    gateway_append(g, slot, &e, c->trace);
    struct held *h = held_new(g, HELD_COMMAND, (struct str){(const char *)frame.at, frame.len});
    h->command = c;
    h->session = slot->session;
    h->received = c->sent_at;
    c->is_on_the_wire = c->is_leaving = c->is_repeat_due = false;
    c->repeats = 0;
    held_add(g, h, e.position);
}

static void take_back(const struct command *c)
{
    if (c->slot->session != NULL)
        pile_take_back(pile_of(c->slot->session), c);
}

static struct command_ending ending_of(const struct ap3000_ending *end)
{
    return (struct command_ending){
        .outcome = end->outcome, .reason = end->reason, .status = end->status, .response = end->response};
}

/* Why it did not leave after all. */
const char *talk_reason_of(enum err e)
{
    return e == ERR_UNSUPPORTED ? "UNSUPPORTED_BY_DEVICE"
           : e == ERR_STATE     ? "NOT_ALLOWED_NOW"
                                : "INVALID_COMMAND_PAYLOAD";
}

void talk_send(struct slot *slot, struct command *c)
{
    struct gateway *g = slot->gateway;
    if (ap3000_action_index(c->pile_action) == AP3000_ACTION_update_firmware) {
        firmware_start(slot, c);
        return;
    }
    struct ap3000_input in = pile_input_of(g, slot);
    struct ap3000_command_of of = {c->pile_action, str_of(c->id), str_of(c->payload)};
    struct ap3000_decision d = {0};
    struct fault why = {0};
    arena_reset(&g->arena);
    buf_clear(&g->text);
    c->talk = mem_new(1, sizeof *c->talk);
    c->talk->payload = str_of(c->payload);
    enum err e = ap3000_talk_begin(&in, &of, &g->arena, &g->text, c->talk, &d, &why);
    pile_append(g, slot, &d, c->trace);
    if (e == OK) {
        tell_sent(slot, c);
        return;
    }
    command_finish(c, &(struct command_ending){
                          .outcome = "not_sent", .reason = talk_reason_of(e), .error_text = str_of(why.reason)});
}

void talk_unsend(struct command *c, const char *reason)
{
    struct slot *slot = c->slot;
    struct gateway *g = slot->gateway;
    take_back(c);
    if (c->talk != NULL) {
        struct ap3000_input in = pile_input_of(g, slot);
        struct ap3000_decision d = {0};
        arena_reset(&g->arena);
        buf_clear(&g->text);
        ap3000_talk_on_not_sent(&in, c->talk, &g->arena, &g->text, &d);
        pile_append(g, slot, &d, c->trace);
    }
    command_finish_not_sent(c, reason);
}

static struct bytes frame_of(const struct command *c)
{
    return (struct bytes){c->talk->frame, c->talk->frame_len};
}

/* It waits for its turn no longer than for an answer: what a pile is told late it may take for something else (3.3). */
void talk_leave(struct command *c, struct bytes frame)
{
    struct slot *slot = c->slot;
    struct gateway *g = slot->gateway;
    struct session *s = slot->session; /* perhaps on another line by now */
    if (c->talk == NULL) {
        firmware_leave(slot, frame);
        return;
    }
    if (s == NULL) {
        talk_unsend(c, "DEVICE_OFFLINE");
        return;
    }
    c->is_leaving = true;
    timer_start(g->loop, &c->timer, g->config->pile_answer_s * 1000);
    pile_send_command(pile_of(s), c, frame);
}

void talk_left(struct command *c)
{
    struct gateway *g = c->slot->gateway;
    if (c->is_on_the_wire)
        return; /* a repeat */
    c->is_on_the_wire = true;
    metric_observe_us(METRIC_COMMAND_LATENCY, (clock_monotonic_ms() - c->queued_ms) * 1000);
    timer_start(g->loop, &c->timer, g->config->pile_answer_s * 1000);
}

/* It ends, and what follows from that. */
static void end_talk(struct command *c, const struct ap3000_decision *d, struct command_ending *end)
{
    struct slot *slot = c->slot;
    struct pile_wishes wishes;
    take_back(c); /* a repeat that is still to leave */
    pile_wishes_of(d, &wishes);
    pile_append(slot->gateway, slot, d, c->trace);
    command_finish(c, end);
    pile_grant(slot, &wishes);
    commands_try_send(slot);
}

bool talk_take(struct pile_session *p, const struct ap3000_frame *f)
{
    struct slot *slot = p->s.slot;
    struct gateway *g = slot->gateway;
    struct command *c = slot->outstanding;
    const struct ap3000_command *kind = ap3000_command_find(f->command, AP3000_UP);
    if (c == NULL || !c->is_on_the_wire || c->talk == NULL || !c->talk->is_answered || c->talk->command != f->command ||
        c->talk->message_id != f->message_id || kind == NULL || kind->manner != AP3000_ANSWERS)
        return false;
    struct ap3000_input in = pile_input_of(g, slot);
    struct ap3000_decision d = {0};
    struct ap3000_ending end = {0};
    const struct str none = {NULL, 0};
    timer_stop(&c->timer);
    take_back(c);
    buf_clear(&g->text);
    in.text = none; /* the frame goes with the command's own event, and once */
    const struct str text = hex_of(&g->hex, whole_of(f));
    metric_add_label_alone(METRIC_MESSAGES_IN, str_of(kind->name), 1);
    if (ap3000_talk_on_answer(&in, c->talk, f, &g->arena, &g->text, &d, &end) == AP3000_TALK_GOES_ON) {
        pile_append(g, slot, &d, c->trace);
        gateway_append_frame(g, slot, text, none, in.now);
        tell_sent(slot, c);
        return true;
    }
    struct command_ending ending = ending_of(&end);
    ending.frame = text;
    end_talk(c, &d, &ending);
    return true;
}

void talk_see(struct pile_session *p, const struct ap3000_frame *f)
{
    struct slot *slot = p->s.slot;
    struct gateway *g = slot->gateway;
    struct command *c = slot->outstanding;
    struct ap3000_ending end = {0};
    struct ap3000_decision nothing = {0};
    if (c == NULL || !c->is_on_the_wire || c->talk == NULL)
        return;
    struct ap3000_input in = pile_input_of(g, slot);
    if (ap3000_talk_on_frame(&in, c->talk, f, &g->arena, &end) != AP3000_TALK_ENDED)
        return;
    struct command_ending ending = ending_of(&end);
    timer_stop(&c->timer);
    end_talk(c, &nothing, &ending);
}

static void end_unanswered(struct command *c, const char *reason)
{
    struct slot *slot = c->slot;
    struct gateway *g = slot->gateway;
    struct ap3000_input in = pile_input_of(g, slot);
    struct ap3000_decision d = {0};
    struct ap3000_ending end = {0};
    arena_reset(&g->arena);
    buf_clear(&g->text);
    ap3000_talk_on_silence(&in, c->talk, &g->arena, &g->text, &d, &end);
    struct command_ending ending = ending_of(&end);
    if (reason != NULL)
        ending.reason = reason;
    LOG_WARN("command.unanswered", F_CSTR("station", slot->station.id), F_CSTR("command", c->id));
    end_talk(c, &d, &ending);
}

static void send_again(struct command *c, struct session *s)
{
    c->is_repeat_due = false;
    metric_add(METRIC_PILE_REPEATED, 1);
    pile_send_command(pile_of(s), c, frame_of(c));
}

void talk_on_timer(struct command *c)
{
    struct slot *slot = c->slot;
    struct gateway *g = slot->gateway;
    struct session *s = slot->session;
    if (c->talk == NULL) {
        firmware_on_late(c);
        return;
    }
    if (!c->is_on_the_wire) { /* answers had to leave before it all the time, or its pile is gone */
        talk_unsend(c, s == NULL ? "DEVICE_OFFLINE" : "THROTTLED");
        commands_try_send(slot);
        return;
    }
    if (c->repeats >= (unsigned)g->config->pile_repeats) {
        end_unanswered(c, s == NULL ? "CONNECTION_LOST" : NULL);
        return;
    }
    c->repeats++;
    if (c->talk->is_repeated_blindly) {
        struct ap3000_input in = pile_input_of(g, slot);
        ap3000_talk_on_repeat(&in, c->talk);
        if (s != NULL)
            send_again(c, s);
        else
            c->is_repeat_due = true;
    }
    timer_start(g->loop, &c->timer, g->config->pile_answer_s * 1000);
}

void talk_on_back(struct slot *slot)
{
    struct command *c = slot->outstanding;
    if (c != NULL && c->is_repeat_due)
        send_again(c, slot->session);
    else if (c != NULL && c->is_leaving && !c->is_on_the_wire) /* it waited on a line that has ended */
        pile_send_command(pile_of(slot->session), c, frame_of(c));
    commands_try_send(slot);
}

/* With the last connection of the process its time is over; else it goes on where the pile is heard of next. What waits
 * for its "sent" ends when that is durable; what firmware has to do with is firmware_on_lost's. */
void talk_on_lost(struct command *c, bool is_for_good)
{
    if (!is_for_good || c->talk == NULL)
        return;
    if (c->is_on_the_wire)
        end_unanswered(c, "CONNECTION_LOST");
    else if (c->is_leaving)
        talk_unsend(c, "DEVICE_OFFLINE");
}

void talk_resume(struct command *c)
{
    c->talk = mem_new(1, sizeof *c->talk);
    ap3000_talk_resume(c->slot->pile, &(struct ap3000_command_of){c->pile_action, str_of(c->id), str_of(c->payload)},
                       c->talk);
    end_unanswered(c, "CONNECTION_LOST");
}
