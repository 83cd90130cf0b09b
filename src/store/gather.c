#include "store/gather.h"

#include <stdlib.h>

#define TEXT_MAX ((size_t)64 << 20) /* of so many rows: each text of theirs is bounded */

void gather_init(struct gather *g, const char *head, const char *tail, size_t column_count)
{
    *g = (struct gather){.head = head, .tail = tail, .column_count = column_count};
    arena_init(&g->text, TEXT_MAX);
}

void gather_release(struct gather *g)
{
    free(g->values);
    arena_release(&g->text);
    *g = (struct gather){.head = NULL};
}

void gather_forget(struct gather *g)
{
    g->count = 0;
    arena_reset(&g->text);
}

enum err gather_write(struct gather *g, struct db *d, int64_t *added)
{
    enum err e = db_insert(d, g->head, g->tail, g->values, g->column_count, g->count, added);
    if (e == OK)
        gather_forget(g);
    return e;
}

enum err gather_add(struct gather *g, struct db *d, const struct db_value *values)
{
    enum err e = g->count == GATHER_ROWS ? gather_write(g, d, NULL) : OK;
    if (e != OK)
        return e;
    if (g->values == NULL)
        g->values = mem_new(GATHER_ROWS * g->column_count, sizeof *g->values);
    struct db_value *to = &g->values[g->count * g->column_count];
    memcpy(to, values, g->column_count * sizeof *to);
    for (size_t i = 0; i < g->column_count; i++) {
        if (to[i].bytes.at == NULL)
            continue;
        struct str copy = arena_copy(&g->text, (struct str){(const char *)to[i].bytes.at, to[i].bytes.len});
        if (copy.at == NULL)
            return ERR_MEMORY;
        to[i].bytes.at = (const uint8_t *)copy.at;
    }
    g->count++;
    return OK;
}
