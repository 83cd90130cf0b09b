/* sim/door.c - how a simulated device gets in: address, identity, password, TLS; of a pile only the address. */
#include "base/id.h"
#include "sim/fleet.h"
#include "wire/tls.h"
#include <stdio.h>
#include <sys/resource.h>

#define TARGET_MAX      2048
#define SOURCE_SIZE     16
#define SOURCES_MAX     250
#define SOURCE_STATIONS 8000  /* the kernel looks long for a free port when half of an address's 28,000 are taken */
#define CONNECT_MS      60000 /* a server that everybody returns to at once may take its time */

enum err sim_door_open(const struct sim_options *o, struct sim_door *out, struct fault *why)
{
    struct sim_door d = {.options = o, .conn = conn_options_default()};
    d.conn.head_timeout_ms = d.conn.upgrade_timeout_ms = CONNECT_MS;
    d.conn.is_raw = o->is_ap3000;
    if (o->is_tls) {
        struct str none = {NULL, 0};
        enum err e = tls_client_open(o->insecure ? none : o->ca, none, none, &d.tls, why);
        if (e != OK)
            return e;
    }
    *out = d;
    return OK;
}

void sim_door_close(struct sim_door *d)
{
    if (d->tls != NULL)
        tls_close(d->tls);
}

/* What a path cannot hold as it is (RFC 3986). */
static void put_escaped(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                        c == '_' || c == '.';
        if (is_plain)
            buf_put_byte(b, c);
        else
            buf_printf(b, "%%%02X", c);
    }
}

/* The whole 127.0.0.0/8 is this machine, so many stations need not share the ports of one address. */
static struct str source_of(const struct sim_options *o, size_t index, char out[SOURCE_SIZE])
{
    if (!str_starts(o->host, STR("127.")) || o->stations <= SOURCE_STATIONS)
        return (struct str){NULL, 0};
    int len = snprintf(out, SOURCE_SIZE, "127.0.1.%u", (unsigned)(index / SOURCE_STATIONS % SOURCES_MAX) + 1);
    return (struct str){out, (size_t)len};
}

enum err sim_door_connect(const struct sim_door *d, struct loop *l, const struct sim_guest *guest,
                          const struct conn_handlers *handlers, void *data, struct conn **out)
{
    const struct sim_options *o = d->options;
    char source[SOURCE_SIZE];
    struct buf path, secret, header;
    buf_init(&path, TARGET_MAX);
    buf_init(&secret, TARGET_MAX);
    buf_init(&header, TARGET_MAX);
    buf_put_str(&path, o->path);
    buf_put_byte(&path, '/');
    put_escaped(&path, guest->identity);
    struct conn_target target = {.host = o->host,
                                 .port = o->port,
                                 .path = buf_str(&path),
                                 .tls = d->tls,
                                 .source = source_of(o, guest->index, source)};
    if ((o->quirks >> QUIRK_no_subprotocol & 1) == 0)
        target.protocols = STR("ocpp1.6");
    if (o->password.len > 0) {
        buf_put_str(&secret, guest->identity);
        buf_put_byte(&secret, ':');
        buf_put_str(&secret, o->password);
        buf_put_lit(&header, "Basic ");
        buf_put_base64(&header, (struct bytes){secret.at, secret.len});
        target.authorization = buf_str(&header);
    }
    enum err e = conn_connect(l, &target, &d->conn, handlers, data, out);
    buf_release(&path);
    buf_release(&secret);
    buf_release(&header);
    return e;
}

void sim_raise_descriptor_limit(size_t wanted)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= wanted)
        return;
    r.rlim_cur = r.rlim_max < wanted ? r.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &r); /* the connections past it will fail, each with its event */
}
