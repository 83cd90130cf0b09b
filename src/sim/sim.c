/* sim/sim.c - the command: options, then stations, load, or a story. */
#include "sim/sim.h"
#include "sim/fleet.h"
#include "sim/load.h"
#include "simulation/world.h"
#include <stdio.h>

#define HELP_MAX      16384
#define STATUS_BROKEN 1
#define STATUS_WRONG  2

static int print_help(const struct sim_options *o)
{
    struct buf text;
    buf_init(&text, HELP_MAX);
    if (o->is_quirk_list)
        sim_quirks_help(o, &text);
    else
        sim_options_help(&text);
    (void)fwrite(text.at, 1, text.len, stdout);
    buf_release(&text);
    return 0;
}

static int refuse(const struct fault *why)
{
    (void)fprintf(stderr, "chargeline sim: %s: %s\n", why->field, why->reason);
    return STATUS_WRONG;
}

static void tell(void *data, const char *line)
{
    (void)data;
    (void)puts(line);
}

/* The simulated world of a seed, as tests/simulation runs it by the thousand. What must hold and does not ends it. */
static int story_tell(uint64_t seed)
{
    static struct outcome outcome = {.on_line = tell};
    bool is_good = world_run(seed, &outcome);
    (void)printf("seed %llu: %s\n", (unsigned long long)seed, is_good ? "nothing broke" : outcome.failure);
    return fflush(stdout) == 0 && is_good ? 0 : STATUS_BROKEN;
}

int sim_main(int argc, char **argv)
{
    struct sim_options o;
    struct sim_door door;
    struct fault why = {{0}, {0}};
    if (sim_options_parse(argc, argv, &o, &why) != OK)
        return refuse(&why);
    if (o.help || o.is_quirk_list)
        return print_help(&o);
    if (o.story)
        return story_tell((uint64_t)o.seed);
    if (sim_door_open(&o, &door, &why) != OK)
        return refuse(&why);
    int status = o.heartbeats || o.load.len > 0 ? load_run(&o, &door) : fleet_run(&o, &door);
    sim_door_close(&door);
    return status;
}
