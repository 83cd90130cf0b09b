/* on_card.c - 0x02: a card was swiped (ap3000.md 5.5, 6.2, 11.1). The answer never starts a charge: what is granted is
 * wished, and becomes a command. The codes that make a pile rewrite a card (2, 3, 9) are never said. */
#include "proto/ap3000/handlers.h"

#include <string.h>

#define SAME_SWIPE  SPAN_S(60)
#define BALANCE_MAX INT64_C(100000000) /* from there on it is spoken as a date (A48) */

/* clang-format off */
static const struct {
    uint8_t account;
    struct str word; /* of "authorization.requested": OCPP's where it has one */
} verdicts[] = {
    {AP3000_ACCOUNT_NORMAL,         {"Accepted", 8}},
    {AP3000_ACCOUNT_NOT_REGISTERED, {"Invalid", 7}},
    {AP3000_ACCOUNT_NO_BALANCE,     {"Blocked", 7}},
    {AP3000_ACCOUNT_EXPIRED,        {"Expired", 7}},
    {AP3000_ACCOUNT_CHARGING,       {"ConcurrentTx", 12}},
    {AP3000_ACCOUNT_PORT_FAULT,     {"PortFault", 9}},
    {AP3000_ACCOUNT_PILE_UNKNOWN,   {"PileNotRegistered", 17}},
};
/* clang-format on */

static struct str hex_text(struct bytes b, struct arena *a)
{
    struct str text = arena_hex(a, b);
    check(text.at != NULL); /* AP3000_ARENA_MIN */
    return text;
}

/* The UID; of a social-security card the number that is printed on it, as text where it is text. */
struct str ap3000_card_tag(const struct ap3000_card *c, struct arena *a)
{
    bool has_second = AP3000_HAS(card, c, card2) && c->card2.len > 0;
    if (c->card_type != AP3000_CARD_SOCIAL || !has_second)
        return hex_text((struct bytes){c->card_id, sizeof c->card_id}, a);
    struct str text = ap3000_text(c->card2);
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~')
            return hex_text(c->card2, a);
    return text.len == 0 ? hex_text(c->card2, a) : text;
}

/* Of the tag alone. */
static uint8_t tag_verdict(const struct ap3000_step *s)
{
    const struct id_tag *t = &s->known->tag;
    if (!t->is_known)
        return s->in->policy->accepts_unknown_tags ? AP3000_ACCOUNT_NORMAL : AP3000_ACCOUNT_NOT_REGISTERED;
    if (t->is_blocked)
        return t->has_balance && t->balance_minor <= 0 ? AP3000_ACCOUNT_NO_BALANCE : AP3000_ACCOUNT_NOT_REGISTERED;
    if (instant_is_set(t->expires_at) && !instant_before(s->in->now, t->expires_at))
        return AP3000_ACCOUNT_EXPIRED;
    return AP3000_ACCOUNT_NORMAL;
}

static bool is_concurrent(const struct ap3000_step *s, struct str id_tag)
{
    const struct id_tag *t = &s->known->tag;
    int32_t most = t->is_known && t->max_concurrent >= 0 ? t->max_concurrent : s->in->policy->max_concurrent;
    return most > 0 && tag_book_count(s->in->tags, id_tag) >= most;
}

static bool is_tag_of(const struct pile_order *o, struct str id_tag)
{
    char mine[TAG_SIZE_MAX], theirs[TAG_SIZE_MAX];
    struct str a = {mine, tag_key(id_tag, mine)}, b = {theirs, tag_key(str_of(o->id_tag), theirs)};
    return str_eq(a, b);
}

/* Can a charge begin there? What has ended holds the port no longer: the heartbeats say what is plugged in. */
static bool is_port_free(struct ap3000_step *s, uint8_t port)
{
    const struct ap3000_pile *p = s->pile;
    const struct pile_order *o = pile_order_on(s->pile, port);
    if ((o != NULL && o->state != ORDER_ENDED) || pile_is_held(p, port))
        return false;
    if (p->is_registered && port >= p->port_count)
        return false;
    uint8_t code = port < p->ports_seen ? p->ports[port] : AP3000_PORT_IDLE;
    return code == AP3000_PORT_IDLE || code == AP3000_PORT_PLUGGED || code == AP3000_PORT_FULL;
}

/* Its order within the minute, whatever has become of it: for a swipe that is said again to a process that has begun
 * since, when what was remembered of its answer is gone (3.3). */
