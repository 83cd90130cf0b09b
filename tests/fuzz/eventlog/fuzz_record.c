/* Any bytes as records: what is taken for one is written again to the same bytes. */
/* covers: src/eventlog/record.c */
#include "eventlog/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = {data, size};
    struct event e;
    struct buf out;

    buf_init(&out, size + 1);
    for (;;) {
        const struct bytes before = in;
        if (record_read(&in, &e) != OK) {
            check(in.at == before.at && in.len == before.len);
            break;
        }
        const size_t len = before.len - in.len;
        buf_clear(&out);
        record_write(&e, &out);
        check(!out.failed && out.len == len && record_size(&e) == len && record_skip(before) == len);
        check(memcmp(out.at, before.at, len) == 0);
    }
    buf_release(&out);
    return 0;
}
