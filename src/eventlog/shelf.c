/* What lies there is in a list by age, and found by a table of places that forgets the one before where two meet: then it
 * is read from the file, which is only slower. */
#include "eventlog/shelf.h"

#include <stdlib.h>

#define TABLE_SIZE 2048 /* a power of two, about twice as many as batches lie there under load */

struct shelf {
    struct kept_batch *table[TABLE_SIZE];
    struct kept_batch *oldest, *newest;
    struct kept_batch *free; /* with their memory, which the next takes over */
    size_t bytes, bytes_max, free_bytes;
    unsigned reader_count;
};

void kept_batch_init(struct kept_batch *b)
{
    *b = (struct kept_batch){.starts = NULL};
    buf_init(&b->data, BATCH_SIZE_MAX);
}

void kept_batch_release(struct kept_batch *b)
{
    buf_release(&b->data);
    free(b->starts);
    *b = (struct kept_batch){.starts = NULL};
}

struct shelf *shelf_new(size_t bytes_max)
{
    struct shelf *s = mem_new(1, sizeof *s);

    s->bytes_max = bytes_max;
    return s;
}

size_t shelf_size(const struct shelf *s)
{
    return s->bytes;
}

static struct kept_batch **place_of(struct shelf *s, uint64_t first)
{
    return &s->table[(first * 0x9E3779B97F4A7C15u) >> 32 & (TABLE_SIZE - 1)];
}

static void count_size(struct shelf *s, struct kept_batch *b)
{
    const size_t size = sizeof *b + b->data.room + b->starts_room * sizeof *b->starts;

    s->bytes += size - b->size;
    b->size = size;
}

static void discard(struct shelf *s, struct kept_batch *b)
{
    s->bytes -= b->size;
    kept_batch_release(b);
    free(b);
}

/* Off the list: nobody finds it any more. */
static void take_off(struct shelf *s, struct kept_batch *b)
{
    struct kept_batch **place = place_of(s, b->head.first);

    if (*place == b)
        *place = NULL;
    *(b->older == NULL ? &s->oldest : &b->older->newer) = b->newer;
    *(b->newer == NULL ? &s->newest : &b->newer->older) = b->older;
    b->older = b->newer = NULL;
    b->is_put = false;
}

static void set_free(struct shelf *s, struct kept_batch *b)
{
    if (s->free_bytes + b->size > s->bytes_max / 2) {
        discard(s, b);
        return;
    }
    s->free_bytes += b->size;
    b->head.count = 0;
    b->next_free = s->free;
    s->free = b;
}

static void discard_free(struct shelf *s)
{
    for (struct kept_batch *b; (b = s->free) != NULL;) {
        s->free = b->next_free;
        s->free_bytes -= b->size;
        discard(s, b);
    }
}

/* Makes room for one more. */
static void clear_old(struct shelf *s)
{
    for (struct kept_batch *b = s->oldest, *newer; b != NULL && s->bytes > s->bytes_max; b = newer) {
        newer = b->newer;
        if (b->holder_count > 0)
            continue;
        take_off(s, b);
        discard(s, b);
    }
}

void shelf_trim(struct shelf *s)
{
    for (struct kept_batch *b = s->oldest, *newer; b != NULL; b = newer) {
        newer = b->newer;
        if (b->holder_count > 0)
            continue;
        take_off(s, b);
        discard(s, b);
    }
    discard_free(s);
}

void shelf_free(struct shelf *s)
{
    if (s == NULL)
        return;
    check(s->reader_count == 0);
    shelf_trim(s);
    free(s);
}

void shelf_join(struct shelf *s)
{
    s->reader_count++;
}

void shelf_leave(struct shelf *s, struct kept_batch *held)
{
    if (held != NULL)
        shelf_give_back(s, held);
    s->reader_count--;
}

struct kept_batch *shelf_find(struct shelf *s, uint64_t first)
{
    struct kept_batch *b = *place_of(s, first);

    if (b == NULL || b->head.first != first)
        return NULL;
    b->holder_count++;
    b->had_count++;
    return b;
}

struct kept_batch *shelf_take(struct shelf *s)
{
    if (s->bytes > s->bytes_max)
        discard_free(s);
    clear_old(s);
    struct kept_batch *b = s->free;
    if (b != NULL) {
        s->free = b->next_free;
        s->free_bytes -= b->size;
    } else {
        b = mem_new(1, sizeof *b);
        kept_batch_init(b);
        count_size(s, b);
    }
    b->holder_count = 1;
    b->had_count = 1;
    return b;
}

void shelf_put(struct shelf *s, struct kept_batch *b)
{
    check(b->holder_count == 1 && !b->is_put);
    count_size(s, b);
    b->is_put = true;
    b->older = s->newest;
    *(s->newest == NULL ? &s->oldest : &s->newest->newer) = b;
    s->newest = b;
    *place_of(s, b->head.first) = b;
}

void shelf_give_back(struct shelf *s, struct kept_batch *b)
{
    check(b->holder_count > 0);
    b->holder_count--;
    if (b->holder_count > 0 || (b->is_put && b->had_count < s->reader_count))
        return;
    if (b->is_put)
        take_off(s, b);
    set_free(s, b);
}
