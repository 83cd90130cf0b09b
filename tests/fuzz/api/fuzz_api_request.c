/* A request without sockets: first line "METHOD target", then the body; the router, the tables of queries and bodies,
 * percent-decoding, traces. Whatever comes: an answer that is JSON, or structs whose text is UTF-8 and whose numbers
 * are within their limits. */
/* covers: src/api/request.c src/api/trace.c */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Up to the mark, which is taken too. */
static struct str take(struct str *rest, char mark)
{
    const char *end = rest->len == 0 ? NULL : memchr(rest->at, mark, rest->len);
    struct str piece = {rest->at, end == NULL ? rest->len : (size_t)(end - rest->at)};
    size_t used = piece.len + (end != NULL);
    *rest = (struct str){rest->at + used, rest->len - used};
    return piece;
}

static void check_struct(const struct message *m, const void *in)
{
    check(limits_check(m, in, NULL) == OK);
    for (size_t i = 0; i < m->field_count; i++) {
        const struct str *text = (const void *)((const char *)in + m->fields[i].offset);
        if (m->fields[i].kind == KIND_STR && text->at != NULL)
            check(utf8_is_valid((struct bytes){(const uint8_t *)text->at, text->len}));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t random[40];
    struct str rest = {(const char *)data, size};
    struct http_exchange x = {.answer = {0}};
    struct call c = {.x = &x};
    x.method = take(&rest, ' ');
    x.target = take(&rest, '\n');
    x.header[HTTP_TRACEPARENT] = x.header[HTTP_REQUEST_ID] = x.target;
    x.header[HTTP_CONTENT_TYPE] = STR("application/json");
    x.has_body = rest.len > 0;
    x.body = rest;
    arena_init(&c.arena, 1 << 22);
    buf_init(&x.answer.body, 1 << 22);
    trace_begin(&c, random);
    bool is_taken = x.target.len > 0 && call_route(&c) && call_read_query(&c) && call_read_body(&c);
    if (is_taken) {
        check_struct(c.route->query, c.query);
        check_struct(c.route->body, c.body);
        for (size_t i = 0; i < CALL_PARAMS_MAX; i++)
            check(c.params[i].at == NULL ||
                  utf8_is_valid((struct bytes){(const uint8_t *)c.params[i].at, c.params[i].len}));
    } else if (x.target.len > 0) {
        check(x.answer.status >= 400 && x.answer.status < 500);
        check(json_check(buf_str(&x.answer.body), NULL) == OK);
    }
    for (size_t i = 0; i < x.answer.header_count; i++)
        free(x.answer.headers[i].value);
    arena_release(&c.arena);
    buf_release(&x.answer.body);
    return 0;
}
