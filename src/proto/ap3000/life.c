/* life.c - the life of an order as rows (ap3000.md 10.2). A test compares all pairs with the specification.
 *
 * Which answer to 0x82 (5.8) is which input: 0 and 9 are DONE; 1, 4, 5, 6 are REFUSED; 7, 8, 0x0A to 0x0D are FAULT;
 * 2, 3, 0x0E and unknown ones are UNSURE, and so is no answer at all. An answer that comes when evidence has decided
 * already has no row, and changes nothing. */
#include "proto/ap3000/pile.h"

const struct str order_state_text[ORDER_STATE_COUNT] = {
    [ORDER_NEW] = {"new", 3},           [ORDER_STARTING] = {"starting", 8},
    [ORDER_CHARGING] = {"charging", 8}, [ORDER_UNCERTAIN] = {"uncertain", 9},
    [ORDER_FAILED] = {"failed", 6},     [ORDER_STOPPING] = {"stopping", 8},
    [ORDER_ENDED] = {"ended", 5},       [ORDER_SETTLED] = {"settled", 7},
};

int order_state_find(struct str text)
{
    for (int i = 0; i < ORDER_STATE_COUNT; i++)
        if (str_eq(order_state_text[i], text))
            return i;
    return -1;
}

bool order_state_is_open(enum order_state s)
{
    return s != ORDER_FAILED && s != ORDER_SETTLED;
}

/* clang-format off */
static const struct {
    enum order_state from;
    enum order_input input;
    enum order_state to;
} steps[] = {
    {ORDER_NEW,       ORDER_IN_NOT_SENT,    ORDER_FAILED},
    {ORDER_NEW,       ORDER_IN_SENT,        ORDER_STARTING},
    {ORDER_STARTING,  ORDER_IN_DONE,        ORDER_CHARGING},
    {ORDER_STARTING,  ORDER_IN_REFUSED,     ORDER_FAILED},
    {ORDER_STARTING,  ORDER_IN_FAULT,       ORDER_FAILED}, /* and its port is held: step_order.c */
    {ORDER_STARTING,  ORDER_IN_UNSURE,      ORDER_UNCERTAIN},
    {ORDER_STARTING,  ORDER_IN_SEEN,        ORDER_CHARGING},
    {ORDER_UNCERTAIN, ORDER_IN_SEEN,        ORDER_CHARGING},
    {ORDER_UNCERTAIN, ORDER_IN_NOT_SEEN,    ORDER_FAILED},
    {ORDER_UNCERTAIN, ORDER_IN_STOP_SENT,   ORDER_UNCERTAIN}, /* the customer cancelled: sent in case it runs */
    {ORDER_CHARGING,  ORDER_IN_STOP_SENT,   ORDER_STOPPING},
    {ORDER_STOPPING,  ORDER_IN_STOP_DONE,   ORDER_ENDED},
    {ORDER_STOPPING,  ORDER_IN_STOP_FAILED, ORDER_CHARGING},
    {ORDER_CHARGING,  ORDER_IN_FINISHED,    ORDER_ENDED},
    {ORDER_ENDED,     ORDER_IN_SEEN,        ORDER_CHARGING},
    {ORDER_FAILED,    ORDER_IN_SEEN,        ORDER_CHARGING},
    {ORDER_NEW,       ORDER_IN_SETTLED,     ORDER_SETTLED},
    {ORDER_STARTING,  ORDER_IN_SETTLED,     ORDER_SETTLED},
    {ORDER_CHARGING,  ORDER_IN_SETTLED,     ORDER_SETTLED},
    {ORDER_UNCERTAIN, ORDER_IN_SETTLED,     ORDER_SETTLED},
    {ORDER_FAILED,    ORDER_IN_SETTLED,     ORDER_SETTLED},
    {ORDER_STOPPING,  ORDER_IN_SETTLED,     ORDER_SETTLED},
    {ORDER_ENDED,     ORDER_IN_SETTLED,     ORDER_SETTLED},
    {ORDER_SETTLED,   ORDER_IN_SETTLED,     ORDER_SETTLED},
};
/* clang-format on */

enum err order_apply(struct pile_order *o, enum order_input input)
{
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        if (steps[i].from != o->state || steps[i].input != input)
            continue;
        o->state = steps[i].to;
        return OK;
    }
    return ERR_STATE;
}
