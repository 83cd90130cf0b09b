/* proto/ap3000/fields.h - fields of a payload from JSON, by the table that describe.h writes them by: what one writes
 * the other reads back. Numbers are those of the wire, bytes and ids are hexadecimal, codes are numbers. */
#ifndef PROTO_AP3000_FIELDS_H
#define PROTO_AP3000_FIELDS_H
#include "proto/ap3000/frames.h"

#include "base/json.h"

/* The members of one object, so that those which are no fields can be taken out before. */
#define AP3000_MEMBERS_MAX (AP3000_FIELDS_MAX + 8)
struct ap3000_members {
    struct {
        struct str key, value; /* value: its JSON */
        bool is_taken;
    } at[AP3000_MEMBERS_MAX];
    size_t count;
};
/* ERR_FORMAT: no JSON, no object, or a key twice; ERR_LIMIT: too many members, too deep; ERR_MEMORY. Borrows from json
 * and the arena. */
MUST_USE enum err ap3000_members_read(struct str json, struct arena *a, struct ap3000_members *out, struct fault *why);
/* The JSON of its value, absent if there is none. It is then known. */
struct str ap3000_member_take(struct ap3000_members *m, const char *key);
/* ERR_UNKNOWN: one was not taken; *why names it. */
MUST_USE enum err ap3000_members_end(const struct ap3000_members *m, struct fault *why);

/* Where a field that is not given comes from. */
struct ap3000_fields_base {
    const void *fields;      /* struct of the layout: optional ones are as they are there */
    const char *const *ours; /* keys that are not taken from JSON at all, NULL behind the last; NULL: none */
    bool has_all;            /* required ones too */
};
/* Takes the fields of the layout, which has no PARTS. out: its struct, untouched on an error. base may be NULL:
 * optional fields at the end are then absent. A count that is not given is that of what it counts. ERR_MISSING: a
 * required field, or an optional one before another that is given; ERR_TYPE; ERR_RANGE: a number that does not fit, a
 * code that is not listed, a text, list or bytes of a length that it cannot have; ERR_UNSUPPORTED: a field that base
 * says this device has not; ERR_MEMORY. */
MUST_USE enum err ap3000_fields_take(const struct ap3000_layout *l, struct ap3000_members *m,
                                     const struct ap3000_fields_base *base, struct arena *a, void *out,
                                     struct fault *why);
/* All of it in one: an object that has nothing else. ERR_UNKNOWN: a member that is no field. */
MUST_USE enum err ap3000_fields_parse(const struct ap3000_layout *l, struct str json, struct arena *a, void *out,
                                      struct fault *why);
#endif
