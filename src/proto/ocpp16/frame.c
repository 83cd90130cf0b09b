/* proto/ocpp16/frame.c - a frame is a JSON array; it is read in one pass, its payload left as text for the tables. */
#include "proto/ocpp16/frame.h"

#include "base/scan.h"

/* An array that is read item by item; json_next_item() may not be asked again once it has said no. */
static bool next_item(struct json *j, bool *is_closed)
{
    *is_closed = *is_closed || !json_next_item(j);
    return !*is_closed;
}

/* The id: text, or (some stations) a number. Echoed as it came. */
static bool read_id(struct json *j, bool *is_closed, struct arena *a, struct ocpp_frame *f)
{
    enum json_kind kind = next_item(j, is_closed) ? json_peek(j) : JSON_NONE;
    if (kind == JSON_NUMBER) {
        if (!json_get_raw(j, &f->id_json))
            return false;
        f->id = f->id_json;
        return f->id.len <= OCPP_ID_MAX; /* it is echoed, and kept with its answer */
    }
    struct json_string s;
    if (kind != JSON_STRING || !json_get_string(j, &s) || json_string_text(s, a, &f->id) != OK)
        return false;
    f->id_json = (struct str){s.raw.at - 1, s.raw.len + 2};
    return s.raw.len <= OCPP_ID_MAX;
}

static bool read_text(struct json *j, struct arena *a, struct str *out)
{
    struct json_string s;
    return json_peek(j) == JSON_STRING && json_get_string(j, &s) && json_string_text(s, a, out) == OK;
}

static enum err read_payload(struct json *j, bool *is_closed, bool is_found_only, struct ocpp_frame *f,
                             struct fault *why)
{
    if (!next_item(j, is_closed)) {
        fault_set(why, STR("payload"), "the message ends before its payload");
        return ERR_MISSING;
    }
    enum json_kind kind = json_peek(j);
    if (is_found_only && kind == JSON_OBJECT && json_get_last(j, &f->payload)) {
        *is_closed = true;
        return OK;
    }
    if (kind == JSON_NULL) {
        f->payload = STR("{}");
        return json_get_null(j) ? OK : ERR_FORMAT;
    }
    if (!(is_found_only ? json_get_known(j, &f->payload) : json_get_raw(j, &f->payload)))
        return ERR_FORMAT;
    if (kind == JSON_OBJECT)
        return OK;
    fault_set(why, STR("payload"), "the payload is not an object");
    return ERR_TYPE;
}

static enum err read_call(struct json *j, bool *is_closed, bool is_found_only, struct arena *a, struct ocpp_frame *f,
                          struct fault *why)
{
    if (!next_item(j, is_closed)) {
        fault_set(why, STR("action"), "the message ends before its action");
        return ERR_MISSING;
    }
    if (!read_text(j, a, &f->action)) {
        fault_set(why, STR("action"), "the action is not text");
        return json_skip(j) ? ERR_TYPE : ERR_FORMAT;
    }
    return read_payload(j, is_closed, is_found_only, f, why);
}

/* Code, description and details are always sent, but their absence, or null, is tolerated when reading (ocpp16.md 2.1):
 * that it is an error is said by the frame already. What is no text is read over. */
static enum err read_error(struct json *j, bool *is_closed, struct arena *a, struct ocpp_frame *f)
{
    struct str *const texts[] = {&f->error_code, &f->error_text};
    f->error_code = f->error_text = STR("");
    f->payload = STR("{}");
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (next_item(j, is_closed) && !read_text(j, a, texts[i]) && !json_skip(j))
            return ERR_FORMAT;
    if (next_item(j, is_closed) && !json_get_raw(j, &f->payload))
        return ERR_FORMAT;
    return OK;
}

/* Whatever stands where the payload should: an answer ends its call, and the table says if it is a good one
 * (ocpp16.md 2.4). */
static enum err read_result(struct json *j, bool *is_closed, struct ocpp_frame *f)
{
    f->payload = STR("{}");
    if (!next_item(j, is_closed))
        return OK;
    return json_peek(j) == JSON_NULL ? (json_get_null(j) ? OK : ERR_FORMAT)
                                     : (json_get_raw(j, &f->payload) ? OK : ERR_FORMAT);
}

