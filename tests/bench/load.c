/* load.c - stations that ask as fast as they are answered: one epoll thread, frames rendered beforehand, nothing looked
 * at but what the next call needs. So the generator costs little beside the server, and what it costs is told.
 *
 *     load --port N --stations N [--first N] [--seconds N] [--warmup N] [--pid N] [--tls] [--tags N] WORK
 *
 *     --tags N         each transaction is begun by another one of so many tags, T0000000 and on; without it by one
 *     --transactions   each station: start, 10 MeterValues of 4 samples, stop, and again; a call waits for the answer
 * before it
 *     --heartbeats     each station: heartbeats
 *     --idle           stations boot and say nothing; "ready" is printed, ends with its standard input
 *     --handshakes     connections one after another on each of the stations' sockets: TCP, TLS, closed
 *     --http PATH      GET PATH on kept connections; --key K: with that bearer token
 *
 * Against a plain echo the same frames come back; only the transaction id then stays what it was made as. With --pid
 * the CPU time of that process is taken too, in all and by thread. Prints one line of key=value. (RFC 6455; OCPP-J 1.6,
 * 4)  */
#include "bench/frames.h"
#include "bench/measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define METERS_EACH    10
#define CONNECTING_MAX 256 /* at once: a listener's backlog is short */
#define EVENTS_MAX     512
#define IN_MAX         65536
#define REST_MAX       4096
#define STEP_MS        100
#define TAG_STRIDE     7919 /* prime: all tags have their turn, and neighbours come far apart */

enum work { WORK_TRANSACTIONS, WORK_HEARTBEATS, WORK_IDLE, WORK_HANDSHAKES, WORK_HTTP, WORK_NONE };
enum state { STATE_CLOSED, STATE_CONNECTING, STATE_TLS, STATE_UPGRADING, STATE_BOOTING, STATE_READY };

struct station {
    int fd;
    enum state state;
    SSL *tls;
    uint64_t transaction, energy_wh;
    size_t tag;    /* of its transaction */
    unsigned step; /* 0 start, 1 .. METERS_EACH meters, then stop */
    int64_t asked_us;
    size_t rest_len;
    uint8_t *rest; /* the beginning of an answer that is not all there */
};
static struct {
    int port, pid;
    size_t count, first, tags;
    int64_t seconds, warmup;
    enum work work;
    bool is_tls;
    const char *path, *key;
} options = {.count = 200, .seconds = 5, .warmup = 1, .work = WORK_NONE};

static struct station *stations;
static struct frame frames[CALL_COUNT];
static struct latencies latencies;
static SSL_CTX *tls_context;
static char request[1024];
static size_t request_len;
static int epoll;
static size_t connecting, next_station, ready, next_tag;
static uint64_t message_number = 1000000000, errors, calls;
static int64_t now_us;
static bool is_running, is_measuring;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- bytes ---- */

static ssize_t take_bytes(struct station *s, void *at, size_t len)
{
    if (s->tls == NULL)
        return recv(s->fd, at, len, 0);
    int n = SSL_read(s->tls, at, (int)len);
    if (n > 0)
        return n;
    int e = SSL_get_error(s->tls, n);
    errno = e == SSL_ERROR_WANT_READ ? EAGAIN : ECONNRESET;
    return e == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

/* One call of a closed loop always fits into the socket's buffer. */
static void give(struct station *s, const void *at, size_t len)
{
    ssize_t n = s->tls != NULL ? SSL_write(s->tls, at, (int)len) : send(s->fd, at, len, MSG_NOSIGNAL);

    if (n != (ssize_t)len)
        errors++;
}

static void ask(struct station *s, enum call call)
{
    struct frame *f = &frames[call];

    put_number(f->id, 10, message_number++);
    if (f->transaction != NULL)
        put_number(f->transaction, 10, s->transaction);
    if (f->energy != NULL)
        put_number(f->energy, 9, REGISTER_FIRST + s->energy_wh);
    if (f->tag != NULL && options.tags > 0)
        put_digits(f->tag + 1, 7, s->tag);
    if (f->time != NULL)
        put_time(f->time, clock_us(CLOCK_REALTIME));
    s->asked_us = now_us;
    give(s, f->bytes, f->len);
}

static void ask_next(struct station *s)
{
    if (options.work == WORK_HTTP) {
        s->asked_us = now_us;
        give(s, request, request_len);
        return;
    }
    if (options.work == WORK_HEARTBEATS) {
        ask(s, CALL_HEARTBEAT);
        return;
    }
    if (s->step == 0 && options.tags > 0)
        s->tag = next_tag++ * TAG_STRIDE % options.tags;
    s->energy_wh += 7;
    if (s->energy_wh > REGISTER_FIRST)
        s->energy_wh = 0;
    ask(s, s->step == 0 ? CALL_START : s->step <= METERS_EACH ? CALL_METER : CALL_STOP);
    s->step = s->step > METERS_EACH ? 0 : s->step + 1;
}

/* ---- connections ---- */

static void watch(struct station *s, int how, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = s};

    if (epoll_ctl(epoll, how, s->fd, &e) != 0)
        die("epoll");
}

