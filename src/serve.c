/* serve.c - chargeline serve: puts the parts together in the way of the data and takes them apart in the other
 * direction.
 *
 *   store (tables)  ->  log  ->  consumers catch up  ->  gateway (memory)  ->  listeners  ->  API  ->  "ready"
 *
 * The consumers have seen the whole log before a station is let in: so what memory is filled from is complete. */
#include "commands.h"
#include "migrations.h"

#include "api/api.h"
#include "base/log.h"
#include "gateway/gateway.h"
#include "metrics/metrics.h"
#include "services/charging/charging.h"
#include "services/files/files.h"
#include "services/stations/stations.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETS_MAX          256
#define PATH_SIZE         4400
#define RETRY_COMMIT_MS   200
#define PARKED_MAX        100000
#define CATCH_UP_WAIT_MS  100
#define CATCH_UP_TRIES    100
#define LAST_COMMIT_TRIES 20
#define LAST_EVENTS_MAX   100000

enum exit_code { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_HELD };

struct server {
    struct config config;
    char log_dir[PATH_SIZE], db_path[PATH_SIZE], files_dir[PATH_SIZE];
    int lock_fd, ready_fd;
    struct loop *loop;
    struct eventlog *log;
    struct stations *stations;
    struct charging *charging;
    struct files *files;
    struct consumer consumers[2];
    struct bus *bus;
    struct gateway *gateway;
    pthread_mutex_t
        told_lock; /* held while the threads of log and bus tell it something, so that it does not go meanwhile */
    struct gateway *told_gateway;
    struct api *api;
    uint64_t id_key[2];
    struct timer stop_timer;
    bool is_stopping;
};

static const char help[] =
    "usage: chargeline serve [--config FILE] [--data DIR] [--set KEY=VALUE]... [--ready-fd N]\n\n"
    "Runs the server: OCPP 1.6J, event log, consumers and HTTP API in one process.\n\n"
    "  --config FILE    YAML; values may hold ${VARIABLE} and ${VARIABLE:-default}\n"
    "  --data DIR       the data directory; the same as --set data.dir=DIR (./data)\n"
    "  --set KEY=VALUE  one setting; weighs more than environment and file\n"
    "  --ready-fd N     write the addresses to this descriptor once all listeners are open\n\n"
    "The environment variable of a key is CHARGELINE_ and the key in capitals, dots as underscores.\n"
    "chargeline config --explain lists every setting. The first admin key is in DIR/admin.key.\n\n"
    "example: chargeline serve --data /var/lib/chargeline --set listen.ocpp=0.0.0.0:8887\n\n"
    "exit: 0 asked to stop, 1 failed at start or while running, 2 usage or configuration,\n"
    "      3 another server holds the data directory\n";

static int fail(int code, const struct fault *why, const char *what)
{
    (void)fprintf(stderr, "chargeline serve: %s%s%s%s%s\n", what, why->field[0] != 0 ? ": " : "", why->field,
                  why->reason[0] != 0 ? ": " : "", why->reason);
    return code;
}

/* --- what other threads tell --- */

static void on_durable(void *data, uint64_t position)
{
    struct server *s = data;
    (void)pthread_mutex_lock(&s->told_lock);
    if (s->told_gateway != NULL)
        gateway_on_durable(s->told_gateway, position);
    (void)pthread_mutex_unlock(&s->told_lock);
}

static void on_projected(void *data, uint64_t position)
{
    struct server *s = data;
    (void)pthread_mutex_lock(&s->told_lock);
    if (s->told_gateway != NULL)
        gateway_on_projected(s->told_gateway, position);
    (void)pthread_mutex_unlock(&s->told_lock);
}

static void tell_gateway(struct server *s, struct gateway *g)
{
    (void)pthread_mutex_lock(&s->told_lock);
    s->told_gateway = g;
    (void)pthread_mutex_unlock(&s->told_lock);
}

static void on_log_state(void *data, enum log_state state, const char *why)
{
    (void)data;
    metric_set(METRIC_LOG_STATE, state);
    if (state == LOG_STATE_OK)
        LOG_INFO("log.healed", F_CSTR("state", log_state_text(state)));
    else
        LOG_ERROR("log.stopped", F_CSTR("state", log_state_text(state)), F_CSTR("err", why));
}

