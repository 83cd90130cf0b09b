/* Every kind of field, read in the three ways (ocpp16.md 2.4). */
#include "check.h"
#include "unit/schema/sample.h"

#include <string.h>

#define ARENA_MAX (4 << 20)
#define TEXT_MAX  (1 << 20)
#define ROOM_STEP 64

/* What is read is written again: the texts are compared. A row without taken is taken as it stands. */
static const struct {
    const char *row, *json;
    enum err strict, normal, lenient;
    const char *field; /* that *why names when it is refused, or when LENIENT bends it; NULL: nothing is said */
    const char *taken;
} rows[] = {
    {"the least there can be", "{\"text\":\"a\"}", OK, OK, OK, NULL, NULL},
    {"blanks between everything", " { \"text\" : \"a\" ,\n\"count\":\t2 } ", OK, OK, OK, NULL,
     "{\"text\":\"a\",\"count\":2}"},
    {"members in another order", "{\"since\":\"2026-03-01T09:00:00Z\",\"count\":1,\"text\":\"a\"}", OK, OK, OK, NULL,
     "{\"text\":\"a\",\"count\":1,\"since\":\"2026-03-01T09:00:00Z\"}"},
    {"null is the empty payload", "null", ERR_MISSING, ERR_MISSING, OK, "text", "{}"},

    {"nothing at all", "", ERR_FORMAT, ERR_FORMAT, ERR_FORMAT, "", NULL},
    {"not JSON", "{\"text\":\"a\"", ERR_FORMAT, ERR_FORMAT, ERR_FORMAT, "", NULL},
    {"not JSON inside", "{\"text\":a}", ERR_FORMAT, ERR_FORMAT, ERR_FORMAT, "text", NULL},
    {"not JSON in an item", "{\"text\":\"a\",\"names\":[\"a\",]}", ERR_FORMAT, ERR_FORMAT, ERR_FORMAT, "names[1]",
     NULL},
    {"not JSON in what is passed over", "{\"text\":\"a\",\"x\":[}", ERR_UNKNOWN, ERR_FORMAT, ERR_FORMAT, "x", NULL},
    {"not JSON in what is left out", "{\"text\":{]", ERR_FORMAT, ERR_FORMAT, ERR_FORMAT, "text", NULL},
    {"something follows", "{\"text\":\"a\"} {}", ERR_FORMAT, ERR_FORMAT, ERR_FORMAT, "", NULL},
    {"an array", "[]", ERR_FORMAT, ERR_FORMAT, ERR_FORMAT, "", NULL},
    {"a string", "\"text\"", ERR_FORMAT, ERR_FORMAT, ERR_FORMAT, "", NULL},
    {"a word that is nearly null", "nul", ERR_FORMAT, ERR_FORMAT, ERR_FORMAT, "", NULL},

    {"a repeated key", "{\"text\":\"a\",\"text\":\"b\"}", ERR_FORMAT, ERR_FORMAT, ERR_FORMAT, "text", NULL},
    {"a key repeated with an escape", "{\"text\":\"a\",\"\\u0074ext\":\"b\"}", ERR_FORMAT, ERR_FORMAT, ERR_FORMAT,
     "text", NULL},
    {"a key repeated after null", "{\"text\":\"a\",\"count\":null,\"count\":3}", ERR_TYPE, ERR_FORMAT, ERR_FORMAT,
     "count", NULL},
    {"a repeated unknown key", "{\"text\":\"a\",\"x\":1,\"y\":2,\"x\":3}", ERR_UNKNOWN, ERR_FORMAT, ERR_FORMAT, "x",
     NULL},
    {"an unknown key repeated with an escape", "{\"text\":\"a\",\"\\u0078\":1,\"y\":2,\"x\":3}", ERR_UNKNOWN,
     ERR_FORMAT, ERR_FORMAT, "x", NULL},
    {"a repeated key in a part", "{\"text\":\"a\",\"leaf\":{\"name\":\"a\",\"name\":\"a\"}}", ERR_FORMAT, ERR_FORMAT,
     ERR_FORMAT, "leaf.name", NULL},
    {"a repeated key in what is taken raw", "{\"text\":\"a\",\"extra\":{\"x\":1,\"x\":1}}", ERR_FORMAT, ERR_FORMAT,
     ERR_FORMAT, "extra", NULL},

    {"an unknown member", "{\"x\":{\"y\":[1]},\"text\":\"a\"}", ERR_UNKNOWN, OK, OK, "x", "{\"text\":\"a\"}"},
    {"an unknown member in an item", "{\"text\":\"a\",\"leaves\":[{\"name\":\"a\"},{\"name\":\"b\",\"x\":0}]}",
     ERR_UNKNOWN, OK, OK, "leaves[1].x", "{\"text\":\"a\",\"leaves\":[{\"name\":\"a\"},{\"name\":\"b\"}]}"},
    {"a key in capitals is another key", "{\"Text\":\"a\",\"text\":\"b\"}", ERR_UNKNOWN, OK, OK, "Text",
     "{\"text\":\"b\"}"},
    {"an empty key", "{\"\":\"a\",\"text\":\"b\"}", ERR_UNKNOWN, OK, OK, "", "{\"text\":\"b\"}"},
    {"an escaped key", "{\"\\u0074ext\":\"a\"}", OK, OK, OK, NULL, "{\"text\":\"a\"}"},
    {"a key of nothing but escapes",
     "{\"text\":\"a\",\"\\u006c\\u0065\\u0061\\u0076\\u0065\\u0073\":[{\"name\":\"a\"}]}", OK, OK, OK, NULL,
     "{\"text\":\"a\",\"leaves\":[{\"name\":\"a\"}]}"},

    {"a required field is missing", "{}", ERR_MISSING, ERR_MISSING, OK, "text", "{}"},
    {"a required field is null", "{\"text\":null}", ERR_TYPE, ERR_MISSING, OK, "text", "{}"},
    {"a required field of a part is missing", "{\"text\":\"a\",\"leaf\":{\"n\":1}}", ERR_MISSING, ERR_MISSING, OK,
     "leaf.name", NULL},
    {"a required field of an item is missing", "{\"text\":\"a\",\"leaves\":[{\"name\":\"a\"},{}]}", ERR_MISSING,
     ERR_MISSING, OK, "leaves[1].name", NULL},
    {"an optional field is null", "{\"text\":\"a\",\"leaf\":null}", ERR_TYPE, OK, OK, NULL, "{\"text\":\"a\"}"},

    {"text of the greatest length", "{\"text\":\"abcde\"}", OK, OK, OK, NULL, NULL},
    {"a length is of characters, not bytes",
     "{\"text\":\"\xC3\xA4\xE5\x85\x85\xF0\x9F\x94\x8B"
     "de\"}",
     OK, OK, OK, NULL, NULL},
    {"text too long", "{\"text\":\"abcdef\"}", ERR_RANGE, ERR_RANGE, OK, "text", NULL},
    {"text too long by characters",
     "{\"text\":\"\xC3\xA4\xE5\x85\x85\xF0\x9F\x94\x8B"
     "def\"}",
     ERR_RANGE, ERR_RANGE, OK, "text", NULL},
    {"escapes count as what they say", "{\"text\":\"\\u0061\\n\\\"\\\\\\u00e4\"}", OK, OK, OK, NULL,
     "{\"text\":\"a\\u000a\\\"\\\\\xC3\xA4\"}"},
    {"empty text is there", "{\"text\":\"\"}", OK, OK, OK, NULL, NULL},
    {"text without limit", "{\"text\":\"a\",\"note\":\"a long note is no trouble at all\"}", OK, OK, OK, NULL, NULL},
    {"a number for text", "{\"text\":12.50}", ERR_TYPE, ERR_TYPE, OK, "text", "{\"text\":\"12.50\"}"},
    {"true for text", "{\"text\":true}", ERR_TYPE, ERR_TYPE, OK, "text", "{\"text\":\"true\"}"},
    {"an object for text", "{\"text\":{\"a\":1}}", ERR_TYPE, ERR_TYPE, OK, "text", "{}"},
    {"an array for text", "{\"text\":[\"a\"]}", ERR_TYPE, ERR_TYPE, OK, "text", "{}"},

    {"an integer", "{\"text\":\"a\",\"delta\":-7}", OK, OK, OK, NULL, NULL},
    {"an integer with a point", "{\"text\":\"a\",\"delta\":2.0}", OK, OK, OK, NULL, "{\"text\":\"a\",\"delta\":2}"},
    {"an integer with an exponent", "{\"text\":\"a\",\"delta\":2e2}", OK, OK, OK, NULL,
     "{\"text\":\"a\",\"delta\":200}"},
    {"the greatest of 32 bits", "{\"text\":\"a\",\"delta\":2147483647}", OK, OK, OK, NULL, NULL},
    {"the least of 32 bits", "{\"text\":\"a\",\"delta\":-2147483648}", OK, OK, OK, NULL, NULL},
    {"more than 32 bits", "{\"text\":\"a\",\"delta\":2147483648}", ERR_RANGE, ERR_RANGE, OK, "delta",
     "{\"text\":\"a\"}"},
    {"less than 32 bits", "{\"text\":\"a\",\"delta\":-2147483649}", ERR_RANGE, ERR_RANGE, OK, "delta",
     "{\"text\":\"a\"}"},
    {"the greatest of 64 bits", "{\"text\":\"a\",\"big\":9223372036854775807}", OK, OK, OK, NULL, NULL},
    {"more than 64 bits", "{\"text\":\"a\",\"big\":9223372036854775808}", ERR_RANGE, ERR_RANGE, OK, "big",
     "{\"text\":\"a\"}"},
    {"less than its least", "{\"text\":\"a\",\"count\":0}", ERR_RANGE, ERR_RANGE, OK, "count", NULL},
    {"less than its least, 64 bits", "{\"text\":\"a\",\"big\":-1}", ERR_RANGE, ERR_RANGE, OK, "big", NULL},
    {"a fraction is rounded up", "{\"text\":\"a\",\"delta\":7.5}", ERR_TYPE, ERR_TYPE, OK, "delta",
     "{\"text\":\"a\",\"delta\":8}"},
    {"a fraction is rounded down", "{\"text\":\"a\",\"delta\":7.49}", ERR_TYPE, ERR_TYPE, OK, "delta",
     "{\"text\":\"a\",\"delta\":7}"},
    {"a negative fraction", "{\"text\":\"a\",\"delta\":-7.5}", ERR_TYPE, ERR_TYPE, OK, "delta",
     "{\"text\":\"a\",\"delta\":-8}"},
    {"a number as text", "{\"text\":\"a\",\"delta\":\"17\"}", ERR_TYPE, ERR_TYPE, OK, "delta",
     "{\"text\":\"a\",\"delta\":17}"},
    {"a fraction as text", "{\"text\":\"a\",\"delta\":\"17.6\"}", ERR_TYPE, ERR_TYPE, OK, "delta",
     "{\"text\":\"a\",\"delta\":18}"},
    {"a number as text out of range", "{\"text\":\"a\",\"delta\":\"9223372036854775807\"}", ERR_TYPE, ERR_TYPE, OK,
     "delta", "{\"text\":\"a\"}"},
    {"no number in the text", "{\"text\":\"a\",\"delta\":\"17 kWh\"}", ERR_TYPE, ERR_TYPE, OK, "delta",
     "{\"text\":\"a\"}"},
    {"empty text for a number", "{\"text\":\"a\",\"delta\":\"\"}", ERR_TYPE, ERR_TYPE, OK, "delta", "{\"text\":\"a\"}"},
    {"true for a number", "{\"text\":\"a\",\"delta\":true}", ERR_TYPE, ERR_TYPE, OK, "delta", "{\"text\":\"a\"}"},
    {"an object for a number", "{\"text\":\"a\",\"delta\":{}}", ERR_TYPE, ERR_TYPE, OK, "delta", "{\"text\":\"a\"}"},

    {"a decimal stays as written", "{\"text\":\"a\",\"ratio\":8.10}", OK, OK, OK, NULL, NULL},
    {"a decimal without a point", "{\"text\":\"a\",\"ratio\":16}", OK, OK, OK, NULL, NULL},
    {"too many digits", "{\"text\":\"a\",\"ratio\":8.15}", ERR_RANGE, ERR_RANGE, OK, "ratio", NULL},
    {"any number of digits", "{\"text\":\"a\",\"real\":8.153125}", OK, OK, OK, NULL, NULL},
    {"a decimal beyond integers", "{\"text\":\"a\",\"real\":1e300}", OK, OK, OK, NULL, NULL},
    {"a decimal as text", "{\"text\":\"a\",\"ratio\":\"8.1\"}", ERR_TYPE, ERR_TYPE, OK, "ratio",
     "{\"text\":\"a\",\"ratio\":8.1}"},
    {"no decimal in the text", "{\"text\":\"a\",\"ratio\":\"8,1\"}", ERR_TYPE, ERR_TYPE, OK, "ratio",
     "{\"text\":\"a\"}"},
    {"text that C would read as a number", "{\"text\":\"a\",\"ratio\":\"+8.1\"}", ERR_TYPE, ERR_TYPE, OK, "ratio",
     "{\"text\":\"a\"}"},
    {"text that JSON does not allow as a number", "{\"text\":\"a\",\"ratio\":\"08.1\"}", ERR_TYPE, ERR_TYPE, OK,
     "ratio", "{\"text\":\"a\"}"},
    {"a decimal with more digits than we count", "{\"text\":\"a\",\"ratio\":1e300}", OK, OK, OK, NULL, NULL},
    {"a list for a decimal", "{\"text\":\"a\",\"ratio\":[]}", ERR_TYPE, ERR_TYPE, OK, "ratio", "{\"text\":\"a\"}"},

    {"true", "{\"text\":\"a\",\"isOn\":true}", OK, OK, OK, NULL, NULL},
    {"false", "{\"text\":\"a\",\"isOn\":false}", OK, OK, OK, NULL, NULL},
    {"false as text", "{\"text\":\"a\",\"isOn\":\"False\"}", ERR_TYPE, ERR_TYPE, OK, "isOn",
     "{\"text\":\"a\",\"isOn\":false}"},
    {"true as text", "{\"text\":\"a\",\"isOn\":\"true\"}", ERR_TYPE, ERR_TYPE, OK, "isOn",
     "{\"text\":\"a\",\"isOn\":true}"},
    {"other text for a boolean", "{\"text\":\"a\",\"isOn\":\"yes\"}", ERR_TYPE, ERR_TYPE, OK, "isOn",
     "{\"text\":\"a\"}"},
    {"a number for a boolean", "{\"text\":\"a\",\"isOn\":1}", ERR_TYPE, ERR_TYPE, OK, "isOn", "{\"text\":\"a\"}"},
    {"a word that is nearly true", "{\"text\":\"a\",\"isOn\":trua}", ERR_FORMAT, ERR_FORMAT, ERR_FORMAT, "isOn", NULL},

    {"a time with offset and fraction", "{\"text\":\"a\",\"since\":\"2026-03-01T10:00:01.250+01:00\"}", OK, OK, OK,
     NULL, NULL},
    {"a time without a zone", "{\"text\":\"a\",\"since\":\"2026-03-01T10:00:01\"}", ERR_RANGE, OK, OK, "since", NULL},
    {"a time with a blank", "{\"text\":\"a\",\"since\":\"2026-03-01 10:00:01Z\"}", ERR_RANGE, OK, OK, "since", NULL},
    {"no time: startSchedule \"0\" in the field", "{\"text\":\"a\",\"since\":\"0\"}", ERR_RANGE, ERR_RANGE, OK, "since",
     NULL},
    {"an empty time", "{\"text\":\"a\",\"since\":\"\"}", ERR_RANGE, ERR_RANGE, OK, "since", NULL},
    {"a day that is none", "{\"text\":\"a\",\"since\":\"2026-02-30T10:00:01Z\"}", ERR_RANGE, ERR_RANGE, OK, "since",
     NULL},
    {"a number for a time", "{\"text\":\"a\",\"since\":1772355600}", ERR_TYPE, ERR_TYPE, OK, "since",
     "{\"text\":\"a\",\"since\":\"1772355600\"}"},
    {"a list for a time", "{\"text\":\"a\",\"since\":[]}", ERR_TYPE, ERR_TYPE, OK, "since", "{\"text\":\"a\"}"},

    {"a word of the list", "{\"text\":\"a\",\"color\":\"green\"}", OK, OK, OK, NULL, NULL},
    {"a word of the list, escaped", "{\"text\":\"a\",\"color\":\"gr\\u0065en\"}", OK, OK, OK, NULL,
     "{\"text\":\"a\",\"color\":\"green\"}"},
    {"a word in capitals", "{\"text\":\"a\",\"color\":\"Green\"}", ERR_RANGE, ERR_RANGE, OK, "color", NULL},
    {"an unknown word", "{\"text\":\"a\",\"color\":\"blue\"}", ERR_RANGE, ERR_RANGE, OK, "color", NULL},
    {"an empty word", "{\"text\":\"a\",\"color\":\"\"}", ERR_RANGE, ERR_RANGE, OK, "color", NULL},
    {"an unknown word for an open list", "{\"text\":\"a\",\"unit\":\"Hz\"}", ERR_RANGE, OK, OK, "unit", NULL},
    {"a number for a word", "{\"text\":\"a\",\"unit\":1}", ERR_TYPE, ERR_TYPE, OK, "unit",
     "{\"text\":\"a\",\"unit\":\"1\"}"},
    {"an object for a word", "{\"text\":\"a\",\"unit\":{}}", ERR_TYPE, ERR_TYPE, OK, "unit", "{\"text\":\"a\"}"},

    {"a part", "{\"text\":\"a\",\"leaf\":{\"name\":\"b\",\"n\":0}}", OK, OK, OK, NULL, NULL},
    {"a field of a part", "{\"text\":\"a\",\"leaf\":{\"name\":\"abcd\"}}", ERR_RANGE, ERR_RANGE, OK, "leaf.name", NULL},
    {"text for a part", "{\"text\":\"a\",\"leaf\":\"b\"}", ERR_TYPE, ERR_TYPE, OK, "leaf", "{\"text\":\"a\"}"},
    {"a list for a part", "{\"text\":\"a\",\"leaf\":[{\"name\":\"b\"}]}", ERR_TYPE, ERR_TYPE, OK, "leaf",
     "{\"text\":\"a\"}"},

    {"a list", "{\"text\":\"a\",\"leaves\":[{\"name\":\"b\"},{\"name\":\"c\",\"n\":3}]}", OK, OK, OK, NULL, NULL},
    {"a list longer than its first room",
     "{\"text\":\"a\",\"names\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]}", OK, OK, OK, NULL, NULL},
    {"too few items", "{\"text\":\"a\",\"leaves\":[]}", ERR_MISSING, ERR_MISSING, OK, "leaves", NULL},
    {"an object for a list", "{\"text\":\"a\",\"leaves\":{\"name\":\"b\"}}", ERR_TYPE, ERR_TYPE, OK, "leaves",
     "{\"text\":\"a\"}"},
    {"text among the items", "{\"text\":\"a\",\"leaves\":[{\"name\":\"b\"},\"c\",{\"name\":\"d\"}]}", ERR_TYPE,
     ERR_TYPE, OK, "leaves[1]", "{\"text\":\"a\",\"leaves\":[{\"name\":\"b\"},{\"name\":\"d\"}]}"},
    {"null among the items", "{\"text\":\"a\",\"leaves\":[null,{\"name\":\"d\"}]}", ERR_TYPE, ERR_TYPE, OK, "leaves[0]",
     "{\"text\":\"a\",\"leaves\":[{\"name\":\"d\"}]}"},
    {"a wrong field in an item", "{\"text\":\"a\",\"leaves\":[{\"name\":\"b\"},{\"name\":\"c\",\"n\":-1}]}", ERR_RANGE,
     ERR_RANGE, OK, "leaves[1].n", NULL},

    {"texts", "{\"text\":\"a\",\"names\":[\"a\",\"\",\"abc\"]}", OK, OK, OK, NULL, NULL},
    {"no texts", "{\"text\":\"a\",\"names\":[]}", OK, OK, OK, NULL, NULL},
    {"a text too long", "{\"text\":\"a\",\"names\":[\"a\",\"abcd\"]}", ERR_RANGE, ERR_RANGE, OK, "names[1]", NULL},
    {"a number among texts", "{\"text\":\"a\",\"names\":[17]}", ERR_TYPE, ERR_TYPE, OK, "names[0]",
     "{\"text\":\"a\",\"names\":[\"17\"]}"},
    {"null among texts", "{\"text\":\"a\",\"names\":[\"a\",null,\"b\"]}", ERR_TYPE, ERR_TYPE, OK, "names[1]",
     "{\"text\":\"a\",\"names\":[\"a\",\"b\"]}"},
    {"text for texts", "{\"text\":\"a\",\"names\":\"a\"}", ERR_TYPE, ERR_TYPE, OK, "names", "{\"text\":\"a\"}"},

    {"any text", "{\"text\":\"a\",\"extra\":\"x\\ny\"}", OK, OK, OK, NULL, NULL},
    {"any object", "{\"text\":\"a\",\"extra\":{\"x\": [1, {}]}}", OK, OK, OK, NULL, NULL},
    {"any number", "{\"text\":\"a\",\"extra\":1e400}", OK, OK, OK, NULL, NULL},
    {"no JSON for any", "{\"text\":\"a\",\"extra\":{\"x\"}}", ERR_FORMAT, ERR_FORMAT, ERR_FORMAT, "extra", NULL},

    {"only the first thing that was bent is told", "{\"delta\":1.5,\"text\":17}", ERR_TYPE, ERR_TYPE, OK, "delta",
     "{\"text\":\"17\",\"delta\":2}"},
    {"a refusal is told, whatever was bent before", "{\"delta\":1.5,\"leaf\":}", ERR_TYPE, ERR_TYPE, ERR_FORMAT, NULL,
     NULL},
};

