/* config_command.c - chargeline config and chargeline version: what the program would run with, and what it is made of.
 */
#define ERR_STATE OPENSSL_ERR_STATE /* OpenSSL has a type of that name, hidden from us here */
#include <openssl/crypto.h>
#undef ERR_STATE
#include "commands.h"
#include "options.h"

#include "config/config.h"

#include <errno.h>
#include <lz4.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>
#include <yaml.h>
#include <zstd.h>

#define EXPLAIN_SIZE_MAX ((size_t)4 << 20)
#define DATA_SET_SIZE    4400

static struct {
    const char *file, *data;
    struct option_texts sets;
    bool explains, checks;
} asked;

static const struct option_line config_options[] = {
    {"--explain", NULL, "print every setting with its value, where that came from, its limits and meaning",
     OPTION_SWITCH, &asked.explains},
    {"--check", NULL, "say ok, or the first fault with its place", OPTION_SWITCH, &asked.checks},
    {"--config", "FILE", "the YAML file that serve would be given", OPTION_TEXT, &asked.file},
    {"--data", "DIR", "the same as --set data.dir=DIR", OPTION_TEXT, &asked.data},
    {"--set", "KEY=VALUE", "one setting, as for serve; may be repeated", OPTION_TEXTS, &asked.sets},
};
static const struct command_page config_page = {
    .name = "config",
    .usage = "--explain | --check [--config FILE] [--set KEY=VALUE]...",
    .about = "Reads the configuration as serve does: defaults, file, environment, --set.",
    .more = "examples: chargeline config --explain > chargeline.yaml   (a file that serve takes)\n"
            "          chargeline config --check --config /etc/chargeline.yaml\n\n"
            "exit: 0 done or ok, 1 it could not be written, 2 usage or a fault in the configuration\n",
    .options = config_options,
    .option_count = COUNT_OF(config_options),
};

static int explain(const struct config *c)
{
    struct buf text;
    buf_init(&text, EXPLAIN_SIZE_MAX);
    config_explain(c, &text);
    check(!text.failed); /* the values of a file that was taken */
    bool ok = fwrite(text.at, 1, text.len, stdout) == text.len && fflush(stdout) == 0;
    int error = ok || errno == EPIPE ? 0 : errno; /* a pager that was left has shown enough */
    buf_release(&text);
    return error == 0 ? EXIT_OK : command_fail(&config_page, EXIT_FAILED, "standard output: %s", strerror(error));
}

/* Variables that look like ours and are none: most likely a slip, but no fault. */
static void warn_strangers(const struct config *c)
{
    for (const char *at = c->strangers.at; at != NULL && at < c->strangers.at + c->strangers.len;) {
        size_t len = strcspn(at, "\n");
        (void)fprintf(stderr, "warning: the variable %.*s is set but is no setting\n", (int)len, at);
        at += len + 1;
    }
}

int config_main(int argc, char **argv)
{
    struct config config;
    struct fault why = {0};
    char data[DATA_SET_SIZE];
    int code = options_read(&config_page, argc, argv);
    if (code != OPTIONS_READ)
        return code;
    if (asked.explains == asked.checks)
        return command_fail(&config_page, EXIT_USAGE, "say either --explain or --check; see chargeline config --help");
    if (asked.data != NULL) {
        if (asked.sets.count == COUNT_OF(asked.sets.at))
            return command_fail(&config_page, EXIT_USAGE, "--set is given too often");
        (void)snprintf(data, sizeof data, "data.dir=%s", asked.data);
        asked.sets.at[asked.sets.count++] = data;
    }
    if (config_load(str_of(asked.file), asked.sets.at, asked.sets.count, environ, &config, &why) != OK)
        return command_fail(&config_page, EXIT_USAGE, "%s: %s", why.field, why.reason);
    code = EXIT_OK;
    if (asked.explains) {
        code = explain(&config);
    } else {
        warn_strangers(&config);
        (void)printf("%s: ok\n", asked.file == NULL ? "configuration" : asked.file);
    }
    config_release(&config);
    return code;
}

/* --- version --- */

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define BUILD_KIND "with AddressSanitizer"
#elif defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define BUILD_KIND "with ThreadSanitizer"
#elif defined(__OPTIMIZE__)
#define BUILD_KIND "optimised"
#else
#define BUILD_KIND "not optimised"
#endif
#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static const struct command_page version_page = {
    .name = "version",
    .usage = "",
    .about = "Prints the version, how it was built, and the libraries that it runs with.",
    .more = "exit: 0 done, 2 usage\n",
};

static const char *openssl_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}

static const struct {
    const char *name;
    const char *(*version)(void);
} libraries[] = {
    {"libuv", uv_version_string},         {"openssl", openssl_version}, {"sqlite", sqlite3_libversion},
    {"libyaml", yaml_get_version_string}, {"lz4", LZ4_versionString},
    {"zstd", ZSTD_versionString},
};

int version_main(int argc, char **argv)
{
    int code = options_read(&version_page, argc, argv);
    if (code != OPTIONS_READ)
        return code;
    (void)printf("chargeline %s\n", CHARGELINE_VERSION);
    (void)printf("%-14s %s, %s\n", "build", BUILD_KIND, COMPILER);
    for (size_t i = 0; i < COUNT_OF(libraries); i++)
        (void)printf("%-14s %s\n", libraries[i].name, libraries[i].version());
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}
