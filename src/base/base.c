/* base.c - errors in words, borrowed text, UTF-8, and the end of a process that has a bug. */
#include "base/base.h"
#include "base/scan.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const texts[] = {
#define ERR(name, text) [name] = (text),
#include "base/err.def"
};

static inline uint8_t fold(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* The longest beginning of a text, at most room bytes, that cuts no character in two. */
static size_t whole_chars(const char *at, size_t len, size_t room)
{
    if (len <= room)
        return len;
    size_t cut = room;
    for (int i = 0; i < 3 && cut > 0 && ((uint8_t)at[cut] & 0xC0) == 0x80; i++)
        cut--;
    /* four continuation bytes in a row are no character: cut anywhere */
    return ((uint8_t)at[cut] & 0xC0) == 0x80 ? room : cut;
}

const char *err_text(enum err e)
{
    return (unsigned)e < COUNT_OF(texts) ? texts[e] : "unknown error";
}

struct str str_of(const char *terminated)
{
    return (struct str){terminated, terminated == NULL ? 0 : strlen(terminated)};
}

bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (fold((uint8_t)a.at[i]) != fold((uint8_t)b.at[i]))
            return false;
    }
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.at, prefix.at, prefix.len) == 0);
}

int str_compare(struct str a, struct str b)
{
    size_t both = a.len < b.len ? a.len : b.len;
    int order = both == 0 ? 0 : memcmp(a.at, b.at, both);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

size_t str_copy(char *to, size_t size, struct str from)
{
    if (size == 0)
        return 0;
    size_t len = whole_chars(from.at, from.len, size - 1);
    if (len > 0)
        memcpy(to, from.at, len);
    to[len] = 0;
    return len;
}

#define DIGITS_SAFE 18 /* always fit 64 bits */

enum err str_to_int(struct str s, int64_t *out)
{
    if (s.len > 0 && s.len <= DIGITS_SAFE && s.at[0] != '-') { /* nearly all are */
        int64_t n = 0;
        for (const char *at = s.at, *const end = at + s.len; at < end; at++) {
            const unsigned digit = (unsigned)(uint8_t)*at - '0';
            if (digit > 9)
                return ERR_FORMAT;
            n = n * 10 + digit;
        }
        *out = n;
        return OK;
    }
    size_t i = s.len > 0 && s.at[0] == '-' ? 1 : 0;
    bool is_negative = i == 1, fits = true;
    if (i == s.len)
        return ERR_FORMAT;
    int64_t n = 0; /* gathered as a negative number: INT64_MIN has no positive */
    for (; i < s.len; i++) {
        unsigned digit = (unsigned)(uint8_t)s.at[i] - '0';
        if (digit > 9)
            return ERR_FORMAT;
        fits = fits && !__builtin_mul_overflow(n, 10, &n) && !__builtin_sub_overflow(n, (int64_t)digit, &n);
    }
    if (!fits || (!is_negative && n == INT64_MIN))
        return ERR_RANGE;
    *out = is_negative ? n : -n;
    return OK;
}

size_t utf8_char_size(const uint8_t *at, const uint8_t *end)
{
    size_t left = (size_t)(end - at);
    if (left == 0)
        return 0;
    uint8_t c = at[0];
    if (c < 0x80)
        return 1;
    /* Unicode, table 3-7: what may follow the first byte; all further bytes are 80..BF. */
    size_t size = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    uint8_t least = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    uint8_t most = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (c < 0xC2 || c > 0xF4 || left < size || at[1] < least || at[1] > most)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    }
    return size;
}

bool utf8_is_valid(struct bytes b)
{
    const uint8_t *at = b.at, *end = b.at + b.len;
    while (at < end) {
        if (end - at >= 8 && (load64le(at) & EACH_BYTE(0x80)) == 0) {
            at += 8;
            continue;
        }
        size_t size = utf8_char_size(at, end);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

void fault_set(struct fault *why, struct str field, const char *format, ...)
{
    if (why == NULL)
        return;
    (void)str_copy(why->field, sizeof why->field, field);
    char all[sizeof why->reason + 4]; /* a little more, to see where a cut character began */
    va_list args;
    va_start(args, format);
    (void)vsnprintf(all, sizeof all, format, args);
    va_end(args);
    (void)str_copy(why->reason, sizeof why->reason, str_of(all));
}

_Noreturn void check_failed(const char *cond, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: check failed: %s\n", file, line, cond);
    abort();
}
