/* transfer.c - which packet comes next (ap3000.md 9). */
#include "proto/ap3000/transfer.h"

#include <stdio.h>
#include <string.h>

#define CHUNK_SIZE_MAX   256
#define CHECK_MARK_SIZE  8
#define CHECK_SUM_AT     8 /* in the data of the check packet */
#define CHECK_TYPE_AT    12
#define CHECK_VERSION_AT 13
#define PACKETS_MAX      UINT16_MAX
#define HEAD_SIZE        4 /* total_packets, packet_index */

static const uint8_t check_mark[CHECK_MARK_SIZE] = {0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8};

enum kind_of_device { OF_PILE, OF_HOST };

/* clang-format off */
static const struct way {
    uint8_t command;
    enum kind_of_device device;
    uint8_t upgrade; /* of the products that may be given it */
    bool is_of_board; /* not the firmware whose version and type the device says */
    uint16_t chunk;
    bool has_trigger;
    bool takes_check;
    uint8_t tries_max; /* repeats */
    bool starts_over;  /* when they are used up */
} ways[] = {
    {0xE0, OF_PILE, 0xE0, false, 200, false, true,  3, false},
    {0xE1, OF_PILE, 0xE0, true,  200, false, true,  3, false},
    {0xE2, OF_HOST, 0xFA, false, 200, false, true,  3, false},
    {0xF8, OF_PILE, 0xF8, false, 256, false, false, 2, true },
    {0xF9, OF_HOST, 0xF9, false, 256, false, false, 2, true },
    {0xFA, OF_HOST, 0xFA, false, 200, true,  false, 3, false},
};

/* What an acknowledgement asks for. */
enum wanted { NEXT, NAMED, AGAIN, NOTHING };
static const struct {
    bool is_new; /* the family of E0 */
    uint8_t result;
    enum wanted wanted;
} answers[] = {
    {true,  AP3000_PACKET_OK,        NEXT   },
    {true,  AP3000_PACKET_AGAIN,     NAMED  },
    {true,  AP3000_PACKET_SUM,       NOTHING},
    {true,  AP3000_PACKET_DEVICE,    NOTHING},
    {true,  AP3000_PACKET_NO_CHECK,  NOTHING},
    {true,  AP3000_PACKET_REFUSED,   NOTHING},
    {false, AP3000_OLD_PACKET_OK,    NEXT   },
    {false, AP3000_OLD_PACKET_AGAIN, AGAIN  },
};
/* clang-format on */

static const struct way *way_find(uint8_t command)
{
    for (size_t i = 0; i < COUNT_OF(ways); i++)
        if (ways[i].command == command)
            return &ways[i];
    return NULL;
}

/* --- beginning --- */

static enum err refuse(struct fault *why, enum err e, const char *field, const char *reason)
{
    fault_set(why, str_of(field), "%s", reason);
    return e;
}

/* A pile that is a host too (5.12) is both: which one is meant, the command says; without one the pile is. */
static enum err find_product(const struct ap3000_pile *p, uint8_t command, const struct way **way, struct fault *why)
{
    const struct way *w = way_find(command);
    if (command != 0 && w == NULL)
        return refuse(why, ERR_UNSUPPORTED, "command", "no command for firmware");
    const bool is_pile = w != NULL ? w->device == OF_PILE : p->is_registered;
    const struct ap3000_product *product =
        is_pile ? ap3000_pile_find(p->device_type, ap3000_id_code(p->physical_id), p->firmware)
                : ap3000_host_find(p->host_type, p->host_firmware);
    if (!(is_pile ? p->is_registered : p->is_host) || product == NULL)
        return refuse(why, ERR_UNSUPPORTED, "device", "it is not known which product this is");
    if (w == NULL)
        w = way_find(product->upgrade);
    check(w != NULL); /* every line of products.def has a row: a test looks at all */
    if (w->upgrade != product->upgrade)
        return refuse(why, ERR_UNSUPPORTED, "command", "this product takes another command");
    if (w->is_of_board && p->power_board_version == 0)
        return refuse(why, ERR_UNSUPPORTED, "command", "this pile has no power board");
    *way = w;
    return OK;
}

static enum err check_image(const struct ap3000_pile *p, const struct way *w, const struct ap3000_image *image,
                            struct fault *why)
{
    uint16_t type = w->device == OF_PILE ? p->device_type : p->host_type;
    uint16_t firmware = w->device == OF_PILE ? p->firmware : p->host_firmware;
    if (image->size <= 0)
        return refuse(why, ERR_RANGE, "size", "the image is empty");
    if (image->size > (int64_t)w->chunk * (PACKETS_MAX - image->has_check_packet))
        return refuse(why, ERR_RANGE, "size", "the image has too many packets");
    if (image->has_check_packet && !w->takes_check)
        return refuse(why, ERR_RANGE, "checkPacket", "this command knows no check packet");
    if (w->is_of_board)
        return OK;
    if (image->device_type != 0 && image->device_type != type)
        return refuse(why, ERR_UNSUPPORTED, "deviceType", "the image is for another type of device");
    if (image->version != 0 &&
        image->version / 100 != firmware / 100) /* the major version tells products apart: 5.11 */
        return refuse(why, ERR_UNSUPPORTED, "version", "the image is of another product");
    return OK;
}

