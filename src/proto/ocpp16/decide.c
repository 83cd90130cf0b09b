/* proto/ocpp16/decide.c - from a call to its handler and back to an answer.
 *
 * Order: what kind of message, what the tables say of it, may this station speak at all, was it answered already, the
 * handler. */
#include "proto/ocpp16/handlers.h"

#include <string.h>

#define ANSWER_SIZE_MAX 4096

/* How an action is taken from a station. A row for every action that stations may call; a test counts them. */
/* clang-format off */
static const struct {
    handler *handle;
    bool is_transaction; /* transaction message: read LENIENT, never refused for what it says (ocpp16.md 2.4) */
    bool takes_long_text; /* over-long text is cut in projections only (2.4) */
    bool is_fresh; /* its answer tells the time: never given again from memory */
} handlers[ACTION_COUNT] = {
    [ACTION_authorize]                           = {on_authorize,             false, false, false},
    [ACTION_boot_notification]                   = {on_boot_notification,     false, true,  true },
    [ACTION_data_transfer]                       = {on_data_transfer,         false, false, false},
    [ACTION_heartbeat]                           = {on_heartbeat,             false, false, true },
    [ACTION_meter_values]                        = {on_meter_values,          true,  true,  false},
    [ACTION_start_transaction]                   = {on_start_transaction,     true,  true,  false},
    [ACTION_status_notification]                 = {on_status_notification,   false, true,  false},
    [ACTION_stop_transaction]                    = {on_stop_transaction,      true,  true,  false},
    [ACTION_diagnostics_status_notification]     = {on_diagnostics_status,    false, false, false},
    [ACTION_firmware_status_notification]        = {on_firmware_status,       false, false, false},
    [ACTION_security_event_notification]         = {on_security_event,        false, true,  false},
    [ACTION_sign_certificate]                    = {on_sign_certificate,      false, false, false},
    [ACTION_log_status_notification]             = {on_log_status,            false, false, false},
    [ACTION_signed_firmware_status_notification] = {on_signed_firmware_status, false, false, false},
};
/* clang-format on */

/* ocpp16.md 2.3. A test sees that every error has a row. */
/* clang-format off */
static const struct {
    enum err error;
    struct str code;
} error_codes[] = {
    {ERR_FORMAT,      {"FormationViolation", 18}},
    {ERR_UNKNOWN,     {"FormationViolation", 18}},
    {ERR_MISSING,     {"OccurenceConstraintViolation", 28}},
    {ERR_TYPE,        {"TypeConstraintViolation", 23}},
    {ERR_RANGE,       {"PropertyConstraintViolation", 27}},
    {ERR_LIMIT,       {"PropertyConstraintViolation", 27}},
    {ERR_UNSUPPORTED, {"NotSupported", 12}},
    {ERR_STATE,       {"SecurityError", 13}},
    {ERR_DENIED,      {"SecurityError", 13}},
    {ERR_AGAIN,       {"InternalError", 13}},
    {ERR_EXISTS,      {"GenericError", 12}},
    {ERR_FULL,        {"InternalError", 13}},
    {ERR_MEMORY,      {"InternalError", 13}},
    {ERR_IO,          {"InternalError", 13}},
    {ERR_CORRUPT,     {"InternalError", 13}},
    {ERR_CLOSED,      {"InternalError", 13}},
    {ERR_BUSY,        {"InternalError", 13}},
};
/* clang-format on */

struct str ocpp_error_code(enum err e)
{
    for (size_t i = 0; i < COUNT_OF(error_codes); i++)
        if (error_codes[i].error == e)
            return error_codes[i].code;
    return STR("GenericError");
}

uint64_t ocpp_meter_key(struct str payload)
{
    uint64_t key = content_hash(CONTENT_KEY, (struct bytes){(const uint8_t *)payload.at, payload.len});
    return key == 0 ? 1 : key;
}

/* Of a transaction message the content says by itself that it is the same one. Any other is the same only on one
 * connection and within one boot, since stations begin to count their ids anew, and "Available" said again later is
 * news (ocpp16.md 2.2). */
