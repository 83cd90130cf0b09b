/* eventlog/segment.c - one segment as a file: made, opened, written, walked, read. The format is told at the head of log.c.
 *
 * What lies in a file before `end` is known to be there and does not change any more; the bytes behind it are zeros that were written ahead,
 * or of a batch that is being written at this moment, and are believed only as far as segment_look finds them durable. Heads are walked
 * through a window, for there may be thousands of small batches between two marks.
 *
 * One file although it is long: what is written, and what of it is believed and when, are to be read together. */
#include "eventlog/segment.h"
#include "eventlog/put.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVE_ROOM 8 /* times what is reserved must be free, to reserve it */
#define ZEROS_PIECE  (32 << 10)
#define ZEROS_WORTH  (64 << 10) /* batches longer than this cost more for being written twice than their syncs save */
#define NEW_SUFFIX   ".new"
#define FILE_MODE    0640
#define WINDOW_SIZE  (64 << 10)
#define WINDOW_WORTH (WINDOW_SIZE / 8) /* batches longer than this are walked head by head */
#define SEARCH_SIZE  (1 << 20)
#define FILE_MAGIC   0x434c6c6f67736567u /* "CLlogseg" */
#define BATCH_MAGIC  0x434c6261u         /* "CLba" */
#define END_MAGIC    0x434c656eu         /* "CLen" */

/* Places in the head of a file. */
enum { AT_FORMAT = 8, AT_LOG_ID = 12, AT_NUMBER = 28, AT_FIRST = 36, AT_SALT = 44, AT_GATEWAY_SIZE = 52, AT_GATEWAY = 54,
       AT_CRC = SEGMENT_HEAD_SIZE - 4 };

enum err segment_error(const struct segment *s, const char *doing, struct fault *why)
{
    fault_set(why, str_of(s->name), "%s: %s", doing, strerror(errno));
    return files_error();
}

enum err segment_size(struct segment *s, uint64_t *size, struct fault *why)
{
    struct stat st;

    if (fstat(s->fd, &st) != 0)
        return segment_error(s, "cannot be read", why);
    *size = (uint64_t)st.st_size;
    return OK;
}

uint64_t batch_end(const struct batch_row *row)
{
    return row->offset + (((uint64_t)BATCH_HEAD_SIZE + row->stored + 7) & ~(uint64_t)7);
}

/* ---- making ---- */

static void write_file_head(const struct segment_head *h, uint8_t out[SEGMENT_HEAD_SIZE])
{
    const size_t gateway = strlen(h->identity.gateway_id);

    memset(out, 0, SEGMENT_HEAD_SIZE);
    put64(out, FILE_MAGIC);
    put32(out + AT_FORMAT, SEGMENT_FORMAT);
    memcpy(out + AT_LOG_ID, h->identity.log_id, sizeof h->identity.log_id);
    put64(out + AT_NUMBER, h->number);
    put64(out + AT_FIRST, h->first);
    put64(out + AT_SALT, h->salt);
    put16(out + AT_GATEWAY_SIZE, (uint16_t)gateway);
    memcpy(out + AT_GATEWAY, h->identity.gateway_id, gateway);
    put32(out + AT_CRC, crc32c(0, (struct bytes){out, AT_CRC}));
}

static enum err fill_new(const struct segment_options *o, const char *path, const struct segment_head *h)
{
    uint8_t bytes[SEGMENT_HEAD_SIZE];
    struct iovec part = {bytes, sizeof bytes};
    int fd = o->files->open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);

    if (fd < 0)
        return files_error();
    write_file_head(h, bytes);
    enum err e = files_write(o->files, fd, &part, 1, 0);
    if (e == OK && o->sync && o->files->fdatasync(fd) != 0)
        e = files_error();
    int reason = errno;
    (void)close(fd);
    errno = reason;
    return e;
}

enum err segment_create(const struct segment_options *o, const struct segment_head *head, struct fault *why)
{
    struct segment_head h = *head;
    char name[SEGMENT_NAME_MAX], path[SEGMENT_PATH_MAX], made[SEGMENT_PATH_MAX], dir[SEGMENT_PATH_MAX];

