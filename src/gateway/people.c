/* gateway/people.c - what a person decides becomes events like all else: closing an abandoned transaction, applying or
 * discarding what waits in quarantine; and telling the memory that rows were changed under it. */
#include "gateway/parts.h"

enum wish_kind { WISH_CLOSE, WISH_APPLY, WISH_DISCARD, WISH_RELOAD, WISH_DELETE, WISH_TAG };

struct wish {
    struct mail mail;
    struct table_wait wait; /* its job is that of all kinds */
    struct waiter waiter;
    struct gateway *gateway;
    enum wish_kind kind;
    char subject[IDENTITY_MAX + 1]; /* transaction, quarantine, station or tag */
    char transaction_id[32], by[128];
    gateway_done *done;
    void *data;
    /* what the worker found */
    enum err error;
    struct fault why;
    char station[IDENTITY_MAX + 1];
    char *frame;
    struct transaction transaction;
    bool has_transaction;
    int64_t register_wh;
    /* of a pile: */
    struct slot *slot;         /* pinned while its tables are looked at */
    bool is_looked_up;         /* they were, as far as wait.position */
    struct ap3000_known known; /* the order that is meant */
    char order_key[ORDER_KEY_SIZE];
};

static void wish_end(struct wish *w, enum err e, const char *reason)
{
    if (e != OK && w->why.reason[0] == 0)
        fault_set(&w->why, str_of(w->subject), "%s", reason == NULL ? err_text(e) : reason);
    if (w->done != NULL)
        w->done(w->data, e, &w->why);
    free(w->frame);
    free(w);
}

/* Told when what was appended is durable. */
static void wish_end_durable(struct wish *w, struct slot *slot)
{
    struct gateway *g = w->gateway;
    struct held *h = held_new(g, HELD_CALL, STR(""));
    h->done = w->done;
    h->data = w->data;
    w->done = NULL;
    held_add(g, h, slot->station.position);
    wish_end(w, OK, NULL);
}

static enum err find_transaction(struct wish *w, struct db *d, const char *id_text)
{
    struct arena a;
    int64_t id;
    struct str owner = {NULL, 0};
    if (str_to_int(str_of(id_text), &id) != OK || id <= 0 || id > INT32_MAX)
        return ERR_UNKNOWN;
    uint64_t number = permute31_back(w->gateway->id_key, (uint32_t)id);
    arena_init(&a, 65536);
    enum err e = stations_find_transaction(d, number, &a, &w->transaction, &owner);
    if (e == OK && w->station[0] == 0)
        (void)str_copy(w->station, sizeof w->station, owner);
    if (e == OK && !str_eq(owner, str_of(w->station)))
        e = ERR_DENIED;
    arena_release(&a);
    if (e == OK && stations_last_register(d, str_of(w->gateway->log_dir), number, &w->register_wh) != OK)
        w->register_wh = w->transaction.meter_start_wh;
    w->has_transaction = e == OK;
    return e;
}

/* A settlement of a pile names its order itself. */
static enum err find_settlement_order(struct wish *w, struct db *d)
{
    struct arena a;
    arena_init(&a, AP3000_ARENA_MIN);
    enum err e = ap3000_settlement_key(str_of(w->frame), &a, w->order_key);
    arena_release(&a);
    if (e != OK) {
        fault_set(&w->why, STR("frame"), "it is no settlement that can be read; discard it");
        return ERR_RANGE;
    }
    e = stations_find_order(d, str_of(w->station), str_of(w->order_key), &w->known.order);
    w->known.has_order = e == OK;
    return e == ERR_UNKNOWN ? OK : e;
}

static enum err find_quarantine(struct wish *w, struct db *d)
{
    char suggested[32] = "";
    enum err e = ERR_UNKNOWN;
    struct db_rows *r =
        DB_ROWS(d, "SELECT charge_point_id, frame, state, suggestion FROM quarantine WHERE quarantine_id = ?1",
                db_text(str_of(w->subject)));
    if (db_next(r)) {
        struct str frame = db_col_text(r, 1);
        e = str_eq(db_col_text(r, 2), STR("open")) ? OK : ERR_STATE;
        (void)str_copy(w->station, sizeof w->station, db_col_text(r, 0));
        (void)str_copy(suggested, sizeof suggested, db_col_text(r, 3));
        free(w->frame);
        w->frame = mem_new(1, frame.len + 1);
        memcpy(w->frame, frame.at, frame.len);
    }
    enum err end = db_rows_end(r);
    if (e == OK && end == OK && w->kind == WISH_APPLY && gateway_is_pile(w->gateway, str_of(w->station))) {
        e = find_settlement_order(w, d);
    } else if (e == OK && end == OK && w->kind == WISH_APPLY) {
        if (w->transaction_id[0] == 0)
            memcpy(w->transaction_id, suggested, sizeof suggested);
        e = find_transaction(w, d, w->transaction_id);
        if (e == ERR_UNKNOWN)
            fault_set(&w->why, STR("transaction_id"),
                      "say to which transaction of this charge point it is to be applied");
        if (e != OK && e != ERR_UNKNOWN)
            fault_set(&w->why, STR("transaction_id"), "that transaction is another charge point's");
        e = e == OK ? OK : ERR_RANGE;
    }
    return end != OK ? end : e;
}

