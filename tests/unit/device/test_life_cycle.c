/* Connectors: all pairs against ocpp16.md 10.5, written down here a second time as the standard has them. Transactions:
 * all pairs of state and input against ocpp16.md 5.5, 5.6, 5.8. */
#include "check.h"
#include "device/station.h"

static const struct {
    const char *from;
    const char *to[9]; /* ocpp16.md 10.5 */
} listed[] = {
    {"Available", {"Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Reserved", "Unavailable", "Faulted"}},
    {"Preparing", {"Available", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing", "Faulted"}},
    {"Charging", {"Available", "SuspendedEV", "SuspendedEVSE", "Finishing", "Unavailable", "Faulted"}},
    {"SuspendedEV", {"Available", "Charging", "SuspendedEVSE", "Finishing", "Unavailable", "Faulted"}},
    {"SuspendedEVSE", {"Available", "Charging", "SuspendedEV", "Finishing", "Unavailable", "Faulted"}},
    {"Finishing", {"Available", "Preparing", "Unavailable", "Faulted"}},
    {"Reserved", {"Available", "Preparing", "Unavailable", "Faulted"}},
    {"Unavailable", {"Available", "Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Faulted"}},
    {"Faulted",
     {"Available", "Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing", "Reserved", "Unavailable"}},
};

static bool is_listed(size_t from, struct str to)
{
    for (size_t i = 0; i < COUNT_OF(listed[from].to) && listed[from].to[i] != NULL; i++)
        if (str_eq(str_of(listed[from].to[i]), to))
            return true;
    return false;
}

static void check_connectors(void)
{
    for (size_t f = 0; f < COUNT_OF(listed); f++) {
        struct str from = str_of(listed[f].from);
        for (size_t t = 0; t < COUNT_OF(listed); t++) {
            struct str to = str_of(listed[t].from);
            bool want = f == t || is_listed(f, to); /* the same again refreshes it: ocpp16.md 5.7 */
            char row[64];
            (void)snprintf(row, sizeof row, "%s -> %s (10.5)", listed[f].from, listed[t].from);
            CHECK(row, connector_step_is_listed(from, to) == want);
        }
        CHECK("the first report is no step", connector_step_is_listed(STR(""), from));
        CHECK("to a status that is none", !connector_step_is_listed(from, STR("Broken")));
        CHECK("from a status that is none", !connector_step_is_listed(STR("Broken"), from));
    }
}

static const struct {
    const char *row;
    enum transaction_state from;
    bool was_superseded;
    enum transaction_input input;
    enum err want;
    enum transaction_state to;
    bool is_superseded;
} steps[] = {
    {"a reading of an open one (5.5)", TRANSACTION_OPEN, false, TRANSACTION_METER, OK, TRANSACTION_OPEN, false},
    {"its stop (5.8)", TRANSACTION_OPEN, false, TRANSACTION_STOP, OK, TRANSACTION_CLOSED, false},
    {"another start on its connector (5.6)", TRANSACTION_OPEN, false, TRANSACTION_SUPERSEDE, OK, TRANSACTION_CLOSED,
     true},
    {"a person ends it", TRANSACTION_OPEN, false, TRANSACTION_OPERATOR_CLOSE, OK, TRANSACTION_CLOSED, false},
    {"a late reading is legal (5.5)", TRANSACTION_CLOSED, false, TRANSACTION_METER, OK, TRANSACTION_CLOSED, false},
    {"the first stop stands (5.8)", TRANSACTION_CLOSED, false, TRANSACTION_STOP, ERR_STATE, TRANSACTION_CLOSED, false},
    {"what is over cannot be superseded", TRANSACTION_CLOSED, false, TRANSACTION_SUPERSEDE, ERR_STATE,
     TRANSACTION_CLOSED, false},
    {"what is over cannot be ended by a person", TRANSACTION_CLOSED, false, TRANSACTION_OPERATOR_CLOSE, ERR_STATE,
     TRANSACTION_CLOSED, false},
    {"a late reading leaves a superseded one waiting for its stop (5.6)", TRANSACTION_CLOSED, true, TRANSACTION_METER,
     OK, TRANSACTION_CLOSED, true},
    {"the stop of a superseded one may still arrive, once (5.6)", TRANSACTION_CLOSED, true, TRANSACTION_STOP, OK,
     TRANSACTION_CLOSED, false},
    {"superseded twice", TRANSACTION_CLOSED, true, TRANSACTION_SUPERSEDE, ERR_STATE, TRANSACTION_CLOSED, true},
    {"a superseded one ended by a person", TRANSACTION_CLOSED, true, TRANSACTION_OPERATOR_CLOSE, ERR_STATE,
     TRANSACTION_CLOSED, true},
};

static void check_transactions(void)
{
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct transaction t = {.state = steps[i].from, .is_superseded = steps[i].was_superseded};
        CHECK(steps[i].row, transaction_apply(&t, steps[i].input) == steps[i].want);
        CHECK(steps[i].row, t.state == steps[i].to);
        CHECK(steps[i].row, t.is_superseded == steps[i].is_superseded);
    }
    CHECK("every pair has its row", COUNT_OF(steps) == 3 * (TRANSACTION_OPERATOR_CLOSE + 1));
}

int main(void)
{
    check_connectors();
    check_transactions();
    return CHECK_REPORT();
}
