/* RFC 3339 in and out, and decimals. */
#include "base/time.h"
#include "check.h"
#include <string.h>

#define S  1000000LL
#define NO INT64_MIN /* ERR_FORMAT */

static const struct {
    const char *row, *text;
    int64_t us;
    bool zone_missing;
} times[] = {
    {"the beginning", "1970-01-01T00:00:00Z", 0, false},
    {"a billion seconds", "2001-09-09T01:46:40Z", 1000000000 * S, false},
    {"milliseconds", "2026-03-01T09:00:00.123Z", 1772355600 * S + 123000, false},
    {"one digit", "2026-03-01T09:00:00.1Z", 1772355600 * S + 100000, false},
    {"microseconds", "2026-03-01T09:00:00.123456Z", 1772355600 * S + 123456, false},
    {"finer is cut", "2026-03-01T09:00:00.1234569999999999999999Z", 1772355600 * S + 123456, false},
    {"fractions without end", "2026-03-01T09:00:00.000000000000000000000000000000000000001Z", 1772355600 * S, false},
    {"lower case", "2026-03-01t09:00:00z", 1772355600 * S, false},
    {"a blank", "2026-03-01 09:00:00Z", 1772355600 * S, false},
    {"no zone is UTC", "2026-03-01T09:00:00", 1772355600 * S, true},
    {"no zone after a fraction", "2026-03-01T09:00:00.5", 1772355600 * S + 500000, true},
    {"east", "2026-03-01T17:00:00+08:00", 1772355600 * S, false},
    {"west", "2026-03-01T05:30:00-03:30", 1772355600 * S, false},
    {"an offset of nothing", "2026-03-01T09:00:00-00:00", 1772355600 * S, false},
    {"the greatest offset", "2026-03-02T08:59:00+23:59", 1772355600 * S, false},
    {"an offset without a colon", "2026-03-01T17:00:00+0800", 1772355600 * S, false},
    {"an offset of hours", "2026-03-01T17:00:00.000+08", 1772355600 * S, false},
    {"a leap day", "2024-02-29T00:00:00Z", 1709164800 * S, false},
    {"a leap day every 400 years", "2000-02-29T00:00:00Z", 951782400 * S, false},
    {"a leap second", "2016-12-31T23:59:60Z", 1483228800 * S - 1, false},
    {"a leap second with a fraction", "2016-12-31T23:59:60.7Z", 1483228800 * S - 1, false},
    {"before the beginning", "1969-12-31T23:59:59.5Z", -500000, false},
    {"the first", "0001-01-01T00:00:00Z", -62135596800 * S, false},
    {"the last", "9999-12-31T23:59:59.999999Z", 253402300800 * S - 1, false},
    {"year 0", "0000-12-31T23:59:59Z", NO, false},
    {"before the first by its offset", "0001-01-01T00:00:00+00:01", NO, false},
    {"past the last by its offset", "9999-12-31T23:59:59-00:01", NO, false},
    {"no leap day this year", "2026-02-29T00:00:00Z", NO, false},
    {"no leap day in 1900", "1900-02-29T00:00:00Z", NO, false},
    {"April has 30", "2026-04-31T00:00:00Z", NO, false},
    {"December has 31", "2026-12-32T00:00:00Z", NO, false},
    {"month 0", "2026-00-01T00:00:00Z", NO, false},
    {"month 13", "2026-13-01T00:00:00Z", NO, false},
    {"day 0", "2026-01-00T00:00:00Z", NO, false},
    {"hour 24", "2026-01-01T24:00:00Z", NO, false},
    {"minute 60", "2026-01-01T00:60:00Z", NO, false},
    {"second 61", "2026-01-01T00:00:61Z", NO, false},
    {"an offset of 24 hours", "2026-01-01T00:00:00+24:00", NO, false},
    {"an offset of 60 minutes", "2026-01-01T00:00:00+00:60", NO, false},
    {"an offset cut", "2026-01-01T00:00:00+0", NO, false},
    {"an offset cut after the colon", "2026-01-01T00:00:00+08:", NO, false},
    {"an offset cut in its minutes", "2026-01-01T00:00:00+08:0", NO, false},
    {"an offset of three digits", "2026-01-01T00:00:00+080", NO, false},
    {"an offset with more", "2026-01-01T00:00:00+08:000", NO, false},
    {"two zones", "2026-01-01T00:00:00ZZ", NO, false},
    {"a zone by name", "2026-01-01T00:00:00 UTC", NO, false},
    {"a sign alone", "2026-01-01T00:00:00+", NO, false},
    {"a point without digits", "2026-01-01T00:00:00.Z", NO, false},
    {"a comma", "2026-01-01T00:00:00,5Z", NO, false},
    {"only a date", "2026-01-01", NO, false},
    {"no seconds", "2026-01-01T00:00Z", NO, false},
    {"slashes", "2026/01/01T00:00:00Z", NO, false},
    {"another letter between", "2026-01-01x00:00:00Z", NO, false},
    {"a short year", "26-01-01T00:00:00Z", NO, false},
    {"a long year", "12026-01-01T00:00:00Z", NO, false},
    {"a sign before the year", "-026-01-01T00:00:00Z", NO, false},
    {"a letter for a digit", "2026-01-01T0x:00:00Z", NO, false},
    {"a blank before", " 2026-01-01T00:00:00Z", NO, false},
    {"a blank after", "2026-01-01T00:00:00Z ", NO, false},
    {"empty", "", NO, false},
    {"absent", NULL, NO, false},
};

