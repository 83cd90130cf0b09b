/* pileworld.h - two piles and their server, as dice fall: frames of any kind, of orders that are known, dropped or of
 * nobody; swipes; starts, stops and what becomes of them; people who close, hold and let go. The real core decides, and
 * what it tells is on its way to the tables (batchkit.h). What was told and answered is noted, to be asked for at the
 * end. */
#ifndef TESTS_PILEWORLD_H
#define TESTS_PILEWORLD_H
#include "batchkit.h"

#include "proto/ap3000/actions.h"
#include "unit/proto_ap3000/pilekit_core.h"

#define TOLD_MAX     1024              /* transactions of a round */
#define ANSWERED_MAX 1024              /* settlements of a round */
#define LOST_STEP    UINT64_C(1000000) /* between numbers that are lost: more than a round takes */
#define SETTLEMENT   37                /* bytes of the longest form of a settlement, */
#define SIGNIFICANT  29                /* and so many that make it another one: say_settlement() */

/* --- what was said and told in this round --- */

static struct told { /* of a transaction, by its events, in the order of their first ones */
    size_t pile;
    uint32_t id;
    uint8_t no[AP3000_ORDER_SIZE], port;
    bool is_ours; /* the pile was sent its number */
    unsigned starts, stops, closes;
} told[TOLD_MAX];
static size_t told_count;

static struct answered {
    size_t pile, len;
    uint8_t payload[SETTLEMENT];
    bool is_held; /* its pile was not accepted when it was answered last: it may be settled, and wait as well */
} answered[ANSWERED_MAX];
static size_t answered_count;

static struct talking { /* the command that a pile was sent, and has not answered */
    bool is_on;
    struct ap3000_talk talk;
    char payload[96], id[24];
} talking[KIT_PILES];

static struct swiped { /* the last swipe at a pile */
    uint16_t message_id;
    uint8_t payload[6];
    struct instant ordered_at; /* not set: it has no order, or there was none */
} swiped[KIT_PILES];

static struct kit *k;
static uint64_t position, sequences[KIT_PILES];
static unsigned command_count, lost_count;
static unsigned waited_count,
    behind_count;                 /* look-ups that waited for the tables, and that need not, though they were behind */
static bool is_stale[KIT_PILES];  /* it has said things while it was not accepted: they are told with its next frame */
static bool is_legacy[KIT_PILES]; /* it says 0x01 */
static struct arena reading_arena;

static inline struct told *told_of(struct str id_text)
{
    int64_t id = 0;
    check(str_to_int(id_text, &id) == OK);
    for (size_t i = 0; i < told_count; i++)
        if (told[i].id == (uint32_t)id)
            return &told[i];
    check(told_count < TOLD_MAX);
    told[told_count] = (struct told){.id = (uint32_t)id, .port = PILE_PORT_NONE};
    return &told[told_count++];
}

static inline bool has_flag(struct str_list flags, struct str flag)
{
    for (size_t i = 0; i < flags.count; i++)
        if (str_eq(flags.at[i], flag))
            return true;
    return false;
}

static inline void note(size_t pile, const struct event *e)
{
    struct fault why;
    arena_reset(&reading_arena);
    void *p = arena_take(&reading_arena, event_kinds[e->type].payload->size + 1);
    CHECK("an event is readable", event_read_payload(e, &reading_arena, p, &why) == OK);
    CHECK("its sequence has no gap", e->sequence == (event_kinds[e->type].is_published ? ++sequences[pile] : 0));
    if (e->type == EVENT_ORDER) {
        const struct ev_order *o = p;
        struct told *t = told_of(o->transaction_id);
        t->pile = pile;
        t->is_ours = t->is_ours || str_eq(o->state, STR("new"));
        t->port = o->connector_id.is_set ? pile_port_of(o->connector_id.value) : t->port;
        CHECK("an order has a number", hex_parse(o->order_no, t->no, sizeof t->no) == OK);
    } else if (e->type == EVENT_TRANSACTION_STARTED) {
        const struct ev_transaction_started *s = p;
        CHECK("it starts once", ++told_of(s->transaction_id)->starts == 1);
    } else if (e->type == EVENT_TRANSACTION_STOPPED) {
        const struct ev_transaction_stopped *s = p;
        struct told *t = told_of(s->transaction_id);
        bool is_close = has_flag(s->flags, STR("closed_by_operator"));
        CHECK("it stops once, once more where an operator had closed it",
              t->starts == 1 && t->stops == 0 && (is_close ? ++t->closes : ++t->stops) == 1);
    }
}

