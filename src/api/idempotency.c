/* api/idempotency.c - Idempotency-Key on every POST (api.md 1): the first answer is kept, with a hash of what was
 * asked, in the same transaction as its effect where the effect is ours. Where it is the gateway's, a command's id is
 * made of the key, so that the gateway itself knows the repeat; closing, applying and discarding happen once by their
 * state.
 *
 * Kept is an answer that made something. One that refused left nothing behind: the corrected request may have the same
 * key. */
#include "api/api_private.h"

#include <string.h>

#include "wire/secret.h"

#define KEPT_S     (7 * 86400)
#define PRUNE_ONCE "20"

static bool is_key(struct str s)
{
    if (s.len == 0 || s.len > IDEMPOTENCY_KEY_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] < ' ' || (unsigned char)s.at[i] >= 0x7f)
            return false;
    return true;
}

/* What it returned from another thread's request is not read: both are compared by key and caller only. */
static bool is_same_key(const struct call *a, const struct call *b)
{
    return str_eq(a->x->header[HTTP_IDEMPOTENCY_KEY], b->x->header[HTTP_IDEMPOTENCY_KEY]) &&
           strcmp(a->caller.key_id, b->caller.key_id) == 0;
}

static bool enter(struct call *c)
{
    struct idempotency *all = &c->api->idempotency;
    bool is_busy = false;
    pthread_mutex_lock(&all->lock);
    for (struct link *l = all->busy.next; l != &all->busy; l = l->next)
        is_busy |= is_same_key(CONTAINER(l, struct call, busy), c);
    if (!is_busy)
        list_add_last(&all->busy, &c->busy);
    pthread_mutex_unlock(&all->lock);
    return !is_busy;
}

void idempotency_end(struct call *c)
{
    if (!c->has_key_of_idempotency)
        return;
    pthread_mutex_lock(&c->api->idempotency.lock);
    list_take(&c->busy);
    pthread_mutex_unlock(&c->api->idempotency.lock);
    c->has_key_of_idempotency = false;
}

/* The answer that is kept under this key, if any. */
static bool replay(struct call *c)
{
    struct http_answer *a = &c->x->answer;
    struct db_rows *r =
        DB_ROWS(c->worker->db,
                "SELECT request_hash, status, location, answer FROM api_first_answers WHERE api_key_id = ?1 AND "
                "idempotency_key = ?2",
                db_text(str_of(c->caller.key_id)), db_text(c->x->header[HTTP_IDEMPOTENCY_KEY]));
    bool is_kept = db_next(r);
    if (is_kept) {
        struct bytes hash = db_col_blob(r, 0);
        struct str location = db_col_text(r, 2);
        if (hash.len != sizeof c->request_hash || memcmp(hash.at, c->request_hash, hash.len) != 0) {
            answer_error(c, API_IDEMPOTENCY_KEY_REUSED, NULL);
        } else {
            buf_clear(&a->body);
            buf_put_str(&a->body, db_col_text(r, 3));
            a->status = (int)db_col_int(r, 1);
            a->content_type = "application/json";
            if (location.at != NULL)
                http_answer_header(a, "Location", location);
        }
        c->is_answer_stored = true;
    }
    enum err e = db_rows_end(r);
    if (e != OK) {
        answer_failure(c, e, NULL);
        return true;
    }
    return is_kept;
}

bool idempotency_begin(struct call *c)
{
    struct str key = c->x->header[HTTP_IDEMPOTENCY_KEY], path = c->x->target;
    struct fault why = {"", ""};
    if (key.at == NULL || !str_eq(c->x->method, STR("POST")))
        return true;
    if (!is_key(key)) {
        fault_set(&why, STR("Idempotency-Key"), "1 to %d printable ASCII characters", IDEMPOTENCY_KEY_MAX);
        answer_refused(c, ERR_FORMAT, &why);
        return false;
    }
    const struct bytes asked[] = {bytes_of(path), bytes_of(c->x->body)};
    sha256_pieces(asked, COUNT_OF(asked), c->request_hash);
    if (!enter(c)) { /* before looking: else two could find nothing */
        answer_error(c, API_IDEMPOTENCY_IN_PROGRESS, NULL);
        answer_retry_after(c, 1);
        return false;
    }
    c->has_key_of_idempotency = true;
    return !replay(c);
}

static struct str location_of(const struct call *c)
{
    const struct http_answer *a = &c->x->answer;
    for (size_t i = 0; i < a->header_count; i++)
        if (str_eq(str_of(a->headers[i].name), STR("Location")))
            return str_of(a->headers[i].value);
    return (struct str){NULL, 0};
}

enum err idempotency_store(struct db *d, struct call *c, struct fault *why)
{
    struct instant now = clock_now();
    (void)why;
    if (!c->has_key_of_idempotency || c->is_answer_stored || c->x->answer.status >= 300)
        return OK;
    enum err e = DB_RUN(
        d,
        "DELETE FROM api_first_answers WHERE (api_key_id, idempotency_key) IN (SELECT api_key_id, idempotency_key FROM "
        "api_first_answers WHERE created_at < ?1 ORDER BY created_at LIMIT " PRUNE_ONCE ")",
        db_int(now.us - SPAN_S(KEPT_S).us));
    if (e == OK)
        e = DB_RUN(d,
                   "INSERT INTO api_first_answers (api_key_id, idempotency_key, request_hash, status, location, "
                   "answer, created_at) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                   db_text(str_of(c->caller.key_id)), db_text(c->x->header[HTTP_IDEMPOTENCY_KEY]),
                   db_blob((struct bytes){c->request_hash, sizeof c->request_hash}), db_int(c->x->answer.status),
                   db_text(location_of(c)), db_text(buf_str(&c->x->answer.body)), db_time(now));
    c->is_answer_stored = e == OK;
    return e;
}

static enum err store(struct db *d, void *arg, struct fault *why)
{
    return idempotency_store(d, arg, why);
}

void idempotency_finish(struct call *c)
{
    struct fault why = {"", ""};
    if (!c->has_key_of_idempotency || c->is_answer_stored || c->x->answer.status >= 300)
        return;
    enum err e = bus_write(c->api->o.bus, store, c, &why);
    if (e != OK)
        answer_failure(c, e, &why); /* it may be repeated: the effect knows its repeat */
}

struct effect {
    struct call *call;
    enum err (*fn)(struct db *d, void *arg, struct fault *why);
    void *arg;
};

static enum err effect_and_answer(struct db *d, void *arg, struct fault *why)
{
    struct effect *f = arg;
    enum err e = f->fn(d, f->arg, why);
    return e == OK ? idempotency_store(d, f->call, why) : e;
}

enum err call_write(struct call *c, enum err (*fn)(struct db *d, void *arg, struct fault *why), void *arg)
{
    struct effect f = {c, fn, arg};
    struct fault why = {"", ""};
    enum err e = bus_write(c->api->o.bus, effect_and_answer, &f, &why);
    if (e != OK && c->x->answer.status < 400) {
        c->is_answer_stored = false;
        answer_failure(c, e, &why);
    }
    return e;
}
