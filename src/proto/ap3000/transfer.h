/* proto/ap3000/transfer.h - firmware to a pile or host, packet by packet (ap3000.md 9). Pure: says which part of the
 * image is wanted, makes the packet, reads what the device says to it.
 *
 *     WAITING ──ready──> SENDING ──last acknowledged──> DONE
 *        └──────── too many tries, code 2 to 5 ───────> FAILED
 *
 * Only 0xFA waits for its host; the others begin in SENDING. It goes on where it was after a new connection and after a
 * restart (job: index); a request of the device restarts it. */
#ifndef PROTO_AP3000_TRANSFER_H
#define PROTO_AP3000_TRANSFER_H
#include "proto/ap3000/pile.h"

enum transfer_state { TRANSFER_NONE, TRANSFER_WAITING, TRANSFER_SENDING, TRANSFER_DONE, TRANSFER_FAILED };

struct ap3000_image { /* of services/files */
    int64_t size;
    uint32_t byte_sum;
    uint16_t version;      /* as on the wire, 126 for V1.26; 0: not said */
    uint16_t device_type;  /* 0: not said */
    bool has_check_packet; /* send one (E0 family) */
};
struct ap3000_transfer {
    enum transfer_state state;
    char job_id[UUID_TEXT_SIZE], file_id[UUID_TEXT_SIZE];
    uint8_t command;              /* 0xE0, E1, E2, F8, F9, FA */
    uint16_t chunk, total, index; /* index: of the packet to be acknowledged next, from 1 */
    uint16_t message_id;          /* 0: the next frame takes a new one */
    uint8_t tries;                /* repeats of the present frame */
    uint8_t setbacks; /* times it went back, or was begun anew, or went on after a break: TRANSFER_SETBACKS_MAX */
    struct ap3000_image image;
    char reason[64]; /* of FAILED */
};
#define TRANSFER_SETBACKS_MAX 20
enum transfer_next { TRANSFER_SEND_TRIGGER, TRANSFER_SEND_PACKET, TRANSFER_WAIT, TRANSFER_END };

/* command 0: the one that its product takes (products.def). Beside it E1 is for the power board of a pile that takes
 * E0, E2 for a host that takes FA. ERR_UNSUPPORTED: a product that cannot be told apart (5.11: never send firmware to
 * it), that takes another command, or that the image says it is not for; ERR_STATE: a port charges, an order is open,
 * or the number is one that piles fall back to; ERR_RANGE: the image is empty or too large, or has a check packet that
 * its command does not know. job_id and file_id are the caller's: they stay. */
MUST_USE enum err transfer_begin(const struct ap3000_pile *p, uint8_t command, const struct ap3000_image *image,
                                 struct ap3000_transfer *t, struct fault *why);
/* Which bytes of the image the present frame holds; *len 0: none, it is the check packet or the trigger. */
void transfer_part(const struct ap3000_transfer *t, int64_t *offset, size_t *len);
/* The frame of the present packet or of the trigger, with a new message id, a repeat with its own; data: transfer_part.
 * Not to be called when it is over. */
size_t transfer_write(struct ap3000_transfer *t, struct ap3000_pile *p, struct bytes data,
                      uint8_t out[AP3000_SENT_FIRMWARE_SIZE_MAX]);
/* A frame of the transfer's command from the device: an acknowledgement, or a request, which names packet 0. What was
 * acknowledged before, or cannot be read, changes nothing: WAIT. All of these give END when it is over. */
enum transfer_next transfer_on_frame(struct ap3000_transfer *t, const struct ap3000_frame *f);
/* 0x05 or 0x15: from packet 1 again. */
enum transfer_next transfer_on_request(struct ap3000_transfer *t);
/* 30 s without an answer: the packet again, or the end. */
enum transfer_next transfer_on_silence(struct ap3000_transfer *t);
/* A new connection, or a new process: the present packet again. */
enum transfer_next transfer_resume(struct ap3000_transfer *t);
#endif
