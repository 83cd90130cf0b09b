/* sim/pile_make.c - which piles there are, and their memory. */
#include "sim/pile_private.h"
#include <stdlib.h>

#define HOST_CODE     0x09
#define HOST_TYPE     0x03
#define HOST_FIRMWARE 501

/* clang-format off */
/* Rows of products.def: by how the pile is connected, its age, and how many ports it has. */
static const struct model {
    bool is_slave, is_old;
    uint8_t most_ports, code, type;
    uint16_t firmware;
} models[] = {
    {false, false,  2, 0x04, 0x27, 315}, {true, false,  2, 0x04, 0x25, 412},
    {false, true,   2, 0x04, 0x06, 205}, {true, true,   2, 0x04, 0x06, 205},
    {false, false, 10, 0x05, 0x29, 221}, {true, false, 10, 0x05, 0x20, 133},
    {false, true,  10, 0x05, 0x04, 305}, {true, true,  10, 0x05, 0x04, 305},
    {false, false, 12, 0x07, 0x30, 108}, {true, false, 12, 0x07, 0x30, 108},
    {false, false, 16, 0x06, 0x29, 221}, {true, false, 16, 0x06, 0x20, 133},
    {false, true,  16, 0x06, 0x04, 601}, {true, true,  16, 0x06, 0x04, 601},
};
/* clang-format on */

static const struct model *model_find(bool is_slave, bool is_old, unsigned ports)
{
    for (size_t i = 0; i < COUNT_OF(models); i++)
        if (models[i].is_slave == is_slave && models[i].is_old == is_old && models[i].most_ports >= ports)
            return &models[i];
    check_failed("no model has so many ports", __FILE__, __LINE__);
}

static void pile_init(struct pile_step *t, const struct sim_line_options *o, size_t i)
{
    struct sim_pile *p = t->p;
    bool is_hosted = o->slaves > 0;
    p->line = t->l;
    p->is_host = is_hosted && i == 0;
    p->port_count = p->is_host ? 0 : (uint8_t)o->ports;
    p->virtual_id = (uint8_t)i;
    const struct model *m = model_find(is_hosted, sim_pile_has(t, PILE_QUIRK_legacy), o->ports);
    p->device_type = p->is_host ? HOST_TYPE : m->type;
    p->firmware = p->is_host ? HOST_FIRMWARE : m->firmware;
    p->physical_id =
        (uint32_t)(p->is_host ? HOST_CODE : m->code) << 24 | (o->first + (uint32_t)(o->index * t->l->pile_count + i));
    p->ports = mem_new(p->is_host ? 1 : p->port_count, sizeof *p->ports); /* a host has none, but it is not NULL */
    for (unsigned k = 0; k < p->port_count; k++) {
        struct sim_port *port = &p->ports[k];
        port->number = (uint8_t)k;
        port->next_at_ms = port->look_at_ms = port->beat_at_ms = SIM_NEVER;
    }
    sim_memory_reset(p);
}

struct sim_line *sim_line_new(struct pile_world *w, const struct sim_line_options *o)
{
    check(o->ports >= 1 && o->ports <= PORTS_MAX && o->slaves <= SLAVES_MAX);
    size_t count = o->slaves + 1;
    struct sim_line *l = mem_new(1, sizeof *l + count * sizeof l->piles[0]);
    l->world = w;
    l->index = o->index;
    l->chance = (struct chance){o->seed << 20, o->index};
    l->is_dark = true;
    l->light_at_ms = o->connect_at_ms;
    l->pile_count = count;
    sim_line_go_offline(l);
    ap3000_stream_init(&l->stream);
    for (size_t i = 0; i < count; i++)
        pile_init(&(struct pile_step){l, &l->piles[i], w, {0}}, o, i);
    return l;
}

void sim_line_free(struct sim_line *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->pile_count; i++) {
        for (size_t k = 0; k < l->piles[i].port_count; k++)
            sim_cabinet_forget(&l->piles[i].ports[k]);
        free(l->piles[i].ports);
        free(l->piles[i].kept);
    }
    buf_release(&l->held);
    free(l);
}
