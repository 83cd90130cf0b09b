/* Messages as they stand in ocpp16.md 12 and as stations in the field send them; and the list of actions (ocpp16.md 4).
 */
#include "check.h"
#include "proto/ocpp16/messages.h"

#include <string.h>

#define ARENA_MAX (1 << 20)
#define TEXT_MAX  (1 << 16)

/* All are valid, and what is read is written as it was. */
static const struct {
    const char *action;
    bool is_response;
    const char *payload;
} examples[] = {
    {"BootNotification", false,
     "{\"chargePointVendor\":\"Acme\",\"chargePointModel\":\"Post-22\",\"chargePointSerialNumber\":\"A0001\","
     "\"firmwareVersion\":\"4.1.0\",\"iccid\":\"\"}"},
    {"BootNotification", true, "{\"status\":\"Accepted\",\"currentTime\":\"2026-03-01T09:00:00Z\",\"interval\":600}"},
    {"StatusNotification", false, "{\"connectorId\":0,\"errorCode\":\"NoError\",\"status\":\"Available\"}"},
    {"StatusNotification", true, "{}"},
    {"StatusNotification", false,
     "{\"connectorId\":1,\"errorCode\":\"NoError\",\"status\":\"Available\",\"timestamp\":\"2026-03-01T10:00:01.250+01:"
     "00\"}"},
    {"GetConfiguration", false, "{}"},
    {"GetConfiguration", true,
     "{\"configurationKey\":[{\"key\":\"HeartbeatInterval\",\"readonly\":false,\"value\":\"600\"},"
     "{\"key\":\"NumberOfConnectors\",\"readonly\":true,\"value\":\"1\"}]}"},
    {"Authorize", false, "{\"idTag\":\"04A2B3C4D5E680\"}"},
    {"Authorize", true, "{\"idTagInfo\":{\"status\":\"Accepted\",\"parentIdTag\":\"FLEET7\"}}"},
    {"StartTransaction", false,
     "{\"connectorId\":1,\"idTag\":\"04A2B3C4D5E680\",\"meterStart\":1200345,\"timestamp\":\"2026-03-01T09:05:10Z\"}"},
    {"StartTransaction", true,
     "{\"idTagInfo\":{\"status\":\"Accepted\",\"parentIdTag\":\"FLEET7\"},\"transactionId\":40713}"},
    {"SetChargingProfile", false,
     "{\"connectorId\":1,\"csChargingProfiles\":{\"chargingProfileId\":501,\"transactionId\":40713,\"stackLevel\":2,"
     "\"chargingProfilePurpose\":\"TxProfile\",\"chargingProfileKind\":\"Relative\",\"chargingSchedule\":{"
     "\"chargingRateUnit\":\"A\",\"chargingSchedulePeriod\":[{\"startPeriod\":0,\"limit\":16},"
     "{\"startPeriod\":3600,\"limit\":8.1,\"numberPhases\":3}]}}}"},
    {"SetChargingProfile", true, "{\"status\":\"Accepted\"}"},
    {"MeterValues", false,
     "{\"connectorId\":1,\"transactionId\":40713,\"meterValue\":[{\"timestamp\":\"2026-03-01T09:10:10Z\","
     "\"sampledValue\":[{\"value\":\"1201.1\",\"context\":\"Sample.Periodic\","
     "\"measurand\":\"Energy.Active.Import.Register\",\"unit\":\"kWh\"},{\"value\":\"10.9\","
     "\"measurand\":\"Current.Import\",\"phase\":\"L1\",\"unit\":\"A\"}]}]}"},
    {"RemoteStopTransaction", false, "{\"transactionId\":40713}"},
    {"StopTransaction", false,
     "{\"meterStop\":1204999,\"timestamp\":\"2026-03-01T09:40:00Z\",\"transactionId\":40713,\"reason\":\"Remote\"}"},
    {"StopTransaction", true, "{}"},
    {"SendLocalList", false,
     "{\"listVersion\":7,\"localAuthorizationList\":[{\"idTag\":\"04A2B3C4D5E680\",\"idTagInfo\":{\"status\":"
     "\"Accepted\"}},{\"idTag\":\"OLDCARD\"}],\"updateType\":\"Differential\"}"},
    {"SendLocalList", true, "{\"status\":\"VersionMismatch\"}"},
    {"ClearChargingProfile", false, "{\"stackLevel\":0}"},
    {"StopTransaction", false,
     "{\"meterStop\":0,\"timestamp\":\"2026-03-01T09:40:00Z\",\"transactionId\":-1,\"transactionData\":[]}"},
    {"GetLocalListVersion", true, "{\"listVersion\":-1}"},
    {"LogStatusNotification", false, "{\"status\":\"UploadFailed\"}"},
    {"DataTransfer", false, "{\"vendorId\":\"org.example\",\"data\":\"a \\\"text\\\"\"}"},
};

