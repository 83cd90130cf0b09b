/* Files as a crash or a bad disk leaves them: cut, changed, swapped, missing. What comes out is whole batches that are right, or a
 * word about what is missing; never a wrong event, never a silent hole. */
#include "logkit.h"

#include "eventlog/segment.h"

#include <fcntl.h>
#include <sys/syscall.h>

#define EACH         5
#define FLIPS        400 /* places tried in each file */
#define READ_LIMIT   100000

static char copy_dir[KIT_PATH_MAX];

static void copy_file(const char *from, const char *to, size_t most)
{
    static char buffer[1 << 20];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    check(in != NULL && out != NULL);
    for (size_t n; most > 0 && (n = fread(buffer, 1, most < sizeof buffer ? most : sizeof buffer, in)) > 0; most -= n)
        check(fwrite(buffer, 1, n, out) == n);
    (void)fclose(in);
    check(fclose(out) == 0);
}

/* All segments as they are at this moment, without log.durable: as someone copies them, or as a crash of the machine leaves them. */
static void copy_log(const char *from, const char *to)
{
    kit_remove_dir(to);
    check(mkdir(to, 0700) == 0);
    DIR *d = opendir(from);
    check(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char a[KIT_PATH_MAX], b[KIT_PATH_MAX];
        (void)snprintf(a, sizeof a, "%.200s/%.200s", from, e->d_name);
        (void)snprintf(b, sizeof b, "%.200s/%.200s", to, e->d_name);
        if (strncmp(e->d_name, "log-", 4) == 0)
            copy_file(a, b, SIZE_MAX);
    }
    (void)closedir(d);
}

static off_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

static void flip(const char *path, off_t at, unsigned bit)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    check(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= (uint8_t)(1u << bit);
    check(pwrite(fd, &byte, 1, at) == 1);
    (void)close(fd);
}

/* A file's bytes, to be laid somewhere cut or changed, over and over. */
struct image {
    uint8_t at[1 << 16];
    size_t len;
};
static void image_take(struct image *m, const char *name)
{
    char path[KIT_PATH_MAX];
    kit_path(path, name);
    FILE *in = fopen(path, "rb");
    check(in != NULL);
    m->len = fread(m->at, 1, sizeof m->at, in);
    check(m->len < sizeof m->at);
    (void)fclose(in);
}

static void image_put(const struct image *m, const char *name, size_t len)
{
    char path[KIT_PATH_MAX];
    (void)snprintf(path, sizeof path, "%.200s/%.200s", copy_dir, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600); /* not cut to nothing first: a file system may then wait for the disk */
    check(fd >= 0 && pwrite(fd, m->at, len, 0) == (ssize_t)len && ftruncate(fd, (off_t)len) == 0);
    (void)close(fd);
}

struct seen {
    uint64_t events, last, damages; /* last: the greatest position */
    bool is_wrong, has_hole;        /* a hole: positions passed over without a word */
    enum err open, end;
};

/* Reads all that can be read. */
static struct seen read_all(const char *dir)
{
    struct seen seen = {0};
    struct log_reader *r = NULL;
    struct event e;
    bool was_told = false;

    seen.open = reader_open(str_of(dir), &r, NULL);
    if (seen.open != OK)
        return seen;
    for (unsigned n = 0; n < READ_LIMIT; n++) {
        struct fault why = {0};
        enum err error = reader_next(r, &e, &why);
        seen.end = error;
        if (error == ERR_CORRUPT || error == ERR_UNSUPPORTED) {
            seen.damages++;
            was_told = true;
            seen.is_wrong = seen.is_wrong || why.field[0] == 0 || why.reason[0] == 0;
            continue;
        }
        if (error != OK)
            break;
        seen.is_wrong = seen.is_wrong || !kit_is(&e, e.position) || e.position <= seen.last;
        seen.has_hole = seen.has_hole || (e.position != seen.last + 1 && !was_told);
        was_told = false;
        seen.last = e.position;
        seen.events++;
    }
    reader_close(r);
    return seen;
}

