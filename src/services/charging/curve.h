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

/* Stations say the same things in the same words: so what the samples of a list are is remembered by how it was packed and by the
 * text around its values, and of the next list like it only the values are read. */
struct curve_forms;
struct curve_forms *curve_forms_new(void);
void curve_forms_free(struct curve_forms *f);
/* The one point that curve_next would make of the list that lies there beside its frame. False: none like it is known. */
bool curve_recall(const struct curve_forms *f, const struct list_place *list, struct str frame, struct instant received,
                  struct curve_point *out, uint32_t *flags);
/* Remembers the list that these values were unpacked from, if all of them are of one moment. */
void curve_keep(struct curve_forms *f, const struct list_place *list, struct str frame, const struct ev_meter_values *values);
#endif
