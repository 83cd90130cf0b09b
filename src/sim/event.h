/* sim/event.h - what simulated devices of every protocol have in common: time as they are told it, events for people,
 * totals, chance. */
#ifndef SIM_EVENT_H
#define SIM_EVENT_H
#include "base/id.h"
#include "base/time.h"

#define SIM_NEVER INT64_MAX

struct sim_now {
    int64_t ms;          /* monotonic */
    struct instant wall; /* of the machine */
};

struct sim_event {
    int kind;        /* enum sim_event_kind; of a pile enum pile_event_kind */
    unsigned number; /* of the connector or port, from 1; 0: none */
    struct str text; /* valid during the call */
    int64_t n, m;
};

struct sim_totals {
    uint64_t calls, answers, errors, commands, sessions;
    int64_t online, active;
    int64_t energy_mj;
};

/* The same seed and index give the same numbers. */
struct chance {
    uint64_t seed;
    uint32_t index; /* of the device */
};
static inline uint32_t chance_below(struct chance *c, uint32_t n)
{
    c->seed++;
    uint64_t key[2] = {c->seed, c->index};
    return (uint32_t)(siphash(key, (struct bytes){(const uint8_t *)&c->seed, sizeof c->seed}) % n);
}
#endif