static void test_parse(void)
{
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        struct instant t = {4711};
        bool missing = !times[i].zone_missing;
        bool is_ok = times[i].us != NO;
        CHECK(times[i].row, instant_parse(str_of(times[i].text), &t, &missing) == (is_ok ? OK : ERR_FORMAT));
        CHECK(times[i].row, t.us == (is_ok ? times[i].us : 4711));
        CHECK(times[i].row, missing == (is_ok ? times[i].zone_missing : !times[i].zone_missing));
        CHECK(times[i].row, instant_parse(str_of(times[i].text), &t, NULL) == (is_ok ? OK : ERR_FORMAT));
    }
    struct str whole = STR("2026-03-01T09:00:00.123+08:00");
    for (size_t len = 0; len < whole.len; len++) {
        struct instant t;
        bool is_time = len >= 19 && len != 20 && (len < 24 || len == 26);
        CHECK("a text cut anywhere", (instant_parse((struct str){whole.at, len}, &t, NULL) == OK) == is_time);
    }
}

static const struct {
    const char *row;
    int64_t us;
    const char *want;
} written[] = {
    {"the beginning", 0, "1970-01-01T00:00:00.000Z"},
    {"finer than a millisecond is cut", 1999, "1970-01-01T00:00:00.001Z"},
    {"cut downwards before the beginning too", -1, "1969-12-31T23:59:59.999Z"},
    {"a leap day", 951827696789000, "2000-02-29T12:34:56.789Z"},
    {"last of February in 2100", 4107542399000000, "2100-02-28T23:59:59.000Z"},
    {"the first", -62135596800 * S, "0001-01-01T00:00:00.000Z"},
    {"the last", 253402300800 * S - 1, "9999-12-31T23:59:59.999Z"},
    {"past the last", INT64_MAX, "9999-12-31T23:59:59.999Z"},
    {"before the first", INT64_MIN + 1, "0001-01-01T00:00:00.000Z"},
};

static void test_write(void)
{
    for (size_t i = 0; i < COUNT_OF(written); i++) {
        char text[INSTANT_TEXT_SIZE];
        instant_write((struct instant){written[i].us}, text);
        CHECK(written[i].row, strcmp(text, written[i].want) == 0);
        struct buf b;
        buf_init(&b, 24);
        buf_put_instant(&b, (struct instant){written[i].us});
        CHECK(written[i].row, str_eq(buf_str(&b), str_of(written[i].want)));
        buf_release(&b);
    }
    CHECK("none is not set", !instant_is_set(INSTANT_NONE) && instant_is_set((struct instant){0}));
    struct instant t = instant_add((struct instant){5}, SPAN_MS(2));
    CHECK("a span moves it", t.us == 2005 && instant_since(t, (struct instant){5}).us == 2000);
    CHECK("before", instant_before((struct instant){1}, t) && !instant_before(t, t));
    CHECK("seconds", SPAN_S(3).us == 3000000);
}

/* Every day of 9,999 years by counting: an own calendar, one day at a time. */
static void test_every_day(void)
{
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year = 1, month = 1, day = 1, wrong = 0;
    for (int64_t at = -62135596800; year <= 9999; at += 86400) {
        char want[INSTANT_TEXT_SIZE + 32], got[INSTANT_TEXT_SIZE];
        struct instant t = {0};
        (void)snprintf(want, sizeof want, "%04u-%02u-%02uT00:00:00.000Z", year, month, day);
        instant_write((struct instant){at * S}, got);
        wrong += strcmp(got, want) != 0;
        wrong += instant_parse(str_of(want), &t, NULL) != OK || t.us != at * S;
        bool is_leap = year % 400 == 0 || (year % 4 == 0 && year % 100 != 0);
        if (day++ == lengths[month - 1] + (month == 2 && is_leap)) {
            day = 1;
            year += month == 12;
            month = month == 12 ? 1 : month + 1;
        }
    }
    CHECK("every day is written and read", wrong == 0);
}

