/* order.c - order numbers of piles, verification codes. */
#include "proto/ap3000/order.h"

#include <string.h>

/* The last byte says the scheme and the port: two decimal digits, or the same in hexadecimal from port 10 on (A22). */
#define CARD_PORT_AT 30u
#define CODE_PORT_AT 70u
#define PORTS_MAX    16u

#define CRC_IEEE_REFLECTED 0xEDB88320u
#define CRC_MPEG2          0x04C11DB7u

/* ERR_FORMAT: a digit is none. */
static enum err read_bcd(const uint8_t *at, size_t size, uint32_t *out)
{
    uint32_t n = 0;
    for (size_t i = 0; i < size; i++) {
        if (at[i] >> 4 > 9 || (at[i] & 15) > 9)
            return ERR_FORMAT;
        n = n * 100 + (at[i] >> 4) * 10u + (at[i] & 15);
    }
    *out = n;
    return OK;
}

/* YYYY MM DD hh mm ss of China, where all piles of this make stand. */
static enum err read_time(const uint8_t *at, struct instant *out)
{
    static const uint8_t places[] = {0, 2, 5, 8, 11, 14, 17}; /* of the two digits of each byte */
    char text[] = "YYYY-MM-DDThh:mm:ss+08:00";
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        text[places[i]] = (char)('0' + (at[i] >> 4));
        text[places[i] + 1] = (char)('0' + (at[i] & 15)); /* what is no digit, no time has in it */
    }
    return at[0] == 0x19 || at[0] == 0x20 ? instant_parse(str_of(text), out, NULL) : ERR_FORMAT;
}

static bool read_port(uint8_t byte, uint32_t base, uint8_t *port)
{
    uint32_t n;
    uint32_t hex = base / 10 * 16;
    if (read_bcd(&byte, 1, &n) == OK) {
        *port = (uint8_t)(n - base);
        return n >= base && n < base + PORTS_MAX;
    }
    *port = (uint8_t)(byte - hex);
    return byte >= hex && byte < hex + PORTS_MAX;
}

void ap3000_order_read(const uint8_t order_no[AP3000_ORDER_SIZE], struct ap3000_order *out)
{
    struct ap3000_order o = {.origin = AP3000_ORDER_OPAQUE, .started = INSTANT_NONE};
    *out = o;
    if (read_time(order_no, &o.started) != OK || read_bcd(order_no + 11, 4, &o.number) != OK)
        return;
    if (read_port(order_no[15], CARD_PORT_AT, &o.port)) {
        o.origin = AP3000_ORDER_CARD;
        memcpy(o.card, order_no + 7, sizeof o.card);
        *out = o;
    } else if (read_port(order_no[15], CODE_PORT_AT, &o.port) && order_no[7] == 0 &&
               read_bcd(order_no + 8, 3, &o.code) == OK) {
        o.origin = AP3000_ORDER_CODE;
        *out = o;
    }
}

uint32_t ap3000_crc32(enum ap3000_crc kind, struct bytes b)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < b.len; i++) {
        crc ^= kind == AP3000_CRC_IEEE ? b.at[i] : (uint32_t)b.at[i] << 24;
        for (int bit = 0; bit < 8; bit++) {
            if (kind == AP3000_CRC_IEEE)
                crc = crc >> 1 ^ (crc & 1 ? CRC_IEEE_REFLECTED : 0);
            else
                crc = crc << 1 ^ (crc >> 31 ? CRC_MPEG2 : 0);
        }
    }
    return kind == AP3000_CRC_IEEE ? ~crc : crc;
}

uint32_t ap3000_code(uint32_t physical_id, uint8_t port, struct instant now, enum ap3000_crc crc)
{
    uint8_t input[9];
    int64_t second = now.us / 1000000;
    le_put(input, 4, physical_id);
    le_put(input + 4, 4, (uint32_t)(second - second % 60));
    input[8] = port;
    return ap3000_crc32(crc, (struct bytes){input, sizeof input}) % AP3000_CODE_COUNT;
}
