/*
 * warm.c -- `ladder warm`: loads standings into Redis at once, and says how fast.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command.h"
#include "work/alone.h"
#include "work/rebuild.h"

enum { STANDINGS_MAX = 1000000, PROGRESS_US = 500000 };

struct progress {
    int64_t start_us, shown_us;
    int64_t rows; /* of the standings before this one */
    size_t done, count;
    bool is_terminal;
};

static void on_progress(void *context, int64_t rows)
{
    struct progress *progress = context;
    int64_t now_us = clock_monotonic_us();

    if (now_us - progress->shown_us < PROGRESS_US)
        return;
    progress->shown_us = now_us;
    int64_t all = progress->rows + rows;
    double seconds = (double)(now_us - progress->start_us) / 1e6;
    /* By standings: how many entries are still to come is not known without counting them. */
    double left_s = progress->done ? seconds / (double)progress->done * (double)(progress->count - progress->done) : 0;
    fprintf(stderr, "%sstanding %zu of %zu: %lld entries, %.0f/s, %.0f s left%s", progress->is_terminal ? "\r" : "",
            progress->done + 1, progress->count, (long long)all, (double)all / seconds, left_s,
            progress->is_terminal ? "  " : "\n");
}

/* A board without a standing is one thing, a name that was misspelt another. */
static bool names_check(struct link *link, const char *game, const char *board, struct error *error)
{
    const char *parameters[] = {game, board};
    struct dbb_result *found;

    if (!link_query(link, STATEMENT_warm_find, 2, parameters, &found, error))
        return false;
    bool has_game = dbb_bool(found, 0, 0), has_board = dbb_bool(found, 0, 1);
    dbb_result_free(&found);
    if (!has_game)
        return error_set(error, ERROR_GAME_NOT_FOUND, "there is no game \"%s\" (ladder game list)", game);
    return has_board ||
           (game ? error_set(error, ERROR_BOARD_NOT_FOUND, "there is no board \"%s\" in the game \"%s\"", board, game)
                 : error_set(error, ERROR_BOARD_NOT_FOUND, "no game has a board \"%s\"", board));
}

static bool warm(struct link *link, const char *game, const char *board, struct progress *progress,
                 size_t *ret_elsewhere, size_t *ret_failed, struct error *error)
{
    char limit[16];
    const char *parameters[] = {game, board, limit};
    struct dbb_result *standings;
    bool is_ok = true;

    snprintf(limit, sizeof(limit), "%d", STANDINGS_MAX);
    if (!link_open(link, true, error) || !names_check(link, game, board, error) ||
        !link_query(link, STATEMENT_standing_live, 3, parameters, &standings, error))
        return false;
    progress->count = dbb_rows(standings);
    for (; progress->done < progress->count && is_ok; progress->done++) {
        int64_t standing = dbb_int64(standings, progress->done, 0);
        struct rebuild_result result;
        struct error why;
        enum rebuild_outcome outcome = rebuild_standing(link, standing, on_progress, progress, &result, &why);
        if (outcome == REBUILD_FAILED) {
            is_ok = alone_standing_failed(link, "rebuild", standing, &why, error);
            (*ret_failed)++;
        }
        *ret_elsewhere += outcome == REBUILD_BUSY;
        progress->rows += result.entries;
    }
    dbb_result_free(&standings);
    return is_ok;
}

int cmd_warm(int argc, char **argv)
{
    static struct settings settings;
    const char *game = NULL, *board = NULL;
    const struct option_row options[] = {{"game", &game, NULL}, {"board", &board, NULL}, {NULL, NULL, NULL}};
    struct link link = {.settings = &settings, .name = "ladder warm"};
    struct progress progress = {
        .start_us = clock_monotonic_us(), .shown_us = clock_monotonic_us(), .is_terminal = isatty(STDERR_FILENO)};
    struct error error;
    size_t elsewhere = 0, failed = 0;
    int status;

    if (!command_start(
            &argc, argv,
            "warm [BOARD] [--game G] [--board B]\n\nLoads open standings into Redis: all, a game's, or a board's.",
            options, &settings, &status))
        return status;
    if (argc == 2)
        board = argv[1];
    if (argc > 2) {
        fprintf(stderr, "usage: ladder warm [BOARD] [--game G]\n");
        return EXIT_USAGE;
    }
    bool is_ok = warm(&link, game, board, &progress, &elsewhere, &failed, &error);
    link_close(&link);
    if (!is_ok && progress.count == 0)
        return command_fail(&error);
    double seconds = (double)(clock_monotonic_us() - progress.start_us) / 1e6;
    if (progress.is_terminal)
        fprintf(stderr, "\n");
    printf("warm: %zu standings, %lld entries, %.2f s, %.0f entries/s", progress.done, (long long)progress.rows,
           seconds, (double)progress.rows / seconds);
    printf(elsewhere ? ", %zu being loaded by another worker\n" : "\n", elsewhere);
    if (is_ok && failed > 0)
        is_ok = error_set(&error, ERROR_INTERNAL, "%zu standings could not be loaded; the log has each as job-failed",
                          failed);
    return is_ok ? EXIT_DONE : command_fail(&error);
}