static void check_row(size_t i, enum reading how, enum err want, struct arena *a, struct buf *text)
{
    struct sample s;
    struct fault why;
    arena_reset(a);
    buf_clear(text);
    memset(&s, 0xA5, sizeof s);
    memset(&why, 0xA5, sizeof why);
    enum err got = schema_read(&sample_message, str_of(rows[i].json), how, a, &s, &why);
    CHECK(rows[i].row, got == want);
    if (got != OK) {
        CHECK(rows[i].row, why.reason[0] != '\0');
        CHECK(rows[i].row, rows[i].field == NULL || how != NORMAL || strcmp(why.field, rows[i].field) == 0);
        return;
    }
    if (how == LENIENT) {
        CHECK(rows[i].row, (why.reason[0] != '\0') == (rows[i].field != NULL));
        CHECK(rows[i].row, strcmp(why.field, rows[i].field == NULL ? "" : rows[i].field) == 0);
    } else {
        CHECK(rows[i].row, why.reason[0] == '\0' && why.field[0] == '\0');
    }
    schema_write(&sample_message, &s, text);
    CHECK(rows[i].row, str_eq(buf_str(text), str_of(rows[i].taken == NULL ? rows[i].json : rows[i].taken)));
    struct sample other; /* nobody asks why: the outcome is the same */
    CHECK(rows[i].row, schema_read(&sample_message, str_of(rows[i].json), how, a, &other, NULL) == OK);
}

