/* proto/ap3000/frame.h - one frame of the AP3000 protocol (ap3000.md 2): bytes <-> physical id, message id, command,
 * payload.
 *
 *     0  3  "DNY"            5  4  physical id      11  1  command
 *     3  2  length           9  2  message id       12  n  payload      12+n  2  checksum
 *
 * length counts what follows it: n + 9. Numbers are little-endian; the checksum is the sum of all bytes before it. What
 * a payload means depends on command and direction: proto/ap3000/frames.h. Nothing here allocates. */
#ifndef PROTO_AP3000_FRAME_H
#define PROTO_AP3000_FRAME_H
#include "base/base.h"

#define AP3000_HEADER           "DNY"
#define AP3000_HEADER_SIZE      3
#define AP3000_PREFIX_SIZE      5 /* up to the end of the length field */
#define AP3000_PAYLOAD_AT       12
#define AP3000_LENGTH_MIN       9   /* of the length field: no payload */
#define AP3000_LENGTH_MAX       512 /* received: 1.4 */
#define AP3000_FRAME_SIZE_MAX   (AP3000_PREFIX_SIZE + AP3000_LENGTH_MAX)
#define AP3000_PAYLOAD_SIZE_MAX (AP3000_LENGTH_MAX - AP3000_LENGTH_MIN)
/* Sent: the nominal limit, which only the old firmware packets F8 and F9 may pass. */
#define AP3000_SENT_SIZE_MAX          256
#define AP3000_SENT_FIRMWARE_SIZE_MAX 274

struct ap3000_frame {
    uint32_t physical_id;
    uint16_t message_id;
    uint8_t command;
    uint16_t checksum;    /* as it came; written anew by ap3000_frame_write */
    struct bytes payload; /* borrowed from what it was read from */
};

uint16_t ap3000_checksum(struct bytes b);

/* Reads the frame at the beginning of in; what follows it is not looked at. *size is its whole size. ERR_AGAIN: it is
 * not all there; ERR_FORMAT: no header; ERR_RANGE: a length that none may have; ERR_CORRUPT: wrong checksum, and only
 * then out is filled nevertheless, for those who show it. why may be NULL. */
MUST_USE enum err ap3000_frame_read(struct bytes in, struct ap3000_frame *out, size_t *size, struct fault *why);

/* ERR_LIMIT: larger than may be sent; ERR_FULL: larger than room. */
MUST_USE enum err ap3000_frame_write(const struct ap3000_frame *f, uint8_t *to, size_t room, size_t *size);

/* --- the physical id (2.4): recognition code in the top byte, the printed number in the others --- */

#define AP3000_ID_TEXT_SIZE 9 /* "04CEAA40" and its 0 */

static inline uint8_t ap3000_id_code(uint32_t id)
{
    return (uint8_t)(id >> 24);
}
static inline uint32_t ap3000_id_number(uint32_t id)
{
    return id & 0xFFFFFF;
}
void ap3000_id_write(uint32_t id, char out[AP3000_ID_TEXT_SIZE]);
/* Its text form, 8 hexadecimal digits, most significant first. ERR_FORMAT. */
MUST_USE enum err ap3000_id_parse(struct str s, uint32_t *id);
/* The end of what a QR code says, "3bba0104/01": the id in wire order, and the port from zero, 0xFF for "let the pile
 * choose". ERR_FORMAT. */
MUST_USE enum err ap3000_qr_parse(struct str s, uint32_t *id, uint8_t *port);
/* A serial that piles with a broken memory fall back to: the only ones that may appear twice. */
bool ap3000_id_is_fallback(uint32_t id);

/* --- little-endian numbers --- */

static inline uint16_t le16(const uint8_t p[2])
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t le32(const uint8_t p[4])
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}
/* Of size 1, 2 or 4. */
static inline uint32_t le_get(const uint8_t *p, size_t size)
{
    return size == 1 ? p[0] : size == 2 ? le16(p) : le32(p);
}
static inline void le_put(uint8_t *p, size_t size, uint32_t n)
{
    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)(n >> 8 * i);
}
#endif
