/* proto/ap3000/talk.h - private to proto/ap3000: what the files behind actions.h share. An action is made in one way,
 * whether it is to be checked or to be begun: from payload, station and pile to its first frame. Only then, when it is
 * begun, an order is placed or told that it is being stopped. */
#ifndef PROTO_AP3000_TALK_H
#define PROTO_AP3000_TALK_H
#include "proto/ap3000/actions.h"
#include "proto/ap3000/fields.h"
#include "proto/ap3000/handlers.h"

#define SCHEMA_STRUCTS
#include "schema/expand.h"
#include "proto/ap3000/requests.def"

#define DURATION_S_MAX  64800     /* A41 */
#define BALANCE_FEN_MAX 100000000 /* A48: more is spoken as a date */

/* --- making --- */

enum ap3000_subject { AP3000_OF_NOTHING, AP3000_OF_START, AP3000_OF_STOP };

struct ap3000_making {
    const struct ap3000_input *in;
    const struct ap3000_action *action;
    struct str payload;
    struct arena *a;
    struct fault *why;
    struct ap3000_members members; /* of the payload, where it is fields */
    const void *request;           /* of the payload, where it is a message of requests.def */
    /* The first frame: */
    uint8_t command;
    void *fields; /* struct of the layout of the command */
    /* What it is about: */
    uint8_t port;
    struct str id_tag;       /* of a start */
    struct pile_order *stop; /* of a stop; NULL: one that nobody knows */
};
typedef enum err ap3000_maker(struct ap3000_making *m);
ap3000_maker ap3000_make_start, ap3000_make_remote_start, ap3000_make_stop, ap3000_make_remote_stop, ap3000_make_change,
    ap3000_make_stop_keeping_door, ap3000_make_get_configuration, ap3000_make_change_configuration;

enum err ap3000_refuse(const struct ap3000_making *m, enum err e, const char *field, const char *reason);
/* Fields of the layout of m->command from the members; base may be NULL. The values that no device may be told are
 * refused too. */
enum err ap3000_make_fields(struct ap3000_making *m, const struct ap3000_fields_base *base);
/* Is there such a port? PILE_PORT_NONE: for the pile to choose. */
enum err ap3000_port_check(const struct ap3000_making *m, uint32_t port, const char *field);
/* The last check of all: what no device may be told. fields: struct of the layout. */
enum err ap3000_field_check(const struct ap3000_layout *l, const struct ap3000_field *f, const void *fields,
                            struct fault *why);
enum err ap3000_fields_check(const struct ap3000_layout *l, const void *fields, struct fault *why);

/* --- talking --- */

struct ap3000_reply {
    const struct ap3000_input *in;
    struct ap3000_talk *t;
    const struct ap3000_frame *frame;
    const struct ap3000_command *command; /* of the answer, upwards; it is readable */
    struct arena *a;
    struct ap3000_step *step;
    struct ap3000_ending *end;
};
typedef enum ap3000_talk_state ap3000_answerer(struct ap3000_reply *r);
ap3000_answerer ap3000_on_start_answer, ap3000_on_stop_answer, ap3000_on_block_read, ap3000_on_block_to_change,
    ap3000_on_plain_answer;

/* The next frame of a talk, with a new message id. The fields fit: they were checked, or were read from the pile. */
void ap3000_talk_send(struct ap3000_talk *t, struct ap3000_pile *p, uint8_t command, const void *fields);
/* What an order of this talk's is; NULL: none, or memory has dropped it. */
struct pile_order *ap3000_talk_order(const struct ap3000_talk *t, struct ap3000_pile *p);
/* The fields of the answer, and its code in words, where it has one: into *end. */
void ap3000_end_by_answer(struct ap3000_reply *r, bool is_accepted);
/* Text that was written for a response: into the arena, absent when it is full. */
struct str ap3000_response_take(struct ap3000_reply *r, struct buf *text);

/* --- shorter forms --- */

struct ap3000_form {
    uint16_t type;
    uint8_t code;
    uint16_t firmware_below;
    const struct ap3000_layout *layout;
    uint8_t absent; /* so many fields at the end are not sent */
};
extern const struct ap3000_form ap3000_forms[];
extern const size_t ap3000_form_count;
/* How much of that payload is sent to this pile: all of it, where no line says otherwise. */
size_t ap3000_form_size(const struct ap3000_form *forms, size_t count, const struct ap3000_pile *p,
                        const struct ap3000_layout *l, struct bytes payload);
#endif
