/* step_order.c - what follows from a change of an order, whoever makes it: a frame, an answer, a person. */
#include "proto/ap3000/handlers.h"

#include <string.h>

static struct str text_or_absent(const char *text)
{
    return text == NULL || text[0] == 0 ? (struct str){NULL, 0} : str_of(text);
}

static struct str order_text(struct ap3000_step *s, const struct pile_order *o)
{
    char no[ORDER_KEY_SIZE];
    order_key_write(o->no, no);
    return arena_copy(s->arena, str_of(no));
}

void ap3000_step_order_told(struct ap3000_step *s, struct pile_order *o, enum order_state before, const char *reason)
{
    struct ev_order payload = {
        .order_no = order_text(s, o),
        .order_key = str_of(o->key),
        .transaction_id = ap3000_transaction_text(s, o->id),
        .state = order_state_text[o->state],
        .previous_state = before == ORDER_STATE_COUNT ? (struct str){NULL, 0} : order_state_text[before],
        .connector_id = ap3000_connector(o->port),
        .start_mode = integer_of(o->start_mode),
        .id_tag = text_or_absent(o->id_tag),
        .command_id = text_or_absent(o->command_id),
        .reason = text_or_absent(reason),
        .is_told = boolean_of(o->is_told),
    };
    if (o->content != 0)
        payload.content = arena_printf(s->arena, "%016llx", (unsigned long long)o->content);
    if (o->is_cancelled)
        payload.is_cancelled = boolean_of(true);
    if (o->is_held)
        payload.is_held = boolean_of(true);
    ap3000_step_event(s, EVENT_ORDER, INSTANT_NONE, &payload);
    o->is_news = true;
}

static void tell_started(struct ap3000_step *s, const struct pile_order *o)
{
    struct ev_transaction_started payload = {
        .connector_id = integer_of(pile_connector_of(o->port)),
        .transaction_id = ap3000_transaction_text(s, o->id),
        .id_tag = str_of(o->id_tag),
        .meter_start_wh = integer_of(0),
        .order_no = order_text(s, o),
        .offline = boolean_of(o->start_mode != AP3000_START_SERVER),
        .flags = ap3000_step_flags(s),
    };
    (void)station_connector(s->station, pile_connector_of(o->port));
    struct instant began = o->started_at.us == s->in->now.us ? INSTANT_NONE : o->started_at;
    ap3000_step_event(s, EVENT_TRANSACTION_STARTED, began, &payload);
}

static void count_tag(struct ap3000_step *s, const struct pile_order *o, bool was_open)
{
    int by = (int)order_state_is_open(o->state) - (int)was_open;
    if (by != 0 && o->id_tag[0] != 0)
        tag_book_add(s->in->tags, str_of(o->id_tag), by);
}

struct pile_order *ap3000_step_place(struct ap3000_step *s, uint8_t port, struct str id_tag, struct str command_id)
{
    struct pile_order o = {
        .state = ORDER_NEW,
        .start_mode = AP3000_START_SERVER,
        .port = port,
        .placed_at = s->in->now,
        .started_at = INSTANT_NONE,
        .decided_at = s->in->now,
        .seen_at = INSTANT_NONE,
    };
    if (pile_open_count(s->pile) >= PILE_ORDERS_MAX)
        return NULL;
    o.number = (*s->in->next_number)++;
    o.id = permute31(s->in->id_key, (uint32_t)o.number);
    order_no_make(s->in->id_key, s->pile->physical_id, o.number, o.no);
    order_key_write(o.no, o.key);
    (void)str_copy(o.id_tag, sizeof o.id_tag, id_tag);
    (void)str_copy(o.command_id, sizeof o.command_id, command_id);
    struct pile_order *kept = pile_add_order(s->pile, &o);
    check(kept != NULL);
    count_tag(s, kept, false);
    ap3000_step_order_told(s, kept, ORDER_STATE_COUNT, NULL);
    return kept;
}

/* Its first start is told when it runs and its port is known, and at the latest with its end. */
static bool take_first_start(struct pile_order *o)
{
    bool is_due =
        !o->is_told && (o->state == ORDER_SETTLED || (o->state == ORDER_CHARGING && o->port != PILE_PORT_NONE));
    o->is_told = o->is_told || is_due;
    return is_due;
}

struct pile_order *ap3000_step_adopt(struct ap3000_step *s, const struct pile_order *o)
{
    struct pile_order *kept = pile_add_order(s->pile, o);
    if (kept == NULL)
        return NULL;
    bool is_first = take_first_start(kept);
    count_tag(s, kept, false);
    ap3000_step_order_told(s, kept, ORDER_STATE_COUNT, NULL);
    if (is_first)
        tell_started(s, kept);
    return kept;
}

static void follow_up(struct ap3000_step *s, const struct pile_order *o, enum order_input input)
{
    bool is_seen_to_run = input == ORDER_IN_DONE || input == ORDER_IN_SEEN;
    if (input == ORDER_IN_STOP_FAILED)
        ap3000_step_alarm(s, "stop_failed", o->port, (struct str){NULL, 0});
    if (input == ORDER_IN_UNSURE)
        ap3000_step_wish(s, &(struct ap3000_wish){.kind = AP3000_WISH_STATUS});
    if (is_seen_to_run && o->is_cancelled && o->stops < PILE_STOPS_MAX)
        ap3000_step_wish(s, &(struct ap3000_wish){.kind = AP3000_WISH_STOP, .port = o->port, .transaction_id = o->id});
}

enum err ap3000_step_order(struct ap3000_step *s, struct pile_order *o, enum order_input input, const char *reason)
{
    enum order_state before = o->state;
    bool is_reopened = before == ORDER_FAILED && input == ORDER_IN_SEEN && !o->is_held;
    if (is_reopened && pile_open_count(s->pile) >= PILE_ORDERS_MAX)
        return ERR_STATE; /* its settlement is taken in any case */
    enum err e = order_apply(o, input);
    if (e != OK)
        return e;
    if (input == ORDER_IN_STOP_SENT && o->stops < UINT8_MAX)
        o->stops++;
    if (o->state == before)
        return OK;
    o->decided_at = s->in->now;
    o->idle_beats = 0;
    o->is_held = input == ORDER_IN_FAULT;
    if (is_reopened)
        o->is_cancelled = true; /* its money is released: nobody pays for it any more */
    if (o->state == ORDER_CHARGING && !instant_is_set(o->started_at))
        o->started_at = s->in->now;
    bool is_first =
        !o->is_told && (o->state == ORDER_SETTLED || (o->state == ORDER_CHARGING && o->port != PILE_PORT_NONE));
    o->is_told = o->is_told || is_first;
    count_tag(s, o, order_state_is_open(before));
    ap3000_step_order_told(s, o, before, reason);
    if (is_first)
        tell_started(s, o);
    follow_up(s, o, input);
    return OK;
}

void ap3000_step_order_port(struct ap3000_step *s, struct pile_order *o, uint8_t port)
{
    if (port == PILE_PORT_NONE || o->port == port || (o->port != PILE_PORT_NONE && o->is_told))
        return;
    o->port = port;
    bool is_first = take_first_start(o);
    ap3000_step_order_told(s, o, o->state, "its port");
    if (is_first)
        tell_started(s, o);
}

void ap3000_step_order_cancel(struct ap3000_step *s, struct pile_order *o)
{
    if (o->is_cancelled)
        return;
    o->is_cancelled = true;
    ap3000_step_order_told(s, o, o->state, "cancelled");
}
