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
root_password=$(cat /etc/dcmesh/passwords/root)
replication_password=$(cat /etc/dcmesh/passwords/replication)
options='[client]\nhost=%s\nport=%s\nuser=%s\npassword="%s"\nskip-ssl\n' # the sidecars encrypt
printf "$options" "$OWN_HOST" 3306 root "$root_password" >/run/dcmesh/own.cnf
printf "$options" "$OTHER_HOST" "$OTHER_PORT" replication "$replication_password" >/run/dcmesh/other.cnf

# Run SQL here and there. From standard input: what stands in an argument is readable to others.
run() { run_from_input "$1" <<<"$2"; }
run_from_input() { mariadb --defaults-file="/run/dcmesh/$1.cnf" --connect-timeout=5 --skip-column-names --raw; }
own() { run own "$1"; }
theirs() { run other "$1" 2>&1; }
channel() { mariadb --defaults-file=/run/dcmesh/own.cnf --connect-timeout=5 <<<"SHOW ALL SLAVES STATUS\G"; } # with names

say() { echo "$SITE: $*"; }
refuse() { say "$*" && exit 1; }
# Asks the other site for GTIDs; fails if what it says is none.
their_gtids() { answer=$(theirs "$1") && [[ $answer =~ ^([0-9]+-[0-9]+-[0-9]+(,[0-9]+-[0-9]+-[0-9]+)*)?$ ]]; }
position() { own "SELECT @@GLOBAL.gtid_binlog_pos"; }
STATE="SELECT @@GLOBAL.gtid_binlog_state"

# Prints what of the GTIDs $1 is not in a binary log whose state is $2, as ranges.
lacking() {
  local gtid last
  for gtid in ${1//,/ }; do
    last=$(tr , '\n' <<<"$2" | sed -n "s/^${gtid%-*}-//p")
    [ "${last:-0}" -ge "${gtid##*-}" ] || printf '%s ' "${gtid%-*}-$((${last:-0} + 1)) to $gtid"
  done
}

# Looks at both rows. An empty other_site: the other site's database cannot be asked, for the reason in `answer`.
look() {
  other_site='' other_term=0 other_read_only=''
  if answer=$(theirs "$TOKEN") && read_token "$answer"; then
    other_site=$site other_term=$term other_read_only=$read_only
  fi
  read_token "$(own "$TOKEN")" || refuse "its own server does not say who is the primary: run again"
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
  say "is read-only, at $(position)"
}

CLIENTS="user NOT IN ('root', 'mysql', 'replication', 'replication_local', 'system user', 'event_scheduler')"
RUNS_EVENT="command = 'Connect' AND user NOT IN ('system user', 'unauthenticated user')"

close_connections() { close "$CLIENTS"; }

close() {
  own "SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist WHERE $1" |
    while read -r kill; do own "$kill" || true; done
}

# Has events run that a replica got from its source, which MariaDB marks all alike. One that the old primary has
# disabled stays so, if that can be asked.
enable_events() {
  local events disabled='' event
  if events=$(theirs "SELECT CONCAT(HEX(db), '.', HEX(name)) FROM mysql.event WHERE status = 'DISABLED'"); then
    for event in $events; do
      [[ $event =~ ^[0-9A-F]+[.][0-9A-F]+$ ]] && disabled+="'$event', "
    done
  fi
  own "SELECT CONCAT('ALTER DEFINER = ', QUOTE(LEFT(definer, CHAR_LENGTH(definer) - LOCATE('@', REVERSE(definer)))),
         '@', QUOTE(SUBSTRING_INDEX(definer, '@', -1)), ' EVENT \`', REPLACE(db, '\`', '\`\`'), '\`.\`',
         REPLACE(name, '\`', '\`\`'), '\` ', IF(CONCAT(HEX(db), '.', HEX(name)) IN ($disabled''), 'DISABLE', 'ENABLE'), ';')
       FROM mysql.event WHERE status = 'SLAVESIDE_DISABLED'" |
    while read -r alter; do own "SET sql_log_bin = 0; $alter"; done
}

# Follows the other site, from where this server's own rows end.
follow() {
  if [ "$(own "SHOW SLAVE STATUS")" ]; then
    own "START SLAVE" # an interrupted run has stopped it, or an error that is mended by now
    return
  fi
  own "CHANGE MASTER TO MASTER_HOST='$OTHER_HOST', MASTER_PORT=$OTHER_PORT, MASTER_USER='replication',
       MASTER_PASSWORD='$replication_password', MASTER_USE_GTID=slave_pos, MASTER_DEMOTE_TO_SLAVE=1, MASTER_SSL=0,
       MASTER_HEARTBEAT_PERIOD=2, MASTER_CONNECT_RETRY=1; START SLAVE;"
  say "follows $OTHER"
}

