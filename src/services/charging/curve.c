/* What a measurand becomes is a row. A quantity may come as one value, or by phase: powers of phases are added, of
 * voltages and currents the greatest counts. Where a station measures at several places the outlet is what the customer
 * gets. */
#include "services/charging/curve.h"

#include <stdlib.h>
#include <string.h>

enum quantity {
    QUANTITY_POWER,
    QUANTITY_REGISTER,
    QUANTITY_VOLTAGE,
    QUANTITY_CURRENT,
    QUANTITY_TEMPERATURE,
    QUANTITY_COUNT
};

#define VALUE_MOST   1000000000000000 /* in what we keep: past it, it is no measurement */
#define FORMS_MAX    256  /* of lists that are remembered */
#define KEEP_EVERY   16   /* of those whose place another has: else a fleet of many forms would cost more than reading them */
#define SAMPLES_MOST 32   /* of such a list */
#define LIST_SIZE    1024 /* as it was packed */
#define TEXT_SIZE    8192 /* in the frame, from its first text to its last */

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

/* What a sample is, whatever its value. */
struct sample_kind {
    bool is_shown; /* false: to be passed over */
    uint8_t quantity, unit, place; /* unit: row of units; place: 0 the outlet */
    uint8_t phase;                 /* 0: the whole */
};

/* The row of units; COUNT_OF(units): there is none. */
static size_t find_unit(struct str unit, enum quantity q)
{
    size_t i = 0;
    while (i < COUNT_OF(units) &&
           (units[i].quantity != q || (unit.at != NULL && unit.len > 0 &&
                                       (unit.len != units[i].unit.len || !str_eq_nocase(unit, units[i].unit)))))
        i++;
    return i;
}

