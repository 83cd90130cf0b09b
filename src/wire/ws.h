/* wire/ws.h - the WebSocket protocol (RFC 6455) as a pure codec: bytes <-> frames <-> messages, both sides.
 * Nothing here knows a socket, a clock or what a message says. */
#ifndef WIRE_WS_H
#define WIRE_WS_H
#include "base/memory.h"

/* Close codes of RFC 6455, 7.4.1 that we send or understand. */
enum ws_close {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_KIND = 1003,
    WS_CLOSE_NONE = 1005, /* never on the wire: the close frame had no code */
    WS_CLOSE_UTF8 = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_BIG = 1009,
    WS_CLOSE_INTERNAL = 1011,
    WS_CLOSE_TRY_LATER = 1013,
};

#define WS_CONTROL_PAYLOAD_MAX 125
#define WS_HEAD_SIZE_MAX       14

struct ws_limits {
    size_t message_max;     /* bytes of a whole message, and so of a frame */
    unsigned fragments_max; /* frames of one message: at least 1 */
};

enum ws_kind { WS_TEXT, WS_BINARY, WS_PING, WS_PONG, WS_CLOSE };

/* payload borrows from the input or from the reader: valid until the next ws_read(). */
struct ws_message {
    enum ws_kind kind;
    struct bytes payload;
    uint16_t code; /* CLOSE: its code, WS_CLOSE_NONE without one; payload is then the reason */
};

/* State between two pieces of input. Small while nothing is half read: a message that lies whole and unfragmented in
 * the input is unmasked in place and borrowed from there; only a partial one is copied into memory of the reader's own,
 * which is given back when the message is done. */
struct ws_reader {
    const struct ws_limits *limits;
    struct buf partial; /* the message so far, when it came in pieces */
    uint8_t head[WS_HEAD_SIZE_MAX];
    uint8_t head_len;
    uint8_t state;  /* private to ws.c */
    uint8_t opcode; /* of the message that is being put together */
    uint8_t mask_at;
    uint8_t control_len;
    bool expect_mask;
    bool is_closed; /* a close frame was read, or an error found: what follows is dropped unread (RFC 6455, 1.4) */
    uint32_t utf8;  /* state of the incremental check of text */
    unsigned fragments;
    uint64_t left; /* payload bytes of the present frame still to come */
    uint8_t *control; /* of a control frame that comes in pieces, which few do: NULL until then */
};

/* A server expects masked frames, a client unmasked ones. limits is borrowed. */
void ws_reader_init(struct ws_reader *r, const struct ws_limits *limits, bool is_server);
void ws_reader_release(struct ws_reader *r);

/* Take one message (control frames are messages too) off the front of the *len bytes at *at, which are changed in place
 * by unmasking. OK: *out is one; call again for more. ERR_AGAIN: all input was taken, more is needed. Else ERR_FORMAT,
 * ERR_RANGE (too big, too many fragments), ERR_MEMORY: *code is the close code to send; the reader is of no further
 * use: it takes and drops all further input, as it does after a close frame. Invalid UTF-8 is found at its first bad
 * byte, in fragments too; a length over the limit as soon as it was read. How the input is cut changes nothing in what
 * comes out. */
MUST_USE enum err ws_read(struct ws_reader *r, uint8_t **at, size_t *len, struct ws_message *out, uint16_t *code);

/* Append one whole frame, or nothing but out->failed. mask NULL: a server's. A control frame's payload is at most
 * WS_CONTROL_PAYLOAD_MAX; a close reason is cut to that at a character. Fragmented sending is for tests:
 * ws_write_fragment(). */
void ws_write(struct buf *out, enum ws_kind kind, struct bytes payload, const uint8_t mask[4]);
void ws_write_fragment(struct buf *out, enum ws_kind kind, bool is_first, bool is_last, struct bytes payload,
                       const uint8_t mask[4]);
/* WS_CLOSE_NONE: an empty frame. */
void ws_write_close(struct buf *out, uint16_t code, struct str reason, const uint8_t mask[4]);
/* Only the head, for payload that is sent from elsewhere; returns its length. */
size_t ws_write_head(uint8_t head[WS_HEAD_SIZE_MAX], enum ws_kind kind, size_t payload_len);

/* Is it base64 of 16 bytes? Its unused last bits are not looked at: clients in the field send random ones. */
bool ws_key_is_valid(struct str key);
/* Sec-WebSocket-Accept of a Sec-WebSocket-Key: 28 characters and a terminating 0. ERR_FORMAT: not valid; ERR_MEMORY. */
#define WS_ACCEPT_SIZE 29
MUST_USE enum err ws_accept_key(struct str key, char out[WS_ACCEPT_SIZE]);
#endif
