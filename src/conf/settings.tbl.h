/*
 * settings.tbl.h -- every setting, once.
 *
 *   INT(section, name, default, min, max, "unit", "what it does")
 *   BOOL(section, name, default, "what it does")
 *   TEXT(section, name, "default", "what it does")       at most SETTINGS_TEXT_MAX bytes
 *   SECRET(section, name, "what it does")                TEXT that is never printed or logged
 *   LIST(section, name, "what it does")                  YAML sequence of texts; environment: comma-separated
 *
 * In YAML it is `section: {name: value}`; in the environment LADDER_SECTION_NAME in capitals; in C
 * `settings.section_name`. The environment wins over the file.
 */
TEXT(server, listen, "127.0.0.1", "Address to listen on (IPv4 or IPv6, numeric).")
INT(server, port, 7000, 0, 65535, "", "TCP port; 0 takes a free one and prints it.")
BOOL(server, share_port, false,
     "Several processes may listen on the port, and the kernel spreads connections over them; each of them sets this.")
INT(server, loops, 0, 0, 256, "threads", "Event loops, one thread each; 0 is one per processor.")
INT(server, connections_max, 4096, 16, 1000000, "connections", "Open client connections per loop; more are refused.")
INT(server, connections_per_address, 0, 0, 1000000, "connections",
    "The most connections that one client address may have, over all event loops; for IPv6, one /64 network. The "
    "server refuses more with 429. 0: a quarter of all connections that the server takes.")
LIST(server, proxies,
     "Addresses and networks, such as 10.0.0.0/8, that server.connections_per_address does not limit: proxies connect "
     "for many clients. They say whose address is behind them with X-Forwarded-For, of which the last address that is "
     "no proxy's counts. None: 127.0.0.0/8 and ::1.")
INT(server, uri_bytes_max, 8192, 256, 65536, "bytes", "Longest request target; longer gets 414.")
INT(server, header_bytes_max, 8192, 4096, 1048576, "bytes",
    "All header fields of one request with their names; more gets 431. There is no other limit on one field.")
INT(server, body_bytes_max, 1048576, 1024, 67108864, "bytes",
    "Largest JSON body, as sent and decoded; larger gets 413. An NDJSON stream may be longer, its lines not.")
INT(server, anonymous_body_bytes_max, 65536, 1024, 67108864, "bytes",
    "The largest request body that the server takes without a valid API key. Only POST /query takes one.")
INT(server, memory_bytes, 0, 0, 1099511627776, "bytes",
    "The most memory for all requests under way: bodies, answers that clients have not read yet, and working memory. "
    "Beyond it requests get 503. 0: a quarter of the memory of the machine or the control group.")
INT(server, header_timeout_ms, 5000, 100, 600000, "ms", "From a request's first byte to the end of its header.")
INT(server, body_timeout_ms, 10000, 100, 600000, "ms",
    "From the end of the header to the end of a JSON body; an NDJSON stream may pause no longer than this.")
INT(server, answer_timeout_ms, 5000, 100, 600000, "ms",
    "From the end of the request until 503 is sent instead of an answer; of an NDJSON stream, from the last lines that "
    "were taken.")
INT(server, idle_timeout_ms, 60000, 1000, 3600000, "ms", "A kept-alive connection without a request is closed.")
INT(server, least_rate, 50, 0, 1000000000, "bytes/s",
    "The lowest rate at which a client must send a body or read an answer; the server closes a slower connection. 0: "
    "no lowest rate.")
INT(server, least_rate_window_ms, 30000, 1000, 600000, "ms", "The time over which server.least_rate is measured.")
INT(server, compress_bytes_min, 1024, 0, 1073741824, "bytes",
    "Answers from this size on are compressed for clients that accept gzip or brotli; 0: none is.")
INT(server, compress_percent, 25, 1, 100, "%",
    "Of each loop's time, how much may go into compressing; beyond it answers go out as they are.")
