/* test_ap3000_fields.c - fields from JSON: rows of what is refused and why, and for every payload that goes to a
 * device: what describe.h writes of it is read back as it was. */
#include "check.h"
#include "pilekit.h"

#include "proto/ap3000/fields.h"

#define ARENA_MAX ((size_t)1 << 20)
#define ROUNDS    300
#define TEXT_72   "123456789012345678901234567890123456789012345678901234567890123456789012"

/* --- rows: command, JSON, and the payload or the error and the field that it names --- */

/* clang-format off */
static const struct {
    const char *row;
    uint8_t command;
    const char *json;
    enum err want;
    const char *hex_or_field;
} rows[] = {
    {"a number of each size", 0x8A, "{'rate_mode':2,'port':3,'duration_or_energy':258}", OK, "02 03 0201"},
    {"in any order", 0x8A, "{'duration_or_energy':258,'port':3,'rate_mode':2}", OK, "02 03 0201"},
    {"an integer with a point", 0x96, "{'seconds':3.0}", OK, "03"},
    {"no fields", 0x81, "{}", OK, ""},
    {"a list, its count not said", 0x3A, "{'frequency_mhz':473,'reserved':'000000','slave_ids':['04CEAA40']}", OK,
     "D901 000000 01 40AACE04"},
    {"its count said", 0x3A, "{'frequency_mhz':473,'reserved':'000000','count':1,'slave_ids':['04ceaa40']}", OK,
     "D901 000000 01 40AACE04"},
    {"its count said wrongly", 0x3A, "{'frequency_mhz':473,'reserved':'000000','count':2,'slave_ids':['04CEAA40']}",
     ERR_RANGE, "slave_ids"},
    {"an empty list", 0x3A, "{'frequency_mhz':473,'reserved':'000000','slave_ids':[]}", OK, "D901 000000 00"},
    {"bytes, their count not said", 0x8C, "{'address':16,'data':'dead'}", OK, "1000 02 DEAD"},
    {"a count without what it counts", 0x8C, "{'address':16,'data_len':2}", ERR_MISSING, "data"},
    {"the end is left out", 0x85, "{'max_duration_s':36000,'overload_power_dw':0}", OK, "A08C 0000"},
    {"half of the end is left out", 0x85, "{'max_duration_s':36000,'overload_power_dw':0,'over_voltage_dv':2700}", OK,
     "A08C 0000 8C0A"},
    {"a gap before the end", 0x85, "{'max_duration_s':36000,'overload_power_dw':0,'under_voltage_dv':1000}",
     ERR_MISSING, "over_voltage_dv"},
    {"a required field is missing", 0x85, "{'max_duration_s':36000,'over_voltage_dv':2700}", ERR_MISSING,
     "overload_power_dw"},
    {"a member that is no field", 0x96, "{'seconds':3,'minutes':1}", ERR_UNKNOWN, "minutes"},
    {"surplus is no field", 0x96, "{'seconds':3,'extra':'00'}", ERR_UNKNOWN, "extra"},
    {"a key twice", 0x96, "{'seconds':3,'seconds':4}", ERR_FORMAT, "seconds"},
    {"no JSON", 0x96, "{'seconds':3", ERR_FORMAT, ""},
    {"no object", 0x96, "[3]", ERR_FORMAT, ""},
    {"null", 0x96, "{'seconds':null}", ERR_TYPE, "seconds"},
    {"a number as text", 0x96, "{'seconds':'3'}", ERR_TYPE, "seconds"},
    {"a fraction", 0x96, "{'seconds':3.5}", ERR_TYPE, "seconds"},
    {"one byte more than it holds", 0x96, "{'seconds':256}", ERR_RANGE, "seconds"},
    {"below nothing", 0x96, "{'seconds':-1}", ERR_RANGE, "seconds"},
    {"beyond 64 bits", 0x96, "{'seconds':1e30}", ERR_RANGE, "seconds"},
    {"two bytes more than they hold", 0x8A, "{'rate_mode':2,'port':3,'duration_or_energy':65536}", ERR_RANGE,
     "duration_or_energy"},
    {"a code that is not listed", 0x8A, "{'rate_mode':3,'port':3,'duration_or_energy':1}", ERR_RANGE, "rate_mode"},
    {"a list that is none", 0x3A, "{'frequency_mhz':473,'reserved':'000000','slave_ids':'04CEAA40'}", ERR_TYPE,
     "slave_ids"},
    {"an id that is none", 0x3A, "{'frequency_mhz':473,'reserved':'000000','slave_ids':['4CEAA40']}", ERR_RANGE,
     "slave_ids"},
    {"an id as a number", 0x3A, "{'frequency_mhz':473,'reserved':'000000','slave_ids':[1]}", ERR_TYPE, "slave_ids"},
    {"bytes that are too few", 0x3A, "{'frequency_mhz':473,'reserved':'0000','slave_ids':[]}", ERR_RANGE, "reserved"},
    {"half a byte", 0x3A, "{'frequency_mhz':473,'reserved':'00000','slave_ids':[]}", ERR_RANGE, "reserved"},
    {"no digits", 0x3A, "{'frequency_mhz':473,'reserved':'00000x','slave_ids':[]}", ERR_RANGE, "reserved"},
    {"bytes as a number", 0x3A, "{'frequency_mhz':473,'reserved':0,'slave_ids':[]}", ERR_TYPE, "reserved"},
    {"a text of 72 where 71 may be", 0x8E, "{'screen_type':0,'reserved':'000000','qr_text':'" TEXT_72 "'}", ERR_RANGE,
     "qr_text"},
    {"a text with a 0 in it", 0x8E, "{'screen_type':0,'reserved':'000000','qr_text':'a\\u0000b'}", ERR_RANGE, "qr_text"},
    {"a text as a number", 0x8E, "{'screen_type':0,'reserved':'000000','qr_text':1}", ERR_TYPE, "qr_text"},
};
/* clang-format on */

