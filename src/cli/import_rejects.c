#include "cli/import_rejects.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "cli/csv.h"

static const struct {
    const char *name, *message;
} reasons[REJECT_REASONS] = {
    [REJECT_FIELDS] = {"wrong-number-of-fields", ""},
    [REJECT_PLAYER] = {"invalid-player", ""},
    [REJECT_SCORE] = {"invalid-score", ""},
    [REJECT_SUBSCORE] = {"invalid-subscore", ""},
    [REJECT_TIME] = {"invalid-time", ""},
    [REJECT_FUTURE] = {"time-in-future", ""},
    [REJECT_FACET] = {"invalid-facet", ""},
    [REJECT_METADATA] = {"invalid-metadata", ""},
    [REJECT_OUT_OF_RANGE] = {"score-out-of-range", "the score is outside the board's bounds"},
    [REJECT_OVERFLOW] = {"score-overflow", "the sum leaves the range of a 64-bit integer"},
    [REJECT_CLOSED] = {"period-closed", "the period is closed and final"},
    [REJECT_BOARD_GONE] = {"board-not-found", "the board was deleted or is now made of other boards"},
    [REJECT_FACET_VALUES] = {"too-many-facet-values", "the board's facets have no room for another value"},
    [REJECT_FACET_UNKNOWN] = {"unknown-facet", "the board does not have the facet"},
};

enum reject_reason reject_reason_of(int outcome)
{
    switch (outcome) {
    case 2:
        return REJECT_OUT_OF_RANGE;
    case 3:
        return REJECT_OVERFLOW;
    case 4:
        return REJECT_CLOSED;
    case 8:
        return REJECT_FACET_VALUES;
    case 9:
        return REJECT_FACET_UNKNOWN;
    default:
        return REJECT_BOARD_GONE;
    }
}

static void file_open(struct rejects *rejects)
{
    rejects->file = fopen(rejects->path, rejects->goes_on ? "a" : "w");
    if (!rejects->file)
        rejects->failure = errno;
    else if (fseek(rejects->file, 0, SEEK_END) == 0 && ftell(rejects->file) <= 0)
        fputs("row,line,reason,message\n", rejects->file);
}

bool rejects_open(struct rejects *rejects, const char *path, const char *source, bool goes_on, struct error *error)
{
    *rejects = (struct rejects){.mutex = PTHREAD_MUTEX_INITIALIZER, .goes_on = goes_on};
    int size = path ? snprintf(rejects->path, sizeof(rejects->path), "%s", path)
                    : snprintf(rejects->path, sizeof(rejects->path), "%s.rejects.csv",
                               strcmp(source, "-") == 0 ? "import" : source);
    if (size >= (int)sizeof(rejects->path))
        return error_set(error, ERROR_CONFIG, "--rejects: the path is longer than %zu bytes",
                         sizeof(rejects->path) - 1);
    if (path)
        file_open(rejects);
    return !rejects->failure ||
           error_set(error, ERROR_CONFIG, "%.150s: cannot be written: %s", path, strerror(rejects->failure));
}

void rejects_add(struct rejects *rejects, enum reject_reason reason, int64_t row, int64_t line, const char *message)
{
    struct buf text;

    message = message ? message : reasons[reason].message;
    pthread_mutex_lock(&rejects->mutex);
    if (rejects->reasons[reason].rows++ == 0 || line < rejects->reasons[reason].line) {
        rejects->reasons[reason].line = line;
        snprintf(rejects->reasons[reason].message, sizeof(rejects->reasons[reason].message), "%s", message);
    }
    if (!rejects->file && !rejects->failure)
        file_open(rejects);
    if (rejects->file) {
        buf_init(&text, 4096);
        buf_printf(&text, "%lld,%lld,%s,", (long long)row, (long long)line, reasons[reason].name);
        csv_append(&text, slice_of(message));
        buf_append_byte(&text, '\n');
        if (fwrite(text.data, 1, text.size, rejects->file) != text.size)
            rejects->failure = errno;
        buf_done(&text);
    }
    pthread_mutex_unlock(&rejects->mutex);
}

int64_t rejects_count(struct rejects *rejects)
{
    int64_t rows = 0;

    pthread_mutex_lock(&rejects->mutex);
    for (size_t i = 0; i < REJECT_REASONS; i++)
        rows += rejects->reasons[i].rows;
    pthread_mutex_unlock(&rejects->mutex);
    return rows;
}

void rejects_print(struct rejects *rejects, const char *source, FILE *out)
{
    int64_t rows = rejects_count(rejects);

    if (rows == 0)
        return;
    fprintf(out, "%lld rows are refused:\n", (long long)rows);
    for (size_t i = 0; i < REJECT_REASONS; i++)
        if (rejects->reasons[i].rows)
            fprintf(out, "%10lld  %-22s  %s:%lld: %s%s\n", (long long)rejects->reasons[i].rows, reasons[i].name, source,
                    (long long)rejects->reasons[i].line, rejects->reasons[i].message,
                    rejects->reasons[i].rows > 1 ? " (the first)" : "");
    if (!rejects->failure)
        fprintf(out, "%s lists each one.\n", rejects->path);
}

bool rejects_close(struct rejects *rejects, struct error *error)
{
    if (rejects->file && fclose(rejects->file) != 0)
        rejects->failure = errno;
    rejects->file = NULL;
    return !rejects->failure || error_set(error, ERROR_CONFIG, "%.150s: the list of refused rows cannot be written: %s",
                                          rejects->path, strerror(rejects->failure));
}
