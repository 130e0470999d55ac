/*
 * changes.h -- the changes that this process made in Redis or has shown to a reader, known to all of its loops.
 *
 * Redis publishes each change on a channel (ladder.lua), and answers the command that made it. The two arrive on
 * different connections, in either order. So that a read after a write does not have to wait for the message, the loop
 * that made the change records the message as the answer has it, before it answers its client. Each loop takes in the
 * record when it needs it (answers.c).
 *
 * A change may be taken in only by a loop that has heard every change before it, of any standing and server. Therefore
 * each record has the version of the change before it. Versions are readings of one Redis process's clock, so a record
 * also names the process.
 *
 * The record is a ring of fixed size. A loop that falls behind it misses records and waits for the messages instead.
 * Functions may be called from any thread; a changes_reader belongs to one.
 */
#ifndef STORE_CHANGES_H
#define STORE_CHANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { CHANGE_MESSAGE_MAX = 1048, CHANGE_RUN_ID_MAX = 64 };

struct change {
    int64_t version;
    int64_t previous; /* the change before it in the same Redis process, of any standing */
    char run_id[CHANGE_RUN_ID_MAX];
    size_t size;
    char message[CHANGE_MESSAGE_MAX]; /* as Redis published it */
};

/* The process has acknowledged a change of this version, or shown it to a reader. */
void changes_seen(int64_t version);
int64_t changes_newest(void); /* the highest version seen; 0: none */

/* Records a change before it is acknowledged. run_id: of the Redis process. previous: 0 when it is not known; then
 * nothing is recorded, as for a message that is too long. */
void changes_record(struct slice run_id, int64_t version, int64_t previous, struct slice message);

struct changes_reader {
    uint64_t next;
};
/* The reader's next record, which stays the next one until changes_pass. false: there is none. */
bool changes_peek(struct changes_reader *reader, struct change *ret_change);
void changes_pass(struct changes_reader *reader);
void changes_pass_all(struct changes_reader *reader);

#endif
