/* gateway/commands.c - commands to stations: sent one behind the other, and brought to exactly one outcome; submit.c
 * takes them on (gateway-contract.md 2; ocpp16.md 2.5, 2.6; ../models: cmd.pml).
 *
 *   queued ──> sent ──> done          answered   the station said something, whatever it said
 *      └─────────────────^            unknown    it left, and no answer came: it may have been carried out
 *                                     not_sent   it never left
 *
 * "queued" and "sent" are in the log before anyone is told, "sent" before the frame leaves: so after a crash a command
 * that may have been carried out is never called not sent, nor sent again. An answer counts only on the connection on
 * which its command went out. */
#include "gateway/parts.h"

#define TRIGGER_WINDOW_MS     30000
#define AP3000_STATUS_COMMAND 0x81

static const char *const state_words[] = {"queued", "sent", "done"};

void command_free(struct command *c)
{
    timer_stop(&c->timer);
    free(c->talk);
    free(c->payload);
    free(c->response);
    free(c);
}

void commands_release(struct gateway *g)
{
    size_t i = 0;
    for (struct command *c; (c = map_next(&g->commands, &i)) != NULL;)
        command_free(c);
    map_release(&g->commands);
}

struct str command_name(const struct command *c)
{
    return c->action != NULL ? c->action->name : c->pile_action->name;
}

struct command_result command_result_of(const struct command *c)
{
    struct command_result r = {
        .command_id = str_of(c->id),
        .station = str_of(c->station),
        .action = command_name(c),
        .payload = str_of(c->payload),
        .origin = str_of(c->origin),
        .state = str_of(state_words[c->state]),
        .outcome = c->outcome[0] == 0 ? (struct str){NULL, 0} : str_of(c->outcome),
        .status = c->status[0] == 0 ? (struct str){NULL, 0} : str_of(c->status),
        .response = str_of(c->response),
        .reason = c->reason[0] == 0 ? (struct str){NULL, 0} : str_of(c->reason),
        .queued_at = c->queued_at,
        .sent_at = c->sent_at,
        .done_at = c->done_at,
        .expires_at = c->expires_at,
    };
    memcpy(r.trace, c->trace, sizeof r.trace);
    return r;
}

/* --- one outcome --- */

static size_t size_of(const struct command *c)
{
    return sizeof *c + strlen(c->payload) + (c->response == NULL ? 0 : strlen(c->response));
}

/* Done, and told: nothing waits for it any more. The oldest are forgotten; their rows are in the store. */
static void keep_done(struct gateway *g, struct command *c)
{
    check(c->held == 0);
    g->done_size += size_of(c);
    while (g->done_count == COMMANDS_DONE_KEPT || (g->done_count > 0 && g->done_size > COMMANDS_DONE_SIZE_MAX)) {
        struct command *oldest = g->done_ring[g->done_first];
        g->done_first = (g->done_first + 1) % COMMANDS_DONE_KEPT;
        g->done_count--;
        g->done_size -= size_of(oldest);
        (void)map_take(&g->commands, str_of(oldest->id));
        command_free(oldest);
    }
    g->done_ring[(g->done_first + g->done_count++) % COMMANDS_DONE_KEPT] = c;
}

static void write_details(struct command *c, struct str code, struct str text, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_open_object(&w);
    if (c->reason[0] != 0)
        jw_field_str(&w, "reason", str_of(c->reason));
    if (str_eq(str_of(c->reason), STR("DEVICE_REJECTED")))
        jw_field_str(&w, "deviceStatus", str_of(c->status));
    jw_field_str_opt(&w, "errorCode", code);
    jw_field_str_opt(&w, "errorDescription", text);
    if (c->response != NULL)
        jw_field_raw(&w, "response", str_of(c->response));
    jw_close_object(&w);
}

