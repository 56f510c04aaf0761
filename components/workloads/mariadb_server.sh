# What mariadb_prepare.sh and mariadb_start.sh share: this pod's server, run for itself, and what it follows, asked.
data=/var/lib/mysql/data run=/run/mysqld socket=/run/mysqld/private.sock

# Run SQL on the server of `with_server`, and on what this pod follows.
own() { mariadb --socket="$socket" --skip-column-names --execute="$1"; }
theirs() { mariadb --defaults-file="$run/source.cnf" --connect-timeout=5 --skip-column-names --execute="$*" 2>&1; }

# What is said of this pod: `dcmesh status` shows the last such line. Nothing of what rows hold may be in it.
say() { echo "dcmesh: $*"; }
fail() { say "$*" | tee /dev/termination-log; exit 1; }

PRIMARY_SITE="SELECT site, term FROM dcmesh.primary_site WHERE server_id = @@server_id"
DATABASE="CREATE DATABASE IF NOT EXISTS dcmesh;"
TABLE="CREATE TABLE IF NOT EXISTS dcmesh.primary_site (server_id INT UNSIGNED PRIMARY KEY,\
 site VARCHAR(63) NOT NULL, term BIGINT UNSIGNED NOT NULL, extra TEXT NOT NULL DEFAULT '');"
ROW="INTO dcmesh.primary_site (server_id, site, term) VALUES"

# Reads `site` and `term` from what a server says of the primary; fails if that is no such thing.
read_primary() {
  [[ $1 =~ ^([a-z0-9-]{1,63})$'\t'([0-9]{1,19})$ ]] || return 1
  site=${BASH_REMATCH[1]} term=${BASH_REMATCH[2]}
}

# Runs a server that only this pod's own user can reach, for as long as a command takes. Not at the usual socket: the
# probes would take it for the server. It runs no event, and takes as large a row as there can be.
with_server() {
  mariadbd --defaults-file="$run/server.cnf" --skip-networking --socket="$socket" --init-file= --read-only=0 \
    --event-scheduler=DISABLED --max-allowed-packet=1G &
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
