/* test_ap3000_frames.c - frames, physical ids and payloads: rows of our own, and for every line of frames.def what it
 * promises when a payload is cut short, goes on, or is to be written wrongly. */
#include "check.h"
#include "pilekit.h"

#include "proto/ap3000/order.h"

#define ORDER      "A5000000000000000000000000000007"
#define ORDER_JSON "\"order_no\":\"A5000000000000000000000000000007\""

/* --- payloads: hexadecimal, and the fields that must come of it --- */

static const struct {
    const char *row;
    uint8_t command;
    enum ap3000_direction way;
    const char *hex, *fields;
} payloads[] = {
    {"a heartbeat of two ports", 0x21, AP3000_UP, "9808 02 0001 09 55",
     "\"voltage_dv\":2200,\"port_count\":2,\"port_status\":[0,1],\"signal\":9,\"ambient_temp_raw\":85,"
     "\"ambient_temp_c\":20"},
    {"a heartbeat without its optional fields", 0x21, AP3000_UP, "9808 01 05",
     "\"voltage_dv\":2200,\"port_count\":1,\"port_status\":[5]"},
    {"no sensor", 0x21, AP3000_UP, "9808 00 00 00",
     "\"voltage_dv\":2200,\"port_count\":0,\"port_status\":[],\"signal\":0,\"ambient_temp_raw\":0,"
     "\"ambient_temp_c\":null"},
    {"a port is missing: kept raw", 0x21, AP3000_UP, "9808 02 00", "\"raw\":\"98080200\""},
    {"half a number more is surplus", 0x20, AP3000_UP, "7E00 02 00 21 00 E4",
     "\"firmware\":126,\"port_count\":2,\"virtual_id\":0,\"device_type\":33,\"work_mode\":0,\"extra\":\"E4\""},
    {"a settlement of 29 bytes", 0x03, AP3000_UP, "100E 4C04 0B00 01 01 00000000 05 " ORDER,
     "\"duration_s\":3600,\"max_power_dw\":1100,\"energy_10wh\":11,\"port\":1,\"start_mode\":1,\"card_or_code\":"
     "\"00000000\",\"stop_reason\":5," ORDER_JSON},
    {"a settlement of 28 bytes: kept raw", 0x03, AP3000_UP,
     "100E 4C04 0B00 01 01 00000000 05 A50000000000000000000000000000",
     "\"raw\":\"100E4C040B000101000000000"
     "5A50000000000000000000000000000\""},
    {"a stop reason that nobody knows is kept", 0x43, AP3000_UP, "100E 4C04 0B00 01 07 00000000 EE " ORDER,
     "\"duration_s\":3600,\"max_power_dw\":1100,\"energy_10wh\":11,\"port\":1,\"start_mode\":7,\"card_or_code\":"
     "\"00000000\",\"stop_reason\":238," ORDER_JSON},
    {"a second card number that is cut is surplus", 0x02, AP3000_UP, "7A8D05DD 04 00 0000 185C6869 10 3132",
     "\"card_id\":\"7A8D05DD\",\"card_type\":4,\"port\":0,\"card_balance_fen\":0,\"timestamp\":1768447000,"
     "\"card2_len\":16,\"extra\":\"3132\""},
    {"one byte of an answer", 0x82, AP3000_UP, "01", "\"result\":1"},
    {"two bytes of an answer: the code is the first", 0x82, AP3000_UP, "0105", "\"result\":1,\"extra\":\"05\""},
    {"no byte of an answer: kept raw", 0x82, AP3000_UP, "", "\"raw\":\"\""},
    {"a start of 25 bytes", 0x82, AP3000_DOWN, "02 E2040000 FF 01 9600 " ORDER,
     "\"rate_mode\":2,\"balance_or_expiry\":1250,\"port\":255,\"charge_command\":1,\"duration_or_energy\":"
     "150," ORDER_JSON},
    {"text is padded with zeros", 0x95, AP3000_UP, "00", "\"result\":0"},
    {"blocks of slaves", 0x35, AP3000_UP, "02 21 00 CD00 3B37AB04 28 00 6402 40AACE04",
     "\"count\":2,\"slaves\":[{\"slave_type\":33,\"reserved\":0,\"min_firmware\":205,\"physical_id\":\"04AB373B\"},"
     "{\"slave_type\":40,\"reserved\":0,\"min_firmware\":612,\"physical_id\":\"04CEAA40\"}]"},
    {"no slaves", 0x35, AP3000_UP, "00", "\"count\":0,\"slaves\":[]"},
    {"a block of a slave is cut: kept raw", 0x35, AP3000_UP, "01 21 00 CD00 3B37AB", "\"raw\":\"012100CD003B37AB\""},
    {"settings of a radio host", 0x3A, AP3000_DOWN, "D901 000000 01 40AACE04",
     "\"frequency_mhz\":473,\"reserved\":\"000000\",\"count\":1,\"slave_ids\":[\"04CEAA40\"]"},
    {"what stands in the memory", 0x8B, AP3000_UP, "00 DEAD", "\"result\":0,\"data\":\"DEAD\""},
    {"the trigger of a host's firmware", 0xFA, AP3000_DOWN, "", ""},
    {"a command without a table", 0x23, AP3000_UP, "000102", "\"raw\":\"000102\""},
    {"a command that goes one way only", 0x21, AP3000_DOWN, "00", "\"result\":0"},
    {"and not the other", 0x41, AP3000_DOWN, "00", "\"raw\":\"00\""},
};

