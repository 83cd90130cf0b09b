/* What test_ws_conformance.c does not see: where payload lies and who holds memory, writing, the accept key. */
#include "check.h"
#include "wire/ws.h"

#include <string.h>

#define INPUT_MAX (1 << 18)

static const struct ws_limits limits = {100000, 8};
static const uint8_t mask[4] = {0x12, 0x00, 0xFE, 0x80};

static struct bytes text(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

static bool is_same(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* RFC 6455, 5.7: its examples, byte by byte as they stand there. */
static const struct {
    const char *row;
    enum ws_kind kind;
    bool is_masked;
    const char *payload;
    uint8_t want[16];
    size_t want_len;
} examples[] = {
    {"unmasked text", WS_TEXT, false, "Hello", {0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}, 7},
    {"masked text", WS_TEXT, true, "Hello", {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}, 11},
    {"unmasked ping", WS_PING, false, "Hello", {0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}, 7},
    {"masked pong", WS_PONG, true, "Hello", {0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}, 11},
};

static void test_examples(void)
{
    static const uint8_t example_mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        struct buf out;
        buf_init(&out, INPUT_MAX);
        ws_write(&out, examples[i].kind, text(examples[i].payload), examples[i].is_masked ? example_mask : NULL);
        struct bytes got = {out.at, out.len}, want = {examples[i].want, examples[i].want_len};
        CHECK(examples[i].row, is_same(got, want));
        buf_release(&out);
    }
    struct buf out;
    buf_init(&out, INPUT_MAX);
    ws_write_fragment(&out, WS_TEXT, true, false, text("Hel"), NULL);
    ws_write_fragment(&out, WS_TEXT, false, true, text("lo"), NULL);
    static const uint8_t fragments[] = {0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f};
    CHECK("fragments", is_same((struct bytes){out.at, out.len}, (struct bytes){fragments, sizeof fragments}));
    buf_release(&out);
}

static const struct {
    size_t len;
    uint8_t want[WS_HEAD_SIZE_MAX];
    size_t want_len;
} heads[] = {
    {0, {0x82, 0}, 2},
    {125, {0x82, 125}, 2},
    {126, {0x82, 126, 0, 126}, 4},
    {65535, {0x82, 126, 0xFF, 0xFF}, 4},
    {65536, {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}, 10},
    {0x0102030405, {0x82, 127, 0, 0, 0, 1, 2, 3, 4, 5}, 10},
};

static void test_heads(void)
{
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        uint8_t head[WS_HEAD_SIZE_MAX];
        size_t n = ws_write_head(head, WS_BINARY, heads[i].len);
        CHECK("a head alone", is_same((struct bytes){head, n}, (struct bytes){heads[i].want, heads[i].want_len}));
    }
}

/* What is written is read again, masked by a server and plain by a client. */
static void test_round_trip(void)
{
    static const size_t lengths[] = {0, 1, 7, 8, 9, 125, 126, 127, 65535, 65536, 99999, 100000};
    static uint8_t payload[100000];
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)('A' + i % 53);
    for (size_t i = 0; i < COUNT_OF(lengths) * 4; i++) {
        bool is_server = i % 2 == 0;
        enum ws_kind kind = i / 2 % 2 == 0 ? WS_TEXT : WS_BINARY;
        struct bytes sent = {payload, lengths[i / 4]};
        struct ws_reader r;
        struct ws_message m = {0};
        struct buf wire;
        uint16_t code = 0;
        buf_init(&wire, INPUT_MAX);
        ws_write(&wire, kind, sent, is_server ? mask : NULL);
        ws_reader_init(&r, &limits, is_server);
        uint8_t *at = wire.at;
        size_t len = wire.len;
        CHECK("read again", ws_read(&r, &at, &len, &m, &code) == OK && m.kind == kind && is_same(m.payload, sent));
        CHECK("no byte is left", len == 0 && at == wire.at + wire.len);
        CHECK("it was not copied", m.payload.at == wire.at + wire.len - sent.len && r.partial.at == NULL);
        CHECK("nothing follows", ws_read(&r, &at, &len, &m, &code) == ERR_AGAIN && code == 0);
        ws_reader_release(&r);
        buf_release(&wire);
    }
}

