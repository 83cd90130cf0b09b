/* tail.c - chargeline tail: the events of a log for people and scripts, beside its server or without one. */
#include "commands.h"
#include "event_words.h"
#include "options.h"

#include "eventlog/reader.h"
#include "loop/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAST_DEFAULT      10
#define POLL_FIRST_MS     5
#define POLL_MOST_MS      50
#define BUSY_TRIES        100 /* of POLL_MOST_MS, where a log that is not followed should hold more */
#define LINE_SIZE_MAX     ((size_t)64 << 20)
#define STATION_WIDTH_MIN 12
#define STATION_WIDTH_MAX 48
#define PATH_SIZE         4400

static const struct {
    char letter;
    int64_t seconds;
} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};

static const char *const colours[TONE_COUNT] = {
    [TONE_PLAIN] = "",       [TONE_GOOD] = "\033[32m", [TONE_WARN] = "\033[33m",
    [TONE_BAD] = "\033[31m", [TONE_QUIET] = "\033[2m",
};

struct tail {
    struct log_reader *reader;
    struct arena arena;
    struct buf line;
    uint8_t trace[16];
    bool has_trace, has_types, types[EVENT_TYPE_COUNT];
    bool is_json, is_coloured, is_damaged;
    int station_width;
    int64_t count;       /* --last */
    uint64_t at;         /* the position to begin with; 0: not said */
    struct instant from; /* or the time */
    const char *data, *since, *last, *station, *trace_text, *format;
    struct option_texts type_texts;
    bool no_follow, all;
};
static struct tail tail = {.data = "./data",
                           .format = "readable",
                           .station_width = STATION_WIDTH_MIN,
                           .count = LAST_DEFAULT,
                           .from = INSTANT_NONE};

static const struct option_line options[] = {
    {"--data", "DIR", "the server's data directory (./data)", OPTION_TEXT, &tail.data},
    {"--last", "N", "begin with the last N that match (10); 0: only new ones", OPTION_TEXT, &tail.last},
    {"--since", "WHEN",
     "begin there: a position in the log, a time (2026-03-01T09:00:00Z,\n                    2026-03-01), or how long "
     "ago (90s, 15m, 2h, 1d)",
     OPTION_TEXT, &tail.since},
    {"--no-follow", NULL, "end at the end of the log instead of waiting for more", OPTION_SWITCH, &tail.no_follow},
    {"--station", "ID", "only of this station", OPTION_TEXT, &tail.station},
    {"--type", "T[,T]...", "only of these types: transaction.started, or transaction.* for all of them", OPTION_TEXTS,
     &tail.type_texts},
    {"--trace", "HEX", "only what belongs to this trace: 32 hexadecimal digits", OPTION_TEXT, &tail.trace_text},
    {"--all", NULL, "also the events that are not published, such as frames and commands on their way", OPTION_SWITCH,
     &tail.all},
    {"--format", "FORM", "readable (default), or json: the published event, one a line", OPTION_TEXT, &tail.format},
};
static const struct command_page page = {
    .name = "tail",
    .usage = "[--data DIR] [options]",
    .about = "Shows the events of a server, running or not, and waits for more. Ctrl-C ends it.",
    .more = "examples: chargeline tail --station CP-17\n"
            "          chargeline tail --since 15m --type 'transaction.*,device.quarantined'\n"
            "          chargeline tail --no-follow --since 1 --format json | jq .eventType\n\n"
            "exit: 0 done or asked to stop, 1 the log cannot be read or is damaged in what was read, 2 usage\n",
    .options = options,
    .option_count = COUNT_OF(options),
};

static volatile sig_atomic_t is_stopped;

static void on_signal(int signal)
{
    (void)signal;
    is_stopped = 1;
}

/* --- what is shown --- */

/* A type's name, or "group.*". */
static bool add_types(struct tail *t, struct str name)
{
    bool is_found = false;
    bool is_group = name.len > 2 && memcmp(name.at + name.len - 2, ".*", 2) == 0;
    struct str group = {name.at, is_group ? name.len - 1 : 0};
    for (int i = EVENT_NOTHING + 1; i < EVENT_TYPE_COUNT; i++) {
        if (is_group ? str_starts(event_kinds[i].wire, group) : str_eq(event_kinds[i].wire, name))
            t->types[i] = is_found = true;
    }
    t->has_types = true;
    return is_found;
}

static int read_types(struct tail *t)
{
    for (size_t i = 0; i < t->type_texts.count; i++) {
        for (const char *at = t->type_texts.at[i];; at++) {
            struct str name = {at, strcspn(at, ",")};
            if (!add_types(t, name))
                return command_fail(&page, EXIT_USAGE,
                                    "--type: no such event type: \"%.*s\"; docs/reference/events.md lists them",
                                    STR_ARG(name));
            at += name.len;
            if (*at == '\0')
                break;
        }
    }
    return OPTIONS_READ;
}

