/* api/trace.c - who asked and as part of what: X-Request-ID and traceparent (W3C Trace Context), in and out. */
#include "api/call.h"

#include <stdio.h>
#include <string.h>

#define TRACEPARENT_SIZE 55 /* 00-<32>-<16>-<2> */

static bool is_zero(const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (at[i] != 0)
            return false;
    return true;
}

/* A version above ours may be longer; its head reads the same. Upper case is not allowed. */
static bool read_traceparent(struct str s, uint8_t trace[16])
{
    uint8_t version, parent[8], flags;
    if (s.len < TRACEPARENT_SIZE || s.at[2] != '-' || s.at[35] != '-' || s.at[52] != '-')
        return false;
    for (size_t i = 0; i < TRACEPARENT_SIZE; i++)
        if (s.at[i] >= 'A' && s.at[i] <= 'F')
            return false;
    if (hex_parse((struct str){s.at, 2}, &version, 1) != OK || version == 0xff ||
        (version == 0 && s.len != TRACEPARENT_SIZE))
        return false;
    return hex_parse((struct str){s.at + 3, 32}, trace, 16) == OK &&
           hex_parse((struct str){s.at + 36, 16}, parent, 8) == OK &&
           hex_parse((struct str){s.at + 53, 2}, &flags, 1) == OK && !is_zero(trace, 16) && !is_zero(parent, 8);
}

static bool is_request_id(struct str s)
{
    if (s.len == 0 || s.len > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] <= ' ' || (unsigned char)s.at[i] >= 0x7f)
            return false;
    return true;
}

void trace_begin(struct call *c, const uint8_t random[40])
{
    uint8_t trace[16];
    char span[17], parent[TRACEPARENT_SIZE + 1];
    struct str asked = c->x->header[HTTP_REQUEST_ID];
    memcpy(c->trace, random, 16);
    memcpy(c->span, random + 16, 8);
    if (c->x->header[HTTP_TRACEPARENT].at != NULL && read_traceparent(c->x->header[HTTP_TRACEPARENT], trace))
        memcpy(c->trace, trace, 16);
    hex_write((struct bytes){c->trace, 16}, c->trace_text);
    hex_write((struct bytes){c->span, 8}, span);
    if (asked.at != NULL && is_request_id(asked))
        (void)str_copy(c->request_id, sizeof c->request_id, asked);
    else
        uuid_write(uuid_v4(random + 24), c->request_id);
    (void)snprintf(parent, sizeof parent, "00-%s-%s-01", c->trace_text, span);
    http_answer_header(&c->x->answer, "X-Request-ID", str_of(c->request_id));
    http_answer_header(&c->x->answer, "traceparent", str_of(parent));
}
