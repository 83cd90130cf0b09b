/* json.c - the reader. Everything a station sends passes here: no recursion, no allocation (but for json_check on an
 * object of very many keys), each byte looked at once. */
#include "base/json.h"
#include "base/scan.h"
#include <stdlib.h>

#define KEYS_ON_STACK 128
#define KEYS_PAIRWISE 16 /* up to so many keys comparing all pairs is faster than sorting */

/* What a value that begins with this byte is. */
static const uint8_t kinds[256] = {
    ['{'] = JSON_OBJECT, ['['] = JSON_ARRAY,  ['"'] = JSON_STRING, ['t'] = JSON_TRUE,   ['f'] = JSON_FALSE,
    ['n'] = JSON_NULL,   ['-'] = JSON_NUMBER, ['0'] = JSON_NUMBER, ['1'] = JSON_NUMBER, ['2'] = JSON_NUMBER,
    ['3'] = JSON_NUMBER, ['4'] = JSON_NUMBER, ['5'] = JSON_NUMBER, ['6'] = JSON_NUMBER, ['7'] = JSON_NUMBER,
    ['8'] = JSON_NUMBER, ['9'] = JSON_NUMBER,
};

/* What stands for the character after a backslash; 'u' is apart. */
static const uint8_t escapes[256] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
};

static bool fail(struct json *j, enum err e, const char *reason)
{
    if (j->error == OK) {
        j->error = e;
        j->reason = reason;
    }
    return false;
}

static inline const uint8_t *skip_blanks(const uint8_t *at, const uint8_t *end)
{
    if (__builtin_expect(at<end && * at> ' ', 1))
        return at;
    while (at < end && *at <= ' ' && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

static inline bool is_digit(uint8_t c)
{
    return (unsigned)c - '0' <= 9;
}

/* Four hexadecimal digits; -1 if they are not. */
static int32_t hex4(const uint8_t *at)
{
    int32_t n = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i], lower = c | 0x20;
        if (is_digit(c))
            n = n << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            n = n << 4 | (lower - 'a' + 10);
        else
            return -1;
    }
    return n;
}

/* One escape, at its backslash: how many bytes it takes and what it says. 0: it is none, or half a surrogate pair. */
static size_t escape_read(const uint8_t *at, const uint8_t *end, uint32_t *character)
{
    size_t left = (size_t)(end - at);
    if (left < 2)
        return 0;
    if (at[1] != 'u') {
        *character = escapes[at[1]];
        return *character == 0 ? 0 : 2;
    }
    int32_t n = left < 6 ? -1 : hex4(at + 2);
    if (n < 0 || (n >= 0xDC00 && n <= 0xDFFF))
        return 0;
    *character = (uint32_t)n;
    if (n < 0xD800 || n > 0xDBFF)
        return 6;
    int32_t low = left >= 12 && at[6] == '\\' && at[7] == 'u' ? hex4(at + 8) : -1;
    if (low < 0xDC00 || low > 0xDFFF)
        return 0;
    *character = 0x10000 + ((uint32_t)(n - 0xD800) << 10) + (uint32_t)(low - 0xDC00);
    return 12;
}

static size_t utf8_write(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3F));
    out[0] = (uint8_t)(0xF00u >> size | c); /* 110, 1110 or 11110 and what is left */
    return size;
}

/* A string of which only the bytes before at are known to be plain. */
static __attribute__((noinline)) const uint8_t *take_hard_string(struct json *j, const uint8_t *start,
                                                                 const uint8_t *at, struct json_string *out)
{
    bool has_escape = false;
    for (; at < j->end && *at != '"'; at = scan_plain(at, j->end)) {
        uint32_t character;
        bool is_escape = *at == '\\';
        size_t size = is_escape ? escape_read(at, j->end, &character) : *at >= 0x80 ? utf8_char_size(at, j->end) : 0;
        if (size == 0) {
            j->at = at;
            (void)fail(j, ERR_FORMAT,
                       is_escape     ? "an escape that is none, or half a surrogate pair"
                       : *at >= 0x80 ? "a string is not UTF-8"
                                     : "a control character in a string");
            return NULL;
        }
        has_escape = has_escape || is_escape;
        at += size;
    }
    if (at == j->end) {
        j->at = at;
        (void)fail(j, ERR_FORMAT, "a string is not closed");
        return NULL;
    }
    *out = (struct json_string){{(const char *)start, (size_t)(at - start)}, has_escape};
    return at + 1;
}

