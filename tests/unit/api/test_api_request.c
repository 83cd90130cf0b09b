/* Paths, queries and bodies: what a stranger writes is well-formed when a handler sees it, or refused with its place.
 */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "check.h"

static const struct {
    const char *row, *path, *template, *param; /* template NULL: none */
} paths[] = {
    {"the root", "/", "/", NULL},
    {"a list", "/api/v1/charge-points", "/api/v1/charge-points", NULL},
    {"an item", "/api/v1/charge-points/CP1", "/api/v1/charge-points/{charge_point_id}", "CP1"},
    {"a slash within an id", "/api/v1/charge-points/a%2Fb", "/api/v1/charge-points/{charge_point_id}", "a/b"},
    {"a blank within an id", "/api/v1/id-tags/a%20b", "/api/v1/id-tags/{id_tag}", "a b"},
    {"a plus is a plus in a path", "/api/v1/id-tags/a+b", "/api/v1/id-tags/{id_tag}", "a+b"},
    {"UTF-8 within an id", "/api/v1/id-tags/%C3%A9", "/api/v1/id-tags/{id_tag}", "\xc3\xa9"},
    {"a path below an item", "/api/v1/charge-points/CP1/commands", "/api/v1/charge-points/{charge_point_id}/commands",
     "CP1"},
    {"a word is no id", "/api/v1/events/stream", "/api/v1/events/stream", NULL},
    {"a slash at the end", "/api/v1/charge-points/", NULL, NULL},
    {"a slash behind an item", "/api/v1/charge-points/CP1/", NULL, NULL},
    {"two slashes", "/api//v1/charge-points", NULL, NULL},
    {"an empty id", "/api/v1/charge-points//commands", NULL, NULL},
    {"no path", "", NULL, NULL},
    {"no route", "/api/v1/nothing", NULL, NULL},
    {"other case", "/API/v1/charge-points", NULL, NULL},
    {"a bad escape", "/api/v1/charge-points/%G1", NULL, NULL},
    {"a cut escape", "/api/v1/charge-points/%2", NULL, NULL},
    {"an escape that is cut to its mark", "/api/v1/charge-points/a%", NULL, NULL},
    {"a NUL", "/api/v1/charge-points/a%00b", NULL, NULL},
    {"no UTF-8", "/api/v1/charge-points/%ff", NULL, NULL},
    {"an encoded slash is no separator", "/api/v1%2Fcharge-points", NULL, NULL},
};

static void test_paths(void)
{
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct arena a;
        struct str params[CALL_PARAMS_MAX] = {{NULL, 0}, {NULL, 0}};
        arena_init(&a, 1 << 16);
        const struct route *r = route_find(str_of(paths[i].path), &a, params);
        CHECK(paths[i].row, (r == NULL) == (paths[i].template == NULL));
        if (r != NULL && paths[i].template != NULL) {
            CHECK(paths[i].row, str_eq(r->path, str_of(paths[i].template)));
            CHECK(paths[i].row,
                  str_eq(params[0], str_of(paths[i].param)) && (params[0].at == NULL) == (paths[i].param == NULL));
        }
        arena_release(&a);
    }
}

/* Every line of routes.def is reached by a path made of its template, with every method that it has. */
static void test_routes_are_reachable(void)
{
    for (size_t i = 0; i < route_count; i++) {
        char path[256];
        size_t n = 0;
        bool within = false;
        for (size_t k = 0; k < routes[i].path.len; k++) {
            char ch = routes[i].path.at[k];
            within |= ch == '{';
            path[n] = within ? 'x' : ch;
            n += 1;
            within &= ch != '}';
        }
        struct arena a;
        struct str params[CALL_PARAMS_MAX];
        arena_init(&a, 1 << 16);
        struct http_exchange x = {.method = routes[i].method, .target = {path, n}};
        struct call c = {.x = &x};
        buf_init(&x.answer.body, 1 << 16);
        c.arena = a;
        CHECK(routes[i].path.at, call_route(&c) && c.route == &routes[i]);
        CHECK(routes[i].path.at, route_find(x.target, &c.arena, params) != NULL);
        CHECK(routes[i].path.at, routes[i].summary.len > 0 && routes[i].handle != NULL);
        arena_release(&c.arena);
        buf_release(&x.answer.body);
    }
}

