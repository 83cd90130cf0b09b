/* A few stations around the real core, without gateway, log or tables, for tests of what a call means. Texts are
 * written with ' for " and $1, $2, .. for the ids of the first, second, .. transaction number. What a look-up would
 * find is kept beside. */
#ifndef TESTS_COREKIT_H
#define TESTS_COREKIT_H
#include "proto/ocpp16/decide.h"

#include <stdlib.h>
#include <string.h>

#define KIT_STATIONS  2
#define KIT_NUMBERS   2048 /* transaction numbers whose rows are kept */
#define KIT_TEXT_MAX  ((size_t)64 << 20)
#define KIT_ARENA_MAX ((size_t)24 << 20)
#define KIT_NOW       ((struct instant){INT64_C(1772355600) * 1000000}) /* 2026-03-01T09:00:00Z */

static const uint64_t kit_key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static const struct {
    const char *key;
    struct id_tag tag;
} kit_tags[] = {
    {"tag", {.is_known = true, .expires_at = {INT64_MIN}, .max_concurrent = -1}},
    {"tag2", {.is_known = true, .expires_at = {INT64_MIN}, .max_concurrent = -1}},
    {"blocked", {.is_known = true, .is_blocked = true, .expires_at = {INT64_MIN}, .max_concurrent = -1}},
    {"old", {.is_known = true, .expires_at = {INT64_C(1772355599) * 1000000}, .max_concurrent = -1}},
    {"child",
     {.is_known = true, .expires_at = {INT64_C(1772355601) * 1000000}, .max_concurrent = -1, .parent = "FLEET7"}},
    {"free", {.is_known = true, .expires_at = {INT64_MIN}, .max_concurrent = 0}},
    {"twice", {.is_known = true, .expires_at = {INT64_MIN}, .max_concurrent = 2}},
};

struct kit {
    struct station stations[KIT_STATIONS];
    struct ocpp_policy policy;
    struct tag_book *tags;
    struct shapes *shapes; /* the test's own; NULL: none */
    uint64_t next_number;
    struct instant now;
    bool answers_trigger;
    struct {
        bool is_set;
        size_t station;
        struct transaction transaction;
    } rows[KIT_NUMBERS];
    struct arena arena;
    struct buf text, call;
    struct ocpp_decision decision;
    enum err frame_error; /* of the last call; the decision is empty if nothing could be answered */
};

static struct kit *kit_new(void)
{
    static const char *const names[KIT_STATIONS] = {"A", "B"};
    struct kit *k = mem_new(1, sizeof *k);
    for (size_t i = 0; i < KIT_STATIONS; i++) {
        station_init(&k->stations[i], str_of(names[i]));
        k->stations[i].registration = REGISTRATION_ACCEPTED;
        k->stations[i].generation = 1;
    }
    k->policy = (struct ocpp_policy){
        .unknown_station = REGISTRATION_ACCEPTED, .heartbeat_s = 300, .boot_retry_s = 60, .max_concurrent = 0};
    k->tags = tag_book_new(kit_key);
    k->next_number = 1;
    k->now = KIT_NOW;
    arena_init(&k->arena, KIT_ARENA_MAX);
    buf_init(&k->text, KIT_TEXT_MAX);
    buf_init(&k->call, KIT_TEXT_MAX);
    return k;
}

static void kit_free(struct kit *k)
{
    for (size_t i = 0; i < KIT_STATIONS; i++)
        station_release(&k->stations[i]);
    tag_book_free(k->tags);
    arena_release(&k->arena);
    buf_release(&k->text);
    buf_release(&k->call);
    free(k);
}

static struct ocpp_input kit_input(struct kit *k, size_t station, struct str text)
{
    return (struct ocpp_input){.policy = &k->policy,
                               .now = k->now,
                               .station = &k->stations[station],
                               .tags = k->tags,
                               .next_number = &k->next_number,
                               .id_key = kit_key,
                               .random = {1, 2, 3, 4},
                               .remote_address = STR("192.0.2.1:9"),
                               .text = text,
                               .answers_trigger = k->answers_trigger,
                               .shapes = k->shapes};
}

static void kit_keep_rows(struct kit *k, size_t station)
{
    const struct station *s = &k->stations[station];
    for (size_t i = 0; i < s->transaction_count; i++)
        if (s->transactions[i].number < KIT_NUMBERS) {
            k->rows[s->transactions[i].number].is_set = true;
            k->rows[s->transactions[i].number].station = station;
            k->rows[s->transactions[i].number].transaction = s->transactions[i];
        }
}

static struct ocpp_known kit_look_up(struct kit *k, size_t station, const struct ocpp_call *c)
{
    struct ocpp_known known = {0};
    char key[TAG_SIZE_MAX] = "";
    if (c->wants_tag.at != NULL)
        (void)tag_key(c->wants_tag, key);
    for (size_t i = 0; i < COUNT_OF(kit_tags); i++)
        if (strcmp(kit_tags[i].key, key) == 0)
            known.tag = kit_tags[i].tag;
    uint64_t number = c->wants_transaction == 0 ? 0 : permute31_back(kit_key, c->wants_transaction);
    for (size_t i = 1; i < KIT_NUMBERS; i++) {
        bool is_it = k->rows[i].is_set &&
                     (number == i || (c->wants_start && k->rows[i].station == station &&
                                      k->rows[i].transaction.start_key == transaction_start_key(&c->start)));
        if (!is_it)
            continue;
        known.has_transaction = true;
        known.is_of_other_station = k->rows[i].station != station;
        known.transaction = k->rows[i].transaction;
    }
    return known;
}

/* The decision's text is good until the next call. */
static void kit_call(struct kit *k, size_t station, struct str text)
{
    struct ocpp_frame frame = {0};
    struct fault why = {0};
    struct ocpp_call call;
    buf_clear(&k->text);
    arena_reset(&k->arena);
    k->decision = (struct ocpp_decision){0};
    k->frame_error = ocpp_frame_read(text, &k->arena, &frame, &why);
    if (k->frame_error == ERR_FORMAT || k->frame_error == ERR_UNSUPPORTED || frame.kind != OCPP_CALL)
        return;
    struct ocpp_input in = kit_input(k, station, text);
    ocpp_call_read(&in, &frame, k->frame_error, &why, &k->arena, &call);
    struct ocpp_known known = kit_look_up(k, station, &call);
    ocpp_call_decide(&in, &call, &known, &k->arena, &k->text, &k->decision);
    kit_keep_rows(k, station);
}

/* ' becomes ", $n the id of number n. */
static struct str kit_text(struct buf *out, const char *pattern)
{
    buf_clear(out);
    for (const char *p = pattern; *p != 0; p++) {
        if (*p == '\'')
            buf_put_byte(out, '"');
        else if (*p == '$' && p[1] >= '1' && p[1] <= '9')
            buf_put_int(out, permute31(kit_key, (uint32_t)(*++p - '0')));
        else
            buf_put_byte(out, (uint8_t)*p);
    }
    return out->len == 0 ? STR("") : buf_str(out);
}
#endif
