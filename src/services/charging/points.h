/* services/charging/points.h - the points of curves as rows: blocks of them (0003_curve_blocks.sql), which of a session do not
 * overlap, so that they are read in order. What is said again of a moment joins what is there; of a span (charging.power_window) the
 * newest point stays. Inside a transaction. */
#ifndef SERVICES_CHARGING_POINTS_H
#define SERVICES_CHARGING_POINTS_H
#include "services/charging/session.h"
#include "store/gather.h"

struct point_list {
    struct curve_point *at;
    size_t count, room;
};
void point_list_add(struct point_list *l, const struct curve_point *p);
void point_list_release(struct point_list *l);

/* What is known of a stored curve: to tell without a look whether new points come behind it. */
struct curve_end {
    bool is_known;
    struct instant last; /* INSTANT_NONE: it has no point */
};
/* points: in the order in which they came; they are put in order, and thinned. window: 0 keeps all. Blocks are gathered: all are
 * written before a session comes again. */
void points_rows_init(struct gather *blocks);
MUST_USE enum err points_write(struct gather *blocks, struct db *d, int64_t session_number, struct point_list *points, struct span window,
                               struct curve_end *end);

/* Blocks of a session from the one on that holds `after`: columns first, points. */
struct db_rows *points_rows(struct db *d, int64_t session_number, struct instant after);
/* Adds the points of a block. ERR_CORRUPT: it was not written so. */
MUST_USE enum err points_parse(int64_t first, struct str text, struct point_list *out);
#endif