static void check_payloads(void)
{
    struct buf got;
    buf_init(&got, KIT_TEXT_MAX);
    for (size_t i = 0; i < COUNT_OF(payloads); i++) {
        struct kit_bytes b;
        char want[1024];
        struct json_writer w;
        kit_hex(str_of(payloads[i].hex), &b);
        struct ap3000_frame f = {.command = payloads[i].command, .payload = kit_view(&b)};
        buf_clear(&got);
        jw_init(&w, &got);
        ap3000_frame_json(&w, &f, payloads[i].way);
        (void)snprintf(want, sizeof want, "\"fields\":{%s}}", payloads[i].fields);
        size_t len = strlen(want);
        CHECK(payloads[i].row, got.len >= len && memcmp(got.at + got.len - len, want, len) == 0);
        if (strstr(want, "\"raw\"") == NULL)
            CHECK(payloads[i].row, kit_is_written_back(&f, payloads[i].way));
    }
    buf_release(&got);
}

/* --- every line of frames.def --- */

/* Bytes from which each list is of one item. */
static void fill(uint8_t bytes[AP3000_PAYLOAD_SIZE_MAX])
{
    memset(bytes, 1, AP3000_PAYLOAD_SIZE_MAX);
}

/* What is needed, and all that is known, when each list has one item. */
static void find_sizes(const struct ap3000_layout *l, size_t *least, size_t *most)
{
    *least = *most = 0;
    for (size_t i = 0; i < l->count; i++) {
        *most += l->fields[i].size;
        if (l->fields[i].presence == AP3000_REQUIRED)
            *least = *most;
    }
}

static void check_layout(const struct ap3000_layout *l)
{
    uint8_t bytes[AP3000_PAYLOAD_SIZE_MAX], again[AP3000_PAYLOAD_SIZE_MAX];
    size_t least, most, written = 0;
    struct fault why;
    void *s = mem_new(1, l->size);
    fill(bytes);
    find_sizes(l, &least, &most);
    CHECK(l->name, l->count <= AP3000_FIELDS_MAX && most + 3 <= AP3000_PAYLOAD_SIZE_MAX);
    for (size_t len = 0; len <= most + 3; len++) {
        enum err e = ap3000_read(l, (struct bytes){bytes, len}, s, &why);
        CHECK(l->name, e == (len < least ? ERR_MISSING : OK));
        if (e != OK)
            continue;
        const struct ap3000_tail *tail = s;
        CHECK(l->name, (tail->absent == 0) == (len >= most));
        CHECK(l->name, ap3000_write(l, s, again, len, &written, &why) == OK);
        CHECK(l->name, written == len && memcmp(bytes, again, len) == 0);
        if (len > 0)
            CHECK(l->name, ap3000_write(l, s, again, len - 1, &written, &why) == ERR_FULL && written == len);
    }
    free(s);
}