/* From after the opening quote to after the closing one; NULL after fail(). */
static inline const uint8_t *take_string(struct json *j, const uint8_t *start, struct json_string *out)
{
    const uint8_t *at = scan_plain(start, j->end);
    if (__builtin_expect(at == j->end || *at != '"', 0))
        return take_hard_string(j, start, at, out);
    *out = (struct json_string){{(const char *)start, (size_t)(at - start)}, false};
    return at + 1;
}

static inline const uint8_t *skip_digits(const uint8_t *at, const uint8_t *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

/* The end of the number that begins there, NULL if it is none (RFC 8259, 6). */
static const uint8_t *number_end(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *digits = at + (*at == '-');
    at = skip_digits(digits, end);
    if (at == digits)
        return NULL;
    if (*digits == '0')
        at = digits + 1; /* what follows a leading zero is not of this number */
    if (at < end && *at == '.') {
        digits = at + 1;
        at = skip_digits(digits, end);
        if (at == digits)
            return NULL;
    }
    if (at < end && (*at | 0x20) == 'e') {
        digits = at + 1;
        if (digits < end && (*digits == '+' || *digits == '-'))
            digits++;
        at = skip_digits(digits, end);
        if (at == digits)
            return NULL;
    }
    return at;
}

void json_init(struct json *j, struct str text)
{
    j->start = j->at = (const uint8_t *)text.at;
    j->end = text.len == 0 ? j->start : j->start + text.len;
    j->error = OK;
    j->reason = NULL;
    j->depth = j->is_array = j->is_fresh = 0;
    j->is_due = true;
}

static inline enum json_kind peek(struct json *j)
{
    /* mostly there is no blank, and then nothing is stored: the next call need not wait for it */
    if (__builtin_expect(j->at == j->end || *j->at <= ' ', 0)) {
        j->at = skip_blanks(j->at, j->end);
        if (j->at == j->end)
            return JSON_NONE;
    }
    return (enum json_kind)kinds[*j->at];
}

enum json_kind json_peek(struct json *j)
{
    return j->error == OK && j->is_due ? peek(j) : JSON_NONE;
}

/* No value of the kind that was wanted stands here: say why. */
static bool refuse(struct json *j, enum json_kind found)
{
    if (j->error != OK)
        return false;
    if (!j->is_due)
        return fail(j, ERR_STATE, "no value comes here");
    if (found == JSON_NONE)
        return fail(j, ERR_FORMAT, j->at == j->end ? "a value is missing at the end" : "a value is expected");
    return fail(j, ERR_TYPE, "a value of another kind is expected");
}

/* Before a value: true if it is of this kind. */
static inline bool is_next(struct json *j, enum json_kind want)
{
    enum json_kind found = json_peek(j);
    return found == want ? true : refuse(j, found);
}

static inline uint32_t level_bit(const struct json *j)
{
    return (uint32_t)1 << (j->depth - 1);
}

static bool open_level(struct json *j, bool is_array)
{
    if (j->depth == JSON_DEPTH_MAX)
        return fail(j, ERR_LIMIT, "nested too deep");
    j->depth++;
    j->at++;
    uint32_t bit = level_bit(j);
    j->is_array = is_array ? j->is_array | bit : j->is_array & ~bit;
    j->is_fresh |= bit;
    j->is_due = false;
    return true;
}

bool json_open_object(struct json *j)
{
    return is_next(j, JSON_OBJECT) && open_level(j, false);
}

bool json_open_array(struct json *j)
{
    return is_next(j, JSON_ARRAY) && open_level(j, true);
}

/* To the next member or item of the level, past the comma if there must be one: where it begins, or what stands there
 * instead. NULL: closed, or failed. */
static inline const uint8_t *next_in_level(struct json *j, bool is_array)
{
    uint32_t bit = j->depth == 0 ? 0 : level_bit(j);
    if (__builtin_expect(j->error != OK, 0))
        return NULL;
    if (__builtin_expect(j->is_due || bit == 0 || ((j->is_array & bit) != 0) != is_array, 0)) {
        (void)fail(j, ERR_STATE, is_array ? "no item comes here" : "no member comes here");
        return NULL;
    }
    const uint8_t *at = skip_blanks(j->at, j->end);
    if (at < j->end && *at == (is_array ? ']' : '}')) {
        j->at = at + 1;
        j->depth--;
        return NULL;
    }
    if (j->is_fresh & bit) {
        j->is_fresh &= ~bit;
        return at;
    }
    if (at == j->end || *at != ',') {
        j->at = at;
        (void)fail(j, ERR_FORMAT, is_array ? "',' or ']' is expected" : "',' or '}' is expected");
        return NULL;
    }
    return skip_blanks(at + 1, j->end);
}

static inline bool next_raw_key(struct json *j, struct json_string *key)
{
    const uint8_t *at = next_in_level(j, false);
    if (at == NULL)
        return false;
    if (at == j->end || *at != '"') {
        j->at = at;
        return fail(j, ERR_FORMAT, "a key is expected");
    }
    at = take_string(j, at + 1, key);
    if (at == NULL)
        return false;
    at = skip_blanks(at, j->end);
    if (at == j->end || *at != ':') {
        j->at = at;
        return fail(j, ERR_FORMAT, "':' is expected");
    }
    j->at = at + 1;
    j->is_due = true;
    return true;
}

bool json_next_item(struct json *j)
{
    const uint8_t *at = next_in_level(j, true);
    if (at == NULL)
        return false;
    j->at = at;
    j->is_due = true;
    return true;
}

static inline bool get_string(struct json *j, struct json_string *out)
{
    const uint8_t *at = take_string(j, j->at + 1, out);
    if (at == NULL)
        return false;
    j->at = at;
    j->is_due = false;
    return true;
}

bool json_get_string(struct json *j, struct json_string *out)
{
    return is_next(j, JSON_STRING) && get_string(j, out);
}

static bool get_number(struct json *j, struct str *text)
{
    const uint8_t *at = number_end(j->at, j->end);
    if (at == NULL)
        return fail(j, ERR_FORMAT, "a number is malformed");
    if (at - j->at > JSON_NUMBER_MAX)
        return fail(j, ERR_LIMIT, "a number is too long");
    *text = (struct str){(const char *)j->at, (size_t)(at - j->at)};
    j->at = at;
    j->is_due = false;
    return true;
}

bool json_get_number(struct json *j, struct str *text)
{
    return is_next(j, JSON_NUMBER) && get_number(j, text);
}

/* true, false or null, of which the first letter is known. */
static bool get_word(struct json *j, struct str word)
{
    if ((size_t)(j->end - j->at) < word.len || memcmp(j->at, word.at, word.len) != 0)
        return fail(j, ERR_FORMAT, "a word that is not true, false or null");
    j->at += word.len;
    j->is_due = false;
    return true;
}

bool json_get_bool(struct json *j, bool *out)
{
    enum json_kind found = json_peek(j);
    if (found != JSON_TRUE && found != JSON_FALSE)
        return refuse(j, found);
    if (!get_word(j, found == JSON_TRUE ? STR("true") : STR("false")))
        return false;
    *out = found == JSON_TRUE;
    return true;
}

bool json_get_null(struct json *j)
{
    return is_next(j, JSON_NULL) && get_word(j, STR("null"));
}

/* One step into whatever comes: a scalar is taken, an object or array opened. */
static bool step_in(struct json *j)
{
    struct json_string string;
    struct str number;
    enum json_kind found = json_peek(j);
    switch (found) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        return open_level(j, found == JSON_ARRAY);
    case JSON_STRING:
        return get_string(j, &string);
    case JSON_NUMBER:
        return get_number(j, &number);
    case JSON_TRUE:
        return get_word(j, STR("true"));
    case JSON_FALSE:
        return get_word(j, STR("false"));
    case JSON_NULL:
        return get_word(j, STR("null"));
    case JSON_NONE:
        break;
    }
    return refuse(j, found);
}

