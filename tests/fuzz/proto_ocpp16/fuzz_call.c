/* Any lines as frames from a station that has a little history, read leniently and strictly. The first byte says how
 * (lenient or strict, what is known of the station). Of each: one answer for a call and none for what is no call; the
 * answer is one of the frames, with the id of the call; every event is read back by its own table and numbered without
 * a gap; the station's memory holds what its header promises. */
/* covers: src/proto/ocpp16/decide.c src/proto/ocpp16/frame.c src/proto/ocpp16/on_*.c */
#include "unit/proto_ocpp16/corekit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES_MAX 32

static void check_events(const struct kit *k, uint64_t sequence)
{
    struct arena a;
    arena_init(&a, KIT_ARENA_MAX);
    for (size_t i = 0; i < k->decision.event_count; i++) {
        const struct event *e = &k->decision.events[i];
        struct fault why;
        void *payload = arena_take(&a, event_kinds[e->type].payload->size + 1);
        struct event whole = *e;
        struct buf json;
        buf_init(&json, KIT_ARENA_MAX);
        check(event_unpack(&whole, &a, &json, &why) == OK && json_check(whole.payload, &why) == OK);
        check(event_read_payload(e, &a, payload, &why) == OK);
        buf_release(&json);
        check(e->sequence == (event_kinds[e->type].is_published ? ++sequence : 0));
        if (e->type == EVENT_TRANSACTION_STOPPED)
            check(((const struct ev_transaction_stopped *)payload)->energy_wh.value >= 0);
    }
    arena_release(&a);
}

static void check_answer(struct kit *k, struct str text)
{
    struct ocpp_frame call = {0}, answer = {0};
    struct arena a;
    arena_init(&a, KIT_ARENA_MAX);
    enum err e = ocpp_frame_read(text, &a, &call, NULL);
    bool is_call = e != ERR_FORMAT && e != ERR_UNSUPPORTED && call.kind == OCPP_CALL;
    check(is_call == (k->decision.answer.at != NULL));
    if (is_call) {
        struct fault why;
        check(json_check(k->decision.answer, &why) == OK);
        check(ocpp_frame_read(k->decision.answer, &a, &answer, &why) == OK);
        check(answer.kind == (k->decision.error_code.at == NULL ? OCPP_RESULT : OCPP_ERROR));
        check(str_eq(answer.id_json, call.id_json));
        const struct ocpp_action *action = call.action.at == NULL ? NULL : ocpp_action_find(call.action);
        if (answer.kind == OCPP_RESULT) {
            void *conf = arena_take(&a, action->response->size + 1);
            check(schema_read(action->response, answer.payload, STRICT, &a, conf, &why) == OK);
        }
    } else {
        check(k->decision.event_count == 0);
    }
    arena_release(&a);
}

static void check_station(const struct station *s)
{
    size_t closed = 0;
    check(s->connector_count <= STATION_CONNECTORS_MAX && station_open_count(s) <= STATION_OPEN_MAX);
    for (size_t i = 0; i < s->transaction_count; i++) {
        const struct transaction *t = &s->transactions[i];
        closed += t->state == TRANSACTION_CLOSED;
        check(t->id != 0 && t->connector_id > 0);
        check(!t->is_superseded || t->state == TRANSACTION_CLOSED);
        for (size_t n = 0; n < i; n++) {
            const struct transaction *o = &s->transactions[n];
            check(o->id != t->id && o->start_key != t->start_key);
            check(o->state == TRANSACTION_CLOSED || t->state == TRANSACTION_CLOSED ||
                  o->connector_id != t->connector_id);
        }
    }
    check(closed <= STATION_CLOSED_MAX + 1); /* one more where the last open one ended after a drop */
}

/* What one who remembers shapes and packed lists decides is what the other one does, to the byte. */
static void check_twin(const struct ocpp_decision *a, const struct ocpp_decision *b)
{
    check(str_eq(a->answer, b->answer) && a->event_count == b->event_count);
    for (size_t i = 0; i < a->event_count; i++)
        check(a->events[i].type == b->events[i].type && str_eq(a->events[i].payload, b->events[i].payload));
}

static void say(struct kit *k, struct kit *twin, struct str text)
{
    uint64_t sequence = k->stations[0].sequence;
    kit_call(k, 0, text);
    kit_call(twin, 0, text);
    check_events(k, sequence);
    check_answer(k, text);
    check_station(&k->stations[0]);
    check_twin(&k->decision, &twin->decision);
}

static void set_up(struct kit *k, uint8_t how)
{
    k->policy.is_strict = (how & 1) != 0;
    k->policy.accepts_unknown_tags = (how & 2) != 0;
    k->policy.max_concurrent = (how & 4) != 0;
    k->policy.heartbeat_events = (how & 8) != 0;
    k->stations[0].registration = (enum registration)(how >> 4 & 3);
    k->answers_trigger = (how & 64) != 0;
    k->policy.is_packing = (how & 128) != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const history[] = {
        "[2,'a','StartTransaction',{'connectorId':1,'idTag':'TAG','meterStart':100,'timestamp':'2026-03-01T08:00:00Z'}"
        "]",
        "[2,'b','StartTransaction',{'connectorId':2,'idTag':'TAG2','meterStart':100,'timestamp':'2026-03-01T08:00:00Z'}"
        "]",
        "[2,'c','StopTransaction',{'transactionId':$2,'meterStop':200,'timestamp':'2026-03-01T08:10:00Z'}]",
        "[2,'d','StopTransaction',{'transactionId':-1,'meterStop':50,'timestamp':'2026-03-01T08:20:00Z'}]",
        "[2,'e','StatusNotification',{'connectorId':1,'errorCode':'NoError','status':'Charging'}]",
    };
    if (size < 1)
        return 0;
    struct kit *k = kit_new(), *twin = kit_new();
    twin->shapes = shapes_new();
    for (size_t i = 0; i < COUNT_OF(history); i++)
        say(k, twin, kit_text(&k->call, history[i]));
    set_up(k, data[0]);
    set_up(twin, data[0]);
    size_t at = 1;
    for (int line = 0; line < LINES_MAX && at < size; line++) {
        size_t end = at;
        while (end < size && data[end] != '\n')
            end++;
        uint8_t *exact = mem_new(1, end - at + 1); /* of its own, so that the sanitizer sees the very end */
        memcpy(exact, data + at, end - at);
        say(k, twin, (struct str){(const char *)exact, end - at});
        free(exact);
        k->now = twin->now = instant_add(k->now, SPAN_S(40));
        at = end + 1;
    }
    shapes_free(twin->shapes);
    kit_free(twin);
    kit_free(k);
    return 0;
}
