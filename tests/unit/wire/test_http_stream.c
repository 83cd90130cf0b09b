/* The requests of a connection: what is read off its bytes, however they are cut. */
#include "check.h"
#include "wire/http_stream.h"

#include <stdlib.h>

#define EOL         "\r\n"
#define GET         "GET /a HTTP/1.1" EOL "Host: h" EOL EOL
#define POST(lines) "POST /b HTTP/1.1" EOL "Host: h" EOL lines EOL
#define SIZED(n)    POST("Content-Length: " n EOL)
#define CHUNKED     POST("Transfer-Encoding: chunked" EOL)
#define LAST        "0" EOL EOL
#define A16         "aaaaaaaaaaaaaaaa"
#define A256        A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16
#define TRAILER     "X: " A256 EOL /* 261 bytes */

#define SAID_MAX 4096
#define LEFT_MAX 16384

/* said: a request is its method and target, '+' before a body, the body, ';' at its end; "!400": refused; '~':
 * unfinished. */
static const struct {
    const char *row;
    struct str bytes;
    const char *said;
} rows[] = {
#define ROW(row, bytes, said) {row, {bytes, sizeof(bytes) - 1}, said},
    /* clang-format off */
    ROW("nothing",                             "", "")
    ROW("a request",                           GET, "GET /a;")
    ROW("two behind each other",               GET GET, "GET /a;GET /a;")
    ROW("and a part of a third",               GET GET "GET", "GET /a;GET /a;~")
    ROW("a body by its length",                SIZED("5") "hello", "POST /b+hello;")
    ROW("a body of length 0",                  SIZED("0") GET, "POST /b;GET /a;")
    ROW("leading zeros of a length",           SIZED("0005") "hello" GET, "POST /b+hello;GET /a;")
    ROW("a body that is not all there",        SIZED("5") "hel", "POST /b+hel~")
    ROW("a body that looks like a request",    SIZED("28") GET GET, "POST /b+" GET ";GET /a;")
    ROW("a body that reaches into the next",   SIZED("29") GET GET, "POST /b+" GET "G;ET /a;")
    ROW("a length past 18 digits",             SIZED("1234567890123456789"), "!400")
    ROW("a body in chunks",                    CHUNKED "5" EOL "hello" EOL LAST GET, "POST /b+hello;GET /a;")
    ROW("several chunks",                      CHUNKED "2" EOL "he" EOL "1" EOL "l" EOL "2" EOL "lo" EOL LAST, "POST /b+hello;")
    ROW("no chunk but the last",               CHUNKED LAST GET, "POST /b+;GET /a;")
    ROW("the last chunk of many zeros",        CHUNKED "000000000000000" EOL EOL, "POST /b+;")
    ROW("hexadecimal, large and small",        CHUNKED "0A" EOL "0123456789" EOL "a" EOL "0123456789" EOL LAST, "POST /b+01234567890123456789;")
    ROW("a request hidden in a chunk",         CHUNKED "1c" EOL GET EOL LAST, "POST /b+" GET ";")
    ROW("a chunk that is not all there",       CHUNKED "5" EOL "hel", "POST /b+hel~")
    ROW("a size that is not all there",        CHUNKED "5", "POST /b+~")
    ROW("no last chunk",                       CHUNKED "5" EOL "hello" EOL, "POST /b+hello~")
    ROW("no empty line at the end",            CHUNKED "0" EOL, "POST /b+~")
    ROW("the largest size",                    CHUNKED "fffffffffffffff" EOL "x", "POST /b+x~")
    /* a chunk's size */
    ROW("16 digits",                           CHUNKED "ffffffffffffffff" EOL, "POST /b+!400")
    ROW("16 digits that are zeros",            CHUNKED "0000000000000000" EOL EOL, "POST /b+!400")
    ROW("a size past 64 bits",                 CHUNKED "10000000000000005" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("no size",                             CHUNKED EOL, "POST /b+!400")
    ROW("a sign",                              CHUNKED "+5" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("a minus",                             CHUNKED "-5" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("0x",                                  CHUNKED "0x5" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("an underscore",                       CHUNKED "1_0" EOL "0123456789abcdef" EOL LAST, "POST /b+!400")
    ROW("a blank before the size",             CHUNKED " 5" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("a blank behind it",                   CHUNKED "5 " EOL "hello" EOL LAST, "POST /b+!400")
    ROW("a letter past f",                     CHUNKED "g" EOL, "POST /b+!400")
    ROW("a NUL in the size",                   CHUNKED "5\0" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("a bare LF behind the size",           CHUNKED "5\nhello" EOL LAST, "POST /b+!400")
    ROW("a bare CR behind the size",           CHUNKED "5\rhello" EOL LAST, "POST /b+!400")
    ROW("a chunk that is longer than its size", CHUNKED "5" EOL "hello!" EOL LAST, "POST /b+hello!400")
    ROW("a chunk that is shorter",             CHUNKED "6" EOL "hello" EOL LAST, "POST /b+hello\r!400")
    ROW("a bare LF behind the chunk",          CHUNKED "5" EOL "hello\n" LAST, "POST /b+hello!400")
    ROW("nothing behind the chunk",            CHUNKED "5" EOL "hello" LAST, "POST /b+hello!400")
    /* its extensions */
    ROW("an extension",                        CHUNKED "5;a" EOL "hello" EOL LAST, "POST /b+hello;")
    ROW("with a value",                        CHUNKED "5;a=b;c=d" EOL "hello" EOL LAST, "POST /b+hello;")
    ROW("with a quoted one",                   CHUNKED "5;a=\"b; c\\\" \\\\=\"" EOL "hello" EOL LAST, "POST /b+hello;")
    ROW("an empty quoted one",                 CHUNKED "5;a=\"\"" EOL "hello" EOL LAST, "POST /b+hello;")
    ROW("of the last chunk",                   CHUNKED "0;a=b" EOL EOL GET, "POST /b+;GET /a;")
    ROW("an extension without a name",         CHUNKED "5;" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("without a name but with a value",     CHUNKED "5;=b" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("without its value",                   CHUNKED "5;a=" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("without its second quote",            CHUNKED "5;a=\"b" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("words behind the quote",              CHUNKED "5;a=\"b\"c" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("a blank before it",                   CHUNKED "5 ;a" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("a blank in it",                       CHUNKED "5;a b" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("a comma",                             CHUNKED "5,a" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("a control character in it",           CHUNKED "5;a\x01" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("one in quotes",                       CHUNKED "5;a=\"\x01\"" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("an escaped one",                      CHUNKED "5;a=\"\\\x01\"" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("a bare LF in it",                     CHUNKED "5;a\n" "5" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("a bare LF in quotes",                 CHUNKED "5;a=\"\n\"" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("a bare CR in it",                     CHUNKED "5;a\rX" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("an extension of 252",                 CHUNKED "5;" A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 "aaaaaaaaaaaa" EOL "hello" EOL LAST, "POST /b+hello;")
    ROW("of 253",                              CHUNKED "5;" A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 "aaaaaaaaaaaaa" EOL "hello" EOL LAST, "POST /b+!400")
    ROW("one without an end",                  CHUNKED "5;" A256 A256, "POST /b+!400")
    /* trailers */
    ROW("trailers are read and forgotten",     CHUNKED "0" EOL "X: y" EOL "Content-Length: 7" EOL EOL GET, "POST /b+;GET /a;")
    ROW("a trailer that is no header",         CHUNKED "0" EOL "GET / HTTP/1.1" EOL EOL, "POST /b+!400")
    ROW("a trailer with a bare LF",            CHUNKED "0" EOL "X: y\n\n", "POST /b+!400")
    ROW("a folded trailer",                    CHUNKED "0" EOL "X: y" EOL " z" EOL EOL, "POST /b+!400")
    ROW("a blank before a trailer's colon",    CHUNKED "0" EOL "X : y" EOL EOL, "POST /b+!400")
    ROW("an empty line of one LF",             CHUNKED "0" EOL "\n", "POST /b+!400")
    ROW("an empty line of one CR",             CHUNKED "0" EOL "\rX", "POST /b+!400")
    ROW("as many trailers as are taken",       CHUNKED "0" EOL TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER EOL, "POST /b+;")
    ROW("and more",                            CHUNKED "0" EOL TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER TRAILER EOL, "POST /b+!431")
    /* what was refused stays refused */
    ROW("a good request behind a bad one",     "GET /a HTTP/1.1" EOL "Host : h" EOL EOL GET, "!400")
    ROW("behind a body in chunks with a length", POST("Content-Length: 5" EOL "Transfer-Encoding: chunked" EOL) LAST GET, "!400")
    ROW("behind a bad chunk",                  CHUNKED "z" EOL GET, "POST /b+!400")
    ROW("a good one before a bad one",         GET "GET /a HTTP/1.0" EOL EOL, "GET /a;!505")
    ROW("an empty line before a request",      SIZED("5") "hello" EOL GET, "POST /b+hello;!400")
    /* clang-format on */
};

/* Takes all parts that are in *in; what they say goes to *said. */
static void take_all(struct http_stream *s, struct str *in, struct buf *said)
{
    static struct http_head head;
    struct str piece;
    struct fault why;
    for (;;) {
        switch (http_stream_next(s, in, &head, &piece, &why)) {
        case HTTP_PART_HEAD:
            buf_printf(said, "%.*s %.*s%s", STR_ARG(head.method), STR_ARG(head.target),
                       http_stream_has_body(s) ? "+" : "");
            break;
        case HTTP_PART_BODY:
            buf_put_str(said, piece);
            break;
        case HTTP_PART_END:
            buf_put_byte(said, ';');
            break;
        case HTTP_PART_BAD:
            buf_printf(said, "!%d", s->status);
            check(why.reason[0] != '\0' || why.field[0] == '\0');
            return;
        case HTTP_PART_NONE:
            return;
        }
    }
}

/* Bytes come in pieces: the first of one size, all behind it of another. Each time what is there has memory of its own,
 * so that a sanitizer sees a step past it. */
static void read_cut(struct str all, size_t first, size_t others, struct buf *said)
{
    struct http_stream s;
    size_t taken = 0;
    http_stream_init(&s);
    for (size_t there = 0, size = first; there < all.len && s.at != HTTP_AT_BAD; size = others) {
        there = size < all.len - there ? there + size : all.len;
        char *copy = malloc(there - taken);
        check(copy != NULL);
        memcpy(copy, all.at + taken, there - taken);
        struct str in = {copy, there - taken};
        take_all(&s, &in, said);
        taken = there - in.len;
        free(copy);
    }
    if (s.at != HTTP_AT_BAD && (s.at != HTTP_AT_HEAD || taken < all.len))
        buf_put_byte(said, '~');
}

static void check_cut(const char *row, struct str all, const char *want, size_t first, size_t others)
{
    struct buf said;
    buf_init(&said, SAID_MAX);
    read_cut(all, first, others, &said);
    bool is_so = str_eq(buf_str(&said), str_of(want)) || (said.len == 0 && want[0] == '\0');
    CHECK(row, is_so);
    if (!is_so)
        (void)fprintf(stderr, "cut at %zu, then every %zu: %.*s\n", first, others, STR_ARG(buf_str(&said)));
    buf_release(&said);
}

static void test_rows(void)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_cut(rows[i].row, rows[i].bytes, rows[i].said, rows[i].bytes.len, 1);
        check_cut(rows[i].row, rows[i].bytes, rows[i].said, 1, 1);
        for (size_t cut = 1; cut < rows[i].bytes.len; cut++)
            check_cut(rows[i].row, rows[i].bytes, rows[i].said, cut, rows[i].bytes.len);
    }
}

/* Each byte behind a chunk's size, in an extension's name, value and quotes; RFC 9110, 5.6.2 and 5.6.4. */
static void test_every_byte(void)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char hex[] = "0123456789abcdefABCDEF";
    static const struct {
        const char *row, *before, *after, *allowed, *extra; /* NULL: all that is no control character */
    } places[] = {
        {"a digit of the size", "1", "1", hex, ";"},
        {"behind the size", "1", "", hex, ""},
        {"in a name", "1;a", "b", token, ";="},
        {"in a value", "1;a=b", "c", token, ";"},
        {"in a quoted value", "1;a=\"b", "\"", NULL, "\t"},
        {"escaped", "1;a=\"\\", "\"", NULL, "\t"},
    };
    for (size_t i = 0; i < COUNT_OF(places); i++)
        for (unsigned byte = 1; byte < 256; byte++) {
            char text[256];
            static struct http_head head;
            struct http_stream s;
            struct str piece;
            int n = snprintf(text, sizeof text, "%s%s%c%s" EOL, CHUNKED, places[i].before, (int)byte, places[i].after);
            struct str in = {text, (size_t)n};
            http_stream_init(&s);
            check(http_stream_next(&s, &in, &head, &piece, NULL) == HTTP_PART_HEAD);
            bool is_allowed = strchr(places[i].extra, (int)byte) != NULL ||
                              (places[i].allowed != NULL ? strchr(places[i].allowed, (int)byte) != NULL
                                                         : byte >= ' ' && byte != 0x7F);
            if (places[i].allowed == NULL && (byte == '"' || byte == '\\'))
                continue; /* these change what follows: rows have them */
            CHECK(places[i].row, (http_stream_next(&s, &in, &head, &piece, NULL) != HTTP_PART_BAD) == is_allowed);
        }
}

static void test_lengths(void)
{
    static struct http_head head;
    struct http_stream s;
    struct str piece, in = STR(SIZED("99999999999"));
    http_stream_init(&s);
    CHECK("a head", http_stream_next(&s, &in, &head, &piece, NULL) == HTTP_PART_HEAD);
    CHECK("says how much follows", s.left == 99999999999 && !s.is_chunked && http_stream_has_body(&s));
    CHECK("nothing does", http_stream_next(&s, &in, &head, &piece, NULL) == HTTP_PART_NONE && in.len == 0);
    in = STR(GET);
    http_stream_init(&s);
    CHECK("without a body", http_stream_next(&s, &in, &head, &piece, NULL) == HTTP_PART_HEAD);
    CHECK("nothing is said to", !http_stream_has_body(&s));
}

int main(void)
{
    test_rows();
    test_every_byte();
    test_lengths();
    return CHECK_REPORT();
}
