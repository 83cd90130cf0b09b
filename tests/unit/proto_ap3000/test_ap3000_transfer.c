/* test_ap3000_transfer.c - firmware, packet by packet (ap3000.md 9): who may be given what; walks through a transfer as
 * rows; the bytes of the packets. */
#include "check.h"
#include "pilekit.h"

#include "proto/ap3000/transfer.h"

#define PILE_ID 0x04CEAA40u
#define HOST_ID 0x09000001u

/* --- who may be given what --- */

/* clang-format off */
static const struct {
    const char *row;
    struct ap3000_pile pile;
    uint8_t command;
    struct ap3000_image image;
    enum err want;
    const char *field;
    uint8_t taken; /* command */
    uint16_t total;
} beginnings[] = {
    {"a pile that takes E0", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612}, 0,
     {.size = 640}, OK, "", 0xE0, 4},
    {"the check packet counts", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612}, 0,
     {.size = 640, .has_check_packet = true}, OK, "", 0xE0, 5},
    {"an old pile takes F8", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x02, .firmware = 200}, 0,
     {.size = 640}, OK, "", 0xF8, 3},
    {"an old pile without a type", {.physical_id = 0x05000001, .is_registered = true,
     .device_type = AP3000_TYPE_ABSENT, .firmware = 399}, 0, {.size = 256}, OK, "", 0xF8, 1},
    {"an old host", {.physical_id = HOST_ID, .is_host = true, .host_type = 1, .host_firmware = 210}, 0,
     {.size = 257}, OK, "", 0xF9, 2},
    {"a radio host", {.physical_id = HOST_ID, .is_host = true, .host_type = 3, .host_firmware = 510}, 0,
     {.size = 200}, OK, "", 0xFA, 1},
    {"a radio host, unified", {.physical_id = HOST_ID, .is_host = true, .host_type = 3, .host_firmware = 510}, 0xE2,
     {.size = 200}, OK, "", 0xE2, 1},
    {"an old host, unified", {.physical_id = HOST_ID, .is_host = true, .host_type = 1, .host_firmware = 210}, 0xE2,
     {.size = 200}, ERR_UNSUPPORTED, "command", 0, 0},
    {"a power board", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612,
     .power_board_version = 101}, 0xE1, {.size = 200, .version = 101, .device_type = 9}, OK, "", 0xE1, 1},
    {"a pile without power board", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28,
     .firmware = 612}, 0xE1, {.size = 200}, ERR_UNSUPPORTED, "command", 0, 0},
    {"a pile that is a host too", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612,
     .is_host = true, .host_type = 0x50, .host_firmware = 301}, 0, {.size = 200}, OK, "", 0xE0, 1},
    {"its host", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612,
     .is_host = true, .host_type = 0x50, .host_firmware = 301}, 0xFA, {.size = 200}, OK, "", 0xFA, 1},
    {"a type in no table", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x31, .firmware = 640}, 0,
     {.size = 200}, ERR_UNSUPPORTED, "device", 0, 0},
    {"a type in no table, the command said", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x31,
     .firmware = 640}, 0xE0, {.size = 200}, ERR_UNSUPPORTED, "device", 0, 0},
    {"a pile that has said nothing", {.physical_id = PILE_ID, .device_type = AP3000_TYPE_ABSENT}, 0, {.size = 200},
     ERR_UNSUPPORTED, "device", 0, 0},
    {"a host's command for a pile", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28,
     .firmware = 612}, 0xFA, {.size = 200}, ERR_UNSUPPORTED, "device", 0, 0},
    {"the other family", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612}, 0xF8,
     {.size = 200}, ERR_UNSUPPORTED, "command", 0, 0},
    {"no command for firmware", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612},
     0x82, {.size = 200}, ERR_UNSUPPORTED, "command", 0, 0},
    {"an image of another type", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612},
     0, {.size = 200, .device_type = 0x29}, ERR_UNSUPPORTED, "deviceType", 0, 0},
    {"an image of this type", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612},
     0, {.size = 200, .device_type = 0x28, .version = 699}, OK, "", 0xE0, 1},
    {"an image of another product", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28,
     .firmware = 612}, 0, {.size = 200, .version = 512}, ERR_UNSUPPORTED, "version", 0, 0},
    {"an empty image", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612}, 0,
     {.size = 0}, ERR_RANGE, "size", 0, 0},
    {"as many packets as can be counted", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28,
     .firmware = 612}, 0, {.size = 200 * 65535}, OK, "", 0xE0, 65535},
    {"one more", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612}, 0,
     {.size = 200 * 65535 + 1}, ERR_RANGE, "size", 0, 0},
    {"one more, for the check", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612},
     0, {.size = 200 * 65535, .has_check_packet = true}, ERR_RANGE, "size", 0, 0},
    {"a check packet that the command does not know", {.physical_id = PILE_ID, .is_registered = true,
     .device_type = 0x02, .firmware = 200}, 0, {.size = 640, .has_check_packet = true}, ERR_RANGE, "checkPacket", 0, 0},
    {"a port charges", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612,
     .ports = (uint8_t[]){0, 1}, .ports_seen = 2}, 0, {.size = 200}, ERR_STATE, "device", 0, 0},
    {"a port is full", {.physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612,
     .ports = (uint8_t[]){0, 3}, .ports_seen = 2}, 0, {.size = 200}, OK, "", 0xE0, 1},
    {"a number that piles fall back to", {.physical_id = 0x04000000 | 12000000, .is_registered = true,
     .device_type = 0x28, .firmware = 612}, 0, {.size = 200}, ERR_STATE, "device", 0, 0},
};
/* clang-format on */