static bool is_wanted(const struct tail *t, const struct event *e)
{
    if (t->has_types ? !t->types[e->type] : !t->all && !event_kinds[e->type].is_published)
        return false;
    if (t->station != NULL && !str_eq(e->station, str_of(t->station)))
        return false;
    return !t->has_trace || memcmp(e->trace, t->trace, sizeof t->trace) == 0;
}

static void put_station(struct tail *t, struct str station)
{
    size_t begun = t->line.len;
    int width = 0;
    put_shown(&t->line, station);
    for (size_t i = begun; i < t->line.len; i++)
        width += (t->line.at[i] & 0xC0) != 0x80;
    if (width > t->station_width)
        t->station_width = width < STATION_WIDTH_MAX ? width : STATION_WIDTH_MAX;
    buf_printf(&t->line, "%*s", width < t->station_width ? t->station_width - width : 0, "");
}

static void put_readable(struct tail *t, const struct event *e)
{
    const char *colour = t->is_coloured ? colours[event_tone(e->type)] : "";
    buf_put_instant(&t->line, e->received);
    buf_put_lit(&t->line, "  ");
    put_station(t, e->station);
    buf_printf(&t->line, "  %s", colour);
    event_put_words(e, &t->arena, &t->line);
    buf_printf(&t->line, "%s\n", colour[0] == '\0' ? "" : "\033[0m");
}

/* False: nobody takes it any more. */
static bool show(struct tail *t, const struct event *e)
{
    buf_clear(&t->line);
    arena_reset(&t->arena);
    if (t->is_json) {
        event_write(e, reader_gateway(t->reader), &t->line);
        buf_put_byte(&t->line, '\n');
    } else {
        put_readable(t, e);
    }
    return fwrite(t->line.at, 1, t->line.len, stdout) == t->line.len;
}

/* --- reading --- */

static bool is_told_and_passed(struct tail *t, enum err e, const struct fault *why)
{
    if (e != ERR_CORRUPT && e != ERR_UNSUPPORTED)
        return false;
    t->is_damaged |= e == ERR_CORRUPT;
    (void)fflush(stdout);
    (void)command_fail(&page, EXIT_FAILED, "%s, passed over: %s: %s", err_text(e), why->field, why->reason);
    return true;
}

/* t->at: where the last t->count events that match begin. */
static enum err find_last(struct tail *t, struct fault *why)
{
    struct event event;
    int64_t found = 0;
    t->at = reader_newest(t->reader) + 1;
    reader_seek_back(t->reader, UINT64_MAX);
    while (found < t->count && !is_stopped) {
        enum err e = reader_prev(t->reader, &event, why);
        if (e == ERR_AGAIN)
            break;
        if (e == ERR_CORRUPT || e == ERR_UNSUPPORTED)
            continue; /* told when it is read forwards */
        if (e != OK)
            return e;
        if (is_wanted(t, &event)) {
            found++;
            t->at = event.position;
        }
    }
    return OK;
}

/* Sleeps, but not longer than somebody reads what we write. */
static bool wait_for_more(int pause_ms)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    return poll(&out, 1, pause_ms) <= 0;
}

/* The end of what is written. A reader that went away has read enough. */
static int finish(const struct tail *t, int write_error)
{
    if (write_error != 0 && write_error != EPIPE && !is_stopped)
        return command_fail(&page, EXIT_FAILED, "standard output: %s", strerror(write_error));
    return t->is_damaged ? EXIT_FAILED : EXIT_OK;
}

static int run(struct tail *t)
{
    const uint64_t end = t->no_follow ? reader_newest(t->reader) : UINT64_MAX;
    uint64_t next = t->at; /* behind what was read */
    int pause_ms = POLL_FIRST_MS, tries = 0;
    reader_seek(t->reader, t->at);
    while (!is_stopped && next <= end) {
        struct event event;
        struct fault why = {0};
        enum err e = reader_next(t->reader, &event, &why);
        if (e == OK) {
            next = event.position + 1;
            pause_ms = POLL_FIRST_MS;
            tries = 0;
            if (event.position <= end && is_wanted(t, &event) && !show(t, &event))
                return finish(t, errno);
        } else if (e == ERR_AGAIN) {
            if (fflush(stdout) != 0)
                return finish(t, errno);
            /* Of one station, or behind damage, we cannot know that there is more. */
            if (t->no_follow && (t->station != NULL || t->is_damaged || ++tries > BUSY_TRIES))
                break;
            if (!wait_for_more(pause_ms))
                return finish(t, EPIPE);
            pause_ms = pause_ms * 2 < POLL_MOST_MS ? pause_ms * 2 : POLL_MOST_MS;
        } else if (!is_told_and_passed(t, e, &why)) {
            (void)fflush(stdout);
            return command_fail(&page, EXIT_FAILED, "%s: %s", why.field, why.reason);
        }
    }
    return finish(t, fflush(stdout) == 0 ? 0 : errno);
}

