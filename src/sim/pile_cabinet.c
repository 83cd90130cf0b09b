/* sim/pile_cabinet.c - what a cabinet says beside (ap3000.md 6.11, 6.13, 6.14): its places have doors and fans; a
 * charge that is finished is told at once, and settled only when its place is cleared. */
#include "sim/pile_private.h"
#include <stdlib.h>
#include <string.h>

#define AJAR_ONE_IN  8  /* riders who do not close the door */
#define FINISHED     29 /* bytes of a settlement that 0x43 has too */
#define OCCUPANCY_AT 35 /* in a settlement */
#define MINUTE_MS    60000

/* What is settled when the place is cleared. */
struct sim_uncleared {
    int64_t since_ms;
    uint8_t settlement[SETTLEMENT_SIZE];
};

bool sim_cabinet_is(const struct pile_step *t)
{
    return sim_pile_has(t, PILE_QUIRK_cabinet) && !t->p->is_host;
}

void sim_cabinet_beat(struct pile_step *t)
{
    struct ap3000_cabinet_heartbeat m = {.port_count = t->p->port_count};
    for (size_t i = 0; i < t->p->port_count; i++) {
        const struct sim_port *port = &t->p->ports[i];
        m.door_bits |= port->phase == PORT_EMPTY ? UINT32_C(1) << i : 0; /* whoever comes puts something in */
        m.fan_bits |= sim_port_is_busy(port) ? UINT32_C(1) << i : 0;
    }
    sim_pile_say(t, 0x41, &ap3000_cabinet_heartbeat_layout, &m);
}

void sim_cabinet_begin(struct pile_step *t, struct sim_port *port)
{
    struct ap3000_port_push m = {.push_type = AP3000_PUSH_DOOR, .port = port->number};
    if (!sim_cabinet_is(t) || sim_pile_chance(t, 1, AJAR_ONE_IN) > 1)
        return;
    memcpy(m.order_no, port->order.no, sizeof m.order_no);
    sim_pile_tell(t, PILE_AJAR, port, (struct str){NULL, 0}, 0, 0);
    sim_pile_say(t, 0x44, &ap3000_port_push_layout, &m);
}

bool sim_cabinet_finish(struct pile_step *t, struct sim_port *port, const uint8_t settlement[SETTLEMENT_SIZE])
{
    if (!sim_cabinet_is(t) || !sim_port_is_waiting(port)) /* nothing is in it: cleared already */
        return false;
    check(port->uncleared == NULL); /* another charge begins by clearing it */
    port->uncleared = mem_new(1, sizeof *port->uncleared);
    port->uncleared->since_ms = t->now.ms;
    memcpy(port->uncleared->settlement, settlement, SETTLEMENT_SIZE);
    sim_line_say(t, 0x43, sim_pile_next_id(t), (struct bytes){settlement, FINISHED});
    return true;
}

void sim_cabinet_clear(struct pile_step *t, struct sim_port *port)
{
    struct sim_uncleared *u = port->uncleared;
    if (u == NULL)
        return;
    int64_t occupied_min = (t->now.ms - u->since_ms) * t->w->speed_milli / 1000 / MINUTE_MS;
    le_put(u->settlement + OCCUPANCY_AT, 2, (uint32_t)(occupied_min > UINT16_MAX ? UINT16_MAX : occupied_min));
    sim_port_keep(t, u->settlement);
    sim_cabinet_forget(port);
}

void sim_cabinet_forget(struct sim_port *port)
{
    free(port->uncleared);
    port->uncleared = NULL;
}
