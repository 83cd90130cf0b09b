/* sim/latency.h - how long answers took: counts in buckets that are at most 1/32 of their value wide, so a percentile
 * is right to about 3 % and ten million of them cost a few kilobytes. */
#ifndef SIM_LATENCY_H
#define SIM_LATENCY_H
#include "base/base.h"

#define LATENCY_PARTS   32 /* of each doubling */
#define LATENCY_BUCKETS (LATENCY_PARTS * 32)

struct latency {
    uint64_t count, buckets[LATENCY_BUCKETS];
    int64_t most_us;
};
void latency_add(struct latency *l, int64_t us);
/* The least value that so many thousandths do not exceed, to the upper end of its bucket but not past the largest seen;
 * 0 when there are none. */
int64_t latency_at(const struct latency *l, unsigned thousandths);
#endif
