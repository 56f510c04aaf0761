# Prepares a pod's server before it starts: its data, its own options, and what it does at each start.
# The init container of Mariadb's pods runs it, beside a sidecar, so hosts of other sites can be reached.
#
# Data are made once. The primary's are new; a replica's are a copy of what it follows: a backup that mariadb_fetch.sh has
# fetched, or a dump by the connection that replication uses. A dump that is interrupted is thrown away and begun again.
set -euo pipefail
. /etc/dcmesh/settings/server.sh
. /etc/dcmesh/settings/source.sh
. /etc/dcmesh/settings/backup.sh
done=/var/lib/mysql/prepared upgrading=/var/lib/mysql/upgrading socket=$run/private.sock
incoming=/var/lib/mysql/incoming # where mariadb_fetch.sh puts what it fetches, and data of a backup as `copy`
# Data without a row are an older dcmesh's: their server stays what it was.
was=$PRIMARY
if [ "$switchable" ] && [ -e "$done" ]; then
  was=$SITE
  [ ! -e "$data/master.info" ] || was=$SOURCE_SITE
fi

# Between quotes their characters need no escape: config.kinds.Password. Without one nothing is started.
root_password=$(cat /etc/dcmesh/passwords/root)
replication_password=$(cat /etc/dcmesh/passwords/replication)
local_password=$(cat /etc/dcmesh/passwords/replication_local)
source_password=$(cat "/etc/dcmesh/passwords/$user")

umask 077
{
  echo "!include /etc/dcmesh/settings/server.cnf"
  echo "[mariadbd]"
  echo "server_id=$((SERVER_IDS + ordinal))"
  echo "report_host=$POD.$DOMAIN"
  echo "read_only=1" # until it is sure that this server is the primary
} >"$run/server.cnf"
# Without TLS, which the sidecars do: a newer client would refuse a server that has none.
printf '[client]\nhost=%s\nport=%s\nuser=%s\npassword="%s"\nskip-ssl\n' \
  "$SOURCE_HOST" "$SOURCE_PORT" "$user" "$source_password" >"$run/source.cnf"

follow="CHANGE MASTER TO MASTER_HOST='$SOURCE_HOST', MASTER_PORT=${SOURCE_PORT:-3306}, MASTER_USER='$user',\
 MASTER_PASSWORD='$source_password', MASTER_USE_GTID=slave_pos, MASTER_DEMOTE_TO_SLAVE=1, MASTER_SSL=0,\
 MASTER_HEARTBEAT_PERIOD=2, MASTER_CONNECT_RETRY=1"
# For whoever has it follow later: @channel is the statement, by double quotes, which no part of it has.
echo "$SESSION SET @channel = \"$follow\";" >"$run/channel.sql"

# Tells what mariadb-dump reads only with privileges to change it: accounts but dcmesh's own and root's and events, each
# as hex of a statement, and triggers, each as SHOW CREATE TRIGGER does. That does not name the database, so hex of a USE
# comes before it.
DEFINITIONS="BEGIN
  SELECT HEX(CONCAT('REPLACE INTO mysql.global_priv (Host, User, Priv) VALUES (', QUOTE(Host), ', ', QUOTE(User), ', ',
      QUOTE(Priv), ')'))
    FROM mysql.global_priv
    WHERE User NOT IN ('root', 'mysql', 'mariadb.sys', 'dcmesh_switchover', 'replication', 'replication_local');
  SELECT HEX(CONCAT('REPLACE INTO mysql.event VALUES (', CONCAT_WS(', ', QUOTE(db), QUOTE(name), CONCAT('0x', HEX(body)),
      QUOTE(definer), QUOTE(execute_at), QUOTE(interval_value), QUOTE(interval_field), QUOTE(created), QUOTE(modified),
      QUOTE(last_executed), QUOTE(starts), QUOTE(ends), QUOTE(status), QUOTE(on_completion), QUOTE(sql_mode),
      QUOTE(comment), QUOTE(originator), QUOTE(time_zone), QUOTE(character_set_client), QUOTE(collation_connection),
      QUOTE(db_collation), IFNULL(CONCAT('0x', HEX(body_utf8)), 'NULL')), ')'))
    FROM mysql.event;
  FOR t IN (SELECT * FROM information_schema.TRIGGERS
    ORDER BY TRIGGER_SCHEMA, EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER)
  DO
    SELECT HEX(CONCAT('USE \`', REPLACE(t.TRIGGER_SCHEMA, '\`', '\`\`'), '\`'));
    EXECUTE IMMEDIATE CONCAT('SHOW CREATE TRIGGER \`', REPLACE(t.TRIGGER_SCHEMA, '\`', '\`\`'), '\`.\`',
      REPLACE(t.TRIGGER_NAME, '\`', '\`\`'), '\`');
  END FOR;
