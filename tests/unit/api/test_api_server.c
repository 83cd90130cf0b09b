/* The API over sockets: who may ask, what is refused and how, what HTTP demands, what a repeat gets, what a stream
 * sends. */
#include "apikit.h"
#include "wire/http.h"

#define AGAIN_COUNT 2000u

static struct kit k;

static const struct {
    const char *row, *key, *method, *target, *headers, *body;
    int status;
    const char *text; /* that the answer has */
} calls[] = {
    {"health needs no key", NULL, "GET", "/healthz", NULL, NULL, 200, "\"code\":\"SUCCESS\""},
    {"readiness needs no key", NULL, "GET", "/readyz", NULL, NULL, 200, "\"status\":\"ok\""},
    {"metrics need no key", NULL, "GET", "/metrics", NULL, NULL, 200, "# TYPE api_requests_total counter"},
    {"the description needs no key", NULL, "GET", "/openapi.json", NULL, NULL, 200, "\"openapi\":\"3.1.0\""},
    {"the root says where to begin", NULL, "GET", "/", NULL, NULL, 200, "/openapi.json"},
    {"HEAD has no body", NULL, "HEAD", "/healthz", NULL, NULL, 200, "Content-Type: application/json"},
    {"HEAD of a stream ends", KIT_KEY, "HEAD", "/api/v1/events/stream", NULL, NULL, 200,
     "Content-Type: text/event-stream"},
    {"the API needs a key", NULL, "GET", "/api/v1/charge-points", NULL, NULL, 401, "WWW-Authenticate: Bearer"},
    {"also where there is nothing", NULL, "GET", "/api/v1/nothing", NULL, NULL, 401, "UNAUTHORIZED"},
    {"also at its edge", NULL, "GET", "/api", NULL, NULL, 401, "UNAUTHORIZED"},
    {"another scheme is no key", NULL, "GET", "/api/v1/system", "Authorization: Basic abc\r\n", NULL, 401,
     "UNAUTHORIZED"},
    {"a scheme in other case is one", NULL, "GET", "/api/v1/system", "Authorization: bearer " KIT_KEY "\r\n", NULL, 200,
     "\"engine\""},
    {"a wrong key", "wrong", "GET", "/api/v1/system", NULL, NULL, 401, "UNAUTHORIZED"},
    {"nothing", KIT_KEY, "GET", "/api/v1/nothing", NULL, NULL, 404, "NOT_FOUND"},
    {"nothing outside the API", NULL, "GET", "/nothing", NULL, NULL, 404, "\"trace_id\""},
    {"a wrong method", KIT_KEY, "PATCH", "/api/v1/charge-points/CP1", NULL, NULL, 405, "Allow: GET, HEAD, PUT, DELETE"},
    {"a request id comes back", KIT_KEY, "GET", "/api/v1/system", "X-Request-ID: mine-1\r\n", NULL, 200,
     "X-Request-ID: mine-1"},
    {"a trace is continued", KIT_KEY, "GET", "/api/v1/system",
     "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n", NULL, 200,
     "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\""},
    {"the server", KIT_KEY, "GET", "/api/v1/system", NULL, NULL, 200, "\"stations\":3"},
    {"an unknown parameter is named", KIT_KEY, "GET", "/api/v1/charge-points?colour=red", NULL, NULL, 400,
     "\"field\":\"colour\""},
    {"a value out of range", KIT_KEY, "GET", "/api/v1/charge-points?page=0", NULL, NULL, 422, "\"field\":\"page\""},
    {"two ways to page", KIT_KEY, "GET", "/api/v1/charge-points?page=1&limit=5", NULL, NULL, 400, "INVALID_REQUEST"},
    {"a cursor of another list", KIT_KEY, "GET", "/api/v1/charge-points?cursor=00", NULL, NULL, 422, "CURSOR_INVALID"},
    {"an empty list", KIT_KEY, "GET", "/api/v1/transactions", NULL, NULL, 200,
     "\"data\":{\"list\":[],\"total\":0,\"page\":1,\"page_size\":20}"},
    {"an empty list by cursor", KIT_KEY, "GET", "/api/v1/transactions?limit=5", NULL, NULL, 200,
     "\"data\":{\"list\":[],\"next_cursor\":null}"},
    {"sessions", KIT_KEY, "GET", "/api/v1/charging/sessions?sort=-start_time", NULL, NULL, 200, "\"total\":0"},
    {"sessions by cursor", KIT_KEY, "GET", "/api/v1/charging/sessions?limit=2", NULL, NULL, 200,
     "\"next_cursor\":null"},
    {"no session", KIT_KEY, "GET", "/api/v1/charging/sessions/x", NULL, NULL, 404, "NOT_FOUND"},
    {"no curve", KIT_KEY, "GET", "/api/v1/charging/sessions/x/curve", NULL, NULL, 404, "NOT_FOUND"},
    {"statistics", KIT_KEY, "GET", "/api/v1/charging/statistics", NULL, NULL, 200, "\"active_sessions\":0"},
    {"a transaction id that is text", KIT_KEY, "GET", "/api/v1/transactions/abc", NULL, NULL, 404, "NOT_FOUND"},
    {"a transaction id past 31 bits", KIT_KEY, "GET", "/api/v1/transactions/2147483648", NULL, NULL, 404, "NOT_FOUND"},
    {"a transaction that is not", KIT_KEY, "GET", "/api/v1/transactions/77", NULL, NULL, 404, "NOT_FOUND"},
    {"meter values of none", KIT_KEY, "GET", "/api/v1/transactions/77/meter-values", NULL, NULL, 404, "NOT_FOUND"},
    {"no command", KIT_KEY, "GET", "/api/v1/commands/x", NULL, NULL, 404, "NOT_FOUND"},
    {"no tag", KIT_KEY, "GET", "/api/v1/id-tags/x", NULL, NULL, 404, "NOT_FOUND"},
    {"no quarantined message", KIT_KEY, "GET", "/api/v1/quarantine/x", NULL, NULL, 404, "NOT_FOUND"},
    {"no dead letter", KIT_KEY, "POST", "/api/v1/dead-letters/1/retry", NULL, "{}", 404, "NOT_FOUND"},
    {"a dead letter's id that is text", KIT_KEY, "POST", "/api/v1/dead-letters/x/discard", NULL, "{}", 404,
     "NOT_FOUND"},
    {"no station", KIT_KEY, "GET", "/api/v1/charge-points/CP0", NULL, NULL, 404, "NOT_FOUND"},
    {"messages of no station", KIT_KEY, "GET", "/api/v1/charge-points/CP0/messages", NULL, NULL, 404, "NOT_FOUND"},
    {"commands of no station", KIT_KEY, "GET", "/api/v1/charge-points/CP0/commands", NULL, NULL, 404, "NOT_FOUND"},
    {"an event type that is not", KIT_KEY, "GET", "/api/v1/events?type=x", NULL, NULL, 422, "\"field\":\"type\""},
    {"an inner event type", KIT_KEY, "GET", "/api/v1/events?type=frame.seen", NULL, NULL, 422, "\"field\":\"type\""},
    {"a trace id that is none", KIT_KEY, "GET", "/api/v1/events?trace_id=x", NULL, NULL, 422, "\"field\":\"trace_id\""},
    {"a body where none is taken", KIT_KEY, "DELETE", "/api/v1/id-tags/x", NULL, "{}", 400, "INVALID_REQUEST"},
    {"no body where one is needed", KIT_KEY, "POST", "/api/v1/api-keys", NULL, NULL, 400, "MISSING"},
    {"an unknown field is named", KIT_KEY, "POST", "/api/v1/api-keys", NULL,
     "{\"name\":\"a\",\"role\":\"viewer\",\"x\":1}", 400, "\"field\":\"x\""},
    {"an id that no station can have", KIT_KEY, "PUT", "/api/v1/charge-points/a%2Fb", NULL, "{}", 422,
     "charge_point_id"},
    {"a short secret", KIT_KEY, "PUT", "/api/v1/charge-points/CP1", NULL, "{\"secret\":\"short\"}", 422, "secret"},
    {"a place that is no object", KIT_KEY, "PUT", "/api/v1/charge-points/CP1", NULL, "{\"location\":[1]}", 422,
     "location"},
    {"a station is made", KIT_KEY, "PUT", "/api/v1/charge-points/CP1", NULL,
     "{\"name\":\"one\",\"secret\":\"0123456789ABCDEF\",\"tags\":[\"a b\",\"c\"],\"location\":{\"city\":\"X\"}}", 201,
     "Location: /api/v1/charge-points/CP1"},
    {"a station is changed", KIT_KEY, "PUT", "/api/v1/charge-points/CP1", NULL, "{\"registration\":\"pending\"}", 200,
     "\"name\":\"one\",\"registration\":\"pending\",\"security_profile\":0,\"has_secret\":true,\"tags\":[\"a "
     "b\",\"c\"],\"location\":{\"city\":\"X\"}"},
    {"a station is shown", KIT_KEY, "GET", "/api/v1/charge-points/CP1", NULL, NULL, 200,
     "\"connectors\":[],\"counters\":{\"events\":0"},
    {"a station is found by its beginning", KIT_KEY, "GET", "/api/v1/charge-points?q=CP", NULL, NULL, 200,
     "\"total\":1"},
    {"and not by another", KIT_KEY, "GET", "/api/v1/charge-points?q=D", NULL, NULL, 200, "\"total\":0"},
    {"and by its registration", KIT_KEY, "GET", "/api/v1/charge-points?registration=pending&online=false", NULL, NULL,
     200, "\"total\":1"},
    {"a tag is made", KIT_KEY, "PUT", "/api/v1/id-tags/Tag%2F1", NULL,
     "{\"expires_at\":\"2030-01-01T00:00:00Z\",\"max_concurrent\":0}", 201,
     "\"id_tag\":\"Tag/1\",\"status\":\"accepted\",\"expires_at\":\"2030-01-01T00:00:00.000Z\""},
    {"a tag is replaced, whatever its case", KIT_KEY, "PUT", "/api/v1/id-tags/TAG%2F1", NULL,
     "{\"status\":\"blocked\"}", 200, "\"id_tag\":\"TAG/1\",\"status\":\"blocked\",\"expires_at\":null"},
    {"a tag is found", KIT_KEY, "GET", "/api/v1/id-tags?status=blocked", NULL, NULL, 200, "\"total\":1"},
    {"a time that is none", KIT_KEY, "PUT", "/api/v1/id-tags/t", NULL, "{\"expires_at\":\"tomorrow\"}", 422,
     "expires_at"},
    {"a tag goes", KIT_KEY, "DELETE", "/api/v1/id-tags/tag%2F1", NULL, NULL, 200, "\"data\":null"},
    {"a tag goes once", KIT_KEY, "DELETE", "/api/v1/id-tags/tag%2F1", NULL, NULL, 404, "NOT_FOUND"},
    {"a transaction is closed", KIT_KEY, "POST", "/api/v1/transactions/77/close", NULL, NULL, 404, "NOT_FOUND"},
    {"the quarantine is asked", KIT_KEY, "POST", "/api/v1/quarantine/q1/apply", NULL, "{\"transaction_id\":\"5\"}", 404,
     "NOT_FOUND"},
    {"of what no transaction can be", KIT_KEY, "POST", "/api/v1/quarantine/q1/apply", NULL,
     "{\"transaction_id\":\"x\"}", 422, "transaction_id"},
    {"a command", KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", NULL,
     "{\"action\":\"Reset\",\"payload\":{\"type\":\"Soft\"}}", 200,
     "\"state\":\"done\",\"outcome\":\"answered\",\"status\":\"Accepted\",\"response\":{\"status\":\"Accepted\"}"},
    {"a command to nobody", KIT_KEY, "POST", "/api/v1/charge-points/CP0/commands", NULL, "{\"action\":\"Reset\"}", 404,
     "NOT_FOUND"},
    {"a payload that is no object", KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", NULL,
     "{\"action\":\"Reset\",\"payload\":[]}", 400, "payload"},
    {"a command id that is none", KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", NULL,
     "{\"action\":\"Reset\",\"command_id\":\"x\"}", 422, "command_id"},
    {"a reference where none is taken", KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", NULL,
     "{\"action\":\"Reset\",\"transaction_id\":\"5\"}", 422, "transaction_id"},
    {"a reference to nothing", KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", NULL,
     "{\"action\":\"RemoteStopTransaction\",\"transaction_id\":\"5\"}", 422, "TRANSACTION_MISMATCH"},
    {"two references", KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", NULL,
     "{\"action\":\"RemoteStopTransaction\",\"payload\":{\"transactionId\":6},\"transaction_id\":\"5\"}", 422,
     "TRANSACTION_MISMATCH"},
    {"an idempotency key with a control character", KIT_KEY, "POST", "/api/v1/api-keys", "Idempotency-Key: a\x01\r\n",
     "{\"name\":\"a\",\"role\":\"viewer\"}", 400, ""},
    {"a station goes", KIT_KEY, "DELETE", "/api/v1/charge-points/CP1", NULL, NULL, 200, "\"data\":null"},
    {"a station goes once", KIT_KEY, "DELETE", "/api/v1/charge-points/CP1", NULL, NULL, 404, "NOT_FOUND"},
};

