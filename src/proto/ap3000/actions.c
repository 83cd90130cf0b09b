/* actions.c - what can be told, and to whom: payloads are checked and become the first frame. */
#include "proto/ap3000/talk.h"

#include <string.h>

#define SCHEMA_TABLES
#include "schema/expand.h"
#include "proto/ap3000/requests.def"

enum { FREE, GUARDED };
enum { OPEN, SECRET };
/* clang-format off */
#define REQUEST(name) &ap3000_##name##_req_message
#define FIELDS        NULL
const struct ap3000_action ap3000_actions[] = {
#define ACTION(constant, name, command, guard, secrecy, payload, section, sentence)                                    \
    {{name, sizeof(name) - 1}, command, (guard) == GUARDED, (secrecy) == SECRET, payload, section, sentence},
#include "proto/ap3000/actions.def"
};
/* clang-format on */
const size_t ap3000_action_count = COUNT_OF(ap3000_actions);

const struct ap3000_action *ap3000_action_find(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(ap3000_actions); i++)
        if (str_eq(ap3000_actions[i].name, name))
            return &ap3000_actions[i];
    return NULL;
}

enum err ap3000_refuse(const struct ap3000_making *m, enum err e, const char *field, const char *reason)
{
    fault_set(m->why, str_of(field), "%s", reason);
    return e;
}

/* --- values that no device may be told, beyond what a field holds --- */

/* clang-format off */
static const struct {
    const struct ap3000_layout *layout;
    const char *key;
    uint32_t least, most;
    const char *reason;
} limits[] = {
    {&ap3000_start_layout,        "max_duration_s", 0, DURATION_S_MAX, "more than 64800 s, which no device is known to count (A41)"},
    {&ap3000_start_layout,        "full_power_w",   0, 254,            "255 is no wattage: 0 turns it off (A17)"},
    {&ap3000_parameters_1_layout, "float_percent",  1, 100,            "not within 1 and 100"},
    {&ap3000_parameters_1_layout, "heartbeat_s",    1, UINT16_MAX,     "a heartbeat every 0 s"},
    {&ap3000_limits_layout,       "max_duration_s", 1, DURATION_S_MAX, "not within 1 and 64800 (A41)"},
    {&ap3000_memory_read_layout,  "data_len",       1, 32,             "not within 1 and 32"},
    {&ap3000_memory_write_layout, "data_len",       1, 32,             "not within 1 and 32 bytes"},
    {&ap3000_qr_base_layout,      "reserved",       0, 0,              "must be 0"},
    {&ap3000_fsk_settings_layout, "reserved",       0, 0,              "must be 0"},
    {&ap3000_fsk_settings_layout, "count",          0, 50,             "a host has 50 slaves at most (8.9)"},
    {&ap3000_server_address_layout, "tcp_port",     1, UINT16_MAX,     "port 0"},
};
/* clang-format on */

/* A number; of bytes, whether any is not 0. */
static uint32_t value_of(const struct ap3000_field *f, const void *fields)
{
    const uint8_t *at = (const uint8_t *)fields + f->offset;
    uint16_t two;
    uint32_t four = 0;
    if (f->kind == AP3000_OCTETS) {
        for (size_t i = 0; i < f->size; i++)
            four |= at[i];
        return four;
    }
    if (f->size == 1)
        return *at;
    memcpy(&two, at, sizeof two);
    if (f->size == 4)
        memcpy(&four, at, sizeof four);
    return f->size == 2 ? two : four;
}

/* What 0x82 says of mode and amount must go together (5.7, 7.2, A48). */
static enum err check_amount(const struct ap3000_layout *l, const void *fields, struct fault *why)
{
    const struct ap3000_start *s = fields;
    if (l != &ap3000_start_layout)
        return OK;
    bool is_until_full = s->rate_mode == AP3000_RATE_MONTHLY || s->rate_mode == AP3000_RATE_COUNT;
    if (is_until_full && s->duration_or_energy != 0) {
        fault_set(why, STR("duration_or_energy"), "must be 0 in this mode: it goes on until full");
        return ERR_RANGE;
    }
    if (s->rate_mode == AP3000_RATE_TIME && s->duration_or_energy > DURATION_S_MAX) {
        fault_set(why, STR("duration_or_energy"), "more than %d s, which no device is known to count (A41)",
                  DURATION_S_MAX);
        return ERR_RANGE;
    }
    if (s->rate_mode != AP3000_RATE_MONTHLY && s->balance_or_expiry > BALANCE_FEN_MAX) {
        fault_set(why, STR("balance_or_expiry"), "more than %d: it would be spoken as a date (A48)", BALANCE_FEN_MAX);
        return ERR_RANGE;
    }
    return OK;
}