/* What rows.h and the others take for granted of a line. */
static void check_fields(const struct ap3000_layout *l)
{
    bool is_optional = false;
    for (size_t i = 0; i < l->count; i++) {
        const struct ap3000_field *f = &l->fields[i];
        size_t key_len = strlen(f->key), part_size = 0;
        CHECK(f->key, !is_optional || f->presence == AP3000_OPTIONAL);
        is_optional = f->presence == AP3000_OPTIONAL;
        CHECK(f->key, f->unit != AP3000_IS_TEMPERATURE || (key_len > 4 && strcmp(f->key + key_len - 4, "_raw") == 0));
        CHECK(f->key, f->unit != AP3000_IS_ORDER || f->size == AP3000_ORDER_SIZE);
        CHECK(f->key, f->kind != AP3000_REST || i + 1 == l->count);
        if (f->count_index >= 0) {
            const struct ap3000_field *count = &l->fields[f->count_index];
            CHECK(f->key, (size_t)f->count_index < i && count->kind == AP3000_NUMBER && count->size == 1);
        }
        for (size_t j = 0; f->part != NULL && j < f->part->count; j++) {
            CHECK(f->key, f->part->fields[j].kind == AP3000_NUMBER);
            part_size += f->part->fields[j].size;
        }
        CHECK(f->key, f->part == NULL || part_size == f->size);
    }
}

static void check_commands(void)
{
    unsigned count = 0;
    for (unsigned command = 0; command <= UINT8_MAX; command++) {
        const struct ap3000_command *up = ap3000_command_find((uint8_t)command, AP3000_UP);
        const struct ap3000_command *down = ap3000_command_find((uint8_t)command, AP3000_DOWN);
        const struct ap3000_command *both[] = {up, down};
        for (size_t i = 0; i < COUNT_OF(both); i++) {
            if (both[i] == NULL)
                continue;
            count++;
            check_layout(both[i]->layout);
            check_fields(both[i]->layout);
            const struct ap3000_command *other = both[1 - i];
            CHECK(both[i]->name, both[i]->manner != AP3000_ASKS || (other != NULL && other->manner == AP3000_ANSWERS));
            CHECK(both[i]->name, both[i]->manner != AP3000_ANSWERS || (other != NULL && other->manner == AP3000_ASKS));
            CHECK(both[i]->name, other == NULL || strcmp(other->name, both[i]->name) == 0);
        }
    }
    CHECK("there are commands", count > 90);
    /* 7.16, 8.12, A40: removed, or named and not described. */
    static const uint8_t undefined[] = {0x07, 0x13, 0x19, 0x1A, 0x23, 0x26, 0x73, 0x94, 0xA1, 0xA6};
    for (size_t i = 0; i < COUNT_OF(undefined); i++)
        CHECK("a command without a definition has no table",
              ap3000_command_find(undefined[i], AP3000_UP) == NULL &&
                  ap3000_command_find(undefined[i], AP3000_DOWN) == NULL);
}

/* --- what must not be written --- */

static void check_writing(void)
{
    uint8_t to[AP3000_PAYLOAD_SIZE_MAX];
    static const uint8_t two[2] = {0, 1}, data[200] = {1};
    size_t size = 7;
    struct fault why;
    struct ap3000_heartbeat beat = {.port_count = 1, .port_status = {two, 2}};
    CHECK("a list of another length than its count says",
          ap3000_write(&ap3000_heartbeat_layout, &beat, to, sizeof to, &size, &why) == ERR_RANGE && size == 7);
    beat.port_count = 2;
    CHECK("and of that length",
          ap3000_write(&ap3000_heartbeat_layout, &beat, to, sizeof to, &size, &why) == OK && size == 7);
    struct ap3000_result none = {.tail.absent = 1};
    CHECK("a required field that is absent",
          ap3000_write(&ap3000_result_layout, &none, to, sizeof to, &size, &why) == ERR_MISSING);
    struct ap3000_packet packet = {.data = {data, 199}};
    CHECK("a chunk that is too short",
          ap3000_write(&ap3000_packet_layout, &packet, to, sizeof to, &size, &why) == ERR_RANGE);
    packet.data.len = 200;
    CHECK("and one that is whole",
          ap3000_write(&ap3000_packet_layout, &packet, to, sizeof to, &size, &why) == OK && size == 204);
    struct ap3000_qr_base qr = {.qr_text = {(const char *)data, 73}};
    CHECK("a text that is too long",
          ap3000_write(&ap3000_qr_base_layout, &qr, to, sizeof to, &size, &why) == ERR_RANGE);
    qr.qr_text = STR("http://x.invalid");
    memset(to, 0xFF, sizeof to);
    CHECK("a text is padded",
          ap3000_write(&ap3000_qr_base_layout, &qr, to, sizeof to, &size, &why) == OK && size == 76 && to[75] == 0);
    struct ap3000_start start = {.rate_mode = AP3000_RATE_TIME, .charge_command = AP3000_CHARGE_START};
    CHECK("the full form is the default",
          ap3000_write(&ap3000_start_layout, &start, to, sizeof to, &size, &why) == OK && size == 38);
    CHECK("it has all fields", AP3000_HAS(start, &start, full_power_max_min));
    start.tail.absent = AP3000_UP_TO(start, order_no);
    CHECK("an old form ends after the order number",
          ap3000_write(&ap3000_start_layout, &start, to, sizeof to, &size, &why) == OK && size == 25);
    CHECK("and has no other fields", !AP3000_HAS(start, &start, max_duration_s) && AP3000_HAS(start, &start, order_no));
}

