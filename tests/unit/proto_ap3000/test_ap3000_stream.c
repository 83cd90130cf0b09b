/* test_ap3000_stream.c - ap3000.md 1.2, 1.3: what comes out of a stream, and that it comes out however it is cut. */
#include "check.h"
#include "pilekit.h"

/* A frame of our own, a status query. */
#define QUERY "444E59090040AACE040100813203"
#define LINK  "6C696E6B"
#define CARD  "3839383630303132333435363738393041626344"

#define FRAME_JSON                                                                                                \
    "{\"type\":\"frame\",\"length\":9,\"physical_id\":\"04CEAA40\",\"device_code\":4,\"device_number\":13544000," \
    "\"message_id\":1,\"command\":\"0x81\",\"payload_len\":0,\"checksum\":\"0332\",\"fields\":{}}"
#define LINK_JSON "{\"type\":\"link\"}"
#define CARD_JSON "{\"type\":\"iccid\",\"iccid\":\"8986001234567890AbcD\"}"

static const struct {
    const char *row, *hex, *events;
    unsigned dropped;
} rows[] = {
    {"nothing", "", "", 0},
    {"a frame", QUERY, FRAME_JSON, 0},
    {"two frames", QUERY QUERY, FRAME_JSON "," FRAME_JSON, 0},
    {"a keepalive", LINK, LINK_JSON, 0},
    {"the card number, a keepalive, a frame", CARD LINK QUERY, CARD_JSON "," LINK_JSON "," FRAME_JSON, 0},
    {"a keepalive before the card number", LINK CARD, LINK_JSON "," CARD_JSON, 0},
    {"after a frame 20 digits are no card number", QUERY CARD, FRAME_JSON, 20},
    {"a card number with a letter G", "3839383630303132333435363738393041626347" QUERY, FRAME_JSON, 20},
    {"a card number that is too short", "38393836303031323334" QUERY, FRAME_JSON, 10},
    {"a card number that does not begin with 89", "3739383630303132333435363738393041626344" QUERY, FRAME_JSON, 20},
    {"an 8 and no 9", "3837" QUERY, FRAME_JSON, 2},
    {"a card number one digit late", "38" CARD QUERY, CARD_JSON "," FRAME_JSON, 1},
    {"a keepalive with a wrong letter", "6C696E67" QUERY, FRAME_JSON, 4},
    {"a keepalive begun twice", "6C696C696E6B", LINK_JSON, 2},
    {"a header begun twice", "444E" QUERY, FRAME_JSON, 2},
    {"a header begun with its own letters", "44444E4E" QUERY, FRAME_JSON, 4},
    {"garbage before, between and behind", "00FF" QUERY "0D0A" QUERY "00", FRAME_JSON "," FRAME_JSON, 5},
    {"a length of 8", "444E590800" QUERY, FRAME_JSON, 5},
    {"a length of 513", "444E590102" QUERY, FRAME_JSON, 5},
    {"a length of 65535", "444E59FFFF" QUERY, FRAME_JSON, 5},
    {"a length of 512 that never comes hides a frame, until the gap", "444E590002" QUERY, FRAME_JSON, 5},
    {"a wrong checksum", "444E59090040AACE040100813603" QUERY, FRAME_JSON, 14},
    {"a checksum with its bytes swapped", "444E59090040AACE040100810332", "", 14},
    {"a frame in a frame of wrong checksum", "444E59170040AACE04010081" QUERY "0000", FRAME_JSON, 14},
    {"a frame without its end, then whole", "444E59090040AACE0401" QUERY, FRAME_JSON, 10},
    {"a part of a frame alone", "444E59090040AACE", "", 8},
    {"a part of a keepalive alone", "6C696E", "", 3},
};

static void check_splits(const char *row, struct bytes all, const char *want)
{
    struct buf got;
    buf_init(&got, KIT_TEXT_MAX);
    for (size_t size = 1; size <= all.len + 1; size++) {
        buf_clear(&got);
        kit_split(all, &size, 1, AP3000_DOWN, &got);
        CHECK(row, str_eq(buf_str(&got), str_of(want)));
    }
    for (size_t at = 1; at < all.len; at++) { /* once at each place, the rest whole */
        size_t sizes[] = {at, all.len};
        buf_clear(&got);
        kit_split(all, sizes, 2, AP3000_DOWN, &got);
        CHECK(row, str_eq(buf_str(&got), str_of(want)));
    }
    buf_release(&got);
}

static void check_rows(void)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kit_bytes b;
        char want[2048];
        kit_hex(str_of(rows[i].hex), &b);
        (void)snprintf(want, sizeof want, "{\"events\":[%s],\"discarded_bytes\":%u}", rows[i].events, rows[i].dropped);
        check_splits(rows[i].row, kit_view(&b), want);
    }
}

