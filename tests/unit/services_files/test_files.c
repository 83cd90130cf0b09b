/* Files on a real folder and a real store: what is kept comes back as it was; whatever fails on the way leaves neither
 * row nor bytes; what a crash leaves is removed by the next start, and what it does not leave is not. */
#include "check.h"
#include "eventlog/files.h"
#include "place.h"
#include "services/files/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID_1      "0197a1b2-0000-7000-8000-000000000001"
#define ID_2      "0197a1b2-0000-7000-8000-000000000002"
#define ID_3      "0197a1b2-0000-7000-8000-000000000003"
#define STEPS_MAX 20 /* of one upload */
#define COUNT_MAX 3
#define ORPHANS   2

static char root[PLACE_MAX], dir[PLACE_PATH_MAX], db_path[PLACE_PATH_MAX];
static struct db *db;
static struct files *files;

/* --- a disk that fails at its n-th step, or from it on, and tells what was asked of it --- */

static struct {
    int step, first, last; /* steps that fail */
    int code;
    char seen[256];
} disk;

static bool asked(const char *what)
{
    size_t len = strlen(disk.seen);
    (void)snprintf(disk.seen + len, sizeof disk.seen - len, "%s%s", len == 0 ? "" : " ", what);
    disk.step++;
    errno = disk.code;
    return disk.step < disk.first || disk.step > disk.last;
}

static int disk_open(const char *path, int flags, mode_t mode)
{
    return asked("open") ? open(path, flags, mode) : -1;
}

static ssize_t disk_pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    const struct iovec half = {parts->iov_base, parts->iov_len / 2};
    if (asked("write"))
        return pwritev(fd, parts, count, at);
    (void)!pwritev(fd, &half, 1, at);
    errno = disk.code;
    return -1;
}

static int disk_fdatasync(int fd)
{
    return asked("sync") ? fdatasync(fd) : -1;
}

static int disk_fsync(int fd)
{
    return asked("sync-folder") ? fsync(fd) : -1;
}

static int disk_rename(const char *from, const char *to)
{
    return asked("name") ? rename(from, to) : -1;
}

static int disk_unlink(const char *path)
{
    return asked("unlink") ? unlink(path) : -1;
}

static const struct log_files failing = {.open = disk_open,
                                         .pwritev = disk_pwritev,
                                         .fdatasync = disk_fdatasync,
                                         .fsync = disk_fsync,
                                         .rename = disk_rename,
                                         .unlink = disk_unlink};

static void disk_arm(int first, int last, int code)
{
    disk.step = 0;
    disk.first = first;
    disk.last = last;
    disk.code = code;
    disk.seen[0] = '\0';
}

static void disk_heal(void)
{
    disk_arm(0, 0, 0);
}

/* --- the folder and the rows as they are --- */

static int names(void)
{
    int count = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        count += e->d_name[0] != '.';
    if (d != NULL)
        (void)closedir(d);
    return count;
}

