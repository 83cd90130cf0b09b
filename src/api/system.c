/* api/system.c - the server itself: where to begin, whether it lives, what it does, its metrics and its description. */
#include "api/api_private.h"

#include "metrics/metrics.h"

#define CONSUMERS_MAX 32

static void answer_text(struct call *c, const char *type)
{
    struct http_answer *a = &c->x->answer;
    buf_clear(&a->body);
    a->status = 200;
    a->content_type = type;
}

void handle_root(struct call *c)
{
    const struct root_answer r = {STR("chargeline"), STR(CHARGELINE_VERSION), STR("/api/v1"), STR("/openapi.json"),
                                  STR("/metrics")};
    answer_text(c, "application/json");
    schema_write(&root_answer_message, &r, &c->x->answer.body);
}

void handle_openapi(struct call *c)
{
    answer_text(c, "application/json");
    api_openapi(&c->x->answer.body);
}

void handle_metrics(struct call *c)
{
    answer_text(c, "text/plain; version=0.0.4; charset=utf-8");
    metrics_write(&c->x->answer.body);
}

static void answer_health(struct call *c)
{
    struct json_writer *w = answer_begin(c, 200, STR("ok"));
    jw_open_object(w);
    jw_field_str(w, "status", STR("ok"));
    jw_close_object(w);
    answer_end(c);
}

void handle_healthz(struct call *c)
{
    answer_health(c);
}

void handle_readyz(struct call *c)
{
    struct eventlog_stats s;
    struct fault why = {"", ""};
    eventlog_stats(c->api->o.log, &s);
    if (s.state == LOG_STATE_OK) {
        answer_health(c);
        return;
    }
    fault_set(&why, STR("log"), "the log is %s: %s", log_state_text(s.state), s.why);
    answer_error(c, API_NOT_READY, &why);
    answer_retry_after(c, 1);
}

/* As a struct and through its table: a field that is described is written. */
static void fill_consumers(struct call *c, struct consumer_row rows[CONSUMERS_MAX], struct consumer_row_list *out)
{
    size_t count = bus_consumer_count(c->api->o.bus);
    *out = (struct consumer_row_list){rows, 0};
    for (size_t i = 0; i < count && i < CONSUMERS_MAX; i++) {
        struct consumer_status s;
        bus_status(c->api->o.bus, i, &s);
        rows[out->count++] = (struct consumer_row){
            .name = str_of(s.name),
            .position = integer_of((int64_t)s.position),
            .lag_events = integer_of((int64_t)s.lag_events),
            .lag_ms = integer_of(s.lag_ms),
            .state = {str_of(s.state), choice_find(&consumer_state_words_choices, str_of(s.state))},
            .last_error = s.last_error[0] == '\0' ? (struct str){NULL, 0} : arena_copy(&c->arena, str_of(s.last_error)),
            .events = integer_of((int64_t)s.events),
            .errors = integer_of((int64_t)s.errors),
            .dead_letters = integer_of((int64_t)s.dead_letters),
        };
    }
}

void handle_system_get(struct call *c)
{
    const struct api_options *o = &c->api->o;
    struct eventlog_stats s;
    struct gateway_stats g;
    struct consumer_row rows[CONSUMERS_MAX];
    eventlog_stats(o->log, &s);
    gateway_stats(o->gateway, &g);
    struct log_row log = {
        .position = integer_of((int64_t)s.position),
        .durable = integer_of((int64_t)s.durable),
        .bytes = integer_of(s.bytes),
        .segments = integer_of(s.segments),
        .oldest = integer_of((int64_t)s.oldest),
        .oldest_at = stamp_of(&c->arena, s.oldest_at),
        .state = {str_of(log_state_text(s.state)), (int)s.state},
        .reason = s.state == LOG_STATE_OK ? (struct str){NULL, 0} : str_of(s.why),
    };
    struct connections_row connections = {
        integer_of((int64_t)g.connections),
        integer_of((int64_t)g.stations_in_memory),
        integer_of((int64_t)g.commands_open),
        integer_of((int64_t)g.held_answers),
        integer_of((int64_t)http_server_connections(c->api->main.server)),
        integer_of((int64_t)streams_count(c->api->streams)),
    };
    const struct config *k = o->config;
    struct limits_row limits = {integer_of(k->connections_max),  integer_of(k->api_connections),
                                integer_of(k->api_streams_max),  integer_of(k->api_body_max),
                                integer_of(k->files_max_bytes),  integer_of(k->ocpp_message_max),
                                integer_of(k->command_queue_max)};
    struct system_answer a = {
        .version = STR(CHARGELINE_VERSION),
        .engine = STR("embedded"),
        .gateway_id = k->gateway_id,
        .started_at = stamp_of(&c->arena, o->started_at),
        .uptime_s = integer_of(instant_since(clock_now(), o->started_at).us / 1000000),
        .log = &log,
        .connections = &connections,
        .limits = &limits,
    };
    fill_consumers(c, rows, &a.consumers);
    (void)answer_begin(c, 200, STR("ok"));
    message_write(&c->w, &system_answer_message, &a);
    answer_end(c);
}
