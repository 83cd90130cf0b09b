/* api/dead_letters.c - events that a consumer gave up: shown, tried again, or given up for good. */
#include "api/api_private.h"

static const struct list letters = {
    .row = &dead_letter_row_message,
    .select = "dead_letter_id, consumer, event_id, event_type, station, position, attempts, error, first_failed_at, "
              "last_failed_at, event_json",
    .from = "dead_letters",
    .sorts = {{{"dead_letter_id", 14}, "dead_letter_id", "dead_letter_id", false, false}},
};

void handle_dead_letter_list(struct call *c)
{
    const struct dead_letter_query *q = c->query;
    struct list l = letters;
    list_where(&l, "consumer = ?", db_text(q->consumer));
    list_where(&l, "station = ?", db_text(q->charge_point_id));
    list_answer(c, &l);
}

struct resolution {
    struct call *call;
    enum err (*resolve)(struct db *d, int64_t dead_letter_id);
};

/* The letter as it was is the answer; the writer's own connection reads it, in the transaction that takes it away. */
static enum err resolve(struct db *d, void *arg, struct fault *why)
{
    struct resolution *r = arg;
    int64_t id;
    (void)why;
    if (str_to_int(r->call->params[0], &id) != OK) {
        answer_error(r->call, API_NOT_FOUND, NULL);
        return ERR_UNKNOWN;
    }
    struct worker own = {.db = d}, *worker = r->call->worker;
    r->call->worker = &own;
    enum err e = item_answer(r->call, &letters, "dead_letter_id = ?", db_int(id), 200);
    r->call->worker = worker;
    return e == OK ? r->resolve(d, id) : e;
}

static void answer_resolution(struct call *c, enum err (*fn)(struct db *d, int64_t dead_letter_id))
{
    struct resolution r = {c, fn};
    enum err e = call_write(c, resolve, &r);
    (void)e; /* answered */
}

void handle_dead_letter_retry_post(struct call *c)
{
    answer_resolution(c, dead_letter_retry);
}

void handle_dead_letter_discard_post(struct call *c)
{
    answer_resolution(c, dead_letter_discard);
}
