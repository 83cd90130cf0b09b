/* wire/secret.h - the little of OpenSSL that is about secrets: keyed hash, comparison in constant time, wiping. */
#ifndef WIRE_SECRET_H
#define WIRE_SECRET_H
#include "base/base.h"

#define SECRET_HASH_SIZE 32
/* HMAC-SHA-256. Station keys are random (16 bytes and more), so a fast keyed hash is right and a slow one would be a way to
 * bring us down (reliability.md 2.3). */
void secret_hash(struct bytes key, struct bytes secret, uint8_t out[SECRET_HASH_SIZE]);
bool secret_is_equal(const void *a, const void *b, size_t size);
void secret_wipe(void *at, size_t size);
#endif
