/* storm.c - a fleet of bare OCPP peers in one epoll thread, for tests that need thousands at once. It shares no code with the server.
 *
 *     storm HOST PORT PREFIX COUNT
 *
 * Stations are PREFIX-0 and on. It takes commands from its standard input, a line each, and answers each with a line of JSON:
 *     connect            all that are not there come at once: TCP, upgrade, BootNotification; answers when each is in or out
 *     drop               all are gone at once, by RST
 *     beat MS PERIOD_MS WHAT   each says WHAT (heartbeat, meter) once a period, evenly spread; latencies of the answers
 *     blast WHAT         each sends WHAT as fast as the server reads, and reads the answers; at once answered, goes on until calm
 *     deaf WHAT          the same, and reads nothing
 *     calm               ends blast and deaf
 *     lost               how many the server has ended since they came in
 * Ends with its standard input. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX      1024
#define READ_SIZE       65536
#define REST_MAX        1024     /* of one unfinished frame or head */
#define FRAME_MAX       512
#define BLOCK_FRAMES    64       /* of one blast write */
#define CONNECT_MAX_US  60000000 /* whoever is not in by then is out */
#define SAMPLES_MAX     4000000
#define LATENESS_MAX_US 200000   /* behind by more, the schedule starts anew: we stood still, not the server */

enum state { AWAY, CONNECTING, UPGRADING, BOOTING, IDLE, WAITING, REFUSED, FAILED };

struct peer {
    int fd;
    enum state state;
    uint32_t events;
    uint64_t sent_us;
    size_t rest_len;
    char *rest;
    char *block; /* blast: what the kernel has not taken yet */
    size_t block_at, block_len;
};

static struct peer *peers;
static size_t peer_count, lost_count;
static struct sockaddr_in address;
static const char *prefix;
static int epoll_fd;
static uint64_t message_number, blast_sent, answered;
static const char *blasting;
static bool is_deaf;
static uint32_t *samples;
static size_t sample_count;

static struct {
    enum { NO_TASK, TASK_CONNECT, TASK_BEAT } kind;
    const char *what;
    uint64_t began_us, end_us, next_us, gap_us;
    size_t turn, busy;
} task;

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void watch(struct peer *p, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = p};
    if (p->events != events)
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_MOD, p->fd, &e);
    p->events = events;
}