static const struct {
    const char *row, *text;
    int digits;
    enum err want;
    int64_t scaled;
    bool inexact;
} decimals[] = {
    {"an integer", "12", 3, OK, 12000, false},
    {"cut", "12.3456", 3, OK, 12345, true},
    {"cut towards zero", "-12.3456", 3, OK, -12345, true},
    {"cut zeros are exact", "12.345000", 3, OK, 12345, false},
    {"fewer digits", "0.5", 3, OK, 500, false},
    {"no digits wanted", "16.9", 0, OK, 16, true},
    {"zero", "0", 3, OK, 0, false},
    {"minus zero", "-0.0", 3, OK, 0, false},
    {"minus a little", "-0.001", 3, OK, -1, false},
    {"leading zeros", "00012.5", 1, OK, 125, false},
    {"an exponent", "1.25e2", 0, OK, 125, false},
    {"an exponent with plus", "1E+2", 1, OK, 1000, false},
    {"a negative exponent", "125e-2", 2, OK, 125, false},
    {"a negative exponent that cuts", "125e-2", 1, OK, 12, true},
    {"an exponent that cuts all", "9e-400", 3, OK, 0, true},
    {"an exponent beyond numbers", "9e-99999999999999999999999999", 3, OK, 0, true},
    {"zero to any power", "0e99999999999999999999999999", 3, OK, 0, false},
    {"0.000 to any power", "0.000e+400", 3, OK, 0, false},
    {"small digits brought up", "0.00000000000000000000000000000000000000005e41", 0, OK, 5, false},
    {"large digits brought down", "500000000000000000000000e-23", 0, OK, 5, false},
    {"the greatest", "4611686018427387903", 0, OK, 4611686018427387903, false},
    {"the least", "-4611686018427387903", 0, OK, -4611686018427387903, false},
    {"one more", "4611686018427387904", 0, ERR_RANGE, 0, false},
    {"one less", "-4611686018427387904", 0, ERR_RANGE, 0, false},
    {"too great once scaled", "4611686018427387.904", 3, ERR_RANGE, 0, false},
    {"past 64 bits by a digit", "18446744073709551616", 0, ERR_RANGE, 0, false},
    {"past 64 bits by an exponent", "1e20", 0, ERR_RANGE, 0, false},
    {"past all bits", "1e400", 0, ERR_RANGE, 0, false},
    {"18 digits", "1.5", 18, OK, 1500000000000000000, false},
    {"empty", "", 3, ERR_FORMAT, 0, false},
    {"absent", NULL, 3, ERR_FORMAT, 0, false},
    {"a sign alone", "-", 3, ERR_FORMAT, 0, false},
    {"plus", "+1", 3, ERR_FORMAT, 0, false},
    {"no digit before the point", ".5", 3, ERR_FORMAT, 0, false},
    {"no digit after the point", "5.", 3, ERR_FORMAT, 0, false},
    {"two points", "1.2.3", 3, ERR_FORMAT, 0, false},
    {"a comma", "1,5", 3, ERR_FORMAT, 0, false},
    {"an empty exponent", "1e", 3, ERR_FORMAT, 0, false},
    {"an exponent that is a sign", "1e-", 3, ERR_FORMAT, 0, false},
    {"a fraction in the exponent", "1e1.5", 3, ERR_FORMAT, 0, false},
    {"a unit", "16 A", 3, ERR_FORMAT, 0, false},
    {"a blank before", " 16", 3, ERR_FORMAT, 0, false},
    {"not a number", "NaN", 3, ERR_FORMAT, 0, false},
    {"infinite", "-Infinity", 3, ERR_FORMAT, 0, false},
};

static void test_decimals(void)
{
    for (size_t i = 0; i < COUNT_OF(decimals); i++) {
        int64_t scaled = 4711;
        bool inexact = !decimals[i].inexact, is_ok = decimals[i].want == OK;
        enum err e = decimal_parse(str_of(decimals[i].text), decimals[i].digits, &scaled, &inexact);
        CHECK(decimals[i].row, e == decimals[i].want);
        CHECK(decimals[i].row, scaled == (is_ok ? decimals[i].scaled : 4711));
        CHECK(decimals[i].row, inexact == (is_ok ? decimals[i].inexact : !decimals[i].inexact));
        CHECK(decimals[i].row, decimal_parse(str_of(decimals[i].text), decimals[i].digits, &scaled, NULL) == e);
    }
    struct decimal d;
    CHECK("all 64 bits",
          decimal_read(STR("-18446744073709551615"), 0, &d) == OK && d.scaled == UINT64_MAX && d.is_negative);
    CHECK("not one more", decimal_read(STR("18446744073709551616"), 0, &d) == ERR_RANGE);
}

