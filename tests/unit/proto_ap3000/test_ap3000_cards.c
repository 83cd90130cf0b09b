/* Cards (ap3000.md 5.5, 6.2, 11.1), and what holds for all frames: every command has its place, answers are those
 * of 3.2, repeats (3.3), and no payload, however long or bent, breaks a rule. Each row names its paragraph. */
#include "pilestory.h"

/* clang-format off */
#define SWIPE(card, port)       "02 " card " 00 " port
#define ASKED(tag, word, c)     "authorization.requested {'idTag':'" tag "','status':'" word "'" c "}"
#define AT(c)                   ",'connectorId':" c
#define BEAT(ports)             "21 9808 02 " ports " 00 00"
#define PLACED                  {"place 01 7A8D05DD", NULL, "order.changed *"}
#define FIFTH                   "02 #5 7A8D05DD 00 01"
#define GRANTED                 {FIFTH, "7A8D05DD0000D204000001 held", ASKED("7A8D05DD", "Accepted", AT("2")) "\nwish start 1 7A8D05DD"}, PLACED, {"sent $1", NULL, "*"}
#define BACK                    "charge_point.connected {*:180}" /* and nothing behind it */
#define SAID_AGAIN              {"restart", NULL, ""}, {FIFTH, "7A8D05DD0000D204000001 held again", BACK}
#define NEW_SWIPE               ASKED("7A8D05DD", "Accepted", AT("2")) "\nwish start 1 7A8D05DD"

