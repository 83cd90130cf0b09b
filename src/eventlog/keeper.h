/* eventlog/keeper.h - the housekeeping of a log, on a thread of its own, off the path of the commits: seals what is written no
 * more, drops what is too old or too much. All it does can be interrupted and is done again. */
#ifndef EVENTLOG_KEEPER_H
#define EVENTLOG_KEEPER_H
#include "eventlog/log.h"
#include "eventlog/segment.h"

struct keeper;
/* found: the segments there are, the last one open. The strings of o must live as long as the keeper. */
struct keeper *keeper_start(const struct eventlog_options *o, const struct segment_list *found);
void keeper_stop(struct keeper *k); /* does first what can be done now */
/* From any thread; none waits for work to be done. */
void keeper_on_segment(struct keeper *k, uint64_t first); /* a new one was begun, those before are written no more */
void keeper_on_time(struct keeper *k, int64_t newest_us); /* received of the newest event: what old means */
void keeper_keep_from(struct keeper *k, uint64_t position);

struct keeper_stats {
    uint64_t oldest;
    struct instant oldest_at;
    int64_t bytes;
    unsigned segments;
    struct fault trouble; /* reason empty: none */
};
void keeper_stats(struct keeper *k, struct keeper_stats *out);
#endif