static uint64_t message_key(const struct ocpp_frame *f, uint64_t content_key, const struct station *s,
                            bool is_transaction)
{
#ifdef DEFECT_ID_FOR_EVER /* planted: an id means the same message after a boot, and on every connection */
    is_transaction = true;
#endif
    const uint64_t of_time[2] = {is_transaction ? 0 : s->generation, is_transaction ? 0 : s->boot_count};
    const uint64_t of_id[2] = {content_hash(of_time, (struct bytes){(const uint8_t *)f->id_json.at, f->id_json.len}),
                               content_hash(CONTENT_KEY, (struct bytes){(const uint8_t *)f->action.at, f->action.len})};
    uint64_t key = content_hash(of_id, (struct bytes){(const uint8_t *)&content_key, sizeof content_key});
#ifdef DEFECT_ID_ONLY /* planted: a message is known by its id alone */
    key = of_id[0];
#endif
    return key == 0 ? 1 : key;
}

static void refuse(struct ocpp_call *c, enum err e, struct str code)
{
    c->error = e;
    c->error_code = code;
}

/* Over-long text is let pass in messages that say so, where all else is in order: read again without refusing anything,
 * and take it if what must be there is there and every word is known. */
static enum err read_with_long_text(const struct ocpp_call *c, struct arena *a, struct fault *why)
{
    struct fault bent = {0};
    enum err e = schema_read(c->action->request, c->frame.payload, LENIENT, a, c->request, &bent);
    if (e != OK)
        return e;
    for (size_t i = 0; i < c->action->request->field_count; i++) {
        const struct field *f = &c->action->request->fields[i];
        const char *at = (const char *)c->request + f->offset;
        const struct word *w = (const void *)at;
        const struct integer *n = (const void *)at;
        const struct stamp *t = (const void *)at;
        bool is_absent = f->presence == REQUIRED &&
                         ((f->kind == KIND_STR && ((const struct str *)(const void *)at)->at == NULL) ||
                          (f->kind == KIND_CHOICE && w->text.at == NULL) || (f->kind == KIND_INT32 && !n->is_set) ||
                          (f->kind == KIND_TIME && t->text.at == NULL));
        bool is_wrong = (f->kind == KIND_CHOICE && w->text.at != NULL && w->index < 0) ||
                        (f->kind == KIND_INT32 && n->is_set && n->value < f->least) ||
                        (f->kind == KIND_TIME && t->text.at != NULL && !instant_is_set(t->at));
        if (is_absent || is_wrong)
            return ERR_RANGE; /* *why keeps what the strict reading said */
    }
    *why = bent;
    return OK;
}

static enum err read_request(const struct ocpp_input *in, struct ocpp_call *c, struct arena *a)
{
    enum ocpp_action_index action = ocpp_action_index(c->action);
    enum reading how = in->policy->is_strict ? STRICT : (handlers[action].is_transaction ? LENIENT : NORMAL);
    c->request = arena_take(a, c->action->request->size + 1);
    if (c->request == NULL)
        return ERR_MEMORY;
    enum err e = schema_read_shaped(in->shapes, c->action->request, c->frame.payload, how, a, c->request, &c->why);
    c->reading = shapes_reading(in->shapes);
    if (e == ERR_RANGE && how == NORMAL && handlers[action].takes_long_text)
        e = read_with_long_text(c, a, &c->why);
    return e;
}

static bool is_usable_id(struct integer id)
{
    return id.is_set && id.value > 0 && id.value <= INT32_MAX;
}

