/* loop/workers.c - threads of our own for work that blocks: libuv's pool is one for the whole process, has no state a thread and
 * would let a slow database hold up a name look-up. */
#include "loop/loop.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <uv.h>

struct job_list {
    struct job *first, **last;
};

struct workers {
    uv_async_t wake;
    struct loop *loop;
    void *(*open_state)(void *arg);
    void (*close_state)(void *state);
    void *arg;
    unsigned thread_count;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t has_work;
    struct job_list waiting, finished;
    bool is_stopping;
    pthread_t threads[];
};

static _Thread_local void *thread_state;

static void list_clear(struct job_list *l)
{
    l->first = NULL;
    l->last = &l->first;
}

static void list_put(struct job_list *l, struct job *j)
{
    j->next = NULL;
    *l->last = j;
    l->last = &j->next;
}

static struct job *list_pop(struct job_list *l)
{
    struct job *j = l->first;
    if (j != NULL && (l->first = j->next) == NULL)
        l->last = &l->first;
    return j;
}

static void *work(void *arg)
{
    struct workers *w = arg;
    (void)pthread_setname_np(pthread_self(), "worker");
    thread_state = w->open_state != NULL ? w->open_state(w->arg) : NULL;
    check(pthread_mutex_lock(&w->lock) == 0);
    while (!w->is_stopping) {
        struct job *j = list_pop(&w->waiting);
        if (j == NULL) {
            check(pthread_cond_wait(&w->has_work, &w->lock) == 0);
            continue;
        }
        check(pthread_mutex_unlock(&w->lock) == 0);
        j->run(j);
        j->was_run = true;
        check(pthread_mutex_lock(&w->lock) == 0);
        bool was_empty = w->finished.first == NULL;
        list_put(&w->finished, j);
        if (was_empty)
            check(uv_async_send(&w->wake) == 0);
    }
    check(pthread_mutex_unlock(&w->lock) == 0);
    if (w->close_state != NULL)
        w->close_state(thread_state);
    return NULL;
}

/* Takes the list over before anything is called: done() may add jobs. */
static void tell_done(struct workers *w, struct job_list *list)
{
    check(pthread_mutex_lock(&w->lock) == 0);
    struct job *j = list->first;
    list_clear(list);
    check(pthread_mutex_unlock(&w->lock) == 0);
    while (j != NULL) {
        struct job *next = j->next;
        j->next = NULL;
        j->done(j);
        j = next;
    }
}

static void on_wake(uv_async_t *handle)
{
    struct workers *w = handle->data;
    tell_done(w, &w->finished);
    loop_touch(w->loop);
}

struct workers *workers_new(struct loop *l, unsigned threads, void *(*open_state)(void *arg),
                            void (*close_state)(void *state), void *arg)
{
    check(threads > 0);
    struct workers *w = mem_new(1, sizeof *w + threads * sizeof w->threads[0]);
    w->loop = l;
    w->open_state = open_state;
    w->close_state = close_state;
    w->arg = arg;
    w->thread_count = threads;
    list_clear(&w->waiting);
    list_clear(&w->finished);
    check(pthread_mutex_init(&w->lock, NULL) == 0 && pthread_cond_init(&w->has_work, NULL) == 0);
    check(uv_async_init(loop_uv(l), &w->wake, on_wake) == 0);
    w->wake.data = w;
    sigset_t all, before; /* signals are for the threads with loops */
    check(sigfillset(&all) == 0 && pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    for (unsigned i = 0; i < threads; i++)
        check(pthread_create(&w->threads[i], NULL, work, w) == 0);
    check(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return w;
}

static void on_closed(uv_handle_t *handle)
{
    struct workers *w = handle->data;
    check(pthread_cond_destroy(&w->has_work) == 0 && pthread_mutex_destroy(&w->lock) == 0);
    free(w);
}

void workers_free(struct workers *w)
{
    if (w == NULL)
        return;
    check(pthread_mutex_lock(&w->lock) == 0);
    w->is_stopping = true;
    check(pthread_cond_broadcast(&w->has_work) == 0);
    check(pthread_mutex_unlock(&w->lock) == 0);
    for (unsigned i = 0; i < w->thread_count; i++)
        check(pthread_join(w->threads[i], NULL) == 0);
    tell_done(w, &w->finished);
    while (w->waiting.first != NULL) /* done() may have added one more */
        tell_done(w, &w->waiting);
    uv_close((uv_handle_t *)&w->wake, on_closed);
}

void workers_add(struct workers *w, struct job *j)
{
    j->was_run = false;
    check(pthread_mutex_lock(&w->lock) == 0);
    list_put(&w->waiting, j);
    check(pthread_cond_signal(&w->has_work) == 0);
    check(pthread_mutex_unlock(&w->lock) == 0);
}

void *workers_state(void)
{
    return thread_state;
}
