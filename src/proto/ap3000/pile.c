/* pile.c - the memory of one pile: its names, recent answers, orders and their numbers. Small: a pile that never
 * charged holds nothing but its struct. */
#include "proto/ap3000/pile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ORDER_MARK     0xA5 /* first byte of our numbers: those of piles begin with the BCD year (10.6) */
#define ORDER_ID_AT    1
#define ORDER_PROOF_AT 5

struct ap3000_pile *pile_new(void)
{
    struct ap3000_pile *p = mem_new(1, sizeof *p);
    p->device_type = AP3000_TYPE_ABSENT;
    p->host_type = AP3000_TYPE_ABSENT;
    p->heartbeat_s = PILE_HEARTBEAT_S;
    p->next_message_id = 1;
    p->asked_at = INSTANT_NONE;
    p->told_at = INSTANT_NONE;
    return p;
}

void pile_free(struct ap3000_pile *p)
{
    if (p == NULL)
        return;
    free(p->orders);
    free(p->ports);
    free(p->recent);
    free(p);
}

uint16_t pile_next_message_id(struct ap3000_pile *p)
{
    uint16_t id = p->next_message_id == 0 ? 1 : p->next_message_id; /* 0 is to be avoided (2.5) */
    p->next_message_id = id == UINT16_MAX ? 1 : (uint16_t)(id + 1);
    return id;
}

/* --- names --- */

void pile_id_write(uint32_t physical_id, bool is_second, char out[PILE_ID_SIZE])
{
    unsigned number = ap3000_id_number(physical_id);
    if (is_second)
        (void)snprintf(out, PILE_ID_SIZE, "AP%u-%02X", number, (unsigned)ap3000_id_code(physical_id));
    else
        (void)snprintf(out, PILE_ID_SIZE, "AP%u", number);
}

bool pile_id_is(struct str charge_point_id)
{
    char mine[PILE_ID_SIZE];
    uint32_t id = 0;
    size_t i = 2;
    if (!str_starts(charge_point_id, STR("AP")))
        return false;
    for (; i < charge_point_id.len && charge_point_id.at[i] >= '0' && charge_point_id.at[i] <= '9' && id <= 0xFFFFFF;
         i++)
        id = id * 10 + (uint32_t)(charge_point_id.at[i] - '0');
    if (id > 0xFFFFFF)
        return false;
    bool is_second = i < charge_point_id.len;
    uint8_t code = 0;
    if (is_second && (charge_point_id.len - i != 3 ||
                      hex_parse((struct str){charge_point_id.at + i + 1, 2}, &code, sizeof code) != OK))
        return false;
    pile_id_write((uint32_t)code << 24 | id, is_second, mine); /* the one form that it has */
    return str_eq(str_of(mine), charge_point_id);
}

/* --- ports --- */

void pile_make_ports(struct ap3000_pile *p, size_t count)
{
    check(count <= PILE_PORTS_MAX);
    if (count <= p->ports_seen)
        return;
    p->ports = mem_grow(p->ports, count, sizeof *p->ports);
    memset(p->ports + p->ports_seen, AP3000_PORT_IDLE, count - p->ports_seen);
}

/* --- recent answers --- */

static bool is_over(const struct pile_recent *r, struct instant now)
{
    return instant_since(now, r->at).us > SPAN_S(PILE_REPEAT_S).us;
}

const struct pile_recent *pile_recent_find(const struct ap3000_pile *p, uint64_t key, struct instant now)
{
    for (size_t i = 0; i < p->recent_count; i++)
        if (p->recent[i].key == key && key != 0 && !is_over(&p->recent[i], now))
            return &p->recent[i];
    return NULL;
}

/* Where one more goes: over one whose time is over, so that a pile that says little holds little; else the oldest. */
static struct pile_recent *place_of_next(struct ap3000_pile *p, struct instant now)
{
    struct pile_recent *oldest = NULL;
    for (size_t i = 0; i < p->recent_count; i++) {
        struct pile_recent *r = &p->recent[i];
        if (is_over(r, now))
            return r;
        if (oldest == NULL || instant_before(r->at, oldest->at))
            oldest = r;
    }
    if (p->recent_count == PILE_RECENT_MAX)
        return oldest;
    p->recent = mem_grow(p->recent, p->recent_count + 1u, sizeof *p->recent);
    return &p->recent[p->recent_count++];
}

void pile_remember(struct ap3000_pile *p, uint64_t key, struct instant now, struct bytes answer)
{
    check(answer.len <= PILE_ANSWER_MAX);
    struct pile_recent *r = place_of_next(p, now);
    *r = (struct pile_recent){.key = key, .at = now, .len = (uint8_t)answer.len};
    if (answer.len > 0)
        memcpy(r->answer, answer.at, answer.len);
}

/* --- order numbers --- */

void order_key_write(const uint8_t no[AP3000_ORDER_SIZE], char out[ORDER_KEY_SIZE])
{
    hex_write((struct bytes){no, AP3000_ORDER_SIZE}, out);
}

/* 0xA5, the transaction's id, and eleven bytes of a keyed hash: who does not know the key can name none of our orders,
 * and a pile none of another's. */
