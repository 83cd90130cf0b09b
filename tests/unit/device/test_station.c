/* The memory of one station: what is found again, what is dropped, and where its limits are. */
#include "check.h"
#include "device/station.h"

#include <string.h>

static const uint64_t key[2] = {1, 2};

static void check_registration(void)
{
    for (enum registration r = REGISTRATION_ACCEPTED; r <= REGISTRATION_REJECTED; r++)
        CHECK("a registration is found by its word", registration_find(registration_text(r)) == r);
    CHECK("unknown has no word", registration_text(REGISTRATION_UNKNOWN).at == NULL);
    CHECK("a word that is none", registration_find(STR("Accepted")) == REGISTRATION_UNKNOWN);
}

static void check_connectors(void)
{
    struct station s;
    station_init(&s, STR("CP"));
    CHECK("none at first", station_connector_find(&s, 1) == NULL && s.connector_count == 0);
    CHECK("made when it is named (ocpp16.md 5.6)", station_connector(&s, 7)->id == 7);
    CHECK("and found again", station_connector(&s, 7) == station_connector_find(&s, 7) && s.connector_count == 1);
    CHECK("none below 0", station_connector(&s, -1) == NULL);
    CHECK("none past 32 bits", station_connector(&s, INT64_C(1) << 32) == NULL);
    for (int64_t i = 100; s.connector_count < STATION_CONNECTORS_MAX; i++)
        (void)station_connector(&s, i);
    CHECK("no more than the limit", station_connector(&s, 5000) == NULL);
    CHECK("those that are there are found past it", station_connector(&s, 7) != NULL);
    struct connector *c = station_connector_find(&s, 7);
    connector_set_status(c, STR("Available"), STR("NoError"), (struct instant){10});
    connector_set_status(c, STR("Available"), STR("OtherError"), (struct instant){20});
    CHECK("the same again keeps its time", c->since.us == 10 && strcmp(c->error_code, "OtherError") == 0);
    connector_set_status(c, STR("Charging"), STR("NoError"), (struct instant){30});
    CHECK("another has its own", c->since.us == 30 && strcmp(c->status, "Charging") == 0);
    station_release(&s);
}

static struct transaction *add(struct station *s, uint32_t id, int32_t connector, enum transaction_state state)
{
    return station_add_transaction(s, &(struct transaction){.number = id,
                                                            .id = id,
                                                            .connector_id = connector,
                                                            .state = state,
                                                            .start_key = id * UINT64_C(1000),
                                                            .stop_key = id * UINT64_C(77)});
}

static void check_transactions(void)
{
    struct station s;
    station_init(&s, STR("CP"));
    CHECK("none open", station_open_on(&s, 1) == NULL && station_open_count(&s) == 0);
    (void)add(&s, 1, 1, TRANSACTION_OPEN);
    for (uint32_t id = 2; id < 10; id++)
        (void)add(&s, id, 1, TRANSACTION_CLOSED);
    CHECK("the last closed ones are kept",
          s.transaction_count == 1 + STATION_CLOSED_MAX && station_transaction(&s, 9) != NULL);
    CHECK("the oldest closed is dropped", station_transaction(&s, 2) == NULL && station_transaction(&s, 5) == NULL);
    CHECK("an open one is never dropped", station_transaction(&s, 1) != NULL);
    CHECK("found by its start", station_started_by(&s, 9000)->id == 9 && station_started_by(&s, 2000) == NULL);
    CHECK("found by its stop", station_stopped_by(&s, 8 * 77)->id == 8 && station_stopped_by(&s, 3) == NULL);
    (void)add(&s, 20, 1, TRANSACTION_OPEN);
    CHECK("the newest open one of a connector", station_open_on(&s, 1)->id == 20 && station_open_on(&s, 2) == NULL);
    uint32_t id = 100;
    for (; station_open_count(&s) < STATION_OPEN_MAX; id++)
        (void)add(&s, id, (int32_t)id, TRANSACTION_OPEN);
    CHECK("no more open ones than the limit", add(&s, 5000, 1, TRANSACTION_OPEN) == NULL);
    CHECK("a closed one goes past it", add(&s, 5001, 1, TRANSACTION_CLOSED) != NULL);
    station_release(&s);
}

static void check_keys(void)
{
    struct transaction_start a = {1, STR("TAG"), {1000}, 5}, b = a;
    b.id_tag = STR("tag  \x10");
    CHECK("tags compare without case and what hangs at their end",
          transaction_start_key(&a) == transaction_start_key(&b));
    b = a;
    b.connector_id = 2;
    CHECK("another connector is another start (ocpp16.md 5.6)", transaction_start_key(&a) != transaction_start_key(&b));
    b = a;
    b.timestamp.us++;
    CHECK("another time is another start", transaction_start_key(&a) != transaction_start_key(&b));
    b = a;
    b.meter_start_wh++;
    CHECK("another reading is another start", transaction_start_key(&a) != transaction_start_key(&b));
    b = a;
    b.id_tag = STR("TAG1");
    CHECK("another tag is another start", transaction_start_key(&a) != transaction_start_key(&b));
}