END"
# The tables of mysql that a copy takes as they are: none holds a password.
TABLES="db tables_priv columns_priv procs_priv proxies_priv roles_mapping func plugin column_stats index_stats \
table_stats time_zone time_zone_leap_second time_zone_name time_zone_transition time_zone_transition_type"

# What the server does at each start, before anybody can connect. It stays out of the binary log: each pod has
# this from its own Secret, and a replica must not write what its source has not written. Which site is the primary
# stands in the data: this file is older than a switchover, where the server alone has been restarted since.
{
  echo "SET sql_log_bin = 0;"
  echo "${SESSION//; /$';\n'}" # a line for each: it reads no two from one
  echo "CREATE USER IF NOT EXISTS mysql@localhost IDENTIFIED VIA unix_socket;" # who is the server's user is its master
  echo "GRANT ALL PRIVILEGES ON *.* TO mysql@localhost WITH GRANT OPTION;"
  # These are made anew: they have then what stands here, and nothing that an older dcmesh, or a copy, has granted them.
  # Without a password of its own root@'%' owns what it has made before, views for example, but nobody logs in as it.
  if [ "$root_password" ]; then
    echo "CREATE OR REPLACE USER root@'%' IDENTIFIED BY '$root_password';"
  else
    echo "CREATE OR REPLACE USER root@'%' IDENTIFIED VIA unix_socket ACCOUNT LOCK;"
  fi
  echo "GRANT ALL PRIVILEGES ON *.* TO root@'%' WITH GRANT OPTION;"
  echo "$DATABASE"
  echo "$TABLE"
  echo "DROP USER IF EXISTS dcmesh_switchover@'%';" # an older dcmesh's
  echo "CREATE OR REPLACE DEFINER = mysql@localhost PROCEDURE dcmesh.definitions() SQL SECURITY DEFINER READS SQL DATA" \
    "${DEFINITIONS//$'\n'/ };"
  echo "CREATE OR REPLACE USER replication@'%' IDENTIFIED BY '$replication_password';"
  echo "CREATE OR REPLACE USER replication_local@'%' IDENTIFIED BY '$local_password';"
  for follower in replication replication_local; do
    echo "GRANT REPLICATION SLAVE ON *.* TO $follower@'%';" # the channel, and from here on the copy
    echo "GRANT SELECT, SHOW VIEW ON \`%\`.* TO $follower@'%';"
    echo "GRANT EXECUTE ON mysql.* TO $follower@'%';" # in place of that: what a database is granted by its name counts
    for table in $TABLES proc; do echo "GRANT SELECT ON mysql.$table TO $follower@'%';"; done
    echo "GRANT SELECT (db, name, status) ON mysql.event TO $follower@'%';" # for a switchover
    echo "GRANT EXECUTE ON PROCEDURE dcmesh.definitions TO $follower@'%';"
  done
  if [ -n "${EXPORTER-}" ]; then
    echo "CREATE USER IF NOT EXISTS $EXPORTER@localhost IDENTIFIED VIA unix_socket;"
    echo "GRANT SLAVE MONITOR ON *.* TO $EXPORTER@localhost;"
  fi
  echo "$([ "$switchable" ] && echo INSERT IGNORE || echo REPLACE) $ROW (@@server_id, '$was', 0);"
  echo "SELECT site INTO @primary FROM dcmesh.primary_site WHERE server_id = @@server_id;"
  if [ -z "$switchable" ] || [ -z "$SOURCE_HOST" ]; then # else mariadb_start.sh opens it
    echo "EXECUTE IMMEDIATE IF(@primary = '$SITE', 'SET GLOBAL read_only = 0', 'DO 0');"
    # On the primary alone: a replica gets what events do from there.
    [ -z "$EVENTS" ] || echo "EXECUTE IMMEDIATE IF(@primary = '$SITE', 'SET GLOBAL event_scheduler = ON', 'DO 0');"
  fi
  echo "EXECUTE IMMEDIATE IF(@primary = '$SITE', 'DO 0', \"$follow\");"
  echo "EXECUTE IMMEDIATE IF(@primary = '$SITE', 'DO 0', 'START SLAVE');"
} >"$run/start.sql"

series
# Whether the image is older than another series.
older_than() { [ "$series" != "$1" ] && [ "$(printf '%s\n' "$series" "$1" | sort -V | head -n 1)" = "$series" ]; }

