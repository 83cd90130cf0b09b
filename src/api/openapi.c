/* api/openapi.c - OpenAPI 3.1 from the tables of routes, messages, limits and errors: what is described is what is
 * checked. */
#include "api/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COMPONENT      "#/components/schemas/"
#define BYTES_SCHEMA   "{\"schema\":{\"type\":\"string\",\"format\":\"binary\"}}"
#define SHA256_PATTERN "{\"type\":\"string\",\"pattern\":\"^[0-9A-Fa-f]{64}$\"}"

/* In a request an absent value is left out; in an answer it may be null too. */
static const struct schema_view request = {false, field_most}, answer = {true, NULL};

/* --- answers --- */

static void put_list(struct json_writer *w, const struct message *row, bool is_page)
{
    jw_open_object(w);
    jw_field_str(w, "type", STR("object"));
    jw_key(w, STR("properties"));
    jw_open_object(w);
    jw_key(w, STR("list"));
    jw_open_object(w);
    jw_field_str(w, "type", STR("array"));
    jw_key(w, STR("items"));
    schema_describe_object(w, row, &answer);
    jw_close_object(w);
    if (is_page) {
        jw_field_raw(w, "total", STR("{\"type\":\"integer\",\"minimum\":0}"));
        jw_field_raw(w, "page", STR("{\"type\":\"integer\",\"minimum\":1}"));
        jw_field_raw(w, "page_size", STR("{\"type\":\"integer\",\"minimum\":1,\"maximum\":100}"));
    } else {
        jw_field_raw(w, "next_cursor", STR("{\"type\":[\"string\",\"null\"]}"));
    }
    jw_close_object(w);
    jw_field_raw(w, "required",
                 is_page ? STR("[\"list\",\"total\",\"page\",\"page_size\"]") : STR("[\"list\",\"next_cursor\"]"));
    jw_field_bool(w, "additionalProperties", false);
    jw_close_object(w);
}

static void put_data(struct json_writer *w, const struct route *r)
{
    switch (r->shape) {
    case SHAPE_LIST:
        jw_open_object(w);
        jw_key(w, STR("oneOf"));
        jw_open_array(w);
        put_list(w, r->answer, true);
        put_list(w, r->answer, false);
        jw_close_array(w);
        jw_close_object(w);
        break;
    case SHAPE_CURSOR:
        put_list(w, r->answer, false);
        break;
    case SHAPE_NOTHING:
        jw_raw(w, STR("{\"type\":\"null\"}"));
        break;
    case SHAPE_ITEM:
    case SHAPE_MADE:
    case SHAPE_COMMAND:
    case SHAPE_PLAIN:
    case SHAPE_STREAM:
    case SHAPE_JSON:
    case SHAPE_BYTES:
        schema_describe_object(w, r->answer, &answer);
        break;
    }
}

static void put_envelope(struct json_writer *w, const struct route *r)
{
    jw_open_object(w);
    jw_field_str(w, "type", STR("object"));
    jw_key(w, STR("properties"));
    jw_open_object(w);
    jw_field_raw(w, "code", STR("{\"const\":\"SUCCESS\"}"));
    jw_field_raw(w, "message", STR("{\"type\":\"string\"}"));
    jw_key(w, STR("data"));
    put_data(w, r);
    jw_field_raw(w, "trace_id", STR("{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{32}$\"}"));
    jw_close_object(w);
    jw_field_raw(w, "required", STR("[\"code\",\"message\",\"data\",\"trace_id\"]"));
    jw_field_bool(w, "additionalProperties", false);
    jw_close_object(w);
}

/* What has no envelope and no members: its type, and how it is described. */
static const struct {
    const char *type, *schema;
} bare[] = {
    [SHAPE_PLAIN] = {"text/plain", "{\"schema\":{\"type\":\"string\"}}"},
    [SHAPE_STREAM] = {"text/event-stream", "{\"schema\":{\"type\":\"string\"}}"},
    [SHAPE_BYTES] = {"application/octet-stream", BYTES_SCHEMA},
};

