/* The reader: what RFC 8259 accepts, rejects and leaves open; values of each kind; and every way to be asked out of
 * turn. */
#include "base/json.h"
#include "check.h"
#include <stdlib.h>
#include <string.h>

#define ACCEPT(row, text)      {row, {text, sizeof(text) - 1}, OK},
#define REJECT(row, text)      {row, {text, sizeof(text) - 1}, ERR_FORMAT},
#define REFUSE(row, err, text) {row, {text, sizeof(text) - 1}, err},
#define TAKE(row, text)        {row, {text, sizeof(text) - 1}, OK},
static const struct {
    const char *row;
    struct str text;
    enum err want;
} cases[] = {
#include "json_cases.def"
};

/* Reads value by value, by its kind. */
static void pull(struct json *j)
{
    struct json_string s;
    struct str text;
    bool b;
    switch (json_peek(j)) {
    case JSON_OBJECT:
        if (json_open_object(j)) {
            while (json_next_key(j, &s))
                pull(j);
        }
        return;
    case JSON_ARRAY:
        if (json_open_array(j)) {
            while (json_next_item(j))
                pull(j);
        }
        return;
    case JSON_STRING:
        (void)json_get_string(j, &s);
        return;
    case JSON_NUMBER:
        (void)json_get_number(j, &text);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        (void)json_get_bool(j, &b);
        return;
    case JSON_NULL:
        (void)json_get_null(j);
        return;
    case JSON_NONE:
        break;
    }
    (void)json_skip(j); /* says why there is none */
}

/* The same text in memory of exactly its size, so that a read past it is seen, by each way through it. */
/* What is known to be JSON is found as what is read; of anything else only that it lies in the text. */
static void try_known(const char *row, struct str text, enum err is)
{
    struct json j;
    struct str raw = {NULL, 0}, known = {NULL, 0};
    json_init(&j, text);
    bool is_read = json_get_raw(&j, &raw);
    json_init(&j, text);
    bool is_found = json_get_known(&j, &known);
    if (is == OK)
        CHECK(row, is_read && is_found && str_eq(raw, known) && json_end(&j) == OK);
    else if (is_found)
        CHECK(row, known.at >= text.at && known.at + known.len <= text.at + text.len);
}

static void try_text(const char *row, struct str text, enum err want)
{
    char *exact = malloc(text.len);
    struct json j;
    struct str raw;
    struct fault why = {.reason = ""};
    if (exact == NULL && text.len > 0)
        abort();
    if (text.len > 0)
        memcpy(exact, text.at, text.len);
    struct str copy = {exact, text.len};
    CHECK(row, json_check(copy, &why) == want);
    CHECK(row, (why.reason[0] != 0) == (want != OK));
    CHECK(row, json_check(copy, NULL) == want);
    json_init(&j, copy);
    pull(&j);
    CHECK(row, json_end(&j) == want);
    CHECK(row, (j.reason != NULL) == (want != OK));
    json_init(&j, copy);
    (void)json_skip(&j);
    CHECK(row, json_end(&j) == want);
    json_init(&j, copy);
    if (json_get_raw(&j, &raw))
        CHECK(row, raw.at >= copy.at && raw.at + raw.len <= copy.at + copy.len);
    CHECK(row, json_end(&j) == want);
    CHECK(row, json_end(&j) == want);
    try_known(row, copy, want);
    free(exact);
}

static void test_cases(void)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        try_text(cases[i].row, cases[i].text, cases[i].want);
        /* behind long strings, where the reader looks at blocks; what a NUL or another encoding begins stays as it is
         */
        char text[1024];
        for (size_t pad = 1; pad < 200; pad += 13) {
            int head = snprintf(text, sizeof text, "[\"%0*d\",", (int)pad, 0);
            memcpy(text + head, cases[i].text.at, cases[i].text.len);
            struct str whole = {text, (size_t)head + cases[i].text.len + 1};
            text[whole.len - 1] = ']';
            enum err got = json_check(whole, NULL);
            try_known(cases[i].row, whole, got);
            CHECK(cases[i].row, cases[i].want == OK ? got == OK : got != OK || cases[i].text.at[0] == '1');
        }
    }
}

/* What is cut anywhere is refused, unless what is left is whole. */
static void test_cut(void)
{
    static const char text[] =
        "{\"a\":[1,-2.5e+3,\"\\u00e4\\ud83d\\ude00\xC3\xA4\",{\"b\":null,\"c\":true}],\"d\":false,\"long\":"
        "\"0123456789012345678901234567890123456789012345678901234567890123456789\"}";
    for (size_t len = 0; len < sizeof text - 1; len++)
        try_text("a text cut anywhere", (struct str){text, len}, ERR_FORMAT);
    try_text("and whole", STR(text), OK);
}