enum err ap3000_field_check(const struct ap3000_layout *l, const struct ap3000_field *f, const void *fields,
                            struct fault *why)
{
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        if (limits[i].layout != l || strcmp(limits[i].key, f->key) != 0)
            continue;
        uint32_t n = value_of(f, fields);
        if (n < limits[i].least || n > limits[i].most) {
            fault_set(why, str_of(f->key), "%s", limits[i].reason);
            return ERR_RANGE;
        }
    }
    return OK;
}

enum err ap3000_fields_check(const struct ap3000_layout *l, const void *fields, struct fault *why)
{
    for (size_t i = 0; i < l->count; i++) {
        bool is_there = i + ((const struct ap3000_tail *)fields)->absent < l->count;
        enum err e = is_there ? ap3000_field_check(l, &l->fields[i], fields, why) : OK;
        if (e != OK)
            return e;
    }
    return check_amount(l, fields, why);
}

enum err ap3000_port_check(const struct ap3000_making *m, uint32_t port, const char *field)
{
    const struct ap3000_pile *p = m->in->pile;
    if (port == PILE_PORT_NONE || !p->is_registered || port < p->port_count)
        return OK;
    fault_set(m->why, str_of(field), "this pile has %u ports", p->port_count);
    return ERR_RANGE;
}

/* --- the actions that are fields of one frame --- */

static const struct ap3000_layout *layout_of(uint8_t command)
{
    const struct ap3000_command *c = ap3000_command_find(command, AP3000_DOWN);
    check(c != NULL); /* a test looks at every line of actions.def */
    return c->layout;
}

/* Its port, if it has one; commands to one port only, so that none is meant for the pile to choose. */
static enum err check_port_field(struct ap3000_making *m, const struct ap3000_layout *l)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->fields[i].unit != AP3000_IS_PORT)
            continue;
        m->port = (uint8_t)value_of(&l->fields[i], m->fields);
        if (m->port == PILE_PORT_NONE && l != &ap3000_start_layout)
            return ap3000_refuse(m, ERR_RANGE, l->fields[i].key, "255 is no port");
        return ap3000_port_check(m, m->port, l->fields[i].key);
    }
    return OK;
}

enum err ap3000_make_fields(struct ap3000_making *m, const struct ap3000_fields_base *base)
{
    const struct ap3000_layout *l = layout_of(m->command);
    m->fields = arena_take(m->a, l->size);
    if (m->fields == NULL)
        return ap3000_refuse(m, ERR_MEMORY, "", "no memory left for the fields");
    enum err e = ap3000_fields_take(l, &m->members, base, m->a, m->fields, m->why);
    if (e == OK)
        e = ap3000_members_end(&m->members, m->why);
    if (e == OK)
        e = ap3000_fields_check(l, m->fields, m->why);
    return e == OK ? check_port_field(m, l) : e;
}

static enum err make_frame(struct ap3000_making *m)
{
    return ap3000_make_fields(m, NULL);
}

/* Is that address one of the list "a:1, b:2"? */
static bool is_listed(struct str list, struct str address, uint16_t tcp_port)
{
    char port[8];
    size_t digits = 0;
    for (uint16_t n = tcp_port; digits == 0 || n > 0; n /= 10)
        port[digits++] = (char)('0' + n % 10);
    while (list.len > 0) {
        const char *comma = memchr(list.at, ',', list.len);
        struct str item = {list.at, comma == NULL ? list.len : (size_t)(comma - list.at)};
        size_t used = item.len + (comma != NULL);
        list = (struct str){list.at + used, list.len - used};
        while (item.len > 0 && item.at[0] == ' ')
            item = (struct str){item.at + 1, item.len - 1};
        while (item.len > 0 && item.at[item.len - 1] == ' ')
            item.len--;
        bool is_it = item.len == address.len + 1 + digits && item.at[address.len] == ':' &&
                     str_eq_nocase((struct str){item.at, address.len}, address);
        for (size_t i = 0; is_it && i < digits; i++)
            is_it = item.at[item.len - 1 - i] == port[i];
        if (is_it)
            return true;
    }
    return false;
}

/* A wrong one loses the installation for good (8.7). */
static enum err make_server_address(struct ap3000_making *m)
{
    enum err e = ap3000_make_fields(m, NULL);
    const struct ap3000_server_address *s = m->fields;
    if (e != OK)
        return e;
    if (s->address.len == 0)
        return ap3000_refuse(m, ERR_RANGE, "address", "empty");
    if (!is_listed(m->in->policy->server_addresses, s->address, s->tcp_port))
        return ap3000_refuse(m, ERR_DENIED, "address", "not a server that the configuration lists");
    return OK;
}

