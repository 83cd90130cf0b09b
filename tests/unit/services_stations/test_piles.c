/* What the tables make of a pile is what memory holds of it: after some random steps of pileworld.h a pile is loaded,
 * compared, and now and then goes on as the loaded one: as after it was dropped from memory, or after a restart of the
 * whole. At the end of a round each settlement that was answered is one transaction, or waits in quarantine. */
#include "pileworld.h"

#define ROUNDS        100
#define STEPS         400
#define COMPARE_EVERY 12
#define SWIPE_EVERY   16
#define FAR_BEHIND     300 /* events */
#define COMPARE_SELDOM 97

/* --- memory and tables --- */

/* From when on it counts as running. */
static struct instant start_of(const struct pile_order *o)
{
    return instant_is_set(o->started_at) ? o->started_at : o->placed_at;
}

static void compare_order(const struct pile_order *a, const struct pile_order *b)
{
    CHECK("an order is what it was", memcmp(a->no, b->no, sizeof a->no) == 0 && strcmp(a->key, b->key) == 0 &&
                                         a->number == b->number && a->id == b->id && a->start_mode == b->start_mode);
    CHECK("in its state, at its port", a->state == b->state && a->port == b->port);
    CHECK("told or not, wanted or not", a->is_told == b->is_told && a->is_cancelled == b->is_cancelled);
    CHECK("its port is held or not", a->is_held == b->is_held);
    CHECK("it was placed, began and was decided then", a->placed_at.us == b->placed_at.us &&
                                                           start_of(a).us == start_of(b).us &&
                                                           a->decided_at.us == b->decided_at.us);
    CHECK("it is settled by that content", a->content == b->content);
    CHECK("it is by the same command", strcmp(a->command_id, b->command_id) == 0);
    /* Whose it was is sometimes said by its settlement first, and then only the transaction tells it. */
    CHECK("it is the same customer's",
          strcmp(a->id_tag, b->id_tag) == 0 || (a->state == ORDER_SETTLED && b->id_tag[0] == 0));
}

static size_t place_of(uint32_t id)
{
    size_t i = 0;
    while (i < told_count && told[i].id != id)
        i++;
    return i;
}

static size_t held_count; /* orders that were, when they were compared */

static void compare_orders(size_t pile, struct ap3000_pile *loaded)
{
    struct ap3000_pile *p = k->piles[pile];
    size_t closed_count = 0, loaded_count = 0, before = 0;
    pile_end_holds(p, k->now);
    pile_end_holds(loaded, k->now);
    CHECK("as many are open", pile_open_count(p) == pile_open_count(loaded));
    for (size_t i = 0; i < p->order_count; i++) {
        const struct pile_order *a = &p->orders[i], *b = pile_order_of(loaded, a->id);
        struct pile_order found;
        enum err e = stations_find_order(db, str_of(k->stations[pile].id), str_of(a->key), &found);
        CHECK("what memory holds is found by its key", e == OK);
        if (e == OK) {
            pile_order_end_hold(&found, k->now);
            compare_order(a, &found);
        }
        CHECK("what is open is loaded", b != NULL || !order_state_is_open(a->state));
        CHECK("and what is held", b != NULL || !a->is_held);
        held_count += a->is_held;
        if (b != NULL)
            compare_order(a, b);
        closed_count += !order_state_is_open(a->state);
    }
    for (size_t i = 0; i < loaded->order_count; i++) {
        const struct pile_order *o = &loaded->orders[i];
        CHECK("nobody has heard a loaded order", !instant_is_set(o->seen_at) && o->idle_beats == 0 && o->stops == 0);
        loaded_count += !order_state_is_open(o->state);
        if (!order_state_is_open(o->state))
            continue;
        CHECK("open ones come as they began: the last is the newest", i == 0 || place_of(o->id) >= before);
        before = place_of(o->id);
    }
    CHECK("so are the last of the others",
          loaded_count >= (closed_count < PILE_SETTLED_MAX ? closed_count : PILE_SETTLED_MAX));
}

static size_t cabinet_count; /* piles that were one */

static void compare_facts(size_t pile, const struct ap3000_pile *b)
{
    const struct ap3000_pile *a = k->piles[pile];
    bool is_unsaid = a->style == PILE_STYLE_ASKED || a->style == PILE_STYLE_UNKNOWN;
    CHECK("how it beats", is_unsaid ? b->style == PILE_STYLE_UNKNOWN : a->style == b->style);
    CHECK("how often", a->heartbeat_s == b->heartbeat_s);
    CHECK("what it is", a->physical_id == b->physical_id && a->firmware == b->firmware &&
                            a->device_type == b->device_type && a->power_board_version == b->power_board_version);
    CHECK("what it has", a->is_registered == b->is_registered && a->port_count == b->port_count &&
                             a->virtual_id == b->virtual_id && a->work_mode == b->work_mode);
    CHECK("what it is to others", a->is_host == b->is_host && a->host_type == b->host_type &&
                                      a->host_firmware == b->host_firmware && strcmp(a->host, b->host) == 0);
    CHECK("its card", strcmp(a->iccid, b->iccid) == 0);
    CHECK("what waits of it", a->waiting_count == b->waiting_count);
    CHECK("it is a cabinet or none", a->is_cabinet == b->is_cabinet);
    cabinet_count += a->is_cabinet;
}