static struct str repeat(char *to, const char *open, size_t count, const char *middle, const char *close)
{
    char *at = to;
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, open);
    at = stpcpy(at, middle);
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, close);
    return (struct str){to, (size_t)(at - to)};
}

static void test_depth(void)
{
    enum { DEEP = 100000 };
    char *text = malloc(DEEP * 8);
    if (text == NULL)
        abort();
    try_text("as deep as may be, arrays", repeat(text, "[", JSON_DEPTH_MAX, "1", "]"), OK);
    try_text("as deep as may be, objects", repeat(text, "{\"a\":", JSON_DEPTH_MAX, "1", "}"), OK);
    try_text("one too deep, arrays", repeat(text, "[", JSON_DEPTH_MAX + 1, "1", "]"), ERR_LIMIT);
    try_text("one too deep, objects", repeat(text, "{\"a\":", JSON_DEPTH_MAX + 1, "1", "}"), ERR_LIMIT);
    try_text("500 arrays", repeat(text, "[", 500, "", "]"), ERR_LIMIT);
    try_text("opened 100,000 times", repeat(text, "[", DEEP, "", ""), ERR_LIMIT);
    try_text("opened 50,000 times each", repeat(text, "[{\"\":", DEEP / 2, "", ""), ERR_LIMIT);
    try_text("many one after the other are not deep",
             repeat(text, "", 0, "[[[]],[[]],[[]],{\"a\":{\"a\":[]}},[[]]]", ""), OK);
    memset(text, '1', DEEP);
    try_text("the longest number", (struct str){text, JSON_NUMBER_MAX}, OK);
    try_text("a longer number", (struct str){text, JSON_NUMBER_MAX + 1}, ERR_LIMIT);
    try_text("a number without end", (struct str){text, DEEP}, ERR_LIMIT);
    free(text);
}

static const struct {
    const char *row, *text, *key; /* the repeated one; NULL: none */
} repeats[] = {
    {"a key twice", "{\"a\":\"b\",\"a\":\"c\"}", "a"},
    {"a key and a value twice", "{\"a\":\"b\",\"a\":\"b\"}", "a"},
    {"the empty key twice", "{\"\":1,\"\":2}", ""},
    {"one of them escaped", "{\"a\":1,\"\\u0061\":2}", "\\u0061"},
    {"the first escaped", "{\"\\u0061\":1,\"a\":2}", "a"},
    {"escaped in two ways", "{\"\\/\":1,\"\\u002F\":2}", "\\u002F"},
    {"escaped beyond ASCII", "{\"\xF0\x9F\x98\x80\":1,\"\\ud83d\\ude00\":2}", "\\ud83d\\ude00"},
    {"not beside each other", "{\"a\":1,\"b\":2,\"c\":3,\"a\":4}", "a"},
    {"in an inner object", "[{\"x\":{\"k\":1,\"k\":2}}]", "k"},
    {"in the outer, around an inner", "{\"k\":{\"z\":[{}]},\"k\":2}", "k"},
    {"in two objects", "[{\"a\":1},{\"a\":2}]", NULL},
    {"inside and outside", "{\"a\":{\"a\":{\"a\":1}}}", NULL},
    {"inside, then outside", "{\"b\":{\"a\":1},\"a\":2}", NULL},
    {"one is the beginning of the other", "{\"a\":1,\"ab\":2,\"\":3,\"\\u0061b\\u0063\":4}", NULL},
    {"other case", "{\"a\":1,\"A\":2}", NULL},
    {"a zero byte counts", "{\"a\\u0000\":1,\"a\":2,\"a\\u0000b\":3}", NULL},
    {"as value", "{\"a\":\"b\",\"b\":\"a\"}", NULL},
};

