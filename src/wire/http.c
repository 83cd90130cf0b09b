/* wire/http.c - a head is read in one pass from left to right (wire/http_text.h); what concerns it as a whole is looked
 * at after its end. The rules of the upgrade, of the path and of basic authentication are here too: all of them are
 * rules about text of one head.
 *
 * Where RFC 9112 leaves the choice to be lenient we are not: what two programs may read differently is how requests are
 * smuggled. */
#include "wire/http.h"

#include <string.h>

#include "wire/http_text.h"
#include "wire/ws.h"

#define PORT_DIGITS_MAX   5
#define LENGTH_DIGITS_MAX 18 /* fits int64_t whatever the digits are */
#define SCHEME_BASIC      "Basic "

static const struct {
    int status;
    const char *text;
} status_texts[] = {
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

/* "HTTP/1.1". Another version in the right form is told apart from nonsense: it is answered with 505. */
static enum err version_take(struct http_cursor *c)
{
    static const char reason[] = "not HTTP/ and two digits";
    char digits[2] = {0};
    enum err e = http_literal_take(c, STR("HTTP/"), STR("version"), reason);
    for (size_t i = 0; e == OK && i < COUNT_OF(digits); i++) {
        if (i == 1)
            e = http_literal_take(c, STR("."), STR("version"), reason);
        if (e == OK)
            e = http_cursor_more(c);
        if (e != OK)
            return e;
        digits[i] = c->at[c->pos];
        if (!http_is(digits[i], IS_DIGIT))
            return http_refuse(c, ERR_FORMAT, 400, STR("version"), reason);
        c->pos++;
    }
    if (e == OK)
        e = http_cursor_more(c); /* a further digit makes it nonsense, not another version */
    if (e != OK)
        return e;
    if (http_is(c->at[c->pos], IS_DIGIT))
        return http_refuse(c, ERR_FORMAT, 400, STR("version"), reason);
    return digits[0] == '1' && digits[1] == '1' ? OK : http_refuse(c, ERR_UNSUPPORTED, 505, STR("version"), "not 1.1");
}

/* RFC 9112, 3: single blanks, nothing before or behind. */
static enum err request_line_take(struct http_cursor *c, struct http_head *h)
{
    enum err e = http_word_take(c, IS_TOKEN, &h->method);
    if (e == OK && h->method.len == 0)
        return http_refuse(c, ERR_FORMAT, 400, STR("method"), "not a token");
    if (e == OK)
        e = http_literal_take(c, STR(" "), STR("method"), "not a token and one blank");
    if (e == OK)
        e = http_cursor_more(c);
    if (e == OK && c->at[c->pos] != '/')
        return http_refuse(c, ERR_FORMAT, 400, STR("target"), "not a path");
    if (e == OK)
        e = http_word_take(c, IS_TARGET, &h->target);
    if (e == OK)
        e = http_literal_take(c, STR(" "), STR("target"), "a character that a path may not have");
    if (e == OK)
        e = version_take(c);
    return e == OK ? http_literal_take(c, STR("\r\n"), STR("request line"), "does not end in CR LF") : e;
}

/* RFC 9112, 4; the reason phrase may be empty, its blank may not be missing. */
static enum err status_line_take(struct http_cursor *c, struct http_head *h)
{
    struct str digits = {0}, phrase;
    enum err e = version_take(c);
    if (e == OK)
        e = http_literal_take(c, STR(" "), STR("status"), "no blank before it");
    if (e == OK)
        e = http_word_take(c, IS_DIGIT, &digits);
    if (e != OK)
        return e;
    if (digits.len != 3 || digits.at[0] < '1' || digits.at[0] > '5')
        return http_refuse(c, ERR_FORMAT, 400, STR("status"), "not three digits from 100 to 599");
    h->status = (digits.at[0] - '0') * 100 + (digits.at[1] - '0') * 10 + (digits.at[2] - '0');
    e = http_literal_take(c, STR(" "), STR("status"), "no blank behind it");
    if (e == OK)
        e = http_word_take(c, IS_VALUE, &phrase);
    return e == OK ? http_literal_take(c, STR("\r\n"), STR("status line"), "does not end in CR LF") : e;
}

static enum err headers_take(struct http_cursor *c, struct http_head *h)
{
    enum err e;
    while ((e = http_cursor_more(c)) == OK && c->at[c->pos] != '\r') {
        if (h->header_count == HTTP_HEADERS_MAX)
            return http_refuse(c, ERR_LIMIT, 431, STR("head"), "too many headers");
        e = http_header_take(c, &h->headers[h->header_count]);
        if (e != OK)
            return e;
        h->header_count++;
    }
    if (e == OK)
        e = http_literal_take(c, STR("\r\n"), STR("head"), "the empty line is not CR LF");
    h->size = c->pos;
    return e;
}

/* RFC 9110, 7.2: host [":" port] */
static bool host_is_valid(struct str host)
{
    size_t end = 0, digits;
    if (host.len > 0 && host.at[0] == '[') {
        const char *close = memchr(host.at, ']', host.len);
        end = close == NULL ? 0 : (size_t)(close - host.at);
        if (!http_is_all(http_cut(host, 1, end > 1 ? end : 1), IS_IP6))
            return false;
        end++;
    } else {
        while (end < host.len && http_is(host.at[end], IS_HOST))
            end++;
    }
    if (end == 0 || end == host.len)
        return end > 0;
    digits = host.len - end - 1;
    return host.at[end] == ':' &&
           (digits == 0 || (digits <= PORT_DIGITS_MAX && http_is_all(http_cut(host, end + 1, host.len), IS_DIGIT)));
}

/* RFC 9112, 6: at most one length, given in one way. *has_body: more than 0 bytes, or chunks. */
static enum err body_check(struct http_cursor *c, const struct http_head *h, bool *has_body)
{
    size_t lengths, encodings;
    struct str length = http_find(h, STR("Content-Length"), &lengths);
    struct str encoding = http_find(h, STR("Transfer-Encoding"), &encodings);
    *has_body = encodings > 0;
    if (lengths > 1 || encodings > 1 || (lengths > 0 && encodings > 0))
        return http_refuse(c, ERR_FORMAT, 400, STR("Content-Length"), "the length of the body is given twice");
    if (encodings > 0 && !str_eq_nocase(encoding, STR("chunked")))
        return http_refuse(c, ERR_FORMAT, 400, STR("Transfer-Encoding"), "not chunked");
    if (lengths > 0 && (!http_is_all(length, IS_DIGIT) || length.len > LENGTH_DIGITS_MAX))
        return http_refuse(c, ERR_FORMAT, 400, STR("Content-Length"), "not a number");
    for (size_t i = 0; i < length.len; i++)
        *has_body = *has_body || length.at[i] != '0';
    return OK;
}

static enum err request_check(struct http_cursor *c, const struct http_head *h)
{
    size_t hosts, upgrades;
    struct str host = http_find(h, STR("Host"), &hosts);
    (void)http_find(h, STR("Upgrade"), &upgrades);
    bool has_body;
    enum err e = body_check(c, h, &has_body);
    if (e != OK)
        return e;
    if (hosts != 1)
        return http_refuse(c, ERR_FORMAT, 400, STR("Host"), hosts == 0 ? "missing" : "more than one");
    if (!host_is_valid(host))
        return http_refuse(c, ERR_FORMAT, 400, STR("Host"), "not a host and a port");
    if (upgrades > 0 && has_body)
        return http_refuse(c, ERR_FORMAT, 400, STR("Content-Length"), "an upgrade has no body");
    return OK;
}

enum err http_read_request(struct str text, struct http_head *out, int *status, struct fault *why)
{
    struct http_cursor c = {.at = text.at, .what = STR("head"), .why = why};
    struct http_head h = {0};
    http_cursor_limit(&c, text.len, HTTP_LINE_MAX + CRLF_SIZE, 414);
    enum err e = request_line_take(&c, &h);
    http_cursor_limit(&c, text.len, HTTP_HEAD_MAX, 431);
    if (e == OK)
        e = headers_take(&c, &h);
    if (e == OK)
        e = request_check(&c, &h);
    if (e == OK)
        *out = h;
    else if (e != ERR_AGAIN)
        *status = c.status;
    return e;
}

enum err http_read_answer(struct str text, struct http_head *out, struct fault *why)
{
    struct http_cursor c = {.at = text.at, .what = STR("head"), .why = why};
    struct http_head h = {0};
    bool has_body;
    http_cursor_limit(&c, text.len, HTTP_HEAD_MAX, 431);
    enum err e = status_line_take(&c, &h);
    if (e == OK)
        e = headers_take(&c, &h);
    if (e == OK)
        e = body_check(&c, &h, &has_body);
    if (e == OK)
        *out = h;
    return e;
}

struct str http_find(const struct http_head *h, struct str name, size_t *count)
{
    struct str found = {NULL, 0};
    size_t n = 0;
    for (size_t i = 0; i < h->header_count; i++) {
        if (!str_eq_nocase(h->headers[i].name, name))
            continue;
        if (n++ == 0)
            found = h->headers[i].value;
    }
    if (count != NULL)
        *count = n;
    return found;
}

/* *cursor: which header, and how far in its value; a value is shorter than a head. */
#define CURSOR_STEP (HTTP_HEAD_MAX + 1)

bool http_next_token(const struct http_head *h, struct str name, size_t *cursor, struct str *token)
{
    size_t index = *cursor / CURSOR_STEP, from = *cursor % CURSOR_STEP;
    for (; index < h->header_count; index++, from = 0) {
        struct str value = h->headers[index].value;
        if (!str_eq_nocase(h->headers[index].name, name))
            continue;
        while (from < value.len) {
            const char *comma = memchr(value.at + from, ',', value.len - from);
            size_t to = comma == NULL ? value.len : (size_t)(comma - value.at);
            struct str found = http_trim(http_cut(value, from, to));
            from = to < value.len ? to + 1 : to;
            if (found.len == 0)
                continue; /* RFC 9110, 5.6.1: an empty element counts for nothing */
            *cursor = index * CURSOR_STEP + from;
            *token = found;
            return true;
        }
    }
    *cursor = index * CURSOR_STEP;
    return false;
}

static bool has_token(const struct http_head *h, struct str name, struct str wanted)
{
    struct str token;
    for (size_t cursor = 0; http_next_token(h, name, &cursor, &token);)
        if (str_eq_nocase(token, wanted))
            return true;
    return false;
}

enum err http_check_upgrade(const struct http_head *h, bool lenient, struct str *key, int *status, struct fault *why)
{
    struct http_cursor c = {.why = why};
    size_t versions, keys;
    struct str version = http_find(h, STR("Sec-WebSocket-Version"), &versions);
    struct str sent_key = http_find(h, STR("Sec-WebSocket-Key"), &keys);
    enum err e = OK;
    if (!str_eq(h->method, STR("GET")))
        e = http_refuse(&c, ERR_UNSUPPORTED, 405, STR("method"), "not GET");
    else if (!has_token(h, STR("Upgrade"), STR("websocket")))
        e = http_refuse(&c, ERR_UNSUPPORTED, 426, STR("Upgrade"), "not to websocket");
    else if (versions > 1 || keys != 1)
        e = http_refuse(&c, ERR_FORMAT, 400, keys == 1 ? STR("Sec-WebSocket-Version") : STR("Sec-WebSocket-Key"),
                        "not one line");
    else if (!str_eq(version, STR("13")))
        e = http_refuse(&c, ERR_UNSUPPORTED, 426, STR("Sec-WebSocket-Version"), "not 13");
    else if (!ws_key_is_valid(sent_key))
        e = http_refuse(&c, ERR_FORMAT, 400, STR("Sec-WebSocket-Key"), "not base64 of 16 bytes");
    else if (!lenient && !has_token(h, STR("Connection"), STR("Upgrade")))
        e = http_refuse(&c, ERR_FORMAT, 400, STR("Connection"), "not Upgrade");
    if (e == OK)
        *key = sent_key;
    else
        *status = c.status;
    return e;
}

/* The next segment of a path that starts with '/'; *path goes on behind it. */
static bool segment_take(struct str *path, struct str *segment)
{
    if (path->len == 0 || path->at[0] != '/')
        return false;
    const char *slash = memchr(path->at + 1, '/', path->len - 1);
    size_t end = slash == NULL ? path->len : (size_t)(slash - path->at);
    *segment = http_cut(*path, 1, end);
    *path = http_cut(*path, end, path->len);
    return true;
}

/* A prefix as segments: "/ocpp/{tenant}" has one that any text but none matches. "/" and "" are the root. */
static bool prefix_take(struct str prefix, struct str *path)
{
    struct str wanted, segment, rest = *path;
    if (prefix.len > 0 && prefix.at[prefix.len - 1] == '/')
        prefix.len--;
    while (segment_take(&prefix, &wanted)) {
        bool is_any = wanted.len > 2 && wanted.at[0] == '{' && wanted.at[wanted.len - 1] == '}';
        if (!segment_take(&rest, &segment) || !(is_any ? segment.len > 0 : str_eq(wanted, segment)))
            return false;
    }
    *path = rest;
    return true;
}

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Once; '+' is a plus sign. */
static enum err percent_decode(struct str from, char out[IDENTITY_MAX], size_t *len)
{
    size_t n = 0;
    for (size_t i = 0; i < from.len; i++) {
        char c = from.at[i];
        if (c == '%') {
            if (from.len - i < 3 || !http_is(from.at[i + 1], IS_HEX) || !http_is(from.at[i + 2], IS_HEX))
                return ERR_FORMAT;
            c = (char)(hex_value(from.at[i + 1]) << 4 | hex_value(from.at[i + 2]));
            i += 2;
        }
        if (n == IDENTITY_MAX)
            return ERR_RANGE;
        out[n++] = c;
    }
    *len = n;
    return OK;
}

/* C0, DEL, and C1, which in UTF-8 is C2 80 to C2 9F. The text is valid UTF-8. */
static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = (uint8_t)s.at[i];
        if (c < 0x20 || c == 0x7F || (c == 0xC2 && (uint8_t)s.at[i + 1] < 0xA0))
            return true;
    }
    return false;
}

