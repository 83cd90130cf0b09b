/* schema/schema.h - messages as data. A message is a list of lines in a .def file; from these lines come the struct, the
 * table by which it is read, checked, written and described, and the tests.
 *
 *     MESSAGE(meter_values_req, "MeterValues.req")
 *     FIELD(meter_values_req, INTEGER, connector_id,   "connectorId",   REQUIRED, 0)
 *     LIST (meter_values_req, meter_value, values,     "meterValue",    REQUIRED, 1)
 *     END(meter_values_req)
 *
 * A file that wants the structs says   #define SCHEMA_STRUCTS  / #include "schema/expand.h" / #include "x/messages.def",
 * one that wants the tables            #define SCHEMA_TABLES   likewise (see schema/expand.h).
 *
 * Every kind has one C type in which "absent" can be said. Text and numbers borrow from the message or from the arena. */
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
/* A point in time as it was written, and as read: at is INSTANT_NONE if the text is no time. text.at == NULL: absent. */
struct stamp {
    struct str text;
    struct instant at;
};
/* One of a fixed list of words. text.at == NULL: absent; index -1: a word that is not in the list (lenient reading). */
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
    KIND_LIST,    /* struct X_list   least count */
    KIND_STRS,    /* struct str_list longest characters each */
    KIND_ANY,     /* struct str      any JSON value as its raw text */
};
enum presence { OPTIONAL, REQUIRED };

struct choice_list {
    const char *name;
    const struct str *words;
    int count;
};
struct message;
struct field {
    struct str wire;
    const char *member;
    enum field_kind kind;
    enum presence presence;
    size_t offset;
    int64_t least, most; /* INTEGER: value; STR, STRS: most characters, 0 no limit; LIST: least items */
    const struct choice_list *choice;
    const struct message *part;
};
struct message {
    const char *name; /* as the documentation calls it */
    const struct field *fields;
    size_t field_count;
    size_t size; /* of the struct */
};

/* How strictly (ocpp16.md 2.4). Both check the JSON whole and refuse a repeated key. */
enum reading {
    STRICT,  /* unknown members, words, lengths, types, ranges and absent required fields are errors */
    NORMAL,  /* as STRICT, but unknown members are passed over */
    LENIENT, /* nothing of that is an error: a field that cannot be read is left absent, an over-long text and an unknown
                word are taken, a number given as text is read; *why tells the first such thing */
};
/* The kinds of refusal, for the tables that give them their word on the wire:
 * ERR_FORMAT not JSON, or not an object; ERR_UNKNOWN an unknown member; ERR_MISSING; ERR_TYPE; ERR_RANGE a value, word,
 * length or date that is not allowed; ERR_LIMIT more items or depth than we take; ERR_MEMORY the arena is full.
 * On an error *out is not to be used. In LENIENT mode, OK with why->reason[0] != 0 means: something was bent. */
#define SCHEMA_ITEMS_MAX 4096
MUST_USE enum err schema_read(const struct message *m, struct str json, enum reading how, struct arena *a, void *out,
                              struct fault *why);
/* The same from where a reader stands; takes exactly that value. */
MUST_USE enum err schema_read_value(const struct message *m, struct json *j, enum reading how, struct arena *a, void *out,
                                    struct fault *why);
/* Members in the order of the table; absent ones left out. Never refuses: what is given is written. */
void schema_write(const struct message *m, const void *in, struct buf *out);
/* JSON Schema (2020-12) of a message, for OpenAPI, AsyncAPI and the reference pages. */
void schema_describe(const struct message *m, struct buf *out);
/* A Markdown table of its fields: name, type, presence, limits. */
void schema_document(const struct message *m, struct buf *out);
int choice_find(const struct choice_list *c, struct str word); /* exact, -1 if not in it */
struct word choice_word(const struct choice_list *c, int index);
#endif