static void check_values(struct arena *a)
{
    static const char row[] = "what is read is in the struct";
    struct sample s;
    CHECK(row, schema_read(&sample_message,
                           STR("{\"text\":\"a\",\"big\":5000000000,\"count\":3,\"ratio\":8.1,\"isOn\":false,"
                               "\"since\":\"1970-01-01T00:00:01Z\",\"color\":\"green\",\"unit\":\"kg\",\"leaf\":{"
                               "\"name\":\"l\"},\"leaves\":[{\"name\":\"x\"},{\"name\":\"y\"}],\"names\":[\"z\"],"
                               "\"extra\":\"e\"}"),
                           STRICT, a, &s, NULL) == OK);
    CHECK(row, str_eq(s.text, STR("a")) && s.note.at == NULL);
    CHECK(row, s.big.is_set && s.big.value == 5000000000 && s.count.value == 3 && !s.delta.is_set);
    CHECK(row, str_eq(s.ratio, STR("8.1")) && s.real.at == NULL);
    CHECK(row, s.is_on.is_set && !s.is_on.value);
    CHECK(row, s.since.at.us == 1000000 && str_eq(s.since.text, STR("1970-01-01T00:00:01Z")));
    CHECK(row, s.color.index == 1 && s.unit.index == MASS_KG);
    CHECK(row, s.leaf != NULL && str_eq(s.leaf->name, STR("l")) && !s.leaf->n.is_set);
    CHECK(row, s.leaves.count == 2 && str_eq(s.leaves.at[1].name, STR("y")));
    CHECK(row, s.names.count == 1 && str_eq(s.names.at[0], STR("z")));
    CHECK(row, str_eq(s.extra, STR("\"e\"")));
}

