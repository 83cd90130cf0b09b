/* LZ4 with a byte before it that says so. What begins with the first byte of zstd's magic number is a zstd frame: so it was
 * written up to format 2 of the segments. */
#include "eventlog/squeeze.h"

#include <lz4.h>
#include <stdlib.h>
#include <zstd.h>

#define IS_LZ4       0x4c
#define IS_ZSTD      0x28
#define ACCELERATION 2 /* a fifth less time than 1 for two bytes in a hundred: ADR 17 */

void squeezer_release(struct squeezer *z)
{
    free(z->in);
    (void)ZSTD_freeDCtx(z->out);
    *z = (struct squeezer){0};
}

struct bytes squeeze(struct squeezer *z, struct bytes data, struct buf *room)
{
    if (data.len > LZ4_MAX_INPUT_SIZE)
        return data;
    const int most = LZ4_compressBound((int)data.len);

    if (z->in == NULL)
        z->in = malloc((size_t)LZ4_sizeofState());
    buf_clear(room);
    uint8_t *to = z->in == NULL ? NULL : buf_reserve(room, 1 + (size_t)most);
    room->failed = false;
    if (to == NULL)
        return data;
    to[0] = IS_LZ4;
    int len = LZ4_compress_fast_extState(z->in, (const char *)data.at, (char *)to + 1, (int)data.len, most, ACCELERATION);
    return len <= 0 || 1 + (size_t)len >= data.len ? data : (struct bytes){to, 1 + (size_t)len};
}

static bool unsqueeze_lz4(struct bytes data, size_t size, uint8_t *to)
{
    return size <= LZ4_MAX_INPUT_SIZE && data.len <= LZ4_MAX_INPUT_SIZE &&
           LZ4_decompress_safe((const char *)data.at + 1, (char *)to, (int)data.len - 1, (int)size) == (int)size;
}

static bool unsqueeze_zstd(struct squeezer *z, struct bytes data, size_t size, uint8_t *to)
{
    if (z->out == NULL)
        z->out = ZSTD_createDCtx();
    return z->out != NULL && ZSTD_decompressDCtx(z->out, to, size, data.at, data.len) == size;
}

enum err unsqueeze(struct squeezer *z, struct bytes data, size_t size, struct buf *out)
{
    buf_clear(out);
    uint8_t *to = buf_reserve(out, size);
    if (to == NULL)
        return ERR_MEMORY;
    const int kind = data.len == 0 ? 0 : data.at[0];
    if (!(kind == IS_LZ4 ? unsqueeze_lz4(data, size, to) : kind == IS_ZSTD && unsqueeze_zstd(z, data, size, to)))
        return ERR_CORRUPT;
    out->len = size;
    return OK;
}
