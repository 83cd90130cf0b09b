/* sim/commands.c - what the server asks of a station: a row an action, a function that fills the answer and does what
 * it says. The answer leaves before anything that follows from it, since the station speaks only when the input is
 * handled. */
#include "sim/station_private.h"

#define KEYS_MAX      32 /* GetConfigurationMaxKeys in settings.def */
#define SOFT_RESET_MS 2000

/* Fills the answer, which is all zero before, and begins what it promises. */
typedef void (*command)(struct step *t, const void *request, void *answer);

static struct sim_connector *connector_at(struct sim_station *s, struct integer number)
{
    return number.is_set && number.value >= 1 && number.value <= s->connector_count ? &s->connectors[number.value - 1]
                                                                                    : NULL;
}

static struct sim_connector *find_free(struct sim_station *s, struct integer wanted)
{
    if (wanted.is_set) {
        struct sim_connector *c = connector_at(s, wanted);
        return c != NULL && (c->phase == SIM_FREE || c->phase == SIM_PREPARING) ? c : NULL;
    }
    for (size_t i = 0; i < s->connector_count; i++)
        if (s->connectors[i].phase == SIM_FREE || s->connectors[i].phase == SIM_PREPARING)
            return &s->connectors[i];
    return NULL;
}

static struct word start_stop(bool is_accepted)
{
    return choice_word(&remote_start_stop_status_choices,
                       is_accepted ? OCPP_REMOTE_START_STOP_STATUS_ACCEPTED : OCPP_REMOTE_START_STOP_STATUS_REJECTED);
}

static void on_remote_start(struct step *t, const void *request, void *answer)
{
    const struct remote_start_transaction_req *r = request;
    struct sim_connector *c = find_free(t->s, r->connector_id);
    bool is_possible = c != NULL && t->s->registration == SIM_REGISTERED && r->id_tag.len > 0;
    ((struct remote_start_transaction_conf *)answer)->status = start_stop(is_possible);
    if (!is_possible || has_quirk(t, QUIRK_no_remote))
        return;
    (void)str_copy(c->id_tag, sizeof c->id_tag, r->id_tag);
    (void)connector_apply(t, c, SIM_REMOTE);
}

static void on_remote_stop(struct step *t, const void *request, void *answer)
{
    const struct remote_stop_transaction_req *r = request;
    struct sim_connector *c = NULL;
    for (size_t i = 0; i < t->s->connector_count; i++)
        if (connector_is_busy(&t->s->connectors[i]) && t->s->connectors[i].transaction_id != 0 &&
            t->s->connectors[i].transaction_id == r->transaction_id.value)
            c = &t->s->connectors[i];
    ((struct remote_stop_transaction_conf *)answer)->status = start_stop(c != NULL);
    if (c != NULL)
        connector_stop(t, c, OCPP_REASON_REMOTE);
}

static void on_trigger(struct step *t, const void *request, void *answer)
{
    const struct trigger_message_req *r = request;
    struct sim_station *s = t->s;
    struct sim_connector *one = connector_at(s, r->connector_id);
    int status = OCPP_TRIGGER_MESSAGE_STATUS_ACCEPTED;
    bool is_status = r->requested_message.index == OCPP_MESSAGE_TRIGGER_STATUS_NOTIFICATION;
    bool is_meter = r->requested_message.index == OCPP_MESSAGE_TRIGGER_METER_VALUES;
    if ((is_status || is_meter) && r->connector_id.is_set && one == NULL)
        status = OCPP_TRIGGER_MESSAGE_STATUS_REJECTED;
    else if (is_meter && s->settings.of[SET_sampled_measured] == 0)
        status = OCPP_TRIGGER_MESSAGE_STATUS_REJECTED;
    else if (r->requested_message.index == OCPP_MESSAGE_TRIGGER_HEARTBEAT)
        want(t, &s->heartbeat_order);
    else if (r->requested_message.index == OCPP_MESSAGE_TRIGGER_BOOT_NOTIFICATION)
        sim_station_boot(t, 0);
    else if (!is_status && !is_meter)
        status = OCPP_TRIGGER_MESSAGE_STATUS_NOT_IMPLEMENTED;
    ((struct trigger_message_conf *)answer)->status = choice_word(&trigger_message_status_choices, status);
    if (status != OCPP_TRIGGER_MESSAGE_STATUS_ACCEPTED || (!is_status && !is_meter))
        return;
    if (is_status && one == NULL)
        want(t, &s->status_order);
    for (size_t i = 0; i < s->connector_count; i++)
        if (one == NULL || one == &s->connectors[i])
            want(t, is_status ? &s->connectors[i].status_order : &s->connectors[i].meter_order);
}

