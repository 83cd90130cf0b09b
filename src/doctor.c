/* doctor.c - chargeline doctor: looks at a data directory, its server running or not, and says of each thing whether it
 * is well and what to do where it is not. It changes nothing. A check is a row of a table; it says one line or several.
 */
#include "commands.h"
#include "event_words.h"
#include "migrations.h"
#include "options.h"

#include "eventlog/reader.h"
#include "loop/loop.h"
#include "services/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PATH_SIZE         4400
#define TEXT_SIZE_MAX     65536
#define DAMAGES_TOLD_MAX  50
#define ROWS_TOLD_MAX     20
#define LAG_WARN_EVENTS   10000
#define DISK_BAD_BYTES    ((uint64_t)256 << 20) /* two log segments */
#define DISK_WARN_BYTES   ((uint64_t)2 << 30)
#define DISK_WARN_PERCENT 5
#define FILES_BAD         1024
#define FILES_WARN        20000                                /* device.connections_max and what else is open */
#define CLOCK_LEAST       ((struct instant){1767225600000000}) /* 2026-01-01: older than this program */
#define CLOCK_BACK        SPAN_S(5)                            /* a clock that is being adjusted may go back so far */

enum verdict { WELL, WARNING, BAD, VERDICT_COUNT };
static const struct {
    const char *word, *colour;
} verdicts[VERDICT_COUNT] = {{"ok", "\033[32m"}, {"warn", "\033[33m"}, {"bad", "\033[31m"}};

struct cursor {
    char name[64];
    uint64_t position;
};
struct doctor {
    const char *data;
    bool is_quick;
    bool is_coloured, has_progress;
    const char *check; /* the name of the one under way */
    unsigned count[VERDICT_COUNT];
    bool has_data, is_running;
    struct log_reader *log; /* NULL: it cannot be read */
    struct db *store;       /* likewise */
    unsigned damages;
    struct buf text;
};
static struct doctor doctor = {.data = "./data"};

static const struct option_line options[] = {
    {"--data", "DIR", "the server's data directory (./data)", OPTION_TEXT, &doctor.data},
    {"--quick", NULL, "leave out what reads everything: the whole log, the whole store", OPTION_SWITCH,
     &doctor.is_quick},
};
static const struct command_page page = {
    .name = "doctor",
    .usage = "[--data DIR] [--quick]",
    .about = "Says what is wrong with a data directory, its server running or not, and what to do. Changes nothing.\n"
             "Run it as the user that the server runs as.",
    .more = "example: chargeline doctor --data /var/lib/chargeline\n\n"
            "exit: 0 nothing is bad (there may be warnings), 1 something is, 2 usage\n",
    .options = options,
    .option_count = COUNT_OF(options),
};

/* One line; advice (may be NULL) what to do. */
static void say(struct doctor *d, enum verdict v, const char *advice, const char *format, ...) PRINTF(4, 5);
static void say(struct doctor *d, enum verdict v, const char *advice, const char *format, ...)
{
    va_list va;
    d->count[v]++;
    (void)printf("%s%-4s%s  %-12s ", d->is_coloured ? verdicts[v].colour : "", verdicts[v].word,
                 d->is_coloured ? "\033[0m" : "", d->check);
    va_start(va, format);
    (void)vprintf(format, va);
    va_end(va);
    (void)printf("\n");
    if (advice != NULL)
        (void)printf("%20s-> %s\n", "", advice);
    (void)fflush(stdout);
}

static void in_data(const struct doctor *d, const char *name, char out[PATH_SIZE])
{
    (void)snprintf(out, PATH_SIZE, "%s/%s", d->data, name);
}

/* "1.5 GB" */
static const char *size_text(uint64_t bytes, char out[24])
{
    static const char *const size_units[] = {"B", "KB", "MB", "GB", "TB"};
    size_t unit = 0;
    uint64_t tenths = bytes * 10;
    for (; tenths >= 10000 && unit + 1 < COUNT_OF(size_units); unit++)
        tenths /= 1000;
    (void)snprintf(out, 24, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10, size_units[unit]);
    return out;
}

/* --- directory, key, server --- */

