/* eventlog/seal.c - the index that ends a segment which is written no more: its marks, and which batches hold events of which station.
 *
 * It lies behind the last batch, under a head like a batch's (segment.c) whose first is the position behind the last; its data:
 *
 *     at  size
 *      0     4  count of marks
 *      4     4  count of stations
 *      8     4  size of all names
 *     12     4  count of postings
 *     16        marks: u64 first, u64 offset
 *               stations, by name: u32 place of the name, u32 its size, u32 number of its first posting, u32 count of postings,
 *               u32 CRC-32C of its postings
 *               names
 *               postings: u32 position - first of the segment, u32 offset / 8
 * The checksum in the head covers what is before the postings: that much is read when the segment is opened. Last in the file is a
 * trailer of 16 bytes: u64 offset of the index's head, u32 "CLtr", u32 CRC-32C of the 12 bytes before.
 *
 * Whoever is interrupted leaves a segment without a trailer, and it is done again. */
#include "eventlog/put.h"
#include "eventlog/record.h"
#include "eventlog/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_HEAD    16
#define MARK_SIZE     16
#define STATION_SIZE  20
#define POSTING_SIZE  8
#define TRAILER_SIZE  16
#define TRAILER_MAGIC 0x434c7472u /* "CLtr" */

/* ---- making ---- */

/* The batches of one station. */
struct posting {
    char *station;
    size_t station_len;
    struct buf at; /* as they are written */
    uint64_t last; /* offset of the newest */
};
struct index {
    struct map by_station;
    struct posting **all;
    size_t count, room, names_size, posting_count;
};

static void index_release(struct index *x)
{
    for (size_t i = 0; i < x->count; i++) {
        free(x->all[i]->station);
        buf_release(&x->all[i]->at);
        free(x->all[i]);
    }
    free(x->all);
    map_release(&x->by_station);
}

static void index_add(struct index *x, struct str station, const struct batch_row *row, uint64_t first)
{
    struct posting *p = map_find(&x->by_station, station);
    uint8_t bytes[POSTING_SIZE];

    if (p == NULL) {
        p = mem_new(1, sizeof *p);
        p->station = mem_new(station.len + 1, 1);
        p->station_len = station.len;
        memcpy(p->station, station.at, station.len);
        buf_init(&p->at, BATCH_SIZE_MAX);
        if (x->count == x->room) {
            x->room = x->room == 0 ? 64 : 2 * x->room;
            x->all = mem_grow(x->all, x->room, sizeof(struct posting *));
        }
        x->all[x->count++] = p;
        x->names_size += station.len;
        (void)map_put(&x->by_station, (struct str){p->station, p->station_len}, p);
    }
    if (p->last == row->offset)
        return;
    p->last = row->offset;
    put32(bytes, (uint32_t)(row->head.first - first));
    put32(bytes + 4, (uint32_t)(row->offset / 8));
    buf_put(&p->at, bytes, sizeof bytes);
    x->posting_count++;
}

static int compare_postings(const void *a, const void *b)
{
    const struct posting *x = *(struct posting *const *)a, *y = *(struct posting *const *)b;

    return str_compare((struct str){x->station, x->station_len}, (struct str){y->station, y->station_len});
}

static enum err index_batch(struct index *x, const struct batch_row *row, struct bytes data, uint64_t first)
{
    struct event e;

    for (uint32_t i = 0; i < row->head.count; i++) {
        enum err error = record_read(&data, &e);
        if (error != OK)
            return error;
        if (e.station.len > 0)
            index_add(x, e.station, row, first);
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
        if (e == OK)
            e = index_batch(x, &row, (struct bytes){data.at, data.len}, s->head.first);
        else if (e == ERR_UNKNOWN)
            e = ERR_CORRUPT; /* a gap */
        if (e == OK)
            at += row.head.count;
        else if (why != NULL && why->reason[0] == 0)
            fault_set(why, str_of(s->name), "positions from %llu on cannot be indexed", (unsigned long long)at);
    }
    buf_release(&data);
    return e == OK && at != end ? ERR_CORRUPT : e;
}

