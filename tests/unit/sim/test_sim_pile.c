/* A simulated pile against a scripted server: no socket, no clock. All pairs of phase and input; what it says by itself
 * and again; starts and what ends a charge; settlements that are kept; parameters; cards; firmware; bad networks. */
#include "check.h"
#include "sim/pile_private.h"
#include <string.h>

#define SAID_MAX   4096
#define STREAM_MAX 262144
#define MINUTE_MS  60000

/* What came up since the last look: bytes as they were written, and the frames in them. */
static struct {
    uint8_t bytes[STREAM_MAX];
    size_t size, writes, largest;
    size_t links, iccids, drops, leaves, connects;
    struct ap3000_frame frames[SAID_MAX];
    uint64_t offsets[SAID_MAX];
    size_t count;
    size_t events[PILE_EVENT_COUNT];
    char text[128]; /* of the last event */
} said;
static struct ap3000_stream stream;
static struct sim_now now;
static struct pile_world world;

static void on_connect(struct sim_line *l)
{
    (void)l;
    said.connects++;
}
static void on_send(struct sim_line *l, struct bytes b)
{
    (void)l;
    check(said.size + b.len <= STREAM_MAX);
    struct bytes in = {said.bytes + said.size, b.len};
    memcpy(said.bytes + said.size, b.at, b.len);
    said.size += b.len;
    said.writes++;
    said.largest = b.len > said.largest ? b.len : said.largest;
    struct ap3000_unit u;
    while (ap3000_stream_next(&stream, &in, &u)) {
        said.links += u.kind == AP3000_LINK;
        said.iccids += u.kind == AP3000_ICCID;
        if (u.kind != AP3000_FRAME)
            continue;
        check(said.count < SAID_MAX);
        u.frame.payload.at = said.bytes + u.offset + AP3000_PAYLOAD_AT; /* the stream's own bytes are gone by then */
        said.offsets[said.count] = u.offset;
        said.frames[said.count++] = u.frame;
    }
}
static void on_drop(struct sim_line *l)
{
    (void)l;
    said.drops++;
}
static void on_leave(struct sim_line *l)
{
    (void)l;
    said.leaves++;
}
static void on_tell(struct sim_line *l, const struct sim_pile *p, const struct sim_event *e)
{
    (void)l;
    (void)p;
    said.events[e->kind]++;
    (void)str_copy(said.text, sizeof said.text, e->text);
}

struct setup {
    uint32_t quirks;
    bool is_driven;
    unsigned ports, slaves;
};
static struct sim_line *make(struct setup s)
{
    memset(&said, 0, sizeof said);
    ap3000_stream_init(&stream);
    now = (struct sim_now){1000000, {INT64_C(1772355600000000)}};
    world = (struct pile_world){.speed_milli = 1000,
                                .quirks = s.quirks,
                                .is_driven = s.is_driven,
                                .first_plug_ms = 1000,
                                .connect = on_connect,
                                .send = on_send,
                                .drop = on_drop,
                                .leave = on_leave,
                                .tell = on_tell};
    return sim_line_new(&world, &(struct sim_line_options){.ports = s.ports == 0 ? 2 : s.ports,
                                                           .slaves = s.slaves,
                                                           .first = 14000001,
                                                           .seed = 7,
                                                           .connect_at_ms = now.ms});
}

static void pass(struct sim_line *l, int64_t ms)
{
    int64_t until_ms = now.ms + ms;
    while (now.ms < until_ms) {
        int64_t due_ms = sim_line_due_ms(l), to_ms = due_ms < until_ms ? due_ms : until_ms;
        if (to_ms > now.ms) {
            now.wall.us += (to_ms - now.ms) * 1000;
            now.ms = to_ms;
        }
        if (due_ms > until_ms)
            break;
        sim_line_on_time(l, now);
    }
}

static void give(struct sim_line *l, const struct sim_pile *p, uint16_t id, uint8_t command, struct bytes payload)
{
    uint8_t out[AP3000_SENT_FIRMWARE_SIZE_MAX];
    size_t size = 0;
    struct ap3000_frame f = {
        .physical_id = p->physical_id, .message_id = id, .command = command, .payload = payload};
    check(ap3000_frame_write(&f, out, sizeof out, &size) == OK);
    sim_line_on_bytes(l, now, (struct bytes){out, size});
}

