/* config/setting.h - one setting as data: the table made of config.def, how a text becomes a value and back. */
#ifndef CONFIG_SETTING_H
#define CONFIG_SETTING_H
#include "config/config.h"

#define SETTING_KEY_MAX 64 /* bytes of a key; longer ones are unknown without being looked at */

enum setting_kind { SETTING_TEXT, SETTING_ADDRESS, SETTING_NUMBER, SETTING_SWITCH, SETTING_WORD };

struct setting_line {
    const char *key;
    enum setting_kind kind;
    size_t offset; /* in struct config */
    const char *preset;
    int64_t least, most;
    const char *words;
    const char *help;
};
extern const struct setting_line setting_lines[SETTING_COUNT];

/* SETTING_COUNT if there is none. */
enum setting setting_find(struct str key);
/* The key that was most likely meant, or NULL if none is near. */
const char *setting_nearest(struct str key);
/* Some key begins with this name and a dot: it is a section. */
bool setting_is_section(struct str name);
/* Checks the text and stores its value, which borrows it. why->reason is set, why->field left to who knows the place.
 */
MUST_USE enum err setting_apply(enum setting s, struct str text, struct config *c, struct fault *why);
/* The value as a text that setting_apply takes. */
void setting_write(const struct config *c, enum setting s, struct buf *out);
/* What is allowed, in words: "1 to 600", "accept, pending or reject". */
void setting_write_limits(enum setting s, struct buf *out);
const char *setting_kind_name(enum setting s);
/* The index-th word of "a|b|c"; absent past the last. */
struct str setting_word(const char *words, int index);
/* CHARGELINE_ + the key in capitals, dots as underscores. */
#define SETTING_VARIABLE_PREFIX   "CHARGELINE_"
#define SETTING_VARIABLE_SIZE_MAX (sizeof(SETTING_VARIABLE_PREFIX) + SETTING_KEY_MAX)
void setting_variable(enum setting s, char out[SETTING_VARIABLE_SIZE_MAX]);
#endif
