/* sim/words.h - what devices tell, in words. */
#ifndef SIM_WORDS_H
#define SIM_WORDS_H
#include "sim/event.h"

/* By enum sim_event_kind, by enum pile_event_kind. */
extern const char *const station_sentences[];
extern const char *const pile_sentences[];

/* "12:03:04  SIM-03      connector 1: card SIM-TAG-05 is shown" and the end of the line. */
void words_put_event(struct buf *out, struct str clock, struct str name, const char *sentence,
                     const struct sim_event *e);
/* noun: of so many devices. */
void words_put_summary(struct buf *out, const struct sim_totals *t, size_t count, const char *noun,
                       int64_t calls_per_s);
#endif
