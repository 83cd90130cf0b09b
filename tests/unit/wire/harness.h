/* tests/unit/wire/harness.h - a server whose behaviour the path of the request chooses, raw peers on threads of their own, and
 * a loop that runs until both have had what the test expects. Nothing waits by the clock but the guard. */
#ifndef TESTS_WIRE_HARNESS_H
#define TESTS_WIRE_HARNESS_H
#include "base/log.h"
#include "check.h"
#include "unit/both_ways.h"
#include "wire/conn.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GUARD_MS     20000
#define GOT_SIZE     65536
#define MESSAGES_MAX 4096
#define SAMPLE_KEY   "dGhlIHNhbXBsZSBub25jZQ=="
#define HEAD(path)                                                                                                     \
    "GET " path " HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " SAMPLE_KEY    \
    "\r\nSec-WebSocket-Version: 13\r\n\r\n"
/* Frames with a mask of zeros: their payload stays readable. */
#define FRAME(head, len) head len "\0\0\0\0"
#define TEXT_A           FRAME("\x81", "\x81") "A"
#define TEXT_B           FRAME("\x81", "\x81") "B"
#define TEXT_C           FRAME("\x81", "\x81") "C"
#define PING             FRAME("\x89", "\x80")
#define CLOSE_1000       FRAME("\x88", "\x82") "\x03\xe8"

/* What the server side saw. */
struct seen {
    unsigned upgrades, messages, closes;
    char text[MESSAGES_MAX]; /* first byte of each message */
    enum conn_end why;
    uint16_t code;
    struct conn *conn; /* the last one */
    bool is_gone;
};

static struct loop *loop;
static struct listener *listener;
static struct mailbox *mailbox;
static struct seen seen;
static unsigned want_closes, want_raws, want_messages, raws_done;
static bool is_late;
static struct timer guard;
static FILE *log_file;

static void step(void)
{
    if (seen.closes >= want_closes && raws_done >= want_raws && seen.messages >= want_messages)
        loop_stop(loop);
}

static void on_guard(struct timer *t)
{
    (void)t;
    is_late = true;
    loop_stop(loop);
}

static void on_server_upgrade(struct conn *c, const struct http_head *head)
{
    seen.upgrades++;
    seen.conn = c;
    seen.is_gone = false;
    if (str_eq(head->target, STR("/refuse")))
        conn_refuse(c, 401, STR("WWW-Authenticate: Basic realm=\"x\"\r\n"));
    else if (!str_eq(head->target, STR("/never")))
        conn_accept(c, str_eq(head->target, STR("/ocpp")) ? STR("ocpp1.6") : (struct str){NULL, 0});
    if (str_eq(head->target, STR("/close")))
        conn_close(c, CONN_END_REPLACED, 4001, STR("newer"));
    if (str_eq(head->target, STR("/pause")))
        conn_pause(c);
}

static void on_server_message(struct conn *c, struct bytes message, bool is_text)
{
    CHECK("no message after the end", !seen.is_gone);
    if (seen.messages < MESSAGES_MAX - 1)
        seen.text[seen.messages] = message.len > 0 ? (char)message.at[0] : '0';
    seen.messages++;
    if (message.len > 0 && message.at[0] == 'q')
        conn_close(c, CONN_END_SHUTDOWN, WS_CLOSE_GOING_AWAY, STR("bye"));
    else
        CHECK("the echo is queued", conn_send(c, message, is_text) == OK);
    step();
}

static void on_server_close(struct conn *c, enum conn_end why, uint16_t code)
{
    seen.closes++;
    seen.why = why;
    seen.code = code;
    seen.is_gone = true;
    CHECK("too late to send", conn_send(c, (struct bytes){(const uint8_t *)"x", 1}, true) == ERR_CLOSED);
    step();
}

static const struct conn_handlers server_handlers = {
    .on_upgrade = on_server_upgrade, .on_message = on_server_message, .on_close = on_server_close};

static struct listener_options options_default(void)
{
    struct listener_options o = {.address = STR("127.0.0.1:0"), .conn = conn_options_default(), .handlers = &server_handlers};
    return o;
}

static void begin(const struct listener_options *o)
{
    memset(&seen, 0, sizeof seen);
    want_closes = want_raws = want_messages = raws_done = 0;
    is_late = false;
    log_file = tmpfile();
    log_setup(fileno(log_file), LOG_LEVEL_DEBUG, false, clock_now_us);
    loop = new_loop();
    mailbox = mailbox_new(loop, 64);
    struct fault why;
    enum err e = listener_open(loop, o, &listener, &why);
    CHECK("the listener opens", e == OK);
    if (e != OK)
        exit(CHECK_REPORT());
}

static void run(const char *row)
{
    timer_init(&guard, on_guard);
    timer_start(loop, &guard, GUARD_MS);
    loop_run(loop);
    timer_stop(&guard);
    CHECK(row, !is_late);
}

static bool log_has(const char *text)
{
    char all[8192];
    rewind(log_file);
    size_t n = fread(all, 1, sizeof all - 1, log_file);
    all[n] = 0;
    return strstr(all, text) != NULL;
}

static void end(void)
{
    listener_close(listener);
    mailbox_free(mailbox);
    loop_free(loop);
    log_setup(STDERR_FILENO, LOG_LEVEL_ERROR, false, clock_now_us);
    (void)fclose(log_file);
}

/* A peer of bytes: connects, sends, reads until the stream ends. */
struct raw {
    struct mail mail;
    const char *send;
    size_t send_len;
    int fd;
    char got[GOT_SIZE];
    size_t got_len;
    pthread_t thread;
};

static inline int dial(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&a, sizeof a) != 0)
        return -1;
    return fd;
}

static inline void on_raw_done(struct mail *m)
{
    (void)m;
    raws_done++;
    step();
}

static inline void *raw_talk(void *arg)
{
    struct raw *r = arg;
    size_t sent = 0;
    while (sent < r->send_len) {
        ssize_t n = send(r->fd, r->send + sent, r->send_len - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    while (r->got_len < sizeof r->got - 1) {
        ssize_t n = recv(r->fd, r->got + r->got_len, sizeof r->got - 1 - r->got_len, 0);
        if (n <= 0)
            break;
        r->got_len += (size_t)n;
    }
    (void)close(r->fd);
    r->mail.on_arrive = on_raw_done;
    mailbox_post_always(mailbox, &r->mail);
    return NULL;
}

static inline struct raw *raw_start(const char *send, size_t len)
{
    struct raw *r = mem_new(1, sizeof *r);
    r->send = send;
    r->send_len = len;
    r->fd = dial(listener_port(listener));
    CHECK("the peer connects", r->fd >= 0);
    CHECK("the peer talks", pthread_create(&r->thread, NULL, raw_talk, r) == 0);
    want_raws++;
    return r;
}

static inline void raw_join(struct raw *r)
{
    CHECK("the peer ends", pthread_join(r->thread, NULL) == 0);
}
#endif
