/* A simulated station against a scripted server: no socket, no clock. All pairs of phase and input; registration; a
 * session; what is kept while nobody answers; what the server asks for. */
#include "check.h"
#include "sim/station_private.h"
#include <string.h>

#define SAID_MAX 64

/* What the station did since the last look. */
static struct {
    char frames[SAID_MAX][4096];
    size_t count, connects, drops;
    bool events[SIM_EVENT_COUNT];
} said;
static struct sim_now now;
static struct sim_world world;
static struct arena memory;

static void on_connect(struct sim_station *s)
{
    (void)s;
    said.connects++;
}
static void on_send(struct sim_station *s, struct str text)
{
    (void)s;
    check(said.count < SAID_MAX);
    (void)str_copy(said.frames[said.count++], sizeof said.frames[0], text);
}
static void on_drop(struct sim_station *s)
{
    (void)s;
    said.drops++;
}
static void on_tell(struct sim_station *s, const struct sim_event *e)
{
    (void)s;
    said.events[e->kind] = true;
}

static struct sim_station *make(uint32_t quirks, bool is_driven)
{
    memset(&said, 0, sizeof said);
    sim_world_init(&world);
    arena_init(&memory, 1 << 20);
    now = (struct sim_now){1000000, {INT64_C(1772355600000000)}};
    world.connect = on_connect;
    world.send = on_send;
    world.drop = on_drop;
    world.tell = on_tell;
    world.quirks = quirks;
    world.is_driven = is_driven;
    world.first_plug_ms = 1000;
    return sim_station_new(&world, &(struct sim_station_options){.connectors = 2, .seed = 7, .prefix = STR("SIM")});
}

static void done(struct sim_station *s)
{
    sim_station_free(s);
    sim_world_release(&world);
    arena_release(&memory);
}

static void pass(struct sim_station *s, int64_t ms)
{
    now.ms += ms;
    now.wall.us += ms * 1000;
    sim_station_on_time(s, now);
}

static struct ocpp_frame frame_at(size_t i)
{
    struct ocpp_frame f = {0};
    if (i >= said.count || ocpp_frame_read(str_of(said.frames[i]), &memory, &f, NULL) != OK)
        f.action = STR("nothing");
    return f;
}
static struct ocpp_frame last(void)
{
    return frame_at(said.count - 1);
}
static bool said_last(const char *action)
{
    return said.count > 0 && str_eq(last().action, str_of(action));
}

static void give(struct sim_station *s, const char *payload)
{
    struct str text = arena_printf(&memory, "[3,%.*s,%s]", STR_ARG(last().id_json), payload);
    sim_station_on_text(s, now, text);
}
static void give_error(struct sim_station *s)
{
    sim_station_on_text(s, now, arena_printf(&memory, "[4,%.*s,\"InternalError\",\"\",{}]", STR_ARG(last().id_json)));
}
static void ask(struct sim_station *s, const char *action, const char *payload)
{
    sim_station_on_text(s, now, arena_printf(&memory, "[2,\"ask\",\"%s\",%s]", action, payload));
}

