/* The three frames (ocpp16.md 2.1, 2.2): what is read of any text, and that what is written is one of them. */
#include "check.h"
#include "proto/ocpp16/frame.h"

#include <stdlib.h>
#include <string.h>

#define TEN   "0123456789"
#define FIFTY TEN TEN TEN TEN TEN
#define ID255 FIFTY FIFTY FIFTY FIFTY FIFTY "01234"

static const struct {
    const char *row, *text;
    enum err want;
    enum ocpp_frame_kind kind; /* 0: not filled */
    const char *id_json, *id, *action, *payload, *code, *words;
} rows[] = {
    {"a call (2.1)", "[2,\"1\",\"Heartbeat\",{}]", OK, OCPP_CALL, "\"1\"", "1", "Heartbeat", "{}", NULL, NULL},
    {"blanks between", " [ 2 , \"1\" , \"A\" , { \"a\" : 1 } ] ", OK, OCPP_CALL, "\"1\"", "1", "A", "{ \"a\" : 1 }",
     NULL, NULL},
    {"payload null (2.1)", "[2,\"1\",\"Heartbeat\",null]", OK, OCPP_CALL, "\"1\"", "1", "Heartbeat", "{}", NULL, NULL},
    {"an id with escapes is echoed as it came (2.2)", "[2,\"a\\u0062\\/\",\"A\",{}]", OK, OCPP_CALL, "\"a\\u0062\\/\"",
     "ab/", "A", "{}", NULL, NULL},
    {"a number as id is echoed as it came (2.2)", "[2,17.0,\"A\",{}]", OK, OCPP_CALL, "17.0", "17.0", "A", "{}", NULL,
     NULL},
    {"an empty id is one", "[2,\"\",\"A\",{}]", OK, OCPP_CALL, "\"\"", "", "A", "{}", NULL, NULL},
    {"a long id (2.2)", "[2,\"" ID255 "\",\"A\",{}]", OK, OCPP_CALL, "\"" ID255 "\"", ID255, "A", "{}", NULL, NULL},
    {"an id that is too long", "[2,\"" ID255 "6\",\"A\",{}]", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"a number as id that is too long", "[2,1" ID255 ",\"A\",{}]", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"no id", "[2]", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"an id of another kind", "[2,{},\"A\",{}]", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"an id null", "[2,null,\"A\",{}]", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"no action (2.3 ProtocolError)", "[2,\"1\"]", ERR_MISSING, OCPP_CALL, "\"1\"", "1", NULL, NULL, NULL, NULL},
    {"no payload (2.3 ProtocolError)", "[2,\"1\",\"A\"]", ERR_MISSING, OCPP_CALL, "\"1\"", "1", "A", NULL, NULL, NULL},
    {"the action is no text", "[2,\"1\",5,{}]", ERR_TYPE, OCPP_CALL, "\"1\"", "1", NULL, NULL, NULL, NULL},
    {"the action is an object", "[2,\"1\",{\"a\":[1]},{}]", ERR_TYPE, OCPP_CALL, "\"1\"", "1", NULL, NULL, NULL, NULL},
    {"the payload is a list", "[2,\"1\",\"A\",[]]", ERR_TYPE, OCPP_CALL, "\"1\"", "1", "A", "[]", NULL, NULL},
    {"the payload is text", "[2,\"1\",\"A\",\"{}\"]", ERR_TYPE, OCPP_CALL, "\"1\"", "1", "A", "\"{}\"", NULL, NULL},
    {"more items", "[2,\"1\",\"A\",{},1,[2],{\"b\":null}]", OK, OCPP_CALL, "\"1\"", "1", "A", "{}", NULL, NULL},
    {"more items, malformed", "[2,\"1\",\"A\",{},01]", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"another type (2.1: ignored)", "[5,\"1\",\"A\",{}]", ERR_UNSUPPORTED, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"another type, nothing behind", "[1]", ERR_UNSUPPORTED, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"the type as text", "[\"2\",\"1\",\"A\",{}]", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"the type as 2.0", "[2.0,\"1\",\"A\",{}]", OK, OCPP_CALL, "\"1\"", "1", "A", "{}", NULL, NULL},
    {"an empty list", "[]", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"an object", "{}", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"nothing (field-lessons 52)", "", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"no JSON", "[2,\"1\",\"A\",{}", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"two values", "[2,\"1\",\"A\",{}] []", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"the payload is malformed", "[2,\"1\",\"A\",{\"a\"}]", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"bad UTF-8", "[2,\"1\",\"A\",{\"a\":\"\xff\"}]", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
    {"an answer", "[3,\"1\",{\"status\":\"Accepted\"}]", OK, OCPP_RESULT, "\"1\"", "1", NULL,
     "{\"status\":\"Accepted\"}", NULL, NULL},
    {"an answer null", "[3,\"1\",null]", OK, OCPP_RESULT, "\"1\"", "1", NULL, "{}", NULL, NULL},
    {"an answer that is none is kept as it came (2.4)", "[3,\"1\",\"yes\"]", OK, OCPP_RESULT, "\"1\"", "1", NULL,
     "\"yes\"", NULL, NULL},
    {"an answer without its payload", "[3,\"1\"]", OK, OCPP_RESULT, "\"1\"", "1", NULL, "{}", NULL, NULL},
    {"an error", "[4,\"1\",\"InternalError\",\"why\",{\"a\":1}]", OK, OCPP_ERROR, "\"1\"", "1", NULL, "{\"a\":1}",
     "InternalError", "why"},
    {"an error without details (2.1)", "[4,\"1\",\"InternalError\",\"\"]", OK, OCPP_ERROR, "\"1\"", "1", NULL, "{}",
     "InternalError", ""},
    {"an error with its id only", "[4,\"1\"]", OK, OCPP_ERROR, "\"1\"", "1", NULL, "{}", "", ""},
    {"an error with null for words", "[4,\"1\",\"X\",null,null]", OK, OCPP_ERROR, "\"1\"", "1", NULL, "null", "X", ""},
    {"an error with a number for its code", "[4,\"1\",7,\"why\",{}]", OK, OCPP_ERROR, "\"1\"", "1", NULL, "{}", "",
     "why"},
    {"an error, malformed", "[4,\"1\",\"X\",\"why\",{]", ERR_FORMAT, 0, NULL, NULL, NULL, NULL, NULL, NULL},
};

static bool is_text(struct str got, const char *want)
{
    return want == NULL ? got.at == NULL : got.at != NULL && str_eq(got, str_of(want));
}

static void check_reading(void)
{
    struct arena a;
    arena_init(&a, 65536);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ocpp_frame f = {0};
        struct fault why = {0};
        arena_reset(&a);
        CHECK(rows[i].row, ocpp_frame_read(str_of(rows[i].text), &a, &f, &why) == rows[i].want);
        CHECK(rows[i].row, f.kind == rows[i].kind);
        CHECK(rows[i].row, (why.reason[0] != 0) == (rows[i].want != OK));
        CHECK(rows[i].row, is_text(f.id_json, rows[i].id_json));
        CHECK(rows[i].row, is_text(f.id, rows[i].id));
        CHECK(rows[i].row, is_text(f.action, rows[i].action));
        CHECK(rows[i].row, is_text(f.payload, rows[i].payload));
        CHECK(rows[i].row, is_text(f.error_code, rows[i].code));
        CHECK(rows[i].row, is_text(f.error_text, rows[i].words));
        CHECK(rows[i].row, ocpp_frame_read(str_of(rows[i].text), &a, &f, NULL) == rows[i].want);
        struct ocpp_frame found = {0};
        enum err e = ocpp_frame_find(str_of(rows[i].text), &a, &found, NULL);
        if (rows[i].want == OK) { /* more than the payload is found where items follow it: then it is no JSON */
            CHECK(rows[i].row, e == OK && found.kind == f.kind && str_eq(found.id_json, f.id_json));
            CHECK(rows[i].row, str_eq(found.payload, f.payload) || json_check(found.payload, NULL) != OK);
        }
        struct str payload = {NULL, 0};
        if (rows[i].want == OK) /* found again, when it is known to be one */
            CHECK(rows[i].row, ocpp_frame_payload(str_of(rows[i].text), &payload) == (f.kind == OCPP_CALL) &&
                                   (f.kind != OCPP_CALL || str_eq(payload, f.payload)));
    }
    arena_release(&a);
}

