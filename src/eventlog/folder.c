/* eventlog/folder.c - the names of segments, and the list of them in a directory. */
#include "eventlog/segment.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_PREFIX "log-"
#define NAME_SUFFIX ".log"
#define NAME_DIGITS 20
#define NAME_LEN    (sizeof NAME_PREFIX - 1 + NAME_DIGITS + sizeof NAME_SUFFIX - 1)

/* ---- names ---- */

void segment_name(uint64_t first, char out[SEGMENT_NAME_MAX])
{
    (void)snprintf(out, SEGMENT_NAME_MAX, NAME_PREFIX "%0*llu" NAME_SUFFIX, NAME_DIGITS, (unsigned long long)first);
}

enum err segment_path(struct str dir, const char *name, const char *suffix, char out[SEGMENT_PATH_MAX])
{
    int len = snprintf(out, SEGMENT_PATH_MAX, "%.*s/%s%s", STR_ARG(dir), name, suffix);

    return len < 0 || len >= SEGMENT_PATH_MAX ? ERR_RANGE : OK;
}

/* Position in a segment's name; 0: it is none. rest gets what follows the name. */
static uint64_t name_first(const char *name, const char **rest)
{
    const size_t digits = sizeof NAME_PREFIX - 1;
    int64_t first = 0;

    if (strlen(name) < NAME_LEN || memcmp(name, NAME_PREFIX, digits) != 0 ||
        memcmp(name + digits + NAME_DIGITS, NAME_SUFFIX, sizeof NAME_SUFFIX - 1) != 0 || name[digits] == '-')
        return 0;
    if (str_to_int((struct str){name + digits, NAME_DIGITS}, &first) != OK || first < 1)
        return 0;
    *rest = name + NAME_LEN;
    return (uint64_t)first;
}

void segment_list_add(struct segment_list *l, uint64_t first)
{
    if (l->count == l->room) {
        l->room = l->room == 0 ? 16 : 2 * l->room;
        l->firsts = mem_grow(l->firsts, l->room, sizeof *l->firsts);
    }
    l->firsts[l->count++] = first;
}

void segment_list_release(struct segment_list *l)
{
    free(l->firsts);
    *l = (struct segment_list){0};
}

static int compare_firsts(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static DIR *open_dir(struct str dir, enum err *error, struct fault *why)
{
    char path[SEGMENT_PATH_MAX];

    *error = segment_path(dir, ".", "", path);
    DIR *d = *error == OK ? opendir(path) : NULL;
    if (d == NULL && *error == OK)
        *error = errno == ENOENT || errno == ENOTDIR ? ERR_UNKNOWN : ERR_IO;
    if (d == NULL)
        fault_set(why, dir, "the log's directory cannot be read: %s", strerror(errno));
    return d;
}

enum err segment_list_read(struct str dir, struct segment_list *out, struct fault *why)
{
    enum err error;
    DIR *d = open_dir(dir, &error, why);
    const char *rest;

    if (d == NULL)
        return error;
    struct segment_list found = {0};
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        uint64_t first = name_first(e->d_name, &rest);
        if (first != 0 && *rest == 0)
            segment_list_add(&found, first);
    }
    (void)closedir(d);
    if (found.count > 1)
        qsort(found.firsts, found.count, sizeof *found.firsts, compare_firsts);
    free(out->firsts);
    *out = found;
    return OK;
}

size_t segment_list_floor(const struct segment_list *l, uint64_t position)
{
    size_t low = 0, high = l->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->firsts[middle] <= position)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? SIZE_MAX : low - 1;
}

static enum err remove_file(const struct segment_options *o, const char *name, struct fault *why)
{
    char path[SEGMENT_PATH_MAX];
    enum err e = segment_path(o->dir, name, "", path);

    if (e == OK && o->files->unlink(path) != 0 && errno != ENOENT) {
        fault_set(why, str_of(name), "cannot be deleted: %s", strerror(errno));
        return ERR_IO;
    }
    return e;
}

enum err segment_sweep(const struct segment_options *o, struct fault *why)
{
    enum err error;
    DIR *d = open_dir(o->dir, &error, why);
    const char *rest;

    for (struct dirent *e; d != NULL && error == OK && (e = readdir(d)) != NULL;) {
        if (name_first(e->d_name, &rest) != 0 && *rest != 0)
            error = remove_file(o, e->d_name, why);
    }
    if (d != NULL)
        (void)closedir(d);
    return error;
}

enum err segment_remove(const struct segment_options *o, uint64_t first, struct fault *why)
{
    char name[SEGMENT_NAME_MAX];

    segment_name(first, name);
    return remove_file(o, name, why);
}

int64_t segment_disk_size(struct str dir, uint64_t first)
{
    char name[SEGMENT_NAME_MAX], path[SEGMENT_PATH_MAX];
    struct stat st;

    segment_name(first, name);
    return segment_path(dir, name, "", path) == OK && stat(path, &st) == 0 ? st.st_size : 0;
}
