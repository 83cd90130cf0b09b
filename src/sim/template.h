/* sim/template.h - frames rendered once by the message tables, with holes for what differs from call to call: a load
 * generator that shares its machine with the server under test must itself cost next to nothing. */
#ifndef SIM_TEMPLATE_H
#define SIM_TEMPLATE_H
#include "base/memory.h"

enum hole_kind { HOLE_ID, HOLE_TRANSACTION, HOLE_TIME, HOLE_ENERGY, HOLE_TAG, HOLE_COUNT };

/* What stands in a hole while a frame is rendered: looked for once, when the template is made. All are valid in their
 * place. */
extern const struct str hole_marks[HOLE_COUNT];
#define MARK_TRANSACTION 2147483641
#define MARK_ENERGY      2147483643
#define HOLES_MAX        8

struct template
{
    struct buf text; /* the pieces between the holes, one after the other */
    struct {
        uint32_t at; /* in text: the hole is before it */
        enum hole_kind kind;
    } holes[HOLES_MAX];
    size_t hole_count;
};
/* Cuts the marks out of a rendered frame. ERR_LIMIT: more than HOLES_MAX. */
MUST_USE enum err template_make(struct template *t, struct str rendered);
void template_release(struct template *t);
void template_fill(const struct template *t, const struct str values[HOLE_COUNT], struct buf *out);
#endif
