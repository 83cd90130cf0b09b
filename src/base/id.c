/* id.c - hashes, checksums, identifiers and their text. */
#include "base/id.h"
#include "base/scan.h"
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#define FNV_BASIS      2166136261u
#define FNV_PRIME      16777619u
#define CRC32C_POLY    0x82F63B78u /* Castagnoli, reflected */
#define FEISTEL_ROUNDS 8
#define NO_DIGIT       0xFF

static uint32_t crc_tables[8][256];
static bool crc_in_hardware;

uint32_t fnv1a32(struct bytes b)
{
    uint32_t hash = FNV_BASIS;
    for (size_t i = 0; i < b.len; i++)
        hash = (hash ^ b.at[i]) * FNV_PRIME;
    return hash;
}

static inline uint64_t rotl(uint64_t v, int by)
{
    return v << by | v >> (64 - by);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] = rotl(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] = rotl(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t word, int rounds)
{
    v[3] ^= word;
    for (int r = 0; r < rounds; r++)
        sip_round(v);
    v[0] ^= word;
}

/* The bytes behind the last whole word, the first the least. */
static inline uint64_t sip_rest(struct bytes b)
{
    const size_t rest = b.len & 7;
    uint64_t last = 0;
    if (b.len >= 8)
        return rest == 0 ? 0 : load64le(b.at + b.len - 8) >> (64 - 8 * rest);
    for (size_t i = 0; i < rest; i++)
        last |= (uint64_t)b.at[i] << 8 * i;
    return last;
}

#define SIP_BEGIN(key)                                                                                                 \
    {(key)[0] ^ 0x736f6d6570736575u, (key)[1] ^ 0x646f72616e646f6du, (key)[0] ^ 0x6c7967656e657261u,                   \
     (key)[1] ^ 0x7465646279746573u}

