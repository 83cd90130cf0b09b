/* The writer: commas, nesting, hostile text; and whatever it is given, JSON comes out. */
#include "base/json.h"
#include "check.h"
#include <string.h>

static const struct {
    const char *row;
    struct str in;
    const char *want;
} strings[] = {
    {"plain", {"abc", 3}, "\"abc\""},
    {"empty", {"", 0}, "\"\""},
    {"absent", {NULL, 0}, "null"},
    {"a quote and a backslash", {"a\"b\\c", 5}, "\"a\\\"b\\\\c\""},
    {"a slash stays", {"a/b", 3}, "\"a/b\""},
    {"control characters", {"\0\n\x1F", 3}, "\"\\u0000\\u000a\\u001f\""},
    {"DEL stays", {"\x7F", 1}, "\"\x7F\""},
    {"two to four bytes stay", {"\xC3\xA4\xE6\xB1\x89\xF0\x9F\x98\x80", 9}, "\"\xC3\xA4\xE6\xB1\x89\xF0\x9F\x98\x80\""},
    {"a byte that is no character", {"a\xFFz", 3}, "\"a\xEF\xBF\xBDz\""},
    {"a character cut at the end", {"a\xE6\xB1", 3}, "\"a\xEF\xBF\xBD\xEF\xBF\xBD\""},
    {"a surrogate", {"\xED\xA0\x80", 3}, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
    {"a bad byte after good ones",
     {"0123456789abcdef\xC3\xA4\x80\"", 20},
     "\"0123456789abcdef\xC3\xA4\xEF\xBF\xBD\\\"\""},
};

static void test_strings(void)
{
    for (size_t i = 0; i < COUNT_OF(strings); i++) {
        struct buf b;
        struct json_writer w;
        buf_init(&b, 1024);
        jw_init(&w, &b);
        jw_str(&w, strings[i].in);
        CHECK(strings[i].row, str_eq(buf_str(&b), str_of(strings[i].want)));
        CHECK(strings[i].row, json_check(buf_str(&b), NULL) == OK);
        buf_release(&b);
    }
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            char text[] = {(char)first, (char)second};
            struct buf b;
            struct json_writer w;
            buf_init(&b, 64);
            jw_init(&w, &b);
            jw_str(&w, (struct str){text, sizeof text});
            struct json j;
            struct json_string s;
            json_init(&j, buf_str(&b));
            bool is_read = json_get_string(&j, &s) && json_end(&j) == OK;
            bool is_text = utf8_is_valid((struct bytes){(uint8_t *)text, sizeof text});
            CHECK("any two bytes are JSON", is_read);
            CHECK("and come back if they are text",
                  is_read && (!is_text || json_string_is(s, (struct str){text, sizeof text})));
            buf_release(&b);
        }
    }
}

static void write_all(struct json_writer *w)
{
    jw_open_object(w);
    jw_field_str(w, "s", STR("x"));
    jw_field_str(w, "none", (struct str){NULL, 0});
    jw_field_str_opt(w, "left out", (struct str){NULL, 0});
    jw_field_str_opt(w, "opt", STR(""));
    jw_field_int(w, "n", INT64_MIN);
    jw_field_bool(w, "b", true);
    jw_field_raw(w, "r", STR("[1]"));
    jw_field_raw(w, "rn", (struct str){NULL, 0});
    jw_field_instant(w, "t", (struct instant){0});
    jw_field_instant(w, "tn", INSTANT_NONE);
    jw_key(w, STR("a\"\n"));
    jw_open_array(w);
    jw_int(w, 1);
    jw_open_array(w);
    jw_close_array(w);
    jw_open_object(w);
    jw_close_object(w);
    jw_null(w);
    jw_bool(w, false);
    jw_decimal(w, -1250, 2);
    jw_open_object(w);
    jw_key(w, STR("k"));
    jw_null(w);
    jw_close_object(w);
    jw_raw(w, STR("0"));
    jw_str(w, STR("z"));
    jw_instant(w, (struct instant){1000});
    jw_close_array(w);
    jw_field_int(w, "last", 0);
    jw_close_object(w);
}

static void test_all(void)
{
    static const char want[] =
        "{\"s\":\"x\",\"none\":null,\"opt\":\"\",\"n\":-9223372036854775808,\"b\":true,\"r\":[1],\"rn\":null,"
        "\"t\":\"1970-01-01T00:00:00.000Z\",\"tn\":null,\"a\\\"\\u000a\":[1,[],{},null,false,-12.5,"
        "{\"k\":null},0,\"z\",\"1970-01-01T00:00:00.001Z\"],\"last\":0}";
    struct buf b;
    struct json_writer w;
    buf_init(&b, 4096);
    jw_init(&w, &b);
    write_all(&w);
    CHECK("all kinds, with their commas", str_eq(buf_str(&b), STR(want)) && w.depth == 0);
    CHECK("are JSON", json_check(buf_str(&b), NULL) == OK);
    buf_release(&b);
    for (size_t max = 0; max < sizeof want - 1; max++) {
        buf_init(&b, max);
        jw_init(&w, &b);
        write_all(&w);
        CHECK("without room it fails", b.failed && b.len <= max);
        CHECK("and what is there is its beginning", memcmp(buf_str(&b).at, want, b.len) == 0);
        buf_release(&b);
    }
}

static void test_depth(void)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, 4096);
    jw_init(&w, &b);
    for (int i = 0; i < 64; i++) {
        jw_open_array(&w);
        if (i < 63)
            jw_int(&w, i);
    }
    for (int i = 0; i < 64; i++)
        jw_close_array(&w);
    CHECK("64 deep", str_starts(buf_str(&b), STR("[0,[1,[2,[3,")) && memmem(b.at, b.len, ",[62,[]]", 8) != NULL);
    buf_release(&b);
}

int main(void)
{
    test_strings();
    test_all();
    test_depth();
    return CHECK_REPORT();
}