/* Every prefix of every row is refused or read, and never read past its end: the copy is exact for the sanitizer. */
static void check_prefixes(void)
{
    struct arena a;
    arena_init(&a, 65536);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t n = 0; n < strlen(rows[i].text); n++) {
            struct ocpp_frame f;
            struct ocpp_frame found = {0};
            char *exact = mem_new(n + 1, 1); /* the text ends where the memory does */
            memcpy(exact + 1, rows[i].text, n);
            struct str copy = {exact + 1, n};
            arena_reset(&a);
            enum err e = ocpp_frame_read(copy, &a, &f, NULL);
            struct str payload;
            (void)ocpp_frame_payload(copy, &payload);
            CHECK("what is found in a part is what is read there, or its payload is no JSON",
                  ocpp_frame_find(copy, &a, &found, NULL) != OK || e == OK || json_check(found.payload, NULL) != OK);
            CHECK(rows[i].row, e == ERR_FORMAT || e == ERR_UNSUPPORTED || strcmp(rows[i].row, "two values") == 0 ||
                                   rows[i].text[strlen(rows[i].text) - 1] == ' ');
            free(exact);
        }
    arena_release(&a);
}

static void check_writing(void)
{
    struct buf b;
    buf_init(&b, 4096);
    ocpp_write_call(&b, STR("i\"d"), STR("Reset"), STR("{\"type\":\"Soft\"}"));
    CHECK("a call", str_eq(buf_str(&b), STR("[2,\"i\\\"d\",\"Reset\",{\"type\":\"Soft\"}]")));
    buf_clear(&b);
    ocpp_write_result(&b, STR("17.0"), STR("{}"));
    CHECK("an answer echoes the id", str_eq(buf_str(&b), STR("[3,17.0,{}]")));
    buf_clear(&b);
    ocpp_write_error(&b, STR("\"x\""), STR("GenericError"), STR("a \"word\"\n"));
    CHECK("an error has its words and details (2.1)",
          str_eq(buf_str(&b), STR("[4,\"x\",\"GenericError\",\"a \\\"word\\\"\\u000a\",{}]")));
    buf_release(&b);
}

int main(void)
{
    check_reading();
    check_prefixes();
    check_writing();
    return CHECK_REPORT();
}
