#!/bin/sh
# Files, links, times, sparse regions and text through the utilities everybody has. Needs an empty current directory.
set -eu
umask 022

echo '--- create and copy'
mkdir -p tree/a/b/c && touch -d '2020-02-02 02:02:02' tree/a/old
seq 1 50000 >tree/numbers
ln -s ../numbers tree/a/link
ln tree/numbers tree/hard
mkfifo tree/pipe
cp -a tree copy
stat -c '%n %F %s %h %Y %a' copy/a/old
stat -c '%n %F %s %h %a' copy/hard copy/pipe
readlink copy/a/link
cmp tree/numbers copy/numbers && echo equal
install -m 750 tree/numbers installed && stat -c %a installed
mv installed moved && test ! -e installed && echo moved
rm -rf tree && test ! -e tree && echo removed

echo '--- sizes and holes'
truncate -s 64M sparse
printf end | dd of=sparse bs=1 seek=50000000 conv=notrunc status=none
stat -c '%s' sparse
cp --sparse=always sparse sparse2 && cmp sparse sparse2 && echo 'sparse copy equal'
test "$(stat -c %b sparse2)" -lt 1000 && echo 'still sparse'
dd if=/dev/zero of=block bs=4096 count=100 conv=fsync status=none && wc -c <block
fallocate -l 1M preallocated && stat -c %s preallocated
shred -n 1 -z -u block && test ! -e block && echo shredded
split -b 20000 -d copy/numbers part. && ls part.* | wc -l
cat part.* | cmp - copy/numbers && echo joined
csplit -s copy/numbers 1000 2000 && wc -l xx00 xx01 xx02

echo '--- text'
sort -R copy/numbers | sort -n --parallel=2 -S 1M | sha256sum
tac copy/numbers | head -n 2
tail -n 2 copy/numbers
cut -c1-2 copy/numbers | sort | uniq -c | sort -rn | head -n 3
paste -d, part.00 part.01 | head -n 1
join xx00 xx00 | wc -l
comm -12 xx00 xx01 | wc -l
tr -d '\n' <xx00 | md5sum
nl -ba xx00 | tail -n 1
fold -w 7 xx00 | wc -l
expand -t 3 xx01 | unexpand -a | wc -c
od -An -tx1 -N8 copy/numbers
base64 xx00 | base64 -d | cmp - xx00 && echo base64
shuf -i 1-100 | sort -n | cksum
numfmt --to=iec 123456789
date -u -d @1000000000 +%FT%TZ
tsort <<END
a b
b c
END
printf '3\n1\n2\n' | sort -c 2>/dev/null || echo unsorted
seq 10 | tee t1 t2 >/dev/null && cmp t1 t2 && echo tee
b2sum t1 | cut -c1-16
sha512sum t1 t2 >sums && sha512sum -c sums

echo '--- trees'
mkdir -p forest && (cd forest && for i in 1 2 3 4 5 6 7 8 9; do mkdir -p "d$i/e$i" && echo "$i" >"d$i/e$i/f$i"; done)
find forest -type f -name 'f[1-5]' -printf '%P %s\n' | sort
find forest -type f -print0 | xargs -0 -P 4 -n 2 cat | sort | tr '\n' ' '
echo
find forest -name 'f9' -exec rm {} +
find forest -depth -empty -type d -delete
du -s --apparent-size -B1 forest/d1/e1/f1 | cut -f1
ls -R forest | sha256sum
ls -ln copy/a | awk 'NR > 1 { print $1, $2, $NF }'
chmod -R u=rwX,go= forest && stat -c %a forest/d1 forest/d1/e1/f1
touch -r copy/a/old forest/d1/e1/f1 && stat -c %Y forest/d1/e1/f1
realpath --relative-to=forest/d1 forest/d2/e2

echo '--- processes'
timeout 0.1 sleep 5 || echo "timeout $?"
timeout -s KILL 0.1 sleep 5 2>/dev/null || echo "timeout by kill $?"
nice -n 5 nice
env -i A=1 B=2 env
env FOO=bar sh -c 'echo $FOO'
nohup true >/dev/null 2>&1 && echo nohup
(sleep 0.1; echo late >>growing) & writer=$!
: >growing
tail -f --pid=$writer growing
wait
stdbuf -oL echo buffered
chroot / /bin/echo chrooted 2>/dev/null || echo 'no chroot for this user'
setsid -w sh -c 'echo session'
flock forest/lock sh -c 'flock -n forest/lock true || echo held'
yes 2>/dev/null | head -n 100000 | wc -l
sync copy/numbers && echo synced
mktemp -u XXXXXXXX | wc -c