/* The newest frame of that command that came up; NULL: none. */
static const struct ap3000_frame *last(uint8_t command)
{
    for (size_t i = said.count; i > 0; i--)
        if (said.frames[i - 1].command == command)
            return &said.frames[i - 1];
    return NULL;
}
static size_t count(uint8_t command)
{
    size_t n = 0;
    for (size_t i = 0; i < said.count; i++)
        n += said.frames[i].command == command;
    return n;
}
static void give_result(struct sim_line *l, const struct sim_pile *p, uint8_t command)
{
    const struct ap3000_frame *f = last(command);
    if (f != NULL)
        give(l, p, f->message_id, command, (struct bytes){(const uint8_t *)"\0", 1});
}
static void give_time(struct sim_line *l, const struct sim_pile *p, uint8_t command)
{
    uint8_t t[4];
    le_put(t, 4, (uint32_t)(now.wall.us / 1000000));
    if (last(command) != NULL)
        give(l, p, last(command)->message_id, command, (struct bytes){t, 4});
}

/* In, registered, its clock set, its first heartbeat answered. */
static struct sim_line *make_registered(struct setup s)
{
    struct sim_line *l = make(s);
    sim_line_on_time(l, now);
    sim_line_on_open(l, now);
    pass(l, 3000);
    give_result(l, &l->piles[0], 0x20);
    give_time(l, &l->piles[0], 0x22);
    give_result(l, &l->piles[0], (s.quirks >> PILE_QUIRK_legacy & 1) != 0 ? 0x01 : 0x21);
    return l;
}

static uint8_t read_byte(uint8_t command, size_t at)
{
    const struct ap3000_frame *f = last(command);
    return f != NULL && at < f->payload.len ? f->payload.at[at] : UINT8_MAX;
}

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
    CHECK("two ports, type of its product", last(0x20)->payload.len == 8 && read_byte(0x20, 2) == 2 && read_byte(0x20, 4) == 0x27);
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
    CHECK("0x81: 0x20 and the heartbeat (7.1)", count(0x20) == registrations + 1 && count(0x21) == beats + 1 && count(0x81) == 0);
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
    CHECK("each slave registers with its bus address", count(0x20) == 3 && count(0x21) == 3 && last(0x20)->physical_id >> 24 == 0x04);
    CHECK("addresses differ", l->piles[1].virtual_id == 1 && l->piles[3].virtual_id == 3);
    CHECK("the lowest version of its slaves", le16(last(0x35)->payload.at + 3) == l->piles[1].firmware);
    CHECK("a host is no pile", l->piles[0].port_count == 0);
    give_time(l, &l->piles[0], 0x12);
    CHECK("its clock is set", l->piles[0].is_clock_set);
    sim_line_free(l);
}

/* ---- Starts ------------------------------------------------------------------------------------------------------ */

static const uint8_t order_a[AP3000_ORDER_SIZE] = {0xA5, 1, 2, 3}, order_b[AP3000_ORDER_SIZE] = {0xA5, 9};

