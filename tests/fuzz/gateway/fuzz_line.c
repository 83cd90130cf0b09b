/* A byte string drives a gateway over real connections: three lines say bytes and frames of five piles, cut anywhere,
 * hang up and come again; the log and the tables stand still and go on; the process is stopped and killed. After each
 * step what a line holds is within its limits. At the end everything goes on: who speaks is answered, each settlement
 * that was answered is stored, and it stops by itself.
 *
 * Each input is a gateway of its own, so it is slow (some tens a second), and the same input may meet the threads of
 * log and tables at other moments: what it looks for is what no order of things may lead to. */
/* covers: src/gateway/lines.c src/gateway/arrivals.c src/gateway/piles.c src/gateway/pacing.c src/gateway/talks.c */
#include "unit/gateway/gatekit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX   60
#define LINES       3
#define PILES       5
#define SETTLEMENTS 32

static const uint32_t ids[PILES] = {KIT_A, KIT_B, KIT_HOST, KIT_A ^ 0x01000000, 12000000};

struct world {
    struct kit kit;
    struct kit_line lines[LINES];
    const uint8_t *at, *end;
    bool was_said[PILES][SETTLEMENTS];
};

static uint8_t take(struct world *w)
{
    return w->at < w->end ? *w->at++ : 0;
}

static struct kit_line *line_at(struct world *w, uint8_t n)
{
    struct kit_line *l = &w->lines[n % LINES];
    if (l->conn == NULL)
        kit_connect(&w->kit, l, n & 4 ? "89860446091892226183" : NULL);
    return l;
}

static void check_line(const struct line *line)
{
    size_t count = 0;
    for (const struct link *l = line->piles.next; l != &line->piles; l = l->next, count++) {
        const struct pile_session *p = CONTAINER((struct link *)(uintptr_t)l, struct pile_session, on_line);
        check(p->backlog.len <= PILE_BACKLOG_MAX && p->out_count <= PILE_OUT_MAX + 2 && p->s.line == line);
        check(!p->s.is_open || p->s.slot->session == &p->s);
    }
    check(count == line->pile_count && count <= PILES_A_LINE_MAX);
}

static void check_limits(struct world *w)
{
    const struct gateway *g = w->kit.gateway;
    for (const struct link *l = g->lines.next; l != &g->lines; l = l->next)
        check_line(CONTAINER((struct link *)(uintptr_t)l, struct line, link));
}

/* --- steps --- */

static void say_bytes(struct world *w, struct kit_line *l)
{
    size_t len = take(w), left = (size_t)(w->end - w->at);
    struct bytes b = {w->at, len < left ? len : left};
    w->at += b.len;
    if (l->conn != NULL && b.len > 0)
        (void)(conn_send(l->conn, b, false) == OK);
}

/* A frame in two pieces, with a turn between them. */
static void say_frame(struct world *w, struct kit_line *l)
{
    uint8_t frame[AP3000_SENT_SIZE_MAX], command = take(w), len = take(w);
    size_t left = (size_t)(w->end - w->at), size = 0;
    struct ap3000_frame f = {.physical_id = ids[take(w) % PILES], .message_id = take(w), .command = command};
    left = (size_t)(w->end - w->at);
    f.payload = (struct bytes){w->at, len % 64 < left ? len % 64 : left};
    check(ap3000_frame_write(&f, frame, sizeof frame, &size) == OK);
    w->at += f.payload.len;
    size_t cut = len > 128 ? size / 2 : size;
    if (l->conn != NULL)
        (void)(conn_send(l->conn, (struct bytes){frame, cut}, false) == OK);
    if (l->conn != NULL && cut < size)
        (void)(conn_send(l->conn, (struct bytes){frame + cut, size - cut}, false) == OK);
}

static void say_settlement(struct world *w, struct kit_line *l)
{
    uint8_t pile = take(w) % PILES, number = take(w) % SETTLEMENTS;
    char hex[128];
    if (number % 2 == 0)
        (void)snprintf(hex, sizeof hex, "3C00E8030A00000100000000012026030115503000A0B0C0D0%08X", number);
    else
        (void)snprintf(hex, sizeof hex, "%08X", number); /* nobody can read it */
    w->was_said[pile][number] = true;
    kit_say(l, ids[pile], (uint16_t)(number + 1), 0x03, hex);
}

