/* test_metrics.c - numbers added by many threads at once, and the text that Prometheus reads. The metrics are the
 * process's: each test uses lines of the table that no other one here uses. */
#include "check.h"
#include "metrics/metrics.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX     1048576
#define THREAD_COUNT 8
#define ADD_COUNT    20000
#define LABEL_COUNT  7

static struct buf page;

static void read_page(void)
{
    buf_clear(&page);
    metrics_write(&page);
    buf_put_byte(&page, '\0');
}

static bool holds(const char *part)
{
    return memmem(page.at, page.len, part, strlen(part)) != NULL;
}

static void *add_many(void *data)
{
    (void)data;
    char name[16];
    for (int i = 0; i < ADD_COUNT; i++) {
        metric_add(METRIC_REPEATS, 1);
        (void)snprintf(name, sizeof name, "action-%d", i % LABEL_COUNT);
        metric_add_label(METRIC_MESSAGES_IN, str_of(name), 2);
        metric_observe_us(METRIC_API_LATENCY, i);
    }
    return NULL;
}

static void *read_many(void *data)
{
    const int *rounds = data;
    struct buf b;
    buf_init(&b, TEXT_MAX);
    for (int i = 0; i < *rounds; i++) {
        buf_clear(&b);
        metrics_write(&b);
    }
    buf_release(&b);
    return NULL;
}

static void test_threads(void)
{
    pthread_t adders[THREAD_COUNT], reader;
    int rounds = 20;
    for (size_t i = 0; i < THREAD_COUNT; i++)
        CHECK("a thread starts", pthread_create(&adders[i], NULL, add_many, NULL) == 0);
    CHECK("a reader starts", pthread_create(&reader, NULL, read_many, &rounds) == 0);
    for (size_t i = 0; i < THREAD_COUNT; i++)
        (void)pthread_join(adders[i], NULL);
    (void)pthread_join(reader, NULL);
    CHECK("no addition is lost", metric_get(METRIC_REPEATS) == THREAD_COUNT * ADD_COUNT);
    CHECK("none with a label", metric_get(METRIC_MESSAGES_IN) == 2 * THREAD_COUNT * ADD_COUNT);
    CHECK("no observation", metric_get(METRIC_API_LATENCY) == THREAD_COUNT * ADD_COUNT);
    read_page();
    int lines = 0;
    for (const char *at = (const char *)page.at; (at = strstr(at, "gateway_messages_received_total{")) != NULL; at++)
        lines++;
    CHECK("each label has one line, whoever made it first", lines == LABEL_COUNT);
    CHECK("with its part", holds("gateway_messages_received_total{action=\"action-6\"} 45712\n"));
}

static void test_text(void)
{
    metric_set(METRIC_LOG_STATE, 2);
    metric_add(METRIC_CONNECTED, 5);
    metric_add(METRIC_CONNECTED, -2);
    metric_add_label(METRIC_COMMAND_OUTCOMES, STR("unknown"), 1);
    metric_add_label(METRIC_COMMAND_OUTCOMES, STR("answered"), 3);
    metric_set_label(METRIC_CONSUMER_LAG, STR("charging"), 9);
    metric_set_label(METRIC_CONSUMER_LAG, STR("charging"), 4);
    metric_add_label(METRIC_CALL_ERRORS, STR("a\\b\"c\nd"), 1);
    metric_add_label(METRIC_EVENTS, STR(""), 1);
    read_page();
    CHECK("a gauge", holds("# HELP log_state 0 ok, 1 full, 2 failed.\n# TYPE log_state gauge\nlog_state 2\n"));
    CHECK("a gauge goes down", holds("\ngateway_connected_devices_total 3\n"));
    CHECK("a counter that nobody touched",
          holds("# TYPE gateway_throttled_total counter\ngateway_throttled_total 0\n"));
    CHECK("labels in order", holds("gateway_command_outcomes_total{outcome=\"answered\"} 3\n"
                                   "gateway_command_outcomes_total{outcome=\"unknown\"} 1\n"));
    CHECK("a labelled gauge is set", holds("consumer_lag_events{consumer=\"charging\"} 4\n"));
    CHECK("a label is escaped", holds("gateway_call_errors_sent_total{code=\"a\\\\b\\\"c\\nd\"} 1\n"));
    CHECK("an empty label", holds("gateway_events_produced_total{type=\"\"} 1\n"));
    CHECK("the version", holds("chargeline_build_info{version=\"" CHARGELINE_VERSION "\"} 1\n"));
    CHECK("the log's own lines", holds("log_lines_total{level=\"error\"} 0\n"));
    CHECK("its end is a line's", page.len > 1 && page.at[page.len - 2] == '\n');
    CHECK("it is all there", !page.failed);
}