    segment_name(h.first, name);
    if (segment_path(o->dir, name, "", path) != OK || segment_path(o->dir, name, NEW_SUFFIX, made) != OK ||
        segment_path(o->dir, ".", "", dir) != OK) {
        fault_set(why, o->dir, "the path is too long");
        return ERR_RANGE;
    }
    enum err e = getrandom(&h.salt, sizeof h.salt, 0) == sizeof h.salt ? OK : ERR_IO;
    if (e == OK)
        e = fill_new(o, made, &h);
    if (e == OK && o->files->rename(made, path) != 0)
        e = files_error();
    if (e == OK && o->sync)
        e = files_sync_dir(o->files, dir);
    if (e != OK)
        fault_set(why, str_of(name), "cannot be made: %s", strerror(errno));
    return e;
}

/* ---- opening ---- */

static enum err read_file_head(struct segment *s, uint64_t first, struct fault *why)
{
    uint8_t bytes[SEGMENT_HEAD_SIZE];
    struct segment_head *h = &s->head;
    size_t got = 0;

    if (files_read(s->fd, bytes, sizeof bytes, 0, &got) != OK)
        return segment_error(s, "cannot be read", why);
    bool is_sound = got == sizeof bytes && be64(bytes) == FILE_MAGIC &&
                    crc32c(0, (struct bytes){bytes, AT_CRC}) == be32(bytes + AT_CRC);
    if (is_sound && be32(bytes + AT_FORMAT) > SEGMENT_FORMAT) {
        fault_set(why, str_of(s->name), "written by a newer version, format %u", be32(bytes + AT_FORMAT));
        return ERR_UNSUPPORTED;
    }
    const size_t gateway = be16(bytes + AT_GATEWAY_SIZE);
    is_sound = is_sound && gateway <= GATEWAY_ID_SIZE_MAX && be64(bytes + AT_FIRST) == first;
    if (!is_sound) {
        fault_set(why, str_of(s->name), "its head is damaged, or it is not the file of this name");
        return ERR_CORRUPT;
    }
    memcpy(h->identity.log_id, bytes + AT_LOG_ID, sizeof h->identity.log_id);
    memcpy(h->identity.gateway_id, bytes + AT_GATEWAY, gateway);
    h->number = be64(bytes + AT_NUMBER);
    h->format = be32(bytes + AT_FORMAT);
    h->first = first;
    h->salt = be64(bytes + AT_SALT);
    identity_derive(&h->identity);
    return OK;
}

enum err segment_open(const struct segment_options *o, uint64_t first, enum segment_use use, struct segment **out,
                      struct fault *why)
{
    char path[SEGMENT_PATH_MAX];
    struct segment *s = mem_new(1, sizeof *s);

    s->files = o->files;
    s->sync = o->sync;
    s->fd = -1;
    s->next = first;
    s->end = SEGMENT_HEAD_SIZE;
    buf_init(&s->stored, BATCH_SIZE_MAX);
    segment_name(first, s->name);
    enum err e = segment_path(o->dir, s->name, "", path);
    if (e == OK)
        s->fd = use == SEGMENT_TO_READ ? open(path, O_RDONLY | O_CLOEXEC) : o->files->open(path, O_RDWR | O_CLOEXEC, 0);
    if (e == OK && s->fd < 0)
        e = segment_error(s, "cannot be opened", why);
    if (e == OK)
        e = read_file_head(s, first, why);
    if (e == OK)
        e = segment_load_index(s, why);
    if (e != OK) {
        segment_close(s);
        return e;
    }
    *out = s;
    return OK;
}

void segment_close(struct segment *s)
{
    if (s == NULL)
        return;
    if (s->fd >= 0)
        (void)close(s->fd);
    free(s->marks);
    free(s->index);
    free(s->postings);
    free(s->window);
    buf_release(&s->stored);
    squeezer_release(&s->squeezer);
    free(s);
}

/* ---- heads ---- */

