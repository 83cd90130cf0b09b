/* store/gather.h - rows of one table, gathered with their texts and inserted several a statement (db_insert). Whoever gathers writes
 * before his transaction ends, and before he reads what he gathered; and forgets when it is undone. */
#ifndef STORE_GATHER_H
#define STORE_GATHER_H
#include "base/memory.h"
#include "store/db.h"

#define GATHER_ROWS 64 /* then they are written */

struct gather {
    const char *head, *tail; /* of db_insert */
    size_t column_count, count;
    struct db_value *values; /* row by row */
    struct arena text;
};
void gather_init(struct gather *g, const char *head, const char *tail, size_t column_count);
void gather_release(struct gather *g);
void gather_forget(struct gather *g);

/* One row more, copied. */
MUST_USE enum err gather_add(struct gather *g, struct db *d, const struct db_value *values);
#define GATHER_ADD(g, d, ...)                                                                                          \
    (check(sizeof((const struct db_value[]){__VA_ARGS__}) == (g)->column_count * sizeof(struct db_value)),             \
     gather_add((g), (d), (const struct db_value[]){__VA_ARGS__}))
/* What is there; *added (may be NULL) as in db_insert. */
MUST_USE enum err gather_write(struct gather *g, struct db *d, int64_t *added);
#endif