/* What follows from a decision is on its way to the tables. */
static inline void append(size_t pile)
{
    for (size_t i = 0; i < k->decision.event_count; i++) {
        k->decision.events[i].position = ++position;
        note(pile, &k->decision.events[i]);
        batch_add(&k->decision.events[i]);
    }
    pile_note_position(k->piles[pile], position);
    batch_write_if_due();
}

static inline struct ap3000_input input(size_t pile)
{
    struct ap3000_input in = kit_input(k, pile);
    for (size_t i = 0; i < sizeof in.random; i++)
        in.random[i] = (uint8_t)dice(256);
    return in;
}

/* --- commands: starts and stops --- */

static inline void end_talk(size_t pile)
{
    talking[pile].is_on = false;
    append(pile);
}

static inline void begin_talk(size_t pile, enum ap3000_action_index action)
{
    struct talking *t = &talking[pile];
    struct fault why = {0};
    if (t->is_on)
        return;
    (void)snprintf(t->id, sizeof t->id, "c-%u", command_count++);
    struct ap3000_command_of c = {&ap3000_actions[action], str_of(t->id), str_of(t->payload)};
    kit_begin(k);
    struct ap3000_input in = input(pile);
    t->is_on = ap3000_talk_begin(&in, &c, &k->arena, &k->text, &t->talk, &k->decision, &why) == OK;
    if (!t->is_on)
        k->decision.event_count = 0;
    append(pile);
}

static inline void start(size_t pile, uint8_t port, struct str id_tag)
{
    char named[32] = "";
    if (talking[pile].is_on)
        return;
    if (port != PILE_PORT_NONE)
        (void)snprintf(named, sizeof named, ",\"connectorId\":%d", (int)pile_connector_of(port));
    (void)snprintf(talking[pile].payload, sizeof talking[pile].payload, "{\"idTag\":\"%.*s\"%s}", STR_ARG(id_tag),
                   named);
    begin_talk(pile, AP3000_ACTION_remote_start);
}

static inline void stop(size_t pile, uint32_t id)
{
    if (talking[pile].is_on)
        return;
    (void)snprintf(talking[pile].payload, sizeof talking[pile].payload, "{\"transactionId\":%u}", (unsigned)id);
    begin_talk(pile, AP3000_ACTION_remote_stop);
}

static inline void answer_talk(size_t pile)
{
    struct talking *t = &talking[pile];
    static const size_t sizes[] = {1, 17, 18, 20}; /* of the forms that there are */
    const struct pile_order *o = pile_order_of(k->piles[pile], t->talk.transaction_id);
    uint8_t payload[20] = {dice(2) == 0 ? AP3000_STARTED : (uint8_t)dice(0x11)};
    struct ap3000_ending end = {0};
    kit_begin(k);
    if (o != NULL && dice(4) > 0)
        memcpy(payload + 1, o->no, sizeof o->no);
    payload[17] = (uint8_t)(o == NULL || o->port == PILE_PORT_NONE ? dice(2) : o->port);
    struct ap3000_frame f = {.physical_id = k->piles[pile]->physical_id,
                             .message_id = t->talk.message_id,
                             .command = t->talk.command,
                             .payload = {payload, sizes[dice(COUNT_OF(sizes))]}};
    kit_put_frame(&f, &k->frame_text);
    struct ap3000_input in = input(pile);
    (void)ap3000_talk_on_answer(&in, &t->talk, &f, &k->arena, &k->text, &k->decision, &end);
    end_talk(pile);
}

static inline void be_silent(size_t pile)
{
    struct ap3000_ending end = {0};
    kit_begin(k);
    struct ap3000_input in = input(pile);
    ap3000_talk_on_silence(&in, &talking[pile].talk, &k->arena, &k->text, &k->decision, &end);
    end_talk(pile);
}

