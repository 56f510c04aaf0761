# Asks hosts as a consumer does, all at once, each by a new connection. Runs in the consumer's own container.
# Arguments: SECONDS, then HOST PORT KIND for each host. Prints for each "ok HOST ANSWER" or "failed HOST REASON".
# KIND is what is expected: greeting (the server speaks first), http ("HTTP STATUS"), or pod-name ("HTTP STATUS NAME", the
# name being the first line of what the server says).
set -uf # f: what a server says is no pattern of file names
seconds=$1
line_end='
'
shift

# For bash, which needs no other program.
by_bash() {
  exec 2>/dev/null 3<>"/dev/tcp/$1/$2" || { echo "no such name, or refused" && return 1; }
  if [ "$3" = greeting ]; then
    LC_ALL=C read -r -n 1 -t "$seconds" -u 3 answer && { ! refusal && echo "greeting"; return; }
  else
    printf 'GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" >&3
    read -r -t "$seconds" -u 3 version answer rest && echo "HTTP $answer $([ "$3" != pod-name ] || name)" && return
  fi
  # read tells by its status that it has waited in vain
  [ $? -gt 128 ] && echo "no answer in $seconds s" || echo "closed without answer"
  return 1
}

# Prints the first line behind the headers; where the answer is chunked, that stands behind the first chunk's size.
name() {
  local LC_ALL=C chunked= header= said=
  SECONDS=0 # bash counts on; a header each second must not go on for ever
  while [ "$SECONDS" -lt "$seconds" ] && read -r -n 4096 -t "$seconds" -u 3 header && [ -n "${header%$'\r'}" ]; do
    case ${header,,} in transfer-encoding:*chunked*) chunked=yes ;; esac
  done
  [ -z "$chunked" ] || read -r -n 4096 -t "$seconds" -u 3 header
  read -r -n 256 -t "$seconds" -u 3 said # which is kept without an end of the line, too
  printf '%s' "${said%$'\r'}"
}

# Prints the error that MySQL and MariaDB send in place of a greeting; its first byte is read. bash leaves out NULs.
refusal() {
  local LC_ALL=C IFS=
  read -r -d $'\177' -n 6 -t 0.5 -u 3 more
  case $more in
  $'\377'* | ?$'\377'*)
    read -r -d $'\177' -t 0.5 -u 3 rest
    more=${more#*$'\377'}${rest-}
    more=${more:2}
    echo "refused by the server: ${more//[^[:print:]]/}"
    ;;
  *) return 1 ;;
  esac
}

# For any other shell.
by_curl() {
  if [ "$3" = greeting ]; then
    answer=$(curl -s --max-time "$seconds" --output - "telnet://$1:$2" </dev/null | head -c 1 | wc -c)
    [ "$answer" -gt 0 ] && echo "greeting" && return
    echo "no answer in $seconds s" && return 1
  fi
  said=/dev/null
  [ "$3" != pod-name ] || said=-
  # So slowly that an answer without an end is none of hundreds of megabytes.
  answer=$(curl -s --show-error --max-time "$seconds" --limit-rate 64k --output "$said" --write-out '\n%{http_code}' \
    "http://$1:$2/" 2>&1) || { printf '%s' "${answer%000}" | tail -c 256 && return 1; }
  printf 'HTTP %s ' "${answer##*"$line_end"}"
  printf '%s' "${answer%"$line_end"*}" | head -n 1 | head -c 256
}

# Not by echo, which may take what a server says for escape sequences.
line() { printf '%s\n' "$*"; }

if [ -n "${BASH_VERSION-}" ]; then
  ask=by_bash
elif command -v curl >/dev/null; then
  ask=by_curl
else
  echo "it has neither bash nor curl" >&2 && exit 1
fi
while [ $# -gt 0 ]; do
  # unquoted: on one line
  (answer=$($ask "$1" "$2" "$3" 2>&1) && line ok "$1" $answer || line failed "$1" $answer) &
  shift 3
done
wait
