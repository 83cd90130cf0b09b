/* api/events.h - which events of the log someone asked for: shared by the list, the stream and the view of messages. */
#ifndef API_EVENTS_H
#define API_EVENTS_H
#include "api/api_private.h"

#define EVENTS_SCAN_MAX 50000 /* events looked at in one request: a page that finds little ends there */

struct event_filter {
    struct str station, trace_id; /* absent: any */
    int type;                     /* -1: any */
    struct instant since, until;  /* until is not within */
    uint8_t trace[16];
};
/* Of a query that begins with EVENT_FIELDS; ERR_RANGE: no such type, or no trace id. */
MUST_USE enum err event_filter_read(const void *query, struct event_filter *out, struct fault *why);
bool event_filter_fits(const struct event_filter *f, const struct event *e); /* and is published */
bool event_in_time(const struct event_filter *f, const struct event *e);
bool trace_id_read(struct str text, uint8_t out[16]);
/* The published form, with the position as first member if it is not 0. */
void event_put(const struct event *e, struct str gateway_id, uint64_t position, struct buf *out);
/* Cursor text of a position; ERR_FORMAT. */
MUST_USE enum err position_read(struct str cursor, uint64_t *out);
#endif
