/* both_ways.h - a test of something on a loop, once by libuv alone and once by io_uring, where the kernel lets us have it. Each in a
 * process of its own, so that both begin with the same memory. */
#ifndef TESTS_BOTH_WAYS_H
#define TESTS_BOTH_WAYS_H
#include "check.h"
#include "loop/loop.h"
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_by_ring;

static struct loop *new_loop(void)
{
    struct loop *l = loop_new();
    struct fault why = {{0}, {0}};
    CHECK("the ring is there", !is_by_ring || loop_use_ring(l, &why) == OK);
    return l;
}

static bool is_ring_there(void)
{
    struct fault why = {{0}, {0}};
    struct loop *l = loop_new();
    bool is_there = loop_use_ring(l, &why) == OK;
    loop_free(l);
    if (!is_there)
        (void)printf("SKIPPED: by io_uring: %s\n", why.reason);
    return is_there;
}

static void both_ways(void (*test_all)(void))
{
    int ends[2];
    unsigned counts[2] = {0, 0};
    CHECK("a pipe", pipe(ends) == 0);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        is_by_ring = is_ring_there();
        if (is_by_ring)
            test_all();
        counts[0] = passed;
        counts[1] = failed;
        exit(write(ends[1], counts, sizeof counts) == sizeof counts ? 0 : 1);
    }
    int status = -1;
    CHECK("the way by io_uring comes to its end", child > 0 && waitpid(child, &status, 0) == child && status == 0 &&
                                                      read(ends[0], counts, sizeof counts) == sizeof counts);
    passed += counts[0];
    failed += counts[1];
    (void)close(ends[0]);
    (void)close(ends[1]);
    test_all();
}
#endif
