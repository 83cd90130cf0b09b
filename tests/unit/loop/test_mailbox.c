/* Mail between threads: order, bounds, and nothing for the thread sanitizer to say. */
#include "check.h"
#include "unit/both_ways.h"
#include "loop/loop.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define SENDERS     4
#define LETTERS     20000
#define SMALL_BOX   64
#define ORDER_COUNT 10

struct letter {
    struct mail mail;
    unsigned sender, number;
};

static struct loop *loop;
static struct mailbox *box;
static unsigned last_number[SENDERS], arrived, disordered, rooms;
static _Atomic unsigned refused;

static void on_letter(struct mail *m)
{
    struct letter *l = CONTAINER(m, struct letter, mail);
    disordered += l->number != last_number[l->sender] + 1;
    last_number[l->sender] = l->number;
    if (++arrived == SENDERS * LETTERS)
        loop_stop(loop);
    free(l);
}

static struct letter *letter_new(unsigned sender, unsigned number, void (*on_arrive)(struct mail *m))
{
    struct letter *l = mem_new(1, sizeof *l);
    l->sender = sender;
    l->number = number;
    l->mail.on_arrive = on_arrive;
    return l;
}

static void *send_all(void *arg)
{
    unsigned sender = *(const unsigned *)arg;
    for (unsigned n = 1; n <= LETTERS; n++) {
        struct letter *l = letter_new(sender, n, on_letter);
        while (mailbox_post(box, &l->mail) != OK) {
            refused++;
            (void)sched_yield();
        }
    }
    return NULL;
}

static void on_room(void *data)
{
    (void)data;
    rooms++;
}

static void test_threads(void)
{
    pthread_t threads[SENDERS];
    unsigned names[SENDERS];
    loop = new_loop();
    box = mailbox_new(loop, SMALL_BOX);
    mailbox_on_room(box, on_room, NULL);
    for (unsigned i = 0; i < SENDERS; i++) {
        names[i] = i;
        CHECK("a thread starts", pthread_create(&threads[i], NULL, send_all, &names[i]) == 0);
    }
    loop_run(loop);
    for (unsigned i = 0; i < SENDERS; i++)
        CHECK("a thread ends", pthread_join(threads[i], NULL) == 0);
    CHECK("all mail arrives", arrived == SENDERS * LETTERS);
    CHECK("in the order of each sender", disordered == 0);
    CHECK("who was refused is told of room", refused == 0 || rooms > 0);
    mailbox_free(box);
    loop_free(loop);
}

static unsigned delivered, free_at;

static void on_counted(struct mail *m)
{
    delivered++;
    free(CONTAINER(m, struct letter, mail));
    if (delivered == free_at)
        mailbox_free(box);
}

static void on_round_stop(void *data)
{
    (void)data;
    loop_stop(loop);
}

static void test_bound(void)
{
    loop = new_loop();
    box = mailbox_new(loop, 2);
    mailbox_on_room(box, on_room, NULL);
    rooms = delivered = free_at = 0;
    struct letter *extra = letter_new(0, 0, on_counted);
    CHECK("room for the first", mailbox_post(box, &letter_new(0, 0, on_counted)->mail) == OK);
    CHECK("and the second", mailbox_post(box, &letter_new(0, 0, on_counted)->mail) == OK);
    CHECK("the third is refused", mailbox_post(box, &extra->mail) == ERR_LIMIT);
    mailbox_post_always(box, &extra->mail);
    loop_on_round_end(loop, on_round_stop, NULL);
    loop_run(loop);
    CHECK("what was posted always came too", delivered == 3);
    CHECK("room is told once", rooms == 1);
    mailbox_post_always(box, &letter_new(0, 0, on_counted)->mail);
    mailbox_free(box);
    CHECK("what was not delivered is delivered by free", delivered == 4);
    mailbox_free(NULL);
    loop_free(loop);
}

static void test_free_inside(void)
{
    loop = new_loop();
    box = mailbox_new(loop, ORDER_COUNT);
    delivered = 0;
    free_at = 3;
    for (unsigned i = 0; i < ORDER_COUNT; i++)
        CHECK("there is room", mailbox_post(box, &letter_new(0, i, on_counted)->mail) == OK);
    loop_on_round_end(loop, on_round_stop, NULL);
    loop_run(loop);
    CHECK("freed by a handler, it delivers the rest first", delivered == ORDER_COUNT);
    loop_free(loop);
}

static void test_all(void)
{
    test_threads();
    test_bound();
    test_free_inside();
}

int main(void)
{
    both_ways(test_all);
    return CHECK_REPORT();
}
