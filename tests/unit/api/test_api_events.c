/* The log as a list, as raw frames and as a stream: what comes, in which order, from where on, and what becomes of a
 * slow reader. */
#include <inttypes.h>

#include "apikit.h"
#include "metrics/metrics.h"

#define BIG 3000 /* bytes of a text in an event: few of them fill a stream's buffer */

static struct kit k;

/* Appends one event and waits until it is durable; returns its position. */
static uint64_t append(const char *station, enum event_type type, const char *payload, const char *frame,
                       const char *answer)
{
    struct event e = {.type = type,
                      .station = str_of(station),
                      .received = clock_now(),
                      .device_time = INSTANT_NONE,
                      .sequence = 1,
                      .payload = str_of(payload),
                      .frame = str_of(frame),
                      .answer = str_of(answer)};
    e.trace[15] = type == EVENT_HEARTBEAT ? 9 : 1;
    check(eventlog_append(k.log, &e) == OK);
    eventlog_commit(k.log);
    for (int i = 0; i < 100 && eventlog_durable(k.log) < e.position; i++)
        eventlog_wait(k.log, e.position - 1, KIT_PATIENCE / 100);
    check(eventlog_durable(k.log) >= e.position);
    return e.position;
}

static void test_list(void)
{
    kit_sql(&k, "INSERT INTO charge_points (charge_point_id, registration, created_at, updated_at) VALUES ('CP1', "
                "'accepted', 1, 1)");
    CHECK("positions", append("CP1", EVENT_CONNECTION_OPENED, "{}", NULL, NULL) == 1);
    (void)append("CP1", EVENT_HEARTBEAT, "{}", "[2,\"m1\",\"Heartbeat\",{}]", "[3,\"m1\",{\"currentTime\":\"x\"}]");
    (void)append("CP2", EVENT_STATUS_CHANGED, "{\"connectorId\":1,\"status\":\"Available\",\"errorCode\":\"NoError\"}",
                 "[2,\"m2\",\"StatusNotification\",{}]", "[3,\"m2\",{}]");
    (void)append("CP1", EVENT_PROTOCOL_ERROR, "{\"code\":\"FormationViolation\",\"detail\":\"x\"}", "rubbish",
                 "[4,\"-1\",\"FormationViolation\",\"\",{}]");
    (void)append("CP1", EVENT_COMMAND_SENT, "{\"commandId\":\"c1\",\"messageId\":\"s1\"}",
                 "[2,\"s1\",\"Reset\",{\"type\":\"Soft\"}]", NULL);
    (void)append("CP1", EVENT_COMMAND_RESPONSE,
                 "{\"commandId\":\"c1\",\"commandName\":\"Reset\",\"status\":\"Accepted\",\"details\":{}}",
                 "[3,\"s1\",{\"status\":\"Accepted\"}]", NULL);
    kit_expect(&k, "the oldest first, none of the inner ones", KIT_KEY, "GET", "/api/v1/events", NULL, NULL, 200,
               "{\"list\":[{\"position\":2,\"eventId\":");
    kit_expect(&k, "the newest first", KIT_KEY, "GET", "/api/v1/events?sort=-position", NULL, NULL, 200,
               "{\"list\":[{\"position\":6,\"eventId\":");
    kit_expect(&k, "a page of two", KIT_KEY, "GET", "/api/v1/events?limit=2", NULL, NULL, 200, "\"next_cursor\":\"3\"");
    kit_expect(&k, "what follows it", KIT_KEY, "GET", "/api/v1/events?limit=2&cursor=3", NULL, NULL, 200,
               "{\"list\":[{\"position\":4,");
    kit_expect(&k, "the last page", KIT_KEY, "GET", "/api/v1/events?limit=10&cursor=3", NULL, NULL, 200,
               "\"next_cursor\":null");
    kit_expect(&k, "what follows, turned", KIT_KEY, "GET", "/api/v1/events?limit=1&cursor=3&sort=-position", NULL, NULL,
               200, "{\"list\":[{\"position\":2,");
    kit_expect(&k, "nothing before the first", KIT_KEY, "GET", "/api/v1/events?cursor=1&sort=-position", NULL, NULL,
               200, "{\"list\":[],\"next_cursor\":null}");
    kit_expect(&k, "no cursor", KIT_KEY, "GET", "/api/v1/events?cursor=x", NULL, NULL, 422, "CURSOR_INVALID");
    kit_expect(&k, "of one station", KIT_KEY, "GET", "/api/v1/events?charge_point_id=CP2", NULL, NULL, 200,
               "{\"list\":[{\"position\":3,");
    kit_expect(&k, "of one type", KIT_KEY, "GET", "/api/v1/events?type=command.response", NULL, NULL, 200,
               "{\"list\":[{\"position\":6,");
    kit_expect(&k, "of one trace", KIT_KEY, "GET", "/api/v1/events?trace_id=00000000000000000000000000000009", NULL,
               NULL, 200, "{\"list\":[{\"position\":2,");
    kit_expect(&k, "before any", KIT_KEY, "GET", "/api/v1/events?until=2020-01-01T00:00:00Z", NULL, NULL, 200,
               "{\"list\":[],\"next_cursor\":null}");
    kit_expect(&k, "after all", KIT_KEY, "GET", "/api/v1/events?since=2100-01-01T00:00:00Z", NULL, NULL, 200,
               "{\"list\":[],\"next_cursor\":null}");
    kit_expect(&k, "since long, turned", KIT_KEY, "GET", "/api/v1/events?since=2020-01-01T00:00:00Z&sort=-position",
               NULL, NULL, 200, "\"next_cursor\":null");
    kit_expect(&k, "not by pages", KIT_KEY, "GET", "/api/v1/events?page=1", NULL, NULL, 400, "\"field\":\"page\"");
}