/* A tag as it came, and as the 63 bytes that are kept of it. */
static void check_tag_copies(void)
{
    static const struct {
        const char *row;
        struct str tag;
        const char *key;
    } rows[] = {
        {"letters fold", {"AbC-9", 5}, "abc-9"},
        {"bytes at its end (field-lessons 47)", {"04AB\x10\x0e", 6}, "04ab"},
        {"blanks only", {"   ", 3}, ""},
        {"empty", {"", 0}, ""},
        {"a 0 within", {"AB\0CD", 5}, "ab"},
        {"letters beyond ASCII stay", {"\xc3\x84", 2}, "\xc3\x84"},
        {"21 characters (field-lessons 47)", {"012345678901234567890", 21}, "012345678901234567890"},
        {"too long",
         {"0123456789012345678901234567890123456789012345678901234567890123456789", 70},
         "012345678901234567890123456789012345678901234567890123456789012"},
        {"too long, cut within a character",
         {"01234567890123456789012345678901234567890123456789012345678901\xe2\x82\xac", 65},
         "01234567890123456789012345678901234567890123456789012345678901"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char copy[TAG_SIZE_MAX], one[TAG_SIZE_MAX], two[TAG_SIZE_MAX];
        size_t len = tag_key(rows[i].tag, one);
        (void)str_copy(copy, sizeof copy, rows[i].tag);
        CHECK(rows[i].row, str_eq((struct str){one, len}, str_of(rows[i].key)));
        CHECK(rows[i].row, tag_key(str_of(copy), two) == len && strcmp(one, two) == 0);
        struct tag_book *b = tag_book_new(key);
        tag_book_add(b, rows[i].tag, 1);
        CHECK(rows[i].row, tag_book_count(b, str_of(copy)) == 1);
        tag_book_add(b, str_of(copy), -1);
        CHECK(rows[i].row, tag_book_count(b, rows[i].tag) == 0);
        tag_book_free(b);
    }
    tag_book_free(NULL);
    struct tag_book *b = tag_book_new(key);
    tag_book_add(b, STR("never"), -1);
    CHECK("nothing goes below 0", tag_book_count(b, STR("never")) == 0);
    tag_book_add(b, STR("held"), 2);
    tag_book_free(b);
}

static void check_repeats(void)
{
    struct station s;
    char text[32];
    station_init(&s, STR("CP"));
    CHECK("nothing was answered", station_recent(&s, 1) == NULL && !station_meter_is_repeat(&s, 1));
    for (uint64_t i = 1; i <= STATION_RECENT_MAX + 1; i++) {
        int len = snprintf(text, sizeof text, "answer %*llu", (int)(i % 3 * 5), (unsigned long long)i);
        station_remember(&s, i, (struct str){text, (size_t)len});
        station_remember_meter(&s, i);
        CHECK("the first answer again",
              str_eq((struct str){station_recent(&s, i)->answer, station_recent(&s, i)->answer_len},
                     (struct str){text, (size_t)len}));
    }
    CHECK("the oldest is forgotten", station_recent(&s, 1) == NULL && station_recent(&s, 2) != NULL);
    CHECK("so are readings", !station_meter_is_repeat(&s, 1) && station_meter_is_repeat(&s, 2));
    for (int64_t i = 0; i < STATION_ORPHANS_MAX + 1; i++)
        station_add_orphan(&s, &(struct orphan){.meter_stop_wh = i});
    CHECK("the oldest orphan makes room", s.orphans[0].meter_stop_wh == 1 && s.orphans[0].is_set &&
                                              s.orphans[STATION_ORPHANS_MAX - 1].meter_stop_wh == STATION_ORPHANS_MAX);
    s.orphans[1].is_set = false;
    station_add_orphan(&s, &(struct orphan){.meter_stop_wh = 9});
    CHECK("one that is dealt with makes room before one that waits",
          s.orphans[0].meter_stop_wh == 1 && s.orphans[1].meter_stop_wh == 3 &&
              s.orphans[STATION_ORPHANS_MAX - 1].meter_stop_wh == 9);
    station_release(&s);
}

int main(void)
{
    check_registration();
    check_connectors();
    check_transactions();
    check_keys();
    check_tag_copies();
    check_repeats();
    return CHECK_REPORT();
}
