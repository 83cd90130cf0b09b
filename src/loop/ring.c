/* loop/ring.c - io_uring, by liburing. An order to read stands until it ends by itself or is cancelled; the kernel puts what arrives into
 * buffers that it takes from us, of which few go round, so that they stay in the caches. What completes is seen in ring_wait and nowhere
 * else (IORING_SETUP_DEFER_TASKRUN), but for sends, which complete while they are handed over.
 *
 * What each completion belongs to stands in its user_data: a reader's address, the address of a send's result with a 1 added,
 * or one of two small numbers. */
#include "loop/ring.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define ORDERS_MAX    256  /* handed over in one call */
#define ANSWERS_MAX   4096 /* that wait to be looked at; past it the kernel keeps them in a list of its own */
#define BUSY_PER_MS   16   /* answers; from then on the kernel is asked for several at once */
#define GATHER        64   /* so many, or what came in */
#define GATHER_NS     250000
#define ROUND_MAX     256  /* answers after which a round ends although more is there */
#define BUFFERS_FIRST 64   /* that go round; a power of two */
#define BUFFERS_MAX   256  /* the same, once they were too few */
#define BUFFER_SIZE   8000 /* an odd number of cache lines: else all of them would begin in the same places of the cache */
#define BUFFER_ALIGN  64
#define PLACES_ALIGN  4096 /* of what the kernel maps */
#define BUFFER_GROUP  0

#define FOR_SEND   UINT64_C(1) /* a bit */
#define FOR_WATCH  UINT64_C(2)
#define FOR_CANCEL UINT64_C(4)

/* A completion, copied out of the kernel's queue. */
struct answer {
    uint64_t for_whom;
    int32_t result;
    uint32_t flags;
};
struct ring {
    struct io_uring uring;
    const struct ring_handlers *handlers;
    int watched_fd;
    bool is_watching, is_watched_ready;
    size_t standing; /* orders to read that the kernel has */
    int64_t counted_since_ns;
    unsigned counted; /* answers since then */
    bool is_busy;
    unsigned sends;  /* queued or handed over, and not known yet */

    struct io_uring_buf_ring *buffers; /* that the kernel may take: BUFFERS_MAX places */
    uint8_t *room; /* BUFFERS_MAX of BUFFER_SIZE; untouched memory costs nothing */
    unsigned buffer_count, given;

    struct answer *aside; /* that came while results of sends were looked for */
    size_t aside_count, aside_room;
};

static void give_buffer(struct ring *r, unsigned number)
{
    io_uring_buf_ring_add(r->buffers, r->room + (size_t)number * BUFFER_SIZE, BUFFER_SIZE, (unsigned short)number,
                          io_uring_buf_ring_mask(BUFFERS_MAX), (int)r->given);
    r->given++;
}

static void hand_buffers_over(struct ring *r)
{
    if (r->given > 0)
        io_uring_buf_ring_advance(r->buffers, (int)r->given);
    r->given = 0;
}

static void give_more_buffers(struct ring *r)
{
    unsigned most = r->buffer_count == 0 ? BUFFERS_FIRST : 2 * r->buffer_count;
    while (r->buffer_count < most && r->buffer_count < BUFFERS_MAX)
        give_buffer(r, r->buffer_count++);
}

static bool make_buffers(struct ring *r)
{
    const size_t size = BUFFERS_MAX * sizeof(struct io_uring_buf);
    void *at = NULL;
    if (posix_memalign(&at, PLACES_ALIGN, size) != 0)
        return false;
    r->buffers = at;
    memset(at, 0, size);
    if (posix_memalign(&at, BUFFER_ALIGN, (size_t)BUFFERS_MAX * BUFFER_SIZE) != 0)
        return false;
    r->room = at;
    struct io_uring_buf_reg place = {
        .ring_addr = (uintptr_t)r->buffers, .ring_entries = BUFFERS_MAX, .bgid = BUFFER_GROUP};
    int e = io_uring_register_buf_ring(&r->uring, &place, 0);
    if (e != 0) {
        errno = -e;
        return false;
    }
    io_uring_buf_ring_init(r->buffers);
    give_more_buffers(r);
    hand_buffers_over(r);
    return true;
}

