/* sim/txqueue.c - a growing array; a station that is online holds one message at most, so most never grow. */
#include "sim/txqueue.h"
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 4

void tx_queue_release(struct tx_queue *q)
{
    free(q->at);
    *q = (struct tx_queue){0};
}

bool tx_queue_push(struct tx_queue *q, const struct tx_message *m)
{
    if (q->count >= (m->kind == TX_STOP ? QUEUE_MAX : QUEUE_START_MAX))
        return false;
    if (q->count == q->room) {
        q->room = q->room == 0 ? ROOM_FIRST : q->room * 2;
        q->at = mem_grow(q->at, q->room, sizeof *q->at);
    }
    q->at[q->count++] = *m;
    return true;
}

struct tx_message *tx_queue_first(struct tx_queue *q)
{
    return q->count == 0 ? NULL : &q->at[0];
}

void tx_queue_take(struct tx_queue *q)
{
    check(q->count > 0);
    q->count--;
    memmove(q->at, q->at + 1, q->count * sizeof *q->at);
}

void tx_queue_set_id(struct tx_queue *q, uint32_t session, int32_t transaction_id)
{
    for (uint32_t i = 0; i < q->count; i++)
        if (q->at[i].session == session)
            q->at[i].transaction_id = transaction_id;
}

bool tx_queue_retry(struct tx_queue *q, int64_t now_ms, int32_t attempts, int32_t interval_s)
{
    struct tx_message *m = tx_queue_first(q);
    check(m != NULL);
    if (m->sends >= (uint32_t)attempts)
        return false;
    m->due_ms = now_ms + (int64_t)interval_s * 1000 * m->sends;
    return true;
}
