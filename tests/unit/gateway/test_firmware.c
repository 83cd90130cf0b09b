/* Firmware to piles: packets that hold what they say they hold, whatever the device says meanwhile; one outcome of its
 * command; what becomes of it when file, pile, registration or process go. */
#include "gatekit.h"

#define FILE_1   "0197a1b2-0000-7000-8000-000000000001"
#define FILE_2   "0197a1b2-0000-7000-8000-000000000002"
#define UPDATE_1 "{\"fileId\":\"" FILE_1 "\",\"confirm\":true}"
#define UPDATE_2 "{\"fileId\":\"" FILE_2 "\",\"confirm\":true}"
#define CHUNK    200
#define IMAGE    (5 * CHUNK + 50) /* six packets, the last one short */
#define PACKETS  6
#define TALK     90

static const char *const quick[] = {"ap3000.firmware_timeout_s=1"};

static uint8_t image[IMAGE];

struct row {
    struct kit *kit;
    const struct file *file;
};
static enum err put_row(struct db *d, void *arg, struct fault *why)
{
    const struct row *r = arg;
    (void)why;
    return file_row_add(d, r->kit->files, r->file);
}

static enum err make_row(void *arg, const struct file *f)
{
    struct fault why;
    struct row r = {arg, f};
    return bus_write(r.kit->bus, put_row, &r, &why);
}

static void add_file(struct kit *k, const char *id)
{
    struct fault why;
    for (size_t i = 0; i < sizeof image; i++)
        image[i] = (uint8_t)(i * 7 + i / CHUNK);
    struct upload u = {.file = {.file_id = str_of(id),
                                .name = str_of(id),
                                .kind = STR(FILE_KIND_FIRMWARE),
                                .created_by = STR("tests"),
                                .created_at = {1000000}},
                       .content = {image, sizeof image},
                       .make_row = make_row,
                       .arg = k};
    file_measure(u.content, &u.file);
    check(file_add(k->files, &u, &why) == OK);
}

static void begin(struct kit *k, struct kit_line *l, const char *const *sets, size_t count)
{
    kit_open(k, sets, count);
    kit_start(k);
    add_file(k, FILE_1);
    add_file(k, FILE_2);
    kit_connect(k, l, NULL);
    kit_arrive(k, l, KIT_A);
    kit_settle_tables(k);
}

static void acknowledge(struct kit_line *l, const struct kit_frame *f, unsigned result, unsigned index)
{
    char hex[16];
    (void)snprintf(hex, sizeof hex, "%02X%02X%02X", result, index & 0xFF, index >> 8);
    kit_say(l, f->id, f->message_id, 0xE0, hex);
}

static unsigned index_of(const struct kit_frame *f)
{
    return le16(f->payload + 2);
}

/* Does the packet hold the part of the image that it says it is? */
static bool is_whole(const struct kit_frame *f)
{
    size_t at = (index_of(f) - 1u) * CHUNK, len = at + CHUNK > IMAGE ? IMAGE - at : CHUNK;
    if (f->len != 4 + CHUNK || at >= IMAGE || memcmp(f->payload + 4, image + at, len) != 0)
        return false;
    for (size_t i = len; i < CHUNK; i++)
        if (f->payload[4 + i] != 0)
            return false;
    return true;
}

/* Takes packets from first on, each acknowledged, as far as last. */
static void take_packets(struct kit *k, struct kit_line *l, uint32_t id, unsigned first, unsigned last)
{
    for (unsigned i = first; i <= last; i++) {
        struct kit_frame *f = kit_expect(k, "a packet", l, id, 0xE0);
        if (f == NULL)
            return;
        CHECK("is the next one", index_of(f) == i);
        CHECK("and holds its part of the image", is_whole(f));
        acknowledge(l, f, 0, i);
    }
}

static bool has_no_transfer(void *arg)
{
    struct slot *s = kit_slot(arg, KIT_A_NAME);
    return s == NULL || s->firmware == NULL;
}

static bool is_offline(void *arg)
{
    return !kit_is_online(arg, KIT_A_NAME);
}

static void hang_up(struct kit *k, struct kit_line *l)
{
    kit_hang_up(k, l);
    (void)kit_until(k, "its line ends", is_offline, k);
}

static unsigned count_status(struct kit *k, const char *status)
{
    char text[64];
    (void)snprintf(text, sizeof text, "\"status\":\"%s\"", status);
    return kit_count(k, EVENT_FIRMWARE_STATUS, KIT_A_NAME, text);
}

/* --- packets --- */

