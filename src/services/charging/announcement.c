/* Packed: the form, 16 bits that say which texts are there, 16 bits likewise of numbers, then these in order: a text's size as a varint and its
 * bytes, a number as a varint of its zigzag. A varint has seven bits a byte, the least first. */
#include "services/charging/announcement.h"

#include "eventlog/put.h"

#include <string.h>

#define FORM        1
#define HEAD_SIZE   5
#define VARINT_MAX  10
#define SERVICE     "charging"

static uint8_t *put_varint(uint8_t *to, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        *to++ = (uint8_t)(n | 0x80);
    *to++ = (uint8_t)n;
    return to;
}

static size_t size_most(const struct announcement *a)
{
    size_t size = HEAD_SIZE + (size_t)ANNOUNCED_NUMBER_COUNT * VARINT_MAX;
    for (size_t i = 0; i < ANNOUNCED_TEXT_COUNT; i++)
        size += VARINT_MAX + a->texts[i].len;
    return size;
}

struct bytes announcement_pack(const struct announcement *a, uint8_t room[ANNOUNCEMENT_MAX])
{
    uint16_t texts = 0, numbers = 0;
    uint8_t *to = room + HEAD_SIZE;
    if (size_most(a) > ANNOUNCEMENT_MAX)
        return (struct bytes){NULL, 0};
    for (size_t i = 0; i < ANNOUNCED_TEXT_COUNT; i++) {
        if (a->texts[i].at == NULL)
            continue;
        texts |= (uint16_t)(1u << i);
        to = put_varint(to, a->texts[i].len);
        memcpy(to, a->texts[i].at, a->texts[i].len);
        to += a->texts[i].len;
    }
    for (size_t i = 0; i < ANNOUNCED_NUMBER_COUNT; i++) {
        if (!a->numbers[i].is_set)
            continue;
        numbers |= (uint16_t)(1u << i);
        const int64_t n = a->numbers[i].value;
        to = put_varint(to, (uint64_t)n << 1 ^ (n < 0 ? UINT64_MAX : 0));
    }
    room[0] = FORM;
    put16(room + 1, texts);
    put16(room + 3, numbers);
    return (struct bytes){room, (size_t)(to - room)};
}

static bool take_varint(struct bytes *in, uint64_t *out)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < in->len && i < VARINT_MAX; i++) {
        n |= (uint64_t)(in->at[i] & 0x7f) << 7 * i;
        if (in->at[i] >= 0x80)
            continue;
        *in = (struct bytes){in->at + i + 1, in->len - i - 1};
        *out = n;
        return true;
    }
    return false;
}

static bool take_text(struct bytes *in, struct str *out)
{
    uint64_t len = 0;
    if (!take_varint(in, &len) || len > in->len)
        return false;
    *out = (struct str){(const char *)in->at, (size_t)len};
    *in = (struct bytes){in->at + len, in->len - (size_t)len};
    return true;
}

static bool take_number(struct bytes *in, struct integer *out)
{
    uint64_t n = 0;
    if (!take_varint(in, &n))
        return false;
    *out = (struct integer){(int64_t)(n >> 1 ^ (0 - (n & 1))), true};
    return true;
}

enum err announcement_parse(const struct topic_message *m, struct announcement *out)
{
    struct bytes in = m->body;
    struct announcement a = {{{NULL, 0}}, {{0, false}}};
    if (in.len < HEAD_SIZE)
        return ERR_CORRUPT;
    if (in.at[0] != FORM)
        return ERR_UNSUPPORTED;
    const uint16_t texts = be16(in.at + 1), numbers = be16(in.at + 3);
    bool is_good = texts >> ANNOUNCED_TEXT_COUNT == 0 && numbers >> ANNOUNCED_NUMBER_COUNT == 0;
    in = (struct bytes){in.at + HEAD_SIZE, in.len - HEAD_SIZE};
    for (size_t i = 0; i < ANNOUNCED_TEXT_COUNT; i++)
        if ((texts & 1u << i) != 0)
            is_good = is_good && take_text(&in, &a.texts[i]);
    for (size_t i = 0; i < ANNOUNCED_NUMBER_COUNT; i++)
        if ((numbers & 1u << i) != 0)
            is_good = is_good && take_number(&in, &a.numbers[i]);
    if (!is_good || in.len != 0)
        return ERR_CORRUPT;
    *out = a;
    return OK;
}

/* ---- JSON ---- */

static void field_number(struct json_writer *w, const char *key, struct integer n)
{
    if (n.is_set)
        jw_field_int(w, key, n.value);
}

static void field_text(struct json_writer *w, const char *key, struct str text)
{
    if (text.at != NULL)
        jw_field_str(w, key, text);
}

static void field_time(struct json_writer *w, const char *key, struct integer us)
{
    if (us.is_set)
        jw_field_instant(w, key, (struct instant){us.value});
}

