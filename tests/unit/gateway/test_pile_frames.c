/* Frames of piles: what is answered at once and what only when it is stored, also while the disk or the tables stand
 * still; what becomes of what waits when its connection ends. */
#include "gatekit.h"

/* Duration, highest power, energy, port, start mode, card, reason; then its order number. */
#define SETTLED_HEAD "3C00 E803 0A00 00 01 00000000 01 "
#define NUMBERS_MAX  200

static const char *settlement(unsigned n)
{
    static char hex[128];
    (void)snprintf(hex, sizeof hex, "%s20260301155030007A8D05DD%08X", SETTLED_HEAD, n);
    return hex;
}

/* One that nobody can read is kept for a person, and needs no look-up. */
static const char *unreadable(unsigned n)
{
    static char hex[16];
    (void)snprintf(hex, sizeof hex, "%08X", n);
    return hex;
}

static struct session *session_of(struct kit *k, const char *station)
{
    struct slot *s = kit_slot(k, station);
    return s == NULL ? NULL : s->session;
}

static bool is_looking_up(void *arg)
{
    const struct session *s = session_of(arg, KIT_A_NAME);
    return s != NULL && (s->pauses & PAUSE_LOOKUP) != 0;
}

static bool is_paused(void *arg)
{
    const struct session *s = session_of(arg, KIT_A_NAME);
    return s != NULL && (s->pauses & PAUSE_HELD) != 0;
}

static bool has_no_session(void *arg)
{
    return session_of(arg, KIT_A_NAME) == NULL;
}

static void begin(struct kit *k, struct kit_line *l)
{
    kit_open(k, NULL, 0);
    kit_start(k);
    kit_connect(k, l, NULL);
    kit_arrive(k, l, KIT_A);
    kit_settle_tables(k);
}

static unsigned count_frames(const struct kit_line *l, uint8_t command)
{
    unsigned n = 0;
    for (size_t i = 0; i < l->count; i++)
        n += l->frames[i].command == command;
    return n;
}

/* --- tables that stand still --- */

/* Those of an order that a card began at the pile. */
static const char *by_card(unsigned n)
{
    static char hex[128];
    (void)snprintf(hex, sizeof hex, "3C00 E803 0A00 00 00 7A8D05DD 01 202603011550%02u7A8D05DD1354400030", n % 60);
    return hex;
}

/* So many that memory has dropped the first of them. */
static void settle_some(struct kit *k, struct kit_line *l)
{
    for (unsigned n = 0; n <= PILE_SETTLED_MAX; n++) {
        kit_say(l, KIT_A, (uint16_t)(100 + n), 0x03, by_card(n));
        (void)kit_expect(k, "what is not needed of the tables is not waited for", l, KIT_A, 0x03);
    }
}

static void test_tables_stuck(void)
{
    struct kit k;
    static struct kit_line l;
    begin(&k, &l);
    atomic_store(&kit_is_table_stuck, true);
    settle_some(&k, &l);
    kit_say(&l, KIT_A, 2, 0x21, "9808 02 01 00"); /* an event that the tables have not */
    (void)kit_expect(&k, "a heartbeat", &l, KIT_A, 0x21);
    unsigned settled = count_frames(&l, 0x03);
    kit_say(&l, KIT_A, 3, 0x03, by_card(0));
    (void)kit_until(&k, "a settlement waits for the tables", is_looking_up, &k);
    kit_say(&l, KIT_A, 4, 0x21, "9808 02 00 03");
    kit_say(&l, KIT_A, 5, 0x20, KIT_REGISTRATION);
    struct kit_frame *beat = kit_expect(&k, "a heartbeat does not wait for them", &l, KIT_A, 0x21);
    CHECK("and is answered as such", beat != NULL && beat->message_id == 4 && beat->len == 1 && beat->payload[0] == 0);
    (void)kit_expect(&k, "nor does a registration", &l, KIT_A, 0x20);
    kit_fence(&k, "nor time", &l, KIT_A);
    CHECK("the settlement does", count_frames(&l, 0x03) == settled);
    kit_unstick_tables(&k);
    (void)kit_expect(&k, "it is answered when they are there", &l, KIT_A, 0x03);
    kit_fence(&k, "and what waited behind it is decided", &l, KIT_A);
    CHECK("but not answered twice", count_frames(&l, 0x21) == 2 && count_frames(&l, 0x20) == 2);
    CHECK("its states are known", kit_slot(&k, KIT_A_NAME)->pile->ports[1] == 3);
    CHECK("it was the one that was settled before",
          kit_count(&k, EVENT_TRANSACTION_STOPPED, KIT_A_NAME, NULL) == PILE_SETTLED_MAX + 1);
    kit_close(&k);
}

/* --- what waits in quarantine --- */

static struct ended {
    unsigned count;
    enum err error;
} ended;

