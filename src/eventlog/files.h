/* eventlog/files.h - what the log asks of the system that changes something on the disk, as a table: tests put a failing disk there.
 * Each is the system's call of its name. Reading is not here: a reader that fails says so and is asked again. */
#ifndef EVENTLOG_FILES_H
#define EVENTLOG_FILES_H
#include "base/base.h"

#include <sys/types.h>
#include <sys/uio.h>

struct log_files {
    int (*open)(const char *path, int flags, mode_t mode);
    ssize_t (*pwritev)(int fd, const struct iovec *parts, int count, off_t at);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd); /* of a directory */
    int (*ftruncate)(int fd, off_t size);
    int (*fallocate)(int fd, int mode, off_t at, off_t len);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
};
extern const struct log_files log_files_system;

/* All of parts, whatever the system takes at a time; parts are used up. */
MUST_USE enum err files_write(const struct log_files *f, int fd, struct iovec *parts, int count, uint64_t at);
/* Reads until len or the end of the file; *got says which. */
MUST_USE enum err files_read(int fd, void *to, size_t len, uint64_t at, size_t *got);
/* Syncs a directory after something in it got, changed or lost its name. */
MUST_USE enum err files_sync_dir(const struct log_files *f, const char *path);
/* errno as ours: ERR_FULL, ERR_MEMORY, ERR_IO. */
enum err files_error(void);
#endif
