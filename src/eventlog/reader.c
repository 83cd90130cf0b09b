/* eventlog/reader.c - reading a log batch by batch, with no word to its writer.
 *
 * A reader stands between two events: `at` is the position of the one that reader_next gives, reader_prev gives the one before it.
 * So the one after the other gives the same event again. One batch is kept, checked and taken apart, and two files are kept open: one
 * where it reads, one for looking at ends and times.
 *
 * Positions have no gap: whatever is missing between two batches, or between a segment's last batch and the next segment, is damage
 * and is said, once, before going on behind it. What is missing before the oldest segment was dropped.
 *
 * One file although it is long: forwards and backwards are the same walk, and differ in what they do at its ends. */
#include "eventlog/reader.h"
#include "eventlog/record.h"
#include "eventlog/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define JSON_MAX      ((size_t)64 << 20) /* of a packed payload: more than the longest frame makes */
#define DIR_SETTLED_S 1 /* a directory changed more recently may change again with the same time of change */

struct place {
    struct segment *segment; /* NULL: none is open */
    uint64_t first, bound;   /* bound: where the next begins, UINT64_MAX as far as is known */
    ino_t inode;             /* of the file, which may be replaced as long as it is empty */
};
/* A batch, checked, unsqueezed and taken apart. */
struct kept_batch {
    struct batch_head head; /* count 0: nothing is in it */
    struct buf data;
    uint32_t *starts; /* of its records in data */
    size_t starts_room;
};
struct log_reader {
    char *dir;
    struct segment_options options;
    struct segment_list segments;
    struct timespec dir_changed;
    bool dir_is_settled;
    struct log_identity identity; /* of the newest segment at reader_open */
    int durable_fd;               /* -1: nothing says what is durable */
    char *station;                /* NULL: all */
    struct str station_text;

    uint64_t at;
    struct place reading, looking;
    bool is_stuck; /* what is at `at` was told damaged, and nothing was behind it */

    struct kept_batch kept; /* the batch at hand */

    bool keeps_packed;
    struct arena arena; /* for the JSON of what is packed */
    struct buf json;
};

/* ---- places ---- */

static void leave(struct place *p)
{
    segment_close(p->segment);
    *p = (struct place){0};
}

static ino_t inode_of(struct str dir, uint64_t first)
{
    char name[SEGMENT_NAME_MAX], path[SEGMENT_PATH_MAX];
    struct stat st;

    segment_name(first, name);
    return segment_path(dir, name, "", path) == OK && stat(path, &st) == 0 ? st.st_ino : 0;
}

static void set_bound(const struct log_reader *r, struct place *p)
{
    size_t i = p->first == 0 ? SIZE_MAX : segment_list_floor(&r->segments, p->first);

    if (i == SIZE_MAX || r->segments.firsts[i] != p->first)
        return; /* it was dropped; what is open of it can be read to its end */
    p->bound = i + 1 < r->segments.count ? r->segments.firsts[i + 1] : UINT64_MAX;
    if (p->bound == UINT64_MAX && p->inode != inode_of(r->options.dir, p->first))
        leave(p);
}

/* Reads the directory again if it may have changed. */
static enum err look_around(struct log_reader *r, bool is_forced, struct fault *why)
{
    struct stat st;
    struct timespec now;

    if (stat(r->dir, &st) != 0) {
        fault_set(why, r->options.dir, "the log's directory cannot be read: %s", strerror(errno));
        return errno == ENOENT || errno == ENOTDIR ? ERR_UNKNOWN : ERR_IO;
    }
    if (!is_forced && r->dir_is_settled && st.st_mtim.tv_sec == r->dir_changed.tv_sec &&
        st.st_mtim.tv_nsec == r->dir_changed.tv_nsec)
        return OK;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct segment_list found = {0};
    enum err e = segment_list_read(r->options.dir, &found, why);
    if (e != OK)
        return e;
    if (found.count > 0) { /* a log is never without a segment: if it is, its end is what we know of it */
        segment_list_release(&r->segments);
        r->segments = found;
    }
    r->dir_changed = st.st_mtim;
    r->dir_is_settled = now.tv_sec > st.st_mtim.tv_sec + DIR_SETTLED_S;
    set_bound(r, &r->reading);
    set_bound(r, &r->looking);
    return OK;
}

