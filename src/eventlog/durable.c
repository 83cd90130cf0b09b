/* eventlog/durable.c - the note that says how far the log is durable: log.durable, 52 bytes written over and over in one place.
 *
 *     at  size
 *      0     4  "CLdu"
 *      4     8  position
 *     12     8  first   of the segment
 *     20     8  salt    of the segment
 *     28     8  last
 *     36     8  end
 *     44     4  0
 *     48     4  CRC-32C of log_id and the 48 bytes before
 *
 * It needs no sync: what it says is true even when an older one comes back after a crash. Its checksum also tells a reader who met the
 * writer in the middle of writing to look again. */
#include "eventlog/segment.h"
#include "eventlog/put.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#define NOTE_NAME  "log.durable"
#define NOTE_SIZE  52
#define NOTE_MAGIC 0x434c6475u /* "CLdu" */
#define FILE_MODE  0640
#define TRIES_MAX  16 /* of a reader who meets the writer */

static uint32_t note_crc(const uint8_t log_id[16], const uint8_t *note)
{
    return crc32c(crc32c(0, (struct bytes){log_id, 16}), (struct bytes){note, NOTE_SIZE - 4});
}

enum err durable_open(const struct segment_options *o, int *fd, struct fault *why)
{
    char path[SEGMENT_PATH_MAX];
    enum err e = segment_path(o->dir, NOTE_NAME, "", path);

    if (e != OK)
        return e;
    *fd = o->files->open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (*fd >= 0)
        return OK;
    fault_set(why, STR(NOTE_NAME), "cannot be opened: %s", strerror(errno));
    return files_error();
}

enum err durable_put(const struct segment_options *o, int fd, const uint8_t log_id[16], const struct durable *d,
                     struct fault *why)
{
    uint8_t note[NOTE_SIZE];
    struct iovec part = {note, sizeof note};

    put32(note, NOTE_MAGIC);
    put64(note + 4, d->position);
    put64(note + 12, d->first);
    put64(note + 20, d->salt);
    put64(note + 28, d->last);
    put64(note + 36, d->end);
    put32(note + 44, 0);
    put32(note + 48, note_crc(log_id, note));
    enum err e = files_write(o->files, fd, &part, 1, 0);
    if (e != OK)
        fault_set(why, STR(NOTE_NAME), "cannot be written: %s", strerror(errno));
    return e;
}

int durable_open_to_read(struct str dir)
{
    char path[SEGMENT_PATH_MAX];

    return segment_path(dir, NOTE_NAME, "", path) == OK ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

enum err durable_get(int fd, const uint8_t log_id[16], struct durable *out)
{
    uint8_t note[NOTE_SIZE];
    size_t got = 0;

    for (int i = 0; i < TRIES_MAX; i++) {
        enum err e = files_read(fd, note, sizeof note, 0, &got);
        if (e != OK)
            return e;
        if (got == 0)
            return ERR_UNKNOWN;
        if (got == sizeof note && be32(note) == NOTE_MAGIC && be32(note + 48) == note_crc(log_id, note)) {
            *out = (struct durable){be64(note + 4), be64(note + 12), be64(note + 20), be64(note + 28), be64(note + 36)};
            return OK;
        }
        (void)sched_yield();
    }
    return ERR_CORRUPT;
}
