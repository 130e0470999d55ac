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
test_packages="python3 python3-pytest python3-pytest-xdist python3-psycopg2 python3-redis python3-requests python3-jsonschema clang-format haproxy varnish nginx pgbouncer systemd iproute2 zstd"

# Nothing here is reached through a proxy; apt-get still is.
export no_proxy=127.0.0.1${no_proxy:+,$no_proxy} NO_PROXY=127.0.0.1${NO_PROXY:+,$NO_PROXY}

step_started=0
step() {
    step_started=$(date +%s%N)
    printf '%-44s' "$1"
}
done_step() {
    local ms=$((($(date +%s%N) - step_started) / 1000000))
    printf '%s (%d.%01d s)\n' "${1:-ok}" $((ms / 1000)) $((ms % 1000 / 100))
}
die() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || printf '%s ' "$package"
    done
}

# Installs what is missing, without starting any service or creating a PostgreSQL cluster.
install_packages() {
    local missing policy=/usr/sbin/policy-rc.d cluster=/etc/postgresql-common/createcluster.d/ladder.conf made_policy='' log
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || die "These packages are missing, and only root can install them: $missing"
    log=$(mktemp)
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
        made_policy=1
    fi
    mkdir -p "$(dirname $cluster)"
    echo 'create_main_cluster = false' >$cluster
    local status=0
    # shellcheck disable=SC2086
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1 || status=$?
    rm -f $cluster
    [ -z "$made_policy" ] || rm -f $policy
    [ $status = 0 ] || { tail -20 "$log" >&2; die "apt-get could not install: $missing"; }
    rm -f "$log"
}

# PostgreSQL does not run as root: as the user postgres then, as ourselves otherwise.
postgres_user=(env)
[ "$(id -u)" != 0 ] || postgres_user=(setpriv --reuid=postgres --regid=postgres --clear-groups --)
as_postgres() {
    "${postgres_user[@]}" "$@"
}

free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
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

stop_pid() {
    local file=$1 text=$2 signal=${3:-TERM} pid i
    if pid_is "$file" "$text"; then
        pid=$(head -1 "$file")
        kill -"$signal" "$pid" 2>/dev/null || true
        for ((i = 0; i < 150; i++)); do
            pid_is "$file" "$text" || break
            sleep 0.1
        done
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

# Waits for a server that may have to recover first: as long as it lives, and two minutes at most.
postgres_wait() {
    local port=$1 pid=$2 i
    for ((i = 0; i < 2400; i++)); do
        "$pg_bin/pg_isready" -q -h 127.0.0.1 -p "$port" -U ladder -d postgres && return 0
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

# Is a process at work in this data directory? Backends outlive a killed postmaster for a moment.
is_in_use() {
    local cwd
    for cwd in /proc/[0-9]*/cwd; do
        [ "$(readlink "$cwd" 2>/dev/null)" != "$1" ] || return 0
    done
    return 1
}

# postgres_start RUN NAME PORT: a server whose data directory exists.
postgres_start() {
    local run=$1 name=$2 port=$3 data i
    data=$(data_directory "$run")
    pid_is "$data/$name/postmaster.pid" "$data/$name" && return 0
    # Its lock files are in the way when the pid is a zombie or somebody else's by now; they may go once nobody is in there.
    for ((i = 0; i < 100; i++)); do
        is_in_use "$data/$name" || break
        sleep 0.1
    done
    ! is_in_use "$data/$name" || die "processes of an earlier PostgreSQL are still in $data/$name"
    rm -f "$data/$name/postmaster.pid" "$data/.s.PGSQL.$port.lock"
    # A plain command, not a function, and redirected whole: no shell stays behind that would hold our caller's pipe open.
    (cd "$data" && exec "${postgres_user[@]}" setsid "$pg_bin/postgres" -D "$data/$name" -p "$port" -k "$data" -c listen_addresses=127.0.0.1 \
        -c max_connections=200 -c shared_buffers=256MB -c max_wal_size=4GB -c checkpoint_timeout=15min -c wal_compression=lz4 \
        -c hot_standby_feedback=on -c max_standby_streaming_delay=10s -c deadlock_timeout=100ms -c jit=off \
        -c max_slot_wal_keep_size=4GB -c shared_preload_libraries=pg_stat_statements) >>"$data/$name.log" 2>&1 </dev/null &
    postgres_wait "$port" $! || { tail -5 "$data/$name.log" >&2; die "PostgreSQL ($name) did not start; its log: $data/$name.log"; }
}

# primary_start RUN PORT: a primary with the database ladder, made when it is not there.
primary_start() {
    local run=$1 primary=$2 data
    data=$(data_directory "$run")
    if [ ! -e "$data/primary/PG_VERSION" ]; then
        (cd "$data" && as_postgres "$pg_bin/initdb" -D "$data/primary" -U ladder -A trust -E UTF8 --locale=C.UTF-8 >"$run/initdb.log" 2>&1) ||
            { tail -5 "$run/initdb.log" >&2; die "initdb failed"; }
    fi
    postgres_start "$run" primary "$primary"
    if [ -z "$("$pg_bin/psql" -h 127.0.0.1 -p "$primary" -U ladder -d postgres -Atc "select 1 from pg_database where datname = 'ladder'")" ]; then
        "$pg_bin/createdb" -h 127.0.0.1 -p "$primary" -U ladder ladder
    fi
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
            { tail -5 "$run/basebackup.log" >&2; die "pg_basebackup failed"; }
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

redis_start() {
    local run=$1 port=$2 i
    pid_is "$run/redis.pid" "$(redis_command "$run")" && return 0
    mkdir -p "$run/redis"
    redis-server --bind 127.0.0.1 --port "$port" --daemonize yes --pidfile "$run/redis.pid" --logfile "$run/redis.log" \
        --dir "$run/redis" --save '' --appendonly no --maxmemory-policy noeviction --lazyfree-lazy-user-del yes >/dev/null
    for ((i = 0; i < 100; i++)); do
        redis-cli -p "$port" ping >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    die "Redis did not start; its log: $run/redis.log"
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
