/* A batch ends by count, by time (so that other writes are never kept waiting long) or where the log ends. Its greatest
 * count halves when the whole of it took too long, gathered writes at its end included, and doubles again when it did
 * not. */
#include "bus/runner.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define BATCH_US        200000 /* after which a batch takes no more events */
#define BATCH_WANTED_US 50000  /* likewise while someone waits for what it does */
#define BATCH_HURRY_US  10000  /* and while someone waits to write */
#define BATCH_LEAST     16
#define LOOK_EVERY      16   /* events between two looks at the clock */
#define SCAN_FACTOR     32   /* events read and not wanted cost little: so many batches of them in one step */
#define STAND_MS_FIRST 100
#define STAND_MS_MOST  10000
#define ERROR_TEXT_MAX 320

int64_t monotonic_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- stations that wait ---- */

static struct str station_key(const struct event *e)
{
    return e->station.at == NULL ? STR("") : e->station;
}

static void waiting_add(struct runner *r, struct str station)
{
    if (map_find(&r->waiting, station) != NULL)
        return;
    char *copy = mem_new(station.len + 1, 1);
    if (station.len > 0)
        memcpy(copy, station.at, station.len);
    (void)map_put(&r->waiting, (struct str){copy, station.len}, copy);
}

static void waiting_remove(struct runner *r, struct str station)
{
    free(map_take(&r->waiting, station));
}

static void waiting_clear(struct runner *r)
{
    char *name;
    for (size_t i = 0; (name = map_next(&r->waiting, &i)) != NULL;)
        free(name);
    map_release(&r->waiting);
    map_init(&r->waiting, r->map_key);
}

static enum err reload(struct runner *r, struct db *d)
{
    waiting_clear(r);
    r->parked_count = 0;
    struct db_rows *rows =
        DB_ROWS(d, "SELECT station, count(*) FROM parked WHERE consumer=?1 GROUP BY station", db_text(r->name));
    while (db_next(rows)) {
        waiting_add(r, db_col_text(rows, 0));
        r->parked_count += (size_t)db_col_int(rows, 1);
    }
    enum err e = db_rows_end(rows);
    if (e == OK)
        e = parked_next_due(d, r->name, &r->due);
    r->is_stale = e != OK;
    return e;
}

/* ---- failures ---- */

static void error_write(struct db *d, enum err e, const struct fault *why, char out[ERROR_TEXT_MAX])
{
    const char *reason = why->reason[0] != '\0' ? why->reason : db_reason(d);
    (void)snprintf(out, ERROR_TEXT_MAX, "%s%s%s%s%s", err_text(e), why->field[0] == '\0' ? "" : ": ", why->field,
                   reason[0] == '\0' ? "" : ": ", reason);
}

static int pause_ms(const struct bus_options *o, int attempts)
{
    int64_t pause = o->retry_first_ms;
    for (int i = 1; i < attempts && pause < o->retry_most_ms; i++)
        pause *= 2;
    return (int)(pause < o->retry_most_ms ? pause : o->retry_most_ms);
}

/* An event whose attempt number `attempts` failed: parked, put back, or given up. */
static enum err settle(struct runner *r, struct db *d, const struct event *e, struct failure *f)
{
    bool is_last = true;
    if (!instant_is_set(f->first_failed_at))
        f->first_failed_at = f->at;
    f->next_try_at = instant_add(f->at, SPAN_MS(pause_ms(r->options, f->attempts)));
    r->status.errors++;
    str_copy(r->status.last_error, sizeof r->status.last_error, str_of(f->error));
    enum err result;
    if (f->attempts < r->options->attempts_max) {
        LOG_WARN("event.parked", F_STR("consumer", r->name), F_STR("station", e->station),
                 F_INT("position", e->position), F_STR("type", event_kinds[e->type].wire),
                 F_INT("attempts", f->attempts), F_CSTR("err", f->error));
        if (f->is_parked)
            return parked_fail(d, r->name, e, f);
        result = parked_add(d, r->name, e, f);
        if (result == OK) {
            waiting_add(r, station_key(e));
            r->parked_count++;
        }
        return result;
    }
    LOG_ERROR("event.dead_letter", F_STR("consumer", r->name), F_STR("station", e->station),
              F_INT("position", e->position), F_STR("type", event_kinds[e->type].wire), F_INT("attempts", f->attempts),
              F_CSTR("err", f->error));
    r->status.dead_letters++;
    result = dead_letter_add(d, r->name, e, reader_gateway(r->reader), f);
    if (result != OK || !f->is_parked)
        return result;
    result = parked_remove(d, r->name, e, f->at, &is_last);
    r->parked_count--;
    if (is_last)
        waiting_remove(r, station_key(e));
    return result;
}