static void test_memory(void)
{
    struct ws_reader r;
    struct ws_message m = {0};
    struct buf wire;
    uint16_t code = 0;
    ws_reader_init(&r, &limits, true);
    buf_init(&wire, INPUT_MAX);
    ws_write_fragment(&wire, WS_TEXT, true, false, text("first "), mask);
    size_t first = wire.len;
    ws_write(&wire, WS_PING, text("ping"), mask);
    size_t ping = wire.len;
    ws_write_fragment(&wire, WS_TEXT, false, true, text("second"), mask);
    uint8_t *at = wire.at;
    size_t len = first - 2;
    CHECK("a part of a frame is not enough", ws_read(&r, &at, &len, &m, &code) == ERR_AGAIN && len == 0);
    CHECK("it is held by the reader", r.partial.len == 4);
    len = ping - (first - 2) - 1;
    CHECK("nor is a part of a ping", ws_read(&r, &at, &len, &m, &code) == ERR_AGAIN && len == 0);
    len = 1;
    CHECK("the ping", ws_read(&r, &at, &len, &m, &code) == OK && m.kind == WS_PING && is_same(m.payload, text("ping")));
    CHECK("a ping that came in pieces is held by the reader", m.payload.at == r.control);
    len = wire.len - ping;
    CHECK("the message",
          ws_read(&r, &at, &len, &m, &code) == OK && m.kind == WS_TEXT && is_same(m.payload, text("first second")));
    CHECK("it lies with the reader", m.payload.at == r.partial.at);
    CHECK("nothing follows", ws_read(&r, &at, &len, &m, &code) == ERR_AGAIN);
    CHECK("the memory is given back", r.partial.at == NULL && r.partial.room == 0);

    buf_clear(&wire);
    ws_write_fragment(&wire, WS_TEXT, true, false, text(""), mask);
    ws_write_fragment(&wire, WS_TEXT, false, true, text("all"), mask);
    at = wire.at;
    len = wire.len;
    CHECK("all of it in one fragment is not copied",
          ws_read(&r, &at, &len, &m, &code) == OK && is_same(m.payload, text("all")) && r.partial.at == NULL);

    buf_clear(&wire);
    ws_write_fragment(&wire, WS_TEXT, true, false, text("begun"), mask);
    ws_write(&wire, WS_CLOSE, text(""), mask);
    ws_write_fragment(&wire, WS_TEXT, false, true, text("late"), mask);
    at = wire.at;
    len = wire.len;
    CHECK("a close within a message", ws_read(&r, &at, &len, &m, &code) == OK && m.kind == WS_CLOSE && r.is_closed);
    CHECK("the message is given up", r.partial.at == NULL);
    CHECK("what follows is dropped", ws_read(&r, &at, &len, &m, &code) == ERR_AGAIN && len == 0 && code == 0);
    CHECK("no input is no error", ws_read(&r, &(uint8_t *){NULL}, &len, &m, &code) == ERR_AGAIN);
    ws_reader_release(&r);

    ws_reader_init(&r, &limits, true);
    buf_clear(&wire);
    ws_write_fragment(&wire, WS_BINARY, true, false, text("more than there is room"), mask);
    r.partial.max = 4; /* as if the system had no more */
    at = wire.at;
    len = wire.len;
    struct ws_message before = m;
    CHECK("without memory", ws_read(&r, &at, &len, &m, &code) == ERR_MEMORY && code == WS_CLOSE_INTERNAL);
    CHECK("the output is untouched", memcmp(&before, &m, sizeof m) == 0);
    CHECK("what was held is given back", r.partial.at == NULL);
    ws_reader_release(&r);
    buf_release(&wire);
}

