/* services/files/strays.c - rows and bytes compared: at start, to remove what a crash left; by doctor, to tell. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "services/files/files_private.h"

/* Calls on_stray for each name in the folder that no row has; no folder has none. Rows are looked up after the folder
 * was read up to there, and one by one: what is deleted meanwhile is seen so. */
static enum err walk(struct db *d, const char *dir, void (*on_stray)(void *data, struct str name), void *data)
{
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return errno == ENOENT ? OK : files_error();
    enum err e = OK;
    errno = 0;
    for (struct dirent *entry; e == OK && (entry = readdir(folder)) != NULL; errno = 0) {
        struct str name = str_of(entry->d_name);
        bool has_row = str_eq(name, STR(".")) || str_eq(name, STR(".."));
        if (is_file_id(name))
            e = file_row_exists(d, name, &has_row);
        if (e == OK && !has_row)
            on_stray(data, name);
    }
    if (e == OK && errno != 0)
        e = files_error();
    int reason = errno;
    (void)closedir(folder);
    errno = reason;
    return e;
}

/* --- removing --- */

struct sweep {
    const struct files *f;
    unsigned orphans; /* whole ones */
    struct files_swept swept;
};

static bool is_part(struct str name)
{
    const struct str suffix = STR(PART_SUFFIX);
    if (name.len <= suffix.len)
        return false;
    size_t head = name.len - suffix.len;
    return str_eq((struct str){name.at + head, suffix.len}, suffix) && is_file_id((struct str){name.at, head});
}

static void count_orphan(void *data, struct str name)
{
    ((struct sweep *)data)->orphans += is_file_id(name);
}

static void remove_stray(void *data, struct str name)
{
    struct sweep *s = data;
    char path[FILES_PATH_SIZE];
    struct str id = {name.at, name.len < UUID_TEXT_SIZE ? name.len : UUID_TEXT_SIZE - 1};
    bool goes = is_part(name) || (is_file_id(name) && s->orphans <= s->f->orphans_max);
    goes = goes && file_path(files_dir(s->f), id, is_part(name) ? PART_SUFFIX : "", path) == OK &&
           s->f->disk->unlink(path) == 0;
    s->swept.removed += goes;
    s->swept.left += !goes;
}

/* Someone may have put another store in the place of the one that knew these files, or none: a crash leaves few. */
enum err files_sweep(const struct files *f, struct db *d, struct files_swept *out, struct fault *why)
{
    struct sweep s = {.f = f};
    enum err e = walk(d, f->dir, count_orphan, &s);
    if (e == OK)
        e = walk(d, f->dir, remove_stray, &s);
    if (e == OK)
        *out = s.swept;
    else
        fault_set(why, STR("files"), "%s: %s", f->dir, db_refusal(d) != OK ? db_reason(d) : strerror(errno));
    return e;
}

/* --- telling --- */

struct telling {
    void (*tell)(void *data, enum file_trouble t, struct str name);
    void *data;
};

static void tell_stray(void *data, struct str name)
{
    const struct telling *t = data;
    t->tell(t->data, FILE_STRAY, name);
}

/* The first row behind an id; a statement of its own each time, so that each sees what is there now. */
static enum err next_row(struct db *d, char file_id[UUID_TEXT_SIZE], int64_t *size)
{
    struct db_rows *r = DB_ROWS(d, "SELECT file_id, size_bytes FROM files WHERE file_id > ?1 ORDER BY file_id LIMIT 1",
                                db_text(str_of(file_id)));
    bool is_there = db_next(r);
    if (is_there) {
        (void)str_copy(file_id, UUID_TEXT_SIZE, db_col_text(r, 0));
        *size = db_col_int(r, 1);
    }
    enum err e = db_rows_end(r);
    return e == OK && !is_there ? ERR_UNKNOWN : e;
}

static enum err check_row(struct db *d, struct str dir, struct str file_id, int64_t size, const struct telling *t)
{
    int fd = -1;
    int64_t found = -1;
    bool has_row = true;
    enum err e = file_open(dir, file_id, &fd, &found);
    if (e == OK)
        (void)close(fd);
    if (e != OK && e != ERR_UNKNOWN)
        return e;
    if (e == OK && found == size)
        return OK;
    enum file_trouble trouble = e == OK ? FILE_OTHER_SIZE : FILE_LOST;
    e = file_row_exists(d, file_id, &has_row); /* deleted meanwhile, row first? */
    if (e == OK && has_row)
        t->tell(t->data, trouble, file_id);
    return e;
}

enum err files_check(struct db *d, struct str dir, void (*tell)(void *data, enum file_trouble t, struct str name),
                     void *data)
{
    struct telling t = {tell, data};
    char id[UUID_TEXT_SIZE] = "", path[FILES_PATH_SIZE];
    int64_t size = 0;
    enum err e;
    while ((e = next_row(d, id, &size)) == OK && (e = check_row(d, dir, str_of(id), size, &t)) == OK)
        ;
    if (e != ERR_UNKNOWN)
        return e;
    (void)str_copy(path, sizeof path, dir);
    return walk(d, path, tell_stray, &t);
}
