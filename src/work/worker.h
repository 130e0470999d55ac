/*
 * worker.h -- `ladder work`: the tail, the rebuilds, the periodic jobs and each edge's purges, on threads of their own.
 */
#ifndef WORK_WORKER_H
#define WORK_WORKER_H

#include "conf/settings.h"

struct worker;

/* NULL: the settings are wrong, *error says where. */
struct worker *worker_start(const struct settings *settings, struct error *error);
/* Asks the threads to end after what they are doing, and waits for them. */
void worker_stop(struct worker **worker);

#endif
