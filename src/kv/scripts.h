/*
 * scripts.h -- the function library of ladder.lua, compiled in.
 */
#ifndef KV_SCRIPTS_H
#define KV_SCRIPTS_H

#include "library.h" /* KV_LIBRARY: "ladder_" and a hash of the text */

/* KV_FUNCTION("page"): the name to FCALL, as a literal. */
#define KV_FUNCTION(name) KV_LIBRARY "_" name

extern const char kv_library_text[]; /* NUL-terminated: what FUNCTION LOAD takes */

#endif
