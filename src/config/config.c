/* config/config.c - the four sources, one over the other. Everything is read into a copy that becomes the caller's only
 * when all of it was right: a program never runs on half a configuration. */
#include "config/config.h"
#include "config/setting.h"
#include "config/yaml.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE_MAX  4096
#define VALUE_SIZE_MAX 8192    /* of one value after its variables were put in */
#define TEXTS_SIZE_MAX 4194304 /* of all values together */
#define STRANGERS_MAX  32      /* unknown variables that are remembered */
#define VARIABLE_MAX   128     /* bytes of the name in ${NAME} */

/* CHARGELINE_ variables that mean something without being a setting. */
static const char *const other_variables[] = {"CHARGELINE_ADMIN_KEY", "CHARGELINE_BIN", "CHARGELINE_BUILD"};
#define OTHER_PREFIX                                                                                \
    STR("CHARGELINE_LOG_") /* so are those of test runs; the settings of log.* are looked for first \
                            */

/* A setting that is of no use without another. */
static const struct {
    enum setting given, needed;
} pairs[] = {
    {SETTING_listen_ocpp_tls, SETTING_tls_certificate}, {SETTING_tls_certificate, SETTING_tls_key},
    {SETTING_tls_key, SETTING_tls_certificate},         {SETTING_tls_certificate2, SETTING_tls_key2},
    {SETTING_tls_key2, SETTING_tls_certificate2},       {SETTING_tls_certificate2, SETTING_tls_certificate},
};

struct load {
    struct config config;
    struct str name; /* of the file */
    char *const *environment;
    size_t stranger_count;
    bool is_in_file[SETTING_COUNT];
    struct fault *why;
};

static struct str variable_find(char *const *environment, struct str name)
{
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, name.at, name.len) == 0 && (*environment)[name.len] == '=')
            return str_of(*environment + name.len + 1);
    return (struct str){NULL, 0};
}

static bool is_variable_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return s.len > 0 && s.len <= VARIABLE_MAX;
}

static struct str str_from(struct str s, size_t start)
{
    return (struct str){s.at + start, s.len - start};
}

/* Puts in what ${NAME} or ${NAME:-default} at the front of s stands for, and takes it off. As in the shell, the default
 * also stands in for a variable that is empty. */
static enum err expand_one(struct load *l, struct str *s, struct buf *out, struct fault *why)
{
    const char *end = memchr(s->at, '}', s->len);
    if (end == NULL) {
        fault_set(why, STR(""), "${ without its } (for the characters themselves write $${)");
        return ERR_FORMAT;
    }
    struct str inside = {s->at + 2, (size_t)(end - s->at) - 2};
    const char *dash = memmem(inside.at, inside.len, ":-", 2);
    struct str name = {inside.at, dash == NULL ? inside.len : (size_t)(dash - inside.at)};
    if (!is_variable_name(name)) {
        fault_set(why, STR(""), "${%.*s}: no name of an environment variable", STR_ARG(inside));
        return ERR_FORMAT;
    }
    struct str value = variable_find(l->environment, name);
    if (dash != NULL && value.len == 0)
        value = str_from(inside, name.len + 2);
    if (value.at == NULL) {
        fault_set(why, STR(""), "the environment variable %.*s is not set (${%.*s:-...} gives a default)",
                  STR_ARG(name), STR_ARG(name));
        return ERR_UNKNOWN;
    }
    buf_put_str(out, value);
    *s = str_from(*s, (size_t)(end - s->at) + 1);
    return OK;
}

static enum err expand(struct load *l, struct str s, struct buf *out, struct fault *why)
{
    enum err e = OK;
    while (e == OK && s.len > 0) {
        if (str_starts(s, STR("${"))) {
            e = expand_one(l, &s, out, why);
            continue;
        }
        size_t skip = str_starts(s, STR("$${")); /* the first $ only says that the second is none */
        size_t take = skip ? 3 : 1;
        buf_put(out, s.at + skip, take - skip);
        s = str_from(s, take);
    }
    if (e == OK && out->failed) {
        fault_set(why, STR(""), "the value is longer than %d bytes", VALUE_SIZE_MAX);
        return ERR_LIMIT;
    }
    return e;
}

