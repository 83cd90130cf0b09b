/* api/api_private.h - what the files of api/ share of the running API. */
#ifndef API_API_PRIVATE_H
#define API_API_PRIVATE_H
#include <pthread.h>

#include "api/call.h"

#define API_KEYS_MAX        1000
#define FAILURE_SLOTS       4096 /* addresses whose wrong keys are counted */
#define FAILURES_BURST      60
#define FAILURES_PER_MINUTE 60

struct key {
    char id[UUID_TEXT_SIZE];
    char name[64];
    enum role role;
    uint8_t hash[32];
};
/* Wrong keys of one network: tokens that are left, in thousandths. */
struct failures {
    uint64_t network;
    int64_t at_ms;
    int64_t tokens_milli;
};
struct auth {
    pthread_mutex_t lock;
    struct key *keys; /* API_KEYS_MAX */
    size_t key_count;
    uint64_t hash_key[2];
    struct failures failures[FAILURE_SLOTS];
};

struct idempotency {
    pthread_mutex_t lock;
    struct link busy; /* calls with a key that are under way: no more than connections */
};

struct waits {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct link list;
    bool is_stopping, has_thread;
    pthread_t thread;
};

struct streams;

struct listener {
    struct api *api;
    struct http_server *server; /* NULL: not open */
    bool is_metrics;
};

struct api {
    struct api_options o;
    char *db_path, *log_dir;
    uint64_t id_key[2]; /* of transaction ids */
    struct auth auth;
    struct idempotency idempotency;
    struct waits waits;
    struct streams *streams;
    struct listener main, metrics;
    pthread_mutex_t worker_lock;
    pthread_cond_t worker_free;
    struct worker *workers;
    size_t worker_count;
    bool is_stopped;
};

void random_fill(void *to, size_t size);
void id_make(char out[UUID_TEXT_SIZE]); /* UUID v7: ids sort by when they were made */

/* api.c */
MUST_USE enum err worker_open(struct api *a, struct worker *w, struct fault *why);

/* auth.c */
MUST_USE enum err auth_open(struct api *a, struct fault *why); /* reads the keys; makes the first */
void auth_close(struct auth *a);
bool auth_check(struct call *c); /* false: answered with 401 or 429 */
void auth_add(struct auth *a, const struct key *k);
void auth_remove(struct auth *a, struct str key_id);
bool auth_has_room(struct auth *a);
struct str key_make(char text[72], uint8_t hash[32]); /* "cl_" and 64 hexadecimal digits */

/* idempotency.c */
bool idempotency_begin(struct call *c); /* false: answered */
MUST_USE enum err idempotency_store(struct db *d, struct call *c, struct fault *why);
void idempotency_finish(struct call *c); /* the answer is there: kept if it says that something was made */
void idempotency_end(struct call *c); /* before the answer leaves, so that who has it may use the key again; or when its asker has gone */

/* waits.c */
MUST_USE enum err waits_open(struct waits *w);
void waits_stop(struct waits *w); /* wakes all; none begins after */
void waits_close(struct waits *w);

/* stream.c */
MUST_USE enum err streams_open(struct api *a, struct fault *why);
void streams_stop(struct streams *s); /* ends all */
void streams_close(struct streams *s);
size_t streams_count(struct streams *s);

/* dispatch.c: what http_server asks */
enum http_next api_on_head(void *data, struct http_exchange *x);
enum http_next api_on_request(void *data, struct http_exchange *x);
enum http_next api_on_resumed(void *data, struct http_exchange *x);
void api_on_refused(void *data, struct http_exchange *x, enum http_refusal r, const char *reason);
void api_on_end(void *data, struct http_exchange *x);
#endif