static void on_ended(void *data, enum err e, const struct fault *why)
{
    struct ended *end = data;
    (void)why;
    end->count++;
    end->error = e;
}

static bool has_ended(void *arg)
{
    return ended.count >= *(unsigned *)arg;
}

static bool is_accepted(void *arg)
{
    return kit_slot(arg, KIT_A_NAME)->station.registration == REGISTRATION_ACCEPTED;
}

/* A pile of which settlement 0 waits in quarantine, and which is accepted now. */
static void begin_with_quarantine(struct kit *k, struct kit_line *l, char *id, size_t size)
{
    static const char *const pending[] = {"device.unknown=pending"};
    kit_open(k, pending, COUNT_OF(pending));
    kit_start(k);
    kit_connect(k, l, NULL);
    kit_arrive(k, l, KIT_A);
    kit_say(l, KIT_A, 2, 0x03, by_card(0));
    (void)kit_expect(k, "of one that is not accepted it waits", l, KIT_A, 0x03);
    kit_settle_tables(k);
    kit_query(k, "SELECT quarantine_id FROM quarantine WHERE state = 'open'", id, size);
    kit_register(k, KIT_A_NAME, "accepted");
    (void)kit_until(k, "it is accepted", is_accepted, k);
    ended = (struct ended){0};
}

/* Booked once, whoever was first, and whatever the tables know of it. */
static void check_applied_once(struct kit *k, const char *by)
{
    char text[64];
    kit_settle_tables(k);
    kit_query(k, "SELECT state FROM quarantine", text, sizeof text);
    CHECK("it waits no longer", strcmp(text, "applied") == 0);
    kit_query(k, "SELECT resolved_by FROM quarantine", text, sizeof text);
    CHECK("by whom", strcmp(text, by) == 0);
    kit_query(k, "SELECT count(*) FROM quarantine q JOIN orders o ON o.transaction_id = q.applied_to", text,
              sizeof text);
    CHECK("and what became of it is said", strcmp(text, "1") == 0);
    kit_query(k, "SELECT count(*) FROM orders WHERE order_no LIKE '20260301155000%'", text, sizeof text);
    CHECK("one order", strcmp(text, "1") == 0);
    CHECK("resolved once", kit_count(k, EVENT_QUARANTINE_RESOLVED, KIT_A_NAME, NULL) == 1);
    CHECK("booked once", kit_count(k, EVENT_TRANSACTION_STOPPED, KIT_A_NAME, "20260301155000") == 1);
}

static void test_applied_after_it_was_sent_again(void)
{
    struct kit k;
    static struct kit_line l;
    char id[UUID_TEXT_SIZE];
    unsigned one = 1;
    begin_with_quarantine(&k, &l, id, sizeof id);
    kit_hold_tables();
    settle_some(&k, &l); /* it is sent again, and four more: memory has it no longer, and the tables not yet */
    CHECK("of which none waits", k.gateway->pile_quarantined == 0);
    gateway_apply_quarantine(k.gateway, str_of(id), STR(""), STR("ann"), on_ended, &ended);
    kit_fence(&k, "time goes on", &l, KIT_A);
    kit_release_tables();
    (void)kit_until(&k, "who applies it is told", has_ended, &one);
    CHECK("that it is resolved", ended.error == ERR_STATE);
    check_applied_once(&k, "sent again");
    kit_close(&k);
}

static void test_applied_twice_and_sent_again(void)
{
    struct kit k;
    static struct kit_line l;
    char id[UUID_TEXT_SIZE];
    unsigned two = 2;
    begin_with_quarantine(&k, &l, id, sizeof id);
    gateway_apply_quarantine(k.gateway, str_of(id), STR(""), STR("ann"), on_ended, &ended);
    gateway_apply_quarantine(k.gateway, str_of(id), STR(""), STR("ann"), on_ended, &ended);
    (void)kit_until(&k, "both are told", has_ended, &two);
    kit_hold_tables();
    settle_some(&k, &l);
    kit_say(&l, KIT_A, 8, 0x03, by_card(0));
    kit_fence(&k, "time goes on", &l, KIT_A);
    kit_release_tables();
    (void)kit_expect(&k, "it is answered again", &l, KIT_A, 0x03);
    check_applied_once(&k, "ann");
    kit_close(&k);
}

