#include "base/fault.h"

#ifdef LADDER_WITH_FAULTS
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

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
#else
typedef int fault_nothing; /* an empty file is no C */
#endif