bool json_skip(struct json *j)
{
    uint32_t outside = j->depth;
    struct json_string key;
    if (!step_in(j))
        return false;
    while (j->depth > outside) {
        bool has_next = (j->is_array & level_bit(j)) ? json_next_item(j) : next_raw_key(j, &key);
        if (has_next)
            (void)step_in(j);
        if (j->error != OK)
            return false;
    }
    return true;
}

bool json_get_raw(struct json *j, struct str *text)
{
    (void)json_peek(j); /* to where the value begins */
    const uint8_t *from = j->at;
    if (!json_skip(j))
        return false;
    *text = (struct str){(const char *)from, (size_t)(j->at - from)};
    return true;
}

enum err json_end(struct json *j)
{
    if (j->error != OK)
        return j->error;
    if (j->is_due && j->depth == 0 && peek(j) == JSON_NONE)
        (void)refuse(j, JSON_NONE);
    else if (j->is_due || j->depth > 0)
        (void)fail(j, ERR_STATE, "the text was not read to its end");
    else if ((j->at = skip_blanks(j->at, j->end)) != j->end)
        (void)fail(j, ERR_FORMAT, "something follows the value");
    return j->error;
}

/* The next character of a string with its escapes undone; a plain byte counts as a character. */
static size_t undone_next(const char **at, const char *end, uint8_t out[4])
{
    uint32_t character;
    if (**at != '\\') {
        out[0] = (uint8_t) * (*at)++;
        return 1;
    }
    size_t size = escape_read((const uint8_t *)*at, (const uint8_t *)end, &character);
    *at += size;
    return size == 0 ? 0 : utf8_write(character, out);
}

