/*
 * machine.h -- how much memory the process may use.
 */
#ifndef BASE_MACHINE_H
#define BASE_MACHINE_H

#include <stdint.h>

/* The memory of the machine, or the smallest limit of the control groups (cgroup v2 or v1) that the process is in, in
 * bytes. `root` is "" (a test has its own). Reads files: at the start. */
int64_t machine_memory_bytes(const char *root);

#endif
