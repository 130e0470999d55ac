/*
 * warming.h -- pages made ready before anybody asks: when a loop begins, and when it had to forget what it knew.
 *
 * Every WARMING_TELL_S each loop tells what it served most; all servers of a Redis share that list. When a loop's
 * memory becomes trusted (again), it takes the list and asks itself for those pages. One a loop, one thread.
 */
#ifndef API_WARMING_H
#define API_WARMING_H

#include "api/api.h"

enum { WARMING_TELL_S = 5 };

struct warming;

struct warming *warming_new(struct ev_loop *loop, struct store *store);
void warming_free(struct warming **warming);
void warming_set_server(struct warming *warming, struct http_server *server);
/* Often: notices when memory becomes trusted. */
void warming_look(struct warming *warming);

#endif
