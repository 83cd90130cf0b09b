/* A byte string drives the lives of two piles: frames of any kind, orders placed and carried on, time that passes, new
 * lines, restarts, tables that are behind, people. After each step: every event is read back by its own table and
 * numbered without a gap; a transaction starts once and stops once (once more where only an operator had closed it),
 * and never stops before it starts; what is settled stays settled; an answered settlement left one stop or one entry in
 * quarantine, or repeats one that did; the counts of tags are those of the orders that are open, and end at zero. */
/* covers: src/proto/ap3000/decide.c src/proto/ap3000/life.c src/proto/ap3000/pile.c src/proto/ap3000/step*.c src/proto/ap3000/on_*.c */
#include "unit/proto_ap3000/pilekit_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX  400
#define ANSWERED   512 /* settlements that are remembered */
#define ORDERS_MAX 1024
#define LOST       UINT64_C(1000000) /* numbers of orders that we gave in another life */
#define LOST_STEP  (2 * UINT64_C(500))

struct seen {
    uint32_t id;
    uint8_t starts, stops, closes;
    bool is_settled;
};
struct world {
    struct kit *k;
    const uint8_t *at, *end;
    uint8_t *payload; /* of the last frame */
    struct seen orders[ORDERS_MAX];
    size_t order_count;
    uint64_t answered[ANSWERED]; /* content keys */
    size_t answered_count;
};

static uint8_t take(struct world *w)
{
    return w->at < w->end ? *w->at++ : 0;
}

static struct seen *seen_of(struct world *w, struct str id_text)
{
    int64_t id = 0;
    check(str_to_int(id_text, &id) == OK && id > 0);
    for (size_t i = 0; i < w->order_count; i++)
        if (w->orders[i].id == (uint32_t)id)
            return &w->orders[i];
    check(w->order_count < ORDERS_MAX);
    w->orders[w->order_count] = (struct seen){.id = (uint32_t)id};
    return &w->orders[w->order_count++];
}

static bool has_flag(struct str_list flags, struct str flag)
{
    for (size_t i = 0; i < flags.count; i++)
        if (str_eq(flags.at[i], flag))
            return true;
    return false;
}

static void check_stopped(struct world *w, const struct ev_transaction_stopped *p)
{
    struct seen *o = seen_of(w, p->transaction_id);
    bool is_close = has_flag(p->flags, STR("closed_by_operator"));
    check(o->starts == 1);
    check(is_close ? o->stops == 0 && o->closes == 0 : o->stops == 0);
    check(has_flag(p->flags, STR("overrides_operator")) == (!is_close && o->closes == 1));
    check(p->energy_wh.value >= 0 && p->meter_stop_wh.value == p->energy_wh.value);
    o->closes = (uint8_t)(o->closes + is_close);
    o->stops = (uint8_t)(o->stops + !is_close);
}

static void check_order(struct world *w, const struct ev_order *p)
{
    struct seen *o = seen_of(w, p->transaction_id);
    bool is_settled = str_eq(p->state, STR("settled"));
    check(order_state_find(p->state) >= 0);
    check(!o->is_settled || is_settled);
    o->is_settled = is_settled;
}

static void check_events(struct world *w, uint64_t sequence)
{
    const struct ap3000_decision *d = &w->k->decision;
    struct arena a;
    arena_init(&a, KIT_ARENA_MAX);
    for (size_t i = 0; i < d->event_count; i++) {
        const struct event *e = &d->events[i];
        struct fault why;
        void *payload = arena_take(&a, event_kinds[e->type].payload->size + 1);
        check(json_check(e->payload, &why) == OK);
        check(event_read_payload(e, &a, payload, &why) == OK);
        check(e->sequence == (event_kinds[e->type].is_published ? ++sequence : 0));
        check((e->frame.at != NULL) == (i + 1 == d->event_count && w->k->frame_text.len > 0));
        if (e->type == EVENT_TRANSACTION_STARTED)
            check(++seen_of(w, ((const struct ev_transaction_started *)payload)->transaction_id)->starts == 1);
        if (e->type == EVENT_TRANSACTION_STOPPED)
            check_stopped(w, payload);
        if (e->type == EVENT_ORDER)
            check_order(w, payload);
    }
    arena_release(&a);
}