INT(server, drain_timeout_ms, 10000, 0, 600000, "ms", "At a graceful stop, how long accepted requests may take.")
INT(server, token_cookie_s, 60, 0, 86400, "s",
    "How long a client that keeps cookies shows the token of its last write by itself; 0: it is sent none.")
TEXT(server, spool_directory, "/tmp",
     "Where the results of long NDJSON streams wait for the end of the body (unlinked files).")
INT(server, spool_bytes_max, 268435456, 65536, 1099511627776, "bytes",
    "Results of one NDJSON stream; a stream that reaches it takes no more lines (results=errors keeps them few).")
INT(server, spool_bytes, 1073741824, 1048576, 1099511627776, "bytes",
    "The most bytes of results that all NDJSON streams together may keep in server.spool_directory. While they have "
    "so many, a long stream takes no more lines.")
INT(server, results_bytes, 16777216, 0, 1099511627776, "bytes",
    "From this size of results on, the answer to an NDJSON stream lists only the lines that were not taken, unless "
    "the client asks for results=all.")
SECRET(server, secret, "Signs cursors and consistency tokens; 16 bytes or more, the same on every server.")
TEXT(database, url, "postgresql:///ladder",
     "The PostgreSQL primary: a connection string, of several hosts if it may be any of them, and before it words "
     "about the "
     "server (docs/replicas.md).")
LIST(database, replicas, "The read replicas, each the same way.")
TEXT(database, balance, "latency",
     "How reads are spread over replicas: round_robin, least_connections, weighted, client_hash or latency.")
TEXT(database, zone, "", "Where this process stands: replicas of that zone come first.")
BOOL(database, primary_reads, false, "The primary takes its share of the reads, not only what nobody else can answer.")
TEXT(database, synchronous_commit, "",
     "When a write counts as done: local, remote_write, on or remote_apply (docs/replicas.md); empty: as the server "
     "has it.")
INT(database, write_connections, 2, 1, 64, "connections", "To the primary, per loop, for submissions.")
INT(database, read_connections, 4, 1, 64, "connections", "To each server, per loop, for everything else, at most.")
INT(database, read_connections_min, 1, 0, 64, "connections", "The same, at least.")
INT(database, pipeline_max, 8, 1, 1000, "reads", "On one connection at a time; more wait for a free one.")
INT(database, connection_idle_s, 60, 0, 86400, "s", "A connection for reads not used for so long is closed; 0: never.")
INT(database, connection_lifetime_s, 3600, 0, 604800, "s", "One that is older is replaced; 0: never.")
INT(database, tcp_user_timeout_ms, 3000, 0, 600000, "ms", "Until bytes that are not acknowledged break a connection.")
INT(database, read_queue_max, 2000, 0, 1000000, "reads", "Reads waiting for a server, per loop; more get 503.")
INT(database, read_queue_timeout_ms, 1000, 1, 60000, "ms", "How long one of them waits before it gets 503.")
INT(database, wait_ms, 50, 0, 10000, "ms",
    "How long a read waits for a replica to catch up before the primary is asked.")
INT(database, max_lag_bytes, 67108864, 0, 1099511627776, "bytes",
    "A replica further behind gets no reads while others can; 0: no limit.")
INT(database, max_lag_ms, 30000, 0, 86400000, "ms", "The same, in time; 0: no limit.")
INT(database, health_interval_ms, 5000, 100, 600000, "ms", "Between two questions to each server how it is.")
INT(database, health_timeout_ms, 2000, 10, 60000, "ms", "Until such a question counts as failed.")
INT(database, unhealthy_after, 3, 1, 100, "questions", "So many failed in a row, and the server gets no reads.")
INT(database, healthy_after, 2, 1, 100, "questions", "So many answered in a row, and it gets reads again.")
INT(database, breaker_failures, 5, 1, 1000, "reads",
    "So many failed in a row, and the server is left alone for a while.")
INT(database, breaker_pause_ms, 1000, 10, 600000, "ms", "For how long the first time; twice as long each time after.")
INT(database, breaker_pause_max_ms, 60000, 10, 3600000, "ms", "At most so long.")
INT(database, outlier_factor, 5, 0, 1000, "times",
    "A server so many times slower than the others is left alone too; 0: however slow it is.")