static void open_and_boot(struct sim_station *s)
{
    sim_station_on_time(s, now);
    sim_station_on_open(s, now);
    CHECK("a station that is in boots", said_last("BootNotification"));
    give(s, "{\"status\":\"Accepted\",\"currentTime\":\"2026-03-01T09:00:00Z\",\"interval\":600}");
    for (int i = 0; i < 3; i++) {
        CHECK("then it tells its status", said_last("StatusNotification"));
        give(s, "{}");
    }
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

#define NO -1
/* clang-format off */
static const int8_t wanted[SIM_PHASE_COUNT][SIM_INPUT_COUNT] = {
    /*                    PLUG           CARD             REMOTE         ACCEPTED      DENIED         FILLED       STOP         UNPLUG    DISABLE       ENABLE */
    [SIM_FREE]        = {SIM_PREPARING, NO,              SIM_PREPARING, NO,           NO,            NO,          NO,          NO,       SIM_DISABLED, NO},
    [SIM_PREPARING]   = {NO,            SIM_AUTHORIZING, SIM_PREPARING, NO,           NO,            NO,          NO,          SIM_FREE, NO,           NO},
    [SIM_AUTHORIZING] = {NO,            NO,              NO,            SIM_CHARGING, SIM_PREPARING, NO,          NO,          SIM_FREE, NO,           NO},
    [SIM_CHARGING]    = {NO,            NO,              NO,            NO,           NO,            SIM_RESTING, SIM_LEAVING, NO,       NO,           NO},
    [SIM_RESTING]     = {NO,            NO,              NO,            NO,           NO,            NO,          SIM_LEAVING, NO,       NO,           NO},
    [SIM_LEAVING]     = {NO,            NO,              NO,            NO,           NO,            NO,          NO,          SIM_FREE, NO,           NO},
    [SIM_DISABLED]    = {NO,            NO,              NO,            NO,           NO,            NO,          NO,          NO,       NO,           SIM_FREE},
};
/* clang-format on */
/* How a connector comes to each phase. */
static const struct {
    enum sim_input inputs[5];
    size_t count;
} ways[SIM_PHASE_COUNT] = {
    [SIM_FREE] = {{0}, 0},
    [SIM_PREPARING] = {{SIM_PLUG}, 1},
    [SIM_AUTHORIZING] = {{SIM_PLUG, SIM_CARD}, 2},
    [SIM_CHARGING] = {{SIM_PLUG, SIM_CARD, SIM_ACCEPTED}, 3},
    [SIM_RESTING] = {{SIM_PLUG, SIM_CARD, SIM_ACCEPTED, SIM_FILLED}, 4},
    [SIM_LEAVING] = {{SIM_PLUG, SIM_CARD, SIM_ACCEPTED, SIM_STOP}, 4},
    [SIM_DISABLED] = {{SIM_DISABLE}, 1},
};

static void check_rows(void)
{
    for (int from = 0; from < SIM_PHASE_COUNT; from++) {
        for (int input = 0; input < SIM_INPUT_COUNT; input++) {
            struct sim_station *s = make(0, true);
            open_and_boot(s);
            struct step t = {s, &world, now};
            struct sim_connector *c = &s->connectors[0];
            for (size_t i = 0; i < ways[from].count; i++)
                check(connector_apply(&t, c, ways[from].inputs[i]));
            check(c->phase == from);
            bool has_row = connector_apply(&t, c, (enum sim_input)input);
            char row[48];
            (void)snprintf(row, sizeof row, "phase %d, input %d", from, input);
            CHECK(row, has_row == (wanted[from][input] != NO));
            CHECK(row, c->phase == (has_row ? wanted[from][input] : from));
            done(s);
        }
    }
}

/* ---- Registration and connection --------------------------------------------------------------------------------- */

static void check_registration(void)
{
    struct sim_station *s = make(0, false);
    sim_station_on_time(s, now);
    CHECK("it connects when it is due", said.connects == 1);
    sim_station_on_open(s, now);
    give(s, "{\"status\":\"Rejected\",\"currentTime\":\"2026-03-01T09:00:00Z\",\"interval\":30}");
    CHECK("a rejected station is silent", said.count == 1 && said.events[SIM_BOOT_REFUSED]);
    ask(s, "ClearCache", "{}");
    CHECK("and answers nothing", said.count == 1);
    pass(s, 29999);
    CHECK("until its interval is over", said.count == 1 && sim_station_due_ms(s) == now.ms + 1);
    pass(s, 1);
    CHECK("then it boots again", said.count == 2 && said_last("BootNotification"));
    give(s, "{\"status\":\"Pending\",\"currentTime\":\"2026-03-01T09:00:00Z\",\"interval\":30}");
    ask(s, "RemoteStartTransaction", "{\"idTag\":\"A\"}");
    CHECK("a pending one starts nothing", strstr(said.frames[2], "Rejected") != NULL);
    ask(s, "TriggerMessage", "{\"requestedMessage\":\"StatusNotification\",\"connectorId\":1}");
    CHECK("but says what is triggered, the answer first",
          strstr(said.frames[3], "Accepted") != NULL && said_last("StatusNotification"));
    done(s);
}

static void check_boot_failures(void)
{
    struct sim_station *s = make(0, false);
    sim_station_on_time(s, now);
    sim_station_on_open(s, now);
    give(s, "{\"status\":7");
    CHECK("an answer that is no JSON is none", said.count == 1 && s->is_calling);
    pass(s, 30000);
    CHECK("no answer in time is told", said.events[SIM_UNANSWERED]);
    pass(s, BOOT_RETRY_S * 1000);
    CHECK("and tried again", said.count == 2 && said_last("BootNotification"));
    give_error(s);
    CHECK("an error likewise", said.events[SIM_REFUSED] && s->registration == SIM_NEW);
    sim_station_on_close(s, now);
    int64_t first = sim_station_due_ms(s) - now.ms;
    CHECK("it comes back, with jitter", first >= 500 && first <= 1500);
    pass(s, first);
    CHECK("once", said.connects == 2);
    for (int i = 0; i < 10; i++)
        sim_station_on_close(s, now);
    CHECK("later and later, but not for ever",
          sim_station_due_ms(s) - now.ms >= 32000 && sim_station_due_ms(s) - now.ms <= 96000);
    done(s);
}

static void check_heartbeat(void)
{
    struct sim_station *s = make(0, false);
    open_and_boot(s);
    size_t before = said.count;
    CHECK("the next thing is a heartbeat", sim_station_due_ms(s) == now.ms + 600000);
    pass(s, 599999);
    CHECK("not earlier", said.count == before);
    pass(s, 1);
    CHECK("it beats", said.count == before + 1 && said_last("Heartbeat"));
    give(s, "{\"currentTime\":\"2026-03-01T10:00:00Z\"}");
    struct step t = {s, &world, now};
    struct instant want;
    check(instant_parse(STR("2026-03-01T10:00:00Z"), &want, NULL) == OK);
    CHECK("its clock is the server's", station_clock(&t).us == want.us);
    done(s);
}

/* ---- A session --------------------------------------------------------------------------------------------------- */

static void start_charging(struct sim_station *s)
{
    struct step t = {s, &world, now};
    (void)connector_apply(&t, &s->connectors[0], SIM_PLUG);
    pass(s, 0);
    CHECK("preparing is told",
          said_last("StatusNotification") && strstr(said.frames[said.count - 1], "Preparing") != NULL);
    give(s, "{}");
    pass(s, 5000);
    CHECK("the card is asked about",
          said_last("Authorize") && strstr(said.frames[said.count - 1], "SIM-TAG-01") != NULL);
    give(s, "{\"idTagInfo\":{\"status\":\"Accepted\"}}");
    CHECK("the transaction starts", said_last("StartTransaction"));
}

static void check_session(void)
{
    struct sim_station *s = make(0, true);
    open_and_boot(s);
    s->connectors[1].next_at_ms = SIM_NEVER;
    start_charging(s);
    give(s, "{\"idTagInfo\":{\"status\":\"Accepted\"},\"transactionId\":4711}");
    CHECK("then it charges",
          said_last("StatusNotification") && strstr(said.frames[said.count - 1], "\"Charging\"") != NULL);
    give(s, "{}");
    int64_t energy_wh = 0;
    for (int i = 0; i < 3; i++) {
        pass(s, 60000);
        struct meter_values_req m;
        CHECK("a sample a minute", said_last("MeterValues"));
        CHECK("valid to the letter",
              schema_read(&meter_values_req_message, last().payload, STRICT, &memory, &m, NULL) == OK);
        int64_t wh = 0;
        CHECK("with the energy first",
              str_to_int(m.meter_value.at[0].sampled_value.at[0].value, &wh) == OK && wh > energy_wh);
        CHECK("and its transaction", m.transaction_id.value == 4711);
        energy_wh = wh;
        give(s, "{}");
    }
    ask(s, "RemoteStopTransaction", "{\"transactionId\":4712}");
    CHECK("another's stop is rejected", strstr(said.frames[said.count - 1], "Rejected") != NULL);
    size_t before = said.count;
    ask(s, "RemoteStopTransaction", "{\"transactionId\":4711}");
    CHECK("its own is accepted, then done",
          strstr(said.frames[before], "Accepted") != NULL && said_last("StopTransaction"));
    CHECK("for the reason", strstr(said.frames[said.count - 1], "\"reason\":\"Remote\"") != NULL);
    CHECK("and nobody's card", strstr(said.frames[said.count - 1], "idTag") == NULL);
    give(s, "{}");
    CHECK("then it is finishing", strstr(said.frames[said.count - 1], "Finishing") != NULL);
    give(s, "{}");
    CHECK("all is said", sim_station_is_quiet(s) && world.totals.active == 0 && world.totals.sessions == 1);
    done(s);
}

static void check_refused_card(void)
{
    struct sim_station *s = make(0, true);
    open_and_boot(s);
    s->connectors[1].next_at_ms = SIM_NEVER;
    start_charging(s);
    give(s, "{\"idTagInfo\":{\"status\":\"Blocked\"},\"transactionId\":5}");
    give(s, "{}");
    CHECK("a start that is refused stops, with the reason", said_last("StopTransaction"));
    CHECK("DeAuthorized", strstr(said.frames[said.count - 1], "\"transactionId\":5") != NULL &&
                              strstr(said.frames[said.count - 1], "DeAuthorized") != NULL);
    done(s);
}

static void check_repeats(void)
{
    struct sim_station *s = make(0, true);
    open_and_boot(s);
    s->connectors[1].next_at_ms = SIM_NEVER;
    start_charging(s);
    give_error(s);
    give(s, "{}"); /* an answer to nothing */
    CHECK("meanwhile other things are said", said_last("StatusNotification"));
    give(s, "{}");
    size_t before = said.count;
    pass(s, 9999);
    CHECK("a failed start waits", said.count == before);
    pass(s, 1);
    CHECK("and is sent again", said_last("StartTransaction"));
    sim_station_on_close(s, now);
    s->connect_at_ms = now.ms;
    pass(s, 0);
    sim_station_on_open(s, now);
    give(s, "{\"status\":\"Accepted\",\"currentTime\":\"2026-03-01T09:00:00Z\",\"interval\":600}");
    CHECK("a lost connection is no try more: the start comes after the boot",
          said_last("StartTransaction") && tx_queue_first(&s->queue)->sends == 2);
    give_error(s);
    for (int i = 0; i < 8 && s->is_calling; i++)
        give(s, "{}");
    pass(s, 20000);
    CHECK("the third try waits twice as long", said_last("StartTransaction"));
    give_error(s);
    CHECK("and is the last", said.events[SIM_GIVEN_UP]);
    for (int i = 0; i < 8 && s->is_calling; i++)
        give(s, "{}");
    pass(s, 60000);
    CHECK("the session goes on without an id",
          said_last("MeterValues") && strstr(said.frames[said.count - 1], "\"transactionId\":-1") != NULL);
    done(s);
}

static void check_offline(void)
{
    struct sim_station *s = make(0, true);
    open_and_boot(s);
    s->connectors[1].next_at_ms = SIM_NEVER;
    sim_station_on_close(s, now);
    struct step t = {s, &world, now};
    check(connector_apply(&t, &s->connectors[0], SIM_PLUG) && connector_apply(&t, &s->connectors[0], SIM_CARD));
    CHECK("offline a card is trusted", s->connectors[0].phase == SIM_CHARGING);
    s->connect_at_ms = SIM_NEVER;
    pass(s, 60000);
    pass(s, 60000);
    sim_station_finish(s, now);
    CHECK("start, samples and stop are kept", s->queue.count == 4);
    sim_station_on_open(s, now);
    give(s, "{\"status\":\"Accepted\",\"currentTime\":\"2026-03-01T09:10:00Z\",\"interval\":600}");
    static const char *const order[] = {"StartTransaction", "MeterValues", "MeterValues", "StopTransaction"};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        CHECK("and told in order", said_last(order[i]));
        if (i > 0)
            CHECK("with the id that came meanwhile",
                  strstr(said.frames[said.count - 1], "\"transactionId\":9") != NULL);
        give(s, i == 0 ? "{\"idTagInfo\":{\"status\":\"Accepted\"},\"transactionId\":9}" : "{}");
    }
    CHECK("then the present status", said_last("StatusNotification"));
    done(s);
}

