/* step.c - one decision in the making: its events, its answer, its wishes. */
#include "proto/ap3000/handlers.h"

#include <string.h>

#define EVENTS_FEW 8 /* nearly every decision has fewer; room for all is taken only when it is needed */

void ap3000_step_begin(struct ap3000_step *s, const struct ap3000_input *in, struct arena *a, struct buf *text,
                       struct ap3000_decision *out)
{
    static const struct ap3000_known nothing;
    pile_end_holds(in->pile, in->now);
    *out = (struct ap3000_decision){0};
    *s = (struct ap3000_step){.in = in,
                              .known = &nothing,
                              .station = in->station,
                              .pile = in->pile,
                              .arena = a,
                              .text = text,
                              .out = out,
                              .event_room = EVENTS_FEW};
    out->events = arena_take(a, EVENTS_FEW * sizeof *out->events);
    check(out->events != NULL); /* AP3000_ARENA_MIN */
}

static void write_answer(struct ap3000_step *s)
{
    struct ap3000_decision *d = s->out;
    struct ap3000_frame f = s->reading->frame; /* its ids and its command come back */
    f.payload = (struct bytes){s->answer, s->answer_len};
    enum err e = ap3000_frame_write(&f, d->answer, sizeof d->answer, &d->answer_len);
    check(e == OK); /* PILE_ANSWER_MAX */
    d->has_answer = true;
}

void ap3000_step_finish(struct ap3000_step *s)
{
    struct ap3000_decision *d = s->out;
    size_t end = s->text->len;
    if (s->has_answer)
        write_answer(s);
    if (d->event_count > 0 && d->has_answer) /* first, since the text moves while it grows */
        buf_put_hex(s->text, (struct bytes){d->answer, d->answer_len});
    for (size_t i = d->event_count; i-- > 0;) {
        size_t begin = d->events[i].payload.len;
        d->events[i].payload = (struct str){(const char *)s->text->at + begin, end - begin};
        end = begin;
    }
    if (d->event_count == 0)
        return;
    struct event *last = &d->events[d->event_count - 1];
    last->frame = s->in->text;
    if (d->has_answer) {
        const char *behind = last->payload.at + last->payload.len;
        last->answer = (struct str){behind, (size_t)((const char *)s->text->at + s->text->len - behind)};
    }
}

void ap3000_step_event(struct ap3000_step *s, enum event_type type, struct instant device_time, const void *payload)
{
    struct ap3000_decision *d = s->out;
    if (d->event_count == s->event_room && s->event_room < AP3000_EVENTS_MAX) {
        struct event *all = arena_take(s->arena, AP3000_EVENTS_MAX * sizeof *all);
        check(all != NULL); /* AP3000_ARENA_MIN */
        memcpy(all, d->events, d->event_count * sizeof *all);
        d->events = all;
        s->event_room = AP3000_EVENTS_MAX;
    }
    check(d->event_count < s->event_room);
    const struct str begin = {NULL, s->text->len}; /* of its payload: until ap3000_step_finish, since the text moves */
    schema_write(event_kinds[type].payload, payload, s->text);
    d->events[d->event_count++] = (struct event){
        .type = type,
        .station = str_of(s->station->id),
        .received = s->in->now,
        .device_time = device_time,
        .sequence = event_kinds[type].is_published ? ++s->station->sequence : 0,
        .payload = begin,
    };
}

void ap3000_step_answer(struct ap3000_step *s, const struct ap3000_layout *l, const void *fields)
{
    enum err e = ap3000_write(l, fields, s->answer, sizeof s->answer, &s->answer_len, NULL);
    check(e == OK);
    s->has_answer = true;
}

void ap3000_step_flag(struct ap3000_step *s, struct str flag)
{
    for (size_t i = 0; i < s->flag_count; i++)
        if (str_eq(s->flags[i], flag))
            return;
    if (s->flag_count < COUNT_OF(s->flags))
        s->flags[s->flag_count++] = flag;
}

void ap3000_step_clear_flags(struct ap3000_step *s)
{
    s->flag_count = 0;
}

struct str_list ap3000_step_flags(struct ap3000_step *s)
{
    return s->flag_count == 0 ? (struct str_list){NULL, 0} : (struct str_list){s->flags, s->flag_count};
}

void ap3000_step_alarm(struct ap3000_step *s, const char *alarm, uint8_t port, struct str details)
{
    struct ev_device_alarm payload = {
        .alarm = str_of(alarm), .connector_id = ap3000_connector(port), .details = details};
    ap3000_step_event(s, EVENT_DEVICE_ALARM, INSTANT_NONE, &payload);
}

void ap3000_step_wish(struct ap3000_step *s, const struct ap3000_wish *w)
{
    struct ap3000_decision *d = s->out;
    for (size_t i = 0; i < d->wish_count; i++)
        if (d->wishes[i].kind == w->kind && d->wishes[i].transaction_id == w->transaction_id)
            return;
    if (d->wish_count < AP3000_WISHES_MAX)
        d->wishes[d->wish_count++] = *w;
}

bool ap3000_step_is_trusted(const struct ap3000_step *s)
{
    struct str bound = str_of(s->pile->iccid_binding);
    return s->station->registration == REGISTRATION_ACCEPTED && (bound.len == 0 || str_eq_nocase(bound, s->in->iccid));
}

struct str ap3000_transaction_text(struct ap3000_step *s, uint32_t id)
{
    return arena_printf(s->arena, "%u", (unsigned)id);
}

struct integer ap3000_connector(uint8_t port)
{
    static const struct integer none;
    return port == PILE_PORT_NONE ? none : integer_of(pile_connector_of(port));
}

void ap3000_step_samples(struct ap3000_step *s, int32_t connector_id, uint32_t transaction_id,
                         const struct ap3000_sample *samples, size_t count)
{
    struct ev_sample_list list = {arena_take(s->arena, count * sizeof *list.at), count};
    struct ev_sampled_value *values = arena_take(s->arena, count * sizeof *values);
    struct stamp now = stamp_of(s->arena, s->in->now);
    check(list.at != NULL && values != NULL); /* AP3000_ARENA_MIN */
    for (size_t i = 0; i < count; i++) {
        struct buf number;
        buf_init(&number, 32);
        buf_put_decimal(&number, samples[i].value, samples[i].digits);
        values[i] = (struct ev_sampled_value){
            .value = arena_copy(s->arena, buf_str(&number)),
            .measurand = str_of(samples[i].measurand),
            .unit = str_of(samples[i].unit),
            .context = STR("Sample.Periodic"),
            .location = str_of(samples[i].location),
        };
        list.at[i] = (struct ev_sample){now, &values[i]};
        buf_release(&number);
    }
    struct ev_meter_values payload = {
        .connector_id = integer_of(connector_id), .meter_values = list, .flags = ap3000_step_flags(s)};
    if (transaction_id != 0)
        payload.transaction_id = ap3000_transaction_text(s, transaction_id);
    ap3000_step_event(s, transaction_id != 0 ? EVENT_TRANSACTION_METER : EVENT_METER_VALUES, INSTANT_NONE, &payload);
}
