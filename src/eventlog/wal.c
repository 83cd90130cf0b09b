/* eventlog/wal.c - tells a WAL with damage inside from one whose tail was torn off by a crash.
 *
 * SQLite takes the transactions of a WAL up to the first page whose checksum is wrong and drops the rest without a word. After a
 * crash that is right: the rest is one transaction that was never synced. But a bit that rotted before it would silently take
 * acknowledged commits away. So before SQLite opens it, the writer looks: at most one commit may lie behind the first bad page.
 *
 * The format is SQLite's (sqlite.org/fileformat2.html, 4): a head of 32 bytes: magic, version, page size, sequence, two salts, two
 * checksums; then frames: page number, size of the database after a commit or 0, the salts, two checksums over all before; the page. */
#include "eventlog/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAL_HEAD      32
#define FRAME_HEAD    24
#define MAGIC         0x377f0682u /* the last bit: checksums over big-endian words */
#define PAGE_SIZE_MAX 65536

struct sum {
    uint32_t a, b;
};
static struct sum sum_of(struct sum s, const uint8_t *p, size_t len, bool is_big)
{
    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint32_t x = be32(p + i), y = be32(p + i + 4);
        s.a += (is_big ? x : __builtin_bswap32(x)) + s.b;
        s.b += (is_big ? y : __builtin_bswap32(y)) + s.a;
    }
    return s;
}

static bool is_sum(struct sum s, const uint8_t *p)
{
    return be32(p) == s.a && be32(p + 4) == s.b;
}

/* The head of the WAL. false: it is not sound. */
static bool read_head(int fd, uint8_t head[WAL_HEAD], size_t *page_size, struct sum *sum)
{
    if (pread(fd, head, WAL_HEAD, 0) != WAL_HEAD || (be32(head) & ~1u) != MAGIC)
        return false;
    *page_size = be32(head + 8);
    *sum = sum_of((struct sum){0, 0}, head, 24, be32(head) & 1);
    return is_sum(*sum, head + 24) && *page_size >= 512 && *page_size <= PAGE_SIZE_MAX;
}

/* Commits behind the first frame that is not sound. */
static unsigned count_lost(int fd, const uint8_t head[WAL_HEAD], size_t page_size, struct sum sum)
{
    const size_t size = FRAME_HEAD + page_size;
    uint8_t *frame = mem_new(size, 1);
    bool is_sound = true;
    unsigned lost = 0;

    for (off_t at = WAL_HEAD; pread(fd, frame, size, at) == (ssize_t)size; at += (off_t)size) {
        bool is_of_now = memcmp(frame + 8, head + 16, 8) == 0; /* else of the time before the WAL was begun anew */
        if (is_sound) {
            sum = sum_of(sum, frame, 8, be32(head) & 1);
            sum = sum_of(sum, frame + FRAME_HEAD, page_size, be32(head) & 1);
            is_sound = is_of_now && is_sum(sum, frame + 16);
        }
        if (!is_sound && is_of_now && be32(frame + 4) != 0)
            lost++;
    }
    free(frame);
    return lost;
}

enum err segment_check_wal(struct str dir, uint64_t first, struct fault *why)
{
    char name[SEGMENT_NAME_MAX], path[SEGMENT_PATH_MAX];
    uint8_t head[WAL_HEAD];
    struct stat st = {0};
    size_t page_size;
    struct sum sum;
    const char *what = NULL;

    segment_name(first, name);
    enum err e = segment_path(dir, name, "-wal", path);
    int fd = e == OK ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size <= WAL_HEAD) {
        if (fd >= 0)
            (void)close(fd);
        return e; /* no WAL, or nothing in it; what else hinders, SQLite will say */
    }
    if (!read_head(fd, head, &page_size, &sum))
        what = "the head of its WAL is damaged";
    else if (count_lost(fd, head, page_size, sum) > 1)
        what = "its WAL is damaged before commits that were acknowledged";
    (void)close(fd);
    if (what == NULL)
        return OK;
    fault_set(why, str_of(name), "%s", what);
    return ERR_CORRUPT;
}
