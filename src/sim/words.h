/* sim/words.h - what a station tells, in words. */
#ifndef SIM_WORDS_H
#define SIM_WORDS_H
#include "sim/station.h"

/* "12:03:04  SIM-03  connector 1: card SIM-TAG-05 is shown" and the end of the line. */
void words_put_event(struct buf *out, struct str clock, const struct sim_station *s, const struct sim_event *e);
void words_put_summary(struct buf *out, const struct sim_totals *t, size_t stations, int64_t calls_per_s);
#endif
