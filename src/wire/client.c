/* wire/client.c - where client connections come from: the look-up of a name, TCP from a chosen address, then as any other. */
#include "wire/conn_private.h"
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HOST_SIZE 256
#define PORT_SIZE 8

/* A name look-up cannot be called back, so it outlives a connection that ends meanwhile. */
struct resolve {
    uv_getaddrinfo_t request;
    struct conn *conn; /* NULL: it is gone */
};

struct client {
    uv_connect_t connect;
    struct resolve *resolve;
};

void client_free(struct client *client)
{
    if (client == NULL)
        return;
    if (client->resolve != NULL)
        client->resolve->conn = NULL;
    free(client);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct conn *c = request->handle->data;
    if (c->state != CONN_CONNECT)
        return; /* ended meanwhile */
    loop_touch(c->wire->loop);
    if (status < 0) {
        conn_end(c, CONN_END_TCP, WS_CLOSE_ABNORMAL);
        return;
    }
    (void)uv_tcp_nodelay(&c->tcp, 1); /* slower without it, not wrong */
    if (c->tls == NULL)
        conn_wait(c, c->options->upgrade_timeout_ms);
    conn_start(c);
}

static void connect_to(struct conn *c, const struct sockaddr *a)
{
    address_write(a, c->remote);
    if (uv_tcp_connect(&c->upgrade->client->connect, &c->tcp, a, on_connected) != 0)
        conn_end(c, CONN_END_TCP, WS_CLOSE_ABNORMAL);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct resolve *r = CONTAINER(request, struct resolve, request);
    struct conn *c = r->conn;
    if (c != NULL) {
        c->upgrade->client->resolve = NULL;
        loop_touch(c->wire->loop);
        if (status < 0 && c->state == CONN_CONNECT)
            conn_end(c, CONN_END_TCP, WS_CLOSE_ABNORMAL);
        else if (c->state == CONN_CONNECT)
            connect_to(c, found->ai_addr);
    }
    uv_freeaddrinfo(found);
    free(r);
}

static enum err resolve(struct conn *c, const char *host, int port)
{
    struct sockaddr_storage a = {0};
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)&a) == 0 || uv_ip6_addr(host, port, (struct sockaddr_in6 *)&a) == 0) {
        connect_to(c, (const struct sockaddr *)&a);
        return OK;
    }
    char port_text[PORT_SIZE];
    (void)snprintf(port_text, sizeof port_text, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct resolve *r = mem_new(1, sizeof *r);
    r->conn = c;
    if (uv_getaddrinfo(loop_uv(c->wire->loop), &r->request, on_resolved, host, port_text, &hints) != 0) {
        free(r);
        return ERR_FORMAT;
    }
    c->upgrade->client->resolve = r;
    return OK;
}

/* Load tests open tens of thousands from one address: the port is then chosen at connect, by the whole four-tuple. */
static enum err bind_source(struct conn *c, struct str source)
{
    char host[HOST_SIZE];
    struct sockaddr_storage a = {0};
    int fd, one = 1;
    (void)str_copy(host, sizeof host, source);
    if (uv_ip4_addr(host, 0, (struct sockaddr_in *)&a) != 0 && uv_ip6_addr(host, 0, (struct sockaddr_in6 *)&a) != 0)
        return ERR_FORMAT;
    if (uv_fileno((const uv_handle_t *)&c->tcp, &fd) != 0 ||
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) != 0 ||
        uv_tcp_bind(&c->tcp, (const struct sockaddr *)&a, 0) != 0)
        return ERR_IO;
    return OK;
}

static enum err begin(struct conn *c, const struct conn_target *t)
{
    char host[HOST_SIZE];
    if (t->source.at != NULL) {
        enum err e = bind_source(c, t->source);
        if (e != OK)
            return e;
    }
    (void)uv_tcp_nodelay(&c->tcp, 1); /* as on the server's side: a round is one write already */
    (void)str_copy(host, sizeof host, t->host);
    return resolve(c, host, t->port);
}

enum err conn_connect(struct loop *l, const struct conn_target *t, const struct conn_options *options,
                      const struct conn_handlers *handlers, void *data, struct conn **out)
{
    bool is_raw = options != NULL && options->is_raw;
    if (t->host.len == 0 || t->host.len >= HOST_SIZE || t->port <= 0 || t->port > UINT16_MAX || (t->path.len == 0 && !is_raw))
        return ERR_FORMAT;
    struct conn_options *own = mem_new(1, sizeof *own);
    *own = options != NULL ? *options : conn_options_default();
    struct conn *c = conn_new(wire_of(l), own, handlers);
    c->own_options = own;
    c->data = data;
    c->is_client = true;
    c->upgrade->client = mem_new(1, sizeof *c->upgrade->client);
    bool is_v6 = memchr(t->host.at, ':', t->host.len) != NULL;
    unsigned family = t->source.at == NULL ? AF_UNSPEC : is_v6 ? AF_INET6 : AF_INET; /* a socket now, to be bound */
    if (uv_tcp_init_ex(loop_uv(l), &c->tcp, family) != 0) {
        check(uv_tcp_init(loop_uv(l), &c->tcp) == 0);
        conn_destroy(c);
        return ERR_LIMIT;
    }
    if (t->tls != NULL)
        c->tls = tls_session_new(t->tls, t->host);
    if (!is_raw)
        upgrade_request(c, t);
    conn_wait(c, own->head_timeout_ms);
    enum err e = begin(c, t);
    if (e != OK) {
        conn_destroy(c);
        return e;
    }
    c->is_told = true;
    *out = c;
    return OK;
}
