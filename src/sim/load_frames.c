/* sim/load_frames.c - the frames of the load generator, by the message tables. */
#include "proto/ocpp16/frame.h"
#include "proto/ocpp16/messages.h"
#include "sim/load.h"

#define FRAME_MAX 4096

static struct stamp time_mark(void)
{
    return (struct stamp){hole_marks[HOLE_TIME], {0}};
}

static void write_boot(struct buf *out)
{
    struct boot_notification_req m = {
        .charge_point_vendor = STR("Chargeline"), .charge_point_model = STR("Load"), .firmware_version = STR("1.0")};
    schema_write(&boot_notification_req_message, &m, out);
}

static void write_start(struct buf *out)
{
    struct start_transaction_req m = {.connector_id = integer_of(1),
                                      .id_tag = hole_marks[HOLE_TAG],
                                      .meter_start = integer_of(MARK_ENERGY),
                                      .timestamp = time_mark()};
    schema_write(&start_transaction_req_message, &m, out);
}

static struct sampled_value sample(struct str value, int measurand, int unit)
{
    return (struct sampled_value){.value = value,
                                  .context =
                                      choice_word(&reading_context_choices, OCPP_READING_CONTEXT_SAMPLE_PERIODIC),
                                  .format = choice_word(&value_format_choices, OCPP_VALUE_FORMAT_RAW),
                                  .measurand = choice_word(&measurand_choices, measurand),
                                  .location = choice_word(&location_choices, OCPP_LOCATION_OUTLET),
                                  .unit = choice_word(&unit_of_measure_choices, unit)};
}

/* Four samples in LOAD_METER_PAYLOAD bytes, as in the measurements that the design rests upon. */
static void write_meter(struct buf *out)
{
    struct sampled_value samples[] = {
        sample(hole_marks[HOLE_ENERGY], OCPP_MEASURAND_ENERGY_ACTIVE_IMPORT_REGISTER, OCPP_UNIT_OF_MEASURE_WH),
        sample(STR("11040.0000"), OCPP_MEASURAND_POWER_ACTIVE_IMPORT, OCPP_UNIT_OF_MEASURE_W),
        sample(STR("16.0000"), OCPP_MEASURAND_CURRENT_IMPORT, OCPP_UNIT_OF_MEASURE_A),
        sample(STR("230.000"), OCPP_MEASURAND_VOLTAGE, OCPP_UNIT_OF_MEASURE_V),
    };
    samples[1].phase = samples[2].phase = choice_word(&phase_choices, OCPP_PHASE_L1);
    samples[3].phase = choice_word(&phase_choices, OCPP_PHASE_L1_N);
    struct meter_value value = {.timestamp = time_mark(), .sampled_value = {samples, COUNT_OF(samples)}};
    struct meter_values_req m = {
        .connector_id = integer_of(1), .transaction_id = integer_of(MARK_TRANSACTION), .meter_value = {&value, 1}};
    schema_write(&meter_values_req_message, &m, out);
}

static void write_stop(struct buf *out)
{
    struct stop_transaction_req m = {.id_tag = hole_marks[HOLE_TAG],
                                     .meter_stop = integer_of(MARK_ENERGY),
                                     .timestamp = time_mark(),
                                     .transaction_id = integer_of(MARK_TRANSACTION),
                                     .reason = choice_word(&reason_choices, OCPP_REASON_LOCAL)};
    schema_write(&stop_transaction_req_message, &m, out);
}

static void write_heartbeat(struct buf *out)
{
    schema_write(&heartbeat_req_message, &(struct heartbeat_req){0}, out);
}

static const struct {
    enum ocpp_action_index action;
    void (*write)(struct buf *out);
} frames[LOAD_CALL_COUNT] = {
    [LOAD_BOOT] = {ACTION_boot_notification, write_boot},   [LOAD_START] = {ACTION_start_transaction, write_start},
    [LOAD_METER] = {ACTION_meter_values, write_meter},      [LOAD_STOP] = {ACTION_stop_transaction, write_stop},
    [LOAD_HEARTBEAT] = {ACTION_heartbeat, write_heartbeat},
};

void load_template_make(enum load_call call, struct template *out)
{
    struct buf payload, frame;
    buf_init(&payload, FRAME_MAX);
    buf_init(&frame, FRAME_MAX);
    frames[call].write(&payload);
    ocpp_write_call(&frame, hole_marks[HOLE_ID], ocpp_actions[frames[call].action].name, buf_str(&payload));
    check(!frame.failed && template_make(out, buf_str(&frame)) == OK);
    buf_release(&payload);
    buf_release(&frame);
}
