/* eventlog/identity.c - what makes a log this log, and the ids of its events. Pure: whoever writes an event needs it, and no file. */
#include "eventlog/segment.h"

void identity_derive(struct log_identity *id)
{
    const uint64_t key[2] = {be64(id->log_id), be64(id->log_id + 8)};

    id->multiply = siphash(key, (struct bytes){(const uint8_t *)"multiply", 8}) | 1; /* odd: so it can be undone */
    id->add = siphash(key, (struct bytes){(const uint8_t *)"add", 3});
    id->high = (uint16_t)(siphash(key, (struct bytes){(const uint8_t *)"high", 4}) & 0xfff);
}

struct uuid identity_event(const struct log_identity *id, uint64_t position, struct instant received)
{
    uint64_t ms = received.us < 0 ? 0 : (uint64_t)received.us / 1000;

    return uuid_v7(ms, id->high, (position * id->multiply + id->add) & (UINT64_MAX >> 2));
}