static void connect_station(struct station *s)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)options.port)};
    int one = 1;

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        die("socket");
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(s->fd, (struct sockaddr *)&a, sizeof a) != 0 && errno != EINPROGRESS)
        die("connect");
    s->state = STATE_CONNECTING;
    s->asked_us = now_us;
    s->rest_len = 0;
    connecting++;
    watch(s, EPOLL_CTL_ADD, EPOLLOUT);
}

static void connect_more(void)
{
    while (connecting < CONNECTING_MAX && next_station < options.count)
        connect_station(&stations[next_station++]);
}

static void end_station(struct station *s)
{
    if (s->state >= STATE_CONNECTING && s->state < STATE_READY)
        connecting--;
    SSL_free(s->tls);
    s->tls = NULL;
    (void)close(s->fd);
    s->state = STATE_CLOSED;
}

static void on_ready(struct station *s)
{
    s->state = STATE_READY;
    connecting--;
    ready++;
    connect_more();
}

static void upgrade(struct station *s)
{
    char head[512];

    if (options.work == WORK_HTTP) {
        on_ready(s);
        return;
    }
    int n =
        snprintf(head, sizeof head,
                 "GET /ocpp/BENCH-%06zu HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n",
                 options.first + (size_t)(s - stations), options.port);
    s->state = STATE_UPGRADING;
    give(s, head, (size_t)n);
}

static void shake_hands(struct station *s)
{
    int n = SSL_connect(s->tls), e = n == 1 ? SSL_ERROR_NONE : SSL_get_error(s->tls, n);

    if (e == SSL_ERROR_WANT_READ)
        return;
    if (e != SSL_ERROR_NONE) {
        errors++;
        end_station(s);
    } else if (options.work == WORK_HANDSHAKES) {
        if (is_measuring)
            latency_add(&latencies, now_us - s->asked_us);
        calls++;
        end_station(s);
        connect_station(s);
    } else {
        upgrade(s);
    }
}

static void on_connected(struct station *s)
{
    int e = 0;
    socklen_t len = sizeof e;

    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0 || e != 0) {
        errno = e;
        die("connect");
    }
    watch(s, EPOLL_CTL_MOD, EPOLLIN);
    if (!options.is_tls) {
        upgrade(s);
        return;
    }
    s->tls = SSL_new(tls_context);
    if (s->tls == NULL || SSL_set_fd(s->tls, s->fd) != 1)
        die("tls");
    s->state = STATE_TLS;
    shake_hands(s);
}

/* ---- answers ---- */

static void read_transaction(struct station *s, const uint8_t *at, size_t len)
{
    static const char name[] = "\"transactionId\":";
    const uint8_t *p = memmem(at, len, name, sizeof name - 1);

    if (p == NULL)
        return; /* an echo */
    s->transaction = strtoull((const char *)p + sizeof name - 1, NULL, 10);
    if (memmem(at, len, "Accepted", 8) == NULL)
        errors++;
}

static void on_answer(struct station *s, const uint8_t *at, size_t len)
{
    if (len < 2 || at[0] != '[' || at[1] == '4')
        errors++;
    if (s->state == STATE_BOOTING) {
        on_ready(s);
        return;
    }
    if (is_measuring)
        latency_add(&latencies, now_us - s->asked_us);
    calls++;
    if (s->step == 1 && options.work == WORK_TRANSACTIONS)
        read_transaction(s, at, len);
    if (is_running)
        ask_next(s);
}