static void run_wish(struct job *j)
{
    struct wish *w = CONTAINER(j, struct wish, wait.job);
    struct db *d = workers_state();
    if (d == NULL)
        w->error = ERR_IO;
    else if (w->kind == WISH_CLOSE)
        w->error = find_transaction(w, d, w->subject);
    else
        w->error = find_quarantine(w, d);
}

static void resolve(struct wish *w, struct slot *slot, struct str resolution)
{
    struct ev_quarantine_resolved p = {.quarantine_id = str_of(w->subject),
                                       .resolution = resolution,
                                       .by = str_of(w->by),
                                       .transaction_id = w->transaction_id[0] == 0 ? (struct str){NULL, 0}
                                                                                   : str_of(w->transaction_id)};
    (void)gateway_tell(w->gateway, slot, EVENT_QUARANTINE_RESOLVED, &p);
    if (slot->pile != NULL) {
        slot->pile->waiting_position = slot->station.position;
        slot->pile->waiting_count -= slot->pile->waiting_count > 0;
    }
    struct uuid id;
    if (uuid_parse(str_of(w->subject), &id) != OK || slot->station.orphans == NULL)
        return;
    for (size_t i = 0; i < STATION_ORPHANS_MAX; i++)
        if (memcmp(slot->station.orphans[i].quarantine_id.at, id.at, sizeof id.at) == 0)
            slot->station.orphans[i].is_set = false;
}

static void wish_taken(struct wish *w, struct slot *slot)
{
    if (w->kind != WISH_CLOSE)
        resolve(w, slot, w->kind == WISH_APPLY ? STR("applied") : STR("discarded"));
    LOG_INFO("decision.taken", F_CSTR("station", slot->station.id), F_CSTR("subject", w->subject), F_CSTR("by", w->by));
    wish_end_durable(w, slot);
}

/* What it comes to at a pile: its order is ended, or its settlement taken for good. */
static enum err decide_at_pile(struct wish *w, struct slot *slot)
{
    struct gateway *g = w->gateway;
    struct ap3000_input in = pile_input_of(g, slot);
    struct ap3000_decision d = {0};
    struct pile_wishes wishes;
    struct pile_order *o = w->kind == WISH_CLOSE ? pile_order_of(slot->pile, w->transaction.id) : NULL;
    enum err e = OK;
    arena_reset(&g->arena);
    buf_clear(&g->text);
    if (w->kind == WISH_CLOSE && o == NULL) {
        e = ERR_STATE;
    } else if (w->kind == WISH_CLOSE) {
        o->energy_wh = w->register_wh > o->energy_wh ? w->register_wh : o->energy_wh;
        e = ap3000_close_order(&in, o, &g->arena, &g->text, &d);
    } else if (w->kind == WISH_APPLY) {
        in.text = str_of(w->frame);
        e = ap3000_apply_settlement(&in, str_of(w->frame), &w->known, &g->arena, &g->text, &d);
        o = e == OK ? pile_order(slot->pile, str_of(w->order_key)) : NULL;
        if (o != NULL) /* to which it was applied */
            (void)snprintf(w->transaction_id, sizeof w->transaction_id, "%u", (unsigned)o->id);
    }
    pile_append(g, slot, &d, NULL);
    pile_wishes_of(&d, &wishes);
    pile_grant(slot, &wishes);
    g->pile_quarantined -= e == OK && w->kind != WISH_CLOSE && g->pile_quarantined > 0;
    return e;
}

static void done_look(struct job *j);

/* What waits of a pile, and its order, are looked up once its slot is in memory, when the tables have what memory has
 * not; and once more, if that has become more meanwhile: the settlement may have come again, or another person been
 * quicker, and it is booked once. */
static bool must_look(const struct wish *w, const struct slot *slot)
{
    return w->kind != WISH_CLOSE && (!w->is_looked_up || pile_tables_position(slot->pile, true) > w->wait.position);
}

static void look(struct wish *w, struct slot *slot)
{
    w->slot = slot;
    w->error = ERR_CLOSED;
    w->wait.position = pile_tables_position(slot->pile, true);
    w->wait.job.done = done_look;
    slot->pins++;
    table_wait_add(w->gateway, &w->wait);
}

