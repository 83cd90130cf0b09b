/* Commands in a seeded world: the real taking on, sending and ending (gateway/submit.c, commands.c) with the real
 * tables, over connections that drop, stations that answer, refuse, keep silent, answer late, twice or for another, a
 * disk that refuses, and a process that is killed. What must hold in each seed (invariant 6; shared models: cmd.pml):
 *
 *   1  a command that was queued ends in exactly one outcome          4  answered: its station said so, on that
 * connection 2  it leaves once at most, and "sent" is on the disk before       5  not_sent: it never left; unknown:
 * "sent" is on the disk 3  one at a time to a station: none before the last has ended     6  what a person was told is
 * on the disk, and stays so 7  a station's published events are numbered without a gap, over restarts too */
#include "check.h"
#include "simulation/command_shell.h"

#include <stdio.h>
#include <unistd.h>

#ifdef __has_feature
#define IS_CLANG_SAN __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#else
#define IS_CLANG_SAN 0
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || IS_CLANG_SAN
#define SEEDS 500
#else
#define SEEDS 2000
#endif
#define STATIONS       2
#define STEPS_WILD     400
#define STEPS_CALM     4000
#define COMMANDS_MAX   64
#define REACHED_LEAST  (SEEDS / 50)
#define FAILURES_MOST  5
#define LATE_MAX       8
#define MESSAGE_ID_MAX 40

/* What is known of a command: from the log, from its station, from who asked for it. */
struct fact {
    char id[65], message_id[MESSAGE_ID_MAX], outcome[16], told[16];
    size_t station;
    uint64_t queued, sent, ended; /* positions */
    uint64_t left_on, said_on;    /* generations; 0: it never left, it was never answered there */
    unsigned left_count, ended_count, told_count;
    bool is_asked; /* by a person, who may ask again */
    const char *action, *payload;
};

enum reached {
    ANSWERED,
    NOT_SENT,
    UNKNOWN,
    LATE,
    LOST_ON_THE_WAY,
    RESUMED,
    KILLED_UNWRITTEN,
    REPEATED,
    REFUSED,
    URGENT,
    REACHED_COUNT
};
static const char *const reached_words[REACHED_COUNT] = {
    [ANSWERED] = "a command was answered",
    [NOT_SENT] = "one was not sent",
    [UNKNOWN] = "of one nobody knows",
    [LATE] = "an answer came too late",
    [LOST_ON_THE_WAY] = "a frame was lost with its connection",
    [RESUMED] = "one was open over a restart",
    [KILLED_UNWRITTEN] = "killed with events that were not on the disk",
    [REPEATED] = "a person asked again",
    [REFUSED] = "one was refused",
    [URGENT] = "one that was urgent",
};

static struct world {
    uint64_t seed, generation;
    struct fact facts[COMMANDS_MAX];
    size_t fact_count, checked;
    uint64_t sequences[STATIONS];
    struct wire *own[STATIONS]; /* that the station has; the gateway may think otherwise */
    struct {                    /* answers that a station gives at another time */
        char *text;
        size_t station;
    } late[LATE_MAX];
    size_t late_count;
    bool is_calm, is_broken;
} world;
static unsigned reached[REACHED_COUNT];

/* --- the oracle --- */

static void broken(const struct fact *f, const char *what)
{
    char row[128];
    (void)snprintf(row, sizeof row, "seed %llu: command %.64s: %s", (unsigned long long)world.seed,
                   f == NULL ? "-" : f->id, what);
    if (!world.is_broken)
        CHECK(row, false);
    world.is_broken = true;
}

static void must(const struct fact *f, bool is_so, const char *what)
{
    if (!is_so)
        broken(f, what);
}

static struct fact *fact_of(struct str id)
{
    for (size_t i = 0; i < world.fact_count; i++)
        if (str_eq(str_of(world.facts[i].id), id))
            return &world.facts[i];
    check(world.fact_count < COMMANDS_MAX);
    struct fact *f = &world.facts[world.fact_count++];
    (void)str_copy(f->id, sizeof f->id, id);
    return f;
}

static struct fact *fact_of_message(struct str message_id)
{
    for (size_t i = 0; i < world.fact_count; i++)
        if (world.facts[i].message_id[0] != 0 && str_eq(str_of(world.facts[i].message_id), message_id))
            return &world.facts[i];
    return NULL;
}