/* Stores a value in the copy; origin says where it came from. */
static enum err put(struct load *l, enum setting s, struct str text, struct str origin, struct fault *why)
{
    struct config *c = &l->config;
    struct str kept = arena_copy(&c->texts, text), kept_origin = arena_copy(&c->texts, origin);
    if (kept.at == NULL || kept_origin.at == NULL) {
        fault_set(why, origin, "the values together are longer than %d bytes", TEXTS_SIZE_MAX);
        return ERR_LIMIT;
    }
    enum err e = setting_apply(s, kept, c, why);
    if (e == OK)
        c->origin[s] = kept_origin;
    return e;
}

static enum err unknown_key(struct str key, struct fault *why)
{
    char shown[SETTING_KEY_MAX + 1];
    (void)str_copy(shown, sizeof shown, key);
    const char *nearest = setting_nearest(key);
    if (setting_is_section(key))
        fault_set(why, STR(""), "\"%s\" is a section: it takes keys below it, no value", shown);
    else if (nearest != NULL)
        fault_set(why, STR(""), "unknown key \"%s\"; did you mean \"%s\"?", shown, nearest);
    else
        fault_set(why, STR(""), "unknown key \"%s\" (chargeline config --explain lists all)", shown);
    return ERR_UNKNOWN;
}

static enum err on_file_value(void *data, const struct yaml_value *v, struct fault *why)
{
    struct load *l = data;
    if (v->is_nothing && setting_is_section(v->key))
        return OK; /* all its lines are comments */
    enum setting s = setting_find(v->key);
    if (s == SETTING_COUNT)
        return unknown_key(v->key, why);
    if (l->is_in_file[s]) {
        fault_set(why, STR(""), "%s stands twice, first at %.*s", setting_lines[s].key, STR_ARG(l->config.origin[s]));
        return ERR_EXISTS;
    }
    if (v->is_nothing) {
        fault_set(why, STR(""), "%s has no value (leave the line out for the default, write \"\" for empty)",
                  setting_lines[s].key);
        return ERR_FORMAT;
    }
    struct buf b;
    buf_init(&b, VALUE_SIZE_MAX);
    enum err e = expand(l, v->text, &b, why);
    if (e == OK) {
        char place[YAML_PLACE_SIZE];
        yaml_place(place, l->name, v->line);
        e = put(l, s, b.len == 0 ? STR("") : buf_str(&b), str_of(place), why);
    }
    buf_release(&b);
    l->is_in_file[s] = true;
    return e;
}

static enum err put_defaults(struct load *l)
{
    for (enum setting s = 0; s < SETTING_COUNT; s++) {
        enum err e = put(l, s, str_of(setting_lines[s].preset), STR("default"), l->why);
        if (e != OK)
            return e;
    }
    return OK;
}

static bool is_other_variable(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(other_variables); i++)
        if (str_eq(name, str_of(other_variables[i])))
            return true;
    return str_starts(name, OTHER_PREFIX);
}

/* A variable that is no setting stops nothing: an orchestrator makes CHARGELINE_PORT and the like by itself. It is
 * remembered, so that a misspelt one can be found. */
static void note_stranger(struct load *l, struct str name)
{
    if (is_other_variable(name) || l->stranger_count == STRANGERS_MAX)
        return;
    struct str longer = arena_printf(&l->config.texts, "%.*s%.*s\n", STR_ARG(l->config.strangers), STR_ARG(name));
    if (longer.at != NULL) {
        l->config.strangers = longer;
        l->stranger_count++;
    }
}

static enum setting variable_setting(struct str name)
{
    enum setting s = 0;
    char variable[SETTING_VARIABLE_SIZE_MAX];
    for (; s < SETTING_COUNT; s++) {
        setting_variable(s, variable);
        if (str_eq(name, str_of(variable)))
            break;
    }
    return s;
}

static enum err put_environment(struct load *l)
{
    for (char *const *v = l->environment; v != NULL && *v != NULL; v++) {
        struct str line = str_of(*v);
        const char *equals = strchr(*v, '=');
        if (!str_starts(line, STR(SETTING_VARIABLE_PREFIX)) || equals == NULL)
            continue;
        struct str name = {line.at, (size_t)(equals - line.at)};
        enum setting s = variable_setting(name);
        if (s == SETTING_COUNT) {
            note_stranger(l, name);
            continue;
        }
        struct fault inner = {"", ""};
        enum err e = put(l, s, str_from(line, name.len + 1), name, &inner);
        if (e != OK) {
            fault_set(l->why, name, "%s", inner.reason);
            return e;
        }
    }
    return OK;
}

