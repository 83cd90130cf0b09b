/* The command line: what is taken, and one clear reason for what is not. */
#include "check.h"
#include "sim/options.h"
#include "sim/pile.h"
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
    {"piles", {"--protocol", "ap3000"}, NULL},
    {"no such protocol", {"--protocol", "ocpp20"}, "--protocol"},
    {"a quirk of piles", {"--quirk", "glue", "--protocol=ap3000"}, NULL},
    {"a quirk of stations is none of piles", {"--protocol=ap3000", "--quirk", "deaf"}, "--quirk"},
    {"a quirk of piles is none of stations", {"--quirk", "glue"}, "--quirk"},
    {"an address", {"--protocol=ap3000", "--address", "[::1]:7054"}, NULL},
    {"an address without a port", {"--protocol=ap3000", "--address", "localhost"}, "--address"},
    {"an address that is only a port", {"--protocol=ap3000", "--address", ":7054"}, "--address"},
    {"too many ports", {"--protocol=ap3000", "--ports", "17"}, "--ports"},
    {"more slaves than a bus has", {"--protocol=ap3000", "--slaves", "50"}, "--slaves"},
    {"slaves under load", {"--protocol=ap3000", "--slaves=5", "--heartbeats"}, "--slaves"},
    {"numbers that do not fit into 24 bits", {"--protocol=ap3000", "--first=16777210", "--stations=7"}, "--first"},
    {"those that just do", {"--protocol=ap3000", "--first=16777209", "--stations=7"}, NULL},
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

static void check_addresses(void)
{
    static const struct {
        const char *address, *host;
        int port;
    } addresses[] = {{"h:7054", "h", 7054}, {"[::1]:77", "::1", 77}, {"1.2.3.4:65535", "1.2.3.4", 65535}};
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        char address[64], name[] = "sim", flag[] = "--address", protocol[] = "--protocol=ap3000";
        struct sim_options o;
        struct fault why = {{0}, {0}};
        (void)str_copy(address, sizeof address, str_of(addresses[i].address));
        char *argv[] = {name, protocol, flag, address};
        CHECK(address, sim_options_parse(4, argv, &o, &why) == OK && o.port == addresses[i].port);
        CHECK(address, str_eq(o.host, str_of(addresses[i].host)));
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
                               o.quirks == (UINT32_C(1) << QUIRK_deaf | UINT32_C(1) << QUIRK_flaky));
    CHECK("a demo is fast",
          parse((const char *[]){"--demo", NULL}, &o, &why) == OK && o.speed > 1 && o.connectors == 2);
    CHECK("load ends", parse((const char *[]){"--load", "closed", NULL}, &o, &why) == OK && o.duration > 0);
    struct sim_options piles;
    CHECK("quirks of piles are bits of their own list",
          parse((const char *[]){"--protocol=ap3000", "--quirk=repeat", NULL}, &piles, &why) == OK &&
              piles.quirks == UINT32_C(1) << PILE_QUIRK_repeat);
    struct buf help;
    buf_init(&help, 65536);
    sim_options_help(&help);
    sim_quirks_help(&o, &help);
    sim_quirks_help(&piles, &help);
    for (size_t i = 0; i < PILE_QUIRK_COUNT; i++)
        CHECK("each quirk of piles too",
              memmem(help.at, help.len, pile_quirks[i].name.at, pile_quirks[i].name.len) != NULL);
    for (size_t i = 0; i < QUIRK_COUNT; i++)
        CHECK("each quirk is in the list",
              memmem(help.at, help.len, sim_quirks[i].name.at, sim_quirks[i].name.len) != NULL);
    CHECK("the help is whole", !help.failed && memmem(help.at, help.len, "--insecure", 10) != NULL);
    buf_release(&help);
    check_urls();
    check_addresses();
    return CHECK_REPORT();
}
