/*
 * private.h -- what the files of the router share: the loop's db, its servers, and the reads under way.
 *
 * A file calls only files below its own; what those have to report goes up by struct db_upwards.
 *
 *   db.c       life, the timer, who leads
 *   read.c     a read's way to an answer                    report.c   what there is to show
 *   writer.c   the connections for submissions              plan.c     servers that come and go while the process runs
 *   server.c   one server: asked how it is, and judged
 */
#ifndef DB_PRIVATE_H
#define DB_PRIVATE_H

#include <ev.h>
#include <sys/queue.h>

#include "db/breaker.h"
#include "db/budget.h"
#include "db/db.h"
#include "db/history.h"
#include "db/lag.h"
#include "db/latency.h"
#include "db/outlier.h"
#include "db/pool.h"
#include "db/report.h"

enum { DB_MAGIC = 0x64626462, SERVER_MAGIC = 0x64627376, WRITER_MAGIC = 0x64627772, ATTEMPT_MAGIC = 0x64626174 };
enum { TICK_MS = 100, SOON_MS = 2, LOOK_MS = 20, SERVER_IDS = 64 };

enum health { HEALTH_UNKNOWN, HEALTH_GOOD, HEALTH_BAD };

struct db_read;

/* A read's call on its way to one server. Given up, it has no read any more, but stays until its answer came. */
struct attempt {
    unsigned magic;
    struct db_read *read;      /* NULL: given up */
    struct db_server *server;  /* borrowed; it stays as long as it has attempts */
    TAILQ_ENTRY(attempt) link; /* of the server's */
    int64_t sent_us;
    bool is_checked; /* replay_covers goes in front */
    bool is_trial;   /* of the server's breaker */
    bool is_behind;  /* sent although the server lacks something */
    enum db_source source;
    bool is_judged;           /* whether its time says something of the server */
    enum statement statement; /* of the read */
};

struct db_server {
    unsigned magic;
    struct db *db; /* borrowed */
    struct db_line line;
    int id; /* 0 to SERVER_IDS - 1, of no other one here */
    struct db_pool *pool;
    bool is_leaving; /* the plan does not know it any more: no new calls */

    /* How it says it is: */
    struct db_connection *probe;
    bool is_asked;  /* a check is under way */
    bool is_polled; /* a look at its position is */
    int64_t asked_us;
    int64_t next_us; /* when it is asked again */
    enum health health;
    int good, bad; /* checks in a row */
    bool is_known; /* it has answered, and not long ago */
    bool is_standby;
    int timeline;
    int epoch; /* the newest it has */
    int64_t cluster;
    int64_t start_us;
    int64_t lsn; /* replayed, or flushed if it is no standby */
    int64_t heard_us;
    int64_t proved_us; /* what was sent then, a check or a read, came back: the latest */
    int64_t behind_us; /* since when a reader wants more than it has; 0: nobody does */
    bool is_late;      /* beyond max_lag, or of another epoch */
    enum leader_fault fault;
    int64_t health_since_us, fault_since_us, late_since_us; /* of the realtime clock, for the alerts */

    /* How it did: */
    struct breaker breaker;
    struct latency latency;
    struct outlier_window recent; /* its answers, to be compared with the others' */
    int timed_out;                /* 1 + the statement that timed out last; 0: none did since another one succeeded */
    int64_t trial_limit_us; /* left alone for its slowness: a trial that takes longer failed; 0: any time will do */
    TAILQ_HEAD(, attempt) attempts; /* the oldest first */
    int credit;                     /* choice.h */
    uint64_t name_hash;
    int64_t reads, failures, retries;
    double error_rate; /* of the last hundred or so */
    int64_t took_us;   /* of all reads */
};

struct writer {
    unsigned magic;
    struct db *db; /* borrowed */
    struct db_connection *connection;
    bool is_open; /* its epoch was asked for since it was made, and answered */
};

struct read_list {
    TAILQ_HEAD(, db_read) reads;
    int count;
};

