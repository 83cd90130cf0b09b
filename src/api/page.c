/* api/page.c - rows as JSON by their table, and lists: pages with a total, or one after the other by cursor (api.md 1).
 *
 * A page near the end is read from the end, so that the last costs what the first costs; one in the middle from near where it is, if
 * there are counts that say so (store/counted.h). By cursor the next rows are
 * sought by the key of the last one, whatever was inserted meanwhile. Column names and conditions are literals of this
 * program; all that a stranger wrote is bound. */
#include "api/call.h"

#include <inttypes.h>
#include <string.h>

#define SQL_MAX    8192
#define CURSOR_MAX 1024 /* bytes of sort, key and id */

#define SKIPPED_FREELY 1000 /* rows: to look where they are would cost as much */

/* --- one row --- */

static void write_words(struct json_writer *w, struct str words)
{
    jw_open_array(w);
    while (words.len > 0) {
        const char *end = memchr(words.at, ' ', words.len);
        size_t len = end == NULL ? words.len : (size_t)(end - words.at);
        if (len > 0)
            jw_str(w, (struct str){words.at, len});
        words = end == NULL ? (struct str){NULL, 0} : (struct str){end + 1, words.len - len - 1};
    }
    jw_close_array(w);
}

static void write_column(struct json_writer *w, const struct field *f, struct db_rows *r, int col)
{
    if (db_col_is_null(r, col) && (f->kind != KIND_STRS || f->presence == OPTIONAL)) {
        jw_null(w);
        return;
    }
    struct str text;
    switch (f->kind) {
    case KIND_INTEGER:
    case KIND_INT32:
        jw_int(w, db_col_int(r, col));
        break;
    case KIND_BOOLEAN:
        jw_bool(w, db_col_int(r, col) != 0);
        break;
    case KIND_TIME:
        jw_instant(w, db_col_time(r, col));
        break;
    case KIND_ANY:
        jw_raw(w, db_col_text(r, col));
        break;
    case KIND_DECIMAL:
        jw_decimal(w, db_col_int(r, col), (int)f->most);
        break;
    case KIND_STRS:
        text = db_col_text(r, col);
        if (str_starts(text, STR("[")))
            jw_raw(w, text);
        else
            write_words(w, text);
        break;
    case KIND_STR:
    case KIND_CHOICE:
    case KIND_PART:
    case KIND_LIST:
        jw_str(w, db_col_text(r, col));
        break;
    }
}

size_t row_write(struct json_writer *w, const struct message *m, struct db_rows *r, int first)
{
    size_t i = 0;
    for (; i < m->field_count && m->fields[i].kind != KIND_PART && m->fields[i].kind != KIND_LIST; i++) {
        jw_key(w, m->fields[i].wire);
        write_column(w, &m->fields[i], r, first + (int)i);
    }
    return i;
}

static void write_row(struct call *c, const struct list *l, struct db_rows *r)
{
    jw_open_object(&c->w);
    size_t count = row_write(&c->w, l->row, r, 0);
    if (l->rest != NULL)
        l->rest(c, r, (int)count);
    jw_close_object(&c->w);
}

/* --- SQL --- */

struct query {
    struct buf sql;
    struct db_value values[FILTERS_MAX + 4];
    size_t count;
};

static void put_condition(struct query *q, const char *sql, struct db_value v)
{
    const char *mark = strchr(sql, '?');
    check(mark != NULL && q->count < COUNT_OF(q->values));
    q->values[q->count++] = v;
    buf_printf(&q->sql, "%.*s?%zu%s", (int)(mark - sql), sql, q->count, mark + 1);
}

void list_where(struct list *l, const char *sql, struct db_value v)
{
    if (v.kind == DB_NULL)
        return;
    check(l->filter_count < FILTERS_MAX);
    l->where[l->filter_count] = sql;
    l->values[l->filter_count++] = v;
}

void list_only(struct list *l, const char *sql)
{
    check(l->filter_count < FILTERS_MAX && strchr(sql, '?') == NULL);
    l->where[l->filter_count] = sql;
    l->values[l->filter_count++] = db_null();
}

static void put_filters(struct query *q, const struct list *l)
{
    for (size_t i = 0; i < l->filter_count; i++) {
        buf_put_str(&q->sql, i == 0 ? STR(" WHERE ") : STR(" AND "));
        if (l->values[i].kind == DB_NULL)
            buf_put_str(&q->sql, str_of(l->where[i]));
        else
            put_condition(q, l->where[i], l->values[i]);
    }
}

