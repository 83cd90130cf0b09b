/* time.c - the proleptic Gregorian calendar in UTC, and decimals as scaled integers.
 * No libc: its time functions read the environment and its strtod rounds. */
#include "base/time.h"
#include <string.h>

#define US_PER_S     1000000
#define US_PER_DAY   (86400LL * US_PER_S)
#define DAYS_PER_400 146097
#define DAYS_TO_1970 719468 /* from 0000-03-01 */
#define SCALE_MAX       18
#define PLAIN_MAX       12 /* characters of a number that is read without looking for overflow, */
#define PLAIN_SCALE_MAX 6 /* and digits that may be added to it: together fewer than 63 bits hold */
#define SCALED_MAX      (((int64_t)1 << 62) - 1)

/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z */
#define INSTANT_MIN (-62135596800LL * US_PER_S)
#define INSTANT_MAX (253402300800LL * US_PER_S - 1)

/* Larger exponents say no more than this one: it moves every digit that fits in memory out of sight. */
#define EXPONENT_MAX ((int64_t)1 << 56)

struct date {
    unsigned year, month, day;
};

/* The year is taken to begin in March, so that the leap day is its last and months count 31,30,31,30,31 from there. */
static int64_t days_of(struct date d)
{
    unsigned year = d.year - (d.month <= 2), month = d.month > 2 ? d.month - 3 : d.month + 9;
    return (int64_t)year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + d.day - 1 - DAYS_TO_1970;
}

static struct date date_of(int64_t days_since_1970)
{
    unsigned days = (unsigned)(days_since_1970 + DAYS_TO_1970);
    unsigned era = days / DAYS_PER_400, of_era = days % DAYS_PER_400;
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / (DAYS_PER_400 - 1)) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * of_year + 2) / 153;
    struct date d = {era * 400 + year + (month >= 10), month < 10 ? month + 3 : month - 9,
                     of_year - (153 * month + 2) / 5 + 1};
    return d;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : days[month - 1];
}

static inline bool is_digit(char c)
{
    return (unsigned)(uint8_t)c - '0' <= 9;
}

/* count digits and then, unless it is 0, the character that must follow. */
static bool take_number(struct str *s, size_t count, char follows, unsigned *out)
{
    unsigned n = 0;
    if (s->len < count + (follows != 0))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!is_digit(s->at[i]))
            return false;
        n = n * 10 + (unsigned)(s->at[i] - '0');
    }
    if (follows != 0 && s->at[count++] != follows)
        return false;
    *s = (struct str){s->at + count, s->len - count};
    *out = n;
    return true;
}

/* '.' and digits, or nothing; what is finer than a microsecond is cut. */
static bool take_fraction(struct str *s, unsigned *us)
{
    *us = 0;
    if (s->len == 0 || s->at[0] != '.')
        return true;
    size_t i = 1;
    for (unsigned unit = US_PER_S / 10; i < s->len && is_digit(s->at[i]); i++, unit /= 10)
        *us += (unsigned)(s->at[i] - '0') * unit;
    *s = (struct str){s->at + i, s->len - i};
    return i > 1;
}

/* Z, +hh:mm, +hhmm, +hh or nothing, which must be all that is left. */
static bool take_zone(struct str s, int64_t *offset_s, bool *is_missing)
{
    *offset_s = 0;
    *is_missing = s.len == 0;
    if (s.len == 0 || (s.len == 1 && (s.at[0] == 'Z' || s.at[0] == 'z')))
        return true;
    bool is_west = s.at[0] == '-';
    unsigned hours, minutes = 0;
    if (!is_west && s.at[0] != '+')
        return false;
    s = (struct str){s.at + 1, s.len - 1};
    if (!take_number(&s, 2, 0, &hours))
        return false;
    if (s.len > 0 && s.at[0] == ':' && s.len == 3)
        s = (struct str){s.at + 1, s.len - 1};
    if ((s.len > 0 && !take_number(&s, 2, 0, &minutes)) || s.len > 0 || hours > 23 || minutes > 59)
        return false;
    *offset_s = (int64_t)(hours * 3600 + minutes * 60) * (is_west ? -1 : 1);
    return true;
}

