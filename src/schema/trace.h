/* schema/trace.h - private to schema/: where in its text each value of a message stood, for schema_shape.c. */
#ifndef SCHEMA_TRACE_H
#define SCHEMA_TRACE_H
#include "schema/schema.h"

#define TRACE_MAX 256 /* values of one message; past it there is no shape to remember */

struct trace {
    struct trace_value {
        const struct field *field;
        void *slot;            /* in the struct, or in one of its lists or parts */
        const char *from, *to; /* in the text, quotation marks included */
    } values[TRACE_MAX];
    size_t count;
    bool is_odd; /* a value was left out, or there were too many */
};
/* schema_read, noting the values that no other value holds. */
MUST_USE enum err schema_read_traced(const struct message *m, struct str json, enum reading how, struct arena *a,
                                     void *out, struct fault *why, struct trace *t);
#endif
