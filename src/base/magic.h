/*
 * magic.h -- what crossed a `void *` is what it is taken for.
 *
 * A struct that is a callback's context has `unsigned magic` as its first member, a number of its own kind, and sets it
 * to 0 before it is freed. The callback checks it before anything else: a context of another kind, or one that was freed,
 * ends the process there and not somewhere else.
 */
#ifndef BASE_MAGIC_H
#define BASE_MAGIC_H

#include "base/assert.h"

#define ASSERT_MAGIC(object, MAGIC) ASSERT((object) != NULL && (object)->magic == (unsigned)(MAGIC))

#endif
