/* Connections of bytes without HTTP and frames, over real loopback sockets. What a stream says is a pattern that tells
 * at each byte whether one is missing, twice there or out of its order. Long, as test_conn.c is: one life has many ways
 * to end. Raw bytes through TLS are in test_tls.c, where the certificates are. */
#include "harness.h"
#include "metrics/metrics.h"
#include "wire/conn_private.h"

#define STREAM(text) text, sizeof(text) - 1
#define PATTERN_SIZE (1 << 20)

static uint8_t pattern[PATTERN_SIZE];

static void pattern_write(void)
{
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 7 + i / 251);
}

/* How far a stream is, and whether all of it was as it should be. */
struct stream {
    size_t at;
    bool is_wrong;
};

static void stream_take(struct stream *s, const uint8_t *at, size_t len)
{
    if (s->at + len > sizeof pattern || memcmp(pattern + s->at, at, len) != 0)
        s->is_wrong = true;
    s->at += len;
}

/* ---- the server: what the first byte of a piece asks for ---- */

static unsigned opens;
static struct stream in;

static void on_raw_open(struct conn *c)
{
    CHECK("nothing was told before it", seen.is_gone || seen.conn != c);
    opens++;
    seen.conn = c;
    seen.is_gone = false;
}

static void on_known_open(struct conn *c)
{
    on_raw_open(c);
    conn_known(c);
}

/* k: make it known; q: close; x: close as one that breaks the protocol. Whatever it is goes back, before that. */
static void on_asked(struct conn *c, struct bytes b)
{
    CHECK("something came", b.len > 0);
    CHECK("it goes back", conn_send(c, b, false) == OK);
    if (b.at[0] == 'k')
        conn_known(c);
    if (b.at[0] == 'q' || b.at[0] == 'x') {
        conn_close(c, b.at[0] == 'q' ? CONN_END_SHUTDOWN : CONN_END_PROTOCOL, WS_CLOSE_GOING_AWAY, STR("bye"));
        CHECK("too late to send", conn_send(c, b, false) == ERR_CLOSED);
    }
    seen.messages++;
    step();
}

static void on_echoed(struct conn *c, struct bytes b)
{
    CHECK("the echo is queued", conn_send(c, b, true) == OK);
}

static void on_raw_close(struct conn *c, enum conn_end why, uint16_t code)
{
    CHECK("there is no close code", code == WS_CLOSE_ABNORMAL);
    on_server_close(c, why, code);
}

/* on_upgrade and on_message are given, and not called: seen.upgrades stays 0. */
static const struct conn_handlers asked_handlers = {.on_upgrade = on_server_upgrade,
                                                    .on_message = on_server_message,
                                                    .on_open = on_raw_open,
                                                    .on_bytes = on_asked,
                                                    .on_close = on_raw_close};

static struct listener_options raw_options(const struct conn_handlers *handlers)
{
    struct listener_options o = options_default();
    o.handlers = handlers;
    o.conn.is_raw = true;
    opens = 0;
    in = (struct stream){0};
    return o;
}