static void test_histogram(void)
{
    static const struct {
        const char *row;
        int64_t us;
    } rows[] = {{"below the first", 1}, {"on a top", 100},           {"just past it", 101},
                {"a second", 1000000},  {"past the last", 30000001}, {"a clock that was set back", -5}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t before = metric_get(METRIC_PUBLISH_LATENCY);
        (i % 2 == 0 ? metric_observe_us : metric_observe_us_alone)(METRIC_PUBLISH_LATENCY, rows[i].us);
        CHECK(rows[i].row, metric_get(METRIC_PUBLISH_LATENCY) == before + 1);
    }
    read_page();
#define NAME "gateway_event_publish_latency_seconds"
    CHECK("its type", holds("# TYPE " NAME " histogram\n"));
    CHECK("a top belongs to its bucket", holds(NAME "_bucket{le=\"0.0001\"} 3\n" NAME "_bucket{le=\"0.00025\"} 4\n"));
    CHECK("buckets add up", holds(NAME "_bucket{le=\"0.5\"} 4\n" NAME "_bucket{le=\"1\"} 5\n"));
    CHECK("what is past the last", holds(NAME "_bucket{le=\"30\"} 5\n" NAME "_bucket{le=\"+Inf\"} 6\n"));
    CHECK("sum and count", holds(NAME "_sum 31.000203\n" NAME "_count 6\n"));
#undef NAME
}

static void test_limits(void)
{
    char name[METRIC_LABEL_SIZE_MAX + 2];
    for (int i = 0; i < METRIC_LABELS_MAX + 10; i++) {
        (void)snprintf(name, sizeof name, "reason-%03d", i);
        metric_add_label(METRIC_CONN_ENDED, str_of(name), 1);
        metric_add_label_alone(METRIC_CONN_ENDED, str_of(name), 1);
    }
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    metric_add_label(METRIC_CONN_REFUSED, str_of(name), 3);
    metric_add_label(METRIC_CONN_REFUSED, STR("other"), 1);
    read_page();
    CHECK("the first label stays", holds("gateway_connections_ended_total{reason=\"reason-000\"} 2\n"));
    CHECK("those past the limit are other", holds("gateway_connections_ended_total{reason=\"other\"} 20\n"));
    CHECK("nothing is lost", metric_get(METRIC_CONN_ENDED) == 2 * (METRIC_LABELS_MAX + 10));
    CHECK("a long one is other too, and other is itself",
          holds("gateway_connections_refused_total{status=\"other\"} 4\n"));
    struct buf small;
    buf_init(&small, 100);
    metrics_write(&small);
    CHECK("a page that is too long says so", small.failed);
    buf_release(&small);
}

static void fill_streams(void *data)
{
    int *calls = data;
    metric_set(METRIC_STREAMS, ++*calls);
}

static void test_readers(void)
{
    int calls = 0, others = 0;
    metrics_on_read(fill_streams, &calls);
    metrics_on_read(fill_streams, &others);
    metrics_forget(fill_streams, &others);
    read_page();
    CHECK("a reader is asked first", holds("\napi_event_streams 1\n"));
    metrics_forget(fill_streams, &calls);
    read_page();
    CHECK("and not after it was taken out", calls == 1 && others == 0);
    for (int i = 0; i < METRICS_READERS_MAX; i++)
        metrics_on_read(fill_streams, &calls);
    read_page();
    CHECK("as many as there may be", calls == 1 + METRICS_READERS_MAX);
    metrics_forget(fill_streams, &calls);
}

/* The value of a metric without labels; -1 if it is not there. */
static double value(const char *name)
{
    char line[128];
    (void)snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr((const char *)page.at, line);
    return at == NULL ? -1 : strtod(at + strlen(line), NULL);
}

static void test_process(void)
{
    read_page();
    double before = value("process_open_fds");
    int fd = open("/dev/null", O_RDONLY);
    read_page();
    CHECK("descriptors are counted", fd >= 0 && value("process_open_fds") == before + 1);
    (void)close(fd);
    CHECK("some memory", value("process_resident_memory_bytes") > 100000);
    CHECK("more address space than that",
          value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
    CHECK("the limit of descriptors", value("process_max_fds") >= before);
    CHECK("processor time", value("process_cpu_seconds_total") > 0 && value("process_cpu_seconds_total") < 3600);
    double age = (double)time(NULL) - value("process_start_time_seconds");
    CHECK("it started a moment ago", age > -5 && age < 3600);
    CHECK("with help and type", holds("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total "));
}

/* Every line is a comment, or a name, perhaps labels, a blank and a number. */
static void test_form(void)
{
    read_page();
    char *rest = NULL;
    for (char *line = strtok_r((char *)page.at, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (str_starts(str_of(line), STR("# HELP ")) || str_starts(str_of(line), STR("# TYPE ")))
            continue;
        size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz_0123456789");
        const char *blank = strrchr(line, ' ');
        char *end = NULL;
        CHECK(line, name > 0 && (line[name] == '{' || line[name] == ' '));
        CHECK(line, blank != NULL && (strtod(blank + 1, &end), end != blank + 1 && *end == '\0'));
    }
    struct buf doc;
    buf_init(&doc, TEXT_MAX);
    metrics_document(&doc);
    static const char row[] =
        "| `gateway_connections_ended_total` | counter | reason | Station connections ended, by reason. |\n";
    CHECK("the page of the table", memmem(doc.at, doc.len, row, sizeof row - 1) != NULL);
    CHECK("with the process's own", memmem(doc.at, doc.len, "| `process_open_fds` | gauge |", 30) != NULL);
    buf_release(&doc);
}

int main(void)
{
    buf_init(&page, TEXT_MAX);
    test_threads();
    test_text();
    test_histogram();
    test_limits();
    test_readers();
    test_process();
    test_form();
    buf_release(&page);
    return CHECK_REPORT();
}