static bool has_its_order(const struct ap3000_step *s, uint8_t port, struct str id_tag)
{
#ifdef DEFECT_SWIPE_TWICE /* planted: what the last process was asked for is not known to this one */
    return false;
#endif
    if (!station_meter_is_repeat(s->station, s->reading->repeat_key))
        return false;
    for (size_t i = s->pile->order_count; i-- > 0;) {
        const struct pile_order *o = &s->pile->orders[i];
        if (o->port == port && is_tag_of(o, id_tag) &&
            !instant_before(instant_add(o->placed_at, SAME_SWIPE), s->in->now))
            return true;
    }
    return false;
}

/* *is_same: this swipe has its order already. */
static uint8_t verdict(struct ap3000_step *s, uint8_t port, struct str id_tag, bool *is_same)
{
    if (!ap3000_step_is_trusted(s) || ap3000_id_is_fallback(s->pile->physical_id))
        return AP3000_ACCOUNT_PILE_UNKNOWN;
    uint8_t account = tag_verdict(s);
    if (account != AP3000_ACCOUNT_NORMAL || port == PILE_PORT_NONE)
        return account;
    *is_same = has_its_order(s, port, id_tag);
    if (*is_same)
        return AP3000_ACCOUNT_NORMAL;
    const struct pile_order *o = pile_order_on(s->pile, port);
    if (o != NULL && o->state != ORDER_ENDED && is_tag_of(o, id_tag)) {
        *is_same = !instant_before(instant_add(o->placed_at, SAME_SWIPE), s->in->now);
        return *is_same ? AP3000_ACCOUNT_NORMAL : AP3000_ACCOUNT_CHARGING;
    }
    if (!is_port_free(s, port))
        return AP3000_ACCOUNT_PORT_FAULT;
    return is_concurrent(s, id_tag) ? AP3000_ACCOUNT_CHARGING : AP3000_ACCOUNT_NORMAL;
}

/* What the pile speaks: money, or until when the plan runs. */
static uint32_t balance_or_expiry(const struct id_tag *t)
{
    int64_t n = t->has_balance ? t->balance_minor : 0;
    int64_t most = BALANCE_MAX;
    if (t->rate_mode == AP3000_RATE_MONTHLY) {
        n = instant_is_set(t->expires_at) ? t->expires_at.us / 1000000 : 0;
        most = UINT32_MAX;
    }
    return (uint32_t)(n < 0 ? 0 : n > most ? most : n);
}

static struct str word_of(uint8_t account, const struct id_tag *t)
{
    if (account == AP3000_ACCOUNT_NOT_REGISTERED && t->is_known)
        account = AP3000_ACCOUNT_NO_BALANCE; /* to the pile it says less than to people */
    size_t i = 0;
    while (verdicts[i].account != account)
        i++;
    return verdicts[i].word;
}

void ap3000_on_card(struct ap3000_step *s)
{
    const struct ap3000_card *r = s->reading->fields;
    const struct id_tag *t = &s->known->tag;
    struct str id_tag = ap3000_card_tag(r, s->arena);
    bool is_same = false;
    uint8_t account = verdict(s, r->port, id_tag, &is_same);
    bool is_told = t->is_known && account != AP3000_ACCOUNT_PILE_UNKNOWN; /* whoever asks there */
    struct ap3000_card_answer answer = {
        .account_status = account,
        .rate_mode = is_told ? t->rate_mode : AP3000_RATE_TIME,
        .balance_or_expiry = is_told ? balance_or_expiry(t) : 0,
        .port = r->port,
    };
    memcpy(answer.card_id, r->card_id, sizeof answer.card_id);
    ap3000_step_answer(s, &ap3000_card_answer_layout, &answer);
    s->out->is_repeat = is_same;
    if (!ap3000_step_is_trusted(s) || is_same)
        return;
    struct ev_authorization payload = {
        .id_tag = id_tag, .status = word_of(account, t), .connector_id = ap3000_connector(r->port)};
    ap3000_step_event(s, EVENT_AUTHORIZATION, INSTANT_NONE, &payload);
    station_remember_meter(s->station, s->reading->repeat_key);
    if (account == AP3000_ACCOUNT_NORMAL && r->port != PILE_PORT_NONE)
        ap3000_step_wish(s, &(struct ap3000_wish){.kind = AP3000_WISH_START, .port = r->port, .id_tag = id_tag});
}
