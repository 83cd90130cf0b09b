/* io_uring under a loop: what arrives and when it ends, orders that are stopped and begun again, more sockets than buffers, sends
 * that the kernel takes, half takes, or refuses. */
#include "check.h"
#include "loop/ring.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CROWD     450 /* more than there are buffers and orders of one call */
#define STREAM    ((size_t)1 << 20)
#define GUARD_MS  20000
#define SEND_SIZE 4096

struct peer {
    struct ring_reader order;
    int fd, far;
    size_t got, wrong;
    ssize_t end; /* 1: not told */
    unsigned ends, idles;
    bool stops; /* at its first bytes */
};

static struct loop *loop;
static struct ring *ring;
static struct timer guard;
static bool is_late;
static size_t want_bytes, want_ends, want_idles, bytes, ends, idles;
static struct peer peers[CROWD];

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

static void step(void)
{
    if (bytes >= want_bytes && ends >= want_ends && idles >= want_idles)
        loop_stop(loop);
}

static void on_read(struct ring_reader *r, uint8_t *at, ssize_t n)
{
    struct peer *p = CONTAINER(r, struct peer, order);
    if (n <= 0) {
        p->end = n;
        p->ends++;
        ends++;
        ring_read_stop(ring, r);
    } else {
        for (size_t i = 0; i < (size_t)n; i++)
            p->wrong += at[i] != byte_at(p->got + i);
        p->got += (size_t)n;
        bytes += (size_t)n;
        if (p->stops)
            ring_read_stop(ring, r);
    }
    step();
}

static void on_idle(struct ring_reader *r)
{
    CONTAINER(r, struct peer, order)->idles++;
    idles++;
    step();
}

static const struct ring_handlers handlers = {on_read, on_idle};

static void on_guard(struct timer *t)
{
    (void)t;
    is_late = true;
    loop_stop(loop);
}

