/* The write-ahead log in large pieces: that they are large; that whoever reads sees each transaction whole, and none
 * that did not end; and that each call refused by the disk, in turn, loses nothing that was said to be there and leaves
 * nothing that was said not to be. */
#include "check.h"
#include "faulty_disk.h"
#include "place.h"
#include "store/db.h"
#include "store/wal.h"
#include "unit/dice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEYS     400
#define TEXT_LEN 700 /* some five rows a page */
#define FEW                                                                                                           \
    "PRAGMA cache_size=4" /* pages: so what a transaction changed is written, read again and changed once more before \
                             it ends */

static char dir[PLACE_MAX], path[PLACE_PATH_MAX];

static size_t changes_most = 2 * KEYS; /* of a transaction */

/* What the table should hold. */
struct model {
    int64_t values[KEYS]; /* 0: no row */
};

static struct db *open_as(enum db_mode mode)
{
    struct db *d = NULL;
    struct fault why = {{0}, {0}};
    const bool is_open = db_open(path, mode, &d, &why) == OK;
    CHECK("it opens", is_open);
    if (!is_open) {
        (void)fprintf(stderr, "%s: %s\n", why.field, why.reason);
        exit(1);
    }
    return d;
}

static void pragma(struct db *d, const char *sql)
{
    struct db_rows *r = db_rows_dynamic(d, str_of(sql), NULL, 0);
    while (db_next(r))
        ;
    CHECK(sql, db_rows_end(r) == OK);
}

static struct db *open_fresh(const char *name)
{
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    struct db *d = open_as(DB_WRITER);
    CHECK("its table",
          DB_RUN(d, "CREATE TABLE t(k INTEGER PRIMARY KEY, n INTEGER NOT NULL, text TEXT NOT NULL)") == OK);
    pragma(d, FEW);
    return d;
}

static enum err put(struct db *d, struct model *m, int64_t key, int64_t value)
{
    char text[TEXT_LEN];
    memset(text, (int)('a' + value % 26), sizeof text);
    m->values[key] = value;
    if (value == 0)
        return DB_RUN(d, "DELETE FROM t WHERE k=?1", db_int(key));
    return DB_RUN(
        d, "INSERT INTO t(k, n, text) VALUES (?1,?2,?3) ON CONFLICT(k) DO UPDATE SET n=excluded.n, text=excluded.text",
        db_int(key), db_int(value), db_text((struct str){text, sizeof text}));
}

static bool holds(struct db *d, const struct model *m)
{
    struct db_rows *r = DB_ROWS(d, "SELECT k, n, text FROM t ORDER BY k");
    size_t key = 0, wrong = 0;
    while (db_next(r)) {
        for (; key < (size_t)db_col_int(r, 0) && key < KEYS; key++)
            wrong += m->values[key] != 0;
        const struct str text = db_col_text(r, 2);
        wrong += key == KEYS || m->values[key] != db_col_int(r, 1) || text.len != TEXT_LEN ||
                 text.at[TEXT_LEN - 1] != (char)('a' + m->values[key] % 26);
        key++;
    }
    for (; key < KEYS; key++)
        wrong += m->values[key] != 0;
    return db_rows_end(r) == OK && wrong == 0;
}

/* Rows changed here and there, some of them taken back. */
static enum err change(struct db *d, struct model *m, size_t count)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++)
        e = put(d, m, (int64_t)dice(KEYS), dice(4) == 0 ? 0 : 1 + (int64_t)dice(1000000));
    return e;
}

static unsigned refused_part; /* transactions that were given up since a part of them was undone */

/* A transaction, with another in it that may be undone. *m is what it should leave, also where it fails: then nothing.
 */
static enum err transact(struct db *d, struct model *m)
{
    const struct model before = *m;
    enum err e = db_begin(d);
    if (e != OK)
        return e;
    e = change(d, m, dice(changes_most));
    struct model inner = *m;
    if (e == OK && (e = db_begin(d)) == OK) {
        e = change(d, &inner, dice(changes_most / 2));
        if (e == OK && dice(2) == 0) {
            e = db_commit(d);
            *m = inner;
        } else {
            db_rollback(d);
        }
    }
    if (e == OK)
        e = change(d, m, dice(20));
    if (e == OK)
        e = db_commit(d);
    else
        db_rollback(d);
    if (e != OK)
        *m = before;
    refused_part += e == ERR_LIMIT;
    return e;
}

