# shellcheck shell=bash
# What every case begins with: strict mode, the prefix that puts a program under the runtime, servers that end with
# the case. A case prints only what must be equal natively and under the runtime; all else goes to standard error.
#
#   "${run[@]}" PROGRAM ARGS...     PROGRAM natively in the first pass, under the runtime in the second
#   start NAME PROGRAM ARGS...      the same as a background server; output in $WORK/NAME.log, pid in ${pid[NAME]}
#   stop NAME [SIGNAL]              asks it to end (default TERM), waits, prints "NAME ended with STATUS"
#   check_under_runtime PID         in the second pass: PID and its descendants run under the runtime (stop does it too)
#   wait_for SECONDS COMMAND...     until COMMAND succeeds; fails the case otherwise
#   at_exit                         defined by a case: called at its end, however it ends
#   free_port                       prints a TCP port of 127.0.0.1 that was free a moment ago
set -euo pipefail
shopt -s inherit_errexit

: "${WORK:?}" "${BUILD:?}" "${DATA:?}" "${MODE:?}"
read -r -a run <<<"${RUN:-}"
[ "${#run[@]}" -gt 0 ] || run=(env --) # So that "${run[@]}" is a command in both passes.
declare -A pid=()
cd "$WORK"

note() { printf '%s\n' "$*" >&2; }

fail() {
  note "$CASE: $*"
  exit 1
}

start() {
  local name=$1
  shift
  "${run[@]}" "$@" >>"$WORK/$name.log" 2>&1 &
  pid[$name]=$!
}

# A program that escapes the runtime behaves natively, so no comparison could find it: look at what really runs.
check_under_runtime() {
  [[ ${RUN%% *} == */casemate ]] || return 0
  local image child
  image=$(readlink "/proc/$1/exe") || return 0 # It has just ended.
  [[ $image == */casemate-runtime ]] || fail "process $1 ($(cat "/proc/$1/comm")) runs natively: $image"
  for child in $(ps -o pid= --ppid "$1"); do
    check_under_runtime "$child"
  done
}

stop() {
  local name=$1 signal=${2:-TERM} status=0
  check_under_runtime "${pid[$name]}"
  kill -"$signal" "${pid[$name]}"
  wait "${pid[$name]}" || status=$?
  unset "pid[$name]"
  printf '%s ended with %s\n' "$name" "$status"
}

wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "waited in vain for: $*"
    sleep 0.05
  done
}

free_port() {
  /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

cleanup() {
  local status=$? name
  trap - EXIT
  if declare -F at_exit >/dev/null; then
    at_exit >/dev/null 2>&1 || true
  fi
  for name in "${!pid[@]}"; do
    kill -KILL "${pid[$name]}" 2>/dev/null || true
    if [ "$status" -ne 0 ] && [ -f "$WORK/$name.log" ]; then
      note "--- the end of $name.log:"
      tail -n 15 "$WORK/$name.log" >&2
    fi
  done
  wait 2>/dev/null || true
  exit "$status"
}
trap cleanup EXIT