static void test_repeats(void)
{
    for (size_t i = 0; i < COUNT_OF(repeats); i++) {
        struct fault why = {.field = "?"};
        struct json j;
        enum err e = json_check(str_of(repeats[i].text), &why);
        CHECK(repeats[i].row, e == (repeats[i].key == NULL ? OK : ERR_FORMAT));
        CHECK(repeats[i].row, strcmp(why.field, repeats[i].key == NULL ? "?" : repeats[i].key) == 0);
        json_init(&j, str_of(repeats[i].text));
        pull(&j);
        CHECK("the reader leaves that to its user", json_end(&j) == OK);
    }
    /* objects of few, many and very many keys, and the same with one more that is there already, at each third place */
    static const size_t counts[] = {1, 2, 15, 16, 17, 18, 100, 127, 128, 129, 300, 3000};
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        for (size_t again = 0; again <= counts[i]; again += 1 + counts[i] / 3) {
            buf_clear(&b);
            buf_put_lit(&b, "{\"outer\":{");
            for (size_t n = 0; n < counts[i]; n++)
                buf_printf(&b, n % 5 == 4 ? "\"\\u006b%zu\":[{\"k\":%zu}]," : "\"k%zu\":%zu,", n * 7919 % 10007, n);
            buf_printf(&b, again == counts[i] ? "\"\":0" : "\"\\u006b%zu\":0", again * 7919 % 10007);
            buf_put_lit(&b, "},\"inner\":{\"k0\":1}}");
            CHECK("many keys", json_check(buf_str(&b), NULL) == (again == counts[i] ? OK : ERR_FORMAT));
        }
    }
    buf_release(&b);
}

static void test_values(void)
{
    struct json j;
    struct json_string key, s;
    struct str n, raw;
    bool b = false;
    json_init(
        &j,
        STR(" { \"s\" : \"x\\ty\" , \"n\" : -1.5e3 , \"b\" : true , \"f\":false, \"z\" : null , \"r\" : [ 1 , {} ] , "
            "\"skipped\": {\"a\":[1,[2]]}, \"e\":[ ] , \"o\" : { } } "));
    CHECK("an object", json_peek(&j) == JSON_OBJECT && json_peek(&j) == JSON_OBJECT && json_open_object(&j));
    CHECK("a string", json_next_key(&j, &key) && str_eq(key.raw, STR("s")) && json_peek(&j) == JSON_STRING);
    CHECK("its text", json_get_string(&j, &s) && str_eq(s.raw, STR("x\\ty")) && s.has_escape);
    CHECK("a number", json_next_key(&j, &key) && json_peek(&j) == JSON_NUMBER);
    CHECK("its text", json_get_number(&j, &n) && str_eq(n, STR("-1.5e3")));
    CHECK("true", json_next_key(&j, &key) && json_peek(&j) == JSON_TRUE && json_get_bool(&j, &b) && b);
    CHECK("false", json_next_key(&j, &key) && json_peek(&j) == JSON_FALSE && json_get_bool(&j, &b) && !b);
    CHECK("null", json_next_key(&j, &key) && json_peek(&j) == JSON_NULL && json_get_null(&j));
    CHECK("raw", json_next_key(&j, &key) && json_get_raw(&j, &raw) && str_eq(raw, STR("[ 1 , {} ]")));
    CHECK("skipped", json_next_key(&j, &key) && str_eq(key.raw, STR("skipped")) && json_skip(&j));
    CHECK("an empty array", json_next_key(&j, &key) && json_peek(&j) == JSON_ARRAY && json_open_array(&j));
    CHECK("has no item", json_peek(&j) == JSON_NONE && !json_next_item(&j) && j.error == OK);
    CHECK("an empty object",
          json_next_key(&j, &key) && json_open_object(&j) && !json_next_key(&j, &key) && j.error == OK);
    CHECK("no more", !json_next_key(&j, &key) && j.depth == 0);
    CHECK("well", json_end(&j) == OK && json_end(&j) == OK && j.reason == NULL);
}

static void test_last(void)
{
    static const struct {
        const char *row, *text, *last; /* NULL: it is not guessed */
    } rows_last[] = {
        {"an object that ends the text", "[1,{\"a\":{}}]", "{\"a\":{}}"},
        {"with blanks", "[1, {\"a\":1} \n] \t", "{\"a\":1}"},
        {"an empty one", "[1,{}]", "{}"},
        {"a guess that is wrong", "[1,{},{}]", "{},{}"},
        {"something behind it", "[1,{},null]", NULL},
        {"no end of the array", "[1,{}", NULL},
        {"no end of the object", "[1,{\"a\":1]", NULL},
        {"one bracket alone", "[1,{]", NULL},
        {"an array", "[1,[]]", NULL},
        {"text behind the array", "[1,{}]x", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows_last); i++) {
        struct json j;
        struct str n, last;
        json_init(&j, str_of(rows_last[i].text));
        CHECK(rows_last[i].row, json_open_array(&j) && json_next_item(&j) && json_get_number(&j, &n) && json_next_item(&j));
        CHECK(rows_last[i].row, json_get_last(&j, &last) == (rows_last[i].last != NULL));
        if (rows_last[i].last != NULL)
            CHECK(rows_last[i].row, str_eq(last, str_of(rows_last[i].last)) && json_end(&j) == OK);
        else
            CHECK(rows_last[i].row, json_peek(&j) == json_peek(&j) && j.error == OK);
    }
    struct json j;
    struct str last;
    json_init(&j, STR("[[{}]]"));
    CHECK("only of the top array",
          json_open_array(&j) && json_next_item(&j) && json_open_array(&j) && json_next_item(&j) && !json_get_last(&j, &last));
}

