/* gateway/calls.c - a message from a station: to the pure core, what follows into the log, its answer into the queue of
 * what is held.
 *
 * What the core needs and memory has not (a tag, an old transaction) is fetched by a worker; the station's next
 * messages wait meanwhile, so its order is kept, and nobody else's. */
#include "gateway/parts.h"

struct ocpp_input input_of(struct gateway *g, struct slot *slot)
{
    struct ocpp_input in = {
        .policy = &g->policy,
        .now = clock_now(),
        .station = &slot->station,
        .tags = g->tags,
        .next_number = &g->next_number,
        .id_key = g->id_key,
        .shapes = g->shapes,
        .remote_address =
            slot->session == NULL || slot->session->conn == NULL ? STR("") : conn_remote(slot->session->conn),
    };
    gateway_random(g, in.random, sizeof in.random);
    return in;
}

/* The answer goes into the queue last: it may leave at once, and a connection that ends by it takes the session along.
 */
static void send_answer(struct session *s, const struct ocpp_decision *d, struct str text, struct instant now)
{
    struct gateway *g = s->gateway;
    struct held *h = held_new(g, HELD_ANSWER, d->answer);
    h->session = s;
    h->received = now;
    uint64_t position = d->event_count > 0 || d->is_repeat ? s->slot->station.position : g->flushed;
    if (d->event_count == 0)
        gateway_append_frame(g, s->slot, text, d->answer, now);
    held_add(g, h, position);
}

static void after_call(struct session *s, const struct ocpp_call *call, const struct ocpp_decision *d)
{
    if (d->error_code.at != NULL) {
        metric_add_label(METRIC_CALL_ERRORS, d->error_code, 1);
        LOG_INFO("call.refused", F_CSTR("station", s->slot->station.id), F_INT("conn", conn_number(s->conn)),
                 F_STR("msg", call->frame.id), F_STR("code", d->error_code), F_CSTR("field", call->why.field),
                 F_CSTR("err", call->why.reason));
    }
    if (d->is_repeat)
        metric_add(METRIC_REPEATS, 1);
    if (d->has_booted)
        s->slot->has_row = true;
    /* Who booted, or says something else than a boot, is ready to be spoken to (field-lessons.md 49). */
    if (s->slot->station.registration == REGISTRATION_PENDING || d->has_booted || d->error_code.at == NULL) {
        bool was_ready = s->is_ready_for_commands;
        s->is_ready_for_commands = true;
        if (!was_ready)
            timer_stop(&s->boot_wait);
    }
}

static void decide(struct session *s, const struct ocpp_input *in, const struct ocpp_call *call,
                   const struct ocpp_known *known)
{
    struct gateway *g = s->gateway;
    struct slot *slot = s->slot;
    struct ocpp_decision d;
    buf_clear(&g->text);
    ocpp_call_decide(in, call, known, &g->arena, &g->text, &d);
    metric_add_label_alone(METRIC_MESSAGES_IN, call->action == NULL ? STR("unknown") : call->action->name, 1);
    (void)gateway_append_all(g, slot, d.events, d.event_count, NULL);
    after_call(s, call, &d);
    send_answer(s, &d, in->text, in->now);
    commands_try_send(slot);
}

/* --- what is not in memory --- */

struct lookup {
    struct table_wait wait;
    struct session *session;
    struct slot *slot;
    char *text;
    size_t len;
    struct tag_lookup tag;
    uint64_t number; /* of the transaction; 0: none */
    bool wants_start;
    struct transaction_start start;
    char start_tag[TAG_SIZE_MAX];
    struct ocpp_known known;
    enum err error;
};

static enum err ignore_unknown(enum err e, bool *found)
{
    *found = e == OK;
    return e == ERR_UNKNOWN ? OK : e;
}

static void run_lookup(struct job *j)
{
    struct lookup *l = CONTAINER(j, struct lookup, wait.job);
    struct db *d = workers_state();
    struct arena a;
    struct str owner = {NULL, 0};
    bool found = false;
    arena_init(&a, 65536);
    l->error = d == NULL ? ERR_IO : tag_lookup_run(d, &l->tag);
    if (l->error == OK && l->number != 0) {
        l->error = ignore_unknown(stations_find_transaction(d, l->number, &a, &l->known.transaction, &owner), &found);
        l->known.has_transaction = found;
        l->known.is_of_other_station = found && !str_eq(owner, str_of(l->slot->station.id));
    }
    if (l->error == OK && l->wants_start) {
        l->error = ignore_unknown(stations_find_start(d, str_of(l->slot->station.id), &l->start, &l->known.transaction),
                                  &found);
        l->known.has_transaction = found;
    }
    arena_release(&a);
}

