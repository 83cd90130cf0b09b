/* gateway/piles.c - a frame from a pile: to the pure core, what follows into the log, its answer out.
 *
 * Time, registration and heartbeats are answered at once, with a disk or with tables that stand still too. A settlement
 * or a swipe is answered when it is on the disk; with no room in the log it is not taken up, and the pile says it
 * again. What memory has not is fetched by a worker while the pile's next frames wait, and nobody else's. */
#include "gateway/parts.h"

/* --- what the core needs, and what follows from it --- */

struct str hex_of(struct buf *to, struct bytes b)
{
    buf_clear(to);
    buf_put_hex(to, b);
    return buf_str(to);
}

struct ap3000_input pile_input_of(struct gateway *g, struct slot *slot)
{
    const struct str none = {NULL, 0};
    struct session *s = slot->session;
    struct line *line = s != NULL && s->conn != NULL ? s->line : NULL;
    g->pile_policy.has_quarantine_room = g->pile_quarantined < g->config->pile_quarantine_max;
    struct ap3000_input in = {
        .policy = &g->pile_policy,
        .now = clock_now(),
        .station = &slot->station,
        .pile = slot->pile,
        .tags = g->tags,
        .next_number = &g->next_number,
        .id_key = g->id_key,
        .remote_address = line == NULL ? STR("") : conn_remote(s->conn),
        .iccid = line == NULL || line->iccid[0] == 0 ? none : str_of(line->iccid),
        .host =
            line == NULL || line->host[0] == 0 || strcmp(line->host, slot->station.id) == 0 ? none : str_of(line->host),
    };
    gateway_random(g, in.random, sizeof in.random);
    return in;
}

void pile_append(struct gateway *g, struct slot *slot, const struct ap3000_decision *d, const uint8_t *trace)
{
    g->pile_quarantined += (int64_t)gateway_append_all(g, slot, d->events, d->event_count, trace);
    for (size_t i = 0; i < d->event_count; i++)
        g->pile_quarantined -= d->events[i].type == EVENT_QUARANTINE_RESOLVED && g->pile_quarantined > 0;
    if (d->event_count > 0)
        slot->has_row = slot->has_row || slot->station.registration != REGISTRATION_UNKNOWN;
    pile_note_position(slot->pile, slot->station.position);
}

/* --- wishes --- */

static void write_fsk(struct slot *slot, uint16_t frequency_mhz, struct buf *payload)
{
    struct json_writer w;
    jw_init(&w, payload);
    jw_open_object(&w);
    jw_field_int(&w, "frequency_mhz", frequency_mhz);
    jw_key(&w, STR("slave_ids"));
    jw_open_array(&w);
    const struct line *line = slot->session == NULL ? NULL : slot->session->line;
    for (const struct link *l = line == NULL ? NULL : line->piles.next; l != NULL && l != &line->piles; l = l->next) {
        const struct pile_session *p = CONTAINER((struct link *)(uintptr_t)l, struct pile_session, on_line);
        char id[AP3000_ID_TEXT_SIZE];
        if (!p->s.is_open || p->physical_id == slot->pile->physical_id)
            continue;
        ap3000_id_write(p->physical_id, id);
        jw_str(&w, str_of(id));
    }
    jw_close_array(&w);
    jw_close_object(&w);
}

static void grant_one(struct slot *slot, const struct ap3000_wish *wish)
{
    struct buf payload;
    struct json_writer w;
    buf_init(&payload, 4096);
    jw_init(&w, &payload);
    switch (wish->kind) {
    case AP3000_WISH_STATUS:
        (void)command_start(slot, STR("Ap3000.AskStatus"), STR("{}"), true);
        break;
    case AP3000_WISH_START:
        jw_open_object(&w);
        jw_field_str(&w, "idTag", wish->id_tag);
        if (wish->port != PILE_PORT_NONE)
            jw_field_int(&w, "connectorId", wish->port + 1);
        jw_close_object(&w);
        (void)command_start(slot, STR("RemoteStartTransaction"), buf_str(&payload), false);
        break;
    case AP3000_WISH_STOP:
        buf_printf(&payload, "{\"transactionId\":%u}", (unsigned)wish->transaction_id);
        (void)command_start(slot, STR("RemoteStopTransaction"), buf_str(&payload), true);
        break;
    case AP3000_WISH_FSK:
        write_fsk(slot, wish->frequency_mhz, &payload);
        (void)command_start(slot, STR("Ap3000.SetFsk"), buf_str(&payload), false);
        break;
    case AP3000_WISH_FIRMWARE:
        firmware_on_request(slot);
        break;
    }
    buf_release(&payload);
}

