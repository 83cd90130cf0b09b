#include "services/stations/begun.h"
#include "services/stations/stations.h"

#include <stdlib.h>

#define ROWS_FIRST 256 /* a power of two */
#define TEXT_MAX   ((size_t)256 << 20) /* of one batch: its count is bounded, and so is each text */

static const struct counted_table counts = COUNTED_TABLE("transaction_counts");
const struct counted_list transactions_by_number = {&counts, 1, {10, 15, 20}};
const struct counted_list transactions_by_start = {&counts, 2, {28, 33, 38}}; /* of 4 minutes, of 2, of 76 hours */

void begun_init(struct begun *b)
{
    *b = (struct begun){.rows = NULL};
    arena_init(&b->text, TEXT_MAX);
    counted_init(&b->counts);
}

void begun_release(struct begun *b)
{
    free(b->rows);
    free(b->slots);
    arena_release(&b->text);
    counted_release(&b->counts);
    *b = (struct begun){.rows = NULL};
}

void begun_forget(struct begun *b)
{
    if (b->count > 0)
        memset(b->slots, 0, 2 * b->room * sizeof *b->slots);
    b->count = 0;
    arena_reset(&b->text);
    counted_forget(&b->counts);
}

/* Where the number is, or would be put. Numbers count the starts of this server, so nobody chooses them to collide. */
static uint32_t *slot_of(const struct begun *b, uint64_t number)
{
    const size_t mask = 2 * b->room - 1;
    size_t i = (size_t)(number * 0x9E3779B97F4A7C15u >> 32) & mask;

    while (b->slots[i] != 0 && b->rows[b->slots[i] - 1].number != number)
        i = (i + 1) & mask;
    return &b->slots[i];
}

static struct transaction_row *row_find(const struct begun *b, uint64_t number)
{
    const uint32_t at = b->count == 0 ? 0 : *slot_of(b, number);

    return at == 0 ? NULL : &b->rows[at - 1];
}

static void grow(struct begun *b)
{
    b->room = b->room == 0 ? ROWS_FIRST : b->room * 2;
    b->rows = mem_grow(b->rows, b->room, sizeof *b->rows);
    free(b->slots);
    b->slots = mem_new(2 * b->room, sizeof *b->slots);
    for (size_t i = 0; i < b->count; i++)
        *slot_of(b, b->rows[i].number) = (uint32_t)(i + 1);
}

void begun_add(struct begun *b, const struct transaction_row *row)
{
    if (b->count == b->room)
        grow(b);
    uint32_t *slot = slot_of(b, row->number);
    if (*slot != 0)
        return;
    struct transaction_row *r = &b->rows[b->count++];
    struct str *const texts[] = {&r->transaction_id, &r->station, &r->id_tag, &r->id_tag_status, &r->order_no, &r->flags};
    *r = *row;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        *texts[i] = arena_copy(&b->text, *texts[i]);
    *slot = (uint32_t)b->count;
}

static void count_at(struct begun *b, uint64_t number, struct instant started, int64_t part, int64_t by)
{
    counted_add(&b->counts, &transactions_by_number, (int64_t)number, part, by);
    counted_add(&b->counts, &transactions_by_start, started.us, part, by);
}

/* One that is open in the table will not be. */
static enum err count_closed(struct begun *b, struct db *d, uint64_t number)
{
    struct db_rows *r = DB_ROWS(d, "SELECT connector_id, started_at FROM transactions WHERE number = ?1 AND state = 'open'",
                                db_int((int64_t)number));
    if (db_next(r)) {
        const int64_t connector_id = db_col_int(r, 0);
        const struct instant started = db_col_time(r, 1);
        count_at(b, number, started, transactions_part(connector_id, true), -1);
        count_at(b, number, started, transactions_part(connector_id, false), 1);
    }
    return db_rows_end(r);
}