static void on_slot(struct waiter *waiter, struct slot *slot, enum err e)
{
    struct wish *w = CONTAINER(waiter, struct wish, waiter);
    struct gateway *g = w->gateway;
    if (e != OK && e != ERR_UNKNOWN) {
        wish_end(w, e, "the store cannot be read");
        return;
    }
    if (!gateway_has_room(g)) {
        wish_end(w, ERR_FULL, "the log cannot be written at the moment");
        return;
    }
    if (slot->pile != NULL && must_look(w, slot)) {
        look(w, slot);
        return;
    }
    if (slot->pile != NULL) {
        e = decide_at_pile(w, slot);
        if (e == OK)
            wish_taken(w, slot);
        else
            wish_end(w, e,
                     e == ERR_STATE ? "that order is settled or closed already" : "it cannot be applied; discard it");
        return;
    }
    struct transaction *t = NULL;
    if (w->has_transaction) { /* what memory holds is newer than the row, and it holds all that are open, unless the
                                 station is gone */
        t = station_transaction(&slot->station, w->transaction.id);
        if (t == NULL && e == OK)
            w->transaction.state = TRANSACTION_CLOSED;
        if (t == NULL)
            t = station_add_transaction(&slot->station, &w->transaction);
        e = t == NULL ? ERR_LIMIT : OK;
    } else {
        e = OK;
    }
    if (e != OK) {
        wish_end(w, e, "too many transactions are open");
        return;
    }
    struct ocpp_decision d = {0};
    struct ocpp_input in = input_of(g, slot);
    arena_reset(&g->arena);
    buf_clear(&g->text);
    if (w->kind == WISH_CLOSE)
        e = ocpp_close_transaction(&in, t, w->register_wh, &g->arena, &g->text, &d);
    else if (w->kind == WISH_APPLY)
        e = ocpp_apply_stop(&in, str_of(w->frame), t, &g->arena, &g->text, &d);
    if (e != OK) {
        wish_end(w, e,
                 e == ERR_STATE ? "the transaction is closed already"
                                : "only a stop with a reading can be applied; discard it");
        return;
    }
    (void)gateway_append_all(g, slot, d.events, d.event_count, NULL);
    wish_taken(w, slot);
}

static void done_look(struct job *j)
{
    struct wish *w = CONTAINER(j, struct wish, wait.job);
    struct slot *slot = w->slot;
    w->is_looked_up = true;
    if (w->error == OK)
        on_slot(&w->waiter, slot, OK);
    else
        wish_end(w, w->error, w->error == ERR_STATE ? "it is resolved already" : NULL);
    slot->pins--;
    if (slot->session == NULL)
        slot_rest(slot);
}

static void done_wish(struct job *j)
{
    struct wish *w = CONTAINER(j, struct wish, wait.job);
    if (w->error != OK) {
        wish_end(w, w->error, w->error == ERR_STATE ? "it is resolved already" : NULL);
        return;
    }
    list_init(&w->waiter.link);
    w->waiter.on_loaded = on_slot;
    slot_load(w->gateway, str_of(w->station), &w->waiter);
}

/* --- rows changed by the API --- */

struct reload {
    struct job job;
    struct wish *wish;
    struct station row;
    char iccid_binding[sizeof((struct ap3000_pile *)NULL)->iccid_binding];
};

static void run_reload(struct job *j)
{
    struct reload *r = CONTAINER(j, struct reload, job);
    struct db *d = workers_state();
    r->wish->error = d == NULL ? ERR_IO : stations_load(d, str_of(r->row.id), &r->row);
    if (r->wish->error == OK && gateway_is_pile(r->wish->gateway, str_of(r->row.id)))
        r->wish->error = stations_iccid_binding(d, str_of(r->row.id), r->iccid_binding, sizeof r->iccid_binding);
}

