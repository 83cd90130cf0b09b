/* api/auth.c - keys and roles. A key is 256 random bits, so its stored form is a plain SHA-256: fast, and nothing to
 * guess. All keys are in memory; one that is deleted ends to work at once. Wrong ones are counted by network, and past
 * a bound nothing from there is looked at (CWE-307). */
#include "api/api_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "wire/secret.h"

#define KEY_TEXT_MAX   256 /* of a key that a person presets; the least that is taken is below */
#define KEY_TEXT_LEAST 16
#define PATH_MAX_SIZE  4400

static const struct str role_names[] = {
    [ROLE_VIEWER] = {"viewer", 6}, [ROLE_OPERATOR] = {"operator", 8}, [ROLE_ADMIN] = {"admin", 5}};

struct str role_text(enum role r)
{
    return role_names[r];
}

void random_fill(void *to, size_t size)
{
    check(getrandom(to, size, 0) == (ssize_t)size); /* at most 256 bytes are never short */
}

void id_make(char out[UUID_TEXT_SIZE])
{
    uint8_t random[10];
    uint64_t low;
    random_fill(random, sizeof random);
    memcpy(&low, random + 2, sizeof low);
    uuid_write(uuid_v7((uint64_t)(clock_now().us / 1000), be16(random), low), out);
}

struct str key_make(char text[72], uint8_t hash[32])
{
    uint8_t bits[32];
    random_fill(bits, sizeof bits);
    size_t head = str_copy(text, 72, STR("cl_"));
    hex_write((struct bytes){bits, sizeof bits}, text + head);
    explicit_bzero(bits, sizeof bits);
    struct str s = str_of(text);
    sha256(bytes_of(s), hash);
    return s;
}

/* --- failures --- */

/* By the address as text: up to its third dot (/24 of IPv4), or its fourth colon (/64 of IPv6, /56 or so where zeros
 * are left out). */
static uint64_t network_of(const struct auth *a, struct str remote)
{
    bool is_v6 = remote.len > 0 && memchr(remote.at, ':', remote.len) != NULL;
    size_t marks = 0, len = 0;
    for (; len < remote.len && marks < (is_v6 ? 4u : 3u); len++)
        marks += remote.at[len] == (is_v6 ? ':' : '.');
    return siphash(a->hash_key, (struct bytes){(const uint8_t *)remote.at, len});
}

/* The bucket of a network, refilled to now. Networks share a slot rarely, and then only their allowance. */
static struct failures *failures_of(struct auth *a, struct str remote)
{
    uint64_t network = network_of(a, remote);
    struct failures *f = &a->failures[network % FAILURE_SLOTS];
    int64_t now = clock_monotonic_ms();
    if (f->network != network) {
        *f = (struct failures){network, now, FAILURES_BURST * 1000};
        return f;
    }
    f->tokens_milli += (now - f->at_ms) * FAILURES_PER_MINUTE / 60;
    if (f->tokens_milli > FAILURES_BURST * 1000)
        f->tokens_milli = FAILURES_BURST * 1000;
    f->at_ms = now;
    return f;
}

/* --- keys --- */

void auth_add(struct auth *a, const struct key *k)
{
    pthread_mutex_lock(&a->lock);
    if (a->key_count < API_KEYS_MAX)
        a->keys[a->key_count++] = *k;
    pthread_mutex_unlock(&a->lock);
}

void auth_remove(struct auth *a, struct str key_id)
{
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->key_count; i++)
        if (str_eq(str_of(a->keys[i].id), key_id)) {
            a->keys[i] = a->keys[--a->key_count];
            break;
        }
    pthread_mutex_unlock(&a->lock);
}

bool auth_has_room(struct auth *a)
{
    pthread_mutex_lock(&a->lock);
    bool has = a->key_count < API_KEYS_MAX;
    pthread_mutex_unlock(&a->lock);
    return has;
}