static void on_ended(struct fact *f, struct str outcome)
{
    (void)str_copy(f->outcome, sizeof f->outcome, outcome);
    bool is_answered = str_eq(outcome, STR("answered")), is_not_sent = str_eq(outcome, STR("not_sent"));
    must(f, ++f->ended_count == 1, "two outcomes (1)");
    must(f, f->queued != 0, "an outcome of nothing (1)");
    must(f, !is_answered || (f->said_on != 0 && f->said_on == f->left_on), "answered, and nobody said so (4)");
    must(f, !is_not_sent || f->left_count == 0, "not sent, and it left (5)");
    must(f, is_answered || is_not_sent || f->sent != 0, "unknown, and it was never sent (5)");
    reached[is_answered ? ANSWERED : is_not_sent ? NOT_SENT : UNKNOWN]++;
}

static void oracle_record(const struct event *e)
{
    struct arena a;
    size_t station = (size_t)(e->station.at[e->station.len - 1] - '0');
    arena_init(&a, (size_t)1 << 20);
    const void *p = arena_take(&a, event_kinds[e->type].payload->size + 1);
    check(event_read_payload(e, &a, (void *)(uintptr_t)p, NULL) == OK);
    if (event_kinds[e->type].is_published)
        must(NULL, e->sequence == ++world.sequences[station], "a gap in the numbers of events (7)");
    if (e->type == EVENT_COMMAND_QUEUED) {
        const struct ev_command_queued *q = p;
        struct fact *f = fact_of(q->command_id);
        must(f, f->queued == 0, "queued twice (1)");
        f->queued = e->position;
        f->station = station;
        reached[URGENT] += q->is_urgent.value;
    } else if (e->type == EVENT_COMMAND_SENT) {
        const struct ev_command_sent *s = p;
        struct fact *f = fact_of(s->command_id);
        must(f, f->sent == 0 && f->queued != 0 && f->ended == 0, "sent twice, or out of order (2)");
        f->sent = e->position;
        (void)str_copy(f->message_id, sizeof f->message_id, s->message_id);
        for (size_t i = 0; i < world.fact_count; i++) {
            const struct fact *o = &world.facts[i];
            must(f, o == f || o->station != station || o->sent == 0 || o->ended != 0,
                 "sent before the last one has ended (3)");
        }
    } else if (e->type == EVENT_COMMAND_RESPONSE) {
        const struct ev_command_response *r = p;
        struct fact *f = fact_of(r->command_id);
        f->ended = e->position;
        on_ended(f, r->outcome);
    }
    arena_release(&a);
}

static void oracle_read_log(void)
{
    for (; world.checked < shell.disk.committed && !world.is_broken; world.checked++)
        oracle_record(&shell.disk.records[world.checked].event);
}

static void on_leave(struct wire *w, struct str frame)
{
    struct ocpp_frame f;
    struct arena a;
    arena_init(&a, (size_t)1 << 16);
    check(ocpp_frame_read(frame, &a, &f, NULL) == OK && f.kind == OCPP_CALL);
    oracle_read_log();
    struct fact *of = fact_of_message(f.id);
    must(of, of != NULL, "it leaves, and its \"sent\" is not on the disk (2)");
    if (of != NULL) {
        must(of, ++of->left_count == 1, "it leaves twice (2)");
        must(of, of->station == w->station, "it leaves to another station");
        of->left_on = w->session.generation;
    }
    arena_release(&a);
}

/* --- people --- */

static void on_queued(void *data, const struct command_result *r, enum err e, const struct fault *why)
{
    (void)data;
    if (e != OK) {
        must(NULL, why->reason[0] != 0, "refused without a reason");
        reached[REFUSED]++;
        return;
    }
    oracle_read_log();
    struct fact *f = fact_of(r->command_id);
    must(f, f->queued != 0, "told that it is queued, and it is not on the disk (6)");
    f->is_asked = true;
}

static void on_done(void *data, const struct command_result *r)
{
    (void)data;
    oracle_read_log();
    struct fact *f = fact_of(r->command_id);
    must(f, f->ended != 0 && str_eq(str_of(f->outcome), r->outcome), "told another outcome than is on the disk (6)");
    must(f, f->told_count++ == 0 || str_eq(str_of(f->told), r->outcome), "told two outcomes (6)");
    (void)str_copy(f->told, sizeof f->told, r->outcome);
}

