/* proto/ap3000/pile.h - what a pile (or host) is to us while it is in memory, beside its struct station: what it said
 * of itself, the states of its ports, its orders, recent answers. Pure: no clock, socket, file, thread; time comes in.
 *
 * An order is a transaction that we know before it runs: its number is taken, and told by "order.changed", when its
 * 0x82 is about to leave. Its life is rows (life.c; ap3000.md 10.2) and one function writes its state. */
#ifndef PROTO_AP3000_PILE_H
#define PROTO_AP3000_PILE_H
#include "device/station.h"
#include "proto/ap3000/frames.h"
#include "proto/ap3000/order.h"

#define PILE_PORTS_MAX   256 /* a byte counts them */
#define PILE_ORDERS_MAX  64  /* open or held in memory: four a port of the largest pile; past it no start */
#define PILE_SETTLED_MAX 4   /* settled or failed ones kept in memory; older ones are looked up */
#define PILE_RECENT_MAX  8   /* answers kept for repeats within PILE_REPEAT_S (3.3) */
#define PILE_REPEAT_S    60
#define PILE_HEARTBEAT_S 180
#define PILE_ANSWER_MAX  15 /* payload bytes of an answer of ours */
#define PILE_PORT_NONE   0xFF
#define PILE_ID_SIZE     16  /* "AP16777215-FF" and a 0 */
#define PILE_STOPS_MAX   3   /* tries to stop an order (10.2) */
#define PILE_HOLD_S      120 /* so long a failed start may yet show that it runs (10.2) */

enum pile_style { PILE_STYLE_UNKNOWN, PILE_STYLE_ASKED, PILE_STYLE_LEGACY, PILE_STYLE_MODERN }; /* 6.1 */

enum order_state {
    ORDER_NEW,       /* placed, nothing sent */
    ORDER_STARTING,  /* 0x82 sent */
    ORDER_CHARGING,  /* confirmed, or seen to run */
    ORDER_UNCERTAIN, /* nobody knows whether it runs */
    ORDER_FAILED,
    ORDER_STOPPING, /* 0x82 stop sent */
    ORDER_ENDED,    /* over, its settlement has not come */
    ORDER_SETTLED,
    ORDER_STATE_COUNT
};
extern const struct str order_state_text[ORDER_STATE_COUNT]; /* "new", "starting", ... */
int order_state_find(struct str text);                       /* -1 */
bool order_state_is_open(enum order_state s);                /* neither failed nor settled */

/* By what an order is known for ever (10.4): its number; where numbers may repeat (a pile whose clock was never set,
 * all 00, all FF), the number and the content of its settlement. */
#define ORDER_KEY_SIZE 50 /* 32 hexadecimal digits, or those, '-' and 16 more, and a 0 */

struct pile_order {
    uint8_t no[AP3000_ORDER_SIZE];
    char key[ORDER_KEY_SIZE];
    uint64_t number; /* of the transaction */
    uint32_t id;     /* its id: OCPP's range, so that both protocols look alike */
    enum order_state state;
    uint8_t start_mode;     /* of enumerations.def: by card, by the server, by code */
    uint8_t port;           /* from 0; PILE_PORT_NONE: the pile was to choose and has not said yet */
    bool is_told;           /* transaction.started is out */
    bool is_cancelled;      /* whoever ordered it does not want it any more: stop it as soon as it is seen to run */
    uint8_t stops;          /* tries */
    uint8_t idle_beats;     /* 0x21 in a row, since decided_at, that show its port not charging */
    bool was_retransmitted; /* its start left twice (10.3) */
    bool is_held;           /* it failed so that it may run all the same: its port is not free, for PILE_HOLD_S from
                             * decided_at. pile_end_holds() takes it away */
    bool is_news;           /* something of it was told that is not in the log yet */
    uint64_t position;      /* in the log, of the last that was told of it; 0: the tables have that */
    struct instant placed_at, started_at, decided_at, seen_at; /* seen_at: newest 0x04 or 0x06 of it; not set: none */
    int64_t energy_wh;                                         /* newest */
    uint64_t content; /* of its first settlement; 0 none: then one that is settled was closed by an operator */
    char id_tag[TAG_SIZE_MAX], command_id[65];
};

struct pile_recent { /* 3.3: one repeat, one answer */
    uint64_t key;    /* of command, message id and payload; 0: empty */
    struct instant at;
    uint8_t len, answer[PILE_ANSWER_MAX]; /* payload */
};

struct ap3000_pile {
    uint32_t physical_id; /* 0: none of this charge point was seen yet */
    enum pile_style style;
    uint16_t asked_message_id;                           /* of the 0x01 that made us ask, */
    struct instant asked_at;                             /* and when; not set: in another life of this program */
    bool is_registered;                                  /* it has said the following, now or at an earlier time */
    uint16_t firmware, device_type, power_board_version; /* device_type: AP3000_TYPE_ABSENT if never said */
    uint8_t port_count, virtual_id, work_mode;
    bool is_cabinet; /* it has said 0x41 */
    bool is_host;    /* it has said 0x11, 0x15, 0x35 or 0x3B */
    uint16_t host_type, host_firmware;
    int64_t heartbeat_s;
    char host[PILE_ID_SIZE];           /* charge point id of the host that it is a slave of; "" none, or not known */
    char iccid[24], iccid_binding[24]; /* last seen; the only one allowed, "" any */
    uint16_t next_message_id;          /* of our commands: 1 .. 65535 */
    uint8_t *ports;                    /* status codes, as they came; owned */
    uint16_t ports_seen;               /* so many of them have come */
    struct pile_order *orders;         /* open ones and the last others, oldest first; owned */
    size_t order_count;
    uint32_t waiting_count;   /* of its settlements in quarantine */
    uint64_t orders_position; /* tables that are so far have every order that is not here: it was dropped, or is none */
    uint64_t waiting_position;              /* these have every settlement that waits in quarantine */
    bool has_orders_news, has_waiting_news; /* something of that is not in the log yet */
    struct pile_recent *recent; /* at most PILE_RECENT_MAX, room for as many as it needed at once; owned */
    uint8_t recent_count;
    uint64_t told_facts; /* hash of what the last "charge_point.connected" said; 0: none in this process */
    struct instant told_at;
    bool is_smoky; /* the host's last 0x17 said so */
};
struct ap3000_pile *pile_new(void);
void pile_free(struct ap3000_pile *p);
uint16_t pile_next_message_id(struct ap3000_pile *p);

