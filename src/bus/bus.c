/* The writer's thread: in turn, what others ask to write, a step of each consumer, and the tick.
 *
 * Requests that wait at the same time share one commit, so that the price of making it durable is paid once for all of
 * them; each has its savepoint, so that one that fails undoes only itself. */
#include "bus/runner.h"

#include "bus/embedded.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define WRITES_A_COMMIT 256
#define TICK_MS         1000
#define WAIT_MS_MOST    1000
#define QUIET_MOST      1000  /* events between two ticks */
#define GROWN_LEAST     10000 /* events that may leave many pages behind */
#define GATHER_LEAST    8     /* events in a round: fewer is no load, and the next are done as they come */
#define WAKE_MS         2     /* a request that came just before the writer began to wait: it is woken again */

const struct migration bus_migrations[] = {{"bus/0001", embedded_0001_bus_sql},
                                           {"bus/0002", embedded_0002_outbox_sql}};
const size_t bus_migration_count = COUNT_OF(bus_migrations);

struct request {
    struct request *next;
    enum err (*fn)(struct db *d, void *arg, struct fault *why);
    void *arg;
    struct fault *why;
    enum err result;
    bool is_done;
};

struct shown {
    struct consumer_status status;
    struct instant seen_until;
};

struct bus {
    struct bus_options options;
    struct db *d;
    struct runner *runners;
    size_t count;
    pthread_t thread;
    pthread_mutex_t lock; /* all below it */
    pthread_cond_t done;
    bool is_running;
    struct request *first, **last;
    struct shown *shown;
    struct haste haste;
    atomic_bool stopping;
    atomic_bool is_gathering;
    int64_t tick_us;      /* monotonic: when the next one is due */
    uint64_t tick_events; /* done at the last one */
    uint64_t trim_events; /* done when the store's pages were given back */
};

static int64_t clock_system_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

struct bus_options bus_options_default(void)
{
    return (struct bus_options){
        .batch_max = 32000,
        .gather_ms = 300,
        .attempts_max = 5,
        .retry_first_ms = 200,
        .retry_most_ms = 30000,
        .parked_max = 10000,
        .clock_us = clock_system_us,
    };
}

static struct instant clock_now(const struct bus *b)
{
    return (struct instant){b->options.clock_us()};
}

static void keep_log(struct bus *b)
{
    uint64_t slowest = UINT64_MAX;
    for (size_t i = 0; i < b->count; i++)
        slowest = b->runners[i].synced < slowest ? b->runners[i].synced : slowest;
    if (b->count > 0)
        eventlog_keep_from(b->options.log, slowest);
}

static void publish(struct bus *b, size_t i)
{
    (void)pthread_mutex_lock(&b->lock);
    b->shown[i].status = b->runners[i].status;
    b->shown[i].seen_until = b->runners[i].seen_until;
    (void)pthread_mutex_unlock(&b->lock);
}

static enum err runners_open(struct bus *b, struct fault *why)
{
    uint64_t durable = eventlog_durable(b->options.log);
    for (size_t i = 0; i < b->options.consumer_count; i++) {
        struct runner *r = &b->runners[i];
        b->count++;
        enum err e = runner_open(r, &b->options, &b->options.consumers[i], b->d, why);
        if (e != OK)
            return e;
        if (r->position > durable) {
            fault_set(why, r->name,
                      "it has seen event %llu, but the log ends at %llu: this store belongs to another log",
                      (unsigned long long)r->position, (unsigned long long)durable);
            return ERR_CORRUPT;
        }
        r->status.position = r->position;
        r->status.state = r->parked_count > 0 ? "retrying" : "running";
        publish(b, i);
    }
    return OK;
}

enum err bus_open(const struct bus_options *o, struct bus **out, struct fault *why)
{
    check(o->log != NULL && o->batch_max > 0 && o->attempts_max > 0 && o->parked_max > 0);
    struct bus *b = mem_new(1, sizeof *b);
    b->options = *o;
    if (b->options.clock_us == NULL)
        b->options.clock_us = clock_system_us;
    b->runners = mem_new(o->consumer_count + 1, sizeof *b->runners);
    b->shown = mem_new(o->consumer_count + 1, sizeof *b->shown);
    b->last = &b->first;
    (void)pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&b->done, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    enum err e = db_open(o->db_path, DB_WRITER, &b->d, why);
    if (e == OK)
        e = db_migrate(b->d, bus_migrations, bus_migration_count, why);
    if (e == OK)
        e = runners_open(b, why);
    if (e == OK) {
        keep_log(b);
        e = db_set_durable(b->d, false);
    }
    if (e != OK) {
        bus_close(b);
        return e;
    }
    *out = b;
    return OK;
}