void command_finish(struct command *c, const struct command_ending *end)
{
    struct slot *slot = c->slot;
    struct gateway *g = slot->gateway;
    check(!c->is_finished);
    c->is_finished = true;
    timer_stop(&c->timer);
    if (c->state == COMMAND_STATE_QUEUED) {
        list_take(&c->link);
        slot->command_count--;
    }
    if (slot->outstanding == c)
        slot->outstanding = NULL;
    c->state = COMMAND_STATE_DONE;
    c->done_at = clock_now();
    (void)str_copy(c->outcome, sizeof c->outcome, str_of(end->outcome));
    (void)str_copy(c->status, sizeof c->status, end->status.at == NULL ? STR("Rejected") : end->status);
    (void)str_copy(c->reason, sizeof c->reason, end->reason == NULL ? STR("") : str_of(end->reason));
    if (end->response.at != NULL) {
        c->response = mem_new(1, end->response.len + 1);
        memcpy(c->response, end->response.at, end->response.len);
    }
    struct buf details;
    buf_init(&details, MESSAGE_ARENA_MAX);
    write_details(c, end->error_code, end->error_text, &details);
    struct ev_command_response p = {.command_id = str_of(c->id),
                                    .command_name = command_name(c),
                                    .status = str_of(c->status),
                                    .details = buf_str(&details),
                                    .outcome = str_of(c->outcome)};
    buf_clear(&g->text);
    schema_write(&ev_command_response_message, &p, &g->text);
    struct event e = {.type = EVENT_COMMAND_RESPONSE,
                      .station = str_of(slot->station.id),
                      .received = c->done_at,
                      .device_time = INSTANT_NONE,
                      .sequence = ++slot->station.sequence,
                      .payload = buf_str(&g->text),
                      .frame = end->frame};
    gateway_append(g, slot, &e, c->trace);
    buf_release(&details);
    metric_add_label(METRIC_COMMAND_OUTCOMES, str_of(c->outcome), 1);
    LOG_INFO("command.done", F_CSTR("station", slot->station.id), F_CSTR("command", c->id),
             F_STR("action", command_name(c)), F_CSTR("outcome", c->outcome), F_CSTR("status", c->status),
             F_CSTR("reason", c->reason));
    atomic_fetch_sub(&g->stat_commands, 1);
    c->slot = NULL;
    struct held *h = held_new(g, HELD_DONE, STR(""));
    h->command = c;
    held_add(g, h, e.position);
    if (slot->session == NULL)
        slot_rest(slot);
}

void command_tell_queued(struct command *c)
{
    struct command_result r = command_result_of(c);
    while (c->told_queued < c->listener_count) {
        struct command_listener *l = &c->listeners[c->told_queued++];
        if (l->on_queued != NULL)
            l->on_queued(l->data, &r, OK, NULL);
    }
}

void command_tell_done(struct gateway *g, struct command *c)
{
    command_tell_queued(c);
    struct command_result r = command_result_of(c);
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].on_done != NULL)
            c->listeners[i].on_done(c->listeners[i].data, &r);
    c->listener_count = c->told_queued = 0;
    keep_done(g, c);
}

void command_finish_not_sent(struct command *c, const char *reason)
{
    command_finish(c, &(struct command_ending){.outcome = "not_sent", .reason = reason});
}

void command_on_timer(struct timer *t)
{
    struct command *c = CONTAINER(t, struct command, timer);
    struct slot *slot = c->slot;
    if (c->state == COMMAND_STATE_QUEUED) {
        command_finish_not_sent(c, slot->session == NULL ? "DEVICE_OFFLINE" : "EXPIRED");
        return;
    }
    if (slot->pile != NULL) {
        talk_on_timer(c);
        return;
    }
    LOG_WARN("command.unanswered", F_CSTR("station", slot->station.id), F_CSTR("command", c->id));
    command_finish(c, &(struct command_ending){.outcome = "unknown", .reason = "NO_ANSWER"});
    commands_try_send(slot);
}

/* --- sending --- */

/* ocpp16.md 6: rejected stations are told nothing, pending ones are not started or stopped. A pile that is not accepted
 * may be asked how it is (ap3000.md 6.1), and nothing more. */
bool command_is_allowed(const struct slot *slot, const struct command *c)
{
    const struct ocpp_action *a = c->action;
    if (a == NULL)
        return slot->station.registration == REGISTRATION_ACCEPTED ||
               (c->pile_action->command == AP3000_STATUS_COMMAND &&
                slot->station.registration != REGISTRATION_REJECTED);
    bool starts_or_stops = ocpp_action_index(a) == ACTION_remote_start_transaction ||
                           ocpp_action_index(a) == ACTION_remote_stop_transaction;
    return slot->station.registration != REGISTRATION_REJECTED &&
           !(slot->station.registration == REGISTRATION_PENDING && starts_or_stops);
}

