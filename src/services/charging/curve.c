/* What a measurand becomes is a row. A quantity may come as one value, or by phase: powers of phases are added, of
 * voltages and currents the greatest counts. Where a station measures at several places the outlet is what the customer
 * gets. */
#include "services/charging/curve.h"

#include <string.h>

enum quantity {
    QUANTITY_POWER,
    QUANTITY_REGISTER,
    QUANTITY_VOLTAGE,
    QUANTITY_CURRENT,
    QUANTITY_TEMPERATURE,
    QUANTITY_COUNT
};

#define VALUE_MOST 1000000000000000 /* in what we keep: past it, it is no measurement */

#define TEXT(literal) {(literal), sizeof(literal) - 1}
static const struct {
    struct str measurand;
    enum quantity quantity;
    bool is_added; /* over phases */
} measurands[] = {
    {TEXT("Energy.Active.Import.Register"), QUANTITY_REGISTER,    true },
    {TEXT("Power.Active.Import"),           QUANTITY_POWER,       true },
    {TEXT("Voltage"),                       QUANTITY_VOLTAGE,     false},
    {TEXT("Current.Import"),                QUANTITY_CURRENT,     false},
    {TEXT("Temperature"),                   QUANTITY_TEMPERATURE, false},
};

/* value * 10^digits + offset is what we keep: W, Wh, or thousandths. The first row of a quantity is for an absent unit.
 */
static const struct {
    enum quantity quantity;
    struct str unit;
    int digits;
    int64_t offset;
} units[] = {
    {QUANTITY_POWER,       TEXT("W"),          0, 0     },
    {QUANTITY_POWER,       TEXT("kW"),         3, 0     },
    {QUANTITY_REGISTER,    TEXT("Wh"),         0, 0     },
    {QUANTITY_REGISTER,    TEXT("kWh"),        3, 0     },
    {QUANTITY_VOLTAGE,     TEXT("V"),          3, 0     },
    {QUANTITY_CURRENT,     TEXT("A"),          3, 0     },
    {QUANTITY_TEMPERATURE, TEXT("Celsius"),    3, 0     },
    {QUANTITY_TEMPERATURE, TEXT("Celcius"),    3, 0     }, /* as OCPP 1.6 first spelled it */
    {QUANTITY_TEMPERATURE, TEXT("K"),          3, -273150},
    {QUANTITY_TEMPERATURE, TEXT("Fahrenheit"), 3, 0     }, /* see to_celsius */
};

static const struct {
    struct str phase;
    uint8_t bit; /* 0: not a phase of ours: neutral, or between two */
} phases[] = {
    {TEXT("L1"),   1}, {TEXT("L2"),   2}, {TEXT("L3"),   4}, {TEXT("L1-N"),  1}, {TEXT("L2-N"),  2},
    {TEXT("L3-N"), 4}, {TEXT("N"),    0}, {TEXT("L1-L2"), 0}, {TEXT("L2-L3"), 0}, {TEXT("L3-L1"), 0},
};

struct gathered {
    bool has_whole;
    uint8_t phases;
    int64_t whole, sum, most;
};

/* Mostly their sizes differ: then no more is looked at. */
static inline bool is(struct str a, struct str b)
{
    return a.len == b.len && str_eq(a, b);
}

static int64_t to_celsius(int64_t fahrenheit_m)
{
    return (fahrenheit_m - 32000) * 5 / 9;
}

/* ERR_ when its unit or value is none. */
static enum err read_value(const struct ev_sampled_value *v, enum quantity q, int64_t *out)
{
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (units[i].quantity != q)
            continue;
        if (v->unit.at != NULL && v->unit.len > 0 &&
            (v->unit.len != units[i].unit.len || !str_eq_nocase(v->unit, units[i].unit)))
            continue;
        int64_t n = 0;
        enum err e = decimal_parse(v->value, units[i].digits, &n, NULL);
        if (e != OK || n > VALUE_MOST || n < -VALUE_MOST)
            return e != OK ? e : ERR_RANGE;
        if (is(units[i].unit, STR("Fahrenheit")))
            n = to_celsius(n);
        *out = n + units[i].offset;
        return OK;
    }
    return ERR_UNKNOWN;
}

/* 1, 2, 4: a phase; 0: the whole; -1: to be passed over. */
static int phase_bit(struct str phase)
{
    if (phase.at == NULL || phase.len == 0)
        return 0;
    for (size_t i = 0; i < COUNT_OF(phases); i++)
        if (is(phase, phases[i].phase))
            return phases[i].bit == 0 ? -1 : phases[i].bit;
    return -1;
}

static void gather(struct gathered *g, int phase, int64_t n)
{
    if (phase == 0) {
        g->has_whole = true;
        g->whole = n;
        return;
    }
    if ((g->phases & phase) != 0)
        return; /* L1 and L1-N of one moment are the same phase */
    g->most = g->phases == 0 || n > g->most ? n : g->most;
    g->sum += n;
    g->phases |= (uint8_t)phase;
}

static void take_sample(const struct ev_sampled_value *v, struct gathered at[QUANTITY_COUNT][2])
{
    if (v == NULL || is(v->format, STR("SignedData")))
        return;
    for (size_t i = 0; i < COUNT_OF(measurands); i++) {
        if (!is(v->measurand, measurands[i].measurand))
            continue;
        int64_t n = 0;
        int phase = phase_bit(v->phase);
        bool is_outlet = v->location.at == NULL || v->location.len == 0 || is(v->location, STR("Outlet"));
        if (phase >= 0 && read_value(v, measurands[i].quantity, &n) == OK)
            gather(&at[measurands[i].quantity][is_outlet ? 0 : 1], phase, n);
        return;
    }
}

static struct integer result(struct gathered at[QUANTITY_COUNT][2], size_t measurand)
{
    for (int place = 0; place < 2; place++) {
        const struct gathered *g = &at[measurands[measurand].quantity][place];
        if (g->has_whole)
            return (struct integer){g->whole, true};
        if (g->phases != 0)
            return (struct integer){measurands[measurand].is_added ? g->sum : g->most, true};
    }
    return (struct integer){0, false};
}

static bool is_same_time(const struct stamp *a, const struct stamp *b)
{
    return a->at.us == b->at.us && (instant_is_set(a->at) || str_eq(a->text, b->text));
}

bool curve_next(const struct ev_meter_values *values, size_t *next, struct instant received, struct curve_point *out,
                uint32_t *flags)
{
    const struct ev_sample *samples = values->meter_values.at;
    size_t first = *next, count = values->meter_values.count;
    if (first >= count)
        return false;
    struct gathered at[QUANTITY_COUNT][2];
    memset(at, 0, sizeof at);
    while (*next < count && is_same_time(&samples[*next].timestamp, &samples[first].timestamp))
        take_sample(samples[(*next)++].sampled_value, at);
    if (!instant_is_set(samples[first].timestamp.at))
        *flags |= FLAG_CLOCK_CORRECTED;
    *out = (struct curve_point){.at = session_time(samples[first].timestamp.at, received, flags)};
    struct integer *const to[QUANTITY_COUNT] = {&out->power_w, &out->register_wh, &out->voltage_m, &out->current_m,
                                                &out->temperature_m};
    for (size_t i = 0; i < COUNT_OF(measurands); i++)
        *to[measurands[i].quantity] = result(at, i);
    return true;
}
