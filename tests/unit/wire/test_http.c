/* Heads, upgrades, identities and passwords: what is let in, and each way in which it is refused. */
#include "check.h"
#include "wire/http.h"

#include <stdlib.h>
#include <string.h>

#define EOL     "\r\n"
#define END     "\r\n"
#define GET     "GET /ocpp/CP1 HTTP/1.1" EOL
#define HOST    "Host: h" EOL
#define POST    "POST /x HTTP/1.1" EOL HOST
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" EOL
#define VERSION "Sec-WebSocket-Version: 13" EOL
#define UPGRADE "Upgrade: websocket" EOL "Connection: Upgrade" EOL KEY VERSION

/* A copy that ends where its memory ends, so that a sanitizer sees a step past it. */
static struct str exact(struct str s)
{
    char *at = malloc(s.len + 1); /* + 1: there may be nothing */
    check(at != NULL);
    if (s.len > 0)
        memcpy(at + 1, s.at, s.len);
    return (struct str){at + 1, s.len};
}

static void exact_free(struct str s)
{
    free((char *)(uintptr_t)s.at - 1);
}

static const struct {
    const char *row;
    struct str text;
    enum err want;
    int status;
} heads[] = {
#define HEAD(row, text, want, status) {row, {text, sizeof(text) - 1}, want, status},
#include "http_cases.def"
#undef HEAD
};

static enum err read_exact(struct str text, size_t len, struct http_head *out, int *status)
{
    struct str part = exact((struct str){text.at, len});
    enum err e = http_read_request(part, out, status, NULL);
    exact_free(part);
    return e;
}

/* Reads the whole, and every part: a part is not enough, up to the one with which the outcome of the whole is there. */
static void check_head(const char *row, struct str text, enum err want, int want_status)
{
    static struct http_head h;
    int status = 0;
    CHECK(row, read_exact(text, text.len, &h, &status) == want);
    CHECK(row, status == want_status);
    bool is_decided = false, is_stable = true;
    for (size_t len = 0; len <= text.len; len++) {
        status = 0;
        enum err e = read_exact(text, len, &h, &status);
        if (!is_decided && e == ERR_AGAIN)
            continue;
        is_decided = true;
        is_stable = is_stable && e == want && status == want_status;
    }
    CHECK(row, is_stable);
}

static void test_heads(void)
{
    for (size_t i = 0; i < COUNT_OF(heads); i++)
        check_head(heads[i].row, heads[i].text, heads[i].want, heads[i].status);
}

/* Every byte at every place that matters; RFC 9110, 5.6.2 and 5.5; RFC 3986, 3.3 (and '|', see http.c). */
static void test_every_byte(void)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char target[] = "-._~!$&'()*+,;=:@/?%|0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const struct {
        const char *row, *before, *after, *extra, *allowed; /* extra: bytes that end this part and start the next one */
    } places[] = {
        {"method", "G", "T / HTTP/1.1" EOL HOST END, "", token},
        {"target", "GET /a", "b HTTP/1.1" EOL HOST END, "", target},
        {"name", GET HOST "X", "Y: a" EOL END, ":", token},
    };
    static struct http_head h;
    int status;
    char text[256];
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t i = 0; i < COUNT_OF(places); i++) {
            size_t n = strlen(places[i].before);
            memcpy(text, places[i].before, n);
            text[n] = (char)byte;
            memcpy(text + n + 1, places[i].after, strlen(places[i].after));
            struct str head = {text, n + 1 + strlen(places[i].after)};
            bool is_allowed = byte != 0 && (strchr(places[i].allowed, (int)byte) != NULL ||
                                            strchr(places[i].extra, (int)byte) != NULL);
            CHECK(places[i].row, (http_read_request(head, &h, &status, NULL) == OK) == is_allowed);
        }
        int n = snprintf(text, sizeof text, "%s%sX: a%cb%s%s", GET, HOST, (int)byte, EOL, END);
        bool is_value = byte == '\t' || (byte >= ' ' && byte != 0x7F);
        CHECK("value", (http_read_request((struct str){text, (size_t)n}, &h, &status, NULL) == OK) == is_value);
    }
}

