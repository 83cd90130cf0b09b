/* proto/ap3000/frames.h - what the payloads of AP3000 say (ap3000.md 5 to 9): a struct for each, made from the lines of
 * frames.def, and the tables by which they are read, written and described.
 *
 *     const struct ap3000_command *c = ap3000_command_find(frame.command, AP3000_UP);
 *     struct ap3000_settlement s;
 *     if (c->layout == &ap3000_settlement_layout && ap3000_read(c->layout, frame.payload, &s, &why) == OK)
 *         if (AP3000_HAS(settlement, &s, occupancy_min)) ...
 *
 * A field that the sender's firmware does not know is absent, not zero, and it is always the last ones that are (2.7).
 * Numbers are those of the wire: proto/ap3000/units.def says what they count. Lists, texts and chunks borrow from the
 * payload. */
#ifndef PROTO_AP3000_FRAMES_H
#define PROTO_AP3000_FRAMES_H
#include "proto/ap3000/frame.h"

/* --- codes --- */

struct ap3000_value {
    uint8_t code;
    const char *text;
};
struct ap3000_list {
    const char *name, *title, *section;
    bool is_bits; /* code is the number of a bit, text what it means that it is set */
    const struct ap3000_value *values;
    size_t count;
};
/* clang-format off */
#define LIST(name, title, section, kind) extern const struct ap3000_list ap3000_##name##_list; enum ap3000_##name {
#define VALUE(constant, code, text)      constant = (code),
#define END(name)                        };
/* clang-format on */
#include "proto/ap3000/enumerations.def"
extern const struct ap3000_list *const ap3000_lists[];
extern const size_t ap3000_list_count;
/* NULL: not listed. */
const char *ap3000_value_text(const struct ap3000_list *l, uint8_t code);

/* --- products: who can be given which firmware --- */

#define AP3000_TYPE_ABSENT 0x100 /* the field is missing */
#define AP3000_TYPES_MAX   5
#define AP3000_CODES_MAX   2

struct ap3000_product {
    const char *name;
    uint16_t types[AP3000_TYPES_MAX];
    uint8_t type_count;
    uint8_t codes[AP3000_CODES_MAX]; /* none: a host */
    uint8_t code_count;
    uint8_t major;            /* firmware version without its two digits */
    uint8_t upgrade, request; /* commands; request 0: it never asks */
    uint16_t packet_size;
};
extern const struct ap3000_product ap3000_products[];
extern const size_t ap3000_product_count;
/* NULL: unknown, and never to be given firmware. firmware as on the wire, 126 for V1.26. */
const struct ap3000_product *ap3000_pile_find(uint16_t type, uint8_t code, uint16_t firmware);
const struct ap3000_product *ap3000_host_find(uint16_t type, uint16_t firmware);

/* --- fields --- */

enum ap3000_unit_name {
#define UNIT(name, digits, suffix, text) AP3000_IS_##name,
#define SPECIAL(name, text)              AP3000_IS_##name,
#include "proto/ap3000/units.def"
    AP3000_UNIT_COUNT
};
struct ap3000_unit_line {
    const char *suffix; /* NULL: shown in a way of its own */
    int digits;
    const char *text;
};
extern const struct ap3000_unit_line ap3000_units[AP3000_UNIT_COUNT];

enum ap3000_kind {
    AP3000_NUMBER,  /* uint8_t, uint16_t, uint32_t, by size */
    AP3000_OCTETS,  /* uint8_t[size] */
    AP3000_CHUNK,   /* struct bytes, size of them */
    AP3000_TEXT,    /* struct str without the zeros that fill it up to size */
    AP3000_NUMBERS, /* struct bytes: numbers of size bytes each; le_get() reads one */
    AP3000_COUNTED, /* struct bytes */
    AP3000_PARTS,   /* struct bytes: parts of size bytes each; ap3000_item() gives one */
    AP3000_REST,    /* struct bytes */
};
enum ap3000_presence { AP3000_OPTIONAL, AP3000_REQUIRED };

