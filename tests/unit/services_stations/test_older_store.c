/* A store of before transactions and orders had blocks is brought to that form: every row is found as it was, by each way that leads to it. */
#include "check.h"
#include "place.h"
#include "services/stations/stations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEFORE_BLOCKS 6 /* migrations of stations that came before them */
#define T0            INT64_C(1750000000000000)
#define ORDER_COLUMNS \
    "charge_point_id, order_key, order_no, number, transaction_id, state, start_mode, connector_id, id_tag, command_id, content, is_told," \
    " is_cancelled, is_held, reason, placed_at, started_at, changed_at"

static struct db *d;

static void run(const char *sql)
{
    struct db_rows *r = db_rows_dynamic(d, str_of(sql), NULL, 0);
    while (db_next(r)) {
    }
    CHECK(sql, db_rows_end(r) == OK);
}

/* The first column of the first row; the caller frees it. */
static char *text(const char *sql)
{
    struct db_rows *r = db_rows_dynamic(d, str_of(sql), NULL, 0);
    char *all = NULL;
    if (db_next(r))
        all = strndup(db_col_text(r, 0).at, db_col_text(r, 0).len);
    CHECK(sql, db_rows_end(r) == OK && all != NULL);
    return all == NULL ? strdup("") : all;
}

static bool is_same(const char *a, const char *b)
{
    char *x = text(a), *y = text(b);
    const bool is = x[0] != '\0' && strcmp(x, y) == 0;
    if (!is)
        (void)fprintf(stderr, "%s\n%s\n", x, y);
    free(x);
    free(y);
    return is;
}

/* Over four blocks of numbers, and weeks; of two stations in turn, one of whose newest start is not its last. */
static void put_before(void)
{
    run("INSERT INTO charge_points (charge_point_id, registration, created_at, updated_at) VALUES ('CP0', 'accepted', 1, 1), ('CP1', 'accepted', 1, 1),"
        " ('CP2', 'accepted', 1, 1)");
    run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)"
        " INSERT INTO transactions (number, transaction_id, charge_point_id, connector_id, id_tag, id_tag_status, state, started_at, meter_start_wh,"
        " device_started_at, received_at, position)"
        " SELECT i * 500, i, 'CP' || (i % 2), 1, 'T' || (i % 3), 'Accepted', 'closed', 1750000000000000 + i * 3600000000, 7,"
        " CASE WHEN i = 390 THEN 1760000000000000 ELSE 1750000000000000 + i * 3600000000 END, 5, i FROM n");
    run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
        " INSERT INTO orders (" ORDER_COLUMNS ")"
        " SELECT 'AP1400000' || (i % 3), printf('%032x', i * 7919 % 1009), printf('%032x', i), i * 500, i, CASE WHEN i % 50 = 0 THEN 'uncertain' ELSE"
        " 'settled' END, i % 4, i % 2, 'T' || i, NULL, printf('%016x', i), 1, i % 2, i % 5 = 0, 'why ' || i, 1750000000000000 + i,"
        " CASE WHEN i % 3 = 0 THEN i END, 1750000000000000 + i * 7200000000 FROM n");
}

static void check_transactions(void)
{
    CHECK("each has its block", is_same("SELECT count(*) FROM transactions", "SELECT count(*) FROM transactions WHERE block = number >> 16"));
    CHECK("block by block a station's are found, in their order",
          is_same("SELECT group_concat(number) FROM (SELECT number FROM transactions WHERE +charge_point_id = 'CP1' ORDER BY +number)",
                  "SELECT group_concat(number) FROM (SELECT number FROM " TRANSACTIONS_BY_BLOCK
                  " WHERE charge_point_id = 'CP1' ORDER BY transaction_blocks.block, number)"));
    CHECK("and a tag's", is_same("SELECT group_concat(number) FROM (SELECT number FROM transactions WHERE +id_tag = 'T2' ORDER BY +number DESC)",
                                 "SELECT group_concat(number) FROM (SELECT number FROM " TRANSACTIONS_BY_BLOCK
                                 " WHERE id_tag = 'T2' ORDER BY transaction_blocks.block DESC, number DESC)"));
    CHECK("a station's newest start is known",
          is_same("SELECT json_array(1760000000000000, 1750000000000000 + 399 * 3600000000, NULL)",
                  "SELECT json_group_array(newest_device_start) FROM (SELECT newest_device_start FROM charge_points ORDER BY charge_point_id)"));
    for (int64_t i = 1; i <= 400; i += 57) {
        struct transaction found;
        const struct transaction_start start = {1, i % 3 == 0 ? STR("T0") : i % 3 == 1 ? STR("T1") : STR("T2"), {T0 + i * 3600000000}, 7};
        CHECK("a start is known again", stations_find_start(d, i % 2 == 0 ? STR("CP0") : STR("CP1"), &start, &found) == OK &&
                                            found.number == (uint64_t)i * 500);
        CHECK("of its station alone", stations_find_start(d, i % 2 == 0 ? STR("CP1") : STR("CP0"), &start, &found) == ERR_UNKNOWN);
    }
}

static void check_orders(const char *before)
{
    char *now = text("SELECT json_group_array(json_array(" ORDER_COLUMNS ")) FROM (SELECT * FROM orders ORDER BY +number)");
    CHECK("no order has changed", strcmp(before, now) == 0 && strlen(now) > 300);
    free(now);
    CHECK("each has its block", is_same("SELECT count(*) FROM orders", "SELECT count(*) FROM " ORDERS_BY_BLOCK " WHERE changed_at >> 34 = orders.block"));
    for (int i = 1; i <= 300; i += 23) {
        struct pile_order found;
        char key[40], pile[16];
        (void)snprintf(key, sizeof key, "%032x", (unsigned)(i * 7919 % 1009));
        (void)snprintf(pile, sizeof pile, "AP1400000%d", i % 3);
        CHECK("an order is found by its key", stations_find_order(d, str_of(pile), str_of(key), &found) == OK && found.number == (uint64_t)i * 500);
        (void)snprintf(pile, sizeof pile, "AP1400000%d", (i + 1) % 3);
        CHECK("of its pile alone", stations_find_order(d, str_of(pile), str_of(key), &found) == ERR_UNKNOWN);
    }
}

int main(void)
{
    char base[PLACE_MAX], path[PLACE_PATH_MAX], command[PLACE_PATH_MAX];
    struct fault why = {0};
    place_make(base, "test-older-store");
    (void)snprintf(path, sizeof path, "%s/db", base);
    CHECK("a store of before", db_open(path, DB_WRITER, &d, &why) == OK && db_migrate(d, stations_migrations, BEFORE_BLOCKS, &why) == OK);
    put_before();
    char *orders = text("SELECT json_group_array(json_array(" ORDER_COLUMNS ")) FROM (SELECT * FROM orders ORDER BY +number)");
    CHECK("is brought to the form of now", db_migrate(d, stations_migrations, stations_migration_count, &why) == OK);
    check_transactions();
    check_orders(orders);
    free(orders);
    db_close(d);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", base);
    CHECK("cleaned up", system(command) == 0);
    return CHECK_REPORT();
}
