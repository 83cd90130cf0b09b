/* describe.c - frames as JSON and in words. */
#include "proto/ap3000/describe.h"

#include "proto/ap3000/order.h"

#include <stdio.h>
#include <string.h>

#define TEMPERATURE_OFFSET 65
#define TEMPERATURE_LEAST  (-40) /* A14: outside these it is no temperature */
#define TEMPERATURE_MOST   120
#define SPOKEN_AS_DATE     100000000 /* 7.2 */
#define KEY_SIZE           64
#define RAW_SUFFIX         "_raw"
#define PORT_NONE          0xFF

/* --- JSON --- */

static void hex_write(uint8_t byte, char out[2])
{
    static const char digits[] = "0123456789ABCDEF";
    out[0] = digits[byte >> 4];
    out[1] = digits[byte & 15];
}

static void json_hex(struct json_writer *w, struct bytes b)
{
    char text[2 * AP3000_PAYLOAD_SIZE_MAX];
    for (size_t i = 0; i < b.len; i++)
        hex_write(b.at[i], text + 2 * i);
    jw_str(w, (struct str){text, 2 * b.len});
}

static void json_number(struct json_writer *w, const struct ap3000_field *f, struct bytes b)
{
    char id[AP3000_ID_TEXT_SIZE];
    uint32_t n = le_get(b.at, b.len);
    if (f->unit == AP3000_IS_ID) {
        ap3000_id_write(n, id);
        jw_str(w, str_of(id));
    } else {
        jw_int(w, n);
    }
}

static void json_fields(struct json_writer *w, const struct ap3000_layout *l, const struct ap3000_slices *s);

static void json_part(struct json_writer *w, const struct ap3000_field *f, struct bytes b)
{
    struct ap3000_slices s;
    check(ap3000_slice(f->part, b, &s, NULL) == OK); /* cut to its size: a test compares that with its fields */
    jw_open_object(w);
    json_fields(w, f->part, &s);
    jw_close_object(w);
}

static void json_list(struct json_writer *w, const struct ap3000_field *f, struct bytes b)
{
    jw_open_array(w);
    for (size_t i = 0; i < b.len / f->size; i++) {
        struct bytes item = ap3000_item(b, f->size, i);
        if (f->kind == AP3000_PARTS)
            json_part(w, f, item);
        else
            json_number(w, f, item);
    }
    jw_close_array(w);
}

/* X_c beside X_raw, in degrees. */
static void json_temperature(struct json_writer *w, const struct ap3000_field *f, uint8_t raw)
{
    char key[KEY_SIZE];
    size_t stem = strlen(f->key) - strlen(RAW_SUFFIX);
    (void)snprintf(key, sizeof key, "%.*s_c", (int)stem, f->key);
    jw_key(w, str_of(key));
    if (raw == 0)
        jw_null(w);
    else
        jw_int(w, raw - TEMPERATURE_OFFSET);
}

static void json_fields(struct json_writer *w, const struct ap3000_layout *l, const struct ap3000_slices *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct ap3000_field *f = &l->fields[i];
        jw_key(w, str_of(f->key));
        if (f->kind == AP3000_NUMBER)
            json_number(w, f, s->at[i]);
        else if (f->kind == AP3000_TEXT)
            jw_str(w, ap3000_text(s->at[i]));
        else if (f->kind == AP3000_NUMBERS || f->kind == AP3000_PARTS)
            json_list(w, f, s->at[i]);
        else
            json_hex(w, s->at[i]);
        if (f->unit == AP3000_IS_TEMPERATURE)
            json_temperature(w, f, s->at[i].at[0]);
    }
    if (s->extra.len > 0) {
        jw_key(w, STR("extra"));
        json_hex(w, s->extra);
    }
}

void ap3000_fields_json_members(struct json_writer *w, const struct ap3000_layout *l, struct bytes payload)
{
    struct ap3000_slices s;
    if (l != NULL && ap3000_slice(l, payload, &s, NULL) == OK) {
        json_fields(w, l, &s);
    } else {
        jw_key(w, STR("raw"));
        json_hex(w, payload);
    }
}

