/* proto/ocpp16/messages.c - the tables that messages.def and actions.def are, and the way from a name to its action. */
#include "proto/ocpp16/messages.h"

#include <string.h>

#define SCHEMA_TABLES
#include "schema/expand.h"
#include "proto/ocpp16/messages.def"

enum initiator { STATION = 1, CENTRAL = 2, EITHER = STATION | CENTRAL };

const struct ocpp_action ocpp_actions[ACTION_COUNT] = {
/* clang-format off */
#define ACTION(name, wire, initiator, profile)                                                                         \
    {{wire, sizeof(wire) - 1},                                                                                         \
     ((initiator) & STATION) != 0,                                                                                     \
     ((initiator) & CENTRAL) != 0,                                                                                     \
     &name##_req_message,                                                                                              \
     &name##_conf_message,                                                                                             \
     {profile, sizeof(profile) - 1}},
/* clang-format on */
#include "proto/ocpp16/actions.def"
};

/* The lengths alone lie in one cache line; few names share one, so that mostly a single name is compared. */
static const uint8_t name_lengths[ACTION_COUNT] = {
#define ACTION(name, wire, initiator, profile) sizeof(wire) - 1,
#include "proto/ocpp16/actions.def"
};

const struct ocpp_action *ocpp_action_find(struct str name)
{
    for (size_t i = 0; i < ACTION_COUNT; i++)
        if (name_lengths[i] == name.len && memcmp(ocpp_actions[i].name.at, name.at, name.len) == 0)
            return &ocpp_actions[i];
    return NULL;
}
