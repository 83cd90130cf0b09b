/* gateway/sessions.c - a station's connection: who is it, may it come in, whose place does it take, what ended it.
 *
 * Order of checks: ocpp16.md 1.3. Only a connection that has authenticated takes the place of another; its generation
 * is in the log before its upgrade is answered, so no older connection can come back over a restart. */
#include "gateway/parts.h"
#include "wire/secret.h"

#define FAILURE_WINDOW_MS 60000
#define FAILURES_KEPT_MAX 16384
#define CLOSE_REPLACED    4001 /* private use: a newer connection of the same identity */
#define CONTINUE_MS       1

struct str host_of(struct str remote)
{
    for (size_t i = remote.len; i-- > 0;)
        if (remote.at[i] == ':')
            return (struct str){remote.at, i};
    return remote;
}

void failures_release(struct gateway *g)
{
    size_t i = 0;
    for (void *f; (f = map_next(&g->failures, &i)) != NULL;)
        free(f);
    map_release(&g->failures);
}

/* Of one address for one identity (ocpp16.md 1.3): many stations may come by one address, and none of them pays for
 * another. */
static struct failures *failures_find(struct session *s, char name[FAILURES_NAME_SIZE])
{
    struct str host = host_of(conn_remote(s->conn));
    (void)snprintf(name, FAILURES_NAME_SIZE, "%.*s %s", STR_ARG(host), s->identity);
    return map_find(&s->gateway->failures, str_of(name));
}

static struct failures *failures_of(struct session *s)
{
    struct gateway *g = s->gateway;
    char name[FAILURES_NAME_SIZE];
    struct failures *f = failures_find(s, name);
    if (f != NULL)
        return f;
    if (g->failures.count >= FAILURES_KEPT_MAX) { /* begin anew: who goes on failing is back at once */
        failures_release(g);
        map_init(&g->failures, g->hash_key);
    }
    f = mem_new(1, sizeof *f);
    f->window_ms = clock_monotonic_ms();
    memcpy(f->name, name, sizeof f->name);
    (void)map_put(&g->failures, str_of(f->name), f);
    return f;
}

static bool is_over_limit(struct session *s)
{
    char name[FAILURES_NAME_SIZE];
    struct failures *f = failures_find(s, name);
    return f != NULL && clock_monotonic_ms() - f->window_ms < FAILURE_WINDOW_MS &&
           f->count >= s->gateway->config->auth_failures;
}

static void count_failure(struct session *s)
{
    struct failures *f = failures_of(s);
    int64_t now = clock_monotonic_ms();
    metric_add(METRIC_AUTH_FAILED, 1);
    if (now - f->window_ms >= FAILURE_WINDOW_MS) {
        f->window_ms = now;
        f->count = 0;
    }
    f->count++;
}

static void forget_password(struct session *s)
{
    secret_wipe(s->password, s->password_len);
    free(s->password);
    s->password = NULL;
    s->password_len = 0;
}

static void session_free(struct session *s)
{
    list_take(&s->turn);
    list_take(&s->waiter.link);
    timer_stop(&s->boot_wait);
    timer_stop(&s->rest);
    free(s->stash);
    forget_password(s);
    free(s->identity);
    free(s);
}

void session_unref(struct session *s)
{
    if (s->conn == NULL && s->held == 0)
        session_free(s);
}

/* A pile that waits keeps its frames by itself: others of its line go on. */
void session_pause(struct session *s, enum pause_reason why)
{
    if (s->pauses == 0 && s->conn != NULL && s->line == NULL)
        conn_pause(s->conn);
    s->pauses |= why;
}

void session_resume(struct session *s, enum pause_reason why)
{
    bool was_paused = s->pauses != 0;
    s->pauses &= ~(unsigned)why;
    if (!was_paused || s->pauses != 0 || s->conn == NULL)
        return;
    if (s->line != NULL)
        pile_go_on(pile_of(s));
    else
        conn_resume(s->conn);
}

/* Of a pile only it ends, not the line that it shares. */
void session_close(struct session *s, enum conn_end why, uint16_t code, struct str reason)
{
    if (s->conn != NULL && s->line != NULL)
        pile_end(pile_of(s), why);
    else if (s->conn != NULL)
        conn_close(s->conn, why, code, reason);
}

void session_send(struct session *s, struct bytes answer)
{
    if (s->conn == NULL)
        return;
    if (s->line != NULL)
        pile_send(pile_of(s), answer, true);
    else if (conn_send(s->conn, answer, true) != OK)
        return; /* it is ending, and will say why */
}