void pile_wishes_of(const struct ap3000_decision *d, struct pile_wishes *out)
{
    out->count = d->wish_count;
    for (size_t i = 0; i < d->wish_count; i++) {
        out->at[i] = d->wishes[i];
        size_t len = str_copy(out->tags[i], sizeof out->tags[i], d->wishes[i].id_tag);
        out->at[i].id_tag = (struct str){out->tags[i], len};
    }
}

void pile_grant(struct slot *slot, const struct pile_wishes *w)
{
    for (size_t i = 0; i < w->count; i++)
        grant_one(slot, &w->at[i]);
}

/* --- a frame --- */

/* A host has spoken: the others of its line are its slaves. */
static void note_host(struct pile_session *p)
{
    struct line *line = p->s.line;
    if (p->s.slot->pile->is_host && line->host[0] == 0)
        (void)str_copy(line->host, sizeof line->host, str_of(p->s.slot->station.id));
}

static void answer(struct pile_session *p, const struct ap3000_decision *d, struct instant now)
{
    struct session *s = &p->s;
    if (!d->has_answer || p->is_answered)
        return;
    if (!d->waits_for_disk) {
        pile_send(p, (struct bytes){d->answer, d->answer_len}, true);
        return;
    }
    struct held *h = held_new(s->gateway, HELD_ANSWER, (struct str){(const char *)d->answer, d->answer_len});
    h->session = s;
    h->received = now;
    held_add(s->gateway, h, s->slot->station.position);
}

static void decide(struct pile_session *p, const struct ap3000_input *in, const struct ap3000_reading *r,
                   const struct ap3000_known *known)
{
    struct session *s = &p->s;
    struct gateway *g = s->gateway;
    struct slot *slot = s->slot;
    struct ap3000_decision d;
    struct pile_wishes wishes;
    buf_clear(&g->text);
    ap3000_frame_decide(in, r, known, &g->arena, &g->text, &d);
    p->is_new = false;
    metric_add_label_alone(METRIC_MESSAGES_IN, r->command == NULL ? STR("unknown") : str_of(r->command->name), 1);
    if (d.is_repeat)
        metric_add(METRIC_REPEATS, 1);
    if (d.is_unknown)
        metric_add(METRIC_GARBAGE, 1);
    pile_append(g, slot, &d, NULL);
    if (d.event_count == 0) {
        struct str none = {NULL, 0};
        gateway_append_frame(g, slot, in->text,
                             d.has_answer ? hex_of(&g->hex_answer, (struct bytes){d.answer, d.answer_len}) : none,
                             in->now);
    }
    note_host(p);
    answer(p, &d, in->now);
    pile_wishes_of(&d, &wishes);
    talk_see(p, &r->frame); /* before they are granted: it shows nothing of what is only asked for now */
    pile_grant(slot, &wishes);
    commands_try_send(slot);
}

/* --- what is not in memory --- */

struct pile_lookup {
    struct table_wait wait;
    struct pile_session *pile;
    struct slot *slot;
    uint8_t raw[AP3000_FRAME_SIZE_MAX];
    size_t raw_len;
    char order_key[ORDER_KEY_SIZE];
    uint64_t quarantined; /* content of what may wait there, or 0 */
    struct tag_lookup tag;
    struct ap3000_known known;
    enum err error;
};

