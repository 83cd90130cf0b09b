/* eventlog/log.c - appending and committing. The format to the byte, and what a crash leaves, are told here once.
 *
 * A log is a directory:
 *     log.lock                         empty; the writer holds an flock on it
 *     log.durable                      how far the log is on the disk (durable.c)
 *     log-00000000000000000001.log     a segment: the position of its first event is its name. Positions have no gap, so each
 *     log-00000000000000048213.log     segment ends where the next begins; the last is the open one
 *     ...log.new                       a segment that is being made
 *
 * A segment is a head of 4,096 bytes, batches one after another, and once it is sealed its index (seal.c). Numbers are big-endian,
 * checksums CRC-32C.
 *
 *     head of the file                              head of a batch, at a multiple of 8; behind it its data and zeros up to the next
 *     at    size                                    at  size
 *        0     8  "CLlogseg"                         0     4  "CLba"; "CLen": the index
 *        8     4  format, 3                          4     4  count of events
 *       12    16  log_id: random, the same in all    8     8  position of the first
 *                 segments of a log                 16     8  least received of its events, microseconds since 1970, signed
 *       28     8  number of the segment, from 1     24     8  greatest received
 *       36     8  position of its first event       32     4  size of the data, as they lie in the file
 *       44     8  salt: random                      36     4  size of the records
 *       52     2  size of gateway_id                40     4  offset / 8 of the newest mark before; 0: none
 *       54        gateway_id                        44     4  checksum of the data
 *     4092     4  checksum of all before            48     4  checksum of log_id, salt and the 48 bytes before
 *
 * Behind the last batch of the open segment there may be zeros, written ahead (write_zeros in segment.c): it ends where no batch begins.
 * Stopping and sealing cut them off.
 * The data are the records one after another (record.c); where that is shorter, squeezed (squeeze.c). A mark is the first batch that
 * begins in each 128 KiB of the file: going from mark to mark a reader finds its way in the open segment, in a sealed one the index has
 * them. Salt and log_id in the checksum: what another file left on the disk is never taken for a batch of this one, nor is what a
 * station sent.
 * Event ids are not stored: they follow from log_id, position and received (log_identity in segment.h).
 *
 * A commit is one write behind the last batch and a sync; then log.durable says so, then the position is told. A reader, who sees a file
 * while it is written, believes in it what log.durable says, and a batch that has another behind it: that was begun after the sync.
 * What a crash leaves:
 *     before the sync     half a batch: cut off at the next start (recover.c). Nobody was told. Or a whole one: it stays. Over zeros, half
 *                         is any part of it: the zeros show where the rest would be, and the checksums tell.
 *     after it            the batch is there, told or not: the writer goes on behind it.
 *     making a segment    a .new file: deleted at the next start. It has its name only when it is whole and synced.
 *     behind that         a segment without a batch: the writer goes on in it.
 *     at any time         zeros behind the last batch, or less of them than were written: cut off at the next start.
 *     sealing             no index, or half of one: done again. A segment is sealed only after its successor exists, so a last
 *                         segment that is sealed tells that a file is missing.
 *
 * A commit that fails. The disk is full: the same bytes in the same place again. Anything else: a new segment is begun at the same
 * position, for the file or its place on the disk may be bad, and nothing that was written before is taken on trust: the system
 * may show bytes that never reached the disk. The old segment may then hold that batch too; whoever reads a segment reads it only up
 * to where the next begins, and sealing cuts the rest off.
 *
 * Three threads. The appender fills one of two buffers and offers it at the end of a round; the log's thread takes it when it has
 * committed the other. An offer can be taken back: the first append of the next round does so, if nobody has taken it. So a lock
 * is held only twice a round, and a batch is as long as the commit before it lasted. The keeper has the rest (keeper.c).
 *
 * One file although it is long: both sides of the hand-over and what may fail between them are to be read together. */
#include "eventlog/log.h"
#include "eventlog/keeper.h"
#include "eventlog/record.h"
#include "eventlog/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_NAME     "log.lock"
#define BATCH_CUT     ((size_t)4 << 20)  /* what piled up while the disk did not answer goes in batches of this */
#define BUFFER_KEEP   ((size_t)16 << 20) /* a buffer that grew beyond is given back */
#define DIR_MODE      0750
#define FILE_MODE     0640

