/*
 * fault.h -- rules that a test breaks on purpose, to see that its checks would find it.
 *
 * A build with -Dfaults=true reads LADDER_FAULTS once: names with commas between. In every other build fault_is is
 * false and the compiler drops it with what hangs on it. Any thread.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

#ifdef LADDER_WITH_FAULTS
bool fault_is(const char *name);
/*
 * A named moment: with the fault "stop-NAME" the whole process stops here (SIGSTOP), the first time only, until whoever
 * waits for that kills it or lets it go on. NAME is a literal.
 */
#define fault_point(name) fault_stop("stop-" name)
void fault_stop(const char *name);
/* With the fault "spin-N" this takes N turns of an empty loop: something to do that a request does not need. */
void fault_spin(void);
/* Stands still for 30 ms. */
void fault_nap(void);
#else
#define fault_is(name) false
#define fault_point(name) ((void)0)
#define fault_spin() ((void)0)
#define fault_nap() ((void)0)
#endif

#endif
