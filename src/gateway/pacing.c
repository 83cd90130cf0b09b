/* gateway/pacing.c - what leaves for a pile (ap3000.md 3.3, 12): one frame after another with time between them,
 * answers before commands, and not more down one line than its host can pass on. A command counts as sent when its
 * frame leaves here; until then it can be taken back. */
#include "gateway/parts.h"

#define TOKEN_MILLI 1000

struct out {
    struct out *next;
    struct command *command; /* whose frame it is; NULL: an answer, or a packet of firmware */
    size_t len;
    bool is_answer;
    uint8_t at[];
};

/* One more frame down this line now? Else in how many ms. */
static int64_t line_wait_ms(struct line *line, int64_t now_ms)
{
    int64_t rate = line->gateway->config->pile_line_rate, most = rate * TOKEN_MILLI;
    line->tokens_milli += (now_ms - line->tokens_at_ms) * rate;
    line->tokens_at_ms = now_ms;
    if (line->tokens_milli > most)
        line->tokens_milli = most;
    if (line->tokens_milli < TOKEN_MILLI)
        return (TOKEN_MILLI - line->tokens_milli + rate - 1) / rate;
    line->tokens_milli -= TOKEN_MILLI;
    return 0;
}

/* As many as may leave now; then the timer for the next. */
static void go_out(struct pile_session *p)
{
    struct session *s = &p->s;
    int64_t spacing_ms = s->gateway->config->pile_spacing_ms;
    while (p->out_first != NULL && s->conn != NULL) {
        int64_t now_ms = clock_monotonic_ms();
        int64_t wait_ms = p->sent_ms == 0 ? 0 : p->sent_ms + spacing_ms - now_ms;
        if (wait_ms <= 0)
            wait_ms = line_wait_ms(s->line, now_ms);
        if (wait_ms > 0) {
            timer_start(s->gateway->loop, &p->pace, wait_ms);
            return;
        }
        struct out *o = p->out_first;
        p->out_first = o->next;
        p->out_count--;
        p->sent_ms = now_ms;
        if (conn_send(s->conn, (struct bytes){o->at, o->len}, false) != OK)
            metric_add_label(METRIC_PILE_DROPPED, STR("not_sent"), 1); /* it is ending, and will say why */
        if (o->command != NULL)
            talk_left(o->command);
        free(o);
    }
}

void pile_on_pace(struct timer *t)
{
    go_out(CONTAINER(t, struct pile_session, pace));
}

static void put(struct pile_session *p, struct bytes frame, bool is_answer, struct command *command)
{
    struct out *o = mem_new(1, sizeof *o + frame.len), **at = &p->out_first;
    memcpy(o->at, frame.at, frame.len);
    o->len = frame.len;
    o->is_answer = is_answer;
    o->command = command;
    while (*at != NULL && ((*at)->is_answer || !is_answer))
        at = &(*at)->next;
    o->next = *at;
    *at = o;
    p->out_count++;
    timer_stop(&p->pace);
    go_out(p);
}

void pile_send(struct pile_session *p, struct bytes frame, bool is_answer)
{
    if (p->out_count >= PILE_OUT_MAX) /* it asks faster than it may be answered: it will ask again */
        metric_add_label(METRIC_PILE_DROPPED, STR("answers_waiting"), 1);
    else
        put(p, frame, is_answer, NULL);
}

/* One at a time is under way, and of that one frame. */
void pile_send_command(struct pile_session *p, struct command *c, struct bytes frame)
{
    for (const struct out *o = p->out_first; o != NULL; o = o->next)
        if (o->command == c)
            return;
    put(p, frame, false, c);
}

void pile_take_back(struct pile_session *p, const struct command *c)
{
    for (struct out **at = &p->out_first; *at != NULL; at = &(*at)->next)
        if ((*at)->command == c) {
            struct out *o = *at;
            *at = o->next;
            p->out_count--;
            free(o);
            return;
        }
}

void pile_forget_out(struct pile_session *p)
{
    for (struct out *o; (o = p->out_first) != NULL; free(o))
        p->out_first = o->next;
    p->out_count = 0;
}