static void test_keys(void)
{
    struct json j;
    struct json_string key;
    char text[512], escaped[] = "\\u0061", want[80];
    json_init(&j, STR("{\"\\u0061\\n\":1}"));
    CHECK("an escaped key comes undone",
          json_open_object(&j) && json_next_key(&j, &key) && str_eq(key.raw, STR("a\n")) && !key.has_escape);
    for (int len = 58; len < 72; len++) {
        (void)snprintf(text, sizeof text, "{\"%s%0*d\":1}", escaped, len - 6, 0);
        (void)snprintf(want, sizeof want, "a%0*d", len - 6, 0);
        json_init(&j, str_of(text));
        CHECK("an escaped key", json_open_object(&j) && json_next_key(&j, &key));
        CHECK("undone up to its limit", key.has_escape == (len > JSON_KEY_UNDONE));
        CHECK("says the same in any case", json_string_is(key, str_of(want)));
        CHECK("and its object goes on", json_skip(&j) && !json_next_key(&j, &key) && json_end(&j) == OK);
    }
}

enum call { OBJECT, ARRAY, KEY, ITEM, STRING, NUMBER, BOOL, NUL, RAW, SKIP, END };

static bool do_call(struct json *j, enum call call)
{
    struct json_string s;
    struct str text;
    bool b;
    switch (call) {
    case OBJECT:
        return json_open_object(j);
    case ARRAY:
        return json_open_array(j);
    case KEY:
        return json_next_key(j, &s);
    case ITEM:
        return json_next_item(j);
    case STRING:
        return json_get_string(j, &s);
    case NUMBER:
        return json_get_number(j, &text);
    case BOOL:
        return json_get_bool(j, &b);
    case NUL:
        return json_get_null(j);
    case RAW:
        return json_get_raw(j, &text);
    case SKIP:
        return json_skip(j);
    case END:
        break;
    }
    return json_end(j) == OK;
}

static const struct {
    const char *row, *text;
    enum err want;
    size_t count; /* of the calls; all but the last go through */
    enum call calls[5];
} turns[] = {
    {"a string is no number", "\"1\"", ERR_TYPE, 1, {NUMBER}},
    {"a number is no string", "1", ERR_TYPE, 1, {STRING}},
    {"null is no object", "null", ERR_TYPE, 1, {OBJECT}},
    {"an object is no array", "{}", ERR_TYPE, 1, {ARRAY}},
    {"an array is no object", "[]", ERR_TYPE, 1, {OBJECT}},
    {"null is no bool", "null", ERR_TYPE, 1, {BOOL}},
    {"false is not null", "false", ERR_TYPE, 1, {NUL}},
    {"what is none has no kind", "?", ERR_FORMAT, 1, {NUL}},
    {"nothing has no kind", "", ERR_FORMAT, 1, {BOOL}},
    {"a word that begins as true", "trve", ERR_FORMAT, 1, {BOOL}},
    {"a word that begins as null", "nill", ERR_FORMAT, 1, {NUL}},
    {"a key before an object", "{}", ERR_STATE, 1, {KEY}},
    {"an item before an array", "[]", ERR_STATE, 1, {ITEM}},
    {"a key in an array", "[{}]", ERR_STATE, 2, {ARRAY, KEY}},
    {"an item in an object", "{\"a\":1}", ERR_STATE, 2, {OBJECT, ITEM}},
    {"a value before its key", "{\"a\":1}", ERR_STATE, 2, {OBJECT, STRING}},
    {"a value before its item", "[1]", ERR_STATE, 2, {ARRAY, NUMBER}},
    {"skipped before its item", "[1]", ERR_STATE, 2, {ARRAY, SKIP}},
    {"a raw value before its item", "[1]", ERR_STATE, 2, {ARRAY, RAW}},
    {"a key before the last value", "{\"a\":1}", ERR_STATE, 3, {OBJECT, KEY, KEY}},
    {"an item before the last value", "[1]", ERR_STATE, 3, {ARRAY, ITEM, ITEM}},
    {"a second value", "[1,2]", ERR_STATE, 4, {ARRAY, ITEM, NUMBER, NUMBER}},
    {"a value after the last", "1 2", ERR_STATE, 2, {NUMBER, NUMBER}},
    {"a key after the last", "{}", ERR_STATE, 2, {SKIP, KEY}},
    {"the end before the value", "1", ERR_STATE, 1, {END}},
    {"the end of nothing", " ", ERR_FORMAT, 1, {END}},
    {"the end inside", "[1]", ERR_STATE, 2, {ARRAY, END}},
    {"the end after a key", "{\"a\":1}", ERR_STATE, 3, {OBJECT, KEY, END}},
    {"the end after the value", "[1]x", ERR_FORMAT, 2, {SKIP, END}},
    {"the end with a kind of its own", "[1]", ERR_STATE, 4, {ARRAY, ITEM, NUMBER, END}},
};

