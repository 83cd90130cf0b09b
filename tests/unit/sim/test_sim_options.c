/* The command line: what is taken, and one clear reason for what is not. */
#include "check.h"
#include "sim/options.h"
#include "sim/station.h"
#include <string.h>

#define WORDS_MAX 6

static const struct {
    const char *row, *words[WORDS_MAX];
    const char *field; /* of the fault; NULL: it is taken */
} rows[] = {
    {"nothing at all", {NULL}, NULL},
    {"a flag and its value", {"--stations", "5"}, NULL},
    {"the same in one word", {"--stations=5"}, NULL},
    {"an unknown flag", {"--frobnicate"}, "--frobnicate"},
    {"a word that is no flag", {"stations"}, "stations"},
    {"a value that is missing", {"--stations"}, "--stations"},
    {"a value where none is due", {"--demo=1"}, "--demo"},
    {"no number", {"--stations", "many"}, "--stations"},
    {"too few", {"--stations", "0"}, "--stations"},
    {"too many connectors", {"--connectors", "65"}, "--connectors"},
    {"an empty prefix", {"--prefix", ""}, "--prefix"},
    {"a quirk", {"--quirk", "deaf"}, NULL},
    {"no quirk", {"--quirk", "def"}, "--quirk"},
    {"no scheme", {"--url", "localhost:8887"}, "--url"},
    {"no host", {"--url", "ws:///ocpp"}, "--url"},
    {"a port that is none", {"--url", "ws://h:x/ocpp"}, "--url"},
    {"a port that is too large", {"--url", "ws://h:65536"}, "--url"},
    {"TLS without a word on certificates", {"--url", "wss://h/ocpp"}, "--url"},
    {"TLS that trusts anybody", {"--url", "wss://h/ocpp", "--insecure"}, NULL},
    {"neither closed nor open", {"--load", "ajar"}, "--load"},
    {"two modes", {"--demo", "--idle"}, "--demo, --idle, --load, --heartbeats, --story"},
    {"a story", {"--story", "--seed", "7"}, NULL},
    {"a story and stations", {"--story", "--idle"}, "--demo, --idle, --load, --heartbeats, --story"},
};

static enum err parse(const char *const words[], struct sim_options *o, struct fault *why)
{
    char text[WORDS_MAX][64], *argv[WORDS_MAX + 1] = {text[0]};
    int argc = 1;
    for (; argc <= WORDS_MAX && words[argc - 1] != NULL; argc++) {
        argv[argc] = text[argc - 1];
        (void)str_copy(text[argc - 1], sizeof text[0], str_of(words[argc - 1]));
    }
    return sim_options_parse(argc, argv, o, why);
}

static const struct {
    const char *url, *host, *path;
    int port;
} urls[] = {
    {"ws://h", "h", "", 80},
    {"ws://h:1/", "h", "", 1},
    {"ws://1.2.3.4:8887/ocpp/", "1.2.3.4", "/ocpp", 8887},
    {"ws://[::1]:8887/a/b", "::1", "/a/b", 8887},
};

static void check_urls(void)
{
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        char url[64], name[] = "sim", flag[] = "--url";
        struct sim_options o;
        struct fault why = {{0}, {0}};
        (void)str_copy(url, sizeof url, str_of(urls[i].url));
        char *argv[] = {name, flag, url};
        CHECK(url, sim_options_parse(3, argv, &o, &why) == OK && o.port == urls[i].port);
        CHECK(url, str_eq(o.host, str_of(urls[i].host)) && str_eq(o.path, str_of(urls[i].path)));
    }
}

int main(void)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sim_options o;
        struct fault why = {{0}, {0}};
        enum err got = parse(rows[i].words, &o, &why);
        CHECK(rows[i].row, (got == OK) == (rows[i].field == NULL));
        CHECK(rows[i].row, rows[i].field == NULL || (strcmp(why.field, rows[i].field) == 0 && why.reason[0] != 0));
    }
    struct sim_options o;
    struct fault why;
    CHECK("quirks add up", parse((const char *[]){"--quirk", "deaf", "--quirk", "flaky", NULL}, &o, &why) == OK &&
                               o.quirk == (UINT32_C(1) << QUIRK_deaf | UINT32_C(1) << QUIRK_flaky));
    CHECK("a demo is fast",
          parse((const char *[]){"--demo", NULL}, &o, &why) == OK && o.speed > 1 && o.connectors == 2);
    CHECK("load ends", parse((const char *[]){"--load", "closed", NULL}, &o, &why) == OK && o.duration > 0);
    struct buf help;
    buf_init(&help, 65536);
    sim_options_help(&help);
    sim_quirks_help(&help);
    for (size_t i = 0; i < QUIRK_COUNT; i++)
        CHECK("each quirk is in the list",
              memmem(help.at, help.len, sim_quirks[i].name.at, sim_quirks[i].name.len) != NULL);
    CHECK("the help is whole", !help.failed && memmem(help.at, help.len, "--insecure", 10) != NULL);
    buf_release(&help);
    check_urls();
    return CHECK_REPORT();
}
