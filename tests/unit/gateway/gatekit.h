/* tests/unit/gateway/gatekit.h - a whole gateway over a log, a bus and a store of its own in a folder that goes with
 * it, driven by the test: one loop carries the server's side and the piles', and runs until what the test waits for is
 * so. Nothing waits by the clock but the guard.
 *
 * What cannot be had from outside is made to happen here: a log that takes nothing (kit.is_log_full), tables that stand
 * still (kit_is_table_stuck: they say so; kit_hold_tables: they do), another life of the process from what is on disk
 * at this moment (kit_crash). */
#ifndef TESTS_GATEKIT_H
#define TESTS_GATEKIT_H
#include "check.h"
#include "eventlog/reader.h"
#include "gateway/parts.h"
#include "place.h"
#include "services/files/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIT_GUARD_MS   10000
#define KIT_TICK_MS    10 /* what other threads change is looked at so often */
#define KIT_SETS_MAX   24
#define KIT_FRAMES_MAX 1024
#define KIT_PATH_MAX   PLACE_PATH_MAX

#define KIT_A      0x04CEAA40u /* AP13544000 */
#define KIT_A_NAME "AP13544000"
#define KIT_B      0x04D728D6u /* AP14100694 */
#define KIT_B_NAME "AP14100694"
#define KIT_HOST   0x09D62684u /* AP14034564 */
/* Of a pile "new RS-485" with two ports; of both of them idle. */
#define KIT_REGISTRATION "7E00 02 00 10"
#define KIT_HEARTBEAT    "9808 02 00 00"

struct kit_frame {
    uint32_t id;
    uint16_t message_id;
    uint8_t command;
    bool is_taken; /* a test has had it */
    uint8_t payload[AP3000_PAYLOAD_SIZE_MAX];
    size_t len;
};

/* The other end of a connection: a module. */
struct kit_line {
    struct conn *conn; /* NULL: not there */
    bool is_open;
    struct ap3000_stream stream;
    struct kit_frame frames[KIT_FRAMES_MAX]; /* that came down */
    size_t count;
};

struct kit_command {
    unsigned queued, refused, done;
    enum err error;
    char id[65], outcome[16], status[64], reason[48];
};

struct kit {
    char dir[PLACE_MAX], log_dir[KIT_PATH_MAX], db_path[KIT_PATH_MAX], files_dir[KIT_PATH_MAX];
    const char *sets[KIT_SETS_MAX];
    size_t set_count;
    size_t pending_max; /* of the log; 0: as configured */
    struct config config;
    struct loop *loop;
    struct eventlog *log;
    struct stations *stations;
    struct consumer consumer;
    struct bus *bus;
    struct files *files;
    struct gateway *gateway;
    uint64_t id_key[2];
    uint64_t changes;
    struct timer guard, tick;
    bool (*is_there)(void *arg);
    void *arg;
    bool is_met, is_late, is_drained;
};

#ifdef __SANITIZE_THREAD__
/* libuv closes descriptors where the sanitizer does not see it: whoever gets the number next, on another thread, seems
 * to race with who had it. Here that is the reader of the log's folder, when it closes it. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race_top:closedir\n";
}
#endif

/* Asked by the log's thread and by the writer's. */
static atomic_bool kit_is_log_full, kit_is_table_stuck;
static pthread_mutex_t kit_told_lock = PTHREAD_MUTEX_INITIALIZER;
static struct gateway *kit_told;
/* The consumer passes it with each event. */
static pthread_mutex_t kit_tables_gate = PTHREAD_MUTEX_INITIALIZER;
static enum err (*kit_take_event)(void *state, struct db *d, const struct event *e, struct fault *why);

/* --- waiting --- */

static inline void kit_look(void *data)
{
    struct kit *k = data;
    if (k->is_there != NULL && !k->is_met && k->is_there(k->arg)) {
        k->is_met = true;
        loop_stop(k->loop);
    }
}

static inline void kit_on_tick(struct timer *t)
{
    struct kit *k = CONTAINER(t, struct kit, tick);
    if (k->is_there != NULL)
        timer_start(k->loop, t, KIT_TICK_MS);
}

static inline void kit_on_guard(struct timer *t)
{
    struct kit *k = CONTAINER(t, struct kit, guard);
    k->is_late = true;
    loop_stop(k->loop);
}

