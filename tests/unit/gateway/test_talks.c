/* Commands to piles: each has one outcome, and "not sent" means that nothing left, wherever its pile, its line, the
 * disk and the process are when. */
#include "gatekit.h"

#define START_1 "{\"idTag\":\"TAG1\",\"connectorId\":1}"
#define START_2 "{\"idTag\":\"TAG2\",\"connectorId\":2}"

static const char *const quick[] = {"ap3000.answer_timeout_s=1"};

static void begin(struct kit *k, struct kit_line *l, const char *const *sets, size_t count)
{
    kit_open(k, sets, count);
    kit_start(k);
    kit_connect(k, l, NULL);
    kit_arrive(k, l, KIT_A);
    kit_settle_tables(k);
}

static struct pile_order *order_of(struct kit *k)
{
    struct slot *s = kit_slot(k, KIT_A_NAME);
    return s == NULL || s->pile->order_count == 0 ? NULL : &s->pile->orders[s->pile->order_count - 1];
}

static bool is_in_state(struct kit *k, enum order_state state)
{
    const struct pile_order *o = order_of(k);
    return o != NULL && o->state == state;
}

/* The pile's answer to 0x82: it has done it. */
static void answer_start(struct kit_line *l, const struct kit_frame *f, unsigned code)
{
    char hex[64];
    const uint8_t *no = f->payload + 9; /* behind mode, balance, port, command, duration */
    int n = snprintf(hex, sizeof hex, "%02X", code);
    for (size_t i = 0; i < AP3000_ORDER_SIZE; i++)
        n += snprintf(hex + n, sizeof hex - (size_t)n, "%02X", no[i]);
    (void)snprintf(hex + n, sizeof hex - (size_t)n, "%02X", f->payload[5]);
    kit_say(l, f->id, f->message_id, 0x82, hex);
}

static bool is_offline(void *arg)
{
    return !kit_is_online(arg, KIT_A_NAME);
}

static bool is_under_way(void *arg)
{
    struct slot *s = kit_slot(arg, KIT_A_NAME);
    return s != NULL && s->outstanding != NULL;
}

static void hang_up(struct kit *k, struct kit_line *l)
{
    kit_hang_up(k, l);
    (void)kit_until(k, "its line ends", is_offline, k);
}

/* --- sent or not --- */

static void test_never_left(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, NULL, 0);
    atomic_store(&kit_is_log_full, true);
    kit_submit(&k, &c, KIT_A_NAME, "RemoteStartTransaction", START_1);
    (void)kit_until(&k, "a start waits for the disk", is_under_way, &k);
    hang_up(&k, &l);
    atomic_store(&kit_is_log_full, false);
    kit_expect_end(&k, "its line ended meanwhile", &c, "not_sent", "DEVICE_OFFLINE");
    CHECK("and its order has failed", is_in_state(&k, ORDER_FAILED));
    kit_close(&k);
}

/* Answers leave before commands; one that has waited too long is not sent late. */
static void test_no_turn(void)
{
    static const char *const sets[] = {"ap3000.answer_timeout_s=1", "ap3000.frame_spacing_ms=60000"};
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, sets, COUNT_OF(sets));
    kit_submit(&k, &c, KIT_A_NAME, "RemoteStartTransaction", START_1);
    kit_expect_end(&k, "a start that has no turn", &c, "not_sent", "THROTTLED");
    CHECK("does not stay in the queue", pile_of(kit_slot(&k, KIT_A_NAME)->session)->out_count == 0);
    CHECK("and its order has failed", is_in_state(&k, ORDER_FAILED));
    CHECK("nothing left", !kit_has(&l, KIT_A, 0x82));
    kit_close(&k);
}

