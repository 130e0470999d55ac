#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_US = 2000000, TERMINAL_US = 200000 };

void progress_start(struct progress *progress, const char *verb)
{
    *progress = (struct progress){.is_terminal = isatty(STDERR_FILENO), .verb = verb};
    progress_restart(progress, 0);
}

void progress_restart(struct progress *progress, double share)
{
    progress->start_us = progress->shown_us = clock_monotonic_us();
    progress->start_share = share;
}

double progress_seconds(const struct progress *progress)
{
    return (double)(clock_monotonic_us() - progress->start_us) / 1e6;
}

void progress_show(struct progress *progress, int64_t rows, double share)
{
    int64_t now_us = clock_monotonic_us();

    if (now_us - progress->shown_us < (progress->is_terminal ? TERMINAL_US : LINE_US))
        return;
    progress->shown_us = now_us;
    double seconds = progress_seconds(progress);
    double left_s = share > progress->start_share ? seconds * (1 - share) / (share - progress->start_share) : 0;
    fprintf(stderr,
            progress->is_terminal ? "\r%s: %lld rows, %.0f rows/s, %.0f s left \033[K"
                                  : "%s: %lld rows, %.0f rows/s, %.0f s left\n",
            progress->verb, (long long)rows, (double)rows / seconds, left_s);
}

void progress_end(const struct progress *progress)
{
    if (progress->is_terminal)
        fputs("\r\033[K", stderr);
}
