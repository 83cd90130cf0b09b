/* gateway/commands.c - commands to stations: taken on, queued one behind the other, sent, and brought to exactly one
 * outcome (gateway-contract.md 2; ocpp16.md 2.5, 2.6; ../models: cmd.pml).
 *
 *   queued ──> sent ──> done          answered   the station said something, whatever it said
 *      └─────────────────^            unknown    it left, and no answer came: it may have been carried out
 *                                     not_sent   it never left
 *
 * "queued" and "sent" are in the log before anyone is told, "sent" before the frame leaves: so after a crash a command
 * that may have been carried out is never called not sent, nor sent again. An answer counts only on the connection on
 * which its command went out. */
#include "gateway/parts.h"

#define TRIGGER_WINDOW_MS 30000

static const char *const state_words[] = {"queued", "sent", "done"};

static void command_free(struct command *c)
{
    timer_stop(&c->timer);
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

static struct command_result result_of(const struct command *c)
{
    struct command_result r = {
        .command_id = str_of(c->id),
        .station = str_of(c->station),
        .action = c->action->name,
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

struct ending {
    const char *outcome, *reason; /* reason NULL: none */
    struct str status;            /* the device's own word; absent: Rejected */
    struct str response;          /* its payload; absent: none */
    struct str error_code, error_text;
    struct str frame; /* the answer as it came; absent: none */
};

static void finish(struct command *c, const struct ending *end)
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
                                    .command_name = c->action->name,
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
             F_STR("action", c->action->name), F_CSTR("outcome", c->outcome), F_CSTR("status", c->status),
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
    struct command_result r = result_of(c);
    while (c->told_queued < c->listener_count) {
        struct command_listener *l = &c->listeners[c->told_queued++];
        if (l->on_queued != NULL)
            l->on_queued(l->data, &r, OK, NULL);
    }
}

void command_tell_done(struct gateway *g, struct command *c)
{
    command_tell_queued(c);
    struct command_result r = result_of(c);
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].on_done != NULL)
            c->listeners[i].on_done(c->listeners[i].data, &r);
    c->listener_count = c->told_queued = 0;
    keep_done(g, c);
}

static void finish_not_sent(struct command *c, const char *reason)
{
    finish(c, &(struct ending){.outcome = "not_sent", .reason = reason});
}

static void on_timer(struct timer *t)
{
    struct command *c = CONTAINER(t, struct command, timer);
    struct slot *slot = c->slot;
    if (c->state == COMMAND_STATE_QUEUED) {
        finish_not_sent(c, slot->session == NULL ? "DEVICE_OFFLINE" : "EXPIRED");
        return;
    }
    LOG_WARN("command.unanswered", F_CSTR("station", slot->station.id), F_CSTR("command", c->id));
    finish(c, &(struct ending){.outcome = "unknown", .reason = "NO_ANSWER"});
    commands_try_send(slot);
}

/* --- sending --- */

/* ocpp16.md 6: rejected stations are told nothing, pending ones are not started or stopped. */
static bool is_allowed(const struct slot *slot, const struct ocpp_action *a)
{
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
        if (!is_allowed(slot, c->action))
            continue;
        if (c->is_urgent)
            return c;
        if (first == NULL)
            first = c;
    }
    return first;
}

void commands_try_send(struct slot *slot)
{
    struct gateway *g = slot->gateway;
    struct session *s = slot->session;
    if (s == NULL || s->conn == NULL || !s->is_ready_for_commands || slot->outstanding != NULL || g->is_draining ||
        !gateway_has_room(g))
        return;
    struct command *c = next_command(slot);
    if (c == NULL)
        return;
    list_take(&c->link);
    slot->command_count--;
    slot->outstanding = c;
    timer_stop(&c->timer);
    c->state = COMMAND_STATE_SENT;
    c->generation = s->generation;
    uint8_t random[16];
    gateway_random(g, random, sizeof random);
    uuid_write(uuid_v4(random), c->message_id);
    c->sent_at = clock_now();

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
    h->session = s;
    h->received = c->sent_at;
    gateway_append(g, slot, &e, c->trace);
    held_add(g, h, e.position);
}