enum err instant_parse(struct str s, struct instant *out, bool *zone_missing)
{
    struct date d;
    unsigned hour, minute, second, us;
    int64_t offset_s;
    bool is_missing;
    if (!take_number(&s, 4, '-', &d.year) || !take_number(&s, 2, '-', &d.month) || !take_number(&s, 2, 0, &d.day))
        return ERR_FORMAT;
    if (d.year < 1 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > days_in_month(d.year, d.month))
        return ERR_FORMAT;
    if (s.len == 0 || (s.at[0] != 'T' && s.at[0] != 't' && s.at[0] != ' '))
        return ERR_FORMAT;
    s = (struct str){s.at + 1, s.len - 1};
    if (!take_number(&s, 2, ':', &hour) || !take_number(&s, 2, ':', &minute) || !take_number(&s, 2, 0, &second) ||
        !take_fraction(&s, &us) || !take_zone(s, &offset_s, &is_missing))
        return ERR_FORMAT;
    if (hour > 23 || minute > 59 || second > 60)
        return ERR_FORMAT;
    if (second == 60) {
        second = 59;
        us = US_PER_S - 1;
    }
    int64_t at = days_of(d) * US_PER_DAY + ((int64_t)(hour * 3600 + minute * 60 + second) - offset_s) * US_PER_S + us;
    if (at < INSTANT_MIN || at > INSTANT_MAX)
        return ERR_FORMAT;
    out->us = at;
    if (zone_missing != NULL)
        *zone_missing = is_missing;
    return OK;
}

/* Digits of n, ending before end. */
static void put_digits(char *end, unsigned count, unsigned n)
{
    for (; count > 0; count--, n /= 10)
        *--end = (char)('0' + n % 10);
}

void instant_write(struct instant t, char out[INSTANT_TEXT_SIZE])
{
    int64_t us = t.us < INSTANT_MIN ? INSTANT_MIN : t.us > INSTANT_MAX ? INSTANT_MAX : t.us;
    int64_t of_day = us % US_PER_DAY;
    of_day += of_day < 0 ? US_PER_DAY : 0;
    struct date d = date_of((us - of_day) / US_PER_DAY);
    unsigned ms = (unsigned)(of_day / 1000);
    memcpy(out, "0000-00-00T00:00:00.000Z", INSTANT_TEXT_SIZE);
    put_digits(out + 4, 4, d.year);
    put_digits(out + 7, 2, d.month);
    put_digits(out + 10, 2, d.day);
    put_digits(out + 13, 2, ms / 3600000);
    put_digits(out + 16, 2, ms / 60000 % 60);
    put_digits(out + 19, 2, ms / 1000 % 60);
    put_digits(out + 23, 3, ms % 1000);
}

void buf_put_instant(struct buf *b, struct instant t)
{
    char text[INSTANT_TEXT_SIZE];
    instant_write(t, text);
    buf_put(b, text, sizeof text - 1);
}

/* The parts of "-12.50e3": all[] with the '.' in it, and how far the exponent moves it. */
struct digits {
    struct str all;
    size_t before_point; /* digits of all that stand before the '.' */
    int64_t exponent;
    bool is_negative;
};

static size_t digit_count(struct str s, size_t from)
{
    size_t i = from;
    while (i < s.len && is_digit(s.at[i]))
        i++;
    return i - from;
}

static bool take_exponent(struct str s, int64_t *out)
{
    int64_t n = 0;
    size_t i = 0;
    bool is_negative = s.len > 0 && s.at[0] == '-';
    if (s.len > 0 && (s.at[0] == '-' || s.at[0] == '+'))
        i++;
    if (i == s.len || digit_count(s, i) != s.len - i)
        return false;
    for (; i < s.len; i++)
        n = n >= EXPONENT_MAX / 10 ? EXPONENT_MAX : n * 10 + (s.at[i] - '0');
    *out = is_negative ? -n : n;
    return true;
}

