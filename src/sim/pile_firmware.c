/* sim/pile_firmware.c - firmware that comes packet by packet (ap3000.md 9): each is acknowledged, the sum and the
 * device type of the check packet are compared, then the pile starts again with the new version. */
#include "sim/pile_private.h"
#include <stdio.h>
#include <string.h>

#define ASK_MS     (3 * 60 * 1000) /* a host that was told to be ready and gets no data */
#define REBOOT_MS  3000
#define MARK       "\xA1\xA2\xA3\xA4\xA5\xA6\xA7\xA8"
#define MARK_SIZE  8
#define SUM_AT     8
#define TYPE_AT    12
#define VERSION_AT 13

static const struct {
    uint8_t command;
    uint16_t chunk;
    bool may_check; /* its last packet may be a check packet */
} kinds[] = {
    {0xE0, 200, true}, {0xE1, 200, true}, {0xE2, 200, true}, {0xF8, 256, false}, {0xF9, 256, false}, {0xFA, 200, false},
};

static void acknowledge(struct pile_step *t, const struct ap3000_frame *f, uint8_t result, uint16_t index)
{
    sim_pile_answer(t, f, &ap3000_packet_answer_layout,
                    &(struct ap3000_packet_answer){.result = result, .packet_index = index});
}

static bool is_check_packet(struct bytes data)
{
    return memcmp(data.at, MARK, MARK_SIZE) == 0;
}

static uint32_t byte_sum(struct bytes b)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < b.len; i++)
        sum += b.at[i];
    return sum;
}

static uint8_t check_image(struct pile_step *t, struct bytes check)
{
    if (le32(check.at + SUM_AT) != t->p->coming.byte_sum)
        return AP3000_PACKET_SUM;
    if (check.at[TYPE_AT] != t->p->device_type)
        return AP3000_PACKET_REFUSED;
    t->p->coming.version = le16(check.at + VERSION_AT);
    return AP3000_PACKET_OK;
}

static void finish(struct pile_step *t)
{
    struct sim_firmware *c = &t->p->coming;
    char text[16];
    if (c->version == 0)
        c->version = t->p->firmware + 1;
    (void)snprintf(text, sizeof text, "%u.%02u", (unsigned)c->version / 100, (unsigned)c->version % 100);
    sim_pile_tell(t, PILE_FIRMWARE_DONE, NULL, str_of(text), 0, 0);
    t->p->due_ms[DUE_REBOOT] = t->now.ms + REBOOT_MS;
}

static void take_packet(struct pile_step *t, const struct ap3000_frame *f, bool may_check)
{
    struct sim_firmware *c = &t->p->coming;
    uint16_t total = le16(f->payload.at), index = le16(f->payload.at + 2);
    struct bytes data = {f->payload.at + 4, f->payload.len - 4};
    uint8_t result = AP3000_PACKET_OK;
    t->p->due_ms[DUE_FIRMWARE] = SIM_NEVER;
    if (index == 1 && c->next != 2) { /* from the beginning; a repeat of the first packet is a repeat */
        *c = (struct sim_firmware){.command = f->command, .total = total, .next = 1};
        sim_pile_tell(t, PILE_FIRMWARE_BEGUN, NULL, (struct str){NULL, 0}, total, 0);
    }
    if (c->command != f->command || c->total != total || (index != c->next && index != c->next - 1)) {
        acknowledge(t, f, AP3000_PACKET_AGAIN, c->next == 0 ? 1 : c->next);
        return;
    }
    bool is_new = index == c->next;
    if (is_new && index == total && may_check && is_check_packet(data))
        result = check_image(t, data);
    else if (is_new)
        c->byte_sum += byte_sum(data);
    c->next = index + 1;
    acknowledge(t, f, result, index);
    if (result != AP3000_PACKET_OK) {
        sim_pile_tell(t, PILE_FIRMWARE_BAD, NULL, str_of(ap3000_value_text(&ap3000_packet_result_list, result)), 0, 0);
        *c = (struct sim_firmware){0};
    } else if (is_new && index == total) {
        finish(t);
    }
}

/* A host is asked whether it is ready by an empty packet (9). */
bool sim_firmware_take(struct pile_step *t, const struct ap3000_frame *f)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (kinds[i].command != f->command)
            continue;
        if (f->command == 0xFA && f->payload.len == 0) {
            t->p->coming = (struct sim_firmware){0};
            t->p->due_ms[DUE_FIRMWARE] = t->now.ms + ASK_MS;
            acknowledge(t, f, AP3000_OLD_PACKET_OK, 0);
        } else if (f->payload.len >= kinds[i].chunk + 4u) {
            take_packet(t, f, kinds[i].may_check);
        }
        return true;
    }
    return false;
}

void sim_firmware_on_due(struct pile_step *t)
{
    struct ap3000_frame f = {.command = 0xFA, .message_id = sim_pile_next_id(t)};
    t->p->due_ms[DUE_FIRMWARE] = t->now.ms + ASK_MS;
    acknowledge(t, &f, AP3000_OLD_PACKET_OK, 0);
}

void sim_firmware_on_reboot(struct pile_step *t)
{
    if (t->p->coming.version != 0)
        t->p->firmware = t->p->coming.version;
}