/* How many bytes the first frame has; 0: not all there. */
static size_t take_frame(struct station *s, uint8_t *at, size_t len)
{
    if (len < 2)
        return 0;
    size_t size = at[1] & 0x7f, head = 2;
    if (size == 126 && len >= 4) {
        size = (size_t)at[2] << 8 | at[3];
        head = 4;
    } else if (size >= 126) {
        return 0;
    }
    if (len < head + size)
        return 0;
    if ((at[0] & 0x0f) == 1) {
        on_answer(s, at + head, size);
    } else if ((at[0] & 0x0f) == 9) {
        static const uint8_t pong[] = {0x8a, 0x80, 0, 0, 0, 0};
        give(s, pong, sizeof pong);
    } else {
        errors++;
    }
    return head + size;
}

static size_t take_head(struct station *s, const uint8_t *at, size_t len)
{
    const uint8_t *end = memmem(at, len, "\r\n\r\n", 4);

    if (end == NULL)
        return 0;
    if (memcmp(at, "HTTP/1.1 101", 12) != 0) {
        (void)fprintf(stderr, "refused: %.*s\n", (int)(end - at), (const char *)at);
        exit(1);
    }
    s->state = STATE_BOOTING;
    ask(s, CALL_BOOT);
    return (size_t)(end - at) + 4;
}

/* HTTP: a head with a length, then so many bytes. */
static size_t take_page(struct station *s, const uint8_t *at, size_t len)
{
    static const char name[] = "\r\nContent-Length: ";
    const uint8_t *end = memmem(at, len, "\r\n\r\n", 4),
                  *p = end == NULL ? NULL : memmem(at, (size_t)(end - at), name, sizeof name - 1);

    if (end == NULL)
        return 0;
    size_t size = (size_t)(end - at) + 4 + (p == NULL ? 0 : strtoul((const char *)p + sizeof name - 1, NULL, 10));
    if (len < size)
        return 0;
    if (memcmp(at, "HTTP/1.1 200", 12) != 0)
        errors++;
    if (is_measuring)
        latency_add(&latencies, now_us - s->asked_us);
    calls++;
    if (is_running)
        ask_next(s);
    return size;
}

static void take(struct station *s, uint8_t *at, size_t len)
{
    size_t used = 1;

    while (len > 0 && used > 0) {
        if (options.work == WORK_HTTP)
            used = take_page(s, at, len);
        else
            used = s->state == STATE_UPGRADING ? take_head(s, at, len) : take_frame(s, at, len);
        at += used;
        len -= used;
    }
    if (len > 0 && s->rest == NULL && (s->rest = malloc(options.work == WORK_HTTP ? IN_MAX : REST_MAX)) == NULL)
        die("memory");
    if (len > (options.work == WORK_HTTP ? IN_MAX : REST_MAX))
        die("an answer is too long for this program");
    if (len > 0)
        memmove(s->rest, at, len);
    s->rest_len = len;
}

static void on_input(struct station *s)
{
    static uint8_t in[2 * IN_MAX];
    ssize_t n;

    do { /* a plain socket is told again, TLS may hold back what it has decrypted */
        size_t before = s->rest_len;
        if (before > 0)
            memcpy(in, s->rest, before);
        n = take_bytes(s, in + before, IN_MAX);
        if (n > 0)
            take(s, in, before + (size_t)n);
        else if (n == 0 || errno != EAGAIN) {
            errors++;
            end_station(s);
        }
    } while (n > 0 && s->tls != NULL);
}

static void step(int wait_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(epoll, events, EVENTS_MAX, wait_ms);

    for (int i = 0; i < n; i++) {
        struct station *s = events[i].data.ptr;
        now_us = clock_us(CLOCK_MONOTONIC);
        if (s == NULL)
            exit(0); /* the standard input ended */
        if (s->state == STATE_CONNECTING)
            on_connected(s);
        else if (s->state == STATE_TLS)
            shake_hands(s);
        else if (s->state != STATE_CLOSED)
            on_input(s);
    }
}

