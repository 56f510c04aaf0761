# How a host is asked, by a new connection: at the end of `up`, by the status and by the doctor. They put it before their
# own script. Wants `seconds`, for an answer, and `open_seconds`, for a connection to stay open. Sets `ask`, the command:
# HOST PORT KIND. It prints what the host says, or fails and prints why that is nothing. It says, if KIND is
#   http, pod-name            "HTTP STATUS LINE", with the first line of what is said
#   greeting                  that, of a server that speaks first
#   postgres, redis, mongodb  that, of a server which answers in this protocol; it need not let anybody in
#   tcp                       "stays open", if the connection does so for `open_seconds`, whatever is said meanwhile
#   none                      "not asked"
line_end='
'

# Says to a server what one of its kind answers without a login: whether it speaks TLS, PING, hello.
say() {
  case $1 in
  postgres) printf '\0\0\0\10\4\322\26\57' ;;
  redis) printf 'PING\r\n' ;;
  mongodb)
    printf '\64\0\0\0\1\0\0\0\0\0\0\0\335\7\0\0\0\0\0\0\0'
    printf '\37\0\0\0\20hello\0\1\0\0\0\2$db\0\6\0\0\0admin\0\0'
    ;;
  esac
}
op_msg=$(printf '\335\7') # with which MongoDB's answers begin, behind three numbers

# Prints what the beginning of an answer to that means: KIND ANSWER, without NULs. Fails if it is none of a server at work.
meant() {
  case $1-$2 in
  postgres-[SN] | redis-+PONG* | redis--NOAUTH* | mongodb-*"$op_msg"*) echo "$1" && return ;;
  redis--*) printf 'refused by the server: %s' "${2#-}" ;;
  "$1-") echo "closed without answer" ;;
  *) echo "no answer of $1" ;;
  esac
  return 1
}

# For bash, which needs no other program.
by_bash() {
  [ "$3" = none ] && echo "not asked" && return
  trap '' PIPE # of a server that has hung up
  exec 2>/dev/null 3<>"/dev/tcp/$1/$2" || { echo "no such name, or refused" && return 1; }
  case $3 in
  greeting) LC_ALL=C read -r -n 1 -t "$seconds" -u 3 answer && { ! refusal && echo "greeting"; return; } ;;
  tcp)
    SECONDS=0
    while left=$((open_seconds - SECONDS)) && [ "$left" -gt 0 ]; do
      LC_ALL=C read -r -N 4096 -t "$left" -u 3 answer || [ $? -gt 128 ] || { echo "closed" && return 1; }
    done
    echo "stays open" && return
    ;;
  postgres | redis | mongodb)
    local LC_ALL=C IFS=
    say "$3" >&3
    case $3 in
    postgres) read -r -N 1 -t "$seconds" -u 3 answer ;;
    redis) read -r -n 256 -t "$seconds" -u 3 answer ;;
    mongodb) read -r -N 9 -t "$seconds" -u 3 answer ;; # three numbers have that many bytes but NULs at most
    esac && { meant "$3" "${answer%$'\r'}"; return; }
    ;;
  *)
    printf 'GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" >&3
    LC_ALL=C read -r -n 256 -t "$seconds" -u 3 version answer rest && {
      answer="${answer%$'\r'} $(first_line)"
      printf 'HTTP %s' "${answer% }"
      return
    }
    ;;
  esac
  # read tells by its status that it has waited in vain
  [ $? -gt 128 ] && echo "no answer in $seconds s" || echo "closed without answer"
  return 1
}

# Prints the first line behind the headers, or what came of it in as many seconds as the status had.
first_line() {
  local LC_ALL=C IFS= header= chunked= size= part= said=
  local sized='^0*([1-9a-fA-F][0-9a-fA-F]{0,6})[[:space:]]*(;.*)?$' # in quotes, for shells that only read this
  SECONDS=0 # bash counts on
  while next header && [ "${header%$'\r'}" ]; do
    case ${header,,} in transfer-encoding:*chunked*) chunked=yes ;; esac
  done
  [ "$chunked" ] || next said
  # A line may stand in several chunks, each between a line with its size and the end of a line.
  while [ "$chunked" ] && [ "${#said}" -lt 256 ] && [[ $said != *$'\n'* ]] && next size; do
    [[ $size =~ $sized ]] || break
    next part "$((16#${BASH_REMATCH[1]}))"
    said+=$part
    next header
  done
  said=${said%%$'\n'*} said=${said%$'\r'}
  printf '%s' "${said:0:256}"
}

# Reads in what is left of the time: VARIABLE [BYTES], else a line. What has come is there even if it fails.
next() {
  [ "$SECONDS" -lt "$seconds" ] || return 1
  local most=4096
  if [ $# = 1 ]; then
    read -r -n "$most" -t "$((seconds - SECONDS))" -u 3 "$1"
  else
    read -r -N "$(($2 < most ? $2 : most))" -t "$((seconds - SECONDS))" -u 3 "$1"
  fi
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
  case $3 in
  none) echo "not asked" && return ;;
  greeting)
    answer=$(curl -s --max-time "$seconds" --output - "telnet://$1:$2" </dev/null | head -c 1 | wc -c)
    [ "$answer" -gt 0 ] && echo "greeting" && return
    echo "no greeting within $seconds s" && return 1
    ;;
  tcp)
    # Its time is over, and it had connected.
    answer=$(sleep "$open_seconds" | curl -s --max-time "$open_seconds" --output /dev/null \
      --write-out '%{time_connect}' "telnet://$1:$2")
    [ $? = 28 ] && [ "${answer#*[1-9]}" != "$answer" ] && echo "stays open" && return
    echo "closed, or refused" && return 1
    ;;
  postgres | redis | mongodb)
    answer=$({ say "$3" && sleep "$seconds"; } | curl -s --max-time "$seconds" --output - "telnet://$1:$2" |
      LC_ALL=C tr -d '\0\r\n' | head -c 256)
    meant "$3" "$answer"
    return
    ;;
  esac
  # So slowly that an answer without an end is none of hundreds of megabytes.
  answer=$(curl -s --max-time "$seconds" --limit-rate 64k --write-out '\n%{http_code}' "http://$1:$2/") ||
    { failed $? && return 1; }
  status=${answer##*"$line_end"}
  answer="$status $(printf '%s' "${answer%"$line_end"*}" | head -n 1 | head -c 256)"
  printf 'HTTP %s' "${answer% }"
}

# Says what curl's exit status means, in the words of by_bash.
failed() {
  case $1 in
  6 | 7) echo "no such name, or refused" ;;
  28) echo "no answer in $seconds s" ;;
  52 | 56) echo "closed without answer" ;;
  *) echo "curl fails: $1" ;;
  esac
}

if [ -n "${BASH_VERSION-}" ]; then
  ask=by_bash
elif command -v curl >/dev/null; then
  ask=by_curl
else
  echo "it has neither bash nor curl" >&2 && exit 1
fi
