#include "edge/signature.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/crypto.h"
#include "base/text.h"

static const char prefix[] = "whsec_";

void signature_write(struct slice secret, const char *id, int64_t at_s, struct slice body,
                     char out[static SIGNATURE_TEXT_MAX])
{
    char head[128];
    uint8_t mac[CRYPTO_HMAC_SHA256_SIZE];
    int size = snprintf(head, sizeof(head), "%s.%lld.", id, (long long)at_s);

    ASSERT(size > 0 && (size_t)size < sizeof(head));
    const struct slice parts[] = {{head, (size_t)size}, body};
    crypto_hmac_sha256(secret, parts, ARRAY_SIZE(parts), mac);
    strcpy(out, "v1,");
    text_base64_encode(mac, sizeof(mac), out + 3);
}

void webhook_secret_write(struct slice secret, char out[static WEBHOOK_SECRET_TEXT_MAX])
{
    ASSERT(secret.size <= WEBHOOK_SECRET_MAX);
    strcpy(out, prefix);
    text_base64_encode(secret.data, secret.size, out + strlen(prefix));
}

bool webhook_secret_read(struct slice text, uint8_t out[static WEBHOOK_SECRET_MAX], size_t *ret_size)
{
    size_t skip = strlen(prefix);

    return text.size > skip && memcmp(text.data, prefix, skip) == 0 &&
           text_base64_decode((struct slice){text.data + skip, text.size - skip}, out, WEBHOOK_SECRET_MAX, ret_size) &&
           *ret_size >= WEBHOOK_SECRET_MIN;
}
