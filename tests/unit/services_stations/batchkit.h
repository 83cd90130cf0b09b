/* batchkit.h - what the tests of the tables share: a store of its own, dice that fall the same way each time, and
 * events that wait for their batch, as on the bus. A batch is now and then undone and done again. */
#ifndef TESTS_BATCHKIT_H
#define TESTS_BATCHKIT_H
#include "check.h"
#include "place.h"
#include "services/stations/stations.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_MAX  8   /* a batch has about so many events, */
#define BATCH_ROOM 512 /* and those that came together with the last one */

static struct db *db;
static struct stations *tables;
static struct consumer consumer;
static char tables_dir[PLACE_MAX], tables_path[PLACE_PATH_MAX];

static uint64_t dice_state;
static struct event batch[BATCH_ROOM];
static size_t batch_count, batch_max = BATCH_MAX;

static inline unsigned dice(unsigned sides)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(dice_state >> 33) % sides;
}

/* --- the store --- */

static inline void tables_open(const uint64_t id_key[2])
{
    struct fault why = {0};
    place_make(tables_dir, "test-tables");
    (void)snprintf(tables_path, sizeof tables_path, "%s/db", tables_dir);
    check(db_open(tables_path, DB_WRITER, &db, &why) == OK &&
          db_migrate(db, stations_migrations, stations_migration_count, &why) == OK && db_set_durable(db, false) == OK);
    tables = stations_new(id_key, STR("g"), NULL, NULL);
    stations_consumer(tables, &consumer);
}

static inline void tables_clear(void)
{
    static const char *const all[] = {"DELETE FROM charge_points", "DELETE FROM connectors",
                                      "DELETE FROM transactions",  "DELETE FROM quarantine",
                                      "DELETE FROM orders",        "DELETE FROM transaction_reading_blocks",
                                      "DELETE FROM piles",         "DELETE FROM server_facts"};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        check(db_run(db, all[i], NULL, 0) == OK);
}

static inline void tables_close(void)
{
    stations_free(tables);
    db_close(db);
    for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end != NULL; end++) {
        char file[PLACE_PATH_MAX + 8];
        (void)snprintf(file, sizeof file, "%s%s", tables_path, *end);
        (void)unlink(file);
    }
    (void)rmdir(tables_dir);
}

/* The first column of the first row; -1: none, or it is null. */
static inline int64_t tables_ask(const char *sql)
{
    struct db_rows *r = db_rows(db, sql, NULL, 0);
    int64_t n = db_next(r) && !db_col_is_null(r, 0) ? db_col_int(r, 0) : -1;
    CHECK(sql, db_rows_end(r) == OK);
    return n;
}

/* --- events that wait for their batch; their text is their own --- */

static inline struct str batch_copy(struct str s)
{
    if (s.at == NULL)
        return s;
    char *text = mem_new(1, s.len + 1);
    memcpy(text, s.at, s.len);
    return (struct str){text, s.len};
}

static inline void batch_add(const struct event *e)
{
    check(batch_count < BATCH_ROOM);
    struct event *kept = &batch[batch_count++];
    *kept = *e;
    kept->station = batch_copy(e->station);
    kept->payload = batch_copy(e->payload);
    kept->frame = batch_copy(e->frame);
    kept->answer = batch_copy(e->answer);
}

static inline void batch_apply(void)
{
    bool is_good = db_begin(db) == OK;
    for (size_t i = 0; i < batch_count; i++) {
        struct fault why = {0};
        bool is_taken = consumer.on_event(consumer.state, db, &batch[i], &why) == OK;
        if (!is_taken)
            (void)fprintf(stderr, "%.*s: %s\n", STR_ARG(batch[i].payload), why.reason);
        is_good = is_good && is_taken;
    }
    CHECK("the tables take what the core says", is_good);
}

/* All that waits is in the tables then. */
static inline void batch_write(void)
{
    struct fault why = {0};
    if (batch_count == 0)
        return;
    if (dice(4) == 0) { /* undone: as if it had never been */
        batch_apply();
        if (dice(2) == 0)
            CHECK("a batch ends", consumer.on_batch_end(consumer.state, db, &why) == OK);
        db_rollback(db);
        consumer.on_batch_undone(consumer.state);
    }
    batch_apply();
    CHECK("a batch ends", consumer.on_batch_end(consumer.state, db, &why) == OK && db_commit(db) == OK);
    for (size_t i = 0; i < batch_count; i++) {
        const struct str texts[] = {batch[i].station, batch[i].payload, batch[i].frame, batch[i].answer};
        for (size_t n = 0; n < COUNT_OF(texts); n++)
            free((void *)(uintptr_t)texts[n].at);
    }
    batch_count = 0;
}

/* Now or a few events later. */
static inline void batch_write_if_due(void)
{
    if (batch_count >= 1 + dice((unsigned)batch_max) || batch_count > batch_max)
        batch_write();
}
#endif