static void test_whole_image(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, NULL, 0);
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    take_packets(&k, &l, KIT_A, 1, PACKETS);
    kit_expect_end(&k, "the device took it", &c, "answered", "");
    (void)kit_until(&k, "it is over", has_no_transfer, &k);
    CHECK("and told", count_status(&k, "Downloaded") == 1 && count_status(&k, "DownloadFailed") == 0);
    CHECK("sent once", kit_count(&k, EVENT_COMMAND_SENT, KIT_A_NAME, NULL) == 1);
    kit_close(&k);
}

/* A device that acknowledges what it has not had: it gets packets that hold what they say, and nothing falls over. */
static void test_hasty_device(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, NULL, 0);
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    struct kit_frame *f = kit_expect(&k, "the first packet", &l, KIT_A, 0xE0);
    for (unsigned i = 1; f != NULL && i < PACKETS; i++) {
        acknowledge(&l, f, 0, i);
        for (uint16_t n = 0; i == 1 && n < TALK; n++) /* so that its part is read when the next one is acknowledged */
            kit_say(&l, KIT_A, (uint16_t)(500 + n), 0x06, "00");
    }
    kit_fence(&k, "all in one go", &l, KIT_A);
    f = kit_expect(&k, "the next packet", &l, KIT_A, 0xE0);
    while (f != NULL && index_of(f) < PACKETS) {
        CHECK("a packet on the way to the last holds its part", is_whole(f));
        f = kit_expect(&k, "one more", &l, KIT_A, 0xE0);
    }
    CHECK("the last one too", f != NULL && is_whole(f));
    if (f != NULL)
        acknowledge(&l, f, 0, PACKETS);
    (void)kit_until(&k, "it is over", has_no_transfer, &k);
    for (size_t i = 0; i < l.count; i++)
        CHECK("every packet", l.frames[i].command != 0xE0 || is_whole(&l.frames[i]));
    kit_close(&k);
}

/* What it says before anything has left is about nothing. */
static void test_early_device(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, quick, COUNT_OF(quick));
    atomic_store(&kit_is_log_full, true);
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    kit_fence(&k, "it is asked for", &l, KIT_A);
    for (unsigned i = 0; i < 20; i++) {
        kit_say(&l, KIT_A, 7, 0xE0, "00 0100");
        kit_fence(&k, "an acknowledgement of nothing", &l, KIT_A);
    }
    CHECK("no packet leaves before \"sent\" is durable", !kit_has(&l, KIT_A, 0xE0));
    CHECK("and none is taken as had", c.done == 0);
    atomic_store(&kit_is_log_full, false);
    take_packets(&k, &l, KIT_A, 1, PACKETS);
    kit_expect_end(&k, "then it goes its way", &c, "answered", "");
    kit_close(&k);
}

/* --- its command's outcome --- */

static void test_outcomes(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, quick, COUNT_OF(quick));
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    struct kit_frame *f = kit_expect(&k, "a packet", &l, KIT_A, 0xE0);
    if (f != NULL)
        acknowledge(&l, f, 3, 1);
    kit_expect_end(&k, "refused by the device", &c, "answered", "DEVICE_REJECTED");
    (void)kit_until(&k, "it is over", has_no_transfer, &k);

    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    for (unsigned i = 0; i < 4; i++) {
        f = kit_expect(&k, "a packet that the device calls wrong", &l, KIT_A, 0xE0);
        if (f != NULL)
            acknowledge(&l, f, 1, 1);
    }
    kit_expect_end(&k, "is an answer too", &c, "answered", "DEVICE_REJECTED");
    (void)kit_until(&k, "it is over", has_no_transfer, &k);

    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    for (unsigned i = 0; i < 4; i++)
        (void)kit_expect(&k, "a packet without an answer is sent four times", &l, KIT_A, 0xE0);
    kit_expect_end(&k, "then nobody knows", &c, "unknown", "NO_ANSWER");
    (void)kit_until(&k, "it is over", has_no_transfer, &k);
    CHECK("three failed", count_status(&k, "DownloadFailed") == 3);
    kit_close(&k);
}

