/* Ten thousand seeds of the simulated world: what must hold holds in each (simulation/oracle.h), all that is rare comes
 * about often enough, and a seed is the same story each time. A seed that fails is told by
 * chargeline sim --story --seed SEED. */
#include "check.h"
#include "simulation/world.h"

#include <stdio.h>

#ifdef __has_feature
#define IS_CLANG_ASAN __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#else
#define IS_CLANG_ASAN 0
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || IS_CLANG_ASAN
#define SEEDS 1000 /* a sanitizer makes it ten times as long */
#else
#define SEEDS 10000
#endif
#define REACHED_LEAST (SEEDS / 500)
#define FAILURES_MOST 5

int main(void)
{
    static struct outcome all, again;
    for (uint64_t seed = 1; seed <= SEEDS && failed < FAILURES_MOST; seed++) {
        char row[64];
        (void)snprintf(row, sizeof row, "seed %llu", (unsigned long long)seed);
        bool is_good = world_run(seed, &all);
        if (!is_good)
            (void)fprintf(stderr, "%s: %s\n", row, all.failure);
        CHECK(row, is_good);
        if (seed % 100 == 0) {
            (void)world_run(seed, &again);
            CHECK(row, again.hash == all.hash);
        }
    }
    for (size_t i = 0; i < REACHED_COUNT; i++)
        CHECK(reached_words[i], all.reached[i] >= REACHED_LEAST);
    return CHECK_REPORT();
}
