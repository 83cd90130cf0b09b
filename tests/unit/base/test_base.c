/* Borrowed text, UTF-8, faults and the end of a process by check(). */
#include "base/base.h"
#include "check.h"
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *row;
    struct str a, b;
    int order;
    bool is_same, is_same_nocase, starts;
} pairs[] = {
    {"two absent texts are the same", {NULL, 0}, {NULL, 0}, 0, true, true, true},
    {"absent and empty compare equal", {NULL, 0}, {"", 0}, 0, true, true, true},
    {"the same text", {"abc", 3}, {"abc", 3}, 0, true, true, true},
    {"other case", {"aBc-1", 5}, {"AbC-1", 5}, 1, false, true, false},
    {"a letter is no sign 32 away", {"@[", 2}, {"`{", 2}, -1, false, false, false},
    {"only ASCII folds", {"\xC3\x84", 2}, {"\xC3\xA4", 2}, -1, false, false, false},
    {"shorter comes first", {"ab", 2}, {"abc", 3}, -1, false, false, false},
    {"longer starts with its beginning", {"abc", 3}, {"ab", 2}, 1, false, false, true},
    {"all starts with nothing", {"abc", 3}, {NULL, 0}, 1, false, false, true},
    {"bytes compare without sign", {"\xFF", 1}, {"a", 1}, 1, false, false, false},
    {"zero bytes count", {"a\0b", 3}, {"a\0c", 3}, -1, false, false, false},
};

static void test_pairs(void)
{
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        int order = str_compare(pairs[i].a, pairs[i].b), back = str_compare(pairs[i].b, pairs[i].a);
        CHECK(pairs[i].row, (order > 0) - (order < 0) == pairs[i].order);
        CHECK(pairs[i].row, (back > 0) - (back < 0) == -pairs[i].order);
        CHECK(pairs[i].row, str_eq(pairs[i].a, pairs[i].b) == pairs[i].is_same);
        CHECK(pairs[i].row, str_eq_nocase(pairs[i].a, pairs[i].b) == pairs[i].is_same_nocase);
        CHECK(pairs[i].row, str_starts(pairs[i].a, pairs[i].b) == pairs[i].starts);
    }
    CHECK("a NULL string is absent", str_of(NULL).at == NULL && str_of(NULL).len == 0);
    CHECK("an empty string is not absent", str_of("").at != NULL && str_of("").len == 0);
}

static const struct {
    const char *row, *from, *want;
    size_t size;
} copies[] = {
    {"it fits", "abc", "abc", 4},
    {"it is cut", "abcd", "abc", 4},
    {"nothing fits but the end", "abc", "", 1},
    {"no place at all", "abc", "?", 0},
    {"absent becomes empty", NULL, "", 4},
    {"two bytes are not cut in two", "ab\xC3\xA4", "ab", 4},
    {"two bytes that fit stay", "a\xC3\xA4z", "a\xC3\xA4", 4},
    {"three bytes are not cut after one", "\xE6\xB1\x89\xE5\xAD\x97", "\xE6\xB1\x89", 5},
    {"three bytes are not cut after two", "\xE6\xB1\x89\xE5\xAD\x97", "\xE6\xB1\x89", 6},
    {"four bytes are not cut after three", "\xF0\x9F\x98\x80", "", 4},
    {"four bytes fit", "\xF0\x9F\x98\x80z", "\xF0\x9F\x98\x80", 5},
    {"bytes that are no character are cut anywhere", "\x80\x80\x80\x80\x80\x80", "\x80\x80\x80\x80\x80", 6},
};

static void test_copies(void)
{
    for (size_t i = 0; i < COUNT_OF(copies); i++) {
        char to[8] = "?";
        size_t len = str_copy(to, copies[i].size, str_of(copies[i].from));
        CHECK(copies[i].row, strcmp(to, copies[i].want) == 0);
        CHECK(copies[i].row, len == (copies[i].size == 0 ? 0 : strlen(copies[i].want)));
    }
}