struct ring *ring_new(int watched_fd, struct fault *why)
{
    struct ring *r = mem_new(1, sizeof *r);
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                                         IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
                                .cq_entries = ANSWERS_MAX};
    int e = io_uring_queue_init_params(ORDERS_MAX, &r->uring, &p);
    if (e != 0) {
        fault_set(why, STR("io_uring"), "%s", strerror(-e));
        free(r);
        return NULL;
    }
    r->watched_fd = watched_fd;
    if (!make_buffers(r)) {
        fault_set(why, STR("io_uring"), "buffers: %s", strerror(errno));
        ring_free(r);
        return NULL;
    }
    return r;
}

void ring_free(struct ring *r)
{
    if (r == NULL)
        return;
    io_uring_queue_exit(&r->uring);
    free(r->buffers);
    free(r->room);
    free(r->aside);
    free(r);
}

void ring_set_handlers(struct ring *r, const struct ring_handlers *handlers)
{
    r->handlers = handlers;
}

size_t ring_standing(const struct ring *r)
{
    return r->standing;
}

/* ---- orders ---- */

static struct io_uring_sqe *next_order(struct ring *r)
{
    struct io_uring_sqe *order = io_uring_get_sqe(&r->uring);
    while (order == NULL) {
        int e = io_uring_submit(&r->uring);
        check(e >= 0 || e == -EINTR || e == -EAGAIN || e == -EBUSY);
        order = io_uring_get_sqe(&r->uring);
    }
    return order;
}

static void hand_over(struct ring *r)
{
    while (io_uring_sq_ready(&r->uring) > 0) {
        int e = io_uring_submit(&r->uring);
        check(e >= 0 || e == -EINTR || e == -EAGAIN || e == -EBUSY);
    }
}

static void order_reading(struct ring *r, struct ring_reader *reader)
{
    struct io_uring_sqe *order = next_order(r);
    io_uring_prep_recv_multishot(order, reader->fd, NULL, 0, 0);
    order->flags |= IOSQE_BUFFER_SELECT;
    order->ioprio |= IORING_RECVSEND_POLL_FIRST;
    order->buf_group = BUFFER_GROUP;
    order->user_data = (uintptr_t)reader;
    reader->is_standing = true;
    r->standing++;
}

void ring_read(struct ring *r, struct ring_reader *reader, int fd)
{
    reader->fd = fd;
    reader->is_wanted = true;
    if (!reader->is_standing)
        order_reading(r, reader);
}

void ring_read_stop(struct ring *r, struct ring_reader *reader)
{
    reader->is_wanted = false;
    if (!reader->is_standing || reader->is_stopping)
        return;
    struct io_uring_sqe *order = next_order(r);
    io_uring_prep_cancel64(order, (uintptr_t)reader, 0);
    order->user_data = FOR_CANCEL;
    reader->is_stopping = true;
    hand_over(r); /* also an order to read that still waited here: the owner may close the descriptor now */
}

