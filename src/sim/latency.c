/* sim/latency.c - a bucket is a doubling and a part of it. */
#include "sim/latency.h"

/* Below LATENCY_PARTS each value has its own bucket. */
static size_t bucket_of(uint64_t us)
{
    unsigned shift = 0;
    while (us >> shift >= 2 * LATENCY_PARTS)
        shift++;
    size_t bucket = (size_t)shift * LATENCY_PARTS + (size_t)(us >> shift);
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

static int64_t upper_end(size_t bucket)
{
    if (bucket < 2 * LATENCY_PARTS)
        return (int64_t)bucket;
    unsigned shift = (unsigned)(bucket / LATENCY_PARTS) - 1;
    return (int64_t)(((uint64_t)(bucket % LATENCY_PARTS + LATENCY_PARTS + 1) << shift) - 1);
}

void latency_add(struct latency *l, int64_t us)
{
    if (us < 0)
        us = 0; /* the clock was set back */
    l->count++;
    l->buckets[bucket_of((uint64_t)us)]++;
    if (us > l->most_us)
        l->most_us = us;
}

int64_t latency_at(const struct latency *l, unsigned thousandths)
{
    uint64_t wanted = (l->count * thousandths + 999) / 1000, seen = 0;
    for (size_t i = 0; i < LATENCY_BUCKETS && l->count > 0; i++) {
        seen += l->buckets[i];
        if (seen >= wanted)
            return upper_end(i) < l->most_us ? upper_end(i) : l->most_us;
    }
    return l->most_us;
}
