/* services/charging/announce.h - what other services hear of a session: topic charging.session.events, payments.md 4.1
 * and 23.3. */
#ifndef SERVICES_CHARGING_ANNOUNCE_H
#define SERVICES_CHARGING_ANNOUNCE_H
#include "bus/bus.h"
#include "services/charging/session.h"

/* Raises s->sequence and puts the event into the outbox, inside the transaction at hand. before: the state that it
 * left. Its id follows from session and sequence, so that doing it again gives the same. */
MUST_USE enum err session_announce(struct db *d, struct outbox *out, struct str station, struct session *s, enum session_emit emit,
                                   enum session_state before, const struct uuid *cause, struct instant now);
#endif
