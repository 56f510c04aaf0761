# Fetches a backup of what this pod follows, if it has no data, and makes data of it. The init container `fetch` of Mariadb's
# pods runs it, before `prepare` makes a replica of them. Where there is no backup to be had, `prepare` takes a dump.
#
# Whatever the other side sends stays in one directory, which is all that this container can write to. What is interrupted
# half-way is thrown away and begun again.
set -euo pipefail
. /etc/dcmesh/settings/server.sh
. /etc/dcmesh/settings/source.sh
. /etc/dcmesh/settings/backup.sh
copy=/incoming/copy received=/incoming/received log=/incoming/log
STALLED=300 # seconds without a byte, after which a copy is begun again
ALONE=30 # seconds for which a server is there and no backup is served, after which a dump is taken

trap "" PIPE # of a source that has hung up
trap "exit 143" TERM

take_dump() { say "takes a dump of $SOURCE_HOST: $*"; exit 0; }

# Whether the source's server is there: it speaks first.
server_answers() (
  exec 2>/dev/null 4<>"/dev/tcp/$SOURCE_HOST/$SOURCE_PORT" && LC_ALL=C read -r -n 1 -t 5 -u 4
)

# Connects, as descriptor 3, and asks for a backup: sets `total`, how many bytes it has about. Fails with why in `answer`: by 2
# if no backup is served there.
connect() {
  local greeting= LC_ALL=C
  answer="no backup is served there: is its firstCopy: backup?"
  exec 3>&-
  { exec 3<>"/dev/tcp/$SOURCE_HOST/$SOURCE_COPY_PORT"; } 2>/dev/null || return 2
  IFS= read -r -n 100 -t 10 -u 3 greeting || return 2
  [[ $greeting =~ ^dcmesh-copy\ 1\ ([0-9]{1,2}\.[0-9]{1,2})\ ([0-9a-f]{64})$ ]] || return 2
  alone=0
  [ "${BASH_REMATCH[1]}" = "$series" ] ||
    take_dump "it is MariaDB ${BASH_REMATCH[1]}, and only ${BASH_REMATCH[1]} can read its backups"
  proof "${BASH_REMATCH[2]}" "$user" >&3 || return 1
  answer="it does not answer"
  IFS= read -r -n 40 -t 60 -u 3 greeting || return 1
  case $greeting in
  busy) answer="it serves another one" ;;
  refused) answer="it does not know the password of $user" ;;
  *)
    [[ $greeting =~ ^bytes\ ([1-9][0-9]{0,14})$ ]] || { answer="it says what cannot be" && return 1; }
    total=${BASH_REMATCH[1]}
    return
    ;;
  esac
  return 1
}

# Receives what comes at descriptor 3, and says how far it is. Fails if that is not a whole backup.
receive() {
  local receiver began=$SECONDS moved=$SECONDS bytes=0 before=0 rate left
  mbstream --extract --directory="$received" <&3 &
  receiver=$!
  trap 'kill "$receiver"; exit 143' TERM
  while sleep 1 && kill -0 "$receiver" 2>/dev/null; do
    [ $((SECONDS - began)) -gt 0 ] && [ $(((SECONDS - began) % 5)) = 0 ] || continue
    bytes=$(du -sb "$received" 2>/dev/null) || continue # a file that is just renamed
    bytes=${bytes%%$'\t'*}
    if [ "$bytes" != "$before" ]; then
      moved=$SECONDS before=$bytes
      rate=$((bytes / (SECONDS - began) + 1)) left=$((total > bytes ? total - bytes : 0))
      say "copies $SOURCE_HOST: $((bytes >> 20)) of about $((total >> 20)) MiB, $((rate >> 20)) MiB/s," \
        "about $((left / rate)) s left"
    else
      say "copies $SOURCE_HOST: nothing came for $((SECONDS - moved)) s"
      if [ $((SECONDS - moved)) -gt "$STALLED" ]; then kill "$receiver"; fi
    fi
  done
  wait "$receiver" || true # which is no failure of a stream that is cut: the last file tells
  trap "exit 143" TERM
  [ -e "$received/$COMPLETE" ]
}

