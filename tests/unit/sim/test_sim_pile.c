/* A simulated pile against a scripted server: all pairs of phase and input; what it says by itself and again; hosts;
 * bad networks and old firmware. */
#include "pile_script.h"

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

#define NO -1
/* clang-format off */
static const int8_t wanted[PORT_PHASE_COUNT][PORT_INPUT_COUNT] = {
    /*                  PLUG          START          TAPER         FILL       STOP          UNPLUG      BREAK        REPAIR */
    [PORT_EMPTY]    = {PORT_PLUGGED, NO,            NO,           NO,        NO,           NO,         PORT_BROKEN, NO},
    [PORT_PLUGGED]  = {NO,           PORT_CHARGING, NO,           NO,        NO,           PORT_EMPTY, PORT_BROKEN, NO},
    [PORT_CHARGING] = {NO,           NO,            PORT_TRICKLE, PORT_FULL, PORT_PLUGGED, PORT_EMPTY, PORT_BROKEN, NO},
    [PORT_TRICKLE]  = {NO,           NO,            NO,           PORT_FULL, PORT_PLUGGED, PORT_EMPTY, PORT_BROKEN, NO},
    [PORT_FULL]     = {NO,           PORT_CHARGING, NO,           NO,        NO,           PORT_EMPTY, PORT_BROKEN, NO},
    [PORT_BROKEN]   = {NO,           NO,            NO,           NO,        NO,           NO,         NO,          PORT_EMPTY},
};
static const struct {
    enum port_input inputs[4];
    size_t count;
    uint8_t status; /* 5.1 */
} ways[PORT_PHASE_COUNT] = {
    [PORT_EMPTY]    = {{0},                                 0, 0x00},
    [PORT_PLUGGED]  = {{PORT_PLUG},                         1, 0x02},
    [PORT_CHARGING] = {{PORT_PLUG, PORT_START},             2, 0x01},
    [PORT_TRICKLE]  = {{PORT_PLUG, PORT_START, PORT_TAPER}, 3, 0x05},
    [PORT_FULL]     = {{PORT_PLUG, PORT_START, PORT_FILL},  3, 0x03},
    [PORT_BROKEN]   = {{PORT_BREAK},                        1, 0x07},
};
/* clang-format on */

static void check_rows(void)
{
    for (int from = 0; from < PORT_PHASE_COUNT; from++) {
        for (int input = 0; input < PORT_INPUT_COUNT; input++) {
            struct sim_line *l = make((struct setup){.is_driven = true});
            struct pile_step t = {l, &l->piles[0], &world, now};
            struct sim_port *port = &l->piles[0].ports[0];
            char row[48];
            (void)snprintf(row, sizeof row, "phase %d, input %d", from, input);
            port->fault = AP3000_PORT_SPRING_JAMMED;
            for (size_t i = 0; i < ways[from].count; i++)
                check(sim_port_apply(&t, port, ways[from].inputs[i]));
            CHECK(row, port->phase == from && sim_port_status(port) == ways[from].status);
            size_t kept_count = l->piles[0].kept_count;
            bool was_busy = sim_port_is_busy(port);
            bool has_row = sim_port_apply(&t, port, (enum port_input)input);
            CHECK(row, has_row == (wanted[from][input] != NO));
            CHECK(row, port->phase == (has_row ? wanted[from][input] : from));
            CHECK(row, (l->piles[0].kept_count > kept_count) == (was_busy && !sim_port_is_busy(port)));
            sim_line_free(l);
        }
    }
}

/* ---- What it says by itself -------------------------------------------------------------------------------------- */

