/* What else a simulated pile does: parameters and EEPROM, cards and codes, a day of people, firmware. */
#include "pile_script.h"

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
    {"parameters 1.2",
     0x84,
     0x91,
     {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23},
     23,
     0},
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
    CHECK("0x72 ends its order",
          read_byte(0x72, 0) == 0 && p->kept_count == 2 && memcmp(last(0x72)->payload.at + 1, order_a, 16) == 0);
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
    CHECK("the card is the number of the pile and the port", be32(port->card) == 14000001u << 4);
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
    CHECK(row,
          instant_since(sim_pile_clock(&(struct pile_step){l, &l->piles[0], &world, now}), o.started).us < 1000000);
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
    CHECK("by the card", port->order.start_mode == AP3000_START_CARD &&
                             memcmp(port->order.no + 7, port->card, 4) == 0 &&
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
                give(l, &l->piles[0], said.frames[k].message_id, said.frames[k].command,
                     (struct bytes){(const uint8_t *)"\0", 1});
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
    CHECK("batteries get full, and riders leave before",
          said.events[PILE_TRICKLING] > 0 && said.events[PILE_STOPPED] > 10);
    CHECK("all that began is settled or runs",
          said.events[PILE_SETTLED] + l->piles[0].kept_count + (size_t)world.totals.active ==
              said.events[PILE_STARTED]);
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
        CHECK("not from the middle: the first is named",
              read_byte(0xE0, 0) == 1 && le16(last(0xE0)->payload.at + 1) == 1);
        give_packet(l, 0xE0, 3, 1, image);
        CHECK("the first packet",
              read_byte(0xE0, 0) == 0 && le16(last(0xE0)->payload.at + 1) == 1 && last(0xE0)->message_id == 101);
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
    CHECK("an empty packet: ready, from packet 1 (9)",
          last(0xFA)->message_id == 50 && memcmp(last(0xFA)->payload.at, "\0\0\0", 3) == 0);
    pass(l, 180000);
    CHECK("no data for three minutes: it asks", count(0xFA) == 2 && last(0xFA)->message_id != 50);
    for (uint16_t i = 1; i <= 2; i++)
        give_packet(l, 0xFA, 2, i, image);
    uint16_t before = l->piles[0].firmware;
    pass(l, 3500);
    CHECK("complete without a check packet", l->piles[0].firmware == before + 1);
    sim_line_free(l);
}

int main(void)
{
    check_parameters();
    check_memory();
    check_cards();
    check_alone();
    check_driven();
    check_firmware();
    check_host_firmware();
    return CHECK_REPORT();
}