void order_no_make(const uint64_t id_key[2], uint32_t physical_id, uint64_t number, uint8_t out[AP3000_ORDER_SIZE])
{
    uint32_t content[3] = {permute31(id_key, (uint32_t)number), physical_id, 0};
    uint8_t proof[16];
    for (uint32_t half = 0; half < 2; half++) {
        content[2] = half;
        uint64_t hash = siphash(id_key, (struct bytes){(const uint8_t *)content, sizeof content});
        memcpy(proof + half * sizeof hash, &hash, sizeof hash);
    }
    out[0] = ORDER_MARK;
    le_put(out + ORDER_ID_AT, 4, content[0]);
    memcpy(out + ORDER_PROOF_AT, proof, AP3000_ORDER_SIZE - ORDER_PROOF_AT);
}

enum err order_no_read(const uint64_t id_key[2], uint32_t physical_id, const uint8_t no[AP3000_ORDER_SIZE],
                       uint64_t *number)
{
    uint8_t mine[AP3000_ORDER_SIZE];
    if (no[0] != ORDER_MARK) /* that of a pile, mostly */
        return ERR_UNKNOWN;
    uint32_t n = permute31_back(id_key, le32(no + ORDER_ID_AT));
    if (n == 0)
        return ERR_UNKNOWN;
    order_no_make(id_key, physical_id, n, mine);
    if (memcmp(mine, no, sizeof mine) != 0)
        return ERR_UNKNOWN;
    *number = n;
    return OK;
}

/* --- orders in memory --- */

struct pile_order *pile_order(struct ap3000_pile *p, struct str key)
{
    for (size_t i = p->order_count; i-- > 0;)
        if (str_eq(str_of(p->orders[i].key), key))
            return &p->orders[i];
    return NULL;
}

struct pile_order *pile_order_of(struct ap3000_pile *p, uint32_t transaction_id)
{
    for (size_t i = p->order_count; i-- > 0;)
        if (p->orders[i].id == transaction_id)
            return &p->orders[i];
    return NULL;
}

struct pile_order *pile_order_on(struct ap3000_pile *p, uint8_t port)
{
    for (size_t i = p->order_count; i-- > 0;)
        if (p->orders[i].port == port && order_state_is_open(p->orders[i].state))
            return &p->orders[i];
    return NULL;
}

static bool is_kept(const struct pile_order *o)
{
    return order_state_is_open(o->state) || o->is_held;
}

size_t pile_open_count(const struct ap3000_pile *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->order_count; i++)
        n += is_kept(&p->orders[i]);
    return n;
}

bool pile_is_held(const struct ap3000_pile *p, uint8_t port)
{
    for (size_t i = 0; i < p->order_count; i++)
        if (p->orders[i].is_held && p->orders[i].port == port)
            return true;
    return false;
}

void pile_order_end_hold(struct pile_order *o, struct instant now)
{
    o->is_held = o->is_held && instant_before(now, instant_add(o->decided_at, SPAN_S(PILE_HOLD_S)));
}

void pile_end_holds(struct ap3000_pile *p, struct instant now)
{
    for (size_t i = 0; i < p->order_count; i++)
        pile_order_end_hold(&p->orders[i], now);
}

static void drop_oldest_closed(struct ap3000_pile *p)
{
    size_t i = 0;
    while (is_kept(&p->orders[i]))
        i++;
    if (p->orders[i].position > p->orders_position)
        p->orders_position = p->orders[i].position;
    p->has_orders_news = p->has_orders_news || p->orders[i].is_news;
    p->order_count--;
    memmove(&p->orders[i], &p->orders[i + 1], (p->order_count - i) * sizeof *p->orders);
}

void pile_note_position(struct ap3000_pile *p, uint64_t position)
{
    for (size_t i = 0; i < p->order_count; i++) {
        struct pile_order *o = &p->orders[i];
        o->position = o->is_news ? position : o->position;
        o->is_news = false;
    }
    p->orders_position = p->has_orders_news ? position : p->orders_position;
    p->waiting_position = p->has_waiting_news ? position : p->waiting_position;
    p->has_orders_news = p->has_waiting_news = false;
}

uint64_t pile_tables_position(const struct ap3000_pile *p, bool is_of_quarantine)
{
    bool is_later = is_of_quarantine && p->waiting_position > p->orders_position;
    return is_later ? p->waiting_position : p->orders_position;
}

struct pile_order *pile_add_order(struct ap3000_pile *p, const struct pile_order *o)
{
    struct pile_order copy = *o; /* it may be one of these */
    bool is_open = is_kept(&copy);
    size_t open_count = pile_open_count(p);
    if (is_open && open_count >= PILE_ORDERS_MAX)
        return NULL;
    while (p->order_count - open_count > (is_open ? PILE_SETTLED_MAX : PILE_SETTLED_MAX - 1))
        drop_oldest_closed(p);
    p->orders = mem_grow(p->orders, p->order_count + 1, sizeof *p->orders);
    p->orders[p->order_count] = copy;
    return &p->orders[p->order_count++];
}
