/* compare-tables [SEEDS]: the real consumer "stations" on SQLite beside the simulation's own tables. Of each seed the
 * committed log is given to both; what each makes of it, loaded into the memory of a station, must be the same, and so
 * what is looked up. */
#include "simulation/model.h"

#include "services/stations/stations.h"
#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEEDS_PRESET 200

static struct db *db;

static void fill(struct world *w)
{
    struct stations *s = stations_new(w->id_key, STR("g"), NULL, NULL);
    struct consumer c;
    struct fault why = {0};
    stations_consumer(s, &c);
    check(db_begin(db) == OK);
    static const char *const all[] = {"DELETE FROM charge_points", "DELETE FROM connectors",
                                      "DELETE FROM transactions",  "DELETE FROM transaction_reading_blocks",
                                      "DELETE FROM quarantine",    "DELETE FROM server_facts"};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        check(db_run(db, all[i], NULL, 0) == OK);
    for (size_t i = 0; i < w->disk.committed; i++)
        if (c.on_event(c.state, db, &w->disk.records[i].event, &why) != OK)
            world_broken(w, "event %zu is refused by the tables: %s %s", i + 1, why.field, why.reason);
    check(c.on_batch_end(c.state, db, &why) == OK);
    check(db_commit(db) == OK);
    stations_free(s);
}

/* All that are open; of those that are over as many as they like. */
static void compare_transactions(struct world *w, size_t station, struct station *ours, const struct station *theirs)
{
    if (station_open_count(ours) != station_open_count(theirs))
        world_broken(w, "charger %zu: %zu open transactions, by the tables %zu", station, station_open_count(ours),
                     station_open_count(theirs));
    for (size_t i = 0; i < theirs->transaction_count; i++) {
        const struct transaction *b = &theirs->transactions[i], *a = station_transaction(ours, b->id);
        if (a == NULL || a->number != b->number || a->state != b->state || a->is_superseded != b->is_superseded)
            world_broken(w, "charger %zu: transaction %u is not in the same state by the tables", station, b->id);
        else if (a->start_key != b->start_key || a->stop_key != b->stop_key || a->meter_start_wh != b->meter_start_wh ||
                 a->first_verdict != b->first_verdict || a->connector_id != b->connector_id ||
                 strcmp(a->id_tag, b->id_tag) != 0)
            world_broken(w, "charger %zu: transaction %u is another by the tables", station, a->id);
        else if (a->state == TRANSACTION_OPEN && a->is_confirmed != b->is_confirmed)
            world_broken(w, "charger %zu: transaction %u is known to the charger: %d, by the tables %d", station, a->id,
                         a->is_confirmed, b->is_confirmed);
    }
}

static void compare_waiting(struct world *w, size_t station, const struct station *ours, const struct station *theirs)
{
    size_t n = 0;
    const struct orphan *expected[STATION_ORPHANS_MAX];
    for (size_t i = 0; ours->orphans != NULL && i < STATION_ORPHANS_MAX; i++)
        if (ours->orphans[i].is_set)
            expected[n++] = &ours->orphans[i];
    size_t at = 0;
    for (size_t i = 0; theirs->orphans != NULL && i < STATION_ORPHANS_MAX; i++)
        if (theirs->orphans[i].is_set && (at == n || theirs->orphans[i].timestamp.us != expected[at++]->timestamp.us))
            world_broken(w, "charger %zu: stops wait in another order, or others, by the tables", station);
    if (at != n)
        world_broken(w, "charger %zu: %zu stops wait, by the tables %zu", station, n, at);
}

