/* api/envelope.c - the one form of an answer: {"code","message","data" or "details","trace_id"} (api.md 1). */
#include "api/call.h"

#include <stdio.h>

#include "base/log.h"

const struct api_error_kind api_error_kinds[API_ERROR_COUNT] = {
#define API_ERROR(name, status, text) [API_##name] = {{#name, sizeof #name - 1}, status, {text, sizeof text - 1}},
#include "api/errors.def"
};

/* What is wrong with a value, by the error of who found it. */
static const char *const detail_codes[ERR_COUNT] = {
    [OK] = "OK",
    [ERR_AGAIN] = "INCOMPLETE",
    [ERR_FORMAT] = "MALFORMED",
    [ERR_RANGE] = "NOT_ALLOWED",
    [ERR_TYPE] = "WRONG_TYPE",
    [ERR_MISSING] = "MISSING",
    [ERR_UNKNOWN] = "UNKNOWN",
    [ERR_STATE] = "STATE",
    [ERR_EXISTS] = "EXISTS",
    [ERR_LIMIT] = "TOO_MUCH",
    [ERR_FULL] = "FULL",
    [ERR_MEMORY] = "TOO_MUCH",
    [ERR_IO] = "IO",
    [ERR_CORRUPT] = "DAMAGED",
    [ERR_CLOSED] = "CLOSED",
    [ERR_DENIED] = "DENIED",
    [ERR_BUSY] = "BUSY",
    [ERR_UNSUPPORTED] = "UNSUPPORTED",
};

struct str detail_code(enum err e)
{
    return str_of(detail_codes[e]);
}

static void begin(struct call *c, int status, struct str code, struct str message)
{
    struct http_answer *a = &c->x->answer;
    buf_clear(&a->body);
    a->status = status;
    a->content_type = "application/json";
    jw_init(&c->w, &a->body);
    jw_open_object(&c->w);
    jw_field_str(&c->w, "code", code);
    jw_field_str(&c->w, "message", message);
}

struct json_writer *answer_begin(struct call *c, int status, struct str message)
{
    begin(c, status, STR("SUCCESS"), message);
    jw_key(&c->w, STR("data"));
    return &c->w;
}

static void finish(struct call *c)
{
    jw_field_str(&c->w, "trace_id", str_of(c->trace_text));
    jw_close_object(&c->w);
}

void answer_end(struct call *c)
{
    finish(c);
    if (c->x->answer.body.failed)
        answer_failure(c, ERR_MEMORY, NULL);
}

void answer_nothing(struct call *c, int status, struct str message)
{
    jw_null(answer_begin(c, status, message));
    answer_end(c);
}

void answer_error_details(struct call *c, enum api_error e, const struct detail *details, size_t count)
{
    const struct api_error_kind *k = &api_error_kinds[e];
    begin(c, k->status, k->code, k->text);
    jw_key(&c->w, STR("details"));
    jw_open_array(&c->w);
    for (size_t i = 0; i < count; i++) {
        jw_open_object(&c->w);
        jw_field_str(&c->w, "field", details[i].field.at == NULL ? STR("") : details[i].field);
        jw_field_str(&c->w, "code", details[i].code.at == NULL ? k->code : details[i].code);
        jw_field_str(&c->w, "message", details[i].message.at == NULL ? k->text : details[i].message);
        jw_close_object(&c->w);
    }
    jw_close_array(&c->w);
    finish(c);
}

void answer_error(struct call *c, enum api_error e, const struct fault *why)
{
    struct detail d = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    if (why != NULL && why->reason[0] != '\0')
        d = (struct detail){str_of(why->field), {NULL, 0}, str_of(why->reason)};
    answer_error_details(c, e, &d, d.message.at != NULL);
}

void answer_retry_after(struct call *c, int seconds)
{
    char text[12];
    (void)snprintf(text, sizeof text, "%d", seconds);
    http_answer_header(&c->x->answer, "Retry-After", str_of(text));
}

/* Which failures of ours pass by themselves. */
static bool is_passing(enum err e)
{
    return e == ERR_FULL || e == ERR_BUSY || e == ERR_LIMIT || e == ERR_CLOSED || e == ERR_AGAIN;
}

void answer_failure(struct call *c, enum err e, const struct fault *why)
{
    struct fault f = {"", ""};
    if (why != NULL)
        f = *why;
    if (f.reason[0] == '\0')
        fault_set(&f, STR(""), "%s", err_text(e));
    LOG_ERROR("api.failed", F_STR("path", c->x->target), F_CSTR("err", err_text(e)), F_CSTR("field", f.field),
              F_CSTR("reason", f.reason), F_CSTR("trace", c->trace_text));
    if (!is_passing(e)) {
        answer_error(c, API_INTERNAL, NULL); /* a stranger learns nothing of what is inside */
        return;
    }
    answer_error(c, API_NOT_READY, &f);
    answer_retry_after(c, 1);
}

void answer_refused(struct call *c, enum err e, const struct fault *why)
{
    struct detail d = {str_of(why->field), detail_code(e), str_of(why->reason[0] == '\0' ? err_text(e) : why->reason)};
    answer_error_details(c, e == ERR_RANGE ? API_VALUE_NOT_ALLOWED : API_INVALID_REQUEST, &d, 1);
}
