/* The life of an order: all pairs of state and input against ap3000.md 10.2, written down here a second time as its
 * table has them; order numbers (10.6); names of piles; orders in memory. */
#include "check.h"
#include "proto/ap3000/pile.h"

#include <string.h>

static const char *const states[ORDER_STATE_COUNT] = {"new",    "starting", "charging", "uncertain",
                                                      "failed", "stopping", "ended",    "settled"};
static const char *const inputs[ORDER_INPUT_COUNT] = {
    "sent",     "done 0, 9", "refused 1, 4 .. 6", "fault 7, 8, A .. D", "unsure 2, 3, E, silence",
    "seen",     "not seen",  "stop sent",         "stop 0, 2",          "stop failed",
    "finished", "settled",   "never sent"};

/* 10.2, column by column; . is no row. Order of the states as above. */
static const char *const table[ORDER_STATE_COUNT][ORDER_INPUT_COUNT] = {
    /* clang-format off */
    /*               sent        done        refused   fault     unsure       seen        not seen  stop sent    stop done  stop failed  finished  settled    not sent */
    /* new       */ {"starting", ".",        ".",      ".",      ".",         ".",        ".",      ".",         ".",       ".",         ".",      "settled", "failed"},
    /* starting  */ {".",        "charging", "failed", "failed", "uncertain", "charging", ".",      ".",         ".",       ".",         ".",      "settled", "."},
    /* charging  */ {".",        ".",        ".",      ".",      ".",         ".",        ".",      "stopping",  ".",       ".",         "ended",  "settled", "."},
    /* uncertain */ {".",        ".",        ".",      ".",      ".",         "charging", "failed", "uncertain", ".",       ".",         ".",      "settled", "."},
    /* failed    */ {".",        ".",        ".",      ".",      ".",         "charging", ".",      ".",         ".",       ".",         ".",      "settled", "."},
    /* stopping  */ {".",        ".",        ".",      ".",      ".",         ".",        ".",      ".",         "ended",   "charging",  ".",      "settled", "."},
    /* ended     */ {".",        ".",        ".",      ".",      ".",         "charging", ".",      ".",         ".",       ".",         ".",      "settled", "."},
    /* settled   */ {".",        ".",        ".",      ".",      ".",         ".",        ".",      ".",         ".",       ".",         ".",      "settled", "."},
    /* clang-format on */
};

static void check_pairs(void)
{
    for (int s = 0; s < ORDER_STATE_COUNT; s++) {
        CHECK(states[s], str_eq(order_state_text[s], str_of(states[s])));
        CHECK(states[s], order_state_find(str_of(states[s])) == s);
        CHECK(states[s], order_state_is_open((enum order_state)s) ==
                             (strcmp(states[s], "failed") != 0 && strcmp(states[s], "settled") != 0));
        for (int i = 0; i < ORDER_INPUT_COUNT; i++) {
            char row[96];
            struct pile_order o = {.state = (enum order_state)s, .energy_wh = 7};
            struct pile_order before = o;
            bool has_row = table[s][i][0] != '.';
            (void)snprintf(row, sizeof row, "%s, %s -> %s (10.2)", states[s], inputs[i], table[s][i]);
            CHECK(row, order_apply(&o, (enum order_input)i) == (has_row ? OK : ERR_STATE));
            CHECK(row, strcmp(states[o.state], has_row ? table[s][i] : states[s]) == 0);
            o.state = before.state;
            CHECK("only the state is written", memcmp(&o, &before, sizeof o) == 0);
        }
    }
    CHECK("a word that is no state", order_state_find(STR("NEW")) == -1);
}

/* --- order numbers --- */

static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908}, other_key[2] = {1, 2};

