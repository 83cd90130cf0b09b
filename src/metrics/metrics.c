/* metrics/metrics.c - one atomic word a number, so that the hot path never waits for whoever reads them.
 *
 * The values of a label are found in a fixed table by hash. A slot goes from empty to a label once and never back:
 * whoever loses the race for an empty slot looks at what the winner put there, so every thread finds the same slot for
 * the same text without a lock. */
#include "metrics/metrics.h"
#include "metrics/process.h"
#include "base/id.h"
#include "base/log.h"
#include "base/time.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define OTHER             STR("other")
#define LABELS_REMEMBERED 64 /* a thread: a power of two */

static const struct {
    const char *name;
    enum metric_kind kind;
    const char *label;
    const char *help;
} metrics[METRIC_COUNT] = {
#define METRIC(name, kind, wire, label, help) {wire, METRIC_##kind, label, help},
#include "metrics/metrics.def"
};

static const struct {
    const char *prometheus, *human;
} kinds[] = {
    [METRIC_COUNTER] = {"counter", "counter"},
    [METRIC_GAUGE] = {"gauge", "gauge"},
    [METRIC_HISTOGRAM] = {"histogram", "histogram, s"},
};

static const int64_t bucket_tops_us[] = {100,    250,    500,    1000,    2500,    5000,    10000,    25000,   50000,
                                         100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000};
#define BUCKET_COUNT (COUNT_OF(bucket_tops_us) + 1) /* the last one has no top */

/* Each number that a thread counts up has a line of the cache to itself: another thread's number beside it would take it away at
 * each count, which was 0.1 us a call under load. */
#define LINE 64
struct label {
    _Alignas(LINE) _Atomic int64_t n;
    size_t len;
    char text[];
};

static struct {
    _Alignas(LINE) _Atomic int64_t n;
} values[METRIC_COUNT]; /* of a labelled metric: its "other"; of a histogram: the sum in us */
static struct {
    _Alignas(LINE) _Atomic int64_t n[BUCKET_COUNT];
} buckets[METRIC_COUNT];
static struct label *_Atomic labels[METRIC_COUNT][METRIC_LABELS_MAX];

static pthread_mutex_t readers_lock = PTHREAD_MUTEX_INITIALIZER;
static struct reader {
    void (*fill)(void *data);
    void *data;
} readers[METRICS_READERS_MAX];
static size_t reader_count;

static bool is_labelled(enum metric m)
{
    return metrics[m].label[0] != '\0';
}

static struct str label_text(const struct label *l)
{
    return (struct str){l->text, l->len};
}

static struct label *label_new(struct str text)
{
    struct label *l = aligned_alloc(LINE, (sizeof *l + text.len + LINE - 1) / LINE * LINE);
    check(l != NULL);
    atomic_init(&l->n, 0);
    l->len = text.len;
    if (text.len > 0)
        memcpy(l->text, text.at, text.len);
    return l;
}

/* NULL: it counts with all the others that have no place of their own. */
static struct label *label_find(enum metric m, struct str text)
{
    if (text.len > METRIC_LABEL_SIZE_MAX || str_eq(text, OTHER))
        return NULL;
    uint32_t start = fnv1a32((struct bytes){(const uint8_t *)text.at, text.len});
    struct label *mine = NULL;
    for (uint32_t i = 0; i < METRIC_LABELS_MAX; i++) {
        struct label *_Atomic *slot = &labels[m][(start % METRIC_LABELS_MAX + i) % METRIC_LABELS_MAX];
        struct label *there = atomic_load_explicit(slot, memory_order_acquire);
        if (there == NULL) {
            if (mine == NULL)
                mine = label_new(text);
            if (atomic_compare_exchange_strong(slot, &there, mine))
                return mine;
        }
        if (str_eq(label_text(there), text)) {
            free(mine);
            return there;
        }
    }
    free(mine);
    return NULL;
}

/* Most labels are constants of the program: where one was found last, by the address of its text, which is compared all
 * the same. Labels are never freed. */
static _Atomic int64_t *label_number(enum metric m, struct str text)
{
    static _Thread_local struct {
        enum metric metric;
        struct label *label;
    } found[LABELS_REMEMBERED];
    size_t i = ((uintptr_t)text.at >> 4 ^ (uintptr_t)text.at ^ (size_t)m) % LABELS_REMEMBERED;

    check(is_labelled(m));
    if (found[i].label != NULL && found[i].metric == m && str_eq(label_text(found[i].label), text))
        return &found[i].label->n;
    struct label *l = label_find(m, text);
    if (l == NULL)
        return &values[m].n;
    found[i].metric = m;
    found[i].label = l;
    return &l->n;
}

