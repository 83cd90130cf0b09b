/* Orders at a simulated pile: what starts one and what ends it, changes, settlements that are kept until they are
 * answered, over a power cut too. */
#include "pile_script.h"

/* ---- Starts ------------------------------------------------------------------------------------------------------ */

/* Phases of ports before, 'e'mpty 'p'lugged 'c'harging 'f'ull 'b'roken; what 0x82 asks for; what comes. */
static const struct {
    const char *row, *ports;
    uint8_t port, result, real_port;
    uint16_t waiting;
} starts[] = {
    {"a plugged port starts", "pe", 0, 0, 0, 0},
    {"a full one likewise", "ef", 1, 0, 1, 0},
    {"no charger", "pe", 1, 1, 1, 0},
    {"it charges already", "cp", 0, 2, 0, 0},
    {"a broken port", "bp", 0, 3, 0, 0},
    {"no such port", "pp", 2, 4, 2, 0},
    {"the pile chooses the one that waits", "cp", 0xFF, 0, 1, 0},
    {"the pile finds none", "ce", 0xFF, 1, 0xFF, 0},
    {"the pile finds two", "pf", 0xFF, 5, 0, 3},
    {"a larger one takes the first of two", "ecpp", 0xFF, 0, 2, 0},
};

static void put_into(struct sim_line *l, struct sim_port *port, char phase)
{
    struct pile_step t = {l, &l->piles[0], &world, now};
    port->fault = AP3000_PORT_BAD_CONTACT;
    if (port->phase == PORT_PLUGGED)
        check(sim_port_apply(&t, port, PORT_UNPLUG));
    if (phase == 'b')
        check(sim_port_apply(&t, port, PORT_BREAK));
    if (strchr("pcf", phase) != NULL)
        check(sim_port_apply(&t, port, PORT_PLUG));
    if (phase == 'c' || phase == 'f')
        check(sim_port_apply(&t, port, PORT_START));
    if (phase == 'f')
        check(sim_port_apply(&t, port, PORT_FILL));
}

static void check_starts(void)
{
    for (size_t i = 0; i < COUNT_OF(starts); i++) {
        struct sim_line *l = make_registered((struct setup){.ports = (unsigned)strlen(starts[i].ports)});
        for (size_t k = 0; starts[i].ports[k] != 0; k++)
            put_into(l, &l->piles[0].ports[k], starts[i].ports[k]);
        struct ap3000_start m = start_of(starts[i].port, AP3000_RATE_TIME, 0);
        give_start(l, &m);
        const struct ap3000_frame *f = last(0x82);
        CHECK(starts[i].row, f != NULL && f->message_id == 500 && f->payload.len == 20);
        if (f == NULL || f->payload.len != 20)
            continue;
        CHECK(starts[i].row, f->payload.at[0] == starts[i].result && memcmp(f->payload.at + 1, order_a, 16) == 0);
        CHECK(starts[i].row, starts[i].result == 5 || f->payload.at[17] == starts[i].real_port);
        CHECK(starts[i].row, le16(f->payload.at + 18) == starts[i].waiting);
        if (starts[i].result == 0)
            CHECK(starts[i].row, sim_port_is_busy(&l->piles[0].ports[starts[i].real_port]));
        sim_line_free(l);
    }
}

static void check_stops(void)
{
    static const struct {
        const char *row;
        const uint8_t *order_no;
        uint8_t port, result;
        bool ends;
    } rows[] = {
        {"another order number has no effect", order_b, 0, 2, false},
        {"a port that does not charge", order_a, 1, 2, false},
        {"a port that is not there", order_a, 9, 4, false},
        {"the right one ends", order_a, 0, 0, true},
        {"and then there is none any more", order_a, 0, 2, true},
    };
    struct sim_line *l = make_registered((struct setup){0});
    struct ap3000_start m = start_of(0, AP3000_RATE_TIME, 0);
    give_start(l, &m);
    pass(l, MINUTE_MS);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        m = start_of(rows[i].port, 0, 0);
        m.charge_command = 0;
        memcpy(m.order_no, rows[i].order_no, sizeof m.order_no);
        give_start(l, &m);
        CHECK(rows[i].row, read_byte(0x82, 0) == rows[i].result);
        CHECK(rows[i].row, sim_port_is_busy(&l->piles[0].ports[0]) != rows[i].ends);
    }
    pass(l, 1999);
    CHECK("its settlement is not yet said", count(0x03) == 0);
    pass(l, 2);
    struct ap3000_settlement s = {0};
    CHECK("2 s after the relay opened it is (3.1)",
          count(0x03) == 1 && ap3000_read(&ap3000_settlement_layout, last(0x03)->payload, &s, NULL) == OK);
    CHECK("stopped by the server, a minute long",
          s.stop_reason == 7 && s.duration_s == 60 && s.port == 0 && s.start_mode == 1);
    CHECK("of that order, with energy",
          memcmp(s.order_no, order_a, 16) == 0 && s.energy_10wh == 0 && s.max_power_dw > 500);
    CHECK("the port is plugged and waits again", sim_port_status(&l->piles[0].ports[0]) == AP3000_PORT_PLUGGED);
    sim_line_free(l);
}

