/* wire/secret.c - includes no header of ours but its own: OpenSSL has names that ours have too. */
#include "wire/secret.h"
#define ERR_STATE openssl_err_state
#include <openssl/crypto.h>
#include <openssl/hmac.h>

void secret_hash(struct bytes key, struct bytes secret, uint8_t out[SECRET_HASH_SIZE])
{
    static const uint8_t none[1];
    unsigned len = SECRET_HASH_SIZE;
    check(HMAC(EVP_sha256(), key.at, (int)key.len, secret.at == NULL ? none : secret.at, secret.len, out, &len) != NULL);
}

bool secret_is_equal(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}

void secret_wipe(void *at, size_t size)
{
    if (at != NULL)
        OPENSSL_cleanse(at, size);
}