struct part {
    size_t at, end; /* in data */
    struct batch_head head;
};
struct buffer {
    struct buf data;
    struct part *parts;
    size_t part_count, part_room;
};
struct eventlog {
    struct eventlog_options options; /* its strings are ours */
    struct segment_options place;
    struct log_identity identity;
    int lock_fd;
    pthread_t thread;
    struct keeper *keeper;
    atomic_uint_fast64_t position, durable;
    atomic_size_t appended, done; /* bytes since the start: their difference is pending */

    /* appender's */
    struct buffer buffers[2], *fill;
    bool is_offered; /* fill was offered; who has it now is seen only under the lock */

    pthread_mutex_t lock; /* down to wakes */
    pthread_cond_t work, moved;
    struct buffer *offer;
    bool is_stopping;
    enum log_state state;
    char why[160];
    uint64_t commits, commit_us_total, commit_us_max, failures;
    uint64_t awaited; /* the least position that somebody waits for; UINT64_MAX: none */
    uint64_t wakes;

    /* log thread's */
    struct segment *open;
    uint64_t newest_first, newest_number; /* of the segments that exist */
    bool must_leave;                      /* the open segment is not to be trusted */
    int durable_fd;
};

const char *log_state_text(enum log_state s)
{
    static const char *const texts[] = {[LOG_STATE_OK] = "ok", [LOG_STATE_FULL] = "full", [LOG_STATE_FAILED] = "failed"};

    return texts[s];
}

struct eventlog_options eventlog_options_default(void)
{
    return (struct eventlog_options){
        .segment_max = (size_t)128 << 20,
        .pending_max = (size_t)32 << 20,
        .retry_ms = 500,
        .sync = true,
    };
}

static uint64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static struct timespec after_ms(int ms)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* ---- the log's thread ---- */

static void set_state(struct eventlog *l, enum log_state state, const char *why)
{
    (void)pthread_mutex_lock(&l->lock);
    bool is_new = l->state != state;
    l->state = state;
    (void)str_copy(l->why, sizeof l->why, str_of(why));
    (void)pthread_mutex_unlock(&l->lock);
    if (is_new && l->options.on_state != NULL)
        l->options.on_state(l->options.data, state, why);
}

/* Goes on in a segment that begins at first. If one is there by that name, nothing in it is durable, and it is replaced. The old one
 * stays open until the new one is there. */
static enum err leave_segment(struct eventlog *l, uint64_t first, struct fault *why)
{
    const bool is_new = l->newest_first != first;
    const struct segment_head head = {l->identity, l->newest_number + is_new, first, 0, SEGMENT_FORMAT};
    struct segment *next = NULL;
    enum err e = segment_create(&l->place, &head, why);

    if (e != OK)
        return e;
    l->newest_first = first;
    l->newest_number = head.number;
    e = segment_open(&l->place, first, SEGMENT_TO_WRITE, &next, why);
    if (e != OK)
        return e;
    segment_close(l->open);
    l->open = next;
    l->must_leave = false;
    keeper_on_segment(l->keeper, first);
    return OK;
}

static enum err write_durable(struct eventlog *l, const struct segment *s, uint64_t position, uint64_t last, uint64_t end,
                              struct fault *why)
{
    const struct durable d = {position, s->head.first, s->head.salt, last, end};

    return durable_put(&l->place, l->durable_fd, l->identity.log_id, &d, why);
}

static enum err write_part(struct eventlog *l, const struct buffer *b, const struct part *p, struct fault *why)
{
    const struct bytes data = {b->data.at + p->at, p->end - p->at};
    struct batch_row row;
    enum err e = OK;

    if (l->must_leave || (l->open->end >= l->options.segment_max && l->open->head.first != p->head.first))
        e = leave_segment(l, p->head.first, why);
    if (e == OK) {
        check(l->open->head.first == l->newest_first); /* behind a successor nobody would read it */
        e = segment_append(l->open, &p->head, data, &row, why);
    }
    if (e == OK)
        e = write_durable(l, l->open, p->head.first + p->head.count - 1, row.offset, batch_end(&row), why);
    if (e == OK)
        segment_accept(l->open, &row);
    /* A full disk heals, and so does the lack of memory; of anything else the file may be the cause. */
    else if (e != ERR_FULL && e != ERR_MEMORY)
        l->must_leave = true;
    return e;
}

