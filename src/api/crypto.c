/* api/crypto.c - see the header. What fails here is a broken installation: it ends the process. */
#include "api/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "event=crypto.broken what=%s\n", what);
    abort();
}

void sha256(const void *at, size_t len, uint8_t out[SHA256_SIZE])
{
    must(EVP_Digest(at, len, out, NULL, EVP_sha256(), NULL) == 1, "sha256");
}

void sha256_pieces(const struct piece *pieces, size_t count, uint8_t out[SHA256_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1, "sha256");
    for (size_t i = 0; i < count; i++) {
        uint64_t len = pieces[i].len;
        must(EVP_DigestUpdate(ctx, &len, sizeof len) == 1 && EVP_DigestUpdate(ctx, pieces[i].at, pieces[i].len) == 1,
             "sha256");
    }
    must(EVP_DigestFinal_ex(ctx, out, NULL) == 1, "sha256");
    EVP_MD_CTX_free(ctx);
}

void hmac_sha256(const uint8_t *key, size_t key_len, const void *at, size_t len, uint8_t out[SHA256_SIZE])
{
    unsigned size = SHA256_SIZE;
    must(HMAC(EVP_sha256(), key, (int)key_len, at, len, out, &size) != NULL, "hmac");
}

bool same_secret(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