static enum err put_set(struct load *l, struct str set)
{
    struct fault inner = {"", ""};
    char place[sizeof inner.field];
    const char *equals = memchr(set.at, '=', set.len);
    struct str key = {set.at, equals == NULL ? set.len : (size_t)(equals - set.at)};
    (void)snprintf(place, sizeof place, "--set %.*s", (int)(key.len < SETTING_KEY_MAX ? key.len : SETTING_KEY_MAX),
                   key.at);
    if (equals == NULL) {
        fault_set(l->why, str_of(place), "wants KEY=VALUE");
        return ERR_FORMAT;
    }
    enum setting s = setting_find(key);
    enum err e =
        s == SETTING_COUNT ? unknown_key(key, &inner) : put(l, s, str_from(set, key.len + 1), STR("--set"), &inner);
    if (e != OK)
        fault_set(l->why, str_of(place), "%s", inner.reason);
    return e;
}

static bool is_empty(const struct config *c, enum setting s)
{
    struct buf b;
    buf_init(&b, VALUE_SIZE_MAX);
    setting_write(c, s, &b);
    bool is = b.len == 0;
    buf_release(&b);
    return is;
}

static enum err check_pairs(const struct load *l)
{
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        if (is_empty(&l->config, pairs[i].given) || !is_empty(&l->config, pairs[i].needed))
            continue;
        const char *given = setting_lines[pairs[i].given].key;
        fault_set(l->why, str_of(given), "%s (%.*s) needs %s too", given, STR_ARG(l->config.origin[pairs[i].given]),
                  setting_lines[pairs[i].needed].key);
        return ERR_MISSING;
    }
    return OK;
}

enum err config_load_text(struct str name, struct str text, const char *const *sets, size_t set_count,
                          char *const *environment, struct config *out, struct fault *why)
{
    struct load l = {.name = name, .environment = environment, .why = why};
    arena_init(&l.config.texts, TEXTS_SIZE_MAX);
    enum err e = put_defaults(&l);
    if (e == OK && text.len > CONFIG_FILE_MAX) {
        fault_set(why, name, "the file is larger than %d bytes", CONFIG_FILE_MAX);
        e = ERR_LIMIT;
    }
    if (e == OK)
        e = yaml_walk(name, text, on_file_value, &l, why);
    if (e == OK)
        e = put_environment(&l);
    for (size_t i = 0; e == OK && i < set_count; i++)
        e = put_set(&l, str_of(sets[i]));
    if (e == OK)
        e = check_pairs(&l);
    if (e == OK)
        *out = l.config;
    else
        arena_release(&l.config.texts);
    return e;
}

/* One byte more than is allowed is read, so that config_load_text sees that it is too much. */
static enum err read_file(struct str file, struct buf *out, struct fault *why)
{
    char path[PATH_SIZE_MAX];
    if (str_copy(path, sizeof path, file) < file.len) {
        fault_set(why, file, "the name is too long");
        return ERR_LIMIT;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0 && out->len < out->max) {
        uint8_t *room = buf_reserve(out, out->max - out->len);
        n = room == NULL ? 0 : read(fd, room, out->max - out->len);
        if (n > 0)
            out->len += (size_t)n;
    }
    int error = errno;
    if (fd >= 0)
        (void)close(fd);
    if (n >= 0)
        return OK;
    fault_set(why, file, "the configuration cannot be read: %s", strerror(error));
    return ERR_IO;
}

enum err config_load(struct str file, const char *const *sets, size_t set_count, char *const *environment,
                     struct config *out, struct fault *why)
{
    if (file.at == NULL)
        return config_load_text(STR(""), STR(""), sets, set_count, environment, out, why);
    struct buf text;
    buf_init(&text, CONFIG_FILE_MAX + 1);
    enum err e = read_file(file, &text, why);
    if (e == OK)
        e = config_load_text(file, buf_str(&text), sets, set_count, environment, out, why);
    buf_release(&text);
    return e;
}

void config_release(struct config *c)
{
    arena_release(&c->texts);
}

struct str config_word(const struct config *c, const char *key)
{
    enum setting s = setting_find(str_of(key));
    check(s < SETTING_COUNT && setting_lines[s].kind == SETTING_WORD);
    return setting_word(setting_lines[s].words, *(const int *)((const char *)c + setting_lines[s].offset));
}
