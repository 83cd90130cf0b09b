/* eventlog/seal.c - what becomes of a segment that is written no more: an index from station to batches, the mark that it is
 * sealed, and a plain file without a WAL.
 *
 * Index and mark come in one transaction: whoever is interrupted leaves a segment that is not sealed, and it is done again. The
 * index is gathered in memory first, so that its rows go in in their own order, which is what a B-tree takes fastest. */
#include "eventlog/segment.h"
#include "eventlog/record.h"

#include <stdlib.h>
#include <string.h>

/* The batches of one station. */
struct posting {
    char *station;
    size_t station_len;
    uint64_t *firsts;
    size_t count, room;
};
struct index {
    struct map by_station;
    struct posting **all;
    size_t count, room;
};

static void index_release(struct index *x)
{
    for (size_t i = 0; i < x->count; i++) {
        free(x->all[i]->station);
        free(x->all[i]->firsts);
        free(x->all[i]);
    }
    free(x->all);
    map_release(&x->by_station);
}

static void index_add(struct index *x, struct str station, uint64_t first)
{
    struct posting *p = map_find(&x->by_station, station);

    if (p == NULL) {
        p = mem_new(1, sizeof *p);
        p->station = mem_new(station.len + 1, 1);
        p->station_len = station.len;
        memcpy(p->station, station.at, station.len);
        if (x->count == x->room) {
            x->room = x->room == 0 ? 64 : 2 * x->room;
            x->all = mem_grow(x->all, x->room, sizeof(struct posting *));
        }
        x->all[x->count++] = p;
        (void)map_put(&x->by_station, (struct str){p->station, p->station_len}, p);
    }
    if (p->count > 0 && p->firsts[p->count - 1] == first)
        return;
    if (p->count == p->room) {
        p->room = p->room == 0 ? 4 : 2 * p->room;
        p->firsts = mem_grow(p->firsts, p->room, sizeof *p->firsts);
    }
    p->firsts[p->count++] = first;
}

static int compare_postings(const void *a, const void *b)
{
    const struct posting *x = *(struct posting *const *)a, *y = *(struct posting *const *)b;

    return str_compare((struct str){x->station, x->station_len}, (struct str){y->station, y->station_len});
}

static enum err index_batch(struct index *x, const struct batch_row *row, struct bytes data)
{
    struct event e;

    for (uint32_t i = 0; i < row->head.count; i++) {
        enum err error = record_read(&data, &e);
        if (error != OK)
            return error;
        if (e.station.len > 0)
            index_add(x, e.station, row->head.first);
    }
    return data.len == 0 ? OK : ERR_CORRUPT;
}

/* ERR_CORRUPT, ERR_UNSUPPORTED: not everything in it can be indexed, so nothing is. */
static enum err gather(struct segment *s, uint64_t end, struct index *x, struct fault *why)
{
    struct buf data;
    struct batch_row row;
    uint64_t at = s->head.first;
    enum err e = OK;

    buf_init(&data, BATCH_SIZE_MAX);
    while (e == OK && at < end) {
        e = segment_read(s, at, &row, &data, why);
        if (e == ERR_UNKNOWN)
            e = ERR_CORRUPT; /* a gap */
        if (e == OK)
            e = index_batch(x, &row, (struct bytes){data.at, data.len});
        if (e == OK)
            at += row.head.count;
    }
    buf_release(&data);
    return e;
}

static uint32_t posting_crc(uint32_t crc, struct str station, uint64_t first)
{
    const uint8_t m[8] = {(uint8_t)(first >> 56), (uint8_t)(first >> 48), (uint8_t)(first >> 40), (uint8_t)(first >> 32),
                          (uint8_t)(first >> 24), (uint8_t)(first >> 16), (uint8_t)(first >> 8),  (uint8_t)first};

    return crc32c(crc32c(crc, (struct bytes){(const uint8_t *)station.at, station.len}), (struct bytes){m, sizeof m});
}

static enum err put_index(struct segment *s, struct index *x, uint32_t *crc, struct fault *why)
{
    enum err e = segment_run(s, SEGMENT_INDEX_CLEAR, why);
    sqlite3_stmt *put = segment_statement(s, SEGMENT_INDEX_PUT);