static void submit(struct world *w)
{
    static const char *const commands[][2] = {
        {"RemoteStartTransaction", "{\"idTag\":\"TAG1\",\"connectorId\":1}"},
        {"RemoteStopTransaction", "{\"transactionId\":1}"},
        {"Ap3000.Find", "{\"seconds\":5}"},
        {"GetConfiguration", "{}"},
        {"ChangeConfiguration", "{\"key\":\"HeartbeatInterval\",\"value\":\"60\"}"},
        {"UpdateFirmware", "{\"fileId\":\"0197a1b2-0000-7000-8000-000000000001\",\"confirm\":true}"},
    };
    char name[PILE_ID_SIZE];
    uint8_t which = take(w);
    const char *const *c = commands[which % COUNT_OF(commands)];
    pile_id_write(ids[(which >> 3) % PILES], false, name);
    struct command_request r = {
        .station = str_of(name), .action = str_of(c[0]), .payload = str_of(c[1]), .origin = STR("api")};
    gateway_submit(w->kit.gateway, &r, &(struct command_listener){0});
}

static void go_on(struct world *w)
{
    atomic_store(&kit_is_log_full, false);
    kit_unstick_tables(&w->kit);
    check(kit_until(&w->kit, "all is in the tables", kit_is_in_tables, &w->kit));
}

/* What the old life still says while it is taken apart was never said: it had been killed. */
static void kill_it(struct world *w)
{
    size_t counts[LINES];
    go_on(w);
    for (size_t i = 0; i < LINES; i++)
        counts[i] = w->lines[i].count;
    kit_crash(&w->kit);
    for (size_t i = 0; i < LINES; i++)
        w->lines[i].count = counts[i];
}

static void happen(struct world *w, struct kit_line *l)
{
    switch (take(w) % 8) {
    case 0:
        if (l->conn != NULL)
            kit_hang_up(&w->kit, l);
        break;
    case 1:
        atomic_store(&kit_is_log_full, true);
        break;
    case 2:
        atomic_store(&kit_is_table_stuck, true);
        break;
    case 3:
        go_on(w);
        kit_restart(&w->kit);
        break;
    case 4:
        kill_it(w);
        break;
    case 5:
        submit(w);
        break;
    case 6:
        gateway_station_deleted(w->kit.gateway, STR(KIT_A_NAME));
        break;
    default:
        go_on(w);
    }
}

static void step(struct world *w)
{
    static void (*const steps[])(struct world *, struct kit_line *) = {say_frame, say_settlement, happen, say_bytes};
    uint8_t how = take(w);
    struct kit_line *l = line_at(w, how >> 2);
    steps[how % COUNT_OF(steps)](w, l);
    check_limits(w);
}

/* --- the end --- */

/* That were answered; a settlement that was stored is answered, and one that was answered is stored. */
static unsigned count_answered(struct world *w)
{
    unsigned n = 0;
    for (size_t pile = 0; pile < PILES; pile++)
        for (size_t number = 0; number < SETTLEMENTS; number++) {
            if (!w->was_said[pile][number])
                continue;
            bool is_answered = false;
            for (size_t i = 0; i < LINES; i++)
                for (size_t f = 0; f < w->lines[i].count; f++)
                    is_answered = is_answered ||
                                  (w->lines[i].frames[f].command == 0x03 && w->lines[i].frames[f].id == ids[pile] &&
                                   w->lines[i].frames[f].message_id == number + 1);
            n += is_answered;
        }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const sets[] = {"ap3000.answer_timeout_s=1"};
    static struct world w;
    static struct kit_line last;
    memset(&w, 0, sizeof w);
    w.at = data;
    w.end = data + size;
    kit_open(&w.kit, sets, COUNT_OF(sets));
    w.kit.pending_max = 8192;
    kit_start(&w.kit);
    for (size_t i = 0; i < STEPS_MAX && w.at < w.end; i++)
        step(&w);
    for (size_t i = 0; i < LINES; i++) /* what they still say would take the room of the one that comes last */
        kit_hang_up(&w.kit, &w.lines[i]);
    go_on(&w);
    unsigned answered = count_answered(&w);
    unsigned stored =
        kit_count(&w.kit, EVENT_QUARANTINED, NULL, NULL) + kit_count(&w.kit, EVENT_TRANSACTION_STOPPED, NULL, NULL);
    check(answered <= stored);
    check(kit_until(&w.kit, "no line is left", kit_has_no_lines, &w.kit));
    go_on(&w);
    kit_connect(&w.kit, &last, NULL);
    kit_say(&last, 0x04000007, 1, 0x03, "FFFF");
    check(kit_expect(&w.kit, "a settlement is answered in the end", &last, 0x04000007, 0x03) != NULL);
    kit_close(&w.kit);
    check(failed == 0);
    return 0;
}
