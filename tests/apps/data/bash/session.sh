#!/bin/bash
# A tour through what bash asks of a kernel: fork, exec, pipes, waits, signals, redirection, job control.
set -u
echo "arguments: $# <$1>"

echo '--- pipelines and substitution'
seq 1 2000 | while read -r n; do echo $((n * n)); done | awk '{ s += $1 } END { print s }'
printf '%s\n' delta alpha charlie bravo | sort | tr '\n' ' '
echo
diff <(seq 1 5) <(seq 1 6) || echo "diff says $?"
echo "nested: $(echo "$(echo "$(echo deep)")")"
false | true
echo "pipe status: ${PIPESTATUS[*]}"
set -o pipefail
(exit 3) | cat
echo "pipefail: $?"

echo '--- here documents and redirection'
cat <<END
expanded $((6 * 7))
END
cat <<'END'
literal $((6 * 7))
END
exec 7>redirected
echo one >&7
echo two >&7
exec 7>&-
cat redirected
{ echo out; echo err >&2; } 2>&1 | sort
read -r first_line <redirected
echo "read: $first_line"
set -C
echo x 2>/dev/null >redirected || echo 'noclobber holds'
set +C

echo '--- arrays, arithmetic, patterns'
declare -A capital=([fr]=Paris [de]=Berlin [it]=Roma)
for key in fr de it; do printf '%s=%s ' "$key" "${capital[$key]}"; done
echo
list=({a..e})
echo "${list[@]:1:3} ${#list[@]} ${list[-1]}"
name=archive.tar.gz
echo "${name%%.*} ${name#*.} ${name/tar/zip} ${name^^}"
[[ $name =~ ^([a-z]+)\.(.*)$ ]] && echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"

echo '--- traps and signals'
count=0
trap 'count=$((count + 1))' USR1
for _ in 1 2 3 4 5; do
  kill -USR1 $$
done
echo "handled $count"
trap '' USR2
kill -USR2 $$
echo 'ignored USR2'
(trap 'echo "inner exit"' EXIT; exit 4)
echo "subshell: $?"
trap 'echo interrupted' INT
bash -c 'kill -INT '$$
trap - INT
timeout 0.2 sleep 20
echo "timeout: $?"

echo '--- background and job control'
for n in 1 2 3; do (sleep 0.0$n; exit $((n + 10))) & pids[n]=$!; done
for n in 1 2 3; do wait "${pids[n]}"; echo "child $n: $?"; done
sleep 60 &
kill %%
wait $! 2>/dev/null
echo "killed: $?"
set -m
sleep 60 &
job=$!
kill -STOP $job
while [ "$(ps -o stat= -p $job | cut -c1)" != T ]; do sleep 0.01; done
jobs -s | tr -s ' '
kill -CONT $job
kill -TERM $job
while kill -0 $job 2>/dev/null; do sleep 0.01; done # A wait that saw it stopped would say 128 + SIGSTOP.
wait $job 2>/dev/null
echo "stopped, continued, ended: $?"
set +m

echo '--- coprocess and named pipe'
coproc UPPER { tr -u a-z A-Z 2>/dev/null || while read -r line; do echo "${line^^}"; done; }
coprocess=$UPPER_PID
echo 'through the coprocess' >&"${UPPER[1]}"
read -r answer <&"${UPPER[0]}"
echo "$answer"
eval "exec ${UPPER[1]}>&-"
wait "$coprocess"
rm -f queue
mkfifo queue
(for n in 1 2 3; do echo "item $n"; done >queue) &
cat queue
wait

echo '--- many processes'
total=0
for n in $(seq 1 100); do total=$((total + $(echo "$n"))); done
echo "hundred substitutions: $total"
seq 1 40 | xargs -P 4 -I{} sh -c 'exit 0' && echo 'xargs is content'
ulimit -n 64
ulimit -n
umask 027
: >masked
stat -c %a masked
rm -f masked redirected queue
cd /usr/share && pwd -P
exec /bin/echo 'replaced by exec'
