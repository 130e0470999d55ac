/*
 * worker.h -- `ladder work`: the tail, the rebuilds and the periodic jobs, each on a thread of its own.
 */
#ifndef WORK_WORKER_H
#define WORK_WORKER_H

#include "conf/settings.h"

struct worker;

struct worker *worker_start(const struct settings *settings);
/* Asks the threads to end after what they are doing, and waits for them. */
void worker_stop(struct worker **worker);

#endif