    if (e == OK && put == NULL)
        return segment_error(s, sqlite3_extended_errcode(s->db), "cannot be indexed", why);
    if (x->count > 1)
        qsort(x->all, x->count, sizeof(struct posting *), compare_postings);
    *crc = 0;
    for (size_t i = 0; e == OK && i < x->count; i++) {
        const struct posting *p = x->all[i];
        for (size_t k = 0; e == OK && k < p->count; k++) {
            *crc = posting_crc(*crc, (struct str){p->station, p->station_len}, p->firsts[k]);
            (void)sqlite3_bind_text(put, 1, p->station, (int)p->station_len, SQLITE_STATIC);
            (void)sqlite3_bind_int64(put, 2, (sqlite3_int64)p->firsts[k]);
            e = segment_run(s, SEGMENT_INDEX_PUT, why);
        }
    }
    return e;
}

static enum err put_seal(struct segment *s, uint64_t end, bool is_indexed, uint32_t crc, struct fault *why)
{
    sqlite3_stmt *drop = segment_statement(s, SEGMENT_DROP_FROM), *put = segment_statement(s, SEGMENT_SEAL_PUT);

    if (drop == NULL || put == NULL)
        return segment_error(s, sqlite3_extended_errcode(s->db), "cannot be sealed", why);
    (void)sqlite3_bind_int64(drop, 1, (sqlite3_int64)end);
    enum err e = segment_run(s, SEGMENT_DROP_FROM, why);
    (void)sqlite3_bind_int64(put, 1, (sqlite3_int64)end);
    (void)sqlite3_bind_int(put, 2, is_indexed);
    (void)sqlite3_bind_int64(put, 3, crc);
    return e == OK ? segment_run(s, SEGMENT_SEAL_PUT, why) : e;
}

enum err segment_seal(struct segment *s, uint64_t end, struct fault *why)
{
    const uint64_t key[2] = {s->head.identity.multiply, s->head.identity.add};
    struct index x = {0};
    uint32_t crc = 0;

    map_init(&x.by_station, key);
    enum err e = gather(s, end, &x, why);
    bool is_indexed = e == OK;
    if (e == ERR_CORRUPT || e == ERR_UNSUPPORTED)
        e = OK;
    if (e == OK)
        e = segment_run(s, SEGMENT_BEGIN, why);
    if (e == OK) {
        if (is_indexed)
            e = put_index(s, &x, &crc, why);
        if (e == OK)
            e = put_seal(s, end, is_indexed, crc, why);
        if (e == OK)
            e = segment_run(s, SEGMENT_COMMIT, why);
        if (e != OK && sqlite3_get_autocommit(s->db) == 0 && segment_run(s, SEGMENT_ROLLBACK, NULL) != OK)
            e = ERR_IO;
    }
    index_release(&x);
    if (e != OK)
        return e;
    s->is_sealed = true;
    s->is_indexed = is_indexed;
    s->sealed_end = end;
    s->index_crc = crc;
    return OK;
}

enum err segment_settle(struct segment *s, struct fault *why)
{
    /* SQLite gives up at once when anyone else is connected: a reader holds its lock as long as it is there. */
    (void)sqlite3_busy_timeout(s->db, 0);
    int code = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(s->db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    return code == SQLITE_OK ? OK : segment_error(s, code, "its WAL cannot be folded in", why);
}

enum err segment_check_index(struct segment *s, struct fault *why)
{
    sqlite3_stmt *all = s->is_indexed ? segment_statement(s, SEGMENT_INDEX_ALL) : NULL;
    int code = SQLITE_ROW;
    uint32_t crc = 0;

    if (!s->is_indexed)
        return OK;
    while (all != NULL && (code = sqlite3_step(all)) == SQLITE_ROW) {
        struct str station = {(const char *)sqlite3_column_text(all, 0), (size_t)sqlite3_column_bytes(all, 0)};
        crc = posting_crc(crc, station, (uint64_t)sqlite3_column_int64(all, 1));
    }
    enum err e = code == SQLITE_DONE ? OK : segment_error(s, sqlite3_extended_errcode(s->db), "cannot be read", why);
    (void)sqlite3_reset(all);
    if (e == OK && crc != s->index_crc) {
        fault_set(why, str_of(s->name), "its station index is damaged");
        return ERR_CORRUPT;
    }
    return e;
}