void bus_close(struct bus *b)
{
    if (b == NULL)
        return;
    check(!b->is_running);
    for (size_t i = 0; i < b->count; i++)
        runner_release(&b->runners[i]);
    db_close(b->d);
    (void)pthread_cond_destroy(&b->done);
    (void)pthread_mutex_destroy(&b->lock);
    free(b->runners);
    free(b->shown);
    free(b);
}

/* ---- what others write ---- */

static void request_run(struct bus *b, struct request *q, bool is_alone)
{
    if (is_alone) {
        q->result = q->fn(b->d, q->arg, q->why);
        return;
    }
    q->result = db_begin(b->d);
    if (q->result != OK)
        return;
    q->result = q->fn(b->d, q->arg, q->why);
    if (q->result == OK)
        q->result = db_commit(b->d);
    else
        db_rollback(b->d);
}

/* A dead letter that is to be retried has become a parked event. */
static void look_at_parked(struct bus *b)
{
    size_t known = 0, there = 0;
    for (size_t i = 0; i < b->count; i++)
        known += b->runners[i].parked_count;
    struct db_rows *r = DB_ROWS(b->d, "SELECT count(*) FROM parked");
    if (db_next(r))
        there = (size_t)db_col_int(r, 0);
    if (db_rows_end(r) == OK && there == known)
        return;
    for (size_t i = 0; i < b->count; i++)
        b->runners[i].is_stale = true;
}

/* A chain of requests in one durable transaction. Sets their results, not is_done. */
static void requests_run(struct bus *b, struct request *chain)
{
    bool is_alone = chain->next == NULL, is_kept = false;
    enum err e = db_set_durable(b->d, true);
    if (e == OK)
        e = db_begin(b->d);
    if (e == OK) {
        for (struct request *q = chain; q != NULL; q = q->next) {
            request_run(b, q, is_alone);
            is_kept = is_kept || q->result == OK;
        }
        if (is_kept)
            e = db_commit(b->d);
        else
            db_rollback(b->d);
    }
    for (struct request *q = chain; e != OK && q != NULL; q = q->next) {
        q->result = e;
        fault_set(q->why, STR("store"), "%s", db_reason(b->d));
    }
    look_at_parked(b);
    if (db_set_durable(b->d, false) != OK)
        return; /* it stays durable: slower, and asked again with the next */
}

/* The requests that wait now, some of them at least. False: there were none. */
static bool requests_serve(struct bus *b)
{
    (void)pthread_mutex_lock(&b->lock);
    struct request *chain = b->first, *end = chain;
    for (int i = 1; end != NULL && end->next != NULL && i < WRITES_A_COMMIT; i++)
        end = end->next;
    if (end != NULL) {
        b->first = end->next;
        end->next = NULL;
    }
    if (b->first == NULL) {
        b->last = &b->first;
        atomic_store(&b->haste.to_write, atomic_load(&b->stopping));
    }
    (void)pthread_mutex_unlock(&b->lock);
    if (chain == NULL)
        return false;
    requests_run(b, chain);
    (void)pthread_mutex_lock(&b->lock);
    for (struct request *next; chain != NULL; chain = next) {
        next = chain->next; /* it is its waiter's again once it is done */
        chain->is_done = true;
    }
    (void)pthread_cond_broadcast(&b->done);
    (void)pthread_mutex_unlock(&b->lock);
    return true;
}

static void request_wait(struct bus *b, const struct request *q)
{
    while (!q->is_done) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WAKE_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec++;
        }
        if (pthread_cond_timedwait(&b->done, &b->lock, &until) == ETIMEDOUT && !q->is_done)
            eventlog_wake(b->options.log);
    }
}

enum err bus_write(struct bus *b, enum err (*fn)(struct db *d, void *arg, struct fault *why), void *arg,
                   struct fault *why)
{
    struct request q = {.fn = fn, .arg = arg, .why = why};
    (void)pthread_mutex_lock(&b->lock);
    if (!b->is_running) {
        requests_run(b, &q);
    } else {
        check(!pthread_equal(pthread_self(), b->thread));
        *b->last = &q;
        /* cppcheck-suppress autoVariables ; we wait below until it has left the queue */
        b->last = &q.next;
        atomic_store(&b->haste.to_write, true);
        eventlog_wake(b->options.log);
        request_wait(b, &q);
    }
    (void)pthread_mutex_unlock(&b->lock);
    return q.result;
}

