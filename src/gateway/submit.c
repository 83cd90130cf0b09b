/* gateway/submit.c - commands are taken on: checked, known again by their id, put into the queue of their station; and
 * those that were open when the process before this one ended. */
#include "gateway/parts.h"

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
    timer_init(&c->timer, command_on_timer);
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

/* is_unsupported: this device has no counterpart of it, which is its one outcome (gateway-contract.md 2). */
static void take_on(struct slot *slot, struct command *c, bool is_unsupported)
{
    struct gateway *g = slot->gateway;
    (void)map_put(&g->commands, str_of(c->id), c);
    enqueue(slot, c);
    char expires[INSTANT_TEXT_SIZE];
    instant_write(c->expires_at, expires);
    struct ev_command_queued p = {.command_id = str_of(c->id),
                                  .command_name = command_name(c),
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
    metric_add_label(METRIC_COMMANDS, command_name(c), 1);
    LOG_INFO("command.queued", F_CSTR("station", slot->station.id), F_CSTR("command", c->id),
             F_STR("action", command_name(c)));
    if (is_unsupported)
        command_finish_not_sent(c, "UNSUPPORTED_BY_DEVICE");
    else if (!is_reachable(slot))
        command_finish_not_sent(c, "DEVICE_OFFLINE");
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
    bool is_unsupported = false;
    struct command *known = map_find(&g->commands, str_of(c->id));
    if (known != NULL) { /* taken on while this one waited for the station */
        answer_repeat(sub, known);
        return;
    }
    if (e == OK && slot->pile != NULL) {
        struct ap3000_input in = pile_input_of(g, slot);
        arena_reset(&g->arena);
        e = c->pile_action == NULL ? ERR_UNSUPPORTED
                                   : ap3000_action_check(&in, c->pile_action, str_of(c->payload), &g->arena, &why);
        is_unsupported = e == ERR_UNSUPPORTED;
        e = is_unsupported ? OK : e == ERR_DENIED ? ERR_STATE : e;
    } else if (e != OK) {
        fault_set(&why, STR("charge_point_id"), e == ERR_UNKNOWN ? "no such charge point" : "the store cannot be read");
    }
    if (e != OK) {
        reject(sub, e, &why);
        return;
    }
    if (!command_is_allowed(slot, c)) {
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
    c->listeners[c->listener_count++] = sub->listener;
    sub->command = NULL;
    submission_free(sub);
    take_on(slot, c, is_unsupported);
}

static void answer_repeat(struct submission *sub, struct command *known)
{
    const struct command *c = sub->command;
    struct fault why;
    if (known->action != c->action || known->pile_action != c->pile_action || strcmp(known->station, c->station) != 0 ||
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
    struct command_result r = command_result_of(known);
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

static struct command *command_of_row(const struct gateway *g, struct db_rows *r);
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
        sub->found = command_of_row(sub->gateway, r);
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

/* The form of its id says what a station speaks. ERR_UNKNOWN: no command of that protocol. */
static enum err name_action(const struct gateway *g, struct command *c, struct str name)
{
    if (gateway_is_pile(g, str_of(c->station)))
        c->pile_action = ap3000_action_find(name);
    if (c->pile_action == NULL) /* of a pile: a word that both know, and it has no counterpart of */
        c->action = ocpp_action_find(name);
    if (c->action != NULL && !c->action->from_central)
        c->action = NULL;
    return c->action == NULL && c->pile_action == NULL ? ERR_UNKNOWN : OK;
}

static void on_submit(struct mail *m)
{
    struct submission *sub = CONTAINER(m, struct submission, mail);
    struct gateway *g = sub->gateway;
    struct command *c = sub->command;
    struct fault why = {0};
    enum err e = name_action(g, c, str_of(sub->action));
    if (e != OK) {
        fault_set(&why, STR("action"), "no command of this name");
        reject(sub, e, &why);
        return;
    }
    arena_reset(&g->arena);
    void *request = c->action == NULL ? NULL : arena_take(&g->arena, c->action->request->size + 1);
    if (c->action != NULL) /* that of a pile is looked at beside what it says of itself: on_slot */
        e = request == NULL ? ERR_MEMORY
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
    timer_init(&c->timer, command_on_timer);
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

/* The same of the server's own waits already, or is on its way. */
static bool is_asked_already(const struct slot *slot, struct str name, struct str payload)
{
    const struct command *o = slot->outstanding;
    if (o != NULL && str_eq(command_name(o), name) && str_eq(str_of(o->payload), payload))
        return true;
    for (const struct link *l = slot->commands.next; l != &slot->commands; l = l->next) {
        const struct command *c = CONTAINER((struct link *)(uintptr_t)l, struct command, link);
        if (str_eq(command_name(c), name) && str_eq(str_of(c->payload), payload))
            return true;
    }
    return false;
}

bool command_start(struct slot *slot, struct str name, struct str payload, bool is_urgent)
{
    struct gateway *g = slot->gateway;
    struct command_request r = {
        .station = str_of(slot->station.id), .payload = payload, .origin = STR("server"), .is_urgent = is_urgent};
    uint8_t random[16];
    if (is_asked_already(slot, name, payload))
        return true;
    if (slot->command_count >= (size_t)g->config->command_queue_max)
        return false;
    gateway_random(g, r.trace, sizeof r.trace);
    gateway_random(g, random, sizeof random);
    struct command *c = command_new(&r);
    check(name_action(g, c, name) == OK); /* one of our own words */
    uuid_write(uuid_v4(random), c->id);
    c->queued_at = clock_now();
    c->queued_ms = clock_monotonic_ms();
    c->expires_at = instant_add(c->queued_at, SPAN_S(g->config->command_expiry_s));
    take_on(slot, c, false);
    return true;
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

static struct command *command_of_row(const struct gateway *g, struct db_rows *r)
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
    if (name_action(g, c, db_col_text(r, 2)) != OK)
        c->action = NULL; /* of another version of this program */
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
        struct command *c = command_of_row(g, r);
        if (c->action == NULL && c->pile_action == NULL) { /* it cannot be sent, nor told apart; leave the row */
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
        slot->lost_ms = clock_monotonic_ms();                         /* it may be on its way back to us */
        bool is_known = slot->pile == NULL || c->pile_action != NULL; /* a word that a pile has, if it is one by now */
        if (was_sent && slot->pile != NULL && is_known)
            talk_resume(c);
        else if (was_sent)
            command_finish(c, &(struct command_ending){.outcome = "unknown", .reason = "CONNECTION_LOST"});
        else if (!is_known)
            command_finish_not_sent(c, "UNSUPPORTED_BY_DEVICE");
        else if (instant_before(c->expires_at, clock_now()))
            command_finish_not_sent(c, "EXPIRED");
    }
    return db_rows_end(r);
}
