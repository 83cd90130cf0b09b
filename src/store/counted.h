/* store/counted.h - how many rows of a table lie in each stretch of the key that a list is sorted by, so that the millionth row is found
 * without walking over those before it, and how many there are is known without counting them.
 *
 * The counts are a table of the same database, changed in the transaction that changes the rows: (list, level, block, part, count),
 * PRIMARY KEY (list, level, block, part) WITHOUT ROWID. A block is the key without its lower bits: level 0 is of few rows, each level above it of
 * a few dozen blocks of the one below.
 * part divides the rows once more, by something that a list is filtered by; what its bits mean is its table's business. */
#ifndef STORE_COUNTED_H
#define STORE_COUNTED_H
#include "store/db.h"

/* The statements, which are literals: one such is made for each table of counts. */
struct counted_table {
    const char *head, *blocks, *total;
};
#define COUNTED_TABLE(table)                                                                                           \
    {"INSERT OR FAIL INTO " table " (list, level, block, part, count) VALUES",                                                 \
     "SELECT block, SUM(count) FROM " table                                                                            \
     " WHERE list = ?1 AND level = ?2 AND block >= ?3 AND block <= ?4 AND part & ?5 = ?6"                              \
     " GROUP BY block ORDER BY block",                                                                                 \
     "SELECT COALESCE(SUM(count), 0) FROM " table " WHERE list = ?1 AND level = 2 AND part & ?2 = ?3"}

#define COUNTED_LEVELS 3

/* One order of its rows. bits: those that a key loses for its block of each level, rising. */
struct counted_list {
    const struct counted_table *table;
    int64_t number; /* the column "list" */
    unsigned bits[COUNTED_LEVELS];
};

/* ---- writing: gathered within a batch ---- */

struct counted_change;
struct counted {
    struct counted_change *changes;
    size_t count, room;
};
void counted_init(struct counted *c);
void counted_release(struct counted *c);
/* by: 1, or -1 for a row that leaves the place. The list must outlive c. */
void counted_add(struct counted *c, const struct counted_list *l, int64_t key, int64_t part, int64_t by);
MUST_USE enum err counted_write(struct counted *c, struct db *d); /* before the transaction ends; then nothing is gathered */
void counted_forget(struct counted *c);                           /* it was undone */

/* ---- reading ---- */

/* The parts in which these bits are those of value. No bits: all parts. */
struct counted_parts {
    int64_t bits, value;
};
#define COUNTED_ALL      ((struct counted_parts){0, 0})
#define COUNTED_ONE(part) ((struct counted_parts){-1, (part)})

MUST_USE enum err counted_total(struct db *d, const struct counted_list *l, struct counted_parts parts, int64_t *total);
/* Where to begin to read if skip rows are to be skipped, in the order of the key or (is_back) against it: *key is the first of its block, in
 * order, or the last; *skip is what is left to be skipped from there on. All rows that lie before *key are skipped. */
MUST_USE enum err counted_seek(struct db *d, const struct counted_list *l, struct counted_parts parts, bool is_back, int64_t *skip, int64_t *key);
/* Rows before the block in which key lies; *first: the first key of that block. */
MUST_USE enum err counted_before(struct db *d, const struct counted_list *l, struct counted_parts parts, int64_t key, int64_t *count, int64_t *first);
#endif
