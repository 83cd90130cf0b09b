/* work_done.h - what SQLite did for the statements of all connections that were opened after work_watch(): not in time,
 * which is the machine's, but in steps of its own machine, in rows that it walked through for want of an index, and in
 * rows that it had to sort. */
#ifndef TESTS_WORK_DONE_H
#define TESTS_WORK_DONE_H
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/base.h"

static struct {
    atomic_long steps, walked, sorted, statements;
} work_done;

static int work_note(unsigned what, void *data, void *statement, void *time)
{
    (void)what, (void)data, (void)time;
    work_done.statements++;
    work_done.steps += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1);
    work_done.walked += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
    work_done.sorted += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_SORT, 1);
    return 0;
}

static int work_watch_one(sqlite3 *db, char **reason, const struct sqlite3_api_routines *api)
{
    (void)reason, (void)api;
    return sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, work_note, NULL);
}

static inline void work_watch(void)
{
    check(sqlite3_auto_extension((void (*)(void))work_watch_one) == SQLITE_OK);
}

static inline void work_forget(void)
{
    work_done.steps = work_done.walked = work_done.sorted = work_done.statements = 0;
}
#endif
