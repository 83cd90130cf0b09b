/* Any bytes as any message in every way of reading. The first byte chooses the message, the rest is its payload. What
 * was taken is written, and must be taken again and written the same; so a bent message is straight after one pass.
 * Packed and unpacked it is written the same too. Read again by its shape it is the same message. */
/* covers: src/schema/schema_read.c src/schema/schema_write.c src/schema/schema_shape.c */
#include "proto/ocpp16/messages.h"

#include <string.h>

#define ARENA_MAX (8 << 20)
#define TEXT_MAX  (8 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pack(const struct message *m, const void *message, struct str beside, struct arena *a,
                 const struct buf *want)
{
    struct buf packed, got;
    void *again = arena_take(a, m->size + 1);
    buf_init(&packed, TEXT_MAX);
    buf_init(&got, TEXT_MAX);
    schema_pack(m, message, beside, &packed);
    enum err e = schema_unpack(m, (struct bytes){packed.at, packed.len}, beside, a, again);
    check(e == OK || e == ERR_MEMORY);
    if (e == OK) {
        schema_write(m, again, &got);
        check(str_eq(buf_str(&got), buf_str(want)));
    }
    buf_release(&packed);
    buf_release(&got);
}

static enum err read_write(const struct message *m, struct str text, enum reading how, struct arena *a, struct buf *out,
                           struct fault *why)
{
    void *message = arena_take(a, m->size);
    enum err e = schema_read(m, text, how, a, message, why);
    if (e == OK)
        schema_write(m, message, out);
    check(e == OK || why->reason[0] != '\0');
    check(!out->failed);
    if (e == OK) {
        pack(m, message, text, a, out);
        pack(m, message, (struct str){NULL, 0}, a, out);
    }
    return e;
}

/* The second reading finds the shape that the first one left. */
static void read_by_shape(const struct message *m, struct str text, enum reading how, enum err want,
                          const struct buf *written)
{
    struct shapes *shapes = shapes_new();
    struct arena a;
    struct buf got;
    struct fault why;
    arena_init(&a, ARENA_MAX);
    buf_init(&got, TEXT_MAX);
    for (int times = 0; times < 2; times++) {
        void *message = arena_take(&a, m->size);
        enum err e = schema_read_shaped(shapes, m, text, how, &a, message, &why);
        check(e == want || e == ERR_MEMORY);
        buf_clear(&got);
        if (e == OK)
            schema_write(m, message, &got);
        check(e != OK || str_eq(buf_str(&got), buf_str(written)));
    }
    shapes_free(shapes);
    buf_release(&got);
    arena_release(&a);
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
    read_by_shape(m, text, how, e, &once);
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