static void compare_station(size_t pile, struct station *loaded, const struct ap3000_pile *p)
{
    const struct station *s = &k->stations[pile];
    CHECK("its sequence goes on", loaded->sequence == s->sequence && loaded->registration == s->registration);
    for (size_t i = 0; i < s->connector_count; i++) {
        const struct connector *a = &s->connectors[i], *b = station_connector_find(loaded, a->id);
        CHECK("a connector is as it was",
              a->status[0] == 0 || (b != NULL && strcmp(a->status, b->status) == 0 && a->since.us == b->since.us));
    }
    for (size_t i = 0; s->said != NULL && i < STATION_METERS_MAX; i++)
        CHECK("what it said lately is known again",
              s->said->meters[i] == 0 || station_meter_is_repeat(loaded, s->said->meters[i]));
    for (size_t i = 0; i < k->piles[pile]->ports_seen; i++)
        CHECK("a port is in its state", i < p->ports_seen && k->piles[pile]->ports[i] == p->ports[i]);
    for (int64_t i = 0; i < p->ports_seen; i++) {
        const struct connector *c = station_connector_find(loaded, i + 1);
        CHECK("no port is known of which nothing was told", c != NULL && c->status[0] != 0);
    }
}

/* How many each tag has open, by memory and by the tables. */
static void compare_tags(void)
{
    static const char *const tags[] = {"7A8D05DD", "0A0B0C0D", "054358", ""};
    struct tag_book *counted = tag_book_new(kit_key);
    CHECK("tags are counted", stations_count_tags(db, counted) == OK);
    for (size_t i = 0; i < COUNT_OF(tags); i++)
        CHECK("a tag has as many open",
              tag_book_count(k->tags, str_of(tags[i])) == tag_book_count(counted, str_of(tags[i])));
    tag_book_free(k->tags); /* as at a start of the process */
    k->tags = counted;
}

/* What another process makes of a command that this one had sent: gateway/talks.c. */
static void resume_talk(size_t pile)
{
    struct talking *t = &talking[pile];
    if (!t->is_on)
        return;
    const struct ap3000_command_of c = {t->talk.action, str_of(t->id), str_of(t->payload)};
    ap3000_talk_resume(k->piles[pile], &c, &t->talk);
    be_silent(pile);
    for (size_t i = 0; i < k->piles[pile]->order_count; i++) {
        enum order_state now = k->piles[pile]->orders[i].state;
        CHECK("no order waits for an answer that nobody takes", now != ORDER_STARTING && now != ORDER_STOPPING);
    }
}

static void compare(size_t pile)
{
    struct station loaded;
    struct firmware_job job = {0};
    struct ap3000_pile *p = pile_new();
    batch_write();
    station_init(&loaded, str_of(k->stations[pile].id));
    enum err e = stations_load(db, str_of(loaded.id), &loaded);
    CHECK("it has a row when it has said something", e == (k->stations[pile].has_booted ? OK : ERR_UNKNOWN));
    CHECK("so has the pile", stations_load_pile(db, str_of(loaded.id), p, &job) == OK && job.job_id[0] == 0);
    CHECK("no number is given twice", stations_last_number(db) + 1 == k->next_number);
    if (e == OK) {
        compare_orders(pile, p);
        compare_station(pile, &loaded, p);
    }
    if (e == OK && !is_stale[pile])
        compare_facts(pile, p);
    compare_tags();
    if (e != OK || dice(3) > 0) {
        station_release(&loaded);
        pile_free(p);
        return;
    }
    station_release(&k->stations[pile]); /* dropped from memory, and back */
    pile_free(k->piles[pile]);
    k->stations[pile] = loaded;
    k->piles[pile] = p;
    k->is_new_line[pile] = true;
    resume_talk(pile);
}

/* --- the end of a round --- */

