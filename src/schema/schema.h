/* schema/schema.h - messages as data. A message is a list of lines in a .def file; from these lines come the struct,
 * the table by which it is read, checked, written and described, and the tests.
 *
 *     MESSAGE(meter_values_req, "MeterValues.req")
 *     FIELD(meter_values_req, INTEGER, connector_id,   "connectorId",   REQUIRED, 0)
 *     LIST (meter_values_req, meter_value, values,     "meterValue",    REQUIRED, 1)
 *     END(meter_values_req)
 *
 * A file that wants the structs says
 *     #define SCHEMA_STRUCTS
 *     #include "schema/expand.h"
 *     #include "x/messages.def"
 * and one that wants the tables says SCHEMA_TABLES instead (see schema/expand.h).
 *
 * Every kind has one C type in which "absent" can be said. Text and numbers borrow from the message or the arena. */
#ifndef SCHEMA_SCHEMA_H
#define SCHEMA_SCHEMA_H
#include "base/json.h"

struct integer {
    int64_t value;
    bool is_set;
};
struct boolean {
    bool value;
    bool is_set;
};
/* A point in time as it was written, and as read: at is INSTANT_NONE if it is absent or the text is no time.
 * text.at == NULL: absent. */
struct stamp {
    struct str text;
    struct instant at;
};
/* One of a list of words. text.at == NULL: absent; index -1: absent, or a word that is not in the list (lenient
 * reading, or an open list). */
struct word {
    struct str text;
    int index;
};
struct str_list {
    struct str *at;
    size_t count;
};

enum field_kind {
    KIND_STR,     /* struct str      longest: characters (not bytes); 0 none */
    KIND_INTEGER, /* struct integer  from least up, 64 bits */
    KIND_INT32,   /* struct integer  from least up, 32 bits: OCPP's integers */
    KIND_DECIMAL, /* struct str      JSON number as text */
    KIND_BOOLEAN, /* struct boolean */
    KIND_TIME,    /* struct stamp */
    KIND_CHOICE,  /* struct word     of a choice list */
    KIND_PART,    /* struct X *      NULL absent */
    KIND_LIST,    /* struct X_list   least count; at NULL absent, else present, also when empty */
    KIND_STRS,    /* struct str_list longest characters each; absent likewise */
    KIND_ANY,     /* struct str      any JSON value as its raw text: a string with its quotation marks */
};
enum presence { OPTIONAL, REQUIRED };

struct choice_list {
    const char *name;
    const struct str *words;
    int count;
};
struct message;
struct field {
    struct str wire, key; /* key: as it is written, "wire": with quotes and colon */
    const char *member;
    enum field_kind kind;
    enum presence presence;
    size_t offset;
    int64_t least, most; /* INTEGER: value; STR, STRS: most characters, 0 no limit; DECIMAL: most digits after the
                            point, 0 no limit; LIST: least items */
    const struct choice_list *choice;
    const struct message *part;
    bool is_open; /* CHOICE: others extend the list, so that only STRICT refuses a word that is not in it */
};
struct message {
    const char *name; /* as the documentation calls it */
    const struct field *fields;
    size_t field_count;
    size_t size; /* of the struct */
};

/* How strictly (ocpp16.md 2.4). All check the JSON whole and refuse a repeated key (of members that the table does not
 * know the first SCHEMA_UNKNOWN_MAX are watched for it; inside a member that is passed over no key is). "null" instead
 * of a message counts as {}: OCPP-J allows it for empty payloads. */
enum reading {
    STRICT, /* unknown members, words, lengths, types, ranges and absent required fields are errors; so are null and a
               time without its zone or 'T' */
    NORMAL, /* as STRICT, but unknown members are passed over, null is absent, and an open list takes any word */
    /* Nothing of that is an error; *why tells the first thing that was bent:
     * - taken as it is: an over-long text, an unknown word (index -1), a time that is none (at INSTANT_NONE), a
     *   number below its least value, a decimal with too many digits, a list with too few items;
     * - converted: a number where text is due and the other way round, "true" and "false", a fraction where an
     *   integer is due (rounded to the nearest, halves away from zero);
     * - left out: what cannot be read as its kind, such as a number of too many bits, and list items likewise or past
     *   SCHEMA_ITEMS_MAX. */
    LENIENT,
};
/* The kinds of refusal, for the tables that give them their word on the wire:
 * ERR_FORMAT not JSON, not an object, or a repeated key; ERR_UNKNOWN an unknown member; ERR_MISSING a required field,
 * or an item in a list that needs it; ERR_TYPE; ERR_RANGE a value, word, length or date that is not allowed; ERR_LIMIT
 * more items, depth or digits than we take; ERR_MEMORY the arena is full. LENIENT refuses what is no JSON object by the
 * limits of base/json.h, a repeated key, and what there is no memory for: ERR_FORMAT, ERR_LIMIT, ERR_MEMORY.
 *
 * On an error *out is not to be used. In LENIENT mode, OK with why->reason[0] != 0 means: something was bent. *why is
 * cleared first; it may be NULL. */
