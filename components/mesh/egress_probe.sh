# Asks one host, as a pod that is no client of the egress gateway, until it is silent for TRIES in a row or PROBE_SECONDS
# are over. Arguments: HOST PORT KIND. Prints "closed HOST", or "open HOST ANSWER" and exits 1.
# The Job dcmesh-stranger runs it, behind host_protocols.sh, for each host, several at a time.
set -uf
TRIES=5
open_seconds=2 # who is not let in is turned away at once: what lives as long is open, even if it is closed later
host=$1 port=$2 kind=$3
[ "$kind" = none ] && kind=tcp # what is asked nothing must stay shut all the same
deadline=$(($(date +%s) + ${PROBE_SECONDS:?}))

# Tells whether the server has said anything, be it that it refuses.
answered() {
  answer=$($ask "$host" "$port" "$kind" 2>&1) && return
  case $answer in "refused by the server"*) return ;; esac
  return 1
}

silent=0
while [ "$silent" -lt "$TRIES" ]; do
  if answered; then
    silent=0
    # A server may count who leaves after its greeting, up to a number: it is asked a few times only.
    if [ "$(date +%s)" -ge "$deadline" ]; then
      printf 'open %s %s\n' "$host" "$(printf '%s' "$answer" | tr '\n' ' ' | LC_ALL=C tr -cd '[:print:]')"
      exit 1
    fi
    sleep 5
  else
    silent=$((silent + 1))
    sleep 1
  fi
done
echo "closed $host"
