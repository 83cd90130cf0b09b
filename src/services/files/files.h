/* services/files/files.h - files that people put here and stations are given (firmware): what each is, in the store,
 * and its bytes, under its id in a folder of their own. Bytes never change.
 *
 * Where there is a row there are its bytes. They are written under another name, synced, named, and their folder is
 * synced, before the row is made; a row goes before its bytes. What a crash leaves in between is bytes without a row,
 * which the next start removes. */
#ifndef SERVICES_FILES_FILES_H
#define SERVICES_FILES_FILES_H
#include "base/id.h"
#include "store/db.h"
#include "wire/secret.h"

#define FILE_KIND_FIRMWARE "firmware"

extern const struct migration files_migrations[];
extern const size_t files_migration_count;

struct log_files; /* eventlog/files.h */
struct files_options {
    struct str dir;               /* made if it is missing; its parent must be there */
    int64_t count_max;            /* rows */
    unsigned orphans_max;         /* most that a crash leaves: one for each thread that adds or deletes */
    const struct log_files *disk; /* NULL: the system's; tests put a failing one there */
};
struct files;
MUST_USE enum err files_open(const struct files_options *o, struct files **out, struct fault *why);
void files_close(struct files *f);
struct str files_dir(const struct files *f);

struct file {
    struct str file_id, name, kind, version, note, created_by; /* version, note: may be absent */
    int64_t size_bytes;
    char sha256[2 * SHA256_SIZE + 1]; /* hexadecimal, in lower case */
    uint32_t byte_sum;                /* of all bytes, modulo 2^32: what an AP3000 pile checks (ap3000.md 9) */
    struct instant created_at;
};
/* Size, digest and sum. */
void file_measure(struct bytes content, struct file *f);

struct upload {
    struct file file; /* measured */
    struct bytes content;
    /* Calls file_row_add in a transaction that is on disk when it returns. Its error is file_add's. */
    enum err (*make_row)(void *arg, const struct file *f);
    void *arg;
};
/* Bytes, then row. Any thread; waits for the disk. On every error there is neither (but for bytes that could not be
 * removed again: the next start does it). */
MUST_USE enum err file_add(const struct files *f, const struct upload *u, struct fault *why);
/* The second half of deleting, after file_row_delete is on disk. */
MUST_USE enum err file_remove(const struct files *f, struct str file_id);

/* --- rows: inside a transaction of d --- */
MUST_USE enum err file_row_add(struct db *d, const struct files *f, const struct file *row); /* ERR_LIMIT: count_max */
MUST_USE enum err file_row_delete(struct db *d, struct str file_id);                         /* ERR_UNKNOWN */
/* Text is in the arena. ERR_UNKNOWN: no row. */
MUST_USE enum err file_find(struct db *d, struct str file_id, struct arena *a, struct file *out);

/* --- bytes: any thread, any time; ERR_UNKNOWN: they are not there, or no longer --- */
/* Appends what lies from offset on: len bytes, less only at the end of the file. */
MUST_USE enum err file_read(struct str dir, struct str file_id, uint64_t offset, size_t len, struct buf *out);
/* *fd is the caller's to close. */
MUST_USE enum err file_open(struct str dir, struct str file_id, int *fd, int64_t *size);

/* --- rows and bytes compared --- */
struct files_swept {
    unsigned removed; /* bytes without a row, whole or half written */
    unsigned left;    /* not ours, or more than a crash leaves: then the store is not the one of these files */
};
/* At start, before anyone adds. */
MUST_USE enum err files_sweep(const struct files *f, struct db *d, struct files_swept *out, struct fault *why);

enum file_trouble { FILE_LOST, FILE_OTHER_SIZE, FILE_STRAY, FILE_TROUBLE_COUNT };
/* Changes nothing. name: the file's id; of a stray whatever it is called. Beside a running server what is being added
 * or deleted at this moment is a stray. */
MUST_USE enum err files_check(struct db *d, struct str dir,
                              void (*tell)(void *data, enum file_trouble t, struct str name), void *data);
#endif
