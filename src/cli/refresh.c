/*
 * refresh.c -- `ladder refresh`: the materialized views, once, from cron or by hand. One line says what came of it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/command.h"
#include "work/refresh.h"
#include "work/tally.h"

enum { OUTCOMES = REFRESH_FAILED + 1, TALLY_STEP_US = 20000, TALLY_WAIT_US = 10000000 };

/* "90", "90s", "5m", "2h", "1d": in milliseconds. */
static bool duration_parse(const char *text, int64_t *ret_ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    size_t size = strlen(text);
    int64_t unit_ms = 1000, number;

    for (size_t i = 0; i < ARRAY_SIZE(units) && size > 0; i++)
        if (text[size - 1] == units[i].unit) {
            unit_ms = units[i].ms;
            size--;
            break;
        }
    if (!text_parse_int64((struct slice){text, size}, &number) || number < 0 || number > 36500 * 86400LL)
        return false;
    *ret_ms = number * unit_ms;
    return true;
}

/* What was committed before comes into the tally first: the views are made of it. A runner that is at it began before
 * us, and may not see all of that, so we come after him; unless he takes too long. */
static bool tally_catch_up(struct link *link, struct error *error)
{
    int64_t deadline_us = clock_monotonic_us() + TALLY_WAIT_US;
    enum tally_outcome outcome;

    while (tally_run(link, &outcome, error)) {
        if (outcome == TALLY_DONE || clock_monotonic_us() > deadline_us)
            return true;
        if (outcome == TALLY_ELSEWHERE)
            usleep(TALLY_STEP_US);
    }
    return false;
}

static bool is_wanted(const struct refresh_views *views, size_t i, bool is_all, int argc, char **argv)
{
    if (is_all)
        return true;
    if (argc == 1)
        return views->are_due[i];
    for (int word = 1; word < argc; word++)
        if (strcmp(argv[word], views->names[i]) == 0)
            return true;
    return false;
}

static bool words_check(const struct refresh_views *views, int argc, char **argv)
{
    for (int word = 1; word < argc; word++) {
        bool is_there = false;
        for (size_t i = 0; i < views->count; i++)
            is_there = is_there || strcmp(argv[word], views->names[i]) == 0;
        if (is_there)
            continue;
        fprintf(stderr, "ladder refresh: there is no view %s; there are:", argv[word]);
        for (size_t i = 0; i < views->count; i++)
            fprintf(stderr, " %s", views->names[i]);
        fprintf(stderr, "\n");
        return false;
    }
    return true;
}

static void line_print(const int counts[static OUTCOMES], const struct buf *done)
{
    printf("refresh: %d refreshed%s%s%s, %d unchanged, %d recent, %d being refreshed by another runner\n",
           counts[REFRESH_DONE], done->size ? " (" : "", done->size ? done->data : "", done->size ? ")" : "",
           counts[REFRESH_UNCHANGED], counts[REFRESH_RECENT], counts[REFRESH_ELSEWHERE]);
}

int cmd_refresh(int argc, char **argv)
{
    static struct settings settings;
    static struct refresh_views views;
    struct link link = {.settings = &settings, .name = "ladder refresh"};
    const char *older = NULL;
    bool is_all = false;
    const struct option_row options[] = {{"if-older-than", &older, NULL}, {"all", NULL, &is_all}, {NULL, NULL, NULL}};
    int counts[OUTCOMES] = {0}, status;
    int64_t older_ms = 0;
    struct error error;
    struct buf told;

    if (!command_start(
            &argc, argv,
            "refresh [VIEW… | --all] [--if-older-than AGE] [--config FILE]\n\n"
            "Refreshes materialized views, once: those named, all, or without either those that are due by their own\n"
            "interval. A view that shows all that there is, or that another runner is refreshing, is left alone; with\n"
            "AGE (90, 90s, 5m, 2h, 1d) also one whose last refresh is not that long ago.",
            options, &settings, &status))
        return status;
    if ((is_all && argc > 1) || (older && !duration_parse(older, &older_ms))) {
        fprintf(stderr, "usage: ladder refresh [VIEW… | --all] [--if-older-than 90s | 5m | 2h | 1d]\n");
        return EXIT_USAGE;
    }
    bool is_ok =
        link_open(&link, false, &error) && tally_catch_up(&link, &error) && refresh_list(&link, &views, &error);
    if (!is_ok || !words_check(&views, argc, argv)) {
        link_close(&link);
        return is_ok ? EXIT_USAGE : command_fail(&error);
    }
    buf_init(&told, 4096);
    for (size_t i = 0; i < views.count; i++) {
        struct refresh_done done;
        if (!is_wanted(&views, i, is_all, argc, argv))
            continue;
        bool by_interval = !is_all && argc == 1 && !older;
        enum refresh_outcome outcome =
            refresh_view(&link, views.names[i], by_interval ? -1 : older_ms, "ladder refresh", &done, &error);
        counts[outcome]++;
        if (outcome == REFRESH_DONE)
            buf_printf(&told, "%s%s %lld rows in %lld ms for %lld board%s", told.size ? ", " : "", views.names[i],
                       (long long)done.rows, (long long)done.took_ms, (long long)done.boards,
                       done.boards == 1 ? "" : "s");
        if (outcome == REFRESH_FAILED)
            fprintf(stderr, "ladder refresh: %s: %s\n", views.names[i], error.message);
    }
    link_close(&link);
    line_print(counts, &told);
    buf_done(&told);
    return counts[REFRESH_FAILED] ? EXIT_FAILED : EXIT_DONE;
}
