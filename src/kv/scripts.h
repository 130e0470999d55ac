/*
 * scripts.h -- the function library of ladder.lua, compiled in.
 */
#ifndef KV_SCRIPTS_H
#define KV_SCRIPTS_H

#include <stddef.h>

#define KV_LIBRARY "ladder1"

extern const char kv_library_text[]; /* NUL-terminated: what FUNCTION LOAD takes */

#endif
