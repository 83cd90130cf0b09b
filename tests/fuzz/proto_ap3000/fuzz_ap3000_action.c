/* A command and what a pile says to it: a byte that says how the pile is, the name of the command, a line, its payload,
 * a line, any answer. What passes the check begins, and else nothing is changed; the frame decodes to the fields that
 * were asked for; whatever the answer, the talk ends, with a response that is JSON and events that can be read. */
/* covers: src/proto/ap3000/actions.c src/proto/ap3000/talk.c src/proto/ap3000/forms.c src/proto/ap3000/fields.c */
#include "unit/proto_ap3000/actionkit.h"

#include "proto/ap3000/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 4096
#define STEPS_MAX 4 /* frames of one talk */

static bool take_line(const uint8_t **data, size_t *size, struct str *line)
{
    const uint8_t *end = memchr(*data, '\n', *size);
    if (end == NULL)
        return false;
    *line = (struct str){(const char *)*data, (size_t)(end - *data)};
    *size -= line->len + 1;
    *data = end + 1;
    return true;
}

static bool is_same_value(struct str a, struct str b, struct arena *arena)
{
    struct json ja, jb;
    struct json_string sa, sb;
    struct str ta, tb;
    int64_t na, nb;
    json_init(&ja, a);
    json_init(&jb, b);
    if (json_peek(&ja) != json_peek(&jb))
        return false;
    if (json_peek(&ja) == JSON_NUMBER)
        return json_number_int(a, &na) == OK && json_number_int(b, &nb) == OK && na == nb;
    if (json_peek(&ja) != JSON_STRING)
        return true; /* lists: the round of test_ap3000_fields */
    return json_get_string(&ja, &sa) && json_get_string(&jb, &sb) && json_string_text(sa, arena, &ta) == OK &&
           json_string_text(sb, arena, &tb) == OK && str_eq_nocase(ta, tb);
}

/* Each member that is a field of the frame is in it as it was said. */
static void check_fields(struct kit *k, struct str payload)
{
    static const char *const others[] = {"confirm", "idTag", "transactionId"};
    const struct ap3000_layout *l = ap3000_command_find(k->talk.command, AP3000_DOWN)->layout;
    struct ap3000_members asked, sent;
    struct buf text;
    struct json_writer w;
    buf_init(&text, KIT_TEXT_MAX);
    jw_init(&w, &text);
    jw_open_object(&w);
    ap3000_fields_json_members(&w, l, kit_sent(k));
    jw_close_object(&w);
    check(ap3000_members_read(payload, &k->arena, &asked, NULL) == OK);
    check(ap3000_members_read(buf_str(&text), &k->arena, &sent, NULL) == OK);
    for (size_t i = 0; i < COUNT_OF(others); i++)
        (void)ap3000_member_take(&asked, others[i]);
    for (size_t i = 0; i < asked.count; i++) {
        if (asked.at[i].is_taken)
            continue;
        char *key = arena_take(&k->arena, asked.at[i].key.len + 1);
        memcpy(key, asked.at[i].key.at, asked.at[i].key.len);
        check(is_same_value(asked.at[i].value, ap3000_member_take(&sent, key), &k->arena));
    }
    buf_release(&text);
}

static void check_events(struct kit *k)
{
    for (size_t i = 0; i < k->decision.event_count; i++) {
        const struct event *e = &k->decision.events[i];
        struct fault why;
        void *payload = arena_take(&k->arena, event_kinds[e->type].payload->size + 1);
        check(event_read_payload(e, &k->arena, payload, &why) == OK);
    }
}

static void hear(struct kit *k, struct bytes answer)
{
    enum ap3000_talk_state state = AP3000_TALK_GOES_ON;
    struct fault why;
    k->end = (struct ap3000_ending){0};
    if (answer.len == 0) {
        buf_clear(&k->text);
        ap3000_talk_on_silence(&k->in, &k->talk, &k->arena, &k->text, &k->decision, &k->end);
        state = AP3000_TALK_ENDED;
        check_events(k);
    }
    for (int step = 0; step < STEPS_MAX && state == AP3000_TALK_GOES_ON; step++) {
        state = kit_answer(k, answer);
        check_events(k);
        check(state == AP3000_TALK_ENDED || kit_sent(k).at != NULL);
    }
    check(state == AP3000_TALK_ENDED && k->end.outcome != NULL && k->end.status.at != NULL);
    check(k->end.response.at == NULL || json_check(k->end.response, &why) == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str name, payload;
    struct fault why;
    if (size < 1 || size > INPUT_MAX)
        return 0;
    enum kit_before before = data[0] % KIT_BEFORE_COUNT;
    data++;
    size--;
    if (!take_line(&data, &size, &name) || !take_line(&data, &size, &payload) || size > AP3000_PAYLOAD_SIZE_MAX)
        return 0;
    const struct ap3000_action *a = ap3000_action_find(name);
    if (a == NULL)
        return 0;
    struct kit *k = kit_new();
    kit_arrange(k, before);
    size_t orders = k->pile->order_count;
    enum err e = ap3000_action_check(&k->in, a, payload, &k->arena, &why);
    check(k->next_number == 7 && k->pile->order_count == orders && k->pile->next_message_id == 1);
    enum err begun = kit_begin(k, a, payload);
    if (ap3000_action_index(a) == AP3000_ACTION_update_firmware)
        check(begun == (e == OK ? ERR_UNSUPPORTED : e));
    else
        check(begun == e);
    check(begun == OK || (k->next_number == 7 && k->pile->order_count == orders && k->pile->next_message_id == 1));
    if (begun == OK) {
        check_events(k);
        check(kit_sent(k).at != NULL);
        if (a->payload == NULL)
            check_fields(k, payload);
        hear(k, (struct bytes){data, size});
    }
    kit_free(k);
    return 0;
}