# Runs a server that only this pod's own user can reach, for as long as a command takes. It runs no
# event, and takes as large a row as there can be.
with_server() {
  mariadbd --defaults-file="$run/server.cnf" --skip-networking --socket="$socket" --init-file= --read-only=0 \
    --event-scheduler=OFF --transaction-read-only=OFF --max-allowed-packet=1G &
  local server=$!
  trap 'kill "$server"; wait "$server"; exit 143' TERM
  until mariadb-admin --socket="$socket" ping >"$run/ping" 2>&1; do
    kill -0 "$server" 2>/dev/null || fail "the server does not start: see its log"
    sleep 0.1
  done
  "$@"
  mariadb-admin --socket="$socket" shutdown
  wait "$server"
  trap - TERM
}

# Prints the number of the first error that MariaDB's clients tell of. Their words may show what rows hold.
error_number() {
  local of='^(ERROR|mariadb-dump: .*[Ee]rror:?) ([0-9]+).*|^mariadb-dump: .*\(([0-9]+)\)$'
  sed -nE "/$of/{s//\2\3/p;q}"
}

# Says what an error in a copy means.
meaning() {
  case $1 in
  1356) echo "its view$(sed -nE "s/.*View( '[^']{1,140}') references.*/\1/p" "$run/dump.log") refers to what is gone: DROP or mend it" ;;
  1412) echo "a table there was altered meanwhile, and the copy is begun again" ;;
  1153 | 2006 | 2020) echo "a row there takes more than 1 GiB as a statement: make it smaller" ;;
  3 | 1021 | 1030 | 1114) echo "the volume here is full: it needs a larger storage.size" ;;
  *) echo "the connection or a server has failed, and the copy is begun again" ;;
  esac
}

# Makes statements of what dcmesh.definitions() has said, in the client's format.
definitions() {
  local LC_ALL=C line end=//$RANDOM$RANDOM of=$'([A-Z_,]*)\t(.*)\t([a-z0-9_]+)\t([a-z0-9_]+)'
  echo "SET sql_mode = '';"
  while IFS= read -r line; do
    if [ -z "${line//[0-9A-F]/}" ]; then
      # A trigger before it may have left a character set that lacks what it names.
      echo "SET character_set_client = utf8mb4; EXECUTE IMMEDIATE CONVERT(UNHEX('$line') USING utf8mb4);"
    elif [[ $line =~ ^[^$'\t']*$'\t'$of$'\t'[^$'\t']*$'\t'[^$'\t']*$ ]]; then
      printf "SET sql_mode = '%s', character_set_client = %s, collation_connection = %s;\n" \
        "${BASH_REMATCH[1]}" "${BASH_REMATCH[3]}" "${BASH_REMATCH[4]}"
      printf 'DELIMITER %s\n%b\n%s\nDELIMITER ;\n' "$end" "${BASH_REMATCH[2]}" "$end"
    else
      return 1
    fi
  done
  echo "SET sql_mode = '';"
}

# Prints what makes this server a copy. Its callers look at whether it fails, so `set -e` does not hold in it.
dump() {
  local as=(--defaults-file="$run/source.cnf" --max-allowed-packet=1G --quick)
  local all=(--all-databases --single-transaction --master-data=1 --gtid --routines) history
  # With other times than the source's, a row of a table WITH SYSTEM VERSIONING is not found by the channel.
  for history in --dump-history --update-history; do
    [[ $(mariadb-dump --help) != *"$history"* ]] || all+=("$history")
  done
  echo "SET sql_log_bin = 0;"
  # Before the rows. What is made between the two is in neither this nor the channel: docs/mariadb.md.
  LIMIT=600 theirs "SET character_set_results = binary; CALL dcmesh.definitions()" >"$run/definitions" 2>"$run/dump.log"
  case $?:$(error_number <"$run/dump.log") in
  0:)
    echo "USE mysql;"
    mariadb-dump "${as[@]}" --skip-lock-tables --skip-triggers mysql $TABLES 2>>"$run/dump.log" || return 1
    mariadb-dump "${as[@]}" "${all[@]}" --ignore-database=mysql --skip-triggers 2>>"$run/dump.log" || return 1
    definitions <"$run/definitions" || return 1
    ;;
  *:1305 | *:1370) # the source is an older dcmesh's still
    mariadb-dump "${as[@]}" "${all[@]}" --events --triggers 2>"$run/dump.log" || return 1
    ;;
  *) return 1 ;;
  esac
  ending
}

# Prints what ends a copy, of which the server has the position.
ending() {
  # As if it had written itself what it was given: others can then copy from, and follow, this server.
  echo "RESET MASTER;"
  echo "SELECT @@GLOBAL.gtid_slave_pos INTO @position;" # MariaDB 10.11 hangs when one is set to the other directly
  echo "SET GLOBAL gtid_binlog_state = @position;"
  [ "$switchable" ] || return 0
  # A copy comes up as a replica, whatever has become of the roles since. A token that was meant for it is given back.
  local answer site term read_only
  ask_token theirs "SELECT site, term + (site <> '$SOURCE_SITE'), $CLOSED FROM dcmesh.primary_site\
 WHERE server_id = @@server_id" || return 1
  echo "REPLACE $ROW (@@server_id, '$SOURCE_SITE', $term);"
}

