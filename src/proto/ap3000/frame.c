/* frame.c - the layout of a frame, its checksum, the physical id. */
#include "proto/ap3000/frame.h"

#include <stdio.h>
#include <string.h>

#define QR_SIZE 11 /* 8 digits, '/', 2 digits */

/* Firmware packets of 256 bytes: 1.4. */
#define COMMAND_OLD_PILE_FIRMWARE 0xF8
#define COMMAND_OLD_HOST_FIRMWARE 0xF9

static const uint8_t header[AP3000_HEADER_SIZE] = {'D', 'N', 'Y'};
static const uint32_t fallback_numbers[] = {10011001, 12000000, 13000001};

uint16_t ap3000_checksum(struct bytes b)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < b.len; i++)
        sum += b.at[i];
    return (uint16_t)sum;
}

enum err ap3000_frame_read(struct bytes in, struct ap3000_frame *out, size_t *size, struct fault *why)
{
    size_t seen = in.len < AP3000_HEADER_SIZE ? in.len : AP3000_HEADER_SIZE;
    if (seen > 0 && memcmp(in.at, header, seen) != 0) {
        fault_set(why, STR("header"), "does not begin with " AP3000_HEADER);
        return ERR_FORMAT;
    }
    if (in.len < AP3000_PREFIX_SIZE) {
        fault_set(why, STR("length"), "cut off before the end of the length field");
        return ERR_AGAIN;
    }
    size_t length = le16(in.at + AP3000_HEADER_SIZE);
    if (length < AP3000_LENGTH_MIN || length > AP3000_LENGTH_MAX) {
        fault_set(why, STR("length"), "the length field says %zu, which is not within %d and %d", length,
                  AP3000_LENGTH_MIN, AP3000_LENGTH_MAX);
        return ERR_RANGE;
    }
    size_t whole = AP3000_PREFIX_SIZE + length;
    if (in.len < whole) {
        fault_set(why, STR("length"), "the length field says %zu, so the frame has %zu bytes, but %zu are here", length,
                  whole, in.len);
        return ERR_AGAIN;
    }
    uint16_t sum = ap3000_checksum((struct bytes){in.at, whole - 2});
    *size = whole;
    *out = (struct ap3000_frame){
        .physical_id = le32(in.at + 5),
        .message_id = le16(in.at + 9),
        .command = in.at[11],
        .checksum = le16(in.at + whole - 2),
        .payload = {in.at + AP3000_PAYLOAD_AT, length - AP3000_LENGTH_MIN},
    };
    if (out->checksum != sum) {
        fault_set(why, STR("checksum"), "the frame says %04X, its bytes sum to %04X", out->checksum, sum);
        return ERR_CORRUPT;
    }
    return OK;
}

enum err ap3000_frame_write(const struct ap3000_frame *f, uint8_t *to, size_t room, size_t *size)
{
    bool is_firmware = f->command == COMMAND_OLD_PILE_FIRMWARE || f->command == COMMAND_OLD_HOST_FIRMWARE;
    size_t most = is_firmware ? AP3000_SENT_FIRMWARE_SIZE_MAX : AP3000_SENT_SIZE_MAX;
    if (f->payload.len > most - AP3000_PREFIX_SIZE - AP3000_LENGTH_MIN)
        return ERR_LIMIT;
    size_t length = AP3000_LENGTH_MIN + f->payload.len;
    size_t whole = AP3000_PREFIX_SIZE + length;
    if (room < whole)
        return ERR_FULL;
    memcpy(to, header, sizeof header);
    le_put(to + AP3000_HEADER_SIZE, 2, (uint32_t)length);
    le_put(to + 5, 4, f->physical_id);
    le_put(to + 9, 2, f->message_id);
    to[11] = f->command;
    if (f->payload.len > 0)
        memcpy(to + AP3000_PAYLOAD_AT, f->payload.at, f->payload.len);
    le_put(to + whole - 2, 2, ap3000_checksum((struct bytes){to, whole - 2}));
    *size = whole;
    return OK;
}

void ap3000_id_write(uint32_t id, char out[AP3000_ID_TEXT_SIZE])
{
    (void)snprintf(out, AP3000_ID_TEXT_SIZE, "%08X", id);
}

/* All of s is hexadecimal digits, at most 8. */
static enum err parse_hex(struct str s, uint32_t *out)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (c >= '0' && c <= '9')
            n = n << 4 | (uint32_t)(c - '0');
        else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            n = n << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return ERR_FORMAT;
    }
    *out = n;
    return OK;
}

enum err ap3000_id_parse(struct str s, uint32_t *id)
{
    return s.len == AP3000_ID_TEXT_SIZE - 1 ? parse_hex(s, id) : ERR_FORMAT;
}

enum err ap3000_qr_parse(struct str s, uint32_t *id, uint8_t *port)
{
    uint32_t wire, number;
    if (s.len < QR_SIZE)
        return ERR_FORMAT;
    const char *at = s.at + s.len - QR_SIZE;
    if (at[8] != '/' || parse_hex((struct str){at, 8}, &wire) != OK ||
        parse_hex((struct str){at + 9, 2}, &number) != OK)
        return ERR_FORMAT;
    *id = __builtin_bswap32(wire); /* the digits are the bytes as they are sent */
    *port = (uint8_t)number;
    return OK;
}

bool ap3000_id_is_fallback(uint32_t id)
{
    for (size_t i = 0; i < COUNT_OF(fallback_numbers); i++)
        if (ap3000_id_number(id) == fallback_numbers[i])
            return true;
    return false;
}