/* The first that is urgent, else the first. What was taken on while it was allowed, and is not any more, waits: until
 * it is again, or expires. */
static struct command *next_command(struct slot *slot)
{
    struct command *first = NULL;
    for (struct link *l = slot->commands.next; l != &slot->commands; l = l->next) {
        struct command *c = CONTAINER(l, struct command, link);
        if (!command_is_allowed(slot, c))
            continue;
        if (c->is_urgent)
            return c;
        if (first == NULL)
            first = c;
    }
    return first;
}

/* "sent" into the log, and the frame into the queue of what waits for it. */
static void send_call(struct slot *slot, struct command *c)
{
    struct gateway *g = slot->gateway;
    uint8_t random[16];
    gateway_random(g, random, sizeof random);
    uuid_write(uuid_v4(random), c->message_id);
    struct ev_command_sent p = {.command_id = str_of(c->id), .message_id = str_of(c->message_id)};
    buf_clear(&g->text);
    schema_write(&ev_command_sent_message, &p, &g->text);
    size_t payload_len = g->text.len;
    ocpp_write_call(&g->text, str_of(c->message_id), c->action->name, str_of(c->payload));
    struct str frame = {(const char *)g->text.at + payload_len, g->text.len - payload_len};
    struct event e = {.type = EVENT_COMMAND_SENT,
                      .station = str_of(slot->station.id),
                      .received = c->sent_at,
                      .device_time = INSTANT_NONE,
                      .payload = {(const char *)g->text.at, payload_len},
                      .frame = frame};
    struct held *h = held_new(g, HELD_COMMAND, frame);
    h->command = c;
    h->session = slot->session;
    h->received = c->sent_at;
    gateway_append(g, slot, &e, c->trace);
    held_add(g, h, e.position);
}

static bool send_next(struct slot *slot)
{
    struct gateway *g = slot->gateway;
    struct session *s = slot->session;
    if (s == NULL || s->conn == NULL || !s->is_ready_for_commands || slot->outstanding != NULL || g->is_draining ||
        !gateway_has_room(g))
        return false;
    struct command *c = next_command(slot);
    if (c == NULL || slot->firmware != NULL)
        return false; /* no charge begins while firmware is on its way */
    list_take(&c->link);
    slot->command_count--;
    slot->outstanding = c;
    timer_stop(&c->timer);
    c->state = COMMAND_STATE_SENT;
    c->generation = s->generation;
    c->sent_at = clock_now();
    if (slot->pile != NULL)
        talk_send(slot, c);
    else
        send_call(slot, c);
    return true;
}

/* Until one is under way: to a pile some end at once, since what they are about has changed. */
void commands_try_send(struct slot *slot)
{
    while (send_next(slot))
        ;
}

void command_leave(struct gateway *g, struct command *c, struct session *s, struct str frame)
{
    command_tell_queued(c); /* who asked again meanwhile */
    if (c->is_finished)
        return; /* its connection ended while its "sent" went to the disk */
    if (c->slot->pile != NULL) {
        talk_leave(c, (struct bytes){(const uint8_t *)frame.at, frame.len});
        return;
    }
    if (s->conn == NULL || c->slot->session != s ||
        conn_send(s->conn, (struct bytes){(const uint8_t *)frame.at, frame.len}, true) != OK) {
        command_finish_not_sent(c, "DEVICE_OFFLINE");
        return;
    }
    c->is_on_the_wire = true;
    metric_observe_us(METRIC_COMMAND_LATENCY, (clock_monotonic_ms() - c->queued_ms) * 1000);
    timer_start(g->loop, &c->timer, g->config->ocpp_call_timeout * 1000);
}

/* --- answers --- */