/* --- frames --- */

static const struct {
    const char *row, *hex;
    enum err want;
} frames[] = {
    {"a frame without payload", "444E59090040AACE040100813203", OK},
    {"more behind it", "444E59090040AACE04010081320300", OK},
    {"the checksum is wrong", "444E59090040AACE040100813303", ERR_CORRUPT},
    {"the checksum is turned round", "444E59090040AACE040100810332", ERR_CORRUPT},
    {"the last byte is missing", "444E59090040AACE0401008132", ERR_AGAIN},
    {"the head is cut", "444E5909", ERR_AGAIN},
    {"nothing is there", "", ERR_AGAIN},
    {"another header", "444E58090040AACE040100813203", ERR_FORMAT},
    {"another header, cut", "45", ERR_FORMAT},
    {"a length of 8", "444E590800", ERR_RANGE},
    {"a length of 513", "444E590102", ERR_RANGE},
    {"a length of 512", "444E590002", ERR_AGAIN},
};

static void check_frames(void)
{
    uint8_t to[AP3000_FRAME_SIZE_MAX], payload[AP3000_PAYLOAD_SIZE_MAX] = {0};
    size_t size = 0;
    for (size_t i = 0; i < COUNT_OF(frames); i++) {
        struct kit_bytes b;
        struct ap3000_frame f;
        struct fault why = {0};
        kit_hex(str_of(frames[i].hex), &b);
        enum err e = ap3000_frame_read(kit_view(&b), &f, &size, &why);
        CHECK(frames[i].row, e == frames[i].want && (e == OK) == (why.reason[0] == '\0'));
        if (e == OK || e == ERR_CORRUPT)
            CHECK(frames[i].row, f.physical_id == 0x04CEAA40 && f.message_id == 1 && f.command == 0x81);
    }
    struct ap3000_frame f = {.command = 0x23, .payload = {payload, 242}};
    CHECK("256 bytes may be sent", ap3000_frame_write(&f, to, sizeof to, &size) == OK && size == 256);
    CHECK("if there is room", ap3000_frame_write(&f, to, 255, &size) == ERR_FULL);
    f.payload.len = 243;
    CHECK("257 may not", ap3000_frame_write(&f, to, sizeof to, &size) == ERR_LIMIT);
    f.command = 0xF8;
    f.payload.len = 260;
    CHECK("274 of the old firmware may", ap3000_frame_write(&f, to, sizeof to, &size) == OK && size == 274);
    f.payload.len = 261;
    CHECK("275 may not", ap3000_frame_write(&f, to, sizeof to, &size) == ERR_LIMIT);
}

