/* device/life_cycle.c - the steps of a connector and of a transaction, as rows. A test compares all pairs with the
 * standard. */
#include "device/station.h"

/* OCPP 1.6, 4.9 (ocpp16.md 10.5): rows from, columns to. 'x': listed. The Central System takes any step and flags the
 * others. */
/* clang-format off */
static const struct str statuses[] = {{"Available", 9},     {"Preparing", 9}, {"Charging", 8}, {"SuspendedEV", 11},
                                      {"SuspendedEVSE", 13}, {"Finishing", 9}, {"Reserved", 8}, {"Unavailable", 11},
                                      {"Faulted", 7}};
static const char steps[COUNT_OF(statuses)][COUNT_OF(statuses) + 1] = {
    /*                     A    P    C    SEV  SSE  Fi   R    U    Fa */
    /* Available     */ {'.', 'x', 'x', 'x', 'x', '.', 'x', 'x', 'x', 0},
    /* Preparing     */ {'x', '.', 'x', 'x', 'x', 'x', '.', '.', 'x', 0},
    /* Charging      */ {'x', '.', '.', 'x', 'x', 'x', '.', 'x', 'x', 0},
    /* SuspendedEV   */ {'x', '.', 'x', '.', 'x', 'x', '.', 'x', 'x', 0},
    /* SuspendedEVSE */ {'x', '.', 'x', 'x', '.', 'x', '.', 'x', 'x', 0},
    /* Finishing     */ {'x', 'x', '.', '.', '.', '.', '.', 'x', 'x', 0},
    /* Reserved      */ {'x', 'x', '.', '.', '.', '.', '.', 'x', 'x', 0},
    /* Unavailable   */ {'x', 'x', 'x', 'x', 'x', '.', '.', '.', 'x', 0},
    /* Faulted       */ {'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', '.', 0},
};
/* clang-format on */

static size_t status_index(struct str status)
{
    size_t i = 0;
    while (i < COUNT_OF(statuses) && !str_eq(statuses[i], status))
        i++;
    return i;
}

bool connector_step_is_listed(struct str from, struct str to)
{
    size_t f = status_index(from), t = status_index(to);
    if (from.len == 0 || str_eq(from, to))
        return true; /* the first report, and a report that says "still so", are no steps */
    return f < COUNT_OF(statuses) && t < COUNT_OF(statuses) && steps[f][t] == 'x';
}

static const struct {
    enum transaction_state from;
    enum transaction_input input;
    enum transaction_state to;
} transaction_steps[] = {
    {TRANSACTION_OPEN, TRANSACTION_METER, TRANSACTION_OPEN},
    {TRANSACTION_OPEN, TRANSACTION_STOP, TRANSACTION_CLOSED},
    {TRANSACTION_OPEN, TRANSACTION_SUPERSEDE, TRANSACTION_CLOSED},
    {TRANSACTION_OPEN, TRANSACTION_OPERATOR_CLOSE, TRANSACTION_CLOSED},
    {TRANSACTION_CLOSED, TRANSACTION_METER, TRANSACTION_CLOSED}, /* late arrivals are legal: ocpp16.md 5.5 */
};

enum err transaction_apply(struct transaction *t, enum transaction_input input)
{
#ifdef DEFECT_LATE_READING /* planted: a late reading makes it forget that its stop is still to come */
    t->is_superseded = t->is_superseded && input != TRANSACTION_METER;
#endif
    if (t->state == TRANSACTION_CLOSED && t->is_superseded && input == TRANSACTION_STOP) {
        t->is_superseded = false; /* the stop of a superseded one, come late: it says what really ended it */
        return OK;
    }
    for (size_t i = 0; i < COUNT_OF(transaction_steps); i++) {
        if (transaction_steps[i].from != t->state || transaction_steps[i].input != input)
            continue;
        t->state = transaction_steps[i].to;
        if (input == TRANSACTION_SUPERSEDE)
            t->is_superseded = true;
        return OK;
    }
    return ERR_STATE;
}
