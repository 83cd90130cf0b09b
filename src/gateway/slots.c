/* gateway/slots.c - the stations in memory. A slot is made when someone asks for a station, filled from the store by a
 * worker, and dropped when nobody needs it any more and the tables hold all that it knows. */
#include "gateway/parts.h"

#define SWEEP_MS 30000

struct slot *slot_find(struct gateway *g, struct str id)
{
    return map_find(&g->slots, id);
}

void slot_free(struct slot *slot)
{
    timer_stop(&slot->sweep);
    (void)map_take(&slot->gateway->slots, str_of(slot->station.id));
    station_release(&slot->station);
    firmware_forget(slot);
    pile_free(slot->pile);
    free(slot);
}

void slots_release(struct gateway *g)
{
    size_t i = 0;
    for (struct slot *slot; (slot = map_next(&g->slots, &i)) != NULL;) {
        timer_stop(&slot->sweep);
        station_release(&slot->station);
        firmware_forget(slot);
        pile_free(slot->pile);
        free(slot);
    }
    map_release(&g->slots);
}

/* In memory for a reason: connected, between two connections, with commands, or with something the tables do not have
 * yet. */
static void on_sweep(struct timer *t)
{
    struct slot *slot = CONTAINER(t, struct slot, sweep);
    struct gateway *g = slot->gateway;
    if (slot->session != NULL || slot->is_loading || !list_is_empty(&slot->waiting) || slot->pins > 0)
        return; /* whoever ends that calls slot_rest again */
    bool is_between = slot->lost_ms != 0 && clock_monotonic_ms() - slot->lost_ms < g->config->reconnect_grace_s * 1000;
    bool is_written = slot->station.position <= atomic_load(&g->projected);
    if (slot->command_count > 0 || slot->outstanding != NULL || is_between || !is_written) {
        timer_start(g->loop, &slot->sweep, SWEEP_MS);
        return;
    }
    slot_free(slot);
}

void slot_rest(struct slot *slot)
{
    bool is_empty = !slot->has_row && slot->station.position == 0 && slot->session == NULL &&
                    slot->command_count == 0 && slot->outstanding == NULL && list_is_empty(&slot->waiting) &&
                    slot->pins == 0 && !slot->is_loading;
    if (is_empty)
        slot_free(slot); /* someone asked for a station that is none: keep nothing of it */
    else
        timer_start(slot->gateway->loop, &slot->sweep, SWEEP_MS);
}

/* Its first command has any number: what still comes for the process before this one is no answer to it. */
static struct ap3000_pile *pile_begin(struct gateway *g)
{
    uint8_t random[2];
    struct ap3000_pile *p = pile_new();
    gateway_random(g, random, sizeof random);
    p->next_message_id = (uint16_t)(le16(random) | 1);
    return p;
}

static struct slot *slot_new(struct gateway *g, struct str id)
{
    struct slot *slot = mem_new(1, sizeof *slot);
    slot->gateway = g;
    station_init(&slot->station, id);
    if (gateway_is_pile(g, id))
        slot->pile = pile_begin(g);
    list_init(&slot->waiting);
    list_init(&slot->commands);
    timer_init(&slot->sweep, on_sweep);
    (void)map_put(&g->slots, str_of(slot->station.id), slot);
    return slot;
}

struct load_job {
    struct job job;
    struct slot *slot;
    struct station loaded;
    struct ap3000_pile *pile;     /* NULL: of a station that is none */
    struct firmware_job firmware; /* job_id "": none */
    enum err error;
};

static void run_load(struct job *j)
{
    struct load_job *load = CONTAINER(j, struct load_job, job);
    struct db *d = workers_state();
    load->error = d == NULL ? ERR_IO : stations_load(d, str_of(load->loaded.id), &load->loaded);
    if (load->pile != NULL && (load->error == OK || load->error == ERR_UNKNOWN)) {
        enum err e = stations_load_pile(d, str_of(load->loaded.id), load->pile, &load->firmware);
        load->error = e == OK ? load->error : e;
    }
}

static void finish_waiters(struct slot *slot, enum err e)
{
    struct link waiting;
    list_init(&waiting);
    slot->pins++;
    while (!list_is_empty(&slot->waiting)) {
        struct waiter *w = CONTAINER(slot->waiting.next, struct waiter, link);
        list_take(&w->link);
        w->on_loaded(w, slot, e);
    }
    slot->pins--;
    if (slot->session == NULL)
        slot_rest(slot);
}

static void done_load(struct job *j)
{
    struct load_job *load = CONTAINER(j, struct load_job, job);
    struct slot *slot = load->slot;
    slot->is_loading = false;
    if (load->error == OK) {
        (void)map_take(&slot->gateway->slots, str_of(slot->station.id)); /* its key is about to be freed */
        station_release(&slot->station);
        slot->station = load->loaded;
        (void)map_put(&slot->gateway->slots, str_of(slot->station.id), slot);
    } else {
        station_release(&load->loaded);
    }
    if (load->error == OK || load->error == ERR_UNKNOWN) { /* a pile's orders outlive its row */
        struct ap3000_pile *old = slot->pile;
        slot->pile = load->pile;
        load->pile = old;
    }
    pile_free(load->pile);
    if (load->firmware.job_id[0] != 0 && slot->firmware == NULL)
        firmware_resume(slot, &load->firmware);
    if (slot->is_deleted && slot->pile != NULL)
        slot->pile->iccid_binding[0] = 0;
    if (slot->is_deleted && load->error == OK)
        load->error = ERR_UNKNOWN; /* the row was read before it went */
    slot->is_loaded = load->error == OK || load->error == ERR_UNKNOWN;
    slot->has_row = load->error == OK;
    if (!slot->is_loaded && load->error != ERR_CLOSED) /* never run: the server stops */
        LOG_ERROR("station.unreadable", F_CSTR("station", slot->station.id), F_CSTR("err", err_text(load->error)));
    enum err e = load->error;
    free(load);
    finish_waiters(slot, e);
}

void slot_load(struct gateway *g, struct str id, struct waiter *w)
{
    struct slot *slot = slot_find(g, id);
    if (slot == NULL)
        slot = slot_new(g, id);
    if (slot->is_loaded) {
        bool is_known =
            slot->has_row || (slot->station.position > 0 && !slot->is_deleted); /* its row is on its way, else */
        w->on_loaded(w, slot, is_known ? OK : ERR_UNKNOWN);
        return;
    }
    list_add_last(&slot->waiting, &w->link);
    if (slot->is_loading)
        return;
    struct load_job *load = mem_new(1, sizeof *load);
    load->slot = slot;
    load->error = ERR_CLOSED; /* what it stays when it is never run */
    load->job.run = run_load;
    load->job.done = done_load;
    station_init(&load->loaded, id);
    load->pile = slot->pile == NULL ? NULL : pile_begin(g);
    slot->is_loading = true;
    workers_add(g->workers, &load->job);
}

struct slot *slot_load_now(struct gateway *g, struct db *d, struct str id)
{
    struct slot *slot = slot_find(g, id);
    if (slot != NULL)
        return slot;
    slot = slot_new(g, id);
    enum err e = stations_load(d, id, &slot->station);
    struct firmware_job firmware = {0};
    if (slot->pile != NULL && (e == OK || e == ERR_UNKNOWN) && stations_load_pile(d, id, slot->pile, &firmware) != OK)
        e = ERR_IO;
    if (firmware.job_id[0] != 0)
        firmware_resume(slot, &firmware);
    slot->is_loaded = e == OK || e == ERR_UNKNOWN;
    slot->has_row = e == OK;
    return slot;
}