static void check_absent(struct arena *a)
{
    static const char row[] = "what is absent says so";
    struct sample s;
    memset(&s, 0xA5, sizeof s);
    CHECK(row, schema_read(&sample_message, STR("{\"text\":\"a\",\"unit\":\"lb\"}"), NORMAL, a, &s, NULL) == OK);
    CHECK(row, s.note.at == NULL && !s.big.is_set && !s.count.is_set && s.ratio.at == NULL && !s.is_on.is_set);
    CHECK(row, s.since.text.at == NULL && !instant_is_set(s.since.at));
    CHECK(row, s.color.text.at == NULL && s.color.index == color_none);
    CHECK(row, str_eq(s.unit.text, STR("lb")) && s.unit.index == mass_none);
    CHECK(row, s.leaf == NULL && s.leaves.at == NULL && s.names.at == NULL && s.extra.at == NULL);
    CHECK(row, schema_read(&sample_message, STR("{\"since\":\"soon\"}"), LENIENT, a, &s, NULL) == OK);
    CHECK(row, str_eq(s.since.text, STR("soon")) && !instant_is_set(s.since.at));
}

/* {"text":"a","names":["b","b",...]} with so many items. */
static void put_items(struct buf *b, size_t count)
{
    buf_clear(b);
    buf_put_lit(b, "{\"text\":\"a\",\"names\":[");
    for (size_t i = 0; i < count; i++)
        buf_put_str(b, i == 0 ? STR("\"b\"") : STR(",\"b\""));
    buf_put_lit(b, "]}");
}