/* is_rst: the peer gets no FIN, as when the power fails and the network says so. */
static void hang_up(struct peer *p, enum state state, bool is_rst)
{
    struct linger l = {1, 0};
    if (is_rst)
        (void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    if (p->fd >= 0)
        (void)close(p->fd);
    p->fd = -1;
    p->state = state;
    p->rest_len = p->block_len = p->block_at = 0;
}

static void lose(struct peer *p)
{
    bool was_in = p->state >= IDLE && p->state <= WAITING;
    lost_count += was_in;
    hang_up(p, was_in ? AWAY : FAILED, false);
}

/* A masked text frame with the key 0, which leaves the text as it is. */
static size_t frame_write(char *to, const char *text, size_t len)
{
    size_t n = 0;
    to[n++] = (char)0x81;
    if (len < 126) {
        to[n++] = (char)(0x80 | len);
    } else {
        to[n++] = (char)(0x80 | 126);
        to[n++] = (char)(len >> 8);
        to[n++] = (char)(len & 255);
    }
    memset(to + n, 0, 4);
    memcpy(to + n + 4, text, len);
    return n + 4 + len;
}

static size_t call_write(char *to, const char *what)
{
    static const struct {
        const char *name, *before, *after; /* of the number, which makes each message another one */
    } calls[] = {
        {"boot", "BootNotification\",{\"chargePointVendor\":\"Storm\",\"chargePointSerialNumber\":\"", "\",\"chargePointModel\":\"S1\"}"},
        {"heartbeat", "Heartbeat\",{\"n\":\"", "\"}"},
        {"meter", "MeterValues\",{\"connectorId\":1,\"meterValue\":[{\"timestamp\":\"2026-01-01T00:00:00Z\",\"sampledValue\":[{\"value\":\"",
         "\",\"measurand\":\"Energy.Active.Import.Register\",\"unit\":\"Wh\"}]}]}"},
    };
    unsigned long long n = ++message_number;
    char text[FRAME_MAX];
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (strcmp(calls[i].name, what) == 0)
            return frame_write(to, text, (size_t)snprintf(text, sizeof text, "[2,\"%llx\",\"%s%llu%s]", n, calls[i].before, n, calls[i].after));
    (void)fprintf(stderr, "storm: nothing is called %s\n", what);
    exit(2);
}

static void say(struct peer *p, const char *bytes, size_t len)
{
    if (send(p->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        lose(p);
}

static void call(struct peer *p, const char *what, enum state next)
{
    char frame[FRAME_MAX + 16];
    p->state = next;
    p->sent_us = now_us();
    say(p, frame, call_write(frame, what));
}

static void come(struct peer *p)
{
    int one = 1;
    struct epoll_event e = {.events = EPOLLOUT, .data.ptr = p};
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    p->state = CONNECTING;
    p->sent_us = now_us();
    p->events = e.events;
    if (p->fd < 0 || setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        (connect(p->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, p->fd, &e) != 0)
        hang_up(p, FAILED, false);
}

static void on_connected(struct peer *p)
{
    int error = 0;
    socklen_t size = sizeof error;
    char head[FRAME_MAX];
    (void)getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        hang_up(p, FAILED, false);
        return;
    }
    int n = snprintf(head, sizeof head, "GET /ocpp/%s-%zu HTTP/1.1\r\nHost: storm\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n",
                     prefix, (size_t)(p - peers));
    p->state = UPGRADING;
    watch(p, EPOLLIN);
    say(p, head, (size_t)n);
}

static void on_answer(struct peer *p)
{
    answered++;
    if (p->state == BOOTING || p->state == WAITING) {
        if (sample_count < SAMPLES_MAX)
            samples[sample_count++] = (uint32_t)(now_us() - p->sent_us);
        p->state = IDLE;
    }
}

/* Takes frames and, first, the head from the front; how many bytes of it were whole. */
static size_t take(struct peer *p, const char *at, size_t len)
{
    size_t done = 0;
    while (p->fd >= 0 && done < len) {
        const unsigned char *b = (const unsigned char *)at + done;
        size_t have = len - done, size = have >= 2 ? b[1] & 127 : 0, head = 2;
        if (p->state == UPGRADING) {
            const char *end = memmem(b, have, "\r\n\r\n", 4);
            if (end == NULL)
                return done;
            done = (size_t)(end + 4 - at);
            if (have < 12 || memcmp(b, "HTTP/1.1 101", 12) != 0)
                hang_up(p, REFUSED, false);
            else
                call(p, "boot", BOOTING);
            continue;
        }
        if (size == 126 && have >= 4) {
            size = (size_t)b[2] << 8 | b[3];
            head = 4;
        }
        if (have < 2 || ((b[1] & 127) == 126 && have < 4) || have < head + size)
            return done;
        done += head + size;
        if ((b[0] & 15) == 1 && size > 1 && b[head] == '[' && b[head + 1] == '3')
            on_answer(p);
        else if ((b[0] & 15) == 9)
            say(p, "\x8a\x80\0\0\0", 6);
        else if ((b[0] & 15) == 8)
            lose(p);
    }
    return done;
}

static void on_readable(struct peer *p)
{
    static char input[REST_MAX + READ_SIZE];
    memcpy(input, p->rest, p->rest_len);
    ssize_t n = recv(p->fd, input + p->rest_len, READ_SIZE, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            lose(p);
        return;
    }
    size_t have = p->rest_len + (size_t)n, done = take(p, input, have);
    if (p->fd < 0)
        return;
    p->rest_len = have - done;
    if (p->rest_len > REST_MAX)
        lose(p);
    else
        memcpy(p->rest, input + done, p->rest_len);
}

static void on_blast(struct peer *p)
{
    if (p->block == NULL && (p->block = malloc(BLOCK_FRAMES * (FRAME_MAX + 16))) == NULL)
        exit(2);
    if (p->block_at == p->block_len) {
        p->block_at = p->block_len = 0;
        for (size_t i = 0; i < BLOCK_FRAMES; i++)
            p->block_len += call_write(p->block + p->block_len, blasting);
        blast_sent += BLOCK_FRAMES;
    }
    ssize_t n = send(p->fd, p->block + p->block_at, p->block_len - p->block_at, MSG_NOSIGNAL);
    if (n > 0)
        p->block_at += (size_t)n;
    else if (errno != EAGAIN)
        lose(p);
}

static void on_event(struct peer *p, uint32_t events)
{
    if (p->fd >= 0 && p->state == CONNECTING)
        on_connected(p);
    else if (p->fd >= 0 && (events & (EPOLLERR | EPOLLHUP)) != 0 && (events & EPOLLIN) == 0)
        lose(p);
    else if (p->fd >= 0 && (events & EPOLLIN) != 0)
        on_readable(p);
    if (p->fd >= 0 && (events & EPOLLOUT) != 0 && blasting != NULL && p->state == IDLE)
        on_blast(p);
}

/* ---- Commands ---------------------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t quantile(unsigned permille)
{
    return sample_count == 0 ? 0 : samples[(sample_count - 1) * permille / 1000];
}

static void answer_task(void)
{
    size_t in = 0, refused = 0;
    for (size_t i = 0; i < peer_count; i++) {
        in += peers[i].state == IDLE || peers[i].state == WAITING;
        refused += peers[i].state == REFUSED;
    }
    qsort(samples, sample_count, sizeof *samples, by_size);
    (void)printf("{\"ms\": %.1f, \"in\": %zu, \"refused\": %zu, \"failed\": %zu, \"count\": %zu, \"busy\": %zu, \"p50_us\": %u, \"p99_us\": %u, \"max_us\": %u}\n",
                 (double)(now_us() - task.began_us) / 1000, in, refused, peer_count - in - refused, sample_count, task.busy,
                 quantile(500), quantile(990), quantile(1000));
    (void)fflush(stdout);
    task.kind = NO_TASK;
}

static void step_connect(uint64_t now)
{
    bool is_settled = true;
    for (size_t i = 0; i < peer_count && is_settled; i++)
        is_settled = peers[i].state >= IDLE;
    if (is_settled || now >= task.end_us)
        answer_task();
}

static void step_beat(uint64_t now)
{
    if (now > task.next_us + LATENESS_MAX_US)
        task.next_us = now;
    for (; task.next_us <= now && now < task.end_us; task.next_us += task.gap_us) {
        struct peer *p = &peers[task.turn++ % peer_count];
        if (p->state == IDLE)
            call(p, task.what, WAITING);
        else
            task.busy++;
    }
    bool is_quiet = true;
    for (size_t i = 0; now >= task.end_us && i < peer_count && is_quiet; i++)
        is_quiet = peers[i].state != WAITING;
    if (now >= task.end_us && (is_quiet || now >= task.end_us + 5000000))
        answer_task();
}

static void blast(const char *what, bool deaf)
{
    blasting = what;
    is_deaf = deaf;
    int small = 4096; /* what the kernel still takes for it */
    for (size_t i = 0; deaf && i < peer_count; i++)
        (void)setsockopt(peers[i].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (size_t i = 0; i < peer_count; i++)
        if (peers[i].fd >= 0)
            watch(&peers[i], (blasting != NULL ? EPOLLOUT : 0u) | (is_deaf ? 0u : EPOLLIN));
    (void)printf("{\"sent\": %llu, \"answered\": %llu}\n", (unsigned long long)blast_sent, (unsigned long long)answered);
    (void)fflush(stdout);
}

static void on_command(char *line)
{
    char word[16] = "", third[16] = "";
    unsigned long first = 0, second = 0;
    (void)sscanf(line, "%15s %lu %lu %15s", word, &first, &second, third);
    uint64_t now = now_us();
    const char *what = strstr(line, "meter") != NULL ? "meter" : "heartbeat";
    sample_count = 0;
    task.busy = 0;
    task.began_us = now;
    if (strcmp(word, "connect") == 0) {
        task.kind = TASK_CONNECT;
        task.end_us = now + CONNECT_MAX_US;
        for (size_t i = 0; i < peer_count; i++)
            if (peers[i].fd < 0)
                come(&peers[i]);
    } else if (strcmp(word, "drop") == 0) {
        for (size_t i = 0; i < peer_count; i++)
            if (peers[i].fd >= 0)
                hang_up(&peers[i], AWAY, true);
        answer_task();
    } else if (strcmp(word, "beat") == 0 && second > 0) {
        task.kind = TASK_BEAT;
        task.what = what;
        task.next_us = now;
        task.end_us = now + (uint64_t)first * 1000;
        task.gap_us = (uint64_t)second * 1000 / peer_count;
        task.gap_us += task.gap_us == 0;
    } else if (strcmp(word, "blast") == 0 || strcmp(word, "deaf") == 0) {
        blast(what, word[0] == 'd');
    } else if (strcmp(word, "calm") == 0) {
        blast(NULL, false);
    } else if (strcmp(word, "lost") == 0) {
        (void)printf("{\"lost\": %zu}\n", lost_count);
        (void)fflush(stdout);
    } else {
        (void)fprintf(stderr, "storm: no command: %s\n", line);
        exit(2);
    }
}

/* The lines that came; false at the end of the input. */
static bool read_commands(void)
{
    static char text[4096];
    static size_t len;
    ssize_t n = read(STDIN_FILENO, text + len, sizeof text - 1 - len);
    if (n <= 0)
        return false;
    len += (size_t)n;
    text[len] = 0;
    for (char *end; (end = strchr(text, '\n')) != NULL;) {
        *end = 0;
        on_command(text);
        len -= (size_t)(end + 1 - text);
        memmove(text, end + 1, len + 1);
    }
    return true;
}

static void run(void)
{
    static struct epoll_event events[EVENTS_MAX];
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    (void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &e);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, task.kind == NO_TASK ? -1 : 1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr != NULL)
                on_event(events[i].data.ptr, events[i].events);
            else if (!read_commands())
                return;
        }
        if (task.kind == TASK_CONNECT)
            step_connect(now_us());
        else if (task.kind == TASK_BEAT)
            step_beat(now_us());
    }
}

int main(int argc, char **argv)
{
    struct rlimit most;
    if (argc != 5) {
        (void)fprintf(stderr, "usage: storm HOST PORT PREFIX COUNT\n");
        return 2;
    }
    (void)getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &most);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    prefix = argv[3];
    peer_count = (size_t)atol(argv[4]);
    peers = calloc(peer_count, sizeof *peers);
    samples = malloc(SAMPLES_MAX * sizeof *samples);
    epoll_fd = epoll_create1(0);
    if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1 || peer_count == 0 || peers == NULL || samples == NULL || epoll_fd < 0)
        return 2;
    for (size_t i = 0; i < peer_count; i++) {
        peers[i].fd = -1;
        peers[i].rest = malloc(REST_MAX);
        if (peers[i].rest == NULL)
            return 2;
    }
    run();
    return 0;
}
