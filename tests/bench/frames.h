/* bench/frames.h - what the load's stations say, rendered once: whole WebSocket frames in which only digits are
 * changed.
 *
 * The mask is zero, which is legal for a frame and spares the generator a pass over its bytes; a server has to apply it
 * all the same. A call's message id, transaction id, time and register stand at known places and have a fixed number of
 * digits. */
#ifndef BENCH_FRAMES_H
#define BENCH_FRAMES_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FRAME_MAX      1024
#define METER_SIZE     667       /* bytes of a MeterValues message of 4 samples */
#define REGISTER_FIRST 100000000 /* nine digits, none of them a leading zero */

enum call { CALL_BOOT, CALL_START, CALL_METER, CALL_STOP, CALL_HEARTBEAT, CALL_COUNT };

static const char *const call_texts[CALL_COUNT] = {
    [CALL_BOOT] =
        "[2,\"IIIIIIIIII\",\"BootNotification\",{\"chargePointVendor\":\"Bench\",\"chargePointModel\":\"B1\"}]",
    [CALL_START] =
        "[2,\"IIIIIIIIII\",\"StartTransaction\",{\"connectorId\":1,\"idTag\":\"TGGGGGGG\",\"meterStart\":EEEEEEEEE,"
        "\"timestamp\":\"YYYYYYYYYYYYYYYYYYYYYYYY\"}]",
    [CALL_METER] =
        "[2,\"IIIIIIIIII\",\"MeterValues\",{\"connectorId\":1,\"transactionId\":TTTTTTTTTT,\"meterValue\":[{"
        "\"timestamp\":"
        "\"YYYYYYYYYYYYYYYYYYYYYYYY\",\"sampledValue\":["
        "{\"value\":\"EEEEEEEEE\",\"context\":\"Sample.Periodic\",\"format\":\"Raw\",\"measurand\":\"Energy.Active."
        "Import.Register\","
        "\"location\":\"Outlet\",\"unit\":\"Wh\"},"
        "{\"value\":\"7215.4\",\"context\":\"Sample.Periodic\",\"format\":\"Raw\",\"measurand\":\"Power.Active."
        "Import\","
        "\"location\":\"Outlet\",\"unit\":\"W\"},"
        "{\"value\":\"31.40\",\"context\":\"Sample.Periodic\",\"format\":\"Raw\",\"measurand\":\"Current.Import\","
        "\"location\":\"Outlet\",\"unit\":\"A\"},"
        "{\"value\":\"229.8\",\"context\":\"Sample.Periodic\",\"format\":\"Raw\",\"measurand\":\"Voltage\",\"phase\":"
        "\"L1\","
        "\"location\":\"Outlet\",\"unit\":\"V\"}]}]}]",
    [CALL_STOP] = "[2,\"IIIIIIIIII\",\"StopTransaction\",{\"transactionId\":TTTTTTTTTT,\"idTag\":\"TGGGGGGG\","
                  "\"meterStop\":EEEEEEEEE,"
                  "\"timestamp\":\"YYYYYYYYYYYYYYYYYYYYYYYY\",\"reason\":\"Local\"}]",
    [CALL_HEARTBEAT] = "[2,\"IIIIIIIIII\",\"Heartbeat\",{}]",
};

struct frame {
    uint8_t bytes[FRAME_MAX];
    size_t len;
    uint8_t *id, *transaction, *time, *energy, *tag; /* NULL: it has none */
};

static inline uint8_t *find_place(uint8_t *text, const char *mark)
{
    return (uint8_t *)strstr((char *)text, mark);
}

/* Blanks before the last bracket, where a size is asked for. */
static inline void frame_make(struct frame *f, const char *text, size_t size)
{
    size_t len = strlen(text), head = 2;

    memset(f, 0, sizeof *f);
    if (size < len)
        size = len;
    f->bytes[0] = 0x81;
    if (size < 126) {
        f->bytes[1] = (uint8_t)(0x80 | size);
    } else {
        f->bytes[1] = 0x80 | 126;
        f->bytes[2] = (uint8_t)(size >> 8);
        f->bytes[3] = (uint8_t)size;
        head = 4;
    }
    uint8_t *body = f->bytes + head + 4;
    memset(body, ' ', size);
    memcpy(body, text, len - 1);
    body[size - 1] = ']';
    f->len = head + 4 + size;
    f->id = find_place(body, "IIIIIIIIII");
    f->transaction = find_place(body, "TTTTTTTTTT");
    f->time = find_place(body, "YYYYYYYYYYYYYYYYYYYYYYYY");
    f->energy = find_place(body, "EEEEEEEEE");
    f->tag = find_place(body, "TGGGGGGG");
}

/* Right-aligned, blanks before it: legal before a JSON number. */
static inline void put_number(uint8_t *at, size_t width, uint64_t n)
{
    for (size_t i = width; i-- > 0; n /= 10)
        at[i] = n == 0 && i + 1 < width ? ' ' : (uint8_t)('0' + n % 10);
}

static inline void put_digits(uint8_t *at, size_t width, uint64_t n)
{
    for (size_t i = width; i-- > 0; n /= 10)
        at[i] = (uint8_t)('0' + n % 10);
}

/* "2026-11-23T19:51:16.123Z" */
static inline void put_time(uint8_t *at, int64_t unix_us)
{
    static int64_t known_ms = -1;
    static char text[40];
    int64_t ms = unix_us / 1000;

    if (ms != known_ms) {
        time_t s = (time_t)(ms / 1000);
        struct tm tm;
        known_ms = ms;
        (void)gmtime_r(&s, &tm);
        (void)strftime(text, 20, "%Y-%m-%dT%H:%M:%S", &tm);
        (void)snprintf(text + 19, sizeof text - 19, ".%03dZ", (int)(ms % 1000));
    }
    memcpy(at, text, 24);
}
#endif
