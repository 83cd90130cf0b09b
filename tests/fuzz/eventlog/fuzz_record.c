/* Any bytes as records: what is taken for one is written again to the same bytes. A payload that looks packed is
 * unpacked or refused. */
/* covers: src/eventlog/record.c src/schema/schema_pack.c */
#include "eventlog/record.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_MAX ((size_t)1 << 22)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void unpack(struct event e)
{
    struct arena a;
    struct buf json;
    struct str body;
    arena_init(&a, ARENA_MAX);
    buf_init(&json, ARENA_MAX);
    const bool was_packed = event_is_packed(&e);
    enum err error = event_packed_body(&e, &body);
    check(was_packed || error == ERR_UNKNOWN);
    check(error != OK || (body.at >= e.frame.at && body.at + body.len <= e.frame.at + e.frame.len));
    error = event_unpack(&e, &a, &json, NULL);
    check(error == OK || (was_packed && (error == ERR_CORRUPT || error == ERR_MEMORY)));
    check(error != OK || !event_is_packed(&e));
    buf_release(&json);
    arena_release(&a);
}

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
        unpack(e);
        buf_clear(&out);
        record_write(&e, &out);
        check(!out.failed && out.len == len && record_size(&e) == len && record_skip(before) == len);
        check(memcmp(out.at, before.at, len) == 0);
    }
    buf_release(&out);
    return 0;
}
