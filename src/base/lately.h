/* base/lately.h - what a map was asked for lately, found without its keyed hash: a batch of events names the same stations again and
 * again. Two names that meet push each other out, which is only slower, so nobody gains by choosing them. */
#ifndef BASE_LATELY_H
#define BASE_LATELY_H
#include "base/base.h"

#include <string.h>

#define LATELY_ROOM 4096 /* a power of two */

struct lately {
    struct lately_place {
        struct str name; /* borrowed from the map's entry */
        void *value;
        uint32_t since;  /* the forgetting after which it was put */
    } places[LATELY_ROOM];
    uint32_t forgotten;  /* how often, and 1: a place that is all zero is of none */
};

/* By its last eight bytes, in which names differ. */
static inline struct lately_place *lately_place(struct lately *l, struct str name)
{
    uint64_t end = name.len;
    if (name.len >= sizeof end)
        memcpy(&end, name.at + name.len - sizeof end, sizeof end);
    else if (name.len > 0)
        memcpy(&end, name.at, name.len);
    return &l->places[end * 0x9E3779B97F4A7C15u >> 52];
}

static inline void lately_init(struct lately *l)
{
    memset(l, 0, sizeof *l);
    l->forgotten = 1;
}

/* Before an entry of the map goes. */
static inline void lately_forget(struct lately *l)
{
    if (++l->forgotten == 0)
        lately_init(l);
}

/* NULL: ask the map. */
static inline void *lately_find(struct lately *l, struct str name)
{
    const struct lately_place *p = lately_place(l, name);
    const bool is_it = p->since == l->forgotten && p->name.len == name.len &&
                       (name.len == 0 || memcmp(p->name.at, name.at, name.len) == 0);
    return is_it ? p->value : NULL;
}

static inline void lately_put(struct lately *l, struct str name, void *value)
{
    *lately_place(l, name) = (struct lately_place){name, value, l->forgotten};
}
#endif
