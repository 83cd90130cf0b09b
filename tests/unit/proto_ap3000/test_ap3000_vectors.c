/* test_ap3000_vectors.c - the vectors that come with the specification (ap3000.md 16), where they lie beside the
 * repository
 * (../shared/specs/ap3000-vectors.json, or AP3000_VECTORS): every frame decodes to what its "decoded" says, by text,
 * and is encoded back byte for byte; every stream gives its events however it is cut; nothing comes of what is to be
 * rejected. */
#include "check.h"
#include "pilekit.h"

#include "proto/ap3000/order.h"

#define FILE_SIZE_MAX  ((size_t)4 << 20)
#define CHUNKS_MAX     16
#define NAME_SIZE      128
#define VECTORS_BESIDE "../shared/specs/ap3000-vectors.json"

struct vector {
    char name[NAME_SIZE];
    struct str kind, direction, hex, decoded;
    size_t chunk_sizes[CHUNKS_MAX + 1], chunk_count;
    struct kit_bytes bytes;
    struct buf want, got;
};

static unsigned kind_counts[6];
static const char *const kind_names[] = {"frame", "stream", "reject", "preamble", "keepalive", "scalar"};

static struct str get_text(struct json *j)
{
    struct json_string s = {{NULL, 0}, false};
    (void)json_get_string(j, &s);
    return s.raw;
}

/* The text without the blanks between its parts. */
static void put_compact(struct str json, struct buf *out)
{
    bool is_inside = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.at[i];
        if (c == '"' && (i == 0 || json.at[i - 1] != '\\'))
            is_inside = !is_inside;
        if (is_inside || (c != ' ' && c != '\n' && c != '\r' && c != '\t'))
            buf_put_byte(out, (uint8_t)c);
    }
}

static void read_chunks(struct json *j, struct vector *v)
{
    v->chunk_count = 0;
    if (!json_open_array(j))
        return;
    while (json_next_item(j)) {
        size_t size = get_text(j).len / 2;
        if (v->chunk_count < CHUNKS_MAX)
            v->chunk_sizes[v->chunk_count++] = size;
    }
}

static void read_vector(struct json *j, struct vector *v)
{
    struct json_string key;
    v->chunk_count = 0;
    (void)json_open_object(j);
    while (json_next_key(j, &key)) {
        if (str_eq(key.raw, STR("name")))
            (void)str_copy(v->name, sizeof v->name, get_text(j));
        else if (str_eq(key.raw, STR("kind")))
            v->kind = get_text(j);
        else if (str_eq(key.raw, STR("direction")))
            v->direction = get_text(j);
        else if (str_eq(key.raw, STR("hex")))
            v->hex = get_text(j);
        else if (str_eq(key.raw, STR("decoded")))
            (void)json_get_raw(j, &v->decoded);
        else if (str_eq(key.raw, STR("chunks")))
            read_chunks(j, v);
        else
            (void)json_skip(j);
    }
    kit_hex(v->hex, &v->bytes);
    buf_clear(&v->want);
    buf_clear(&v->got);
    put_compact(v->decoded, &v->want);
}

static bool is_as_wanted(const struct vector *v)
{
    bool same = str_eq(buf_str(&v->got), buf_str(&v->want));
    if (!same)
        (void)fprintf(stderr, "%s\n  want %.*s\n  got  %.*s\n", v->name, STR_ARG(buf_str(&v->want)),
                      STR_ARG(buf_str(&v->got)));
    return same;
}

/* What the host asks a slave on the bus has the direction of the host's other frames in our table. */
static enum ap3000_direction direction_of(const struct vector *v)
{
    return str_starts(v->direction, STR("server->")) ? AP3000_DOWN : AP3000_UP;
}

static void check_frame(struct vector *v)
{
    struct ap3000_frame f;
    struct json_writer w;
    struct fault why = {0};
    uint8_t again[AP3000_SENT_FIRMWARE_SIZE_MAX];
    size_t size = 0, written = 0;
    enum err e = ap3000_frame_read(kit_view(&v->bytes), &f, &size, &why);
    CHECK(v->name, e == OK && size == v->bytes.len);
    if (e != OK)
        return;
    jw_init(&w, &v->got);
    ap3000_frame_json(&w, &f, direction_of(v));
    CHECK(v->name, is_as_wanted(v));
    CHECK(v->name, kit_is_written_back(&f, direction_of(v)));
    CHECK(v->name, ap3000_frame_write(&f, again, sizeof again, &written) == OK && written == size &&
                       memcmp(again, v->bytes.at, size) == 0);
}