/* What follows from one event, as a batch of its own; inside a transaction. */
static enum err effects(struct runner *r, struct db *d, const struct event *e, struct fault *why)
{
    const struct consumer *c = r->consumer;
    enum err result = c->on_batch_begin == NULL ? OK : c->on_batch_begin(c->state, d);
    if (result == OK)
        result = c->on_event(c->state, d, e, why);
    if (result == OK && c->on_batch_end != NULL)
        result = c->on_batch_end(c->state, d, why);
    return result;
}

static void undo(struct runner *r, struct db *d)
{
    db_rollback(d);
    if (r->consumer->on_batch_undone != NULL)
        r->consumer->on_batch_undone(r->consumer->state);
}

static enum err commit(struct runner *r, struct db *d)
{
    enum err e = db_commit(d);
    if (e != OK && r->consumer->on_batch_undone != NULL)
        r->consumer->on_batch_undone(r->consumer->state);
    return e;
}

static struct instant clock_now(const struct runner *r)
{
    return (struct instant){r->options->clock_us()};
}

enum err runner_store_position(struct runner *r, struct db *d)
{
    return DB_RUN(d, "UPDATE consumers SET position=?2 WHERE name=?1", db_text(r->name), db_int((int64_t)r->position));
}

/* Ends a transaction with the cursor behind what was done in it; undoes it where that fails. */
static enum err commit_to(struct runner *r, struct db *d, uint64_t position)
{
    const uint64_t before = r->position;
    enum err result = OK;
    r->position = position;
#ifdef DEFECT_CURSOR_APART /* planted: the cursor in a transaction of its own, and only now and then */
    result = db_commit(d);
    if (result == OK)
        result = db_begin(d);
    if (result == OK && position % 8 == 0)
        result = runner_store_position(r, d);
#else
    result = runner_store_position(r, d);
#endif
    if (result == OK)
        result = commit(r, d); /* one that fails has undone all */
    else
        undo(r, d);
    if (result != OK)
        r->position = before;
    return result;
}

/* A transaction in which an event that failed is settled in its row; *position: where the cursor moves to, NULL: it
 * stays. */
static enum err settle_apart(struct runner *r, struct db *d, const struct event *e, struct failure *f,
                             const uint64_t *position)
{
    enum err result = db_begin(d);
    if (result != OK)
        return result;
    result = settle(r, d, e, f);
    if (result == OK)
        return position == NULL ? commit(r, d) : commit_to(r, d, *position);
    undo(r, d);
    return result;
}

/* ---- batches ---- */

struct batch {
    bool is_slow, is_begun; /* slow: each event is a transaction; begun: else, the one of them all */
    uint64_t last;          /* seen */
    unsigned wanted, scanned;
    bool is_drained;
    struct instant newest;
    int64_t started_us;
    const struct haste *haste;
};

static int64_t usual_us(const struct runner *r, const struct haste *h)
{
    return atomic_load_explicit(&h->wanted, memory_order_relaxed) > r->position ? BATCH_WANTED_US : BATCH_US;
}

static int64_t batch_us(const struct runner *r, const struct haste *h)
{
    return atomic_load_explicit(&h->to_write, memory_order_relaxed) ? BATCH_HURRY_US : usual_us(r, h);
}

static bool batch_is_over(const struct runner *r, const struct batch *b)
{
    if (b->is_slow && b->last >= r->slow_until)
        return true;
    if (b->wanted >= r->batch_limit || b->scanned >= r->batch_limit * SCAN_FACTOR ||
        r->parked_count >= r->options->parked_max)
        return true;
    if (b->scanned == 0 || b->scanned % LOOK_EVERY != 0)
        return false;
    return monotonic_us() - b->started_us >= batch_us(r, b->haste);
}

