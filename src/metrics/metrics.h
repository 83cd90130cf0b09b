/* metrics/metrics.h - numbers that anyone may add to from any thread, and their text for Prometheus. A metric is one
 * line of metrics.def: name, kind, unit, help; labelled ones name their label and its values come from a table. */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H
#include "base/memory.h"

enum metric {
#define METRIC(name, kind, wire, label, help) METRIC_##name,
#include "metrics/metrics.def"
    METRIC_COUNT
};
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

void metric_add(enum metric m, int64_t n); /* counters and gauges without a label */
void metric_set(enum metric m, int64_t n);
/* With a label: the sum over its values. Of a histogram: how often it was observed. */
int64_t metric_get(enum metric m);
/* With a label: value must be one of a small set that the program itself knows (never what a station sent); at most
 * METRIC_LABELS_MAX values a metric are kept, further ones and those past METRIC_LABEL_SIZE_MAX bytes count as "other".
 */
#define METRIC_LABELS_MAX     96
#define METRIC_LABEL_SIZE_MAX 64
void metric_add_label(enum metric m, struct str value, int64_t n);
void metric_set_label(enum metric m, struct str value, int64_t n);
/* Histograms in seconds, observed in microseconds; fixed buckets from 0.1 ms to 30 s. */
void metric_observe_us(enum metric m, int64_t us);
/* The same for a metric that only one thread ever changes, without a locked instruction: for what is counted with every message. */
void metric_add_label_alone(enum metric m, struct str value, int64_t n);
void metric_observe_us_alone(enum metric m, int64_t us);
/* For values that are read when asked: called by metrics_write before it writes, one call at a time. At most
 * METRICS_READERS_MAX. fill itself must not call metrics_write, metrics_on_read or metrics_forget. */
#define METRICS_READERS_MAX 16
void metrics_on_read(void (*fill)(void *data), void *data);
/* Takes it out again: after the return fill is not called any more. */
void metrics_forget(void (*fill)(void *data), void *data);
/* Prometheus text format 0.0.4, with the process's own (cpu, memory, descriptors, start time). */
void metrics_write(struct buf *out);
/* The reference page, from the table. */
void metrics_document(struct buf *out);
#endif