/* What of it is not in memory? */
static void find_wants(const struct ocpp_input *in, struct ocpp_call *c)
{
    switch (ocpp_action_index(c->action)) {
    case ACTION_authorize:
        c->wants_tag = ((const struct authorize_req *)c->request)->id_tag;
        break;
    case ACTION_start_transaction: {
        const struct start_transaction_req *r = c->request;
        c->wants_tag = r->id_tag;
        if (!r->connector_id.is_set || !r->meter_start.is_set || r->id_tag.at == NULL ||
            !instant_is_set(r->timestamp.at))
            break;
        c->start = (struct transaction_start){(int32_t)r->connector_id.value, r->id_tag, r->timestamp.at,
                                              r->meter_start.value};
        /* A start later than all there ever were cannot be the repeat of one that memory has dropped: only others are
         * looked up. */
        c->wants_start = station_started_by(in->station, transaction_start_key(&c->start)) == NULL &&
                         !instant_before(in->station->newest_start, r->timestamp.at);
        break;
    }
    case ACTION_stop_transaction: {
        const struct stop_transaction_req *r = c->request;
        c->wants_tag = r->id_tag;
        if (is_usable_id(r->transaction_id) &&
            station_transaction(in->station, (uint32_t)r->transaction_id.value) == NULL)
            c->wants_transaction = (uint32_t)r->transaction_id.value;
        break;
    }
    case ACTION_meter_values: {
        const struct meter_values_req *r = c->request;
        if (is_usable_id(r->transaction_id) &&
            station_transaction(in->station, (uint32_t)r->transaction_id.value) == NULL)
            c->wants_transaction = (uint32_t)r->transaction_id.value;
        break;
    }
    default:
        break;
    }
}

void ocpp_call_read(const struct ocpp_input *in, const struct ocpp_frame *frame, enum err e, const struct fault *why,
                    struct arena *a, struct ocpp_call *out)
{
    *out = (struct ocpp_call){.frame = *frame};
    if (why != NULL)
        out->why = *why;
    if (frame->action.at != NULL)
        out->action = ocpp_action_find(frame->action);
    if (frame->payload.at != NULL && out->action != NULL) {
        out->content_key = ocpp_meter_key(frame->payload);
        out->message_key =
            message_key(frame, out->content_key, in->station, handlers[ocpp_action_index(out->action)].is_transaction);
    }
    if (e == ERR_MISSING)
        refuse(out, e, STR("ProtocolError"));
    else if (e != OK)
        refuse(out, ERR_FORMAT, STR("FormationViolation"));
    else if (out->action == NULL) {
        fault_set(&out->why, STR("action"), "Unknown action");
        refuse(out, ERR_UNKNOWN, STR("NotImplemented"));
    } else if (!out->action->from_station) {
        fault_set(&out->why, STR("action"), "not taken from a charge point");
        refuse(out, ERR_UNSUPPORTED, STR("NotSupported"));
    } else if ((e = read_request(in, out, a)) != OK)
        refuse(out, e, ocpp_error_code(e));
    else
        find_wants(in, out);
}

/* ocpp16.md 10.1: who is not accepted may only boot; who is pending may also answer a trigger. */
static bool may_speak(const struct ocpp_input *in, const struct ocpp_call *c)
{
    if (in->station->registration == REGISTRATION_ACCEPTED || ocpp_action_index(c->action) == ACTION_boot_notification)
        return true;
    return in->station->registration == REGISTRATION_PENDING && in->answers_trigger;
}

static void answer_refusal(struct step *s, struct str code, const struct fault *why)
{
    struct buf description;
    buf_init(&description, 512);
    if (why->field[0] != 0)
        buf_printf(&description, "%s: ", why->field);
    buf_put_str(&description, str_of(why->reason[0] != 0 ? why->reason : err_text(s->call->error)));
    size_t at = s->text->len;
    ocpp_write_error(s->text, s->call->frame.id_json, code,
                     str_eq(code, STR("NotImplemented")) ? STR("Unknown action") : buf_str(&description));
    s->out->error_code = code;
    s->out->answer = (struct str){(const char *)s->text->at + at, s->text->len - at};
    struct ev_protocol_error payload = {.code = code, .detail = buf_str(&description)};
    step_event(s, EVENT_PROTOCOL_ERROR, INSTANT_NONE, &payload);
    buf_release(&description);
}