/* Backwards too; only that nothing is wrong, and that it ends. */
static bool is_right_backwards(const char *dir)
{
    struct log_reader *r = NULL;
    struct event e;
    uint64_t last = UINT64_MAX;
    bool is_right = true;
    enum err error = reader_open(str_of(dir), &r, NULL);

    if (error != OK)
        return true;
    reader_seek_back(r, UINT64_MAX);
    unsigned n = 0;
    for (; n < READ_LIMIT && (error = reader_prev(r, &e, NULL)) != ERR_AGAIN; n++) {
        if (error == OK) {
            is_right = is_right && kit_is(&e, e.position) && e.position < last;
            last = e.position;
        }
        if (error != OK && error != ERR_CORRUPT && error != ERR_UNSUPPORTED)
            break;
    }
    reader_close(r);
    return is_right && n < READ_LIMIT;
}

/* A small pseudo-random row, the same in every run. */
static uint32_t next_random(void)
{
    static uint32_t state = 12345;
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

#define SMALL_BATCHES 5
#define SMALL_EACH    2
#define NOTE_NAME     "log.durable"

/* A log of SMALL_BATCHES in one segment as images: the file, and what log.durable said after each batch. */
static struct {
    char name[SEGMENT_NAME_MAX];
    struct image file, notes[SMALL_BATCHES + 1];
    size_t ends[SMALL_BATCHES + 1]; /* of the file after each batch */
} small;

static void make_small(void)
{
    char path[KIT_PATH_MAX];
    kit_begin();
    struct eventlog_options o = kit_options();
    o.sync = false;
    struct eventlog *l = kit_open(&o);
    segment_name(1, small.name);
    kit_path(path, small.name);
    for (unsigned i = 0; i <= SMALL_BATCHES; i++) {
        CHECK("a batch", i == 0 || kit_batch(l, SMALL_EACH));
        image_take(&small.notes[i], NOTE_NAME);
        small.ends[i] = (size_t)size_of(path);
    }
    image_take(&small.file, small.name);
    eventlog_close(l);
    kit_end();
}

/* Opens the copy for writing; OK: it goes on behind `events`, and has all then. */
static enum err write_on(uint64_t *events)
{
    struct eventlog_options o = kit_options();
    struct eventlog *l = NULL;
    struct fault why = {0};
    o.dir = str_of(copy_dir);
    o.sync = false;
    enum err e = eventlog_open(&o, &l, &why);
    CHECK("the writer goes on, or says where it hurts", e == OK || (why.field[0] != 0 && why.reason[0] != 0));
    if (e != OK)
        return e;
    *events = eventlog_position(l);
    CHECK("it takes more", kit_batch(l, SMALL_EACH));
    eventlog_close(l);
    return OK;
}

/* Cut at every byte. */
static void test_torn(void)
{
    for (size_t at = SEGMENT_HEAD_SIZE; at <= small.file.len; at++) {
        unsigned whole = 0; /* batches that are, but perhaps for the zeros behind them */
        while (whole < SMALL_BATCHES && small.ends[whole + 1] <= at + 7)
            whole++;
        uint64_t events = 0;
        kit_remove_dir(copy_dir);
        check(mkdir(copy_dir, 0700) == 0);
        image_put(&small.file, small.name, at);
        struct seen seen = read_all(copy_dir);
        CHECK("a torn tail is whole batches", seen.open == OK && seen.end == ERR_AGAIN && seen.damages == 0 && !seen.is_wrong);
        CHECK("in order, none between missing", seen.events % SMALL_EACH == 0 && seen.last == seen.events);
        CHECK("and all that are whole", seen.events == (uint64_t)whole * SMALL_EACH ||
                                            (at < small.ends[whole] && seen.events == (uint64_t)(whole - 1) * SMALL_EACH));
        CHECK("the log goes on behind", write_on(&events) == OK && events == seen.events);
        CHECK("without a gap", kit_count(copy_dir, 1) == events + SMALL_EACH);
        if (at + 7 >= small.file.len || at % 3 != 0)
            continue;
        image_put(&small.file, small.name, at);
        image_put(&small.notes[SMALL_BATCHES], NOTE_NAME, small.notes[SMALL_BATCHES].len);
        CHECK("what was durable and is cut off stops the writer", write_on(&events) == ERR_CORRUPT);
        seen = read_all(copy_dir);
        CHECK("and a reader tells it", seen.damages == 1 && !seen.is_wrong && seen.last == seen.events &&
                                           seen.events <= (uint64_t)whole * SMALL_EACH);
    }
    for (size_t at = 0; at < SEGMENT_HEAD_SIZE; at += 7) {
        uint64_t events = 0;
        image_put(&small.file, small.name, at);
        CHECK("a cut head stops the writer", write_on(&events) == ERR_CORRUPT);
        CHECK("and a reader", read_all(copy_dir).open == ERR_CORRUPT);
    }
}

/* A bit at every byte, without and with log.durable. */
static void test_flipped(void)
{
    static struct image bad;
    unsigned stops = 0;
    for (size_t at = 0; at < small.file.len; at++) {
        const uint64_t last = SMALL_BATCHES * SMALL_EACH;
        const bool is_last = at >= small.ends[SMALL_BATCHES - 1];
        uint64_t events = last;
        bad = small.file;
        bad.at[at] ^= (uint8_t)(1u << next_random() % 8);
        kit_remove_dir(copy_dir);
        check(mkdir(copy_dir, 0700) == 0);
        image_put(&bad, small.name, bad.len);
        struct seen seen = read_all(copy_dir);
        CHECK("a flipped bit gives no wrong event", !seen.is_wrong && !seen.has_hole);
        CHECK("backwards too", is_right_backwards(copy_dir));
        CHECK("what is missing is told, but for the tail", seen.open == ERR_CORRUPT || seen.damages > 0 || seen.events == last ||
                                                               (is_last && seen.events == last - SMALL_EACH));
        if (at > 256 && at < SEGMENT_HEAD_SIZE - 8 && at % 16 != 0)
            continue; /* zeros that nobody reads but for the checksum */
        enum err e = write_on(&events);
        CHECK("the writer drops no more than the last batch", e == ERR_CORRUPT || events == last ||
                                                                  (is_last && events == last - SMALL_EACH));
        stops += e == ERR_CORRUPT;

        image_put(&bad, small.name, bad.len);
        image_put(&small.notes[SMALL_BATCHES], NOTE_NAME, small.notes[SMALL_BATCHES].len);
        seen = read_all(copy_dir);
        CHECK("no wrong event with log.durable", !seen.is_wrong && !seen.has_hole && is_right_backwards(copy_dir));
        CHECK("then the tail is told too", seen.open == ERR_CORRUPT || seen.damages > 0 || seen.events == last);
        e = write_on(&events);
        CHECK("and never dropped", e == ERR_CORRUPT || events == last);
    }
    CHECK("it did stop", stops > small.file.len - SEGMENT_HEAD_SIZE);
    for (size_t at = 0; at < small.notes[0].len; at++) {
        uint64_t events = 0;
        bad = small.notes[SMALL_BATCHES];
        bad.at[at] ^= (uint8_t)(1u << next_random() % 8);
        image_put(&small.file, small.name, small.file.len);
        image_put(&bad, NOTE_NAME, bad.len);
        struct seen seen = read_all(copy_dir);
        CHECK("a damaged log.durable hides the last batch at most", seen.damages == 0 && !seen.is_wrong &&
                                                                        seen.last >= (SMALL_BATCHES - 1) * SMALL_EACH);
        CHECK("and the writer finds it", write_on(&events) == OK && events == SMALL_BATCHES * SMALL_EACH);
    }
}

/* Zeros behind the end, as a kill or a crash of the machine leaves them: the last batch may be there as any part of it. */
#define ZEROS 3000
static void put_with_zeros(struct image *m, const char *name)
{
    memset(m->at + m->len, 0, ZEROS);
    m->len += ZEROS;
    image_put(m, name, m->len);
}

static void test_zeros(void)
{
    static struct image m;
    const uint64_t last = SMALL_BATCHES * SMALL_EACH;
    const size_t begin = small.ends[SMALL_BATCHES - 1];
    uint64_t events = 0;

    for (unsigned has_note = 0; has_note < 2; has_note++) {
        kit_remove_dir(copy_dir);
        check(mkdir(copy_dir, 0700) == 0);
        if (has_note == 1)
            image_put(&small.notes[SMALL_BATCHES], NOTE_NAME, small.notes[SMALL_BATCHES].len);
        m = small.file;
        put_with_zeros(&m, small.name);
        struct seen seen = read_all(copy_dir);
        CHECK("zeros behind the end are no damage", seen.end == ERR_AGAIN && seen.damages == 0 && !seen.is_wrong && seen.last == last &&
                                                        is_right_backwards(copy_dir));
        CHECK("the writer goes on before them", write_on(&events) == OK && events == last && kit_count(copy_dir, 1) == last + SMALL_EACH);
    }
    /* The last batch, not told: of its bytes those before `at` are there, or those behind, or all but eight. */
    for (size_t at = begin; at <= small.file.len; at += 1 + at % 3) {
        for (unsigned part = 0; part < 3; part++) {
            m = small.file;
            if (part == 0)
                memset(m.at + at, 0, m.len - at);
            else
                memset(m.at + (part == 1 ? begin : at), 0, part == 1 ? at - begin : m.len - at < 8 ? m.len - at : 8);
            const bool is_whole = memcmp(m.at, small.file.at, m.len) == 0;
            put_with_zeros(&m, small.name);
            image_put(&small.notes[SMALL_BATCHES - 1], NOTE_NAME, small.notes[SMALL_BATCHES - 1].len);
            struct seen seen = read_all(copy_dir);
            CHECK("a torn batch over zeros is none", seen.end == ERR_AGAIN && seen.damages == 0 && !seen.is_wrong &&
                                                         seen.last == last - SMALL_EACH);
            CHECK("the writer takes it if it is whole", write_on(&events) == OK && events == (is_whole ? last : last - SMALL_EACH));
            CHECK("and nothing is between", kit_count(copy_dir, 1) == events + SMALL_EACH);
            if (is_whole)
                continue;
            image_put(&m, small.name, m.len);
            image_put(&small.notes[SMALL_BATCHES], NOTE_NAME, small.notes[SMALL_BATCHES].len);
            seen = read_all(copy_dir);
            CHECK("of what was durable it is told", seen.damages == 1 && !seen.is_wrong && seen.last == last - SMALL_EACH);
            CHECK("and stops the writer", write_on(&events) == ERR_CORRUPT);
        }
    }
    /* A hole of zeros before the end, with the newest note, an old one, and none. */
    for (unsigned k = 0; k + 1 < SMALL_BATCHES; k++) {
        for (unsigned notes = 0; notes < 3; notes++) {
            kit_remove_dir(copy_dir);
            check(mkdir(copy_dir, 0700) == 0);
            m = small.file;
            memset(m.at + small.ends[k], 0, small.ends[k + 1] - small.ends[k]);
            put_with_zeros(&m, small.name);
            if (notes > 0)
                image_put(&small.notes[notes == 1 ? SMALL_BATCHES : k], NOTE_NAME, small.notes[0].len);
            struct seen seen = read_all(copy_dir);
            const bool is_proven = notes < 2 || k + 2 < SMALL_BATCHES; /* something behind the hole was synced */
            CHECK("a hole is told", seen.damages == is_proven && !seen.is_wrong && !seen.has_hole);
            CHECK("and what is behind it read", seen.last == (notes < 2 ? last : is_proven ? last - SMALL_EACH : (uint64_t)k * SMALL_EACH));
            CHECK("backwards too", is_right_backwards(copy_dir));
            /* With the newest note a start reads the last batch only, as ever. */
            CHECK("the writer does not go on over it", write_on(&events) == (notes == 1 ? OK : ERR_CORRUPT));
        }
    }
}

/* What a reader sees while the writer is at work in a file whose size says nothing: one all the way, with log.durable and without. */
static void test_written_over_zeros(void)
{
    static struct image m;

    for (unsigned has_note = 0; has_note < 2; has_note++) {
        struct log_reader *r = NULL;
        struct event e;
        kit_remove_dir(copy_dir);
        check(mkdir(copy_dir, 0700) == 0);
        if (has_note == 1)
            image_put(&small.notes[0], NOTE_NAME, small.notes[0].len);
        m = small.file;
        memset(m.at + small.ends[0], 0, m.len - small.ends[0]);
        put_with_zeros(&m, small.name);
        check(reader_open(str_of(copy_dir), &r, NULL) == OK);
        for (unsigned k = 0; k < SMALL_BATCHES; k++) {
            const uint64_t before = (uint64_t)k * SMALL_EACH;
            CHECK("nothing yet", reader_next(r, &e, NULL) == ERR_AGAIN && reader_newest(r) == before);
            for (size_t at = small.ends[k] + 1; at < small.ends[k + 1]; at += 97) {
                memcpy(m.at, small.file.at, at);
                image_put(&m, small.name, m.len);
                CHECK("half of it is nothing", reader_next(r, &e, NULL) == ERR_AGAIN);
            }
            memcpy(m.at, small.file.at, small.ends[k + 1]);
            image_put(&m, small.name, m.len);
            if (has_note == 1) {
                CHECK("all of it, not synced, is nothing", reader_next(r, &e, NULL) == ERR_AGAIN && reader_newest(r) == before);
                image_put(&small.notes[k + 1], NOTE_NAME, small.notes[k + 1].len);
            }
            for (uint64_t n = 1; n <= SMALL_EACH; n++)
                CHECK("then it is there", reader_next(r, &e, NULL) == OK && kit_is(&e, before + n));
        }
        CHECK("and no more", reader_next(r, &e, NULL) == ERR_AGAIN);
        reader_close(r);
    }
}

/* The system's, but that a writer may go on just before a read from one place. */
static struct {
    off_t at; /* 0: none */
    const struct image *file;
} overtaken;

ssize_t pread(int fd, void *to, size_t len, off_t at)
{
    if (overtaken.at != 0 && at == overtaken.at) {
        overtaken.at = 0;
        image_put(overtaken.file, small.name, overtaken.file->len);
    }
    return syscall(SYS_pread64, fd, to, len, at);
}

/* A reader finds zeros at the end, and before it has searched what is behind them there are two more batches: no damage. */
static void test_overtaken(void)
{
    static struct image before, after;
    struct log_reader *r = NULL;
    struct event e;
    uint64_t seen = 0;

    kit_remove_dir(copy_dir);
    check(mkdir(copy_dir, 0700) == 0);
    before = after = small.file;
    memset(before.at + small.ends[1], 0, before.len - small.ends[1]);
    memset(after.at + small.ends[3], 0, after.len - small.ends[3]);
    put_with_zeros(&before, small.name);
    image_put(&small.notes[1], NOTE_NAME, small.notes[1].len);
    check(reader_open(str_of(copy_dir), &r, NULL) == OK);
    after.len = before.len;
    overtaken.file = &after;
    overtaken.at = (off_t)small.ends[1] + 8;
    while (reader_next(r, &e, NULL) == OK && kit_is(&e, seen + 1))
        seen++;
    CHECK("it was overtaken", overtaken.at == 0);
    CHECK("a batch with another behind it was synced", seen == 2 * SMALL_EACH);
    image_put(&small.notes[3], NOTE_NAME, small.notes[3].len);
    while (reader_next(r, &e, NULL) == OK && kit_is(&e, seen + 1))
        seen++;
    CHECK("nothing was passed over", seen == 3 * SMALL_EACH && reader_next(r, &e, NULL) == ERR_AGAIN);
    reader_close(r);
}

/* Zeros of a log that is at work, and what a kill leaves of it at that moment; then sealed. */
static void test_zeros_of_a_log(void)
{
    kit_begin();
    char path[KIT_PATH_MAX];
    struct eventlog_options o = kit_options();
    struct log_reader *r = NULL;
    struct event e;
    struct segment *s = NULL;
    struct eventlog *l = kit_open(&o);
    kit_path(path, small.name);
    CHECK("a batch", kit_batch(l, EACH));
    eventlog_wait(l, UINT64_MAX, 0);
    check(reader_open(str_of(kit_dir), &r, NULL) == OK);
    for (unsigned i = 1; i < 40; i++) {
        for (unsigned k = 0; k < EACH; k++)
            CHECK("a reader has it all", reader_next(r, &e, NULL) == OK && kit_is(&e, (i - 1) * EACH + k + 1));
        CHECK("and no more", reader_next(r, &e, NULL) == ERR_AGAIN);
        CHECK("a batch", kit_batch(l, EACH));
        CHECK("lies before zeros", size_of(path) >= SEGMENT_ZEROS && size_of(path) <= SEGMENT_HEAD_SIZE + 40 * 8192 + SEGMENT_ZEROS);
        if (i % 10 != 0)
            continue;
        copy_log(kit_dir, copy_dir);
        struct seen seen = read_all(copy_dir);
        uint64_t events = 0;
        CHECK("a copy of it is read", seen.damages == 0 && !seen.is_wrong && seen.last == eventlog_position(l));
        CHECK("and written on", write_on(&events) == OK && events == seen.last && kit_count(copy_dir, 1) == events + SMALL_EACH);
    }
    reader_close(r);
    CHECK("as a kill leaves it", eventlog_position(l) == 40 * EACH);
    copy_log(kit_dir, copy_dir);
    eventlog_close(l);
    const off_t plain = size_of(path);
    CHECK("a stop cuts them off", plain < SEGMENT_HEAD_SIZE + 40 * 8192 && kit_count(kit_dir, 1) == 40 * EACH);
    const struct segment_options at_copy = {str_of(copy_dir), &log_files_system, false};
    CHECK("unsealed", segment_open(&at_copy, 1, SEGMENT_TO_WRITE, &s, NULL) == OK && !s->is_sealed);
    CHECK("sealing does", segment_seal(s, 40 * EACH + 1, NULL) == OK && s->end == (uint64_t)plain);
    segment_close(s);
    CHECK("to an index behind the last batch", segment_open(&at_copy, 1, SEGMENT_TO_READ, &s, NULL) == OK && s->is_indexed &&
                                                   s->end == (uint64_t)plain);
    segment_close(s);
    kit_end();
}

/* What a reader sees while the writer is at work: the file has more than log.durable says. */
static void test_being_written(void)
{
    kit_remove_dir(copy_dir);
    check(mkdir(copy_dir, 0700) == 0);
    for (unsigned k = 0; k < SMALL_BATCHES; k++) {
        image_put(&small.notes[k], NOTE_NAME, small.notes[k].len);
        for (size_t at = small.ends[k]; at <= small.ends[k + 1]; at += 1 + at % 5) {
            image_put(&small.file, small.name, at);
            struct seen seen = read_all(copy_dir);
            CHECK("a batch on its way is neither seen nor damage", seen.end == ERR_AGAIN && seen.damages == 0 &&
                                                                        seen.events == (uint64_t)k * SMALL_EACH && !seen.is_wrong);
        }
        image_put(&small.file, small.name, small.ends[k + 1]);
        struct seen seen = read_all(copy_dir);
        CHECK("nor when it is whole and not synced", seen.damages == 0 && seen.events == (uint64_t)k * SMALL_EACH);
        if (k + 2 > SMALL_BATCHES)
            continue;
        image_put(&small.file, small.name, small.ends[k + 2]);
        seen = read_all(copy_dir);
        CHECK("a batch with another behind it was synced", seen.damages == 0 && seen.events == (uint64_t)(k + 1) * SMALL_EACH);
    }
    /* One reader all the way. */
    struct log_reader *r = NULL;
    struct event e;
    image_put(&small.notes[0], NOTE_NAME, small.notes[0].len);
    image_put(&small.file, small.name, small.ends[0]);
    check(reader_open(str_of(copy_dir), &r, NULL) == OK);
    for (unsigned k = 0; k < SMALL_BATCHES; k++) {
        CHECK("nothing yet", reader_next(r, &e, NULL) == ERR_AGAIN && reader_newest(r) == (uint64_t)k * SMALL_EACH);
        for (size_t at = small.ends[k] + 1; at < small.ends[k + 1]; at += 97) {
            image_put(&small.file, small.name, at);
            CHECK("half of it is nothing", reader_next(r, &e, NULL) == ERR_AGAIN);
        }
        image_put(&small.file, small.name, small.ends[k + 1]);
        CHECK("all of it, not synced, is nothing", reader_next(r, &e, NULL) == ERR_AGAIN);
        image_put(&small.notes[k + 1], NOTE_NAME, small.notes[k + 1].len);
        for (uint64_t n = 1; n <= SMALL_EACH; n++)
            CHECK("then it is there", reader_next(r, &e, NULL) == OK && kit_is(&e, (uint64_t)k * SMALL_EACH + n));
    }
    reader_close(r);
}

/* An index that is cut or damaged is made again, and until then nothing is missing. */
static void test_index(void)
{
    struct segment *s = NULL;
    struct image whole;
    char path[KIT_PATH_MAX];
    const struct segment_options at_copy = {str_of(copy_dir), &log_files_system, false};
    kit_begin();
    struct eventlog_options o = kit_options();
    o.sync = false;
    o.segment_max = 4900;
    struct eventlog *l = kit_open(&o);
    for (unsigned i = 0; i < 5; i++)
        CHECK("a batch", kit_batch(l, EACH));
    const uint64_t last = eventlog_position(l);
    eventlog_close(l);
    image_take(&whole, small.name);
    copy_log(kit_dir, copy_dir);
    (void)snprintf(path, sizeof path, "%.200s/%.200s", copy_dir, small.name);
    CHECK("it is sealed", segment_open(&at_copy, 1, SEGMENT_TO_READ, &s, NULL) == OK && s->is_indexed);
    const size_t index_at = (size_t)s->end;
    segment_close(s);
    for (size_t cut = 0; cut < 2; cut++) {
        for (size_t at = index_at; at < whole.len; at++) {
            if (cut == 1) {
                image_put(&whole, small.name, at);
            } else {
                image_put(&whole, small.name, whole.len);
                flip(path, (off_t)at, next_random() % 8);
            }
            struct seen seen = read_all(copy_dir);
            CHECK("without its index all is read", seen.events == last && seen.damages == 0 && !seen.is_wrong);
            CHECK("backwards too", is_right_backwards(copy_dir));
            struct log_reader *r = NULL;
            struct event e;
            unsigned found = 0;
            CHECK("by station", reader_open(str_of(copy_dir), &r, NULL) == OK);
            reader_only_station(r, STR("CP-1"));
            while (reader_next(r, &e, NULL) == OK)
                found += str_eq(e.station, STR("CP-1"));
            reader_close(r);
            CHECK("nothing is missed", found == (last + 6) / 7 + (last + 1) / 7);
        }
    }
    image_put(&whole, small.name, index_at + 20);
    struct eventlog_options again = o;
    again.dir = str_of(copy_dir);
    eventlog_close(kit_open(&again));
    CHECK("it is made again", segment_open(&at_copy, 1, SEGMENT_TO_READ, &s, NULL) == OK && s->is_indexed);
    segment_close(s);
    CHECK("to the same bytes", (size_t)size_of(path) == whole.len);
    kit_end();
}

static void test_flipped_file(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct segment_list all = {0};
    o.sync = false;
    o.segment_max = 4900;
    struct eventlog *l = kit_open(&o);
    for (unsigned i = 0; i < 10; i++)
        CHECK("a batch", kit_batch(l, EACH));
    const uint64_t last = eventlog_position(l);
    eventlog_close(l);
    check(segment_list_read(str_of(kit_dir), &all, NULL) == OK && all.count >= 3);
    unsigned found = 0;
    for (unsigned i = 0; i < 2 * FLIPS; i++) {
        const size_t which = i % all.count;
        char name[SEGMENT_NAME_MAX], path[KIT_PATH_MAX];
        segment_name(all.firsts[which], name);
        (void)snprintf(path, sizeof path, "%.200s/%.200s", copy_dir, name);
        copy_log(kit_dir, copy_dir);
        flip(path, (off_t)(i < 2 * all.count * 50 ? i / all.count : next_random() % (uint32_t)size_of(path)), next_random() % 8);
        struct seen seen = read_all(copy_dir);
        bool is_open = which + 1 == all.count; /* of the open segment the tail may be missing: nothing says how long it was */
        CHECK("a flipped bit gives no wrong event", !seen.is_wrong && !seen.has_hole);
        CHECK("and what is missing is told",
              seen.open != OK || seen.damages > 0 || seen.events == last || (is_open && seen.last >= all.firsts[which] - 1));
        CHECK("nor backwards", is_right_backwards(copy_dir));
        found += seen.damages > 0 || seen.open != OK;
    }
    CHECK("damage was found", found > 10);
    segment_list_release(&all);
    kit_end();
}

static bool count_report(void *data, const struct fault *why)
{
    (void)why;
    *(unsigned *)data += 1;
    return true;
}

/* Files lost and swapped. */
static void test_files(void)
{
    kit_begin();
    struct eventlog_options o = kit_options();
    struct segment_list all = {0};
    struct fault why = {0};
    struct log_reader *r = NULL;
    struct eventlog *l = NULL, *other = NULL;
    char from[KIT_PATH_MAX], to[KIT_PATH_MAX], name[SEGMENT_NAME_MAX];
    o.sync = false;
    o.segment_max = 4700;
    l = kit_open(&o);
    for (unsigned i = 0; i < 10; i++)
        CHECK("a batch", kit_batch(l, EACH));
    const uint64_t last = eventlog_position(l);
    eventlog_close(l);
    check(segment_list_read(str_of(kit_dir), &all, NULL) == OK && all.count >= 4);

    copy_log(kit_dir, copy_dir);
    segment_name(all.firsts[1], name);
    (void)snprintf(to, sizeof to, "%.200s/%.200s", copy_dir, name);
    CHECK("one in the middle is lost", unlink(to) == 0);
    struct seen seen = read_all(copy_dir);
    CHECK("it is told once", seen.damages == 1 && !seen.is_wrong && !seen.has_hole && seen.last == last);
    uint64_t checked = 0;
    unsigned reports = 0;
    CHECK("verify tells it", reader_open(str_of(copy_dir), &r, NULL) == OK &&
                                 reader_verify(r, count_report, &reports, &checked) == ERR_CORRUPT && reports == 1 &&
                                 checked == seen.events);
    reader_close(r);
    CHECK("backwards too", is_right_backwards(copy_dir));

    segment_name(all.firsts[2], name);
    kit_path(from, name);
    copy_file(from, to, SIZE_MAX);
    seen = read_all(copy_dir);
    CHECK("another one under its name is told", seen.damages > 0 && !seen.is_wrong && !seen.has_hole && seen.last == last);

    copy_log(kit_dir, copy_dir);
    segment_name(all.firsts[all.count - 1], name);
    (void)snprintf(to, sizeof to, "%.200s/%.200s", copy_dir, name);
    CHECK("the last is lost", unlink(to) == 0);
    seen = read_all(copy_dir);
    CHECK("a reader tells it", seen.damages == 1 && !seen.is_wrong && seen.last == all.firsts[all.count - 1] - 1);
    struct eventlog_options again = o;
    again.dir = str_of(copy_dir);
    CHECK("the writer does not go on over it", eventlog_open(&again, &other, &why) == ERR_CORRUPT &&
                                                   strstr(why.reason, "missing") != NULL);

    copy_log(kit_dir, copy_dir);
    CHECK("the last is cut to nothing", truncate(to, 0) == 0);
    CHECK("the writer tells it", eventlog_open(&again, &other, &why) == ERR_CORRUPT && why.field[0] != 0);
    seen = read_all(copy_dir);
    CHECK("a reader reads what is before", seen.open == OK && !seen.is_wrong && seen.damages > 0 &&
                                               seen.last == all.firsts[all.count - 1] - 1);

    char third[KIT_PATH_MAX];
    (void)snprintf(third, sizeof third, "%.200s-other", copy_dir);
    again.dir = str_of(third);
    other = kit_open(&again);
    CHECK("another log", kit_batch(other, (unsigned)last));
    eventlog_close(other);
    copy_log(kit_dir, copy_dir);
    segment_name(1, name);
    (void)snprintf(from, sizeof from, "%.200s/%.200s", third, name);
    (void)snprintf(to, sizeof to, "%.200s/%.200s", copy_dir, name);
    copy_file(from, to, SIZE_MAX);
    seen = read_all(copy_dir);
    CHECK("a segment of another log is told", seen.damages > 0 && !seen.has_hole && seen.last == last &&
                                                  seen.events < last);
    kit_remove_dir(third);
    segment_list_release(&all);
    kit_end();
}

int main(void)
{
    place_make(copy_dir, "eventlog-copy");
    make_small();
    test_torn();
    test_flipped();
    test_being_written();
    test_zeros();
    test_written_over_zeros();
    test_overtaken();
    test_zeros_of_a_log();
    test_index();
    test_flipped_file();
    test_files();
    kit_remove_dir(copy_dir);
    return CHECK_REPORT();
}
