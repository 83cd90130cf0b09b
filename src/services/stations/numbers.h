/* services/stations/numbers.h - private to stations/: from ids of transactions back to their numbers. Undoing the permutation costs eight
 * keyed hashes, and a transaction's id comes with each of its readings: so what was undone lately is remembered. */
#ifndef SERVICES_STATIONS_NUMBERS_H
#define SERVICES_STATIONS_NUMBERS_H
#include "base/id.h"

#define NUMBERS_KNOWN 16384 /* a power of two: ids are as good as random, so their low bits are where they are kept */

struct numbers {
    uint64_t id_key[2];
    struct known_number {
        uint32_t id, number;
    } known[NUMBERS_KNOWN];
};
/* "1234567" -> its number; 0: no id of ours. */
static inline uint64_t number_of(struct numbers *n, struct str transaction_id)
{
    int64_t id;
    if (transaction_id.at == NULL || str_to_int(transaction_id, &id) != OK || id <= 0 || id > INT32_MAX)
        return 0;
    struct known_number *known = &n->known[id & (NUMBERS_KNOWN - 1)];
    if (known->id != (uint32_t)id)
        *known = (struct known_number){(uint32_t)id, permute31_back(n->id_key, (uint32_t)id)};
    return known->number;
}
#endif