static void run_for(int64_t us)
{
    for (int64_t end = clock_us(CLOCK_MONOTONIC) + us; clock_us(CLOCK_MONOTONIC) < end;)
        step(STEP_MS);
}

/* ---- what was measured ---- */

static void measure(void)
{
    struct cpu before = {.count = 0}, after = {.count = 0};

    run_for(options.warmup * 1000000);
    if (options.pid != 0)
        cpu_read(options.pid, &before);
    int64_t own = clock_us(CLOCK_PROCESS_CPUTIME_ID), began = clock_us(CLOCK_MONOTONIC);
    is_measuring = true;
    calls = 0;
    run_for(options.seconds * 1000000);
    int64_t took = clock_us(CLOCK_MONOTONIC) - began;
    own = clock_us(CLOCK_PROCESS_CPUTIME_ID) - own;
    if (options.pid != 0)
        cpu_read(options.pid, &after);
    figures_print(&(struct figures){.calls = calls,
                                    .errors = errors,
                                    .took_us = took,
                                    .own_us = own,
                                    .latencies = &latencies,
                                    .before = &before,
                                    .after = &after});
}

/* Calls under way are answered, so that a server that is looked at afterwards has heard everything it will hear. */
static void run_down(void)
{
    is_running = is_measuring = false;
    run_for(200000);
}

static void idle(void)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};

    (void)printf("ready stations=%zu errors=%llu\n", ready, (unsigned long long)errors);
    (void)fflush(stdout);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &e) != 0)
        die("the standard input must be a pipe");
    for (;;)
        step(-1);
}

static void read_options(int argc, char **argv)
{
    static const char *const works[] = {"--transactions", "--heartbeats", "--idle", "--handshakes", "--http"};

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        bool took = true;
        for (int w = 0; w < WORK_NONE; w++)
            if (strcmp(argv[i], works[w]) == 0)
                options.work = (enum work)w;
        if (strcmp(argv[i], "--port") == 0)
            options.port = atoi(value);
        else if (strcmp(argv[i], "--pid") == 0)
            options.pid = atoi(value);
        else if (strcmp(argv[i], "--stations") == 0)
            options.count = strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--first") == 0)
            options.first = strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--tags") == 0)
            options.tags = strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            options.seconds = atoi(value);
        else if (strcmp(argv[i], "--warmup") == 0)
            options.warmup = atoi(value);
        else if (strcmp(argv[i], "--key") == 0)
            options.key = value;
        else if (strcmp(argv[i], "--http") == 0)
            options.path = value;
        else
            took = false;
        options.is_tls = options.is_tls || strcmp(argv[i], "--tls") == 0;
        i += took;
    }
    if (options.port == 0 || options.count == 0 || options.work == WORK_NONE) {
        (void)fprintf(
            stderr,
            "usage: load --port N --stations N [--first N] [--seconds N] [--warmup N] [--pid N] [--tls] [--tags N] "
            "--transactions | --heartbeats | --idle | --handshakes | --http PATH [--key K]\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    for (size_t i = 0; i < CALL_COUNT; i++)
        frame_make(&frames[i], call_texts[i], i == CALL_METER ? METER_SIZE : 0);
    request_len = (size_t)snprintf(
        request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n\r\n",
        options.path == NULL ? "/" : options.path, options.port, options.key == NULL ? "" : options.key);
    if (options.is_tls && (tls_context = SSL_CTX_new(TLS_client_method())) == NULL)
        die("tls");
    stations = calloc(options.count, sizeof *stations);
    latencies.slots = calloc(LATENCY_SLOTS, sizeof *latencies.slots);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (stations == NULL || latencies.slots == NULL || request_len >= sizeof request)
        die("memory");
    for (size_t i = 0; i < options.count; i++)
        stations[i].transaction = 1234567890;
    now_us = clock_us(CLOCK_MONOTONIC);
    connect_more();
    while (options.work != WORK_HANDSHAKES && ready < options.count)
        step(STEP_MS);
    if (options.work == WORK_IDLE)
        idle();
    is_running = true;
    for (size_t i = 0; i < options.count && options.work != WORK_HANDSHAKES; i++)
        ask_next(&stations[i]);
    measure();
    run_down();
    return 0;
}