/* Writes what the string says to a place of at least raw.len bytes: no escape is shorter than what it stands for. */
static bool undo(struct str raw, char *to, size_t *len)
{
    const char *at = raw.at, *end = raw.at + raw.len;
    char *start = to;
    while (at < end) {
        const char *slash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((slash == NULL ? end : slash) - at);
        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (slash == NULL)
            break;
        uint8_t character[4];
        size_t size = undone_next(&at, end, character);
        if (size == 0)
            return false;
        memcpy(to, character, size);
        to += size;
    }
    *len = (size_t)(to - start);
    return true;
}

static __attribute__((noinline)) void undo_key(struct json *j, struct json_string *key)
{
    size_t len;
    if (key->raw.len <= sizeof j->undone_key && undo(key->raw, j->undone_key, &len))
        *key = (struct json_string){{j->undone_key, len}, false};
}

bool json_next_key(struct json *j, struct json_string *key)
{
    if (!next_raw_key(j, key))
        return false;
    if (__builtin_expect(key->has_escape, 0))
        undo_key(j, key);
    return true;
}

enum err json_string_text(struct json_string s, struct arena *a, struct str *out)
{
    if (!s.has_escape) {
        *out = s.raw;
        return OK;
    }
    size_t len;
    char *to = arena_take(a, s.raw.len);
    if (to == NULL)
        return ERR_MEMORY;
    if (!undo(s.raw, to, &len))
        return ERR_FORMAT;
    *out = (struct str){to, len};
    return OK;
}

/* By the bytes of what they say; a string that is not well-formed ends where it is not. */
static int undone_compare(struct str a, struct str b)
{
    const char *a_at = a.at, *a_end = a.at + a.len, *b_at = b.at, *b_end = b.at + b.len;
    uint8_t a_char[4], b_char[4];
    size_t a_size = 0, b_size = 0, a_used = 0, b_used = 0;
    for (;;) {
        if (a_used == a_size) {
            a_size = a_at < a_end ? undone_next(&a_at, a_end, a_char) : 0;
            a_used = 0;
        }
        if (b_used == b_size) {
            b_size = b_at < b_end ? undone_next(&b_at, b_end, b_char) : 0;
            b_used = 0;
        }
        if (a_size == 0 || b_size == 0)
            return (a_size != 0) - (b_size != 0);
        int order = a_char[a_used++] - b_char[b_used++];
        if (order != 0)
            return order;
    }
}