/* Outputs of a head that was read, and of one that was not. */
static void test_parts(void)
{
    static struct http_head h, untouched;
    struct fault why = {0};
    int status = 77;
    struct str text = STR("GET /ocpp/CP1?x HTTP/1.1" EOL "Host:  a:1 " EOL "X-A:" EOL "x-a: 2" EOL END "rest");
    CHECK("read", http_read_request(text, &h, &status, &why) == OK && status == 77);
    CHECK("method", str_eq(h.method, STR("GET")));
    CHECK("target", str_eq(h.target, STR("/ocpp/CP1?x")));
    CHECK("size", h.size == text.len - 4);
    CHECK("count", h.header_count == 3);
    CHECK("name", str_eq(h.headers[0].name, STR("Host")));
    CHECK("value without blanks", str_eq(h.headers[0].value, STR("a:1")));
    size_t count = 9;
    struct str found = http_find(&h, STR("X-a"), &count);
    CHECK("the first of two", found.at != NULL && found.len == 0 && count == 2);
    found = http_find(&h, STR("X"), &count);
    CHECK("none", found.at == NULL && count == 0);
    CHECK("the count is optional", str_eq(http_find(&h, STR("HOST"), NULL), STR("a:1")));
    memset(&h, 1, sizeof h);
    memset(&untouched, 1, sizeof untouched);
    CHECK("refused", http_read_request(STR(GET "Host : h" EOL), &h, &status, &why) == ERR_FORMAT);
    CHECK("it says where", strcmp(why.field, "Host") == 0 && why.reason[0] != '\0');
    CHECK("the head is untouched", memcmp(&h, &untouched, sizeof h) == 0);
    status = 77;
    CHECK("not complete", http_read_request(STR(GET "Host"), &h, &status, NULL) == ERR_AGAIN && status == 77);
    CHECK("the head is untouched then too", memcmp(&h, &untouched, sizeof h) == 0);
}

/* "GET /xxx HTTP/1.1" of so many bytes, then count headers, the last filled up so that the head has size bytes (0: not
 * filled). */
static struct str sized_head(struct buf *b, size_t line, size_t count, size_t size)
{
    buf_clear(b);
    buf_put_lit(b, "GET /");
    while (b->len < line - strlen(" HTTP/1.1"))
        buf_put_byte(b, 'x');
    buf_put_lit(b, " HTTP/1.1" EOL HOST);
    for (size_t i = 1; i < count; i++) {
        buf_put_lit(b, "X: ");
        while (i + 1 == count && b->len + strlen(EOL END) < size)
            buf_put_byte(b, 'y');
        buf_put_lit(b, EOL);
    }
    buf_put_lit(b, END);
    return buf_str(b);
}

static void test_limits(void)
{
    static const struct {
        const char *row;
        size_t line, count, size;
        enum err want;
        int status;
    } rows[] = {
        {"a line of the limit less one", HTTP_LINE_MAX - 1, 1, 0, OK, 0},
        {"a line of the limit", HTTP_LINE_MAX, 1, 0, OK, 0},
        {"a line of the limit and one", HTTP_LINE_MAX + 1, 1, 0, ERR_LIMIT, 414},
        {"a line far over the limit", HTTP_LINE_MAX * 2, 1, 0, ERR_LIMIT, 414},
        {"a line over the limit of the head", HTTP_HEAD_MAX + 100, 1, 0, ERR_LIMIT, 414},
        {"headers: the limit less one", 100, HTTP_HEADERS_MAX - 1, 0, OK, 0},
        {"headers: the limit", 100, HTTP_HEADERS_MAX, 0, OK, 0},
        {"headers: the limit and one", 100, HTTP_HEADERS_MAX + 1, 0, ERR_LIMIT, 431},
        {"a head of the limit less one", 100, 2, HTTP_HEAD_MAX - 1, OK, 0},
        {"a head of the limit", 100, 2, HTTP_HEAD_MAX, OK, 0},
        {"a head of the limit and one", 100, 2, HTTP_HEAD_MAX + 1, ERR_LIMIT, 431},
        {"a head far over the limit", 100, 2, HTTP_HEAD_MAX * 2, ERR_LIMIT, 431},
        {"both at their limits", HTTP_LINE_MAX, HTTP_HEADERS_MAX, HTTP_HEAD_MAX, OK, 0},
    };
    struct buf b;
    buf_init(&b, 4 * HTTP_HEAD_MAX);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_head(rows[i].row, sized_head(&b, rows[i].line, rows[i].count, rows[i].size), rows[i].want,
                   rows[i].status);
    static struct http_head h;
    int status = 0;
    struct str endless = sized_head(&b, 100, 2, HTTP_HEAD_MAX * 2);
    CHECK("an endless value is refused at the limit",
          http_read_request((struct str){endless.at, HTTP_HEAD_MAX}, &h, &status, NULL) == ERR_LIMIT && status == 431);
    buf_release(&b);
}