enum err http_identity(struct str target, const struct str *prefixes, size_t prefix_count, char out[IDENTITY_MAX + 1],
                       size_t *len)
{
    const char *query = target.len == 0 ? NULL : memchr(target.at, '?', target.len);
    struct str path = {target.at, query == NULL ? target.len : (size_t)(query - target.at)}, segment = {NULL, 0};
    bool is_found = false;
    for (size_t i = 0; !is_found && i < prefix_count; i++) {
        struct str rest = path;
        is_found = prefix_take(prefixes[i], &rest) && segment_take(&rest, &segment) &&
                   (rest.len == 0 || str_eq(rest, STR("/")));
    }
    if (!is_found)
        return ERR_UNKNOWN;
    char decoded[IDENTITY_MAX];
    size_t n = 0;
    enum err e = percent_decode(segment, decoded, &n);
    if (e != OK)
        return e;
    struct str identity = {decoded, n};
    if (n == 0 || !utf8_is_valid((struct bytes){(const uint8_t *)decoded, n}) || has_control(identity))
        return ERR_FORMAT;
    if (str_eq(identity, STR(".")) || str_eq(identity, STR("..")))
        return ERR_UNKNOWN; /* RFC 3986, 5.2.4: these name another path */
    memcpy(out, decoded, n);
    out[n] = '\0';
    *len = n;
    return OK;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648, 4, in its one canonical spelling. */
static enum err base64_decode(struct str from, struct buf *out)
{
    size_t chars = from.len;
    if (from.len == 0 || from.len % 4 != 0)
        return ERR_FORMAT;
    while (from.len - chars < 2 && from.at[chars - 1] == '=')
        chars--;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    for (size_t i = 0; i < chars; i++) {
        int value = base64_value(from.at[i]);
        if (value < 0)
            return ERR_FORMAT;
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count < 8)
            continue;
        bit_count -= 8;
        buf_put_byte(out, (uint8_t)(bits >> bit_count));
        bits &= (UINT32_C(1) << bit_count) - 1;
    }
    if (bits != 0)
        return ERR_FORMAT; /* left over bits are 0 */
    return out->failed ? ERR_MEMORY : OK;
}

enum err http_basic_password(const struct http_head *h, struct str identity, struct buf *scratch,
                             struct bytes *password)
{
    size_t count;
    struct str value = http_find(h, STR("Authorization"), &count), scheme = STR(SCHEME_BASIC);
    if (count == 0)
        return ERR_MISSING;
    if (count > 1 || value.len < scheme.len || !str_eq_nocase(http_cut(value, 0, scheme.len), scheme))
        return ERR_FORMAT;
    buf_clear(scratch);
    enum err e = base64_decode(http_trim(http_cut(value, scheme.len, value.len)), scratch);
    if (e != OK)
        return e;
    struct str decoded = buf_str(scratch);
    if (memchr(decoded.at, ':', decoded.len) == NULL)
        return ERR_FORMAT;
    if (decoded.len <= identity.len || !str_starts(decoded, identity) || decoded.at[identity.len] != ':')
        return ERR_DENIED;
    *password = (struct bytes){scratch->at + identity.len + 1, scratch->len - identity.len - 1};
    return OK;
}

const char *http_status_text(int status)
{
    for (size_t i = 0; i < COUNT_OF(status_texts); i++)
        if (status_texts[i].status == status)
            return status_texts[i].text;
    return "Unknown";
}