static void check_directory(struct doctor *d)
{
    struct stat st;
    if (stat(d->data, &st) != 0) {
        say(d, BAD, "name the folder that serve was started with: --data DIR (data.dir)", "%s: %s", d->data,
            strerror(errno));
        return;
    }
    d->has_data = S_ISDIR(st.st_mode);
    if (!d->has_data)
        say(d, BAD, "name a folder", "%s is no folder", d->data);
    else if (access(d->data, R_OK | W_OK | X_OK) != 0)
        say(d, BAD, "run it as the user of the server, or give that user the folder", "%s: %s", d->data,
            strerror(errno));
    else if ((st.st_mode & S_IWOTH) != 0)
        say(d, WARNING, "chmod o-w the folder", "anyone on this machine may write to %s", d->data);
    else
        say(d, WELL, NULL, "%s", d->data);
}

static void check_key(struct doctor *d)
{
    char path[PATH_SIZE];
    struct stat st;
    in_data(d, "admin.key", path);
    if (stat(path, &st) != 0 && errno == ENOENT)
        say(d, WELL, NULL, "no admin.key here: deleted after use, or not made yet");
    else if (stat(path, &st) != 0)
        say(d, BAD, "look at its folder's permissions", "%s: %s", path, strerror(errno));
    else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        say(d, BAD, "chmod 600 it; if anyone may have read it, make another admin key and delete this one",
            "%s can be read by others (mode %04o)", path, (unsigned)st.st_mode & 07777);
    else
        say(d, WELL, NULL, "%s is its owner's only", path);
}

/* A shared lock for an instant: refused exactly while a server holds its exclusive one. */
static void check_server(struct doctor *d)
{
    char path[PATH_SIZE];
    in_data(d, "lock", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT) {
        say(d, WARNING, "run it as the user of the server", "%s: %s", path, strerror(errno));
        return;
    }
    d->is_running = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        (void)close(fd);
    say(d, WELL, NULL, d->is_running ? "a server holds this directory" : "no server is running here");
}

/* --- log --- */

static bool tell_damage(void *data, const struct fault *why)
{
    struct doctor *d = data;
    if (d->damages++ < DAMAGES_TOLD_MAX)
        say(d, BAD, NULL, "%s: %s", why->field, why->reason);
    return true;
}

static void verify_log(struct doctor *d, uint64_t oldest, uint64_t newest)
{
    uint64_t checked = 0;
    if (d->has_progress)
        (void)fprintf(stderr, "reading %" PRIu64 " events ...\r", newest - oldest + 1);
    enum err e = reader_verify(d->log, tell_damage, d, &checked);
    if (d->has_progress)
        (void)fprintf(stderr, "%60s\r", "");
    if (e == OK)
        say(d, WELL, NULL, "all %" PRIu64 " events read, every checksum right", checked);
    else
        say(d, BAD,
            "keep a copy of the directory; restore the named files from a backup of this log if there is one; else the "
            "server goes on "
            "behind the damage, and what consumers made of those events before is still in the store",
            "damage at %u places, %" PRIu64 " events can be read", d->damages, checked);
}

static void check_log(struct doctor *d)
{
    char path[PATH_SIZE];
    struct fault why = {0};
    in_data(d, "log", path);
    enum err e = reader_open(str_of(path), &d->log, &why);
    if (e == ERR_UNKNOWN && !d->is_running) {
        say(d, WARNING, "start the server, or look whether this is the right directory", "no log is here yet: %s",
            path);
        return;
    }
    if (e != OK) {
        say(d, BAD,
            e == ERR_CORRUPT ? "restore the directory from a backup" : "look at the file's permissions and at the disk",
            "%s: %s", why.field, why.reason);
        return;
    }
    uint64_t newest = reader_newest(d->log), oldest = reader_oldest(d->log);
    if (newest < oldest) {
        say(d, WELL, NULL, "empty, gateway %.*s", STR_ARG(reader_gateway(d->log)));
        return;
    }
    say(d, WELL, NULL, "positions %" PRIu64 " to %" PRIu64 ", gateway %.*s", oldest, newest,
        STR_ARG(reader_gateway(d->log)));
    if (!d->is_quick)
        verify_log(d, oldest, newest);
}

/* --- store --- */

/* Ends the rows; false, and said, if they could not be read. */
static bool end_rows(struct doctor *d, struct db_rows *r, const char *what)
{
    if (db_rows_end(r) == OK)
        return true;
    say(d, BAD,
        "restore the store from a backup; or stop the server and move store.db* away: it is made again from the log, "
        "but what people "
        "set (tags, keys, registrations, files) is only in the store",
        "%s: %s", what, db_reason(d->store));
    return false;
}

