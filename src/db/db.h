/*
 * db.h -- the PostgreSQL servers as one loop sees them: which one a call goes to.
 *
 * Every call is declared a read or a write. The servers are peers: which one leads is found by asking each (leader.h).
 * A write goes to the leader. A read goes to a standby that has replayed what the reader must see; which one, choice.h
 * says, among those that are well (server.h). The check travels in front of the read, on the same connection, so it
 * can't be about another server. With no standby fit the leader serves reads, with no leader the standbys do. One
 * thread: its loop's.
 */
#ifndef DB_DB_H
#define DB_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "db/choice.h"
#include "db/connection.h"
#include "db/line.h"

struct db;

struct db_settings {
    struct db_line servers[DB_SERVERS_MAX];
    int server_count;
    enum choice_by balance;
    char zone[DB_NAME_MAX]; /* where this process stands; "": nowhere */
    bool primary_reads;     /* the leader takes its share of them */
    char synchronous_commit[16];
    int write_connections;
    int read_connections_min, read_connections; /* to each server */
    int pipeline_max;                           /* calls in flight on one of them */
    int connection_idle_ms, connection_lifetime_ms;
    int connect_timeout_ms;
    int statement_timeout_ms;
    int tcp_user_timeout_ms;
    int reconnect_max_ms;
    int queue_max, queue_timeout_ms; /* reads that wait for room */
    int wait_ms;                     /* for a standby to replay, before the leader is asked */
    int64_t max_lag_bytes;           /* 0: no limit */
    int max_lag_ms;                  /* 0: no limit */
    int health_interval_ms, health_timeout_ms, unhealthy_after, healthy_after;
    int breaker_failures, breaker_pause_ms, breaker_pause_max_ms;
    int outlier_factor, outlier_min_ms; /* slower than the others by so much, and than that: left alone; 0: never */
    int stall_ms; /* a read that waits so long is retried on another server, and this one left alone */
    int retry_percent;
    /* A connection for submissions became free or ready: send more. May be NULL. */
    void (*writer_ready)(void *context);
    void *writer_context;
};

/* Fills the servers from the settings' lines: the primary's first, then the replicas'. ERROR_CONFIG. */
bool db_settings_servers(struct db_settings *settings, const char *primary, const char *const *replicas,
                         int replica_count, struct error *error);

enum db_source { DB_NOWHERE, DB_PRIMARY, DB_REPLICA };

struct db *db_new(struct ev_loop *loop, const struct db_settings *settings);
void db_free(struct db **db);

/* What history the leader is of; 0 until it was reached once. Kept while it is down. */
int db_epoch(const struct db *db);
int db_timeline(const struct db *db);
bool db_can_write(const struct db *db);
bool db_chooses_by_client(const struct db *db); /* db_wish.client is of use */
bool db_can_read(const struct db *db);
/* Of the servers that do not lead. */
int db_replicas_ready(const struct db *db);
int db_replica_count(const struct db *db);

/* The largest commit position that this process has acknowledged, by any loop: what its reads must see at least. */
void db_saw_lsn(struct db *db, int64_t lsn);
int64_t db_lsn(const struct db *db);

/* The index-th connection for submissions, NULL while it is not usable. */
struct db_connection *db_writer(struct db *db, int index);
int db_writer_count(const struct db *db);

/* A transaction on the leader, apart from the submissions. false: no leader; done is not called. */
bool db_write(struct db *db, const struct db_call *calls, int count, db_done_fn *done, void *context);

/* What a read must see. */
struct db_wish {
    int64_t lsn; /* at least up to here; 0: whatever a standby has */
    /* the part of it that the client has shown: never less than that. The rest is what the process knows, and is given
     * up when no server that has it is left: the answer is_behind then */
    int64_t shown_lsn;
    bool needs_primary;   /* only the leader's word counts */
    bool prefers_primary; /* a standby answers only while nobody leads */
    uint64_t client;      /* who asks, for client_hash; 0: unknown */
};

/*
 * A read. The parameters' data must live until done, which is never called from inside. done's outcome has the rows of
 * this one call in rows[0]. false: no server at all; done is not called. It may wait for a server, up to
 * queue_timeout_ms.
 */
typedef void db_read_fn(void *context, const struct db_outcome *outcome, enum db_source source);
bool db_read_with(struct db *db, const struct db_call *call, const struct db_wish *wish, db_read_fn *done,
                  void *context);
/* One that must see lsn. */
bool db_read(struct db *db, const struct db_call *call, int64_t lsn, db_read_fn *done, void *context);
/* From the leader as long as there is one: what must not be old, like keys and definitions. */
bool db_read_primary(struct db *db, const struct db_call *call, db_read_fn *done, void *context);

#endif