void ring_send(struct ring *r, int fd, struct bytes what, int *sent)
{
    struct io_uring_sqe *order = next_order(r);
    io_uring_prep_send(order, fd, what.at, what.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    order->user_data = (uintptr_t)sent | FOR_SEND;
    r->sends++;
}

/* ---- answers ---- */

static bool take_answer(struct ring *r, struct answer *out)
{
    struct io_uring_cqe *at;
    if (io_uring_peek_cqe(&r->uring, &at) != 0)
        return false;
    *out = (struct answer){at->user_data, at->res, at->flags};
    io_uring_cqe_seen(&r->uring, at);
    return true;
}

static bool take_sent(struct ring *r, const struct answer *a)
{
    if ((a->for_whom & FOR_SEND) == 0)
        return false;
    *(int *)(uintptr_t)(a->for_whom & ~FOR_SEND) = a->result;
    r->sends--;
    return true;
}

static void put_aside(struct ring *r, const struct answer *a)
{
    if (r->aside_count == r->aside_room) {
        r->aside_room = r->aside_room == 0 ? 64 : 2 * r->aside_room;
        r->aside = mem_grow(r->aside, r->aside_room, sizeof *r->aside);
    }
    r->aside[r->aside_count++] = *a;
}

void ring_send_all(struct ring *r)
{
    struct answer a;

    hand_over(r);
    while (r->sends > 0) {
        while (r->sends > 0 && take_answer(r, &a))
            if (!take_sent(r, &a))
                put_aside(r, &a);
        if (r->sends > 0) /* not seen: sends of this kind are done when they have been handed over */
            (void)io_uring_submit_and_wait(&r->uring, 1);
    }
}

static void take_read(struct ring *r, const struct answer *a)
{
    struct ring_reader *reader = (struct ring_reader *)(uintptr_t)a->for_whom;
    const bool is_over = (a->flags & IORING_CQE_F_MORE) == 0;

    if (is_over) {
        reader->is_standing = reader->is_stopping = false;
        r->standing--;
    }
    if ((a->flags & IORING_CQE_F_BUFFER) != 0) {
        const unsigned number = a->flags >> IORING_CQE_BUFFER_SHIFT;
        if (a->result > 0)
            r->handlers->on_read(reader, r->room + (size_t)number * BUFFER_SIZE, a->result);
        give_buffer(r, number);
    }
    if (!is_over)
        return;
    if (a->result == -ENOBUFS) {
        give_more_buffers(r);
        hand_buffers_over(r); /* before the next order */
    } else if (reader->is_wanted && a->result <= 0 && a->result != -ECANCELED && a->result != -EINTR && a->result != -EAGAIN) {
        r->handlers->on_read(reader, NULL, a->result);
    }
    if (reader->is_standing) /* a handler began again */
        return;
    if (reader->is_wanted)
        order_reading(r, reader);
    else
        r->handlers->on_idle(reader);
}

static void take(struct ring *r, const struct answer *a)
{
    if (a->for_whom == FOR_WATCH) {
        r->is_watching = false;
        r->is_watched_ready = true;
    } else if (a->for_whom != FOR_CANCEL && !take_sent(r, a)) {
        take_read(r, a);
    }
}

/* More has happened than the kernel told of: it tells of a few dozen things at a time. Its flag is a hint, and may stay when there is
 * nothing. */
static bool fetch_more(struct ring *r)
{
    if ((__atomic_load_n(r->uring.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN) == 0)
        return false;
    (void)io_uring_get_events(&r->uring);
    return io_uring_cq_ready(&r->uring) > 0;
}

void ring_deliver(struct ring *r)
{
    size_t count = 0;
    struct answer a;

    for (size_t i = 0; i < r->aside_count; i++) {
        a = r->aside[i];
        take(r, &a);
    }
    r->aside_count = 0;
    for (;;) {
        const unsigned ready = io_uring_cq_ready(&r->uring); /* taking them may bring more */
        for (unsigned i = 0; i < ready && take_answer(r, &a); i++)
            take(r, &a);
        hand_buffers_over(r);
        count += ready;
        r->counted += ready;
        if (count >= ROUND_MAX || r->is_watched_ready || !fetch_more(r))
            break;
    }
}

static void watch(struct ring *r)
{
    struct io_uring_sqe *order = next_order(r);
    io_uring_prep_poll_add(order, r->watched_fd, POLLIN);
    order->user_data = FOR_WATCH;
    r->is_watching = true;
}

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Each wake-up costs as much as a message or two. Where many come, waiting for several of them costs none of them much. */
static void look_how_busy(struct ring *r)
{
    int64_t now = now_ns(), took = now - r->counted_since_ns;
    if (took < 1000000)
        return;
    r->is_busy = (int64_t)r->counted * 1000000 >= took * BUSY_PER_MS;
    r->counted = 0;
    r->counted_since_ns = now;
}

void ring_wait(struct ring *r, int64_t most_ms)
{
    struct io_uring_cqe *ignored;

    if (!r->is_watching) /* asked anew each time, so what was left over is told again */
        watch(r);
    look_how_busy(r);
    if (most_ms == 0 || r->aside_count > 0) {
        (void)io_uring_submit_and_get_events(&r->uring);
    } else if (r->is_busy) {
        struct __kernel_timespec most = {0, GATHER_NS};
        (void)io_uring_submit_and_wait_timeout(&r->uring, &ignored, GATHER, &most, NULL);
    } else if (most_ms < 0) {
        (void)io_uring_submit_and_wait(&r->uring, 1);
    } else {
        struct __kernel_timespec most = {most_ms / 1000, most_ms % 1000 * 1000000};
        (void)io_uring_submit_and_wait_timeout(&r->uring, &ignored, 1, &most, NULL);
    }
}

bool ring_is_watched_ready(struct ring *r)
{
    bool is_ready = r->is_watched_ready;
    r->is_watched_ready = false;
    return is_ready;
}