/* Runs the loop until it is so; false, and the row fails, when it never is. */
static inline bool kit_until(struct kit *k, const char *row, bool (*is_there)(void *arg), void *arg)
{
    k->is_late = false;
    k->is_met = is_there(arg);
    if (!k->is_met) {
        k->is_there = is_there;
        k->arg = arg;
        timer_start(k->loop, &k->guard, KIT_GUARD_MS);
        timer_start(k->loop, &k->tick, KIT_TICK_MS);
        loop_run(k->loop);
        timer_stop(&k->guard);
        timer_stop(&k->tick);
        k->is_there = NULL;
    }
    CHECK(row, k->is_met);
    return k->is_met;
}

static inline bool kit_is_true(void *arg)
{
    return *(const bool *)arg;
}

static inline bool kit_is_written(void *arg)
{
    struct kit *k = arg;
    return eventlog_durable(k->log) == eventlog_position(k->log) && k->gateway->flushed == eventlog_durable(k->log);
}

static inline bool kit_is_in_tables(void *arg)
{
    struct kit *k = arg;
    return kit_is_written(k) && atomic_load(&k->gateway->projected) >= eventlog_position(k->log);
}

/* Everything that happened so far is on disk, or in the tables too. */
static inline void kit_settle(struct kit *k)
{
    (void)kit_until(k, "the log is written", kit_is_written, k);
}
static inline void kit_settle_tables(struct kit *k)
{
    (void)kit_until(k, "the tables are there", kit_is_in_tables, k);
}

/* --- opening and closing --- */

static inline ssize_t kit_pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    if (atomic_load(&kit_is_log_full)) {
        errno = ENOSPC;
        return -1;
    }
    return log_files_system.pwritev(fd, parts, count, at);
}

static inline void kit_on_durable(void *data, uint64_t position)
{
    (void)data;
    (void)pthread_mutex_lock(&kit_told_lock);
    if (kit_told != NULL)
        gateway_on_durable(kit_told, position);
    (void)pthread_mutex_unlock(&kit_told_lock);
}

static inline void kit_on_projected(void *data, uint64_t position)
{
    (void)data;
    (void)pthread_mutex_lock(&kit_told_lock);
    if (kit_told != NULL && !atomic_load(&kit_is_table_stuck))
        gateway_on_projected(kit_told, position);
    (void)pthread_mutex_unlock(&kit_told_lock);
}

static inline void kit_tell(struct gateway *g)
{
    (void)pthread_mutex_lock(&kit_told_lock);
    kit_told = g;
    (void)pthread_mutex_unlock(&kit_told_lock);
}

/* The tables go on: what they were asked to keep to themselves is told. */
static inline void kit_unstick_tables(struct kit *k)
{
    struct consumer_status s;
    atomic_store(&kit_is_table_stuck, false);
    bus_status(k->bus, 0, &s);
    gateway_on_projected(k->gateway, s.position);
}

/* From here on until kit_release_tables() no event gets into the tables. */
static inline void kit_hold_tables(void)
{
    (void)pthread_mutex_lock(&kit_tables_gate);
}
static inline void kit_release_tables(void)
{
    (void)pthread_mutex_unlock(&kit_tables_gate);
}

static inline enum err kit_on_event(void *state, struct db *d, const struct event *e, struct fault *why)
{
    kit_hold_tables();
    kit_release_tables();
    return kit_take_event(state, d, e, why);
}