static void fill_metrics(void *data)
{
    struct server *s = data;
    struct eventlog_stats stats;
    eventlog_stats(s->log, &stats);
    metric_set(METRIC_LOG_POSITION, (int64_t)stats.durable);
    metric_set(METRIC_LOG_BYTES, stats.bytes);
    metric_set(METRIC_LOG_COMMITS, (int64_t)stats.commits);
    for (size_t i = 0; i < bus_consumer_count(s->bus); i++) {
        struct consumer_status c;
        bus_status(s->bus, i, &c);
        metric_set_label(METRIC_CONSUMER_LAG, str_of(c.name), (int64_t)c.lag_events);
        metric_set_label(METRIC_CONSUMER_EVENTS, str_of(c.name), (int64_t)c.events);
        metric_set_label(METRIC_CONSUMER_ERRORS, str_of(c.name), (int64_t)c.errors);
        metric_set_label(METRIC_DEAD_LETTERS, str_of(c.name), (int64_t)c.dead_letters);
    }
}

/* --- arguments and data directory --- */

static int read_arguments(struct server *s, int argc, char **argv)
{
    const char *sets[SETS_MAX];
    size_t set_count = 0;
    struct str file = {NULL, 0};
    char data[PATH_SIZE];
    struct fault why = {0};
    s->ready_fd = -1;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            (void)fputs(help, stdout);
            exit(EXIT_OK);
        }
        bool is_known = strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "--data") == 0 ||
                        strcmp(argv[i], "--set") == 0 || strcmp(argv[i], "--ready-fd") == 0;
        if (!is_known || value == NULL || set_count == SETS_MAX) {
            fault_set(&why, str_of(argv[i]), "%s",
                      is_known ? "needs a value" : "no such option; see chargeline serve --help");
            return fail(EXIT_USAGE, &why, "usage");
        }
        i++;
        if (strcmp(argv[i - 1], "--config") == 0) {
            file = str_of(value);
        } else if (strcmp(argv[i - 1], "--set") == 0) {
            sets[set_count++] = value;
        } else if (strcmp(argv[i - 1], "--ready-fd") == 0) {
            s->ready_fd = atoi(value);
        } else {
            (void)snprintf(data, sizeof data, "data.dir=%s", value);
            sets[set_count++] = data;
        }
    }
    if (config_load(file, sets, set_count, environ, &s->config, &why) != OK)
        return fail(EXIT_USAGE, &why, "configuration");
    return EXIT_OK;
}

static int hold_data(struct server *s)
{
    struct fault why = {0};
    char path[PATH_SIZE];
    struct str dir = s->config.data_dir;
    (void)snprintf(path, sizeof path, "%.*s", STR_ARG(dir));
    if (mkdir(path, 0750) != 0 && errno != EEXIST) {
        fault_set(&why, STR("data.dir"), "%.*s cannot be made: %s", STR_ARG(dir), strerror(errno));
        return fail(EXIT_FAILED, &why, "start");
    }
    (void)snprintf(s->log_dir, sizeof s->log_dir, "%.*s/log", STR_ARG(dir));
    (void)snprintf(s->db_path, sizeof s->db_path, "%.*s/store.db", STR_ARG(dir));
    (void)snprintf(s->files_dir, sizeof s->files_dir, "%.*s/files", STR_ARG(dir));
    (void)snprintf(path, sizeof path, "%.*s/lock", STR_ARG(dir));
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (s->lock_fd < 0) {
        fault_set(&why, STR("data.dir"), "%s: %s", path, strerror(errno));
        return fail(EXIT_FAILED, &why, "start");
    }
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        fault_set(&why, STR("data.dir"), "another server holds %.*s", STR_ARG(dir));
        return fail(EXIT_HELD, &why, "start");
    }
    return EXIT_OK;
}

/* --- building up --- */

/* Nobody adds a file yet: what has no row was left by a crash. */
static enum err open_files(struct server *s, struct db *d, struct fault *why)
{
    const struct files_options o = {.dir = str_of(s->files_dir),
                                    .count_max = s->config.files_count_max,
                                    .orphans_max = (unsigned)s->config.api_threads};
    struct files_swept swept;
    enum err e = files_open(&o, &s->files, why);
    if (e == OK)
        e = files_sweep(s->files, d, &swept, why);
    if (e != OK)
        return e;
    if (swept.removed > 0)
        LOG_INFO("files.swept", F_INT("removed", swept.removed));
    if (swept.left > 0)
        LOG_WARN("files.unknown", F_STR("folder", files_dir(s->files)), F_INT("left", swept.left));
    return OK;
}

static enum err prepare_store(struct server *s, struct fault *why)
{
    struct db *d = NULL;
    uint8_t random[16];
    check(getrandom(random, sizeof random, 0) == sizeof random);
    enum err e = db_open(s->db_path, DB_WRITER, &d, why);
    if (e == OK)
        e = migrations_run(d, why);
    if (e == OK)
        e = stations_id_key(d, random, s->id_key);
    if (e == OK)
        e = open_files(s, d, why);
    db_close(d);
    return e;
}