/* Where rows are filtered and counted. */
static const char *rows_of(const struct list *l)
{
    return l->from_block != NULL ? l->from_block : l->from;
}

static void put_order(struct query *q, const struct sort_key *s, const char *key, const char *id, bool descending)
{
    const char *way = descending ? " DESC" : "";
    buf_printf(&q->sql, "%s%s", key, way);
    if (strcmp(s->key, s->id) != 0)
        buf_printf(&q->sql, ", %s%s", id, way);
}

/* Of the rows themselves: so that they come as they lie, their blocks come first. */
static void put_row_order(struct query *q, const struct list *l, const struct sort_key *s, bool descending)
{
    buf_put_lit(&q->sql, " ORDER BY ");
    if (l->block != NULL && s == &l->sorts[0])
        buf_printf(&q->sql, "%s%s, ", l->block, descending ? " DESC" : "");
    put_order(q, s, s->key, s->id, descending);
}

static struct db_rows *run(struct call *c, struct query *q)
{
    check(!q->sql.failed);
    return db_rows_dynamic(c->worker->db, buf_str(&q->sql), q->values, q->count);
}

/* --- one item --- */

enum err item_answer(struct call *c, const struct list *l, const char *where, struct db_value id, int status)
{
    struct query q = {.count = 0};
    buf_init(&q.sql, SQL_MAX);
    buf_printf(&q.sql, "SELECT %s FROM %s WHERE ", l->select, l->from);
    put_condition(&q, where, id);
    struct db_rows *r = run(c, &q);
    bool is_there = db_next(r);
    if (is_there) {
        (void)answer_begin(c, status, STR("ok"));
        write_row(c, l, r);
    }
    enum err e = db_rows_end(r);
    buf_release(&q.sql);
    if (e != OK) {
        answer_failure(c, e, NULL);
        return e;
    }
    if (!is_there) {
        answer_error(c, API_NOT_FOUND, NULL);
        return ERR_UNKNOWN;
    }
    answer_end(c);
    return OK;
}

/* --- pages --- */

static const struct sort_key *find_sort(const struct list *l, struct str asked, bool *descending)
{
    *descending = asked.len > 0 && asked.at[0] == '-';
    if (*descending)
        asked = (struct str){asked.at + 1, asked.len - 1};
    for (size_t i = 0; i < COUNT_OF(l->sorts); i++)
        if (l->sorts[i].key != NULL && str_eq(l->sorts[i].name, asked))
            return &l->sorts[i];
    return &l->sorts[0];
}

static enum err read_number(struct call *c, struct query *q, int64_t *number)
{
    struct db_rows *r = run(c, q);
    *number = db_next(r) ? db_col_int(r, 0) : 0;
    return db_rows_end(r);
}

static enum err read_total(struct call *c, const struct list *l, int64_t *total)
{
    if (l->counted[0] != NULL)
        return counted_total(c->worker->db, l->counted[0], l->counted_parts, total);
    struct query q = {.count = 0};
    buf_init(&q.sql, SQL_MAX);
    buf_printf(&q.sql, "SELECT COUNT(*) FROM %s", rows_of(l));
    put_filters(&q, l);
    enum err e = read_number(c, &q, total);
    buf_release(&q.sql);
    return e;
}

/* How a page is read: rows that come backwards are turned by an outer SELECT, which sees no more than the page. */
struct page_start {
    int64_t offset; /* from where it begins */
    bool is_turned, is_back;
    bool has_key;
    int64_t key; /* it begins with the rows from this key on, or (is_back) with those up to it */
};

/* From the nearer end, so that the last page costs what the first costs; where rows are counted, from near the page. */
static enum err find_start(struct call *c, const struct list *l, const struct sort_key *s, int64_t count, int64_t total,
                           struct page_start *p)
{
    const struct counted_list *counted = l->counted[s - l->sorts];
    p->is_turned = p->offset > total - p->offset - count;
    p->offset = p->is_turned ? total - p->offset - count : p->offset;
    p->is_back = p->is_back != p->is_turned;
    if (counted == NULL || (p->offset < SKIPPED_FREELY && l->counted_parts.bits == 0))
        return OK;
    p->has_key = true; /* of some parts also the first page, which may lie behind many rows of others */
    return counted_seek(c->worker->db, counted, l->counted_parts, p->is_back, &p->offset, &p->key);
}

