/* Any bytes as any message in every way of reading. The first byte chooses the message, the rest is its payload. What
 * was taken is written, and must be taken again and written the same; so a bent message is straight after one pass. */
/* covers: src/schema/schema_read.c src/schema/schema_write.c */
#include "proto/ocpp16/messages.h"

#include <string.h>

#define ARENA_MAX (8 << 20)
#define TEXT_MAX  (8 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err read_write(const struct message *m, struct str text, enum reading how, struct arena *a, struct buf *out,
                           struct fault *why)
{
    void *message = arena_take(a, m->size);
    enum err e = schema_read(m, text, how, a, message, why);
    if (e == OK)
        schema_write(m, message, out);
    check(e == OK || why->reason[0] != '\0');
    check(!out->failed);
    return e;
}

static enum err try_reading(const struct message *m, struct str text, enum reading how)
{
    struct arena a;
    struct buf once, twice;
    struct fault why;
    arena_init(&a, ARENA_MAX);
    buf_init(&once, TEXT_MAX);
    buf_init(&twice, TEXT_MAX);
    enum err e = read_write(m, text, how, &a, &once, &why);
    if (e == OK) {
        check(json_check(buf_str(&once), NULL) == OK);
        check(read_write(m, buf_str(&once), how, &a, &twice, &why) == OK);
        check(str_eq(buf_str(&once), buf_str(&twice)));
    }
    arena_release(&a);
    buf_release(&once);
    buf_release(&twice);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const struct ocpp_action *action = &ocpp_actions[data[0] / 2 % ACTION_COUNT];
    const struct message *m = data[0] % 2 == 0 ? action->request : action->response;
    struct str text = {(const char *)data + 1, size - 1};
    enum err strict = try_reading(m, text, STRICT);
    enum err normal = try_reading(m, text, NORMAL);
    enum err lenient = try_reading(m, text, LENIENT);
    check(strict != OK || normal == OK); /* each way takes what a stricter one takes */
    check(normal != OK || lenient == OK);
    /* All that LENIENT refuses is what is no JSON object or repeats a key, or more than there is memory for. */
    check(lenient == OK || lenient == ERR_FORMAT || lenient == ERR_LIMIT || lenient == ERR_MEMORY);
    (void)ocpp_action_find(text);
    return 0;
}
