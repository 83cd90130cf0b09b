/* Rows that are gathered: copied, written when they are many or when it is asked for, forgotten. */
#include "check.h"
#include "store/gather.h"

#include <stdio.h>

#define ROWS (5 * GATHER_ROWS / 2)

static int64_t number(struct db *d, const char *sql)
{
    struct db_rows *r = db_rows(d, sql, NULL, 0);
    const int64_t n = db_next(r) ? db_col_int(r, 0) : -1;
    CHECK("a number", db_rows_end(r) == OK);
    return n;
}

int main(void)
{
    struct db *d = NULL;
    struct fault why;
    struct gather g;
    int64_t added = 7;
    check(db_open(":memory:", DB_WRITER, &d, &why) == OK && DB_RUN(d, "CREATE TABLE t(k INTEGER PRIMARY KEY, a TEXT, b BLOB)") == OK);
    gather_init(&g, "INSERT OR FAIL INTO t(k, a, b) VALUES", "", 3);
    CHECK("nothing", gather_write(&g, d, &added) == OK && added == 0);
    for (int64_t i = 0; i < ROWS; i++) {
        char text[16]; /* of this round */
        (void)snprintf(text, sizeof text, "row %d", (int)i);
        const struct bytes blob = {(const uint8_t *)text, i % 3 == 0 ? 0 : 3};
        CHECK("added", GATHER_ADD(&g, d, db_int(i), i % 5 == 0 ? db_null() : db_text(str_of(text)), db_blob(blob)) == OK);
        text[0] = 'x';
    }
    CHECK("some are there already", number(d, "SELECT count(*) FROM t") == 2 * GATHER_ROWS);
    CHECK("and then the others", gather_write(&g, d, &added) == OK && added == GATHER_ROWS / 2);
    CHECK("all of them", number(d, "SELECT count(*) FROM t") == ROWS);
    CHECK("as they were", number(d, "SELECT count(*) FROM t WHERE a IS (CASE WHEN k % 5 = 0 THEN NULL ELSE 'row ' || k END) AND "
                                    "b = (CASE WHEN k % 3 = 0 THEN x'' ELSE CAST('row' AS BLOB) END)") == ROWS);
    CHECK("one more", GATHER_ADD(&g, d, db_int(ROWS), db_null(), db_null()) == OK);
    gather_forget(&g);
    CHECK("is forgotten", gather_write(&g, d, NULL) == OK && number(d, "SELECT count(*) FROM t") == ROWS);
    CHECK("one that is there", GATHER_ADD(&g, d, db_int(3), db_null(), db_null()) == OK && gather_write(&g, d, &added) == ERR_EXISTS);
    gather_release(&g);
    db_close(d);
    return CHECK_REPORT();
}
