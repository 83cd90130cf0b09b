/* Records: what is written is read again, and nothing else is taken for one. */
#include "check.h"
#include "eventlog/record.h"

#include <stdlib.h>
#include <string.h>

static struct event sample(void)
{
    return (struct event){
        .type = EVENT_TRANSACTION_STARTED,
        .station = STR("CP-17"),
        .received = {1772355600123456},
        .device_time = {-1},
        .sequence = UINT64_MAX,
        .trace = {1, 2, 3, 255},
        .payload = STR("{\"a\":1}"),
        .frame = STR("[2,\"1\",\"X\",{}]"),
        .answer = STR("[3,\"1\",{}]"),
    };
}

static bool same(struct str a, struct str b)
{
    return (a.at == NULL) == (b.at == NULL) && str_eq(a, b);
}

static bool is_same(const struct event *a, const struct event *b)
{
    return a->type == b->type && same(a->station, b->station) && a->received.us == b->received.us &&
           a->device_time.us == b->device_time.us && a->sequence == b->sequence &&
           memcmp(a->trace, b->trace, sizeof a->trace) == 0 && same(a->payload, b->payload) && same(a->frame, b->frame) &&
           same(a->answer, b->answer);
}

static void test_texts(void)
{
    static const struct {
        const char *row;
        struct str station, payload, frame, answer;
    } rows[] = {
        {"all are there", {"CP", 2}, {"{}", 2}, {"[2]", 3}, {"[3]", 3}},
        {"none is there", {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}},
        {"all are empty", {"", 0}, {"", 0}, {"", 0}, {"", 0}},
        {"frame is absent, answer empty", {"CP", 2}, {"{}", 2}, {NULL, 0}, {"", 0}},
        {"bytes that are no text", {"\0\xff", 2}, {"\0", 1}, {"\xff\xff\xff\xff", 4}, {NULL, 0}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct event e = sample(), got;
        struct buf b;
        buf_init(&b, 4096);
        e.station = rows[i].station;
        e.payload = rows[i].payload;
        e.frame = rows[i].frame;
        e.answer = rows[i].answer;
        record_write(&e, &b);
        record_write(&e, &b);
        struct bytes in = {b.at, b.len};
        CHECK(rows[i].row, !b.failed && b.len == 2 * record_size(&e) && record_skip(in) == record_size(&e));
        CHECK(rows[i].row, record_read(&in, &got) == OK && is_same(&e, &got));
        CHECK(rows[i].row, record_read(&in, &got) == OK && is_same(&e, &got) && in.len == 0);
        CHECK("behind the last there is none", record_read(&in, &got) == ERR_CORRUPT && record_skip(in) == 0);
        buf_release(&b);
    }
}

static void test_types(void)
{
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        struct event e = sample(), got;
        struct buf b;
        buf_init(&b, 4096);
        e.type = (enum event_type)type;
        record_write(&e, &b);
        struct bytes in = {b.at, b.len};
        CHECK("every type", record_read(&in, &got) == OK && is_same(&e, &got));
        buf_release(&b);
    }
}

/* Each byte of the layout changed, and each length cut: refused, or another event that is written the same. */
static void test_damage(void)
{
    struct event e = sample(), got;
    struct buf b, again;
    buf_init(&b, 4096);
    buf_init(&again, 4096);
    record_write(&e, &b);
    for (size_t len = 0; len < b.len; len++) {
        struct bytes in = {b.at, len};
        got = e;
        CHECK("a record that is cut", record_read(&in, &got) == ERR_CORRUPT && in.len == len && is_same(&e, &got));
    }
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
        b.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct bytes in = {b.at, b.len};
        enum err error = record_read(&in, &got);
        bool is_length = bit / 8 < 4 || bit / 8 == 6 || bit / 8 == 7 || (bit / 8 >= 48 && bit / 8 < 60);
        CHECK("a length that lies", !is_length || error == ERR_CORRUPT);
        if (error == OK) {
            buf_clear(&again);
            record_write(&got, &again);
            CHECK("what is read is what is there", again.len == b.len && memcmp(again.at, b.at, b.len) == 0);
        } else {
            CHECK("what is refused is left where it is", in.len == b.len);
        }
        b.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    b.at[4] = 0x7f;
    struct bytes in = {b.at, b.len};
    CHECK("a type of a later version", record_read(&in, &got) == ERR_UNSUPPORTED && in.len == b.len);
    buf_release(&b);
    buf_release(&again);
}

static void test_too_long(void)
{
    static char text[UINT16_MAX];
    struct event e = sample();
    struct buf b;
    buf_init(&b, 200000);
    e.station = (struct str){text, UINT16_MAX - 1};
    record_write(&e, &b);
    CHECK("the longest station", !b.failed && record_size(&e) == b.len);
    buf_clear(&b);
    e.station.len++;
    record_write(&e, &b);
    CHECK("a longer one", b.failed && b.len == 0 && record_size(&e) == 0);
    e = sample();
    e.frame = (struct str){text, RECORD_SIZE_MAX};
    CHECK("a frame that does not fit", record_size(&e) == 0);
    e.frame.len = SIZE_MAX;
    CHECK("nor one beyond all numbers", record_size(&e) == 0);
    buf_release(&b);
    buf_init(&b, 10);
    e = sample();
    record_write(&e, &b);
    CHECK("a buffer without room", b.failed && b.len == 0);
    buf_release(&b);
}

int main(void)
{
    test_texts();
    test_types();
    test_damage();
    test_too_long();
    return CHECK_REPORT();
}