/* Whatever the command was, one thing happens to it. */
static inline void go_on_talking(size_t pile)
{
    struct talking *t = &talking[pile];
    if (!t->is_on)
        return;
    struct ap3000_input in = input(pile);
    switch (dice(8)) {
    case 0:
        be_silent(pile);
        break;
    case 1:
        kit_begin(k);
        in = input(pile);
        ap3000_talk_on_not_sent(&in, &t->talk, &k->arena, &k->text, &k->decision);
        end_talk(pile);
        break;
    case 2:
        ap3000_talk_on_repeat(&in, &t->talk);
        break;
    default:
        answer_talk(pile);
    }
}

/* --- frames --- */

static inline void look_up(size_t pile, struct ap3000_known *known)
{
    *known = kit_look_up(k, pile, &k->reading);
    known->quarantine_id[0] = 0;
    if (k->reading.wants_order[0] == 0)
        return;
    /* As gateway/piles.c: the tables may be behind in all but what memory has dropped. */
    bool is_of_quarantine = k->reading.wants_quarantined != 0;
    bool is_behind = batch_count > 0 && pile_tables_position(k->piles[pile], is_of_quarantine) >= batch[0].position;
    waited_count += is_behind;
    behind_count += batch_count > 0 && !is_behind;
    if (is_behind)
        batch_write();
    known->has_order =
        stations_find_order(db, str_of(k->stations[pile].id), str_of(k->reading.wants_order), &known->order) == OK;
    if (is_of_quarantine)
        (void)(stations_find_quarantined(db, str_of(k->stations[pile].id), k->reading.wants_quarantined,
                                         known->quarantine_id) == OK);
}

static inline void grant(size_t pile, const struct ap3000_decision *d)
{
    const struct ap3000_wish w =
        d->wish_count == 0 ? (struct ap3000_wish){0} : d->wishes[dice((unsigned)d->wish_count)];
    char tag[TAG_SIZE_MAX];
    if (d->wish_count == 0 || dice(4) == 0)
        return;
    (void)str_copy(tag, sizeof tag, w.id_tag);
    size_t before = told_count;
    if (w.kind == AP3000_WISH_START)
        start(pile, w.port, str_of(tag));
    if (told_count > before)
        swiped[pile].ordered_at = k->now;
    if (w.kind == AP3000_WISH_STOP)
        stop(pile, w.transaction_id);
}

static inline bool is_answered(const struct answered *a, size_t pile, struct bytes payload)
{
    size_t len = payload.len < SIGNIFICANT ? payload.len : SIGNIFICANT;
    return a->pile == pile && a->len == payload.len && memcmp(a->payload, payload.at, len) == 0;
}

static inline void note_answer(size_t pile)
{
    struct bytes p = k->frame.payload;
    size_t kept = 0, i = 0;
    for (size_t n = 0; n < k->decision.event_count; n++)
        kept +=
            k->decision.events[n].type == EVENT_TRANSACTION_STOPPED || k->decision.events[n].type == EVENT_QUARANTINED;
    CHECK("a settlement is answered when it is stored", k->decision.has_answer && k->decision.waits_for_disk);
    CHECK("it is stored once", kept == (k->decision.is_repeat ? 0 : 1));
    while (i < answered_count && !is_answered(&answered[i], pile, p))
        i++;
    CHECK("a repeat is one of what was answered", !k->decision.is_repeat || i < answered_count);
    if (i == answered_count) {
        check(answered_count < ANSWERED_MAX);
        answered[answered_count++] = (struct answered){.pile = pile, .len = p.len};
        memcpy(answered[i].payload, p.at, p.len);
    }
    answered[i].is_held = k->stations[pile].registration != REGISTRATION_ACCEPTED;
}

/* 3.3: within a minute it is the same one. */
static inline void note_swipe(size_t pile)
{
    struct instant ordered = swiped[pile].ordered_at;
    bool has_order = instant_is_set(ordered) && instant_since(k->now, ordered).us <= SPAN_S(PILE_REPEAT_S).us;
    for (size_t i = 0; i < k->decision.wish_count; i++)
        CHECK("one swipe, one order", !has_order || k->decision.wishes[i].kind != AP3000_WISH_START);
}