static void test_repeated_then_unknown(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, quick, COUNT_OF(quick));
    kit_submit(&k, &c, KIT_A_NAME, "RemoteStartTransaction", START_1);
    struct kit_frame *first = kit_expect(&k, "a start", &l, KIT_A, 0x82);
    struct kit_frame *again = kit_expect(&k, "is repeated", &l, KIT_A, 0x82);
    CHECK("to the byte", first != NULL && again != NULL && first->message_id == again->message_id &&
                             first->len == again->len && memcmp(first->payload, again->payload, first->len) == 0);
    kit_expect_end(&k, "without an answer nobody knows", &c, "unknown", "NO_ANSWER");
    CHECK("whether it runs", is_in_state(&k, ORDER_UNCERTAIN));
    (void)kit_expect(&k, "so the pile is asked", &l, KIT_A, 0x81);
    kit_close(&k);
}

/* 3.3: the repeat goes where the pile is by then, with the same bytes. */
static void test_moves(void)
{
    struct kit k;
    static struct kit_line l, other;
    struct kit_command c;
    begin(&k, &l, quick, COUNT_OF(quick));
    kit_submit(&k, &c, KIT_A_NAME, "RemoteStartTransaction", START_1);
    struct kit_frame *first = kit_expect(&k, "a start", &l, KIT_A, 0x82);
    hang_up(&k, &l);
    kit_connect(&k, &other, NULL);
    kit_fence(&k, "the pile is back", &other, KIT_A);
    struct kit_frame *again = kit_expect(&k, "and is told once more", &other, KIT_A, 0x82);
    CHECK("the same", first != NULL && again != NULL && first->message_id == again->message_id);
    if (again != NULL)
        answer_start(&other, again, 0);
    kit_expect_end(&k, "what it answers there counts", &c, "answered", "");
    CHECK("it runs", is_in_state(&k, ORDER_CHARGING));
    kit_close(&k);
}

static void test_gone_for_good(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, quick, COUNT_OF(quick));
    kit_submit(&k, &c, KIT_A_NAME, "RemoteStartTransaction", START_1);
    (void)kit_expect(&k, "a start", &l, KIT_A, 0x82);
    hang_up(&k, &l);
    kit_expect_end(&k, "whose pile does not come back", &c, "unknown", "CONNECTION_LOST");
    CHECK("may have been carried out", is_in_state(&k, ORDER_UNCERTAIN));
    kit_close(&k);
}

/* Its frame waited for its turn when its line ended. */
static void test_waits_for_its_turn_elsewhere(void)
{
    static const char *const sets[] = {"ap3000.answer_timeout_s=5", "ap3000.frame_spacing_ms=60000"};
    struct kit k;
    static struct kit_line l, other;
    struct kit_command c;
    begin(&k, &l, sets, COUNT_OF(sets));
    kit_submit(&k, &c, KIT_A_NAME, "Ap3000.Find", "{\"seconds\":5}");
    (void)kit_until(&k, "it is taken on", kit_is_queued, &c);
    kit_settle(&k);
    hang_up(&k, &l);
    kit_connect(&k, &other, NULL);
    kit_say(&other, KIT_A, 9, 0x06, "00"); /* asks for no answer, so the first turn is the command's */
    struct kit_frame *f = kit_expect(&k, "it leaves on the next line", &other, KIT_A, 0x96);
    if (f != NULL)
        kit_say(&other, KIT_A, f->message_id, 0x96, "00");
    kit_expect_end(&k, "and is answered there", &c, "answered", "");
    kit_close(&k);
}

/* An answer ends it, and with it the repeat that is still to leave. */
static void test_repeat_is_taken_back(void)
{
    static const char *const sets[] = {"ap3000.answer_timeout_s=1", "ap3000.frame_spacing_ms=1500"};
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, sets, COUNT_OF(sets));
    struct pile_session *p = pile_of(kit_slot(&k, KIT_A_NAME)->session);
    p->sent_ms = 0; /* as if its last frame had been long ago */
    kit_submit(&k, &c, KIT_A_NAME, "Ap3000.Find", "{\"seconds\":5}");
    struct kit_frame *f = kit_expect(&k, "a command", &l, KIT_A, 0x96);
    kit_say(&l, KIT_A, 9, 0x22, "");
    (void)kit_expect(&k, "an answer in its turn, and the repeat behind it", &l, KIT_A, 0x22);
    CHECK("waits", p->out_count == 1);
    if (f != NULL)
        kit_say(&l, KIT_A, f->message_id, 0x96, "00");
    kit_expect_end(&k, "until the first one is answered", &c, "answered", "");
    CHECK("then it does not leave any more", p->out_count == 0);
    kit_close(&k);
}

