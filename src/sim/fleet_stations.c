/* sim/fleet_stations.c - a fleet of OCPP stations. */
#include "sim/fleet_private.h"

#define FINISH_MS 2000

static void station_connect(struct sim_station *s)
{
    fleet_connect(s->index);
}
static void station_send(struct sim_station *s, struct str text)
{
    fleet_send(s->index, (struct bytes){(const uint8_t *)text.at, text.len});
}
static void station_drop(struct sim_station *s)
{
    fleet_drop(s->index);
}
static void station_tell(struct sim_station *s, const struct sim_event *e)
{
    fleet_tell(str_of(s->identity), station_sentences[e->kind], e);
}

static void init(struct fleet *f)
{
    struct sim_world *w = &f->world.stations;
    const struct sim_options *o = f->options;
    sim_world_init(w);
    f->totals = &w->totals;
    w->speed_milli = (int32_t)o->speed * 1000;
    w->quirks = o->quirks;
    w->is_driven = !o->idle;
    w->run = (uint32_t)(clock_now().us / 1000);
    w->first_plug_ms = fleet_first_plug_ms(o);
    w->connect = station_connect;
    w->send = station_send;
    w->drop = station_drop;
    w->tell = station_tell;
}

static void release(struct fleet *f)
{
    sim_world_release(&f->world.stations);
}

static void *make(struct fleet *f, size_t index, int64_t connect_at_ms)
{
    const struct sim_options *o = f->options;
    return sim_station_new(&f->world.stations, &(struct sim_station_options){.index = (uint32_t)index,
                                                                             .connectors = (unsigned)o->connectors,
                                                                             .seed = (uint64_t)o->seed,
                                                                             .prefix = o->prefix,
                                                                             .connect_at_ms = connect_at_ms});
}

static void free_station(void *device)
{
    sim_station_free(device);
}
static struct str name(const void *device)
{
    return str_of(((const struct sim_station *)device)->identity);
}
static void on_open(void *device, struct sim_now now)
{
    sim_station_on_open(device, now);
}
static void on_close(void *device, struct sim_now now)
{
    sim_station_on_close(device, now);
}
static void on_bytes(void *device, struct sim_now now, struct bytes b)
{
    sim_station_on_text(device, now, (struct str){(const char *)b.at, b.len});
}
static void on_time(void *device, struct sim_now now)
{
    sim_station_on_time(device, now);
}
static void finish(void *device, struct sim_now now)
{
    ((struct sim_station *)device)->world->is_leaving = true;
    sim_station_finish(device, now);
}
static int64_t due_ms(const void *device)
{
    return sim_station_due_ms(device);
}
static bool is_connecting(const void *device)
{
    return ((const struct sim_station *)device)->link == SIM_CONNECTING;
}
static bool is_quiet(const void *device)
{
    return sim_station_is_quiet(device);
}

const struct fleet_kind fleet_of_stations = {
    .noun = "stations",
    .finish_ms = FINISH_MS,
    .init = init,
    .release = release,
    .make = make,
    .free = free_station,
    .name = name,
    .on_open = on_open,
    .on_close = on_close,
    .on_bytes = on_bytes,
    .on_time = on_time,
    .finish = finish,
    .due_ms = due_ms,
    .is_connecting = is_connecting,
    .is_quiet = is_quiet,
};
