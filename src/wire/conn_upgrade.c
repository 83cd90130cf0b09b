/* wire/conn_upgrade.c - from HTTP to WebSocket, as a server that may refuse and as a client that may be refused. */
#include "wire/conn_private.h"
#include "base/id.h"
#include "base/log.h"
#include <stdlib.h>
#include <string.h>

#define CLIENT_KEY_SIZE    16
#define TLS_RECORD_HELLO   0x16 /* first byte of a ClientHello, then the major version */
#define TLS_RECORD_MAJOR   0x03
#define HTTP_STATUS_SWITCH 101

/* Header lines that belong to a status (RFC 9110). */
static const struct {
    int status;
    const char *line;
} status_lines[] = {
    {405, "Allow: GET\r\n"},
    {426, "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n"},
};

void upgrade_free(struct conn *c)
{
    if (c->upgrade == NULL)
        return;
    client_free(c->upgrade->client);
    buf_release(&c->upgrade->head);
    free(c->upgrade);
    c->upgrade = NULL;
}

void upgrade_refuse(struct conn *c, int status, struct str extra)
{
    struct str text = str_of(http_status_text(status));
    buf_printf(&c->out, "HTTP/1.1 %d %.*s\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n",
               status, STR_ARG(text), text.len + 1);
    for (size_t i = 0; i < COUNT_OF(status_lines); i++)
        if (status_lines[i].status == status)
            buf_put_str(&c->out, str_of(status_lines[i].line));
    if (extra.at != NULL)
        buf_put_str(&c->out, extra);
    buf_put_lit(&c->out, "\r\n");
    buf_put_str(&c->out, text);
    buf_put_byte(&c->out, '\n');
    conn_linger(c, CONN_END_OURS, WS_CLOSE_ABNORMAL);
}

static void note_refusal(struct conn *c, int status, const struct fault *why)
{
    if (wire_may_note(c->wire))
        LOG_WARN("upgrade.refused", F_INT("conn", c->number), F_STR("remote", conn_remote(c)), F_INT("status", status),
                 F_CSTR("field", why->field), F_CSTR("reason", why->reason));
}

/* The owner may accept in its handler, which frees what the head was read from: so it is kept here until the end. */
static void tell_owner(struct conn *c, const struct http_head *head)
{
    struct buf text = c->upgrade->head;
    buf_init(&c->upgrade->head, text.max);
    c->state = CONN_UPGRADE;
    c->is_told = true;
    list_take(&c->unopened);
    conn_wait(c, c->options->upgrade_timeout_ms);
    c->handlers->on_upgrade(c, head);
    buf_release(&text);
}

static void on_request(struct conn *c, const struct http_head *head)
{
    struct str key;
    struct fault why = {{0}, {0}};
    int status = 0;
    enum err e = http_check_upgrade(head, c->options->lenient_upgrade, &key, &status, &why);
    if (e == OK && (e = ws_accept_key(key, c->upgrade->accept)) != OK) {
        status = 400;
        fault_set(&why, STR("Sec-WebSocket-Key"), "not base64 of 16 bytes");
    }
    if (e != OK) {
        note_refusal(c, status, &why);
        upgrade_refuse(c, status, (struct str){NULL, 0});
        return;
    }
    tell_owner(c, head);
}

static void on_answer(struct conn *c, const struct http_head *head)
{
    struct fault why = {{0}, {0}};
    size_t count;
    struct str accept = http_find(head, STR("Sec-WebSocket-Accept"), &count);
    if (head->status != HTTP_STATUS_SWITCH)
        fault_set(&why, STR("status"), "the server refused");
    else if (count != 1 || !str_eq(accept, str_of(c->upgrade->accept)))
        fault_set(&why, STR("Sec-WebSocket-Accept"), "not the answer to our key");
    if (why.field[0] != 0) {
        note_refusal(c, head->status, &why);
        conn_end(c, CONN_END_PROTOCOL, WS_CLOSE_ABNORMAL);
        return;
    }
    conn_opened(c);
    if (c->handlers->on_open != NULL)
        c->handlers->on_open(c);
}

