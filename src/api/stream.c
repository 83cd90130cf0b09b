/* api/stream.c - server-sent events (api.md 2): the log as it becomes durable, to those who watch.
 *
 * A stream begins by reading the log itself, as fast as its peer takes it, until it has caught up; then it goes live:
 * one thread, the feeder, reads each new event once and puts it into the buffer of every live stream that asked for it.
 * So a resumed stream has no gap, and history is never buffered. A live stream whose buffer is full is cut off: what is
 * buffered is sent, then "stream.cut", then the end; the peer comes back with Last-Event-ID.
 *
 * A stream without anything to send sleeps and is woken by the feeder; a comment every 15
 * s shows both sides that the other is there. */
#include "api/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "metrics/metrics.h"

#define HEARTBEAT_MS    15000
#define FEEDER_WAIT_MS  1000 /* the feeder also looks at heartbeats */
#define CATCH_UP_EVENTS 256  /* read in one go before the peer is served again */
#define CATCH_UP_SCAN   4096 /* looked at in one go */
#define CATCH_UP_BYTES  65536
#define EVENT_TEXT_MAX  (4u << 20)
#define CUT_ROOM        512 /* kept free in a buffer for the last event */

struct stream {
    struct link link; /* of all, while open */
    struct streams *all;
    struct http_exchange *x;
    struct event_filter filter;
    char *station;             /* what the filter borrows */
    struct log_reader *reader; /* until live */
    struct str gateway_id;
    uint64_t position; /* of the last event that was looked at */
    struct buf out;
    int64_t heartbeat_due_ms;
    bool is_live, is_asleep, is_ending;
    bool is_gone; /* its peer has left: it ends, and counts no more */
};

struct streams {
    struct api *api;
    pthread_mutex_t lock; /* of the list and, while live, of each stream's buffer and flags */
    pthread_cond_t changed;
    struct link list;
    size_t count, live_count;
    uint64_t fed;   /* position up to which live streams have been given all */
    bool must_seek; /* fed was set anew: the feeder's reader stands elsewhere */
    bool is_stopping, has_thread;
    pthread_t feeder;
    struct log_reader *reader;
};

/* --- the text of a stream --- */

/* False: no room; what was there is whole. */
static bool put_event(struct stream *s, const struct event *e, struct str gateway_id)
{
    size_t before = s->out.len;
    buf_printf(&s->out, "id: %" PRIu64 "\nevent: %.*s\ndata: ", e->position, STR_ARG(event_kinds[e->type].wire));
    event_put(e, gateway_id, 0, &s->out); /* compact JSON: one line */
    buf_put_lit(&s->out, "\n\n");
    if (!s->out.failed)
        return true;
    s->out.failed = false;
    s->out.len = before;
    return false;
}

static void put_last(struct stream *s, const char *type, const char *reason)
{
    s->out.max += CUT_ROOM;
    buf_printf(&s->out, "event: %s\ndata: {\"reason\":\"%s\",\"last_event_id\":\"%" PRIu64 "\"}\n\n", type, reason,
               s->position);
    s->is_ending = true;
}

static void wake(struct stream *s)
{
    if (!s->is_asleep)
        return;
    s->is_asleep = false;
    http_resume(s->x);
}

/* --- the feeder --- */

static void feed_one(struct streams *all, const struct event *e, struct str gateway_id)
{
    for (struct link *l = all->list.next; l != &all->list; l = l->next) {
        struct stream *s = CONTAINER(l, struct stream, link);
        if (!s->is_live || s->is_ending || s->position >= e->position)
            continue;
        if (event_filter_fits(&s->filter, e) && !put_event(s, e, gateway_id)) {
            put_last(s, "stream.cut", "the reader is too slow: come back with Last-Event-ID");
            metric_add(METRIC_STREAMS_CUT, 1);
            LOG_WARN("api.stream_cut", F_INT("position", s->position), F_STR("remote", s->x->remote));
        } else {
            s->position = e->position;
        }
        if (s->out.len > 0)
            wake(s);
    }
    all->fed = e->position;
}

/* A stream whose peer has left counts no more; one that sleeps is woken to end, another finds it out by itself. */
static void drop_gone(struct streams *all)
{
    for (struct link *l = all->list.next; l != &all->list; l = l->next) {
        struct stream *s = CONTAINER(l, struct stream, link);
        if (s->is_gone || !http_peer_is_gone(s->x))
            continue;
        s->is_gone = s->is_ending = true;
        all->count--;
        if (s->is_asleep)
            buf_clear(&s->out);
        wake(s);
    }
}

static void send_heartbeats(struct streams *all, int64_t now_ms)
{
    for (struct link *l = all->list.next; l != &all->list; l = l->next) {
        struct stream *s = CONTAINER(l, struct stream, link);
        if (!s->is_asleep || s->heartbeat_due_ms > now_ms)
            continue;
        buf_put_lit(&s->out, ": here\n\n");
        wake(s);
    }
}

