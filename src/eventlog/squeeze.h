/* eventlog/squeeze.h - records made short and long again: LZ4, and zstd for reading what older versions wrote; neither goes further than
 * squeeze.c. */
#ifndef EVENTLOG_SQUEEZE_H
#define EVENTLOG_SQUEEZE_H
#include "base/memory.h"

/* Of one thread; all zeros is a good beginning. */
struct squeezer {
    void *in;
    struct ZSTD_DCtx_s *out;
};
void squeezer_release(struct squeezer *z);

/* data in short, in room; data itself where that is not shorter, or where there is no memory for it. */
struct bytes squeeze(struct squeezer *z, struct bytes data, struct buf *room);
/* The size bytes that were squeezed. ERR_CORRUPT: they do not come of this; ERR_MEMORY. */
MUST_USE enum err unsqueeze(struct squeezer *z, struct bytes data, size_t size, struct buf *out);
#endif