/* ---- Commands ---------------------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *row, *action, *payload, *want;
} command_rows[] = {
    {"an unknown action",           "Frobnicate",          "{}",                                            "NotImplemented"},
    {"one that it has not",         "ReserveNow",          "{\"connectorId\":1}",                           "NotImplemented"},
    {"a broken payload",            "Reset",               "{}",                                            "FormationViolation"},
    {"the cache",                   "ClearCache",          "{}",                                            "{\"status\":\"Accepted\"}"},
    {"vendor data",                 "DataTransfer",        "{\"vendorId\":\"x\"}",                          "UnknownVendorId"},
    {"a setting",                   "ChangeConfiguration", "{\"key\":\"HeartbeatInterval\",\"value\":\"9\"}", "Accepted"},
    {"a setting that is not there", "ChangeConfiguration", "{\"key\":\"X\",\"value\":\"9\"}",               "NotSupported"},
    {"a setting for after a reset", "ChangeConfiguration", "{\"key\":\"WebSocketPingInterval\",\"value\":\"9\"}", "RebootRequired"},
    {"two settings, one unknown",   "GetConfiguration",    "{\"key\":[\"NumberOfConnectors\",\"X\"]}",
     "{\"configurationKey\":[{\"key\":\"NumberOfConnectors\",\"readonly\":true,\"value\":\"2\"}],\"unknownKey\":[\"X\"]}"},
    {"all settings",                "GetConfiguration",    "{}",                                            "SupportedFeatureProfiles"},
    {"a connector out of service",  "ChangeAvailability",  "{\"connectorId\":1,\"type\":\"Inoperative\"}",  "Accepted"},
    {"all of them",                 "ChangeAvailability",  "{\"connectorId\":0,\"type\":\"Inoperative\"}",  "Accepted"},
    {"one that is not there",       "ChangeAvailability",  "{\"connectorId\":9,\"type\":\"Inoperative\"}",  "Rejected"},
    {"a remote start",              "RemoteStartTransaction", "{\"idTag\":\"A\"}",                          "Accepted"},
    {"on a connector not there",    "RemoteStartTransaction", "{\"idTag\":\"A\",\"connectorId\":9}",        "Rejected"},
    {"unlocking",                   "UnlockConnector",     "{\"connectorId\":1}",                           "Unlocked"},
    {"unlocking what is not there", "UnlockConnector",     "{\"connectorId\":9}",                           "NotSupported"},
    {"a trigger of firmware",       "TriggerMessage",      "{\"requestedMessage\":\"FirmwareStatusNotification\"}", "NotImplemented"},
    {"a trigger of no connector",   "TriggerMessage",      "{\"requestedMessage\":\"MeterValues\",\"connectorId\":9}", "Rejected"},
    {"a trigger of samples",        "TriggerMessage",      "{\"requestedMessage\":\"MeterValues\",\"connectorId\":2}", "Accepted"},
};
/* clang-format on */