/* Under the lock: the feeder goes on behind what the live streams have. */
static void seek_if_set(struct streams *all)
{
    if (all->must_seek)
        reader_seek(all->reader, all->fed + 1);
    all->must_seek = false;
}

/* Reads what is new, under the lock only for handing it out. */
static void feed(struct streams *all)
{
    struct event e;
    struct fault why;
    for (bool goes_on = true; goes_on;) {
        enum err got = reader_next(all->reader, &e, &why);
        if (got == ERR_CORRUPT)
            continue;
        if (got != OK)
            return;
        pthread_mutex_lock(&all->lock);
        if (all->must_seek)
            seek_if_set(all); /* someone went live meanwhile who does not have what comes before e */
        else
            feed_one(all, &e, reader_gateway(all->reader));
        goes_on = !all->is_stopping && all->live_count > 0;
        pthread_mutex_unlock(&all->lock);
    }
}

/* Sleeps while nobody is live; false: the end. */
static bool wait_for_live(struct streams *all, uint64_t *fed)
{
    pthread_mutex_lock(&all->lock);
    while (!all->is_stopping && all->live_count == 0)
        pthread_cond_wait(&all->changed, &all->lock);
    seek_if_set(all);
    bool goes_on = !all->is_stopping;
    drop_gone(all);
    send_heartbeats(all, clock_monotonic_ms());
    *fed = all->fed;
    pthread_mutex_unlock(&all->lock);
    return goes_on;
}

static void *feeder_run(void *arg)
{
    struct streams *all = arg;
    uint64_t fed;
    while (wait_for_live(all, &fed)) {
        eventlog_wait(all->api->o.log, fed, FEEDER_WAIT_MS);
        feed(all);
    }
    return NULL;
}

/* --- one stream, on the thread of its connection --- */

/* From the log into the buffer; false: nothing is left. */
static bool catch_up(struct stream *s)
{
    struct event e;
    struct fault why;
    unsigned put = 0;
    for (unsigned seen = 0; seen < CATCH_UP_SCAN && put < CATCH_UP_EVENTS && s->out.len < CATCH_UP_BYTES; seen++) {
        enum err got = reader_next(s->reader, &e, &why);
        if (got == ERR_CORRUPT)
            continue;
        if (got != OK)
            return false;
        s->position = e.position;
        if (event_filter_fits(&s->filter, &e))
            put += put_event(s, &e, s->gateway_id);
    }
    return true;
}

/* True: from here on the feeder gives it all. What was published while it caught up and is not read yet: once more. */
static bool go_live(struct stream *s)
{
    struct streams *all = s->all;
    if (all->live_count == 0) {
        all->fed = s->position;
        all->must_seek = true;
    }
    if (s->position < all->fed)
        return false;
    s->is_live = true;
    s->out.max = (size_t)all->api->o.config->api_stream_buffer;
    all->live_count++;
    pthread_cond_signal(&all->changed);
    return true;
}

static long take(struct stream *s, char *to, size_t room)
{
    size_t n = s->out.len < room ? s->out.len : room;
    memcpy(to, s->out.at, n);
    buf_take_front(&s->out, n);
    s->heartbeat_due_ms = clock_monotonic_ms() + HEARTBEAT_MS;
    return (long)n;
}

static long stream_read(void *state, char *to, size_t room)
{
    struct stream *s = state;
    struct streams *all = s->all;
    long n = 0;
    pthread_mutex_lock(&all->lock);
    while (s->out.len == 0 && !s->is_ending && !s->is_live && !all->is_stopping) {
        pthread_mutex_unlock(&all->lock);
        bool has_more = catch_up(s);
        pthread_mutex_lock(&all->lock);
        if (!has_more && s->out.len == 0 && go_live(s))
            break;
    }
    if (all->is_stopping && !s->is_ending)
        put_last(s, "stream.end", "the server is stopping: come back with Last-Event-ID");
    if (s->out.len > 0) {
        n = take(s, to, room);
    } else if (s->is_ending) {
        n = -1;
    } else {
        s->is_asleep = true;
    }
    pthread_mutex_unlock(&all->lock);
    return n;
}

static void stream_free(struct stream *s)
{
    if (s->reader != NULL)
        reader_close(s->reader);
    buf_release(&s->out);
    free(s->station);
    free(s);
}

static void stream_close(void *state)
{
    struct stream *s = state;
    struct streams *all = s->all;
    pthread_mutex_lock(&all->lock);
    list_take(&s->link);
    all->count -= !s->is_gone;
    all->live_count -= s->is_live;
    metric_set(METRIC_STREAMS, (int64_t)all->count);
    pthread_mutex_unlock(&all->lock);
    stream_free(s);
}

