/* eventlog/put.h - numbers into bytes, big-endian: the other side of be16(), be32(), be64(). */
#ifndef EVENTLOG_PUT_H
#define EVENTLOG_PUT_H
#include "base/base.h"

static inline void put16(uint8_t *p, uint16_t n)
{
    p[0] = (uint8_t)(n >> 8);
    p[1] = (uint8_t)n;
}

static inline void put32(uint8_t *p, uint32_t n)
{
    put16(p, (uint16_t)(n >> 16));
    put16(p + 2, (uint16_t)n);
}

static inline void put64(uint8_t *p, uint64_t n)
{
    put32(p, (uint32_t)(n >> 32));
    put32(p + 4, (uint32_t)n);
}
#endif
