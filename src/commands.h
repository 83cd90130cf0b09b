/* commands.h - the program's commands: each takes its own arguments (argv[0] is its name) and returns the exit code.
 * 0 done or asked to stop, 1 failed, 2 usage or configuration, 3 another server holds the data directory (api.md 4). */
#ifndef COMMANDS_H
#define COMMANDS_H
int serve_main(int argc, char **argv);
int tail_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int decode_main(int argc, char **argv);
int config_main(int argc, char **argv);
int version_main(int argc, char **argv);
int reference_main(int argc, char **argv);
#endif
