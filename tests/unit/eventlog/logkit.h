/* tests/unit/eventlog/logkit.h - a log in a folder of its own, with events that say their position, for the tests beside it. */
#ifndef TESTS_LOGKIT_H
#define TESTS_LOGKIT_H
#include "eventlog/log.h"
#include "eventlog/reader.h"
#include "check.h"
#include "place.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIT_PATH_MAX   512
#define KIT_STATIONS   7
#define KIT_TIME_US    INT64_C(1772355600000000)
#define KIT_TIME_STEP  INT64_C(1000000)
#define KIT_PATIENCE   20000 /* ms that anything may take before a test gives up */

static char kit_dir[KIT_PATH_MAX];

static inline void kit_path(char out[KIT_PATH_MAX], const char *name)
{
    (void)snprintf(out, KIT_PATH_MAX, "%.200s/%.200s", kit_dir, name);
}

/* Deletes the files of a folder, then the folder. */
static inline void kit_remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[KIT_PATH_MAX];
        (void)snprintf(path, sizeof path, "%.200s/%.200s", dir, e->d_name);
        if (e->d_name[0] != '.')
            (void)unlink(path);
    }
    if (d != NULL)
        (void)closedir(d);
    (void)rmdir(dir);
}

static inline void kit_begin(void)
{
    place_make(kit_dir, "eventlog");
}

static inline void kit_end(void)
{
    kit_remove_dir(kit_dir);
}

static inline struct eventlog_options kit_options(void)
{
    struct eventlog_options o = eventlog_options_default();
    o.dir = str_of(kit_dir);
    o.gateway_id = STR("gw-1");
    o.retry_ms = 1;
    return o;
}

/* What the event at a position says: everything follows from the position, so that any reader can check it. */
struct kit_text {
    char station[32], payload[128];
    char frame[4096];
};
static inline struct event kit_event(uint64_t position, struct kit_text *t)
{
    struct event e = {.type = EVENT_HEARTBEAT,
                      .received = {KIT_TIME_US + (int64_t)position * KIT_TIME_STEP},
                      .device_time = INSTANT_NONE,
                      .sequence = position * 3};
    (void)snprintf(t->station, sizeof t->station, "CP-%u", (unsigned)(position * position % KIT_STATIONS));
    (void)snprintf(t->payload, sizeof t->payload, "{\"n\":%llu}", (unsigned long long)position);
    size_t len = (size_t)(position * 37 % 600);
    memset(t->frame, 'a' + (int)(position % 26), len);
    memset(e.trace, (int)(position & 0xff), sizeof e.trace);
    e.station = str_of(t->station);
    e.payload = str_of(t->payload);
    if (position % 3 != 0)
        e.frame = (struct str){t->frame, len};
    if (position % 2 == 0)
        e.answer = STR("[3,\"1\",{}]");
    return e;
}

static inline bool kit_same_text(struct str a, struct str b)
{
    return (a.at == NULL) == (b.at == NULL) && str_eq(a, b);
}

static inline bool kit_is(const struct event *got, uint64_t position)
{
    struct kit_text t;
    struct event want = kit_event(position, &t);

    return got->position == position && got->type == want.type && kit_same_text(got->station, want.station) &&
           got->received.us == want.received.us && got->device_time.us == want.device_time.us &&
           got->sequence == want.sequence && memcmp(got->trace, want.trace, sizeof want.trace) == 0 &&
           kit_same_text(got->payload, want.payload) && kit_same_text(got->frame, want.frame) &&
           kit_same_text(got->answer, want.answer);
}

static inline enum err kit_append(struct eventlog *l)
{
    struct kit_text t;
    struct event e = kit_event(eventlog_position(l) + 1, &t);

    return eventlog_append(l, &e);
}

/* A round of count events; false: one of them was refused. */
static inline bool kit_round(struct eventlog *l, unsigned count)
{
    bool all = true;
    for (unsigned i = 0; i < count; i++)
        all = kit_append(l) == OK && all;
    eventlog_commit(l);
    return all;
}

static inline bool kit_wait(struct eventlog *l, uint64_t position)
{
    eventlog_wait(l, position - 1, KIT_PATIENCE);
    return eventlog_durable(l) >= position;
}

/* A round that is on the disk when it returns: a batch of its own. */
static inline bool kit_batch(struct eventlog *l, unsigned count)
{
    return kit_round(l, count) && kit_wait(l, eventlog_position(l));
}

static inline struct eventlog *kit_open(const struct eventlog_options *o)
{
    struct eventlog *l = NULL;
    struct fault why = {0};
    if (eventlog_open(o, &l, &why) != OK)
        (void)fprintf(stderr, "open: %s: %s\n", why.field, why.reason);
    check(l != NULL);
    return l;
}

/* Reads forwards from a position; every event must be the next one and right. Returns how many there were. */
static inline uint64_t kit_count(const char *dir, uint64_t from)
{
    struct log_reader *r = NULL;
    struct event e;
    struct fault why = {0};
    uint64_t count = 0;
    enum err error = reader_open(str_of(dir), &r, &why);

    if (error != OK)
        return 0;
    reader_seek(r, from);
    while ((error = reader_next(r, &e, &why)) == OK && kit_is(&e, from + count))
        count++;
    CHECK("reading ends with: nothing there now", error == ERR_AGAIN);
    if (error != ERR_AGAIN)
        (void)fprintf(stderr, "%s: %s\n", why.field, why.reason);
    reader_close(r);
    return count;
}
#endif