static enum err check_identity(const struct log_reader *r, const struct segment *s, struct fault *why)
{
    if (memcmp(r->identity.log_id, s->head.identity.log_id, sizeof r->identity.log_id) == 0)
        return OK;
    fault_set(why, str_of(s->name), "this segment is of another log");
    return ERR_CORRUPT;
}

/* Takes in what has come to the segment since. */
static enum err look(struct log_reader *r, struct place *p, struct fault *why)
{
    struct durable d = {0}; /* of no segment: nothing is said to be durable */

    if (p->bound != UINT64_MAX)
        return segment_look(p->segment, NULL, p->bound, why);
    if (r->durable_fd < 0)
        r->durable_fd = durable_open_to_read(r->options.dir);
    enum err e = r->durable_fd < 0 ? ERR_UNKNOWN : durable_get(r->durable_fd, p->segment->head.identity.log_id, &d);
    if (e != OK && e != ERR_UNKNOWN && e != ERR_CORRUPT) {
        fault_set(why, r->options.dir, "log.durable cannot be read: %s", strerror(errno));
        return e;
    }
    return segment_look(p->segment, e == ERR_UNKNOWN ? NULL : &d, p->bound, why);
}

/* Opens the segment of the list that holds, or would hold, position. ERR_UNKNOWN: position is before the oldest. ERR_CORRUPT:
 * p->first and p->bound are those of the damaged segment. */
static enum err go_to(struct log_reader *r, struct place *p, uint64_t position, struct fault *why)
{
    if (p->segment != NULL && position >= p->first && position < p->bound)
        return position < p->segment->next ? OK : look(r, p, why);
    size_t i = segment_list_floor(&r->segments, position);
    if (i == SIZE_MAX)
        return ERR_UNKNOWN;
    leave(p);
    p->first = r->segments.firsts[i];
    p->bound = i + 1 < r->segments.count ? r->segments.firsts[i + 1] : UINT64_MAX;
    p->inode = inode_of(r->options.dir, p->first);
    enum err e = segment_open(&r->options, p->first, SEGMENT_TO_READ, &p->segment, why);
    if (e == OK && r->identity.multiply != 0)
        e = check_identity(r, p->segment, why);
    if (e == OK)
        e = look(r, p, why);
    if (e == OK)
        return OK;
    segment_close(p->segment);
    p->segment = NULL;
    return e;
}

/* ---- batches ---- */

/* Finds the records of the batch in data. */
static enum err take_apart(struct kept_batch *b, const struct batch_head *head, const char *name, struct fault *why)
{
    struct bytes rest = {b->data.at, b->data.len};

    if (head->count > b->starts_room) {
        b->starts = mem_grow(b->starts, head->count, sizeof *b->starts);
        b->starts_room = head->count;
    }
    for (uint32_t i = 0; i < head->count; i++) {
        size_t size = record_skip(rest);
        if (size == 0)
            break;
        b->starts[i] = (uint32_t)(b->data.len - rest.len);
        rest = (struct bytes){rest.at + size, rest.len - size};
        if (i + 1 == head->count && rest.len == 0)
            return OK;
    }
    fault_set(why, str_of(name), "batch %llu: its records do not fit", (unsigned long long)head->first);
    return ERR_CORRUPT;
}

/* Reads the batch that begins at first, and keeps it. */
static enum err keep_batch(struct log_reader *r, uint64_t first, struct fault *why)
{
    struct place *p = &r->reading;
    struct kept_batch *b = &r->kept;
    struct batch_row row;

    b->head.count = 0;
    enum err e = segment_read(p->segment, first, &row, &b->data, why);
    if (e == OK && row.head.count > p->bound - first) {
        fault_set(why, str_of(p->segment->name), "batch %llu: reaches into the next segment", (unsigned long long)first);
        e = ERR_CORRUPT;
    }
    if (e == OK)
        e = take_apart(b, &row.head, p->segment->name, why);
    if (e == OK)
        b->head = row.head;
    return e;
}

