/* eventlog/segment.h - one file of the log: a head, batches one after another, and at last its index. See the head of log.c for
 * the format. A struct segment belongs to one thread at a time. */
#ifndef EVENTLOG_SEGMENT_H
#define EVENTLOG_SEGMENT_H
#include "eventlog/event.h"
#include "eventlog/files.h"
#include "eventlog/squeeze.h"

#define SEGMENT_FORMAT      3
#define SEGMENT_PATH_MAX    4096
#define SEGMENT_NAME_MAX    64
#define SEGMENT_HEAD_SIZE   4096  /* of the file's head: the first batch begins behind it */
#define BATCH_HEAD_SIZE     52
#define MARK_SPAN           (128 << 10) /* of the batches that begin in so many bytes of the file the first is a mark */
#define SEGMENT_RESERVE     (16 << 20)  /* of the disk, ahead of what is written */
#define SEGMENT_ZEROS       (512 << 10) /* written ahead at a time, when less than a quarter of that is left */
#define GATEWAY_ID_SIZE_MAX 128
#define BATCH_COUNT_MAX     (1u << 20)
#define BATCH_SIZE_MAX      ((size_t)64 << 20) /* of what is read back; the writer cuts far below it */

/* What makes a log this log (identity.c). The ids of its events are an affine permutation of 62 bits over their positions, chosen by the
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
    uint64_t salt;   /* random: tells a file from the one it replaced; chosen by segment_create */
    uint32_t format; /* SEGMENT_FORMAT, or an older one; segment_create's own */
};
struct batch_head {
    uint64_t first;
    uint32_t count;
    int64_t first_at, last_at; /* least and greatest received of its events */
};
/* A batch as it lies in the file. */
struct batch_row {
    struct batch_head head;
    uint64_t offset;
    uint32_t stored; /* size of its data in the file */
    uint32_t size;   /* of its records: more than stored where they are squeezed */
    uint32_t crc;    /* of its data */
    uint64_t back;   /* offset of the newest mark before it, 0: none */
    bool is_end;     /* no batch, but the index behind the last one */
};
/* Where a batch that is a mark begins: between two of them heads are walked. */
struct segment_mark {
    uint64_t first, offset;
};

struct segment_options {
    struct str dir;
    const struct log_files *files;
    bool sync;
};
struct segment {
    const struct log_files *files;
    bool sync;
    int fd;
    struct segment_head head;
    char name[SEGMENT_NAME_MAX];

    uint64_t next, end; /* position and offset behind what is known of it; of a sealed one all is known */
    struct segment_mark *marks;
    size_t mark_count, mark_room;
    uint64_t newest_mark; /* offset, 0: none */
    uint64_t asked;       /* up to where the writer has asked for place */
    uint64_t reserved;    /* up to where it got it */
    uint64_t zeroed;      /* up to where it has written zeros */
    uint64_t batch_size;  /* of the batch that it appended last, in the file */
    bool is_searched;     /* segment_look has seen what was behind end */

    bool is_sealed, is_indexed, is_index_damaged; /* seal.c, down to posting_count */
    uint8_t *index;
    uint32_t station_count;
    uint64_t postings_at;                  /* offset in the file */
    uint8_t *postings;                     /* of one station */
    uint32_t postings_of, posting_count;   /* of which: its entry in the index + 1, 0: of none */

    uint8_t *window; /* bytes of the file as read last, for walking heads */
    uint64_t window_at;
    size_t window_len;
    uint32_t last_size;     /* of the batch that was walked over last: big ones are not worth a window */
    struct batch_row follow; /* the batch read last: in order, the next one is behind it */
    struct buf stored;       /* a batch on its way to or from the disk */
    struct squeezer squeezer;
};

/* ---- folder.c: names and files ---- */

/* "log-00000000000000000001.log" */
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
/* Takes away what a crash left beside the segments: half-made ones. */
MUST_USE enum err segment_sweep(const struct segment_options *o, struct fault *why);
MUST_USE enum err segment_remove(const struct segment_options *o, uint64_t first, struct fault *why);
int64_t segment_disk_size(struct str dir, uint64_t first); /* 0: not there */

/* ---- durable.c: how far the disk has it, for readers in any process and for the next start ---- */

/* Written after each sync and before anyone is told: so it never says more than is on the disk, and after a crash of the machine
 * perhaps less. */
struct durable {
    uint64_t position;    /* of the last event; 0: none */
    uint64_t first, salt; /* of the segment that was open */
    uint64_t last, end;   /* offsets in it: of its last batch (0: none is in it) and behind that */
};
MUST_USE enum err durable_open(const struct segment_options *o, int *fd, struct fault *why);
MUST_USE enum err durable_put(const struct segment_options *o, int fd, const uint8_t log_id[16], const struct durable *d,
                              struct fault *why);
