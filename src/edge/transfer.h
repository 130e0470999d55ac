/*
 * transfer.h -- one HTTP request to somebody else's server. Blocks, for timeout_ms at most. One thread a transfer.
 *
 * No redirect is followed and no protocol but HTTP and HTTPS spoken. What the answer says besides its status is read
 * and dropped, up to a bound.
 */
#ifndef EDGE_TRANSFER_H
#define EDGE_TRANSFER_H

#include "base/error.h"
#include "base/slice.h"

struct transfer;

/* Where it may go. */
enum transfer_reach {
    TRANSFER_ANYWHERE,
    TRANSFER_PUBLIC /* no address of private use (address.h), whatever a name resolves to; nor a proxy of the environment */
};

struct transfer *transfer_new(int timeout_ms, enum transfer_reach reach);
void transfer_free(struct transfer **transfer);

struct transfer_request {
    const char *method;
    const char *url;
    const char *const *headers; /* "Name: value" */
    size_t header_count;
    const struct slice *body; /* NULL: none */
};
/* false: there was no answer, *error says why (ERROR_UNAVAILABLE; it never holds the URL). */
bool transfer_send(struct transfer *transfer, const struct transfer_request *request, int *ret_status,
                   struct error *error);

#endif