/* ERR_ when it is no value. */
static enum err read_value(struct str value, size_t unit, int64_t *out)
{
    int64_t n = 0;
    enum err e = decimal_parse(value, units[unit].digits, &n, NULL);
    if (e != OK || n > VALUE_MOST || n < -VALUE_MOST)
        return e != OK ? e : ERR_RANGE;
    if (is(units[unit].unit, STR("Fahrenheit")))
        n = to_celsius(n);
    *out = n + units[unit].offset;
    return OK;
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

static struct sample_kind sample_kind(const struct ev_sampled_value *v)
{
    struct sample_kind kind = {.is_shown = false};
    if (v == NULL || is(v->format, STR("SignedData")))
        return kind;
    for (size_t i = 0; i < COUNT_OF(measurands); i++) {
        if (!is(v->measurand, measurands[i].measurand))
            continue;
        const int phase = phase_bit(v->phase);
        const size_t unit = find_unit(v->unit, measurands[i].quantity);
        const bool is_outlet = v->location.at == NULL || v->location.len == 0 || is(v->location, STR("Outlet"));
        if (phase >= 0 && unit < COUNT_OF(units))
            kind = (struct sample_kind){true, (uint8_t)measurands[i].quantity, (uint8_t)unit, !is_outlet, (uint8_t)phase};
        break;
    }
    return kind;
}

static void take_value(struct sample_kind kind, struct str value, struct gathered at[QUANTITY_COUNT][2])
{
    int64_t n = 0;
    if (kind.is_shown && read_value(value, kind.unit, &n) == OK)
        gather(&at[kind.quantity][kind.place], kind.phase, n);
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

static void make_point(struct gathered at[QUANTITY_COUNT][2], struct instant taken, struct instant received,
                       struct curve_point *out, uint32_t *flags)
{
    if (!instant_is_set(taken))
        *flags |= FLAG_CLOCK_CORRECTED;
    *out = (struct curve_point){.at = session_time(taken, received, flags)};
    struct integer *const to[QUANTITY_COUNT] = {&out->power_w, &out->register_wh, &out->voltage_m, &out->current_m,
                                                &out->temperature_m};
    for (size_t i = 0; i < COUNT_OF(measurands); i++)
        *to[measurands[i].quantity] = result(at, i);
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
    for (; *next < count && is_same_time(&samples[*next].timestamp, &samples[first].timestamp); ++*next) {
        const struct ev_sampled_value *v = samples[*next].sampled_value;
        if (v != NULL)
            take_value(sample_kind(v), v->value, at);
    }
    make_point(at, samples[first].timestamp.at, received, out, flags);
    return true;
}

/* ---- lists like one before ----
 *
 * The bytes of a packed list say where in the frame each of its texts begins and ends. So a list of the same bytes, in a frame that
 * is the same between the values and the time, is of the same samples. */

/* A text of the frame that may differ: the time, or the value of a sample. */
struct hole {
    size_t at, len;
    struct sample_kind kind;
};
struct form {
    size_t from, list_size;
    size_t begin, end;   /* the part of the frame that its texts lie in */
    size_t hole_count, time_index;
    const uint8_t *list; /* these two behind the holes */
    const char *text;    /* from begin to end */
    struct hole holes[]; /* by their place, which is the order of the samples too */
};
struct curve_forms {
    struct form *forms[FORMS_MAX];
    unsigned missed; /* how often another had the place */
};

struct curve_forms *curve_forms_new(void)
{
    return mem_new(1, sizeof(struct curve_forms));
}

void curve_forms_free(struct curve_forms *f)
{
    for (size_t i = 0; f != NULL && i < FORMS_MAX; i++)
        free(f->forms[i]);
    free(f);
}

static size_t form_index(const struct list_place *list)
{
    const uint64_t key[2] = {list->from, 0};
    return content_hash(key, list->bytes) % FORMS_MAX;
}

static bool is_of_form(const struct form *m, const struct list_place *list, struct str frame)
{
    if (m == NULL || m->from != list->from || m->list_size != list->bytes.len || m->end > frame.len ||
        memcmp(m->list, list->bytes.at, m->list_size) != 0)
        return false;
    size_t at = m->begin;
    for (size_t i = 0; i < m->hole_count; at = m->holes[i].at + m->holes[i].len, i++)
        if (memcmp(frame.at + at, m->text + (at - m->begin), m->holes[i].at - at) != 0)
            return false;
    return memcmp(frame.at + at, m->text + (at - m->begin), m->end - at) == 0;
}

bool curve_recall(const struct curve_forms *f, const struct list_place *list, struct str frame, struct instant received,
                  struct curve_point *out, uint32_t *flags)
{
    const struct form *m = list->bytes.at == NULL ? NULL : f->forms[form_index(list)];
    if (!is_of_form(m, list, frame))
        return false;
    struct instant taken = INSTANT_NONE;
    struct gathered at[QUANTITY_COUNT][2];
    memset(at, 0, sizeof at);
    for (size_t i = 0; i < m->hole_count; i++) {
        const struct str text = {frame.at + m->holes[i].at, m->holes[i].len};
        if (i != m->time_index)
            take_value(m->holes[i].kind, text, at);
        else if (instant_parse(text, &taken, NULL) != OK)
            taken = INSTANT_NONE;
    }
    make_point(at, taken, received, out, flags);
    return true;
}

static bool find_place(struct str frame, struct str text, size_t *at)
{
    *at = (size_t)((uintptr_t)text.at - (uintptr_t)frame.at); /* huge where it begins before it */
    return text.at != NULL && *at <= frame.len && text.len <= frame.len - *at;
}

static bool add_hole(struct form *m, struct str frame, struct str text, struct sample_kind kind)
{
    struct hole *h = &m->holes[m->hole_count];
    if (!find_place(frame, text, &h->at))
        return false;
    h->len = text.len;
    h->kind = kind;
    return m->hole_count++ == 0 || h[-1].at + h[-1].len <= h->at;
}

/* False: the samples are not of one moment, or their values do not follow each other in the frame. */
static bool find_holes(struct form *m, struct str frame, const struct ev_sample_list *samples)
{
    const struct sample_kind none = {.is_shown = false};
    const struct str time = samples->at[0].timestamp.text;
    const struct ev_sampled_value *first = samples->at[0].sampled_value;
    const bool is_first = first != NULL && (uintptr_t)time.at < (uintptr_t)first->value.at;
    bool is_good = !is_first || add_hole(m, frame, time, none);
    for (size_t i = 0; is_good && i < samples->count; i++) {
        const struct ev_sample *s = &samples->at[i];
        is_good = s->timestamp.text.at == time.at && s->timestamp.text.len == time.len && s->sampled_value != NULL &&
                  add_hole(m, frame, s->sampled_value->value, sample_kind(s->sampled_value));
    }
    m->time_index = is_first ? 0 : m->hole_count;
    return is_good && (is_first || add_hole(m, frame, time, none));
}

/* Makes the form's part of the frame contain the text, if that is there. False: it lies in what may differ. */
static bool enclose(struct form *m, struct str frame, struct str text)
{
    size_t at;
    if (!find_place(frame, text, &at))
        return true; /* absent, or among the bytes of the list */
    for (size_t i = 0; i < m->hole_count; i++)
        if (at < m->holes[i].at + m->holes[i].len && m->holes[i].at < at + text.len)
            return false;
    m->begin = at < m->begin ? at : m->begin;
    m->end = at + text.len > m->end ? at + text.len : m->end;
    return true;
}

static bool enclose_all(struct form *m, struct str frame, const struct ev_sample_list *samples)
{
    const struct hole *last = &m->holes[m->hole_count - 1];
    m->begin = m->holes[0].at;
    m->end = last->at + last->len;
    for (size_t i = 0; i < samples->count; i++) {
        const struct ev_sampled_value *v = samples->at[i].sampled_value;
        const struct str fixed[] = {v->measurand, v->unit, v->phase, v->context, v->location, v->format};
        for (size_t k = 0; k < COUNT_OF(fixed); k++)
            if (!enclose(m, frame, fixed[k]))
                return false;
    }
    return m->end - m->begin <= TEXT_SIZE;
}

void curve_keep(struct curve_forms *f, const struct list_place *list, struct str frame, const struct ev_meter_values *values)
{
    const struct ev_sample_list *samples = &values->meter_values;
    if (list->bytes.at == NULL || list->bytes.len > LIST_SIZE || samples->count == 0 || samples->count > SAMPLES_MOST)
        return;
    struct form **const place = &f->forms[form_index(list)];
    if (*place != NULL && ++f->missed % KEEP_EVERY != 0)
        return;
    const size_t holes_size = (samples->count + 1) * sizeof(struct hole);
    struct form *m = mem_new(1, sizeof *m + holes_size);
    if (!find_holes(m, frame, samples) || !enclose_all(m, frame, samples)) {
        free(m);
        return;
    }
    m = mem_grow(m, 1, sizeof *m + holes_size + list->bytes.len + (m->end - m->begin));
    uint8_t *const bytes = (uint8_t *)m->holes + holes_size;
    char *const text = (char *)bytes + list->bytes.len;
    memcpy(bytes, list->bytes.at, list->bytes.len);
    memcpy(text, frame.at + m->begin, m->end - m->begin);
    m->from = list->from;
    m->list_size = list->bytes.len;
    m->list = bytes;
    m->text = text;
    free(*place);
    *place = m;
}
