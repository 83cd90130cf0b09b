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
    return CHECK_REPORT();
}
