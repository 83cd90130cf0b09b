#include "services/stations/readings.h"

#include "base/memory.h"

#include <stdlib.h>

#define NOTES_FIRST  256
#define GROUPS_FIRST 256  /* a power of two */
#define BLOCK_MAX    1000 /* readings in a row: bounds what is read to find one */
#define DIGITS_MAX   20
#define BLOCK_SIZE   ((size_t)BLOCK_MAX * (DIGITS_MAX + 1) + 2)
#define PLACE_BITS   28   /* of a group; above it its number, which has 31 */
#define COLUMNS      4
#define CHUNK        32 /* rows that are handed over together */

/* The slot of the group that takes more, or where a new one goes: of several of a transaction the last. The numbers of readings
 * are ours, by a keyed permutation: nobody chooses them to collide. */
static uint32_t *slot_of(const struct readings *r, uint64_t number, bool is_named)
{
    const size_t mask = 2 * r->group_room - 1;
    size_t i = (size_t)((number << 1 | is_named) * 0x9E3779B97F4A7C15u >> 32) & mask;

    while (r->slots[i] != 0) {
        const struct reading_group *g = &r->groups[r->slots[i] - 1];
        if (g->number == number && g->is_named == is_named)
            break;
        i = (i + 1) & mask;
    }
    return &r->slots[i];
}

static void groups_grow(struct readings *r)
{
    r->group_room = r->group_room == 0 ? GROUPS_FIRST : r->group_room * 2;
    r->groups = mem_grow(r->groups, r->group_room, sizeof *r->groups);
    r->order = mem_grow(r->order, r->group_room, sizeof *r->order);
    free(r->slots);
    r->slots = mem_new(2 * r->group_room, sizeof *r->slots);
    for (size_t i = 0; i < r->group_count; i++)
        *slot_of(r, r->groups[i].number, r->groups[i].is_named) = (uint32_t)(i + 1);
}

static struct reading_group *group_of(struct readings *r, const struct reading_note *note)
{
    if (r->group_count == r->group_room)
        groups_grow(r);
    uint32_t *slot = slot_of(r, note->number, note->is_named);
    if (*slot != 0 && r->groups[*slot - 1].count < BLOCK_MAX)
        return &r->groups[*slot - 1];
    struct reading_group *g = &r->groups[r->group_count++];
    *g = (struct reading_group){.number = note->number, .position = note->position, .is_named = note->is_named};
    *slot = (uint32_t)r->group_count;
    return g;
}

void readings_note(struct readings *r, struct reading_note note)
{
    if (r->count == r->room) {
        r->room = r->room == 0 ? NOTES_FIRST : r->room * 2;
        r->notes = mem_grow(r->notes, r->room, sizeof *r->notes);
    }
    struct reading_group *g = group_of(r, &note);
    const uint32_t at = (uint32_t)r->count++;
    r->notes[at].position = note.position;
    if (g->count++ == 0)
        g->first = at;
    else
        r->notes[g->last].next = at;
    g->last = at;
}

static int key_compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* By number, then by position, which is the order in which they were begun. What is sorted is number and place in one word: eight bytes
 * a group are moved about instead of forty. */
static void sort_groups(struct readings *r)
{
    check(r->group_count <= (size_t)1 << PLACE_BITS);
    for (size_t i = 0; i < r->group_count; i++)
        r->order[i] = r->groups[i].number << PLACE_BITS | i;
    if (r->group_count > 1)
        qsort(r->order, r->group_count, sizeof *r->order, key_compare);
}

static const struct reading_group *group_at(const struct readings *r, size_t i)
{
    return &r->groups[r->order[i] & (((uint64_t)1 << PLACE_BITS) - 1)];
}

/* Behind what is in the list. */
static void write_positions(const struct readings *r, const struct reading_group *g, struct buf *list)
{
    uint32_t at = g->first;
    for (uint32_t i = 0; i < g->count; i++, at = r->notes[at].next) {
        buf_put_byte(list, i == 0 ? '[' : ',');
        buf_put_int(list, (int64_t)r->notes[at].position);
    }
    buf_put_byte(list, ']');
    check(!list->failed);
}

static enum err rows_insert(const struct readings *r, size_t first, size_t count, struct buf *lists, struct db *d)
{
    struct db_value values[CHUNK * COLUMNS], *v = values;
    size_t ends[CHUNK], begin = 0;
    buf_clear(lists);
    for (size_t i = 0; i < count; i++) {
        write_positions(r, group_at(r, first + i), lists);
        ends[i] = lists->len;
    }
    for (size_t i = 0; i < count; begin = ends[i++]) {
        const struct reading_group *g = group_at(r, first + i);
        *v++ = db_int((int64_t)g->number);
        *v++ = db_int((int64_t)g->position);
        *v++ = db_int(g->is_named);
        *v++ = db_text((struct str){(const char *)lists->at + begin, ends[i] - begin});
    }
    return db_insert(d, "INSERT OR FAIL INTO transaction_reading_blocks (number, first, is_named, positions) VALUES",
                     "ON CONFLICT DO NOTHING", values, COLUMNS, count, NULL);
}

/* In the order of their key: neighbours go into the same page. */
enum err readings_write(struct readings *r, struct db *d)
{
    struct buf lists;
    enum err e = OK;
    buf_init(&lists, CHUNK * BLOCK_SIZE);
    sort_groups(r);
    for (size_t i = 0, n; e == OK && i < r->group_count; i += n) {
        n = r->group_count - i < CHUNK ? r->group_count - i : CHUNK;
        e = rows_insert(r, i, n, &lists, d);
    }
    buf_release(&lists);
    return e;
}

void readings_forget(struct readings *r)
{
    if (r->group_count > 0)
        memset(r->slots, 0, 2 * r->group_room * sizeof *r->slots);
    r->count = 0;
    r->group_count = 0;
}

void readings_release(struct readings *r)
{
    free(r->notes);
    free(r->groups);
    free(r->slots);
    free(r->order);
    *r = (struct readings){0};
}