#define HTTP "HTTP/1.1 101 Switching Protocols" EOL
static const struct {
    const char *row, *text;
    enum err want;
    int status;
} answers[] = {
    {"an upgrade", HTTP "Upgrade: websocket" EOL END, OK, 101},
    {"no headers", HTTP END, OK, 101},
    {"an empty phrase", "HTTP/1.1 404 " EOL END, OK, 404},
    {"a phrase of high bytes", "HTTP/1.1 404 \xC3\xA9\xFF" EOL END, OK, 404},
    {"the least status", "HTTP/1.1 100 x" EOL END, OK, 100},
    {"the largest status", "HTTP/1.1 599 x" EOL END, OK, 599},
    {"a body", "HTTP/1.1 401 x" EOL "Content-Length: 10" EOL END "0123456789", OK, 401},
    {"no blank behind the status", "HTTP/1.1 101" EOL END, ERR_FORMAT, 0},
    {"two blanks before it", "HTTP/1.1  101 x" EOL END, ERR_FORMAT, 0},
    {"two digits", "HTTP/1.1 10 x" EOL END, ERR_FORMAT, 0},
    {"four digits", "HTTP/1.1 1010 x" EOL END, ERR_FORMAT, 0},
    {"below 100", "HTTP/1.1 099 x" EOL END, ERR_FORMAT, 0},
    {"above 599", "HTTP/1.1 600 x" EOL END, ERR_FORMAT, 0},
    {"a sign", "HTTP/1.1 +10 x" EOL END, ERR_FORMAT, 0},
    {"letters", "HTTP/1.1 abc x" EOL END, ERR_FORMAT, 0},
    {"HTTP/1.0", "HTTP/1.0 200 OK" EOL END, ERR_UNSUPPORTED, 0},
    {"HTTP/2", "HTTP/2 101 x" EOL END, ERR_FORMAT, 0},
    {"another protocol", "SSH-2.0-x" EOL END, ERR_FORMAT, 0},
    {"a blank first", " HTTP/1.1 101 x" EOL END, ERR_FORMAT, 0},
    {"a bare LF", "HTTP/1.1 101 x\n" END, ERR_FORMAT, 0},
    {"a bare CR", "HTTP/1.1 101 x\ry" EOL END, ERR_FORMAT, 0},
    {"a folded header", HTTP "X: a" EOL " b" EOL END, ERR_FORMAT, 0},
    {"a blank before the colon", HTTP "X : a" EOL END, ERR_FORMAT, 0},
    {"length and chunks", HTTP "Content-Length: 1" EOL "Transfer-Encoding: chunked" EOL END, ERR_FORMAT, 0},
    {"two lengths", HTTP "Content-Length: 1" EOL "Content-Length: 1" EOL END, ERR_FORMAT, 0},
    {"not all there", HTTP "X: a" EOL, ERR_AGAIN, 0},
    {"nothing", "", ERR_AGAIN, 0},
    {"a part of the status", "HTTP/1.1 10", ERR_AGAIN, 0},
};

static void test_answers(void)
{
    static struct http_head h;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct str text = str_of(answers[i].text);
        bool is_decided = false, is_stable = true;
        h.status = 0;
        for (size_t len = 0; len <= text.len; len++) {
            struct str part = exact((struct str){text.at, len});
            enum err e = http_read_answer(part, &h, NULL);
            exact_free(part);
            is_decided = is_decided || e != ERR_AGAIN;
            is_stable = is_stable && (!is_decided || e == answers[i].want);
        }
        CHECK(answers[i].row, is_stable && is_decided == (answers[i].want != ERR_AGAIN));
        CHECK(answers[i].row, h.status == answers[i].status);
    }
}

/* Lines of a head behind GET and HOST. */
static const struct http_head *head_of(struct buf *b, const char *first_line, const char *lines)
{
    static struct http_head h;
    int status;
    buf_clear(b);
    buf_printf(b, "%s%s%s%s", first_line, HOST, lines, END);
    check(http_read_request(buf_str(b), &h, &status, NULL) == OK);
    return &h;
}

