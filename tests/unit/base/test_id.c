/* Hashes against published values, identifiers and encodings in and out, and the permutation of transaction ids. */
#include "base/id.h"
#include "check.h"
#include <stdlib.h>
#include <string.h>

#define PERMUTED 1000000

static struct bytes text_bytes(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void test_fnv(void)
{
    CHECK("nothing is the offset basis", fnv1a32(text_bytes("")) == 2166136261u);
    CHECK("one letter", fnv1a32(text_bytes("a")) == 0xE40C292Cu);
    CHECK("six letters", fnv1a32(text_bytes("foobar")) == 0xBF9CF968u);
    CHECK("the contract's test value", fnv1a32(text_bytes("gateway-pod-xyz")) == 1042551417);
    CHECK("bytes count without sign", fnv1a32(text_bytes("\xFF")) == (2166136261u ^ 0xFF) * 16777619u);
}

/* From the paper: key 00 01 .. 0f, message 00 01 .. of each length. */
static void test_siphash(void)
{
    static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    static const struct {
        size_t len;
        uint64_t want;
    } rows[] = {
        {0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd},  {7, 0xab0200f58b01d137},
        {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5},
    };
    uint8_t message[16];
    for (uint8_t i = 0; i < sizeof message; i++)
        message[i] = i;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        CHECK("the value of the paper", siphash(key, (struct bytes){message, rows[i].len}) == rows[i].want);
    CHECK("another key, another hash", siphash((uint64_t[]){1, 2}, (struct bytes){message, 8}) != rows[3].want);
}

static void test_content_hash(void)
{
    const uint64_t key[2] = {1, 2}, other[2] = {2, 1};
    uint8_t text[80] = {0}, copy[81];
    uint64_t seen[sizeof text * 9 + 1];
    size_t count = 0;

    for (size_t len = 0; len <= sizeof text; len++)
        seen[count++] = content_hash(key, (struct bytes){text, len});
    for (size_t bit = 0; bit < sizeof text * 8; bit++) {
        text[bit / 8] ^= (uint8_t)(1u << bit % 8);
        seen[count++] = content_hash(key, (struct bytes){text, sizeof text});
        text[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    size_t same = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            same += seen[i] == seen[k];
    CHECK("each length of zeros, and each bit that is set: another hash", count == COUNT_OF(seen) && same == 0);
    CHECK("another key, another hash", content_hash(key, (struct bytes){text, 16}) != content_hash(other, (struct bytes){text, 16}));
    memcpy(copy + 1, text, sizeof text);
    CHECK("wherever the bytes stand", content_hash(key, (struct bytes){copy + 1, 77}) == content_hash(key, (struct bytes){text, 77}));
    CHECK("nothing", content_hash(key, (struct bytes){NULL, 0}) == content_hash(key, (struct bytes){text, 0}));
}

/* A bit at a time, as the polynomial is written. */
static uint32_t crc_by_bits(struct bytes b)
{
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < b.len; i++) {
        crc ^= b.at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    return ~crc;
}

static void test_crc(void)
{
    uint8_t data[100];
    CHECK("nothing", crc32c(0, text_bytes("")) == 0 && crc32c_by_table(0, text_bytes("")) == 0);
    CHECK("the check value", crc32c(0, text_bytes("123456789")) == 0xE3069283u);
    memset(data, 0, 32);
    CHECK("RFC 3720 B.4: 32 zeros", crc32c(0, (struct bytes){data, 32}) == 0x8A9136AAu);
    memset(data, 0xFF, 32);
    CHECK("RFC 3720 B.4: 32 ones", crc32c(0, (struct bytes){data, 32}) == 0x62A8AB43u);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37 + 11);
    for (size_t from = 0; from < 9; from++) {
        for (size_t len = 0; len <= sizeof data - from; len++) {
            struct bytes b = {data + from, len}, head = {b.at, len / 3}, tail = {b.at + len / 3, len - len / 3};
            uint32_t want = crc_by_bits(b);
            CHECK("any place, any length", crc32c(0, b) == want);
            CHECK("by tables the same", crc32c_by_table(0, b) == want);
            CHECK("in two parts the same", crc32c(crc32c_by_table(0, head), tail) == want);
            CHECK("in two parts, the other way", crc32c_by_table(crc32c(0, head), tail) == want);
        }
    }
}

static void test_uuid(void)
{
    static const uint8_t ones[16] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    static const uint8_t zeros[16];
    char text[UUID_TEXT_SIZE];
    uuid_write(uuid_v7(0x0123456789AB, 0xFFFF, UINT64_MAX), text);
    CHECK("v7 of all ones", strcmp(text, "01234567-89ab-7fff-bfff-ffffffffffff") == 0);
    uuid_write(uuid_v7(0, 0, 0), text);
    CHECK("v7 of nothing", strcmp(text, "00000000-0000-7000-8000-000000000000") == 0);
    /* RFC 9562, A.6 */
    uuid_write(uuid_v7(0x017F22E279B0, 0xCC3, 0x18C4DC0C0C07398F), text);
    CHECK("the example of the standard", strcmp(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f") == 0);
    uuid_write(uuid_v4(ones), text);
    CHECK("v4 of all ones", strcmp(text, "ffffffff-ffff-4fff-bfff-ffffffffffff") == 0);
    uuid_write(uuid_v4(zeros), text);
    CHECK("v4 of nothing", strcmp(text, "00000000-0000-4000-8000-000000000000") == 0);
    struct uuid u, kept;
    CHECK("read back, in any case", uuid_parse(STR("017F22E2-79b0-7cc3-98C4-DC0C0C07398F"), &u) == OK);
    struct uuid want = uuid_v7(0x017F22E279B0, 0xCC3, 0x18C4DC0C0C07398F);
    CHECK("is the same", memcmp(&u, &want, sizeof u) == 0);
    static const char *const bad[] = {
        "",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398ff",
        "017f22e279b07cc398c4dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4_dc0c0c07398f",
        "g17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398 ",
        "017f22e27-9b0-7cc3-98c4-dc0c0c07398f",
        "{017f22e2-79b0-7cc3-98c4-dc0c0c0739}",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        kept = u;
        CHECK(bad[i], uuid_parse(str_of(bad[i]), &u) == ERR_FORMAT);
        CHECK("it is left as it was", memcmp(&kept, &u, sizeof u) == 0);
    }
}

static void test_hex(void)
{
    uint8_t all[256], back[256], two[2] = {1, 2};
    char text[2 * 256 + 1];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    hex_write((struct bytes){all, sizeof all}, text);
    CHECK("every byte out", strlen(text) == 512 && memcmp(text, "000102", 6) == 0 && strcmp(text + 506, "fdfeff") == 0);
    CHECK("and in", hex_parse(str_of(text), back, sizeof back) == OK && memcmp(all, back, sizeof all) == 0);
    CHECK("upper case in", hex_parse(STR("AfF0"), two, 2) == OK && two[0] == 0xAF && two[1] == 0xF0);
    hex_write((struct bytes){NULL, 0}, text);
    CHECK("nothing", text[0] == 0 && hex_parse(STR(""), two, 0) == OK);
    static const char *const bad[] = {"",     "a",    "af",   "aff",  "afff0", "affff0",
                                      "0g00", "000G", "@000", "`000", "00:0",  " 000"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        CHECK(bad[i], hex_parse(str_of(bad[i]), two, 2) == ERR_FORMAT && two[0] == 0xAF && two[1] == 0xF0);
    CHECK("a size past memory", hex_parse(STR(""), two, SIZE_MAX / 2 + 1) == ERR_FORMAT);
}

/* RFC 4648, 10; and beyond ASCII. */
static const struct {
    struct str plain, coded;
} coded[] = {
    {{"", 0}, {"", 0}},
    {{"f", 1}, {"Zg==", 4}},
    {{"fo", 2}, {"Zm8=", 4}},
    {{"foo", 3}, {"Zm9v", 4}},
    {{"foob", 4}, {"Zm9vYg==", 8}},
    {{"fooba", 5}, {"Zm9vYmE=", 8}},
    {{"foobar", 6}, {"Zm9vYmFy", 8}},
    {{"\0\0\0", 3}, {"AAAA", 4}},
    {{"\xFF\xFF\xFF", 3}, {"////", 4}},
    {{"\xFB\xEF\xBE", 3}, {"++++", 4}},
};

static void test_base64(void)
{
    struct buf b;
    buf_init(&b, 64);
    for (size_t i = 0; i < COUNT_OF(coded); i++) {
        buf_clear(&b);
        buf_put_base64(&b, (struct bytes){(const uint8_t *)coded[i].plain.at, coded[i].plain.len});
        CHECK(coded[i].coded.at, str_eq(buf_str(&b), coded[i].coded));
        buf_clear(&b);
        CHECK(coded[i].coded.at, base64_parse(coded[i].coded, &b) == OK && str_eq(buf_str(&b), coded[i].plain));
    }
    static const char *const bad[] = {
        "Z",    "Zg",   "Zg=",    "Zg===", "====", "Z===", "=Zg=",        "Zg==Zg==", "Z=g=",
        "Zh==", "Zm9=", "Zm9v\n", "Zm 9",  "Zm9-", "Zm9_", "Zm9v\x80===", "AA=A",
    };
    buf_clear(&b);
    buf_put_lit(&b, "kept");
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        CHECK(bad[i], base64_parse(str_of(bad[i]), &b) == ERR_FORMAT && str_eq(buf_str(&b), STR("kept")));
    CHECK("a zero byte is no digit", base64_parse((struct str){"AA\0A", 4}, &b) == ERR_FORMAT);
    buf_release(&b);
    buf_init(&b, 5);
    CHECK("no room to read into", base64_parse(STR("Zm9vYmFy"), &b) == ERR_MEMORY && b.len == 0);
    buf_clear(&b);
    buf_put_base64(&b, text_bytes("foobar"));
    CHECK("no room to write into", b.failed && b.len == 0);
    buf_release(&b);
    buf_init(&b, 4096);
    uint8_t random[300];
    struct buf back;
    buf_init(&back, 4096);
    for (size_t len = 0; len < sizeof random; len++) {
        for (size_t i = 0; i < len; i++)
            random[i] = (uint8_t)(i * 91 + len * 13);
        buf_clear(&b);
        buf_clear(&back);
        buf_put_base64(&b, (struct bytes){random, len});
        CHECK("any bytes out and in", base64_parse(buf_str(&b), &back) == OK && back.len == len);
        CHECK("are the same", len == 0 || memcmp(back.at, random, len) == 0);
    }
    buf_release(&b);
    buf_release(&back);
}

static void test_permute(void)
{
    static const uint64_t key[2] = {0x5eed5eed5eed5eed, 7}, other[2] = {0x5eed5eed5eed5eed, 8};
    uint8_t *seen = calloc(1, (size_t)1 << 28); /* a bit for each number; only touched pages cost */
    unsigned repeated = 0, outside = 0, lost = 0, fixed = 0, as_other = 0;
    if (seen == NULL)
        abort();
    for (uint32_t n = 1; n <= PERMUTED; n++) {
        uint32_t id = permute31(key, n);
        outside += id == 0 || id > INT32_MAX;
        repeated += seen[id >> 3] >> (id & 7) & 1;
        seen[id >> 3] |= (uint8_t)(1 << (id & 7));
        lost += permute31_back(key, id) != n;
        fixed += id == n;
        as_other += n % 100 == 0 && id == permute31(other, n);
    }
    free(seen);
    CHECK("all are in the range", outside == 0);
    CHECK("each comes once", repeated == 0);
    CHECK("each is found back", lost == 0);
    CHECK("hardly any stands still", fixed < 10);
    CHECK("another key gives others", as_other < 10);
    static const uint32_t ends[] = {1, 2, INT32_MAX - 1, INT32_MAX};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        CHECK("the ends are found back", permute31_back(key, permute31(key, ends[i])) == ends[i]);
        CHECK("and the other way", permute31(key, permute31_back(key, ends[i])) == ends[i]);
    }
    static const uint32_t outer[] = {0, (uint32_t)INT32_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < COUNT_OF(outer); i++)
        CHECK("what is outside gives 0", permute31(key, outer[i]) == 0 && permute31_back(key, outer[i]) == 0);
    /* what lands on 0 goes round again: that number and what comes of it are a pair too */
    bool is_pair = true;
    for (uint32_t n = INT32_MAX - 1000; n < INT32_MAX; n++)
        is_pair = is_pair && permute31(key, permute31_back(key, n)) == n;
    CHECK("backwards first", is_pair);
}

int main(void)
{
    test_fnv();
    test_siphash();
    test_content_hash();
    test_crc();
    test_uuid();
    test_hex();
    test_base64();
    test_permute();
    return CHECK_REPORT();
}