static const struct {
    const char *row, *query;
    enum err want;
    const char *field; /* of the fault */
} queries[] = {
    {"nothing", "", OK, ""},
    {"filters", "online=true&vendor=A%20B&q=CP", OK, ""},
    {"a plus is a blank", "vendor=A+B", OK, ""},
    {"a page", "page=2&page_size=100&sort=-charge_point_id", OK, ""},
    {"an unknown parameter", "colour=red", ERR_UNKNOWN, "colour"},
    {"a parameter without a name", "=1", ERR_UNKNOWN, ""},
    {"an empty parameter", "&", ERR_UNKNOWN, ""},
    {"one that stands twice", "q=a&q=b", ERR_FORMAT, "q"},
    {"a word where a number is due", "page=two", ERR_TYPE, "page"},
    {"an empty number", "page=", ERR_TYPE, "page"},
    {"a number with a zero before it", "page=02", ERR_TYPE, "page"},
    {"a fraction", "page=1.5", ERR_TYPE, "page"},
    {"a number that is too small", "page=0", ERR_RANGE, "page"},
    {"a negative number", "page=-1", ERR_RANGE, "page"},
    {"a number past 32 bits", "page=4294967296", ERR_RANGE, "page"},
    {"a number that is too large", "page_size=101", ERR_RANGE, "page_size"},
    {"a limit that is too large", "limit=1001", ERR_RANGE, "limit"},
    {"a limit at its end", "limit=1000", OK, ""},
    {"no truth value", "online=yes", ERR_TYPE, "online"},
    {"a word that is not in the list", "registration=maybe", ERR_RANGE, "registration"},
    {"a key that does not sort", "sort=vendor", ERR_RANGE, "sort"},
    {"a bad escape", "q=%zz", ERR_FORMAT, "q"},
    {"no UTF-8", "q=%ff", ERR_FORMAT, "q"},
    {"a bad escape in a name", "%zz=1", ERR_FORMAT, "%zz"},
};

static void test_queries(void)
{
    for (size_t i = 0; i < COUNT_OF(queries); i++) {
        struct arena a;
        struct charge_point_query out;
        struct fault why = {"", ""};
        arena_init(&a, 1 << 20);
        enum err e = query_read(&charge_point_query_message, str_of(queries[i].query), &a, &out, &why);
        CHECK(queries[i].row, e == queries[i].want);
        CHECK(queries[i].row, e == OK || strcmp(why.field, queries[i].field) == 0);
        arena_release(&a);
    }
    struct arena a;
    struct charge_point_query q;
    arena_init(&a, 1 << 20);
    CHECK("values arrive",
          query_read(&charge_point_query_message, STR("vendor=A+%26&online=false&page=7"), &a, &q, NULL) == OK &&
              str_eq(q.vendor, STR("A &")) && q.online.is_set && !q.online.value && q.page.value == 7);
    arena_release(&a);
}

static const struct {
    const char *row, *type, *body;
    bool has_body;
    int want;         /* status; 0: taken */
    const char *text; /* that the answer has */
} bodies[] = {
    {"a body", "application/json", "{\"name\":\"a\",\"role\":\"viewer\"}", true, 0, ""},
    {"its charset", "application/json; charset=UTF-8", "{\"name\":\"a\",\"role\":\"viewer\"}", true, 0, ""},
    {"other case", "Application/JSON ;charset=\"utf-8\"", "{\"name\":\"a\",\"role\":\"viewer\"}", true, 0, ""},
    {"another charset", "application/json; charset=latin1", "{\"name\":\"a\",\"role\":\"viewer\"}", true, 415,
     "UNSUPPORTED_MEDIA_TYPE"},
    {"no type", NULL, "{\"name\":\"a\",\"role\":\"viewer\"}", true, 415, "application/json"},
    {"another type", "text/plain", "{\"name\":\"a\",\"role\":\"viewer\"}", true, 415, ""},
    {"a type that begins alike", "application/jsonx", "{}", true, 415, ""},
    {"no body", NULL, "", false, 400, "MISSING"},
    {"no JSON", "application/json", "name=a", true, 400, "MALFORMED"},
    {"null", "application/json", "null", true, 400, "INVALID_REQUEST"},
    {"a list", "application/json", "[]", true, 400, ""},
    {"two values", "application/json", "{} {}", true, 400, ""},
    {"an unknown field", "application/json", "{\"name\":\"a\",\"role\":\"viewer\",\"colour\":1}", true, 400, "colour"},
    {"a field twice", "application/json", "{\"name\":\"a\",\"name\":\"b\",\"role\":\"viewer\"}", true, 400, ""},
    {"a missing field", "application/json", "{\"name\":\"a\"}", true, 400, "role"},
    {"a wrong type", "application/json", "{\"name\":1,\"role\":\"viewer\"}", true, 400, "WRONG_TYPE"},
    {"a word that is not in the list", "application/json", "{\"name\":\"a\",\"role\":\"king\"}", true, 422,
     "NOT_ALLOWED"},
};

