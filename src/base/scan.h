/* base/scan.h - eight bytes of text at a time, for those inside base/ who walk over a lot of it. */
#ifndef BASE_SCAN_H
#define BASE_SCAN_H
#include "base/base.h"
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define EACH_BYTE(b) (0x0101010101010101u * (uint64_t)(uint8_t)(b))

/* Little-endian whatever the machine: the first byte is the lowest. */
static inline uint64_t load64le(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

/* Sets the top bit of each zero byte; those above the lowest hit may be wrong, which no user of the first one sees. */
static inline uint64_t zero_bytes(uint64_t v)
{
    return (v - EACH_BYTE(0x01)) & ~v & EACH_BYTE(0x80);
}

/* A byte that stands in a JSON string for itself: ASCII, no control character, no quote, no backslash. */
static inline bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* The first byte that is not plain, or end. */
static inline const uint8_t *scan_plain(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 8) {
        uint64_t v = load64le(at);
        uint64_t low = (v - EACH_BYTE(0x20)) & ~v;
        uint64_t hit = zero_bytes(v ^ EACH_BYTE('"')) | zero_bytes(v ^ EACH_BYTE('\\')) | ((low | v) & EACH_BYTE(0x80));
        if (hit != 0)
            return at + (__builtin_ctzll(hit) >> 3);
        at += 8;
    }
    while (at < end && is_plain(*at))
        at++;
    return at;
}

#if defined(__SSE2__)
#define SCAN_BLOCK 64
/* One bit for each of 64 bytes: is it not plain? */
static inline uint64_t scan_block(const uint8_t *at)
{
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), blank = _mm_set1_epi8(' ');
    uint64_t stops = 0;
    for (int i = 0; i < SCAN_BLOCK / 16; i++) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * i));
        /* as signed bytes all from 80 up are below the blank too */
        __m128i hit = _mm_or_si128(_mm_cmplt_epi8(v, blank),
                                   _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash)));
        stops |= (uint64_t)(unsigned)_mm_movemask_epi8(hit) << (16 * i);
    }
    return stops;
}
/* One bit for each of 64 bytes: is it this one, but for the bits of blind (which c has set)? */
static inline uint64_t scan_block_for(const uint8_t *at, char c, char blind)
{
    const __m128i want = _mm_set1_epi8(c), set = _mm_set1_epi8(blind);
    uint64_t found = 0;
    for (int i = 0; i < SCAN_BLOCK / 16; i++) {
        __m128i v = _mm_or_si128(_mm_loadu_si128((const __m128i *)(const void *)(at + 16 * i)), set);
        found |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, want)) << (16 * i);
    }
    return found;
}
#endif
#endif
