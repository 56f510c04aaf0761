# Asks one host, as a pod that is no client of the egress gateway, until nothing comes back or PROBE_SECONDS are over.
# Arguments: HOST PORT KIND. Prints "closed HOST", or "open HOST ANSWER" and exits 1.
# The Job dcmesh-stranger runs it, behind ask_host.sh, for each host, several at a time.
set -uf
host=$1 port=$2 kind=$3
deadline=$(($(date +%s) + ${PROBE_SECONDS:?}))

while answer=$($ask "$host" "$port" "$kind" 2>&1); do
  if [ "$(date +%s)" -ge "$deadline" ]; then
    printf 'open %s %s\n' "$host" "$(printf '%s' "$answer" | tr '\n' ' ' | LC_ALL=C tr -cd '[:print:]')"
    exit 1
  fi
  sleep 1
done
echo "closed $host"
