/* json.c - the reader. Everything a station sends passes here: no recursion, no allocation (but for json_check on an
 * object of very many keys), each byte looked at once. */
#include "base/json_string.h"
#include "base/scan.h"
#include <stdlib.h>

#define KEYS_ON_STACK 128
#define KEYS_PAIRWISE 16 /* up to so many keys comparing all pairs is faster than sorting */

/* What may come next: one byte to look at, since each call begins with it. */
enum json_next {
    NEXT_VALUE,
    NEXT_FIRST_KEY, /* or '}' */
    NEXT_KEY,       /* ',' and one, or '}' */
    NEXT_FIRST_ITEM,
    NEXT_ITEM,
    NEXT_END,
    NEXT_NOTHING, /* after an error */
};

/* What a value that begins with this byte is. */
static const uint8_t kinds[256] = {
    ['{'] = JSON_OBJECT, ['['] = JSON_ARRAY,  ['"'] = JSON_STRING, ['t'] = JSON_TRUE,   ['f'] = JSON_FALSE,
    ['n'] = JSON_NULL,   ['-'] = JSON_NUMBER, ['0'] = JSON_NUMBER, ['1'] = JSON_NUMBER, ['2'] = JSON_NUMBER,
    ['3'] = JSON_NUMBER, ['4'] = JSON_NUMBER, ['5'] = JSON_NUMBER, ['6'] = JSON_NUMBER, ['7'] = JSON_NUMBER,
    ['8'] = JSON_NUMBER, ['9'] = JSON_NUMBER,
};

