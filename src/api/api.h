/* api/api.h - the HTTP API (api.md): one convention of envelopes, pages, keys and errors over tables of routes and
 * messages.
 *
 * It has its own threads. It reads the store and the log through connections of its own, writes through bus_write, and
 * asks the gateway for what concerns stations. Its tables: routes.def, messages.def, limits.def, errors.def. */
#ifndef API_API_H
#define API_API_H
#include "bus/bus.h"
#include "config/config.h"
#include "eventlog/log.h"
#include "gateway/gateway.h"
#include "services/files/files.h"

/* After those of the stations, whose tables it counts. */
extern const struct migration api_migrations[];
extern const size_t api_migration_count;

struct api;
struct api_options {
    const struct config *config; /* borrowed, as all below */
    struct eventlog *log;
    struct bus *bus;
    struct gateway *gateway;
    const struct files *files;
    const char *db_path;
    struct str log_dir;
    struct instant started_at;
};
/* Makes the first admin key where there is none (<data>/admin.key, mode 0600; or as CHARGELINE_ADMIN_KEY says), and
 * listens. The migrations have run. ERR_BUSY: the address is taken; why->field is the setting, "listen.api" or
 * "listen.metrics". */
MUST_USE enum err api_open(const struct api_options *o, struct api **out, struct fault *why);
struct str api_address(const struct api *a);
struct str api_address_metrics(const struct api *a); /* absent: on the API's own */
/* Answers what is under way (commands that wait with what is known of them), ends the streams, closes all. The
 * gateway's loop may go on: results that still come are dropped. */
void api_stop(struct api *a);
/* After the gateway has been closed, for it holds listeners of the API until then. */
void api_close(struct api *a);

/* OpenAPI 3.1, from the tables: what /openapi.json answers. */
void api_openapi(struct buf *out);
#endif
