/* eventlog/record.h - what the log itself asks of records, beside record_write and record_read of event.h. */
#ifndef EVENTLOG_RECORD_H
#define EVENTLOG_RECORD_H
#include "eventlog/event.h"

#define RECORD_SIZE_MAX ((size_t)16 << 20)

/* Bytes that the record of e will have; 0: more than a record can hold. */
size_t record_size(const struct event *e);
/* record_write for who has asked for the size already. */
void record_put(const struct event *e, size_t size, struct buf *out);
/* Size of the record at the front; 0: none is there whole. Its inside is not looked at. */
size_t record_skip(struct bytes in);
#endif
