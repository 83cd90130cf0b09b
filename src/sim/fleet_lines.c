/* sim/fleet_lines.c - a fleet of AP3000 lines: piles with a module of their own, or hosts and their slaves. */
#include "sim/fleet_private.h"

#define FINISH_MS 10000 /* a server spaces its frames to one pile: sixteen settlements take 8 s */

static void line_connect(struct sim_line *l)
{
    fleet_connect(l->index);
}
static void line_send(struct sim_line *l, struct bytes b)
{
    fleet_send(l->index, b);
}
static void line_drop(struct sim_line *l)
{
    fleet_drop(l->index);
}
static void line_leave(struct sim_line *l)
{
    fleet_leave(l->index);
}
static void line_tell(struct sim_line *l, const struct sim_pile *p, const struct sim_event *e)
{
    char name[PILE_NAME_SIZE];
    (void)l;
    sim_pile_name(p, name);
    fleet_tell(str_of(name), pile_sentences[e->kind], e);
}

static void init(struct fleet *f)
{
    const struct sim_options *o = f->options;
    f->world.lines = (struct pile_world){
        .speed_milli = (int32_t)o->speed * 1000,
        .quirks = o->quirks,
        .is_driven = !o->idle,
        .first_plug_ms = fleet_first_plug_ms(o),
        .connect = line_connect,
        .send = line_send,
        .drop = line_drop,
        .leave = line_leave,
        .tell = line_tell,
    };
    f->totals = &f->world.lines.totals;
}

static void release(struct fleet *f)
{
    (void)f;
}

static void *make(struct fleet *f, size_t index, int64_t connect_at_ms)
{
    const struct sim_options *o = f->options;
    return sim_line_new(&f->world.lines, &(struct sim_line_options){.index = (uint32_t)index,
                                                                    .ports = (unsigned)o->ports,
                                                                    .slaves = (unsigned)o->slaves,
                                                                    .first = (uint32_t)o->first,
                                                                    .seed = (uint64_t)o->seed,
                                                                    .connect_at_ms = connect_at_ms});
}

static void free_line(void *device)
{
    sim_line_free(device);
}
static struct str name(const void *device)
{
    (void)device;
    return (struct str){NULL, 0}; /* it says who it is in its frames */
}
static void on_open(void *device, struct sim_now now)
{
    sim_line_on_open(device, now);
}
static void on_close(void *device, struct sim_now now)
{
    sim_line_on_close(device, now);
}
static void on_bytes(void *device, struct sim_now now, struct bytes b)
{
    sim_line_on_bytes(device, now, b);
}
static void on_time(void *device, struct sim_now now)
{
    sim_line_on_time(device, now);
}
static void finish(void *device, struct sim_now now)
{
    ((struct sim_line *)device)->world->is_leaving = true;
    sim_line_finish(device, now);
}
static int64_t due_ms(const void *device)
{
    return sim_line_due_ms(device);
}
static bool is_connecting(const void *device)
{
    return ((const struct sim_line *)device)->link == LINE_CONNECTING;
}
static bool is_quiet(const void *device)
{
    return sim_line_is_quiet(device);
}

const struct fleet_kind fleet_of_lines = {
    .noun = "lines",
    .finish_ms = FINISH_MS,
    .init = init,
    .release = release,
    .make = make,
    .free = free_line,
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
