/* sim/settings.h - the configuration table of a simulated station: what GetConfiguration tells and ChangeConfiguration
 * sets. */
#ifndef SIM_SETTINGS_H
#define SIM_SETTINGS_H
#include "base/memory.h"

#define CONNECTORS_MAX 64 /* NumberOfConnectors in settings.def */

/* What a station can measure, in the order in which it is reported: the bits of a MEASURED setting. */
enum sim_measurand {
    MEASURE_ENERGY,
    MEASURE_POWER,
    MEASURE_OFFERED,
    MEASURE_CURRENT,
    MEASURE_VOLTAGE,
    MEASURE_SOC,
    MEASURE_TEMPERATURE,
    MEASURE_COUNT
};
extern const struct str sim_measurand_words[MEASURE_COUNT];

enum setting_index {
#define SETTING(member, key, kind, access, standard, least, most) SET_##member,
#include "sim/settings.def"
    SET_COUNT
};
struct settings {
    int32_t of[SET_COUNT];
};
enum setting_outcome { SETTING_ACCEPTED, SETTING_REJECTED, SETTING_REBOOT, SETTING_UNKNOWN };

void settings_init(struct settings *s, unsigned connectors);
/* By its key, letters of either case; SET_COUNT: there is none. */
enum setting_index settings_find(struct str key);
struct str settings_key(enum setting_index i);
bool settings_is_readonly(enum setting_index i);
/* Into the arena; absent when that is full. */
struct str settings_text(const struct settings *s, enum setting_index i, struct arena *a);
/* Anything but SETTING_ACCEPTED and SETTING_REBOOT leaves *s as it was. */
enum setting_outcome settings_change(struct settings *s, struct str key, struct str value);
static inline bool settings_has(const struct settings *s, enum setting_index i, enum sim_measurand m)
{
    return (s->of[i] >> m & 1) != 0;
}
#endif