/* Of every tag that an open order has, and of those that none has any more. */
static void check_tags(const struct world *w, const char *tag)
{
    char key[TAG_SIZE_MAX], other[TAG_SIZE_MAX];
    int want = 0;
    size_t len = tag_key(str_of(tag), key);
    for (size_t pile = 0; pile < KIT_PILES; pile++)
        for (size_t i = 0; i < w->k->piles[pile]->order_count; i++) {
            const struct pile_order *o = &w->k->piles[pile]->orders[i];
            bool is_same = tag_key(str_of(o->id_tag), other) == len && memcmp(key, other, len) == 0;
            want += is_same && len > 0 && order_state_is_open(o->state);
        }
    check(tag_book_count(w->k->tags, str_of(tag)) == want);
}

static void check_memory(const struct world *w, size_t pile)
{
    const struct ap3000_pile *p = w->k->piles[pile];
    check(pile_open_count(p) <= PILE_ORDERS_MAX);
    for (size_t i = 0; i < p->order_count; i++) {
        const struct pile_order *o = &p->orders[i];
        check(o->id != 0 && o->number != 0 && o->key[0] != 0);
        check(!(o->is_told && o->state == ORDER_NEW));
        check(o->state != ORDER_SETTLED || o->is_told);
        check_tags(w, o->id_tag);
        for (size_t n = 0; n < i; n++)
            check(p->orders[n].id != o->id && strcmp(p->orders[n].key, o->key) != 0);
    }
}

/* What makes two settlements one: all but message id, clock and bytes that are no field. */
static uint64_t content_of(const struct ap3000_frame *f)
{
    uint8_t payload[40];
    size_t len = f->payload.len < 31 ? f->payload.len < 29 ? f->payload.len : 29 : 31;
    struct buf hex;
    memcpy(payload, f->payload.at, len);
    if (f->payload.len >= 37) {
        memcpy(payload + len, f->payload.at + 35, 2);
        len += 2;
    }
    struct ap3000_frame same = *f;
    same.payload = (struct bytes){payload, len};
    buf_init(&hex, KIT_TEXT_MAX);
    kit_put_frame(&same, &hex);
    uint64_t key = ap3000_content_key(buf_str(&hex));
    buf_release(&hex);
    return key;
}

static void note_answered(struct world *w)
{
    w->answered[w->answered_count++ % ANSWERED] = content_of(&w->k->frame);
}

/* 10.4: answered means stored, once. */
static void check_settlement(struct world *w)
{
    const struct ap3000_decision *d = &w->k->decision;
    uint64_t content = content_of(&w->k->frame);
    size_t kept = 0;
    bool was_answered = false;
    for (size_t i = 0; i < d->event_count; i++)
        kept += d->events[i].type == EVENT_TRANSACTION_STOPPED || d->events[i].type == EVENT_QUARANTINED;
    for (size_t i = 0; i < w->answered_count && i < ANSWERED; i++)
        was_answered = was_answered || w->answered[i] == content;
    if (!d->has_answer) {
        check(kept == 0);
        return;
    }
    check(d->waits_for_disk && kept == (d->is_repeat ? 0 : 1));
    check(!d->is_repeat || was_answered);
    note_answered(w);
}

static void say(struct world *w, size_t pile, uint8_t command, const uint8_t *payload, size_t len)
{
    struct kit *k = w->k;
    uint64_t sequence = k->stations[pile].sequence;
    free(w->payload);
    w->payload = mem_new(1, len + 1); /* of its own, so that the sanitizer sees the very end */
    memcpy(w->payload, payload, len);
    kit_frame(k, pile,
              &(struct ap3000_frame){.message_id = k->message_id, .command = command, .payload = {w->payload, len}});
    check_events(w, sequence);
    if (command == 0x03)
        check_settlement(w);
    if (command == 0x12 || command == 0x20 || command == 0x21 || command == 0x22)
        check(k->decision.has_answer && !k->decision.waits_for_disk);
    check_memory(w, pile);
}

/* --- steps --- */

/* The number of that order: only its own pile was ever told it, and nothing else has its transaction's number. */
static bool is_placed(const struct world *w, size_t pile, uint64_t number)
{
    uint8_t no[AP3000_ORDER_SIZE];
    order_no_make(kit_key, kit_ids[pile], number, no);
    for (size_t i = 0; i < w->k->row_count; i++)
        if (w->k->rows[i].pile == pile && memcmp(w->k->rows[i].order.no, no, sizeof no) == 0)
            return true;
    return false;
}

