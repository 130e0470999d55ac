#include "base/fault.h"

#ifdef LADDER_WITH_FAULTS
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *faults;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void faults_read(void)
{
    faults = getenv("LADDER_FAULTS");
}

bool fault_is(const char *name)
{
    size_t size = strlen(name);

    pthread_once(&once, faults_read);
    for (const char *at = faults; at && *at; at += strcspn(at, ",")) {
        at += *at == ',';
        if (strcspn(at, ",") == size && memcmp(at, name, size) == 0)
            return true;
    }
    return false;
}

void fault_stop(const char *name)
{
    static atomic_flag has_stopped = ATOMIC_FLAG_INIT;

    if (fault_is(name) && !atomic_flag_test_and_set(&has_stopped))
        kill(getpid(), SIGSTOP);
}

static int64_t thread_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

void fault_slow(void)
{
    enum { EVERY = 64 }; /* reading that clock is not for nothing either */
    static _Thread_local int64_t last_ns;
    static _Thread_local unsigned calls;

    if (++calls % EVERY != 0 || !fault_is("slow"))
        return;
    int64_t now_ns = thread_ns(), until_ns = now_ns + (now_ns - last_ns) / 20;
    while (thread_ns() < until_ns)
        ;
    last_ns = until_ns;
}
#else
typedef int fault_nothing; /* an empty file is no C */
#endif
