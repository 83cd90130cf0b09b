/* sim/template.c - marks are found by search; filling is a handful of copies. */
#include "sim/template.h"
#include <string.h>

#define TEMPLATE_MAX 65536

const struct str hole_marks[HOLE_COUNT] = {
    [HOLE_ID] = {"@id@", 4},     [HOLE_TRANSACTION] = {"2147483641", 10},
    [HOLE_TIME] = {"@time@", 6}, [HOLE_ENERGY] = {"2147483643", 10},
    [HOLE_TAG] = {"@tag@", 5},
};

static bool mark_at(struct str text, size_t at, enum hole_kind *kind)
{
    for (int k = 0; k < HOLE_COUNT; k++) {
        if (text.len - at < hole_marks[k].len || memcmp(text.at + at, hole_marks[k].at, hole_marks[k].len) != 0)
            continue;
        *kind = (enum hole_kind)k;
        return true;
    }
    return false;
}

enum err template_make(struct template *t, struct str rendered)
{
    struct template made = {.hole_count = 0};
    buf_init(&made.text, TEMPLATE_MAX);
    for (size_t at = 0; at < rendered.len;) {
        enum hole_kind kind;
        if (!mark_at(rendered, at, &kind)) {
            buf_put_byte(&made.text, (uint8_t)rendered.at[at++]);
            continue;
        }
        if (made.hole_count == HOLES_MAX) {
            template_release(&made);
            return ERR_LIMIT;
        }
        made.holes[made.hole_count].at = (uint32_t)made.text.len;
        made.holes[made.hole_count++].kind = kind;
        at += hole_marks[kind].len;
    }
    if (made.text.failed) {
        template_release(&made);
        return ERR_LIMIT;
    }
    *t = made;
    return OK;
}

void template_release(struct template *t)
{
    buf_release(&t->text);
}

void template_fill(const struct template *t, const struct str values[HOLE_COUNT], struct buf *out)
{
    size_t at = 0;
    for (size_t i = 0; i < t->hole_count; i++) {
        buf_put(out, t->text.at + at, t->holes[i].at - at);
        at = t->holes[i].at;
        buf_put_str(out, values[t->holes[i].kind]);
    }
    buf_put(out, t->text.at + at, t->text.len - at);
}
