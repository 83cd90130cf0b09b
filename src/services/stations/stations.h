/* services/stations/stations.h - the consumer that keeps the tables of stations, connectors, transactions, commands and
 * quarantine (0001_stations.sql), and the reading of them: for the gateway after a restart, for the API's lists. */
#ifndef SERVICES_STATIONS_STATIONS_H
#define SERVICES_STATIONS_STATIONS_H
#include "bus/bus.h"
#include "device/station.h"
#include "proto/ap3000/transfer.h"
#include "store/counted.h"

extern const struct migration stations_migrations[];
extern const size_t stations_migration_count;

/* id_key: the server's key of transaction ids, see stations_id_key. on_committed (may be NULL): up to this position
 * everything is in the tables. */
struct stations;
struct stations *stations_new(const uint64_t id_key[2], struct str gateway_id,
                              void (*on_committed)(void *data, uint64_t position), void *data);
void stations_free(struct stations *s);
void stations_consumer(struct stations *s, struct consumer *out);

/* The key by which transaction numbers become ids: made of random[16] at the first call, kept in the store ever after.
 */
MUST_USE enum err stations_id_key(struct db *d, const uint8_t random[16], uint64_t key[2]);

/* For the gateway. ERR_UNKNOWN: no row. s is initialised by the caller and owned by it. */
MUST_USE enum err stations_load(struct db *d, struct str station, struct station *s);
/* A transfer of firmware that was not over. */
struct firmware_job {
    char job_id[UUID_TEXT_SIZE], file_id[UUID_TEXT_SIZE];
    uint8_t command;
    int64_t packet;
    struct ap3000_image image;
};
/* What it is beside, when it is an AP3000 pile: OK also where nothing is known of it. p is new and the caller's;
 * job->job_id stays as it is where none is open. */
MUST_USE enum err stations_load_pile(struct db *d, struct str station, struct ap3000_pile *p, struct firmware_job *job);
/* The card that a pile is bound to, "" none: what the API changes of it. */
MUST_USE enum err stations_iccid_binding(struct db *d, struct str station, char *out, size_t size);
/* An order that is no longer in memory. ERR_UNKNOWN: none. */
MUST_USE enum err stations_find_order(struct db *d, struct str station, struct str order_key, struct pile_order *out);
/* Where a settlement of that content (ap3000_content_key) waits for a person. ERR_UNKNOWN: nowhere. */
MUST_USE enum err stations_find_quarantined(struct db *d, struct str station, uint64_t content,
                                            char out[UUID_TEXT_SIZE]);
/* Adds what is open to the counts of its tags: transactions, and orders of piles, from when they are placed on. */
MUST_USE enum err stations_count_tags(struct db *d, struct tag_book *tags);
/* How many transactions there are, by number and by start. Bit 0 of a part: they are open; the others: the connector_id. */
extern const struct counted_list transactions_by_number, transactions_by_start;
static inline int64_t transactions_part(int64_t connector_id, bool is_open)
{
    return connector_id * 2 + is_open;
}
/* Those of a station, or with a tag, are found block by block. Rows of a higher block have higher numbers, so in the order of
 * transaction_blocks.block and number they need not be sorted. */
#define TRANSACTION_BLOCK_BITS 16 /* of a number, below its block */
#define TRANSACTIONS_BY_BLOCK  "transaction_blocks CROSS JOIN transactions ON transactions.block = transaction_blocks.block"
/* The same for orders of piles, by when they changed. */
#define ORDER_BLOCK_BITS 34 /* of the microseconds, below the block: 4.8 hours */
#define ORDERS_BY_BLOCK  "order_blocks CROSS JOIN orders ON orders.block = order_blocks.block"
uint64_t stations_last_number(struct db *d); /* highest transaction number in the tables */
/* A transaction that is no longer in memory: by number, or as the repeat of a start. ERR_UNKNOWN: none. *owner (copied
 * to arena) says whose it is. */
MUST_USE enum err stations_find_transaction(struct db *d, uint64_t number, struct arena *a, struct transaction *out,
                                            struct str *owner);
MUST_USE enum err stations_find_start(struct db *d, struct str station, const struct transaction_start *start,
                                      struct transaction *out);
/* Energy register of the newest reading of a transaction, in Wh, from the log: for an operator's close. ERR_UNKNOWN:
 * none. */
MUST_USE enum err stations_last_register(struct db *d, struct str log_dir, uint64_t number, int64_t *wh);
MUST_USE enum err stations_find_tag(struct db *d, struct str id_tag, struct id_tag *out); /* ERR_UNKNOWN */
#endif