/* For reading: -1: there is none. */
int durable_open_to_read(struct str dir);
/* ERR_UNKNOWN: nothing was written to it yet; ERR_CORRUPT: it was not written whole, or is of another log. */
MUST_USE enum err durable_get(int fd, const uint8_t log_id[16], struct durable *out);

/* ---- segment.c ---- */

/* Makes the file whole under another name, then gives it its own: there is never half a segment. What stood under the name
 * before (a segment in which nothing was ever durable) is replaced. */
MUST_USE enum err segment_create(const struct segment_options *o, const struct segment_head *head, struct fault *why);
/* A reader writes nothing, the writer and the keeper do. Of a segment that is not sealed nothing is known at first. */
enum segment_use { SEGMENT_TO_READ, SEGMENT_TO_WRITE };
MUST_USE enum err segment_open(const struct segment_options *o, uint64_t first, enum segment_use use, struct segment **out,
                               struct fault *why);
void segment_close(struct segment *s); /* NULL is fine */

/* OK once the batch is on the disk behind the last one; it counts from segment_accept on. Until then the next segment_append
 * writes in the same place again. */
MUST_USE enum err segment_append(struct segment *s, const struct batch_head *head, struct bytes data, struct batch_row *row,
                                 struct fault *why);
void segment_accept(struct segment *s, const struct batch_row *row);
/* Makes place on the disk for what comes, so that a sync has less to note down: reserves it, and writes zeros ahead. What of it does not
 * work costs only time: if there is no place, the next append tells. */
void segment_reserve(struct segment *s, uint64_t limit);

/* Takes in what has come since, as far as it is durable. bound: where the next segment begins, UINT64_MAX: none does. d: NULL when
 * nothing is said of what is durable; then whatever is whole counts. */
MUST_USE enum err segment_look(struct segment *s, const struct durable *d, uint64_t bound, struct fault *why);

/* The last batch that begins at or before position; the first that begins after it; and the same two among those that hold events of
 * the station that segment_has_station was asked for last. Only heads are read. ERR_UNKNOWN: no such batch. */
enum segment_seek { SEGMENT_FLOOR, SEGMENT_NEXT, SEGMENT_FLOOR_OF, SEGMENT_NEXT_OF };
MUST_USE enum err segment_find(struct segment *s, enum segment_seek which, uint64_t position, struct batch_row *row,
                               struct fault *why);
/* The batch that begins at first, checked. ERR_UNKNOWN: none; ERR_CORRUPT: it is damaged. */
MUST_USE enum err segment_read(struct segment *s, uint64_t first, struct batch_row *row, struct buf *data, struct fault *why);

/* Offset behind a batch. */
uint64_t batch_end(const struct batch_row *row);
/* For recover.c and seal.c. ERR_UNKNOWN: no sound head is there. */
MUST_USE enum err segment_read_head(struct segment *s, uint64_t at, struct batch_row *row, struct fault *why);
/* The first sound head at or after at, before end, that is of position from or later. */
MUST_USE enum err segment_search(struct segment *s, uint64_t at, uint64_t end, uint64_t from, struct batch_row *row,
                                 struct fault *why);
/* The data of a batch as they lie in the file, checked; and its records. */
MUST_USE enum err segment_read_stored(struct segment *s, const struct batch_row *row, struct buf *data, struct fault *why);
MUST_USE enum err segment_read_data(struct segment *s, const struct batch_row *row, struct buf *data, struct fault *why);
void segment_write_head(const struct segment *s, const struct batch_row *row, uint8_t out[BATCH_HEAD_SIZE]);
/* The last failure of the system as ours, with its words. */
enum err segment_error(const struct segment *s, const char *doing, struct fault *why);
MUST_USE enum err segment_size(struct segment *s, uint64_t *size, struct fault *why);

/* ---- recover.c ---- */

/* For the writer, at the start: finds where the last segment ends, takes a torn tail away and makes sure of the rest. *last is the
 * last batch, count 0: none is in it. ERR_CORRUPT: why names the byte. */
MUST_USE enum err segment_recover(struct segment *s, const struct durable *d, struct batch_row *last, struct fault *why);

/* ---- seal.c ---- */

/* Cuts off what lies behind end (a batch that was given up) and writes the index. end: the position at which its successor begins.
 * ERR_CORRUPT: there is damage in it; it stays as it is and is read without an index. */
MUST_USE enum err segment_seal(struct segment *s, uint64_t end, struct fault *why);
/* At segment_open: if the file ends with an index, takes it. */
MUST_USE enum err segment_load_index(struct segment *s, struct fault *why);
/* Whether FLOOR_OF and NEXT_OF can be asked, for this station. */
bool segment_has_station(struct segment *s, struct str station);
/* Batch of that station; ERR_UNKNOWN: none. */
MUST_USE enum err segment_posting(struct segment *s, bool is_next, uint64_t position, uint64_t *offset);
/* ERR_CORRUPT: the index is not as it was made. */
MUST_USE enum err segment_check_index(struct segment *s, struct fault *why);
#endif