/* What is before the postings. */
static void write_index(const struct segment *s, const struct index *x, struct buf *out)
{
    uint8_t bytes[STATION_SIZE];
    uint32_t name = 0, posting = 0;

    put32(bytes, (uint32_t)s->mark_count);
    put32(bytes + 4, (uint32_t)x->count);
    put32(bytes + 8, (uint32_t)x->names_size);
    put32(bytes + 12, (uint32_t)x->posting_count);
    buf_put(out, bytes, INDEX_HEAD);
    for (size_t i = 0; i < s->mark_count; i++) {
        put64(bytes, s->marks[i].first);
        put64(bytes + 8, s->marks[i].offset);
        buf_put(out, bytes, MARK_SIZE);
    }
    for (size_t i = 0; i < x->count; i++) {
        const struct posting *p = x->all[i];
        const uint32_t count = (uint32_t)(p->at.len / POSTING_SIZE);
        put32(bytes, name);
        put32(bytes + 4, (uint32_t)p->station_len);
        put32(bytes + 8, posting);
        put32(bytes + 12, count);
        put32(bytes + 16, crc32c(0, (struct bytes){p->at.at, p->at.len}));
        buf_put(out, bytes, STATION_SIZE);
        name += (uint32_t)p->station_len;
        posting += count;
    }
    for (size_t i = 0; i < x->count; i++)
        buf_put(out, x->all[i]->station, x->all[i]->station_len);
}

static enum err put_index(struct segment *s, const struct index *x, uint64_t end, struct fault *why)
{
    uint8_t head[BATCH_HEAD_SIZE], trailer[TRAILER_SIZE] = {0};
    struct batch_row row = {.head = {.first = end}, .offset = s->end, .back = s->newest_mark, .is_end = true};
    struct buf out;

    buf_init(&out, BATCH_SIZE_MAX);
    write_index(s, x, &out);
    row.crc = crc32c(0, (struct bytes){out.at, out.len});
    for (size_t i = 0; i < x->count; i++)
        buf_put(&out, x->all[i]->at.at, x->all[i]->at.len);
    row.stored = row.size = (uint32_t)out.len;
    segment_write_head(s, &row, head);
    buf_put(&out, trailer, (size_t)(batch_end(&row) - row.offset) - BATCH_HEAD_SIZE - out.len);
    put64(trailer, row.offset);
    put32(trailer + 8, TRAILER_MAGIC);
    put32(trailer + 12, crc32c(0, (struct bytes){trailer, 12}));
    buf_put(&out, trailer, sizeof trailer);
    struct iovec parts[] = {{head, sizeof head}, {out.at, out.len}};
    enum err e = out.failed ? ERR_MEMORY : OK;
    if (e != OK)
        fault_set(why, str_of(s->name), "its index is too long");
    else if (files_write(s->files, s->fd, parts, COUNT_OF(parts), s->end) != OK)
        e = segment_error(s, "its index cannot be written", why);
    buf_release(&out);
    return e;
}

enum err segment_seal(struct segment *s, uint64_t end, struct fault *why)
{
    const uint64_t key[2] = {s->head.identity.multiply, s->head.identity.add};
    struct index x = {0};
    enum err e = segment_look(s, NULL, end, why);

    if (e != OK)
        return e;
    map_init(&x.by_station, key);
    e = gather(s, end, &x, why);
    if (x.count > 1)
        qsort(x.all, x.count, sizeof(struct posting *), compare_postings);
    if (e == OK && s->files->ftruncate(s->fd, (off_t)s->end) != 0)
        e = segment_error(s, "cannot be cut", why);
    if (e == OK)
        e = put_index(s, &x, end, why);
    if (e == OK && s->sync && s->files->fdatasync(s->fd) != 0)
        e = segment_error(s, "cannot be synced", why);
    index_release(&x);
    return e;
}

