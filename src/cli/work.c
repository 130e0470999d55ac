#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/command.h"
#include "work/status.h"
#include "work/worker.h"

int cmd_work(int argc, char **argv)
{
    static struct settings settings;
    struct error error;
    sigset_t signals;
    int status, signal;

    if (!command_start(&argc, argv, "work [--config FILE]\n\nRuns the background jobs until SIGTERM.", NULL, &settings,
                       &status))
        return status;
    if (!command_is_alone(argc, argv))
        return EXIT_USAGE;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    struct status_listener *listener = NULL;
    if (settings.worker_port && !(listener = status_listen(&settings, &error)))
        return command_fail(&error);
    struct worker *worker = worker_start(&settings, &error);
    if (!worker) {
        status_close(&listener);
        return command_fail(&error);
    }
    log_info("working", LOG_INT("pid", getpid()), LOG_TEXT("version", LADDER_VERSION));
    sigwait(&signals, &signal);
    log_info("stopping", LOG_INT("signal", signal));
    /* A second signal ends the process at once. */
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    worker_stop(&worker);
    status_close(&listener);
    log_info("stopped", LOG_INT("pid", getpid()));
    return EXIT_DONE;
}