static void check_migrations(struct doctor *d)
{
    size_t known = migrations_count(), have = 0;
    struct db_rows *r = db_rows(d->store, "SELECT name FROM schema_migrations ORDER BY name", NULL, 0);
    for (; db_next(r); have++)
        if (!migration_is_known(db_col_text(r, 0)))
            say(d, BAD, "use the program that made it, or a newer one", "step %.*s is of another version than %s",
                STR_ARG(db_col_text(r, 0)), CHARGELINE_VERSION);
    if (!end_rows(d, r, "schema_migrations"))
        return;
    if (have < known)
        say(d, WARNING,
            d->is_running ? "the server is older than this program: restart it" : "the next start brings it up to date",
            "%zu of %zu steps have been run", have, known);
    else
        say(d, WELL, NULL, "tables are of this version, %zu steps", have);
}

static void check_store(struct doctor *d)
{
    char path[PATH_SIZE];
    struct fault why = {0};
    unsigned faults = 0;
    in_data(d, "store.db", path);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        say(d, WARNING, "the next start makes it from the log", "no store is here yet: %s", path);
        return;
    }
    if (db_open(path, DB_READER, &d->store, &why) != OK) {
        say(d, BAD, "look at the file's permissions and at the disk; run it as the user of the server", "%s: %s",
            why.field, why.reason);
        return;
    }
    check_migrations(d);
    if (d->is_quick)
        return;
    if (d->has_progress)
        (void)fprintf(stderr, "reading the store ...\r");
    struct db_rows *r = db_rows(d->store, "PRAGMA quick_check(20)", NULL, 0);
    while (db_next(r))
        if (!str_eq(db_col_text(r, 0), STR("ok"))) {
            faults++;
            say(d, BAD, NULL, "%.*s", STR_ARG(db_col_text(r, 0)));
        }
    if (d->has_progress)
        (void)fprintf(stderr, "%60s\r", "");
    if (end_rows(d, r, "quick_check") && faults == 0)
        say(d, WELL, NULL, "every page read, all in order");
    else if (faults > 0)
        say(d, BAD, "restore the store from a backup", "%u faults in %s", faults, path);
}

/* --- consumers --- */

static void tell_cursor(struct doctor *d, const struct cursor *c, uint64_t newest)
{
    if (c->position > newest)
        say(d, BAD, "log and store are of two different times or servers: put back those that belong together",
            "%s has seen position %" PRIu64 ", but the log ends at %" PRIu64, c->name, c->position, newest);
    else if (newest - c->position > LAG_WARN_EVENTS)
        say(d, WARNING,
            d->is_running ? "if it grows, look at consumer_lag_events and the server's log"
                          : "the next start catches up first",
            "%s is %" PRIu64 " events behind", c->name, newest - c->position);
    else
        say(d, WELL, NULL, "%s at position %" PRIu64 ", %" PRIu64 " behind", c->name, c->position,
            newest - c->position);
}

/* The cursors are read before the end of the log: a consumer never sees more than is in the log. */
static void check_consumers(struct doctor *d)
{
    struct cursor cursors[ROWS_TOLD_MAX];
    size_t count = 0;
    if (d->store == NULL || d->log == NULL) {
        say(d, WARNING, NULL, "not looked at: it needs the log and the store");
        return;
    }
    struct db_rows *r = db_rows(d->store, "SELECT name, position FROM consumers ORDER BY name", NULL, 0);
    while (count < COUNT_OF(cursors) && db_next(r)) {
        (void)str_copy(cursors[count].name, sizeof cursors[count].name, db_col_text(r, 0));
        cursors[count++].position = (uint64_t)db_col_int(r, 1);
    }
    if (!end_rows(d, r, "consumers"))
        return;
    uint64_t newest = reader_newest(d->log);
    for (size_t i = 0; i < count; i++)
        tell_cursor(d, &cursors[i], newest);
    if (count == 0)
        say(d, WELL, NULL, "none has begun yet");
}

