/* sim/station.c - the life of a station: connect, register, say one thing at a time, try again. */
#include "sim/station_private.h"
#include <stdio.h>
#include <stdlib.h>

#define ARENA_MAX         (256 * 1024)
#define FRAME_MAX         (64 * 1024)
#define CONNECT_AGAIN_MS  1000  /* doubled at each failure ... */
#define CONNECT_DOUBLINGS 6     /* ... so often */
#define FLAKY_MS          60000 /* of QUIRK_flaky: half to one and a half of it */
#define EIGHT_HOURS_US    (INT64_C(8) * 3600 * 1000000)
#define AC_SUPPLY_W       22000
#define DC_SUPPLY_W       150000
#define DC_EACH           4 /* one station in so many is for DC */

const struct sim_quirk_name sim_quirks[QUIRK_COUNT] = {
#define QUIRK(member, name, sentence) {{(name), sizeof(name) - 1}, (sentence)},
#include "sim/quirks.def"
};

void sim_world_init(struct sim_world *w)
{
    *w = (struct sim_world){.speed_milli = 1000};
    arena_init(&w->arena, ARENA_MAX);
    buf_init(&w->payload, FRAME_MAX);
    buf_init(&w->frame, FRAME_MAX);
}

void sim_world_release(struct sim_world *w)
{
    arena_release(&w->arena);
    buf_release(&w->payload);
    buf_release(&w->frame);
}

bool has_quirk(const struct step *t, enum sim_quirk q)
{
    return (t->w->quirks >> q & 1) != 0;
}

uint32_t random_below(struct sim_station *s, uint32_t n)
{
    return chance_below(&s->chance, n);
}

void want(struct step *t, uint32_t *order)
{
    if (*order == 0)
        *order = ++t->s->order;
}

void tell(struct step *t, const struct sim_event *e)
{
    t->w->tell(t->s, e);
}

struct instant station_clock(const struct step *t)
{
    int64_t us = t->now.wall.us + t->s->clock_offset_us;
    return (struct instant){has_quirk(t, QUIRK_local_time) ? us + EIGHT_HOURS_US : us};
}

void station_set_clock(struct step *t, struct instant server)
{
    if (instant_is_set(server) && !has_quirk(t, QUIRK_clock_1970))
        t->s->clock_offset_us = instant_since(server, t->now.wall).us;
}

/* After a boot, and after an absence: only the present status counts (ocpp16.md 10.5). */
void station_want_all(struct step *t)
{
    want(t, &t->s->status_order);
    for (size_t i = 0; i < t->s->connector_count; i++)
        connector_want_status(t, &t->s->connectors[i]);
}

void sim_station_boot(struct step *t, int64_t after_ms)
{
    t->s->is_boot_due = true;
    t->s->boot_at_ms = t->now.ms + after_ms;
}

struct sim_station *sim_station_new(struct sim_world *w, const struct sim_station_options *o)
{
    check(o->connectors >= 1 && o->connectors <= CONNECTORS_MAX);
    struct sim_station *s = mem_new(1, sizeof *s + o->connectors * sizeof s->connectors[0]);
    struct step t = {s, w, {0}};
    s->world = w;
    s->index = o->index;
    s->chance = (struct chance){o->seed << 20, o->index};
    s->connector_count = (uint8_t)o->connectors;
    s->is_dc = o->index % DC_EACH == DC_EACH - 1;
    s->supply_w = s->is_dc ? DC_SUPPLY_W : AC_SUPPLY_W;
    s->connect_at_ms = o->connect_at_ms;
    s->boot_at_ms = s->heartbeat_at_ms = s->reset_at_ms = s->drop_at_ms = SIM_NEVER;
    settings_init(&s->settings, o->connectors);
    (void)snprintf(s->identity, sizeof s->identity, "%.*s-%02u", STR_ARG(o->prefix), (unsigned)o->index + 1);
    for (unsigned i = 0; i < o->connectors; i++) {
        s->connectors[i].number = (uint8_t)(i + 1);
        connector_init(&t, &s->connectors[i]);
    }
    return s;
}

