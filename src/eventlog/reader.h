/* eventlog/reader.h - reading a log, beside its writer, in the same process or another, forwards or backwards.
 * Sees only what is durable. Every batch's checksum is checked; a damaged one is told with its place and can be stepped over. */
#ifndef EVENTLOG_READER_H
#define EVENTLOG_READER_H
#include "eventlog/event.h"

struct log_reader;
MUST_USE enum err reader_open(struct str dir, struct log_reader **out, struct fault *why); /* ERR_UNKNOWN: no log there */
void reader_close(struct log_reader *r);

/* Next call of reader_next gives the event at position or, if that was dropped, the oldest after it. 1 is the beginning. */
void reader_seek(struct log_reader *r, uint64_t position);
/* Next call of reader_prev gives the event at position or the newest before it. UINT64_MAX is the end. */
void reader_seek_back(struct log_reader *r, uint64_t position);
/* Only batches that can hold events of this station are read (sealed segments have an index; the open one is scanned): the
 * caller still compares e->station. Absent: all. */
void reader_only_station(struct log_reader *r, struct str station);

/* Packed payloads are given as they are kept (event.h): for who reads them with event_read_payload alone. */
void reader_keep_packed(struct log_reader *r);
/* Gives back the memory of what was read last; it is read again where it is wanted. */
void reader_trim(struct log_reader *r);

/* *out borrows until the next call. ERR_AGAIN: nothing there now, ask again later; ERR_CORRUPT: why says where, the next call
 * goes on behind the damaged batch. */
MUST_USE enum err reader_next(struct log_reader *r, struct event *out, struct fault *why);
MUST_USE enum err reader_prev(struct log_reader *r, struct event *out, struct fault *why);
/* Position of the first event received at or after t; one past the end if there is none. */
uint64_t reader_find_time(struct log_reader *r, struct instant t);
uint64_t reader_oldest(struct log_reader *r);
uint64_t reader_newest(struct log_reader *r); /* 0: empty */
/* Reads and checks everything: for doctor. Reports each damage through report (may stop by returning false). */
MUST_USE enum err reader_verify(struct log_reader *r, bool (*report)(void *data, const struct fault *why), void *data, uint64_t *checked);
/* The gateway id and random log id are in the segments: for tail. */
struct str reader_gateway(const struct log_reader *r);
#endif