static uint32_t head_crc(const struct segment *s, const uint8_t bytes[BATCH_HEAD_SIZE])
{
    uint8_t salted[24];

    memcpy(salted, s->head.identity.log_id, 16);
    put64(salted + 16, s->head.salt);
    return crc32c(crc32c(0, (struct bytes){salted, sizeof salted}), (struct bytes){bytes, BATCH_HEAD_SIZE - 4});
}

void segment_write_head(const struct segment *s, const struct batch_row *row, uint8_t out[BATCH_HEAD_SIZE])
{
    put32(out, row->is_end ? END_MAGIC : BATCH_MAGIC);
    put32(out + 4, row->head.count);
    put64(out + 8, row->head.first);
    put64(out + 16, (uint64_t)row->head.first_at);
    put64(out + 24, (uint64_t)row->head.last_at);
    put32(out + 32, row->stored);
    put32(out + 36, row->size);
    put32(out + 40, (uint32_t)(row->back / 8));
    put32(out + 44, row->crc);
    put32(out + 48, head_crc(s, out));
}

static bool parse_head(const struct segment *s, const uint8_t *p, uint64_t at, struct batch_row *row)
{
    const uint32_t magic = be32(p);

    if ((magic != BATCH_MAGIC && magic != END_MAGIC) || be32(p + 48) != head_crc(s, p))
        return false;
    *row = (struct batch_row){
        .head = {be64(p + 8), be32(p + 4), (int64_t)be64(p + 16), (int64_t)be64(p + 24)},
        .offset = at,
        .stored = be32(p + 32),
        .size = be32(p + 36),
        .back = (uint64_t)be32(p + 40) * 8,
        .crc = be32(p + 44),
        .is_end = magic == END_MAGIC,
    };
    return row->size <= BATCH_SIZE_MAX && row->stored <= row->size && row->head.first <= INT64_MAX &&
           (row->is_end ? row->head.count == 0 : row->head.count > 0 && row->head.count <= BATCH_COUNT_MAX);
}

enum err segment_read_head(struct segment *s, uint64_t at, struct batch_row *row, struct fault *why)
{
    uint8_t one[BATCH_HEAD_SIZE];
    const uint8_t *p = one;
    size_t got = 0;

    if (s->window_len > 0 && at >= s->window_at && at + BATCH_HEAD_SIZE <= s->window_at + s->window_len) {
        p = s->window + (at - s->window_at);
    } else if (s->last_size > WINDOW_WORTH) {
        if (files_read(s->fd, one, sizeof one, at, &got) != OK)
            return segment_error(s, "cannot be read", why);
        if (got < sizeof one)
            return ERR_UNKNOWN;
    } else {
        if (s->window == NULL)
            s->window = mem_new(WINDOW_SIZE, 1);
        s->window_len = 0;
        if (files_read(s->fd, s->window, WINDOW_SIZE, at, &got) != OK)
            return segment_error(s, "cannot be read", why);
        s->window_at = at;
        s->window_len = got;
        if (got < BATCH_HEAD_SIZE)
            return ERR_UNKNOWN;
        p = s->window;
    }
    if (!parse_head(s, p, at, row))
        return ERR_UNKNOWN;
    s->last_size = row->stored;
    return OK;
}

enum err segment_search(struct segment *s, uint64_t at, uint64_t end, uint64_t from, struct batch_row *row, struct fault *why)
{
    uint8_t *bytes = mem_new(SEARCH_SIZE, 1);
    enum err e = ERR_UNKNOWN;

    while (e == ERR_UNKNOWN && at + BATCH_HEAD_SIZE <= end) {
        size_t got = 0, len = end - at < SEARCH_SIZE ? (size_t)(end - at) : SEARCH_SIZE;
        if (files_read(s->fd, bytes, len, at, &got) != OK) {
            e = segment_error(s, "cannot be read", why);
            break;
        }
        size_t i = 0;
        for (; e == ERR_UNKNOWN && i + BATCH_HEAD_SIZE <= got; i += 8) {
            if (parse_head(s, bytes + i, at + i, row) && row->head.first >= from)
                e = OK;
        }
        if (i == 0)
            break; /* the file is shorter than was thought */
        at += i;
    }
    free(bytes);
    return e;
}

