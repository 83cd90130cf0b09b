/* gateway/lines.c - connections of AP3000 (ap3000.md 1, 12): bytes become frames, each frame goes to the pile that it
 * names; which pile may speak on which connection, whose place it takes, when it has fallen silent.
 *
 * The protocol authenticates nothing. What there is: networks, the card number that a pile is bound to, registration,
 * and this rule: on a connection of its own a pile takes its place from wherever it was; behind somebody else's it is
 * let in only while it is not heard of elsewhere, unless that is the same module, or its host. So a connection can
 * claim one pile, and not a second one that is alive. */
#include "gateway/parts.h"

#include <arpa/inet.h>

#define LINE_SILENT_MS   60000 /* a module says something every 30 s: who did not is half open */
#define REFUSED_MS       60000 /* then it is looked at again */
#define SILENCE_MARGIN_S 40    /* 1.5 */
#define CLOSE_CODE_NONE  0
#define FLOOD_FACTOR     4 /* of a line's turn: what one read may hold beyond it */

/* --- networks --- */

static enum err network_parse(struct str text, struct network *out)
{
    char address[64], *slash;
    int64_t bits;
    (void)str_copy(address, sizeof address, text);
    slash = strchr(address, '/');
    if (slash != NULL)
        *slash = 0;
    *out = (struct network){.size = strchr(address, ':') == NULL ? 4 : 16};
    if (inet_pton(out->size == 4 ? AF_INET : AF_INET6, address, out->at) != 1)
        return ERR_FORMAT;
    out->bits = out->size * 8;
    if (slash == NULL)
        return OK;
    if (str_to_int(str_of(slash + 1), &bits) != OK || bits < 0 || bits > (int64_t)out->bits)
        return ERR_FORMAT;
    out->bits = (unsigned)bits;
    return OK;
}

enum err networks_parse(struct gateway *g, struct str list, struct fault *why)
{
    while (list.len > 0) {
        size_t n = 0;
        while (n < list.len && list.at[n] != ',')
            n++;
        struct str one = {list.at, n};
        while (one.len > 0 && one.at[0] == ' ')
            one = (struct str){one.at + 1, one.len - 1};
        list = (struct str){list.at + n, list.len - n};
        if (list.len > 0)
            list = (struct str){list.at + 1, list.len - 1};
        if (g->network_count == PILE_NETWORKS_MAX || network_parse(one, &g->networks[g->network_count]) != OK) {
            fault_set(why, STR("ap3000.networks"), "%.*s is no network like 10.0.0.0/8, or one too many", STR_ARG(one));
            return ERR_FORMAT;
        }
        g->network_count++;
    }
    return OK;
}

static bool network_has(const struct network *n, const uint8_t *address, unsigned size)
{
    if (n->size != size || memcmp(n->at, address, n->bits / 8) != 0)
        return false;
    unsigned rest = n->bits % 8;
    return rest == 0 || ((n->at[n->bits / 8] ^ address[n->bits / 8]) >> (8 - rest)) == 0;
}

static bool is_from_a_network(const struct gateway *g, struct str remote)
{
    char host[64];
    uint8_t address[16];
    struct str text = host_of(remote);
    if (g->network_count == 0)
        return true;
    if (text.len > 2 && text.at[0] == '[')
        text = (struct str){text.at + 1, text.len - 2};
    (void)str_copy(host, sizeof host, text);
    unsigned size = strchr(host, ':') == NULL ? 4 : 16;
    if (inet_pton(size == 4 ? AF_INET : AF_INET6, host, address) != 1)
        return false;
    for (size_t i = 0; i < g->network_count; i++)
        if (network_has(&g->networks[i], address, size))
            return true;
    return false;
}

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
    return is_slave_here || is_same_module(here, there) || clock_monotonic_ms() - there->last_byte_ms > LINE_SILENT_MS;
}

/* NULL: it may. */
static const char *reason_against(const struct pile_session *p, const struct slot *slot, enum err loaded)
{
    const struct gateway *g = p->s.gateway;
    if (loaded != OK && loaded != ERR_UNKNOWN)
        return "store_unreadable";
    if (slot->station.registration == REGISTRATION_REJECTED ||
        (loaded == ERR_UNKNOWN && g->policy.unknown_station == REGISTRATION_REJECTED))
        return "not_registered";
    struct str bound = str_of(slot->pile->iccid_binding);
    if (bound.len > 0 && !str_eq_nocase(bound, str_of(p->s.line->iccid)))
        return "other_iccid";
    if (!is_claimable(p, slot))
        return "alive_elsewhere";
    return NULL;
}

static void tell_refused(struct pile_session *p, struct slot *slot, const char *reason)
{
    struct session *s = &p->s;
    metric_add_label(METRIC_CONN_REFUSED, str_of(reason), 1);
    LOG_WARN("pile.refused", F_CSTR("station", slot->station.id), F_INT("conn", conn_number(s->conn)),
             F_STR("remote", conn_remote(s->conn)), F_CSTR("reason", reason));
    bool is_ours = slot->has_row && slot->station.registration != REGISTRATION_REJECTED;
    if (!is_ours || !gateway_has_room(s->gateway) || strcmp(reason, "store_unreadable") == 0)
        return;
    struct ev_security_event e = {
        .type = STR("PhysicalIdClaimed"), .tech_info = conn_remote(s->conn), .origin = STR("gateway")};
    (void)gateway_tell(s->gateway, slot, EVENT_SECURITY_EVENT, &e);
}