static void read_and_decide(struct session *s, struct str text, const struct ocpp_known *known);

static void done_lookup(struct job *j)
{
    struct lookup *l = CONTAINER(j, struct lookup, wait.job);
    struct session *s = l->session;
    struct gateway *g = s->gateway;
    if (l->error == OK) {
        tag_lookup_end(g, &l->tag);
        l->known.tag = l->tag.tag;
    }
    l->slot->pins--;
    s->held--;
    if (s->conn != NULL && s->is_open && l->slot->session == s) {
        if (l->error != OK) { /* no answer: the station asks again, and nothing false was said */
            LOG_ERROR("store.unreadable", F_CSTR("station", l->slot->station.id), F_CSTR("err", err_text(l->error)));
            session_close(s, CONN_END_OURS, WS_CLOSE_TRY_LATER, STR("try later"));
        } else if (gateway_has_room(g)) {
            read_and_decide(s, (struct str){l->text, l->len}, &l->known);
        } else { /* the disk fell behind meanwhile: as if it came only now */
            call_message(s, (struct str){l->text, l->len});
        }
        session_resume(s, PAUSE_LOOKUP);
    } else if (l->slot->session == NULL) {
        slot_rest(l->slot);
    }
    session_unref(s);
    free(l->text);
    free(l);
}

static void start_lookup(struct session *s, const struct ocpp_call *call, struct str text)
{
    struct gateway *g = s->gateway;
    struct lookup *l = mem_new(1, sizeof *l);
    l->wait.job.run = run_lookup;
    l->wait.job.done = done_lookup;
    l->error = ERR_CLOSED; /* what it stays when it is never run */
    l->session = s;
    l->slot = s->slot;
    l->text = mem_new(1, text.len + 1);
    memcpy(l->text, text.at, text.len);
    l->len = text.len;
    tag_lookup_begin(g, call->wants_tag, &l->tag);
    if (call->wants_transaction != 0)
        l->number = permute31_back(g->id_key, call->wants_transaction);
    if (call->wants_start) {
        l->wants_start = true;
        l->start = call->start;
        l->start.id_tag = (struct str){l->start_tag, str_copy(l->start_tag, sizeof l->start_tag, call->start.id_tag)};
    }
    l->slot->pins++;
    s->held++; /* the session outlives the job */
    session_pause(s, PAUSE_LOOKUP);
    if (l->number == 0 && !l->wants_start) { /* tags are not made from the log */
        workers_add(g->workers, &l->wait.job);
        return;
    }
    l->wait.position = s->slot->station.position;
    table_wait_add(g, &l->wait);
}

static bool look_if_projected(struct gateway *g, struct table_wait *w, uint64_t projected)
{
    if (w->position > projected)
        return false;
    list_take(&w->link);
    atomic_fetch_sub(&g->waiting_table_count, 1);
    workers_add(g->workers, &w->job);
    return true;
}

/* Only this one is looked at: the others are when the tables have moved, and there may be thousands. */
void table_wait_add(struct gateway *g, struct table_wait *w)
{
    list_add_last(&g->waiting_tables, &w->link);
    atomic_fetch_add(&g->waiting_table_count, 1);
    /* After the count, so that tables which move just now are not missed. */
    if (!look_if_projected(g, w, atomic_load(&g->projected)))
        bus_hasten(g->bus, w->position);
}

/* What a station did lately is in the tables only when the consumer has been there: to look before would be to find
 * nothing, and to take the end of a transaction for a stop that nobody knows. */
void lookups_go_on(struct gateway *g)
{
    uint64_t projected = atomic_load(&g->projected);
    for (struct link *at = g->waiting_tables.next, *next; at != &g->waiting_tables; at = next) {
        next = at->next;
        (void)look_if_projected(g, CONTAINER(at, struct table_wait, link), projected);
    }
}

/* At the end: what still waits is let go as what never ran. */
void lookups_release(struct gateway *g)
{
    while (!list_is_empty(&g->waiting_tables)) {
        struct table_wait *w = CONTAINER(g->waiting_tables.next, struct table_wait, link);
        list_take(&w->link);
        w->job.done(&w->job);
    }
}

