/* base/time.h - points in time and durations as two types; RFC 3339 in and out. No clock here: the shell passes now. */
#ifndef BASE_TIME_H
#define BASE_TIME_H
#include "base/memory.h"

struct instant {
    int64_t us; /* since 1970-01-01T00:00:00Z */
};
struct span {
    int64_t us;
};
#define INSTANT_NONE ((struct instant){INT64_MIN}) /* not given, or not readable */
#define SPAN_MS(n)   ((struct span){(int64_t)(n)*1000})
#define SPAN_S(n)    ((struct span){(int64_t)(n)*1000000})

static inline bool instant_is_set(struct instant t)
{
    return t.us != INT64_MIN;
}
static inline struct instant instant_add(struct instant t, struct span d)
{
    return (struct instant){t.us + d.us};
}
static inline struct span instant_since(struct instant later, struct instant earlier)
{
    return (struct span){later.us - earlier.us};
}
static inline bool instant_before(struct instant a, struct instant b)
{
    return a.us < b.us;
}

/* RFC 3339 as ocpp16.md 3 widens it: any offset, 0 or more fractional digits (cut at us), 'T' or a blank, upper or lower
 * case; without a zone it is taken as UTC and *zone_missing (may be NULL) set. Years 0001 to 9999, leap second 60 read as
 * 59.999999. ERR_FORMAT else. An offset may also stand as +hhmm or +hh; past the years with its offset is ERR_FORMAT. */
MUST_USE enum err instant_parse(struct str s, struct instant *out, bool *zone_missing);
/* "2026-03-01T09:00:00.000Z", always 24 characters and a terminating 0; outside the years 0001 to 9999 their nearest end. */
#define INSTANT_TEXT_SIZE 25
void instant_write(struct instant t, char out[INSTANT_TEXT_SIZE]);
void buf_put_instant(struct buf *b, struct instant t);

/* Decimal text to an integer scaled by 10^digits: "12.3456", 3 -> 12345 (cut, *inexact set) . Optional '-', exponent
 * allowed (JSON numbers). ERR_FORMAT: not a number; ERR_RANGE: does not fit in 62 bits. inexact may be NULL. */
MUST_USE enum err decimal_parse(struct str s, int digits, int64_t *out, bool *inexact);
/* The same before the sign is applied, for who has other bounds. ERR_RANGE: does not fit in 64 bits. Leading zeros are
 * taken, since stations write them in text; a leading '+' or '.' is not. */
struct decimal {
    uint64_t scaled;
    bool is_negative, is_inexact;
};
MUST_USE enum err decimal_read(struct str s, int digits, struct decimal *out);
/* 12345, 3 -> "12.345"; 12000, 3 -> "12": no trailing zeros. */
void buf_put_decimal(struct buf *b, int64_t scaled, int digits);
#endif
