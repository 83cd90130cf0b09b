/* Readers that share what they read: the same events as without, in any order of steps, also where a batch is damaged, where one
 * stands elsewhere, and where the shelf holds nearly nothing. */
#include "logkit.h"

#include "eventlog/shelf.h"

#include <fcntl.h>

#define BATCHES      40
#define EVENTS_EACH  5
#define EVENT_COUNT  (BATCHES * EVENTS_EACH)
#define LARGE        ((size_t)8 << 20)
#define DAMAGED_SPAN 64 /* bytes turned over, in the middle of a file */

static void write_log(void)
{
    struct eventlog_options o = kit_options();
    struct eventlog *l = kit_open(&o);
    for (unsigned i = 0; i < BATCHES; i++)
        CHECK("written", kit_batch(l, EVENTS_EACH));
    eventlog_close(l);
}

static struct log_reader *reader_of(struct shelf *s)
{
    struct log_reader *r = NULL;
    check(reader_open(str_of(kit_dir), &r, NULL) == OK);
    if (s != NULL)
        reader_share(r, s);
    return r;
}

/* Takes count events from position on. */
static bool reads(struct log_reader *r, uint64_t from, unsigned count)
{
    struct event e;
    for (unsigned i = 0; i < count; i++)
        if (reader_next(r, &e, NULL) != OK || !kit_is(&e, from + i))
            return false;
    return true;
}

static void test_together(void)
{
    static const struct {
        const char *row;
        size_t bytes_max;
        unsigned step; /* events that the first is ahead */
    } rows[] = {
        {"one batch after the other", LARGE, EVENTS_EACH},
        {"event by event", LARGE, 1},
        {"a step across batches", LARGE, 13},
        {"the first reads all before", LARGE, EVENT_COUNT},
        {"a shelf without room", 0, 13},
        {"a shelf of few batches", 8192, 50},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct shelf *s = shelf_new(rows[i].bytes_max);
        struct log_reader *a = reader_of(s), *b = reader_of(s);
        struct event e;
        for (unsigned at = 0; at < EVENT_COUNT; at += rows[i].step) {
            unsigned count = EVENT_COUNT - at < rows[i].step ? EVENT_COUNT - at : rows[i].step;
            CHECK(rows[i].row, reads(a, at + 1, count));
            CHECK(rows[i].row, reads(b, at + 1, count));
        }
        CHECK(rows[i].row, reader_next(a, &e, NULL) == ERR_AGAIN && reader_next(b, &e, NULL) == ERR_AGAIN);
        reader_close(a);
        reader_close(b);
        shelf_free(s);
    }
}

/* What the second finds is what the first read: seen by taking the file away meanwhile. */
static void test_found(void)
{
    struct shelf *s = shelf_new(LARGE);
    struct log_reader *a = reader_of(s), *b = reader_of(s), *alone = reader_of(NULL);
    char path[KIT_PATH_MAX];
    kit_path(path, "log-00000000000000000001.log");
    CHECK("the first reads", reads(a, 1, EVENT_COUNT / 2));
    CHECK("the second has opened the file", reads(b, 1, 1) && reads(alone, 1, 1));
    size_t full = shelf_size(s);
    int fd = open(path, O_RDWR);
    uint8_t zeros[DAMAGED_SPAN] = {0};
    for (off_t at = 4096; fd >= 0 && at < 4096 * 3; at += (off_t)sizeof zeros)
        CHECK("overwritten", pwrite(fd, zeros, sizeof zeros, at) == (ssize_t)sizeof zeros);
    (void)close(fd);
    struct event e;
    enum err error = OK;
    while (error == OK)
        error = reader_next(alone, &e, NULL);
    CHECK("who reads alone meets the damage", error == ERR_CORRUPT && e.position < EVENT_COUNT / 2);
    CHECK("who shares does not", reads(b, 2, EVENT_COUNT / 2 - 1));
    CHECK("what each has had is gone", shelf_size(s) <= full);
    shelf_trim(s);
    CHECK("but for where they stand", shelf_size(s) < full / 4);
    reader_close(a);
    reader_close(b);
    reader_close(alone);
    shelf_free(s);
}

/* A damaged batch is met by each, once, and is never laid down. */
static void test_damaged(void)
{
    struct shelf *s = shelf_new(LARGE);
    struct log_reader *r[2] = {reader_of(s), reader_of(s)};
    char path[KIT_PATH_MAX];
    struct stat st;
    kit_path(path, "log-00000000000000000001.log");
    int fd = open(path, O_RDWR);
    CHECK("the file", fd >= 0 && fstat(fd, &st) == 0);
    uint8_t noise[DAMAGED_SPAN];
    memset(noise, 0xa5, sizeof noise);
    CHECK("damaged", pwrite(fd, noise, sizeof noise, 4096 + 20 * 52) == (ssize_t)sizeof noise);
    (void)close(fd);
    unsigned told[2] = {0}, good[2] = {0};
    for (unsigned turn = 0; turn < EVENT_COUNT * 2; turn++)
        for (unsigned i = 0; i < 2; i++) {
            struct event e;
            struct fault why = {{0}, {0}};
            enum err error = reader_next(r[i], &e, &why);
            told[i] += error == ERR_CORRUPT && why.reason[0] != '\0';
            good[i] += error == OK && kit_is(&e, e.position);
            CHECK("no other error", error == OK || error == ERR_CORRUPT || error == ERR_AGAIN);
        }
    CHECK("each is told of it", told[0] > 0 && told[0] == told[1]);
    CHECK("each has the rest", good[0] == good[1] && good[0] > EVENT_COUNT / 2 && good[0] < EVENT_COUNT);
    reader_close(r[0]);
    reader_close(r[1]);
    shelf_free(s);
}

/* One that stays behind, one that is far ahead, one that goes backwards: nobody is disturbed, and nothing grows past the bound. */
static void test_elsewhere(void)
{
    enum { BOUND = 32768, SLACK = 16384 /* what three readers stand in */ };
    struct shelf *s = shelf_new(BOUND);
    struct log_reader *a = reader_of(s), *b = reader_of(s), *c = reader_of(s);
    struct event e;
    size_t most = 0;
    CHECK("one has begun and stays", reads(c, 1, 3));
    reader_seek_back(b, UINT64_MAX);
    for (unsigned i = 1; i <= EVENT_COUNT; i++) {
        CHECK("forwards", reader_next(a, &e, NULL) == OK && kit_is(&e, i));
        CHECK("backwards", reader_prev(b, &e, NULL) == OK && kit_is(&e, EVENT_COUNT + 1 - i));
        most = shelf_size(s) > most ? shelf_size(s) : most;
    }
    CHECK("bounded", most <= BOUND + SLACK);
    CHECK("who stayed goes on", reads(c, 4, EVENT_COUNT - 3));
    reader_seek(a, 7);
    CHECK("and who goes back", reads(a, 7, 30));
    reader_close(c);
    CHECK("and when one has left", reads(a, 37, 30));
    reader_close(a);
    reader_close(b);
    shelf_free(s);
}

int main(void)
{
    kit_begin();
    write_log();
    test_together();
    test_elsewhere();
    test_found();
    kit_end();
    kit_begin();
    write_log();
    test_damaged();
    kit_end();
    return CHECK_REPORT();
}