/* false: no further try is wanted. Who is told to stop while waiting tries once more. */
static bool wait_for_retry(struct eventlog *l)
{
    const struct timespec until = after_ms(l->options.retry_ms);

    (void)pthread_mutex_lock(&l->lock);
    bool goes_on = !l->is_stopping;
    while (!l->is_stopping && pthread_cond_timedwait(&l->work, &l->lock, &until) != ETIMEDOUT) {
    }
    (void)pthread_mutex_unlock(&l->lock);
    return goes_on;
}

static void tell_durable(struct eventlog *l, const struct part *p, uint64_t took_us)
{
    const uint64_t position = p->head.first + p->head.count - 1;

    atomic_store(&l->durable, position);
    (void)atomic_fetch_add(&l->done, p->end - p->at);
    (void)pthread_mutex_lock(&l->lock);
    l->commits++;
    l->commit_us_total += took_us;
    if (took_us > l->commit_us_max)
        l->commit_us_max = took_us;
    const bool is_awaited = position >= l->awaited;
    if (is_awaited)
        l->awaited = UINT64_MAX; /* who still waits says so again */
    bool was_bad = l->state != LOG_STATE_OK;
    (void)pthread_mutex_unlock(&l->lock);
    if (is_awaited)
        (void)pthread_cond_broadcast(&l->moved);
    keeper_on_time(l->keeper, p->head.last_at);
    if (was_bad)
        set_state(l, LOG_STATE_OK, "");
    if (l->options.on_durable != NULL)
        l->options.on_durable(l->options.data, position);
}

/* The same bytes until they are on the disk; false: told to stop before that. */
static bool commit_part(struct eventlog *l, const struct buffer *b, const struct part *p)
{
    for (;;) {
        struct fault why = {0};
        const uint64_t start = now_us();
        enum err e = write_part(l, b, p, &why);

        if (e == OK) {
            tell_durable(l, p, now_us() - start);
            segment_reserve(l->open, l->options.segment_max); /* now that nobody waits for it */
            return true;
        }
        char text[sizeof why.field + sizeof why.reason + 2];
        (void)snprintf(text, sizeof text, "%s: %s", why.field, why.reason);
        (void)pthread_mutex_lock(&l->lock);
        l->failures++;
        (void)pthread_mutex_unlock(&l->lock);
        set_state(l, e == ERR_FULL ? LOG_STATE_FULL : LOG_STATE_FAILED, text);
        if (!wait_for_retry(l))
            return false;
    }
}

static void clear(struct buffer *b)
{
    b->part_count = 0;
    if (b->data.room <= BUFFER_KEEP) {
        buf_clear(&b->data);
        return;
    }
    size_t max = b->data.max;
    buf_release(&b->data);
    buf_init(&b->data, max);
}

static void *run(void *arg)
{
    struct eventlog *l = arg;
    bool goes_on = true;

    (void)pthread_setname_np(pthread_self(), "log");
    while (goes_on) {
        (void)pthread_mutex_lock(&l->lock);
        while (l->offer == NULL && !l->is_stopping)
            (void)pthread_cond_wait(&l->work, &l->lock);
        struct buffer *b = l->offer;
        l->offer = NULL;
        (void)pthread_mutex_unlock(&l->lock);
        if (b == NULL)
            break;
        for (size_t i = 0; goes_on && i < b->part_count; i++)
            goes_on = commit_part(l, b, &b->parts[i]);
        clear(b);
    }
    return NULL;
}

/* ---- the appender's ---- */

/* Takes an offer back; if it was taken, goes on in the other buffer: the log's thread cleared that before it took this one. */
static void take_back(struct eventlog *l)
{
    (void)pthread_mutex_lock(&l->lock);
    if (l->offer == NULL)
        l->fill = &l->buffers[l->fill == &l->buffers[0]];
    l->offer = NULL;
    (void)pthread_mutex_unlock(&l->lock);
    l->is_offered = false;
}

static size_t pending(const struct eventlog *l)
{
    return atomic_load_explicit(&l->appended, memory_order_relaxed) - atomic_load_explicit(&l->done, memory_order_acquire);
}

/* The part that a record of this size, at this place in the data, belongs to. */
static struct part *part_for(struct buffer *b, size_t at, size_t size, const struct event *e)
{
    struct part *p = b->part_count == 0 ? NULL : &b->parts[b->part_count - 1];

