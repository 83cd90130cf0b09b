/* sim/pile_commands.c - what the server asks of a pile or host, but for its memory and firmware: a row a command. The
 * answer leaves before what follows from it. */
#include "sim/pile_private.h"
#include <string.h>

#define STATUS_MS     300 /* to 0x20 after an 0x81; and so much more to the heartbeat */
#define REBOOT_MS     1000
#define RECONNECT_MS  500
#define PORT_ANY      0xFF
#define DOUBLE_SOCKET 2 /* larger piles do not ask which port was meant (5.8) */

typedef void (*command)(struct pile_step *t, const struct ap3000_frame *f);

static void answer(struct pile_step *t, const struct ap3000_frame *f, uint8_t result)
{
    sim_pile_answer(t, f, &ap3000_result_layout, &(struct ap3000_result){.result = result});
}

/* NULL: it has none of that number. */
static struct sim_port *port_find(struct pile_step *t, uint8_t number)
{
    return number < t->p->port_count ? &t->p->ports[number] : NULL;
}

static void on_status(struct pile_step *t, const struct ap3000_frame *f)
{
    (void)f;
    if (t->p->is_host)
        return;
    if (!sim_pile_has(t, PILE_QUIRK_legacy))
        t->p->due_ms[DUE_REGISTER] = t->now.ms + STATUS_MS;
    t->p->due_ms[DUE_HEARTBEAT] = t->now.ms + 2 * STATUS_MS;
}

/* ---- 0x82 -------------------------------------------------------------------------------------------------------- */

static struct sim_order order_of(const struct ap3000_start *m)
{
    bool has_limit =
        m->duration_or_energy > 0 && (m->rate_mode == AP3000_RATE_TIME || m->rate_mode == AP3000_RATE_ENERGY);
    struct sim_order o = {
        .start_mode = AP3000_START_SERVER,
        .is_by_energy = m->rate_mode == AP3000_RATE_ENERGY,
        .limit = has_limit ? m->duration_or_energy : 0,
        .stops_when_full = (!has_limit || m->force_full_stop == AP3000_ON) && m->long_charge != AP3000_ON,
        .ignores_unplug = m->ignore_unplug == AP3000_ON,
        .max_duration_s = m->max_duration_s,
        .overload_dw = m->overload_power_dw,
        .extra_float_s = m->extra_float_s,
    };
    memcpy(o.no, m->order_no, sizeof o.no);
    return o;
}

/* Which port 0xFF means: the one with a charger. */
static uint8_t choose_port(struct pile_step *t, uint16_t *waiting)
{
    uint8_t found = PORT_ANY;
    for (uint8_t i = t->p->port_count; i > 0; i--) {
        if (!sim_port_is_waiting(&t->p->ports[i - 1]))
            continue;
        found = i - 1;
        *waiting |= (uint16_t)(1u << (i - 1));
    }
    return found;
}

static uint8_t start_result(struct pile_step *t, const struct ap3000_start *m, struct ap3000_start_answer *a)
{
    if (m->port == PORT_ANY) {
        a->port = choose_port(t, &a->waiting_ports);
        if (a->port == PORT_ANY)
            return AP3000_START_NO_CHARGER;
        if (t->p->port_count <= DOUBLE_SOCKET && (a->waiting_ports & (a->waiting_ports - 1)) != 0)
            return AP3000_START_WHICH_PORT;
    }
    a->waiting_ports = 0;
    const struct sim_port *port = port_find(t, a->port);
    if (port == NULL)
        return AP3000_START_NO_PORT;
    if (sim_port_is_busy(port))
        return AP3000_START_ALREADY;
    if (port->phase == PORT_BROKEN)
        return AP3000_START_PORT_FAULT;
    if (port->phase == PORT_EMPTY)
        return AP3000_START_NO_CHARGER;
    return sim_port_has_room(t->p) ? AP3000_STARTED : AP3000_START_MEMORY;
}

