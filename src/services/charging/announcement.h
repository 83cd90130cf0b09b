/* services/charging/announcement.h - what is told of a session (payments.md 4.1 and 23.3): decided when it happens, kept packed, and
 * written as JSON when it leaves. All words are decided before it is packed, so the JSON is the same whenever it is made. */
#ifndef SERVICES_CHARGING_ANNOUNCEMENT_H
#define SERVICES_CHARGING_ANNOUNCEMENT_H
#include "bus/bus.h"

/* In the order in which they are packed: new ones at the end. */
enum announcement_text {
    ANNOUNCED_STATION,
    ANNOUNCED_ORDER_NO,
    ANNOUNCED_DEVICE_REF,
    ANNOUNCED_PROTOCOL,
    ANNOUNCED_START_MODE,
    ANNOUNCED_CARD_NO,
    ANNOUNCED_TIME_QUALITY,
    ANNOUNCED_METER_QUALITY,
    ANNOUNCED_STATUS,
    ANNOUNCED_OLD_STATUS,
    ANNOUNCED_STOP_REASON,
    ANNOUNCED_STOP_CODE,
    ANNOUNCED_CODE,
    ANNOUNCED_CAUSE, /* 16 bytes: the event's id */
    ANNOUNCED_TEXT_COUNT
};
enum announcement_number {
    ANNOUNCED_SEQUENCE,
    ANNOUNCED_CONNECTOR,
    ANNOUNCED_STARTED_US,
    ANNOUNCED_ENDED_US,
    ANNOUNCED_DURATION_S,
    ANNOUNCED_METER_START_WH,
    ANNOUNCED_METER_STOP_WH,
    ANNOUNCED_ENERGY_WH,
    ANNOUNCED_MAX_POWER_W,
    ANNOUNCED_TIER_POWER_W,
    ANNOUNCED_IDLE_S,
    ANNOUNCED_NUMBER_COUNT
};
struct announcement {
    struct str texts[ANNOUNCED_TEXT_COUNT]; /* absent: not told, or null */
    struct integer numbers[ANNOUNCED_NUMBER_COUNT];
};
#define ANNOUNCEMENT_MAX 4096 /* packed */

/* Absent: its texts are too long. */
struct bytes announcement_pack(const struct announcement *a, uint8_t room[ANNOUNCEMENT_MAX]);
/* The texts are places in m. ERR_CORRUPT; ERR_UNSUPPORTED: of a form that only a newer version knows. */
MUST_USE enum err announcement_parse(const struct topic_message *m, struct announcement *out);
/* The message as others read it. A body that is JSON already is copied. */
MUST_USE enum err announcement_write(const struct topic_message *m, struct buf *out);
#endif