static void test_file_goes(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    char path[KIT_PATH_MAX + 64];
    begin(&k, &l, quick, COUNT_OF(quick));
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    take_packets(&k, &l, KIT_A, 1, 2);
    kit_expect_end(&k, "it began", &c, "answered", "");
    (void)kit_expect(&k, "the third packet", &l, KIT_A, 0xE0);
    (void)snprintf(path, sizeof path, "%s/%s", k.files_dir, FILE_1);
    check(unlink(path) == 0);
    (void)kit_until(&k, "a file that goes meanwhile ends it", has_no_transfer, &k);
    CHECK("and that is told", count_status(&k, "DownloadFailed") == 1);

    (void)snprintf(path, sizeof path, "%s/%s", k.files_dir, FILE_2);
    check(unlink(path) == 0);
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_2);
    kit_expect_end(&k, "one that went before its first packet", &c, "not_sent", "INVALID_COMMAND_PAYLOAD");
    kit_close(&k);
}

/* --- the pile goes --- */

static void test_goes_before_it_begins(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, quick, COUNT_OF(quick));
    atomic_store(&kit_is_log_full, true);
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    kit_fence(&k, "it is asked for", &l, KIT_A);
    hang_up(&k, &l);
    atomic_store(&kit_is_log_full, false);
    kit_expect_end(&k, "a pile that was not there for it", &c, "not_sent", "DEVICE_OFFLINE");
    (void)kit_until(&k, "is not sent it later", has_no_transfer, &k);
    kit_connect(&k, &l, NULL);
    kit_fence(&k, "when it is back", &l, KIT_A);
    CHECK("no packet", !kit_has(&l, KIT_A, 0xE0));
    kit_close(&k);
}

static void test_goes_before_it_answers(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, quick, COUNT_OF(quick));
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    (void)kit_expect(&k, "the first packet", &l, KIT_A, 0xE0);
    hang_up(&k, &l);
    kit_expect_end(&k, "its command is not waited for for ever", &c, "unknown", "CONNECTION_LOST");
    kit_connect(&k, &l, NULL);
    kit_fence(&k, "but when it is back", &l, KIT_A);
    take_packets(&k, &l, KIT_A, 1, PACKETS);
    (void)kit_until(&k, "the transfer goes on", has_no_transfer, &k);
    CHECK("to its end", count_status(&k, "Downloaded") == 1);
    kit_close(&k);
}

static void test_goes_and_comes(void)
{
    struct kit k;
    static struct kit_line l, other;
    struct kit_command c;
    begin(&k, &l, NULL, 0);
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    take_packets(&k, &l, KIT_A, 1, 3);
    (void)kit_expect(&k, "the fourth", &l, KIT_A, 0xE0);
    kit_connect(&k, &other, NULL);
    kit_fence(&k, "it moves to another line", &other, KIT_A);
    take_packets(&k, &other, KIT_A, 4, PACKETS);
    (void)kit_until(&k, "and has all of it", has_no_transfer, &k);
    CHECK("once", count_status(&k, "Downloaded") == 1);
    kit_close(&k);
}

static void test_is_not_accepted_any_more(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, NULL, 0);
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    take_packets(&k, &l, KIT_A, 1, 1);
    (void)kit_expect(&k, "the second", &l, KIT_A, 0xE0);
    kit_register(&k, KIT_A_NAME, "pending");
    (void)kit_until(&k, "who is not accepted gets no firmware", has_no_transfer, &k);
    CHECK("and that is told", count_status(&k, "DownloadFailed") == 1);
    kit_register(&k, KIT_A_NAME, "accepted");
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    (void)kit_expect(&k, "it may have it again", &l, KIT_A, 0xE0);
    kit_sql(&k, "DELETE FROM charge_points");
    gateway_station_deleted(k.gateway, STR(KIT_A_NAME));
    kit_expect_end(&k, "deleted before it answered", &c, "unknown", "NO_ANSWER");
    (void)kit_until(&k, "it gets no more", has_no_transfer, &k);
    kit_close(&k);
}

/* --- two of them --- */