/* ---- reading ---- */

/* Sizes as the head of an index says them; false: they do not fit. */
struct sizes {
    uint32_t marks, stations, names, postings;
    uint64_t covered; /* by the checksum */
};
static bool take_sizes(const uint8_t *p, uint32_t size, struct sizes *out)
{
    *out = (struct sizes){be32(p), be32(p + 4), be32(p + 8), be32(p + 12), 0};
    out->covered = INDEX_HEAD + (uint64_t)out->marks * MARK_SIZE + (uint64_t)out->stations * STATION_SIZE + out->names;
    return out->covered + (uint64_t)out->postings * POSTING_SIZE == size;
}

static const uint8_t *entry_at(const struct segment *s, uint32_t i)
{
    return s->index + INDEX_HEAD + s->mark_count * MARK_SIZE + (size_t)i * STATION_SIZE;
}

static struct str entry_name(const struct segment *s, uint32_t i)
{
    const uint8_t *p = entry_at(s, i);

    return (struct str){(const char *)entry_at(s, s->station_count) + be32(p), be32(p + 4)};
}

static bool is_entry_sound(const uint8_t *p, const struct sizes *n)
{
    return (uint64_t)be32(p) + be32(p + 4) <= n->names && (uint64_t)be32(p + 8) + be32(p + 12) <= n->postings;
}

/* Where the file says that its index is. ERR_UNKNOWN: it says nothing; ERR_CORRUPT: what is there is no index. */
static enum err find_index(struct segment *s, struct batch_row *row, struct fault *why)
{
    uint8_t trailer[TRAILER_SIZE];
    uint64_t size;
    size_t got = 0;
    enum err e = segment_size(s, &size, why);

    if (e != OK)
        return e;
    if (size < SEGMENT_HEAD_SIZE + BATCH_HEAD_SIZE + TRAILER_SIZE)
        return ERR_UNKNOWN;
    if (files_read(s->fd, trailer, sizeof trailer, size - sizeof trailer, &got) != OK)
        return segment_error(s, "cannot be read", why);
    const uint64_t at = be64(trailer);
    if (got < sizeof trailer || be32(trailer + 8) != TRAILER_MAGIC ||
        be32(trailer + 12) != crc32c(0, (struct bytes){trailer, 12}) || at < SEGMENT_HEAD_SIZE || at % 8 != 0 || at > size)
        return ERR_UNKNOWN;
    e = segment_read_head(s, at, row, why);
    s->window_len = 0; /* the file's end may move */
    if (e == OK && row->is_end && row->stored >= INDEX_HEAD && batch_end(row) + TRAILER_SIZE == size)
        return OK;
    return e == OK || e == ERR_UNKNOWN ? ERR_CORRUPT : e;
}

static enum err take_index(struct segment *s, const struct batch_row *row, struct fault *why)
{
    const uint64_t at = row->offset + BATCH_HEAD_SIZE;
    uint8_t head[INDEX_HEAD];
    struct sizes n;
    size_t got = 0;