/* What ends a charge: the mode and special fields of 0x82, at real speed, ten hours at most. */
static const struct {
    const char *row;
    uint8_t mode;
    uint16_t limit;
    struct ap3000_start special;
    uint8_t reason;
    int64_t least_s, most_s;
} ends[] = {
    {"by time, to the second", AP3000_RATE_TIME, 1807, {.qr_light = 0}, AP3000_STOP_TIME, 1807, 1807},
    {"by energy", AP3000_RATE_ENERGY, 5, {.qr_light = 0}, AP3000_STOP_ENERGY, 300, 2400},
    {"until full", AP3000_RATE_TIME, 0, {.qr_light = 0}, AP3000_STOP_FULL, 3600, 36000},
    {"monthly: until full, its amount does not count",
     AP3000_RATE_MONTHLY,
     60,
     {.qr_light = 0},
     AP3000_STOP_FULL,
     3600,
     36000},
    {"by count: until full", AP3000_RATE_COUNT, 0, {.qr_light = 0}, AP3000_STOP_FULL, 3600, 36000},
    {"the longest time of the order", AP3000_RATE_TIME, 0, {.max_duration_s = 603}, AP3000_STOP_TIME_LIMIT, 603, 603},
    {"by time, the longest time does not count",
     AP3000_RATE_TIME,
     900,
     {.max_duration_s = 600},
     AP3000_STOP_TIME,
     900,
     900},
    {"by energy it does", AP3000_RATE_ENERGY, 900, {.max_duration_s = 603}, AP3000_STOP_TIME_LIMIT, 603, 603},
    {"by time it is not stopped when full", AP3000_RATE_TIME, 60000, {.qr_light = 0}, AP3000_STOP_TIME, 60000, 60000},
    {"unless that is forced", AP3000_RATE_TIME, 60000, {.force_full_stop = 1}, AP3000_STOP_FULL, 3600, 36000},
    {"without a trickle phase", AP3000_RATE_TIME, 0, {.extra_float_s = 0xFFFF}, AP3000_STOP_FULL, 3600, 36000},
    {"kept feeding after it",
     AP3000_RATE_TIME,
     0,
     {.long_charge = 1, .max_duration_s = 60000},
     AP3000_STOP_TIME_LIMIT,
     60000,
     60000},
    {"overload of the order", AP3000_RATE_TIME, 0, {.overload_power_dw = 500}, AP3000_STOP_OVERLOAD, 1, 60},
};

static void check_ends(void)
{
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        struct sim_line *l = make_registered((struct setup){0});
        struct ap3000_start m = ends[i].special;
        struct ap3000_settlement s = {0};
        m.rate_mode = ends[i].mode;
        m.charge_command = 1;
        m.duration_or_energy = ends[i].limit;
        memcpy(m.order_no, order_a, sizeof m.order_no);
        give_start(l, &m);
        for (int hour = 0; hour < 20 && count(0x03) == 0; hour++)
            pass(l, 60 * MINUTE_MS);
        CHECK(ends[i].row,
              count(0x03) > 0 && ap3000_read(&ap3000_settlement_layout, last(0x03)->payload, &s, NULL) == OK);
        CHECK(ends[i].row, s.stop_reason == ends[i].reason);
        CHECK(ends[i].row, s.duration_s >= ends[i].least_s && s.duration_s <= ends[i].most_s);
        if (ends[i].reason == AP3000_STOP_ENERGY)
            CHECK(ends[i].row, s.energy_10wh == ends[i].limit);
        if (ends[i].reason == AP3000_STOP_FULL)
            CHECK(ends[i].row, sim_port_status(&l->piles[0].ports[0]) == AP3000_PORT_FULL && s.energy_10wh > 40);
        struct ap3000_charging c = {0};
        if (s.duration_s > 600) {
            CHECK("0x06 each 5 min (3.1)",
                  count(0x06) >= s.duration_s / 300u - 1 && count(0x06) <= s.duration_s / 300u);
            CHECK("with all its fields", last(0x06)->payload.len == 47 &&
                                             ap3000_read(&ap3000_charging_layout, last(0x06)->payload, &c, NULL) == OK);
            CHECK("and never more than the settlement",
                  c.duration_s <= s.duration_s && c.energy_10wh <= s.energy_10wh && c.peak_power_dw <= s.max_power_dw);
            CHECK("least, mean, most in order",
                  c.period_min_power_dw <= c.period_avg_power_dw && c.period_avg_power_dw <= c.period_max_power_dw + 1);
        }
        sim_line_free(l);
    }
}

