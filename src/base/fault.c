#include "base/fault.h"

#ifdef LADDER_WITH_FAULTS
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *faults;
static unsigned long spin_turns;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void faults_read(void)
{
    faults = getenv("LADDER_FAULTS");
    const char *spin = faults ? strstr(faults, "spin-") : NULL;
    spin_turns = spin ? strtoul(spin + strlen("spin-"), NULL, 10) : 0;
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

void fault_spin(void)
{
    pthread_once(&once, faults_read);
    for (volatile unsigned long turn = spin_turns; turn > 0; turn--)
        ;
}

void fault_nap(void)
{
    poll(NULL, 0, 30);
}
#else
typedef int fault_nothing; /* an empty file is no C */
#endif