/* The largest frame that may come, cut anywhere, and with garbage that fills the buffer before it. */
static void check_largest(void)
{
    uint8_t all[1000 + AP3000_FRAME_SIZE_MAX] = {0};
    struct buf whole, got;
    uint8_t *f = all + 1000;
    buf_init(&whole, KIT_TEXT_MAX);
    buf_init(&got, KIT_TEXT_MAX);
    memcpy(f, "DNY\x00\x02", 5);
    for (size_t i = 5; i < AP3000_FRAME_SIZE_MAX - 2; i++)
        f[i] = (uint8_t) "DNY\x00\x02link89"[i % 11];
    le_put(f + AP3000_FRAME_SIZE_MAX - 2, 2, ap3000_checksum((struct bytes){f, AP3000_FRAME_SIZE_MAX - 2}));
    memcpy(all + 490, "DNY\x00\x02", 5);
    struct bytes in = {all, sizeof all};
    kit_split(in, &in.len, 1, AP3000_UP, &whole);
    for (size_t size = 1; size < in.len; size += 37) {
        buf_clear(&got);
        kit_split(in, &size, 1, AP3000_UP, &got);
        CHECK("the largest frame behind garbage, cut anywhere", str_eq(buf_str(&got), buf_str(&whole)));
    }
    CHECK("the largest frame behind garbage", strstr((char *)whole.at, "\"length\":512,") != NULL);
    CHECK("only the garbage is dropped",
          str_starts((struct str){(char *)whole.at + whole.len - 25, 25}, STR(",\"discarded_bytes\":1000}")) ||
              strstr((char *)whole.at, "\"discarded_bytes\":1000}") != NULL);
    buf_release(&whole);
    buf_release(&got);
}

static void check_offsets(void)
{
    struct kit_bytes b;
    struct ap3000_stream s;
    struct ap3000_unit u;
    kit_hex(STR("00" LINK "0000" QUERY), &b);
    struct bytes in = kit_view(&b);
    ap3000_stream_init(&s);
    CHECK("the keepalive lies behind one byte", ap3000_stream_next(&s, &in, &u) && u.offset == 1 && u.size == 4);
    CHECK("the frame lies behind two more", ap3000_stream_next(&s, &in, &u) && u.offset == 7 && u.size == 14);
    CHECK("and that is all", !ap3000_stream_next(&s, &in, &u) && in.len == 0 && ap3000_stream_is_empty(&s));
    CHECK("nothing comes of an empty flush", !ap3000_stream_flush(&s, &u) && s.dropped_count == 3);
}

/* 1.3: the connection is closed after more than 4096 dropped bytes without a valid frame between them. */
static void check_garbage(void)
{
    static const uint8_t zeros[AP3000_DROPPED_MAX];
    struct ap3000_stream s;
    struct ap3000_unit u;
    struct kit_bytes b;
    struct bytes in = {zeros, sizeof zeros};
    ap3000_stream_init(&s);
    CHECK("no unit in garbage", !ap3000_stream_next(&s, &in, &u));
    CHECK("4096 bytes are borne", !ap3000_stream_is_garbage(&s));
    kit_hex(STR(LINK), &b);
    in = kit_view(&b);
    CHECK("a keepalive is found", ap3000_stream_next(&s, &in, &u));
    in = (struct bytes){zeros, 1};
    CHECK("no unit", !ap3000_stream_next(&s, &in, &u));
    CHECK("a keepalive is no frame: one more is too many", ap3000_stream_is_garbage(&s));
    kit_hex(STR(QUERY), &b);
    in = kit_view(&b);
    CHECK("a frame is found", ap3000_stream_next(&s, &in, &u) && u.kind == AP3000_FRAME);
    CHECK("after a frame the count begins anew", !ap3000_stream_is_garbage(&s) && s.dropped_count == 4097);
    in = (struct bytes){b.at, b.len - 1};
    CHECK("a part is kept", !ap3000_stream_next(&s, &in, &u) && in.len == 0 && !ap3000_stream_is_empty(&s));
    in = (struct bytes){b.at + b.len - 1, 1};
    CHECK("and the rest makes it a frame", ap3000_stream_next(&s, &in, &u) && u.kind == AP3000_FRAME);
    CHECK("no memory is held then", !ap3000_stream_next(&s, &in, &u) && s.kept == NULL);
    ap3000_stream_release(&s);
}

int main(void)
{
    check_rows();
    check_largest();
    check_offsets();
    check_garbage();
    CHECK("a card number", ap3000_iccid_is_valid(STR("898604D9162390488297")));
    CHECK("19 digits", !ap3000_iccid_is_valid(STR("898604D916239048829")));
    CHECK("21 digits", !ap3000_iccid_is_valid(STR("898604D91623904882971")));
    CHECK("absent", !ap3000_iccid_is_valid((struct str){NULL, 0}));
    return CHECK_REPORT();
}