static const struct {
    const char *action, *payload;
} asked[] = {
    {"Reset", "{\"type\":\"Soft\"}"},
    {"ClearCache", "{}"},
    {"RemoteStartTransaction", "{\"idTag\":\"T\"}"},
    {"TriggerMessage", "{\"requestedMessage\":\"Heartbeat\"}"},
};

static void submit(size_t station, struct str id, const char *action, const char *payload)
{
    char name[] = "CP-0";
    name[3] = (char)('0' + station);
    struct command_request r = {.station = str_of(name),
                                .action = str_of(action),
                                .payload = str_of(payload),
                                .command_id = id,
                                .origin = STR("api"),
                                .expires_in_s = 1 + dice_below(&shell.dice, 60),
                                .is_urgent = dice_chance(&shell.dice, 200)};
    gateway_submit(&shell.gateway, &r, &(struct command_listener){on_queued, on_done, NULL});
}

static void person_asks(size_t station)
{
    size_t what = dice_below(&shell.dice, COUNT_OF(asked));
    char id[24];
    if (world.fact_count + UNWRITTEN_MAX >= COMMANDS_MAX)
        return;
    (void)snprintf(id, sizeof id, "c%llu", (unsigned long long)dice_next(&shell.dice) % 100000);
    struct fact *f = fact_of(str_of(id));
    f->action = asked[what].action;
    f->payload = asked[what].payload;
    f->station = station;
    submit(station, str_of(id), f->action, f->payload);
}

/* The same once more, or something else under its id. */
static void person_repeats(size_t station)
{
    if (world.fact_count == 0)
        return;
    struct fact *f = &world.facts[dice_below(&shell.dice, (unsigned)world.fact_count)];
    if (f->action == NULL || !f->is_asked)
        return;
    reached[REPEATED]++;
    if (dice_chance(&shell.dice, 100))
        submit(station, str_of(f->id), "ChangeAvailability", "{\"connectorId\":0,\"type\":\"Operative\"}");
    else
        submit(f->station, str_of(f->id), f->action, f->payload);
}

/* --- stations --- */

static struct slot *slot_of(size_t station)
{
    char name[] = "CP-0";
    name[3] = (char)('0' + station);
    return slot_load_now(&shell.gateway, shell.db, str_of(name));
}

/* As sessions.c: the place is another's, or nobody's; what was sent and not answered ends as unknown. */
static void gateway_loses(struct slot *slot, bool is_for_good)
{
    struct session *s = slot->session;
    if (s == NULL)
        return;
    slot->session = NULL;
    slot->lost_ms = clock_monotonic_ms();
    commands_on_lost(slot, is_for_good);
    s->conn = NULL;
}

static void station_connects(size_t station)
{
    struct slot *slot = slot_of(station);
    struct wire *w = mem_new(1, sizeof *w);
    if (world.own[station] != NULL)
        world.own[station]->is_down = true;
    gateway_loses(slot, false);
    list_add_last(&shell.wires, &w->link);
    w->station = station;
    w->session.gateway = &shell.gateway;
    w->session.conn = (struct conn *)(void *)w;
    w->session.slot = slot;
    w->session.generation = ++world.generation;
    slot->session = &w->session;
    slot->lost_ms = 0;
    world.own[station] = w;
    struct ev_connection_opened p = {.generation = integer_of((int64_t)world.generation),
                                     .protocol = STR("ocpp1.6"),
                                     .remote_address = STR("192.0.2.1:1"),
                                     .security_profile = integer_of(0)};
    struct buf text;
    buf_init(&text, 1024);
    schema_write(&ev_connection_opened_message, &p, &text);
    struct event e = {.type = EVENT_CONNECTION_OPENED,
                      .station = str_of(slot->station.id),
                      .received = clock_now(),
                      .device_time = INSTANT_NONE,
                      .payload = buf_str(&text)};
    gateway_append(&shell.gateway, slot, &e, NULL);
    buf_release(&text);
}

/* It leaves; the gateway learns of it now or later. */
static void station_leaves(size_t station)
{
    struct wire *w = world.own[station];
    if (w == NULL)
        return;
    reached[LOST_ON_THE_WAY] += w->to_station_count > 0;
    w->is_down = true;
    world.own[station] = NULL;
}

static void station_says(size_t station, char *text)
{
    struct wire *w = world.own[station];
    if (w != NULL)
        (void)wire_put(w->to_server, &w->to_server_count, str_of(text));
}