static const struct {
    int64_t scaled;
    int digits;
    const char *want;
} printed[] = {
    {12345, 3, "12.345"},
    {12000, 3, "12"},
    {12300, 3, "12.3"},
    {0, 3, "0"},
    {0, 0, "0"},
    {5, 3, "0.005"},
    {-5, 3, "-0.005"},
    {-12345, 0, "-12345"},
    {100, 0, "100"},
    {1, 18, "0.000000000000000001"},
    {INT64_MAX, 18, "9.223372036854775807"},
    {INT64_MIN, 18, "-9.223372036854775808"},
    {INT64_MIN, 0, "-9223372036854775808"},
    {INT64_MIN, 1, "-922337203685477580.8"},
};

static void test_printed(void)
{
    for (size_t i = 0; i < COUNT_OF(printed); i++) {
        struct buf b;
        buf_init(&b, 64);
        buf_put_decimal(&b, printed[i].scaled, printed[i].digits);
        CHECK(printed[i].want, str_eq(buf_str(&b), str_of(printed[i].want)));
        int64_t back = 0;
        bool fits = printed[i].scaled > -((int64_t)1 << 62) && printed[i].scaled < (int64_t)1 << 62;
        CHECK(printed[i].want, decimal_parse(buf_str(&b), printed[i].digits, &back, NULL) == (fits ? OK : ERR_RANGE));
        CHECK(printed[i].want, !fits || back == printed[i].scaled);
        buf_release(&b);
    }
}

static unsigned seed = 1;

static unsigned pick(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* The usual form is read by a way of its own: it says what the other way says of the same text with another zone of the same time. */
static void test_both_ways(void)
{
    static const char any[] = "0123456789999-:T.Z+ x/";
    unsigned wrong = 0, good = 0;
    for (int i = 0; i < 200000; i++) {
        char usual[48], other[64];
        struct instant a = {-1}, b = {-1};
        bool missing_a = true, missing_b = true;
        int len = snprintf(usual, sizeof usual, "%04u-%02u-%02uT%02u:%02u:%02u", pick(10000), pick(14), pick(33), pick(26), pick(62), pick(62));
        if (pick(2) == 0)
            len += snprintf(usual + len, sizeof usual - (size_t)len, ".%03u", pick(1000));
        if (pick(3) == 0)
            usual[pick((unsigned)len)] = any[pick(sizeof any - 1)];
        (void)snprintf(other, sizeof other, "%s+00:00", usual);
        usual[len++] = 'Z';
        usual[len] = '\0';
        const enum err said = instant_parse(str_of(usual), &a, &missing_a), wanted = instant_parse(str_of(other), &b, &missing_b);
        wrong += said != wanted || (said == OK && (a.us != b.us || missing_a || missing_b));
        good += said == OK;
    }
    CHECK("times", wrong == 0 && good > 20000);
    for (int i = 0, digits = 0; i < 200000; i++, digits = (int)pick(7)) {
        char plain[32], other[48];
        int64_t a = 0, b = 0;
        bool inexact_a = true, inexact_b = true;
        int len = snprintf(plain, sizeof plain, "%s%.*f", pick(4) == 0 ? "-" : "", (int)pick(8), pick(2000000) / (double)(1 + pick(1000)));
        if (pick(3) == 0)
            plain[pick((unsigned)len)] = "0123456789.-+ e"[pick(15)];
        (void)snprintf(other, sizeof other, "%se0", plain);
        const enum err said = decimal_parse(str_of(plain), digits, &a, &inexact_a), wanted = decimal_parse(str_of(other), digits, &b, &inexact_b);
        const bool has_exponent = strchr(plain, 'e') != NULL; /* two of them are none */
        wrong += !has_exponent && (said != wanted || (said == OK && (a != b || inexact_a != inexact_b)));
    }
    CHECK("decimals", wrong == 0);
}

int main(void)
{
    test_parse();
    test_write();
    test_every_day();
    test_decimals();
    test_printed();
    test_both_ways();
    return CHECK_REPORT();
}