/* Offsets become text now that the buffer no longer moves; the frame and its answer go with the last event. */
static void finish(struct step *s, size_t answer_at, size_t answer_len)
{
    struct ocpp_decision *d = s->out;
    d->answer = (struct str){(const char *)s->text->at + answer_at, answer_len};
    for (size_t i = 0; i < d->event_count; i++) {
        size_t end = i + 1 < d->event_count         ? s->payload_at[i + 1]
                     : answer_at > s->payload_at[i] ? answer_at
                                                    : s->text->len;
        d->events[i].payload = (struct str){(const char *)s->text->at + s->payload_at[i], end - s->payload_at[i]};
    }
    check(!s->is_of_frame || answer_len > 0);
    if (d->event_count > 0 && answer_len > 0) {
        d->events[d->event_count - 1].frame = s->in->text;
        d->events[d->event_count - 1].answer = d->answer;
    }
}

static void refuse_now(struct step *s, struct str code, const struct fault *why)
{
    size_t at = s->text->len;
    s->out->event_count = 0;
    answer_refusal(s, code, why);
    /* the answer was written first, the event's payload behind it */
    size_t answer_len = s->payload_at[0] - at;
    finish(s, at, answer_len);
}

void ocpp_call_decide(const struct ocpp_input *in, const struct ocpp_call *call, const struct ocpp_known *known,
                      struct arena *a, struct buf *text, struct ocpp_decision *out)
{
    static const struct ocpp_known nothing;
    /* Its events are as many as event_count says: more than a kilobyte, of which most calls need a sixth. */
    out->answer = out->error_code = (struct str){NULL, 0};
    out->event_count = 0;
    out->is_repeat = out->has_booted = false;
    struct step s = {.in = in,
                     .call = call,
                     .known = known == NULL ? &nothing : known,
                     .station = in->station,
                     .arena = a,
                     .text = text,
                     .out = out};
    if (call->error != OK) {
        refuse_now(&s, call->error_code, &call->why);
        return;
    }
    if (!may_speak(in, call)) {
        struct fault why;
        fault_set(&why, STR("registration"), "only BootNotification is taken before the station is accepted");
        refuse_now(&s, STR("SecurityError"), &why);
        return;
    }
    enum ocpp_action_index action = ocpp_action_index(call->action);
    const struct recent *r = handlers[action].is_fresh ? NULL : station_recent(in->station, call->message_key);
    if (r != NULL) {
        out->is_repeat = true;
        out->answer = (struct str){r->answer, r->answer_len};
        return;
    }
    buf_init(&s.answer, ANSWER_SIZE_MAX);
    handlers[action].handle(&s);
    if (out->error_code.at != NULL) {
        refuse_now(&s, out->error_code, &s.refusal);
    } else {
        size_t at = text->len;
        ocpp_write_result(text, call->frame.id_json, s.answer.len == 0 ? STR("{}") : buf_str(&s.answer));
        finish(&s, at, text->len - at);
        if (!handlers[action].is_fresh)
            station_remember(in->station, call->message_key, out->answer);
    }
    buf_release(&s.answer);
}

/* --- what the handlers share --- */

/* A message without a payload has one that lies nowhere in its frame. */
bool step_is_packable(const struct step *s)
{
    const struct str frame = s->in->text, body = s->call->frame.payload;
    return s->in->policy->is_packing && (uintptr_t)body.at >= (uintptr_t)frame.at &&
           (uintptr_t)body.at + body.len <= (uintptr_t)frame.at + frame.len;
}

void step_event(struct step *s, enum event_type type, struct instant device_time, const void *payload)
{
    struct ocpp_decision *d = s->out;
    check(d->event_count < OCPP_EVENTS_MAX);
    s->payload_at[d->event_count] = s->text->len;
    if (s->is_of_frame && step_is_packable(s))
        event_pack(type, payload, s->in->text, s->call->frame.payload, s->list, s->text);
    else
        schema_write(event_kinds[type].payload, payload, s->text);
    d->events[d->event_count++] = (struct event){
        .type = type,
        .station = str_of(s->station->id),
        .received = s->in->now,
        .device_time = device_time,
        .sequence = event_kinds[type].is_published ? ++s->station->sequence : 0,
    };
#ifdef DEFECT_SEQUENCE_REUSED /* planted: what waits in quarantine takes no number */
    s->station->sequence -= type == EVENT_QUARANTINED;
#endif
}

