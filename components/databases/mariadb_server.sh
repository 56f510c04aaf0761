# What mariadb_prepare.sh and mariadb_start.sh share: this pod's server and what it follows, asked.
. /etc/dcmesh/settings/token.sh
data=/var/lib/mysql/data run=/run/mysqld

# What a session has whatever the user's settings are: they may read statements otherwise, or let it write nothing.
SESSION="SET sql_mode = '', autocommit = 1, max_statement_time = 0; SET SESSION TRANSACTION READ WRITE;"

# Run SQL on this pod's server, at its $socket, and on what it follows. Without TLS: of a login without a password a
# newer client would warn, in place of the answer.
own() { mariadb --skip-ssl --socket="$socket" --skip-column-names --execute="$SESSION $1"; }
theirs() {
  limited mariadb --defaults-file="$run/source.cnf" --connect-timeout=5 --quick --skip-column-names --execute="$1"
}

# What is said of this pod: `dcmesh status` shows the last such line. Nothing of what rows hold may be in it.
say() { echo "dcmesh: $(printable "$*")"; }
fail() { say "$*" | tee /dev/termination-log; exit 1; }
lost() { fail "this pod has lost its data, and does not begin anew: make $SOURCE_SITE the primary, if that has them"; }

DATABASE="CREATE DATABASE IF NOT EXISTS dcmesh;"
TABLE="CREATE TABLE IF NOT EXISTS dcmesh.primary_site (server_id INT UNSIGNED PRIMARY KEY,\
 site VARCHAR(63) NOT NULL, term BIGINT UNSIGNED NOT NULL, extra TEXT NOT NULL DEFAULT '');"
ROW="INTO dcmesh.primary_site (server_id, site, term) VALUES"
