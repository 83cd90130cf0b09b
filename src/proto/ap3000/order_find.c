/* order_find.c - which order a frame names, and one made of what a pile says where nobody knew it (ap3000.md 10.4, 11).
 * Attached is by the number alone, never by what is open on the port. */
#include "proto/ap3000/handlers.h"

#include <stdio.h>
#include <string.h>

#define TIME_LEAST      ((struct instant){INT64_C(1420070400) * 1000000}) /* 2015-01-01 */
#define CONTENT_UNKNOWN 1 /* of one that was settled, and of whose settlement nothing is known here */
#define CODE_LIMIT      AP3000_CODE_COUNT

bool ap3000_time_is_believable(struct instant t, struct instant now)
{
    return !instant_before(t, TIME_LEAST) && !instant_before(now, t);
}

/* --- keys --- */

static bool is_filled_with(const uint8_t *no, uint8_t byte)
{
    for (size_t i = 0; i < AP3000_ORDER_SIZE; i++)
        if (no[i] != byte)
            return false;
    return true;
}

/* Numbers that a pile may give twice (10.4, rule 4): its clock was never set, or its memory is lost. */
static bool may_repeat(const uint8_t *no, uint8_t start_mode)
{
    bool is_its_own = start_mode == AP3000_START_CARD || start_mode == AP3000_START_CODE;
    return is_filled_with(no, 0) || is_filled_with(no, 0xFF) || (is_its_own && no[0] == 0x19 && no[1] == 0x70);
}

void ap3000_settlement_key_write(const struct ap3000_settlement *r, char out[ORDER_KEY_SIZE])
{
    order_key_write(r->order_no, out);
    if (!may_repeat(r->order_no, r->start_mode))
        return;
    const uint16_t content[5] = {r->port, r->duration_s, r->energy_10wh, r->max_power_dw, r->stop_reason};
    uint64_t hash = siphash(AP3000_CONTENT_KEY, (struct bytes){(const uint8_t *)content, sizeof content});
    size_t len = strlen(out);
    (void)snprintf(out + len, ORDER_KEY_SIZE - len, "-%016llx", (unsigned long long)hash);
}

void ap3000_order_key(uint8_t command, const void *fields, char out[ORDER_KEY_SIZE])
{
    out[0] = 0;
    switch (command) {
    case 0x03:
        ap3000_settlement_key_write(fields, out);
        break;
    case 0x04:
        order_key_write(((const struct ap3000_order_running *)fields)->order_no, out);
        break;
    case 0x06:
        order_key_write(((const struct ap3000_charging *)fields)->order_no, out);
        break;
    case 0x43:
        order_key_write(((const struct ap3000_finished *)fields)->order_no, out);
        break;
    case 0x44:
        order_key_write(((const struct ap3000_port_push *)fields)->order_no, out);
        break;
    default:
        break;
    }
}

/* --- finding --- */

struct pile_order *ap3000_order_find(struct ap3000_step *s, const struct ap3000_named *n)
{
    char plain[ORDER_KEY_SIZE];
    order_key_write(n->no, plain);
    const char *key = n->key != NULL ? n->key : plain;
    struct pile_order *o = pile_order(s->pile, str_of(key));
    if (o != NULL || !s->known->has_order || strcmp(s->known->order.key, key) != 0)
        return o;
    if (pile_order_of(s->pile, s->known->order.id) != NULL)
        return NULL; /* it was settled since, and has another key by now: this is the next of that number */
    struct pile_order found = s->known->order;
    pile_order_end_hold(&found, s->in->now);
    if (order_state_is_open(found.state)) { /* memory holds all that are open: the tables are behind */
        found.state = ORDER_SETTLED;
        found.content = CONTENT_UNKNOWN;
        found.is_told = true;
    }
    return pile_add_order(s->pile, &found);
}

/* --- making --- */

/* Who began it, as far as the pile says: the card's UID; the six digits that were typed, which stand in the order
 * number or, as digits or as a number, in the frame (A23). */
struct str ap3000_order_tag(struct ap3000_step *s, const struct ap3000_named *n)
{
    struct ap3000_order no = {.origin = AP3000_ORDER_OPAQUE};
    const uint8_t *b = n->card_or_code;
    if (n->start_mode == AP3000_START_CODE || b == NULL) /* else the frame itself says whose card it was */
        ap3000_order_read(n->no, &no);
    if (n->start_mode == AP3000_START_CODE && no.origin == AP3000_ORDER_CODE)
        return arena_printf(s->arena, "%06u", (unsigned)no.code);
    if (b == NULL && n->start_mode == AP3000_START_CARD && no.origin == AP3000_ORDER_CARD)
        b = no.card;
    if (b == NULL)
        return STR("");
    bool is_bcd = b[0] == 0;
    for (size_t i = 1; i < 4; i++)
        is_bcd = is_bcd && b[i] >> 4 <= 9 && (b[i] & 15) <= 9;
    if (n->start_mode == AP3000_START_CODE && is_bcd)
        return arena_hex(s->arena, (struct bytes){b + 1, 3});
    if (n->start_mode == AP3000_START_CODE && le32(b) < CODE_LIMIT)
        return arena_printf(s->arena, "%06u", (unsigned)le32(b));
    return arena_hex(s->arena, (struct bytes){b, 4});
}

static void set_start(struct ap3000_step *s, const struct ap3000_named *n, const struct ap3000_order *no,
                      struct pile_order *o)
{
    if (ap3000_time_is_believable(no->started, s->in->now)) {
        o->started_at = no->started;
    } else {
        o->started_at = instant_add(s->in->now, SPAN_S(-(int64_t)n->duration_s));
        ap3000_step_flag(s, STR("start_estimated"));
    }
    o->placed_at = o->started_at;
}

bool ap3000_order_make(struct ap3000_step *s, const struct ap3000_named *n, enum order_state state,
                       struct pile_order *out)
{
    struct pile_order o = {
        .state = state, .start_mode = n->start_mode, .port = n->port, .decided_at = s->in->now, .seen_at = s->in->now};
    struct ap3000_order no;
    bool is_its_own = n->start_mode == AP3000_START_CARD || n->start_mode == AP3000_START_CODE;
    ap3000_order_read(n->no, &no);
    if (order_no_read(s->in->id_key, s->pile->physical_id, n->no, &o.number) == OK) {
        o.start_mode = AP3000_START_SERVER;
        if (o.number >= *s->in->next_number) /* so are the numbers behind it: none is given twice */
            *s->in->next_number = o.number + 1;
        ap3000_step_flag(s, STR("recovered"));
    } else if (is_its_own || n->is_applied) {
        o.number = (*s->in->next_number)++;
        if (is_its_own)
            (void)str_copy(o.id_tag, sizeof o.id_tag, ap3000_order_tag(s, n));
        ap3000_step_flag(s, is_its_own ? STR("started_at_pile") : STR("applied_by_operator"));
    } else {
        return false;
    }
    o.id = permute31(s->in->id_key, (uint32_t)o.number);
    memcpy(o.no, n->no, sizeof o.no);
    if (n->key != NULL)
        (void)str_copy(o.key, sizeof o.key, str_of(n->key));
    else
        order_key_write(o.no, o.key);
    set_start(s, n, &no, &o);
    *out = o;
    return true;
}