static void check_stream(struct vector *v)
{
    size_t half = (v->bytes.len + 1) / 2;
    size_t ways[] = {v->bytes.len, half, 1, 2, 3, 7};
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        buf_clear(&v->got);
        kit_split(kit_view(&v->bytes), &ways[i], 1, direction_of(v), &v->got);
        CHECK(v->name, is_as_wanted(v));
    }
    buf_clear(&v->got);
    kit_split(kit_view(&v->bytes), v->chunk_sizes, v->chunk_count, direction_of(v), &v->got);
    CHECK(v->name, v->chunk_count > 0 && is_as_wanted(v));
}

static void check_reject(struct vector *v)
{
    struct ap3000_frame f;
    size_t size = 0;
    struct str text = {(const char *)v->bytes.at, v->bytes.len};
    enum err e = ap3000_frame_read(kit_view(&v->bytes), &f, &size, NULL);
    CHECK(v->name, e != OK);
    if (strstr((const char *)buf_str(&v->want).at, "\"error\":\"checksum\",") != NULL) {
        char sums[96];
        CHECK(v->name, e == ERR_CORRUPT);
        (void)snprintf(sums, sizeof sums,
                       "{\"error\":\"checksum\",\"checksum_received\":\"%04X\",\"checksum_expected\":\"%04X\"}",
                       f.checksum, ap3000_checksum((struct bytes){v->bytes.at, size - 2}));
        CHECK(v->name, str_eq(buf_str(&v->want), str_of(sums)));
    }
    CHECK(v->name, !ap3000_iccid_is_valid(text));
    kit_split(kit_view(&v->bytes), &v->bytes.len, 1, direction_of(v), &v->got);
    CHECK(v->name, str_starts(buf_str(&v->got), STR("{\"events\":[],")));
}

static void check_one_unit(struct vector *v)
{
    struct ap3000_stream s;
    struct ap3000_unit unit;
    struct bytes in = kit_view(&v->bytes);
    ap3000_stream_init(&s);
    bool found = ap3000_stream_next(&s, &in, &unit);
    CHECK(v->name, found && unit.size == v->bytes.len && s.dropped_count == 0);
    if (found && unit.kind == AP3000_ICCID)
        buf_printf(&v->got, "{\"iccid\":\"%.*s\"}", STR_ARG(unit.iccid));
    else if (found && unit.kind == AP3000_LINK)
        buf_put_lit(&v->got, "{\"type\":\"link\"}");
    CHECK(v->name, is_as_wanted(v));
    ap3000_stream_release(&s);
}

/* The scalars: one function for each set of keys. */

static void scalar_checksum(struct vector *v)
{
    buf_printf(&v->got, "{\"checksum\":\"%04X\"}", ap3000_checksum(kit_view(&v->bytes)));
}

static void scalar_id(struct vector *v)
{
    uint32_t id = le32(v->bytes.at);
    char text[AP3000_ID_TEXT_SIZE];
    ap3000_id_write(id, text);
    buf_printf(&v->got, "{\"physical_id\":\"%s\",\"device_code\":%u,\"device_number\":%u", text, ap3000_id_code(id),
               ap3000_id_number(id));
    const char *qr_port = strstr((const char *)v->want.at, "\"qr_port\":");
    if (qr_port != NULL) {
        char qr[32];
        uint8_t port = 0;
        (void)snprintf(qr, sizeof qr, "x/%.*s/%02x", STR_ARG(v->hex),
                       (unsigned)strtoul(qr_port + strlen("\"qr_port\":"), NULL, 10));
        CHECK(v->name, ap3000_qr_parse(str_of(qr), &id, &port) == OK);
        CHECK(v->name, id == le32(v->bytes.at));
        buf_printf(&v->got, ",\"qr_port\":%u", port);
    }
    buf_put_byte(&v->got, '}');
}

static void scalar_time(struct vector *v)
{
    buf_printf(&v->got, "{\"timestamp\":%u}", le32(v->bytes.at));
}

static void scalar_order(struct vector *v)
{
    CHECK(v->name, v->bytes.len == AP3000_ORDER_SIZE);
    buf_printf(&v->got, "{\"order_no\":\"%.*s\"}", STR_ARG(v->hex));
}

