/* main.c - chargeline COMMAND ...: the table of commands. */
#include "commands.h"
#include "base/base.h"
#include "sim/sim.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"serve",     serve_main,     "run the server"},
    {"sim",       sim_main,       "simulate charging stations against a server"},
    {"tail",      tail_main,      "follow the events of a server, readable or as JSON"},
    {"doctor",    doctor_main,    "say what is wrong with a data directory, its server running or not"},
    {"config",    config_main,    "explain every setting, or check a file"},
    {"decode",    decode_main,    "explain the bytes of an AP3000 pile, field by field"},
    {"version",   version_main,   "print the version"},
    {"reference", reference_main, "write the reference pages from the tables"},
};

static void print_help(FILE *to)
{
    (void)fprintf(to, "chargeline - the back end of a charging network\n\nusage: chargeline COMMAND [options]\n\n");
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        (void)fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    (void)fprintf(to, "\nEach command has --help. To begin: chargeline serve\n");
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0)
        return version_main(1, argv + 1);
    (void)fprintf(stderr, "chargeline: no command \"%s\"; chargeline --help lists them\n", argv[1]);
    return 2;
}
