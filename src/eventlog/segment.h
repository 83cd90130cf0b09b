/* eventlog/segment.h - one file of the log: an SQLite database of batches. See the head of log.c for the format.
 * A struct segment is one connection and belongs to one thread at a time. */
#ifndef EVENTLOG_SEGMENT_H
#define EVENTLOG_SEGMENT_H
#include "eventlog/event.h"

#include <sqlite3.h>

#define SEGMENT_FORMAT      1
#define SEGMENT_PAGE_SIZE   4096
#define SEGMENT_PATH_MAX    4096
#define SEGMENT_NAME_MAX    64
#define GATEWAY_ID_SIZE_MAX 128
#define BATCH_COUNT_MAX     (1u << 20)
#define BATCH_SIZE_MAX      ((size_t)64 << 20) /* of what is read back; the writer cuts far below it */

/* What makes a log this log. The ids of its events are an affine permutation of 62 bits over their positions, chosen by the
 * random log id: no two positions of a log share an id, and two logs do only by an accident of 74 bits in the same ms. */
struct log_identity {
    uint8_t log_id[16];
    char gateway_id[GATEWAY_ID_SIZE_MAX + 1];
    uint64_t multiply, add;
    uint16_t high;
};
void identity_derive(struct log_identity *id); /* from log_id the rest, but for gateway_id */
struct uuid identity_event(const struct log_identity *id, uint64_t position, struct instant received);

struct segment_head {
    struct log_identity identity;
    uint64_t number; /* 1 is the first of the log */
    uint64_t first;  /* position of its first event */
};
struct batch_head {
    uint64_t first;
    uint32_t count;
    int64_t first_at, last_at; /* least and greatest received of its events */
};

enum segment_statement {
    SEGMENT_INSERT,
    SEGMENT_EXACT,
    SEGMENT_FLOOR,       /* the last batch that begins at or before ?1 */
    SEGMENT_NEXT,        /* the first that begins after ?1 */
    SEGMENT_FLOOR_OF,    /* the same two among those that hold events of station ?2 */
    SEGMENT_NEXT_OF,
    SEGMENT_SEAL_FIND,
    SEGMENT_DROP_FROM,   /* batches from ?1 on */
    SEGMENT_INDEX_CLEAR,
    SEGMENT_INDEX_PUT,
    SEGMENT_INDEX_ALL,
    SEGMENT_SEAL_PUT,
    SEGMENT_BEGIN,
    SEGMENT_COMMIT,
    SEGMENT_ROLLBACK,
    SEGMENT_STATEMENT_COUNT,
};
struct segment_options {
    struct str dir;
    const char *vfs;
    bool sync;
};
struct segment {
    sqlite3 *db;
    sqlite3_stmt *statements[SEGMENT_STATEMENT_COUNT];
    struct segment_head head;
    bool is_sealed, is_indexed;
    uint64_t sealed_end; /* one past its last position, where is_sealed */
    uint32_t index_crc;  /* of the station index, where is_indexed */
    char name[SEGMENT_NAME_MAX];
    struct buf squeezed; /* a batch on its way to the disk */
    struct ZSTD_CCtx_s *squeezer;
    struct ZSTD_DCtx_s *unsqueezer;
};

/* "log-00000000000000000001.db" */
void segment_name(uint64_t first, char out[SEGMENT_NAME_MAX]);
MUST_USE enum err segment_path(struct str dir, const char *name, const char *suffix, char out[SEGMENT_PATH_MAX]);

/* The segments of a directory by their names, in order. ERR_UNKNOWN: no such directory. */
struct segment_list {
    uint64_t *firsts;
    size_t count, room;
};
MUST_USE enum err segment_list_read(struct str dir, struct segment_list *out, struct fault *why);
void segment_list_add(struct segment_list *l, uint64_t first);
void segment_list_release(struct segment_list *l);
/* Index of the last that begins at or before position; SIZE_MAX: none. */
size_t segment_list_floor(const struct segment_list *l, uint64_t position);
/* Takes away what a crash left beside the segments: half-made ones, and side files without their file. */
MUST_USE enum err segment_sweep(struct str dir, struct fault *why);

/* Makes the file whole under another name, then gives it its own: there is never half a segment. What stood under the name
 * before (a segment in which nothing was ever durable) is replaced. */
MUST_USE enum err segment_create(const struct segment_options *o, const struct segment_head *head, struct fault *why);
/* The three uses of a segment differ in what they may do: a reader writes nothing, the writer and the keeper do. */
enum segment_use { SEGMENT_TO_READ, SEGMENT_TO_WRITE };
MUST_USE enum err segment_open(const struct segment_options *o, uint64_t first, enum segment_use use, struct segment **out,
                               struct fault *why);
/* fold_wal: if this is the last connection, the WAL goes into the file and away; else it stays as it is. NULL is fine. */
void segment_close(struct segment *s, bool fold_wal);
/* Deletes file and side files. */
MUST_USE enum err segment_remove(struct str dir, uint64_t first, struct fault *why);
int64_t segment_disk_size(struct str dir, uint64_t first); /* with its WAL; 0: not there */

/* wal.c: ERR_CORRUPT: opening it now would silently drop commits. To be asked before anyone opens the segment. */
MUST_USE enum err segment_check_wal(struct str dir, uint64_t first, struct fault *why);

/* OK once it is on the disk. *stored: the bytes that its records took. */
MUST_USE enum err segment_insert(struct segment *s, const struct batch_head *head, struct bytes data, size_t *stored,
                                 struct fault *why);

/* A row as it was found; its numbers are checked only together with its data. */
struct batch_row {
    struct batch_head head;
    uint32_t crc, size;
};
/* SEGMENT_FLOOR, _NEXT, _FLOOR_OF, _NEXT_OF: without the data. ERR_UNKNOWN: no such row. */
MUST_USE enum err segment_find(struct segment *s, enum segment_statement which, uint64_t position, struct str station,
                               struct batch_row *row, struct fault *why);
/* The batch that begins at first, checked. ERR_UNKNOWN: none; ERR_CORRUPT: it is damaged. */
MUST_USE enum err segment_read(struct segment *s, uint64_t first, struct batch_row *row, struct buf *data, struct fault *why);
/* seal.c: builds the station index and marks the segment as done, in one transaction. end: the position at which its
 * successor begins; batches from there on (a commit that was given up, then recovered) go. A segment with damage in it is
 * sealed without an index. */
MUST_USE enum err segment_seal(struct segment *s, uint64_t end, struct fault *why);
/* seal.c: makes it one plain file without a WAL. ERR_BUSY: someone has it open. OK also when it is one already. */
MUST_USE enum err segment_settle(struct segment *s, struct fault *why);
/* seal.c: ERR_CORRUPT: the station index is not as it was made. */
MUST_USE enum err segment_check_index(struct segment *s, struct fault *why);

/* For whoever adds statements of his own: prepared once, reset and unbound. NULL: s->db tells why. */
sqlite3_stmt *segment_statement(struct segment *s, enum segment_statement which);
/* Runs one that gives no row; resets it. */
MUST_USE enum err segment_run(struct segment *s, enum segment_statement which, struct fault *why);
/* The last failure of s->db as ours; why gets file and SQLite's words. */
enum err segment_error(struct segment *s, int code, const char *doing, struct fault *why);
#endif