static void scalar_qr(struct vector *v)
{
    struct ap3000_qr_base s = {.qr_text = ap3000_text(kit_view(&v->bytes))};
    uint8_t payload[AP3000_PAYLOAD_SIZE_MAX];
    size_t size = 0;
    buf_printf(&v->got, "{\"qr_text\":\"%.*s\",\"buffer_len\":%zu,\"padding_len\":%zu}", STR_ARG(s.qr_text),
               v->bytes.len, v->bytes.len - s.qr_text.len);
    CHECK(v->name, ap3000_write(&ap3000_qr_base_layout, &s, payload, sizeof payload, &size, NULL) == OK && size == 76 &&
                       memcmp(payload + 4, v->bytes.at, v->bytes.len) == 0);
}

static void scalar_code(struct vector *v)
{
    struct instant now = {INT64_C(1604934878) * 1000000};
    uint32_t id = le32(v->bytes.at);
    buf_printf(&v->got,
               "{\"physical_id\":\"%08X\",\"timestamp\":1604934878,\"minute\":%u,\"port\":%u,\"crc32_ieee\":\"%08X\","
               "\"code_if_ieee\":\"%06u\",\"crc32_mpeg2\":\"%08X\",\"code_if_mpeg2\":\"%06u\"}",
               id, le32(v->bytes.at + 4), v->bytes.at[8], ap3000_crc32(AP3000_CRC_IEEE, kit_view(&v->bytes)),
               ap3000_code(id, 0, now, AP3000_CRC_IEEE), ap3000_crc32(AP3000_CRC_MPEG2, kit_view(&v->bytes)),
               ap3000_code(id, 0, now, AP3000_CRC_MPEG2));
}

static const struct {
    const char *begins;
    void (*put)(struct vector *v);
} scalars[] = {
    {"{\"checksum\":", scalar_checksum}, {"{\"physical_id\":\"04CEAA40\",\"timestamp\":", scalar_code},
    {"{\"physical_id\":", scalar_id},    {"{\"timestamp\":", scalar_time},
    {"{\"order_no\":", scalar_order},    {"{\"qr_text\":", scalar_qr},
};

static void check_scalar(struct vector *v)
{
    for (size_t i = 0; i < COUNT_OF(scalars); i++) {
        if (str_starts(buf_str(&v->want), str_of(scalars[i].begins))) {
            scalars[i].put(v);
            CHECK(v->name, is_as_wanted(v));
            return;
        }
    }
    CHECK(v->name, false && "a scalar of a kind that is known");
}

static void (*const checks[])(struct vector *v) = {check_frame,    check_stream,   check_reject,
                                                   check_one_unit, check_one_unit, check_scalar};

static void check_vector(struct vector *v)
{
    for (size_t i = 0; i < COUNT_OF(kind_names); i++) {
        if (str_eq(v->kind, str_of(kind_names[i]))) {
            kind_counts[i]++;
            checks[i](v);
            return;
        }
    }
    CHECK(v->name, false && "a kind that is known");
}

static void check_all(struct str text)
{
    struct vector v = {0};
    struct json j;
    buf_init(&v.want, KIT_TEXT_MAX);
    buf_init(&v.got, KIT_TEXT_MAX);
    json_init(&j, text);
    (void)json_open_array(&j);
    while (json_next_item(&j)) {
        read_vector(&j, &v);
        buf_put_byte(&v.want, '\0'); /* for strstr */
        v.want.len--;
        check_vector(&v);
    }
    CHECK("the file is read to its end", json_end(&j) == OK);
    for (size_t i = 0; i < COUNT_OF(kind_names); i++)
        CHECK("there are vectors of each kind", kind_counts[i] > 0);
    buf_release(&v.want);
    buf_release(&v.got);
}

int main(void)
{
    const char *path = getenv("AP3000_VECTORS");
    if (path == NULL)
        path = VECTORS_BESIDE;
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        (void)printf("SKIPPED: no vectors of AP3000 in %s\n", path);
        return 0;
    }
    char *text = mem_new(1, FILE_SIZE_MAX);
    size_t size = fread(text, 1, FILE_SIZE_MAX, f);
    (void)fclose(f);
    check_all((struct str){text, size});
    free(text);
    return CHECK_REPORT();
}