static const struct route *route_of(const char *name)
{
    for (size_t i = 0; i < route_count; i++)
        if (str_eq(routes[i].name, str_of(name)))
            return &routes[i];
    return NULL;
}

static int read_body(const struct route *r, const char *type, const char *body, bool has_body, const char *text,
                     bool *has_text)
{
    struct http_exchange x = {.method = r->method, .target = r->path, .body = str_of(body), .has_body = has_body};
    struct call c = {.x = &x, .route = r};
    x.header[HTTP_CONTENT_TYPE] = str_of(type);
    arena_init(&c.arena, 1 << 20);
    buf_init(&x.answer.body, 1 << 20);
    bool ok = call_read_body(&c);
    buf_put_byte(&x.answer.body, 0);
    *has_text = strstr((const char *)x.answer.body.at, text) != NULL;
    arena_release(&c.arena);
    buf_release(&x.answer.body);
    return ok ? 0 : x.answer.status;
}

static const struct {
    const char *row, *type, *body;
    bool has_body;
    int want;
} raws[] = {
    {"bytes", "application/octet-stream", "{\x01", true, 0},
    {"other case, and a parameter", "Application/Octet-Stream ; a=b", "x", true, 0},
    {"no type", NULL, "x", true, 415},
    {"JSON where bytes are due", "application/json", "{}", true, 415},
    {"a type that begins alike", "application/octet-streams", "x", true, 415},
    {"no body", NULL, "", false, 422},
    {"no body, with its type", "application/octet-stream", "", false, 422},
    {"chunks without any", "application/octet-stream", "", true, 422},
};

static void test_raw_bodies(void)
{
    bool has_text;
    for (size_t i = 0; i < COUNT_OF(raws); i++)
        CHECK(raws[i].row, read_body(route_of("file_post"), raws[i].type, raws[i].body, raws[i].has_body, "",
                                     &has_text) == raws[i].want);
    CHECK("bytes where JSON is due", read_body(route_of("api_key_post"), "application/octet-stream", "x", true,
                                               "UNSUPPORTED_MEDIA_TYPE", &has_text) == 415 &&
                                         has_text);
}

static void test_bodies(void)
{
    bool has_text;
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        CHECK(bodies[i].row, read_body(route_of("api_key_post"), bodies[i].type, bodies[i].body, bodies[i].has_body,
                                       bodies[i].text, &has_text) == bodies[i].want);
        CHECK(bodies[i].row, has_text);
    }
    CHECK("a GET takes no body",
          read_body(route_of("charge_point_list"), "application/json", "{}", true, "", &has_text) == 400);
    CHECK("an optional body may be missing",
          read_body(route_of("quarantine_apply"), NULL, "", false, "", &has_text) == 0);
    CHECK("an empty body may be {}",
          read_body(route_of("transaction_close"), "application/json", "{}", true, "", &has_text) == 0);
    CHECK("an empty body has no field",
          read_body(route_of("transaction_close"), "application/json", "{\"a\":1}", true, "\"a\"", &has_text) == 400);
    CHECK("a number above its greatest",
          read_body(route_of("command_post"), "application/json", "{\"action\":\"Reset\",\"wait_s\":61}", true,
                    "wait_s", &has_text) == 422);
}

