/* What a durable event costs: rounds appended and committed through the log, beside the same bytes appended to a plain file
 * with fdatasync after each round, in the same run; then what reading and seeking costs. Prints figures, asserts nothing.
 *
 *     bench-log [directory] [megabytes of each run]                                                                        */
#include "eventlog/log.h"
#include "eventlog/reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define RECORD_HEAD 60 /* bytes of a record beside its texts */
#define PATH_SIZE   512

struct cost {
    double wall_s, cpu_s;
};
static struct cost cost_now(void)
{
    struct timespec t;
    struct rusage u;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    (void)getrusage(RUSAGE_SELF, &u);
    return (struct cost){(double)t.tv_sec + (double)t.tv_nsec / 1e9,
                         (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                             (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6};
}

static void print_cost(const char *what, struct cost start, double count)
{
    struct cost end = cost_now();
    double wall = end.wall_s - start.wall_s, cpu = end.cpu_s - start.cpu_s;

    (void)printf("%-44s %9.3f us/event  %9.3f us cpu/event  %11.0f events/s\n", what, wall * 1e6 / count, cpu * 1e6 / count,
                 count / wall);
    (void)fflush(stdout);
}

static void remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[PATH_SIZE];
        (void)snprintf(path, sizeof path, "%.200s/%.200s", dir, e->d_name);
        if (e->d_name[0] != '.')
            (void)unlink(path);
    }
    if (d != NULL)
        (void)closedir(d);
    (void)rmdir(dir);
}

struct run {
    const char *dir;
    unsigned each, rounds;
    size_t size; /* of a record */
    bool sync;
};

static void bench_file(const struct run *run)
{
    char path[PATH_SIZE], what[64];
    size_t len = run->size * run->each;
    char *round = malloc(len);
    (void)snprintf(path, sizeof path, "%.200s-file", run->dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    bool is_sound = fd >= 0 && round != NULL;

    if (is_sound)
        memset(round, 'x', len);
    struct cost start = cost_now();
    for (unsigned i = 0; is_sound && i < run->rounds; i++)
        is_sound = write(fd, round, len) == (ssize_t)len && (!run->sync || fdatasync(fd) == 0);
    (void)snprintf(what, sizeof what, "file  %4u x %4zu B %s", run->each, run->size, run->sync ? "fdatasync" : "no sync");
    print_cost(is_sound ? what : "file: failed", start, (double)run->each * run->rounds);
    if (fd >= 0)
        (void)close(fd);
    (void)unlink(path);
    free(round);
}

static struct eventlog *open_log(const struct run *run)
{
    struct eventlog_options o = eventlog_options_default();
    struct eventlog *l = NULL;
    struct fault why = {0};

    o.dir = str_of(run->dir);
    o.gateway_id = STR("bench");
    o.sync = run->sync;
    if (eventlog_open(&o, &l, &why) != OK) {
        (void)fprintf(stderr, "%s: %s\n", why.field, why.reason);
        exit(1);
    }
    return l;
}

static void bench_log(const struct run *run)
{
    char what[64], station[16];
    static char text[1 << 16];
    uint64_t random = 1;
    for (size_t i = 0; i < sizeof text; i++) { /* nothing that could be squeezed: the worst case */
        random = random * 6364136223846793005u + 1442695040888963407u;
        text[i] = (char)(random >> 56);
    }
    struct eventlog *l = open_log(run);
    struct event e = {.type = EVENT_TRANSACTION_METER, .device_time = INSTANT_NONE};

    struct cost start = cost_now();
    uint64_t n = 0;
    for (unsigned i = 0; i < run->rounds; i++) {
        for (unsigned k = 0; k < run->each; k++, n++) {
            e.station = (struct str){station, (size_t)snprintf(station, sizeof station, "CP-%05u", k)};
            e.payload = (struct str){text, run->size - RECORD_HEAD - e.station.len};
            e.received.us = (int64_t)n;
            if (eventlog_append(l, &e) != OK)
                (void)fprintf(stderr, "refused\n");
        }
        eventlog_commit(l);
        while (eventlog_durable(l) < n) /* closed loop: the next round begins when this one is answered */
            eventlog_wait(l, n - 1, 1000);
    }
    (void)snprintf(what, sizeof what, "log   %4u x %4zu B %s", run->each, run->size, run->sync ? "sync" : "no sync");
    print_cost(what, start, (double)n);
    start = cost_now();
    eventlog_close(l);
    print_cost("  closing (sealing what is left)", start, (double)n);
}

static void bench_append(const struct run *run)
{
    static char text[1 << 16];
    struct eventlog *l = open_log(run);
    struct event e = {.type = EVENT_HEARTBEAT, .station = STR("CP-1"), .payload = {text, run->size - RECORD_HEAD - 4}};
    struct cost start = cost_now();
    uint64_t n = 0;

    while (n < run->rounds && eventlog_append(l, &e) == OK)
        n++;
    print_cost("append alone", start, (double)n);
    eventlog_close(l);
}

static void bench_read(const struct run *run)
{
    struct log_reader *r = NULL;
    struct event e;
    uint64_t n = 0;

    if (reader_open(str_of(run->dir), &r, NULL) != OK)
        return;
    struct cost start = cost_now();
    while (reader_next(r, &e, NULL) == OK)
        n++;
    print_cost("reading in order", start, (double)n);
    start = cost_now();
    uint64_t at = 1;
    const unsigned seeks = 2000;
    for (unsigned i = 0; i < seeks; i++) {
        at = at * 6364136223846793005u + 1442695040888963407u;
        reader_seek(r, 1 + (at >> 20) % n);
        (void)!reader_next(r, &e, NULL);
    }
    print_cost("seeking anywhere", start, seeks);
    start = cost_now();
    reader_only_station(r, STR("CP-00007"));
    reader_seek(r, 1);
    uint64_t seen = 0;
    while (reader_next(r, &e, NULL) == OK)
        seen++;
    print_cost("one station, by event of the log", start, (double)n);
    reader_close(r);
}

int main(int argc, char **argv)
{
    static const struct {
        unsigned each;
        size_t size;
    } rows[] = {{1, 1600}, {200, 1600}, {1000, 1600}, {200, 300}, {1000, 300}};
    size_t megabytes = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 200;
    char dir[PATH_SIZE];

    (void)snprintf(dir, sizeof dir, "%.200s/bench-log-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    if (mkdtemp(dir) == NULL)
        return 1;
    for (int sync = 1; sync >= 0; sync--) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct run run = {dir, rows[i].each, 0, rows[i].size, sync != 0};
            run.rounds = (unsigned)((megabytes << 20) / run.size / run.each);
            if (run.each == 1)
                run.rounds = run.rounds > 2000 ? 2000 : run.rounds;
            bench_file(&run);
            bench_log(&run);
            if (sync == 0 && run.each > 1)
                bench_read(&run);
            remove_dir(dir);
        }
    }
    struct run alone = {dir, 1, 50000, 300, true};
    bench_append(&alone);
    remove_dir(dir);
    return 0;
}