static void check_power_up(void)
{
    struct sim_line *l = make((struct setup){0});
    struct sim_pile *p = &l->piles[0];
    sim_line_on_time(l, now);
    CHECK("it connects when it is due", said.connects == 1);
    sim_line_on_open(l, now);
    CHECK("the card number comes first (1.2)", said.iccids == 1 && said.size == 20);
    sim_line_on_time(l, now);
    CHECK("then it registers, with message id 1", count(0x20) == 1 && last(0x20)->message_id == 1);
    CHECK("two ports, type of its product",
          last(0x20)->payload.len == 8 && read_byte(0x20, 2) == 2 && read_byte(0x20, 4) == 0x27);
    pass(l, 14999);
    CHECK("asks for the time, and beats", count(0x22) == 1 && count(0x21) == 1 && last(0x22)->payload.len == 0);
    CHECK("one port has a charger plugged in", read_byte(0x21, 3) == 0x02 && read_byte(0x21, 4) == 0x00);
    CHECK("with its own module it tells of it (5.12)", count(0x11) == 1 && last(0x11)->payload.len == 71);
    CHECK("no answer yet, no repeat yet (3.1)", count(0x20) == 1);
    pass(l, 1);
    CHECK("after 15 s once more", count(0x20) == 2);
    size_t first = 0, second = said.count - 1;
    while (said.frames[first].command != 0x20)
        first++;
    while (said.frames[second].command != 0x20)
        second--;
    CHECK("the same to the byte (2.5)",
          memcmp(said.bytes + said.offsets[first], said.bytes + said.offsets[second], AP3000_PAYLOAD_AT + 8 + 2) == 0);
    pass(l, 60000);
    CHECK("and not a third time", count(0x20) == 2 && said.events[PILE_UNANSWERED] > 0);
    pass(l, 110000);
    CHECK("but after a heartbeat interval, with a new message id", count(0x20) == 3 && last(0x20)->message_id > 2);
    give_result(l, p, 0x20);
    CHECK("until it is answered", said.events[PILE_REGISTERED] == 1);
    CHECK("the clock began in 1970", le32(last(0x11)->payload.at + 3) == 0 && !p->is_clock_set);
    pass(l, 10000);
    give_time(l, p, 0x22);
    CHECK("the clock is set by the answer (4)", p->is_clock_set && p->due_ms[DUE_TIME] == now.ms + 12 * 3600 * 1000);
    size_t beats = count(0x21);
    pass(l, 3 * 180000);
    CHECK("a heartbeat each 180 s, and its repeat", count(0x21) - beats >= 5 && count(0x20) == 3);
    CHECK("two without an answer: it takes itself for offline (1.5)", said.events[PILE_ALONE] == 1 && p->missed >= 2);
    give_result(l, p, 0x21);
    sim_line_free(l);
}

static void check_line(void)
{
    struct sim_line *l = make_registered((struct setup){0});
    struct sim_pile *p = &l->piles[0];
    size_t before = said.links;
    pass(l, 29999);
    CHECK("no link while it is not quiet for 30 s", said.links == before);
    pass(l, 2);
    CHECK("then link", said.links == before + 1);
    sim_line_on_close(l, now);
    CHECK("a lost connection is tried again", l->link == LINE_OFFLINE && sim_line_due_ms(l) <= now.ms + 1500);
    size_t registrations = count(0x20);
    pass(l, 2000);
    sim_line_on_open(l, now);
    pass(l, 2000);
    CHECK("a new connection says its card number", said.connects == 2 && said.events[PILE_OPENED] == 2);
    CHECK("but does not register again (1.1)", count(0x20) == registrations);
    give(l, p, 77, 0x81, (struct bytes){NULL, 0});
    size_t beats = count(0x21);
    pass(l, 2000);
    CHECK("0x81: 0x20 and the heartbeat (7.1)",
          count(0x20) == registrations + 1 && count(0x21) == beats + 1 && count(0x81) == 0);
    give_result(l, p, 0x20);
    give(l, p, 78, 0x87, (struct bytes){NULL, 0});
    CHECK("a reboot is acknowledged", count(0x87) == 1 && last(0x87)->message_id == 78);
    pass(l, 1001);
    CHECK("then message ids begin again (2.5)", said.events[PILE_REBOOT] == 1 && last(0x20)->message_id == 1);
    give(l, p, 79, 0x32, (struct bytes){NULL, 0});
    pass(l, 600);
    CHECK("a reboot of the module is a new connection", said.drops == 1 && count(0x32) == 1 && l->link == LINE_OFFLINE);
    uint8_t other[] = {0};
    struct sim_pile stranger = {.physical_id = p->physical_id + 1};
    give(l, &stranger, 1, 0x82, (struct bytes){other, 1});
    CHECK("a frame of another id is nobody's", count(0x82) == 0);
    sim_line_free(l);
}