static bool take_digits(struct str s, struct digits *out)
{
    size_t i = s.len > 0 && s.at[0] == '-' ? 1 : 0, start = i;
    struct digits d = {.is_negative = i == 1, .before_point = digit_count(s, i)};
    i += d.before_point;
    if (d.before_point == 0)
        return false;
    if (i < s.len && s.at[i] == '.') {
        size_t after = digit_count(s, i + 1);
        if (after == 0)
            return false;
        i += 1 + after;
    }
    d.all = (struct str){s.at + start, i - start};
    if (i < s.len && (s.at[i] | 0x20) != 'e')
        return false;
    if (i < s.len && !take_exponent((struct str){s.at + i + 1, s.len - i - 1}, &d.exponent))
        return false;
    *out = d;
    return true;
}

enum err decimal_read(struct str s, int digits, struct decimal *out)
{
    check(digits >= 0 && digits <= SCALE_MAX);
    struct digits d;
    if (!take_digits(s, &d))
        return ERR_FORMAT;
    int64_t keep = (int64_t)d.before_point + d.exponent + digits; /* so many digits from the front are the result */
    struct decimal r = {.is_negative = d.is_negative};
    for (size_t i = 0; i < d.all.len; i++) {
        if (d.all.at[i] == '.')
            continue;
        unsigned digit = (unsigned)(d.all.at[i] - '0');
        if (keep-- <= 0)
            r.is_inexact = r.is_inexact || digit != 0;
        else if (__builtin_mul_overflow(r.scaled, 10, &r.scaled) || __builtin_add_overflow(r.scaled, digit, &r.scaled))
            return ERR_RANGE;
    }
    for (; keep > 0 && r.scaled != 0; keep--) {
        if (__builtin_mul_overflow(r.scaled, 10, &r.scaled))
            return ERR_RANGE;
    }
    *out = r;
    return OK;
}

/* What nearly all are: "-1234.5", short enough that nothing can overflow, with no more digits behind the point than are kept. False: it
 * is not, or no number. */
static bool parse_plain(struct str s, int digits, int64_t *out)
{
    const bool is_negative = s.len > 0 && s.at[0] == '-';
    size_t i = is_negative ? 1 : 0, point = SIZE_MAX;
    const size_t begin = i;
    int64_t n = 0;

    if (s.len > PLAIN_MAX || digits < 0 || digits > PLAIN_SCALE_MAX)
        return false;
    for (; i < s.len; i++) {
        if (is_digit(s.at[i]))
            n = n * 10 + (s.at[i] - '0');
        else if (s.at[i] == '.' && point == SIZE_MAX && i > begin)
            point = i;
        else
            return false;
    }
    const size_t behind = point == SIZE_MAX ? 0 : s.len - point - 1;
    if (s.len == begin || (point != SIZE_MAX && behind == 0) || behind > (size_t)digits)
        return false;
    for (size_t k = behind; k < (size_t)digits; k++)
        n *= 10;
    *out = is_negative ? -n : n;
    return true;
}

enum err decimal_parse(struct str s, int digits, int64_t *out, bool *inexact)
{
    struct decimal d;
    if (parse_plain(s, digits, out)) {
        if (inexact != NULL)
            *inexact = false;
        return OK;
    }
    enum err e = decimal_read(s, digits, &d);
    if (e != OK)
        return e;
    if (d.scaled > SCALED_MAX)
        return ERR_RANGE;
    *out = d.is_negative ? -(int64_t)d.scaled : (int64_t)d.scaled;
    if (inexact != NULL)
        *inexact = d.is_inexact;
    return OK;
}

void buf_put_decimal(struct buf *b, int64_t scaled, int digits)
{
    check(digits >= 0 && digits <= SCALE_MAX);
    uint64_t rest = scaled < 0 ? -(uint64_t)scaled : (uint64_t)scaled;
    while (digits > 0 && rest % 10 == 0) {
        rest /= 10;
        digits--;
    }
    char text[24]; /* sign, 19 digits and a '.', or "0." before 18 */
    size_t first = sizeof text;
    for (int i = 0; i <= digits || rest > 0; i++, rest /= 10) {
        if (i == digits && i > 0)
            text[--first] = '.';
        text[--first] = (char)('0' + rest % 10);
    }
    if (scaled < 0)
        text[--first] = '-';
    buf_put(b, text + first, sizeof text - first);
}