static void test_frames(void)
{
    static const char base[] = "/api/v1/charge-points/CP1/messages";
    char target[160];
    kit_sql(&k, "INSERT INTO commands (command_id, charge_point_id, action, payload, origin, state, outcome, "
                "queued_at, sent_at, expires_at, trace_id, position) "
                "VALUES ('c1', 'CP1', 'Reset', '{}', 'api', 'done', 'answered', 1, 2, 3, '0', 5)");
    kit_expect(&k, "the newest first", KIT_KEY, "GET", base, NULL, NULL, 200, "{\"list\":[{\"position\":6,");
    kit_expect(&k, "the answer of a station to a command", KIT_KEY, "GET", base, NULL, NULL, 200,
               "\"direction\":\"in\",\"message_type\":\"result\",\"message_id\":\"s1\",\"action\":\"Reset\",\"text\":"
               "\"[3,\\\"s1\\\"");
    kit_expect(&k, "a command on its way", KIT_KEY, "GET", base, NULL, NULL, 200,
               "\"direction\":\"out\",\"message_type\":\"call\",\"message_id\":\"s1\",\"action\":\"Reset\"");
    kit_expect(&k, "what was no message", KIT_KEY, "GET", base, NULL, NULL, 200,
               "\"direction\":\"in\",\"message_type\":null,\"message_id\":null,\"action\":null,\"text\":\"rubbish\","
               "\"latency_ms\":null,\"outcome\":\"error\"");
    kit_expect(&k, "an answer of ours has the action of its call", KIT_KEY, "GET", base, NULL, NULL, 200,
               "\"direction\":\"out\",\"message_type\":\"result\",\"message_id\":\"m1\",\"action\":\"Heartbeat\"");
    (void)snprintf(target, sizeof target, "%s?action=Heartbeat&direction=in", base);
    kit_expect(&k, "filters", KIT_KEY, "GET", target, NULL, NULL, 200, "{\"list\":[{\"position\":2,");
    (void)snprintf(target, sizeof target, "%s?limit=3", base);
    kit_expect(&k, "a page may end within an event", KIT_KEY, "GET", target, NULL, NULL, 200,
               "\"next_cursor\":\"4.0\"");
    (void)snprintf(target, sizeof target, "%s?limit=1&cursor=4.0", base);
    kit_expect(&k, "and the next goes on there", KIT_KEY, "GET", target, NULL, NULL, 200, "\"text\":\"rubbish\"");
    (void)snprintf(target, sizeof target, "%s?cursor=1", base);
    kit_expect(&k, "the last page", KIT_KEY, "GET", target, NULL, NULL, 200, "{\"list\":[],\"next_cursor\":null}");
    (void)snprintf(target, sizeof target, "%s?cursor=x", base);
    kit_expect(&k, "no cursor", KIT_KEY, "GET", target, NULL, NULL, 422, "CURSOR_INVALID");
    (void)snprintf(target, sizeof target, "%s?trace_id=1", base);
    kit_expect(&k, "no trace", KIT_KEY, "GET", target, NULL, NULL, 422, "trace_id");
}