/* The word of an answer: its "status" where it has one, else absent. Lenient: status first (field-lessons.md 48). */
static struct str status_of(struct str payload, struct arena *a)
{
    struct json j;
    struct json_string key, value;
    struct str status = {NULL, 0};
    json_init(&j, payload);
    if (!json_open_object(&j))
        return status;
    while (json_next_key(&j, &key)) {
        if (json_string_is(key, STR("status")) && json_peek(&j) == JSON_STRING) {
            if (!json_get_string(&j, &value) || json_string_text(value, a, &status) != OK)
                break;
        } else if (!json_skip(&j)) {
            break;
        }
    }
    return status;
}

static bool has_status(const struct message *m)
{
    for (size_t i = 0; i < m->field_count; i++)
        if (str_eq(m->fields[i].wire, STR("status")) && m->fields[i].presence == REQUIRED)
            return true;
    return false;
}

static void on_result(struct command *c, const struct ocpp_frame *f, struct str text)
{
    struct gateway *g = c->slot->gateway;
    struct session *s = c->slot->session;
    struct fault why = {0};
    void *conf = arena_take(&g->arena, c->action->response->size + 1);
    enum err e =
        conf == NULL ? ERR_MEMORY : schema_read(c->action->response, f->payload, LENIENT, &g->arena, conf, &why);
    struct str status = status_of(f->payload, &g->arena);
    if (status.at == NULL && e == OK && has_status(c->action->response)) {
        e = ERR_MISSING;
        fault_set(&why, STR("status"), "missing");
    }
    if (status.at == NULL) /* some answers have none; one that should have it and does not says nothing good */
        status = e == OK ? STR("Accepted") : STR("Rejected");
    bool is_rejected = str_eq(status, STR("Rejected"));
    bool is_trigger = ocpp_action_index(c->action) == ACTION_trigger_message ||
                      ocpp_action_index(c->action) == ACTION_extended_trigger_message;
    if (is_trigger && str_eq(status, STR("Accepted")))
        s->trigger_until_ms = clock_monotonic_ms() + TRIGGER_WINDOW_MS;
    if (e != OK)
        LOG_WARN("answer.invalid", F_CSTR("station", s->slot->station.id), F_CSTR("command", c->id),
                 F_CSTR("field", why.field), F_CSTR("err", why.reason));
    command_finish(
        c, &(struct command_ending){.outcome = "answered",
                                    .status = status,
                                    .response = f->payload,
                                    .frame = text,
                                    .reason = e != OK ? "INVALID_RESPONSE" : (is_rejected ? "DEVICE_REJECTED" : NULL)});
}

void commands_on_answer(struct session *s, const struct ocpp_frame *f, struct str text)
{
    struct slot *slot = s->slot;
    struct command *c = slot->outstanding;
    if (c == NULL || !c->is_on_the_wire || c->generation != s->generation || !str_eq(str_of(c->message_id), f->id)) {
        struct event e = {.type = EVENT_FRAME,
                          .station = str_of(slot->station.id),
                          .received = clock_now(),
                          .device_time = INSTANT_NONE,
                          .payload = STR("{}"),
                          .frame = text};
        gateway_append(s->gateway, slot, &e, NULL);
        LOG_INFO("answer.unmatched", F_CSTR("station", slot->station.id), F_STR("msg", f->id));
        return;
    }
    if (f->kind == OCPP_RESULT)
        on_result(c, f, text);
    else
        command_finish(c, &(struct command_ending){.outcome = "answered",
                                                   .reason = "DEVICE_ERROR",
                                                   .frame = text,
                                                   .error_code = f->error_code,
                                                   .error_text = f->error_text});
    commands_try_send(slot);
}

void commands_on_lost(struct slot *slot, bool is_for_good)
{
    struct command *c = slot->outstanding;
    if (c != NULL && slot->pile != NULL)
        talk_on_lost(c, is_for_good);
    else if (c != NULL && c->is_on_the_wire)
        command_finish(c, &(struct command_ending){.outcome = "unknown", .reason = "CONNECTION_LOST"});
    else if (c != NULL)
        command_finish_not_sent(c, "DEVICE_OFFLINE");
    if (slot->firmware != NULL)
        firmware_on_lost(slot, is_for_good);
    while (is_for_good && !list_is_empty(&slot->commands))
        command_finish_not_sent(CONTAINER(slot->commands.next, struct command, link), "DEVICE_OFFLINE");
}