static void on_change_configuration(struct step *t, const void *request, void *answer)
{
    static const int statuses[] = {
        [SETTING_ACCEPTED] = OCPP_CONFIGURATION_STATUS_ACCEPTED,
        [SETTING_REJECTED] = OCPP_CONFIGURATION_STATUS_REJECTED,
        [SETTING_REBOOT] = OCPP_CONFIGURATION_STATUS_REBOOT_REQUIRED,
        [SETTING_UNKNOWN] = OCPP_CONFIGURATION_STATUS_NOT_SUPPORTED,
    };
    const struct change_configuration_req *r = request;
    enum setting_outcome o = settings_change(&t->s->settings, r->key, r->value);
    ((struct change_configuration_conf *)answer)->status = choice_word(&configuration_status_choices, statuses[o]);
    if (o == SETTING_ACCEPTED || o == SETTING_REBOOT)
        tell(t, &(struct sim_event){
                    SIM_SET, 0, arena_printf(&t->w->arena, "%.*s = %.*s", STR_ARG(r->key), STR_ARG(r->value)), 0, 0});
}

static struct key_value key_value_of(struct step *t, enum setting_index i)
{
    return (struct key_value){settings_key(i), boolean_of(settings_is_readonly(i)),
                              settings_text(&t->s->settings, i, &t->w->arena)};
}

static void on_get_configuration(struct step *t, const void *request, void *answer)
{
    const struct get_configuration_req *r = request;
    struct get_configuration_conf *out = answer;
    struct key_value *known = arena_take(&t->w->arena, (SET_COUNT + KEYS_MAX) * sizeof *known);
    struct str *unknown = arena_take(&t->w->arena, KEYS_MAX * sizeof *unknown);
    if (known == NULL || unknown == NULL)
        return;
    out->configuration_key.at = known;
    if (r->key.count == 0)
        for (size_t i = 0; i < SET_COUNT; i++)
            known[out->configuration_key.count++] = key_value_of(t, (enum setting_index)i);
    for (size_t i = 0; i < r->key.count && i < KEYS_MAX; i++) {
        enum setting_index found = settings_find(r->key.at[i]);
        if (found != SET_COUNT) {
            known[out->configuration_key.count++] = key_value_of(t, found);
        } else {
            out->unknown_key.at = unknown;
            unknown[out->unknown_key.count++] = r->key.at[i];
        }
    }
}

static void on_reset(struct step *t, const void *request, void *answer)
{
    const struct reset_req *r = request;
    struct sim_station *s = t->s;
    bool is_hard = r->type.index == OCPP_RESET_TYPE_HARD;
    ((struct reset_conf *)answer)->status = choice_word(&reset_status_choices, OCPP_RESET_STATUS_ACCEPTED);
    for (size_t i = 0; i < s->connector_count; i++)
        connector_stop(t, &s->connectors[i], is_hard ? OCPP_REASON_HARD_RESET : OCPP_REASON_SOFT_RESET);
    tell(t, &(struct sim_event){SIM_RESET, 0, r->type.text, 0, 0});
    if (is_hard)
        s->drop_at_ms = t->now.ms; /* once the answer has left */
    else
        s->reset_at_ms = t->now.ms + SOFT_RESET_MS;
}

static void on_unlock(struct step *t, const void *request, void *answer)
{
    const struct unlock_connector_req *r = request;
    struct sim_connector *c = connector_at(t->s, r->connector_id);
    ((struct unlock_connector_conf *)answer)->status =
        choice_word(&unlock_status_choices, c == NULL ? OCPP_UNLOCK_STATUS_NOT_SUPPORTED : OCPP_UNLOCK_STATUS_UNLOCKED);
    if (c == NULL)
        return;
    if (connector_is_busy(c))
        connector_stop(t, c, OCPP_REASON_UNLOCK_COMMAND);
    (void)connector_apply(t, c, SIM_UNPLUG);
}

