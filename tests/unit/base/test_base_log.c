/* A line of each kind into a pipe, and what hostile values become. */
#include "base/log.h"
#include "base/json.h"
#include "check.h"
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define THREADS 4
#define LINES   200

static int pipe_ends[2];
static char got[65536];

static int64_t fixed_clock(void)
{
    return 1772355600123456;
}

/* What was written since the last time. */
static struct str take_lines(void)
{
    check(write(pipe_ends[1], "", 1) == 1); /* something to read, also when nothing was logged */
    ssize_t len = read(pipe_ends[0], got, sizeof got);
    return (struct str){got, len < 1 ? 0 : (size_t)len - 1};
}

static const struct {
    const char *row;
    struct str value;
    const char *logfmt, *json;
} values[] = {
    {"a plain word stands bare", {"CP-17", 5}, "v=CP-17", "\"v\":\"CP-17\""},
    {"an address stands bare", {"[::1]:8887/ocpp", 15}, "v=[::1]:8887/ocpp", "\"v\":\"[::1]:8887/ocpp\""},
    {"a blank is quoted", {"a b", 3}, "v=\"a b\"", "\"v\":\"a b\""},
    {"= is quoted", {"a=b", 3}, "v=\"a=b\"", "\"v\":\"a=b\""},
    {"empty is quoted", {"", 0}, "v=\"\"", "\"v\":\"\""},
    {"a quote is escaped", {"a\"b", 3}, "v=\"a\\\"b\"", "\"v\":\"a\\\"b\""},
    {"a backslash is escaped", {"a\\b", 3}, "v=\"a\\\\b\"", "\"v\":\"a\\\\b\""},
    {"a new line does not end the line",
     {"a\nlevel=error", 13},
     "v=\"a\\u000alevel=error\"",
     "\"v\":\"a\\u000alevel=error\""},
    {"a carriage return", {"\r", 1}, "v=\"\\u000d\"", "\"v\":\"\\u000d\""},
    {"a zero byte", {"a\0b", 3}, "v=\"a\\u0000b\"", "\"v\":\"a\\u0000b\""},
    {"ESC moves no terminal", {"\x1b[2J", 4}, "v=\"\\u001b[2J\"", "\"v\":\"\\u001b[2J\""},
    {"DEL", {"\x7f", 1}, "v=\"\\u007f\"", "\"v\":\"\\u007f\""},
    {"CSI of one byte, in UTF-8", {"\xC2\x9B", 2}, "v=\"\\u009b\"", "\"v\":\"\\u009b\""},
    {"CSI of one byte, raw", {"\x9B", 1}, "v=\"\xEF\xBF\xBD\"", "\"v\":\"\xEF\xBF\xBD\""},
    {"a line separator", {"\xE2\x80\xA8", 3}, "v=\"\\u2028\"", "\"v\":\"\\u2028\""},
    {"text turned round", {"\xE2\x80\xAE", 3}, "v=\"\\u202e\"", "\"v\":\"\\u202e\""},
    {"Chinese", {"\xE6\xB1\x89", 3}, "v=\"\xE6\xB1\x89\"", "\"v\":\"\xE6\xB1\x89\""},
    {"four bytes", {"\xF0\x9F\x98\x80", 4}, "v=\"\xF0\x9F\x98\x80\"", "\"v\":\"\xF0\x9F\x98\x80\""},
    {"a cut character", {"a\xE6\xB1", 3}, "v=\"a\xEF\xBF\xBD\xEF\xBF\xBD\"", "\"v\":\"a\xEF\xBF\xBD\xEF\xBF\xBD\""},
};

static void test_values(void)
{
    char want[512];
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        log_setup(pipe_ends[1], LOG_LEVEL_DEBUG, false, NULL);
        LOG_INFO("a.b", F_STR("v", values[i].value));
        (void)snprintf(want, sizeof want, "level=info event=a.b %s\n", values[i].logfmt);
        CHECK(values[i].row, str_eq(take_lines(), str_of(want)));
        log_setup(pipe_ends[1], LOG_LEVEL_DEBUG, true, NULL);
        LOG_INFO("a.b", F_STR("v", values[i].value));
        (void)snprintf(want, sizeof want, "{\"level\":\"info\",\"event\":\"a.b\",%s}\n", values[i].json);
        struct str line = take_lines();
        CHECK(values[i].row, str_eq(line, str_of(want)));
        CHECK(values[i].row, json_check(line, NULL) == OK);
    }
}

