/* A transaction that begins and ends within a batch leaves the row that it would have left in batches of one event each. */
#include "check.h"
#include "place.h"
#include "services/stations/begun.h"
#include "services/stations/stations.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* S: it starts; X: another takes its place; E: it ends; O: an operator ends it, without a reason of the device; D: the device says how it was
 * after all; B: here a batch ends. */
static const struct {
    const char *row, *steps;
} rows[] = {
    {"starts", "S"},
    {"starts and ends", "SE"},
    {"starts and ends in the next batch", "SBE"},
    {"ends twice: the first counts", "SEE"},
    {"is replaced", "SX"},
    {"is replaced, then ends after all", "SXE"},
    {"ends, and is replaced: nothing", "SEX"},
    {"an operator ends it", "SO"},
    {"an operator ends it, then the device", "SOE"},
    {"the device overrides", "SED"},
    {"replaced, ended, overridden", "SXED"},
    {"replaced twice", "SXX"},
    {"starts twice", "SS"},
    {"starts again, and ends", "SESE"},
    {"starts again in the next batch, and ends", "SBSE"},
    {"starts again in the next batch, replaced and ended", "SBSXE"},
};

static struct db *db;

static void apply(struct begun *b, char step, unsigned n)
{
    const uint64_t number = 7;
    struct transaction_row row = {.number = number,
                                  .position = 100 + n,
                                  .connector_id = 2,
                                  .meter_start_wh = 1000 + n,
                                  .transaction_id = STR("1234"),
                                  .station = STR("CP-1"),
                                  .id_tag = STR("TAG"),
                                  .id_tag_status = STR("Accepted"),
                                  .flags = n % 2 == 0 ? STR("offline") : STR(""),
                                  .started = {50 + n},
                                  .device_started = {50 + n},
                                  .received = {60 + n}};
    struct transaction_end end = {.at = {70 + n},
                                  .device_at = step == 'O' ? INSTANT_NONE : (struct instant){70 + n},
                                  .meter_wh = 2000 + n,
                                  .energy_wh = 1000 + n,
                                  .key = 5 + n,
                                  .reason = step == 'O' ? (struct str){NULL, 0} : STR("Local"),
                                  .id_tag = step == 'D' ? STR("TAG") : (struct str){NULL, 0},
                                  .flags = step == 'D'   ? STR("overrides_operator")
                                           : n % 2 == 0 ? STR("clock_corrected inferred")
                                                        : STR(""),
                                  .is_override = step == 'D'};
    if (step == 'S')
        begun_add(b, &row);
    else if (step == 'X')
        CHECK("supersede", begun_supersede(b, db, number, (struct instant){80 + n}) == OK);
    else
        CHECK("stop", begun_stop(b, db, number, &end) == OK);
}

static void write_batch(struct begun *b)
{
    CHECK("a batch is written", begun_write(b, db) == OK);
    begun_forget(b);
}

/* All of the row, as text; the caller frees it. */
static char *play(struct begun *b, const char *steps, bool is_one_by_one)
{
    CHECK("empty", db_run(db, "DELETE FROM transactions", NULL, 0) == OK);
    CHECK("none", db_run(db, "DELETE FROM transaction_counts", NULL, 0) == OK);
    for (unsigned n = 0; steps[n] != '\0'; n++) {
        if (steps[n] != 'B')
            apply(b, steps[n], n);
        if (is_one_by_one || steps[n] == 'B')
            write_batch(b);
    }
    write_batch(b);
    struct db_rows *r = db_rows(
        db,
        "SELECT json_group_array(json_array(number, transaction_id, charge_point_id, connector_id, id_tag, id_tag_status, state,"
        " started_at, meter_start_wh, stopped_at, meter_stop_wh, energy_wh, stop_reason, stop_id_tag, device_started_at,"
        " device_stopped_at, received_at, flags, stop_key, position, order_no, (SELECT json_group_array(json_array(list, level, block, part, count))"
        " FROM transaction_counts WHERE count <> 0))) FROM transactions",
        NULL, 0);
    char *all = NULL;
    if (db_next(r))
        all = strndup(db_col_text(r, 0).at, db_col_text(r, 0).len);
    CHECK("the row is read", db_rows_end(r) == OK && all != NULL);
    return all;
}

static bool has_in_memory(const struct begun *b, uint64_t number)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->rows[i].number == number)
            return true;
    return false;
}