static bool has_batch_of(const struct log_reader *r, uint64_t position)
{
    const struct batch_head *h = &r->kept.head;

    return position >= h->first && position - h->first < h->count;
}

static enum err take_event(struct log_reader *r, uint64_t position, struct event *out, struct fault *why)
{
    const struct kept_batch *b = &r->kept;
    const uint32_t start = b->starts[position - b->head.first];
    struct bytes in = {b->data.at + start, b->data.len - start};
    enum err error = record_read(&in, out);

    if (error != OK) {
        fault_set(why, STR("position"), "%llu: %s", (unsigned long long)position,
                  error == ERR_UNSUPPORTED ? "of a type that only a newer version knows" : "the record's lengths do not fit");
        return error;
    }
    if (!r->keeps_packed) {
        arena_reset(&r->arena);
        error = event_unpack(out, &r->arena, &r->json, why);
        if (error != OK)
            return error;
    }
    out->position = position;
    out->log = &r->identity;
    return OK;
}

static enum err missing(struct log_reader *r, uint64_t from, uint64_t to, struct fault *why)
{
    struct segment *s = r->reading.segment;
    struct batch_row before;
    const uint64_t at = segment_find(s, SEGMENT_FLOOR, from, &before, NULL) == OK ? batch_end(&before) : SEGMENT_HEAD_SIZE;

    fault_set(why, str_of(s->name), "byte %llu: positions %llu to %llu are missing", (unsigned long long)at,
              (unsigned long long)from, (unsigned long long)(to - 1));
    return ERR_CORRUPT;
}

static bool is_by_station(const struct log_reader *r)
{
    return r->station != NULL && segment_has_station(r->reading.segment, r->station_text);
}

/* Up to which position there must be batches in the segment where we read; UINT64_MAX: none is known to be behind r->at. */
static uint64_t end_of_reading(const struct log_reader *r)
{
    const struct place *p = &r->reading;

    if (p->bound != UINT64_MAX || p->segment == NULL || p->segment->next <= r->at)
        return p->bound;
    return p->segment->next;
}

/* ---- forwards ---- */

/* Where the next batch after r->at in this segment begins. ERR_UNKNOWN: none. */
static enum err find_next(struct log_reader *r, uint64_t *next, struct fault *why)
{
    struct batch_row row;
    enum err e = segment_find(r->reading.segment, is_by_station(r) ? SEGMENT_NEXT_OF : SEGMENT_NEXT, r->at, &row, why);

    if (e == OK && row.head.first >= r->reading.bound)
        return ERR_UNKNOWN;
    if (e == OK)
        *next = row.head.first;
    return e;
}

/* Goes on behind what is damaged at r->at: with the next batch, or the next segment. While there is none it waits there. */
static enum err pass_damage(struct log_reader *r)
{
    uint64_t next;

    if (r->reading.segment == NULL || find_next(r, &next, NULL) != OK)
        next = end_of_reading(r);
    r->is_stuck = next == UINT64_MAX;
    if (r->is_stuck)
        return ERR_AGAIN;
    r->at = next;
    return OK;
}

/* Nothing is at r->at in this segment. */
static enum err pass_empty(struct log_reader *r, struct fault *why)
{
    uint64_t next = end_of_reading(r);
    enum err e = find_next(r, &next, why);

    if (e != OK && e != ERR_UNKNOWN)
        return e;
    if (next == UINT64_MAX)
        return ERR_AGAIN;
    if (!is_by_station(r)) {
        /* Two batches may have become durable since the first look: then the one at r->at is there by now. */
        e = keep_batch(r, r->at, why);
        return e == ERR_UNKNOWN ? missing(r, r->at, next, why) : e;
    }
    r->at = next;
    return OK;
}

/* Keeps the batch that holds r->at, or moves r->at on. */
static enum err load_next(struct log_reader *r, struct fault *why)
{
    struct batch_row row;
    enum err e = go_to(r, &r->reading, r->at, why);

