/* The life of a session: every pair of state and input against the table of charging.md 2, then stories. */
#include "check.h"
#include "services/charging/session.h"

#include <string.h>

#define T0 1750000000 /* seconds: 2025-06-15 */

static struct instant at(int64_t s)
{
    return (struct instant){(T0 + s) * 1000000};
}

static struct session_input input(enum session_input_kind kind, int64_t s)
{
    return (struct session_input){.kind = kind, .at = at(s), .device_at = at(s), .received = at(s)};
}

static struct session_input started(int64_t s, int64_t meter_wh)
{
    struct session_input in = input(SESSION_IN_STARTED, s);
    in.meter_wh = (struct integer){meter_wh, true};
    in.connector_id = (struct integer){1, true};
    in.id_tag = STR("TAG1");
    return in;
}

static struct session_input stopped(int64_t s, int64_t meter_wh)
{
    struct session_input in = input(SESSION_IN_STOPPED, s);
    in.meter_wh = (struct integer){meter_wh, true};
    in.reason = STR("Local");
    return in;
}

/* power_w, register_wh: -1 not given */
static struct session_input reading(int64_t s, int64_t power_w, int64_t register_wh)
{
    struct session_input in = input(SESSION_IN_READING, s);
    in.point.at = at(s);
    in.point.power_w = (struct integer){power_w, power_w >= 0};
    in.point.register_wh = (struct integer){register_wh, register_wh >= 0};
    return in;
}

static struct session fresh(void)
{
    return (struct session){.started = INSTANT_NONE, .ended = INSTANT_NONE, .device_started = INSTANT_NONE,
                            .device_ended = INSTANT_NONE, .last_at = INSTANT_NONE, .last_update = INSTANT_NONE,
                            .power_at = INSTANT_NONE,
                            .read_at = INSTANT_NONE};
}

static struct session_outcome give(struct session *s, struct session_input in)
{
    struct session_outcome out = {EMIT_NOTHING, false};
    CHECK("a row", session_decide(s, &in, &out) == OK);
    return out;
}

/* Columns: STARTED READING STOPPED SUSPEND RESUME FINISH SUPERSEDE LOST EXPIRE ORDER ACCEPT REFUSE; '.' is refused. An
 * interrupted one was suspended before. */
static const struct {
    enum session_state from;
    const char *to;
} matrix[] = {
    {SESSION_NONE,        "CCD......P.."}, {SESSION_PENDING,   "CCD.....X.SX"}, {SESSION_STARTING,    "CCD.....X..X"},
    {SESSION_CHARGING,    "CCDUCFDIT..."}, {SESSION_SUSPENDED, "UUDUCFDIT..."}, {SESSION_FINISHING,   "FFD..FDIT..."},
    {SESSION_INTERRUPTED, "UUDUCFDIT..."}, {SESSION_COMPLETED, "DDD........."}, {SESSION_FAILED,      "CCD........."},
    {SESSION_TIMED_OUT,   "TTD........."},
};
static const char letters[SESSION_STATE_COUNT + 1] = "-PSCUFIDXT";

static void test_matrix(void)
{
    CHECK("all states have a line", COUNT_OF(matrix) == SESSION_STATE_COUNT);
    for (size_t i = 0; i < COUNT_OF(matrix); i++)
        for (int kind = 0; kind < SESSION_IN_COUNT; kind++) {
            char row[64];
            (void)snprintf(row, sizeof row, "%s, input %d", session_state_text[matrix[i].from].at, kind);
            struct session s = fresh();
            s.state = matrix[i].from;
            s.before = s.state == SESSION_INTERRUPTED ? SESSION_SUSPENDED : s.state;
            s.started = s.last_at = at(0);
            if (!session_state_is_active(s.state) && s.state != SESSION_NONE)
                s.ended = at(10);
            if (s.state == SESSION_PENDING || s.state == SESSION_STARTING || s.state == SESSION_FAILED)
                s.flags = FLAG_START_MISSING;
            const struct session was = s;
            struct session_input in = input((enum session_input_kind)kind, 20);
            in.point.at = in.at;
            struct session_outcome out;
            enum err e = session_decide(&s, &in, &out);
            char want = matrix[i].to[kind];
            CHECK(row, (e == OK) == (want != '.'));
            if (want == '.')
                CHECK(row, e == ERR_STATE && memcmp(&was, &s, sizeof s) == 0);
            else
                CHECK(row, letters[s.state] == want);
        }
}