/* last: the rest of the bytes, and in its highest one how many there were. */
static inline __attribute__((always_inline)) uint64_t sip_end(uint64_t v[4], uint64_t last, int rounds, int last_rounds)
{
    sip_word(v, last, rounds);
    v[2] ^= 0xff;
    for (int r = 0; r < last_rounds; r++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static inline __attribute__((always_inline)) uint64_t sip(const uint64_t key[2], struct bytes b, int rounds, int last_rounds)
{
    uint64_t v[4] = SIP_BEGIN(key);
    for (size_t i = 0; b.len - i >= 8; i += 8)
        sip_word(v, load64le(b.at + i), rounds);
    return sip_end(v, (uint64_t)b.len << 56 | sip_rest(b), rounds, last_rounds);
}

uint64_t siphash(const uint64_t key[2], struct bytes b)
{
    return sip(key, b, 2, 4);
}

uint64_t siphash_table(const uint64_t key[2], struct bytes b)
{
    return sip(key, b, 1, 3);
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t content_step(uint64_t h, uint64_t of_first, const uint8_t at[16])
{
    return rotl(h, 23) ^ fold(load64le(at) ^ of_first, load64le(at + 8) ^ h);
}

/* Two words a multiplication; the last, padded with zeros, always comes, and the length with it. What was before is
 * carried along beside the product, so that a word which makes that zero does not wipe it out. Of a long text four
 * pieces go side by side, since each multiplication waits for the one before it. */
uint64_t content_hash(const uint64_t key[2], struct bytes b)
{
    const uint64_t of_first =
        key[1] ^ 0x9e3779b97f4a7c15u; /* any number whose bits look like none: here of the golden ratio */
    uint64_t h = key[0] ^ 0xbf58476d1ce4e5b9u;
    uint8_t last[16] = {0};
    size_t i = 0;
    if (b.len >= 64) {
        uint64_t h1 = rotl(h, 16), h2 = rotl(h, 32), h3 = rotl(h, 48);
        for (; b.len - i >= 64; i += 64) {
            h = content_step(h, of_first, b.at + i);
            h1 = content_step(h1, of_first, b.at + i + 16);
            h2 = content_step(h2, of_first, b.at + i + 32);
            h3 = content_step(h3, of_first, b.at + i + 48);
        }
        h = fold(h ^ of_first, h1) ^ rotl(fold(h2 ^ of_first, h3), 29) ^ h1 ^ h3;
    }
    for (; b.len - i >= 16; i += 16)
        h = content_step(h, of_first, b.at + i);
    if (i < b.len)
        memcpy(last, b.at + i, b.len - i);
    h = content_step(h, of_first, last);
    return fold(h ^ b.len, of_first);
}

/* Before main, so that no thread ever sees them half made. */
__attribute__((constructor)) static void crc_prepare(void)
{
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? CRC32C_POLY : 0);
        crc_tables[0][n] = crc;
    }
    for (uint32_t n = 0; n < 256; n++) {
        for (int t = 1; t < 8; t++)
            crc_tables[t][n] = crc_tables[t - 1][n] >> 8 ^ crc_tables[0][crc_tables[t - 1][n] & 0xFF];
    }
#if defined(__x86_64__)
    __builtin_cpu_init();
    crc_in_hardware = __builtin_cpu_supports("sse4.2") != 0;
#endif
}

uint32_t crc32c_by_table(uint32_t start, struct bytes b)
{
    uint32_t crc = ~start;
    const uint8_t *at = b.at;
    size_t left = b.len;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t v = load64le(at) ^ crc;
        crc = 0;
        for (int t = 0; t < 8; t++)
            crc ^= crc_tables[7 - t][v >> (8 * t) & 0xFF];
    }
    for (; left > 0; left--)
        crc = crc >> 8 ^ crc_tables[0][(crc ^ *at++) & 0xFF];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_by_cpu(uint32_t start, struct bytes b)
{
    uint64_t crc = ~start;
    const uint8_t *at = b.at;
    size_t left = b.len;
    for (; left >= 8; left -= 8, at += 8)
        crc = _mm_crc32_u64(crc, load64le(at));
    for (; left > 0; left--)
        crc = _mm_crc32_u8((uint32_t)crc, *at++);
    return ~(uint32_t)crc;
}
#endif

uint32_t crc32c(uint32_t start, struct bytes b)
{
#if defined(__x86_64__)
    if (crc_in_hardware)
        return crc32c_by_cpu(start, b);
#endif
    return crc32c_by_table(start, b);
}

/* The bits of version and variant: RFC 9562, 4.1 and 4.2. */
static struct uuid uuid_mark(struct uuid u, unsigned version)
{
    u.at[6] = (uint8_t)((u.at[6] & 0x0F) | version << 4);
    u.at[8] = (uint8_t)((u.at[8] & 0x3F) | 0x80);
    return u;
}

struct uuid uuid_v7(uint64_t unix_ms, uint16_t high, uint64_t low)
{
    struct uuid u;
    for (int i = 0; i < 6; i++)
        u.at[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
    u.at[6] = (uint8_t)(high >> 8);
    u.at[7] = (uint8_t)high;
    for (int i = 0; i < 8; i++)
        u.at[8 + i] = (uint8_t)(low >> (56 - 8 * i));
    return uuid_mark(u, 7);
}

struct uuid uuid_v4(const uint8_t random[16])
{
    struct uuid u;
    memcpy(u.at, random, sizeof u.at);
    return uuid_mark(u, 4);
}

static const struct {
    uint8_t from, count;
} uuid_groups[] = {{0, 4}, {4, 2}, {6, 2}, {8, 2}, {10, 6}};

void uuid_write(struct uuid u, char out[UUID_TEXT_SIZE])
{
    for (size_t g = 0; g < COUNT_OF(uuid_groups); g++) {
        if (g > 0)
            *out++ = '-';
        hex_write((struct bytes){u.at + uuid_groups[g].from, uuid_groups[g].count}, out);
        out += 2 * uuid_groups[g].count;
    }
}

enum err uuid_parse(struct str s, struct uuid *out)
{
    struct uuid u;
    if (s.len != UUID_TEXT_SIZE - 1)
        return ERR_FORMAT;
    for (size_t g = 0; g < COUNT_OF(uuid_groups); g++) {
        if (g > 0 && *s.at++ != '-')
            return ERR_FORMAT;
        struct str group = {s.at, 2u * uuid_groups[g].count};
        enum err e = hex_parse(group, u.at + uuid_groups[g].from, uuid_groups[g].count);
        if (e != OK)
            return e;
        s.at += group.len;
    }
    *out = u;
    return OK;
}

void hex_write(struct bytes b, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < b.len; i++) {
        *out++ = digits[b.at[i] >> 4];
        *out++ = digits[b.at[i] & 0x0F];
    }
    *out = 0;
}

static uint8_t hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (uint8_t)(c - '0');
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? (uint8_t)(lower - 'a' + 10) : NO_DIGIT;
}

