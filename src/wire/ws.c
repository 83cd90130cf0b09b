/* wire/ws.c - RFC 6455 as a state machine over bytes. A frame's head is checked byte by byte as it comes, its payload
 * is unmasked and checked where it lies; so what is refused, and with which code, does not depend on how the input was
 * cut. */
#include "wire/ws.h"

#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#define ERR_STATE OPENSSL_ERR_STATE /* it has a type of that name, hidden from us here */
#include <openssl/evp.h>
#undef ERR_STATE

#define FIN           0x80
#define RSV_BITS      0x70
#define OPCODE_BITS   0x0F
#define MASK_BIT      0x80
#define LENGTH_BITS   0x7F
#define LENGTH_IS_16  126
#define LENGTH_IS_64  127
#define MASK_SIZE     4
#define KEY_SIZE      24 /* base64 of 16 bytes: 22 characters and "==" */
#define KEY_CHARS     22
#define CODE_SIZE     2
#define HIGH_BITS     UINT64_C(0x8080808080808080)
#define SHA1_SIZE     20
#define ACCEPT_SUFFIX "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, 1.3 */

enum opcode { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum read_state { READ_HEAD, READ_DATA, READ_CONTROL, READ_GIVEN /* partial was lent out: free it first */ };

/* A continuation's kind is that of its message. */
static const struct {
    bool is_known, is_control;
    enum ws_kind kind;
} opcodes[OPCODE_BITS + 1] = {
    [OP_CONTINUATION] = {true, false, WS_TEXT}, [OP_TEXT] = {true, false, WS_TEXT},
    [OP_BINARY] = {true, false, WS_BINARY},     [OP_CLOSE] = {true, true, WS_CLOSE},
    [OP_PING] = {true, true, WS_PING},          [OP_PONG] = {true, true, WS_PONG},
};

static const uint8_t opcode_of[] = {
    [WS_TEXT] = OP_TEXT, [WS_BINARY] = OP_BINARY, [WS_PING] = OP_PING, [WS_PONG] = OP_PONG, [WS_CLOSE] = OP_CLOSE,
};

/* Codes that may stand in a close frame: those of RFC 6455, 7.4.1 and its registry, then the ranges of 7.4.2. */
static const struct {
    uint16_t first, last;
} close_codes[] = {
    {1000, 1003},
    {1007, 1014},
    {3000, 4999},
};

/* What may follow a lead byte: how many bytes, and between which bounds the next one lies; those after it lie between
 * 80 and BF. The bounds of the first one shut out overlong forms, surrogates and all past U+10FFFF (RFC 3629, 4). */
#define FOLLOW(count, low, high) ((uint32_t)(count) << 16 | (low) << 8 | (high))
#define FOLLOW_COUNT(state)      ((state) >> 16)
#define FOLLOW_LOW(state)        ((state) >> 8 & 0xFF)
#define FOLLOW_HIGH(state)       ((uint8_t)(state))

static const uint32_t utf8_lead[256] = {
    [0xC2 ... 0xDF] = FOLLOW(1, 0x80, 0xBF), [0xE0] = FOLLOW(2, 0xA0, 0xBF),
    [0xE1 ... 0xEC] = FOLLOW(2, 0x80, 0xBF), [0xED] = FOLLOW(2, 0x80, 0x9F),
    [0xEE ... 0xEF] = FOLLOW(2, 0x80, 0xBF), [0xF0] = FOLLOW(3, 0x90, 0xBF),
    [0xF1 ... 0xF3] = FOLLOW(3, 0x80, 0xBF), [0xF4] = FOLLOW(3, 0x80, 0x8F),
};

/* *state is 0 between characters. */
static bool utf8_feed(uint32_t *state, const uint8_t *p, size_t n)
{
    uint32_t s = *state;
    for (size_t i = 0; i < n; i++) {
        if (s == 0) {
            uint64_t word;
            while (n - i >= sizeof word && (memcpy(&word, p + i, sizeof word), (word & HIGH_BITS) == 0))
                i += sizeof word;
            if (i == n)
                break;
            if (p[i] < 0x80)
                continue;
            s = utf8_lead[p[i]];
            if (s == 0)
                return false;
        } else {
            if (p[i] < FOLLOW_LOW(s) || p[i] > FOLLOW_HIGH(s))
                return false;
            s = FOLLOW_COUNT(s) == 1 ? 0 : FOLLOW(FOLLOW_COUNT(s) - 1, 0x80, 0xBF);
        }
    }
    *state = s;
    return true;
}

/* Applies the mask from its byte *mask_at on. Returns a word that is without HIGH_BITS if all plain bytes were ASCII.
 */
static uint64_t unmask(uint8_t *p, size_t n, const uint8_t mask[MASK_SIZE], uint8_t *mask_at)
{
    uint8_t turned[sizeof(uint64_t)];
    memcpy(turned, mask, MASK_SIZE);
    memcpy(turned + MASK_SIZE, mask, MASK_SIZE);
    for (size_t i = 0; *mask_at != 0 && i < sizeof turned; i++)
        turned[i] = mask[(*mask_at + i) % MASK_SIZE];
    uint64_t key, word, seen = 0;
    memcpy(&key, turned, sizeof key);
    size_t i = 0;
#if defined(__SSE2__)
    const __m128i wide_key = _mm_set1_epi64x((long long)key);
    __m128i all = _mm_setzero_si128();
    for (; n - i >= sizeof wide_key; i += sizeof wide_key) {
        __m128i *at = (__m128i *)(void *)(p + i), wide = _mm_xor_si128(_mm_loadu_si128(at), wide_key);
        all = _mm_or_si128(all, wide);
        _mm_storeu_si128(at, wide);
    }
    if (_mm_movemask_epi8(all) != 0)
        seen = HIGH_BITS;
#endif
    for (; n - i >= sizeof word; i += sizeof word) {
        memcpy(&word, p + i, sizeof word);
        word ^= key;
        seen |= word;
        memcpy(p + i, &word, sizeof word);
    }
    for (size_t k = 0; i < n; i++, k++) {
        p[i] ^= turned[k];
        seen |= p[i];
    }
    *mask_at = (uint8_t)((*mask_at + n) % MASK_SIZE);
    return seen;
}

static enum err fail(struct ws_reader *r, enum err e, uint16_t with, uint16_t *code)
{
    buf_release(&r->partial);
    r->is_closed = true; /* nothing after it means anything */
    *code = with;
    return e;
}

static size_t length_size(uint8_t second)
{
    uint8_t length = second & LENGTH_BITS;
    return length == LENGTH_IS_64 ? 8 : length == LENGTH_IS_16 ? 2 : 0;
}

/* As far as it is known. */
static size_t head_size(const struct ws_reader *r)
{
    if (r->head_len < 2)
        return 2;
    return 2 + length_size(r->head[1]) + (r->expect_mask ? MASK_SIZE : 0);
}

static bool first_byte_is_legal(const struct ws_reader *r)
{
    uint8_t first = r->head[0], opcode = first & OPCODE_BITS;
    bool is_open = r->opcode != 0;
    if ((first & RSV_BITS) != 0 || !opcodes[opcode].is_known)
        return false;
    if (opcodes[opcode].is_control)
        return (first & FIN) != 0;
    return (opcode == OP_CONTINUATION) == is_open;
}

static bool second_byte_is_legal(const struct ws_reader *r)
{
    uint8_t second = r->head[1];
    bool is_control = opcodes[r->head[0] & OPCODE_BITS].is_control;
    return ((second & MASK_BIT) != 0) == r->expect_mask &&
           (!is_control || (second & LENGTH_BITS) <= WS_CONTROL_PAYLOAD_MAX);
}

/* RFC 6455, 5.2: the shortest form only, and the top bit of the longest is 0. */
static bool length_is_legal(const struct ws_reader *r, uint64_t *length)
{
    uint8_t second = r->head[1] & LENGTH_BITS;
    uint64_t n = second == LENGTH_IS_64 ? be64(r->head + 2) : second == LENGTH_IS_16 ? be16(r->head + 2) : second;
    uint64_t least = second == LENGTH_IS_64 ? UINT64_C(1) << 16 : second == LENGTH_IS_16 ? LENGTH_IS_16 : 0;
    *length = n;
    return n >= least && n <= INT64_MAX;
}

/* Called after each byte of the head. */
static enum err head_check(struct ws_reader *r, uint16_t *code)
{
    if (r->head_len == 1)
        return first_byte_is_legal(r) ? OK : fail(r, ERR_FORMAT, WS_CLOSE_PROTOCOL, code);
    if (r->head_len == 2 && !second_byte_is_legal(r))
        return fail(r, ERR_FORMAT, WS_CLOSE_PROTOCOL, code);
    if (r->head_len != 2 + length_size(r->head[1]))
        return OK;
    if (!length_is_legal(r, &r->left))
        return fail(r, ERR_FORMAT, WS_CLOSE_PROTOCOL, code);
    if (opcodes[r->head[0] & OPCODE_BITS].is_control)
        return OK;
    if (r->left > r->limits->message_max - r->partial.len)
        return fail(r, ERR_RANGE, WS_CLOSE_TOO_BIG, code);
    /* Small fragments cost more than their bytes. */
    if (r->fragments >= r->limits->fragments_max)
        return fail(r, ERR_RANGE, WS_CLOSE_POLICY, code);
    return OK;
}

static void head_done(struct ws_reader *r)
{
    uint8_t opcode = r->head[0] & OPCODE_BITS;
    r->mask_at = 0;
    if (opcodes[opcode].is_control) {
        r->control_len = 0;
        r->state = READ_CONTROL;
        return;
    }
    if (opcode != OP_CONTINUATION) {
        r->opcode = opcode;
        r->utf8 = 0;
    }
    r->fragments++;
    r->state = READ_DATA;
}

static enum err head_take(struct ws_reader *r, uint8_t **at, size_t *len, uint16_t *code)
{
    while (r->head_len < head_size(r)) {
        if (*len == 0)
            return ERR_AGAIN;
        r->head[r->head_len++] = **at;
        ++*at;
        --*len;
        enum err e = head_check(r, code);
        if (e != OK)
            return e;
    }
    head_done(r);
    return OK;
}

/* The piece of the present frame's payload that is in the input, plain; *seen as unmask() says. */
static struct bytes piece_take(struct ws_reader *r, uint8_t **at, size_t *len, uint64_t *seen)
{
    struct bytes piece = {*at, r->left < *len ? (size_t)r->left : *len};
    *seen = HIGH_BITS;
    if (r->expect_mask && piece.len > 0)
        *seen = unmask(*at, piece.len, r->head + r->head_len - MASK_SIZE, &r->mask_at);
    if (piece.len > 0)
        *at += piece.len;
    *len -= piece.len;
    r->left -= piece.len;
    return piece;
}

static enum err close_check(struct ws_reader *r, struct ws_message *out, struct bytes payload, uint16_t *code)
{
    *out = (struct ws_message){WS_CLOSE, payload, WS_CLOSE_NONE};
    if (payload.len == 0)
        return OK;
    if (payload.len < CODE_SIZE)
        return fail(r, ERR_FORMAT, WS_CLOSE_PROTOCOL, code);
    out->code = be16(payload.at);
    out->payload = (struct bytes){payload.at + CODE_SIZE, payload.len - CODE_SIZE};
    bool is_known = false;
    for (size_t i = 0; i < COUNT_OF(close_codes); i++)
        is_known = is_known || (out->code >= close_codes[i].first && out->code <= close_codes[i].last);
    if (!is_known)
        return fail(r, ERR_FORMAT, WS_CLOSE_PROTOCOL, code);
    if (!utf8_is_valid(out->payload))
        return fail(r, ERR_FORMAT, WS_CLOSE_UTF8, code);
    return OK;
}

static enum err control_take(struct ws_reader *r, uint8_t **at, size_t *len, struct ws_message *out, uint16_t *code)
{
    uint64_t seen;
    struct bytes payload = piece_take(r, at, len, &seen);
    if (r->left > 0 || r->control_len > 0) {
        if (r->control == NULL)
            r->control = mem_new(1, WS_CONTROL_PAYLOAD_MAX);
        if (payload.len > 0)
            memcpy(r->control + r->control_len, payload.at, payload.len);
        r->control_len = (uint8_t)(r->control_len + payload.len);
        payload = (struct bytes){r->control, r->control_len};
    }
    if (r->left > 0)
        return ERR_AGAIN;
    enum ws_kind kind = opcodes[r->head[0] & OPCODE_BITS].kind;
    r->head_len = 0;
    r->state = READ_HEAD;
    if (kind != WS_CLOSE) {
        *out = (struct ws_message){kind, payload, 0};
        return OK;
    }
    struct ws_message close;
    enum err e = close_check(r, &close, payload, code);
    if (e != OK)
        return e;
    buf_release(&r->partial); /* a message that was begun is never finished */
    r->is_closed = true;
    *out = close;
    return OK;
}

/* ERR_AGAIN also at the end of a frame that is not the last of its message: the state is READ_HEAD then. */
static enum err data_take(struct ws_reader *r, uint8_t **at, size_t *len, struct ws_message *out, uint16_t *code)
{
    uint64_t seen;
    struct bytes payload = piece_take(r, at, len, &seen);
    bool is_text = r->opcode == OP_TEXT;
    bool is_last = (r->head[0] & FIN) != 0 && r->left == 0;
    if (is_text && ((seen & HIGH_BITS) != 0 || r->utf8 != 0) && !utf8_feed(&r->utf8, payload.at, payload.len))
        return fail(r, ERR_FORMAT, WS_CLOSE_UTF8, code);
    if (is_last && is_text && r->utf8 != 0)
        return fail(r, ERR_FORMAT, WS_CLOSE_UTF8, code); /* it ends within a character */
    bool is_whole = is_last && r->partial.len == 0;
    if (!is_whole && payload.len > 0)
        buf_put(&r->partial, payload.at, payload.len);
    if (r->partial.failed)
        return fail(r, ERR_MEMORY, WS_CLOSE_INTERNAL, code);
    if (r->left > 0)
        return ERR_AGAIN;
    r->head_len = 0;
    r->state = READ_HEAD;
    if (!is_last)
        return ERR_AGAIN;
    if (!is_whole) {
        payload = (struct bytes){r->partial.at, r->partial.len};
        r->state = READ_GIVEN;
    }
    r->opcode = 0;
    r->fragments = 0;
    *out = (struct ws_message){is_text ? WS_TEXT : WS_BINARY, payload, 0};
    return OK;
}

void ws_reader_init(struct ws_reader *r, const struct ws_limits *limits, bool is_server)
{
    memset(r, 0, sizeof *r);
    r->limits = limits;
    r->expect_mask = is_server;
    buf_init(&r->partial, limits->message_max);
}

void ws_reader_release(struct ws_reader *r)
{
    buf_release(&r->partial);
    free(r->control);
    r->control = NULL;
}

/* Is the front of the input one masked text message in one frame, whole and within the limits? Then *head is what stands
 * before its payload of *size bytes. Anything else, what is to be refused too, is read step by step. */
static bool is_whole_text(const struct ws_reader *r, const uint8_t *at, size_t len, size_t *head, size_t *size)
{
    if (r->state != READ_HEAD || r->head_len != 0 || r->opcode != 0 || r->is_closed || !r->expect_mask ||
        r->limits->fragments_max == 0 || len < 2 + MASK_SIZE || at[0] != (FIN | OP_TEXT) || (at[1] & MASK_BIT) == 0)
        return false;
    const uint8_t length = at[1] & LENGTH_BITS;
    if (length == LENGTH_IS_64)
        return false;
    *head = 2 + length_size(length) + MASK_SIZE;
    if (len < *head)
        return false;
    *size = length == LENGTH_IS_16 ? be16(at + 2) : length;
    return (length < LENGTH_IS_16 || *size >= LENGTH_IS_16) && *size <= r->limits->message_max && *size <= len - *head;
}

static enum err whole_text_take(struct ws_reader *r, uint8_t **at, size_t *len, size_t head, size_t size,
                                struct ws_message *out, uint16_t *code)
{
    uint8_t *payload = *at + head, mask_at = 0;
    uint32_t utf8 = 0;
    const uint64_t seen = unmask(payload, size, payload - MASK_SIZE, &mask_at);

