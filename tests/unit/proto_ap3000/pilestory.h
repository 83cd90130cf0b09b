/* pilestory.h - tests as short stories of one or two piles: what comes in, the answer, the events and wishes that
 * follow.
 *
 * A step is a frame (pilekit_core.h), of pile B after "B ", or one of these:
 *     at <seconds>, connect, iccid <text>, bind <text>, host <text>, fallback, accept, full, restart, forget, lag
 *     place <port> <tag>, <input> $<n>, port $<n> <port>, cancel $<n>, close $<n>, apply <frame>
 * Expected: the payload of the answer in hexadecimal, with " held" if it waits for the disk, and " again" if it is a
 * repeat; NULL none; then the events and wishes, one a line. ' is ", * any text, $n the id of the transaction number n,
 * %n its order number. */
#ifndef TESTS_PILESTORY_H
#define TESTS_PILESTORY_H
#include "check.h"
#include "pilekit_core.h"

#define STEPS_MAX 12

struct told {
    const char *call, *answer, *events;
};
struct story {
    const char *row;
    unsigned setup;
    struct told steps[STEPS_MAX];
};
/* clang-format off */
enum setup {
    IS_PENDING = 1,
    IS_REJECTED = 2,
    IS_UNKNOWN = 4,
    HOLD_UNKNOWN = 8,  /* policy: unknown piles wait */
    TAKE_TAGS = 16,    /* policy: unknown tags are accepted */
    BEAT_EVENTS = 32,
    ONE_EACH = 64,     /* policy: a tag has at most one transaction */
    HAS_ROOM = 128,    /* policy: settlements of who is not accepted are kept */
    IS_NEW = 256,      /* nothing was said before; else it is on its line, of two ports, idle */
};
/* clang-format on */

