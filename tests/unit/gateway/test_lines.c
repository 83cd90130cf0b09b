/* Connections of AP3000: who may speak on which, whose place it takes, what becomes of a line that says too much, and
 * of what a person decides meanwhile. */
#include "gatekit.h"

#define CARD_A         "89860446091892226183"
#define CARD_B         "89860446091892226184"
#define CARD_M         "89860446091892226185"
#define FRAME_SIZE_MIN 14

static const char *const reject[] = {"device.unknown=reject"}, *const pending[] = {"device.unknown=pending"};

static struct line *line_of(struct kit *k, const char *station)
{
    struct slot *s = kit_slot(k, station);
    return s == NULL || s->session == NULL ? NULL : s->session->line;
}

/* The pile sessions of all lines that were refused. */
static unsigned count_refused(struct kit *k)
{
    unsigned n = 0;
    for (struct link *l = k->gateway->lines.next; l != &k->gateway->lines; l = l->next) {
        struct line *line = CONTAINER(l, struct line, link);
        for (struct link *at = line->piles.next; at != &line->piles; at = at->next)
            n += CONTAINER(at, struct pile_session, on_line)->refused_until_ms != 0;
    }
    return n;
}

static struct {
    struct kit *kit;
    unsigned count;
    const char *station;
} wanted;

static bool is_refused(void *arg)
{
    (void)arg;
    return count_refused(wanted.kit) >= wanted.count;
}

static void expect_refused(struct kit *k, const char *row, unsigned count)
{
    wanted.kit = k;
    wanted.count = count;
    (void)kit_until(k, row, is_refused, NULL);
}

static bool is_offline(void *arg)
{
    (void)arg;
    return !kit_is_online(wanted.kit, wanted.station);
}

static bool is_accepted(void *arg)
{
    struct slot *s = kit_slot(arg, wanted.station);
    return s != NULL && s->station.registration == REGISTRATION_ACCEPTED;
}

static void expect_accepted(struct kit *k, const char *row, const char *station)
{
    wanted.station = station;
    (void)kit_until(k, row, is_accepted, k);
}

static void expect_offline(struct kit *k, const char *row, const char *station)
{
    wanted.kit = k;
    wanted.station = station;
    (void)kit_until(k, row, is_offline, NULL);
}

/* --- who may speak --- */

static void test_one_claim(void)
{
    struct kit k;
    static struct kit_line a, b, m;
    kit_open(&k, NULL, 0);
    kit_start(&k);
    kit_connect(&k, &a, CARD_A);
    kit_arrive(&k, &a, KIT_A);
    kit_connect(&k, &b, CARD_B);
    kit_arrive(&k, &b, KIT_B);
    struct line *of_b = line_of(&k, KIT_B_NAME);
    kit_connect(&k, &m, CARD_M);
    kit_fence(&k, "a connection of its own takes a pile over", &m, KIT_A);
    kit_fence(&k, "and the pile takes itself back", &a, KIT_A);
    kit_say(&m, KIT_B, 1, 0x22, "");
    expect_refused(&k, "the line that had claimed one claims no second one", 1);
    CHECK("who is alive stays", line_of(&k, KIT_B_NAME) == of_b && of_b != NULL);
    CHECK("and it is told", kit_count(&k, EVENT_SECURITY_EVENT, KIT_B_NAME, "PhysicalIdClaimed") == 1);
    kit_hang_up(&k, &b);
    expect_offline(&k, "its own line ends", KIT_B_NAME);
    kit_close(&k);
}

static void test_slaves_move(void)
{
    struct kit k;
    static struct kit_line old, new;
    kit_open(&k, NULL, 0);
    kit_start(&k);
    kit_connect(&k, &old, CARD_A);
    kit_say(&old, KIT_HOST, 1, 0x11, "64 00 00 00 00 00 00 00 00");
    kit_fence(&k, "a host", &old, KIT_HOST);
    kit_arrive(&k, &old, KIT_A);
    kit_fence(&k, "knows whose slave it is", &old, KIT_A);
    kit_connect(&k, &new, CARD_B);
    kit_say(&new, KIT_HOST, 1, 0x11, "64 00 00 00 00 00 00 00 00");
    kit_fence(&k, "the host on another card", &new, KIT_HOST);
    kit_fence(&k, "brings its slave along", &new, KIT_A);
    kit_fence(&k, "which may come back", &old, KIT_A);
    kit_close(&k);
}

