/* Readings of transactions mixed are seen by the view one by one, each once; of a transaction and batch there is one row. */
#include "check.h"
#include "place.h"
#include "services/stations/readings.h"
#include "services/stations/stations.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int64_t number_in(struct db *d, const char *sql)
{
    struct db_rows *r = db_rows_dynamic(d, str_of(sql), NULL, 0);
    int64_t n = db_next(r) ? db_col_int(r, 0) : -1;
    CHECK(sql, db_rows_end(r) == OK);
    return n;
}

static void check_batches(struct db *d)
{
    static const struct reading_note notes[] = {
        {2, 7, true}, {2, 9, true}, {1, 10, true}, {2, 11, true}, {1, 12, false}};
    struct readings r = {0};
    for (size_t i = 0; i < COUNT_OF(notes); i++)
        readings_note(&r, notes[i]);
    CHECK("a batch", readings_write(&r, d) == OK);
    CHECK("the same again changes nothing", readings_write(&r, d) == OK);
    readings_forget(&r);
    readings_note(&r, (struct reading_note){2, 20, true});
    CHECK("another batch", readings_write(&r, d) == OK);
    readings_forget(&r);
    CHECK("nothing noted", readings_write(&r, d) == OK);
    CHECK("a row a transaction, batch, and whether it was named",
          number_in(d, "SELECT count(*) FROM transaction_reading_blocks") == 4);
    CHECK("each is seen once", number_in(d, "SELECT count(*) FROM transaction_readings") == 6);
    CHECK("in order", number_in(d, "SELECT group_concat(position, '') FROM (SELECT position FROM transaction_readings"
                                   " WHERE number = 2 AND position > 7 ORDER BY position)") == 91120);
    CHECK("as it was named", number_in(d, "SELECT position FROM transaction_readings WHERE is_named = 0") == 12);
    for (uint64_t i = 0; i < 2500; i++)
        readings_note(&r, (struct reading_note){3, UINT64_C(9000000000000000000) + i, true});
    CHECK("very many of one", readings_write(&r, d) == OK);
    CHECK("take several rows", number_in(d, "SELECT count(*) FROM transaction_reading_blocks WHERE number = 3") == 3);
    CHECK("and are all there",
          number_in(d, "SELECT count(DISTINCT position) FROM transaction_readings WHERE number = 3") == 2500);
    readings_release(&r);
}

int main(void)
{
    char dir[PLACE_MAX], path[PLACE_PATH_MAX], beside[PLACE_PATH_MAX + 8];
    struct db *d = NULL;
    struct fault why;
    place_make(dir, "test-readings");
    (void)snprintf(path, sizeof path, "%s/db", dir);
    CHECK("open", db_open(path, DB_WRITER, &d, &why) == OK);
    CHECK("tables", db_migrate(d, stations_migrations, stations_migration_count, &why) == OK);
    check_batches(d);
    db_close(d);
    (void)unlink(path);
    (void)snprintf(beside, sizeof beside, "%s-wal", path);
    (void)unlink(beside);
    (void)snprintf(beside, sizeof beside, "%s-shm", path);
    (void)unlink(beside);
    (void)rmdir(dir);
    return CHECK_REPORT();
}
