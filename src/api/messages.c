/* api/messages.c - the tables of messages.def, and the greatest values of limits.def. */
#include "api/messages.h"

#include <inttypes.h>

#define SCHEMA_TABLES
#include "schema/expand.h"
#include "api/messages.def"

static const struct {
    struct str wire;
    int64_t most;
} limits[] = {
#define API_MOST(wire, most) {{(wire), sizeof(wire) - 1}, (most)},
#include "api/limits.def"
};

int64_t field_most(const struct field *f)
{
    for (size_t i = 0; i < COUNT_OF(limits); i++)
        if (str_eq(limits[i].wire, f->wire))
            return limits[i].most;
    return f->most;
}

enum err limits_check(const struct message *m, const void *in, struct fault *why)
{
    for (size_t i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        if (f->kind != KIND_INTEGER && f->kind != KIND_INT32)
            continue;
        const struct integer *n = (const void *)((const char *)in + f->offset);
        if (n->is_set && n->value > field_most(f)) {
            fault_set(why, f->wire, "at most %" PRId64, field_most(f));
            return ERR_RANGE;
        }
    }
    return OK;
}