static void check_commands(void)
{
    for (size_t i = 0; i < COUNT_OF(command_rows); i++) {
        struct sim_station *s = make(0, false);
        open_and_boot(s);
        size_t before = said.count;
        ask(s, command_rows[i].action, command_rows[i].payload);
        CHECK(command_rows[i].row, said.count > before && strstr(said.frames[before], command_rows[i].want) != NULL);
        CHECK(command_rows[i].row, strstr(said.frames[before], "\"ask\"") != NULL);
        done(s);
    }
}

static void check_resets(void)
{
    struct sim_station *s = make(0, true);
    open_and_boot(s);
    s->connectors[1].next_at_ms = SIM_NEVER;
    start_charging(s);
    give(s, "{\"idTagInfo\":{\"status\":\"Accepted\"},\"transactionId\":8}");
    give(s, "{}");
    ask(s, "Reset", "{\"type\":\"Soft\"}");
    CHECK("a soft reset ends what runs",
          said_last("StopTransaction") && strstr(said.frames[said.count - 1], "SoftReset") != NULL);
    give(s, "{}");
    give(s, "{}");
    pass(s, 2000);
    CHECK("and boots again on the same connection", said_last("BootNotification") && said.drops == 0);
    give(s, "{\"status\":\"Accepted\",\"currentTime\":\"2026-03-01T09:00:00Z\",\"interval\":600}");
    ask(s, "Reset", "{\"type\":\"Hard\"}");
    CHECK("a hard reset is answered first", said.drops == 0);
    pass(s, 0);
    CHECK("then the connection is gone", said.drops == 1 && s->link == SIM_OFFLINE && world.totals.online == 0);
    done(s);
}

