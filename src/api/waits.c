/* api/waits.c - calls that sleep until the loop's thread tells them something, or their time is up. One thread watches
 * the time. */
#include "api/api_private.h"

#include <stdlib.h>
#include <time.h>

#define RESULT_MAX (4u << 20) /* a command with its payload and response */

void wait_lock(struct wait *w)
{
    pthread_mutex_lock(&w->api->waits.lock);
}

void wait_unlock(struct wait *w)
{
    pthread_mutex_unlock(&w->api->waits.lock);
}

static void wake(struct wait *w)
{
    if (w->call == NULL || w->is_woken)
        return;
    w->is_woken = true;
    http_resume(w->call->x);
}

static void free_if_done(struct wait *w)
{
    if (w->call != NULL || !w->is_told)
        return;
    list_take(&w->link);
    buf_release(&w->json);
    free(w);
}

struct wait *wait_begin(struct call *c, int64_t timeout_ms, call_handler *on_resumed)
{
    struct waits *all = &c->api->waits;
    pthread_mutex_lock(&all->lock);
    if (all->is_stopping) {
        pthread_mutex_unlock(&all->lock);
        answer_error(c, API_STOPPING, NULL);
        answer_retry_after(c, 1);
        return NULL;
    }
    struct wait *w = mem_new(1, sizeof *w);
    w->api = c->api;
    w->call = c;
    w->due_ms = clock_monotonic_ms() + timeout_ms;
    buf_init(&w->json, RESULT_MAX);
    list_add_last(&all->list, &w->link);
    c->wait = w;
    c->on_resumed = on_resumed;
    pthread_cond_signal(&all->changed);
    pthread_mutex_unlock(&all->lock);
    return w;
}

void wait_tell(struct wait *w, enum err e, const struct fault *why, bool is_last, bool wakes)
{
    struct waits *all = &w->api->waits;
    pthread_mutex_lock(&all->lock);
    w->error = e;
    if (why != NULL)
        w->why = *why;
    w->is_told |= is_last;
    if (wakes)
        wake(w);
    free_if_done(w);
    pthread_mutex_unlock(&all->lock);
}

void wait_end(struct call *c)
{
    struct wait *w = c->wait;
    if (w == NULL)
        return;
    struct waits *all = &w->api->waits;
    pthread_mutex_lock(&all->lock);
    c->wait = NULL;
    w->call = NULL;
    free_if_done(w);
    pthread_mutex_unlock(&all->lock);
}

/* Wakes what is due; returns when to look again. */
static int64_t wake_due(struct waits *all, int64_t now_ms)
{
    int64_t next = now_ms + 60000;
    for (struct link *l = all->list.next; l != &all->list; l = l->next) {
        struct wait *w = CONTAINER(l, struct wait, link);
        if (w->call == NULL || w->is_woken)
            continue;
        if (w->due_ms <= now_ms || all->is_stopping)
            wake(w);
        else if (w->due_ms < next)
            next = w->due_ms;
    }
    return next;
}

static void *watch(void *arg)
{
    struct waits *all = arg;
    pthread_mutex_lock(&all->lock);
    while (!all->is_stopping) {
        int64_t next = wake_due(all, clock_monotonic_ms());
        struct timespec t = {next / 1000, next % 1000 * 1000000};
        (void)pthread_cond_timedwait(&all->changed, &all->lock, &t);
    }
    (void)wake_due(all, clock_monotonic_ms());
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

enum err waits_open(struct waits *all)
{
    pthread_condattr_t attr;
    list_init(&all->list);
    check(pthread_condattr_init(&attr) == 0);
    check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    check(pthread_mutex_init(&all->lock, NULL) == 0);
    check(pthread_cond_init(&all->changed, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
    all->has_thread = pthread_create(&all->thread, NULL, watch, all) == 0;
    return all->has_thread ? OK : ERR_MEMORY;
}

void waits_stop(struct waits *all)
{
    pthread_mutex_lock(&all->lock);
    all->is_stopping = true;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
    if (all->has_thread)
        (void)pthread_join(all->thread, NULL);
    all->has_thread = false;
}

void waits_close(struct waits *all)
{
    for (struct link *l = all->list.next; l != &all->list;) {
        struct wait *w = CONTAINER(l, struct wait, link);
        l = l->next;
        buf_release(&w->json);
        free(w);
    }
    (void)pthread_cond_destroy(&all->changed);
    (void)pthread_mutex_destroy(&all->lock);
}
