/* sim/pile_private.h - what the files of a pile share: its time (pile.c), its line (pile_line.c), its ports
 * (pile_port.c), who comes to them (pile_rider.c), what it says (pile_say.c), what it is told to do (pile_commands.c),
 * its memory (pile_memory.c), firmware (pile_firmware.c), doors (pile_cabinet.c). */
#ifndef SIM_PILE_PRIVATE_H
#define SIM_PILE_PRIVATE_H
#include "sim/pile.h"

#define ANSWER_MS       15000 /* ap3000.md 3.1: for an answer, then once again */
#define SCALED_LEAST_MS 5000  /* however fast time runs: 0x06, and 0x03 again */

/* One input being handled, of one pile. */
struct pile_step {
    struct sim_line *l;
    struct sim_pile *p;
    struct pile_world *w;
    struct sim_now now;
};

enum rider_act {
    RIDER_PLUG,
    RIDER_ASK_BALANCE,
    RIDER_SWIPE,
    RIDER_TYPE_CODE,
    RIDER_UNPLUG,
    RIDER_BREAK, /* something gives way */
    RIDER_REPAIR,
    RIDER_ACT_COUNT
};

/* pile.c */
bool sim_pile_has(const struct pile_step *t, enum pile_quirk q);
uint32_t sim_pile_chance(struct pile_step *t, uint32_t least, uint32_t most);
struct instant sim_pile_clock(const struct pile_step *t);
uint32_t sim_pile_clock_s(const struct pile_step *t);
/* Of people and of what 0x06 and 0x03 wait for: divided by the speed, but not below least_ms. */
int64_t sim_pile_scaled(const struct pile_step *t, int64_t ms, int64_t least_ms);
void sim_pile_tell(struct pile_step *t, enum pile_event_kind kind, const struct sim_port *port, struct str text,
                   int64_t n, int64_t m);
void sim_pile_power_up(struct pile_step *t);
void sim_pile_boot(struct pile_step *t); /* its module is in: it begins to talk */
void sim_pile_on_time(struct pile_step *t);
int64_t sim_pile_due_ms(const struct sim_pile *p);
void sim_pile_clear(struct pile_step *t); /* all but its numbers */

/* pile_line.c */
void sim_line_say(struct pile_step *t, uint8_t command, uint16_t message_id, struct bytes payload);
void sim_line_go_offline(struct sim_line *l);
#define ICCID_TEXT_SIZE (AP3000_ICCID_SIZE + 1)
void sim_line_iccid(const struct sim_line *l, char out[ICCID_TEXT_SIZE]);
void sim_line_reconnect(struct sim_line *l, struct sim_now now, int64_t after_ms);

/* pile_say.c */
void sim_pile_register(struct pile_step *t);
void sim_pile_beat(struct pile_step *t);
void sim_pile_ask_time(struct pile_step *t);
/* port NULL: for the balance; who is the port that the rider stands at. False: another card is being asked about. */
bool sim_pile_ask_card(struct pile_step *t, const struct sim_port *who, bool is_balance);
void sim_pile_settle(struct pile_step *t);
void sim_pile_say_charging(struct pile_step *t, struct sim_port *port);
void sim_pile_say_module(struct pile_step *t);
void sim_pile_say_versions(struct pile_step *t);
void sim_pile_say_meter(struct pile_step *t);
void sim_pile_say_radio(struct pile_step *t);
void sim_pile_say_alarm(struct pile_step *t, uint8_t kind, uint8_t where);
/* What nobody answers; m: the struct of the layout. */
void sim_pile_say(struct pile_step *t, uint8_t command, const struct ap3000_layout *l, const void *m);
uint16_t sim_pile_next_id(struct pile_step *t);
void sim_pile_answer(struct pile_step *t, const struct ap3000_frame *f, const struct ap3000_layout *l, const void *m);
void sim_pile_on_frame(struct pile_step *t, const struct ap3000_frame *f);
void sim_pile_look_at_asked(struct pile_step *t); /* repeats what is due, gives up */
int64_t sim_pile_asked_due_ms(const struct sim_pile *p);

