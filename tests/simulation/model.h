/* The parts of the simulated world: chargers with what truly happened at them, connections, the server around the real
 * core. */
#ifndef SIMULATION_MODEL_H
#define SIMULATION_MODEL_H
#include "simulation/tables.h"

#include <stdarg.h>
#include <stdio.h>

#define SESSIONS_MAX 24
#define QUEUE_MAX    48
#define FIFO_MAX     4
#define HELD_MAX     64
#define TEXT_MAX     320

enum trait {
    COUNTS_IDS = 1,     /* message ids count from 1 after each power-on; else they are unique */
    NEW_IDS = 2,        /* a message sent again gets a new id */
    HAS_NO_CLOCK = 4,   /* 1970 after power-on, until a boot is accepted */
    TURNS_ROUND = 8,    /* after a reconnect a stop may overtake its start */
    GIVES_UP = 16,      /* drops a start that is not answered, and goes on with id -1 */
    IS_FOREIGN = 32,    /* names transactions of other chargers */
    RUNS_BACK = 64,     /* its meter may fall */
    HAS_NO_METER = 128, /* all readings are 0, and both connectors stop at once */
    LEAVES_OUT = 256,   /* its readings do not name the transaction */
    CLOCK_JUMPS = 512,
};

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

/* What must come about now and then, or the seeds show nothing: counted over all of them. */
#define REACHED(X)                                                                                                    \
    X(KILLED_UNWRITTEN, "killed with events that were not on the disk")                                               \
    X(REFUSED, "the disk refused with answers held") X(REPEATED, "a repeat was answered")                             \
        X(FROM_OLD_CONNECTION, "something came by a superseded connection")                                           \
            X(DROPPED, "a station was dropped from memory") X(STOP_CAME_FIRST, "a stop waited for its start")         \
                X(INFERRED, "a stop without an id was matched")                                                       \
                    X(SUPERSEDED_STOPPED, "a superseded transaction was stopped")                                     \
                        X(LATE_READING, "a reading came after the end") X(FOREIGN, "another's transaction was named") \
                            X(CLOCK_CORRECTED, "a clock was not believed") X(RAN_BACK, "a meter ran backwards")       \
                                X(BY_OPERATOR, "an operator ended one")
enum reached {
#define AS_CONSTANT(name, words) REACHED_##name,
    REACHED(AS_CONSTANT) REACHED_COUNT
#undef AS_CONSTANT
};

struct world {
    uint64_t seed;
    struct dice dice;
    struct instant now;
    struct span server_skew;   /* the server's clock may jump; its chargers' have skews of their own */
    bool tells_story, is_calm; /* calm: no more faults */
    char failure[256];         /* what was broken; "" nothing */
    unsigned *reached;         /* REACHED_COUNT of them */
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

__attribute__((format(printf, 2, 3))) static void say(const struct world *w, const char *format, ...)
{
    va_list args;
    if (!w->tells_story)
        return;
    (void)printf("%6u ", w->steps);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)printf("\n");
}

/* The first thing that is broken is kept. */
__attribute__((format(printf, 2, 3))) static void broken(struct world *w, const char *format, ...)
{
    va_list args;
    if (w->failure[0] != 0)
        return;
    va_start(args, format);
    (void)vsnprintf(w->failure, sizeof w->failure, format, args);
    va_end(args);
    say(w, "BROKEN: %s", w->failure);
}

static bool fifo_put(struct fifo *f, struct str text)
{
    if (f->count == FIFO_MAX)
        return false;
    check(text.len < TEXT_MAX);
    memcpy(f->texts[f->count], text.at, text.len);
    f->texts[f->count++][text.len] = 0;
    return true;
}

static void fifo_drop(struct fifo *f)
{
    f->count--;
    memmove(f->texts[0], f->texts[1], f->count * sizeof f->texts[0]);
}
#endif