static bool has_name(const char *name)
{
    char path[PLACE_PATH_MAX + 96];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

static void put_name(const char *name, const char *text)
{
    char path[PLACE_PATH_MAX + 96];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    check(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void remove_name(const char *name)
{
    char path[PLACE_PATH_MAX + 96];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    check(unlink(path) == 0);
}

static int64_t rows(void)
{
    struct db_rows *r = db_rows(db, "SELECT COUNT(*) FROM files", NULL, 0);
    int64_t count = db_next(r) ? db_col_int(r, 0) : -1;
    check(db_rows_end(r) == OK);
    return count;
}

static enum err delete_row(const char *id)
{
    enum err e = db_begin(db);
    if (e == OK)
        e = file_row_delete(db, str_of(id));
    if (e == OK)
        return db_commit(db);
    db_rollback(db);
    return e;
}

/* --- adding --- */

static enum err row_refusal; /* of the next row; OK: it is made */

static enum err make_row(void *arg, const struct file *f)
{
    enum err e = db_begin(db);
    (void)arg;
    (void)asked("row");
    if (e == OK)
        e = file_row_add(db, files, f);
    if (e == OK && row_refusal != OK)
        e = row_refusal;
    if (e == OK)
        return db_commit(db);
    db_rollback(db);
    return e;
}

static enum err add(const char *id, struct bytes content, struct fault *why)
{
    struct upload u = {.file = {.file_id = str_of(id),
                                .name = STR("boot.bin"),
                                .kind = STR(FILE_KIND_FIRMWARE),
                                .version = STR("1.2"),
                                .created_by = STR("tests"),
                                .created_at = {1000000}},
                       .content = content,
                       .make_row = make_row};
    file_measure(content, &u.file);
    return file_add(files, &u, why);
}

static enum err add_text(const char *id, const char *text)
{
    struct fault why = {"", ""};
    return add(id, bytes_of(str_of(text)), &why);
}

static void clear(void)
{
    char path[PLACE_PATH_MAX + 96];
    DIR *d = opendir(dir);
    check(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        (void)snprintf(path, sizeof path, "%s/%.80s", dir, e->d_name);
        check(e->d_name[0] == '.' || unlink(path) == 0);
    }
    (void)closedir(d);
    check(db_run(db, "DELETE FROM files", NULL, 0) == OK);
    disk_heal();
}

/* --- tests --- */

static const struct {
    const char *row, *text, *sha256;
    uint32_t sum;
} measures[] = {
    {"nothing", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0},
    {"text", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 'a' + 'b' + 'c'},
};

static void test_measure(void)
{
    struct file f;
    for (size_t i = 0; i < COUNT_OF(measures); i++) {
        file_measure(bytes_of(str_of(measures[i].text)), &f);
        CHECK(measures[i].row, strcmp(f.sha256, measures[i].sha256) == 0);
        CHECK(measures[i].row, f.byte_sum == measures[i].sum);
        CHECK(measures[i].row, f.size_bytes == (int64_t)strlen(measures[i].text));
    }
    size_t len = UINT32_MAX / 255 + 1;
    uint8_t *much = mem_new(len, 1);
    memset(much, 0xff, len);
    file_measure((struct bytes){much, len}, &f);
    CHECK("a sum past 32 bits wraps", f.byte_sum == (uint32_t)(len * 255));
    free(much);
}

static const struct {
    const char *row;
    uint64_t offset;
    size_t len;
    const char *want;
} parts[] = {
    {"the whole", 0, 10, "0123456789"},
    {"its beginning", 0, 4, "0123"},
    {"from within", 3, 4, "3456"},
    {"over its end", 8, 4, "89"},
    {"at its end", 10, 4, ""},
    {"past its end", 1000, 4, ""},
    {"more than there is", 0, 64, "0123456789"},
    {"nothing", 5, 0, ""},
};

static const char *const no_ids[] = {
    ID_2, "", "..", "../store.db", ID_1 "/", ID_1 ".part", "0197A1B2-0000-7000-8000-000000000001", "0197a1b2",
};

static void test_reading(void)
{
    struct buf b;
    struct arena a;
    struct file f;
    int fd = -1;
    int64_t size;
    buf_init(&b, 64);
    arena_init(&a, 1 << 16);
    CHECK("a file is kept", add_text(ID_1, "0123456789") == OK);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        buf_clear(&b);
        CHECK(parts[i].row, file_read(str_of(dir), STR(ID_1), parts[i].offset, parts[i].len, &b) == OK);
        CHECK(parts[i].row, str_eq(buf_str(&b), str_of(parts[i].want)));
    }
    CHECK("more than the buffer takes", file_read(str_of(dir), STR(ID_1), 0, 65, &b) == ERR_MEMORY);
    buf_clear(&b);
    for (size_t i = 0; i < COUNT_OF(no_ids); i++) {
        CHECK(no_ids[i], file_read(str_of(dir), str_of(no_ids[i]), 0, 1, &b) == ERR_UNKNOWN && b.len == 0);
        CHECK(no_ids[i], file_open(str_of(dir), str_of(no_ids[i]), &fd, &size) == ERR_UNKNOWN && fd == -1);
        CHECK(no_ids[i], file_find(db, str_of(no_ids[i]), &a, &f) == ERR_UNKNOWN);
        CHECK(no_ids[i], delete_row(no_ids[i]) == ERR_UNKNOWN);
    }
    CHECK("it is opened", file_open(str_of(dir), STR(ID_1), &fd, &size) == OK && size == 10);
    CHECK("and found", file_find(db, STR(ID_1), &a, &f) == OK && str_eq(f.name, STR("boot.bin")) &&
                           str_eq(f.kind, STR("firmware")) && str_eq(f.version, STR("1.2")) && f.note.at == NULL &&
                           str_eq(f.created_by, STR("tests")) && f.size_bytes == 10 && f.byte_sum == 525 &&
                           strlen(f.sha256) == 64 && f.created_at.us == 1000000);
    CHECK("its row goes", delete_row(ID_1) == OK && rows() == 0);
    CHECK("then its bytes", file_remove(files, STR(ID_1)) == OK && names() == 0);
    CHECK("twice is no harm", file_remove(files, STR(ID_1)) == OK);
    char first = 0;
    CHECK("who has it open reads on", pread(fd, &first, 1, 0) == 1 && first == '0');
    CHECK("nobody opens it again", file_read(str_of(dir), STR(ID_1), 0, 1, &b) == ERR_UNKNOWN);
    (void)close(fd);
    arena_release(&a);
    buf_release(&b);
}

static void test_order(void)
{
    disk_heal();
    CHECK("a file is kept", add_text(ID_1, "x") == OK);
    CHECK("bytes are on disk and named before their row is made",
          strcmp(disk.seen, "open write sync name sync-folder row") == 0);
    CHECK("an id is used once", add_text(ID_2, "y") == OK && rows() == 2 && names() == 2);
    clear();
}

static const struct {
    const char *row;
    int length; /* steps that fail */
    int code;
    enum err want;
    bool is_clean; /* nothing is left to sweep */
} faults[] = {
    {"one step fails", 1, EIO, ERR_IO, true},
    {"one step finds the disk full", 1, ENOSPC, ERR_FULL, true},
    {"the disk fails for good", STEPS_MAX, EIO, ERR_IO, false},
};

/* The n-th step of an upload fails, for n = 1, 2, ... until it goes through: each time the state is as before. */
static void test_faults(void)
{
    struct files_swept swept;
    struct fault why;
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        int n = 1;
        enum err e = ERR_IO;
        for (; n < STEPS_MAX && e != OK; n++) {
            disk_arm(n, n + faults[i].length - 1, faults[i].code);
            why = (struct fault){"", ""};
            e = add(ID_1, bytes_of(STR("content")), &why);
            if (e == OK)
                break;
            CHECK(faults[i].row, e == faults[i].want && strcmp(why.reason, strerror(faults[i].code)) == 0);
            CHECK(faults[i].row, rows() == 0);
            CHECK(faults[i].row, !faults[i].is_clean || names() == 0);
            disk_heal();
            CHECK(faults[i].row, files_sweep(files, db, &swept, &why) == OK && names() == 0);
        }
        CHECK("open, write, sync, name and the folder's sync can fail", n == 6 && e == OK);
        CHECK("what went through is there", rows() == 1 && names() == 1);
        clear();
    }
    row_refusal = ERR_BUSY;
    CHECK("a row that is refused", add_text(ID_1, "content") == ERR_BUSY && rows() == 0 && names() == 0);
    row_refusal = OK;
    for (int i = 0; i < COUNT_MAX; i++) {
        char id[] = ID_1;
        id[35] = (char)('1' + i);
        CHECK("as many as are taken", add_text(id, "content") == OK);
    }
    CHECK("and no more", add_text("0197a1b2-0000-7000-8000-000000000009", "content") == ERR_LIMIT &&
                             rows() == COUNT_MAX && names() == COUNT_MAX);
    CHECK("nor one that is no id", add_text("../x", "content") == ERR_UNKNOWN && names() == COUNT_MAX);
    clear();
    disk_arm(1, 1, EIO);
    CHECK("removing can fail", add_text(ID_1, "x") == ERR_IO);
    disk_heal();
    CHECK("a file is kept", add_text(ID_1, "x") == OK && delete_row(ID_1) == OK);
    disk_arm(1, 1, EIO);
    CHECK("bytes that stay", file_remove(files, STR(ID_1)) == ERR_IO && names() == 1);
    disk_heal();
    CHECK("go with the next start", files_sweep(files, db, &swept, &why) == OK && swept.removed == 1 && names() == 0);
}

static void test_sweep(void)
{
    struct files_swept swept = {9, 9};
    struct fault why = {"", ""};
    CHECK("nothing to sweep", files_sweep(files, db, &swept, &why) == OK && swept.removed == 0 && swept.left == 0);
    CHECK("a file is kept", add_text(ID_1, "kept") == OK);
    put_name(ID_2, "whole");
    put_name(ID_2 ".part", "ha");
    put_name(ID_3 ".part", "ha");
    put_name("README", "of a person");
    put_name(".part", "of nobody");
    CHECK("what a crash leaves goes", files_sweep(files, db, &swept, &why) == OK && swept.removed == 3);
    CHECK("what is not ours stays, and is told", swept.left == 2 && has_name("README") && has_name(".part"));
    CHECK("what has its row stays", has_name(ID_1) && rows() == 1);
    remove_name("README");
    remove_name(".part");
    /* another store in the place of ours: it has none of these */
    CHECK("more are kept", add_text(ID_2, "kept") == OK && add_text(ID_3, "kept") == OK);
    check(db_run(db, "ALTER TABLE files RENAME TO files_kept", NULL, 0) == OK);
    CHECK("no table: nothing is removed", files_sweep(files, db, &swept, &why) != OK && names() == 3);
    CHECK("and it is said why", why.reason[0] != '\0');
    check(db_run(db, "CREATE TABLE files AS SELECT * FROM files_kept WHERE 0", NULL, 0) == OK);
    CHECK("a store that knows none: more than a crash leaves stays",
          files_sweep(files, db, &swept, &why) == OK && swept.removed == 0 && swept.left == 3 && names() == 3);
    check(db_run(db, "DROP TABLE files", NULL, 0) == OK);
    check(db_run(db, "ALTER TABLE files_kept RENAME TO files", NULL, 0) == OK);
    CHECK("ours is back", files_sweep(files, db, &swept, &why) == OK && swept.left == 0 && rows() == 3);
    clear();
}

struct told {
    unsigned count[FILE_TROUBLE_COUNT];
    char names[FILE_TROUBLE_COUNT][64];
};

static void tell(void *data, enum file_trouble t, struct str name)
{
    struct told *told = data;
    told->count[t]++;
    (void)str_copy(told->names[t], sizeof told->names[t], name);
}

static bool is_told(struct told t, unsigned lost, unsigned other_size, unsigned stray)
{
    return t.count[FILE_LOST] == lost && t.count[FILE_OTHER_SIZE] == other_size && t.count[FILE_STRAY] == stray;
}

static void test_check(void)
{
    struct told t = {{0}, {{0}}};
    CHECK("nothing is there", files_check(db, str_of(dir), tell, &t) == OK && is_told(t, 0, 0, 0));
    CHECK("files are kept",
          add_text(ID_1, "one") == OK && add_text(ID_2, "two") == OK && add_text(ID_3, "three") == OK);
    CHECK("all is well", files_check(db, str_of(dir), tell, &t) == OK && is_told(t, 0, 0, 0));
    remove_name(ID_1);
    put_name(ID_3, "longer than three");
    put_name("README", "");
    CHECK("each trouble is told", files_check(db, str_of(dir), tell, &t) == OK && is_told(t, 1, 1, 1));
    CHECK("of whom", strcmp(t.names[FILE_LOST], ID_1) == 0 && strcmp(t.names[FILE_OTHER_SIZE], ID_3) == 0 &&
                         strcmp(t.names[FILE_STRAY], "README") == 0);
    CHECK("nothing was changed", names() == 3 && rows() == 3);
    memset(&t, 0, sizeof t);
    CHECK("without a folder all are lost", files_check(db, STR("/no-such-folder-anywhere"), tell, &t) == OK);
    CHECK("without a folder all are lost", is_told(t, 3, 0, 0));
    remove_name("README");
    clear();
}

static void test_opening(void)
{
    struct files *f = NULL;
    struct fault why = {"", ""};
    struct files_options o = {.dir = str_of(dir), .count_max = 1};
    CHECK("a folder that is there", files_open(&o, &f, &why) == OK && str_eq(files_dir(f), str_of(dir)));
    files_close(f);
    f = NULL;
    o.dir = STR("/no-such-folder-anywhere/files");
    CHECK("no folder to make it in", files_open(&o, &f, &why) == ERR_IO && strcmp(why.field, "data.dir") == 0);
    o.dir = str_of(db_path);
    CHECK("a file in its place", files_open(&o, &f, &why) == ERR_IO && f == NULL);
    o.dir = str_of(dir);
    o.disk = &failing;
    disk_arm(1, 1, EIO);
    CHECK("a parent that does not sync", files_open(&o, &f, &why) == ERR_IO && f == NULL);
    disk_heal();
    files_close(NULL);
}

int main(void)
{
    struct fault why = {"", ""};
    place_make(root, "files");
    (void)snprintf(dir, sizeof dir, "%s/files", root);
    (void)snprintf(db_path, sizeof db_path, "%s/store.db", root);
    check(db_open(db_path, DB_WRITER, &db, &why) == OK);
    check(db_migrate(db, files_migrations, files_migration_count, &why) == OK);
    const struct files_options o = {
        .dir = str_of(dir), .count_max = COUNT_MAX, .orphans_max = ORPHANS, .disk = &failing};
    check(files_open(&o, &files, &why) == OK);
    test_measure();
    test_reading();
    test_order();
    test_faults();
    test_sweep();
    test_check();
    test_opening();
    files_close(files);
    db_close(db);
    check(rmdir(dir) == 0);
    char path[PLACE_PATH_MAX + 8];
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        (void)snprintf(path, sizeof path, "%s%s", db_path, suffixes[i]);
        (void)unlink(path);
    }
    check(rmdir(root) == 0);
    return CHECK_REPORT();
}
