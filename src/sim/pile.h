/* sim/pile.h - simulated e-bike piles (ap3000.md): (state, now, input) -> (state, bytes). As with station.h, neither
 * socket nor clock are seen: the owner tells what happened and when, writes what is said, and calls sim_line_on_time()
 * once sim_line_due_ms() is reached.
 *
 * A line is what one module connects: a pile with a module of its own, or a host and its slaves. Its piles know nothing
 * of the connection: what they say while there is none is lost, and what must be answered is said again. */
#ifndef SIM_PILE_H
#define SIM_PILE_H
#include "proto/ap3000/frames.h"
#include "proto/ap3000/order.h"
#include "proto/ap3000/stream.h"
#include "sim/curve.h"
#include "sim/event.h"

#define PORTS_MAX       16 /* waiting_ports of an answer has so many bits */
#define SLAVES_MAX      49 /* virtual ids are 1 to 49; 0 is none */
#define EEPROM_SIZE     256
#define SETTLEMENT_SIZE 37 /* 0x03 with all its fields */
#define KEPT_MAX        64 /* settlements in the EEPROM; no charge begins that might find no room */
#define ASK_SIZE_MAX    90 /* a legacy heartbeat of 16 ports */

enum pile_quirk {
#define QUIRK(member, name, sentence) PILE_QUIRK_##member,
#include "sim/pile_quirks.def"
    PILE_QUIRK_COUNT
};
extern const struct pile_quirk_name {
    struct str name;
    const char *sentence;
} pile_quirks[PILE_QUIRK_COUNT];

enum pile_event_kind {
#define EVENT(name, sentence) PILE_##name,
#include "sim/pile_events.def"
    PILE_EVENT_COUNT
};

struct sim_line;
struct sim_pile;
/* What all lines of a process share. The functions may be called while a line handles an input, and must not give it
 * another one meanwhile. */
struct pile_world {
    int32_t speed_milli;   /* of charging and people; 1000: as time goes */
    uint32_t quirks;       /* bits: 1 << PILE_QUIRK_x */
    bool is_driven;        /* people come by themselves; else half the ports have a charger plugged in that waits */
    bool is_leaving;       /* the simulation ends: no new charge, and settlements do not wait */
    int32_t first_plug_ms; /* at most so long after it is first in the first rider comes */
    struct sim_totals totals;
    void (*connect)(struct sim_line *l); /* sim_line_on_open or _on_close follows, later */
    void (*send)(struct sim_line *l, struct bytes b);
    void (*drop)(struct sim_line *l);  /* end the connection; no sim_line_on_close follows */
    void (*leave)(struct sim_line *l); /* forget the connection without closing it; likewise */
    void (*tell)(struct sim_line *l, const struct sim_pile *p, const struct sim_event *e);
};

enum port_phase { PORT_EMPTY, PORT_PLUGGED, PORT_CHARGING, PORT_TRICKLE, PORT_FULL, PORT_BROKEN, PORT_PHASE_COUNT };
enum port_input {
    PORT_PLUG,
    PORT_START,  /* port->order says how */
    PORT_TAPER,  /* it takes so little that it is nearly full */
    PORT_FILL,   /* full: the order ends */
    PORT_STOP,   /* the order ends for the reason in the port */
    PORT_UNPLUG, /* if the order goes on nevertheless, port->order says so */
    PORT_BREAK,  /* with the fault in the port */
    PORT_REPAIR,
    PORT_INPUT_COUNT
};

/* The order under way at a port; in the EEPROM, so it outlives a power cut. */
struct sim_order {
    uint8_t no[AP3000_ORDER_SIZE];
    uint8_t card_or_code[4];
    uint8_t start_mode;
    bool is_by_energy; /* what limit counts: 0.01 kWh, else s */
    bool stops_when_full, ignores_unplug;
    uint16_t limit; /* 0: none */
    uint16_t max_duration_s, overload_dw, extra_float_s;
    int64_t elapsed_ms, energy_mj;
    int64_t low_ms, trickle_ms; /* how long it has taken little, has trickled */
    uint16_t peak_dw, early_peak_dw;
};
/* Since the last 0x06. */
struct sim_period {
    int64_t ms, energy_mj;
    uint16_t most_dw, least_dw;
};

struct sim_port {
    uint8_t number;       /* from 0, as on the wire */
    uint8_t phase;        /* enum port_phase; only pile_port.c writes it */
    uint8_t fault;        /* port_status, while PORT_BROKEN */
    uint8_t reason;       /* stop_reason of the coming end */
    uint8_t next_act;     /* enum rider_act */
    uint8_t told_percent; /* last PILE_PROGRESS */
    bool is_confirmed;    /* legacy: its 0x04 was answered */
    uint8_t card[4];      /* of the rider */
    int64_t next_at_ms;   /* of the rider */
    int64_t look_at_ms;   /* at the charge */
    int64_t beat_at_ms;   /* 0x06, or 0x04 */
    int64_t advanced_ms;  /* the charge, until then */
    struct charge charge; /* vehicle NULL: none is plugged in */
    struct sim_order order;
    struct sim_period period;
    struct sim_uncleared *uncleared; /* of a cabinet: what was charged there is in it yet; owned. NULL: not */
};