static void test_tokens(void)
{
    static const struct {
        const char *row, *lines, *want;
    } rows[] = {
        {"no such header", "Y: a" EOL, ""},
        {"one", "X: a" EOL, "a|"},
        {"two", "X: a,b" EOL, "a|b|"},
        {"blanks around them", "X: a \t,\t b" EOL, "a|b|"},
        {"empty ones are left out", "X: ,a, ,,b," EOL, "a|b|"},
        {"nothing but commas", "X: ,,," EOL, ""},
        {"an empty value", "X:" EOL, ""},
        {"over two lines", "X: a, b" EOL "Y: z" EOL "x: c" EOL, "a|b|c|"},
        {"an empty line between", "X: a" EOL "X:" EOL "X: ," EOL "X: b" EOL, "a|b|"},
        {"a blank within", "X: a b, c" EOL, "a b|c|"},
    };
    struct buf text, got;
    buf_init(&text, HTTP_HEAD_MAX);
    buf_init(&got, HTTP_HEAD_MAX);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct http_head *h = head_of(&text, GET, rows[i].lines);
        struct str token;
        size_t cursor = 0;
        buf_clear(&got);
        buf_put_lit(&got, "");
        while (http_next_token(h, STR("X"), &cursor, &token)) {
            buf_put_str(&got, token);
            buf_put_byte(&got, '|');
        }
        CHECK(rows[i].row,
              got.len == strlen(rows[i].want) && (got.len == 0 || memcmp(got.at, rows[i].want, got.len) == 0));
        CHECK(rows[i].row, !http_next_token(h, STR("X"), &cursor, &token));
    }
    buf_release(&text);
    buf_release(&got);
}

#define UP  "Upgrade: websocket" EOL
#define CON "Connection: Upgrade" EOL
static const struct {
    const char *row, *first_line, *lines;
    int strict, lenient; /* status, 0: let pass */
} upgrades[] = {
    {"an upgrade", GET, UP CON KEY VERSION, 0, 0},
    {"words fold case", GET, "upgrade: WebSocket" EOL "connection: UPGRADE" EOL KEY VERSION, 0, 0},
    {"Upgrade among others", GET, UP "Connection: keep-alive, Upgrade" EOL KEY VERSION, 0, 0},
    {"Upgrade in a line of its own", GET, UP "Connection: keep-alive" EOL CON KEY VERSION, 0, 0},
    {"websocket among others", GET, "Upgrade: h2c, websocket" EOL CON KEY VERSION, 0, 0},
    {"no Connection (field lesson 40)", GET, UP KEY VERSION, 400, 0},
    {"Connection without Upgrade", GET, UP "Connection: keep-alive" EOL KEY VERSION, 400, 0},
    {"Connection: close", GET, UP "Connection: close" EOL KEY VERSION, 400, 0},
    {"an empty Connection", GET, UP "Connection:" EOL KEY VERSION, 400, 0},
    {"Connection: Upgraded", GET, UP "Connection: Upgraded" EOL KEY VERSION, 400, 0},
    {"no Connection and no key", GET, UP VERSION, 400, 400},
    {"no Connection and no Upgrade", GET, KEY VERSION, 426, 426},
    {"no upgrade at all", GET, "", 426, 426},
    {"Upgrade to something else", GET, "Upgrade: h2c" EOL CON KEY VERSION, 426, 426},
    {"Upgrade to websocket/13", GET, "Upgrade: websocket/13" EOL CON KEY VERSION, 426, 426},
    {"an empty Upgrade", GET, "Upgrade:" EOL CON KEY VERSION, 426, 426},
    {"POST", "POST / HTTP/1.1" EOL, UP CON KEY VERSION, 405, 405},
    {"HEAD", "HEAD / HTTP/1.1" EOL, UP CON KEY VERSION, 405, 405},
    {"get in small letters", "get / HTTP/1.1" EOL, UP CON KEY VERSION, 405, 405},
    {"no version", GET, UP CON KEY, 426, 426},
    {"version 8", GET, UP CON KEY "Sec-WebSocket-Version: 8" EOL, 426, 426},
    {"version 013", GET, UP CON KEY "Sec-WebSocket-Version: 013" EOL, 426, 426},
    {"a list of versions", GET, UP CON KEY "Sec-WebSocket-Version: 13, 8" EOL, 426, 426},
    {"two versions", GET, UP CON KEY VERSION VERSION, 400, 400},
    {"no key", GET, UP CON VERSION, 400, 400},
    {"two keys", GET, UP CON KEY KEY VERSION, 400, 400},
    {"an empty key", GET, UP CON "Sec-WebSocket-Key:" EOL VERSION, 400, 400},
    {"a key that is too short", GET, UP CON "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==" EOL VERSION, 400, 400},
    {"a key that is no base64", GET, UP CON "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!!==" EOL VERSION, 400, 400},
    {"a key and more", GET, UP CON "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, x" EOL VERSION, 400, 400},
};

