# Prepares a pod's server before it starts: its data, its own options, and what it does at each start.
# The init container of Mariadb's pods runs it, beside a sidecar, so hosts of other sites can be reached.
#
# Data are made once. The primary's are new; a replica's are a copy of what it follows, taken over the same
# connection that replication uses. What is interrupted half-way is thrown away and begun again.
set -euo pipefail
data=/var/lib/mysql/data done=/var/lib/mysql/prepared run=/run/mysqld
ordinal=${POD##*-}
if [ "$ordinal" -gt 0 ]; then
  SOURCE_HOST="${POD%-*}-0.$DOMAIN" SOURCE_PORT=3306 # within a site all follow pod 0
fi

# Between quotes their characters need no escape: config.kinds.Password. Without one nothing is started.
root_password=$(cat /etc/dcmesh/passwords/root)
replication_password=$(cat /etc/dcmesh/passwords/replication)

umask 077
{
  echo "!include /etc/dcmesh/settings/server.cnf"
  echo "[mariadbd]"
  echo "server_id=$((SERVER_IDS + ordinal))"
  echo "report_host=$POD.$DOMAIN"
  [ -z "$SOURCE_HOST" ] || echo "read_only=1"
} >"$run/server.cnf"

# What the server does at each start, before anybody can connect. It stays out of the binary log: each pod has
# this from its own Secret, and a replica must not write what its source has not written.
{
  echo "SET sql_log_bin = 0;"
  echo "CREATE USER IF NOT EXISTS mysql@localhost IDENTIFIED VIA unix_socket;" # who is the server's user is its master
  echo "GRANT ALL PRIVILEGES ON *.* TO mysql@localhost WITH GRANT OPTION;"
  echo "CREATE USER IF NOT EXISTS root@'%';"
  echo "ALTER USER root@'%' IDENTIFIED BY '$root_password';"
  echo "GRANT ALL PRIVILEGES ON *.* TO root@'%' WITH GRANT OPTION;"
  echo "CREATE USER IF NOT EXISTS replication@'%';"
  echo "ALTER USER replication@'%' IDENTIFIED BY '$replication_password';"
  # REPLICATION SLAVE for the channel, the rest for the first copy.
  echo "GRANT REPLICATION SLAVE, BINLOG MONITOR, SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES, RELOAD ON *.* TO replication@'%';"
  if [ -n "${EXPORTER-}" ]; then
    echo "CREATE USER IF NOT EXISTS $EXPORTER@localhost IDENTIFIED VIA unix_socket;"
    echo "GRANT SLAVE MONITOR ON *.* TO $EXPORTER@localhost;"
  fi
  if [ -n "$SOURCE_HOST" ]; then
    echo "CHANGE MASTER TO MASTER_HOST='$SOURCE_HOST', MASTER_PORT=$SOURCE_PORT, MASTER_USER='replication'," \
      "MASTER_PASSWORD='$replication_password', MASTER_USE_GTID=slave_pos," \
      "MASTER_HEARTBEAT_PERIOD=2, MASTER_CONNECT_RETRY=1;"
    echo "START SLAVE;"
  fi
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
  printf '[client]\nhost=%s\nport=%s\nuser=replication\npassword="%s"\n' \
    "$SOURCE_HOST" "$SOURCE_PORT" "$replication_password" >"$run/source.cnf"
  until reason=$(mariadb --defaults-file="$run/source.cnf" --connect-timeout=5 --execute="DO 0" 2>&1); do
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
  } | mariadb --socket="$run/mysqld.sock"
  echo "copied up to $(mariadb --socket="$run/mysqld.sock" --skip-column-names --execute="SELECT @@GLOBAL.gtid_slave_pos")"
}

if [ ! -e "$done" ]; then
  rm -rf "$data"
  mariadb-install-db --defaults-file="$run/server.cnf" --datadir="$data" --skip-test-db \
    --auth-root-authentication-method=socket --auth-root-socket-user=mysql >"$run/install.log" 2>&1 ||
    { cat "$run/install.log" && exit 1; }
  [ -z "$SOURCE_HOST" ] || with_server copy
  touch "$done"
fi
