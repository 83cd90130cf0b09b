/* Any bytes as the file of a segment, and a second part of them as its WAL: opening and reading it ends, and never badly.
 * The first two bytes say how many of the rest are the WAL. */
#include "eventlog/reader.h"
#include "eventlog/segment.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_LIMIT 10000 /* events and damages together: a segment of a corpus has far fewer */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/fuzz-segment-XXXXXX";
static bool has_dir;

static void remove_dir(void)
{
    (void)rmdir(dir);
}

static void put_file(const char *suffix, const uint8_t *at, size_t len)
{
    char name[SEGMENT_NAME_MAX], path[SEGMENT_PATH_MAX];

    segment_name(1, name);
    check(segment_path(str_of(dir), name, suffix, path) == OK);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(fd >= 0 && write(fd, at, len) == (ssize_t)len);
    (void)close(fd);
}

static bool ignore(void *data, const struct fault *why)
{
    unsigned *count = data;

    check(why->field[0] != 0 && why->reason[0] != 0);
    return ++*count < READ_LIMIT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_reader *r = NULL;
    struct fault why = {0};
    uint64_t checked = 0;
    unsigned count = 0;
    struct event e;

    if (!has_dir) {
        check(mkdtemp(dir) != NULL);
        (void)atexit(remove_dir);
        has_dir = true;
    }
    if (size < 2)
        return 0;
    size_t wal = be16(data) < size - 2 ? be16(data) : size - 2;
    put_file("", data + 2, size - 2 - wal);
    if (wal > 0)
        put_file("-wal", data + size - wal, wal);
    if (reader_open(str_of(dir), &r, &why) == OK) {
        (void)!reader_verify(r, ignore, &count, &checked);
        reader_seek_back(r, UINT64_MAX);
        for (unsigned n = 0; n < READ_LIMIT; n++) {
            enum err error = reader_prev(r, &e, &why);
            if (error != OK && error != ERR_CORRUPT && error != ERR_UNSUPPORTED)
                break;
        }
        reader_only_station(r, STR("CP-1"));
        reader_seek(r, 1);
        (void)!reader_next(r, &e, &why);
        (void)reader_find_time(r, (struct instant){1});
    } else {
        check(why.reason[0] != 0);
    }
    reader_close(r);
    check(segment_remove(str_of(dir), 1, NULL) == OK);
    return 0;
}