static void check_host(void)
{
    struct sim_line *l = make((struct setup){.slaves = 3});
    sim_line_on_time(l, now);
    sim_line_on_open(l, now);
    pass(l, 12000);
    CHECK("a host says 0x11, 0x12, 0x35 by its own id (8)",
          count(0x11) == 1 && count(0x12) == 1 && count(0x35) == 1 && last(0x11)->physical_id >> 24 == 0x09 &&
              last(0x35)->physical_id == last(0x11)->physical_id && last(0x12)->payload.len == 0);
    CHECK("each slave registers with its bus address",
          count(0x20) == 3 && count(0x21) == 3 && last(0x20)->physical_id >> 24 == 0x04);
    CHECK("addresses differ", l->piles[1].virtual_id == 1 && l->piles[3].virtual_id == 3);
    CHECK("the lowest version of its slaves", le16(last(0x35)->payload.at + 3) == l->piles[1].firmware);
    CHECK("a host is no pile", l->piles[0].port_count == 0);
    give_time(l, &l->piles[0], 0x12);
    CHECK("its clock is set", l->piles[0].is_clock_set);
    sim_line_free(l);
}

/* Of every size and kind: a server that gives firmware must know what it is (5.11). */
static void check_products(void)
{
    for (unsigned i = 0; i < PORTS_MAX * 4; i++) {
        unsigned ports = i / 4 + 1;
        uint32_t quirks = i % 2 == 0 ? 0 : 1u << PILE_QUIRK_legacy;
        struct sim_line *l = make((struct setup){.quirks = quirks, .ports = ports, .slaves = i / 2 % 2});
        const struct sim_pile *p = &l->piles[l->pile_count - 1];
        char row[48];
        (void)snprintf(row, sizeof row, "%u ports, type %02X", ports, (unsigned)p->device_type);
        CHECK(row, ap3000_pile_find(p->device_type, ap3000_id_code(p->physical_id), p->firmware) != NULL);
        CHECK(row, p->port_count == ports && !ap3000_id_is_fallback(p->physical_id));
        CHECK("a host too",
              !l->piles[0].is_host || ap3000_host_find(l->piles[0].device_type, l->piles[0].firmware) != NULL);
        sim_line_free(l);
    }
}

/* Ten thousand are to fit into one process beside a server. */
static void check_size(void)
{
    size_t size = sizeof(struct sim_line) + sizeof(struct sim_pile) + 2 * sizeof(struct sim_port);
    CHECK("a pile of two ports takes little", size <= 2200);
}

/* ---- Bad networks, old firmware ---------------------------------------------------------------------------------- */

