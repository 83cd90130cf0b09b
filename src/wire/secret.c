/* wire/secret.c - includes no header of ours but its own: OpenSSL has names that ours have too. */
#include "wire/secret.h"
#define ERR_STATE openssl_err_state
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

void secret_hash(struct bytes key, struct bytes secret, uint8_t out[SECRET_HASH_SIZE])
{
    static const uint8_t none[1];
    unsigned len = SECRET_HASH_SIZE;
    check(HMAC(EVP_sha256(), key.at, (int)key.len, secret.at == NULL ? none : secret.at, secret.len, out, &len) !=
          NULL);
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

void sha256(struct bytes b, uint8_t out[SHA256_SIZE])
{
    check(EVP_Digest(b.at, b.len, out, NULL, EVP_sha256(), NULL) == 1);
}

void sha256_pieces(const struct bytes *pieces, size_t count, uint8_t out[SHA256_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    check(ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t len = pieces[i].len;
        check(EVP_DigestUpdate(ctx, &len, sizeof len) == 1 && EVP_DigestUpdate(ctx, pieces[i].at, pieces[i].len) == 1);
    }
    check(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
    EVP_MD_CTX_free(ctx);
}
