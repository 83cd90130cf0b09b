#include "services/stations/readings.h"

#include "base/memory.h"

#include <stdlib.h>

#define NOTES_FIRST 256
#define BLOCK_MAX   1000 /* readings in a row: bounds what is read to find one */
#define DIGITS_MAX  20
#define BLOCK_SIZE  ((size_t)BLOCK_MAX * (DIGITS_MAX + 1) + 2)

void readings_note(struct readings *r, struct reading_note note)
{
    if (r->count == r->room) {
        r->room = r->room == 0 ? NOTES_FIRST : r->room * 2;
        r->notes = mem_grow(r->notes, r->room, sizeof *r->notes);
    }
    r->notes[r->count++] = note;
}

static int note_compare(const void *a, const void *b)
{
    const struct reading_note *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    if (x->is_named != y->is_named)
        return x->is_named ? 1 : -1;
    return x->position < y->position ? -1 : x->position > y->position;
}

/* How many from here on go into one row. */
static size_t block_count(const struct reading_note *n, size_t left)
{
    size_t count = 1;
    while (count < left && count < BLOCK_MAX && n[count].number == n->number && n[count].is_named == n->is_named)
        count++;
    return count;
}

/* In the order of their key: neighbours go into the same page. */
enum err readings_write(struct readings *r, struct db *d)
{
    struct buf list;
    enum err e = OK;
    buf_init(&list, BLOCK_SIZE);
    if (r->count > 1)
        qsort(r->notes, r->count, sizeof *r->notes, note_compare);
    for (size_t i = 0, count; e == OK && i < r->count; i += count) {
        const struct reading_note *n = &r->notes[i];
        count = block_count(n, r->count - i);
        buf_clear(&list);
        for (size_t k = 0; k < count; k++) {
            buf_put_byte(&list, k == 0 ? '[' : ',');
            buf_put_int(&list, (int64_t)n[k].position);
        }
        buf_put_byte(&list, ']');
        check(!list.failed);
        e = DB_RUN(d,
                   "INSERT INTO transaction_reading_blocks (number, first, is_named, positions) VALUES (?1, ?2, ?3, ?4)"
                   " ON CONFLICT DO NOTHING",
                   db_int((int64_t)n->number), db_int((int64_t)n->position), db_int(n->is_named),
                   db_text(buf_str(&list)));
    }
    buf_release(&list);
    return e;
}

void readings_forget(struct readings *r)
{
    r->count = 0;
}

void readings_release(struct readings *r)
{
    free(r->notes);
    *r = (struct readings){0};
}
