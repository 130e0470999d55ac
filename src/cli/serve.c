/*
 * serve.c -- `ladder serve`: one event loop a thread, nothing shared between them but the listening port.
 *
 * The first SIGTERM or SIGINT stops gracefully: no more connections, what was accepted is answered, then everything is
 * closed, within drain_timeout_ms; a second signal ends the process at once.
 */
#include <ev.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/api.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/memory.h"
#include "cli/command.h"
#include "db/plan.h"

struct serve_loop {
    const struct settings *settings;
    const struct db_settings *database;
    const struct kv_replicas_settings *redis_replicas;
    pthread_t thread;
    struct ev_loop *ev;
    ev_async stop;
    ev_timer open;
    ev_timer drain;
    int64_t open_by_us;
    int64_t drain_until_us;
    int listen_fd;
    struct store *store;
    struct api *api;
    struct http_server *server;
};

/* Of all loops. */
static struct quota request_memory, connections, spool;
static struct origins *origins;

static void on_drain(struct ev_loop *ev, ev_timer *watcher, int events)
{
    struct serve_loop *loop = watcher->data;
    bool is_done = http_server_is_idle(loop->server) && store_is_idle(loop->store);

    (void)events;
    if (is_done || clock_monotonic_us() > loop->drain_until_us)
        ev_break(ev, EVBREAK_ALL);
}

static void on_stop(struct ev_loop *ev, ev_async *watcher, int events)
{
    struct serve_loop *loop = watcher->data;

    (void)events;
    loop->drain_until_us = clock_monotonic_us() + loop->settings->server_drain_timeout_ms * 1000;
    if (!loop->server) {
        ev_break(ev, EVBREAK_ALL);
        return;
    }
    api_start_draining(loop->api);
    http_server_drain(loop->server);
    ev_timer_init(&loop->drain, on_drain, 0.0, 0.02);
    loop->drain.data = loop;
    ev_timer_start(ev, &loop->drain);
}

static struct store_settings store_settings_of(const struct settings *s, const struct db_settings *db,
                                               const struct kv_replicas_settings *replicas)
{
    return (struct store_settings){
        .db = db,
        .kv = {.url = s->redis_url,
               .command_timeout_ms = (int)s->redis_command_timeout_ms,
               .pending_max = (int)s->redis_pending_max,
               .reconnect_max_ms = (int)s->redis_reconnect_max_ms},
        .replicas = *replicas,
        .queue_max = (int)s->database_queue_max,
        .batch_max = (int)s->database_batch_max,
        .reads_in_flight = s->limits_reads_in_flight,
        .game_percent = (int)s->limits_game_percent,
        .client_percent = (int)s->limits_client_percent,
        .reads_waiting_max = (int)s->limits_reads_waiting,
        .reads_wait_ms = (int)s->limits_reads_wait_ms,
        .unknown_lookups = (int)s->limits_unknown_lookups,
        .board_ttl_ms = (int)s->cache_board_ttl_ms,
        .key_ttl_ms = (int)s->cache_key_ttl_ms,
    };
}

static void loop_open(struct serve_loop *loop)
{
    const struct settings *s = loop->settings;
    const struct http_settings http = {
        .listen_fd = loop->listen_fd,
        .connections_max = (int)s->server_connections_max,
        .uri_bytes_max = (int)s->server_uri_bytes_max,
        .header_bytes_max = (int)s->server_header_bytes_max,
        .body_bytes_max = s->server_body_bytes_max,
        .header_timeout_ms = (int)s->server_header_timeout_ms,
        .body_timeout_ms = (int)s->server_body_timeout_ms,
        .answer_timeout_ms = (int)s->server_answer_timeout_ms,
        .idle_timeout_ms = (int)s->server_idle_timeout_ms,
        .least_rate = s->server_least_rate,
        .least_rate_window_ms = (int)s->server_least_rate_window_ms,
        .compress_bytes_min = s->server_compress_bytes_min,
        .compress_percent = (int)s->server_compress_percent,
        .counters = api_http_counters(loop->api),
        .memory = &request_memory,
        .connections = &connections,
        .origins = origins,
    };
    struct http_application application = api_application(loop->api);
    loop->server = http_server_new(loop->ev, &http, &application);
    ASSERT(loop->server != NULL);
    api_set_server(loop->api, loop->server);
}

static void on_open(struct ev_loop *ev, ev_timer *watcher, int events)
{
    struct serve_loop *loop = watcher->data;

    (void)events;
    if (!db_can_write(store_db(loop->store)) && clock_monotonic_us() < loop->open_by_us)
        return;
    ev_timer_stop(ev, watcher);
    loop_open(loop);
}