void ap3000_frame_json_members(struct json_writer *w, const struct ap3000_frame *f, enum ap3000_direction d)
{
    char text[AP3000_ID_TEXT_SIZE];
    const struct ap3000_command *c = ap3000_command_find(f->command, d);
    jw_field_int(w, "length", (int64_t)f->payload.len + AP3000_LENGTH_MIN);
    ap3000_id_write(f->physical_id, text);
    jw_field_str(w, "physical_id", str_of(text));
    jw_field_int(w, "device_code", ap3000_id_code(f->physical_id));
    jw_field_int(w, "device_number", ap3000_id_number(f->physical_id));
    jw_field_int(w, "message_id", f->message_id);
    (void)snprintf(text, sizeof text, "0x%02X", f->command);
    jw_field_str(w, "command", str_of(text));
    jw_field_int(w, "payload_len", (int64_t)f->payload.len);
    (void)snprintf(text, sizeof text, "%04X", f->checksum);
    jw_field_str(w, "checksum", str_of(text));
    jw_key(w, STR("fields"));
    jw_open_object(w);
    ap3000_fields_json_members(w, c == NULL ? NULL : c->layout, f->payload);
    jw_close_object(w);
}

void ap3000_frame_json(struct json_writer *w, const struct ap3000_frame *f, enum ap3000_direction d)
{
    jw_open_object(w);
    ap3000_frame_json_members(w, f, d);
    jw_close_object(w);
}

/* --- in words --- */

/* The field called so of the same payload, or otherwise if it is not there. */
static uint32_t sibling(const struct ap3000_view *v, const char *key, uint32_t otherwise)
{
    for (size_t i = 0; i < v->slices.count; i++)
        if (strcmp(v->layout->fields[i].key, key) == 0)
            return le_get(v->slices.at[i].at, v->slices.at[i].len);
    return otherwise;
}

static void show_amount(enum ap3000_unit_name unit, uint32_t n, struct buf *out)
{
    buf_put_decimal(out, n, ap3000_units[unit].digits);
    if (ap3000_units[unit].suffix[0] != '\0')
        buf_printf(out, " %s", ap3000_units[unit].suffix);
}

static void show_plain(const struct ap3000_view *v, uint32_t n, struct buf *out)
{
    (void)v;
    show_amount(AP3000_IS_PLAIN, n, out);
}

static void show_port(const struct ap3000_view *v, uint32_t n, struct buf *out)
{
    (void)v;
    if (n == PORT_NONE)
        buf_put_lit(out, "255: none, or the pile chooses");
    else
        buf_printf(out, "%u: socket %u", n, n + 1);
}

static void show_bits(const char *word, unsigned first, uint32_t n, struct buf *out)
{
    const char *before = word;
    if (n == 0)
        buf_put_lit(out, "none");
    for (unsigned bit = 0; bit < 32; bit++) {
        if (n >> bit & 1) {
            buf_printf(out, "%s %u", before, bit + first);
            before = ",";
        }
    }
}

static void show_ports(const struct ap3000_view *v, uint32_t n, struct buf *out)
{
    (void)v;
    show_bits("sockets", 1, n, out);
}

static void show_inputs(const struct ap3000_view *v, uint32_t n, struct buf *out)
{
    (void)v;
    show_bits("inputs", 1, n, out);
}

static void show_time(const struct ap3000_view *v, uint32_t n, struct buf *out)
{
    (void)v;
    buf_put_instant(out, (struct instant){(int64_t)n * 1000000});
}

static void show_temperature(const struct ap3000_view *v, uint32_t n, struct buf *out)
{
    int c = (int)n - TEMPERATURE_OFFSET;
    (void)v;
    if (n == 0)
        buf_put_lit(out, "no sensor");
    else
        buf_printf(out, "%d C%s", c, c < TEMPERATURE_LEAST || c > TEMPERATURE_MOST ? ", which no sensor measures" : "");
}

void ap3000_id_show(uint32_t id, struct buf *out)
{
    const char *device = ap3000_value_text(&ap3000_device_code_list, ap3000_id_code(id));
    buf_printf(out, "%08X: %s, printed number %u", id, device == NULL ? "recognition code not listed" : device,
               ap3000_id_number(id));
    if (ap3000_id_is_fallback(id))
        buf_put_lit(out, ", which piles with a failed memory chip fall back to");
}

