/* wire/secret.h - the little of OpenSSL that is about secrets and digests: hashes, with a key and without, comparison
 * in constant time, wiping. What fails in it is a broken installation: it ends the process. */
#ifndef WIRE_SECRET_H
#define WIRE_SECRET_H
#include "base/base.h"

#define SECRET_HASH_SIZE 32
/* HMAC-SHA-256. Station keys are random (16 bytes and more), so a fast keyed hash is right and a slow one would be a
 * way to bring us down (reliability.md 2.3). */
void secret_hash(struct bytes key, struct bytes secret, uint8_t out[SECRET_HASH_SIZE]);
bool secret_is_equal(const void *a, const void *b, size_t size);
void secret_wipe(void *at, size_t size);

#define SHA256_SIZE 32
void sha256(struct bytes b, uint8_t out[SHA256_SIZE]);
/* Several pieces as one text, each with its length before it, so that no two lists of pieces are the same text. */
void sha256_pieces(const struct bytes *pieces, size_t count, uint8_t out[SHA256_SIZE]);
#endif
