/*
 * servers.c -- `ladder servers`: asks the running server about its database servers, and tells it to use them
 * otherwise.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "api/servers.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/jsonw.h"
#include "base/text.h"
#include "cli/command.h"
#include "http/json.h"
#include "kv/replicas.h"

enum { TIMEOUT_S = 10, ANSWER_BYTES_MAX = 4 << 20 };

/* "http://host:port" of --url or of the environment's LADDER_URL, or what the settings say that serve listens on. */
static bool address_take(const struct settings *settings, const char *option, char host[static 256],
                         char port[static 8], struct error *error)
{
    const char *variable = getenv("LADDER_URL"), *url = option ? option : variable && variable[0] ? variable : NULL;
    const char *at = url ? url : "", *colon;

    snprintf(host, 256, "%.255s", settings->server_listen);
    snprintf(port, 8, "%d", (int)settings->server_port);
    if (!url) {
        if (strcmp(host, "0.0.0.0") == 0)
            strcpy(host, "127.0.0.1");
        else if (strcmp(host, "::") == 0)
            strcpy(host, "::1");
        return settings->server_port ||
               error_set(error, ERROR_CONFIG, "server.port is 0: say where the server is with --url");
    }
    if (strncmp(at, "http://", 7) == 0)
        at += 7;
    size_t size = strcspn(at, "/");
    colon = memrchr(at, ':', size);
    if (!colon || size >= 256 || (size_t)(at + size - colon) >= 8)
        return error_set(error, ERROR_CONFIG, "%s is http://HOST:PORT", option ? "--url" : "LADDER_URL");
    bool is_bracketed = at[0] == '[' && colon > at && colon[-1] == ']';
    snprintf(host, 256, "%.*s", (int)(colon - at) - 2 * is_bracketed, at + is_bracketed);
    snprintf(port, 8, "%.*s", (int)(at + size - colon) - 1, colon + 1);
    return true;
}

