# shellcheck shell=bash
# steps.sh -- how the scripts show what they do, wait, and fail. Sourced by lib.sh, which sets $root.
#
#   step "building" ninja.log     prints the title, and from now on how far the step is: on a terminal a line that changes,
#   …                             elsewhere a line every 15 seconds. What is shown is the end of the log.
#   done_step ok                  prints the result and how long it took
#
# A step that fails calls `die SENTENCE [LOG]`. A command that fails without one ends the script the same way.

progress_interval=${LADDER_PROGRESS_INTERVAL:-15}
step_watcher=""
step_title=""

# The last line of a log, short. Of ninja's "[12/236] Compiling …": how many of how many.
log_tail() {
    local line
    [ -s "$1" ] || return 0
    line=$(tail -c 400 "$1" 2>/dev/null | tr '\r' '\n' | sed '/^[[:space:]]*$/d' | tail -1)
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] && line="${BASH_REMATCH[1]} of ${BASH_REMATCH[2]}"
    printf '%.60s' "$line"
}

# Runs beside a step until it is killed, or the script is gone.
step_watch() {
    local title=$1 log=$2 shown=0 seconds
    trap - EXIT ERR
    SECONDS=0
    while kill -0 $$ 2>/dev/null; do
        seconds=$SECONDS
        if [ -t 1 ]; then
            ((seconds == 0)) || printf '\r\e[K%-44s%s' "$title" "$seconds s $(log_tail "$log")"
        elif ((seconds >= shown + progress_interval)); then
            shown=$seconds
            printf '\n    %-40s' "$seconds s $(log_tail "$log")"
        fi
        sleep 1
    done
}

step() {
    step_started=$(date +%s%N)
    step_title=$1
    [ -z "${2:-}" ] || : >"$2"
    printf '%-44s' "$1"
    step_watch "$1" "${2:-}" &
    step_watcher=$!
}

step_stop() {
    [ -n "$step_watcher" ] || return 0
    kill "$step_watcher" 2>/dev/null || true
    wait "$step_watcher" 2>/dev/null || true
    step_watcher=
}

done_step() {
    local ms=$((($(date +%s%N) - step_started) / 1000000))
    step_stop
    [ ! -t 1 ] || printf '\r\e[K%-44s' "$step_title"
    printf '%s (%d.%01d s)\n' "${1:-ok}" $((ms / 1000)) $((ms % 1000 / 100))
    step_title=
}

# die SENTENCE [LOG…]: what happened, where to look, what to do. The end of each log is printed.
die() {
    local sentence=$1 log
    step_stop
    trap - ERR
    shift
    printf '\n' >&2
    for log in "$@"; do
        [ ! -s "$log" ] || { printf -- '--- the end of %s\n' "$log" && tail -15 "$log"; } >&2
    done
    printf '%s: %s\n' "$0" "$sentence" >&2
    [ $# = 0 ] || printf 'Look at: %s\n' "$*" >&2
    printf '%s can be run again at any time; it continues with what is there.\n' "$0" >&2
    exit 1
}

usage() {
    printf 'usage: %s\n' "$1" >&2
    exit 2
}

trap step_stop EXIT
set -E
# A subshell's failure is its caller's too, which says so once. Without `set -e` a command may fail.
[[ $- != *e* ]] || trap '[ "$BASH_SUBSHELL" != 0 ] || die "the command \`${BASH_COMMAND}\` failed (${BASH_SOURCE[0]##*/}, line $LINENO)${step_title:+, in the step \"$step_title\"}"' ERR

# ---- waiting ----

# What a process has done so far: processor time of it and its children, and the size of its log. As long as this changes, it works.
work_done() {
    local pid=$1 log=${2:-} child stat total=0
    # shellcheck disable=SC2013
    for child in $pid $(cat "/proc/$pid/task/$pid/children" 2>/dev/null); do
        stat=$(cat "/proc/$child/stat" 2>/dev/null) || continue
        # shellcheck disable=SC2086
        set -- ${stat##*) }
        total=$((total + ${12} + ${13} + ${14} + ${15}))
    done
    printf '%s %s' "$total" "$(stat -c %s "$log" 2>/dev/null)"
}

is_running() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    [ "${stat%% *}" != Z ]
}

# wait_for PID LOG COMMAND…: until the command succeeds. Fails when the process has ended, or has done nothing at all for
# $stall_seconds: how fast the machine is does not matter.
stall_seconds=${LADDER_STALL_SECONDS:-300}
wait_for() {
    local pid=$1 log=$2 before now since=$SECONDS
    shift 2
    before=$(work_done "$pid" "$log")
    until "$@" >/dev/null 2>&1; do
        # The last thing that it did may have been what is waited for.
        is_running "$pid" || "$@" >/dev/null 2>&1 || return 1
        now=$(work_done "$pid" "$log")
        if [ "$now" != "$before" ]; then
            before=$now
            since=$SECONDS
        elif ((SECONDS - since > stall_seconds)); then
            return 1
        fi
        sleep 0.1
    done
}
