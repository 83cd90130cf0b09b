/* base/base.h - what every file stands on: errors, borrowed bytes and text, checks.
 * Nothing in base/ sees a clock, socket, file or thread, but for log.c, which writes lines where it is told. */
#ifndef BASE_BASE_H
#define BASE_BASE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE        __attribute__((warn_unused_result))
#define PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#define COUNT_OF(a)     (sizeof(a) / sizeof((a)[0]))

enum err {
#define ERR(name, text) name,
#include "base/err.def"
    ERR_COUNT
};

/* The sentence of an error; never NULL. */
const char *err_text(enum err e);

/* Bytes that someone else owns, passed by value; at == NULL is absent. */
struct bytes {
    const uint8_t *at;
    size_t len;
};

/* Text likewise: UTF-8, not terminated. at == NULL is absent, len == 0 with at != NULL is empty. */
struct str {
    const char *at;
    size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* For printf: "%.*s", STR_ARG(s) */
#define STR_ARG(s) (int)(s).len, (s).at == NULL ? "" : (s).at

struct str str_of(const char *terminated); /* NULL gives absent */
static inline struct bytes bytes_of(struct str s)
{
    return (struct bytes){(const uint8_t *)s.at, s.len};
}
bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b); /* ASCII letters fold, all else exact */
bool str_starts(struct str s, struct str prefix);
int str_compare(struct str a, struct str b);    /* by bytes, as memcmp then length */
/* Copies into a terminated array, cutting at a character boundary where it is too long; returns the length written. */
size_t str_copy(char *to, size_t size, struct str from);
/* ERR_FORMAT: not a decimal integer with optional '-'; ERR_RANGE: does not fit. */
MUST_USE enum err str_to_int(struct str s, int64_t *out);
bool utf8_is_valid(struct bytes b);
/* The size of the character that begins there, 1 to 4; 0 if none does: cut off, overlong, a surrogate, past U+10FFFF. */
size_t utf8_char_size(const uint8_t *at, const uint8_t *end);

/* Why something was refused: where, which field, and the reason in words; for people, never branched upon. */
struct fault {
    char field[64];
    char reason[160];
};
void fault_set(struct fault *why, struct str field, const char *format, ...) PRINTF(3, 4); /* why may be NULL */

/* For what only our own bug can break: always on, says where and ends the process. */
#define check(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))
_Noreturn void check_failed(const char *cond, const char *file, int line);

static inline uint16_t be16(const uint8_t p[2])
{
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t be32(const uint8_t p[4])
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint64_t be64(const uint8_t p[8])
{
    return (uint64_t)be32(p) << 32 | be32(p + 4);
}
#endif