static void start(struct pile_step *t, const struct ap3000_frame *f, const struct ap3000_start *m)
{
    struct ap3000_start_answer a = {.port = m->port};
    memcpy(a.order_no, m->order_no, sizeof a.order_no);
    a.result = start_result(t, m, &a);
    sim_pile_answer(t, f, &ap3000_start_answer_layout, &a);
    struct sim_port *port = port_find(t, a.port);
    if (a.result != AP3000_STARTED) {
        sim_pile_tell(t, PILE_START_REFUSED, port, str_of(ap3000_value_text(&ap3000_start_result_list, a.result)), 0,
                      0);
        return;
    }
    port->order = order_of(m);
    if (!t->w->is_driven) /* nobody else brings one */
        sim_rider_bike(t, port);
    (void)sim_port_apply(t, port, PORT_START);
}

static bool is_running(const struct sim_port *port, const uint8_t order_no[AP3000_ORDER_SIZE])
{
    return sim_port_is_busy(port) && memcmp(port->order.no, order_no, AP3000_ORDER_SIZE) == 0;
}

/* With another number than that of the running order it has no effect (7.2, A15): as if it had ended already. */
static void stop(struct pile_step *t, const struct ap3000_frame *f, const struct ap3000_start *m)
{
    struct sim_port *port = port_find(t, m->port);
    struct ap3000_start_answer a = {.port = m->port};
    memcpy(a.order_no, m->order_no, sizeof a.order_no);
    a.result = port == NULL                    ? AP3000_START_NO_PORT
               : is_running(port, m->order_no) ? AP3000_STARTED
                                               : AP3000_START_ALREADY;
    sim_pile_answer(t, f, &ap3000_start_answer_layout, &a);
    if (a.result == AP3000_STARTED)
        sim_port_stop(t, port, AP3000_STOP_SERVER);
}

static void on_start(struct pile_step *t, const struct ap3000_frame *f)
{
    struct ap3000_start m = {0};
    if (ap3000_read(&ap3000_start_layout, f->payload, &m, NULL) != OK)
        return;
    if (m.charge_command == AP3000_CHARGE_START)
        start(t, f, &m);
    else
        stop(t, f, &m);
}

/* ---- 0x8A -------------------------------------------------------------------------------------------------------- */

/* A value below the present reading is taken nevertheless: the charge ends by it at the next look, with its reason. */
static void on_change(struct pile_step *t, const struct ap3000_frame *f)
{
    struct ap3000_change m;
    if (ap3000_read(&ap3000_change_layout, f->payload, &m, NULL) != OK)
        return;
    struct sim_port *port = port_find(t, m.port);
    bool is_energy = m.rate_mode == AP3000_CHANGE_ENERGY;
    uint8_t result = AP3000_CHANGED;
    if (port != NULL)
        sim_port_advance(t, port);
    if (port == NULL || m.rate_mode > AP3000_CHANGE_ENERGY)
        result = AP3000_CHANGE_NO_MODE;
    else if (!sim_port_is_busy(port))
        result = AP3000_CHANGE_NOT_CHARGING;
    else if (is_energy ? port->order.energy_mj >= m.duration_or_energy * 10 * MILLIJOULE_A_WH
                       : port->order.elapsed_ms >= m.duration_or_energy * INT64_C(1000))
        result = AP3000_CHANGE_TOO_LOW;
    sim_pile_answer(t, f, &ap3000_change_answer_layout, &(struct ap3000_change_answer){.result = result});
    if (result == AP3000_CHANGE_TOO_LOW)
        sim_port_stop(t, port, is_energy ? AP3000_STOP_ENERGY : AP3000_STOP_TIME);
    if (result != AP3000_CHANGED)
        return;
    port->order.is_by_energy = is_energy;
    port->order.limit = m.duration_or_energy;
    port->order.stops_when_full = m.rate_mode != AP3000_CHANGE_TIME;
    sim_pile_tell(t, PILE_CHANGED, port, (struct str){NULL, 0}, 0, 0);
}