static void check_unplug(void)
{
    struct sim_line *l = make_registered((struct setup){0});
    struct sim_port *port = &l->piles[0].ports[0];
    struct ap3000_start m = start_of(0, AP3000_RATE_TIME, 3600);
    give_start(l, &m);
    pass(l, 5 * MINUTE_MS);
    struct pile_step t = {l, &l->piles[0], &world, now};
    sim_rider_act(&t, port, RIDER_UNPLUG);
    CHECK("unplugging ends the charge", port->phase == PORT_EMPTY && l->piles[0].kept[0][12] == AP3000_STOP_UNPLUGGED);
    check(sim_port_apply(&t, port, PORT_PLUG));
    m.ignore_unplug = 1;
    give_start(l, &m);
    pass(l, 5 * MINUTE_MS);
    t.now = now;
    sim_rider_act(&t, port, RIDER_UNPLUG);
    CHECK("unless that is ignored", port->phase == PORT_CHARGING && sim_port_power_dw(port) == 0);
    pass(l, 60 * MINUTE_MS);
    CHECK("then time ends it, and nobody is there",
          port->phase == PORT_EMPTY && l->piles[0].kept_count == 2 && l->piles[0].kept[1][12] == AP3000_STOP_TIME);
    sim_line_free(l);
}

static void check_changes(void)
{
    static const struct {
        const char *row;
        uint8_t bytes[4];
        uint8_t result;
    } rows[] = {
        {"no such mode", {3, 0, 0, 9}, 3},
        {"no such port", {0, 7, 0, 9}, 3},
        {"a port that does not charge", {0, 1, 0, 9}, 1},
        {"longer", {0, 0, 0x58, 0x02}, 0}, /* 600 s */
        {"by energy", {2, 0, 100, 0}, 0},
        {"by time again", {1, 0, 0x58, 0x02}, 0},
        {"below what has passed", {0, 0, 60, 0}, 2},
        {"that ended it", {0, 0, 60, 0}, 1},
    };
    struct sim_line *l = make_registered((struct setup){0});
    struct ap3000_start m = start_of(0, AP3000_RATE_TIME, 300);
    give_start(l, &m);
    pass(l, 2 * MINUTE_MS);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        give(l, &l->piles[0], 9, 0x8A, (struct bytes){rows[i].bytes, 4});
        CHECK(rows[i].row, read_byte(0x8A, 0) == rows[i].result);
    }
    CHECK("cut off with the reason of its mode (7.3)",
          l->piles[0].kept_count == 1 && l->piles[0].kept[0][12] == AP3000_STOP_TIME);
    sim_line_free(l);
}

/* ---- Settlements ------------------------------------------------------------------------------------------------- */

static void run_order(struct sim_line *l, uint8_t mark)
{
    struct ap3000_start m = start_of(0, AP3000_RATE_TIME, 60);
    m.order_no[1] = mark;
    give_start(l, &m);
    pass(l, MINUTE_MS + 10000);
}

