#include "base/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 4096, LINE_BYTES_MAX = 4096 };

/* A limit as the kernel writes it: bytes, or "max". No file, or no limit: INT64_MAX. */
static int64_t limit_read(const char *path)
{
    char text[64] = "";
    FILE *file = fopen(path, "re");

    if (!file)
        return INT64_MAX;
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[size] = 0;
    long long limit = text[0] >= '1' && text[0] <= '9' ? strtoll(text, NULL, 10) : INT64_MAX;
    return limit;
}

static int64_t smaller(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* Of the group, and of all that it is within. `group` begins with a '/'; it is changed. */
static int64_t groups_read(const char *root, const char *mount, char *group, const char *const *names)
{
    char path[2 * PATH_BYTES_MAX];
    int64_t least = INT64_MAX;

    for (;;) {
        for (int i = 0; names[i]; i++) {
            snprintf(path, sizeof(path), "%s%s%s/%s", root, mount, group, names[i]);
            least = smaller(least, limit_read(path));
        }
        char *slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = 0; /* the last one is "": the mount itself */
    }
}

static int64_t cgroup_bytes(const char *root)
{
    static const char *const v1[] = {"memory.limit_in_bytes", NULL};
    static const char *const v2[] = {"memory.max", "memory.high", NULL};
    char path[PATH_BYTES_MAX], line[LINE_BYTES_MAX];
    int64_t least = INT64_MAX;

    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    if (!file)
        return least;
    while (fgets(line, sizeof(line), file)) { /* "0::/group", or "3:memory,cpu:/group" */
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *controllers++ = *group++ = 0;
        group[strcspn(group, "\n")] = 0;
        if (strcmp(line, "0") == 0 && controllers[0] == 0)
            least = smaller(least, groups_read(root, "/sys/fs/cgroup", group, v2));
        else if (strstr(controllers, "memory"))
            least = smaller(least, groups_read(root, "/sys/fs/cgroup/memory", group, v1));
    }
    fclose(file);
    return least;
}

int64_t machine_memory_bytes(const char *root)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    int64_t bytes = pages > 0 && page_bytes > 0 ? (int64_t)pages * page_bytes : INT64_MAX;

    return smaller(bytes, cgroup_bytes(root));
}
