# Asks one host, as a consumer does, until the right answer comes or PROBE_SECONDS are over.
# Arguments: HOST PORT KIND. Prints "ok HOST POD", or "failed HOST REASON" and exits 1.
# The LinkProbe Job runs it, behind host_protocols.sh, for each imported host, several at a time, beside a sidecar.
set -uf
host=$1 port=$2 kind=$3
pod=${host%%.*}
deadline=$(($(date +%s) + ${PROBE_SECONDS:?}))

# Asks once. Unless the answer is the right one, prints why and fails.
attempt() {
  answer=$($ask "$host" "$port" "$kind" 2>&1) || { printf '%s' "$answer" && return 1; }
  case $kind-$answer in
  "http-HTTP "[1-4][0-9][0-9]* | "pod-name-HTTP 200 $pod") return ;;
  "pod-name-HTTP 200 "*) answer="answered by '${answer#HTTP 200 }' instead of $pod" ;;
  pod-name-"HTTP 200") answer="HTTP 200 without a name" ;;
  http-* | pod-name-*) ;;
  *) return ;; # what else answers is of that kind
  esac
  printf '%s' "$answer" && return 1
}

until reason=$(attempt); do
  if [ "$(date +%s)" -ge "$deadline" ]; then
    # As it may stand in a log: on one line, and no terminal's commands, which `echo` would make of backslashes.
    printf 'failed %s %s\n' "$host" "$(printf '%s' "$reason" | tr '\n' ' ' | LC_ALL=C tr -cd '[:print:]')"
    exit 1
  fi
  sleep 0.2
done
echo "ok $host $pod"
