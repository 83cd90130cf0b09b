/* metrics/process.c - the process's own metrics, from getrusage and /proc. They are read when someone asks, so a number
 * that cannot be had at that moment is left out instead of being remembered wrongly. */
#include "metrics/process.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILE_TEXT_MAX        4096
#define STAT_START_FIELD     22 /* proc(5): starttime, in clock ticks since boot */
#define STAT_AFTER_COMMAND   3  /* the field after the command, which may itself hold blanks and brackets */
#define STATM_VIRTUAL_FIELD  1
#define STATM_RESIDENT_FIELD 2

/* The beginning of a file, terminated; false if it cannot be read. */
static bool read_start(const char *path, char text[FILE_TEXT_MAX])
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    size_t n = fread(text, 1, FILE_TEXT_MAX - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    return n > 0;
}

/* The index-th field, from 1, of fields with one blank between. */
static bool field_int(const char *text, int index, int64_t *out)
{
    for (int i = 1; i < index; i++) {
        text = strchr(text, ' ');
        if (text == NULL)
            return false;
        text++;
    }
    return str_to_int((struct str){text, strcspn(text, " \n")}, out) == OK;
}

static bool read_cpu(int64_t *out)
{
    struct rusage use;
    if (getrusage(RUSAGE_SELF, &use) != 0)
        return false;
    *out = ((int64_t)use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 + use.ru_utime.tv_usec + use.ru_stime.tv_usec;
    return true;
}

static bool read_statm(int field, int64_t *out)
{
    char text[FILE_TEXT_MAX];
    int64_t pages;
    if (!read_start("/proc/self/statm", text) || !field_int(text, field, &pages))
        return false;
    *out = pages * sysconf(_SC_PAGESIZE);
    return true;
}

static bool read_resident(int64_t *out)
{
    return read_statm(STATM_RESIDENT_FIELD, out);
}

static bool read_virtual(int64_t *out)
{
    return read_statm(STATM_VIRTUAL_FIELD, out);
}

static bool read_open_fds(int64_t *out)
{
    DIR *d = opendir("/proc/self/fd");
    if (d == NULL)
        return false;
    int64_t n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    (void)closedir(d);
    *out = n - 1; /* without the one that counting needed */
    return true;
}

static bool read_max_fds(int64_t *out)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return false;
    *out = (int64_t)limit.rlim_cur;
    return true;
}

/* /proc/stat is long on machines with many processors: btime is looked for line by line. */
static bool boot_time(int64_t *out)
{
    FILE *f = fopen("/proc/stat", "re");
    if (f == NULL)
        return false;
    char line[FILE_TEXT_MAX];
    bool found = false;
    while (!found && fgets(line, sizeof line, f) != NULL)
        found = strncmp(line, "btime ", 6) == 0 && field_int(line, 2, out);
    (void)fclose(f);
    return found;
}

static bool read_start_time(int64_t *out)
{
    char text[FILE_TEXT_MAX];
    int64_t boot_s, ticks;
    if (!read_start("/proc/self/stat", text) || !boot_time(&boot_s))
        return false;
    const char *end = strrchr(text, ')');
    if (end == NULL || end[1] != ' ' || !field_int(end + 2, STAT_START_FIELD - STAT_AFTER_COMMAND + 1, &ticks))
        return false;
    *out = boot_s * 100 + ticks * 100 / sysconf(_SC_CLK_TCK);
    return true;
}

const struct process_metric process_metrics[PROCESS_METRIC_COUNT] = {
    {"process_cpu_seconds_total", PROCESS_COUNTER, 6, read_cpu, "Processor time used, in seconds."},
    {"process_resident_memory_bytes", PROCESS_GAUGE, 0, read_resident, "Memory held, in bytes."},
    {"process_virtual_memory_bytes", PROCESS_GAUGE, 0, read_virtual, "Address space, in bytes."},
    {"process_open_fds", PROCESS_GAUGE, 0, read_open_fds, "Open file descriptors."},
    {"process_max_fds", PROCESS_GAUGE, 0, read_max_fds, "Most file descriptors that may be open."},
    {"process_start_time_seconds", PROCESS_GAUGE, 2, read_start_time, "Start, in seconds since 1970-01-01 UTC."},
};
