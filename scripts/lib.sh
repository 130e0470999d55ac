# shellcheck shell=bash disable=SC2034
# lib.sh -- what scripts/up, scripts/down and scripts/test share. Sourced by bash.
#
# Servers are private: their data, sockets, logs and pid files are under one run directory, their ports are free ones
# on loopback. The machine's own services are neither started, stopped nor changed.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pg_bin=/usr/lib/postgresql/15/bin
build_packages="gcc meson ninja-build pkg-config libmicrohttpd-dev libpq-dev libhiredis-dev libjansson-dev libyaml-dev libev-dev
 libsodium-dev libcmocka-dev uthash-dev libcurl4-openssl-dev zlib1g-dev libzstd-dev libbrotli-dev libxxhash-dev libgmp-dev redis-server redis-tools postgresql-15
 postgresql-client-15 curl ca-certificates python3-yaml"
test_packages="python3 python3-pytest python3-pytest-xdist python3-psycopg2 python3-redis python3-requests python3-jsonschema clang-format haproxy varnish nginx pgbouncer systemd iproute2 zstd nftables libfaketime strace npm postgresql-15-cron"

# Nothing here is reached through a proxy; apt-get still is.
export no_proxy=127.0.0.1${no_proxy:+,$no_proxy} NO_PROXY=127.0.0.1${NO_PROXY:+,$NO_PROXY}

# shellcheck source=scripts/steps.sh
. "$root/scripts/steps.sh"

# missing_packages PACKAGE…: those that are not installed. npm is not missing where the command is there: Node.js from elsewhere
# brings its own and conflicts with Debian's package.
missing_packages() {
    local package
    for package in "$@"; do
        [ "$package" != npm ] || ! command -v npm >/dev/null || continue
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || printf '%s ' "$package"
    done
}

# install_packages LOG PACKAGE…: installs what is missing, without starting any service or creating a PostgreSQL cluster.
install_packages() {
    local missing policy=/usr/sbin/policy-rc.d cluster=/etc/postgresql-common/createcluster.d/ladder.conf made_policy='' log=$1
    shift
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || die "These packages are missing, and only root can install them: $missing"
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
        made_policy=1
    fi
    mkdir -p "$(dirname $cluster)"
    echo 'create_main_cluster = false' >$cluster
    local status=0
    # Another apt-get at work is waited for.
    # shellcheck disable=SC2086
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $missing; } >"$log" 2>&1 || status=$?
    rm -f $cluster
    [ -z "$made_policy" ] || rm -f $policy
    [ $status = 0 ] || die "apt-get could not install these packages: $missing" "$log"
}

# PostgreSQL does not run as root: as the user postgres then, as ourselves otherwise.
postgres_user=(env)
[ "$(id -u)" != 0 ] || postgres_user=(setpriv --reuid=postgres --regid=postgres --clear-groups --)
as_postgres() {
    "${postgres_user[@]}" "$@"
}

# A port that nobody has, and that no outgoing connection gets either before it is used.
free_port() {
    /usr/bin/python3 -c '
import random, socket
while True:
    port = random.randrange(18000, 32000)
    try:
        with socket.socket() as s:
            s.bind(("127.0.0.1", port))
        print(port)
        break
    except OSError:
        pass'
}

# Is the process in this pid file alive, and does its command line hold this text? The text must tell ours from another
# checkout's: a pid outlives its process, and then it may be anybody's.
pid_is() {
    local file=$1 text=$2 pid command
    [ -s "$file" ] || return 1
    pid=$(head -1 "$file" 2>/dev/null)
    command=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
    [[ $command == *"$text"* ]]
}

redis_command() {
    printf 'redis-server 127.0.0.1:%s ' "$(sed -n 's/^redis=//p' "$1/ports" 2>/dev/null)"
}

is_not() {
    ! "$@"
}

# Ends a process of ours, and waits until it has ended. One that does nothing any more is killed.
stop_pid() {
    local file=$1 text=$2 signal=${3:-TERM} pid stall_seconds=60
    if pid_is "$file" "$text"; then
        pid=$(head -1 "$file")
        kill -"$signal" "$pid" 2>/dev/null || true
        wait_for "$pid" "" is_not pid_is "$file" "$text" || true
        if pid_is "$file" "$text"; then kill -KILL "$pid" 2>/dev/null || true; fi
    fi
    rm -f "$file"
}