static inline void kit_open_parts(struct kit *k, struct fault *why)
{
    static struct log_files files;
    struct db *d;
    static const uint8_t random[16] = {7};
    files = log_files_system;
    files.pwritev = kit_pwritev;
    check(db_open(k->db_path, DB_WRITER, &d, why) == OK);
    check(db_migrate(d, bus_migrations, bus_migration_count, why) == OK);
    check(db_migrate(d, stations_migrations, stations_migration_count, why) == OK);
    check(db_migrate(d, files_migrations, files_migration_count, why) == OK);
    check(stations_id_key(d, random, k->id_key) == OK);
    db_close(d);
    const struct files_options fo = {.dir = str_of(k->files_dir), .count_max = k->config.files_count_max};
    check(files_open(&fo, &k->files, why) == OK);
    struct eventlog_options lo = eventlog_options_default();
    lo.dir = str_of(k->log_dir);
    lo.gateway_id = k->config.gateway_id;
    lo.sync = false; /* a kill keeps what was written: only a power cut would not */
    lo.files = &files;
    lo.retry_ms = 5;
    lo.pending_max = k->pending_max > 0 ? k->pending_max : lo.pending_max;
    lo.on_durable = kit_on_durable;
    check(eventlog_open(&lo, &k->log, why) == OK);
    k->stations = stations_new(k->id_key, k->config.gateway_id, kit_on_projected, NULL);
    stations_consumer(k->stations, &k->consumer);
    kit_take_event = k->consumer.on_event;
    k->consumer.on_event = kit_on_event;
    struct bus_options bo = bus_options_default();
    bo.log_dir = str_of(k->log_dir);
    bo.log = k->log;
    bo.db_path = k->db_path;
    bo.gather_ms = 0;
    bo.consumers = &k->consumer;
    bo.consumer_count = 1;
    check(bus_open(&bo, &k->bus, why) == OK);
    check(bus_catch_up(k->bus, why) == OK);
}

/* A life of the process on what its folder holds, as serve.c builds it. */
static inline void kit_start(struct kit *k)
{
    struct fault why = {"", ""};
    kit_open_parts(k, &why);
    k->loop = loop_new();
    const struct gateway_options o = {.config = &k->config,
                                      .loop = k->loop,
                                      .log = k->log,
                                      .bus = k->bus,
                                      .db_path = k->db_path,
                                      .log_dir = str_of(k->log_dir),
                                      .files_dir = str_of(k->files_dir)};
    check(gateway_open(&o, &k->gateway, &why) == OK);
    kit_tell(k->gateway);
    while (eventlog_durable(k->log) < eventlog_position(k->log))
        eventlog_wait(k->log, eventlog_position(k->log) - 1, KIT_GUARD_MS);
    gateway_on_durable(k->gateway, eventlog_durable(k->log));
    check(bus_catch_up(k->bus, &why) == OK);
    check(bus_start(k->bus) == OK);
    enum err e = gateway_listen(k->gateway, &why);
    if (e != OK)
        (void)fprintf(stderr, "%s: %s\n", why.field, why.reason);
    check(e == OK);
    loop_on_round_end(k->loop, kit_look, k);
    timer_init(&k->guard, kit_on_guard);
    timer_init(&k->tick, kit_on_tick);
    k->is_drained = false;
}

static inline void kit_on_drained(void *data)
{
    ((struct kit *)data)->is_drained = true;
    kit_look(data);
}

/* False: it did not come to its end by itself. */
static inline bool kit_drain(struct kit *k, const char *row)
{
    gateway_drain(k->gateway, kit_on_drained, k);
    return kit_until(k, row, kit_is_true, &k->is_drained);
}

static inline void kit_tear_down(struct kit *k)
{
    kit_tell(NULL);
    gateway_close(k->gateway);
    bus_stop(k->bus);
    bus_close(k->bus);
    eventlog_close(k->log);
    stations_free(k->stations);
    files_close(k->files);
    loop_free(k->loop);
}

static inline void kit_stop(struct kit *k)
{
    (void)kit_drain(k, "it stops");
    kit_tear_down(k);
}

static inline void kit_name_paths(struct kit *k)
{
    (void)snprintf(k->log_dir, sizeof k->log_dir, "%s/log", k->dir);
    (void)snprintf(k->db_path, sizeof k->db_path, "%s/store.db", k->dir);
    (void)snprintf(k->files_dir, sizeof k->files_dir, "%s/files", k->dir);
}

static inline void kit_configure(struct kit *k)
{
    struct fault why = {"", ""};
    char *none[] = {NULL};
    static const char *const always[] = {"listen.ocpp=127.0.0.1:0", "listen.ap3000=127.0.0.1:0",
                                         "ap3000.frame_spacing_ms=0", "ap3000.line_frames_per_s=1000",
                                         "authorization.max_concurrent=0"};
    const char *all[COUNT_OF(always) + KIT_SETS_MAX];
    memcpy(all, always, sizeof always);
    memcpy(all + COUNT_OF(always), k->sets, k->set_count * sizeof *all);
    check(config_load((struct str){NULL, 0}, all, COUNT_OF(always) + k->set_count, none, &k->config, &why) == OK);
}

