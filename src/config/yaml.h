/* config/yaml.h - the part of YAML that a configuration needs: nested maps of single values. libyaml's types go no
 * further. */
#ifndef CONFIG_YAML_H
#define CONFIG_YAML_H
#include "base/memory.h"

#define YAML_DEPTH_MAX 8
#define YAML_KEY_MAX   128 /* bytes of a key with the dots of its sections */

struct yaml_value {
    struct str key; /* "listen.ocpp", whether it was written so or nested; borrowed for the call, as text is */
    struct str text;
    size_t line;
    bool is_nothing; /* nothing, ~ or null stands after the colon */
};
typedef enum err yaml_on_value(void *data, const struct yaml_value *v, struct fault *why);

/* Calls on_value for each value in order and stops at its first error. why->field becomes name:line. Lists, aliases,
 * tags, a second document and a document that is no map are ERR_TYPE; ERR_LIMIT: too deep or a key too long;
 * ERR_FORMAT: no YAML. */
MUST_USE enum err yaml_walk(struct str name, struct str text, yaml_on_value *on_value, void *data, struct fault *why);

/* "name:line" where the name's beginning gives way if it is too long. */
#define YAML_PLACE_SIZE 64
void yaml_place(char out[YAML_PLACE_SIZE], struct str name, size_t line);
#endif