/* Many in a batch, each found again, none after the batch. */
static void test_many(struct begun *b)
{
    enum { MANY = 3000 };
    CHECK("empty", db_run(db, "DELETE FROM transactions", NULL, 0) == OK);
    for (uint64_t n = 1; n <= MANY; n++) {
        struct transaction_row row = {.number = n,
                                      .transaction_id = STR("1"),
                                      .station = STR("CP-1"),
                                      .id_tag = STR("T"),
                                      .flags = STR(""),
                                      .device_started = INSTANT_NONE};
        begun_add(b, &row);
    }
    const struct transaction_end end = {.device_at = INSTANT_NONE, .meter_wh = 5, .reason = STR("Local"), .flags = STR("")};
    for (uint64_t n = 1; n <= MANY; n += 2)
        CHECK("stopped in memory", begun_stop(b, db, n, &end) == OK);
    CHECK("all are there", b->count == MANY && has_in_memory(b, MANY));
    write_batch(b);
    CHECK("none is there", b->count == 0);
    struct db_rows *r = db_rows(db, "SELECT count(*), sum(state = 'closed') FROM transactions", NULL, 0);
    CHECK("written", db_next(r) && db_col_int(r, 0) == MANY && db_col_int(r, 1) == MANY / 2);
    CHECK("read", db_rows_end(r) == OK);
}

/* The numbers of a statement, "1,2,". */
static char *numbers(const char *sql)
{
    struct db_rows *r = db_rows_dynamic(db, str_of(sql), NULL, 0);
    char *all = NULL;
    if (db_next(r))
        all = strndup(db_col_text(r, 0).at, db_col_text(r, 0).len);
    CHECK("numbers are read", db_rows_end(r) == OK && all != NULL);
    return all;
}

/* Whatever the numbers of a batch: block by block they are all found, in their order. */
static void test_blocks(struct begun *b)
{
    static const uint64_t written[][6] = {{65534, 65535, 65536, 65537, 131071, 131072}, {200000, 5, 131073, 4000000, 262143, 6}};
    CHECK("empty", db_run(db, "DELETE FROM transactions", NULL, 0) == OK && db_run(db, "DELETE FROM transaction_blocks", NULL, 0) == OK);
    for (size_t i = 0; i < COUNT_OF(written); i++) {
        for (size_t k = 0; k < COUNT_OF(written[i]); k++)
            begun_add(b, &(struct transaction_row){.number = written[i][k],
                                                   .transaction_id = STR("1"),
                                                   .station = STR("CP-1"),
                                                   .id_tag = STR("T"),
                                                   .flags = STR(""),
                                                   .device_started = INSTANT_NONE});
        write_batch(b);
    }
    char *all = numbers("SELECT group_concat(number) FROM (SELECT number FROM transactions ORDER BY +number)"),
         *by_block = numbers("SELECT group_concat(number) FROM (SELECT number FROM " TRANSACTIONS_BY_BLOCK
                             " WHERE charge_point_id = 'CP-1' ORDER BY transaction_blocks.block, number)");
    CHECK("block by block", all != NULL && by_block != NULL && strcmp(all, by_block) == 0 && strlen(all) > 60);
    free(all);
    free(by_block);
}

int main(void)
{
    char dir[PLACE_MAX], path[PLACE_PATH_MAX];
    struct fault why = {0};
    struct begun b;
    place_make(dir, "test-begun");
    (void)snprintf(path, sizeof path, "%s/db", dir);
    check(db_open(path, DB_WRITER, &db, &why) == OK &&
          db_migrate(db, stations_migrations, stations_migration_count, &why) == OK);
    begun_init(&b);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *alone = play(&b, rows[i].steps, true), *together = play(&b, rows[i].steps, false);
        CHECK(rows[i].row, alone != NULL && together != NULL && strcmp(alone, together) == 0);
        if (strcmp(alone, together) != 0)
            (void)fprintf(stderr, "%s\n%s\n", alone, together);
        free(alone);
        free(together);
    }
    test_many(&b);
    test_blocks(&b);
    begun_release(&b);
    db_close(db);
    for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end != NULL; end++) {
        char file[PLACE_PATH_MAX + 8];
        (void)snprintf(file, sizeof file, "%s%s", path, *end);
        (void)unlink(file);
    }
    (void)rmdir(dir);
    return CHECK_REPORT();
}
