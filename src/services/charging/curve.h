/* services/charging/curve.h - meter values as points of a curve: integers in fixed units, whatever unit the device
 * used. Pure. What does not parse, and measurands that no curve shows, are passed over: the log keeps them as they
 * came. */
#ifndef SERVICES_CHARGING_CURVE_H
#define SERVICES_CHARGING_CURVE_H
#include "eventlog/event.h"
#include "services/charging/session.h"

/* Takes the samples of the next point in time off the list, from *next on. False: there are no more. A time that cannot
 * be believed is that of receipt, and flagged. */
bool curve_next(const struct ev_meter_values *values, size_t *next, struct instant received, struct curve_point *out,
                uint32_t *flags);
#endif
