/* on_register.c - who a pile or a host is: what it says of itself, when that is told, and time
 * (ap3000.md 2.4, 6.1, 6.8, 8.2, 12). */
#include "proto/ap3000/handlers.h"
#include "proto/ap3000/stream.h"

#include <string.h>

static const struct str style_text[] = {
    [PILE_STYLE_UNKNOWN] = {NULL, 0},
    [PILE_STYLE_ASKED] = {"asked", 5},
    [PILE_STYLE_LEGACY] = {"legacy", 6},
    [PILE_STYLE_MODERN] = {"modern", 6},
};

/* --- what is told --- */

static struct str version_text(struct ap3000_step *s, uint16_t firmware)
{
    return arena_printf(s->arena, "%u.%02u", firmware / 100u, firmware % 100u);
}

/* The product, where the three that tell it are known together (5.11); else the number of its type (A38). */
static struct str model_text(struct ap3000_step *s)
{
    const struct ap3000_pile *p = s->pile;
    const struct ap3000_product *product =
        p->is_registered ? ap3000_pile_find(p->device_type, ap3000_id_code(p->physical_id), p->firmware)
        : p->is_host     ? ap3000_host_find(p->host_type, p->host_firmware)
                         : NULL;
    if (product != NULL)
        return str_of(product->name);
    uint16_t type = p->is_registered ? p->device_type : p->is_host ? p->host_type : AP3000_TYPE_ABSENT;
    if (type == AP3000_TYPE_ABSENT)
        return STR("unknown");
    return arena_printf(s->arena, "%stype 0x%02X", p->is_registered ? "" : "host ", (unsigned)type);
}

static struct integer type_number(uint16_t type)
{
    static const struct integer none;
    return type == AP3000_TYPE_ABSENT ? none : integer_of(type);
}

static struct str text_or_absent(const char *text)
{
    return text[0] == 0 ? (struct str){NULL, 0} : str_of(text);
}

static struct str imei_of(const struct ap3000_step *s)
{
    const struct ap3000_reading *r = s->reading;
    if (r == NULL || r->fields == NULL || r->frame.command != 0x11)
        return (struct str){NULL, 0};
    const struct ap3000_host_heartbeat *h = r->fields;
    return AP3000_HAS(host_heartbeat, h, imei) && h->imei.len > 0 ? h->imei : (struct str){NULL, 0};
}

static void tell(struct ap3000_step *s, bool is_trusted)
{
    const struct ap3000_pile *p = s->pile;
    char id[AP3000_ID_TEXT_SIZE];
    ap3000_id_write(p->physical_id, id);
    struct ev_connected payload = {
        .model = model_text(s),
        .vendor = STR("AP3000"),
        .serial_number = arena_printf(s->arena, "%u", (unsigned)ap3000_id_number(p->physical_id)),
        .iccid = text_or_absent(p->iccid),
        .imei = imei_of(s),
        .protocol = STR("ap3000"),
        .remote_address = s->in->remote_address,
        .registration = registration_text(s->station->registration),
        .physical_id = str_of(id),
        .host = text_or_absent(p->host),
        .heartbeat_style = style_text[p->style],
    };
    if (p->is_registered) {
        payload.firmware_version = version_text(s, p->firmware);
        payload.connectors = integer_of(p->port_count);
        payload.device_type = type_number(p->device_type);
        payload.work_mode = integer_of(p->work_mode);
        payload.virtual_id = integer_of(p->virtual_id);
        payload.power_board = integer_of(p->power_board_version);
        payload.heartbeat_s = integer_of(p->heartbeat_s);
    }
    if (p->is_host) {
        payload.host_type = type_number(p->host_type);
        payload.host_firmware = integer_of(p->host_firmware);
        if (!p->is_registered)
            payload.firmware_version = version_text(s, p->host_firmware);
    }
    if (p->is_cabinet)
        payload.is_cabinet = boolean_of(true);
    ap3000_step_event(s, is_trusted ? EVENT_CONNECTED : EVENT_BOOT_HELD, INSTANT_NONE, &payload);
}

static uint64_t facts_key(const struct ap3000_step *s, bool is_trusted)
{
    const struct ap3000_pile *p = s->pile;
    struct {
        int64_t heartbeat_s;
        uint32_t physical_id, style;
        uint16_t said[8];
        char host[PILE_ID_SIZE], iccid[sizeof p->iccid];
    } facts;
    memset(&facts, 0, sizeof facts); /* what lies between its members counts too */
    facts.heartbeat_s = p->heartbeat_s;
    facts.physical_id = p->physical_id;
    facts.style = (uint32_t)p->style | (uint32_t)is_trusted << 8 | (uint32_t)p->is_registered << 9 |
                  (uint32_t)p->is_host << 10 | (uint32_t)p->is_cabinet << 11;
    const uint16_t said[] = {p->firmware,   p->device_type, p->power_board_version, p->port_count,
                             p->virtual_id, p->work_mode,   p->host_type,           p->host_firmware};
    memcpy(facts.said, said, sizeof said);
    (void)str_copy(facts.host, sizeof facts.host, str_of(p->host));
    (void)str_copy(facts.iccid, sizeof facts.iccid, str_of(p->iccid));
    uint64_t key = content_hash(AP3000_CONTENT_KEY, (struct bytes){(const uint8_t *)&facts, sizeof facts});
    return key == 0 ? 1 : key;
}

