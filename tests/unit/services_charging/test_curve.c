/* Meter values as devices send them, and the point that they make. */
#include "check.h"
#include "services/charging/curve.h"

#define AT    "{\"timestamp\":\"2025-06-15T10:00:00Z\",\"sampledValue\":"
#define NONE  INT64_MIN
#define POWER "\"measurand\":\"Power.Active.Import\""
#define VOLT  "\"measurand\":\"Voltage\""
#define AMP   "\"measurand\":\"Current.Import\""
#define WH    "\"measurand\":\"Energy.Active.Import.Register\""
#define TEMP  "\"measurand\":\"Temperature\""

static const struct {
    const char *row, *samples;
    int64_t power_w, register_wh, voltage_m, current_m, temperature_m;
} rows[] = {
    {"a register in Wh", AT "{\"value\":\"1234\"," WH ",\"unit\":\"Wh\"}}", NONE, 1234, NONE, NONE, NONE},
    {"without a unit", AT "{\"value\":\"1234.9\"," WH "}}", NONE, 1234, NONE, NONE, NONE},
    {"in kWh", AT "{\"value\":\"1.2345\"," WH ",\"unit\":\"kWh\"}}", NONE, 1234, NONE, NONE, NONE},
    {"power in kW", AT "{\"value\":\"11.0405\"," POWER ",\"unit\":\"kW\"}}", 11040, NONE, NONE, NONE, NONE},
    {"feeding back", AT "{\"value\":\"-500\"," POWER ",\"unit\":\"W\"}}", -500, NONE, NONE, NONE, NONE},
    {"power by phase is added",
     AT "{\"value\":\"1000\"," POWER ",\"phase\":\"L1\"}}," AT "{\"value\":\"2000\"," POWER ",\"phase\":\"L2\"}}," AT
        "{\"value\":\"3\"," POWER ",\"unit\":\"kW\",\"phase\":\"L3\"}}",
     6000, NONE, NONE, NONE, NONE},
    {"the whole wins over phases",
     AT "{\"value\":\"1000\"," POWER ",\"phase\":\"L1\"}}," AT "{\"value\":\"2500\"," POWER "}}", 2500, NONE, NONE,
     NONE, NONE},
    {"one phase under two names",
     AT "{\"value\":\"5\"," POWER ",\"phase\":\"L1\"}}," AT "{\"value\":\"5\"," POWER ",\"phase\":\"L1-N\"}}", 5, NONE,
     NONE, NONE, NONE},
    {"the greatest current of the phases, not the neutral",
     AT "{\"value\":\"15.5\"," AMP ",\"phase\":\"L1\"}}," AT "{\"value\":\"16.25\"," AMP ",\"phase\":\"L2\"}}," AT
        "{\"value\":\"99\"," AMP ",\"phase\":\"N\"}}",
     NONE, NONE, NONE, 16250, NONE},
    {"all negative",
     AT "{\"value\":\"-2\"," AMP ",\"phase\":\"L1\"}}," AT "{\"value\":\"-1\"," AMP ",\"phase\":\"L2\"}}", NONE, NONE,
     NONE, -1000, NONE},
    {"voltage, not between phases",
     AT "{\"value\":\"230.4\"," VOLT ",\"phase\":\"L1-N\"}}," AT "{\"value\":\"400\"," VOLT ",\"phase\":\"L1-L2\"}}",
     NONE, NONE, 230400, NONE, NONE},
    {"Celsius", AT "{\"value\":\"21.5\"," TEMP ",\"unit\":\"Celsius\"}}", NONE, NONE, NONE, NONE, 21500},
    {"Fahrenheit", AT "{\"value\":\"212\"," TEMP ",\"unit\":\"Fahrenheit\"}}", NONE, NONE, NONE, NONE, 100000},
    {"Kelvin", AT "{\"value\":\"273.15\"," TEMP ",\"unit\":\"K\"}}", NONE, NONE, NONE, NONE, 0},
    {"the outlet before the inlet",
     AT "{\"value\":\"7\"," POWER ",\"location\":\"Inlet\"}}," AT "{\"value\":\"6\"," POWER
        ",\"location\":\"Outlet\"}}",
     6, NONE, NONE, NONE, NONE},
    {"the inlet where it is all there is", AT "{\"value\":\"7\"," POWER ",\"location\":\"Inlet\"}}", 7, NONE, NONE,
     NONE, NONE},
    {"units in any case", AT "{\"value\":\"7\"," POWER ",\"unit\":\"KW\"}}", 7000, NONE, NONE, NONE, NONE},
    {"an unknown measurand", AT "{\"value\":\"7\",\"measurand\":\"Request.Energy\"}}", NONE, NONE, NONE, NONE, NONE},
    {"an unknown unit", AT "{\"value\":\"7\"," POWER ",\"unit\":\"Hz\"}}", NONE, NONE, NONE, NONE, NONE},
    {"an empty value", AT "{\"value\":\"\"," POWER "}}", NONE, NONE, NONE, NONE, NONE},
    {"no number", AT "{\"value\":\"abc\"," POWER "}}", NONE, NONE, NONE, NONE, NONE},
    {"beyond all sense", AT "{\"value\":\"1e17\"," POWER "}}", NONE, NONE, NONE, NONE, NONE},
    {"signed data", AT "{\"value\":\"7\"," POWER ",\"format\":\"SignedData\"}}", NONE, NONE, NONE, NONE, NONE},
    {"exported energy is not imported", AT "{\"value\":\"7\",\"measurand\":\"Energy.Active.Export.Register\"}}", NONE,
     NONE, NONE, NONE, NONE},
    {"all at once",
     AT "{\"value\":\"1\"," POWER "}}," AT "{\"value\":\"2\"," WH "}}," AT "{\"value\":\"3\"," VOLT "}}," AT
        "{\"value\":\"4\"," AMP "}}," AT "{\"value\":\"5\"," TEMP "}}",
     1, 2, 3000, 4000, 5000},
};

