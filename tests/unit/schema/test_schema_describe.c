/* The same table as JSON Schema and as a page. */
#include "check.h"
#include "unit/schema/sample.h"

#define BUF_MAX (1 << 16)

#define LEAF_MEMBERS                                                      \
    "\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":3},"     \
    "\"n\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":2147483647}}," \
    "\"required\":[\"name\"],\"additionalProperties\":false}"

static const struct {
    const char *row;
    const struct message *message;
    const char *schema, *page;
} rows[] = {
    {"every kind of field", &sample_message,
     "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Sample\",\"type\":\"object\","
     "\"properties\":{"
     "\"text\":{\"type\":\"string\",\"maxLength\":5},"
     "\"note\":{\"type\":\"string\"},"
     "\"big\":{\"type\":\"integer\",\"minimum\":0},"
     "\"count\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":2147483647},"
     "\"delta\":{\"type\":\"integer\",\"minimum\":-2147483648,\"maximum\":2147483647},"
     "\"ratio\":{\"type\":\"number\",\"multipleOf\":0.1},"
     "\"real\":{\"type\":\"number\"},"
     "\"isOn\":{\"type\":\"boolean\"},"
     "\"since\":{\"type\":\"string\",\"format\":\"date-time\"},"
     "\"color\":{\"type\":\"string\",\"enum\":[\"red\",\"green\"]},"
     "\"unit\":{\"type\":\"string\",\"enum\":[\"g\",\"kg\"]},"
     "\"leaf\":{\"type\":\"object\",\"title\":\"Leaf\"," LEAF_MEMBERS ","
     "\"leaves\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":4096,"
     "\"items\":{\"title\":\"Leaf\",\"type\":\"object\"," LEAF_MEMBERS "},"
     "\"names\":{\"type\":\"array\",\"maxItems\":4096,\"items\":{\"type\":\"string\",\"maxLength\":3}},"
     "\"extra\":{}},"
     "\"required\":[\"text\"],\"additionalProperties\":false}",
     "| field | type | required | limits |\n"
     "|---|---|---|---|\n"
     "| `text` | text | yes | at most 5 characters |\n"
     "| `note` | text | no |  |\n"
     "| `big` | integer | no | at least 0 |\n"
     "| `count` | integer | no | at least 1 |\n"
     "| `delta` | integer | no |  |\n"
     "| `ratio` | decimal | no | at most 1 digit after the point |\n"
     "| `real` | decimal | no |  |\n"
     "| `isOn` | boolean | no |  |\n"
     "| `since` | date and time | no |  |\n"
     "| `color` | word | no | `red`, `green` |\n"
     "| `unit` | word | no | `g`, `kg`; others are taken |\n"
     "| `leaf` | Leaf | no |  |\n"
     "| `leaf.name` | text | yes | at most 3 characters |\n"
     "| `leaf.n` | integer | no | at least 0 |\n"
     "| `leaves` | Leaf[] | no | at least 1 item |\n"
     "| `leaves[].name` | text | yes | at most 3 characters |\n"
     "| `leaves[].n` | integer | no | at least 0 |\n"
     "| `names` | text[] | no | at most 3 characters each |\n"
     "| `extra` | any JSON | no |  |\n"},
    {"no field", &nothing_message,
     "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Nothing\",\"type\":\"object\","
     "\"properties\":{},\"additionalProperties\":false}",
     "_Empty object `{}`._\n"},
};

static int64_t seven(const struct field *f)
{
    return f->kind == KIND_INT32 ? 7 : INT64_MAX;
}

/* Fields as part of another document, by who reads them. */
static const struct {
    const char *row;
    struct schema_view view;
    const char *member, *schema;
} views[] = {
    {"a number that is taken has the greatest value that is asked for",
     {false, seven},
     "count",
     "{\"type\":\"integer\",\"minimum\":1,\"maximum\":7}"},
    {"or none", {false, seven}, "big", "{\"type\":\"integer\",\"minimum\":0}"},
    {"one that is given has none", {true, seven}, "count", "{\"type\":[\"integer\",\"null\"],\"minimum\":1}"},
    {"what is required is not null", {true, NULL}, "text", "{\"type\":\"string\",\"maxLength\":5}"},
    {"what is optional may be", {true, NULL}, "isOn", "{\"type\":[\"boolean\",\"null\"]}"},
    {"null is one of the words then",
     {true, NULL},
     "color",
     "{\"type\":[\"string\",\"null\"],\"enum\":[\"red\",\"green\",null]}"},
    {"a list that is given has any length",
     {true, NULL},
     "names",
     "{\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"string\",\"maxLength\":3}}"},
    {"a decimal has no step", {true, NULL}, "ratio", "{\"type\":[\"number\",\"null\"]}"},
    {"anything is anything", {true, NULL}, "extra", "{}"},
};

static void test_views(struct buf *b)
{
    for (size_t i = 0; i < COUNT_OF(views); i++) {
        struct json_writer w;
        const struct field *f = sample_message.fields;
        while (!str_eq(f->wire, str_of(views[i].member)))
            f++;
        buf_clear(b);
        jw_init(&w, b);
        jw_open_object(&w);
        schema_describe_field(&w, f, &views[i].view);
        jw_close_object(&w);
        CHECK(views[i].row, str_eq(buf_str(b), str_of(views[i].schema)));
    }
}

int main(void)
{
    struct buf b;
    buf_init(&b, BUF_MAX);
    test_views(&b);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        buf_clear(&b);
        schema_describe(rows[i].message, &b);
        CHECK(rows[i].row, str_eq(buf_str(&b), str_of(rows[i].schema)));
        CHECK(rows[i].row, json_check(buf_str(&b), NULL) == OK);
        buf_clear(&b);
        schema_document(rows[i].message, &b);
        CHECK(rows[i].row, str_eq(buf_str(&b), str_of(rows[i].page)));
    }
    buf_release(&b);
    return CHECK_REPORT();
}
