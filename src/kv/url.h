/*
 * url.h -- where Redis is: redis://[:password@]host:port[/db] or unix:///path[?db=n].
 */
#ifndef KV_URL_H
#define KV_URL_H

#include <stdbool.h>

#include "base/error.h"

struct kv_url {
    char host[256]; /* numeric address or a name that resolves at once */
    int port;
    char path[108]; /* a UNIX socket instead; "" if none */
    char password[256];
    int database;
};

bool kv_url_parse(const char *text, struct kv_url *ret_url, struct error *error);

#endif
