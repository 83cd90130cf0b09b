/* sim/settings.c - every value is a number: switches are 0 or 1, a list of measurands is a set of bits. So nineteen
 * thousand stations have a whole table each, and only text that nobody can change is text. */
#include "sim/settings.h"

#define LIST_TEXT_MAX 512

enum setting_kind { NUMBER, SWITCH, MEASURED, FIXED };
enum setting_access { READ, WRITE, REBOOT };

static const struct {
    struct str key;
    enum setting_kind kind;
    enum setting_access access;
    int32_t standard, least, most;
} table[SET_COUNT] = {
#define SETTING(member, key, kind, access, standard, least, most) \
    {{(key), sizeof(key) - 1}, (kind), (access), (standard), (least), (most)},
#include "sim/settings.def"
};

static const struct {
    enum setting_index index;
    struct str text;
} fixed[] = {
    {SET_phase_rotation, {"NotApplicable", 13}},
    {SET_profiles, {"Core,RemoteTrigger", 18}},
};

const struct str sim_measurand_words[MEASURE_COUNT] = {
    [MEASURE_ENERGY] = {"Energy.Active.Import.Register", 29},
    [MEASURE_POWER] = {"Power.Active.Import", 19},
    [MEASURE_OFFERED] = {"Power.Offered", 13},
    [MEASURE_CURRENT] = {"Current.Import", 14},
    [MEASURE_VOLTAGE] = {"Voltage", 7},
    [MEASURE_SOC] = {"SoC", 3},
    [MEASURE_TEMPERATURE] = {"Temperature", 11},
};

void settings_init(struct settings *s, unsigned connectors)
{
    for (size_t i = 0; i < SET_COUNT; i++)
        s->of[i] = table[i].standard;
    s->of[SET_connectors] = (int32_t)connectors;
}

enum setting_index settings_find(struct str key)
{
    size_t i = 0;
    while (i < SET_COUNT && !str_eq_nocase(table[i].key, key))
        i++;
    return (enum setting_index)i;
}

struct str settings_key(enum setting_index i)
{
    return table[i].key;
}

bool settings_is_readonly(enum setting_index i)
{
    return table[i].access == READ;
}

static struct str fixed_text(enum setting_index i)
{
    for (size_t k = 0; k < COUNT_OF(fixed); k++)
        if (fixed[k].index == i)
            return fixed[k].text;
    return STR("");
}

static struct str list_text(int32_t bits, struct arena *a)
{
    struct buf b;
    buf_init(&b, LIST_TEXT_MAX);
    for (size_t m = 0; m < MEASURE_COUNT; m++) {
        if ((bits >> m & 1) == 0)
            continue;
        if (b.len > 0)
            buf_put_byte(&b, ',');
        buf_put_str(&b, sim_measurand_words[m]);
    }
    struct str text = b.len == 0 ? STR("") : arena_copy(a, buf_str(&b));
    buf_release(&b);
    return text;
}

struct str settings_text(const struct settings *s, enum setting_index i, struct arena *a)
{
    switch (table[i].kind) {
    case SWITCH:
        return s->of[i] != 0 ? STR("true") : STR("false");
    case MEASURED:
        return list_text(s->of[i], a);
    case FIXED:
        return fixed_text(i);
    case NUMBER:
        break;
    }
    return arena_printf(a, "%d", (int)s->of[i]);
}

static enum err parse_switch(struct str value, int64_t *out)
{
    bool is_true = str_eq_nocase(value, STR("true"));
    if (!is_true && !str_eq_nocase(value, STR("false")))
        return ERR_FORMAT;
    *out = is_true;
    return OK;
}

static struct str trimmed(struct str s)
{
    for (; s.len > 0 && s.at[0] == ' '; s.at++)
        s.len--;
    while (s.len > 0 && s.at[s.len - 1] == ' ')
        s.len--;
    return s;
}

/* A list with one word that the station cannot measure is refused whole (ocpp16.md 6.2). */
static enum err parse_list(struct str value, int64_t *out)
{
    int64_t bits = 0;
    for (size_t at = 0; value.len > 0 && at <= value.len;) {
        size_t end = at;
        while (end < value.len && value.at[end] != ',')
            end++;
        struct str word = trimmed((struct str){value.at + at, end - at});
        size_t m = 0;
        while (m < MEASURE_COUNT && !str_eq(sim_measurand_words[m], word))
            m++;
        if (m == MEASURE_COUNT)
            return ERR_UNKNOWN;
        bits |= INT64_C(1) << m;
        at = end + 1;
    }
    *out = bits;
    return OK;
}

enum setting_outcome settings_change(struct settings *s, struct str key, struct str value)
{
    static enum err (*const parse[])(struct str, int64_t *) = {
        [NUMBER] = str_to_int, [SWITCH] = parse_switch, [MEASURED] = parse_list};
    enum setting_index i = settings_find(key);
    int64_t n = 0;
    if (i == SET_COUNT)
        return SETTING_UNKNOWN;
    if (table[i].access == READ || parse[table[i].kind](value, &n) != OK || n < table[i].least || n > table[i].most)
        return SETTING_REJECTED;
    s->of[i] = (int32_t)n;
    return table[i].access == REBOOT ? SETTING_REBOOT : SETTING_ACCEPTED;
}