void metric_add(enum metric m, int64_t n)
{
    check(!is_labelled(m) && metrics[m].kind != METRIC_HISTOGRAM);
    atomic_fetch_add_explicit(&values[m].n, n, memory_order_relaxed);
}

void metric_set(enum metric m, int64_t n)
{
    check(!is_labelled(m) && metrics[m].kind != METRIC_HISTOGRAM);
    atomic_store_explicit(&values[m].n, n, memory_order_relaxed);
}

int64_t metric_get(enum metric m)
{
    int64_t sum = metrics[m].kind == METRIC_HISTOGRAM ? 0 : atomic_load_explicit(&values[m].n, memory_order_relaxed);
    for (size_t i = 0; i < BUCKET_COUNT; i++)
        sum += atomic_load_explicit(&buckets[m].n[i], memory_order_relaxed);
    for (size_t i = 0; i < METRIC_LABELS_MAX; i++) {
        struct label *l = atomic_load_explicit(&labels[m][i], memory_order_acquire);
        if (l != NULL)
            sum += atomic_load_explicit(&l->n, memory_order_relaxed);
    }
    return sum;
}

void metric_add_label(enum metric m, struct str value, int64_t n)
{
    atomic_fetch_add_explicit(label_number(m, value), n, memory_order_relaxed);
}

void metric_set_label(enum metric m, struct str value, int64_t n)
{
    atomic_store_explicit(label_number(m, value), n, memory_order_relaxed);
}

/* Of a time that was observed: its bucket. */
static _Atomic int64_t *bucket_of(enum metric m, int64_t *us)
{
    check(metrics[m].kind == METRIC_HISTOGRAM);
    if (*us < 0)
        *us = 0; /* two clocks, or one that was set back: a sum must not go down */
    size_t i = 0;
    while (i < COUNT_OF(bucket_tops_us) && *us > bucket_tops_us[i])
        i++;
    return &buckets[m].n[i];
}

void metric_observe_us(enum metric m, int64_t us)
{
    atomic_fetch_add_explicit(bucket_of(m, &us), 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&values[m].n, us, memory_order_relaxed);
}

static void add_alone(_Atomic int64_t *to, int64_t n)
{
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n, memory_order_relaxed);
}

void metric_add_label_alone(enum metric m, struct str value, int64_t n)
{
    add_alone(label_number(m, value), n);
}

void metric_observe_us_alone(enum metric m, int64_t us)
{
    add_alone(bucket_of(m, &us), 1);
    add_alone(&values[m].n, us);
}

void metrics_on_read(void (*fill)(void *data), void *data)
{
    (void)pthread_mutex_lock(&readers_lock);
    check(reader_count < METRICS_READERS_MAX);
    readers[reader_count++] = (struct reader){fill, data};
    (void)pthread_mutex_unlock(&readers_lock);
}

void metrics_forget(void (*fill)(void *data), void *data)
{
    (void)pthread_mutex_lock(&readers_lock);
    size_t kept = 0;
    for (size_t i = 0; i < reader_count; i++)
        if (readers[i].fill != fill || readers[i].data != data)
            readers[kept++] = readers[i];
    reader_count = kept;
    (void)pthread_mutex_unlock(&readers_lock);
}

static void fill_all(void)
{
    static const struct {
        enum log_level level;
        struct str name;
    } levels[] = {
        {LOG_LEVEL_DEBUG, {"debug", 5}},
        {LOG_LEVEL_INFO, {"info", 4}},
        {LOG_LEVEL_WARN, {"warn", 4}},
        {LOG_LEVEL_ERROR, {"error", 5}},
    };
    for (size_t i = 0; i < COUNT_OF(levels); i++)
        metric_set_label(METRIC_LOG_LINES, levels[i].name, (int64_t)log_line_count(levels[i].level));
    metric_set_label(METRIC_BUILD_INFO, STR(CHARGELINE_VERSION), 1);
    (void)pthread_mutex_lock(&readers_lock);
    for (size_t i = 0; i < reader_count; i++)
        readers[i].fill(readers[i].data);
    (void)pthread_mutex_unlock(&readers_lock);
}

