/* proto/ocpp16/messages.h - every message of OCPP 1.6 as a struct and a table (messages.def), every word list
 * (choices.def), and the list of actions (actions.def). struct start_transaction_req is read by
 * schema_read(&start_transaction_req_message, ...). Words compare by index: req.status.index ==
 * OCPP_CHARGE_POINT_STATUS_FAULTED; -1 is absent or not in the list. */
#ifndef PROTO_OCPP16_MESSAGES_H
#define PROTO_OCPP16_MESSAGES_H
#include "schema/schema.h"

#define SCHEMA_STRUCTS
#include "schema/expand.h"
#include "proto/ocpp16/messages.def"

/* ACTION_start_transaction and so on: indexes into ocpp_actions, for tables of handlers. */
enum ocpp_action_index {
#define ACTION(name, wire, initiator, profile) ACTION_##name,
#include "proto/ocpp16/actions.def"
    ACTION_COUNT
};

struct ocpp_action {
    struct str name;                 /* on the wire */
    bool from_station, from_central; /* who may call it */
    const struct message *request, *response;
    struct str profile; /* feature profile, as SupportedFeatureProfiles spells it; "Security" for the extension */
};
extern const struct ocpp_action ocpp_actions[ACTION_COUNT];

/* By its exact name; NULL: no such action. Its index is the difference from ocpp_actions. */
const struct ocpp_action *ocpp_action_find(struct str name);
static inline enum ocpp_action_index ocpp_action_index(const struct ocpp_action *a)
{
    return (enum ocpp_action_index)(a - ocpp_actions);
}
#endif