static void test_plain(void)
{
    struct session s = fresh();
    CHECK("started is told", give(&s, started(0, 1000)).emit == EMIT_STARTED);
    CHECK("charging",
          s.state == SESSION_CHARGING && s.connector_id == 1 && strcmp(s.id_tag, "TAG1") == 0 && s.flags == 0);
    CHECK("a start again is a repeat", !give(&s, started(0, 1000)).is_changed);
    CHECK("a reading", give(&s, reading(60, 7000, 1100)).is_changed && s.energy_wh == 100 && s.source == SOURCE_METER);
    (void)give(&s, reading(120, 11000, 1300));
    (void)give(&s, reading(180, 9000, 1400));
    CHECK("energy, peak, power", s.energy_wh == 400 && s.max_power_w.value == 11000 && s.power_w.value == 9000);
    (void)give(&s, reading(90, 12000, 1200));
    CHECK("an older one changes the peak alone",
          s.energy_wh == 400 && s.max_power_w.value == 12000 && s.power_w.value == 9000);
    CHECK("running duration", session_duration_s(&s) == 180);
    CHECK("ended is told", give(&s, stopped(200, 1500)).emit == EMIT_ENDED);
    CHECK("completed",
          s.state == SESSION_COMPLETED && s.energy_wh == 500 && session_duration_s(&s) == 200 && s.flags == 0);
    CHECK("no power then", s.power_w.value == 0 && strcmp(s.stop_reason, "Local") == 0);
    CHECK("a stop again is a repeat, whatever it says", !give(&s, stopped(300, 9000)).is_changed && s.energy_wh == 500);
    (void)give(&s, reading(190, 13000, 1490));
    CHECK("a late reading counts for the peak",
          s.max_power_w.value == 13000 && s.energy_wh == 500 && s.power_w.value == 0);
    (void)give(&s, reading(400, 14000, 9000));
    CHECK("one of after the end does not", s.max_power_w.value == 13000 && s.energy_wh == 500);
}

static void test_backwards(void)
{
    struct session s = fresh();
    (void)give(&s, started(0, 1000));
    (void)give(&s, stopped(100, 900));
    CHECK("a stop below the start: flagged, never negative", s.energy_wh == 0 && (s.flags & FLAG_METER_BACKWARDS) != 0);
    s = fresh();
    (void)give(&s, started(0, 1000));
    (void)give(&s, reading(60, -1, 5000));
    CHECK("no flag yet", s.flags == 0);
    (void)give(&s, reading(120, -1, 10));
    CHECK("a register that fell is flagged", (s.flags & FLAG_METER_BACKWARDS) != 0 && s.energy_wh == 4000);
    (void)give(&s, stopped(130, 20));
    CHECK("what was seen stands", s.energy_wh == 4000);
    s = fresh();
    (void)give(&s, started(0, INT64_MIN));
    (void)give(&s, stopped(1, INT64_MAX));
    CHECK("registers beyond all sense", s.energy_wh == 0 && (s.flags & FLAG_METER_BACKWARDS) != 0);
    s = fresh();
    (void)give(&s, started(100, 0));
    (void)give(&s, stopped(50, 10));
    CHECK("a stop before the start",
          session_duration_s(&s) == 0 && (s.flags & FLAG_CLOCK_CORRECTED) != 0 && s.energy_wh == 10);
}

