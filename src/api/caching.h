/*
 * caching.h -- what an answer tells the HTTP caches on its way.
 *
 * An answer that a key opened is private: no cache may keep it. One of a public board, asked for without a key, may be
 * kept as the board says; by default it may be kept and must be asked for again each time (which a validator makes
 * cheap). One of a closed period by its id is immutable, for cache.closed_max_age_s: not for ever, since a player may
 * be erased from it.
 */
#ifndef API_CACHING_H
#define API_CACHING_H

#include "api/api.h"

enum { CACHE_CONTROL_MAX = 160, CACHE_TAGS_MAX = 320 };

/* Cache-Control, and CDN-Cache-Control (RFC 9213) for edges that are told of changes; "" for none. status 404: kept
 * more briefly than the board allows, as there are more names of nobody than entries. call->is_untold: no longer than
 * the board allows to others. */
void cache_control_texts(const struct api_call *call, int status, char control[static CACHE_CONTROL_MAX],
                         char edge[static CACHE_CONTROL_MAX]);
/* Surrogate-Key (spaces) and Cache-Tag (commas): the game, and the board. "" for what is private. */
void cache_tags_texts(const struct api_call *call, char keys[static CACHE_TAGS_MAX], char tags[static CACHE_TAGS_MAX]);

#endif