    if (p != NULL && p->end - p->at + size <= BATCH_CUT && p->head.count < BATCH_COUNT_MAX)
        return p;
    if (b->part_count == b->part_room) {
        b->part_room = b->part_room == 0 ? 8 : 2 * b->part_room;
        b->parts = mem_grow(b->parts, b->part_room, sizeof *b->parts);
    }
    check(b->parts != NULL);
    p = &b->parts[b->part_count++];
    *p = (struct part){at, at, {e->position, 0, e->received.us, e->received.us}};
    return p;
}

enum err eventlog_append(struct eventlog *l, struct event *e)
{
    return record_size(e) != 0 && pending(l) >= l->options.pending_max ? ERR_LIMIT : eventlog_append_always(l, e);
}

enum err eventlog_append_always(struct eventlog *l, struct event *e)
{
    const size_t size = record_size(e);
    const uint64_t position = atomic_load_explicit(&l->position, memory_order_relaxed) + 1;

    if (size == 0)
        return ERR_RANGE;
    if (l->is_offered)
        take_back(l);
    struct buffer *b = l->fill;
    const size_t at = b->data.len;
    record_put(e, size, &b->data);
    check(!b->data.failed);
    e->position = position;
    e->log = &l->identity;
    struct part *p = part_for(b, at, size, e);
    p->end = b->data.len;
    p->head.count++;
    if (e->received.us < p->head.first_at)
        p->head.first_at = e->received.us;
    if (e->received.us > p->head.last_at)
        p->head.last_at = e->received.us;
    atomic_store_explicit(&l->appended, atomic_load_explicit(&l->appended, memory_order_relaxed) + size,
                          memory_order_relaxed);
    atomic_store_explicit(&l->position, position, memory_order_release);
    return OK;
}

void eventlog_commit(struct eventlog *l)
{
    if (l->is_offered || l->fill->data.len == 0)
        return;
    (void)pthread_mutex_lock(&l->lock);
    l->offer = l->fill;
    (void)pthread_mutex_unlock(&l->lock);
    (void)pthread_cond_signal(&l->work); /* not before: it would wake to wait for the lock */
    l->is_offered = true;
}

bool eventlog_has_room(const struct eventlog *l)
{
    return pending(l) <= l->options.pending_max / 2;
}

uint64_t eventlog_position(const struct eventlog *l)
{
    return atomic_load_explicit(&l->position, memory_order_acquire);
}

uint64_t eventlog_durable(const struct eventlog *l)
{
    return atomic_load(&l->durable);
}

void eventlog_keep_from(struct eventlog *l, uint64_t position)
{
    keeper_keep_from(l->keeper, position);
}

void eventlog_wait(struct eventlog *l, uint64_t position, int timeout_ms)
{
    static _Thread_local struct {
        const struct eventlog *log;
        uint64_t wakes;
    } seen; /* so that a wake between a consumer's own look and its wait is not lost */
    const struct timespec until = after_ms(timeout_ms);
    int code = 0;

    (void)pthread_mutex_lock(&l->lock);
    if (seen.log != l) {
        seen.log = l;
        seen.wakes = l->wakes;
    }
    while (atomic_load(&l->durable) <= position && l->wakes == seen.wakes && code != ETIMEDOUT) {
        if (l->awaited > position)
            l->awaited = position + 1;
        code = pthread_cond_timedwait(&l->moved, &l->lock, &until);
    }
    seen.wakes = l->wakes;
    (void)pthread_mutex_unlock(&l->lock);
}

void eventlog_wake(struct eventlog *l)
{
    (void)pthread_mutex_lock(&l->lock);
    l->wakes++;
    (void)pthread_cond_broadcast(&l->moved);
    (void)pthread_mutex_unlock(&l->lock);
}

void eventlog_stats(struct eventlog *l, struct eventlog_stats *out)
{
    struct keeper_stats kept;

    keeper_stats(l->keeper, &kept);
    *out = (struct eventlog_stats){
        .position = eventlog_position(l),
        .durable = eventlog_durable(l),
        .oldest = kept.oldest,
        .oldest_at = kept.oldest_at,
        .bytes = kept.bytes,
        .segments = kept.segments,
    };
    (void)pthread_mutex_lock(&l->lock);
    out->state = l->state;
    out->commits = l->commits;
    out->commit_us_total = l->commit_us_total;
    out->commit_us_max = l->commit_us_max;
    out->failures = l->failures;
    (void)str_copy(out->why, sizeof out->why, str_of(l->state == LOG_STATE_OK ? kept.trouble.reason : l->why));
    (void)pthread_mutex_unlock(&l->lock);
}

