/* reference.c - chargeline reference: the pages of docs/reference, written from the same tables that the program runs
 * by. */
#include "commands.h"
#include "options.h"

#include "api/messages.h"
#include "config/config.h"
#include "eventlog/event.h"
#include "metrics/metrics.h"
#include "proto/ap3000/describe.h"
#include "proto/ocpp16/decide.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PAGE_SIZE_MAX ((size_t)8 << 20)
#define PATH_SIZE     4400

static const char *out_dir;

static const struct option_line options[] = {
    {"--out", "DIR", "the folder to write into, made if it is missing", OPTION_TEXT, &out_dir},
};
static const struct command_page page = {
    .name = "reference",
    .usage = "--out DIR",
    .about = "Writes the reference pages (Markdown): settings, metrics, events, OCPP messages, AP3000 frames, "
             "errors,\nHTTP API.",
    .more = "example: chargeline reference --out docs/reference\n\n"
            "exit: 0 done, 1 a page could not be written, 2 usage\n",
    .options = options,
    .option_count = COUNT_OF(options),
};

/* --- events.md --- */

static void put_event(const struct event_kind *k, struct buf *out)
{
    buf_printf(out, "\n### `%.*s`\n\nWhen: %s.\n\n", STR_ARG(k->wire), k->when);
    schema_document(k->payload, out);
}

static void put_events(bool is_published, struct buf *out)
{
    for (int t = EVENT_NOTHING + 1; t < EVENT_TYPE_COUNT; t++)
        if (event_kinds[t].is_published == is_published)
            put_event(&event_kinds[t], out);
}

static void write_events(struct buf *out)
{
    buf_put_lit(out, "# Events\n\nMade from src/eventlog/event.def and payload.def. Each event is one JSON object:\n\n"
                     "| field | type | meaning |\n|---|---|---|\n"
                     "| `eventId` | text, UUID v7 | unique for ever; a consumer drops repeats by it |\n"
                     "| `eventType` | text | one of those below |\n"
                     "| `chargePointId` | text | the station |\n"
                     "| `gatewayId` | text | which gateway process made it |\n"
                     "| `timestamp` | date and time | when the gateway received what caused it |\n"
                     "| `payload` | object | by type, below |\n"
                     "| `traceId` | 32 hexadecimal digits | of the command that caused it, else one of its own |\n"
                     "| `deviceTime` | date and time | the station's own time, where it gave one |\n"
                     "| `sequence` | integer | rises by one for each published event of a station; a gap means that "
                     "something is missing |\n"
                     "| `schemaVersion` | text | `" EVENT_SCHEMA_VERSION "` |\n\n"
                     "`chargeline tail --format json` prints them so.\n\n## Published\n");
    put_events(true, out);
    buf_put_lit(
        out, "\n## Inside this program only\n\nIn the log, but not published; `chargeline tail --all` shows them.\n");
    put_events(false, out);
}

/* --- messages.md --- */

static void put_action(const struct ocpp_action *a, struct buf *out)
{
    buf_printf(out, "\n### %.*s\n\nCalled by %s.\n\nRequest `%s`:\n\n", STR_ARG(a->name),
               a->from_station && a->from_central ? "station and server"
                                                  : (a->from_station ? "the station" : "the server"),
               a->request->name);
    schema_document(a->request, out);
    buf_printf(out, "\nResponse `%s`:\n\n", a->response->name);
    schema_document(a->response, out);
}

static bool is_first_of_profile(size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (str_eq(ocpp_actions[j].profile, ocpp_actions[i].profile))
            return false;
    return true;
}

static void write_messages(struct buf *out)
{
    buf_put_lit(out, "# Messages of OCPP 1.6\n\nMade from src/proto/ocpp16/messages.def, choices.def and actions.def: "
                     "every message of the base "
                     "protocol and of the\nsecurity extension, by feature profile. Limits are those of the standard; "
                     "what a station may bend is "
                     "taken unless `ocpp.strict` is on.\n");
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (!is_first_of_profile(i))
            continue;
        buf_printf(out, "\n## %.*s\n", STR_ARG(ocpp_actions[i].profile));
        for (size_t j = i; j < ACTION_COUNT; j++)
            if (str_eq(ocpp_actions[j].profile, ocpp_actions[i].profile))
                put_action(&ocpp_actions[j], out);
    }
}

/* --- errors.md --- */

static const char *const error_names[ERR_COUNT] = {
#define ERR(name, text) [name] = #name,
#include "base/err.def"
};

static const struct {
    const char *code;
    int status;
    const char *text;
} api_errors[] = {
#define API_ERROR(name, status, text) {#name, (status), (text)},
#include "api/errors.def"
};

static void write_errors(struct buf *out)
{
    buf_put_lit(out, "# Errors\n\n## Of the HTTP API\n\nMade from src/api/errors.def. `code` of the envelope; the "
                     "message says the same sentence.\n\n"
                     "| code | status | what to do |\n|---|---|---|\n");
    for (size_t i = 0; i < COUNT_OF(api_errors); i++)
        buf_printf(out, "| `%s` | %d | %s |\n", api_errors[i].code, api_errors[i].status, api_errors[i].text);
    buf_put_lit(out, "\n## Inside the program, and what a station is told\n\nMade from src/base/err.def. A call that "
                     "is refused is answered with "
                     "a CALLERROR of this code.\n\n| error | in words | OCPP error code |\n|---|---|---|\n");
    for (int e = OK + 1; e < ERR_COUNT; e++)
        buf_printf(out, "| `%s` | %s | `%.*s` |\n", error_names[e], err_text((enum err)e),
                   STR_ARG(ocpp_error_code((enum err)e)));
}