static inline void say_as(size_t pile, uint16_t message_id, uint8_t command, const uint8_t *payload, size_t len)
{
    struct ap3000_known known;
    kit_begin(k);
    memcpy(k->bytes, payload, len);
    k->message_id = message_id;
    k->frame = (struct ap3000_frame){.physical_id = k->piles[pile]->physical_id,
                                     .message_id = k->message_id,
                                     .command = command,
                                     .payload = {k->bytes, len}};
    kit_put_frame(&k->frame, &k->frame_text);
    struct ap3000_input in = input(pile);
    ap3000_frame_open(&in, &k->frame, &k->arena, &k->reading);
    look_up(pile, &known);
    ap3000_frame_decide(&in, &k->reading, &known, &k->arena, &k->text, &k->decision);
    k->is_new_line[pile] = false;
    is_stale[pile] = k->stations[pile].registration != REGISTRATION_ACCEPTED;
    append(pile);
    if (command == 0x03)
        note_answer(pile);
    if (command == 0x02)
        note_swipe(pile);
    grant(pile, &k->decision);
}

static inline void say(size_t pile, uint8_t command, const uint8_t *payload, size_t len)
{
    say_as(pile, (uint16_t)(dice(4) == 0 ? k->message_id : dice(UINT16_MAX)), command, payload, len);
}

static inline void say_who(size_t pile)
{
    const uint8_t old[20] = {
        (uint8_t)(100 + dice(2)), 0, 0x98, 8, 2, (uint8_t)dice(6), (uint8_t)dice(6), [17] = (uint8_t)(0x20 + dice(2)),
        [19] = (uint8_t)dice(2)};
    const uint8_t registration[] = {(uint8_t)(100 + dice(2)),  2,
                                    (uint8_t)(2 + dice(3)),    (uint8_t)dice(2),
                                    (uint8_t)(0x20 + dice(3)), (uint8_t)dice(2),
                                    (uint8_t)(1 + dice(2)),    1};
    const uint8_t host[] = {(uint8_t)(10 + dice(2)), 0, 0, 0, 0, 0, 0, 20, 1};
    static const uint8_t doors[9] = {12, 5};
    static const size_t old_sizes[] = {15, 18, 20};
    if (dice(100) == 0)
        say(pile, 0x41, doors, sizeof doors);
    else if (dice(8) == 0)
        say(pile, 0x11, host, sizeof host);
    else if (is_legacy[pile])
        say(pile, 0x01, old, old_sizes[dice(2) == 0 ? 0 : dice(3)]);
    else
        say(pile, 0x20, registration, dice(3) == 0 ? 5 : sizeof registration);
}

static inline void say_beat(size_t pile)
{
    static const uint8_t codes[] = {0, 0, 0, 1, 1, 2, 3, 5, 9, 0x0A, 0x77};
    const uint8_t beat[] = {0x98, 8, 2, codes[dice(COUNT_OF(codes))], codes[dice(COUNT_OF(codes))]};
    if (is_legacy[pile])
        say_who(pile);
    else
        say(pile, 0x21, beat, sizeof beat);
}

static inline void swipe(size_t pile)
{
    static const uint8_t cards[][4] = {{0x7A, 0x8D, 5, 0xDD}, {0x0A, 0x0B, 0x0C, 0x0D}, {0xB1, 0x0C, 0xCE, 0xD0}};
    struct swiped *w = &swiped[pile];
    if (dice(2) == 0) { /* else it is said again */
        *w = (struct swiped){.message_id = (uint16_t)dice(UINT16_MAX), .ordered_at = INSTANT_NONE};
        memcpy(w->payload, cards[dice(COUNT_OF(cards))], 4);
        w->payload[5] = dice(8) == 0 ? PILE_PORT_NONE : (uint8_t)dice(2);
    }
    say_as(pile, w->message_id, 0x02, w->payload, sizeof w->payload);
}

/* --- frames that name an order --- */

struct named {
    uint8_t no[AP3000_ORDER_SIZE], start_mode, port, card[4];
};

