/* loop/mailbox.c - a list under a lock and a wake-up. The whole list changes hands at once, so the lock is held for a few
 * instructions whatever the mail does. */
#include "loop/loop.h"
#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

struct mailbox {
    uv_async_t wake;
    struct loop *loop;
    void (*on_room)(void *data);
    void *room_data;
    struct mail *batch; /* being delivered; the loop's thread only */

    pthread_mutex_t lock; /* of all below */
    struct mail *first, **last;
    size_t count, most;
    bool has_refused;
};

static void take_all(struct mailbox *b, bool *has_room)
{
    check(pthread_mutex_lock(&b->lock) == 0);
    b->batch = b->first;
    b->first = NULL;
    b->last = &b->first;
    b->count = 0; /* below the go mark by that */
    *has_room = b->has_refused;
    b->has_refused = false;
    check(pthread_mutex_unlock(&b->lock) == 0);
}

/* A handler may free the mailbox: the rest is then delivered in there, and the loop here finds the batch empty. */
static void deliver(struct mailbox *b)
{
    while (b->batch != NULL) {
        struct mail *m = b->batch;
        b->batch = m->next;
        m->next = NULL;
        m->on_arrive(m);
    }
}

static void on_wake(uv_async_t *handle)
{
    struct mailbox *b = handle->data;
    bool has_room;
    take_all(b, &has_room);
    deliver(b);
    if (has_room && b->on_room != NULL && !uv_is_closing((uv_handle_t *)handle))
        b->on_room(b->room_data);
    loop_touch(b->loop);
}

struct mailbox *mailbox_new(struct loop *l, size_t most)
{
    struct mailbox *b = mem_new(1, sizeof *b);
    b->loop = l;
    b->most = most;
    b->last = &b->first;
    check(pthread_mutex_init(&b->lock, NULL) == 0);
    check(uv_async_init(loop_uv(l), &b->wake, on_wake) == 0);
    b->wake.data = b;
    return b;
}

void mailbox_on_room(struct mailbox *b, void (*on_room)(void *data), void *data)
{
    b->on_room = on_room;
    b->room_data = data;
}

static void on_closed(uv_handle_t *handle)
{
    struct mailbox *b = handle->data;
    check(pthread_mutex_destroy(&b->lock) == 0);
    free(b);
}

void mailbox_free(struct mailbox *b)
{
    if (b == NULL)
        return;
    bool has_room;
    deliver(b);
    take_all(b, &has_room);
    deliver(b);
    uv_close((uv_handle_t *)&b->wake, on_closed);
}

static enum err post(struct mailbox *b, struct mail *m, bool is_bounded)
{
    m->next = NULL;
    check(pthread_mutex_lock(&b->lock) == 0);
    if (is_bounded && b->count >= b->most) {
        b->has_refused = true;
        check(pthread_mutex_unlock(&b->lock) == 0);
        return ERR_LIMIT;
    }
    bool was_empty = b->first == NULL;
    *b->last = m;
    b->last = &m->next;
    b->count++;
    if (was_empty) /* under the lock: after it the mailbox may be on its way out */
        check(uv_async_send(&b->wake) == 0);
    check(pthread_mutex_unlock(&b->lock) == 0);
    return OK;
}

enum err mailbox_post(struct mailbox *b, struct mail *m)
{
    return post(b, m, true);
}

void mailbox_post_always(struct mailbox *b, struct mail *m)
{
    check(post(b, m, false) == OK);
}
