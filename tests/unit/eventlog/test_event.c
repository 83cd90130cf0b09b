/* The tables of events, and the published form as gateway-contract.md 1 has it. */
#include "check.h"
#include "eventlog/event.h"

#include <string.h>

static void test_tables(void)
{
    for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
        const struct event_kind *kind = &event_kinds[i];
        CHECK("every type has its row", kind->wire.at != NULL && kind->payload != NULL && kind->when != NULL);
        CHECK("a wire name is found, and is one type's only", i == EVENT_NOTHING || event_type_find(kind->wire) == i);
    }
    CHECK("no event has no name", event_type_find(STR("")) == -1);
    CHECK("an unknown name", event_type_find(STR("transaction.begun")) == -1);
    CHECK("nor is the absent one", event_type_find((struct str){NULL, 0}) == -1);
    CHECK("published", event_kinds[EVENT_TRANSACTION_STARTED].is_published);
    CHECK("internal", !event_kinds[EVENT_COMMAND_SENT].is_published && !event_kinds[EVENT_NOTHING].is_published);
    CHECK("the number of a line is stored: it stays", EVENT_TRANSACTION_STARTED == 4 && EVENT_GATEWAY_STARTED == 28);
}

static void test_write(void)
{
    struct event e = {
        .id = uuid_v7(1772355600123, 0xabc, 5),
        .type = EVENT_STATUS_CHANGED,
        .station = STR("CP-\"1\""),
        .received = {1772355600123456},
        .device_time = INSTANT_NONE,
        .sequence = 7,
        .trace = {0x0a, 0xff},
        .payload = STR("{\"connectorId\":1}"),
    };
    struct buf out;
    buf_init(&out, 4096);
    event_write(&e, STR("gw-1"), &out);
    CHECK("the published form",
          str_eq(buf_str(&out), STR("{\"eventId\":\"019ca8a0-3efb-7abc-8000-000000000005\","
                                    "\"eventType\":\"connector.status_changed\",\"chargePointId\":\"CP-\\\"1\\\"\","
                                    "\"gatewayId\":\"gw-1\",\"timestamp\":\"2026-03-01T09:00:00.123Z\","
                                    "\"payload\":{\"connectorId\":1},\"traceId\":\"0aff0000000000000000000000000000\","
                                    "\"sequence\":7,\"schemaVersion\":\"1.0\"}")));
    buf_clear(&out);
    e.device_time = (struct instant){1772355600000000};
    e.payload = e.station = (struct str){NULL, 0};
    event_write(&e, STR("gw-1"), &out);
    CHECK("with the device's time", strstr(buf_str(&out).at, "\"deviceTime\":\"2026-03-01T09:00:00.000Z\"") != NULL);
    CHECK("an absent payload is an empty one", strstr(buf_str(&out).at, "\"payload\":{}") != NULL);
    CHECK("an absent station is an empty one", strstr(buf_str(&out).at, "\"chargePointId\":\"\"") != NULL);
    CHECK("it is JSON", json_check(buf_str(&out), NULL) == OK);
    buf_release(&out);
}

static void test_read_payload(void)
{
    static const struct {
        const char *row;
        struct str payload;
        enum err want;
    } rows[] = {
        {"as it should be", STR("{\"reason\":\"ping_timeout\"}"), OK},
        {"with a member of a later version", STR("{\"reason\":\"ping_timeout\",\"later\":1}"), OK},
        {"without what is required", STR("{}"), ERR_MISSING},
        {"absent", {NULL, 0}, ERR_MISSING},
        {"of a wrong type", STR("{\"reason\":1}"), ERR_TYPE},
        {"no JSON", STR("{\"reason\""), ERR_FORMAT},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct event e = {.type = EVENT_DISCONNECTED, .payload = rows[i].payload};
        struct ev_disconnected got = {0};
        struct fault why = {0};
        struct arena a;
        arena_init(&a, 1 << 16);
        CHECK(rows[i].row, event_read_payload(&e, &a, &got, &why) == rows[i].want);
        CHECK(rows[i].row, rows[i].want != OK || str_eq(got.reason, STR("ping_timeout")));
        CHECK(rows[i].row, rows[i].want == OK || why.reason[0] != 0);
        arena_release(&a);
    }
}

static void test_packed(void)
{
    static const struct str frame = STR("[2,\"1\",\"X\",{\"reason\":\"ping_timeout\"}]");
    const struct str body = {frame.at + 11, 25};
    const struct ev_disconnected in = {.reason = {frame.at + 22, 12}, .generation = {7, true}};
    struct ev_disconnected out = {0};
    struct buf packed, json, published;
    struct arena a;
    struct str found;
    buf_init(&packed, 4096);
    buf_init(&json, 4096);
    buf_init(&published, 4096);
    arena_init(&a, 1 << 16);
    event_pack(EVENT_DISCONNECTED, &in, frame, body, NULL, &packed);
    struct event e = {.type = EVENT_DISCONNECTED, .payload = buf_str(&packed), .frame = frame}, whole = e;
    CHECK("it is packed", event_is_packed(&e) && packed.len < 16);
    CHECK("what its frame says is not said again", memmem(packed.at, packed.len, "ping", 4) == NULL);
    CHECK("its struct", event_read_payload(&e, &a, &out, NULL) == OK && out.generation.value == 7 &&
                            str_eq(out.reason, STR("ping_timeout")));
    CHECK("the body of its frame",
          event_packed_body(&e, &found) == OK && str_eq(found, STR("{\"reason\":\"ping_timeout\"}")));
    CHECK("its JSON", event_unpack(&whole, &a, &json, NULL) == OK &&
                          str_eq(whole.payload, STR("{\"reason\":\"ping_timeout\",\"generation\":7}")));
    event_write(&e, STR("gw"), &published);
    CHECK("it is published as JSON", memmem(published.at, published.len,
                                            "\"payload\":{\"reason\":\"ping_timeout\",\"generation\":7},", 51) != NULL);
    CHECK("JSON stays as it is",
          event_unpack(&whole, &a, &packed, NULL) == OK && event_packed_body(&whole, &found) == ERR_UNKNOWN);
    e.frame.len = 30;
    CHECK("beside another frame it is refused", event_packed_body(&e, &found) == ERR_CORRUPT &&
                                                    event_read_payload(&e, &a, &out, NULL) == ERR_CORRUPT &&
                                                    event_unpack(&e, &a, &json, NULL) == ERR_CORRUPT);
    buf_clear(&published);
    event_write(&e, STR("gw"), &published);
    CHECK("and not published", published.failed);
    buf_release(&packed);
    buf_release(&json);
    buf_release(&published);
    arena_release(&a);
}

int main(void)
{
    test_packed();
    test_tables();
    test_write();
    test_read_payload();
    return CHECK_REPORT();
}