/* The next event; a damaged batch of the log is told and stepped over, since nothing can bring it back. */
static enum err batch_next(struct runner *r, struct event *e)
{
    struct fault why = {{0}, {0}};
    enum err result;
    while ((result = reader_next(r->reader, e, &why)) == ERR_CORRUPT) {
        r->status.errors++;
        str_copy(r->status.last_error, sizeof r->status.last_error, str_of(why.reason));
        LOG_ERROR("log.damaged", F_STR("consumer", r->name), F_INT("after", r->position), F_CSTR("where", why.field),
                  F_CSTR("err", why.reason));
    }
    return result;
}

static bool must_wait(const struct runner *r, const struct event *e)
{
    return r->parked_count > 0 && map_find(&r->waiting, station_key(e)) != NULL;
}

static enum err wait_behind(struct runner *r, struct db *d, const struct event *e)
{
    struct failure behind = {false, 0, INSTANT_NONE, INSTANT_NONE, INSTANT_NONE, NULL};
    enum err result = parked_add(d, r->name, e, &behind);
    if (result == OK)
        r->parked_count++;
    return result;
}

static enum err batch_event(struct runner *r, struct db *d, struct batch *b, const struct event *e, struct fault *why)
{
    const struct consumer *c = r->consumer;
    if (!b->is_begun) {
        enum err result = db_begin(d);
        if (result != OK)
            return result;
        b->is_begun = true;
        if (c->on_batch_begin != NULL)
            result = c->on_batch_begin(c->state, d);
        if (result != OK)
            return result;
    }
    return must_wait(r, e) ? wait_behind(r, d, e) : c->on_event(c->state, d, e, why);
}

static void tell_committed(const struct runner *r)
{
    if (r->consumer->on_committed != NULL)
        r->consumer->on_committed(r->consumer->state, r->position);
}

/* One that fails is settled in its row; what comes back is only the store's own trouble. */
static enum err event_alone(struct runner *r, struct db *d, const struct event *e)
{
    struct fault why = {{0}, {0}};
    char text[ERROR_TEXT_MAX];
    enum err result = db_begin(d);
    if (result != OK)
        return result;
    result = must_wait(r, e) ? wait_behind(r, d, e) : effects(r, d, e, &why);
    if (result == OK) {
        result = commit_to(r, d, e->position);
        if (result == OK)
            tell_committed(r);
        return result;
    }
    error_write(d, result, &why, text);
    undo(r, d);
    if (db_refusal(d) != OK)
        return result;
    struct failure first = {false, 1, INSTANT_NONE, clock_now(r), INSTANT_NONE, text};
    return settle_apart(r, d, e, &first, &e->position);
}

static enum err batch_end(struct runner *r, struct db *d, struct batch *b, struct fault *why)
{
    const struct consumer *c = r->consumer;
    enum err result = c->on_batch_end == NULL ? OK : c->on_batch_end(c->state, d, why);
    if (result != OK)
        return result;
    b->is_begun = false;
    return commit_to(r, d, b->last);
}

/* Reads and does events up to the end of the batch. On an error all of it is undone. */
static enum err batch_run(struct runner *r, struct db *d, struct batch *b, struct fault *why)
{
    enum err result = OK;
    b->last = r->position;
    while (result == OK && !batch_is_over(r, b)) {
        struct event e;
        result = batch_next(r, &e);
        if (result == ERR_AGAIN) {
            b->is_drained = true;
            result = OK;
            break;
        }
        if (result != OK)
            break;
        b->scanned++;
        b->last = e.position;
        b->newest = e.received;
        if (e.type >= EVENT_TYPE_COUNT || !r->consumer->wants[e.type])
            continue;
        b->wanted++;
        result = b->is_slow ? event_alone(r, d, &e) : batch_event(r, d, b, &e, why);
    }
    if (result == OK && b->is_begun)
        result = batch_end(r, d, b, why);
    if (result != OK && b->is_begun)
        undo(r, d);
    return result;
}

static void stand(struct runner *r, enum err e, const struct fault *why, struct db *d, struct instant now)
{
    char text[ERROR_TEXT_MAX];
    error_write(d, e, why, text);
    if (r->stand_ms == 0)
        LOG_ERROR("consumer.standing", F_STR("consumer", r->name), F_INT("position", r->position), F_CSTR("err", text));
    r->stand_ms = r->stand_ms == 0 ? STAND_MS_FIRST : r->stand_ms * 2 < STAND_MS_MOST ? r->stand_ms * 2 : STAND_MS_MOST;
    r->stand_until = instant_add(now, SPAN_MS(r->stand_ms));
    r->is_stale = true;
    r->status.errors++;
    str_copy(r->status.last_error, sizeof r->status.last_error, str_of(text));
}