static void show_id(const struct ap3000_view *v, uint32_t n, struct buf *out)
{
    (void)v;
    ap3000_id_show(n, out);
}

static void show_product(const struct ap3000_product *p, uint32_t type, struct buf *out)
{
    buf_printf(out, "0x%02X: %s", type, p == NULL ? "product not listed" : p->name);
}

static const struct ap3000_product *find_pile(const struct ap3000_view *v, uint32_t type)
{
    return ap3000_pile_find((uint16_t)type, ap3000_id_code(v->frame->physical_id), (uint16_t)sibling(v, "firmware", 0));
}

static void show_device_type(const struct ap3000_view *v, uint32_t n, struct buf *out)
{
    show_product(find_pile(v, n), n, out);
}

/* A pile that has a module of its own says its device type there (5.12). */
static void show_host_type(const struct ap3000_view *v, uint32_t n, struct buf *out)
{
    const struct ap3000_product *host = ap3000_host_find((uint16_t)n, (uint16_t)sibling(v, "firmware", 0));
    show_product(host != NULL ? host : find_pile(v, n), n, out);
}

static void show_balance(const struct ap3000_view *v, uint32_t n, struct buf *out)
{
    if (n > SPOKEN_AS_DATE || (n != 0 && sibling(v, "rate_mode", AP3000_RATE_TIME) == AP3000_RATE_MONTHLY))
        show_time(v, n, out);
    else
        show_amount(AP3000_IS_FEN, n, out);
}

/* Both numberings of the rate mode (5.7) agree in that 2 is by energy. */
static void show_amount_by_mode(const struct ap3000_view *v, uint32_t n, struct buf *out)
{
    bool is_energy = sibling(v, "rate_mode", AP3000_RATE_TIME) == AP3000_RATE_ENERGY;
    show_amount(is_energy ? AP3000_IS_CENTI_KWH : AP3000_IS_SECONDS, n, out);
}

static void show_address(const struct ap3000_view *v, uint32_t n, struct buf *out)
{
    (void)v;
    buf_printf(out, "0x%04X", n);
}

static void (*const shows[AP3000_UNIT_COUNT])(const struct ap3000_view *v, uint32_t n, struct buf *out) = {
    [AP3000_IS_PORT] = show_port,
    [AP3000_IS_PORTS] = show_ports,
    [AP3000_IS_INPUTS] = show_inputs,
    [AP3000_IS_TIME] = show_time,
    [AP3000_IS_TEMPERATURE] = show_temperature,
    [AP3000_IS_ID] = show_id,
    [AP3000_IS_DEVICE_TYPE] = show_device_type,
    [AP3000_IS_HOST_TYPE] = show_host_type,
    [AP3000_IS_BALANCE] = show_balance,
    [AP3000_IS_AMOUNT] = show_amount_by_mode,
    [AP3000_IS_ADDRESS] = show_address,
    [AP3000_IS_NOTHING] = show_plain,
};

static void show_listed(const struct ap3000_list *l, uint32_t n, struct buf *out)
{
    const char *text = ap3000_value_text(l, (uint8_t)n);
    if (!l->is_bits) {
        buf_printf(out, "%u: %s", n, text == NULL ? "not listed" : text);
        return;
    }
    buf_printf(out, "0x%02X", n);
    const char *before = ": ";
    for (uint8_t bit = 0; bit < 8; bit++) {
        if (!(n >> bit & 1))
            continue;
        text = ap3000_value_text(l, bit);
        buf_put_str(out, str_of(before));
        before = "; ";
        if (text == NULL)
            buf_printf(out, "bit %u, not listed", bit);
        else
            buf_put_str(out, str_of(text));
    }
}

/* Printable ASCII up to the zeros at the end. */
static bool is_readable(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] < ' ' || s.at[i] > '~')
            return false;
    return s.len > 0;
}

