/* api/api_keys.c - making and deleting keys. A key's text is in one answer and nowhere else. */
#include "api/api_private.h"

#include <string.h>

static const struct list keys = {
    .row = &api_key_row_message,
    .select = "api_key_id, name, role, created_at",
    .from = "api_keys",
    .sorts = {{{"created_at", 10}, "created_at", "api_key_id", false, true}},
};

void handle_api_key_list(struct call *c)
{
    const struct api_key_query *q = c->query;
    struct list l = keys;
    list_where(&l, "role = ?", db_text(q->role.text));
    list_answer(c, &l);
}

struct making {
    struct call *call;
    struct key key;
    struct str text;
};

static const enum role roles[] = {
    [ROLE_WORD_VIEWER] = ROLE_VIEWER, [ROLE_WORD_OPERATOR] = ROLE_OPERATOR, [ROLE_WORD_ADMIN] = ROLE_ADMIN};

static void answer_made(const struct making *m, struct str text)
{
    const struct api_key_post *p = m->call->body;
    const struct api_key_made row = {str_of(m->key.id), p->name, p->role, text};
    struct json_writer *w = answer_begin(m->call, 201, STR("keep the key: it is shown this once"));
    message_write(w, &api_key_made_message, &row);
    answer_end(m->call);
}

/* What is kept for a repeat has no key. */
static enum err store_key(struct db *d, void *arg, struct fault *why)
{
    struct making *m = arg;
    const struct api_key_post *p = m->call->body;
    enum err e =
        DB_RUN(d, "INSERT INTO api_keys (api_key_id, name, role, key_hash, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
               db_text(str_of(m->key.id)), db_text(p->name), db_text(p->role.text),
               db_blob((struct bytes){m->key.hash, 32}), db_time(clock_now()));
    if (e != OK)
        return e;
    answer_made(m, (struct str){NULL, 0});
    http_answer_header(&m->call->x->answer, "Location",
                       arena_printf(&m->call->arena, "/api/v1/api-keys/%s", m->key.id));
    return idempotency_store(d, m->call, why);
}

void handle_api_key_post(struct call *c)
{
    const struct api_key_post *p = c->body;
    struct making m = {.call = c};
    struct fault why = {"", ""};
    char text[72];
    if (p->name.len == 0) {
        fault_set(&why, STR("name"), "at least one character");
        answer_refused(c, ERR_RANGE, &why);
        return;
    }
    if (!auth_has_room(&c->api->auth)) {
        answer_error(c, API_TOO_MANY_KEYS, NULL);
        return;
    }
    m.text = key_make(text, m.key.hash);
    m.key.role = roles[p->role.index];
    (void)str_copy(m.key.name, sizeof m.key.name, p->name);
    id_make(m.key.id);
    if (call_write(c, store_key, &m) != OK)
        return;
    auth_add(&c->api->auth, &m.key);
    answer_made(&m, m.text);
    explicit_bzero(text, sizeof text);
}

static enum err remove_key(struct db *d, void *arg, struct fault *why)
{
    struct call *c = arg;
    (void)why;
    struct db_rows *r = DB_ROWS(d,
                                "SELECT COUNT(CASE WHEN api_key_id = ?1 THEN 1 END), COUNT(CASE WHEN api_key_id <> ?1 "
                                "THEN 1 END) FROM api_keys WHERE role = 'admin'",
                                db_text(c->params[0]));
    bool is_there = db_next(r);
    int64_t is_admin = is_there ? db_col_int(r, 0) : 0, others = is_there ? db_col_int(r, 1) : 0;
    enum err e = db_rows_end(r);
    if (e != OK)
        return e;
    if (is_admin != 0 && others == 0) {
        answer_error(c, API_LAST_ADMIN_KEY, NULL);
        return ERR_STATE;
    }
    e = DB_RUN(d, "DELETE FROM api_keys WHERE api_key_id = ?1", db_text(c->params[0]));
    if (e == OK && db_changes(d) == 0) {
        answer_error(c, API_NOT_FOUND, NULL);
        return ERR_UNKNOWN;
    }
    return e;
}

void handle_api_key_delete(struct call *c)
{
    if (call_write(c, remove_key, c) != OK)
        return;
    auth_remove(&c->api->auth, c->params[0]);
    answer_nothing(c, 200, STR("deleted"));
}