static void check_beginnings(void)
{
    for (size_t i = 0; i < COUNT_OF(beginnings); i++) {
        struct ap3000_transfer t = {.file_id = "f", .command = 1};
        struct fault why = {0};
        enum err e = transfer_begin(&beginnings[i].pile, beginnings[i].command, &beginnings[i].image, &t, &why);
        CHECK(beginnings[i].row, e == beginnings[i].want && strcmp(why.field, beginnings[i].field) == 0);
        if (beginnings[i].want != OK) {
            CHECK(beginnings[i].row, t.command == 1 && t.state == TRANSFER_NONE);
            continue;
        }
        CHECK(beginnings[i].row, t.command == beginnings[i].taken && t.total == beginnings[i].total);
        CHECK(beginnings[i].row, t.index == 1 && strcmp(t.file_id, "f") == 0);
        CHECK(beginnings[i].row, t.state == (t.command == 0xFA ? TRANSFER_WAITING : TRANSFER_SENDING));
    }
    struct ap3000_pile *p = pile_new();
    struct ap3000_transfer t;
    struct fault why;
    *p = (struct ap3000_pile){
        .physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612, .next_message_id = 1};
    CHECK("an order can be added", pile_add_order(p, &(struct pile_order){.state = ORDER_ENDED, .key = "a"}) != NULL);
    CHECK("an order is open", transfer_begin(p, 0, &(struct ap3000_image){.size = 1}, &t, &why) == ERR_STATE);
    pile_free(p);
}

/* A line of products.def whose command has no row in transfer.c would end the process. */
static void check_products(void)
{
    for (size_t i = 0; i < ap3000_product_count; i++) {
        const struct ap3000_product *product = &ap3000_products[i];
        struct ap3000_transfer t = {0};
        struct fault why;
        bool is_host = product->code_count == 0;
        struct ap3000_pile p = {.physical_id = (uint32_t)product->codes[0] << 24 | 1,
                                .is_registered = !is_host,
                                .is_host = is_host,
                                .device_type = product->types[0],
                                .host_type = product->types[0],
                                .firmware = (uint16_t)(product->major * 100),
                                .host_firmware = (uint16_t)(product->major * 100)};
        CHECK(product->name, transfer_begin(&p, 0, &(struct ap3000_image){.size = 1}, &t, &why) == OK);
        CHECK(product->name, t.command == product->upgrade && t.chunk == product->packet_size);
    }
}

/* --- walks: what the device says, and what is sent after it ---
 *
 * A word of a walk is one input and what must come of it: a<result>:<index> an answer, q a request (0x05, 0x15), s
 * silence, r resumed; then = and p<index> the packet, t the trigger, w wait, d done, f failed. */

