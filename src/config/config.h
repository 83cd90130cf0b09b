/* config/config.h - every setting is one line of config.def: key, kind, default, limits, sentence. Sources in rising weight: defaults, YAML file
 * (with ${ENV} and ${ENV:-default} in its values), environment (CHARGELINE_LISTEN_OCPP), --set. A wrong key, kind or value is one clear line
 * with its place. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H
#include "base/memory.h"

struct config {
#define KIND_TEXT    struct str
#define KIND_NUMBER  int64_t
#define KIND_SWITCH  bool
#define KIND_WORD    int /* index in the words of its line */
#define SETTING(member, key, kind, preset, least, most, words, help) KIND_##kind member;
#include "config/config.def"
#undef KIND_TEXT
#undef KIND_NUMBER
#undef KIND_SWITCH
#undef KIND_WORD
    struct arena texts;
};
/* file absent: none. sets: "key=value". environment: environ. why->field is the key or "file:line". */
MUST_USE enum err config_load(struct str file, const char *const *sets, size_t set_count, char *const *environment,
                              struct config *out, struct fault *why);
void config_release(struct config *c);
/* Every key with its value, where it came from, its default, limits and sentence. */
void config_explain(const struct config *c, struct buf *out);
void config_document(struct buf *out); /* the reference page */
/* The word of a WORD setting: config_word(c, "device.unknown") */
struct str config_word(const struct config *c, const char *key);
#endif
