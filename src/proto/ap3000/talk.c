/* talk.c - a command under way: its frames, and what ends it. */
#include "proto/ap3000/talk.h"

#include <string.h>

#define RESPONSE_SIZE_MAX ((size_t)64 << 10)

/* --- frames --- */

/* Whoever gets it twice restarts, erases or fetches twice (7.8, 7.22). */
static const uint8_t not_repeated[] = {0x31, 0x32, 0x87, 0x88, 0xE4};

void ap3000_talk_send(struct ap3000_talk *t, struct ap3000_pile *p, uint8_t command, const void *fields)
{
    const struct ap3000_command *c = ap3000_command_find(command, AP3000_DOWN);
    uint8_t payload[AP3000_SENT_SIZE_MAX], copy[sizeof(struct ap3000_start)];
    struct ap3000_frame f = {.physical_id = p->physical_id, .command = command};
    uint8_t absent = ap3000_form_absent(ap3000_forms, ap3000_form_count, p, c->layout);
    if (absent > ((const struct ap3000_tail *)fields)->absent) {
        check(c->layout->size <= sizeof copy); /* the layouts that have optional fields */
        memcpy(copy, fields, c->layout->size);
        ((struct ap3000_tail *)(void *)copy)->absent = absent;
        fields = copy;
    }
    enum err e = ap3000_write(c->layout, fields, payload, sizeof payload, &f.payload.len, NULL);
    check(e == OK);
    f.payload.at = payload;
    f.message_id = t->message_id = pile_next_message_id(p);
    e = ap3000_frame_write(&f, t->frame, sizeof t->frame, &t->frame_len);
    check(e == OK); /* no layout but those of firmware is larger: a test looks at all */
    t->command = command;
    t->is_answered = c->manner == AP3000_ASKS;
    t->is_repeated_blindly = memchr(not_repeated, command, sizeof not_repeated) == NULL;
}
