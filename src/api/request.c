/* api/request.c - from the bytes of a request to structs: path to route and ids, query and body by their tables. No
 * socket, store or clock: what a stranger writes ends here or is well-formed. */
#include "api/call.h"

#include <string.h>

#include "wire/http.h"

#define PARAMETERS_MAX 32
#define PARAM_SIZE_MAX 255 /* of an id in the path: nothing has a longer one */

const struct route routes[] = {
#define TEXT(literal)                  \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }
#define ROUTE(m, p, handler, least, fresh, q, b, ans, form, text)                       \
    {TEXT(#m),     TEXT(p),      TEXT(#handler), handle_##handler, ROLE_##least, fresh, \
     &q##_message, &b##_message, &ans##_message, SHAPE_##form,     TEXT(text)},
#include "api/routes.def"
#undef TEXT
};
const size_t route_count = COUNT_OF(routes);

static int hex_digit(char ch)
{
    return ch >= '0' && ch <= '9'   ? ch - '0'
           : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
           : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                    : -1;
}

enum err percent_decode(struct str in, bool plus, struct arena *a, struct str *out)
{
    char *to = arena_take(a, in.len + 1);
    if (to == NULL)
        return ERR_MEMORY;
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        char ch = in.at[i];
        if (ch == '%') {
            int high = i + 2 < in.len ? hex_digit(in.at[i + 1]) : -1, low = high < 0 ? -1 : hex_digit(in.at[i + 2]);
            if (low < 0)
                return ERR_FORMAT;
            ch = (char)(high << 4 | low);
            i += 2;
        } else if (plus && ch == '+') {
            ch = ' ';
        }
        if (ch == '\0')
            return ERR_FORMAT;
        to[n++] = ch;
    }
    if (!utf8_is_valid((struct bytes){(const uint8_t *)to, n}))
        return ERR_FORMAT;
    *out = (struct str){to, n};
    return OK;
}

/* Takes the piece up to the next mark off the front; false when nothing is left. */
static bool take_piece(struct str *rest, char mark, struct str *piece)
{
    if (rest->at == NULL)
        return false;
    const char *end = memchr(rest->at, mark, rest->len);
    size_t len = end == NULL ? rest->len : (size_t)(end - rest->at);
    *piece = (struct str){rest->at, len};
    *rest = end == NULL ? (struct str){NULL, 0} : (struct str){end + 1, rest->len - len - 1};
    return true;
}

/* Segments are split before they are decoded: an id may hold "%2F". */
static bool path_fits(struct str template, struct str path, struct str raw[CALL_PARAMS_MAX])
{
    struct str want = {NULL, 0}, have = {NULL, 0};
    size_t n = 0;
    for (;;) {
        bool more = take_piece(&template, '/', &want);
        if (more != take_piece(&path, '/', &have))
            return false;
        if (!more)
            return true;
        if (!str_starts(want, STR("{"))) {
            if (!str_eq(want, have))
                return false;
        } else if (have.len == 0 || n == CALL_PARAMS_MAX) {
            return false;
        } else {
            raw[n++] = have;
        }
    }
}

bool route_same_path(const struct route *a, const struct route *b)
{
    return str_eq(a->path, b->path);
}

/* A template without parameters wins over one with them: /events/stream is no event. */
const struct route *route_find(struct str path, struct arena *a, struct str params[CALL_PARAMS_MAX])
{
    for (size_t i = 0; i < route_count; i++) {
        struct str raw[CALL_PARAMS_MAX] = {{NULL, 0}, {NULL, 0}};
        if (!path_fits(routes[i].path, path, raw))
            continue;
        for (size_t k = 0; k < CALL_PARAMS_MAX && raw[k].at != NULL; k++)
            if (percent_decode(raw[k], false, a, &params[k]) != OK || params[k].len > PARAM_SIZE_MAX)
                return NULL; /* an id that nothing can have */
        return &routes[i];
    }
    return NULL;
}

static void answer_methods(struct call *c, const struct route *first)
{
    char text[64];
    struct buf allow;
    buf_init(&allow, sizeof text);
    for (const struct route *r = first; r < routes + route_count && route_same_path(r, first); r++) {
        buf_printf(&allow, "%s%.*s", r == first ? "" : ", ", STR_ARG(r->method));
        if (str_eq(r->method, STR("GET")))
            buf_put_lit(&allow, ", HEAD");
    }
    answer_error(c, API_METHOD_NOT_ALLOWED, NULL);
    http_answer_header(&c->x->answer, "Allow", buf_str(&allow));
    buf_release(&allow);
}

bool call_route(struct call *c)
{
    struct str rest = c->x->target, path = {NULL, 0}, method = c->x->method;
    (void)take_piece(&rest, '?', &path);
    const struct route *first = route_find(path, &c->arena, c->params);
    if (first == NULL) {
        answer_error(c, API_NOT_FOUND, NULL);
        return false;
    }
    if (str_eq(method, STR("HEAD")))
        method = STR("GET"); /* the server leaves the body out */
    for (const struct route *r = first; r < routes + route_count && route_same_path(r, first); r++)
        if (str_eq(r->method, method)) {
            c->route = r;
            return true;
        }
    answer_methods(c, first);
    return false;
}

/* --- the query: its parameters as members of a JSON object, which the table then reads --- */

static const struct field *field_of(const struct message *m, struct str wire)
{
    for (size_t i = 0; i < m->field_count; i++)
        if (str_eq(m->fields[i].wire, wire))
            return &m->fields[i];
    return NULL;
}

static bool is_integer(struct str s)
{
    int64_t n;
    bool negative = s.len > 0 && s.at[0] == '-';
    struct str digits = {s.at + negative, s.len - negative};
    return str_to_int(s, &n) == OK && (digits.at[0] != '0' || digits.len == 1);
}

/* Text where it fits no better: the table then says what is wrong with it. */
static void write_parameter(struct json_writer *w, const struct field *f, struct str value)
{
    bool is_number = f->kind == KIND_INTEGER || f->kind == KIND_INT32;
    bool is_word = f->kind == KIND_BOOLEAN && (str_eq(value, STR("true")) || str_eq(value, STR("false")));
    if (is_word || (is_number && is_integer(value)))
        jw_raw(w, value);
    else
        jw_str(w, value);
}

enum err query_read(const struct message *m, struct str query, struct arena *a, void *out, struct fault *why)
{
    struct buf json;
    struct json_writer w;
    struct str piece, seen[PARAMETERS_MAX];
    size_t count = 0;
    enum err e = OK;
    buf_init(&json, HTTP_LINE_MAX * 8);
    jw_init(&w, &json);
    jw_open_object(&w);
    while (e == OK && query.len > 0 && take_piece(&query, '&', &piece)) {
        struct str name, value = piece;
        (void)take_piece(&value, '=', &name);
        if (percent_decode(name, true, a, &name) != OK ||
            percent_decode(value.at == NULL ? STR("") : value, true, a, &value) != OK) {
            fault_set(why, name, "not percent-encoded UTF-8");
            e = ERR_FORMAT;
            break;
        }
        const struct field *f = field_of(m, name);
        for (size_t i = 0; i < count && e == OK; i++)
            if (str_eq(seen[i], name)) {
                fault_set(why, name, "this parameter stands twice");
                e = ERR_FORMAT;
            }
        if (f == NULL || count == PARAMETERS_MAX) {
            fault_set(why, name, "there is no such parameter");
            e = ERR_UNKNOWN;
        } else {
            seen[count++] = name;
            jw_key(&w, name);
            write_parameter(&w, f, value);
        }
    }
    jw_close_object(&w);
    if (e == OK) {
        struct str copy = arena_copy(a, buf_str(&json)); /* what is read borrows from it */
        e = json.failed || copy.at == NULL ? ERR_MEMORY : schema_read(m, copy, STRICT, a, out, why);
    }
    buf_release(&json);
    return e == OK ? limits_check(m, out, why) : e;
}

bool call_read_query(struct call *c)
{
    struct str query = c->x->target, path;
    struct fault why = {"", ""};
    void *out = arena_take(&c->arena, c->route->query->size);
    (void)take_piece(&query, '?', &path);
    enum err e = out == NULL ? ERR_MEMORY : query_read(c->route->query, query, &c->arena, out, &why);
    c->query = out;
    if (e != OK)
        answer_refused(c, e, &why);
    return e == OK;
}

/* --- the body --- */

/* Takes the type off the front: what is left are its parameters. */
static struct str take_type(struct str *header)
{
    struct str type = {NULL, 0};
    (void)take_piece(header, ';', &type);
    while (type.len > 0 && (type.at[type.len - 1] == ' ' || type.at[type.len - 1] == '\t'))
        type.len--;
    return type;
}

/* application/json, and of parameters only the charset that it has anyway. */
static bool is_json_type(struct str s)
{
    struct str rest = s;
    if (!str_eq_nocase(take_type(&rest), STR("application/json")))
        return false;
    while (rest.len > 0 && (rest.at[0] == ' ' || rest.at[0] == '\t'))
        rest = (struct str){rest.at + 1, rest.len - 1};
    return rest.at == NULL || rest.len == 0 || str_eq_nocase(rest, STR("charset=utf-8")) ||
           str_eq_nocase(rest, STR("charset=\"utf-8\""));
}

static bool needs_body(const struct message *m)
{
    for (size_t i = 0; i < m->field_count; i++)
        if (m->fields[i].presence == REQUIRED)
            return true;
    return false;
}

/* Bytes have no form that could be wrong: only their type, and that there are some. */
static bool take_raw_body(struct call *c)
{
    struct fault why = {"", ""};
    struct str type = c->x->header[HTTP_CONTENT_TYPE];
    if (c->x->has_body && !str_eq_nocase(take_type(&type), STR("application/octet-stream"))) {
        answer_error(c, API_UNSUPPORTED_MEDIA_TYPE, NULL);
        return false;
    }
    if (c->x->body.len == 0) {
        fault_set(&why, STR(""), "the bytes are needed as body");
        answer_refused(c, ERR_RANGE, &why);
        return false;
    }
    return true;
}

bool call_read_body(struct call *c)
{
    const struct message *m = c->route->body;
    struct fault why = {"", ""};
    struct str body = c->x->body;
    if (m == &raw_bytes_message)
        return take_raw_body(c);
    bool takes_none = m == &none_message;
    if (takes_none && c->x->has_body) {
        fault_set(&why, STR(""), "this request takes no body");
        answer_refused(c, ERR_UNKNOWN, &why);
        return false;
    }
    if (c->x->has_body && !is_json_type(c->x->header[HTTP_CONTENT_TYPE])) {
        answer_error(c, API_UNSUPPORTED_MEDIA_TYPE, NULL);
        return false;
    }
    if (!c->x->has_body && needs_body(m)) {
        fault_set(&why, STR(""), "a JSON object is needed as body");
        answer_refused(c, ERR_MISSING, &why);
        return false;
    }
    void *out = arena_take(&c->arena, m->size);
    c->body = out;
    if (!c->x->has_body || takes_none)
        body = STR("{}");
    enum err e = out == NULL ? ERR_MEMORY : ERR_FORMAT;
    if (str_eq(body, STR("null")))
        fault_set(&why, STR(""), "a JSON object is needed as body");
    else if (out != NULL)
        e = schema_read(m, body, STRICT, &c->arena, out, &why);
    if (e == OK)
        e = limits_check(m, out, &why);
    if (e != OK)
        answer_refused(c, e, &why);
    return e == OK;
}