static const struct {
    const char *row, *text;
    enum err want;
    int64_t n;
} ints[] = {
    {"zero", "0", OK, 0},
    {"minus zero", "-0", OK, 0},
    {"leading zeros", "-007", OK, -7},
    {"the greatest", "9223372036854775807", OK, INT64_MAX},
    {"the least", "-9223372036854775808", OK, INT64_MIN},
    {"one past the greatest", "9223372036854775808", ERR_RANGE, 0},
    {"one past the least", "-9223372036854775809", ERR_RANGE, 0},
    {"far past", "99999999999999999999999999", ERR_RANGE, 0},
    {"far past, and then no digit", "99999999999999999999999999x", ERR_FORMAT, 0},
    {"empty", "", ERR_FORMAT, 0},
    {"absent", NULL, ERR_FORMAT, 0},
    {"only a sign", "-", ERR_FORMAT, 0},
    {"two signs", "--1", ERR_FORMAT, 0},
    {"plus", "+1", ERR_FORMAT, 0},
    {"a blank before", " 1", ERR_FORMAT, 0},
    {"a blank after", "1 ", ERR_FORMAT, 0},
    {"a fraction", "1.0", ERR_FORMAT, 0},
    {"hexadecimal", "0x10", ERR_FORMAT, 0},
    {"a byte past ASCII", "\xB1", ERR_FORMAT, 0},
};

static void test_ints(void)
{
    for (size_t i = 0; i < COUNT_OF(ints); i++) {
        int64_t n = 4711;
        CHECK(ints[i].row, str_to_int(str_of(ints[i].text), &n) == ints[i].want);
        CHECK(ints[i].row, n == (ints[i].want == OK ? ints[i].n : 4711));
    }
}

static const struct {
    const char *row;
    struct str text;
    bool is_valid;
} texts[] = {
    {"nothing", {"", 0}, true},
    {"absent", {NULL, 0}, true},
    {"ASCII with a zero byte", {"abcdefgh\0ijk", 12}, true},
    {"the least of two bytes", {"\xC2\x80", 2}, true},
    {"the greatest of two bytes", {"\xDF\xBF", 2}, true},
    {"the least of three bytes", {"\xE0\xA0\x80", 3}, true},
    {"last before the surrogates", {"\xED\x9F\xBF", 3}, true},
    {"first after the surrogates", {"\xEE\x80\x80", 3}, true},
    {"a noncharacter is a code point", {"\xEF\xBF\xBF", 3}, true},
    {"the least of four bytes", {"\xF0\x90\x80\x80", 4}, true},
    {"the greatest of all", {"\xF4\x8F\xBF\xBF", 4}, true},
    {"eight plain bytes, then two", {"abcdefgh\xC3\xA4", 10}, true},
    {"a continuation byte alone", {"\x80", 1}, false},
    {"overlong of two bytes", {"\xC0\xAF", 2}, false},
    {"overlong of two bytes, greatest", {"\xC1\xBF", 2}, false},
    {"overlong of three bytes", {"\xE0\x9F\xBF", 3}, false},
    {"overlong of four bytes", {"\xF0\x8F\xBF\xBF", 4}, false},
    {"the first surrogate", {"\xED\xA0\x80", 3}, false},
    {"the last surrogate", {"\xED\xBF\xBF", 3}, false},
    {"past the greatest", {"\xF4\x90\x80\x80", 4}, false},
    {"F5 begins nothing", {"\xF5\x80\x80\x80", 4}, false},
    {"FF begins nothing", {"\xFF", 1}, false},
    {"two bytes cut", {"\xC3", 1}, false},
    {"three bytes cut", {"\xE6\xB1", 2}, false},
    {"four bytes cut", {"\xF0\x9F\x98", 3}, false},
    {"a plain byte where one must follow", {"\xC3z", 2}, false},
    {"a plain byte in the third place", {"\xE6\xB1z", 3}, false},
    {"a plain byte in the fourth place", {"\xF0\x9F\x98z", 4}, false},
    {"bad after eight plain bytes", {"abcdefgh\xC3", 9}, false},
    {"bad in the eighth byte", {"abcdefg\x80zzzzzzzz", 16}, false},
};