/* --- the actions that OCPP has too --- */

static enum err make_empty(struct ap3000_making *m)
{
    m->fields = arena_take(m->a, layout_of(m->command)->size);
    return m->fields == NULL ? ap3000_refuse(m, ERR_MEMORY, "", "no memory left for the fields") : OK;
}

static enum err make_trigger(struct ap3000_making *m)
{
    const struct ap3000_trigger_req *r = m->request;
    if (r->requested_message.index > AP3000_TRIGGERED_STATUS)
        return ap3000_refuse(m, ERR_UNSUPPORTED, "requestedMessage", "nothing asks this device for that");
    return make_empty(m);
}

static enum err make_reset(struct ap3000_making *m)
{
    const struct ap3000_reset_req *r = m->request;
    const struct ap3000_pile *p = m->in->pile;
    bool is_forced = r->type.index == AP3000_RESET_HARD && r->confirm.is_set && r->confirm.value;
    if (pile_open_count(p) > 0 && !is_forced)
        return ap3000_refuse(m, ERR_STATE, "type", "an order is open: only Hard with \"confirm\": true");
    if (p->is_host && !p->is_registered)
        m->command = 0x31;
    return make_empty(m);
}

static enum err make_unlock(struct ap3000_making *m)
{
    const struct ap3000_unlock_req *r = m->request;
    if (!m->in->pile->is_cabinet)
        return ap3000_refuse(m, ERR_UNSUPPORTED, "connectorId", "only cabinets have doors");
    if (r->connector_id.value > PILE_PORT_NONE)
        return ap3000_refuse(m, ERR_RANGE, "connectorId", "no such connector");
    enum err e = ap3000_port_check(m, pile_port_of(r->connector_id.value), "connectorId");
    if (e == OK)
        e = make_empty(m);
    struct ap3000_multi *multi = m->fields;
    if (e == OK)
        *multi = (struct ap3000_multi){.function = AP3000_FUNCTION_DOOR,
                                       .port = m->port = pile_port_of(r->connector_id.value)};
    return e;
}

static enum err make_never(struct ap3000_making *m)
{
    return ap3000_refuse(m, ERR_UNSUPPORTED, "", "these devices have no counterpart");
}

/* The transfer itself is not begun here; what it may be given is looked at by transfer_begin. */
static enum err make_update(struct ap3000_making *m)
{
    struct ap3000_update update;
    return ap3000_update_read(m->payload, m->a, &update, m->why);
}

enum err ap3000_update_read(struct str payload, struct arena *a, struct ap3000_update *out, struct fault *why)
{
    static const uint8_t commands[] = {0xE0, 0xE1, 0xE2, 0xF8, 0xF9, 0xFA}; /* as ap3000_upgrade has them */
    struct ap3000_update_firmware_req r;
    enum err e = schema_read(&ap3000_update_firmware_req_message, payload, STRICT, a, &r, why);
    if (e != OK)
        return e == ERR_UNKNOWN ? ERR_FORMAT : e;
    if (r.version.value > UINT16_MAX || r.device_type.value > UINT8_MAX) {
        fault_set(why, r.version.value > UINT16_MAX ? STR("version") : STR("deviceType"), "no device has such a one");
        return ERR_RANGE;
    }
    *out = (struct ap3000_update){
        .file_id = r.file_id,
        .command = r.command.text.at == NULL ? 0 : commands[r.command.index],
        .version = (uint16_t)r.version.value,
        .device_type = (uint16_t)r.device_type.value,
        .has_check_packet = r.check_packet.value,
    };
    return OK;
}

/* --- every action --- */

/* How it is made. A line for each of actions.def that is more than the fields of its frame. */
static ap3000_maker *const makers[AP3000_ACTION_COUNT] = {
    [AP3000_ACTION_remote_start] = ap3000_make_remote_start,
    [AP3000_ACTION_remote_stop] = ap3000_make_remote_stop,
    [AP3000_ACTION_trigger] = make_trigger,
    [AP3000_ACTION_reset] = make_reset,
    [AP3000_ACTION_unlock] = make_unlock,
    [AP3000_ACTION_change_availability] = make_never,
    [AP3000_ACTION_get_configuration] = ap3000_make_get_configuration,
    [AP3000_ACTION_change_configuration] = ap3000_make_change_configuration,
    [AP3000_ACTION_update_firmware] = make_update,
    [AP3000_ACTION_start] = ap3000_make_start,
    [AP3000_ACTION_stop] = ap3000_make_stop,
    [AP3000_ACTION_change_charge] = ap3000_make_change,
    [AP3000_ACTION_stop_keeping_door] = ap3000_make_stop_keeping_door,
    [AP3000_ACTION_set_server_address] = make_server_address,
};