/* Every key is compared, in constant time: the answer's time tells nothing. */
static bool find_key(struct auth *a, struct str text, struct key *out)
{
    uint8_t hash[32];
    bool found = false;
    sha256(bytes_of(text), hash);
    for (size_t i = 0; i < a->key_count; i++)
        if (secret_is_equal(a->keys[i].hash, hash, sizeof hash)) {
            *out = a->keys[i];
            found = true;
        }
    return found;
}

static bool bearer(struct str header, struct str *key)
{
    static const struct str scheme = {"Bearer ", 7};
    if (header.len <= scheme.len || !str_eq_nocase((struct str){header.at, scheme.len}, scheme))
        return false;
    *key = (struct str){header.at + scheme.len, header.len - scheme.len};
    while (key->len > 0 && key->at[0] == ' ')
        *key = (struct str){key->at + 1, key->len - 1};
    return key->len > 0 && key->len <= KEY_TEXT_MAX;
}

static void refuse(struct call *c)
{
    answer_error(c, API_UNAUTHORIZED, NULL);
    http_answer_header(&c->x->answer, "WWW-Authenticate", STR("Bearer"));
}

bool auth_check(struct call *c)
{
    struct auth *a = &c->api->auth;
    struct str text;
    struct key k;
    if (!bearer(c->x->header[HTTP_AUTHORIZATION], &text)) {
        refuse(c); /* no try at a key: counts as none */
        return false;
    }
    pthread_mutex_lock(&a->lock);
    struct failures *f = failures_of(a, c->x->remote);
    bool is_shut = f->tokens_milli < 1000, is_known = !is_shut && find_key(a, text, &k);
    if (!is_shut && !is_known)
        f->tokens_milli -= 1000;
    pthread_mutex_unlock(&a->lock);
    if (is_shut) {
        answer_error(c, API_TOO_MANY_FAILURES, NULL);
        answer_retry_after(c, 60 / FAILURES_PER_MINUTE);
        return false;
    }
    if (!is_known) {
        LOG_WARN("api.refused", F_STR("remote", c->x->remote), F_CSTR("trace", c->trace_text));
        refuse(c);
        return false;
    }
    c->caller.role = k.role;
    (void)str_copy(c->caller.key_id, sizeof c->caller.key_id, str_of(k.id));
    (void)str_copy(c->caller.name, sizeof c->caller.name, str_of(k.name));
    return true;
}

/* --- the first key --- */

/* Whole or not at all, readable by its owner only. */
static enum err write_key_file(const char *path, struct str text, struct fault *why)
{
    char part[PATH_MAX_SIZE];
    int n = snprintf(part, sizeof part, "%s.part", path);
    if (n < 0 || (size_t)n >= sizeof part) {
        fault_set(why, STR("data.dir"), "the path is too long");
        return ERR_RANGE;
    }
    (void)unlink(part);
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text.at, text.len) == (ssize_t)text.len && write(fd, "\n", 1) == 1 && fsync(fd) == 0;
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    if (ok && rename(part, path) == 0)
        return OK;
    fault_set(why, STR("data.dir"), "%s: %s", path, strerror(errno));
    return ERR_IO;
}

static enum err store_first(struct db *d, void *arg, struct fault *why)
{
    const struct key *k = arg;
    (void)why;
    enum err e = db_run(d, "DELETE FROM api_keys WHERE is_first = 1", NULL, 0);
    if (e != OK)
        return e;
    return DB_RUN(
        d,
        "INSERT INTO api_keys (api_key_id, name, role, key_hash, is_first, created_at) VALUES (?1, ?2, ?3, ?4, 1, ?5)",
        db_text(str_of(k->id)), db_text(str_of(k->name)), db_text(role_text(k->role)),
        db_blob((struct bytes){k->hash, 32}), db_time(clock_now()));
}