static bool is(struct integer got, int64_t want)
{
    return want == NONE ? !got.is_set : got.is_set && got.value == want;
}

static enum err read_samples(const char *samples, struct arena *a, struct ev_meter_values *out)
{
    static char text[4096];
    (void)snprintf(text, sizeof text, "{\"connectorId\":1,\"meterValues\":[%s]}", samples);
    struct event e = {.type = EVENT_TRANSACTION_METER, .payload = str_of(text)};
    return event_read_payload(&e, a, out, NULL);
}

/* ---- lists like one before ---- */

#define LISTS 20000

static uint64_t dice_state = 7;

static unsigned dice(unsigned sides)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(dice_state >> 33) % sides;
}

/* Words of a sample that are as long as each other, so that they lie in the same places and mean something else. */
static const char *const measurands[] = {"Power.Active.Import", "Power.Active.Export", "Energy.Active.Import.Register", "Energy.Active.Export.Register", "Voltage", "Current.Import"};
static const char *const units[] = {"W", "A", "V", "x", "kW", "Wh"};
static const char *const locations[] = {"Outlet", "EV____", "Inlet_"};
static const char *const phases[] = {"L1", "L2", "L3", "xx"};

static void put_text(struct buf *b, struct str text, struct str *out)
{
    const size_t at = b->len;
    buf_put_str(b, text);
    *out = (struct str){(const char *)b->at + at, text.len};
}

struct list {
    struct ev_sample samples[40];
    struct ev_sampled_value said[40];
    struct ev_meter_values values;
};