/* sets: further settings, "key=value", behind those of every kit: free ports, no pauses between frames. */
static inline void kit_open(struct kit *k, const char *const *sets, size_t count)
{
    memset(k, 0, sizeof *k);
    check(count <= KIT_SETS_MAX);
    log_setup(STDERR_FILENO, LOG_LEVEL_ERROR, false, clock_now_us);
    place_make(k->dir, "gateway");
    kit_name_paths(k);
    if (count > 0)
        memcpy(k->sets, sets, count * sizeof *sets);
    k->set_count = count;
    kit_configure(k);
}

static inline void kit_remove(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[512];
        (void)snprintf(path, sizeof path, "%.200s/%.200s", dir, e->d_name);
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlink(path) != 0)
            kit_remove(path);
    }
    if (d != NULL)
        (void)closedir(d);
    (void)rmdir(dir);
}

static inline void kit_close(struct kit *k)
{
    kit_stop(k);
    config_release(&k->config);
    kit_remove(k->dir);
}

/* --- the store --- */

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

static inline bool kit_has_changed(void *arg)
{
    const struct kit *k = arg;
    return k->gateway->station_changes != k->changes;
}

/* As the API does it: the row, then word of it, and that has been heard. */
static inline void kit_register(struct kit *k, const char *station, const char *registration)
{
    char sql[400];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO charge_points (charge_point_id, registration, created_at, updated_at)"
                   " VALUES ('%s', '%s', 1, 1) ON CONFLICT (charge_point_id) DO UPDATE SET registration = '%s'",
                   station, registration, registration);
    kit_sql(k, sql);
    k->changes = k->gateway->station_changes;
    gateway_station_changed(k->gateway, str_of(station));
    (void)kit_until(k, "what a person changed is heard of", kit_has_changed, k);
}

/* The first column of the first row, as text. */
static inline void kit_query(struct kit *k, const char *sql, char *out, size_t size)
{
    struct fault why;
    struct db *d;
    check(db_open(k->db_path, DB_READER, &d, &why) == OK);
    struct db_rows *r = db_rows_dynamic(d, str_of(sql), NULL, 0);
    (void)str_copy(out, size, db_next(r) ? db_col_text(r, 0) : STR("(none)"));
    check(db_rows_end(r) == OK);
    db_close(d);
}

/* --- the log --- */

/* How many events of this type (and station, NULL: any) there are whose payload has this text in it (NULL: any). */
static inline unsigned kit_count(struct kit *k, enum event_type type, const char *station, const char *text)
{
    struct log_reader *r;
    struct event e;
    struct fault why;
    unsigned n = 0;
    kit_settle(k);
    if (reader_open(str_of(k->log_dir), &r, &why) != OK)
        return 0;
    reader_seek(r, 1);
    while (reader_next(r, &e, &why) == OK) {
        bool is_meant = e.type == type && (station == NULL || str_eq(e.station, str_of(station)));
        n += is_meant &&
             (text == NULL || (e.payload.len > 0 && memmem(e.payload.at, e.payload.len, text, strlen(text)) != NULL));
    }
    reader_close(r);
    return n;
}

/* --- piles --- */

static inline void kit_on_client_open(struct conn *c)
{
    ((struct kit_line *)conn_data(c))->is_open = true;
}

static inline void kit_on_client_bytes(struct conn *c, struct bytes in)
{
    struct kit_line *l = conn_data(c);
    struct ap3000_unit u;
    while (ap3000_stream_next(&l->stream, &in, &u)) {
        if (u.kind != AP3000_FRAME || l->count == KIT_FRAMES_MAX)
            continue;
        struct kit_frame *f = &l->frames[l->count++];
        *f = (struct kit_frame){.id = u.frame.physical_id,
                                .message_id = u.frame.message_id,
                                .command = u.frame.command,
                                .len = u.frame.payload.len};
        memcpy(f->payload, u.frame.payload.at, f->len);
    }
}

static inline void kit_on_client_close(struct conn *c, enum conn_end why, uint16_t code)
{
    struct kit_line *l = conn_data(c);
    (void)why, (void)code;
    l->conn = NULL;
    l->is_open = false;
    ap3000_stream_release(&l->stream);
}

