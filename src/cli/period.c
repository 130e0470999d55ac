/*
 * period.c -- `ladder period`: opens a closed period again for corrections, and lists what was opened again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "board/board.h"
#include "cli/command.h"
#include "work/l2_tail.h"
#include "work/link.h"

/* At least twice as long as a server may take a reopened period for closed (CLOSED_TTL_US in store/periods.c). */
enum { FOR_S = 3600, FOR_S_MIN = 10, FOR_S_MAX = 30 * 86400, WHO_MAX = 256 };

struct reopening {
    const char *game, *board, *window, *period, *reason, *by;
    int64_t seconds;
};

/* "user@host", as far as they are known. */
static void who_of(char who[static WHO_MAX])
{
    const char *user = getenv("SUDO_USER") ? getenv("SUDO_USER") : getenv("USER");
    char host[128] = "";

    (void)gethostname(host, sizeof(host) - 1);
    snprintf(who, WHO_MAX, "%.100s@%s", user ? user : "unknown", host);
}

static bool board_find(struct link *link, const char *game, const char *board, char id[static 24], struct error *error)
{
    int64_t board_id;

    if (!link_open(link, false, error) || !command_board(link->db, game, board, &board_id, error))
        return false;
    snprintf(id, 24, "%lld", (long long)board_id);
    return true;
}

/* What was kept of the players' histories on this game has a point too many now. */
static void histories_forget(struct link *link, const char *game)
{
    struct error ignored;
    int64_t game_id;

    if (command_game(link->db, game, &game_id, &ignored))
        l2_histories_forget(link, &game_id, 1);
}

static bool reopen(struct link *link, const struct reopening *reopening, struct error *error)
{
    char board[24], seconds[24], who[WHO_MAX];
    const char *parameters[] = {board, reopening->window, reopening->period, seconds, who, reopening->reason};
    struct dbb_result *result;

    if (!board_find(link, reopening->game, reopening->board, board, error))
        return false;
    snprintf(seconds, sizeof(seconds), "%lld", (long long)reopening->seconds);
    if (reopening->by)
        snprintf(who, sizeof(who), "%s", reopening->by);
    else
        who_of(who);
    if (!link_query(link, STATEMENT_period_reopen, 6, parameters, &result, error))
        return false;
    bool is_open = dbb_rows(result) == 1 && !dbb_is_null(result, 0, 0);
    if (is_open)
        printf("period %s of window %s: open for %s s, for %s: %s\n", reopening->period, reopening->window, seconds,
               who, reopening->reason);
    else
        error_set(error, ERROR_CONFLICT, "no period of the window %s that starts at %s is closed", reopening->window,
                  reopening->period);
    dbb_result_free(&result);
    if (is_open)
        histories_forget(link, reopening->game);
    return is_open;
}

static bool log_print(struct link *link, const char *game, const char *board, struct error *error)
{
    static const char *const names[] = {"window",   "period", "closed_at", "reopened_at",
                                        "close_at", "login",  "by",        "reason"};
    char id[24];
    const char *parameters[] = {id};
    struct dbb_result *result;

    if (!board_find(link, game, board, id, error) ||
        !link_query(link, STATEMENT_period_reopenings, 1, parameters, &result, error))
        return false;
    for (size_t i = 0; i < dbb_rows(result); i++)
        for (size_t column = 0; column < 8; column++)
            printf("%s%s=%s%s", column ? " " : "", names[column], dbb_text(result, i, column), column == 7 ? "\n" : "");
    dbb_result_free(&result);
    return true;
}

static int usage(const char *what)
{
    fprintf(stderr, "ladder period: %s (--help)\n", what);
    return EXIT_USAGE;
}

/* NULL: it can be tried. */
static const char *reopening_check(struct reopening *reopening, const char *seconds)
{
    int64_t at_us;

    if (!reopening->window || !reopening->period || !reopening->reason || !reopening->reason[0])
        return "reopen needs --window, --period and --reason";
    if (!window_name_is_valid(slice_of(reopening->window)) || strcmp(reopening->window, "all") == 0)
        return "--window must be monthly, weekly, daily, hourly or the name of a schedule";
    if (!clock_parse(slice_of(reopening->period), &at_us))
        return "--period must be the first instant of a period (RFC 3339)";
    if (seconds && (!text_parse_int64(slice_of(seconds), &reopening->seconds) || reopening->seconds < FOR_S_MIN ||
                    reopening->seconds > FOR_S_MAX))
        return "--seconds must be 10 to 2592000";
    return NULL;
}

int cmd_period(int argc, char **argv)
{
    static struct settings settings;
    struct reopening reopening = {.seconds = FOR_S};
    const char *seconds = NULL, *wrong;
    const struct option_row options[] = {{"game", &reopening.game, NULL},     {"board", &reopening.board, NULL},
                                         {"window", &reopening.window, NULL}, {"period", &reopening.period, NULL},
                                         {"reason", &reopening.reason, NULL}, {"by", &reopening.by, NULL},
                                         {"seconds", &seconds, NULL},         {NULL, NULL, NULL}};
    struct link link = {.settings = &settings, .name = "ladder period"};
    struct error error;
    int status;

    if (!command_start(
            &argc, argv,
            "period reopen --game G --board B --window W --period INSTANT --reason TEXT [--by NAME] [--seconds N]\n"
            "       ladder period log --game G --board B\n\n"
            "reopen opens a closed period again, so that it takes corrections (submissions with `at`), for N seconds (3600).\n"
            "Its final ranks are removed; when it closes again it gets new ones, and the game's webhook is told again.\n"
            "Who did it, when and why is kept; log lists it.",
            options, &settings, &status))
        return status;
    bool is_log = argc == 2 && strcmp(argv[1], "log") == 0;
    if (!is_log && (argc != 2 || strcmp(argv[1], "reopen") != 0))
        return usage("reopen or log");
    if (!reopening.game || !reopening.board)
        return usage("--game and --board are needed");
    if (!is_log && (wrong = reopening_check(&reopening, seconds)) != NULL)
        return usage(wrong);
    bool is_ok = is_log ? log_print(&link, reopening.game, reopening.board, &error) : reopen(&link, &reopening, &error);
    link_close(&link);
    return is_ok ? EXIT_DONE : command_fail(&error);
}
