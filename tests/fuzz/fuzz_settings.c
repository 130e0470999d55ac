/* The settings file: any bytes as YAML. */
#include "fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct settings settings;
    static int fd = -1;
    struct error error = {.code = ERROR_NONE};
    char path[64];

    if (fd < 0)
        fd = memfd_create("settings", 0);
    ASSERT(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (!settings_load(&settings, path, NULL, &error)) {
        fuzz_check_error(&error);
        ASSERT(error.code == ERROR_CONFIG && strncmp(error.message, path, strlen(path)) == 0);
        return 0;
    }
    ASSERT(settings.server_port >= 0 && settings.server_port <= 65535);
    ASSERT(settings.server_uri_bytes_max >= 256 && settings.server_uri_bytes_max <= 65536);
    ASSERT(strlen(settings.server_listen) < SETTINGS_TEXT_MAX && settings.database_replicas.count <= SETTINGS_LIST_MAX);
    return 0;
}