    if (e == ERR_UNKNOWN) { /* what was there was dropped */
        r->at = r->segments.firsts[0];
        e = go_to(r, &r->reading, r->at, why);
    }
    if (e != OK)
        return e;
    const bool by_station = is_by_station(r);
    if (!by_station) {
        e = keep_batch(r, r->at, why); /* in order, a batch begins where the last one ended */
        if (e != ERR_UNKNOWN)
            return e;
    }
    e = segment_find(r->reading.segment, by_station ? SEGMENT_FLOOR_OF : SEGMENT_FLOOR, r->at, &row, why);
    if (e == OK && r->at - row.head.first < row.head.count) {
        e = keep_batch(r, row.head.first, why);
        /* Found on one way and not on another: batches that are out of order. */
        return e == ERR_UNKNOWN ? missing(r, r->at, row.head.first + row.head.count, why) : e;
    }
    return e == OK || e == ERR_UNKNOWN ? pass_empty(r, why) : e;
}

/* Nothing more is where we read. OK: something changed, look again. */
static enum err look_further(struct log_reader *r, struct fault *why)
{
    const struct place *p = &r->reading;
    const uint64_t bound = p->bound;
    enum err e = look_around(r, false, why);

    if (e != OK)
        return e;
    if (p->first == 0) { /* its file was replaced */
        r->is_stuck = false;
        return OK;
    }
    if (p->bound != bound)
        return OK;
    if (p->segment != NULL && p->segment->is_sealed && !r->is_stuck) {
        fault_set(why, str_of(p->segment->name), "the segment after this one is missing");
        return ERR_CORRUPT;
    }
    return ERR_AGAIN;
}

/* A segment that cannot be opened may have been dropped since the directory was read. OK: so it is. */
static enum err look_for_dropped(struct log_reader *r, enum err error, struct fault *why)
{
    const struct place *p = &r->reading;

    if (p->segment != NULL || inode_of(r->options.dir, p->first) != 0)
        return error;
    enum err e = look_around(r, true, why);
    size_t i = segment_list_floor(&r->segments, p->first);
    return e == OK && i != SIZE_MAX && r->segments.firsts[i] == p->first ? error : e;
}

enum err reader_next(struct log_reader *r, struct event *out, struct fault *why)
{
    enum err e = OK;

    if (r->at == UINT64_MAX)
        r->at = reader_newest(r) + 1;
    while (e == OK) {
        if (has_batch_of(r, r->at))
            return take_event(r, r->at++, out, why);
        e = r->is_stuck ? pass_damage(r) : load_next(r, why);
        if (e == ERR_AGAIN)
            e = look_further(r, why);
        else if (e != OK)
            e = look_for_dropped(r, e, why);
        if (e == ERR_CORRUPT)
            (void)pass_damage(r);
    }
    return e;
}

/* ---- backwards ---- */

/* The batch at or before last ends before it. */
static enum err pass_empty_back(struct log_reader *r, const struct batch_row *row, uint64_t last, struct fault *why)
{
    const struct place *p = &r->reading;
    const uint64_t end = row == NULL ? p->first : row->head.first + row->head.count;
    uint64_t next;
    bool is_end = p->bound == UINT64_MAX && p->segment->next <= last && find_next(r, &next, NULL) == ERR_UNKNOWN;

    r->at = end;
    return is_by_station(r) || is_end ? OK : missing(r, end, last + 1, why);
}

/* Keeps the batch that holds the event before r->at, or moves r->at back; after an error too. */
static enum err load_prev(struct log_reader *r, struct fault *why)
{
    const uint64_t last = r->at - 1;
    struct place *p = &r->reading;
    struct batch_row row;
    enum err e = go_to(r, p, last, why);

