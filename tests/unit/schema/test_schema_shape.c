/* Whatever is read with shapes is what is read without: the error, what was bent, the struct to its last pointer. Texts
 * of a few shapes are changed at random places, so that most are nearly what was read before. */
#include "check.h"
#include "unit/dice.h"
#include "unit/schema/sample.h"

#include <stdlib.h>
#include <string.h>

#define BUF_MAX   (1 << 20)
#define ARENA_MAX (1 << 20)
#define CHANGES   3000 /* of each text */

static const char *const texts[] = {
    "{}",
    "null",
    "{\"text\":\"abc\",\"count\":12,\"delta\":-5,\"since\":\"2026-03-01T08:00:00Z\"}",
    "{\"text\":\"abc\",\"count\":  7, \"note\" : \"any text of any length\",\"isOn\":true,\"color\":\"green\"}",
    "{\"big\":123456789012345678,\"ratio\":8.1,\"real\":-1e5,\"unit\":\"kg\",\"extra\":[1,{\"a\":2}],\"text\":\"x\"}",
    "{\"text\":\"abc\",\"leaf\":{\"name\":\"b\",\"n\":3},\"since\":\"2026-03-01T08:00:00.123+02:00\"}",
    "{\"text\":\"a\",\"leaves\":[{\"name\":\"a\",\"n\":1},{\"name\":\"b\",\"n\":2},{\"name\":\"c\"},{\"name\":\"d\","
    "\"n\":4},"
    "{\"name\":\"e\",\"n\":5},{\"name\":\"f\",\"n\":6},{\"name\":\"g\",\"n\":7},{\"name\":\"h\",\"n\":8},{\"name\":"
    "\"i\",\"n\":9}]}",
    "{\"text\":\"a\",\"names\":[\"d\",\"e\"]}",
    "{\"text\":\"a\",\"leaves\":[]}",
    "{\"text\":\"a\",\"unheard\":[1,2],\"delta\":3}",
    "{\"text\":\"a\\nb\",\"note\":\"\xC3\xA4\"}",
    "{\"text\":\"a\",\"note\":\"\",\"delta\":0}",
};

/* Pointers into the text show as places in it. */
static void show(const struct sample *s, struct str json, struct buf *out)
{
    buf_clear(out);
    schema_write(&sample_message, s, out);
    schema_pack(&sample_message, s, json, out);
    buf_printf(out, " %d %d %lld", s->color.index, s->unit.index, (long long)s->since.at.us);
}

static void compare(struct shapes *shapes, struct str json, enum reading how)
{
    char *exact = malloc(json.len + 1); /* of its own, so that the sanitizer sees the very end */
    struct fault with = {{0}, {0}}, without = {{0}, {0}};
    struct sample a, b;
    struct buf x, y;
    struct arena memory;
    check(exact != NULL);
    memcpy(exact, json.at, json.len);
    struct str copy = {exact, json.len};
    arena_init(&memory, ARENA_MAX);
    buf_init(&x, BUF_MAX);
    buf_init(&y, BUF_MAX);
    enum err e = schema_read_shaped(shapes, &sample_message, copy, how, &memory, &a, &with);
    CHECK("the same outcome", e == schema_read(&sample_message, copy, how, &memory, &b, &without));
    CHECK("the same is told", strcmp(with.reason, without.reason) == 0 && strcmp(with.field, without.field) == 0);
    if (e == OK) {
        show(&a, copy, &x);
        show(&b, copy, &y);
        CHECK("the same is read", str_eq(buf_str(&x), buf_str(&y)));
    }
    CHECK("nobody need be told", schema_read_shaped(shapes, &sample_message, copy, how, &memory, &a, NULL) == e);
    buf_release(&x);
    buf_release(&y);
    arena_release(&memory);
    free(exact);
}

/* A digit, letter or sign instead of another, one more, one less, or an end. */
static size_t change(char *text, size_t len)
{
    static const char signs[] = "0123456789 -+.eEabcT:Z\"\\,{}[]\n\xC3";
    size_t at = len == 0 ? 0 : dice(len);
    switch (dice(8)) {
    case 0:
        memmove(text + at + 1, text + at, len - at);
        text[at] = signs[dice(sizeof signs - 1)];
        return len + 1;
    case 1:
        if (len == 0)
            return 0;
        memmove(text + at, text + at + 1, len - at - 1);
        return len - 1;
    case 2:
        return at;
    default:
        if (len > 0 && text[at] >= '0' && text[at] <= '9')
            text[at] = (char)('0' + dice(10));
        else if (len > 0)
            text[at] = signs[dice(sizeof signs - 1)];
        return len;
    }
}

static void check_many_shapes(void)
{
    struct shapes *shapes = shapes_new();
    char text[64];
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 100; i++) {
            int len = snprintf(text, sizeof text, "{\"text\":\"%d\",%*s\"count\":%d}", i, i % 40, "", i + 1);
            compare(shapes, (struct str){text, (size_t)len}, NORMAL);
        }
    shapes_free(shapes);
    shapes_free(NULL);
    compare(NULL, STR("{\"text\":\"a\"}"), STRICT);
}

static void check_bounds(void)
{
    static const char *const bounds[] = {
        "{\"text\":\"a\",\"count\":1}",          "{\"text\":\"a\",\"count\":0}",
        "{\"text\":\"a\",\"count\":2147483647}", "{\"text\":\"a\",\"count\":2147483648}",
        "{\"text\":\"a\",\"count\":-0}",         "{\"text\":\"a\",\"count\":01}",
        "{\"text\":\"a\",\"count\":1.5}",        "{\"text\":\"a\",\"count\":1e1}",
        "{\"text\":\"a\",\"count\":-}",          "{\"text\":\"a\",\"count\":}",
        "{\"text\":\"a\",\"count\":1",           "{\"text\":\"a\",\"count\":123456789012345678901234567890}",
        "{\"text\":\"a\",\"big\":123456789012345678}",  "{\"text\":\"a\",\"big\":1234567890123456789}",
        "{\"text\":\"a\",\"big\":9732232036854775807}", "{\"text\":\"a\",\"big\":-9223372036854775808}",
        "{\"text\":\"abcde\",\"count\":1}",      "{\"text\":\"abcdef\",\"count\":1}",
        "{\"text\":\"\",\"count\":1}",           "{\"text\":\"a\",\"count\":1}}",
        "{\"text\":\"a\",\"count\":1} ",
    };
    struct shapes *shapes = shapes_new();
    for (int how = STRICT; how <= LENIENT; how++)
        for (size_t i = 0; i < COUNT_OF(bounds); i++)
            compare(shapes, str_of(bounds[i]), (enum reading)how);
    shapes_free(shapes);
}

int main(void)
{
    char text[1024];
    check_bounds();
    check_many_shapes();
    for (int how = STRICT; how <= LENIENT; how++) {
        struct shapes *shapes = shapes_new();
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
            compare(shapes, str_of(texts[i]), (enum reading)how);
            for (int n = 0; n < CHANGES; n++) {
                size_t len = strlen(texts[i]);
                memcpy(text, texts[i], len);
                for (size_t times = dice(3); times > 0; times--)
                    len = change(text, len);
                compare(shapes, (struct str){text, len}, (enum reading)how);
            }
        }
        shapes_free(shapes);
    }
    return CHECK_REPORT();
}
