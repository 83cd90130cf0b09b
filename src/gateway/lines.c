/* gateway/lines.c - connections of AP3000 (ap3000.md 1): bytes become frames, each frame goes to the pile that it
 * names. What a line costs is bounded: it may say in one turn what all slaves of a host say at once, then it rests for
 * as long as a station of OCPP would that said as much; bytes that are no frame count too. */
#include "gateway/parts.h"

#define CLOSE_CODE_NONE 0
#define FLOOD_FACTOR    4  /* of a line's turn: what one read may hold beyond it */
#define GARBAGE_A_FRAME 64 /* bytes of no frame that cost as much as one */

/* --- the line --- */

/* Turn by turn; MESSAGES_A_ROUND_MAX and FLOOD_REST_MS are those of a station. */
static void count_turn(struct line *line, uint64_t frames)
{
    if (line->told_round != line->gateway->round) {
        line->told_round = line->gateway->round;
        line->frames_in_round = 0;
    }
    line->frames_in_round += (unsigned)frames;
}

static void rest_if_due(struct line *line)
{
    int64_t rest_ms = (int64_t)line->frames_in_round * FLOOD_REST_MS / MESSAGES_A_ROUND_MAX;
    if (line->frames_in_round < LINE_FRAMES_A_ROUND_MAX || line->is_resting)
        return;
    metric_add(METRIC_THROTTLED, 1);
    if (!line->is_flooding)
        LOG_WARN("station.flooding", F_INT("conn", conn_number(line->conn)), F_STR("remote", conn_remote(line->conn)),
                 F_INT("rest_ms", rest_ms));
    line->is_flooding = line->is_resting = true;
    conn_pause(line->conn);
    timer_start(line->gateway->loop, &line->flood_rest, rest_ms);
}

static void on_flood_rest(struct timer *t)
{
    struct line *line = CONTAINER(t, struct line, flood_rest);
    line->is_resting = false;
    conn_resume(line->conn); /* it is stopped with the connection */
}

/* One that is not let in makes room when its time is over. */
static bool make_room(struct line *line, int64_t now_ms)
{
    for (struct link *l = line->piles.next; l != &line->piles; l = l->next) {
        struct pile_session *p = CONTAINER(l, struct pile_session, on_line);
        if (p->s.is_open || !list_is_empty(&p->s.waiter.link) || pile_is_refused(p, now_ms))
            continue;
        pile_end(p, CONN_END_OURS);
        return true;
    }
    return false;
}

static void on_frame(struct line *line, const struct ap3000_frame *f, struct bytes raw)
{
    struct pile_session *p = pile_find_on(line, f->physical_id);
    int64_t now_ms = clock_monotonic_ms();
    if (p == NULL && line->pile_count >= PILES_A_LINE_MAX && !make_room(line, now_ms)) {
        metric_add_label(METRIC_PILE_DROPPED, STR("too_many_on_line"), 1);
        return;
    }
    if (p == NULL)
        p = pile_new_on(line, f->physical_id);
    p->heard_ms = now_ms;
    p->is_quiet = false;
    if (p->s.is_open) {
        pile_frame(p, f, raw);
        return;
    }
    if (pile_is_refused(p, now_ms)) {
        metric_add_label(METRIC_PILE_DROPPED, STR("refused"), 1);
        return;
    }
    pile_keep(p, raw, false);
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
    if (line->stream.dropped_count - line->dropped_before > AP3000_DROPPED_MAX) {
        line->is_garbage = true;
        return;
    }
    line->dropped_before = line->stream.dropped_count;
    count_turn(line, 1);
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
    count_turn(line, (line->stream.dropped_count - line->told_dropped) / GARBAGE_A_FRAME);
    line->told_dropped = line->stream.dropped_count;
    if (!line->is_garbage && !ap3000_stream_is_garbage(&line->stream))
        return;
    line->is_garbage = true;
    LOG_WARN("line.garbage", F_INT("conn", conn_number(line->conn)), F_STR("remote", conn_remote(line->conn)),
             F_INT("bytes", line->stream.dropped_count));
    conn_close(line->conn, CONN_END_PROTOCOL, CLOSE_CODE_NONE, STR(""));
}

static void on_gap(struct timer *t)
{
    struct line *line = CONTAINER(t, struct line, gap);
    struct ap3000_unit unit;
    while (!line->is_garbage && ap3000_stream_flush(&line->stream, &unit))
        on_unit(line, &unit);
    look_at_garbage(line);
}

static void on_bytes(struct conn *c, struct bytes in)
{
    struct line *line = conn_data(c);
    struct ap3000_unit unit;
    if (line == NULL || line->is_garbage)
        return; /* it was not let in, or is to go */
    line->last_byte_ms = clock_monotonic_ms();
    timer_stop(&line->gap);
    while (!line->is_garbage && ap3000_stream_next(&line->stream, &in, &unit))
        on_unit(line, &unit);
    look_at_garbage(line);
    rest_if_due(line);
    if (!ap3000_stream_is_empty(&line->stream))
        timer_start(line->gateway->loop, &line->gap, AP3000_GAP_S * 1000);
}

static void on_open(struct conn *c)
{
    struct gateway *g = listener_data(conn_listener(c));
    if (g->is_draining || !networks_have(g, conn_remote(c))) {
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
    line->is_ending = true;
    while (!list_is_empty(&line->piles))
        pile_end(CONTAINER(line->piles.next, struct pile_session, on_line), why);
    line->conn = NULL;
    ap3000_stream_release(&line->stream);
    list_take(&line->link);
    metric_add(METRIC_LINES, -1);
    loop_free_later(line->gateway->loop, line);
}

bool line_loss_counts(struct line *line)
{
    bool is_first = !line->is_loss_counted;
    line->is_loss_counted = line->is_ending;
    return !line->is_ending || is_first;
}

static bool has_open(const struct line *line)
{
    for (const struct link *l = line->piles.next; l != &line->piles; l = l->next)
        if (CONTAINER((struct link *)(uintptr_t)l, struct pile_session, on_line)->s.is_open)
            return true;
    return false;
}

void lines_close(struct gateway *g)
{
    for (struct link *l = g->lines.next; l != &g->lines; l = l->next) {
        struct line *line = CONTAINER(l, struct line, link);
        if (!has_open(line))
            conn_close(line->conn, CONN_END_SHUTDOWN, CLOSE_CODE_NONE, STR(""));
    }
}

const struct conn_handlers line_handlers = {.on_open = on_open, .on_bytes = on_bytes, .on_close = on_close};