    *at += head + size;
    *len -= head + size;
    if ((seen & HIGH_BITS) != 0 && (!utf8_feed(&utf8, payload, size) || utf8 != 0))
        return fail(r, ERR_FORMAT, WS_CLOSE_UTF8, code);
    *out = (struct ws_message){WS_TEXT, {payload, size}, 0};
    return OK;
}

enum err ws_read(struct ws_reader *r, uint8_t **at, size_t *len, struct ws_message *out, uint16_t *code)
{
    size_t head, size;
    if (is_whole_text(r, *at, *len, &head, &size))
        return whole_text_take(r, at, len, head, size, out, code);
    if (r->state == READ_GIVEN) {
        buf_release(&r->partial);
        buf_init(&r->partial, r->limits->message_max);
        r->state = READ_HEAD;
    }
    if (r->is_closed && *len > 0) {
        *at += *len;
        *len = 0;
    }
    for (;;) {
        enum err e = OK;
        if (r->is_closed)
            return ERR_AGAIN;
        if (r->state == READ_HEAD && (e = head_take(r, at, len, code)) != OK)
            return e;
        e = r->state == READ_CONTROL ? control_take(r, at, len, out, code) : data_take(r, at, len, out, code);
        if (e != ERR_AGAIN || *len == 0)
            return e;
    }
}

static size_t head_write(uint8_t head[WS_HEAD_SIZE_MAX], uint8_t first, size_t payload_len,
                         const uint8_t mask[MASK_SIZE])
{
    size_t n = 2;
    head[0] = first;
    if (payload_len < LENGTH_IS_16) {
        head[1] = (uint8_t)payload_len;
    } else {
        bool is_short = payload_len <= UINT16_MAX;
        head[1] = is_short ? LENGTH_IS_16 : LENGTH_IS_64;
        for (int shift = is_short ? 8 : 56; shift >= 0; shift -= 8)
            head[n++] = (uint8_t)((uint64_t)payload_len >> shift);
    }
    if (mask != NULL) {
        head[1] |= MASK_BIT;
        memcpy(head + n, mask, MASK_SIZE);
        n += MASK_SIZE;
    }
    return n;
}

static void frame_write(struct buf *out, uint8_t first, struct bytes payload, const uint8_t mask[MASK_SIZE])
{
    check(!opcodes[first & OPCODE_BITS].is_control || payload.len <= WS_CONTROL_PAYLOAD_MAX);
    uint8_t head[WS_HEAD_SIZE_MAX], mask_at = 0;
    size_t head_len = head_write(head, first, payload.len, mask);
    uint8_t *to = buf_reserve(out, head_len + payload.len);
    if (to == NULL)
        return;
    memcpy(to, head, head_len);
    if (payload.len > 0)
        memcpy(to + head_len, payload.at, payload.len);
    if (mask != NULL)
        (void)unmask(to + head_len, payload.len, mask, &mask_at);
    out->len += head_len + payload.len;
}

void ws_write(struct buf *out, enum ws_kind kind, struct bytes payload, const uint8_t mask[4])
{
    frame_write(out, FIN | opcode_of[kind], payload, mask);
}

void ws_write_fragment(struct buf *out, enum ws_kind kind, bool is_first, bool is_last, struct bytes payload,
                       const uint8_t mask[4])
{
    uint8_t opcode = is_first ? opcode_of[kind] : OP_CONTINUATION;
    frame_write(out, (uint8_t)((is_last ? FIN : 0) | opcode), payload, mask);
}

void ws_write_close(struct buf *out, uint16_t code, struct str reason, const uint8_t mask[4])
{
    uint8_t payload[WS_CONTROL_PAYLOAD_MAX + 1]; /* str_copy() ends it with a 0 */
    size_t n = 0;
    if (code != WS_CLOSE_NONE) {
        payload[0] = (uint8_t)(code >> 8);
        payload[1] = (uint8_t)code;
        n = CODE_SIZE + str_copy((char *)payload + CODE_SIZE, sizeof payload - CODE_SIZE, reason);
    }
    ws_write(out, WS_CLOSE, (struct bytes){payload, n}, mask);
}

size_t ws_write_head(uint8_t head[WS_HEAD_SIZE_MAX], enum ws_kind kind, size_t payload_len)
{
    return head_write(head, FIN | opcode_of[kind], payload_len, NULL);
}

bool ws_key_is_valid(struct str key)
{
    if (key.at == NULL || key.len != KEY_SIZE)
        return false;
    for (size_t i = 0; i < KEY_CHARS; i++) {
        char c = key.at[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '+' && c != '/')
            return false;
    }
    return key.at[KEY_CHARS] == '=' && key.at[KEY_CHARS + 1] == '=';
}

enum err ws_accept_key(struct str key, char out[WS_ACCEPT_SIZE])
{
    char text[KEY_SIZE + sizeof ACCEPT_SUFFIX];
    uint8_t digest[SHA1_SIZE];
    unsigned digest_len = 0;
    if (!ws_key_is_valid(key))
        return ERR_FORMAT;
    memcpy(text, key.at, KEY_SIZE);
    memcpy(text + KEY_SIZE, ACCEPT_SUFFIX, sizeof ACCEPT_SUFFIX);
    if (EVP_Digest(text, sizeof text - 1, digest, &digest_len, EVP_sha1(), NULL) != 1 || digest_len != SHA1_SIZE)
        return ERR_MEMORY;
    (void)EVP_EncodeBlock((unsigned char *)out, digest, SHA1_SIZE);
    return OK;
}