/* What waits for a person: counted by a statement that gives count and the newest one in words. */
static const struct {
    const char *sql, *what, *advice;
} waiting[] = {
    {"SELECT COUNT(*), (SELECT consumer || ', station ' || station || ': ' || COALESCE(error, '') FROM parked WHERE "
     "next_try_at IS NOT NULL "
     "ORDER BY position DESC LIMIT 1) FROM parked",
     "parked events", "they are tried again by themselves; the error says what stands in the way"},
    {"SELECT COUNT(*), (SELECT consumer || ', station ' || station || ': ' || error FROM dead_letters ORDER BY "
     "dead_letter_id DESC LIMIT 1) "
     "FROM dead_letters",
     "dead letters", "GET /api/v1/dead-letters; then POST .../retry or .../discard each"},
    {"SELECT COUNT(*), (SELECT action || ' of ' || charge_point_id || ': ' || reason FROM quarantine WHERE state = "
     "'open' ORDER BY position DESC "
     "LIMIT 1) FROM quarantine WHERE state = 'open'",
     "messages in quarantine", "GET /api/v1/quarantine; then POST .../apply or .../discard each"},
};

/* Terminated, until the next call. */
static const char *shown(struct doctor *d, struct str text)
{
    buf_clear(&d->text);
    put_shown(&d->text, text);
    buf_put_byte(&d->text, 0);
    return (const char *)d->text.at;
}

static void check_waiting(struct doctor *d)
{
    if (d->store == NULL) {
        say(d, WARNING, NULL, "not looked at: it needs the store");
        return;
    }
    for (size_t i = 0; i < COUNT_OF(waiting); i++) {
        struct db_rows *r = db_rows(d->store, waiting[i].sql, NULL, 0);
        bool has_row = db_next(r);
        if (has_row && db_col_int(r, 0) > 0)
            say(d, WARNING, waiting[i].advice, "%" PRId64 " %s, the newest: %s", db_col_int(r, 0), waiting[i].what,
                shown(d, db_col_text(r, 1)));
        else if (has_row)
            say(d, WELL, NULL, "no %s", waiting[i].what);
        (void)end_rows(d, r, waiting[i].what);
    }
}

/* --- stored files --- */

#define PUT_BACK \
    "put it back from a backup of files/, or delete it (DELETE /api/v1/files/{file_id}) and upload it again"
static const struct {
    enum verdict verdict;
    const char *what, *advice, *advice_running;
} file_troubles[] = {
    [FILE_LOST] = {BAD, "has a row and no bytes", PUT_BACK, PUT_BACK},
    [FILE_OTHER_SIZE] = {BAD, "is not as long as its row says", PUT_BACK, PUT_BACK},
    [FILE_STRAY] = {WARNING, "belongs to no row",
                    "the next start removes what a crash has left; if there are many, look whether store.db is the one "
                    "of this directory",
                    "nothing, if it is being uploaded or deleted at this moment; else the next start removes it"},
};

struct stored {
    struct doctor *doctor;
    unsigned count[FILE_TROUBLE_COUNT];
};

static void tell_file(void *data, enum file_trouble t, struct str name)
{
    struct stored *s = data;
    struct doctor *d = s->doctor;
    if (s->count[t]++ < ROWS_TOLD_MAX)
        say(d, file_troubles[t].verdict, d->is_running ? file_troubles[t].advice_running : file_troubles[t].advice,
            "files/%s %s", shown(d, name), file_troubles[t].what);
}

/* A store of an older version has no table of them. */
static bool has_files(struct doctor *d, int64_t *count)
{
    struct db_rows *r = db_rows(d->store, "SELECT 1 FROM schema_migrations WHERE name = 'files/0001'", NULL, 0);
    bool has_table = db_next(r);
    if (!end_rows(d, r, "schema_migrations") || !has_table)
        return false;
    r = db_rows(d->store, "SELECT COUNT(*) FROM files", NULL, 0);
    *count = db_next(r) ? db_col_int(r, 0) : 0;
    return end_rows(d, r, "files");
}

static void check_stored(struct doctor *d)
{
    char path[PATH_SIZE];
    struct stored s = {.doctor = d};
    int64_t count;
    if (d->store == NULL) {
        say(d, WARNING, NULL, "not looked at: it needs the store");
        return;
    }
    if (!has_files(d, &count))
        return;
    in_data(d, "files", path);
    enum err e = files_check(d->store, str_of(path), tell_file, &s);
    if (e != OK) {
        say(d, BAD, "look at its permissions and at the disk; run it as the user of the server", "%s: %s", path,
            err_text(e));
        return;
    }
    for (size_t t = 0; t < COUNT_OF(s.count); t++)
        if (s.count[t] > ROWS_TOLD_MAX)
            say(d, file_troubles[t].verdict, NULL, "%u more: %s", s.count[t] - ROWS_TOLD_MAX, file_troubles[t].what);
    unsigned bad = s.count[FILE_LOST] + s.count[FILE_OTHER_SIZE];
    if (bad > 0)
        say(d, BAD, NULL, "of %" PRId64 " files %u are lost or damaged", count, bad);
    else
        say(d, WELL, NULL, "%" PRId64 " files, the bytes of each are there", count);
}