static void check_quirks(void)
{
    static const struct {
        const char *row;
        uint32_t quirks;
        uint8_t command;
        size_t size; /* of the payload */
    } rows[] = {
        {"glue", 1u << PILE_QUIRK_glue, 0x20, 8},
        {"split", 1u << PILE_QUIRK_split, 0x20, 8},
        {"garbage", 1u << PILE_QUIRK_garbage, 0x21, 7},
        {"repeat", 1u << PILE_QUIRK_repeat, 0x20, 8},
        {"no card number", 1u << PILE_QUIRK_no_iccid, 0x20, 8},
        {"short", 1u << PILE_QUIRK_short_frames, 0x20, 6},
        {"short heartbeat", 1u << PILE_QUIRK_short_frames, 0x21, 5},
        {"short host heartbeat", 1u << PILE_QUIRK_short_frames, 0x11, 9},
        {"legacy", 1u << PILE_QUIRK_legacy, 0x01, 20},
        {"legacy and short", 1u << PILE_QUIRK_legacy | 1u << PILE_QUIRK_short_frames, 0x01, 15},
        {"bad checksums", 1u << PILE_QUIRK_bad_checksum, 0x21, 7},
        {"all of the network", 1u << PILE_QUIRK_glue | 1u << PILE_QUIRK_split | 1u << PILE_QUIRK_garbage, 0x21, 7},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sim_line *l = make_registered((struct setup){.quirks = rows[i].quirks});
        pass(l, 20 * MINUTE_MS);
        CHECK(rows[i].row, last(rows[i].command) != NULL && last(rows[i].command)->payload.len == rows[i].size);
        bool is_split = (rows[i].quirks >> PILE_QUIRK_split & 1) != 0,
             is_glued = (rows[i].quirks >> PILE_QUIRK_glue & 1) != 0;
        CHECK(rows[i].row, !is_split || said.largest == 1);
        CHECK(rows[i].row, !is_glued || is_split || said.largest > 60);
        CHECK(rows[i].row, said.iccids == (rows[i].quirks != 1u << PILE_QUIRK_no_iccid));
        if (rows[i].quirks == 1u << PILE_QUIRK_garbage || rows[i].quirks == 1u << PILE_QUIRK_bad_checksum)
            CHECK(rows[i].row, stream.dropped_count > 0);
        if (rows[i].quirks >> PILE_QUIRK_legacy & 1)
            CHECK("no 0x20, 0x21, 0x11", count(0x20) + count(0x21) + count(0x11) == 0);
        sim_line_free(l);
    }
}

static void check_short_start(void)
{
    struct sim_line *l = make_registered((struct setup){.quirks = 1u << PILE_QUIRK_short_frames});
    struct ap3000_start m = start_of(0, AP3000_RATE_TIME, 600);
    give_start(l, &m);
    CHECK("an answer of one byte (7.2)", last(0x82)->payload.len == 1 && read_byte(0x82, 0) == 0);
    pass(l, 11 * MINUTE_MS);
    CHECK("0x06 up to the order number", last(0x06) != NULL && last(0x06)->payload.len == 31);
    CHECK("0x03 likewise", last(0x03) != NULL && last(0x03)->payload.len == 29);
    sim_line_free(l);
}

static void check_legacy(void)
{
    struct sim_line *l = make_registered((struct setup){.quirks = 1u << PILE_QUIRK_legacy});
    struct ap3000_start m = start_of(0, AP3000_RATE_TIME, 3600);
    give_start(l, &m);
    pass(l, 1);
    CHECK("old firmware confirms its order at once (6.4)", count(0x04) == 1 && last(0x04)->payload.len == 24);
    pass(l, 181000);
    CHECK("and again each heartbeat interval", count(0x04) == 3);
    give(l, &l->piles[0], last(0x04)->message_id, 0x04, (struct bytes){(const uint8_t *)"\0\0", 2});
    pass(l, 20 * MINUTE_MS);
    CHECK("until it is answered", count(0x04) == 3 && count(0x06) == 0);
    sim_line_free(l);
}

/* 6.11, 6.13, 6.14: told when it ends, settled when its place is cleared. */
static void check_cabinet(void)
{
    struct sim_line *l = make_registered((struct setup){.quirks = 1u << PILE_QUIRK_cabinet});
    struct ap3000_start m = start_of(0, AP3000_RATE_TIME, 600);
    CHECK("a heartbeat of its own", count(0x41) == 1 && last(0x41)->payload.len == 9 && read_byte(0x41, 0) == 2);
    give_start(l, &m);
    pass(l, 5 * MINUTE_MS);
    CHECK("its fan is on", count(0x41) >= 2 && read_byte(0x41, 5) == 1);
    pass(l, 10 * MINUTE_MS);
    CHECK("a charge that ends is told", count(0x43) == 1 && last(0x43)->payload.len == 29);
    CHECK("and not settled", count(0x03) == 0 && l->piles[0].kept_count == 0);
    struct pile_step t = {l, &l->piles[0], &world, now};
    CHECK("its place is cleared", sim_port_apply(&t, &l->piles[0].ports[0], PORT_UNPLUG));
    pass(l, 3000);
    CHECK("then it is", count(0x03) == 1 && memcmp(last(0x03)->payload.at, last(0x43)->payload.at, 29) == 0);
    CHECK("with the minutes that it stood there", le16(last(0x03)->payload.at + 35) == 5);
    pass(l, 3 * MINUTE_MS);
    CHECK("its door is open", (read_byte(0x41, 1) & 1) == 1);
    sim_line_free(l);
}