static enum err open_log(struct server *s, struct fault *why)
{
    struct eventlog_options o = eventlog_options_default();
    o.dir = str_of(s->log_dir);
    o.gateway_id = s->config.gateway_id;
    o.segment_max = (size_t)s->config.log_segment_max;
    o.pending_max = (size_t)s->config.log_pending_max;
    o.keep_s = s->config.log_keep_s;
    o.keep_bytes = s->config.log_keep_bytes;
    o.retry_ms = RETRY_COMMIT_MS;
    o.on_durable = on_durable;
    o.on_state = on_log_state;
    o.data = s;
    return eventlog_open(&o, &s->log, why);
}

static enum err open_bus(struct server *s, struct fault *why)
{
    struct bus_options o = bus_options_default();
    struct charging_options c = {
        .id_key = {s->id_key[0], s->id_key[1]},
        .is_tracking = s->config.session_tracking,
        .keeps_history = s->config.event_logging,
        .timeout_s = s->config.session_timeout_s,
        .cleanup_s = s->config.session_cleanup_s,
        .power_window_s = s->config.power_window_s,
    };
    s->stations = stations_new(s->id_key, s->config.gateway_id, on_projected, s);
    s->charging = charging_new(&c);
    stations_consumer(s->stations, &s->consumers[0]);
    charging_consumer(s->charging, &s->consumers[1]);
    o.log_dir = str_of(s->log_dir);
    o.log = s->log;
    o.db_path = s->db_path;
    o.batch_max = (unsigned)s->config.bus_batch_max;
    o.attempts_max = (int)s->config.bus_attempts;
    o.retry_first_ms = (int)s->config.bus_retry_ms;
    o.parked_max = PARKED_MAX;
    o.consumers = s->consumers;
    o.consumer_count = COUNT_OF(s->consumers);
    enum err e = bus_open(&o, &s->bus, why);
    return e == OK ? bus_catch_up(s->bus, why) : e;
}

/* The gateway has written who was lost with the process before: that too is in the tables before a station comes in. */
static enum err open_gateway(struct server *s, struct fault *why)
{
    struct gateway_options o = {.config = &s->config,
                                .loop = s->loop,
                                .log = s->log,
                                .bus = s->bus,
                                .db_path = s->db_path,
                                .log_dir = str_of(s->log_dir),
                                .files_dir = str_of(s->files_dir)};
    enum err e = gateway_open(&o, &s->gateway, why);
    if (e != OK)
        return e;
    tell_gateway(s, s->gateway);
    for (int i = 0; i < CATCH_UP_TRIES && eventlog_durable(s->log) < eventlog_position(s->log); i++)
        eventlog_wait(s->log, eventlog_position(s->log) - 1, CATCH_UP_WAIT_MS);
    if (eventlog_durable(s->log) < eventlog_position(s->log)) {
        fault_set(why, STR("data.dir"), "the log does not take a commit");
        return ERR_IO;
    }
    gateway_on_durable(s->gateway, eventlog_durable(s->log));
    return bus_catch_up(s->bus, why);
}

static void open_loop(struct server *s)
{
    struct fault why = {0};
    s->loop = loop_new();
    if (!s->config.io_uring)
        LOG_INFO("server.sockets", F_CSTR("by", "epoll"), F_CSTR("reason", "server.io_uring is false"));
    else if (loop_use_ring(s->loop, &why) == OK)
        LOG_INFO("server.sockets", F_CSTR("by", "io_uring"));
    else
        LOG_INFO("server.sockets", F_CSTR("by", "epoll"), F_CSTR("reason", why.reason));
}

static enum err build(struct server *s, struct fault *why)
{
    open_loop(s);
    enum err e = prepare_store(s, why);
    if (e == OK)
        e = open_log(s, why);
    if (e == OK)
        e = open_bus(s, why);
    if (e == OK)
        e = open_gateway(s, why);
    if (e == OK)
        e = bus_start(s->bus);
    if (e == OK)
        e = gateway_listen(s->gateway, why);
    if (e != OK)
        return e;
    struct api_options o = {.config = &s->config,
                            .log = s->log,
                            .bus = s->bus,
                            .gateway = s->gateway,
                            .files = s->files,
                            .db_path = s->db_path,
                            .log_dir = str_of(s->log_dir),
                            .started_at = clock_now()};
    e = api_open(&o, &s->api, why);
    if (e == OK)
        metrics_on_read(fill_metrics, s);
    return e;
}

