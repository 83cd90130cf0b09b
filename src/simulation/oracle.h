/* simulation/oracle.h - what must hold, whatever happens. It reads the committed log and what chargers are told, and
 * knows the truth of each charger.
 *
 *   1  what a charger was told is in the committed log
 *   2  no transaction begins, ends, or gets a reading twice
 *   3  a transaction's id is unique, told the same each time, and not to be guessed from the one before
 *   4  a stop ends the transaction that it belongs to, no other's
 *   5  a station's sequence has no gap and no repeat
 *   6  nothing comes by a connection that was superseded
 *   7  energy is stop less start, and never below 0
 *   8  in the end all is drained, memory is what the log says, and every session that ended is ended */
#ifndef SIMULATION_ORACLE_H
#define SIMULATION_ORACLE_H
#include "simulation/model.h"

void oracle_read_log(struct world *w); /* what was committed since */
/* A charger reads an answer to what it said. */
void oracle_answered(struct world *w, size_t station, const struct saying *m, struct str answer);
void oracle_end(struct world *w);
#endif
