/* load_piles.c - e-bike piles that say something as fast as they are answered: one epoll thread, frames of AP3000 made
 * where they are sent, nothing looked at of an answer but whose it is and to what.
 *
 *     load-piles --port N --piles N [--line N] [--first N] [--rate N] [--seconds N] [--warmup N] [--pid N] WORK
 *
 *     --line N         so many on each connection, behind a host; without it each has one of its own
 *     --rate N         so many come in a second; without it as many as are let in
 *     --heartbeats     each pile: 0x21, and the next when it is answered
 *     --charging       each pile: 0x06 of a charge, which nobody answers, and 0x21 with it; both count
 *     --settlements    each pile: 0x03 of an order that nobody has heard of, begun by card
 *     --idle           each says 0x20 and 0x21, and no more; "ready" is printed, ends with its standard input
 *
 * A pile is in when its first 0x21 is answered. An echo serves too: what comes back is what was said. Prints one line
 * of key=value, as load.c does. (ap3000.md 2, 6, 11.2) */
#include "bench/measure.h"
#include "proto/ap3000/frames.h"
#include "proto/ap3000/order.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTING_MAX 256 /* piles at once that are not known yet */
#define EVENTS_MAX     512
#define IN_MAX         65536
#define OUT_MAX        16384 /* all piles of a line say two things at once */
#define STEP_MS        100
#define STEP_RATE_MS   5         /* while so many a second come in */
#define NUMBER_FIRST   14000000u /* printed numbers: none that a broken memory falls back to */
#define HOST_FIRST     13000100u
#define CODE_PILE      0x04
#define CODE_HOST      0x09
#define PORTS          2
#define ORDERS_FROM    1577836800 /* each order begins a second after the one before it, from 2020 on */

enum work { WORK_HEARTBEATS, WORK_CHARGING, WORK_SETTLEMENTS, WORK_IDLE, WORK_NONE };

struct pile {
    struct line *line;
    uint16_t message_id;
    bool is_known, is_in; /* its 0x20 is answered, its 0x21 */
    uint32_t orders;
    uint8_t order_no[AP3000_ORDER_SIZE];
    int64_t asked_us;
};
struct line {
    int fd;
    bool is_connected;
    size_t first, count; /* its piles */
    size_t rest_len;
    uint8_t rest[AP3000_FRAME_SIZE_MAX];
};
struct out {
    uint8_t at[OUT_MAX];
    size_t len;
};
static struct {
    int port, pid;
    size_t count, each_line, first, rate;
    int64_t seconds, warmup;
    enum work work;
} options = {.count = 200, .each_line = 1, .seconds = 5, .warmup = 1, .work = WORK_NONE};

static struct pile *piles;
static struct line *lines;
static struct latencies latencies;
static int epoll;
static size_t line_count, next_line, connecting, ready;
static uint64_t errors, calls;
static uint32_t run; /* what makes this run's cards other ones than those of the run before it */
static int64_t now_us, began_us;
static bool is_running, is_measuring;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- frames ---- */

static uint8_t bcd(unsigned n)
{
    return (uint8_t)(n / 10 << 4 | n % 10);
}

/* A number as piles make it: when it began, whose card, which pile, which port. */
static void next_order(struct pile *p)
{
    const time_t began = ORDERS_FROM + (time_t)p->orders++;
    const uint32_t card = run + (uint32_t)(p - piles),
                   number = NUMBER_FIRST + (uint32_t)(options.first + (size_t)(p - piles));
    struct tm tm;
    uint8_t *no = p->order_no;

    (void)gmtime_r(&began, &tm);
    const unsigned parts[7] = {20,
                               (unsigned)tm.tm_year - 100,
                               (unsigned)tm.tm_mon + 1,
                               (unsigned)tm.tm_mday,
                               (unsigned)tm.tm_hour,
                               (unsigned)tm.tm_min,
                               (unsigned)tm.tm_sec};
    for (size_t i = 0; i < 7; i++)
        no[i] = bcd(parts[i]);
    le_put(no + 7, 4, card);
    for (uint32_t i = 4, n = number; i-- > 0; n /= 100)
        no[11 + i] = bcd(n % 100);
    no[15] = bcd(30);
}

static void put_frame(struct out *o, uint32_t physical_id, uint16_t message_id, uint8_t command, const uint8_t *payload,
                      size_t len)
{
    struct ap3000_frame f = {
        .physical_id = physical_id, .message_id = message_id, .command = command, .payload = {payload, len}};
    size_t size;

    if (ap3000_frame_write(&f, o->at + o->len, sizeof o->at - o->len, &size) != OK) {
        (void)fprintf(stderr, "no room for a frame: fewer piles a line\n");
        exit(1);
    }
    o->len += size;
}

static void put_pile_frame(struct out *o, struct pile *p, uint8_t command, const uint8_t *payload, size_t len)
{
    uint32_t number = NUMBER_FIRST + (uint32_t)(options.first + (size_t)(p - piles));

    put_frame(o, (uint32_t)CODE_PILE << 24 | number, ++p->message_id, command, payload, len);
}