/* clang-format off */
static const struct {
    struct named n;
    uint8_t varied_at, varied; /* that byte of its number has so many values */
} own_forms[] = {
    {{{0x20, 0x26, 3, 1, 0x15, 0x50, 0x10, 0x7A, 0x8D, 5, 0xDD, 0x13, 0x54, 0x40, 0, 0x31}, 0, 1, {0x7A, 0x8D, 5, 0xDD}}, 6, 8},
    {{{0x20, 0x26, 3, 1, 0x15, 0x50, 0x20, 0x7A, 0x8D, 5, 0xDD, 0x13, 0x54, 0x40, 0, 0x30}, 0, 0, {0x7A, 0x8D, 5, 0xDD}}, 6, 8},
    {{{0x20, 0x26, 3, 1, 0x15, 0x50, 0x30, 0, 5, 0x43, 0x58, 0x13, 0x54, 0x40, 0, 0x71},    3, 1, {0}},                   6, 8},
    {{{0x11, 0x22, 0x33, 0x44},                                                             0, 0, {10, 11, 12, 13}},      4, 8}, /* of an older make */
    {{{0x19, 0x70, 1, 1, 8, 1, 0x30, 0x7A, 0x8D, 5, 0xDD, 0x13, 0x54, 0x40, 0, 0x31},       0, 1, {0x7A, 0x8D, 5, 0xDD}}, 6, 2}, /* they repeat */
    {{{0x19, 0x70, 1, 1, 8, 1, 0x30, 0x7A, 0x8D, 5, 0xDD, 0x13, 0x54, 0x40, 0, 0x30},       0, 0, {0x7A, 0x8D, 5, 0xDD}}, 6, 2},
    {{{0},                                                                                  0, 0, {0x7A, 0x8D, 5, 0xDD}}, 0, 1},
    {{{0xA5, 1, 2, 3},                                                                      1, 1, {0}},                   8, 4}, /* nobody gave it */
};
/* clang-format on */

static inline struct named own_order(void)
{
    size_t form = dice(COUNT_OF(own_forms));
    struct named n = own_forms[form].n;
    uint8_t *varied = &n.no[own_forms[form].varied_at];
    *varied = (uint8_t)(*varied + dice(own_forms[form].varied));
    return n;
}

/* One of ours that the pile was sent: of the last ones, or of any time. */
static inline bool our_order(size_t pile, struct named *out)
{
    const struct told *found = NULL;
    unsigned skip = dice(3) > 0 ? dice(3) : dice(40);
    for (size_t i = told_count; i-- > 0;) {
        if (told[i].pile != pile || !told[i].is_ours)
            continue;
        found = &told[i];
        if (skip-- == 0)
            break;
    }
    if (found == NULL)
        return false;
    *out = (struct named){.start_mode = 1, .port = found->port == PILE_PORT_NONE ? (uint8_t)dice(2) : found->port};
    memcpy(out->no, found->no, sizeof out->no);
    return true;
}

static inline struct named any_order(size_t pile)
{
    struct named n;
    if (dice(40) == 0) { /* one that we gave, and lost with the end of the log: no other comes to its number */
        n = (struct named){.start_mode = 1, .port = (uint8_t)dice(2)};
        lost_count += lost_count == 0 || dice(2) == 0;
        order_no_make(kit_key, kit_ids[lost_count % KIT_PILES], LOST_STEP * lost_count, n.no);
    } else if (dice(3) == 0 || !our_order(pile, &n)) {
        n = own_order();
    }
    return n;
}

static inline void say_of_order(size_t pile)
{
    static const struct {
        uint8_t command, size, port_at, mode_at, order_at;
    } forms[] = {
        {0x06, 31, 0, 6, 15}, {0x06, 31, 0, 6, 15}, {0x04, 24, 0, 1, 8}, {0x43, 29, 6, 7, 13}, {0x44, 18, 1, 18, 2}};
    size_t form = dice(COUNT_OF(forms));
    uint8_t payload[40] = {0};
    struct named n = any_order(pile);
    payload[forms[form].mode_at] = n.start_mode;
    payload[forms[form].port_at] = n.port;
    memcpy(payload + forms[form].order_at, n.no, sizeof n.no);
    if (forms[form].command == 0x04)
        memcpy(payload + 2, n.card, sizeof n.card);
    if (forms[form].command == 0x06) {
        static const uint8_t states[] = {1, 1, 1, 3, 5};
        payload[1] = states[dice(COUNT_OF(states))];
        payload[2] = (uint8_t)dice(256); /* seconds that it has run */
        payload[4] = (uint8_t)dice(4);
    }
    say(pile, forms[form].command, payload, forms[form].size);
}

