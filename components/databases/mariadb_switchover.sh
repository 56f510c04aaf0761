# Brings a site to the role that the configuration gives it: the primary, or a replica of the other site.
# A Job in each of the two sites runs it. The Jobs need no order, and nothing but the two databases: each looks at both,
# does what it may, and waits for the other as far as it must. It can be interrupted anywhere and run again.
#
# Who may write is a token. Each server's row in dcmesh.primary_site says which site is the primary, and since which
# term; a server writes only while its own row names its own site. The primary gives the token away by naming the other
# site under the next term. The other takes it by writing the same into its own row, once the giver is read-only and it
# has all of the giver's rows. Terms only grow, so a token is taken once, and an old Job that still runs does no harm.
set -euo pipefail
umask 077
own_password=$(cat /etc/dcmesh/passwords/switchover)
replication_password=$(cat /etc/dcmesh/passwords/replication)
options='[client]\nhost=%s\nport=%s\nuser=%s\npassword="%s"\nskip-ssl\n' # the sidecars encrypt
printf "$options" "$OWN_HOST" 3306 dcmesh_switchover "$own_password" >/run/dcmesh/own.cnf
printf "$options" "$OTHER_HOST" "$OTHER_PORT" replication "$replication_password" >/run/dcmesh/other.cnf

# Run SQL here and there. From standard input: what stands in an argument is readable to others.
run() { mariadb --defaults-file=/run/dcmesh/own.cnf --connect-timeout=5 --quick "$@"; }
own() { run --skip-column-names <<<"$1"; }
theirs() {
  limited mariadb --defaults-file=/run/dcmesh/other.cnf --connect-timeout=5 --quick --skip-column-names <<<"$1"
}

say() { echo "$SITE: $(printable "$*")"; }
refuse() { say "$*" && exit 1; }

# Asks this server for GTIDs.
own_gtids() { ask "$GTIDS" own "$1" || refuse "its own server does not say what rows it has ($answer): run again"; }
POSITION="SELECT @@GLOBAL.gtid_binlog_pos" STATE="SELECT @@GLOBAL.gtid_binlog_state"