void command_leave(struct gateway *g, struct command *c, struct session *s, struct str frame)
{
    command_tell_queued(c); /* who asked again meanwhile */
    if (c->is_finished)
        return; /* its connection ended while its "sent" went to the disk */
    if (s->conn == NULL || c->slot->session != s ||
        conn_send(s->conn, (struct bytes){(const uint8_t *)frame.at, frame.len}, true) != OK) {
        finish_not_sent(c, "DEVICE_OFFLINE");
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
    finish(c, &(struct ending){.outcome = "answered",
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
        finish(c, &(struct ending){.outcome = "answered",
                                   .reason = "DEVICE_ERROR",
                                   .frame = text,
                                   .error_code = f->error_code,
                                   .error_text = f->error_text});
    commands_try_send(slot);
}

void commands_on_lost(struct slot *slot, bool is_for_good)
{
    struct command *c = slot->outstanding;
    if (c != NULL && c->is_on_the_wire)
        finish(c, &(struct ending){.outcome = "unknown", .reason = "CONNECTION_LOST"});
    else if (c != NULL)
        finish_not_sent(c, "DEVICE_OFFLINE");
    while (is_for_good && !list_is_empty(&slot->commands))
        finish_not_sent(CONTAINER(slot->commands.next, struct command, link), "DEVICE_OFFLINE");
}

/* --- taking on --- */

struct submission {
    struct mail mail;
    struct job job;
    struct waiter waiter;
    struct gateway *gateway;
    struct command *command; /* filled in, not yet taken on */
    struct command_listener listener;
    char action[64];
    int64_t expires_in_s;
    struct command *found; /* of this id, in the store; NULL: none */
    enum err find_error;
};

static void submission_free(struct submission *sub)
{
    if (sub->command != NULL)
        command_free(sub->command);
    if (sub->found != NULL)
        command_free(sub->found);
    free(sub);
}

static void reject(struct submission *sub, enum err e, const struct fault *why)
{
    if (sub->listener.on_queued != NULL)
        sub->listener.on_queued(sub->listener.data, NULL, e, why);
    submission_free(sub);
}

static void enqueue(struct slot *slot, struct command *c)
{
    list_add_last(&slot->commands, &c->link);
    slot->command_count++;
    c->slot = slot;
    timer_init(&c->timer, on_timer);
    int64_t left_ms = instant_since(c->expires_at, clock_now()).us / 1000;
    timer_start(slot->gateway->loop, &c->timer, left_ms < 0 ? 0 : left_ms);
    atomic_fetch_add(&slot->gateway->stat_commands, 1);
}

/* Is it connected, or so lately lost that it counts as between two connections? */
static bool is_reachable(struct slot *slot)
{
    struct gateway *g = slot->gateway;
    return slot->session != NULL ||
           (slot->lost_ms != 0 && clock_monotonic_ms() - slot->lost_ms < g->config->reconnect_grace_s * 1000);
}

static void take_on(struct slot *slot, struct command *c)
{
    struct gateway *g = slot->gateway;
    (void)map_put(&g->commands, str_of(c->id), c);
    enqueue(slot, c);
    char expires[INSTANT_TEXT_SIZE];
    instant_write(c->expires_at, expires);
    struct ev_command_queued p = {.command_id = str_of(c->id),
                                  .command_name = c->action->name,
                                  .payload = str_of(c->payload),
                                  .origin = str_of(c->origin),
                                  .expires_at = {str_of(expires), c->expires_at},
                                  .is_urgent = {c->is_urgent, true}};
    buf_clear(&g->text);
    schema_write(&ev_command_queued_message, &p, &g->text);
    struct event e = {.type = EVENT_COMMAND_QUEUED,
                      .station = str_of(slot->station.id),
                      .received = c->queued_at,
                      .device_time = INSTANT_NONE,
                      .payload = buf_str(&g->text)};
    gateway_append(g, slot, &e, c->trace);
    struct held *h = held_new(g, HELD_QUEUED, STR(""));
    h->command = c;
    held_add(g, h, e.position);
    metric_add_label(METRIC_COMMANDS, c->action->name, 1);
    LOG_INFO("command.queued", F_CSTR("station", slot->station.id), F_CSTR("command", c->id),
             F_STR("action", c->action->name));
    if (!is_reachable(slot))
        finish_not_sent(c, "DEVICE_OFFLINE");
    else
        commands_try_send(slot);
}

static void answer_repeat(struct submission *sub, struct command *known);

static void on_slot(struct waiter *w, struct slot *slot, enum err e)
{
    struct submission *sub = CONTAINER(w, struct submission, waiter);
    struct gateway *g = sub->gateway;
    struct command *c = sub->command;
    struct fault why = {0};
    if (e != OK)
        fault_set(&why, STR("charge_point_id"), e == ERR_UNKNOWN ? "no such charge point" : "the store cannot be read");
    else if (!is_allowed(slot, c->action)) {
        e = ERR_STATE;
        fault_set(&why, STR("action"), "not allowed while the charge point is not accepted");
    } else if (slot->command_count >= (size_t)g->config->command_queue_max) {
        e = ERR_LIMIT;
        fault_set(&why, STR("charge_point_id"), "too many commands wait for this charge point");
    } else if (!gateway_has_room(g)) {
        e = ERR_FULL;
        fault_set(&why, STR("log"), "the log cannot be written at the moment");
    }
    if (e != OK) {
        reject(sub, e, &why);
        return;
    }
    struct command *known = map_find(&g->commands, str_of(c->id));
    if (known != NULL) { /* taken on while this one waited for the station */
        answer_repeat(sub, known);
        return;
    }
    c->listeners[c->listener_count++] = sub->listener;
    sub->command = NULL;
    submission_free(sub);
    take_on(slot, c);
}

static void answer_repeat(struct submission *sub, struct command *known)
{
    const struct command *c = sub->command;
    struct fault why;
    if (known->action != c->action || strcmp(known->station, c->station) != 0 ||
        strcmp(known->payload, c->payload) != 0) {
        fault_set(&why, STR("command_id"), "another command has this id");
        reject(sub, ERR_EXISTS, &why);
        return;
    }
    bool is_told = known->state == COMMAND_STATE_DONE && known->held == 0;
    if (!is_told && (known == sub->found || known->listener_count == LISTENERS_MAX)) {
        fault_set(&why, STR("command_id"),
                  known == sub->found ? "the store is behind" : "too many wait for this command");
        reject(sub, known == sub->found ? ERR_FULL : ERR_LIMIT, &why);
        return;
    }
    struct command_result r = result_of(known);
    if (is_told) {
        if (sub->listener.on_queued != NULL)
            sub->listener.on_queued(sub->listener.data, &r, OK, NULL);
        if (sub->listener.on_done != NULL)
            sub->listener.on_done(sub->listener.data, &r);
    } else {
        known->listeners[known->listener_count++] = sub->listener;
        if (known->held == 0)
            command_tell_queued(known);
    }
    submission_free(sub);
}

/* What is open, and what was done last, is in memory; what was done before, or by the process before this one, in the
 * store. */
static void go_on(struct submission *sub)
{
    struct gateway *g = sub->gateway;
    struct command *c = sub->command, *known = map_find(&g->commands, str_of(c->id));
    if (known == NULL)
        known = sub->found;
    if (known != NULL) {
        answer_repeat(sub, known);
        return;
    }
    c->queued_at = clock_now();
    c->queued_ms = clock_monotonic_ms();
    c->expires_at =
        instant_add(c->queued_at, SPAN_S(sub->expires_in_s > 0 ? sub->expires_in_s : g->config->command_expiry_s));
    sub->waiter.on_loaded = on_slot;
    list_init(&sub->waiter.link);
    slot_load(g, str_of(c->station), &sub->waiter);
}

static struct command *command_of_row(struct db_rows *r);
static void done_of_row(struct command *c, struct db_rows *r);

#define COMMAND_COLUMNS                                                                                               \
    "command_id, charge_point_id, action, payload, origin, state, queued_at, expires_at, trace_id, urgent, outcome, " \
    "status,"                                                                                                         \
    " response, reason, sent_at, done_at"

static void run_find(struct job *j)
{
    struct submission *sub = CONTAINER(j, struct submission, job);
    struct db *d = workers_state();
    sub->find_error = ERR_IO;
    if (d == NULL)
        return;
    struct db_rows *r =
        DB_ROWS(d, "SELECT " COMMAND_COLUMNS " FROM commands WHERE command_id = ?1", db_text(str_of(sub->command->id)));
    if (db_next(r)) {
        sub->found = command_of_row(r);
        done_of_row(sub->found, r);
    }
    sub->find_error = db_rows_end(r);
}

static void done_find(struct job *j)
{
    struct submission *sub = CONTAINER(j, struct submission, job);
    struct fault why;
    if (sub->find_error == OK) {
        go_on(sub);
        return;
    }
    fault_set(&why, STR("command_id"), "the store cannot be asked: %s", err_text(sub->find_error));
    reject(sub, sub->find_error == ERR_CLOSED ? ERR_CLOSED : ERR_FULL, &why);
}

static void on_submit(struct mail *m)
{
    struct submission *sub = CONTAINER(m, struct submission, mail);
    struct gateway *g = sub->gateway;
    struct command *c = sub->command;
    struct fault why = {0};
    c->action = ocpp_action_find(str_of(sub->action));
    if (c->action == NULL || !c->action->from_central) {
        fault_set(&why, STR("action"), "no command of this name");
        reject(sub, ERR_UNKNOWN, &why);
        return;
    }
    arena_reset(&g->arena);
    void *request = arena_take(&g->arena, c->action->request->size + 1);
    enum err e = request == NULL
                     ? ERR_MEMORY
                     : schema_read(c->action->request, str_of(c->payload), STRICT, &g->arena, request, &why);
    if (e == ERR_UNKNOWN)
        e = ERR_FORMAT; /* an unknown member is no unknown command */
    if (e != OK) {
        reject(sub, e, &why);
        return;
    }
    const bool is_ours = c->id[0] == 0;
    if (is_ours) {
        uint8_t random[16];
        gateway_random(g, random, sizeof random);
        uuid_write(uuid_v4(random), c->id);
    }
    if (map_find(&g->commands, str_of(c->id)) == NULL && !is_ours) {
        sub->job = (struct job){.run = run_find, .done = done_find};
        sub->find_error = ERR_CLOSED; /* until it has run */
        workers_add(g->workers, &sub->job);
        return;
    }
    go_on(sub);
}

static struct command *command_new(const struct command_request *r)
{
    struct command *c = mem_new(1, sizeof *c);
    list_init(&c->link);
    timer_init(&c->timer, on_timer);
    c->payload = mem_new(1, r->payload.len + 1);
    if (r->payload.len > 0)
        memcpy(c->payload, r->payload.at, r->payload.len);
    (void)str_copy(c->id, sizeof c->id, r->command_id);
    (void)str_copy(c->station, sizeof c->station, r->station);
    (void)str_copy(c->origin, sizeof c->origin, r->origin);
    memcpy(c->trace, r->trace, sizeof c->trace);
    c->is_urgent = r->is_urgent;
    c->sent_at = c->done_at = INSTANT_NONE;
    return c;
}

void gateway_submit(struct gateway *g, const struct command_request *r, const struct command_listener *l)
{
    struct submission *sub = mem_new(1, sizeof *sub);
    sub->gateway = g;
    sub->listener = *l;
    sub->command = command_new(r);
    sub->expires_in_s = r->expires_in_s;
    (void)str_copy(sub->action, sizeof sub->action, r->action);
    sub->mail.on_arrive = on_submit;
    mailbox_post_always(g->mailbox, &sub->mail); /* bounded by the API's connections */
}

/* Some stations never boot again on a reconnect: ask, then go on (field-lessons.md 49). */
void commands_trigger_boot(struct slot *slot)
{
    struct gateway *g = slot->gateway;
    struct command_request r = {.station = str_of(slot->station.id),
                                .action = STR("TriggerMessage"),
                                .payload = STR("{\"requestedMessage\":\"BootNotification\"}"),
                                .origin = STR("server"),
                                .is_urgent = true};
    gateway_random(g, r.trace, sizeof r.trace);
    gateway_submit(g, &r, &(struct command_listener){0});
}

/* --- after a restart --- */

static struct command *command_of_row(struct db_rows *r)
{
    struct command_request request = {.station = db_col_text(r, 1),
                                      .payload = db_col_text(r, 3),
                                      .command_id = db_col_text(r, 0),
                                      .origin = db_col_text(r, 4),
                                      .is_urgent = db_col_int(r, 9) != 0};
    uint8_t trace[16];
    if (hex_parse(db_col_text(r, 8), trace, sizeof trace) == OK)
        memcpy(request.trace, trace, sizeof trace);
    struct command *c = command_new(&request);
    c->action = ocpp_action_find(db_col_text(r, 2));
    c->queued_at = db_col_time(r, 6);
    c->queued_ms = clock_monotonic_ms();
    c->expires_at = db_col_time(r, 7);
    return c;
}

static char *copy_text(struct str s)
{
    char *copy = mem_new(1, s.len + 1);
    memcpy(copy, s.at, s.len);
    return copy;
}

/* What its row says beyond that, of one that is no longer open. */
static void done_of_row(struct command *c, struct db_rows *r)
{
    c->state = str_eq(db_col_text(r, 5), STR("done"))   ? COMMAND_STATE_DONE
               : str_eq(db_col_text(r, 5), STR("sent")) ? COMMAND_STATE_SENT
                                                        : COMMAND_STATE_QUEUED;
    (void)str_copy(c->outcome, sizeof c->outcome, db_col_text(r, 10));
    (void)str_copy(c->status, sizeof c->status, db_col_text(r, 11));
    if (!db_col_is_null(r, 12))
        c->response = copy_text(db_col_text(r, 12));
    (void)str_copy(c->reason, sizeof c->reason, db_col_text(r, 13));
    c->sent_at = db_col_is_null(r, 14) ? INSTANT_NONE : db_col_time(r, 14);
    c->done_at = db_col_is_null(r, 15) ? INSTANT_NONE : db_col_time(r, 15);
}

/* What was open when the process ended: sent means unknown; queued waits on until it expires. */
enum err commands_resume(struct gateway *g, struct db *d)
{
    struct db_rows *r =
        db_rows(d, "SELECT " COMMAND_COLUMNS " FROM commands WHERE state <> 'done' ORDER BY position", NULL, 0);
    while (db_next(r)) {
        bool was_sent = str_eq(db_col_text(r, 5), STR("sent"));
        struct command *c = command_of_row(r);
        if (c->action ==
            NULL) { /* of another version of this program: it cannot be sent, nor told apart; leave the row */
            command_free(c);
            continue;
        }
        struct slot *slot = slot_load_now(g, d, str_of(c->station));
        if (!slot->is_loaded) { /* what follows would take numbers that the station has used already */
            enum err e = db_rows_end(r);
            command_free(c);
            return e == OK ? ERR_IO : e;
        }
        (void)map_put(&g->commands, str_of(c->id), c);
        enqueue(slot, c);
        slot->lost_ms = clock_monotonic_ms(); /* it may be on its way back to us */
        if (was_sent)
            finish(c, &(struct ending){.outcome = "unknown", .reason = "CONNECTION_LOST"});
        else if (instant_before(c->expires_at, clock_now()))
            finish_not_sent(c, "EXPIRED");
    }
    return db_rows_end(r);
}