static void give_start(struct sim_line *l, const struct ap3000_start *m)
{
    uint8_t out[64];
    size_t size = 0;
    check(ap3000_write(&ap3000_start_layout, m, out, sizeof out, &size, NULL) == OK);
    give(l, &l->piles[0], 500, 0x82, (struct bytes){out, size});
}
static struct ap3000_start start_of(uint8_t port, uint8_t mode, uint16_t limit)
{
    struct ap3000_start m = {.rate_mode = mode, .port = port, .charge_command = 1, .duration_or_energy = limit};
    memcpy(m.order_no, order_a, sizeof m.order_no);
    return m;
}

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
    CHECK("its settlement is not yet said", count(0x03) == 0);
    pass(l, 2000);
    struct ap3000_settlement s = {0};
    CHECK("2 s after the relay opened it is (3.1)",
          count(0x03) == 1 && ap3000_read(&ap3000_settlement_layout, last(0x03)->payload, &s, NULL) == OK);
    CHECK("stopped by the server, a minute long", s.stop_reason == 7 && s.duration_s == 60 && s.port == 0 && s.start_mode == 1);
    CHECK("of that order, with energy", memcmp(s.order_no, order_a, 16) == 0 && s.energy_10wh == 0 && s.max_power_dw > 500);
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
    {"by time, to the second", AP3000_RATE_TIME, 1800, {.qr_light = 0}, AP3000_STOP_TIME, 1800, 1800},
    {"by energy", AP3000_RATE_ENERGY, 5, {.qr_light = 0}, AP3000_STOP_ENERGY, 300, 2400},
    {"until full", AP3000_RATE_TIME, 0, {.qr_light = 0}, AP3000_STOP_FULL, 3600, 36000},
    {"monthly: until full, its amount does not count", AP3000_RATE_MONTHLY, 60, {.qr_light = 0}, AP3000_STOP_FULL, 3600, 36000},
    {"by count: until full", AP3000_RATE_COUNT, 0, {.qr_light = 0}, AP3000_STOP_FULL, 3600, 36000},
    {"the longest time of the order", AP3000_RATE_TIME, 0, {.max_duration_s = 600}, AP3000_STOP_TIME_LIMIT, 600, 600},
    {"by time, the longest time does not count", AP3000_RATE_TIME, 900, {.max_duration_s = 600}, AP3000_STOP_TIME, 900, 900},
    {"by energy it does", AP3000_RATE_ENERGY, 900, {.max_duration_s = 600}, AP3000_STOP_TIME_LIMIT, 600, 600},
    {"by time it is not stopped when full", AP3000_RATE_TIME, 60000, {.qr_light = 0}, AP3000_STOP_TIME, 60000, 60000},
    {"unless that is forced", AP3000_RATE_TIME, 60000, {.force_full_stop = 1}, AP3000_STOP_FULL, 3600, 36000},
    {"without a trickle phase", AP3000_RATE_TIME, 0, {.extra_float_s = 0xFFFF}, AP3000_STOP_FULL, 3600, 36000},
    {"kept feeding after it", AP3000_RATE_TIME, 0, {.long_charge = 1, .max_duration_s = 60000}, AP3000_STOP_TIME_LIMIT, 60000, 60000},
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
        CHECK(ends[i].row, count(0x03) > 0 && ap3000_read(&ap3000_settlement_layout, last(0x03)->payload, &s, NULL) == OK);
        CHECK(ends[i].row, s.stop_reason == ends[i].reason);
        CHECK(ends[i].row, s.duration_s >= ends[i].least_s && s.duration_s <= ends[i].most_s);
        if (ends[i].reason == AP3000_STOP_ENERGY)
            CHECK(ends[i].row, s.energy_10wh == ends[i].limit);
        if (ends[i].reason == AP3000_STOP_FULL)
            CHECK(ends[i].row, sim_port_status(&l->piles[0].ports[0]) == AP3000_PORT_FULL && s.energy_10wh > 40);
        struct ap3000_charging c = {0};
        if (s.duration_s > 600) {
            CHECK("0x06 each 5 min (3.1)", count(0x06) >= s.duration_s / 300u - 1 && count(0x06) <= s.duration_s / 300u);
            CHECK("with all its fields",
                  last(0x06)->payload.len == 47 && ap3000_read(&ap3000_charging_layout, last(0x06)->payload, &c, NULL) == OK);
            CHECK("and never more than the settlement", c.duration_s <= s.duration_s && c.energy_10wh <= s.energy_10wh &&
                                                            c.peak_power_dw <= s.max_power_dw);
            CHECK("least, mean, most in order", c.period_min_power_dw <= c.period_avg_power_dw &&
                                                    c.period_avg_power_dw <= c.period_max_power_dw + 1);
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
    CHECK("then time ends it, and nobody is there", port->phase == PORT_EMPTY && l->piles[0].kept_count == 2 &&
                                                        l->piles[0].kept[1][12] == AP3000_STOP_TIME);
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
    CHECK("cut off with the reason of its mode (7.3)", l->piles[0].kept_count == 1 && l->piles[0].kept[0][12] == AP3000_STOP_TIME);
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
    CHECK("then again, as a new message (10.4)", count(0x03) >= 3 && last(0x03)->message_id != id && last(0x03)->payload.at[14] == 1);
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
    CHECK("what was kept is offered", count(0x03) == before + 1 && last(0x03)->payload.at[14] == 1 && p->kept_count == 2);
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
          count(0x03) == 1 && ap3000_read(&ap3000_settlement_layout, last(0x03)->payload, &s, NULL) == OK && s.duration_s == 600);
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

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *row;
    uint8_t set, read;
    uint8_t bytes[24];
    size_t size;
    uint8_t result;
} blocks[] = {
    {"parameters 1.1", 0x83, 0x90, {3, 0, 10, 0, 25, 8, 7, 16, 14, 60, 0}, 11, 0},
    {"a threshold of 0 %", 0x83, 0x90, {3, 0, 10, 0, 0, 8, 7, 16, 14, 60, 0}, 11, 1},
    {"parameters 1.2", 0x84, 0x91, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}, 23, 0},
    {"limits", 0x85, 0x92, {16, 14, 0x20, 0x4E, 0x8C, 10, 0xE8, 3}, 8, 0},
    {"more than the model stands", 0x85, 0x92, {16, 14, 0x21, 0x4E, 0x8C, 10, 0xE8, 3}, 8, 1},
    {"card keys", 0x86, 0x93, {5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 13, 0},
};

