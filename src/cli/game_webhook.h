/*
 * game_webhook.h -- `ladder game webhook …`: where a game wants to be told of its closed periods. Each prints its
 * outcome, or fills *error.
 */
#ifndef CLI_GAME_WEBHOOK_H
#define CLI_GAME_WEBHOOK_H

#include "db/blocking.h"

struct webhook_options {
    const char *top, *secret; /* as given; NULL: as it was, or the default */
};

/* Prints the secret when it is new: it is shown this once. */
bool game_webhook_set(struct dbb *db, const char *game, const char *url, const struct webhook_options *options,
                      struct error *error);
/* The URL, and the last deliveries. */
bool game_webhook_show(struct dbb *db, const char *game, struct error *error);
/* With what was not delivered yet. */
bool game_webhook_clear(struct dbb *db, const char *game, struct error *error);
/* Puts a message of type `test` into the outbox. */
bool game_webhook_test(struct dbb *db, const char *game, struct error *error);

#endif
