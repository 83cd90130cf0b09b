/* Kept over batches, so that a station's sessions are read once and not with every reading. */
#include "services/charging/book.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define STATIONS_MAX 50000 /* past it all are forgotten and read again as they are heard of */
#define POINTS_MAX   40000 /* written before the end of the batch past it */

void book_init(struct book *b, const uint64_t id_key[2])
{
    memset(b, 0, sizeof *b);
    memcpy(b->id_key, id_key, sizeof b->id_key);
    b->known_block = INT64_MIN;
    check(getrandom(b->key, sizeof b->key, 0) == (ssize_t)sizeof b->key);
    map_init(&b->stations, b->key);
    lately_init(&b->lately);
    session_rows_init(&b->sessions);
    points_rows_init(&b->blocks);
    counted_init(&b->counts);
    b->changed_end = &b->changed;
    b->pointed_end = &b->pointed;
}

void book_clear(struct book *b)
{
    struct book_station *at;
    lately_forget(&b->lately);
    for (size_t i = 0; (at = map_next(&b->stations, &i)) != NULL;) {
        for (struct book_entry *next; at->first != NULL; at->first = next) {
            next = at->first->next;
            free(at->first);
        }
        free(at);
    }
    map_release(&b->stations);
    map_init(&b->stations, b->key);
    b->changed = b->pointed = NULL;
    b->changed_end = &b->changed;
    b->pointed_end = &b->pointed;
    b->point_count = 0;
    b->next_number = 0;
    b->knows_keys = false;
    b->known_block = INT64_MIN;
    gather_forget(&b->sessions);
    gather_forget(&b->blocks);
    counted_forget(&b->counts);
}

void book_release(struct book *b)
{
    book_clear(b);
    map_release(&b->stations);
    free(b->points);
    point_list_release(&b->at_hand);
    gather_release(&b->sessions);
    gather_release(&b->blocks);
    counted_release(&b->counts);
}

void book_trim(struct book *b)
{
    if (b->stations.count > STATIONS_MAX)
        book_clear(b);
}

static struct book_entry *entry_add(struct book_station *at)
{
    struct book_entry *e = mem_new(1, sizeof *e);
    e->station = at;
    e->next = at->first;
    e->from = &at->first;
    if (e->next != NULL)
        e->next->from = &e->next;
    at->first = e;
    return e;
}

static void entry_placed(struct book_entry *e)
{
    e->placed_started = e->s.started;
    e->placed_part = session_part(e->s.state);
    memcpy(e->placed_tag, e->s.id_tag, sizeof e->placed_tag);
}

/* The session of a row. */
static void entry_read(struct book_entry *e, struct db_rows *r)
{
    session_read(r, &e->s);
    entry_placed(e);
}

static void entry_remove(struct book_entry *e)
{
    *e->from = e->next;
    if (e->next != NULL)
        e->next->from = e->from;
    free(e);
}

enum err book_open(struct book *b, struct db *d, struct str station, struct book_station **out)
{
    if (station.at == NULL)
        station = STR("");
    struct book_station *at = lately_find(&b->lately, station);
    if (at == NULL && (at = map_find(&b->stations, station)) != NULL)
        lately_put(&b->lately, at->name, at);
    if (at != NULL) {
        *out = at;
        return OK;
    }
    at = mem_new(1, sizeof *at + station.len + 1);
    memcpy(at->text, station.at, station.len);
    at->name = (struct str){at->text, station.len};
    (void)map_put(&b->stations, at->name, at);
    struct db_rows *r =
        DB_ROWS(d, "SELECT " SESSION_COLUMNS " FROM charging_sessions WHERE charge_point_id=?1 AND is_active=1",
                db_text(station));
    while (db_next(r))
        entry_read(entry_add(at), r);
    enum err e = db_rows_end(r);
    if (e == OK)
        *out = at;
    return e; /* an error undoes the batch, and clears the book */
}

static enum err read_keys(struct book *b, struct db *d)
{
    if (b->knows_keys)
        return OK;
    struct db_rows *r =
        DB_ROWS(d, "SELECT (SELECT transaction_key FROM charging_sessions WHERE transaction_key IS NOT NULL ORDER BY transaction_key DESC LIMIT 1),"
                   " EXISTS(SELECT 1 FROM charging_sessions WHERE transaction_key IS NULL)");
    if (db_next(r)) {
        b->newest_key = db_col_is_null(r, 0) ? 0 : db_col_int(r, 0);
        b->has_unkeyed = db_col_int(r, 1) != 0;
    }
    enum err e = db_rows_end(r);
    b->knows_keys = e == OK;
    return e;
}

