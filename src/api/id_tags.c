/* api/id_tags.c - tags: who may charge. They compare without case; a tag is shown as it was written last. */
#include "api/api_private.h"
#include "device/station.h"

/* The word of AP3000's rate mode (ap3000.md 5.7). */
#define CHARGED_BY "CASE rate_mode WHEN 0 THEN 'time' WHEN 1 THEN 'monthly' WHEN 2 THEN 'energy' WHEN 3 THEN 'count' END"

static const struct list tags = {
    .row = &id_tag_row_message,
    .select = "id_tag, status, expires_at, parent_id_tag, max_concurrent, note, balance_minor, " CHARGED_BY
              ", created_at, updated_at",
    .from = "id_tags",
    .sorts = {{{"id_tag", 6}, "tag_key", "tag_key", true, true}},
};

/* Answers with 404 or 422 and returns absent for what no tag can be. */
static struct str key_of(struct call *c)
{
    char key[TAG_SIZE_MAX];
    size_t len = c->params[0].len < TAG_SIZE_MAX ? tag_key(c->params[0], key) : 0;
    return len == 0 ? (struct str){NULL, 0} : arena_copy(&c->arena, (struct str){key, len});
}

void handle_id_tag_list(struct call *c)
{
    const struct id_tag_query *q = c->query;
    struct list l = tags;
    list_where(&l, "status = ?", db_text(q->status.text));
    list_where(&l, "parent_id_tag = ?", db_text(q->parent_id_tag));
    list_answer(c, &l);
}

static void answer_one(struct call *c, struct str key, int status)
{
    enum err e = item_answer(c, &tags, "tag_key = ?", db_text(key.at == NULL ? STR("") : key), status);
    (void)e; /* answered */
}

void handle_id_tag_get(struct call *c)
{
    answer_one(c, key_of(c), 200);
}

struct change {
    struct call *call;
    struct str key;
    bool was_made;
};

static enum err store_tag(struct db *d, void *arg, struct fault *why)
{
    struct change *ch = arg;
    const struct id_tag_put *p = ch->call->body;
    struct str status = p->status.text.at == NULL ? STR("accepted") : p->status.text;
    struct instant now = clock_now();
    (void)why;
    struct db_rows *r = DB_ROWS(d, "SELECT 1 FROM id_tags WHERE tag_key = ?1", db_text(ch->key));
    ch->was_made = !db_next(r);
    enum err e = db_rows_end(r);
    if (e != OK)
        return e;
    return DB_RUN(
        d,
        "INSERT INTO id_tags (tag_key, id_tag, status, expires_at, parent_id_tag, max_concurrent, note, created_at, "
        "updated_at, balance_minor, rate_mode) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10) ON CONFLICT (tag_key) DO UPDATE SET id_tag = excluded.id_tag, "
        "status = excluded.status, expires_at = excluded.expires_at, parent_id_tag = excluded.parent_id_tag, "
        "max_concurrent = excluded.max_concurrent, note = excluded.note, updated_at = excluded.updated_at, "
        "balance_minor = excluded.balance_minor, rate_mode = excluded.rate_mode",
        db_text(ch->key), db_text(ch->call->params[0]), db_text(status),
        p->expires_at.text.at == NULL ? db_null() : db_time(p->expires_at.at), db_text(p->parent_id_tag),
        p->max_concurrent.is_set ? db_int(p->max_concurrent.value) : db_null(), db_text(p->note), db_time(now),
        p->balance_minor.is_set ? db_int(p->balance_minor.value) : db_null(),
        p->charged_by.text.at != NULL ? db_int(p->charged_by.index) : db_null());
}

void handle_id_tag_put(struct call *c)
{
    struct change ch = {c, key_of(c), false};
    if (ch.key.at == NULL) {
        struct fault why = {"", ""};
        fault_set(&why, STR("id_tag"), "1 to %d bytes", TAG_SIZE_MAX - 1);
        answer_refused(c, ERR_RANGE, &why);
        return;
    }
    if (call_write(c, store_tag, &ch) != OK)
        return;
    gateway_tag_changed(c->api->o.gateway, c->params[0]);
    if (ch.was_made)
        http_answer_header(&c->x->answer, "Location", c->x->target);
    answer_one(c, ch.key, ch.was_made ? 201 : 200);
}

static enum err remove_tag(struct db *d, void *arg, struct fault *why)
{
    struct change *ch = arg;
    (void)why;
    enum err e = DB_RUN(d, "DELETE FROM id_tags WHERE tag_key = ?1", db_text(ch->key.at == NULL ? STR("") : ch->key));
    if (e == OK && db_changes(d) == 0) {
        answer_error(ch->call, API_NOT_FOUND, NULL);
        return ERR_UNKNOWN;
    }
    return e;
}

void handle_id_tag_delete(struct call *c)
{
    struct change ch = {c, key_of(c), false};
    if (call_write(c, remove_tag, &ch) != OK)
        return;
    gateway_tag_changed(c->api->o.gateway, c->params[0]);
    answer_nothing(c, 200, STR("deleted"));
}