static bool is_tls_hello(const struct buf *b)
{
    return b->at[0] == TLS_RECORD_HELLO && (b->len < 2 || b->at[1] == TLS_RECORD_MAJOR);
}

static void on_bad_head(struct conn *c, enum err e, int status, const struct fault *why)
{
    if (is_tls_hello(&c->upgrade->head) && !c->is_client) {
        if (wire_may_note(c->wire))
            LOG_WARN("conn.tls_on_plain_port", F_INT("conn", c->number), F_STR("remote", conn_remote(c)),
                     F_STR("listener", listener_address(c->listener)));
        conn_end(c, CONN_END_PROTOCOL, WS_CLOSE_ABNORMAL);
        return;
    }
    note_refusal(c, status, why);
    if (c->is_client)
        conn_end(c, CONN_END_PROTOCOL, WS_CLOSE_ABNORMAL);
    else
        upgrade_refuse(c, e == ERR_AGAIN ? 431 : status, (struct str){NULL, 0});
}

void upgrade_take(struct conn *c, const uint8_t **at, size_t *len)
{
    struct buf *text = &c->upgrade->head;
    size_t before = text->len, n = text->max - before;
    if (n > *len)
        n = *len;
    buf_put(text, *at, n);
    struct http_head head;
    struct fault why = {{0}, {0}};
    int status = 0;
    enum err e = text->failed ? ERR_MEMORY
                 : c->is_client ? http_read_answer(buf_str(text), &head, &why)
                                : http_read_request(buf_str(text), &head, &status, &why);
    bool is_whole = e == OK;
    size_t taken = is_whole ? head.size - before : n; /* frames may follow in the same bytes */
    *at += taken;
    *len -= taken;
    if (e == ERR_AGAIN && text->len < text->max)
        return;
    if (e == ERR_MEMORY)
        conn_end(c, CONN_END_IDLE, WS_CLOSE_ABNORMAL);
    else if (!is_whole)
        on_bad_head(c, e, status, &why);
    else if (c->is_client)
        on_answer(c, &head);
    else
        on_request(c, &head);
}

void upgrade_request(struct conn *c, const struct conn_target *t)
{
    uint8_t key[CLIENT_KEY_SIZE];
    struct buf text;
    wire_random(key, sizeof key);
    buf_init(&text, WS_ACCEPT_SIZE * 2);
    buf_put_base64(&text, (struct bytes){key, sizeof key});
    check(ws_accept_key(buf_str(&text), c->upgrade->accept) == OK);
    bool is_v6 = memchr(t->host.at, ':', t->host.len) != NULL && t->host.at[0] != '[';
    buf_printf(&c->out,
               "GET %.*s HTTP/1.1\r\nHost: %s%.*s%s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
               STR_ARG(t->path), is_v6 ? "[" : "", STR_ARG(t->host), is_v6 ? "]" : "", t->port);
    buf_put_str(&c->out, buf_str(&text));
    buf_put_lit(&c->out, "\r\n");
    if (t->protocols.at != NULL)
        buf_printf(&c->out, "Sec-WebSocket-Protocol: %.*s\r\n", STR_ARG(t->protocols));
    if (t->authorization.at != NULL)
        buf_printf(&c->out, "Authorization: %.*s\r\n", STR_ARG(t->authorization));
    buf_put_lit(&c->out, "\r\n");
    buf_release(&text);
}

void conn_accept(struct conn *c, struct str protocol)
{
    if (c->state != CONN_UPGRADE)
        return;
    buf_printf(&c->out,
               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Accept: %s\r\n",
               c->upgrade->accept);
    if (protocol.at != NULL)
        buf_printf(&c->out, "Sec-WebSocket-Protocol: %.*s\r\n", STR_ARG(protocol));
    buf_put_lit(&c->out, "\r\n");
    conn_opened(c);
}

void conn_refuse(struct conn *c, int status, struct str extra)
{
    if (c->state == CONN_UPGRADE)
        upgrade_refuse(c, status, extra);
}