static void *loop_run(void *context)
{
    struct serve_loop *loop = context;
    const struct settings *s = loop->settings;
    struct store_settings store = store_settings_of(s, loop->database, loop->redis_replicas);
    const struct api_settings api = {.secret = slice_of(s->server_secret),
                                     .spool_directory = s->server_spool_directory,
                                     .spool_bytes_max = s->server_spool_bytes_max,
                                     .spool = &spool,
                                     .results_bytes = s->server_results_bytes,
                                     .answer_timeout_ms = (int)s->server_answer_timeout_ms,
                                     .line_bytes_max = s->server_body_bytes_max,
                                     .anonymous_body_bytes_max = s->server_anonymous_body_bytes_max,
                                     .memory = &request_memory,
                                     .connections = &connections,
                                     .l1_bytes = s->cache_l1_bytes,
                                     .l2_url = s->cache_l2_url,
                                     .l2_ttl_ms = s->cache_l2_ttl_s * 1000,
                                     .closed_max_age_s = s->cache_closed_max_age_s,
                                     .statistics_ms = s->cache_statistics_ms,
                                     .heartbeat_ms = (int)s->cache_heartbeat_ms,
                                     .query_anonymous = (int)s->limits_query_anonymous,
                                     .token_cookie_s = (int)s->server_token_cookie_s,
                                     .worker_silent_after_ms = s->worker_silent_after_ms};

    loop->store = store_new(loop->ev, &store);
    loop->api = api_new(loop->ev, loop->store, &api);
    /* Connections wait in the socket's backlog until the database was reached, or clearly can't be. */
    loop->open_by_us = clock_monotonic_us() + s->database_connect_timeout_ms * 1000;
    ev_timer_init(&loop->open, on_open, 0.0, 0.005);
    loop->open.data = loop;
    ev_timer_start(loop->ev, &loop->open);
    ev_run(loop->ev, 0);
    ev_timer_stop(loop->ev, &loop->open);
    ev_timer_stop(loop->ev, &loop->drain);
    if (!loop->server)
        close(loop->listen_fd);
    api_set_server(loop->api, NULL);
    store_free(&loop->store); /* what still waits for it is answered */
    http_server_free(&loop->server);
    api_free(&loop->api);
    return NULL;
}

static bool loops_listen(struct serve_loop *loops, int count, const struct settings *settings, int *ret_port,
                         struct error *error)
{
    int port = (int)settings->server_port;

    for (int i = 0; i < count; i++) {
        bool is_alone = i == 0 && !settings->server_share_port;
        if (!(is_alone ? http_listen_alone : http_listen)(settings->server_listen, port, &loops[i].listen_fd, ret_port,
                                                          error))
            return false;
        port = *ret_port; /* port 0: the others share what the first one got */
    }
    return true;
}

/* Every connection is a descriptor, and a shell's limit is often 1,024: take as many as we are allowed and need. */
static void descriptors_raise(const struct settings *settings, int loops)
{
    int64_t servers = 2 + (int64_t)settings->database_replicas.count; /* one may come while it runs */
    int64_t per_loop = settings->server_connections_max + settings->database_write_connections +
                       servers * (settings->database_read_connections + 2) + 16 + 1 +
                       KV_URL_SEEDS_MAX; /* Redis's, and a sentinel */
    rlim_t wanted = (rlim_t)(loops * per_loop + 64);
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted)
        log_warn("few-descriptors", LOG_INT("limit", limit.rlim_cur), LOG_INT("wanted", wanted));
}

/*
 * The quota of requests; and the C library gives memory back to the machine as soon as it is free: a large block has pages
 * of its own (without a fixed threshold, freed large blocks raise it, and later ones come from the heap), and there are
 * no more heaps than loops. docs/decisions/0107-memory-of-requests.md has what was measured.
 */
static void memory_share(const struct settings *settings, int loops)
{
    enum { OWN_PAGES_BYTES = 128 << 10, SHARE = 4, BYTES_MIN = 64 << 20 };
    int64_t share = machine_memory_bytes("") / SHARE;

    quota_init(&request_memory, settings->server_memory_bytes ? settings->server_memory_bytes
                                : share > BYTES_MIN           ? share
                                                              : BYTES_MIN);
    quota_init(&connections, INT64_MAX);
    quota_init(&spool, settings->server_spool_bytes);
    mallopt(M_MMAP_THRESHOLD, OWN_PAGES_BYTES);
    mallopt(M_TRIM_THRESHOLD, OWN_PAGES_BYTES);
    mallopt(M_ARENA_MAX, loops + 1);
}

