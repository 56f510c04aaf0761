# Starts a pod's server, each time: also when its container alone is restarted, by a crash or a probe.
# Where two sites can change roles, a server whose row names its own site starts read-only all the same, and is opened
# once the other site's server has said that it takes no writes, takes this site for the primary, and knows of no later
# token. If it has one, this server follows it from now on. Whoever takes itself for the primary may be about to open: it
# has asked before this server's row was what it is now.
set -euo pipefail
. /etc/dcmesh/settings/server.sh
socket=$run/mysqld.sock

# Opens the server if its row still names its own site: a switchover may have changed that.
open() {
  own "SELECT GET_LOCK('dcmesh.primary_site', 60) INTO @locked;
       SELECT site INTO @site FROM dcmesh.primary_site WHERE server_id = @@server_id AND @locked = 1;
       EXECUTE IMMEDIATE IF(@site = '$SITE', 'SET GLOBAL read_only = 0', 'DO 0');
       EXECUTE IMMEDIATE IF(@site = '$SITE' AND '$EVENTS' <> '', 'SET GLOBAL event_scheduler = ON', 'DO 0');"
}

# Ends this server's claim by what the other's row says, unless a switchover has opened it meanwhile or changed its row. A
# token that the other holds out to this site, under a later term, can still be taken.
relinquish() {
  own "SELECT GET_LOCK('dcmesh.primary_site', 60) INTO @locked;
       SET sql_log_bin = 0;
       UPDATE dcmesh.primary_site SET site = '$SOURCE_SITE', term = $2 - ('$1' = '$SITE')
         WHERE server_id = @@server_id AND site = '$SITE' AND term < $2 AND $CLOSED AND @locked = 1"
}

# Goes on until the server is open, or a replica. The word of failover.without counts after half a minute: a link that
# has just come up may not lead there yet.
settle() {
  local site term read_only answer own_term said= yielded= silent=0 silence='(^|\?)ERROR 2[0-9]{3}[^0-9]|^no answer within '
  while sleep 0.2; do
    ask_token own || continue
    if [ "$yielded" ] && [ "$site" != "$SITE" ] && [ -z "$(own "SHOW SLAVE STATUS")" ]; then
      echo "EXECUTE IMMEDIATE @channel; START SLAVE;" | cat "$run/channel.sql" - |
        mariadb --skip-ssl --socket="$socket" 2>&1 | only_error || continue
    fi
    [ "$site" = "$SITE" ] && [ "$read_only" = 1 ] || return 0
    own_term=$term
    if [ "$fresh" ]; then
      fresh=
      open || true
      continue
    elif ask_token theirs; then
      silent=0
      if [ "$term" -gt "$own_term" ]; then
        say "$SOURCE_SITE has a later token: $site is the primary by now"
        yielded=yes
        relinquish "$site" "$term" || true
        continue
      elif [ "$read_only" = 1 ] && [ "$site" = "$SITE" ]; then
        open || true
        continue
      fi
      answer="its server takes writes, or is about to"
    else
      # Who says that it has no connection left, or what cannot be, is there.
      if [[ $answer =~ $silence ]]; then silent=$((silent + 1)); else silent=0; fi
      if [ "$silent" -gt 30 ] && [ "$(cat /etc/dcmesh/role/without)" = "$SOURCE_SITE" ]; then
        open || true
        continue
      fi
    fi
    if [ -z "$said" ]; then
      said=yes
      say "read-only until $SOURCE_SITE says that it is not the primary, which it does not while it is copied. If it is" \
        "gone, set failover.without to $SOURCE_SITE and run \`pulumi up\` ($answer)"
    fi
    sleep 1
  done
}

# Without a PRIMARY it can change. Without a SOURCE_HOST the other site has never been there, and start.sql opens.
if [ -z "$PRIMARY" ] && [ "${POD##*-}" = 0 ] && [ "$SOURCE_HOST" ]; then
  # Data that this pod has just made have been nowhere else: of them the first start asks nobody.
  fresh=
  if rm "$run/fresh" 2>/dev/null; then fresh=yes; fi
  settle &
fi
exec mariadbd --defaults-file="$run/server.cnf"