static void check_ids(void)
{
    uint32_t id = 0;
    uint8_t port = 0;
    char text[AP3000_ID_TEXT_SIZE];
    ap3000_id_write(0x04CEAA40, text);
    CHECK("an id as text", strcmp(text, "04CEAA40") == 0);
    CHECK("and back", ap3000_id_parse(str_of(text), &id) == OK && id == 0x04CEAA40);
    CHECK("the printed number", ap3000_id_number(id) == 13544000 && ap3000_id_code(id) == AP3000_DEVICE_DOUBLE);
    CHECK("an id of 7 digits", ap3000_id_parse(STR("4CEAA40"), &id) == ERR_FORMAT);
    CHECK("an id with another letter", ap3000_id_parse(STR("04CEAA4G"), &id) == ERR_FORMAT);
    CHECK("what a QR code says",
          ap3000_qr_parse(STR("http://x.invalid/3bba0104/01"), &id, &port) == OK && id == 0x0401BA3B && port == 1);
    CHECK("let the pile choose", ap3000_qr_parse(STR("1972aa04/ff"), &id, &port) == OK && port == 0xFF);
    CHECK("a QR code without port", ap3000_qr_parse(STR("http://x.invalid/3bba0104"), &id, &port) == ERR_FORMAT);
    CHECK("a QR code that is too short", ap3000_qr_parse(STR("bba0104/01"), &id, &port) == ERR_FORMAT);
    CHECK("a fallback serial", ap3000_id_is_fallback(0x04000000 | 12000000) && ap3000_id_is_fallback(10011001));
    CHECK("another one", !ap3000_id_is_fallback(0x04CEAA40));
}

/* --- codes, products, orders, words --- */

static void check_codes(void)
{
    CHECK("a code", strcmp(ap3000_value_text(&ap3000_stop_reason_list, AP3000_STOP_UNPLUGGED), "user unplugged") == 0);
    CHECK("a code that is not listed", ap3000_value_text(&ap3000_stop_reason_list, 0xEE) == NULL);
    for (size_t i = 0; i < ap3000_list_count; i++)
        for (size_t j = 1; j < ap3000_lists[i]->count; j++)
            CHECK(ap3000_lists[i]->name, ap3000_lists[i]->values[j - 1].code < ap3000_lists[i]->values[j].code);
}

static const struct {
    const char *row;
    uint16_t type;
    uint8_t code;
    uint16_t firmware;
    const char *name;
} piles[] = {
    {"type 2 of version 1", 0x02, 0x04, 126, "old LoRa"},
    {"type 2 of version 2", 0x02, 0x04, 200, "old RS-485"},
    {"type 2 of ten ports", 0x02, 0x05, 399, "old 10-port"},
    {"no type", AP3000_TYPE_ABSENT, 0x06, 150, "oldest 16-port"},
    {"new dual mode F460", 0x28, 0x04, 612, "new RS-485 dual mode F460"},
    {"the wrong version", 0x28, 0x04, 512, NULL},
    {"the wrong recognition code", 0x28, 0x05, 612, NULL},
    {"a type in no table", 0x31, 0x04, 640, NULL},
    {"a host's type is no pile's", 0x51, 0x00, 400, NULL},
};

static void check_products(void)
{
    for (size_t i = 0; i < COUNT_OF(piles); i++) {
        const struct ap3000_product *p = ap3000_pile_find(piles[i].type, piles[i].code, piles[i].firmware);
        CHECK(piles[i].row, (p == NULL) == (piles[i].name == NULL));
        CHECK(piles[i].row, p == NULL || strcmp(p->name, piles[i].name) == 0);
    }
    const struct ap3000_product *host = ap3000_host_find(0x50, 399);
    CHECK("a host", host != NULL && host->upgrade == 0xFA && host->request == 0 && host->packet_size == 200);
    CHECK("a pile's type is no host's", ap3000_host_find(0x28, 612) == NULL);
    /* No two lines claim the same device: 5.11. */
    for (size_t i = 0; i < ap3000_product_count; i++) {
        const struct ap3000_product *p = &ap3000_products[i];
        for (size_t t = 0; t < p->type_count; t++) {
            uint16_t firmware = (uint16_t)(p->major * 100);
            for (size_t c = 0; c < p->code_count; c++)
                CHECK(p->name, ap3000_pile_find(p->types[t], p->codes[c], firmware) == p);
            if (p->code_count == 0)
                CHECK(p->name, ap3000_host_find(p->types[t], firmware) == p);
        }
    }
}