/* All of it follows from the order and the energy: what has other content has other energy. */
static inline void say_settlement(size_t pile)
{
    struct named n = any_order(pile);
    unsigned port = (dice(8) == 0 ? 1u - n.port : n.port) & 1u, energy = (dice(3) > 0 ? 2 : 2 + 2 * dice(6)) + port;
    static const size_t sizes[] = {37, 29, 31};
    uint8_t payload[37] = {0};
    le_put(payload, 2, 600 + energy * 60);
    le_put(payload + 2, 2, 1000 + energy);
    le_put(payload + 4, 2, energy);
    payload[6] = (uint8_t)port;
    payload[7] = n.start_mode;
    memcpy(payload + 8, n.card, sizeof n.card);
    payload[12] = (uint8_t)(energy + 3);
    memcpy(payload + 13, n.no, sizeof n.no);
    le_put(payload + 29, 2, 900 + energy);
    le_put(payload + 31, 4, dice(INT32_MAX)); /* its clock may have moved on */
    say(pile, 0x03, payload, dice(40) == 0 ? dice(SIGNIFICANT) : sizes[energy % COUNT_OF(sizes)]);
}

static inline void say_settlement_again(size_t pile)
{
    if (answered_count == 0)
        return;
    const struct answered *a = &answered[answered_count - 1 -
                                         dice(dice(3) == 0         ? (unsigned)answered_count
                                              : answered_count < 6 ? (unsigned)answered_count
                                                                   : 6)];
    if (a->pile == pile)
        say(pile, 0x03, a->payload, a->len);
}

/* --- people --- */

static inline void close_order(size_t pile)
{
    struct ap3000_pile *p = k->piles[pile];
    if (p->order_count == 0 || dice(3) > 0)
        return;
    struct pile_order *o = &p->orders[dice((unsigned)p->order_count)];
    kit_begin(k);
    struct ap3000_input in = input(pile);
    bool is_open = order_state_is_open(o->state);
    CHECK("an open order may be closed",
          (ap3000_close_order(&in, o, &k->arena, &k->text, &k->decision) == OK) == is_open);
    if (!is_open)
        k->decision.event_count = 0;
    append(pile);
}

/* A person holds a pile back, and lets it go on. */
static inline void hold(size_t pile)
{
    bool is_held = k->stations[pile].registration != REGISTRATION_ACCEPTED;
    if (!k->stations[pile].has_booted || (!is_held && dice(6) > 0))
        return;
    enum registration to = is_held ? REGISTRATION_ACCEPTED : REGISTRATION_PENDING;
    batch_write();
    k->stations[pile].registration = to;
    CHECK("a person's word is kept",
          DB_RUN(db, "UPDATE charge_points SET registration = ?2 WHERE charge_point_id = ?1",
                 db_text(str_of(k->stations[pile].id)), db_text(registration_text(to))) == OK);
    is_stale[pile] = true;
}

/* --- whatever comes next --- */

static inline void step(size_t pile)
{
    static void (*const steps[])(size_t pile) = {
        say_who,        say_beat,       say_beat,      swipe,         say_of_order,         say_of_order, say_of_order,
        say_settlement, say_settlement, go_on_talking, go_on_talking, say_settlement_again, close_order,  hold};
    unsigned which = dice(COUNT_OF(steps) + 2);
    /* Now and then to another block of orders. */
    k->now = instant_add(k->now, SPAN_S(dice(100) == 0 ? 9 * 3600 : dice(12) == 0 ? 700 : 1 + (int64_t)dice(20)));
    if (which < COUNT_OF(steps))
        steps[which](pile);
    else if (which == COUNT_OF(steps))
        start(pile, dice(5) == 0 ? PILE_PORT_NONE : (uint8_t)dice(2), STR("7A8D05DD"));
    else if (k->piles[pile]->order_count > 0)
        stop(pile, k->piles[pile]->orders[dice((unsigned)k->piles[pile]->order_count)].id);
}

/* kit_free() ends it. */
static inline void world_begin(uint64_t seed)
{
    dice_state = seed;
    k = kit_new();
    k->policy.has_quarantine_room = true;
    position = told_count = answered_count = lost_count = 0;
    for (size_t i = 0; i < KIT_PILES; i++) {
        k->stations[i].registration = REGISTRATION_UNKNOWN;
        k->is_new_line[i] = true;
        is_legacy[i] = dice(3) == 0;
        is_stale[i] = talking[i].is_on = false;
        swiped[i] = (struct swiped){.ordered_at = INSTANT_NONE};
        sequences[i] = 0;
    }
}
#endif