static enum err read_frame(struct str text, bool is_found_only, struct arena *a, struct ocpp_frame *out,
                           struct fault *why)
{
    struct ocpp_frame f = {0};
    struct json j;
    struct str number;
    int64_t kind;
    bool is_closed = false;
    json_init(&j, text);
    if (json_peek(&j) != JSON_ARRAY || !json_open_array(&j)) {
        fault_set(why, STR("frame"), "not a JSON array");
        return ERR_FORMAT;
    }
    if (!next_item(&j, &is_closed) || json_peek(&j) != JSON_NUMBER || !json_get_number(&j, &number) ||
        json_number_int(number, &kind) != OK) {
        fault_set(why, STR("frame"), "does not begin with a message type number");
        return ERR_FORMAT;
    }
    if (kind != OCPP_CALL && kind != OCPP_RESULT && kind != OCPP_ERROR) {
        fault_set(why, STR("frame"), "message type %lld is none of 2, 3, 4", (long long)kind);
        return ERR_UNSUPPORTED;
    }
    f.kind = (enum ocpp_frame_kind)kind;
    if (!read_id(&j, &is_closed, a, &f)) {
        fault_set(why, STR("id"), "no usable unique id");
        return ERR_FORMAT;
    }
    enum err e = kind == OCPP_CALL
                     ? read_call(&j, &is_closed, is_found_only, a, &f, why)
                     : (kind == OCPP_RESULT ? read_result(&j, &is_closed, &f) : read_error(&j, &is_closed, a, &f));
    while (next_item(&j, &is_closed)) /* further items are passed over, but must be JSON */
        if (!json_skip(&j))
            break;
    if (json_end(&j) != OK) {
        fault_set(why, STR("frame"), "not JSON: %s", j.reason == NULL ? "malformed" : j.reason);
        return ERR_FORMAT;
    }
    if (e == OK || e == ERR_MISSING || e == ERR_TYPE)
        *out = f;
    return e;
}

enum err ocpp_frame_read(struct str text, struct arena *a, struct ocpp_frame *out, struct fault *why)
{
    return read_frame(text, false, a, out, why);
}

/* A call as machines write it: [2,"id","Action",{...}], no blank but behind the payload, no escape and no letter beyond
 * ASCII before it. False: anything else, which may be a good one too. */
static bool find_plain_call(struct str text, struct ocpp_frame *out)
{
    static const char head[] = "[2,\"", between[] = "\",\"", behind[] = "\",{";
    const uint8_t *const start = (const uint8_t *)text.at;
    const uint8_t *end = start + text.len;
    const size_t fixed = sizeof head + sizeof between + sizeof behind - 3;

    if (text.len < fixed + 2 || memcmp(start, head, sizeof head - 1) != 0 || *--end != ']')
        return false;
    while (end[-1] == ' ')
        end--;
    if (end[-1] != '}')
        return false;
    const uint8_t *const id = start + sizeof head - 1, *const id_end = scan_plain(id, end);
    if (id_end - id > OCPP_ID_MAX || (size_t)(end - id_end) < sizeof between + sizeof behind - 2 ||
        memcmp(id_end, between, sizeof between - 1) != 0)
        return false;
    const uint8_t *const action = id_end + sizeof between - 1, *const action_end = scan_plain(action, end);
    if ((size_t)(end - action_end) < sizeof behind || memcmp(action_end, behind, sizeof behind - 1) != 0)
        return false;
    const uint8_t *const payload = action_end + sizeof behind - 2;
    *out = (struct ocpp_frame){
        .kind = OCPP_CALL,
        .id = {(const char *)id, (size_t)(id_end - id)},
        .id_json = {(const char *)id - 1, (size_t)(id_end - id) + 2},
        .action = {(const char *)action, (size_t)(action_end - action)},
        .payload = {(const char *)payload, (size_t)(end - payload)},
    };
    return true;
}

enum err ocpp_frame_find(struct str text, struct arena *a, struct ocpp_frame *out, struct fault *why)
{
    return find_plain_call(text, out) ? OK : read_frame(text, true, a, out, why);
}

bool ocpp_frame_payload(struct str text, struct str *payload)
{
    struct json j;
    struct str number;
    int64_t kind;
    json_init(&j, text);
    if (!json_open_array(&j) || !json_next_item(&j) || !json_get_number(&j, &number) ||
        json_number_int(number, &kind) != OK || kind != OCPP_CALL)
        return false;
    for (int i = 0; i < 2; i++) /* id and action */
        if (!json_next_item(&j) || !json_skip(&j))
            return false;
    if (!json_next_item(&j))
        return false;
    if (json_peek(&j) == JSON_NULL)
        *payload = STR("{}"); /* as ocpp_frame_read has it */
    return json_peek(&j) == JSON_NULL || json_get_known(&j, payload);
}

void ocpp_write_call(struct buf *out, struct str id, struct str action, struct str payload)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_open_array(&w);
    jw_int(&w, OCPP_CALL);
    jw_str(&w, id);
    jw_str(&w, action);
    jw_raw(&w, payload);
    jw_close_array(&w);
}

void ocpp_write_result(struct buf *out, struct str id_json, struct str payload)
{
    buf_put_lit(out, "[3,");
    buf_put_str(out, id_json);
    buf_put_byte(out, ',');
    buf_put_str(out, payload);
    buf_put_byte(out, ']');
}

void ocpp_write_error(struct buf *out, struct str id_json, struct str code, struct str description)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_open_array(&w);
    jw_int(&w, OCPP_ERROR);
    jw_raw(&w, id_json);
    jw_str(&w, code);
    jw_str(&w, description);
    jw_raw(&w, STR("{}"));
    jw_close_array(&w);
}