static void refuse(struct session *s, int status, struct str extra)
{
    char text[8];
    (void)snprintf(text, sizeof text, "%d", status);
    metric_add_label(METRIC_CONN_REFUSED, str_of(text), 1);
    LOG_INFO("connection.refused", F_CSTR("station", s->identity == NULL ? "" : s->identity),
             F_INT("conn", conn_number(s->conn)), F_STR("remote", conn_remote(s->conn)), F_INT("status", status));
    conn_refuse(s->conn, status, extra);
}

/* --- who is it --- */

static bool secret_is(const struct station *st, struct bytes password)
{
    const struct bytes salt = {st->secret_salt, sizeof st->secret_salt};
    uint8_t hash[SECRET_HASH_SIZE], text_hash[SECRET_HASH_SIZE], folded[64];
    size_t text_len = password.len < sizeof folded ? password.len : sizeof folded;
    for (size_t i = 0; i < text_len; i++) {
        uint8_t c = password.at[i];
        folded[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
    }
    secret_hash(salt, password, hash);
    secret_hash(salt, (struct bytes){folded, text_len}, text_hash);
    bool is_bytes = secret_is_equal(hash, st->secret_hash, sizeof hash);
    bool is_text = st->has_secret_text && text_len == password.len &&
                   secret_is_equal(text_hash, st->secret_text_hash, sizeof text_hash);
    return is_bytes || is_text;
}

/* A security event of the gateway's own about a station that is known: for others, the log line and the counter say it.
 */
static void tell_failure(struct session *s, struct slot *slot)
{
    struct gateway *g = s->gateway;
    count_failure(s);
    LOG_WARN("auth.failed", F_CSTR("station", s->identity), F_INT("conn", conn_number(s->conn)),
             F_STR("remote", conn_remote(s->conn)),
             F_CSTR("err", s->password_state == ERR_MISSING ? "no credentials" : "wrong credentials"));
    if (!slot->has_row || !gateway_has_room(g))
        return;
    struct ev_security_event p = {.type = STR("FailedToAuthenticateAtCentralSystem"),
                                  .tech_info = conn_remote(s->conn),
                                  .origin = STR("gateway")};
    (void)gateway_tell(g, slot, EVENT_SECURITY_EVENT, &p);
}

/* Which profile did it come with, and is that the one set for it (ocpp16.md 1.5)? Without one set, a secret alone
 * decides. */
static int profile_status(struct session *s, const struct station *st)
{
    bool has_certificate = conn_peer_name(s->conn).at != NULL;
    switch (st->security_profile) {
    case 1:
        return s->is_tls ? 403 : 0;
    case 2:
        return s->is_tls ? 0 : 403;
    case 3:
        return s->is_tls && has_certificate ? 0 : 403;
    default:
        return 0;
    }
}

static bool is_authentic(struct session *s, const struct station *st)
{
    if (st->security_profile == 3)
        return str_eq(conn_peer_name(s->conn), str_of(st->id)); /* CN is the station's own name (1.5) */
    if (!st->has_secret)
        return st->security_profile == 0; /* a profile that needs a secret, and none is set: nobody comes in */
    return s->password_state == OK && secret_is(st, (struct bytes){s->password, s->password_len});
}

/* --- coming in --- */

static void count_mass_loss(struct gateway *g, struct str remote);

static void tell_ended(struct session *s, enum conn_end why)
{
    struct gateway *g = s->gateway;
    struct slot *slot = s->slot;
    struct ev_disconnected p = {.reason = str_of(conn_end_text(why)), .generation = {(int64_t)s->generation, true}};
    (void)gateway_tell(g, slot, EVENT_DISCONNECTED, &p);
    metric_add_label(METRIC_CONN_ENDED, p.reason, 1);
    LOG_INFO("connection.ended", F_CSTR("station", slot->station.id), F_INT("conn", conn_number(s->conn)),
             F_STR("reason", p.reason));
    if (why != CONN_END_REPLACED && why != CONN_END_SHUTDOWN && (s->line == NULL || line_loss_counts(s->line)))
        count_mass_loss(g, conn_remote(s->conn));
}

/* The place is another's now: it keeps the queue; what a station of OCPP was sent and has not answered ends as unknown.
 */
static void take_place_of(struct session *s, struct session *old)
{
    struct slot *slot = s->slot;
    slot->session = NULL;
    LOG_WARN("connection.replaced", F_CSTR("station", slot->station.id), F_INT("conn", conn_number(old->conn)),
             F_INT("by", conn_number(s->conn)));
    tell_ended(old, CONN_END_REPLACED);
    old->is_open = false;
    list_take(&old->link);
    s->gateway->session_count--;
    commands_on_lost(slot, false);
    session_close(old, CONN_END_REPLACED, CLOSE_REPLACED, STR("a newer connection of this station took over"));
}

uint64_t session_open(struct session *s, struct slot *slot, struct str protocol, int profile)
{
    struct gateway *g = s->gateway;
    s->slot = slot;
    if (slot->session != NULL)
        take_place_of(s, slot->session);
    slot->session = s;
    timer_stop(&slot->sweep);
    slot->is_deleted = false;
    s->generation = ++slot->station.generation;
    s->is_open = true;
    list_add_last(&g->sessions, &s->link);
    g->session_count++;
    metric_add(METRIC_CONN_OPENED, 1);
    struct ev_connection_opened p = {.generation = {(int64_t)s->generation, true},
                                     .protocol = protocol,
                                     .remote_address = conn_remote(s->conn),
                                     .security_profile = {profile, true}};
    uint64_t position = gateway_tell(g, slot, EVENT_CONNECTION_OPENED, &p);
    LOG_INFO("connection.opened", F_CSTR("station", slot->station.id), F_INT("conn", conn_number(s->conn)),
             F_STR("remote", conn_remote(s->conn)), F_INT("profile", profile), F_INT("generation", s->generation));
    return position;
}

static void come_in(struct session *s, struct slot *slot)
{
    forget_password(s);
    free(s->identity);
    s->identity = NULL;
    int profile = s->is_tls ? (conn_peer_name(s->conn).at != NULL ? 3 : 2) : (slot->station.has_secret ? 1 : 0);
    uint64_t position = session_open(s, slot, STR("ocpp1.6"), profile);
    struct held *h = held_new(s->gateway, HELD_ACCEPT, STR(""));
    h->session = s;
    h->received = clock_now();
    held_add(s->gateway, h, position);
}

static void on_loaded(struct waiter *w, struct slot *slot, enum err e)
{
    struct session *s = CONTAINER(w, struct session, waiter);
    struct gateway *g = s->gateway;
    if (s->conn == NULL) {
        session_unref(s);
        return;
    }
    const struct station *st = &slot->station;
    if (e != OK && e != ERR_UNKNOWN) {
        refuse(s, 503, STR("Retry-After: 30\r\n"));
        return;
    }
    if (e == ERR_UNKNOWN && g->policy.unknown_station == REGISTRATION_REJECTED) {
        count_failure(s);
        refuse(s, 404, (struct str){NULL, 0});
        return;
    }
    if (g->is_draining || !gateway_has_room(g)) {
        refuse(s, 503, STR("Retry-After: 10\r\n"));
        return;
    }
    int status = profile_status(s, st);
    if (status != 0) {
        tell_failure(s, slot);
        refuse(s, status, (struct str){NULL, 0});
        return;
    }
    if (!is_authentic(s, st)) {
        tell_failure(s, slot);
        refuse(s, 401, STR("WWW-Authenticate: Basic realm=\"ocpp\"\r\n"));
        return;
    }
    come_in(s, slot);
}

/* Picks ocpp1.6 from what is offered. A missing header is ocpp1.6, but in strict mode (ocpp16.md 1.2). */
static void choose_protocol(struct session *s, const struct http_head *head)
{
    struct str token;
    size_t cursor = 0, count = 0;
    (void)http_find(head, STR("Sec-WebSocket-Protocol"), &count);
    s->is_refused_protocol = count > 0 || s->gateway->config->ocpp_strict;
    while (http_next_token(head, STR("Sec-WebSocket-Protocol"), &cursor, &token))
        if (str_eq(token, STR("ocpp1.6"))) {
            (void)str_copy(s->protocol, sizeof s->protocol, token);
            s->is_refused_protocol = false;
        }
}

static void read_password(struct session *s, const struct http_head *head)
{
    struct buf scratch;
    struct bytes password = {NULL, 0};
    buf_init(&scratch, HTTP_HEAD_MAX);
    s->password_state = http_basic_password(head, str_of(s->identity), &scratch, &password);
    if (s->password_state == OK) {
        s->password = mem_new(1, password.len + 1);
        memcpy(s->password, password.at, password.len);
        s->password_len = password.len;
    }
    secret_wipe(scratch.at, scratch.len);
    buf_release(&scratch);
}

static void on_boot_wait(struct timer *t)
{
    struct session *s = CONTAINER(t, struct session, boot_wait);
    if (s->conn == NULL || s->is_ready_for_commands)
        return;
    s->is_ready_for_commands = true;
    /* It is urgent: where there is room for it in the queue it leaves first, and the others behind it. */
    if (s->slot->command_count > 0 && s->slot->command_count < (size_t)s->gateway->config->command_queue_max)
        commands_trigger_boot(s->slot);
    else
        commands_try_send(s->slot);
}

static void on_rested(struct timer *t)
{
    struct session *s = CONTAINER(t, struct session, rest);
    s->is_resting = false;
    session_resume(s, PAUSE_FLOOD | PAUSE_RATE);
}

/* One timer for both reasons: it is read again when the longer rest is over. */
static void rest_for(struct session *s, enum pause_reason why, int64_t ms)
{
    session_pause(s, why);
    if (s->is_resting && s->rest.due_ms >= clock_monotonic_ms() + ms)
        return;
    s->is_resting = true;
    timer_start(s->gateway->loop, &s->rest, ms);
}

void session_init(struct session *s, struct gateway *g, struct conn *c)
{
    s->conn = c;
    s->gateway = g;
    list_init(&s->link);
    list_init(&s->turn);
    list_init(&s->waiter.link);
    timer_init(&s->boot_wait, on_boot_wait);
    timer_init(&s->rest, on_rested);
}

static void on_upgrade(struct conn *c, const struct http_head *head)
{
    struct gateway *g = listener_data(conn_listener(c));
    struct session *s = mem_new(1, sizeof *s);
    char identity[IDENTITY_MAX + 1];
    size_t len;
    session_init(s, g, c);
    s->is_tls = conn_is_tls(c);
    conn_set_data(c, s);
    enum err e = http_identity(head->target, g->prefixes, g->prefix_count, identity, &len);
    if (e == OK && gateway_is_pile(g, (struct str){identity, len}))
        e = ERR_UNKNOWN; /* a name that only a pile may have */
    if (e != OK) {
        refuse(s, e == ERR_UNKNOWN ? 404 : 400, (struct str){NULL, 0});
        return;
    }
    s->identity = mem_new(1, len + 1);
    memcpy(s->identity, identity, len);
    if (g->is_draining) {
        refuse(s, 503, STR("Retry-After: 10\r\n"));
        return;
    }
    if (is_over_limit(s)) {
        refuse(s, 429, STR("Retry-After: 60\r\n"));
        return;
    }
    read_password(s, head);
    choose_protocol(s, head);
    s->waiter.on_loaded = on_loaded;
    slot_load(g, str_of(s->identity), &s->waiter);
}

void session_accept(struct session *s)
{
    if (s->slot == NULL || s->slot->session != s)
        return; /* replaced while its generation went to the disk */
    conn_accept(s->conn, s->protocol[0] == 0 ? (struct str){NULL, 0} : str_of(s->protocol));
    if (s->is_refused_protocol) {
        LOG_WARN("protocol.refused", F_CSTR("station", s->slot->station.id), F_INT("conn", conn_number(s->conn)));
        session_close(s, CONN_END_PROTOCOL, WS_CLOSE_PROTOCOL, STR("no common sub-protocol: ocpp1.6 is spoken here"));
        return;
    }
    s->slot->lost_ms = 0;
    if (s->slot->station.registration == REGISTRATION_ACCEPTED || s->slot->station.registration == REGISTRATION_PENDING)
        timer_start(s->gateway->loop, &s->boot_wait, s->gateway->config->ocpp_boot_wait_s * 1000);
}

/* --- going --- */

static void add_network(struct gateway *g, struct str remote)
{
    struct str host = host_of(remote);
    char network[64];
    size_t dots = 0, n = 0;
    while (n < host.len && n < sizeof network - 6 && (host.at[n] != '.' || ++dots < 3))
        n++;
    (void)snprintf(network, sizeof network, dots == 3 ? "%.*s.0/24" : "%.*s", (int)n, host.at);
    for (size_t i = 0; i < g->mass_network_count; i++)
        if (strcmp(g->mass_networks[i], network) == 0)
            return;
    if (g->mass_network_count < COUNT_OF(g->mass_networks))
        memcpy(g->mass_networks[g->mass_network_count++], network, sizeof network);
}

/* Losses of the last window, which moves on by slices; the networks are those since it was last empty. */
static int64_t count_in_window(struct gateway *g, int64_t slice)
{
    int64_t passed = slice - g->mass_slice, sum = 0;
    for (int64_t i = 0; i < passed && i < MASS_SLICES; i++)
        g->mass_counts[(g->mass_slice + 1 + i) % MASS_SLICES] = 0;
    g->mass_slice = slice;
    for (size_t i = 0; i < MASS_SLICES; i++)
        sum += g->mass_counts[i];
    if (sum == 0)
        g->mass_network_count = 0;
    return sum;
}

/* Many stations lost at once is one piece of news, told once a window. */
static void count_mass_loss(struct gateway *g, struct str remote)
{
    int64_t slice = clock_monotonic_ms() * MASS_SLICES / (g->config->mass_window_s * 1000);
    int64_t count = count_in_window(g, slice) + 1;
    g->mass_counts[slice % MASS_SLICES]++;
    add_network(g, remote);
    if (count < g->config->mass_count || slice - g->mass_told_slice < MASS_SLICES)
        return;
    g->mass_told_slice = slice;
    struct str networks[COUNT_OF(g->mass_networks)];
    for (size_t i = 0; i < g->mass_network_count; i++)
        networks[i] = str_of(g->mass_networks[i]);
    struct ev_mass_disconnect p = {.count = {count, true},
                                   .window_seconds = {g->config->mass_window_s, true},
                                   .networks = {networks, g->mass_network_count}};
    (void)gateway_tell(g, NULL, EVENT_MASS_DISCONNECT, &p);
    LOG_ERROR("stations.lost", F_INT("count", count), F_INT("window_s", g->config->mass_window_s));
}

void session_end(struct session *s, enum conn_end why)
{
    struct slot *slot = s->slot;
    s->is_open = false;
    tell_ended(s, why);
    list_take(&s->link);
    s->gateway->session_count--;
    slot->session = NULL;
    slot->lost_ms = clock_monotonic_ms();
    commands_on_lost(slot, s->gateway->is_draining);
    slot_rest(slot);
}

static void on_close(struct conn *c, enum conn_end why, uint16_t close_code)
{
    struct session *s = conn_data(c);
    (void)close_code;
    if (s == NULL)
        return;
    if (s->is_open)
        session_end(s, why);
    timer_stop(&s->boot_wait);
    timer_stop(&s->rest);
    list_take(&s->turn);
    s->conn = NULL;
    if (list_is_empty(&s->waiter.link)) /* else the load's end finds it */
        session_unref(s);
}

static bool is_within_rate(struct session *s)
{
    int64_t rate = s->gateway->config->device_rate, now = clock_monotonic_ms();
    if (rate == 0)
        return true;
    s->rate_tokens_milli += (now - s->rate_at_ms) * rate;
    s->rate_at_ms = now;
    if (s->rate_tokens_milli > rate * 1000)
        s->rate_tokens_milli = rate * 1000;
    s->rate_tokens_milli -= 1000;
    return s->rate_tokens_milli > -1000;
}

/* A station has one call out at a time (ocpp16.md 2.5): so many in one round are what nobody's neighbour has to pay
 * for. */
static bool is_flooding(struct session *s)
{
    if (s->told_round != s->gateway->round) {
        s->told_round = s->gateway->round;
        s->messages_in_round = 0;
    }
    return ++s->messages_in_round == MESSAGES_A_ROUND_MAX;
}

static void rest(struct session *s)
{
    metric_add(METRIC_THROTTLED, 1);
    if (!s->is_flooding)
        LOG_WARN("station.flooding", F_CSTR("station", s->slot->station.id), F_INT("conn", conn_number(s->conn)),
                 F_INT("rest_ms", FLOOD_REST_MS));
    s->is_flooding = true;
    rest_for(s, PAUSE_FLOOD, FLOOD_REST_MS);
}

static void on_message(struct conn *c, struct bytes message, bool is_text)
{
    struct session *s = conn_data(c);
    if (!s->is_open || s->slot->session != s)
        return;
    station_expect(&s->slot->station);
    if (!is_text) {
        session_close(s, CONN_END_PROTOCOL, WS_CLOSE_KIND, STR("text messages only"));
        return;
    }
    if (!is_within_rate(s)) {
        metric_add(METRIC_THROTTLED, 1);
        rest_for(s, PAUSE_RATE, 1000 / s->gateway->config->device_rate + CONTINUE_MS);
    }
    call_message(s, (struct str){(const char *)message.at, message.len});
    if (s->conn != NULL && is_flooding(s))
        rest(s);
}

const struct conn_handlers session_handlers = {
    .on_upgrade = on_upgrade, .on_message = on_message, .on_close = on_close};
