/* base/id.h - hashes, checksums and identifiers, all pure: randomness comes in as an argument. */
#ifndef BASE_ID_H
#define BASE_ID_H
#include "base/memory.h"

uint32_t fnv1a32(struct bytes b);                                /* gateway-contract.md 2 */
uint64_t siphash(const uint64_t key[2], struct bytes b);         /* SipHash-2-4 */
/* SipHash-1-3: for tables in memory, whose hashes nobody sees. Nobody who does not know the key can choose what collides. */
uint64_t siphash_table(const uint64_t key[2], struct bytes b);
/* Ten times as fast, but whoever knows the key can make two texts collide: only for where that harms nobody but who does it. */
uint64_t content_hash(const uint64_t key[2], struct bytes b);
uint32_t crc32c(uint32_t start, struct bytes b);                 /* Castagnoli; start 0; hardware where there is */
uint32_t crc32c_by_table(uint32_t start, struct bytes b);         /* the same where there is none */

struct uuid {
    uint8_t at[16];
};
#define UUID_TEXT_SIZE 37
/* UUID v7 of the time and 74 bits of the caller's (high 12 then low 62). */
struct uuid uuid_v7(uint64_t unix_ms, uint16_t high, uint64_t low);
struct uuid uuid_v4(const uint8_t random[16]);
void uuid_write(struct uuid u, char out[UUID_TEXT_SIZE]); /* lower case */
MUST_USE enum err uuid_parse(struct str s, struct uuid *out);

void hex_write(struct bytes b, char *out); /* 2 * len digits and a terminating 0, lower case */
MUST_USE enum err hex_parse(struct str s, uint8_t *out, size_t size); /* exactly size bytes */
/* RFC 4648 with padding, strict. */
void buf_put_base64(struct buf *b, struct bytes in);
MUST_USE enum err base64_parse(struct str s, struct buf *out);

/* A keyed permutation of 1 .. 2^31-1 (Feistel, cycle walking): counts in, unguessable transaction ids out, each once.
 * permute31_back is its inverse. What is outside the range gives 0. */
uint32_t permute31(const uint64_t key[2], uint32_t n);
uint32_t permute31_back(const uint64_t key[2], uint32_t n);
#endif