static void test_readings(void)
{
    char sql[600], target[96];
    uint64_t at[3];
    for (size_t i = 0; i < COUNT_OF(at); i++)
        at[i] = append("CP1", EVENT_TRANSACTION_METER,
                       "{\"connectorId\":1,\"transactionId\":\"1\",\"meterValues\":[{\"timestamp\":\"2026-01-01T00:00:"
                       "00Z\",\"sampledValue\":{\"value\":\"1\",\"measurand\":\"x\"}}]}",
                       NULL, NULL);
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO transactions (number, transaction_id, charge_point_id, connector_id, id_tag, state, "
                   "started_at, meter_start_wh, received_at, "
                   "position) VALUES (1, '%u', 'CP1', 1, 'T', 'open', 1, 5, 7, 1)",
                   permute31(k.id_key, 1));
    kit_sql(&k, sql);
    for (size_t i = 0; i < COUNT_OF(at); i++) {
        (void)snprintf(sql, sizeof sql,
                       "INSERT INTO transaction_reading_blocks (number, first, is_named, positions) VALUES (1, %" PRIu64
                       ", 1, '[%" PRIu64 "]')",
                       at[i], at[i]);
        kit_sql(&k, sql);
    }
    (void)snprintf(target, sizeof target, "/api/v1/transactions/%u/meter-values?limit=2", permute31(k.id_key, 1));
    kit_expect(&k, "readings as they came", KIT_KEY, "GET", target, NULL, NULL, 200,
               "\"connector_id\":1,\"meter_values\":[{\"timestamp\":\"2026-01-01T00:00:00Z\"");
    struct kit_answer a;
    kit_call(&k, KIT_KEY, "GET", target, NULL, NULL, &a);
    const char *next = strstr(a.body, "\"next_cursor\":\"");
    CHECK("there is more", next != NULL);
    (void)snprintf(target, sizeof target, "/api/v1/transactions/%u/meter-values?cursor=%.*s", permute31(k.id_key, 1),
                   next == NULL ? 0 : (int)strcspn(next + 15, "\""), next == NULL ? "" : next + 15);
    buf_release(&a.all);
    kit_expect(&k, "the last of them", KIT_KEY, "GET", target, NULL, NULL, 200, "\"next_cursor\":null");
    (void)snprintf(target, sizeof target, "/api/v1/transactions/%u/meter-values?every_s=3600", permute31(k.id_key, 1));
    kit_call(&k, KIT_KEY, "GET", target, NULL, NULL, &a);
    const char *one = strstr(a.body, "\"position\"");
    CHECK("thinned to one", one != NULL && strstr(one + 1, "\"position\"") == NULL);
    buf_release(&a.all);
    (void)snprintf(target, sizeof target, "/api/v1/transactions/%u/meter-values?cursor=x", permute31(k.id_key, 1));
    kit_expect(&k, "no cursor", KIT_KEY, "GET", target, NULL, NULL, 422, "CURSOR_INVALID");
}

static int stream_open(const char *query, const char *headers, struct buf *b)
{
    char text[512];
    int fd = kit_connect(&k);
    int n = snprintf(text, sizeof text,
                     "GET /api/v1/events/stream%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " KIT_KEY "\r\n%s\r\n",
                     query, headers);
    kit_send(fd, text, (size_t)n);
    buf_init(b, KIT_READ_MAX);
    return fd;
}

static void test_stream(void)
{
    struct buf b, other;
    char last[64], want[64];
    int fd = stream_open("", "", &b);
    CHECK("a stream begins", kit_await(fd, &b, ": begin\n\n"));
    CHECK("as one", strstr((const char *)b.at, "Content-Type: text/event-stream") != NULL);
    int filtered = stream_open("?charge_point_id=CP7&type=connector.status_changed", "", &other);
    CHECK("another begins", kit_await(filtered, &other, ": begin\n\n"));
    uint64_t first = append("CP6", EVENT_HEARTBEAT, "{}", NULL, NULL);
    (void)append("CP6", EVENT_FRAME, "{}", "x", NULL);
    (void)append("CP7", EVENT_HEARTBEAT, "{}", NULL, NULL);
    uint64_t second = append("CP7", EVENT_STATUS_CHANGED, "{\"connectorId\":1}", NULL, NULL);
    (void)snprintf(want, sizeof want, "id: %" PRIu64 "\nevent: heartbeat.received\ndata: {\"eventId\":\"", first);
    CHECK("an event comes", kit_await(fd, &b, want));
    (void)snprintf(want, sizeof want, "id: %" PRIu64 "\nevent: connector.status_changed", second);
    CHECK("and the next", kit_await(fd, &b, want));
    CHECK("inner ones do not", strstr((const char *)b.at, "frame.seen") == NULL);
    CHECK("what fits a filter", kit_await(filtered, &other, want));
    CHECK("what does not is not there", strstr((const char *)other.at, "heartbeat") == NULL);
    (void)close(fd);
    buf_release(&b);
    (void)snprintf(last, sizeof last, "Last-Event-ID: %" PRIu64 "\r\n", first);
    fd = stream_open("", last, &b);
    CHECK("a stream resumes", kit_await(fd, &b, want));
    (void)snprintf(want, sizeof want, "id: %" PRIu64 "\n", first);
    CHECK("behind what was seen", strstr((const char *)b.at, want) == NULL);
    uint64_t third = append("CP7", EVENT_HEARTBEAT, "{}", NULL, NULL);
    (void)snprintf(want, sizeof want, "id: %" PRIu64 "\n", third);
    CHECK("and goes on live", kit_await(fd, &b, want));
    (void)close(fd);
    buf_release(&b);
    (void)close(filtered);
    buf_release(&other);
    fd = stream_open("?since=2020-01-01T00:00:00Z", "", &b);
    CHECK("a stream from a time on", kit_await(fd, &b, "id: 2\nevent: heartbeat.received"));
    (void)close(fd);
    buf_release(&b);
    kit_expect(&k, "no position", KIT_KEY, "GET", "/api/v1/events/stream", "Last-Event-ID: x\r\n", NULL, 422,
               "Last-Event-ID");
    kit_expect(&k, "a position that is not yet", KIT_KEY, "GET", "/api/v1/events/stream", "Last-Event-ID: 999999\r\n",
               NULL, 422, "Last-Event-ID");
    kit_expect(&k, "a filter that is none", KIT_KEY, "GET", "/api/v1/events/stream?type=x", NULL, NULL, 422, "type");
}