/* --- where it begins --- */

static bool read_time(struct str text, struct instant *out)
{
    char whole[32];
    if (instant_parse(text, out, NULL) == OK)
        return true;
    (void)snprintf(whole, sizeof whole, "%.*sT00:00:00Z", text.len < 12 ? (int)text.len : 12, text.at);
    return instant_parse(str_of(whole), out, NULL) == OK;
}

/* "15m" */
static bool read_ago(struct str text, struct instant *out)
{
    int64_t n;
    for (size_t i = 0; i < COUNT_OF(units) && text.len > 1; i++) {
        if (text.at[text.len - 1] != units[i].letter || str_to_int((struct str){text.at, text.len - 1}, &n) != OK)
            continue;
        if (n < 0 || n > INT32_MAX)
            return false;
        *out = instant_add(clock_now(), SPAN_S(-n * units[i].seconds));
        return true;
    }
    return false;
}

static bool read_since(struct tail *t)
{
    struct str text = str_of(t->since);
    int64_t position;
    if (str_to_int(text, &position) == OK && position >= 0) {
        t->at = position == 0 ? 1 : (uint64_t)position;
        return true;
    }
    return read_ago(text, &t->from) || read_time(text, &t->from);
}

static int seek(struct tail *t)
{
    struct fault why = {0};
    if (instant_is_set(t->from))
        t->at = reader_find_time(t->reader, t->from);
    else if (t->at == 0 && find_last(t, &why) != OK)
        return command_fail(&page, EXIT_FAILED, "%s: %s", why.field, why.reason);
    return OPTIONS_READ;
}

static int read_options(struct tail *t, int argc, char **argv)
{
    int code = options_read(&page, argc, argv);
    if (code != OPTIONS_READ)
        return code;
    if (t->since != NULL && t->last != NULL)
        return command_fail(&page, EXIT_USAGE, "--since and --last do not go together");
    if (t->since != NULL && !read_since(t))
        return command_fail(&page, EXIT_USAGE,
                            "--since: \"%s\" is no position, time or age; see chargeline tail --help", t->since);
    if (t->last != NULL && (str_to_int(str_of(t->last), &t->count) != OK || t->count < 0))
        return command_fail(&page, EXIT_USAGE, "--last: \"%s\" is no count", t->last);
    t->is_json = strcmp(t->format, "json") == 0;
    if (!t->is_json && strcmp(t->format, "readable") != 0)
        return command_fail(&page, EXIT_USAGE, "--format: \"%s\" is neither readable nor json", t->format);
    t->has_trace = t->trace_text != NULL;
    if (t->has_trace && hex_parse(str_of(t->trace_text), t->trace, sizeof t->trace) != OK)
        return command_fail(&page, EXIT_USAGE, "--trace: \"%s\" is not 32 hexadecimal digits", t->trace_text);
    return read_types(t);
}

int tail_main(int argc, char **argv)
{
    struct tail *t = &tail;
    struct sigaction stop = {.sa_handler = on_signal}; /* without SA_RESTART: a write that waits ends too */
    struct fault why = {0};
    char path[PATH_SIZE];
    int code = read_options(t, argc, argv);
    if (code != OPTIONS_READ)
        return code;
    event_words_check();
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGHUP, &stop, NULL);
    (void)snprintf(path, sizeof path, "%s/log", t->data);
    if (reader_open(str_of(path), &t->reader, &why) != OK)
        return command_fail(&page, EXIT_FAILED, "%s: %s; is %s the server's data directory?", why.field, why.reason,
                            t->data);
    if (t->station != NULL)
        reader_only_station(t->reader, str_of(t->station));
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    t->is_coloured = isatty(STDOUT_FILENO) == 1 && (no_colour == NULL || no_colour[0] == '\0') &&
                     (term == NULL || strcmp(term, "dumb") != 0);
    arena_init(&t->arena, LINE_SIZE_MAX);
    buf_init(&t->line, LINE_SIZE_MAX);
    code = seek(t);
    if (code == OPTIONS_READ)
        code = run(t);
    reader_close(t->reader);
    arena_release(&t->arena);
    buf_release(&t->line);
    return code;
}
