/* simulate --seeds N --from S [--story]: runs the seeds S .. S+N-1. A seed that breaks something is printed with what
 * it broke, and the run ends with 1; the same seed breaks it in the same way again, and --story tells how it came to
 * it. */
#include "simulation/world.h"

#include <stdio.h>
#include <string.h>

static bool take_number(const char *text, uint64_t *out)
{
    int64_t n;
    if (text == NULL || str_to_int(str_of(text), &n) != OK || n < 0)
        return false;
    *out = (uint64_t)n;
    return true;
}

static void tell(void *data, const char *line)
{
    (void)data;
    (void)puts(line);
}

int main(int argc, char **argv)
{
    static struct outcome outcome;
    uint64_t seeds = 1, from = 1;
    bool is_good = true;
    for (int i = 1; i < argc && is_good; i++) {
        if (strcmp(argv[i], "--seeds") == 0)
            is_good = take_number(argv[++i], &seeds);
        else if (strcmp(argv[i], "--from") == 0)
            is_good = take_number(argv[++i], &from);
        else if (strcmp(argv[i], "--story") == 0)
            outcome.on_line = tell;
        else
            is_good = false;
    }
    if (!is_good) {
        (void)fprintf(stderr, "usage: simulate [--seeds N] [--from S] [--story]\n");
        return 2;
    }
    for (uint64_t seed = from; seed < from + seeds; seed++)
        if (!world_run(seed, &outcome)) {
            (void)printf("seed %llu: %s\n", (unsigned long long)seed, outcome.failure);
            return 1;
        }
    (void)printf("%llu seeds from %llu: nothing broke\n", (unsigned long long)seeds, (unsigned long long)from);
    return 0;
}
