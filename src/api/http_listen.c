/* api/http_listen.c - see the header. */
#include "api/http_listen.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTEN_BACKLOG 1024

static bool split_address(struct str address, char host[256], char port[8])
{
    size_t colon = address.len;
    while (colon > 0 && address.at[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    struct str h = {address.at, colon - 1}, p = {address.at + colon, address.len - colon};
    if (h.len >= 2 && h.at[0] == '[' && h.at[h.len - 1] == ']')
        h = (struct str){h.at + 1, h.len - 2};
    int64_t number;
    if (h.len == 0 || h.len > 255 || p.len > 5 || str_to_int(p, &number) != OK || number < 0 || number > 65535)
        return false;
    (void)str_copy(host, 256, h);
    (void)str_copy(port, 8, p);
    return true;
}

static int bind_one(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 && bind(fd, a->ai_addr, a->ai_addrlen) == 0 &&
        listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

enum err http_listen(struct str address, const char *setting, int *fd, struct fault *why)
{
    char host[256], port[8];
    if (!split_address(address, host, port)) {
        fault_set(why, str_of(setting), "\"%.*s\" is no address: write host:port", STR_ARG(address));
        return ERR_FORMAT;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *list = NULL;
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc != 0) {
        fault_set(why, str_of(setting), "%.*s: %s", STR_ARG(address), gai_strerror(rc));
        return ERR_IO;
    }
    *fd = -1;
    for (const struct addrinfo *a = list; a != NULL && *fd < 0; a = a->ai_next)
        *fd = bind_one(a);
    int saved = errno;
    freeaddrinfo(list);
    if (*fd >= 0)
        return OK;
    fault_set(why, str_of(setting), "cannot listen on %.*s: %s", STR_ARG(address), strerror(saved));
    return saved == EADDRINUSE ? ERR_BUSY : ERR_IO;
}