static void compare_station(struct world *w, size_t station)
{
    struct station ours, theirs;
    const struct table_station *t = &w->tables.stations[station];
    char id[] = "CP-0";
    id[3] = (char)('0' + station);
    station_init(&ours, str_of(id));
    station_init(&theirs, str_of(id));
    tables_load(&w->tables, station, &ours);
    check(stations_load(db, str_of(id), &theirs) == OK);
    if (ours.registration != theirs.registration || ours.generation != theirs.generation ||
        ours.sequence != theirs.sequence || ours.has_booted != theirs.has_booted)
        world_broken(w, "charger %zu: its row is another by the tables", station);
    for (size_t i = 0; i < ours.connector_count; i++) {
        const struct connector *c = station_connector_find(&theirs, ours.connectors[i].id);
        if (c == NULL || strcmp(c->status, ours.connectors[i].status) != 0 ||
            c->since.us != ours.connectors[i].since.us)
            world_broken(w, "charger %zu: connector %d is another by the tables", station, ours.connectors[i].id);
    }
    compare_transactions(w, station, &ours, &theirs);
    compare_waiting(w, station, &ours, &theirs);
    for (size_t i = 0; i < CONTENTS_KEPT && i < t->content_count; i++) {
        for (size_t n = t->content_count > CONTENTS_KEPT ? t->content_count - CONTENTS_KEPT + i : i;
             n < t->content_count; n++)
            if (!station_meter_is_repeat(&theirs, t->contents[n % CONTENTS_KEPT]))
                world_broken(w, "charger %zu: after %zu more, content %zu of %zu would be taken twice by the tables",
                             station, i, n + 1, t->content_count);
        if (t->content_count >= CONTENTS_KEPT)
            station_remember_meter(&theirs, i + 1); /* the oldest is the next to be forgotten */
    }
    station_release(&ours);
    station_release(&theirs);
}

static void compare(struct world *w)
{
    struct arena a;
    arena_init(&a, 65536);
    fill(w);
    for (size_t i = 0; i < w->station_count; i++)
        compare_station(w, i);
    for (size_t i = 0; i < w->tables.transaction_count; i++) {
        const struct table_transaction *t = &w->tables.transactions[i];
        struct transaction found = {0};
        struct str owner = {NULL, 0};
        if (stations_find_transaction(db, t->t.number, &a, &found, &owner) != OK || found.id != t->t.id ||
            station_number(owner) != t->station || found.is_superseded != t->t.is_superseded ||
            found.stop_key != t->t.stop_key)
            world_broken(w, "transaction %u is not found by its id in the tables", t->t.id);
        struct transaction_start start = {t->t.connector_id, str_of(t->t.id_tag), t->t.device_started,
                                          t->t.meter_start_wh};
        char id[] = "CP-0";
        id[3] = (char)('0' + t->station);
        if (stations_find_start(db, str_of(id), &start, &found) != OK || found.id != t->t.id)
            world_broken(w, "transaction %u is not found by its start in the tables", t->t.id);
    }
    if (stations_last_number(db) != w->tables.last_number)
        world_broken(w, "the last number is %llu, by the tables %llu", (unsigned long long)w->tables.last_number,
                     (unsigned long long)stations_last_number(db));
    arena_release(&a);
}

int main(int argc, char **argv)
{
    static struct outcome outcome = {.on_end = compare};
    char dir[PLACE_MAX], path[PLACE_PATH_MAX];
    struct fault why;
    int64_t seeds = SEEDS_PRESET, bad = 0;
    if (argc > 1 && str_to_int(str_of(argv[1]), &seeds) != OK)
        return 2;
    place_make(dir, "compare-tables");
    (void)snprintf(path, sizeof path, "%s/db", dir);
    check(db_open(path, DB_WRITER, &db, &why) == OK &&
          db_migrate(db, stations_migrations, stations_migration_count, &why) == OK);
    check(db_set_durable(db, false) == OK);
    for (int64_t seed = 1; seed <= seeds; seed++)
        if (!world_run((uint64_t)seed, &outcome)) {
            (void)printf("seed %lld: %s\n", (long long)seed, outcome.failure);
            bad++;
        }
    db_close(db);
    for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end != NULL; end++) {
        char file[PLACE_PATH_MAX + 8];
        (void)snprintf(file, sizeof file, "%s%s", path, *end);
        (void)unlink(file);
    }
    (void)rmdir(dir);
    (void)printf("%lld passed, %lld failed\n", (long long)(seeds - bad), (long long)bad);
    return bad != 0;
}
