/* However a stream of frames is cut, the same messages come out and the same refusal; and what is written is read
 * again. Input: one byte of choices, CUTS bytes that say how long the pieces are, then the stream. */
/* covers: src/wire/ws.c */
#include "wire/ws.h"

#include <stdlib.h>
#include <string.h>

#define CUTS        8
#define OUTCOME_MAX (1 << 22)
#define CHOICE_SIDE 0x01 /* server or client */
#define CHOICE_TINY 0x02 /* limits that short streams reach */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ws_limits limit_choices[] = {{1 << 20, 64}, {40, 3}};

/* All that comes out, as bytes to compare. cuts NULL: in one piece. */
static void outcome_read(struct buf *out, uint8_t choice, const uint8_t *cuts, struct bytes stream)
{
    struct ws_reader r;
    enum err e = ERR_AGAIN;
    uint16_t code = 0;
    ws_reader_init(&r, &limit_choices[(choice & CHOICE_TINY) != 0], (choice & CHOICE_SIDE) != 0);
    for (size_t from = 0, i = 0; from < stream.len && e == ERR_AGAIN; i++) {
        size_t len = cuts == NULL ? stream.len : 1u + cuts[i % CUTS];
        if (len > stream.len - from)
            len = stream.len - from;
        uint8_t *piece = malloc(len), *at = piece;
        check(piece != NULL);
        memcpy(piece, stream.at + from, len);
        from += len;
        struct ws_message m;
        while ((e = ws_read(&r, &at, &len, &m, &code)) == OK) {
            check(m.kind != WS_TEXT || utf8_is_valid(m.payload));
            check(m.kind < WS_PING || m.payload.len <= WS_CONTROL_PAYLOAD_MAX);
            check(m.payload.len <= r.limits->message_max || m.kind >= WS_PING);
            buf_printf(out, "%d %d %zu ", (int)m.kind, m.code, m.payload.len);
            buf_put(out, m.payload.at, m.payload.len);
        }
        check(e != ERR_AGAIN || len == 0);
        free(piece);
    }
    check(r.partial.len <= r.limits->message_max);
    ws_reader_release(&r);
    check((e == ERR_AGAIN) == (code == 0));
    buf_printf(out, "%d %d", (int)e, code);
}

/* The bytes as the payload of a binary message, masked as the choices say. */
static void check_written(uint8_t choice, const uint8_t *mask, struct bytes payload)
{
    struct ws_reader r;
    struct ws_message m;
    struct buf wire;
    uint16_t code = 0;
    bool is_server = (choice & CHOICE_SIDE) != 0;
    buf_init(&wire, OUTCOME_MAX);
    ws_write(&wire, WS_BINARY, payload, is_server ? mask : NULL);
    ws_reader_init(&r, &limit_choices[0], is_server);
    uint8_t *at = wire.at;
    size_t len = wire.len;
    check(ws_read(&r, &at, &len, &m, &code) == OK && m.kind == WS_BINARY && len == 0);
    check(m.payload.len == payload.len && (payload.len == 0 || memcmp(m.payload.at, payload.at, payload.len) == 0));
    ws_reader_release(&r);
    buf_release(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + CUTS)
        return 0;
    struct bytes stream = {data + 1 + CUTS, size - 1 - CUTS};
    struct buf whole, cut;
    buf_init(&whole, OUTCOME_MAX);
    buf_init(&cut, OUTCOME_MAX);
    outcome_read(&whole, data[0], NULL, stream);
    outcome_read(&cut, data[0], data + 1, stream);
    check(!whole.failed && str_eq(buf_str(&whole), buf_str(&cut)));
    check_written(data[0], data + 1, stream);
    buf_release(&whole);
    buf_release(&cut);
    return 0;
}
