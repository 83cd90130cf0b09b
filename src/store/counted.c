#include "store/counted.h"

#include <stdlib.h>
#include <string.h>

#define TOP       (COUNTED_LEVELS - 1)
#define COLUMNS   5
#define LOOK_BACK 16 /* changes that are looked at for one of the same place: what comes together lies together */
#define CHUNK     64

struct counted_change {
    const struct counted_list *list;
    int64_t level, block, part, by;
};

void counted_init(struct counted *c)
{
    *c = (struct counted){.changes = NULL};
}

void counted_release(struct counted *c)
{
    free(c->changes);
    counted_init(c);
}

void counted_forget(struct counted *c)
{
    c->count = 0;
}

static void change(struct counted *c, const struct counted_change *by)
{
    for (size_t i = c->count; i > 0 && c->count - i < LOOK_BACK; i--) {
        struct counted_change *at = &c->changes[i - 1];
        if (at->list == by->list && at->level == by->level && at->block == by->block && at->part == by->part) {
            at->by += by->by;
            return;
        }
    }
    if (c->count == c->room) {
        c->room = c->room == 0 ? CHUNK : c->room * 2;
        c->changes = mem_grow(c->changes, c->room, sizeof *c->changes);
    }
    c->changes[c->count++] = *by;
}

void counted_add(struct counted *c, const struct counted_list *l, int64_t key, int64_t part, int64_t by)
{
    for (int level = 0; level < COUNTED_LEVELS; level++)
        change(c, &(struct counted_change){l, level, key >> l->bits[level], part, by});
}

static int order(const void *a, const void *b)
{
    const struct counted_change *x = a, *y = b;
    const int64_t xs[] = {(int64_t)(uintptr_t)x->list->table, x->list->number, x->level, x->block, x->part};
    const int64_t ys[] = {(int64_t)(uintptr_t)y->list->table, y->list->number, y->level, y->block, y->part};
    for (size_t i = 0; i < COUNT_OF(xs); i++)
        if (xs[i] != ys[i])
            return xs[i] < ys[i] ? -1 : 1;
    return 0;
}

/* One statement may not touch a row twice. */
static void merge(struct counted *c)
{
    size_t kept = 0;
    if (c->count > 1)
        qsort(c->changes, c->count, sizeof *c->changes, order);
    for (size_t i = 0; i < c->count; i++) {
        if (kept > 0 && order(&c->changes[kept - 1], &c->changes[i]) == 0)
            c->changes[kept - 1].by += c->changes[i].by;
        else
            c->changes[kept++] = c->changes[i];
    }
    c->count = kept;
}

/* Those of one table, at most CHUNK. */
static enum err write_some(struct db *d, const struct counted_change *from, size_t count)
{
    struct db_value values[CHUNK * COLUMNS];
    for (size_t i = 0; i < count; i++) {
        const struct counted_change *at = &from[i];
        const struct db_value row[COLUMNS] = {db_int(at->list->number), db_int(at->level), db_int(at->block), db_int(at->part),
                                              db_int(at->by)};
        memcpy(&values[i * COLUMNS], row, sizeof row);
    }
    return db_insert(d, from->list->table->head, "ON CONFLICT (list, level, block, part) DO UPDATE SET count = count + excluded.count",
                     values, COLUMNS, count, NULL);
}

enum err counted_write(struct counted *c, struct db *d)
{
    enum err e = OK;
    merge(c);
    for (size_t i = 0, n; e == OK && i < c->count; i += n) {
        const struct counted_table *table = c->changes[i].list->table;
        for (n = 1; n < CHUNK && i + n < c->count && c->changes[i + n].list->table == table; n++)
            ;
        e = write_some(d, &c->changes[i], n);
    }
    c->count = 0;
    return e;
}

/* ---- reading ---- */

enum err counted_total(struct db *d, const struct counted_list *l, struct counted_parts parts, int64_t *total)
{
    struct db_rows *r = DB_ROWS(d, l->table->total, db_int(l->number), db_int(parts.bits), db_int(parts.value));
    *total = db_next(r) ? db_col_int(r, 0) : 0;
    return db_rows_end(r);
}

struct blocks {
    int64_t level, first, last;
};

static struct db_rows *blocks_rows(struct db *d, const struct counted_list *l, const struct blocks *b, struct counted_parts parts)
{
    return DB_ROWS(d, l->table->blocks, db_int(l->number), db_int(b->level), db_int(b->first), db_int(b->last), db_int(parts.bits),
                   db_int(parts.value));
}

/* The first of the blocks, in order, that holds the row after *skip others, which become those before it within that block. Past the
 * end: the last block; without any, *block stays. */
static enum err find_block(struct db *d, const struct counted_list *l, const struct blocks *b, struct counted_parts parts, int64_t *skip,
                           int64_t *block)
{
    struct db_rows *r = blocks_rows(d, l, b, parts);
    int64_t count = 0;
    while (db_next(r)) {
        *skip -= count;
        *block = db_col_int(r, 0);
        count = db_col_int(r, 1);
        if (*skip < count)
            break;
    }
    return db_rows_end(r);
}

static enum err sum(struct db *d, const struct counted_list *l, const struct blocks *b, struct counted_parts parts, int64_t *count)
{
    struct db_rows *r = blocks_rows(d, l, b, parts);
    while (db_next(r))
        *count += db_col_int(r, 1);
    return db_rows_end(r);
}

static int64_t width(const struct counted_list *l, int level)
{
    return (int64_t)1 << l->bits[level];
}

enum err counted_seek(struct db *d, const struct counted_list *l, struct counted_parts parts, bool is_back, int64_t *skip, int64_t *key)
{
    struct blocks b = {TOP, INT64_MIN, INT64_MAX};
    int64_t block = 0, in_block = 0, total = 0, n = *skip;
    enum err e = is_back ? counted_total(d, l, parts, &total) : OK;
    if (is_back) /* whom n others follow is preceded by all others */
        n = total - 1 - *skip > 0 ? total - 1 - *skip : 0;
    if (e == OK)
        e = find_block(d, l, &b, parts, &n, &block);
    for (int level = TOP - 1; e == OK && level >= 0; level--) {
        const int64_t each = width(l, level + 1) / width(l, level);
        b = (struct blocks){level, block * each, block * each + each - 1};
        block = b.first;
        e = find_block(d, l, &b, parts, &n, &block);
    }
    if (e == OK && is_back)
        e = sum(d, l, &(struct blocks){0, block, block}, parts, &in_block);
    if (e != OK)
        return e;
    *key = is_back ? block * width(l, 0) + (width(l, 0) - 1) : block * width(l, 0);
    *skip = is_back ? in_block - 1 - n : n;
    if (*skip < 0) /* there are fewer rows than were to be skipped */
        *skip = 0;
    return OK;
}

enum err counted_before(struct db *d, const struct counted_list *l, struct counted_parts parts, int64_t key, int64_t *count, int64_t *first)
{
    *count = 0;
    *first = (key >> l->bits[0]) * width(l, 0);
    enum err e = sum(d, l, &(struct blocks){TOP, INT64_MIN, (key >> l->bits[TOP]) - 1}, parts, count);
    for (int level = TOP - 1; e == OK && level >= 0; level--) {
        const int64_t from = (key >> l->bits[level + 1]) * (width(l, level + 1) / width(l, level));
        e = sum(d, l, &(struct blocks){level, from, (key >> l->bits[level]) - 1}, parts, count);
    }
    return e;
}
