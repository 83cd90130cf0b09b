/* eventlog/event.h - one thing that happened, and its form in the log.
 *
 * An event carries what the contract says of it (payload), and beside it the raw frame that caused it and the answer that was
 * given: the log is the one store of both. The payload is JSON text as published; its structs are in payload.def.
 *
 * A payload that says again what its frame says is kept packed: which words of the frame it is made of, by the tables of
 * payload.def. Its JSON is made of that when it is asked for, and is to the byte what would have been kept. A reader of the log gives JSON
 * unless it was asked for what is kept (reader_keep_packed). */
#ifndef EVENTLOG_EVENT_H
#define EVENTLOG_EVENT_H
#include "base/id.h"
#include "schema/schema.h"

#define SCHEMA_STRUCTS
#include "schema/expand.h"
#include "eventlog/payload.def"

enum event_type {
#define EVENT(name, wire, payload, audience, when) EVENT_##name,
#include "eventlog/event.def"
    EVENT_TYPE_COUNT
};
struct event_kind {
    struct str wire;               /* "transaction.started" */
    const struct message *payload;
    bool is_published;             /* to the topic; else only for this program */
    const char *when;
};
extern const struct event_kind event_kinds[EVENT_TYPE_COUNT];
int event_type_find(struct str wire); /* -1: none */

#define EVENT_SCHEMA_VERSION "1.0"
#define EVENT_PACKED         1 /* first byte of a packed payload: the version of its form */

/* All text borrows. What the log fills in on append: position and log. */
struct log_identity;
struct event {
    uint64_t position;             /* in the log: from 1, no gap */
    const struct log_identity *log; /* its id is made of it: borrowed from the log, or the reader, that it is of. NULL: id says it */
    struct uuid id;                /* of one that is of no log here: event_id() */
    enum event_type type;
    struct str station;            /* chargePointId */
    struct instant received;       /* timestamp */
    struct instant device_time;    /* INSTANT_NONE: the device gave none */
    uint64_t sequence;             /* of the station; 0 for INTERNAL events, which no consumer outside counts */
    uint8_t trace[16];
    struct str payload;            /* one JSON object, or packed */
    struct str frame;              /* as it came in, or for COMMAND_SENT as it goes out; absent: no frame */
    struct str answer;             /* as it was sent for that frame; absent: none */
};

/* eventId: v7, made of time, log and position. Few want it, so it is made when it is asked for. */
struct uuid event_id(const struct event *e);

/* Is the payload packed? */
static inline bool event_is_packed(const struct event *e)
{
    return e->payload.len > 0 && e->payload.at[0] == EVENT_PACKED;
}
/* Packs the payload struct of a type behind out's end. frame: of the event that it will be; body: the part of it that is the message's
 * own payload. */
void event_pack(enum event_type type, const void *payload, struct str frame, struct str body,
                struct packed_list *list, struct buf *out);
/* The body that was given to event_pack; ERR_UNKNOWN: the payload is not packed. */
MUST_USE enum err event_packed_body(const struct event *e, struct str *out);
/* A packed payload becomes JSON, in out (which is cleared); another stays as it is. */
MUST_USE enum err event_unpack(struct event *e, struct arena *a, struct buf *out, struct fault *why);

/* The published form: one JSON object, gateway-contract.md 1. */
void event_write(const struct event *e, struct str gateway_id, struct buf *out);
/* payload -> struct; *out is the payload struct of its type (sizes differ: see event_kinds[].payload->size). */
MUST_USE enum err event_read_payload(const struct event *e, struct arena *a, void *out, struct fault *why);
/* The same for who does not want its lists of parts: they may be absent. *list (may be NULL): where the last of them lies beside
 * the frame, absent in JSON. */
MUST_USE enum err event_read_brief(const struct event *e, struct arena *a, void *out, struct list_place *list, struct fault *why);

/* One record: the event's bytes as a batch holds them (layout at the head of record.c). */
void record_write(const struct event *e, struct buf *out);
/* Takes one record off the front; position and id are set by the reader of the batch. ERR_CORRUPT: lengths that do not fit; then *in is
 * as it was, and *out is not to be used. */
MUST_USE enum err record_read(struct bytes *in, struct event *out);
#endif
