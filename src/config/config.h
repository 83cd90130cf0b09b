/* config/config.h - every setting is one line of config.def: key, kind, default, limits, sentence. Sources in rising
 * weight: defaults, YAML file (with ${ENV} and ${ENV:-default} in its values; "$${" stands for "${"), environment
 * (CHARGELINE_LISTEN_OCPP), --set. A wrong key, kind or value is one clear line with its place. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H
#include "base/memory.h"

#define CONFIG_FILE_MAX 65536 /* bytes of the file */

enum setting {
#define SETTING(member, key, kind, preset, least, most, words, help) SETTING_##member,
#include "config/config.def"
    SETTING_COUNT
};

struct config {
#define KIND_TEXT                                                    struct str
#define KIND_ADDRESS                                                 struct str /* "host:port", "[v6]:port", or empty where the line allows it */
#define KIND_NUMBER                                                  int64_t
#define KIND_SWITCH                                                  bool
#define KIND_WORD                                                    int /* index in the words of its line */
#define SETTING(member, key, kind, preset, least, most, words, help) KIND_##kind member;
#include "config/config.def"
#undef KIND_TEXT
#undef KIND_ADDRESS
#undef KIND_NUMBER
#undef KIND_SWITCH
#undef KIND_WORD
    struct str origin[SETTING_COUNT]; /* where a value came from, in words: "default", "chargeline.yaml:12" */
    struct str strangers; /* CHARGELINE_ variables that are no setting and no known other, each with a line end */
    struct arena texts;   /* what the above point into */
};
/* file absent: none. sets: "key=value", the last one of a key wins. environment: environ. why->field is the place:
 * "file:line", the environment variable, "--set key", or the key where two settings do not go together. Errors: ERR_IO
 * (the file cannot be read), ERR_LIMIT (too large, too deep), ERR_FORMAT (no YAML, no value), ERR_UNKNOWN (key, word,
 * variable), ERR_EXISTS (a key twice), ERR_TYPE, ERR_RANGE, ERR_MISSING (another setting is needed with it). *out needs
 * config_release only after OK. */
MUST_USE enum err config_load(struct str file, const char *const *sets, size_t set_count, char *const *environment,
                              struct config *out, struct fault *why);
/* The same with the file's text in hand; name is what places call it. */
MUST_USE enum err config_load_text(struct str name, struct str text, const char *const *sets, size_t set_count,
                                   char *const *environment, struct config *out, struct fault *why);
void config_release(struct config *c);
/* Every key with its value, where it came from, its default, limits and sentence: a file that config_load takes again.
 */
void config_explain(const struct config *c, struct buf *out);
void config_document(struct buf *out); /* the reference page */
/* The word of a WORD setting: config_word(c, "device.unknown") */
struct str config_word(const struct config *c, const char *key);
#endif