/* Sessions are not rated yet: they carry no tariff and no owner, and say so by null; billing_mode is "free", pay_mode "none". */
static void write_payload(struct json_writer *w, struct str session_id, const struct announcement *a)
{
    const struct str *t = a->texts;
    const struct integer *n = a->numbers;
    jw_open_object(w);
    jw_field_str(w, "session_id", session_id);
    jw_field_str(w, "order_no", t[ANNOUNCED_ORDER_NO]);
    jw_field_str(w, "merchant_id", (struct str){NULL, 0});
    jw_field_str(w, "station_id", t[ANNOUNCED_STATION]);
    jw_field_str(w, "charge_point_id", t[ANNOUNCED_STATION]);
    field_number(w, "connector_id", n[ANNOUNCED_CONNECTOR]);
    jw_field_str(w, "device_ref", t[ANNOUNCED_DEVICE_REF]);
    jw_field_str(w, "protocol", t[ANNOUNCED_PROTOCOL]);
    jw_field_str(w, "start_mode", t[ANNOUNCED_START_MODE]);
    field_text(w, "card_no", t[ANNOUNCED_CARD_NO]);
    jw_field_str(w, "billing_mode", STR("free"));
    jw_field_str(w, "pay_mode", STR("none"));
    jw_field_str(w, "tariff_id", (struct str){NULL, 0});
    jw_key(w, STR("tariff_version"));
    jw_null(w);
    field_time(w, "started_at", n[ANNOUNCED_STARTED_US]);
    field_time(w, "ended_at", n[ANNOUNCED_ENDED_US]);
    jw_field_str(w, "time_quality", t[ANNOUNCED_TIME_QUALITY]);
    field_number(w, "duration_s", n[ANNOUNCED_DURATION_S]);
    field_number(w, "meter_start_wh", n[ANNOUNCED_METER_START_WH]);
    field_number(w, "meter_stop_wh", n[ANNOUNCED_METER_STOP_WH]);
    field_number(w, "energy_wh", n[ANNOUNCED_ENERGY_WH]);
    field_number(w, "max_power_w", n[ANNOUNCED_MAX_POWER_W]);
    field_number(w, "tier_power_w", n[ANNOUNCED_TIER_POWER_W]);
    field_number(w, "idle_s", n[ANNOUNCED_IDLE_S]);
    field_text(w, "stop_reason", t[ANNOUNCED_STOP_REASON]);
    field_text(w, "stop_code", t[ANNOUNCED_STOP_CODE]);
    jw_field_str(w, "meter_quality", t[ANNOUNCED_METER_QUALITY]);
    jw_field_str(w, "status", t[ANNOUNCED_STATUS]);
    field_number(w, "seq", n[ANNOUNCED_SEQUENCE]);
    if (t[ANNOUNCED_CODE].at != NULL) {
        jw_field_str(w, "code", t[ANNOUNCED_CODE]);
        jw_field_str(w, "message", STR("the device did not start"));
    }
    jw_close_object(w);
}

static void write_metadata(struct json_writer *w, const struct announcement *a)
{
    struct str cause = a->texts[ANNOUNCED_CAUSE];
    jw_open_object(w);
    jw_field_str(w, "service", STR(SERVICE));
    field_text(w, "old_status", a->texts[ANNOUNCED_OLD_STATUS]);
    if (cause.len == sizeof(struct uuid)) {
        struct uuid id;
        char text[UUID_TEXT_SIZE];
        memcpy(id.at, cause.at, sizeof id.at);
        uuid_write(id, text);
        jw_field_str(w, "causation_id", str_of(text));
    }
    jw_close_object(w);
}

enum err announcement_write(const struct topic_message *m, struct buf *out)
{
    struct json_writer w;
    struct announcement a;
    char id[UUID_TEXT_SIZE];
    if (m->body.len > 0 && m->body.at[0] == '{') {
        buf_put(out, m->body.at, m->body.len);
        return out->failed ? ERR_LIMIT : OK;
    }
    enum err e = announcement_parse(m, &a);
    if (e != OK)
        return e;
    uuid_write(m->id, id);
    jw_init(&w, out);
    jw_open_object(&w);
    jw_field_str(&w, "event_id", str_of(id));
    jw_field_str(&w, "event_type", m->type);
    jw_field_str(&w, "aggregate_type", STR("session"));
    jw_field_str(&w, "aggregate_id", m->key);
    field_number(&w, "aggregate_version", a.numbers[ANNOUNCED_SEQUENCE]);
    jw_field_instant(&w, "timestamp", m->at);
    jw_field_str(&w, "version", STR("1.0"));
    jw_key(&w, STR("metadata"));
    write_metadata(&w, &a);
    jw_key(&w, STR("payload"));
    write_payload(&w, m->key, &a);
    jw_close_object(&w);
    return out->failed ? ERR_LIMIT : OK;
}