/* clang-format off */
static const struct {
    const char *row;
    uint8_t command;
    uint16_t index; /* where it begins, 0: from the start */
    const char *walk;
    const char *reason;
} walks[] = {
    {"three packets and a check", 0xE0, 0, "a0:1=p2 a0:2=p3 a0:3=p4 a0:4=d", ""},
    {"an acknowledgement twice", 0xE0, 0, "a0:1=p2 a0:1=w a0:2=p3", ""},
    {"an acknowledgement of what was not sent", 0xE0, 0, "a0:3=w a0:1=p2", ""},
    {"silence, then an answer", 0xE0, 0, "s=p1 s=p1 s=p1 a0:1=p2", ""},
    {"silence for ever", 0xE0, 0, "a0:1=p2 s=p2 s=p2 s=p2 s=f s=f", "no answer to packet 2 of 4"},
    {"an answer gives new tries", 0xE0, 0, "s=p1 s=p1 s=p1 a0:1=p2 s=p2 s=p2 s=p2 a0:2=p3", ""},
    {"the device names the present packet", 0xE0, 0, "a0:1=p2 a1:2=p2 a1:2=p2 a1:2=p2 a1:2=f",
     "the device calls a packet wrong too often"},
    {"the device names an earlier one", 0xE0, 0, "a0:1=p2 a0:2=p3 a1:2=p2 a0:2=p3", ""},
    {"the device names none: the present one", 0xE0, 0, "a0:1=p2 a1:0=p2 a1:9=p2", ""},
    {"the sum is wrong", 0xE0, 0, "a0:1=p2 a2:1=f a0:2=f", "byte sum of the image wrong; the transfer ends"},
    {"the type is wrong", 0xE1, 0, "a3:1=f", "wrong device type; the transfer ends"},
    {"no check packet", 0xE0, 0, "a4:1=f", "this upgrade has no check packet; the transfer ends"},
    {"the check is refused", 0xE2, 0, "a0:1=p2 a0:2=p3 a0:3=p4 a5:4=f",
     "device type in the check packet not accepted; the transfer ends"},
    {"a code that is not known", 0xE0, 0, "a9:1=f", "the device ends it with a code that is not known"},
    {"a pile asks for the start", 0xE0, 0, "a0:1=p2 a0:0=p1", ""},
    {"resumed in the middle", 0xE0, 3, "r=p3 a0:3=p4 a0:4=d r=d", ""},
    {"an old pile", 0xF8, 0, "a0:1=p2 a0:2=p3 a0:3=d", ""},
    {"an old pile calls a packet wrong", 0xF8, 0, "a0:1=p2 a1:1=p2 a1:1=p2 a0:2=p3", ""},
    {"an old pile starts over after two repeats", 0xF8, 0, "a0:1=p2 s=p2 s=p2 s=p1 s=p1 s=p1 a0:1=p2", ""},
    {"an old pile asks for the start", 0xF8, 0, "a0:1=p2 a0:2=p3 q=p1 a0:1=p2", ""},
    {"an old pile says a code that is not known", 0xF8, 0, "a7:1=p1 a0:1=p2", ""},
    {"an old pile has no names for failures", 0xF8, 0, "a2:1=p1", ""},
    {"an old host asks for the start", 0xF9, 2, "r=p2 q=p1 a0:1=p2 a0:2=p3 a0:3=d", ""},
    {"a host is ready", 0xFA, 0, "a0:0=p1 a0:1=p2 a0:2=p3 a0:3=p4 a0:4=d", ""},
    {"a host is not ready", 0xFA, 0, "a1:0=t a1:0=t a0:0=p1", ""},
    {"a host is never ready", 0xFA, 0, "a1:0=t a1:0=t a1:0=t a1:0=f", "the host is not ready"},
    {"a host does not answer the trigger", 0xFA, 0, "s=t s=t s=t s=f", "the host does not answer"},
    {"a host says something old before it is ready", 0xFA, 0, "a0:3=w a0:0=p1", ""},
    {"a host asks for the start", 0xFA, 0, "a0:0=p1 a0:1=p2 a0:0=p1", ""},
    {"a host begins again with a failure", 0xFA, 0, "a0:0=p1 a0:1=p2 a1:0=t a0:0=p1", ""},
    {"a host calls a packet wrong", 0xFA, 0, "a0:0=p1 a0:1=p2 a1:1=p2", ""},
    {"a host is resumed before it is ready", 0xFA, 0, "r=t a0:0=p1", ""},
    {"a host is resumed in the middle", 0xFA, 3, "r=p3 a0:3=p4", ""},
    {"for ever again", 0xF8, 0, "q=p1 q=p1 q=p1 q=p1 q=p1 q=p1 q=p1 q=p1 q=p1 q=p1 q=p1 q=p1 q=p1 q=p1 q=p1 q=p1 q=p1 "
     "q=p1 q=p1 q=p1 q=f", "the device began again too often"},
    {"nobody answers, for ever", 0xF8, 0, "s=p1 s=p1 s=p1 s=p1 s=p1 s=p1", ""},
};
/* clang-format on */