static const struct {
    const char *row, *action;
    bool is_response;
    const char *payload;
    enum err normal;
    const char *field; /* that NORMAL refuses, or LENIENT bends; NULL: neither */
    const char *taken; /* by LENIENT; NULL: as it is */
} field_rows[] = {
    {"a serial number of 33 characters (lesson 44)", "BootNotification", false,
     "{\"chargePointVendor\":\"\",\"chargePointModel\":\"m\",\"chargeBoxSerialNumber\":"
     "\"123456789012345678901234567890123\"}",
     ERR_RANGE, "chargeBoxSerialNumber", NULL},
    {"an unknown measurand and unit (45)", "MeterValues", false,
     "{\"connectorId\":1,\"meterValue\":[{\"timestamp\":\"2026-03-01T09:10:10Z\",\"sampledValue\":[{\"value\":\"50\","
     "\"measurand\":\"Request.Energy\",\"unit\":\"Hz\"}]}]}",
     OK, "meterValue[0].sampledValue[0].measurand", NULL},
    {"both spellings of degrees, and Hertz (2.4)", "MeterValues", false,
     "{\"connectorId\":1,\"meterValue\":[{\"timestamp\":\"2026-03-01T09:10:10Z\",\"sampledValue\":[{\"value\":\"50\","
     "\"unit\":\"Celcius\"},{\"value\":\"50\",\"unit\":\"Celsius\"},{\"value\":\"50\",\"unit\":\"Hertz\"}]}]}",
     OK, NULL, NULL},
    {"no sampled values (45)", "MeterValues", false,
     "{\"connectorId\":1,\"meterValue\":[{\"timestamp\":\"2026-03-01T09:10:10Z\",\"sampledValue\":[]}]}", ERR_MISSING,
     "meterValue[0].sampledValue", NULL},
    {"an empty value (45)", "MeterValues", false,
     "{\"connectorId\":1,\"meterValue\":[{\"timestamp\":\"2026-03-01T09:10:10Z\",\"sampledValue\":[{\"value\":\"\"}]}]"
     "}",
     OK, NULL, NULL},
    {"a value that is a number", "MeterValues", false,
     "{\"connectorId\":1,\"meterValue\":[{\"timestamp\":\"2026-03-01T09:10:10Z\",\"sampledValue\":[{\"value\":12.5}]}]"
     "}",
     ERR_TYPE, "meterValue[0].sampledValue[0].value",
     "{\"connectorId\":1,\"meterValue\":[{\"timestamp\":\"2026-03-01T09:10:10Z\",\"sampledValue\":[{\"value\":\"12.5\"}"
     "]}]}"},
    {"no meter values at all (2.4)", "MeterValues", false, "{\"connectorId\":1,\"meterValue\":[]}", ERR_MISSING,
     "meterValue", NULL},
    {"a transaction of 2^63-1 (7)", "MeterValues", false,
     "{\"connectorId\":1,\"transactionId\":9223372036854775807,\"meterValue\":[]}", ERR_RANGE, "transactionId",
     "{\"connectorId\":1,\"meterValue\":[]}"},
    {"an idTag with garbage behind it (47)", "StopTransaction", false,
     "{\"idTag\":\"04A2B3C4D5E680AABBCC\\u0010\\u000e\",\"meterStop\":1,\"timestamp\":\"2026-03-01T09:40:00Z\","
     "\"transactionId\":1}",
     ERR_RANGE, "idTag", NULL},
    {"a transaction id as text, a fraction of a Wh, an own reason (2.4)", "StopTransaction", false,
     "{\"meterStop\":1204.5,\"timestamp\":\"2026-03-01T09:40:00Z\",\"transactionId\":\"17\",\"reason\":\"Timeout\","
     "\"x\":1}",
     ERR_TYPE, "meterStop",
     "{\"meterStop\":1205,\"timestamp\":\"2026-03-01T09:40:00Z\",\"transactionId\":17,\"reason\":\"Timeout\"}"},
    {"an own reason alone (2.4)", "StopTransaction", false,
     "{\"meterStop\":1,\"timestamp\":\"2026-03-01T09:40:00Z\",\"transactionId\":17,\"reason\":\"Timeout\"}", OK,
     "reason", NULL},
    {"a start with nothing but its connector (2.4)", "StartTransaction", false, "{\"connectorId\":1}", ERR_MISSING,
     "idTag", NULL},
    {"an unknown status (2.4)", "StatusNotification", false,
     "{\"connectorId\":1,\"errorCode\":\"NoError\",\"status\":\"Occupied\"}", ERR_RANGE, "status", NULL},
    {"startSchedule \"0\" in a Rejected answer (48)", "GetCompositeSchedule", true,
     "{\"status\":\"Rejected\",\"scheduleStart\":\"0\"}", ERR_RANGE, "scheduleStart", NULL},
    {"numbers in GetConfiguration (48)", "GetConfiguration", true,
     "{\"configurationKey\":[{\"key\":\"HeartbeatInterval\",\"readonly\":\"false\",\"value\":600}]}", ERR_TYPE,
     "configurationKey[0].readonly",
     "{\"configurationKey\":[{\"key\":\"HeartbeatInterval\",\"readonly\":false,\"value\":\"600\"}]}"},
    {"null for what is not there", "StartTransaction", false,
     "{\"connectorId\":1,\"idTag\":\"A\",\"meterStart\":0,\"reservationId\":null,\"timestamp\":\"2026-03-01T09:05:"
     "10Z\"}",
     OK, NULL, "{\"connectorId\":1,\"idTag\":\"A\",\"meterStart\":0,\"timestamp\":\"2026-03-01T09:05:10Z\"}"},
    {"null for an empty payload (2.1)", "Heartbeat", false, "null", OK, NULL, "{}"},
    {"data that is an object (5.3)", "DataTransfer", false, "{\"vendorId\":\"org.example\",\"data\":{\"a\":[1,2]}}", OK,
     NULL, NULL},
};