    if (files_read(s->fd, head, sizeof head, at, &got) != OK)
        return segment_error(s, "cannot be read", why);
    if (got < sizeof head || !take_sizes(head, row->stored, &n))
        return ERR_CORRUPT;
    uint8_t *index = mem_new((size_t)n.covered, 1);
    enum err e = files_read(s->fd, index, (size_t)n.covered, at, &got);
    if (e != OK)
        e = segment_error(s, "cannot be read", why);
    else if (got < n.covered || crc32c(0, (struct bytes){index, got}) != row->crc)
        e = ERR_CORRUPT;
    for (uint32_t i = 0; e == OK && i < n.stations; i++) {
        if (!is_entry_sound(index + INDEX_HEAD + (size_t)n.marks * MARK_SIZE + (size_t)i * STATION_SIZE, &n))
            e = ERR_CORRUPT;
    }
    if (e != OK) {
        free(index);
        return e;
    }
    s->marks = mem_new(n.marks + 1, sizeof *s->marks);
    s->mark_room = n.marks + 1;
    for (const uint8_t *p = index + INDEX_HEAD; s->mark_count < n.marks; p += MARK_SIZE)
        s->marks[s->mark_count++] = (struct segment_mark){be64(p), be64(p + 8)};
    s->newest_mark = row->back;
    s->index = index;
    s->station_count = n.stations;
    s->postings_at = at + n.covered;
    s->next = row->head.first;
    s->end = row->offset;
    s->is_sealed = s->is_indexed = true;
    return OK;
}

enum err segment_load_index(struct segment *s, struct fault *why)
{
    struct batch_row row;
    enum err e = find_index(s, &row, why);

    if (e == OK)
        e = take_index(s, &row, why);
    s->is_index_damaged = e == ERR_CORRUPT;
    s->last_size = 0;
    return e == ERR_UNKNOWN || e == ERR_CORRUPT ? OK : e; /* it is read without */
}

/* Entry of the station + 1; 0: none. */
static uint32_t find_station(const struct segment *s, struct str station)
{
    uint32_t low = 0, high = s->station_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = str_compare(entry_name(s, middle), station);
        if (order == 0)
            return middle + 1;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* Keeps the postings of an entry. */
static enum err take_postings(struct segment *s, uint32_t entry, struct fault *why)
{
    const uint8_t *p = entry_at(s, entry - 1);
    const uint32_t count = be32(p + 12);
    const size_t size = (size_t)count * POSTING_SIZE;
    size_t got = 0;

    s->postings_of = s->posting_count = 0;
    s->postings = mem_grow(s->postings, size + 1, 1);
    if (files_read(s->fd, s->postings, size, s->postings_at + (uint64_t)be32(p + 8) * POSTING_SIZE, &got) != OK)
        return segment_error(s, "cannot be read", why);
    if (got < size || crc32c(0, (struct bytes){s->postings, size}) != be32(p + 16)) {
        fault_set(why, str_of(s->name), "its station index is damaged");
        return ERR_CORRUPT;
    }
    s->postings_of = entry;
    s->posting_count = count;
    return OK;
}

bool segment_has_station(struct segment *s, struct str station)
{
    if (!s->is_indexed)
        return false;
    const uint32_t entry = find_station(s, station);
    if (entry == 0)
        s->postings_of = s->posting_count = 0;
    return entry == 0 || entry == s->postings_of || take_postings(s, entry, NULL) == OK;
}

enum err segment_posting(struct segment *s, bool is_next, uint64_t position, uint64_t *offset)
{
    uint32_t low = 0, high = s->posting_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->head.first + be32(s->postings + (size_t)middle * POSTING_SIZE) <= position)
            low = middle + 1;
        else
            high = middle;
    }
    if (is_next ? low == s->posting_count : low == 0)
        return ERR_UNKNOWN;
    *offset = (uint64_t)be32(s->postings + (size_t)(is_next ? low : low - 1) * POSTING_SIZE + 4) * 8;
    return OK;
}

enum err segment_check_index(struct segment *s, struct fault *why)
{
    struct batch_row row;
    bool is_bad = s->is_index_damaged;
    enum err e = OK;

    if (!s->is_indexed && !is_bad) /* an index that the file's end says nothing of */
        is_bad = segment_read_head(s, s->end, &row, why) == OK && row.is_end;
    if (is_bad) {
        fault_set(why, str_of(s->name), "its station index is damaged");
        return ERR_CORRUPT;
    }
    for (uint32_t i = 1; e == OK && i <= s->station_count; i++)
        e = take_postings(s, i, why);
    return e;
}