/* --- a pile comes in, and goes --- */

static void silence_start(struct pile_session *p)
{
    int64_t beat_s = p->s.slot->pile->heartbeat_s;
    timer_start(p->s.gateway->loop, &p->silence, (2 * beat_s + SILENCE_MARGIN_S) * 1000);
}

static void on_silence(struct timer *t)
{
    struct pile_session *p = CONTAINER(t, struct pile_session, silence);
    int64_t allowed_ms = (2 * p->s.slot->pile->heartbeat_s + SILENCE_MARGIN_S) * 1000;
    int64_t left_ms = allowed_ms - (clock_monotonic_ms() - p->heard_ms);
    if (left_ms > 0)
        timer_start(p->s.gateway->loop, t, left_ms);
    else
        pile_end(p, CONN_END_PING);
}

static void come_in(struct pile_session *p, struct slot *slot)
{
    struct session *s = &p->s;
    p->refused_until_ms = 0;
    p->is_new = true;
    slot->pile->physical_id = p->physical_id;
    (void)session_open(s, slot, STR("ap3000"), 0);
    slot->lost_ms = 0;
    s->is_ready_for_commands = true;
    silence_start(p);
    talk_on_back(slot);
    firmware_on_back(slot);
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
    s->conn = NULL;
    if (list_is_empty(&s->waiter.link)) /* else the load's end finds it */
        session_unref(s);
}

static void pile_load(struct pile_session *p)
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
    const char *reason = reason_against(p, slot, e);
    if (reason != NULL) {
        tell_refused(p, slot, reason);
        p->refused_until_ms = clock_monotonic_ms() + REFUSED_MS;
        buf_clear(&p->backlog);
        if (slot->session == NULL)
            slot_rest(slot);
        return;
    }
    if (s->gateway->is_draining || !gateway_has_room(s->gateway)) { /* as if it had not spoken: it will again */
        metric_add_label(METRIC_PILE_DROPPED, STR("no_room"), 1);
        buf_clear(&p->backlog);
        if (slot->session == NULL)
            slot_rest(slot);
        return;
    }
    come_in(p, slot);
    pile_go_on(p);
}

static struct pile_session *pile_new_on(struct line *line, uint32_t physical_id)
{
    struct pile_session *p = mem_new(1, sizeof *p);
    session_init(&p->s, line->gateway, line->conn);
    p->s.line = line;
    p->s.waiter.on_loaded = on_loaded;
    p->physical_id = physical_id;
    timer_init(&p->silence, on_silence);
    buf_init(&p->backlog, PILE_BACKLOG_MAX);
    timer_init(&p->pace, pile_on_pace);
    list_add_last(&line->piles, &p->on_line);
    if (line->pile_count++ == 0)
        line->owner_id = physical_id;
    return p;
}

static struct pile_session *pile_find_on(struct line *line, uint32_t physical_id)
{
    for (struct link *l = line->piles.next; l != &line->piles; l = l->next) {
        struct pile_session *p = CONTAINER(l, struct pile_session, on_line);
        if (p->physical_id == physical_id)
            return p;
    }
    return NULL;
}

/* --- the line --- */

static void line_rest(struct line *line)
{
    metric_add(METRIC_THROTTLED, 1);
    if (!line->is_flooding)
        LOG_WARN("station.flooding", F_INT("conn", conn_number(line->conn)), F_STR("remote", conn_remote(line->conn)),
                 F_INT("rest_ms", FLOOD_REST_MS));
    line->is_flooding = true;
    conn_pause(line->conn);
    timer_start(line->gateway->loop, &line->flood_rest, FLOOD_REST_MS);
}

static void on_flood_rest(struct timer *t)
{
    struct line *line = CONTAINER(t, struct line, flood_rest);
    if (line->conn != NULL)
        conn_resume(line->conn);
}

static bool is_over_its_turn(struct line *line)
{
    if (line->told_round != line->gateway->round) {
        line->told_round = line->gateway->round;
        line->frames_in_round = 0;
    }
    return ++line->frames_in_round == LINE_FRAMES_A_ROUND_MAX;
}

static void on_frame(struct line *line, const struct ap3000_frame *f, struct bytes raw)
{
    struct pile_session *p = pile_find_on(line, f->physical_id);
    int64_t now_ms = clock_monotonic_ms();
    if (p == NULL && line->pile_count >= PILES_A_LINE_MAX) {
        metric_add_label(METRIC_PILE_DROPPED, STR("too_many_on_line"), 1);
        return;
    }
    if (p == NULL)
        p = pile_new_on(line, f->physical_id);
    p->heard_ms = now_ms;
    if (p->s.is_open) {
        pile_frame(p, f, raw);
        return;
    }
    if (now_ms < p->refused_until_ms) {
        metric_add_label(METRIC_PILE_DROPPED, STR("refused"), 1);
        return;
    }
    if (p->backlog.len + raw.len <= PILE_BACKLOG_MAX)
        buf_put(&p->backlog, raw.at, raw.len);
    bool is_loading = !list_is_empty(&p->s.waiter.link);
    if (!is_loading)
        pile_load(p);
}