static void check_numbers(void)
{
    uint8_t no[AP3000_ORDER_SIZE], again[AP3000_ORDER_SIZE], next[AP3000_ORDER_SIZE];
    uint64_t number = 0;
    order_no_make(key, 0x04CEAA40, 77, no);
    order_no_make(key, 0x04CEAA40, 77, again);
    order_no_make(key, 0x04CEAA40, 78, next);
    CHECK("the same each time", memcmp(no, again, sizeof no) == 0);
    CHECK("another for each number (10.6)", memcmp(no, next, sizeof no) != 0);
    CHECK("cannot be taken for one of a pile (10.6)", no[0] == 0xA5);
    CHECK("holds the transaction's id", le32(no + 1) == permute31(key, 77));
    CHECK("is read back", order_no_read(key, 0x04CEAA40, no, &number) == OK && number == 77);
    number = 5;
    CHECK("not of another pile", order_no_read(key, 0x04CEAA41, no, &number) == ERR_UNKNOWN && number == 5);
    CHECK("not of another server", order_no_read(other_key, 0x04CEAA40, no, &number) == ERR_UNKNOWN);
    for (size_t i = 0; i < sizeof no; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(again, no, sizeof no);
            again[i] ^= (uint8_t)(1u << bit);
            CHECK("not with one bit changed", order_no_read(key, 0x04CEAA40, again, &number) == ERR_UNKNOWN);
        }
    memset(again, 0, sizeof again);
    CHECK("not all zeros", order_no_read(key, 0x04CEAA40, again, &number) == ERR_UNKNOWN);
    memset(again, 0xFF, sizeof again);
    CHECK("not all ones", order_no_read(key, 0x04CEAA40, again, &number) == ERR_UNKNOWN && number == 5);
    char text[ORDER_KEY_SIZE];
    memcpy(again, "\x20\x26\x01\x15\x09\x30\x12\x7A\x8D\x05\xDD\x13\x54\x40\x00\x31", sizeof again);
    order_key_write(again, text);
    CHECK("all bytes count, as hexadecimal", strcmp(text, "202601150930127a8d05dd1354400031") == 0);
}

/* --- names --- */

static const struct {
    const char *text;
    bool want;
} names[] = {
    {"AP13544000", true},
    {"AP0", true},
    {"AP16777215", true},
    {"AP16777216", false},
    {"AP013544000", false},
    {"AP", false},
    {"AP1x", false},
    {"ap13544000", false},
    {"AP13544000-05", true},
    {"AP13544000-5", false},
    {"AP13544000-0A", true},
    {"AP13544000-0a", false},
    {"AP13544000-05x", false},
    {"AP13544000_05", false},
    {"AP99999999999999999999", false},
    {"", false},
    {"CP-17", false},
};

static void check_names(void)
{
    char id[PILE_ID_SIZE];
    pile_id_write(0x04CEAA40, false, id);
    CHECK("by the printed number (contract 1)", strcmp(id, "AP13544000") == 0);
    pile_id_write(0x05CEAA40, true, id);
    CHECK("where another was first: with its code", strcmp(id, "AP13544000-05") == 0);
    pile_id_write(0xFFFFFFFF, true, id);
    CHECK("the longest", strcmp(id, "AP16777215-FF") == 0 && pile_id_is(str_of(id)));
    for (size_t i = 0; i < COUNT_OF(names); i++)
        CHECK(names[i].text, pile_id_is(str_of(names[i].text)) == names[i].want);
}

static void check_ports(void)
{
    for (unsigned port = 0; port < PILE_PORT_NONE; port++)
        CHECK("there and back (A45)",
              pile_connector_of((uint8_t)port) == (int32_t)port + 1 && pile_port_of((int64_t)port + 1) == port);
    CHECK("none is the whole pile", pile_connector_of(PILE_PORT_NONE) == 0 && pile_port_of(0) == PILE_PORT_NONE);
    CHECK("no such port", pile_port_of(256) == PILE_PORT_NONE && pile_port_of(-1) == PILE_PORT_NONE);
}

/* --- memory --- */

static struct pile_order order_of(uint32_t n, enum order_state state)
{
    struct pile_order o = {.number = n, .id = n, .port = (uint8_t)n, .state = state};
    (void)snprintf(o.key, sizeof o.key, "%u", (unsigned)n);
    return o;
}