static void tell_ready(struct server *s)
{
    struct str ocpp = gateway_address(s->gateway), tls = gateway_address_tls(s->gateway), api = api_address(s->api);
    struct str piles = gateway_address_piles(s->gateway), none = STR("");
    char more[128];
    (void)snprintf(more, sizeof more, "%s%.*s%s%.*s", tls.at == NULL ? "" : " ocpp_tls=",
                   STR_ARG(tls.at == NULL ? none : tls), piles.at == NULL ? "" : " ap3000=",
                   STR_ARG(piles.at == NULL ? none : piles));
    /* Whatever the level and form of the log: scripts wait for this line. */
    (void)fprintf(stderr, "level=info event=server.ready ocpp=%.*s api=%.*s%s version=%s\n", STR_ARG(ocpp),
                  STR_ARG(api), more, CHARGELINE_VERSION);
    if (s->ready_fd < 0)
        return;
    (void)dprintf(s->ready_fd, "ocpp=%.*s api=%.*s%s\n", STR_ARG(ocpp), STR_ARG(api), more);
    (void)close(s->ready_fd);
}

/* --- the end --- */

static uint64_t consumers_position(struct server *s)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < bus_consumer_count(s->bus); i++) {
        struct consumer_status c;
        bus_status(s->bus, i, &c);
        least = c.position < least ? c.position : least;
    }
    return least;
}

/* The tables shall say what the stop itself caused: who is offline. The log is the truth without it, so a disk that
 * refuses keeps nobody from stopping. */
static void see_the_end(struct server *s)
{
    struct fault why;
    eventlog_commit(s->log);
    for (int i = 0; i < LAST_COMMIT_TRIES && eventlog_durable(s->log) < eventlog_position(s->log); i++)
        eventlog_wait(s->log, eventlog_position(s->log) - 1, CATCH_UP_WAIT_MS);
    if (eventlog_durable(s->log) - consumers_position(s) > LAST_EVENTS_MAX)
        return; /* they are far behind: that is for the next start, a stop does not wait for it */
    if (bus_catch_up(s->bus, &why) != OK)
        LOG_WARN("tables.behind", F_CSTR("err", why.reason));
}

static void on_drained(void *data)
{
    loop_stop(((struct server *)data)->loop);
}

static void on_stop_timeout(struct timer *t)
{
    struct server *s = CONTAINER(t, struct server, stop_timer);
    LOG_WARN("server.stop_forced", F_INT("after_s", s->config.stop_timeout_s));
    loop_stop(s->loop);
}

static void on_signal(int signal, void *data)
{
    struct server *s = data;
    if (s->is_stopping) {
        loop_stop(s->loop);
        return;
    }
    s->is_stopping = true;
    LOG_INFO("server.stopping", F_INT("signal", signal));
    timer_start(s->loop, &s->stop_timer, s->config.stop_timeout_s * 1000);
    gateway_drain(s->gateway, on_drained, s);
}

static void tear_down(struct server *s)
{
    if (s->api != NULL)
        api_stop(s->api);
    tell_gateway(s, NULL); /* before it goes: the log still commits what the stop itself caused */
    gateway_close(s->gateway);
    if (s->api != NULL)
        api_close(s->api);
    if (s->bus != NULL) {
        bus_stop(s->bus);
        if (s->is_stopping)
            see_the_end(s);
        bus_close(s->bus);
    }
    if (s->log != NULL)
        eventlog_close(s->log);
    stations_free(s->stations);
    charging_free(s->charging);
    files_close(s->files);
    if (s->loop != NULL)
        loop_free(s->loop);
    config_release(&s->config);
    if (s->lock_fd >= 0)
        (void)close(s->lock_fd);
}

static void raise_descriptor_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

int serve_main(int argc, char **argv)
{
    static struct server server;
    struct server *s = &server;
    struct fault why = {0};
    s->lock_fd = -1;
    check(pthread_mutex_init(&s->told_lock, NULL) == 0);
    int code = read_arguments(s, argc, argv);
    if (code != EXIT_OK)
        return code;
    log_setup(STDERR_FILENO, (enum log_level)s->config.log_level, s->config.log_format == 1, clock_now_us);
    raise_descriptor_limit();
    code = hold_data(s);
    if (code == EXIT_OK && build(s, &why) != OK)
        code = fail(EXIT_FAILED, &why, "start");
    if (code == EXIT_OK) {
        timer_init(&s->stop_timer, on_stop_timeout);
        loop_on_signal(s->loop, on_signal, s);
        tell_ready(s);
        loop_run(s->loop);
        LOG_INFO("server.stopped", F_INT("position", eventlog_position(s->log)));
    }
    tear_down(s);
    return code;
}
