/*
 * signature.h -- how a message to a webhook is signed, after the Standard Webhooks convention
 * (https://www.standardwebhooks.com): what is signed is "id.timestamp.body", with HMAC-SHA256, and the header says
 * "v1," and the MAC in base64. Pure, any thread.
 */
#ifndef EDGE_SIGNATURE_H
#define EDGE_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    WEBHOOK_SECRET_MIN = 24,
    WEBHOOK_SECRET_MAX = 64,
    WEBHOOK_SECRET_TEXT_MAX = 6 + 88 + 1,
    SIGNATURE_TEXT_MAX = 3 + 44 + 1
};

/* at_s: seconds since 1970. */
void signature_write(struct slice secret, const char *id, int64_t at_s, struct slice body,
                     char out[static SIGNATURE_TEXT_MAX]);

/* A secret as it is shown: "whsec_" and base64. */
void webhook_secret_write(struct slice secret, char out[static WEBHOOK_SECRET_TEXT_MAX]);
/* false: it is none, or not of WEBHOOK_SECRET_MIN to WEBHOOK_SECRET_MAX bytes. */
bool webhook_secret_read(struct slice text, uint8_t out[static WEBHOOK_SECRET_MAX], size_t *ret_size);

#endif