static void test_two(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command first, second, third;
    begin(&k, &l, NULL, 0);
    kit_arrive(&k, &l, KIT_B);
    kit_submit(&k, &first, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    take_packets(&k, &l, KIT_A, 1, 1);
    kit_expect_end(&k, "one is under way", &first, "answered", "");
    kit_submit(&k, &second, KIT_B_NAME, "UpdateFirmware", UPDATE_2);
    kit_expect_end(&k, "on a bus there is one at a time", &second, "not_sent", "NOT_ALLOWED_NOW");
    kit_submit(&k, &third, KIT_A_NAME, "UpdateFirmware", UPDATE_2);
    (void)kit_until(&k, "a second one to the same pile", kit_is_queued, &third);
    CHECK("waits", third.done == 0);
    take_packets(&k, &l, KIT_A, 2, PACKETS);
    take_packets(&k, &l, KIT_A, 1, PACKETS);
    kit_expect_end(&k, "and comes after it", &third, "answered", "");
    (void)kit_until(&k, "both are over", has_no_transfer, &k);
    CHECK("two", count_status(&k, "Downloaded") == 2);
    kit_close(&k);
}

/* --- the process goes --- */

static void test_restart(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    char state[32];
    begin(&k, &l, NULL, 0);
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    take_packets(&k, &l, KIT_A, 1, 3);
    (void)kit_expect(&k, "the fourth", &l, KIT_A, 0xE0);
    kit_settle_tables(&k);
    kit_restart(&k);
    kit_query(&k, "SELECT state FROM firmware_jobs", state, sizeof state);
    CHECK("a stop does not end it", strcmp(state, "Downloading") == 0);
    kit_connect(&k, &l, NULL);
    kit_fence(&k, "the pile comes to the next life", &l, KIT_A);
    struct kit_frame *f = kit_expect(&k, "where it goes on", &l, KIT_A, 0xE0);
    CHECK("near where it was", f != NULL && index_of(f) > 1 && is_whole(f));
    if (f != NULL) {
        acknowledge(&l, f, 0, index_of(f));
        take_packets(&k, &l, KIT_A, index_of(f) + 1, PACKETS);
    }
    (void)kit_until(&k, "to the end", has_no_transfer, &k);
    CHECK("told once", count_status(&k, "Downloaded") == 1);
    kit_close(&k);
}

static void test_stop_before_an_answer(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    char id[65];
    begin(&k, &l, NULL, 0);
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    (void)kit_expect(&k, "the first packet", &l, KIT_A, 0xE0);
    (void)kit_drain(&k, "it stops");
    CHECK("its command ends", c.done == 1 && strcmp(c.outcome, "unknown") == 0);
    memcpy(id, c.id, sizeof id);
    kit_tear_down(&k);
    kit_start(&k);
    kit_connect(&k, &l, NULL);
    kit_fence(&k, "the transfer does not", &l, KIT_A);
    take_packets(&k, &l, KIT_A, 1, PACKETS);
    (void)kit_until(&k, "it goes on", has_no_transfer, &k);
    CHECK("one outcome", kit_count(&k, EVENT_COMMAND_RESPONSE, NULL, id) == 1);
    kit_close(&k);
}

/* Reading of the file that is never begun, since the workers are gone. */
static void test_stop_while_reading(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    char state[32];
    begin(&k, &l, NULL, 0);
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    struct kit_frame *f = kit_expect(&k, "the first packet", &l, KIT_A, 0xE0);
    if (f != NULL)
        acknowledge(&l, f, 0, 1);
    for (unsigned i = 0; f != NULL && i < 40; i++)
        acknowledge(&l, f, 0, 2 + i % 2);
    (void)kit_drain(&k, "it stops");
    kit_tear_down(&k);
    kit_start(&k);
    kit_query(&k, "SELECT state FROM firmware_jobs", state, sizeof state);
    CHECK("the transfer is where it was", strcmp(state, "Downloading") == 0);
    kit_close(&k);
}

static void test_kill(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    char id[65];
    begin(&k, &l, NULL, 0);
    kit_submit(&k, &c, KIT_A_NAME, "UpdateFirmware", UPDATE_1);
    (void)kit_expect(&k, "the first packet", &l, KIT_A, 0xE0);
    memcpy(id, c.id, sizeof id);
    kit_crash(&k); /* at once: what had to be on disk before it left is there */
    CHECK("its command was sent, and nobody knows more",
          kit_count(&k, EVENT_COMMAND_SENT, NULL, id) == 1 && kit_count(&k, EVENT_COMMAND_RESPONSE, NULL, id) == 1);
    kit_connect(&k, &l, NULL);
    kit_fence(&k, "the pile comes", &l, KIT_A);
    take_packets(&k, &l, KIT_A, 1, PACKETS);
    (void)kit_until(&k, "and gets all of it", has_no_transfer, &k);
    CHECK("not sent again as a command", kit_count(&k, EVENT_COMMAND_SENT, NULL, id) == 1);
    kit_close(&k);
}

int main(void)
{
    test_whole_image();
    test_hasty_device();
    test_early_device();
    test_outcomes();
    test_file_goes();
    test_goes_before_it_begins();
    test_goes_before_it_answers();
    test_goes_and_comes();
    test_is_not_accepted_any_more();
    test_two();
    test_restart();
    test_stop_before_an_answer();
    test_stop_while_reading();
    test_kill();
    return CHECK_REPORT();
}