static void check_items(struct arena *a, struct buf *b)
{
    struct sample s;
    struct fault why;
    put_items(b, SCHEMA_ITEMS_MAX);
    CHECK("as many items as we take", schema_read(&sample_message, buf_str(b), STRICT, a, &s, &why) == OK);
    CHECK("as many items as we take", s.names.count == SCHEMA_ITEMS_MAX);
    put_items(b, SCHEMA_ITEMS_MAX + 2);
    CHECK("too many items", schema_read(&sample_message, buf_str(b), NORMAL, a, &s, &why) == ERR_LIMIT);
    CHECK("too many items", strcmp(why.field, "names[4096]") == 0);
    CHECK("too many items in LENIENT", schema_read(&sample_message, buf_str(b), LENIENT, a, &s, &why) == OK);
    CHECK("too many items in LENIENT", s.names.count == SCHEMA_ITEMS_MAX && strcmp(why.field, "names[4096]") == 0);
    b->at[b->len - 3] = 'c'; /* where the last item's quote closes */
    CHECK("what is past the limit is checked too",
          schema_read(&sample_message, buf_str(b), LENIENT, a, &s, &why) == ERR_FORMAT);
}

static void check_unknowns(struct arena *a, struct buf *b)
{
    static const char row[] = "so many unknown members are watched for repetition";
    for (size_t watched = SCHEMA_UNKNOWN_MAX; watched <= SCHEMA_UNKNOWN_MAX + 1; watched++) {
        struct sample s;
        buf_clear(b);
        buf_put_lit(b, "{\"text\":\"a\"");
        for (size_t i = 0; i < watched; i++)
            buf_printf(b, ",\"x%zu\":0", i);
        buf_printf(b, ",\"x%zu\":0}", watched - 1);
        enum err want = watched == SCHEMA_UNKNOWN_MAX ? ERR_FORMAT : OK;
        CHECK(row, schema_read(&sample_message, buf_str(b), NORMAL, a, &s, NULL) == want);
    }
}