/* The same, and where it was given up one that is smaller. */
static enum err transact_until_done(struct db *d, struct model *m)
{
    enum err e;
    while ((e = transact(d, m)) == ERR_LIMIT)
        ;
    return e;
}

static void test_pieces(void)
{
    struct db *d = open_fresh("pieces");
    struct model m = {{0}};
    pragma(d, "PRAGMA cache_size=2000");
    const long before = disk.log_writes;
    CHECK("a transaction begins", db_begin(d) == OK);
    enum err e = OK;
    for (int64_t key = 1; key < KEYS; key++)
        e = e == OK ? put(d, &m, key, key) : e;
    CHECK("of some eighty pages", e == OK && db_commit(d) == OK);
    const long writes = disk.log_writes - before;
    CHECK("is written in a few pieces", writes >= 3 && writes <= 8);
    struct db *other = open_as(DB_READER);
    CHECK("and is all there", holds(other, &m));
    db_close(other);
    db_close(d);
}

static void test_transactions(void)
{
    struct db *d = open_fresh("transactions"), *other = open_as(DB_READER);
    struct model m = {{0}}, before = {{0}};
    pragma(d, "PRAGMA wal_autocheckpoint=300");
    for (int round = 0; round < 60; round++) {
        CHECK("whether the disk is waited for or not", db_set_durable(d, dice(2) == 0) == OK);
        CHECK("begun", db_begin(d) == OK && change(d, &m, dice(2 * KEYS)) == OK);
        CHECK("before it ends others see what was there", holds(other, &before));
        CHECK("the writer sees what it did", holds(d, &m));
        if (dice(3) == 0) {
            db_rollback(d);
            m = before;
        } else {
            CHECK("ended", db_commit(d) == OK);
        }
        CHECK("with a part undone", transact_until_done(d, &m) == OK);
        CHECK("after it all of it", holds(other, &m) && holds(d, &m));
        before = m;
    }
    db_close(d);
    CHECK("and when the writer is gone", holds(other, &m));
    db_close(other);
}

/* What was committed is there for who has nothing but the files, also where a part was undone before. */
static void test_part_undone(void)
{
    struct model m = {{0}};
    unsigned kept = 0, given_up = 0;
    db_close(open_fresh("part"));
    for (int round = 0; round < 100; round++) {
        struct db *d = open_as(DB_WRITER), *other = open_as(DB_READER);
        const struct model before = m;
        pragma(d, round % 4 == 0 ? "PRAGMA cache_size=100" : FEW);
        CHECK("a transaction", db_begin(d) == OK && change(d, &m, 3) == OK && db_begin(d) == OK);
        struct model undone = m;
        CHECK("a part of it, small or large, is undone", change(d, &undone, round % 4 == 0 ? 1 : 5 + dice(50)) == OK);
        db_rollback(d);
        enum err e = change(d, &m, 20);
        if (e == OK)
            e = db_commit(d);
        else
            db_rollback(d);
        CHECK("done, or told why not", e == OK || (e == ERR_LIMIT && db_refusal(d) == OK && db_reason(d)[0] != '\0'));
        kept += e == OK;
        given_up += e != OK;
        if (e != OK)
            m = before;
        CHECK("the next", db_begin(d) == OK && change(d, &m, 20) == OK && db_commit(d) == OK && holds(other, &m));
        db_close(d);
        db_close(other); /* it only reads, so the log stays, and the next has to go by it */
        d = open_as(DB_WRITER);
        CHECK("all that was committed", holds(d, &m));
        db_close(d);
    }
    CHECK("a part of a small one can be undone, of a large one not", kept >= 10 && given_up >= 10);
}