static void check_orders(void)
{
    struct ap3000_pile *p = pile_new();
    struct pile_order o;
    for (uint32_t n = 1; n <= PILE_ORDERS_MAX; n++) {
        o = order_of(n, ORDER_CHARGING);
        CHECK("open ones fit up to the limit", pile_add_order(p, &o) != NULL);
    }
    o = order_of(1000, ORDER_NEW);
    CHECK("no more open ones", pile_add_order(p, &o) == NULL && p->order_count == PILE_ORDERS_MAX);
    for (uint32_t n = 100; n < 110; n++) {
        o = order_of(n, n % 2 ? ORDER_SETTLED : ORDER_FAILED);
        CHECK("one that is over always fits", pile_add_order(p, &o) != NULL);
        CHECK("a few of them", p->order_count - pile_open_count(p) <= PILE_SETTLED_MAX);
    }
    CHECK("the oldest is dropped", pile_order(p, STR("105")) == NULL && pile_order(p, STR("106")) != NULL);
    CHECK("an open one never is", pile_order(p, STR("1")) != NULL && pile_open_count(p) == PILE_ORDERS_MAX);
    CHECK("by transaction", pile_order_of(p, 64) == pile_order(p, STR("64")) && pile_order_of(p, 65) == NULL);
    CHECK("by port, only open ones", pile_order_on(p, 7) == pile_order_of(p, 7) && pile_order_on(p, 109) == NULL);
    p->orders[0].state = ORDER_FAILED;
    p->orders[0].is_held = true;
    p->orders[0].decided_at = (struct instant){0};
    o = order_of(1001, ORDER_NEW);
    CHECK("a held one keeps its place", pile_add_order(p, &o) == NULL && pile_is_held(p, p->orders[0].port));
    o = order_of(1002, ORDER_SETTLED);
    CHECK("also where others are dropped", pile_add_order(p, &o) != NULL && pile_order(p, STR("1")) != NULL);
    pile_end_holds(p, (struct instant){SPAN_S(PILE_HOLD_S).us - 1});
    CHECK("until its time is over", p->orders[0].is_held);
    pile_end_holds(p, (struct instant){SPAN_S(PILE_HOLD_S).us});
    CHECK("and then not", !p->orders[0].is_held && pile_open_count(p) == PILE_ORDERS_MAX - 1);
    for (size_t i = 0; i < p->order_count; i++)
        p->orders[i].state = ORDER_SETTLED;
    o = order_of(2000, ORDER_NEW);
    CHECK("room again, and the many are dropped",
          pile_add_order(p, &o) != NULL && p->order_count == PILE_SETTLED_MAX + 1);
    pile_free(p);
    pile_free(NULL);
}

static void check_recent(void)
{
    struct ap3000_pile *p = pile_new();
    struct instant now = {INT64_C(1772355600) * 1000000};
    const uint8_t answer[PILE_ANSWER_MAX] = {1, 2, 3};
    pile_remember(p, 7, now, (struct bytes){answer, 3});
    const struct pile_recent *r = pile_recent_find(p, 7, instant_add(now, SPAN_S(PILE_REPEAT_S)));
    CHECK("within a minute (3.3)", r != NULL && r->len == 3 && memcmp(r->answer, answer, 3) == 0);
    CHECK("not later", pile_recent_find(p, 7, instant_add(now, SPAN_S(PILE_REPEAT_S + 1))) == NULL);
    CHECK("not another", pile_recent_find(p, 8, now) == NULL && pile_recent_find(p, 0, (struct instant){0}) == NULL);
    for (uint64_t i = 0; i < PILE_RECENT_MAX; i++)
        pile_remember(p, 100 + i, now, (struct bytes){NULL, 0});
    CHECK("the last few", pile_recent_find(p, 7, now) == NULL && pile_recent_find(p, 100, now) != NULL);
    CHECK("no more than that", p->recent_count == PILE_RECENT_MAX);
    p->recent_count = 0;
    for (int64_t i = 0; i < PILE_RECENT_MAX; i++)
        pile_remember(p, 7, instant_add(now, SPAN_S(i * (PILE_REPEAT_S + 1))), (struct bytes){NULL, 0});
    CHECK("what is over leaves its place to the next", p->recent_count == 1);
    CHECK("message ids begin at 1", pile_next_message_id(p) == 1 && pile_next_message_id(p) == 2);
    p->next_message_id = UINT16_MAX;
    CHECK("and go round past 0 (2.5)", pile_next_message_id(p) == UINT16_MAX && pile_next_message_id(p) == 1);
    p->next_message_id = 0;
    CHECK("never 0", pile_next_message_id(p) == 1);
    pile_free(p);
}

int main(void)
{
    check_pairs();
    check_numbers();
    check_names();
    check_ports();
    check_orders();
    check_recent();
    return CHECK_REPORT();
}