struct ap3000_layout;
struct ap3000_field {
    const char *key, *text;
    enum ap3000_kind kind;
    enum ap3000_unit_name unit;
    enum ap3000_presence presence;
    int8_t count_index; /* of the field, before this one, that says how many; -1 */
    uint16_t size;      /* of it, or of one item */
    uint16_t longest;   /* of a TEXT that is sent; 0 of others */
    size_t offset;      /* in the struct */
    const struct ap3000_list *list;
    const struct ap3000_layout *part;
};
struct ap3000_layout {
    const char *name;
    const struct ap3000_field *fields;
    size_t count;
    size_t size; /* of the struct */
};

#define AP3000_FIELDS_MAX 24 /* of one layout */

/* Every struct begins with it. All zero is the full form of today, which is what is sent by default. */
struct ap3000_tail {
    uint8_t absent;     /* so many fields at the end are not there */
    struct bytes extra; /* what stands behind the last field that is: surplus, or part of a field */
};
#define AP3000_INDEXES
#include "proto/ap3000/rows.h"
#include "proto/ap3000/frames.def"
#define AP3000_STRUCTS
#include "proto/ap3000/rows.h"
#include "proto/ap3000/frames.def"

#define AP3000_HAS(layout, s, key) (AP3000_IN_##layout##_##key + (s)->tail.absent < AP3000_IN_##layout##_COUNT)
/* For tail.absent: key is the last field that is sent. */
#define AP3000_UP_TO(layout, key) ((uint8_t)(AP3000_IN_##layout##_COUNT - 1 - AP3000_IN_##layout##_##key))

/* --- commands --- */

enum ap3000_direction { AP3000_UP, AP3000_DOWN, AP3000_DIRECTION_COUNT }; /* up: towards the server */
enum ap3000_manner {
    AP3000_ASKS,     /* an answer is expected */
    AP3000_TELLS,    /* none is */
    AP3000_ANSWERS,  /* it is one, with the message id of what it answers; of firmware it may also ask */
    AP3000_INTERNAL, /* of the bus behind a host: nothing for a server */
};
struct ap3000_command {
    const char *name, *section;
    enum ap3000_manner manner;
    const struct ap3000_layout *layout;
};
/* NULL: unknown; kept raw and not answered. */
const struct ap3000_command *ap3000_command_find(uint8_t command, enum ap3000_direction d);

/* --- payload <-> struct --- */

/* The payload cut into its fields. */
struct ap3000_slices {
    struct bytes at[AP3000_FIELDS_MAX];
    size_t count; /* of fields that are there */
    struct bytes extra;
};
/* ERR_MISSING: it ends before the last required field, which *why names; *why may be NULL. */
MUST_USE enum err ap3000_slice(const struct ap3000_layout *l, struct bytes payload, struct ap3000_slices *out,
                               struct fault *why);
/* out: the struct of the layout. ERR_MISSING as above; out is then as it was. */
MUST_USE enum err ap3000_read(const struct ap3000_layout *l, struct bytes payload, void *out, struct fault *why);
/* ERR_MISSING: a required field is said to be absent; ERR_RANGE: a list, text or chunk has not the length that it must
 * have; ERR_FULL: does not fit into room. *size is untouched then. What was read is written back byte for byte. */
MUST_USE enum err ap3000_write(const struct ap3000_layout *l, const void *in, uint8_t *to, size_t room, size_t *size,
                               struct fault *why);
/* A TEXT as it stands on the wire without the zeros at its end. */
struct str ap3000_text(struct bytes b);
/* Item i of a list of items of that size; it must exist. */
static inline struct bytes ap3000_item(struct bytes all, size_t size, size_t i)
{
    check((i + 1) * size <= all.len);
    return (struct bytes){all.at + i * size, size};
}
#endif
