/* fill_log.c - a log with many events in it, written through the log's own library, as fast as it takes them.
 *
 *     fill-log DIRECTORY EVENTS
 *
 * Events are meter values with their frame and answer, of a thousand stations in turn. Nothing is synced: only the
 * result counts. Prints "position=N seconds=S bytes=B". */
#include "bench/frames.h"
#include "bench/measure.h"
#include "eventlog/log.h"

#define STATIONS  1000
#define ROUND     2000
#define PERIOD_US 1000

static const char payload[] =
    "{\"connectorId\":1,\"transactionId\":\"TTTTTTTTTT\",\"meterValues\":[{\"timestamp\":\"YYYYYYYYYYYYYYYYYYYYYYYY\","
    "\"sampledValue\":"
    "[{\"value\":\"EEEEEEEEE\",\"context\":\"Sample.Periodic\",\"format\":\"Raw\",\"measurand\":\"Energy.Active.Import."
    "Register\","
    "\"location\":\"Outlet\",\"unit\":\"Wh\"},{\"value\":\"7215.4\",\"context\":\"Sample.Periodic\",\"format\":\"Raw\","
    "\"measurand\":\"Power.Active.Import\",\"location\":\"Outlet\",\"unit\":\"W\"}]}]}";

static struct eventlog *open_log(const char *dir)
{
    struct eventlog_options o = eventlog_options_default();
    struct eventlog *l = NULL;
    struct fault why = {0};

    o.dir = str_of(dir);
    o.gateway_id = STR("gateway-1");
    o.sync = false;
    if (eventlog_open(&o, &l, &why) != OK) {
        (void)fprintf(stderr, "%s: %s\n", why.field, why.reason);
        exit(1);
    }
    eventlog_keep_from(l, 0);
    return l;
}

/* Changes the digits of frame and payload to those of event i. */
static void number_event(struct frame *frame, struct frame *text, uint64_t i, int64_t at_us)
{
    put_number(frame->id, 10, 1000000000 + i);
    put_number(frame->transaction, 10, 1000000000 + i / 12);
    put_number(frame->energy, 9, REGISTER_FIRST + i % REGISTER_FIRST);
    put_time(frame->time, at_us);
    put_number(text->transaction, 10, 1000000000 + i / 12);
    put_number(text->energy, 9, REGISTER_FIRST + i % REGISTER_FIRST);
    put_time(text->time, at_us);
}

int main(int argc, char **argv)
{
    const uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    static struct frame frame, text;
    char station[32], answer[32];

    if (count == 0) {
        (void)fprintf(stderr, "usage: fill-log DIRECTORY EVENTS\n");
        return 2;
    }
    struct eventlog *l = open_log(argv[1]);
    const int64_t began = clock_us(CLOCK_MONOTONIC), first_us = clock_us(CLOCK_REALTIME) - (int64_t)count * PERIOD_US;
    frame_make(&frame, call_texts[CALL_METER], METER_SIZE);
    frame_make(&text, payload, 0);
    const size_t text_head = text.bytes[1] == (0x80 | 126) ? 8 : 6;
    for (uint64_t i = 0; i < count; i++) {
        const int64_t at_us = first_us + (int64_t)i * PERIOD_US;
        number_event(&frame, &text, i, at_us);
        struct event e = {
            .type = EVENT_TRANSACTION_METER, .received = {at_us}, .device_time = {at_us}, .sequence = 1 + i / STATIONS};
        e.station =
            (struct str){station, (size_t)snprintf(station, sizeof station, "BENCH-%06u", (unsigned)(i % STATIONS))};
        e.answer = (struct str){
            answer, (size_t)snprintf(answer, sizeof answer, "[3,\"%llu\",{}]", (unsigned long long)(1000000000 + i))};
        e.frame = (struct str){(const char *)frame.bytes + 8, METER_SIZE};
        e.payload = (struct str){(const char *)text.bytes + text_head, text.len - text_head};
        (void)memcpy(e.trace, station, sizeof e.trace);
        while (eventlog_append(l, &e) != OK)
            eventlog_wait(l, eventlog_durable(l), 1000);
        if (i % ROUND == ROUND - 1) {
            eventlog_commit(l);
            while (!eventlog_has_room(l))
                eventlog_wait(l, eventlog_durable(l), 1000);
        }
    }
    eventlog_commit(l);
    while (eventlog_durable(l) < eventlog_position(l))
        eventlog_wait(l, eventlog_position(l) - 1, 1000);
    struct eventlog_stats stats;
    eventlog_stats(l, &stats);
    eventlog_close(l);
    (void)printf("position=%llu seconds=%.1f bytes=%lld segments=%u\n", (unsigned long long)stats.position,
                 (double)(clock_us(CLOCK_MONOTONIC) - began) / 1e6, (long long)stats.bytes, stats.segments);
    return 0;
}