void sim_station_free(struct sim_station *s)
{
    if (s == NULL)
        return;
    tx_queue_release(&s->queue);
    free(s);
}

/* ---- What to say next -------------------------------------------------------------------------------------------- */

struct wish {
    uint32_t order; /* 0: none */
    enum sim_say kind;
    struct sim_connector *connector;
    uint32_t *place;
};

static void consider(struct wish *best, uint32_t *order, enum sim_say kind, struct sim_connector *c)
{
    if (*order != 0 && (best->order == 0 || *order < best->order))
        *best = (struct wish){*order, kind, c, order};
}

static struct wish find_wish(struct step *t)
{
    static const enum sim_say of_queue[] = {[TX_START] = SAY_START, [TX_METER] = SAY_METER, [TX_STOP] = SAY_STOP};
    struct sim_station *s = t->s;
    struct wish best = {0};
    consider(&best, &s->status_order, SAY_STATUS, NULL);
    consider(&best, &s->heartbeat_order, SAY_HEARTBEAT, NULL);
    for (size_t i = 0; i < s->connector_count; i++) {
        struct sim_connector *c = &s->connectors[i];
        consider(&best, &c->status_order, SAY_STATUS, c);
        consider(&best, &c->authorize_order, SAY_AUTHORIZE, c);
        consider(&best, &c->meter_order, SAY_METER_NOW, c);
    }
    struct tx_message *first = tx_queue_first(&s->queue);
    if (first != NULL && first->due_ms <= t->now.ms && s->registration == SIM_REGISTERED)
        consider(&best, &first->order, of_queue[first->kind], NULL);
    return best;
}

static void begin_call(struct step *t, enum sim_say kind, struct sim_connector *c)
{
    struct sim_station *s = t->s;
    s->is_calling = true;
    s->call = (struct sim_call){(uint8_t)kind, c == NULL ? 0 : c->number, ++s->calls,
                                t->now.ms + (int64_t)s->settings.of[SET_message_timeout_s] * 1000};
    if (has_quirk(t, QUIRK_garbage) && (kind == SAY_METER || kind == SAY_HEARTBEAT))
        say_garbage(t);
    say(t, kind, c);
    int32_t heartbeat_s = s->settings.of[SET_heartbeat_s];
    s->heartbeat_at_ms = heartbeat_s > 0 ? t->now.ms + (int64_t)heartbeat_s * 1000 : SIM_NEVER;
}

/* Until it is registered a station says nothing but its boot and, while pending, what was triggered. */
static void pump(struct step *t)
{
    struct sim_station *s = t->s;
    if (s->link != SIM_ONLINE || s->is_calling)
        return;
    if (s->is_boot_due && s->boot_at_ms <= t->now.ms) {
        s->is_boot_due = false;
        s->boot_at_ms = SIM_NEVER;
        begin_call(t, SAY_BOOT, NULL);
        return;
    }
    if (s->registration != SIM_REGISTERED && s->registration != SIM_PENDING)
        return;
    struct wish next = find_wish(t);
    if (next.order == 0)
        return;
    if (next.kind == SAY_START || next.kind == SAY_METER || next.kind == SAY_STOP)
        tx_queue_first(&s->queue)->sends++;
    else
        *next.place = 0;
    begin_call(t, next.kind, next.connector);
}