/* Connectors are counted from 1, ports from 0 (A45): nothing else converts. PILE_PORT_NONE is connector 0, the whole
 * pile, and the other way round. */
static inline int32_t pile_connector_of(uint8_t port)
{
    return port == PILE_PORT_NONE ? 0 : port + 1;
}
static inline uint8_t pile_port_of(int64_t connector_id)
{
    return connector_id >= 1 && connector_id <= PILE_PORT_NONE ? (uint8_t)(connector_id - 1) : PILE_PORT_NONE;
}

/* Room for the states of so many ports, at most PILE_PORTS_MAX: idle those that have not been seen. */
void pile_make_ports(struct ap3000_pile *p, size_t count);

/* The answer that was given to the same frame within PILE_REPEAT_S, or NULL. */
const struct pile_recent *pile_recent_find(const struct ap3000_pile *p, uint64_t key, struct instant now);
void pile_remember(struct ap3000_pile *p, uint64_t key, struct instant now, struct bytes answer);

/* Its charge point id (gateway-contract.md 1): "AP" and the printed number; where another pile of that number was
 * first, is_second: with its recognition code behind it, "AP13544000-05". */
void pile_id_write(uint32_t physical_id, bool is_second, char out[PILE_ID_SIZE]);
bool pile_id_is(struct str charge_point_id); /* has it that form? No OCPP station may take such a name */

/* --- orders --- */

void order_key_write(const uint8_t no[AP3000_ORDER_SIZE], char out[ORDER_KEY_SIZE]); /* the number alone, lower case */
/* The server's own number: 0xA5, the transaction id, and what only we can make of both and of the pile. */
void order_no_make(const uint64_t id_key[2], uint32_t physical_id, uint64_t number, uint8_t out[AP3000_ORDER_SIZE]);
/* ERR_UNKNOWN: not one that this server gave this pile. */
MUST_USE enum err order_no_read(const uint64_t id_key[2], uint32_t physical_id, const uint8_t no[AP3000_ORDER_SIZE],
                                uint64_t *number);

struct pile_order *pile_order(struct ap3000_pile *p, struct str key);             /* NULL */
struct pile_order *pile_order_of(struct ap3000_pile *p, uint32_t transaction_id); /* NULL */
struct pile_order *pile_order_on(struct ap3000_pile *p, uint8_t port);            /* newest open one there, or NULL */
size_t pile_open_count(const struct ap3000_pile *p);                              /* held ones too: they may run */
bool pile_is_held(const struct ap3000_pile *p, uint8_t port);
/* Holds whose time is over. Whoever asks for one has called this with the time of his input. */
void pile_end_holds(struct ap3000_pile *p, struct instant now);
void pile_order_end_hold(struct pile_order *o, struct instant now);
/* What was told of its orders since the last call is in the log up to there. To be called when a decision has been
 * appended, before anything is looked up in the tables. */
void pile_note_position(struct ap3000_pile *p, uint64_t position);
/* How far the tables must be to be asked for an order, or for one and for what waits in quarantine. */
uint64_t pile_tables_position(const struct ap3000_pile *p, bool is_of_quarantine);
/* Adds a copy; drops the oldest that is not open or held past PILE_SETTLED_MAX: other pointers to orders are void then.
 * NULL: PILE_ORDERS_MAX are open. */
struct pile_order *pile_add_order(struct ap3000_pile *p, const struct pile_order *o);

/* Life as rows (10.2). What answers and evidence mean is decided before: see life.c for which answer code is which
 * input. */
enum order_input {
    ORDER_IN_SENT,     /* its 0x82 start is about to leave */
    ORDER_IN_DONE,     /* answer 0 or 9 */
    ORDER_IN_REFUSED,  /* answer 1, 4, 5, 6: nothing runs */
    ORDER_IN_FAULT,    /* answer 7, 8, 0x0A to 0x0D: nothing runs unless evidence says so; its port is held */
    ORDER_IN_UNSURE,   /* answer 2, 3, 0x0E, unknown; or none within the time */
    ORDER_IN_SEEN,     /* 0x04 or 0x06 that names it; of one that has ended, 0x06 of status 1 or 5 */
    ORDER_IN_NOT_SEEN, /* two heartbeats show that it does not run */
    ORDER_IN_STOP_SENT,
    ORDER_IN_STOP_DONE, /* answer 0 or 2 */
    ORDER_IN_STOP_FAILED,
    ORDER_IN_FINISHED, /* 0x43 names it, or two heartbeats show its port idle or full and no 0x06 for 11 min */
    ORDER_IN_SETTLED,  /* 0x03 names it */
    ORDER_IN_NOT_SENT, /* its start never left */
    ORDER_INPUT_COUNT
};
/* ERR_STATE: no such row; o stays as it was. */
MUST_USE enum err order_apply(struct pile_order *o, enum order_input input);
#endif
