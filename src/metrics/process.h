/* metrics/process.h - what the system says about this process, under the names that every Prometheus client library
 * uses. */
#ifndef METRICS_PROCESS_H
#define METRICS_PROCESS_H
#include "base/memory.h"

enum process_kind { PROCESS_COUNTER, PROCESS_GAUGE };

/* A value times 10^digits; false where the system does not say (no /proc, out of descriptors): the metric is left out.
 */
struct process_metric {
    const char *name;
    enum process_kind kind;
    int digits;
    bool (*read)(int64_t *out);
    const char *help;
};
#define PROCESS_METRIC_COUNT 6
extern const struct process_metric process_metrics[PROCESS_METRIC_COUNT];
#endif