# Ends this, if that is why a copy has failed, and leaves the volume as empty as it was.
require_room() {
  [ "$(df --output=avail /incoming | tail -n 1)" -lt 16384 ] || return 0
  rm -rf "$received" "$log"
  fail "cannot copy $SOURCE_HOST: the volume here is full: it needs a larger storage.size"
}

# Makes data of what was received.
restore() {
  local position
  # Of what the source says of its files only their form counts: no plugin, and no path.
  sed -nEi '/^\[mysqld\]$|^innodb_[a-z_]+=[A-Za-z0-9_.:;]*$/p' "$received/backup-my.cnf"
  [ -z "$(find "$received" -name '*.isl')" ] ||
    fail "cannot copy $SOURCE_HOST by a backup: a table there has a DATA DIRECTORY. Remove that, or set firstCopy: dump"
  mariadb-backup --prepare --target-dir="$received" --tmpdir="$received" >"$log" 2>&1 &
  wait $! || # not in the foreground, where a trap would have to wait
    { tail -n 20 "$log" && require_room && fail "cannot prepare the copy of $SOURCE_HOST: see the log, or set firstCopy: dump"; }
  position=$(cat "$received"/xtrabackup_binlog_info "$received"/mariadb_backup_binlog_info 2>/dev/null || true)
  [[ $position =~ ^[^$'\t']+$'\t'[0-9]+$'\t'([0-9,-]*)$ ]] || fail "the copy of $SOURCE_HOST does not say up to where it is"
  position=${BASH_REMATCH[1]}
  rm "$log" "$received/backup-my.cnf" "$received/$COMPLETE"
  # Files alone: a database may have such a name.
  find "$received" -maxdepth 1 -type f "(" -name "xtrabackup_*" -o -name "mariadb_backup_*" ")" -delete
  echo "$series.0-MariaDB" >"$received/mysql_upgrade_info" # as MariaDB notes it, and leaves out of a backup
  echo "$position" >"$received/$PREPARED"
  sync -f "$received" # or after a power failure the name may be there, and not what the files hold
  mv "$received" "$copy"
}

for there in /var/lib/mysql/prepared "/var/lib/mysql/data/$PREPARED" "$copy"; do
  [ ! -e "$there" ] || exit 0
done
if [ "$PRIMARY" = "$SITE" ]; then
  # Here, and not in `prepare` alone: an init container that has ended is not run again when the roles have changed.
  [ ! -e /etc/dcmesh/role/begun ] || [ -z "$switchable" ] || lost
  exit 0
fi
[ "$SOURCE_COPY_PORT" ] || take_dump "its export has no port for backups"
for program in mbstream mariadb-backup; do
  command -v "$program" >/dev/null || take_dump "the image has no $program"
done
series
said= alone=0 total=0 answer= cut=0
while :; do
  rm -rf "$received" # if that fails, this ends: what is left is no backup
  failed=0
  connect || failed=$?
  if [ "$failed" = 0 ]; then
    say "copies $SOURCE_HOST: about $((total >> 20)) MiB"
    mkdir "$received"
    ! receive || break
    require_room
    cut=$((cut + 1))
    answer="what came was cut off, and is begun again; so far $cut times. If the connection is well, the log of copies in \
the source's pod says why"
  elif [ "$failed" = 2 ] && server_answers; then
    alone=$((alone + 1))
    [ "$alone" -lt "$ALONE" ] || take_dump "$answer"
  fi
  [ "$answer" = "$said" ] || say "waits for a backup of $SOURCE_HOST: $answer"
  said=$answer
  sleep $((cut < 60 ? cut + 1 : 60)) & # for the source's sake
  wait $!
done
say "prepares the copy of $SOURCE_HOST"
restore
say "has copied $SOURCE_HOST"