static int64_t count_of(const char *sql, const struct answered *a)
{
    char significant[2 * SETTLEMENT + 1], no[2 * AP3000_ORDER_SIZE + 1] = "";
    size_t len = a->len < SIGNIFICANT ? a->len : SIGNIFICANT;
    struct buf hex;
    buf_init(&hex, sizeof significant);
    kit_put_hex(&hex, (struct bytes){a->payload, len});
    if (a->len >= SIGNIFICANT)
        hex_write((struct bytes){a->payload + 13, AP3000_ORDER_SIZE}, no);
    struct db_rows *r = DB_ROWS(db, sql, db_text(str_of(k->stations[a->pile].id)), db_text(buf_str(&hex)),
                                db_text(str_of(no)), db_int(10 * (int64_t)le16(a->payload + 4)));
    int64_t n = db_next(r) ? db_col_int(r, 0) : -1;
    CHECK(sql, db_rows_end(r) == OK);
    buf_release(&hex);
    return n;
}

/* Frames are kept as upper-case hexadecimal: the payload begins at the 25th digit. */
static void check_answered(const struct answered *a)
{
    int64_t settled = count_of("SELECT count(*) FROM orders o JOIN transactions t ON t.number = o.number"
                               " WHERE o.charge_point_id = ?1 AND o.order_no = ?3 AND o.state = 'settled'"
                               " AND t.state = 'closed' AND t.energy_wh = ?4 AND t.meter_stop_wh = ?4"
                               " AND t.flags LIKE '%settlement%' AND length(?2) > 0",
                               a);
    int64_t waiting = count_of("SELECT count(*) FROM quarantine WHERE charge_point_id = ?1 AND state = 'open'"
                               " AND action = 'Settlement' AND substr(frame, 25, length(?2)) = ?2"
                               " AND (length(?2) = 58 OR length(frame) = 28 + length(?2)) AND ?3 = ?3 AND ?4 = ?4",
                               a);
    CHECK("what was answered is one transaction, or waits for a person", a->is_held     ? settled + waiting > 0
                                                                         : settled == 1 ? waiting == 0
                                                                                        : settled == 0 && waiting > 0);
}

static void check_tables(void)
{
    static const char *const none[] = {
        "SELECT count(*) FROM (SELECT 1 FROM orders GROUP BY number HAVING count(*) > 1)",
        "SELECT count(*) FROM (SELECT 1 FROM orders WHERE length(order_key) = 32 GROUP BY charge_point_id, order_no"
        " HAVING count(*) > 1)",
        "SELECT count(*) FROM transactions t WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.number = t.number"
        " AND o.charge_point_id = t.charge_point_id AND o.order_no = t.order_no AND o.is_told = 1)",
        "SELECT count(*) FROM orders o WHERE is_told = 1 AND (state = 'settled') <> (SELECT t.state = 'closed'"
        " FROM transactions t WHERE t.number = o.number)",
        "SELECT count(*) FROM orders WHERE state = 'settled' AND is_told = 0",
        "SELECT count(*) FROM orders WHERE block <> changed_at >> 34",
        "SELECT count(*) FROM transactions WHERE state = 'closed' AND (energy_wh IS NULL OR stop_reason IS NULL)",
    };
    for (size_t i = 0; i < COUNT_OF(none); i++)
        CHECK(none[i], tables_ask(none[i]) == 0);
    CHECK("a transaction each", tables_ask("SELECT count(*) FROM orders") == (int64_t)told_count || told_count == 0);
    for (size_t i = 0; i < answered_count; i++)
        check_answered(&answered[i]);
}

/* A swipe, what becomes of its order, perhaps an end of the process, and perhaps the swipe once more. */
static void swipe_and_end(size_t pile)
{
    swipe(pile);
    go_on_talking(pile);
    compare(pile);
    swipe(pile);
}

/* With tables that are behind by a few events, or by many. */
static void run_round(uint64_t seed, bool is_far_behind)
{
    tables_clear();
    world_begin(seed);
    batch_max = is_far_behind ? FAR_BEHIND : BATCH_MAX;
    for (int i = 0; i < STEPS; i++) {
        size_t pile = dice(KIT_PILES);
        step(pile);
        if (i % (is_far_behind ? COMPARE_SELDOM : COMPARE_EVERY) == 0)
            compare(dice(KIT_PILES));
        if (i % (is_far_behind ? COMPARE_SELDOM : SWIPE_EVERY) == 0)
            swipe_and_end(pile);
    }
    for (size_t i = 0; i < KIT_PILES; i++)
        compare(i);
    batch_write();
    check_tables();
    kit_free(k);
}

int main(void)
{
    tables_open(kit_key);
    arena_init(&reading_arena, KIT_ARENA_MAX);
    for (uint64_t seed = 1; seed <= ROUNDS; seed++)
        run_round(seed * 7919, seed % 2 == 0);
    arena_release(&reading_arena);
    tables_close();
    CHECK("some were held", held_count > 0);
    CHECK("some look-ups waited for the tables, others not", waited_count > 0 && behind_count > 0);
    CHECK("some were cabinets", cabinet_count > 0);
    return CHECK_REPORT();
}