static void test_out_of_order(void)
{
    struct session s = fresh();
    CHECK("a reading opens a session", give(&s, reading(60, 100, 1100)).emit == EMIT_STARTED);
    CHECK("flagged", s.state == SESSION_CHARGING && s.flags == FLAG_START_MISSING && s.started.us == at(60).us);
    (void)give(&s, reading(120, 100, 1400));
    CHECK("energy from what was seen", s.energy_wh == 300);
    (void)give(&s, reading(30, 100, 1050));
    CHECK("an older one is the beginning", s.started.us == at(30).us && s.energy_wh == 350);
    CHECK("the start joins without a word", give(&s, started(0, 1000)).emit == EMIT_NOTHING);
    CHECK("joined", s.flags == 0 && s.started.us == at(0).us && s.energy_wh == 400 && strcmp(s.id_tag, "TAG1") == 0);

    s = fresh();
    struct session_input stop = stopped(500, 3000);
    stop.meter_start_wh = (struct integer){1000, true};
    CHECK("a stop alone ends", give(&s, stop).emit == EMIT_ENDED);
    CHECK("with what it knows", s.state == SESSION_COMPLETED && s.energy_wh == 2000 && s.flags == FLAG_START_MISSING);
    CHECK("and no time", session_duration_s(&s) == 0);
    CHECK("the start corrects it", give(&s, started(100, 1500)).emit == EMIT_CORRECTED);
    CHECK("corrected",
          s.state == SESSION_COMPLETED && s.energy_wh == 1500 && session_duration_s(&s) == 400 && s.flags == 0);
    CHECK("once", !give(&s, started(100, 1500)).is_changed);
}

static void test_unknown_end(void)
{
    struct session s = fresh();
    (void)give(&s, started(0, 1000));
    (void)give(&s, reading(60, -1, 1600));
    CHECK("replaced", give(&s, input(SESSION_IN_SUPERSEDE, 900)).emit == EMIT_ENDED);
    CHECK("ends where it was last seen",
          s.state == SESSION_COMPLETED && s.flags == FLAG_END_UNKNOWN && s.ended.us == at(60).us && s.energy_wh == 600);
    CHECK("its stop corrects it", give(&s, stopped(800, 2000)).emit == EMIT_CORRECTED);
    CHECK("corrected",
          s.flags == 0 && s.energy_wh == 1000 && s.ended.us == at(800).us && strcmp(s.stop_reason, "Local") == 0);

    s = fresh();
    (void)give(&s, started(0, 1000));
    CHECK("no word", give(&s, input(SESSION_IN_EXPIRE, 90000)).emit == EMIT_ENDED);
    CHECK("timed out", s.state == SESSION_TIMED_OUT && s.flags == FLAG_END_UNKNOWN && s.ended.us == at(0).us);
    CHECK("time is no word", s.last_update.us == at(0).us);
    (void)give(&s, reading(100, 50, 1200));
    CHECK("a reading does not wake it", s.state == SESSION_TIMED_OUT);
    CHECK("a stop ends it properly",
          give(&s, stopped(200, 1300)).emit == EMIT_CORRECTED && s.state == SESSION_COMPLETED);
    CHECK("with its energy", s.energy_wh == 300 && s.flags == 0);
}

static void test_interrupted(void)
{
    struct session s = fresh();
    (void)give(&s, started(0, 0));
    (void)give(&s, input(SESSION_IN_SUSPEND, 10));
    CHECK("lost", give(&s, input(SESSION_IN_LOST, 20)).is_changed && s.state == SESSION_INTERRUPTED);
    CHECK("lost again is nothing new", !give(&s, input(SESSION_IN_LOST, 30)).is_changed);
    (void)give(&s, reading(40, 0, 5));
    CHECK("it is what it was", s.state == SESSION_SUSPENDED && s.before == SESSION_SUSPENDED);
    (void)give(&s, input(SESSION_IN_LOST, 50));
    (void)give(&s, input(SESSION_IN_RESUME, 60));
    CHECK("or what its connector says", s.state == SESSION_CHARGING);
    (void)give(&s, input(SESSION_IN_LOST, 70));
    CHECK("a repeated start brings it back too", give(&s, started(0, 0)).is_changed && s.state == SESSION_CHARGING);
}