enum err hex_parse(struct str s, uint8_t *out, size_t size)
{
    if (size > SIZE_MAX / 2 || s.len != 2 * size)
        return ERR_FORMAT;
    for (size_t i = 0; i < s.len; i++) {
        if (hex_digit(s.at[i]) == NO_DIGIT)
            return ERR_FORMAT;
    }
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(hex_digit(s.at[2 * i]) << 4 | hex_digit(s.at[2 * i + 1]));
    return OK;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static uint8_t base64_digit(char c)
{
    const char *found = c == 0 ? NULL : strchr(base64_digits, c);
    return found == NULL ? NO_DIGIT : (uint8_t)(found - base64_digits);
}

void buf_put_base64(struct buf *b, struct bytes in)
{
    size_t groups = in.len / 3 + (in.len % 3 != 0);
    if (groups == 0)
        return;
    uint8_t *to = buf_reserve(b, groups > SIZE_MAX / 4 ? SIZE_MAX : 4 * groups);
    if (to == NULL)
        return;
    for (size_t i = 0; i < in.len; i += 3) {
        size_t left = in.len - i;
        uint32_t bits =
            (uint32_t)in.at[i] << 16 | (left > 1 ? (uint32_t)in.at[i + 1] << 8 : 0) | (left > 2 ? in.at[i + 2] : 0u);
        *to++ = (uint8_t)base64_digits[bits >> 18];
        *to++ = (uint8_t)base64_digits[bits >> 12 & 63];
        *to++ = left > 1 ? (uint8_t)base64_digits[bits >> 6 & 63] : '=';
        *to++ = left > 2 ? (uint8_t)base64_digits[bits & 63] : '=';
    }
    b->len += 4 * groups;
}

enum err base64_parse(struct str s, struct buf *out)
{
    if (s.len % 4 != 0)
        return ERR_FORMAT;
    if (s.len == 0)
        return OK;
    size_t padding = s.at[s.len - 1] != '=' ? 0 : s.at[s.len - 2] != '=' ? 1 : 2;
    uint8_t *to = buf_reserve(out, s.len / 4 * 3);
    if (to == NULL)
        return ERR_MEMORY;
    uint32_t bits = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t digit = i >= s.len - padding ? 0 : base64_digit(s.at[i]);
        if (digit == NO_DIGIT)
            return ERR_FORMAT;
        bits = bits << 6 | digit;
        if (i % 4 != 3)
            continue;
        for (int shift = 16; shift >= 0; shift -= 8)
            *to++ = (uint8_t)(bits >> shift);
    }
    /* The bits under the padding must be 0: each text stands for other bytes (RFC 4648, 3.5). */
    if ((bits & ((1u << (8 * padding)) - 1)) != 0)
        return ERR_FORMAT;
    out->len += s.len / 4 * 3 - padding;
    return OK;
}

/* One round's function of the half that stays. */
static uint32_t feistel_mix(const uint64_t key[2], uint32_t round, uint32_t half)
{
    /* siphash of four bytes: the round, the half from its high byte on, 0. A start costs sixteen of them in all. */
    uint64_t v[4] = SIP_BEGIN(key);
    return (uint32_t)sip_end(v, (uint64_t)4 << 56 | (uint64_t)(half & 0xFF) << 16 | (half & 0xFF00) | round, 2, 4);
}

/* 31 bits in two parts, 16 high and 15 low, changed in turn. Running the rounds backwards undoes them. */
static uint32_t feistel(const uint64_t key[2], uint32_t n, bool forwards)
{
    uint32_t high = n >> 15, low = n & 0x7FFF;
    for (uint32_t i = 0; i < FEISTEL_ROUNDS; i++) {
        uint32_t round = forwards ? i : FEISTEL_ROUNDS - 1 - i;
        if (round % 2 == 0)
            high ^= feistel_mix(key, round, low) & 0xFFFF;
        else
            low ^= feistel_mix(key, round, high) & 0x7FFF;
    }
    return high << 15 | low;
}

/* 0 is not in the range but among the 31-bit numbers: what lands on it goes round once more, and leaves it then. */
static uint32_t permute(const uint64_t key[2], uint32_t n, bool forwards)
{
    if (n == 0 || n > INT32_MAX)
        return 0;
    do
        n = feistel(key, n, forwards);
    while (n == 0);
    return n;
}

uint32_t permute31(const uint64_t key[2], uint32_t n)
{
    return permute(key, n, true);
}

uint32_t permute31_back(const uint64_t key[2], uint32_t n)
{
    return permute(key, n, false);
}