static void open_peer(struct peer *p)
{
    int pair[2] = {-1, -1};
    CHECK("a pair of sockets", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    *p = (struct peer){.fd = pair[0], .far = pair[1], .end = 1};
}

static bool is_said(const struct peer *p, size_t from, size_t len)
{
    static uint8_t block[STREAM];
    for (size_t i = 0; i < len; i++)
        block[i] = byte_at(from + i);
    return send(p->far, block, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void say(const struct peer *p, size_t from, size_t len)
{
    CHECK("the far end says something", is_said(p, from, len));
}

static void close_peer(struct peer *p)
{
    (void)close(p->fd);
    if (p->far >= 0)
        (void)close(p->far);
}

static void begin(void)
{
    struct fault why = {{0}, {0}};
    loop = loop_new();
    CHECK("the ring is there", loop_use_ring(loop, &why) == OK);
    ring = loop_ring(loop);
    ring_set_handlers(ring, &handlers);
    want_bytes = want_ends = want_idles = bytes = ends = idles = 0;
    is_late = false;
}

static void run(const char *row)
{
    timer_init(&guard, on_guard);
    timer_start(loop, &guard, GUARD_MS);
    loop_run(loop);
    timer_stop(&guard);
    CHECK(row, !is_late);
}

static void test_read(void)
{
    begin();
    struct peer *p = &peers[0];
    open_peer(p);
    ring_read(ring, &p->order, p->fd);
    say(p, 0, 10);
    want_bytes = 10;
    run("bytes arrive");
    say(p, 10, 20);
    want_bytes = 30;
    run("more of them by the same order");
    (void)close(p->far);
    p->far = -1;
    want_ends = want_idles = 1;
    run("the end arrives");
    CHECK("once, and nothing stands", p->end == 0 && p->ends == 1 && p->idles == 1 && !p->order.is_standing);
    CHECK("and the bytes were right", p->got == 30 && p->wrong == 0);
    close_peer(p);
    loop_free(loop);
}

static void test_stop(void)
{
    begin();
    struct peer *p = &peers[0];
    open_peer(p);
    p->stops = true;
    ring_read(ring, &p->order, p->fd);
    say(p, 0, 5);
    want_idles = 1;
    run("an order is stopped in its own call");
    say(p, 5, 5);
    p->stops = false;
    ring_read(ring, &p->order, p->fd);
    ring_read_stop(ring, &p->order);
    ring_read(ring, &p->order, p->fd); /* before the kernel let go of the one before */
    want_bytes = 10;
    run("and begun again, what came meanwhile is there");
    CHECK("in order", p->got == 10 && p->wrong == 0);

    /* Stopped before it was ever handed over, closed, and another has its number. */
    struct peer *q = &peers[1];
    open_peer(q);
    ring_read(ring, &q->order, q->fd);
    ring_read_stop(ring, &q->order);
    int number = q->fd;
    (void)close(q->fd);
    (void)close(q->far);
    struct peer *next = &peers[2];
    open_peer(next);
    CHECK("the number is taken again", next->fd == number);
    say(next, 0, 7);
    ring_read(ring, &next->order, next->fd);
    want_bytes = 17;
    want_idles = 2;
    run("bytes come to whom they are for");
    CHECK("and to nobody else", q->got == 0 && q->idles == 1 && next->got == 7 && next->wrong == 0);

    /* An end that comes while nobody wants to hear of it is told when reading goes on. */
    say(p, 10, 5);
    (void)close(p->far);
    p->far = -1;
    p->stops = true;
    want_idles = 3;
    run("it is stopped when its last bytes come");
    CHECK("the end is not told", p->got == 15 && p->ends == 0);
    p->stops = false;
    ring_read(ring, &p->order, p->fd);
    want_ends = 1;
    run("the end is told now");
    ring_read_stop(ring, &next->order);
    loop_free(loop); /* waits until the kernel has let go */
    CHECK("nothing stands after the loop", !next->order.is_standing && next->idles == 1);
    close_peer(p);
    close_peer(next);
}

static void test_crowd(void)
{
    begin();
    for (size_t i = 0; i < CROWD; i++) {
        open_peer(&peers[i]);
        say(&peers[i], 0, i % 50 + 1);
        ring_read(ring, &peers[i].order, peers[i].fd);
        want_bytes += i % 50 + 1;
    }
    run("many at once, more than buffers");
    for (size_t i = 0; i < CROWD; i++) {
        say(&peers[i], i % 50 + 1, 9);
        want_bytes += 9;
    }
    run("and again by the orders that stand");
    size_t wrong = 0;
    for (size_t i = 0; i < CROWD; i++) {
        wrong += peers[i].got != i % 50 + 10 || peers[i].wrong != 0 || peers[i].ends != 0;
        ring_read_stop(ring, &peers[i].order);
    }
    CHECK("each had its own", wrong == 0);
    want_idles = CROWD;
    run("all are let go of");
    for (size_t i = 0; i < CROWD; i++)
        close_peer(&peers[i]);
    loop_free(loop);
}

static void *say_much(void *arg)
{
    return is_said(arg, 0, STREAM) ? arg : NULL;
}

static void test_stream(void)
{
    begin();
    struct peer *p = &peers[0];
    pthread_t thread;
    open_peer(p);
    ring_read(ring, &p->order, p->fd);
    want_bytes = STREAM;
    CHECK("a thread", pthread_create(&thread, NULL, say_much, p) == 0);
    run("a long stream");
    void *said = NULL;
    CHECK("the thread ends", pthread_join(thread, &said) == 0 && said == p);
    CHECK("is whole and in order", p->got == STREAM && p->wrong == 0);
    ring_read_stop(ring, &p->order);
    loop_free(loop);
    close_peer(p);
}

static void test_send(void)
{
    static uint8_t block[SEND_SIZE], back[SEND_SIZE];
    static int sent[CROWD];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = byte_at(i);
    begin();
    ring_send_all(ring); /* nothing */
    for (size_t i = 0; i < CROWD; i++) {
        open_peer(&peers[i]);
        ring_read(ring, &peers[i].order, peers[i].fd); /* what comes while results are looked for is not lost */
        say(&peers[i], 0, 3);
        ring_send(ring, peers[i].fd, (struct bytes){block, i + 1}, &sent[i]);
    }
    ring_send_all(ring);
    size_t wrong = 0;
    for (size_t i = 0; i < CROWD; i++)
        wrong += sent[i] != (int)i + 1 || recv(peers[i].far, back, sizeof back, MSG_DONTWAIT) != (ssize_t)i + 1 ||
                 memcmp(back, block, i + 1) != 0;
    CHECK("all that was sent is there when the call returns", wrong == 0);
    want_bytes = 3 * CROWD;
    run("and what came meanwhile is read");

    int size = SEND_SIZE, first = 0, result = 0;
    CHECK("a small buffer", setsockopt(peers[0].fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
    for (unsigned i = 0; i < 100 && result >= 0; i++) {
        ring_send(ring, peers[0].fd, (struct bytes){block, sizeof block}, &result);
        ring_send_all(ring);
        if (i == 0)
            first = result;
    }
    CHECK("who does not read is not waited for", first > 0 && result == -EAGAIN);
    (void)close(peers[1].far);
    peers[1].far = -1;
    ring_send(ring, peers[1].fd, (struct bytes){block, 10}, &result);
    ring_send(ring, peers[2].fd, (struct bytes){block, 11}, &first);
    ring_send_all(ring);
    CHECK("one that is gone is told, the other has its bytes", result == -EPIPE && first == 11);
    for (size_t i = 0; i < CROWD; i++)
        ring_read_stop(ring, &peers[i].order);
    loop_free(loop);
    for (size_t i = 0; i < CROWD; i++)
        close_peer(&peers[i]);
}

int main(void)
{
    struct fault why = {{0}, {0}};
    struct loop *l = loop_new();
    bool is_there = loop_use_ring(l, &why) == OK;
    CHECK("a reason is given where there is none", is_there || why.reason[0] != 0);
    loop_free(l);
    if (!is_there) {
        (void)printf("SKIPPED: io_uring: %s\n", why.reason);
        return CHECK_REPORT();
    }
    test_read();
    test_stop();
    test_crowd();
    test_stream();
    test_send();
    return CHECK_REPORT();
}
