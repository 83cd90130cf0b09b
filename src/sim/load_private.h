/* sim/load_private.h - what the load generator is made of, whatever the protocol: callers that each have a connection
 * and one call under way. A kind says what they say; load_stations.c and load_piles.c are the two. */
#ifndef SIM_LOAD_PRIVATE_H
#define SIM_LOAD_PRIVATE_H
#include "proto/ap3000/stream.h"
#include "sim/latency.h"
#include "sim/load.h"

#define LOAD_FIRST 0  /* the call with which a device comes in, of every kind */
#define LOAD_NONE  -1 /* nothing is left to be said */

struct load;
struct caller_station {
    uint8_t samples_left;
    int32_t transaction_id; /* 0: none runs */
    int32_t energy_wh;
    char identity[IDENTITY_SIZE];
    char tag[ID_TAG_SIZE];
};
struct caller_pile {
    uint32_t physical_id, settlements;
    struct ap3000_stream stream;
};
struct caller {
    struct load *load;
    struct conn *conn;
    struct timer timer; /* back after a loss; no answer in time */
    struct link idle;
    uint32_t index, number; /* of its call */
    uint8_t call;           /* under way; of the kind */
    bool is_waiting, is_ready;
    int64_t due_us;
    union {
        struct caller_station station;
        struct caller_pile pile;
    };
};

struct load_kind {
    void (*init)(struct load *l);
    void (*release)(struct load *l);
    void (*init_caller)(struct caller *c);
    struct str (*name)(const struct caller *c); /* on the way to the server */
    void (*open)(struct caller *c);             /* the connection is new; what it writes leaves before the first call */
    void (*write)(struct caller *c);            /* c->call into l->frame */
    int (*next)(struct caller *c);              /* which call comes next */
    int (*leave)(struct caller *c);             /* what must be said before it goes, or LOAD_NONE */
    void (*on_bytes)(struct caller *c, struct bytes b); /* calls load_answered() */
};
extern const struct load_kind load_of_stations, load_of_piles;

struct load {
    const struct sim_options *options;
    const struct sim_door *door;
    const struct load_kind *kind;
    struct loop *loop;
    struct template frames[LOAD_CALL_COUNT]; /* of stations */
    struct caller *callers;
    size_t count, ready_count, open_count, came_count;
    struct link idle;
    struct timer tick, phase;
    struct buf frame;
    struct arena arena;
    struct latency latency;
    uint64_t errors;
    bool is_open_loop, is_measuring, is_closing;
    int64_t begin_us, end_us, next_due_us, give_up_ms, time_ms;
    char time_text[INSTANT_TEXT_SIZE];
};

/* The call under way was answered. */
void load_answered(struct caller *c, bool is_error);
void load_send(struct caller *c); /* l->frame */
#endif