static enum err supersede_in_table(struct begun *b, struct db *d, uint64_t number, struct instant at)
{
    enum err e = count_closed(b, d, number);
    if (e != OK)
        return e;
    return DB_RUN(d,
                  "UPDATE transactions SET state = 'closed', stopped_at = ?2, flags = trim(flags || ' superseded')"
                  " WHERE number = ?1 AND state = 'open'",
                  db_int((int64_t)number), db_time(at));
}

enum err begun_supersede(struct begun *b, struct db *d, uint64_t number, struct instant at)
{
    struct transaction_row *r = row_find(b, number);
    if (r == NULL)
        return supersede_in_table(b, d, number, at);
    if (r->is_superseded || r->is_stopped)
        return OK; /* no longer open */
    r->is_superseded = true;
    r->superseded_at = at;
    return OK;
}

static enum err stop_in_table(struct begun *b, struct db *d, uint64_t number, const struct transaction_end *end)
{
    enum err e = count_closed(b, d, number);
    if (e != OK)
        return e;
    return DB_RUN(d,
                  "UPDATE transactions SET state = 'closed', stopped_at = ?2, meter_stop_wh = ?3, energy_wh = ?4, "
                  "stop_reason = ?5,"
                  " stop_id_tag = ?6, device_stopped_at = ?7, flags = trim(flags || ' ' || ?8), stop_key = ?9"
                  " WHERE number = ?1 AND (stop_reason IS NULL OR ?10)",
                  db_int((int64_t)number), db_time(end->at), db_int(end->meter_wh), db_int(end->energy_wh),
                  db_text(end->reason), db_text(end->id_tag), db_time(end->device_at), db_text(end->flags),
                  db_int(end->key), db_int(end->is_override));
}

/* "a b", without a blank where one of them is empty: as the statements join them. */
static struct str join(struct arena *a, struct str first, struct str second)
{
    if (first.len == 0 || second.len == 0)
        return first.len == 0 ? second : first;
    return arena_printf(a, "%.*s %.*s", STR_ARG(first), STR_ARG(second));
}

enum err begun_stop(struct begun *b, struct db *d, uint64_t number, const struct transaction_end *end)
{
    struct transaction_row *r = row_find(b, number);
    if (r == NULL)
        return stop_in_table(b, d, number, end);
    if (r->is_stopped && r->end.reason.at != NULL && !end->is_override)
        return OK;
    struct str before = r->is_stopped ? r->end.flags : STR("");
    r->is_stopped = true;
    r->end = *end;
    r->end.reason = arena_copy(&b->text, end->reason);
    r->end.id_tag = arena_copy(&b->text, end->id_tag);
    r->end.flags = join(&b->text, before, arena_copy(&b->text, end->flags));
    return OK;
}

/* ---- writing ---- */

static struct str flags_of(struct begun *b, const struct transaction_row *r)
{
    struct str flags = r->flags;
    if (r->is_superseded)
        flags = join(&b->text, flags, STR("superseded"));
    return r->is_stopped ? join(&b->text, flags, r->end.flags) : flags;
}

#define COLUMNS 22
#define CHUNK   64 /* rows that are handed over together */

static int64_t block_of(const struct transaction_row *r)
{
    return (int64_t)r->number >> TRANSACTION_BLOCK_BITS;
}

static void row_values(struct begun *b, const struct transaction_row *r, struct db_value out[COLUMNS])
{
    const bool is_stopped = r->is_stopped, is_closed = is_stopped || r->is_superseded;
    const struct transaction_end *end = &r->end;
    const struct db_value values[COLUMNS] = {
        db_int((int64_t)r->number), db_text(r->transaction_id), db_text(r->station), db_int(r->connector_id),
        db_text(r->id_tag), db_text(r->id_tag_status), db_text(is_closed ? STR("closed") : STR("open")),
        db_time(r->started), db_int(r->meter_start_wh), db_time(r->device_started), db_time(r->received),
        db_text(flags_of(b, r)), db_int((int64_t)r->position), db_text(r->order_no),
        db_time(is_stopped ? end->at : r->is_superseded ? r->superseded_at : INSTANT_NONE),
        is_stopped ? db_int(end->meter_wh) : db_null(), is_stopped ? db_int(end->energy_wh) : db_null(),
        is_stopped ? db_text(end->reason) : db_null(), is_stopped ? db_text(end->id_tag) : db_null(),
        is_stopped ? db_time(end->device_at) : db_null(), db_int(is_stopped ? end->key : 0), db_int(block_of(r))};
    memcpy(out, values, sizeof values);
}