static void check_parameters(void)
{
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        struct sim_line *l = make_registered((struct setup){0});
        struct sim_pile *p = &l->piles[0];
        struct bytes b = {blocks[i].bytes, blocks[i].size};
        give(l, p, 5, blocks[i].set, b);
        CHECK(blocks[i].row, read_byte(blocks[i].set, 0) == blocks[i].result && last(blocks[i].set)->message_id == 5);
        sim_line_cut_power(l, now, 1000);
        pass(l, 1000);
        sim_line_on_open(l, now);
        give(l, p, 6, blocks[i].read, (struct bytes){NULL, 0});
        const struct ap3000_frame *f = last(blocks[i].read);
        CHECK(blocks[i].row, f != NULL && f->payload.len == b.len && f->message_id == 6);
        CHECK(blocks[i].row, f != NULL && (memcmp(f->payload.at, b.at, b.len) == 0) == (blocks[i].result == 0));
        size_t before = said.count;
        give(l, p, 7, blocks[i].set, (struct bytes){b.at, 3});
        CHECK(blocks[i].row, said.count == before); /* too short to be one */
        sim_line_free(l);
    }
}

static void check_memory(void)
{
    struct sim_line *l = make_registered((struct setup){0});
    struct sim_pile *p = &l->piles[0];
    give(l, p, 5, 0x83, (struct bytes){blocks[0].bytes, 11});
    pass(l, 61000);
    give_result(l, p, 0x21);
    size_t beats = count(0x21);
    pass(l, 60000);
    CHECK("the heartbeat follows its parameter", count(0x21) == beats + 1);
    static const uint8_t write[] = {0xB0, 0, 3, 7, 8, 9}, read[] = {0xAF, 0, 5}, far[] = {0xF0, 0, 32};
    give(l, p, 6, 0x8C, (struct bytes){write, sizeof write});
    CHECK("bytes are written", read_byte(0x8C, 0) == 0);
    give(l, p, 7, 0x8B, (struct bytes){read, sizeof read});
    CHECK("and read", last(0x8B)->payload.len == 6 && memcmp(last(0x8B)->payload.at, "\0\0\7\10\11\0", 6) == 0);
    give(l, p, 8, 0x8B, (struct bytes){far, sizeof far});
    CHECK("not past the end", read_byte(0x8B, 0) == 1 && last(0x8B)->payload.len == 1);
    give(l, p, 9, 0x8D, (struct bytes){(const uint8_t *)"\1", 1});
    pass(l, 1);
    CHECK("the work mode is a new registration (6.8)", read_byte(0x8D, 0) == 0 && (read_byte(0x20, 5) & 1) == 1);
    static const uint8_t trifles[][2] = {{0x96, 5}, {0x97, 1}, {0x8F, 3}, {0x95, 0}, {0x8E, 0}};
    for (size_t i = 0; i < COUNT_OF(trifles); i++) {
        uint8_t bytes[200] = {trifles[i][1]};
        size_t size = trifles[i][0] == 0x95 ? 200 : trifles[i][0] == 0x8E ? 76 : 1;
        give(l, p, (uint16_t)(20 + i), trifles[i][0], (struct bytes){bytes, size});
        CHECK("answered with 0", read_byte(trifles[i][0], 0) == 0 && last(trifles[i][0])->message_id == 20 + i);
    }
    struct ap3000_start m = start_of(0, AP3000_RATE_TIME, 0);
    give_start(l, &m);
    uint8_t door[2] = {0, 0}, cabinet[17] = {0};
    memcpy(cabinet + 1, order_b, 16);
    give(l, p, 30, 0x72, (struct bytes){cabinet, 17});
    CHECK("0x72 of another order does nothing", read_byte(0x72, 0) != 0 && sim_port_is_busy(&p->ports[0]));
    give(l, p, 31, 0x98, (struct bytes){door, 2});
    CHECK("a forced door ends the charge (7.21)", read_byte(0x98, 0) == 0 && p->kept[0][12] == AP3000_STOP_FORCED);
    give_start(l, &m);
    memcpy(cabinet + 1, order_a, 16);
    give(l, p, 32, 0x72, (struct bytes){cabinet, 17});
    CHECK("0x72 ends its order", read_byte(0x72, 0) == 0 && p->kept_count == 2 && memcmp(last(0x72)->payload.at + 1, order_a, 16) == 0);
    size_t before = said.count;
    give(l, p, 33, 0xE4, (struct bytes){NULL, 0});
    give(l, p, 34, 0x47, (struct bytes){NULL, 0});
    CHECK("what asks for no answer gets none", said.count == before);
    sim_line_free(l);
}