static int dial(const char *host, const char *port, struct error *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const struct timeval patience = {.tv_sec = TIMEOUT_S};
    struct addrinfo *found = NULL;
    int fd = -1;

    if (getaddrinfo(host, port, &hints, &found) != 0) {
        error_set(error, ERROR_UNAVAILABLE, "there is no address for %s", host);
        return -1;
    }
    for (const struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        if (connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0)
        error_set(error, ERROR_UNAVAILABLE,
                  "nobody answers at %s port %s (is ladder serve running there? --url says where)", host, port);
    return fd;
}

/* One request; *ret_body is the answer's, in `answer`. */
static bool request(const struct settings *settings, const char *url, const char *method, const char *path,
                    struct slice body, struct buf *answer, struct slice *ret_body, struct error *error)
{
    char host[256], port[8], token[API_ADMIN_TOKEN_MAX], bytes[16384];
    struct buf head;
    ssize_t got = 0;
    int status = 0;

    if (!address_take(settings, url, host, port, error))
        return false;
    int fd = dial(host, port, error);
    if (fd < 0)
        return false;
    api_admin_token(slice_of(settings->server_secret), token);
    buf_init(&head, 65536);
    buf_printf(&head, "%s %s HTTP/1.1\r\nHost: ladder\r\nConnection: close\r\n", method, path);
    if (body.size)
        buf_printf(&head, "Authorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n",
                   token, body.size);
    buf_append_text(&head, "\r\n");
    buf_append_slice(&head, body);
    bool is_sent = send(fd, head.data, head.size, MSG_NOSIGNAL) == (ssize_t)head.size;
    buf_done(&head);
    while (is_sent && (got = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        buf_append_slice(answer, (struct slice){bytes, (size_t)got});
    close(fd);
    buf_append_slice(answer, (struct slice){"", 1});
    const char *end = answer->is_overflown ? NULL : strstr(answer->data, "\r\n\r\n");
    if (!is_sent || got < 0 || !end || sscanf(answer->data, "HTTP/1.1 %d", &status) != 1)
        return error_set(error, ERROR_UNAVAILABLE, "the server at %s port %s did not answer", host, port);
    *ret_body = slice_of(end + 4);
    if (status == 200)
        return true;
    struct json_document document = {0};
    struct json_object root;
    struct slice detail = SLICE("");
    if (json_document_parse(&document, *ret_body, error) && json_root_object(&document, &root, error) &&
        json_read_text(&root, "detail", false, &detail, error))
        error_set(error, ERROR_INTERNAL, "the server says %d: %.*s", status, (int)detail.size, detail.data);
    json_document_free(&document);
    return false;
}

/* ---- the table ---- */

struct field {
    const char *name, *title;
    bool is_text;
    int width; /* below 0: to the left */
};

static const struct field fields[] = {
    {"name", "name", true, -16},
    {"role", "role", true, -9},
    {"state", "state", true, -11},
    {"zone", "zone", true, -6},
    {"weight", "weight", false, 6},
    {"lag_bytes", "lag B", false, 10},
    {"lag_ms", "lag ms", false, 7},
    {"connections_used", "used", false, 5},
    {"connections_idle", "idle", false, 5},
    {"waiting", "waiting", false, 7},
    {"latency_us", "us", false, 7},
    {"errors_permille", "err 1/1000", false, 10},
    {"reads", "reads", false, 10},
    {"breaker", "breaker", true, -9},
};

static const struct field redis_fields[] = {
    {"name", "replica of Redis", true, -28}, {"state", "state", true, -11},  {"loops_used", "loops", false, 5},
    {"reads", "reads", false, 10},           {"behind", "behind", false, 8}, {"lost", "lost", false, 8},
};

static bool row_print(const struct field *columns, size_t column_count, const struct json_object *server,
                      struct error *error)
{
    for (size_t i = 0; i < column_count; i++) {
        const struct field *field = &columns[i];
        struct slice text = SLICE("");
        int64_t value = 0;
        char number[24] = "";
        if (field->is_text ? !json_read_text(server, field->name, false, &text, error)
                           : !json_read_int64(server, field->name, false, &value, error))
            return false;
        if (!field->is_text && json_has(server, field->name))
            snprintf(number, sizeof(number), "%lld", (long long)value);
        printf("%s%*.*s", i ? "  " : "", field->width, field->is_text ? (int)text.size : 24,
               field->is_text ? text.data : number);
    }
    printf("\n");
    return true;
}

/* The array `name` of an object, if there is something in it or is_shown_empty. */
static bool array_print(struct json_object *object, const char *name, size_t most, bool is_shown_empty,
                        const struct field *columns, size_t column_count, struct error *error)
{
    struct json_object server;
    size_t count = 0;

    if (!json_read_array(object, name, most, &count, error))
        return false;
    for (size_t i = 0; i < column_count && (count || is_shown_empty); i++)
        printf("%s%*s%s", i ? "  " : "", columns[i].width, columns[i].title, i + 1 < column_count ? "" : "\n");
    for (size_t i = 0; i < count; i++)
        if (!json_array_object(object, name, i, &server, error) || !row_print(columns, column_count, &server, error))
            return false;
    return true;
}

static bool table_print(struct slice body, struct error *error)
{
    struct json_document document = {0};
    struct json_object root, database, redis;
    bool is_ok = json_document_parse(&document, body, error) && json_root_object(&document, &root, error) &&
                 json_object_in(&root, "database", &database, error) &&
                 array_print(&database, "servers", DB_SERVERS_MAX, true, fields, ARRAY_SIZE(fields), error);

    if (is_ok && json_has(&root, "redis")) /* not from a server of an earlier version */
        is_ok = json_object_in(&root, "redis", &redis, error) &&
                array_print(&redis, "replicas", KV_REPLICA_TALLIES_MAX, false, redis_fields, ARRAY_SIZE(redis_fields),
                            error);
    json_document_free(&document);
    return is_ok;
}

int cmd_servers(int argc, char **argv)
{
    static struct settings settings;
    static const char usage[] =
        "servers [--url http://HOST:PORT]\n"
        "       ladder servers drain NAME | undrain NAME | add LINE | remove NAME\n\n"
        "Shows the database servers of the running ladder serve, or how it is to use them until it ends.\n"
        "The server is that of --url, else of the environment variable LADDER_URL, else where the settings say.\n"
        "LINE is one of database.replicas: [name=… zone=… weight=…] and a connection string.";
    const char *url = NULL;
    const struct option_row options[] = {{"url", &url, NULL}, {NULL, NULL, NULL}};
    static const char *const verbs[] = {"drain", "undrain", "add", "remove"};
    struct slice answer_body;
    struct buf answer, body;
    struct jsonw json;
    struct error error;
    bool is_verb = false;
    int status;

    if (!command_start(&argc, argv, usage, options, &settings, &status))
        return status;
    for (size_t i = 0; i < ARRAY_SIZE(verbs) && argc == 3; i++)
        is_verb = is_verb || strcmp(argv[1], verbs[i]) == 0;
    if (argc != 1 && !is_verb) {
        fprintf(stderr, "usage: ladder %s\n", usage);
        return EXIT_USAGE;
    }
    buf_init(&answer, ANSWER_BYTES_MAX);
    buf_init(&body, 65536);
    bool is_ok;
    if (is_verb) {
        jsonw_init(&json, &body);
        jsonw_object_open(&json);
        jsonw_key(&json, argv[1]);
        jsonw_text(&json, argv[2]);
        jsonw_object_close(&json);
        is_ok = text_is_utf8(slice_of(argv[2])) || error_set(&error, ERROR_CONFIG, "the argument is not UTF-8");
        is_ok = is_ok &&
                request(&settings, url, "POST", "/monitoring/servers", buf_slice(&body), &answer, &answer_body, &error);
        if (is_ok)
            printf("%s %s: done\n", argv[1], strcmp(argv[1], "add") == 0 ? "server" : argv[2]);
    } else {
        is_ok = request(&settings, url, "GET", "/monitoring/performance", SLICE(""), &answer, &answer_body, &error) &&
                table_print(answer_body, &error);
    }
    buf_done(&answer);
    buf_done(&body);
    return is_ok ? EXIT_DONE : command_fail(&error);
}