static void put_content(struct json_writer *w, const struct route *r)
{
    jw_key(w, STR("content"));
    jw_open_object(w);
    if (r->shape < COUNT_OF(bare) && bare[r->shape].type != NULL) {
        jw_field_raw(w, bare[r->shape].type, str_of(bare[r->shape].schema));
    } else {
        jw_key(w, STR("application/json"));
        jw_open_object(w);
        jw_key(w, STR("schema"));
        if (r->shape == SHAPE_JSON)
            schema_describe_object(w, r->answer, &answer);
        else
            put_envelope(w, r);
        jw_close_object(w);
    }
    jw_close_object(w);
}

static void put_answer(struct json_writer *w, const struct route *r, const char *status, const char *text)
{
    jw_key(w, str_of(status));
    jw_open_object(w);
    jw_field_str(w, "description", str_of(text));
    if (r->shape == SHAPE_BYTES)
        jw_field_raw(w, "headers", STR("{\"X-Content-SHA256\":{\"schema\":" SHA256_PATTERN "}}"));
    put_content(w, r);
    jw_close_object(w);
}

static void put_answers(struct json_writer *w, const struct route *r)
{
    jw_key(w, STR("responses"));
    jw_open_object(w);
    put_answer(w, r, "200", "Success");
    if (r->shape == SHAPE_MADE)
        put_answer(w, r, "201", "Made; Location says where it is");
    if (r->shape == SHAPE_COMMAND)
        put_answer(w, r, "202", "Taken on, and still open after wait_s");
    jw_field_raw(
        w, "default",
        STR("{\"description\":\"An error\",\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"" COMPONENT
            "Error\"}}}}"));
    jw_close_object(w);
}

/* --- requests --- */

static void put_path_parameters(struct json_writer *w, struct str path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (path.at[i] != '{')
            continue;
        size_t end = i;
        while (path.at[end] != '}')
            end++;
        jw_open_object(w);
        jw_field_str(w, "name", (struct str){path.at + i + 1, end - i - 1});
        jw_field_str(w, "in", STR("path"));
        jw_field_bool(w, "required", true);
        jw_field_raw(w, "schema", STR("{\"type\":\"string\"}"));
        jw_close_object(w);
    }
}

static void put_header(struct json_writer *w, const char *name, const char *schema)
{
    jw_open_object(w);
    jw_field_str(w, "name", str_of(name));
    jw_field_str(w, "in", STR("header"));
    jw_field_raw(w, "schema", str_of(schema));
    jw_close_object(w);
}

static void put_parameters(struct json_writer *w, const struct route *r)
{
    jw_key(w, STR("parameters"));
    jw_open_array(w);
    put_path_parameters(w, r->path);
    for (size_t i = 0; i < r->query->field_count; i++) {
        const struct field *f = &r->query->fields[i];
        jw_open_object(w);
        jw_field_str(w, "name", f->wire);
        jw_field_str(w, "in", STR("query"));
        jw_field_bool(w, "required", f->presence == REQUIRED);
        jw_key(w, STR("schema"));
        jw_open_object(w);
        schema_describe_field(w, f, &request);
        jw_close_object(w);
        jw_close_object(w);
    }
    if (str_eq(r->method, STR("POST")))
        put_header(w, "Idempotency-Key", "{\"type\":\"string\",\"minLength\":1,\"maxLength\":255}");
    if (r->body == &raw_bytes_message)
        put_header(w, "X-Content-SHA256", SHA256_PATTERN);
    if (r->shape == SHAPE_STREAM)
        put_header(w, "Last-Event-ID", "{\"type\":\"string\",\"pattern\":\"^[0-9]+$\"}");
    jw_close_array(w);
}

