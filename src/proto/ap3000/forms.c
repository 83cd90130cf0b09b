/* forms.c - which models are sent a shorter form (ap3000.md 2.7, rule 5). */
#include "proto/ap3000/talk.h"

#define FORM(type, code, below, layout, last) \
    {type, code, below, &ap3000_##layout##_layout, AP3000_UP_TO(layout, last)},
/* The line that is left out of the count is there because an array has one at least. */
const struct ap3000_form ap3000_forms[] = {
#include "proto/ap3000/forms.def"
    {0, 0, 0, NULL, 0}};
const size_t ap3000_form_count = COUNT_OF(ap3000_forms) - 1;

static uint8_t absent_of(const struct ap3000_form *forms, size_t count, const struct ap3000_pile *p,
                         const struct ap3000_layout *l)
{
    for (size_t i = 0; i < count; i++) {
        const struct ap3000_form *f = &forms[i];
        if (f->layout == l && p->is_registered && f->type == p->device_type &&
            f->code == ap3000_id_code(p->physical_id) && p->firmware < f->firmware_below)
            return f->absent;
    }
    return 0;
}

size_t ap3000_form_size(const struct ap3000_form *forms, size_t count, const struct ap3000_pile *p,
                        const struct ap3000_layout *l, struct bytes payload)
{
    struct ap3000_slices s;
    size_t kept = l->count - absent_of(forms, count, p, l);
    enum err e = ap3000_slice(l, payload, &s, NULL);
    check(e == OK); /* it was written by that layout */
    return kept < s.count ? (size_t)(s.at[kept].at - payload.at) : payload.len;
}