static const struct message *message_of(const char *action, bool is_response)
{
    const struct ocpp_action *a = ocpp_action_find(str_of(action));
    CHECK(action, a != NULL);
    return a == NULL ? &heartbeat_req_message : is_response ? a->response : a->request;
}

static void check_example(size_t i, struct arena *a, struct buf *b)
{
    const struct message *m = message_of(examples[i].action, examples[i].is_response);
    struct fault why;
    arena_reset(a);
    buf_clear(b);
    void *out = arena_take(a, m->size);
    CHECK(examples[i].payload, schema_read(m, str_of(examples[i].payload), STRICT, a, out, &why) == OK);
    schema_write(m, out, b);
    CHECK(examples[i].payload, str_eq(buf_str(b), str_of(examples[i].payload)));
}

static void check_field_row(size_t i, struct arena *a, struct buf *b)
{
    const struct message *m = message_of(field_rows[i].action, field_rows[i].is_response);
    const char *row = field_rows[i].row, *field = field_rows[i].field == NULL ? "" : field_rows[i].field;
    struct fault why;
    arena_reset(a);
    buf_clear(b);
    void *out = arena_take(a, m->size);
    struct str payload = str_of(field_rows[i].payload);
    CHECK(row, schema_read(m, payload, NORMAL, a, out, &why) == field_rows[i].normal);
    CHECK(row, field_rows[i].normal == OK || strcmp(why.field, field) == 0);
    CHECK(row, schema_read(m, payload, LENIENT, a, out, &why) == OK && strcmp(why.field, field) == 0);
    schema_write(m, out, b);
    CHECK(row, str_eq(buf_str(b), str_of(field_rows[i].taken == NULL ? field_rows[i].payload : field_rows[i].taken)));
}