static const struct {
    const char *row, *hex;
    enum ap3000_order_origin origin;
    uint32_t code;
    uint8_t port;
} orders[] = {
    {"a card's", "202601150930127A8D05DD1354400031", AP3000_ORDER_CARD, 0, 1},
    {"a card's of port 10, decimal", "202601150930127A8D05DD1354400040", AP3000_ORDER_CARD, 0, 10},
    {"a card's of port 10, hexadecimal", "202601150930127A8D05DD135440003A", AP3000_ORDER_CARD, 0, 10},
    {"a card's of port 15, decimal", "202601150930127A8D05DD1354400045", AP3000_ORDER_CARD, 0, 15},
    {"a card's by a clock that was never set", "197001010801307A8D05DD1354400030", AP3000_ORDER_CARD, 0, 0},
    {"a code's", "20260115093012000543581354400070", AP3000_ORDER_CODE, 54358, 0},
    {"a code's of port 15, hexadecimal", "2026011509301200054358135440007F", AP3000_ORDER_CODE, 54358, 15},
    {"a code's with a digit that is none", "202601150930120005435A1354400070", AP3000_ORDER_OPAQUE, 0, 0},
    {"a code's with a card before it", "20260115093012010543581354400070", AP3000_ORDER_OPAQUE, 0, 0},
    {"port 16", "202601150930127A8D05DD1354400046", AP3000_ORDER_OPAQUE, 0, 0},
    {"the 30th of February", "202602300930127A8D05DD1354400031", AP3000_ORDER_OPAQUE, 0, 0},
    {"the year 2126", "212601150930127A8D05DD1354400031", AP3000_ORDER_OPAQUE, 0, 0},
    {"ours", ORDER, AP3000_ORDER_OPAQUE, 0, 0},
};

static void check_orders(void)
{
    struct ap3000_order o;
    struct kit_bytes b;
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        kit_hex(str_of(orders[i].hex), &b);
        ap3000_order_read(b.at, &o);
        CHECK(orders[i].row, o.origin == orders[i].origin && o.code == orders[i].code && o.port == orders[i].port);
        CHECK(orders[i].row, (o.number == 13544000) == (o.origin != AP3000_ORDER_OPAQUE));
    }
    kit_hex(STR("202601150930127A8D05DD1354400031"), &b);
    ap3000_order_read(b.at, &o);
    struct instant want = {0};
    CHECK("the time of China",
          instant_parse(STR("2026-01-15T01:30:12Z"), &want, NULL) == OK && want.us == o.started.us);
    CHECK("the card", memcmp(o.card, "\x7A\x8D\x05\xDD", 4) == 0);
    /* 11.3 and the check values of both kinds of CRC-32. */
    struct bytes digits = {(const uint8_t *)"123456789", 9};
    struct instant now = {INT64_C(1604934878) * 1000000};
    CHECK("CRC-32", ap3000_crc32(AP3000_CRC_IEEE, digits) == 0xCBF43926);
    CHECK("CRC-32/MPEG-2", ap3000_crc32(AP3000_CRC_MPEG2, digits) == 0x0376E6E7);
    CHECK("a code", ap3000_code(0x04CEAA40, 0, now, AP3000_CRC_IEEE) == 54358);
}

/* --- in words --- */

