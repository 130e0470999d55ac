/*
 * game_delete.h -- `ladder game delete`.
 */
#ifndef CLI_GAME_DELETE_H
#define CLI_GAME_DELETE_H

#include <stdbool.h>

#include "db/blocking.h"

/*
 * Says what goes, and unless is_sure has the name typed once more on a terminal. Then it revokes the game's keys, deletes
 * its boards one by one, and frees the name. Cut anywhere, it goes on when it is run again. The rows are left to the purge
 * job. true also when there is no such game. ERROR_CONFLICT: not confirmed.
 */
bool game_delete(struct dbb *db, const char *name, bool is_sure, struct error *error);

#endif