/* With ' for ". */
static struct str json_of(struct arena *a, const char *text)
{
    char *copy = arena_take(a, strlen(text) + 1);
    for (size_t i = 0; text[i] != '\0'; i++)
        copy[i] = text[i] == '\'' ? '"' : text[i];
    return str_of(copy);
}

static void check_rows(void)
{
    struct arena a;
    arena_init(&a, ARENA_MAX);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct ap3000_layout *l = ap3000_command_find(rows[i].command, AP3000_DOWN)->layout;
        uint8_t payload[AP3000_PAYLOAD_SIZE_MAX];
        size_t size = 0;
        struct fault why = {0};
        struct kit_bytes want;
        arena_reset(&a);
        void *s = arena_take(&a, l->size);
        enum err e = ap3000_fields_parse(l, json_of(&a, rows[i].json), &a, s, &why);
        CHECK(rows[i].row, e == rows[i].want && (e == OK) == (why.reason[0] == '\0'));
        if (rows[i].want != OK) {
            CHECK(rows[i].row, strcmp(why.field, rows[i].hex_or_field) == 0);
            continue;
        }
        kit_hex(str_of(rows[i].hex_or_field), &want);
        CHECK(rows[i].row, e == OK && ap3000_write(l, s, payload, sizeof payload, &size, &why) == OK);
        CHECK(rows[i].row, size == want.len && memcmp(payload, want.at, size) == 0);
    }
    arena_release(&a);
}

/* --- texts of the greatest length --- */

static void check_texts(void)
{
    struct arena a;
    struct fault why;
    struct ap3000_qr_base qr;
    uint8_t payload[AP3000_PAYLOAD_SIZE_MAX];
    size_t size = 0;
    char json[256];
    arena_init(&a, ARENA_MAX);
    (void)snprintf(json, sizeof json, "{'screen_type':1,'reserved':'000000','qr_text':'%.71s'}", TEXT_72);
    CHECK("a text of 71", ap3000_fields_parse(&ap3000_qr_base_layout, json_of(&a, json), &a, &qr, &why) == OK);
    CHECK("and the 0 behind it",
          ap3000_write(&ap3000_qr_base_layout, &qr, payload, sizeof payload, &size, &why) == OK && size == 76 &&
              payload[74] == '1' && payload[75] == 0);
    arena_release(&a);
}