bool json_string_is(struct json_string s, struct str want)
{
    if (!s.has_escape)
        return str_eq(s.raw, want);
    const char *at = s.raw.at, *end = s.raw.at + s.raw.len;
    uint8_t character[4];
    size_t used = 0;
    while (at < end) {
        size_t size = undone_next(&at, end, character);
        if (size == 0 || want.len - used < size || memcmp(want.at + used, character, size) != 0)
            return false;
        used += size;
    }
    return used == want.len;
}

enum err json_number_int(struct str text, int64_t *out)
{
    struct decimal d;
    enum err e = decimal_read(text, 0, &d);
    if (e != OK)
        return e == ERR_FORMAT ? ERR_TYPE : e;
    if (d.is_inexact)
        return ERR_TYPE;
    if (d.scaled > (uint64_t)INT64_MAX + d.is_negative)
        return ERR_RANGE;
    *out = d.is_negative ? (int64_t)-d.scaled : (int64_t)d.scaled;
    return OK;
}

/* The keys of all objects that are open, those of the innermost last. */
struct keys {
    struct json_string *at, *heap;
    size_t count, room;
    size_t from[JSON_DEPTH_MAX + 1]; /* by depth: its first key */
    struct json_string on_stack[KEYS_ON_STACK];
};

static void keys_add(struct keys *k, struct json_string key)
{
    if (k->count == k->room) {
        k->room *= 2;
        k->heap = mem_grow(k->heap, k->room, sizeof *k->heap);
        if (k->at == k->on_stack)
            memcpy(k->heap, k->on_stack, sizeof k->on_stack);
        k->at = k->heap;
    }
    k->at[k->count++] = key;
}

static int key_compare(const void *a, const void *b)
{
    const struct json_string *left = a, *right = b;
    if (left->has_escape || right->has_escape)
        return undone_compare(left->raw, right->raw);
    return str_compare(left->raw, right->raw);
}

/* A key that is there twice, or NULL. May change their order. */
static const struct json_string *keys_repeated(struct json_string *at, size_t count)
{
    if (count > KEYS_PAIRWISE)
        qsort(at, count, sizeof *at, key_compare);
    for (size_t i = 1; i < count; i++) {
        for (size_t other = count > KEYS_PAIRWISE ? i - 1 : 0; other < i; other++) {
            bool is_same = at[i].has_escape || at[other].has_escape ? key_compare(&at[i], &at[other]) == 0
                                                                    : str_eq(at[i].raw, at[other].raw);
            if (is_same)
                return &at[i];
        }
    }
    return NULL;
}

enum err json_check(struct str text, struct fault *why)
{
    struct json j;
    struct keys keys;
    struct json_string key;
    const struct json_string *repeated = NULL;
    keys.at = keys.on_stack;
    keys.heap = NULL;
    keys.count = keys.from[0] = 0;
    keys.room = KEYS_ON_STACK;
    json_init(&j, text);
    while (j.error == OK && repeated == NULL && (j.is_due || j.depth > 0)) {
        uint32_t depth = j.depth;
        if (j.is_due) {
            (void)step_in(&j);
            keys.from[j.depth] = j.depth > depth ? keys.count : keys.from[j.depth];
        } else if (j.is_array & level_bit(&j)) {
            (void)json_next_item(&j);
        } else if (next_raw_key(&j, &key)) {
            keys_add(&keys, key);
        } else if (j.depth < depth) {
            repeated = keys_repeated(keys.at + keys.from[depth], keys.count - keys.from[depth]);
            keys.count = keys.from[depth];
        }
    }
    enum err e = repeated != NULL ? ERR_FORMAT : json_end(&j);
    if (repeated != NULL)
        fault_set(why, repeated->raw, "an object has this key twice");
    else if (e != OK)
        fault_set(why, STR(""), "%s, at byte %zu", j.reason, (size_t)(j.at - j.start));
    free(keys.heap);
    return e;
}