static bool needs_lookup(struct gateway *g, const struct ocpp_call *call, struct ocpp_known *known)
{
    if (call->error != OK)
        return false;
    if (call->wants_transaction != 0 || call->wants_start)
        return true;
    return !tag_at_hand(g, call->wants_tag, &known->tag);
}

static void on_garbage(struct session *s, enum err e, struct str text, const struct fault *why)
{
    struct gateway *g = s->gateway;
    struct instant now = clock_now();
    metric_add(METRIC_GARBAGE, 1);
    if (e == ERR_UNSUPPORTED) { /* another message type: to be ignored (ocpp16.md 2.1) */
        gateway_append_frame(g, s->slot, text, (struct str){NULL, 0}, now);
        return;
    }
    struct ev_protocol_error p = {.code = STR("garbage"), .detail = str_of(why->reason)};
    buf_clear(&g->text);
    schema_write(&ev_protocol_error_message, &p, &g->text);
    struct event event = {.type = EVENT_PROTOCOL_ERROR,
                          .station = str_of(s->slot->station.id),
                          .received = now,
                          .device_time = INSTANT_NONE,
                          .sequence = ++s->slot->station.sequence,
                          .payload = buf_str(&g->text),
                          .frame = text};
    gateway_append(g, s->slot, &event, NULL);
    LOG_WARN("frame.garbage", F_CSTR("station", s->slot->station.id), F_INT("conn", conn_number(s->conn)),
             F_CSTR("err", why->reason));
    if (++s->garbage >= GARBAGE_MAX)
        session_close(s, CONN_END_PROTOCOL, WS_CLOSE_POLICY, STR("too much that is no OCPP message"));
}

/* Nothing in it can be answered. */
static bool is_garbage(enum err e, const struct ocpp_frame *frame)
{
    return e == ERR_FORMAT || e == ERR_UNSUPPORTED || (e != OK && frame->kind != OCPP_CALL);
}

static void read_and_decide(struct session *s, struct str text, const struct ocpp_known *found)
{
    struct gateway *g = s->gateway;
    struct ocpp_frame frame = {0};
    struct fault why = {0};
    arena_reset(&g->arena);
    enum err e = ocpp_frame_find(text, &g->arena, &frame, &why), sure = e;
    if (e != OK)
        sure = e = ocpp_frame_read(text, &g->arena, &frame, &why);
    if (is_garbage(e, &frame)) {
        on_garbage(s, e, text, &why);
        return;
    }
    if (frame.kind != OCPP_CALL) {
        s->garbage = 0;
        commands_on_answer(s, &frame, text);
        return;
    }
    struct ocpp_input in = input_of(g, s->slot);
    struct ocpp_call call;
    struct ocpp_known known = {0};
    in.text = text;
    in.answers_trigger = s->trigger_until_ms != 0 && clock_monotonic_ms() < s->trigger_until_ms;
    ocpp_call_read(&in, &frame, e, &why, &g->arena, &call);
    if (call.error != OK && sure == OK) { /* its payload may be no JSON at all, or end before further items */
        sure = ocpp_frame_read(text, &g->arena, &frame, &why);
        if (sure == OK && frame.payload.len != call.frame.payload.len)
            ocpp_call_read(&in, &frame, sure, &why, &g->arena, &call);
    }
    if (is_garbage(sure, &frame)) {
        on_garbage(s, sure, text, &why);
        return;
    }
    s->garbage = 0;
    if (found != NULL)
        decide(s, &in, &call, found);
    else if (needs_lookup(g, &call, &known))
        start_lookup(s, &call, text);
    else
        decide(s, &in, &call, &known);
}

void call_message(struct session *s, struct str text)
{
    struct gateway *g = s->gateway;
    if (!gateway_has_room(g)) { /* the disk is behind: this message waits, the station is not read */
        free(s->stash);
        s->stash = mem_new(1, text.len + 1);
        memcpy(s->stash, text.at, text.len);
        s->stash_len = text.len;
        session_pause(s, PAUSE_ROOM);
        if (list_is_empty(&s->turn))
            list_add_last(&g->paused_room, &s->turn);
        return;
    }
    read_and_decide(s, text, NULL);
}

void call_again(struct session *s)
{
    char *text = s->stash;
    s->stash = NULL;
    if (s->conn != NULL && text != NULL && s->is_open)
        read_and_decide(s, (struct str){text, s->stash_len}, NULL);
    free(text);
    session_resume(s, PAUSE_ROOM);
}