# Prints what of the GTIDs $1 is not in a binary log whose state is $2, as ranges.
lacking() {
  local gtid last
  for gtid in ${1//,/ }; do
    last=0
    [[ ,$2, =~ ,${gtid%-*}-([0-9]+), ]] && last=${BASH_REMATCH[1]}
    [ "$last" -ge "${gtid##*-}" ] || printf '%s ' "${gtid%-*}-$((last + 1)) to $gtid"
  done
}

# Prints a field of the channel's status. In a table, for the errors among them are the other site's words: there a
# line's end and a tab stand as \n and \t.
channel() {
  local names values i
  {
    read -r names
    read -r values
  } < <(run <<<"SHOW SLAVE STATUS") || return 0
  IFS=$'\x1f' read -ra names <<<"${names//$'\t'/$'\x1f'}"
  IFS=$'\x1f' read -ra values <<<"${values//$'\t'/$'\x1f'}"
  for i in "${!names[@]}"; do
    [ "${names[i]}" != "$1" ] || echo "${values[i]-}"
  done
}

# Looks at both rows. An empty other_site: the other site's database cannot be asked, for the reason in `silence`.
look() {
  other_site='' other_term=0 other_read_only='' silence=''
  if ask_token theirs; then
    other_site=$site other_term=$term other_read_only=$read_only
  else
    silence=$answer
  fi
  ask_token own || refuse "its own server does not say who is the primary ($answer): run again"
}

# Between the look at the row and what follows from it nobody else may change it.
LOCK="SELECT GET_LOCK('dcmesh.primary_site', $PATIENCE) INTO @locked;"

# Writes a token into this server's row, unless there is that or a later one.
write() {
  [ "$(own "$LOCK SET sql_log_bin = 0; UPDATE dcmesh.primary_site SET site = '$1', term = $2
            WHERE server_id = @@server_id AND term < $2 AND @locked = 1; SELECT ROW_COUNT();")" = 1 ] ||
    refuse "the primary was changed by somebody else: run again"
}

# Ends this server's claim by what the other's row says. A token that the other holds out can still be taken.
relinquish() {
  own "$LOCK SET sql_log_bin = 0;
       UPDATE dcmesh.primary_site SET site = '$OTHER', term = $other_term - ('$other_site' = '$SITE')
         WHERE server_id = @@server_id AND site = '$SITE' AND term < $other_term AND @locked = 1"
}

# Ends all writing here: new transactions are refused, and those under way cannot commit any more.
fence() {
  local deadline=$((SECONDS + PATIENCE))
  # Events first: one whose definer may write on a read-only server would go on.
  own "EXECUTE IMMEDIATE IF(@@event_scheduler = 'DISABLED', 'DO 0', 'SET GLOBAL event_scheduler = OFF')"
  until [ "$(own "SELECT COUNT(*) FROM information_schema.processlist WHERE $RUNS_EVENT")" = 0 ]; do
    [ "$SECONDS" -lt "$deadline" ] || refuse "has an event that does not end: run again"
    close "$RUNS_EVENT"
  done
  # Who has locked tables is waited for, and so is closed first.
  until own "SET lock_wait_timeout = 1; SET GLOBAL read_only = 1"; do
    [ "$SECONDS" -lt "$deadline" ] || refuse "cannot be made read-only: run again"
    close_connections
  done
  close_connections
  own_gtids "$POSITION"
  say "is read-only, at $answer"
}

CLIENTS="user NOT IN ('root', 'mysql', 'dcmesh_switchover', 'replication', 'replication_local', 'system user',\
 'event_scheduler')"
RUNS_EVENT="command = 'Connect' AND user NOT IN ('system user', 'unauthenticated user')"

close_connections() { close "$CLIENTS"; }

close() {
  local id
  own "SELECT id FROM information_schema.processlist WHERE $1" |
    while read -r id; do [[ ! $id =~ ^[0-9]+$ ]] || own "KILL $id" || true; done
}

# Has events run that a replica got from its source, which MariaDB marks all alike. One that the old primary has
# disabled stays so, if that can be asked.
enable_events() {
  local disabled='' event alter
  while read -r event; do
    [[ ! $event =~ ^[0-9A-F]+[.][0-9A-F]+$ ]] || disabled+="'$event', "
  done < <(theirs "SELECT CONCAT(HEX(db), '.', HEX(name)) FROM mysql.event WHERE status = 'DISABLED'" 2>/dev/null |
    head -c 1048576)
  # Names and definers may hold any character.
  own "SET sql_mode = '';
       SELECT HEX(CONCAT('ALTER DEFINER = ', QUOTE(LEFT(definer, CHAR_LENGTH(definer) - LOCATE('@', REVERSE(definer)))),
         '@', QUOTE(SUBSTRING_INDEX(definer, '@', -1)), ' EVENT \`', REPLACE(db, '\`', '\`\`'), '\`.\`',
         REPLACE(name, '\`', '\`\`'), '\` ', IF(CONCAT(HEX(db), '.', HEX(name)) IN ($disabled''), 'DISABLE', 'ENABLE')))
       FROM mysql.event WHERE status = 'SLAVESIDE_DISABLED'" |
    while read -r alter; do
      [[ ! $alter =~ ^[0-9A-F]+$ ]] ||
        own "SET sql_mode = '', sql_log_bin = 0; EXECUTE IMMEDIATE CONVERT(UNHEX('$alter') USING utf8mb4)"
    done
}

# Follows the other site, from where this server's own rows end.
follow() {
  if [ "$(own "SHOW SLAVE STATUS")" ]; then
    own "START SLAVE" # an interrupted run has stopped it, or an error that is mended by now
    return
  fi
  own "CHANGE MASTER TO MASTER_HOST='$OTHER_HOST', MASTER_PORT=$OTHER_PORT, MASTER_USER='replication',
       MASTER_PASSWORD='$replication_password', MASTER_USE_GTID=slave_pos, MASTER_DEMOTE_TO_SLAVE=1, MASTER_SSL=0,
       MASTER_HEARTBEAT_PERIOD=2, MASTER_CONNECT_RETRY=1; START SLAVE;" 2>&1 | only_error
  say "follows $OTHER"
}

# --- the primary to be -----------------------------------------------------------------------------------------------

take_over() {
  local deadline=$((SECONDS + PATIENCE)) heard=$SECONDS end waited
  until [ "$other_site" = "$SITE" ] && [ "$other_term" -gt "$term" ] && [ "$other_read_only" = 1 ]; do
    if [ -z "$other_site" ] && [ "$WITHOUT" = "$OTHER" ]; then
      take_over_without
      return
    fi
    [ -z "$other_site" ] || heard=$SECONDS
    if [ "$SECONDS" -ge "$deadline" ] || [ "$SECONDS" -ge $((heard + PATIENCE / 4)) ]; then
      if [ -z "$other_site" ]; then
        applied
        refuse "$OTHER does not answer ($silence). What it committed after $answer would be lost." \
          "If it is gone for good, or surely stopped, set failover to {without: $OTHER, at: $answer}"
      fi
      refuse "$OTHER is the primary still: run \`pulumi up\` in the stack that has it, then here again"
    fi
    sleep 1
    look
  done
  ask "$GTIDS" theirs "$POSITION" || refuse "$OTHER does not answer any more ($answer): run again"
  end=$answer
  if [ "$(own "SELECT MASTER_GTID_WAIT('$end', $PATIENCE)")" = 0 ]; then waited=yes; else waited=; fi
  own_gtids "$STATE"
  if [ -z "$waited" ] || [ "$(lacking "$end" "$answer")" ]; then
    applied
    refuse "has rows up to $answer, and $OTHER up to $end: nothing is promoted. Mend the replication, then run again"
  fi
  write "$SITE" "$other_term"
  open
}

# Sets `answer` to where the other site's rows have been applied here, once all that has arrived is.
applied() {
  ask "$GTIDS" channel Gtid_IO_Pos || refuse "its channel does not say what has arrived ($answer): run again"
  own_gtids "DO MASTER_GTID_WAIT('$answer', $PATIENCE); SELECT @@GLOBAL.gtid_slave_pos"
}

take_over_without() {
  local end
  applied
  end=$answer
  [ "$AT" = "$end" ] || refuse "$OTHER does not answer, and what arrived of it ends at $end, not at the failover.at of" \
    "the configuration, ${AT:-which is not set}. Set it to $end if all that $OTHER committed after that may be lost"
  # More than what the other may have given away in the meantime.
  write "$SITE" $((term + 2))
  say "takes over without $OTHER: what that committed after $end is lost, or to be fetched by hand"
  open
}

# Opens this server if its row names its site: somebody may have given that away again. One that is closed is opened
# only after a look at the other site, which may have been made the primary since the token was written here; and only
# if it is still the server that was there before the look: a lock tells, which is gone when that has ended.
open() {
  local deadline=$((SECONDS + 10)) watch="dcmesh.watch.$RANDOM.$RANDOM" lock
  exec {lock}> >(run >/dev/null 2>&1)
  echo "SELECT GET_LOCK('$watch', 0);" >&"$lock"
  until [ "$(own "SELECT IS_USED_LOCK('$watch') IS NOT NULL")" = 1 ]; do
    [ "$SECONDS" -lt "$deadline" ] || refuse "its own server does not answer any more: run again"
    sleep 0.5
    [ "$read_only" = 0 ] || close_connections || true # of readers, who may have taken all that there are
  done
  deadline=$((SECONDS + PATIENCE / 4))
  look
  until [ "$read_only" = 0 ] || [ "$other_site" ] || [ "$WITHOUT" = "$OTHER" ] || [ "$SECONDS" -ge "$deadline" ]; do
    sleep 1
    look
  done
  [ "$other_term" -le "$term" ] || refuse "$OTHER was made the primary meanwhile: run again"
  if [ "$read_only" = 1 ]; then
    [ "$other_read_only" != 0 ] || refuse "$OTHER takes writes: make its server read-only, then run again"
    [ "$other_site" ] || [ "$WITHOUT" = "$OTHER" ] ||
      refuse "$OTHER does not say whether it is the primary ($silence): run again, or set failover.without to $OTHER" \
        "if it is gone"
  fi
  enable_events
  own "$LOCK SELECT site INTO @site FROM dcmesh.primary_site WHERE server_id = @@server_id AND @locked = 1
         AND IS_USED_LOCK('$watch') IS NOT NULL;
       EXECUTE IMMEDIATE IF(@site = '$SITE', 'STOP SLAVE', 'DO 0');
       EXECUTE IMMEDIATE IF(@site = '$SITE', 'RESET SLAVE ALL', 'DO 0');
       EXECUTE IMMEDIATE IF(@site = '$SITE', 'SET GLOBAL read_only = 0', 'DO 0');
       EXECUTE IMMEDIATE IF(@site = '$SITE' AND '$EVENTS' <> '', 'SET GLOBAL event_scheduler = ON', 'DO 0');"
  exec {lock}>&-
  [ "$(own "SELECT @@GLOBAL.read_only")" = 0 ] || refuse "the primary was changed by somebody else: run again"
  own_gtids "$POSITION"
  say "is the primary, at $answer"
}

# --- the replica to be -----------------------------------------------------------------------------------------------

give_away() {
  local end
  [ "$other_site" ] || refuse "$OTHER does not answer ($silence): nothing is changed"
  own_gtids "$POSITION"
  end=$answer
  # The wait goes by numbers, which rows of its own have too.
  LIMIT=$((PATIENCE + 10)) ask 0 theirs "SELECT MASTER_GTID_WAIT('$end', $PATIENCE)" && ask "$GTIDS" theirs "$STATE" &&
    [ -z "$(lacking "$end" "$answer")" ] ||
    refuse "$OTHER is more than $PATIENCE s behind: nothing is changed. Mend the replication, then run again"
  # From here on a restart comes up read-only. The term is new to both.
  write "$OTHER" $(((term > other_term ? term : other_term) + 1))
  fence
}

# Notes what this server has and the other has not: `up` and `dcmesh status` report it. Such a server does not follow:
# nothing is dropped or merged. Its channel is refused, but not before the other site's numbers have passed its own:
# until then it seems to run.
note_extra() {
  local deadline=$((SECONDS + PATIENCE)) errno extra='' here
  until errno=$(channel Last_IO_Errno) && [ "${errno:-0}" != 0 ] || [ "$(channel Slave_IO_Running)" = Yes ]; do
    [ "$SECONDS" -lt "$deadline" ] || break
    sleep 0.5
  done
  sleep 2 # it runs for the moment that the other site takes to refuse it
  own_gtids "$STATE"
  here=$answer
  ask "$GTIDS" theirs "$STATE" || refuse "$OTHER does not answer any more ($answer): run again"
  extra=$(lacking "$here" "$answer")
  [ "$(channel Last_IO_Errno)" != 1236 ] || : "${extra:=see the last error of its channel}"
  [ -z "$extra" ] || say "has transactions that $OTHER has not, and does not follow: $extra"
  own "SET sql_log_bin = 0; UPDATE dcmesh.primary_site SET extra = '${extra% }' WHERE server_id = @@server_id"
}

# --- what there is to do -----------------------------------------------------------------------------------------------

until ask "" own "DO 0"; do # a pod that has just started has no name yet
  [ "$SECONDS" -lt "$PATIENCE" ] || refuse "its own server does not answer ($answer): run again"
  sleep 1
done
look
if [ "$site" = "$SITE" ] && [ "$other_term" -gt "$term" ]; then # the other took over while this site was away
  relinquish
  fence
  look
fi
if [ "$WANTED" = "$SITE" ]; then
  if [ "$site" = "$SITE" ]; then
    open
  else
    follow # to have all rows
    take_over
  fi
else
  if [ "$site" = "$SITE" ]; then
    give_away
  elif [ "$other_site" = "$SITE" ] && [ "$other_term" -gt "$term" ]; then
    write "$OTHER" $((other_term + 1)) # the token was meant for this site, and is given back
  fi
  [ "$(own "SELECT @@GLOBAL.read_only")" = 1 ] || fence # interrupted before it was
  follow
  note_extra
  own_gtids "$POSITION"
  say "is a replica, at $answer"
fi