static const struct {
    const char *row;
    uint8_t command;
    enum ap3000_direction way;
    size_t index;
    const char *hex, *words;
} words[] = {
    {"a power", 0x03, AP3000_UP, 1, "100E 4C04 0B00 01 01 00000000 05 " ORDER, "110 W"},
    {"an energy", 0x03, AP3000_UP, 2, "100E 4C04 0B00 01 01 00000000 05 " ORDER, "0.11 kWh"},
    {"a port", 0x03, AP3000_UP, 3, "100E 4C04 0B00 01 01 00000000 05 " ORDER, "1: socket 2"},
    {"a code", 0x03, AP3000_UP, 6, "100E 4C04 0B00 01 01 00000000 05 " ORDER, "5: user unplugged"},
    {"a code that is not listed", 0x03, AP3000_UP, 6, "100E 4C04 0B00 01 01 00000000 EE " ORDER, "238: not listed"},
    {"our order number", 0x03, AP3000_UP, 7, "100E 4C04 0B00 01 01 00000000 05 " ORDER, ORDER},
    {"a card's order number", 0x03, AP3000_UP, 7, "100E 4C04 0B00 01 00 7A8D05DD 05 202601150930127A8D05DD1354400031",
     "202601150930127A8D05DD1354400031: made by the pile, card 7A8D05DD, pile 13544000, socket 2, "
     "2026-01-15T01:30:12.000Z"},
    {"the server's that looks like a card's", 0x03, AP3000_UP, 7,
     "100E 4C04 0B00 01 01 7A8D05DD 05 202601150930127A8D05DD1354400031", "202601150930127A8D05DD1354400031"},
    {"an order number in text", 0x72, AP3000_DOWN, 1, "01 4F524445525F31000000000000000000",
     "4F524445525F31000000000000000000 \"ORDER_1\""},
    {"seconds by time", 0x82, AP3000_DOWN, 4, "00 E2040000 FF 01 9600 " ORDER, "150 s"},
    {"energy by energy", 0x82, AP3000_DOWN, 4, "02 E2040000 FF 01 9600 " ORDER, "1.5 kWh"},
    {"money", 0x82, AP3000_DOWN, 1, "02 E2040000 FF 01 9600 " ORDER, "12.5 yuan"},
    {"the end of a monthly plan", 0x82, AP3000_DOWN, 1, "01 185C6869 FF 01 0000 " ORDER, "2026-01-15T03:16:40.000Z"},
    {"any port", 0x82, AP3000_DOWN, 2, "02 E2040000 FF 01 9600 " ORDER, "255: none, or the pile chooses"},
    {"bits", 0x20, AP3000_UP, 4, "6402 02 00 28 15",
     "0x15: card only, not networked; has short-circuit pre-check; bit 4, not listed"},
    {"a product", 0x20, AP3000_UP, 3, "6402 02 00 28 04", "0x28: new RS-485 dual mode F460"},
    {"a version", 0x20, AP3000_UP, 0, "6402 02 00 28 04", "6.12"},
    {"doors", 0x41, AP3000_UP, 1, "0C 05000000 00000000", "sockets 1, 3"},
    {"no fans", 0x41, AP3000_UP, 2, "0C 05000000 00000000", "none"},
    {"a temperature", 0x21, AP3000_UP, 4, "9808 00 00 55", "20 C"},
    {"no sensor", 0x21, AP3000_UP, 4, "9808 00 00 00", "no sensor"},
    {"no temperature", 0x21, AP3000_UP, 4, "9808 00 00 05", "-60 C, which no sensor measures"},
    {"a text, without what a terminal would obey", 0x34, AP3000_DOWN, 3,
     "8E1B 03 01 781B5B30000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
     "\"x.[0\""},
};

static void check_words(void)
{
    struct buf out;
    buf_init(&out, KIT_TEXT_MAX);
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        struct kit_bytes b;
        kit_hex(str_of(words[i].hex), &b);
        struct ap3000_frame f = {.physical_id = 0x04CEAA40, .command = words[i].command, .payload = kit_view(&b)};
        const struct ap3000_command *c = ap3000_command_find(words[i].command, words[i].way);
        struct ap3000_view v = {.frame = &f, .layout = c->layout};
        bool is_read = ap3000_slice(c->layout, f.payload, &v.slices, NULL) == OK && words[i].index < v.slices.count;
        CHECK(words[i].row, is_read);
        buf_clear(&out);
        if (is_read)
            ap3000_field_show(&v, words[i].index, &out);
        CHECK(words[i].row, str_eq(buf_str(&out), str_of(words[i].words)));
    }
    buf_release(&out);
}

static const struct {
    const char *row;
    uint8_t command;
    const char *hex;
    enum ap3000_direction way;
    bool is_sure;
} ways[] = {
    {"only one way has it", 0x41, "0C 05000000 00000000", AP3000_UP, true},
    {"too short for the one", 0x03, "00", AP3000_DOWN, true},
    {"surplus in the one", 0x82, "02 E2040000 FF 01 9600 " ORDER, AP3000_DOWN, true},
    {"both alike", 0x8D, "00", AP3000_UP, false},
    {"too short for the only one", 0x43, "00", AP3000_UP, true},
    {"unknown", 0x23, "00", AP3000_UP, true},
};

static void check_ways(void)
{
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        struct kit_bytes b;
        bool is_sure = false;
        kit_hex(str_of(ways[i].hex), &b);
        struct ap3000_frame f = {.command = ways[i].command, .payload = kit_view(&b)};
        CHECK(ways[i].row, ap3000_direction_guess(&f, &is_sure) == ways[i].way && is_sure == ways[i].is_sure);
    }
}

int main(void)
{
    check_payloads();
    check_commands();
    check_writing();
    check_frames();
    check_ids();
    check_codes();
    check_products();
    check_orders();
    check_words();
    check_ways();
    return CHECK_REPORT();
}