/* ---- consumers ---- */

/* Cursors as they stand, on disk: only from there on may the log be shortened. */
static void positions_sync(struct bus *b)
{
    bool is_moved = false;
    for (size_t i = 0; i < b->count; i++)
        is_moved = is_moved || b->runners[i].position != b->runners[i].synced;
    if (!is_moved || db_set_durable(b->d, true) != OK)
        return;
    enum err e = db_begin(b->d);
    if (e == OK) {
        for (size_t i = 0; i < b->count && e == OK; i++)
            e = runner_store_position(&b->runners[i], b->d);
        if (e == OK)
            e = db_commit(b->d);
        else
            db_rollback(b->d);
    }
    for (size_t i = 0; i < b->count && e == OK; i++)
        b->runners[i].synced = b->runners[i].position;
    if (e == OK)
        keep_log(b);
    if (db_set_durable(b->d, false) != OK)
        return; /* as in requests_run */
}

static uint64_t events_done(const struct bus *b)
{
    uint64_t done = 0;
    for (size_t i = 0; i < b->count; i++)
        done += b->runners[i].status.events;
    return done;
}

/* Once it is quiet after a rush, neither the store nor the readers need keep what the rush left. */
static void trim_when_quiet(struct bus *b)
{
    uint64_t done = events_done(b);
    bool is_quiet = done - b->tick_events < QUIET_MOST;
    b->tick_events = done;
    if (!is_quiet)
        return;
    for (size_t i = 0; i < b->count; i++)
        reader_trim(b->runners[i].reader);
    if (done - b->trim_events < GROWN_LEAST)
        return;
    b->trim_events = done;
    db_trim(b->d);
}

static void tick(struct bus *b)
{
    b->tick_us = monotonic_us() + TICK_MS * 1000;
    for (size_t i = 0; i < b->count; i++) {
        runner_tick(&b->runners[i], b->d, clock_now(b));
        publish(b, i);
    }
    positions_sync(b);
    trim_when_quiet(b);
}

/* A step of each. *refused: the first whom the store refused; why is its reason. */
static bool consumers_step(struct bus *b, struct runner **refused, struct fault *why)
{
    bool is_worked = false;
    for (size_t i = 0; i < b->count; i++) {
        struct fault own = {{0}, {0}};
        enum step s = runner_step(&b->runners[i], b->d, clock_now(b), &b->haste, &own);
        publish(b, i);
        is_worked = is_worked || s == STEP_WORKED;
        if (s == STEP_REFUSED && *refused == NULL) {
            *refused = &b->runners[i];
            fault_set(why, b->runners[i].name, "%s", b->runners[i].status.last_error);
        }
        if (b->is_running)
            (void)requests_serve(b);
    }
    return is_worked;
}

enum err bus_catch_up(struct bus *b, struct fault *why)
{
    check(!b->is_running);
    struct runner *refused = NULL;
    while (consumers_step(b, &refused, why) && refused == NULL)
        ;
    if (refused != NULL)
        return db_refusal(b->d) != OK ? db_refusal(b->d) : ERR_IO;
    tick(b);
    return OK;
}

/* Until there may be something to do: an event, a request, a parked one that is due, the tick. */
static void wait_for_work(struct bus *b, uint64_t durable)
{
    int64_t now_us = clock_now(b).us, wait_us = b->tick_us - monotonic_us();
    for (size_t i = 0; i < b->count; i++) {
        const struct runner *r = &b->runners[i];
        int64_t until_us = r->stand_ms > 0 ? r->stand_until.us : instant_is_set(r->due) ? r->due.us : INT64_MAX;
        if (until_us != INT64_MAX && until_us - now_us < wait_us)
            wait_us = until_us - now_us;
    }
    int wait_ms = wait_us > WAIT_MS_MOST * 1000 ? WAIT_MS_MOST : wait_us < 1000 ? 1 : (int)(wait_us / 1000);
    if (!atomic_load(&b->haste.to_write))
        eventlog_wait(b->options.log, durable, wait_ms);
}

