/* proto/ocpp16/on_boot.c - BootNotification and Heartbeat: who the station is, and what time it is
 * (ocpp16.md 5.2, 5.4, 10.1). */
#include "proto/ocpp16/handlers.h"

/* clang-format off */
static const struct {
    enum registration registration;
    int status;
    enum event_type event;
} verdicts[] = {
    {REGISTRATION_ACCEPTED, OCPP_REGISTRATION_STATUS_ACCEPTED, EVENT_CONNECTED},
    {REGISTRATION_PENDING,  OCPP_REGISTRATION_STATUS_PENDING,  EVENT_BOOT_HELD},
    {REGISTRATION_REJECTED, OCPP_REGISTRATION_STATUS_REJECTED, EVENT_BOOT_HELD},
};
/* clang-format on */

static struct stamp stamp_now(struct step *s)
{
    char text[INSTANT_TEXT_SIZE];
    instant_write(s->in->now, text);
    return (struct stamp){arena_copy(s->arena, str_of(text)), s->in->now};
}

void on_boot_notification(struct step *s)
{
    const struct boot_notification_req *r = s->call->request;
    struct station *station = s->station;
    if (station->registration == REGISTRATION_UNKNOWN)
        station->registration = s->in->policy->unknown_station;
    size_t i = 0;
    while (verdicts[i].registration != station->registration)
        i++;
    bool is_accepted = station->registration == REGISTRATION_ACCEPTED;
    struct ev_connected payload = {
        .model = r->charge_point_model,
        .vendor = r->charge_point_vendor,
        .firmware_version = r->firmware_version,
        .serial_number =
            r->charge_point_serial_number.at != NULL ? r->charge_point_serial_number : r->charge_box_serial_number,
        .iccid = r->iccid,
        .imsi = r->imsi,
        .meter_type = r->meter_type,
        .meter_serial = r->meter_serial_number,
        .protocol = STR("ocpp1.6"),
        .remote_address = s->in->remote_address,
        .registration = registration_text(station->registration),
    };
    step_event(s, verdicts[i].event, INSTANT_NONE, &payload);
    station->has_booted = true;
    station->boot_count++;
    s->out->has_booted = is_accepted;
    struct boot_notification_conf conf = {
        .status = choice_word(&registration_status_choices, verdicts[i].status),
        .current_time = stamp_now(s),
        .interval = {is_accepted ? s->in->policy->heartbeat_s : s->in->policy->boot_retry_s, true},
    };
    step_answer(s, &boot_notification_conf_message, &conf);
}

void on_heartbeat(struct step *s)
{
    static const struct ev_nothing nothing;
    if (s->in->policy->heartbeat_events)
        step_event(s, EVENT_HEARTBEAT, INSTANT_NONE, &nothing);
    struct heartbeat_conf conf = {.current_time = stamp_now(s)};
    step_answer(s, &heartbeat_conf_message, &conf);
}
