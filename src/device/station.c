/* device/station.c - the memory of one station. What grows is allocated only when it is used: an idle station that
 * never charged holds nothing but its struct, its id and its connectors. */
#include "device/station.h"

#include <stdlib.h>
#include <string.h>

/* Keys of contents: only compared with keys made here, in this process or (starts) recomputed from stored fields. */
static const uint64_t content_hash_key[2] = {0x6368617267656c69, 0x6e65207374617274};

static const struct {
    enum registration registration;
    struct str text;
} registrations[] = {
    {REGISTRATION_ACCEPTED, {"accepted", 8}},
    {REGISTRATION_PENDING, {"pending", 7}},
    {REGISTRATION_REJECTED, {"rejected", 8}},
};

struct str registration_text(enum registration r)
{
    for (size_t i = 0; i < COUNT_OF(registrations); i++)
        if (registrations[i].registration == r)
            return registrations[i].text;
    return (struct str){NULL, 0};
}

enum registration registration_find(struct str text)
{
    for (size_t i = 0; i < COUNT_OF(registrations); i++)
        if (str_eq(registrations[i].text, text))
            return registrations[i].registration;
    return REGISTRATION_UNKNOWN;
}

void station_init(struct station *s, struct str id)
{
    *s = (struct station){.id = mem_new(1, id.len + 1), .newest_start = INSTANT_NONE};
    memcpy(s->id, id.at, id.len);
}

void station_release(struct station *s)
{
    for (size_t i = 0; s->said != NULL && i < STATION_RECENT_MAX; i++)
        free(s->said->recent[i].answer);
    free(s->said);
    free(s->connectors);
    free(s->transactions);
    free(s->orphans);
    free(s->id);
    *s = (struct station){0};
}

struct connector *station_connector_find(struct station *s, int64_t id)
{
    for (size_t i = 0; i < s->connector_count; i++)
        if (s->connectors[i].id == id)
            return &s->connectors[i];
    return NULL;
}

struct connector *station_connector(struct station *s, int64_t id)
{
    struct connector *c = station_connector_find(s, id);
    if (c != NULL)
        return c;
    if (s->connector_count == STATION_CONNECTORS_MAX || id < 0 || id > INT32_MAX)
        return NULL;
    s->connectors = mem_grow(s->connectors, s->connector_count + 1u, sizeof *s->connectors);
    c = &s->connectors[s->connector_count++];
    *c = (struct connector){.id = (int32_t)id, .since = INSTANT_NONE};
    return c;
}

void connector_set_status(struct connector *c, struct str status, struct str error_code, struct instant since)
{
    if (!str_eq(str_of(c->status), status))
        c->since = since;
    (void)str_copy(c->status, sizeof c->status, status);
    (void)str_copy(c->error_code, sizeof c->error_code, error_code);
}

struct transaction *station_transaction(struct station *s, uint32_t id)
{
    for (size_t i = s->transaction_count; i-- > 0;)
        if (s->transactions[i].id == id)
            return &s->transactions[i];
    return NULL;
}

struct transaction *station_open_on(struct station *s, int64_t connector_id)
{
    for (size_t i = s->transaction_count; i-- > 0;)
        if (s->transactions[i].state == TRANSACTION_OPEN && s->transactions[i].connector_id == connector_id)
            return &s->transactions[i];
    return NULL;
}

size_t station_open_count(const struct station *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->transaction_count; i++)
        n += s->transactions[i].state == TRANSACTION_OPEN;
    return n;
}

struct transaction *station_started_by(struct station *s, uint64_t start_key)
{
#ifdef DEFECT_NO_DEDUP /* planted: a repeat is taken for news */
    return NULL;
#endif
    for (size_t i = s->transaction_count; i-- > 0;)
        if (s->transactions[i].start_key == start_key)
            return &s->transactions[i];
    return NULL;
}

struct transaction *station_stopped_by(struct station *s, uint64_t stop_key)
{
    for (size_t i = s->transaction_count; i-- > 0;)
        if (s->transactions[i].stop_key == stop_key)
            return &s->transactions[i];
    return NULL;
}