/* ---- The others -------------------------------------------------------------------------------------------------- */

static void on_cabinet_stop(struct pile_step *t, const struct ap3000_frame *f)
{
    struct ap3000_cabinet_stop m;
    if (ap3000_read(&ap3000_cabinet_stop_layout, f->payload, &m, NULL) != OK)
        return;
    struct sim_port *port = port_find(t, m.port);
    bool is_ours = port != NULL && is_running(port, m.order_no);
    struct ap3000_cabinet_stop_answer a = {.result = !is_ours};
    memcpy(a.order_no, m.order_no, sizeof a.order_no);
    sim_pile_answer(t, f, &ap3000_cabinet_stop_answer_layout, &a);
    if (is_ours)
        sim_port_stop(t, port, AP3000_STOP_SERVER);
}

static void on_reboot(struct pile_step *t, const struct ap3000_frame *f)
{
    answer(t, f, AP3000_DONE);
    t->p->due_ms[DUE_REBOOT] = t->now.ms + REBOOT_MS;
}

static void on_module_reboot(struct pile_step *t, const struct ap3000_frame *f)
{
    answer(t, f, AP3000_DONE);
    sim_line_reconnect(t->l, t->now, RECONNECT_MS);
    if (f->command == 0x31)
        t->p->due_ms[DUE_REBOOT] = t->now.ms + RECONNECT_MS;
}

/* Orders under way are not among what is erased: they end, and leave nothing. */
static void on_clear(struct pile_step *t, const struct ap3000_frame *f)
{
    answer(t, f, AP3000_DONE);
    for (size_t i = 0; i < t->p->port_count; i++)
        sim_port_stop(t, &t->p->ports[i], AP3000_STOP_MEMORY);
    sim_pile_clear(t);
}

static void on_find(struct pile_step *t, const struct ap3000_frame *f)
{
    struct ap3000_find m;
    if (ap3000_read(&ap3000_find_layout, f->payload, &m, NULL) != OK)
        return;
    answer(t, f, AP3000_DONE);
    sim_pile_tell(t, PILE_FOUND, NULL, (struct str){NULL, 0}, m.seconds, 0);
}

/* Forced doors end a running charge (7.21). */
static void on_multi(struct pile_step *t, const struct ap3000_frame *f)
{
    struct ap3000_multi m;
    if (ap3000_read(&ap3000_multi_layout, f->payload, &m, NULL) != OK)
        return;
    struct sim_port *port = m.function == AP3000_FUNCTION_DOOR ? port_find(t, m.port) : NULL;
    answer(t, f, port == NULL);
    if (port != NULL)
        sim_port_stop(t, port, AP3000_STOP_FORCED);
}

static void on_voice(struct pile_step *t, const struct ap3000_frame *f)
{
    answer(t, f, AP3000_VOICE_FAILED); /* reserved (7.10) */
}

/* A temporary code on the screen, a new server address, the slaves of a host: said to be done, and nothing more. */
static void on_trifle(struct pile_step *t, const struct ap3000_frame *f)
{
    answer(t, f, AP3000_DONE);
}

static const struct {
    uint8_t code;
    command take;
} commands[] = {
    {0x31, on_module_reboot}, {0x32, on_module_reboot}, {0x33, on_trifle}, {0x34, on_trifle}, {0x3A, on_trifle},
    {0x72, on_cabinet_stop},  {0x81, on_status},        {0x82, on_start},  {0x87, on_reboot}, {0x88, on_clear},
    {0x89, on_voice},         {0x8A, on_change},        {0x95, on_trifle}, {0x96, on_find},   {0x98, on_multi},
};

bool sim_command_take(struct pile_step *t, const struct ap3000_frame *f)
{
    if (sim_memory_take(t, f) || sim_firmware_take(t, f))
        return true;
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        if (commands[i].code != f->command)
            continue;
        commands[i].take(t, f);
        return true;
    }
    return false;
}
