/* simulation/server.h - the server around the real core (proto/ocpp16, device), as the gateway does it: what is said is
 * held until it is on the disk; one connection owns a station; memory is made again from the tables after a crash. */
#ifndef SIMULATION_SERVER_H
#define SIMULATION_SERVER_H
#include "simulation/model.h"

void server_start(struct world *w);
void server_crash(struct world *w);
void server_forget(struct world *w); /* its memory */

void server_connect(struct world *w, size_t station);
void server_lose(struct world *w, struct connection *c, struct str reason);
void server_take(struct world *w, struct connection *c); /* one message */
void server_commit(struct world *w);
void server_sweep(struct world *w, size_t station); /* dropped from memory, where it is away and all in the tables */
void server_operator(struct world *w, size_t station);
#endif