/* --- a base --- */

static void check_base(void)
{
    static const char *const ours[] = {"charge_command", "order_no", NULL};
    struct arena a;
    struct fault why = {0};
    struct ap3000_members m;
    struct ap3000_start start, base = {.charge_command = AP3000_CHARGE_START, .short_check = AP3000_SHORT_TEST};
    struct ap3000_fields_base of_start = {&base, ours, false};
    arena_init(&a, ARENA_MAX);
    CHECK("members are read",
          ap3000_members_read(json_of(&a, "{'rate_mode':0,'idTag':'T','balance_or_expiry':0,'port':1,"
                                          "'duration_or_energy':60,'force_full_stop':1}"),
                              &a, &m, &why) == OK);
    CHECK("one is taken out", str_eq(ap3000_member_take(&m, "idTag"), STR("\"T\"")));
    CHECK("what is not given is of the base",
          ap3000_fields_take(&ap3000_start_layout, &m, &of_start, &a, &start, &why) == OK &&
              start.short_check == AP3000_SHORT_TEST && start.charge_command == AP3000_CHARGE_START &&
              start.force_full_stop == 1 && start.tail.absent == 0);
    CHECK("all is taken", ap3000_members_end(&m, &why) == OK);
    CHECK("ours is taken from nobody",
          ap3000_members_read(json_of(&a, "{'rate_mode':0,'balance_or_expiry':0,'port':1,'duration_or_energy':60,"
                                          "'charge_command':0}"),
                              &a, &m, &why) == OK &&
              ap3000_fields_take(&ap3000_start_layout, &m, &of_start, &a, &start, &why) == OK &&
              start.charge_command == AP3000_CHARGE_START && ap3000_members_end(&m, &why) == ERR_UNKNOWN);
    CHECK("a required field is asked for",
          ap3000_members_read(json_of(&a, "{'rate_mode':0}"), &a, &m, &why) == OK &&
              ap3000_fields_take(&ap3000_start_layout, &m, &of_start, &a, &start, &why) == ERR_MISSING &&
              strcmp(why.field, "balance_or_expiry") == 0);
    struct ap3000_limits limits, old = {.tail.absent = 2, .max_duration_s = 36000, .overload_power_dw = 20000};
    struct ap3000_fields_base of_limits = {.fields = &old, .has_all = true};
    CHECK("one field of a block",
          ap3000_members_read(json_of(&a, "{'max_duration_s':3600}"), &a, &m, &why) == OK &&
              ap3000_fields_take(&ap3000_limits_layout, &m, &of_limits, &a, &limits, &why) == OK &&
              limits.max_duration_s == 3600 && limits.overload_power_dw == 20000 && limits.tail.absent == 2);
    CHECK("one that the device has not",
          ap3000_members_read(json_of(&a, "{'over_voltage_dv':2700}"), &a, &m, &why) == OK &&
              ap3000_fields_take(&ap3000_limits_layout, &m, &of_limits, &a, &limits, &why) == ERR_UNSUPPORTED);
    arena_release(&a);
}

/* Without memory nothing is taken; with a little more each time it is, at last. */
static void check_memory(void)
{
    enum err e = ERR_MEMORY;
    size_t max = 0;
    for (; e == ERR_MEMORY && max < ARENA_MAX; max += 64) {
        struct arena texts, a;
        struct fault why;
        struct ap3000_fsk_settings fsk = {.frequency_mhz = 7};
        arena_init(&texts, ARENA_MAX);
        arena_init(&a, max);
        e = ap3000_fields_parse(&ap3000_fsk_settings_layout,
                                json_of(&texts, "{'frequency_mhz':473,'reserved':'000000','slave_ids':['04CEAA40']}"),
                                &a, &fsk, &why);
        CHECK("without memory nothing is changed", e == OK || (e == ERR_MEMORY && fsk.frequency_mhz == 7));
        arena_release(&a);
        arena_release(&texts);
    }
    CHECK("with enough it is taken", e == OK && max > 64);
}