INT(database, outlier_min_ms, 50, 1, 60000, "ms", "But not if it is no slower than that.")
INT(database, stall_ms, 1000, 10, 60000, "ms",
    "A read without an answer for so long is sent to another server; this one gets no more if it answers nothing else either.")
INT(database, retry_percent, 10, 0, 100, "percent", "Of all reads, how many may be asked a second time.")
INT(database, connect_timeout_ms, 2000, 50, 60000, "ms", "Until a connection attempt is given up.")
INT(database, statement_timeout_ms, 2000, 10, 600000, "ms", "Until the server cancels one of our statements.")
INT(database, queue_max, 20000, 1, 1000000, "submissions",
    "Submissions waiting for the database, per loop; more get 503.")
INT(database, batch_max, 512, 1, 5000, "submissions", "Most submissions in one transaction.")
INT(database, reconnect_max_ms, 1000, 10, 60000, "ms", "Longest pause between two connection attempts.")
TEXT(redis, url, "redis://127.0.0.1:6379/0",
     "redis://[:password@]host:port[/db], unix:///path[?db=n], redis-cluster://host:port,... or "
     "redis-sentinel://host:port,.../name (docs/operations.md).")
LIST(redis, replicas,
     "Replicas that answer reads when they have all that the reader must see (docs/replicas.md): host:port, "
     "or the word sentinels for those that these know.")
INT(redis, command_timeout_ms, 250, 5, 60000, "ms",
    "How long Redis may answer no command at all before it counts as lost. While Redis answers other commands, the "
    "server gives up a command, and asks PostgreSQL, after four times as long.")
INT(redis, pending_max, 20000, 1, 1000000, "commands", "Commands in flight per loop; more go to PostgreSQL.")
INT(redis, reconnect_max_ms, 1000, 10, 60000, "ms", "Longest pause between two connection attempts.")
INT(limits, reads_in_flight, 512, 1, 1000000, "look-ups",
    "The most look-ups in Redis and PostgreSQL at a time, for each event loop. Each player of a list is a look-up, a "
    "page is a few. Further reads wait for their turn.")
INT(limits, game_percent, 50, 1, 100, "%", "The share of limits.reads_in_flight that one game may use.")
INT(limits, client_percent, 25, 1, 100, "%",
    "The share of limits.reads_in_flight that one API key may use. Requests without a key count as one client of "
    "their game.")
INT(limits, reads_waiting, 2000, 0, 1000000, "reads",
    "The most reads of one game that may wait for their turn, for each event loop; more get 503.")
INT(limits, reads_wait_ms, 1000, 1, 60000, "ms", "The longest time that a read waits for its turn; then it gets 503.")
INT(limits, query_anonymous, 20, 0, 100, "queries",
    "The most queries in one POST /query without an API key. With a key the limit is 100.")
INT(limits, unknown_lookups, 250, 0, 1000000, "look-ups a second",
    "The most look-ups a second that an event loop sends to PostgreSQL in vain: of boards for requests without an API "
    "key, and as many of API keys; four times as many of boards for requests with a key. More get 503. 0: no limit.")
INT(cache, l1_bytes, 67108864, 0, 68719476736, "bytes", "Memory for finished answers, per loop; 0 keeps none.")
TEXT(cache, l2_url, "", "Redis of the second cache (docs/caching.md); empty: that of the standings.")
INT(cache, closed_max_age_s, 3600, 0, 31536000, "s",
    "How long any HTTP cache may use a closed period's answer of a public board: so long an erased player may still be "
    "in it.")
INT(cache, l2_ttl_s, 3600, 0, 2592000, "s", "How long such a page is kept there, at most; 0 keeps none.")
INT(cache, statistics_ms, 1000, 0, 60000, "ms",
    "How long the numbers of a game or a player, and the hall of fame, may be kept: so old is what they lack of other "
    "servers' writes, at most, for requests without a token. 0 keeps none in memory.")