static void put_start(struct query *q, const struct list *l, const struct sort_key *s, const struct page_start *p)
{
    if (!p->has_key)
        return;
    q->values[q->count++] = db_int(p->key);
    buf_printf(&q->sql, " %s %s %s ?%zu", l->filter_count == 0 ? "WHERE" : "AND", s->key, p->is_back ? "<=" : ">=", q->count);
}

static enum err write_page(struct call *c, const struct list *l, const struct sort_key *s, bool descending,
                           int64_t offset, int64_t count, int64_t total)
{
    struct query q = {.count = 0};
    struct page_start p = {.offset = offset, .is_back = descending};
    enum err e = find_start(c, l, s, count, total, &p);
    if (e != OK)
        return e;
    buf_init(&q.sql, SQL_MAX);
    if (l->is_picked) {
        buf_printf(&q.sql, "SELECT %s FROM %s WHERE %s IN (SELECT %s FROM %s", l->select, l->from, s->id, s->id, rows_of(l));
    } else {
        buf_printf(&q.sql, "SELECT * FROM (SELECT %s, %s AS sort_key, %s AS sort_id FROM %s", l->select, s->key, s->id, rows_of(l));
    }
    put_filters(&q, l);
    put_start(&q, l, s, &p);
    put_row_order(&q, l, s, p.is_back);
    q.values[q.count++] = db_int(count);
    q.values[q.count++] = db_int(p.offset);
    buf_printf(&q.sql, " LIMIT ?%zu OFFSET ?%zu)%s ORDER BY ", q.count - 1, q.count, l->is_picked ? "" : " AS page");
    put_order(&q, s, l->is_picked ? s->key : "sort_key", l->is_picked ? s->id : "sort_id", descending);
    struct db_rows *r = run(c, &q);
    while (db_next(r))
        write_row(c, l, r);
    buf_release(&q.sql);
    return db_rows_end(r);
}

static void answer_page(struct call *c, const struct list *l, const struct page_query *asked, const struct sort_key *s,
                        bool descending)
{
    int64_t page = asked->page.is_set ? asked->page.value : 1, total = 0;
    int64_t size = asked->page_size.is_set ? asked->page_size.value : PAGE_SIZE_DEFAULT, offset = (page - 1) * size;
    enum err e = db_begin(c->worker->db); /* total and page are of one moment */
    if (e != OK) {
        answer_failure(c, e, NULL);
        return;
    }
    e = read_total(c, l, &total);
    struct json_writer *w = answer_begin(c, 200, STR("ok"));
    jw_open_object(w);
    jw_key(w, STR("list"));
    jw_open_array(w);
    if (e == OK && offset < total)
        e = write_page(c, l, s, descending, offset, total - offset < size ? total - offset : size, total);
    jw_close_array(w);
    jw_field_int(w, "total", total);
    jw_field_int(w, "page", page);
    jw_field_int(w, "page_size", size);
    jw_close_object(w);
    db_rollback(c->worker->db);
    if (e != OK)
        answer_failure(c, e, NULL);
    else
        answer_end(c);
}

/* --- by cursor: hexadecimal of sort, key and id, each ended by a NUL --- */

static void write_cursor(struct json_writer *w, struct str sort, struct str key, struct str id)
{
    char text[2 * CURSOR_MAX + 1];
    struct buf b;
    buf_init(&b, CURSOR_MAX);
    const struct str parts[] = {sort, key, id};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        buf_put_str(&b, parts[i]);
        buf_put_byte(&b, 0);
    }
    check(!b.failed); /* keys and ids are bounded where they are made */
    hex_write((struct bytes){b.at, b.len}, text);
    jw_field_str(w, "next_cursor", str_of(text));
    buf_release(&b);
}

static bool read_cursor(struct call *c, struct str text, struct str parts[3])
{
    size_t size = text.len / 2, n = 0;
    uint8_t *raw = arena_take(&c->arena, size + 1);
    if (raw == NULL || text.len == 0 || hex_parse(text, raw, size) != OK || raw[size - 1] != 0)
        return false;
    for (size_t from = 0, i = 0; i < size; i++) {
        if (raw[i] != 0)
            continue;
        if (n == 3)
            return false;
        parts[n++] = (struct str){(const char *)raw + from, i - from};
        from = i + 1;
    }
    return n == 3;
}