/* As if it had not been heard of for so long: the timer looks at it now. */
static void be_silent(struct kit *k, const char *station, int64_t silent_s)
{
    struct pile_session *p = pile_of(kit_slot(k, station)->session);
    p->heard_ms = clock_monotonic_ms() - silent_s * 1000;
    timer_start(k->loop, &p->silence, 0);
}

struct place {
    struct kit *kit;
    struct line *line;
};

static bool is_there(void *arg)
{
    const struct place *p = arg;
    return line_of(p->kit, KIT_A_NAME) == p->line;
}

static bool was_looked_at(void *arg)
{
    return pile_of(kit_slot(arg, KIT_A_NAME)->session)->silence.due_ms > clock_monotonic_ms();
}

/* A slave behind one host, then behind another, whose first host is there all the time. */
static void test_slave_is_moved(void)
{
    struct kit k;
    static struct kit_line old, new;
    const uint32_t other_host = KIT_HOST + 1;
    kit_open(&k, NULL, 0);
    kit_start(&k);
    kit_connect(&k, &old, CARD_A);
    kit_say(&old, KIT_HOST, 1, 0x11, "64 00 00 00 00 00 00 00 00");
    kit_fence(&k, "a host", &old, KIT_HOST);
    kit_arrive(&k, &old, KIT_A);
    kit_connect(&k, &new, CARD_B);
    kit_say(&new, other_host, 1, 0x11, "64 00 00 00 00 00 00 00 00");
    kit_fence(&k, "another one", &new, other_host);
    struct line *of_old = line_of(&k, KIT_A_NAME);
    struct place its_new = {&k, line_of(&k, "AP14034565")};
    kit_say(&new, KIT_A, 1, 0x20, KIT_REGISTRATION);
    expect_refused(&k, "its slave is alive elsewhere", 1);
    be_silent(&k, KIT_A_NAME, PILE_HEARTBEAT_S + 15);
    (void)kit_until(&k, "its silence is looked at", was_looked_at, &k);
    CHECK("it has no place there while it may be heard of yet", line_of(&k, KIT_A_NAME) == of_old);
    kit_fence(&k, "it is heard of", &old, KIT_A);
    be_silent(&k, KIT_A_NAME, PILE_HEARTBEAT_S + 25);
    (void)kit_until(&k, "when it missed a heartbeat it has its place where it claimed it", is_there, &its_new);
    kit_fence(&k, "and is served there", &new, KIT_A);
    kit_fence(&k, "its first host is there all the time", &old, KIT_HOST);
    kit_say(&old, KIT_A, 9, 0x20, KIT_REGISTRATION);
    expect_refused(&k, "now that is where it may not speak", 1);
    pile_find_on(of_old, KIT_A)->heard_ms -= (PILE_HEARTBEAT_S + 25) * INT64_C(1000);
    be_silent(&k, KIT_A_NAME, PILE_HEARTBEAT_S + 25);
    (void)kit_until(&k, "its silence is looked at again", was_looked_at, &k);
    CHECK("an old claim is none", line_of(&k, KIT_A_NAME) == its_new.line);
    pile_find_on(of_old, KIT_A)->refused_until_ms = 1;
    kit_fence(&k, "who speaks where it is quiet elsewhere comes in", &old, KIT_A);
    kit_close(&k);
}

static void test_jumps(void)
{
    struct kit k;
    static struct kit_line a, m;
    kit_open(&k, NULL, 0);
    kit_start(&k);
    kit_connect(&k, &a, CARD_A);
    kit_arrive(&k, &a, KIT_A);
    kit_connect(&k, &m, CARD_M);
    for (int i = 0; i < 6; i++)
        kit_fence(&k, "one of two that say they are it", i % 2 == 0 ? &m : &a, KIT_A);
    CHECK("a pile that jumps is told once", kit_count(&k, EVENT_SECURITY_EVENT, KIT_A_NAME, "PhysicalIdJumps") == 1);
    kit_close(&k);
}