static void put_body(struct json_writer *w, const struct route *r)
{
    bool is_raw = r->body == &raw_bytes_message, is_needed = is_raw;
    if (r->body == &none_message)
        return;
    for (size_t i = 0; i < r->body->field_count; i++)
        is_needed |= r->body->fields[i].presence == REQUIRED;
    jw_key(w, STR("requestBody"));
    jw_open_object(w);
    jw_field_bool(w, "required", is_needed);
    jw_key(w, STR("content"));
    jw_open_object(w);
    if (is_raw) {
        jw_field_raw(w, "application/octet-stream", STR(BYTES_SCHEMA));
    } else {
        jw_key(w, STR("application/json"));
        jw_open_object(w);
        jw_key(w, STR("schema"));
        schema_describe_object(w, r->body, &request);
        jw_close_object(w);
    }
    jw_close_object(w);
    jw_close_object(w);
}

static void put_method(struct json_writer *w, const struct route *r)
{
    char key[8];
    size_t len = str_copy(key, sizeof key, r->method);
    for (size_t i = 0; i < len; i++)
        key[i] = (char)(key[i] | 0x20); /* ASCII capitals to small letters */
    jw_key(w, str_of(key));
    jw_open_object(w);
    jw_field_str(w, "operationId", r->name);
    jw_field_str(w, "summary", r->summary);
    if (r->role != ROLE_NONE)
        jw_field_str(w, "x-role", role_text(r->role));
    jw_field_raw(w, "security", r->role == ROLE_NONE ? STR("[]") : STR("[{\"key\":[]}]"));
    put_parameters(w, r);
    put_body(w, r);
    put_answers(w, r);
    jw_close_object(w);
}

static void put_paths(struct json_writer *w)
{
    jw_key(w, STR("paths"));
    jw_open_object(w);
    for (size_t i = 0; i < route_count;) {
        size_t first = i;
        jw_key(w, routes[i].path);
        jw_open_object(w);
        for (; i < route_count && route_same_path(&routes[first], &routes[i]); i++)
            put_method(w, &routes[i]);
        jw_close_object(w);
    }
    jw_close_object(w);
}

static void put_components(struct json_writer *w)
{
    jw_key(w, STR("components"));
    jw_open_object(w);
    jw_field_raw(w, "securitySchemes", STR("{\"key\":{\"type\":\"http\",\"scheme\":\"bearer\"}}"));
    jw_key(w, STR("schemas"));
    jw_open_object(w);
    jw_key(w, STR("Error"));
    jw_open_object(w);
    jw_field_str(w, "type", STR("object"));
    jw_key(w, STR("properties"));
    jw_open_object(w);
    jw_key(w, STR("code"));
    jw_open_object(w);
    jw_key(w, STR("enum"));
    jw_open_array(w);
    for (size_t i = 0; i < API_ERROR_COUNT; i++)
        jw_str(w, api_error_kinds[i].code);
    jw_close_array(w);
    jw_close_object(w);
    jw_field_raw(w, "message", STR("{\"type\":\"string\"}"));
    jw_field_raw(w, "details",
                 STR("{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"field\":{\"type\":"
                     "\"string\"},\"code\":{\"type\":"
                     "\"string\"},\"message\":{\"type\":\"string\"}},\"required\":[\"field\",\"code\",\"message\"],"
                     "\"additionalProperties\":false}}"));
    jw_field_raw(w, "trace_id", STR("{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{32}$\"}"));
    jw_close_object(w);
    jw_field_raw(w, "required", STR("[\"code\",\"message\",\"details\",\"trace_id\"]"));
    jw_field_bool(w, "additionalProperties", false);
    jw_close_object(w);
    jw_close_object(w);
    jw_close_object(w);
}

void api_openapi(struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_open_object(&w);
    jw_field_str(&w, "openapi", STR("3.1.0"));
    jw_key(&w, STR("info"));
    jw_open_object(&w);
    jw_field_str(&w, "title", STR("Chargeline"));
    jw_field_str(&w, "version", STR(CHARGELINE_VERSION));
    jw_close_object(&w);
    jw_field_raw(&w, "servers", STR("[{\"url\":\"/\"}]"));
    put_paths(&w);
    put_components(&w);
    jw_close_object(&w);
}
