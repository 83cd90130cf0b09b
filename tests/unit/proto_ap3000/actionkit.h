/* actionkit.h - a pile and what is around it, without gateway, log or tables, for tests of what it is told. JSON is
 * written with ' for ". */
#ifndef TESTS_ACTIONKIT_H
#define TESTS_ACTIONKIT_H
#include "pilekit.h"

#include "proto/ap3000/actions.h"

#define KIT_ARENA_MAX ((size_t)8 << 20)
#define KIT_PILE_ID   0x04CEAA40u
#define KIT_PORTS     4
#define KIT_NOW       ((struct instant){INT64_C(1772355600) * 1000000}) /* 2026-03-01T09:00:00Z */

#define KIT_NO          "A5000000000000000000000000000007" /* of the order of kit_arrange() */
#define KIT_TRANSACTION 4711

/* How the pile is before. */
enum kit_before {
    PLAIN,
    CHARGES, /* an order on port 1, its transaction is $1 */
    UNSURE,  /* likewise, uncertain */
    OVER,    /* likewise, ended and not settled */
    FAULTY,  /* port 1 has a fault */
    PENDING, /* the charge point is not accepted */
    FALLBACK,
    CABINET,
    HOST,
    KIT_BEFORE_COUNT,
};

static const uint64_t kit_key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

struct kit {
    struct station station;
    struct ap3000_pile *pile;
    struct ap3000_policy policy;
    struct tag_book *tags;
    uint64_t next_number;
    struct arena arena;
    struct buf text;
    struct ap3000_input in;
    struct ap3000_talk talk;
    struct ap3000_decision decision;
    struct ap3000_ending end;
    struct fault why;
};

static inline struct kit *kit_new(void)
{
    struct kit *k = mem_new(1, sizeof *k);
    station_init(&k->station, STR("AP13544000"));
    k->station.registration = REGISTRATION_ACCEPTED;
    k->pile = pile_new();
    k->pile->physical_id = KIT_PILE_ID;
    k->pile->is_registered = true;
    k->pile->device_type = 0x28;
    k->pile->firmware = 612;
    k->pile->port_count = KIT_PORTS;
    k->policy.unknown_pile = REGISTRATION_ACCEPTED;
    k->policy.server_addresses = STR("a.invalid:7054, b.invalid:80");
    k->tags = tag_book_new(kit_key);
    k->next_number = 7;
    arena_init(&k->arena, KIT_ARENA_MAX);
    buf_init(&k->text, KIT_TEXT_MAX);
    k->in = (struct ap3000_input){.policy = &k->policy,
                                  .now = KIT_NOW,
                                  .station = &k->station,
                                  .pile = k->pile,
                                  .tags = k->tags,
                                  .next_number = &k->next_number,
                                  .id_key = kit_key,
                                  .remote_address = STR("192.0.2.1:9"),
                                  .text = STR("00")};
    return k;
}

static inline void kit_free(struct kit *k)
{
    station_release(&k->station);
    pile_free(k->pile);
    tag_book_free(k->tags);
    arena_release(&k->arena);
    buf_release(&k->text);
    free(k);
}

static inline void kit_arrange(struct kit *k, enum kit_before before)
{
    static const enum order_state states[] = {
        [CHARGES] = ORDER_CHARGING, [UNSURE] = ORDER_UNCERTAIN, [OVER] = ORDER_ENDED};
    if (before == CHARGES || before == UNSURE || before == OVER) {
        struct kit_bytes no;
        struct pile_order o = {.id = KIT_TRANSACTION,
                               .number = 3,
                               .state = states[before],
                               .port = 1,
                               .is_told = true,
                               .id_tag = "TAG",
                               .start_mode = AP3000_START_SERVER};
        kit_hex(STR(KIT_NO), &no);
        memcpy(o.no, no.at, sizeof o.no);
        order_key_write(o.no, o.key);
        check(pile_add_order(k->pile, &o) != NULL);
    }
    if (before == FAULTY) {
        pile_make_ports(k->pile, KIT_PORTS);
        k->pile->ports_seen = KIT_PORTS;
        k->pile->ports[1] = AP3000_PORT_BAD_CONTACT;
    }
    if (before == PENDING)
        k->station.registration = REGISTRATION_PENDING;
    if (before == FALLBACK)
        k->pile->physical_id = 0x04000000 | 12000000;
    k->pile->is_cabinet = before == CABINET;
    if (before == HOST) {
        k->pile->is_host = true;
        k->pile->is_registered = false;
    }
}

static inline struct str kit_json(struct kit *k, struct str text)
{
    char *copy = arena_take(&k->arena, text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        copy[i] = text.at[i] == '\'' ? '"' : text.at[i];
    return (struct str){copy, text.len};
}

/* payload stays as long as the kit's arena. */
static inline enum err kit_begin(struct kit *k, const struct ap3000_action *a, struct str payload)
{
    struct ap3000_command_of c = {.action = a, .command_id = STR("c-1"), .payload = payload};
    buf_clear(&k->text);
    k->why = (struct fault){0};
    return ap3000_talk_begin(&k->in, &c, &k->arena, &k->text, &k->talk, &k->decision, &k->why);
}

/* What it was sent, without ids and checksum. */
static inline struct bytes kit_sent(const struct kit *k)
{
    struct ap3000_frame f = {0};
    size_t size;
    enum err e = ap3000_frame_read((struct bytes){k->talk.frame, k->talk.frame_len}, &f, &size, NULL);
    return e == OK && size == k->talk.frame_len && f.physical_id == k->pile->physical_id &&
                   f.message_id == k->talk.message_id && f.command == k->talk.command
               ? f.payload
               : (struct bytes){NULL, 0};
}

static inline enum ap3000_talk_state kit_answer(struct kit *k, struct bytes payload)
{
    struct ap3000_frame f = {.physical_id = k->pile->physical_id,
                             .message_id = k->talk.message_id,
                             .command = k->talk.command,
                             .payload = payload};
    buf_clear(&k->text);
    return ap3000_talk_on_answer(&k->in, &k->talk, &f, &k->arena, &k->text, &k->decision, &k->end);
}

static inline struct pile_order *kit_order(struct kit *k)
{
    return k->pile->order_count == 0 ? NULL : &k->pile->orders[k->pile->order_count - 1];
}
#endif