static void test_methods(void)
{
    struct http_exchange x = {.method = STR("POST"), .target = STR("/api/v1/charge-points/CP1?force=true")};
    struct call c = {.x = &x};
    arena_init(&c.arena, 1 << 16);
    buf_init(&x.answer.body, 1 << 16);
    CHECK("another method is refused", !call_route(&c) && x.answer.status == 405);
    CHECK("with those that are taken", x.answer.header_count == 1 && strcmp(x.answer.headers[0].name, "Allow") == 0 &&
                                           strcmp(x.answer.headers[0].value, "GET, HEAD, PUT, DELETE") == 0);
    x.method = STR("HEAD");
    CHECK("HEAD is a GET", call_route(&c) && str_eq(c.route->method, STR("GET")));
    x.method = STR("get");
    CHECK("a method has capitals", !call_route(&c) && x.answer.status == 405);
    for (size_t i = 0; i < x.answer.header_count; i++)
        free(x.answer.headers[i].value);
    arena_release(&c.arena);
    buf_release(&x.answer.body);
}

static const struct {
    const char *row, *parent;
    bool is_taken;
} parents[] = {
    {"as the standard has it", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true},
    {"of a later version, longer", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", true},
    {"version ff", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
    {"version 00, longer", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false},
    {"capitals", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false},
    {"a trace of zeros", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
    {"a parent of zeros", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false},
    {"cut", "00-4bf92f3577b34da6a3ce929d0e0e4736", false},
    {"nothing", "", false},
};

static void test_traces(void)
{
    static const uint8_t random[40] = {1, 2, 3};
    for (size_t i = 0; i < COUNT_OF(parents); i++) {
        struct http_exchange x = {.answer = {0}};
        struct call c = {.x = &x};
        x.header[HTTP_TRACEPARENT] = str_of(parents[i].parent);
        x.header[HTTP_REQUEST_ID] = STR("r-1");
        trace_begin(&c, random);
        CHECK(parents[i].row, (strcmp(c.trace_text, "4bf92f3577b34da6a3ce929d0e0e4736") == 0) == parents[i].is_taken);
        CHECK(parents[i].row, strlen(c.trace_text) == 32 && strcmp(c.request_id, "r-1") == 0);
        for (size_t k = 0; k < x.answer.header_count; k++)
            free(x.answer.headers[k].value);
    }
    struct http_exchange x = {.answer = {0}};
    struct call c = {.x = &x};
    x.header[HTTP_REQUEST_ID] = STR("two words");
    trace_begin(&c, random);
    CHECK("a request id that is none is made anew", strlen(c.request_id) == 36);
    for (size_t k = 0; k < x.answer.header_count; k++)
        free(x.answer.headers[k].value);
}

static void test_errors(void)
{
    for (int e = 0; e < ERR_COUNT; e++)
        CHECK(err_text((enum err)e), detail_code((enum err)e).len > 0);
    for (int e = 0; e < API_ERROR_COUNT; e++) {
        CHECK(api_error_kinds[e].code.at, api_error_kinds[e].status >= 400 && api_error_kinds[e].status < 600);
        CHECK(api_error_kinds[e].code.at, api_error_kinds[e].text.len > 20);
    }
}

/* The description is JSON, has every route and parameter, and every limit that is checked. */
static void test_openapi(void)
{
    struct buf b;
    struct fault why;
    buf_init(&b, 16 << 20);
    api_openapi(&b);
    CHECK("it is JSON", json_check(buf_str(&b), &why) == OK);
    buf_put_byte(&b, 0);
    for (size_t i = 0; i < route_count; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "\"operationId\":\"%.*s\"", STR_ARG(routes[i].name));
        CHECK(routes[i].name.at, strstr((const char *)b.at, text) != NULL);
        (void)snprintf(text, sizeof text, "\"%.*s\":{", STR_ARG(routes[i].path));
        CHECK(routes[i].name.at, strstr((const char *)b.at, text) != NULL);
    }
    CHECK("greatest values are told", strstr((const char *)b.at, "\"minimum\":1,\"maximum\":1000") != NULL);
    buf_release(&b);
}

int main(void)
{
    test_paths();
    test_routes_are_reachable();
    test_queries();
    test_bodies();
    test_raw_bodies();
    test_methods();
    test_traces();
    test_errors();
    test_openapi();
    return CHECK_REPORT();
}
