/* simulation/disk.h - chance, and a model of the durable log: what is appended is on the disk only after a commit; a
 * crash drops the rest; the disk may refuse for a while. Everything of a run follows from its seed. */
#ifndef SIMULATION_DISK_H
#define SIMULATION_DISK_H
#include "eventlog/event.h"

struct dice {
    uint64_t state;
};

static inline uint64_t dice_next(struct dice *d) /* splitmix64 */
{
    uint64_t z = d->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline unsigned dice_below(struct dice *d, unsigned n)
{
    return (unsigned)(dice_next(d) % n);
}

static inline bool dice_chance(struct dice *d, unsigned per_thousand)
{
    return dice_below(d, 1000) < per_thousand;
}

struct record {
    struct event event;  /* its texts lie in bytes */
    uint64_t generation; /* of the connection that it came by; 0: by none */
    char *bytes;
};

struct disk {
    struct record *records;
    size_t count, committed, room;
    bool is_refusing;
    uint64_t hash; /* of all that was ever committed: two runs of a seed must agree */
};

/* Copies the event, and fills e->position as the log does. */
void disk_append(struct disk *d, struct event *e, uint64_t generation);
bool disk_commit(struct disk *d); /* false: it refuses */
void disk_crash(struct disk *d);
void disk_release(struct disk *d);
#endif