static void security_event(struct ap3000_step *s, const char *type, const char *info)
{
    struct ev_security_event payload = {.type = str_of(type), .tech_info = str_of(info), .origin = STR("gateway")};
    ap3000_step_event(s, EVENT_SECURITY_EVENT, INSTANT_NONE, &payload);
}

/* The card and the host of its connection, where they were said. A card is not a pile's for ever, but that it has
 * another now is worth a word (12). */
static void take_line(struct ap3000_step *s)
{
    struct ap3000_pile *p = s->pile;
    if (s->in->host.at != NULL)
        (void)str_copy(p->host, sizeof p->host, s->in->host);
    struct str before = str_of(p->iccid);
    if (s->in->iccid.at == NULL || str_eq(before, s->in->iccid) || str_eq_nocase(before, s->in->iccid))
        return;
    bool had_another = p->iccid[0] != 0;
    (void)str_copy(p->iccid, sizeof p->iccid, s->in->iccid);
    if (had_another && ap3000_step_is_trusted(s))
        security_event(s, "IccidChanged", "the pile is on another SIM card than before");
}

static void greet(struct ap3000_step *s, bool is_trusted)
{
    struct ap3000_pile *p = s->pile;
    if (!is_trusted) {
        if (s->station->registration == REGISTRATION_ACCEPTED)
            security_event(s, "IccidNotBound", "the pile is bound to another SIM card than that of its connection");
        return;
    }
    if (ap3000_id_is_fallback(p->physical_id))
        ap3000_step_alarm(s, "duplicate_id", PILE_PORT_NONE, (struct str){NULL, 0});
    for (size_t i = 0; i < p->order_count; i++) {
        const struct pile_order *o = &p->orders[i];
        if (o->state != ORDER_STARTING && o->state != ORDER_UNCERTAIN)
            continue;
        ap3000_step_wish(s, &(struct ap3000_wish){.kind = AP3000_WISH_STATUS});
        if (o->is_cancelled && o->state == ORDER_UNCERTAIN)
            ap3000_step_wish(s,
                             &(struct ap3000_wish){.kind = AP3000_WISH_STOP, .port = o->port, .transaction_id = o->id});
    }
}

void ap3000_step_presence(struct ap3000_step *s, bool is_power_up)
{
    struct ap3000_pile *p = s->pile;
    if (s->station->registration == REGISTRATION_UNKNOWN)
        s->station->registration = s->in->policy->unknown_pile;
    take_line(s);
    bool is_trusted = ap3000_step_is_trusted(s);
    uint64_t facts = facts_key(s, is_trusted);
    bool is_news = facts != p->told_facts;
    bool was_just_told =
        instant_is_set(p->told_at) && instant_since(s->in->now, p->told_at).us < SPAN_S(PILE_REPEAT_S).us;
    bool is_due = s->in->is_new_line || (is_trusted && (is_news || (is_power_up && !was_just_told)));
    if (!is_due)
        return;
    p->told_facts = facts;
    p->told_at = s->in->now;
    s->station->has_booted = true;
    tell(s, is_trusted);
    if (s->in->is_new_line)
        greet(s, is_trusted);
}

/* --- what it says --- */

static void take_registration(struct ap3000_step *s, const struct ap3000_registration *r)
{
    struct ap3000_pile *p = s->pile;
    p->is_registered = true;
    p->firmware = r->firmware;
    p->port_count = r->port_count;
    p->virtual_id = r->virtual_id;
    p->device_type = r->device_type;
    if (AP3000_HAS(registration, r, work_mode))
        p->work_mode = r->work_mode;
    if (AP3000_HAS(registration, r, power_board_version))
        p->power_board_version = r->power_board_version;
    if (r->virtual_id == 0 && s->in->host.at == NULL)
        p->host[0] = 0; /* it stands alone now */
}

/* Answered also when it cannot be read: 3.3 has no condition. */
void ap3000_on_registration(struct ap3000_step *s)
{
    static const struct ap3000_result done = {.result = AP3000_DONE};
    s->pile->style = PILE_STYLE_MODERN;
    if (s->reading->fields != NULL)
        take_registration(s, s->reading->fields);
    s->out->is_unknown = s->reading->fields == NULL;
    ap3000_step_presence(s, !s->out->is_repeat);
    ap3000_step_answer(s, &ap3000_result_layout, &done);
}

void ap3000_on_host_heartbeat(struct ap3000_step *s)
{
    const struct ap3000_host_heartbeat *r = s->reading->fields;
    struct ap3000_pile *p = s->pile;
    p->host_firmware = r->firmware;
    if (AP3000_HAS(host_heartbeat, r, host_type))
        p->host_type = r->host_type;
    bool is_said = AP3000_HAS(host_heartbeat, r, iccid) && ap3000_iccid_is_valid(r->iccid);
    if (is_said && s->in->iccid.at == NULL)
        (void)str_copy(p->iccid, sizeof p->iccid, r->iccid);
    ap3000_step_presence(s, false);
}
