/*
 * status.h -- what the worker's jobs did lately, and the listener that says it: /healthz and /metrics.
 *
 * Jobs note how each run ended, on their own threads; the listener has a thread and an event loop of its own, so that it
 * answers whatever the jobs wait for.
 */
#ifndef WORK_STATUS_H
#define WORK_STATUS_H

#include <stdbool.h>

#include "base/error.h"
#include "conf/settings.h"

/* Any thread. name: of the job, static; the first call of a name adds it. A run found nothing to do or did something;
 * or it failed. */
void status_note(const char *name, bool is_ok);

/* A job failed for one board, and went on. */
void status_note_board(const char *name);

struct status_listener;
/* Listens on worker.listen and worker.port. NULL after filling *error. */
struct status_listener *status_listen(const struct settings *settings, struct error *error);
void status_close(struct status_listener **listener);

#endif
