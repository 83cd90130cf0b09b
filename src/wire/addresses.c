/* wire/addresses.c - how many connections a listener has of each address, so that one peer alone cannot fill it. Of
 * IPv6 a /64 is one address: that much a single host has to choose from. There are never more entries than connections.
 */
#include "wire/conn_private.h"
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIZE_MAX 8 /* a /64 */
#define V4_SIZE      4

struct address {
    unsigned count;
    uint8_t key_size;
    char key[KEY_SIZE_MAX];
};

static struct str key_of(const struct address *a)
{
    return (struct str){a->key, a->key_size};
}

/* IPv4 that came in on an IPv6 socket is IPv4. */
static struct address key_read(const struct sockaddr *from)
{
    struct address a = {0};
    if (from->sa_family == AF_INET) {
        a.key_size = V4_SIZE;
        memcpy(a.key, &((const struct sockaddr_in *)(const void *)from)->sin_addr, V4_SIZE);
    } else if (from->sa_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
        bool is_v4 = IN6_IS_ADDR_V4MAPPED(v6);
        a.key_size = is_v4 ? V4_SIZE : KEY_SIZE_MAX;
        memcpy(a.key, v6->s6_addr + (is_v4 ? sizeof v6->s6_addr - V4_SIZE : 0), a.key_size);
    }
    return a;
}

bool address_enter(struct listener *l, const struct sockaddr *from, struct address **out)
{
    if (l->options.connections_per_address_max == 0)
        return true;
    struct address key = key_read(from);
    struct address *a = map_find(&l->addresses, key_of(&key));
    if (a == NULL) {
        a = mem_new(1, sizeof *a);
        *a = key;
        (void)map_put(&l->addresses, key_of(a), a);
    } else if (a->count >= l->options.connections_per_address_max) {
        return false;
    }
    a->count++;
    *out = a;
    return true;
}

void address_leave(struct listener *l, struct address *a)
{
    if (a == NULL || --a->count > 0)
        return;
    (void)map_take(&l->addresses, key_of(a));
    free(a);
}