static void put_sample(struct buf *b, struct ev_sampled_value *v, bool has_number)
{
    char number[24];
    (void)snprintf(number, sizeof number, has_number ? "%u.%u" : "%ux%u", 10 + dice(dice(9) == 0 ? 2000 : 90), dice(10));
    *v = (struct ev_sampled_value){.unit = STR("Wh")}; /* ours, not the frame's */
    buf_put_str(b, STR("{\"value\":\""));
    put_text(b, str_of(number), &v->value);
    buf_put_str(b, STR("\",\"measurand\":\""));
    put_text(b, str_of(measurands[dice(4) == 0 ? dice(COUNT_OF(measurands)) : 0]), &v->measurand);
    buf_put_str(b, STR("\""));
    if (dice(2) == 0) {
        buf_put_str(b, STR(",\"unit\":\""));
        put_text(b, str_of(units[dice(6) == 0 ? dice(COUNT_OF(units)) : 0]), &v->unit);
        buf_put_str(b, STR("\""));
    }
    if (dice(4) == 0) {
        buf_put_str(b, STR(",\"phase\":\""));
        put_text(b, str_of(phases[dice(COUNT_OF(phases))]), &v->phase);
        buf_put_str(b, STR("\",\"location\":\""));
        put_text(b, str_of(locations[dice(COUNT_OF(locations))]), &v->location);
        buf_put_str(b, STR("\""));
    }
    if (dice(20) == 0) {
        buf_put_str(b, STR(",\"format\":\""));
        put_text(b, STR("SignedData"), &v->format);
        buf_put_str(b, STR("\""));
    }
    buf_put_str(b, STR("},"));
}

/* One of some forms, with its own values, in b, whose room does not move. form: where the time stands, if it is one moment. */
static void put_list(struct buf *b, struct list *l)
{
    const unsigned count = 1 + dice(3), form = dice(12);
    struct str time = {NULL, 0}, again = {NULL, 0};
    char text[24];
    (void)snprintf(text, sizeof text, form == 1 ? "2025-06-%02ux10:00:%02uZ" : "2025-06-%02uT10:00:%02uZ", 10 + dice(20), dice(60));
    buf_clear(b);
    buf_put_str(b, STR("[2,\"1\",\"MeterValues\",{\"meterValue\":[{"));
    if (form != 2)
        put_text(b, str_of(text), &time);
    for (unsigned i = 0; i < count; i++)
        put_sample(b, &l->said[i], dice(20) != 0);
    if (form == 2)
        put_text(b, str_of(text), &time);
    if (form == 3)
        put_text(b, STR("2025-06-11T10:00:00Z"), &again);
    buf_put_str(b, STR("}]}]"));
    for (unsigned i = 0; i < count; i++) {
        const struct str of = form == 3 && i > 0 ? again : form == 4 ? STR("2025-06-12T10:00:00Z") : time;
        l->samples[i] = (struct ev_sample){{of, INSTANT_NONE}, &l->said[i]};
    }
    l->values = (struct ev_meter_values){.connector_id = {1, true}, .transaction_id = STR("5"), .meter_values = {l->samples, count}};
    if (dice(8) == 0)
        l->values.transaction_id = l->said[0].value; /* its place is where the first text of the list is counted from */
}

static bool is_same(const struct curve_point *p, const struct curve_point *q)
{
    const struct integer *a[] = {&p->power_w, &p->register_wh, &p->voltage_m, &p->current_m, &p->temperature_m};
    const struct integer *b[] = {&q->power_w, &q->register_wh, &q->voltage_m, &q->current_m, &q->temperature_m};
    bool is_equal = p->at.us == q->at.us;
    for (size_t i = 0; i < COUNT_OF(a); i++)
        is_equal = is_equal && a[i]->is_set == b[i]->is_set && (!a[i]->is_set || a[i]->value == b[i]->value);
    return is_equal;
}