static void station_says_later(size_t station, const char *text)
{
    if (world.late_count == LATE_MAX)
        return;
    world.late[world.late_count].text = strdup(text);
    world.late[world.late_count++].station = station;
}

static void station_says_late(void)
{
    if (world.late_count == 0 || world.own[world.late[0].station] == NULL)
        return;
    reached[LATE]++;
    station_says(world.late[0].station, world.late[0].text);
    free(world.late[0].text);
    memmove(world.late, world.late + 1, --world.late_count * sizeof world.late[0]);
}

/* What a station may say to a call. */
static void station_reads(size_t station)
{
    static const char *const answers[] = {"[3,\"%.*s\",{\"status\":\"Accepted\"}]",
                                          "[3,\"%.*s\",{\"status\":\"Rejected\"}]", "[3,\"%.*s\",{}]",
                                          "[4,\"%.*s\",\"InternalError\",\"no\",{}]"};
    struct wire *w = world.own[station];
    if (w == NULL || w->to_station_count == 0)
        return;
    char *text = wire_take(w->to_station, &w->to_station_count), said[160];
    struct ocpp_frame f;
    struct arena a;
    arena_init(&a, (size_t)1 << 16);
    check(ocpp_frame_read(str_of(text), &a, &f, NULL) == OK);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(said, sizeof said, answers[dice_below(&shell.dice, COUNT_OF(answers))], STR_ARG(f.id));
#pragma GCC diagnostic pop
    unsigned how = world.is_calm ? 0 : dice_below(&shell.dice, 10);
    if (how < 6)
        station_says(station, said);
    if (how == 5 || how == 6)
        station_says_later(station, said); /* twice, or late */
    if (how == 7)
        station_says((station + 1) % STATIONS, said); /* by another's connection */
    arena_release(&a);
    free(text);
}

/* --- the gateway --- */

static void gateway_reads(struct wire *w)
{
    struct gateway *g = &shell.gateway;
    struct session *s = &w->session;
    struct ocpp_frame f;
    if (w->to_server_count == 0)
        return;
    char *text = wire_take(w->to_server, &w->to_server_count);
    if (s->conn != NULL && s->slot->session == s) { /* else it is not its station's any more: sessions.c */
        arena_reset(&g->arena);
        check(ocpp_frame_read(str_of(text), &g->arena, &f, NULL) == OK);
        struct fact *of = fact_of_message(f.id);
        if (of != NULL && of->station == w->station && s->generation == of->left_on && of->said_on == 0)
            of->said_on = s->generation;
        commands_on_answer(s, &f, str_of(text));
    }
    free(text);
}

static void gateway_turn(size_t station)
{
    struct slot *slot = slot_of(station);
    struct session *s = slot->session;
    for (struct link *l = shell.wires.next; l != &shell.wires; l = l->next)
        if (dice_chance(&shell.dice, 500))
            gateway_reads(CONTAINER(l, struct wire, link));
    if (s == NULL)
        return;
    if (!s->is_ready_for_commands && dice_chance(&shell.dice, 500)) { /* it has booted */
        s->is_ready_for_commands = true;
        commands_try_send(slot);
    }
    if (CONTAINER(s, struct wire, session)->is_down && dice_chance(&shell.dice, 300))
        gateway_loses(slot, false);
}

static void world_kill(bool is_asked_to)
{
    if (is_asked_to) {
        shell.gateway.is_draining = true;
        for (size_t i = 0; i < STATIONS; i++)
            gateway_loses(slot_of(i), true);
        shell_commit();
    }
    reached[KILLED_UNWRITTEN] += shell.disk.count > shell.disk.committed;
    oracle_read_log();
    disk_crash(&shell.disk);
    shell_end();
    memset(world.own, 0, sizeof world.own);
    if (dice_chance(&shell.dice, 200))
        shell.skew_ms = (int64_t)dice_below(&shell.dice, 120000) - 60000;
    shell.now_ms += dice_below(&shell.dice, 30000);
    for (size_t i = 0; i < world.fact_count; i++)
        reached[RESUMED] += world.facts[i].queued != 0 && world.facts[i].ended == 0;
    shell_start();
}

