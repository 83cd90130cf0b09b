/* config/setting.c - the kinds of values. A kind is one row: how a text becomes its value, how the value is written,
 * what is said about its limits. */
#include "config/setting.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PORT_MAX        65535
#define LIMITS_TEXT_MAX 128
#define SHOWN_MAX       40 /* bytes of a wrong value that are shown */

const struct setting_line setting_lines[SETTING_COUNT] = {
#define SETTING(member, key, kind, preset, least, most, words, help) \
    {key, SETTING_##kind, offsetof(struct config, member), preset, least, most, words, help},
#include "config/config.def"
};

static void *value_at(struct config *c, enum setting s)
{
    return (char *)c + setting_lines[s].offset;
}

static const void *value_of(const struct config *c, enum setting s)
{
    return (const char *)c + setting_lines[s].offset;
}

static enum err refuse(enum err e, enum setting s, struct str text, const char *problem, struct fault *why)
{
    char limits[LIMITS_TEXT_MAX];
    struct buf b;
    buf_init(&b, sizeof limits - 1);
    setting_write_limits(s, &b);
    (void)str_copy(limits, sizeof limits, buf_str(&b));
    buf_release(&b);
    char shown[SHOWN_MAX + 1];
    size_t len = str_copy(shown, sizeof shown, text);
    fault_set(why, str_of(setting_lines[s].key), "%s: \"%s%s\" %s; wanted: %s", setting_lines[s].key, shown,
              len < text.len ? "..." : "", problem, limits);
    return e;
}

/* What no path, address or name holds and YAML takes as something else: control characters, line ends in whatever
 * script, the byte order mark, what is no character. */
static bool has_control(struct str text)
{
    static const struct {
        unsigned char first[3];
        unsigned char last; /* of the third byte */
    } others[] = {
        {{0xe2, 0x80, 0xa8}, 0xa9}, /* U+2028, U+2029 */
        {{0xef, 0xbb, 0xbf}, 0xbf}, /* U+FEFF */
        {{0xef, 0xbf, 0xbe}, 0xbf}, /* U+FFFE, U+FFFF */
    };
    const unsigned char *at = (const unsigned char *)text.at;
    for (size_t i = 0; i < text.len; i++) {
        if (at[i] < 0x20 || at[i] == 0x7f || (at[i] == 0xc2 && i + 1 < text.len && at[i + 1] < 0xa0))
            return true;
        for (size_t k = 0; k < COUNT_OF(others) && i + 2 < text.len; k++)
            if (memcmp(at + i, others[k].first, 2) == 0 && at[i + 2] >= others[k].first[2] &&
                at[i + 2] <= others[k].last)
                return true;
    }
    return false;
}

static enum err text_parse(enum setting s, struct str text, struct config *c, struct fault *why)
{
    if ((int64_t)text.len < setting_lines[s].least)
        return refuse(ERR_RANGE, s, text, "is too short", why);
    if ((int64_t)text.len > setting_lines[s].most)
        return refuse(ERR_RANGE, s, text, "is too long", why);
    *(struct str *)value_at(c, s) = text;
    return OK;
}

/* Only the form: whether the host can be listened on is known when it is tried. */
static enum err address_parse(enum setting s, struct str text, struct config *c, struct fault *why)
{
    size_t colon = text.len;
    while (colon > 0 && text.at[colon - 1] != ':')
        colon--;
    bool is_v6 = text.len > 0 && text.at[0] == '[';
    struct str host = {text.at, colon > 0 ? colon - 1 : 0};
    int64_t port;
    if (text.len > 0) {
        if (host.len == 0 || str_to_int((struct str){text.at + colon, text.len - colon}, &port) != OK)
            return refuse(ERR_TYPE, s, text, "is no address", why);
        if (is_v6 ? host.at[host.len - 1] != ']' : memchr(host.at, ':', host.len) != NULL)
            return refuse(ERR_TYPE, s, text, "is no address (an IPv6 one stands in brackets)", why);
        if (port < 0 || port > PORT_MAX)
            return refuse(ERR_RANGE, s, text, "has no such port", why);
    }
    return text_parse(s, text, c, why);
}

static enum err number_parse(enum setting s, struct str text, struct config *c, struct fault *why)
{
    int64_t n;
    enum err e = str_to_int(text, &n);
    if (e == ERR_FORMAT)
        return refuse(ERR_TYPE, s, text, "is no whole number", why);
    if (e != OK || n < setting_lines[s].least || n > setting_lines[s].most)
        return refuse(ERR_RANGE, s, text, "is out of range", why);
    *(int64_t *)value_at(c, s) = n;
    return OK;
}

static enum err switch_parse(enum setting s, struct str text, struct config *c, struct fault *why)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false}, {"on", true}, {"off", false}};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (str_eq_nocase(text, str_of(words[i].word))) {
            *(bool *)value_at(c, s) = words[i].value;
            return OK;
        }
    }
    return refuse(ERR_TYPE, s, text, "is neither", why);
}

static enum err word_parse(enum setting s, struct str text, struct config *c, struct fault *why)
{
    struct str word;
    for (int i = 0; (word = setting_word(setting_lines[s].words, i)).at != NULL; i++) {
        if (str_eq(word, text)) {
            *(int *)value_at(c, s) = i;
            return OK;
        }
    }
    return refuse(ERR_UNKNOWN, s, text, "is not one of its words", why);
}

static void text_write(enum setting s, const struct config *c, struct buf *out)
{
    buf_put_str(out, *(const struct str *)value_of(c, s));
}

static void number_write(enum setting s, const struct config *c, struct buf *out)
{
    buf_put_int(out, *(const int64_t *)value_of(c, s));
}

