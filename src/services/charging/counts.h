/* services/charging/counts.h - how many sessions began when, and how they ended (0004_counts.sql): the length of a list by
 * start and the beginning of each of its pages, without walking over the sessions before it. */
#ifndef SERVICES_CHARGING_COUNTS_H
#define SERVICES_CHARGING_COUNTS_H
#include "services/charging/session.h"
#include "store/counted.h"

extern const struct counted_list sessions_by_start; /* its key is started_at, its parts are session_part() */
int64_t session_part(enum session_state s);         /* all active ones are one part, since they change */

/* A list of sessions by start. */
struct session_stretch {
    struct db_value state;       /* of ended ones; NULL: all sessions */
    struct instant since, until; /* from, and before; not set: any */
};
/* Both in the transaction of what is read by them: the counts and the rows are of one moment. */
MUST_USE enum err stretch_count(struct db *d, const struct session_stretch *s, int64_t *count);
/* Where to read after *skip sessions of the list, counted from its first or (is_back) from its last: from *start on, or (is_back)
 * down from it, which stands for the list's own bound on that side, since it may lie outside; of these another *skip are to be
 * skipped. *most: so many are left of the list. */
MUST_USE enum err stretch_seek(struct db *d, const struct session_stretch *s, bool is_back, int64_t *skip,
                               struct instant *start, int64_t *most);
#endif
