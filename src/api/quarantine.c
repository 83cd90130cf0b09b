/* api/quarantine.c - what was answered but could not be applied: shown, applied or discarded by a person. */
#include "api/api_private.h"

/* A frame may have 1 MiB: a list leaves it out, the one message has it. */
#define COLUMNS(frame)                                                                                             \
    "quarantine_id, charge_point_id, action, reason, message_id, connector_id, transaction_id, suggestion, " frame \
    ", received_at, state, resolved_at, resolved_by, applied_to"
static const struct list quarantine = {
    .row = &quarantine_row_message,
    .select = COLUMNS("NULL"),
    .from = "quarantine",
    .sorts = {{{"received_at", 11}, "position", "position", false, false}},
};

void handle_quarantine_list(struct call *c)
{
    const struct quarantine_query *q = c->query;
    struct list l = quarantine;
    list_where(&l, "charge_point_id = ?", db_text(q->charge_point_id));
    list_where(&l, "action = ?", db_text(q->action));
    list_where(&l, "reason = ?", db_text(q->reason));
    list_where(&l, "state = ?", db_text(q->state.text));
    list_answer(c, &l);
}

static void answer_one(struct call *c)
{
    struct list l = quarantine;
    l.select = COLUMNS("frame");
    enum err e = item_answer(c, &l, "quarantine_id = ?", db_text(c->params[0]), 200);
    (void)e; /* answered */
}

void handle_quarantine_get(struct call *c)
{
    answer_one(c);
}

static void on_resolve_resumed(struct call *c)
{
    decision_answer(c, answer_one, API_ALREADY_RESOLVED);
}

void handle_quarantine_apply(struct call *c)
{
    const struct quarantine_apply *p = c->body;
    struct fault why = {"", ""};
    if (p->transaction_id.at != NULL && transaction_number(c->api, p->transaction_id) == 0) {
        fault_set(&why, STR("transaction_id"), "no transaction has this id");
        answer_refused(c, ERR_RANGE, &why);
        return;
    }
    struct wait *w = decision_begin(c, on_resolve_resumed);
    if (w != NULL)
        gateway_apply_quarantine(c->api->o.gateway, c->params[0], p->transaction_id, str_of(c->caller.name),
                                 decision_told, w);
}

void handle_quarantine_discard(struct call *c)
{
    struct wait *w = decision_begin(c, on_resolve_resumed);
    if (w != NULL)
        gateway_discard_quarantine(c->api->o.gateway, c->params[0], str_of(c->caller.name), decision_told, w);
}
