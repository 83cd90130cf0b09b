/* options.h - the options of a command as a table: from its lines come the reading, --help and the sentence of what is
 * wrong. */
#ifndef OPTIONS_H
#define OPTIONS_H
#include "base/base.h"

#define OPTION_TEXTS_MAX 256

struct option_texts {
    const char *at[OPTION_TEXTS_MAX];
    size_t count;
};
enum option_kind {
    OPTION_SWITCH, /* to: bool *, set to true */
    OPTION_TEXT,   /* to: const char **, the last one given */
    OPTION_TEXTS,  /* to: struct option_texts *, every one given */
};
struct option_line {
    const char *name;  /* "--data" */
    const char *value; /* what help calls its value, "DIR"; NULL of a switch */
    const char *help;
    enum option_kind kind;
    void *to;
};
struct command_page {
    const char *name;  /* "tail": errors begin with "chargeline tail: " */
    const char *usage; /* behind the name */
    const char *about;
    const char *more; /* examples, exit codes */
    const struct option_line *options;
    size_t option_count;
};

/* Values stand in the next argument, which does not begin with "--", or behind '='. Texts borrow from argv.
 * OPTIONS_READ: go on; else the exit code: 0 after --help or -h, 2 after one line that says what is wrong. */
#define OPTIONS_READ (-1)
MUST_USE int options_read(const struct command_page *page, int argc, char **argv);

enum exit_code { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

/* One line on standard error; returns code. */
int command_fail(const struct command_page *page, int code, const char *format, ...) PRINTF(3, 4);
#endif
