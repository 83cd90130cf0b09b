/* Escapes undone: into an arena, by comparison, and inside base/. */
#include "base/json_string.h"
#include "check.h"
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *row;
    struct str raw, text; /* text.at == NULL: malformed */
} strings[] = {
    {"empty", {"", 0}, {"", 0}},
    {"plain", {"abc", 3}, {"abc", 3}},
    {"all short escapes", {"\\\"\\\\\\/\\b\\f\\n\\r\\t", 16}, {"\"\\/\b\f\n\r\t", 8}},
    {"one byte", {"\\u0041", 6}, {"A", 1}},
    {"the last of one byte", {"\\u007f", 6}, {"\x7F", 1}},
    {"the first of two bytes", {"\\u0080", 6}, {"\xC2\x80", 2}},
    {"the last of two bytes", {"\\u07FF", 6}, {"\xDF\xBF", 2}},
    {"the first of three bytes", {"\\u0800", 6}, {"\xE0\xA0\x80", 3}},
    {"the last before the surrogates", {"\\uD7ff", 6}, {"\xED\x9F\xBF", 3}},
    {"the first after them", {"\\ue000", 6}, {"\xEE\x80\x80", 3}},
    {"the last of three bytes", {"\\uFFFF", 6}, {"\xEF\xBF\xBF", 3}},
    {"the first pair", {"\\uD800\\uDC00", 12}, {"\xF0\x90\x80\x80", 4}},
    {"the last pair", {"\\udbff\\udfff", 12}, {"\xF4\x8F\xBF\xBF", 4}},
    {"a zero", {"a\\u0000b", 8}, {"a\0b", 3}},
    {"between plain ones", {"ab\\ncd\xC3\xA4\\u00e4!", 15}, {"ab\ncd\xC3\xA4\xC3\xA4!", 10}},
    {"a backslash, then n", {"\\\\n", 3}, {"\\n", 2}},
    {"a backslash alone", {"a\\", 2}, {NULL, 0}},
    {"no escape", {"\\a", 2}, {NULL, 0}},
    {"a zero byte as escape", {"\\\0", 2}, {NULL, 0}},
    {"u cut", {"\\u004", 5}, {NULL, 0}},
    {"u with a letter", {"\\u004g", 6}, {NULL, 0}},
    {"a first surrogate at the end", {"\\ud800", 6}, {NULL, 0}},
    {"a first surrogate, a letter", {"\\ud800abcdefgh", 14}, {NULL, 0}},
    {"a first surrogate, another escape", {"\\ud800\\n\\n\\n", 12}, {NULL, 0}},
    {"a first surrogate twice", {"\\ud800\\ud800", 12}, {NULL, 0}},
    {"a first surrogate, no surrogate", {"\\ud800\\u0041", 12}, {NULL, 0}},
    {"a second surrogate cut", {"\\ud800\\udc0", 11}, {NULL, 0}},
    {"a second surrogate first", {"\\udc00\\ud800", 12}, {NULL, 0}},
};

static void test_strings(void)
{
    for (size_t i = 0; i < COUNT_OF(strings); i++) {
        struct str raw = strings[i].raw, want = strings[i].text, got = {"?", 1};
        char *exact = malloc(raw.len + 1);
        if (exact == NULL)
            abort();
        memcpy(exact + 1, raw.at, raw.len);
        struct json_string s = {{exact + 1, raw.len}, memchr(raw.at, '\\', raw.len) != NULL};
        struct arena a;
        arena_init(&a, 4096);
        CHECK(strings[i].row, json_string_text(s, &a, &got) == (want.at == NULL ? ERR_FORMAT : OK));
        CHECK(strings[i].row, want.at == NULL ? str_eq(got, STR("?")) : str_eq(got, want));
        CHECK(strings[i].row, s.has_escape || got.at == s.raw.at);
        CHECK(strings[i].row, want.at == NULL || json_string_is(s, want));
        CHECK(strings[i].row,
              want.at == NULL || json_undone_compare(s.raw, want) == 0 || memchr(want.at, '\\', want.len));
        CHECK("not what is longer", !json_string_is(s, STR("abcdefghijklmnopqrstuvwxyz")));
        for (size_t len = 0; len < want.len; len++)
            CHECK("nor a beginning", !json_string_is(s, (struct str){want.at, len}));
        arena_release(&a);
        arena_init(&a, 1);
        CHECK("no room", json_string_text(s, &a, &got) == (s.has_escape ? ERR_MEMORY : OK));
        arena_release(&a);
        free(exact);
    }
    struct str absent = {NULL, 0};
    CHECK("an empty string is the absent text", json_string_is((struct json_string){STR(""), false}, absent));
    CHECK("an escape is not nothing", !json_string_is((struct json_string){STR("\\n"), true}, absent));
}

/* Every code point by its escape, and back by its bytes. */
static void test_every_escape(void)
{
    unsigned wrong = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        char escape[16], text[13];
        size_t len = 0;
        if (c < 0x10000)
            (void)snprintf(escape, sizeof escape, "\\u%04X", (unsigned)c);
        else
            (void)snprintf(escape, sizeof escape, "\\u%04x\\u%04x", (unsigned)(0xD7C0 + (c >> 10)) & 0xFFFF,
                           (unsigned)(0xDC00 | (c & 0x3FF)));
        bool is_surrogate = c >= 0xD800 && c <= 0xDFFF;
        bool is_undone = json_undo(str_of(escape), text, &len);
        wrong += is_undone == is_surrogate;
        wrong += is_undone && utf8_char_size((uint8_t *)text, (uint8_t *)text + len) != len;
        wrong += is_undone && !json_string_is((struct json_string){str_of(escape), true}, (struct str){text, len});
    }
    CHECK("every code point but the surrogates", wrong == 0);
}

static const struct {
    const char *row, *a, *b;
    int order;
} orders[] = {
    {"two ways to say it", "\\u0041\\/", "A/", 0},
    {"shorter first", "\\u0041", "AB", -1},
    {"by bytes, inside a character", "\\u00e4", "\\u00e5", -1},
    {"by bytes, without sign", "\\u00e4", "z", 1},
    {"empty first", "", "\\u0000", -1},
};

static void test_orders(void)
{
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        int order = json_undone_compare(str_of(orders[i].a), str_of(orders[i].b));
        int back = json_undone_compare(str_of(orders[i].b), str_of(orders[i].a));
        CHECK(orders[i].row, (order > 0) - (order < 0) == orders[i].order);
        CHECK(orders[i].row, (back > 0) - (back < 0) == -orders[i].order);
    }
}

int main(void)
{
    test_strings();
    test_every_escape();
    test_orders();
    return CHECK_REPORT();
}