/* pile_port.c. False: there is no row, nothing happens. */
bool sim_port_apply(struct pile_step *t, struct sim_port *port, enum port_input input);
void sim_port_on_time(struct pile_step *t, struct sim_port *port);
void sim_port_stop(struct pile_step *t, struct sim_port *port, uint8_t reason);
bool sim_port_is_busy(const struct sim_port *port);
bool sim_port_is_waiting(const struct sim_port *port); /* a charger is plugged in and does not charge */
void sim_port_advance(struct pile_step *t, struct sim_port *port);
uint16_t sim_port_power_dw(const struct sim_port *port);
bool sim_port_has_room(const struct sim_pile *p); /* for the settlement of one charge more */
/* Into the EEPROM, behind those that wait there. */
void sim_port_keep(struct pile_step *t, const uint8_t settlement[SETTLEMENT_SIZE]);

/* pile_rider.c */
void sim_rider_rouse(struct pile_step *t, struct sim_port *port);
void sim_rider_act(struct pile_step *t, struct sim_port *port, enum rider_act act);
void sim_rider_on_card(struct pile_step *t, struct sim_port *port, bool is_balance,
                       const struct ap3000_card_answer *m);         /* m NULL: no answer */
void sim_rider_plugged(struct pile_step *t, struct sim_port *port); /* a bike is there: what will its rider do? */
void sim_rider_started(struct pile_step *t, struct sim_port *port);
void sim_rider_ended(struct pile_step *t, struct sim_port *port);
void sim_rider_left(struct pile_step *t, struct sim_port *port);
void sim_rider_is_done(struct pile_step *t, struct sim_port *port); /* as full as the rider wants it */
void sim_rider_broken(struct pile_step *t, struct sim_port *port);
/* A bike that somebody left at the port, for who wants to start a charge there. */
void sim_rider_bike(struct pile_step *t, struct sim_port *port);

/* pile_commands.c. False: no such command. */
bool sim_command_take(struct pile_step *t, const struct ap3000_frame *f);

/* pile_memory.c */
void sim_memory_reset(struct sim_pile *p);
/* Parameters by where they lie: of two bytes, of one. */
enum memory_at {
    MEMORY_FLOAT_PERCENT,
    MEMORY_FLOAT_DETECT_S,
    MEMORY_FLOAT_S,
    MEMORY_HEARTBEAT_S,
    MEMORY_LATE_FROM_S,
    MEMORY_LATE_DETECT_S,
    MEMORY_MIN_POWER_DW,
    MEMORY_MIN_POWER_S,
    MEMORY_EARLY_S,
    MEMORY_MAX_DURATION_S,
    MEMORY_OVERLOAD_DW,
    MEMORY_WORK_MODE,
    MEMORY_COUNT
};
uint16_t sim_memory_get(const struct sim_pile *p, enum memory_at where);
int64_t sim_pile_heartbeat_ms(const struct sim_pile *p);
/* 0x83 to 0x86, 0x8B to 0x8F, 0x90 to 0x93, 0x97. False: none of them. */
bool sim_memory_take(struct pile_step *t, const struct ap3000_frame *f);

/* pile_cabinet.c. Of another pile they do nothing. */
bool sim_cabinet_is(const struct pile_step *t);
void sim_cabinet_beat(struct pile_step *t);
void sim_cabinet_begin(struct pile_step *t, struct sim_port *port); /* a charge has begun */
/* A charge has ended; false: it is to be settled at once. */
bool sim_cabinet_finish(struct pile_step *t, struct sim_port *port, const uint8_t settlement[SETTLEMENT_SIZE]);
void sim_cabinet_clear(struct pile_step *t, struct sim_port *port); /* what was there is out */
void sim_cabinet_forget(struct sim_port *port);

/* pile_firmware.c. False: none of its commands. */
bool sim_firmware_take(struct pile_step *t, const struct ap3000_frame *f);
void sim_firmware_on_due(struct pile_step *t);
void sim_firmware_on_reboot(struct pile_step *t);
#endif
