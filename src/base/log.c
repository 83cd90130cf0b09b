/* log.c - lines for people and collectors. A line is made on the stack and leaves in one write(), so threads need no
 * lock and a dying process loses none. What stations send is hostile: nothing of it may break a line or move a
 * terminal. */
#include "base/log.h"
#include "base/time.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_SIZE  4096
#define LINE_END_SIZE  16  /* kept free for the mark of a cut line, its bracket and the line's end */
#define VALUE_MAX_SIZE 512 /* bytes of one value before escaping; the rest is cut */

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* Set before there are threads. */
static struct {
    int fd;
    enum log_level least;
    bool as_json;
    int64_t (*clock_us)(void);
} setup = {.fd = STDERR_FILENO, .least = LOG_LEVEL_INFO};

static atomic_uint_fast64_t line_counts[COUNT_OF(level_names)];

struct line {
    size_t len;
    bool is_cut;
    char at[LINE_MAX_SIZE];
};

void log_setup(int fd, enum log_level least, bool as_json, int64_t (*clock_us)(void))
{
    setup.fd = fd;
    setup.least = least;
    setup.as_json = as_json;
    setup.clock_us = clock_us;
}

uint64_t log_line_count(enum log_level level)
{
    return (unsigned)level < COUNT_OF(line_counts) ? atomic_load(&line_counts[level]) : 0;
}

static void put(struct line *l, const void *bytes, size_t len)
{
    if (l->is_cut || len > sizeof l->at - LINE_END_SIZE - l->len) {
        l->is_cut = true;
        return;
    }
    memcpy(l->at + l->len, bytes, len);
    l->len += len;
}

static void put_str(struct line *l, struct str s)
{
    if (s.len > 0)
        put(l, s.at, s.len);
}

/* Characters past ASCII that end a line or drive a terminal: C1 controls, line and paragraph separator, marks that turn
 * the direction of writing, the byte order mark. */
static bool is_dangerous(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0x7F, 0x9F}, {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2066, 0x2069}, {0xFEFF, 0xFEFF}};
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    }
    return false;
}

/* The character of a valid sequence of that size. */
static uint32_t character_at(const uint8_t *at, size_t size)
{
    static const uint8_t first_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t c = at[0] & first_mask[size];
    for (size_t i = 1; i < size; i++)
        c = c << 6 | (at[i] & 0x3F);
    return c;
}

static void put_character(struct line *l, const uint8_t *at, size_t size)
{
    uint32_t c = character_at(at, size);
    char escaped[8];
    if (c == '"' || c == '\\')
        put(l, (char[]){'\\', (char)c}, 2);
    else if (c < 0x20 || is_dangerous(c))
        put(l, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)(c & 0xFFFF)));
    else
        put(l, at, size);
}

/* In quotes, escaped as JSON escapes, which readers of logfmt undo too. */
static void put_quoted(struct line *l, struct str s)
{
    char shortened[VALUE_MAX_SIZE + 1];
    bool is_long = s.len > VALUE_MAX_SIZE;
    if (is_long)
        s = (struct str){shortened, str_copy(shortened, sizeof shortened, s)};
    const uint8_t *at = (const uint8_t *)s.at, *end = s.len == 0 ? at : at + s.len;
    put(l, "\"", 1);
    while (at < end) {
        size_t size = utf8_char_size(at, end);
        if (size == 0)
            put(l, "\xEF\xBF\xBD", 3);
        else
            put_character(l, at, size);
        at += size == 0 ? 1 : size;
    }
    if (is_long)
        put(l, "...", 3);
    put(l, "\"", 1);
}

/* Logfmt leaves a value bare that is only letters, digits and what no reader takes for a separator. */
static bool is_bare(struct str s)
{
    static const char others[] = "-_.:/+,@%*#~()[]<>?!;|&$^";
    if (s.len == 0 || s.len > VALUE_MAX_SIZE)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        bool is_word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_word && (c == 0 || strchr(others, c) == NULL))
            return false;
    }
    return true;
}

static void put_value(struct line *l, const struct log_field *f)
{
    char digits[24];
    if (f->kind == LOG_FIELD_INT)
        put(l, digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)f->number));
    else if (!setup.as_json && is_bare(f->text))
        put_str(l, f->text);
    else
        put_quoted(l, f->text);
}

/* Whole, or not at all and the line is marked. */
static void put_field(struct line *l, const struct log_field *f)
{
    if (f->kind == LOG_FIELD_STR && f->text.at == NULL)
        return;
    size_t before = l->len;
    put_str(l, before == 0 ? (setup.as_json ? STR("{") : STR("")) : setup.as_json ? STR(",") : STR(" "));
    if (setup.as_json)
        put_quoted(l, str_of(f->name));
    else
        put_str(l, str_of(f->name));
    put_str(l, setup.as_json ? STR(":") : STR("="));
    put_value(l, f);
    if (l->is_cut)
        l->len = before;
}

static void put_end(struct line *l)
{
    struct str end = setup.as_json ? (l->is_cut ? STR(",\"cut\":1}\n") : STR("}\n"))
                     : l->is_cut   ? STR(" cut=1\n")
                                   : STR("\n");
    memcpy(l->at + l->len, end.at, end.len);
    l->len += end.len;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
    if (level < setup.least || (unsigned)level >= COUNT_OF(level_names))
        return;
    struct line l = {.len = 0};
    char time[INSTANT_TEXT_SIZE];
    if (setup.clock_us != NULL) {
        instant_write((struct instant){setup.clock_us()}, time);
        put_field(&l, &(struct log_field)F_CSTR("time", time));
    }
    put_field(&l, &(struct log_field)F_CSTR("level", level_names[level]));
    put_field(&l, &(struct log_field)F_CSTR("event", event));
    for (size_t i = 0; i < count && !l.is_cut; i++)
        put_field(&l, &fields[i]);
    put_end(&l);
    ssize_t written;
    do
        written = write(setup.fd, l.at, l.len);
    while (written < 0 && errno == EINTR);
    atomic_fetch_add(&line_counts[level], 1);
}