static void put_registration(struct out *o, struct pile *p)
{
    size_t on_line = (size_t)(p - piles) - p->line->first;
    const uint8_t virtual_id = (uint8_t)(options.each_line > 1 ? on_line + 1 : 0); /* its address on the bus */
    const uint8_t payload[8] = {120, 0, PORTS, virtual_id, 0x10, 0, 0, 0};

    put_pile_frame(o, p, 0x20, payload, sizeof payload);
}

static void put_heartbeat(struct out *o, struct pile *p)
{
    const uint8_t status = options.work == WORK_CHARGING ? AP3000_PORT_CHARGING : AP3000_PORT_IDLE;
    const uint8_t payload[] = {0xA4, 0x08, PORTS, status, AP3000_PORT_IDLE, 0, 0x55};

    put_pile_frame(o, p, 0x21, payload, sizeof payload);
}

/* Ten minutes of 200 W on port 0, as 0x06 and 0x03 tell it. */
static void put_charging(struct out *o, struct pile *p)
{
    uint8_t b[41] = {0, AP3000_PORT_CHARGING};

    le_put(b + 2, 2, 600);
    le_put(b + 4, 2, 3);
    b[6] = AP3000_START_CARD;
    for (size_t i = 7; i < 15; i += 2)
        le_put(b + i, 2, 2000);
    memcpy(b + 15, p->order_no, AP3000_ORDER_SIZE);
    le_put(b + 33, 2, 2100);
    le_put(b + 35, 2, 2212);
    le_put(b + 37, 2, 900);
    b[39] = b[40] = 0x55;
    put_pile_frame(o, p, 0x06, b, sizeof b);
}

static void put_settlement(struct out *o, struct pile *p)
{
    uint8_t b[35] = {0};

    next_order(p);
    le_put(b, 2, 600);
    le_put(b + 2, 2, 2100);
    le_put(b + 4, 2, 3);
    b[7] = AP3000_START_CARD;
    memcpy(b + 8, p->order_no + 7, 4);
    b[12] = AP3000_STOP_FULL;
    memcpy(b + 13, p->order_no, AP3000_ORDER_SIZE);
    le_put(b + 29, 2, 2100);
    le_put(b + 31, 4, (uint32_t)(ORDERS_FROM + p->orders + 600));
    put_pile_frame(o, p, 0x03, b, sizeof b);
}

/* What such a host says every half hour; its SIM card it has said before. */
static void put_host(struct out *o, const struct line *l)
{
    const uint8_t payload[9] = {200, 0, 1, 0, 0, 0, 0, 20, 1};

    put_frame(o,
              (uint32_t)CODE_HOST << 24 |
                  (HOST_FIRST + (uint32_t)(options.first + l->first) / (uint32_t)options.each_line),
              1, 0x11, payload, sizeof payload);
}

/* What is said in a closed loop always fits into the socket's buffer. */
static void give(struct line *l, const struct out *o)
{
    if (send(l->fd, o->at, o->len, MSG_NOSIGNAL) != (ssize_t)o->len)
        errors++;
}

static void ask_next(struct pile *p)
{
    static struct out o;

    o.len = 0;
    if (options.work == WORK_CHARGING)
        put_charging(&o, p);
    if (options.work == WORK_SETTLEMENTS)
        put_settlement(&o, p);
    else
        put_heartbeat(&o, p);
    p->asked_us = now_us;
    give(p->line, &o);
}

/* ---- connections ---- */

static void watch(struct line *l, int how, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = l};

    if (epoll_ctl(epoll, how, l->fd, &e) != 0)
        die("epoll");
}

static void connect_line(struct line *l)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)options.port)};
    int one = 1;

    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        die("socket");
    (void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(l->fd, (struct sockaddr *)&a, sizeof a) != 0 && errno != EINPROGRESS)
        die("connect");
    connecting += l->count;
    watch(l, EPOLL_CTL_ADD, EPOLLOUT);
}

static bool is_time_for_next(void)
{
    return options.rate == 0 ||
           (int64_t)(next_line * options.each_line) * 1000000 <= (now_us - began_us) * (int64_t)options.rate;
}

static void connect_more(void)
{
    while (connecting < CONNECTING_MAX && next_line < line_count && is_time_for_next())
        connect_line(&lines[next_line++]);
}

/* The card of its module comes first (1.2), then a host, then whoever is behind it, with all that it has to say. */
static void on_connected(struct line *l)
{
    static struct out o;
    int e = 0;
    socklen_t len = sizeof e;

    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0 || e != 0) {
        errno = e;
        die("connect");
    }
    l->is_connected = true;
    watch(l, EPOLL_CTL_MOD, EPOLLIN);
    o.len = (size_t)snprintf((char *)o.at, sizeof o.at, "8986%016zu", options.first + l->first);
    if (options.each_line > 1)
        put_host(&o, l);
    for (size_t i = l->first; i < l->first + l->count; i++) {
        put_registration(&o, &piles[i]);
        put_heartbeat(&o, &piles[i]);
    }
    give(l, &o);
}

/* ---- answers ---- */

static void on_known(struct pile *p)
{
    p->is_known = true;
    connecting--;
    connect_more();
}