static bool peer_says(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* ---- both sides ours ---- */

static struct {
    struct conn *conn;
    unsigned opens, closes;
    size_t piece_size, pieces_left, sent;
    struct stream back;
    enum conn_end why;
} client;

static void client_send_piece(struct conn *c)
{
    struct bytes piece = {pattern + client.sent, client.piece_size};
    CHECK("the client sends", conn_send(c, piece, false) == OK);
    client.sent += piece.len;
    client.pieces_left--;
}

static void on_client_open(struct conn *c)
{
    client.opens++;
    CHECK("it is the one that was asked for", c == client.conn);
    if (client.pieces_left > 0)
        client_send_piece(c);
}

static void on_client_bytes(struct conn *c, struct bytes b)
{
    stream_take(&client.back, b.at, b.len);
    if (client.back.at < client.sent)
        return;
    if (client.pieces_left > 0)
        client_send_piece(c);
    else
        conn_close(c, CONN_END_OURS, WS_CLOSE_NORMAL, STR("done"));
}

static void on_client_close(struct conn *c, enum conn_end why, uint16_t code)
{
    (void)c;
    CHECK("there is no close code", code == WS_CLOSE_ABNORMAL);
    client.closes++;
    client.why = why;
    raws_done++;
    step();
}

static const struct conn_handlers client_handlers = {
    .on_open = on_client_open, .on_bytes = on_client_bytes, .on_close = on_client_close};

/* port 0: the listener's */
static enum err client_connect(const char *host, int port, int idle_ms)
{
    struct conn_options own = conn_options_default();
    struct conn_target t = {
        .host = str_of(host), .port = port == 0 ? listener_port(listener) : port, .source = STR("127.0.0.9")};
    own.is_raw = true;
    own.idle_ms = idle_ms;
    want_raws++;
    return conn_connect(loop, &t, &own, &client_handlers, NULL, &client.conn);
}

static const struct {
    const char *row;
    size_t piece_size, pieces;
} echo_rows[] = {
    {"a byte a piece", 1, 400},
    {"64 KiB a piece", 65536, 16},
    {"pieces that end nowhere in particular", 1013, 100},
};

static void test_echo(void)
{
    static const struct conn_handlers handlers = {
        .on_open = on_known_open, .on_bytes = on_echoed, .on_close = on_raw_close};
    for (size_t i = 0; i < COUNT_OF(echo_rows); i++) {
        struct listener_options o = raw_options(&handlers);
        memset(&client, 0, sizeof client);
        client.piece_size = echo_rows[i].piece_size;
        client.pieces_left = echo_rows[i].pieces;
        begin(&o);
        CHECK(echo_rows[i].row, client_connect("localhost", 0, 0) == OK);
        want_closes = 1;
        run(echo_rows[i].row);
        CHECK(echo_rows[i].row, opens == 1 && client.opens == 1 && seen.upgrades == 0);
        CHECK(echo_rows[i].row,
              !client.back.is_wrong && client.back.at == echo_rows[i].piece_size * echo_rows[i].pieces);
        CHECK("who closed knows why", client.closes == 1 && client.why == CONN_END_OURS);
        CHECK("the peer sees the end of the stream", seen.why == CONN_END_TCP);
        end();
    }
}

static void test_client_ends(void)
{
    static const struct conn_handlers handlers = {
        .on_open = on_known_open, .on_bytes = on_asked, .on_close = on_raw_close};
    static const struct {
        const char *row;
        int port, idle_ms;
        unsigned opens;
        enum conn_end why;
    } ends[] = {
        {"nobody listens", 1, 0, 0, CONN_END_TCP},
        {"a server that is silent", 0, 40, 1, CONN_END_IDLE},
    };
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        struct listener_options o = raw_options(&handlers);
        memset(&client, 0, sizeof client);
        begin(&o);
        CHECK(ends[i].row, client_connect("127.0.0.1", ends[i].port, ends[i].idle_ms) == OK);
        run(ends[i].row);
        CHECK(ends[i].row, client.opens == ends[i].opens && client.closes == 1 && client.why == ends[i].why);
        end();
    }
}

/* ---- what is on the wire, and how it ends ---- */

static void test_nothing_else_on_the_wire(void)
{
    struct listener_options o = raw_options(&asked_handlers);
    begin(&o);
    struct raw *r = raw_start(STREAM("q\0\x81\x16\x03GET / HTTP/1.1\r\n\r\n"));
    want_closes = 1;
    run("bytes that mean something elsewhere");
    raw_join(r);
    CHECK("come back as they are, and the close adds none",
          r->got_len == r->send_len && memcmp(r->got, r->send, r->got_len) == 0);
    CHECK("the owner's reason stays", seen.why == CONN_END_SHUTDOWN && seen.upgrades == 0 && opens == 1);
    CHECK("none is counted", listener_connection_count(listener) == 0);
    end();
    free(r);
}

#define TAIL_SIZE 60000

static void on_farewell(struct conn *c, struct bytes b)
{
    size_t first = sizeof pattern - TAIL_SIZE;
    (void)b;
    CHECK("much is queued", conn_send(c, (struct bytes){pattern, first}, false) == OK);
    CHECK("and more", conn_send(c, (struct bytes){pattern + first, TAIL_SIZE}, false) == OK);
    conn_close(c, CONN_END_REPLACED, 0, STR(""));
}

