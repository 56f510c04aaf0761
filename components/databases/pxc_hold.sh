# Says of a node of an XtraDB cluster whether its operator may open it. The pod is ready only while this container is,
# and the operator leaves alone what is not ready. A node starts read-only. A primary's is held until another node of
# its cluster is open, or the other site says that it is a replica. A replica's is not held: nobody opens it.
# It also has events run on nodes that are open, and on no others.
# It ends for nothing but its pod's end: while it does not run, a node that is open is not ready either.
trap exit TERM
set -uo pipefail
freed=0 since= said=

# While this is there the node may be opened. It is the container's own: a new container begins without it.
FREE=/tmp/dcmesh-free

# So many seconds the other site must say without a break that it is a replica: one whose operator has just been told to
# open it does so within that time.
REPLICA_SECONDS=15

# A replica's servers have a key cache of this name, which nobody uses: any user can see it, and it is gone when a
# server starts, for read_only alone says nothing then. `pulumi up` gives it another size before a cluster takes over
# from a site that is gone: that is no replica any more, though this container may not know yet.
MARK=@@GLOBAL.dcmesh_replica.key_buffer_size
REPLICA=65536

OF_OTHERS="SELECT @@GLOBAL.read_only AS Read_Only, $MARK = $REPLICA AS Replica"
OF_THIS="SELECT @@GLOBAL.read_only AS Read_Only, @@GLOBAL.event_scheduler AS Events, $MARK AS Mark;
  SHOW GLOBAL STATUS LIKE 'Uptime'"

# Asks a server; of what it answers each value has a line. USER also names the file with the password, which only the
# client reads.
ask() { # HOST USER STATEMENTS
  local password=/etc/mysql/mysql-users-secret/$2
  timeout 3 mysql --defaults-extra-file=<(printf '[client]\npassword="%s"\n' "$(cat "$password")") \
    --vertical --host="$1" --user="$2" --execute="$3" 2>&1
}

# Prints what another server is: `open`, `replica`, or `closed` if it does not know; else the error, or `silent`.
state() { # HOST USER
  local answer
  answer=$(ask "$1" "$2" "$OF_OTHERS")
  if [[ $answer =~ Read_Only:\ ([01])$'\n'\ *Replica:\ ([01])($|$'\n') ]]; then
    case ${BASH_REMATCH[1]}${BASH_REMATCH[2]} in
      0?) echo open ;;
      11) echo replica ;;
      10) echo closed ;;
    esac
  elif [[ $answer =~ ERROR\ [0-9]{4} ]]; then
    echo "${BASH_REMATCH[0]}"
  else
    echo silent
  fi
}

# `dcmesh status` reads the last of these lines.
say() {
  [ "$1" = "$said" ] || echo "dcmesh: $1"
  said=$1
}

# Brings this server's events and its mark to what its node is.
mark() { # READ_ONLY EVENT_SCHEDULER MARK ROLE
  local events=OFF size=$3
  if [ "$EVENTS" ] && [ "$1" = 0 ]; then events=ON; fi
  case $2 in
    "$events" | DISABLED) ;;
    *) ask 127.0.0.1 operator "SET GLOBAL event_scheduler = $events" >/dev/null ;;
  esac
  if [ "$4" != replica ]; then size=0; elif [ "$3" = 0 ]; then size=$REPLICA; fi
  [ "$size" = "$3" ] || ask 127.0.0.1 operator "SET GLOBAL dcmesh_replica.key_buffer_size = $size" >/dev/null
}

# Succeeds if the node may be opened, or is.
free() {
  local answer read_only started='' role other hosts host is nodes='' all=0 replicas=0 asked=$since
  local held=read-only free='this node answers'
  since=
  read -r role other hosts < <(sed -n 's/^# dcmesh: //p' /etc/dcmesh/role/hook.sh)
  answer=$(ask 127.0.0.1 monitor "$OF_THIS")
  if [[ $answer =~ Read_Only:\ ([01]).*Events:\ ([A-Z]+).*Mark:\ ([0-9]+).*Value:\ ([0-9]{1,10}) ]]; then
    read_only=${BASH_REMATCH[1]} started=$(($(date +%s) - BASH_REMATCH[4]))
    mark "${BASH_REMATCH[@]:1:3}" "$role"
    # Once free it is until its server starts anew: if it is read-only then, its operator has closed it.
    if [ "$read_only" = 0 ] || [[ $((started - freed)) =~ ^-?[0-5]$ ]]; then
      freed=$started
      say "$free"
      return 0
    fi
  elif [[ $answer != *"ERROR 2003"*"(111)"* ]]; then
    # One that has ended refuses. One that is slow, or has no connection left, or another password by now, is what it
    # was: whether it serves, its own probe says.
    say "this node's server does not answer"
    [ -e "$FREE" ]
    return
  elif [ -e /pod/tmp/recovery-case ]; then
    # After a crash of all nodes the operator starts one as soon as all are ready. What it starts is open at once.
    held='not recovered' free='this node waits to be recovered'
  else
    say "this node's server does not run"
    return 1
  fi
  if [[ $role && ! $hosts ]]; then
    freed=$started
    say "$free"
    return 0
  fi
  for host in $hosts; do
    is=$(state "$host" replication)
    all=$((all + 1)) nodes+=${nodes:+, }$is
    case $is in
      open)
        say "$held: $other takes writes, and both may not. Run \`pulumi up\` with \`primary: $other\`"
        return 1
        ;;
      replica) replicas=$((replicas + 1)) ;;
    esac
  done
  for host in $SISTERS; do
    if [ "$(state "$host" monitor)" = open ]; then
      freed=$started
      return 0
    fi
  done
  if [ $((2 * replicas)) -le "$all" ]; then
    say "$held until $other says that it is a replica (its nodes: $nodes). If it is gone, set failover.without to \
$other and run \`pulumi up\`"
    return 1
  fi
  since=${asked:-$SECONDS}
  [ $((SECONDS - since)) -ge "$REPLICA_SECONDS" ] || return 1
  freed=$started
  say "$free"
}

while :; do
  if free; then touch "$FREE"; else rm -f "$FREE"; fi
  sleep 3 &
  wait $!
done
