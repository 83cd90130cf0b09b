/* loop/wheel.c - see wheel.h. A slot of ring r > 0 holds the timers of one block of ticks and is dealt out to the rings below
 * when that block begins. The slot of the present block itself is free by then, so it stands for the block a whole turn away. */
#include "loop/wheel.h"

#define TICK_BITS (WHEEL_FIRST_BITS + (WHEEL_RINGS - 1) * WHEEL_NEXT_BITS)

/* How many bits of a tick lie below ring r > 0. */
static int ring_shift(int ring)
{
    return WHEEL_FIRST_BITS + (ring - 1) * WHEEL_NEXT_BITS;
}

static struct link *ring_slot(const struct wheel *w, int ring, int64_t block)
{
    return (struct link *)(uintptr_t)&w->next[ring - 1][block & (WHEEL_NEXT_SLOTS - 1)];
}

static int64_t timer_tick(const struct timer *t)
{
    return (t->due_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
}

void wheel_init(struct wheel *w, int64_t now_ms)
{
    w->tick = now_ms / WHEEL_TICK_MS;
    for (size_t i = 0; i < WHEEL_FIRST_SLOTS; i++)
        list_init(&w->first[i]);
    for (size_t r = 0; r < WHEEL_RINGS - 1; r++)
        for (size_t i = 0; i < WHEEL_NEXT_SLOTS; i++)
            list_init(&w->next[r][i]);
}

void wheel_set(struct wheel *w, int64_t now_ms)
{
    w->tick = now_ms / WHEEL_TICK_MS;
}

static void place(struct wheel *w, struct timer *t, int64_t tick)
{
    int64_t farthest = w->tick + (INT64_C(1) << TICK_BITS) - 1;
    if (tick > farthest)
        tick = farthest;
    int64_t distance = tick - w->tick;
    if (distance < WHEEL_FIRST_SLOTS) {
        list_add_last(&w->first[tick & (WHEEL_FIRST_SLOTS - 1)], &t->link);
        return;
    }
    int ring = 1;
    while (distance >> ring_shift(ring + 1) != 0)
        ring++;
    list_add_last(ring_slot(w, ring, tick >> ring_shift(ring)), &t->link);
}

void wheel_add(struct wheel *w, struct timer *t)
{
    int64_t tick = timer_tick(t);
    place(w, t, tick > w->tick ? tick : w->tick + 1);
}

/* The next tick at which a slot is to be fired or dealt out; INT64_MAX if all are empty. Looking at every slot costs less than
 * keeping maps of them right, which timer_stop could not do without knowing its loop. */
static int64_t next_tick(const struct wheel *w)
{
    int64_t best = INT64_MAX;
    for (int64_t t = w->tick + 1; t < w->tick + WHEEL_FIRST_SLOTS && best == INT64_MAX; t++)
        if (!list_is_empty(&w->first[t & (WHEEL_FIRST_SLOTS - 1)]))
            best = t;
    for (int r = 1; r < WHEEL_RINGS; r++) {
        int64_t block = w->tick >> ring_shift(r);
        for (int64_t b = block + 1; b <= block + WHEEL_NEXT_SLOTS; b++) {
            int64_t begin = b << ring_shift(r);
            if (begin >= best)
                break;
            if (!list_is_empty(ring_slot(w, r, b)))
                best = begin;
        }
    }
    return best;
}

int64_t wheel_next_ms(const struct wheel *w)
{
    int64_t tick = next_tick(w);
    return tick == INT64_MAX ? INT64_MAX : tick * WHEEL_TICK_MS;
}

/* Moves all of a list to another, so that what is added to the slot meanwhile is not met again. */
static void move_all(struct link *from, struct link *to)
{
    list_init(to);
    while (!list_is_empty(from)) {
        struct link *l = from->next;
        list_take(l);
        list_add_last(to, l);
    }
}

/* Blocks that begin at the present tick are dealt out, the widest first. */
static void deal_out(struct wheel *w)
{
    for (int r = WHEEL_RINGS - 1; r > 0; r--) {
        if ((w->tick & ((INT64_C(1) << ring_shift(r)) - 1)) != 0)
            continue;
        struct link block;
        move_all(ring_slot(w, r, w->tick >> ring_shift(r)), &block);
        while (!list_is_empty(&block)) {
            struct timer *t = CONTAINER(block.next, struct timer, link);
            list_take(&t->link);
            place(w, t, timer_tick(t));
        }
    }
}

void wheel_advance(struct wheel *w, int64_t now_ms)
{
    int64_t target = now_ms / WHEEL_TICK_MS;
    for (int64_t tick = next_tick(w); tick <= target; tick = next_tick(w)) {
        w->tick = tick;
        deal_out(w);
        struct link due;
        move_all(&w->first[tick & (WHEEL_FIRST_SLOTS - 1)], &due);
        while (!list_is_empty(&due)) { /* a handler may stop or start again any timer, also one of these */
            struct timer *t = CONTAINER(due.next, struct timer, link);
            list_take(&t->link);
            t->on_due(t);
        }
    }
    if (target > w->tick)
        w->tick = target;
}