    if (e == ERR_UNKNOWN)
        return ERR_AGAIN;
    if (e == OK)
        e = segment_find(p->segment, is_by_station(r) ? SEGMENT_FLOOR_OF : SEGMENT_FLOOR, last, &row, why);
    if (e == OK && last - row.head.first >= row.head.count)
        return pass_empty_back(r, &row, last, why);
    if (e == OK) {
        e = keep_batch(r, row.head.first, why);
        if (e == ERR_UNKNOWN)
            e = missing(r, row.head.first, row.head.first + row.head.count, why);
        if (e == ERR_CORRUPT)
            r->at = row.head.first;
        return e;
    }
    if (e == ERR_UNKNOWN)
        return pass_empty_back(r, NULL, last, why);
    e = look_for_dropped(r, e, why);
    if (e == ERR_CORRUPT)
        r->at = p->first;
    return e;
}

enum err reader_prev(struct log_reader *r, struct event *out, struct fault *why)
{
    enum err e = OK;

    r->is_stuck = false;
    if (r->at == UINT64_MAX)
        r->at = reader_newest(r) + 1;
    while (e == OK && r->at > 1) {
        if (has_batch_of(r, r->at - 1))
            return take_event(r, --r->at, out, why);
        e = load_prev(r, why);
    }
    return e == OK ? ERR_AGAIN : e;
}

/* ---- ends, times ---- */

uint64_t reader_oldest(struct log_reader *r)
{
    (void)!look_around(r, false, NULL); /* if it cannot be read, what was there last */
    return r->segments.firsts[0];
}

uint64_t reader_newest(struct log_reader *r)
{
    (void)!look_around(r, false, NULL);
    const uint64_t first = r->segments.firsts[r->segments.count - 1];
    enum err e = go_to(r, &r->looking, first, NULL);
    if (e == OK)
        e = look(r, &r->looking, NULL);
    if (e == ERR_CORRUPT)
        return first; /* who reads up to here comes to the damage and says it */
    return e == OK ? r->looking.segment->next - 1 : first - 1;
}

/* The batch that holds position, by its head only. */
static enum err look_at(struct log_reader *r, uint64_t position, struct batch_head *head)
{
    struct batch_row row;
    enum err e = go_to(r, &r->looking, position, NULL);

    if (e == OK)
        e = segment_find(r->looking.segment, SEGMENT_FLOOR, position, &row, NULL);
    if (e == OK && position - row.head.first >= row.head.count)
        e = ERR_UNKNOWN;
    if (e == OK)
        *head = row.head;
    return e;
}

/* Walks events from where it stands, of all stations; back to the old state by the caller. */
static uint64_t find_time_from(struct log_reader *r, struct instant t, uint64_t end)
{
    struct event e;

    while (r->at < end) {
        enum err error = reader_next(r, &e, NULL);
        if (error == OK && !instant_before(e.received, t))
            return e.position;
        if (error != OK && error != ERR_CORRUPT && error != ERR_UNSUPPORTED)
            break;
    }
    return end;
}

/* Times rise with positions but where the clock was set back; there, one of the places where t passes is found. */
uint64_t reader_find_time(struct log_reader *r, struct instant t)
{
    const uint64_t end = reader_newest(r) + 1, at = r->at;
    uint64_t low = reader_oldest(r), high = end;
    const bool is_stuck = r->is_stuck, keeps_packed = r->keeps_packed;
    char *station = r->station;
    struct batch_head head;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (look_at(r, middle, &head) != OK)
            low = middle + 1; /* damaged: as if it were earlier */
        else if (head.last_at < t.us)
            low = head.first + head.count;
        else
            high = head.first;
    }
    r->station = NULL;
    r->keeps_packed = true;
    reader_seek(r, low);
    uint64_t found = find_time_from(r, t, end);
    r->station = station;
    r->keeps_packed = keeps_packed;
    r->at = at;
    r->is_stuck = is_stuck;
    return found;
}

/* That its JSON could be made, without making it. */
static enum err check_packed(struct log_reader *r, const struct event *e, struct fault *why)
{
    if (!event_is_packed(e))
        return OK;
    arena_reset(&r->arena);
    void *payload = arena_take(&r->arena, event_kinds[e->type].payload->size + 1);
    return payload == NULL ? ERR_MEMORY : event_read_payload(e, &r->arena, payload, why);
}

