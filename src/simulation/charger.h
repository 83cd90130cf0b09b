/* simulation/charger.h - a charger: sessions at its connectors, a queue of what it has to tell, one call at a time,
 * sent again until it is answered. Its traits are what chargers in the field do. */
#ifndef SIMULATION_CHARGER_H
#define SIMULATION_CHARGER_H
#include "simulation/model.h"

/* A charger has its turn: what it is at, or what the network does to it. */
void charger_turn(struct world *w, size_t station);
/* Its connection is gone; the server may not know. */
void charger_leave(struct world *w, size_t station);
/* What waits is told in another order: a stop before its start. */
void charger_turn_round(struct charger *c);
void charger_queue_stop(struct charger *c, size_t session);
#endif
