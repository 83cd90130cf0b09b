/* sim/station.h - one simulated station: (state, now, input) -> (state, what it says). It sees no socket and no clock:
 * the owner tells it what happened and when, sends what it says, and calls sim_station_on_time() once
 * sim_station_due_ms() is reached. What a station wants to say is numbered; one call is under way at a time
 * (ocpp16.md 2.5), the first wanted first. */
#ifndef SIM_STATION_H
#define SIM_STATION_H
#include "sim/event.h"
#include "sim/settings.h"
#include "sim/txqueue.h"

#define IDENTITY_SIZE 49

enum sim_quirk {
#define QUIRK(member, name, sentence) QUIRK_##member,
#include "sim/quirks.def"
    QUIRK_COUNT
};
extern const struct sim_quirk_name {
    struct str name;
    const char *sentence;
} sim_quirks[QUIRK_COUNT];

enum sim_event_kind {
#define EVENT(name, sentence) SIM_##name,
#include "sim/events.def"
    SIM_EVENT_COUNT
};
struct sim_station;
/* What all stations of a process share. The functions may be called while a station handles an input, and must not give
 * it another one meanwhile. */
struct sim_world {
    int32_t speed_milli;   /* of the charging process; 1000: as time goes */
    uint32_t quirks;       /* bits: 1 << QUIRK_x */
    bool is_driven;        /* vehicles come by themselves */
    bool is_leaving;       /* the simulation ends: no new session */
    uint32_t run;          /* differs from run to run, so that message ids do */
    int32_t first_plug_ms; /* at most so long after its boot the first vehicle comes */
    struct sim_totals totals;
    struct arena arena;
    struct buf payload, frame;
    void (*connect)(struct sim_station *s); /* sim_station_on_open or _on_close follows, later */
    void (*send)(struct sim_station *s, struct str text);
    void (*drop)(struct sim_station *s); /* end the connection; no sim_station_on_close follows */
    void (*tell)(struct sim_station *s, const struct sim_event *e);
};
void sim_world_init(struct sim_world *w);
void sim_world_release(struct sim_world *w);

enum sim_phase {
    SIM_FREE,
    SIM_PREPARING,
    SIM_AUTHORIZING,
    SIM_CHARGING,
    SIM_RESTING,
    SIM_LEAVING,
    SIM_DISABLED,
    SIM_PHASE_COUNT
};
enum sim_input {
    SIM_PLUG,     /* a vehicle is plugged in */
    SIM_CARD,     /* its driver shows a card */
    SIM_REMOTE,   /* the server starts it */
    SIM_ACCEPTED, /* the card may charge */
    SIM_DENIED,   /* it may not */
    SIM_FILLED,   /* the vehicle takes no more */
    SIM_STOP,     /* for the reason in the connector */
    SIM_UNPLUG,
    SIM_DISABLE,
    SIM_ENABLE,
    SIM_INPUT_COUNT
};

struct sim_connector {
    uint8_t number; /* from 1 */
    uint8_t phase;  /* enum sim_phase; only connector.c writes it */
    uint8_t next_input;
    int8_t reason;                                       /* of the coming stop */
    bool will_be_disabled;                               /* once its session is over */
    bool is_remote;                                      /* the present session was started by the server */
    uint8_t told_percent;                                /* last SIM_PROGRESS */
    uint32_t status_order, authorize_order, meter_order; /* 0: not wanted */
    uint32_t session;
    int32_t transaction_id; /* 0: not known */
    int64_t next_at_ms, sample_at_ms, advanced_ms;
    int64_t register_wh; /* at the begin of the session; afterwards its end */
    struct charge charge;
    char id_tag[ID_TAG_SIZE];
};

enum sim_registration { SIM_NEW, SIM_PENDING, SIM_REJECTED, SIM_REGISTERED };
enum sim_link { SIM_OFFLINE, SIM_CONNECTING, SIM_ONLINE };

/* The call under way. */
struct sim_call {
    uint8_t kind; /* enum sim_say */
    uint8_t connector;
    uint32_t id;
    int64_t deadline_ms;
};

struct sim_station {
    struct sim_world *world;
    struct chance chance;
    uint32_t index, order, calls, session, failures;
    uint8_t registration, link, connector_count;
    bool is_calling, is_resetting, is_dc, was_registered, is_boot_due;
    int32_t supply_w;
    struct sim_call call;
    uint32_t status_order, heartbeat_order;
    int64_t boot_at_ms, heartbeat_at_ms, connect_at_ms, reset_at_ms, drop_at_ms;
    int64_t clock_offset_us; /* station clock less the machine's */
    struct tx_queue queue;
    struct settings settings;
    char identity[IDENTITY_SIZE];
    struct sim_connector connectors[];
};
struct sim_station_options {
    uint32_t index; /* from 0 */
    unsigned connectors;
    uint64_t seed;
    struct str prefix;
    int64_t connect_at_ms;
};

struct sim_station *sim_station_new(struct sim_world *w, const struct sim_station_options *o);
void sim_station_free(struct sim_station *s);
void sim_station_on_open(struct sim_station *s, struct sim_now now);
void sim_station_on_close(struct sim_station *s, struct sim_now now);
void sim_station_on_text(struct sim_station *s, struct sim_now now, struct str text);
void sim_station_on_time(struct sim_station *s, struct sim_now now);
int64_t sim_station_due_ms(const struct sim_station *s);
/* Ends its sessions, as if each driver had left. */
void sim_station_finish(struct sim_station *s, struct sim_now now);
bool sim_station_is_quiet(const struct sim_station *s); /* nothing under way, nothing kept */
/* The state of a connector in the words of the standard, as an index of charge_point_status. */
int sim_phase_status(enum sim_phase p);
#endif