static struct ap3000_transfer transfer_of(uint8_t command, uint16_t index)
{
    static const uint8_t new_family[] = {0xE0, 0xE1, 0xE2};
    struct ap3000_transfer t = {
        .command = command, .chunk = command == 0xF8 || command == 0xF9 ? 256 : 200, .index = 1};
    bool is_new = memchr(new_family, command, sizeof new_family) != NULL;
    t.state = command == 0xFA && index == 0 ? TRANSFER_WAITING : TRANSFER_SENDING;
    t.image = (struct ap3000_image){.size = is_new ? 600 : 700, .has_check_packet = is_new};
    t.total = is_new || command == 0xFA ? 4 : 3;
    t.index = index == 0 ? 1 : index;
    return t;
}

static enum transfer_next input(struct ap3000_transfer *t, const char *word)
{
    unsigned result = 0, index = 0;
    if (word[0] == 'q')
        return transfer_on_request(t);
    if (word[0] == 's')
        return transfer_on_silence(t);
    if (word[0] == 'r')
        return transfer_resume(t);
    (void)sscanf(word, "a%u:%u", &result, &index);
    uint8_t payload[3] = {(uint8_t)result};
    le_put(payload + 1, 2, index);
    struct ap3000_frame f = {.command = t->command, .payload = {payload, sizeof payload}};
    return transfer_on_frame(t, &f);
}

static bool is_so(const struct ap3000_transfer *t, enum transfer_next next, const char *want)
{
    char packet[8];
    (void)snprintf(packet, sizeof packet, "p%u", t->index);
    if (next == TRANSFER_SEND_PACKET)
        return t->state == TRANSFER_SENDING && strcmp(packet, want) == 0;
    if (next == TRANSFER_SEND_TRIGGER)
        return t->state == TRANSFER_WAITING && want[0] == 't';
    if (next == TRANSFER_WAIT)
        return want[0] == 'w';
    return t->state == (want[0] == 'd' ? TRANSFER_DONE : TRANSFER_FAILED) && (want[0] == 'd' || want[0] == 'f');
}

static void check_walks(void)
{
    for (size_t i = 0; i < COUNT_OF(walks); i++) {
        struct ap3000_transfer t = transfer_of(walks[i].command, walks[i].index);
        const char *at = walks[i].walk;
        char word[32];
        for (int len; sscanf(at, "%31s%n", word, &len) == 1; at += len) {
            enum transfer_next next = input(&t, word);
            CHECK(walks[i].row, is_so(&t, next, strchr(word, '=') + 1));
        }
        CHECK(walks[i].row, strcmp(t.reason, walks[i].reason) == 0);
    }
}

static void check_unreadable(void)
{
    struct ap3000_transfer t = transfer_of(0xE0, 0);
    struct ap3000_frame f = {.command = 0xE0, .payload = {(const uint8_t *)"\0\1", 2}};
    CHECK("an answer that is cut", transfer_on_frame(&t, &f) == TRANSFER_WAIT && t.index == 1);
    f = (struct ap3000_frame){.command = 0xE1, .payload = {(const uint8_t *)"\0\1\0", 3}};
    CHECK("an answer to another command", transfer_on_frame(&t, &f) == TRANSFER_WAIT && t.index == 1);
    struct ap3000_transfer none = {0};
    CHECK("no transfer", transfer_on_frame(&none, &f) == TRANSFER_END && transfer_on_request(&none) == TRANSFER_END);
}

/* --- bytes --- */