static void world_fault(size_t station)
{
    struct slot *slot = slot_of(station);
    unsigned what = dice_below(&shell.dice, 12);
    if (what < 2)
        world_kill(what == 0);
    else if (what < 4)
        shell.disk.is_refusing = !shell.disk.is_refusing;
    else if (what < 5)
        slot->station.registration = (enum registration)(1 + dice_below(&shell.dice, 3));
    else if (what < 6)
        shell.now_ms += dice_below(&shell.dice, 40000);
    else
        station_leaves(station);
}

static void world_step(void)
{
    size_t station = dice_below(&shell.dice, STATIONS);
    shell.now_ms += dice_below(&shell.dice, 400);
    if (!world.is_calm && dice_chance(&shell.dice, 60))
        world_fault(station);
    if (world.own[station] == NULL && dice_chance(&shell.dice, 200))
        station_connects(station);
    if (!world.is_calm && dice_chance(&shell.dice, 120))
        person_asks(station);
    if (!world.is_calm && dice_chance(&shell.dice, 60))
        person_repeats(station);
    station_reads(station);
    if (dice_chance(&shell.dice, 100))
        station_says_late();
    gateway_turn(station);
    for (unsigned n = 0; n < COMMANDS_MAX && shell_fire(); n++)
        ;
    if (dice_chance(&shell.dice, 300)) {
        shell_commit();
        oracle_read_log();
    }
    if (dice_chance(&shell.dice, 100))
        shell_project(1 + dice_below(&shell.dice, 4));
}

static bool all_have_ended(void)
{
    for (size_t i = 0; i < world.fact_count; i++)
        if (world.facts[i].queued != 0 && world.facts[i].ended == 0)
            return false;
    return shell.disk.committed == shell.disk.count;
}

static void world_run(uint64_t seed)
{
    world = (struct world){.seed = seed};
    shell.dice = (struct dice){seed};
    shell.disk = (struct disk){0};
    shell.projected = 0;
    shell.now_ms = 1000;
    shell.skew_ms = 0;
    check(db_run(shell.db, "DELETE FROM charge_points", NULL, 0) == OK);
    check(db_run(shell.db, "DELETE FROM commands", NULL, 0) == OK);
    shell_start();
    for (size_t i = 0; i < STATIONS; i++)
        station_connects(i); /* so that their rows are there */
    shell_commit();
    for (unsigned n = 0; n < STEPS_WILD && !world.is_broken; n++)
        world_step();
    world.is_calm = true;
    shell.disk.is_refusing = false;
    for (size_t i = 0; i < STATIONS; i++)
        slot_of(i)->station.registration = REGISTRATION_ACCEPTED;
    for (unsigned n = 0; n < STEPS_CALM && !world.is_broken && !all_have_ended(); n++)
        world_step();
    for (size_t i = 0; i < world.fact_count; i++)
        must(&world.facts[i], world.facts[i].queued == 0 || world.facts[i].ended_count == 1, "it has no outcome (1)");
    shell_end();
    disk_release(&shell.disk);
    while (world.late_count > 0)
        free(world.late[--world.late_count].text);
}

int main(void)
{
    char place[PLACE_MAX], path[PLACE_PATH_MAX];
    struct fault why = {"", ""};
    log_setup(-1, LOG_LEVEL_ERROR, false, NULL);
    place_make(place, "test-commands");
    (void)snprintf(path, sizeof path, "%s/db", place);
    check(config_load((struct str){NULL, 0}, NULL, 0, (char *[]){NULL}, &shell.config, &why) == OK);
    check(db_open(path, DB_WRITER, &shell.db, &why) == OK &&
          db_migrate(shell.db, stations_migrations, stations_migration_count, &why) == OK &&
          db_set_durable(shell.db, false) == OK);
    list_init(&shell.timers);
    list_init(&shell.wires);
    shell.on_leave = on_leave;
    for (uint64_t seed = 1; seed <= SEEDS && failed < FAILURES_MOST; seed++) {
        world_run(seed);
        CHECK("a seed", !world.is_broken);
    }
    for (size_t i = 0; i < REACHED_COUNT; i++)
        CHECK(reached_words[i], reached[i] >= REACHED_LEAST);
    db_close(shell.db);
    config_release(&shell.config);
    for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end != NULL; end++) {
        char file[PLACE_PATH_MAX + 8];
        (void)snprintf(file, sizeof file, "%s%s", path, *end);
        (void)unlink(file);
    }
    (void)rmdir(place);
    return CHECK_REPORT();
}