static void test_turns(void)
{
    for (size_t i = 0; i < COUNT_OF(turns); i++) {
        struct json j;
        json_init(&j, str_of(turns[i].text));
        for (size_t c = 0; c < turns[i].count; c++)
            CHECK(turns[i].row, do_call(&j, turns[i].calls[c]) == (c + 1 < turns[i].count));
        CHECK(turns[i].row, j.error == turns[i].want && j.reason != NULL);
        const char *reason = j.reason;
        for (enum call c = OBJECT; c <= END; c++)
            CHECK("after an error nothing goes through", !do_call(&j, c));
        CHECK("and it stays the same",
              json_end(&j) == turns[i].want && j.reason == reason && json_peek(&j) == JSON_NONE);
    }
}

static const struct {
    const char *text;
    enum err want;
    int64_t n;
} ints[] = {
    {"0", OK, 0},
    {"-0", OK, 0},
    {"42", OK, 42},
    {"1.0", OK, 1},
    {"1e2", OK, 100},
    {"1.50E+1", OK, 15},
    {"1500e-2", OK, 15},
    {"0e99999999999999999999", OK, 0},
    {"9007199254740993", OK, 9007199254740993},
    {"9223372036854775807", OK, INT64_MAX},
    {"9223372036854775807.000", OK, INT64_MAX},
    {"-9223372036854775808", OK, INT64_MIN},
    {"922337203685477580.7e1", OK, INT64_MAX},
    {"9223372036854775808", ERR_RANGE, 0},
    {"-9223372036854775809", ERR_RANGE, 0},
    {"18446744073709551616", ERR_RANGE, 0},
    {"1e19", ERR_RANGE, 0},
    {"1e400", ERR_RANGE, 0},
    {"1.5", ERR_TYPE, 0},
    {"1e-1", ERR_TYPE, 0},
    {"0.1e-400", ERR_TYPE, 0},
    {"", ERR_TYPE, 0},
    {"x", ERR_TYPE, 0},
    {"1x", ERR_TYPE, 0},
};

static void test_ints(void)
{
    for (size_t i = 0; i < COUNT_OF(ints); i++) {
        int64_t n = 4711;
        CHECK(ints[i].text, json_number_int(str_of(ints[i].text), &n) == ints[i].want);
        CHECK(ints[i].text, n == (ints[i].want == OK ? ints[i].n : 4711));
    }
}

/* Blocks end anywhere in it: in strings, behind escapes, between brackets. */
static void test_known(void)
{
    static const char *const pieces[] = {"\"\\\"}\"", "{\"a\":[]}", "[[{\"]\":\"[\"}]]", "\"{[\"", "7", "\"\\\\\"", "{\"k{\":{\"l\":[1,2,{}]}}"};
    for (size_t pad = 0; pad < 140; pad++)
        for (size_t first = 0; first < COUNT_OF(pieces); first++) {
            char text[2048];
            size_t len = (size_t)snprintf(text, sizeof text, "[\"%0*d\"", (int)pad + 1, 0);
            for (size_t i = 0; i < 2 * COUNT_OF(pieces); i++)
                len += (size_t)snprintf(text + len, sizeof text - len, ",%s", pieces[(first + i) % COUNT_OF(pieces)]);
            len += (size_t)snprintf(text + len, sizeof text - len, "]");
            try_known("a long value", (struct str){text, len}, OK);
            for (size_t cut = len - 1; cut > 0; cut -= cut > 9 ? 9 : cut)
                try_known("a long value that is cut", (struct str){text, cut}, ERR_FORMAT);
        }
}

int main(void)
{
    test_cases();
    test_known();
    test_cut();
    test_depth();
    test_repeats();
    test_values();
    test_last();
    test_keys();
    test_turns();
    test_ints();
    return CHECK_REPORT();
}