/* The reader that stands still is cut off when its buffer is full; what it then reads is whole and ends with the
 * reason. */
static void test_slow_reader(void)
{
    struct buf b;
    static char payload[BIG + 64];
    (void)snprintf(payload, sizeof payload, "{\"x\":\"%0*d\"}", BIG, 0);
    int fd = stream_open("", "", &b);
    CHECK("a stream begins", kit_await(fd, &b, ": begin\n\n"));
    uint64_t at = append("CP8", EVENT_HEARTBEAT, payload, NULL, NULL);
    char want[64];
    (void)snprintf(want, sizeof want, "id: %" PRIu64 "\n", at);
    CHECK("live", kit_await(fd, &b, want));
    int64_t cuts = metric_get(METRIC_STREAMS_CUT);
    for (int i = 0; i < 20000 && metric_get(METRIC_STREAMS_CUT) == cuts; i++)
        (void)append("CP8", EVENT_HEARTBEAT, payload, NULL, NULL);
    CHECK("it is cut off", metric_get(METRIC_STREAMS_CUT) == cuts + 1);
    CHECK("with a last event", kit_await(fd, &b, "event: stream.cut\ndata: {\"reason\":"));
    CHECK("and then the end", kit_await(fd, &b, "\r\n0\r\n\r\n"));
    (void)close(fd);
    buf_release(&b);
}

/* Who leaves makes room at once, read or not, asleep or being written to. */
static void test_gone(void)
{
    struct buf other, b;
    int stays = stream_open("", "", &other);
    CHECK("one stays", kit_await(stays, &other, ": begin\n\n"));
    for (int i = 0; i < 50; i++) {
        int fd = stream_open("", "", &b);
        bool begins = kit_await(fd, &b, ": begin\n\n");
        CHECK("another begins", begins);
        if (!begins)
            i = 50;
        (void)append("CP6", EVENT_HEARTBEAT, "{}", NULL, NULL); /* unread when it leaves, or on its way */
        (void)close(fd);
        buf_release(&b);
    }
    (void)close(stays);
    buf_release(&other);
}

static void test_streams_max(void)
{
    struct buf b[3];
    int fd[3];
    for (int i = 0; i < 3; i++) {
        fd[i] = stream_open("", "", &b[i]);
        CHECK("up to the limit a stream begins", kit_await(fd[i], &b[i], i < 2 ? ": begin\n\n" : "TOO_MANY_STREAMS"));
    }
    CHECK("past it 429", strstr((const char *)b[2].at, "HTTP/1.1 429") != NULL &&
                             strstr((const char *)b[2].at, "Retry-After: ") != NULL);
    api_stop(k.api);
    CHECK("the end of the server is said", kit_await(fd[0], &b[0], "event: stream.end\n"));
    for (int i = 0; i < 3; i++) {
        (void)close(fd[i]);
        buf_release(&b[i]);
    }
}

int main(void)
{
    static const char *const sets[] = {"api.streams_max=2", "api.stream_buffer_bytes=16384"};
    kit_open(&k, sets, COUNT_OF(sets));
    test_list();
    test_frames();
    test_readings();
    test_stream();
    test_slow_reader();
    kit_close(&k);
    kit_open(&k, sets, COUNT_OF(sets));
    test_gone();
    test_streams_max();
    kit_close(&k);
    return CHECK_REPORT();
}