/* The head at `at`, or if that is damaged the next sound one, of what is known. */
static enum err walk(struct segment *s, uint64_t at, uint64_t from, struct batch_row *row, struct fault *why)
{
    enum err e = at >= s->end ? ERR_UNKNOWN : segment_read_head(s, at, row, why);

    if (at >= s->end || (e != ERR_UNKNOWN && (e != OK || row->head.first >= from)))
        return e;
    return segment_search(s, at + 8, s->end, from, row, why);
}

/* ---- writing ---- */

static bool is_mark(const struct segment *s, const struct batch_row *row)
{
    return s->newest_mark == 0 || row->offset / MARK_SPAN != s->newest_mark / MARK_SPAN;
}

static void add_mark(struct segment *s, uint64_t first, uint64_t offset)
{
    if (s->mark_count == s->mark_room) {
        s->mark_room = s->mark_room == 0 ? 64 : 2 * s->mark_room;
        s->marks = mem_grow(s->marks, s->mark_room, sizeof *s->marks);
    }
    s->marks[s->mark_count++] = (struct segment_mark){first, offset};
}

void segment_accept(struct segment *s, const struct batch_row *row)
{
    if (is_mark(s, row)) {
        s->newest_mark = row->offset;
        add_mark(s, row->head.first, row->offset);
    }
    s->next = row->head.first + row->head.count;
    s->end = batch_end(row);
}

enum err segment_append(struct segment *s, const struct batch_head *head, struct bytes data, struct batch_row *row,
                        struct fault *why)
{
    static const uint8_t zeros[8];
    uint8_t bytes[BATCH_HEAD_SIZE];

    const uint32_t size = (uint32_t)data.len;
    data = squeeze(&s->squeezer, data, &s->stored);
    *row = (struct batch_row){.head = *head,
                              .offset = s->end,
                              .stored = (uint32_t)data.len,
                              .size = size,
                              .crc = crc32c(0, data),
                              .back = s->newest_mark};
    segment_write_head(s, row, bytes);
    struct iovec parts[] = {{bytes, sizeof bytes},
                            {(void *)(uintptr_t)data.at, data.len},
                            {(void *)(uintptr_t)zeros, (size_t)(batch_end(row) - s->end) - BATCH_HEAD_SIZE - data.len}};
    if (files_write(s->files, s->fd, parts, COUNT_OF(parts), s->end) != OK)
        return segment_error(s, "cannot be written", why);
    if (s->sync && s->files->fdatasync(s->fd) != 0)
        return segment_error(s, "cannot be synced", why);
    s->batch_size = batch_end(row) - row->offset;
    return OK;
}