/* Whoever can go on has seen all up to there. */
static bool is_drained(const struct bus *b, uint64_t durable)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->runners[i].position < durable && b->runners[i].stand_ms == 0 && !b->runners[i].is_full)
            return false;
    return true;
}

void bus_hasten(struct bus *b, uint64_t position)
{
    uint64_t wanted = atomic_load(&b->haste.wanted);
    while (wanted < position && !atomic_compare_exchange_weak(&b->haste.wanted, &wanted, position))
        ;
    /* The gatherer says that it gathers before it looks at what is wanted, so one of the two sees the other. */
    if (wanted < position && atomic_exchange(&b->is_gathering, false))
        eventlog_wake(b->options.log);
}

/* Where the events end that are to come together: behind a full batch, or where someone waits for them. */
static uint64_t enough_after(struct bus *b, uint64_t seen)
{
    const uint64_t wanted = atomic_load(&b->haste.wanted), full = seen + b->options.batch_max;
    return wanted > seen && wanted < full ? wanted : full;
}

/* Until enough events are there, or the time is over. Whoever writes is served meanwhile. */
static void gather(struct bus *b, uint64_t seen)
{
    int64_t until_us = monotonic_us() + (int64_t)b->options.gather_ms * 1000, left_us;
    while (!atomic_load(&b->stopping) && (left_us = until_us - monotonic_us()) >= 1000) {
        atomic_store(&b->is_gathering, true);
        const uint64_t enough = enough_after(b, seen);
        if (eventlog_durable(b->options.log) >= enough)
            break;
        eventlog_wait(b->options.log, enough - 1, (int)(left_us / 1000));
        (void)requests_serve(b);
    }
    atomic_store(&b->is_gathering, false);
}

static void *bus_thread(void *data)
{
    struct bus *b = data;
    (void)pthread_setname_np(pthread_self(), "consumers");
    while (!atomic_load(&b->stopping)) {
        /* Asked before reading: what comes meanwhile ends the wait. */
        uint64_t durable = eventlog_durable(b->options.log);
        uint64_t before = events_done(b);
        struct runner *refused = NULL;
        struct fault why;
        (void)requests_serve(b);
        bool is_worked = consumers_step(b, &refused, &why);
        if (monotonic_us() >= b->tick_us)
            tick(b);
        if (!is_worked)
            wait_for_work(b, durable);
        else if (events_done(b) - before >= GATHER_LEAST && is_drained(b, durable))
            gather(b, durable);
    }
    return NULL;
}

enum err bus_start(struct bus *b)
{
    check(!b->is_running);
    b->tick_us = monotonic_us() + TICK_MS * 1000;
    atomic_store(&b->stopping, false);
    atomic_store(&b->haste.to_write, false);
    (void)pthread_mutex_lock(&b->lock);
    b->is_running = true;
    if (pthread_create(&b->thread, NULL, bus_thread, b) != 0)
        b->is_running = false;
    bool is_running = b->is_running;
    (void)pthread_mutex_unlock(&b->lock);
    return is_running ? OK : ERR_LIMIT;
}

void bus_stop(struct bus *b)
{
    if (!b->is_running)
        return;
    atomic_store(&b->stopping, true);
    atomic_store(&b->haste.to_write, true);
    eventlog_wake(b->options.log);
    (void)pthread_join(b->thread, NULL);
    positions_sync(b); /* this thread is the writer now */
    while (b->is_running) {
        (void)requests_serve(b);
        (void)pthread_mutex_lock(&b->lock);
        b->is_running = b->first != NULL; /* those that came while it ended */
        (void)pthread_mutex_unlock(&b->lock);
    }
}

/* ---- status ---- */

size_t bus_consumer_count(const struct bus *b)
{
    return b->count;
}

void bus_status(struct bus *b, size_t consumer_index, struct consumer_status *out)
{
    check(consumer_index < b->count);
    (void)pthread_mutex_lock(&b->lock);
    struct shown shown = b->shown[consumer_index];
    (void)pthread_mutex_unlock(&b->lock);
    uint64_t durable = eventlog_durable(b->options.log);
    *out = shown.status;
    if (durable <= out->position)
        return;
    out->lag_events = durable - out->position;
    if (instant_is_set(shown.seen_until)) {
        int64_t lag_us = instant_since(clock_now(b), shown.seen_until).us;
        out->lag_ms = lag_us > 0 ? lag_us / 1000 : 0;
    }
}
