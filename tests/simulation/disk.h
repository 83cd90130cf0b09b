/* Chance, and a model of the durable log: what is appended is on the disk only after a commit; a crash drops the rest;
 * the disk may refuse for a while. Everything of a run follows from its seed. */
#ifndef SIMULATION_DISK_H
#define SIMULATION_DISK_H
#include "eventlog/event.h"

#include <stdlib.h>
#include <string.h>

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

static struct str disk_copy(char **at, struct str s)
{
    if (s.at == NULL)
        return s;
    memcpy(*at, s.at, s.len);
    struct str copy = {*at, s.len};
    *at += s.len;
    return copy;
}

/* Fills e->position, as the log does. */
static void disk_append(struct disk *d, struct event *e, uint64_t generation)
{
    if (d->count == d->room) {
        d->room = d->room == 0 ? 256 : d->room * 2;
        d->records = mem_grow(d->records, d->room, sizeof *d->records);
    }
    e->position = d->count + 1;
    struct record *r = &d->records[d->count++];
    *r = (struct record){.event = *e, .generation = generation};
    r->bytes = mem_new(1, e->station.len + e->payload.len + e->frame.len + e->answer.len + 1);
    char *at = r->bytes;
    r->event.station = disk_copy(&at, e->station);
    r->event.payload = disk_copy(&at, e->payload);
    r->event.frame = disk_copy(&at, e->frame);
    r->event.answer = disk_copy(&at, e->answer);
}

static bool disk_commit(struct disk *d)
{
    if (d->is_refusing)
        return false;
    for (; d->committed < d->count; d->committed++) {
        const struct event *e = &d->records[d->committed].event;
        const uint64_t key[2] = {d->hash, e->sequence << 8 | (uint64_t)e->type};
        d->hash = siphash(key, (struct bytes){(const uint8_t *)e->payload.at, e->payload.len});
    }
    return true;
}

static void disk_crash(struct disk *d)
{
    while (d->count > d->committed)
        free(d->records[--d->count].bytes);
}

static void disk_release(struct disk *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->records[i].bytes);
    free(d->records);
    *d = (struct disk){0};
}
#endif
