/*
 * target.h -- one edge, as a line of the settings names it: where it is told, and in which words.
 *
 *     varnish+http://127.0.0.1:6081/
 *     https://api.fastly.com/service/ID/purge method=POST 'header=Fastly-Key: {env:FASTLY_KEY}' 'header=Surrogate-Key: {tags}'
 *     https://api.cloudflare.com/client/v4/zones/ID/purge_cache method=POST 'header=Authorization: Bearer {env:CF_TOKEN}'
 *         'header=Content-Type: application/json' 'body={"tags":[{json}]}'
 *
 * Words are separated by spaces; one that holds some stands in single quotes. The first is the URL, the others options:
 *
 *     method=NAME          default POST
 *     header=NAME: VALUE   up to EDGE_HEADERS_MAX
 *     body=TEXT
 *     tags_max=N           tags in one request, 1 to EDGE_TAGS_MAX; default EDGE_TAGS_DEFAULT
 *
 * In the URL, headers and body stand for the tags: {tags} "a b", {commas} "a,b", {json} "\"a\",\"b\"". {env:NAME} is
 * that variable of the environment, so that the settings need hold no secret. `varnish+` before the URL is short for
 * method=BAN 'header=Surrogate-Key: {tags}', which config/varnish.vcl understands.
 *
 * Constant once made; any thread.
 */
#ifndef EDGE_TARGET_H
#define EDGE_TARGET_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

enum { EDGE_HEADERS_MAX = 8, EDGE_TAGS_MAX = 1000, EDGE_TAGS_DEFAULT = 30, EDGE_ID_MAX = 17, EDGE_NAME_MAX = 128 };

struct edge_target {
    char id[EDGE_ID_MAX];     /* a hash of the URL: the name of its queue */
    char name[EDGE_NAME_MAX]; /* scheme, host and port, for logs */
    char *url, *method, *headers[EDGE_HEADERS_MAX], *body /* NULL: none */;
    size_t header_count;
    size_t tags_max;
};

/* NULL: *error (ERROR_CONFIG) says what is wrong with the line. */
struct edge_target *edge_target_parse(const char *line, struct error *error);
void edge_target_free(struct edge_target **target);

/* Writes a template with these tags in it. */
void edge_template_write(const char *template, const char *const *tags, size_t count, struct buf *out);

#endif
