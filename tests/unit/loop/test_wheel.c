/* The wheel against a plain list, in a time of the test's own. */
#include "check.h"
#include "loop/wheel.h"
#include <stdlib.h>

#define NOW0_MS    INT64_C(123456789)
#define MINUTE_MS  INT64_C(60000)
#define DAY_MS     (1440 * MINUTE_MS)
#define RANDOM_ALL 3000

struct probe {
    struct timer timer;
    int64_t fired_ms;
    unsigned count;
};

static struct wheel wheel;
static int64_t now_ms;

static void on_due(struct timer *t)
{
    struct probe *p = CONTAINER(t, struct probe, timer);
    p->fired_ms = now_ms;
    p->count++;
}

static void start(struct probe *p, int64_t after_ms)
{
    timer_stop(&p->timer);
    p->timer.due_ms = now_ms + after_ms;
    wheel_add(&wheel, &p->timer);
}

static void begin(void)
{
    now_ms = NOW0_MS;
    wheel_init(&wheel, now_ms);
}

/* Jumps from one point of attention to the next, as the loop does. */
static unsigned run_until(int64_t end_ms)
{
    unsigned steps = 0;
    for (int64_t next = wheel_next_ms(&wheel); next <= end_ms; next = wheel_next_ms(&wheel)) {
        now_ms = next;
        wheel_advance(&wheel, now_ms);
        steps++;
    }
    now_ms = end_ms;
    wheel_advance(&wheel, now_ms);
    return steps;
}

static const struct {
    const char *row;
    int64_t after_ms;
} rows[] = {
    {"at once is the next tick", 0},
    {"one millisecond", 1},
    {"one tick", 10},
    {"the last slot of the first ring", 2550},
    {"the first of the second ring", 2560},
    {"just behind it", 2570},
    {"a ping", 45000},
    {"the last of the second ring", 163830},
    {"the first of the third ring", 163840},
    {"an hour", 60 * MINUTE_MS},
    {"the first of the fourth ring", 10485760},
    {"a day", DAY_MS},
    {"further than the wheel reaches", 30 * DAY_MS},
};

static void test_rows(void)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct probe p = {.count = 0};
        begin();
        timer_init(&p.timer, on_due);
        CHECK(rows[i].row, wheel_next_ms(&wheel) == INT64_MAX);
        start(&p, rows[i].after_ms);
        unsigned steps = run_until(NOW0_MS + rows[i].after_ms + 10);
        CHECK(rows[i].row, p.count == 1);
        CHECK(rows[i].row, p.fired_ms >= NOW0_MS + rows[i].after_ms);
        CHECK(rows[i].row, p.fired_ms <= NOW0_MS + rows[i].after_ms + 10);
        CHECK(rows[i].row, steps <= 16);
        CHECK(rows[i].row, wheel_next_ms(&wheel) == INT64_MAX);
    }
}

static void test_stopped(void)
{
    struct probe p = {.count = 0};
    begin();
    timer_init(&p.timer, on_due);
    timer_stop(&p.timer);
    start(&p, 5000);
    timer_stop(&p.timer);
    (void)run_until(NOW0_MS + DAY_MS);
    CHECK("a stopped timer never fires", p.count == 0);
    start(&p, 100);
    start(&p, 5000);
    (void)run_until(now_ms + 4000);
    CHECK("started again it moves", p.count == 0);
    (void)run_until(now_ms + 1010);
    CHECK("and fires once", p.count == 1);
}

static void on_due_again(struct timer *t)
{
    on_due(t);
    start(CONTAINER(t, struct probe, timer), 0);
}

static struct probe victim;

static void on_due_stop_other(struct timer *t)
{
    on_due(t);
    timer_stop(&victim.timer);
}

static void test_handlers(void)
{
    struct probe p = {.count = 0};
    begin();
    timer_init(&p.timer, on_due_again);
    start(&p, 0);
    now_ms += 10;
    wheel_advance(&wheel, now_ms);
    CHECK("a timer that starts itself at once waits for the next tick", p.count == 1);
    now_ms += 10;
    wheel_advance(&wheel, now_ms);
    CHECK("and comes with it", p.count == 2);

    begin();
    timer_init(&p.timer, on_due_stop_other);
    timer_init(&victim.timer, on_due);
    start(&p, 50);
    start(&victim, 50);
    (void)run_until(NOW0_MS + 1000);
    CHECK("a handler stops one that is due in the same tick", p.count == 3 && victim.count == 0);
}

static void test_many(void)
{
    static struct probe all[RANDOM_ALL];
    begin();
    uint64_t random = 88172645463325252u;
    for (size_t i = 0; i < RANDOM_ALL; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        timer_init(&all[i].timer, on_due);
        start(&all[i], (int64_t)(random % (uint64_t)(i % 3 == 0 ? 3000 : i % 3 == 1 ? 200000 : 20000000)));
        if (i % 7 == 0) /* the hands move while timers come */
            (void)run_until(now_ms + 37);
    }
    (void)run_until(now_ms + 20000000 + 10);
    unsigned wrong = 0;
    for (size_t i = 0; i < RANDOM_ALL; i++)
        wrong += all[i].count != 1 || all[i].fired_ms < all[i].timer.due_ms || all[i].fired_ms > all[i].timer.due_ms + 10;
    CHECK("each of many fires once, in its tick", wrong == 0);
}

static void test_standstill(void)
{
    struct probe a = {.count = 0}, b = {.count = 0};
    begin();
    timer_init(&a.timer, on_due);
    timer_init(&b.timer, on_due);
    start(&a, 500);
    start(&b, 300000);
    now_ms += DAY_MS;
    wheel_advance(&wheel, now_ms);
    CHECK("after a standstill all that is due fires at once", a.count == 1 && b.count == 1);
}

int main(void)
{
    test_rows();
    test_stopped();
    test_handlers();
    test_many();
    test_standstill();
    return CHECK_REPORT();
}