/* iccid NULL: it says none. */
static inline void kit_connect(struct kit *k, struct kit_line *l, const char *iccid)
{
    static const struct conn_handlers handlers = {
        .on_open = kit_on_client_open, .on_bytes = kit_on_client_bytes, .on_close = kit_on_client_close};
    static struct conn_options options;
    options = conn_options_default();
    options.is_raw = true;
    options.write_queue_max = (size_t)16 << 20;
    struct conn_target t = {.host = STR("127.0.0.1"), .port = listener_port(k->gateway->piles)};
    memset(l, 0, sizeof *l);
    ap3000_stream_init(&l->stream);
    check(conn_connect(k->loop, &t, &options, &handlers, l, &l->conn) == OK);
    conn_set_data(l->conn, l);
    (void)kit_until(k, "it connects", kit_is_true, &l->is_open);
    if (iccid != NULL && l->conn != NULL)
        check(conn_send(l->conn, (struct bytes){(const uint8_t *)iccid, strlen(iccid)}, false) == OK);
}

static inline bool kit_is_gone(void *arg)
{
    return ((const struct kit_line *)arg)->conn == NULL;
}

static inline bool kit_has_no_lines(void *arg)
{
    const struct kit *k = arg;
    return list_is_empty(&k->gateway->lines);
}

static inline void kit_hang_up(struct kit *k, struct kit_line *l)
{
    if (l->conn != NULL)
        conn_close(l->conn, CONN_END_OURS, 0, STR(""));
    (void)kit_until(k, "it hangs up", kit_is_gone, l);
}

static inline size_t kit_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    for (unsigned digits = 0, value = 0; *hex != 0; hex++) {
        if (*hex == ' ')
            continue;
        value = value << 4 | (unsigned)(*hex <= '9' ? *hex - '0' : *hex - 'A' + 10);
        if (++digits % 2 == 0)
            out[n++] = (uint8_t)value;
    }
    return n;
}

static inline size_t kit_write(uint32_t id, uint16_t message_id, uint8_t command, const char *hex, uint8_t *out)
{
    uint8_t payload[AP3000_PAYLOAD_SIZE_MAX];
    size_t size = 0;
    struct ap3000_frame f = {
        .physical_id = id, .message_id = message_id, .command = command, .payload = {payload, kit_hex(hex, payload)}};
    check(ap3000_frame_write(&f, out, AP3000_SENT_SIZE_MAX, &size) == OK);
    return size;
}

static inline void kit_say(struct kit_line *l, uint32_t id, uint16_t message_id, uint8_t command, const char *hex)
{
    uint8_t frame[AP3000_SENT_SIZE_MAX];
    size_t size = kit_write(id, message_id, command, hex, frame);
    if (l->conn != NULL)
        (void)(conn_send(l->conn, (struct bytes){frame, size}, false) == OK);
}

struct kit_wanted {
    struct kit_line *line;
    uint32_t id;
    uint8_t command;
    struct kit_frame *found;
};

static inline bool kit_has_frame(void *arg)
{
    struct kit_wanted *w = arg;
    for (size_t i = 0; i < w->line->count && w->found == NULL; i++) {
        struct kit_frame *f = &w->line->frames[i];
        if (!f->is_taken && f->id == w->id && f->command == w->command)
            w->found = f;
    }
    return w->found != NULL;
}

/* The next frame of this command to this pile, in the order they came; NULL, and the row fails: it never comes. */
static inline struct kit_frame *kit_expect(struct kit *k, const char *row, struct kit_line *l, uint32_t id,
                                           uint8_t command)
{
    struct kit_wanted w = {l, id, command, NULL};
    if (!kit_until(k, row, kit_has_frame, &w))
        return NULL;
    w.found->is_taken = true;
    return w.found;
}

/* Has such a frame come that no test has had yet? Asked behind an answer that it would have come before. */
static inline bool kit_has(struct kit_line *l, uint32_t id, uint8_t command)
{
    struct kit_wanted w = {l, id, command, NULL};
    return kit_has_frame(&w);
}

/* It asks for the time and is answered: what it said before has been decided, and what was to leave before has left. */
static inline void kit_fence(struct kit *k, const char *row, struct kit_line *l, uint32_t id)
{
    static uint16_t message_id = 0x7000;
    kit_say(l, id, ++message_id, 0x22, "");
    (void)kit_expect(k, row, l, id, 0x22);
}

/* It registers, and that is answered. */
static inline void kit_arrive(struct kit *k, struct kit_line *l, uint32_t id)
{
    kit_say(l, id, 1, 0x20, KIT_REGISTRATION);
    (void)kit_expect(k, "it is let in", l, id, 0x20);
}