/* Takes the pattern until the stream ends; a reset would leave is_wrong set. */
struct taker {
    struct mail mail;
    struct stream got;
    int fd;
    pthread_t thread;
};

static void *taker_run(void *arg)
{
    struct taker *t = arg;
    static uint8_t part[4096];
    ssize_t n = peer_says(t->fd, "a") ? 1 : -1;
    while (n > 0) {
        n = recv(t->fd, part, sizeof part, 0);
        if (n > 0)
            stream_take(&t->got, part, (size_t)n);
    }
    t->got.is_wrong |= n < 0;
    (void)close(t->fd);
    t->mail.on_arrive = on_raw_done;
    mailbox_post_always(mailbox, &t->mail);
    return NULL;
}

static void test_close_flushes(void)
{
    static const struct conn_handlers handlers = {
        .on_open = on_known_open, .on_bytes = on_farewell, .on_close = on_raw_close};
    struct listener_options o = raw_options(&handlers);
    struct taker t = {.fd = -1};
    begin(&o);
    t.fd = dial(listener_port(listener));
    CHECK("the peer talks", t.fd >= 0 && pthread_create(&t.thread, NULL, taker_run, &t) == 0);
    want_raws = want_closes = 1;
    run("a close behind more than the kernel takes at once");
    CHECK("the peer ends", pthread_join(t.thread, NULL) == 0);
    CHECK("all that was queued arrives, then the end", !t.got.is_wrong && t.got.at == sizeof pattern);
    CHECK("and it is told why", seen.why == CONN_END_REPLACED);
    end();
}

static void test_close_unanswered(void)
{
    struct listener_options o = raw_options(&asked_handlers);
    begin(&o);
    int fd = dial(listener_port(listener));
    CHECK("the peer asks for the end", peer_says(fd, "q"));
    want_closes = 1;
    run("a peer that does not end its stream");
    CHECK("is not waited for for ever", seen.why == CONN_END_SHUTDOWN);
    (void)close(fd);
    end();
}

/* ---- pause, and a peer that does not read ---- */

static struct timer resume_timer;
static bool is_paused;

static void on_resume_due(struct timer *t)
{
    size_t before = in.at;
    (void)t;
    conn_resume(seen.conn);
    conn_resume(seen.conn);
    CHECK("nothing comes from inside conn_resume", in.at == before);
    is_paused = false;
}

static void on_pausing_bytes(struct conn *c, struct bytes b)
{
    CHECK("nothing comes while paused", !is_paused);
    stream_take(&in, b.at, b.len);
    is_paused = true;
    conn_pause(c);
    conn_pause(c);
    if (in.at == sizeof pattern)
        conn_close(c, CONN_END_OURS, 0, STR(""));
    else
        timer_start(loop, &resume_timer, 0);
}

static void test_pause(void)
{
    static const struct conn_handlers handlers = {
        .on_open = on_known_open, .on_bytes = on_pausing_bytes, .on_close = on_raw_close};
    struct listener_options o = raw_options(&handlers);
    begin(&o);
    is_paused = false;
    timer_init(&resume_timer, on_resume_due);
    struct raw *r = raw_start((const char *)pattern, sizeof pattern);
    want_closes = 1;
    run("a pause after every piece");
    raw_join(r);
    CHECK("nothing is lost or out of order", !in.is_wrong && in.at == sizeof pattern);
    CHECK("a close while paused is one", seen.why == CONN_END_OURS);
    end();
    free(r);
}

static struct timer flood_timer;
static unsigned flood_refused;

static void on_flood_due(struct timer *t)
{
    for (unsigned i = 0; i < 8 && flood_refused == 0; i++)
        flood_refused += conn_send(seen.conn, (struct bytes){pattern, 16384}, false) == ERR_LIMIT;
    if (flood_refused == 0)
        timer_start(loop, t, 0);
    else
        CHECK("nothing is told inside conn_send", seen.closes == 0);
}

static void on_flood_open(struct conn *c)
{
    on_known_open(c);
    timer_start(loop, &flood_timer, 0);
}