/* Every input ends here: what it changed may be said at once. */
static void finish(struct step *t)
{
    pump(t);
    arena_reset(&t->w->arena);
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

static bool is_transaction(const struct sim_call *call)
{
    return call->kind == SAY_START || call->kind == SAY_METER || call->kind == SAY_STOP;
}

static void on_failure(struct step *t, const struct sim_call *call)
{
    struct sim_station *s = t->s;
    if (call->kind == SAY_BOOT)
        sim_station_boot(t, BOOT_RETRY_S * 1000);
    if (call->kind == SAY_AUTHORIZE)
        (void)connector_apply(t, &s->connectors[call->connector - 1], SIM_DENIED);
    if (!is_transaction(call) ||
        tx_queue_retry(&s->queue, t->now.ms, s->settings.of[SET_attempts], s->settings.of[SET_retry_s]))
        return;
    tell(t,
         &(struct sim_event){SIM_GIVEN_UP, 0, say_name((enum sim_say)call->kind), tx_queue_first(&s->queue)->sends, 0});
    tx_queue_take(&s->queue);
}

static struct sim_call end_call(struct step *t)
{
    t->s->is_calling = false;
    return t->s->call;
}

static bool is_ours(struct step *t, struct str id)
{
    char own[32];
    int len = snprintf(own, sizeof own, "%x-%x", (unsigned)t->w->run, (unsigned)t->s->call.id);
    return t->s->is_calling && str_eq(id, (struct str){own, (size_t)len});
}

static void on_result(struct step *t, const struct ocpp_frame *f)
{
    struct sim_call call = end_call(t);
    t->w->totals.answers++;
    if (!say_on_answer(t, &call, f->payload)) {
        on_failure(t, &call);
        return;
    }
    if (is_transaction(&call))
        tx_queue_take(&t->s->queue);
}

static void on_error(struct step *t)
{
    struct sim_call call = end_call(t);
    t->w->totals.errors++;
    tell(t, &(struct sim_event){SIM_REFUSED, call.connector, say_name((enum sim_say)call.kind), 0, 0});
    on_failure(t, &call);
}

void sim_station_on_text(struct sim_station *s, struct sim_now now, struct str text)
{
    struct step t = {s, s->world, now};
    struct ocpp_frame f;
    enum err e = ocpp_frame_read(text, &t.w->arena, &f, NULL);
    if (s->link != SIM_ONLINE || e != OK) {
        arena_reset(&t.w->arena);
        return; /* what is no message gets no answer */
    }
    if (f.kind == OCPP_CALL)
        command_take(&t, &f);
    else if (is_ours(&t, f.id) && f.kind == OCPP_RESULT)
        on_result(&t, &f);
    else if (is_ours(&t, f.id))
        on_error(&t);
    finish(&t);
}

/* ---- The connection ---------------------------------------------------------------------------------------------- */

static void connect_later(struct step *t, int64_t after_ms)
{
    t->s->connect_at_ms = t->now.ms + after_ms / 2 + random_below(t->s, (uint32_t)after_ms);
    tell(t, &(struct sim_event){SIM_LOST, 0, {NULL, 0}, t->s->connect_at_ms - t->now.ms, 0});
}

/* The message under way is sent again after the reconnect; that is not a try more (ocpp16.md 2.6 counts answers). */
static void go_offline(struct step *t)
{
    struct sim_station *s = t->s;
    if (s->link == SIM_ONLINE)
        t->w->totals.online--;
    s->link = SIM_OFFLINE;
    s->drop_at_ms = s->heartbeat_at_ms = SIM_NEVER;
    s->heartbeat_order = s->status_order = 0;
    if (s->is_calling) {
        struct sim_call call = end_call(t);
        if (is_transaction(&call))
            tx_queue_first(&s->queue)->sends--;
    }
    enum sim_input verdict = s->settings.of[SET_offline_unknown] != 0 ? SIM_ACCEPTED : SIM_DENIED;
    for (size_t i = 0; i < s->connector_count; i++) {
        s->connectors[i].status_order = s->connectors[i].meter_order = 0;
        if (s->connectors[i].phase == SIM_AUTHORIZING)
            (void)connector_apply(t, &s->connectors[i], verdict);
    }
}

void sim_station_cut(struct step *t, int64_t after_ms)
{
    go_offline(t);
    t->w->drop(t->s);
    connect_later(t, after_ms);
}

void sim_station_on_open(struct sim_station *s, struct sim_now now)
{
    struct step t = {s, s->world, now};
    s->link = SIM_ONLINE;
    s->failures = 0;
    t.w->totals.online++;
    tell(&t, &(struct sim_event){SIM_OPENED, 0, {NULL, 0}, 0, 0});
    if (has_quirk(&t, QUIRK_flaky))
        s->drop_at_ms = now.ms + FLAKY_MS / 2 + random_below(s, FLAKY_MS);
    if (has_quirk(&t, QUIRK_clock_1970) && s->clock_offset_us == 0)
        s->clock_offset_us = -now.wall.us;
    if (!s->was_registered || !has_quirk(&t, QUIRK_no_reboot)) {
        s->registration = SIM_NEW;
        sim_station_boot(&t, 0);
    } else {
        station_want_all(&t);
    }
    finish(&t);
}

void sim_station_on_close(struct sim_station *s, struct sim_now now)
{
    struct step t = {s, s->world, now};
    uint32_t doublings = s->failures < CONNECT_DOUBLINGS ? s->failures : CONNECT_DOUBLINGS;
    s->failures++;
    go_offline(&t);
    connect_later(&t, (int64_t)CONNECT_AGAIN_MS << doublings);
    finish(&t);
}

/* ---- Time -------------------------------------------------------------------------------------------------------- */

static void on_timeout(struct step *t)
{
    struct sim_call call = end_call(t);
    t->w->totals.errors++;
    tell(t, &(struct sim_event){SIM_UNANSWERED, call.connector, say_name((enum sim_say)call.kind), 0, 0});
    on_failure(t, &call);
}

static void look_at_link(struct step *t)
{
    struct sim_station *s = t->s;
    if (s->link == SIM_OFFLINE && s->connect_at_ms <= t->now.ms) {
        s->link = SIM_CONNECTING;
        t->w->connect(s);
    }
    if (s->is_calling && s->call.deadline_ms <= t->now.ms)
        on_timeout(t);
    if (s->reset_at_ms <= t->now.ms) {
        s->reset_at_ms = SIM_NEVER;
        s->registration = SIM_NEW;
        sim_station_boot(t, 0);
    }
    if (s->heartbeat_at_ms <= t->now.ms) {
        s->heartbeat_at_ms = SIM_NEVER; /* until something is sent again */
        if (s->registration == SIM_REGISTERED)
            want(t, &s->heartbeat_order);
    }
    if (s->drop_at_ms <= t->now.ms)
        sim_station_cut(t, CONNECT_AGAIN_MS);
}

void sim_station_on_time(struct sim_station *s, struct sim_now now)
{
    struct step t = {s, s->world, now};
    look_at_link(&t);
    for (size_t i = 0; i < s->connector_count; i++)
        connector_on_time(&t, &s->connectors[i]);
    finish(&t);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t sim_station_due_ms(const struct sim_station *s)
{
    int64_t due = earlier(earlier(s->heartbeat_at_ms, s->reset_at_ms), s->drop_at_ms);
    if (s->link == SIM_OFFLINE)
        due = earlier(due, s->connect_at_ms);
    if (s->is_calling)
        due = earlier(due, s->call.deadline_ms);
    else if (s->link == SIM_ONLINE)
        due = earlier(due, s->is_boot_due                                            ? s->boot_at_ms
                           : s->queue.count > 0 && s->registration == SIM_REGISTERED ? s->queue.at[0].due_ms
                                                                                     : SIM_NEVER);
    for (size_t i = 0; i < s->connector_count; i++)
        due = earlier(due, earlier(s->connectors[i].next_at_ms, s->connectors[i].sample_at_ms));
    return due;
}

void sim_station_finish(struct sim_station *s, struct sim_now now)
{
    struct step t = {s, s->world, now};
    for (size_t i = 0; i < s->connector_count; i++)
        connector_stop(&t, &s->connectors[i], OCPP_REASON_LOCAL);
    finish(&t);
}

bool sim_station_is_quiet(const struct sim_station *s)
{
    return s->link != SIM_ONLINE || (!s->is_calling && s->queue.count == 0);
}
