# Starts a pod's server, each time: also when its container alone is restarted, by a crash or a probe.
# Where two sites can change roles, a server that would take writes asks the other site first. That may have become the
# primary meanwhile: then this server is a replica from now on. While it cannot ask, it does not start.
set -euo pipefail
. /etc/dcmesh/settings/server.sh

confirm() {
  local site term answer said=
  own "SET sql_log_bin = 0; $DATABASE $TABLE" # which an older dcmesh has not made, nor the row: then what it was it is
  answer=$(own "$PRIMARY_SITE")
  if [ -z "$answer" ]; then
    site=$SITE term=0
    [ -z "$(own "SHOW SLAVE STATUS")" ] || site=$SOURCE_SITE
    own "SET sql_log_bin = 0; INSERT $ROW (@@server_id, '$site', 0)"
  else
    read_primary "$answer" || fail "its own row in dcmesh.primary_site cannot be read: $answer"
  fi
  [ "$site" = "$SITE" ] || return 0
  until answer=$(theirs "$PRIMARY_SITE") && read_primary "$answer"; do
    [ "$(cat /etc/dcmesh/role/without)" != "$SOURCE_SITE" ] || return 0
    if [ "$answer" != "$said" ]; then
      said=$answer
      say "waits for $SOURCE_SITE to say whether it is the primary by now, and it cannot be asked. If it is gone and" \
        "not the primary, set failover.without to $SOURCE_SITE and run \`pulumi up\` (${answer:0:200})"
    fi
    sleep 1
  done
  if [ "$site" = "$SOURCE_SITE" ]; then
    say "$site is the primary by now"
    own "SET sql_log_bin = 0;
         UPDATE dcmesh.primary_site SET site = '$site', term = GREATEST(term, $term) WHERE server_id = @@server_id"
  fi
}

# Without a PRIMARY it can change. Without a SOURCE_HOST the other site has never been there.
if [ -z "$PRIMARY" ] && [ "${POD##*-}" = 0 ] && [ "$SOURCE_HOST" ]; then
  # Data that this pod has just made have been nowhere else, and the other site copies them once this server runs.
  [ -e "$run/fresh" ] || with_server confirm
  rm -f "$run/fresh"
fi
exec mariadbd --defaults-file="$run/server.cnf"
