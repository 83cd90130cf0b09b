/* api/messages.h - queries, bodies and answers of the API as structs and tables (messages.def), and their greatest
 * values (limits.def). */
#ifndef API_MESSAGES_H
#define API_MESSAGES_H
#include "schema/schema.h"

#define SCHEMA_STRUCTS
#include "schema/expand.h"
#include "api/messages.def"

/* Of an integer field by its name on the wire; its table's own limit where limits.def has none. */
int64_t field_most(const struct field *f);
/* After schema_read: ERR_RANGE and *why when a number of m is above its greatest value. */
MUST_USE enum err limits_check(const struct message *m, const void *in, struct fault *why);
#endif