void step_answer(struct step *s, const struct message *m, const void *conf)
{
    buf_clear(&s->answer);
    schema_write(m, conf, &s->answer);
}

void step_refuse(struct step *s, struct str code, struct str field, const char *reason)
{
    s->out->error_code = code;
    fault_set(&s->refusal, field, "%s", reason);
}

bool step_is_content_repeat(struct step *s)
{
    const uint64_t key = s->call->content_key;
    s->out->is_repeat = station_meter_is_repeat(s->station, key);
    if (!s->out->is_repeat)
        station_remember_meter(s->station, key);
    return s->out->is_repeat;
}

void step_flag(struct step *s, struct str flag)
{
    for (size_t i = 0; i < s->flag_count; i++)
        if (str_eq(s->flags[i], flag))
            return;
    if (s->flag_count < COUNT_OF(s->flags))
        s->flags[s->flag_count++] = flag;
}

struct str_list step_flags(struct step *s)
{
    return s->flag_count == 0 ? (struct str_list){NULL, 0} : (struct str_list){s->flags, s->flag_count};
}

struct uuid step_quarantine(struct step *s, const struct quarantine *q)
{
    uint64_t low = be64(s->in->random + 2);
    struct uuid id = uuid_v7((uint64_t)(s->in->now.us / 1000), be16(s->in->random), low);
    char text[UUID_TEXT_SIZE];
    uuid_write(id, text);
    struct ev_quarantined payload = {
        .quarantine_id = str_of(text),
        .action = s->call->frame.action,
        .reason = q->reason,
        .message_id = s->call->frame.id,
        .connector_id = q->connector_id,
        .transaction_id = q->transaction_id,
        .suggestion = q->suggestion,
    };
    step_event(s, EVENT_QUARANTINED, INSTANT_NONE, &payload);
    return id;
}

/* Clocks that say 1970, or a day ahead of us, tell nothing (field-lessons.md 46). Old times are history, not errors. */
#define DEVICE_TIME_LEAST_US (INT64_C(1420070400) * 1000000) /* 2015-01-01 */
#define DEVICE_AHEAD_MAX     SPAN_S(86400)

struct instant believable_time(struct step *s, struct stamp device)
{
    if (instant_is_set(device.at) && device.at.us >= DEVICE_TIME_LEAST_US &&
        device.at.us <= instant_add(s->in->now, DEVICE_AHEAD_MAX).us)
        return device.at;
    step_flag(s, STR("clock_corrected"));
    return s->in->now;
}

struct str transaction_text(struct step *s, uint32_t id)
{
    char text[10], *at = text + sizeof text;
    do
        *--at = (char)('0' + id % 10);
    while ((id /= 10) != 0);
    return arena_copy(s->arena, (struct str){at, (size_t)(text + sizeof text - at)});
}

struct transaction *recall_transaction(struct step *s)
{
#ifdef DEFECT_FOREIGN_TAKEN /* planted: whose it is does not matter */
    bool is_foreign = false;
#else
    bool is_foreign = s->known->is_of_other_station;
#endif
    if (!s->known->has_transaction || is_foreign)
        return NULL;
    struct transaction t = s->known->transaction;
#ifdef DEFECT_OLD_REOPENED /* planted: what is looked up is open again */
    t.state = TRANSACTION_OPEN;
    return station_add_transaction(s->station, &t);
#endif
    t.state = TRANSACTION_CLOSED; /* memory holds all that are open: a row that says so is behind what we did since */
    return station_add_transaction(s->station, &t);
}

uint32_t next_transaction_id(struct step *s, uint64_t *number)
{
    *number = (*s->in->next_number)++;
#ifdef DEFECT_ID_GUESSABLE /* planted: ids are the numbers */
    return (uint32_t)*number;
#endif
#ifdef DEFECT_NUMBER_REUSED /* planted: a number is given to every other transaction */
    *s->in->next_number -= *number % 2;
#endif
    return permute31(s->in->id_key, (uint32_t)*number);
}
