/*
 * report.h -- the servers as the operator sees them, over all loops of the process.
 *
 * Each loop publishes what it knows ten times a second; whoever asks gets the sum. Any thread.
 */
#ifndef DB_REPORT_H
#define DB_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "db/breaker.h"
#include "db/leader.h"
#include "db/line.h"

struct db_server_report {
    char name[DB_NAME_MAX];
    char zone[DB_NAME_MAX];
    int weight;
    bool is_leader;
    bool is_known; /* it answered lately, to some loop */
    bool is_standby;
    bool is_healthy; /* to every loop */
    bool is_drained;
    bool is_leaving;
    bool is_late;
    int timeline;
    int64_t lsn;
    int64_t lag_bytes;
    int64_t lag_us;
    int connections, busy, in_flight, behind; /* pool.h */
    double latency_us;                        /* the loops' mean */
    int64_t reads, failures, retries, took_us;
    double error_rate;          /* of the last hundred or so reads, the loops' mean */
    enum breaker_state breaker; /* the worst of the loops' */
    enum leader_fault fault;
    int64_t health_since_us, fault_since_us, late_since_us; /* realtime; 0: fine */
    int loops;
};

struct db_report {
    int loops, loops_writable;
    int64_t leaderless_since_us; /* realtime; 0: every loop has one */
    int epoch, timeline;
    int waiting_for_room, waiting_for_position;
    int64_t reads, retries, shed, behind;
    int server_count;
    struct db_server_report servers[DB_SERVERS_MAX];
};

void db_report(struct db_report *ret_report);

#endif