/* --- api.md --- */

#define LEAST_NONE     "none"
#define LEAST_VIEWER   "viewer"
#define LEAST_OPERATOR "operator"
#define LEAST_ADMIN    "admin"

/* What "data" of the envelope is, or what comes instead of the envelope. */
#define ANSWER_ITEM "`data` is:"
#define ANSWER_MADE "200, or 201 with `Location` when it is new; `data` is:"
#define ANSWER_LIST                                                                                                   \
    "`data` is a page `{list, total, page, page_size}`, or with `cursor` or `limit` alone `{list, next_cursor}`; of " \
    "each item:"
#define ANSWER_CURSOR  "`data` is `{list, next_cursor}`; of each item:"
#define ANSWER_NOTHING "`data` is null."
#define ANSWER_COMMAND "200 with its outcome, 202 while it is open; `data` is:"
#define ANSWER_PLAIN   "Plain text, without an envelope."
#define ANSWER_STREAM  "Server-sent events: `id` is the position in the log, `data` the event."
#define ANSWER_JSON    "Without an envelope:"
#define ANSWER_BYTES   "The bytes, `application/octet-stream`, without an envelope."

static const struct {
    const char *method, *path, *role;
    const struct message *query, *body, *answer;
    const char *shape, *summary;
} api_routes[] = {
#define ROUTE(method, path, handler, role, reads, query, body, answer, shape, summary) \
    {#method, path, LEAST_##role, &query##_message, &body##_message, &answer##_message, ANSWER_##shape, summary},
#include "api/routes.def"
};

static void put_part(const char *title, const struct message *m, struct buf *out)
{
    if (m->field_count == 0)
        return;
    buf_printf(out, "\n%s\n\n", title);
    schema_document(m, out);
}

static void write_api(struct buf *out)
{
    buf_put_lit(out, "# HTTP API\n\nMade from src/api/routes.def and messages.def; `GET /openapi.json` gives the same "
                     "to programs. Success is\n"
                     "`{\"code\":\"SUCCESS\",\"message\":...,\"data\":...,\"trace_id\":...}`, an error "
                     "`{\"code\":...,\"message\":...,\"details\":[{\"field\",\"code\","
                     "\"message\"}],\"trace_id\":...}`\n(codes: [errors.md](errors.md)). `Authorization: Bearer KEY` "
                     "with a key of at least the role named. In an answer "
                     "a field\nthat is not required may be null.\n\n| | path | role | |\n|---|---|---|---|\n");
    for (size_t i = 0; i < COUNT_OF(api_routes); i++)
        buf_printf(out, "| %s | `%s` | %s | %s |\n", api_routes[i].method, api_routes[i].path, api_routes[i].role,
                   api_routes[i].summary);
    for (size_t i = 0; i < COUNT_OF(api_routes); i++) {
        buf_printf(out, "\n## %s `%s`\n\n%s. Least role: %s.\n", api_routes[i].method, api_routes[i].path,
                   api_routes[i].summary, api_routes[i].role);
        put_part("Query:", api_routes[i].query, out);
        put_part("Body:", api_routes[i].body, out);
        if (api_routes[i].body == &raw_bytes_message)
            buf_put_lit(out, "\nBody: the bytes, `application/octet-stream`, at most `files.max_bytes` of them.\n");
        buf_printf(out, "\nAnswer: %s\n", api_routes[i].shape);
        if (api_routes[i].answer->field_count > 0) {
            buf_put_byte(out, '\n');
            schema_document(api_routes[i].answer, out);
        }
    }
}

/* --- all of them --- */

static const struct {
    const char *name;
    void (*write)(struct buf *out);
} pages[] = {
    {"configuration.md", config_document}, {"metrics.md", metrics_document}, {"events.md", write_events},
    {"messages.md", write_messages},       {"errors.md", write_errors},      {"api.md", write_api},
    {"ap3000.md", ap3000_document},
};

static int write_page(size_t i, struct buf *text)
{
    char path[PATH_SIZE];
    buf_clear(text);
    pages[i].write(text);
    check(!text->failed); /* the tables are ours */
    (void)snprintf(path, sizeof path, "%s/%s", out_dir, pages[i].name);
    FILE *f = fopen(path, "w");
    bool ok = f != NULL && fwrite(text->at, 1, text->len, f) == text->len;
    if (f != NULL)
        ok = fclose(f) == 0 && ok;
    return ok ? EXIT_OK : command_fail(&page, EXIT_FAILED, "%s: %s", path, strerror(errno));
}

int reference_main(int argc, char **argv)
{
    int code = options_read(&page, argc, argv);
    if (code != OPTIONS_READ)
        return code;
    if (out_dir == NULL)
        return command_fail(&page, EXIT_USAGE, "say where to: --out DIR");
    if (mkdir(out_dir, 0777) != 0 && errno != EEXIST)
        return command_fail(&page, EXIT_FAILED, "%s: %s", out_dir, strerror(errno));
    struct buf text;
    buf_init(&text, PAGE_SIZE_MAX);
    code = EXIT_OK;
    for (size_t i = 0; i < COUNT_OF(pages) && code == EXIT_OK; i++)
        code = write_page(i, &text);
    buf_release(&text);
    if (code == EXIT_OK)
        (void)printf("%zu pages written to %s\n", COUNT_OF(pages), out_dir);
    return code;
}