/* The first piece of memory is refused, then the second, and so on until all are given. */
static void check_memory(void)
{
    static const char row[] = "an arena too small is said";
    static const char json[] =
        "{\"text\":\"\\u0061\",\"leaf\":{\"name\":\"a\"},\"leaves\":[{\"name\":\"a\"},{\"name\":\"b\"},"
        "{\"name\":\"c\"},{\"name\":\"d\"},{\"name\":\"e\"}],\"names\":[\"a\"],\"\\u0078\":0}";
    size_t refused = 0;
    for (size_t max = 0; max < TEXT_MAX; max += ROOM_STEP) {
        struct arena a;
        struct sample s;
        struct fault why;
        arena_init(&a, max);
        enum err e = schema_read(&sample_message, str_of(json), LENIENT, &a, &s, &why);
        arena_release(&a);
        refused += e == ERR_MEMORY && why.reason[0] != '\0';
        CHECK(row, e == OK || e == ERR_MEMORY);
        if (e == OK)
            break;
    }
    CHECK(row, refused >= 1);
}

static void check_value(struct arena *a)
{
    static const char row[] = "a value in the middle of a text is taken, and no more";
    struct json j;
    struct leaf leaf;
    json_init(&j, STR("[{\"name\":\"a\"},{\"name\":17},9]"));
    CHECK(row, json_open_array(&j) && json_next_item(&j));
    CHECK(row, schema_read_value(&leaf_message, &j, STRICT, a, &leaf, NULL) == OK && str_eq(leaf.name, STR("a")));
    CHECK(row, json_next_item(&j));
    CHECK(row, schema_read_value(&leaf_message, &j, LENIENT, a, &leaf, NULL) == OK && str_eq(leaf.name, STR("17")));
    CHECK(row, json_next_item(&j) && json_skip(&j) && !json_next_item(&j) && json_end(&j) == OK);
}