enum sim_ask { ASK_REGISTER, ASK_HEARTBEAT, ASK_TIME, ASK_CARD, ASK_SETTLE, ASK_RUNNING, ASK_COUNT };
/* A frame that waits for its answer. Kept as it was said: a repeat is the same to the byte (2.5). */
struct sim_asked {
    int64_t due_ms;
    uint16_t message_id;
    uint8_t command, tries; /* 0: none is under way */
    uint8_t port, size;
    uint8_t payload[ASK_SIZE_MAX];
};

enum pile_due {
    DUE_REGISTER,
    DUE_HEARTBEAT,
    DUE_TIME,
    DUE_SETTLE,
    DUE_MODULE,   /* 0x11 */
    DUE_VERSIONS, /* 0x35 */
    DUE_CABINET,  /* 0x41 */
    DUE_METER,    /* 0x17 */
    DUE_RADIO,    /* 0x3B */
    DUE_FIRMWARE, /* a host asks for it by itself */
    DUE_ALARM,
    DUE_REBOOT,
    DUE_COUNT
};

/* Firmware that is coming (9). */
struct sim_firmware {
    uint8_t command; /* 0: none */
    uint16_t total, next;
    uint32_t byte_sum;
    uint16_t version; /* that it will have; 0: one more than now */
};

struct sim_pile {
    struct sim_line *line;
    uint32_t physical_id;
    uint16_t message_id, firmware;
    uint8_t port_count, virtual_id, device_type;
    bool is_host, is_fresh; /* fresh: powered up, and nothing said yet */
    bool was_roused;
    uint8_t missed; /* heartbeats in a row without an answer */
    int64_t clock_offset_us;
    bool is_clock_set;
    int64_t due_ms[DUE_COUNT];
    struct sim_asked asked[ASK_COUNT];
    struct sim_firmware coming;
    uint8_t (*kept)[SETTLEMENT_SIZE]; /* settlements, the first one said first; NULL while it has never held one */
    size_t kept_count;
    uint8_t eeprom[EEPROM_SIZE];
    struct sim_port *ports;
};

enum line_link { LINE_OFFLINE, LINE_CONNECTING, LINE_ONLINE };

struct sim_line {
    struct pile_world *world;
    struct chance chance;
    uint32_t index;
    uint8_t link; /* enum line_link */
    bool is_dark; /* no power */
    uint8_t failures, answers;
    size_t pile_count; /* the host among them, as the first */
    int64_t connect_at_ms, light_at_ms, drop_at_ms, cut_at_ms, move_at_ms;
    int64_t quiet_at_ms; /* then the module says link */
    int64_t metered_mj;  /* by all its piles, ever */
    int64_t held_at_ms;
    struct buf held; /* QUIRK glue, split: what is to be written then */
    struct ap3000_stream stream;
    struct sim_pile piles[];
};
struct sim_line_options {
    uint32_t index;  /* of the line, from 0 */
    unsigned ports;  /* of each pile */
    unsigned slaves; /* 0: one pile with its own module */
    uint32_t first;  /* printed number of the first pile of the first line */
    uint64_t seed;
    int64_t connect_at_ms;
};

struct sim_line *sim_line_new(struct pile_world *w, const struct sim_line_options *o);
void sim_line_free(struct sim_line *l);
/* The first four are also what a power cut, a bad network, a signal make of it. */
void sim_line_on_open(struct sim_line *l, struct sim_now now);
void sim_line_on_close(struct sim_line *l, struct sim_now now);
void sim_line_on_bytes(struct sim_line *l, struct sim_now now, struct bytes b);
void sim_line_on_time(struct sim_line *l, struct sim_now now);
int64_t sim_line_due_ms(const struct sim_line *l);
void sim_line_cut_power(struct sim_line *l, struct sim_now now, int64_t dark_ms);
/* Every rider unplugs: orders end, and none can begin. */
void sim_line_finish(struct sim_line *l, struct sim_now now);
bool sim_line_is_quiet(const struct sim_line *l); /* no settlement waits for its answer */

#define PILE_NAME_SIZE 12
void sim_pile_name(const struct sim_pile *p, char out[PILE_NAME_SIZE]); /* "AP14000001", as the server calls it */
/* What 0x21 says of a port in that phase; of a broken one it is its fault. */
uint8_t sim_port_status(const struct sim_port *p);
#endif