static struct origins *origins_make(const struct settings *settings, int loops)
{
    enum { SHARE = 4 };
    int64_t most = settings->server_connections_per_address;
    struct origin_network exempt[ORIGIN_NETWORKS_MAX];
    struct error error;

    _Static_assert((int)SETTINGS_LIST_MAX <= (int)ORIGIN_NETWORKS_MAX, "there is a place for each");
    for (size_t i = 0; i < settings->server_proxies.count; i++)
        ASSERT(origin_network_parse(settings->server_proxies.items[i], &exempt[i],
                                    &error)); /* setting_check let it pass */
    if (!most)
        most = (settings->server_connections_max * loops + SHARE - 1) / SHARE;
    return origins_new((int)(most < INT_MAX ? most : INT_MAX), exempt, settings->server_proxies.count);
}

/* SIGHUP: the database servers, how reads are spread over them, and the replicas of Redis, from the settings as they are
 * now. */
static void settings_reload(const char *path)
{
    static struct settings settings;
    static struct db_settings database;
    struct kv_replicas_settings redis_replicas;
    struct error error;

    if (!settings_load(&settings, path, setting_check, &error) || !command_servers(&settings, &database, &error) ||
        !command_redis_replicas(&settings, &redis_replicas, &error)) {
        log_error("reload-failed", LOG_TEXT("because", error.message));
        return;
    }
    plan_replace(&database);
    kv_replicas_replace(&redis_replicas);
    log_info("reloaded", LOG_INT("servers", database.server_count), LOG_INT("redis_replicas", redis_replicas.count));
}

int cmd_serve(int argc, char **argv)
{
    static struct settings settings;
    static struct db_settings database;
    static struct kv_replicas_settings redis_replicas;
    struct error error;
    sigset_t signals;
    int status, port, signal;

    if (!command_start(&argc, argv, "serve [--config FILE]\n\nAnswers HTTP until SIGTERM.", NULL, &settings, &status))
        return status;
    if (!command_is_alone(argc, argv))
        return EXIT_USAGE;
    if (!command_servers(&settings, &database, &error) || !command_redis_replicas(&settings, &redis_replicas, &error))
        return command_fail(&error);
    if (!settings.server_secret[0]) {
        fprintf(
            stderr,
            "ladder serve: server.secret is not set: it signs cursors and tokens (16 bytes or more, the same on every server)\n");
        return EXIT_FAILED;
    }
    int count = settings.server_loops ? (int)settings.server_loops : (int)sysconf(_SC_NPROCESSORS_ONLN);
    descriptors_raise(&settings, count);
    struct serve_loop *loops = calloc((size_t)count, sizeof(*loops));
    ASSERT(loops != NULL);
    if (!loops_listen(loops, count, &settings, &port, &error))
        return command_fail(&error);
    memory_share(&settings, count);
    origins = origins_make(&settings, count);
    memory_reserve(); /* without it, small allocations may fail as large ones do */
    hash_seed(slice_of(settings.server_secret));
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    for (int i = 0; i < count; i++) {
        loops[i].settings = &settings;
        loops[i].database = &database;
        loops[i].redis_replicas = &redis_replicas;
        loops[i].ev = ev_loop_new(EVFLAG_NOSIGMASK | EVBACKEND_EPOLL);
        ASSERT(loops[i].ev != NULL);
        ev_async_init(&loops[i].stop, on_stop);
        loops[i].stop.data = &loops[i];
        ev_async_start(loops[i].ev, &loops[i].stop);
        ASSERT(pthread_create(&loops[i].thread, NULL, loop_run, &loops[i]) == 0);
    }
    log_info("listening", LOG_TEXT("address", settings.server_listen), LOG_INT("port", port), LOG_INT("loops", count),
             LOG_INT("pid", getpid()), LOG_TEXT("version", LADDER_VERSION));
    while (sigwait(&signals, &signal) == 0 && signal == SIGHUP)
        settings_reload(command_config());
    log_info("stopping", LOG_INT("signal", signal));
    /* From here a second signal ends the process, as it would any other. */
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    for (int i = 0; i < count; i++)
        ev_async_send(loops[i].ev, &loops[i].stop);
    for (int i = 0; i < count; i++) {
        pthread_join(loops[i].thread, NULL);
        ev_loop_destroy(loops[i].ev);
    }
    free(loops);
    unsure_free();
    origins_free(&origins);
    log_info("stopped", LOG_INT("pid", getpid()));
    return EXIT_DONE;
}
