/* tests/unit/api/apikit.h - a whole API on a free port, over a log and a store of its own and a gateway that does what
 * a test says; and a peer that writes bytes, so that requests can be wrong. */
#ifndef TESTS_APIKIT_H
#define TESTS_APIKIT_H
#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "api/call.h"
#include "check.h"
#include "place.h"
#include "services/charging/charging.h"
#include "services/files/files.h"
#include "services/stations/stations.h"

#define KIT_KEY      "an-admin-key-of-the-tests"
#define KIT_PATIENCE 20000 /* ms */
#define KIT_READ_MAX (8 << 20)

/* --- the gateway: of the real one none is linked --- */

struct kit_gateway {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum { GATEWAY_ANSWERS, GATEWAY_KEEPS_SILENT, GATEWAY_REFUSES } how;
    enum err refusal;
    struct fault why;
    char seen[1024]; /* what was asked last, in words */
    unsigned count;
    struct command_listener listener; /* of the last command */
};
static struct kit_gateway kit_gateway = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static inline void kit_saw(const char *what, struct str a, struct str b)
{
    pthread_mutex_lock(&kit_gateway.lock);
    (void)snprintf(kit_gateway.seen, sizeof kit_gateway.seen, "%s %.*s %.*s", what, STR_ARG(a), STR_ARG(b));
    kit_gateway.count++;
    pthread_cond_broadcast(&kit_gateway.changed);
    pthread_mutex_unlock(&kit_gateway.lock);
}

void gateway_submit(struct gateway *g, const struct command_request *r, const struct command_listener *l)
{
    struct command_result result = {.command_id = r->command_id.at == NULL ? STR("0197a1b2-0000-7000-8000-000000000001")
                                                                           : r->command_id,
                                    .station = r->station,
                                    .action = r->action,
                                    .payload = r->payload,
                                    .origin = r->origin,
                                    .state = STR("queued"),
                                    .queued_at = {1},
                                    .sent_at = INSTANT_NONE,
                                    .done_at = INSTANT_NONE,
                                    .expires_at = {2}};
    (void)g;
    kit_gateway.listener = *l;
    if (kit_gateway.how == GATEWAY_KEEPS_SILENT) { /* seen when the test may speak for it */
        l->on_queued(l->data, &result, OK, NULL);
        kit_saw("submit", r->action, r->payload);
        return;
    }
    kit_saw("submit", r->action, r->payload);
    if (kit_gateway.how == GATEWAY_REFUSES) {
        l->on_queued(l->data, NULL, kit_gateway.refusal, &kit_gateway.why);
        return;
    }
    l->on_queued(l->data, &result, OK, NULL);
    result.state = STR("done");
    result.outcome = STR("answered");
    result.status = STR("Accepted");
    result.response = STR("{\"status\":\"Accepted\"}");
    l->on_done(l->data, &result);
}

void gateway_station_changed(struct gateway *g, struct str station)
{
    (void)g;
    kit_saw("changed", station, STR(""));
}

void gateway_station_deleted(struct gateway *g, struct str station)
{
    (void)g;
    kit_saw("deleted", station, STR(""));
}

void gateway_tag_changed(struct gateway *g, struct str id_tag)
{
    (void)g;
    kit_saw("tag", id_tag, STR(""));
}

static inline void kit_done(gateway_done *done, void *data)
{
    bool refuses = kit_gateway.how == GATEWAY_REFUSES;
    done(data, refuses ? kit_gateway.refusal : OK, &kit_gateway.why);
}

void gateway_close_transaction(struct gateway *g, struct str transaction_id, struct str by, gateway_done *done,
                               void *data)
{
    (void)g;
    kit_saw("close", transaction_id, by);
    kit_done(done, data);
}

void gateway_apply_quarantine(struct gateway *g, struct str quarantine_id, struct str transaction_id, struct str by,
                              gateway_done *done, void *data)
{
    (void)g, (void)by;
    kit_saw("apply", quarantine_id, transaction_id);
    kit_done(done, data);
}

void gateway_discard_quarantine(struct gateway *g, struct str quarantine_id, struct str by, gateway_done *done,
                                void *data)
{
    (void)g;
    kit_saw("discard", quarantine_id, by);
    kit_done(done, data);
}

void gateway_stats(struct gateway *g, struct gateway_stats *out)
{
    (void)g;
    *out = (struct gateway_stats){3, 2, 1, 0, {0}};
}

/* --- the API --- */

