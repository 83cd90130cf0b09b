/* sim/load.h - many stations that do one thing over and over, and figures about the answers.
 *
 * Closed: each sends its next call when the last one is answered. Open: calls fall due at an even rate whether or not
 * the server keeps up; each goes to a station that is free, and its latency counts from when it was due, so that a
 * server that stands still is not measured as if nobody had come meanwhile. */
#ifndef SIM_LOAD_H
#define SIM_LOAD_H
#include "sim/fleet.h"
#include "sim/template.h"

enum load_call { LOAD_BOOT, LOAD_START, LOAD_METER, LOAD_STOP, LOAD_HEARTBEAT, LOAD_CALL_COUNT };
#define LOAD_METER_PAYLOAD 667 /* bytes of a MeterValues with a transaction id of ten digits and an energy of seven */

void load_template_make(enum load_call call, struct template *out);
/* Prints one line of figures at the end; 0, or 1 when no station came in or nothing was answered. */
int load_run(const struct sim_options *o, const struct sim_door *door);
#endif