# Where PostgreSQL's data go: under the run directory, or under /tmp with a link, when the user postgres can't reach it
# or the path is too long for a Unix socket in it (107 bytes with the socket's name).
data_directory() {
    local run=$1 data=$1/postgresql
    if [ ! -e "$data" ]; then
        mkdir -p "$data"
        [ "$(id -u)" != 0 ] || chown postgres "$data"
        if [ ${#data} -gt 85 ] || ! as_postgres test -w "$data"; then
            rmdir "$data"
            ln -s "$(mktemp -d /tmp/ladder-data.XXXXXX)" "$data"
            [ "$(id -u)" != 0 ] || chown postgres "$(readlink "$data")"
        fi
    fi
    readlink -f "$data"
}

remove_data() {
    local run=$1
    [ ! -L "$run/postgresql" ] || rm -rf "$(readlink "$run/postgresql")"
    rm -rf "$run"
}

postgres_is_ready() {
    "$pg_bin/pg_isready" -q -h 127.0.0.1 -p "$1" -U ladder -d postgres
}

# A process that is at work in this data directory, if there is one. Backends outlive a killed postmaster for a moment.
user_of() {
    local cwd pid
    for cwd in /proc/[0-9]*/cwd; do
        [ "$(readlink "$cwd" 2>/dev/null)" = "$1" ] || continue
        pid=${cwd#/proc/}
        echo "${pid%/cwd}"
        return 0
    done
}

# postgres_start RUN NAME PORT: a server whose data directory exists.
postgres_start() {
    local run=$1 name=$2 port=$3 data pid
    data=$(data_directory "$run")
    if pid_is "$data/$name/postmaster.pid" "$data/$name"; then
        pid=$(head -1 "$data/$name/postmaster.pid") # it may still be starting
        wait_for "$pid" "$data/$name.log" postgres_is_ready "$port" || die "PostgreSQL ($name) runs as process $pid and does not answer" "$data/$name.log"
        return 0
    fi
    # Its lock files are in the way when the pid is a zombie or somebody else's by now; they may go once nobody is in there.
    # Processes of a PostgreSQL that was killed notice it and end, as fast as the machine lets them.
    while pid=$(user_of "$data/$name") && [ -n "$pid" ]; do
        wait_for "$pid" "" is_not is_running "$pid" || ! is_running "$pid" || die "process $pid of an earlier PostgreSQL is still at work in $data/$name"
    done
    rm -f "$data/$name/postmaster.pid" "$data/.s.PGSQL.$port.lock"
    # A plain command, not a function, and redirected whole: no shell stays behind that would hold our caller's pipe open.
    (cd "$data" && exec "${postgres_user[@]}" setsid "$pg_bin/postgres" -D "$data/$name" -p "$port" -k "$data" -c listen_addresses=127.0.0.1 \
        -c max_connections=200 -c shared_buffers=256MB -c max_wal_size=4GB -c checkpoint_timeout=15min -c wal_compression=lz4 \
        -c hot_standby_feedback=on -c max_standby_streaming_delay=10s -c deadlock_timeout=100ms -c jit=off \
        -c max_slot_wal_keep_size=4GB -c shared_preload_libraries=pg_stat_statements) >>"$data/$name.log" 2>&1 </dev/null &
    # It may have to recover first.
    wait_for $! "$data/$name.log" postgres_is_ready "$port" || die "PostgreSQL ($name) did not start" "$data/$name.log"
}

# primary_start RUN PORT: a primary with the database ladder, made when it is not there.
primary_start() {
    local run=$1 primary=$2 data
    data=$(data_directory "$run")
    if [ ! -e "$data/primary/PG_VERSION" ]; then
        (cd "$data" && as_postgres "$pg_bin/initdb" -D "$data/primary" -U ladder -A trust -E UTF8 --locale=C.UTF-8 >"$run/initdb.log" 2>&1) ||
            die "initdb could not create the primary's data directory" "$run/initdb.log"
    fi
    postgres_start "$run" primary "$primary"
    if [ -z "$("$pg_bin/psql" -h 127.0.0.1 -p "$primary" -U ladder -d postgres -Atc "select 1 from pg_database where datname = 'ladder'")" ]; then
        "$pg_bin/createdb" -h 127.0.0.1 -p "$primary" -U ladder ladder
    fi
    # What `ladder db slow` reads.
    "$pg_bin/psql" -q -h 127.0.0.1 -p "$primary" -U ladder -d ladder -v ON_ERROR_STOP=1 -c \
        "set client_min_messages = warning; create extension if not exists pg_stat_statements"
}

# databases_start RUN PRIMARY_PORT REPLICA_PORT
databases_start() {
    local run=$1 primary=$2 replica=$3 data
    primary_start "$run" "$primary"
    data=$(data_directory "$run")
    if [ ! -e "$data/replica/PG_VERSION" ]; then
        "$pg_bin/psql" -q -h 127.0.0.1 -p "$primary" -U ladder -d postgres -Atc \
            "select pg_create_physical_replication_slot('replica') where not exists (select from pg_replication_slots where slot_name = 'replica')" >/dev/null
        rm -rf "$data/replica"
        (cd "$data" && as_postgres "$pg_bin/pg_basebackup" -h 127.0.0.1 -p "$primary" -U ladder -D "$data/replica" -R -S replica -c fast >"$run/basebackup.log" 2>&1) ||
            die "pg_basebackup could not copy the primary for the replica" "$run/basebackup.log"
    else
        # The primary's port may be another one this time.
        as_postgres sed -i "s/port=[0-9]*/port=$primary/" "$data/replica/postgresql.auto.conf"
    fi
    postgres_start "$run" replica "$replica"
}

# logins_make PORT: after the first migration, which makes the roles: the users as whom the programs log in.
logins_make() {
    local login psql=("$pg_bin/psql" -q -h 127.0.0.1 -p "$1" -U ladder -d ladder -v ON_ERROR_STOP=1 -At)
    for login in serve:ladder_app work:ladder_worker; do
        "${psql[@]}" -c "do \$\$ begin create role ladder_${login%%:*} login in role ${login#*:}; exception when duplicate_object then null; end \$\$"
    done
}

redis_answers() {
    [ "$(redis-cli -p "$1" ping 2>/dev/null)" = PONG ]
}

redis_start() {
    local run=$1 port=$2
    pid_is "$run/redis.pid" "$(redis_command "$run")" && return 0
    mkdir -p "$run/redis"
    setsid redis-server --bind 127.0.0.1 --port "$port" --logfile "$run/redis.log" \
        --dir "$run/redis" --save '' --appendonly no --maxmemory-policy noeviction --lazyfree-lazy-user-del yes >/dev/null 2>&1 </dev/null &
    echo $! >"$run/redis.pid"
    disown
    wait_for "$(cat "$run/redis.pid")" "$run/redis.log" redis_answers "$port" || die "Redis did not start" "$run/redis.log"
}

# ladder_wait RUN [URL]: until ladder serve and ladder work, whose pids are in RUN, say that they are ready; sets url. Without
# a URL, serve's log says where it listens. Fails when one has ended, or when for $stall_seconds neither their logs nor their
# answer has changed.
ladder_wait() {
    local run=$1 answer='' state before='' since=$SECONDS name
    url=${2:-}
    while :; do
        [ -n "${2:-}" ] || url=http://127.0.0.1:$(sed -n 's/.*event=listening.* port=\([0-9]*\).*/\1/p' "$run/serve.log" | head -1)
        answer=$(curl -s --max-time 30 "$url/readyz" 2>/dev/null || true)
        [[ $answer != *'"status":"ok"'* ]] || return 0
        for name in serve work; do
            is_running "$(cat "$run/$name.pid")" || die "ladder $name ended before it was ready" "$run/$name.log"
        done
        state="$answer $(stat -c %s "$run/serve.log" "$run/work.log")"
        if [ "$state" != "$before" ]; then
            before=$state
            since=$SECONDS
        elif ((SECONDS - since > stall_seconds)); then
            die "ladder does not become ready; /readyz answers: ${answer:-nothing}" "$run/serve.log" "$run/work.log"
        fi
        sleep 0.1
    done
}

# A port that an earlier run had, if it is still free.
kept_port() {
    local file=$1/ports name=$2 port
    port=$(sed -n "s/^$name=//p" "$file" 2>/dev/null || true)
    if [ -z "$port" ] || ! /usr/bin/python3 -c 'import socket, sys; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1])))' "$port" 2>/dev/null; then
        port=$(free_port)
    fi
    printf '%s' "$port"
}

everything_stop() {
    local run=$1 data
    stop_pid "$run/serve.pid" "$root/build/ladder serve"
    stop_pid "$run/work.pid" "$root/build/ladder work"
    stop_pid "$run/redis.pid" "$(redis_command "$run")"
    [ -e "$run/postgresql" ] || return 0
    data=$(readlink -f "$run/postgresql")
    stop_pid "$data/replica/postmaster.pid" "$data/replica" INT
    stop_pid "$data/primary/postmaster.pid" "$data/primary" INT
}