/* What server.c, writer.c and plan.c report; db.c sets them. From a callback of a connection, or inside db_server_tick. */
struct db_upwards {
    void (*answered)(struct db *db); /* what a server says of itself is known, or no longer: who leads? */
    void (*entered)(struct db *db, int epoch, int timeline);              /* the leader said of what history it is */
    void (*replanned)(struct db *db, const struct db_settings *settings); /* there is another plan */
    void (*moved)(struct db *db);    /* some position may have moved: to reads that wait for one */
    void (*has_room)(struct db *db); /* a connection became ready: to reads that wait for room */
};

struct db {
    unsigned magic;
    struct ev_loop *loop;
    const struct db_upwards *upwards;
    struct db_settings settings;
    int plan_version;
    struct db_server *servers[DB_SERVERS_MAX];
    int server_count;
    struct db_server *leaving[DB_SERVERS_MAX];
    int leaving_count;
    struct db_server *leader;    /* NULL: none yet, or nobody may be written to */
    int64_t leaderless_since_us; /* realtime; 0: there is one */
    struct writer writers[DB_POOL_MAX];
    int epoch;
    int timeline;
    struct lag lag;
    struct budget budget;
    unsigned turn;
    uint64_t random;                         /* random.h */
    struct read_list for_room, for_position; /* reads that wait */
    bool has_moved;                          /* some position, since the waiting reads were looked at */
    int64_t looked_us;
    int64_t compared_us; /* when outliers were looked for */
    int64_t reads, retries, shed, behind;
    ev_timer tick;
    ev_timer soon; /* runs while reads wait */
    ev_async replanned;
    LIST_ENTRY(db) planned;
    struct db_report report; /* as last published; under report.c's mutex */
    bool is_closing;         /* no connection is picked any more */
};

/* ---- server.c ---- */
struct db_server *db_server_new(struct db *db, const struct db_line *line, int id);
void db_server_free(struct db_server **server);
void db_server_retune(struct db_server *server, const struct db_line *line);
struct db_server *db_server_of(struct db *db, int id); /* NULL: it went */
/* Has it sent all that it was asked for? */
bool db_server_is_idle(const struct db_server *server);
void db_server_tick(struct db_server *server, int64_t now_us);
void db_server_check(struct db_server *server); /* asks it how it is, unless that is under way */
void db_server_poll(struct db_server *server);  /* asks how far it is, the same */
/* It was heard to be at lsn. */
void db_server_moved(struct db_server *server, int epoch, int64_t lsn);
/* May it take reads at all now? is_desperate: whatever else is wrong with it, it can't lie; but for one that says nothing,
 * while somebody leads: his connections are awaited instead. */
bool db_server_is_fit(const struct db_server *server, bool is_desperate, int64_t now_us);
/* It was asked how it is and says nothing. */
bool db_server_is_mute(const struct db_server *server, int64_t now_us);
bool db_server_is_leader(const struct db_server *server); /* of this loop, and it did not just say otherwise */
void db_server_succeeded(struct db_server *server, const struct attempt *attempt, int64_t now_us);
void db_server_failed(struct db_server *server, const struct attempt *attempt, bool is_lost, int64_t now_us);
/* A read took longer than a statement may. By itself that says something of the statement; of the server only if another
 * statement did the same since one succeeded. */
void db_server_timed_out(struct db_server *server, const struct attempt *attempt, int64_t now_us);
/* Among the servers, is one so slow that it is left alone? */
void db_servers_compare(struct db *db, int64_t now_us);
/* Of an attempt that has nearly stalled: is it the server? If so, the server is left alone. Sets is_judged when that is known. */
void db_attempt_judge(struct attempt *attempt, int64_t stall_us, int64_t now_us);

/* ---- writer.c ---- */
void writers_new(struct db *db);
void writers_free(struct db *db);
void writers_redirect(struct db *db);

/* ---- read.c ---- */
void reads_pump(struct db *db);    /* there may be room */
void reads_look(struct db *db);    /* a position moved, or time passed */
void reads_give_up(struct db *db); /* all that wait, for good */
void reads_tick(struct db *db, struct db_server *server, int64_t now_us);

/* ---- plan.c ---- */
void plan_join(struct db *db);
void plan_leave(struct db *db);

/* ---- report.c ---- */
void report_publish(struct db *db);
void report_leave(struct db *db);

#endif
