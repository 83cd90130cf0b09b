/* Transaction messages are kept in order, tried again later and later, and given up at last (ocpp16.md 2.6). */
#include "check.h"
#include "sim/txqueue.h"

static struct tx_message message(enum tx_kind kind, uint32_t session)
{
    return (struct tx_message){.kind = kind, .session = session};
}

static void check_retries(void)
{
    struct tx_queue q = {0};
    CHECK("there is room", tx_queue_push(&q, &(struct tx_message){.kind = TX_STOP}));
    tx_queue_first(&q)->sends = 1;
    CHECK("the first try failed", tx_queue_retry(&q, 1000, 3, 60) && tx_queue_first(&q)->due_ms == 61000);
    tx_queue_first(&q)->sends = 2;
    CHECK("the second waits twice as long", tx_queue_retry(&q, 61000, 3, 60) && tx_queue_first(&q)->due_ms == 181000);
    tx_queue_first(&q)->sends = 3;
    CHECK("there is no fourth", !tx_queue_retry(&q, 181000, 3, 60));
    CHECK("fewer attempts were set meanwhile", !tx_queue_retry(&q, 181000, 1, 60));
    tx_queue_release(&q);
}

static void check_order_and_ids(void)
{
    struct tx_queue q = {0};
    CHECK("an empty queue has no first", tx_queue_first(&q) == NULL);
    for (uint32_t i = 1; i <= 20; i++)
        CHECK("there is room", tx_queue_push(&q, &(struct tx_message){.kind = TX_METER, .session = i % 2, .order = i}));
    tx_queue_set_id(&q, 1, 77);
    for (uint32_t i = 1; i <= 20; i++) {
        struct tx_message *m = tx_queue_first(&q);
        CHECK("first in, first out", m->order == i);
        CHECK("an id goes to its own session", m->transaction_id == (i % 2 == 1 ? 77 : 0));
        tx_queue_take(&q);
    }
    CHECK("empty again", tx_queue_first(&q) == NULL);
    tx_queue_release(&q);
}

static void check_limits(void)
{
    struct tx_queue q = {0};
    struct tx_message start = message(TX_START, 1), meter = message(TX_METER, 1), stop = message(TX_STOP, 1);
    for (int i = 0; i < QUEUE_START_MAX; i++)
        CHECK("a start has room", tx_queue_push(&q, &start));
    CHECK("no start past its limit", !tx_queue_push(&q, &start));
    CHECK("no sample either", !tx_queue_push(&q, &meter));
    for (int i = 0; i < QUEUE_START_MAX; i++)
        CHECK("but the end of each session that began", tx_queue_push(&q, &stop));
    CHECK("the queue is bounded", !tx_queue_push(&q, &stop) && q.count == QUEUE_MAX);
    tx_queue_release(&q);
}

int main(void)
{
    check_retries();
    check_order_and_ids();
    check_limits();
    return CHECK_REPORT();
}
