/* loop/loop.h - libuv behind our verbs: one loop a thread, timers, mailboxes between threads, blocking work as jobs,
 * signals, and the round: everything that became ready in one turn. uv types go no further than loop/ and wire/. */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H
#include "base/memory.h"
#include "base/time.h"

struct loop;
struct loop *loop_new(void);
void loop_free(struct loop *l); /* after loop_run returned; closes what is left */
/* From now on sockets are read and written by io_uring (ring.h). ERR_UNKNOWN: the kernel has none, or forbids it; all goes on
 * without. On the thread that will run the loop, before anything was opened on it. */
MUST_USE enum err loop_use_ring(struct loop *l, struct fault *why);
void loop_run(struct loop *l);  /* until loop_stop, which may come from a handler of this loop */
void loop_stop(struct loop *l);
void *loop_uv(struct loop *l);  /* uv_loop_t, for wire/ */

/* Called once at the end of every turn in which anything happened, after all its handlers: the place to commit a round. Up
 * to LOOP_ROUND_HANDLERS_MAX, in the order they were added. A turn: all ready sockets are read, all due timers fire, all mail
 * arrives; then these; then what they and everybody else had to send is written (loop_on_flush). */
#define LOOP_ROUND_HANDLERS_MAX 8
void loop_on_round_end(struct loop *l, void (*handler)(void *data), void *data);
/* The one handler after all those, for wire/: what was sent in this round leaves here, whenever who registered. Taken once a
 * loop. data is heap memory and the loop's from then on: loop_free calls close(data), lets its handles close, frees it. */
void loop_on_flush(struct loop *l, void (*handler)(void *data), void (*close)(void *data), void *data);
void *loop_flush_data(const struct loop *l); /* NULL before loop_on_flush */
/* Something happened that ends in a round: for who works on loop_uv() directly. Timers, mail and jobs do it themselves. */
void loop_touch(struct loop *l);
/* Frees memory when the present round has ended: for what is freed inside its own callback. */
void loop_free_later(struct loop *l, void *memory);

struct instant clock_now(void);     /* wall clock, UTC */
int64_t clock_now_us(void);         /* the same number, for log_setup */
int64_t clock_monotonic_ms(void);   /* only for durations and timers */

/* A timer inside its owner's struct. Coarse (10 ms), cheap by the hundred thousand: a wheel, not a heap a connection.
 * start again moves it; a timer that never fires costs no callback. */
struct timer {
    struct link link;
    int64_t due_ms;
    void (*on_due)(struct timer *t);
};
void timer_init(struct timer *t, void (*on_due)(struct timer *t));
void timer_start(struct loop *l, struct timer *t, int64_t after_ms);
void timer_stop(struct timer *t); /* also when not started */

/* From any thread to the thread of one loop, in batches. Bounded: ERR_LIMIT past the stop mark (most); on_room is called on
 * the loop's thread once it fell below the go mark (half of it) after a refusal. Order is kept. */
struct mail {
    struct mail *next;
    void (*on_arrive)(struct mail *m); /* on the loop's thread; owns *m from then on */
};
struct mailbox;
struct mailbox *mailbox_new(struct loop *l, size_t most);
void mailbox_on_room(struct mailbox *b, void (*on_room)(void *data), void *data); /* before the first mailbox_post */
void mailbox_free(struct mailbox *b); /* undelivered mail is delivered first; on the loop's thread */
MUST_USE enum err mailbox_post(struct mailbox *b, struct mail *m);
void mailbox_post_always(struct mailbox *b, struct mail *m); /* for mail that is bounded by other means */

/* Work that blocks: run on a worker thread, then done on the loop's thread. As many as there are threads are under way, others
 * wait in order; the queue is bounded by the caller. */
struct job {
    struct job *next;
    bool was_run; /* false in done(): workers_free came first */
    void (*run)(struct job *j);
    void (*done)(struct job *j);
};
struct workers;
/* open_state and close_state (both may be NULL) run on the worker's own thread. */
struct workers *workers_new(struct loop *l, unsigned threads, void *(*open_state)(void *arg),
                            void (*close_state)(void *state), void *arg);
/* On the loop's thread. Waits for what is under way; then done() for everything that ran, then for what was not begun. */
void workers_free(struct workers *w);
void workers_add(struct workers *w, struct job *j);
void *workers_state(void); /* inside run(): what open_state made for this worker thread, for example its database */

/* SIGINT and SIGTERM, once a loop (handler may be called again for the second one). */
void loop_on_signal(struct loop *l, void (*handler)(int signal, void *data), void *data);
#endif
