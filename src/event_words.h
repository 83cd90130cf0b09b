/* event_words.h - an event as one sentence for a person: the table is event_words.def. */
#ifndef EVENT_WORDS_H
#define EVENT_WORDS_H
#include "eventlog/event.h"

enum tone { TONE_PLAIN, TONE_GOOD, TONE_WARN, TONE_BAD, TONE_QUIET, TONE_COUNT };
enum tone event_tone(enum event_type t);

/* Every member that a sentence names is one of its payload; else a bug of ours, which ends the process. */
void event_words_check(void);
/* The sentence, without a line end. A payload that cannot be read, of a newer version, is shown as it is. a: for this
 * event only. */
void event_put_words(const struct event *e, struct arena *a, struct buf *out);
/* Text of a station, safe to be shown: what could steer a terminal becomes '?', what is long is cut. */
void put_shown(struct buf *out, struct str text);
#endif