/* --- the queue --- */

static void test_queue_goes_on(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command first, second, third;
    begin(&k, &l, NULL, 0);
    hang_up(&k, &l);
    kit_submit(&k, &first, KIT_A_NAME, "RemoteStartTransaction", START_1);
    kit_submit(&k, &second, KIT_A_NAME, "RemoteStartTransaction", START_1);
    kit_submit(&k, &third, KIT_A_NAME, "Ap3000.Find", "{\"seconds\":5}");
    (void)kit_until(&k, "all wait for the pile", kit_is_queued, &third);
    kit_connect(&k, &l, NULL);
    kit_fence(&k, "it is back", &l, KIT_A);
    struct kit_frame *f = kit_expect(&k, "the first leaves", &l, KIT_A, 0x82);
    if (f != NULL)
        answer_start(&l, f, 0);
    kit_expect_end(&k, "and is answered", &first, "answered", "");
    (void)kit_expect(&k, "since an order was open when it came back, it is asked", &l, KIT_A, 0x81);
    kit_say(&l, KIT_A, 9, 0x21, "9808 02 01 00");
    kit_expect_end(&k, "the second has no port any more", &second, "not_sent", "NOT_ALLOWED_NOW");
    f = kit_expect(&k, "the third does not wait behind it", &l, KIT_A, 0x96);
    if (f != NULL)
        kit_say(&l, KIT_A, f->message_id, 0x96, "00");
    kit_expect_end(&k, "and is answered", &third, "answered", "");
    kit_close(&k);
}

static void test_firmware_that_cannot_begin(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command first, second, third;
    begin(&k, &l, NULL, 0);
    hang_up(&k, &l);
    kit_submit(&k, &first, KIT_A_NAME, "UpdateFirmware",
               "{\"fileId\":\"0197a1b2-0000-7000-8000-000000000001\",\"confirm\":true}");
    kit_submit(&k, &second, KIT_A_NAME, "UpdateFirmware",
               "{\"fileId\":\"0197a1b2-0000-7000-8000-000000000002\",\"confirm\":true}");
    kit_submit(&k, &third, KIT_A_NAME, "Ap3000.Find", "{\"seconds\":5}");
    (void)kit_until(&k, "all wait for the pile", kit_is_queued, &third);
    kit_connect(&k, &l, NULL);
    kit_fence(&k, "it is back", &l, KIT_A);
    kit_expect_end(&k, "a file that is not there", &first, "not_sent", "INVALID_COMMAND_PAYLOAD");
    kit_expect_end(&k, "nor is the next", &second, "not_sent", "INVALID_COMMAND_PAYLOAD");
    (void)kit_expect(&k, "what comes then is sent", &l, KIT_A, 0x96);
    kit_close(&k);
}

static void test_queued_at_the_end(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    char outcome[32];
    begin(&k, &l, NULL, 0);
    hang_up(&k, &l);
    kit_submit(&k, &c, KIT_A_NAME, "Ap3000.Find", "{\"seconds\":5}");
    (void)kit_until(&k, "it waits for the pile", kit_is_queued, &c);
    kit_restart(&k);
    CHECK("no end in the life that stopped", c.done == 0);
    kit_connect(&k, &l, NULL);
    kit_fence(&k, "the pile comes to the next one", &l, KIT_A);
    struct kit_frame *f = kit_expect(&k, "and is sent it", &l, KIT_A, 0x96);
    if (f != NULL)
        kit_say(&l, KIT_A, f->message_id, 0x96, "00");
    kit_fence(&k, "it answers", &l, KIT_A);
    kit_settle_tables(&k);
    kit_query(&k, "SELECT outcome FROM commands", outcome, sizeof outcome);
    CHECK("one end", strcmp(outcome, "answered") == 0 && kit_count(&k, EVENT_COMMAND_RESPONSE, NULL, NULL) == 1);
    kit_close(&k);
}