static const struct story rows[] = {
    /* --- queries --- */
    {"a query says the balance (11.1)", 0, {{SWIPE("7A8D05DD", "FF"), "7A8D05DD0000D2040000FF held", ASKED("7A8D05DD", "Accepted", "")}}},
    {"a card without balance (5.5)", 0, {{SWIPE("0A0B0C0D", "FF"), "0A0B0C0D000000000000FF held", "*'Accepted'}"}}},
    {"a monthly plan says until when (6.2)", 0, {{SWIPE("30000000", "FF"), "300000000001C059CC69FF held", "*'Accepted'}"}}},
    {"a balance that would be spoken as a date (A48)", 0, {{SWIPE("0000FFFF", "FF"), "0000FFFF000000E1F505FF held", "*'Accepted'}"}}},
    {"a query of one who is charging (5.5)", ONE_EACH, {PLACED, {SWIPE("7A8D05DD", "FF"), "7A8D05DD0000D2040000FF held", "*'Accepted'}"}}},
    {"an unknown card (5.5)", 0, {{SWIPE("DEADBEEF", "FF"), "DEADBEEF010000000000FF held", ASKED("DEADBEEF", "Invalid", "")}}},
    {"an unknown card, taken by policy", TAKE_TAGS, {{SWIPE("DEADBEEF", "00"), "DEADBEEF00000000000000 held", ASKED("DEADBEEF", "Accepted", AT("1")) "\nwish start 0 DEADBEEF"}}},
    {"a blocked card (5.5)", 0, {{SWIPE("B10CCED0", "00"), "B10CCED001000000000000 held", ASKED("B10CCED0", "Blocked", AT("1"))}}},
    {"a blocked card without money (11.2)", 0, {{SWIPE("B10CCED1", "00"), "B10CCED106000000000000 held", ASKED("B10CCED1", "Blocked", AT("1"))}}},
    {"an expired card (5.5)", 0, {{SWIPE("01D00000", "00"), "01D0000007000000000000 held", ASKED("01D00000", "Expired", AT("1"))}}},

    /* --- to charge --- */
    {"granted: the answer, then the wish (11.1)", 0, {{SWIPE("7A8D05DD", "01"), "7A8D05DD0000D204000001 held", ASKED("7A8D05DD", "Accepted", AT("2")) "\nwish start 1 7A8D05DD"}}},
    {"retransmitted: the answer, and no second wish (3.3)", 0, {{"02 #5 7A8D05DD 00 01", "7A8D05DD0000D204000001 held", "*\nwish start 1 7A8D05DD"}, {"at 15", NULL, ""}, {"02 #5 7A8D05DD 00 01", "7A8D05DD0000D204000001 held again", ""}, {"at 61", NULL, ""}, {"02 #5 7A8D05DD 00 01", "7A8D05DD0000D204000001 held", "*\nwish start *"}}},
    {"another frame of one id is another swipe (3.3)", 0, {{"02 #5 7A8D05DD 00 01", "7A8D05DD0000D204000001 held", "*"}, {"02 #5 7A8D05DD 00 00", "7A8D05DD0000D204000000 held", "*\nwish start 0 7A8D05DD"}}},
    {"swiped again within a minute: it is the same wish (11.1)", 0, {{SWIPE("7A8D05DD", "01"), "*", "*"}, PLACED, {"at 60", NULL, ""}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0000D204000001 held again", ""}, {"at 61", NULL, ""}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0400D204000001 held", ASKED("7A8D05DD", "ConcurrentTx", AT("2"))}}},
    {"a port that is busy (5.5)", 0, {{BEAT("00 01"), "00", "*"}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0800D204000001 held", ASKED("7A8D05DD", "PortFault", AT("2"))}, {BEAT("00 05"), "00", "*"}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0800D204000001 held", "*"}}},
    {"a port that is broken (5.5)", 0, {{BEAT("00 09"), "00", "*"}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0800D204000001 held", "*"}, {BEAT("00 77"), "00", "*"}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0800D204000001 held", "*"}}},
    {"a port with a charger in it (5.1)", 0, {{BEAT("00 02"), "00", "*"}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0000D204000001 held", "*\nwish start 1 *"}, {BEAT("00 03"), "00", "*"}, {SWIPE("0A0B0C0D", "01"), "0A0B0C0D00000000000001 held", "*\nwish start 1 *"}}},
    {"a port that it has not", 0, {{SWIPE("7A8D05DD", "02"), "7A8D05DD0800D204000002 held", ASKED("7A8D05DD", "PortFault", AT("3"))}}},
    {"a port that another has ordered", 0, {PLACED, {SWIPE("0A0B0C0D", "01"), "0A0B0C0D08000000000001 held", ASKED("0A0B0C0D", "PortFault", AT("2"))}, {"not_sent $1", NULL, "*"}, {SWIPE("0A0B0C0D", "01"), "0A0B0C0D00000000000001 held", "*\nwish start 1 0A0B0C0D"}}},
    {"a port whose charge has ended", 0, {PLACED, {"sent $1", NULL, "*"}, {"done $1", NULL, "*"}, {"finished $1", NULL, "*"}, {SWIPE("0A0B0C0D", "01"), "0A0B0C0D00000000000001 held", "*\nwish start 1 0A0B0C0D"}}},
    {"a port where its own charge has ended", 0, {PLACED, {"sent $1", NULL, "*"}, {"done $1", NULL, "*"}, {"finished $1", NULL, "*"}, {"at 61", NULL, ""}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0000D204000001 held", "*\nwish start 1 7A8D05DD"}}},
    {"a port where a start failed so that it may run, for two minutes (10.2)", 0, {PLACED, {"sent $1", NULL, "*"}, {"fault $1", NULL, "*"}, {SWIPE("0A0B0C0D", "01"), "0A0B0C0D08000000000001 held", ASKED("0A0B0C0D", "PortFault", AT("2"))}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0800D204000001 held", "*"}, {SWIPE("7A8D05DD", "00"), "7A8D05DD0000D204000000 held", "*\nwish start 0 *"}, {"at 119", NULL, ""}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0800D204000001 held", "*"}, {"at 120", NULL, ""}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0000D204000001 held", "*\nwish start 1 *"}}},
    {"too many at once, here or elsewhere (5.5)", ONE_EACH, {PLACED, {SWIPE("7A8D05DD", "00"), "7A8D05DD0400D204000000 held", ASKED("7A8D05DD", "ConcurrentTx", AT("1"))}, {"B " SWIPE("7A8D05DD", "00"), "7A8D05DD0400D204000000 held", "*'ConcurrentTx'*"}}},
    {"as it was settled it is one no more", ONE_EACH, {PLACED, {"at 3600", NULL, ""}, {"03 100E E803 0300 01 01 00000000 05 $1", "00 held", "*"}, {SWIPE("7A8D05DD", "00"), "7A8D05DD0000D204000000 held", "*\nwish start *"}}},
    {"what a card began at the pile counts", ONE_EACH, {{"06 00 01 2C01 0200 00 0D07 0000 0000 0000 202603011550307A8D05DD1354400030", NULL, "*"}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0400D204000001 held", "*"}, {"03 100E E803 0300 00 00 7A8D05DD 05 202603011550307A8D05DD1354400030", "00 held", "*"}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0000D204000001 held", "*\nwish start *"}}},

    /* --- said again to a process that has begun since (3.3): its key is known by the tables --- */
    {"its order runs: the same answer, and no second wish", 0, {GRANTED, {"done $1", NULL, "*"}, {"at 60", NULL, ""}, SAID_AGAIN}},
    {"nobody knows whether it runs", 0, {GRANTED, {"unsure $1", NULL, "*"}, {"at 60", NULL, ""}, {"restart", NULL, ""}, {FIFTH, "7A8D05DD0000D204000001 held again", BACK "\nwish status"}}},
    {"its order was refused", 0, {GRANTED, {"refused $1", NULL, "*"}, {"at 60", NULL, ""}, SAID_AGAIN}},
    {"its order is over", 0, {GRANTED, {"done $1", NULL, "*"}, {"finished $1", NULL, "*"}, {"at 60", NULL, ""}, SAID_AGAIN}},
    {"its order is settled", 0, {GRANTED, {"done $1", NULL, "*"}, {"at 30", NULL, ""}, {"03 1E00 E803 0000 01 01 00000000 05 $1", "00 held", "*"}, {"at 60", NULL, ""}, SAID_AGAIN}},
    {"twice", 0, {GRANTED, {"refused $1", NULL, "*"}, SAID_AGAIN, SAID_AGAIN}},
    {"after a minute it is another swipe", 0, {GRANTED, {"refused $1", NULL, "*"}, {"at 61", NULL, ""}, {"restart", NULL, ""}, {FIFTH, "7A8D05DD0000D204000001 held", BACK "\n" NEW_SWIPE}}},
    {"after a minute, and it runs", 0, {GRANTED, {"done $1", NULL, "*"}, {"at 61", NULL, ""}, {"restart", NULL, ""}, {FIFTH, "7A8D05DD0400D204000001 held", BACK "\n" ASKED("7A8D05DD", "ConcurrentTx", AT("2"))}}},
    {"another swipe when its order was refused, within the minute", 0, {GRANTED, {"refused $1", NULL, "*"}, {"at 20", NULL, ""}, {"restart", NULL, ""}, {"02 #6 7A8D05DD 00 01", "7A8D05DD0000D204000001 held", BACK "\n" NEW_SWIPE}}},
    {"so without a restart", 0, {GRANTED, {"refused $1", NULL, "*"}, {"at 20", NULL, ""}, {"02 #6 7A8D05DD 00 01", "7A8D05DD0000D204000001 held", NEW_SWIPE}, {FIFTH, "7A8D05DD0000D204000001 held again", ""}}},
    {"granted, and ended before it was ordered: wished once more", 0, {{FIFTH, "7A8D05DD0000D204000001 held", NEW_SWIPE}, {"restart", NULL, ""}, {FIFTH, "7A8D05DD0000D204000001 held", BACK "\n" NEW_SWIPE}}},
    {"another's order at that port is not its own", 0, {PLACED, {"sent $1", NULL, "*"}, {"done $1", NULL, "*"}, {"02 #5 0A0B0C0D 00 01", "0A0B0C0D08000000000001 held", "*"}, {"restart", NULL, ""}, {"02 #5 0A0B0C0D 00 01", "0A0B0C0D08000000000001 held", BACK "\n" ASKED("0A0B0C0D", "PortFault", AT("2"))}}},
    {"nor is its own at another port", 0, {{"02 #5 7A8D05DD 00 00", "*", "*\nwish start 0 *"}, PLACED, {"restart", NULL, ""}, {"02 #5 7A8D05DD 00 00", "7A8D05DD0000D204000000 held", BACK "\n" ASKED("7A8D05DD", "Accepted", AT("1")) "\nwish start 0 7A8D05DD"}}},

    /* --- forms: 6.2, 5.6 --- */
    {"with money and time on it (6.2)", 0, {{"02 7A8D05DD 01 01 0000 185C6869", "7A8D05DD0000D204000001 held", "*\nwish start 1 7A8D05DD"}}},
    {"a second number counts for its own type only (5.6)", 0, {{"02 7A8D05DD 00 01 0000 185C6869 10 33313031303130303030323033343537", "7A8D05DD0000D204000001 held", "*\nwish start 1 7A8D05DD"}}},
    {"a social-security card is its second number (5.6)", ONE_EACH, {{"02 00000000 04 01 0000 185C6869 10 33313031303130303030323033343537", "0000000000000000000001 held", ASKED("3101010000203457", "Accepted", AT("2")) "\nwish start 1 3101010000203457"}}},
    {"padded with zeros", 0, {{"02 00000000 04 01 0000 185C6869 14 3331303130313030303032303334353700000000", "0000000000000000000001 held", "*\nwish start 1 3101010000203457"}}},
    {"one that is no text is its bytes", TAKE_TAGS, {{"02 00000000 04 01 0000 185C6869 03 31FF20", "*", "*\nwish start 1 31FF20"}, {"02 00000000 04 00 0000 185C6869 02 0000", "*", "*\nwish start 0 0000"}}},
    {"none after all", TAKE_TAGS, {{"02 0A0B0C0D 04 01 0000 185C6869 00", "*", "*\nwish start 1 0A0B0C0D"}}},
    {"shorter than it may be (2.7)", 0, {{"02 7A8D05DD 00", NULL, ""}}},

    /* --- who may --- */
    {"a pile that is not accepted (5.5)", IS_PENDING, {{SWIPE("7A8D05DD", "01"), "7A8D05DD0C000000000001 held", ""}}},
    {"a pile that is bound to another card", 0, {{"bind 898604D9162390488297", NULL, ""}, {SWIPE("7A8D05DD", "01"), "7A8D05DD0C000000000001 held", ""}}},
};
/* clang-format on */

/* --- every command --- */

/* 3.2: which of a pile's frames are answered, and with how many bytes. */
static const int8_t answer_sizes[UINT8_MAX + 1] = {
    [0x02] = 11, [0x03] = 1, [0x04] = 2, [0x12] = 4, [0x15] = 1, [0x20] = 1, [0x21] = 1, [0x22] = 4};

static void check_rules(const char *row, struct kit *k, const struct ap3000_frame *f, uint64_t sequence)
{
    const struct ap3000_decision *d = &k->decision;
    struct ap3000_frame answer = {0};
    size_t size = 0;
    int want = answer_sizes[f->command];
    bool is_bare = f->command == 0x12 || f->command == 0x20 || f->command == 0x21 || f->command == 0x22;
    if (d->has_answer) {
        CHECK(row, ap3000_frame_read((struct bytes){d->answer, d->answer_len}, &answer, &size, NULL) == OK);
        CHECK(row, answer.command == f->command && answer.message_id == f->message_id);
        CHECK(row, (int)answer.payload.len == want || (f->command == 0x01 && answer.payload.len == 1));
    }
    CHECK(row, want == 0 || d->has_answer || (f->command != 0x03 && !is_bare && k->reading.fields == NULL));
    CHECK(row, d->waits_for_disk == (want > 0 && d->has_answer && !is_bare) || !d->has_answer);
    CHECK(row, d->event_count <= AP3000_EVENTS_MAX && d->wish_count <= AP3000_WISHES_MAX);
    story_check_events(row, k, sequence);
}

/* Each length of zeros, ones and counted bytes. */
static void check_command(unsigned command)
{
    static const char *const fills[] = {"zeros", "ones", "counted bytes"};
    for (size_t fill = 0; fill < COUNT_OF(fills); fill++) {
        struct kit *k = kit_new();
        story_introduce(k);
        for (size_t len = 0; len <= AP3000_PAYLOAD_SIZE_MAX; len += len < 100 ? 1 : 57) {
            char row[64];
            uint8_t *payload = mem_new(1, len + 1); /* of its own, so that the sanitizer sees the very end */
            for (size_t i = 0; i < len; i++)
                payload[i] = fill == 0 ? 0 : fill == 1 ? 0xFF : (uint8_t)i;
            struct ap3000_frame f = {
                .message_id = (uint16_t)len, .command = (uint8_t)command, .payload = {payload, len}};
            uint64_t sequence = k->stations[0].sequence;
            (void)snprintf(row, sizeof row, "0x%02X, %zu %s", command, len, fills[fill]);
            kit_frame(k, 0, &f);
            check_rules(row, k, &f, sequence);
            CHECK(row, k->decision.is_unknown == (k->reading.fields == NULL && command != 0x03 && command != 0x07));
            free(payload);
            k->now = instant_add(k->now, SPAN_S(7));
        }
        kit_free(k);
    }
}

/* Answered bare just as they are answered, and nothing else is. */
static void check_bare(void)
{
    struct kit *k = kit_new();
    story_introduce(k);
    for (unsigned command = 0; command <= UINT8_MAX; command++) {
        struct ap3000_frame f = {.physical_id = kit_ids[0], .message_id = 0x1234, .command = (uint8_t)command};
        uint8_t answer[AP3000_SENT_SIZE_MAX];
        size_t size = 0;
        bool is_bare = command == 0x12 || command == 0x20 || command == 0x21 || command == 0x22;
        CHECK("the four (3.3)", ap3000_answer_bare(&f, k->now, answer, &size) == is_bare);
        kit_frame(k, 0, &f);
        CHECK("with the same answer", !is_bare || (k->decision.has_answer && k->decision.answer_len == size &&
                                                   memcmp(k->decision.answer, answer, size) == 0));
    }
    kit_free(k);
}

/* What is looked up before a frame is decided: only what memory has not. */
static void check_wants(void)
{
    static const struct {
        const char *row, *frame, *tag, *order;
    } wants[] = {
        {"the tag of a swipe", "02 #5 7A8D05DD 00 01", "7A8D05DD", ""},
        {"not that of its repeat", "02 #5 7A8D05DD 00 01", NULL, ""},
        {"an order that is not in memory", "06 01 01 2C01 0200 00 0D07 0000 0000 0000 11111111111111111111111111111112",
         NULL, "11111111111111111111111111111112"},
        {"not one that is", "06 01 01 2C01 0200 00 0D07 0000 0000 0000 11111111111111111111111111111112", NULL, ""},
        {"0x04", "04 01 01 00000000 0C00 22222222222222222222222222222222", NULL, "22222222222222222222222222222222"},
        {"0x43", "43 100E E803 0300 01 01 00000000 01 33333333333333333333333333333333", NULL,
         "33333333333333333333333333333333"},
        {"0x44", "44 01 03 44444444444444444444444444444444", NULL, "44444444444444444444444444444444"},
        {"0x03", "03 100E E803 0300 01 01 00000000 05 55555555555555555555555555555555", NULL,
         "55555555555555555555555555555555"},
        {"nothing of what cannot be read", "03 100E E803", NULL, ""},
        {"nothing else", "21 9808 02 00 00", NULL, ""},
    };
    struct kit *k = kit_new();
    story_introduce(k);
    for (size_t i = 0; i < COUNT_OF(wants); i++) {
        struct ap3000_frame f;
        CHECK(wants[i].row, kit_read_frame(k, kit_ids[0], str_of(wants[i].frame), &f));
        kit_frame(k, 0, &f);
        CHECK(wants[i].row, str_eq(k->reading.wants_tag, str_of(wants[i].tag)));
        CHECK(wants[i].row, (k->reading.wants_tag.at == NULL) == (wants[i].tag == NULL));
        CHECK(wants[i].row, strcmp(k->reading.wants_order, wants[i].order) == 0);
    }
    kit_free(k);
}

int main(void)
{
    story_check(rows, COUNT_OF(rows));
    check_wants();
    for (unsigned command = 0; command <= UINT8_MAX; command++)
        check_command(command);
    check_bare();
    return CHECK_REPORT();
}