static void test_slow_reader(void)
{
    static const struct conn_handlers handlers = {
        .on_open = on_flood_open, .on_bytes = on_asked, .on_close = on_raw_close};
    struct listener_options o = raw_options(&handlers);
    begin(&o);
    flood_refused = 0;
    timer_init(&flood_timer, on_flood_due);
    int fd = dial(listener_port(listener));
    want_closes = 1;
    run("a peer that does not read");
    CHECK("is cut off", seen.why == CONN_END_SLOW && flood_refused == 1);
    CHECK("and named in the log", log_has("conn.slow") && log_has("what=reads"));
    (void)close(fd);
    end();
}

/* ---- limits in time ---- */

/* A peer that says a byte now and then, some times, and is silent after that. */
static struct timer drip_timer;
static int drip_fd;
static unsigned drips_left;
static int64_t heard_ms, ended_ms;

static void on_drip_due(struct timer *t)
{
    if (drips_left-- > 1)
        timer_start(loop, t, 20);
    (void)send(drip_fd, "a", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void on_drip_bytes(struct conn *c, struct bytes b)
{
    (void)b;
    heard_ms = conn_last_frame_ms(c);
    seen.messages++;
}

static void on_drip_close(struct conn *c, enum conn_end why, uint16_t code)
{
    ended_ms = clock_monotonic_ms();
    on_raw_close(c, why, code);
}

/* clang-format off */
static const struct {
    const char *row;
    bool is_known;
    int head_ms, idle_ms;
    unsigned drips;
    int silent_ms; /* at least so long before its end */
    const char *log;
} late_rows[] = {
    {"known, then silent",                    true,  20,   60,   1,   60, NULL        },
    {"known, and silent only in the end",     true,  20,   60,   8,   60, NULL        },
    {"silent before it is known",             false, 5000, 60,   1,   60, NULL        },
    {"never known, and says nothing",         false, 60,   0,    0,   0,  "reason=late"},
    {"never known, whatever else it says",    false, 150,  5000, 500, 0,  "reason=late"},
};
/* clang-format on */

static void test_late(void)
{
    struct conn_handlers handlers = {.on_bytes = on_drip_bytes, .on_close = on_drip_close};
    for (size_t i = 0; i < COUNT_OF(late_rows); i++) {
        struct listener_options o = raw_options(&handlers);
        handlers.on_open = late_rows[i].is_known ? on_known_open : on_raw_open;
        o.conn.head_timeout_ms = late_rows[i].head_ms;
        o.conn.idle_ms = late_rows[i].idle_ms;
        begin(&o);
        heard_ms = 0;
        drips_left = late_rows[i].drips;
        drip_fd = dial(listener_port(listener));
        timer_init(&drip_timer, on_drip_due);
        if (drips_left > 0)
            timer_start(loop, &drip_timer, 0);
        want_closes = 1;
        run(late_rows[i].row);
        timer_stop(&drip_timer);
        CHECK(late_rows[i].row, seen.why == CONN_END_IDLE && opens == 1);
        CHECK(late_rows[i].row, ended_ms - heard_ms >= late_rows[i].silent_ms);
        CHECK(late_rows[i].row, late_rows[i].log == NULL ? !log_has("conn.unfinished") : log_has(late_rows[i].log));
        CHECK(late_rows[i].row, late_rows[i].drips < 100 || !log_has("bytes=0"));
        (void)close(drip_fd);
        end();
    }
}

static struct timer later_timer;

static void on_later_due(struct timer *t)
{
    (void)t;
    CHECK("it is still there", seen.closes == 0 && !seen.is_gone);
    if (is_paused)
        conn_resume(seen.conn);
    is_paused = false;
}

static void on_patient_open(struct conn *c)
{
    on_known_open(c);
    conn_pause(c);
    is_paused = true;
    timer_start(loop, &later_timer, 120);
}

static void test_pause_is_no_silence(void)
{
    static const struct conn_handlers handlers = {
        .on_open = on_patient_open, .on_bytes = on_asked, .on_close = on_raw_close};
    struct listener_options o = raw_options(&handlers);
    o.conn.head_timeout_ms = 20; /* it is known: that has no more to say */
    o.conn.idle_ms = 40;
    begin(&o);
    timer_init(&later_timer, on_later_due);
    struct raw *r = raw_start(STREAM("q"));
    want_closes = 1;
    run("a pause longer than the silence that ends it");
    raw_join(r);
    CHECK("what came meanwhile is told after it", seen.why == CONN_END_SHUTDOWN && seen.messages == 1);
    end();
    free(r);
}

/* ---- crowds ---- */

#define KNOWN_COUNT 5

static void test_crowded(void)
{
    struct listener_options o = raw_options(&asked_handlers);
    int known[KNOWN_COUNT], silent[2];
    o.unopened_max = 2;
    o.conn.head_timeout_ms = 500;
    begin(&o);
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        known[i] = dial(listener_port(listener));
        CHECK("it says who it is", peer_says(known[i], "k"));
        want_messages = (unsigned)i + 1;
        run("it is heard");
    }
    CHECK("more are known than may be unknown", opens == KNOWN_COUNT && seen.closes == 0);
    for (size_t i = 0; i < COUNT_OF(silent); i++)
        silent[i] = dial(listener_port(listener));
    struct raw *r = raw_start(STREAM("q"));
    want_closes = 2;
    run("who has something to say comes in past the silent");
    raw_join(r);
    CHECK("and is heard", r->got_len == 1);
    CHECK("a silent one went for it", log_has("event=conn.unfinished") && log_has("reason=crowded"));
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        CHECK("a known one goes on", peer_says(known[i], "a"));
    want_messages = 2 * KNOWN_COUNT + 1;
    run("all the known are heard");
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        (void)close(known[i]);
    for (size_t i = 0; i < COUNT_OF(silent); i++)
        (void)close(silent[i]);
    end();
    free(r);
}

/* The only place is held by one that was shown out and stays: it goes for the next, and for the reason that it had. */
static void test_crowded_out_after_close(void)
{
    struct listener_options o = raw_options(&asked_handlers);
    o.unopened_max = 1;
    o.conn.head_timeout_ms = 100;
    begin(&o);
    int fd = dial(listener_port(listener)), next;
    CHECK("it breaks the protocol", peer_says(fd, "x"));
    want_messages = 1;
    run("it is heard");
    next = dial(listener_port(listener));
    want_closes = 1;
    run("the next comes in");
    CHECK("and the first, which was shown out, goes for its first reason",
          seen.why == CONN_END_PROTOCOL && log_has("reason=crowded"));
    (void)close(fd);
    (void)close(next);
    end();
}

static void test_full(void)
{
    struct listener_options o = raw_options(&asked_handlers);
    o.connections_max = 1;
    begin(&o);
    int first = dial(listener_port(listener));
    CHECK("the first is in", peer_says(first, "k"));
    want_messages = 1;
    run("and heard");
    struct raw *r = raw_start(STREAM(""));
    run("the second");
    raw_join(r);
    CHECK("is closed without a word", r->got_len == 0 && opens == 1 && listener_connection_count(listener) == 1);
    (void)close(first);
    end();
    free(r);
}

/* ---- one address ---- */

static int dial_from(const char *source, int port)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(source,
          inet_pton(AF_INET, source, &from.sin_addr) == 1 && bind(fd, (struct sockaddr *)&from, sizeof from) == 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(source, connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static size_t log_count(const char *text)
{
    static char all[65536];
    rewind(log_file);
    all[fread(all, 1, sizeof all - 1, log_file)] = 0;
    size_t count = 0;
    for (const char *at = all; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

#define REFUSED 20

static void test_address_limit(void)
{
    struct listener_options o = raw_options(&asked_handlers);
    static struct raw *refused[REFUSED];
    int fds[4];
    o.connections_per_address_max = 2;
    begin(&o);
    int64_t before = metric_get(METRIC_CONN_UNFINISHED);
    for (size_t i = 0; i < o.connections_per_address_max; i++)
        fds[i] = dial(listener_port(listener));
    CHECK("two come in", peer_says(fds[0], "k") && peer_says(fds[1], "k"));
    want_messages = 2;
    run("two are heard");
    for (size_t i = 0; i < REFUSED; i++)
        refused[i] = raw_start(STREAM(""));
    run("further ones of the address are closed");
    for (size_t i = 0; i < REFUSED; i++) {
        raw_join(refused[i]);
        free(refused[i]);
    }
    CHECK("the owner never saw them", opens == 2 && listener_connection_count(listener) == 2);
    CHECK("they are counted", metric_get(METRIC_CONN_UNFINISHED) - before == REFUSED);
    CHECK("and told, but not each",
          log_count("listener.address_full") >= 1 && log_count("listener.address_full") < REFUSED / 2);
    fds[2] = dial_from("127.0.0.2", listener_port(listener));
    CHECK("another address", peer_says(fds[2], "k"));
    want_messages = 3;
    run("comes in");
    CHECK("and is told apart", str_starts(conn_remote(seen.conn), STR("127.0.0.2:")));
    (void)close(fds[0]);
    want_closes = 1;
    run("one leaves");
    fds[3] = dial(listener_port(listener));
    CHECK("another of its address", peer_says(fds[3], "k"));
    want_messages = 4;
    run("has its place");
    for (size_t i = 1; i < COUNT_OF(fds); i++)
        (void)close(fds[i]);
    want_closes = 4;
    run("all leave");
    end();
}

/* One connection each is allowed; a row comes after those above it. */
static const struct {
    const char *address;
    bool want;
} address_rows[] = {
    {"10.0.0.1:1", true},          {"10.0.0.1:2", false},
    {"10.0.0.2:1", true},          {"[::ffff:10.0.0.2]:7", false}, /* IPv4 on an IPv6 socket */
    {"[::ffff:10.0.0.3]:7", true}, {"10.0.0.3:7", false},
    {"[2001:db8:0:1::1]:1", true}, {"[2001:db8:0:1::2]:1", false}, /* the same /64 */
    {"[2001:db8:0:2::1]:1", true},
};

static void test_addresses(void)
{
    struct listener l = {.options = {.connections_per_address_max = 1}};
    struct address *entered[COUNT_OF(address_rows)] = {NULL};
    map_init(&l.addresses, (const uint64_t[]){1, 2});
    for (size_t i = 0; i < COUNT_OF(address_rows); i++) {
        struct sockaddr_storage a;
        CHECK(address_rows[i].address, address_parse(str_of(address_rows[i].address), &a) == OK);
        CHECK(address_rows[i].address,
              address_enter(&l, (const struct sockaddr *)&a, &entered[i]) == address_rows[i].want);
        CHECK(address_rows[i].address, (entered[i] != NULL) == address_rows[i].want);
    }
    CHECK("one entry an address", l.addresses.count == 5);
    for (size_t i = 0; i < COUNT_OF(address_rows); i++)
        address_leave(&l, entered[i]);
    CHECK("none is left", l.addresses.count == 0);
    struct sockaddr_storage a;
    CHECK("again",
          address_parse(STR("10.0.0.1:1"), &a) == OK && address_enter(&l, (const struct sockaddr *)&a, &entered[0]));
    address_leave(&l, entered[0]);
    map_release(&l.addresses);
}

static void on_round_stop(void *data)
{
    (void)data;
    if (opens > 1)
        loop_stop(loop);
}

/* Everything open when the loop is freed: nobody is told, nothing leaks. */
static void test_free_with_all_open(void)
{
    struct listener_options o = raw_options(&asked_handlers);
    memset(&client, 0, sizeof client);
    o.connections_per_address_max = 2;
    begin(&o);
    loop_on_round_end(loop, on_round_stop, NULL);
    int fd = dial(listener_port(listener));
    CHECK("connects", client_connect("127.0.0.1", 0, 1000) == OK);
    run("both are in");
    CHECK("and one more on its way", client_connect("localhost", 0, 0) == OK);
    end();
    CHECK("nobody is told", seen.closes == 0 && client.closes == 0);
    (void)close(fd);
}

static void test_all(void)
{
    pattern_write();
    test_echo();
    test_client_ends();
    test_nothing_else_on_the_wire();
    test_close_flushes();
    test_close_unanswered();
    test_pause();
    test_slow_reader();
    test_late();
    test_pause_is_no_silence();
    test_crowded();
    test_crowded_out_after_close();
    test_full();
    test_address_limit();
    test_addresses();
    test_free_with_all_open();
}

int main(void)
{
    both_ways(test_all);
    return CHECK_REPORT();
}
