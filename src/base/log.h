/* base/log.h - one line an event, for someone at three in the morning.
 *
 *     LOG_WARN("boot.refused", F_STR("station", id), F_INT("conn", n), F_CSTR("err", err_text(e)));
 *
 * logfmt or JSON, to the descriptor given (standard error at first). Values are escaped: one event is one line whatever a
 * station sent. Thread safe: one write() a line. Secrets never get here: callers pass no header, key or password. */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include "base/base.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_field_kind { LOG_FIELD_STR, LOG_FIELD_INT };
struct log_field {
    const char *name;
    enum log_field_kind kind;
    struct str text;
    int64_t number;
};
#define F_STR(name, s)  {(name), LOG_FIELD_STR, (s), 0}
#define F_CSTR(name, s) {(name), LOG_FIELD_STR, str_of(s), 0}
#define F_INT(name, n)  {(name), LOG_FIELD_INT, {NULL, 0}, (int64_t)(n)}

/* From tables of the configuration. clock_us gives the time of a line: base has no clock of its own. */
void log_setup(int fd, enum log_level least, bool as_json, int64_t (*clock_us)(void));
void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t count);
uint64_t log_line_count(enum log_level level); /* written since the start, for metrics */

#define LOG_LINE(level, event, ...)                                                                                    \
    log_write(level, event, (const struct log_field[]){__VA_ARGS__},                                                   \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
#define LOG_DEBUG(event, ...) LOG_LINE(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define LOG_INFO(event, ...)  LOG_LINE(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define LOG_WARN(event, ...)  LOG_LINE(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define LOG_ERROR(event, ...) LOG_LINE(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#endif