static inline struct slot *kit_slot(struct kit *k, const char *station)
{
    return slot_find(k->gateway, str_of(station));
}

static inline bool kit_is_online(struct kit *k, const char *station)
{
    struct slot *s = kit_slot(k, station);
    return s != NULL && s->session != NULL;
}

/* --- commands --- */

static inline void kit_on_queued(void *data, const struct command_result *r, enum err e, const struct fault *why)
{
    struct kit_command *c = data;
    (void)why;
    c->error = e;
    c->queued += e == OK;
    c->refused += e != OK;
    if (r != NULL)
        (void)str_copy(c->id, sizeof c->id, r->command_id);
}

static inline void kit_on_done(void *data, const struct command_result *r)
{
    struct kit_command *c = data;
    c->done++;
    (void)str_copy(c->outcome, sizeof c->outcome, r->outcome);
    (void)str_copy(c->status, sizeof c->status, r->status);
    (void)str_copy(c->reason, sizeof c->reason, r->reason.at == NULL ? STR("") : r->reason);
}

static inline void kit_submit(struct kit *k, struct kit_command *c, const char *station, const char *action,
                              const char *payload)
{
    *c = (struct kit_command){0};
    struct command_request r = {
        .station = str_of(station), .action = str_of(action), .payload = str_of(payload), .origin = STR("api")};
    gateway_submit(k->gateway, &r, &(struct command_listener){kit_on_queued, kit_on_done, c});
}

static inline bool kit_is_queued(void *arg)
{
    const struct kit_command *c = arg;
    return c->queued + c->refused > 0;
}
static inline bool kit_is_done(void *arg)
{
    const struct kit_command *c = arg;
    return c->done + c->refused > 0;
}

/* It ends, in this way; reason "": none. */
static inline void kit_expect_end(struct kit *k, const char *row, struct kit_command *c, const char *outcome,
                                  const char *reason)
{
    if (!kit_until(k, row, kit_is_done, c))
        return;
    CHECK(row, c->done == 1 && strcmp(c->outcome, outcome) == 0);
    CHECK(row, strcmp(c->reason, reason) == 0);
    if (strcmp(c->outcome, outcome) != 0 || strcmp(c->reason, reason) != 0)
        (void)fprintf(stderr, "  error %d outcome %s status %s reason %s\n", (int)c->error, c->outcome, c->status,
                      c->reason);
}

/* --- another life --- */

static inline void kit_copy_file(const char *from, const char *to)
{
    char bytes[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(in >= 0 && out >= 0);
    for (ssize_t n; (n = read(in, bytes, sizeof bytes)) > 0;)
        check(write(out, bytes, (size_t)n) == n);
    (void)close(in);
    (void)close(out);
}

static inline void kit_copy_dir(const char *from, const char *to)
{
    DIR *d = opendir(from);
    check(d != NULL && (mkdir(to, 0700) == 0 || errno == EEXIST));
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char source[512], target[512];
        struct stat s;
        (void)snprintf(source, sizeof source, "%.200s/%.200s", from, e->d_name);
        (void)snprintf(target, sizeof target, "%.200s/%.200s", to, e->d_name);
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || stat(source, &s) != 0)
            continue;
        if (S_ISDIR(s.st_mode))
            kit_copy_dir(source, target);
        else
            kit_copy_file(source, target);
    }
    (void)closedir(d);
}

static inline enum err kit_copy_now(struct db *d, void *arg, struct fault *why)
{
    char **dirs = arg;
    (void)d, (void)why;
    kit_copy_dir(dirs[0], dirs[1]);
    return OK;
}

/* As after kill -9: the next life begins with what is on disk now. What this one would still do is done without it. */
static inline void kit_crash(struct kit *k)
{
    struct fault why;
    char dir[sizeof k->dir];
    char *dirs[2] = {k->dir, dir};
    place_make(dir, "gateway");
    check(bus_write(k->bus, kit_copy_now, dirs, &why) == OK); /* the writer holds still meanwhile */
    kit_stop(k);
    kit_remove(k->dir);
    memcpy(k->dir, dir, sizeof k->dir);
    kit_name_paths(k);
    kit_start(k);
}

static inline void kit_restart(struct kit *k)
{
    kit_stop(k);
    kit_start(k);
}
#endif