static void put_order_no(struct world *w, size_t pile, uint8_t *out)
{
    static const uint8_t own[][AP3000_ORDER_SIZE] = {
        {0x20, 0x26, 0x03, 0x01, 0x15, 0x50, 0x30, 0x7A, 0x8D, 0x05, 0xDD, 0x13, 0x54, 0x40, 0x00, 0x31},
        {0x20, 0x26, 0x03, 0x01, 0x15, 0x50, 0x30, 0x00, 0x05, 0x43, 0x58, 0x13, 0x54, 0x40, 0x00, 0x71},
        {0x19, 0x70, 0x01, 0x01, 0x08, 0x01, 0x30, 0x7A, 0x8D, 0x05, 0xDD, 0x13, 0x54, 0x40, 0x00, 0x31},
        {0},
        {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
    };
    uint8_t which = take(w);
    if (which < COUNT_OF(own))
        memcpy(out, own[which], AP3000_ORDER_SIZE);
    else if (which < 0xC0 && is_placed(w, pile, which - COUNT_OF(own) + 1))
        order_no_make(kit_key, kit_ids[pile], which - COUNT_OF(own) + 1, out);
    else if (which >= 0xC0 && which < 0xF0) /* lost: so far apart that no other order comes to their numbers */
        order_no_make(kit_key, kit_ids[pile], LOST + LOST_STEP * which + LOST_STEP / 2 * pile, out);
    else
        memset(out, which, AP3000_ORDER_SIZE); /* nobody's, but that of mode 0 or 3 */
}

/* 0x03, 0x04, 0x06, 0x43, 0x44 of an order that is likely to be known. */
static void say_of_order(struct world *w, size_t pile)
{
    static const struct {
        uint8_t command, order_at, size, most;
    } forms[] = {{0x03, 13, 29, 37}, {0x06, 15, 31, 47}, {0x04, 8, 24, 24}, {0x43, 13, 29, 29}, {0x44, 2, 18, 18}};
    uint8_t payload[64] = {0}, head = take(w);
    size_t form = (head & 15) % COUNT_OF(forms), fields = head >> 4;
    put_order_no(w, pile, payload + forms[form].order_at);
    for (size_t i = 0; i < fields; i++) { /* so many of its bytes */
        uint8_t at = take(w);
        bool is_number = at >= forms[form].order_at && at < forms[form].order_at + AP3000_ORDER_SIZE;
        if (at < forms[form].most && !is_number)
            payload[at] = take(w);
    }
    uint8_t more = take(w);
    size_t size = (size_t)forms[form].size + (more < 16 ? more : 0);
    say(w, pile, forms[form].command, payload, size < forms[form].most ? size : forms[form].most);
}

static void say_anything(struct world *w, size_t pile)
{
    uint8_t command = take(w), len = take(w);
    size_t left = (size_t)(w->end - w->at), size = len < left ? len : left;
    const uint8_t *payload = w->at;
    w->at += size;
    say(w, pile, command, payload, size);
}

static void say_beat(struct world *w, size_t pile)
{
    uint8_t both = take(w);
    const uint8_t beat[] = {0x98, 0x08, 2, both & 15, both >> 4};
    say(w, pile, 0x21, beat, sizeof beat);
}

static void do_place(struct world *w, size_t pile)
{
    static const char *const tags[] = {"7A8D05DD", "0A0B0C0D", ""};
    uint8_t how = take(w);
    uint64_t sequence = w->k->stations[pile].sequence;
    (void)kit_place(w->k, pile, (how & 7) == 7 ? PILE_PORT_NONE : how & 1, str_of(tags[(how >> 3) % COUNT_OF(tags)]));
    check_events(w, sequence);
    check_memory(w, pile);
}

static void do_input(struct world *w, size_t pile)
{
    uint8_t number = take(w), input = take(w);
    uint64_t sequence = w->k->stations[pile].sequence;
    if (input % ORDER_INPUT_COUNT == ORDER_IN_SETTLED)
        return; /* only a settlement is one, and only with its stop */
    (void)kit_order(w->k, pile, number + 1u, (enum order_input)(input % ORDER_INPUT_COUNT));
    check_events(w, sequence);
    check_memory(w, pile);
}

static void do_close(struct world *w, size_t pile, struct pile_order *o)
{
    uint64_t sequence = w->k->stations[pile].sequence;
    kit_begin(w->k);
    struct ap3000_input in = kit_input(w->k, pile);
    enum err e = ap3000_close_order(&in, o, &w->k->arena, &w->k->text, &w->k->decision);
    check(e == OK || !order_state_is_open(o->state));
    kit_keep_rows(w->k, pile);
    check_events(w, sequence);
}

static void do_apply(struct world *w, size_t pile)
{
    struct kit *k = w->k;
    uint64_t sequence = k->stations[pile].sequence;
    struct ap3000_reading r = {0};
    struct buf hex;
    if (k->frame.command != 0x03 || k->frame.physical_id != kit_ids[pile] || k->frame_text.len == 0)
        return; /* the frame before was none */
    buf_init(&hex, KIT_TEXT_MAX);
    buf_put_str(&hex, buf_str(&k->frame_text));
    kit_begin(k);
    if (ap3000_settlement_key(buf_str(&hex), &k->arena, r.wants_order) == OK) {
        struct ap3000_known known = kit_look_up(k, pile, &r);
        struct ap3000_input in = kit_input(k, pile);
        if (ap3000_apply_settlement(&in, buf_str(&hex), &known, &k->arena, &k->text, &k->decision) == OK)
            check_events(w, sequence);
        note_answered(w); /* as if: it is settled now */
        kit_keep_rows(k, pile);
    }
    buf_release(&hex);
    check_memory(w, pile);
}

static void do_other(struct world *w, size_t pile)
{
    struct kit *k = w->k;
    uint8_t what = take(w);
    struct ap3000_pile *p = k->piles[pile];
    switch (what % 8) {
    case 0:
        k->is_new_line[pile] = true;
        break;
    case 1:
        k->is_lagging = !k->is_lagging;
        break;
    case 2:
        k->stations[pile].registration = (enum registration)(what >> 3 & 3);
        break;
    case 3:
        k->policy.has_quarantine_room = (what & 8) != 0;
        k->policy.accepts_unknown_tags = (what & 16) != 0;
        k->policy.max_concurrent = (what & 32) != 0;
        k->policy.heartbeat_events = (what & 64) != 0;
        break;
    case 4:
        if (p->order_count > 0)
            do_close(w, pile, &p->orders[(what >> 3) % p->order_count]);
        break;
    case 5:
        do_apply(w, pile);
        break;
    case 6:
        if (p->order_count > 0)
            p->orders[(what >> 3) % p->order_count].is_cancelled = true;
        break;
    default: /* a restart of ours: what is only in memory is gone */
        p->recent_count = 0;
        p->told_facts = 0;
        k->is_new_line[pile] = true;
        break;
    }
}

static void step(struct world *w)
{
    static void (*const steps[])(struct world *, size_t) = {say_of_order, say_beat,     do_place,    do_input,
                                                            do_other,     say_of_order, say_anything};
    uint8_t op = take(w);
    size_t pile = op >> 7;
    w->k->message_id = (uint16_t)(w->k->message_id + (op >> 4 & 1));
    if (op & 32)
        w->k->now = instant_add(w->k->now, SPAN_S((int64_t)take(w) * 16));
    steps[(op & 15) % COUNT_OF(steps)](w, pile);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = mem_new(1, sizeof *w);
    w->k = kit_new();
    w->at = data;
    w->end = data + size;
    for (int i = 0; i < STEPS_MAX && w->at < w->end; i++)
        step(w);
    for (size_t pile = 0; pile < KIT_PILES; pile++)
        for (size_t i = 0; i < w->k->piles[pile]->order_count; i++)
            if (order_state_is_open(w->k->piles[pile]->orders[i].state))
                do_close(w, pile, &w->k->piles[pile]->orders[i]);
    for (size_t i = 0; i < COUNT_OF(kit_tags); i++)
        check(tag_book_count(w->k->tags, str_of(kit_tags[i].key)) == 0);
    kit_free(w->k);
    free(w->payload);
    free(w);
    return 0;
}