static void reserve_place(struct segment *s, uint64_t limit)
{
    const uint64_t span = limit < SEGMENT_RESERVE ? limit : SEGMENT_RESERVE;

    if (s->asked < s->end)
        s->asked = s->end;
    if (s->asked - s->end >= span / 2)
        return;
    /* Whether it worked or not, it is asked again only so much later. A disk that is nearly full is left to who needs it now. */
    struct statvfs disk;
    if (fstatvfs(s->fd, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize >= RESERVE_ROOM * span &&
        s->files->fallocate(s->fd, FALLOC_FL_KEEP_SIZE, (off_t)s->asked, (off_t)span) == 0)
        s->reserved = s->asked + span;
    s->asked += span;
}

/* Where zeros lie inside the file's size, a batch over them changes neither the size nor which blocks are the file's nor whether these
 * were ever written: so its fdatasync writes the data and empties the disk's cache, and the file system's journal has nothing to add.
 * The zeros themselves, the new size and the blocks' marks go to the disk with the first sync behind them, which is that of the next
 * batch: fdatasync writes all that is needed to read the data back, so a batch over zeros that never reached the disk is as safe as
 * one without. Only place that was reserved is filled: a disk that is nearly full gives none, and a file system that does not know how to
 * may write elsewhere each time. */
static void write_zeros(struct segment *s)
{
    static uint8_t zeros[ZEROS_PIECE]; /* not const: so it takes no place in the program's file */
    struct iovec parts[SEGMENT_ZEROS / ZEROS_PIECE];
    int count = 0;

    if (s->zeroed < s->end)
        s->zeroed = s->end;
    if (s->zeroed >= s->reserved || s->zeroed - s->end >= SEGMENT_ZEROS / 4)
        return;
    size_t left = s->reserved - s->zeroed < SEGMENT_ZEROS ? (size_t)(s->reserved - s->zeroed) : SEGMENT_ZEROS;
    const uint64_t at = s->zeroed;
    s->zeroed += left; /* where it fails, the bytes are as good as without */
    for (; left > 0; left -= parts[count++].iov_len)
        parts[count] = (struct iovec){zeros, left < ZEROS_PIECE ? left : ZEROS_PIECE};
    (void)!files_write(s->files, s->fd, parts, count, at);
}

void segment_reserve(struct segment *s, uint64_t limit)
{
    reserve_place(s, limit);
    if (s->sync && s->batch_size <= ZEROS_WORTH)
        write_zeros(s);
}

/* ---- looking ---- */

/* A head whose neighbours are not wanted. */
static enum err read_head_alone(struct segment *s, uint64_t at, struct batch_row *row)
{
    s->window_len = 0;
    s->last_size = WINDOW_WORTH + 1;
    return segment_read_head(s, at, row, NULL);
}

/* The marks of a segment that is still written, from its newest batch backwards. false: they do not hang together. */
static bool take_marks(struct segment *s, const struct durable *d)
{
    struct batch_row row;

    if (read_head_alone(s, d->last, &row) != OK || batch_end(&row) != d->end ||
        row.head.first + row.head.count != d->position + 1)
        return false;
    if (row.back == 0 || row.offset / MARK_SPAN != row.back / MARK_SPAN)
        add_mark(s, row.head.first, row.offset);
    while (row.back != 0 && row.back < row.offset && read_head_alone(s, row.back, &row) == OK)
        add_mark(s, row.head.first, row.offset);
    bool is_whole = row.back == 0 && row.offset == SEGMENT_HEAD_SIZE && row.head.first == s->head.first;
    for (size_t i = 0, k = s->mark_count; is_whole && i + 1 < k--; i++) {
        struct segment_mark m = s->marks[i];
        s->marks[i] = s->marks[k];
        s->marks[k] = m;
    }
    if (!is_whole) {
        s->mark_count = 0;
        return false;
    }
    s->newest_mark = s->marks[s->mark_count - 1].offset;
    s->next = d->position + 1;
    s->end = d->end;
    return true;
}

static bool is_data_right(struct segment *s, const struct batch_row *row)
{
    struct buf data;

    buf_init(&data, BATCH_SIZE_MAX);
    bool is_right = segment_read_data(s, row, &data, NULL) == OK;
    buf_release(&data);
    return is_right;
}

/* Whether a batch with a sound head that nobody has told durable is so: a batch is begun only when the one before it was on the
 * disk. Without any word on what is durable the last one counts if it is whole. */
static bool is_proven(struct segment *s, const struct batch_row *row, const struct durable *d)
{
    struct batch_row behind;

    if (segment_read_head(s, batch_end(row), &behind, NULL) == OK && behind.head.first == row->head.first + row->head.count)
        return true;
    return d == NULL && is_data_right(s, row);
}

struct view {
    const struct durable *d;
    uint64_t bound, size;
    bool is_last, has_search; /* has_search: what is behind the end is to be searched for whole batches */
    uint64_t told_end, told_next; /* before that everything is durable */
};

/* Whether there is a batch at s->end after all, now that one was found behind it: over zeros the writer may have written both since the
 * first was looked for. It writes them in their order, so who sees the second sees the first. */
static bool is_there_by_now(struct segment *s, const struct batch_row *behind)
{
    struct batch_row row;

    s->window_len = 0;
    return segment_read_head(s, s->end, &row, NULL) == OK && row.head.first == s->next && batch_end(&row) <= behind->offset;
}

/* Nothing sound is at s->end. OK: it was damage, s->end is behind it; or something is there by now. */
static enum err step_over(struct segment *s, const struct view *v, struct fault *why)
{
    struct batch_row row;
    enum err e = segment_search(s, s->end + 8, s->end < v->told_end ? v->told_end : v->size, s->next, &row, why);

    if (e == OK && row.head.first < v->bound && (s->end >= v->told_end || row.offset < v->told_end)) {
        if (s->end < v->told_end || !is_there_by_now(s, &row))
            s->end = row.offset;
        return OK;
    }
    if ((e != OK && e != ERR_UNKNOWN) || s->end >= v->told_end)
        return e == OK ? ERR_UNKNOWN : e;
    s->end = v->told_end;
    if (s->next < v->told_next) /* a note that says less than is there is no reason to go back behind it */
        s->next = v->told_next;
    return OK;
}

/* Takes in the batch at s->end. ERR_UNKNOWN: there is none, or not yet. */
static enum err step(struct segment *s, const struct view *v, struct fault *why)
{
    struct batch_row row;
    enum err e = segment_read_head(s, s->end, &row, why);

    if (e == OK && (row.head.first < s->next || batch_end(&row) > ((v->size + 7) & ~(uint64_t)7)))
        e = ERR_UNKNOWN; /* no batch of here, or cut */
    if (e == OK && row.is_end) {
        s->is_sealed = true;
        return ERR_UNKNOWN;
    }
    if (e == OK && row.head.first >= v->bound)
        return ERR_UNKNOWN; /* given up, and written again in the next segment */
    if (e == OK && v->is_last && batch_end(&row) > v->told_end && !is_proven(s, &row, v->d))
        return ERR_UNKNOWN;
    if (e == OK)
        segment_accept(s, &row);
    return e == ERR_UNKNOWN && ((s->end < v->size && v->has_search) || s->end < v->told_end) ? step_over(s, v, why) : e;
}

enum err segment_look(struct segment *s, const struct durable *d, uint64_t bound, struct fault *why)
{
    struct view v = {.d = d, .bound = bound, .is_last = bound == UINT64_MAX, .has_search = true,
                     .told_end = SEGMENT_HEAD_SIZE};
    const bool is_told = d != NULL && d->first == s->head.first && d->salt == s->head.salt && v.is_last;

    if (s->is_sealed || s->next >= bound || (v.is_last && d != NULL && d->first > s->head.first))
        return OK; /* or it has a successor, which the caller has not seen yet */
    if (is_told && s->is_searched && d->end <= s->end)
        return OK;
    enum err e = segment_size(s, &v.size, why);
    if (e != OK)
        return e;
    if (is_told) {
        v.told_end = d->end;
        v.told_next = d->position + 1;
        /* Behind what is told there are zeros, half a megabyte of them, and what is on its way. Whole batches with damage before them are
         * there only if the note is older than the file: then they are found at the first look. Later ones are written before our eyes,
         * and told. */
        v.has_search = !s->is_searched;
        if (s->mark_count == 0 && d->last != 0)
            (void)take_marks(s, d); /* else it is walked from the front */
    }
    s->window_len = 0; /* what was seen of the bytes behind the end may have changed */
    while (e == OK && s->next < bound)
        e = step(s, &v, why);
    s->window_len = 0;
    s->is_searched = s->is_searched || e == ERR_UNKNOWN;
    return e == ERR_UNKNOWN ? OK : e;
}

/* ---- finding and reading ---- */

/* The newest mark at or before position. */
static const struct segment_mark *mark_at(const struct segment *s, uint64_t position)
{
    size_t low = 0, high = s->mark_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->marks[middle].first <= position)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? NULL : &s->marks[low - 1];
}

