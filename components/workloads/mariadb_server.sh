# What mariadb_prepare.sh and mariadb_start.sh share: this pod's server and what it follows, asked.
data=/var/lib/mysql/data run=/run/mysqld

# Run SQL on this pod's server, at its $socket, and on what it follows.
own() { mariadb --socket="$socket" --skip-column-names --execute="$1"; }
theirs() { mariadb --defaults-file="$run/source.cnf" --connect-timeout=5 --skip-column-names --execute="$*" 2>&1; }

# What is said of this pod: `dcmesh status` shows the last such line. Nothing of what rows hold may be in it.
say() {
  local words=$* # some of them from another site
  echo "dcmesh: ${words//[^[:print:]]/?}"
}
fail() { say "$*" | tee /dev/termination-log; exit 1; }

TOKEN="SELECT site, term, @@read_only FROM dcmesh.primary_site WHERE server_id = @@server_id"
DATABASE="CREATE DATABASE IF NOT EXISTS dcmesh;"
TABLE="CREATE TABLE IF NOT EXISTS dcmesh.primary_site (server_id INT UNSIGNED PRIMARY KEY,\
 site VARCHAR(63) NOT NULL, term BIGINT UNSIGNED NOT NULL, extra TEXT NOT NULL DEFAULT '');"
ROW="INTO dcmesh.primary_site (server_id, site, term) VALUES"

# Reads `site`, `term` and `read_only` from what a server says; fails if that is no such thing.
read_token() {
  [[ $1 =~ ^([a-z0-9-]{1,63})$'\t'([0-9]{1,19})$'\t'([01])$ ]] || return 1
  site=${BASH_REMATCH[1]} term=${BASH_REMATCH[2]} read_only=${BASH_REMATCH[3]}
}
