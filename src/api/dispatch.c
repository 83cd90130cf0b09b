/* api/dispatch.c - the way of a request: who asks, what for, is it well-formed, was it asked before; then its handler.
 */
#include "api/api_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "metrics/metrics.h"

#define FRESH_MS     600  /* how long a reader waits for the tables to catch up */
#define FRESH_LAG_MS 1000 /* but not when they are far behind anyhow */

static struct call *call_new(struct listener *l, struct http_exchange *x)
{
    struct call *c = mem_new(1, sizeof *c);
    uint8_t random[40];
    c->api = l->api;
    c->x = x;
    c->is_metrics_listener = l->is_metrics;
    c->started_us = clock_now_us();
    arena_init(&c->arena, CALL_ARENA_MAX + (size_t)l->api->o.config->api_body_max);
    buf_init(&x->answer.body, ANSWER_MAX);
    x->user = c;
    random_fill(random, sizeof random);
    trace_begin(c, random);
    return c;
}

static bool is_under_api(struct str target)
{
    return str_eq(target, STR("/api")) || str_starts(target, STR("/api/")) || str_starts(target, STR("/api?"));
}

static bool may(struct call *c)
{
    if (c->caller.role >= c->route->role)
        return true;
    struct fault why = {"", ""};
    struct str need = role_text(c->route->role);
    fault_set(&why, STR("role"), "needs %.*s", STR_ARG(need));
    answer_error(c, API_FORBIDDEN, &why);
    return false;
}

/* A listener of its own for /metrics shows nothing else, and the API's then shows all but that. */
static bool is_here(const struct call *c)
{
    bool is_metrics = str_eq(c->route->path, STR("/metrics"));
    bool is_health = str_eq(c->route->path, STR("/healthz")) || str_eq(c->route->path, STR("/readyz"));
    return c->is_metrics_listener ? is_metrics || is_health : !is_metrics || c->api->metrics.server == NULL;
}

enum http_next api_on_head(void *data, struct http_exchange *x)
{
    struct call *c = call_new(data, x);
    if (is_under_api(x->target) && (c->is_metrics_listener || !auth_check(c))) {
        if (c->is_metrics_listener)
            answer_error(c, API_NOT_FOUND, NULL);
        return HTTP_ANSWERED;
    }
    if (!call_route(c))
        return HTTP_ANSWERED;
    if (!is_here(c)) {
        answer_error(c, API_NOT_FOUND, NULL);
        return HTTP_ANSWERED;
    }
    if (!may(c) || !call_read_query(c))
        return HTTP_ANSWERED;
    if (c->route->body == &raw_bytes_message)
        x->body_max = (size_t)c->api->o.config->files_max_bytes;
    return HTTP_READ_BODY;
}

static const struct {
    enum api_error error;
} refusals[] = {
    [HTTP_BAD_REQUEST] = {API_INVALID_REQUEST},         [HTTP_BODY_TOO_LARGE] = {API_BODY_TOO_LARGE},
    [HTTP_TARGET_TOO_LONG] = {API_TARGET_TOO_LONG},     [HTTP_HEADERS_TOO_LARGE] = {API_HEADERS_TOO_LARGE},
    [HTTP_OTHER_VERSION] = {API_VERSION_NOT_SUPPORTED},
};

void api_on_refused(void *data, struct http_exchange *x, enum http_refusal r, const char *reason)
{
    struct call *c = x->user == NULL ? call_new(data, x) : x->user;
    struct fault why = {"", ""};
    fault_set(&why, STR(""), "%s", reason);
    answer_error(c, refusals[r].error, &why);
}

/* --- workers --- */

static void worker_take(struct call *c)
{
    struct api *a = c->api;
    pthread_mutex_lock(&a->worker_lock);
    while (a->workers == NULL)
        pthread_cond_wait(&a->worker_free, &a->worker_lock);
    c->worker = a->workers;
    a->workers = c->worker->next;
    pthread_mutex_unlock(&a->worker_lock);
}

static void worker_give(struct call *c)
{
    struct api *a = c->api;
    pthread_mutex_lock(&a->worker_lock);
    c->worker->next = a->workers;
    a->workers = c->worker;
    pthread_cond_signal(&a->worker_free);
    pthread_mutex_unlock(&a->worker_lock);
    c->worker = NULL;
}

/* --- what was told is seen: tables follow the log by some ms, and a reader waits for them --- */

static const char *const fresh_consumers[] = {
    [FRESH_NONE] = NULL, [FRESH_STATIONS] = "stations", [FRESH_CHARGING] = "charging"};

static bool is_behind(struct api *a, const char *name, uint64_t position)
{
    for (size_t i = 0; i < bus_consumer_count(a->o.bus); i++) {
        struct consumer_status s;
        bus_status(a->o.bus, i, &s);
        if (strcmp(s.name, name) == 0)
            return s.position < position && s.lag_ms < FRESH_LAG_MS && strcmp(s.state, "standing") != 0;
    }
    return false;
}

static void wait_for_fresh(struct call *c)
{
    const char *name = fresh_consumers[c->route->reads];
    if (name == NULL)
        return;
    uint64_t durable = eventlog_durable(c->api->o.log);
    if (is_behind(c->api, name, durable))
        bus_hasten(c->api->o.bus, durable);
    for (int i = 0; i < FRESH_MS && is_behind(c->api, name, durable); i++) {
        struct timespec one_ms = {0, 1000000};
        (void)nanosleep(&one_ms, NULL);
    }
}

enum http_next api_on_request(void *data, struct http_exchange *x)
{
    struct call *c = x->user;
    (void)data;
    if (!call_read_body(c))
        return HTTP_ANSWERED;
    worker_take(c);
    wait_for_fresh(c);
    if (idempotency_begin(c)) {
        c->route->handle(c);
        if (c->wait == NULL)
            idempotency_finish(c);
    }
    worker_give(c);
    if (c->wait != NULL)
        return HTTP_WAITS;
    idempotency_end(c);
    return HTTP_ANSWERED;
}

enum http_next api_on_resumed(void *data, struct http_exchange *x)
{
    struct call *c = x->user;
    (void)data;
    worker_take(c);
    wait_for_fresh(c);
    c->on_resumed(c);
    wait_end(c);
    idempotency_finish(c);
    worker_give(c);
    idempotency_end(c);
    return HTTP_ANSWERED;
}

static const char *status_class(int status)
{
    static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    return classes[status / 100 % 6];
}

void api_on_end(void *data, struct http_exchange *x)
{
    struct call *c = x->user;
    (void)data;
    int64_t took_us = clock_now_us() - c->started_us;
    metric_add_label(METRIC_API_REQUESTS, str_of(status_class(x->answer.status)), 1);
    if (x->answer.source.read == NULL)
        metric_observe_us(METRIC_API_LATENCY, took_us);
    LOG_DEBUG("api.request", F_STR("method", x->method), F_STR("target", x->target), F_INT("status", x->answer.status),
              F_INT("ms", took_us / 1000), F_CSTR("key", c->caller.name), F_CSTR("trace", c->trace_text),
              F_CSTR("request", c->request_id));
    wait_end(c);
    idempotency_end(c);
    arena_release(&c->arena);
    free(c);
    x->user = NULL;
}
