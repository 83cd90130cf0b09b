/* sim/txqueue.h - the transaction messages that a station keeps until they are answered (ocpp16.md 2.6, 10.3): in
 * order, over reconnects, each sent at most TransactionMessageAttempts times. Only facts are kept, not texts: the
 * transaction id may come to be known while a message waits. */
#ifndef SIM_TXQUEUE_H
#define SIM_TXQUEUE_H
#include "base/time.h"
#include "sim/curve.h"

#define ID_TAG_SIZE     25                    /* 20 characters, what a quirk appends, and a terminating 0 */
#define QUEUE_START_MAX 128                   /* no session begins, and no sample is kept, past it */
#define QUEUE_MAX       (QUEUE_START_MAX * 2) /* so each session that began has room for its end */

enum tx_kind { TX_START, TX_METER, TX_STOP };
struct tx_message {
    enum tx_kind kind;
    uint8_t connector;
    int8_t reason;          /* of a stop */
    uint32_t session;       /* the station's own number of it */
    int32_t transaction_id; /* 0: not known yet */
    uint32_t order;         /* among all that the station wants to say */
    uint32_t sends;
    int64_t due_ms; /* not before it */
    struct instant at;
    int32_t offered_w;
    bool is_dc;
    struct meter_reading reading;
    char id_tag[ID_TAG_SIZE];
};
struct tx_queue {
    struct tx_message *at; /* NULL while it has never held one */
    uint32_t count, room;
};

void tx_queue_release(struct tx_queue *q);
/* False: no room for its kind. */
bool tx_queue_push(struct tx_queue *q, const struct tx_message *m);
struct tx_message *tx_queue_first(struct tx_queue *q); /* NULL: empty */
void tx_queue_take(struct tx_queue *q);                /* the first one was answered, or is given up */
/* The start was answered: what waits of its session gets its id. */
void tx_queue_set_id(struct tx_queue *q, uint32_t session, int32_t transaction_id);
/* The first one failed: false when it had its last try, else it waits longer each time. */
bool tx_queue_retry(struct tx_queue *q, int64_t now_ms, int32_t attempts, int32_t interval_s);
#endif
