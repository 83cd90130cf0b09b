/* eventlog/log.h - the durable log of one gateway: batches in segment files, one batch a group commit. See the head of log.c for
 * the format to the byte and for what a crash leaves at each step.
 *
 * One thread appends (the loop), one commits (the log's own), any number read, in this process or another. What was
 * appended in a round is handed over by eventlog_commit(); while one batch is on its way to the disk the next one fills: so
 * the batch grows with the load. on_durable tells, on the log's thread, up to which position everything is on disk. A commit
 * that fails is tried again with the same bytes until it succeeds (a full disk heals; a damaged segment is left and
 * a new one begun): nothing that was appended is ever told durable before it is, and nothing is dropped. */
#ifndef EVENTLOG_LOG_H
#define EVENTLOG_LOG_H
#include "eventlog/event.h"
#include "eventlog/files.h"

enum log_state { LOG_STATE_OK, LOG_STATE_FULL, LOG_STATE_FAILED }; /* failed: not full, but does not take a commit */
const char *log_state_text(enum log_state s); /* "ok", "full", "failed" */

struct eventlog_options {
    struct str dir;               /* made if missing */
    struct str gateway_id;        /* written into each segment */
    size_t segment_max;           /* bytes; a new segment is begun past it */
    size_t pending_max;           /* bytes appended and not yet durable: past it eventlog_append says ERR_LIMIT (back-pressure) */
    int64_t keep_s;               /* segments whose newest event is older than the newest of all by so much are dropped; 0: keep all */
    int64_t keep_bytes;           /* oldest segments are dropped above it; 0: no limit */
    int retry_ms;                 /* between tries of a failed commit */
    bool sync;                    /* true; false only for measurements */
    const struct log_files *files; /* what to write files with, NULL the system's: tests make it fail */
    void (*on_durable)(void *data, uint64_t position);          /* log's thread */
    void (*on_state)(void *data, enum log_state s, const char *why); /* log's thread */
    void *data;
};
struct eventlog_options eventlog_options_default(void);

/* ERR_BUSY: another process has it open for writing; ERR_CORRUPT: why names file, batch and what is wrong. A torn tail (a
 * commit that never finished) is no damage. ERR_RANGE: a name is too long. */
struct eventlog;
MUST_USE enum err eventlog_open(const struct eventlog_options *o, struct eventlog **out, struct fault *why);
void eventlog_close(struct eventlog *l); /* commits what is pending (unless the disk refuses), joins its threads; leaves plain files */

/* Adds to the batch of this round: fills e->position and e->log. ERR_LIMIT: pending_max is reached, nothing was added. The owner
 * stops reading from its stations then; eventlog_has_room() says when to go on: at half of it. ERR_RANGE: a text is longer
 * than a record holds (station 65,534 bytes, all together 16 MiB). Appender's thread only. */
MUST_USE enum err eventlog_append(struct eventlog *l, struct event *e);
/* The same past pending_max too: for what follows from something that was taken up while there was room, and is bounded by that. */
MUST_USE enum err eventlog_append_always(struct eventlog *l, struct event *e);
void eventlog_commit(struct eventlog *l); /* end of the round: hand over what was appended, if anything */
bool eventlog_has_room(const struct eventlog *l);
uint64_t eventlog_position(const struct eventlog *l); /* of the last event appended; any thread */
uint64_t eventlog_durable(const struct eventlog *l);  /* of the last event on disk; any thread */
/* Segments that hold events after this position are never dropped: the slowest cursor. 0 until it is said: nothing is dropped
 * before the cursors are known; UINT64_MAX: nobody minds. Any thread. */
void eventlog_keep_from(struct eventlog *l, uint64_t position);
/* Returns when durable > position, or after timeout_ms, or when eventlog_wake is called, or was since this thread's last wait:
 * for consumers in this process. */
void eventlog_wait(struct eventlog *l, uint64_t position, int timeout_ms);
void eventlog_wake(struct eventlog *l);

struct eventlog_stats {
    uint64_t position, durable, oldest;
    struct instant oldest_at;
    int64_t bytes;               /* on disk */
    unsigned segments;
    enum log_state state;
    char why[160];
    uint64_t commits, commit_us_total, commit_us_max, failures;
};
void eventlog_stats(struct eventlog *l, struct eventlog_stats *out); /* any thread */
#endif
