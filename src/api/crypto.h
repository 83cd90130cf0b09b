/* api/crypto.h - the hashes of keys, secrets and requests. OpenSSL behind three verbs, apart from base/, whose words
 * its headers use. */
#ifndef API_CRYPTO_H
#define API_CRYPTO_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32
void sha256(const void *at, size_t len, uint8_t out[SHA256_SIZE]);
/* Several pieces as one text, each with its length before it, so that no two lists of pieces are the same text. */
struct piece {
    const void *at;
    size_t len;
};
void sha256_pieces(const struct piece *pieces, size_t count, uint8_t out[SHA256_SIZE]);
void hmac_sha256(const uint8_t *key, size_t key_len, const void *at, size_t len, uint8_t out[SHA256_SIZE]);
bool same_secret(const void *a, const void *b, size_t len); /* in constant time */
#endif
