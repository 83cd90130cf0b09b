/* What has a quick way beside the whole one gives the same by both; and SipHash-1-3 is that of its authors. */
#include "base/id.h"
#include "base/time.h"
#include "check.h"

#include <inttypes.h>
#include <stdlib.h>

#define TRIES 300000

static uint64_t dice_state = 1;

static unsigned dice(unsigned sides)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(dice_state >> 33) % sides;
}

static void test_decimal(void)
{
    static const char letters[] = "0123456789012345678901234567890.-e+x";
    unsigned good = 0;
    bool is_same = true;
    for (unsigned i = 0; i < TRIES; i++) {
        char text[24];
        size_t len = dice(16);
        for (size_t k = 0; k < len; k++)
            text[k] = k == 0 && dice(4) == 0 ? '-' : letters[dice(dice(3) == 0 ? sizeof letters - 1 : 31)];
        const int digits = (int)dice(10);
        const struct str s = {text, len};
        struct decimal whole = {.scaled = 0};
        int64_t n = 7;
        bool inexact = true;
        enum err e = decimal_parse(s, digits, &n, &inexact), by_whole = decimal_read(s, digits, &whole);
        if (by_whole == OK && whole.scaled > INT64_MAX / 2)
            by_whole = ERR_RANGE;
        is_same = is_same && e == by_whole && (e == OK || n == 7);
        if (e == OK)
            is_same = is_same && n == (whole.is_negative ? -(int64_t)whole.scaled : (int64_t)whole.scaled) &&
                      inexact == whole.is_inexact;
        good += e == OK;
    }
    CHECK("a decimal is the same both ways", is_same);
    CHECK("and many are good", good > TRIES / 5);
}

static void test_int(void)
{
    bool is_same = true;
    for (unsigned i = 0; i < TRIES; i++) {
        int64_t n = (int64_t)(((uint64_t)dice(1u << 31) << 33 ^ (uint64_t)dice(1u << 31) << 2 ^ dice(4)) >> dice(64));
        char want[32];
        struct buf b;
        if (i < 6)
            n = ((const int64_t[]){0, 9, 10, 99, INT64_MIN, INT64_MAX})[i];
        else if (dice(2) == 0)
            n = -n;
        buf_init(&b, 64);
        buf_put_int(&b, n);
        (void)snprintf(want, sizeof want, "%" PRId64, n);
        is_same = is_same && str_eq(buf_str(&b), str_of(want));
        buf_release(&b);
    }
    CHECK("a number is as printf writes it", is_same);
}

static void test_siphash(void)
{
    static const struct {
        size_t len;
        uint64_t want;
    } rows[] = {{0, 0xabac0158050fc4dc}, {7, 0xd3927d989bb11140}, {8, 0x369095118d299a8e}, {15, 0xd320d86d2a519956}, {23, 0x525a0e7fdae6c123}};
    static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    uint8_t bytes[23];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        CHECK("SipHash-1-3", siphash_table(key, (struct bytes){bytes, rows[i].len}) == rows[i].want);
    CHECK("SipHash-2-4", siphash(key, (struct bytes){bytes, 15}) == 0xa129ca6149be45e5);
}

int main(void)
{
    test_decimal();
    test_int();
    test_siphash();
    return CHECK_REPORT();
}