/* --- stopping, killing --- */

static void test_stop_while_sent(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command sent, queued;
    begin(&k, &l, NULL, 0);
    kit_submit(&k, &sent, KIT_A_NAME, "RemoteStartTransaction", START_1);
    (void)kit_expect(&k, "a start", &l, KIT_A, 0x82);
    kit_submit(&k, &queued, KIT_A_NAME, "Ap3000.Find", "{\"seconds\":5}");
    (void)kit_until(&k, "and one behind it", kit_is_queued, &queued);
    (void)kit_drain(&k, "it stops");
    CHECK("what was sent", sent.done == 1 && strcmp(sent.outcome, "unknown") == 0);
    CHECK("and what was not", queued.done == 1 && strcmp(queued.outcome, "not_sent") == 0);
    kit_tear_down(&k);
    kit_start(&k);
    CHECK("are not ended again", kit_count(&k, EVENT_COMMAND_RESPONSE, NULL, NULL) >= 2 &&
                                     kit_count(&k, EVENT_COMMAND_RESPONSE, NULL, sent.id) == 1 &&
                                     kit_count(&k, EVENT_COMMAND_RESPONSE, NULL, queued.id) == 1);
    kit_close(&k);
}

static void test_stop_while_waiting_for_its_turn(void)
{
    static const char *const sets[] = {"ap3000.frame_spacing_ms=60000"};
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, sets, COUNT_OF(sets));
    kit_submit(&k, &c, KIT_A_NAME, "RemoteStartTransaction", START_1);
    (void)kit_until(&k, "it is taken on", kit_is_queued, &c);
    kit_settle(&k);
    (void)kit_drain(&k, "it stops");
    CHECK("what waited for its turn never left", c.done == 1 && strcmp(c.outcome, "not_sent") == 0);
    kit_tear_down(&k);
    kit_start(&k);
    kit_close(&k);
}

static void test_kill_while_starting(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, NULL, 0);
    kit_submit(&k, &c, KIT_A_NAME, "RemoteStartTransaction", START_1);
    (void)kit_expect(&k, "a start", &l, KIT_A, 0x82);
    kit_settle_tables(&k);
    char id[65];
    memcpy(id, c.id, sizeof id);
    kit_crash(&k);
    CHECK("one outcome", kit_count(&k, EVENT_COMMAND_RESPONSE, NULL, id) == 1 &&
                             kit_count(&k, EVENT_COMMAND_RESPONSE, NULL, "CONNECTION_LOST") >= 1);
    CHECK("nobody knows whether it runs", is_in_state(&k, ORDER_UNCERTAIN));
    kit_connect(&k, &l, NULL);
    kit_fence(&k, "the pile comes", &l, KIT_A);
    (void)kit_expect(&k, "and is asked", &l, KIT_A, 0x81);
    kit_close(&k);
}

/* What was being stopped runs, as far as anyone knows, and can be stopped again. */
static void test_kill_while_stopping(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    char payload[64];
    begin(&k, &l, NULL, 0);
    kit_submit(&k, &c, KIT_A_NAME, "RemoteStartTransaction", START_1);
    struct kit_frame *f = kit_expect(&k, "a start", &l, KIT_A, 0x82);
    if (f != NULL)
        answer_start(&l, f, 0);
    kit_expect_end(&k, "that works", &c, "answered", "");
    (void)snprintf(payload, sizeof payload, "{\"transactionId\":%u}",
                   order_of(&k) == NULL ? 0 : (unsigned)order_of(&k)->id);
    kit_submit(&k, &c, KIT_A_NAME, "RemoteStopTransaction", payload);
    (void)kit_expect(&k, "a stop", &l, KIT_A, 0x82);
    kit_settle_tables(&k);
    kit_crash(&k);
    CHECK("it is not being stopped for ever", is_in_state(&k, ORDER_CHARGING));
    CHECK("an operator sees it", kit_count(&k, EVENT_DEVICE_ALARM, KIT_A_NAME, "stop_failed") == 1);
    kit_connect(&k, &l, NULL);
    kit_fence(&k, "the pile comes", &l, KIT_A);
    kit_submit(&k, &c, KIT_A_NAME, "RemoteStopTransaction", payload);
    (void)kit_expect(&k, "and can be told to stop", &l, KIT_A, 0x82);
    kit_close(&k);
}

