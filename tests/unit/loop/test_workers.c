/* Jobs on worker threads: each with its thread's state, each done exactly once on the loop's thread. */
#include "check.h"
#include "unit/both_ways.h"
#include "loop/loop.h"
#include <pthread.h>
#include <stdlib.h>

#define THREADS 3
#define JOBS    500

struct task {
    struct job job;
    unsigned number, state_seen;
    unsigned done_count;
};

static struct loop *loop;
static struct workers *workers;
static struct task tasks[JOBS];
static _Atomic unsigned states_open, states_closed;
static unsigned done_count, wrong_thread;
static pthread_t loop_thread;

static void *open_state(void *arg)
{
    unsigned *state = mem_new(1, sizeof *state);
    *state = *(const unsigned *)arg;
    states_open++;
    return state;
}

static void close_state(void *state)
{
    states_closed++;
    free(state);
}

static void run(struct job *j)
{
    CONTAINER(j, struct task, job)->state_seen = *(const unsigned *)workers_state();
}

static void on_done(struct job *j)
{
    struct task *t = CONTAINER(j, struct task, job);
    t->done_count++;
    wrong_thread += !pthread_equal(pthread_self(), loop_thread);
    if (++done_count == JOBS)
        loop_stop(loop);
}

static void test_jobs(void)
{
    unsigned value = 4711;
    loop = new_loop();
    workers = workers_new(loop, THREADS, open_state, close_state, &value);
    for (unsigned i = 0; i < JOBS; i++) {
        tasks[i].job = (struct job){.run = run, .done = on_done};
        workers_add(workers, &tasks[i].job);
    }
    loop_run(loop);
    unsigned wrong = 0;
    for (unsigned i = 0; i < JOBS; i++)
        wrong += tasks[i].done_count != 1 || tasks[i].state_seen != value || !tasks[i].job.was_run;
    CHECK("each job ran with the state of its thread and was done once", wrong == 0);
    CHECK("on the loop's thread", wrong_thread == 0);
    CHECK("outside of a worker there is no state", workers_state() == NULL);
    workers_free(workers);
    CHECK("each thread opened and closed one state", states_open == THREADS && states_closed == THREADS);
    loop_free(loop);
}

/* The loop does not run, so what is done is done by workers_free; what done() then adds can no more begin. */
static pthread_barrier_t begun;
static char order[4];
static struct task last;

static void run_begun(struct job *j)
{
    (void)j;
    (void)pthread_barrier_wait(&begun);
}

static void on_done_add(struct job *j)
{
    order[done_count++] = j->was_run ? 'r' : 'd';
    if (j != &last.job)
        workers_add(workers, &last.job);
}

static void test_free_early(void)
{
    struct task first = {.job = {.run = run_begun, .done = on_done_add}};
    last.job = (struct job){.run = run_begun, .done = on_done_add};
    done_count = 0;
    CHECK("a barrier", pthread_barrier_init(&begun, NULL, 2) == 0);
    loop = new_loop();
    workers = workers_new(loop, 1, NULL, NULL, NULL);
    workers_add(workers, &first.job);
    (void)pthread_barrier_wait(&begun);
    workers_free(workers);
    CHECK("what is under way is waited for", done_count == 2 && order[0] == 'r');
    CHECK("what was not begun is done without being run", order[1] == 'd');
    CHECK("the barrier ends", pthread_barrier_destroy(&begun) == 0);
    workers_free(NULL);
    loop_free(loop);
}

static void test_all(void)
{
    loop_thread = pthread_self();
    test_jobs();
    test_free_early();
}

int main(void)
{
    both_ways(test_all);
    return CHECK_REPORT();
}