/* Where it begins: behind Last-Event-ID, or at a time, or now. */
static bool find_start(struct call *c, struct stream *s)
{
    struct str last = c->x->header[HTTP_LAST_EVENT_ID];
    struct fault why = {"", ""};
    uint64_t oldest = reader_oldest(s->reader);
    s->position = eventlog_durable(c->api->o.log);
    if (last.at == NULL) {
        if (instant_is_set(s->filter.since)) {
            uint64_t first = reader_find_time(s->reader, s->filter.since);
            s->position = first > 0 ? first - 1 : 0;
        }
        return true;
    }
    uint64_t asked;
    if (position_read(last, &asked) != OK || asked > s->position) {
        fault_set(&why, STR("Last-Event-ID"), "no position of this log");
        answer_refused(c, ERR_RANGE, &why);
        return false;
    }
    s->position = asked;
    if (asked + 1 < oldest)
        buf_printf(&s->out,
                   "event: stream.gap\ndata: {\"reason\":\"older events are no longer kept\",\"oldest\":\"%" PRIu64
                   "\"}\n\n",
                   oldest);
    return true;
}

static bool enter(struct streams *all, struct stream *s)
{
    pthread_mutex_lock(&all->lock);
    drop_gone(all);
    bool has_room = !all->is_stopping && all->count < (size_t)all->api->o.config->api_streams_max;
    if (has_room) {
        all->count++;
        list_add_last(&all->list, &s->link);
        metric_set(METRIC_STREAMS, (int64_t)all->count);
    }
    pthread_mutex_unlock(&all->lock);
    return has_room;
}

void handle_event_stream(struct call *c)
{
    struct streams *all = c->api->streams;
    struct fault why = {"", ""};
    struct stream *s = mem_new(1, sizeof *s);
    s->all = all;
    s->x = c->x;
    list_init(&s->link);
    buf_init(&s->out, EVENT_TEXT_MAX + CATCH_UP_BYTES);
    enum err e = event_filter_read(c->query, &s->filter, &why);
    if (e != OK) {
        answer_refused(c, e, &why);
    } else if ((e = reader_open(str_of(c->api->log_dir), &s->reader, &why)) != OK) {
        answer_failure(c, e, &why);
    } else if (find_start(c, s) && !enter(all, s)) {
        answer_error(c, API_TOO_MANY_STREAMS, NULL);
        answer_retry_after(c, 5);
    }
    if (c->x->answer.status != 0) {
        stream_free(s);
        return;
    }
    s->station = s->filter.station.at == NULL ? NULL : strndup(s->filter.station.at, s->filter.station.len);
    s->filter.station = str_of(s->station); /* the call's memory is the exchange's: this is for who reads the struct */
    s->gateway_id = reader_gateway(s->reader);
    reader_only_station(s->reader, s->filter.station);
    reader_seek(s->reader, s->position + 1);
    buf_put_lit(&s->out, "retry: 1000\n: begin\n\n");
    c->x->answer.status = 200;
    c->x->answer.content_type = "text/event-stream";
    http_answer_header(&c->x->answer, "Cache-Control", STR("no-store"));
    c->x->answer.source = (struct http_source){stream_read, stream_close, s};
}

/* --- opening and closing --- */

enum err streams_open(struct api *a, struct fault *why)
{
    struct streams *all = mem_new(1, sizeof *all);
    all->api = a;
    list_init(&all->list);
    check(pthread_mutex_init(&all->lock, NULL) == 0 && pthread_cond_init(&all->changed, NULL) == 0);
    a->streams = all;
    enum err e = reader_open(str_of(a->log_dir), &all->reader, why);
    if (e != OK)
        return e;
    all->has_thread = pthread_create(&all->feeder, NULL, feeder_run, all) == 0;
    return all->has_thread ? OK : ERR_MEMORY;
}

void streams_stop(struct streams *all)
{
    pthread_mutex_lock(&all->lock);
    all->is_stopping = true;
    for (struct link *l = all->list.next; l != &all->list; l = l->next)
        wake(CONTAINER(l, struct stream, link));
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
    if (all->has_thread) {
        eventlog_wake(all->api->o.log);
        (void)pthread_join(all->feeder, NULL);
    }
    all->has_thread = false;
}

void streams_close(struct streams *all)
{
    if (all == NULL)
        return;
    if (all->reader != NULL)
        reader_close(all->reader);
    (void)pthread_cond_destroy(&all->changed);
    (void)pthread_mutex_destroy(&all->lock);
    free(all);
}

size_t streams_count(struct streams *all)
{
    pthread_mutex_lock(&all->lock);
    size_t n = all->count;
    pthread_mutex_unlock(&all->lock);
    return n;
}
