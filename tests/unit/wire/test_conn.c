/* Connections over real loopback sockets, both sides. Time is short options and waiting for what must come. */
#include "harness.h"
#include <fcntl.h>
#include <sys/resource.h>

#define STREAM(text) text, sizeof(text) - 1

/* ---- heads, answers, ends: one raw peer each ---- */

static const struct {
    const char *row;
    const char *send;
    size_t len;
    const char *status, *part; /* of what comes back; "" for nothing at all */
    unsigned upgrades, closes;
    enum conn_end why;
    uint16_t code;
    const char *messages;
    const char *log;
} rows[] = {
    {"an upgrade, a close", STREAM(HEAD("/x") CLOSE_1000), "HTTP/1.1 101 ", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x88\x02\x03\xe8", 1, 1,
     CONN_END_TCP, 1000, "", NULL},
    {"the sub-protocol is named", STREAM(HEAD("/ocpp") CLOSE_1000), "HTTP/1.1 101 ", "Sec-WebSocket-Protocol: ocpp1.6\r\n", 1, 1,
     CONN_END_TCP, 1000, "", NULL},
    {"frames right behind the head", STREAM(HEAD("/x") TEXT_A TEXT_B CLOSE_1000), "HTTP/1.1 101 ",
     "\x81\x01" "A" "\x81\x01" "B", 1, 1, CONN_END_TCP, 1000, "AB", NULL},
    {"a ping is answered", STREAM(HEAD("/x") FRAME("\x89", "\x82") "hi" CLOSE_1000), "HTTP/1.1 101 ", "\x8a\x02hi", 1, 1,
     CONN_END_TCP, 1000, "", NULL},
    {"the owner refuses", STREAM(HEAD("/refuse")), "HTTP/1.1 401 ", "WWW-Authenticate: Basic realm=\"x\"\r\n", 1, 1, CONN_END_OURS,
     WS_CLOSE_ABNORMAL, "", NULL},
    {"the owner closes at once", STREAM(HEAD("/close") CLOSE_1000), "HTTP/1.1 101 ", "\x88\x07\x0f\xa1newer", 1, 1,
     CONN_END_REPLACED, 4001, "", NULL},
    {"the owner closes, later messages are not told", STREAM(HEAD("/x") FRAME("\x81", "\x81") "q" TEXT_A CLOSE_1000), "HTTP/1.1 101 ",
     "\x88\x05\x03\xe9" "bye", 1, 1, CONN_END_SHUTDOWN, 1001, "q", NULL},
    {"another method", STREAM("POST /x HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 405 ", "Allow: GET\r\n", 0, 0, 0, 0, "", "upgrade.refused"},
    {"a refusal says its length", STREAM("POST /x HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 405 ", "Content-Length: ", 0, 0, 0, 0, "", NULL},
    {"a refusal says that it closes", STREAM("POST /x HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 405 ", "Connection: close\r\n", 0, 0, 0, 0,
     "", NULL},
    {"no upgrade", STREAM("GET /x HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 426 ", "Sec-WebSocket-Version: 13\r\n", 0, 0, 0, 0, "", NULL},
    {"a wrong head", STREAM("GET /x HTTP/1.1\nHost: a\r\n\r\n"), "HTTP/1.1 400 ", "\r\n\r\nBad Request\n", 0, 0, 0, 0, "", "status=400"},
    {"an unmasked frame", STREAM(HEAD("/x") "\x81\x01" "A"), "HTTP/1.1 101 ", "\x03\xea", 1, 1, CONN_END_PROTOCOL, 1002, "", NULL},
    {"a frame too big", STREAM(HEAD("/x") "\x82\xff\0\0\0\0\0\x10\0\1"), "HTTP/1.1 101 ", "\x03\xf1", 1, 1, CONN_END_PROTOCOL, 1009, "",
     NULL},
    {"TLS on the plain port", STREAM("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "", "", 0, 0, 0, 0, "", "conn.tls_on_plain_port"},
};

static bool contains(const struct raw *r, const char *part)
{
    return memmem(r->got, r->got_len, part, strlen(part)) != NULL;
}

static void test_rows(void)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct listener_options o = options_default();
        begin(&o);
        struct raw *r = raw_start(rows[i].send, rows[i].len);
        want_closes = rows[i].closes;
        run(rows[i].row);
        raw_join(r);
        CHECK(rows[i].row, strncmp(r->got, rows[i].status, strlen(rows[i].status)) == 0);
        CHECK(rows[i].row, (rows[i].status[0] != 0) == (r->got_len > 0));
        CHECK(rows[i].row, contains(r, rows[i].part));
        CHECK(rows[i].row, seen.upgrades == rows[i].upgrades && seen.closes == rows[i].closes);
        CHECK(rows[i].row, seen.closes == 0 || (seen.why == rows[i].why && seen.code == rows[i].code));
        CHECK(rows[i].row, strcmp(seen.text, rows[i].messages) == 0);
        CHECK(rows[i].row, rows[i].log == NULL || log_has(rows[i].log));
        CHECK(rows[i].row, listener_connection_count(listener) == 0 || rows[i].closes == 0);
        end();
        free(r);
    }
}

/* ---- limits in time ---- */

static const struct {
    const char *row;
    const char *send;
    size_t len;
    int head_ms, upgrade_ms, ping_ms;
    const char *part;
    unsigned closes;
    enum conn_end why;
} late_rows[] = {
    {"a head that does not end", STREAM("GET /x HTTP/1.1\r\nHos"), 40, 10000, 0, "", 0, 0},
    {"nothing at all", STREAM(""), 40, 10000, 0, "", 0, 0},
    {"an owner that does not answer", STREAM(HEAD("/never")), 5000, 40, 0, "HTTP/1.1 503 ", 1, CONN_END_IDLE},
    {"a peer that answers no ping", STREAM(HEAD("/x")), 5000, 10000, 40, "\r\n\r\n\x89", 1, CONN_END_PING},
};

static void test_late(void)
{
    for (size_t i = 0; i < COUNT_OF(late_rows); i++) {
        struct listener_options o = options_default();
        o.conn.head_timeout_ms = late_rows[i].head_ms;
        o.conn.upgrade_timeout_ms = late_rows[i].upgrade_ms;
        o.conn.ping_ms = late_rows[i].ping_ms;
        begin(&o);
        struct raw *r = raw_start(late_rows[i].send, late_rows[i].len);
        want_closes = late_rows[i].closes;
        run(late_rows[i].row);
        raw_join(r);
        CHECK(late_rows[i].row, contains(r, late_rows[i].part));
        CHECK(late_rows[i].row, seen.closes == late_rows[i].closes);
        CHECK(late_rows[i].row, seen.closes == 0 || seen.why == late_rows[i].why);
        end();
        free(r);
    }
}

/* A peer that gets our close frame and neither answers nor leaves. */
static void test_close_unanswered(void)
{
    struct listener_options o = options_default();
    begin(&o);
    struct raw *r = raw_start(STREAM(HEAD("/close")));
    want_closes = 1;
    run("the end comes without the peer's help");
    raw_join(r);
    CHECK("and says why", seen.why == CONN_END_REPLACED && seen.code == 4001);
    end();
    free(r);
}

/* ---- control frames ---- */

#define PINGS8  PING PING PING PING PING PING PING PING
#define PINGS32 PINGS8 PINGS8 PINGS8 PINGS8

static void test_control_rate(void)
{
    struct listener_options o = options_default();
    o.conn.control_frames_per_s = 1;
    begin(&o);
    struct raw *r = raw_start(STREAM(HEAD("/x") PINGS32 CLOSE_1000));
    want_closes = 1;
    run("32 at once");
    raw_join(r);
    CHECK("32 control frames at once are let pass, a close does not count", seen.why == CONN_END_TCP && seen.code == 1000);
    end();
    free(r);

    begin(&o);
    r = raw_start(STREAM(HEAD("/x") PINGS32 PING PING TEXT_A));
    want_closes = 1;
    run("34 at once");
    raw_join(r);
    CHECK("more are not", seen.why == CONN_END_PROTOCOL && seen.code == WS_CLOSE_POLICY && seen.messages == 0);
    CHECK("the peer is told", contains(r, "\x03\xf0"));
    end();
    free(r);

    o.conn.control_frames_per_s = 0;
    begin(&o);
    r = raw_start(STREAM(HEAD("/x") PINGS32 PINGS32 CLOSE_1000));
    want_closes = 1;
    run("no limit");
    raw_join(r);
    CHECK("0 is no limit", seen.why == CONN_END_TCP);
    end();
    free(r);
}

/* ---- pause ---- */

static struct timer resume_timer;
static unsigned pauses_seen;

static void on_resume_due(struct timer *t)
{
    (void)t;
    CHECK("nothing came while paused", seen.messages == pauses_seen);
    conn_resume(seen.conn);
    CHECK("nothing comes from inside conn_resume", seen.messages == pauses_seen);
    conn_resume(seen.conn);
}

static void on_paused_message(struct conn *c, struct bytes message, bool is_text)
{
    (void)is_text;
    CHECK("still in order", message.len == 1);
    seen.text[seen.messages++] = (char)message.at[0];
    pauses_seen = seen.messages;
    conn_pause(c);
    conn_pause(c);
    timer_start(loop, &resume_timer, 0);
}

static void test_pause(void)
{
    static const struct conn_handlers handlers = {
        .on_upgrade = on_server_upgrade, .on_message = on_paused_message, .on_close = on_server_close};
    struct listener_options o = options_default();
    o.handlers = &handlers;
    begin(&o);
    timer_init(&resume_timer, on_resume_due);
    struct raw *r = raw_start(STREAM(HEAD("/x") TEXT_A TEXT_B TEXT_C PING TEXT_A CLOSE_1000));
    want_closes = 1;
    run("a pause after every message");
    raw_join(r);
    CHECK("all come, in order", strcmp(seen.text, "ABCA") == 0);
    CHECK("what lies between is done too", contains(r, "\x8a") && seen.code == 1000);
    end();
    free(r);
}

static void on_resume_late(struct timer *t)
{
    (void)t;
    CHECK("not told while paused", seen.messages == 0 && seen.closes == 0);
    conn_resume(seen.conn);
}

static void test_pause_is_no_silence(void)
{
    struct listener_options o = options_default();
    o.conn.ping_ms = 10;
    begin(&o);
    timer_init(&resume_timer, on_resume_late);
    timer_start(loop, &resume_timer, 80);
    struct raw *r = raw_start(STREAM(HEAD("/pause") TEXT_A CLOSE_1000));
    want_closes = 1;
    run("a pause longer than two pings");
    raw_join(r);
    CHECK("ends by the peer's close", seen.why == CONN_END_TCP && seen.code == 1000 && seen.messages == 1);
    end();
    free(r);
}

/* ---- sends ---- */

#define GATHERED 100

static struct conn *gather_conn;

static void on_gather_message(struct conn *c, struct bytes message, bool is_text)
{
    (void)message;
    (void)is_text;
    seen.messages++;
    gather_conn = c;
}

static void on_gather_round(void *data)
{
    (void)data;
    if (gather_conn == NULL)
        return;
    for (unsigned i = 0; i < GATHERED; i++)
        CHECK("queued", conn_send(gather_conn, (struct bytes){(const uint8_t *)"0123456789", 10}, true) == OK);
    gather_conn = NULL;
}

/* Reads the head, sends one message, then reads once. */
static void *gather_talk(void *arg)
{
    struct raw *r = arg;
    if (send(r->fd, HEAD("/x"), sizeof HEAD("/x") - 1, MSG_NOSIGNAL) > 0)
        while (memmem(r->got, r->got_len, "\r\n\r\n", 4) == NULL) {
            ssize_t n = recv(r->fd, r->got + r->got_len, 1, 0);
            if (n != 1)
                break;
            r->got_len++;
        }
    if (send(r->fd, TEXT_A, sizeof TEXT_A - 1, MSG_NOSIGNAL) > 0) {
        ssize_t n = recv(r->fd, r->got, sizeof r->got, 0);
        r->got_len = n > 0 ? (size_t)n : 0;
    }
    (void)close(r->fd);
    return NULL;
}

static void test_gather(void)
{
    static const struct conn_handlers handlers = {
        .on_upgrade = on_server_upgrade, .on_message = on_gather_message, .on_close = on_server_close};
    struct listener_options o = options_default();
    o.handlers = &handlers;
    begin(&o);
    loop_on_round_end(loop, on_gather_round, NULL);
    struct raw *r = mem_new(1, sizeof *r);
    r->fd = dial(listener_port(listener));
    CHECK("the peer talks", pthread_create(&r->thread, NULL, gather_talk, r) == 0);
    want_closes = 1;
    run("many sends in a round handler");
    raw_join(r);
    CHECK("arrive in one piece, in the same turn", r->got_len == GATHERED * 12);
    CHECK("a reset is told as the connection's end", seen.why == CONN_END_TCP && seen.code == WS_CLOSE_ABNORMAL);
    end();
    free(r);
}

/* The peer never reads: queue until the limit. */
static struct timer flood_timer;
static unsigned flood_refused;

static void on_flood_due(struct timer *t)
{
    static uint8_t block[16384];
    for (unsigned i = 0; i < 8 && flood_refused == 0; i++)
        flood_refused += conn_send(seen.conn, (struct bytes){block, sizeof block}, false) == ERR_LIMIT;
    if (flood_refused == 0)
        timer_start(loop, t, 0);
    else
        CHECK("nothing is told inside conn_send", seen.closes == 0);
}

static void on_flood_message(struct conn *c, struct bytes message, bool is_text)
{
    (void)c;
    (void)message;
    (void)is_text;
    timer_start(loop, &flood_timer, 0);
}

static void test_slow_reader(void)
{
    static const struct conn_handlers handlers = {
        .on_upgrade = on_server_upgrade, .on_message = on_flood_message, .on_close = on_server_close};
    struct listener_options o = options_default();
    o.handlers = &handlers;
    begin(&o);
    timer_init(&flood_timer, on_flood_due);
    int fd = dial(listener_port(listener));
    CHECK("the peer sends", send(fd, STREAM(HEAD("/x") TEXT_A), MSG_NOSIGNAL) > 0);
    want_closes = 1;
    run("a peer that does not read");
    CHECK("is cut off", seen.why == CONN_END_SLOW && flood_refused == 1);
    CHECK("and named in the log", log_has("conn.slow"));
    (void)close(fd);
    end();
}

/* One ends in a flush, and its owner has something to say on another that has already been sent to in the same flush. */
static struct conn *ending, *staying;

static void on_two_message(struct conn *c, struct bytes message, bool is_text)
{
    static uint8_t block[16384];
    (void)is_text;
    seen.messages++;
    *(message.at[0] == 'A' ? &ending : &staying) = c;
    if (message.at[0] != 'C') {
        step();
        return;
    }
    while (conn_send(ending, (struct bytes){block, sizeof block}, false) == OK) {
    }
    CHECK("the other is answered behind it", conn_send(c, (struct bytes){(const uint8_t *)"x", 1}, true) == OK);
}

static void on_two_close(struct conn *c, enum conn_end why, uint16_t code)
{
    if (c == ending)
        CHECK("it is told of the end", conn_send(staying, (struct bytes){(const uint8_t *)"y", 1}, true) == OK);
    on_server_close(c, why, code);
}

static void test_end_tells_another(void)
{
    static const struct conn_handlers handlers = {
        .on_upgrade = on_server_upgrade, .on_message = on_two_message, .on_close = on_two_close};
    struct listener_options o = options_default();
    char got[1024] = {0};
    size_t len = 0;
    o.handlers = &handlers;
    begin(&o);
    int a = dial(listener_port(listener)), b = dial(listener_port(listener));
    CHECK("the first says something", send(a, STREAM(HEAD("/x") TEXT_A), MSG_NOSIGNAL) > 0);
    CHECK("and the second", send(b, STREAM(HEAD("/x") TEXT_B), MSG_NOSIGNAL) > 0);
    want_messages = 2;
    run("both are open");
    CHECK("the second goes on", send(b, STREAM(TEXT_C), MSG_NOSIGNAL) > 0);
    want_closes = 1;
    run("the first ends");
    CHECK("the second will say no more", shutdown(b, SHUT_WR) == 0);
    want_closes = 2;
    run("the second ends");
    for (ssize_t n = 1; n > 0; len += n > 0 ? (size_t)n : 0)
        n = recv(b, got + len, sizeof got - len, 0);
    CHECK("both answers came", memmem(got, len, "\x81\x01x\x81\x01y", 6) != NULL);
    (void)close(a);
    (void)close(b);
    end();
}

/* ---- the client side ---- */

struct client_seen {
    struct conn *conn;
    unsigned opens, messages, closes, disordered;
    enum conn_end why;
    uint16_t code;
};
static struct client_seen client;
#define ECHOES 300

static size_t echo_size(unsigned i)
{
    static const size_t sizes[] = {1, 4, 125, 126, 1000, 65535, 65536, 70000, 200000};
    return sizes[i % COUNT_OF(sizes)];
}

static void client_send_next(struct conn *c, unsigned i)
{
    static uint8_t block[200000];
    memset(block, 'a' + (int)(i % 16), sizeof block);
    CHECK("the client sends", conn_send(c, (struct bytes){block, echo_size(i)}, i % 2 == 0) == OK);
}

static void on_client_open(struct conn *c)
{
    client.opens++;
    client_send_next(c, 0);
}

static void on_client_message(struct conn *c, struct bytes m, bool is_text)
{
    unsigned i = client.messages++;
    client.disordered += m.len != echo_size(i) || m.at[0] != 'a' + i % 16 || m.at[m.len - 1] != 'a' + i % 16 ||
                         is_text != (i % 2 == 0);
    if (client.messages < ECHOES)
        client_send_next(c, client.messages);
    else
        conn_close(c, CONN_END_OURS, WS_CLOSE_NORMAL, STR("done"));
}

static void on_client_close(struct conn *c, enum conn_end why, uint16_t code)
{
    (void)c;
    client.closes++;
    client.why = why;
    client.code = code;
    raws_done++;
    step();
}

static const struct conn_handlers client_handlers = {
    .on_open = on_client_open, .on_message = on_client_message, .on_close = on_client_close};

static struct conn_target target_of(const char *host, const char *path)
{
    return (struct conn_target){.host = str_of(host), .port = listener_port(listener), .path = str_of(path)};
}

static void client_begin(const struct listener_options *o)
{
    memset(&client, 0, sizeof client);
    begin(o);
    want_raws = 1;
}

static void test_client_echo(void)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        struct listener_options o = options_default();
        client_begin(&o);
        struct conn_target t = target_of(hosts[i], "/ocpp");
        t.protocols = STR("ocpp1.6");
        t.authorization = STR("Basic QTpi");
        if (i == 0)
            t.source = STR("127.0.0.9");
        want_closes = 1;
        enum err e = conn_connect(loop, &t, NULL, &client_handlers, NULL, &client.conn);
        CHECK(hosts[i], e == OK);
        run(hosts[i]);
        CHECK("every echo is the message", client.messages == ECHOES && client.disordered == 0);
        CHECK("who closed knows why", client.why == CONN_END_OURS && client.code == 1000);
        CHECK("the peer got the code", seen.why == CONN_END_TCP && seen.code == 1000);
        end();
    }
}

static const struct {
    const char *row;
    const char *host, *path, *source;
    int port; /* 0: the listener's */
    enum err want;
    enum conn_end why;
} client_rows[] = {
    {"the server refuses", "127.0.0.1", "/refuse", NULL, 0, OK, CONN_END_PROTOCOL},
    {"nobody listens", "127.0.0.1", "/x", NULL, 1, OK, CONN_END_TCP},
    {"no such name", "no-such-name.invalid", "/x", NULL, 0, OK, CONN_END_TCP},
    {"no host", "", "/x", NULL, 0, ERR_FORMAT, 0},
    {"no path", "127.0.0.1", "", NULL, 0, ERR_FORMAT, 0},
    {"no port", "127.0.0.1", "/x", NULL, -1, ERR_FORMAT, 0},
    {"a source that is no address", "127.0.0.1", "/x", "here", 0, ERR_FORMAT, 0},
    {"a source that is not ours", "127.0.0.1", "/x", "192.0.2.1", 0, ERR_IO, 0},
};

static void test_client_rows(void)
{
    for (size_t i = 0; i < COUNT_OF(client_rows); i++) {
        struct listener_options o = options_default();
        client_begin(&o);
        struct conn_target t = target_of(client_rows[i].host, client_rows[i].path);
        t.source = str_of(client_rows[i].source);
        if (client_rows[i].port != 0)
            t.port = client_rows[i].port;
        enum err e = conn_connect(loop, &t, NULL, &client_handlers, NULL, &client.conn);
        CHECK(client_rows[i].row, e == client_rows[i].want);
        if (e == OK)
            run(client_rows[i].row);
        CHECK(client_rows[i].row, client.opens == 0 && client.closes == (e == OK));
        CHECK(client_rows[i].row, e != OK || client.why == client_rows[i].why);
        end();
    }
}

/* A server that accepts the TCP connection and says nothing, or says the wrong thing. */
static void on_silent_upgrade(struct conn *c, const struct http_head *head)
{
    (void)c;
    (void)head;
}

static void test_client_late(void)
{
    static const struct conn_handlers handlers = {
        .on_upgrade = on_silent_upgrade, .on_message = on_server_message, .on_close = on_server_close};
    struct listener_options o = options_default();
    o.handlers = &handlers;
    client_begin(&o);
    struct conn_options own = conn_options_default();
    own.upgrade_timeout_ms = 40;
    struct conn_target t = target_of("127.0.0.1", "/x");
    CHECK("connects", conn_connect(loop, &t, &own, &client_handlers, NULL, &client.conn) == OK);
    run("a server that does not answer");
    CHECK("is given up", client.why == CONN_END_IDLE && client.opens == 0);
    end();
}

static void on_ping_open(struct conn *c)
{
    client.opens++;
    client.conn = c;
}

static struct timer look_timer;
static int64_t frame_ms;
static unsigned lives;

static void on_look(struct timer *t)
{
    if (seen.conn != NULL && conn_last_frame_ms(seen.conn) != frame_ms) {
        frame_ms = conn_last_frame_ms(seen.conn);
        lives++;
    }
    if (lives >= 4 && client.conn != NULL)
        conn_close(client.conn, CONN_END_OURS, WS_CLOSE_NORMAL, STR(""));
    else
        timer_start(loop, t, 5);
}

static void test_ping_keeps(void)
{
    static const struct conn_handlers handlers = {
        .on_open = on_ping_open, .on_message = on_client_message, .on_close = on_client_close};
    struct listener_options o = options_default();
    o.conn.ping_ms = 30;
    o.conn.control_frames_per_s = 0;
    client_begin(&o);
    struct conn_options own = conn_options_default();
    own.ping_ms = 0;
    struct conn_target t = target_of("127.0.0.1", "/x");
    struct conn *c;
    CHECK("connects", conn_connect(loop, &t, &own, &handlers, NULL, &c) == OK);
    timer_init(&look_timer, on_look);
    timer_start(loop, &look_timer, 5);
    want_closes = 1;
    run("pings that are answered");
    CHECK("keep the connection", seen.why == CONN_END_TCP && seen.code == 1000 && lives >= 4);
    end();
}

/* ---- the listener ---- */

static void test_full(void)
{
    struct listener_options o = options_default();
    o.connections_max = 1;
    begin(&o);
    int first = dial(listener_port(listener));
    CHECK("the first sends", send(first, STREAM(HEAD("/x") TEXT_A), MSG_NOSIGNAL) > 0);
    want_messages = 1;
    run("the first is served");
    CHECK("one is counted", listener_connection_count(listener) == 1);
    struct raw *r = raw_start(STREAM(HEAD("/x")));
    run("the second is told");
    raw_join(r);
    CHECK("503", strncmp(r->got, "HTTP/1.1 503 ", 13) == 0);
    CHECK("and when to come again", contains(r, "Retry-After: "));
    CHECK("the owner never saw it", seen.upgrades == 1 && seen.closes == 0);
    (void)close(first);
    want_closes = 1;
    run("the first leaves");
    CHECK("none is counted", listener_connection_count(listener) == 0);
    free(r);
    r = raw_start(STREAM(HEAD("/x") CLOSE_1000));
    want_closes = 2;
    run("the third is served");
    raw_join(r);
    CHECK("101", strncmp(r->got, "HTTP/1.1 101 ", 13) == 0);
    free(r);
    end();
}

static void test_close_listener(void)
{
    struct listener_options o = options_default();
    begin(&o);
    int port = listener_port(listener), fd = dial(port);
    CHECK("sends", send(fd, STREAM(HEAD("/x") TEXT_A), MSG_NOSIGNAL) > 0);
    want_messages = 1;
    run("one is served");
    listener_close(listener);
    listener_close(listener);
    CHECK("sends again", send(fd, STREAM(TEXT_B), MSG_NOSIGNAL) > 0);
    want_messages = 2;
    run("its connections live on");
    CHECK("nobody new comes in", dial(port) == -1);
    CHECK("its data is still there", conn_listener(seen.conn) == listener && listener_data(listener) == NULL);
    (void)close(fd);
    mailbox_free(mailbox);
    loop_free(loop);
    listener = NULL;
    log_setup(STDERR_FILENO, LOG_LEVEL_ERROR, false, clock_now_us);
    (void)fclose(log_file);
}

static const struct {
    const char *address;
    enum err want;
    const char *reason;
} address_rows[] = {
    {"127.0.0.1:0", OK, ""},
    {"[::1]:0", OK, ""},
    {"127.0.0.1", ERR_FORMAT, "no address"},
    {"127.0.0.1:", ERR_FORMAT, "no address"},
    {":8887", ERR_FORMAT, "no address"},
    {"", ERR_FORMAT, "no address"},
    {"127.0.0.1:65536", ERR_FORMAT, "no address"},
    {"127.0.0.1:-1", ERR_FORMAT, "no address"},
    {"::1:80", ERR_FORMAT, "no address"},
    {"[127.0.0.1]:80", ERR_FORMAT, "no address"},
    {"1.2.3:80", ERR_FORMAT, "no address"},
    {"localhost:80", ERR_FORMAT, "no address"},
    {"192.0.2.1:0", ERR_IO, "192.0.2.1:0: "},
};

static void test_addresses(void)
{
    for (size_t i = 0; i < COUNT_OF(address_rows); i++) {
        struct listener_options o = options_default();
        struct fault why = {{0}, {0}};
        struct listener *l = NULL;
        o.address = str_of(address_rows[i].address);
        loop = new_loop();
        CHECK(address_rows[i].address, listener_open(loop, &o, &l, &why) == address_rows[i].want);
        CHECK(address_rows[i].address, strstr(why.reason, address_rows[i].reason) != NULL);
        CHECK(address_rows[i].address, (l != NULL) == (address_rows[i].want == OK));
        CHECK(address_rows[i].address, l == NULL || listener_port(l) > 0);
        loop_free(loop);
    }
}

static void test_taken(void)
{
    struct listener_options o = options_default();
    begin(&o);
    struct fault why = {{0}, {0}};
    struct listener *second;
    char pid[32];
    (void)snprintf(pid, sizeof pid, "(pid %d, ", (int)getpid());
    o.address = listener_address(listener);
    CHECK("a taken port is refused", listener_open(loop, &o, &second, &why) == ERR_BUSY);
    CHECK("in clear words", strstr(why.reason, "is taken by another process") != NULL);
    CHECK("with its holder", strstr(why.reason, pid) != NULL);
    CHECK("and its address", strncmp(why.reason, o.address.at, o.address.len) == 0);
    end();

    o = options_default();
    o.is_shared = true;
    begin(&o);
    o.address = listener_address(listener);
    CHECK("a shared one is shared", listener_open(loop, &o, &second, &why) == OK);
    CHECK("with the same port", listener_port(second) == listener_port(listener));
    end();
}

/* Descriptors run out while somebody waits to be accepted. */
static struct rlimit limit_before;
static struct timer limit_timer;

static void on_limit_due(struct timer *t)
{
    if (!log_has("listener.exhausted")) {
        timer_start(loop, t, 10);
        return;
    }
    CHECK("nobody came in", seen.upgrades == 0);
    CHECK("descriptors again", setrlimit(RLIMIT_NOFILE, &limit_before) == 0);
}

static void test_exhausted(void)
{
    struct listener_options o = options_default();
    begin(&o);
    struct raw *r = raw_start(STREAM(HEAD("/x") CLOSE_1000));
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK("a descriptor", lowest >= 0);
    (void)close(lowest);
    CHECK("the limit", getrlimit(RLIMIT_NOFILE, &limit_before) == 0);
    struct rlimit low = {.rlim_cur = (rlim_t)lowest, .rlim_max = limit_before.rlim_max};
    CHECK("is lowered", setrlimit(RLIMIT_NOFILE, &low) == 0);
    timer_init(&limit_timer, on_limit_due);
    timer_start(loop, &limit_timer, 10);
    want_closes = 1;
    run("descriptors run out and come back");
    raw_join(r);
    CHECK("who waited is served", seen.upgrades == 1 && contains(r, "HTTP/1.1 101 "));
    end();
    free(r);
}

/* Two that only open sockets, and one that has something to say: it waits until the first two are late enough to go. */
static void test_crowded(void)
{
    struct listener_options o = options_default();
    o.unopened_max = 2;
    o.conn.head_timeout_ms = 500;
    begin(&o);
    int idle[] = {dial(listener_port(listener)), dial(listener_port(listener))};
    struct raw *r = raw_start(STREAM(HEAD("/x") CLOSE_1000));
    want_closes = 1;
    run("who has something to say comes in past the silent");
    raw_join(r);
    CHECK("and is served", contains(r, "HTTP/1.1 101 "));
    CHECK("a silent one went for it", log_has("event=conn.unfinished") && log_has("reason=crowded"));
    for (size_t i = 0; i < COUNT_OF(idle); i++)
        (void)close(idle[i]);
    end();
    free(r);
}

/* More at once than may be unopened: they come in after each other, and none goes for another. */
static void test_crowd_with_manners(void)
{
    enum { CROWD = 20 };
    struct listener_options o = options_default();
    struct raw *raws[CROWD];
    o.unopened_max = 2;
    begin(&o);
    for (size_t i = 0; i < CROWD; i++)
        raws[i] = raw_start(STREAM(HEAD("/x") CLOSE_1000));
    want_closes = CROWD;
    run("a crowd comes in");
    for (size_t i = 0; i < CROWD; i++) {
        raw_join(raws[i]);
        CHECK("each of it", contains(raws[i], "HTTP/1.1 101 "));
        free(raws[i]);
    }
    CHECK("and nobody is sent away", !log_has("conn.unfinished"));
    end();
}

/* Past the grace a message has to come on at some speed, whatever keeps the connection from being silent. */
static struct timer drip_timer;
static int drip_fd;

static void on_drip_due(struct timer *t)
{
    if (send(drip_fd, "a", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
        timer_start(loop, t, 100);
}

static void test_dripping_message(void)
{
    struct listener_options o = options_default();
    o.conn.ping_ms = 400;
    begin(&o);
    drip_fd = dial(listener_port(listener));
    CHECK("a frame of 1,000 bytes is begun", send(drip_fd, STREAM(HEAD("/x") FRAME("\x81", "\xfe\x03\xe8")), MSG_NOSIGNAL) > 0);
    timer_init(&drip_timer, on_drip_due);
    timer_start(loop, &drip_timer, 100);
    want_closes = 1;
    run("a message that drips ends the connection");
    CHECK("as too slow", seen.why == CONN_END_SLOW && seen.messages == 0 && log_has("event=conn.slow") && log_has("what=sends"));
    (void)close(drip_fd);
    end();
}

/* Far more than one turn accepts. */
#define STORM 300

static void test_storm(void)
{
    struct listener_options o = options_default();
    begin(&o);
    static int fds[STORM];
    for (size_t i = 0; i < STORM; i++) {
        fds[i] = dial(listener_port(listener));
        CHECK("a storm's one connects", fds[i] >= 0 && send(fds[i], STREAM(HEAD("/x") TEXT_A), MSG_NOSIGNAL) > 0);
    }
    want_messages = STORM;
    run("all of a storm are served");
    CHECK("and counted", listener_connection_count(listener) == STORM);
    for (size_t i = 0; i < STORM; i++)
        (void)close(fds[i]);
    want_closes = STORM;
    run("all of them leave");
    CHECK("none is left", listener_connection_count(listener) == 0);
    end();
}

static void on_round_stop(void *data)
{
    (void)data;
    loop_stop(loop);
}

/* Everything open when the loop is freed: nobody is told, nothing leaks. */
static void test_free_with_all_open(void)
{
    struct listener_options o = options_default();
    client_begin(&o);
    struct conn_target t = target_of("localhost", "/x");
    int fd = dial(listener_port(listener));
    CHECK("sends", send(fd, STREAM(HEAD("/pause") TEXT_A TEXT_B), MSG_NOSIGNAL) > 0);
    loop_on_round_end(loop, on_round_stop, NULL);
    loop_run(loop);
    CHECK("connects", conn_connect(loop, &t, NULL, &client_handlers, NULL, &client.conn) == OK);
    end();
    CHECK("nobody is told", seen.closes == 0 && client.closes == 0);
    (void)close(fd);
}

static void test_all(void)
{
    test_rows();
    test_late();
    test_close_unanswered();
    test_control_rate();
    test_pause();
    test_pause_is_no_silence();
    test_gather();
    test_slow_reader();
    test_end_tells_another();
    test_client_echo();
    test_client_rows();
    test_client_late();
    test_ping_keeps();
    test_full();
    test_close_listener();
    test_addresses();
    test_taken();
    test_exhausted();
    test_crowded();
    test_crowd_with_manners();
    test_dripping_message();
    test_storm();
    test_free_with_all_open();
}

int main(void)
{
    both_ways(test_all);
    return CHECK_REPORT();
}