static void check_kept(void)
{
    struct sim_line *l = make_registered((struct setup){0});
    struct sim_pile *p = &l->piles[0];
    run_order(l, 1);
    CHECK("a settlement", count(0x03) == 1 && last(0x03)->payload.len == SETTLEMENT_SIZE && p->kept_count == 1);
    uint16_t id = last(0x03)->message_id;
    pass(l, 16000);
    CHECK("repeated with its id", count(0x03) == 2 && last(0x03)->message_id == id);
    pass(l, 29 * MINUTE_MS);
    CHECK("then not for half an hour", count(0x03) == 2 && said.events[PILE_UNSETTLED] == 1);
    run_order(l, 2);
    pass(l, 2 * MINUTE_MS);
    CHECK("then again, as a new message (10.4)",
          count(0x03) >= 3 && last(0x03)->message_id != id && last(0x03)->payload.at[14] == 1);
    sim_line_cut_power(l, now, 10000);
    CHECK("a power cut is an alarm, and the end of the connection", read_byte(0x42, 0) == 1 && said.drops == 1);
    size_t before = said.count;
    pass(l, 9999);
    CHECK("in the dark nothing is said", said.count == before && said.connects == 1);
    pass(l, 1);
    sim_line_on_time(l, now);
    CHECK("with the light it connects", said.connects == 2);
    sim_line_on_open(l, now);
    pass(l, 1);
    CHECK("message ids begin again, the clock too", last(0x20)->message_id == 1 && !p->is_clock_set);
    before = count(0x03);
    pass(l, 11000);
    CHECK("what was kept is offered",
          count(0x03) == before + 1 && last(0x03)->payload.at[14] == 1 && p->kept_count == 2);
    give(l, p, (uint16_t)(last(0x03)->message_id + 1), 0x03, (struct bytes){(const uint8_t *)"\0", 1});
    CHECK("another id answers nothing", p->kept_count == 2);
    give(l, p, last(0x03)->message_id, 0x03, (struct bytes){(const uint8_t *)"\1", 1});
    CHECK("nor does a refusal", p->kept_count == 2 && said.events[PILE_SETTLED] == 0);
    pass(l, 30 * MINUTE_MS + 1000);
    give_result(l, p, 0x03);
    CHECK("answered: the next one waits", p->kept_count == 1 && said.events[PILE_SETTLED] == 1);
    before = count(0x03);
    pass(l, MINUTE_MS - 1);
    CHECK("for a minute (3.1)", count(0x03) == before);
    pass(l, 1);
    CHECK("and is said", count(0x03) == before + 1 && last(0x03)->payload.at[14] == 2);
    give_result(l, p, 0x03);
    CHECK("nothing is kept any more", p->kept_count == 0 && sim_line_is_quiet(l));
    sim_line_free(l);
}

static void check_resumed(void)
{
    struct sim_line *l = make_registered((struct setup){0});
    struct sim_port *port = &l->piles[0].ports[0];
    struct ap3000_start m = start_of(0, AP3000_RATE_TIME, 600);
    give_start(l, &m);
    pass(l, 5 * MINUTE_MS);
    sim_line_cut_power(l, now, 60 * MINUTE_MS);
    pass(l, 60 * MINUTE_MS);
    sim_line_on_open(l, now);
    CHECK("an order survives a power cut (10.5)", port->phase == PORT_CHARGING && port->order.elapsed_ms / 1000 == 300);
    pass(l, 5 * MINUTE_MS + 12000);
    struct ap3000_settlement s = {0};
    CHECK("and ends as if there had been none",
          count(0x03) == 1 && ap3000_read(&ap3000_settlement_layout, last(0x03)->payload, &s, NULL) == OK &&
              s.duration_s == 600);
    give(l, &l->piles[0], 4, 0x88, (struct bytes){NULL, 0});
    CHECK("clearing the memory drops what was not answered (7.9)", l->piles[0].kept_count == 0 && count(0x88) == 1);
    sim_line_free(l);
}

static void check_room(void)
{
    struct sim_line *l = make_registered((struct setup){0});
    struct pile_step t = {l, &l->piles[0], &world, now};
    struct ap3000_start m = start_of(0, AP3000_RATE_TIME, 60);
    for (int i = 0; i < KEPT_MAX; i++) {
        give_start(l, &m);
        sim_port_stop(&t, &l->piles[0].ports[0], AP3000_STOP_SERVER);
    }
    give_start(l, &m);
    CHECK("a full EEPROM starts nothing", l->piles[0].kept_count == KEPT_MAX && read_byte(0x82, 0) == 7);
    world.is_leaving = true;
    sim_line_finish(l, now);
    pass(l, 0);
    for (int i = 0; i < KEPT_MAX; i++) {
        sim_line_on_time(l, now);
        give_result(l, &l->piles[0], 0x03);
    }
    CHECK("when the simulation ends they do not wait", l->piles[0].kept_count == 0);
    sim_line_free(l);
}

int main(void)
{
    check_starts();
    check_stops();
    check_ends();
    check_unplug();
    check_changes();
    check_kept();
    check_resumed();
    check_room();
    return CHECK_REPORT();
}
