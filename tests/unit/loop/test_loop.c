/* Rounds, timers, memory and signals of a real loop. */
#include "check.h"
#include "unit/both_ways.h"
#include "loop/loop.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRACE_SIZE 64

static struct loop *loop;
static char trace[TRACE_SIZE];
static struct timer first, second;

static void note(char what)
{
    size_t n = strlen(trace);
    if (n + 1 < sizeof trace)
        trace[n] = what;
}

static void begin(void)
{
    memset(trace, 0, sizeof trace);
    loop = new_loop();
}

static void on_round(void *data)
{
    note(*(const char *)data);
}

static void on_round_stop(void *data)
{
    (void)data;
    note('R');
    loop_stop(loop);
}

static void on_first(struct timer *t)
{
    (void)t;
    note('1');
}

static void test_round(void)
{
    begin();
    loop_on_round_end(loop, on_round, &(char){'a'});
    loop_on_round_end(loop, on_round_stop, NULL);
    loop_on_flush(loop, on_round, NULL, strdup("f"));
    timer_init(&first, on_first);
    timer_start(loop, &first, 0);
    CHECK("the flush slot is found again", strcmp(loop_flush_data(loop), "f") == 0);
    loop_run(loop);
    CHECK("handlers, then the round's in their order, then the flush", strcmp(trace, "1aRf") == 0);
    loop_free(loop);
}

/* What a flush does is a round of its own; the loop does not sleep before it. */
static unsigned flush_count;

static void on_flush_touch(void *data)
{
    (void)data;
    note('f');
    if (++flush_count < 3)
        loop_touch(loop);
    else
        loop_stop(loop);
}

static void test_touch(void)
{
    begin();
    loop_on_round_end(loop, on_round, &(char){'a'});
    loop_on_flush(loop, on_flush_touch, NULL, NULL);
    loop_touch(loop);
    loop_run(loop);
    CHECK("a touch in the flush makes another round", strcmp(trace, "afafaf") == 0);
    loop_free(loop);
}

static unsigned round_limit_count;

static void on_limit(void *data)
{
    (void)data;
    round_limit_count++;
}

static void test_round_limit(void)
{
    begin();
    for (size_t i = 0; i < LOOP_ROUND_HANDLERS_MAX; i++)
        loop_on_round_end(loop, on_limit, NULL);
    loop_on_flush(loop, on_round_stop, NULL, NULL);
    loop_touch(loop);
    loop_run(loop);
    CHECK("as many handlers as the header says", round_limit_count == LOOP_ROUND_HANDLERS_MAX);
    loop_free(loop);
}

static void *late_memory;

static void on_free_later(struct timer *t)
{
    (void)t;
    late_memory = strdup("still here");
    loop_free_later(loop, late_memory);
}

static void on_round_look(void *data)
{
    (void)data;
    CHECK("memory lives until the round has ended", strcmp(late_memory, "still here") == 0);
    loop_stop(loop);
}

static void test_free_later(void)
{
    begin();
    loop_on_round_end(loop, on_round_look, NULL);
    timer_init(&first, on_free_later);
    timer_start(loop, &first, 0);
    loop_run(loop);
    for (size_t i = 0; i < 1000; i++) /* left to loop_free; the sanitizer counts */
        loop_free_later(loop, malloc(16));
    loop_free(loop);
}

static int64_t started_ms;

static void on_elapsed(struct timer *t)
{
    (void)t;
    CHECK("a timer never fires early", clock_monotonic_ms() - started_ms >= 30);
    loop_stop(loop);
}

static void test_timer(void)
{
    begin();
    timer_init(&first, on_first);
    timer_init(&second, on_elapsed);
    started_ms = clock_monotonic_ms();
    timer_start(loop, &second, 30);
    timer_start(loop, &first, 10);
    timer_start(loop, &first, 100000);
    timer_stop(&first);
    loop_run(loop);
    CHECK("a stopped one not at all", trace[0] == 0);
    timer_start(loop, &first, 50000); /* left to loop_free */
    loop_free(loop);
}

static unsigned signal_count;

static void on_signal(int signal, void *data)
{
    signal_count++;
    CHECK("the signal is told", signal == SIGTERM && data == loop);
    if (signal_count == 1)
        CHECK("the second is sent", kill(getpid(), SIGTERM) == 0);
    else
        loop_stop(loop);
}

static void test_signal(void)
{
    begin();
    loop_on_signal(loop, on_signal, loop);
    CHECK("the first is sent", kill(getpid(), SIGTERM) == 0);
    loop_run(loop);
    CHECK("a second signal comes too", signal_count == 2);
    loop_free(loop);
}

static void test_clock(void)
{
    struct instant day = {INT64_C(1577836800000000)}; /* 2020-01-01 */
    CHECK("the wall clock is past 2020", instant_before(day, clock_now()));
    int64_t before = clock_monotonic_ms();
    CHECK("the monotonic clock does not go back", clock_monotonic_ms() >= before);
}

static void test_all(void)
{
    test_round();
    test_touch();
    test_round_limit();
    test_free_later();
    test_timer();
    test_signal();
    test_clock();
    loop_free(NULL);
}

int main(void)
{
    both_ways(test_all);
    return CHECK_REPORT();
}