static enum err take_row(struct book *b, struct book_station *at, struct db_rows *r, struct book_entry **out)
{
    if (db_next(r)) {
        *out = entry_add(at);
        entry_read(*out, r);
        book_change(b, *out, false);
    }
    return db_rows_end(r);
}

/* In the table. Nearly every transaction that is new began after all that are there, and is not looked for. */
static enum err find_row(struct book *b, struct db *d, struct book_station *at, struct str transaction_id, struct book_entry **out)
{
    const struct integer key = session_transaction_key(b->id_key, transaction_id);
    enum err e = read_keys(b, d);
    if (e == OK && key.is_set && key.value <= b->newest_key)
        e = take_row(b, at,
                     DB_ROWS(d, "SELECT " SESSION_COLUMNS " FROM charging_sessions WHERE transaction_key=?1 AND charge_point_id=?2",
                             db_int(key.value), db_text(at->name)),
                     out);
    if (e == OK && *out == NULL && b->has_unkeyed)
        e = take_row(b, at,
                     DB_ROWS(d,
                             "SELECT " SESSION_COLUMNS
                             " FROM charging_sessions WHERE charge_point_id=?1 AND transaction_id=?2 AND transaction_key IS NULL",
                             db_text(at->name), db_text(transaction_id)),
                     out);
    return e;
}

enum err book_find(struct book *b, struct db *d, struct book_station *at, struct str transaction_id,
                   struct book_entry **out)
{
    *out = NULL;
    for (struct book_entry *e = at->first; e != NULL; e = e->next)
        if (str_eq(str_of(e->s.transaction_id), transaction_id)) {
            *out = e;
            return OK;
        }
    return find_row(b, d, at, transaction_id, out);
}

struct book_entry *book_find_active(const struct book_station *at, int64_t connector_id)
{
    struct book_entry *found = NULL;
    for (struct book_entry *e = at->first; e != NULL; e = e->next)
        if (e->s.connector_id == connector_id && session_state_is_active(e->s.state) &&
            (found == NULL || instant_before(found->s.started, e->s.started)))
            found = e;
    return found;
}

enum err book_add(struct book *b, struct db *d, struct book_station *at, struct str transaction_id, struct book_entry **out)
{
    if (b->next_number == 0) {
        struct db_rows *r = DB_ROWS(d, "SELECT coalesce(max(session_number), 0) + 1 FROM charging_sessions");
        if (db_next(r))
            b->next_number = db_col_int(r, 0);
        enum err e = db_rows_end(r);
        if (e != OK)
            return e;
    }
    struct book_entry *e = entry_add(at);
    (void)str_copy(e->s.transaction_id, sizeof e->s.transaction_id, transaction_id);
    e->s.transaction_key = session_transaction_key(b->id_key, transaction_id);
    e->s.number = b->next_number++;
    e->s.ended = e->s.device_started = e->s.device_ended = e->s.power_at = e->s.read_at = INSTANT_NONE;
    e->s.started = e->s.last_at = e->s.last_update = INSTANT_NONE;
    e->is_new = true;
    e->curve = (struct curve_end){true, INSTANT_NONE};
    book_change(b, e, true);
    *out = e;
    return OK;
}

void book_change(struct book *b, struct book_entry *e, bool is_rewritten)
{
    e->is_rewritten = e->is_rewritten || is_rewritten;
    if (e->is_changed)
        return;
    e->is_changed = true;
    e->next_changed = NULL;
    *b->changed_end = e;
    b->changed_end = &e->next_changed;
}

static void note_point(struct noted_point *to, const struct curve_point *p)
{
    const struct integer values[CURVE_VALUES] = {p->power_w, p->register_wh, p->voltage_m, p->current_m, p->temperature_m};
    to->at = p->at;
    to->is_set = 0;
    for (size_t i = 0; i < CURVE_VALUES; i++) {
        to->values[i] = values[i].value;
        to->is_set |= (uint32_t)values[i].is_set << i;
    }
}

static struct integer noted_value(const struct noted_point *p, size_t i)
{
    return (struct integer){p->values[i], (p->is_set >> i & 1) != 0};
}