static void handle(struct pile_session *p, const struct ap3000_frame *f, struct bytes raw,
                   const struct ap3000_known *found);

static void run_lookup(struct job *j)
{
    struct pile_lookup *l = CONTAINER(j, struct pile_lookup, wait.job);
    struct db *d = workers_state();
    l->error = d == NULL ? ERR_IO : tag_lookup_run(d, &l->tag);
    if (l->error == OK && l->order_key[0] != 0) {
        enum err e = stations_find_order(d, str_of(l->slot->station.id), str_of(l->order_key), &l->known.order);
        l->known.has_order = e == OK;
        l->error = e == ERR_UNKNOWN ? OK : e;
    }
    l->known.quarantine_id[0] = 0;
    if (l->error == OK && l->quarantined != 0) {
        enum err e = stations_find_quarantined(d, str_of(l->slot->station.id), l->quarantined, l->known.quarantine_id);
        l->error = e == ERR_UNKNOWN ? OK : e;
    }
}

/* Memory has every order but those that it has dropped: the tables must be as far as the last of these, no further. */
static uint64_t position_for(const struct pile_lookup *l)
{
    bool is_of_log = l->order_key[0] != 0; /* as is all but tags */
    return is_of_log ? pile_tables_position(l->slot->pile, l->quarantined != 0) : 0;
}

static void look_up(struct gateway *g, struct pile_lookup *l)
{
    l->wait.position = position_for(l);
    l->wait.job.was_run = false; /* nor is it, perhaps */
    l->error = ERR_CLOSED;
    if (l->wait.position == 0)
        workers_add(g->workers, &l->wait.job);
    else
        table_wait_add(g, &l->wait);
}

static void done_lookup(struct job *j)
{
    struct pile_lookup *l = CONTAINER(j, struct pile_lookup, wait.job);
    struct pile_session *p = l->pile;
    struct session *s = &p->s;
    struct gateway *g = s->gateway;
    if (l->error == OK && position_for(l) > l->wait.position) {
        look_up(g, l); /* memory has dropped an order meanwhile, which may be just this one */
        return;
    }
    if (l->error == OK) {
        tag_lookup_end(g, &l->tag);
        l->known.tag = l->tag.tag;
    }
    l->slot->pins--;
    s->held--;
    if (j->was_run && s->conn != NULL && s->is_open && l->slot->session == s) {
        struct ap3000_frame f;
        size_t size;
        struct bytes raw = {l->raw, l->raw_len};
        if (l->error != OK) { /* no answer: the pile says it again, and nothing false was said */
            LOG_ERROR("store.unreadable", F_CSTR("station", l->slot->station.id), F_CSTR("err", err_text(l->error)));
            metric_add_label(METRIC_PILE_DROPPED, STR("store_unreadable"), 1);
        } else if (ap3000_frame_read(raw, &f, &size, NULL) == OK) {
            handle(p, &f, raw, &l->known);
        }
        session_resume(s, PAUSE_LOOKUP);
    } else if (l->slot->session == NULL) {
        slot_rest(l->slot);
    }
    session_unref(s);
    free(l);
}

static void start_lookup(struct pile_session *p, const struct ap3000_reading *r, struct bytes raw)
{
    struct session *s = &p->s;
    struct gateway *g = s->gateway;
    struct pile_lookup *l = mem_new(1, sizeof *l);
    l->wait.job.run = run_lookup;
    l->wait.job.done = done_lookup;
    l->pile = p;
    l->slot = s->slot;
    memcpy(l->raw, raw.at, raw.len);
    l->raw_len = raw.len;
    tag_lookup_begin(g, r->wants_tag, &l->tag);
    memcpy(l->order_key, r->wants_order, sizeof l->order_key);
    l->quarantined = r->wants_quarantined;
    l->slot->pins++;
    s->held++; /* the session outlives the job */
    session_pause(s, PAUSE_LOOKUP);
    look_up(g, l);
}