struct kit {
    char dir[PLACE_MAX], log_dir[PLACE_PATH_MAX], db_path[PLACE_PATH_MAX];
    struct config config;
    struct eventlog *log;
    struct bus *bus;
    struct files *files;
    struct api *api;
    uint64_t id_key[2];
    int port;
};

static inline void kit_migrate(struct kit *k)
{
    struct db *d;
    struct fault why;
    static const uint8_t random[16] = {7};
    check(db_open(k->db_path, DB_WRITER, &d, &why) == OK);
    check(db_migrate(d, bus_migrations, bus_migration_count, &why) == OK);
    check(db_migrate(d, stations_migrations, stations_migration_count, &why) == OK);
    check(db_migrate(d, charging_migrations, charging_migration_count, &why) == OK);
    check(db_migrate(d, files_migrations, files_migration_count, &why) == OK);
    check(db_migrate(d, api_migrations, api_migration_count, &why) == OK);
    check(stations_id_key(d, random, k->id_key) == OK);
    db_close(d);
}

static inline void kit_api_open(struct kit *k)
{
    struct fault why = {"", ""};
    const struct api_options o = {.config = &k->config,
                                  .log = k->log,
                                  .bus = k->bus,
                                  .gateway = NULL,
                                  .files = k->files,
                                  .db_path = k->db_path,
                                  .log_dir = str_of(k->log_dir),
                                  .started_at = {1000000}};
    enum err e = api_open(&o, &k->api, &why);
    if (e != OK)
        (void)fprintf(stderr, "api_open: %s: %s\n", why.field, why.reason);
    check(e == OK);
    struct str address = api_address(k->api);
    k->port = atoi(strrchr(address.at, ':') + 1);
}

/* sets: further settings, "key=value". */
static inline void kit_open(struct kit *k, const char *const *sets, size_t count)
{
    struct fault why = {"", ""};
    const char *all[16];
    char data[PLACE_PATH_MAX];
    char *none[] = {NULL};
    memset(k, 0, sizeof *k);
    place_make(k->dir, "api");
    (void)snprintf(k->log_dir, sizeof k->log_dir, "%s/log", k->dir);
    (void)snprintf(k->db_path, sizeof k->db_path, "%s/store.db", k->dir);
    (void)snprintf(data, sizeof data, "data.dir=%s", k->dir);
    all[0] = data;
    all[1] = "listen.api=127.0.0.1:0";
    for (size_t i = 0; i < count; i++)
        all[2 + i] = sets[i];
    check(config_load((struct str){NULL, 0}, all, 2 + count, none, &k->config, &why) == OK);
    kit_migrate(k);
    struct eventlog_options lo = eventlog_options_default();
    lo.dir = str_of(k->log_dir);
    lo.gateway_id = STR("gw-1");
    check(eventlog_open(&lo, &k->log, &why) == OK);
    struct bus_options bo = bus_options_default();
    bo.log_dir = str_of(k->log_dir);
    bo.log = k->log;
    bo.db_path = k->db_path;
    check(bus_open(&bo, &k->bus, &why) == OK);
    check(bus_start(k->bus) == OK);
    char files_dir[PLACE_PATH_MAX];
    (void)snprintf(files_dir, sizeof files_dir, "%s/files", k->dir);
    const struct files_options fo = {.dir = str_of(files_dir), .count_max = k->config.files_count_max};
    check(files_open(&fo, &k->files, &why) == OK);
    check(setenv("CHARGELINE_ADMIN_KEY", KIT_KEY, 1) == 0);
    kit_gateway.how = GATEWAY_ANSWERS;
    kit_api_open(k);
}

static inline void kit_remove(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[512];
        (void)snprintf(path, sizeof path, "%.200s/%.200s", dir, e->d_name);
        if (e->d_name[0] != '.' && unlink(path) != 0)
            kit_remove(path);
    }
    if (d != NULL)
        (void)closedir(d);
    (void)rmdir(dir);
}

static inline void kit_close(struct kit *k)
{
    api_stop(k->api);
    api_close(k->api);
    bus_stop(k->bus);
    bus_close(k->bus);
    eventlog_close(k->log);
    files_close(k->files);
    config_release(&k->config);
    kit_remove(k->dir);
}

static inline enum err kit_sql_run(struct db *d, void *arg, struct fault *why)
{
    struct db_rows *r = db_rows_dynamic(d, str_of(arg), NULL, 0);
    (void)why;
    while (db_next(r))
        ;
    return db_rows_end(r);
}

