/*
 * database.c -- the router's settings from the settings.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cli/command.h"

bool command_balance_check(const char *text, struct error *error)
{
    enum choice_by balance;

    return choice_parse(slice_of(text), &balance) ||
           error_set(error, ERROR_CONFIG,
                     "\"%.40s\" is none (allowed: round_robin, least_connections, weighted, client_hash, latency)",
                     text);
}

bool command_zone_check(const char *text, struct error *error)
{
    return strlen(text) < DB_NAME_MAX ||
           error_set(error, ERROR_CONFIG, "the name is too long (allowed: up to %d bytes)", DB_NAME_MAX - 1);
}

bool command_commit_check(const char *text, struct error *error)
{
    static const char *const commits[] = {"", "local", "remote_write", "on", "remote_apply"};

    for (size_t i = 0; i < ARRAY_SIZE(commits); i++)
        if (strcmp(text, commits[i]) == 0)
            return true;
    return error_set(error, ERROR_CONFIG,
                     "\"%.40s\" is none (allowed: local, remote_write, on, remote_apply, or empty)", text);
}

bool command_servers(const struct settings *s, struct db_settings *out, struct error *error)
{
    const char *replicas[SETTINGS_LIST_MAX];

    *out = (struct db_settings){
        .primary_reads = s->database_primary_reads,
        .write_connections = (int)s->database_write_connections,
        .read_connections = (int)s->database_read_connections,
        .read_connections_min = (int)s->database_read_connections_min,
        .pipeline_max = (int)s->database_pipeline_max,
        .connection_idle_ms = (int)s->database_connection_idle_s * 1000,
        .connection_lifetime_ms = (int)s->database_connection_lifetime_s * 1000,
        .connect_timeout_ms = (int)s->database_connect_timeout_ms,
        .statement_timeout_ms = (int)s->database_statement_timeout_ms,
        .tcp_user_timeout_ms = (int)s->database_tcp_user_timeout_ms,
        .reconnect_max_ms = (int)s->database_reconnect_max_ms,
        .queue_max = (int)s->database_read_queue_max,
        .queue_timeout_ms = (int)s->database_read_queue_timeout_ms,
        .wait_ms = (int)s->database_wait_ms,
        .max_lag_bytes = s->database_max_lag_bytes,
        .max_lag_ms = (int)s->database_max_lag_ms,
        .health_interval_ms = (int)s->database_health_interval_ms,
        .health_timeout_ms = (int)s->database_health_timeout_ms,
        .unhealthy_after = (int)s->database_unhealthy_after,
        .healthy_after = (int)s->database_healthy_after,
        .breaker_failures = (int)s->database_breaker_failures,
        .breaker_pause_ms = (int)s->database_breaker_pause_ms,
        .breaker_pause_max_ms = (int)s->database_breaker_pause_max_ms,
        .outlier_factor = (int)s->database_outlier_factor,
        .outlier_min_ms = (int)s->database_outlier_min_ms,
        .stall_ms = (int)s->database_stall_ms,
        .retry_percent = (int)s->database_retry_percent,
    };
    /* As setting_check let them pass. */
    bool is_known = choice_parse(slice_of(s->database_balance), &out->balance);
    ASSERT(is_known);
    snprintf(out->zone, sizeof(out->zone), "%.*s", DB_NAME_MAX - 1, s->database_zone);
    snprintf(out->synchronous_commit, sizeof(out->synchronous_commit), "%.15s", s->database_synchronous_commit);
    for (size_t i = 0; i < s->database_replicas.count; i++)
        replicas[i] = s->database_replicas.items[i];
    return db_settings_servers(out, s->database_url, replicas, (int)s->database_replicas.count, error);
}

struct dbb *command_database(const struct settings *settings, const char *name, struct error *error)
{
    const char *replicas[SETTINGS_LIST_MAX];

    for (size_t i = 0; i < settings->database_replicas.count; i++)
        replicas[i] = settings->database_replicas.items[i];
    return dbb_open_primary(settings->database_url, replicas, (int)settings->database_replicas.count, name, 0, error);
}