static void show_text(struct bytes b, struct buf *out)
{
    struct str s = ap3000_text(b);
    buf_put_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) /* what a device sends never reaches a terminal as a command */
        buf_put_byte(out, s.at[i] < ' ' || s.at[i] > '~' ? '.' : (uint8_t)s.at[i]);
    buf_put_byte(out, '"');
}

/* The server's number may look like a pile's: it is one only of a start there, and with the pile's own number in it. */
static void show_order(const struct ap3000_view *v, struct bytes b, struct buf *out)
{
    struct ap3000_order o;
    buf_put_hex(out, b);
    ap3000_order_read(b.at, &o);
    if (o.origin == AP3000_ORDER_OPAQUE || o.number != ap3000_id_number(v->frame->physical_id) ||
        sibling(v, "start_mode", AP3000_START_CARD) == AP3000_START_SERVER) {
        if (is_readable(ap3000_text(b)))
            buf_printf(out, " \"%.*s\"", STR_ARG(ap3000_text(b)));
        return;
    }
    buf_put_lit(out, ": made by the pile, ");
    if (o.origin == AP3000_ORDER_CARD) {
        buf_put_lit(out, "card ");
        buf_put_hex(out, (struct bytes){o.card, sizeof o.card});
    } else {
        buf_printf(out, "code %06u", o.code);
    }
    buf_printf(out, ", pile %u, socket %u, ", o.number, o.port + 1u);
    buf_put_instant(out, o.started);
}

static void show_number(const struct ap3000_view *v, const struct ap3000_field *f, struct bytes b, struct buf *out)
{
    uint32_t n = le_get(b.at, b.len);
    if (f->list != NULL)
        show_listed(f->list, n, out);
    else if (shows[f->unit] != NULL)
        shows[f->unit](v, n, out);
    else
        show_amount(f->unit, n, out);
}

void ap3000_part_show(const struct ap3000_view *v, const struct ap3000_field *f, struct bytes b, struct buf *out)
{
    show_number(v, f, b, out);
}

void ap3000_item_show(const struct ap3000_view *v, size_t i, size_t item, struct buf *out)
{
    const struct ap3000_field *f = &v->layout->fields[i];
    show_number(v, f, ap3000_item(v->slices.at[i], f->size, item), out);
}

void ap3000_field_show(const struct ap3000_view *v, size_t i, struct buf *out)
{
    const struct ap3000_field *f = &v->layout->fields[i];
    struct bytes b = v->slices.at[i];
    if (f->kind == AP3000_NUMBER)
        show_number(v, f, b, out);
    else if (f->kind == AP3000_TEXT)
        show_text(b, out);
    else if (f->unit == AP3000_IS_ORDER)
        show_order(v, b, out);
    else if (f->kind == AP3000_OCTETS)
        buf_put_hex(out, b);
    else if (f->kind == AP3000_NUMBERS || f->kind == AP3000_PARTS)
        buf_printf(out, "%zu of them", b.len / f->size);
    else
        buf_printf(out, "%zu bytes", b.len);
}

/* --- which way --- */

enum fit { FITS_NOT, FITS_WITH_SURPLUS, FITS };

static enum fit find_fit(const struct ap3000_frame *f, enum ap3000_direction d)
{
    const struct ap3000_command *c = ap3000_command_find(f->command, d);
    struct ap3000_slices s;
    if (c == NULL || ap3000_slice(c->layout, f->payload, &s, NULL) != OK)
        return FITS_NOT;
    return s.extra.len == 0 ? FITS : FITS_WITH_SURPLUS;
}

enum ap3000_direction ap3000_direction_guess(const struct ap3000_frame *f, bool *is_sure)
{
    enum fit up = find_fit(f, AP3000_UP), down = find_fit(f, AP3000_DOWN);
    bool is_up_known = ap3000_command_find(f->command, AP3000_UP) != NULL;
    *is_sure = up != down;
    if (up == FITS_NOT && down == FITS_NOT) {
        *is_sure = true; /* neither reads it: that, not the direction, is what there is to say */
        return is_up_known || ap3000_command_find(f->command, AP3000_DOWN) == NULL ? AP3000_UP : AP3000_DOWN;
    }
    return up >= down ? AP3000_UP : AP3000_DOWN;
}
