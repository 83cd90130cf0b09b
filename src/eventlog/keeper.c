/* eventlog/keeper.c - the thread that keeps a log in order.
 *
 * What it is told only sets marks; it then goes over everything that may be due. What fails (a full disk) is tried
 * again at the next mark or tick. */
#include "eventlog/keeper.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_S 15 /* between tries of what could not be done */

struct kept {
    uint64_t first;
    int64_t bytes;
    int64_t first_at, last_at; /* INT64_MIN: not read yet */
    bool is_settled;
};
struct keeper {
    struct segment_options options;
    int64_t keep_s, keep_bytes;
    pthread_t thread;
    pthread_mutex_t lock;      /* all below */
    pthread_cond_t due;
    struct kept *all; /* by position; the last is open */
    size_t count, room;
    bool has_work, is_stopping;
    uint64_t keep_from;
    int64_t newest_us;
    struct fault trouble;
};

static void add_kept(struct keeper *k, uint64_t first)
{
    if (k->count == k->room) {
        k->room = k->room == 0 ? 16 : 2 * k->room;
        k->all = mem_grow(k->all, k->room, sizeof *k->all);
    }
    k->all[k->count++] = (struct kept){.first = first, .first_at = INT64_MIN, .last_at = INT64_MIN};
}

static void set_trouble(struct keeper *k, const struct fault *why)
{
    (void)pthread_mutex_lock(&k->lock);
    k->trouble = *why;
    (void)pthread_mutex_unlock(&k->lock);
}

/* true: nothing is left to do for it. */
static bool settle(struct keeper *k, uint64_t first, uint64_t end)
{
    struct segment *s = NULL;
    struct fault why = {0};
    enum err e = segment_open(&k->options, first, SEGMENT_TO_WRITE, &s, &why);

    if (e == OK && !s->is_sealed)
        e = segment_seal(s, end, &why);
    segment_close(s);
    if (e != OK)
        set_trouble(k, &why);
    return e == OK || e == ERR_CORRUPT || e == ERR_UNSUPPORTED; /* a damaged one gets no better */
}

static void settle_all(struct keeper *k)
{
    (void)pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i + 1 < k->count; i++) {
        uint64_t first = k->all[i].first, end = k->all[i + 1].first;
        if (k->all[i].is_settled)
            continue;
        (void)pthread_mutex_unlock(&k->lock);
        bool is_settled = settle(k, first, end);
        int64_t bytes = segment_disk_size(k->options.dir, first);
        (void)pthread_mutex_lock(&k->lock);
        k->all[i].is_settled = is_settled; /* only this thread takes entries away: i is still the same one */
        k->all[i].bytes = bytes;
    }
    (void)pthread_mutex_unlock(&k->lock);
}

/* The times of the oldest segment: for whether it is too old, and for the figures. */
static void read_times(struct keeper *k, uint64_t first, uint64_t end)
{
    struct segment *s = NULL;
    struct batch_row low, high;
    struct fault why = {0};
    enum err e = segment_open(&k->options, first, SEGMENT_TO_READ, &s, &why);
    bool is_ended = e == OK && end != UINT64_MAX;

    if (e == OK)
        e = segment_read_head(s, SEGMENT_HEAD_SIZE, &low, &why);
    if (e == OK && is_ended)
        e = segment_look(s, NULL, end, &why);
    if (e == OK && is_ended)
        e = segment_find(s, SEGMENT_FLOOR, end - 1, &high, &why);
    segment_close(s);
    if (e != OK)
        return;
    (void)pthread_mutex_lock(&k->lock);
    k->all[0].first_at = low.head.first_at;
    if (is_ended)
        k->all[0].last_at = high.head.last_at;
    (void)pthread_mutex_unlock(&k->lock);
}

/* Whether the oldest segment may go, and must. Under the lock. */
static bool is_droppable(const struct keeper *k)
{
    int64_t bytes = 0;

    if (k->count < 2 || k->all[1].first - 1 > k->keep_from)
        return false;
    for (size_t i = 0; i < k->count; i++)
        bytes += k->all[i].bytes;
    if (k->keep_bytes > 0 && bytes > k->keep_bytes)
        return true;
    const int64_t last_at = k->all[0].last_at;
    return k->keep_s > 0 && last_at != INT64_MIN && k->newest_us != INT64_MIN && last_at < k->newest_us &&
           (k->newest_us - last_at) / 1000000 > k->keep_s;
}

