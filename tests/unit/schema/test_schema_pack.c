/* What is packed and unpacked writes the same JSON; what was not packed so is refused, or is a message like any other.
 */
#include "check.h"
#include "unit/schema/sample.h"

#include <stdlib.h>
#include <string.h>

#define BUF_MAX   65536
#define ARENA_MAX (1 << 20)

static const struct {
    const char *row, *json;
    size_t most; /* bytes that it takes packed beside its text */
} rows[] = {
    {"nothing", "{}", 2},
    {"a text", "{\"text\":\"abc\"}", 4},
    {"an empty text is not an absent one", "{\"text\":\"\",\"note\":\"\"}", 6},
    {"a text with an escape is no part of the message", "{\"text\":\"a\\\"b\"}", 6},
    {"numbers", "{\"big\":-9223372036854775808,\"count\":1,\"delta\":-1,\"ratio\":8.1,\"real\":-1e5}", 22},
    {"the largest number", "{\"big\":9223372036854775807,\"delta\":0}", 14},
    {"booleans", "{\"isOn\":false}", 3},
    {"a time", "{\"since\":\"2026-03-01T08:00:00Z\"}", 4},
    {"a word", "{\"color\":\"green\",\"unit\":\"kg\"}", 6},
    {"a word that the list does not have", "{\"unit\":\"stone\"}", 4},
    {"a part", "{\"leaf\":{\"name\":\"b\",\"n\":3}}", 6},
    {"lists", "{\"leaves\":[{\"name\":\"c\",\"n\":0},{\"name\":\"d\"}],\"names\":[\"d\",\"\"]}", 20},
    {"an empty list is not an absent one", "{\"names\":[]}", 3},
    {"raw JSON", "{\"extra\":[1, {\"a\":\"b\"}]}", 4},
    {"out of order", "{\"names\":[\"z\",\"z\"],\"note\":\"later\",\"text\":\"first\"}", 13},
};

struct kit {
    struct arena a;
    struct buf packed, want, got;
};

static void write_again(struct kit *k, const char *row, struct str beside)
{
    uint8_t *exact = mem_new(1, k->packed.len); /* of its own, so that the sanitizer sees the very end */
    struct sample out;
    memcpy(exact, k->packed.at, k->packed.len);
    CHECK(row, schema_unpack(&sample_message, (struct bytes){exact, k->packed.len}, beside, &k->a, &out) == OK);
    buf_clear(&k->got);
    schema_write(&sample_message, &out, &k->got);
    CHECK(row, str_eq(buf_str(&k->got), buf_str(&k->want)));
    struct sample brief;
    struct list_place list;
    struct packed_list again = {.of = out.leaves.at};
    CHECK(row, schema_unpack_brief(&sample_message, (struct bytes){exact, k->packed.len}, beside, &k->a, &brief, &list) == OK);
    buf_clear(&k->got);
    schema_pack_with(&sample_message, &out, beside, out.leaves.at == NULL ? NULL : &again, &k->got);
    CHECK(row, list.bytes.len == again.bytes.len && (list.bytes.at == NULL) == (again.bytes.at == NULL) &&
                   (list.bytes.at == NULL || memcmp(list.bytes.at, again.bytes.at, list.bytes.len) == 0));
    CHECK(row, brief.leaves.at == NULL && brief.names.count == out.names.count && str_eq(brief.extra, out.extra) &&
                   str_eq(brief.note, out.note));
    CHECK(row, out.color.text.at != NULL || out.color.index == -1);
    CHECK(row, out.since.text.at == NULL ? !instant_is_set(out.since.at) : out.since.at.us == 1772352000000000);
    free(exact);
}

/* Cut at every byte, and with every byte changed. */
static void damage(struct kit *k, const char *row, struct str beside)
{
    struct sample out;
    for (size_t n = 0; n < k->packed.len; n++) {
        struct bytes cut = {k->packed.at, n};
        arena_reset(&k->a);
        CHECK(row, schema_unpack(&sample_message, cut, beside, &k->a, &out) == ERR_CORRUPT);
        for (int bit = 0; bit < 8; bit++) {
            k->packed.at[n] ^= (uint8_t)(1u << bit);
            arena_reset(&k->a);
            enum err e =
                schema_unpack(&sample_message, (struct bytes){k->packed.at, k->packed.len}, beside, &k->a, &out);
            buf_clear(&k->got);
            if (e == OK)
                schema_write(&sample_message, &out, &k->got);
            CHECK(row, e == OK || e == ERR_CORRUPT || e == ERR_MEMORY);
            arena_reset(&k->a);
            enum err brief =
                schema_unpack_brief(&sample_message, (struct bytes){k->packed.at, k->packed.len}, beside, &k->a, &out, NULL);
            CHECK(row, brief == OK || (brief == e && e != OK));
            k->packed.at[n] ^= (uint8_t)(1u << bit);
        }
    }
    buf_put_byte(&k->packed, 0);
    arena_reset(&k->a);
    CHECK("nothing may follow", schema_unpack(&sample_message, (struct bytes){k->packed.at, k->packed.len}, beside,
                                              &k->a, &out) == ERR_CORRUPT);
}

static void check_limits(struct kit *k)
{
    struct sample in = {.text = STR("abc")}, out;
    struct arena none;
    struct buf small;
    buf_clear(&k->packed);
    schema_pack(&sample_message, &in, (struct str){NULL, 0}, &k->packed);
    const struct bytes packed = {k->packed.at, k->packed.len};
    CHECK("with nothing beside it, it holds all",
          schema_unpack(&sample_message, packed, STR(""), &k->a, &out) == OK && str_eq(out.text, STR("abc")));
    buf_init(&small, packed.len - 1);
    schema_pack(&sample_message, &in, (struct str){NULL, 0}, &small);
    CHECK("a buffer too small says so", small.failed);
    buf_release(&small);
    struct leaf leaf = {.name = STR("b")};
    in.leaf = &leaf;
    buf_clear(&k->packed);
    schema_pack(&sample_message, &in, (struct str){NULL, 0}, &k->packed);
    arena_init(&none, 0);
    CHECK("without memory", schema_unpack(&sample_message, (struct bytes){k->packed.at, k->packed.len}, STR(""), &none,
                                          &out) == ERR_MEMORY);
    arena_release(&none);
}

int main(void)
{
    struct kit k;
    arena_init(&k.a, ARENA_MAX);
    buf_init(&k.packed, BUF_MAX);
    buf_init(&k.want, BUF_MAX);
    buf_init(&k.got, BUF_MAX);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct str json = str_of(rows[i].json), beside = json;
        struct sample in;
        struct fault why;
        arena_reset(&k.a);
        CHECK(rows[i].row, schema_read(&sample_message, json, LENIENT, &k.a, &in, &why) == OK);
        buf_clear(&k.want);
        schema_write(&sample_message, &in, &k.want);
        buf_clear(&k.packed);
        schema_pack(&sample_message, &in, (struct str){NULL, 0}, &k.packed);
        write_again(&k, rows[i].row, (struct str){NULL, 0});
        buf_clear(&k.packed);
        schema_pack(&sample_message, &in, beside, &k.packed);
        CHECK(rows[i].row, k.packed.len <= rows[i].most);
        write_again(&k, rows[i].row, beside);
        damage(&k, rows[i].row, beside);
    }
    check_limits(&k);
    arena_release(&k.a);
    buf_release(&k.packed);
    buf_release(&k.want);
    buf_release(&k.got);
    return CHECK_REPORT();
}