static void batch_account(struct runner *r, const struct batch *b, struct instant now)
{
    const int64_t took_us = monotonic_us() - b->started_us, usual = usual_us(r, b->haste);
    r->seen_until = b->is_drained ? now : b->newest;
    if (b->wanted == 0)
        return;
    r->status.events += b->wanted;
    r->status.batches++;
    r->status.busy_us += (uint64_t)took_us;
    if (took_us > 2 * usual && r->batch_limit > BATCH_LEAST)
        r->batch_limit /= 2;
    else if (took_us < usual && r->batch_limit < r->options->batch_max)
        r->batch_limit = r->batch_limit * 2 < r->options->batch_max ? r->batch_limit * 2 : r->options->batch_max;
}

/* A service that is switched off: its cursor goes along. */
static enum step pass_over(struct runner *r, struct instant now)
{
    const uint64_t durable = eventlog_durable(r->options->log);
    r->position = durable > r->position ? durable : r->position;
    r->seen_until = now;
    return STEP_IDLE;
}

static enum step batch_step(struct runner *r, struct db *d, struct instant now, const struct haste *haste,
                            struct fault *why)
{
    if (!r->wants_any)
        return pass_over(r, now);
    struct batch b = {.is_slow = r->position < r->slow_until, .haste = haste, .started_us = monotonic_us()};
    enum err e = batch_run(r, d, &b, why);
    if (e != OK && !b.is_slow && b.wanted > 0 && db_refusal(d) == OK) {
        r->slow_until = b.last;
        b = (struct batch){.is_slow = true, .haste = haste, .started_us = b.started_us};
        *why = (struct fault){{0}, {0}};
        reader_seek(r->reader, r->position + 1);
        e = reload(r, d); /* what the undone batch had parked is not */
        if (e == OK)
            e = batch_run(r, d, &b, why);
    }
    if (b.is_slow)
        r->is_stale = true; /* when the next one is due */
    if (e != OK) {
        reader_seek(r->reader, r->position + 1);
        stand(r, e, why, d, now);
        return STEP_REFUSED;
    }
    r->stand_ms = 0;
    r->position = b.last;
    batch_account(r, &b, now);
    if (b.wanted > 0)
        tell_committed(r);
    return b.scanned > 0 ? STEP_WORKED : STEP_IDLE;
}

/* ---- what is parked ---- */

/* It went well this time: its row goes. */
static enum err retry_done(struct runner *r, struct db *d, struct instant now)
{
    bool is_last = false;
    enum err e = parked_remove(d, r->name, &r->at_hand.event, now, &is_last);
    if (e != OK) {
        undo(r, d);
        return e;
    }
    r->status.events++;
    r->parked_count--;
    if (is_last)
        waiting_remove(r, station_key(&r->at_hand.event));
    return commit(r, d);
}

/* One parked event in one transaction. ERR_UNKNOWN: none is due. */
static enum err retry_one(struct runner *r, struct db *d, struct instant now)
{
    struct parked *p = &r->at_hand;
    enum err e = db_begin(d);
    if (e != OK)
        return e;
    e = parked_find_due(d, r->name, now, p);
    if (e == ERR_UNKNOWN || db_refusal(d) != OK) {
        db_rollback(d);
        return e;
    }
    struct failure f = {true, p->attempts + 1, p->first_failed_at, now, INSTANT_NONE, NULL};
    struct fault why = {{0}, {0}};
    char text[ERROR_TEXT_MAX];
    if (e == OK)
        e = effects(r, d, &p->event, &why);
    else
        fault_set(&why, STR("record"), "it cannot be read");
    if (e == OK)
        return retry_done(r, d, now);
    error_write(d, e, &why, text);
    f.error = text;
    undo(r, d);
    return db_refusal(d) != OK ? e : settle_apart(r, d, &p->event, &f, NULL);
}

static enum step retry_step(struct runner *r, struct db *d, struct instant now, const struct haste *haste,
                            struct fault *why)
{
    int64_t started_us = monotonic_us();
    enum err e;
    bool is_worked = false;
    do {
        e = retry_one(r, d, now);
        is_worked = is_worked || e == OK;
    } while (e == OK && monotonic_us() - started_us < batch_us(r, haste));
    if (e == ERR_UNKNOWN)
        e = OK;
    if (e == OK)
        e = parked_next_due(d, r->name, &r->due);
    r->status.busy_us += (uint64_t)(monotonic_us() - started_us);
    if (e != OK) {
        stand(r, e, why, d, now);
        return STEP_REFUSED;
    }
    r->stand_ms = 0;
    if (is_worked)
        tell_committed(r);
    return is_worked ? STEP_WORKED : STEP_IDLE;
}

