/* base/json_string.h - inside base/: escapes of JSON strings, for the reader and its checks. */
#ifndef BASE_JSON_STRING_H
#define BASE_JSON_STRING_H
#include "base/json.h"

/* One escape, at its backslash: how many bytes it takes and what it says. 0: it is none, or half a surrogate pair. */
size_t json_escape_read(const uint8_t *at, const uint8_t *end, uint32_t *character);
/* Writes what the string says to a place of at least raw.len bytes: no escape is shorter than what it stands for. */
bool json_undo(struct str raw, char *to, size_t *len);
/* By the bytes of what they say; a string that is not well-formed ends where it is not. */
int json_undone_compare(struct str a, struct str b);
#endif