static inline void kit_sql(struct kit *k, const char *sql)
{
    struct fault why = {"", ""};
    enum err e = bus_write(k->bus, kit_sql_run, (void *)(uintptr_t)sql, &why);
    if (e != OK)
        (void)fprintf(stderr, "%s: %s\n", sql, why.reason);
    check(e == OK);
}

/* --- a peer --- */

/* As the consumer keeps it: the counts of what was put into the table by hand. */
static inline void kit_count_transactions(struct kit *k)
{
    /* Blocks of 512, so that a few thousand rows have several: readers need only that they follow the numbers. */
    kit_sql(k, "UPDATE transactions SET block = number >> 9");
    kit_sql(k, "INSERT OR IGNORE INTO transaction_blocks SELECT DISTINCT block FROM transactions");
    kit_sql(k, "DELETE FROM transaction_counts");
    static const char *const blocks[] = {"1, 0, number >> 10",     "1, 1, number >> 15",     "1, 2, number >> 20",
                                         "2, 0, started_at >> 28", "2, 1, started_at >> 33", "2, 2, started_at >> 38"};
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        char sql[200];
        (void)snprintf(sql, sizeof sql, "INSERT INTO transaction_counts SELECT %s, 2 * connector_id + (state = 'open'), COUNT(*) FROM transactions GROUP BY 3, 4",
                       blocks[i]);
        kit_sql(k, sql);
    }
}

static inline int kit_connect(const struct kit *k)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)k->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0);
    return fd;
}

static inline void kit_send(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the other side had enough: what it said is read by who looks */
        bytes += n;
        len -= (size_t)n;
    }
}

/* More bytes into *b until text is in it, or the end of the connection, or no patience is left. */
static inline bool kit_await(int fd, struct buf *b, const char *text)
{
    for (int waited = 0; waited < KIT_PATIENCE;) {
        buf_put_byte(b, 0);
        b->len--;
        if (text != NULL && strstr((const char *)b->at, text) != NULL)
            return true;
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, 100) == 0) {
            waited += 100;
            continue;
        }
        uint8_t *to = buf_reserve(b, 65536);
        ssize_t n = to == NULL ? -1 : recv(fd, to, 65536, 0);
        if (n <= 0)
            return text == NULL;
        b->len += (size_t)n;
    }
    return false;
}

struct kit_answer {
    int status;
    struct buf all; /* terminated */
    const char *body;
};

static inline void kit_parse(struct kit_answer *a)
{
    buf_put_byte(&a->all, 0);
    const char *text = (const char *)a->all.at, *end = strstr(text, "\r\n\r\n");
    a->status = strncmp(text, "HTTP/1.1 ", 9) == 0 ? atoi(text + 9) : 0;
    a->body = end == NULL ? "" : end + 4;
}

/* Sends bytes as they are and reads until the connection ends; the request says "Connection: close". */
static inline void kit_raw(const struct kit *k, const char *bytes, size_t len, struct kit_answer *a)
{
    int fd = kit_connect(k);
    buf_init(&a->all, KIT_READ_MAX);
    kit_send(fd, bytes, len);
    (void)kit_await(fd, &a->all, NULL);
    (void)close(fd);
    kit_parse(a);
}

/* headers: whole lines with their ends; body NULL: none, else with Content-Type and Content-Length. key NULL: none. */
static inline void kit_call(const struct kit *k, const char *key, const char *method, const char *target,
                            const char *headers, const char *body, struct kit_answer *a)
{
    struct buf b;
    buf_init(&b, KIT_READ_MAX);
    buf_printf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s", method, target,
               headers == NULL ? "" : headers);
    if (key != NULL)
        buf_printf(&b, "Authorization: Bearer %s\r\n", key);
    if (body != NULL)
        buf_printf(&b, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    buf_printf(&b, "\r\n%s", body == NULL ? "" : body);
    kit_raw(k, (const char *)b.at, b.len, a);
    buf_release(&b);
}

static inline bool kit_has(const struct kit_answer *a, const char *text)
{
    return strstr((const char *)a->all.at, text) != NULL;
}

/* One call, its status and one text that its answer has. */
static inline void kit_expect(const struct kit *k, const char *row, const char *key, const char *method,
                              const char *target, const char *headers, const char *body, int status, const char *text)
{
    struct kit_answer a;
    kit_call(k, key, method, target, headers, body, &a);
    CHECK(row, a.status == status);
    CHECK(row, kit_has(&a, text));
    if (a.status != status || !kit_has(&a, text))
        (void)fprintf(stderr, "%.600s\n", (const char *)a.all.at);
    buf_release(&a.all);
}
#endif
