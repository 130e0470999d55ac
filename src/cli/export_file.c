#include "cli/export_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static bool file_fail(const char *path, struct error *error)
{
    return error_set(error, ERROR_CONFIG, "%.180s: cannot be written: %s", path, strerror(errno));
}

bool export_file_open(struct export_file *file, const char *path, struct error *error)
{
    *file = (struct export_file){.path = path};
    if (!path) {
        file->out = stdout;
        return true;
    }
    if (snprintf(file->part, sizeof(file->part), "%s.part", path) >= (int)sizeof(file->part))
        return error_set(error, ERROR_CONFIG, "--output: the path is longer than %zu bytes", sizeof(file->part) - 6);
    snprintf(file->state, sizeof(file->state), "%s.state", file->part);
    int number = open(file->part, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    file->out = number < 0 ? NULL : fdopen(number, "w");
    return file->out || file_fail(file->part, error);
}

bool export_file_read_state(const struct export_file *file, struct export_state *ret_state)
{
    FILE *in = file->path ? fopen(file->state, "r") : NULL;
    struct export_state *state = ret_state;

    *state = (struct export_state){0};
    if (!in)
        return false;
    int count = fscanf(in,
                       "ladder export 1\nboard %" SCNd64 "\nperiod %" SCNd64
                       "\nshape %255[^\n]\ntimeline %d\nsnapshot %8191[^\n]\nbytes %" SCNd64 "\nrows %" SCNd64
                       "\nkey %" SCNd64 " %" SCNd64 " %" SCNd64 "\nplayer=%64[^\n]",
                       &state->board_id, &state->period_id, state->shape, &state->timeline, state->snapshot,
                       &state->bytes, &state->rows, &state->key.k1, &state->key.k2, &state->key.k3, state->player);
    fclose(in);
    _Static_assert(PLAYER_BYTES_MAX == 64 && EXPORT_SNAPSHOT_MAX == 8192 && EXPORT_SHAPE_MAX == 256, "as above");
    return count == 11 && state->rows > 0 && state->bytes > 0 && lseek(fileno(file->out), 0, SEEK_END) >= state->bytes;
}

bool export_file_continue(struct export_file *file, int64_t bytes, struct error *error)
{
    if (!file->path)
        return true;
    if (bytes == 0)
        unlink(file->state);
    return (ftruncate(fileno(file->out), bytes) == 0 && fseeko(file->out, bytes, SEEK_SET) == 0) ||
           file_fail(file->part, error);
}

bool export_file_write(struct export_file *file, const char *bytes, size_t size, struct error *error)
{
    return fwrite(bytes, 1, size, file->out) == size || file_fail(file->path ? file->part : "standard output", error);
}

bool export_file_note(struct export_file *file, const struct export_state *state, struct error *error)
{
    char fresh[sizeof(file->state) + 8];

    if (!file->path)
        return true;
    if (fflush(file->out) != 0)
        return file_fail(file->part, error);
    snprintf(fresh, sizeof(fresh), "%s.new", file->state);
    FILE *out = fopen(fresh, "w");
    if (!out)
        return file_fail(fresh, error);
    fprintf(out,
            "ladder export 1\nboard %" PRId64 "\nperiod %" PRId64 "\nshape %s\ntimeline %d\nsnapshot %s\nbytes %" PRId64
            "\nrows %" PRId64 "\nkey %" PRId64 " %" PRId64 " %" PRId64 "\nplayer=%s\n",
            state->board_id, state->period_id, state->shape, state->timeline, state->snapshot, state->bytes,
            state->rows, state->key.k1, state->key.k2, state->key.k3, state->player);
    return (fclose(out) == 0 && rename(fresh, file->state) == 0) || file_fail(fresh, error);
}

bool export_file_finish(struct export_file *file, struct error *error)
{
    if (fflush(file->out) != 0)
        return file_fail(file->path ? file->part : "standard output", error);
    if (!file->path)
        return true;
    if (fsync(fileno(file->out)) != 0 || rename(file->part, file->path) != 0)
        return file_fail(file->path, error);
    unlink(file->state);
    return true;
}

void export_file_close(struct export_file *file)
{
    if (file->out && file->path)
        fclose(file->out);
    file->out = NULL;
}