/* On every error the output stays as it was, and the reader takes nothing more. */
static void test_after_error(void)
{
    static const uint8_t inputs[][5] = {
        {0x83, 0x00},
        {0x81, 0x80},
        {0x88, 0x01},
        {0x88, 0x03, 0x03, 0xE8, 0xFF},
        {0x88, 0x02, 0x00, 0x00},
        {0x81, 0x02, 0xC3, 0x28},
    };
    for (size_t i = 0; i < COUNT_OF(inputs); i++) {
        struct ws_reader r;
        uint8_t input[5];
        memcpy(input, inputs[i], sizeof input);
        struct ws_message m = {WS_PONG, {input, 1}, 77};
        uint8_t *at = input, *rest;
        size_t len = sizeof input, rest_len = 1;
        uint16_t code = 0;
        ws_reader_init(&r, &limits, false);
        CHECK("refused", ws_read(&r, &at, &len, &m, &code) == ERR_FORMAT && code >= WS_CLOSE_PROTOCOL);
        CHECK("the output is untouched", m.kind == WS_PONG && m.payload.at == input && m.code == 77);
        rest = input;
        CHECK("all further is dropped", ws_read(&r, &rest, &rest_len, &m, &code) == ERR_AGAIN && rest_len == 0);
        ws_reader_release(&r);
    }
}

static void test_write_close(void)
{
    char long_reason[200];
    memset(long_reason, 'x', sizeof long_reason);
    memcpy(long_reason + 122, "\xE7\x94\xB5", 3); /* its second byte would be the 124th */
    static const struct {
        const char *row;
        uint16_t code;
        size_t reason_len, want_len;
    } rows[] = {
        {"no code", WS_CLOSE_NONE, 5, 0},
        {"no reason", WS_CLOSE_NORMAL, 0, 2},
        {"a reason", WS_CLOSE_POLICY, 10, 12},
        {"the longest but one", WS_CLOSE_POLICY, 122, 124},
        {"cut at a character", WS_CLOSE_POLICY, sizeof long_reason, 124},
    };
    for (size_t i = 0; i < COUNT_OF(rows) * 2; i++) {
        bool is_server = i % 2 != 0;
        struct buf wire;
        struct ws_reader r;
        struct ws_message m = {0};
        uint16_t code = 0;
        buf_init(&wire, INPUT_MAX);
        ws_write_close(&wire, rows[i / 2].code, (struct str){long_reason, rows[i / 2].reason_len},
                       is_server ? mask : NULL);
        CHECK(rows[i / 2].row, wire.len == (is_server ? 6u : 2u) + rows[i / 2].want_len);
        ws_reader_init(&r, &limits, is_server);
        uint8_t *at = wire.at;
        size_t len = wire.len;
        CHECK(rows[i / 2].row, ws_read(&r, &at, &len, &m, &code) == OK && m.kind == WS_CLOSE);
        CHECK(rows[i / 2].row, m.code == rows[i / 2].code);
        CHECK(rows[i / 2].row, m.payload.len == (rows[i / 2].want_len < 2 ? 0 : rows[i / 2].want_len - 2));
        ws_reader_release(&r);
        buf_release(&wire);
    }
    struct buf wire;
    buf_init(&wire, INPUT_MAX);
    ws_write_close(&wire, WS_CLOSE_GOING_AWAY, (struct str){NULL, 0}, NULL);
    CHECK("an absent reason is an empty one", is_same((struct bytes){wire.at, wire.len}, text("\x88\x02\x03\xE9")));
    buf_release(&wire);
}

static void test_write_full(void)
{
    for (size_t room = 0; room < 12; room++) {
        struct buf wire;
        buf_init(&wire, room);
        ws_write(&wire, WS_TEXT, text("123456"), mask); /* 2 + 4 + 6 */
        CHECK("a frame that does not fit leaves nothing", wire.failed && wire.len == 0);
        buf_release(&wire);
    }
    struct buf wire;
    buf_init(&wire, 12);
    ws_write(&wire, WS_TEXT, text("123456"), mask);
    CHECK("a frame that just fits", !wire.failed && wire.len == 12);
    buf_release(&wire);
}