#define SCHEMA_ITEMS_MAX   4096 /* in one list */
#define SCHEMA_FIELDS_MAX  64   /* of one message */
#define SCHEMA_UNKNOWN_MAX 16
MUST_USE enum err schema_read(const struct message *m, struct str json, enum reading how, struct arena *a, void *out,
                              struct fault *why);
/* The same, to the last detail, faster for a message of a shape that was read before (schema_shape.c). The shapes are
 * their owner's, of one thread; NULL: none are kept. */
struct shapes;
struct shapes *shapes_new(void);
void shapes_free(struct shapes *s);
MUST_USE enum err schema_read_shaped(struct shapes *s, const struct message *m, struct str json, enum reading how,
                                     struct arena *a, void *out, struct fault *why);
/* Which of its readings was the last one, where a shape was found for it; 0: it was read without. */
uint64_t shapes_reading(const struct shapes *s);
/* The same from where a reader stands; takes exactly that value. */
MUST_USE enum err schema_read_value(const struct message *m, struct json *j, enum reading how, struct arena *a,
                                    void *out, struct fault *why);
/* Members in the order of the table; absent ones left out. Never refuses: what is given is written. Words and times are
 * written as their text says. */
void schema_write(const struct message *m, const void *in, struct buf *out);
/* The same in few bytes (schema_pack.c): a text that is a part of `beside`, in memory, is told by its place there. What
 * is read back writes the same JSON. ERR_CORRUPT: these bytes were not made so; ERR_MEMORY. Texts borrow from packed
 * and beside. */
void schema_pack(const struct message *m, const void *in, struct str beside, struct buf *out);
/* A list as it was packed, to be put in again. Where its texts lie in the beside is told from where the one before it
 * ended, so that it means the same wherever all of these lie in the same places. */
struct packed_list {
    const void *of;     /* the list's `at` */
    struct bytes bytes; /* absent: not known; then it is packed, and they are told, in out as long as that is not changed */
    size_t last;        /* where its last text ends in the beside */
};
void schema_pack_with(const struct message *m, const void *in, struct str beside, struct packed_list *list,
                      struct buf *out);
/* What was packed for a message of that reading's shape, with texts as long as its own in the same places: kept by one
 * reading, and found by the next one like it. Only for what follows from shape, lengths and `extra`, and from no value.
 * False: nothing like it was kept, or it is no longer the last reading. *list borrows until the next call. */
bool shapes_recall(struct shapes *s, uint64_t reading, uint64_t extra, struct packed_list *list);
uint64_t shapes_recalled(const struct shapes *s); /* how often it was found */
void shapes_keep(struct shapes *s, uint64_t reading, uint64_t extra, const struct packed_list *list);
MUST_USE enum err schema_unpack(const struct message *m, struct bytes packed, struct str beside, struct arena *a,
                                void *out);
/* Where a list lies that was not unpacked. Bytes and `from` say together where its texts in the beside begin and end. */
struct list_place {
    struct bytes bytes; /* absent: there is none, or it is not packed */
    size_t from;        /* where the text before it ended in the beside */
};
/* The same but for its own lists of parts, which stay absent: where they come last they are not even looked at. *list (may be
 * NULL): the last of them. */
MUST_USE enum err schema_unpack_brief(const struct message *m, struct bytes packed, struct str beside, struct arena *a,
                                      void *out, struct list_place *list);
/* JSON Schema (2020-12) of what STRICT takes, for OpenAPI, AsyncAPI and the reference pages. */
void schema_describe(const struct message *m, struct buf *out);
/* The same as part of another document. What is given has no greatest values and counts, for nobody checks them, and
 * what is optional in it may be null. */
struct schema_view {
    bool is_given;
    int64_t (*most)(const struct field *f); /* greatest value of a number; NULL: as the table says */
};
/* An object schema; and the members of a field's, into an object that is open. */
void schema_describe_object(struct json_writer *w, const struct message *m, const struct schema_view *v);
void schema_describe_field(struct json_writer *w, const struct field *f, const struct schema_view *v);
/* A Markdown table of its fields: name, type, presence, limits; parts as "part.field", "list[].field". */
void schema_document(const struct message *m, struct buf *out);
int choice_find(const struct choice_list *c, struct str word);   /* exact, -1 if not in it */
struct word choice_word(const struct choice_list *c, int index); /* index must be one of the list's */
/* A point in time to be written; absent if it is not set or the arena is full. */
struct stamp stamp_of(struct arena *a, struct instant t);
static inline struct integer integer_of(int64_t n)
{
    return (struct integer){n, true};
}
static inline struct boolean boolean_of(bool b)
{
    return (struct boolean){b, true};
}
#endif
