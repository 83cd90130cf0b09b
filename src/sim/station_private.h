/* sim/station_private.h - what the files of a station share: its life (station.c), its connectors (connector.c), what
 * it says (say.c), what it is told to do (commands.c). */
#ifndef SIM_STATION_PRIVATE_H
#define SIM_STATION_PRIVATE_H
#include "proto/ocpp16/frame.h"
#include "proto/ocpp16/messages.h"
#include "sim/station.h"

#define BOOT_RETRY_S 10    /* after Pending or Rejected without an interval, and after no answer */
#define BOOT_LOOP_MS 10000 /* of QUIRK_boot_loop */

enum sim_say {
    SAY_BOOT,
    SAY_HEARTBEAT,
    SAY_STATUS,
    SAY_AUTHORIZE,
    SAY_START,
    SAY_METER,
    SAY_STOP,
    SAY_METER_NOW, /* for TriggerMessage: not kept, not repeated */
    SAY_COUNT
};

/* One input being handled. */
struct step {
    struct sim_station *s;
    struct sim_world *w;
    struct sim_now now;
};

/* station.c */
bool has_quirk(const struct step *t, enum sim_quirk q);
uint32_t random_below(struct sim_station *s, uint32_t n);
struct instant station_clock(const struct step *t);
void station_set_clock(struct step *t, struct instant server);
void want(struct step *t, uint32_t *order); /* keeps its place if it is wanted already */
void tell(struct step *t, const struct sim_event *e);
void station_want_all(struct step *t); /* StatusNotification of every connector, and of the station */
void sim_station_boot(struct step *t, int64_t after_ms);
void sim_station_cut(struct step *t, int64_t after_ms); /* drops the connection, comes back */

/* connector.c. False: there is no row, nothing happens. */
bool connector_apply(struct step *t, struct sim_connector *c, enum sim_input input);
void connector_init(struct step *t, struct sim_connector *c);
void connector_on_time(struct step *t, struct sim_connector *c);
void connector_stop(struct step *t, struct sim_connector *c, int reason);
void connector_rouse(struct step *t, struct sim_connector *c); /* the station was accepted: vehicles may come */
void connector_want_status(struct step *t, struct sim_connector *c);
struct sim_connector *connector_of_session(struct sim_station *s, uint32_t session);
struct meter_reading connector_reading(const struct sim_connector *c);
bool connector_is_busy(const struct sim_connector *c); /* has a transaction */

/* say.c */
void say(struct step *t, enum sim_say kind, struct sim_connector *c);
void say_garbage(struct step *t);
/* False: the answer cannot be read. */
bool say_on_answer(struct step *t, const struct sim_call *call, struct str payload);
struct str say_name(enum sim_say kind);

/* commands.c: answers a call of the server, then does it. */
void command_take(struct step *t, const struct ocpp_frame *f);
#endif