static void test_lines(void)
{
    log_setup(pipe_ends[1], LOG_LEVEL_INFO, false, fixed_clock);
    uint64_t warned = log_line_count(LOG_LEVEL_WARN), debugged = log_line_count(LOG_LEVEL_DEBUG);
    LOG_WARN("boot.refused", F_CSTR("station", "CP-17"), F_INT("conn", -42), F_CSTR("err", err_text(ERR_FORMAT)),
             F_CSTR("none", NULL));
    CHECK("the whole line; what is absent is left out",
          str_eq(take_lines(), STR("time=2026-03-01T09:00:00.123Z level=warn event=boot.refused station=CP-17 conn=-42 "
                                   "err=malformed\n")));
    CHECK("it is counted", log_line_count(LOG_LEVEL_WARN) == warned + 1);
    LOG_DEBUG("boot.seen", F_INT("conn", 1));
    CHECK("what is below the level is not written", take_lines().len == 0);
    CHECK("nor counted", log_line_count(LOG_LEVEL_DEBUG) == debugged);
    log_write((enum log_level)17, "a.b", NULL, 0);
    CHECK("a level that is none", take_lines().len == 0 && log_line_count((enum log_level)17) == 0);
    log_setup(pipe_ends[1], LOG_LEVEL_ERROR, true, fixed_clock);
    LOG_WARN("a.b", F_INT("n", 1));
    CHECK("warnings are below errors", take_lines().len == 0);
    LOG_ERROR("disk.full", F_INT("free", INT64_MIN), F_CSTR("none", NULL));
    CHECK("as JSON",
          str_eq(take_lines(), STR("{\"time\":\"2026-03-01T09:00:00.123Z\",\"level\":\"error\",\"event\":\"disk."
                                   "full\",\"free\":-9223372036854775808}\n")));
    log_write(LOG_LEVEL_ERROR, "a.b", NULL, 0);
    CHECK("no fields",
          str_eq(take_lines(), STR("{\"time\":\"2026-03-01T09:00:00.123Z\",\"level\":\"error\",\"event\":\"a.b\"}\n")));
}

/* Values that are long, and become six times as long once escaped. */
static void test_long(void)
{
    static char wide[2000];
    static const char fills[] = {'x', '\x01', '\xE6', '"'};
    for (size_t i = 0; i < COUNT_OF(fills); i++) {
        memset(wide, fills[i], sizeof wide);
        for (size_t len = 480; len < sizeof wide; len += 31) {
            struct str v = {wide, len};
            for (int as_json = 0; as_json < 2; as_json++) {
                log_setup(pipe_ends[1], LOG_LEVEL_DEBUG, as_json == 1, fixed_clock);
                LOG_INFO("a.b", F_STR("one", v), F_STR("two", v), F_STR("three", v), F_STR("four", v), F_STR("five", v),
                         F_STR("six", v), F_STR("seven", v), F_STR("eight", v), F_STR("nine", v), F_STR("ten", v));
                struct str line = take_lines();
                CHECK("a long line is cut", line.len <= 4096 && line.len > 500);
                CHECK("and ends as a line",
                      line.at[line.len - 1] == '\n' && memchr(line.at, '\n', line.len - 1) == NULL);
                CHECK("and says so", memmem(line.at, line.len, as_json ? "\"cut\":1}" : " cut=1", 6) != NULL);
                CHECK("and is JSON still", !as_json || json_check(line, NULL) == OK);
            }
        }
    }
    memset(wide, 'x', sizeof wide);
    log_setup(pipe_ends[1], LOG_LEVEL_DEBUG, false, NULL);
    LOG_INFO("a.b", F_STR("v", ((struct str){wide, 513})));
    struct str line = take_lines();
    CHECK("a long value is cut", line.len == strlen("level=info event=a.b v=\"...\"\n") + 512);
}

static void *write_many(void *name)
{
    for (int i = 0; i < LINES; i++)
        LOG_INFO("a.b", F_CSTR("by", name), F_INT("n", i));
    return NULL;
}

static void test_threads(void)
{
    static char names[THREADS][2] = {"a", "b", "c", "d"};
    pthread_t threads[THREADS];
    int next[THREADS] = {0};
    log_setup(pipe_ends[1], LOG_LEVEL_DEBUG, false, NULL);
    uint64_t before = log_line_count(LOG_LEVEL_INFO);
    for (int i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, write_many, names[i]) == 0);
    for (int i = 0; i < THREADS; i++)
        check(pthread_join(threads[i], NULL) == 0);
    struct str lines = take_lines();
    unsigned whole = 0;
    for (const char *at = lines.at, *end = lines.at + lines.len; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        char by;
        int n;
        if (stop == NULL || sscanf(at, "level=info event=a.b by=%c n=%d\n", &by, &n) != 2)
            break;
        whole += by >= 'a' && by <= 'd' && next[by - 'a']++ == n;
        at = stop + 1;
    }
    CHECK("every line of every thread is whole, and in its order", whole == THREADS * LINES);
    CHECK("and counted", log_line_count(LOG_LEVEL_INFO) == before + THREADS * LINES);
}

int main(void)
{
    if (pipe(pipe_ends) != 0)
        return 1;
    test_values();
    test_lines();
    test_long();
    test_threads();
    log_setup(-1, LOG_LEVEL_DEBUG, false, NULL);
    LOG_INFO("a.b", F_INT("n", 1));
    CHECK("a descriptor that is closed harms nobody", log_line_count(LOG_LEVEL_INFO) > 0);
    return CHECK_REPORT();
}