static void test_clocks(void)
{
    struct session s = fresh();
    (void)give(&s, started(7200, 0)); /* two hours ahead; then it is set */
    (void)give(&s, reading(60, 100, 10));
    (void)give(&s, reading(120, 200, 20));
    CHECK("readings count from the first on", s.energy_wh == 20 && s.power_w.value == 200);
    s = fresh();
    (void)give(&s, started(0, 0));
    (void)give(&s, input(SESSION_IN_LOST, 500)); /* by our clock, which is ahead of the device's */
    (void)give(&s, reading(60, 100, 10));
    CHECK("our time does not outrun the device's", s.energy_wh == 10 && s.last_at.us == at(60).us);
}

static void test_integral(void)
{
    struct session s = fresh();
    struct session_input in = started(0, 0);
    in.meter_wh.is_set = false;
    (void)give(&s, in);
    (void)give(&s, reading(0, 6000, -1));
    (void)give(&s, reading(600, 6000, -1));
    CHECK("power over time", s.energy_wh == 1000 && s.source == SOURCE_POWER_INTEGRAL && s.flags == 0);
    (void)give(&s, reading(600, 6000, -1));
    CHECK("a repeat adds nothing", s.energy_wh == 1000);
    (void)give(&s, reading(6000, 6000, -1));
    CHECK("too far apart is a gap", s.energy_wh == 1000 && s.flags == FLAG_GAP);
    struct session_input stop = stopped(6100, 0);
    stop.meter_wh.is_set = false;
    stop.energy_wh = (struct integer){1234, true};
    (void)give(&s, stop);
    CHECK("the device's account wins", s.energy_wh == 1234 && s.source == SOURCE_SETTLEMENT);
}

static void test_ordered(void)
{
    struct session s = fresh();
    struct session_input order = input(SESSION_IN_ORDER, 0);
    order.order_no = STR("ORD1");
    CHECK("asked for", !give(&s, order).emit && s.state == SESSION_PENDING);
    (void)give(&s, input(SESSION_IN_ACCEPT, 1));
    struct session_input in = started(5, 100);
    in.order_no = STR("ORD1");
    CHECK("started", give(&s, in).emit == EMIT_STARTED && s.flags == 0 && s.started.us == at(5).us);
    s = fresh();
    (void)give(&s, order);
    struct session_input refuse = input(SESSION_IN_REFUSE, 2);
    refuse.reason = STR("Rejected");
    CHECK("refused", give(&s, refuse).emit == EMIT_START_FAILED && s.state == SESSION_FAILED &&
                         strcmp(s.stop_reason, "Rejected") == 0);
    CHECK("but it runs",
          give(&s, started(5, 100)).emit == EMIT_STARTED && s.state == SESSION_CHARGING && !instant_is_set(s.ended));
}

static void test_time(void)
{
    static const struct {
        const char *row;
        int64_t device_s, want_s;
        bool is_flagged;
    } rows[] = {
        {"the same time",           T0,             T0,         false},
        {"an old one, offline",     T0 - 30 * 86400, T0 - 30 * 86400, false},
        {"a little ahead",          T0 + 86400,     T0 + 86400, false},
        {"more than a day ahead",   T0 + 86401,     T0,         true },
        {"1970",                    12,             T0,         true },
        {"the last second of 2014", 1420070399,     T0,         true },
        {"the first of 2015",       1420070400,     1420070400, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint32_t flags = 0;
        struct instant got = session_time((struct instant){rows[i].device_s * 1000000}, at(0), &flags);
        CHECK(rows[i].row, got.us == rows[i].want_s * 1000000);
        CHECK(rows[i].row, (flags == FLAG_CLOCK_CORRECTED) == rows[i].is_flagged);
    }
    uint32_t flags = 0;
    CHECK("none given", session_time(INSTANT_NONE, at(0), &flags).us == at(0).us && flags == 0);
}

int main(void)
{
    test_matrix();
    test_plain();
    test_backwards();
    test_out_of_order();
    test_unknown_end();
    test_interrupted();
    test_clocks();
    test_integral();
    test_ordered();
    test_time();
    return CHECK_REPORT();
}
