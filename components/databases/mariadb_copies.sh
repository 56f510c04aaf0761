# Serves backups of this pod's server at COPY_PORT, one at a time, to who proves that it knows a follower's password. The
# container `copies` of Mariadb's pods runs it, and it runs itself for each connection.
#
# What the other side says is one line, which is compared with what it should be. Nothing of it is run, or is an argument.
set -euo pipefail
. /etc/dcmesh/settings/server.sh
. /etc/dcmesh/settings/backup.sh
socket=$run/mysqld.sock

if [ "${1-}" != answer ]; then
  for program in socat mbstream mariadb-backup; do
    if ! command -v "$program" >/dev/null; then
      # Not an end: the pod would not be ready, and its server runs.
      say "serves no backup: the image has no $program"
      trap exit TERM
      while sleep 1; do :; done
    fi
  done
  exec socat -b 262144 -T 300 "TCP-LISTEN:$COPY_PORT,reuseaddr,keepalive,fork,max-children=8" \
    "EXEC:bash /etc/dcmesh/settings/copies.sh answer"
fi

# How many sessions wait for the backup's lock, but for its own. A channel's has no INFO.
waiting() {
  timeout 3 mariadb --skip-ssl --socket="$socket" --skip-column-names --execute="$SESSION
    SELECT COUNT(*) FROM information_schema.PROCESSLIST
      WHERE STATE = 'Waiting for backup lock' AND IFNULL(INFO, '') NOT LIKE 'BACKUP %'" 2>/dev/null
}

# Ends a backup that keeps writers waiting, or whose server does not say: BACKUP. At its end it holds back commits, and
# would do so for as long as who receives it takes.
guard() {
  local waited=0
  while sleep 1 && kill -0 "$1" 2>/dev/null; do
    if [ "$(waiting)" = 0 ]; then waited=0; else waited=$((waited + 1)); fi
    [ "$waited" -ge 3 ] || continue
    say "ends a backup: writers wait for it, or the server does not answer" >&2
    kill -KILL "$1"
    return
  done
}

# Whether a line proves that a follower's password is known, which must be one: NUMBER LINE.
proved() {
  local user
  for user in replication replication_local; do
    [ -s "/etc/dcmesh/passwords/$user" ] && [ "$2" = "$(proof "$1" "$user")" ] && return
  done
  return 1
}

series
number=$(head -c 32 /dev/urandom | sha256sum)
number=${number:0:64}
echo "dcmesh-copy 1 $series $number"
LC_ALL=C IFS= read -r -n 100 -t 10 line || exit 0 # somebody asks whether this is there
if ! proved "$number" "$line"; then
  say "refuses a backup to who knows no follower's password" >&2
  echo refused
  exit 1
fi
exec 9>"$run/copies.lock" # whatever begins here has it until its end
if ! flock --nonblock 9 || [ "$(waiting)" != 0 ]; then
  echo busy
  exit 0
fi
bytes=$(du -sb --exclude='binlog.*' --exclude='relay.*' --exclude='ib_logfile*' "$data" 2>/dev/null) || true # files come and go
echo "bytes ${bytes%%$'\t'*}"
say "serves a backup" >&2
mkdir -p "$run/copies"
mariadb-backup --no-defaults --backup --stream=xbstream --user=mysql --socket="$socket" --target-dir="$run/copies" &
backup=$!
guard "$backup" >&2 &
guard=$!
trap 'kill -KILL "$backup" "$guard" 2>/dev/null || true' EXIT # both may have ended
wait "$backup"
: >"$run/copies/$COMPLETE"
(cd "$run/copies" && mbstream --create "$COMPLETE")
say "has served a backup" >&2
