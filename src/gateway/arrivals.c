/* gateway/arrivals.c - a pile on a line (ap3000.md 1.5, 12): may it speak there, whose place it takes, when it has
 * fallen silent.
 *
 * The protocol authenticates nothing. What there is: networks, the card number that a pile is bound to, registration,
 * and this rule: on a connection of its own a pile takes its place from wherever it was; behind somebody else's it is
 * let in only while it is not heard of elsewhere, unless that is the same module, or its host. So a connection can
 * claim one pile, and not a second one that is alive.
 *
 * Alive is who was heard within a heartbeat and a margin, whatever its host still says for itself: a slave that was
 * moved to another host has its place there as soon as it has missed one heartbeat on the old one. */
#include "gateway/parts.h"

#define LINE_SILENT_MS   60000 /* a module says something every 30 s: who did not is half open */
#define REFUSED_MS       60000 /* then it is looked at again */
#define SILENCE_MARGIN_S 40    /* 1.5: two heartbeats are missing, it is offline */
#define QUIET_MARGIN_S   20    /* one is: it may be somewhere else by now */
#define STOOD_STILL_MS   1000  /* a timer that fires so late says that we stood still, not the pile */
#define JUMPS_WINDOW_MS  600000
#define JUMPS_MAX        3 /* in the window: a pile has one module, which comes back now and then */

/* --- may this pile speak here? --- */

static bool is_same_module(const struct line *a, const struct line *b)
{
    if (a->iccid[0] != 0 || b->iccid[0] != 0)
        return strcmp(a->iccid, b->iccid) == 0;
    return str_eq(host_of(conn_remote(a->conn)), host_of(conn_remote(b->conn)));
}

static bool is_claimable(const struct pile_session *p, const struct slot *slot)
{
    const struct line *here = p->s.line;
    if (slot->session == NULL || here->owner_id == p->physical_id)
        return true;
    const struct line *there = slot->session->line;
    bool is_slave_here = slot->pile->host[0] != 0 && strcmp(slot->pile->host, here->host) == 0;
    return is_slave_here || is_same_module(here, there) || pile_of(slot->session)->is_quiet ||
           clock_monotonic_ms() - there->last_byte_ms > LINE_SILENT_MS;
}

static const char alive_elsewhere[] = "alive_elsewhere"; /* the one reason that passes by itself */

/* NULL: it may. */
static const char *reason_against(const struct pile_session *p, const struct slot *slot, enum err loaded)
{
    const struct gateway *g = p->s.gateway;
    if (slot->station.registration == REGISTRATION_REJECTED ||
        (loaded == ERR_UNKNOWN && g->policy.unknown_station == REGISTRATION_REJECTED))
        return "not_registered";
    struct str bound = str_of(slot->pile->iccid_binding);
    if (bound.len > 0 && !str_eq_nocase(bound, str_of(p->s.line->iccid)))
        return "other_iccid";
    if (!is_claimable(p, slot))
        return alive_elsewhere;
    return NULL;
}

static void tell_refused(struct pile_session *p, struct slot *slot, const char *reason)
{
    struct session *s = &p->s;
    metric_add_label(METRIC_CONN_REFUSED, str_of(reason), 1);
    LOG_WARN("pile.refused", F_CSTR("station", slot->station.id), F_INT("conn", conn_number(s->conn)),
             F_STR("remote", conn_remote(s->conn)), F_CSTR("reason", reason));
    bool is_ours = slot->has_row && slot->station.registration != REGISTRATION_REJECTED;
    if (!is_ours || !gateway_has_room(s->gateway))
        return;
    struct ev_security_event e = {
        .type = STR("PhysicalIdClaimed"), .tech_info = conn_remote(s->conn), .origin = STR("gateway")};
    (void)gateway_tell(s->gateway, slot, EVENT_SECURITY_EVENT, &e);
}

/* One that is taken back and forth is claimed by two. */
static void note_jump(struct pile_session *p, struct slot *slot)
{
    int64_t now_ms = clock_monotonic_ms();
    if (slot->jumps == 0 || now_ms - slot->jumps_ms > JUMPS_WINDOW_MS) {
        slot->jumps_ms = now_ms;
        slot->jumps = 0;
    }
    if (++slot->jumps != JUMPS_MAX + 1)
        return;
    struct ev_security_event e = {
        .type = STR("PhysicalIdJumps"), .tech_info = conn_remote(p->s.conn), .origin = STR("gateway")};
    (void)gateway_tell(p->s.gateway, slot, EVENT_SECURITY_EVENT, &e);
    LOG_WARN("pile.jumps", F_CSTR("station", slot->station.id), F_INT("conn", conn_number(p->s.conn)),
             F_STR("remote", conn_remote(p->s.conn)));
}

/* --- a pile comes in, and goes --- */

static int64_t quiet_after_ms(const struct slot *slot)
{
    return (slot->pile->heartbeat_s + QUIET_MARGIN_S) * 1000;
}

/* Who was refused its place asks again, if it is still heard of where it claimed it: a slave that was moved may not
 * speak for another three minutes. */
static void let_claimant_in(struct slot *slot, int64_t now_ms)
{
    struct pile_session *p = slot->claimant;
    slot->claimant = NULL;
    if (p == NULL || now_ms - p->heard_ms > quiet_after_ms(slot))
        return;
    LOG_INFO("pile.moved", F_CSTR("station", slot->station.id), F_INT("conn", conn_number(p->s.conn)),
             F_STR("remote", conn_remote(p->s.conn)));
    pile_load(p);
}

