/* What is told of a session comes back as it was packed; whatever is cut or changed is refused or read, never past its end. */
#include "check.h"
#include "services/charging/announcement.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *row, *texts[ANNOUNCED_TEXT_COUNT];
    int64_t numbers[ANNOUNCED_NUMBER_COUNT];
    unsigned numbers_set; /* bits */
} rows[] = {
    {"nothing", {NULL}, {0}, 0},
    {"all", {"CP-1", "o", "42", "ocpp16", "remote", "****1234", "device", "measured", "completed", "charging", "unplugged",
             "EVDisconnected", "", "0123456789abcdef"},
     {2, 1, 1795895169637000, 1795895269637000, 100, 5, 1005, 1000, 7215, 7000, 0}, 0x7ff},
    {"negative and extreme", {[ANNOUNCED_STATION] = "CP-2"}, {INT64_MIN, INT64_MAX, -1, 0, 1, -64, 63, 64, -65, 8191, 8192}, 0x7ff},
    {"some", {[ANNOUNCED_STATUS] = "failed", [ANNOUNCED_CODE] = "refused"}, {7, 0, 9}, 5},
};

static struct announcement announcement_of(size_t i)
{
    struct announcement a = {{{NULL, 0}}, {{0, false}}};
    for (size_t k = 0; k < ANNOUNCED_TEXT_COUNT; k++)
        if (rows[i].texts[k] != NULL)
            a.texts[k] = str_of(rows[i].texts[k]);
    for (size_t k = 0; k < ANNOUNCED_NUMBER_COUNT; k++)
        if ((rows[i].numbers_set >> k & 1) != 0)
            a.numbers[k] = (struct integer){rows[i].numbers[k], true};
    return a;
}

static bool is_same(const struct announcement *a, const struct announcement *b)
{
    for (size_t k = 0; k < ANNOUNCED_TEXT_COUNT; k++)
        if ((a->texts[k].at == NULL) != (b->texts[k].at == NULL) || !str_eq(a->texts[k], b->texts[k]))
            return false;
    for (size_t k = 0; k < ANNOUNCED_NUMBER_COUNT; k++)
        if (a->numbers[k].is_set != b->numbers[k].is_set ||
            (a->numbers[k].is_set && a->numbers[k].value != b->numbers[k].value))
            return false;
    return true;
}

static struct topic_message message_of(struct bytes body)
{
    return (struct topic_message){
        .key = STR("00000000-0000-7000-8000-000000000001"), .type = STR("session.ended"), .body = body, .at = {1795895269637000}};
}

/* A copy of just these bytes: reading past them is found by the sanitizer. */
static enum err parse_exactly(const uint8_t *at, size_t len, struct announcement *out)
{
    uint8_t *copy = malloc(len + 1);
    check(copy != NULL);
    memcpy(copy, at, len);
    struct topic_message m = message_of((struct bytes){copy, len});
    enum err e = announcement_parse(&m, out);
    free(copy);
    return e;
}

int main(void)
{
    uint8_t room[ANNOUNCEMENT_MAX];
    struct announcement out;
    struct buf json;
    buf_init(&json, 8192);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct announcement a = announcement_of(i);
        struct bytes body = announcement_pack(&a, room);
        struct topic_message m = message_of(body);
        CHECK(rows[i].row, announcement_parse(&m, &out) == OK && is_same(&a, &out));
        buf_clear(&json);
        CHECK(rows[i].row, announcement_write(&m, &json) == OK && json_check(buf_str(&json), NULL) == OK);
        for (size_t len = 0; len < body.len; len++)
            CHECK("cut", parse_exactly(room, len, &out) == ERR_CORRUPT);
        for (size_t at = 0; at < body.len * 8; at++) {
            room[at / 8] ^= (uint8_t)(1u << at % 8);
            enum err e = parse_exactly(room, body.len, &out);
            CHECK("changed", e == OK || e == ERR_CORRUPT || (at < 8 && e == ERR_UNSUPPORTED));
            room[at / 8] ^= (uint8_t)(1u << at % 8);
        }
    }
    struct announcement a = announcement_of(0);
    char *text = mem_new(1, ANNOUNCEMENT_MAX);
    memset(text, 'x', ANNOUNCEMENT_MAX);
    a.texts[ANNOUNCED_STATION] = (struct str){text, ANNOUNCEMENT_MAX};
    CHECK("too long", announcement_pack(&a, room).at == NULL);
    free(text);
    struct topic_message plain = message_of((struct bytes){(const uint8_t *)"{\"a\":1}", 7});
    buf_clear(&json);
    CHECK("JSON stays as it is", announcement_write(&plain, &json) == OK && str_eq(buf_str(&json), STR("{\"a\":1}")));
    buf_release(&json);
    return CHECK_REPORT();
}