static enum err read_payload(struct ap3000_making *m)
{
    const struct message *payload = m->action->payload;
    if (payload == NULL)
        return ap3000_members_read(m->payload, m->a, &m->members, m->why);
    void *request = arena_take(m->a, payload->size);
    if (request == NULL)
        return ap3000_refuse(m, ERR_MEMORY, "", "no memory left for the payload");
    m->request = request;
    return schema_read(payload, m->payload, STRICT, m->a, request, m->why);
}

/* As JSON; absent where it is not said. The one guarded payload that is a message is that of firmware. */
static struct str confirm_of(struct ap3000_making *m)
{
    const struct ap3000_update_firmware_req *r = m->request;
    if (r == NULL)
        return ap3000_member_take(&m->members, "confirm");
    check(m->action->payload == &ap3000_update_firmware_req_message);
    return !r->confirm.is_set ? (struct str){NULL, 0} : r->confirm.value ? STR("true") : STR("false");
}

/* 13.3. */
static enum err check_guard(struct ap3000_making *m)
{
    if (!m->action->is_guarded)
        return OK;
    struct str confirm = confirm_of(m);
    if (confirm.at == NULL)
        return ap3000_refuse(m, ERR_MISSING, "confirm", "required, but missing: what this does cannot be undone");
    if (!str_eq(confirm, STR("true")))
        return ap3000_refuse(m, ERR_RANGE, "confirm", "not true");
    if (pile_open_count(m->in->pile) > 0)
        return ap3000_refuse(m, ERR_STATE, "confirm", "an order is open");
    return OK;
}

static enum err make(struct ap3000_making *m)
{
    enum ap3000_action_index i = ap3000_action_index(m->action);
    m->command = m->action->command;
    m->port = PILE_PORT_NONE;
    pile_end_holds(m->in->pile, m->in->now);
    enum err e = read_payload(m);
    if (e == OK)
        e = check_guard(m);
    if (e == OK)
        e = (makers[i] == NULL ? make_frame : makers[i])(m);
    return e == ERR_UNKNOWN ? ERR_FORMAT : e; /* an unknown member is no unknown command */
}

enum err ap3000_action_check(const struct ap3000_input *in, const struct ap3000_action *action, struct str payload,
                             struct arena *a, struct fault *why)
{
    struct ap3000_making m = {.in = in, .action = action, .payload = payload, .a = a, .why = why};
    return make(&m);
}

/* The order of a start is placed, that of a stop told of it: both before the frame leaves. */
static void begin_order(struct ap3000_making *m, const struct ap3000_command_of *c, struct ap3000_step *s,
                        struct ap3000_talk *t)
{
    struct pile_order *o = m->stop;
    if (m->id_tag.at != NULL) {
        struct ap3000_start *start = m->fields;
        o = ap3000_step_place(s, m->port, m->id_tag, c->command_id);
        check(o != NULL); /* the maker saw to the room */
        memcpy(start->order_no, o->no, sizeof start->order_no);
        enum err e = ap3000_step_order(s, o, ORDER_IN_SENT, NULL);
        check(e == OK); /* it is new */
    } else if (o != NULL) {
        ap3000_step_order_cancel(s, o);
        enum err e = ap3000_step_order(s, o, ORDER_IN_STOP_SENT, NULL);
        check(e == OK); /* the maker saw to its state */
    }
    t->transaction_id = o == NULL ? 0 : o->id;
}

enum err ap3000_talk_begin(const struct ap3000_input *in, const struct ap3000_command_of *c, struct arena *a,
                           struct buf *text, struct ap3000_talk *out, struct ap3000_decision *d, struct fault *why)
{
    struct ap3000_making m = {.in = in, .action = c->action, .payload = c->payload, .a = a, .why = why};
    struct ap3000_step s;
    enum err e = make(&m);
    if (e == OK && m.fields == NULL)
        e = ap3000_refuse(&m, ERR_UNSUPPORTED, "", "not one frame");
    if (e != OK)
        return e;
    *out = (struct ap3000_talk){.action = c->action, .port = m.port, .payload = c->payload};
    ap3000_step_begin(&s, in, a, text, d);
    begin_order(&m, c, &s, out);
    ap3000_step_finish(&s);
    ap3000_talk_send(out, in->pile, m.command, m.fields);
    return OK;
}
