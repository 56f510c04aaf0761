# Prepares a pod's server before it starts: its data, its own options, and what it does at each start.
# The init container of Mariadb's pods runs it, beside a sidecar, so hosts of other sites can be reached.
#
# Data are made once. The primary's are new; a replica's are a copy of what it follows, taken over the same
# connection that replication uses. What is interrupted half-way is thrown away and begun again.
set -euo pipefail
data=/var/lib/mysql/data done=/var/lib/mysql/prepared run=/run/mysqld
ordinal=${POD##*-} switchable= user=replication
if [ "$ordinal" -gt 0 ]; then # within a site all follow pod 0
  # By a password that no `up` changes: pod 0 is restarted last, and would not know a new one while another copies it.
  user=replication_local
  PRIMARY="${POD%-*}-0" SOURCE_SITE=$PRIMARY SOURCE_HOST="$PRIMARY.$DOMAIN" SOURCE_PORT=3306
elif [ -z "$PRIMARY" ]; then # which site is the primary can change
  switchable=yes PRIMARY=$(cat /etc/dcmesh/role/primary)
fi

# Between quotes their characters need no escape: config.kinds.Password. Without one nothing is started.
root_password=$(cat /etc/dcmesh/passwords/root)
replication_password=$(cat /etc/dcmesh/passwords/replication)
local_password=$(cat /etc/dcmesh/passwords/replication_local)
source_password=$(cat "/etc/dcmesh/passwords/$user")

# Run SQL on this pod's server, and on what it follows.
own() { mariadb --socket="$run/mysqld.sock" --skip-column-names --execute="$1"; }
theirs() { mariadb --defaults-file="$run/source.cnf" --connect-timeout=5 --skip-column-names --execute="$*" 2>&1; }
PRIMARY_SITE="SELECT site, term FROM dcmesh.primary_site WHERE server_id = @@server_id"
DATABASE="CREATE DATABASE IF NOT EXISTS dcmesh;"
TABLE="CREATE TABLE IF NOT EXISTS dcmesh.primary_site (server_id INT UNSIGNED PRIMARY KEY,\
 site VARCHAR(63) NOT NULL, term BIGINT UNSIGNED NOT NULL, extra TEXT NOT NULL DEFAULT '');"
ROW="INTO dcmesh.primary_site (server_id, site, term) VALUES"

umask 077
{
  echo "!include /etc/dcmesh/settings/server.cnf"
  echo "[mariadbd]"
  echo "server_id=$((SERVER_IDS + ordinal))"
  echo "report_host=$POD.$DOMAIN"
  echo "read_only=1" # until start.sql finds that this server is the primary
} >"$run/server.cnf"
printf '[client]\nhost=%s\nport=%s\nuser=%s\npassword="%s"\n' \
  "$SOURCE_HOST" "$SOURCE_PORT" "$user" "$source_password" >"$run/source.cnf"

# What the server does at each start, before anybody can connect. It stays out of the binary log: each pod has
# this from its own Secret, and a replica must not write what its source has not written. Which site is the primary
# stands in the data: this file is older than a switchover, where the server alone has been restarted since.
{
  echo "SET sql_log_bin = 0;"
  echo "CREATE USER IF NOT EXISTS mysql@localhost IDENTIFIED VIA unix_socket;" # who is the server's user is its master
  echo "GRANT ALL PRIVILEGES ON *.* TO mysql@localhost WITH GRANT OPTION;"
  echo "CREATE USER IF NOT EXISTS root@'%';"
  echo "ALTER USER root@'%' IDENTIFIED BY '$root_password';"
  echo "GRANT ALL PRIVILEGES ON *.* TO root@'%' WITH GRANT OPTION;"
  echo "CREATE USER IF NOT EXISTS replication@'%', replication_local@'%';"
  echo "ALTER USER replication@'%' IDENTIFIED BY '$replication_password';"
  echo "ALTER USER replication_local@'%' IDENTIFIED BY '$local_password';"
  # REPLICATION SLAVE for the channel, the rest for the first copy.
  echo "GRANT REPLICATION SLAVE, BINLOG MONITOR, SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES, RELOAD ON *.*" \
    "TO replication@'%', replication_local@'%';"
  if [ -n "${EXPORTER-}" ]; then
    echo "CREATE USER IF NOT EXISTS $EXPORTER@localhost IDENTIFIED VIA unix_socket;"
    echo "GRANT SLAVE MONITOR ON *.* TO $EXPORTER@localhost;"
  fi
  echo "$DATABASE"
  echo "$TABLE"
  echo "$([ "$switchable" ] && echo INSERT IGNORE || echo REPLACE) $ROW (@@server_id, '$PRIMARY', 0);"
  echo "SELECT site INTO @primary FROM dcmesh.primary_site WHERE server_id = @@server_id;"
  echo "EXECUTE IMMEDIATE IF(@primary = '$SITE', 'SET GLOBAL read_only = 0', \"CHANGE MASTER TO" \
    "MASTER_HOST='$SOURCE_HOST', MASTER_PORT=${SOURCE_PORT:-3306}, MASTER_USER='$user'," \
    "MASTER_PASSWORD='$source_password', MASTER_USE_GTID=slave_pos, MASTER_DEMOTE_TO_SLAVE=1," \
    "MASTER_HEARTBEAT_PERIOD=2, MASTER_CONNECT_RETRY=1\");"
  echo "EXECUTE IMMEDIATE IF(@primary = '$SITE', 'DO 0', 'START SLAVE');"
} >"$run/start.sql"

# Runs a server that only this pod's own user can reach, for as long as a command takes.
with_server() {
  mariadbd --defaults-file="$run/server.cnf" --skip-networking --init-file= --read-only=0 &
  local server=$!
  until mariadb-admin --socket="$run/mysqld.sock" ping >"$run/ping" 2>&1; do
    kill -0 "$server" 2>/dev/null || { echo "the server does not start" && return 1; }
    sleep 0.1
  done
  "$@"
  mariadb-admin --socket="$run/mysqld.sock" shutdown
  wait "$server"
}

copy() {
  until reason=$(theirs "DO 0"); do
    echo "waiting for $SOURCE_HOST: $reason"
    sleep 1
  done
  echo "copying from $SOURCE_HOST"
  {
    echo "SET sql_log_bin = 0;"
    mariadb-dump --defaults-file="$run/source.cnf" --all-databases --single-transaction --quick \
      --master-data=1 --gtid --routines --events --triggers
    # As if it had written itself what it was given: others can then copy from, and follow, this server.
    echo "RESET MASTER;"
    echo "SELECT @@GLOBAL.gtid_slave_pos INTO @position;" # MariaDB 10.11 hangs when one is set to the other directly
    echo "SET GLOBAL gtid_binlog_state = @position;"
    if [ "$switchable" ]; then
      # A copy comes up as a replica, whatever has become of the roles since. A token that was meant for it is given back.
      echo "REPLACE $ROW (@@server_id, '$SOURCE_SITE', $(theirs "SELECT" \
        "term + (site <> '$SOURCE_SITE') FROM dcmesh.primary_site WHERE server_id = @@server_id"));"
    fi
  } | mariadb --socket="$run/mysqld.sock"
  echo "copied up to $(own "SELECT @@GLOBAL.gtid_slave_pos")"
}

# Makes sure that the other site has not become the primary while this pod was away. If it has, this server is a
# replica from now on. If it cannot be asked, this server must not write: it does not start before it knows.
confirm() {
  local site term answer
  own "SET sql_log_bin = 0; $DATABASE $TABLE" # which an older dcmesh has not made, nor the row: then what it was it is
  answer=$(own "$PRIMARY_SITE")
  if [ -z "$answer" ]; then
    site=$SITE term=0
    [ -z "$(own "SHOW SLAVE STATUS")" ] || site=$SOURCE_SITE
    own "SET sql_log_bin = 0; INSERT $ROW (@@server_id, '$site', 0)"
  else
    read -r site term <<<"$answer"
  fi
  [ "$site" = "$SITE" ] || return 0
  until answer=$(theirs "$PRIMARY_SITE"); do
    [ "$(cat /etc/dcmesh/role/without)" != "$SOURCE_SITE" ] || return 0
    echo "waiting for $SOURCE_SITE to say whether it is the primary by now: $answer"
    sleep 1
  done
  read -r site term <<<"$answer"
  if [ "$site" = "$SOURCE_SITE" ]; then
    echo "$site is the primary by now"
    own "SET sql_log_bin = 0;
         UPDATE dcmesh.primary_site SET site = '$site', term = GREATEST(term, $term) WHERE server_id = @@server_id"
  fi
}

if [ ! -e "$done" ]; then
  if [ "$switchable" ] && [ "$PRIMARY" = "$SITE" ]; then
    if [ -e /etc/dcmesh/role/begun ] || { [ "$SOURCE_HOST" ] && theirs "$PRIMARY_SITE" >"$run/ping"; }; then
      echo "this pod has lost its data, and does not begin anew: make $SOURCE_SITE the primary, if that has them"
      exit 1
    fi
  fi
  rm -rf "$data"
  mariadb-install-db --defaults-file="$run/server.cnf" --datadir="$data" --skip-test-db \
    --auth-root-authentication-method=socket --auth-root-socket-user=mysql >"$run/install.log" 2>&1 ||
    { cat "$run/install.log" && exit 1; }
  [ "$PRIMARY" = "$SITE" ] || with_server copy
  touch "$done"
elif [ "$switchable" ] && [ "$SOURCE_HOST" ]; then # else the other site has never been there
  with_server confirm
fi
