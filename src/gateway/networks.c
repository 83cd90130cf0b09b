/* gateway/networks.c - the networks that piles may come from: ap3000.networks, "10.0.0.0/8, 2001:db8::/32". */
#include "gateway/parts.h"

#include <arpa/inet.h>

static enum err network_parse(struct str text, struct network *out)
{
    char address[64], *slash;
    int64_t bits;
    (void)str_copy(address, sizeof address, text);
    slash = strchr(address, '/');
    if (slash != NULL)
        *slash = 0;
    *out = (struct network){.size = strchr(address, ':') == NULL ? 4 : 16};
    if (inet_pton(out->size == 4 ? AF_INET : AF_INET6, address, out->at) != 1)
        return ERR_FORMAT;
    out->bits = out->size * 8;
    if (slash == NULL)
        return OK;
    if (str_to_int(str_of(slash + 1), &bits) != OK || bits < 0 || bits > (int64_t)out->bits)
        return ERR_FORMAT;
    out->bits = (unsigned)bits;
    return OK;
}

enum err networks_parse(struct gateway *g, struct str list, struct fault *why)
{
    while (list.len > 0) {
        size_t n = 0;
        while (n < list.len && list.at[n] != ',')
            n++;
        struct str one = {list.at, n};
        while (one.len > 0 && one.at[0] == ' ')
            one = (struct str){one.at + 1, one.len - 1};
        list = (struct str){list.at + n, list.len - n};
        if (list.len > 0)
            list = (struct str){list.at + 1, list.len - 1};
        if (g->network_count == PILE_NETWORKS_MAX || network_parse(one, &g->networks[g->network_count]) != OK) {
            fault_set(why, STR("ap3000.networks"), "%.*s is no network like 10.0.0.0/8, or one too many", STR_ARG(one));
            return ERR_FORMAT;
        }
        g->network_count++;
    }
    return OK;
}

static bool network_has(const struct network *n, const uint8_t *address, unsigned size)
{
    if (n->size != size || memcmp(n->at, address, n->bits / 8) != 0)
        return false;
    unsigned rest = n->bits % 8;
    return rest == 0 || ((n->at[n->bits / 8] ^ address[n->bits / 8]) >> (8 - rest)) == 0;
}

/* IPv4 that came in on an IPv6 socket is IPv4. */
static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

bool networks_have(const struct gateway *g, struct str remote)
{
    char host[64];
    uint8_t address[16];
    struct str text = host_of(remote);
    if (g->network_count == 0)
        return true;
    if (text.len > 2 && text.at[0] == '[')
        text = (struct str){text.at + 1, text.len - 2};
    (void)str_copy(host, sizeof host, text);
    unsigned size = strchr(host, ':') == NULL ? 4 : 16;
    if (inet_pton(size == 4 ? AF_INET : AF_INET6, host, address) != 1)
        return false;
    bool is_mapped = size == 16 && memcmp(address, mapped, sizeof mapped) == 0;
    const uint8_t *at = address + (is_mapped ? sizeof mapped : 0);
    for (size_t i = 0; i < g->network_count; i++)
        if (network_has(&g->networks[i], at, is_mapped ? 4 : size))
            return true;
    return false;
}
