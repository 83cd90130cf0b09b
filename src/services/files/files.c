/* services/files/files.c - the bytes of files, and the order in which bytes and rows come and go. */
#include "services/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services/files/files_private.h"

#define FOLDER_MODE 0750
#define FILE_MODE   0640

bool is_file_id(struct str s)
{
    struct uuid u;
    char text[UUID_TEXT_SIZE];
    if (uuid_parse(s, &u) != OK)
        return false;
    uuid_write(u, text);
    return str_eq(str_of(text), s);
}

enum err file_path(struct str dir, struct str file_id, const char *suffix, char out[FILES_PATH_SIZE])
{
    if (!is_file_id(file_id))
        return ERR_UNKNOWN;
    int n = snprintf(out, FILES_PATH_SIZE, "%.*s/%.*s%s", STR_ARG(dir), STR_ARG(file_id), suffix);
    return n > 0 && n < FILES_PATH_SIZE ? OK : ERR_RANGE;
}

/* --- opening --- */

/* The folder's own name is synced too: rows of what is in it will be. */
static enum err make_folder(const struct files *f)
{
    char parent[FILES_PATH_SIZE];
    if (mkdir(f->dir, FOLDER_MODE) != 0 && errno != EEXIST)
        return files_error();
    (void)snprintf(parent, sizeof parent, "%s/..", f->dir);
    return files_sync_dir(f->disk, parent);
}

enum err files_open(const struct files_options *o, struct files **out, struct fault *why)
{
    struct files *f = mem_new(1, sizeof *f);
    if (o->dir.len >= sizeof f->dir) {
        fault_set(why, STR("data.dir"), "the path is too long");
        free(f);
        return ERR_RANGE;
    }
    (void)str_copy(f->dir, sizeof f->dir, o->dir);
    f->count_max = o->count_max;
    f->orphans_max = o->orphans_max;
    f->disk = o->disk == NULL ? &log_files_system : o->disk;
    enum err e = make_folder(f);
    if (e != OK) {
        fault_set(why, STR("data.dir"), "%s: %s", f->dir, strerror(errno));
        free(f);
        return e;
    }
    *out = f;
    return OK;
}

void files_close(struct files *f)
{
    free(f);
}

struct str files_dir(const struct files *f)
{
    return str_of(f->dir);
}

/* --- adding and removing --- */

void file_measure(struct bytes content, struct file *f)
{
    uint8_t digest[SHA256_SIZE];
    uint32_t sum = 0;
    for (size_t i = 0; i < content.len; i++)
        sum += content.at[i];
    sha256(content, digest);
    hex_write((struct bytes){digest, sizeof digest}, f->sha256);
    f->size_bytes = (int64_t)content.len;
    f->byte_sum = sum;
}

/* All of them on disk, under a name that nobody looks for. errno is that of the first failure. */
static enum err write_part(const struct files *f, const char *part, struct bytes content)
{
    int fd = f->disk->open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return files_error();
    struct iovec piece = {(void *)(uintptr_t)content.at, content.len};
    enum err e = files_write(f->disk, fd, &piece, 1, 0);
    if (e == OK && f->disk->fdatasync(fd) != 0)
        e = files_error();
    int reason = errno;
    (void)close(fd); /* what it could say the sync has said */
    errno = reason;
    return e;
}

static enum err write_bytes(const struct files *f, const char *part, const char *path, struct bytes content)
{
    enum err e = write_part(f, part, content);
    if (e == OK && f->disk->rename(part, path) != 0)
        e = files_error();
    return e == OK ? files_sync_dir(f->disk, f->dir) : e;
}

enum err file_add(const struct files *f, const struct upload *u, struct fault *why)
{
    char path[FILES_PATH_SIZE], part[FILES_PATH_SIZE];
    enum err e = file_path(files_dir(f), u->file.file_id, "", path);
    if (e == OK)
        e = file_path(files_dir(f), u->file.file_id, PART_SUFFIX, part);
    if (e != OK) {
        fault_set(why, STR("file_id"), "%s", err_text(e));
        return e;
    }
    e = write_bytes(f, part, path, u->content);
    if (e != OK)
        fault_set(why, STR("files"), "%s", strerror(errno));
    else
        e = u->make_row(u->arg, &u->file);
    if (e != OK) {
        (void)f->disk->unlink(part);
        (void)f->disk->unlink(path);
    }
    return e;
}

enum err file_remove(const struct files *f, struct str file_id)
{
    char path[FILES_PATH_SIZE];
    enum err e = file_path(files_dir(f), file_id, "", path);
    if (e != OK)
        return e;
    return f->disk->unlink(path) == 0 || errno == ENOENT ? OK : files_error();
}

/* --- reading --- */

enum err file_open(struct str dir, struct str file_id, int *fd, int64_t *size)
{
    char path[FILES_PATH_SIZE];
    struct stat st;
    enum err e = file_path(dir, file_id, "", path);
    if (e != OK)
        return e;
    int opened = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (opened < 0)
        return errno == ENOENT ? ERR_UNKNOWN : files_error();
    if (fstat(opened, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(opened);
        return ERR_IO;
    }
    *fd = opened;
    *size = st.st_size;
    return OK;
}

enum err file_read(struct str dir, struct str file_id, uint64_t offset, size_t len, struct buf *out)
{
    int fd = -1;
    int64_t size = 0;
    size_t got = 0;
    enum err e = file_open(dir, file_id, &fd, &size);
    if (e != OK)
        return e;
    uint8_t *to = buf_reserve(out, len);
    e = to == NULL ? ERR_MEMORY : files_read(fd, to, len, offset, &got);
    (void)close(fd);
    out->len += e == OK ? got : 0;
    return e;
}