enum err segment_find(struct segment *s, enum segment_seek which, uint64_t position, struct batch_row *row, struct fault *why)
{
    uint64_t at;

    if (which == SEGMENT_FLOOR_OF || which == SEGMENT_NEXT_OF) {
        const bool is_next = which == SEGMENT_NEXT_OF;
        enum err e = segment_posting(s, is_next, position, &at);
        if (e == OK)
            e = segment_read_head(s, at, row, why);
        if (e != OK || (row->head.first > position) == is_next)
            return e;
        /* It leads the wrong way, and who followed it would go in circles: it is read without. */
        s->is_indexed = false;
        s->is_index_damaged = true;
        which = is_next ? SEGMENT_NEXT : SEGMENT_FLOOR;
    }
    const struct segment_mark *mark = mark_at(s, position);
    struct batch_row here, found = {0};
    uint64_t from = mark == NULL ? s->head.first : mark->first;
    enum err e = OK;

    at = mark == NULL ? SEGMENT_HEAD_SIZE : mark->offset;
    while ((e = walk(s, at, from, &here, why)) == OK) {
        if (here.head.first > position)
            break;
        found = here;
        at = batch_end(&here);
        from = here.head.first + here.head.count;
    }
    if (e != OK && e != ERR_UNKNOWN)
        return e;
    if (which == SEGMENT_NEXT) {
        if (e != OK)
            return e;
        found = here;
    }
    if (found.head.count == 0)
        return ERR_UNKNOWN;
    *row = found;
    return OK;
}