static const struct {
    const char *key, *want; /* NULL: refused */
} keys[] = {
    {"dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, /* RFC 6455, 1.3 */
    {"x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="},
    {"+/09azAZAAAAAAAAAAAAAA==", "hSLI+KWxtz7TQi7Vq+QkvreJXZ0="},
    {"", NULL},
    {"dGhlIHNhbXBsZSBub25j{Q==", NULL},
    {"dGhlIHNhbXBsZSBub25j:Q==", NULL},
    {"dGhlIHNhbXBsZSBub25jZQ=", NULL},
    {"dGhlIHNhbXBsZSBub25jZQ===", NULL},
    {"dGhlIHNhbXBsZSBub25jZQA=", NULL},
    {"dGhlIHNhbXBsZSBub25jZQ=A", NULL},
    {"dGhlIHNhbXBsZSBub25jZQAA", NULL},
    {"dGhlIHNhbXBsZSBub25-ZQ==", NULL},
    {"dGhlIHNhbXBsZSBub25 ZQ==", NULL},
    {"=GhlIHNhbXBsZSBub25jZQ==", NULL},
    {"dGhlIHNhbXBsZSBub25j\xC3\xA9==", NULL},
};

static void test_accept_key(void)
{
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        char out[WS_ACCEPT_SIZE] = "untouched";
        enum err e = ws_accept_key(str_of(keys[i].key), out);
        CHECK(keys[i].key, e == (keys[i].want == NULL ? ERR_FORMAT : OK));
        CHECK(keys[i].key, ws_key_is_valid(str_of(keys[i].key)) == (e == OK));
        CHECK(keys[i].key, strcmp(out, keys[i].want == NULL ? "untouched" : keys[i].want) == 0);
    }
    char out[WS_ACCEPT_SIZE];
    CHECK("an absent key", ws_accept_key((struct str){NULL, 0}, out) == ERR_FORMAT);
    CHECK("random last bits are let pass", ws_accept_key(STR("dGhlIHNhbXBsZSBub25jZR=="), out) == OK);
}

/* The incremental check against the whole one of base: all sequences of two bytes, and of three and four at the
 * borders. */
static bool is_text(const uint8_t *p, size_t n, size_t cut)
{
    struct ws_reader r;
    struct ws_message m;
    struct buf wire;
    uint16_t code = 0;
    buf_init(&wire, INPUT_MAX);
    ws_write_fragment(&wire, WS_TEXT, true, false, (struct bytes){p, cut}, NULL);
    ws_write_fragment(&wire, WS_TEXT, false, true, (struct bytes){p + cut, n - cut}, NULL);
    ws_reader_init(&r, &limits, false);
    uint8_t *at = wire.at;
    size_t len = wire.len;
    enum err e = ws_read(&r, &at, &len, &m, &code);
    ws_reader_release(&r);
    buf_release(&wire);
    return e == OK;
}

static void test_utf8(void)
{
    static const uint8_t borders[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xFF};
    unsigned unlike = 0;
    for (unsigned i = 0; i < 65536; i++) {
        uint8_t two[] = {(uint8_t)(i >> 8), (uint8_t)i};
        unlike += is_text(two, 2, 1) != utf8_is_valid((struct bytes){two, 2});
    }
    CHECK("all of two bytes", unlike == 0);
    for (unsigned lead = 0x80; lead < 256; lead++) {
        for (size_t i = 0; i < COUNT_OF(borders) * COUNT_OF(borders) * COUNT_OF(borders); i++) {
            uint8_t four[] = {(uint8_t)lead, borders[i % 13], borders[i / 13 % 13], borders[i / 169]};
            unlike += is_text(four, 4, 1 + i % 3) != utf8_is_valid((struct bytes){four, 4});
            unlike += is_text(four, 3, i % 4) != utf8_is_valid((struct bytes){four, 3});
        }
    }
    CHECK("three and four bytes at the borders", unlike == 0);
}

int main(void)
{
    test_examples();
    test_heads();
    test_round_trip();
    test_memory();
    test_after_error();
    test_write_close();
    test_write_full();
    test_accept_key();
    test_utf8();
    return CHECK_REPORT();
}
