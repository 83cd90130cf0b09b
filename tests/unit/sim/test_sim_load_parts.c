/* What the load generator is made of: frames with holes, and figures about answers. */
#include "check.h"
#include "proto/ocpp16/frame.h"
#include "proto/ocpp16/messages.h"
#include "sim/latency.h"
#include "sim/load.h"
#include <string.h>

static const struct str values[HOLE_COUNT] = {
    [HOLE_ID] = {"2f", 2},
    [HOLE_TRANSACTION] = {"2000000001", 10},
    [HOLE_TIME] = {"2026-03-01T09:00:00.000Z", 24},
    [HOLE_ENERGY] = {"1000037", 7},
    [HOLE_TAG] = {"SIM-TAG-01", 10},
};
static const struct {
    const char *row;
    enum load_call call;
    const char *action;
} frame_rows[] = {
    {"a boot", LOAD_BOOT, "BootNotification"},    {"a start", LOAD_START, "StartTransaction"},
    {"samples", LOAD_METER, "MeterValues"},       {"a stop", LOAD_STOP, "StopTransaction"},
    {"a heartbeat", LOAD_HEARTBEAT, "Heartbeat"},
};

static void check_frames(void)
{
    for (size_t i = 0; i < COUNT_OF(frame_rows); i++) {
        const char *row = frame_rows[i].row;
        struct template t;
        struct buf out;
        struct arena a;
        struct ocpp_frame f;
        struct fault why = {{0}, {0}};
        arena_init(&a, 65536);
        buf_init(&out, 4096);
        load_template_make(frame_rows[i].call, &t);
        template_fill(&t, values, &out);
        CHECK(row, ocpp_frame_read(buf_str(&out), &a, &f, NULL) == OK && str_eq(f.id, STR("2f")));
        CHECK(row, str_eq(f.action, str_of(frame_rows[i].action)));
        const struct ocpp_action *action = ocpp_action_find(f.action);
        void *request = arena_take(&a, action->request->size);
        CHECK(row, schema_read(action->request, f.payload, STRICT, &a, request, &why) == OK);
        CHECK(row, memchr(out.at, '@', out.len) == NULL);
        if (frame_rows[i].call == LOAD_METER)
            CHECK("samples have the size that is measured with", f.payload.len == LOAD_METER_PAYLOAD);
        template_release(&t);
        buf_release(&out);
        arena_release(&a);
    }
}

static void check_template(void)
{
    struct template t;
    struct buf out;
    buf_init(&out, 256);
    CHECK("marks side by side", template_make(&t, STR("@id@@tag@x@id@")) == OK && t.hole_count == 3);
    template_fill(&t, values, &out);
    CHECK("are filled in order", str_eq(buf_str(&out), STR("2fSIM-TAG-01x2f")));
    template_release(&t);
    CHECK("too many holes", template_make(&t, STR("@id@@id@@id@@id@@id@@id@@id@@id@@id@")) == ERR_LIMIT);
    buf_release(&out);
}

static void check_latency(void)
{
    static struct latency l;
    CHECK("nothing was measured", latency_at(&l, 500) == 0);
    for (int i = 1; i <= 1000; i++)
        latency_add(&l, i * 100);
    int64_t half = latency_at(&l, 500), most = latency_at(&l, 1000), nearly = latency_at(&l, 990);
    CHECK("the median is right to a bucket", half >= 50000 && half <= 50000 * 33 / 32);
    CHECK("and the 99th", nearly >= 99000 && nearly <= 100000);
    CHECK("no percentile is past the largest", most == 100000);
    latency_add(&l, -5);
    CHECK("a clock that was set back counts as none", latency_at(&l, 0) == 0 || l.buckets[0] == 1);
    latency_add(&l, INT64_MAX / 2);
    CHECK("the absurd has a bucket too", l.count == 1002 && l.most_us == INT64_MAX / 2);
}

int main(void)
{
    check_frames();
    check_template();
    check_latency();
    return CHECK_REPORT();
}