/* --- every layout that goes to a device --- */

static uint64_t dice_state = 1;
static uint32_t dice(uint32_t sides)
{
    dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(dice_state >> 33) % sides;
}

/* One field with anything that may stand in it; returns its size. */
static size_t random_field(const struct ap3000_field *f, size_t count, uint8_t *to)
{
    if (f->kind == AP3000_TEXT) {
        size_t len = dice(f->longest + 1u);
        memset(to, 0, f->size);
        for (size_t i = 0; i < len; i++)
            to[i] = (uint8_t)(' ' + dice('~' - ' ' + 1));
        return f->size;
    }
    size_t size = f->kind == AP3000_REST ? dice(40) : f->count_index >= 0 ? f->size * count : f->size;
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(dice(4) == 0 ? 255 * dice(2) : dice(256));
    if (f->list != NULL && !f->list->is_bits)
        to[0] = f->list->values[dice((uint32_t)f->list->count)].code;
    return size;
}

static size_t random_payload(const struct ap3000_layout *l, uint8_t to[AP3000_PAYLOAD_SIZE_MAX])
{
    size_t size = 0, place[AP3000_FIELDS_MAX];
    for (size_t i = 0; i < l->count; i++) {
        const struct ap3000_field *f = &l->fields[i];
        if (f->presence == AP3000_OPTIONAL && dice(6) == 0)
            break;
        place[i] = size;
        size += random_field(f, f->count_index < 0 ? 0 : to[place[f->count_index]], to + size);
        for (size_t k = i + 1; k < l->count; k++)
            if (l->fields[k].count_index == (int8_t)i)
                to[place[i]] = (uint8_t)dice(41);
    }
    return size;
}

static void check_layout(const struct ap3000_layout *l, struct arena *a, struct buf *json)
{
    uint8_t payload[AP3000_PAYLOAD_SIZE_MAX], again[AP3000_PAYLOAD_SIZE_MAX];
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = random_payload(l, payload), written = 0;
        struct json_writer w;
        struct fault why;
        arena_reset(a);
        buf_clear(json);
        jw_init(&w, json);
        jw_open_object(&w);
        ap3000_fields_json_members(&w, l, (struct bytes){payload, size});
        jw_close_object(&w);
        void *s = arena_take(a, l->size);
        enum err e = ap3000_fields_parse(l, buf_str(json), a, s, &why);
        CHECK(l->name, e == OK);
        CHECK(l->name, e == OK && ap3000_write(l, s, again, sizeof again, &written, &why) == OK);
        CHECK(l->name, written == size && memcmp(payload, again, size) == 0);
    }
}

static void check_layouts(void)
{
    struct arena a;
    struct buf json;
    arena_init(&a, ARENA_MAX);
    buf_init(&json, KIT_TEXT_MAX);
    for (unsigned command = 0; command <= UINT8_MAX; command++) {
        const struct ap3000_command *c = ap3000_command_find((uint8_t)command, AP3000_DOWN);
        for (size_t i = 0; c != NULL && i < c->layout->count; i++) {
            CHECK(c->layout->fields[i].key, c->layout->fields[i].kind != AP3000_PARTS);
            CHECK(c->layout->fields[i].key,
                  (c->layout->fields[i].kind == AP3000_TEXT) == (c->layout->fields[i].longest > 0));
        }
        if (c != NULL)
            check_layout(c->layout, &a, &json);
    }
    buf_release(&json);
    arena_release(&a);
}

int main(void)
{
    check_rows();
    check_texts();
    check_base();
    check_memory();
    check_layouts();
    return CHECK_REPORT();
}