static bool fail(struct json *j, enum err e, const char *reason)
{
    if (j->error == OK) {
        j->error = e;
        j->reason = reason;
        j->next = NEXT_NOTHING;
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

/* A string of which only the bytes before at are known to be plain. */
static __attribute__((noinline)) const uint8_t *take_hard_string(struct json *j, const uint8_t *start,
                                                                 const uint8_t *at, struct json_string *out)
{
    bool has_escape = false;
    for (; at < j->end && *at != '"'; at = scan_plain(at, j->end)) {
        uint32_t character;
        bool is_escape = *at == '\\';
        size_t size = is_escape     ? json_escape_read(at, j->end, &character)
                      : *at >= 0x80 ? utf8_char_size(at, j->end)
                                    : 0;
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

/* As scan_plain, a block at a time while there are whole ones. */
static inline const uint8_t *next_stop(struct json *j, const uint8_t *at)
{
#if defined(__SSE2__)
    for (;;) {
        if (at >= j->block_end) {
            if (__builtin_expect(at - j->block_end >= SCAN_BLOCK, 0))
                j->block_end += (at - j->block_end) / SCAN_BLOCK * SCAN_BLOCK;
            if (j->end - j->block_end < SCAN_BLOCK)
                break;
            j->stops = scan_block(j->block_end);
            j->block_end += SCAN_BLOCK;
        }
        uint64_t stops = j->stops >> (SCAN_BLOCK - (j->block_end - at));
        if (stops != 0)
            return at + __builtin_ctzll(stops);
        at = j->block_end;
    }
#endif
    return scan_plain(at, j->end);
}

/* From after the opening quote to after the closing one; NULL after fail(). */
static inline const uint8_t *take_string(struct json *j, const uint8_t *start, struct json_string *out)
{
    const uint8_t *at = next_stop(j, start);
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
    j->start = j->at = j->block_end = (const uint8_t *)text.at;
    j->stops = 0;
    j->end = text.len == 0 ? j->start : j->start + text.len;
    j->error = OK;
    j->reason = NULL;
    j->depth = j->is_array = 0;
    j->next = NEXT_VALUE;
    j->next_after = NEXT_END;
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
    return j->next == NEXT_VALUE ? peek(j) : JSON_NONE;
}

/* No value of the kind that was wanted stands here: say why. */
static bool refuse(struct json *j, enum json_kind found)
{
    if (j->error != OK)
        return false;
    if (j->next != NEXT_VALUE)
        return fail(j, ERR_STATE, "no value comes here");
    if (found == JSON_NONE)
        return fail(j, ERR_FORMAT, j->at == j->end ? "a value is missing at the end" : "a value is expected");
    return fail(j, ERR_TYPE, "a value of another kind is expected");
}

/* Before a value: true if it is of this kind. */
static inline bool is_next(struct json *j, enum json_kind want)
{
    enum json_kind found = json_peek(j);
    return __builtin_expect(found == want, 1) ? true : refuse(j, found);
}

static bool open_level(struct json *j, bool is_array)
{
    if (j->depth == JSON_DEPTH_MAX)
        return fail(j, ERR_LIMIT, "nested too deep");
    j->depth++;
    j->at++;
    j->is_array = j->is_array << 1 | is_array;
    j->next = is_array ? NEXT_FIRST_ITEM : NEXT_FIRST_KEY;
    j->next_after = is_array ? NEXT_ITEM : NEXT_KEY;
    return true;
}

static void close_level(struct json *j)
{
    j->at++;
    j->depth--;
    j->is_array >>= 1;
    j->next = j->next_after = j->depth == 0 ? NEXT_END : (j->is_array & 1) != 0 ? NEXT_ITEM : NEXT_KEY;
}

bool json_open_object(struct json *j)
{
    return is_next(j, JSON_OBJECT) && open_level(j, false);
}

bool json_open_array(struct json *j)
{
    return is_next(j, JSON_ARRAY) && open_level(j, true);
}

/* To the next member or item of the level, past the comma if there must be one. False: closed, or failed. */
static bool next_in_level(struct json *j, bool is_array)
{
    bool is_first = j->next == (is_array ? NEXT_FIRST_ITEM : NEXT_FIRST_KEY);
    if (!is_first && j->next != (is_array ? NEXT_ITEM : NEXT_KEY))
        return fail(j, ERR_STATE, is_array ? "no item comes here" : "no member comes here");
    j->at = skip_blanks(j->at, j->end);
    if (j->at < j->end && *j->at == (is_array ? ']' : '}')) {
        close_level(j);
        return false;
    }
    if (is_first)
        return true;
    if (j->at == j->end || *j->at != ',')
        return fail(j, ERR_FORMAT, is_array ? "',' or ']' is expected" : "',' or '}' is expected");
    j->at = skip_blanks(j->at + 1, j->end);
    return true;
}

static inline bool next_raw_key(struct json *j, struct json_string *key)
{
    const uint8_t *at = j->at;
    if (j->next == NEXT_KEY && j->end - at >= 2 && at[0] == ',' && at[1] == '"') {
        at += 2; /* as machines write it, and so nearly always */
    } else {
        if (!next_in_level(j, false))
            return false;
        if (j->at == j->end || *j->at != '"')
            return fail(j, ERR_FORMAT, "a key is expected");
        at = j->at + 1;
    }
    at = take_string(j, at, key);
    if (at == NULL)
        return false;
    at = skip_blanks(at, j->end);
    j->at = at;
    if (at == j->end || *at != ':')
        return fail(j, ERR_FORMAT, "':' is expected");
    j->at = at + 1;
    j->next = NEXT_VALUE;
    return true;
}

bool json_next_item(struct json *j)
{
    if (!next_in_level(j, true))
        return false;
    j->next = NEXT_VALUE;
    return true;
}

static inline bool get_string(struct json *j, struct json_string *out)
{
    const uint8_t *at = take_string(j, j->at + 1, out);
    if (at == NULL)
        return false;
    j->at = at;
    j->next = j->next_after;
    return true;
}

bool json_get_string(struct json *j, struct json_string *out)
{
    bool is_here =
        j->next == NEXT_VALUE && j->at < j->end && *j->at == '"'; /* nearly always, with no blank before it */
    return (is_here || is_next(j, JSON_STRING)) && get_string(j, out);
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
    j->next = j->next_after;
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
    j->next = j->next_after;
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
        bool has_next = j->next_after == NEXT_ITEM ? json_next_item(j) : next_raw_key(j, &key);
        if (has_next && j->at < j->end && *j->at == '"')
            (void)get_string(j, &key); /* what most values are, with no blank before it */
        else if (has_next)
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

/* From after the opening quote to after the closing one. */
static const uint8_t *known_string_end(const uint8_t *at, const uint8_t *end)
{
    while ((at = scan_plain(at, end)) < end && *at != '"')
        at += *at == '\\' && end - at > 1 ? 2 : 1;
    return at < end ? at + 1 : end;
}

#if defined(__SSE2__)
/* Each bit: an odd number of ones at it and below. */
static inline uint64_t prefix_odd(uint64_t x)
{
    for (int by = 1; by < 64; by *= 2)
        x ^= x << by;
    return x;
}

/* Over whole blocks in which nothing is escaped and the value does not end; *depth and *is_inside (a string) go along. */
static const uint8_t *pass_blocks(const uint8_t *at, const uint8_t *end, size_t *depth, bool *is_inside)
{
    while (end - at >= SCAN_BLOCK) {
        uint64_t quotes = scan_block_for(at, '"', 0), opens = scan_block_for(at, '{', 0x20), closes = scan_block_for(at, '}', 0x20);
        uint64_t inside = prefix_odd(quotes) ^ (*is_inside ? UINT64_MAX : 0);
        size_t closed = (size_t)__builtin_popcountll(closes & ~inside);
        if (scan_block_for(at, '\\', 0) != 0 || closed >= *depth)
            break;
        *depth += (size_t)__builtin_popcountll(opens & ~inside) - closed;
        *is_inside = inside >> 63 != 0;
        at += SCAN_BLOCK;
    }
    return at;
}
#endif

bool json_get_known(struct json *j, struct str *text)
{
    enum json_kind kind = json_peek(j);
    if (kind != JSON_OBJECT && kind != JSON_ARRAY)
        return json_get_raw(j, text);
    const uint8_t *from = j->at, *at = from + 1;
    size_t depth = 1;
    bool is_inside = false;
#if defined(__SSE2__)
    at = pass_blocks(at, j->end, &depth, &is_inside);
#endif
    if (is_inside)
        at = known_string_end(at, j->end);
    while (at < j->end) {
        uint8_t c = *at++;
        if (c == '"') {
            at = known_string_end(at, j->end);
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            *text = (struct str){(const char *)from, (size_t)(at - from)};
            j->at = at;
            j->next = j->next_after;
            return true;
        }
    }
    return fail(j, ERR_FORMAT, "a value is not closed");
}

static const uint8_t *skip_blanks_back(const uint8_t *at, const uint8_t *from)
{
    while (at > from && (at[-1] == ' ' || at[-1] == '\n' || at[-1] == '\r' || at[-1] == '\t'))
        at--;
    return at;
}

bool json_get_last(struct json *j, struct str *text)
{
    if (json_peek(j) != JSON_OBJECT || j->depth != 1 || (j->is_array & 1) == 0)
        return false;
    const uint8_t *at = skip_blanks_back(j->end, j->at);
    if (at == j->at || at[-1] != ']')
        return false;
    at = skip_blanks_back(at - 1, j->at);
    if (at - j->at < 2 || at[-1] != '}')
        return false;
    *text = (struct str){(const char *)j->at, (size_t)(at - j->at)};
    j->at = skip_blanks(at, j->end);
    close_level(j);
    return true;
}

enum err json_end(struct json *j)
{
    if (j->error != OK)
        return j->error;
    if (j->depth == 0 && j->next == NEXT_VALUE && peek(j) == JSON_NONE)
        (void)refuse(j, JSON_NONE);
    else if (j->next != NEXT_END)
        (void)fail(j, ERR_STATE, "the text was not read to its end");
    else if ((j->at = skip_blanks(j->at, j->end)) != j->end)
        (void)fail(j, ERR_FORMAT, "something follows the value");
    return j->error;
}

static __attribute__((noinline)) void undo_key(struct json *j, struct json_string *key)
{
    size_t len;
    if (key->raw.len <= sizeof j->undone_key && json_undo(key->raw, j->undone_key, &len))
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
        return json_undone_compare(left->raw, right->raw);
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
    while (j.error == OK && repeated == NULL && j.next != NEXT_END) {
        uint32_t depth = j.depth;
        if (j.next == NEXT_VALUE) {
            (void)step_in(&j);
            keys.from[j.depth] = j.depth > depth ? keys.count : keys.from[j.depth];
        } else if (j.next_after == NEXT_ITEM) {
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