static void test_upgrades(void)
{
    struct buf text;
    buf_init(&text, HTTP_HEAD_MAX);
    for (size_t i = 0; i < COUNT_OF(upgrades) * 2; i++) {
        const char *row = upgrades[i / 2].row;
        bool lenient = i % 2 != 0;
        int status = 0, want = lenient ? upgrades[i / 2].lenient : upgrades[i / 2].strict;
        struct str key = {NULL, 0};
        struct fault why = {0};
        const struct http_head *h = head_of(&text, upgrades[i / 2].first_line, upgrades[i / 2].lines);
        enum err e = http_check_upgrade(h, lenient, &key, &status, &why);
        CHECK(row, e == (want == 0 ? OK : want == 400 ? ERR_FORMAT : ERR_UNSUPPORTED));
        CHECK(row, status == want);
        CHECK(row, e == OK ? str_eq(key, STR("dGhlIHNhbXBsZSBub25jZQ==")) : key.at == NULL);
        CHECK(row, (why.reason[0] != '\0') == (e != OK));
    }
    buf_release(&text);
}

#define TEN   "0123456789"
#define FIFTY TEN TEN TEN TEN TEN
static const struct {
    const char *target, *want; /* want NULL: error */
    enum err err;
} identities[] = {
    {"/ocpp/CP1", "CP1", OK},
    {"/ocpp/RDAM%20123", "RDAM 123", OK}, /* ocpp16.md 1.1 */
    {"/ocpp/CP1/", "CP1", OK},
    {"/ocpp/CP1?token=x", "CP1", OK},
    {"/ocpp/CP1/?token=/x/y", "CP1", OK},
    {"/ocpp/CP1?", "CP1", OK},
    {"/ocpp16/CP1", "CP1", OK},
    {"/ocpp/1.6/CP1", "CP1", OK},
    {"/t/tenant-a/CP1", "CP1", OK},
    {"/t/a%2Fb/CP1", "CP1", OK},
    {"/slash/CP1", "CP1", OK},
    {"/ocpp/cp1", "cp1", OK},
    {"/ocpp/a+b", "a+b", OK},
    {"/ocpp/a%2Bb", "a+b", OK},
    {"/ocpp/a%2Fb", "a/b", OK},
    {"/ocpp/a%2fb/", "a/b", OK},
    {"/ocpp/%2F", "/", OK},
    {"/ocpp/a%252Fb", "a%2Fb", OK},
    {"/ocpp/a%3Fb", "a?b", OK},
    {"/ocpp/a%23b", "a#b", OK},
    {"/ocpp/a:b@c", "a:b@c", OK},
    {"/ocpp/%E7%94%B5%e6%a1%a9", "\xE7\x94\xB5\xE6\xA1\xA9", OK},
    {"/ocpp/%C2%A0", "\xC2\xA0", OK},
    {"/ocpp/...", "...", OK},
    {"/ocpp/.a", ".a", OK},
    {"/ocpp/ocpp", "ocpp", OK},
    {"/ocpp/%41", "A", OK},
    {"/ocpp/%7E%7e", "~~", OK},
    {"/ocpp/" FIFTY FIFTY FIFTY FIFTY FIFTY "12345", FIFTY FIFTY FIFTY FIFTY FIFTY "12345", OK},
    {"/ocpp/" FIFTY FIFTY FIFTY FIFTY FIFTY "1234%35", FIFTY FIFTY FIFTY FIFTY FIFTY "12345", OK},
    {"/ocpp/" FIFTY FIFTY FIFTY FIFTY FIFTY "123456", NULL, ERR_RANGE},
    {"/ocpp/" FIFTY FIFTY FIFTY FIFTY FIFTY "12345%36", NULL, ERR_RANGE},
    {"/ocpp", NULL, ERR_UNKNOWN},
    {"/", NULL, ERR_UNKNOWN},
    {"", NULL, ERR_UNKNOWN},
    {"?", NULL, ERR_UNKNOWN},
    {"ocpp/CP1", NULL, ERR_UNKNOWN},
    {"/CP1", NULL, ERR_UNKNOWN},
    {"/other/CP1", NULL, ERR_UNKNOWN},
    {"/ocppx/CP1", NULL, ERR_UNKNOWN},
    {"/ocp/CP1", NULL, ERR_UNKNOWN},
    {"/OCPP/CP1", NULL, ERR_UNKNOWN},
    {"/%6Fcpp/CP1", NULL, ERR_UNKNOWN},
    {"/ocpp%2FCP1", NULL, ERR_UNKNOWN},
    {"//ocpp/CP1", NULL, ERR_UNKNOWN},
    {"/x/ocpp/CP1", NULL, ERR_UNKNOWN},
    {"/ocpp?/CP1", NULL, ERR_UNKNOWN},
    {"/ocpp/a/b", NULL, ERR_UNKNOWN},
    {"/ocpp/CP1/CP1", NULL, ERR_UNKNOWN},
    {"/ocpp/CP1//", NULL, ERR_UNKNOWN},
    {"/ocpp//CP1", NULL, ERR_UNKNOWN},
    {"/ocpp/../CP1", NULL, ERR_UNKNOWN},
    {"/ocpp/./CP1", NULL, ERR_UNKNOWN},
    {"/ocpp/..", NULL, ERR_UNKNOWN},
    {"/ocpp/.", NULL, ERR_UNKNOWN},
    {"/ocpp/%2e%2E", NULL, ERR_UNKNOWN},
    {"/ocpp/%2e/", NULL, ERR_UNKNOWN},
    {"/t//CP1", NULL, ERR_UNKNOWN},
    {"/t/CP1", NULL, ERR_UNKNOWN},
    {"/u/{x/CP1", "CP1", OK},
    {"/u/x/CP1", NULL, ERR_UNKNOWN},
    {"/t/a/b/CP1", NULL, ERR_UNKNOWN},
    {"/ocpp/", NULL, ERR_FORMAT},
    {"/ocpp//", NULL, ERR_FORMAT},
    {"/ocpp/?x", NULL, ERR_FORMAT},
    {"/ocpp/%", NULL, ERR_FORMAT},
    {"/ocpp/a%", NULL, ERR_FORMAT},
    {"/ocpp/a%2", NULL, ERR_FORMAT},
    {"/ocpp/a%2/", NULL, ERR_FORMAT},
    {"/ocpp/a%2?0", NULL, ERR_FORMAT},
    {"/ocpp/%G0", NULL, ERR_FORMAT},
    {"/ocpp/%0g", NULL, ERR_FORMAT},
    {"/ocpp/%%41", NULL, ERR_FORMAT},
    {"/ocpp/%u0041", NULL, ERR_FORMAT},
    {"/ocpp/%+1", NULL, ERR_FORMAT},
    {"/ocpp/%00", NULL, ERR_FORMAT},
    {"/ocpp/CP1%00", NULL, ERR_FORMAT},
    {"/ocpp/CP1%0D%0AX:%20y", NULL, ERR_FORMAT},
    {"/ocpp/CP1%0a", NULL, ERR_FORMAT},
    {"/ocpp/%09", NULL, ERR_FORMAT},
    {"/ocpp/%1B[31m", NULL, ERR_FORMAT},
    {"/ocpp/%1f", NULL, ERR_FORMAT},
    {"/ocpp/a%7F", NULL, ERR_FORMAT},
    {"/ocpp/%C2%80", NULL, ERR_FORMAT},
    {"/ocpp/a%C2%9F", NULL, ERR_FORMAT},
    {"/ocpp/%FF", NULL, ERR_FORMAT},
    {"/ocpp/%80", NULL, ERR_FORMAT},
    {"/ocpp/%C0%AF", NULL, ERR_FORMAT},
    {"/ocpp/%C0%AE%C0%AE", NULL, ERR_FORMAT},
    {"/ocpp/%ED%A0%80", NULL, ERR_FORMAT},
    {"/ocpp/%F4%90%80%80", NULL, ERR_FORMAT},
    {"/ocpp/%E7%94", NULL, ERR_FORMAT},
    {"/ocpp/%C2", NULL, ERR_FORMAT},
    {"/ocpp/\x01", NULL, ERR_FORMAT},
    {"/ocpp/\xFF", NULL, ERR_FORMAT},
};