static void test_second_of_a_number(void)
{
    struct kit k;
    static struct kit_line first, second;
    const uint32_t other = (KIT_A & 0xFFFFFF) | 0x05000000;
    kit_open(&k, NULL, 0);
    kit_start(&k);
    kit_connect(&k, &first, CARD_A);
    kit_arrive(&k, &first, KIT_A);
    kit_connect(&k, &second, CARD_B);
    kit_arrive(&k, &second, other);
    CHECK("the second has the longer name", kit_is_online(&k, KIT_A_NAME "-05") && kit_is_online(&k, KIT_A_NAME));
    kit_settle_tables(&k);
    kit_crash(&k);
    kit_connect(&k, &second, CARD_B);
    kit_arrive(&k, &second, other);
    CHECK("after a restart too, and when it comes first",
          kit_is_online(&k, KIT_A_NAME "-05") && !kit_is_online(&k, KIT_A_NAME));
    kit_close(&k);
}

static void test_card_changes(void)
{
    struct kit k;
    static struct kit_line l;
    kit_open(&k, NULL, 0);
    kit_start(&k);
    kit_connect(&k, &l, CARD_A);
    kit_arrive(&k, &l, KIT_A);
    kit_hang_up(&k, &l);
    kit_connect(&k, &l, CARD_B);
    kit_arrive(&k, &l, KIT_A);
    CHECK("another card is told once", kit_count(&k, EVENT_SECURITY_EVENT, KIT_A_NAME, "IccidChanged") == 1);
    kit_close(&k);
}