static void drop_old(struct keeper *k)
{
    struct fault why = {0};
    bool goes_on = true;

    while (goes_on) {
        (void)pthread_mutex_lock(&k->lock);
        uint64_t first = k->all[0].first, end = k->count > 1 ? k->all[1].first : UINT64_MAX;
        uint64_t open_first = k->all[k->count - 1].first;
        bool is_known = k->all[0].first_at != INT64_MIN && (k->count == 1 || k->all[0].last_at != INT64_MIN);
        (void)pthread_mutex_unlock(&k->lock);
        int64_t open_bytes = segment_disk_size(k->options.dir, open_first);
        if (!is_known)
            read_times(k, first, end);

        (void)pthread_mutex_lock(&k->lock);
        if (k->all[k->count - 1].first == open_first)
            k->all[k->count - 1].bytes = open_bytes;
        goes_on = is_droppable(k);
        (void)pthread_mutex_unlock(&k->lock);
        if (!goes_on)
            break;
        if (segment_remove(&k->options, first, &why) != OK) {
            set_trouble(k, &why);
            break;
        }
        (void)pthread_mutex_lock(&k->lock);
        memmove(k->all, k->all + 1, --k->count * sizeof *k->all);
        (void)pthread_mutex_unlock(&k->lock);
    }
}

static void *run(void *arg)
{
    struct keeper *k = arg;
    bool is_stopping = false;

    (void)pthread_setname_np(pthread_self(), "keeper");
    while (!is_stopping) {
        (void)pthread_mutex_lock(&k->lock);
        if (!k->has_work && !k->is_stopping) {
            struct timespec until;
            (void)clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += TICK_S;
            (void)pthread_cond_timedwait(&k->due, &k->lock, &until);
        }
        is_stopping = k->is_stopping;
        k->has_work = false;
        k->trouble.reason[0] = 0;
        (void)pthread_mutex_unlock(&k->lock);

        drop_old(k); /* first: it makes room for the rest */
        settle_all(k);
        drop_old(k); /* again: sizes are known now */
    }
    return NULL;
}

struct keeper *keeper_start(const struct eventlog_options *o, const struct segment_list *found)
{
    struct keeper *k = mem_new(1, sizeof *k);
    pthread_condattr_t attr;

    k->options = (struct segment_options){o->dir, o->files, o->sync};
    k->keep_s = o->keep_s;
    k->keep_bytes = o->keep_bytes;
    k->newest_us = INT64_MIN;
    k->has_work = true;
    for (size_t i = 0; i < found->count; i++) {
        add_kept(k, found->firsts[i]);
        k->all[i].bytes = segment_disk_size(o->dir, found->firsts[i]);
    }
    (void)pthread_mutex_init(&k->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&k->due, &attr);
    (void)pthread_condattr_destroy(&attr);
    check(pthread_create(&k->thread, NULL, run, k) == 0);
    return k;
}

void keeper_stop(struct keeper *k)
{
    if (k == NULL)
        return;
    (void)pthread_mutex_lock(&k->lock);
    k->is_stopping = true;
    (void)pthread_cond_signal(&k->due);
    (void)pthread_mutex_unlock(&k->lock);
    (void)pthread_join(k->thread, NULL);
    (void)pthread_mutex_destroy(&k->lock);
    (void)pthread_cond_destroy(&k->due);
    free(k->all);
    free(k);
}

/* Under the lock. */
static void call(struct keeper *k)
{
    k->has_work = true;
    (void)pthread_cond_signal(&k->due);
}

void keeper_on_segment(struct keeper *k, uint64_t first)
{
    (void)pthread_mutex_lock(&k->lock);
    if (k->all[k->count - 1].first != first) /* else the empty one was replaced */
        add_kept(k, first);
    call(k);
    (void)pthread_mutex_unlock(&k->lock);
}

void keeper_on_time(struct keeper *k, int64_t newest_us)
{
    (void)pthread_mutex_lock(&k->lock);
    if (newest_us > k->newest_us)
        k->newest_us = newest_us;
    (void)pthread_mutex_unlock(&k->lock);
}

void keeper_keep_from(struct keeper *k, uint64_t position)
{
    (void)pthread_mutex_lock(&k->lock);
    bool may_drop = k->count > 1 && k->all[1].first - 1 > k->keep_from && k->all[1].first - 1 <= position;
    k->keep_from = position;
    if (may_drop)
        call(k);
    (void)pthread_mutex_unlock(&k->lock);
}

void keeper_stats(struct keeper *k, struct keeper_stats *out)
{
    (void)pthread_mutex_lock(&k->lock);
    *out = (struct keeper_stats){
        .oldest = k->all[0].first,
        .oldest_at = {k->all[0].first_at}, /* INT64_MIN is INSTANT_NONE */
        .segments = (unsigned)k->count,
        .trouble = k->trouble,
    };
    for (size_t i = 0; i + 1 < k->count; i++)
        out->bytes += k->all[i].bytes;
    uint64_t open_first = k->all[k->count - 1].first;
    (void)pthread_mutex_unlock(&k->lock);
    out->bytes += segment_disk_size(k->options.dir, open_first);
}