static void check_bytes(void)
{
    uint8_t image[640], out[AP3000_SENT_FIRMWARE_SIZE_MAX];
    struct ap3000_pile p = {
        .physical_id = PILE_ID, .is_registered = true, .device_type = 0x28, .firmware = 612, .next_message_id = 7};
    struct ap3000_transfer t = {0};
    struct ap3000_frame f;
    struct fault why;
    struct ap3000_image is = {.size = sizeof image, .byte_sum = 0x01020304, .version = 613, .has_check_packet = true};
    int64_t offset;
    size_t len, size, seen = 0;
    for (size_t i = 0; i < sizeof image; i++)
        image[i] = (uint8_t)(i * 7 + 1);
    CHECK("it begins", transfer_begin(&p, 0, &is, &t, &why) == OK);
    for (uint16_t packet = 1; packet <= 4; packet++) {
        transfer_part(&t, &offset, &len);
        CHECK("the parts follow each other", (size_t)offset == seen && len == (packet == 4 ? 40 : 200));
        size = transfer_write(&t, &p, (struct bytes){image + offset, len}, out);
        CHECK("a frame of 218 bytes",
              size == 218 && ap3000_frame_read((struct bytes){out, size}, &f, &size, &why) == OK);
        CHECK("to this pile", f.physical_id == PILE_ID && f.command == 0xE0 && f.message_id == 6 + packet);
        CHECK("of five", le16(f.payload.at) == 5 && le16(f.payload.at + 2) == packet);
        CHECK("with its part", memcmp(f.payload.at + 4, image + offset, len) == 0);
        for (size_t i = len; i < 200; i++)
            CHECK("padded with zeros", f.payload.at[4 + i] == 0);
        seen += len;
        uint8_t answer[3] = {0, (uint8_t)packet, 0};
        f = (struct ap3000_frame){.command = 0xE0, .payload = {answer, 3}};
        CHECK("the next", transfer_on_frame(&t, &f) == TRANSFER_SEND_PACKET);
    }
    transfer_part(&t, &offset, &len);
    CHECK("the check packet holds nothing of the image", len == 0);
    size = transfer_write(&t, &p, (struct bytes){NULL, 0}, out);
    static const uint8_t want[] = {5,    0,    5,    0,    0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6,
                                   0xA7, 0xA8, 0x04, 0x03, 0x02, 0x01, 0x28, 0x65, 0x02, 0};
    CHECK("the check packet", size == 218 && memcmp(out + AP3000_PAYLOAD_AT, want, sizeof want) == 0);
    uint8_t again[AP3000_SENT_FIRMWARE_SIZE_MAX];
    CHECK("not answered", transfer_on_silence(&t) == TRANSFER_SEND_PACKET);
    CHECK("it is repeated to the byte",
          transfer_write(&t, &p, (struct bytes){NULL, 0}, again) == size && memcmp(out, again, size) == 0);
    uint8_t wrong[3] = {AP3000_PACKET_AGAIN, 5, 0};
    f = (struct ap3000_frame){.command = 0xE0, .payload = {wrong, 3}};
    CHECK("called wrong", transfer_on_frame(&t, &f) == TRANSFER_SEND_PACKET);
    (void)transfer_write(&t, &p, (struct bytes){NULL, 0}, out);
    CHECK("it has a new number", le16(out + 9) == le16(again + 9) + 1);
    CHECK("on a new connection", transfer_resume(&t) == TRANSFER_SEND_PACKET);
    (void)transfer_write(&t, &p, (struct bytes){NULL, 0}, again);
    CHECK("it has a new number", le16(again + 9) == le16(out + 9) + 1);
}

static void check_trigger(void)
{
    uint8_t out[AP3000_SENT_FIRMWARE_SIZE_MAX], data[256] = {1};
    struct ap3000_pile p = {
        .physical_id = HOST_ID, .is_host = true, .host_type = 3, .host_firmware = 510, .next_message_id = 1};
    struct ap3000_transfer t = {0};
    struct fault why;
    int64_t offset;
    size_t len;
    CHECK("it begins", transfer_begin(&p, 0, &(struct ap3000_image){.size = 10}, &t, &why) == OK);
    transfer_part(&t, &offset, &len);
    CHECK("the trigger is empty", len == 0 && transfer_write(&t, &p, (struct bytes){NULL, 0}, out) == 14);
    t = transfer_of(0xF9, 0);
    CHECK("a packet of an old host", transfer_write(&t, &p, (struct bytes){data, 256}, out) == 274);
}

int main(void)
{
    check_beginnings();
    check_products();
    check_walks();
    check_unreadable();
    check_bytes();
    check_trigger();
    return CHECK_REPORT();
}