/* Prometheus text format: in a label value '\', '"' and the line end are escaped; in a help text the quote stays. */
static void put_escaped(struct buf *out, struct str s, bool is_quoted)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '\n') {
            buf_put_lit(out, "\\n");
            continue;
        }
        if (s.at[i] == '\\' || (is_quoted && s.at[i] == '"'))
            buf_put_byte(out, '\\');
        buf_put_byte(out, (uint8_t)s.at[i]);
    }
}

static void write_head(struct buf *out, const char *name, const char *kind, const char *help)
{
    buf_printf(out, "# HELP %s ", name);
    put_escaped(out, str_of(help), false);
    buf_printf(out, "\n# TYPE %s %s\n", name, kind);
}

static int label_order(const void *a, const void *b)
{
    return str_compare(label_text(*(struct label *const *)a), label_text(*(struct label *const *)b));
}

static void write_label(struct buf *out, enum metric m, struct str text, int64_t n)
{
    buf_printf(out, "%s{%s=\"", metrics[m].name, metrics[m].label);
    put_escaped(out, text, true);
    buf_put_lit(out, "\"} ");
    buf_put_int(out, n);
    buf_put_byte(out, '\n');
}

static void write_labels(struct buf *out, enum metric m)
{
    struct label *found[METRIC_LABELS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < METRIC_LABELS_MAX; i++) {
        struct label *l = atomic_load_explicit(&labels[m][i], memory_order_acquire);
        if (l != NULL)
            found[count++] = l;
    }
    qsort(found, count, sizeof found[0], label_order);
    for (size_t i = 0; i < count; i++)
        write_label(out, m, label_text(found[i]), atomic_load_explicit(&found[i]->n, memory_order_relaxed));
    int64_t other = atomic_load_explicit(&values[m].n, memory_order_relaxed);
    if (other != 0)
        write_label(out, m, OTHER, other);
}

static void write_histogram(struct buf *out, enum metric m)
{
    int64_t count = 0; /* the sum of what is written, not a word of its own: the lines must agree with each other */
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        count += atomic_load_explicit(&buckets[m].n[i], memory_order_relaxed);
        buf_printf(out, "%s_bucket{le=\"", metrics[m].name);
        if (i < COUNT_OF(bucket_tops_us))
            buf_put_decimal(out, bucket_tops_us[i], 6);
        else
            buf_put_lit(out, "+Inf");
        buf_printf(out, "\"} %lld\n", (long long)count);
    }
    buf_printf(out, "%s_sum ", metrics[m].name);
    buf_put_decimal(out, atomic_load_explicit(&values[m].n, memory_order_relaxed), 6);
    buf_printf(out, "\n%s_count %lld\n", metrics[m].name, (long long)count);
}

static void write_process(struct buf *out)
{
    for (size_t i = 0; i < PROCESS_METRIC_COUNT; i++) {
        const struct process_metric *p = &process_metrics[i];
        int64_t n;
        if (!p->read(&n))
            continue;
        write_head(out, p->name, p->kind == PROCESS_COUNTER ? "counter" : "gauge", p->help);
        buf_printf(out, "%s ", p->name);
        buf_put_decimal(out, n, p->digits);
        buf_put_byte(out, '\n');
    }
}

void metrics_write(struct buf *out)
{
    fill_all();
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        write_head(out, metrics[m].name, kinds[metrics[m].kind].prometheus, metrics[m].help);
        if (metrics[m].kind == METRIC_HISTOGRAM)
            write_histogram(out, m);
        else if (is_labelled(m))
            write_labels(out, m);
        else
            buf_printf(out, "%s %lld\n", metrics[m].name, (long long)metric_get(m));
    }
    write_process(out);
}

void metrics_document(struct buf *out)
{
    buf_put_lit(out, "# Metrics\n\nMade from src/metrics/metrics.def and process.c. `GET /metrics` gives them in the "
                     "Prometheus text "
                     "format.\n\n| metric | kind | label | meaning |\n|---|---|---|---|\n");
    for (enum metric m = 0; m < METRIC_COUNT; m++)
        buf_printf(out, "| `%s` | %s | %s | %s |\n", metrics[m].name, kinds[metrics[m].kind].human, metrics[m].label,
                   metrics[m].help);
    for (size_t i = 0; i < PROCESS_METRIC_COUNT; i++)
        buf_printf(out, "| `%s` | %s | | %s |\n", process_metrics[i].name,
                   process_metrics[i].kind == PROCESS_COUNTER ? "counter" : "gauge", process_metrics[i].help);
}
