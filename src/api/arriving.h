/*
 * arriving.h -- what is known of a request before the first byte of its body is kept.
 *
 * Of a PUT, POST or PATCH the route, the parameters and the token are checked first (dispatch.c), then the key, here. What
 * is refused costs the server no body. One loop, its thread.
 */
#ifndef API_ARRIVING_H
#define API_ARRIVING_H

#include "api/api.h"

/*
 * The route is known. Checks the key that it needs, which may have to be looked up: until then the body is held back.
 * Answers the call where the key may not do this; otherwise call->is_authorized. A route that needs no key gives a
 * request without a valid one a smaller limit for its body.
 */
void arriving_check(struct api_call *call);

#endif
