/* base/json.h - strict RFC 8259, in place, without allocation.
 *
 * The reader is a pull parser over one contiguous text. It accepts exactly RFC 8259 (UTF-8 checked, lone surrogate escapes
 * refused, no byte order mark), nesting up to JSON_DEPTH_MAX, numbers up to JSON_NUMBER_MAX characters; a number stays text
 * until someone wants an integer or a decimal. After an error every call returns the same error. Whoever reads to the end
 * and calls json_end() has had the whole text checked: what was skipped too.
 *
 *     json_open_object(&j);                  // value must be an object
 *     while (json_next_key(&j, &key))        // false at '}' or on error
 *         if (str_eq(key, STR("a"))) json_get_string(&j, &raw); else json_skip(&j);
 *     e = json_end(&j);
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include "base/memory.h"
#include "base/time.h"

#define JSON_DEPTH_MAX  32
#define JSON_NUMBER_MAX 128
#define JSON_KEY_UNDONE 64

enum json_kind { JSON_NONE, JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON_NUMBER, JSON_TRUE, JSON_FALSE, JSON_NULL };

struct json {
    const uint8_t *start, *at, *end;
    /* first error; OK so far. ERR_FORMAT, ERR_LIMIT (depth, number length), ERR_TYPE (another kind was wanted),
     * ERR_STATE (the caller asked out of turn: a key in an array, a second value, the end before it) */
    enum err error;
    const char *reason;   /* in words, static text; NULL while OK */
    uint32_t depth;
    uint32_t is_array;  /* one bit a level: what is open there */
    uint8_t next;       /* what may come next: enum json_next in json.c */
    uint8_t next_after; /* and what once a value of this level is read */
    /* Of the 64 bytes before block_end: which are not plain text. Looked at in blocks, so that where a string ends does
     * not wait for where the one before ended. */
    const uint8_t *block_end;
    uint64_t stops;
    char undone_key[JSON_KEY_UNDONE];
};

/* A string as it stands between its quotes. */
struct json_string {
    struct str raw;
    bool has_escape;
};

void json_init(struct json *j, struct str text);
/* The kind of the value that comes next, without taking it; JSON_NONE at an error or where no value can stand. */
enum json_kind json_peek(struct json *j);
bool json_open_object(struct json *j);
bool json_open_array(struct json *j);
/* Next member's key. Its escapes are undone if it has any: *key then borrows from *j until the next key; an escaped key
 * of more than JSON_KEY_UNDONE bytes comes back raw, with has_escape set. False at the end of the object, which is then
 * closed, or at an error. */
bool json_next_key(struct json *j, struct json_string *key);
/* True while another item follows; false at the end of the array, which is then closed, or at an error. */
bool json_next_item(struct json *j);
bool json_get_string(struct json *j, struct json_string *out);
bool json_get_number(struct json *j, struct str *text);
bool json_get_bool(struct json *j, bool *out);
bool json_get_null(struct json *j);
/* Any value as its own text, checked. */
bool json_get_raw(struct json *j, struct str *text);
/* The same of text that was checked before, or will be: its end is found by brackets and quotes alone. Text that is no JSON may give
 * anything that lies in it. */
bool json_get_known(struct json *j, struct str *text);
/* The object that stands next, of which it is guessed that the text ends with it and the array that it is an item of: "}]". Then text
 * is what lies between, and the array is closed; false: the text does not end so, and nothing was taken. The guess is right if this is
 * one JSON object, which is for the caller to see. */
bool json_get_last(struct json *j, struct str *text);
bool json_skip(struct json *j);
/* OK if the one top value was read whole and only blanks follow. */
MUST_USE enum err json_end(struct json *j);
/* Check a whole text; also that no object repeats a key (after undoing escapes), which the pull reader leaves to its user. */
MUST_USE enum err json_check(struct str text, struct fault *why);

/* Undo escapes: borrowed as it is where there are none, else from the arena. ERR_MEMORY past its limit. */
MUST_USE enum err json_string_text(struct json_string s, struct arena *a, struct str *out);
bool json_string_is(struct json_string s, struct str want); /* compares the undone text, allocates nothing */
/* ERR_TYPE: has a fraction that is not zero or is no integer; ERR_RANGE: beyond 64 bits. 1.0 and 1e2 are integers. */
MUST_USE enum err json_number_int(struct str text, int64_t *out);

/* The writer: pieces into a buf, commas by itself. Compact; '/' not escaped; invalid UTF-8 in a str becomes U+FFFD, control
 * characters \u00XX, so that its output is always valid. */
struct json_writer {
    struct buf *out;
    uint32_t depth;
    uint64_t has_item; /* one bit a level */
    bool after_key;
};
void jw_init(struct json_writer *w, struct buf *out);
void jw_open_object(struct json_writer *w);
void jw_close_object(struct json_writer *w);
void jw_open_array(struct json_writer *w);
void jw_close_array(struct json_writer *w);
void jw_key(struct json_writer *w, struct str key);
void jw_quoted_key(struct json_writer *w, struct str key); /* as it is written: "name": with quotes and colon */
void jw_str(struct json_writer *w, struct str s); /* absent writes null */
void jw_int(struct json_writer *w, int64_t n);
void jw_bool(struct json_writer *w, bool b);
void jw_null(struct json_writer *w);
void jw_raw(struct json_writer *w, struct str json); /* a value that is JSON already */
void jw_instant(struct json_writer *w, struct instant t); /* not set writes null */
void jw_decimal(struct json_writer *w, int64_t scaled, int digits);
/* Key and value in one; the _opt ones write nothing when the value is absent. */
void jw_field_str(struct json_writer *w, const char *key, struct str s);
void jw_field_str_opt(struct json_writer *w, const char *key, struct str s);
void jw_field_int(struct json_writer *w, const char *key, int64_t n);
void jw_field_bool(struct json_writer *w, const char *key, bool b);
void jw_field_raw(struct json_writer *w, const char *key, struct str json);
void jw_field_instant(struct json_writer *w, const char *key, struct instant t);
#endif