/* True: at once; false: after its session. */
static bool set_availability(struct step *t, struct sim_connector *c, bool is_operative)
{
    c->will_be_disabled = false;
    if (is_operative) {
        (void)connector_apply(t, c, SIM_ENABLE);
        return true;
    }
    if (c->phase == SIM_DISABLED || connector_apply(t, c, SIM_DISABLE))
        return true;
    c->will_be_disabled = true;
    return false;
}

static void on_availability(struct step *t, const void *request, void *answer)
{
    const struct change_availability_req *r = request;
    struct sim_connector *one = connector_at(t->s, r->connector_id);
    bool is_operative = r->type.index == OCPP_AVAILABILITY_TYPE_OPERATIVE, is_whole = r->connector_id.value == 0;
    int status = one == NULL && !is_whole ? OCPP_AVAILABILITY_STATUS_REJECTED : OCPP_AVAILABILITY_STATUS_ACCEPTED;
    for (size_t i = 0; i < t->s->connector_count; i++)
        if ((is_whole || one == &t->s->connectors[i]) && !set_availability(t, &t->s->connectors[i], is_operative))
            status = OCPP_AVAILABILITY_STATUS_SCHEDULED;
    ((struct change_availability_conf *)answer)->status = choice_word(&availability_status_choices, status);
}

static void on_clear_cache(struct step *t, const void *request, void *answer)
{
    (void)t;
    (void)request;
    ((struct clear_cache_conf *)answer)->status =
        choice_word(&clear_cache_status_choices, OCPP_CLEAR_CACHE_STATUS_ACCEPTED);
}

static void on_data_transfer(struct step *t, const void *request, void *answer)
{
    (void)t;
    (void)request;
    ((struct data_transfer_conf *)answer)->status =
        choice_word(&data_transfer_status_choices, OCPP_DATA_TRANSFER_STATUS_UNKNOWN_VENDOR_ID);
}

static const command commands[ACTION_COUNT] = {
    [ACTION_remote_start_transaction] = on_remote_start,
    [ACTION_remote_stop_transaction] = on_remote_stop,
    [ACTION_trigger_message] = on_trigger,
    [ACTION_change_configuration] = on_change_configuration,
    [ACTION_get_configuration] = on_get_configuration,
    [ACTION_reset] = on_reset,
    [ACTION_unlock_connector] = on_unlock,
    [ACTION_change_availability] = on_availability,
    [ACTION_clear_cache] = on_clear_cache,
    [ACTION_data_transfer] = on_data_transfer,
};

static void refuse(struct step *t, const struct ocpp_frame *f, struct str code, const char *text)
{
    buf_clear(&t->w->frame);
    ocpp_write_error(&t->w->frame, f->id_json, code, str_of(text));
    t->w->send(t->s, buf_str(&t->w->frame));
}

void command_take(struct step *t, const struct ocpp_frame *f)
{
    const struct ocpp_action *a = ocpp_action_find(f->action);
    struct fault why = {{0}, {0}};
    if (t->s->registration == SIM_REJECTED || has_quirk(t, QUIRK_deaf))
        return; /* ocpp16.md 10.1: a rejected station answers nothing */
    t->w->totals.commands++;
    tell(t, &(struct sim_event){SIM_COMMAND, 0, f->action, 0, 0});
    if (a == NULL || commands[ocpp_action_index(a)] == NULL) {
        refuse(t, f, STR("NotImplemented"), "");
        return;
    }
    void *request = arena_take(&t->w->arena, a->request->size), *answer = arena_take(&t->w->arena, a->response->size);
    if (request == NULL || answer == NULL ||
        schema_read(a->request, f->payload, NORMAL, &t->w->arena, request, &why) != OK) {
        refuse(t, f, STR("FormationViolation"), why.reason);
        return;
    }
    commands[ocpp_action_index(a)](t, request, answer);
    buf_clear(&t->w->payload);
    buf_clear(&t->w->frame);
    schema_write(a->response, answer, &t->w->payload);
    ocpp_write_result(&t->w->frame, f->id_json, buf_str(&t->w->payload));
    t->w->send(t->s, buf_str(&t->w->frame));
}