static enum err check_state(const struct ap3000_pile *p, struct fault *why)
{
    if (ap3000_id_is_fallback(p->physical_id))
        return refuse(why, ERR_STATE, "device", "its number is one that piles with a failed memory fall back to");
    if (pile_open_count(p) > 0)
        return refuse(why, ERR_STATE, "device", "an order is open");
    for (size_t i = 0; i < p->ports_seen; i++)
        if (p->ports[i] == AP3000_PORT_CHARGING || p->ports[i] == AP3000_PORT_TRICKLE)
            return refuse(why, ERR_STATE, "device", "a port charges");
    return OK;
}

enum err transfer_begin(const struct ap3000_pile *p, uint8_t command, const struct ap3000_image *image,
                        struct ap3000_transfer *t, struct fault *why)
{
    const struct way *w = NULL;
    enum err e = find_product(p, command, &w, why);
    if (e == OK)
        e = check_image(p, w, image, why);
    if (e == OK)
        e = check_state(p, why);
    if (e != OK)
        return e;
    t->state = w->has_trigger ? TRANSFER_WAITING : TRANSFER_SENDING;
    t->command = w->command;
    t->chunk = w->chunk;
    t->total = (uint16_t)((image->size + w->chunk - 1) / w->chunk + image->has_check_packet);
    t->index = 1;
    t->message_id = 0;
    t->tries = t->setbacks = 0;
    t->image = *image;
    if (image->device_type == 0 && !w->is_of_board)
        t->image.device_type = w->device == OF_PILE ? p->device_type : p->host_type;
    t->reason[0] = '\0';
    return OK;
}

/* --- the present frame --- */

static bool is_check_packet(const struct ap3000_transfer *t)
{
    return t->image.has_check_packet && t->index == t->total;
}

void transfer_part(const struct ap3000_transfer *t, int64_t *offset, size_t *len)
{
    bool has_none = t->state != TRANSFER_SENDING || is_check_packet(t);
    int64_t at = (int64_t)(t->index - 1) * t->chunk, left = t->image.size - at;
    *offset = has_none ? 0 : at;
    *len = has_none ? 0 : left < t->chunk ? (size_t)left : t->chunk;
}

static void put_check(const struct ap3000_transfer *t, uint8_t *data)
{
    memcpy(data, check_mark, sizeof check_mark);
    le_put(data + CHECK_SUM_AT, 4, t->image.byte_sum);
    data[CHECK_TYPE_AT] = (uint8_t)t->image.device_type;
    le_put(data + CHECK_VERSION_AT, 2, t->image.version);
}

size_t transfer_write(struct ap3000_transfer *t, struct ap3000_pile *p, struct bytes data,
                      uint8_t out[AP3000_SENT_FIRMWARE_SIZE_MAX])
{
    uint8_t payload[HEAD_SIZE + CHUNK_SIZE_MAX] = {0};
    int64_t offset;
    size_t len, size = 0;
    transfer_part(t, &offset, &len);
    check(t->state == TRANSFER_WAITING || t->state == TRANSFER_SENDING);
    check(data.len == len);
    if (t->message_id == 0)
        t->message_id = pile_next_message_id(p);
    struct ap3000_frame f = {.physical_id = p->physical_id, .message_id = t->message_id, .command = t->command};
    if (t->state == TRANSFER_SENDING) {
        le_put(payload, 2, t->total);
        le_put(payload + 2, 2, t->index);
        if (len > 0)
            memcpy(payload + HEAD_SIZE, data.at, len);
        else
            put_check(t, payload + HEAD_SIZE);
        f.payload = (struct bytes){payload, HEAD_SIZE + (size_t)t->chunk};
    }
    enum err e = ap3000_frame_write(&f, out, AP3000_SENT_FIRMWARE_SIZE_MAX, &size);
    check(e == OK); /* the chunks of ways[] fit */
    return size;
}

/* --- what comes next --- */

static enum transfer_next fail(struct ap3000_transfer *t, const char *reason)
{
    t->state = TRANSFER_FAILED;
    (void)snprintf(t->reason, sizeof t->reason, "%s", reason);
    return TRANSFER_END;
}

static bool is_over(const struct ap3000_transfer *t)
{
    return t->state != TRANSFER_WAITING && t->state != TRANSFER_SENDING;
}

