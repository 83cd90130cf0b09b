/* simulation/world.h - a seeded world: chargers, the network between, the server around the real core, its disk and its
 * tables. No clock, no socket, no thread: a seed is a story, always the same. */
#ifndef SIMULATION_WORLD_H
#define SIMULATION_WORLD_H
#include "base/base.h"

struct world; /* simulation/model.h */

/* What must come about now and then, or the seeds show nothing: counted over all of them. */
enum reached {
#define REACHED(name, words) REACHED_##name,
#include "simulation/reached.def"
    REACHED_COUNT
};
extern const char *const reached_words[REACHED_COUNT];

struct outcome {
    /* set by the caller; each may be NULL */
    void (*on_line)(void *data, const char *line); /* of the story, as it comes */
    void (*on_end)(struct world *w);               /* sees the world of a good seed before it goes */
    void *data;

    char failure[256];               /* what was broken; "" nothing */
    uint64_t hash;                   /* of all that it came to */
    unsigned reached[REACHED_COUNT]; /* adds up over the seeds */
};

/* Runs a seed. False: something broke, and failure says what. */
bool world_run(uint64_t seed, struct outcome *o);
#endif
