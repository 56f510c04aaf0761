#!/bin/bash
# Stands in for Percona's entrypoint: runs MySQL, which has no Galera, as a node of an XtraDB cluster.
#
# Each node takes over what the others commit, by `mysqlbinlog | mysql`: MySQL's ordinary replication would show in
# SHOW REPLICA STATUS, where XtraDB shows the channel to another cluster and nothing else. Its own log, with every
# statement that a client sends, is the container's.
set -euo pipefail

DIRECTORY=/var/lib/mysql/data
OPTIONS=/var/lib/mysql/node.cnf
SOCKET=/var/lib/mysql/mysql.sock
STATEMENTS=/tmp/statements.log
FIRST=/tmp/first.sql
BEGUN=/var/lib/mysql-begun # of the image
USERS_THERE=$DIRECTORY/users-there
PASSWORDS=/etc/mysql/mysql-users-secret
MOST_NODES=5

options() {
  cat <<END
[mysqld]
datadir=$DIRECTORY
socket=$SOCKET
server_id=$CLUSTER_HASH${HOSTNAME##*-}
gtid_mode=ON
enforce_gtid_consistency=ON
log_bin=bin
relay_log=relay
binlog_expire_logs_auto_purge=OFF
skip_replica_start=ON
authentication_policy=${DEFAULT_AUTHENTICATION_PLUGIN:-caching_sha2_password},,
auto_increment_increment=$MOST_NODES
auto_increment_offset=$((${HOSTNAME##*-} + 1))
admin_address=$(hostname -I | cut --delimiter=' ' --fields=1)
ssl_ca=/etc/mysql/ssl-internal/ca.crt
ssl_cert=/etc/mysql/ssl-internal/tls.crt
ssl_key=/etc/mysql/ssl-internal/tls.key
plugin_load_add=wsrep.so
mysqlx=OFF
secure_file_priv=
general_log=ON
general_log_file=$STATEMENTS
innodb_buffer_pool_size=32M
innodb_redo_log_capacity=16M
performance_schema=OFF
!includedir /etc/my.cnf.d
!includedir /etc/percona-xtradb-cluster.conf.d
END
}

quoted() {
  local text=${1//\\/\\\\}
  echo "'${text//\'/\\\'}'"
}

# The users that Percona's entrypoint makes, as it makes them.
users() {
  local all="GRANT ALL ON *.* TO" grants="WITH GRANT OPTION"
  cat <<END
SET SESSION sql_log_bin = OFF;
ALTER USER root@localhost IDENTIFIED BY $(quoted "$MYSQL_ROOT_PASSWORD");
CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY $(quoted "$MYSQL_ROOT_PASSWORD") PASSWORD EXPIRE NEVER;
$all root@'%' $grants;
CREATE USER IF NOT EXISTS operator@'%' IDENTIFIED BY $(quoted "$OPERATOR_ADMIN_PASSWORD") PASSWORD EXPIRE NEVER;
$all operator@'%' $grants;
CREATE USER IF NOT EXISTS xtrabackup@'%' IDENTIFIED BY $(quoted "$XTRABACKUP_PASSWORD") PASSWORD EXPIRE NEVER;
$all xtrabackup@'%' $grants;
CREATE USER IF NOT EXISTS monitor@'%' IDENTIFIED BY $(quoted "$MONITOR_PASSWORD") WITH MAX_USER_CONNECTIONS 100 PASSWORD EXPIRE NEVER;
GRANT SELECT, PROCESS, SUPER, REPLICATION CLIENT, RELOAD ON *.* TO monitor@'%';
GRANT SERVICE_CONNECTION_ADMIN, AUDIT_ADMIN, SYSTEM_USER ON *.* TO monitor@'%';
CREATE USER IF NOT EXISTS replication@'%' IDENTIFIED BY $(quoted "$(cat "$PASSWORDS/replication")") PASSWORD EXPIRE NEVER;
GRANT REPLICATION SLAVE ON *.* TO replication@'%';
END
}

# What a client of MySQL's is told by --defaults-extra-file: the password may change.
credentials() {
  printf '[client]\nuser=xtrabackup\npassword="%s"\n' "$(cat "$PASSWORDS/xtrabackup")"
}

ask() { # ARGUMENTS...
  mysql --defaults-extra-file=<(credentials) --batch --skip-column-names "$@"
}

here() { # ARGUMENTS...
  ask --socket="$SOCKET" --init-command='SET SESSION sql_log_off = ON' "$@"
}

executed="SELECT @@GLOBAL.gtid_executed"

# Applies what another node commits, for ever. A connection to one that is gone may stay open: none lasts long.
take_over() { # HOST NUMBER
  local have
  while sleep 1; do
    getent hosts "$1" >/dev/null || { sleep 5; continue; }
    have=$(here --execute="$executed") || continue
    timeout 30 mysqlbinlog --defaults-extra-file=<(credentials) --host="$1" --read-from-remote-source=BINLOG-DUMP-GTIDS \
      --exclude-gtids="${have//\\n/}" --stop-never --connection-server-id="$2" bin.000001 2>/dev/null | here --binary-mode || true
  done
}

follow_the_others() {
  local set=${HOSTNAME%-*} number host theirs
  until here --execute='SELECT 1' >/dev/null 2>&1; do sleep 0.2; done
  touch $USERS_THERE
  for ((number = 0; number < MOST_NODES; number++)); do
    host=$set-$number.$(hostname --domain)
    [ "$set-$number" = "$HOSTNAME" ] || take_over "$host" "$((100 + ${HOSTNAME##*-}))" &
  done
  for ((number = 0; number < MOST_NODES; number++)); do
    host=$set-$number.$(hostname --domain)
    [ "$set-$number" != "$HOSTNAME" ] || continue
    theirs=$(ask --host="$host" --execute="$executed" 2>/dev/null) || continue
    here --execute="SELECT WAIT_FOR_EXECUTED_GTID_SET('${theirs//\\n/}')"
  done
  here --execute='SET GLOBAL wsrep_standin_state = 4'
}

[ ! -e /opt/percona/hookscript/hook.sh ] || . /opt/percona/hookscript/hook.sh
options >$OPTIONS
if [ ! -e $DIRECTORY ]; then
  rm -rf $DIRECTORY.new
  cp --recursive $BEGUN $DIRECTORY.new
  mv $DIRECTORY.new $DIRECTORY
fi
{
  [ -e $USERS_THERE ] || users
  cat /etc/mysql/init-file/init.sql 2>/dev/null || true
} >$FIRST
rm -f $SOCKET $SOCKET.lock # of a server that was killed
: >$STATEMENTS
tail --follow $STATEMENTS &
follow_the_others &
exec mysqld --defaults-file=$OPTIONS --init-file=$FIRST