/* The present frame anew. */
static enum transfer_next send_anew(struct ap3000_transfer *t)
{
    t->message_id = 0;
    t->tries = 0;
    return t->state == TRANSFER_WAITING ? TRANSFER_SEND_TRIGGER : TRANSFER_SEND_PACKET;
}

static enum transfer_next go_back(struct ap3000_transfer *t, enum transfer_state state, uint16_t index)
{
    if (t->setbacks == TRANSFER_SETBACKS_MAX)
        return fail(t, "the device began again too often");
    t->setbacks++;
    t->state = state;
    t->index = index;
    return send_anew(t);
}

/* Once more: with the same bytes if no answer came, else as a message of its own. */
static enum transfer_next repeat(struct ap3000_transfer *t, bool is_answered, const char *reason)
{
    const struct way *w = way_find(t->command);
    if (t->tries < w->tries_max) {
        t->tries++;
        t->message_id = is_answered ? 0 : t->message_id;
        return t->state == TRANSFER_WAITING ? TRANSFER_SEND_TRIGGER : TRANSFER_SEND_PACKET;
    }
    if (w->starts_over)
        return go_back(t, TRANSFER_SENDING, 1);
    return fail(t, reason);
}

static enum transfer_next on_acknowledged(struct ap3000_transfer *t, uint16_t index)
{
    if (index != t->index)
        return TRANSFER_WAIT; /* of a packet sent twice */
    if (t->index == t->total) {
        t->state = TRANSFER_DONE;
        return TRANSFER_END;
    }
    t->index++;
    return send_anew(t);
}

static enum transfer_next on_named(struct ap3000_transfer *t, uint16_t index)
{
    bool is_other = index >= 1 && index <= t->total && index != t->index; /* A35: out of range means the present one */
    return is_other ? go_back(t, TRANSFER_SENDING, index)
                    : repeat(t, true, "the device calls a packet wrong too often");
}

static enum transfer_next on_result(struct ap3000_transfer *t, uint8_t result, uint16_t index)
{
    const bool is_new = way_find(t->command)->takes_check;
    enum wanted wanted = is_new ? NOTHING : AGAIN; /* of a code that is not listed */
    for (size_t i = 0; i < COUNT_OF(answers); i++)
        if (answers[i].is_new == is_new && answers[i].result == result)
            wanted = answers[i].wanted;
    const char *text = is_new ? ap3000_value_text(&ap3000_packet_result_list, result) : NULL;
    switch (wanted) {
    case NEXT:
        return on_acknowledged(t, index);
    case NAMED:
        return on_named(t, index);
    case AGAIN:
        return repeat(t, true, "the device calls a packet wrong too often");
    case NOTHING:
        break;
    }
    return fail(t, text == NULL ? "the device ends it with a code that is not known" : text);
}

enum transfer_next transfer_on_frame(struct ap3000_transfer *t, const struct ap3000_frame *f)
{
    struct ap3000_packet_answer answer; /* both families have the same fields */
    if (is_over(t))
        return TRANSFER_END;
    if (f->command != t->command || ap3000_read(&ap3000_packet_answer_layout, f->payload, &answer, NULL) != OK)
        return TRANSFER_WAIT;
    const bool has_trigger = way_find(t->command)->has_trigger;
    if (answer.packet_index == 0 && answer.result == 0) { /* ready, or it wants it from the start */
        if (t->state == TRANSFER_SENDING)
            return go_back(t, TRANSFER_SENDING, 1);
        t->state = TRANSFER_SENDING;
        t->index = 1;
        return send_anew(t);
    }
    if (answer.packet_index == 0 && has_trigger) {
        if (t->state == TRANSFER_SENDING)
            return go_back(t, TRANSFER_WAITING, 1);
        return repeat(t, true, "the host is not ready");
    }
    return t->state == TRANSFER_WAITING ? TRANSFER_WAIT : on_result(t, answer.result, answer.packet_index);
}

enum transfer_next transfer_on_request(struct ap3000_transfer *t)
{
    return is_over(t) ? TRANSFER_END : go_back(t, t->state, 1);
}

enum transfer_next transfer_on_silence(struct ap3000_transfer *t)
{
    char reason[sizeof t->reason];
    if (is_over(t))
        return TRANSFER_END;
    if (t->state == TRANSFER_WAITING)
        (void)snprintf(reason, sizeof reason, "the host does not answer");
    else
        (void)snprintf(reason, sizeof reason, "no answer to packet %u of %u", t->index, t->total);
    return repeat(t, false, reason);
}

enum transfer_next transfer_resume(struct ap3000_transfer *t)
{
    return is_over(t) ? TRANSFER_END : go_back(t, t->state, t->index);
}