/* The file first: a key that is stored and nowhere written would be lost. */
static enum err make_first(struct api *a, struct str preset, struct fault *why)
{
    struct key f = {.role = ROLE_ADMIN, .name = "admin"};
    char text[72], path[PATH_MAX_SIZE];
    struct str key = preset;
    if (preset.at == NULL)
        key = key_make(text, f.hash);
    else
        sha256(bytes_of(preset), f.hash);
    id_make(f.id);
    int n = snprintf(path, sizeof path, "%.*s/admin.key", STR_ARG(a->o.config->data_dir));
    check(n > 0 && (size_t)n < sizeof path); /* data.dir is limited */
    enum err e = write_key_file(path, key, why);
    if (e == OK)
        e = bus_write(a->o.bus, store_first, &f, why);
    if (e != OK)
        return e;
    auth_add(&a->auth, &f);
    LOG_INFO("api.admin_key", F_CSTR("file", path));
    explicit_bzero(text, sizeof text);
    return OK;
}

static enum err load_keys(struct auth *a, struct db *d, bool *has_admin, uint8_t first_hash[32])
{
    struct db_rows *r = db_rows(d, "SELECT api_key_id, name, role, key_hash, is_first FROM api_keys", NULL, 0);
    while (db_next(r)) {
        struct key k = {.role = ROLE_NONE};
        struct bytes hash = db_col_blob(r, 3);
        (void)str_copy(k.id, sizeof k.id, db_col_text(r, 0));
        (void)str_copy(k.name, sizeof k.name, db_col_text(r, 1));
        for (int role = ROLE_VIEWER; role <= ROLE_ADMIN; role++)
            if (str_eq(role_names[role], db_col_text(r, 2)))
                k.role = (enum role)role;
        if (hash.len != sizeof k.hash || k.role == ROLE_NONE)
            continue; /* of a newer version: of no use here */
        memcpy(k.hash, hash.at, sizeof k.hash);
        if (db_col_int(r, 4) != 0)
            memcpy(first_hash, k.hash, 32);
        *has_admin |= k.role == ROLE_ADMIN;
        auth_add(a, &k);
    }
    return db_rows_end(r);
}

static void forget_first(struct auth *a, const uint8_t hash[32])
{
    for (size_t i = 0; i < a->key_count; i++)
        if (memcmp(a->keys[i].hash, hash, 32) == 0) {
            a->keys[i] = a->keys[--a->key_count];
            return;
        }
}

enum err auth_open(struct api *a, struct fault *why)
{
    struct auth *auth = &a->auth;
    struct db *d;
    bool has_admin = false;
    uint8_t first[32] = {0}, wanted[32];
    check(pthread_mutex_init(&auth->lock, NULL) == 0);
    auth->keys = mem_new(API_KEYS_MAX, sizeof *auth->keys);
    random_fill(auth->hash_key, sizeof auth->hash_key);
    enum err e = db_open(a->db_path, DB_READER, &d, why);
    if (e != OK)
        return e;
    e = load_keys(auth, d, &has_admin, first);
    db_close(d);
    if (e != OK)
        return e;
    struct str preset = str_of(getenv("CHARGELINE_ADMIN_KEY"));
    if (preset.len == 0)
        return has_admin ? OK : make_first(a, (struct str){NULL, 0}, why);
    if (preset.len < KEY_TEXT_LEAST || preset.len > KEY_TEXT_MAX) {
        fault_set(why, STR("CHARGELINE_ADMIN_KEY"), "must have %d to %d characters", KEY_TEXT_LEAST, KEY_TEXT_MAX);
        return ERR_RANGE;
    }
    sha256(bytes_of(preset), wanted);
    if (memcmp(wanted, first, sizeof wanted) == 0)
        return OK;
    forget_first(auth, first);
    return make_first(a, preset, why);
}

void auth_close(struct auth *a)
{
    if (a->keys == NULL)
        return;
    free(a->keys);
    a->keys = NULL;
    (void)pthread_mutex_destroy(&a->lock);
}