static void test_gone_while_looking_up(void)
{
    struct kit k;
    static struct kit_line l, other;
    begin(&k, &l);
    atomic_store(&kit_is_table_stuck, true);
    settle_some(&k, &l);
    kit_say(&l, KIT_A, 2, 0x21, "9808 02 01 00");
    kit_say(&l, KIT_A, 3, 0x03, by_card(0));
    kit_say(&l, KIT_A, 4, 0x03, settlement(1));
    (void)kit_until(&k, "a settlement waits", is_looking_up, &k);
    kit_hang_up(&k, &l);
    (void)kit_until(&k, "its line ends", has_no_session, &k);
    kit_connect(&k, &other, NULL);
    kit_fence(&k, "the pile is on another", &other, KIT_A);
    kit_unstick_tables(&k);
    kit_settle_tables(&k);
    kit_say(&other, KIT_A, 3, 0x03, by_card(0));
    (void)kit_expect(&k, "where it says it again", &other, KIT_A, 0x03);
    kit_settle_tables(&k);
    CHECK("one charge each", kit_count(&k, EVENT_TRANSACTION_STOPPED, KIT_A_NAME, NULL) == PILE_SETTLED_MAX + 1);
    kit_close(&k);
}

static void test_stops_while_looking_up(void)
{
    struct kit k;
    static struct kit_line l;
    begin(&k, &l);
    atomic_store(&kit_is_table_stuck, true);
    settle_some(&k, &l);
    kit_say(&l, KIT_A, 2, 0x21, "9808 02 01 00");
    kit_say(&l, KIT_A, 3, 0x03, by_card(0));
    kit_say(&l, KIT_A, 4, 0x03, settlement(1));
    (void)kit_until(&k, "a settlement waits", is_looking_up, &k);
    (void)kit_drain(&k, "and keeps nobody from stopping");
    kit_tear_down(&k);
    atomic_store(&kit_is_table_stuck, false);
    kit_start(&k);
    kit_close(&k);
}

/* --- a disk that stands still --- */

static void test_disk_stuck(void)
{
    struct kit k;
    static struct kit_line l;
    begin(&k, &l);
    atomic_store(&kit_is_log_full, true);
    for (unsigned i = 0; i < NUMBERS_MAX; i++) {
        kit_say(&l, KIT_A, (uint16_t)(10 + i), 0x03, unreadable(i));
        if (i == HELD_A_STATION_MAX + 10)
            (void)kit_until(&k, "no more is taken up than may wait", is_paused, &k);
    }
    kit_say(&l, KIT_A, 9, 0x21, KIT_HEARTBEAT);
    (void)kit_expect(&k, "a heartbeat is answered all the same", &l, KIT_A, 0x21);
    kit_fence(&k, "and time", &l, KIT_A);
    CHECK("nothing else is", count_frames(&l, 0x03) == 0);
    CHECK("what waits is bounded", pile_of(session_of(&k, KIT_A_NAME))->backlog.len <= PILE_BACKLOG_MAX);
    atomic_store(&kit_is_log_full, false);
    kit_settle(&k);
    for (unsigned i = 0; i < HELD_A_STATION_MAX; i++)
        (void)kit_expect(&k, "what was taken up is answered", &l, KIT_A, 0x03);
    kit_settle_tables(&k);
    CHECK("each once stored", count_frames(&l, 0x03) <= kit_count(&k, EVENT_QUARANTINED, KIT_A_NAME, NULL));
    kit_close(&k);
}

static bool has_held(void *arg)
{
    const struct session *s = session_of(arg, KIT_A_NAME);
    return s != NULL && s->held > 0 && (s->pauses & PAUSE_LOOKUP) == 0;
}

static void test_answer_of_an_ended_line(void)
{
    struct kit k;
    static struct kit_line l, other;
    begin(&k, &l);
    atomic_store(&kit_is_log_full, true);
    kit_say(&l, KIT_A, 2, 0x03, unreadable(1));
    (void)kit_until(&k, "an answer waits for the disk", has_held, &k);
    kit_connect(&k, &other, NULL);
    kit_fence(&k, "its pile moves to another line", &other, KIT_A);
    kit_hang_up(&k, &l);
    kit_fence(&k, "and the old one ends", &other, KIT_A);
    atomic_store(&kit_is_log_full, false);
    kit_settle_tables(&k);
    CHECK("an answer that nobody waits for goes nowhere", count_frames(&other, 0x03) == 0);
    kit_say(&other, KIT_A, 3, 0x03, unreadable(1));
    (void)kit_expect(&k, "it is repeated and answered", &other, KIT_A, 0x03);
    CHECK("and stored once", kit_count(&k, EVENT_QUARANTINED, KIT_A_NAME, NULL) == 1);
    kit_close(&k);
}

static bool has_no_room(void *arg)
{
    return !gateway_has_room(((struct kit *)arg)->gateway);
}