static void switch_write(enum setting s, const struct config *c, struct buf *out)
{
    buf_put_str(out, *(const bool *)value_of(c, s) ? STR("true") : STR("false"));
}

static void word_write(enum setting s, const struct config *c, struct buf *out)
{
    buf_put_str(out, setting_word(setting_lines[s].words, *(const int *)value_of(c, s)));
}

static void text_limits(enum setting s, struct buf *out)
{
    buf_printf(out, "%lld to %lld bytes", (long long)setting_lines[s].least, (long long)setting_lines[s].most);
}

static void address_limits(enum setting s, struct buf *out)
{
    buf_printf(out, "host:port%s", setting_lines[s].least == 0 ? ", or empty" : "");
}

static void number_limits(enum setting s, struct buf *out)
{
    buf_printf(out, "%lld to %lld", (long long)setting_lines[s].least, (long long)setting_lines[s].most);
}

static void switch_limits(enum setting s, struct buf *out)
{
    (void)s;
    buf_put_lit(out, "true or false");
}

static void word_limits(enum setting s, struct buf *out)
{
    const char *words = setting_lines[s].words;
    struct str word;
    for (int i = 0; (word = setting_word(words, i)).at != NULL; i++) {
        if (i > 0)
            buf_put_str(out, setting_word(words, i + 1).at == NULL ? STR(" or ") : STR(", "));
        buf_put_str(out, word);
    }
}

static const struct {
    const char *name;
    enum err (*parse)(enum setting s, struct str text, struct config *c, struct fault *why);
    void (*write)(enum setting s, const struct config *c, struct buf *out);
    void (*limits)(enum setting s, struct buf *out);
} kinds[] = {
    [SETTING_TEXT] = {"text", text_parse, text_write, text_limits},
    [SETTING_ADDRESS] = {"address", address_parse, text_write, address_limits},
    [SETTING_NUMBER] = {"number", number_parse, number_write, number_limits},
    [SETTING_SWITCH] = {"switch", switch_parse, switch_write, switch_limits},
    [SETTING_WORD] = {"word", word_parse, word_write, word_limits},
};

enum setting setting_find(struct str key)
{
    enum setting s = 0;
    while (s < SETTING_COUNT && !str_eq(key, str_of(setting_lines[s].key)))
        s++;
    return s;
}

/* Levenshtein, without case; keys are short, so a row of the table is an array. '-' and '_' are one character to
 * whoever writes a key from memory. */
static size_t distance(struct str a, struct str b)
{
    size_t row[SETTING_KEY_MAX + 1];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            int x = tolower((unsigned char)a.at[i - 1]), y = tolower((unsigned char)b.at[j - 1]);
            size_t change = diagonal + ((x == '-' ? '_' : x) != (y == '-' ? '_' : y));
            diagonal = row[j];
            size_t least = row[j - 1] < row[j] ? row[j - 1] + 1 : row[j] + 1;
            row[j] = change < least ? change : least;
        }
    }
    return row[b.len];
}

static struct str last_part(struct str key)
{
    for (size_t i = key.len; i > 0; i--)
        if (key.at[i - 1] == '.')
            return (struct str){key.at + i, key.len - i};
    return key;
}

const char *setting_nearest(struct str key)
{
    if (key.len == 0 || key.len > SETTING_KEY_MAX)
        return NULL;
    const char *best = NULL;
    size_t section_rest = last_part(key).len / 2, whole = key.len / 3; /* further away it is another word */
    size_t least = (section_rest < whole ? section_rest : whole) + 2;
    for (enum setting s = 0; s < SETTING_COUNT; s++) {
        struct str candidate = str_of(setting_lines[s].key);
        /* the right name in the wrong section, or in none, counts as two slips */
        size_t d = str_eq_nocase(last_part(key), last_part(candidate)) ? 2 : distance(key, candidate);
        if (d < least) {
            least = d;
            best = setting_lines[s].key;
        }
    }
    return best;
}

bool setting_is_section(struct str name)
{
    for (enum setting s = 0; s < SETTING_COUNT; s++)
        if (str_starts(str_of(setting_lines[s].key), name) && setting_lines[s].key[name.len] == '.')
            return true;
    return false;
}

enum err setting_apply(enum setting s, struct str text, struct config *c, struct fault *why)
{
    if (!utf8_is_valid((struct bytes){(const uint8_t *)text.at, text.len}) || has_control(text))
        return refuse(ERR_FORMAT, s, STR(""), "has control characters or is no UTF-8", why);
    return kinds[setting_lines[s].kind].parse(s, text, c, why);
}

void setting_write(const struct config *c, enum setting s, struct buf *out)
{
    kinds[setting_lines[s].kind].write(s, c, out);
}

void setting_write_limits(enum setting s, struct buf *out)
{
    kinds[setting_lines[s].kind].limits(s, out);
}

const char *setting_kind_name(enum setting s)
{
    return kinds[setting_lines[s].kind].name;
}

struct str setting_word(const char *words, int index)
{
    for (; index > 0; index--) {
        words = strchr(words, '|');
        if (words == NULL)
            return (struct str){NULL, 0};
        words++;
    }
    return (struct str){words, strcspn(words, "|")};
}

void setting_variable(enum setting s, char out[SETTING_VARIABLE_SIZE_MAX])
{
    size_t n = str_copy(out, SETTING_VARIABLE_SIZE_MAX, STR(SETTING_VARIABLE_PREFIX));
    for (const char *k = setting_lines[s].key; *k != '\0' && n + 1 < SETTING_VARIABLE_SIZE_MAX; k++)
        out[n++] = *k == '.' ? '_' : (char)toupper((unsigned char)*k);
    out[n] = '\0';
}