static bool cursor_value(struct str text, bool is_text, struct db_value *out)
{
    int64_t n = 0;
    if (!is_text && str_to_int(text, &n) != OK)
        return false;
    *out = is_text ? db_text(text) : db_int(n);
    return true;
}

/* (key, id) after those of the cursor, in the direction of the list. */
static bool put_after(struct call *c, struct query *q, const struct list *l, const struct sort_key *s, bool descending,
                      struct str sort, struct str cursor)
{
    struct str parts[3];
    struct db_value key, id;
    if (!read_cursor(c, cursor, parts) || !str_eq(parts[0], sort) || !cursor_value(parts[1], s->is_text, &key) ||
        !cursor_value(parts[2], s->is_text_id, &id))
        return false;
    const char *sign = descending ? "<" : ">";
    buf_put_str(&q->sql, l->filter_count == 0 ? STR(" WHERE ") : STR(" AND "));
    q->values[q->count++] = key;
    if (strcmp(s->key, s->id) == 0) {
        buf_printf(&q->sql, "%s %s ?%zu", s->key, sign, q->count);
        return true;
    }
    q->values[q->count++] = id;
    buf_printf(&q->sql, "(%s, %s) %s (?%zu, ?%zu)", s->key, s->id, sign, q->count - 1, q->count);
    return true;
}

static struct str column_copy(struct call *c, struct db_rows *r, int col, bool is_text)
{
    return is_text ? arena_copy(&c->arena, db_col_text(r, col))
                   : arena_printf(&c->arena, "%" PRId64, db_col_int(r, col));
}

static void answer_cursor(struct call *c, const struct list *l, const struct page_query *asked,
                          const struct sort_key *s, bool descending)
{
    int64_t limit = asked->limit.is_set ? asked->limit.value : LIMIT_DEFAULT, written = 0;
    struct str sort = arena_printf(&c->arena, "%s%.*s", descending ? "-" : "", STR_ARG(s->name)), key = {NULL, 0},
               id = {NULL, 0};
    struct query q = {.count = 0};
    bool has_more = false;
    buf_init(&q.sql, SQL_MAX);
    buf_printf(&q.sql, "SELECT %s, %s AS sort_key, %s AS sort_id FROM %s", l->select, s->key, s->id, rows_of(l));
    put_filters(&q, l);
    if (asked->cursor.at != NULL && !put_after(c, &q, l, s, descending, sort, asked->cursor)) {
        answer_error(c, API_CURSOR_INVALID, NULL);
        buf_release(&q.sql);
        return;
    }
    put_row_order(&q, l, s, descending);
    buf_printf(&q.sql, " LIMIT %" PRId64, limit + 1);
    struct json_writer *w = answer_begin(c, 200, STR("ok"));
    jw_open_object(w);
    jw_key(w, STR("list"));
    jw_open_array(w);
    struct db_rows *r = run(c, &q);
    while (db_next(r)) {
        if (written == limit || c->x->answer.body.len > PAGE_SOFT_MAX) {
            has_more = true;
            break;
        }
        write_row(c, l, r);
        written++;
        int last = db_col_count(r);
        key = column_copy(c, r, last - 2, s->is_text);
        id = column_copy(c, r, last - 1, s->is_text_id);
    }
    enum err e = db_rows_end(r);
    jw_close_array(w);
    if (has_more)
        write_cursor(w, sort, key, id);
    else
        jw_field_str(w, "next_cursor", (struct str){NULL, 0});
    jw_close_object(w);
    buf_release(&q.sql);
    if (e != OK)
        answer_failure(c, e, NULL);
    else
        answer_end(c);
}

void list_answer(struct call *c, struct list *l)
{
    struct page_query asked;
    memcpy(&asked, c->query, sizeof asked); /* every query of a list begins with it: PAGE_FIELDS */
    bool by_cursor = asked.cursor.at != NULL || asked.limit.is_set, descending;
    const struct sort_key *s = find_sort(l, asked.sort.text, &descending);
    if (by_cursor && (asked.page.is_set || asked.page_size.is_set)) {
        struct fault why = {"", ""};
        fault_set(&why, asked.page.is_set ? STR("page") : STR("page_size"),
                  "either page and page_size, or cursor and limit");
        answer_refused(c, ERR_FORMAT, &why);
        return;
    }
    if (by_cursor)
        answer_cursor(c, l, &asked, s, descending);
    else
        answer_page(c, l, &asked, s, descending);
}