/* ---- opening and closing ---- */

static enum err make_dir(struct str dir, struct fault *why)
{
    char path[SEGMENT_PATH_MAX];
    enum err e = segment_path(dir, "", "", path);

    for (char *at = path + 1; e == OK && (at = strchr(at, '/')) != NULL; at++) {
        *at = 0;
        if (mkdir(path, DIR_MODE) != 0 && errno != EEXIST) {
            fault_set(why, dir, "the log's directory cannot be made: %s", strerror(errno));
            e = errno == ENOSPC ? ERR_FULL : ERR_IO;
        }
        *at = '/';
    }
    return e;
}

static enum err take_lock(struct eventlog *l, struct fault *why)
{
    char path[SEGMENT_PATH_MAX];
    enum err e = segment_path(l->place.dir, LOCK_NAME, "", path);

    if (e != OK)
        return e;
    l->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (l->lock_fd >= 0 && flock(l->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return OK;
    bool is_taken = l->lock_fd >= 0 && errno == EWOULDBLOCK;
    fault_set(why, l->place.dir, is_taken ? "another process writes this log" : "cannot be locked: %s", strerror(errno));
    return is_taken ? ERR_BUSY : ERR_IO;
}

static enum err begin_log(struct eventlog *l, struct segment_list *found, struct fault *why)
{
    uint8_t *id = l->identity.log_id;

    if (getrandom(id, sizeof l->identity.log_id, 0) != sizeof l->identity.log_id) {
        fault_set(why, l->place.dir, "no random numbers: %s", strerror(errno));
        return ERR_IO;
    }
    identity_derive(&l->identity);
    const struct segment_head head = {l->identity, 1, 1, 0, SEGMENT_FORMAT};
    enum err e = segment_create(&l->place, &head, why);
    if (e == OK)
        segment_list_add(found, 1);
    return e;
}

/* Where the log ends, and that log.durable says so. */
static enum err find_end(struct eventlog *l, int64_t *newest_us, struct fault *why)
{
    struct segment *s = l->open;
    struct durable d;
    struct batch_row last;
    enum err known = durable_get(l->durable_fd, l->identity.log_id, &d);

    if (known != OK && known != ERR_UNKNOWN && known != ERR_CORRUPT) {
        fault_set(why, l->place.dir, "log.durable cannot be read: %s", strerror(errno));
        return known;
    }
    enum err e = segment_recover(s, known == OK ? &d : NULL, &last, why);
    if (e != OK)
        return e;
    if (known == OK && d.position >= s->next) {
        fault_set(why, str_of(s->name), "positions %llu to %llu are missing: they were durable", (unsigned long long)s->next,
                  (unsigned long long)d.position);
        return ERR_CORRUPT;
    }
    *newest_us = last.head.count > 0 ? last.head.last_at : INT64_MIN;
    atomic_store(&l->durable, s->next - 1);
    return write_durable(l, s, s->next - 1, last.head.count > 0 ? last.offset : 0, s->end, why);
}

static enum err open_last(struct eventlog *l, const struct segment_list *found, int64_t *newest_us, struct fault *why)
{
    const uint64_t last = found->firsts[found->count - 1];
    enum err e = segment_open(&l->place, last, SEGMENT_TO_WRITE, &l->open, why);

    if (e != OK)
        return e;
    const struct segment_head *head = &l->open->head;
    if (l->open->is_sealed) {
        fault_set(why, str_of(l->open->name), "the segment after this one is missing");
        return ERR_CORRUPT;
    }
    l->newest_first = head->first;
    l->newest_number = head->number;
    /* The gateway's name is written once a segment, and so is the format: under a new one of either a new one is begun. */
    l->must_leave =
        strcmp(head->identity.gateway_id, l->identity.gateway_id) != 0 || head->format != SEGMENT_FORMAT;
    const struct log_identity named = l->identity;
    l->identity = head->identity;
    memcpy(l->identity.gateway_id, named.gateway_id, sizeof named.gateway_id);
    e = find_end(l, newest_us, why);
    const uint64_t end = atomic_load(&l->durable);
    atomic_store(&l->position, end);
    if (e != OK || !l->must_leave || end >= l->newest_first)
        return e;
    /* Nothing is in it yet: it is made anew under its own name. */
    const struct segment_head renamed = {l->identity, l->newest_number, l->newest_first, 0, SEGMENT_FORMAT};
    segment_close(l->open);
    l->open = NULL;
    l->must_leave = false;
    e = segment_create(&l->place, &renamed, why);
    return e == OK ? segment_open(&l->place, l->newest_first, SEGMENT_TO_WRITE, &l->open, why) : e;
}

static char *copy_text(struct str s)
{
    char *copy = mem_new(s.len + 1, 1);

    if (s.len > 0)
        memcpy(copy, s.at, s.len);
    return copy;
}

static struct eventlog *make(const struct eventlog_options *o)
{
    struct eventlog *l = mem_new(1, sizeof *l);
    l->awaited = UINT64_MAX;
    pthread_condattr_t attr;

    l->options = *o;
    l->options.dir.at = copy_text(o->dir);
    l->options.gateway_id.at = copy_text(o->gateway_id);
    if (o->files == NULL)
        l->options.files = &log_files_system;
    l->place = (struct segment_options){l->options.dir, l->options.files, o->sync};
    memcpy(l->identity.gateway_id, l->options.gateway_id.at, o->gateway_id.len);
    l->lock_fd = l->durable_fd = -1;
    for (size_t i = 0; i < COUNT_OF(l->buffers); i++)
        buf_init(&l->buffers[i].data, SIZE_MAX / 2); /* eventlog_append sees to the limit */
    l->fill = &l->buffers[0];
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&l->work, &attr);
    (void)pthread_cond_init(&l->moved, &attr);
    (void)pthread_condattr_destroy(&attr);
    return l;
}

/* Gives back what was reserved behind the end, so that plain files are left. What fails here, the next start does. */
static void leave_plain(struct eventlog *l)
{
    if (!l->must_leave)
        (void)!l->place.files->ftruncate(l->open->fd, (off_t)l->open->end);
    if (l->options.sync)
        (void)!l->place.files->fdatasync(l->durable_fd);
}

static void release(struct eventlog *l)
{
    segment_close(l->open);
    if (l->durable_fd >= 0)
        (void)close(l->durable_fd);
    if (l->lock_fd >= 0)
        (void)close(l->lock_fd);
    for (size_t i = 0; i < COUNT_OF(l->buffers); i++) {
        buf_release(&l->buffers[i].data);
        free(l->buffers[i].parts);
    }
    (void)pthread_cond_destroy(&l->work);
    (void)pthread_cond_destroy(&l->moved);
    (void)pthread_mutex_destroy(&l->lock);
    free((char *)(uintptr_t)l->options.dir.at);
    free((char *)(uintptr_t)l->options.gateway_id.at);
    free(l);
}

enum err eventlog_open(const struct eventlog_options *o, struct eventlog **out, struct fault *why)
{
    struct segment_list found = {0};
    int64_t newest_us = INT64_MIN;