static void check_struct(struct arena *a)
{
    static const char row[] = "the members are where the struct says";
    struct meter_values_req req;
    CHECK(row, schema_read(&meter_values_req_message, str_of(examples[13].payload), STRICT, a, &req, NULL) == OK);
    CHECK(row, req.connector_id.value == 1 && req.transaction_id.value == 40713 && req.meter_value.count == 1);
    const struct meter_value *m = req.meter_value.at;
    CHECK(row, m->timestamp.at.us == 1772356210000000 && m->sampled_value.count == 2);
    const struct sampled_value *s = m->sampled_value.at;
    CHECK(row, str_eq(s[0].value, STR("1201.1")) && s[0].context.index == OCPP_READING_CONTEXT_SAMPLE_PERIODIC);
    CHECK(row, s[0].measurand.index == OCPP_MEASURAND_ENERGY_ACTIVE_IMPORT_REGISTER);
    CHECK(row, s[0].unit.index == OCPP_UNIT_OF_MEASURE_KWH && s[0].phase.index == phase_none);
    CHECK(row, s[1].phase.index == OCPP_PHASE_L1 && s[1].unit.index == OCPP_UNIT_OF_MEASURE_A);
}

static const struct {
    const char *row, *name;
    int index; /* -1: none */
    bool from_station, from_central;
} actions[] = {
    {"a station's call", "StartTransaction", ACTION_start_transaction, true, false},
    {"ours", "Reset", ACTION_reset, false, true},
    {"of both", "DataTransfer", ACTION_data_transfer, true, true},
    {"a station's of the security extension", "SignCertificate", ACTION_sign_certificate, true, false},
    {"ours of the security extension", "GetLog", ACTION_get_log, false, true},
    {"the first", "Authorize", ACTION_authorize, true, false},
    {"the last", "SignedFirmwareStatusNotification", ACTION_signed_firmware_status_notification, true, false},
    {"the schemas' file name is none", "StartTransactionResponse", -1, false, false},
    {"other case", "startTransaction", -1, false, false},
    {"a beginning", "Start", -1, false, false},
    {"same length, other letters", "Besuch", -1, false, false},
    {"nothing", "", -1, false, false},
    {"a later version's", "TransactionEvent", -1, false, false},
};

static void check_actions(void)
{
    size_t from_station = 0, from_central = 0;
    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        const struct ocpp_action *a = ocpp_action_find(str_of(actions[i].name));
        CHECK(actions[i].row, (a == NULL) == (actions[i].index < 0));
        if (a == NULL)
            continue;
        CHECK(actions[i].row, (int)ocpp_action_index(a) == actions[i].index);
        CHECK(actions[i].row, a->from_station == actions[i].from_station && a->from_central == actions[i].from_central);
    }
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        const struct ocpp_action *a = &ocpp_actions[i];
        struct str request = str_of(a->request->name), response = str_of(a->response->name);
        CHECK(a->name.at, ocpp_action_find(a->name) == a);
        CHECK(a->name.at, str_starts(request, a->name) && strcmp(request.at + a->name.len, ".req") == 0);
        CHECK(a->name.at, str_starts(response, a->name) && strcmp(response.at + a->name.len, ".conf") == 0);
        from_station += a->from_station;
        from_central += a->from_central;
    }
    CHECK("28 actions of the base protocol and 11 of the extension", ACTION_COUNT == 28 + 11);
    CHECK("10 and 4 are the station's", from_station == 10 + 4);
    CHECK("19 and 7 are ours, DataTransfer among them", from_central == 19 + 7);
}

int main(void)
{
    struct arena a;
    struct buf b;
    arena_init(&a, ARENA_MAX);
    buf_init(&b, TEXT_MAX);
    for (size_t i = 0; i < COUNT_OF(examples); i++)
        check_example(i, &a, &b);
    for (size_t i = 0; i < COUNT_OF(field_rows); i++)
        check_field_row(i, &a, &b);
    check_struct(&a);
    check_actions();
    arena_release(&a);
    buf_release(&b);
    return CHECK_REPORT();
}