/* ---- for the bus ---- */

enum err runner_open(struct runner *r, const struct bus_options *o, const struct consumer *c, struct db *d,
                     struct fault *why)
{
    *r = (struct runner){.consumer = c, .options = o, .name = str_of(c->name), .batch_limit = o->batch_max};
    r->seen_until = INSTANT_NONE;
    r->due = INSTANT_NONE;
    r->stand_until = INSTANT_NONE;
    r->status.name = c->name;
    if (getrandom(r->map_key, sizeof r->map_key, 0) != (ssize_t)sizeof r->map_key)
        return ERR_IO;
    map_init(&r->waiting, r->map_key);
    for (size_t i = 0; i < EVENT_TYPE_COUNT; i++)
        r->wants_any = r->wants_any || c->wants[i];
    buf_init(&r->at_hand.copy, PARKED_COPY_MAX);
    enum err e = DB_RUN(d, "INSERT INTO consumers(name, position) VALUES (?1, 0) ON CONFLICT(name) DO NOTHING",
                        db_text(r->name));
    if (e == OK) {
        struct db_rows *rows = DB_ROWS(d, "SELECT position FROM consumers WHERE name=?1", db_text(r->name));
        if (db_next(rows))
            r->position = (uint64_t)db_col_int(rows, 0);
        e = db_rows_end(rows);
    }
    if (e == OK)
        e = reload(r, d);
    if (e != OK) {
        fault_set(why, r->name, "%s", db_reason(d));
        return e;
    }
    r->synced = r->position;
    e = reader_open(o->log_dir, &r->reader, why);
    if (e != OK)
        return e;
    reader_keep_packed(r->reader);
    reader_seek(r->reader, r->position + 1);
    return e;
}

void runner_release(struct runner *r)
{
    waiting_clear(r);
    map_release(&r->waiting);
    buf_release(&r->at_hand.copy);
    if (r->reader != NULL)
        reader_close(r->reader);
}

enum step runner_step(struct runner *r, struct db *d, struct instant now, const struct haste *haste, struct fault *why)
{
    enum step done = STEP_IDLE, batch = STEP_IDLE;
    if (r->stand_ms > 0 && instant_before(now, r->stand_until))
        return STEP_IDLE;
    enum err e = r->is_stale ? reload(r, d) : OK;
    if (e != OK) {
        stand(r, e, why, d, now);
        done = STEP_REFUSED;
    }
    if (done == STEP_IDLE && instant_is_set(r->due) && !instant_before(now, r->due))
        done = retry_step(r, d, now, haste, why);
    bool is_full = r->parked_count >= r->options->parked_max;
    if (is_full && !r->is_full)
        LOG_ERROR("consumer.standing", F_STR("consumer", r->name), F_INT("position", r->position),
                  F_INT("parked", r->parked_count), F_CSTR("err", "parked_max is reached"));
    r->is_full = is_full;
    if (done != STEP_REFUSED && !is_full)
        batch = batch_step(r, d, now, haste, why);
    r->status.position = r->position;
    r->status.state = r->stand_ms > 0 || r->is_full ? "standing" : r->parked_count > 0 ? "retrying" : "running";
    return batch > done ? batch : done;
}

void runner_tick(struct runner *r, struct db *d, struct instant now)
{
    const struct consumer *c = r->consumer;
    struct fault why = {{0}, {0}};
    if (c->on_tick == NULL)
        return;
    enum err e = db_begin(d);
    if (e == OK) {
        e = c->on_tick(c->state, d, now, &why);
        if (e == OK)
            e = commit(r, d);
        else
            undo(r, d);
    }
    if (e == OK)
        return;
    char text[ERROR_TEXT_MAX];
    error_write(d, e, &why, text);
    r->status.errors++;
    str_copy(r->status.last_error, sizeof r->status.last_error, str_of(text));
    LOG_WARN("consumer.tick_failed", F_STR("consumer", r->name), F_CSTR("err", text));
}
