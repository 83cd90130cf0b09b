/* wire/port_holder.c - who has a port, as far as /proc tells: the listening socket's inode, then the process that holds it. */
#include "wire/conn_private.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCP_STATE_LISTEN 0x0A
#define LINE_SIZE        512
#define PATH_SIZE        300
#define NAME_SIZE        32

/* 0 if nothing listens there. */
static unsigned long find_inode(const char *path, unsigned port)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    char line[LINE_SIZE];
    unsigned long inode = 0;
    while (inode == 0 && fgets(line, sizeof line, f) != NULL) {
        unsigned local_port, state;
        unsigned long found;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %lu", &local_port, &state,
                   &found) == 3 &&
            local_port == port && state == TCP_STATE_LISTEN)
            inode = found;
    }
    (void)fclose(f);
    return inode;
}

static bool holds(const char *pid, const char *socket_name)
{
    char path[PATH_SIZE], target[PATH_SIZE];
    (void)snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *d = opendir(path);
    bool found = false;
    for (struct dirent *e; !found && d != NULL && (e = readdir(d)) != NULL;) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);
        target[n < 0 ? 0 : n] = 0;
        found = strcmp(target, socket_name) == 0;
    }
    if (d != NULL)
        (void)closedir(d);
    return found;
}

static void write_name(const char *pid, char *out, size_t size)
{
    char path[PATH_SIZE], name[NAME_SIZE] = "";
    (void)snprintf(path, sizeof path, "/proc/%s/comm", pid);
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        if (fgets(name, sizeof name, f) != NULL)
            name[strcspn(name, "\n")] = 0;
        (void)fclose(f);
    }
    (void)snprintf(out, size, " (pid %.10s, %s)", pid, name);
}

void port_holder_write(const struct sockaddr *a, char *out, size_t size)
{
    unsigned port = ntohs(a->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)a)->sin6_port
                                                   : ((const struct sockaddr_in *)(const void *)a)->sin_port);
    unsigned long inode = find_inode("/proc/net/tcp", port);
    if (inode == 0)
        inode = find_inode("/proc/net/tcp6", port);
    out[0] = 0;
    DIR *d = inode == 0 ? NULL : opendir("/proc");
    if (d == NULL)
        return;
    char socket_name[NAME_SIZE];
    (void)snprintf(socket_name, sizeof socket_name, "socket:[%lu]", inode);
    for (struct dirent *e; out[0] == 0 && (e = readdir(d)) != NULL;)
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && holds(e->d_name, socket_name))
            write_name(e->d_name, out, size);
    (void)closedir(d);
}
