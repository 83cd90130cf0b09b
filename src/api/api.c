/* api/api.c - opening and closing: keys, workers, waits, streams, listeners; each undone in the reverse order. */
#include "api/api_private.h"

#include <stdlib.h>
#include <string.h>

#include "api/embedded.h"
#include "services/stations/stations.h"

#define METRICS_THREADS     1
#define METRICS_CONNECTIONS 64
#define METRICS_BODY_MAX    0
#define DRAIN_MS            2000

const struct migration api_migrations[] = {
    {"api/0001", embedded_0001_api_sql},
    {"api/0002", embedded_0002_totals_sql},
};
const size_t api_migration_count = COUNT_OF(api_migrations);

enum err worker_open(struct api *a, struct worker *w, struct fault *why)
{
    enum err e = db_open(a->db_path, DB_READER, &w->db, why);
    if (e == OK)
        e = reader_open(str_of(a->log_dir), &w->log, why);
    return e;
}

static void worker_close(struct worker *w)
{
    if (w->log != NULL)
        reader_close(w->log);
    if (w->db != NULL)
        db_close(w->db);
    free(w);
}

/* As many as handlers can run at once: nobody waits for one. */
static enum err workers_open(struct api *a, struct fault *why)
{
    size_t count = (size_t)a->o.config->api_threads + METRICS_THREADS;
    for (size_t i = 0; i < count; i++) {
        struct worker *w = mem_new(1, sizeof *w);
        w->next = a->workers;
        a->workers = w;
        enum err e = worker_open(a, w, why);
        if (e != OK)
            return e;
    }
    return OK;
}

static enum err read_id_key(struct db *d, void *arg, struct fault *why)
{
    struct api *a = arg;
    uint8_t random[16];
    (void)why;
    random_fill(random, sizeof random);
    return stations_id_key(d, random, a->id_key);
}

static enum err listen_on(struct api *a, struct listener *l, struct str address, const char *setting, struct fault *why)
{
    const struct config *c = a->o.config;
    struct http_server_options o = {
        .address = address,
        .setting = setting,
        .threads = l->is_metrics ? METRICS_THREADS : (unsigned)c->api_threads,
        .connections_max = l->is_metrics ? METRICS_CONNECTIONS : (unsigned)c->api_connections,
        .body_max = l->is_metrics ? METRICS_BODY_MAX : (size_t)c->api_body_max,
        .on_head = api_on_head,
        .on_request = api_on_request,
        .on_resumed = api_on_resumed,
        .on_refused = api_on_refused,
        .on_end = api_on_end,
        .data = l,
    };
    return http_server_open(&o, &l->server, why);
}

static enum err open_all(struct api *a, struct fault *why)
{
    enum err e = bus_write(a->o.bus, read_id_key, a, why);
    if (e == OK)
        e = auth_open(a, why);
    if (e == OK)
        e = waits_open(&a->waits);
    if (e == OK)
        e = streams_open(a, why);
    if (e == OK)
        e = workers_open(a, why);
    if (e == OK && a->o.config->listen_metrics.len > 0)
        e = listen_on(a, &a->metrics, a->o.config->listen_metrics, "listen.metrics", why);
    if (e == OK)
        e = listen_on(a, &a->main, a->o.config->listen_api, "listen.api", why);
    return e;
}

enum err api_open(const struct api_options *o, struct api **out, struct fault *why)
{
    struct api *a = mem_new(1, sizeof *a);
    a->o = *o;
    a->db_path = strdup(o->db_path);
    a->log_dir = strndup(o->log_dir.at, o->log_dir.len);
    check(a->db_path != NULL && a->log_dir != NULL);
    a->main.api = a->metrics.api = a;
    a->metrics.is_metrics = true;
    check(pthread_mutex_init(&a->worker_lock, NULL) == 0 && pthread_cond_init(&a->worker_free, NULL) == 0);
    check(pthread_mutex_init(&a->idempotency.lock, NULL) == 0);
    list_init(&a->idempotency.busy);
    enum err e = open_all(a, why);
    if (e != OK) {
        api_stop(a);
        api_close(a);
        return e;
    }
    *out = a;
    return OK;
}

struct str api_address(const struct api *a)
{
    return http_server_address(a->main.server);
}

struct str api_address_metrics(const struct api *a)
{
    return a->metrics.server == NULL ? (struct str){NULL, 0} : http_server_address(a->metrics.server);
}

static void stop_listener(struct listener *l)
{
    if (l->server == NULL)
        return;
    http_server_drain(l->server, DRAIN_MS);
    http_server_close(l->server);
    l->server = NULL;
}

void api_stop(struct api *a)
{
    if (a->is_stopped)
        return;
    a->is_stopped = true;
    if (a->main.server != NULL)
        http_server_quiesce(a->main.server);
    if (a->metrics.server != NULL)
        http_server_quiesce(a->metrics.server);
    if (a->waits.list.next != NULL)
        waits_stop(&a->waits);
    if (a->streams != NULL)
        streams_stop(a->streams);
    stop_listener(&a->main);
    stop_listener(&a->metrics);
}

void api_close(struct api *a)
{
    if (a == NULL)
        return;
    if (a->waits.list.next != NULL)
        waits_close(&a->waits);
    streams_close(a->streams);
    while (a->workers != NULL) {
        struct worker *w = a->workers;
        a->workers = w->next;
        worker_close(w);
    }
    auth_close(&a->auth);
    (void)pthread_mutex_destroy(&a->idempotency.lock);
    (void)pthread_mutex_destroy(&a->worker_lock);
    (void)pthread_cond_destroy(&a->worker_free);
    free(a->db_path);
    free(a->log_dir);
    free(a);
}