static enum err rows_insert(struct db *d, const struct db_value *values, size_t count, int64_t *added)
{
    return db_insert(
        d,
        "INSERT OR FAIL INTO transactions (number, transaction_id, charge_point_id, connector_id, id_tag, id_tag_status, "
        "state, started_at, meter_start_wh, device_started_at, received_at, flags, position, order_no, "
        "stopped_at, meter_stop_wh, energy_wh, stop_reason, stop_id_tag, device_stopped_at, stop_key, block) VALUES",
        "ON CONFLICT (number) DO NOTHING", values, COLUMNS, count, added);
}

/* Its number is there already: the start says nothing new, what ended it may. */
static enum err end_in_table(struct begun *b, struct db *d, const struct transaction_row *r)
{
    enum err e = OK;
    if (r->is_superseded)
        e = supersede_in_table(b, d, r->number, r->superseded_at);
    if (e == OK && r->is_stopped)
        e = stop_in_table(b, d, r->number, &r->end);
    return e;
}

static void count_row(struct begun *b, const struct transaction_row *r)
{
    count_at(b, r->number, r->started, transactions_part(r->connector_id, !r->is_stopped && !r->is_superseded), 1);
}

/* One that may be there. */
static enum err row_write(struct begun *b, struct db *d, const struct transaction_row *r)
{
    struct db_value values[COLUMNS];
    int64_t added = 0;
    row_values(b, r, values);
    enum err e = rows_insert(d, values, 1, &added);
    if (e == OK && added == 0)
        return end_in_table(b, d, r);
    if (e == OK)
        count_row(b, r);
    return e;
}

/* Their numbers rise, nearly always: a block is written once and not for each of them. */
static enum err blocks_write(const struct begun *b, struct db *d)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < b->count; i++)
        if (i == 0 || block_of(&b->rows[i]) != block_of(&b->rows[i - 1]))
            e = DB_RUN(d, "INSERT INTO transaction_blocks (block) VALUES (?1) ON CONFLICT DO NOTHING", db_int(block_of(&b->rows[i])));
    return e;
}

/* No number past it is there. */
static enum err find_last(struct db *d, uint64_t *number)
{
    struct db_rows *r = DB_ROWS(d, "SELECT max(number) FROM transactions");
    const uint64_t last = db_next(r) && !db_col_is_null(r, 0) ? (uint64_t)db_col_int(r, 0) : 0;
    enum err e = db_rows_end(r);
    if (e == OK)
        *number = last;
    return e;
}

enum err begun_write(struct begun *b, struct db *d)
{
    struct db_value values[CHUNK * COLUMNS];
    uint64_t last = 0;
    size_t count_new = 0;
    enum err e = b->count > 0 ? find_last(d, &last) : OK;
    if (e == OK)
        e = blocks_write(b, d);
    for (size_t i = 0; e == OK && i < b->count; i++) {
        const struct transaction_row *r = &b->rows[i];
        if (r->number <= last) {
            e = row_write(b, d, r);
        } else {
            row_values(b, r, &values[count_new++ * COLUMNS]);
            count_row(b, r);
        }
        if (e == OK && (count_new == CHUNK || (i + 1 == b->count && count_new > 0))) {
            e = rows_insert(d, values, count_new, NULL);
            count_new = 0;
        }
    }
    return e == OK ? counted_write(&b->counts, d) : e;
}
