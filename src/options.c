/* options.c - reading the arguments of a command by its table. */
#include "options.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 20

static void print_help(const struct command_page *page)
{
    (void)printf("usage: chargeline %s %s\n\n%s\n\n", page->name, page->usage, page->about);
    for (size_t i = 0; i < page->option_count; i++) {
        const struct option_line *o = &page->options[i];
        int width = printf("  %s%s%s", o->name, o->value == NULL ? "" : " ", o->value == NULL ? "" : o->value);
        (void)printf("%*s%s\n", width < HELP_COLUMN ? HELP_COLUMN - width : 2, "", o->help);
    }
    (void)printf("%*s%s\n\n%s", -HELP_COLUMN, "  --help", "this page", page->more);
}

int command_fail(const struct command_page *page, int code, const char *format, ...)
{
    va_list va;
    (void)fprintf(stderr, "chargeline %s: ", page->name);
    va_start(va, format);
    (void)vfprintf(stderr, format, va);
    va_end(va);
    (void)fputc('\n', stderr);
    return code;
}

/* name of an argument: up to its '=', if it is an option. */
static const struct option_line *find_option(const struct command_page *page, const char *argument, const char **value)
{
    size_t len = strcspn(argument, "=");
    for (size_t i = 0; i < page->option_count; i++) {
        const struct option_line *o = &page->options[i];
        if (strlen(o->name) == len && memcmp(o->name, argument, len) == 0) {
            *value = argument[len] == '=' ? argument + len + 1 : NULL;
            return o;
        }
    }
    return NULL;
}

static bool take_value(const struct option_line *o, const char *value)
{
    struct option_texts *texts = o->to;
    switch (o->kind) {
    case OPTION_SWITCH:
        *(bool *)o->to = true;
        return true;
    case OPTION_TEXT:
        *(const char **)o->to = value;
        return true;
    case OPTION_TEXTS:
        if (texts->count == COUNT_OF(texts->at))
            return false;
        texts->at[texts->count++] = value;
        return true;
    }
    return false;
}

int options_read(const struct command_page *page, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(page);
            return EXIT_OK;
        }
        const struct option_line *o = find_option(page, argv[i], &value);
        if (o == NULL)
            return command_fail(page, EXIT_USAGE, "no such option: %s; see chargeline %s --help", argv[i], page->name);
        if (o->kind == OPTION_SWITCH && value != NULL)
            return command_fail(page, EXIT_USAGE, "%s takes no value", o->name);
        if (o->kind != OPTION_SWITCH && value == NULL) {
            if (i + 1 == argc || strncmp(argv[i + 1], "--", 2) == 0)
                return command_fail(page, EXIT_USAGE, "%s needs a value: %s %s", o->name, o->name, o->value);
            value = argv[++i];
        }
        if (!take_value(o, value))
            return command_fail(page, EXIT_USAGE, "%s is given too often: at most %d times", o->name, OPTION_TEXTS_MAX);
    }
    return OPTIONS_READ;
}