static void forget_oldest_closed(struct station *s)
{
    size_t closed = 0, oldest = s->transaction_count;
    for (size_t i = 0; i < s->transaction_count; i++) {
        if (s->transactions[i].state != TRANSACTION_CLOSED)
            continue;
        if (closed++ == 0)
            oldest = i;
    }
    if (closed < STATION_CLOSED_MAX)
        return;
    s->transaction_count--;
    memmove(&s->transactions[oldest], &s->transactions[oldest + 1],
            (s->transaction_count - oldest) * sizeof *s->transactions);
}

struct transaction *station_add_transaction(struct station *s, const struct transaction *t)
{
    if (t->state == TRANSACTION_OPEN && station_open_count(s) >= STATION_OPEN_MAX)
        return NULL;
    forget_oldest_closed(s);
    if (instant_before(s->newest_start, t->device_started))
        s->newest_start = t->device_started;
    s->transactions = mem_grow(s->transactions, s->transaction_count + 1u, sizeof *s->transactions);
    s->transactions[s->transaction_count] = *t;
    return &s->transactions[s->transaction_count++];
}

uint64_t transaction_start_key(const struct transaction_start *s)
{
    int64_t numbers[] = {s->connector_id, s->meter_start_wh, s->timestamp.us};
    uint8_t content[sizeof numbers + TAG_SIZE_MAX];
    size_t len = tag_key(s->id_tag, (char *)content + sizeof numbers);
#ifdef DEFECT_START_WITHOUT_TIME /* planted: two starts with one reading are one */
    numbers[2] = 0;
#endif
    memcpy(content, numbers, sizeof numbers);
    uint64_t key = siphash(content_hash_key, (struct bytes){content, sizeof numbers + len});
    return key == 0 ? 1 : key;
}

const struct recent *station_recent(const struct station *s, uint64_t message_key)
{
#ifdef DEFECT_NO_DEDUP
    return NULL;
#endif
    for (size_t i = 0; s->said != NULL && i < STATION_RECENT_MAX; i++)
        if (s->said->recent[i].message_key == message_key && s->said->recent[i].answer != NULL)
            return &s->said->recent[i];
    return NULL;
}

static struct said *said_of(struct station *s)
{
    if (s->said == NULL)
        s->said = mem_new(1, sizeof *s->said);
    return s->said;
}

void station_remember(struct station *s, uint64_t message_key, struct str answer)
{
    struct said *said = said_of(s);
    struct recent *r = &said->recent[said->recent_next];
    said->recent_next = (uint16_t)((said->recent_next + 1) % STATION_RECENT_MAX);
    if (r->answer == NULL || r->answer_len < answer.len) {
        free(r->answer);
        r->answer = mem_new(1, answer.len + 1);
    }
    memcpy(r->answer, answer.at, answer.len);
    r->answer_len = (uint32_t)answer.len;
    r->message_key = message_key;
}

bool station_meter_is_repeat(const struct station *s, uint64_t content_key)
{
#if defined DEFECT_NO_DEDUP || defined DEFECT_READING_REPEATED
    return false;
#endif
    for (size_t i = 0; s->said != NULL && i < STATION_METERS_MAX; i++)
        if (s->said->meters[i] == content_key)
            return true;
    return false;
}

void station_remember_meter(struct station *s, uint64_t content_key)
{
    struct said *said = said_of(s);
    said->meters[said->meter_next] = content_key;
    said->meter_next = (uint16_t)((said->meter_next + 1) % STATION_METERS_MAX);
}

void station_add_orphan(struct station *s, const struct orphan *o)
{
    if (s->orphans == NULL)
        s->orphans = mem_new(STATION_ORPHANS_MAX, sizeof *s->orphans);
    size_t out = 0; /* the oldest that does not wait any more, else the oldest */
    while (out < STATION_ORPHANS_MAX && s->orphans[out].is_set)
        out++;
    out = out == STATION_ORPHANS_MAX ? 0 : out;
    memmove(&s->orphans[out], &s->orphans[out + 1], (STATION_ORPHANS_MAX - 1 - out) * sizeof *s->orphans);
    s->orphans[STATION_ORPHANS_MAX - 1] = *o;
    s->orphans[STATION_ORPHANS_MAX - 1].is_set = true;
}
