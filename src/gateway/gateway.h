/* gateway/gateway.h - the shell around the pure core: connections, rounds, held answers, look-ups, commands.
 *
 * It owns the stations of this process. A message is decided upon by proto/, what follows is appended to the log, the
 * round is committed, and only when it is durable its answer leaves. Everything runs on the loop's thread but what is
 * marked "any thread". (gateway-contract.md; ocpp16.md 1.3, 1.6, 2.5, 2.6) */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H
#include "bus/bus.h"
#include "config/config.h"
#include "eventlog/log.h"
#include "loop/loop.h"

struct gateway;
struct gateway_options {
    const struct config *config;
    struct loop *loop;
    struct eventlog *log;
    struct bus *bus; /* its store is read for what is not in memory */
    const char *db_path;
    struct str log_dir, files_dir;
};
/* Reads what was open when the process ended: commands in flight get their one outcome, stations that were online are
 * told disconnected. Before the listeners open. */
MUST_USE enum err gateway_open(const struct gateway_options *o, struct gateway **out, struct fault *why);
MUST_USE enum err gateway_listen(struct gateway *g, struct fault *why);
struct str gateway_address(const struct gateway *g); /* of the plain listener, absent if none */
struct str gateway_address_tls(const struct gateway *g);
struct str gateway_address_piles(const struct gateway *g); /* of the AP3000 listener, likewise */
/* Accepts no more, answers what it has, closes all with 1001; done is called on the loop's thread when nothing is left.
 */
void gateway_drain(struct gateway *g, void (*done)(void *data), void *data);
void gateway_close(struct gateway *g);

/* From the log's thread: what eventlog_options.on_durable calls. Any thread. */
void gateway_on_durable(struct gateway *g, uint64_t position);
/* From the consumer "stations": everything up to position is in its tables. Any thread. */
void gateway_on_projected(struct gateway *g, uint64_t position);

/* --- what the API asks of it: any thread; results come on the loop's thread --- */

struct command_request {
    struct str station, action, payload; /* payload: JSON object */
    struct str command_id;               /* absent: one is made */
    struct str origin;                   /* "api", "server" */
    uint8_t trace[16];
    int64_t expires_in_s; /* 0: the default */
    bool is_urgent;
};
struct command_result { /* borrowed: valid during the call */
    struct str command_id, station, action, payload, origin;
    struct str state;    /* "queued", "sent", "done" */
    struct str outcome;  /* absent until done: "answered", "not_sent", "unknown" */
    struct str status;   /* "Accepted", "Rejected", the protocol's own word */
    struct str response; /* JSON payload of the answer; absent without one */
    struct str reason;   /* DEVICE_OFFLINE, NO_ANSWER, ...; absent when answered */
    struct instant queued_at, sent_at, done_at, expires_at;
    uint8_t trace[16];
};
/* Both run on the loop's thread; on_queued once, when the command is durable (or refused: result NULL and why:
 * ERR_UNKNOWN no such action or station, ERR_EXISTS a command of this id with other content, else
 * ERR_FORMAT/ERR_MISSING/ERR_TYPE/ERR_RANGE for a payload that the protocol does not allow, ERR_LIMIT the station's
 * queue is full, ERR_STATE not allowed for a station that is pending or rejected, ERR_FULL the log cannot be written;
 * then on_done never comes). on_done once, when its outcome is durable. A repeated command_id with the same content is
 * not sent again: its result comes. */
struct command_listener {
    void (*on_queued)(void *data, const struct command_result *r, enum err e, const struct fault *why);
    void (*on_done)(void *data, const struct command_result *r);
    void *data;
};
void gateway_submit(struct gateway *g, const struct command_request *r, const struct command_listener *l);

/* After the API has changed these rows: what is in memory is read again (or dropped from the cache). */
void gateway_station_changed(struct gateway *g, struct str station);
void gateway_station_deleted(struct gateway *g, struct str station); /* its connection is closed */
void gateway_tag_changed(struct gateway *g, struct str id_tag);

/* Work of a person that becomes events: done(data, e, why) on the loop's thread when durable.
 * close: an open transaction is ended without the station (flag closed_by_operator); ERR_UNKNOWN, ERR_STATE (closed
 * already). apply: a quarantined message is applied, to the transaction named (absent: as suggested); discard likewise.
 */
typedef void gateway_done(void *data, enum err e, const struct fault *why);
void gateway_close_transaction(struct gateway *g, struct str transaction_id, struct str by, gateway_done *done,
                               void *data);
void gateway_apply_quarantine(struct gateway *g, struct str quarantine_id, struct str transaction_id, struct str by,
                              gateway_done *done, void *data);
void gateway_discard_quarantine(struct gateway *g, struct str quarantine_id, struct str by, gateway_done *done,
                                void *data);

struct gateway_stats {
    uint64_t connections, stations_in_memory, commands_open, held_answers;
    struct instant started_at;
};
void gateway_stats(struct gateway *g, struct gateway_stats *out); /* any thread */
#endif
