/* loop/wheel.h - the timers of one loop, by the hundred thousand: four rings of slots, each slot 256 or 64 times as wide as
 * those of the ring below. Adding and taking out is a list operation; a timer moves down a ring at most three times. Pure: the
 * caller says what time it is. */
#ifndef LOOP_WHEEL_H
#define LOOP_WHEEL_H
#include "loop/loop.h"

#define WHEEL_TICK_MS     10
#define WHEEL_FIRST_BITS  8 /* 256 slots of a tick: 2.56 s */
#define WHEEL_NEXT_BITS   6 /* 64 slots each: 164 s, 2.9 h, 7.8 days; what is further away goes round again */
#define WHEEL_RINGS       4
#define WHEEL_FIRST_SLOTS (1 << WHEEL_FIRST_BITS)
#define WHEEL_NEXT_SLOTS  (1 << WHEEL_NEXT_BITS)

struct wheel {
    int64_t tick; /* everything due at or before it has fired */
    struct link first[WHEEL_FIRST_SLOTS];
    struct link next[WHEEL_RINGS - 1][WHEEL_NEXT_SLOTS];
};

void wheel_init(struct wheel *w, int64_t now_ms);
/* An empty wheel need not be turned to the present: it is set. */
void wheel_set(struct wheel *w, int64_t now_ms);
/* t->due_ms says when; never fires before it, and not inside the wheel_advance that is under way. */
void wheel_add(struct wheel *w, struct timer *t);
/* When wheel_advance is wanted next: never later than a timer is due. INT64_MAX: the wheel is empty. */
int64_t wheel_next_ms(const struct wheel *w);
void wheel_advance(struct wheel *w, int64_t now_ms);
#endif
