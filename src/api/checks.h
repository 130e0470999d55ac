/*
 * checks.h -- what a request must satisfy, apart from its route and its key, before a handler sees it.
 *
 * Each says true, and fills in what the call then knows; or false with an error that names the field. One loop, one
 * thread.
 */
#ifndef API_CHECKS_H
#define API_CHECKS_H

#include "api/api.h"

/* Query parameters that the route knows; integers=, source= and pretty= have one of their values. */
bool parameters_check(struct api_call *call, struct error *error);
/* Ladder-Token, if there is one: ours, and whole. Else the cookie, if it is. */
bool token_check(struct api_call *call, struct error *error);
/* Idempotency-Key of a write: 1 to 255 characters. What the request is, is taken down beside it. */
bool claim_check(struct api_call *call, struct error *error);
/* The key is a good one, of the call's game, and of this scope or more. */
bool key_check(const struct api_call *call, const struct api_key *key, enum scope scope, struct error *error);
/* 401: there is no key. The first makes the error, and returns false. */
bool key_missing(struct error *error);
void key_demand(struct api_call *call);
/* Writes that compare nothing must not be made when the caller wants them to (RFC 9110, 13.1.1). */
bool conditions_check(struct api_call *call, struct error *error);

#endif
