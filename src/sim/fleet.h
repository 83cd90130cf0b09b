/* sim/fleet.h - stations or piles on a loop: sockets and timers for what station.h and pile.h decide. */
#ifndef SIM_FLEET_H
#define SIM_FLEET_H
#include "sim/options.h"
#include "sim/station.h"
#include "wire/conn.h"

struct tls;

/* Where and how to connect, shared with load.c. */
struct sim_door {
    const struct sim_options *options;
    struct tls *tls; /* NULL: plain */
    struct conn_options conn;
};
MUST_USE enum err sim_door_open(const struct sim_options *o, struct sim_door *out, struct fault *why);
void sim_door_close(struct sim_door *d);
/* Identity into the path, password into the header. index: of the station, from 0. */
struct sim_guest {
    struct str identity;
    size_t index;
};
MUST_USE enum err sim_door_connect(const struct sim_door *d, struct loop *l, const struct sim_guest *guest,
                                   const struct conn_handlers *handlers, void *data, struct conn **out);

/* As far as the system lets us; the connections past it fail one by one. */
void sim_raise_descriptor_limit(size_t wanted);

/* Runs until the duration is over or a signal came; then ends sessions, closes with 1001 and returns the exit status.
 */
int fleet_run(const struct sim_options *o, const struct sim_door *door);
#endif