static void on_unit(struct line *line, const struct ap3000_unit *u)
{
    if (!line->is_known) {
        line->is_known = true;
        conn_known(line->conn);
    }
    if (u->kind == AP3000_ICCID)
        (void)str_copy(line->iccid, sizeof line->iccid, u->iccid);
    if (u->kind != AP3000_FRAME)
        return;
    if (is_over_its_turn(line))
        line_rest(line);
    if (line->frames_in_round > FLOOD_FACTOR * LINE_FRAMES_A_ROUND_MAX) {
        metric_add_label(METRIC_PILE_DROPPED, STR("flood"), 1); /* no host says so much between two looks at it */
        return;
    }
    /* The frame as it came: its payload lies behind its head, in what was read or what the splitter keeps. */
    struct bytes raw = {u->frame.payload.at - AP3000_PAYLOAD_AT, u->size};
    on_frame(line, &u->frame, raw);
}

static void look_at_garbage(struct line *line)
{
    if (line->stream.dropped_count == line->told_dropped)
        return;
    metric_add(METRIC_LINE_DROPPED, (int64_t)(line->stream.dropped_count - line->told_dropped));
    line->told_dropped = line->stream.dropped_count;
    if (!ap3000_stream_is_garbage(&line->stream))
        return;
    LOG_WARN("line.garbage", F_INT("conn", conn_number(line->conn)), F_STR("remote", conn_remote(line->conn)),
             F_INT("bytes", line->stream.dropped_count));
    conn_close(line->conn, CONN_END_PROTOCOL, CLOSE_CODE_NONE, STR(""));
}

static void on_gap(struct timer *t)
{
    struct line *line = CONTAINER(t, struct line, gap);
    struct ap3000_unit unit;
    while (line->conn != NULL && ap3000_stream_flush(&line->stream, &unit))
        on_unit(line, &unit);
    if (line->conn != NULL)
        look_at_garbage(line);
}

static void on_bytes(struct conn *c, struct bytes in)
{
    struct line *line = conn_data(c);
    struct ap3000_unit unit;
    if (line == NULL)
        return; /* it was not let in */
    line->last_byte_ms = clock_monotonic_ms();
    timer_stop(&line->gap);
    while (ap3000_stream_next(&line->stream, &in, &unit))
        on_unit(line, &unit);
    look_at_garbage(line);
    if (!ap3000_stream_is_empty(&line->stream))
        timer_start(line->gateway->loop, &line->gap, AP3000_GAP_S * 1000);
}

static void on_open(struct conn *c)
{
    struct gateway *g = listener_data(conn_listener(c));
    if (g->is_draining || !is_from_a_network(g, conn_remote(c))) {
        metric_add_label(METRIC_CONN_REFUSED, g->is_draining ? STR("stopping") : STR("network"), 1);
        if (!g->is_draining)
            LOG_WARN("line.refused", F_INT("conn", conn_number(c)), F_STR("remote", conn_remote(c)),
                     F_CSTR("reason", "network"));
        conn_close(c, CONN_END_OURS, CLOSE_CODE_NONE, STR(""));
        return;
    }
    struct line *line = mem_new(1, sizeof *line);
    line->conn = c;
    line->gateway = g;
    line->last_byte_ms = line->tokens_at_ms = clock_monotonic_ms();
    line->tokens_milli = g->config->pile_line_rate * 1000;
    list_init(&line->piles);
    timer_init(&line->gap, on_gap);
    timer_init(&line->flood_rest, on_flood_rest);
    ap3000_stream_init(&line->stream);
    list_add_last(&g->lines, &line->link);
    conn_set_data(c, line);
    metric_add(METRIC_LINES, 1);
}

static void on_close(struct conn *c, enum conn_end why, uint16_t close_code)
{
    struct line *line = conn_data(c);
    (void)close_code;
    if (line == NULL)
        return;
    timer_stop(&line->gap);
    timer_stop(&line->flood_rest);
    while (!list_is_empty(&line->piles))
        pile_end(CONTAINER(line->piles.next, struct pile_session, on_line), why);
    line->conn = NULL;
    ap3000_stream_release(&line->stream);
    list_take(&line->link);
    metric_add(METRIC_LINES, -1);
    loop_free_later(line->gateway->loop, line);
}

void lines_close(struct gateway *g)
{
    for (struct link *l = g->lines.next; l != &g->lines; l = l->next) {
        struct line *line = CONTAINER(l, struct line, link);
        if (list_is_empty(&line->piles))
            conn_close(line->conn, CONN_END_SHUTDOWN, CLOSE_CODE_NONE, STR(""));
    }
}

const struct conn_handlers line_handlers = {.on_open = on_open, .on_bytes = on_bytes, .on_close = on_close};