INT(cache, heartbeat_ms, 100, 10, 10000, "ms",
    "Between two proofs that changes are still heard; after three missed, memory is not trusted.")
INT(cache, board_ttl_ms, 1000, 0, 60000, "ms",
    "How long a loop uses its copy of a board's definition when no message says that the board has changed.")
INT(cache, key_ttl_ms, 1000, 0, 60000, "ms",
    "How long a loop uses its copy of an API key when no message says that the key was revoked.")
INT(worker, tail_busy_ms, 20, 1, 10000, "ms", "Pause between two looks at new events while there are some.")
TEXT(worker, listen, "127.0.0.1", "Where `ladder work` answers /healthz and /metrics (IPv4 or IPv6, numeric).")
INT(worker, port, 0, 0, 65535, "", "TCP port for that; 0: it does not listen.")
INT(worker, silent_after_ms, 15000, 1000, 86400000, "ms",
    "Without a sign of life of a worker for so long, serve reports itself degraded and raises an alert.")
INT(worker, tail_idle_ms, 200, 1, 60000, "ms", "The same while there are none.")
INT(worker, answer_timeout_ms, 10000, 100, 600000, "ms",
    "Until a PostgreSQL or Redis that says nothing is given up by what brings changes to Redis.")
INT(worker, tally_ms, 500, 10, 60000, "ms", "Pause between two additions of new events to the statistics.")
INT(worker, refresh_memory_mb, 256, 1, 65536, "MiB", "work_mem of a refresh of a materialized view.")
INT(worker, refresh_percent, 15, 1, 100, "percent",
    "Of one processor, what a refresh takes of PostgreSQL while it reads: it sleeps for the rest, ten seconds at most in "
    "one transaction. 100: it never sleeps.")
INT(worker, refresh_timeout_ms, 3600000, 1000, 86400000, "ms", "Until a refresh is given up, to be tried again later.")
INT(worker, partitions_ahead, 7, 1, 366, "days", "How far ahead partitions are made.")
INT(worker, event_retention_days, 400, 1, 36500, "days", "Score events older than this are dropped, by partition.")
INT(worker, tombstone_hours, 24, 1, 8760, "hours", "How long a removed entry's tombstone is kept.")
INT(worker, close_grace_ms, 5000, 0, 3600000, "ms",
    "After its end, how long a period still takes submissions that were on their way.")
INT(worker, backfill_grace_s, 600, 0, 31536000, "s",
    "How long a period that is made after its end, by an import of the past, takes submissions.")
INT(worker, snapshot_top, 1000, 0, 1000000, "players",
    "How many of the best a daily snapshot notes, besides those who moved since the last one.")
INT(worker, snapshot_retention_days, 400, 1, 36500, "days", "Daily snapshots older than this are dropped, by month.")
LIST(edge, servers,
     "HTTP caches in front of us that are told of changes: a URL and how (docs/caching.md); varnish+http://host:port "
     "is one.")
INT(edge, batch_ms, 100, 1, 60000, "ms", "Between two purges of one edge: what changes meanwhile goes in one.")
INT(edge, settle_ms, 2000, 0, 600000, "ms",
    "After a purge, until it is repeated for what was on its way to the edge just then.")
INT(edge, timeout_ms, 2000, 10, 60000, "ms", "Until a purge that is not answered is given up, to be tried again.")
INT(edge, retry_max_ms, 30000, 100, 3600000, "ms", "Longest pause between two tries.")
INT(webhook, timeout_ms, 5000, 100, 60000, "ms",
    "Until a game's server that does not answer a message is given up, to be tried again.")
INT(webhook, retry_max_s, 21600, 1, 86400, "s",
    "Longest pause between two tries; the first is 5 s, each next one four times as long.")
INT(webhook, give_up_h, 72, 0, 720, "hours", "After its period closed, how long a message is tried.")
BOOL(webhook, allow_private, false,
     "Whether messages may go to addresses of this machine and of private networks. Those who may set a game's URL "
     "reach them then.")
TEXT(log, level, "info", "debug, info, warn or error.")