static void check_remote_and_availability(void)
{
    struct sim_station *s = make(0, false);
    open_and_boot(s);
    ask(s, "RemoteStartTransaction", "{\"idTag\":\"REMOTE-1\",\"connectorId\":2}");
    give(s, "{}");
    for (int i = 0; i < 8 && !said_last("StartTransaction"); i++) {
        pass(s, 4000);
        give(s, said_last("Authorize") ? "{\"idTagInfo\":{\"status\":\"Accepted\"}}" : "{}");
    }
    CHECK("a remote start begins with the server's card",
          said_last("StartTransaction") && strstr(said.frames[said.count - 1], "REMOTE-1") != NULL);
    size_t before = said.count;
    ask(s, "ChangeAvailability", "{\"connectorId\":2,\"type\":\"Inoperative\"}");
    CHECK("out of service waits for the session", strstr(said.frames[before], "Scheduled") != NULL);
    sim_station_finish(s, now);
    pass(s, 300000);
    CHECK("and then is", s->connectors[1].phase == SIM_DISABLED);
    ask(s, "ChangeAvailability", "{\"connectorId\":0,\"type\":\"Operative\"}");
    CHECK("until it is in service again", s->connectors[1].phase == SIM_FREE);
    done(s);
}

/* ---- Quirks and seeds -------------------------------------------------------------------------------------------- */