static bool needs_lookup(struct gateway *g, const struct ap3000_reading *r, struct ap3000_known *known)
{
    if (r->wants_order[0] != 0)
        return true;
    return !tag_at_hand(g, r->wants_tag, &known->tag);
}

/* What needs nothing of memory, tables and log is answered whatever they do. */
static bool answer_bare(struct pile_session *p, const struct ap3000_frame *f)
{
    uint8_t bare[AP3000_SENT_SIZE_MAX];
    size_t len;
    if (!ap3000_answer_bare(f, clock_now(), bare, &len))
        return false;
    pile_send(p, (struct bytes){bare, len}, true);
    return true;
}

static void handle(struct pile_session *p, const struct ap3000_frame *f, struct bytes raw,
                   const struct ap3000_known *found)
{
    struct session *s = &p->s;
    struct gateway *g = s->gateway;
    arena_reset(&g->arena);
    if (talk_take(p, f)) /* without room too: it was asked for, and ends something */
        return;
    if (!gateway_has_room(g)) {
        if (!p->is_answered && !answer_bare(p, f))
            metric_add_label(METRIC_PILE_DROPPED, STR("no_room"), 1);
        return;
    }
    if (firmware_take(p, f, raw))
        return;
    struct ap3000_input in = pile_input_of(g, s->slot);
    struct ap3000_reading r;
    struct ap3000_known known = {0};
    in.text = hex_of(&g->hex, raw);
    in.is_new_line = p->is_new;
    ap3000_frame_open(&in, f, &g->arena, &r);
    if (found != NULL)
        decide(p, &in, &r, found);
    else if (needs_lookup(g, &r, &known))
        start_lookup(p, &r, raw);
    else
        decide(p, &in, &r, &known);
}

void pile_frame(struct pile_session *p, const struct ap3000_frame *f, struct bytes raw)
{
    if (p->s.pauses == 0 && p->backlog.len == 0)
        handle(p, f, raw, NULL);
    else
        pile_keep(p, raw, answer_bare(p, f));
}

/* What is kept: of each frame whether it was answered, and its bytes. */
void pile_keep(struct pile_session *p, struct bytes raw, bool is_answered)
{
    if (p->backlog.len + 1 + raw.len > PILE_BACKLOG_MAX) {
        metric_add_label(METRIC_PILE_DROPPED, STR("backlog"), 1);
        return;
    }
    buf_put_byte(&p->backlog, is_answered);
    buf_put(&p->backlog, raw.at, raw.len);
}

struct kept {
    bool is_answered;
    uint8_t raw[AP3000_FRAME_SIZE_MAX];
    size_t len;
    struct ap3000_frame frame; /* lies in raw */
};

static void take_kept(struct pile_session *p, struct kept *out)
{
    struct bytes first = {p->backlog.at + 1, p->backlog.len - 1};
    out->is_answered = p->backlog.at[0] != 0;
    check(ap3000_frame_read(first, &out->frame, &out->len, NULL) == OK); /* whole frames were put there */
    memcpy(out->raw, first.at, out->len);
    out->frame.payload.at = out->raw + (out->frame.payload.at - first.at);
    buf_take_front(&p->backlog, 1 + out->len);
}

void pile_go_on(struct pile_session *p)
{
    struct session *s = &p->s;
    struct kept kept;
    while (s->conn != NULL && s->is_open && s->pauses == 0 && p->backlog.len > 0) {
        take_kept(p, &kept);
        p->is_answered = kept.is_answered;
        handle(p, &kept.frame, (struct bytes){kept.raw, kept.len}, NULL);
        p->is_answered = false;
    }
    if (p->backlog.len == 0)
        buf_release(&p->backlog);
}

void pile_answer_bare(struct pile_session *p, struct str reason)
{
    struct kept kept;
    while (p->backlog.len > 0) {
        take_kept(p, &kept);
        if (!answer_bare(p, &kept.frame))
            metric_add_label(METRIC_PILE_DROPPED, reason, 1);
    }
    buf_release(&p->backlog);
}