static void test_utf8(void)
{
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct str t = texts[i].text;
        uint8_t *exact = malloc(t.len + 1);
        if (exact == NULL)
            abort();
        if (t.len > 0)
            memcpy(exact + 1, t.at, t.len); /* at an odd place, and nothing after it */
        CHECK(texts[i].row, utf8_is_valid((struct bytes){exact + 1, t.len}) == texts[i].is_valid);
        free(exact);
    }
    static const uint8_t end[1];
    CHECK("no character at the end", utf8_char_size(end, end) == 0);
    /* Each code point in its own bytes is one character; none fewer. */
    unsigned wrong = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint8_t b[4] = {(uint8_t)c, 0, 0, 0};
        size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = size - 1, rest = c; size > 1 && i > 0; i--, rest >>= 6)
            b[i] = (uint8_t)(0x80 | (rest & 0x3F));
        if (size > 1)
            b[0] = (uint8_t)((size == 2 ? 0xC0 : size == 3 ? 0xE0 : 0xF0) | c >> (6 * (size - 1)));
        bool is_surrogate = c >= 0xD800 && c <= 0xDFFF;
        wrong += utf8_char_size(b, b + size) != (is_surrogate ? 0 : size);
        wrong += size > 1 && utf8_char_size(b, b + size - 1) != 0;
    }
    CHECK("every code point but the surrogates is one character", wrong == 0);
}

static void test_faults(void)
{
    struct fault why;
    char longer[300];
    memset(longer, 'x', sizeof longer);
    fault_set(NULL, STR("a"), "who does not want to know is not told");
    fault_set(&why, STR("idTag"), "%d characters, at most %d", 21, 20);
    CHECK("the field", strcmp(why.field, "idTag") == 0);
    CHECK("the reason", strcmp(why.reason, "21 characters, at most 20") == 0);
    fault_set(&why, (struct str){longer, sizeof longer}, "%.*s", (int)sizeof longer, longer);
    CHECK("a long field is cut", strlen(why.field) == sizeof why.field - 1);
    CHECK("a long reason is cut", strlen(why.reason) == sizeof why.reason - 1);
    memset(longer, 'x', sizeof why.reason - 2);
    memcpy(longer + sizeof why.reason - 2, "\xE6\xB1\x89", 4);
    fault_set(&why, (struct str){NULL, 0}, "%s", longer);
    CHECK("a reason is not cut in a character", strlen(why.reason) == sizeof why.reason - 2);
    CHECK("no field is an empty one", why.field[0] == 0);
}

static void test_errors(void)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        CHECK("every error has a sentence", err_text((enum err)i)[0] != 0);
        for (int other = 0; other < i; other++)
            CHECK("of its own", strcmp(err_text((enum err)i), err_text((enum err)other)) != 0);
    }
    CHECK("and what is none", err_text((enum err)ERR_COUNT)[0] != 0 && err_text((enum err) - 1)[0] != 0);
}

static void test_check(void)
{
    pid_t child = fork();
    if (child == 0) {
        (void)close(STDERR_FILENO);
        check(child != 0);
        _exit(0);
    }
    int status = 0;
    check(child > 0 && waitpid(child, &status, 0) == child);
    CHECK("a check that fails ends the process", WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_numbers(void)
{
    static const uint8_t b[] = {0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10};
    CHECK("16 bits", be16(b) == 0xFEDC);
    CHECK("32 bits", be32(b) == 0xFEDCBA98);
    CHECK("64 bits", be64(b) == 0xFEDCBA9876543210);
}

int main(void)
{
    test_pairs();
    test_copies();
    test_ints();
    test_utf8();
    test_faults();
    test_errors();
    test_check();
    test_numbers();
    return CHECK_REPORT();
}