/* Only what a person sets is taken from the row; the rest memory knows better. */
static void done_reload(struct job *j)
{
    struct reload *r = CONTAINER(j, struct reload, job);
    struct wish *w = r->wish;
    struct slot *slot = slot_find(w->gateway, str_of(w->subject));
    if (slot != NULL && slot->is_loading && j->was_run) { /* perhaps from the row as it was: once more, behind it */
        station_release(&r->row);
        station_init(&r->row, str_of(w->subject));
        workers_add(w->gateway->workers, j);
        return;
    }
    if (slot != NULL && slot->is_loaded && w->error == OK) {
        struct station *st = &slot->station;
        st->registration = r->row.registration;
        st->security_profile = r->row.security_profile;
        memcpy(st->secret_salt, r->row.secret_salt, sizeof st->secret_salt);
        memcpy(st->secret_hash, r->row.secret_hash, sizeof st->secret_hash);
        memcpy(st->secret_text_hash, r->row.secret_text_hash, sizeof st->secret_text_hash);
        st->has_secret = r->row.has_secret;
        st->has_secret_text = r->row.has_secret_text;
        slot->has_row = true;
        slot->is_deleted = false;
        if (slot->pile != NULL)
            memcpy(slot->pile->iccid_binding, r->iccid_binding, sizeof r->iccid_binding);
        bool is_bound_elsewhere = slot->pile != NULL && slot->session != NULL && slot->pile->iccid_binding[0] != 0 &&
                                  !str_eq_nocase(str_of(slot->pile->iccid_binding), str_of(slot->session->line->iccid));
        if (is_bound_elsewhere)
            session_close(slot->session, CONN_END_OURS, 0, STR(""));
        if (st->registration != REGISTRATION_ACCEPTED)
            firmware_stop(slot, "the charge point is not accepted any more");
        if (st->registration == REGISTRATION_REJECTED && slot->session != NULL)
            session_close(slot->session, CONN_END_OURS, WS_CLOSE_POLICY, STR("registration was rejected"));
        commands_try_send(slot); /* what was not allowed before may be now */
    }
    w->gateway->station_changes++;
    station_release(&r->row);
    free(r);
    wish_end(w, OK, NULL);
}

static void on_wish(struct mail *m)
{
    struct wish *w = CONTAINER(m, struct wish, mail);
    struct gateway *g = w->gateway;
    struct slot *slot;
    switch (w->kind) {
    case WISH_TAG:
        g->tag_changes++;
        tag_cache_drop(g, str_of(w->subject));
        wish_end(w, OK, NULL);
        break;
    case WISH_DELETE:
        g->station_changes++;
        slot = slot_find(g, str_of(w->subject));
        if (slot != NULL)
            firmware_stop(slot, "the charge point was deleted");
        if (slot != NULL && slot->session != NULL)
            session_close(slot->session, CONN_END_OURS, WS_CLOSE_POLICY, STR("the station was deleted"));
        if (slot != NULL) {
            slot->station.registration = REGISTRATION_UNKNOWN;
            slot->station.has_secret = slot->station.has_secret_text = false;
            slot->station.security_profile = 0;
            slot->has_row = false;
            slot->is_deleted = true;
        }
        if (slot != NULL && slot->pile != NULL)
            slot->pile->iccid_binding[0] = 0;
        wish_end(w, OK, NULL);
        break;
    case WISH_RELOAD: {
        struct reload *r = mem_new(1, sizeof *r);
        r->wish = w;
        r->job.run = run_reload;
        r->job.done = done_reload;
        station_init(&r->row, str_of(w->subject));
        workers_add(g->workers, &r->job);
        break;
    }
    default:
        w->wait.job.run = run_wish;
        w->wait.job.done = done_wish;
        workers_add(g->workers, &w->wait.job);
    }
}

static struct wish *wish_new(struct gateway *g, enum wish_kind kind, struct str subject)
{
    struct wish *w = mem_new(1, sizeof *w);
    w->gateway = g;
    w->kind = kind;
    w->error = ERR_CLOSED; /* what it stays when its job is never run */
    w->mail.on_arrive = on_wish;
    (void)str_copy(w->subject, sizeof w->subject, subject);
    return w;
}

static void post(struct wish *w, struct str by, struct str transaction_id, gateway_done *done, void *data)
{
    (void)str_copy(w->by, sizeof w->by, by);
    (void)str_copy(w->transaction_id, sizeof w->transaction_id, transaction_id);
    w->done = done;
    w->data = data;
    mailbox_post_always(w->gateway->mailbox, &w->mail);
}

void gateway_station_changed(struct gateway *g, struct str station)
{
    post(wish_new(g, WISH_RELOAD, station), STR(""), STR(""), NULL, NULL);
}

void gateway_station_deleted(struct gateway *g, struct str station)
{
    post(wish_new(g, WISH_DELETE, station), STR(""), STR(""), NULL, NULL);
}

void gateway_tag_changed(struct gateway *g, struct str id_tag)
{
    post(wish_new(g, WISH_TAG, id_tag), STR(""), STR(""), NULL, NULL);
}

void gateway_close_transaction(struct gateway *g, struct str transaction_id, struct str by, gateway_done *done,
                               void *data)
{
    post(wish_new(g, WISH_CLOSE, transaction_id), by, STR(""), done, data);
}

void gateway_apply_quarantine(struct gateway *g, struct str quarantine_id, struct str transaction_id, struct str by,
                              gateway_done *done, void *data)
{
    post(wish_new(g, WISH_APPLY, quarantine_id), by, transaction_id, done, data);
}

void gateway_discard_quarantine(struct gateway *g, struct str quarantine_id, struct str by, gateway_done *done,
                                void *data)
{
    post(wish_new(g, WISH_DISCARD, quarantine_id), by, STR(""), done, data);
}
