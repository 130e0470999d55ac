/*
 * jobs.c -- `ladder roll`, `ladder partitions`, `ladder snapshot`, `ladder purge`: the worker's jobs once, from cron or
 * by hand. One line says what came of it.
 */
#include <stdio.h>

#include "cli/command.h"
#include "work/job.h"

static int once(int argc, char **argv, const char *usage, const struct job *job, const char *what)
{
    static struct settings settings;
    struct link link = {.settings = &settings, .name = "ladder cron"};
    struct error error;
    int64_t rows;
    int status;

    if (!command_start(&argc, argv, usage, NULL, &settings, &status))
        return status;
    if (!command_is_alone(argc, argv))
        return EXIT_USAGE;
    enum job_outcome outcome = job_run(&link, job, 0, &rows, &error);
    link_close(&link);
    if (outcome == JOB_FAILED)
        return command_fail(&error);
    if (outcome == JOB_ELSEWHERE)
        printf("%s: another runner is at it, nothing to do here\n", job->name);
    else
        printf("%s: %lld %s\n", job->name, (long long)rows, what);
    return EXIT_DONE;
}

int cmd_roll(int argc, char **argv)
{
    return once(argc, argv, "roll [--config FILE]\n\nOpens the coming periods and closes those that ended, once.",
                &roll_job, "periods opened or closed");
}

int cmd_partitions(int argc, char **argv)
{
    return once(argc, argv, "partitions [--config FILE]\n\nMakes the coming partitions and drops expired ones, once.",
                &partitions_job, "partitions made or dropped");
}

int cmd_snapshot(int argc, char **argv)
{
    return once(argc, argv, "snapshot [--config FILE]\n\nNotes the standings whose midnight has come, once.",
                &snapshot_job, "places noted");
}

int cmd_purge(int argc, char **argv)
{
    return once(
        argc, argv,
        "purge [--config FILE]\n\nDeletes old idempotency keys, tombstones and runs, and what deleted boards left, once.",
        &purge_job, "rows deleted");
}