/* A station of OCPP that had the name of a pile before AP3000 was listened for. */
static void test_words_of_another_protocol(void)
{
    struct kit k;
    static struct kit_line l;
    begin(&k, &l, NULL, 0);
    kit_sql(&k,
            "INSERT INTO commands (command_id, charge_point_id, action, payload, origin, state, queued_at, expires_at,"
            " trace_id, urgent, position) VALUES"
            " ('c-1', 'AP13544000', 'ClearCache', '{}', 'api', 'sent', 1, 9000000000000000, '', 0, 1),"
            " ('c-2', 'AP13544000', 'ClearCache', '{}', 'api', 'queued', 1, 9000000000000000, '', 0, 2)");
    kit_restart(&k);
    CHECK("what was sent is unknown", kit_count(&k, EVENT_COMMAND_RESPONSE, NULL, "\"c-1\"") == 1 &&
                                          kit_count(&k, EVENT_COMMAND_RESPONSE, NULL, "CONNECTION_LOST") == 1);
    CHECK("what was not is no word of a pile",
          kit_count(&k, EVENT_COMMAND_RESPONSE, NULL, "UNSUPPORTED_BY_DEVICE") == 1);
    kit_close(&k);
}

/* --- what is seen of it --- */

/* A frame is one row of the message view. */
static unsigned count_frames_of(struct kit *k, const char *hex)
{
    struct log_reader *r;
    struct event e;
    struct fault why;
    unsigned n = 0;
    kit_settle(k);
    check(reader_open(str_of(k->log_dir), &r, &why) == OK);
    reader_seek(r, 1);
    while (reader_next(r, &e, &why) == OK)
        n += e.frame.len > 0 && memmem(e.frame.at, e.frame.len, hex, strlen(hex)) != NULL;
    reader_close(r);
    return n;
}

static void test_answer_is_shown_once(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    begin(&k, &l, NULL, 0);
    kit_submit(&k, &c, KIT_A_NAME, "RemoteStartTransaction", START_2);
    struct kit_frame *f = kit_expect(&k, "a start", &l, KIT_A, 0x82);
    if (f == NULL) {
        kit_close(&k);
        return;
    }
    uint8_t frame[AP3000_SENT_SIZE_MAX];
    struct buf hex;
    buf_init(&hex, 2 * sizeof frame + 1);
    kit_say(&l, KIT_A, f->message_id, 0x82, "01");
    kit_expect_end(&k, "is refused", &c, "answered", "DEVICE_REJECTED");
    size_t size = kit_write(KIT_A, f->message_id, 0x82, "01", frame);
    (void)hex_of(&hex, (struct bytes){frame, size});
    buf_put_byte(&hex, 0);
    CHECK("its answer is in the log once", count_frames_of(&k, (const char *)hex.at) == 1);
    buf_release(&hex);
    kit_close(&k);
}

int main(void)
{
    test_never_left();
    test_no_turn();
    test_repeated_then_unknown();
    test_moves();
    test_gone_for_good();
    test_waits_for_its_turn_elsewhere();
    test_repeat_is_taken_back();
    test_queue_goes_on();
    test_firmware_that_cannot_begin();
    test_queued_at_the_end();
    test_stop_while_sent();
    test_stop_while_waiting_for_its_turn();
    test_kill_while_starting();
    test_kill_while_stopping();
    test_words_of_another_protocol();
    test_answer_is_shown_once();
    return CHECK_REPORT();
}
