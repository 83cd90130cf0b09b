/* simulation/disk.c - see the header. */
#include "simulation/disk.h"

#include <stdlib.h>

#define RECORDS_FIRST 256

static struct str disk_copy(char **at, struct str s)
{
    if (s.at == NULL)
        return s;
    memcpy(*at, s.at, s.len);
    struct str copy = {*at, s.len};
    *at += s.len;
    return copy;
}

void disk_append(struct disk *d, struct event *e, uint64_t generation)
{
    if (d->count == d->room) {
        d->room = d->room == 0 ? RECORDS_FIRST : d->room * 2;
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

bool disk_commit(struct disk *d)
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

void disk_crash(struct disk *d)
{
    while (d->count > d->committed)
        free(d->records[--d->count].bytes);
}

void disk_release(struct disk *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->records[i].bytes);
    free(d->records);
    *d = (struct disk){0};
}