enum err reader_verify(struct log_reader *r, bool (*report)(void *data, const struct fault *why), void *data, uint64_t *checked)
{
    const uint64_t at = r->at;
    char *station = r->station;
    uint64_t segment = 0, count = 0;
    enum err e = OK, worst = OK;
    struct event event;
    bool goes_on = true;
    const bool keeps_packed = r->keeps_packed;

    r->station = NULL;
    r->keeps_packed = true;
    reader_seek(r, reader_oldest(r));
    while (goes_on && e != ERR_AGAIN) {
        struct fault why = {0};
        e = reader_next(r, &event, &why);
        if (e == OK)
            e = check_packed(r, &event, &why);
        if (e == OK)
            count++;
        if (e == OK && r->reading.first != segment) {
            segment = r->reading.first;
            e = segment_check_index(r->reading.segment, &why);
        }
        if (e == OK || e == ERR_AGAIN)
            continue;
        worst = e;
        goes_on = report(data, &why) && (e == ERR_CORRUPT || e == ERR_UNSUPPORTED);
    }
    r->station = station;
    r->keeps_packed = keeps_packed;
    reader_seek(r, at);
    *checked = count;
    return worst;
}

struct str reader_gateway(const struct log_reader *r)
{
    return str_of(r->identity.gateway_id);
}

/* ---- opening ---- */

enum err reader_open(struct str dir, struct log_reader **out, struct fault *why)
{
    struct log_reader *r = mem_new(1, sizeof *r);

    r->dir = mem_new(dir.len + 1, 1);
    memcpy(r->dir, dir.at, dir.len);
    r->options = (struct segment_options){.dir = {r->dir, dir.len}};
    r->durable_fd = -1;
    r->at = 1;
    buf_init(&r->kept.data, BATCH_SIZE_MAX);
    arena_init(&r->arena, JSON_MAX);
    buf_init(&r->json, JSON_MAX);
    enum err e = look_around(r, true, why);
    if (e == OK && r->segments.count == 0) {
        fault_set(why, dir, "no log is there");
        e = ERR_UNKNOWN;
    }
    /* Who we are, the newest segment tells; if that is damaged, the newest that is not. */
    for (size_t i = r->segments.count; e == OK && i > 0 && r->identity.multiply == 0; i--) {
        e = go_to(r, &r->looking, r->segments.firsts[i - 1], why);
        check(e != OK || r->looking.segment != NULL);
        if (e == OK)
            r->identity = r->looking.segment->head.identity;
        else if (e == ERR_CORRUPT && i > 1)
            e = OK;
    }
    if (e != OK) {
        reader_close(r);
        return e;
    }
    *out = r;
    return OK;
}

void reader_close(struct log_reader *r)
{
    if (r == NULL)
        return;
    leave(&r->reading);
    leave(&r->looking);
    if (r->durable_fd >= 0)
        (void)close(r->durable_fd);
    segment_list_release(&r->segments);
    reader_trim(r);
    arena_release(&r->arena);
    buf_release(&r->json);
    free(r->station);
    free(r->dir);
    free(r);
}

void reader_keep_packed(struct log_reader *r)
{
    r->keeps_packed = true;
}

void reader_trim(struct log_reader *r)
{
    struct kept_batch *b = &r->kept;

    buf_release(&b->data);
    free(b->starts);
    b->starts = NULL;
    b->starts_room = 0;
    b->head.count = 0;
}

void reader_seek(struct log_reader *r, uint64_t position)
{
    r->at = position == 0 ? 1 : position;
    r->is_stuck = false;
}

void reader_seek_back(struct log_reader *r, uint64_t position)
{
    r->at = position == UINT64_MAX ? position : position + 1;
    r->is_stuck = false;
}

void reader_only_station(struct log_reader *r, struct str station)
{
    free(r->station);
    r->station = NULL;
    r->station_text = (struct str){NULL, 0};
    if (station.at == NULL)
        return;
    r->station = mem_new(station.len + 1, 1);
    memcpy(r->station, station.at, station.len);
    r->station_text = (struct str){r->station, station.len};
}
