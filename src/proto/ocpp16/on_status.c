/* proto/ocpp16/on_status.c - StatusNotification and the status reports of jobs (ocpp16.md 5.7, 5.9, 5.10, 7). Order of
 * arrival decides what is current, since the clocks of stations jump; every step is taken, one that the standard does
 * not list is flagged. */
#include "proto/ocpp16/handlers.h"

void on_status_notification(struct step *s)
{
    const struct status_notification_req *r = s->call->request;
    struct connector *c = station_connector(s->station, r->connector_id.value);
    if (c == NULL) {
        step_refuse(s, STR("PropertyConstraintViolation"), STR("connectorId"),
                    "more connectors than a station can have");
        return;
    }
    struct str previous = str_of(c->status);
    if (previous.len == 0)
        previous = (struct str){NULL, 0};
    if (previous.at != NULL && !connector_step_is_listed(previous, r->status.text))
        step_flag(s, STR("unexpected_step"));
    struct ev_status_changed payload = {
        .connector_id = r->connector_id,
        .status = r->status.text,
        .previous_status = arena_copy(s->arena, previous),
        .error_code = r->error_code.text,
        .info = r->info,
        .vendor_id = r->vendor_id,
        .vendor_error_code = r->vendor_error_code,
        .flags = step_flags(s),
    };
    connector_set_status(c, r->status.text, r->error_code.text, s->in->now);
    step_event(s, EVENT_STATUS_CHANGED, r->timestamp.at, &payload);
}

static void job_status(struct step *s, enum event_type type, struct str status, struct integer request_id)
{
    struct ev_job_status payload = {.status = status, .request_id = request_id};
    step_event(s, type, INSTANT_NONE, &payload);
}

void on_diagnostics_status(struct step *s)
{
    const struct diagnostics_status_notification_req *r = s->call->request;
    job_status(s, EVENT_DIAGNOSTICS_STATUS, r->status.text, (struct integer){0});
}

void on_firmware_status(struct step *s)
{
    const struct firmware_status_notification_req *r = s->call->request;
    job_status(s, EVENT_FIRMWARE_STATUS, r->status.text, (struct integer){0});
}

void on_signed_firmware_status(struct step *s)
{
    const struct signed_firmware_status_notification_req *r = s->call->request;
    job_status(s, EVENT_FIRMWARE_STATUS, r->status.text, r->request_id);
}

void on_log_status(struct step *s)
{
    const struct log_status_notification_req *r = s->call->request;
    job_status(s, EVENT_LOG_STATUS, r->status.text, r->request_id);
}

void on_security_event(struct step *s)
{
    const struct security_event_notification_req *r = s->call->request;
    if (step_is_content_repeat(s))
        return; /* queued while offline and sent until answered: ocpp16.md 7.1, 10.3 */
    struct ev_security_event payload = {
        .type = r->type, .timestamp = r->timestamp, .tech_info = r->tech_info, .origin = STR("station")};
    step_event(s, EVENT_SECURITY_EVENT, r->timestamp.at, &payload);
}

/* No certificate authority is attached to this program yet, so a request can be passed on to nobody: Rejected, and kept
 * as an event for whoever runs one (7.2). */
void on_sign_certificate(struct step *s)
{
    const struct sign_certificate_req *r = s->call->request;
    struct sign_certificate_conf conf = {.status = choice_word(&generic_status_choices, OCPP_GENERIC_STATUS_REJECTED)};
    struct ev_certificate_sign payload = {.csr = r->csr, .status = conf.status.text};
    step_event(s, EVENT_CERTIFICATE_SIGN, INSTANT_NONE, &payload);
    step_answer(s, &sign_certificate_conf_message, &conf);
}

/* Vendors' handlers have none here: every vendor id is unknown, and the data is an event (5.3). */
void on_data_transfer(struct step *s)
{
    const struct data_transfer_req *r = s->call->request;
    struct data_transfer_conf conf = {
        .status = choice_word(&data_transfer_status_choices, OCPP_DATA_TRANSFER_STATUS_UNKNOWN_VENDOR_ID)};
    struct ev_data_transfer payload = {
        .vendor_id = r->vendor_id, .message_id = r->message_id, .data = r->data, .status = conf.status.text};
    step_event(s, EVENT_DATA_TRANSFER, INSTANT_NONE, &payload);
    step_answer(s, &data_transfer_conf_message, &conf);
}