static enum err no_memory(const struct segment *s, const struct batch_row *row, struct buf *data, struct fault *why)
{
    data->failed = false;
    fault_set(why, str_of(s->name), "batch %llu: no memory for its data", (unsigned long long)row->head.first);
    return ERR_MEMORY;
}

enum err segment_read_stored(struct segment *s, const struct batch_row *row, struct buf *data, struct fault *why)
{
    size_t got = 0;

    buf_clear(data);
    uint8_t *to = buf_reserve(data, row->stored);
    if (to == NULL)
        return no_memory(s, row, data, why);
    if (files_read(s->fd, to, row->stored, row->offset + BATCH_HEAD_SIZE, &got) != OK)
        return segment_error(s, "cannot be read", why);
    if (got == row->stored && crc32c(0, (struct bytes){to, got}) == row->crc) {
        data->len = got;
        return OK;
    }
    fault_set(why, str_of(s->name), "batch %llu at byte %llu: %s", (unsigned long long)row->head.first,
              (unsigned long long)row->offset, got < row->stored ? "it is cut off" : "its checksum differs");
    return ERR_CORRUPT;
}

enum err segment_read_data(struct segment *s, const struct batch_row *row, struct buf *data, struct fault *why)
{
    if (row->stored == row->size)
        return segment_read_stored(s, row, data, why);
    enum err e = segment_read_stored(s, row, &s->stored, why);
    if (e != OK)
        return e;
    e = unsqueeze(&s->squeezer, (struct bytes){s->stored.at, s->stored.len}, row->size, data);
    if (e == ERR_MEMORY)
        return no_memory(s, row, data, why);
    if (e != OK)
        fault_set(why, str_of(s->name), "batch %llu at byte %llu: it cannot be unsqueezed", (unsigned long long)row->head.first,
                  (unsigned long long)row->offset);
    return e;
}

enum err segment_read(struct segment *s, uint64_t first, struct batch_row *row, struct buf *data, struct fault *why)
{
    const struct batch_row *last = &s->follow;
    struct batch_row found;
    enum err e = ERR_UNKNOWN;

    if (first >= s->next)
        return ERR_UNKNOWN;
    if (last->head.count > 0 && last->head.first + last->head.count == first && batch_end(last) < s->end)
        e = segment_read_head(s, batch_end(last), &found, why);
    if (e == ERR_UNKNOWN || (e == OK && found.head.first != first))
        e = segment_find(s, SEGMENT_FLOOR, first, &found, why);
    if (e != OK)
        return e;
    if (found.head.first != first)
        return ERR_UNKNOWN;
    e = segment_read_data(s, &found, data, why);
    if (e == OK)
        *row = s->follow = found;
    return e;
}