/* What was asked for is taken up also by a log that takes nothing: else a start that worked would be sent once more. */
static void test_answer_without_room(void)
{
    struct kit k;
    static struct kit_line l;
    struct kit_command c;
    kit_open(&k, NULL, 0);
    k.pending_max = 4096;
    kit_start(&k);
    kit_connect(&k, &l, NULL);
    kit_arrive(&k, &l, KIT_A);
    kit_settle(&k);
    kit_submit(&k, &c, KIT_A_NAME, "Ap3000.Find", "{\"seconds\":5}");
    struct kit_frame *f = kit_expect(&k, "a command", &l, KIT_A, 0x96);
    if (f == NULL)
        (void)fprintf(stderr, "  refused: %d\n", (int)c.error);
    atomic_store(&kit_is_log_full, true);
    for (uint16_t i = 0; i < 64; i++)
        kit_say(&l, KIT_A, (uint16_t)(100 + i), 0x12, "");
    (void)kit_until(&k, "the log takes no more", has_no_room, &k);
    kit_say(&l, KIT_A, f == NULL ? 0 : f->message_id, 0x96, "00");
    kit_fence(&k, "its answer comes", &l, KIT_A);
    atomic_store(&kit_is_log_full, false);
    kit_expect_end(&k, "and ends it", &c, "answered", "");
    CHECK("it was said once", count_frames(&l, 0x96) == 1);
    kit_close(&k);
}

/* --- pace --- */

static void test_slow_line(void)
{
    static const char *const sets[] = {"ap3000.line_frames_per_s=50"};
    enum { SLAVES = 50 };
    struct kit k;
    static struct kit_line l;
    kit_open(&k, sets, COUNT_OF(sets));
    kit_start(&k);
    kit_connect(&k, &l, NULL);
    for (uint32_t i = 0; i < SLAVES; i++)
        kit_say(&l, KIT_A + i, 1, 0x20, KIT_REGISTRATION);
    for (uint32_t i = 0; i < SLAVES; i++) {
        kit_say(&l, KIT_A + i, 2, 0x21, KIT_HEARTBEAT);
        kit_say(&l, KIT_A + i, 3, 0x22, "");
    }
    int64_t began_ms = clock_monotonic_ms();
    for (uint32_t i = 0; i < SLAVES; i++) {
        (void)kit_expect(&k, "all slaves of a slow line have their answers", &l, KIT_A + i, 0x20);
        (void)kit_expect(&k, "of the second frame too", &l, KIT_A + i, 0x21);
        (void)kit_expect(&k, "and of the third", &l, KIT_A + i, 0x22);
    }
    CHECK("no faster than their host passes them on", clock_monotonic_ms() - began_ms >= 1500);
    CHECK("each once", l.count == 3 * SLAVES);
    kit_close(&k);
}

static void test_answers_are_bounded(void)
{
    static const char *const sets[] = {"ap3000.frame_spacing_ms=60000"};
    struct kit k;
    static struct kit_line l;
    kit_open(&k, sets, COUNT_OF(sets));
    kit_start(&k);
    kit_connect(&k, &l, NULL);
    kit_arrive(&k, &l, KIT_A);
    for (uint16_t i = 0; i < 100; i++)
        kit_say(&l, KIT_A, (uint16_t)(10 + i), 0x22, "");
    kit_say(&l, KIT_B, 1, 0x22, "");
    (void)kit_expect(&k, "another pile of the line has a pace of its own", &l, KIT_B, 0x22);
    const struct pile_session *p = pile_of(session_of(&k, KIT_A_NAME));
    CHECK("answers that wait are bounded", p->out_count == PILE_OUT_MAX);
    kit_close(&k);
}

/* --- swipes --- */

static void test_swipe(void)
{
    struct kit k;
    static struct kit_line l;
    begin(&k, &l);
    kit_sql(&k, "INSERT INTO id_tags (tag_key, id_tag, status, created_at, updated_at)"
                " VALUES ('7a8d05dd', '7A8D05DD', 'Accepted', 1, 1)");
    kit_say(&l, KIT_A, 2, 0x02, "7A8D05DD 00 00 0000 00000000");
    struct kit_frame *a = kit_expect(&k, "a swipe is answered", &l, KIT_A, 0x02);
    CHECK("and granted", a != NULL && a->len >= 5 && a->payload[4] == 0);
    struct kit_frame *start = kit_expect(&k, "then the charge is started", &l, KIT_A, 0x82);
    kit_say(&l, KIT_A, 2, 0x02, "7A8D05DD 00 00 0000 00000000");
    (void)kit_expect(&k, "a repeat of it has the same answer", &l, KIT_A, 0x02);
    CHECK("and starts nothing", !kit_has(&l, KIT_A, 0x82) && start != NULL);
    kit_close(&k);
}

int main(void)
{
    test_tables_stuck();
    test_applied_after_it_was_sent_again();
    test_applied_twice_and_sent_again();
    test_gone_while_looking_up();
    test_stops_while_looking_up();
    test_disk_stuck();
    test_answer_of_an_ended_line();
    test_answer_without_room();
    test_slow_line();
    test_answers_are_bounded();
    test_swipe();
    return CHECK_REPORT();
}