static void gather_points(struct book *b, const struct book_entry *e)
{
    uint32_t at = e->first_point;
    b->at_hand.count = 0;
    for (uint32_t i = 0; i < e->point_count; i++) {
        const struct noted_point *p = &b->points[at];
        point_list_add(&b->at_hand, &(struct curve_point){p->at, noted_value(p, 0), noted_value(p, 1), noted_value(p, 2),
                                                          noted_value(p, 3), noted_value(p, 4)});
        at = p->next;
    }
}

static enum err book_write_points(struct book *b, struct db *d, struct span window)
{
    enum err result = OK;
    for (struct book_entry *e; (e = b->pointed) != NULL && result == OK;) {
        gather_points(b, e);
        result = points_write(&b->blocks, d, e->s.number, &b->at_hand, window, &e->curve);
        e->point_count = 0;
        b->pointed = e->next_pointed;
    }
    b->pointed_end = &b->pointed;
    b->point_count = 0;
    return result == OK ? gather_write(&b->blocks, d, NULL) : result;
}

enum err book_add_point(struct book *b, struct db *d, struct book_entry *e, const struct curve_point *p,
                        struct span window)
{
    if (b->point_count == POINTS_MAX) {
        enum err result = book_write_points(b, d, window);
        if (result != OK)
            return result;
    }
    if (b->point_count == b->point_room) {
        b->point_room = b->point_room == 0 ? 256 : b->point_room * 2;
        b->points = mem_grow(b->points, b->point_room, sizeof *b->points);
    }
    const uint32_t at = (uint32_t)b->point_count++;
    note_point(&b->points[at], p);
    if (e->point_count++ == 0) {
        e->first_point = at;
        e->next_pointed = NULL;
        *b->pointed_end = e;
        b->pointed_end = &e->next_pointed;
    } else {
        b->points[e->last_point].next = at;
    }
    e->last_point = at;
    return OK;
}

/* A row is new, or moves from one count to another. */
static void entry_count(struct book *b, const struct book_entry *e)
{
    const int64_t part = session_part(e->s.state);
    if (!e->is_new) {
        if (e->s.started.us == e->placed_started.us && part == e->placed_part)
            return;
        counted_add(&b->counts, &sessions_by_start, e->placed_started.us, e->placed_part, -1);
    }
    counted_add(&b->counts, &sessions_by_start, e->s.started.us, part, 1);
}

static enum err block_write(struct book *b, struct db *d, struct instant started)
{
    const int64_t block = session_block(started);
    if (block == b->known_block)
        return OK;
    b->known_block = block;
    return session_block_add(d, block);
}

/* A row is there from now on. */
static void note_key(struct book *b, struct integer key)
{
    if (!key.is_set)
        b->has_unkeyed = true;
    else if (key.value > b->newest_key)
        b->newest_key = key.value;
}

static enum err entry_write(struct book *b, struct book_entry *e, struct db *d)
{
    enum err result = OK;
    if (e->is_new || e->s.started.us != e->placed_started.us)
        result = block_write(b, d, e->s.started);
    if (result != OK)
        return result;
    if (e->is_new) {
        note_key(b, e->s.transaction_key);
        result = session_add(&b->sessions, d, e->station->name, &e->s);
    } else if (e->is_rewritten) {
        result = session_update(d, &e->s);
        if (result == OK && (e->s.started.us != e->placed_started.us || strcmp(e->s.id_tag, e->placed_tag) != 0))
            result = session_update_place(d, &e->s);
    } else {
        result = session_update_readings(d, &e->s);
    }
    if (e->is_new || e->is_rewritten)
        entry_count(b, e);
    entry_placed(e);
    return result;
}

enum err book_write(struct book *b, struct db *d, struct span window)
{
    enum err result = book_write_points(b, d, window);
    for (struct book_entry *e = b->changed, *next; e != NULL && result == OK; e = next) {
        next = e->next_changed;
        result = entry_write(b, e, d);
        e->is_new = e->is_changed = e->is_rewritten = false;
        b->changed = next;
        if (!session_state_is_active(e->s.state))
            entry_remove(e);
    }
    b->changed_end = &b->changed;
    if (result == OK)
        result = gather_write(&b->sessions, d, NULL);
    return result == OK ? counted_write(&b->counts, d) : result;
}
