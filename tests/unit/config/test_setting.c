/* test_setting.c - the table itself: what every line of config.def must keep. */
#include "check.h"
#include "config/setting.h"
#include <stdlib.h>
#include <string.h>

static void test_lines(void)
{
    struct config c;
    memset(&c, 0, sizeof c);
    char variable[SETTING_VARIABLE_SIZE_MAX], other[SETTING_VARIABLE_SIZE_MAX];
    for (enum setting s = 0; s < SETTING_COUNT; s++) {
        const struct setting_line *line = &setting_lines[s];
        struct fault why = {"", ""};
        CHECK(line->key, setting_find(str_of(line->key)) == s); /* and so no key twice */
        CHECK(line->key, strlen(line->key) <= SETTING_KEY_MAX);
        CHECK(line->key, strchr(line->key, '.') != NULL && !setting_is_section(str_of(line->key)));
        CHECK(line->key, line->help[0] != '\0' && line->help[strlen(line->help) - 1] == '.');
        CHECK(line->key, (line->kind == SETTING_WORD) == (line->words[0] != '\0'));
        CHECK(line->key, setting_apply(s, str_of(line->preset), &c, &why) == OK);
        struct buf written;
        buf_init(&written, 65536);
        setting_write(&c, s, &written);
        CHECK(line->key,
              str_eq(buf_str(&written), str_of(line->preset)) || (written.len == 0 && line->preset[0] == '\0'));
        buf_release(&written);
        setting_variable(s, variable);
        for (enum setting t = 0; t < s; t++) {
            setting_variable(t, other);
            CHECK(line->key, strcmp(variable, other) != 0);
        }
    }
    setting_variable(SETTING_listen_ocpp_tls, variable);
    CHECK("the variable of a key", strcmp(variable, "CHARGELINE_LISTEN_OCPP_TLS") == 0);
}

static void test_nearest(void)
{
    static const struct {
        const char *row, *key, *want;
    } rows[] = {
        {"a letter missing", "data.dr", "data.dir"},
        {"a letter too many", "gateway.idd", "gateway.id"},
        {"an underscore for the dot", "listen_ocpp", "listen.ocpp"},
        {"a dash", "ocpp.boot-retry-s", "ocpp.boot_retry_s"},
        {"the wrong section", "device.heartbeat_s", "ocpp.heartbeat_s"},
        {"the unit forgotten", "ocpp.heartbeat", "ocpp.heartbeat_s"},
        {"another word", "listen.telnet", NULL},
        {"nothing", "", NULL},
        {"longer than any", "0123456789012345678901234567890123456789012345678901234567890123456789", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *got = setting_nearest(str_of(rows[i].key));
        CHECK(rows[i].row, rows[i].want == NULL ? got == NULL : got != NULL && strcmp(got, rows[i].want) == 0);
    }
}

static void test_words(void)
{
    CHECK("the first word", str_eq(setting_word("a|bc", 0), STR("a")));
    CHECK("the last word", str_eq(setting_word("a|bc", 1), STR("bc")));
    CHECK("past the last", setting_word("a|bc", 2).at == NULL);
    CHECK("a section", setting_is_section(STR("listen")));
    CHECK("the beginning of one", !setting_is_section(STR("liste")));
    CHECK("none", !setting_is_section(STR("nowhere")));
}

int main(void)
{
    test_lines();
    test_nearest();
    test_words();
    return CHECK_REPORT();
}