/* ---- Cards and codes --------------------------------------------------------------------------------------------- */

static void give_card(struct sim_line *l, uint8_t status)
{
    const struct ap3000_frame *f = last(0x02);
    struct ap3000_card_answer m = {.account_status = status, .balance_or_expiry = 1234, .port = f->payload.at[5]};
    uint8_t out[16];
    size_t size = 0;
    memcpy(m.card_id, f->payload.at, 4);
    check(ap3000_write(&ap3000_card_answer_layout, &m, out, sizeof out, &size, NULL) == OK);
    give(l, &l->piles[0], f->message_id, 0x02, (struct bytes){out, size});
}

static void check_cards(void)
{
    struct sim_line *l = make_registered((struct setup){0});
    struct sim_pile *p = &l->piles[0];
    struct sim_port *port = &p->ports[0];
    struct pile_step t = {l, p, &world, now};
    sim_rider_act(&t, port, RIDER_ASK_BALANCE);
    CHECK("a query has port 255", count(0x02) == 1 && read_byte(0x02, 5) == 0xFF && last(0x02)->payload.len == 12);
    give_card(l, 0);
    CHECK("the balance is said", said.events[PILE_SAID_BALANCE] == 1 && port->phase == PORT_PLUGGED);
    pass(l, 5000);
    CHECK("then the card is swiped", count(0x02) == 2 && read_byte(0x02, 5) == 0);
    give_card(l, 0);
    CHECK("granted is not started (11.1)", said.events[PILE_CARD_GRANTED] == 1 && port->phase == PORT_PLUGGED);
    struct ap3000_start m = start_of(0, AP3000_RATE_TIME, 60);
    give_start(l, &m);
    CHECK("the start is", sim_port_is_busy(port) && port->order.start_mode == AP3000_START_SERVER);
    pass(l, 70000);
    give_result(l, p, 0x03);
    t.now = now;
    sim_rider_act(&t, port, RIDER_SWIPE);
    give_card(l, AP3000_ACCOUNT_NO_BALANCE);
    CHECK("refused", said.events[PILE_CARD_REFUSED] == 1 && port->next_act == RIDER_UNPLUG);
    sim_rider_act(&t, port, RIDER_SWIPE);
    size_t before = count(0x02);
    pass(l, 29000);
    CHECK("repeated once", count(0x02) == before + 1 || port->phase == PORT_EMPTY);
    sim_line_free(l);
}