/* The process ends in the middle of a transaction, without a word. */
static void test_killed(void)
{
    struct db *twin = open_fresh("twin");
    db_close(open_fresh("killed"));
    struct model m = {{0}};
    for (int round = 0; round < 10; round++) {
        const uint64_t seed = dice_state;
        const pid_t child = fork();
        if (child == 0) {
            struct db *d = open_as(DB_WRITER);
            pragma(d, FEW);
            bool is_good = db_set_durable(d, round % 2 == 0) == OK;
            for (size_t n = 1 + dice(4); n > 0; n--)
                is_good = is_good && transact_until_done(d, &m) == OK;
            is_good = is_good && db_begin(d) == OK && change(d, &m, dice(2 * KEYS)) == OK;
            _exit(is_good ? 0 : 1);
        }
        int status = 1;
        CHECK("it did what it should and ended", waitpid(child, &status, 0) == child && status == 0);
        dice_state = seed; /* the same, at its ease */
        struct db *d = twin;
        for (size_t n = 1 + dice(4); n > 0; n--)
            CHECK("a twin does the same", transact_until_done(d, &m) == OK);
        d = open_as(DB_WRITER);
        CHECK("what was ended is there, and nothing else", holds(d, &m));
        db_close(d);
        (void)dice(7); /* another round, other numbers */
    }
    db_close(twin);
}

