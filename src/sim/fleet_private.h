/* sim/fleet_private.h - what a fleet is made of, whatever its protocol: a device, its socket, its timer. A kind says
 * how a device is driven; fleet_stations.c and fleet_lines.c are the two. */
#ifndef SIM_FLEET_PRIVATE_H
#define SIM_FLEET_PRIVATE_H
#include "sim/fleet.h"
#include "sim/pile.h"
#include "sim/words.h"

struct fleet;
struct peer {
    void *device; /* found by its index, so the link back is by it */
    struct conn *conn;
    struct conn *left; /* forgotten, but open: not read any more */
    struct fleet *fleet;
    struct timer timer;
};

/* device: what make() gave. */
struct fleet_kind {
    const char *noun;  /* of many of them */
    int64_t finish_ms; /* for the ends of the sessions to be told */
    void (*init)(struct fleet *f);
    void (*release)(struct fleet *f);
    void *(*make)(struct fleet *f, size_t index, int64_t connect_at_ms);
    void (*free)(void *device);
    struct str (*name)(const void *device); /* on the way to the server */
    void (*on_open)(void *device, struct sim_now now);
    void (*on_close)(void *device, struct sim_now now);
    void (*on_bytes)(void *device, struct sim_now now, struct bytes b); /* or a whole text message */
    void (*on_time)(void *device, struct sim_now now);
    void (*finish)(void *device, struct sim_now now); /* ends its sessions */
    int64_t (*due_ms)(const void *device);
    bool (*is_connecting)(const void *device);
    bool (*is_quiet)(const void *device); /* nothing under way, nothing kept */
};
extern const struct fleet_kind fleet_of_stations, fleet_of_lines;

struct fleet {
    const struct sim_options *options;
    const struct sim_door *door;
    const struct fleet_kind *kind;
    struct loop *loop;
    union {
        struct sim_world stations;
        struct pile_world lines;
    } world;
    struct sim_totals *totals; /* in world */
    struct peer *peers;
    size_t count, open_count;
    struct timer summary, ending;
    int64_t finish_at_ms; /* 0: not ending */
    uint64_t calls_before;
    bool is_closing;
};

/* What a device asks for, by its index. */
void fleet_connect(size_t index);
void fleet_send(size_t index, struct bytes b);
void fleet_drop(size_t index);  /* ends the connection; the device is told nothing */
void fleet_leave(size_t index); /* forgets it; it stays open until the next one is left */
void fleet_tell(struct str name, const char *sentence, const struct sim_event *e);
/* Of the first vehicle: in a demo something happens at once. */
int32_t fleet_first_plug_ms(const struct sim_options *o);
#endif
