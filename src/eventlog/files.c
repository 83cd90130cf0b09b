#include "eventlog/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int system_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

const struct log_files log_files_system = {
    .open = system_open,
    .pwritev = pwritev,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .ftruncate = ftruncate,
    .fallocate = fallocate,
    .rename = rename,
    .unlink = unlink,
};

enum err files_error(void)
{
    if (errno == ENOSPC || errno == EDQUOT)
        return ERR_FULL;
    return errno == ENOMEM || errno == EMFILE || errno == ENFILE ? ERR_MEMORY : ERR_IO;
}

enum err files_write(const struct log_files *f, int fd, struct iovec *parts, int count, uint64_t at)
{
    while (count > 0) {
        if (parts->iov_len == 0) {
            parts++;
            count--;
            continue;
        }
        ssize_t n = f->pwritev(fd, parts, count, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO; /* it takes nothing and does not say why */
        if (n <= 0)
            return files_error();
        at += (uint64_t)n;
        for (size_t left = (size_t)n; left > 0;) {
            size_t step = left < parts->iov_len ? left : parts->iov_len;
            parts->iov_base = (uint8_t *)parts->iov_base + step;
            parts->iov_len -= step;
            left -= step;
            if (parts->iov_len == 0) {
                parts++;
                count--;
            }
        }
    }
    return OK;
}

enum err files_read(int fd, void *to, size_t len, uint64_t at, size_t *got)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, (uint8_t *)to + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return files_error();
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *got = done;
    return OK;
}

enum err files_sync_dir(const struct log_files *f, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = fd < 0 || f->fsync(fd) != 0 ? files_error() : OK;

    int reason = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = reason;
    return e;
}
