/* test_config.c - each source, their weight, and each wrong thing with the sentence that a person reads. */
#include "check.h"
#include "place.h"
#include "config/config.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX      1048576
#define SETS_MAX      4
#define VARIABLES_MAX 8

struct input {
    const char *yaml;
    const char *sets[SETS_MAX];
    const char *variables[VARIABLES_MAX];
};

static enum err load(const struct input *in, struct config *c, struct fault *why)
{
    size_t sets = 0;
    while (sets < SETS_MAX && in->sets[sets] != NULL)
        sets++;
    char *variables[VARIABLES_MAX + 1] = {NULL};
    for (size_t i = 0; i < VARIABLES_MAX && in->variables[i] != NULL; i++)
        variables[i] = (char *)(uintptr_t)in->variables[i];
    return config_load_text(STR("c.yaml"), str_of(in->yaml == NULL ? "" : in->yaml), in->sets, sets, variables, c, why);
}

static void test_wrong(void)
{
    static const struct {
        const char *row;
        struct input in;
        enum err want;
        const char *place, *reason;
    } rows[] = {
        {"an unknown key names the nearest",
         {.yaml = "listen:\n  ocp: 1"},
         ERR_UNKNOWN,
         "c.yaml:2",
         "unknown key \"listen.ocp\"; did you mean \"listen.ocpp\"?"},
        {"so does one in no section",
         {.yaml = "\nheartbeat_s: 1"},
         ERR_UNKNOWN,
         "c.yaml:2",
         "unknown key \"heartbeat_s\"; did you mean \"ocpp.heartbeat_s\"?"},
        {"and one with dashes and capitals",
         {.yaml = "data.Dir: x"},
         ERR_UNKNOWN,
         "c.yaml:1",
         "unknown key \"data.Dir\"; did you mean \"data.dir\"?"},
        {"a key like no other gets no hint",
         {.yaml = "wallpaper: blue"},
         ERR_UNKNOWN,
         "c.yaml:1",
         "unknown key \"wallpaper\" (chargeline config --explain lists all)"},
        {"an empty key is unknown",
         {.yaml = "\"\": 1"},
         ERR_UNKNOWN,
         "c.yaml:1",
         "unknown key \"\" (chargeline config --explain lists all)"},
        {"a section takes no value",
         {.yaml = "listen: 1"},
         ERR_UNKNOWN,
         "c.yaml:1",
         "\"listen\" is a section: it takes keys below it, no value"},
        {"a setting takes no section", {.yaml = "listen:\n  ocpp:\n    port: 1"}, ERR_UNKNOWN, "c.yaml:3", NULL},
        {"a key twice",
         {.yaml = "gateway.id: a\ngateway:\n  id: b"},
         ERR_EXISTS,
         "c.yaml:3",
         "gateway.id stands twice, first at c.yaml:1"},
        {"a key without a value",
         {.yaml = "gateway:\n  id:\nocpp:\n"},
         ERR_FORMAT,
         "c.yaml:2",
         "gateway.id has no value (leave the line out for the default, write \"\" for empty)"},
        {"null is no value", {.yaml = "gateway.id: ~"}, ERR_FORMAT, "c.yaml:1", NULL},
        {"no number",
         {.yaml = "ocpp.ping_s: soon"},
         ERR_TYPE,
         "c.yaml:1",
         "ocpp.ping_s: \"soon\" is no whole number; wanted: 0 to 3600"},
        {"a fraction", {.yaml = "ocpp.ping_s: 1.5"}, ERR_TYPE, "c.yaml:1", NULL},
        {"an empty number", {.yaml = "ocpp.ping_s: \"\""}, ERR_TYPE, "c.yaml:1", NULL},
        {"a number below the least",
         {.yaml = "ocpp.heartbeat_s: 0"},
         ERR_RANGE,
         "c.yaml:1",
         "ocpp.heartbeat_s: \"0\" is out of range; wanted: 1 to 86400"},
        {"a number above the most", {.yaml = "ocpp.ping_s: 3601"}, ERR_RANGE, "c.yaml:1", NULL},
        {"a number past 64 bits", {.yaml = "ocpp.ping_s: 99999999999999999999"}, ERR_RANGE, "c.yaml:1", NULL},
        {"a negative number", {.yaml = "ocpp.ping_s: -1"}, ERR_RANGE, "c.yaml:1", NULL},
        {"an unknown word",
         {.yaml = "device.unknown: maybe"},
         ERR_UNKNOWN,
         "c.yaml:1",
         "device.unknown: \"maybe\" is not one of its words; wanted: accept, pending or reject"},
        {"the beginning of a word is none", {.yaml = "device.unknown: acc"}, ERR_UNKNOWN, "c.yaml:1", NULL},
        {"no switch",
         {.yaml = "ocpp.strict: 2"},
         ERR_TYPE,
         "c.yaml:1",
         "ocpp.strict: \"2\" is neither; wanted: true or false"},
        {"an address without a port",
         {.yaml = "listen.api: localhost"},
         ERR_TYPE,
         "c.yaml:1",
         "listen.api: \"localhost\" is no address; wanted: host:port"},
        {"an address without a host", {.yaml = "listen.api: \":80\""}, ERR_TYPE, "c.yaml:1", NULL},
        {"a port that is a word", {.yaml = "listen.api: a:http"}, ERR_TYPE, "c.yaml:1", NULL},
        {"a port past 65535",
         {.yaml = "listen.ocpp: a:65536"},
         ERR_RANGE,
         "c.yaml:1",
         "listen.ocpp: \"a:65536\" has no such port; wanted: host:port, or empty"},
        {"a port below 0", {.yaml = "listen.ocpp: a:-1"}, ERR_RANGE, "c.yaml:1", NULL},
        {"IPv6 without brackets",
         {.yaml = "listen.ocpp: ::1:80"},
         ERR_TYPE,
         "c.yaml:1",
         "listen.ocpp: \"::1:80\" is no address (an IPv6 one stands in brackets); wanted: host:port, or empty"},
        {"a bracket that does not close", {.yaml = "listen.ocpp: '[::1:80'"}, ERR_TYPE, "c.yaml:1", NULL},
        {"an empty address where one must be", {.yaml = "listen.api: ''"}, ERR_RANGE, "c.yaml:1", NULL},
        {"a text that is too short",
         {.yaml = "gateway.id: ''"},
         ERR_RANGE,
         "c.yaml:1",
         "gateway.id: \"\" is too short; wanted: 1 to 64 bytes"},
        {"a text that is too long",
         {.yaml = "gateway.id: 01234567890123456789012345678901234567890123456789012345678901234"},
         ERR_RANGE,
         "c.yaml:1",
         "gateway.id: \"0123456789012345678901234567890123456789...\" is too long; wanted: 1 to 64 bytes"},
        {"a control character",
         {.yaml = "data.dir: \"a\\0b\""},
         ERR_FORMAT,
         "c.yaml:1",
         "data.dir: \"\" has control characters or is no UTF-8; wanted: 1 to 4096 bytes"},
        {"a control character past ASCII", {.yaml = "data.dir: \"\\x90\""}, ERR_FORMAT, "c.yaml:1", NULL},
        {"a line separator", {.yaml = "data.dir: \"a\\u2028b\""}, ERR_FORMAT, "c.yaml:1", NULL},
        {"a byte order mark inside", {.yaml = "data.dir: \"a\\uFEFF\""}, ERR_FORMAT, "c.yaml:1", NULL},
        {"no character", {.yaml = "data.dir: \"\\uFFFF\""}, ERR_FORMAT, "c.yaml:1", NULL},
        {"no UTF-8 in a variable",
         {.variables = {"CHARGELINE_DATA_DIR=\xff"}},
         ERR_FORMAT,
         "CHARGELINE_DATA_DIR",
         NULL},
        {"a list", {.yaml = "listen:\n  ocpp: [a]"}, ERR_TYPE, "c.yaml:2", "a list stands where one value is wanted"},
        {"a list on top", {.yaml = "- a"}, ERR_TYPE, "c.yaml:1", "a list stands where one value is wanted"},
        {"a word on top", {.yaml = "hello"}, ERR_TYPE, "c.yaml:1", "a configuration is lines of \"key: value\""},
        {"an alias",
         {.yaml = "data.dir: &a x\ngateway.id: *a"},
         ERR_TYPE,
         "c.yaml:2",
         "aliases (*name) are not taken: write the value"},
        {"a tag", {.yaml = "data.dir: !!str x"}, ERR_TYPE, "c.yaml:1", "tags (!name) are not taken"},
        {"a tag on a map", {.yaml = "!x {}"}, ERR_TYPE, "c.yaml:1", "tags (!name) are not taken"},
        {"a map as a key", {.yaml = "{a: b}: c"}, ERR_TYPE, "c.yaml:1", "a key must be a word"},
        {"a second document",
         {.yaml = "gateway.id: a\n---\ngateway.id: b"},
         ERR_TYPE,
         "c.yaml:2",
         "a second document begins: a configuration is one"},
        {"too deep",
         {.yaml = "{a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}}"},
         ERR_LIMIT,
         "c.yaml:1",
         "nested too deep"},
        {"a long key",
         {.yaml = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
                  "0123456789012345678901234567: x\nb: c\n? "
                  "01234567890123456789012345678901234567890123456789012345678901234"
                  "567890123456789012345678901234567890123456789012345678901234567\n: d"},
         ERR_UNKNOWN,
         "c.yaml:1",
         NULL},
        {"a key past its buffer",
         {.yaml = "listen:\n ? "
                  "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
                  "01234"
                  "567890123456789012345678901234567890\n : x"},
         ERR_LIMIT,
         "c.yaml:2",
         "a key is too long"},
        {"a tab",
         {.yaml = "listen:\n\tocpp: a"},
         ERR_FORMAT,
         "c.yaml:2",
         "this is no YAML: found character that cannot start any token while scanning for the next token"},
        {"a quote left open", {.yaml = "gateway.id: \"a"}, ERR_FORMAT, "c.yaml:1", NULL},
        {"no UTF-8 in the file", {.yaml = "gateway.id: a\n# \xff\n"}, ERR_FORMAT, "c.yaml:2", NULL},
        {"a variable that is not set",
         {.yaml = "data.dir: ${NOWHERE}/x"},
         ERR_UNKNOWN,
         "c.yaml:1",
         "the environment variable NOWHERE is not set (${NOWHERE:-...} gives a default)"},
        {"a variable left open",
         {.yaml = "data.dir: ${NOWHERE"},
         ERR_FORMAT,
         "c.yaml:1",
         "${ without its } (for the characters themselves write $${)"},
        {"no variable name",
         {.yaml = "data.dir: ${1X}"},
         ERR_FORMAT,
         "c.yaml:1",
         "${1X}: no name of an environment variable"},
        {"an empty variable name", {.yaml = "data.dir: ${:-x}"}, ERR_FORMAT, "c.yaml:1", NULL},
        {"a wrong value in a variable",
         {.variables = {"CHARGELINE_OCPP_PING_S=x"}},
         ERR_TYPE,
         "CHARGELINE_OCPP_PING_S",
         "ocpp.ping_s: \"x\" is no whole number; wanted: 0 to 3600"},
        {"a set without its value", {.sets = {"gateway.id"}}, ERR_FORMAT, "--set gateway.id", "wants KEY=VALUE"},
        {"a set with an unknown key",
         {.sets = {"gateway.idd=x"}},
         ERR_UNKNOWN,
         "--set gateway.idd",
         "unknown key \"gateway.idd\"; did you mean \"gateway.id\"?"},
        {"a set with a wrong value",
         {.sets = {"ocpp.ping_s="}},
         ERR_TYPE,
         "--set ocpp.ping_s",
         "ocpp.ping_s: \"\" is no whole number; wanted: 0 to 3600"},
        {"TLS without a certificate",
         {.yaml = "listen.ocpp_tls: a:1"},
         ERR_MISSING,
         "listen.ocpp_tls",
         "listen.ocpp_tls (c.yaml:1) needs tls.certificate too"},
        {"a certificate without its key",
         {.sets = {"tls.certificate=a"}},
         ERR_MISSING,
         "tls.certificate",
         "tls.certificate (--set) needs tls.key too"},
        {"a key without its certificate", {.sets = {"tls.key=a"}}, ERR_MISSING, "tls.key", NULL},
        {"an RSA certificate without its key",
         {.sets = {"tls.certificate_rsa=a"}},
         ERR_MISSING,
         "tls.certificate_rsa",
         NULL},
        {"an RSA key without its certificate", {.sets = {"tls.key_rsa=a"}}, ERR_MISSING, "tls.key_rsa", NULL},
        {"an RSA certificate alone",
         {.sets = {"tls.certificate_rsa=a", "tls.key_rsa=b"}},
         ERR_MISSING,
         "tls.certificate_rsa",
         "tls.certificate_rsa (--set) needs tls.certificate too"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct config c;
        memset(&c, 0x5a, sizeof c);
        struct config before = c;
        struct fault why = {"", ""};
        enum err got = load(&rows[i].in, &c, &why);
        CHECK(rows[i].row, got == rows[i].want);
        CHECK(rows[i].row, strcmp(why.field, rows[i].place) == 0);
        CHECK(rows[i].row, rows[i].reason == NULL ? why.reason[0] != '\0' : strcmp(why.reason, rows[i].reason) == 0);
        CHECK(rows[i].row, memcmp(&before, &c, sizeof c) == 0);
        CHECK(rows[i].row, load(&rows[i].in, &c, NULL) == rows[i].want); /* nobody has to want the reason */
        if (got == OK)
            config_release(&c);
    }
}

static void test_right(void)
{
    static const struct {
        const char *row;
        struct input in;
        const char *data_dir, *listen_api, *origin; /* of data.dir */
    } rows[] = {
        {"nothing gives the defaults", {.yaml = ""}, "./data", "127.0.0.1:8080", "default"},
        {"comments alone too", {.yaml = "# nothing\n---\n"}, "./data", "127.0.0.1:8080", "default"},
        {"a section of comments", {.yaml = "listen:\n# ocpp: x\n"}, "./data", "127.0.0.1:8080", "default"},
        {"an empty map", {.yaml = "{}"}, "./data", "127.0.0.1:8080", "default"},
        {"nested", {.yaml = "data:\n  dir: a\nlisten:\n  api: b:1"}, "a", "b:1", "c.yaml:2"},
        {"with dots", {.yaml = "data.dir: a\nlisten.api: b:1"}, "a", "b:1", "c.yaml:1"},
        {"in braces", {.yaml = "{data: {dir: a}, listen.api: b:1}"}, "a", "b:1", "c.yaml:1"},
        {"a section that is taken up again",
         {.yaml = "data: {dir: a}\nlisten: {ocpp: x:1}\nlisten: {api: b:1}"},
         "a",
         "b:1",
         "c.yaml:1"},
        {"a byte order mark",
         {.yaml = "\xef\xbb\xbf"
                  "data.dir: a"},
         "a",
         "127.0.0.1:8080",
         "c.yaml:1"},
        {"an IPv6 address", {.yaml = "listen.api: '[::1]:0'"}, "./data", "[::1]:0", "default"},
        {"a variable in a value",
         {.yaml = "data.dir: /x/${A}/y", .variables = {"A=1"}},
         "/x/1/y",
         "127.0.0.1:8080",
         "c.yaml:1"},
        {"two of them", {.yaml = "listen.api: ${H}:${P}", .variables = {"H=h", "P=2"}}, "./data", "h:2", "default"},
        {"its default", {.yaml = "data.dir: ${A:-z}", .variables = {"AA=1"}}, "z", "127.0.0.1:8080", "c.yaml:1"},
        {"its default where it is empty",
         {.yaml = "data.dir: ${A:-z}", .variables = {"A="}},
         "z",
         "127.0.0.1:8080",
         "c.yaml:1"},
        {"not its default where it is set",
         {.yaml = "data.dir: ${A:-z}", .variables = {"A=1"}},
         "1",
         "127.0.0.1:8080",
         "c.yaml:1"},
        {"a default with a colon", {.yaml = "listen.api: ${A:-b:1}"}, "./data", "b:1", "default"},
        {"what a variable holds is not looked into",
         {.yaml = "data.dir: ${A}", .variables = {"A=${B}"}},
         "${B}",
         "127.0.0.1:8080",
         "c.yaml:1"},
        {"characters that only look like one", {.yaml = "data.dir: $A$${B}$"}, "$A${B}$", "127.0.0.1:8080", "c.yaml:1"},
        {"the environment is above the file",
         {.yaml = "data.dir: a", .variables = {"CHARGELINE_DATA_DIR=e"}},
         "e",
         "127.0.0.1:8080",
         "CHARGELINE_DATA_DIR"},
        {"a set is above the environment",
         {.sets = {"data.dir=s"}, .variables = {"CHARGELINE_DATA_DIR=e"}},
         "s",
         "127.0.0.1:8080",
         "--set"},
        {"the last set wins", {.sets = {"data.dir=s", "data.dir=t=u"}}, "t=u", "127.0.0.1:8080", "--set"},
        {"no variable is put into a set",
         {.sets = {"data.dir=${A}"}, .variables = {"A=1"}},
         "${A}",
         "127.0.0.1:8080",
         "--set"},
        {"variables that are no setting stop nothing",
         {.variables = {"CHARGELINE_PORT=tcp://1", "CHARGELINE=1", "X"}},
         "./data",
         "127.0.0.1:8080",
         "default"},
        {"not ASCII", {.yaml = "data.dir: /données"}, "/données", "127.0.0.1:8080", "c.yaml:1"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct config c;
        struct fault why = {"", ""};
        enum err got = load(&rows[i].in, &c, &why);
        CHECK(rows[i].row, got == OK);
        if (got != OK) {
            (void)fprintf(stderr, "%s: %s\n", why.field, why.reason);
            continue;
        }
        CHECK(rows[i].row, str_eq(c.data_dir, str_of(rows[i].data_dir)));
        CHECK(rows[i].row, str_eq(c.listen_api, str_of(rows[i].listen_api)));
        CHECK(rows[i].row, str_eq(c.origin[SETTING_data_dir], str_of(rows[i].origin)));
        config_release(&c);
    }
}

static void test_kinds(void)
{
    static const struct {
        const char *row, *text;
        bool want;
    } switches[] = {
        {"true", "true", true},    {"yes", "yes", true}, {"on", "ON", true},
        {"false", "false", false}, {"no", "No", false},  {"off", "off", false},
    };
    for (size_t i = 0; i < COUNT_OF(switches); i++) {
        char set[64];
        (void)snprintf(set, sizeof set, "ocpp.strict=%s", switches[i].text);
        struct config c;
        enum err e = load(&(struct input){.sets = {set}}, &c, NULL);
        CHECK(switches[i].row, e == OK && c.ocpp_strict == switches[i].want);
        if (e == OK)
            config_release(&c);
    }
    struct config c;
    enum err e =
        load(&(struct input){.sets = {"device.unknown=reject", "ocpp.heartbeat_s=86400", "log.keep_s=0"}}, &c, NULL);
    CHECK("numbers and words", e == OK);
    if (e != OK)
        return;
    CHECK("the most is allowed", c.ocpp_heartbeat_s == 86400);
    CHECK("the least is allowed", c.log_keep_s == 0);
    CHECK("a word by its key", str_eq(config_word(&c, "device.unknown"), STR("reject")));
    CHECK("a word that nobody set", str_eq(config_word(&c, "logging.level"), STR("info")));
    CHECK("its index", c.device_unknown == 2);
    config_release(&c);
}

static bool holds(const struct buf *b, const char *part)
{
    return memmem(b->at, b->len, part, strlen(part)) != NULL;
}

static void test_explain(void)
{
    struct config c, again;
    enum err e = load(
        &(struct input){.yaml = "data.dir: 'a \"b\" $${c} # d'\nocpp.strict: on\ndevice.unknown: pending",
                        .sets = {"tls.certificate=x", "tls.key=y"},
                        .variables = {"CHARGELINE_OCPP_PING_S=7", "CHARGELINE_OCPP_PING=8", "CHARGELINE_ADMIN_KEY=k",
                                      "CHARGELINE_LOG_DIR=l", "CHARGELINE_BIN=m", "CHARGELINE_BUILD=n"}},
        &c, NULL);
    CHECK("it loads", e == OK);
    if (e != OK)
        return;
    struct buf first, second;
    buf_init(&first, TEXT_MAX);
    buf_init(&second, TEXT_MAX);
    config_explain(&c, &first);
    CHECK("the value and its file", holds(&first, "data.dir: \"a \\\"b\\\" $${c} # d\" # from c.yaml:1\n"));
    CHECK("the value and its variable", holds(&first, "ocpp.ping_s: 7 # from CHARGELINE_OCPP_PING_S\n"));
    CHECK("the value and its set", holds(&first, "tls.key: \"y\" # from --set\n"));
    CHECK("the default", holds(&first, "ocpp.heartbeat_s: 300 # from default\n"));
    CHECK("kind, limits, default, variable",
          holds(&first, "# number: 1 to 86400; default \"300\"; variable CHARGELINE_OCPP_HEARTBEAT_S\n"));
    CHECK("words",
          holds(&first, "# word: accept, pending or reject; default \"accept\"; variable CHARGELINE_DEVICE_UNKNOWN\n"));
    CHECK("the sentence", holds(&first, "# Heartbeat interval told to an accepted station.\n"));
    CHECK("a misspelt variable", holds(&first, "# the variable CHARGELINE_OCPP_PING is set but is no setting\n"));
    CHECK("not those with a meaning of their own",
          !holds(&first, "CHARGELINE_ADMIN_KEY") && !holds(&first, "CHARGELINE_BIN") &&
              !holds(&first, "CHARGELINE_BUILD") && !holds(&first, "CHARGELINE_LOG_DIR"));
    CHECK("nothing was cut", !first.failed);

    struct fault why = {"", ""};
    e = config_load_text(STR("explained"), buf_str(&first), NULL, 0, NULL, &again, &why);
    CHECK("what it writes can be loaded", e == OK);
    if (e == OK) {
        CHECK("with the same text", str_eq(c.data_dir, again.data_dir));
        CHECK("with the same number", c.ping_s == again.ping_s);
        CHECK("with the same switch", c.ocpp_strict == again.ocpp_strict);
        CHECK("with the same word", c.device_unknown == again.device_unknown);
        config_release(&again);
    }
    config_document(&second);
    CHECK("the page has a row",
          holds(&second, "| `listen.ocpp` | address | `127.0.0.1:8887` | host:port, or empty | Address of"));
    CHECK("a bar in a default is no column", holds(&second, "`/ocpp\\|/ocpp16`"));
    buf_release(&first);
    buf_release(&second);
    config_release(&c);
}

static void test_limits(void)
{
    char *large = malloc(CONFIG_FILE_MAX + 2);
    if (large == NULL)
        return;
    memset(large, '#', CONFIG_FILE_MAX + 1);
    struct config c;
    struct fault why = {"", ""};
    enum err e = config_load_text(STR("big"), (struct str){large, CONFIG_FILE_MAX}, NULL, 0, NULL, &c, &why);
    CHECK("a file of the greatest size", e == OK);
    if (e == OK)
        config_release(&c);
    CHECK("one byte more",
          config_load_text(STR("big"), (struct str){large, CONFIG_FILE_MAX + 1}, NULL, 0, NULL, &c, &why) == ERR_LIMIT);
    CHECK("says so", strcmp(why.reason, "the file is larger than 65536 bytes") == 0 && strcmp(why.field, "big") == 0);

    memset(large, 'x', 8300);
    memcpy(large, "A=", 2);
    large[8300] = '\0';
    char *variables[] = {large, NULL};
    CHECK("a variable that is too long",
          config_load_text(STR("f"), STR("data.dir: ${A}"), NULL, 0, variables, &c, &why) == ERR_LIMIT);
    CHECK("says so too", strcmp(why.reason, "the value is longer than 8192 bytes") == 0);
    free(large);

    static const struct {
        const char *row, *name, *place;
    } places[] = {
        {"a long name gives way at its beginning",
         "/a/0123456789012345678901234567890123456789/0123456789/0123456789/c.yaml",
         "...45678901234567890123456789/0123456789/0123456789/c.yaml:1"},
        {"and is not cut inside a character", "/ééééééééééééééééééééééééééééééééééééééééc.yaml",
         "...ééééééééééééééééééééééééééc.yaml:1"},
    };
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        CHECK(places[i].row,
              config_load_text(str_of(places[i].name), STR("x: 1"), NULL, 0, NULL, &c, &why) == ERR_UNKNOWN);
        size_t len = strlen(why.field), shown = strlen(".yaml:1");
        CHECK(places[i].row, len > shown && strcmp(why.field + len - shown, ".yaml:1") == 0);
        CHECK(places[i].row, strncmp(why.field, "...", 3) == 0 && len >= 60);
        CHECK(places[i].row, utf8_is_valid((struct bytes){(const uint8_t *)why.field, len}));
    }
}

static void test_files(void)
{
    char folder[PLACE_MAX], path[PLACE_PATH_MAX];
    struct config c;
    struct fault why = {"", ""};
    place_make(folder, "test_config");
    (void)snprintf(path, sizeof path, "%s/c.yaml", folder);

    CHECK("no file at all", config_load((struct str){NULL, 0}, NULL, 0, NULL, &c, &why) == OK);
    config_release(&c);
    CHECK("a file that is not there", config_load(str_of(path), NULL, 0, NULL, &c, &why) == ERR_IO);
    CHECK("says which and why",
          strcmp(why.reason, "the configuration cannot be read: No such file or directory") == 0 &&
              str_starts(str_of(why.field), str_of(folder)));
    CHECK("a folder is no file", config_load(str_of(folder), NULL, 0, NULL, &c, &why) == ERR_IO);

    FILE *f = fopen(path, "w");
    CHECK("a file is made", f != NULL && fputs("gateway.id: g7\nocpp:\n  ping_s: 9\n", f) >= 0 && fclose(f) == 0);
    enum err e = config_load(str_of(path), NULL, 0, NULL, &c, &why);
    CHECK("a file is read", e == OK);
    if (e == OK) {
        CHECK("all of it", str_eq(c.gateway_id, STR("g7")) && c.ping_s == 9);
        config_release(&c);
    }
    CHECK("it grows too large", truncate(path, CONFIG_FILE_MAX + 100) == 0);
    CHECK("a large file", config_load(str_of(path), NULL, 0, NULL, &c, &why) == ERR_LIMIT);

    char *longest = malloc(5001);
    if (longest != NULL) {
        memset(longest, 'a', 5000);
        longest[5000] = '\0';
        CHECK("a name that no system has", config_load(str_of(longest), NULL, 0, NULL, &c, &why) == ERR_LIMIT);
        free(longest);
    }
    (void)unlink(path);
    (void)rmdir(folder);
}

int main(void)
{
    test_wrong();
    test_right();
    test_kinds();
    test_explain();
    test_limits();
    test_files();
    return CHECK_REPORT();
}