/* What is recalled is what would have been read; and it is, of most. */
static void test_forms(void)
{
    const struct instant received = {1750000000000000};
    struct curve_forms *forms = curve_forms_new();
    struct buf frame, packed;
    struct arena a;
    unsigned recalled = 0, equal = 0;
    static struct list l;
    arena_init(&a, 1 << 20);
    buf_init(&frame, 8192);
    buf_init(&packed, 8192);
    check(buf_reserve(&frame, 4096) != NULL);
    for (unsigned i = 0; i < LISTS; i++) {
        arena_reset(&a);
        buf_clear(&packed);
        put_list(&frame, &l);
        event_pack(EVENT_TRANSACTION_METER, &l.values, buf_str(&frame), buf_str(&frame), NULL, &packed);
        const struct event e = {.type = EVENT_TRANSACTION_METER, .payload = buf_str(&packed), .frame = buf_str(&frame)};
        struct ev_meter_values whole, brief;
        struct list_place list;
        struct curve_point want, got;
        uint32_t want_flags = 0, got_flags = 0;
        size_t next = 0;
        check(event_read_payload(&e, &a, &whole, NULL) == OK && event_read_brief(&e, &a, &brief, &list, NULL) == OK);
        check(curve_next(&whole, &next, received, &want, &want_flags));
        if (curve_recall(forms, &list, e.frame, received, &got, &got_flags)) {
            recalled++;
            equal += next == whole.meter_values.count && got_flags == want_flags && is_same(&got, &want);
        } else {
            curve_keep(forms, &list, e.frame, &whole);
        }
    }
    CHECK("what is recalled is what would have been read", equal == recalled);
    CHECK("and much is", recalled > LISTS / 10);
    struct list_place none = {{NULL, 0}, 0};
    struct curve_point p;
    uint32_t flags = 0;
    CHECK("no list", !curve_recall(forms, &none, buf_str(&frame), received, &p, &flags) && flags == 0);
    (void)printf("%u of %u recalled\n", recalled, LISTS);
    curve_forms_free(forms);
    curve_forms_free(NULL);
    buf_release(&frame);
    buf_release(&packed);
    arena_release(&a);
}

int main(void)
{
    struct arena a;
    struct ev_meter_values values;
    const struct instant received = {1750000000000000};
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct curve_point p;
        uint32_t flags = 0;
        size_t next = 0;
        arena_reset(&a);
        CHECK(rows[i].row, read_samples(rows[i].samples, &a, &values) == OK);
        CHECK(rows[i].row, curve_next(&values, &next, received, &p, &flags) && flags == 0);
        CHECK(rows[i].row, is(p.power_w, rows[i].power_w));
        CHECK(rows[i].row, is(p.register_wh, rows[i].register_wh));
        CHECK(rows[i].row, is(p.voltage_m, rows[i].voltage_m));
        CHECK(rows[i].row, is(p.current_m, rows[i].current_m));
        CHECK(rows[i].row, is(p.temperature_m, rows[i].temperature_m));
        CHECK(rows[i].row, p.at.us == 1749981600000000);
        CHECK(rows[i].row, !curve_next(&values, &next, received, &p, &flags));
    }
    struct curve_point p;
    uint32_t flags = 0;
    size_t next = 0;
    CHECK("three times",
          read_samples(AT "{\"value\":\"1\"," POWER "}}," AT "{\"value\":\"2\"," WH "}},"
                          "{\"timestamp\":\"2025-06-15T10:01:00Z\",\"sampledValue\":{\"value\":\"3\"," POWER "}},"
                          "{\"timestamp\":\"1970-01-01T00:00:10Z\",\"sampledValue\":{\"value\":\"4\"," POWER "}}",
                       &a, &values) == OK);
    CHECK("the first",
          curve_next(&values, &next, received, &p, &flags) && is(p.power_w, 1) && is(p.register_wh, 2) && next == 2);
    CHECK("the second",
          curve_next(&values, &next, received, &p, &flags) && is(p.power_w, 3) && p.at.us == 1749981660000000);
    CHECK("no flag yet", flags == 0);
    CHECK("one that cannot be believed",
          curve_next(&values, &next, received, &p, &flags) && is(p.power_w, 4) && p.at.us == received.us);
    CHECK("is flagged", flags == FLAG_CLOCK_CORRECTED);
    CHECK("no more", !curve_next(&values, &next, received, &p, &flags));
    arena_release(&a);
    test_forms();
    return CHECK_REPORT();
}