static void on_in(struct pile *p)
{
    p->is_in = true;
    ready++;
    if (is_running)
        ask_next(p);
}

static void on_answer(struct pile *p, uint8_t command)
{
    const uint8_t wanted = options.work == WORK_SETTLEMENTS && p->is_in ? 0x03 : 0x21;

    if (command == 0x20 && !p->is_known)
        on_known(p);
    if (command != wanted)
        return; /* maybe the echo of what nobody answers */
    if (!p->is_in) {
        on_in(p);
        return;
    }
    if (is_measuring)
        latency_add(&latencies, now_us - p->asked_us);
    calls += options.work == WORK_CHARGING ? 2 : 1;
    if (is_running)
        ask_next(p);
}

static void on_frame(struct line *l, const struct ap3000_frame *f)
{
    size_t i = ap3000_id_number(f->physical_id) - NUMBER_FIRST - options.first;

    if (ap3000_id_code(f->physical_id) != CODE_PILE)
        return; /* a host, of an echo */
    if (i < l->first || i >= l->first + l->count)
        errors++;
    else
        on_answer(&piles[i], f->command);
}

static void take(struct line *l, uint8_t *at, size_t len)
{
    struct ap3000_frame f;
    size_t size;
    enum err e = OK;

    while (len > 0 && (e = ap3000_frame_read((struct bytes){at, len}, &f, &size, NULL)) == OK) {
        on_frame(l, &f);
        at += size;
        len -= size;
    }
    if (e != OK && e != ERR_AGAIN) {
        (void)fprintf(stderr, "no frame came back: %s\n", err_text(e));
        exit(1);
    }
    if (len > 0)
        memcpy(l->rest, at, len);
    l->rest_len = len;
}

static void on_input(struct line *l)
{
    static uint8_t in[AP3000_FRAME_SIZE_MAX + IN_MAX];
    size_t before = l->rest_len;

    if (before > 0)
        memcpy(in, l->rest, before);
    ssize_t n = recv(l->fd, in + before, IN_MAX, 0);
    if (n > 0) {
        take(l, in, before + (size_t)n);
    } else if (n == 0 || errno != EAGAIN) {
        if (ready < options.count) {
            (void)fprintf(stderr, "the server closed a connection before all piles were in\n");
            exit(1);
        }
        errors++;
        (void)close(l->fd);
    }
}

static void step(int wait_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(epoll, events, EVENTS_MAX, wait_ms);

    for (int i = 0; i < n; i++) {
        struct line *l = events[i].data.ptr;
        now_us = clock_us(CLOCK_MONOTONIC);
        if (l == NULL)
            exit(0); /* the standard input ended */
        if (l->is_connected)
            on_input(l);
        else
            on_connected(l);
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
    is_running = is_measuring = false; /* what is under way is answered: a server that is looked at then is done */
    run_for(200000);
}

static void idle(void)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};

    (void)printf("ready piles=%zu errors=%llu\n", ready, (unsigned long long)errors);
    (void)fflush(stdout);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &e) != 0)
        die("the standard input must be a pipe");
    for (;;)
        step(-1);
}

static void read_options(int argc, char **argv)
{
    static const char *const works[] = {"--heartbeats", "--charging", "--settlements", "--idle"};

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
        else if (strcmp(argv[i], "--piles") == 0)
            options.count = strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--line") == 0)
            options.each_line = strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--first") == 0)
            options.first = strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--rate") == 0)
            options.rate = strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            options.seconds = atoi(value);
        else if (strcmp(argv[i], "--warmup") == 0)
            options.warmup = atoi(value);
        else
            took = false;
        i += took;
    }
    if (options.port == 0 || options.count == 0 || options.each_line == 0 || options.work == WORK_NONE) {
        (void)fprintf(
            stderr, "usage: load-piles --port N --piles N [--line N] [--first N] [--rate N] [--seconds N] [--warmup N] "
                    "[--pid N] --heartbeats | --charging | --settlements | --idle\n");
        exit(2);
    }
}

static void make_piles(void)
{
    line_count = (options.count + options.each_line - 1) / options.each_line;
    piles = calloc(options.count, sizeof *piles);
    lines = calloc(line_count, sizeof *lines);
    latencies.slots = calloc(LATENCY_SLOTS, sizeof *latencies.slots);
    if (piles == NULL || lines == NULL || latencies.slots == NULL)
        die("memory");
    for (size_t i = 0; i < options.count; i++) {
        struct line *l = &lines[i / options.each_line];
        if (l->count++ == 0)
            l->first = i;
        piles[i].line = l;
        next_order(&piles[i]);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    run = (uint32_t)clock_us(CLOCK_REALTIME);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    make_piles();
    began_us = clock_us(CLOCK_MONOTONIC);
    while (ready < options.count) {
        now_us = clock_us(CLOCK_MONOTONIC);
        connect_more();
        step(options.rate == 0 ? STEP_MS : STEP_RATE_MS);
    }
    if (options.work == WORK_IDLE)
        idle();
    is_running = true;
    for (size_t i = 0; i < options.count; i++)
        ask_next(&piles[i]);
    measure();
    return 0;
}
