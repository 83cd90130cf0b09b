/* What is given is written, in the order of the table. */
#include "check.h"
#include "unit/schema/sample.h"

#include <string.h>

#define BUF_MAX   4096
#define ARENA_MAX 65536

static struct leaf leaf_b = {.name = {"b", 1}};
static struct leaf leaves[] = {{.name = {"c", 1}, .n = {0, true}}, {.name = {NULL, 0}}};
static struct str names[] = {{"d", 1}, {"", 0}};

static const struct {
    const char *row;
    struct sample in;
    const char *want;
} rows[] = {
    {"nothing is given", {.text = {NULL, 0}}, "{}"},
    {"nothing is refused, not even a missing or long text",
     {.note = {"", 0}, .count = {-1, true}},
     "{\"note\":\"\",\"count\":-1}"},
    {"text is quoted", {.text = {"a\"\\\n\xC3\xA4/", 7}}, "{\"text\":\"a\\\"\\\\\\u000a\xC3\xA4/\"}"},
    {"numbers",
     {.big = {INT64_MIN, true}, .delta = {0, true}, .ratio = {"8.10", 4}},
     "{\"big\":-9223372036854775808,\"delta\":0,\"ratio\":8.10}"},
    {"booleans", {.is_on = {false, true}}, "{\"isOn\":false}"},
    {"a time is written as its text", {.since = {{"yesterday", 9}, {0}}}, "{\"since\":\"yesterday\"}"},
    {"a word is written as its text", {.color = {{"blue", 4}, -1}}, "{\"color\":\"blue\"}"},
    {"a part", {.leaf = &leaf_b}, "{\"leaf\":{\"name\":\"b\"}}"},
    {"a list, also of what is empty", {.leaves = {leaves, 2}}, "{\"leaves\":[{\"name\":\"c\",\"n\":0},{}]}"},
    {"an empty list is there", {.leaves = {leaves, 0}, .names = {names, 0}}, "{\"leaves\":[],\"names\":[]}"},
    {"texts", {.names = {names, 2}}, "{\"names\":[\"d\",\"\"]}"},
    {"raw JSON", {.extra = {"[1, 2]", 6}}, "{\"extra\":[1, 2]}"},
};

static void check_helpers(void)
{
    struct arena a, none;
    arena_init(&a, ARENA_MAX);
    arena_init(&none, 0);
    struct stamp s = stamp_of(&a, (struct instant){1500000});
    CHECK("a time to be written", str_eq(s.text, STR("1970-01-01T00:00:01.500Z")) && s.at.us == 1500000);
    s = stamp_of(&a, INSTANT_NONE);
    CHECK("a time that is not set is absent", s.text.at == NULL && !instant_is_set(s.at));
    s = stamp_of(&none, (struct instant){1500000});
    CHECK("a time for which there is no memory is absent", s.text.at == NULL && !instant_is_set(s.at));
    struct word w = choice_word(&mass_choices, MASS_KG);
    CHECK("a word by its constant", str_eq(w.text, STR("kg")) && w.index == MASS_KG);
    CHECK("an integer to be written", integer_of(-3).is_set && integer_of(-3).value == -3);
    CHECK("a boolean to be written", boolean_of(true).is_set && boolean_of(true).value);
    arena_release(&a);
    arena_release(&none);
}

int main(void)
{
    struct buf b;
    buf_init(&b, BUF_MAX);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        buf_clear(&b);
        schema_write(&sample_message, &rows[i].in, &b);
        CHECK(rows[i].row, !b.failed && str_eq(buf_str(&b), str_of(rows[i].want)));
        struct buf small;
        buf_init(&small, strlen(rows[i].want) - 1);
        schema_write(&sample_message, &rows[i].in, &small);
        CHECK("a buffer too small says so", small.failed);
        buf_release(&small);
    }
    buf_release(&b);
    check_helpers();
    return CHECK_REPORT();
}