/* A door that is not closed is told with the order that began behind it. */
static void check_doors(void)
{
    unsigned begun = 0;
    struct sim_line *l = make_registered((struct setup){.quirks = 1u << PILE_QUIRK_cabinet});
    struct ap3000_start m = start_of(0, AP3000_RATE_TIME, 60);
    for (; begun < 60 && count(0x44) == 0; begun++) {
        m.order_no[15] = (uint8_t)begun;
        give_start(l, &m);
        if (count(0x44) == 0)
            pass(l, 2 * MINUTE_MS);
        give_result(l, &l->piles[0], 0x03);
        pass(l, MINUTE_MS + 1000);
    }
    CHECK("some riders leave it open", count(0x44) == 1 && begun > 1 && said.events[PILE_AJAR] == 1);
    CHECK("of that order", memcmp(last(0x44)->payload.at + 2, m.order_no, AP3000_ORDER_SIZE) == 0);
    CHECK("the next order clears the place of the one before", count(0x43) == begun);
    sim_line_free(l);
}

/* 8.5, 8.10. */
static void check_host_extras(void)
{
    struct sim_line *l = make((struct setup){.quirks = 1u << PILE_QUIRK_meter | 1u << PILE_QUIRK_radio, .slaves = 2});
    pass(l, 1);
    sim_line_on_open(l, now);
    pass(l, 29000);
    CHECK("a meter is read", count(0x17) == 1 && last(0x17)->physical_id == l->piles[0].physical_id);
    CHECK("all of it", last(0x17)->payload.len == 23 && le16(last(0x17)->payload.at + 2) > 2000);
    CHECK("no question yet", count(0x3B) == 0);
    pass(l, 2000);
    CHECK("who its slaves are it asks 30 s after a restart", count(0x3B) == 1 && last(0x3B)->payload.len == 2);
    pass(l, 31 * MINUTE_MS);
    CHECK("the meter again after half an hour", count(0x17) == 2 && count(0x3B) == 1);
    pass(l, 90 * MINUTE_MS);
    CHECK("the question after two hours", count(0x3B) == 2);
    sim_line_free(l);
    l = make_registered((struct setup){.quirks = 1u << PILE_QUIRK_meter | 1u << PILE_QUIRK_radio});
    pass(l, MINUTE_MS);
    CHECK("a pile has a meter, and no slaves", count(0x17) == 1 && count(0x3B) == 0);
    sim_line_free(l);
}

static void check_networks(void)
{
    struct sim_line *l = make_registered((struct setup){.quirks = 1u << PILE_QUIRK_moves});
    pass(l, 91000);
    CHECK("it comes back and leaves the old connection open",
          said.leaves == 1 && said.connects == 2 && said.drops == 0);
    sim_line_free(l);
    l = make_registered((struct setup){.quirks = 1u << PILE_QUIRK_power_cuts});
    pass(l, 120000);
    CHECK("it loses its power", said.events[PILE_DARK] == 1 && said.drops == 1 && said.connects == 2);
    sim_line_free(l);
    l = make_registered((struct setup){.quirks = 1u << PILE_QUIRK_clock_1970});
    CHECK("its clock is not set", !l->piles[0].is_clock_set);
    sim_line_free(l);
    l = make_registered((struct setup){.quirks = 1u << PILE_QUIRK_lost_answers});
    pass(l, 16000);
    CHECK("the third answer was lost: its heartbeat is repeated", count(0x21) == 2 && count(0x20) == 1);
    sim_line_free(l);
}

int main(void)
{
    check_rows();
    check_power_up();
    check_line();
    check_host();
    check_products();
    check_size();
    check_quirks();
    check_short_start();
    check_legacy();
    check_cabinet();
    check_doors();
    check_host_extras();
    check_networks();
    return CHECK_REPORT();
}