/* What was gathered could not be written: nothing may be put behind the hole until it is filled. */
static void test_hole(void)
{
    sqlite3_vfs *v = sqlite3_vfs_find(wal_file_system());
    const uint8_t head[24] = {0}, page[4096] = {1};
    uint8_t back[sizeof page];
    char name[PLACE_PATH_MAX + 8];
    db_close(open_fresh("hole")); /* a log is opened with the rights of its database */
    (void)snprintf(name, sizeof name, "%s-wal", path);
    sqlite3_file *f = calloc(1, (size_t)v->szOsFile);
    CHECK("a log is opened",
          v->xOpen(v, name, f, SQLITE_OPEN_WAL | SQLITE_OPEN_CREATE | SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    const sqlite3_io_methods *m = f->pMethods;
    CHECK("a page is gathered",
          m->xWrite(f, head, sizeof head, 32) == SQLITE_OK && m->xWrite(f, page, sizeof page, 56) == SQLITE_OK);
    disk_refuse(1, 1);
    CHECK("who reads it is told that it cannot be written", m->xRead(f, back, sizeof back, 56) != SQLITE_OK);
    CHECK("the disk was asked", disk.calls == 1);
    disk_heal();
    CHECK("what would lie behind it is refused", m->xWrite(f, head, sizeof head, 4152) == SQLITE_IOERR_WRITE);
    CHECK("written once more",
          m->xWrite(f, head, sizeof head, 32) == SQLITE_OK && m->xWrite(f, page, sizeof page, 56) == SQLITE_OK);
    CHECK("it is there", m->xRead(f, back, sizeof back, 56) == SQLITE_OK && memcmp(back, page, sizeof page) == 0);
    CHECK("and what lies behind it is taken", m->xWrite(f, head, sizeof head, 4152) == SQLITE_OK);
    CHECK("closed", m->xClose(f) == SQLITE_OK);
    free(f);
}

/* Five transactions, of whose calls to the disk those named are refused; then one on a disk that is well. Returns
 * whether all went well. */
static bool go_on(long first, long count)
{
    static int number;
    char name[32];
    (void)snprintf(name, sizeof name, "refused-%d", number++);
    struct db *d = open_fresh(name), *other = open_as(DB_READER);
    struct model m = {{0}};
    bool is_well = true;
    pragma(d, "PRAGMA wal_autocheckpoint=20");
    dice_state = UINT64_C(88172645463325252);
    disk_refuse(first, count);
    for (int i = 0; i < 5; i++) {
        bool is_set = db_set_durable(d, i % 2 == 0) == OK;
        bool is_done = is_set && transact_until_done(d, &m) == OK;
        is_well = is_well && is_done;
        CHECK("others see what was said", holds(other, &m));
    }
    is_well = is_well && disk.calls < first;
    disk_heal();
    CHECK("on a disk that is well it goes on", transact_until_done(d, &m) == OK && holds(other, &m) && holds(d, &m));
    db_close(d);
    db_close(other);
    d = open_as(DB_WRITER);
    struct db_rows *r = DB_ROWS(d, "PRAGMA integrity_check");
    CHECK("sound", db_next(r) && str_eq(db_col_text(r, 0), STR("ok")) && db_rows_end(r) == OK);
    CHECK("and all is there when it is opened again", holds(d, &m));
    db_close(d);
    (void)unlink(path);
    return is_well;
}

static void test_refused(void)
{
    long calls = 0;
    changes_most = 24;
    for (int torn = 0; torn < 2; torn++) {
        disk.is_torn = torn == 1;
        for (long first = 1; !go_on(first, 1); first++)
            calls = first;
        for (long first = 1; first <= calls; first += 7)
            (void)go_on(first, 1000000); /* and all that come after it */
    }
    CHECK("enough calls were refused", calls > 100);
}

#define TRANSACTIONS 5

/* The same five each time; says when each is done. states[n]: what there is after n of them. */
static void do_five(struct db *d, int told, struct model *states)
{
    struct model m = {{0}};
    pragma(d, "PRAGMA wal_autocheckpoint=20");
    dice_state = UINT64_C(88172645463325252);
    for (int i = 0; i < TRANSACTIONS; i++) {
        if (db_set_durable(d, i % 2 == 0) != OK || transact_until_done(d, &m) != OK)
            _exit(1);
        if (states != NULL)
            states[i + 1] = m;
        if (told >= 0 && write(told, "", 1) != 1)
            _exit(1);
    }
}

/* A process that ends at that call to the disk. Returns whether it came so far. */
static bool die_at(long call, const struct model *states)
{
    int ends[2];
    char said[TRANSACTIONS + 1];
    CHECK("a pipe", pipe(ends) == 0);
    db_close(open_fresh("dying"));
    const pid_t child = fork();
    if (child == 0) {
        struct db *d = open_as(DB_WRITER);
        pragma(d, FEW);
        disk_refuse(call, 1);
        do_five(d, ends[1], NULL);
        _exit(0);
    }
    (void)close(ends[1]);
    int status = 1;
    CHECK("it ended", waitpid(child, &status, 0) == child && WIFEXITED(status));
    const ssize_t done = read(ends[0], said, sizeof said);
    (void)close(ends[0]);
    CHECK("by the disk or of itself",
          done >= 0 && (WEXITSTATUS(status) == DISK_DEATH || (WEXITSTATUS(status) == 0 && done == TRANSACTIONS)));
    disk_heal();
    struct db *d = open_as(DB_WRITER);
    struct db_rows *r = DB_ROWS(d, "PRAGMA integrity_check");
    CHECK("sound", db_next(r) && str_eq(db_col_text(r, 0), STR("ok")) && db_rows_end(r) == OK);
    CHECK("all that it said is there, and of the one at hand all or nothing",
          done >= 0 && (holds(d, &states[done]) || (done < TRANSACTIONS && holds(d, &states[done + 1]))));
    db_close(d);
    (void)unlink(path);
    return WEXITSTATUS(status) == DISK_DEATH;
}

static void test_death(void)
{
    static struct model states[TRANSACTIONS + 1];
    struct db *d = open_fresh("five");
    long calls = 0;
    changes_most = 24;
    do_five(d, -1, states);
    db_close(d);
    disk.is_deadly = true;
    for (int torn = 0; torn < 2; torn++) {
        disk.is_torn = torn == 1;
        for (long call = 1; die_at(call, states); call += 2)
            calls = call;
    }
    disk.is_deadly = disk.is_torn = false;
    CHECK("it died at many calls", calls > 100);
}

int main(void)
{
    disk_install();
    place_make(dir, "wal");
    test_pieces();
    test_transactions();
    test_part_undone();
    test_killed();
    test_hole();
    test_refused();
    test_death();
    return CHECK_REPORT();
}
