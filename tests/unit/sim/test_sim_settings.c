/* The configuration table of a simulated station (ocpp16.md 6.2, 6.4, 9). */
#include "check.h"
#include "sim/settings.h"

/* clang-format off */
static const struct {
    const char *row, *key, *value;
    enum setting_outcome want;
    const char *text; /* what is there afterwards; NULL: nothing to look at */
} rows[] = {
    {"a number is taken",              "HeartbeatInterval",        "60",    SETTING_ACCEPTED, "60"},
    {"a key has no case",              "heartbeatINTERVAL",        "61",    SETTING_ACCEPTED, "61"},
    {"a number below its least",       "HeartbeatInterval",        "-1",    SETTING_REJECTED, "300"},
    {"a number above its most",        "HeartbeatInterval",        "86401", SETTING_REJECTED, "300"},
    {"no number",                      "HeartbeatInterval",        "x",     SETTING_REJECTED, "300"},
    {"nothing where a number is due",  "HeartbeatInterval",        "",      SETTING_REJECTED, "300"},
    {"a switch is set",                "LocalPreAuthorize",        "true",  SETTING_ACCEPTED, "true"},
    {"a switch in capitals",           "LocalPreAuthorize",        "TRUE",  SETTING_ACCEPTED, "true"},
    {"a switch is no number",          "LocalPreAuthorize",        "1",     SETTING_REJECTED, "false"},
    {"a list, with a blank",           "MeterValuesSampledData",   "SoC, Voltage", SETTING_ACCEPTED, "Voltage,SoC"},
    {"an empty list",                  "MeterValuesSampledData",   "",      SETTING_ACCEPTED, ""},
    {"one unknown measurand refuses the list", "MeterValuesSampledData", "SoC,RPM", SETTING_REJECTED, NULL},
    {"a list that ends in a comma",    "MeterValuesSampledData",   "SoC,",  SETTING_REJECTED, NULL},
    {"what is read-only",              "NumberOfConnectors",       "3",     SETTING_REJECTED, "2"},
    {"fixed text",                     "SupportedFeatureProfiles", "Core",  SETTING_REJECTED, "Core,RemoteTrigger"},
    {"what needs a reset is stored",   "WebSocketPingInterval",    "10",    SETTING_REBOOT,   "10"},
    {"no such key",                    "Frobnicate",               "1",     SETTING_UNKNOWN,  NULL},
};
/* clang-format on */

int main(void)
{
    struct arena a;
    arena_init(&a, 65536);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct settings s, before;
        settings_init(&s, 2);
        before = s;
        enum setting_outcome got = settings_change(&s, str_of(rows[i].key), str_of(rows[i].value));
        enum setting_index key = settings_find(str_of(rows[i].key));
        CHECK(rows[i].row, got == rows[i].want);
        CHECK(rows[i].row, (key == SET_COUNT) == (got == SETTING_UNKNOWN));
        if (got == SETTING_REJECTED || got == SETTING_UNKNOWN)
            for (size_t k = 0; k < SET_COUNT; k++)
                CHECK(rows[i].row, s.of[k] == before.of[k]);
        if (rows[i].text != NULL)
            CHECK(rows[i].row, str_eq(settings_text(&s, key, &a), str_of(rows[i].text)));
    }
    struct settings s;
    settings_init(&s, 2);
    for (size_t k = 0; k < SET_COUNT; k++) {
        enum setting_index i = (enum setting_index)k;
        struct str text = settings_text(&s, i, &a);
        CHECK("every key has a text", text.at != NULL);
        CHECK("every key is found by its name", settings_find(settings_key(i)) == i);
        enum setting_outcome same = settings_change(&s, settings_key(i), text);
        CHECK("every value that can be written may be written as it is",
              settings_is_readonly(i) == (same == SETTING_REJECTED));
    }
    arena_release(&a);
    return CHECK_REPORT();
}
