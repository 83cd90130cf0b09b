/* bench/measure.h - what the programs of this folder measure with: a clock, CPU time of a process by its threads,
 * latencies. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX   64
#define LATENCY_SLOTS 2000000u /* a microsecond each; what took longer counts in the last */

static inline int64_t clock_us(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* CPU nanoseconds that the threads of a process have used, from the scheduler's own account (finer than
 * /proc/PID/stat). Threads that ended are not in it: those measured here live as long as their process. */
struct cpu {
    struct {
        int tid;
        char name[16];
        int64_t ns;
    } threads[THREADS_MAX];
    size_t count;
};

static inline int64_t read_number(const char *path)
{
    long long n = 0;
    FILE *f = fopen(path, "r");

    if (f == NULL)
        return 0;
    if (fscanf(f, "%lld", &n) != 1)
        n = 0;
    (void)fclose(f);
    return n;
}

static inline void cpu_read(int pid, struct cpu *out)
{
    char path[96];

    out->count = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL && out->count < THREADS_MAX;) {
        int tid = atoi(e->d_name);
        if (tid == 0)
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", pid, tid);
        out->threads[out->count].ns = read_number(path);
        out->threads[out->count].tid = tid;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%d/comm", pid, tid);
        FILE *f = fopen(path, "r");
        char *name = out->threads[out->count].name;
        name[0] = 0;
        if (f != NULL && fgets(name, sizeof out->threads[0].name, f) != NULL)
            name[strcspn(name, "\n")] = 0;
        if (f != NULL)
            (void)fclose(f);
        out->count++;
    }
    if (d != NULL)
        (void)closedir(d);
}

static inline int64_t cpu_total_ns(const struct cpu *c)
{
    int64_t sum = 0;

    for (size_t i = 0; i < c->count; i++)
        sum += c->threads[i].ns;
    return sum;
}

struct latencies {
    uint32_t *slots;
    uint64_t count;
    int64_t max_us;
};

static inline void latency_add(struct latencies *l, int64_t us)
{
    if (us < 0)
        us = 0;
    l->slots[us < (int64_t)LATENCY_SLOTS ? (size_t)us : LATENCY_SLOTS - 1]++;
    l->count++;
    if (us > l->max_us)
        l->max_us = us;
}

static inline int64_t latency_at(const struct latencies *l, double part)
{
    uint64_t wanted = (uint64_t)((double)l->count * part), seen = 0;

    for (size_t i = 0; i < LATENCY_SLOTS; i++) {
        seen += l->slots[i];
        if (seen > wanted)
            return (int64_t)i;
    }
    return l->max_us;
}

/* What every load prints: one line of key=value, the CPU time of the server by its threads at the end. */
struct figures {
    uint64_t calls, errors;
    int64_t took_us, own_us;
    const struct latencies *latencies;
    const struct cpu *before, *after; /* of the server */
};

static inline void figures_print(const struct figures *f)
{
    const double count = f->calls > 0 ? (double)f->calls : 1;

    (void)printf("calls=%llu per_s=%.0f p50_us=%lld p99_us=%lld max_us=%lld own_us=%.3f server_us=%.3f errors=%llu",
                 (unsigned long long)f->calls, (double)f->calls * 1e6 / (double)f->took_us,
                 (long long)latency_at(f->latencies, 0.5), (long long)latency_at(f->latencies, 0.99),
                 (long long)f->latencies->max_us, (double)f->own_us / count,
                 (double)(cpu_total_ns(f->after) - cpu_total_ns(f->before)) / 1000 / count,
                 (unsigned long long)f->errors);
    for (size_t i = 0; i < f->after->count; i++) {
        int64_t ns = f->after->threads[i].ns;
        for (size_t k = 0; k < f->before->count; k++)
            if (f->before->threads[k].tid == f->after->threads[i].tid)
                ns -= f->before->threads[k].ns;
        if (ns > 0)
            (void)printf(" thread_%s_us=%.3f", f->after->threads[i].name, (double)ns / 1000 / count);
    }
    (void)printf("\n");
}
#endif