/* The order number that the pile made, as the server reads it. */
static void check_made(const char *row, struct sim_line *l, enum ap3000_order_origin origin)
{
    struct ap3000_order o;
    struct sim_port *port = &l->piles[0].ports[0];
    ap3000_order_read(port->order.no, &o);
    CHECK(row, sim_port_is_busy(port) && o.origin == origin && o.number == 14000001 && o.port == 0);
    CHECK(row, instant_since(sim_pile_clock(&(struct pile_step){l, &l->piles[0], &world, now}), o.started).us < 1000000);
}

static void check_alone(void)
{
    struct sim_line *l = make_registered((struct setup){0});
    struct sim_pile *p = &l->piles[0];
    struct sim_port *port = &p->ports[0];
    struct pile_step t = {l, p, &world, now};
    sim_rider_act(&t, port, RIDER_SWIPE);
    pass(l, 29999);
    CHECK("asked twice, not started", count(0x02) == 2 && port->phase == PORT_PLUGGED);
    pass(l, 1);
    check_made("unanswered twice: the pile decides (11.2)", l, AP3000_ORDER_CARD);
    CHECK("by the card", port->order.start_mode == AP3000_START_CARD && memcmp(port->order.no + 7, port->card, 4) == 0 &&
                             memcmp(port->order.card_or_code, port->card, 4) == 0);
    t.now = now;
    sim_port_stop(&t, port, AP3000_STOP_UNPLUGGED);
    p->missed = 2;
    size_t before = count(0x02);
    sim_rider_act(&t, port, RIDER_SWIPE);
    CHECK("offline it does not ask", count(0x02) == before && sim_port_is_busy(port));
    sim_port_stop(&t, port, AP3000_STOP_UNPLUGGED);
    sim_rider_act(&t, port, RIDER_TYPE_CODE);
    check_made("a code (11.3)", l, AP3000_ORDER_CODE);
    struct ap3000_order o;
    ap3000_order_read(port->order.no, &o);
    uint32_t code = ap3000_code(p->physical_id, 0, sim_pile_clock(&t), AP3000_CRC_IEEE);
    CHECK("is the one of that minute", o.code == code && port->order.start_mode == AP3000_START_CODE);
    sim_port_stop(&t, port, AP3000_STOP_UNPLUGGED);
    sim_line_cut_power(l, now, 1);
    pass(l, 1);
    sim_line_on_time(l, now);
    t.now = now;
    sim_rider_act(&t, port, RIDER_TYPE_CODE);
    CHECK("no code without a clock", !sim_port_is_busy(port));
    sim_line_free(l);
}

/* A day at sixty times: people come and go, and what begins is settled. */
static void check_driven(void)
{
    struct sim_line *l = make_registered((struct setup){.is_driven = true, .ports = 10});
    size_t answered = 0;
    world.speed_milli = 60000;
    for (int i = 0; i < 24 * 60; i++) {
        size_t from = said.count;
        pass(l, 1000);
        for (size_t k = from; k < said.count; k++) {
            if (said.frames[k].command == 0x03 || said.frames[k].command == 0x21) {
                give(l, &l->piles[0], said.frames[k].message_id, said.frames[k].command, (struct bytes){(const uint8_t *)"\0", 1});
                answered++;
            }
        }
        if (said.count > SAID_MAX / 2)
            said.count = 0;
        if (said.size > STREAM_MAX / 2) {
            said.size = said.count = 0;
            ap3000_stream_init(&stream);
        }
    }
    CHECK("people come, charge and go", said.events[PILE_PLUGGED] > 20 && said.events[PILE_LEFT] > 20);
    CHECK("without an answer to their cards the pile decides", said.events[PILE_CARD_ALONE] > 5);
    CHECK("codes too", said.events[PILE_CODE_TYPED] > 0);
    CHECK("batteries get full, and riders leave before", said.events[PILE_TRICKLING] > 0 && said.events[PILE_STOPPED] > 10);
    CHECK("all that began is settled or runs",
          said.events[PILE_SETTLED] + l->piles[0].kept_count + (size_t)world.totals.active == said.events[PILE_STARTED]);
    CHECK("there was something to answer", answered > 20);
    world.is_leaving = true;
    sim_line_finish(l, now);
    CHECK("at the end nobody charges", world.totals.active == 0);
    sim_line_free(l);
}

