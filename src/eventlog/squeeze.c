#include "eventlog/squeeze.h"

#include <zstd.h>

#define LEVEL     (-3) /* the fast end of zstd: what JSON says again and again goes for half a microsecond an event */
#define MATCH_MIN 7    /* shorter ones cost more looks than they save bytes: of what stations say none were lost */
#define HASH_LOG  15

void squeezer_release(struct squeezer *z)
{
    (void)ZSTD_freeCCtx(z->in);
    (void)ZSTD_freeDCtx(z->out);
    *z = (struct squeezer){0};
}

struct bytes squeeze(struct squeezer *z, struct bytes data, struct buf *room)
{
    const size_t most = ZSTD_compressBound(data.len);

    if (z->in == NULL && (z->in = ZSTD_createCCtx()) != NULL) {
        (void)ZSTD_CCtx_setParameter(z->in, ZSTD_c_compressionLevel, LEVEL);
        (void)ZSTD_CCtx_setParameter(z->in, ZSTD_c_minMatch, MATCH_MIN);
        (void)ZSTD_CCtx_setParameter(z->in, ZSTD_c_hashLog, HASH_LOG);
    }
    buf_clear(room);
    uint8_t *to = z->in == NULL ? NULL : buf_reserve(room, most);
    room->failed = false;
    if (to == NULL)
        return data;
    size_t len = ZSTD_compress2(z->in, to, most, data.at, data.len);
    return ZSTD_isError(len) || len >= data.len ? data : (struct bytes){to, len};
}

enum err unsqueeze(struct squeezer *z, struct bytes data, size_t size, struct buf *out)
{
    if (z->out == NULL)
        z->out = ZSTD_createDCtx();
    buf_clear(out);
    uint8_t *to = z->out == NULL ? NULL : buf_reserve(out, size);
    if (to == NULL)
        return ERR_MEMORY;
    if (ZSTD_decompressDCtx(z->out, to, size, data.at, data.len) != size)
        return ERR_CORRUPT;
    out->len = size;
    return OK;
}
