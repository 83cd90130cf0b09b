/* Any bytes as the file of a segment, and a part of them as log.durable: opening and reading it ends, and never badly; nor does a
 * writer who starts on it. The first byte says how many of the last bytes are log.durable, 0: there is none. A checksum that is zero in
 * the input is made right first, or nothing behind it would ever be reached. */
/* covers: src/eventlog/segment.c src/eventlog/reader.c src/eventlog/recover.c src/eventlog/durable.c src/eventlog/squeeze.c */
#include "eventlog/log.h"
#include "eventlog/put.h"
#include "eventlog/reader.h"
#include "eventlog/segment.h"
#include "place.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_LIMIT 10000 /* events and damages together: a segment of a corpus has far fewer */
#define INPUT_MAX  (1 << 20)
#define AT_LOG_ID  12
#define AT_SALT    44

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[PLACE_MAX];
static bool has_dir;

static void remove_file(const char *name)
{
    char path[SEGMENT_PATH_MAX];

    check(segment_path(str_of(dir), name, "", path) == OK);
    (void)unlink(path);
}

static void remove_dir(void)
{
    remove_file("log.lock");
    (void)rmdir(dir);
}

static void put_file(const char *name, const uint8_t *at, size_t len)
{
    char path[SEGMENT_PATH_MAX];

    check(segment_path(str_of(dir), name, "", path) == OK);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(fd >= 0 && write(fd, at, len) == (ssize_t)len);
    (void)close(fd);
}

static void remove_segments(void)
{
    const struct segment_options o = {str_of(dir), &log_files_system, false};
    struct segment_list all = {0};

    check(segment_list_read(str_of(dir), &all, NULL) == OK);
    for (size_t i = 0; i < all.count; i++)
        check(segment_remove(&o, all.firsts[i], NULL) == OK);
    segment_list_release(&all);
    remove_file("log.durable");
}

/* The head of the file, and the heads of batches as far as they hang together. */
static void make_right(uint8_t *file, size_t len)
{
    uint8_t salted[24];

    if (len < SEGMENT_HEAD_SIZE)
        return;
    if (be32(file + SEGMENT_HEAD_SIZE - 4) == 0)
        put32(file + SEGMENT_HEAD_SIZE - 4, crc32c(0, (struct bytes){file, SEGMENT_HEAD_SIZE - 4}));
    memcpy(salted, file + AT_LOG_ID, 16);
    memcpy(salted + 16, file + AT_SALT, 8);
    for (size_t at = SEGMENT_HEAD_SIZE; at + BATCH_HEAD_SIZE <= len;) {
        uint8_t *p = file + at;
        const size_t data = be32(p + 32);
        if (data > len - at - BATCH_HEAD_SIZE)
            break;
        if (be32(p + 44) == 0)
            put32(p + 44, crc32c(0, (struct bytes){p + BATCH_HEAD_SIZE, data}));
        if (be32(p + 48) == 0)
            put32(p + 48, crc32c(crc32c(0, (struct bytes){salted, sizeof salted}), (struct bytes){p, BATCH_HEAD_SIZE - 4}));
        at += (BATCH_HEAD_SIZE + data + 7) & ~(size_t)7;
    }
}

static bool ignore(void *data, const struct fault *why)
{
    unsigned *count = data;

    check(why->field[0] != 0 && why->reason[0] != 0);
    return ++*count < READ_LIMIT;
}

static void read_all(void)
{
    struct log_reader *r = NULL;
    struct fault why = {0};
    uint64_t checked = 0;
    unsigned count = 0;
    struct event e;

    if (reader_open(str_of(dir), &r, &why) != OK) {
        check(why.reason[0] != 0);
        return;
    }
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
    reader_close(r);
}

static void write_on(void)
{
    struct eventlog_options o = eventlog_options_default();
    struct eventlog *l = NULL;
    struct fault why = {0};

    o.dir = str_of(dir);
    o.gateway_id = STR("gw-1");
    o.sync = false;
    if (eventlog_open(&o, &l, &why) != OK)
        check(why.reason[0] != 0);
    eventlog_close(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[INPUT_MAX];
    char name[SEGMENT_NAME_MAX];

    if (!has_dir) {
        place_make(dir, "fuzz-segment");
        (void)atexit(remove_dir);
        has_dir = true;
    }
    if (size < 1 || size > sizeof file)
        return 0;
    const size_t note = data[0] < size ? data[0] : size - 1, len = size - 1 - note;
    segment_name(1, name);
    memcpy(file, data + 1, len);
    make_right(file, len);
    put_file(name, file, len);
    if (note > 0)
        put_file("log.durable", data + size - note, note);
    read_all();
    write_on();
    remove_segments();
    return 0;
}