/* * stands for any text. */
static inline bool story_is_like(const char *text, size_t len, const char *pattern, size_t pattern_len)
{
    size_t t = 0, p = 0, star = SIZE_MAX, back = 0;
    while (t < len) {
        if (p < pattern_len && pattern[p] == '*') {
            star = p++;
            back = t;
        } else if (p < pattern_len && pattern[p] == text[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++back;
        } else {
            return false;
        }
    }
    while (p < pattern_len && pattern[p] == '*')
        p++;
    return p == pattern_len;
}

static inline void story_put_pattern(struct buf *out, const char *pattern)
{
    char no[ORDER_KEY_SIZE];
    for (const char *p = pattern; *p != 0; p++) {
        bool has_number = p[1] >= '1' && p[1] <= '9';
        if (*p == '\'') {
            buf_put_byte(out, '"');
        } else if (*p == '$' && has_number) {
            buf_put_int(out, permute31(kit_key, (uint32_t)(*++p - '0')));
        } else if (*p == '%' && has_number) {
            kit_order_no(kit_ids[0], (uint64_t)(*++p - '0'), no);
            buf_put_str(out, str_of(no));
        } else {
            buf_put_byte(out, (uint8_t)*p);
        }
    }
}

static inline void story_compare(const char *row, size_t step, const char *what, const struct buf *got,
                                 const char *want)
{
    struct buf pattern;
    buf_init(&pattern, KIT_TEXT_MAX);
    story_put_pattern(&pattern, want);
    bool is_same = story_is_like((const char *)got->at, got->len, (const char *)pattern.at, pattern.len);
    if (!is_same)
        (void)fprintf(stderr, "step %zu, %s:\n  got  %.*s\n  want %.*s\n", step + 1, what, (int)got->len,
                      got->len == 0 ? "" : (const char *)got->at, (int)pattern.len,
                      pattern.len == 0 ? "" : (const char *)pattern.at);
    CHECK(row, is_same);
    buf_release(&pattern);
}

/* Every event is readable by its own schema, numbered without a gap, and the last carries frame and answer. */
static inline void story_check_events(const char *row, struct kit *k, uint64_t sequence)
{
    const struct ap3000_decision *d = &k->decision;
    struct arena a;
    struct buf answer;
    arena_init(&a, KIT_ARENA_MAX);
    buf_init(&answer, KIT_TEXT_MAX);
    kit_put_hex(&answer, (struct bytes){d->answer, d->answer_len});
    for (size_t i = 0; i < d->event_count; i++) {
        const struct event *e = &d->events[i];
        struct fault why;
        void *payload = arena_take(&a, event_kinds[e->type].payload->size + 1);
        CHECK(row, event_read_payload(e, &a, payload, &why) == OK);
        CHECK(row, e->sequence == (event_kinds[e->type].is_published ? ++sequence : 0));
        CHECK(row, e->received.us == k->now.us);
        bool is_last = i + 1 == d->event_count;
        bool has_frame = is_last && k->frame_text.len > 0, has_answer = is_last && d->has_answer;
        CHECK(row, str_eq(e->frame, has_frame ? buf_str(&k->frame_text) : (struct str){NULL, 0}));
        CHECK(row, str_eq(e->answer, has_answer ? buf_str(&answer) : (struct str){NULL, 0}));
    }
    buf_release(&answer);
    arena_release(&a);
}

static inline void story_put_answer(const char *row, const struct kit *k, struct buf *out)
{
    const struct ap3000_decision *d = &k->decision;
    struct ap3000_frame f;
    size_t size;
    bool is_frame = ap3000_frame_read((struct bytes){d->answer, d->answer_len}, &f, &size, NULL) == OK;
    CHECK(row, is_frame && size == d->answer_len);
    if (!is_frame)
        return;
    CHECK(row, f.physical_id == k->frame.physical_id && f.message_id == k->frame.message_id);
    CHECK(row, f.command == k->frame.command);
    kit_put_hex(out, f.payload);
    buf_put_str(out, str_of(d->waits_for_disk ? " held" : ""));
    buf_put_str(out, str_of(d->is_repeat ? " again" : ""));
}

static inline void story_put_events(const struct kit *k, struct buf *out)
{
    static const char *const wishes[] = {"status", "start", "stop", "fsk", "firmware"};
    const struct ap3000_decision *d = &k->decision;
    for (size_t i = 0; i < d->event_count; i++) {
        const struct event *e = &d->events[i];
        buf_printf(out, "%s%.*s ", out->len == 0 ? "" : "\n", STR_ARG(event_kinds[e->type].wire));
        buf_put_str(out, e->payload);
        if (instant_is_set(e->device_time)) {
            buf_put_lit(out, " ");
            buf_put_instant(out, e->device_time);
        }
    }
    for (size_t i = 0; i < d->wish_count; i++) {
        const struct ap3000_wish *w = &d->wishes[i];
        buf_printf(out, "%swish %s", out->len == 0 ? "" : "\n", wishes[w->kind]);
        if (w->kind == AP3000_WISH_START)
            buf_printf(out, " %u %.*s", (unsigned)w->port, STR_ARG(w->id_tag));
        if (w->kind == AP3000_WISH_STOP)
            buf_printf(out, " %u %u", (unsigned)w->port, (unsigned)w->transaction_id);
    }
}

/* --- steps that are no frames --- */

static const char *const story_inputs[ORDER_INPUT_COUNT] = {
    "sent",      "done",      "refused",     "fault",    "unsure",  "seen",    "not_seen",
    "stop_sent", "stop_done", "stop_failed", "finished", "settled", "not_sent"};

static inline struct pile_order *story_order(struct kit *k, struct str text)
{
    const char *at = memchr(text.at, '$', text.len);
    check(at != NULL);
    return pile_order_of(k->piles[0], permute31(kit_key, (uint32_t)(at[1] - '0')));
}

/* What has no row says so in place of an answer. */
static inline bool story_input(struct kit *k, struct str call, struct buf *got)
{
    for (size_t i = 0; i < ORDER_INPUT_COUNT; i++) {
        size_t len = strlen(story_inputs[i]);
        if (call.len != len + 3 || !str_starts(call, str_of(story_inputs[i])) || call.at[len] != ' ')
            continue;
        enum err e = kit_order(k, 0, (uint64_t)(call.at[len + 2] - '0'), (enum order_input)i);
        if (e != OK)
            buf_put_str(got, e == ERR_STATE ? STR("ERR_STATE") : STR("ERR_UNKNOWN"));
        return true;
    }
    return false;
}

static inline void story_person(struct kit *k, struct str call, struct buf *got)
{
    struct ap3000_input in;
    enum err e;
    kit_begin(k);
    if (str_starts(call, STR("close "))) {
        struct pile_order *o = story_order(k, call);
        check(o != NULL);
        in = kit_input(k, 0);
        e = ap3000_close_order(&in, o, &k->arena, &k->text, &k->decision);
    } else {
        struct ap3000_frame f;
        struct buf hex;
        struct ap3000_reading r = {0};
        buf_init(&hex, KIT_TEXT_MAX);
        check(kit_read_frame(k, kit_ids[0], (struct str){call.at + 6, call.len - 6}, &f));
        kit_put_frame(&f, &hex);
        e = ap3000_settlement_key(buf_str(&hex), &k->arena, r.wants_order);
        struct ap3000_known known = kit_look_up(k, 0, &r);
        in = kit_input(k, 0);
        if (e == OK)
            e = ap3000_apply_settlement(&in, buf_str(&hex), &known, &k->arena, &k->text, &k->decision);
        for (size_t q = 0; e == OK && q < k->quarantined_count; q++) /* as gateway/people.c */
            if (k->quarantined[q].pile == 0 && k->quarantined[q].content == ap3000_content_key(buf_str(&hex)))
                k->quarantined[q] = k->quarantined[--k->quarantined_count];
        buf_release(&hex);
    }
    buf_put_str(got, e == OK ? STR("0") : e == ERR_STATE ? STR("ERR_STATE") : STR("ERR_UNKNOWN"));
    if (e != OK)
        k->decision.event_count = 0;
    kit_keep_rows(k, 0);
}

/* Others were settled since: those that are not open fall out of memory. */
static inline void story_forget(struct kit *k)
{
    for (uint32_t i = 0; i < PILE_SETTLED_MAX; i++) {
        struct pile_order o = {.number = UINT64_MAX - i, .id = INT32_MAX - i, .state = ORDER_SETTLED, .content = 2};
        (void)snprintf(o.key, sizeof o.key, "forgotten %u", (unsigned)i);
        check(pile_add_order(k->piles[0], &o) != NULL);
    }
}

static inline void story_restart(struct kit *k)
{
    struct ap3000_pile *p = k->piles[0];
    p->recent_count = 0;
    p->told_facts = 0;
    p->told_at = INSTANT_NONE;
    k->is_new_line[0] = true;
}

static inline bool story_order_step(struct kit *k, struct str call, struct buf *got)
{
    struct ap3000_input in;
    struct ap3000_step s;
    bool is_port = str_starts(call, STR("port ")), is_cancel = str_starts(call, STR("cancel "));
    if (str_starts(call, STR("place "))) {
        uint8_t port = 0;
        check(hex_parse((struct str){call.at + 6, 2}, &port, 1) == OK);
        if (!kit_place(k, 0, port, (struct str){call.at + 9, call.len - 9}))
            buf_put_lit(got, "full");
        return true;
    }
    if (!is_port && !is_cancel)
        return story_input(k, call, got);
    struct pile_order *o = story_order(k, call);
    kit_step(k, 0, &in, &s);
    if (is_port)
        ap3000_step_order_port(&s, o, (uint8_t)(call.at[call.len - 1] - '0'));
    else
        ap3000_step_order_cancel(&s, o);
    ap3000_step_finish(&s);
    return true;
}

static inline bool story_setting(struct kit *k, struct str call)
{
    int64_t seconds;
    struct str rest = {call.at + 6, call.len < 6 ? 0 : call.len - 6};
    if (str_starts(call, STR("at ")) && str_to_int((struct str){call.at + 3, call.len - 3}, &seconds) == OK)
        k->now = instant_add(KIT_NOW, SPAN_S(seconds));
    else if (str_eq(call, STR("connect")))
        k->is_new_line[0] = true;
    else if (str_starts(call, STR("iccid ")))
        k->iccid = rest;
    else if (str_starts(call, STR("bind ")))
        (void)str_copy(k->piles[0]->iccid_binding, sizeof k->piles[0]->iccid_binding,
                       (struct str){call.at + 5, call.len - 5});
    else if (str_starts(call, STR("host ")))
        k->host = (struct str){call.at + 5, call.len - 5};
    else if (str_eq(call, STR("fallback")))    /* its memory is broken (2.4) */
        k->piles[0]->physical_id = 0x04B71B00; /* 12000000 */
    else if (str_eq(call, STR("accept")))
        k->stations[0].registration = REGISTRATION_ACCEPTED;
    else if (str_eq(call, STR("hold")))
        k->stations[0].registration = REGISTRATION_PENDING;
    else if (str_eq(call, STR("full")))
        k->policy.has_quarantine_room = false;
    else if (str_eq(call, STR("restart")))
        story_restart(k);
    else if (str_eq(call, STR("forget")))
        story_forget(k);
    else if (str_eq(call, STR("lag")))
        k->is_lagging = true;
    else
        return false;
    kit_begin(k);
    return true;
}

static inline void story_tell(const char *row, struct kit *k, size_t i, const struct told *t)
{
    struct buf got, events;
    struct str call = str_of(t->call);
    size_t pile = str_starts(call, STR("B "));
    uint64_t sequence = k->stations[pile].sequence;
    buf_init(&got, KIT_TEXT_MAX);
    buf_init(&events, KIT_TEXT_MAX);
    if (str_starts(call, STR("close ")) || str_starts(call, STR("apply "))) {
        story_person(k, call, &got);
    } else if (!story_setting(k, call) && !story_order_step(k, call, &got)) {
        struct ap3000_frame f;
        bool is_frame = kit_read_frame(k, kit_ids[pile], (struct str){call.at + 2 * pile, call.len - 2 * pile}, &f);
        CHECK(row, is_frame);
        if (is_frame)
            kit_frame(k, pile, &f);
        if (k->decision.has_answer)
            story_put_answer(row, k, &got);
    }
    if ((got.len > 0) != (t->answer != NULL))
        (void)fprintf(stderr, "step %zu: %s\n", i + 1, got.len > 0 ? "answered" : "not answered");
    CHECK(row, (got.len > 0) == (t->answer != NULL));
    if (t->answer != NULL)
        story_compare(row, i, "answer", &got, t->answer);
    story_put_events(k, &events);
    story_compare(row, i, "events", &events, t->events);
    story_check_events(row, k, sequence);
    buf_release(&got);
    buf_release(&events);
}

/* Both piles are on their lines, have two ports and have told so. */
static inline void story_introduce(struct kit *k)
{
    static const char *const said[] = {"20 7E 00 02 00 21 00 00 00", "21 98 08 02 00 00"};
    for (size_t pile = 0; pile < KIT_PILES; pile++) {
        k->is_new_line[pile] = true;
        for (size_t i = 0; i < COUNT_OF(said); i++) {
            struct ap3000_frame f;
            check(kit_read_frame(k, kit_ids[pile], str_of(said[i]), &f));
            kit_frame(k, pile, &f);
        }
    }
}

static inline void story_check(const struct story *stories, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct kit *k = kit_new();
        unsigned setup = stories[i].setup;
        if (!(setup & IS_NEW))
            story_introduce(k);
        k->policy.accepts_unknown_tags = (setup & TAKE_TAGS) != 0;
        k->policy.heartbeat_events = (setup & BEAT_EVENTS) != 0;
        k->policy.max_concurrent = (setup & ONE_EACH) != 0;
        k->policy.has_quarantine_room = (setup & HAS_ROOM) != 0;
        k->policy.unknown_pile = (setup & HOLD_UNKNOWN) != 0 ? REGISTRATION_PENDING : REGISTRATION_ACCEPTED;
        if (setup & IS_NEW)
            k->is_new_line[0] = k->is_new_line[1] = true;
        if ((setup & (IS_PENDING | IS_REJECTED | IS_UNKNOWN)) != 0)
            k->stations[0].registration = (setup & IS_PENDING) != 0    ? REGISTRATION_PENDING
                                          : (setup & IS_REJECTED) != 0 ? REGISTRATION_REJECTED
                                                                       : REGISTRATION_UNKNOWN;
        for (size_t n = 0; n < STEPS_MAX && stories[i].steps[n].call != NULL; n++)
            story_tell(stories[i].row, k, n, &stories[i].steps[n]);
        kit_free(k);
    }
}
#endif