/* --- the machine --- */

static void check_disk(struct doctor *d)
{
    struct statvfs fs;
    char has[24], of[24];
    if (statvfs(d->data, &fs) != 0) {
        say(d, WARNING, NULL, "%s: %s", d->data, strerror(errno));
        return;
    }
    uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize, total = (uint64_t)fs.f_blocks * fs.f_frsize;
    enum verdict v = available < DISK_BAD_BYTES                                                   ? BAD
                     : available < DISK_WARN_BYTES || available / DISK_WARN_PERCENT < total / 100 ? WARNING
                                                                                                  : WELL;
    if (fs.f_files > 0 && fs.f_favail == 0)
        say(d, BAD, "delete files: the disk has room but takes no more of them", "no inode is left");
    say(d, v,
        v == WELL ? NULL : "make room, or lower log.keep_s or log.keep_bytes: with a full disk stations get no answers",
        "%s of %s are free", size_text(available, has), size_text(total, of));
}

static void check_files(struct doctor *d)
{
    struct rlimit l;
    check(getrlimit(RLIMIT_NOFILE, &l) == 0);
    enum verdict v = l.rlim_max < FILES_BAD ? BAD : l.rlim_max < FILES_WARN ? WARNING : WELL;
    say(d, v, v == WELL ? NULL : "raise it: LimitNOFILE= of the unit, or ulimit -Hn; a connection needs one",
        "this process may open %" PRIu64 " files", (uint64_t)l.rlim_max);
}

/* Of the last event in the log; not set: there is none. */
static struct instant last_received(struct doctor *d)
{
    struct event e;
    if (d->log == NULL)
        return INSTANT_NONE;
    reader_seek_back(d->log, UINT64_MAX);
    return reader_prev(d->log, &e, NULL) == OK ? e.received : INSTANT_NONE;
}

static void check_clock(struct doctor *d)
{
    struct instant last = last_received(d), now = clock_now();
    char text[INSTANT_TEXT_SIZE];
    if (instant_before(now, CLOCK_LEAST)) {
        instant_write(now, text);
        say(d, BAD, "set it, and have it kept by NTP: stations take their time from it", "the clock says %s", text);
    } else if (instant_is_set(last) && instant_before(instant_add(now, CLOCK_BACK), last)) {
        instant_write(last, text);
        say(d, BAD, "set the clock, and have it kept by NTP: stations take their time from it",
            "the newest event is of %s, which is still to come", text);
    } else {
        instant_write(now, text);
        say(d, WELL, NULL, "%s", text);
    }
}

static const struct {
    const char *name;
    void (*run)(struct doctor *d);
} checks[] = {
    {"directory", check_directory}, {"admin key", check_key},
    {"server", check_server},       {"log", check_log},
    {"store", check_store},         {"consumers", check_consumers},
    {"waiting", check_waiting},     {"stored files", check_stored},
    {"disk", check_disk},           {"files", check_files},
    {"clock", check_clock},
};

int doctor_main(int argc, char **argv)
{
    struct doctor *d = &doctor;
    int code = options_read(&page, argc, argv);
    if (code != OPTIONS_READ)
        return code;
    d->is_coloured = isatty(STDOUT_FILENO) == 1;
    d->has_progress = isatty(STDERR_FILENO) == 1;
    buf_init(&d->text, TEXT_SIZE_MAX);
    for (size_t i = 0; i < COUNT_OF(checks) && (i == 0 || d->has_data); i++) {
        d->check = checks[i].name;
        checks[i].run(d);
    }
    (void)printf("%u ok, %u warn, %u bad\n", d->count[WELL], d->count[WARNING], d->count[BAD]);
    if (d->log != NULL)
        reader_close(d->log);
    db_close(d->store);
    buf_release(&d->text);
    return d->count[BAD] == 0 ? EXIT_OK : EXIT_FAILED;
}
