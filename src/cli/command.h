/*
 * command.h -- what the subcommands share.
 *
 * Exit status: 0 done (or nothing to do), 1 failed, 2 used wrongly.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>

#include "conf/settings.h"
#include "db/blocking.h"
#include "db/db.h"
#include "kv/replicas.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

typedef int command_fn(int argc, char **argv);
command_fn cmd_cache, cmd_config, cmd_db, cmd_export, cmd_game, cmd_import, cmd_key, cmd_migrate, cmd_partitions,
    cmd_period, cmd_purge, cmd_refresh, cmd_roll, cmd_routes, cmd_serve, cmd_servers, cmd_snapshot, cmd_warm, cmd_work;

/* Runs a command; what is printed about it names it argv[0]. Returns the exit status. */
int command_run(command_fn *run, int argc, char **argv);

/* One option of a command: `--name VALUE`, or a flag when text is NULL and flag is not. Given twice, the last counts;
 * an option that may be given several times has that many rows, one behind the other, and fills them in turn. */
struct option_row {
    const char *name;
    const char **text;
    bool *flag;
};

/*
 * Takes the options (and --config FILE, --help) out of argv, which then holds the command's other words, argv[0] the
 * command's name. Loads the settings. Returns false after printing what is wrong or the help; *ret_status says how to
 * exit.
 */
bool command_start(int *argc, char **argv, const char *usage, const struct option_row *options,
                   struct settings *settings, int *ret_status);

/* The file that the settings were read from; NULL: none. */
const char *command_config(void);
/* Of a command that takes no other words: prints which one is too many. */
bool command_is_alone(int argc, char **argv);

/* setting_check.c: what the rooms say of their settings (settings_check_fn): URLs, addresses, the log's level. */
bool setting_check(const char *section, const char *name, const char *value, struct error *error);

/* The same of one setting each: database.balance, database.zone, database.synchronous_commit. */
bool command_balance_check(const char *text, struct error *error);
bool command_zone_check(const char *text, struct error *error);
bool command_commit_check(const char *text, struct error *error);

/* Prints `ladder COMMAND: message` and returns EXIT_FAILED. */
int command_fail(const struct error *error);

/* The servers of the settings, and how reads are spread over them. ERROR_CONFIG. */
bool command_servers(const struct settings *settings, struct db_settings *out, struct error *error);
/* setting_check.c: the replicas of Redis that are read from. ERROR_CONFIG. */
bool command_redis_replicas(const struct settings *settings, struct kv_replicas_settings *replicas,
                            struct error *error);
/* The database of the settings, whichever server leads, as the command called name. */
struct dbb *command_database(const struct settings *settings, const char *name, struct error *error);
/* The id of a game by name. */
bool command_game(struct dbb *db, const char *name, int64_t *ret_id, struct error *error);
bool command_board(struct dbb *db, const char *game, const char *board, int64_t *ret_id, struct error *error);

#endif