static void check_empty(struct arena *a)
{
    static const char row[] = "a message without fields";
    struct nothing n;
    CHECK(row, schema_read(&nothing_message, STR("{}"), STRICT, a, &n, NULL) == OK);
    CHECK(row, schema_read(&nothing_message, STR("null"), STRICT, a, &n, NULL) == OK);
    CHECK(row, schema_read(&nothing_message, STR("{\"a\":1}"), STRICT, a, &n, NULL) == ERR_UNKNOWN);
    CHECK(row, schema_read(&nothing_message, STR("{\"a\":1}"), NORMAL, a, &n, NULL) == OK);
    CHECK(row, schema_read(&nothing_message, STR("[]"), LENIENT, a, &n, NULL) == ERR_FORMAT);
}

static const struct {
    const char *row, *word;
    int want;
} words[] = {
    {"the first word", "red", 0},
    {"the last word", "green", 1},
    {"a beginning of a word", "gree", -1},
    {"a word and more", "greens", -1},
    {"same length, other end", "greem", -1},
    {"same length, other middle", "grxen", -1},
    {"same length, other beginning", "Green", -1},
    {"the empty word", "", -1},
};

int main(void)
{
    struct arena a;
    struct buf b;
    arena_init(&a, ARENA_MAX);
    buf_init(&b, TEXT_MAX);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(i, STRICT, rows[i].strict, &a, &b);
        check_row(i, NORMAL, rows[i].normal, &a, &b);
        check_row(i, LENIENT, rows[i].lenient, &a, &b);
    }
    for (size_t i = 0; i < COUNT_OF(words); i++)
        CHECK(words[i].row, choice_find(&color_choices, str_of(words[i].word)) == words[i].want);
    check_values(&a);
    check_absent(&a);
    check_items(&a, &b);
    check_unknowns(&a, &b);
    check_memory();
    check_value(&a);
    check_empty(&a);
    arena_release(&a);
    buf_release(&b);
    return CHECK_REPORT();
}
