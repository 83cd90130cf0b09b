/* loop/ring.h - io_uring beside libuv, where the kernel lets us have it: sockets whose bytes come without being asked for, and all
 * that a round sends given to the kernel in one call. For wire/ only; what a connection is, and all else, stays with libuv.
 *
 * The loop waits in the ring, and the ring watches libuv's descriptor: loop_run. Everything here belongs to the loop's thread.
 * Nothing needs it: a loop without a ring reads and sends by libuv. */
#ifndef LOOP_RING_H
#define LOOP_RING_H
#include "base/memory.h"
#include "loop/loop.h"
#include <sys/types.h>

/* A socket that is read, inside its owner's struct. One read order stands in the kernel until it is stopped, and each of the
 * socket's arrivals is one call of on_read. */
struct ring_reader {
    int fd;
    bool is_wanted : 1;  /* the owner wants bytes */
    bool is_standing : 1; /* the kernel has an order, and with it the reader's address: it must not be freed */
    bool is_stopping : 1; /* the kernel was told to drop the order, and has not said that it did */
};
struct ring_handlers {
    /* n > 0: so many bytes at at, the owner's until it returns; 0: the peer's end of the stream; < 0: -errno. Bytes may still come
     * after ring_read_stop, those that had been read by then; an end or an error does not: they will be told again when
     * reading goes on. */
    void (*on_read)(struct ring_reader *r, uint8_t *at, ssize_t n);
    /* Nothing of it stands any more, and nothing is wanted. Not before a round has gone by since ring_read_stop. */
    void (*on_idle)(struct ring_reader *r);
};

struct ring;
struct ring *loop_ring(const struct loop *l); /* NULL: it has none */
void ring_set_handlers(struct ring *r, const struct ring_handlers *handlers); /* before the first ring_read; kept by its address */
void ring_read(struct ring *r, struct ring_reader *reader, int fd);
void ring_read_stop(struct ring *r, struct ring_reader *reader);
/* Queues a send that does not wait. The bytes and *sent live until ring_send_all has returned; *sent is then how many the kernel took,
 * or -errno: -EAGAIN when none had room. */
void ring_send(struct ring *r, int fd, struct bytes what, int *sent);
void ring_send_all(struct ring *r);

/* ---- for loop.c ---- */

/* NULL: the kernel has no io_uring of the kind that is needed (6.1), or forbids it; why says so. The thread that makes it must
 * be the one that runs the loop. */
struct ring *ring_new(int watched_fd, struct fault *why);
void ring_free(struct ring *r); /* nothing stands; NULL: nothing */
size_t ring_standing(const struct ring *r); /* orders that the kernel has */
void ring_wait(struct ring *r, int64_t most_ms); /* until something came, at most so long; < 0: for ever; 0: not at all */
void ring_deliver(struct ring *r);               /* calls the handlers for what came */
bool ring_is_watched_ready(struct ring *r); /* seen by ring_deliver; told once */
#endif