/* ---- Firmware ---------------------------------------------------------------------------------------------------- */

#define CHUNK 200
static void give_packet(struct sim_line *l, uint8_t command, uint16_t total, uint16_t index, const uint8_t *data)
{
    uint8_t payload[4 + CHUNK];
    le_put(payload, 2, total);
    le_put(payload + 2, 2, index);
    memcpy(payload + 4, data, CHUNK);
    give(l, &l->piles[0], (uint16_t)(100 + index), command, (struct bytes){payload, sizeof payload});
}

static void check_firmware(void)
{
    static const struct {
        const char *row;
        uint32_t sum_off;
        uint8_t type;
        uint8_t result;
    } rows[] = {
        {"the sum and the type are right", 0, 0x27, 0},
        {"the sum is not", 1, 0x27, 2},
        {"the type is not", 0, 0x10, 5},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sim_line *l = make_registered((struct setup){0});
        uint8_t image[CHUNK], last_packet[CHUNK] = {0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8};
        memset(image, 7, sizeof image);
        give_packet(l, 0xE0, 3, 2, image);
        CHECK("not from the middle: the first is named", read_byte(0xE0, 0) == 1 && le16(last(0xE0)->payload.at + 1) == 1);
        give_packet(l, 0xE0, 3, 1, image);
        CHECK("the first packet", read_byte(0xE0, 0) == 0 && le16(last(0xE0)->payload.at + 1) == 1 && last(0xE0)->message_id == 101);
        give_packet(l, 0xE0, 3, 1, image);
        CHECK("once more", read_byte(0xE0, 0) == 0);
        give_packet(l, 0xE0, 3, 2, image);
        le_put(last_packet + 8, 4, 2 * CHUNK * 7 + rows[i].sum_off);
        last_packet[12] = rows[i].type;
        le_put(last_packet + 13, 2, 399);
        give_packet(l, 0xE0, 3, 3, last_packet);
        CHECK(rows[i].row, read_byte(0xE0, 0) == rows[i].result && le16(last(0xE0)->payload.at + 1) == 3);
        pass(l, 3500);
        CHECK(rows[i].row, (l->piles[0].firmware == 399) == (rows[i].result == 0));
        CHECK(rows[i].row, said.events[PILE_REBOOT] == (rows[i].result == 0));
        sim_line_free(l);
    }
}

static void check_host_firmware(void)
{
    struct sim_line *l = make((struct setup){.slaves = 1});
    uint8_t image[CHUNK] = {9};
    sim_line_on_time(l, now);
    sim_line_on_open(l, now);
    give(l, &l->piles[0], 50, 0xFA, (struct bytes){NULL, 0});
    CHECK("an empty packet: ready, from packet 1 (9)", last(0xFA)->message_id == 50 && memcmp(last(0xFA)->payload.at, "\0\0\0", 3) == 0);
    pass(l, 180000);
    CHECK("no data for three minutes: it asks", count(0xFA) == 2 && last(0xFA)->message_id != 50);
    for (uint16_t i = 1; i <= 2; i++)
        give_packet(l, 0xFA, 2, i, image);
    uint16_t before = l->piles[0].firmware;
    pass(l, 3500);
    CHECK("complete without a check packet", l->piles[0].firmware == before + 1);
    sim_line_free(l);
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
        bool is_split = (rows[i].quirks >> PILE_QUIRK_split & 1) != 0, is_glued = (rows[i].quirks >> PILE_QUIRK_glue & 1) != 0;
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

static void check_networks(void)
{
    struct sim_line *l = make_registered((struct setup){.quirks = 1u << PILE_QUIRK_moves});
    pass(l, 91000);
    CHECK("it comes back and leaves the old connection open", said.leaves == 1 && said.connects == 2 && said.drops == 0);
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
    check_starts();
    check_stops();
    check_ends();
    check_unplug();
    check_changes();
    check_kept();
    check_resumed();
    check_room();
    check_parameters();
    check_memory();
    check_cards();
    check_alone();
    check_driven();
    check_firmware();
    check_host_firmware();
    check_quirks();
    check_short_start();
    check_legacy();
    check_networks();
    return CHECK_REPORT();
}
