# Asks one host, as a consumer does, until the right answer comes or PROBE_SECONDS are over.
# Arguments: HOST PORT KIND. Prints "ok HOST POD", or "failed HOST REASON" and exits 1.
# The LinkProbe Job runs it for each imported host, several at a time, beside a sidecar.
set -uf # f: what a server says is no pattern of file names
host=$1 port=$2 kind=$3
pod=${host%%.*}
deadline=$(($(date +%s) + ${PROBE_SECONDS:?}))

# One attempt: 0, or 1 with the reason on stdout.
ask() {
  case $kind in
  greeting) # a server-first protocol: the sidecar accepts any connection, so only the server's own bytes count
    answer=$(curl -s --max-time 2 --output - "telnet://$host:$port" </dev/null 2>/dev/null | head -c 256 | tr -cd '[:print:]')
    [ -n "$answer" ] || { echo "no greeting from the server" && return 1; }
    ;;
  *)
    # So slowly that an answer without an end is none of hundreds of megabytes.
    answer=$(curl -s --show-error --max-time 2 --limit-rate 64k --write-out '\n%{http_code}' "http://$host:$port/" 2>&1)
    status=$(printf '%s' "$answer" | tail -n 1)
    body=$(printf '%s' "$answer" | sed '$d' | head -c 256) # without trailing newlines
    case $status in
    [1-4][0-9][0-9]) ;;
    *) printf '%s' "HTTP status $status: $body" && return 1 ;;
    esac
    [ "$kind" != pod-name ] || [ "$body" = "$pod" ] || { printf '%s' "answered by '$body' instead of $pod" && return 1; }
    ;;
  esac
}

until reason=$(ask); do
  if [ "$(date +%s)" -ge "$deadline" ]; then
    # As it may stand in a log: on one line, and no terminal's commands, which `echo` would make of backslashes.
    printf 'failed %s %s\n' "$host" "$(printf '%s' "$reason" | tr '\n' ' ' | LC_ALL=C tr -cd '[:print:]')"
    exit 1
  fi
  sleep 0.2
done
echo "ok $host $pod"
