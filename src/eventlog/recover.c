/* eventlog/recover.c - where the log ends, after a stop of any kind.
 *
 * At most one batch, the last, may have been on its way to the disk: if it is not whole it is cut off, for nobody was told of it. All
 * else that is not whole is damage: what log.durable says was durable, and what has whole batches behind it. The zeros behind the end that
 * were written ahead are cut off with the torn batch.
 *
 * A whole last batch that nobody was told of is written once more: after a sync that failed the system may show what is not on the
 * disk, and think that nothing is left to write. */
#include "eventlog/segment.h"

#include <errno.h>

static enum err damaged(const struct segment *s, uint64_t at, const char *what, struct fault *why)
{
    fault_set(why, str_of(s->name), "byte %llu: %s", (unsigned long long)at, what);
    return ERR_CORRUPT;
}

/* The last batch that is known to be durable. */
static enum err take_told(struct segment *s, const struct durable *d, struct batch_row *last, struct buf *data,
                          struct fault *why)
{
    struct batch_row row;

    enum err e = segment_read_head(s, d->last, &row, why);
    if (e == ERR_UNKNOWN || (e == OK && (row.is_end || batch_end(&row) != d->end ||
                                         row.head.first + row.head.count != d->position + 1)))
        return damaged(s, d->last, "the last batch that was durable is missing or damaged", why);
    if (e == OK)
        e = segment_read_data(s, &row, data, why);
    if (e != OK)
        return e;
    /* As if everything before had been walked. */
    s->newest_mark = row.back;
    segment_accept(s, &row);
    *last = row;
    return OK;
}

static enum err write_again(struct segment *s, const struct batch_row *row, const struct buf *data, struct fault *why)
{
    uint8_t head[BATCH_HEAD_SIZE];
    struct iovec parts[] = {{head, sizeof head}, {data->at, data->len}};

    segment_write_head(s, row, head);
    return files_write(s->files, s->fd, parts, COUNT_OF(parts), row->offset) == OK
               ? OK
               : segment_error(s, "cannot be written", why);
}

/* Takes in what is whole behind s->end. */
static enum err take_whole(struct segment *s, struct batch_row *last, struct buf *data, bool *is_more, struct fault *why)
{
    struct batch_row row;
    enum err e;

    for (;;) {
        e = segment_read_head(s, s->end, &row, why);
        if (e == OK && row.is_end) {
            fault_set(why, str_of(s->name), "the segment after this one is missing");
            return ERR_CORRUPT;
        }
        if (e != OK)
            break;
        if (row.head.first != s->next)
            return damaged(s, s->end, "a batch is there that does not follow the one before", why);
        e = segment_read_data(s, &row, data, why);
        if (e != OK)
            break;
        segment_accept(s, &row);
        *last = row;
        *is_more = true;
    }
    return e == ERR_UNKNOWN || e == ERR_CORRUPT ? OK : e;
}

enum err segment_recover(struct segment *s, const struct durable *d, struct batch_row *last, struct fault *why)
{
    const bool is_told = d != NULL && d->first == s->head.first && d->salt == s->head.salt && d->last != 0;
    struct batch_row behind;
    struct buf data;
    uint64_t size = 0;
    bool is_more = false;
    enum err e = segment_size(s, &size, why);

    last->head.count = 0;
    buf_init(&data, BATCH_SIZE_MAX);
    if (e == OK && is_told)
        e = take_told(s, d, last, &data, why);
    if (e == OK)
        e = take_whole(s, last, &data, &is_more, why);
    if (e == OK) {
        e = segment_search(s, s->end + 8, size, s->next, &behind, why);
        e = e == ERR_UNKNOWN ? OK : e == OK ? damaged(s, s->end, "damaged, and whole batches are behind it", why) : e;
    }
    if (e == OK && is_more) {
        e = segment_read_stored(s, last, &data, why);
        if (e == OK)
            e = write_again(s, last, &data, why);
    }
    buf_release(&data);
    if (e == OK && size > s->end && s->files->ftruncate(s->fd, (off_t)s->end) != 0)
        e = segment_error(s, "its torn tail cannot be cut off", why);
    if (e == OK && s->sync && s->files->fdatasync(s->fd) != 0)
        e = segment_error(s, "cannot be synced", why);
    s->window_len = 0;
    return e;
}
