/* gateway/gateway.c - opening and draining, the round, and what is held until it is durable.
 *
 * Answers, accepted upgrades, commands about to leave and results for the API all wait in one queue, in the order of
 * the log positions that they depend on; what depends on nothing that is not yet there, and has nothing of its own
 * station before it, goes past it. The log's thread says how far the disk is; everything up to there leaves, in order.
 * So the order in which a station was answered is the order in which it asked, and nothing overtakes the disk. */
#include "gateway/parts.h"

#include <sys/random.h>

#define MAILBOX_MAX      4096
#define WORKER_THREADS   2
#define DRAIN_CHECK_MS   20
#define DRAIN_ANSWERS_MS 1000 /* for what a station is owed; then it is closed all the same */

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* xoshiro256++, seeded from the system: for trace ids, message ids and the tails of quarantine ids, none of them a
 * secret. */
static inline uint64_t random_next(struct gateway *g)
{
    uint64_t *s = g->random_state, result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

void gateway_random(struct gateway *g, uint8_t *out, size_t len)
{
    uint64_t r;
    for (; len >= sizeof r; out += sizeof r, len -= sizeof r) {
        r = random_next(g);
        memcpy(out, &r, sizeof r);
    }
    if (len > 0) {
        r = random_next(g);
        memcpy(out, &r, len);
    }
}

void gateway_append(struct gateway *g, struct slot *slot, struct event *e, const uint8_t *trace)
{
    if (trace != NULL)
        memcpy(e->trace, trace, sizeof e->trace);
    else
        gateway_random(g, e->trace, sizeof e->trace);
    /* Room was seen to before a message, a connection or a command was taken up. What follows from it is bounded by its
     * limits, and is never refused: with a disk that stands still for long, one message's events, and an end for each
     * connection and command. */
    check(!g->text.failed && eventlog_append_always(g->log, e) == OK);
    if (slot != NULL)
        slot->station.position = e->position;
    metric_add_label_alone(METRIC_EVENTS, event_kinds[e->type].wire, 1);
}

size_t gateway_append_all(struct gateway *g, struct slot *slot, const struct event *events, size_t count,
                          const uint8_t *trace)
{
    uint8_t made[16];
    size_t quarantined = 0;
    if (trace == NULL) {
        gateway_random(g, made, sizeof made);
        trace = made;
    }
    for (size_t i = 0; i < count; i++) {
        struct event e = events[i];
        gateway_append(g, slot, &e, trace);
        quarantined += e.type == EVENT_QUARANTINED;
    }
    if (quarantined > 0)
        metric_add(METRIC_QUARANTINED, (int64_t)quarantined);
    return quarantined;
}

void gateway_append_frame(struct gateway *g, struct slot *slot, struct str text, struct str answer, struct instant now)
{
    struct event e = {.type = EVENT_FRAME,
                      .station = str_of(slot->station.id),
                      .received = now,
                      .device_time = INSTANT_NONE,
                      .payload = STR("{}"),
                      .frame = text,
                      .answer = answer};
    gateway_append(g, slot, &e, NULL);
}

uint64_t gateway_tell(struct gateway *g, struct slot *slot, enum event_type type, const void *payload)
{
    buf_clear(&g->text);
    schema_write(event_kinds[type].payload, payload, &g->text);
    struct event e = {.type = type,
                      .station = slot == NULL ? g->config->gateway_id : str_of(slot->station.id),
                      .received = clock_now(),
                      .device_time = INSTANT_NONE,
                      .payload = buf_str(&g->text)};
    if (slot != NULL && event_kinds[type].is_published)
        e.sequence = ++slot->station.sequence;
    gateway_append(g, slot, &e, NULL);
    return e.position;
}

bool gateway_is_pile(const struct gateway *g, struct str charge_point_id)
{
    return g->config->listen_ap3000.len > 0 && pile_id_is(charge_point_id);
}

bool gateway_has_room(struct gateway *g)
{
    return eventlog_has_room(g->log);
}

/* --- what is held --- */

struct held *held_new(struct gateway *g, enum held_kind kind, struct str bytes)
{
    struct held *h = bytes.len <= HELD_SMALL ? g->held_spare : NULL;
    if (h != NULL) {
        g->held_spare = h->next;
        g->held_spare_count--;
        *h = (struct held){0};
    } else {
        h = mem_new(1, sizeof *h + (bytes.len <= HELD_SMALL ? HELD_SMALL : bytes.len));
    }
    h->kind = kind;
    h->len = bytes.len;
    if (bytes.len > 0)
        memcpy(h->bytes, bytes.at, bytes.len);
    return h;
}

static void held_free(struct gateway *g, struct held *h)
{
    if (h->len > HELD_SMALL || g->held_spare_count == HELD_SPARE_MAX) {
        free(h);
        return;
    }
    h->next = g->held_spare;
    g->held_spare = h;
    g->held_spare_count++;
}

static void leave(struct gateway *g, struct held *h, struct instant now)
{
    struct session *s = h->session;
    switch (h->kind) {
    case HELD_ANSWER:
        session_send(s, (struct bytes){(const uint8_t *)h->bytes, h->len});
        metric_observe_us_alone(METRIC_PUBLISH_LATENCY, instant_since(now, h->received).us);
        break;
    case HELD_ACCEPT:
        if (s->conn != NULL)
            session_accept(s);
        break;
    case HELD_COMMAND:
        h->command->held--;
        command_leave(g, h->command, s, (struct str){h->bytes, h->len});
        break;
    case HELD_QUEUED:
        h->command->held--;
        command_tell_queued(h->command);
        break;
    case HELD_DONE:
        h->command->held--;
        command_tell_done(g, h->command);
        break;
    case HELD_CALL:
        h->done(h->data, OK, NULL);
        break;
    }
    if (s != NULL) {
        s->held--;
        if (s->held <= HELD_A_STATION_MAX / 2)
            session_resume(s, PAUSE_HELD);
        session_unref(s);
    }
    held_free(g, h);
}

static void flush(struct gateway *g, uint64_t durable)
{
    struct instant now = clock_now();
    g->flushed = durable;
    while (g->held_first != NULL && g->held_first->position <= durable) {
        struct held *h = g->held_first;
        g->held_first = h->next;
        if (g->held_first == NULL)
            g->held_last = NULL;
        g->held_count--;
        leave(g, h, now);
    }
    while (!list_is_empty(&g->paused_room) && gateway_has_room(g)) {
        struct session *s = CONTAINER(g->paused_room.next, struct session, turn);
        list_take(&s->turn);
        call_again(s);
    }
}

void held_add(struct gateway *g, struct held *h, uint64_t position)
{
#ifdef DEFECT_NO_SYNC /* planted: told before it is on the disk */
    position = 0;
#endif
    bool is_first = h->session != NULL ? h->session->held == 0 : g->held_first == NULL;
    h->position = g->held_last != NULL && g->held_last->position > position ? g->held_last->position : position;
    if (h->session != NULL)
        h->session->held++;
    if (h->command != NULL)
        h->command->held++;
    if (is_first && position <= g->flushed) { /* nobody waits for what another station has to wait for */
        leave(g, h, h->received);
        return;
    }
    if (g->held_last != NULL)
        g->held_last->next = h;
    else
        g->held_first = h;
    g->held_last = h;
    g->held_count++;
    if (h->session != NULL && h->session->held >= HELD_A_STATION_MAX)
        session_pause(h->session, PAUSE_HELD);
}

static void on_durable_mail(struct mail *m)
{
    struct gateway *g = CONTAINER(m, struct gateway, durable_mail.mail);
    atomic_store(&g->durable_mail.is_posted, false);
    flush(g, atomic_load(&g->durable));
}

void gateway_on_durable(struct gateway *g, uint64_t position)
{
    atomic_store(&g->durable, position);
    if (!atomic_exchange(&g->durable_mail.is_posted, true))
        mailbox_post_always(g->mailbox, &g->durable_mail.mail);
}

static void on_projected_mail(struct mail *m)
{
    struct gateway *g = CONTAINER(m, struct gateway, projected_mail.mail);
    atomic_store(&g->projected_mail.is_posted, false);
    lookups_go_on(g);
}

void gateway_on_projected(struct gateway *g, uint64_t position)
{
    atomic_store(&g->projected, position);
    if (atomic_load(&g->waiting_table_count) > 0 && !atomic_exchange(&g->projected_mail.is_posted, true))
        mailbox_post_always(g->mailbox, &g->projected_mail.mail);
}

/* --- the round --- */

static void on_round_end(void *data)
{
    struct gateway *g = data;
    eventlog_commit(g->log);
    g->round++;
    atomic_store(&g->stat_connections, g->session_count);
    atomic_store(&g->stat_slots, g->slots.count);
    atomic_store(&g->stat_held, g->held_count);
    metric_set(METRIC_CONNECTED, (int64_t)g->session_count);
}

/* --- opening --- */

static void *open_reader(void *arg)
{
    struct db *d = NULL;
    struct fault why;
    if (db_open(((struct gateway *)arg)->db_path, DB_READER, &d, &why) != OK)
        LOG_ERROR("store.unreadable", F_CSTR("err", why.reason));
    return d;
}

static void close_reader(void *state)
{
    db_close(state);
}

static void split_prefixes(struct gateway *g)
{
    struct str rest = g->config->ocpp_path;
    while (rest.len > 0 && g->prefix_count < PREFIXES_MAX) {
        size_t n = 0;
        while (n < rest.len && rest.at[n] != '|')
            n++;
        if (n > 0)
            g->prefixes[g->prefix_count++] = (struct str){rest.at, n};
        rest = n < rest.len ? (struct str){rest.at + n + 1, rest.len - n - 1} : (struct str){rest.at + n, 0};
    }
}

static struct gateway *gateway_new(const struct gateway_options *o)
{
    const struct config *c = o->config;
    struct gateway *g = mem_new(1, sizeof *g);
    g->config = c;
    g->loop = o->loop;
    g->log = o->log;
    g->bus = o->bus;
    g->db_path = strdup(o->db_path);
    g->log_dir = strndup(o->log_dir.at, o->log_dir.len);
    g->files_dir = strndup(o->files_dir.at, o->files_dir.len);
    g->started_at = clock_now();
    g->policy = (struct ocpp_policy){
        .is_strict = c->ocpp_strict,
        .unknown_station = (enum registration)(REGISTRATION_ACCEPTED + c->device_unknown),
        .heartbeat_s = c->ocpp_heartbeat_s,
        .boot_retry_s = c->ocpp_boot_retry_s,
        .accepts_unknown_tags = c->unknown_tag == 1,
        .max_concurrent = (int32_t)c->concurrent_tx,
        .heartbeat_events = c->event_heartbeat,
        .is_packing = true,
    };
    g->pile_policy = (struct ap3000_policy){
        .unknown_pile = g->policy.unknown_station,
        .accepts_unknown_tags = g->policy.accepts_unknown_tags,
        .max_concurrent = g->policy.max_concurrent,
        .heartbeat_events = g->policy.heartbeat_events,
        .server_addresses = c->pile_servers,
    };
    check(getrandom(g->random_state, sizeof g->random_state, 0) == sizeof g->random_state);
    check(getrandom(g->hash_key, sizeof g->hash_key, 0) == sizeof g->hash_key);
    g->tags = tag_book_new(g->hash_key);
    map_init(&g->slots, g->hash_key);
    map_init(&g->tag_cache, g->hash_key);
    map_init(&g->commands, g->hash_key);
    map_init(&g->failures, g->hash_key);
    list_init(&g->sessions);
    list_init(&g->lines);
    buf_init(&g->hex, 2 * AP3000_FRAME_SIZE_MAX + 1);
    buf_init(&g->hex_answer, 2 * AP3000_FRAME_SIZE_MAX + 1);
    g->mass_told_slice = -MASS_SLICES;
    list_init(&g->paused_room);
    arena_init(&g->arena, MESSAGE_ARENA_MAX);
    g->shapes = shapes_new();
    buf_init(&g->text, MESSAGE_ARENA_MAX);
    list_init(&g->waiting_tables);
    g->durable_mail.mail.on_arrive = on_durable_mail;
    g->projected_mail.mail.on_arrive = on_projected_mail;
    g->mailbox = mailbox_new(o->loop, MAILBOX_MAX);
    g->workers = workers_new(o->loop, WORKER_THREADS, open_reader, close_reader, g);
    split_prefixes(g);
    return g;
}

static enum err count_quarantined(struct gateway *g, struct db *d)
{
    struct db_rows *r =
        db_rows(d, "SELECT COUNT(*) FROM quarantine WHERE state = 'open' AND action = 'Settlement'", NULL, 0);
    g->pile_quarantined = db_next(r) ? db_col_int(r, 0) : 0;
    return db_rows_end(r);
}

/* Whoever was connected when the process ended is not any more: consumers are told, with the station's next sequence.
 */
static enum err tell_lost(struct gateway *g, struct db *d)
{
    struct event started = {.type = EVENT_GATEWAY_STARTED,
                            .station = g->config->gateway_id,
                            .received = clock_now(),
                            .device_time = INSTANT_NONE,
                            .payload = STR("{}")};
    struct db_rows *r =
        db_rows(d, "SELECT charge_point_id, sequence, generation FROM charge_points WHERE online = 1", NULL, 0);
    while (db_next(r)) {
        /* Of a station with commands the slot is ahead of the row already: commands_resume. */
        struct slot *slot = slot_find(g, db_col_text(r, 0));
        uint64_t sequence = slot == NULL ? (uint64_t)db_col_int(r, 1) + 1 : ++slot->station.sequence;
        struct ev_disconnected p = {.reason = STR("server_shutdown"), .generation = {db_col_int(r, 2), true}};
        buf_clear(&g->text);
        schema_write(&ev_disconnected_message, &p, &g->text);
        struct event e = {.type = EVENT_DISCONNECTED,
                          .station = db_col_text(r, 0),
                          .received = clock_now(),
                          .device_time = INSTANT_NONE,
                          .sequence = sequence,
                          .payload = buf_str(&g->text)};
        gateway_append(g, slot, &e, NULL);
        if (!gateway_has_room(g))
            eventlog_commit(g->log);
    }
    enum err e = db_rows_end(r);
    gateway_append(g, NULL, &started, NULL);
    return e;
}

struct key_request {
    uint8_t random[16];
    uint64_t *key;
};
static enum err take_key(struct db *d, void *arg, struct fault *why)
{
    struct key_request *k = arg;
    (void)why;
    return stations_id_key(d, k->random, k->key);
}

enum err gateway_open(const struct gateway_options *o, struct gateway **out, struct fault *why)
{
    struct gateway *g = gateway_new(o);
    struct key_request key = {.key = g->id_key};
    struct db *d = NULL;
    check(getrandom(key.random, sizeof key.random, 0) == sizeof key.random);
    enum err e = bus_write(o->bus, take_key, &key, why);
    if (e == OK)
        e = db_open(o->db_path, DB_READER, &d, why);
    if (e == OK) {
        g->next_number = stations_last_number(d) + 1;
        e = stations_count_tags(d, g->tags);
    }
    if (e == OK)
        e = count_quarantined(g, d);
    if (e == OK)
        e = commands_resume(g, d);
    if (e == OK)
        e = tell_lost(g, d);
    db_close(d);
    eventlog_commit(o->log);
    if (e != OK) {
        gateway_close(g);
        return e;
    }
    *out = g;
    return OK;
}

static enum err listen_one(struct gateway *g, struct str address, struct tls *tls, struct listener **out,
                           struct fault *why)
{
    const struct config *c = g->config;
    struct listener_options o = {
        .address = address,
        .tls = tls,
        .conn = conn_options_default(),
        .handlers = &session_handlers,
        .data = g,
        .connections_max = (unsigned)c->connections_max,
        .handshakes_max = (unsigned)c->handshakes_max,
        .unopened_max = (unsigned)c->connections_open_max,
    };
    o.conn.limits.message_max = (size_t)c->ocpp_message_max;
    o.conn.ping_ms = (int)c->ping_s * 1000;
    o.conn.lenient_upgrade = !c->ocpp_strict;
    return address.len == 0 ? OK : listener_open(g->loop, &o, out, why);
}

static enum err listen_piles(struct gateway *g, struct fault *why)
{
    const struct config *c = g->config;
    struct listener_options o = {
        .address = c->listen_ap3000,
        .conn = conn_options_default(),
        .handlers = &line_handlers,
        .data = g,
        .connections_max = (unsigned)c->connections_max,
        .unopened_max = (unsigned)c->connections_open_max,
        .connections_per_address_max = (unsigned)c->pile_address_max,
    };
    o.conn.is_raw = true;
    o.conn.idle_ms = (int)c->pile_idle_s * 1000;
    o.conn.head_timeout_ms = (int)c->pile_hello_s * 1000;
    if (o.address.len == 0)
        return OK;
    enum err e = networks_parse(g, c->pile_networks, why);
    return e == OK ? listener_open(g->loop, &o, &g->piles, why) : e;
}

static struct str if_given(struct str setting)
{
    return setting.len == 0 ? (struct str){NULL, 0} : setting;
}

enum err gateway_listen(struct gateway *g, struct fault *why)
{
    const struct config *c = g->config;
    enum err e = OK;
    if (c->listen_ocpp_tls.len > 0) {
        struct tls_options o = {.certificate = c->tls_certificate,
                                .key = c->tls_key,
                                .certificate2 = if_given(c->tls_certificate2),
                                .key2 = if_given(c->tls_key2),
                                .client_ca = if_given(c->tls_client_ca)};
        e = tls_server_open(&o, &g->tls, why);
    }
    if (e == OK)
        e = listen_one(g, c->listen_ocpp, NULL, &g->plain, why);
    if (e == OK)
        e = listen_one(g, c->listen_ocpp_tls, g->tls, &g->tls_listener, why);
    if (e == OK)
        e = listen_piles(g, why);
    if (e == OK)
        loop_on_round_end(g->loop, on_round_end, g);
    return e;
}

struct str gateway_address(const struct gateway *g)
{
    return g->plain == NULL ? (struct str){NULL, 0} : listener_address(g->plain);
}

struct str gateway_address_tls(const struct gateway *g)
{
    return g->tls_listener == NULL ? (struct str){NULL, 0} : listener_address(g->tls_listener);
}

struct str gateway_address_piles(const struct gateway *g)
{
    return g->piles == NULL ? (struct str){NULL, 0} : listener_address(g->piles);
}

/* --- the end --- */

static void drain_step(struct timer *t)
{
    struct gateway *g = CONTAINER(t, struct gateway, drain_check);
    bool is_late = clock_monotonic_ms() - g->drain_began_ms > DRAIN_ANSWERS_MS; /* some always have one under way */
    for (struct link *l = g->sessions.next, *next; l != &g->sessions; l = next) {
        struct session *s = CONTAINER(l, struct session, link);
        next = l->next;
        if (s->held == 0 || is_late)
            session_close(s, CONN_END_SHUTDOWN, WS_CLOSE_GOING_AWAY, STR("server stops"));
    }
    lines_close(g);
    eventlog_commit(g->log);
    if (g->session_count == 0 && g->held_count == 0 && list_is_empty(&g->lines)) {
        g->drained(g->drained_data);
        return;
    }
    timer_start(g->loop, &g->drain_check, DRAIN_CHECK_MS);
}

void gateway_drain(struct gateway *g, void (*done)(void *data), void *data)
{
    if (g->is_draining)
        return;
    g->is_draining = true;
    g->drained = done;
    g->drained_data = data;
    if (g->plain != NULL)
        listener_close(g->plain);
    if (g->tls_listener != NULL)
        listener_close(g->tls_listener);
    if (g->piles != NULL)
        listener_close(g->piles);
    g->plain = g->tls_listener = g->piles = NULL;
    g->drain_began_ms = clock_monotonic_ms();
    timer_init(&g->drain_check, drain_step);
    timer_start(g->loop, &g->drain_check, 0);
}

void gateway_close(struct gateway *g)
{
    if (g == NULL)
        return;
    g->is_draining = true;    /* also where a start failed: whose row is loaded only now does not come in */
    mailbox_free(g->mailbox); /* what is still in it may want a worker */
    lookups_release(g);
    workers_free(g->workers);
    while (g->held_first != NULL) {
        struct held *h = g->held_first;
        g->held_first = h->next;
        free(h);
    }
    for (struct held *h; (h = g->held_spare) != NULL; free(h))
        g->held_spare = h->next;
    commands_release(g);
    slots_release(g);
    tag_cache_release(g);
    failures_release(g);
    tag_book_free(g->tags);
    arena_release(&g->arena);
    shapes_free(g->shapes);
    buf_release(&g->text);
    buf_release(&g->hex);
    buf_release(&g->hex_answer);
    tls_close(g->tls);
    free(g->db_path);
    free(g->log_dir);
    free(g->files_dir);
    free(g);
}

void gateway_stats(struct gateway *g, struct gateway_stats *out)
{
    *out = (struct gateway_stats){
        .connections = atomic_load(&g->stat_connections),
        .stations_in_memory = atomic_load(&g->stat_slots),
        .commands_open = atomic_load(&g->stat_commands),
        .held_answers = atomic_load(&g->stat_held),
        .started_at = g->started_at,
    };
}
