/* Connections of AP3000: who may speak on which, whose place it takes, and what becomes of a line that says too much. */
#include "gatekit.h"

static void test_first(void)
{
    struct kit k;
    struct kit_line l;
    kit_open(&k, NULL, 0);
    kit_start(&k);
    kit_connect(&k, &l, "89860446091892226183");
    kit_arrive(&k, &l, KIT_A);
    CHECK("it is online", kit_is_online(&k, KIT_A_NAME));
    CHECK("told once", kit_count(&k, EVENT_CONNECTED, KIT_A_NAME, NULL) == 1);
    kit_restart(&k);
    kit_connect(&k, &l, "89860446091892226183");
    kit_arrive(&k, &l, KIT_A);
    kit_settle_tables(&k);
    kit_crash(&k);
    kit_connect(&k, &l, "89860446091892226183");
    kit_arrive(&k, &l, KIT_A);
    kit_close(&k);
}

int main(void)
{
    test_first();
    return CHECK_REPORT();
}
