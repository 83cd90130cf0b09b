/* proto/ap3000/order.h - order numbers that a pile made itself (ap3000.md 11.2, 11.3), and the code that a customer
 * types on a pile without network. Pure. */
#ifndef PROTO_AP3000_ORDER_H
#define PROTO_AP3000_ORDER_H
#include "proto/ap3000/frame.h"

#include "base/time.h"

#define AP3000_ORDER_SIZE 16

enum ap3000_order_origin {
    AP3000_ORDER_OPAQUE, /* the server's, or one of a layout that is not known (A25) */
    AP3000_ORDER_CARD,
    AP3000_ORDER_CODE,
};
struct ap3000_order {
    enum ap3000_order_origin origin;
    struct instant started; /* by the pile's clock, which may be unset: 1970 */
    uint8_t card[4];        /* CARD */
    uint32_t code;          /* CODE: six digits */
    uint32_t number;        /* of the pile, as it is printed */
    uint8_t port;           /* from 0 */
};
/* A guess by its form, for people and for matching a sold code: the start mode and the fields of the frame are what
 * counts. */
void ap3000_order_read(const uint8_t order_no[AP3000_ORDER_SIZE], struct ap3000_order *out);

/* Which CRC-32 the firmware uses is not documented (A24). */
enum ap3000_crc { AP3000_CRC_IEEE, AP3000_CRC_MPEG2 };
#define AP3000_CODE_COUNT 1000000
/* The code, below AP3000_CODE_COUNT, of that pile, port (from 0) and minute. */
uint32_t ap3000_code(uint32_t physical_id, uint8_t port, struct instant now, enum ap3000_crc crc);
uint32_t ap3000_crc32(enum ap3000_crc kind, struct bytes b);
#endif