static void check_quirks(void)
{
    struct sim_station *s = make(UINT32_C(1) << QUIRK_deaf, false);
    open_and_boot(s);
    size_t before = said.count;
    ask(s, "ClearCache", "{}");
    CHECK("deaf: no answer", said.count == before);
    done(s);
    s = make(UINT32_C(1) << QUIRK_no_reboot, false);
    open_and_boot(s);
    before = said.count;
    sim_station_on_close(s, now);
    sim_station_on_open(s, now);
    CHECK("no-boot-on-reconnect: tells its status only", said.count == before + 1 && said_last("StatusNotification"));
    done(s);
    s = make(UINT32_C(1) << QUIRK_clock_1970, false);
    open_and_boot(s);
    CHECK("clock-1970: reports it", strstr(said.frames[1], "\"1970-01-01T") != NULL);
    done(s);
    s = make(UINT32_C(1) << QUIRK_repeat_id | UINT32_C(1) << QUIRK_minus_one, true);
    open_and_boot(s);
    s->connectors[1].next_at_ms = SIM_NEVER;
    start_charging(s);
    CHECK("repeat-id: twice the same", strcmp(said.frames[said.count - 1], said.frames[said.count - 2]) == 0);
    give(s, "{\"idTagInfo\":{\"status\":\"Accepted\"},\"transactionId\":8}");
    give(s, "{}");
    pass(s, 60000);
    CHECK("minus-one: forgets its id", strstr(said.frames[said.count - 1], "\"transactionId\":-1") != NULL);
    done(s);
}

static void check_seed(void)
{
    char first[4096];
    for (int i = 0; i < 2; i++) {
        struct sim_station *s = make(0, true);
        open_and_boot(s);
        s->connectors[1].next_at_ms = SIM_NEVER;
        start_charging(s);
        if (i == 0)
            memcpy(first, said.frames[said.count - 1], sizeof first);
        else
            CHECK("the same seed, the same station", strcmp(first, said.frames[said.count - 1]) == 0);
        done(s);
    }
}

int main(void)
{
    check_rows();
    check_registration();
    check_boot_failures();
    check_heartbeat();
    check_session();
    check_refused_card();
    check_repeats();
    check_offline();
    check_commands();
    check_resets();
    check_remote_and_availability();
    check_quirks();
    check_seed();
    return CHECK_REPORT();
}
