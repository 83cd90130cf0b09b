/* simulation/model.h - the parts of the simulated world: chargers with what truly happened at them, connections, the
 * server around the real core. */
#ifndef SIMULATION_MODEL_H
#define SIMULATION_MODEL_H
#include "simulation/tables.h"
#include "simulation/world.h"

#define SESSIONS_MAX 24
#define QUEUE_MAX    48
#define FIFO_MAX     4
#define HELD_MAX     64
#define TEXT_MAX     320

/* What chargers in the field do. */
enum trait_index {
#define TRAIT(name, words) TRAIT_##name,
#include "simulation/traits.def"
    TRAIT_COUNT
};
enum trait {
#define TRAIT(name, words) name = 1 << TRAIT_##name,
#include "simulation/traits.def"
};
extern const char *const trait_words[TRAIT_COUNT];

struct session {
    int connector;
    int64_t start_wh, stop_wh;
    struct instant started, stopped;
    bool is_over, is_answered; /* answered: the charger knows tx */
    uint32_t tx;               /* that the charger was told first */
    uint32_t in_log;           /* that the log has for it; 0: none yet */
    bool is_stopped_in_log, is_closed_by_operator;
};

enum kind { BOOT, STATUS, START, METER, STOP, BEAT };
struct saying {
    enum kind kind;
    size_t session; /* SESSIONS_MAX: none */
    int connector;
    const char *status;
    int64_t wh;
    struct instant at;
    uint32_t named;                    /* transaction id of another charger to be named; 0: its own */
    bool is_built, is_again, is_named; /* again: its answer was had already; named: with the right id */
    unsigned tries;
    char id[24], payload[TEXT_MAX - 64];
};

struct charger {
    unsigned traits;
    int connectors;
    char tag[24];
    bool is_powered, is_accepted, is_waiting; /* a boot was accepted since power-on; a call is not answered */
    struct span skew;
    struct instant powered_at;
    int64_t meter_wh[CONNECTORS_MAX];
    size_t active[CONNECTORS_MAX],
        late; /* sessions, SESSIONS_MAX: none; late: over, its stop comes after the next start */
    const char *status[CONNECTORS_MAX]; /* acknowledged last, while nothing newer was sent; NULL: none */
    struct session sessions[SESSIONS_MAX];
    size_t session_count, queue_count;
    struct saying queue[QUEUE_MAX], last, old_stop; /* last, and one further back: answered; BEAT: none */
    uint64_t next_id, power_cycles;
};

struct fifo {
    char texts[FIFO_MAX][TEXT_MAX];
    size_t count;
};
struct connection {
    bool is_used, is_known, is_accepted, is_left; /* known: to the server; left: the charger does not listen any more */
    size_t station;
    uint64_t generation;
    struct fifo to_server, to_charger;
};

struct held {
    uint64_t position;
    struct connection *connection;
    uint64_t generation;
    bool is_accept;
    char text[TEXT_MAX];
};

struct fact {
    enum kind kind;
    size_t station;
    uint64_t key;
};

struct world {
    struct dice dice;
    struct instant now;
    struct span server_skew; /* the server's clock may jump; its chargers' have skews of their own */
    bool is_calm;            /* no more faults */
    struct outcome *outcome;
    unsigned steps;

    struct disk disk;
    struct tables tables;
    size_t station_count;
    struct charger chargers[STATIONS_MAX];
    struct connection connections[STATIONS_MAX][2]; /* [0] the charger's own, [1] one that it left */

    /* the server's memory */
    bool is_up;
    struct station stations[STATIONS_MAX];
    bool is_loaded[STATIONS_MAX];
    struct tag_book *tags;
    struct ocpp_policy policy;
    uint64_t next_number, id_key[2];
    struct held held[HELD_MAX];
    size_t held_count;
    struct arena arena;
    struct buf text;

    /* the oracle's */
    size_t checked; /* records of the log that it has seen */
    struct fact *facts;
    size_t fact_count;
    uint64_t sequences[STATIONS_MAX], generations[STATIONS_MAX];
    char status_in_log[STATIONS_MAX][CONNECTORS_MAX][24];
    uint32_t last_told;
    struct arena oracle_arena;
};

/* A line of the story, for who wants it told. */
void world_say(const struct world *w, const char *format, ...) PRINTF(2, 3);
/* The first thing that is broken is kept, and ends the run. */
void world_broken(struct world *w, const char *format, ...) PRINTF(2, 3);
bool world_is_broken(const struct world *w);
/* One more of what is rare, if it came about. */
void world_count(struct world *w, enum reached what, bool came_about);

bool fifo_put(struct fifo *f, struct str text); /* false: it is full */
void fifo_drop(struct fifo *f);                 /* the first */
#endif