static void test_networks(void)
{
    static const struct {
        const char *row, *list, *remote;
        enum err parsed;
        bool is_in;
    } rows[] = {
        {"no list lets all in", "", "10.1.2.3:5", OK, true},
        {"inside", "10.0.0.0/8", "10.1.2.3:5", OK, true},
        {"outside", "10.0.0.0/8", "11.1.2.3:5", OK, false},
        {"bits within a byte", "10.16.0.0/12", "10.31.2.3:5", OK, true},
        {"and past them", "10.16.0.0/12", "10.32.2.3:5", OK, false},
        {"one of several", "1.2.3.4, 10.0.0.0/8", "10.1.2.3:5", OK, true},
        {"an address alone", "1.2.3.4", "1.2.3.4:5", OK, true},
        {"v6", "2001:db8::/32", "[2001:db8:1::9]:5", OK, true},
        {"v4 is no v6", "::/0", "10.1.2.3:5", OK, false},
        {"v4 that came in on a v6 socket is v4", "10.0.0.0/8", "[::ffff:10.1.2.3]:5", OK, true},
        {"all of v4", "0.0.0.0/0", "10.1.2.3:5", OK, true},
        {"no network", "10.0.0", "10.1.2.3:5", ERR_FORMAT, false},
        {"too many bits", "10.0.0.0/33", "10.1.2.3:5", ERR_FORMAT, false},
        {"an empty one", "10.0.0.0/8,,", "10.1.2.3:5", ERR_FORMAT, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        static struct gateway g;
        struct fault why;
        g.network_count = 0;
        enum err e = networks_parse(&g, str_of(rows[i].list), &why);
        CHECK(rows[i].row, e == rows[i].parsed);
        CHECK(rows[i].row, e != OK || networks_have(&g, str_of(rows[i].remote)) == rows[i].is_in);
    }
}

/* --- what a person decides --- */

static void test_pending_accepted(void)
{
    struct kit k;
    static struct kit_line l;
    kit_open(&k, pending, COUNT_OF(pending));
    kit_start(&k);
    kit_connect(&k, &l, NULL);
    kit_arrive(&k, &l, KIT_A);
    CHECK("held", kit_count(&k, EVENT_BOOT_HELD, KIT_A_NAME, NULL) == 1);
    kit_settle_tables(&k);
    kit_register(&k, KIT_A_NAME, "accepted");
    expect_accepted(&k, "memory hears of it", KIT_A_NAME);
    kit_say(&l, KIT_A, 2, 0x21, KIT_HEARTBEAT);
    (void)kit_expect(&k, "the next word of it", &l, KIT_A, 0x21);
    CHECK("is that of an accepted one", kit_count(&k, EVENT_CONNECTED, KIT_A_NAME, NULL) == 1);
    kit_close(&k);
}

static void test_rejected_accepted(void)
{
    struct kit k;
    static struct kit_line l;
    kit_open(&k, reject, COUNT_OF(reject));
    kit_start(&k);
    kit_connect(&k, &l, NULL);
    kit_say(&l, KIT_A, 1, 0x21, KIT_HEARTBEAT);
    expect_refused(&k, "one that is not registered", 1);
    CHECK("gets no answer", l.count == 0);
    CHECK("and leaves nothing in memory", kit_slot(&k, KIT_A_NAME) == NULL);
    kit_register(&k, KIT_A_NAME, "accepted");
    kit_settle(&k);
    kit_say(&l, KIT_A, 2, 0x21, KIT_HEARTBEAT);
    (void)kit_expect(&k, "accepted within a minute, it is served on the same line", &l, KIT_A, 0x21);
    kit_register(&k, KIT_A_NAME, "rejected");
    expect_offline(&k, "rejected while it is connected", KIT_A_NAME);
    kit_say(&l, KIT_A, 3, 0x21, KIT_HEARTBEAT);
    expect_refused(&k, "it stays out", 1);
    CHECK("without an answer", !kit_has(&l, KIT_A, 0x21));
    kit_register(&k, KIT_A_NAME, "accepted");
    kit_settle(&k);
    kit_fence(&k, "until it may come again", &l, KIT_A);
    kit_close(&k);
}

static void test_deleted(void)
{
    struct kit k;
    static struct kit_line l;
    kit_open(&k, NULL, 0);
    kit_start(&k);
    kit_connect(&k, &l, NULL);
    kit_arrive(&k, &l, KIT_A);
    kit_settle_tables(&k);
    kit_sql(&k, "DELETE FROM charge_points");
    gateway_station_deleted(k.gateway, STR(KIT_A_NAME));
    expect_offline(&k, "a deleted one is let go", KIT_A_NAME);
    kit_arrive(&k, &l, KIT_A);
    CHECK("and comes in as a new one", kit_is_online(&k, KIT_A_NAME));
    kit_close(&k);
}

/* The same moment: its row changes while it is read for the first time. */
static void test_changed_while_loading(void)
{
    struct kit k;
    static struct kit_line l;
    kit_open(&k, pending, COUNT_OF(pending));
    kit_start(&k);
    kit_connect(&k, &l, NULL);
    kit_say(&l, KIT_A, 1, 0x20, KIT_REGISTRATION);
    kit_register(&k, KIT_A_NAME, "accepted");
    (void)kit_expect(&k, "it is answered", &l, KIT_A, 0x20);
    kit_settle_tables(&k);
    kit_say(&l, KIT_A, 2, 0x21, KIT_HEARTBEAT);
    (void)kit_expect(&k, "again", &l, KIT_A, 0x21);
    expect_accepted(&k, "and what was decided is known", KIT_A_NAME);
    kit_close(&k);
}

/* --- limits --- */

static bool is_resting(void *arg)
{
    (void)arg;
    struct line *line = line_of(wanted.kit, KIT_A_NAME);
    return line != NULL && line->is_flooding;
}

/* A line may say what all its slaves say at once; then it rests as long as a station of OCPP would for so much. */
static void flood(const char *row, const uint8_t *bytes, size_t size, int64_t least_rest_ms)
{
    struct kit k;
    static struct kit_line a, b;
    kit_open(&k, NULL, 0);
    kit_start(&k);
    wanted.kit = &k;
    kit_connect(&k, &a, CARD_A);
    kit_arrive(&k, &a, KIT_A);
    kit_connect(&k, &b, CARD_B);
    kit_arrive(&k, &b, KIT_B);
    check(conn_send(a.conn, (struct bytes){bytes, size}, false) == OK);
    (void)kit_until(&k, row, is_resting, NULL);
    struct line *line = line_of(&k, KIT_A_NAME);
    CHECK(row, line != NULL && line->flood_rest.due_ms - clock_monotonic_ms() > least_rest_ms);
    kit_fence(&k, "others have their turn meanwhile", &b, KIT_B);
    kit_close(&k);
}

static void test_flood(void)
{
    enum { FRAMES = 400 };
    static uint8_t bytes[FRAMES * FRAME_SIZE_MIN];
    for (size_t i = 0; i < FRAMES; i++)
        (void)kit_write(KIT_A, (uint16_t)i, 0x12, "", bytes + i * FRAME_SIZE_MIN);
    flood("many frames in one read", bytes, sizeof bytes, 250);
}

/* False heads cost more than frames; a true frame now and then does not make them free. */
static void test_garbage_flood(void)
{
    enum { PIECE = 3500, PIECES = 10 };
    static uint8_t bytes[PIECES * (PIECE + FRAME_SIZE_MIN)];
    static const uint8_t head[5] = {'D', 'N', 'Y', 0x00, 0x02};
    uint8_t *at = bytes;
    for (size_t i = 0; i < PIECES; i++, at += PIECE + FRAME_SIZE_MIN) {
        for (size_t n = 0; n < PIECE; n += sizeof head)
            memcpy(at + n, head, sizeof head);
        (void)kit_write(KIT_A, (uint16_t)i, 0x12, "", at + PIECE);
    }
    flood("much garbage with frames in it", bytes, sizeof bytes, 250);
}

static bool has_no_line(void *arg)
{
    return kit_has_no_lines(arg);
}

static void test_garbage_in_one_read(void)
{
    static uint8_t bytes[AP3000_DROPPED_MAX + 100 + FRAME_SIZE_MIN];
    struct kit k;
    static struct kit_line l;
    kit_open(&k, NULL, 0);
    kit_start(&k);
    memset(bytes, 'x', sizeof bytes);
    (void)kit_write(KIT_A, 1, 0x22, "", bytes + sizeof bytes - FRAME_SIZE_MIN);
    kit_connect(&k, &l, NULL);
    check(conn_send(l.conn, (struct bytes){bytes, sizeof bytes}, false) == OK);
    (void)kit_until(&k, "more than 4096 bytes without a frame between them end a line, whatever follows", has_no_line,
                    &k);
    kit_close(&k);
}

static void test_refused_make_room(void)
{
    struct kit k;
    static struct kit_line l;
    kit_open(&k, reject, COUNT_OF(reject));
    kit_start(&k);
    kit_register(&k, KIT_A_NAME, "accepted");
    kit_connect(&k, &l, NULL);
    for (uint32_t i = 0; i < PILES_A_LINE_MAX; i++)
        kit_say(&l, 0x04000001 + i, 1, 0x22, "");
    expect_refused(&k, "a line full of strangers", PILES_A_LINE_MAX);
    struct line *line = CONTAINER(k.gateway->lines.next, struct line, link);
    CONTAINER(line->piles.next, struct pile_session, on_line)->refused_until_ms = 1; /* its minute is over */
    kit_fence(&k, "has room for who is known", &l, KIT_A);
    CHECK("and no more than before", line->pile_count == PILES_A_LINE_MAX);
    kit_close(&k);
}

/* --- losses --- */

static void lose(struct kit *k, size_t lines, uint32_t piles)
{
    static struct kit_line l[3];
    for (uint32_t i = 0; i < piles; i++) {
        if (i < lines)
            kit_connect(k, &l[i], NULL);
        kit_arrive(k, &l[i % lines], KIT_A + i);
    }
    for (size_t i = 0; i < lines; i++)
        kit_hang_up(k, &l[i]);
    (void)kit_until(k, "all are lost", kit_has_no_lines, k);
}

static void test_mass_loss(void)
{
    static const char *const sets[] = {"events.mass_disconnect_count=3"};
    struct kit k;
    kit_open(&k, sets, COUNT_OF(sets));
    kit_start(&k);
    lose(&k, 1, 5);
    CHECK("a host that is lost with its slaves is one loss",
          kit_count(&k, EVENT_MASS_DISCONNECT, NULL, NULL) == 0 && kit_count(&k, EVENT_DISCONNECTED, NULL, NULL) == 5);
    log_setup(-1, LOG_LEVEL_ERROR, false, clock_now_us);
    lose(&k, 3, 3);
    log_setup(STDERR_FILENO, LOG_LEVEL_ERROR, false, clock_now_us);
    CHECK("connections that are lost are many", kit_count(&k, EVENT_MASS_DISCONNECT, NULL, NULL) == 1);
    kit_close(&k);
}

/* --- the end --- */

static void test_stops_with_strangers(void)
{
    struct kit k;
    static struct kit_line l;
    kit_open(&k, reject, COUNT_OF(reject));
    kit_start(&k);
    kit_connect(&k, &l, NULL);
    kit_say(&l, KIT_A, 1, 0x22, "");
    expect_refused(&k, "a stranger", 1);
    (void)kit_drain(&k, "keeps nobody from stopping");
    kit_tear_down(&k);
    config_release(&k.config);
    kit_remove(k.dir);
}

/* --- nothing of it can be read or written --- */

static void test_store_unreadable(void)
{
    struct kit k;
    static struct kit_line l;
    kit_open(&k, NULL, 0);
    kit_start(&k);
    kit_sql(&k, "ALTER TABLE orders RENAME TO orders_away");
    kit_connect(&k, &l, NULL);
    log_setup(-1, LOG_LEVEL_ERROR, false, clock_now_us);
    kit_fence(&k, "time is told while the store cannot be read", &l, KIT_A);
    log_setup(STDERR_FILENO, LOG_LEVEL_ERROR, false, clock_now_us);
    CHECK("but nobody comes in", !kit_is_online(&k, KIT_A_NAME));
    kit_sql(&k, "ALTER TABLE orders_away RENAME TO orders");
    kit_fence(&k, "and when it can be again", &l, KIT_A);
    CHECK("it comes in at once", kit_is_online(&k, KIT_A_NAME));
    kit_close(&k);
}

static bool has_no_room(void *arg)
{
    return !gateway_has_room(((struct kit *)arg)->gateway);
}

static void test_log_full(void)
{
    struct kit k;
    static struct kit_line a, b;
    kit_open(&k, NULL, 0);
    k.pending_max = 4096;
    kit_start(&k);
    kit_connect(&k, &b, CARD_B);
    kit_arrive(&k, &b, KIT_B);
    kit_settle(&k);
    atomic_store(&kit_is_log_full, true);
    for (uint16_t i = 0; i < 64; i++)
        kit_say(&b, KIT_B, (uint16_t)(100 + i), 0x22, "");
    (void)kit_until(&k, "the log takes no more", has_no_room, &k);
    kit_connect(&k, &a, CARD_A);
    kit_say(&a, KIT_A, 1, 0x20, KIT_REGISTRATION);
    (void)kit_expect(&k, "who comes now is answered", &a, KIT_A, 0x20);
    kit_say(&a, KIT_A, 2, 0x21, KIT_HEARTBEAT);
    (void)kit_expect(&k, "and again", &a, KIT_A, 0x21);
    CHECK("but does not come in", !kit_is_online(&k, KIT_A_NAME));
    kit_fence(&k, "who was there is answered too", &b, KIT_B);
    atomic_store(&kit_is_log_full, false);
    kit_settle(&k);
    kit_fence(&k, "it heals", &a, KIT_A);
    CHECK("and it comes in", kit_is_online(&k, KIT_A_NAME));
    kit_close(&k);
}

int main(void)
{
    test_one_claim();
    test_slaves_move();
    test_slave_is_moved();
    test_jumps();
    test_second_of_a_number();
    test_card_changes();
    test_networks();
    test_pending_accepted();
    test_rejected_accepted();
    test_deleted();
    test_changed_while_loading();
    test_flood();
    test_garbage_flood();
    test_garbage_in_one_read();
    test_refused_make_room();
    test_mass_loss();
    test_stops_with_strangers();
    test_store_unreadable();
    test_log_full();
    return CHECK_REPORT();
}