    if (o->gateway_id.len > GATEWAY_ID_SIZE_MAX) {
        fault_set(why, o->gateway_id, "the gateway's id is longer than %d bytes", GATEWAY_ID_SIZE_MAX);
        return ERR_RANGE;
    }
    if (o->dir.len == 0) {
        fault_set(why, STR("dir"), "no directory is given for the log");
        return ERR_RANGE;
    }
    struct eventlog *l = make(o);
    enum err e = make_dir(l->place.dir, why);
    if (e == OK)
        e = take_lock(l, why);
    if (e == OK)
        e = durable_open(&l->place, &l->durable_fd, why);
    if (e == OK)
        e = segment_sweep(&l->place, why);
    if (e == OK)
        e = segment_list_read(l->place.dir, &found, why);
    if (e == OK && found.count == 0)
        e = begin_log(l, &found, why);
    if (e == OK)
        e = open_last(l, &found, &newest_us, why);
    if (e == OK) {
        l->keeper = keeper_start(&l->options, &found);
        keeper_on_time(l->keeper, newest_us);
        check(pthread_create(&l->thread, NULL, run, l) == 0);
        *out = l;
    } else {
        release(l);
    }
    segment_list_release(&found);
    return e;
}

void eventlog_close(struct eventlog *l)
{
    if (l == NULL)
        return;
    eventlog_commit(l);
    (void)pthread_mutex_lock(&l->lock);
    l->is_stopping = true;
    (void)pthread_cond_broadcast(&l->work);
    (void)pthread_mutex_unlock(&l->lock);
    (void)pthread_join(l->thread, NULL);
    keeper_stop(l->keeper);
    leave_plain(l);
    release(l);
}