static void test_identities(void)
{
    static const struct str prefixes[] = {
        {"/ocpp", 5}, {"/ocpp16", 7}, {"/ocpp/1.6", 9}, {"/t/{tenant}", 11}, {"/slash/", 7}, {"/u/{x", 5},
    };
    for (size_t i = 0; i < COUNT_OF(identities); i++) {
        char out[IDENTITY_MAX + 1] = "untouched";
        size_t len = 77;
        struct str target = exact(str_of(identities[i].target));
        enum err e = http_identity(target, prefixes, COUNT_OF(prefixes), out, &len);
        exact_free(target);
        CHECK(identities[i].target, e == identities[i].err);
        CHECK(identities[i].target, strcmp(out, identities[i].want == NULL ? "untouched" : identities[i].want) == 0);
        CHECK(identities[i].target, len == (identities[i].want == NULL ? 77 : strlen(identities[i].want)));
    }
    static const struct str roots[] = {{"/", 1}, {"", 0}, {NULL, 0}};
    for (size_t i = 0; i < COUNT_OF(roots); i++) {
        char out[IDENTITY_MAX + 1];
        size_t len;
        CHECK("at the root", http_identity(STR("/CP1"), &roots[i], 1, out, &len) == OK && strcmp(out, "CP1") == 0);
        CHECK("only one segment at the root", http_identity(STR("/ocpp/CP1"), &roots[i], 1, out, &len) == ERR_UNKNOWN);
    }
    char out[IDENTITY_MAX + 1];
    size_t len;
    CHECK("no prefix, no identity", http_identity(STR("/CP1"), roots, 0, out, &len) == ERR_UNKNOWN);
    CHECK("an absent target", http_identity((struct str){NULL, 0}, prefixes, 1, out, &len) == ERR_UNKNOWN);
}