static void on_silence(struct timer *t)
{
    struct pile_session *p = CONTAINER(t, struct pile_session, silence);
    struct slot *slot = p->s.slot;
    int64_t quiet_ms = quiet_after_ms(slot), allowed_ms = (2 * slot->pile->heartbeat_s + SILENCE_MARGIN_S) * 1000;
    int64_t now_ms = clock_monotonic_ms(), silent_ms = now_ms - p->heard_ms;
    if (now_ms - t->due_ms > STOOD_STILL_MS) {
        timer_start(p->s.gateway->loop, t, STOOD_STILL_MS); /* what came meanwhile is read first */
    } else if (silent_ms < quiet_ms) {
        timer_start(p->s.gateway->loop, t, quiet_ms - silent_ms);
    } else if (silent_ms < allowed_ms) {
        p->is_quiet = true;
        timer_start(p->s.gateway->loop, t, allowed_ms - silent_ms);
        let_claimant_in(slot, now_ms); /* which may end p */
    } else {
        pile_end(p, CONN_END_PING);
    }
}

static void come_in(struct pile_session *p, struct slot *slot)
{
    struct session *s = &p->s;
    p->refused_until_ms = 0;
    p->is_new = true;
    if (slot->session != NULL)
        note_jump(p, slot);
    slot->claimant = NULL;
    slot->pile->physical_id = p->physical_id;
    (void)session_open(s, slot, STR("ap3000"), 0);
    slot->lost_ms = 0;
    s->is_ready_for_commands = true;
    timer_start(s->gateway->loop, &p->silence, quiet_after_ms(slot));
    talk_on_back(slot);
    firmware_on_back(slot);
}

static void forget_claim(const struct pile_session *p)
{
    char id[PILE_ID_SIZE];
    pile_id_write(p->physical_id, p->is_second, id);
    struct slot *slot = slot_find(p->s.gateway, str_of(id));
    if (slot != NULL && slot->claimant == p)
        slot->claimant = NULL;
}

void pile_end(struct pile_session *p, enum conn_end why)
{
    struct session *s = &p->s;
    timer_stop(&p->pace);
    timer_stop(&p->silence);
    pile_forget_out(p);
    buf_release(&p->backlog);
    list_take(&p->on_line);
    s->line->pile_count--;
    if (s->is_open)
        session_end(s, why);
    else
        forget_claim(p);
    s->conn = NULL;
    if (list_is_empty(&s->waiter.link)) /* else the load's end finds it */
        session_unref(s);
}

void pile_load(struct pile_session *p)
{
    char id[PILE_ID_SIZE];
    pile_id_write(p->physical_id, p->is_second, id);
    slot_load(p->s.gateway, str_of(id), &p->s.waiter);
}

static void on_loaded(struct waiter *w, struct slot *slot, enum err e)
{
    struct session *s = CONTAINER(w, struct session, waiter);
    struct pile_session *p = pile_of(s);
    if (s->conn == NULL) {
        session_unref(s);
        return;
    }
    uint32_t owner = slot->pile->physical_id;
    if (owner != 0 && owner != p->physical_id && !p->is_second) { /* that number is another pile's */
        p->is_second = true;
        pile_load(p);
        return;
    }
    bool is_unreadable = e != OK && e != ERR_UNKNOWN;
    if (is_unreadable || s->gateway->is_draining ||
        !gateway_has_room(s->gateway)) { /* it stays outside until it speaks again */
        pile_answer_bare(p, is_unreadable ? STR("store_unreadable") : STR("no_room"));
        if (slot->session == NULL)
            slot_rest(slot);
        return;
    }
    const char *reason = reason_against(p, slot, e);
    if (reason != NULL) {
        tell_refused(p, slot, reason);
        p->refused_until_ms = clock_monotonic_ms() + REFUSED_MS;
        p->refused_at_change = s->gateway->station_changes;
        if (reason == alive_elsewhere)
            slot->claimant = p;
        buf_release(&p->backlog);
        if (slot->session == NULL)
            slot_rest(slot);
        return;
    }
    come_in(p, slot);
    pile_go_on(p);
}

bool pile_is_refused(const struct pile_session *p, int64_t now_ms)
{
    return now_ms < p->refused_until_ms && p->refused_at_change == p->s.gateway->station_changes;
}

struct pile_session *pile_new_on(struct line *line, uint32_t physical_id)
{
    struct pile_session *p = mem_new(1, sizeof *p);
    session_init(&p->s, line->gateway, line->conn);
    buf_init(&p->backlog, PILE_BACKLOG_MAX);
    p->s.line = line;
    p->s.waiter.on_loaded = on_loaded;
    p->physical_id = physical_id;
    timer_init(&p->silence, on_silence);
    timer_init(&p->pace, pile_on_pace);
    list_add_last(&line->piles, &p->on_line);
    line->pile_count++;
    if (!line->has_owner) /* for good: not again when that one has left */
        line->owner_id = physical_id;
    line->has_owner = true;
    return p;
}

struct pile_session *pile_find_on(struct line *line, uint32_t physical_id)
{
    for (struct link *l = line->piles.next; l != &line->piles; l = l->next) {
        struct pile_session *p = CONTAINER(l, struct pile_session, on_line);
        if (p->physical_id == physical_id)
            return p;
    }
    return NULL;
}