# --- the primary to be -----------------------------------------------------------------------------------------------

take_over() {
  local deadline=$((SECONDS + PATIENCE)) heard=$SECONDS end
  until [ "$other_site" = "$SITE" ] && [ "$other_term" -gt "$term" ] && [ "$other_read_only" = 1 ]; do
    if [ -z "$other_site" ] && [ "$WITHOUT" = "$OTHER" ]; then
      take_over_without
      return
    fi
    [ -z "$other_site" ] || heard=$SECONDS
    if [ "$SECONDS" -ge "$deadline" ] || [ "$SECONDS" -ge $((heard + PATIENCE / 4)) ]; then
      [ "$other_site" ] || refuse "$OTHER does not answer ($answer). What it committed after $(applied) would be lost." \
        "If it is gone for good, or surely stopped, set failover to {without: $OTHER, at: $(applied)}"
      refuse "$OTHER is the primary still: run \`pulumi up\` in the stack that has it, then here again"
    fi
    sleep 1
    look
  done
  their_gtids "SELECT @@GLOBAL.gtid_binlog_pos" || refuse "$OTHER does not answer any more ($answer): run again"
  end=$answer
  [ "$(own "SELECT MASTER_GTID_WAIT('$end', $PATIENCE)")" = 0 ] && [ -z "$(lacking "$end" "$(own "$STATE")")" ] ||
    refuse "has rows up to $(applied), and $OTHER up to $end: nothing is promoted. Mend the replication, then run again"
  write "$SITE" "$other_term"
  open
}

# Up to where the other site's rows have been applied here, once all that has arrived is.
applied() {
  local arrived
  arrived=$(channel | sed -n 's/^ *Gtid_IO_Pos: //p')
  own "DO MASTER_GTID_WAIT('$arrived', $PATIENCE); SELECT @@GLOBAL.gtid_slave_pos"
}

take_over_without() {
  local end
  end=$(applied)
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
  exec {lock}> >(run_from_input own >/dev/null 2>&1)
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
      refuse "$OTHER does not say whether it is the primary ($answer): run again, or set failover.without to $OTHER" \
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
  say "is the primary, at $(position)"
}

# --- the replica to be -----------------------------------------------------------------------------------------------

give_away() {
  local end
  [ "$other_site" ] || refuse "$OTHER does not answer ($answer): nothing is changed"
  end=$(position)
  # The wait goes by numbers, which rows of its own have too.
  [ "$(theirs "SELECT MASTER_GTID_WAIT('$end', $PATIENCE)")" = 0 ] && their_gtids "$STATE" &&
    [ -z "$(lacking "$end" "$answer")" ] ||
    refuse "$OTHER is more than $PATIENCE s behind: nothing is changed. Mend the replication, then run again"
  # From here on a restart comes up read-only. The term is new to both.
  write "$OTHER" $(((term > other_term ? term : other_term) + 1))
  fence
}

# Notes what this server has and the other has not: `up` and `dcmesh status` report it. Such a server does not follow:
# nothing is dropped or merged.
note_extra() {
  local deadline=$((SECONDS + PATIENCE)) status extra=''
  until status=$(channel) && grep -q 'Slave_IO_Running: Yes\|Last_IO_Errno: [1-9]' <<<"$status"; do
    [ "$SECONDS" -lt "$deadline" ] || break
    sleep 0.5
  done
  sleep 2 # it runs for the moment that the other site takes to refuse it
  status=$(channel)
  if grep -q 'Last_IO_Errno: 1236' <<<"$status"; then
    their_gtids "$STATE" || refuse "$OTHER does not answer any more ($answer): run again"
    extra=$(lacking "$(own "$STATE")" "$answer")
    say "has transactions that $OTHER has not, and does not follow: ${extra:=see the last error of its channel}"
  fi
  own "SET sql_log_bin = 0; UPDATE dcmesh.primary_site SET extra = '${extra% }' WHERE server_id = @@server_id"
}

# --- what there is to do -----------------------------------------------------------------------------------------------

until answer=$(own "DO 0" 2>&1); do # a pod that has just started has no name yet
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
  say "is a replica, at $(position)"
fi
