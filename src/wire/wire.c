/* wire/wire.c - what the connections of one loop share, and addresses as text. */
#include "wire/conn_private.h"
#include "base/id.h"
#include "base/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PORT_MAX 65535

void wire_random(void *to, size_t size)
{
    uint8_t *at = to;
    while (size > 0) {
        ssize_t n = getrandom(at, size, 0);
        check(n > 0 || errno == EINTR);
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
    }
}

void wire_lend(struct wire *w, struct buf *out)
{
    if (out->at != NULL)
        return;
    out->at = w->spare_count > 0 ? w->spares[--w->spare_count] : malloc(SPARE_SIZE);
    out->room = out->at == NULL ? 0 : SPARE_SIZE;
}

void wire_take_back(struct wire *w, struct buf *out)
{
    if (out->room != SPARE_SIZE || w->spare_count == SPARES_MAX) {
        buf_release(out);
        return;
    }
    w->spares[w->spare_count++] = out->at;
    buf_init(out, out->max);
}

/* RFC 6455, 10.3: not to be guessed by who chooses the payload. A keyed hash of a counter is that, without a system call. */
void wire_mask(struct wire *w, uint8_t mask[4])
{
    uint64_t count = w->mask_count++;
    uint64_t h = siphash(w->mask_key, (struct bytes){(const uint8_t *)&count, sizeof count});
    memcpy(mask, &h, 4);
}

int64_t wire_now_ms(const struct wire *w)
{
    return (int64_t)uv_now(loop_uv(w->loop));
}

bool wire_may_note(struct wire *w)
{
    int64_t second = wire_now_ms(w) / 1000;
    if (second != w->note_second) {
        if (w->note_count > NOTES_PER_S)
            LOG_WARN("wire.notes_dropped", F_INT("count", w->note_count - NOTES_PER_S));
        w->note_second = second;
        w->note_count = 0;
    }
    return w->note_count++ < NOTES_PER_S;
}

static void send_output(struct wire *w, struct conn *c)
{
    struct ring *ring = loop_ring(w->loop);
    const struct buf *out = conn_output(c);
    if (out == NULL)
        return;
    if (ring == NULL) {
        conn_flush(c);
        return;
    }
    ring_send(ring, conn_descriptor(c), (struct bytes){out->at, out->len}, &c->sent);
    c->is_sending = true;
}

static void take_result(struct conn *c)
{
    if (c->is_sending)
        conn_sent(c, c->sent);
    c->is_sending = false;
}

/* In steps, each over all that are marked: owners are called in the first and in the last one, and nothing moves while the
 * kernel looks at what is sent. Who is marked in the last step has a round of its own. */
static void flush_all(void *data)
{
    struct wire *w = data;
    struct link now;
    list_init(&now);
    while (!list_is_empty(&w->marked)) {
        struct link *l = w->marked.next;
        list_take(l);
        list_add_last(&now, l);
    }
    for (struct link *l = now.next; l != &now; l = l->next)
        conn_take_rest(CONTAINER(l, struct conn, mark));
    for (struct link *l = now.next; l != &now; l = l->next)
        send_output(w, CONTAINER(l, struct conn, mark));
    if (loop_ring(w->loop) != NULL)
        ring_send_all(loop_ring(w->loop));
    for (struct link *l = now.next; l != &now; l = l->next)
        take_result(CONTAINER(l, struct conn, mark));
    while (!list_is_empty(&now)) {
        struct conn *c = CONTAINER(now.next, struct conn, mark);
        list_take(&c->mark);
        conn_finish(c);
    }
}

/* The TCP handles of a loop are our connections, its poll handles our listeners. */
static void destroy_one(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (uv_is_closing(handle))
        return;
    if (handle->type == UV_TCP)
        conn_destroy(handle->data);
    else if (handle->type == UV_POLL)
        listener_destroy(handle->data);
}

static void close_all(void *data)
{
    struct wire *w = data;
    uv_walk(loop_uv(w->loop), destroy_one, NULL);
    buf_release(&w->plain);
    while (w->spare_count > 0)
        free(w->spares[--w->spare_count]);
}

struct wire *wire_of(struct loop *l)
{
    struct wire *w = loop_flush_data(l);
    if (w != NULL)
        return w;
    w = mem_new(1, sizeof *w);
    w->loop = l;
    list_init(&w->marked);
    wire_random(w->mask_key, sizeof w->mask_key);
    buf_init(&w->plain, PLAIN_SIZE_MAX);
    loop_on_flush(l, flush_all, close_all, w);
    if (loop_ring(l) != NULL)
        ring_set_handlers(loop_ring(l), &conn_ring_handlers);
    return w;
}

void address_write(const struct sockaddr *a, char out[REMOTE_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)a;
        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        port = ntohs(in->sin_port);
    } else if (a->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)a;
        port = ntohs(in->sin6_port);
        if (!IN6_IS_ADDR_V4MAPPED(&in->sin6_addr)) {
            (void)inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
            (void)snprintf(out, REMOTE_SIZE, "[%s]:%u", host, port);
            return;
        }
        (void)inet_ntop(AF_INET, in->sin6_addr.s6_addr + 12, host, sizeof host);
    }
    (void)snprintf(out, REMOTE_SIZE, "%s:%u", host, port);
}

enum err address_parse(struct str text, struct sockaddr_storage *out)
{
    size_t colon = text.len;
    while (colon > 0 && text.at[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return ERR_FORMAT;
    int64_t port;
    struct str host = {text.at, colon - 1};
    if (str_to_int((struct str){text.at + colon, text.len - colon}, &port) != OK || port < 0 || port > PORT_MAX)
        return ERR_FORMAT;
    bool is_v6 = host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    if (is_v6)
        host = (struct str){host.at + 1, host.len - 2};
    char name[INET6_ADDRSTRLEN];
    if (host.len >= sizeof name || memchr(host.at, 0, host.len) != NULL)
        return ERR_FORMAT;
    (void)str_copy(name, sizeof name, host);
    struct sockaddr_storage a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
    a.ss_family = is_v6 ? AF_INET6 : AF_INET;
    *(is_v6 ? &v6->sin6_port : &v4->sin_port) = htons((uint16_t)port);
    if (inet_pton(a.ss_family, name, is_v6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr) != 1)
        return ERR_FORMAT;
    *out = a;
    return OK;
}
