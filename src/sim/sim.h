/* sim/sim.h - stations and piles that behave and misbehave: `chargeline sim`, for the demo, for load and for tests. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

/* argv[0] is the word "sim", its options follow. Runs until --duration is over or a signal came; the exit status: 0;
 * 1 where something broke in the simulated world of --story; 2 where an option is wrong. */
int sim_main(int argc, char **argv);
#endif
