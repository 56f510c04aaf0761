#!/bin/sh
# Runs in the LinkProbe Job, beside a sidecar, as a consumer. Standard input: a line a host, "HOST PORT KIND".
# A host counts as reached when the right answer comes; until then it is asked again, up to the deadline.
# Prints "ok HOST POD" or "failed HOST REASON" for each host; exits 1 if any failed.
set -u
deadline=$(($(date +%s) + ${PROBE_SECONDS:?}))

# ask HOST PORT KIND: 0 and what answered on stdout, or 1 and the reason.
ask() {
  pod=${1%%.*}
  case $3 in
  greeting) # a server-first protocol: the sidecar accepts any connection, so only the server's own bytes count
    answer=$(curl -s --max-time 2 --output - "telnet://$1:$2" </dev/null 2>/dev/null | head -c 256 | tr -cd '[:print:]')
    if [ -n "$answer" ]; then echo "$pod"; else echo "no greeting from the server"; return 1; fi
    ;;
  *)
    answer=$(curl -s --show-error --max-time 2 --write-out '\n%{http_code}' "http://$1:$2/" 2>&1)
    status=$(printf '%s' "$answer" | tail -n 1)
    body=$(printf '%s' "$answer" | sed '$d' | head -c 256 | tr '\n' ' ')
    body=${body% }
    case $status in
    [1-4][0-9][0-9]) ;;
    *) echo "HTTP status $status: $body"; return 1 ;;
    esac
    if [ "$3" = pod-name ] && [ "$body" != "$pod" ]; then echo "answered by '$body' instead of $pod"; return 1; fi
    echo "$pod"
    ;;
  esac
}

failed=0
while read -r host port kind; do
  until answer=$(ask "$host" "$port" "$kind"); do
    if [ "$(date +%s)" -ge "$deadline" ]; then
      echo "failed $host $answer"
      failed=1
      continue 2
    fi
    sleep 0.2
  done
  echo "ok $host $answer"
done
exit $failed