# Waits for what this pod follows; sets `answer` to its series.
await_source() {
  local said=
  until ask "[0-9]{1,3}[.][0-9]{1,3}" theirs "SELECT SUBSTRING_INDEX(VERSION(), '.', 2)"; do
    [ "$answer" = "$said" ] || say "waits for $SOURCE_HOST, to copy it: $answer"
    said=$answer
    sleep 1
  done
}

copy() {
  local answer error
  await_source
  # It would take accounts' rights away, and follow what it reads otherwise.
  ! older_than "$answer" ||
    fail "cannot copy $SOURCE_HOST: it is MariaDB $answer, and the image has $series: set an image of $answer or newer"
  say "copies $SOURCE_HOST"
  : >"$run/dump.log"
  # In binary mode the client runs no command of its own: what is copied cannot start a shell.
  dump 2>/dev/null | mariadb --socket="$socket" --max-allowed-packet=1G --binary-mode 2>&1 |
    error_number >"$run/apply.log" || {
    error=$(error_number <"$run/dump.log")
    error=${error:-$(cat "$run/apply.log")}
    fail "cannot copy $SOURCE_HOST: $(meaning "$error") (error ${error:-unknown})"
  }
  rm "$run/definitions"
  say "copied up to $(own "SELECT @@GLOBAL.gtid_slave_pos")"
}

# Makes this server, with the data of a backup, a copy. It can do so again.
adopt() {
  local answer
  await_source
  { echo "SET sql_log_bin = 0; RESET MASTER; SET GLOBAL gtid_slave_pos = '$position';" && ending; } 2>/dev/null |
    mariadb --skip-ssl --socket="$socket" 2>&1 | error_number >"$run/apply.log" ||
    fail "cannot end the copy of $SOURCE_HOST, and tries again: the connection or a server has failed" \
      "(error $(grep . "$run/apply.log" || echo unknown))"
  say "copied up to $(own "SELECT @@GLOBAL.gtid_slave_pos")"
}

# Brings data of an older version to the image's. Data of a newer one are left alone.
upgrade() {
  local of=
  # mariadb-upgrade empties its own note when it begins. Whoever was killed in it has left ours.
  [[ $(cat "$upgrading" "$data/mariadb_upgrade_info" "$data/mysql_upgrade_info" 2>/dev/null) =~ ^[0-9]+\.[0-9]+ ]] &&
    of=$BASH_REMATCH
  [ -e "$upgrading" ] || [ "$of" != "$series" ] || return 0
  ! older_than "${of:-$series}" ||
    fail "its data are MariaDB $of's, and the image has $series, which cannot read them: set an image of $of or newer"
  say "brings its data to MariaDB $series"
  with_server renew
}

renew() {
  echo "$series" >"$upgrading" # not before the server runs: one that knows an option no more has done nothing to the data
  # Tables of the user's as well: of those WITH SYSTEM VERSIONING from before 11.5 a newer server shows no row.
  mariadb-upgrade --user=mysql --socket="$socket" # its own default is root
  rm "$upgrading"
}

if [ -e "$done" ]; then
  upgrade
else
  if [ "$switchable" ] && [ "$PRIMARY" = "$SITE" ]; then
    if [ -e /etc/dcmesh/role/begun ] || { [ "$SOURCE_HOST" ] && ask ".*" theirs "$TOKEN"; }; then
      lost
    fi
  fi
  if [ "$PRIMARY" != "$SITE" ] && [ -e "$incoming/copy" ]; then
    rm -rf "$data"
    mv "$incoming/copy" "$data"
  fi
  if [ "$PRIMARY" != "$SITE" ] && [ -e "$data/$PREPARED" ]; then
    position=$(cat "$data/$PREPARED")
    upgrade # the image may be another one than that which has fetched them
    with_server adopt
    sync -f "$data"
    touch "$done"
    rm "$data/$PREPARED"
  fi
fi
if [ ! -e "$done" ]; then
  rm -rf "$data" "$incoming"/* # a fetch that failed may have left much
  mariadb-install-db --defaults-file="$run/server.cnf" --datadir="$data" --skip-test-db \
    --auth-root-authentication-method=socket --auth-root-socket-user=mysql >"$run/install.log" 2>&1 ||
    { cat "$run/install.log" && exit 1; }
  if [ "$PRIMARY" = "$SITE" ]; then touch "$run/fresh"; else with_server copy; fi
  touch "$done"
fi
