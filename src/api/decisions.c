/* api/decisions.c - what a person decides and the gateway carries out (closing, applying, discarding): the call sleeps
 * until it is durable, then shows what it was about. */
#include "api/api_private.h"

#define DECISION_WAIT_MS 10000 /* past it the answer is 503, and it may still come to pass */

struct wait *decision_begin(struct call *c, call_handler *on_resumed)
{
    return wait_begin(c, DECISION_WAIT_MS, on_resumed);
}

void decision_told(void *data, enum err e, const struct fault *why)
{
    wait_tell(data, e, why, true, true);
}

void decision_answer(struct call *c, call_handler *show, enum api_error already)
{
    struct wait *w = c->wait;
    wait_lock(w);
    bool is_told = w->is_told;
    enum err e = w->error;
    struct fault why = w->why;
    wait_unlock(w);
    if (!is_told)
        answer_failure(c, ERR_BUSY, NULL);
    else if (e == OK)
        show(c);
    else if (e == ERR_UNKNOWN)
        answer_error(c, API_NOT_FOUND, NULL);
    else if (e == ERR_STATE)
        answer_error(c, already, NULL);
    else if (e == ERR_MISSING || e == ERR_RANGE || e == ERR_FORMAT)
        answer_error(c, API_VALUE_NOT_ALLOWED, &why);
    else
        answer_failure(c, e, &why);
}