static void test_calls(void)
{
    for (size_t i = 0; i < COUNT_OF(calls); i++)
        kit_expect(&k, calls[i].row, calls[i].key, calls[i].method, calls[i].target, calls[i].headers, calls[i].body,
                   calls[i].status, calls[i].text);
}

/* Bytes as they are; the answer's status, 0: the connection ended without one. least, most: what is good. */
static const struct {
    const char *row, *bytes;
    int least, most;
} raws[] = {
    {"two lengths",
     "POST /api/v1/api-keys HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\nConnection: "
     "close\r\n\r\n{}",
     400, 400},
    {"a length and a coding",
     "POST /api/v1/api-keys HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\nConnection: "
     "close\r\n\r\n0\r\n\r\n",
     400, 400},
    {"a signed length",
     "POST /api/v1/api-keys HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\nConnection: close\r\n\r\n{}", 400, 400},
    {"a list of lengths",
     "POST /api/v1/api-keys HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\nConnection: close\r\n\r\n{}", 400, 413},
    {"a hexadecimal length",
     "POST /api/v1/api-keys HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\nConnection: close\r\n\r\n{}", 400, 413},
    {"another coding",
     "POST /api/v1/api-keys HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n", 400, 400},
    {"two codings",
     "POST /api/v1/api-keys HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n", 400,
     400},
    {"no host", "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400, 400},
    {"two hosts", "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", 400, 400},
    {"an absolute target", "GET http://a/healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400, 400},
    {"a star", "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400, 400},
    {"a blank before a colon", "GET /healthz HTTP/1.1\r\nHost : a\r\nConnection: close\r\n\r\n", 400, 400},
    {"a blank within a name", "GET /healthz HTTP/1.1\r\nHost: a\r\nX Y: b\r\nConnection: close\r\n\r\n", 400, 400},
    {"a control character in a header", "GET /healthz HTTP/1.1\r\nHost: a\r\nX: b\x01\r\nConnection: close\r\n\r\n",
     400, 400},
    {"a bare carriage return in a header",
     "GET /healthz HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\nConnection: close\r\n\r\n", 400, 400},
    {"an empty host", "GET /healthz HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n", 400, 400},
    {"chunks in HTTP/1.0", "POST /api/v1/api-keys HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 505, 505},
    {"HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n", 505, 505},
    {"a chunk of no length",
     "POST /api/v1/api-keys HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " KIT_KEY
     "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: "
     "close\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
     400, 400},
    {"a body that looks like a request",
     "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\nConnection: close\r\n\r\nGET /readyz HTTP/1.1", 400,
     400},
    {"no request", "hello\r\n\r\n", 0, 400},
    {"bytes beyond ASCII in a target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400, 400},
    {"a version that is not ours", "GET /healthz HTTP/3.0\r\nHost: a\r\nConnection: close\r\n\r\n", 0, 505},
};

static void test_raws(void)
{
    for (size_t i = 0; i < COUNT_OF(raws); i++) {
        struct kit_answer a;
        kit_raw(&k, raws[i].bytes, strlen(raws[i].bytes), &a);
        CHECK(raws[i].row, a.status >= raws[i].least && a.status <= raws[i].most);
        if (a.status < raws[i].least || a.status > raws[i].most)
            (void)fprintf(stderr, "%s: %.300s\n", raws[i].row, (const char *)a.all.at);
        buf_release(&a.all);
    }
}

static void test_sizes(void)
{
    static char text[3 << 20];
    struct kit_answer a;
    struct buf b;
    memset(text, 'a', sizeof text - 1);
    /* target */
    buf_init(&b, 16 << 20);
    buf_printf(&b, "GET /healthz?%.*s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", HTTP_LINE_MAX - 21, text);
    kit_raw(&k, (const char *)b.at, b.len, &a);
    CHECK("a target past its limit", a.status == 414 && kit_has(&a, "TARGET_TOO_LONG"));
    buf_release(&a.all);
    buf_clear(&b);
    buf_printf(&b, "GET /healthz?%.*s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", HTTP_LINE_MAX - 22, text);
    kit_raw(&k, (const char *)b.at, b.len, &a);
    CHECK("a target at its limit", a.status == 400 && kit_has(&a, "no such parameter"));
    buf_release(&a.all);
    /* headers */
    buf_clear(&b);
    buf_printf(&b, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: %.*s\r\n\r\n", HTTP_HEAD_MAX, text);
    kit_raw(&k, (const char *)b.at, b.len, &a);
    CHECK("headers past their limit", a.status == 431 && kit_has(&a, "HEADERS_TOO_LARGE"));
    buf_release(&a.all);
    buf_clear(&b);
    buf_put_lit(&b, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    for (int i = 0; i < HTTP_HEADERS_MAX - 1; i++)
        buf_printf(&b, "X-%d: a\r\n", i);
    buf_put_lit(&b, "\r\n");
    kit_raw(&k, (const char *)b.at, b.len, &a);
    CHECK("too many headers", a.status == 431);
    buf_release(&a.all);
    /* bodies: announced, and found too long on the way */
    kit_call(&k, KIT_KEY, "POST", "/api/v1/api-keys", NULL, text, &a);
    CHECK("a body past its limit", a.status == 413 && kit_has(&a, "BODY_TOO_LARGE"));
    buf_release(&a.all);
    kit_call(&k, NULL, "POST", "/api/v1/api-keys", NULL, text, &a);
    CHECK("who may not ask learns nothing of its limit", a.status == 401);
    buf_release(&a.all);
    buf_clear(&b);
    buf_printf(&b,
               "POST /api/v1/api-keys HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer " KIT_KEY
               "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n",
               sizeof text - 1);
    buf_put(&b, text, sizeof text - 1);
    buf_put_lit(&b, "\r\n0\r\n\r\n");
    kit_raw(&k, (const char *)b.at, b.len, &a);
    CHECK("a body in chunks past its limit", a.status == 413 && kit_has(&a, "BODY_TOO_LARGE"));
    buf_release(&a.all);
    buf_clear(&b);
    buf_printf(&b, "POST /api/v1/api-keys HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: "
                   "100-continue\r\nConnection: close\r\n\r\n");
    kit_raw(&k, (const char *)b.at, b.len, &a);
    CHECK("who waits to send a body is told at once", a.status == 401);
    buf_release(&a.all);
    buf_release(&b);
}

/* The value of a text member in an answer. */
static void member(const struct kit_answer *a, const char *name, char *out, size_t size)
{
    char want[64];
    (void)snprintf(want, sizeof want, "\"%s\":\"", name);
    const char *at = strstr((const char *)a->all.at, want);
    out[0] = '\0';
    if (at == NULL)
        return;
    at += strlen(want);
    (void)str_copy(out, size, (struct str){at, strcspn(at, "\"")});
}

static void test_keys(void)
{
    struct kit_answer a;
    char viewer[80], viewer_id[40], operator[80], admin_id[40];
    kit_call(&k, KIT_KEY, "POST", "/api/v1/api-keys", "Idempotency-Key: k1\r\n", "{\"name\":\"v\",\"role\":\"viewer\"}",
             &a);
    CHECK("a key is made", a.status == 201 && kit_has(&a, "Location: /api/v1/api-keys/"));
    member(&a, "key", viewer, sizeof viewer);
    member(&a, "api_key_id", viewer_id, sizeof viewer_id);
    CHECK("it is shown", strlen(viewer) == 67);
    buf_release(&a.all);
    kit_call(&k, KIT_KEY, "POST", "/api/v1/api-keys", "Idempotency-Key: k1\r\n", "{\"name\":\"v\",\"role\":\"viewer\"}",
             &a);
    CHECK("a repeat gets the first answer without the key",
          a.status == 201 && kit_has(&a, viewer_id) && kit_has(&a, "\"key\":null"));
    CHECK("with its place", kit_has(&a, "Location: /api/v1/api-keys/"));
    buf_release(&a.all);
    kit_expect(&k, "the same key for something else", KIT_KEY, "POST", "/api/v1/api-keys", "Idempotency-Key: k1\r\n",
               "{\"name\":\"w\",\"role\":\"viewer\"}", 422, "IDEMPOTENCY_KEY_REUSED");
    kit_expect(&k, "a refused request does not take the key", KIT_KEY, "POST", "/api/v1/api-keys",
               "Idempotency-Key: k2\r\n", "{\"name\":\"\",\"role\":\"viewer\"}", 422, "name");
    kit_call(&k, KIT_KEY, "POST", "/api/v1/api-keys", "Idempotency-Key: k2\r\n",
             "{\"name\":\"o\",\"role\":\"operator\"}", &a);
    CHECK("so that it may be corrected", a.status == 201);
    member(&a, "key", operator, sizeof operator);
    buf_release(&a.all);
    kit_expect(&k, "another caller's key is another key", viewer, "POST", "/api/v1/api-keys", "Idempotency-Key: k1\r\n",
               "{\"name\":\"v\",\"role\":\"viewer\"}", 403, "needs admin");
    kit_expect(&k, "a viewer reads", viewer, "GET", "/api/v1/charge-points", NULL, NULL, 200, "list");
    kit_expect(&k, "a viewer sends no command", viewer, "POST", "/api/v1/charge-points/CP1/commands", NULL,
               "{\"action\":\"Reset\"}", 403, "needs operator");
    kit_expect(&k, "an operator keeps tags", operator, "PUT", "/api/v1/id-tags/o", NULL, "{}", 201, "id_tag");
    kit_expect(&k, "an operator makes no station", operator, "PUT", "/api/v1/charge-points/CP9", NULL, "{}", 403,
               "needs admin");
    kit_expect(&k, "keys are listed without what they are", KIT_KEY, "GET", "/api/v1/api-keys", NULL, NULL, 200,
               "\"total\":3");
    kit_expect(&k, "a key that is not", KIT_KEY, "DELETE", "/api/v1/api-keys/none", NULL, NULL, 404, "NOT_FOUND");
    char path[96];
    (void)snprintf(path, sizeof path, "/api/v1/api-keys/%s", viewer_id);
    kit_expect(&k, "a key is deleted", KIT_KEY, "DELETE", path, NULL, NULL, 200, "\"data\":null");
    kit_expect(&k, "and ends to work at once", viewer, "GET", "/api/v1/charge-points", NULL, NULL, 401, "UNAUTHORIZED");
    kit_call(&k, KIT_KEY, "GET", "/api/v1/api-keys?role=admin", NULL, NULL, &a);
    member(&a, "api_key_id", admin_id, sizeof admin_id);
    buf_release(&a.all);
    (void)snprintf(path, sizeof path, "/api/v1/api-keys/%s", admin_id);
    kit_expect(&k, "the last admin key stays", KIT_KEY, "DELETE", path, NULL, NULL, 409, "LAST_ADMIN_KEY");
}

/* Two requests with one key: while the first is under way the second is told so; the first gets its answer. */
static void test_same_key_at_once(const char *body)
{
    char text[512];
    struct buf b;
    unsigned before = kit_gateway.count;
    kit_gateway.how = GATEWAY_KEEPS_SILENT;
    int fd = kit_connect(&k);
    int n = snprintf(text, sizeof text,
                     "POST /api/v1/charge-points/CP1/commands HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " KIT_KEY
                     "\r\nIdempotency-Key: c0\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     strlen(body), body);
    kit_send(fd, text, (size_t)n);
    pthread_mutex_lock(&kit_gateway.lock);
    while (kit_gateway.count == before)
        pthread_cond_wait(&kit_gateway.changed, &kit_gateway.lock);
    pthread_mutex_unlock(&kit_gateway.lock);
    kit_expect(&k, "the second is told", KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands",
               "Idempotency-Key: c0\r\n", body, 409, "IDEMPOTENCY_IN_PROGRESS");
    struct command_result r = {.command_id = STR("x"),
                               .station = STR("CP1"),
                               .action = STR("Reset"),
                               .payload = STR("{}"),
                               .origin = STR("api"),
                               .state = STR("done")};
    kit_gateway.listener.on_done(kit_gateway.listener.data, &r);
    buf_init(&b, KIT_READ_MAX);
    CHECK("the first gets its answer", kit_await(fd, &b, "\"state\":\"done\""));
    (void)close(fd);
    buf_release(&b);
    kit_gateway.how = GATEWAY_ANSWERS;
}

/* Who has an answer may use its key again: it is free before the answer leaves. Two connections in turns, each asking as soon as the
 * other has its answer. */
static void test_key_is_free_again(void)
{
    static const char request[] = "POST /api/v1/api-keys HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " KIT_KEY
                                  "\r\nIdempotency-Key: again\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n"
                                  "{\"name\":\"\",\"role\":\"viewer\"}";
    const int fds[] = {kit_connect(&k), kit_connect(&k)};
    unsigned refused = 0;
    for (unsigned i = 0; i < AGAIN_COUNT; i++) {
        struct buf b;
        buf_init(&b, KIT_READ_MAX);
        kit_send(fds[i % 2], request, sizeof request - 1);
        refused += kit_await(fds[i % 2], &b, "trace_id") && strncmp((const char *)b.at, "HTTP/1.1 422 ", 13) == 0;
        buf_release(&b);
    }
    CHECK("never is it under way for who has its answer", refused == AGAIN_COUNT);
    if (refused != AGAIN_COUNT)
        (void)fprintf(stderr, "%u of %u\n", refused, AGAIN_COUNT);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void test_commands(void)
{
    struct kit_answer a, b;
    kit_expect(&k, "a station is made", KIT_KEY, "PUT", "/api/v1/charge-points/CP1", NULL, "{}", 201, "CP1");
    CHECK("the gateway is told", strstr(kit_gateway.seen, "changed CP1") != NULL);
    kit_gateway.how = GATEWAY_KEEPS_SILENT;
    kit_expect(&k, "nobody waits who does not want to", KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", NULL,
               "{\"action\":\"Reset\",\"wait_s\":0}", 202, "\"state\":\"queued\",\"outcome\":null");
    struct command_listener late = kit_gateway.listener;
    struct command_result r = {.command_id = STR("x"),
                               .station = STR("CP1"),
                               .action = STR("Reset"),
                               .payload = STR("{}"),
                               .origin = STR("api"),
                               .state = STR("done")};
    late.on_done(late.data, &r); /* after its call was answered: nothing is left behind */
    kit_gateway.how = GATEWAY_ANSWERS;
    static const char *body = "{\"action\":\"Reset\",\"payload\":{\"type\":\"Hard\"}}";
    test_same_key_at_once(body);
    unsigned before = kit_gateway.count;
    kit_call(&k, KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", "Idempotency-Key: c1\r\n", body, &a);
    kit_call(&k, KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", "Idempotency-Key: c1\r\n", body, &b);
    CHECK("a repeat of a command gets the first answer",
          a.status == 200 && b.status == 200 && strcmp(a.body, b.body) == 0);
    CHECK("and is not sent again", kit_gateway.count == before + 1);
    buf_release(&a.all);
    buf_release(&b.all);
    static const struct {
        enum err e;
        int status;
        const char *code;
    } refusals[] = {
        {ERR_UNKNOWN, 422, "UNKNOWN_COMMAND"},
        {ERR_MISSING, 422, "INVALID_COMMAND_PAYLOAD"},
        {ERR_TYPE, 422, "INVALID_COMMAND_PAYLOAD"},
        {ERR_EXISTS, 409, "COMMAND_EXISTS"},
        {ERR_LIMIT, 429, "THROTTLED"},
        {ERR_STATE, 409, "COMMAND_NOT_ALLOWED"},
        {ERR_FULL, 503, "NOT_READY"},
    };
    kit_gateway.how = GATEWAY_REFUSES;
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        kit_gateway.refusal = refusals[i].e;
        fault_set(&kit_gateway.why, STR("type"), "because");
        kit_expect(&k, refusals[i].code, KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", NULL, body,
                   refusals[i].status, refusals[i].code);
        kit_expect(&k, refusals[i].code, KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", NULL, body,
                   refusals[i].status, "because");
    }
    kit_gateway.how = GATEWAY_ANSWERS;
}

static void test_transactions(void)
{
    char sql[1024], id[12], target[96], body[160], want[96];
    uint32_t first = permute31(k.id_key, 1), second = permute31(k.id_key, 2);
    for (uint32_t n = 1; n <= 45; n++) {
        (void)snprintf(sql, sizeof sql,
                       "INSERT INTO transactions (number, transaction_id, charge_point_id, connector_id, id_tag, "
                       "state, started_at, meter_start_wh, received_at, "
                       "flags, position) VALUES (%u, '%u', '%s', 1, 'T', '%s', %u000000, 5, 7, '%s', %u)",
                       n, permute31(k.id_key, n), n == 2 ? "CP2" : "CP1", n > 40 ? "open" : "closed", 100 - n,
                       n == 1 ? "offline clock" : "", n);
        kit_sql(&k, sql);
    }
    kit_count_transactions(&k);
    (void)snprintf(id, sizeof id, "%u", first);
    (void)snprintf(target, sizeof target, "/api/v1/transactions/%s", id);
    kit_expect(&k, "a transaction is found by its id", KIT_KEY, "GET", target, NULL, NULL, 200,
               "\"flags\":[\"offline\",\"clock\"]");
    kit_expect(&k, "the total is kept", KIT_KEY, "GET", "/api/v1/transactions", NULL, NULL, 200, "\"total\":45,");
    kit_expect(&k, "the total of a filter is counted", KIT_KEY, "GET", "/api/v1/transactions?state=open", NULL, NULL,
               200, "\"total\":5,");
    kit_expect(&k, "a transaction is closed", KIT_KEY, "POST", "/api/v1/transactions/5/close", NULL, NULL, 404,
               "NOT_FOUND");
    (void)snprintf(target, sizeof target, "/api/v1/transactions/%s/close", id);
    kit_expect(&k, "closing is answered with it", KIT_KEY, "POST", target, NULL, "{}", 200, id);
    kit_gateway.how = GATEWAY_REFUSES;
    kit_gateway.refusal = ERR_STATE;
    kit_expect(&k, "closing once", KIT_KEY, "POST", target, NULL, NULL, 409, "ALREADY_CLOSED");
    kit_gateway.how = GATEWAY_ANSWERS;
    (void)snprintf(target, sizeof target, "/api/v1/transactions/%s/meter-values", id);
    kit_expect(&k, "no meter values yet", KIT_KEY, "GET", target, NULL, NULL, 200,
               "{\"list\":[],\"next_cursor\":null}");
    /* references of commands */
    (void)snprintf(body, sizeof body, "{\"action\":\"RemoteStopTransaction\",\"transaction_id\":\"%s\"}", id);
    kit_expect(&k, "a reference is resolved", KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", NULL, body, 200,
               "done");
    (void)snprintf(want, sizeof want, "submit RemoteStopTransaction {\"transactionId\":%s}", id);
    CHECK("into the payload", strcmp(kit_gateway.seen, want) == 0);
    (void)snprintf(body, sizeof body, "{\"action\":\"RemoteStopTransaction\",\"transaction_id\":\"%u\"}", second);
    kit_expect(&k, "of another station", KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", NULL, body, 422,
               "TRANSACTION_MISMATCH");
    (void)snprintf(body, sizeof body, "{\"action\":\"RemoteStopTransaction\",\"payload\":{\"transactionId\":%u}}",
                   second);
    kit_expect(&k, "of another station, in the payload", KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", NULL,
               body, 422, "TRANSACTION_MISMATCH");
    (void)snprintf(body, sizeof body,
                   "{\"action\":\"SetChargingProfile\",\"payload\":{\"connectorId\":1,\"csChargingProfiles\":{\"a\":1}}"
                   ",\"transaction_id\":\"%s\"}",
                   id);
    kit_expect(&k, "a reference within", KIT_KEY, "POST", "/api/v1/charge-points/CP1/commands", NULL, body, 200,
               "done");
    (void)snprintf(want, sizeof want, "\"csChargingProfiles\":{\"transactionId\":%s,\"a\":1}}", id);
    CHECK("goes where it belongs", strstr(kit_gateway.seen, want) != NULL);
    kit_expect(&k, "a station with open transactions stays", KIT_KEY, "DELETE", "/api/v1/charge-points/CP1", NULL, NULL,
               409, "OPEN_TRANSACTIONS");
    kit_expect(&k, "unless it must go", KIT_KEY, "DELETE", "/api/v1/charge-points/CP1?force=true", NULL, NULL, 200,
               "data");
    CHECK("the gateway is told", strcmp(kit_gateway.seen, "deleted CP1 ") == 0);
}

/* All ids of a list, one after the other, by its pages or its cursor: each once, in order. */
static void walk(const char *row, const char *query, bool by_cursor, uint32_t first, int step)
{
    char target[512], cursor[400] = "", id[16], want[16];
    uint32_t n = first, seen = 0;
    for (unsigned page = 1; page < 20; page++) {
        struct kit_answer a;
        if (by_cursor)
            (void)snprintf(target, sizeof target, "/api/v1/transactions?%s&limit=7%s%s", query,
                           cursor[0] != '\0' ? "&cursor=" : "", cursor);
        else
            (void)snprintf(target, sizeof target, "/api/v1/transactions?%s&page=%u&page_size=7", query, page);
        kit_call(&k, KIT_KEY, "GET", target, NULL, NULL, &a);
        unsigned here = 0;
        for (const char *at = a.body; (at = strstr(at, "\"transaction_id\":\"")) != NULL; here++) {
            at += 18;
            (void)str_copy(id, sizeof id, (struct str){at, strcspn(at, "\"")});
            (void)snprintf(want, sizeof want, "%u", permute31(k.id_key, n));
            CHECK(row, strcmp(id, want) == 0);
            n = (uint32_t)((int)n + step);
        }
        seen += here;
        member(&a, "next_cursor", cursor, sizeof cursor);
        buf_release(&a.all);
        if (by_cursor ? cursor[0] == '\0' : here == 0)
            break;
    }
    CHECK(row, seen == 45);
}

static void test_pages(void)
{
    walk("pages from the first", "sort=transaction_id", false, 1, 1);
    walk("pages from the last", "sort=-transaction_id", false, 45, -1);
    walk("pages by another key", "sort=started_at", false, 45, -1);
    walk("cursors from the first", "sort=transaction_id", true, 1, 1);
    walk("cursors from the last", "sort=-transaction_id", true, 45, -1);
    walk("cursors by another key", "sort=started_at", true, 45, -1);
    walk("cursors by another key, turned", "sort=-started_at", true, 1, 1);
    kit_expect(&k, "a cursor belongs to its order", KIT_KEY, "GET", "/api/v1/transactions?sort=started_at&cursor=00",
               NULL, NULL, 422, "CURSOR_INVALID");
    kit_expect(&k, "a page past the end is empty", KIT_KEY, "GET", "/api/v1/transactions?page=1000", NULL, NULL, 200,
               "\"list\":[],\"total\":45");
}

/* What cannot be opened says why, and leaves nothing behind. */
static void test_opening(void)
{
    struct fault why = {"", ""};
    struct api *other = NULL;
    struct config c = k.config;
    struct str own = api_address(k.api);
    const struct api_options o = {
        .config = &c, .log = k.log, .bus = k.bus, .db_path = k.db_path, .log_dir = str_of(k.log_dir)};
    c.listen_api = own;
    CHECK("a taken address",
          api_open(&o, &other, &why) == ERR_BUSY && strcmp(why.field, "listen.api") == 0 && why.reason[0] != '\0');
    c.listen_api = STR("127.0.0.1:0");
    c.listen_metrics = own;
    CHECK("a taken address of metrics",
          api_open(&o, &other, &why) == ERR_BUSY && strcmp(why.field, "listen.metrics") == 0);
    c.listen_metrics = STR("here");
    CHECK("no address", api_open(&o, &other, &why) == ERR_FORMAT);
    check(setenv("CHARGELINE_ADMIN_KEY", "short", 1) == 0);
    CHECK("a preset key that is too short",
          api_open(&o, &other, &why) == ERR_RANGE && strcmp(why.field, "CHARGELINE_ADMIN_KEY") == 0);
    check(setenv("CHARGELINE_ADMIN_KEY", "another-key-of-the-tests", 1) == 0);
    c.data_dir = STR("/no-such-folder-anywhere");
    CHECK("a key that cannot be written", api_open(&o, &other, &why) == ERR_IO && strcmp(why.field, "data.dir") == 0);
    check(setenv("CHARGELINE_ADMIN_KEY", KIT_KEY, 1) == 0);
    CHECK("nothing came of it", other == NULL);
}

static void test_metrics_listener(void)
{
    static const char *const sets[] = {"listen.metrics=127.0.0.1:0"};
    kit_open(&k, sets, COUNT_OF(sets));
    kit_expect(&k, "metrics are not on the API's address", NULL, "GET", "/metrics", NULL, NULL, 404, "NOT_FOUND");
    k.port = atoi(strrchr(api_address_metrics(k.api).at, ':') + 1);
    kit_expect(&k, "but on their own", NULL, "GET", "/metrics", NULL, NULL, 200, "process_");
    kit_expect(&k, "with health", NULL, "GET", "/healthz", NULL, NULL, 200, "ok");
    kit_expect(&k, "and nothing else", KIT_KEY, "GET", "/api/v1/system", NULL, NULL, 404, "NOT_FOUND");
    kit_expect(&k, "nor the description", NULL, "GET", "/openapi.json", NULL, NULL, 404, "NOT_FOUND");
    kit_close(&k);
}

/* Many wrong keys from one place: then none is looked at for a moment. */
static void test_failures(void)
{
    bool was_shut = false;
    for (int i = 0; i < 100 && !was_shut; i++) {
        struct kit_answer a;
        kit_call(&k, "wrong", "GET", "/api/v1/system", NULL, NULL, &a);
        was_shut = a.status == 429 && kit_has(&a, "Retry-After: ");
        buf_release(&a.all);
    }
    CHECK("past a bound 429", was_shut);
    kit_expect(&k, "what needs no key answers", NULL, "GET", "/healthz", NULL, NULL, 200, "ok");
}

int main(void)
{
    kit_open(&k, NULL, 0);
    test_calls();
    test_raws();
    test_sizes();
    test_keys();
    test_key_is_free_again();
    test_commands();
    test_transactions();
    test_pages();
    test_opening();
    test_failures();
    kit_close(&k);
    test_metrics_listener();
    return CHECK_REPORT();
}
