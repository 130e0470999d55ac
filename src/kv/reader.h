/*
 * reader.h -- where a connection's replies are put while they are read: all of one reply in one arena, freed at once.
 *
 * hiredis asks the allocator for two pieces of memory a string, and gives them back one by one: that is most of what a
 * page of a hundred members costs it. A reply made here is read as any other (redisReply), but belongs to the reader:
 * it is gone when hiredis frees it, which for an asynchronous connection is right after the callback.
 */
#ifndef KV_READER_H
#define KV_READER_H

#include "base/arena.h"

struct redisReader;

/* Before anything is read. One arena a connection, initialised by the caller, who keeps it longer than the reader. */
void kv_reader_use(struct redisReader *reader, struct arena *arena);

#endif