#define KEY_BYTES "\x00\x01\x02\x03\x04\x05\x06\x07\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
static const struct {
    const char *row, *lines;
    struct str identity;
    enum err want;
    struct str password;
} passwords[] = {
    {"the key of ocpp16.md 1.4", "Authorization: Basic QUwxMDAwOgABAgMEBQYH////////////////" EOL, STR("AL1000"), OK,
     STR(KEY_BYTES)},
    {"a text", "Authorization: Basic Q1AxOnNlY3JldA==" EOL, STR("CP1"), OK, STR("secret")},
    {"the scheme folds case", "authorization: bASIC Q1AxOnNlY3JldA==" EOL, STR("CP1"), OK, STR("secret")},
    {"more blanks", "Authorization: Basic   Q1AxOnNlY3JldA==" EOL, STR("CP1"), OK, STR("secret")},
    {"colons in the password", "Authorization: Basic Q1AxOmE6Yjo=" EOL, STR("CP1"), OK, STR("a:b:")},
    {"a colon in the identity", "Authorization: Basic YTpiOnB3" EOL, STR("a:b"), OK, STR("pw")},
    {"an identity that ends in a colon", "Authorization: Basic YTo6cHc=" EOL, STR("a:"), OK, STR("pw")},
    {"an empty password", "Authorization: Basic Q1AxOg==" EOL, STR("CP1"), OK, STR("")},
    {"a NUL in the password", "Authorization: Basic Q1AxOgAA" EOL, STR("CP1"), OK, STR("\0\0")},
    {"an identity with a blank", "Authorization: Basic UkRBTSAxMjM6cHc=" EOL, STR("RDAM 123"), OK, STR("pw")},
    {"an identity in UTF-8", "Authorization: Basic 55S1OnB3" EOL, STR("\xE7\x94\xB5"), OK, STR("pw")},
    {"plus and slash", "Authorization: Basic Q1AxOmFh++++////" EOL, STR("CP1"), OK, STR("aa\xFB\xEF\xBE\xFF\xFF\xFF")},
    {"no header", "", STR("CP1"), ERR_MISSING, {NULL, 0}},
    {"another header", "Proxy-Authorization: Basic Q1AxOnNlY3JldA==" EOL, STR("CP1"), ERR_MISSING, {NULL, 0}},
    {"another user", "Authorization: Basic Q1AyOnNlY3JldA==" EOL, STR("CP1"), ERR_DENIED, {NULL, 0}},
    {"the user in other letters", "Authorization: Basic Y3AxOnNlY3JldA==" EOL, STR("CP1"), ERR_DENIED, {NULL, 0}},
    {"a longer user", "Authorization: Basic Q1AxMjpw" EOL, STR("CP1"), ERR_DENIED, {NULL, 0}},
    {"a shorter user", "Authorization: Basic Q1A6cA==" EOL, STR("CP1"), ERR_DENIED, {NULL, 0}},
    {"a user shorter than the password's place",
     "Authorization: Basic Q1A6cA==" EOL,
     STR("CP12345678"),
     ERR_DENIED,
     {NULL, 0}},
    {"no user", "Authorization: Basic OnNlY3JldA==" EOL, STR("CP1"), ERR_DENIED, {NULL, 0}},
    {"no colon", "Authorization: Basic Q1Ax" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"no colon, longer", "Authorization: Basic Q1AxeHh4" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"two headers",
     "Authorization: Basic Q1AxOnNlY3JldA==" EOL "Authorization: Basic Q1AxOnNlY3JldA==" EOL,
     STR("CP1"),
     ERR_FORMAT,
     {NULL, 0}},
    {"Bearer", "Authorization: Bearer Q1AxOnNlY3JldA==" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"Digest", "Authorization: Digest username=\"CP1\"" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"an empty header", "Authorization:" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"only the scheme", "Authorization: Basic" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"the scheme and blanks", "Authorization: Basic   " EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"the scheme runs on", "Authorization: BasicQ1AxOnNlY3JldA==" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"a tab behind the scheme", "Authorization: Basic\tQ1AxOnNlY3JldA==" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"no padding", "Authorization: Basic Q1AxOnNlY3JldA" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"half the padding", "Authorization: Basic Q1AxOnNlY3JldA=" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"too much padding", "Authorization: Basic Q1AxOnNlY3JldA===" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"nothing but padding", "Authorization: Basic ====" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"three of padding", "Authorization: Basic Q1AxO===" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"padding within", "Authorization: Basic Q1Ax=nNlY3JldA==" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"padding, then more", "Authorization: Basic Q1AxOg==Q1AxOg==" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"left over bits", "Authorization: Basic Q1AxOnNlY3JldB==" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"the alphabet of URLs", "Authorization: Basic Q1AxOvv_vw==" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"a blank within", "Authorization: Basic Q1Ax OnNlY3JldA==" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"plain text", "Authorization: Basic CP1:secret" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"a tilde", "Authorization: Basic Q1AxOn~=" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
    {"a high byte", "Authorization: Basic Q1AxOnNlY3J\xE9" EOL, STR("CP1"), ERR_FORMAT, {NULL, 0}},
};

static void test_passwords(void)
{
    struct buf text, scratch;
    buf_init(&text, HTTP_HEAD_MAX);
    buf_init(&scratch, HTTP_HEAD_MAX);
    for (size_t i = 0; i < COUNT_OF(passwords); i++) {
        struct bytes got = {NULL, 77};
        const struct http_head *h = head_of(&text, GET, passwords[i].lines);
        enum err e = http_basic_password(h, passwords[i].identity, &scratch, &got);
        CHECK(passwords[i].row, e == passwords[i].want);
        if (e == OK)
            CHECK(passwords[i].row, str_eq((struct str){(const char *)got.at, got.len}, passwords[i].password));
        else
            CHECK(passwords[i].row, got.at == NULL && got.len == 77);
    }
    struct buf small;
    struct bytes got;
    buf_init(&small, 26); /* of 27 bytes */
    const struct http_head *h = head_of(&text, GET, passwords[0].lines);
    struct http_head by_hand = {.headers = {{STR("Authorization"), STR("Basic ")}}, .header_count = 1};
    CHECK("nothing behind the scheme", http_basic_password(&by_hand, STR("CP1"), &scratch, &got) == ERR_FORMAT);
    CHECK("no room", http_basic_password(h, passwords[0].identity, &small, &got) == ERR_MEMORY);
    buf_release(&small);
    buf_release(&scratch);
    buf_release(&text);
}

static void test_status_texts(void)
{
    static const int sent[] = {101, 400, 401, 403, 404, 405, 408, 414, 426, 429, 431, 500, 503, 505};
    for (size_t i = 0; i < COUNT_OF(sent); i++)
        CHECK("a status that we send has a text", strcmp(http_status_text(sent[i]), "Unknown") != 0);
    CHECK("101", strcmp(http_status_text(101), "Switching Protocols") == 0);
    CHECK("no such status", strcmp(http_status_text(299), "Unknown") == 0);
}

int main(void)
{
    test_heads();
    test_every_byte();
    test_parts();
    test_limits();
    test_answers();
    test_tokens();
    test_upgrades();
    test_identities();
    test_passwords();
    test_status_texts();
    (void)printf("%zu heads, %zu answers, %zu upgrades, %zu identities, %zu passwords\n", COUNT_OF(heads),
                 COUNT_OF(answers), COUNT_OF(upgrades), COUNT_OF(identities), COUNT_OF(passwords));
    return CHECK_REPORT();
}
