/* What was squeezed comes back, what an older version squeezed too, and whatever else is given is refused. */
#include "check.h"
#include "unit/dice.h"
#include "eventlog/squeeze.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define SIZE_MAX_TRIED 20000

/* Words of which there are few, or bytes that say nothing twice. */
static void fill(uint8_t *to, size_t size, bool is_dull)
{
    static const char word[] = "\"measurand\":\"Energy.Active.Import.Register\",";
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(is_dull && dice(50) != 0 ? word[i % (sizeof word - 1)] : (char)dice(256));
}

static bool is_refused(struct squeezer *z, struct bytes stored, size_t size, struct buf *out)
{
    uint8_t *exact = malloc(stored.len + 1); /* of its own, so that the sanitizer sees the very end */
    check(exact != NULL);
    if (stored.len > 0)
        memcpy(exact + 1, stored.at, stored.len);
    enum err e = unsqueeze(z, (struct bytes){exact + 1, stored.len}, size, out);
    free(exact);
    return e == ERR_CORRUPT;
}

static void check_one(struct squeezer *z, struct bytes data, struct buf *room, struct buf *out)
{
    struct bytes stored = squeeze(z, data, room);
    if (stored.at == data.at) {
        CHECK("what does not get shorter stays as it is", stored.len == data.len);
        return;
    }
    CHECK("it is shorter", stored.len < data.len);
    CHECK("it comes back", unsqueeze(z, stored, data.len, out) == OK && out->len == data.len && memcmp(out->at, data.at, data.len) == 0);
    CHECK("of another size it is refused", is_refused(z, stored, data.len + 1, out) && is_refused(z, stored, data.len - 1, out));
    CHECK("half of it is refused", is_refused(z, (struct bytes){stored.at, stored.len / 2}, data.len, out));
}

static void check_older(struct squeezer *z, struct bytes data, struct buf *room, struct buf *out)
{
    buf_clear(room);
    uint8_t *to = buf_reserve(room, ZSTD_compressBound(data.len));
    check(to != NULL);
    size_t len = ZSTD_compress(to, ZSTD_compressBound(data.len), data.at, data.len, -3);
    struct bytes stored = {to, len};
    CHECK("a frame of zstd comes back",
          !ZSTD_isError(len) && unsqueeze(z, stored, data.len, out) == OK && out->len == data.len && memcmp(out->at, data.at, data.len) == 0);
    CHECK("cut it is refused", is_refused(z, (struct bytes){to, len - 1}, data.len, out));
}

static void check_strangers(struct squeezer *z, struct buf *out)
{
    for (int first = 0; first < 256; first++) {
        uint8_t bytes[] = {(uint8_t)first, 0xb5, 0x2f, 0xfd, 0xff, 0xff};
        for (size_t len = 0; len <= sizeof bytes; len++)
            CHECK("what nobody squeezed is refused", is_refused(z, (struct bytes){bytes, len}, 100, out));
    }
}

int main(void)
{
    uint8_t *data = malloc(SIZE_MAX_TRIED);
    struct squeezer z = {0};
    struct buf room, out;
    check(data != NULL);
    buf_init(&room, 1 << 20);
    buf_init(&out, 1 << 20);
    for (int i = 0; i < 400; i++) {
        struct bytes all = {data, 1 + dice(i % 2 == 0 ? 200 : SIZE_MAX_TRIED)};
        fill(data, all.len, i % 3 != 0);
        check_one(&z, all, &room, &out);
        check_older(&z, all, &room, &out);
    }
    check_strangers(&z, &out);
    squeezer_release(&z);
    buf_release(&room);
    buf_release(&out);
    free(data);
    return CHECK_REPORT();
}
