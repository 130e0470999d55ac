# shellcheck shell=bash
# lib.sh -- private servers for a load test: one PostgreSQL primary, one Redis, ladder serve and work, all under
# build/loadtest/NAME and gone when the test ends. Sourced by bash.
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"
ladder=$root/build/ladder

# build_release [FOLDER OPTION…]: build/ladder, as scripts/up builds it, or another one.
build_release() {
    local log=$root/build/loadtest/build.log build=${1:-$root/build}
    shift || true
    mkdir -p "$root/build/loadtest"
    step "building" "$log"
    [ -e "$build/build.ninja" ] || meson setup --buildtype=release "$@" "$build" "$root" >"$log" 2>&1 ||
        die "meson could not set the build up" "$log"
    ninja -C "$build" ladder >"$log" 2>&1 || die "the build failed" "$log"
    done_step ok
}

# servers_start NAME PACKAGE…: installs what is missing, builds (release), starts an empty service. Exports LADDER_*; sets
# api, the game's base URL, and key, an admin key of it. settings, if set, holds NAME=VALUE… for ladder's environment. With
# keep=1 the servers and their data outlive the script.
servers_start() {
    local name=$1 primary redis i
    shift
    run=$root/build/loadtest/$name
    mkdir -p "$root/build/loadtest"
    # shellcheck disable=SC2086
    { step "packages" "$root/build/loadtest/apt.log"; install_packages "$root/build/loadtest/apt.log" $build_packages python3 "$@"; done_step ok; }
    build_release

    step "PostgreSQL, Redis, ladder serve, ladder work"
    everything_stop "$run"
    remove_data "$run"
    mkdir -p "$run"
    [ -n "${keep:-}" ] || trap servers_stop EXIT
    trap 'exit 130' INT TERM
    primary=$(free_port)
    redis=$(free_port)
    printf 'redis=%s\n' "$redis" >"$run/ports"
    primary_start "$run" "$primary"
    redis_start "$run" "$redis"
    for i in "${!LADDER_@}"; do unset "$i"; done
    export LADDER_CONFIG=$root/config/ladder.yaml LADDER_SERVER_SECRET=a-secret-of-the-load-test LADDER_SERVER_PORT=0
    export LADDER_DATABASE_URL=postgresql://ladder@127.0.0.1:$primary/ladder LADDER_REDIS_URL=redis://127.0.0.1:$redis/0
    # shellcheck disable=SC2086
    [ -z "${settings:-}" ] || export $settings
    "$ladder" migrate up >"$run/migrate.log" 2>&1 || die "the migration failed" "$run/migrate.log"
    "$ladder" game create loadtest >/dev/null
    key=$("$ladder" key create --game loadtest --scope admin)
    for i in serve work; do
        setsid "$ladder" $i >>"$run/$i.log" 2>&1 </dev/null &
        echo $! >"$run/$i.pid"
        disown
    done
    ladder_wait "$run"
    api=$url/v1/games/loadtest
    done_step "under build/loadtest/$name"
}

servers_stop() {
    everything_stop "$run"
    remove_data "$run"
}

# call METHOD PATH [BODY]: one request to the API as the game's admin; prints the answer's body.
call() {
    curl -fsS -X "$1" -H "Authorization: Bearer $key" ${3:+-d "$3"} "$api$2"
}

sql() {
    "$pg_bin/psql" -qAtX "$LADDER_DATABASE_URL" -c "$1"
}

machine() {
    printf '%s, %s cores, %s GiB' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$(nproc)" \
        "$(awk '/^MemTotal/ {printf "%.0f", $2 / 1048576}' /proc/meminfo)"
}

# doc_write NAME FILE: puts the file between the marks of this name in docs/performance.md.
doc_write() {
    /usr/bin/python3 - "$root/docs/performance.md" "$1" "$2" <<'EOF'
import pathlib
import sys
path, name, source = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
begin, end = f"<!-- begin loadtest/{name} -->\n", f"<!-- end loadtest/{name} -->\n"
head, found, rest = path.read_text().partition(begin)
_, closed, tail = rest.partition(end)
if not (found and closed):
    sys.exit(f"{path} has no marks for {name}")
path.write_text(head + begin + source.read_text() + end + tail)
EOF
}
